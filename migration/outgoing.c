/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The source: from `migrate` to a guest that runs somewhere else, or on here.
 *
 * A thread of its own sends. It has no lock while it reads RAM; what touches devices, images or the run state
 * it has done by the main thread (in_main()). The main thread stays free meanwhile: commands are answered, and
 * migrate_cancel works, at every point.
 *
 * O1  The status is changed by set_status() only, along the arrows of docs/devel/migration.md.
 * O2  After `committed` the destination may have all of it: a cancellation comes too late then.
 * O3  Every way out goes through finish(), in the main thread, exactly once.
 */
#include "util/osdep.h"
#include "state.h"

#include <pthread.h>
#include <time.h>
#include "address.h"
#include "block/block.h"
#include "migration/migration.h"
#include "options.h"
#include "out.h"
#include "qapi/events-migration.h"
#include "ram.h"
#include "return-path.h"
#include "sections.h"
#include "system/quiesce.h"
#include "system/runstate.h"
#include "util/clock.h"
#include "util/error.h"
#include "util/main-loop.h"
#include "vmstate/blocker.h"

/* Output between two looks at cancellation, bandwidth and what is pending. */
#define STEP_BYTES (4u << 20)
/* Throughput is measured over this time, and the limit holds over it. */
#define WINDOW_NS (100 * NS_PER_MS)
/* So little that it takes no time worth mentioning. */
#define SMALL_BYTES (1u << 20)
/* Pauses of a machine that is busy grow between these. */
#define BUSY_PAUSE_MIN_NS (1 * NS_PER_MS)
#define BUSY_PAUSE_MAX_NS (20 * NS_PER_MS)

typedef struct Outgoing {
    pthread_mutex_t lock;
    pthread_cond_t changed;     /* cancelled, go_on, parameters, an answer: whatever the thread may wait for */
    bool cancelled, go_on, poked; /* under lock */
    GError *error;              /* under lock; the first one */

    MigrationStatus status;     /* atomic */
    bool committed;             /* atomic; O2 */
    IoConnect *connect;
    IoChannel *ioc;
    MigrationOut *out;
    ReturnPath *return_path;
    bool check_close;           /* closing may fail (command, file) */
    GThread *thread;
    bool thread_done;           /* atomic */

    /* What switchover has changed and finish() takes back. Main thread. */
    bool stopped, inactivated;
    bool exiting; /* the program ends: the guest is not restarted */
    bool was_running;
    VmRunState old_state;

    /* Bandwidth: the thread. */
    double allowance;
    int64_t allowance_ns;
    int64_t window_ns;
    uint64_t window_bytes, window_pages;
    double bandwidth; /* bytes per second */
    uint64_t dirty_before; /* bytes that the last look found */

    /* Numbers for query-migrate: written by the thread, atomic. Nanoseconds of CLOCK_REALTIME_NS. */
    int64_t start_ns, active_ns, stop_ns, end_ns;
    uint64_t transferred, precopy_bytes;
    uint64_t mbps_1000, pages_per_second, expected_downtime_ms;

    Timer watchdog;
    uint64_t watchdog_written;
    bool watchdog_on;
} Outgoing;

static Outgoing out = {
    .lock = PTHREAD_MUTEX_INITIALIZER,
    .changed = PTHREAD_COND_INITIALIZER,
};

#define GET(name) __atomic_load_n(&out.name, __ATOMIC_ACQUIRE)
#define SET(name, value) __atomic_store_n(&out.name, (value), __ATOMIC_RELEASE)

static int64_t now_ns(void)
{
    return clock_get_ns(CLOCK_REALTIME_NS);
}

/* ---- status ---- */

static void set_status(MigrationStatus status)
{
    SET(status, status);
    migration_announce(status);
}

static bool is_active(MigrationStatus status)
{
    switch (status) {
    case MIGRATION_STATUS_SETUP:
    case MIGRATION_STATUS_ACTIVE:
    case MIGRATION_STATUS_PRE_SWITCHOVER:
    case MIGRATION_STATUS_DEVICE:
    case MIGRATION_STATUS_CANCELLING:
        return true;
    default:
        return false;
    }
}

bool outgoing_active(void)
{
    return is_active(GET(status));
}

/* Keeps the first error. Takes it. */
static void keep_error(GError *error)
{
    pthread_mutex_lock(&out.lock);
    if (out.error) {
        g_error_free(error);
    } else {
        out.error = error;
    }
    pthread_cond_broadcast(&out.changed);
    pthread_mutex_unlock(&out.lock);
}

static bool cancelled(void)
{
    pthread_mutex_lock(&out.lock);
    bool is = out.cancelled;
    pthread_mutex_unlock(&out.lock);
    return is;
}

/* The thread goes on in the new state, unless it was cancelled meanwhile. */
static bool advance(MigrationStatus status)
{
    pthread_mutex_lock(&out.lock);
    bool ok = !out.cancelled && !out.error;
    if (ok) {
        SET(status, status);
    }
    pthread_mutex_unlock(&out.lock);
    if (ok) {
        migration_announce(status);
    }
    return ok;
}

/* ---- the thread's helpers ---- */

/* As g_propagate_error(), where there may be none: a cancellation is no error. */
static void pass_error(GError **to, GError *from)
{
    if (from) {
        g_propagate_error(to, from);
    }
}

typedef struct MainCall {
    void (*func)(void *opaque);
    void *opaque;
    bool done;
} MainCall;

static void main_call(void *opaque)
{
    MainCall *call = opaque;
    call->func(call->opaque);
    pthread_mutex_lock(&out.lock);
    call->done = true;
    pthread_cond_broadcast(&out.changed);
    pthread_mutex_unlock(&out.lock);
}

/* Runs func in the main thread and waits for it. */
static void in_main(void (*func)(void *opaque), void *opaque)
{
    MainCall call = { func, opaque, false };
    main_loop_call(main_call, &call);
    pthread_mutex_lock(&out.lock);
    while (!call.done) {
        pthread_cond_wait(&out.changed, &out.lock);
    }
    pthread_mutex_unlock(&out.lock);
}

/* Sleeps, but not through a cancellation, an error, or a change of parameters. */
static void pause_ns(int64_t ns)
{
    struct timespec until;
    clock_gettime(CLOCK_REALTIME, &until);
    ns += until.tv_nsec;
    until.tv_sec += ns / NS_PER_SEC;
    until.tv_nsec = ns % NS_PER_SEC;
    pthread_mutex_lock(&out.lock);
    while (!out.cancelled && !out.error && !out.poked &&
           pthread_cond_timedwait(&out.changed, &out.lock, &until) == 0) {
    }
    out.poked = false;
    pthread_mutex_unlock(&out.lock);
}

static void look_anew(bool last)
{
    bql_lock();
    sections_sync(last);
    bql_unlock();
    if (migration_capability(MIGRATION_CAPABILITY_EVENTS)) {
        RamCounters counters;
        ram_save_counters(&counters);
        qapi_event_send_MIGRATION_PASS(counters.syncs);
    }
}

/* ---- bandwidth ---- */

static uint64_t pages_sent(void)
{
    RamCounters counters;
    ram_save_counters(&counters);
    return counters.normal_pages + counters.zero_pages;
}

/* Closes the window when it is over; before the first has passed, what there is counts. */
static void measure(void)
{
    uint64_t written = out_tell(out.out), pages = pages_sent();
    int64_t now = now_ns(), ns = now - out.window_ns;
    SET(transferred, written);
    if (ns <= 0 || (ns < WINDOW_NS && out.bandwidth > 0 && out.window_bytes > 0)) {
        return;
    }
    double seconds = (double)ns / NS_PER_SEC;
    out.bandwidth = (written - out.window_bytes) / seconds;
    SET(mbps_1000, (uint64_t)(out.bandwidth * 8 / 1000));
    SET(pages_per_second, (uint64_t)((pages - out.window_pages) / seconds));
    if (ns >= WINDOW_NS) {
        out.window_ns = now;
        out.window_bytes = written;
        out.window_pages = pages;
    }
}

/* Bytes that may be sent now; waits until there are some. */
static uint64_t wait_for_budget(void)
{
    for (;;) {
        uint64_t limit = migration_max_bandwidth();
        int64_t now = now_ns();
        if (limit == UINT64_MAX) {
            out.allowance_ns = now;
            out.allowance = 0;
            return STEP_BYTES;
        }
        double most = MAX((double)limit * WINDOW_NS / NS_PER_SEC, 1.0);
        out.allowance += (double)(now - out.allowance_ns) * limit / NS_PER_SEC;
        out.allowance = MIN(out.allowance, most);
        out.allowance_ns = now;
        if (out.allowance >= most / 10) {
            return MIN(MAX(out.allowance, 1), STEP_BYTES);
        }
        pause_ns((int64_t)MIN((most / 5 - out.allowance) * NS_PER_SEC / limit, NS_PER_SEC));
        if (cancelled()) {
            return 1;
        }
    }
}

/* What can be sent within the downtime limit. */
static uint64_t switchover_threshold(void)
{
    double bandwidth = migration_avail_switchover_bandwidth();
    if (bandwidth == 0) {
        bandwidth = out.bandwidth;
    }
    double bytes = bandwidth * migration_downtime_limit() / 1000;
    return bytes < (double)INT64_MAX ? bytes : INT64_MAX;
}

static void estimate_downtime(uint64_t pending)
{
    double bandwidth = migration_avail_switchover_bandwidth();
    if (bandwidth == 0) {
        bandwidth = out.bandwidth;
    }
    if (bandwidth >= 1) {
        SET(expected_downtime_ms, (uint64_t)MIN(pending / bandwidth * 1000, (double)INT64_MAX));
    }
}

/* ---- switchover: in the main thread ---- */

typedef enum StopResult { STOP_OK, STOP_BUSY, STOP_AGAIN, STOP_FAILED } StopResult;

typedef struct StopCall {
    StopResult result;
    GError *error; /* for busy and failed */
} StopCall;

/* Takes back a stop: the guest runs on, or stays in the state that it had. */
static bool restart(GError **error)
{
    bool ok = true;
    if (out.inactivated) {
        out.inactivated = false;
        ok = block_activate_all(error);
    }
    quiesce_resume_all();
    if (out.stopped) {
        out.stopped = false;
        if (!ok) {
            vm_set_state(VM_PAUSED); /* its images are not ours any more */
        } else if (out.was_running && !out.exiting) {
            vm_start();
        } else {
            vm_set_state(out.old_state);
        }
    }
    return ok;
}

static StopResult quiesce(GError **error)
{
    switch (quiesce_all(error)) {
    case QUIESCE_DONE:
        return STOP_OK;
    case QUIESCE_BUSY:
        if (out.was_running) {
            return STOP_BUSY;
        }
        error_prefix(error, "the machine is stopped and cannot go on: ");
        return STOP_FAILED;
    default:
        return STOP_FAILED;
    }
}

static void stop_call(void *opaque)
{
    StopCall *call = opaque;
    /* What the guest or a device has asked for belongs to before the switchover. */
    if (vm_requests_pending()) {
        call->result = STOP_AGAIN;
        return;
    }
    out.was_running = vm_is_running();
    out.old_state = vm_state();
    global_state_set(out.old_state);
    SET(stop_ns, now_ns());
    int r = vm_stop(VM_FINISH_MIGRATE);
    if (vm_state() != VM_FINISH_MIGRATE) {
        vm_set_state(VM_FINISH_MIGRATE);
    }
    out.stopped = true;
    if (r < 0) {
        error_set_errno(&call->error, -r, "writing out what images have cached failed");
        call->result = STOP_FAILED;
    } else {
        call->result = quiesce(&call->error);
    }
    if (call->result != STOP_OK) {
        restart(NULL);
    }
}

typedef struct DevicesCall {
    VmWriter *w;
    GError *error;
} DevicesCall;

static void devices_call(void *opaque)
{
    DevicesCall *call = opaque;
    g_autoptr(GString) desc = g_string_sized_new(64 * 1024);
    if (!sections_save_devices(call->w, desc, &call->error)) {
        return;
    }
    /* G3: after this the images are the destination's. */
    out.inactivated = true;
    if (!block_inactivate_all(&call->error)) {
        out.inactivated = false;
        return;
    }
    if (ram_late_writer()) {
        error_set(&call->error, "'%s' wrote guest memory after it had been told to stop", ram_late_writer());
    }
}

/* No progress while the guest stands still: give up, rather than keep it so. */
static void watchdog_bark(void *opaque)
{
    uint64_t written = out_written(out.out);
    if (written != out.watchdog_written) {
        out.watchdog_written = written;
        timer_mod(&out.watchdog, now_ns() + migration_switchover_timeout() * NS_PER_MS);
        return;
    }
    GError *error = NULL;
    error_set(&error, "the destination has taken no data for %" PRIu64 " ms while the guest stood still",
              migration_switchover_timeout());
    keep_error(error);
    io_channel_shutdown(out.ioc, IO_SHUTDOWN_BOTH, NULL);
}

static void watchdog_call(void *opaque)
{
    bool on = GPOINTER_TO_INT(opaque);
    if (on) {
        timer_init(&out.watchdog, CLOCK_REALTIME_NS, watchdog_bark, NULL);
        out.watchdog_on = true;
        out.watchdog_written = out_written(out.out);
        timer_mod(&out.watchdog, now_ns() + migration_switchover_timeout() * NS_PER_MS);
    } else if (out.watchdog_on) {
        out.watchdog_on = false;
        timer_del(&out.watchdog);
    }
}

/* ---- switchover: in the thread ---- */

/* pre-switchover: until migrate-continue. */
static bool wait_for_continue(void)
{
    if (!migration_capability(MIGRATION_CAPABILITY_PAUSE_BEFORE_SWITCHOVER)) {
        return true;
    }
    if (!advance(MIGRATION_STATUS_PRE_SWITCHOVER)) {
        return false;
    }
    pthread_mutex_lock(&out.lock);
    while (!out.go_on && !out.cancelled && !out.error) {
        pthread_cond_wait(&out.changed, &out.lock);
    }
    bool ok = out.go_on && !out.cancelled && !out.error;
    pthread_mutex_unlock(&out.lock);
    return ok;
}

static bool send_devices(GError **error)
{
    DevicesCall call = { .w = vm_writer_new() };
    size_t len;
    in_main(devices_call, &call);
    bool ok = !call.error;
    if (ok) {
        const uint8_t *data = vm_writer_data(call.w, &len);
        out_put_memory(out.out, data, len);
        ok = out_flush(out.out);
        if (!ok) {
            *error = g_error_copy(out_error(out.out));
        }
    } else {
        g_propagate_error(error, call.error);
    }
    vm_writer_free(call.w);
    SET(transferred, out_tell(out.out));
    return ok;
}

/* The last byte has been handed over: is it where it should be? */
static bool confirm(GError **error)
{
    if (out.check_close && io_channel_close(out.ioc, error) < 0) {
        return false;
    }
    if (out.return_path) {
        return return_path_wait(out.return_path, error);
    }
    return true;
}

static bool send_last(GError **error)
{
    SET(precopy_bytes, out_tell(out.out));
    if (!wait_for_continue() || !advance(MIGRATION_STATUS_DEVICE)) {
        return false;
    }
    in_main(watchdog_call, GINT_TO_POINTER(true));
    look_anew(true); /* G2 */
    bool ok = sections_write_ends(out.out, error) && send_devices(error) && confirm(error);
    if (ok) {
        SET(committed, true);
    }
    return ok;
}

static StopResult switchover(GError **error)
{
    StopCall call = { 0 };
    do {
        in_main(stop_call, &call);
    } while (call.result == STOP_AGAIN && !cancelled());
    if (call.result != STOP_OK) {
        pass_error(error, call.error);
        return call.result == STOP_BUSY ? STOP_BUSY : STOP_FAILED;
    }
    return send_last(error) ? STOP_OK : STOP_FAILED;
}

/* A machine that is busy runs on a little; false when it had its time. */
static bool wait_while_busy(int64_t *since_ns, int64_t *pause, GError **busy, GError **error)
{
    int64_t now = now_ns();
    if (*since_ns < 0) {
        *since_ns = now;
        *pause = BUSY_PAUSE_MIN_NS;
    }
    if (now - *since_ns >= (int64_t)migration_quiesce_timeout() * NS_PER_MS) {
        g_propagate_prefixed_error(error, g_steal_pointer(busy),
                                   "not ready for switchover within %" PRIu64 " ms: ",
                                   migration_quiesce_timeout());
        return false;
    }
    g_clear_error(busy);
    pause_ns(*pause);
    *pause = MIN(*pause * 2, BUSY_PAUSE_MAX_NS);
    return true;
}

/* ---- the thread ---- */

/*
 * All that was known to be dirty has been sent, and `dirty` bytes are new since. Another pass is worth while as
 * long as each leaves clearly less than the one before: then the guest stands still for a few pages only. When
 * it does not get better, what fits into the downtime limit is good enough.
 */
static bool ready_for_switchover(uint64_t dirty)
{
    uint64_t before = out.dirty_before;
    out.dirty_before = dirty;
    if (dirty > switchover_threshold()) {
        return false;
    }
    return dirty <= SMALL_BYTES || dirty > before / 4 * 3;
}

static bool iterate(GError **error)
{
    int64_t busy_since = -1, busy_pause = 0;
    while (!cancelled()) {
        if (sections_pending() == 0) {
            look_anew(false);
            uint64_t pending = sections_pending();
            estimate_downtime(pending);
            if (ready_for_switchover(pending)) {
                GError *failure = NULL;
                switch (switchover(&failure)) {
                case STOP_OK:
                    return true;
                case STOP_BUSY:
                    if (!wait_while_busy(&busy_since, &busy_pause, &failure, error)) {
                        return false;
                    }
                    continue;
                default:
                    pass_error(error, failure);
                    return false;
                }
            }
            continue;
        }
        if (sections_write_parts(out.out, wait_for_budget(), error) == SECTION_ERROR) {
            return false;
        }
        out.allowance -= out_tell(out.out) - out.transferred;
        measure();
    }
    return false;
}

static bool run(GError **error)
{
    if (!sections_write_begin(out.out, out.return_path != NULL, error)) {
        return false;
    }
    look_anew(false);
    SET(active_ns, now_ns());
    out.window_ns = out.allowance_ns = GET(active_ns);
    out.allowance = (double)INT64_MAX; /* a window's worth */
    SET(transferred, out_tell(out.out));
    return advance(MIGRATION_STATUS_ACTIVE) && iterate(error);
}

static void finish(void *opaque);

static void *thread_main(void *opaque)
{
    GError *error = NULL;
    if (!run(&error) && error) {
        keep_error(error);
    }
    main_loop_call(finish, NULL);
    return NULL;
}

/* ---- begin and end ---- */

static void release(void)
{
    sections_cleanup();
    return_path_free(g_steal_pointer(&out.return_path));
    out_free(g_steal_pointer(&out.out));
    if (out.ioc && !GET(committed)) {
        io_channel_shutdown(out.ioc, IO_SHUTDOWN_BOTH, NULL); /* a command that lives on is not waited for */
    }
    io_channel_unref(g_steal_pointer(&out.ioc));
    vmstate_thaw();
}

/* What went wrong, as users shall read it. Under no lock: the thread is gone. */
static void report_failure(void)
{
    if (!out.error) {
        error_set(&out.error, "the migration was ended");
    }
    warn_report("migration failed: %s", out.error->message);
}

/* O3 */
static void finish(void *opaque)
{
    GError *error = NULL;
    if (out.thread) {
        g_thread_join(g_steal_pointer(&out.thread));
    }
    watchdog_call(GINT_TO_POINTER(false));
    SET(end_ns, now_ns());
    bool done = GET(committed);
    if (done) {
        vm_set_state(VM_POSTMIGRATE);
        out.stopped = false;
        g_clear_error(&out.error); /* of a cancellation that came too late */
    } else if (!restart(&error)) {
        error_prefix(&error, "the guest cannot run on: ");
        if (out.error) {
            error_prefix(&error, "%s; ", out.error->message);
            g_clear_error(&out.error);
        }
        out.error = error;
        out.cancelled = false; /* that is more than a cancellation */
    }
    release();
    if (done) {
        set_status(MIGRATION_STATUS_COMPLETED);
    } else if (out.cancelled) {
        g_clear_error(&out.error);
        set_status(MIGRATION_STATUS_CANCELLED);
    } else {
        report_failure();
        set_status(MIGRATION_STATUS_FAILED);
    }
    SET(thread_done, true);
}

/* An answer on the return path, or its end. Main thread. */
static void return_path_changed(const GError *error, void *opaque)
{
    if (error && !GET(committed)) {
        keep_error(g_error_copy(error));
        io_channel_shutdown(out.ioc, IO_SHUTDOWN_BOTH, NULL);
    }
}

/* With the channel (taken): from here on it is the thread's business. */
static void begin(IoChannel *ioc)
{
    out.ioc = ioc;
    io_channel_set_name(ioc, "migration-source");
    out.out = out_new(ioc);
    if (migration_capability(MIGRATION_CAPABILITY_RETURN_PATH)) {
        out.return_path = return_path_new(ioc, return_path_changed, NULL);
    }
    GError *error = NULL;
    global_state_register();
    if (!sections_prepare(&error)) {
        keep_error(error);
        finish(NULL);
        return;
    }
    out.thread = g_thread_new("migration", thread_main, NULL);
}

static void connected(IoChannel *ioc, const GError *error, void *opaque)
{
    out.connect = NULL;
    if (error) {
        keep_error(g_error_copy(error));
        finish(NULL);
    } else {
        begin(ioc);
    }
}

static void reset_state(void)
{
    g_clear_error(&out.error);
    out.cancelled = out.go_on = out.poked = false;
    out.committed = out.stopped = out.inactivated = out.thread_done = false;
    out.bandwidth = 0;
    out.dirty_before = UINT64_MAX;
    out.window_bytes = out.window_pages = 0;
    out.active_ns = out.stop_ns = out.end_ns = 0;
    out.transferred = out.precopy_bytes = out.mbps_1000 = out.pages_per_second = 0;
    out.expected_downtime_ms = migration_downtime_limit();
    out.start_ns = now_ns();
}

static bool may_start(const MigrationAddress *addr, GError **error)
{
    if (outgoing_active()) {
        return error_set(error, "There's a migration process in progress");
    }
    if (vm_state() == VM_INMIGRATE || incoming_active()) {
        return error_set(error, "Guest is waiting for an incoming migration");
    }
    if (vm_state() == VM_POSTMIGRATE) {
        return error_set(error, "Can't migrate the vm that was paused due to previous migration");
    }
    if (migration_capability(MIGRATION_CAPABILITY_RETURN_PATH) && !migration_address_two_way(addr)) {
        return error_set(error, "The capability return-path needs a channel that can answer: a socket");
    }
    return sections_check_migratable(error); /* G1 */
}

bool outgoing_start(const MigrationAddress *addr, GError **error)
{
    IoChannel *ioc = NULL;
    const SocketAddress *socket = migration_address_socket(addr);
    if (!may_start(addr, error)) {
        return false;
    }
    if (!socket) {
        ioc = migration_address_open(addr, true, error);
        if (!ioc) {
            return false;
        }
    }
    reset_state();
    out.check_close = addr->transport != MIGRATION_ADDRESS_TYPE_SOCKET;
    vmstate_freeze();
    set_status(MIGRATION_STATUS_SETUP);
    if (ioc) {
        begin(ioc);
    } else {
        out.connect = io_socket_connect_async(socket, 0, NULL, connected, NULL);
    }
    return true;
}

/* ---- what commands do meanwhile ---- */

void outgoing_cancel(void)
{
    if (!outgoing_active() || GET(committed)) {
        return;
    }
    pthread_mutex_lock(&out.lock);
    bool first = !out.cancelled;
    out.cancelled = true;
    pthread_cond_broadcast(&out.changed);
    pthread_mutex_unlock(&out.lock);
    if (!first) {
        return;
    }
    set_status(MIGRATION_STATUS_CANCELLING);
    if (out.connect) {
        io_connect_cancel(g_steal_pointer(&out.connect));
        finish(NULL);
    } else if (out.ioc) {
        io_channel_shutdown(out.ioc, IO_SHUTDOWN_BOTH, NULL);
    }
}

bool outgoing_continue(MigrationStatus expected, GError **error)
{
    if (expected != MIGRATION_STATUS_PRE_SWITCHOVER || GET(status) != MIGRATION_STATUS_PRE_SWITCHOVER) {
        return error_set(error, "Migration not in expected state: %s",
                         qapi_name_MigrationStatus(GET(status)));
    }
    pthread_mutex_lock(&out.lock);
    out.go_on = true;
    pthread_cond_broadcast(&out.changed);
    pthread_mutex_unlock(&out.lock);
    return true;
}

void outgoing_parameters_changed(void)
{
    pthread_mutex_lock(&out.lock);
    out.poked = true;
    pthread_cond_broadcast(&out.changed);
    pthread_mutex_unlock(&out.lock);
}

bool outgoing_resume_hook(GError **error)
{
    if (outgoing_active()) {
        return true; /* restart() */
    }
    if (quiesced()) {
        if (!block_activate_all(error)) {
            return false;
        }
        out.inactivated = false;
        quiesce_resume_all();
    }
    return true;
}

void outgoing_shutdown(void)
{
    if (outgoing_active()) {
        out.exiting = true;
        outgoing_cancel();
        MAIN_LOOP_WHILE(!GET(thread_done));
    }
}

/* ---- query-migrate ---- */

static int64_t ms_between(int64_t from, int64_t to)
{
    return (to - from) / NS_PER_MS;
}

static MigrationRAMStats *ram_stats(bool over)
{
    RamCounters counters;
    MigrationRAMStats *ram = g_new0(MigrationRAMStats, 1);
    uint64_t transferred = GET(transferred), precopy = GET(precopy_bytes);
    ram_save_counters(&counters);
    ram->transferred = transferred;
    ram->remaining = counters.remaining;
    ram->total = counters.total;
    ram->duplicate = counters.zero_pages;
    ram->normal = counters.normal_pages;
    ram->normal_bytes = counters.normal_pages * GUEST_PAGE_SIZE;
    ram->dirty_pages_rate = counters.dirty_pages_rate;
    ram->dirty_sync_count = counters.syncs;
    ram->page_size = GUEST_PAGE_SIZE;
    ram->precopy_bytes = precopy ? precopy : transferred;
    ram->downtime_bytes = precopy ? transferred - precopy : 0;
    if (over) {
        int64_t ms = MAX(ms_between(GET(start_ns), GET(end_ns)), 1);
        ram->mbps = transferred * 8.0 / 1000 / ms;
        ram->pages_per_second = (counters.normal_pages + counters.zero_pages) * 1000 / ms;
    } else {
        ram->mbps = GET(mbps_1000) / 1000.0;
        ram->pages_per_second = GET(pages_per_second);
    }
    return ram;
}

static void query_active(MigrationInfo *info)
{
    info->has_total_time = true;
    info->total_time = ms_between(GET(start_ns), now_ns());
    info->has_expected_downtime = true;
    info->expected_downtime = GET(expected_downtime_ms);
    info->has_setup_time = true;
    info->setup_time = ms_between(GET(start_ns), GET(active_ns));
    info->ram = ram_stats(false);
}

static void query_completed(MigrationInfo *info)
{
    info->has_total_time = true;
    info->total_time = ms_between(GET(start_ns), GET(end_ns));
    info->has_downtime = true;
    info->downtime = ms_between(GET(stop_ns), GET(end_ns));
    info->has_setup_time = true;
    info->setup_time = ms_between(GET(start_ns), GET(active_ns));
    info->ram = ram_stats(true);
}

bool outgoing_query(MigrationInfo *info)
{
    MigrationStatus status = GET(status);
    if (status == MIGRATION_STATUS_NONE) {
        return false;
    }
    info->has_status = true;
    info->status = status;
    switch (status) {
    case MIGRATION_STATUS_ACTIVE:
    case MIGRATION_STATUS_PRE_SWITCHOVER:
    case MIGRATION_STATUS_DEVICE:
        query_active(info);
        break;
    case MIGRATION_STATUS_CANCELLING:
        if (GET(active_ns)) {
            query_active(info);
        }
        break;
    case MIGRATION_STATUS_COMPLETED:
        query_completed(info);
        break;
    case MIGRATION_STATUS_FAILED:
        info->error_desc = g_strdup(out.error->message);
        break;
    default:
        break;
    }
    return true;
}
