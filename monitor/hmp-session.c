/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A human monitor on a character device: banner, prompt, lines in, text out. Lives in the main
 * loop, under the big lock.
 *
 * While output waits for the peer, or a command runs (which may iterate the main loop), no input is
 * taken.
 */
#include "util/osdep.h"

#include "hmp-private.h"
#include "io/channel.h"
#include "line-edit.h"
#include "monitor-private.h"
#include "qapi/version.h"

#define PLAIN_LINE_MAX 4096

typedef struct HmpSession {
    Monitor base;
    Hmp hmp;
    LineEdit *editor; /* NULL: plain lines, no echo, no prompt editing */
    GString *plain;   /* the line so far, without an editor */
    GString *out;
    GSource *watch;
    bool busy;
    bool focused; /* of a mux: has the input */
    bool greeted;
} HmpSession;

/* ---- output ---- */

static void flush(HmpSession *s);

static void room_for_output(void *opaque)
{
    HmpSession *s = opaque;

    io_watch_clear(&s->watch);
    flush(s);
    if (!s->out->len) {
        chardev_accept_input(&s->base.fe);
    }
}

static void flush(HmpSession *s)
{
    while (s->out->len && !s->watch) {
        ssize_t n = chardev_write(&s->base.fe, s->out->str, s->out->len);

        if (n < 0) {
            g_string_truncate(s->out, 0);
        } else if (n == 0) {
            s->watch = chardev_add_write_watch(&s->base.fe, room_for_output, s);
            if (!s->watch) {
                g_string_truncate(s->out, 0);
            }
        } else {
            g_string_erase(s->out, 0, n);
        }
    }
}

static void print_bytes(void *opaque, const char *text, size_t len)
{
    HmpSession *s = opaque;

    g_string_append_len(s->out, text, (gssize)len);
    flush(s);
}

static void prompt(HmpSession *s)
{
    if (s->editor) {
        line_edit_show(s->editor);
    } else {
        print_bytes(s, "(qemu) ", 7);
    }
}

/* ---- input ---- */

static void run_line(void *opaque, const char *line)
{
    HmpSession *s = opaque;
    Monitor *outer = monitor_set_current(&s->base);
    unsigned quits = monitor_quit_count();

    s->busy = true;
    hmp_execute(&s->hmp, line);
    s->busy = false;
    monitor_set_current(outer);
    monitor_append_crlf(s->out, s->hmp.out->str, s->hmp.out->len);
    g_string_truncate(s->hmp.out, 0);
    flush(s);
    if (monitor_quit_count() == quits) { /* no prompt behind the last command */
        prompt(s);
    }
}

static GPtrArray *complete_line(void *opaque, const char *line, size_t *start)
{
    return hmp_complete(line, start);
}

static const LineEditFuncs editor_funcs = { print_bytes, run_line, complete_line };

static size_t session_can_read(void *opaque)
{
    HmpSession *s = opaque;

    return s->busy || s->out->len ? 0 : 1;
}

static void plain_input(HmpSession *s, char c)
{
    if (c == '\n') {
        g_autofree char *line = g_strdup(s->plain->str);

        g_string_truncate(s->plain, 0);
        run_line(s, line);
    } else if (c != '\r' && c && s->plain->len < PLAIN_LINE_MAX) {
        g_string_append_c(s->plain, c);
    }
}

static void session_read(void *opaque, const uint8_t *buf, size_t len)
{
    HmpSession *s = opaque;

    for (size_t i = 0; i < len; i++) {
        if (s->editor) {
            line_edit_input(s->editor, buf[i]);
        } else {
            plain_input(s, (char)buf[i]);
        }
    }
}

static void greet(HmpSession *s)
{
    static const char banner[] =
        "QEMU " INTERFACE_VERSION " monitor - type 'help' for more information\r\n";

    s->greeted = true;
    print_bytes(s, banner, strlen(banner));
    prompt(s);
}

static void session_event(void *opaque, ChardevEvent event)
{
    HmpSession *s = opaque;

    switch (event) {
    case CHARDEV_EVENT_OPENED:
        if (s->editor) {
            line_edit_clear(s->editor);
        }
        g_string_truncate(s->plain, 0);
        if (!chardev_is_mux(s->base.fe.chr)) {
            greet(s);
        }
        break;
    case CHARDEV_EVENT_CLOSED:
        io_watch_clear(&s->watch);
        g_string_truncate(s->out, 0);
        break;
    case CHARDEV_EVENT_MUX_IN:
        if (!s->greeted) {
            greet(s);
        } else {
            print_bytes(s, "\r\n", 2);
            prompt(s);
        }
        break;
    default:
        break;
    }
}

static const ChardevHandlers session_handlers = { session_can_read, session_read, session_event };

/* ---- life ---- */

Monitor *hmp_session_new(bool line_edit)
{
    HmpSession *s = g_new0(HmpSession, 1);

    s->hmp.out = g_string_new(NULL);
    s->out = g_string_new(NULL);
    s->plain = g_string_new(NULL);
    if (line_edit) {
        s->editor = line_edit_new("(qemu) ", &editor_funcs, s);
    }
    return &s->base;
}

void hmp_session_start(Monitor *mon)
{
    chardev_fe_set_handlers(&mon->fe, &session_handlers, mon, NULL);
}

void hmp_session_flush(Monitor *mon)
{
    HmpSession *s = (HmpSession *)mon;

    if (s->out->len) {
        chardev_write_wait(&mon->fe, s->out->str, s->out->len, 200);
    }
}

void hmp_session_free(Monitor *mon)
{
    HmpSession *s = (HmpSession *)mon;

    io_watch_clear(&s->watch);
    chardev_fe_detach(&mon->fe);
    if (s->editor) {
        line_edit_free(s->editor);
    }
    g_string_free(s->hmp.out, TRUE);
    g_string_free(s->out, TRUE);
    g_string_free(s->plain, TRUE);
    g_free(s);
}
