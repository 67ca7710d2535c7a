/* SPDX-License-Identifier: GPL-2.0-or-later */
/* See the header. */
#include "util/osdep.h"
#include "xen-driver.h"

#include "util/bytes.h"

/* ---- hypervisor ---- */

int64_t xen_call(QTest *q, uint64_t number, uint64_t op, uint64_t args[4])
{
    uint8_t block[56];
    store_le64(block, number);
    store_le64(block + 8, op);
    for (int i = 0; i < 4; i++) {
        store_le64(block + 16 + 8 * i, args[i]);
    }
    qtest_memwrite(q, XEN_CALL, block, sizeof(block));
    qtest_outl(q, XEN_DOORWAY, XEN_CALL);
    qtest_memread(q, XEN_CALL, block, sizeof(block));
    for (int i = 0; i < 4; i++) {
        args[i] = load_le64(block + 16 + 8 * i);
    }
    return load_le64(block + 48);
}

void xen_send_event(QTest *q, uint32_t port)
{
    uint64_t args[4] = { port };
    g_assert_cmpint(xen_call(q, 32, 4, args), ==, 0);
}

/* Waits for the port's pending bit, and clears it as a guest does. */
void xen_wait_event(QTest *q, uint32_t port)
{
    for (int i = 0; i < 5000; i++) {
        uint64_t pending = qtest_readq(q, XEN_SHARED + 2048);
        if (pending & UINT64_C(1) << port) {
            qtest_writeq(q, XEN_SHARED + 2048, pending & ~(UINT64_C(1) << port));
            qtest_writeb(q, XEN_SHARED, 0);
            return;
        }
        g_usleep(1000);
    }
    g_error("no event on port %u", port);
}

void xen_grant(QTest *q, uint32_t ref, uint64_t address, bool readonly)
{
    uint8_t entry[8];
    store_le16(entry, 1 | (readonly ? 4 : 0));
    store_le16(entry + 2, 0);
    store_le32(entry + 4, address / 4096);
    qtest_memwrite(q, XEN_GRANTS + 8 * ref, entry, 8);
}

bool xen_in_use(QTest *q, uint32_t ref)
{
    return qtest_readw(q, XEN_GRANTS + 8 * ref) & 0x18;
}

/* ---- xenstore ---- */

static void xen_store_put(QTest *q, const void *data, uint32_t len)
{
    const uint8_t *from = data;
    uint32_t prod = qtest_readl(q, XEN_STORE + 2052);
    for (uint32_t i = 0; i < len;) {
        uint32_t n = MIN(len - i, 1024 - prod % 1024);
        qtest_memwrite(q, XEN_STORE + prod % 1024, from + i, n);
        i += n;
        prod += n;
    }
    qtest_writel(q, XEN_STORE + 2052, prod);
}

static void xen_store_get(QTest *q, void *data, uint32_t len)
{
    uint8_t *to = data;
    while (len) {
        uint32_t cons = qtest_readl(q, XEN_STORE + 2056), prod = qtest_readl(q, XEN_STORE + 2060);
        uint32_t n = MIN(MIN(len, prod - cons), 1024 - cons % 1024);
        if (!n) {
            xen_send_event(q, 1);
            g_assert_cmpuint(qtest_readl(q, XEN_STORE + 2060), !=, prod);
            continue;
        }
        qtest_memread(q, XEN_STORE + 1024 + cons % 1024, to, n);
        qtest_writel(q, XEN_STORE + 2056, cons + n);
        to += n;
        len -= n;
    }
}

/* The answer's payload (g_free); *type is XS_ERROR for an error. Events of watches on the way are dropped. */
char *xen_store_request(QTest *q, uint32_t *type, uint32_t tx, const void *payload, uint32_t len)
{
    uint8_t header[16];
    store_le32(header, *type);
    store_le32(header + 4, 77);
    store_le32(header + 8, tx);
    store_le32(header + 12, len);
    xen_store_put(q, header, 16);
    xen_store_put(q, payload, len);
    xen_send_event(q, 1);
    for (;;) {
        xen_store_get(q, header, 16);
        uint32_t n = load_le32(header + 12);
        char *text = g_malloc0(n + 1);
        xen_store_get(q, text, n);
        *type = load_le32(header);
        if (*type != XS_WATCH_EVENT) {
            g_assert_cmpuint(load_le32(header + 4), ==, 77);
            return text;
        }
        g_free(text);
    }
}

char *xen_store_read(QTest *q, const char *path)
{
    uint32_t type = XS_READ;
    char *text = xen_store_request(q, &type, 0, path, strlen(path) + 1);
    if (type == XS_ERROR) {
        g_clear_pointer(&text, g_free);
    }
    return text;
}

void xen_store_write(QTest *q, uint32_t tx, const char *path, const char *value)
{
    uint32_t type = XS_WRITE;
    g_autofree char *payload = g_strconcat(path, "#", value, NULL);
    payload[strlen(path)] = 0;
    g_autofree char *answer =
        xen_store_request(q, &type, tx, payload, strlen(path) + 1 + strlen(value));
    g_assert_cmpstr(answer, ==, "OK");
}

/* ---- the front end ---- */

void xen_expect_back_state(QTest *q, const char *state)
{
    g_autofree char *text = xen_store_read(q, XEN_BACK "/state");
    g_assert_cmpstr(text, ==, state);
}

void xen_connect_front(XenFront *f, bool persistent)
{
    QTest *q = f->q;
    uint64_t args[4] = { 1, 0 };
    g_autofree char *zeros = g_malloc0(4096);
    f->persistent = persistent;
    f->req_prod = f->rsp_cons = 0;
    store_le32(zeros + 4, 1);  /* req_event */
    store_le32(zeros + 12, 1); /* rsp_event */
    qtest_memwrite(q, XEN_RING, zeros, 4096);
    xen_grant(q, XEN_RING_GRANT, XEN_RING, false);
    g_assert_cmpint(xen_call(q, 32, 6, args), ==, 0);
    f->port = args[1];
    g_autofree char *port = g_strdup_printf("%u", f->port);
    uint32_t type = XS_TRANSACTION_START;
    g_autofree char *tx = xen_store_request(q, &type, 0, "", 1);
    uint32_t id = atoi(tx);
    xen_store_write(q, id, XEN_FRONT "/ring-ref", "7");
    xen_store_write(q, id, XEN_FRONT "/event-channel", port);
    xen_store_write(q, id, XEN_FRONT "/protocol", "x86_64-abi");
    xen_store_write(q, id, XEN_FRONT "/feature-persistent", persistent ? "1" : "0");
    type = XS_TRANSACTION_END;
    g_autofree char *end = xen_store_request(q, &type, id, "T", 2);
    g_assert_cmpstr(end, ==, "OK");
    xen_store_write(q, 0, XEN_FRONT "/state", "3");
    xen_expect_back_state(q, "4");
    xen_store_write(q, 0, XEN_FRONT "/state", "4");
}

/* One request of n whole pages from XEN_DATA's page `page` on. */
void xen_put_request(XenFront *f, unsigned id, uint8_t op, uint64_t sector, unsigned page,
                     unsigned n)
{
    uint8_t *raw = f->shadow[id];
    memset(raw, 0, 112);
    raw[0] = op;
    raw[1] = n;
    store_le64(raw + 8, id);
    store_le64(raw + 16, sector);
    for (unsigned i = 0; i < n; i++) {
        store_le32(raw + 24 + 8 * i, XEN_FIRST_GRANT + page + i);
        raw[24 + 8 * i + 4] = 0;
        raw[24 + 8 * i + 5] = 7;
    }
    f->outstanding[id] = true;
}

void xen_push(XenFront *f, unsigned id)
{
    qtest_memwrite(f->q, XEN_RING + 64 + f->req_prod % 32 * 112, f->shadow[id], 112);
    qtest_writel(f->q, XEN_RING, ++f->req_prod);
}

void xen_kick(XenFront *f)
{
    xen_send_event(f->q, f->port);
}

/* Takes one response; returns its id. */
unsigned xen_take(XenFront *f, int16_t *status)
{
    uint8_t rsp[16];
    for (int i = 0; qtest_readl(f->q, XEN_RING + 8) == f->rsp_cons; i++) {
        g_assert_cmpint(i, <, 5000);
        g_usleep(1000);
    }
    qtest_memread(f->q, XEN_RING + 64 + f->rsp_cons % 32 * 112, rsp, 16);
    f->rsp_cons++;
    qtest_writel(f->q, XEN_RING + 12, f->rsp_cons + 1);
    *status = load_le16(rsp + 10);
    unsigned id = load_le64(rsp);
    g_assert_cmpuint(id, <, 32);
    g_assert_true(f->outstanding[id]);
    f->outstanding[id] = false;
    g_assert_cmpuint(rsp[8], ==, f->shadow[id][0]);
    return id;
}

void xen_run(XenFront *f, uint8_t op, uint64_t sector, unsigned page, unsigned n, int wanted)
{
    int16_t status;
    xen_put_request(f, 3, op, sector, page, n);
    xen_push(f, 3);
    xen_kick(f);
    xen_wait_event(f->q, f->port);
    g_assert_cmpuint(xen_take(f, &status), ==, 3);
    g_assert_cmpint(status, ==, wanted);
}

void xen_check_read(XenFront *f, uint64_t sector, unsigned page, unsigned n)
{
    g_autofree uint8_t *bytes = g_malloc(n * 4096);
    qtest_memread(f->q, XEN_DATA + page * 4096, bytes, n * 4096);
    for (size_t i = 0; i < n * 4096; i++) {
        g_assert_cmphex(bytes[i], ==, qtest_image_byte(sector * XEN_SECTOR + i, XEN_SEED));
    }
}

/* Shows the hypervisor where things are, grants the pages of data, connects. f->q is the machine. */
void xen_attach(XenFront *f, bool persistent)
{
    QTest *q = f->q;
    uint64_t shared[4] = { 0, 0, XEN_SHARED / 4096 }, grants[4] = { 1, 0, XEN_GRANTS / 4096 },
             ring[4] = { 1, XEN_STORE / 4096 };
    g_assert_cmpint(xen_call(q, 12, 7, shared), ==, 0);
    g_assert_cmpint(xen_call(q, 12, 7, grants), ==, 0);
    g_assert_cmpint(xen_call(q, 34, 0, ring), ==, 0);
    for (unsigned i = 0; i < XEN_PAGES; i++) {
        xen_grant(q, XEN_FIRST_GRANT + i, XEN_DATA + i * 4096, false);
    }
    xen_connect_front(f, persistent);
}
