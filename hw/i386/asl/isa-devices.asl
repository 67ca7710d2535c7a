/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The devices behind a PC's ISA bridge; the board patches the _STA of those that are not there. Part of a DSDT. */
Device (RTC)
{
    Name (_HID, EisaId ("PNP0B00"))
    Name (_STA, 0x0F)
    Name (_CRS, ResourceTemplate ()
    {
        IO (Decode16, 0x0070, 0x0070, 0x01, 0x08)
        IRQNoFlags () { 8 }
    })
}
Device (KBD)
{
    Name (_HID, EisaId ("PNP0303"))
    Name (_STA, 0x0F)
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
    Name (_STA, 0x0F)
    Name (_CRS, ResourceTemplate ()
    {
        IRQNoFlags () { 12 }
    })
}
Device (FDC0)
{
    Name (_HID, EisaId ("PNP0700"))
    Name (_STA, 0x0F)
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
    Name (_STA, 0x0F)
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
    Name (_STA, 0x0F)
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
    Name (_STA, 0x0F)
    Name (_CRS, ResourceTemplate ()
    {
        IO (Decode16, 0x02F8, 0x02F8, 0x00, 0x08)
        IRQNoFlags () { 3 }
    })
}
