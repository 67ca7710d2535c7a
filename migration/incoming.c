/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The destination: from -incoming to a guest that runs, or an error and nothing touched.
 *
 * RAM is loaded by a thread without the big lock. From the first device on a coroutine of the main thread goes on:
 * it yields when the source is slow, so that commands are answered all the time.
 *
 * I1  Images stay inactive until the last byte of the stream has been loaded (G3).
 * I2  The source is told that all went well before the guest starts; if it is not there to hear it, the guest
 *     does not start, because it may be running there. Images are inactive again before it is told that something went wrong.
 * I3  After a failed attempt the devices hold parts of a state: the next attempt begins with a reset.
 */
#include "util/osdep.h"
#include "state.h"

#include <pthread.h>
#include "address.h"
#include "migration/blocktime.h"
#include "block/backend.h"
#include "block/block.h"
#include "channels.h"
#include "mapped-ram.h"
#include "migration/migration.h"
#include "multifd.h"
#include "options.h"
#include "postcopy.h"
#include "qapi/qapi.h"
#include "return-path.h"
#include "sections.h"
#include "protocol.h"
#include "ram.h"
#include "system/poison.h"
#include "system/runstate.h"
#include "util/clock.h"
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
    ChannelSorter *sorter;              /* multifd: who is who, also of those that are too many */
    unsigned missing;                   /* multifd channels */
    bool lost;                          /* a connection that may be one of those has ended */
    GSource *end_watch;                 /* of the main channel, while others are missing */
    Timer patience;                     /* for those that may have been lost */
    bool patient;
    GError *cause;                      /* why the main channel was closed; of the main thread */
    uint8_t first[CHANNEL_FIRST_BYTES]; /* of the main channel, taken already */
    size_t first_bytes;
    IoChannel *ioc;
    GSource *watch; /* first data, or data for the coroutine */
    GThread *thread;
    VmReader *reader;
    SectionsLoad *load;
    Coroutine *co; /* waits for data */
    bool in_main;  /* the coroutine reads, not the thread */
    bool return_path;
    unsigned pings;

    /* Postcopy. */
    pthread_mutex_t lock; /* of what connections are, once the listener runs */
    GThread *listener_thread;
    bool ran;              /* the guest */
    bool quit;             /* under lock */
    GMainContext *context; /* where the listener thread waits for a new connection */
    IoListener *recover;   /* under lock */
    IoChannel *recovered;  /* under lock: the new connection */
} Incoming;

static Incoming in = { .lock = PTHREAD_MUTEX_INITIALIZER };

static MigrationStatus get_status(void)
{
    return __atomic_load_n(&in.status, __ATOMIC_ACQUIRE);
}

/* Any thread. */
static void set_status(MigrationStatus status)
{
    __atomic_store_n(&in.status, status, __ATOMIC_RELEASE);
    migration_announce(status);
}

bool incoming_active(void)
{
    return get_status() == MIGRATION_STATUS_SETUP || incoming_loading();
}

bool incoming_loading(void)
{
    switch (get_status()) {
    case MIGRATION_STATUS_ACTIVE:
    case MIGRATION_STATUS_POSTCOPY_ACTIVE:
    case MIGRATION_STATUS_POSTCOPY_PAUSED:
    case MIGRATION_STATUS_POSTCOPY_RECOVER:
        return true;
    default:
        return false;
    }
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
        GError *failure = NULL;
        ssize_t n = io_channel_readv(in.ioc, iov, niov, &failure);
        if (n >= 0) {
            return n;
        }
        if (n == -EAGAIN) {
            wait_for_data();
        } else if (n != -EFAULT || !ram_load_repair(iov, niov, &failure)) {
            g_propagate_error(error, failure);
            return -1;
        }
    }
}

static ssize_t source_read(void *opaque, void *buf, size_t len, GError **error)
{
    struct iovec iov = { buf, len };
    return source_readv(opaque, &iov, 1, error);
}

/* The stream, behind what has been taken of it. */
static VmReader *new_reader(void)
{
    VmSource source = { .read = source_read, .readv = source_readv };
    VmReader *reader = vm_reader_new(&source);
    if (in.first_bytes) {
        struct iovec iov = { in.first, in.first_bytes };
        vm_reader_push(reader, &iov, 1);
        in.first_bytes = 0;
    }
    return reader;
}

static bool open_return_path(void *opaque, GError **error)
{
    if (!in.two_way) {
        return error_set(error, "the source wants answers, which this channel cannot carry");
    }
    in.return_path = true;
    /* No device here has a reason to say it later. */
    return !migration_capability(MIGRATION_CAPABILITY_SWITCHOVER_ACK) || return_path_send_switchover_ack(in.ioc, error);
}

static bool has_taken_over(void)
{
    return __atomic_load_n(&in.ran, __ATOMIC_ACQUIRE);
}

/* For the main thread while the listener runs, which may get another connection meanwhile. Unref it. */
static IoChannel *present_channel(void)
{
    pthread_mutex_lock(&in.lock);
    IoChannel *ioc = io_channel_ref(in.ioc);
    pthread_mutex_unlock(&in.lock);
    return ioc;
}

/* The answer to the package's ping (W2); one that is lost with its connection comes again on the next. */
static void say_that_it_runs(void)
{
    g_autoptr(IoChannel) ioc = present_channel();
    return_path_send_pong(ioc, PING_PACKAGE, NULL);
}

static __thread bool is_listener; /* answers that nobody reads may hold up this thread, and no other */

static bool ping(void *opaque, uint32_t value, GError **error)
{
    if (!in.return_path) {
        return error_set(error, "the source pings before it opens the return path");
    }
    if (!is_listener && ++in.pings > MAX_PINGS) {
        return error_set(error, "the source pings too often");
    }
    if (value == PING_PACKAGE && in.listener_thread && !has_taken_over()) {
        return true; /* run() answers: who has the answer knows that the guest is here for good (W2) */
    }
    g_autoptr(IoChannel) ioc = present_channel();
    if (!return_path_send_pong(ioc, value == PING_LOST_PAGES ? PONG_LOST_PAGES : value, error)) {
        if (!postcopy_advised()) {
            return false;
        }
        /* What follows may be here whole, and the guest can run then; whoever reads on finds the connection's end. */
        g_clear_error(error);
    }
    return true;
}

static bool advise(void *opaque, uint64_t page_sizes, uint64_t page_size, GError **error)
{
    if (!migration_capability(MIGRATION_CAPABILITY_POSTCOPY_RAM)) {
        return error_set(
            error, "the source may go on by postcopy, but the capability postcopy-ram is off here");
    }
    if (!in.return_path) {
        return error_set(error, "postcopy needs the return path");
    }
    if (!vmstate_check_postcopy(error)) {
        return false;
    }
    return postcopy_advise(page_sizes, page_size, error);
}

static bool begin_postcopy(void *opaque, GError **error);
static bool run(void *opaque, GError **error);

static bool send_bitmap(void *opaque, const char *block, GError **error)
{
    return postcopy_send_bitmap(in.ioc, block, error);
}

static bool resume(void *opaque, GError **error)
{
    if (!return_path_send_resumed(in.ioc, error)) {
        return false;
    }
    set_status(MIGRATION_STATUS_POSTCOPY_ACTIVE);
    postcopy_set_channel(in.ioc);
    if (has_taken_over()) {
        say_that_it_runs();
    }
    return true;
}

static const SectionsLoadOps load_ops = {
    open_return_path, ping, advise, begin_postcopy, run, send_bitmap, resume,
};

/* ---- the end ---- */

/* The thread that reads while the guest runs, if it does not end by itself. */
static void end_listener(void)
{
    if (!in.listener_thread) {
        return;
    }
    pthread_mutex_lock(&in.lock);
    in.quit = true;
    io_channel_shutdown(in.ioc, IO_SHUTDOWN_BOTH, NULL);
    g_main_context_wakeup(in.context);
    pthread_mutex_unlock(&in.lock);
    g_thread_join(g_steal_pointer(&in.listener_thread));
    pthread_mutex_lock(&in.lock);
    io_listener_free(g_steal_pointer(&in.recover));
    io_channel_unref(g_steal_pointer(&in.recovered));
    g_main_context_unref(g_steal_pointer(&in.context));
    pthread_mutex_unlock(&in.lock);
}

static void end_patience(void)
{
    io_watch_clear(&in.end_watch);
    if (in.patient) {
        timer_del(&in.patience);
    }
    in.patient = in.lost = false;
}

static void release(void)
{
    end_patience();
    end_listener();
    postcopy_end();
    mapped_ram_load_stop();
    multifd_recv_stop(); /* before what it writes into goes */
    sections_load_free(g_steal_pointer(&in.load));
    channel_sorter_free(g_steal_pointer(&in.sorter));
    vm_reader_free(g_steal_pointer(&in.reader));
    io_watch_clear(&in.watch);
    io_listener_free(g_steal_pointer(&in.listener));
    if (in.ioc) {
        io_channel_shutdown(in.ioc, IO_SHUTDOWN_BOTH,
                            NULL); /* a command that lives on is not waited for */
        io_channel_unref(g_steal_pointer(&in.ioc));
        vmstate_thaw();
    }
    in.return_path = false;
}

static void failed(GError *error)
{
    bool io = in.reader && !in.listener_thread && !vm_reader_ok(in.reader); /* while it runs it is the listener's */
    GError *cause = in.cause ? g_steal_pointer(&in.cause) : multifd_recv_error();
    if (cause) { /* the main channel was closed because of it */
        g_error_free(error);
        error = cause;
    }
    if (in.return_path) {
        g_autoptr(IoChannel) ioc = present_channel();
        return_path_send_shut(ioc, false, NULL);
    }
    release();
    in.dirty = true;
    g_clear_error(&in.error);
    in.error = error;
    if (in.exit_on_error) { /* whoever sees the state finds the reason in the log */
        error_report("%s", error->message);
        error_report("load of migration failed: %s", g_strerror(io ? EIO : EINVAL));
        vm_request_shutdown(VM_SHUTDOWN_HOST_ERROR);
    } else {
        warn_report("load of migration failed: %s", error->message);
    }
    set_status(MIGRATION_STATUS_FAILED);
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

/* The source gets them back: before it hears that we have failed, or its guest could not go on. */
static void let_images_go(void)
{
    g_autoptr(GError) error = NULL;
    if (!block_inactivate_all(&error)) {
        warn_report("the images are not let go: %s", error->message);
    }
    block_set_incoming(true);
}

/* last: the stream has ended, and the source is told. */
static bool take_over(bool last, GError **error)
{
    VmRunState state;
    if (in.cause) {
        g_propagate_error(error, g_error_copy(in.cause));
        return false;
    }
    poison_process_notices();
    if (!ram_poison_settle_load(error)) {
        return false;
    }
    g_autofree char *missing = sections_load_missing(in.load);
    if (missing) {
        warn_report("the stream has no state of %s: it is there as after a reset", missing);
    }
    if (!global_state_loaded(&state)) {
        state = VM_RUNNING;
    }
    bool start = vm_autostart() && state == VM_RUNNING;
    bool late = migration_capability(MIGRATION_CAPABILITY_LATE_BLOCK_ACTIVATE) && !start;
    bool ok = (late || block_activate_all(error)) &&
              (!last || !in.return_path || return_path_send_shut(in.ioc, true, error)); /* I2 */
    if (!ok) {
        let_images_go();
        return false;
    }
    if (start) {
        vm_start();
        migration_announce_self();
    } else {
        vm_set_state(stopped_state(state));
    }
    return true;
}

static void loaded(void *opaque)
{
    GError *error = opaque;
    if (!error) {
        take_over(true, &error);
    }
    if (error) {
        failed(error);
        return;
    }
    in.dirty = false;
    release();
    set_status(MIGRATION_STATUS_COMPLETED);
}

/* ---- postcopy ---- */

/* What begins with the guest's run ends here. */
static void postcopy_done(void *opaque)
{
    GError *error = opaque;
    if (!in.listener_thread) { /* it was ended meanwhile */
        g_clear_error(&error);
        return;
    }
    if (!error && !in.ran) {
        error_set(&error, "the source has ended before the guest could run");
    }
    if (error) {
        failed(error);
        return;
    }
    if (!return_path_send_shut(in.ioc, true, &error)) {
        warn_report("postcopy: the source does not hear that all is there: %s", error->message);
        g_clear_error(&error);
    }
    in.dirty = false;
    release();
    set_status(MIGRATION_STATUS_COMPLETED);
}

/* Of in.context, whose sources run with in.lock: migrate-recover, which any thread may say, may take the listener away. */
static gint poll_unlocked(GPollFD *fds, guint n, gint timeout)
{
    pthread_mutex_unlock(&in.lock);
    gint r = g_poll(fds, n, timeout);
    pthread_mutex_lock(&in.lock);
    return r;
}

/* With the lock. */
static void recover_accepted(IoListener *listener, IoChannel *ioc, void *opaque)
{
    if (in.recovered) {
        io_channel_unref(ioc);
    } else {
        in.recovered = ioc;
    }
}

/* The listener thread, until migrate-recover has brought a connection, which takes the old one's place. False: the program ends. */
static bool wait_for_connection(void)
{
    pthread_mutex_lock(&in.lock);
    while (!in.quit && !in.recovered) {
        g_main_context_iteration(in.context, TRUE);
    }
    bool there = !in.quit;
    if (there) {
        io_listener_free(g_steal_pointer(&in.recover));
        io_channel_unref(in.ioc);
        in.ioc = g_steal_pointer(&in.recovered);
        io_channel_set_name(in.ioc, "migration-destination");
        io_channel_set_blocking(in.ioc, false, NULL);
    }
    pthread_mutex_unlock(&in.lock);
    return there;
}

/* K4. False: never. */
static bool pause_and_recover(void)
{
    io_channel_shutdown(in.ioc, IO_SHUTDOWN_BOTH, NULL); /* first: who asks for pages may be waiting for room there */
    postcopy_set_channel(NULL);
    set_status(MIGRATION_STATUS_POSTCOPY_PAUSED);
    if (!wait_for_connection()) {
        return false;
    }
    vm_reader_free(in.reader);
    in.reader = new_reader();
    in.pings = 0;
    ram_load_restart();
    set_status(MIGRATION_STATUS_POSTCOPY_RECOVER);
    return true;
}

static void *listener_main(void *opaque)
{
    GError *error = NULL;
    is_listener = true;
    for (;;) {
        if (sections_load_postcopy(in.load, in.reader, &error)) {
            if (postcopy_complete()) {
                break;
            }
            error_set(&error, "the source has ended before all pages were there");
        }
        warn_report("postcopy is paused: %s", error->message);
        g_clear_error(&error);
        if (!pause_and_recover()) {
            error_set(&error, "the program ended before all of the guest's memory was there");
            break;
        }
    }
    main_loop_call(postcopy_done, error);
    return NULL;
}

static bool begin_postcopy(void *opaque, GError **error)
{
    if (!postcopy_listen(in.ioc, error)) {
        return false;
    }
    set_status(MIGRATION_STATUS_POSTCOPY_ACTIVE);
    in.quit = in.ran = false;
    in.context = g_main_context_new();
    g_main_context_set_poll_func(in.context, poll_unlocked);
    in.listener_thread = g_thread_new("postcopy-listen", listener_main, NULL);
    return true;
}

static bool run(void *opaque, GError **error)
{
    if (!in.listener_thread) {
        return error_set(error, "command run before listen");
    }
    if (!take_over(false, error)) {
        return false;
    }
    __atomic_store_n(&in.ran, true, __ATOMIC_RELEASE);
    say_that_it_runs();
    return true;
}

static bool has_run(GError **error)
{
    return in.ran || error_set(error, "the package does not let the guest run");
}

bool incoming_pause(void)
{
    MigrationStatus status = get_status();
    if (status != MIGRATION_STATUS_POSTCOPY_ACTIVE && status != MIGRATION_STATUS_POSTCOPY_RECOVER) {
        return false;
    }
    pthread_mutex_lock(&in.lock);
    if (in.ioc) {
        io_channel_shutdown(in.ioc, IO_SHUTDOWN_BOTH, NULL);
    }
    pthread_mutex_unlock(&in.lock);
    return true;
}

bool incoming_recover(const MigrationAddress *addr, GError **error)
{
    const SocketAddress *socket = migration_address_socket(addr);
    IoListener *listener = NULL;
    IoChannel *ioc = NULL;
    if (!migration_address_two_way(addr)) {
        return error_set(error, "a recovery needs a channel that can answer: a socket");
    }
    pthread_mutex_lock(&in.lock);
    bool ok = get_status() == MIGRATION_STATUS_POSTCOPY_PAUSED && in.context;
    if (!ok) {
        error_set(error, "Migrate recover can only be run when postcopy is paused.");
    } else if (socket) {
        io_listener_free(g_steal_pointer(&in.recover)); /* another address, after all */
        listener = io_listener_new(socket, 1, error);
        ok = listener != NULL;
    } else {
        ioc = migration_address_open(addr, false, error);
        ok = ioc != NULL;
    }
    if (listener) {
        in.recover = listener;
        io_listener_start(listener, in.context, recover_accepted, NULL);
    } else if (ioc) {
        io_channel_unref(in.recovered);
        in.recovered = ioc;
    }
    if (ok) {
        g_main_context_wakeup(in.context);
    }
    pthread_mutex_unlock(&in.lock);
    return ok;
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
    if (sections_load_has_package(in.load)) {
        if (!sections_load_package(in.load, &error) || !has_run(&error)) {
            failed(error);
        }
        return;
    }
    in.in_main = true;
    coroutine_enter(coroutine_create(load_rest, NULL));
}

static void *thread_main(void *opaque)
{
    GError *error = NULL;
    io_channel_set_patience(in.ioc, G_IO_IN);
    sections_load_iterative(in.load, &error);
    io_channel_set_patience(in.ioc, 0); /* the main thread reads on */
    main_loop_call(iterative_done, error);
    return NULL;
}

static gboolean first_data(IoChannel *ioc, GIOCondition cond, void *opaque)
{
    GError *error = NULL;
    io_watch_clear(&in.watch);
    if (in.dirty) {
        vm_reset(VM_SHUTDOWN_SUBSYSTEM_RESET);
    }
    global_state_register();
    global_state_forget();
    in.reader = new_reader();
    in.load = sections_load_new(in.reader, &load_ops, NULL);
    set_status(MIGRATION_STATUS_ACTIVE);
    if (!sections_load_prepare(in.load, &error) ||
        (multifd_recv_active() && !multifd_recv_start(&error))) {
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
    if (!io_channel_has_feature(ioc, IO_FEATURE_SEEKABLE)) { /* a file's name says more */
        io_channel_set_name(ioc, "migration-destination");
    }
    io_channel_set_blocking(ioc, false, NULL);
    in.watch = io_channel_add_watch(ioc, G_IO_IN, first_data, NULL, NULL);
}

/* A multifd channel cannot go on: nor can the main one. Any thread. */
static void multifd_failed(void *opaque)
{
    io_channel_shutdown(in.ioc, IO_SHUTDOWN_BOTH, NULL);
}

/* All channels are there: the first bytes of the stream are as well. It listens on: another multifd channel means that
 * the source sends pages where nobody reads them. */
static void all_there(void)
{
    end_patience();
    first_data(in.ioc, G_IO_IN, NULL);
}

static void not_all_there(void *opaque)
{
    GError *error = NULL;
    if (!in.ioc) {
        error_set(&error, "multifd: a connection ended before it said what it is, and the main channel has not come");
    } else {
        error_set(&error, "multifd: %u of %u channels have not come, and a connection of the source has ended", in.missing,
                  migration_multifd_channels());
    }
    failed(error);
}

/* A source makes its connections one behind the other. When one of them has ended those that are missing are not waited for
 * for ever. What ends before the source is there may be anybody's. */
static void look_for_lost(void)
{
    bool source = in.ioc || in.missing < migration_multifd_channels();
    if (in.lost && source && !in.patient && !in.reader) {
        in.patient = true;
        timer_init(&in.patience, CLOCK_REALTIME_NS, not_all_there, NULL);
        timer_mod(&in.patience, clock_get_ns(CLOCK_REALTIME_NS) + migration_switchover_timeout() * NS_PER_MS);
    }
}

static void nobody(void *opaque)
{
    in.lost = true;
    look_for_lost();
}

static gboolean main_ended(IoChannel *ioc, GIOCondition cond, void *opaque)
{
    io_watch_clear(&in.end_watch);
    nobody(NULL);
    return G_SOURCE_REMOVE;
}

static void main_channel(IoChannel *ioc, const uint8_t first[CHANNEL_FIRST_BYTES], void *opaque)
{
    if (in.ioc) {
        io_channel_unref(ioc); /* there is one source only */
        return;
    }
    begin(ioc);
    io_watch_clear(&in.watch);
    memcpy(in.first, first, CHANNEL_FIRST_BYTES);
    in.first_bytes = CHANNEL_FIRST_BYTES;
    if (!in.missing) {
        all_there();
        return;
    }
    in.end_watch = io_channel_add_end_watch(ioc, main_ended, NULL, NULL);
    look_for_lost();
}

static void multifd_channel(IoChannel *ioc, const uint8_t *hello, void *opaque)
{
    GError *error = NULL;
    if (multifd_recv_add(ioc, hello, &error)) {
        if (--in.missing == 0 && in.ioc) {
            all_there();
        } else {
            look_for_lost();
        }
        return;
    }
    io_channel_unref(ioc);
    if (!in.reader) {
        failed(error);
    } else if (in.cause) {
        g_error_free(error);
    } else {
        in.cause = error;
        multifd_failed(NULL);
    }
}

static const ChannelSorterOps sorter_ops = { main_channel, multifd_channel, nobody };

static void accepted(IoListener *listener, IoChannel *ioc, void *opaque)
{
    if (in.sorter) {
        channel_sorter_add(in.sorter, ioc);
        return;
    }
    if (in.ioc) {
        io_channel_unref(ioc); /* there is one source only */
        return;
    }
    if (migration_capability(MIGRATION_CAPABILITY_MULTIFD)) {
        GError *error = NULL;
        in.missing = migration_multifd_channels();
        in.sorter = channel_sorter_new(&sorter_ops, NULL);
        if (!multifd_recv_prepare(multifd_failed, NULL, &error)) {
            io_channel_unref(ioc);
            failed(error);
            return;
        }
        channel_sorter_add(in.sorter, ioc);
        return;
    }
    io_listener_stop(listener);
    begin(ioc);
}

/* mapped-ram: who reads pages. */
static bool start_mapped(const MigrationAddress *addr, IoChannel *ioc, GError **error)
{
    bool threads = migration_capability(MIGRATION_CAPABILITY_MULTIFD);
    unsigned n = threads ? migration_multifd_channels() : 1;
    g_autofree IoChannel **channels = g_new0(IoChannel *, n);
    if (!io_channel_has_feature(ioc, IO_FEATURE_SEEKABLE)) {
        return error_set(error, "Migration requires seekable transport (e.g. file)");
    }
    return migration_address_open_pages(addr, ioc, false, channels, n, error) &&
           mapped_ram_load_start(ioc, channels, n, threads, error);
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
    if (migration_capability(MIGRATION_CAPABILITY_POSTCOPY_RAM) && !vmstate_check_postcopy(error)) {
        return false;
    }
    bool mapped = migration_capability(MIGRATION_CAPABILITY_MAPPED_RAM);
    if (mapped && !migration_address_may_seek(addr)) {
        return error_set(error, "Migration requires seekable transport (e.g. file)");
    }
    if (!socket && !mapped && migration_capability(MIGRATION_CAPABILITY_MULTIFD)) {
        return error_set(error, "The capability multifd needs an address that can be connected to "
                                "several times: a socket's");
    }
    if (socket) {
        in.listener = io_listener_new(socket, 1 + migration_multifd_channels(), error);
    } else {
        ioc = migration_address_open(addr, false, error);
    }
    if ((!in.listener && !ioc) || (mapped && !start_mapped(addr, ioc, error))) {
        io_channel_unref(ioc);
        return false;
    }
    g_clear_error(&in.error);
    g_clear_error(&in.cause);
    blocktime_forget();
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

/* The program ends while pages are missing. */
static void failed_quietly(void)
{
    release();
    set_status(MIGRATION_STATUS_FAILED);
}

void incoming_shutdown(void)
{
    in.exit_on_error = false;
    if (in.reader) {
        /* The thread, or the coroutine, sees the end of the stream. */
        if (in.listener_thread) {
            failed_quietly();
            return;
        }
        io_channel_shutdown(in.ioc, IO_SHUTDOWN_BOTH, NULL);
        multifd_recv_shutdown();
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
    if (get_status() == MIGRATION_STATUS_NONE) {
        return false;
    }
    info->has_status = true;
    info->status = get_status();
    if (in.error && get_status() == MIGRATION_STATUS_FAILED) {
        info->error_desc = g_strdup(in.error->message);
    }
    if (get_status() == MIGRATION_STATUS_COMPLETED &&
        blocktime_result(&info->postcopy_blocktime, &info->postcopy_vcpu_blocktime)) {
        info->has_postcopy_blocktime = true;
    }
    SocketAddress *addr = in.listener ? io_listener_address(in.listener, NULL) : NULL;
    if (addr) {
        info->socket_address = g_new0(SocketAddressArray, 1);
        QAPI_ARRAY_ADD(info->socket_address, addr);
    }
    return true;
}
