/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The local APIC in user space. Big lock. */
#ifndef HW_INTC_APIC_H
#define HW_INTC_APIC_H

#include "hw/core/device.h"

/* Who hears that a level-triggered interrupt of this vector ended (the I/O APIC). */
void apic_set_eoi_handler(void (*handler)(uint8_t vector));

#endif
