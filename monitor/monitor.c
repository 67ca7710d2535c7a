/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Monitors as the program sees them: making, starting, ending; the monitor thread. */
#include "util/osdep.h"

#include <signal.h>

#include "monitor-private.h"
#include "io/fds.h"
#include "util/error.h"
#include "util/main-loop.h"

static Monitor *monitors;
static MonitorHooks hooks;
static bool started;
static unsigned quits;
static unsigned compat_count; /* of -monitor and -qmp, for their labels */

static GMainContext *thread_context;
static GMainLoop *thread_loop;
static GThread *thread;
static __thread Monitor *current;

/* ---- hooks and current ---- */

void monitor_set_hooks(const MonitorHooks *h)
{
    hooks = *h;
    chardev_set_exit_hook(h->quit);
}

bool monitor_quit(void)
{
    if (!hooks.quit) {
        return false;
    }
    quits++;
    hooks.quit();
    return true;
}

unsigned monitor_quit_count(void)
{
    return quits;
}

const MonitorHooks *monitor_hooks(void)
{
    return &hooks;
}

bool monitor_machine_ready(void)
{
    return !hooks.machine_ready || hooks.machine_ready();
}

Monitor *monitor_current(void)
{
    return current;
}

Monitor *monitor_set_current(Monitor *mon)
{
    Monitor *old = current;

    current = mon;
    return old;
}

GMainContext *monitor_context(void)
{
    return thread_context;
}

/* ---- making ---- */

static void start_one(Monitor *mon)
{
    if (mon->qmp) {
        qmp_session_start(mon);
    } else {
        hmp_session_start(mon);
    }
}

static void free_one(Monitor *mon)
{
    if (mon->fds) {
        g_hash_table_unref(mon->fds);
    }
    if (mon->qmp) {
        qmp_session_free(mon);
    } else {
        hmp_session_free(mon);
    }
}

static Monitor *add(Monitor *mon, Chardev *chr, GError **error)
{
    Monitor **p = &monitors;

    if (!chardev_fe_attach(&mon->fe, chr, error)) {
        free_one(mon);
        return NULL;
    }
    while (*p) {
        p = &(*p)->next;
    }
    *p = mon;
    if (started) {
        start_one(mon);
    }
    return mon;
}

Monitor *monitor_new_qmp(Chardev *chr, bool pretty, GError **error)
{
    return add(qmp_session_new(pretty), chr, error);
}

Monitor *monitor_new_hmp(Chardev *chr, bool line_edit, GError **error)
{
    return add(hmp_session_new(line_edit), chr, error);
}

bool monitor_new_option(const char *text, GError **error)
{
    g_autoptr(MonitorOptions) o =
        qapi_decode_option(&qapi_type_MonitorOptions, text, "chardev", error);
    bool control;
    Chardev *chr;

    if (!o) {
        return false;
    }
    control = o->has_mode && o->mode == MONITOR_MODE_CONTROL;
    chr = chardev_find(o->chardev);
    if (!chr) {
        return error_set(error, "chardev \"%s\" not found", o->chardev);
    }
    if (control) {
        return monitor_new_qmp(chr, o->has_pretty && o->pretty, error) != NULL;
    }
    if (o->has_pretty && o->pretty) {
        return error_set(error, "'pretty' is not compatible with HMP monitors");
    }
    return monitor_new_hmp(chr, true, error) != NULL;
}

bool monitor_new_spec(const char *spec, bool control, bool pretty, GError **error)
{
    g_autofree char *label = NULL;
    GError *local = NULL;
    Chardev *chr;

    label = g_strdup_printf("compat_monitor%u", compat_count);
    chr = chardev_new_spec(label, spec, !control, &local);
    if (!chr) {
        if (local) {
            g_propagate_error(error, local);
        }
        return local == NULL; /* "none" */
    }
    if (!g_str_has_prefix(spec, "chardev:")) {
        compat_count++;
    }
    return (control ? monitor_new_qmp(chr, pretty, error) : monitor_new_hmp(chr, true, error)) !=
           NULL;
}

/* ---- the thread ---- */

static gpointer thread_main(gpointer opaque)
{
    sigset_t all;

    /* signals are the main thread's business */
    sigfillset(&all);
    sigdelset(&all, SIGBUS); /* guest memory that is lost: the thread that meets it handles it */
    pthread_sigmask(SIG_BLOCK, &all, NULL);
    context_set_current(thread_context);
    g_main_context_push_thread_default(thread_context);
    g_main_loop_run(thread_loop);
    g_main_context_pop_thread_default(thread_context);
    return NULL;
}

void monitor_start(void)
{
    if (started) {
        return;
    }
    thread_context = g_main_context_new();
    thread_loop = g_main_loop_new(thread_context, FALSE);
    thread = g_thread_new("mon_iothread", thread_main, NULL);
    io_fd_set_resolver(monitor_take_fd);
    monitor_events_init();
    started = true;
    for (Monitor *mon = monitors; mon; mon = mon->next) {
        start_one(mon);
    }
}

static gboolean quit_loop(gpointer opaque)
{
    g_main_loop_quit(opaque);
    return G_SOURCE_REMOVE;
}

static void stop_thread(void)
{
    GSource *source = g_idle_source_new();

    /* from inside the loop: a quit before the thread runs it would be lost */
    g_source_set_callback(source, quit_loop, thread_loop, NULL);
    g_source_attach(source, thread_context);
    g_source_unref(source);
    g_thread_join(thread);
}

void monitor_cleanup(void)
{
    if (started) {
        monitor_events_cleanup();
        stop_thread();
    }
    while (monitors) {
        Monitor *mon = monitors;

        monitors = mon->next;
        if (mon->qmp) {
            qmp_session_flush(mon);
        } else {
            hmp_session_flush(mon);
        }
        free_one(mon);
    }
    if (started) {
        io_fd_set_resolver(NULL);
        g_main_loop_unref(thread_loop);
        g_main_context_unref(thread_context);
        thread_context = NULL;
        started = false;
    }
}

/* ---- small things ---- */

void monitor_append_crlf(GString *out, const char *text, size_t len)
{
    for (size_t i = 0; i < len; i++) {
        if (text[i] == '\n') {
            g_string_append_c(out, '\r');
        }
        g_string_append_c(out, text[i]);
    }
}

void monitor_keep_prefixed(GPtrArray *words, const char *prefix)
{
    for (guint i = words->len; i-- > 0;) {
        if (!g_str_has_prefix(g_ptr_array_index(words, i), prefix)) {
            g_ptr_array_remove_index(words, i);
        }
    }
}
