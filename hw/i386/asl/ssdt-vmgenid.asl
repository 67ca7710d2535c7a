/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * VM generation ID: where the GUID is (Microsoft, "Virtual Machine Generation ID"), and the event that says that it is another one.
 * The loader puts the address of the page with it into VGIA, at whose byte 40 it begins.
 */
DefinitionBlock ("ssdt-vmgenid.aml", "SSDT", 1, "BOCHS ", "VMGENID", 1)
{
    Name (VGIA, 0x01234567)
    Scope (\_SB)
    {
        Device (VGEN)
        {
            Name (_HID, "QEMU0001")  /* the board makes it QEMUVGID, in which iasl misses digits */
            Name (_CID, "VM_Gen_Counter")
            Name (_DDN, "VM_Gen_Counter")
            Method (_STA, 0, NotSerialized)
            {
                If ((VGIA == 0))
                {
                    Return (0)
                }
                Return (0x0F)
            }
            Method (ADDR, 0, NotSerialized)
            {
                Local0 = Package (2) { 0, 0 }
                Local0 [0] = (VGIA + 40)
                Return (Local0)
            }
        }
    }
    Scope (\_GPE)
    {
        Method (_E05, 0, NotSerialized)
        {
            Notify (\_SB.VGEN, 0x80)
        }
    }
}
