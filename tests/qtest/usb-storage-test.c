/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * USB mass storage as a guest meets it beyond single commands that succeed: disagreements between
 * host and device, invalid CBWs, stalls and resets, several LUNs, media that change, I/O errors
 * that stop the VM, block I/O that takes its time. Each also with the VM moved in the middle.
 */
#include "util/osdep.h"
#include "bot-driver.h"
#include "util/bytes.h"

#define DEVFN_UHCI 0x0a
#define UHCI_IO 0xc040
#define GUEST_MEMORY 0x100000
#define IMAGE_SIZE (512 * 1024)
#define IMAGE_SEED 7

typedef struct Vm {
    QTest *q;
    UhciDriver u;
    BotDriver b;
} Vm;

#define MACHINE "-machine pc-i440fx-10.0 -m 16 -device piix3-usb-uhci,id=usb,addr=01.2 "

static void vm_start(Vm *vm, const char *args)
{
    vm->q = qtest_start(MACHINE "%s", args);
    uhci_init(&vm->u, vm->q, DEVFN_UHCI, UHCI_IO, GUEST_MEMORY);
    bot_enumerate(&vm->b, &vm->u, 1, 1);
}

static char *disk_args(const char *extra)
{
    const char *image = qtest_image("disk.img", IMAGE_SIZE, IMAGE_SEED);
    return g_strdup_printf("-blockdev driver=file,filename=%s,node-name=disk "
                           "-device usb-storage,id=dev,bus=usb.0,port=2,drive=disk%s",
                           image, extra);
}

static void vm_start_disk(Vm *vm)
{
    g_autofree char *args = disk_args("");
    vm_start(vm, args);
    bot_wait_ready(&vm->b, 0);
}

static void assert_pattern(const uint8_t *data, size_t len, uint64_t offset)
{
    for (size_t i = 0; i < len; i++) {
        g_assert_cmphex(data[i], ==, qtest_image_byte(offset + i, IMAGE_SEED));
    }
}

static void assert_works(Vm *vm, uint8_t lun)
{
    uint8_t block[512];
    bot_read10(&vm->b, lun, 3, 1, 512, block);
    assert_pattern(block, sizeof(block), 3 * 512);
}

/* ---- the thirteen cases (Bulk-Only Transport 6.7) -------------------------------------------- */

typedef struct Disagreement {
    unsigned number;
    BotDirection host;
    uint32_t host_len;
    uint8_t cdb[10];
    UhciStatus data_status;
    size_t actual;
    uint8_t csw_status;
    uint32_t residue;
} Disagreement;

#define READ_1                          \
    {                                   \
        0x28, 0, 0, 0, 0, 3, 0, 0, 1, 0 \
    }
#define READ_2                          \
    {                                   \
        0x28, 0, 0, 0, 0, 3, 0, 0, 2, 0 \
    }
#define WRITE_1                         \
    {                                   \
        0x2a, 0, 0, 0, 0, 9, 0, 0, 1, 0 \
    }
#define WRITE_2                         \
    {                                   \
        0x2a, 0, 0, 0, 0, 9, 0, 0, 2, 0 \
    }
#define INQUIRY_36           \
    {                        \
        0x12, 0, 0, 0, 36, 0 \
    }
#define MODE_SELECT_24          \
    {                           \
        0x15, 0x10, 0, 0, 24, 0 \
    }

static const Disagreement disagreements[] = {
    { 1, BOT_NONE, 0, { 0 }, UHCI_DONE, 0, 0, 0 },
    { 2, BOT_NONE, 0, INQUIRY_36, UHCI_DONE, 0, 2, 0 },
    { 2, BOT_NONE, 0, READ_1, UHCI_DONE, 0, 2, 0 },
    { 3, BOT_NONE, 0, MODE_SELECT_24, UHCI_DONE, 0, 2, 0 },
    { 3, BOT_NONE, 0, WRITE_1, UHCI_DONE, 0, 2, 0 },
    { 4, BOT_IN, 100, { 0 }, UHCI_DONE, 100, 0, 100 },
    { 5, BOT_IN, 100, INQUIRY_36, UHCI_DONE, 100, 0, 64 },
    { 5, BOT_IN, 1024, READ_1, UHCI_DONE, 1024, 0, 512 },
    { 6, BOT_IN, 36, INQUIRY_36, UHCI_DONE, 36, 0, 0 },
    { 7, BOT_IN, 13, INQUIRY_36, UHCI_DONE, 13, 0, 0 },
    { 7, BOT_IN, 512, READ_2, UHCI_DONE, 512, 0, 0 },
    { 8, BOT_IN, 512, WRITE_1, UHCI_STALLED, 0, 2, 512 },
    { 8, BOT_IN, 24, MODE_SELECT_24, UHCI_STALLED, 0, 2, 24 },
    { 9, BOT_OUT, 200, { 0 }, UHCI_DONE, 200, 0, 200 },
    { 10, BOT_OUT, 512, READ_1, UHCI_STALLED, 0, 2, 512 },
    { 10, BOT_OUT, 36, INQUIRY_36, UHCI_STALLED, 0, 2, 36 },
    { 11, BOT_OUT, 1024, WRITE_1, UHCI_DONE, 1024, 0, 512 },
    { 12, BOT_OUT, 512, WRITE_1, UHCI_DONE, 512, 0, 0 },
    { 13, BOT_OUT, 512, WRITE_2, UHCI_DONE, 512, 2, 0 },
};

static void run_disagreement(Vm *vm, const Disagreement *d, unsigned move_at)
{
    uint8_t data[1024] = { 0 };
    BotResult r = { .data_status = UHCI_DONE };
    BotDriver *b = &vm->b;

    g_test_message("case %u, %u bytes, moved at %u", d->number, d->host_len, move_at);
    g_assert_cmpint(bot_send_cbw(b, 0, d->host, d->cdb, d->cdb[0] < 0x20 ? 6 : 10, d->host_len), ==,
                    UHCI_DONE);
    if (move_at == 1) {
        qtest_move(vm->q);
    }
    if (d->host_len) {
        UhciResult u = bot_data(b, d->host, data, d->host_len);
        r.data_status = u.status;
        r.actual = u.actual;
        if (move_at == 2) {
            qtest_move(vm->q);
        }
        if (u.status == UHCI_STALLED) {
            /* Until the host clears the halt, it stays. */
            g_assert_cmpint(bot_data(b, d->host, data, 13).status, ==, UHCI_STALLED);
            bot_clear_halt(b, d->host);
        }
    }
    if (move_at == 3) {
        qtest_move(vm->q);
    }
    g_assert_cmpint(r.data_status, ==, d->data_status);
    g_assert_cmpuint(r.actual, ==, d->actual);
    g_assert_cmpint(bot_read_csw(b, &r), ==, UHCI_DONE);
    g_assert_cmpuint(r.csw_status, ==, d->csw_status);
    g_assert_cmpuint(r.residue, ==, d->residue);
    if (d->host == BOT_IN && d->cdb[0] == 0x28 && r.actual) {
        assert_pattern(data, MIN(512, r.actual), 3 * 512);
        for (size_t i = 512; i < r.actual; i++) {
            g_assert_cmphex(data[i], ==, 0);
        }
    }
    if (r.csw_status == 2) {
        bot_reset_recovery(b);
    }
    assert_works(vm, 0);
}

static void test_thirteen_cases(void)
{
    Vm vm;
    vm_start_disk(&vm);
    for (unsigned i = 0; i < G_N_ELEMENTS(disagreements); i++) {
        for (unsigned move_at = 0; move_at <= 3; move_at++) {
            run_disagreement(&vm, &disagreements[i], move_at);
        }
    }
    qtest_end(vm.q);
}

/* ---- CBWs that are none (6.6.1) -------------------------------------------------------------- */

static void bad_cbw(Vm *vm, size_t len, size_t offset, uint8_t value, bool move)
{
    uint8_t cbw[64] = {
        'U', 'S', 'B', 'C', 1, 2, 3, 4, 36, 0, 0, 0, 0x80, 0, 6, 0x12, 0, 0, 0, 36
    };
    uint8_t csw[BOT_CSW_SIZE];
    BotDriver *b = &vm->b;

    cbw[offset] = value;
    g_assert_cmpint(bot_data(b, BOT_OUT, cbw, len).status, ==, UHCI_STALLED);
    if (move) {
        qtest_move(vm->q);
    }
    g_assert_cmpint(bot_data(b, BOT_IN, csw, sizeof(csw)).status, ==, UHCI_STALLED);
    /* Clearing the halts is not enough. */
    bot_clear_halt(b, BOT_IN);
    bot_clear_halt(b, BOT_OUT);
    if (move) {
        qtest_move(vm->q);
    }
    g_assert_cmpint(bot_data(b, BOT_IN, csw, sizeof(csw)).status, ==, UHCI_STALLED);
    bot_reset_recovery(b);
    assert_works(vm, 0);
}

static void test_invalid_cbw(void)
{
    Vm vm;
    vm_start_disk(&vm);
    for (int move = 0; move <= 1; move++) {
        bad_cbw(&vm, 31, 0, 'X', move);
        bad_cbw(&vm, 30, 0, 'U', move);
        bad_cbw(&vm, 32, 0, 'U', move);
        bad_cbw(&vm, 31, 14, 0, move);
        bad_cbw(&vm, 31, 14, 17, move);
    }
    qtest_end(vm.q);
}

/* The host loses its way: tokens that the phase does not have. */
static void test_out_of_step(void)
{
    static const uint8_t inquiry[6] = { 0x12, 0, 0, 0, 36 };
    uint8_t data[64] = { 0 };
    Vm vm;
    vm_start_disk(&vm);
    g_assert_cmpint(bot_data(&vm.b, BOT_IN, data, 13).status, ==,
                    UHCI_STALLED); /* no command yet */
    bot_reset_recovery(&vm.b);
    assert_works(&vm, 0);
    bot_send_cbw(&vm.b, 0, BOT_IN, inquiry, sizeof(inquiry), 36);
    g_assert_cmpint(bot_data(&vm.b, BOT_OUT, data, 31).status, ==,
                    UHCI_STALLED); /* another one at once */
    qtest_move(vm.q);
    bot_reset_recovery(&vm.b);
    assert_works(&vm, 0);
    bot_send_cbw(&vm.b, 0, BOT_IN, inquiry, sizeof(inquiry), 36);
    bot_data(&vm.b, BOT_IN, data, 36);
    g_assert_cmpint(bot_data(&vm.b, BOT_OUT, data, 31).status, ==,
                    UHCI_STALLED); /* the status is unread */
    bot_reset_recovery(&vm.b);
    assert_works(&vm, 0);
    qtest_end(vm.q);
}

/* ---- logical units --------------------------------------------------------------------------- */

static void test_luns(void)
{
    g_autofree char *args = NULL;
    uint8_t bad[6] = { 0xff }, luns[12] = { 0xa0, 0, 0, 0, 0, 0, 0, 0, 0, 64 }, list[64] = { 0 };
    uint8_t sense[6] = { 0x03, 0, 0, 0, 18 }, data[18] = { 0 };
    Vm vm;

    args = g_strdup_printf("-blockdev driver=file,filename=%s,node-name=disk "
                           "-blockdev driver=null-co,node-name=null,size=1048576,read-zeroes=on "
                           "-device usb-bot,id=bot,bus=usb.0,port=2 "
                           "-device scsi-hd,bus=bot.0,scsi-id=0,lun=0,drive=disk "
                           "-device scsi-cd,bus=bot.0,scsi-id=0,lun=1 "
                           "-device scsi-hd,bus=bot.0,scsi-id=0,lun=3,drive=null",
                           qtest_image("disk.img", IMAGE_SIZE, IMAGE_SEED));
    vm_start(&vm, args);
    g_assert_cmpuint(bot_max_lun(&vm.b), ==, 3);
    /* Each has an attention of its own; the sense of one is not that of another. */
    for (uint8_t lun = 0; lun < 4; lun += lun == 1 ? 2 : 1) {
        BotResult r = bot_command(&vm.b, lun, BOT_NONE, &(uint8_t[6]){ 0 }, 6, NULL, 0);
        g_assert_cmpuint(r.csw_status, ==, 1);
    }
    qtest_move(vm.q);
    g_assert_cmphex(bot_sense(&vm.b, 3), ==, 0x062900);
    g_assert_cmphex(bot_sense(&vm.b, 1), ==, 0x062900);
    g_assert_cmphex(bot_sense(&vm.b, 0), ==, 0x062900);
    g_assert_cmphex(bot_sense(&vm.b, 1), ==, 0);
    g_assert_cmpuint(bot_command(&vm.b, 1, BOT_NONE, bad, 6, NULL, 0).csw_status, ==, 1);
    g_assert_cmphex(bot_sense(&vm.b, 1), ==, 0x052000);
    g_assert_cmpuint(bot_command(&vm.b, 1, BOT_NONE, &(uint8_t[6]){ 0 }, 6, NULL, 0).csw_status, ==,
                     1);
    g_assert_cmphex(bot_sense(&vm.b, 1), ==, 0x023a00);
    assert_works(&vm, 0);
    bot_read10(&vm.b, 3, 3, 1, 512, (uint8_t[512]){ 0 });
    /* LUN 2 is not there. */
    g_assert_cmpuint(bot_command(&vm.b, 2, BOT_NONE, &(uint8_t[6]){ 0 }, 6, NULL, 0).csw_status, ==,
                     1);
    g_assert_cmpuint(bot_command(&vm.b, 2, BOT_IN, sense, 6, data, 18).csw_status, ==, 0);
    g_assert_cmphex(data[12], ==, 0x25);
    g_assert_cmpuint(bot_command(&vm.b, 0, BOT_IN, luns, 12, list, 64).csw_status, ==, 0);
    g_assert_cmpuint(load_be32(list), ==, 24);
    g_assert_cmpuint(list[8 + 1], ==, 0);
    g_assert_cmpuint(list[16 + 1], ==, 1);
    g_assert_cmpuint(list[24 + 1], ==, 3);
    qtest_end(vm.q);
}

/* ---- media ----------------------------------------------------------------------------------- */

static uint32_t ready_sense(Vm *vm)
{
    BotResult r = bot_command(&vm->b, 0, BOT_NONE, &(uint8_t[6]){ 0 }, 6, NULL, 0);
    return r.csw_status ? bot_sense(&vm->b, 0) : 0;
}

static uint32_t media_event(Vm *vm)
{
    uint8_t cdb[10] = { 0x4a, 1, 0, 0, 0x10, 0, 0, 0, 8 }, event[8] = { 0 };
    g_assert_cmpuint(
        bot_command(&vm->b, 0, BOT_IN, cdb, sizeof(cdb), event, sizeof(event)).csw_status, ==, 0);
    g_assert_cmphex(load_be32(event), ==, 0x00040410);
    return event[4] << 8 | event[5];
}

static void test_media(void)
{
    const char *disc = qtest_image("disc.iso", IMAGE_SIZE, IMAGE_SEED);
    uint8_t block[2048], lock[6] = { 0x1e, 0, 0, 0, 1 }, unlock[6] = { 0x1e },
                         eject[6] = { 0x1b, 0, 0, 0, 2 };
    Vm vm;

    vm_start(&vm, "-device usb-bot,id=bot,bus=usb.0,port=2 -device scsi-cd,id=cd,bus=bot.0");
    g_assert_cmphex(ready_sense(&vm), ==, 0x062900);
    g_assert_cmphex(ready_sense(&vm), ==, 0x023a00);
    qtest_qmp_ok(
        vm.q, "{'execute': 'blockdev-change-medium', 'arguments': {'id': 'cd', 'filename': '%s'}}",
        disc);
    qtest_move(vm.q);
    g_assert_cmphex(ready_sense(&vm), ==, 0x063a00);
    g_assert_cmphex(media_event(&vm), ==, 0x0202);
    qtest_move(vm.q);
    g_assert_cmphex(ready_sense(&vm), ==, 0x062800);
    g_assert_cmphex(ready_sense(&vm), ==, 0);
    g_assert_cmphex(media_event(&vm), ==, 0x0002);
    bot_read10(&vm.b, 0, 5, 1, 2048, block);
    assert_pattern(block, sizeof(block), 5 * 2048);
    g_assert_cmpuint(bot_command(&vm.b, 0, BOT_NONE, lock, 6, NULL, 0).csw_status, ==, 0);
    qtest_move(vm.q);
    qtest_qmp_fails(vm.q, "GenericError", "locked",
                    "{'execute': 'eject', 'arguments': {'id': 'cd'}}");
    qtest_move(vm.q);
    g_assert_cmphex(media_event(&vm), ==, 0x0102);
    g_assert_cmpuint(bot_command(&vm.b, 0, BOT_NONE, eject, 6, NULL, 0).csw_status, ==, 1);
    g_assert_cmphex(bot_sense(&vm.b, 0), ==, 0x055302);
    g_assert_cmpuint(bot_command(&vm.b, 0, BOT_NONE, unlock, 6, NULL, 0).csw_status, ==, 0);
    g_assert_cmpuint(bot_command(&vm.b, 0, BOT_NONE, eject, 6, NULL, 0).csw_status, ==, 0);
    json_object_put(qtest_wait_event(vm.q, "DEVICE_TRAY_MOVED"));
    qtest_move(vm.q);
    g_assert_cmphex(media_event(&vm), ==, 0x0001);
    g_assert_cmphex(ready_sense(&vm), ==, 0x023a00);
    qtest_end(vm.q);
}

/* ---- errors that stop the VM ----------------------------------------------------------------- */

typedef struct StopCase {
    const char *name, *iotype;
    BotDirection direction;
    uint32_t len;
    uint8_t cdb[16], cdb_len;
} StopCase;

static const StopCase stop_cases[] = {
    { "read", "read", BOT_IN, 4 * 512, { 0x28, 0, 0, 0, 0, 3, 0, 0, 4 }, 10 },
    { "write", "write", BOT_OUT, 4 * 512, { 0x2a, 0, 0, 0, 0, 3, 0, 0, 4 }, 10 },
    { "synchronize-cache", "flush", BOT_NONE, 0, { 0x35 }, 10 },
    { "write-same", "write", BOT_OUT, 512, { 0x41, 0, 0, 0, 0, 3, 0, 0, 4 }, 10 },
    { "unmap", "discard", BOT_OUT, 24, { 0x42, 0, 0, 0, 0, 0, 0, 0, 24 }, 10 },
};

static char *stop_args(const char *image, const char *iotype)
{
    /* once=on: the destination, or a second try, finds the disk well again */
    g_autofree char *file = g_strdup_printf(
        "{\"driver\": \"file\", \"filename\": \"%s\", \"discard\": \"unmap\"}", image);
    if (!iotype) {
        return g_strdup_printf(
            "-blockdev '{\"driver\": \"raw\", \"node-name\": \"disk\", \"discard\": \"unmap\", "
            "\"file\": %s}' "
            "-device usb-storage,id=dev,bus=usb.0,port=2,drive=disk,rerror=stop,werror=stop",
            file);
    }
    return g_strdup_printf(
        "-blockdev '{\"driver\": \"raw\", \"node-name\": \"disk\", \"discard\": \"unmap\", "
        "\"file\": "
        "{\"driver\": \"blkdebug\", \"discard\": \"unmap\", \"image\": %s, \"inject-error\": "
        "[{\"event\": \"none\", \"iotype\": \"%s\", \"errno\": 5, \"once\": true}]}}' "
        "-device usb-storage,id=dev,bus=usb.0,port=2,drive=disk,rerror=stop,werror=stop",
        file, iotype);
}

/* Runs c; its I/O fails once and stops the VM. moves: how often it moves before it continues. */
static void run_stop_case(const StopCase *c, unsigned moves)
{
    const char *image = qtest_image(c->name, IMAGE_SIZE, IMAGE_SEED);
    g_autofree char *source = stop_args(image, c->iotype), *destination = NULL;
    uint8_t data[4 * 512] = { 0, 22, 0, 16, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 40, 0, 0, 0, 8 };
    BotResult r = { .data_status = UHCI_DONE };
    UhciResult u = { .status = UHCI_DONE };
    Vm vm;

    vm_start(&vm, source);
    qtest_set_moving(vm.q, false);
    bot_wait_ready(&vm.b, 0);
    if (c->cdb[0] == 0x35) { /* there must be something to flush */
        uint8_t write[10] = { 0x2a, [5] = 9, [8] = 1 }, block[512] = { 0 };
        r = bot_command(&vm.b, 0, BOT_OUT, write, sizeof(write), block, sizeof(block));
        g_assert_cmpuint(r.csw_status, ==, 0);
    }
    g_assert_cmpint(bot_send_cbw(&vm.b, 0, c->direction, c->cdb, c->cdb_len, c->len), ==,
                    UHCI_DONE);
    if (c->direction == BOT_OUT) {
        g_assert_cmpint(bot_data(&vm.b, BOT_OUT, data, c->len).status, ==, UHCI_DONE);
    }
    qtest_wait_status(vm.q, "io-error");
    json_object_put(qtest_wait_event(vm.q, "BLOCK_IO_ERROR"));
    json_object_put(qtest_wait_event(vm.q, "STOP"));
    for (unsigned i = 0; i < moves; i++) {
        g_free(destination);
        destination = stop_args(image, NULL);
        qtest_move_to(vm.q, MACHINE "%s", destination);
    }
    qtest_qmp_ok(vm.q, "{'execute': 'cont'}");
    if (c->direction == BOT_IN) {
        u = bot_data(&vm.b, BOT_IN, data, c->len);
        g_assert_cmpint(u.status, ==, UHCI_DONE);
        assert_pattern(data, c->len, 3 * 512);
    }
    g_assert_cmpint(bot_read_csw(&vm.b, &r), ==, UHCI_DONE);
    g_assert_cmpuint(r.csw_status, ==, 0);
    g_assert_cmpuint(r.residue, ==, 0);
    if (c->cdb[0] == 0x2a || c->cdb[0] == 0x41 || c->cdb[0] == 0x42) {
        uint32_t lba = c->cdb[0] == 0x42 ? 40 : 3, blocks = c->cdb[0] == 0x42 ? 8 : 4;
        g_autofree uint8_t *back = g_malloc(blocks * 512);
        bot_read10(&vm.b, 0, lba, blocks, 512, back);
        for (uint32_t i = 0; i < blocks * 512; i++) {
            g_assert_cmphex(back[i], ==,
                            c->cdb[0] == 0x2a   ? data[i]
                            : c->cdb[0] == 0x41 ? data[i % 512]
                                                : 0);
        }
    }
    qtest_end(vm.q);
}

static void test_stop(gconstpointer opaque)
{
    for (unsigned moves = 0; moves <= 2; moves++) {
        run_stop_case(opaque, moves);
    }
}

/* With the property off a parameter list has no way to travel: the move fails and says so. */
static void test_stop_off(void)
{
    const StopCase *c = &stop_cases[4];
    const char *image = qtest_image("stop-off", IMAGE_SIZE, IMAGE_SEED);
    g_autofree char *source = stop_args(image, c->iotype);
    uint8_t list[24] = { 0, 22, 0, 16, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 40, 0, 0, 0, 8 };
    BotResult r;
    Vm vm = { 0 };

    vm.q = qtest_start("-machine pc-i440fx-9.0 -m 16 -device piix3-usb-uhci,id=usb,addr=01.2 %s",
                       source);
    qtest_set_moving(vm.q, false);
    uhci_init(&vm.u, vm.q, DEVFN_UHCI, UHCI_IO, GUEST_MEMORY);
    bot_enumerate(&vm.b, &vm.u, 1, 1);
    bot_wait_ready(&vm.b, 0);
    bot_send_cbw(&vm.b, 0, BOT_OUT, c->cdb, c->cdb_len, c->len);
    bot_data(&vm.b, BOT_OUT, list, sizeof(list));
    qtest_wait_status(vm.q, "io-error");
    qtest_qmp_ok(vm.q,
                 "{'execute': 'migrate-set-parameters', 'arguments': {'x-quiesce-timeout': 50}}");
    qtest_qmp_ok(vm.q, "{'execute': 'migrate', 'arguments': {'uri': 'exec:cat >/dev/null'}}");
    for (;;) {
        json_object *status = qtest_qmp_return(vm.q, "{'execute': 'query-migrate'}");
        g_autofree char *text = g_strdup(qtest_json_string(status, "status"));
        bool failed = g_str_equal(text, "failed");
        g_assert_cmpstr(text, !=, "completed");
        if (failed) {
            g_assert_nonnull(strstr(qtest_json_string(status, "error-desc"), "request UNMAP"));
        }
        json_object_put(status);
        if (failed) {
            break;
        }
        g_usleep(5000);
    }
    qtest_qmp_ok(vm.q, "{'execute': 'cont'}");
    g_assert_cmpint(bot_read_csw(&vm.b, &r), ==, UHCI_DONE);
    g_assert_cmpuint(r.csw_status, ==, 0);
    qtest_end(vm.q);
}

static void test_report(void)
{
    const char *image = qtest_image("report", IMAGE_SIZE, IMAGE_SEED);
    uint8_t data[512], cdb[10] = { 0x28, 0, 0, 0, 0, 3, 0, 0, 1 };
    BotResult r;
    Vm vm;
    g_autofree char *args =
        g_strdup_printf("-blockdev '{\"driver\": \"raw\", \"node-name\": \"disk\", \"file\": "
                        "{\"driver\": \"blkdebug\", \"image\": "
                        "{\"driver\": \"file\", \"filename\": \"%s\"}, \"inject-error\": "
                        "[{\"event\": \"none\", \"iotype\": \"read\", "
                        "\"errno\": 5, \"sector\": 3}]}}' -device "
                        "usb-storage,id=dev,bus=usb.0,port=2,drive=disk,rerror=report",
                        image);

    vm_start(&vm, args);
    bot_wait_ready(&vm.b, 0);
    r = bot_command(&vm.b, 0, BOT_IN, cdb, sizeof(cdb), data, sizeof(data));
    g_assert_cmpuint(r.csw_status, ==, 1);
    g_assert_cmpuint(r.residue, ==, 512);
    qtest_move(vm.q);
    g_assert_cmphex(bot_sense(&vm.b, 0), ==, 0x0b0006);
    cdb[5] = 4;
    r = bot_command(&vm.b, 0, BOT_IN, cdb, sizeof(cdb), data, sizeof(data));
    g_assert_cmpuint(r.csw_status, ==, 0);
    assert_pattern(data, sizeof(data), 4 * 512);
    qtest_end(vm.q);
}

/* ---- block I/O that takes its time ----------------------------------------------------------- */

#define SLOW                                                                                   \
    "-blockdev driver=null-co,node-name=disk,size=1048576,read-zeroes=on,latency-ns=30000000 " \
    "-device usb-storage,id=dev,bus=usb.0,port=2,drive=disk"

/* Packets of any size, so that one lies across two chunks of 128 KiB; frame by frame, with moves
 * while it waits. */
static void slow_transfer(Vm *vm, BotDirection direction, size_t packet, unsigned move_every)
{
    const uint32_t blocks = 300;
    uint8_t cdb[10] = { direction == BOT_IN ? 0x28 : 0x2a, [7] = blocks >> 8, [8] = blocks & 255 };
    BotDriver *b = &vm->b;
    bool in = direction == BOT_IN;
    g_autofree uint8_t *data = g_malloc(blocks * 512);
    size_t done = 0, part = 200 * packet;
    BotResult r;

    memset(data, in ? 0xee : 0, blocks * 512);
    g_assert_cmpint(bot_send_cbw(b, 0, direction, cdb, sizeof(cdb), blocks * 512), ==, UHCI_DONE);
    for (unsigned round = 0; done < blocks * 512; round++) {
        size_t n = MIN(part, blocks * 512 - done);
        UhciResult u = { .status = UHCI_PENDING };
        uhci_queue(b->u, b->address, in ? b->in_endpoint : b->out_endpoint,
                   in ? UHCI_PID_IN : UHCI_PID_OUT, in ? b->in_toggle : b->out_toggle, data + done,
                   n, packet, in ? UHCI_TD_SPD : 0);
        for (unsigned frames = 0; u.status == UHCI_PENDING && frames < 20000; frames++) {
            u = uhci_run(b->u, 1);
            if (u.status == UHCI_PENDING && frames % move_every == move_every - 1 &&
                qtest_moves(vm->q) < 40) {
                qtest_move(vm->q);
                u = uhci_look(b->u);
            }
        }
        uhci_unlink(b->u);
        g_assert_cmpint(u.status, ==, UHCI_DONE);
        g_assert_cmpuint(u.actual, ==, n);
        *(in ? &b->in_toggle : &b->out_toggle) = u.toggle;
        if (in) {
            uhci_read_data(b->u, data + done, n);
        }
        done += n;
    }
    g_assert_cmpint(bot_read_csw(b, &r), ==, UHCI_DONE);
    g_assert_cmpuint(r.csw_status, ==, 0);
    g_assert_cmpuint(r.residue, ==, 0);
    for (size_t i = 0; in && i < blocks * 512; i++) {
        g_assert_cmphex(data[i], ==, 0);
    }
}

static void test_slow(void)
{
    Vm vm;
    vm_start(&vm, SLOW);
    qtest_set_moving(vm.q, false);
    bot_wait_ready(&vm.b, 0);
    slow_transfer(&vm, BOT_IN, 64, 7);
    slow_transfer(&vm, BOT_IN, 60, 5);
    slow_transfer(&vm, BOT_OUT, 64, 7);
    slow_transfer(&vm, BOT_OUT, 60, 5);
    qtest_end(vm.q);
}

/* Reset while block I/O is running: the next command waits for it, and gets its own data. */
static void test_reset_while_busy(void)
{
    uint8_t cdb[10] = { 0x28, [8] = 8 }, data[512];
    Vm vm;
    vm_start(&vm, SLOW);
    qtest_set_moving(vm.q, false);
    bot_wait_ready(&vm.b, 0);
    for (int move = 0; move <= 1; move++) {
        bot_send_cbw(&vm.b, 0, BOT_IN, cdb, sizeof(cdb), 4096);
        bot_reset_recovery(&vm.b);
        if (move) {
            qtest_move(vm.q);
        }
        bot_read10(&vm.b, 0, 9, 1, 512, data);
    }
    qtest_end(vm.q);
}

/* ---- plugging -------------------------------------------------------------------------------- */

static void test_unplug_in_flight(void)
{
    uint8_t cdb[10] = { 0x28, [8] = 8 };
    Vm vm;
    vm_start(&vm, SLOW);
    qtest_set_moving(vm.q, false);
    bot_wait_ready(&vm.b, 0);
    bot_send_cbw(&vm.b, 0, BOT_IN, cdb, sizeof(cdb), 4096);
    qtest_qmp_ok(vm.q, "{'execute': 'device_del', 'arguments': {'id': 'dev'}}");
    json_object_put(qtest_wait_event(vm.q, "DEVICE_DELETED"));
    qtest_qmp_ok(vm.q, "{'execute': 'device_add', 'arguments': {'driver': 'usb-storage', 'id': "
                       "'dev2', 'bus': 'usb.0', "
                       "'port': '2', 'drive': 'disk'}}");
    bot_enumerate(&vm.b, &vm.u, 1, 1);
    bot_wait_ready(&vm.b, 0);
    bot_read10(&vm.b, 0, 9, 1, 512, (uint8_t[512]){ 0 });
    qtest_end(vm.q);
}

static void test_unplug_lun_in_flight(void)
{
    uint8_t cdb[10] = { 0x28, [8] = 8 };
    BotResult r;
    Vm vm;
    vm_start(
        &vm,
        "-blockdev driver=null-co,node-name=disk,size=1048576,read-zeroes=on,latency-ns=30000000 "
        "-device usb-bot,id=bot,bus=usb.0,port=2 -device scsi-hd,id=hd,bus=bot.0,drive=disk");
    qtest_set_moving(vm.q, false);
    bot_wait_ready(&vm.b, 0);
    bot_send_cbw(&vm.b, 0, BOT_IN, cdb, sizeof(cdb), 4096);
    qtest_qmp_ok(vm.q, "{'execute': 'device_del', 'arguments': {'id': 'hd'}}");
    json_object_put(qtest_wait_event(vm.q, "DEVICE_DELETED"));
    bot_data(&vm.b, BOT_IN, (uint8_t[4096]){ 0 }, 4096);
    g_assert_cmpint(bot_read_csw(&vm.b, &r), ==, UHCI_DONE);
    g_assert_cmpuint(r.csw_status, !=, 0);
    qtest_end(vm.q);
}

/* A bridge that is plugged while the VM runs appears when it is complete. */
static void test_attached(void)
{
    Vm vm = { 0 };
    vm.q =
        qtest_start(MACHINE "-blockdev driver=null-co,node-name=disk,size=1048576,read-zeroes=on");
    qtest_set_moving(vm.q, false);
    uhci_init(&vm.u, vm.q, DEVFN_UHCI, UHCI_IO, GUEST_MEMORY);
    qtest_qmp_ok(
        vm.q,
        "{'execute': 'device_add', 'arguments': {'driver': 'usb-bot', 'id': 'bot', 'bus': 'usb.0', "
        "'port': '2'}}");
    g_assert_false(uhci_reset_port(&vm.u, 1));
    qtest_qmp_ok(
        vm.q,
        "{'execute': 'device_add', 'arguments': {'driver': 'scsi-hd', 'id': 'hd', 'bus': 'bot.0', "
        "'drive': 'disk'}}");
    qtest_qmp_ok(vm.q, "{'execute': 'qom-set', 'arguments': {'path': '/machine/peripheral/bot', "
                       "'property': 'attached', 'value': true}}");
    bot_enumerate(&vm.b, &vm.u, 1, 1);
    bot_wait_ready(&vm.b, 0);
    bot_read10(&vm.b, 0, 9, 1, 512, (uint8_t[512]){ 0 });
    qtest_end(vm.q);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/usb-storage/thirteen-cases", test_thirteen_cases);
    g_test_add_func("/usb-storage/invalid-cbw", test_invalid_cbw);
    g_test_add_func("/usb-storage/out-of-step", test_out_of_step);
    g_test_add_func("/usb-storage/luns", test_luns);
    g_test_add_func("/usb-storage/media", test_media);
    for (unsigned i = 0; i < G_N_ELEMENTS(stop_cases); i++) {
        g_autofree char *path = g_strdup_printf("/usb-storage/stopped/%s", stop_cases[i].name);
        g_test_add_data_func(path, &stop_cases[i], test_stop);
    }
    g_test_add_func("/usb-storage/stopped/off-fails-by-name", test_stop_off);
    g_test_add_func("/usb-storage/error-reported", test_report);
    g_test_add_func("/usb-storage/slow", test_slow);
    g_test_add_func("/usb-storage/reset-while-busy", test_reset_while_busy);
    g_test_add_func("/usb-storage/unplug-in-flight", test_unplug_in_flight);
    g_test_add_func("/usb-storage/unplug-lun-in-flight", test_unplug_lun_in_flight);
    g_test_add_func("/usb-storage/attached", test_attached);
    return g_test_run();
}
