/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The floppy controller isa-fdc and its drives. Big lock. */
#ifndef HW_MISC_FDC_H
#define HW_MISC_FDC_H

#include "hw/isa/isa.h"

/* Kinds of drive, with the numbers that a PC's CMOS has for them. */
typedef enum FloppyType {
    FLOPPY_NONE = 0,
    FLOPPY_120 = 2, /* 5.25", 1.2 MB */
    FLOPPY_144 = 4, /* 3.5", 1.44 MB */
    FLOPPY_288 = 5, /* 3.5", 2.88 MB */
    FLOPPY_AUTO = 0xff,
} FloppyType;

/* Puts the drives of -drive if=floppy, -fda and -fdb into a controller. */
bool fdc_attach_drives(Device *fdc, GError **error);
/* What drive n is, FLOPPY_NONE if there is none. */
FloppyType fdc_drive_type(Device *fdc, unsigned n);

#endif
