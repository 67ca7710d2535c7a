/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * DSDT of the 440FX PC: host bridge with its interrupt links, ISA devices, HPET, and the methods that answer the
 * general-purpose event of PCI hot plug. The board patches the _STA of devices that are not there (pc-acpi-aml.c). Everything that
 * has an External is in SSDTs: SeaBIOS reads the DSDT to find devices, and does not know that operation.
 */
DefinitionBlock ("dsdt.aml", "DSDT", 1, "BOCHS ", "BXPC    ", 1)
{
    Scope (\_SB)
    {
        Device (PCI0)
        {
            Name (_HID, EisaId ("PNP0A03"))
            Name (_UID, 0)

            /* ---- interrupt routing: PIRQ (slot - 1 + pin) & 3; INTA of slot 1 is the power management's SCI ---- */
#define ROUTE(slot, a, b, c, d)                 \
    Package () { slot##FFFF, 0, a, 0 },         \
    Package () { slot##FFFF, 1, b, 0 },         \
    Package () { slot##FFFF, 2, c, 0 },         \
    Package () { slot##FFFF, 3, d, 0 }
#define ROUTE4(s0, s1, s2, s3)                  \
    ROUTE (s0, LNKD, LNKA, LNKB, LNKC),         \
    ROUTE (s1, LNKA, LNKB, LNKC, LNKD),         \
    ROUTE (s2, LNKB, LNKC, LNKD, LNKA),         \
    ROUTE (s3, LNKC, LNKD, LNKA, LNKB)
            Name (_PRT, Package ()
            {
                ROUTE (0x0000, LNKD, LNKA, LNKB, LNKC),
                ROUTE (0x0001, LNKS, LNKB, LNKC, LNKD),
                ROUTE (0x0002, LNKB, LNKC, LNKD, LNKA),
                ROUTE (0x0003, LNKC, LNKD, LNKA, LNKB),
                ROUTE4 (0x0004, 0x0005, 0x0006, 0x0007),
                ROUTE4 (0x0008, 0x0009, 0x000A, 0x000B),
                ROUTE4 (0x000C, 0x000D, 0x000E, 0x000F),
                ROUTE4 (0x0010, 0x0011, 0x0012, 0x0013),
                ROUTE4 (0x0014, 0x0015, 0x0016, 0x0017),
                ROUTE4 (0x0018, 0x0019, 0x001A, 0x001B),
                ROUTE4 (0x001C, 0x001D, 0x001E, 0x001F)
            })

            /* ---- PCI hot plug registers ---- */
            OperationRegion (PHPR, SystemIO, 0xAE00, 0x18)
            Field (PHPR, DWordAcc, NoLock, WriteAsZeros)
            {
                PHUP, 32,   /* slots with something new */
                PHDN, 32,   /* slots to be ejected */
                PHEJ, 32,
                Offset (0x10),
                PHBU, 32,
                PHIX, 32
            }
            Mutex (PHLK, 0)

            Method (PHEV, 0, Serialized)
            {
                Acquire (PHLK, 0xFFFF)
                PHBU = 0
                \_SB.PCI0.DVNT (PHUP, 1)    /* device check */
                \_SB.PCI0.DVNT (PHDN, 3)    /* eject request */
                Release (PHLK)
            }
            Method (PHEO, 1, Serialized)    /* eject slot Arg0 */
            {
                Acquire (PHLK, 0xFFFF)
                PHBU = 0
                PHEJ = (1 << Arg0)
                Release (PHLK)
                Return (0)
            }
            Method (PHID, 1, Serialized)    /* acpi-index of slot Arg0 */
            {
                Acquire (PHLK, 0xFFFF)
                PHBU = 0
                PHIX = (1 << Arg0)
                Local0 = PHIX
                Release (PHLK)
                Return (Local0)
            }
            /* _DSM of slot Arg3: "device naming" of the PCI Firmware Specification 3.1, 4.6.7 */
            Method (PHDS, 4, Serialized)
            {
                Local0 = PHID (Arg3)
                If (((Arg0 == ToUUID ("E5C937D0-3553-4D7A-9117-EA4D19C3434D")) && (Local0 != 0)))
                {
                    If (((Arg2 == 0) && (Arg1 >= 2)))
                    {
                        Return (Buffer (1) { 0x81 })    /* functions 0 and 7 */
                    }
                    If ((Arg2 == 7))
                    {
                        Local1 = Package (2) { 0, "" }
                        Local1 [0] = Local0
                        Return (Local1)
                    }
                }
                Return (Buffer (1) { 0x00 })
            }

            /* ---- the slots; the board renames _EJ0 (to XEJ0) where what is plugged cannot go: the n-th _EJ0 in the table
             * is that of slot n + 1, they begin with slot 2 ---- */
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

            /* ---- what is reserved for ACPI ---- */
#define RESERVED(name, uid, port, len)                  \
    Device (name)                                       \
    {                                                   \
        Name (_HID, EisaId ("PNP0A06"))                 \
        Name (_UID, uid)                                \
        Name (_STA, 0x0B)                               \
        Name (_CRS, ResourceTemplate ()                 \
        {                                               \
            IO (Decode16, port, port, 0x01, len)        \
        })                                              \
    }
            RESERVED (GPER, "GPE0 resources", 0xAFE0, 0x04)
            RESERVED (PHPC, "PCI Hotplug resources", 0xAE00, 0x18)

            Device (FWCF)
            {
                Name (_HID, "QEMU0002")
                Name (_STA, 0x0B)
                Name (_CRS, ResourceTemplate ()
                {
                    IO (Decode16, 0x0510, 0x0510, 0x01, 0x0C)
                })
            }

            /* ---- the ISA bridge and what is behind it ---- */
            Device (ISA)
            {
                Name (_ADR, 0x00010000)
                OperationRegion (PIRQ, PCI_Config, 0x60, 0x04)
                Field (PIRQ, ByteAcc, NoLock, Preserve)
                {
                    PRQA, 8,
                    PRQB, 8,
                    PRQC, 8,
                    PRQD, 8
                }

#include "isa-devices.asl"
            }
        }

#include "interrupt-links.asl"
        LINK (LNKA, 0, PRQA)
        LINK (LNKB, 1, PRQB)
        LINK (LNKC, 2, PRQC)
        LINK (LNKD, 3, PRQD)
        Device (LNKS)   /* the SCI is always line 9 */
        {
            Name (_HID, EisaId ("PNP0C0F"))
            Name (_UID, 4)
            Name (_STA, 0x0B)
            Name (_PRS, ResourceTemplate ()
            {
                Interrupt (ResourceConsumer, Level, ActiveHigh, Shared) { 9 }
            })
            Method (_DIS, 0, NotSerialized) { }
            Method (_CRS, 0, NotSerialized) { Return (_PRS) }
            Method (_SRS, 1, NotSerialized) { }
        }

#include "hpet.asl"
    }

    Scope (\_GPE)
    {
        Method (_E01, 0, NotSerialized)
        {
            \_SB.PCI0.PHEV ()
        }
    }
}
