/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The 82093AA I/O advanced programmable interrupt controller. Big lock. */
#ifndef HW_INTC_IOAPIC_H
#define HW_INTC_IOAPIC_H

#include "hw/core/device.h"

#define IOAPIC_PINS 24
#define IOAPIC_DEFAULT_ADDRESS 0xfec00000

/* Creates it at the default address, as child "ioapic" of parent; its pins are gpio inputs 0…23. */
Device *ioapic_new(Object *parent, GError **error);

/* A local APIC ended a level-triggered interrupt of this vector. */
void ioapic_broadcast_eoi(uint8_t vector);
/* For those who have to know what pins send (KVM's local APICs tell the end of such interrupts only): called when a
 * redirection entry changes; active: it is not masked. */
void ioapic_watch_messages(void (*watch)(int pin, bool active, uint32_t address, uint32_t data));

#endif
