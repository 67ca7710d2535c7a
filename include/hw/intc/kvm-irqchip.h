/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The interrupt controllers that KVM has in the kernel, as devices with the sections of ours. Big lock. */
#ifndef HW_INTC_KVM_IRQCHIP_H
#define HW_INTC_KVM_IRQCHIP_H

#include "hw/isa/isa.h"

/* The 8259 pair on bus and the I/O APIC as child "ioapic" of parent, and the table that leads global system interrupts
 * to them. False with an error. */
bool kvm_irqchip_new(IsaBus *bus, Object *parent, GError **error);
/* A global system interrupt's line. */
void kvm_irqchip_set_gsi(unsigned gsi, int level);

#endif
