/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The 82093AA I/O advanced programmable interrupt controller. Big lock. */
#ifndef HW_INTC_IOAPIC_H
#define HW_INTC_IOAPIC_H

#include "hw/core/device.h"

#define IOAPIC_PINS 24
#define IOAPIC_DEFAULT_ADDRESS 0xfec00000

/* Creates it at the default address, as child "ioapic" of parent; its pins are gpio inputs 0…23. */
Device *ioapic_new(Object *parent, GError **error);

#endif
