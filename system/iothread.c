/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Iothreads: see system/iothread.h.
 *
 * Busy waiting follows the method that the Linux kernel documents for halting vCPUs (Documentation/virt/kvm/
 * halt-polling.rst): a wait that ended soon after the busy wait had been given up makes the next one longer, one
 * that took longer than the longest busy wait allowed makes it shorter.
 */
#include "util/osdep.h"
#include "system/iothread.h"

#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <sys/syscall.h>
#include <unistd.h>
#include "block/backend.h"
#include "monitor/hmp.h"
#include "qapi/commands-misc.h"
#include "util/clock.h"
#include "util/error.h"
#include "util/main-loop.h"

#define POLL_FIRST_NS 4000
#define POLL_GROW 2
#define LOOKS_A_CALL 8 /* at memory, before descriptors are asked for */

struct IoThread {
    Object object;
    GMainContext *context;
    GThread *thread;
    int thread_id; /* atomic; 0 until it runs */
    bool stop;     /* atomic */
    unsigned users;
    int64_t poll_max_ns, poll_grow, poll_shrink; /* atomic: the thread reads them */
    int64_t aio_max_batch, pool_min, pool_max; /* the main thread's */
    /* The thread's. */
    int64_t poll_ns; /* how long it waits busily now */
    bool polling;    /* pollers are watched */
    bool own_pool;   /* its limits are not those of all */
    unsigned turns;
};

static __thread IoThread *current_iothread;

/* ---- the thread ------------------------------------------------------------------------------------------------ */

static int poll_for(GPollFD *fds, guint nfds, int64_t ns)
{
    struct timespec ts = { .tv_sec = ns / NS_PER_SEC, .tv_nsec = ns % NS_PER_SEC };
    return ppoll((struct pollfd *)fds, nfds, ns < 0 ? NULL : &ts, NULL);
}

/* After a wait of that many ns. */
static void adapt(IoThread *io, int64_t max, int64_t waited)
{
    int64_t grow = __atomic_load_n(&io->poll_grow, __ATOMIC_RELAXED);
    int64_t shrink = __atomic_load_n(&io->poll_shrink, __ATOMIC_RELAXED);

    if (waited <= io->poll_ns) {
        return; /* as it should be */
    }
    if (waited > max) {
        io->poll_ns = shrink ? io->poll_ns / shrink : 0;
    } else if (io->poll_ns < max) {
        grow = grow ? grow : POLL_GROW;
        io->poll_ns =
            io->poll_ns ? (io->poll_ns > max / grow ? max : io->poll_ns * grow) : POLL_FIRST_NS;
    }
    io->poll_ns = MIN(io->poll_ns, max);
}

/* Whether something came before the time was over: in memory, or *ret descriptors. */
static bool wait_busily(IoThread *io, GPollFD *fds, guint nfds, int64_t start, int64_t ns, int *ret)
{
    loop_pollers_watch(true);
    io->polling = true;
    for (unsigned turn = 1; clock_get_ns(CLOCK_REALTIME_NS) - start < ns; turn++) {
        if (loop_pollers_look() || bh_any_pending(io->context)) {
            return true;
        }
        if (turn % LOOKS_A_CALL == 0 && (*ret = poll_for(fds, nfds, 0)) != 0) {
            return true;
        }
    }
    return false;
}

/* Who signals has to do it again; what came without before is seen now. */
static bool stop_polling(IoThread *io)
{
    if (!io->polling) {
        return false;
    }
    io->polling = false;
    loop_pollers_watch(false);
    return loop_pollers_look();
}

/* Waits busily for a while first. */
static gint iothread_poll(GPollFD *fds, guint nfds, gint timeout_ms)
{
    IoThread *io = current_iothread;
    int64_t max = __atomic_load_n(&io->poll_max_ns, __ATOMIC_RELAXED);
    int64_t timeout_ns = timeout_ms < 0 ? -1 : timeout_ms * NS_PER_MS;
    int ret = 0;

    if (timeout_ns == 0) { /* there is work; in a busy wait descriptors have their turn now and then */
        return io->polling && ++io->turns % LOOKS_A_CALL ? 0 : poll_for(fds, nfds, 0);
    }
    int64_t start = clock_get_ns(CLOCK_REALTIME_NS);
    int64_t busy = MIN(io->poll_ns, max);

    if (timeout_ns > 0) {
        busy = MIN(busy, timeout_ns);
    }
    if (!(busy && wait_busily(io, fds, nfds, start, busy, &ret)) && !stop_polling(io)) {
        int64_t waited = busy ? clock_get_ns(CLOCK_REALTIME_NS) - start : 0;

        ret = poll_for(fds, nfds, timeout_ns < 0 ? -1 : MAX(timeout_ns - waited, 0));
    }
    if (max) {
        int saved = errno;
        adapt(io, max, clock_get_ns(CLOCK_REALTIME_NS) - start);
        errno = saved;
    }
    return ret;
}

static void *iothread_main(void *opaque)
{
    IoThread *io = opaque;
    sigset_t all;

    sigfillset(&all);
    sigdelset(&all, SIGBUS); /* guest memory that is lost: the thread that meets it handles it */
    pthread_sigmask(SIG_BLOCK, &all, NULL);
    current_iothread = io;
    context_set_current(io->context);
    g_main_context_set_poll_func(io->context, iothread_poll);
    g_main_context_push_thread_default(io->context);
    __atomic_store_n(&io->thread_id, (int)syscall(SYS_gettid), __ATOMIC_SEQ_CST);
    while (!__atomic_load_n(&io->stop, __ATOMIC_SEQ_CST)) {
        context_iterate(io->context, true);
    }
    while (g_main_context_iteration(io->context, FALSE)) { /* what was asked before the end */
    }
    g_main_context_pop_thread_default(io->context);
    return NULL;
}

/* ---- its users ------------------------------------------------------------------------------------------------- */

GMainContext *iothread_context(const IoThread *iothread)
{
    return iothread->context;
}

void iothread_run(IoThread *iothread, void (*func)(void *opaque), void *opaque)
{
    context_run(iothread->context, func, opaque);
}

void iothread_hold(IoThread *iothread)
{
    iothread->users++;
    object_ref(&iothread->object);
}

void iothread_release(IoThread *iothread)
{
    g_assert(iothread->users > 0);
    iothread->users--;
    object_unref(&iothread->object);
}

IoThread *iothread_find(const char *id, GError **error)
{
    g_autofree char *path = *id == '/' ? g_strdup(id) : g_strdup_printf("/objects/%s", id);
    IoThread *io = object_cast(object_resolve(path, NULL), &iothread_type);

    if (!io) {
        error_set(error, "IOThread object '%s' not found", id);
    }
    return io;
}

/* ---- the object ------------------------------------------------------------------------------------------------ */

static bool set_count(Object *obj, const Property *prop, json_object *value, GError **error)
{
    int64_t n = json_object_get_int64(value);

    if (!json_object_is_type(value, json_type_int)) {
        return error_set(error, "Invalid parameter type for '%s', expected: integer", prop->name);
    }
    if (n < 0) {
        return error_set(error, "%s value must be in range [0, %" PRId64 "]", prop->name,
                         INT64_MAX);
    }
    __atomic_store_n((int64_t *)property_member(obj, prop), n, __ATOMIC_RELAXED);
    return true;
}

/* ---- limits of block I/O, which the thread has to set for itself ---- */

static void set_limits(void *opaque)
{
    IoThread *io = opaque;

    block_set_max_batch(MIN(io->aio_max_batch, UINT_MAX));
    if (io->pool_min || io->pool_max != BLOCK_POOL_THREADS || io->own_pool) {
        io->own_pool = true;
        block_pool_set_limits(io->pool_min, io->pool_max);
    }
}

static bool pool_good(int64_t min, int64_t max, GError **error)
{
    return (max > 0 && max <= INT_MAX && min <= max) ||
           error_set(error, "bad thread-pool-min/thread-pool-max values");
}

static bool set_limit(Object *obj, const Property *prop, json_object *value, GError **error)
{
    IoThread *io = (IoThread *)obj;
    int64_t *member = property_member(obj, prop), old = *member;

    if (!set_count(obj, prop, value, error)) {
        return false;
    }
    if (!io->thread) {
        return true;
    }
    if (!pool_good(io->pool_min, io->pool_max, error)) {
        *member = old;
        return false;
    }
    iothread_run(io, set_limits, io);
    return true;
}

static bool parse_count(Object *obj, const Property *prop, const char *text, GError **error)
{
    char *end;

    errno = 0;
    int64_t n = g_ascii_strtoll(text, &end, 0);
    if (errno || end == text || *end) {
        return error_set(error, "Parameter '%s' expects an int64 value", prop->name);
    }
    json_object *value = json_object_new_int64(n);
    bool ok = prop->kind->set(obj, prop, value, error);
    json_object_put(value);
    return ok;
}

static json_object *get_count(Object *obj, const Property *prop, GError **error)
{
    return json_object_new_int64(*(int64_t *)property_member(obj, prop));
}

static const PropertyKind property_count = {
    .name = "int",
    .set = set_count,
    .parse = parse_count,
    .get = get_count,
};

static const PropertyKind property_limit = {
    .name = "int",
    .set = set_limit,
    .parse = parse_count,
    .get = get_count,
};

static const Property iothread_properties[] = {
    PROPERTY("poll-max-ns", property_count, IoThread, poll_max_ns, .default_text = "32768",
             .flags = PROPERTY_ANY_TIME,
             .description = "Longest busy wait in nanoseconds, 0: none"),
    PROPERTY("poll-grow", property_count, IoThread, poll_grow, .flags = PROPERTY_ANY_TIME,
             .description = "Factor by which the busy wait grows, 0: 2"),
    PROPERTY("poll-shrink", property_count, IoThread, poll_shrink, .flags = PROPERTY_ANY_TIME,
             .description = "Divisor by which the busy wait shrinks, 0: to nothing"),
    PROPERTY("aio-max-batch", property_limit, IoThread, aio_max_batch, .flags = PROPERTY_ANY_TIME,
             .description = "Most requests that go to the kernel at once, 0: as many as there are"),
    PROPERTY("thread-pool-min", property_limit, IoThread, pool_min, .flags = PROPERTY_ANY_TIME,
             .description = "Threads for block I/O that are always there"),
    PROPERTY("thread-pool-max", property_limit, IoThread, pool_max, .default_text = "64",
             .flags = PROPERTY_ANY_TIME, .description = "Most threads for block I/O"),
    {},
};

static bool iothread_complete(Object *obj, GError **error)
{
    IoThread *io = (IoThread *)obj;
    g_autofree char *name = g_strdup_printf("IO %.12s", object_path_component(obj));

    if (!pool_good(io->pool_min, io->pool_max, error)) {
        return false;
    }
    io->context = g_main_context_new();
    io->thread = g_thread_try_new(name, iothread_main, io, error);
    while (io->thread && !__atomic_load_n(&io->thread_id, __ATOMIC_SEQ_CST)) {
        g_usleep(20); /* query-iothreads has to know it */
    }
    if (io->thread) {
        iothread_run(io, set_limits, io);
    }
    return io->thread != NULL;
}

static bool iothread_can_be_deleted(Object *obj, GError **error)
{
    return ((IoThread *)obj)->users == 0 ||
           error_set(error, "object '%s' is in use, can not be deleted",
                     object_path_component(obj));
}

static void iothread_finalize(Object *obj)
{
    IoThread *io = (IoThread *)obj;

    if (io->thread) {
        __atomic_store_n(&io->stop, true, __ATOMIC_SEQ_CST);
        g_main_context_wakeup(io->context);
        g_thread_join(io->thread);
    }
    if (io->context) {
        g_main_context_unref(io->context);
    }
}

static const UserCreatableOps iothread_ops = { iothread_complete, iothread_can_be_deleted };

const ObjectType iothread_type = {
    .name = "iothread",
    .parent = &object_type,
    .size = sizeof(IoThread),
    .properties = iothread_properties,
    .interfaces = (const InterfaceImpl[]){ { &user_creatable_type, &iothread_ops }, {} },
    .finalize = iothread_finalize,
};
OBJECT_TYPE_REGISTER(iothread_type)

/* ---- what is shown --------------------------------------------------------------------------------------------- */

static bool add_info(Object *obj, void *opaque)
{
    IoThread *io = object_cast(obj, &iothread_type);
    IOThreadInfoArray *list = opaque;

    if (io) {
        IOThreadInfo *info = g_new0(IOThreadInfo, 1);
        info->id = g_strdup(object_path_component(obj));
        info->thread_id = io->thread_id;
        info->poll_max_ns = io->poll_max_ns;
        info->poll_grow = io->poll_grow;
        info->poll_shrink = io->poll_shrink;
        info->aio_max_batch = io->aio_max_batch;
        QAPI_ARRAY_ADD(list, info);
    }
    return true;
}

bool qmp_query_iothreads(IOThreadInfoArray **ret, GError **error)
{
    *ret = g_new0(IOThreadInfoArray, 1);
    object_foreach_child(object_container("/objects"), add_info, *ret);
    return true;
}

static bool print_info(Object *obj, void *opaque)
{
    IoThread *io = object_cast(obj, &iothread_type);

    if (io) {
        hmp_printf(opaque,
                   "%s:\n  thread_id=%d\n  poll-max-ns=%" PRId64 "\n  poll-grow=%" PRId64
                   "\n  poll-shrink=%" PRId64 "\n  aio-max-batch=%" PRId64 "\n",
                   object_path_component(obj), io->thread_id, io->poll_max_ns, io->poll_grow,
                   io->poll_shrink, io->aio_max_batch);
    }
    return true;
}

static void hmp_info_iothreads(Hmp *hmp, const HmpArgs *args)
{
    object_foreach_child(object_container("/objects"), print_info, hmp);
}

static const HmpCommand iothread_commands[] = {
    { "info iothreads", "", "", "show iothreads", hmp_info_iothreads, true },
};
HMP_REGISTER(iothread_commands)
