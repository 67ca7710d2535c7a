DefinitionBlock ("", "SSDT", 1, "BOCHS ", "BXPCCPUR", 0x00000001)
{
    External (_SB_.CPUS.CTFY, MethodObj)    // 2 Arguments

    Scope (\_SB)
    {
        Device (CPUR)
        {
            Name (_HID, EisaId ("PNP0A06") /* Generic Container Device */)  // _HID: Hardware ID
            Name (_UID, "CPU Hotplug resources")  // _UID: Unique ID
            Name (_STA, 0x0B)  // _STA: Status
            Name (_CRS, ResourceTemplate ()  // _CRS: Current Resource Settings
            {
                IO (Decode16,
                    0xAF00,             // Range Minimum
                    0xAF00,             // Range Maximum
                    0x01,               // Alignment
                    0x0C,               // Length
                    )
            })
            OperationRegion (REGS, SystemIO, 0xAF00, 0x0C)
            Field (REGS, ByteAcc, NoLock, WriteAsZeros)
            {
                Offset (0x04), 
                CHER,   1, 
                CINS,   1, 
                CRMV,   1, 
                CEJE,   1, 
                Offset (0x05), 
                CCMD,   8
            }

            Field (REGS, DWordAcc, NoLock, Preserve)
            {
                CSEL,   32, 
                Offset (0x08), 
                CDAT,   32
            }

            Mutex (CLCK, 0x00)
            Method (_INI, 0, Serialized)  // _INI: Initialize
            {
                CSEL = Zero
            }

            Method (CSTA, 1, Serialized)
            {
                Acquire (CLCK, 0xFFFF)
                CSEL = Arg0
                Local0 = CHER /* \_SB_.CPUR.CHER */
                Release (CLCK)
                If ((Local0 == One))
                {
                    Return (0x0F)
                }

                Return (Zero)
            }

            Method (CEJ0, 1, Serialized)
            {
                Acquire (CLCK, 0xFFFF)
                CSEL = Arg0
                CEJE = One
                Release (CLCK)
            }

            Method (COST, 3, Serialized)
            {
                Acquire (CLCK, 0xFFFF)
                CSEL = Arg0
                CCMD = One
                CDAT = Arg1
                CCMD = 0x02
                CDAT = Arg2
                Release (CLCK)
            }

            Method (CEVT, 0, Serialized)
            {
                Acquire (CLCK, 0xFFFF)
                CSEL = Zero
                Local1 = One
                While ((Local1 == One))
                {
                    Local1 = Zero
                    CCMD = Zero
                    Local0 = CDAT /* \_SB_.CPUR.CDAT */
                    If ((CINS == One))
                    {
                        CINS = One
                        \_SB.CPUS.CTFY (Local0, One)
                        Local1 = One
                    }
                    ElseIf ((CRMV == One))
                    {
                        CRMV = One
                        \_SB.CPUS.CTFY (Local0, 0x03)
                        Local1 = One
                    }
                }

                Release (CLCK)
            }
        }
    }

    Scope (\_GPE)
    {
        Method (_E02, 0, NotSerialized)  // _Exx: Edge-Triggered GPE, xx=0x00-0xFF
        {
            \_SB.CPUR.CEVT ()
        }
    }
}

