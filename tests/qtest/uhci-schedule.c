/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "util/osdep.h"
#include "uhci-schedule.h"
#include "pci-config.h"

const uint8_t uhci_get_config[8] = { 0x80, 6, 0, 2, 0, 0, 34, 0 };

uint16_t uhci_reg(QTest *q, unsigned offset)
{
    return qtest_inw(q, IO + offset);
}

void uhci_set_reg(QTest *q, unsigned offset, uint16_t value)
{
    qtest_outw(q, IO + offset, value);
}

void uhci_put_td(QTest *q, unsigned n, uint32_t link, uint32_t ctrl, uint32_t token,
                 uint32_t buffer)
{
    qtest_writel(q, TD(n), link);
    qtest_writel(q, TD(n) + 4, ctrl);
    qtest_writel(q, TD(n) + 8, token);
    qtest_writel(q, TD(n) + 12, buffer);
}

uint32_t uhci_td_ctrl(QTest *q, unsigned n)
{
    return qtest_readl(q, TD(n) + 4);
}

void uhci_put_qh(QTest *q, unsigned n, uint32_t head, uint32_t element)
{
    qtest_writel(q, QH(n), head);
    qtest_writel(q, QH(n) + 4, element);
}

void uhci_set_frames(QTest *q, uint32_t link)
{
    g_autofree uint32_t *frames = g_new(uint32_t, 1024);

    for (int i = 0; i < 1024; i++) {
        frames[i] = GUINT32_TO_LE(link);
    }
    qtest_memwrite(q, AREA, frames, 4096);
}

QTest *uhci_start_with(UhciDriver *u, const char *devices)
{
    QTest *q = qtest_start(MACHINE "%s", devices);

    uhci_init(u, q, UHCI_DEVFN, IO, MEM);
    if (*devices) {
        g_assert_true(uhci_reset_port(u, 0));
    }
    uhci_set_reg(q, UHCI_CMD, 0);
    uhci_set_frames(q, T);
    qtest_outl(q, IO + UHCI_FLBASE, AREA);
    uhci_set_reg(q, UHCI_FRNUM, 0);
    uhci_set_reg(q, UHCI_STS, 0x3f);
    uhci_set_reg(q, UHCI_CMD, 0xc1);
    return q;
}

void uhci_frames(QTest *q, unsigned n)
{
    qtest_clock_step(q, (int64_t)n * UHCI_FRAME_NS);
}

void uhci_put_control(QTest *q, unsigned qh, unsigned first, uint32_t link_flags, uint32_t head,
                      uint32_t extra)
{
    qtest_memwrite(q, BUF(first), uhci_get_config, 8);
    uhci_put_td(q, first, TD(first + 1) | link_flags, ACTIVE | ERRORS(3),
                TOKEN(UHCI_PID_SETUP, 0, 0, 8), BUF(first));
    for (unsigned i = 0; i < 5; i++) {
        uhci_put_td(q, first + 1 + i, TD(first + 2 + i) | link_flags, ACTIVE | ERRORS(3) | extra,
                    TOKEN(UHCI_PID_IN, 0, 0, i < 4 ? 8 : 2), BUF(first) + 0x100 + i * 8);
    }
    uhci_put_td(q, first + 6, T, ACTIVE | ERRORS(3) | UHCI_TD_IOC, TOKEN(UHCI_PID_OUT, 0, 0, 0), 0);
    uhci_put_qh(q, qh, head, TD(first));
}

unsigned uhci_active_tds(QTest *q, unsigned first, unsigned n)
{
    unsigned count = 0;

    for (unsigned i = 0; i < n; i++) {
        count += (uhci_td_ctrl(q, first + i) & ACTIVE) != 0;
    }
    return count;
}

uint32_t uhci_config_read32(QTest *q, unsigned devfn, unsigned r)
{
    return qtest_pci_read(q, devfn, r) >> (r & 3) * 8;
}

void uhci_config_write16(QTest *q, unsigned devfn, unsigned r, uint16_t value)
{
    qtest_outl(q, 0xcf8, 0x80000000u | devfn << 8 | (r & 0xfc));
    qtest_outw(q, 0xcfc + (r & 2), value);
}
