/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What net/ must know of the machine: whether it runs. While it does not, no card receives (net.h N3), so that the
 * quiesce stage has nothing to stop: it says that it was so.
 */
#include "util/osdep.h"
#include "net/net.h"
#include "system/net-glue.h"

#include "system/quiesce.h"
#include "system/runstate.h"
#include "util/error.h"

#define PRIORITY_AFTER_DEVICES 100

static void state_changed(void *opaque, bool running, VmRunState state)
{
    net_set_vm_running(running);
}

static QuiesceResult net_quiesce(void *opaque, GError **error)
{
    if (net_vm_running()) {
        error_set(error, "network cards still receive");
        return QUIESCE_BUSY;
    }
    return QUIESCE_DONE;
}

static const QuiesceOps net_quiesce_ops = { .name = "network", .quiesce = net_quiesce };

void net_glue_init(void)
{
    net_set_vm_running(vm_is_running());
    vm_state_add_handler(state_changed, NULL, PRIORITY_AFTER_DEVICES);
    quiesce_register(&net_quiesce_ops, NULL);
}
