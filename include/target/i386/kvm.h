/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What devices ask of KVM on x86. Big lock. */
#ifndef TARGET_I386_KVM_H
#define TARGET_I386_KVM_H

#include "accel/kvm/kvm.h"
#include "target/i386/cpu.h"

/* Four pages that KVM needs for real mode on some hosts: nobody else's, and the memory map says so. */
#define X86_KVM_RESERVED_BASE UINT64_C(0xfeffc000)
#define X86_KVM_RESERVED_SIZE UINT64_C(0x4000)

/* Chips of KVM_GET_IRQCHIP. */
enum { X86_KVM_PIC_MASTER = 0, X86_KVM_PIC_SLAVE = 1, X86_KVM_IOAPIC = 2 };

/* KVM_GET_IRQCHIP and KVM_SET_IRQCHIP of one chip. */
bool x86_kvm_get_irqchip(unsigned chip, struct kvm_irqchip *state, GError **error);
bool x86_kvm_set_irqchip(const struct kvm_irqchip *state, GError **error);
/* In split mode: the kernel's local APICs ended an interrupt of this vector. */
void x86_kvm_set_eoi_handler(void (*handler)(uint8_t vector));
/* Whether the processor offers the paravirtual clock, so that it has state. */
bool x86_kvm_has_clock(void);

#endif
