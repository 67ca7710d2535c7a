/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * DSDT of the 440FX PC: host bridge with its interrupt links, ISA devices, HPET, and the methods that answer the
 * general-purpose events of hot plug. What differs from machine to machine is in names that the board patches
 * (pc-acpi.c): P_… for "is it there", or comes in an SSDT.
 */
DefinitionBlock ("dsdt.aml", "DSDT", 1, "BOCHS ", "BXPC    ", 1)
{
    External (\_SB.PCI0.DVNT, MethodObj)
    External (\_SB.CPUS.CTFY, MethodObj)

    /* Patched: 0Fh there, 0 not. */
    Name (\P_KB, 0x0F)
    Name (\P_MO, 0x0F)
    Name (\P_RT, 0x0F)
    Name (\P_FD, 0x0F)
    Name (\P_LP, 0x0F)
    Name (\P_C1, 0x0F)
    Name (\P_C2, 0x0F)
    Name (\P_HP, 0x0F)
    Name (\P_FW, 0x0F)

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
                Method (_STA, 0, NotSerialized) { Return ((P_FW & 0x0B)) }
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

                Device (RTC)
                {
                    Name (_HID, EisaId ("PNP0B00"))
                    Method (_STA, 0, NotSerialized) { Return (P_RT) }
                    Name (_CRS, ResourceTemplate ()
                    {
                        IO (Decode16, 0x0070, 0x0070, 0x01, 0x08)
                        IRQNoFlags () { 8 }
                    })
                }
                Device (KBD)
                {
                    Name (_HID, EisaId ("PNP0303"))
                    Method (_STA, 0, NotSerialized) { Return (P_KB) }
                    Name (_CRS, ResourceTemplate ()
                    {
                        IO (Decode16, 0x0060, 0x0060, 0x01, 0x01)
                        IO (Decode16, 0x0064, 0x0064, 0x01, 0x01)
                        IRQNoFlags () { 1 }
                    })
                }
                Device (MOU)
                {
                    Name (_HID, EisaId ("PNP0F13"))
                    Method (_STA, 0, NotSerialized) { Return (P_MO) }
                    Name (_CRS, ResourceTemplate ()
                    {
                        IRQNoFlags () { 12 }
                    })
                }
                Device (FDC0)
                {
                    Name (_HID, EisaId ("PNP0700"))
                    Method (_STA, 0, NotSerialized) { Return (P_FD) }
                    Name (_CRS, ResourceTemplate ()
                    {
                        IO (Decode16, 0x03F2, 0x03F2, 0x00, 0x04)
                        IO (Decode16, 0x03F7, 0x03F7, 0x00, 0x01)
                        IRQNoFlags () { 6 }
                        DMA (Compatibility, NotBusMaster, Transfer8) { 2 }
                    })
                }
                Device (LPT1)
                {
                    Name (_HID, EisaId ("PNP0400"))
                    Name (_UID, 1)
                    Method (_STA, 0, NotSerialized) { Return (P_LP) }
                    Name (_CRS, ResourceTemplate ()
                    {
                        IO (Decode16, 0x0378, 0x0378, 0x08, 0x08)
                        IRQNoFlags () { 7 }
                    })
                }
                Device (COM1)
                {
                    Name (_HID, EisaId ("PNP0501"))
                    Name (_UID, 1)
                    Method (_STA, 0, NotSerialized) { Return (P_C1) }
                    Name (_CRS, ResourceTemplate ()
                    {
                        IO (Decode16, 0x03F8, 0x03F8, 0x00, 0x08)
                        IRQNoFlags () { 4 }
                    })
                }
                Device (COM2)
                {
                    Name (_HID, EisaId ("PNP0501"))
                    Name (_UID, 2)
                    Method (_STA, 0, NotSerialized) { Return (P_C2) }
                    Name (_CRS, ResourceTemplate ()
                    {
                        IO (Decode16, 0x02F8, 0x02F8, 0x00, 0x08)
                        IRQNoFlags () { 3 }
                    })
                }
            }
        }

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

        Device (HPET)
        {
            Name (_HID, EisaId ("PNP0103"))
            Name (_UID, 0)
            Method (_STA, 0, NotSerialized) { Return (P_HP) }
            Name (_CRS, ResourceTemplate ()
            {
                Memory32Fixed (ReadOnly, 0xFED00000, 0x00000400)
            })
        }

        /* ---- processors: the registers of hot plug; the objects are in an SSDT ---- */
        Device (CPUR)
        {
            Name (_HID, EisaId ("PNP0A06"))
            Name (_UID, "CPU Hotplug resources")
            Name (_STA, 0x0B)
            Name (_CRS, ResourceTemplate ()
            {
                IO (Decode16, 0xAF00, 0xAF00, 0x01, 0x0C)
            })
            OperationRegion (REGS, SystemIO, 0xAF00, 0x0C)
            Field (REGS, ByteAcc, NoLock, WriteAsZeros)
            {
                Offset (0x04),
                CHER, 1,    /* it is here */
                CINS, 1,    /* it has come */
                CRMV, 1,    /* it is to go */
                CEJE, 1,
                Offset (0x05),
                CCMD, 8
            }
            Field (REGS, DWordAcc, NoLock, Preserve)
            {
                CSEL, 32,
                Offset (0x08),
                CDAT, 32
            }
            Mutex (CLCK, 0)

            /* A write to the first byte makes the registers of the bitmap. */
            Method (_INI, 0, Serialized)
            {
                CSEL = 0
            }
            Method (CSTA, 1, Serialized)
            {
                Acquire (CLCK, 0xFFFF)
                CSEL = Arg0
                Local0 = CHER
                Release (CLCK)
                If ((Local0 == 1))
                {
                    Return (0x0F)
                }
                Return (0)
            }
            Method (CEJ0, 1, Serialized)
            {
                Acquire (CLCK, 0xFFFF)
                CSEL = Arg0
                CEJE = 1
                Release (CLCK)
            }
            Method (COST, 3, Serialized)
            {
                Acquire (CLCK, 0xFFFF)
                CSEL = Arg0
                CCMD = 1
                CDAT = Arg1
                CCMD = 2
                CDAT = Arg2
                Release (CLCK)
            }
            /* Every event there is: command 0 goes to the next processor that has one, taking it back clears it. */
            Method (CEVT, 0, Serialized)
            {
                Acquire (CLCK, 0xFFFF)
                CSEL = 0
                Local1 = 1
                While ((Local1 == 1))
                {
                    Local1 = 0
                    CCMD = 0
                    Local0 = CDAT
                    If ((CINS == 1))
                    {
                        CINS = 1
                        \_SB.CPUS.CTFY (Local0, 1)
                        Local1 = 1
                    }
                    ElseIf ((CRMV == 1))
                    {
                        CRMV = 1
                        \_SB.CPUS.CTFY (Local0, 3)
                        Local1 = 1
                    }
                }
                Release (CLCK)
            }
        }
    }

    Scope (\_GPE)
    {
        Method (_E01, 0, NotSerialized)
        {
            \_SB.PCI0.PHEV ()
        }
        Method (_E02, 0, NotSerialized)
        {
            \_SB.CPUR.CEVT ()
        }
    }
}
