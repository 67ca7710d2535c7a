/* SPDX-License-Identifier: GPL-2.0-or-later */
/* A guest's driver of the two 8259A of a PC, without a processor: it polls (data sheet, "Poll Command"). */
#ifndef TESTS_QTEST_PIC_DRIVER_H
#define TESTS_QTEST_PIC_DRIVER_H

#include "qtest-client.h"

#define PIC_MASTER 0x20
#define PIC_SLAVE 0xa0

/* Both, cascaded on input 2, with nothing masked. */
void pic_init(QTest *q);
/* The interrupt request and the in-service register of one of them. */
uint8_t pic_requests(QTest *q, uint16_t port);
uint8_t pic_in_service(QTest *q, uint16_t port);
/* Takes IRQ n (0 … 15) from its controller if it is requested, and ends it; afterwards nothing is masked there. */
bool pic_take(QTest *q, int n);

#endif
