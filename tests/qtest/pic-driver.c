/* SPDX-License-Identifier: GPL-2.0-or-later */
/* A driver of the two 8259A; see pic-driver.h. */
#include "util/osdep.h"
#include "pic-driver.h"

void pic_init(QTest *q)
{
    static const uint8_t master[] = { 0x08, 0x04, 0x01 }, slave[] = { 0x70, 0x02, 0x01 };

    qtest_outb(q, PIC_MASTER, 0x11);
    qtest_outb(q, PIC_SLAVE, 0x11);
    for (int i = 0; i < 3; i++) {
        qtest_outb(q, PIC_MASTER + 1, master[i]);
        qtest_outb(q, PIC_SLAVE + 1, slave[i]);
    }
    qtest_outb(q, PIC_MASTER + 1, 0);
    qtest_outb(q, PIC_SLAVE + 1, 0);
}

uint8_t pic_requests(QTest *q, uint16_t port)
{
    qtest_outb(q, port, 0x0a);
    return qtest_inb(q, port);
}

uint8_t pic_in_service(QTest *q, uint16_t port)
{
    qtest_outb(q, port, 0x0b);
    return qtest_inb(q, port);
}

bool pic_take(QTest *q, int n)
{
    uint16_t port = n < 8 ? PIC_MASTER : PIC_SLAVE;
    uint8_t bit = 1 << (n & 7);

    if (!(pic_requests(q, port) & bit)) {
        return false;
    }
    qtest_outb(q, port + 1, ~bit);
    qtest_outb(q, port, 0x0c); /* poll: acknowledges */
    g_assert_cmphex(qtest_inb(q, port), ==, 0x80 | (n & 7));
    qtest_outb(q, port, 0x60 | (n & 7));
    qtest_outb(q, port + 1, 0);
    return true;
}
