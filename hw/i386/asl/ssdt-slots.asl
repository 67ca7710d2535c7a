/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The slots of PCI bus 0. The board renames _EJ0 (to XEJ0) where what is plugged cannot go: the n-th _EJ0 in the table is
 * that of slot n + 1 (they begin with slot 2).
 */
DefinitionBlock ("ssdt-slots.aml", "SSDT", 1, "BOCHS ", "BXPCSLOT", 1)
{
    External (\_SB.PCI0, DeviceObj)
    External (\_SB.PCI0.PHEO, MethodObj)
    External (\_SB.PCI0.PHDS, MethodObj)

#define SLOT(name, number)                                                                              \
    Device (name)                                                                                       \
    {                                                                                                   \
        Name (_ADR, number##0000)                                                                       \
        Name (_SUN, number)                                                                             \
        Method (_EJ0, 1, NotSerialized) { PHEO (_SUN) }                                                 \
        Method (_DSM, 4, Serialized) { Return (PHDS (Arg0, Arg1, Arg2, _SUN)) }                         \
    }
#define ASK(name, bit)                                                                                  \
    If ((Arg0 & bit))                                                                                   \
    {                                                                                                   \
        Notify (name, Arg1)                                                                             \
    }
    Scope (\_SB.PCI0)
    {
        SLOT (S10, 0x02) SLOT (S18, 0x03) SLOT (S20, 0x04) SLOT (S28, 0x05) SLOT (S30, 0x06) SLOT (S38, 0x07)
        SLOT (S40, 0x08) SLOT (S48, 0x09) SLOT (S50, 0x0A) SLOT (S58, 0x0B) SLOT (S60, 0x0C) SLOT (S68, 0x0D)
        SLOT (S70, 0x0E) SLOT (S78, 0x0F) SLOT (S80, 0x10) SLOT (S88, 0x11) SLOT (S90, 0x12) SLOT (S98, 0x13)
        SLOT (SA0, 0x14) SLOT (SA8, 0x15) SLOT (SB0, 0x16) SLOT (SB8, 0x17) SLOT (SC0, 0x18) SLOT (SC8, 0x19)
        SLOT (SD0, 0x1A) SLOT (SD8, 0x1B) SLOT (SE0, 0x1C) SLOT (SE8, 0x1D) SLOT (SF0, 0x1E) SLOT (SF8, 0x1F)

        /* Tells the slots in Arg0 of event Arg1. */
        Method (DVNT, 2, NotSerialized)
        {
            ASK (S10, 0x00000004) ASK (S18, 0x00000008) ASK (S20, 0x00000010) ASK (S28, 0x00000020)
            ASK (S30, 0x00000040) ASK (S38, 0x00000080) ASK (S40, 0x00000100) ASK (S48, 0x00000200)
            ASK (S50, 0x00000400) ASK (S58, 0x00000800) ASK (S60, 0x00001000) ASK (S68, 0x00002000)
            ASK (S70, 0x00004000) ASK (S78, 0x00008000) ASK (S80, 0x00010000) ASK (S88, 0x00020000)
            ASK (S90, 0x00040000) ASK (S98, 0x00080000) ASK (SA0, 0x00100000) ASK (SA8, 0x00200000)
            ASK (SB0, 0x00400000) ASK (SB8, 0x00800000) ASK (SC0, 0x01000000) ASK (SC8, 0x02000000)
            ASK (SD0, 0x04000000) ASK (SD8, 0x08000000) ASK (SE0, 0x10000000) ASK (SE8, 0x20000000)
            ASK (SF0, 0x40000000) ASK (SF8, 0x80000000)
        }
    }
}
