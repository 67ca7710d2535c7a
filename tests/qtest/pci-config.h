/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Configuration space by ports CF8h and CFCh (PCI 3.0, 3.2.2.3.2). devfn: slot << 3 | function, on bus 0. */
#ifndef TESTS_QTEST_PCI_CONFIG_H
#define TESTS_QTEST_PCI_CONFIG_H

#include "qtest-client.h"

/* The double word that reg is in. */
uint32_t qtest_pci_read(QTest *q, unsigned devfn, unsigned reg);
void qtest_pci_write(QTest *q, unsigned devfn, unsigned reg, uint32_t value);
void qtest_pci_write_byte(QTest *q, unsigned devfn, unsigned reg, uint8_t value);

#endif
