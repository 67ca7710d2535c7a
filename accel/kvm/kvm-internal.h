/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Between the files of the KVM accelerator. */
#ifndef ACCEL_KVM_INTERNAL_H
#define ACCEL_KVM_INTERNAL_H

#include "accel/kvm/kvm.h"

typedef struct KvmVcpu {
    int fd;
    struct kvm_run *run;
    struct kvm_dirty_gfn *ring; /* NULL: dirty pages come by bitmaps */
    uint32_t ring_next;
    bool inside; /* in KVM_RUN, or about to be; atomic */
} KvmVcpu;

typedef struct KvmState {
    int fd, vm_fd;
    size_t run_size;
    KvmIrqchip irqchip;
    uint32_t ring_entries; /* of each processor; 0: no ring */
    bool manual_protect;   /* KVM_CLEAR_DIRTY_LOG */
    bool has_readonly;
    unsigned max_slots;
    const KvmTargetOps *target;
} KvmState;

extern KvmState kvm_state;

/* vcpu.c */
extern CpuAccelOps kvm_cpu_ops; /* halts_inside is set at the start */
/* Keeps all processors out of KVM_RUN, so that what they see can change. Also from a processor's own thread. */
void kvm_inhibit_begin(void);
void kvm_inhibit_end(void);

/* slots.c */
void kvm_slots_init(void);
/* Empties all rings. */
void kvm_reap_rings(void);

/* events.c: coalesced writes, which a processor looks through before anything else happens. */
void kvm_events_init(void);
void kvm_flush_coalesced(void);

#endif
