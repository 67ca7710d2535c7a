/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * USB devices that come and go while the machine runs and moves, and several units behind one usb-bot whose commands
 * alternate. What the guest sees equals a machine that stays (P1).
 */
#include "util/osdep.h"
#include "bot-driver.h"
#include "util/bytes.h"

#define DEVFN_UHCI 0x0a
#define UHCI_IO 0xc040
#define GUEST_MEMORY 0x100000
#define IMAGE_SIZE (128 * 1024)
#define DISK_SEED 31
#define DISC_SEED 32
#define PORT_BITS (UHCI_PORT_CONNECT | UHCI_PORT_CSC | UHCI_PORT_ENABLE)

typedef struct Rig {
    QTest *q;
    UhciDriver uhci;
    BotDriver bot;
} Rig;

static char *base_args(const char *more)
{
    const char *disk = qtest_image("disk.img", IMAGE_SIZE, DISK_SEED);
    const char *disc = qtest_image("disc.iso", IMAGE_SIZE, DISC_SEED);

    return g_strdup_printf("-m 16 -device piix3-usb-uhci,id=usb,addr=01.2 "
                           "-blockdev driver=file,filename=%s,node-name=disk "
                           "-blockdev driver=file,filename=%s,node-name=disc,read-only=on %s", disk, disc, more);
}

static void rig_start(Rig *rig, const char *more)
{
    g_autofree char *args = base_args(more);

    rig->q = qtest_start("%s", args);
    uhci_init(&rig->uhci, rig->q, DEVFN_UHCI, UHCI_IO, GUEST_MEMORY);
}

static uint16_t port_bits(Rig *rig)
{
    return uhci_port(&rig->uhci, 1) & PORT_BITS;
}

/* The device tells that it has gone, after those that were on it. */
static void unplug(Rig *rig, const char *id)
{
    bool gone = false;

    qtest_qmp_ok(rig->q, "{'execute': 'device_del', 'arguments': {'id': '%s'}}", id);
    while (!gone) {
        json_object *event = qtest_wait_event(rig->q, "DEVICE_DELETED"), *device;

        gone = json_object_object_get_ex(json_object_object_get(event, "data"), "device", &device) &&
               g_str_equal(json_object_get_string(device), id);
        json_object_put(event);
    }
}

static void check_read(Rig *rig, uint8_t lun, size_t block_size, uint32_t seed)
{
    g_autofree uint8_t *data = g_malloc(3 * block_size);

    bot_read10(&rig->bot, lun, 5, 3, block_size, data);
    for (size_t i = 0; i < 3 * block_size; i++) {
        g_assert_cmphex(data[i], ==, qtest_image_byte(5 * block_size + i, seed));
    }
}

/* ---- plugging -------------------------------------------------------------------------------------------------------- */

static void plug_disk(Rig *rig)
{
    qtest_qmp_ok(rig->q, "{'execute': 'device_add', 'arguments': {'driver': 'usb-storage', 'id': 'dev', 'bus': 'usb.0',"
                         " 'port': '2', 'drive': 'disk'}}");
}

/* In the middle of what the device goes. */
typedef enum Middle { IDLE, AFTER_CBW, AFTER_EMULATED_CBW, DATA_QUEUED, IN_DATA, BEFORE_CSW, MIDDLES } Middle;

static const uint8_t inquiry[6] = { 0x12, 0, 0, 0, 36 };
static const uint8_t read_10[10] = { 0x28, 0, 0, 0, 0, 9, 0, 0, 8 };
#define READ_LEN (8 * 512)

static void go_to(Rig *rig, Middle middle)
{
    g_autofree uint8_t *data = g_malloc(READ_LEN);
    BotDriver *b = &rig->bot;

    if (middle == IDLE) {
        return;
    }
    if (middle == AFTER_EMULATED_CBW) {
        g_assert_cmpint(bot_send_cbw(b, 0, BOT_IN, inquiry, sizeof(inquiry), 36), ==, UHCI_DONE);
        return;
    }
    g_assert_cmpint(bot_send_cbw(b, 0, BOT_IN, read_10, sizeof(read_10), READ_LEN), ==, UHCI_DONE);
    if (middle == DATA_QUEUED) {
        uhci_queue(b->u, b->address, b->in_endpoint, UHCI_PID_IN, b->in_toggle, NULL, READ_LEN, b->mps, UHCI_TD_SPD);
    } else if (middle >= IN_DATA) {
        g_assert_cmpint(bot_data(b, BOT_IN, data, middle == IN_DATA ? 640 : READ_LEN).status, ==, UHCI_DONE);
    }
}

/* The queue's TDs, if any, meet a device that is not there. */
static void check_gone(Rig *rig, Middle middle)
{
    uhci_step_frames(&rig->uhci, 4);
    if (middle == DATA_QUEUED) {
        g_assert_cmpint(uhci_look(&rig->uhci).status, !=, UHCI_DONE);
        uhci_unlink(&rig->uhci);
    }
    g_assert_cmphex(port_bits(rig) & (UHCI_PORT_CONNECT | UHCI_PORT_CSC), ==, UHCI_PORT_CSC);
}

static void plug_and_unplug(Rig *rig, Middle middle, bool moves)
{
    plug_disk(rig);
    if (moves) {
        qtest_move(rig->q);
    }
    g_assert_cmphex(port_bits(rig), ==, UHCI_PORT_CONNECT | UHCI_PORT_CSC);
    bot_enumerate(&rig->bot, &rig->uhci, 1, 1);
    if (moves) {
        qtest_move(rig->q);
    }
    bot_wait_ready(&rig->bot, 0);
    check_read(rig, 0, 512, DISK_SEED);
    go_to(rig, middle);
    if (moves) {
        qtest_move(rig->q);
    }
    unplug(rig, "dev");
    if (moves) {
        qtest_move(rig->q);
    }
    check_gone(rig, middle);
}

static void test_disk(void)
{
    Rig rig;

    rig_start(&rig, "");
    g_assert_cmphex(port_bits(&rig), ==, 0);
    for (unsigned moves = 0; moves < 2; moves++) {
        for (Middle middle = 0; middle < MIDDLES; middle++) {
            plug_and_unplug(&rig, middle, moves);
        }
    }
    qtest_end(rig.q);
}

#define ATTACHED_BOT "-device usb-bot,id=bot,bus=usb.0,port=2 "
#define ATTACHED_CD ATTACHED_BOT "-device scsi-cd,id=cd,bus=bot.0,drive=disc"

/* The bridge first, its unit, then it is attached: the guest sees it only then. */
static void test_bridge(void)
{
    g_autofree char *attached = base_args(ATTACHED_CD);
    Rig rig;

    rig_start(&rig, "");
    qtest_qmp_ok(rig.q, "{'execute': 'device_add', 'arguments': {'driver': 'usb-bot', 'id': 'bot', 'bus': 'usb.0',"
                        " 'port': '2'}}");
    qtest_move(rig.q);
    g_assert_cmphex(port_bits(&rig), ==, 0);
    qtest_qmp_ok(rig.q, "{'execute': 'device_add', 'arguments': {'driver': 'scsi-cd', 'id': 'cd', 'bus': 'bot.0',"
                        " 'drive': 'disc'}}");
    qtest_move(rig.q);
    g_assert_cmphex(port_bits(&rig), ==, 0);
    qtest_qmp_ok(rig.q, "{'execute': 'qom-set', 'arguments': {'path': '/machine/peripheral/bot', 'property': 'attached',"
                        " 'value': true}}");
    qtest_set_args(rig.q, "%s", attached);
    qtest_move(rig.q);
    g_assert_cmphex(port_bits(&rig), ==, UHCI_PORT_CONNECT | UHCI_PORT_CSC);
    bot_enumerate(&rig.bot, &rig.uhci, 1, 1);
    bot_wait_ready(&rig.bot, 0);
    check_read(&rig, 0, 2048, DISC_SEED);
    g_assert_cmpint(bot_send_cbw(&rig.bot, 0, BOT_IN, inquiry, sizeof(inquiry), 36), ==, UHCI_DONE);
    qtest_move(rig.q);
    unplug(&rig, "bot");
    qtest_move(rig.q);
    uhci_step_frames(&rig.uhci, 4);
    g_assert_cmphex(port_bits(&rig) & (UHCI_PORT_CONNECT | UHCI_PORT_CSC), ==, UHCI_PORT_CSC);
    plug_disk(&rig);
    bot_enumerate(&rig.bot, &rig.uhci, 1, 2);
    bot_wait_ready(&rig.bot, 0);
    check_read(&rig, 0, 512, DISK_SEED);
    qtest_end(rig.q);
}

/* A unit goes in the middle of its command; the guest gets an end of it, and the other unit works on. */
static void unit_goes(bool moves)
{
    g_autofree uint8_t *data = g_malloc(READ_LEN);
    BotResult r = { .data_status = UHCI_DONE };
    UhciResult phase;
    Rig rig;

    rig_start(&rig, ATTACHED_BOT "-device scsi-cd,id=cd,bus=bot.0,lun=0,drive=disc "
                    "-device scsi-hd,id=hd,bus=bot.0,lun=1,drive=disk");
    bot_enumerate(&rig.bot, &rig.uhci, 1, 1);
    bot_wait_ready(&rig.bot, 0);
    bot_wait_ready(&rig.bot, 1);
    g_assert_cmpint(bot_send_cbw(&rig.bot, 1, BOT_IN, read_10, sizeof(read_10), READ_LEN), ==, UHCI_DONE);
    g_assert_cmpint(bot_data(&rig.bot, BOT_IN, data, 640).status, ==, UHCI_DONE);
    if (moves) {
        qtest_move(rig.q);
    }
    unplug(&rig, "hd");
    if (moves) {
        qtest_move(rig.q);
    }
    phase = bot_data(&rig.bot, BOT_IN, data, READ_LEN - 640);
    if (phase.status == UHCI_STALLED) {
        bot_clear_halt(&rig.bot, BOT_IN);
    }
    if (bot_read_csw(&rig.bot, &r) == UHCI_STALLED) {
        bot_clear_halt(&rig.bot, BOT_IN);
        bot_read_csw(&rig.bot, &r);
    }
    if (r.csw_phase != UHCI_DONE || r.csw_status == 2) {
        bot_reset_recovery(&rig.bot);
    } else {
        g_assert_cmpint(r.csw_status, ==, 1);
    }
    for (int i = 0; i < 3; i++) {
        bot_sense(&rig.bot, 0); /* the other unit may have to say that the units have changed */
        bot_wait_ready(&rig.bot, 0);
    }
    check_read(&rig, 0, 2048, DISC_SEED);
    qtest_end(rig.q);
}

static void test_unit_goes(void)
{
    unit_goes(false);
    unit_goes(true);
}

static void test_keyboard(void)
{
    static const UsbSetup set_address = { 0x00, 5, 4, 0, 0 }, set_configuration = { 0x00, 9, 1, 0, 0 };
    bool toggle = false;
    uint8_t report[8];
    UhciResult r;
    Rig rig;

    rig_start(&rig, "");
    for (int i = 0; i < 3; i++) {
        toggle = false;
        qtest_qmp_ok(rig.q, "{'execute': 'device_add', 'arguments': {'driver': 'usb-kbd', 'id': 'kbd', 'bus': 'usb.0',"
                            " 'port': '2'}}");
        qtest_move(rig.q);
        g_assert_cmphex(port_bits(&rig), ==, UHCI_PORT_CONNECT | UHCI_PORT_CSC);
        g_assert_true(uhci_reset_port(&rig.uhci, 1));
        g_assert_cmpint(uhci_control(&rig.uhci, 0, false, 8, &set_address, NULL, NULL), ==, UHCI_DONE);
        g_assert_cmpint(uhci_control(&rig.uhci, 4, false, 8, &set_configuration, NULL, NULL), ==, UHCI_DONE);
        qtest_qmp_ok(rig.q, "{'execute': 'qom-set', 'arguments': {'path': '/machine/peripheral/kbd', 'property':"
                            " 'x-input', 'value': '1e'}}");
        qtest_move(rig.q);
        r = uhci_transfer(&rig.uhci, 4, 1, UHCI_PID_IN, &toggle, report, 8, 8, 4);
        g_assert_cmpint(r.status, ==, UHCI_DONE);
        g_assert_cmphex(report[2], ==, 4);
        /* A TD waits for the next report when the keyboard goes. */
        uhci_queue(&rig.uhci, 4, 1, UHCI_PID_IN, toggle, NULL, 8, 8, 0);
        uhci_step_frames(&rig.uhci, 3);
        qtest_move(rig.q);
        unplug(&rig, "kbd");
        check_gone(&rig, DATA_QUEUED);
        qtest_move(rig.q);
    }
    qtest_end(rig.q);
}

/* A hub with a disk behind it, both gone at once. */
static void test_hub(void)
{
    static const UsbSetup set_address = { 0x00, 5, 6, 0, 0 }, set_configuration = { 0x00, 9, 1, 0, 0 };
    static const UsbSetup power = { 0x23, 3, 8, 1, 0 }, reset = { 0x23, 3, 4, 1, 0 }, status = { 0xa3, 0, 0, 1, 4 };
    uint8_t port[4];
    Rig rig;

    rig_start(&rig, "");
    qtest_qmp_ok(rig.q, "{'execute': 'device_add', 'arguments': {'driver': 'usb-hub', 'id': 'hub', 'bus': 'usb.0',"
                        " 'port': '2'}}");
    qtest_move(rig.q);
    g_assert_true(uhci_reset_port(&rig.uhci, 1));
    g_assert_cmpint(uhci_control(&rig.uhci, 0, false, 8, &set_address, NULL, NULL), ==, UHCI_DONE);
    g_assert_cmpint(uhci_control(&rig.uhci, 6, false, 8, &set_configuration, NULL, NULL), ==, UHCI_DONE);
    g_assert_cmpint(uhci_control(&rig.uhci, 6, false, 8, &power, NULL, NULL), ==, UHCI_DONE);
    qtest_qmp_ok(rig.q, "{'execute': 'device_add', 'arguments': {'driver': 'usb-storage', 'id': 'dev', 'bus': 'usb.0',"
                        " 'port': '2.1', 'drive': 'disk'}}");
    qtest_move(rig.q);
    g_assert_cmpint(uhci_control(&rig.uhci, 6, false, 8, &status, port, NULL), ==, UHCI_DONE);
    g_assert_cmphex(port[0] & 1, ==, 1);
    g_assert_cmphex(port[2] & 1, ==, 1);
    g_assert_cmpint(uhci_control(&rig.uhci, 6, false, 8, &reset, NULL, NULL), ==, UHCI_DONE);
    qtest_move(rig.q);
    uhci_step_frames(&rig.uhci, 50);
    g_assert_cmpint(uhci_control(&rig.uhci, 6, false, 8, &status, port, NULL), ==, UHCI_DONE);
    g_assert_cmphex(port[0] & 3, ==, 3);
    /* The disk answers at address 0 now: the parts of bot_enumerate() behind the reset of a root port. */
    rig.bot = (BotDriver){ .u = &rig.uhci, .address = 7, .in_endpoint = 1, .out_endpoint = 2, .mps = 64 };
    g_assert_cmpint(uhci_control(&rig.uhci, 0, false, 8, &(UsbSetup){ 0x00, 5, 7, 0, 0 }, NULL, NULL), ==, UHCI_DONE);
    g_assert_cmpint(uhci_control(&rig.uhci, 7, false, 8, &set_configuration, NULL, NULL), ==, UHCI_DONE);
    bot_wait_ready(&rig.bot, 0);
    check_read(&rig, 0, 512, DISK_SEED);
    go_to(&rig, IN_DATA);
    qtest_move(rig.q);
    unplug(&rig, "hub");
    qtest_move(rig.q);
    check_gone(&rig, IN_DATA);
    plug_disk(&rig);
    qtest_move(rig.q);
    bot_enumerate(&rig.bot, &rig.uhci, 1, 1);
    bot_wait_ready(&rig.bot, 0);
    check_read(&rig, 0, 512, DISK_SEED);
    qtest_end(rig.q);
}

/* ---- several units ---------------------------------------------------------------------------------------------------------- */

typedef struct Step {
    uint8_t lun;
    BotDirection direction;
    uint32_t len;
    uint8_t cdb[16];
    uint8_t cdb_len;
} Step;

#define STEP(lun, direction, len, ...) \
    { lun, direction, len, { __VA_ARGS__ }, sizeof((uint8_t[]){ __VA_ARGS__ }) }
#define SENSE(lun) STEP(lun, BOT_IN, 18, 0x03, 0, 0, 0, 18, 0)

static const Step steps[] = {
    STEP(0, BOT_IN, 64, 0xa0, 0, 0, 0, 0, 0, 0, 0, 0, 64, 0, 0), /* REPORT LUNS */
    STEP(1, BOT_IN, 64, 0xa0, 0, 0, 0, 0, 0, 0, 0, 0, 64, 0, 0),
    STEP(0, BOT_IN, 36, 0x12, 0, 0, 0, 36, 0), /* INQUIRY */
    STEP(1, BOT_IN, 36, 0x12, 0, 0, 0, 36, 0),
    STEP(2, BOT_IN, 36, 0x12, 0, 0, 0, 36, 0), /* of a unit that is not there */
    SENSE(2),
    STEP(1, BOT_NONE, 0, 0xff, 0, 0, 0, 0, 0), /* sense that waits in one unit while the other works */
    STEP(0, BOT_NONE, 0, 0, 0, 0, 0, 0, 0),
    STEP(0, BOT_IN, 2048, 0x28, 0, 0, 0, 0, 2, 0, 0, 1, 0),
    SENSE(1),
    SENSE(0),
    STEP(0, BOT_NONE, 0, 0x28, 0, 0x7f, 0, 0, 0, 0, 0, 1, 0),
    STEP(1, BOT_NONE, 0, 0xff, 0, 0, 0, 0, 0),
    SENSE(0),
    SENSE(1),
    STEP(1, BOT_IN, 4096, 0x28, 0, 0, 0, 0, 3, 0, 0, 8, 0),
    STEP(0, BOT_IN, 8, 0x25, 0, 0, 0, 0, 0, 0, 0, 0, 0),
    STEP(1, BOT_IN, 8, 0x25, 0, 0, 0, 0, 0, 0, 0, 0, 0),
    STEP(1, BOT_OUT, 1024, 0x2a, 0, 0, 0, 0, 40, 0, 0, 2, 0),
    STEP(0, BOT_OUT, 2048, 0x2a, 0, 0, 0, 0, 4, 0, 0, 1, 0), /* to a disc that cannot be written */
    SENSE(0),
    SENSE(1),
    STEP(1, BOT_IN, 1024, 0x28, 0, 0, 0, 0, 40, 0, 0, 2, 0),
    STEP(0, BOT_IN, 8, 0x4a, 1, 0, 0, 0x10, 0, 0, 0, 8, 0),
};

enum { PHASE_START, PHASE_DATA, PHASE_STATUS, PHASES };

static void at(Rig *rig, int phase, int here)
{
    if (phase == here) {
        qtest_move(rig->q);
    }
}

/* Runs a step, moved at the start of a phase (-1: not), and adds what came of it to the protocol. */
static void run_step(Rig *rig, const Step *step, int phase, GString *protocol)
{
    g_autofree uint8_t *data = g_malloc(step->len + 1);
    BotResult result = { .data_status = UHCI_DONE };

    for (uint32_t i = 0; i < step->len; i++) {
        data[i] = qtest_image_byte(i, 33);
    }
    at(rig, phase, PHASE_START);
    g_assert_cmpint(bot_send_cbw(&rig->bot, step->lun, step->direction, step->cdb, step->cdb_len, step->len), ==,
                    UHCI_DONE);
    at(rig, phase, PHASE_DATA);
    if (step->len) {
        UhciResult r = bot_data(&rig->bot, step->direction, data, step->len);

        result.data_status = r.status;
        result.actual = r.actual;
    }
    at(rig, phase, PHASE_STATUS);
    if (result.data_status == UHCI_STALLED) {
        bot_clear_halt(&rig->bot, step->direction);
    }
    if (bot_read_csw(&rig->bot, &result) == UHCI_STALLED) {
        bot_clear_halt(&rig->bot, BOT_IN);
        bot_read_csw(&rig->bot, &result);
    }
    g_string_append_printf(protocol, "%02x lun %u: %d %zu, CSW %d %d %u:", step->cdb[0], step->lun, result.data_status,
                           result.actual, result.csw_phase, result.csw_status, result.residue);
    for (size_t i = 0; step->direction == BOT_IN && i < result.actual; i++) {
        g_string_append_printf(protocol, "%02x", data[i]);
    }
    g_string_append_c(protocol, '\n');
}

static char *run_steps(int phase)
{
    GString *protocol = g_string_new(NULL);
    Rig rig;

    rig_start(&rig, ATTACHED_BOT "-device scsi-cd,id=cd,bus=bot.0,lun=0,drive=disc "
                    "-device scsi-hd,id=hd,bus=bot.0,lun=1,drive=disk");
    bot_enumerate(&rig.bot, &rig.uhci, 1, 1);
    g_assert_cmpint(bot_max_lun(&rig.bot), ==, 1);
    for (size_t i = 0; i < G_N_ELEMENTS(steps); i++) {
        run_step(&rig, &steps[i], phase, protocol);
    }
    qtest_end(rig.q);
    return g_string_free(protocol, FALSE);
}

static void test_units(void)
{
    g_autofree char *stays = run_steps(-1);
    if (g_test_verbose()) {
        g_printerr("%s", stays);
    }
    /* Two units, whose sense is each one's own. */
    g_assert_true(g_str_has_prefix(stays, "a0 lun 0: 1 64, CSW 1 0 40:"
                                          "00000010000000000000000000000000" "0001000000000000"));
    g_assert_nonnull(strstr(stays, "03 lun 0: 1 18, CSW 1 0 0:700005000000000a0000000021"));
    g_assert_nonnull(strstr(stays, "03 lun 1: 1 18, CSW 1 0 0:700005000000000a0000000020"));
    for (int phase = PHASE_START; phase < PHASES; phase++) {
        g_autofree char *moves = run_steps(phase);

        g_assert_cmpstr(moves, ==, stays);
    }
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/usb-storage-plug/disk", test_disk);
    g_test_add_func("/usb-storage-plug/bridge", test_bridge);
    g_test_add_func("/usb-storage-plug/unit-goes", test_unit_goes);
    g_test_add_func("/usb-storage-plug/keyboard", test_keyboard);
    g_test_add_func("/usb-storage-plug/hub", test_hub);
    g_test_add_func("/usb-storage-plug/units", test_units);
    return g_test_run();
}
