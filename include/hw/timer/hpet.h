/* SPDX-License-Identifier: GPL-2.0-or-later */
/* High precision event timers. Big lock. */
#ifndef HW_TIMER_HPET_H
#define HW_TIMER_HPET_H

#include "hw/core/device.h"

#define HPET_BASE 0xfed00000
#define HPET_ROUTES 32

/* Lines of legacy devices that come through the HPET, which cuts them off in legacy replacement mode. */
enum { HPET_LEGACY_PIT = 0, HPET_LEGACY_RTC = 1 };

/* Makes the board's HPET at HPET_BASE. routes: by number of an interrupt of the I/O APIC, n of them, [0] and [8] being
 * the 8254's and the clock's lines as well. intcap: bit mask of interrupts that a timer may be routed to, if the user
 * has not said. NULL with an error. */
Device *hpet_new(Irq **routes, unsigned n, uint32_t intcap, GError **error);
/* The line that a legacy device drives in place of its own. */
Irq *hpet_legacy_input(Device *hpet, int which);
/* Where the HPET says whether the 8254 has its interrupt (high) or not. */
void hpet_connect_pit(Device *hpet, Irq *pit_enable);

#endif
