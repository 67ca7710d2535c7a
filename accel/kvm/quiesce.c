/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * KVM's own share of P2. The kernel writes guest memory by itself: the paravirtual clock and the stolen time, when a
 * processor enters or leaves the processor; the end-of-interrupt flag and the notices of asynchronous page faults, when
 * it enters the guest. No processor is inside KVM_RUN any more when this is called (V2), but reading its registers
 * loads it and puts it away once more. So they are read now, while the dirty log is still looked at; what is saved
 * later comes from our own struct. ram_check_late_writes() would tell.
 */
#include "util/osdep.h"

#include "system/quiesce.h"
#include "kvm-internal.h"

static QuiesceResult quiesce(void *opaque, GError **error)
{
    cpu_sync_all();
    kvm_reap_rings();
    return QUIESCE_DONE;
}

static const QuiesceOps kvm_quiesce_ops = { .name = "kvm", .quiesce = quiesce };

void kvm_quiesce_init(void)
{
    quiesce_register(&kvm_quiesce_ops, NULL);
}
