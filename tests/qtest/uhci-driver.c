/* SPDX-License-Identifier: GPL-2.0-or-later */
/* A guest's UHCI driver for tests. */
#include "util/osdep.h"
#include "uhci-driver.h"
#include "pci-config.h"
#include "util/bytes.h"

#define LINK_TERMINATE 1u
#define LINK_QH 2u
#define LINK_DEPTH_FIRST 4u
#define TD_SIZE 32 /* 16 for the controller, the rest is ours */
#define TD_ERRORS (3u << 27)
#define TD_LENGTH_NULL 0x7ffu
#define FRAMES 1024
#define BAR4 0x20
#define RESET_FRAMES 50

uint32_t uhci_config_read(UhciDriver *u, unsigned reg)
{
    return qtest_pci_read(u->q, u->devfn, reg);
}

void uhci_config_write(UhciDriver *u, unsigned reg, uint32_t value)
{
    qtest_pci_write(u->q, u->devfn, reg, value);
}

void uhci_init(UhciDriver *u, QTest *q, unsigned devfn, uint16_t io, uint32_t mem)
{
    g_autofree uint8_t *frames = g_malloc(FRAMES * 4);
    uint8_t qh[8];

    *u = (UhciDriver){ .q = q, .devfn = devfn, .io = io };
    u->frame_list = mem;
    u->qh = mem + 0x1000;
    u->tds = mem + 0x2000;
    u->data = mem + 0x2000 + UHCI_MAX_TDS * TD_SIZE;
    g_assert_cmphex(uhci_config_read(u, 8) >> 8, ==, 0x0c0300);
    uhci_config_write(u, BAR4, io);
    uhci_config_write(u, 4, 0x0005); /* I/O, bus master */

    for (int i = 0; i < FRAMES; i++) {
        store_le32(frames + i * 4, u->qh | LINK_QH);
    }
    qtest_memwrite(q, u->frame_list, frames, FRAMES * 4);
    store_le32(qh, LINK_TERMINATE);
    store_le32(qh + 4, LINK_TERMINATE);
    qtest_memwrite(q, u->qh, qh, sizeof(qh));

    qtest_outw(q, io + UHCI_CMD, UHCI_CMD_HCRESET);
    qtest_outl(q, io + UHCI_FLBASE, u->frame_list);
    qtest_outw(q, io + UHCI_FRNUM, 0);
    qtest_outw(q, io + UHCI_CMD, UHCI_CMD_RUN | UHCI_CMD_CF | UHCI_CMD_MAXP);
}

uint16_t uhci_port(UhciDriver *u, unsigned port)
{
    return qtest_inw(u->q, u->io + UHCI_PORT1 + 2 * port);
}

void uhci_step_frames(UhciDriver *u, unsigned frames)
{
    qtest_clock_step(u->q, (int64_t)frames * UHCI_FRAME_NS);
}

bool uhci_reset_port(UhciDriver *u, unsigned port)
{
    uint16_t reg = u->io + UHCI_PORT1 + 2 * port;

    if (!(qtest_inw(u->q, reg) & UHCI_PORT_CONNECT)) {
        return false;
    }
    qtest_outw(u->q, reg, UHCI_PORT_RESET);
    uhci_step_frames(u, RESET_FRAMES);
    qtest_outw(u->q, reg, 0);
    qtest_outw(u->q, reg, UHCI_PORT_ENABLE | UHCI_PORT_CSC | UHCI_PORT_PEC);
    return (qtest_inw(u->q, reg) & UHCI_PORT_ENABLE) != 0;
}

/* ---- one transfer ---------------------------------------------------------------------------------------------- */

static void set_element(UhciDriver *u, uint32_t link)
{
    qtest_writel(u->q, u->qh + 4, link);
}

void uhci_queue(UhciDriver *u, uint8_t address, uint8_t endpoint, uint8_t pid, bool toggle, const void *data, size_t len,
                size_t mps, uint32_t extra)
{
    unsigned n = len ? (len + mps - 1) / mps : 1;
    g_autofree uint8_t *tds = g_malloc0(n * TD_SIZE);
    size_t offset = 0;

    g_assert_cmpuint(n, <=, UHCI_MAX_TDS);
    for (unsigned i = 0; i < n; i++) {
        size_t part = MIN(mps, len - offset);
        uint8_t *td = tds + i * TD_SIZE;
        uint32_t next = i + 1 < n ? (u->tds + (i + 1) * TD_SIZE) | LINK_DEPTH_FIRST : LINK_TERMINATE;

        store_le32(td, next);
        store_le32(td + 4, UHCI_TD_ACTIVE | TD_ERRORS | extra | (i + 1 == n ? UHCI_TD_IOC : 0));
        store_le32(td + 8, (uint32_t)((part - 1) & TD_LENGTH_NULL) << 21 | (uint32_t)toggle << 19 |
                               (uint32_t)endpoint << 15 | (uint32_t)address << 8 | pid);
        store_le32(td + 12, u->data + offset);
        u->td_len[i] = part;
        offset += part;
        toggle = !toggle;
    }
    u->n_tds = n;
    u->len = len;
    u->pid = pid;
    if (data && pid != UHCI_PID_IN) {
        qtest_memwrite(u->q, u->data, data, len);
    }
    qtest_memwrite(u->q, u->tds, tds, n * TD_SIZE);
    set_element(u, u->tds);
}

static size_t td_actual(uint32_t status)
{
    return (status + 1) & TD_LENGTH_NULL;
}

UhciResult uhci_look(UhciDriver *u)
{
    g_autofree uint8_t *tds = g_malloc(u->n_tds * TD_SIZE);
    UhciResult r = { .status = UHCI_DONE };

    qtest_memread(u->q, u->tds, tds, u->n_tds * TD_SIZE);
    for (unsigned i = 0; i < u->n_tds; i++) {
        uint32_t status = load_le32(tds + i * TD_SIZE + 4);

        r.td_status = status;
        r.toggle = load_le32(tds + i * TD_SIZE + 8) >> 19 & 1;
        if (status & UHCI_TD_ACTIVE) {
            r.status = UHCI_PENDING;
            return r;
        }
        if (status & UHCI_TD_STALLED) {
            r.status = status & (UHCI_TD_TIMEOUT | UHCI_TD_BABBLE | UHCI_TD_BUFFER_ERROR) ? UHCI_FAILED : UHCI_STALLED;
            return r;
        }
        r.actual += td_actual(status);
        r.toggle = !r.toggle;
        if (td_actual(status) < u->td_len[i]) {
            return r;
        }
    }
    return r;
}

/* Frames after which the device seems to wait for the disk of the host, whose time is real: then a frame takes some of it. */
#define PROMPT_FRAMES 3500
#define SLOW_FRAME_US 2000

UhciResult uhci_run(UhciDriver *u, unsigned max_frames)
{
    UhciResult r = uhci_look(u);

    for (unsigned frame = 0; frame < max_frames && r.status == UHCI_PENDING; frame++) {
        if (frame >= PROMPT_FRAMES) {
            g_usleep(SLOW_FRAME_US);
        }
        uhci_step_frames(u, 1);
        r = uhci_look(u);
    }
    return r;
}

void uhci_unlink(UhciDriver *u)
{
    set_element(u, LINK_TERMINATE);
}

void uhci_read_data(UhciDriver *u, void *buf, size_t len)
{
    qtest_memread(u->q, u->data, buf, len);
}

UhciResult uhci_transfer(UhciDriver *u, uint8_t address, uint8_t endpoint, uint8_t pid, bool *toggle, void *data,
                         size_t len, size_t mps, unsigned max_frames)
{
    UhciResult r;

    uhci_queue(u, address, endpoint, pid, *toggle, data, len, mps, pid == UHCI_PID_IN ? UHCI_TD_SPD : 0);
    r = uhci_run(u, max_frames);
    uhci_unlink(u);
    *toggle = r.toggle;
    if (data && pid == UHCI_PID_IN) {
        uhci_read_data(u, data, r.actual);
    }
    return r;
}

/* ---- control transfers --------------------------------------------------------------------------------------------- */

#define CONTROL_FRAMES 200

UhciStatus uhci_control(UhciDriver *u, uint8_t address, bool low_speed, size_t mps0, const UsbSetup *setup, void *data,
                        size_t *actual)
{
    uint32_t speed = low_speed ? UHCI_TD_LOW_SPEED : 0;
    bool in = setup->request_type & 0x80;
    uint8_t raw[8] = { setup->request_type, setup->request };
    UhciResult r;

    store_le16(raw + 2, setup->value);
    store_le16(raw + 4, setup->index);
    store_le16(raw + 6, setup->length);
    uhci_queue(u, address, 0, UHCI_PID_SETUP, false, raw, sizeof(raw), 8, speed);
    r = uhci_run(u, CONTROL_FRAMES);
    if (r.status == UHCI_DONE && setup->length) {
        uhci_queue(u, address, 0, in ? UHCI_PID_IN : UHCI_PID_OUT, true, data, setup->length, mps0,
                   speed | (in ? UHCI_TD_SPD : 0));
        r = uhci_run(u, CONTROL_FRAMES);
        if (in && data && r.status == UHCI_DONE) {
            uhci_read_data(u, data, r.actual);
        }
    } else {
        r.actual = 0;
    }
    if (actual) {
        *actual = r.actual;
    }
    if (r.status == UHCI_DONE) {
        uhci_queue(u, address, 0, in && setup->length ? UHCI_PID_OUT : UHCI_PID_IN, true, NULL, 0, mps0, speed);
        r = uhci_run(u, CONTROL_FRAMES);
    }
    uhci_unlink(u);
    return r.status;
}
