/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * KVM (Documentation/virt/kvm/api.rst of Linux): the virtual machine, its memory slots, event descriptors, interrupt
 * routing. What is particular to a processor comes from its target as KvmTargetOps. Big lock unless said otherwise.
 */
#ifndef ACCEL_KVM_KVM_H
#define ACCEL_KVM_KVM_H

#include <linux/kvm.h>
#include "hw/core/cpu.h"
#include "hw/core/machine.h"
#include "system/memory.h"

typedef enum KvmIrqchip {
    KVM_IRQCHIP_USER, /* all interrupt controllers are ours */
    KVM_IRQCHIP_KERNEL,
    KVM_IRQCHIP_SPLIT, /* local APICs in the kernel, the others ours */
} KvmIrqchip;

/* Whether KVM runs this machine. Everything below needs it, except where it says so. */
bool kvm_enabled(void);
KvmIrqchip kvm_irqchip(void);
/* KVM_CHECK_EXTENSION of the virtual machine: 0 for what it does not have. */
int kvm_check_extension(int capability);
/* As the ioctls: -errno for errors. arg may be NULL. Any thread. */
int kvm_system_ioctl(unsigned long request, void *arg);
int kvm_vm_ioctl(unsigned long request, void *arg);
int kvm_vcpu_ioctl(Cpu *cpu, unsigned long request, void *arg);
/* KVM_ENABLE_CAP of the virtual machine, with up to two arguments. */
int kvm_enable_capability(int capability, uint64_t arg0, uint64_t arg1);
/* The communication area of a processor. */
struct kvm_run *kvm_vcpu_run_area(Cpu *cpu);

/* ---- what a target does ----------------------------------------------------------------------------------- */

/* What follows after an exit. */
typedef enum KvmNext {
    KVM_GO_ON,
    KVM_LEAVE, /* out of run() */
    KVM_UNHANDLED,
} KvmNext;

typedef struct KvmTargetOps {
    /* Capabilities without which it does not work, ended by an entry without a name. */
    const struct KvmCapability {
        const char *name; /* "KVM_CAP_SET_TSS_ADDR" */
        int value;
    } * required;
    /* The virtual machine is there; makes the interrupt controllers. */
    bool (*vm_created)(Machine *machine, GError **error);
    unsigned long (*vcpu_id)(const Cpu *cpu);
    /* In the processor's thread; the virtual CPU is there. */
    bool (*vcpu_created)(Cpu *cpu, GError **error);
    void (*vcpu_destroyed)(Cpu *cpu);
    bool (*get)(Cpu *cpu, GError **error);
    bool (*put)(Cpu *cpu, CpuPutLevel level, GError **error);
    /* Around KVM_RUN, without the big lock. before: KVM_LEAVE if there is nothing to run. */
    KvmNext (*before_run)(Cpu *cpu, struct kvm_run *run);
    void (*after_run)(Cpu *cpu, struct kvm_run *run);
    /* Exits that are not everybody's. Without the big lock. */
    KvmNext (*handle_exit)(Cpu *cpu, struct kvm_run *run);
    /* What a KVM_EXIT_FAIL_ENTRY reason means; may return NULL. */
    const char *(*explain_entry_failure)(uint64_t reason);
} KvmTargetOps;

/* Before main(). */
void kvm_set_target(const KvmTargetOps *ops);

/* ---- interrupts (irq.c) ------------------------------------------------------------------------------------- */

/*
 * The table that says what a global system interrupt of the kernel does. Changes are gathered; kvm_routes_commit()
 * gives the kernel the new table.
 */
void kvm_route_set_irqchip(unsigned gsi, unsigned chip, unsigned pin); /* adds one more target */
void kvm_route_set_msi(unsigned gsi, uint64_t address, uint32_t data); /* replaces */
void kvm_route_clear(unsigned gsi);
bool kvm_routes_commit(GError **error);
/* A free GSI for a message; -1 if there is none. Freed by kvm_route_clear(). */
int kvm_route_alloc(void);
/* Level of a GSI's line. */
void kvm_set_irq(unsigned gsi, int level);
/* Sends a message now. */
void kvm_send_msi(uint64_t address, uint32_t data);
/* From now on each signal of eventfd fd raises the GSI (an edge); resample_fd, if not -1, makes it a level that goes
 * down at the end of the interrupt, which resample_fd then tells (KVM_CAP_IRQFD_RESAMPLE). */
bool kvm_irqfd_add(unsigned gsi, int fd, int resample_fd, GError **error);
void kvm_irqfd_remove(unsigned gsi, int fd);

#endif
