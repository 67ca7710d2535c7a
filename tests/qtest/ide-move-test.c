/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * An IDE command may be interrupted by a live migration at any point: what the guest gets — status, error and the
 * other registers, the bus master's status, data, what is on the disk — equals what it gets without one (P1).
 *
 * Each case is a command. It runs once undisturbed, which also counts the guest's steps (register writes between which
 * something may happen, each block, the middle of each block, each wait); then once for each step with a move there.
 */
#include "util/osdep.h"
#include "ide-driver.h"

#include <stdio.h>

#define IMAGE_SIZE (1024 * 1024)
#define IMAGE_SEED 3
#define MAX_DATA (64 * 1024)
#define MAX_MOVES 12 /* of one case: the first and last steps, others spread between */

static const IdeCommand hd_commands[] = {
    { "identify", IDE_PIO_FROM, 0xec, .len = 512 },
    { "read-sectors", IDE_PIO_FROM, 0x20, .count = 3, .lba = 7, .len = 3 * 512 },
    { "read-sectors-chs", IDE_PIO_FROM, 0x20, .count = 2, .lba = 0x00000000002, .chs = true,
      .len = 2 * 512 },
    { "read-sectors-ext", IDE_PIO_FROM, 0x24, .count = 2, .lba = 40, .ext = true, .len = 2 * 512 },
    { "read-multiple", IDE_PIO_FROM, 0xc4, .count = 20, .lba = 64, .len = 20 * 512 },
    { "write-sectors", IDE_PIO_TO, 0x30, .count = 2, .lba = 100, .len = 2 * 512 },
    { "write-multiple-ext", IDE_PIO_TO, 0x39, .count = 18, .lba = 110, .ext = true,
      .len = 18 * 512 },
    { "read-dma", IDE_DMA_FROM, 0xc8, .count = 24, .lba = 200, .len = 24 * 512 },
    { "read-dma-ext", IDE_DMA_FROM, 0x25, .count = 80, .lba = 300, .ext = true, .len = 80 * 512 },
    { "write-dma", IDE_DMA_TO, 0xca, .count = 24, .lba = 420, .len = 24 * 512 },
    { "trim", IDE_DMA_TO, 0x06, .feature = 1, .count = 1, .ext = true, .len = 512 },
    { "read-dma-beyond-the-end", IDE_DMA_FROM, 0xc8, .count = 4, .lba = 0xffffff0, .len = 4 * 512 },
    { "flush", IDE_NO_DATA, 0xe7 },
    { "set-write-cache-off", IDE_NO_DATA, 0xef, .feature = 0x82 },
    { "set-multiple", IDE_NO_DATA, 0xc6, .count = 4 },
    { "read-native-max", IDE_NO_DATA, 0xf8 },
    { "check-power-mode", IDE_NO_DATA, 0xe5 },
    { "nop", IDE_NO_DATA, 0x00 },
    { "smart-read-data", IDE_PIO_FROM, 0xb0, .feature = 0xd0, .count = 1, .lba = 0xc24f00,
      .len = 512 },
    { "smart-disable", IDE_NO_DATA, 0xb0, .feature = 0xd9, .lba = 0xc24f00 },
};

static const IdeCommand cd_commands[] = {
    { "identify-packet", IDE_PIO_FROM, 0xa1, .len = 512 },
    { "identify-of-a-disk", IDE_PIO_FROM, 0xec, .len = 512 },
    { "test-unit-ready", IDE_PACKET_PIO, .cdb = { 0x00 } },
    { "inquiry", IDE_PACKET_PIO, .cdb = { 0x12, 0, 0, 0, 36 }, .len = 36 },
    { "inquiry-small-blocks", IDE_PACKET_PIO, .cdb = { 0x12, 0, 0, 0, 36 }, .limit = 14,
      .len = 36 },
    { "inquiry-dma", IDE_PACKET_DMA, .cdb = { 0x12, 0, 0, 0, 36 }, .len = 36 },
    { "invalid-opcode", IDE_PACKET_PIO, .cdb = { 0xff } },
    { "invalid-opcode-dma", IDE_PACKET_DMA, .cdb = { 0xff }, .len = 36 },
    { "read-toc", IDE_PACKET_PIO, .cdb = { 0x43, 2, 0, 0, 0, 0, 0, 0, 64 }, .len = 64 },
    { "get-event-status-dma", IDE_PACKET_DMA, .cdb = { 0x4a, 1, 0, 0, 0x10, 0, 0, 0, 8 },
      .len = 8 },
    { "mode-sense", IDE_PACKET_PIO, .cdb = { 0x5a, 0, 0x2a, 0, 0, 0, 0, 0, 64 }, .len = 64 },
    { "prevent-removal", IDE_PACKET_PIO, .cdb = { 0x1e, 0, 0, 0, 1 } },
    { "read-10", IDE_PACKET_PIO, .cdb = { 0x28, 0, 0, 0, 0, 9, 0, 0, 3 }, .limit = 2048,
      .len = 3 * 2048 },
    { "read-10-odd-blocks", IDE_PACKET_PIO, .cdb = { 0x28, 0, 0, 0, 0, 9, 0, 0, 3 }, .limit = 3000,
      .len = 3 * 2048 },
    { "read-10-dma", IDE_PACKET_DMA, .cdb = { 0x28, 0, 0, 0, 0, 17, 0, 0, 5 }, .len = 5 * 2048 },
    { "read-cd", IDE_PACKET_PIO, .cdb = { 0xbe, 0, 0, 0, 0, 4, 0, 0, 2, 0xf8 }, .limit = 2352,
      .len = 2 * 2352 },
    { "read-beyond-the-end", IDE_PACKET_PIO, .cdb = { 0x28, 0, 0, 1, 0, 0, 0, 0, 1 }, .len = 2048 },
};

typedef struct Case {
    const IdeCommand *command;
    bool cd, dma_first;
    char *image;
    QTest *q;
    IdeDriver ide;
    unsigned steps, move_at; /* 0: never */
} Case;

static void count_step(void *opaque)
{
    Case *c = opaque;

    if (++c->steps == c->move_at) {
        qtest_move(c->q);
    }
}

static void fill(const IdeCommand *cmd, uint8_t *data)
{
    memset(data, 0, MAX_DATA);
    if (cmd->command == 0x06) { /* TRIM: sectors 500 to 507 */
        data[0] = 500 & 0xff;
        data[1] = 500 >> 8;
        data[6] = 8;
    } else if (cmd->protocol == IDE_PIO_TO || cmd->protocol == IDE_DMA_TO) {
        for (uint32_t i = 0; i < cmd->len; i++) {
            data[i] = qtest_image_byte(i, 77);
        }
    }
}

static void note_data(GString *log, const uint8_t *data, uint32_t len)
{
    g_autofree char *sum = g_compute_checksum_for_data(G_CHECKSUM_SHA256, data, len);

    g_string_append_printf(log, "%u bytes %s\n", len, sum);
}

/* What the command may have left behind: what a disk says of itself, what is on it, sense data. */
static void look_after(Case *c, GString *log)
{
    static const IdeCommand identify = { "identify", IDE_PIO_FROM, 0xec, .len = 512 };
    static const IdeCommand smart = { "smart-status", IDE_NO_DATA, 0xb0, .feature = 0xda,
                                      .lba = 0xc24f00 };
    IdeCommand reread = { "read-dma", IDE_DMA_FROM, 0x25, .ext = true };
    g_autofree uint8_t *data = g_malloc0(MAX_DATA);

    c->ide.step = NULL;
    c->ide.dma_first = false;
    if (c->cd) {
        g_string_append_printf(log, "sense %06x\n", ide_sense(&c->ide));
        return;
    }
    ide_run(&c->ide, &identify, data, NULL);
    note_data(log, data, 512);
    ide_run(&c->ide, &smart, NULL, NULL);
    if (c->command->protocol == IDE_PIO_TO || c->command->protocol == IDE_DMA_TO) {
        reread.lba = c->command->command == 0x06 ? 500 : c->command->lba;
        reread.count = c->command->command == 0x06 ? 8 : c->command->count;
        reread.len = reread.count * 512;
        ide_run(&c->ide, &reread, data, NULL);
        note_data(log, data, reread.len);
    }
}

/* The guest's story of one run. */
static char *run_once(Case *c, unsigned move_at)
{
    GString *log = g_string_new(NULL);
    g_autofree uint8_t *data = g_malloc0(MAX_DATA);
    uint32_t got = 0;

    qtest_qmp_ok(c->q, "{'execute': 'system_reset'}");
    json_object_put(qtest_wait_event(c->q, "RESET"));
    ide_enable_bus_master(c->q);
    ide_driver_init(&c->ide, c->q, c->cd ? 1 : 0, c->cd ? 1 : 0);
    c->ide.log = log;
    c->ide.step = count_step;
    c->ide.opaque = c;
    c->ide.dma_first = c->dma_first;
    c->steps = 0;
    c->move_at = move_at;
    fill(c->command, data);
    ide_run(&c->ide, c->command, data, &got);
    note_data(log, data, MAX(MIN(got, MAX_DATA), 1));
    look_after(c, log);
    return g_string_free(log, false);
}

static char *machine_args(const Case *c)
{
    return g_strdup_printf("-machine pc-i440fx-7.2 -m 16 -blockdev "
                           "driver=file,filename=%s,node-name=disk,read-only=%s,"
                           "discard=unmap -device %s,drive=disk,bus=ide.%d,unit=%d",
                           c->image, c->cd ? "on" : "off", c->cd ? "ide-cd" : "ide-hd",
                           c->cd ? 1 : 0, c->cd ? 1 : 0);
}

static void test_command(gconstpointer opaque)
{
    Case c = *(const Case *)opaque;
    g_autofree char *name = g_strdup_printf("%s-%d", c.command->name, c.dma_first);
    g_autofree char *args = NULL, *plain = NULL;
    unsigned total, stride;

    c.image = (char *)qtest_image(name, IMAGE_SIZE, IMAGE_SEED);
    args = machine_args(&c);
    c.q = qtest_start("%s", args);
    qtest_set_moving(c.q, false);
    g_free(run_once(&c, 0)); /* so that the disk holds what is written */
    plain = run_once(&c, 0);
    total = c.steps;
    stride = MAX((total + MAX_MOVES - 1) / MAX_MOVES, 1);
    for (unsigned at = 1; at <= total; at += stride) {
        g_autofree char *moved = run_once(&c, at);

        if (strcmp(moved, plain)) {
            g_error("%s, moved at step %u of %u:\n%s\nnot moved:\n%s", c.command->name, at, total,
                    moved, plain);
        }
    }
    qtest_end(c.q);
}

static void add(const IdeCommand *commands, size_t n, bool cd)
{
    for (size_t i = 0; i < n; i++) {
        bool dma = commands[i].protocol == IDE_DMA_FROM || commands[i].protocol == IDE_DMA_TO ||
                   commands[i].protocol == IDE_PACKET_DMA;

        for (int first = 0; first <= dma; first++) {
            Case *c = g_new0(Case, 1);
            g_autofree char *path =
                g_strdup_printf("/ide-move/%s/%s%s", cd ? "cd" : "hd", commands[i].name,
                                first ? "-bus-master-first" : "");

            c->command = &commands[i];
            c->cd = cd;
            c->dma_first = first;
            g_test_add_data_func_full(path, c, test_command, g_free);
        }
    }
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    add(hd_commands, G_N_ELEMENTS(hd_commands), false);
    add(cd_commands, G_N_ELEMENTS(cd_commands), true);
    return g_test_run();
}
