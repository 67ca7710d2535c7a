/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Hot plug of processors: its registers, and the method that answers its event. The processors are in an SSDT of the board's. */
#ifndef CPU_PORT
#define CPU_PORT 0xAF00
#endif
DefinitionBlock ("ssdt-cpu.aml", "SSDT", 1, "BOCHS ", "BXPCCPUR", 1)
{
    External (\_SB.CPUS.CTFY, MethodObj)

    Scope (\_SB)
    {
        Device (CPUR)
        {
            Name (_HID, EisaId ("PNP0A06"))
            Name (_UID, "CPU Hotplug resources")
            Name (_STA, 0x0B)
            Name (_CRS, ResourceTemplate ()
            {
                IO (Decode16, CPU_PORT, CPU_PORT, 0x01, 0x0C)
            })
            OperationRegion (REGS, SystemIO, CPU_PORT, 0x0C)
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
        Method (_E02, 0, NotSerialized)
        {
            \_SB.CPUR.CEVT ()
        }
    }
}
