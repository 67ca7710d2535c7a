/* SPDX-License-Identifier: GPL-2.0-or-later */
/* fw_cfg: selector and data ports, DMA, the directory, and the items of a PC, with values the installed programs show. */
#include "util/osdep.h"

#include "qtest-client.h"
#include "util/bytes.h"

#define SELECTOR 0x510
#define DATA 0x511
#define DMA_HIGH 0x514
#define DMA_LOW 0x518
#define COMMAND 0x8000
#define BUFFER 0x10000

enum { DMA_ERROR = 1, DMA_READ = 2, DMA_SKIP = 4, DMA_SELECT = 8, DMA_WRITE = 16 };

static void get(QTest *q, uint16_t key, void *buf, size_t len)
{
    qtest_outw(q, SELECTOR, key);
    for (size_t i = 0; i < len; i++) {
        ((uint8_t *)buf)[i] = qtest_inb(q, DATA);
    }
}

/* Runs a DMA command; returns what is left in its control word. */
static uint32_t dma(QTest *q, uint32_t control, uint32_t len, uint64_t addr)
{
    uint8_t command[16];

    store_be32(command, control);
    store_be32(command + 4, len);
    store_be64(command + 8, addr);
    qtest_memwrite(q, COMMAND, command, sizeof(command));
    qtest_outl(q, DMA_HIGH, 0);
    qtest_outl(q, DMA_LOW, GUINT32_SWAP_LE_BE(COMMAND));
    qtest_memread(q, COMMAND, command, sizeof(command));
    return load_be32(command);
}

/* Key and size of a file; false if the directory has none of that name. */
static bool find_file(QTest *q, const char *name, uint16_t *key, uint32_t *size)
{
    uint8_t entry[64];
    uint32_t n;

    g_assert_cmphex(dma(q, 0x19 << 16 | DMA_SELECT | DMA_READ, 4, BUFFER), ==, 0);
    n = GUINT32_FROM_BE(qtest_readl(q, BUFFER));
    for (uint32_t i = 0; i < n; i++) {
        g_assert_cmphex(dma(q, DMA_READ, sizeof(entry), BUFFER), ==, 0);
        qtest_memread(q, BUFFER, entry, sizeof(entry));
        if (!strcmp((char *)entry + 8, name)) {
            *size = load_be32(entry);
            *key = load_be16(entry + 4);
            return true;
        }
    }
    return false;
}

/* The file's contents (g_free()); the test fails without it. */
static uint8_t *read_file(QTest *q, const char *name, uint32_t *size)
{
    uint16_t key;
    uint8_t *data;

    if (!find_file(q, name, &key, size)) {
        g_error("no file %s", name);
    }
    data = g_malloc0(*size + 1);
    g_assert_cmphex(dma(q, (uint32_t)key << 16 | DMA_SELECT | DMA_READ, *size, BUFFER), ==, 0);
    qtest_memread(q, BUFFER, data, *size);
    return data;
}

static void test_signature_and_id(void)
{
    QTest *q = qtest_start("-machine pc");
    uint8_t buf[6];

    get(q, 0, buf, sizeof(buf));
    g_assert_cmpmem(buf, 6, "QEMU\0\0", 6);
    get(q, 1, buf, 4);
    g_assert_cmphex(load_le32(buf), ==, 3);
    g_assert_cmphex(qtest_inl(q, DMA_HIGH), ==, 0x554d4551);
    g_assert_cmphex(qtest_inl(q, DMA_LOW), ==, 0x47464320);
    g_assert_cmphex(qtest_inw(q, DMA_HIGH + 2), ==, 0x554d);
    qtest_end(q);

    q = qtest_start("-machine pc -global fw_cfg_io.dma_enabled=off");
    get(q, 1, buf, 4);
    g_assert_cmphex(load_le32(buf), ==, 1);
    g_assert_cmphex(qtest_inl(q, DMA_HIGH), ==, 0xffffffff);
    qtest_end(q);
}

static void test_ports(void)
{
    QTest *q = qtest_start("-machine pc");

    qtest_outw(q, SELECTOR, 0);
    g_assert_cmphex(qtest_inb(q, DATA), ==, 'Q');
    g_assert_cmphex(qtest_inb(q, SELECTOR), ==, 'E');
    qtest_outb(q, SELECTOR, 5); /* not a word: ignored */
    qtest_outb(q, DATA, 'x');   /* read-only */
    g_assert_cmphex(qtest_inb(q, DATA), ==, 'M');
    /* The write channel's bit makes no difference; keys that cannot be read as zeros. */
    qtest_outw(q, SELECTOR, 0x4000);
    g_assert_cmphex(qtest_inb(q, DATA), ==, 'Q');
    qtest_outw(q, SELECTOR, 0x7fff);
    g_assert_cmphex(qtest_inb(q, DATA), ==, 0);
    qtest_outw(q, SELECTOR, 0x8003);
    g_assert_cmphex(qtest_inb(q, DATA), ==, 0);
    qtest_outw(q, SELECTOR, 0);
    qtest_inb(q, DATA);
    qtest_qmp_ok(q, "{'execute': 'system_reset'}");
    json_object_put(qtest_wait_event(q, "RESET"));
    g_assert_cmphex(qtest_inb(q, DATA), ==, 'Q');
    qtest_end(q);
}

static void test_dma(void)
{
    QTest *q = qtest_start("-machine pc");
    uint8_t buf[16];

    qtest_memset(q, BUFFER, 0xaa, 64);
    g_assert_cmphex(dma(q, DMA_SELECT | DMA_READ, 10, BUFFER), ==, 0);
    qtest_memread(q, BUFFER, buf, 16);
    g_assert_cmpmem(buf, 16, "QEMU\0\0\0\0\0\0\xaa\xaa\xaa\xaa\xaa\xaa", 16);
    g_assert_cmphex(dma(q, DMA_SELECT | DMA_SKIP, 1, 0), ==, 0);
    g_assert_cmphex(dma(q, DMA_READ, 2, BUFFER), ==, 0);
    g_assert_cmphex(qtest_readw(q, BUFFER), ==, 'E' | 'M' << 8);
    /* Both: reads. Neither: nothing. Write: not this item. */
    g_assert_cmphex(dma(q, DMA_SELECT | DMA_READ | DMA_WRITE, 4, BUFFER), ==, 0);
    g_assert_cmphex(qtest_readl(q, BUFFER), ==, 0x554d4551);
    g_assert_cmphex(dma(q, 0xff20, 4, BUFFER), ==, 0);
    g_assert_cmphex(dma(q, DMA_SELECT | DMA_WRITE, 4, BUFFER), ==, DMA_ERROR);
    /* Nowhere to put it, and 4 GiB of it. */
    g_assert_cmphex(dma(q, DMA_SELECT | DMA_READ, 4, UINT64_C(0xfee10000f000)), ==, DMA_ERROR);
    g_assert_cmphex(dma(q, DMA_SELECT | DMA_READ, 0xffffffff, 0x1000000), ==, DMA_ERROR);
    /* An item that cannot be: zeros. */
    qtest_memset(q, BUFFER, 0xaa, 8);
    g_assert_cmphex(dma(q, 0x50 << 16 | DMA_SELECT | DMA_READ, 4, BUFFER), ==, 0);
    g_assert_cmphex(qtest_readl(q, BUFFER), ==, 0);
    g_assert_cmphex(qtest_readl(q, BUFFER + 4), ==, 0xaaaaaaaa);
    qtest_end(q);
}

static void test_pc_items(void)
{
    QTest *q = qtest_start("-machine pc -m 64 -smp 3,maxcpus=6,sockets=1,cores=3,threads=2");
    uint8_t buf[16];
    uint32_t size;
    g_autofree uint8_t *e820 = NULL;

    get(q, 3, buf, 8);
    g_assert_cmphex(load_le64(buf), ==, 64 << 20);
    get(q, 5, buf, 4);
    g_assert_cmphex(load_le32(buf), ==, 3);
    get(q, 0xf, buf, 2);
    g_assert_cmphex(load_le16(buf), ==, 6); /* threads 0…1 in bit 0, cores 0…2 above */
    get(q, 0x8002, buf, 4);
    g_assert_cmphex(load_le32(buf), ==, 1);
    get(q, 0x8004, buf, 13);
    if (qtest_readl(q, 0xfed00000) >> 16 == 0x8086) { /* the HPET's vendor */
        g_assert_cmphex(buf[0], ==, 1);
        g_assert_cmphex(load_le64(buf + 5), ==, 0xfed00000);
    } else {
        g_assert_cmphex(buf[0], ==, 0xff);
    }
    e820 = read_file(q, "etc/e820", &size);
    /* What AMD's processors keep for themselves (qemu64 is one), and RAM. */
    g_assert_cmphex(size, ==, 40);
    g_assert_cmphex(load_le64(e820), ==, UINT64_C(0xfd00000000));
    g_assert_cmphex(load_le64(e820 + 8), ==, UINT64_C(0x300000000));
    g_assert_cmphex(load_le32(e820 + 16), ==, 2);
    g_assert_cmphex(load_le64(e820 + 20), ==, 0);
    g_assert_cmphex(load_le64(e820 + 28), ==, 64 << 20);
    g_assert_cmphex(load_le32(e820 + 36), ==, 1);
    qtest_end(q);
}

static void test_user_files(void)
{
    const char *path = qtest_image("user", 600, 7);
    QTest *q = qtest_start("-machine pc -fw_cfg name=opt/b,string=two -fw_cfg opt/a,file=%s "
                           "-fw_cfg name=opt/empty,string=",
                           path);
    g_autofree uint8_t *a = NULL, *b = NULL, *empty = NULL;
    uint16_t key_a, key_b;
    uint32_t size;

    a = read_file(q, "opt/a", &size);
    g_assert_cmpuint(size, ==, 600);
    for (unsigned i = 0; i < size; i++) {
        g_assert_cmphex(a[i], ==, qtest_image_byte(i, 7));
    }
    b = read_file(q, "opt/b", &size);
    g_assert_cmpmem(b, size, "two", 3); /* without its NUL */
    empty = read_file(q, "opt/empty", &size);
    g_assert_cmpuint(size, ==, 0);
    g_assert_true(find_file(q, "opt/a", &key_a, &size));
    g_assert_true(find_file(q, "opt/b", &key_b, &size));
    g_assert_cmpuint(key_a + 1, ==, key_b);
    g_assert_false(find_file(q, "opt/c", &key_a, &size));
    qtest_end(q);
}

static void refused(const char *args, const char *text)
{
    g_autofree char *err = NULL;

    g_assert_cmpint(qtest_run(&err, "-accel qtest -nodefaults -machine pc %s", args), ==, 1);
    if (!strstr(err, text)) {
        g_error("%s: expected \"%s\", got: %s", args, text, err);
    }
}

static void test_bad_user_files(void)
{
    g_autofree char *long_name = g_strnfill(56, 'x');
    g_autofree char *too_long = g_strdup_printf("-fw_cfg name=opt/%s,string=x", long_name);

    refused("-fw_cfg name=opt/a", "are needed");
    refused("-fw_cfg string=x", "are needed");
    refused("-fw_cfg name=opt/a,string=x,file=/dev/null", "exactly one of");
    refused("-fw_cfg name=opt/a,string=x,nonsense=1", "Invalid parameter 'nonsense'");
    refused("-fw_cfg name=opt/a,file=/nonexistent/file", "can't load /nonexistent/file");
    refused("-fw_cfg name=opt/a,string=1 -fw_cfg name=opt/a,string=2",
            "duplicate fw_cfg file name: opt/a");
    refused(too_long, "55 char");
    refused("-machine none -fw_cfg name=opt/a,string=x", "fw_cfg device not available");
    refused("-global fw_cfg_io.x-file-slots=15", "\"file_slots\" must be");
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/fw_cfg/signature-and-id", test_signature_and_id);
    g_test_add_func("/fw_cfg/ports", test_ports);
    g_test_add_func("/fw_cfg/dma", test_dma);
    g_test_add_func("/fw_cfg/pc-items", test_pc_items);
    g_test_add_func("/fw_cfg/user-files", test_user_files);
    g_test_add_func("/fw_cfg/bad-user-files", test_bad_user_files);
    return g_test_run();
}
