/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * QMP sessions: greeting, negotiation, requests in order, out-of-band commands, responses.
 *
 * S1  Input is read and parsed in the monitor thread. In-band requests wait in session->requests
 *     and are run by one bottom half of the main loop, one request per turn, sessions in rotation;
 *     never one inside another.
 * S2  Input stops while QUEUE_MAX requests wait or OUT_STOP bytes of output, and goes on when there
 *     is room again.
 * S3  `generation` counts connections; a response is written only to the connection that asked.
 * S4  Requests that came before the end of the input are run all the same (`printf ... | program
 *     -qmp stdio`), unless another client comes first.
 *
 * Everything in a session is under its lock, except what belongs to the monitor thread (parser).
 */
#include "util/osdep.h"

#include "io/channel.h"
#include "monitor-private.h"
#include "monitor/qmp-parser.h"
#include "qapi/version.h"
#include "util/error.h"
#include "util/main-loop.h"

#define QUEUE_MAX 8u
#define OUT_STOP ((size_t)256 << 10)
#define OUT_MAX ((size_t)64 << 20)

typedef struct QmpSession {
    Monitor base;
    bool pretty;
    QmpParser parser;
    GMutex lock;
    bool connected;
    bool busy;   /* one of its requests runs in the main thread */
    bool ending; /* the input has ended, requests wait or one runs (S4) */
    bool negotiated;
    bool oob;
    unsigned generation;
    GQueue requests; /* Request */
    bool stopped;    /* can_read() said 0; somebody must wake the input up */
    GString *out;
    size_t out_pos; /* written so far */
    GSource *watch; /* for room; NULL: none */
    struct QmpSession *next;
} QmpSession;

/* One message: what to run, or the error to answer. */
typedef struct Request {
    unsigned generation;
    json_object *id; /* NULL: none (a null id cannot be told from none, as in stock) */
    bool has_id;
    char *command;
    json_object *args; /* may be NULL */
    bool oob;
    GError *error;
} Request;

static QmpSession *sessions; /* only grows while the monitor thread runs */
static GMutex sessions_lock;
static Bh *dispatcher;
static bool dispatching; /* big lock */

/* ---- output ---- */

static void flush_locked(QmpSession *s);

static void room_for_output(void *opaque)
{
    QmpSession *s = opaque;

    g_mutex_lock(&s->lock);
    io_watch_clear(&s->watch);
    flush_locked(s);
    g_mutex_unlock(&s->lock);
}

static gboolean wake_input(gpointer opaque)
{
    chardev_accept_input(&((QmpSession *)opaque)->base.fe);
    return G_SOURCE_REMOVE;
}

static bool must_stop(const QmpSession *s)
{
    return g_queue_get_length((GQueue *)&s->requests) >= QUEUE_MAX ||
           s->out->len - s->out_pos >= OUT_STOP;
}

/* From any thread: lets the monitor thread ask can_read() again. */
static void maybe_wake_locked(QmpSession *s)
{
    if (s->stopped && !must_stop(s)) {
        GSource *source = g_idle_source_new();

        s->stopped = false;
        g_source_set_priority(source, G_PRIORITY_DEFAULT);
        g_source_set_callback(source, wake_input, s, NULL);
        g_source_attach(source, s->base.fe.ctx);
        g_source_unref(source);
    }
}

static void flush_locked(QmpSession *s)
{
    while (s->out_pos < s->out->len && !s->watch) {
        ssize_t n = chardev_write(&s->base.fe, s->out->str + s->out_pos, s->out->len - s->out_pos);

        if (n < 0) {
            s->out_pos = s->out->len; /* gone; CLOSED follows */
        } else if (n == 0) {
            s->watch = chardev_add_write_watch(&s->base.fe, room_for_output, s);
            if (!s->watch) {
                s->out_pos = s->out->len;
            }
        } else {
            s->out_pos += (size_t)n;
        }
    }
    if (s->out_pos == s->out->len) {
        g_string_truncate(s->out, 0);
        s->out_pos = 0;
    }
    maybe_wake_locked(s);
}

static void send_locked(QmpSession *s, json_object *message)
{
    if (!s->connected) {
        return;
    }
    if (s->out->len - s->out_pos > OUT_MAX) {
        warn_report("monitor '%s': the client does not read, connection dropped",
                    s->base.fe.chr ? chardev_id(s->base.fe.chr) : "");
        s->out_pos = s->out->len;
        s->connected = false;
        chardev_disconnect(&s->base.fe);
        return;
    }
    if (s->out_pos > OUT_STOP) {
        g_string_erase(s->out, 0, (gssize)s->out_pos);
        s->out_pos = 0;
    }
    qapi_json_write(s->out, message, s->pretty);
    g_string_append(s->out, "\r\n");
    flush_locked(s);
}

void qmp_broadcast(json_object *message)
{
    g_mutex_lock(&sessions_lock);
    for (QmpSession *s = sessions; s; s = s->next) {
        g_mutex_lock(&s->lock);
        if (s->negotiated) {
            send_locked(s, message);
        }
        g_mutex_unlock(&s->lock);
    }
    g_mutex_unlock(&sessions_lock);
}

/* ---- responses ---- */

static json_object *error_object(const GError *error)
{
    json_object *object = json_object_new_object();

    json_object_object_add(object, "class", json_object_new_string(tern_error_class_name(error)));
    json_object_object_add(object, "desc", qapi_json_new_text(error->message));
    return object;
}

/* Takes result. The order of members is stock's. */
static void respond(QmpSession *s, const Request *r, json_object *result, const GError *error)
{
    json_object *message = json_object_new_object();

    if (!error) {
        json_object_object_add(message, "return", result ? result : json_object_new_object());
    }
    if (r->has_id) {
        json_object_object_add(message, "id", json_object_get(r->id));
    }
    if (error) {
        json_object_object_add(message, "error", error_object(error));
    }
    g_mutex_lock(&s->lock);
    if (r->generation == s->generation) {
        send_locked(s, message);
    }
    g_mutex_unlock(&s->lock);
    json_object_put(message);
}

static void request_free(Request *r)
{
    json_object_put(r->id);
    json_object_put(r->args);
    g_clear_error(&r->error);
    g_free(r->command);
    g_free(r);
}

/* ---- running ---- */

static const QmpCommand *find_command(QmpSession *s, const Request *r, GError **error)
{
    const QmpCommand *command;
    bool negotiated, is_capabilities = strcmp(r->command, "qmp_capabilities") == 0;

    g_mutex_lock(&s->lock);
    negotiated = s->negotiated;
    g_mutex_unlock(&s->lock);
    if (!negotiated && !is_capabilities) {
        error_set_class(error, TERN_ERROR_COMMAND_NOT_FOUND,
                        "Expecting capabilities negotiation with 'qmp_capabilities'");
        return NULL;
    }
    if (negotiated && is_capabilities) {
        error_set_class(error, TERN_ERROR_COMMAND_NOT_FOUND,
                        "Capabilities negotiation is already complete, command ignored");
        return NULL;
    }
    command = qmp_find_command(r->command);
    if (!command) {
        error_set_class(error, TERN_ERROR_COMMAND_NOT_FOUND, "The command %s has not been found",
                        r->command);
        return NULL;
    }
    if (r->oob && !(command->flags & QMP_ALLOW_OOB)) {
        error_set(error, "The command %s does not support OOB", r->command);
        return NULL;
    }
    if (!(command->flags & QMP_ALLOW_PRECONFIG) && !monitor_machine_ready()) {
        error_set(error,
                  "The command '%s' is permitted only after machine initialization has completed",
                  r->command);
        return NULL;
    }
    return command;
}

static void run_request(QmpSession *s, Request *r)
{
    const QmpCommand *command = NULL;
    json_object *result = NULL;
    Monitor *outer;
    bool ok;

    if (!r->error) {
        command = find_command(s, r, &r->error);
    }
    if (!command) {
        respond(s, r, NULL, r->error);
        return;
    }
    outer = monitor_set_current(&s->base);
    ok = command->run(r->args, &result, &r->error);
    monitor_set_current(outer);
    if (!ok && !r->error) {
        error_set(&r->error, "The command %s failed", r->command);
    }
    if (ok && (command->flags & QMP_NO_SUCCESS_RESPONSE)) {
        json_object_put(result);
        return;
    }
    respond(s, r, result, ok ? NULL : r->error);
}

/* The oldest request of the next session in rotation. */
static Request *next_request(QmpSession **session)
{
    static unsigned turn;
    unsigned n = 0, k = 0;
    Request *r = NULL;

    g_mutex_lock(&sessions_lock);
    for (QmpSession *s = sessions; s; s = s->next) {
        n++;
    }
    turn++;
    for (unsigned i = 0; i < n && !r; i++) {
        QmpSession *s = sessions;

        for (k = (turn + i) % n; k; k--) {
            s = s->next;
        }
        g_mutex_lock(&s->lock);
        r = g_queue_pop_head(&s->requests);
        s->busy = r != NULL;
        maybe_wake_locked(s);
        g_mutex_unlock(&s->lock);
        *session = s;
    }
    g_mutex_unlock(&sessions_lock);
    return r;
}

/* Ends one connection's state, begins the next. */
static void session_reset_locked(QmpSession *s, bool connected)
{
    Request *r;

    s->generation++;
    s->connected = connected;
    s->ending = false;
    s->negotiated = false;
    s->oob = false;
    s->stopped = false;
    while ((r = g_queue_pop_head(&s->requests))) {
        request_free(r);
    }
    io_watch_clear(&s->watch);
    g_string_truncate(s->out, 0);
    s->out_pos = 0;
}

/* After a request: was it the last one of a client that has gone? */
static void session_end_if_idle(QmpSession *s)
{
    g_mutex_lock(&s->lock);
    s->busy = false;
    if (s->ending && g_queue_is_empty(&s->requests)) {
        session_reset_locked(s, false);
    }
    g_mutex_unlock(&s->lock);
}

static void dispatch(void *opaque)
{
    QmpSession *s;
    Request *r;

    if (dispatching) {
        return; /* a nested loop inside a command: S1 */
    }
    r = next_request(&s);
    if (!r) {
        return;
    }
    dispatching = true;
    run_request(s, r);
    dispatching = false;
    request_free(r);
    session_end_if_idle(s);
    bh_schedule(dispatcher);
}

/* ---- requests ---- */

static bool take_command(QmpSession *s, Request *r, const char *name, json_object *value)
{
    if (r->command) {
        return error_set(&r->error, "QMP input member 'execute' clashes with 'exec-oob'");
    }
    if (!json_object_is_type(value, json_type_string)) {
        return error_set(&r->error, "QMP input member '%s' must be a string", name);
    }
    r->command = g_strdup(json_object_get_string(value));
    r->oob = name[4] == '-';
    return true;
}

/* Checks one member of a request. */
static bool take_member(QmpSession *s, Request *r, const char *name, json_object *value,
                        bool oob_allowed)
{
    if (strcmp(name, "id") == 0) {
        return true; /* taken before */
    }
    if (strcmp(name, "execute") == 0 || (oob_allowed && strcmp(name, "exec-oob") == 0)) {
        return take_command(s, r, name, value);
    }
    if (strcmp(name, "arguments") == 0) {
        if (!json_object_is_type(value, json_type_object)) {
            return error_set(&r->error, "QMP input member 'arguments' must be an object");
        }
        r->args = json_object_get(value);
        return true;
    }
    return error_set(&r->error, "QMP input member '%s' is unexpected", name);
}

/* Takes message. */
static Request *make_request(QmpSession *s, json_object *message, const GError *error)
{
    Request *r = g_new0(Request, 1);
    bool oob;

    g_mutex_lock(&s->lock);
    r->generation = s->generation;
    oob = s->oob;
    g_mutex_unlock(&s->lock);
    if (error) {
        r->error = g_error_copy(error);
    } else if (!json_object_is_type(message, json_type_object)) {
        error_set(&r->error, "QMP input must be a JSON object");
    } else {
        json_object *id;

        r->has_id = json_object_object_get_ex(message, "id", &id);
        r->id = r->has_id ? json_object_get(id) : NULL;
        json_object_object_foreach(message, name, value)
        {
            if (!take_member(s, r, name, value, oob)) {
                break;
            }
        }
        if (!r->error && !r->command) {
            error_set(&r->error, "QMP input lacks member 'execute'");
        }
    }
    json_object_put(message);
    return r;
}

static void session_message(json_object *message, const GError *error, void *opaque)
{
    QmpSession *s = opaque;
    Request *r = make_request(s, message, error);

    if (r->oob && !r->error) {
        run_request(s, r); /* here and now */
        request_free(r);
        return;
    }
    g_mutex_lock(&s->lock);
    g_queue_push_tail(&s->requests, r);
    g_mutex_unlock(&s->lock);
    bh_schedule(dispatcher);
}

/* ---- the connection ---- */

static json_object *greeting(bool offer_oob)
{
    json_object *version = json_object_new_object();
    json_object *triple = json_object_new_object();
    json_object *caps = json_object_new_array();
    json_object *inner = json_object_new_object();
    json_object *outer = json_object_new_object();

    json_object_object_add(triple, "micro", json_object_new_int(INTERFACE_VERSION_MICRO));
    json_object_object_add(triple, "minor", json_object_new_int(INTERFACE_VERSION_MINOR));
    json_object_object_add(triple, "major", json_object_new_int(INTERFACE_VERSION_MAJOR));
    json_object_object_add(version, "qemu", triple);
    json_object_object_add(version, "package", json_object_new_string(PROGRAM_VERSION_TEXT));
    if (offer_oob) {
        json_object_array_add(caps, json_object_new_string("oob"));
    }
    json_object_object_add(inner, "version", version);
    json_object_object_add(inner, "capabilities", caps);
    json_object_object_add(outer, "QMP", inner);
    return outer;
}

static bool offers_oob(const QmpSession *s)
{
    return s->base.fe.ctx != NULL; /* has the monitor thread */
}

static void session_event(void *opaque, ChardevEvent event)
{
    QmpSession *s = opaque;
    json_object *hello;

    if (event != CHARDEV_EVENT_OPENED && event != CHARDEV_EVENT_CLOSED) {
        return;
    }
    qmp_parser_reset(&s->parser);
    g_mutex_lock(&s->lock);
    if (event == CHARDEV_EVENT_CLOSED && (s->busy || !g_queue_is_empty(&s->requests))) {
        s->ending = true;
    } else {
        session_reset_locked(s, event == CHARDEV_EVENT_OPENED);
    }
    if (event == CHARDEV_EVENT_OPENED) {
        hello = greeting(offers_oob(s));
        send_locked(s, hello);
        json_object_put(hello);
    }
    g_mutex_unlock(&s->lock);
}

static size_t session_can_read(void *opaque)
{
    QmpSession *s = opaque;
    bool stop;

    g_mutex_lock(&s->lock);
    stop = s->stopped = must_stop(s);
    g_mutex_unlock(&s->lock);
    /* a chunk may hold some more requests than QUEUE_MAX; they wait too */
    return stop ? 0 : 4096;
}

static void session_read(void *opaque, const uint8_t *buf, size_t len)
{
    qmp_parser_feed(&((QmpSession *)opaque)->parser, buf, len);
}

static const ChardevHandlers session_handlers = { session_can_read, session_read, session_event };

bool qmp_session_negotiate(Monitor *mon, const QMPCapabilityArray *enable, GError **error)
{
    QmpSession *s = (QmpSession *)mon;
    bool oob = false;

    for (size_t i = 0; enable && i < enable->len; i++) {
        if (enable->items[i] == QMP_CAPABILITY_OOB && !offers_oob(s)) {
            return error_set(error, "Capability 'oob' not available");
        }
        oob |= enable->items[i] == QMP_CAPABILITY_OOB;
    }
    g_mutex_lock(&s->lock);
    s->negotiated = true;
    s->oob = oob;
    g_mutex_unlock(&s->lock);
    return true;
}

/* ---- life ---- */

Monitor *qmp_session_new(bool pretty)
{
    QmpSession *s = g_new0(QmpSession, 1);

    s->base.qmp = true;
    s->pretty = pretty;
    s->out = g_string_new(NULL);
    g_queue_init(&s->requests);
    g_mutex_init(&s->lock);
    qmp_parser_init(&s->parser, session_message, s);
    if (!dispatcher) {
        dispatcher = bh_new(NULL, "qmp-dispatch", dispatch, NULL);
    }
    g_mutex_lock(&sessions_lock);
    s->next = sessions;
    sessions = s;
    g_mutex_unlock(&sessions_lock);
    return &s->base;
}

void qmp_session_start(Monitor *mon)
{
    /* a mux and its users live in the main loop; there is no out-of-band then */
    GMainContext *ctx = chardev_is_mux(mon->fe.chr) ? NULL : monitor_context();

    chardev_fe_set_handlers(&mon->fe, &session_handlers, mon, ctx);
}

void qmp_session_flush(Monitor *mon)
{
    QmpSession *s = (QmpSession *)mon;

    g_mutex_lock(&s->lock);
    if (s->connected && s->out_pos < s->out->len) {
        chardev_write_wait(&mon->fe, s->out->str + s->out_pos, s->out->len - s->out_pos, 200);
        s->out_pos = s->out->len;
    }
    g_mutex_unlock(&s->lock);
}

/* The monitor thread has ended. */
void qmp_session_free(Monitor *mon)
{
    QmpSession *s = (QmpSession *)mon;

    g_mutex_lock(&sessions_lock);
    for (QmpSession **p = &sessions; *p; p = &(*p)->next) {
        if (*p == s) {
            *p = s->next;
            break;
        }
    }
    g_mutex_unlock(&sessions_lock);
    g_mutex_lock(&s->lock);
    session_reset_locked(s, false);
    g_mutex_unlock(&s->lock);
    chardev_fe_detach(&mon->fe);
    qmp_parser_destroy(&s->parser);
    g_string_free(s->out, TRUE);
    g_mutex_clear(&s->lock);
    if (!sessions && dispatcher) {
        bh_delete(dispatcher);
        dispatcher = NULL;
    }
    g_free(s);
}
