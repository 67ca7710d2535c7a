DefinitionBlock ("", "SSDT", 1, "BOCHS ", "BXPCBORD", 0x00000001)
{
    External (_SB_.CPUR.CEJ0, MethodObj)    // 1 Arguments
    External (_SB_.CPUR.COST, MethodObj)    // 3 Arguments
    External (_SB_.CPUR.CSTA, MethodObj)    // 1 Arguments
    External (_SB_.PCI0, DeviceObj)

    Scope (\_SB.PCI0)
    {
        Name (_CRS, ResourceTemplate ()  // _CRS: Current Resource Settings
        {
            WordBusNumber (ResourceProducer, MinFixed, MaxFixed, PosDecode,
                0x0000,             // Granularity
                0x0000,             // Range Minimum
                0x00FF,             // Range Maximum
                0x0000,             // Translation Offset
                0x0100,             // Length
                ,, )
            IO (Decode16,
                0x0CF8,             // Range Minimum
                0x0CF8,             // Range Maximum
                0x01,               // Alignment
                0x08,               // Length
                )
            WordIO (ResourceProducer, MinFixed, MaxFixed, PosDecode, EntireRange,
                0x0000,             // Granularity
                0x0000,             // Range Minimum
                0x0CF7,             // Range Maximum
                0x0000,             // Translation Offset
                0x0CF8,             // Length
                ,, , TypeStatic, DenseTranslation)
            WordIO (ResourceProducer, MinFixed, MaxFixed, PosDecode, EntireRange,
                0x0000,             // Granularity
                0x0D00,             // Range Minimum
                0xFFFF,             // Range Maximum
                0x0000,             // Translation Offset
                0xF300,             // Length
                ,, , TypeStatic, DenseTranslation)
            DWordMemory (ResourceProducer, PosDecode, MinFixed, MaxFixed, Cacheable, ReadWrite,
                0x00000000,         // Granularity
                0x000A0000,         // Range Minimum
                0x000BFFFF,         // Range Maximum
                0x00000000,         // Translation Offset
                0x00020000,         // Length
                ,, , AddressRangeMemory, TypeStatic)
            DWordMemory (ResourceProducer, PosDecode, MinFixed, MaxFixed, NonCacheable, ReadWrite,
                0x00000000,         // Granularity
                0x08000000,         // Range Minimum
                0xFEBFFFFF,         // Range Maximum
                0x00000000,         // Translation Offset
                0xF6C00000,         // Length
                ,, , AddressRangeMemory, TypeStatic)
            QWordMemory (ResourceProducer, PosDecode, MinFixed, MaxFixed, Cacheable, ReadWrite,
                0x0000000000000000, // Granularity
                0x0000000100000000, // Range Minimum
                0x000000017FFFFFFF, // Range Maximum
                0x0000000000000000, // Translation Offset
                0x0000000080000000, // Length
                ,, , AddressRangeMemory, TypeStatic)
        })
    }

    Name (\_S3, Package (0x04)  // _S3_: S3 System State
    {
        One, 
        One, 
        Zero, 
        Zero
    })
    Name (\_S4, Package (0x04)  // _S4_: S4 System State
    {
        0x02, 
        0x02, 
        Zero, 
        Zero
    })
    Name (\_S5, Package (0x04)  // _S5_: S5 System State
    {
        Zero, 
        Zero, 
        Zero, 
        Zero
    })
    Device (\_SB.CPUS)
    {
        Name (_HID, "ACPI0010" /* Processor Container Device */)  // _HID: Hardware ID
        Device (C000)
        {
            Name (_HID, "ACPI0007" /* Processor Device */)  // _HID: Hardware ID
            Name (_UID, Zero)  // _UID: Unique ID
            Method (_STA, 0, Serialized)  // _STA: Status
            {
                Return (\_SB.CPUR.CSTA (Zero))
            }

            Name (_MAT, Buffer (0x08)  // _MAT: Multiple APIC Table Entry
            {
                 0x00, 0x08, 0x00, 0x00, 0x01, 0x00, 0x00, 0x00   // ........
            })
            Method (_OST, 3, Serialized)  // _OST: OSPM Status Indication
            {
                \_SB.CPUR.COST (Zero, Arg0, Arg1)
            }
        }

        Device (C001)
        {
            Name (_HID, "ACPI0007" /* Processor Device */)  // _HID: Hardware ID
            Name (_UID, One)  // _UID: Unique ID
            Method (_STA, 0, Serialized)  // _STA: Status
            {
                Return (\_SB.CPUR.CSTA (One))
            }

            Name (_MAT, Buffer (0x08)  // _MAT: Multiple APIC Table Entry
            {
                 0x00, 0x08, 0x01, 0x01, 0x01, 0x00, 0x00, 0x00   // ........
            })
            Method (_EJ0, 1, NotSerialized)  // _EJx: Eject Device, x=0-9
            {
                \_SB.CPUR.CEJ0 (One)
            }

            Method (_OST, 3, Serialized)  // _OST: OSPM Status Indication
            {
                \_SB.CPUR.COST (One, Arg0, Arg1)
            }
        }

        Method (CTFY, 2, NotSerialized)
        {
            If ((Arg0 == Zero))
            {
                Notify (C000, Arg1)
            }

            If ((Arg0 == One))
            {
                Notify (C001, Arg1)
            }
        }
    }
}

