DefinitionBlock ("", "SSDT", 1, "BOCHS ", "BXPCSLOT", 0x00000001)
{
    External (_SB_.PCI0, DeviceObj)
    External (_SB_.PCI0.PHDS, MethodObj)    // 4 Arguments
    External (_SB_.PCI0.PHEO, MethodObj)    // 1 Arguments

    Scope (\_SB.PCI0)
    {
        Device (S10)
        {
            Name (_ADR, 0x00020000)  // _ADR: Address
            Name (_SUN, 0x02)  // _SUN: Slot User Number
            Method (_EJ0, 1, NotSerialized)  // _EJx: Eject Device, x=0-9
            {
                PHEO (_SUN)
            }

            Method (_DSM, 4, Serialized)  // _DSM: Device-Specific Method
            {
                Return (PHDS (Arg0, Arg1, Arg2, _SUN))
            }
        }

        Device (S18)
        {
            Name (_ADR, 0x00030000)  // _ADR: Address
            Name (_SUN, 0x03)  // _SUN: Slot User Number
            Method (_EJ0, 1, NotSerialized)  // _EJx: Eject Device, x=0-9
            {
                PHEO (_SUN)
            }

            Method (_DSM, 4, Serialized)  // _DSM: Device-Specific Method
            {
                Return (PHDS (Arg0, Arg1, Arg2, _SUN))
            }
        }

        Device (S20)
        {
            Name (_ADR, 0x00040000)  // _ADR: Address
            Name (_SUN, 0x04)  // _SUN: Slot User Number
            Method (_EJ0, 1, NotSerialized)  // _EJx: Eject Device, x=0-9
            {
                PHEO (_SUN)
            }

            Method (_DSM, 4, Serialized)  // _DSM: Device-Specific Method
            {
                Return (PHDS (Arg0, Arg1, Arg2, _SUN))
            }
        }

        Device (S28)
        {
            Name (_ADR, 0x00050000)  // _ADR: Address
            Name (_SUN, 0x05)  // _SUN: Slot User Number
            Method (_EJ0, 1, NotSerialized)  // _EJx: Eject Device, x=0-9
            {
                PHEO (_SUN)
            }

            Method (_DSM, 4, Serialized)  // _DSM: Device-Specific Method
            {
                Return (PHDS (Arg0, Arg1, Arg2, _SUN))
            }
        }

        Device (S30)
        {
            Name (_ADR, 0x00060000)  // _ADR: Address
            Name (_SUN, 0x06)  // _SUN: Slot User Number
            Method (_EJ0, 1, NotSerialized)  // _EJx: Eject Device, x=0-9
            {
                PHEO (_SUN)
            }

            Method (_DSM, 4, Serialized)  // _DSM: Device-Specific Method
            {
                Return (PHDS (Arg0, Arg1, Arg2, _SUN))
            }
        }

        Device (S38)
        {
            Name (_ADR, 0x00070000)  // _ADR: Address
            Name (_SUN, 0x07)  // _SUN: Slot User Number
            Method (_EJ0, 1, NotSerialized)  // _EJx: Eject Device, x=0-9
            {
                PHEO (_SUN)
            }

            Method (_DSM, 4, Serialized)  // _DSM: Device-Specific Method
            {
                Return (PHDS (Arg0, Arg1, Arg2, _SUN))
            }
        }

        Device (S40)
        {
            Name (_ADR, 0x00080000)  // _ADR: Address
            Name (_SUN, 0x08)  // _SUN: Slot User Number
            Method (_EJ0, 1, NotSerialized)  // _EJx: Eject Device, x=0-9
            {
                PHEO (_SUN)
            }

            Method (_DSM, 4, Serialized)  // _DSM: Device-Specific Method
            {
                Return (PHDS (Arg0, Arg1, Arg2, _SUN))
            }
        }

        Device (S48)
        {
            Name (_ADR, 0x00090000)  // _ADR: Address
            Name (_SUN, 0x09)  // _SUN: Slot User Number
            Method (_EJ0, 1, NotSerialized)  // _EJx: Eject Device, x=0-9
            {
                PHEO (_SUN)
            }

            Method (_DSM, 4, Serialized)  // _DSM: Device-Specific Method
            {
                Return (PHDS (Arg0, Arg1, Arg2, _SUN))
            }
        }

        Device (S50)
        {
            Name (_ADR, 0x000A0000)  // _ADR: Address
            Name (_SUN, 0x0A)  // _SUN: Slot User Number
            Method (_EJ0, 1, NotSerialized)  // _EJx: Eject Device, x=0-9
            {
                PHEO (_SUN)
            }

            Method (_DSM, 4, Serialized)  // _DSM: Device-Specific Method
            {
                Return (PHDS (Arg0, Arg1, Arg2, _SUN))
            }
        }

        Device (S58)
        {
            Name (_ADR, 0x000B0000)  // _ADR: Address
            Name (_SUN, 0x0B)  // _SUN: Slot User Number
            Method (_EJ0, 1, NotSerialized)  // _EJx: Eject Device, x=0-9
            {
                PHEO (_SUN)
            }

            Method (_DSM, 4, Serialized)  // _DSM: Device-Specific Method
            {
                Return (PHDS (Arg0, Arg1, Arg2, _SUN))
            }
        }

        Device (S60)
        {
            Name (_ADR, 0x000C0000)  // _ADR: Address
            Name (_SUN, 0x0C)  // _SUN: Slot User Number
            Method (_EJ0, 1, NotSerialized)  // _EJx: Eject Device, x=0-9
            {
                PHEO (_SUN)
            }

            Method (_DSM, 4, Serialized)  // _DSM: Device-Specific Method
            {
                Return (PHDS (Arg0, Arg1, Arg2, _SUN))
            }
        }

        Device (S68)
        {
            Name (_ADR, 0x000D0000)  // _ADR: Address
            Name (_SUN, 0x0D)  // _SUN: Slot User Number
            Method (_EJ0, 1, NotSerialized)  // _EJx: Eject Device, x=0-9
            {
                PHEO (_SUN)
            }

            Method (_DSM, 4, Serialized)  // _DSM: Device-Specific Method
            {
                Return (PHDS (Arg0, Arg1, Arg2, _SUN))
            }
        }

        Device (S70)
        {
            Name (_ADR, 0x000E0000)  // _ADR: Address
            Name (_SUN, 0x0E)  // _SUN: Slot User Number
            Method (_EJ0, 1, NotSerialized)  // _EJx: Eject Device, x=0-9
            {
                PHEO (_SUN)
            }

            Method (_DSM, 4, Serialized)  // _DSM: Device-Specific Method
            {
                Return (PHDS (Arg0, Arg1, Arg2, _SUN))
            }
        }

        Device (S78)
        {
            Name (_ADR, 0x000F0000)  // _ADR: Address
            Name (_SUN, 0x0F)  // _SUN: Slot User Number
            Method (_EJ0, 1, NotSerialized)  // _EJx: Eject Device, x=0-9
            {
                PHEO (_SUN)
            }

            Method (_DSM, 4, Serialized)  // _DSM: Device-Specific Method
            {
                Return (PHDS (Arg0, Arg1, Arg2, _SUN))
            }
        }

        Device (S80)
        {
            Name (_ADR, 0x00100000)  // _ADR: Address
            Name (_SUN, 0x10)  // _SUN: Slot User Number
            Method (_EJ0, 1, NotSerialized)  // _EJx: Eject Device, x=0-9
            {
                PHEO (_SUN)
            }

            Method (_DSM, 4, Serialized)  // _DSM: Device-Specific Method
            {
                Return (PHDS (Arg0, Arg1, Arg2, _SUN))
            }
        }

        Device (S88)
        {
            Name (_ADR, 0x00110000)  // _ADR: Address
            Name (_SUN, 0x11)  // _SUN: Slot User Number
            Method (_EJ0, 1, NotSerialized)  // _EJx: Eject Device, x=0-9
            {
                PHEO (_SUN)
            }

            Method (_DSM, 4, Serialized)  // _DSM: Device-Specific Method
            {
                Return (PHDS (Arg0, Arg1, Arg2, _SUN))
            }
        }

        Device (S90)
        {
            Name (_ADR, 0x00120000)  // _ADR: Address
            Name (_SUN, 0x12)  // _SUN: Slot User Number
            Method (_EJ0, 1, NotSerialized)  // _EJx: Eject Device, x=0-9
            {
                PHEO (_SUN)
            }

            Method (_DSM, 4, Serialized)  // _DSM: Device-Specific Method
            {
                Return (PHDS (Arg0, Arg1, Arg2, _SUN))
            }
        }

        Device (S98)
        {
            Name (_ADR, 0x00130000)  // _ADR: Address
            Name (_SUN, 0x13)  // _SUN: Slot User Number
            Method (_EJ0, 1, NotSerialized)  // _EJx: Eject Device, x=0-9
            {
                PHEO (_SUN)
            }

            Method (_DSM, 4, Serialized)  // _DSM: Device-Specific Method
            {
                Return (PHDS (Arg0, Arg1, Arg2, _SUN))
            }
        }

        Device (SA0)
        {
            Name (_ADR, 0x00140000)  // _ADR: Address
            Name (_SUN, 0x14)  // _SUN: Slot User Number
            Method (_EJ0, 1, NotSerialized)  // _EJx: Eject Device, x=0-9
            {
                PHEO (_SUN)
            }

            Method (_DSM, 4, Serialized)  // _DSM: Device-Specific Method
            {
                Return (PHDS (Arg0, Arg1, Arg2, _SUN))
            }
        }

        Device (SA8)
        {
            Name (_ADR, 0x00150000)  // _ADR: Address
            Name (_SUN, 0x15)  // _SUN: Slot User Number
            Method (_EJ0, 1, NotSerialized)  // _EJx: Eject Device, x=0-9
            {
                PHEO (_SUN)
            }

            Method (_DSM, 4, Serialized)  // _DSM: Device-Specific Method
            {
                Return (PHDS (Arg0, Arg1, Arg2, _SUN))
            }
        }

        Device (SB0)
        {
            Name (_ADR, 0x00160000)  // _ADR: Address
            Name (_SUN, 0x16)  // _SUN: Slot User Number
            Method (_EJ0, 1, NotSerialized)  // _EJx: Eject Device, x=0-9
            {
                PHEO (_SUN)
            }

            Method (_DSM, 4, Serialized)  // _DSM: Device-Specific Method
            {
                Return (PHDS (Arg0, Arg1, Arg2, _SUN))
            }
        }

        Device (SB8)
        {
            Name (_ADR, 0x00170000)  // _ADR: Address
            Name (_SUN, 0x17)  // _SUN: Slot User Number
            Method (_EJ0, 1, NotSerialized)  // _EJx: Eject Device, x=0-9
            {
                PHEO (_SUN)
            }

            Method (_DSM, 4, Serialized)  // _DSM: Device-Specific Method
            {
                Return (PHDS (Arg0, Arg1, Arg2, _SUN))
            }
        }

        Device (SC0)
        {
            Name (_ADR, 0x00180000)  // _ADR: Address
            Name (_SUN, 0x18)  // _SUN: Slot User Number
            Method (_EJ0, 1, NotSerialized)  // _EJx: Eject Device, x=0-9
            {
                PHEO (_SUN)
            }

            Method (_DSM, 4, Serialized)  // _DSM: Device-Specific Method
            {
                Return (PHDS (Arg0, Arg1, Arg2, _SUN))
            }
        }

        Device (SC8)
        {
            Name (_ADR, 0x00190000)  // _ADR: Address
            Name (_SUN, 0x19)  // _SUN: Slot User Number
            Method (_EJ0, 1, NotSerialized)  // _EJx: Eject Device, x=0-9
            {
                PHEO (_SUN)
            }

            Method (_DSM, 4, Serialized)  // _DSM: Device-Specific Method
            {
                Return (PHDS (Arg0, Arg1, Arg2, _SUN))
            }
        }

        Device (SD0)
        {
            Name (_ADR, 0x001A0000)  // _ADR: Address
            Name (_SUN, 0x1A)  // _SUN: Slot User Number
            Method (_EJ0, 1, NotSerialized)  // _EJx: Eject Device, x=0-9
            {
                PHEO (_SUN)
            }

            Method (_DSM, 4, Serialized)  // _DSM: Device-Specific Method
            {
                Return (PHDS (Arg0, Arg1, Arg2, _SUN))
            }
        }

        Device (SD8)
        {
            Name (_ADR, 0x001B0000)  // _ADR: Address
            Name (_SUN, 0x1B)  // _SUN: Slot User Number
            Method (_EJ0, 1, NotSerialized)  // _EJx: Eject Device, x=0-9
            {
                PHEO (_SUN)
            }

            Method (_DSM, 4, Serialized)  // _DSM: Device-Specific Method
            {
                Return (PHDS (Arg0, Arg1, Arg2, _SUN))
            }
        }

        Device (SE0)
        {
            Name (_ADR, 0x001C0000)  // _ADR: Address
            Name (_SUN, 0x1C)  // _SUN: Slot User Number
            Method (_EJ0, 1, NotSerialized)  // _EJx: Eject Device, x=0-9
            {
                PHEO (_SUN)
            }

            Method (_DSM, 4, Serialized)  // _DSM: Device-Specific Method
            {
                Return (PHDS (Arg0, Arg1, Arg2, _SUN))
            }
        }

        Device (SE8)
        {
            Name (_ADR, 0x001D0000)  // _ADR: Address
            Name (_SUN, 0x1D)  // _SUN: Slot User Number
            Method (_EJ0, 1, NotSerialized)  // _EJx: Eject Device, x=0-9
            {
                PHEO (_SUN)
            }

            Method (_DSM, 4, Serialized)  // _DSM: Device-Specific Method
            {
                Return (PHDS (Arg0, Arg1, Arg2, _SUN))
            }
        }

        Device (SF0)
        {
            Name (_ADR, 0x001E0000)  // _ADR: Address
            Name (_SUN, 0x1E)  // _SUN: Slot User Number
            Method (_EJ0, 1, NotSerialized)  // _EJx: Eject Device, x=0-9
            {
                PHEO (_SUN)
            }

            Method (_DSM, 4, Serialized)  // _DSM: Device-Specific Method
            {
                Return (PHDS (Arg0, Arg1, Arg2, _SUN))
            }
        }

        Device (SF8)
        {
            Name (_ADR, 0x001F0000)  // _ADR: Address
            Name (_SUN, 0x1F)  // _SUN: Slot User Number
            Method (_EJ0, 1, NotSerialized)  // _EJx: Eject Device, x=0-9
            {
                PHEO (_SUN)
            }

            Method (_DSM, 4, Serialized)  // _DSM: Device-Specific Method
            {
                Return (PHDS (Arg0, Arg1, Arg2, _SUN))
            }
        }

        Method (DVNT, 2, NotSerialized)
        {
            If ((Arg0 & 0x04))
            {
                Notify (S10, Arg1)
            }

            If ((Arg0 & 0x08))
            {
                Notify (S18, Arg1)
            }

            If ((Arg0 & 0x10))
            {
                Notify (S20, Arg1)
            }

            If ((Arg0 & 0x20))
            {
                Notify (S28, Arg1)
            }

            If ((Arg0 & 0x40))
            {
                Notify (S30, Arg1)
            }

            If ((Arg0 & 0x80))
            {
                Notify (S38, Arg1)
            }

            If ((Arg0 & 0x0100))
            {
                Notify (S40, Arg1)
            }

            If ((Arg0 & 0x0200))
            {
                Notify (S48, Arg1)
            }

            If ((Arg0 & 0x0400))
            {
                Notify (S50, Arg1)
            }

            If ((Arg0 & 0x0800))
            {
                Notify (S58, Arg1)
            }

            If ((Arg0 & 0x1000))
            {
                Notify (S60, Arg1)
            }

            If ((Arg0 & 0x2000))
            {
                Notify (S68, Arg1)
            }

            If ((Arg0 & 0x4000))
            {
                Notify (S70, Arg1)
            }

            If ((Arg0 & 0x8000))
            {
                Notify (S78, Arg1)
            }

            If ((Arg0 & 0x00010000))
            {
                Notify (S80, Arg1)
            }

            If ((Arg0 & 0x00020000))
            {
                Notify (S88, Arg1)
            }

            If ((Arg0 & 0x00040000))
            {
                Notify (S90, Arg1)
            }

            If ((Arg0 & 0x00080000))
            {
                Notify (S98, Arg1)
            }

            If ((Arg0 & 0x00100000))
            {
                Notify (SA0, Arg1)
            }

            If ((Arg0 & 0x00200000))
            {
                Notify (SA8, Arg1)
            }

            If ((Arg0 & 0x00400000))
            {
                Notify (SB0, Arg1)
            }

            If ((Arg0 & 0x00800000))
            {
                Notify (SB8, Arg1)
            }

            If ((Arg0 & 0x01000000))
            {
                Notify (SC0, Arg1)
            }

            If ((Arg0 & 0x02000000))
            {
                Notify (SC8, Arg1)
            }

            If ((Arg0 & 0x04000000))
            {
                Notify (SD0, Arg1)
            }

            If ((Arg0 & 0x08000000))
            {
                Notify (SD8, Arg1)
            }

            If ((Arg0 & 0x10000000))
            {
                Notify (SE0, Arg1)
            }

            If ((Arg0 & 0x20000000))
            {
                Notify (SE8, Arg1)
            }

            If ((Arg0 & 0x40000000))
            {
                Notify (SF0, Arg1)
            }

            If ((Arg0 & 0x80000000))
            {
                Notify (SF8, Arg1)
            }
        }
    }
}

