/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The qtest client: the guest's and the manager's commands. */
#include "util/osdep.h"
#include "qtest-internal.h"

#include <stdio.h>

#define ANSWER_MS 60000
#define EVENT_SECONDS 60

static unsigned env_number(const char *name)
{
    const char *text = g_getenv(name);

    return text ? g_ascii_strtoull(text, NULL, 10) : 0;
}

static void free_json(gpointer obj)
{
    json_object_put(obj);
}

QTest *qtest_start(const char *args, ...)
{
    QTest *q = g_new0(QTest, 1);
    va_list ap;

    va_start(ap, args);
    q->args = g_strdup_vprintf(args, ap);
    va_end(ap);
    q->replay = g_ptr_array_new_with_free_func(free_json);
    q->move_setup = g_ptr_array_new_with_free_func(free_json);
    q->intercepts = g_ptr_array_new_with_free_func(g_free);
    q->every = env_number("QTEST_MOVE_EVERY");
    q->countdown = env_number("QTEST_MOVE_OFFSET");
    q->moving = true;
    q->process = qtest_process_start(q->args, NULL);
    return q;
}

static void qtest_free(QTest *q)
{
    json_object *event;

    qtest_process_free(q->process);
    while ((event = g_queue_pop_head(&q->events))) {
        json_object_put(event);
    }
    g_ptr_array_free(q->replay, TRUE);
    g_ptr_array_free(q->move_setup, TRUE);
    g_ptr_array_free(q->intercepts, TRUE);
    g_clear_pointer(&q->random, g_rand_free);
    g_free(q->args);
    g_free(q);
}

void qtest_end(QTest *q)
{
    json_object *quit = json_tokener_parse("{\"execute\": \"quit\"}");

    json_object_put(qtest_process_qmp(q->process, quit, &q->events));
    qtest_expect_exit(q, 0);
}

void qtest_expect_exit(QTest *q, int status)
{
    int got = qtest_process_wait(q->process, EVENT_SECONDS);

    if (got != status) {
        qtest_fail(q->process, "the emulator exited with status %d, not %d", got, status);
    }
    qtest_free(q);
}

/* ---- the guest's side ---------------------------------------------------------------------------------------- */

/* "IRQ raise N" / "IRQ lower N" may stand before any answer. */
static bool take_irq_line(QTest *q, const char *line)
{
    char what[8];
    int n;

    if (sscanf(line, "IRQ %7s %d", what, &n) != 2) {
        return false;
    }
    g_assert_cmpint(n, >=, 0);
    g_assert_cmpint(n, <, QTEST_MAX_IRQS);
    q->irq[n] = g_str_equal(what, "raise");
    return true;
}

static char *read_answer(QTest *q, QTestProcess *p, const char *line)
{
    char *answer;

    for (;;) {
        answer = qtest_read_line(p, false, ANSWER_MS);
        if (!answer) {
            qtest_fail(p, "no answer to: %s", line);
        }
        if (!take_irq_line(q, answer)) {
            return answer;
        }
        g_free(answer);
    }
}

char *qtest_command(QTest *q, QTestProcess *p, const char *line)
{
    g_autofree char *answer = NULL;
    g_autofree char *with_end = g_strconcat(line, "\n", NULL);

    qtest_write_all(p, false, with_end, strlen(with_end));
    answer = read_answer(q, p, line);
    if (!g_str_has_prefix(answer, "OK")) {
        qtest_fail(p, "%.200s answers: %s", line, answer);
    }
    return g_strdup(answer[2] == ' ' ? answer + 3 : "");
}

static char *run(QTest *q, const char *fmt, ...) G_GNUC_PRINTF(2, 3);
static char *run(QTest *q, const char *fmt, ...)
{
    g_autofree char *line = NULL;
    va_list ap;

    va_start(ap, fmt);
    line = g_strdup_vprintf(fmt, ap);
    va_end(ap);
    qtest_tick(q);
    return qtest_command(q, q->process, line);
}

static uint64_t run_number(QTest *q, const char *line)
{
    g_autofree char *answer = NULL;

    qtest_tick(q);
    answer = qtest_command(q, q->process, line);
    return g_ascii_strtoull(answer, NULL, 0);
}

char *qtest_raw(QTest *q, const char *line)
{
    g_autofree char *with_end = g_strconcat(line, "\n", NULL);

    qtest_tick(q);
    qtest_write_all(q->process, false, with_end, strlen(with_end));
    return read_answer(q, q->process, line);
}

#define QTEST_PORT(suffix, type)                                          \
    type qtest_in##suffix(QTest *q, uint16_t port)                        \
    {                                                                     \
        char line[64];                                                    \
                                                                          \
        snprintf(line, sizeof(line), "in" #suffix " 0x%x", port);         \
        return run_number(q, line);                                       \
    }                                                                     \
    void qtest_out##suffix(QTest *q, uint16_t port, type value)           \
    {                                                                     \
        g_free(run(q, "out" #suffix " 0x%x 0x%" PRIx64, port, (uint64_t)value)); \
    }

#define QTEST_MEMORY(suffix, type)                                        \
    type qtest_read##suffix(QTest *q, uint64_t addr)                      \
    {                                                                     \
        char line[64];                                                    \
                                                                          \
        snprintf(line, sizeof(line), "read" #suffix " 0x%" PRIx64, addr); \
        return run_number(q, line);                                       \
    }                                                                     \
    void qtest_write##suffix(QTest *q, uint64_t addr, type value)         \
    {                                                                     \
        g_free(run(q, "write" #suffix " 0x%" PRIx64 " 0x%" PRIx64, addr, (uint64_t)value)); \
    }

QTEST_PORT(b, uint8_t)
QTEST_PORT(w, uint16_t)
QTEST_PORT(l, uint32_t)
QTEST_MEMORY(b, uint8_t)
QTEST_MEMORY(w, uint16_t)
QTEST_MEMORY(l, uint32_t)
QTEST_MEMORY(q, uint64_t)

void qtest_memread(QTest *q, uint64_t addr, void *buf, size_t len)
{
    g_autofree char *text = NULL;
    g_autofree guchar *data = NULL;
    gsize got;

    if (!len) {
        return;
    }
    text = run(q, "b64read 0x%" PRIx64 " 0x%zx", addr, len);
    data = g_base64_decode(text, &got);
    g_assert_cmpuint(got, ==, len);
    memcpy(buf, data, len);
}

void qtest_memwrite(QTest *q, uint64_t addr, const void *buf, size_t len)
{
    g_autofree char *text = NULL;

    if (len) {
        text = g_base64_encode(buf, len);
        g_free(run(q, "b64write 0x%" PRIx64 " 0x%zx %s", addr, len, text));
    }
}

void qtest_memset(QTest *q, uint64_t addr, uint8_t c, size_t len)
{
    if (len) {
        g_free(run(q, "memset 0x%" PRIx64 " 0x%zx 0x%02x", addr, len, c));
    }
}

int64_t qtest_clock_step(QTest *q, int64_t ns)
{
    char line[64];

    snprintf(line, sizeof(line), "clock_step %" PRId64, ns);
    return run_number(q, line);
}

int64_t qtest_clock_step_next(QTest *q)
{
    return run_number(q, "clock_step");
}

int64_t qtest_clock_now(QTest *q)
{
    return run_number(q, "clock_step 0");
}

static void intercept(QTest *q, const char *line)
{
    g_free(run(q, "%s", line));
    g_ptr_array_add(q->intercepts, g_strdup(line));
}

void qtest_irq_intercept_in(QTest *q, const char *qom_path)
{
    g_autofree char *line = g_strdup_printf("irq_intercept_in %s", qom_path);

    intercept(q, line);
}

void qtest_irq_intercept_out(QTest *q, const char *qom_path)
{
    g_autofree char *line = g_strdup_printf("irq_intercept_out %s", qom_path);

    intercept(q, line);
}

bool qtest_get_irq(QTest *q, int n)
{
    /* Lines of the past may still wait in the socket: an answer to something harmless flushes them out. */
    qtest_clock_now(q);
    return q->irq[n];
}

/* ---- the manager's side ---------------------------------------------------------------------------------------- */

static json_object *parse_command(const char *fmt, va_list ap)
{
    g_autofree char *text = g_strdup_vprintf(fmt, ap);
    json_object *command;

    for (char *c = text; *c; c++) {
        *c = *c == '\'' ? '"' : *c;
    }
    command = json_tokener_parse(text);
    if (!command) {
        g_error("not JSON: %s", text);
    }
    return command;
}

static json_object *run_qmp(QTest *q, const char *fmt, va_list ap)
{
    json_object *command = parse_command(fmt, ap), *answer;

    qtest_tick(q);
    answer = qtest_process_qmp(q->process, json_object_get(command), &q->events);
    if (json_object_object_get_ex(answer, "return", NULL)) {
        qtest_note_command(q, command);
    }
    json_object_put(command);
    return answer;
}

json_object *qtest_qmp(QTest *q, const char *fmt, ...)
{
    json_object *answer;
    va_list ap;

    va_start(ap, fmt);
    answer = run_qmp(q, fmt, ap);
    va_end(ap);
    return answer;
}

static json_object *take_return(QTest *q, json_object *answer, const char *fmt)
{
    json_object *ret;

    if (!json_object_object_get_ex(answer, "return", &ret)) {
        qtest_fail(q->process, "%s: %s", fmt, json_object_to_json_string(answer));
    }
    json_object_get(ret);
    json_object_put(answer);
    return ret;
}

json_object *qtest_qmp_return(QTest *q, const char *fmt, ...)
{
    json_object *answer;
    va_list ap;

    va_start(ap, fmt);
    answer = run_qmp(q, fmt, ap);
    va_end(ap);
    return take_return(q, answer, fmt);
}

void qtest_qmp_ok(QTest *q, const char *fmt, ...)
{
    json_object *answer;
    va_list ap;

    va_start(ap, fmt);
    answer = run_qmp(q, fmt, ap);
    va_end(ap);
    json_object_put(take_return(q, answer, fmt));
}

void qtest_qmp_fails(QTest *q, const char *class, const char *text, const char *fmt, ...)
{
    json_object *answer, *error;
    va_list ap;

    va_start(ap, fmt);
    answer = run_qmp(q, fmt, ap);
    va_end(ap);
    if (!json_object_object_get_ex(answer, "error", &error)) {
        qtest_fail(q->process, "%s did not fail: %s", fmt, json_object_to_json_string(answer));
    }
    g_assert_cmpstr(qtest_json_string(error, "class"), ==, class);
    if (!strstr(qtest_json_string(error, "desc"), text)) {
        qtest_fail(q->process, "%s: expected '%s' in: %s", fmt, text, qtest_json_string(error, "desc"));
    }
    json_object_put(answer);
}

void qtest_getfd(QTest *q, const char *name, int fd)
{
    json_object *command = json_object_new_object(), *args = json_object_new_object();

    json_object_object_add(args, "fdname", json_object_new_string(name));
    json_object_object_add(command, "execute", json_object_new_string("getfd"));
    json_object_object_add(command, "arguments", args);
    qtest_tick(q);
    json_object_put(take_return(q, qtest_process_qmp_fd(q->process, command, fd, &q->events), "getfd"));
}

char *qtest_hmp(QTest *q, const char *fmt, ...)
{
    json_object *command = json_object_new_object(), *args = json_object_new_object(), *ret;
    g_autofree char *line = NULL;
    va_list ap;
    char *text;

    va_start(ap, fmt);
    line = g_strdup_vprintf(fmt, ap);
    va_end(ap);
    json_object_object_add(args, "command-line", json_object_new_string(line));
    json_object_object_add(command, "execute", json_object_new_string("human-monitor-command"));
    json_object_object_add(command, "arguments", args);
    qtest_tick(q);
    ret = take_return(q, qtest_process_qmp(q->process, command, &q->events), line);
    text = g_strdup(json_object_get_string(ret));
    json_object_put(ret);
    return text;
}

static json_object *find_event(QTest *q, const char *name)
{
    for (GList *l = q->events.head; l; l = l->next) {
        json_object *event = l->data;

        if (g_str_equal(json_object_get_string(json_object_object_get(event, "event")), name)) {
            g_queue_delete_link(&q->events, l);
            return event;
        }
    }
    return NULL;
}

/* Reads events that have come; answers cannot, since every command waits for its own. */
static bool read_event(QTest *q, int ms)
{
    g_autofree char *line = qtest_read_line(q->process, true, ms);
    json_object *event = line ? json_tokener_parse(line) : NULL;

    if (event) {
        g_queue_push_tail(&q->events, event);
    }
    return event != NULL;
}

json_object *qtest_wait_event(QTest *q, const char *name)
{
    gint64 deadline = g_get_monotonic_time() + EVENT_SECONDS * G_TIME_SPAN_SECOND;
    json_object *event;

    while (!(event = find_event(q, name))) {
        if (g_get_monotonic_time() > deadline) {
            qtest_fail(q->process, "event %s did not come", name);
        }
        read_event(q, 100);
    }
    return event;
}

bool qtest_had_event(QTest *q, const char *name)
{
    json_object *event;

    while (read_event(q, 0)) {
    }
    event = find_event(q, name);
    json_object_put(event);
    return event != NULL;
}

void qtest_wait_status(QTest *q, const char *status)
{
    gint64 deadline = g_get_monotonic_time() + EVENT_SECONDS * G_TIME_SPAN_SECOND;

    for (;;) {
        json_object *ret = qtest_qmp_return(q, "{'execute': 'query-status'}");
        bool same = g_str_equal(qtest_json_string(ret, "status"), status);

        if (!same && g_get_monotonic_time() > deadline) {
            qtest_fail(q->process, "the VM is %s, not %s", qtest_json_string(ret, "status"), status);
        }
        json_object_put(ret);
        if (same) {
            return;
        }
        g_usleep(1000);
    }
}

static json_object *walk(json_object *obj, const char *path)
{
    g_auto(GStrv) names = g_strsplit(path, ".", -1);

    for (char **name = names; *name; name++) {
        if (!json_object_object_get_ex(obj, *name, &obj)) {
            g_error("no '%s' in the path %s", *name, path);
        }
    }
    return obj;
}

const char *qtest_json_string(json_object *obj, const char *path)
{
    return json_object_get_string(walk(obj, path));
}

int64_t qtest_json_int(json_object *obj, const char *path)
{
    return json_object_get_int64(walk(obj, path));
}
