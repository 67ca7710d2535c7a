/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Interrupt lines: a handle whose level a device sets and somebody else reacts to. Big lock. */
#ifndef HW_CORE_IRQ_H
#define HW_CORE_IRQ_H

typedef struct Irq Irq;
typedef void IrqHandler(void *opaque, int n, int level);

/* A line that calls handler(opaque, n, level); free with irq_free(). */
Irq *irq_new(IrqHandler *handler, void *opaque, int n);
void irq_free(Irq *irq);
/* Sets the level; NULL is an unconnected pin. Each call reaches the handler, changed or not. */
void irq_set(Irq *irq, int level);
static inline void irq_raise(Irq *irq)
{
    irq_set(irq, 1);
}
static inline void irq_lower(Irq *irq)
{
    irq_set(irq, 0);
}
static inline void irq_pulse(Irq *irq)
{
    irq_set(irq, 1);
    irq_set(irq, 0);
}
/* A line that inverts, and one that feeds two others. */
Irq *irq_new_inverted(Irq *target);
Irq *irq_new_split(Irq *a, Irq *b);

#endif
