/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A guest with a VDI disk is moved in the middle of writes that allocate blocks: nothing is lost, the image is sound,
 * and it is one process's at a time (P1, P4; B7).
 *
 * The disk is usb-storage. Each WRITE(10) goes to a block of its own; the machine moves between the phases of the
 * command, and in the middle of its data. At the end the image is read byte by byte: every block of the file belongs to
 * one entry, the header counts them, and they hold what was written.
 */
#include "util/osdep.h"
#include "bot-driver.h"
#include "util/bytes.h"

#include <fcntl.h>
#include <stdio.h>
#include <glib/gstdio.h>

#define DEVFN_UHCI 0x0a
#define UHCI_IO 0xc040
#define GUEST_MEMORY 0x100000
#define BLOCKS 12
#define BLOCK (1u << 20)
#define MAP 512
#define DATA 1024
#define WRITE_BYTES 4096u
#define SECTOR 512u

/* ---- the image ---- */

static void put32(int fd, off_t at, uint32_t value)
{
    uint8_t b[4];
    store_le32(b, value);
    g_assert_cmpint(pwrite(fd, b, sizeof(b), at), ==, sizeof(b));
}

static char *make_vdi(void)
{
    char *path = g_build_filename(g_get_tmp_dir(), "disk.vdi", NULL);
    int fd = open(path, O_RDWR | O_CREAT | O_TRUNC, 0644);
    g_assert_cmpint(fd, >=, 0);
    put32(fd, 0x40, 0xbeda107f);
    put32(fd, 0x44, 0x00010001);
    put32(fd, 0x48, 0x180);
    put32(fd, 0x4c, 1);
    put32(fd, 0x154, MAP);
    put32(fd, 0x158, DATA);
    put32(fd, 0x168, SECTOR);
    put32(fd, 0x170, BLOCKS * BLOCK);
    put32(fd, 0x178, BLOCK);
    put32(fd, 0x180, BLOCKS);
    for (unsigned i = 0; i < BLOCKS; i++) {
        put32(fd, MAP + 4 * i, 0xffffffff);
    }
    put32(fd, DATA - 4, 0);
    close(fd);
    return path;
}

static uint8_t pattern(unsigned block, unsigned i)
{
    return 1 + (block * 37 + i / SECTOR + i) % 251;
}

static void check_vdi(const char *path)
{
    g_autofree char *data = NULL;
    gsize size;
    bool seen[BLOCKS] = { false };
    g_assert_true(g_file_get_contents(path, &data, &size, NULL));
    g_assert_cmpint(load_le32(data + 0x184), ==, BLOCKS);
    g_assert_cmpint(size, ==, DATA + BLOCKS * BLOCK);
    for (unsigned b = 0; b < BLOCKS; b++) {
        uint32_t host = load_le32(data + MAP + 4 * b);
        g_assert_cmpint(host, <, BLOCKS);
        g_assert_false(seen[host]);
        seen[host] = true;
        const uint8_t *p = (const uint8_t *)data + DATA + (uint64_t)host * BLOCK;
        for (unsigned i = 0; i < BLOCK; i++) {
            bool written = i >= WRITE_BYTES && i < 2 * WRITE_BYTES;
            g_assert_cmphex(p[i], ==, written ? pattern(b, i - WRITE_BYTES) : 0);
        }
    }
}

/* ---- the guest ---- */

typedef struct Guest {
    QTest *q;
    UhciDriver uhci;
    BotDriver bot;
    bool auto_moves;
} Guest;

static void move(Guest *g)
{
    if (!g->auto_moves) {
        qtest_move(g->q);
    }
}

static void write_block(Guest *g, unsigned block)
{
    uint8_t buf[WRITE_BYTES], cdb[10] = { 0x2a };
    for (unsigned i = 0; i < sizeof(buf); i++) {
        buf[i] = pattern(block, i);
    }
    store_be32(cdb + 2, (block * BLOCK + WRITE_BYTES) / SECTOR);
    store_be16(cdb + 7, sizeof(buf) / SECTOR);
    cdb[1] = block % 3 == 0 ? 0x08 : 0; /* FUA */
    move(g);
    g_assert_cmpint(bot_send_cbw(&g->bot, 0, BOT_OUT, cdb, sizeof(cdb), sizeof(buf)), ==, UHCI_DONE);
    if (block % 2) {
        move(g);
    }
    uhci_queue(&g->uhci, g->bot.address, g->bot.out_endpoint, UHCI_PID_OUT, g->bot.out_toggle, buf, sizeof(buf), g->bot.mps, 0);
    uhci_run(&g->uhci, 1);
    move(g);
    UhciResult r = uhci_run(&g->uhci, BOT_FRAMES);
    g_assert_cmpint(r.status, ==, UHCI_DONE);
    uhci_unlink(&g->uhci);
    g->bot.out_toggle ^= (sizeof(buf) / g->bot.mps) & 1;
    move(g);
    BotResult result;
    g_assert_cmpint(bot_read_csw(&g->bot, &result), ==, UHCI_DONE);
    g_assert_cmpint(result.csw_status, ==, 0);
}

static void test_allocating_writes(gconstpointer data)
{
    const char *cache = data;
    g_autofree char *path = make_vdi();
    Guest g = { .auto_moves = g_getenv("QTEST_MOVE_EVERY") != NULL };
    g.q = qtest_start("-device piix3-usb-uhci,id=usb,addr=01.2 -drive id=disk,if=none,format=vdi,cache=%s,file=%s "
                      "-device usb-storage,bus=usb.0,port=2,drive=disk",
                      cache, path);
    uhci_init(&g.uhci, g.q, DEVFN_UHCI, UHCI_IO, GUEST_MEMORY);
    bot_enumerate(&g.bot, &g.uhci, 1, 1);
    bot_wait_ready(&g.bot, 0);
    for (unsigned b = 0; b < BLOCKS; b++) {
        write_block(&g, (b * 5) % BLOCKS);
    }
    for (unsigned b = 0; b < BLOCKS; b++) {
        uint8_t buf[3 * SECTOR];
        bot_read10(&g.bot, 0, (b * BLOCK + WRITE_BYTES) / SECTOR - 1, 3, SECTOR, buf);
        for (unsigned i = 0; i < sizeof(buf); i++) {
            g_assert_cmphex(buf[i], ==, i < SECTOR ? 0 : pattern(b, i - SECTOR));
        }
    }
    qtest_end(g.q);
    check_vdi(path);
    g_unlink(path);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_data_func("/vdi-move/writeback", "writeback", test_allocating_writes);
    g_test_add_data_func("/vdi-move/writethrough", "writethrough", test_allocating_writes);
    return g_test_run();
}
