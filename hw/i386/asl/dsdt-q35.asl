/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * DSDT of the Q35 PC: root complex with its interrupt routing, LPC bridge with ISA devices and route control registers, HPET, the
 * window of configuration space. Nothing is hot-plugged on the root bus. The board patches the _STA of devices that are not
 * there. Everything that has an External is in SSDTs: SeaBIOS reads the DSDT to find devices, and does not know that operation.
 */
DefinitionBlock ("dsdt-q35.aml", "DSDT", 1, "BOCHS ", "BXPC    ", 1)
{
    Scope (\)
    {
        Name (PICF, 0)
        Method (_PIC, 1, NotSerialized)     /* 1: the guest uses the I/O APIC */
        {
            PICF = Arg0
        }
    }

    Scope (\_SB)
    {
        Device (PCI0)
        {
            Name (_HID, EisaId ("PNP0A08"))
            Name (_CID, EisaId ("PNP0A03"))
            Name (_UID, 0)

            /* What the guest may control (PCI Firmware Specification 3.0, 4.5.1): all but hot plug, of which there is none. */
            Method (_OSC, 4, NotSerialized)
            {
                CreateDWordField (Arg3, 0, CDW1)
                If ((Arg0 == ToUUID ("33DB4D5B-1FF7-401C-9657-7441C03DD766")))
                {
                    CreateDWordField (Arg3, 4, CDW2)
                    CreateDWordField (Arg3, 8, CDW3)
                    CDW3 &= 0x1C
                    If ((Arg1 != 1))
                    {
                        CDW1 |= 0x08        /* another revision */
                    }
                }
                Else
                {
                    CDW1 |= 0x04            /* another UUID */
                }
                Return (Arg3)
            }

            /* ---- interrupt routing: slots 0 to 24 and 30 have PIRQE to H in turn, the chip's own slots PIRQA to D. A PIRQ's
             * input of the I/O APIC is 16 and its number. ---- */
#define ROUTE(slot, a, b, c, d)                 \
    Package () { slot##FFFF, 0, LNK##a, 0 },    \
    Package () { slot##FFFF, 1, LNK##b, 0 },    \
    Package () { slot##FFFF, 2, LNK##c, 0 },    \
    Package () { slot##FFFF, 3, LNK##d, 0 }
#define APIC_A 16
#define APIC_B 17
#define APIC_C 18
#define APIC_D 19
#define APIC_E 20
#define APIC_F 21
#define APIC_G 22
#define APIC_H 23
#define INPUT(slot, a, b, c, d)                 \
    Package () { slot##FFFF, 0, 0, APIC_##a },  \
    Package () { slot##FFFF, 1, 0, APIC_##b },  \
    Package () { slot##FFFF, 2, 0, APIC_##c },  \
    Package () { slot##FFFF, 3, 0, APIC_##d }
#define FOUR(what, s0, s1, s2, s3)              \
    what (s0, E, F, G, H),                      \
    what (s1, F, G, H, E),                      \
    what (s2, G, H, E, F),                      \
    what (s3, H, E, F, G)
#define ALL(what)                               \
    FOUR (what, 0x0000, 0x0001, 0x0002, 0x0003),\
    FOUR (what, 0x0004, 0x0005, 0x0006, 0x0007),\
    FOUR (what, 0x0008, 0x0009, 0x000A, 0x000B),\
    FOUR (what, 0x000C, 0x000D, 0x000E, 0x000F),\
    FOUR (what, 0x0010, 0x0011, 0x0012, 0x0013),\
    FOUR (what, 0x0014, 0x0015, 0x0016, 0x0017),\
    what (0x0018, E, F, G, H),                  \
    what (0x0019, A, B, C, D),                  \
    what (0x001A, A, B, C, D),                  \
    what (0x001B, A, B, C, D),                  \
    what (0x001C, A, B, C, D),                  \
    what (0x001D, A, B, C, D),                  \
    what (0x001E, E, F, G, H),                  \
    what (0x001F, A, B, C, D)
            Name (PRTP, Package () { ALL (ROUTE) })
            Name (PRTA, Package () { ALL (INPUT) })
            Method (_PRT, 0, NotSerialized)
            {
                If ((\PICF == 0))
                {
                    Return (PRTP)
                }
                Return (PRTA)
            }

            Device (FWCF)
            {
                Name (_HID, "QEMU0002")
                Name (_STA, 0x0B)
                Name (_CRS, ResourceTemplate ()
                {
                    IO (Decode16, 0x0510, 0x0510, 0x01, 0x0C)
                })
            }

            /* ---- the LPC bridge and what is behind it ---- */
            Device (ISA)
            {
                Name (_ADR, 0x001F0000)
                OperationRegion (PIRQ, PCI_Config, 0x60, 0x0C)
                Field (PIRQ, ByteAcc, NoLock, Preserve)
                {
                    PRQA, 8,
                    PRQB, 8,
                    PRQC, 8,
                    PRQD, 8,
                    Offset (0x08),
                    PRQE, 8,
                    PRQF, 8,
                    PRQG, 8,
                    PRQH, 8
                }

#include "isa-devices.asl"
            }
        }

        /* What no device may be given: the window of configuration space, and the ports of hot plug. */
        Device (RSVD)
        {
            Name (_HID, EisaId ("PNP0C02"))
            Name (_UID, 1)
            Name (_CRS, ResourceTemplate ()
            {
                Memory32Fixed (ReadWrite, 0xB0000000, 0x10000000)
                IO (Decode16, 0x0CC0, 0x0CC0, 0x01, 0x18)
            })
        }

#include "interrupt-links.asl"
        LINK (LNKA, 0, PRQA)
        LINK (LNKB, 1, PRQB)
        LINK (LNKC, 2, PRQC)
        LINK (LNKD, 3, PRQD)
        LINK (LNKE, 4, PRQE)
        LINK (LNKF, 5, PRQF)
        LINK (LNKG, 6, PRQG)
        LINK (LNKH, 7, PRQH)
#include "hpet.asl"
    }
}
