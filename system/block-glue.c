/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What the run state and the block layer want of each other; block/ does not know system/. */
#include "util/osdep.h"

#include "util/error.h"
#include "block/backend.h"
#include "system/quiesce.h"
#include "system/runstate.h"
#include "runstate-internal.h"

/* werror=stop, rerror=stop */
static void stop_vm(void)
{
    vm_stop_request(VM_IO_ERROR);
}

static const BlockHooks block_hooks = { .stop_vm = stop_vm };

static int drain_and_flush(void)
{
    block_drain_all();
    return block_flush_all();
}

/* 'cont': images that went away with a migration come back, and devices begin without errors. */
static bool before_resume(GError **error)
{
    if (!block_activate_all(error)) {
        return false;
    }
    front_iostatus_reset_all();
    return true;
}

static QuiesceResult quiesce_block(void *opaque, GError **error)
{
    return block_quiesce(error) ? QUIESCE_DONE : QUIESCE_ERROR;
}

static void resume_block(void *opaque)
{
    block_resume();
}

static const QuiesceOps block_quiesce_ops = {
    .name = "block layer",
    .quiesce = quiesce_block,
    .resume = resume_block,
};

static void __attribute__((constructor)) connect_block_layer(void)
{
    block_set_hooks(&block_hooks);
    vm_set_drain_hook(drain_and_flush);
    vm_add_resume_hook(before_resume);
    quiesce_register(&block_quiesce_ops, NULL);
}
