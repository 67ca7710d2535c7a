/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The high precision event timer. Part of a DSDT, in \_SB. */
Device (HPET)
{
    Name (_HID, EisaId ("PNP0103"))
    Name (_UID, 0)
    Name (_STA, 0x0F)
    Name (_CRS, ResourceTemplate ()
    {
        Memory32Fixed (ReadOnly, 0xFED00000, 0x00000400)
    })
}
