/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The qtest server's transport: splits the input into lines of any length, queues the answers for a client that
 * reads slowly, keeps the log. One client at a time; when it leaves, the next one starts afresh.
 */
#include "util/osdep.h"

#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>

#include "hw/core/cpu.h"
#include "util/error.h"
#include "util/main-loop.h"
#include "io/channel.h"
#include "accel/qtest/qtest.h"
#include "qtest-internal.h"
#include "system/runstate.h"

#define MAX_READ (64 * 1024)
#define MAX_LINE (1024u * 1024 * 1024) /* a write of half as many bytes; more is no test */

static ChardevFe fe;
static bool active;
static GString *input;      /* an unfinished line */
static size_t scanned;      /* of input, known to have no line feed */
static bool busy;           /* a command runs: it may run the main loop, and we are not to be entered again */
static bool reopened;       /* a new client came meanwhile */
static GString *output;     /* not yet taken by the chardev */
static GSource *output_watch;
static FILE *log_file;
static gint64 log_start;

static void log_line(char kind, const char *text)
{
    if (log_file) {
        fprintf(log_file, "[%c +%.6f] %s\n", kind, (g_get_monotonic_time() - log_start) / 1e6, text);
        fflush(log_file);
    }
}

/* ---- output -------------------------------------------------------------------------------------------- */

static void output_ready(void *opaque);

static void drop_watch(void)
{
    if (output_watch) {
        io_watch_clear(&output_watch);
    }
}

static void flush_output(void)
{
    while (output->len && !output_watch && !guest_held()) {
        ssize_t n = chardev_write(&fe, output->str, output->len);

        if (n < 0) {
            g_string_truncate(output, 0); /* nobody there: answers are lost with the client */
        } else if (n > 0) {
            g_string_erase(output, 0, n);
        } else {
            output_watch = chardev_add_write_watch(&fe, output_ready, NULL);
            if (!output_watch) {
                break;
            }
        }
    }
}

static void output_ready(void *opaque)
{
    drop_watch();
    flush_output();
}

void qtest_send_take(char *text, size_t len)
{
    log_line('S', text);
    if (active) {
        g_string_append_len(output, text, len);
        g_string_append_c(output, '\n');
        flush_output();
    }
    g_free(text);
}

void qtest_send(const char *fmt, ...)
{
    va_list ap;
    char *text;

    va_start(ap, fmt);
    text = g_strdup_vprintf(fmt, ap);
    va_end(ap);
    qtest_send_take(text, strlen(text));
}

/* ---- input --------------------------------------------------------------------------------------------- */

static bool client_migrates;

void qtest_server_set_client_migrates(bool on)
{
    client_migrates = on;
}

/* Between the stop and whoever runs the guest afterwards. */
static bool in_migration(void)
{
    return vm_state() == VM_FINISH_MIGRATE || vm_state() == VM_POSTMIGRATE || vm_state() == VM_INMIGRATE;
}

/* We are the guest: nothing is done while a device waits for its I/O, because the machine stops. */
static bool stands_still(void)
{
    return guest_held() || vm_is_changing_state() || (client_migrates && in_migration());
}

static size_t can_read(void *opaque)
{
    return busy || stands_still() ? 0 : MAX_READ;
}

static void forget_client(void)
{
    g_string_truncate(input, 0);
    scanned = 0;
    qtest_commands_reset();
}

static void take_lines(void)
{
    size_t start = 0;
    char *end;

    while (!reopened && !stands_still() && (end = memchr(input->str + MAX(start, scanned), '\n', input->len - MAX(start, scanned)))) {
        char *text = input->str + start;

        *end = '\0';
        if (end > text && end[-1] == '\r') {
            end[-1] = '\0';
        }
        start = end + 1 - input->str;
        log_line('R', text);
        qtest_run_line(text);
    }
    g_string_erase(input, 0, start);
    scanned = stands_still() ? 0 : input->len;
    if (input->len > MAX_LINE) {
        g_string_truncate(input, 0);
        scanned = 0;
        qtest_send("FAIL line too long");
    }
}

static void take_input(void)
{
    busy = true;
    take_lines();
    busy = false;
    if (reopened) {
        reopened = false;
        forget_client();
    }
    chardev_accept_input(&fe);
}

static void read_input(void *opaque, const uint8_t *buf, size_t len)
{
    g_string_append_len(input, (const char *)buf, len);
    take_input();
}

/* The access is over that held the guest, that is us: its answer goes out, and what was read behind it is run. */
static void go_on(void *opaque)
{
    if (!active || stands_still()) {
        return;
    }
    flush_output();
    if (!busy) {
        take_input();
    }
}

static void hold_ended(void)
{
    bh_schedule_oneshot(NULL, go_on, NULL);
}

static void event(void *opaque, ChardevEvent ev)
{
    if (ev == CHARDEV_EVENT_OPENED) {
        g_string_truncate(output, 0);
        drop_watch();
        if (busy) {
            reopened = true;
        } else {
            forget_client();
        }
        log_start = g_get_monotonic_time();
        if (log_file) {
            fprintf(log_file, "[I 0.000000] OPENED\n");
            fflush(log_file);
        }
    } else if (ev == CHARDEV_EVENT_CLOSED) {
        drop_watch();
        g_string_truncate(output, 0);
        qtest_commands_reset();
        log_line('I', "CLOSED");
    }
}

static const ChardevHandlers handlers = { .can_read = can_read, .read = read_input, .event = event };

/* ---- life ---------------------------------------------------------------------------------------------- */

static bool open_log(const char *log, GError **error)
{
    if (!log) {
        log_file = stderr;
    } else if (strcmp(log, "none")) {
        log_file = fopen(log, "we");
        if (!log_file) {
            return error_set_errno(error, errno, "cannot open qtest log '%s'", log);
        }
    }
    return true;
}

bool qtest_server_start(Chardev *chr, const char *log, GError **error)
{
    g_assert(!active);
    if (!open_log(log, error) || !chardev_fe_attach(&fe, chr, error)) {
        return false;
    }
    input = g_string_new(NULL);
    output = g_string_new(NULL);
    log_start = g_get_monotonic_time();
    active = true;
    guest_hold_set_watch(hold_ended);
    vm_set_told_hook(hold_ended);
    chardev_set_echo(&fe, true);
    chardev_fe_set_handlers(&fe, &handlers, NULL, NULL);
    return true;
}

bool qtest_server_active(void)
{
    return active;
}

void qtest_server_stop(void)
{
    if (!active) {
        return;
    }
    active = false;
    drop_watch();
    chardev_fe_detach(&fe);
    g_string_free(g_steal_pointer(&input), TRUE);
    g_string_free(g_steal_pointer(&output), TRUE);
    if (log_file && log_file != stderr) {
        fclose(log_file);
    }
    log_file = NULL;
}
