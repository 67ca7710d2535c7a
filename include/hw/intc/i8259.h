/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The PC's pair of 8259A interrupt controllers. Big lock. */
#ifndef HW_INTC_I8259_H
#define HW_INTC_I8259_H

#include "hw/isa/isa.h"

/* Creates both on bus, the slave's output on the master's input 2, the master's on intr (may be NULL).
 * irqs[ISA_NUM_IRQS] gets the input lines (owned by the devices). False with an error. */
bool i8259_pair_new(IsaBus *bus, Irq *intr, Irq **irqs, GError **error);

/* What the processor's interrupt acknowledge cycle reads: the vector; a spurious one if nothing is pending. */
int i8259_acknowledge(void);

#endif
