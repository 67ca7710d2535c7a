/* SPDX-License-Identifier: GPL-2.0-or-later */
/* See the header. */
#include "util/osdep.h"
#include "eject.h"

#include "hw/core/cpu.h"
#include "system/quiesce.h"
#include "util/error.h"
#include "util/main-loop.h"

typedef struct Eject {
    void (*func)(void *opaque, uint32_t value);
    void *opaque;
    uint32_t value;
    GuestHold *hold;
} Eject;

static unsigned waiting;

static void eject_in_main(void *opaque)
{
    Eject *e = opaque;

    e->func(e->opaque, e->value);
    waiting--;
    guest_hold_end(e->hold);
    g_free(e);
}

/* P1: the guest has let go, and will not say so again. */
static QuiesceResult quiesce(void *opaque, GError **error)
{
    if (waiting) {
        error_set(error, "a device that the guest has ejected is still there");
        return QUIESCE_BUSY;
    }
    return QUIESCE_DONE;
}

static const QuiesceOps quiesce_ops = { .name = "acpi", .quiesce = quiesce };

void acpi_eject(void (*func)(void *opaque, uint32_t value), void *opaque, uint32_t value)
{
    static QuiesceEntry *entry;
    Eject *e;

    if (in_main_thread()) {
        func(opaque, value);
        return;
    }
    if (!entry) {
        entry = quiesce_register(&quiesce_ops, NULL);
    }
    e = g_new(Eject, 1);
    *e = (Eject){ func, opaque, value, guest_hold_begin("eject") };
    waiting++;
    main_loop_call(eject_in_main, e);
}
