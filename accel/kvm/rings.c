/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Dirty rings (KVM_CAP_DIRTY_LOG_RING in Documentation/virt/kvm/api.rst of Linux).
 *
 * D1  A ring is emptied while its processor is out of KVM_RUN: nothing moves in it.
 * D2  All entries that are taken are given back (KVM_RESET_DIRTY_RINGS) in the same round, so that the kernel's first entry
 *     is ours. Those with the dirty flag stand one behind the other from there.
 * D3  A kernel ends KVM_RUN before a ring is full to the last entry. One that emulates guest code may look too late and go on
 *     over entries that nobody has taken yet. Then no entry is left without the dirty flag, and that is how it is seen. What
 *     was there is lost, so everything is dirty and logged from anew. How far the kernel has gone beyond is seen in the
 *     next round, by the first entry that has the flag (`ring_unsure`); those before it count as used in the kernel and are
 *     given back, too. As long as there is none and the kernel says "full", a part of them is given back blindly.
 */
#include "util/osdep.h"

#include "system/runstate.h"
#include "util/error.h"
#include "kvm-internal.h"

/* A kernel says "full" with at least so many entries in use, whatever it holds in reserve for a processor's own log. */
#define SURELY_USED 256

typedef struct DirtyPage {
    uint32_t slot;
    uint64_t page;
} DirtyPage;

typedef struct Round {
    GArray *pages; /* DirtyPage */
    unsigned given_back;
    bool lost;
} Round;

static struct kvm_dirty_gfn *entry_at(const KvmVcpu *vcpu, uint32_t n)
{
    return &vcpu->ring[n & (kvm_state.ring_entries - 1)];
}

static bool entry_is_dirty(const KvmVcpu *vcpu, uint32_t n)
{
    return __atomic_load_n(&entry_at(vcpu, n)->flags, __ATOMIC_ACQUIRE) == KVM_DIRTY_GFN_F_DIRTY;
}

/* How many entries from number n on have the flag, or have it not. */
static uint32_t run_length(const KvmVcpu *vcpu, uint32_t n, uint32_t most, bool dirty)
{
    uint32_t length = 0;

    while (length < most && entry_is_dirty(vcpu, n + length) == dirty) {
        length++;
    }
    return length;
}

static void give_back(KvmVcpu *vcpu, uint32_t count, Round *round)
{
    for (uint32_t i = 0; i < count; i++) {
        __atomic_store_n(&entry_at(vcpu, vcpu->ring_next++)->flags, KVM_DIRTY_GFN_F_RESET,
                         __ATOMIC_RELEASE);
    }
    vcpu->ring_returns += count > 0;
    round->given_back += count;
}

static void take(KvmVcpu *vcpu, uint32_t count, Round *round)
{
    for (uint32_t i = 0; i < count; i++) {
        const struct kvm_dirty_gfn *entry = entry_at(vcpu, vcpu->ring_next + i);
        DirtyPage page = { entry->slot & 0xffff, entry->offset };

        g_array_append_val(round->pages, page);
    }
    give_back(vcpu, count, round);
}

/* KVM_RESET_DIRTY_RINGS: pages that were given back are logged again. */
static void tell_kernel(Round *round)
{
    int r;

    if (!round->given_back) {
        return;
    }
    r = kvm_vm_ioctl(KVM_RESET_DIRTY_RINGS, NULL);
    if (r < 0 || (unsigned)r != round->given_back) {
        error_report("KVM has taken back %d of %u entries of its dirty rings", r,
                     round->given_back);
        vm_stop_request(VM_INTERNAL_ERROR);
        round->lost = true;
    }
    round->given_back = 0;
}

/* D3: the kernel is at an entry that we do not know. Finds it if something has been written there since. */
static void find_kernel(KvmVcpu *vcpu, Round *round)
{
    uint32_t entries = kvm_state.ring_entries;
    uint32_t head = run_length(vcpu, vcpu->ring_next, entries, true);
    uint32_t gap = run_length(vcpu, vcpu->ring_next + head, entries - head, false);

    if (head == entries || gap == entries) {
        return;
    }
    vcpu->ring_unsure = false;
    if (head &&
        head + gap < entries) { /* it has gone over the end of the ring again, up to the gap */
        round->lost = true;
        give_back(vcpu, entries, round);
        tell_kernel(round);
        give_back(vcpu, head, round);
    } else if (!head) {
        give_back(vcpu, gap, round);
    }
}

/* Returns how many pages it had. */
static uint32_t empty_ring(KvmVcpu *vcpu, Round *round)
{
    uint32_t n;

    if (vcpu->ring_unsure) {
        find_kernel(vcpu, round);
    }
    n = run_length(vcpu, vcpu->ring_next, kvm_state.ring_entries, true);
    if (n == kvm_state.ring_entries) {
        round->lost = true;
        vcpu->ring_unsure = true;
    }
    take(vcpu, n, round);
    return n;
}

static void finish_round(Round *round)
{
    tell_kernel(round);
    if (round->lost) {
        kvm_slots_log_again();
    }
    for (unsigned i = 0; i < round->pages->len;
         i++) { /* after the kernel has protected them (S4 in slots.c) */
        const DirtyPage *p = &g_array_index(round->pages, DirtyPage, i);

        kvm_slot_mark_dirty(p->slot, p->page);
    }
    g_array_unref(round->pages);
}

/* With `full`, only that processor's, which is outside; the others may stay inside. */
static void reap(KvmVcpu *full)
{
    Round round = { .pages = g_array_new(FALSE, FALSE, sizeof(DirtyPage)) };

    CPU_FOREACH(cpu)
    {
        if (cpu->accel && (!full || full == cpu->accel)) {
            uint32_t n = empty_ring(cpu->accel, &round);

            __atomic_fetch_add(&cpu->dirty_pages, n, __ATOMIC_RELAXED);
        }
    }
    finish_round(&round);
}

void kvm_reap_rings(void)
{
    if (!kvm_state.ring_entries) {
        return;
    }
    kvm_inhibit_begin(); /* D1 */
    pthread_mutex_lock(&kvm_ring_lock);
    reap(NULL);
    pthread_mutex_unlock(&kvm_ring_lock);
    kvm_inhibit_end();
}

void kvm_ring_full(Cpu *cpu)
{
    KvmVcpu *vcpu = cpu->accel;
    unsigned before;

    pthread_mutex_lock(&kvm_ring_lock);
    before = vcpu->ring_returns;
    reap(vcpu);
    if (vcpu->ring_returns == before && vcpu->ring_full_at == before) {
        Round round = { .pages = g_array_new(FALSE, FALSE, sizeof(DirtyPage)), .lost = true };

        vcpu->ring_unsure = true; /* full twice with nothing to be seen in between (D3) */
        give_back(vcpu, SURELY_USED, &round);
        finish_round(&round);
    }
    vcpu->ring_full_at = vcpu->ring_returns;
    pthread_mutex_unlock(&kvm_ring_lock);
}
