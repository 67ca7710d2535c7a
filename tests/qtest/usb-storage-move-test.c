/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A USB mass-storage command may be interrupted by a live migration at any point: what the guest gets — data, residue,
 * status, sense — must equal what it gets without one (P1).
 *
 * Each case is a command × a device (usb-storage's implicit disk, scsi-cd and scsi-hd behind usb-bot) × a setting of
 * migrate-emulated-scsi-request on the two sides. Within a case the command runs once undisturbed, then once for each
 * point with a move there. With the property off at the source an emulated request cannot travel: the move must fail
 * by name, the guest must go on as if nothing had been, and the next move must succeed.
 */
#include "util/osdep.h"
#include "bot-driver.h"
#include "util/bytes.h"

#include <stdio.h>

#define DEVFN_UHCI 0x0a
#define UHCI_IO 0xc040
#define GUEST_MEMORY 0x100000
#define IMAGE_SIZE (512 * 1024)
#define IMAGE_SEED 7
#define MAX_DATA (40 * 1024)

/* ---- what can be interrupted ----------------------------------------------------------------------------------- */

typedef enum Point {
    POINT_NONE,
    POINT_BEFORE_CBW,
    POINT_CBW_QUEUED,      /* the TD of the command waits for its frame */
    POINT_AFTER_CBW,
    POINT_DATA_QUEUED,     /* all TDs of the data phase are queued, none has run */
    POINT_DATA_ONE_FRAME,  /* all are queued, one frame's worth has run */
    POINT_AFTER_PACKET_1,  /* packet by packet: after the first, in the middle, before the last */
    POINT_AFTER_PACKET_MID,
    POINT_BEFORE_LAST_PACKET,
    POINT_STALLED,         /* the data phase ended in a halt that is not cleared yet */
    POINT_AFTER_DATA,
    POINT_CSW_QUEUED,
    POINT_AFTER_CSW,
    POINT_RESET_RECOVERY,  /* after the CBW: move, then Bulk-Only reset instead of the data */
    POINTS
} Point;

static const char *const point_names[POINTS] = {
    "none", "before CBW", "CBW queued", "after CBW", "data queued", "data, one frame", "after packet 1",
    "after the middle packet", "before the last packet", "stalled", "after data", "CSW queued", "after CSW",
    "reset recovery",
};

enum { ON_CD = 1, ON_HD = 2, ON_ANY = 3 };

typedef struct Command {
    const char *name;
    unsigned where;
    BotDirection direction;
    uint8_t cdb[16];
    uint8_t cdb_len;
    uint32_t len;           /* of the data phase */
    bool dma;               /* block data: travels whatever the property says */
    const char *before;     /* an opcode 0xff command first, so that there is sense to ask for: "sense" */
    uint8_t out[32];        /* head of what the host sends; the rest is a pattern */
    uint8_t out_len;
} Command;

#define CDB(...) .cdb = { __VA_ARGS__ }, .cdb_len = sizeof((uint8_t[]){ __VA_ARGS__ })

static const Command commands[] = {
    { "test-unit-ready", ON_ANY, BOT_NONE, CDB(0x00, 0, 0, 0, 0, 0) },
    { "request-sense-with-sense", ON_ANY, BOT_IN, CDB(0x03, 0, 0, 0, 18, 0), .len = 18, .before = "sense" },
    { "request-sense-without", ON_ANY, BOT_IN, CDB(0x03, 0, 0, 0, 252, 0), .len = 252 },
    { "inquiry", ON_ANY, BOT_IN, CDB(0x12, 0, 0, 0, 36, 0), .len = 36 },
    { "inquiry-long", ON_ANY, BOT_IN, CDB(0x12, 0, 0, 0, 255, 0), .len = 255 },
    { "inquiry-vpd-00", ON_ANY, BOT_IN, CDB(0x12, 1, 0x00, 0, 255, 0), .len = 255 },
    { "inquiry-vpd-80", ON_ANY, BOT_IN, CDB(0x12, 1, 0x80, 0, 255, 0), .len = 255 },
    { "inquiry-vpd-83", ON_ANY, BOT_IN, CDB(0x12, 1, 0x83, 0, 255, 0), .len = 255 },
    { "inquiry-vpd-b0", ON_HD, BOT_IN, CDB(0x12, 1, 0xb0, 0, 255, 0), .len = 255 },
    { "inquiry-vpd-b2", ON_HD, BOT_IN, CDB(0x12, 1, 0xb2, 0, 255, 0), .len = 255 },
    { "inquiry-vpd-unknown", ON_ANY, BOT_IN, CDB(0x12, 1, 0x5a, 0, 255, 0), .len = 255 },
    { "mode-sense-6", ON_ANY, BOT_IN, CDB(0x1a, 0, 0x3f, 0, 192, 0), .len = 192 },
    { "mode-sense-10", ON_ANY, BOT_IN, CDB(0x5a, 0, 0x3f, 0, 0, 0, 0, 1, 0, 0), .len = 256 },
    { "mode-sense-10-capabilities", ON_CD, BOT_IN, CDB(0x5a, 0, 0x2a, 0, 0, 0, 0, 0, 128, 0), .len = 128 },
    { "mode-select-6", ON_HD, BOT_OUT, CDB(0x15, 0x10, 0, 0, 24, 0), .len = 24,
      .out = { 0, 0, 0, 0, 0x08, 0x12, 0x04 }, .out_len = 24 },
    { "mode-select-10", ON_HD, BOT_OUT, CDB(0x55, 0x10, 0, 0, 0, 0, 0, 0, 28, 0), .len = 28,
      .out = { 0, 0, 0, 0, 0, 0, 0, 0, 0x08, 0x12, 0x00 }, .out_len = 28 },
    { "read-capacity", ON_ANY, BOT_IN, CDB(0x25, 0, 0, 0, 0, 0, 0, 0, 0, 0), .len = 8 },
    { "read-capacity-16", ON_HD, BOT_IN, CDB(0x9e, 0x10, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 32, 0, 0), .len = 32 },
    { "report-luns", ON_ANY, BOT_IN, CDB(0xa0, 0, 0, 0, 0, 0, 0, 0, 0, 128, 0, 0), .len = 128 },
    { "start-unit", ON_ANY, BOT_NONE, CDB(0x1b, 0, 0, 0, 1, 0) },
    { "prevent-removal", ON_CD, BOT_NONE, CDB(0x1e, 0, 0, 0, 1, 0) },
    { "allow-removal", ON_CD, BOT_NONE, CDB(0x1e, 0, 0, 0, 0, 0) },
    { "read-toc", ON_CD, BOT_IN, CDB(0x43, 0, 0, 0, 0, 0, 0, 1, 0, 0), .len = 256 },
    { "read-toc-msf", ON_CD, BOT_IN, CDB(0x43, 2, 0, 0, 0, 0, 0, 1, 0, 0), .len = 256 },
    { "read-toc-session", ON_CD, BOT_IN, CDB(0x43, 0, 1, 0, 0, 0, 0, 0, 12, 0), .len = 12 },
    { "get-configuration", ON_CD, BOT_IN, CDB(0x46, 0, 0, 0, 0, 0, 0, 1, 0, 0), .len = 256 },
    { "get-event-status", ON_CD, BOT_IN, CDB(0x4a, 1, 0, 0, 0x10, 0, 0, 0, 8, 0), .len = 8 },
    { "read-disc-information", ON_CD, BOT_IN, CDB(0x51, 0, 0, 0, 0, 0, 0, 0, 64, 0), .len = 64 },
    { "get-performance", ON_CD, BOT_IN, CDB(0xac, 0, 0, 0, 0, 0, 0, 0, 0, 2, 0, 0), .len = 64 },
    { "mechanism-status", ON_CD, BOT_IN, CDB(0xbd, 0, 0, 0, 0, 0, 0, 0, 0, 8, 0, 0), .len = 8 },
    { "read-dvd-structure", ON_CD, BOT_IN, CDB(0xad, 0, 0, 0, 0, 0, 0, 0, 8, 4, 0, 0), .len = 2052 },
    { "invalid-opcode", ON_ANY, BOT_NONE, CDB(0xff, 0, 0, 0, 0, 0) },
    { "invalid-opcode-with-data", ON_ANY, BOT_IN, CDB(0xff, 0, 0, 0, 0, 0), .len = 200 },
    { "synchronize-cache", ON_HD, BOT_NONE, CDB(0x35, 0, 0, 0, 0, 0, 0, 0, 0, 0) },
    { "read-beyond-the-end", ON_ANY, BOT_IN, CDB(0x28, 0, 0x7f, 0, 0, 0, 0, 0, 1, 0), .len = 2048, .dma = true },
    { "read-10-cd", ON_CD, BOT_IN, CDB(0x28, 0, 0, 0, 0, 3, 0, 0, 5, 0), .len = 5 * 2048, .dma = true },
    { "read-10-cd-long", ON_CD, BOT_IN, CDB(0x28, 0, 0, 0, 0, 9, 0, 0, 20, 0), .len = 20 * 2048, .dma = true },
    { "read-12-cd", ON_CD, BOT_IN, CDB(0xa8, 0, 0, 0, 0, 17, 0, 0, 0, 2, 0, 0), .len = 2 * 2048, .dma = true },
    { "read-6", ON_HD, BOT_IN, CDB(0x08, 0, 0, 5, 9, 0), .len = 9 * 512, .dma = true },
    { "read-10-hd", ON_HD, BOT_IN, CDB(0x28, 0, 0, 0, 0, 77, 0, 0, 64, 0), .len = 64 * 512, .dma = true },
    { "read-16", ON_HD, BOT_IN, CDB(0x88, 0, 0, 0, 0, 0, 0, 0, 0, 31, 0, 0, 0, 7, 0, 0), .len = 7 * 512, .dma = true },
    { "write-6", ON_HD, BOT_OUT, CDB(0x0a, 0, 0, 20, 3, 0), .len = 3 * 512, .dma = true },
    { "write-10", ON_HD, BOT_OUT, CDB(0x2a, 0, 0, 0, 0, 20, 0, 0, 40, 0), .len = 40 * 512, .dma = true },
    { "write-12", ON_HD, BOT_OUT, CDB(0xaa, 0, 0, 0, 0, 21, 0, 0, 0, 4, 0, 0), .len = 4 * 512, .dma = true },
    { "write-16", ON_HD, BOT_OUT, CDB(0x8a, 0, 0, 0, 0, 0, 0, 0, 0, 20, 0, 0, 0, 6, 0, 0), .len = 6 * 512, .dma = true },
    { "verify-10", ON_HD, BOT_NONE, CDB(0x2f, 0, 0, 0, 0, 9, 0, 0, 4, 0) },
    { "write-same-10", ON_HD, BOT_OUT, CDB(0x41, 0, 0, 0, 0, 25, 0, 0, 8, 0), .len = 512 },
    { "write-same-16", ON_HD, BOT_OUT, CDB(0x93, 0, 0, 0, 0, 0, 0, 0, 0, 30, 0, 0, 0, 4, 0, 0), .len = 512 },
    { "unmap", ON_HD, BOT_OUT, CDB(0x42, 0, 0, 0, 0, 0, 0, 0, 24, 0), .len = 24,
      .out = { 0, 22, 0, 16, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 40, 0, 0, 0, 8 }, .out_len = 24 },
};

/* What a command came to, as the guest sees it. */
typedef struct Outcome {
    BotResult result;
    uint32_t sense;
    uint8_t data[MAX_DATA];
    char *blocks; /* checksum of the blocks that the data-out commands touch; NULL for others */
} Outcome;

typedef struct Device {
    const char *name;
    const char *args;
    unsigned kind;
    size_t block_size;
    const char *type;   /* whose migrate-emulated-scsi-request the settings are about */
} Device;

static const Device devices[] = {
    { "usb-storage", "-device usb-storage,id=dev,bus=usb.0,port=2,drive=disk", ON_HD, 512, "scsi-hd" },
    { "usb-bot-cd", "-device usb-bot,id=bot,bus=usb.0,port=2 -device scsi-cd,id=dev,bus=bot.0,drive=disk", ON_CD, 2048,
      "scsi-cd" },
    { "usb-bot-hd", "-device usb-bot,id=bot,bus=usb.0,port=2 -device scsi-hd,id=dev,bus=bot.0,drive=disk", ON_HD, 512,
      "scsi-hd" },
};

typedef struct Setting {
    const char *name;
    const char *machine;
    const char *source, *destination; /* of migrate-emulated-scsi-request; NULL: the machine's default */
    bool emulated_stays;              /* an emulated request in flight makes the move fail by name */
} Setting;

static const Setting settings[] = {
    { "on", "pc-i440fx-10.0", NULL, NULL, false },
    { "off", "pc-i440fx-9.0", NULL, NULL, true },
    { "on-to-off", "pc-i440fx-9.1", "on", "off", false },
    { "off-to-on", "pc-i440fx-8.2", "off", "on", true },
};

/* What a case is about, and the case while it runs. */
typedef struct Subject {
    const Command *command;
    const Device *device;
    const Setting *setting;
} Subject;

typedef struct Case {
    const Command *command;
    const Device *device;
    const Setting *setting;
    char *image;
    QTest *q;
    UhciDriver uhci;
    BotDriver bot;
    bool at_destination; /* the last move went to the destination's setting */
    bool moved;          /* this run's point came */
    size_t device_len;   /* bytes that the device itself sends or takes, without padding */
    size_t todo;         /* of these, not moved yet: the request is in flight */
} Case;

/* ---- moving -------------------------------------------------------------------------------------------------------- */

static char *side_args(const Case *c, const char *property)
{
    g_autofree char *global = property ? g_strdup_printf("-global %s.migrate-emulated-scsi-request=%s",
                                                         c->device->type, property)
                                       : g_strdup("");

    return g_strdup_printf("-machine %s -m 16 %s -device piix3-usb-uhci,id=usb,addr=01.2 "
                           "-blockdev driver=file,filename=%s,node-name=disk,read-only=%s %s",
                           c->setting->machine, global, c->image, c->device->kind == ON_CD ? "on" : "off",
                           c->device->args);
}

/* The source must refuse, name the device, and run on. */
static void move_must_fail(Case *c)
{
    json_object *status;
    const char *error;

    qtest_qmp_ok(c->q, "{'execute': 'migrate', 'arguments': {'uri': 'exec:cat >/dev/null'}}");
    do {
        g_usleep(2000);
        status = qtest_qmp_return(c->q, "{'execute': 'query-migrate'}");
        error = qtest_json_string(status, "status");
        if (g_str_equal(error, "failed")) {
            break;
        }
        g_assert_cmpstr(error, !=, "completed");
        json_object_put(status);
    } while (true);
    error = qtest_json_string(status, "error-desc");
    if (!strstr(error, "request")) {
        g_error("the reason does not name the request: %s", error);
    }
    json_object_put(status);
    qtest_wait_status(c->q, "running");
}

static void move_now(Case *c, Point point)
{
    c->moved = true;
    if (c->setting->emulated_stays && c->todo && !c->command->dma) {
        move_must_fail(c);
        return;
    }
    if (c->setting->source) {
        g_autofree char *args = side_args(c, c->setting->destination);

        qtest_move_to(c->q, "%s", args);
        /* The next point starts from the source's setting again; there is nothing in flight by then. */
        c->at_destination = true;
    } else {
        qtest_move(c->q);
    }
}

static void back_to_source(Case *c)
{
    if (c->at_destination) {
        g_autofree char *args = side_args(c, c->setting->source);

        qtest_move_to(c->q, "%s", args);
        c->at_destination = false;
    }
}

static void at(Case *c, Point here, Point point)
{
    if (here == point) {
        move_now(c, point);
    }
}

/* ---- one command, cut at a point ------------------------------------------------------------------------------------- */

static void fill_out(const Case *c, uint8_t *data)
{
    const Command *cmd = c->command;

    if (cmd->direction != BOT_OUT) {
        return;
    }
    for (uint32_t i = 0; i < cmd->len; i++) {
        data[i] = i < cmd->out_len ? cmd->out[i] : cmd->out_len ? 0 : qtest_image_byte(i, 1000);
    }
}

static uint8_t data_pid(const Case *c)
{
    return c->command->direction == BOT_IN ? UHCI_PID_IN : UHCI_PID_OUT;
}

/* The data phase with all TDs queued at once. */
static UhciResult data_at_once(Case *c, Point point, uint8_t *data)
{
    BotDriver *b = &c->bot;
    bool in = c->command->direction == BOT_IN;
    bool *toggle = in ? &b->in_toggle : &b->out_toggle;
    UhciResult r;

    uhci_queue(b->u, b->address, in ? b->in_endpoint : b->out_endpoint, data_pid(c), *toggle, data, c->command->len,
               b->mps, in ? UHCI_TD_SPD : 0);
    at(c, POINT_DATA_QUEUED, point);
    if (point == POINT_DATA_ONE_FRAME) {
        uhci_step_frames(b->u, 1);
        c->todo -= MIN(c->todo, uhci_look(b->u).actual);
        if (uhci_look(b->u).status == UHCI_PENDING) {
            move_now(c, point);
        }
    }
    r = uhci_run(b->u, BOT_FRAMES);
    uhci_unlink(b->u);
    *toggle = r.toggle;
    if (in) {
        uhci_read_data(b->u, data, r.actual);
    }
    return r;
}

/* Packet by packet, with a move where the point says. */
static UhciResult data_by_packets(Case *c, Point point, uint8_t *data)
{
    BotDriver *b = &c->bot;
    size_t len = c->command->len, packets = (len + b->mps - 1) / b->mps, done = 0, total = 0;
    UhciResult r = { .status = UHCI_DONE };

    for (size_t i = 0; i < packets && r.status == UHCI_DONE; i++) {
        size_t part = MIN(b->mps, len - done);

        r = bot_data(b, c->command->direction, data + done, part);
        total += r.actual;
        c->todo -= MIN(c->todo, r.actual);
        done += part;
        if (r.status != UHCI_DONE || r.actual < part) {
            break;
        }
        if ((point == POINT_AFTER_PACKET_1 && i == 0 && packets > 1) ||
            (point == POINT_AFTER_PACKET_MID && i + 1 == packets / 2 && i > 0) ||
            (point == POINT_BEFORE_LAST_PACKET && i + 2 == packets && i > 0)) {
            move_now(c, point);
        }
    }
    r.actual = total;
    return r;
}

static void data_phase(Case *c, Point point, Outcome *o)
{
    bool by_packets = point >= POINT_AFTER_PACKET_1 && point <= POINT_BEFORE_LAST_PACKET;
    UhciResult r = by_packets ? data_by_packets(c, point, o->data) : data_at_once(c, point, o->data);

    o->result.data_status = r.status;
    o->result.actual = r.actual;
    if (r.status == UHCI_STALLED) {
        at(c, POINT_STALLED, point);
        bot_clear_halt(&c->bot, c->command->direction);
    }
}

static void status_phase(Case *c, Point point, Outcome *o)
{
    BotDriver *b = &c->bot;

    if (point == POINT_CSW_QUEUED) {
        uhci_queue(b->u, b->address, b->in_endpoint, UHCI_PID_IN, b->in_toggle, NULL, BOT_CSW_SIZE, b->mps, UHCI_TD_SPD);
        move_now(c, point);
        uhci_unlink(b->u);
    }
    if (bot_read_csw(b, &o->result) == UHCI_STALLED) {
        bot_clear_halt(b, BOT_IN);
        bot_read_csw(b, &o->result);
    }
}

/* The CBW by hand, so that it can wait in the queue. */
static void command_phase(Case *c, Point point)
{
    const Command *cmd = c->command;
    BotDriver *b = &c->bot;

    if (point == POINT_CBW_QUEUED) {
        /* An empty queue with a TD that no frame has seen is all that the controller has at this point. */
        uhci_queue(b->u, b->address, b->out_endpoint, UHCI_PID_OUT, b->out_toggle, "x", 1, b->mps, 0);
        move_now(c, point);
        uhci_unlink(b->u);
    }
    g_assert_cmpint(bot_send_cbw(b, 0, cmd->direction, cmd->cdb, cmd->cdb_len, cmd->len), ==, UHCI_DONE);
}

static char *sum_of_blocks(Case *c)
{
    g_autofree uint8_t *blocks = g_malloc(72 * 512);

    if (c->device->kind != ON_HD) {
        return NULL;
    }
    bot_read10(&c->bot, 0, 0, 72, 512, blocks);
    return g_compute_checksum_for_data(G_CHECKSUM_SHA256, blocks, 72 * 512);
}

static void run_command(Case *c, Point point, Outcome *o)
{
    const Command *cmd = c->command;
    uint8_t bad[6] = { 0xff };

    memset(o, 0, sizeof(*o));
    c->moved = false;
    o->result.data_status = UHCI_DONE;
    fill_out(c, o->data);
    if (cmd->before) {
        g_assert_cmpint(bot_command(&c->bot, 0, BOT_NONE, bad, sizeof(bad), NULL, 0).csw_status, ==, 1);
    }
    at(c, POINT_BEFORE_CBW, point);
    command_phase(c, point);
    c->todo = c->device_len;
    at(c, POINT_AFTER_CBW, point);
    if (point == POINT_RESET_RECOVERY) {
        move_now(c, point);
        c->todo = 0;
        bot_reset_recovery(&c->bot);
        return;
    }
    if (cmd->direction != BOT_NONE) {
        data_phase(c, point, o);
    }
    c->todo = 0;
    at(c, POINT_AFTER_DATA, point);
    status_phase(c, point, o);
    at(c, POINT_AFTER_CSW, point);
    if (!cmd->before) {
        o->sense = bot_sense(&c->bot, 0);
    }
    o->blocks = sum_of_blocks(c);
}

/* ---- cases ------------------------------------------------------------------------------------------------------------- */

static void compare(const Case *c, Point point, const Outcome *want, const Outcome *got)
{
    const char *where = point_names[point];

    if (got->result.data_status != want->result.data_status || got->result.actual != want->result.actual ||
        got->result.csw_phase != want->result.csw_phase || got->result.csw_status != want->result.csw_status ||
        got->result.residue != want->result.residue || got->sense != want->sense) {
        g_error("moved %s: data phase %d, %zu bytes, CSW %d/%u, residue %u, sense %06x; "
                "unmoved: %d, %zu bytes, %d/%u, %u, %06x",
                where, got->result.data_status, got->result.actual, got->result.csw_phase, got->result.csw_status,
                got->result.residue, got->sense, want->result.data_status, want->result.actual, want->result.csw_phase,
                want->result.csw_status, want->result.residue, want->sense);
    }
    for (size_t i = 0; c->command->direction == BOT_IN && i < want->result.actual; i++) {
        if (got->data[i] != want->data[i]) {
            g_error("moved %s: byte %zu is %02x, unmoved %02x", where, i, got->data[i], want->data[i]);
        }
    }
    g_assert_cmpstr(got->blocks, ==, want->blocks);
}

static void start(Case *c)
{
    g_autofree char *args = NULL;
    g_autofree char *name = g_strdup_printf("%s-%s-%s.img", c->command->name, c->device->name, c->setting->name);

    c->image = g_strdup(qtest_image(name, IMAGE_SIZE, IMAGE_SEED));
    args = side_args(c, c->setting->source);
    c->q = qtest_start("%s", args);
    qtest_set_moving(c->q, false);
    if (c->setting->emulated_stays) {
        qtest_qmp_ok(c->q, "{'execute': 'migrate-set-parameters', 'arguments': {'x-quiesce-timeout': 3}}");
        qtest_move_setup(c->q, "migrate-set-parameters", "{'x-quiesce-timeout': 3}");
    }
    uhci_init(&c->uhci, c->q, DEVFN_UHCI, UHCI_IO, GUEST_MEMORY);
    bot_enumerate(&c->bot, &c->uhci, 1, 1);
    bot_wait_ready(&c->bot, 0);
}

/* An answer may be shorter than what the host allows, and a command that fails at once moves nothing of its own. */
static size_t cmd_len(const Case *c, const Outcome *home)
{
    if (c->command->direction == BOT_IN) {
        return home->result.csw_status ? 0 : c->command->len - home->result.residue;
    }
    return c->command->len;
}

static void test_case(gconstpointer data)
{
    const Subject *subject = data;
    Case c = { .command = subject->command, .device = subject->device, .setting = subject->setting };
    Outcome *want = g_new(Outcome, 1), *got = g_new(Outcome, 1);

    start(&c);
    /* Twice: what the first run changes (an attention taken, blocks written) is changed for all that follow. */
    run_command(&c, POINT_NONE, want);
    g_free(want->blocks);
    run_command(&c, POINT_NONE, want);
    c.device_len = cmd_len(&c, want);
    for (Point point = POINT_NONE + 1; point < POINTS; point++) {
        run_command(&c, point, got);
        if (point == POINT_RESET_RECOVERY) {
            /* Nothing of the abandoned command is left: the next one is as ever. */
            back_to_source(&c);
            run_command(&c, POINT_NONE, got);
        }
        compare(&c, point, want, got);
        back_to_source(&c);
        g_free(got->blocks);
    }
    qtest_end(c.q);
    g_free(want->blocks);
    g_free(want);
    g_free(got);
    g_free(c.image);
}

static Subject subjects[G_N_ELEMENTS(settings)][G_N_ELEMENTS(devices)][G_N_ELEMENTS(commands)];

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    if (g_getenv("QTEST_MOVE_EVERY")) {
        puts("1..0 # SKIP it moves by itself, at its points");
        return EXIT_SUCCESS;
    }
    for (size_t s = 0; s < G_N_ELEMENTS(settings); s++) {
        for (size_t d = 0; d < G_N_ELEMENTS(devices); d++) {
            for (size_t i = 0; i < G_N_ELEMENTS(commands); i++) {
                g_autofree char *path = g_strdup_printf("/usb-storage-move/%s/%s/%s", settings[s].name, devices[d].name,
                                                        commands[i].name);
                Subject *subject = &subjects[s][d][i];

                *subject = (Subject){ &commands[i], &devices[d], &settings[s] };
                if (commands[i].where & devices[d].kind) {
                    g_test_add_data_func(path, subject, test_case);
                }
            }
        }
    }
    return g_test_run();
}
