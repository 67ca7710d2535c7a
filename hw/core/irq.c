/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Interrupt lines. They are objects, so that a device's inputs appear in the tree. */
#include "util/osdep.h"

#include "hw/core/irq.h"
#include "irq-internal.h"

struct Irq {
    Object object;
    IrqHandler *handler;
    void *opaque;
    int n;
    IrqHandler *watch;     /* called first; NULL: nobody looks */
    void *watch_opaque;
    int watch_n;
};

const ObjectType irq_type = {
    .name = "irq",
    .parent = &object_type,
    .size = sizeof(Irq),
};
OBJECT_TYPE_REGISTER(irq_type)

Irq *irq_new(IrqHandler *handler, void *opaque, int n)
{
    Irq *irq = (Irq *)object_new(&irq_type);

    irq->handler = handler;
    irq->opaque = opaque;
    irq->n = n;
    return irq;
}

void irq_free(Irq *irq)
{
    if (irq) {
        object_unparent(&irq->object);
        object_unref(irq);
    }
}

void irq_set(Irq *irq, int level)
{
    if (!irq) {
        return;
    }
    if (irq->watch) {
        irq->watch(irq->watch_opaque, irq->watch_n, level);
    }
    if (irq->handler) {
        irq->handler(irq->opaque, irq->n, level);
    }
}

void irq_watch(Irq *irq, IrqHandler *watch, void *opaque, int n)
{
    irq->watch = watch;
    irq->watch_opaque = opaque;
    irq->watch_n = n;
}

static void inverted_set(void *opaque, int n, int level)
{
    irq_set(opaque, !level);
}

Irq *irq_new_inverted(Irq *target)
{
    return irq_new(inverted_set, target, 0);
}

typedef struct Split {
    Irq *a, *b;
} Split;

static void split_set(void *opaque, int n, int level)
{
    Split *split = opaque;

    irq_set(split->a, level);
    irq_set(split->b, level);
}

static void split_free(Object *obj)
{
    g_free(((Irq *)obj)->opaque);
}

static const ObjectType split_irq_type = {
    .name = "split-irq-line",
    .parent = &irq_type,
    .size = sizeof(Irq),
    .finalize = split_free,
};
OBJECT_TYPE_REGISTER(split_irq_type)

Irq *irq_new_split(Irq *a, Irq *b)
{
    Irq *irq = (Irq *)object_new(&split_irq_type);
    Split *split = g_new(Split, 1);

    split->a = a;
    split->b = b;
    irq->handler = split_set;
    irq->opaque = split;
    return irq;
}
