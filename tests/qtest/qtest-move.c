/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The qtest client: moving the VM to a fresh process between two commands of the test. */
#include "util/osdep.h"
#include "qtest-internal.h"

#define MOVE_SECONDS 120

/* Commands that change what the next process must be given before the stream comes. */
static const char *const configuration_commands[] = {
    "device_add", "device_del", "blockdev-add", "blockdev-del", "object-add", "object-del", "chardev-add",
    "chardev-remove", "eject", "blockdev-open-tray", "blockdev-close-tray", "blockdev-insert-medium",
    "blockdev-remove-medium", "blockdev-change-medium", NULL
};

/* Events that a move makes itself. */
static const char *const move_events[] = { "MIGRATION", "MIGRATION_PASS", "STOP", "RESUME", "SHUTDOWN", NULL };

static const char *event_name(json_object *event)
{
    return json_object_get_string(json_object_object_get(event, "event"));
}

void qtest_note_command(QTest *q, json_object *command)
{
    const char *name = json_object_get_string(json_object_object_get(command, "execute"));

    if (name && g_strv_contains(configuration_commands, name)) {
        g_ptr_array_add(q->replay, json_object_get(command));
    }
}

static void must_succeed(QTestProcess *p, json_object *command, GQueue *events)
{
    json_object *answer = qtest_process_qmp(p, json_object_get(command), events), *error;

    if (json_object_object_get_ex(answer, "error", &error)) {
        qtest_fail(p, "move: %s fails: %s", json_object_to_json_string(command), json_object_to_json_string(error));
    }
    json_object_put(answer);
    json_object_put(command);
}

static json_object *uri_command(const char *name, const char *path)
{
    json_object *command = json_object_new_object(), *args = json_object_new_object();
    g_autofree char *uri = g_strdup_printf("unix:%s", path);

    json_object_object_add(args, "uri", json_object_new_string(uri));
    json_object_object_add(command, "execute", json_object_new_string(name));
    json_object_object_add(command, "arguments", args);
    return command;
}

/* The value of `status` that a query gives, e.g. query-migrate's; new string, "" if there is none. */
static char *query_status(QTestProcess *p, const char *query, GQueue *events)
{
    json_object *command = json_object_new_object(), *answer, *ret, *status = NULL;
    char *text;

    json_object_object_add(command, "execute", json_object_new_string(query));
    answer = qtest_process_qmp(p, command, events);
    if (json_object_object_get_ex(answer, "return", &ret)) {
        json_object_object_get_ex(ret, "status", &status);
    }
    text = g_strdup(status ? json_object_get_string(status) : "");
    json_object_put(answer);
    return text;
}

static void wait_source(QTest *q, QTestProcess *src, GQueue *events)
{
    gint64 deadline = g_get_monotonic_time() + MOVE_SECONDS * G_TIME_SPAN_SECOND;

    for (;;) {
        g_autofree char *status = query_status(src, "query-migrate", events);

        if (g_str_equal(status, "completed")) {
            return;
        }
        if (g_str_equal(status, "failed") || g_str_equal(status, "cancelled") ||
            g_get_monotonic_time() > deadline) {
            qtest_fail(src, "move: the migration is %s", status);
        }
        if (q->on_move_wait) {
            g_autofree char *state = query_status(src, "query-status", events);

            q->on_move_wait(state);
        }
        g_usleep(300);
    }
}

/* Until the destination has taken over: it runs if the source did, unless an error of the disk came in between; else it
 * shows the source's state. */
static void wait_destination(QTestProcess *dst, bool running, GQueue *events)
{
    gint64 deadline = g_get_monotonic_time() + MOVE_SECONDS * G_TIME_SPAN_SECOND;

    for (;;) {
        g_autofree char *status = query_status(dst, "query-status", events);

        if (running ? g_str_equal(status, "running") || g_str_equal(status, "io-error")
                    : !g_str_equal(status, "inmigrate")) {
            return;
        }
        if (g_get_monotonic_time() > deadline) {
            qtest_fail(dst, "move: the destination is %s", status);
        }
        g_usleep(300);
    }
}

static void setup_side(QTest *q, QTestProcess *p)
{
    for (guint i = 0; i < q->move_setup->len; i++) {
        must_succeed(p, json_object_get(q->move_setup->pdata[i]), NULL);
    }
}

static QTestProcess *start_destination(QTest *q, const char *path)
{
    QTestProcess *dst = qtest_process_start(q->args, "-incoming defer");

    for (guint i = 0; i < q->replay->len; i++) {
        must_succeed(dst, json_object_get(q->replay->pdata[i]), NULL);
    }
    for (guint i = 0; i < q->intercepts->len; i++) {
        g_free(qtest_command(q, dst, q->intercepts->pdata[i]));
    }
    setup_side(q, dst);
    must_succeed(dst, uri_command("migrate-incoming", path), NULL);
    return dst;
}

static void end_source(QTestProcess *src, GQueue *events)
{
    json_object *quit = json_tokener_parse("{\"execute\": \"quit\"}");
    int status;

    json_object_put(qtest_process_qmp(src, quit, events));
    status = qtest_process_wait(src, MOVE_SECONDS);
    if (status != 0) {
        qtest_fail(src, "move: the source exits with status %d", status);
    }
    qtest_process_free(src);
}

/* When an event of that name came, in microseconds of the wall clock; 0 if it did not. */
static double event_time_us(GQueue *events, const char *name)
{
    double time_us = 0;

    for (GList *l = events->head; l; l = l->next) {
        json_object *stamp;

        if (g_str_equal(event_name(l->data), name) && json_object_object_get_ex(l->data, "timestamp", &stamp)) {
            time_us = qtest_json_int(stamp, "seconds") * 1e6 + qtest_json_int(stamp, "microseconds");
        }
    }
    return time_us;
}

static void note_downtime(QTest *q, GQueue *src_events, GQueue *dst_events)
{
    double stop = event_time_us(src_events, "STOP"), resume = event_time_us(dst_events, "RESUME");

    q->downtime_ms = stop && resume ? (resume - stop) / 1e3 : 0;
}

/* The source's last events count, but not those that the move itself made. */
static void keep_events(QTest *q, GQueue *events)
{
    json_object *event;

    while ((event = g_queue_pop_head(events))) {
        if (g_strv_contains(move_events, event_name(event))) {
            json_object_put(event);
        } else {
            g_queue_push_tail(&q->events, event);
        }
    }
}

bool qtest_is_short(void)
{
    return g_getenv("QTEST_MOVE_EVERY") && !g_getenv("TERN_TEST_LONG");
}

void qtest_move(QTest *q)
{
    g_autofree char *path = g_strdup_printf("%s/move.%u", qtest_dir(), q->moves);
    g_autofree char *before = NULL;
    GQueue events = G_QUEUE_INIT, dst_events = G_QUEUE_INIT;
    QTestProcess *dst;

    if (q->on_move) {
        q->on_move(q, true, q->on_move_opaque);
    }
    q->in_move = true;
    /* What came before the move is the test's, whatever it is called. */
    before = query_status(q->process, "query-status", &q->events);
    dst = start_destination(q, path);
    setup_side(q, q->process);
    must_succeed(q->process, uri_command("migrate", path), &events);
    wait_source(q, q->process, &events);
    g_free(qtest_command(q, q->process, "endianness")); /* what its lines did last comes before the answer */
    wait_destination(dst, g_str_equal(before, "running"), &dst_events);
    end_source(q->process, &events);
    note_downtime(q, &events, &dst_events);
    keep_events(q, &events);
    keep_events(q, &dst_events);
    q->process = dst;
    q->moves++;
    unlink(path);
    q->in_move = false;
    if (q->on_move) {
        q->on_move(q, false, q->on_move_opaque);
    }
}

void qtest_move_to(QTest *q, const char *args, ...)
{
    va_list ap;

    g_free(q->args);
    va_start(ap, args);
    q->args = g_strdup_vprintf(args, ap);
    va_end(ap);
    qtest_move(q);
}

void qtest_set_args(QTest *q, const char *args, ...)
{
    va_list ap;

    g_free(q->args);
    va_start(ap, args);
    q->args = g_strdup_vprintf(args, ap);
    va_end(ap);
    g_ptr_array_set_size(q->replay, 0);
}

void qtest_tick(QTest *q)
{
    if (!q->every || !q->moving || q->in_move || q->countdown--) {
        return;
    }
    q->countdown = q->random ? (unsigned)g_rand_int_range(q->random, 0, 2 * q->every) : q->every - 1;
    qtest_move(q);
}

void qtest_move_randomly(QTest *q, uint32_t seed, unsigned mean)
{
    g_clear_pointer(&q->random, g_rand_free);
    q->every = mean;
    if (mean) {
        q->random = g_rand_new_with_seed(seed);
        q->countdown = g_rand_int_range(q->random, 0, 2 * mean);
    }
}

double qtest_downtime_ms(const QTest *q)
{
    return q->downtime_ms;
}

void qtest_set_moving(QTest *q, bool on)
{
    q->moving = on;
}

unsigned qtest_moves(const QTest *q)
{
    return q->moves;
}

void qtest_on_move(QTest *q, QTestMoveFunc *func, void *opaque)
{
    q->on_move = func;
    q->on_move_opaque = opaque;
}

void qtest_on_move_wait(QTest *q, QTestSourceFunc *func)
{
    q->on_move_wait = func;
}

void qtest_move_setup(QTest *q, const char *command, const char *arguments)
{
    g_autofree char *text = g_strdelimit(g_strdup(arguments), "'", '"');
    json_object *setup = json_object_new_object();

    json_object_object_add(setup, "execute", json_object_new_string(command));
    json_object_object_add(setup, "arguments", json_tokener_parse(text));
    g_ptr_array_add(q->move_setup, setup);
}
