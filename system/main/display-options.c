/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Displays of the command line; ui/ is below the run state and learns of it here. */
#include "util/osdep.h"

#include "display-options.h"
#include "system/quiesce.h"
#include "system/runstate.h"
#include "ui/input.h"

static bool input_counts(void)
{
    return vm_is_running() || vm_state() == VM_SUSPENDED;
}

static QuiesceResult input_quiesce(void *opaque, GError **error)
{
    input_flush();
    return QUIESCE_DONE;
}

static void input_resume(void *opaque)
{
}

static const QuiesceOps input_quiesce_ops = { .name = "input",
                                              .quiesce = input_quiesce,
                                              .resume = input_resume };

void display_init(void)
{
    input_set_gate(input_counts);
    quiesce_register(&input_quiesce_ops, NULL);
}
