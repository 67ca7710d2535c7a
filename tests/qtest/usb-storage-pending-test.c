/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Disk I/O that is pending when the VM moves, or when a migration is cancelled or fails: nothing of the data is lost,
 * repeated or zeroed, and no guest memory is written once the move has looked at it for the last time (P1, P2, P4).
 *
 * The image lies behind slow-io, so I/O is pending from shut_gate() to open_gate(). That a device writes memory too late makes
 * the migration fail by name, so it needs no check here.
 */
#include "util/osdep.h"
#include "bot-driver.h"
#include "util/bytes.h"

#include <fcntl.h>
#include <unistd.h>

#define DEVFN_UHCI 0x0a
#define UHCI_IO 0xc040
#define GUEST_MEMORY 0x100000
#define IMAGE_SIZE (512 * 1024)
#define IMAGE_SEED 21
#define WRITE_SEED 22
#define FIRST (100 * 512)
#define LENGTH (300 * 512) /* more than one chunk of the disk's */
#define CHUNK (128 * 1024)
#define PART (32 * 1024)
#define PHASE_SECONDS 60
#define GATE_MS 60
#define UNTOUCHED 0xa5

/* ---- the gate ------------------------------------------------------------------------------------------------------- */

static char *gate_path;

static void shut_gate(void)
{
    int fd = open(gate_path, O_CREAT | O_WRONLY | O_CLOEXEC, 0600);

    g_assert_cmpint(fd, >=, 0);
    close(fd);
}

static void open_gate(void)
{
    g_assert_cmpint(unlink(gate_path), ==, 0);
}

static gpointer open_gate_later(gpointer opaque)
{
    g_usleep(GATE_MS * G_TIME_SPAN_MILLISECOND);
    open_gate();
    return NULL;
}

/* The emulators get slow-io, which sanitizers let pass though it is not theirs. */
static void prepare_gate(void)
{
    gate_path = g_build_filename(qtest_dir(), "gate", NULL);
    g_setenv("SLOW_IO_GATE", gate_path, TRUE);
    qtest_allow_preload();
    g_setenv("LD_PRELOAD", g_getenv("QTEST_SLOW_IO"), TRUE);
}

/* ---- what happens while I/O is pending ------------------------------------------------------------------------------- */

typedef struct Rig {
    QTest *q;
    UhciDriver uhci;
    BotDriver bot;
    char *image;
} Rig;

static char *migration_status(Rig *rig)
{
    json_object *ret = qtest_qmp_return(rig->q, "{'execute': 'query-migrate'}"), *status;
    char *text = g_strdup(json_object_object_get_ex(ret, "status", &status) ? json_object_get_string(status) : "none");

    json_object_put(ret);
    return text;
}

static bool is_over(const char *status)
{
    return g_str_equal(status, "completed") || g_str_equal(status, "failed") || g_str_equal(status, "cancelled");
}

/* How the migration ends. */
static char *migration_end(Rig *rig)
{
    gint64 deadline = g_get_monotonic_time() + PHASE_SECONDS * G_TIME_SPAN_SECOND;
    char *status;

    while (status = migration_status(rig), !is_over(status)) {
        g_assert_true(g_get_monotonic_time() < deadline);
        g_free(status);
        g_usleep(2000);
    }
    return status;
}

static void move(Rig *rig)
{
    GThread *opener = g_thread_new("gate", open_gate_later, NULL);

    qtest_move(rig->q);
    g_thread_join(opener);
}

static void move_twice(Rig *rig)
{
    move(rig);
    qtest_move(rig->q);
}

static void migrate(Rig *rig, const char *uri)
{
    qtest_qmp_ok(rig->q, "{'execute': 'migrate', 'arguments': {'uri': '%s'}}", uri);
}

static void bandwidth(Rig *rig, unsigned bytes)
{
    qtest_qmp_ok(rig->q, "{'execute': 'migrate-set-parameters', 'arguments': {'max-bandwidth': %u}}", bytes);
}

/* Cancelled while memory is copied; the request stays pending all the time. */
static void cancel_early(Rig *rig)
{
    g_autofree char *end = NULL;

    bandwidth(rig, 65536);
    migrate(rig, "exec:cat >/dev/null");
    g_usleep(5000);
    qtest_qmp_ok(rig->q, "{'execute': 'migrate_cancel'}");
    end = migration_end(rig);
    g_assert_cmpstr(end, ==, "cancelled");
    qtest_wait_status(rig->q, "running");
    bandwidth(rig, 128 << 20);
    uhci_step_frames(&rig->uhci, 2);
    open_gate();
}

/* Cancelled while the machine waits for the request, or just before or after. */
static void cancel_late(Rig *rig)
{
    GThread *opener;
    g_autofree char *end = NULL;

    migrate(rig, "exec:cat >/dev/null");
    g_usleep(20000);
    opener = g_thread_new("gate", open_gate_later, NULL);
    qtest_qmp_ok(rig->q, "{'execute': 'migrate_cancel'}");
    end = migration_end(rig);
    g_thread_join(opener);
    if (g_str_equal(end, "completed")) {
        qtest_qmp_ok(rig->q, "{'execute': 'cont'}");
    } else {
        g_assert_cmpstr(end, ==, "cancelled");
    }
    qtest_wait_status(rig->q, "running");
}

static void fail_with(Rig *rig, const char *uri)
{
    GThread *opener = g_thread_new("gate", open_gate_later, NULL);
    g_autofree char *end = NULL;

    migrate(rig, uri);
    end = migration_end(rig);
    g_assert_cmpstr(end, ==, "failed");
    g_thread_join(opener);
    qtest_wait_status(rig->q, "running");
}

static void fail_early(Rig *rig)
{
    fail_with(rig, "exec:head -c 3000 >/dev/null");
}

/* The peer takes all of the memory and nothing of the devices; then a move that succeeds. */
static void fail_and_move(Rig *rig)
{
    fail_with(rig, "exec:head -c 20000 >/dev/null");
    qtest_move(rig->q);
}

static void stop_and_move(Rig *rig)
{
    GThread *opener = g_thread_new("gate", open_gate_later, NULL);

    qtest_qmp_ok(rig->q, "{'execute': 'stop'}");
    g_thread_join(opener);
    qtest_move(rig->q);
    qtest_qmp_ok(rig->q, "{'execute': 'cont'}");
}

/* ---- requests -------------------------------------------------------------------------------------------------------------- */

typedef struct Case {
    const char *name;
    void (*happens)(Rig *rig);
} Case;

static const Case cases[] = {
    { "move", move },
    { "move-twice", move_twice },
    { "cancel-early", cancel_early },
    { "cancel-late", cancel_late },
    { "fail-early", fail_early },
    { "fail-and-move", fail_and_move },
    { "stop-and-move", stop_and_move },
};

static void rig_start(Rig *rig, const char *policy)
{
    rig->image = g_strdup(qtest_image("disk.slow", IMAGE_SIZE, IMAGE_SEED));
    rig->q = qtest_start("-m 16 -device piix3-usb-uhci,id=usb,addr=01.2 -blockdev driver=file,filename=%s,node-name=disk "
                         "-device usb-storage,id=dev,bus=usb.0,port=2,drive=disk%s", rig->image, policy);
    /* Each gate stands for one point: moves by themselves would only wait at it. */
    qtest_set_moving(rig->q, false);
    uhci_init(&rig->uhci, rig->q, DEVFN_UHCI, UHCI_IO, GUEST_MEMORY);
    bot_enumerate(&rig->bot, &rig->uhci, 1, 1);
    bot_wait_ready(&rig->bot, 0);
}

static void rig_end(Rig *rig)
{
    qtest_end(rig->q);
    g_free(rig->image);
}

static void send_cbw(Rig *rig, uint8_t opcode, BotDirection direction)
{
    uint8_t cdb[10] = { opcode };

    store_be32(cdb + 2, FIRST / 512);
    store_be16(cdb + 7, LENGTH / 512);
    g_assert_cmpint(bot_send_cbw(&rig->bot, 0, direction, cdb, sizeof(cdb), LENGTH), ==, UHCI_DONE);
}

static void queue(Rig *rig, BotDirection direction, const uint8_t *data, size_t len)
{
    BotDriver *b = &rig->bot;
    bool in = direction == BOT_IN;

    if (in) {
        qtest_memset(rig->q, b->u->data, UNTOUCHED, len);
    }
    uhci_queue(b->u, b->address, in ? b->in_endpoint : b->out_endpoint, in ? UHCI_PID_IN : UHCI_PID_OUT,
               in ? b->in_toggle : b->out_toggle, data, len, b->mps, in ? UHCI_TD_SPD : 0);
}

static size_t finish(Rig *rig, BotDirection direction, uint8_t *data)
{
    gint64 deadline = g_get_monotonic_time() + PHASE_SECONDS * G_TIME_SPAN_SECOND;
    BotDriver *b = &rig->bot;
    UhciResult r;

    while ((r = uhci_run(b->u, 50)).status == UHCI_PENDING) {
        g_assert_true(g_get_monotonic_time() < deadline);
    }
    g_assert_cmpint(r.status, ==, UHCI_DONE);
    uhci_unlink(b->u);
    *(direction == BOT_IN ? &b->in_toggle : &b->out_toggle) = r.toggle;
    if (direction == BOT_IN) {
        uhci_read_data(b->u, data, r.actual);
    }
    return r.actual;
}

static void check_csw(const Rig *rig, const uint8_t *csw)
{
    g_assert_cmphex(load_le32(csw + 4), ==, rig->bot.tag);
    g_assert_cmpuint(load_le32(csw + 8), ==, 0);
    g_assert_cmpint(csw[12], ==, 0);
}

static void pass(Rig *rig, BotDirection direction, uint8_t *data, size_t len)
{
    for (size_t done = 0; done < len; ) {
        size_t part = MIN(PART, len - done);

        queue(rig, direction, data + done, part);
        g_assert_cmpuint(finish(rig, direction, data + done), ==, part);
        done += part;
    }
}

/* While the request is pending, its first TD stays active and guest memory as it is. */
static void check_pending(Rig *rig, BotDirection direction, size_t len)
{
    g_autofree uint8_t *memory = g_malloc(len);

    uhci_step_frames(&rig->uhci, 5);
    g_assert_cmpint(uhci_look(&rig->uhci).status, ==, UHCI_PENDING);
    g_assert_cmpuint(uhci_look(&rig->uhci).actual, ==, 0);
    qtest_memread(rig->q, rig->uhci.data, memory, len);
    for (size_t i = 0; direction == BOT_IN && i < len; i++) {
        g_assert_cmphex(memory[i], ==, UNTOUCHED);
    }
}

/* READ, pending at its first or second chunk, with many TDs behind it or one. */
static void run_read(const Case *c, size_t before, size_t part)
{
    g_autofree uint8_t *data = g_malloc(LENGTH);
    uint8_t csw[BOT_CSW_SIZE];
    Rig rig;

    rig_start(&rig, "");
    if (!before) {
        shut_gate();
    }
    send_cbw(&rig, 0x28, BOT_IN);
    if (before) {
        /* The next chunk is asked for when the last byte of this one has gone. */
        pass(&rig, BOT_IN, data, before - 64);
        shut_gate();
        pass(&rig, BOT_IN, data + before - 64, 64);
    }
    queue(&rig, BOT_IN, NULL, part);
    check_pending(&rig, BOT_IN, part);
    c->happens(&rig);
    g_assert_cmpuint(finish(&rig, BOT_IN, data + before), ==, part);
    pass(&rig, BOT_IN, data + before + part, LENGTH - before - part);
    queue(&rig, BOT_IN, NULL, BOT_CSW_SIZE);
    g_assert_cmpuint(finish(&rig, BOT_IN, csw), ==, BOT_CSW_SIZE);
    check_csw(&rig, csw);
    for (size_t i = 0; i < LENGTH; i++) {
        if (data[i] != qtest_image_byte(FIRST + i, IMAGE_SEED)) {
            g_error("byte %zu that the guest read is %02x", i, data[i]);
        }
    }
    rig_end(&rig);
}

static void test_read_first(gconstpointer c)
{
    run_read(c, 0, PART);
}

static void test_read_first_single(gconstpointer c)
{
    run_read(c, 0, 64);
}

static void test_read_second(gconstpointer c)
{
    run_read(c, CHUNK, LENGTH - CHUNK);
}

static void check_disk(const Rig *rig)
{
    g_autofree char *content = NULL;
    gsize len;

    g_assert_true(g_file_get_contents(rig->image, &content, &len, NULL));
    g_assert_cmpuint(len, ==, IMAGE_SIZE);
    for (size_t i = 0; i < IMAGE_SIZE; i++) {
        bool written = i >= FIRST && i < FIRST + LENGTH;
        uint8_t want = written ? qtest_image_byte(i - FIRST, WRITE_SEED) : qtest_image_byte(i, IMAGE_SEED);

        if ((uint8_t)content[i] != want) {
            g_error("byte %zu of the disk is %02x, not %02x", i, (uint8_t)content[i], want);
        }
    }
}

/* WRITE, pending at its first chunk, with data of the second queued, or at its last, with the CSW queued. */
static void run_write(const Case *c, bool last)
{
    g_autofree uint8_t *data = g_malloc(LENGTH);
    size_t before = last ? LENGTH : CHUNK;
    uint8_t csw[BOT_CSW_SIZE];
    Rig rig;

    for (size_t i = 0; i < LENGTH; i++) {
        data[i] = qtest_image_byte(i, WRITE_SEED);
    }
    rig_start(&rig, "");
    send_cbw(&rig, 0x2a, BOT_OUT);
    pass(&rig, BOT_OUT, data, before - 64);
    shut_gate();
    pass(&rig, BOT_OUT, data + before - 64, 64);
    if (last) {
        queue(&rig, BOT_IN, NULL, BOT_CSW_SIZE);
        check_pending(&rig, BOT_IN, BOT_CSW_SIZE);
    } else {
        queue(&rig, BOT_OUT, data + before, LENGTH - before);
        check_pending(&rig, BOT_OUT, LENGTH - before);
    }
    c->happens(&rig);
    if (!last) {
        g_assert_cmpuint(finish(&rig, BOT_OUT, NULL), ==, LENGTH - before);
        queue(&rig, BOT_IN, NULL, BOT_CSW_SIZE);
    }
    g_assert_cmpuint(finish(&rig, BOT_IN, csw), ==, BOT_CSW_SIZE);
    check_csw(&rig, csw);
    check_disk(&rig);
    rig_end(&rig);
}

static void test_write_first(gconstpointer c)
{
    run_write(c, false);
}

static void test_write_last(gconstpointer c)
{
    run_write(c, true);
}

/* ---- resets and unplugging ----------------------------------------------------------------------------------------------------- */

static void clear_halts(Rig *rig)
{
    bot_reset_recovery(&rig->bot);
}

static void enumerate_again(Rig *rig)
{
    bot_enumerate(&rig->bot, &rig->uhci, 1, 2);
}

static void start_again(Rig *rig)
{
    uhci_init(&rig->uhci, rig->q, DEVFN_UHCI, UHCI_IO, GUEST_MEMORY);
    enumerate_again(rig);
}

static void bulk_only_reset(Rig *rig)
{
    uhci_unlink(&rig->uhci);
    uhci_step_frames(&rig->uhci, 3);
    bot_reset(&rig->bot);
}

static void port_reset(Rig *rig)
{
    g_assert_true(uhci_reset_port(&rig->uhci, 1));
    uhci_unlink(&rig->uhci);
}

static void port_reset_begins(Rig *rig)
{
    uhci_unlink(&rig->uhci);
    qtest_outw(rig->q, UHCI_IO + UHCI_PORT1 + 2, UHCI_PORT_RESET);
}

static void host_controller_reset(Rig *rig)
{
    qtest_outw(rig->q, UHCI_IO + UHCI_CMD, UHCI_CMD_HCRESET);
}

static void global_reset(Rig *rig)
{
    qtest_outw(rig->q, UHCI_IO + UHCI_CMD, UHCI_CMD_GRESET);
    uhci_step_frames(&rig->uhci, 10);
    qtest_outw(rig->q, UHCI_IO + UHCI_CMD, 0);
}

static void nothing_but_unlink(Rig *rig)
{
    uhci_unlink(&rig->uhci);
}

/* The driver gives up while I/O is pending. */
static const struct {
    const char *name;
    void (*reset)(Rig *rig);
    void (*after)(Rig *rig);
} resets[] = {
    { "unlink", nothing_but_unlink, clear_halts },
    { "bulk-only-reset", bulk_only_reset, clear_halts },
    { "port-reset", port_reset, enumerate_again },
    { "port-reset-begins", port_reset_begins, enumerate_again },
    { "hcreset", host_controller_reset, start_again },
    { "greset", global_reset, start_again },
};

static void check_block(Rig *rig)
{
    uint8_t block[512];

    bot_wait_ready(&rig->bot, 0);
    bot_read10(&rig->bot, 0, 7, 1, 512, block);
    for (size_t i = 0; i < sizeof(block); i++) {
        g_assert_cmphex(block[i], ==, qtest_image_byte(7 * 512 + i, IMAGE_SEED));
    }
}

static void test_reset(gconstpointer data)
{
    const Case *c = data;

    for (size_t i = 0; i < G_N_ELEMENTS(resets); i++) {
        Rig rig;

        rig_start(&rig, "");
        shut_gate();
        send_cbw(&rig, 0x28, BOT_IN);
        queue(&rig, BOT_IN, NULL, PART);
        check_pending(&rig, BOT_IN, PART);
        resets[i].reset(&rig);
        c->happens(&rig);
        resets[i].after(&rig);
        check_block(&rig);
        rig_end(&rig);
    }
}

/* Half of the data phase has gone; nothing is pending but the rest of the buffer. */
static void test_reset_in_data(void)
{
    g_autofree uint8_t *half = g_malloc0(PART);

    for (size_t i = 0; i < G_N_ELEMENTS(resets); i++) {
        for (unsigned write = 0; write < 2; write++) {
            Rig rig;

            rig_start(&rig, "");
            send_cbw(&rig, write ? 0x2a : 0x28, write ? BOT_OUT : BOT_IN);
            pass(&rig, write ? BOT_OUT : BOT_IN, half, PART);
            resets[i].reset(&rig);
            qtest_move(rig.q);
            resets[i].after(&rig);
            check_block(&rig);
            rig_end(&rig);
        }
    }
}

/* Unplugged while I/O is pending: the port says so, and another device works in its place after a move. */
static void test_unplug(gconstpointer data)
{
    const Case *c = data;
    GThread *opener;
    Rig rig;

    rig_start(&rig, "");
    shut_gate();
    send_cbw(&rig, 0x28, BOT_IN);
    queue(&rig, BOT_IN, NULL, PART);
    check_pending(&rig, BOT_IN, PART);
    opener = g_thread_new("gate", open_gate_later, NULL);
    qtest_qmp_ok(rig.q, "{'execute': 'device_del', 'arguments': {'id': 'dev'}}");
    json_object_put(qtest_wait_event(rig.q, "DEVICE_DELETED"));
    g_thread_join(opener);
    g_assert_cmphex(uhci_port(&rig.uhci, 1) & (UHCI_PORT_CONNECT | UHCI_PORT_CSC | UHCI_PORT_ENABLE), ==, UHCI_PORT_CSC);
    shut_gate();
    c->happens(&rig);
    uhci_unlink(&rig.uhci);
    g_assert_cmphex(uhci_port(&rig.uhci, 1) & (UHCI_PORT_CONNECT | UHCI_PORT_CSC | UHCI_PORT_ENABLE), ==, UHCI_PORT_CSC);
    qtest_qmp_ok(rig.q, "{'execute': 'device_add', 'arguments': {'driver': 'usb-storage', 'id': 'dev2', 'bus': 'usb.0',"
                        " 'port': '2', 'drive': 'disk'}}");
    qtest_move(rig.q);
    g_assert_cmphex(uhci_port(&rig.uhci, 1) & (UHCI_PORT_CONNECT | UHCI_PORT_CSC), ==, UHCI_PORT_CONNECT | UHCI_PORT_CSC);
    enumerate_again(&rig);
    check_block(&rig);
    rig_end(&rig);
}

static const struct {
    const char *name;
    GTestDataFunc func;
} requests[] = {
    { "read-first-chunk", test_read_first },
    { "read-single-packet", test_read_first_single },
    { "read-second-chunk", test_read_second },
    { "write-first-chunk", test_write_first },
    { "write-last-chunk", test_write_last },
    { "reset", test_reset },
    { "unplug", test_unplug },
};

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    if (!g_getenv("QTEST_SLOW_IO")) {
        g_printerr("QTEST_SLOW_IO is not set: name the library slow-io\n");
        return 1;
    }
    prepare_gate();
    for (size_t i = 0; i < G_N_ELEMENTS(requests); i++) {
        for (size_t n = 0; n < G_N_ELEMENTS(cases); n++) {
            g_autofree char *path = g_strdup_printf("/usb-storage-pending/%s/%s", requests[i].name, cases[n].name);

            g_test_add_data_func(path, &cases[n], requests[i].func);
        }
    }
    g_test_add_func("/usb-storage-pending/reset-in-data", test_reset_in_data);
    return g_test_run();
}
