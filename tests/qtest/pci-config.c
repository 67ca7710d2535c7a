/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "util/osdep.h"
#include "pci-config.h"

static void choose(QTest *q, unsigned devfn, unsigned reg)
{
    qtest_outl(q, 0xcf8, 0x80000000u | devfn << 8 | (reg & 0xfc));
}

uint32_t qtest_pci_read(QTest *q, unsigned devfn, unsigned reg)
{
    choose(q, devfn, reg);
    return qtest_inl(q, 0xcfc);
}

void qtest_pci_write(QTest *q, unsigned devfn, unsigned reg, uint32_t value)
{
    choose(q, devfn, reg);
    qtest_outl(q, 0xcfc, value);
}

void qtest_pci_write_byte(QTest *q, unsigned devfn, unsigned reg, uint8_t value)
{
    choose(q, devfn, reg);
    qtest_outb(q, 0xcfc + (reg & 3), value);
}
