/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Interrupt links over the route control registers that \_SB.PCI0.ISA names. Part of a DSDT, in \_SB. */
/* ---- interrupt links: a route control register each (bit 7: not routed) ---- */
Method (LSTA, 1, NotSerialized)
{
    If ((Arg0 & 0x80))
    {
        Return (0x09)
    }
    Return (0x0B)
}
Method (LCRS, 1, Serialized)
{
    Local0 = ResourceTemplate ()
    {
        Interrupt (ResourceConsumer, Level, ActiveHigh, Shared) { 0 }
    }
    CreateDWordField (Local0, 5, NUMB)      /* the number in an interrupt descriptor */
    If ((Arg0 < 0x80))
    {
        NUMB = Arg0
    }
    Return (Local0)
}
#define LINK(name, uid, reg)                                                                    \
    Device (name)                                                                               \
    {                                                                                           \
Name (_HID, EisaId ("PNP0C0F"))                                                         \
Name (_UID, uid)                                                                        \
Name (_PRS, ResourceTemplate ()                                                         \
{                                                                                       \
    Interrupt (ResourceConsumer, Level, ActiveHigh, Shared) { 5, 10, 11 }               \
})                                                                                      \
Method (_STA, 0, NotSerialized) { Return (LSTA (\_SB.PCI0.ISA.reg)) }                   \
Method (_DIS, 0, NotSerialized) { \_SB.PCI0.ISA.reg |= 0x80 }                           \
Method (_CRS, 0, NotSerialized) { Return (LCRS (\_SB.PCI0.ISA.reg)) }                   \
Method (_SRS, 1, NotSerialized)                                                         \
{                                                                                       \
    CreateDWordField (Arg0, 5, NUMB)                                                    \
    \_SB.PCI0.ISA.reg = NUMB                                                            \
}                                                                                       \
    }
