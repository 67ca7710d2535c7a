/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What gpio.c needs to know of a line. */
#ifndef HW_CORE_IRQ_INTERNAL_H
#define HW_CORE_IRQ_INTERNAL_H

#include "qom/object.h"
#include "hw/core/irq.h"

extern const ObjectType irq_type;

/* Calls watch(opaque, n, level) before the line's own handler; one watch per line, NULL removes it. */
void irq_watch(Irq *irq, IrqHandler *watch, void *opaque, int n);

#endif
