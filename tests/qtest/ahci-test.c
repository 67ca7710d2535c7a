/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * AHCI (Serial ATA AHCI 1.3.1): registers, commands by PIO and DMA, queued commands, packets, errors, resets, messages. The guest is
 * a few structures in memory that are written by hand, so each test holds when the VM moves between any two of its steps.
 */
#include "util/osdep.h"
#include "pci-config.h"

#include <fcntl.h>
#include <unistd.h>

#include "util/bytes.h"

#define SATA 0xfa
#define ABAR UINT64_C(0xfe000000)
#define INDEX_PORTS 0xc000
#define PORT(n) (ABAR + 0x100 + (n)*0x80)
#define LIST(n) (0x100000 + (n)*0x10000)
#define FISES(n) (LIST(n) + 0x400)
#define TABLE(n, slot) (LIST(n) + 0x1000 + (slot)*0x200)
#define DATA 0x300000
#define DISK_SIZE (256 * 1024)
#define DISK_SEED 7
#define CD_SEED 9

enum { CAP = 0x00, GHC = 0x04, IS = 0x08, PI = 0x0c, VS = 0x10 };
enum {
    CLB = 0x00,
    FB = 0x08,
    PIS = 0x10,
    PIE = 0x14,
    CMD = 0x18,
    TFD = 0x20,
    SIG = 0x24,
    SSTS = 0x28,
    SCTL = 0x2c,
    SACT = 0x34,
    CI = 0x38
};
enum { ST = 1, FRE = 0x10 };
enum { DHRS = 1, PSS = 2, SDBS = 8, OFS = 1 << 24, HBFS = 1 << 29, TFES = 1 << 30 };

static uint32_t config_read(QTest *q, unsigned reg)
{
    return qtest_pci_read(q, SATA, reg);
}

static void config_write(QTest *q, unsigned reg, uint32_t value)
{
    qtest_pci_write(q, SATA, reg, value);
}

static uint32_t px(QTest *q, unsigned n, unsigned reg)
{
    return qtest_readl(q, PORT(n) + reg);
}

static void set_px(QTest *q, unsigned n, unsigned reg, uint32_t value)
{
    qtest_writel(q, PORT(n) + reg, value);
}

static void start_port(QTest *q, unsigned n)
{
    set_px(q, n, CLB, LIST(n));
    set_px(q, n, FB, FISES(n));
    set_px(q, n, PIE, 0xffffffff);
    set_px(q, n, CMD, FRE);
    set_px(q, n, CMD, FRE | ST);
}

/* A disk at port 0, a CD drive at port 1, both started. */
static QTest *start(const char *more)
{
    const char *disk = qtest_image("disk", DISK_SIZE, DISK_SEED),
               *cd = qtest_image("cd", DISK_SIZE, CD_SEED);
    QTest *q = qtest_start(
        "-machine q35 -nodefaults -blockdev driver=file,filename=%s,node-name=f0 -device "
        "ide-hd,drive=f0,bus=ide.0 -blockdev driver=file,filename=%s,node-name=f1,read-only=on "
        "-device "
        "ide-cd,drive=f1,bus=ide.1 %s",
        disk, cd, more);

    qtest_irq_intercept_in(q, "ioapic");
    config_write(q, 0x24, ABAR);
    config_write(q, 0x20, INDEX_PORTS);
    config_write(q, 4, 7);
    qtest_writel(q, ABAR + GHC, 0x80000002);
    start_port(q, 0);
    start_port(q, 1);
    return q;
}

/* A command of `pieces` regions with len bytes together at DATA. */
static void put_command(QTest *q, unsigned n, unsigned slot, const uint8_t fis[20], uint32_t len,
                        unsigned pieces)
{
    uint32_t each = pieces ? len / pieces : 0;

    qtest_memset(q, TABLE(n, slot), 0, 0x200);
    qtest_memwrite(q, TABLE(n, slot), fis, 20);
    for (unsigned i = 0; i < pieces; i++) {
        qtest_writel(q, TABLE(n, slot) + 0x80 + 16 * i, DATA + i * each);
        qtest_writel(q, TABLE(n, slot) + 0x80 + 16 * i + 12, each - 1);
    }
    qtest_writel(q, LIST(n) + 32 * slot, 5 | pieces << 16);
    qtest_writel(q, LIST(n) + 32 * slot + 4, 0);
    qtest_writel(q, LIST(n) + 32 * slot + 8, TABLE(n, slot));
    qtest_writel(q, LIST(n) + 32 * slot + 12, 0);
}

static void make_fis(uint8_t fis[20], uint8_t command, uint64_t lba, uint16_t count)
{
    memset(fis, 0, 20);
    fis[0] = 0x27;
    fis[1] = 0x80;
    fis[2] = command;
    fis[4] = lba;
    fis[5] = lba >> 8;
    fis[6] = lba >> 16;
    fis[7] = 0x40;
    fis[8] = lba >> 24;
    fis[9] = lba >> 32;
    fis[10] = lba >> 40;
    fis[12] = count;
    fis[13] = count >> 8;
}

static void wait_for(QTest *q, unsigned n, unsigned reg, uint32_t mask, uint32_t value)
{
    for (int i = 0; i < 5000; i++) {
        if ((px(q, n, reg) & mask) == value) {
            return;
        }
        g_usleep(200);
    }
    g_error("register 0x%x of port %u: 0x%x", reg, n, px(q, n, reg));
}

/* Runs it in slot 3 and returns PxIS, which is cleared. */
static uint32_t run(QTest *q, unsigned n, const uint8_t fis[20], uint32_t len, unsigned pieces)
{
    uint32_t is;

    put_command(q, n, 3, fis, len, pieces);
    set_px(q, n, CI, 1 << 3);
    wait_for(q, n, CI, 1 << 3, 0);
    is = px(q, n, PIS);
    set_px(q, n, PIS, is);
    qtest_writel(q, ABAR + IS, 1 << n);
    return is;
}

static void check_data(QTest *q, uint64_t at, uint32_t len, uint32_t seed)
{
    g_autofree uint8_t *data = g_malloc(len);

    qtest_memread(q, DATA, data, len);
    for (uint32_t i = 0; i < len; i++) {
        g_assert_cmphex(data[i], ==, qtest_image_byte(at + i, seed));
    }
}

static void test_registers(void)
{
    QTest *q = start("");

    g_assert_cmphex(config_read(q, 0), ==, 0x29228086);
    g_assert_cmphex(config_read(q, 8), ==, 0x01060102);
    g_assert_cmphex(config_read(q, 0x34), ==, 0x80);
    g_assert_cmphex(config_read(q, 0x80), ==, 0x0080a805);
    g_assert_cmphex(config_read(q, 0xa8), ==, 0x00100012);
    g_assert_cmphex(qtest_readl(q, ABAR + CAP), ==, 0xc0141f05);
    g_assert_cmphex(qtest_readl(q, ABAR + PI), ==, 0x3f);
    g_assert_cmphex(qtest_readl(q, ABAR + VS), ==, 0x00010000);
    g_assert_cmphex(px(q, 0, SSTS), ==, 0x113);
    g_assert_cmphex(px(q, 0, SIG), ==, 0x00000101);
    g_assert_cmphex(px(q, 1, SIG), ==, 0xeb140101);
    g_assert_cmphex(px(q, 2, SSTS), ==, 0);
    g_assert_cmphex(px(q, 2, TFD), ==, 0x7f);
    g_assert_cmphex(px(q, 0, CMD) & 0xc011, ==, 0xc011); /* started and running */
    wait_for(q, 0, TFD, 0x88, 0);
    /* The index/data pair. */
    qtest_outl(q, INDEX_PORTS + 0x10, 0x124);
    g_assert_cmphex(qtest_inl(q, INDEX_PORTS + 0x14), ==, 0x00000101);
    /* A reset of the whole leaves nothing started. */
    qtest_writel(q, ABAR + GHC, 0x80000001);
    g_assert_cmphex(qtest_readl(q, ABAR + GHC), ==, 0x80000000);
    g_assert_cmphex(px(q, 0, CMD), ==, 6);
    g_assert_cmphex(px(q, 0, CLB), ==, 0);
    g_assert_cmphex(px(q, 0, TFD), ==, 0x7f);
    qtest_end(q);
}

static void test_identify(void)
{
    QTest *q = start("");
    uint8_t fis[20];

    make_fis(fis, 0xec, 0, 0);
    g_assert_cmphex(run(q, 0, fis, 512, 2), ==, DHRS | PSS);
    g_assert_cmphex(qtest_readl(q, DATA + 200), ==, DISK_SIZE / 512);
    g_assert_cmphex(qtest_readw(q, DATA + 152) & 0x100, ==, 0x100); /* queued commands */
    g_assert_cmpuint(qtest_readl(q, LIST(0) + 32 * 3 + 4), ==, 512);
    g_assert_cmphex(px(q, 0, TFD), ==, 0x50);
    /* The D2H FIS says the same. */
    g_assert_cmphex(qtest_readl(q, FISES(0) + 0x40) & 0xffffff, ==, 0x504034);
    /* A CD drive refuses it with its signature. */
    g_assert_cmphex(run(q, 1, fis, 512, 1), ==, DHRS | TFES);
    g_assert_cmphex(px(q, 1, TFD) & 1, ==, 1);
    g_assert_cmphex(qtest_readl(q, FISES(1) + 0x44) >> 8 & 0xffff, ==, 0xeb14);
    make_fis(fis, 0xa1, 0, 0);
    g_assert_cmphex(run(q, 1, fis, 512, 1), ==, DHRS | PSS);
    qtest_end(q);
}

static void test_dma_and_pio(void)
{
    QTest *q = start("");
    uint8_t fis[20];

    make_fis(fis, 0x25, 20, 64); /* READ DMA EXT */
    g_assert_cmphex(run(q, 0, fis, 64 * 512, 8), ==, DHRS);
    check_data(q, 20 * 512, 64 * 512, DISK_SEED);
    g_assert_cmpuint(qtest_readl(q, LIST(0) + 32 * 3 + 4), ==, 64 * 512);
    make_fis(fis, 0x24, 100, 40); /* READ SECTORS EXT */
    g_assert_cmphex(run(q, 0, fis, 40 * 512, 5), ==, DHRS | PSS);
    check_data(q, 100 * 512, 40 * 512, DISK_SEED);
    /* What is written by one is read by the other. */
    make_fis(fis, 0x34, 300, 40); /* WRITE SECTORS EXT */
    g_assert_cmphex(run(q, 0, fis, 40 * 512, 4), ==, DHRS | PSS);
    qtest_memset(q, DATA, 0, 40 * 512);
    make_fis(fis, 0x25, 300, 40);
    g_assert_cmphex(run(q, 0, fis, 40 * 512, 1), ==, DHRS);
    check_data(q, 100 * 512, 40 * 512, DISK_SEED);
    make_fis(fis, 0x35, 0, 2); /* WRITE DMA EXT */
    g_assert_cmphex(run(q, 0, fis, 1024, 1), ==, DHRS);
    make_fis(fis, 0xea, 0, 0); /* FLUSH CACHE EXT */
    g_assert_cmphex(run(q, 0, fis, 0, 0), ==, DHRS);
    qtest_memset(q, DATA, 0, 1024);
    make_fis(fis, 0x25, 0, 2);
    g_assert_cmphex(run(q, 0, fis, 1024, 1), ==, DHRS);
    check_data(q, 100 * 512, 1024, DISK_SEED);
    qtest_end(q);
}

/* All 32 tags at once, with the data where each of them says. */
static void test_queued(void)
{
    QTest *q = start("");
    uint8_t fis[20];

    for (unsigned slot = 0; slot < 32; slot++) {
        make_fis(fis, 0x60, 7 * slot, slot << 3);
        fis[3] = 4; /* sectors */
        put_command(q, 0, slot, fis, 2048, 1);
        qtest_writel(q, TABLE(0, slot) + 0x80, DATA + 2048 * slot);
    }
    set_px(q, 0, SACT, 0xffffffff);
    set_px(q, 0, CI, 0xffffffff);
    wait_for(q, 0, SACT, 0xffffffff, 0);
    g_assert_cmphex(px(q, 0, CI), ==, 0);
    g_assert_cmphex(px(q, 0, PIS), ==, SDBS);
    g_assert_cmphex(qtest_readb(q, FISES(0) + 0x58), ==, 0xa1);
    for (unsigned slot = 0; slot < 32; slot++) {
        for (unsigned i = 0; i < 2048; i += 255) {
            g_assert_cmphex(qtest_readb(q, DATA + 2048 * slot + i), ==,
                            qtest_image_byte(7 * 512 * slot + i, DISK_SEED));
        }
    }
    /* Written, and read by a command that is not queued. */
    make_fis(fis, 0x61, 400, 5 << 3);
    fis[3] = 8;
    put_command(q, 0, 5, fis, 4096, 3);
    qtest_writel(q, LIST(0) + 32 * 5, 5 | 1 << 16);
    qtest_writel(q, TABLE(0, 5) + 0x80 + 12, 4095);
    set_px(q, 0, SACT, 1 << 5);
    set_px(q, 0, CI, 1 << 5);
    wait_for(q, 0, SACT, 1 << 5, 0);
    set_px(q, 0, PIS, 0xffffffff);
    qtest_memset(q, DATA, 0, 4096);
    make_fis(fis, 0x25, 400, 8);
    g_assert_cmphex(run(q, 0, fis, 4096, 1), ==, DHRS);
    check_data(q, 0, 2048, DISK_SEED);
    qtest_end(q);
}

static void test_packets(void)
{
    QTest *q = start("");
    const uint8_t inquiry[12] = { 0x12, 0, 0, 0, 36 },
                  read10[12] = { 0x28, 0, 0, 0, 0, 5, 0, 0, 4 };
    uint8_t fis[20];
    char vendor[5] = "";

    for (int dma = 0; dma < 2; dma++) {
        make_fis(fis, 0xa0, 0, 0);
        fis[3] = dma;
        fis[5] = 36; /* byte count limit */
        put_command(q, 1, 0, fis, 36, 1);
        qtest_writel(q, LIST(1), 5 | 1 << 5 | 1 << 16);
        qtest_memwrite(q, TABLE(1, 0) + 0x40, inquiry, 12);
        set_px(q, 1, CI, 1);
        wait_for(q, 1, CI, 1, 0);
        if (!dma) { /* the first answer is a unit attention */
            set_px(q, 1, CI, 1);
            wait_for(q, 1, CI, 1, 0);
        }
        qtest_memread(q, DATA + 8, vendor, 4);
        g_assert_cmpstr(vendor, ==, "QEMU");
        qtest_memset(q, DATA, 0, 36);

        make_fis(fis, 0xa0, 0, 0);
        fis[3] = dma;
        fis[5] = 0x00;
        fis[6] = 0x10; /* 4096 */
        put_command(q, 1, 0, fis, 8192, 2);
        qtest_writel(q, LIST(1), 5 | 1 << 5 | 2 << 16);
        qtest_memwrite(q, TABLE(1, 0) + 0x40, read10, 12);
        for (int tries = 0; tries < 3; tries++) { /* unit attentions */
            set_px(q, 1, CI, 1);
            wait_for(q, 1, CI, 1, 0);
            if (!(px(q, 1, TFD) & 1)) {
                break;
            }
        }
        g_assert_cmphex(px(q, 1, TFD) & 1, ==, 0);
        check_data(q, 5 * 2048, 8192, CD_SEED);
        qtest_memset(q, DATA, 0, 8192);
    }
    qtest_end(q);
}

static void test_errors(void)
{
    QTest *q = start("");
    uint8_t fis[20];

    /* Beyond the end. */
    make_fis(fis, 0x25, DISK_SIZE / 512, 1);
    g_assert_cmphex(run(q, 0, fis, 512, 1), ==, DHRS | TFES);
    g_assert_cmphex(px(q, 0, TFD), ==, 0x0441);
    make_fis(fis, 0x60, DISK_SIZE / 512, 2 << 3);
    fis[3] = 1;
    put_command(q, 0, 2, fis, 512, 1);
    set_px(q, 0, SACT, 1 << 2);
    set_px(q, 0, CI, 1 << 2);
    wait_for(q, 0, SACT, 1 << 2, 0);
    g_assert_cmphex(px(q, 0, PIS), ==, SDBS | TFES);
    set_px(q, 0, PIS, 0xffffffff);
    /* An unknown command. */
    make_fis(fis, 0x00, 0, 0);
    fis[2] = 0x73;
    g_assert_cmphex(run(q, 0, fis, 0, 0), ==, DHRS | TFES);
    /* A table with less room than there are data: what fits arrives. */
    make_fis(fis, 0x25, 0, 8);
    qtest_memset(q, DATA, 0xee, 4096);
    g_assert_cmphex(run(q, 0, fis, 1024, 2), ==, DHRS | OFS);
    check_data(q, 0, 1024, DISK_SEED);
    g_assert_cmphex(qtest_readb(q, DATA + 1024), ==, 0xee);
    /* A table at an address that nobody has; a FIS that is none; a list in the wilderness. */
    make_fis(fis, 0x25, 0, 1);
    put_command(q, 0, 0, fis, 512, 1);
    qtest_writel(q, LIST(0) + 12, 0x7fff0000);
    set_px(q, 0, CI, 1);
    wait_for(q, 0, CI, 1, 0);
    make_fis(fis, 0x25, 0, 1);
    fis[0] = 0x99;
    put_command(q, 0, 0, fis, 512, 1);
    set_px(q, 0, CI, 1);
    wait_for(q, 0, CI, 1, 0);
    set_px(q, 0, CLB + 4, 0xffffff00);
    set_px(q, 0, CI, 0xffffffff);
    wait_for(q, 0, CI, 0xffffffff, 0);
    set_px(q, 0, CLB + 4, 0);
    set_px(q, 0, PIS, 0xffffffff);
    make_fis(fis, 0x25, 1, 1);
    g_assert_cmphex(run(q, 0, fis, 512, 1), ==, DHRS);
    check_data(q, 512, 512, DISK_SEED);
    qtest_end(q);
}

static void test_resets(void)
{
    QTest *q = start("");
    uint8_t fis[20];

    /* Software reset: the control register by two FISes, then the signature. */
    for (int on = 1; on >= 0; on--) {
        memset(fis, 0, sizeof(fis));
        fis[0] = 0x27;
        fis[15] = on << 2;
        run(q, 0, fis, 0, 0);
    }
    g_assert_cmphex(px(q, 0, TFD), ==, 0x150);
    g_assert_cmphex(qtest_readl(q, FISES(0) + 0x44) & 0xffffff, ==, 0x000001);
    /* COMRESET. */
    set_px(q, 0, SCTL, 1);
    g_assert_cmphex(px(q, 0, SSTS), ==, 0);
    set_px(q, 0, SCTL, 0);
    g_assert_cmphex(px(q, 0, SSTS), ==, 0x113);
    wait_for(q, 0, TFD, 0xff, 0x50);
    make_fis(fis, 0x25, 9, 1);
    g_assert_cmphex(run(q, 0, fis, 512, 1), ==, DHRS);
    check_data(q, 9 * 512, 512, DISK_SEED);
    /* A stopped port takes nothing. */
    set_px(q, 0, CMD, FRE);
    g_assert_cmphex(px(q, 0, CMD) & 0x8000, ==, 0);
    set_px(q, 0, CI, 1);
    g_assert_cmphex(px(q, 0, CI), ==, 0);
    qtest_qmp_ok(q, "{'execute': 'system_reset'}");
    json_object_put(qtest_wait_event(q, "RESET"));
    g_assert_cmphex(config_read(q, 4) & 0xffff, ==, 0);
    qtest_end(q);
}

/* The line while IS has something; a message each time that it would go up. */
static void test_interrupts(void)
{
    QTest *q = start("");
    uint8_t fis[20];

    make_fis(fis, 0xec, 0, 0);
    put_command(q, 0, 0, fis, 512, 1);
    set_px(q, 0, CI, 1);
    wait_for(q, 0, CI, 1, 0);
    g_assert_cmphex(qtest_readl(q, ABAR + IS), ==, 1);
    g_assert_true(qtest_get_irq(q, 16)); /* slot 31, pin A: PIRQA */
    qtest_writel(q, ABAR + IS, 1);       /* comes again while the port has it */
    g_assert_cmphex(qtest_readl(q, ABAR + IS), ==, 1);
    set_px(q, 0, PIS, 0xffffffff);
    qtest_writel(q, ABAR + IS, 1);
    g_assert_cmphex(qtest_readl(q, ABAR + IS), ==, 0);
    g_assert_false(qtest_get_irq(q, 16));
    /* A message to memory. */
    config_write(q, 0x84, 0x500000);
    config_write(q, 0x88, 0);
    config_write(q, 0x8c, 0x4321);
    set_px(q, 0, CI, 1);
    wait_for(q, 0, CI, 1, 0);
    g_assert_true(qtest_get_irq(q, 16));
    config_write(q, 0x80, 0x0081a805); /* the pin is at rest while there are messages */
    g_assert_false(qtest_get_irq(q, 16));
    config_write(q, 0x80, 0x0080a805);
    g_assert_true(qtest_get_irq(q, 16));
    config_write(q, 0x80, 0x0081a805);
    set_px(q, 0, PIS, 0xffffffff);
    qtest_writel(q, ABAR + IS, 1);
    qtest_writel(q, 0x500000, 0);
    set_px(q, 0, CI, 1);
    wait_for(q, 0, CI, 1, 0);
    g_assert_cmphex(qtest_readl(q, 0x500000), ==, 0x4321);
    g_assert_false(qtest_get_irq(q, 16));
    qtest_writel(q, 0x500000, 0);
    set_px(q, 0, PIS, 0xffffffff);
    qtest_writel(q, ABAR + IS, 1);
    g_assert_cmphex(qtest_readl(q, 0x500000), ==, 0);
    set_px(q, 0, CI, 1);
    wait_for(q, 0, CI, 1, 0);
    g_assert_cmphex(qtest_readl(q, 0x500000), ==, 0x4321);
    qtest_end(q);
}

/* A queued write and a plain one that fail under werror=stop stand still, may move, and are done when the machine goes on. */
static void test_stop_on_error(void)
{
    for (int queued = 0; queued < 2; queued++) {
        const char *disk = qtest_image("stop", DISK_SIZE, DISK_SEED);
        QTest *q = qtest_start(
            "-machine q35 -nodefaults -drive if=none,id=d,format=raw,werror=stop,"
            "file.driver=blkdebug,file.image.filename=%s,file.inject-error.0.event=pwritev,"
            "file.inject-error.0.once=on,file.inject-error.0.errno=5 -device "
            "ide-hd,drive=d,bus=ide.0",
            disk);
        uint8_t fis[20];

        qtest_set_moving(q, false);
        config_write(q, 0x24, ABAR);
        config_write(q, 4, 7);
        start_port(q, 0);
        make_fis(fis, queued ? 0x61 : 0x35, 50, queued ? 3 << 3 : 4);
        fis[3] = queued ? 4 : 0;
        qtest_memset(q, DATA, 0x77, 2048);
        put_command(q, 0, 3, fis, 2048, 1);
        set_px(q, 0, SACT, queued << 3);
        set_px(q, 0, CI, 1 << 3);
        qtest_wait_status(q, "io-error");
        qtest_set_args(
            q,
            "-machine q35 -nodefaults -drive if=none,id=d,format=raw,werror=stop,file=%s -device "
            "ide-hd,drive=d,bus=ide.0",
            disk);
        qtest_move(q);
        qtest_qmp_ok(q, "{'execute': 'cont'}");
        wait_for(q, 0, CI, 1 << 3, 0);
        wait_for(q, 0, SACT, 1 << 3, 0);
        g_assert_cmphex(px(q, 0, TFD) & 0xff, ==, 0x50);
        make_fis(fis, 0x25, 50, 4);
        qtest_memset(q, DATA, 0, 2048);
        run(q, 0, fis, 2048, 1);
        for (int i = 0; i < 2048; i += 511) {
            g_assert_cmphex(qtest_readb(q, DATA + i), ==, 0x77);
        }
        qtest_end(q);
    }
}

/* Data, and messages, whose way leads to the controller's own registers: an error as of memory that cannot be reached. */
static void test_data_for_its_own_registers(void)
{
    QTest *q = start("");
    uint8_t fis[20];

    qtest_memset(q, DATA, 0, 1024);
    make_fis(fis, 0x35, 0, 2); /* zeros: what stops a port */
    g_assert_cmphex(run(q, 0, fis, 1024, 1), ==, DHRS);
    for (int way = 0; way < 3; way++) {
        static const uint8_t commands[] = { 0x60, 0x25, 0x24 }; /* queued, DMA, PIO */

        make_fis(fis, commands[way], 0, way ? 2 : 4 << 3);
        fis[3] = way ? 0 : 2;
        put_command(q, 0, 4, fis, 1024, 2);
        qtest_writel(q, TABLE(0, 4) + 0x80, PORT(0) + CMD);
        qtest_writel(q, TABLE(0, 4) + 0x80 + 12, 3);
        set_px(q, 0, SACT, way ? 0 : 1 << 4);
        set_px(q, 0, CI, 1 << 4);
        wait_for(q, 0, CI, 1 << 4, 0);
        wait_for(q, 0, SACT, 1 << 4, 0);
        g_assert_cmphex(px(q, 0, PIS) & HBFS, ==, HBFS);
        g_assert_cmphex(px(q, 0, CMD) & 0xc011, ==, 0xc011);
        set_px(q, 0, PIS, 0xffffffff);
    }
    qtest_end(q);
}

static void test_message_to_its_own_registers(void)
{
    QTest *q = start("");
    uint8_t fis[20];

    config_write(q, 0x84, ABAR + IS);
    config_write(q, 0x88, 0);
    config_write(q, 0x8c, 1);
    config_write(q, 0x80, 0x0081a805);
    make_fis(fis, 0xec, 0, 0);
    put_command(q, 0, 0, fis, 512, 1);
    set_px(q, 0, CI, 1);
    wait_for(q, 0, CI, 1, 0);
    g_assert_cmphex(qtest_readl(q, ABAR + IS), ==, 1);
    qtest_end(q);
}

/* The port is stopped, or reset, while a read is under way: what comes after it begins when that is over. */
static void test_reset_while_reading(void)
{
    g_autofree char *gate = g_strdup_printf("%s/gate", qtest_dir());

    if (!g_getenv("QTEST_SLOW_IO")) {
        g_test_skip("QTEST_SLOW_IO does not name the library slow-io");
        return;
    }
    for (int way = 0; way < 4; way++) {
        bool queued = way & 1, comreset = way & 2;
        const char *disk = qtest_image("reset.slow", DISK_SIZE, DISK_SEED);
        uint8_t fis[20];
        QTest *q;

        g_setenv("SLOW_IO_GATE", gate, true);
        g_setenv("LD_PRELOAD", g_getenv("QTEST_SLOW_IO"), true);
        q = qtest_start("-machine q35 -nodefaults -drive if=none,id=d,format=raw,file=%s -device "
                        "ide-hd,drive=d,bus=ide.0",
                        disk);
        g_unsetenv("LD_PRELOAD");
        qtest_set_moving(q, false); /* a move waits for the read */
        config_write(q, 0x24, ABAR);
        config_write(q, 4, 7);
        start_port(q, 0);
        wait_for(q, 0, TFD, 0xff, 0x50);
        close(open(gate, O_CREAT | O_WRONLY, 0600));
        make_fis(fis, queued ? 0x60 : 0x25, 0, queued ? 0 : 1);
        fis[3] = queued;
        put_command(q, 0, 0, fis, 512, 1);
        set_px(q, 0, SACT, queued);
        set_px(q, 0, CI, 1);
        wait_for(q, 0, CI, 1, queued ? 0 : 1);
        set_px(q, 0, CMD, FRE);
        if (comreset) {
            set_px(q, 0, SCTL, 1);
            set_px(q, 0, SCTL, 0);
        }
        set_px(q, 0, CMD, FRE | ST);
        make_fis(fis, 0x25, 5, 1);
        put_command(q, 0, 1, fis, 512, 1);
        set_px(q, 0, CI, 2);
        g_assert_cmphex(px(q, 0, CI), ==, 2);
        g_usleep(20000);
        g_assert_cmphex(px(q, 0, CI), ==, 2);
        unlink(gate);
        wait_for(q, 0, CI, 2, 0);
        g_assert_cmphex(px(q, 0, TFD) & 0xff, ==, 0x50);
        check_data(q, 5 * 512, 512, DISK_SEED);
        qtest_end(q);
    }
}

int main(int argc, char **argv)
{
    qtest_allow_preload();
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/ahci/registers", test_registers);
    g_test_add_func("/ahci/identify", test_identify);
    g_test_add_func("/ahci/dma-and-pio", test_dma_and_pio);
    g_test_add_func("/ahci/queued", test_queued);
    g_test_add_func("/ahci/packets", test_packets);
    g_test_add_func("/ahci/errors", test_errors);
    g_test_add_func("/ahci/resets", test_resets);
    g_test_add_func("/ahci/interrupts", test_interrupts);
    g_test_add_func("/ahci/stop-on-error", test_stop_on_error);
    g_test_add_func("/ahci/data-for-its-own-registers", test_data_for_its_own_registers);
    g_test_add_func("/ahci/message-to-its-own-registers", test_message_to_its_own_registers);
    g_test_add_func("/ahci/reset-while-reading", test_reset_while_reading);
    return g_test_run();
}
