/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The 8237A pair: registers, as the data sheet has them and the installed stock program answers. */
#include "util/osdep.h"
#include "qtest-client.h"

/* A register of two bytes, the low one first. */
static unsigned read_word(QTest *q, uint16_t port)
{
    unsigned low = qtest_inb(q, port);

    return low | qtest_inb(q, port) << 8;
}

static void test_byte_controller(void)
{
    QTest *q = qtest_start("-machine pc");

    g_assert_cmphex(qtest_inb(q, 0x09), ==, 0xff);
    qtest_outb(q, 0x0b, 0x46);
    qtest_outb(q, 0x0c, 0);
    qtest_outb(q, 0x04, 0x34);
    qtest_outb(q, 0x04, 0x12);
    qtest_outb(q, 0x05, 0xff);
    qtest_outb(q, 0x05, 0x01);
    qtest_outb(q, 0x81, 0x55);
    qtest_outb(q, 0x0a, 0x02);
    g_assert_cmphex(qtest_inb(q, 0x04), ==, 0x34);
    g_assert_cmphex(qtest_inb(q, 0x04), ==, 0x12);
    g_assert_cmphex(qtest_inb(q, 0x05), ==, 0xff);
    qtest_outb(q, 0x0c, 0); /* the next byte is a low one again */
    g_assert_cmphex(qtest_inb(q, 0x05), ==, 0xff);
    g_assert_cmphex(qtest_inb(q, 0x05), ==, 0x01);
    g_assert_cmphex(qtest_inb(q, 0x81), ==, 0x55);
    g_assert_cmphex(qtest_inb(q, 0x09), ==, 0xfb);
    qtest_outb(q, 0x0f, 0x03);
    g_assert_cmphex(qtest_inb(q, 0x09), ==, 0x03);
    qtest_outb(q, 0x0e, 0);
    g_assert_cmphex(qtest_inb(q, 0x09), ==, 0x00);
    qtest_outb(q, 0x0d, 0);
    g_assert_cmphex(qtest_inb(q, 0x09), ==, 0xff);
    g_assert_cmphex(qtest_inb(q, 0x08), ==, 0x00);
    /* Address and count are independent of each other. */
    qtest_outb(q, 0x04, 0x78);
    qtest_outb(q, 0x04, 0x56);
    g_assert_cmphex(read_word(q, 0x04), ==, 0x5678);
    g_assert_cmphex(read_word(q, 0x05), ==, 0x01ff);
    qtest_end(q);
}

static void test_word_controller(void)
{
    QTest *q = qtest_start("-machine pc");

    qtest_outb(q, 0xd8, 0);
    qtest_outb(q, 0xc4, 0xfe);
    qtest_outb(q, 0xc4, 0xca);
    qtest_outb(q, 0xc6, 0x10);
    qtest_outb(q, 0xc6, 0x00);
    g_assert_cmphex(qtest_inb(q, 0xc4), ==, 0xfe);
    g_assert_cmphex(qtest_inb(q, 0xc4), ==, 0xca);
    g_assert_cmphex(qtest_inb(q, 0xc6), ==, 0x10);
    g_assert_cmphex(qtest_inb(q, 0xc6), ==, 0x00);
    qtest_outb(q, 0xd4, 0x01);
    g_assert_cmphex(qtest_inb(q, 0xd2), ==, 0xfd);
    qtest_end(q);
}

static void test_page_registers(void)
{
    QTest *q = qtest_start("-machine pc");
    static const uint8_t there[] = { 1, 2, 3, 7, 9, 10, 11, 15 };

    for (unsigned i = 0; i < sizeof(there); i++) {
        qtest_outb(q, 0x80 + there[i], 0xa0 + i);
    }
    for (unsigned i = 0; i < sizeof(there); i++) {
        g_assert_cmphex(qtest_inb(q, 0x80 + there[i]), ==, 0xa0 + i);
    }
    qtest_outb(q, 0x80, 0x12); /* codes of the self test */
    g_assert_cmphex(qtest_inb(q, 0x80), ==, 0xff);
    qtest_outb(q, 0xf0, 0x00);
    g_assert_cmphex(qtest_inb(q, 0xf0), ==, 0xff);
    qtest_qmp_ok(q, "{'execute': 'system_reset'}");
    json_object_put(qtest_wait_event(q, "RESET"));
    g_assert_cmphex(qtest_inb(q, 0x81), ==, 0);
    qtest_end(q);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/isa-dma/byte-controller", test_byte_controller);
    g_test_add_func("/isa-dma/word-controller", test_word_controller);
    g_test_add_func("/isa-dma/page-registers", test_page_registers);
    return g_test_run();
}
