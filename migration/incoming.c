/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The destination: from -incoming to a guest that runs, or an error and nothing touched.
 *
 * RAM is loaded by a thread without the big lock. From the first device on a coroutine of the main thread goes on:
 * it yields when the source is slow, so that commands are answered all the time.
 *
 * I1  Images stay inactive until the last byte of the stream has been loaded (G3).
 * I2  The source is told that all went well before the guest starts; if it is not there to hear it, the guest
 *     does not start, because it may be running there.
 * I3  After a failed attempt the devices hold parts of a state: the next attempt begins with a reset.
 */
#include "util/osdep.h"
#include "state.h"

#include "address.h"
#include "block/block.h"
#include "migration/migration.h"
#include "options.h"
#include "qapi/qapi.h"
#include "return-path.h"
#include "sections.h"
#include "system/runstate.h"
#include "util/coroutine.h"
#include "util/error.h"
#include "util/main-loop.h"
#include "vmstate/blocker.h"

/* More than any source has a use for; the answers must not fill the channel. */
#define MAX_PINGS 64

typedef struct Incoming {
    MigrationStatus status;
    bool exit_on_error;
    bool dirty; /* I3 */
    GError *error;
    bool two_way;

    IoListener *listener;
    IoChannel *ioc;
    GSource *watch;     /* first data, or data for the coroutine */
    GThread *thread;
    VmReader *reader;
    SectionsLoad *load;
    Coroutine *co;      /* waits for data */
    bool in_main;       /* the coroutine reads, not the thread */
    bool return_path;
    unsigned pings;
} Incoming;

static Incoming in;

static void set_status(MigrationStatus status)
{
    in.status = status;
    migration_announce(status);
}

bool incoming_active(void)
{
    return in.status == MIGRATION_STATUS_SETUP || in.status == MIGRATION_STATUS_ACTIVE;
}

bool incoming_loading(void)
{
    return in.status == MIGRATION_STATUS_ACTIVE;
}

/* ---- reading ---- */

static gboolean more_data(IoChannel *ioc, GIOCondition cond, void *opaque)
{
    Coroutine *co = g_steal_pointer(&in.co);
    io_watch_clear(&in.watch);
    coroutine_enter(co);
    return G_SOURCE_REMOVE;
}

static void wait_for_data(void)
{
    if (!in.in_main) {
        io_channel_wait(in.ioc, G_IO_IN, -1);
        return;
    }
    in.co = coroutine_self();
    in.watch = io_channel_add_watch(in.ioc, G_IO_IN, more_data, NULL, NULL);
    coroutine_yield();
}

static ssize_t source_readv(void *opaque, const struct iovec *iov, unsigned niov, GError **error)
{
    for (;;) {
        ssize_t n = io_channel_readv(in.ioc, iov, niov, error);
        if (n != -EAGAIN) {
            return n < 0 ? -1 : n;
        }
        wait_for_data();
    }
}

static ssize_t source_read(void *opaque, void *buf, size_t len, GError **error)
{
    struct iovec iov = { buf, len };
    return source_readv(opaque, &iov, 1, error);
}

static bool open_return_path(void *opaque, GError **error)
{
    if (!in.two_way) {
        return error_set(error, "the source wants answers, which this channel cannot carry");
    }
    in.return_path = true;
    return true;
}

static bool ping(void *opaque, uint32_t value, GError **error)
{
    if (!in.return_path) {
        return error_set(error, "the source pings before it opens the return path");
    }
    if (++in.pings > MAX_PINGS) {
        return error_set(error, "the source pings too often");
    }
    return return_path_send_pong(in.ioc, value, error);
}

static const SectionsLoadOps load_ops = { open_return_path, ping };

/* ---- the end ---- */

static void release(void)
{
    sections_load_free(g_steal_pointer(&in.load));
    vm_reader_free(g_steal_pointer(&in.reader));
    io_watch_clear(&in.watch);
    io_listener_free(g_steal_pointer(&in.listener));
    if (in.ioc) {
        io_channel_shutdown(in.ioc, IO_SHUTDOWN_BOTH, NULL); /* a command that lives on is not waited for */
        io_channel_unref(g_steal_pointer(&in.ioc));
        vmstate_thaw();
    }
}

static void failed(GError *error)
{
    bool io = in.reader && !vm_reader_ok(in.reader);
    if (in.return_path) {
        return_path_send_shut(in.ioc, false, NULL);
    }
    release();
    in.dirty = true;
    g_clear_error(&in.error);
    in.error = error;
    set_status(MIGRATION_STATUS_FAILED);
    if (in.exit_on_error) {
        error_report("%s", error->message);
        error_report("load of migration failed: %s", g_strerror(io ? EIO : EINVAL));
        vm_request_shutdown(VM_SHUTDOWN_HOST_ERROR);
    } else {
        warn_report("load of migration failed: %s", error->message);
    }
}

/* The state of a guest that does not run. What only makes sense on the source is "paused" here. */
static VmRunState stopped_state(VmRunState state)
{
    switch (state) {
    case VM_INTERNAL_ERROR:
    case VM_IO_ERROR:
    case VM_PRELAUNCH:
    case VM_SHUTDOWN:
    case VM_SUSPENDED:
    case VM_WATCHDOG:
    case VM_GUEST_PANICKED:
        return state;
    default:
        return VM_PAUSED;
    }
}

static bool take_over(GError **error)
{
    VmRunState state;
    g_autofree char *missing = sections_load_missing(in.load);
    if (missing) {
        warn_report("the stream has no state of %s: it is there as after a reset", missing);
    }
    if (!global_state_loaded(&state)) {
        state = VM_RUNNING;
    }
    bool start = vm_autostart() && state == VM_RUNNING;
    bool late = migration_capability(MIGRATION_CAPABILITY_LATE_BLOCK_ACTIVATE) && !start;
    if (!late && !block_activate_all(error)) {
        return false;
    }
    if (in.return_path && !return_path_send_shut(in.ioc, true, error)) {
        block_inactivate_all(NULL);
        return false; /* I2 */
    }
    if (start) {
        vm_start();
    } else {
        vm_set_state(stopped_state(state));
    }
    return true;
}

static void loaded(void *opaque)
{
    GError *error = opaque;
    if (!error) {
        take_over(&error);
    }
    if (error) {
        failed(error);
        return;
    }
    in.dirty = false;
    release();
    set_status(MIGRATION_STATUS_COMPLETED);
}

/* ---- loading ---- */

static void load_rest(void *opaque)
{
    GError *error = NULL;
    sections_load_rest(in.load, &error);
    /* Images are activated outside of a coroutine. */
    main_loop_call(loaded, error);
}

static void iterative_done(void *opaque)
{
    GError *error = opaque;
    g_thread_join(g_steal_pointer(&in.thread));
    if (error) {
        failed(error);
        return;
    }
    in.in_main = true;
    coroutine_enter(coroutine_create(load_rest, NULL));
}

static void *thread_main(void *opaque)
{
    GError *error = NULL;
    sections_load_iterative(in.load, &error);
    main_loop_call(iterative_done, error);
    return NULL;
}

static gboolean first_data(IoChannel *ioc, GIOCondition cond, void *opaque)
{
    GError *error = NULL;
    VmSource source = { .read = source_read, .readv = source_readv };
    io_watch_clear(&in.watch);
    if (in.dirty) {
        vm_reset(VM_SHUTDOWN_SUBSYSTEM_RESET);
    }
    global_state_register();
    global_state_forget();
    in.reader = vm_reader_new(&source);
    in.load = sections_load_new(in.reader, &load_ops, NULL);
    set_status(MIGRATION_STATUS_ACTIVE);
    if (!sections_load_prepare(in.load, &error)) {
        failed(error);
    } else {
        in.thread = g_thread_new("migration-load", thread_main, NULL);
    }
    return G_SOURCE_REMOVE;
}

static void begin(IoChannel *ioc)
{
    in.ioc = ioc;
    in.in_main = in.return_path = false;
    in.pings = 0;
    vmstate_freeze();
    io_channel_set_name(ioc, "migration-destination");
    io_channel_set_blocking(ioc, false, NULL);
    in.watch = io_channel_add_watch(ioc, G_IO_IN, first_data, NULL, NULL);
}

static void accepted(IoListener *listener, IoChannel *ioc, void *opaque)
{
    if (in.ioc) {
        io_channel_unref(ioc); /* there is one source only */
        return;
    }
    io_listener_stop(listener);
    begin(ioc);
}

bool incoming_start(const MigrationAddress *addr, bool exit_on_error, GError **error)
{
    const SocketAddress *socket = migration_address_socket(addr);
    IoChannel *ioc = NULL;
    if (vm_state() != VM_INMIGRATE) {
        return error_set(error, "'-incoming' was not specified on the command line");
    }
    if (incoming_active()) {
        return error_set(error, "The incoming migration has already been started");
    }
    if (socket) {
        in.listener = io_listener_new(socket, 1, error);
    } else {
        ioc = migration_address_open(addr, false, error);
    }
    if (!in.listener && !ioc) {
        return false;
    }
    g_clear_error(&in.error);
    in.exit_on_error = exit_on_error;
    in.two_way = migration_address_two_way(addr);
    set_status(MIGRATION_STATUS_SETUP);
    if (ioc) {
        begin(ioc);
    } else {
        io_listener_start(in.listener, NULL, accepted, NULL);
    }
    return true;
}

void incoming_shutdown(void)
{
    in.exit_on_error = false;
    if (in.reader) {
        /* The thread, or the coroutine, sees the end of the stream. */
        io_channel_shutdown(in.ioc, IO_SHUTDOWN_BOTH, NULL);
        if (in.co) {
            more_data(in.ioc, G_IO_IN, NULL);
        }
        MAIN_LOOP_WHILE(incoming_active());
    } else {
        release();
    }
}

bool incoming_query(MigrationInfo *info)
{
    if (in.status == MIGRATION_STATUS_NONE) {
        return false;
    }
    info->has_status = true;
    info->status = in.status;
    if (in.error && in.status == MIGRATION_STATUS_FAILED) {
        info->error_desc = g_strdup(in.error->message);
    }
    SocketAddress *addr = in.listener ? io_listener_address(in.listener, NULL) : NULL;
    if (addr) {
        info->socket_address = g_new0(SocketAddressArray, 1);
        QAPI_ARRAY_ADD(info->socket_address, addr);
    }
    return true;
}
