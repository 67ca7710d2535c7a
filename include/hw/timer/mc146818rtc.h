/* SPDX-License-Identifier: GPL-2.0-or-later */
/* MC146818 real-time clock with 128 bytes of battery-backed memory ("CMOS"). Big lock. */
#ifndef HW_TIMER_MC146818RTC_H
#define HW_TIMER_MC146818RTC_H

#include <time.h>
#include "hw/isa/isa.h"

/* Bytes of the CMOS that a PC's firmware reads and the board writes. */
enum {
    CMOS_FLOPPY_TYPES = 0x10, /* drive A in the high half: 0 none, 2 1.2 MB, 4 1.44 MB, 5 2.88 MB */
    CMOS_DISK_TYPES = 0x12,   /* disk 0 in the high half: 15 = see CMOS_DISK0_TYPE */
    CMOS_EQUIPMENT = 0x14,    /* bit 0 floppy, 1 coprocessor, 2 PS/2 mouse, 6…7 floppies - 1 */
    CMOS_BASE_MEMORY = 0x15,  /* KiB, two bytes */
    CMOS_EXTENDED_MEMORY = 0x17, /* KiB above 1 MiB, two bytes, and again at 0x30 */
    CMOS_DISK0_TYPE = 0x19,      /* 47: geometry at CMOS_DISK0_GEOMETRY */
    CMOS_DISK1_TYPE = 0x1a,
    CMOS_DISK0_GEOMETRY = 0x1b, /* nine bytes */
    CMOS_DISK1_GEOMETRY = 0x24,
    CMOS_EXTENDED_MEMORY_2 = 0x30,
    CMOS_CENTURY = 0x32,
    CMOS_MEMORY_ABOVE_16M = 0x34, /* 64 KiB, two bytes */
    CMOS_CENTURY_PS2 = 0x37,      /* reads and writes CMOS_CENTURY */
    CMOS_BOOT_3RD =
        0x38, /* third boot device in the high half; bit 0: no check for a boot signature on floppies */
    CMOS_DISK_TRANSLATION = 0x39, /* two bits a disk: 0 none, 1 LBA, 2 large, 3 rechs */
    CMOS_BOOT_1ST_2ND =
        0x3d, /* first in the low half, second in the high: 1 floppy, 2 disk, 3 CD, 4 network */
    CMOS_MEMORY_ABOVE_4G = 0x5b, /* 64 KiB, three bytes */
    CMOS_CPUS = 0x5f,            /* CPUs - 1 */
};

/* Makes the board's clock at ports 0x70, 0x71; irq is what it raises. NULL with an error. */
Device *rtc_new(IsaBus *bus, Irq *irq, GError **error);
/* The machine's clock; NULL if it has none. */
Device *rtc_find(void);
/* The memory, as a board fills it before the guest runs. The clock's own registers are left to the clock. */
void rtc_cmos_set(Device *rtc, uint8_t index, uint8_t value);
uint8_t rtc_cmos_get(Device *rtc, uint8_t index);

/* -rtc [base=utc|localtime|DATE][,clock=host|rt|vm][,driftfix=none|slew]. Before devices are made. */
bool rtc_option(const char *text, GError **error);
/* Seconds since 1970 that a clock set by -rtc shows when `now` (ns) is the value of its clock. */
int64_t rtc_reference_time(int64_t now);

#endif
