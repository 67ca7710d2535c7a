/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Between the files of the KVM accelerator. */
#ifndef ACCEL_KVM_INTERNAL_H
#define ACCEL_KVM_INTERNAL_H

#include <pthread.h>

#include "accel/kvm/kvm.h"

typedef struct KvmVcpu {
    int fd;
    unsigned long id; /* as the kernel has it */
    struct kvm_run *run;
    struct kvm_dirty_gfn *ring; /* NULL: dirty pages come by bitmaps */
    uint32_t ring_next;    /* the first entry that we have not given back */
    bool ring_unsure;      /* the kernel is somewhere behind ring_next (rings.c, D3) */
    unsigned ring_returns; /* how often entries were given back, */
    unsigned ring_full_at; /* and the number at the last exit because it was full */
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
/* Rings, and slots as seen from them. */
extern pthread_mutex_t kvm_ring_lock;
/* A page that a ring names is dirty. With kvm_ring_lock. */
void kvm_slot_mark_dirty(uint32_t id, uint64_t page);
/* What has been logged is lost: all pages are dirty, and logged from anew. With kvm_ring_lock; nobody is in KVM_RUN. */
void kvm_slots_log_again(void);

/* rings.c: any thread, with or without the big lock */
/* Empties all rings. Whoever comes later waits until the marks of this round are there. */
void kvm_reap_rings(void);
/* The processor, whose thread this is, has come out because its ring is full. */
void kvm_ring_full(Cpu *cpu);

/* events.c: coalesced writes, which a processor looks through before anything else happens. */
void kvm_events_init(void);
void kvm_flush_coalesced(void);

/* quiesce.c */
void kvm_quiesce_init(void);

#endif
