/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * IDE commands and the host's disk: a command whose block I/O is pending is moved (it is waited for); one that meets an
 * error under rerror/werror=stop stops the machine, may be moved while it stands, and is done again after `cont`; with
 * report and ignore the guest goes on. What the guest gets and what is on the disk equal a run without trouble (P1, P4).
 */
#include "util/osdep.h"
#include "ide-driver.h"

#include <fcntl.h>
#include <stdio.h>
#include <unistd.h>

#define IMAGE_SIZE (1024 * 1024)
#define IMAGE_SEED 5
#define MAX_DATA (64 * 1024)
#define GATE_MS 30

typedef struct Meeting {
    IdeCommand command;
    bool cd;
    const char *iotype; /* that fails */
    int sector;         /* ditto, -1: any */
} Meeting;

static const Meeting meetings[] = {
    { { "read-sectors", IDE_PIO_FROM, 0x20, .count = 3, .lba = 7, .len = 3 * 512 },
      .iotype = "read",
      .sector = 8 },
    { { "read-multiple", IDE_PIO_FROM, 0xc4, .count = 20, .lba = 64, .len = 20 * 512 },
      .iotype = "read",
      .sector = 82 },
    { { "write-sectors", IDE_PIO_TO, 0x30, .count = 2, .lba = 100, .len = 2 * 512 },
      .iotype = "write",
      .sector = 101 },
    { { "read-dma", IDE_DMA_FROM, 0x25, .count = 100, .lba = 200, .ext = true, .len = 100 * 512 },
      .iotype = "read",
      .sector = 290 },
    { { "write-dma", IDE_DMA_TO, 0xca, .count = 24, .lba = 420, .len = 24 * 512 },
      .iotype = "write",
      .sector = 430 },
    { { "flush", IDE_NO_DATA, 0xe7 }, .iotype = "flush", .sector = -1 },
    { { "cd-read-pio", IDE_PACKET_PIO, .cdb = { 0x28, 0, 0, 0, 0, 9, 0, 0, 5 }, .limit = 3000,
        .len = 5 * 2048 },
      .cd = true,
      .iotype = "read",
      .sector = 45 },
    { { "cd-read-dma", IDE_PACKET_DMA, .cdb = { 0x28, 0, 0, 0, 0, 17, 0, 0, 5 }, .len = 5 * 2048 },
      .cd = true,
      .iotype = "read",
      .sector = 72 },
};

typedef struct Rig {
    const Meeting *meeting;
    char *image;
    QTest *q;
    IdeDriver ide;
    GString *log;
    uint8_t *data;
    uint8_t status;
    int stops_left;
    bool move;
} Rig;

/* ---- the machine ------------------------------------------------------------------------------------------ */

static char *args_of(const Rig *r, bool error, const char *policy)
{
    const Meeting *m = r->meeting;
    g_autofree char *sector =
        m->sector >= 0 ? g_strdup_printf(",inject-error.0.sector=%d", m->sector) : g_strdup("");
    g_autofree char *inject =
        error ? g_strdup_printf(
                    ",inject-error.0.event=none,inject-error.0.iotype=%s,inject-error.0.errno=5,"
                    "inject-error.0.once=on%s",
                    m->iotype, sector)
              : g_strdup("");

    return g_strdup_printf(
        "-machine pc-i440fx-7.2 -m 16 -blockdev driver=file,filename=%s,node-name=f0,read-only=%s "
        "-blockdev driver=blkdebug,image=f0,node-name=disk,read-only=%s%s "
        "-device %s,id=dev,drive=disk,bus=ide.0,unit=0,%s",
        r->image, m->cd ? "on" : "off", m->cd ? "on" : "off", inject, m->cd ? "ide-cd" : "ide-hd",
        policy);
}

static void fill(const Rig *r)
{
    for (uint32_t i = 0; i < MAX_DATA; i++) {
        r->data[i] = qtest_image_byte(i, 99);
    }
}

static void rig_init(Rig *r, const Meeting *m, const char *file)
{
    *r = (Rig){ .meeting = m, .log = g_string_new(NULL), .data = g_malloc0(MAX_DATA) };
    r->image = (char *)qtest_image(file, IMAGE_SIZE, IMAGE_SEED);
    fill(r);
}

static void rig_start(Rig *r, const char *args)
{
    r->q = qtest_start("%s", args);
    qtest_set_moving(r->q, false);
    ide_enable_bus_master(r->q);
    ide_driver_init(&r->ide, r->q, 0, 0);
    r->ide.log = r->log;
    r->ide.opaque = r;
}

static void write_something(Rig *r)
{
    static const IdeCommand write = {
        "write", IDE_PIO_TO, 0x30, .count = 1, .lba = 900, .len = 512
    };

    if (r->meeting->command.command == 0xe7) { /* so that there is something to flush */
        ide_run(&r->ide, &write, r->data, NULL);
    }
}

static void run_command(Rig *r)
{
    uint32_t got = 0;

    r->status = ide_run(&r->ide, &r->meeting->command, r->data, &got);
    g_string_append_printf(r->log, "got %u\n", got);
}

/* What came, and what is on the disk now, in one text; ends the machine. */
static char *rig_end(Rig *r)
{
    g_autofree char *came = g_compute_checksum_for_data(G_CHECKSUM_SHA256, r->data, MAX_DATA), *sum;
    g_autofree char *contents = NULL;
    gsize len;
    char *text;

    qtest_end(r->q);
    g_assert_true(g_file_get_contents(r->image, &contents, &len, NULL));
    sum = g_compute_checksum_for_data(G_CHECKSUM_SHA256, (guchar *)contents, len);
    text = g_strdup_printf("%sdata %s\ndisk %s\n", r->log->str, came, sum);
    g_string_free(r->log, true);
    g_free(r->data);
    return text;
}

static char *undisturbed(const Meeting *m)
{
    Rig r;
    g_autofree char *args = NULL, *name = g_strdup_printf("plain-%s", m->command.name);

    rig_init(&r, m, name);
    args = args_of(&r, false, "werror=stop,rerror=stop");
    rig_start(&r, args);
    write_something(&r);
    run_command(&r);
    return rig_end(&r);
}

/* ---- errors -------------------------------------------------------------------------------------------------- */

/* The machine has stopped: move it, perhaps, to a process whose disk is good, and let it run. */
static void handle_stop(Rig *r)
{
    json_object *event = qtest_wait_event(r->q, "BLOCK_IO_ERROR");

    g_assert_cmpstr(qtest_json_string(event, "data.action"), ==, "stop");
    g_assert_cmpstr(qtest_json_string(event, "data.operation"), ==,
                    g_str_equal(r->meeting->iotype, "read") ? "read" : "write");
    json_object_put(event);
    qtest_wait_status(r->q, "io-error");
    if (r->move) {
        qtest_move(r->q);
    }
    qtest_qmp_ok(r->q, "{'execute': 'cont'}");
    r->stops_left--;
}

static void look_for_stop(void *opaque)
{
    Rig *r = opaque;

    if (r->stops_left && qtest_had_event(r->q, "STOP")) {
        handle_stop(r);
    }
}

/* Commands poll, and a stopped machine does not answer: a stop is looked for while they wait. */
static void test_stop(const Meeting *m, bool move)
{
    Rig r;
    g_autofree char *name = g_strdup_printf("stop-%s-%d", m->command.name, move);
    g_autofree char *plain = undisturbed(m), *args = NULL, *good = NULL, *got = NULL;

    rig_init(&r, m, name);
    r.stops_left = 1;
    r.move = move;
    args = args_of(&r, true, "werror=stop,rerror=stop");
    good = args_of(&r, false, "werror=stop,rerror=stop");
    rig_start(&r, args);
    qtest_set_args(r.q, "%s", good);
    r.ide.waiting = look_for_stop;
    write_something(&r);
    run_command(&r);
    g_assert_cmpint(r.stops_left, ==, 0);
    got = rig_end(&r);
    g_assert_cmpstr(got, ==, plain);
}

static void test_stop_stay(gconstpointer m)
{
    test_stop(m, false);
}

static void test_stop_move(gconstpointer m)
{
    test_stop(m, true);
}

static void test_report(gconstpointer opaque)
{
    const Meeting *m = opaque;
    Rig r;
    g_autofree char *name = g_strdup_printf("report-%s", m->command.name);
    g_autofree char *args = NULL;
    json_object *event;

    rig_init(&r, m, name);
    args = args_of(&r, true, "werror=report,rerror=report");
    rig_start(&r, args);
    write_something(&r);
    run_command(&r);
    g_assert_true(r.status & IDE_ST_ERR);
    if (m->cd) {
        g_assert_cmphex(ide_sense(&r.ide), ==, 0x031100);
    }
    event = qtest_wait_event(r.q, "BLOCK_IO_ERROR");
    g_assert_cmpstr(qtest_json_string(event, "data.action"), ==, "report");
    json_object_put(event);
    g_free(rig_end(&r));
}

/* ---- pending block I/O --------------------------------------------------------------------------------------- */

static char *gate_path;

static void shut_gate(void)
{
    close(open(gate_path, O_CREAT | O_WRONLY, 0600));
}

static gpointer open_gate_later(gpointer unused)
{
    g_usleep(GATE_MS * 1000);
    unlink(gate_path);
    return NULL;
}

/* Moves while the disk does not answer; it does so when the move has begun. */
static void move_while_pending(void *opaque)
{
    Rig *r = opaque;
    GThread *opener;

    if (!r->stops_left) {
        return;
    }
    r->stops_left--;
    opener = g_thread_new("gate", open_gate_later, NULL);
    qtest_move(r->q);
    g_thread_join(opener);
}

static void test_pending(gconstpointer opaque)
{
    const Meeting *m = opaque;
    Rig r;
    g_autofree char *name = g_strdup_printf("pending-%s.slow", m->command.name);
    g_autofree char *plain = undisturbed(m), *args = NULL, *got = NULL;

    if (!g_getenv("QTEST_SLOW_IO")) {
        g_test_skip("QTEST_SLOW_IO does not name the library slow-io");
        return;
    }
    rig_init(&r, m, name);
    args = args_of(&r, false, "werror=stop,rerror=stop");
    g_setenv("LD_PRELOAD", g_getenv("QTEST_SLOW_IO"), true);
    rig_start(&r, args);
    r.stops_left = 1;
    r.ide.waiting = move_while_pending;
    shut_gate();
    run_command(&r);
    unlink(gate_path);
    g_unsetenv("LD_PRELOAD");
    g_assert_cmpint(r.stops_left, ==, 0);
    got = rig_end(&r);
    g_assert_cmpstr(got, ==, plain);
}

int main(int argc, char **argv)
{
    int status;

    g_test_init(&argc, &argv, NULL);
    gate_path = g_strdup_printf("%s/gate", qtest_dir());
    g_setenv("SLOW_IO_GATE", gate_path, true);
    qtest_allow_preload();
    for (size_t i = 0; i < G_N_ELEMENTS(meetings); i++) {
        static const struct {
            const char *name;
            GTestDataFunc func;
        } kinds[] = { { "stop", test_stop_stay },
                      { "stop-and-move", test_stop_move },
                      { "report", test_report },
                      { "pending", test_pending } };

        for (size_t k = 0; k < G_N_ELEMENTS(kinds); k++) {
            g_autofree char *path =
                g_strdup_printf("/ide-stop/%s/%s", kinds[k].name, meetings[i].command.name);

            /* The gate holds up reads and writes only. */
            if (kinds[k].func != test_pending || meetings[i].sector >= 0) {
                g_test_add_data_func(path, &meetings[i], kinds[k].func);
            }
        }
    }
    status = g_test_run();
    unlink(gate_path);
    return status;
}
