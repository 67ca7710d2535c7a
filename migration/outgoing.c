/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The source: from `migrate` to a guest that runs somewhere else, or on here.
 *
 * A thread of its own sends. It has no lock while it reads RAM; what touches devices, images or the run state
 * it has done by the main thread (outgoing_in_main()). The main thread stays free meanwhile: commands are answered, and
 * migrate_cancel works, at every point.
 *
 * O1  The status goes along the arrows of docs/devel/migration.md. Where a cancellation may come first it is changed under `lock`.
 * O2  After `committed` the destination may have all of it: a cancellation comes too late then. Which of them is first is
 *     decided under `lock`.
 * O3  Every way out goes through outgoing_finish(), in the main thread, exactly once.
 */
#include "util/osdep.h"
#include "outgoing-internal.h"

#include <time.h>
#include "block/block.h"
#include "mapped-ram.h"
#include "multifd.h"
#include "options.h"
#include "qapi/events-migration.h"
#include "protocol.h"
#include "ram-release.h"
#include "sections.h"
#include "throttle.h"
#include "system/quiesce.h"
#include "util/error.h"
#include "util/main-loop.h"
#include "vmstate/blocker.h"

/* Output between two looks at cancellation, bandwidth and what is pending. */
#define STEP_BYTES (4u << 20)
/* The same with multifd, where a step may end with a sync of all channels. */
#define STEP_BYTES_MULTIFD (32u << 20)
/* Throughput is measured over this time, and the limit holds over it. */
#define WINDOW_NS (100 * NS_PER_MS)
/* So little that it takes no time worth mentioning. */
#define SMALL_BYTES (1u << 20)
/* What is kept ready for a device's state, and for its description; a virtio disk has 30 and 20 KiB. */
#define DEVICE_ROOM (32u << 10)
/* Pauses of a machine that is busy grow between these. */
#define BUSY_PAUSE_MIN_NS (1 * NS_PER_MS)
#define BUSY_PAUSE_MAX_NS (20 * NS_PER_MS)

Outgoing outgoing = {
    .lock = PTHREAD_MUTEX_INITIALIZER,
    .changed = PTHREAD_COND_INITIALIZER,
};

int64_t outgoing_now_ns(void)
{
    return clock_get_ns(CLOCK_REALTIME_NS);
}

/* ---- status ---- */

void outgoing_set_status(MigrationStatus status)
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
    case MIGRATION_STATUS_POSTCOPY_ACTIVE:
    case MIGRATION_STATUS_POSTCOPY_PAUSED:
    case MIGRATION_STATUS_POSTCOPY_RECOVER_SETUP:
    case MIGRATION_STATUS_POSTCOPY_RECOVER:
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
void outgoing_keep_error(GError *error)
{
    pthread_mutex_lock(&outgoing.lock);
    if (outgoing.error) {
        g_error_free(error);
    } else {
        outgoing.error = error;
    }
    pthread_cond_broadcast(&outgoing.changed);
    pthread_mutex_unlock(&outgoing.lock);
}

/* Whether somebody else has ended it: a cancellation, or what the destination or the watchdog has said. */
static bool ended(void)
{
    pthread_mutex_lock(&outgoing.lock);
    bool is = outgoing.cancelled || outgoing.error;
    pthread_mutex_unlock(&outgoing.lock);
    return is;
}

/* The thread goes on in the new state, unless it was cancelled meanwhile. */
bool outgoing_advance(MigrationStatus status)
{
    pthread_mutex_lock(&outgoing.lock);
    bool ok = !outgoing.cancelled && !outgoing.error;
    if (ok) {
        SET(status, status);
    }
    pthread_mutex_unlock(&outgoing.lock);
    if (ok) {
        migration_announce(status);
    }
    return ok;
}

void outgoing_commit(bool postcopy)
{
    pthread_mutex_lock(&outgoing.lock);
    SET(committed, true);
    if (postcopy) { /* what came too late by a moment is no reason to hurry any more */
        SET(postcopy, true);
        SET(status, MIGRATION_STATUS_POSTCOPY_ACTIVE);
        outgoing.cancelled = false;
        g_clear_error(&outgoing.error);
    }
    pthread_mutex_unlock(&outgoing.lock);
    if (postcopy) {
        migration_announce(MIGRATION_STATUS_POSTCOPY_ACTIVE);
    }
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
    pthread_mutex_lock(&outgoing.lock);
    call->done = true;
    pthread_cond_broadcast(&outgoing.changed);
    pthread_mutex_unlock(&outgoing.lock);
}

/* Runs func in the main thread and waits for it. */
void outgoing_in_main(void (*func)(void *opaque), void *opaque)
{
    MainCall call = { func, opaque, false };
    main_loop_call(main_call, &call);
    pthread_mutex_lock(&outgoing.lock);
    while (!call.done) {
        pthread_cond_wait(&outgoing.changed, &outgoing.lock);
    }
    pthread_mutex_unlock(&outgoing.lock);
}

/* Sleeps, but not through a cancellation, an error, or a change of parameters. */
void outgoing_pause_ns(int64_t ns)
{
    struct timespec until;
    clock_gettime(CLOCK_REALTIME, &until);
    ns += until.tv_nsec;
    until.tv_sec += ns / NS_PER_SEC;
    until.tv_nsec = ns % NS_PER_SEC;
    pthread_mutex_lock(&outgoing.lock);
    while (!outgoing.cancelled && !outgoing.error && !outgoing.poked &&
           pthread_cond_timedwait(&outgoing.changed, &outgoing.lock, &until) == 0) {
    }
    outgoing.poked = false;
    pthread_mutex_unlock(&outgoing.lock);
}

static void throttle_call(void *opaque)
{
    throttle_set(GPOINTER_TO_UINT(opaque));
}

/* The next step for a guest that has written `dirty` bytes while `sent` were sent. */
static unsigned next_throttle(double dirty, double sent)
{
    ThrottleParameters p = migration_throttle();
    unsigned now = throttle_get(), more = p.increment;
    if (!now) {
        return MIN(p.initial, p.most);
    }
    if (p.tailslow) { /* what would just be enough */
        double running = 100 - now, ideal = running * sent * p.threshold / 100 / dirty;
        more = MIN(more, (unsigned)MAX(running - ideal, 0));
    }
    return MIN(now + more, p.most);
}

/* auto-converge: twice in a row the guest has written more than a part of what was sent meanwhile. */
static void converge(void)
{
    RamCounters counters;
    uint64_t sent = outgoing_bytes_sent() - outgoing.look_bytes;
    ram_save_counters(&counters);
    outgoing.look_bytes += sent;
    if (!migration_capability(MIGRATION_CAPABILITY_AUTO_CONVERGE) || counters.syncs < 2) {
        return;
    }
    double limit = (double)sent * migration_throttle().threshold / 100;
    if (counters.remaining <= limit) {
        return;
    }
    if (++outgoing.too_much >= 2) {
        outgoing.too_much = 0;
        outgoing_in_main(throttle_call, GUINT_TO_POINTER(next_throttle(counters.remaining, sent)));
    }
}

void outgoing_look_anew(bool last)
{
    bql_lock();
    sections_sync(last);
    bql_unlock();
    if (!last) {
        converge();
    }
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

/* Bytes on all channels. */
uint64_t outgoing_bytes_sent(void)
{
    SET(multifd_bytes, multifd_send_bytes() + (mapped_ram_threads() ? mapped_ram_bytes() : 0));
    SET(missed_zero_copy, multifd_send_missed_zero_copy());
    return GET(bytes_before) + out_tell(outgoing.out) + multifd_send_bytes() + mapped_ram_bytes();
}

/* Closes the window when it is over; before the first has passed, what there is counts. */
void outgoing_measure(void)
{
    uint64_t written = outgoing_bytes_sent(), pages = pages_sent();
    int64_t now = outgoing_now_ns(), ns = now - outgoing.window_ns;
    SET(transferred, written);
    if (ns <= 0 || (ns < WINDOW_NS && outgoing.bandwidth > 0 && outgoing.window_bytes > 0)) {
        return;
    }
    double seconds = (double)ns / NS_PER_SEC;
    outgoing.bandwidth = (written - outgoing.window_bytes) / seconds;
    SET(mbps_1000, (uint64_t)(outgoing.bandwidth * 8 / 1000));
    SET(pages_per_second, (uint64_t)((pages - outgoing.window_pages) / seconds));
    if (ns >= WINDOW_NS) {
        outgoing.window_ns = now;
        outgoing.window_bytes = written;
        outgoing.window_pages = pages;
    }
}

static uint64_t step_bytes(void)
{
    return multifd_send_active() || mapped_ram_threads() ? STEP_BYTES_MULTIFD : STEP_BYTES;
}

/* Bytes that may be sent now; waits until there are some. */
static uint64_t wait_for_budget(void)
{
    for (;;) {
        uint64_t limit = migration_max_bandwidth();
        int64_t now = outgoing_now_ns();
        if (limit == UINT64_MAX) {
            outgoing.allowance_ns = now;
            outgoing.allowance = 0;
            return step_bytes();
        }
        double most = MAX((double)limit * WINDOW_NS / NS_PER_SEC, 1.0);
        outgoing.allowance += (double)(now - outgoing.allowance_ns) * limit / NS_PER_SEC;
        outgoing.allowance = MIN(outgoing.allowance, most);
        outgoing.allowance_ns = now;
        if (outgoing.allowance >= most / 10) {
            return MIN(MAX(outgoing.allowance, 1), step_bytes());
        }
        outgoing_pause_ns(
            (int64_t)MIN((most / 5 - outgoing.allowance) * NS_PER_SEC / limit, NS_PER_SEC));
        if (ended()) {
            return 1;
        }
    }
}

/* What can be sent within the downtime limit. */
static uint64_t switchover_threshold(void)
{
    double bandwidth = migration_avail_switchover_bandwidth();
    if (bandwidth == 0) {
        bandwidth = outgoing.bandwidth;
    }
    double bytes = bandwidth * migration_downtime_limit() / 1000;
    return bytes < (double)INT64_MAX ? bytes : INT64_MAX;
}

static void estimate_downtime(uint64_t pending)
{
    double bandwidth = migration_avail_switchover_bandwidth();
    if (bandwidth == 0) {
        bandwidth = outgoing.bandwidth;
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
    if (outgoing.inactivated) {
        outgoing.inactivated = false;
        ok = block_activate_all(error);
    }
    quiesce_resume_all();
    if (outgoing.stopped) {
        outgoing.stopped = false;
        if (!ok) {
            vm_set_state(VM_PAUSED); /* its images are not ours any more */
        } else if (outgoing.was_running && !outgoing.exiting) {
            vm_start();
        } else {
            vm_set_state(outgoing.old_state);
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
        if (outgoing.was_running) {
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
    outgoing.was_running = vm_is_running();
    outgoing.old_state = vm_state();
    global_state_set(outgoing.old_state);
    SET(stop_ns, outgoing_now_ns());
    int r = vm_stop(VM_FINISH_MIGRATE);
    if (vm_state() != VM_FINISH_MIGRATE) {
        vm_set_state(VM_FINISH_MIGRATE);
    }
    outgoing.stopped = true;
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

void outgoing_devices_call(void *opaque)
{
    DevicesCall *call = opaque;
    multifd_send_may_end();
    if (!(call->package ? sections_save_package(outgoing.devices, &call->error)
                        : sections_save_devices(outgoing.devices, outgoing.description, &call->error))) {
        return;
    }
    /* G3: after this the images are the destination's. */
    outgoing.inactivated = true;
    if (!block_inactivate_all(&call->error)) {
        outgoing.inactivated = false;
        return;
    }
    ram_check_late_writes(ram_block_ignored, &call->error);
}

/* Ends what any thread waits for. */
void outgoing_shut_down(void)
{
    multifd_send_shutdown();
    io_channel_shutdown(outgoing.ioc, IO_SHUTDOWN_BOTH, NULL);
}

/* By everybody who takes them. */
static uint64_t bytes_taken(void)
{
    return out_written(outgoing.out) + multifd_send_bytes() + mapped_ram_bytes();
}

/* No progress while the guest stands still: give up, rather than keep it so. */
static void watchdog_bark(void *opaque)
{
    uint64_t written = bytes_taken();
    if (written != outgoing.watchdog_written) {
        outgoing.watchdog_written = written;
        timer_mod(&outgoing.watchdog,
                  outgoing_now_ns() + migration_switchover_timeout() * NS_PER_MS);
        return;
    }
    GError *error = NULL;
    error_set(&error,
              "the destination has taken no data for %" PRIu64 " ms while the guest stood still",
              migration_switchover_timeout());
    outgoing_keep_error(error);
    outgoing_shut_down();
}

static void watchdog_call(void *opaque)
{
    bool on = GPOINTER_TO_INT(opaque);
    if (on) {
        timer_init(&outgoing.watchdog, CLOCK_REALTIME_NS, watchdog_bark, NULL);
        outgoing.watchdog_on = true;
        outgoing.watchdog_written = bytes_taken();
        timer_mod(&outgoing.watchdog,
                  outgoing_now_ns() + migration_switchover_timeout() * NS_PER_MS);
    } else if (outgoing.watchdog_on) {
        outgoing.watchdog_on = false;
        timer_del(&outgoing.watchdog);
    }
}

/* Nobody waits until it is on: on a busy host that costs the guest a turn of the scheduler. What the main thread is asked
 * for later comes later. */
void outgoing_watchdog(bool on)
{
    if (on) {
        main_loop_call(watchdog_call, GINT_TO_POINTER(on));
    } else {
        outgoing_in_main(watchdog_call, GINT_TO_POINTER(on));
    }
}

/* ---- switchover: in the thread ---- */

/* pre-switchover: until migrate-continue. */
bool outgoing_wait_for_continue(void)
{
    if (!migration_capability(MIGRATION_CAPABILITY_PAUSE_BEFORE_SWITCHOVER)) {
        return true;
    }
    if (!outgoing_advance(MIGRATION_STATUS_PRE_SWITCHOVER)) {
        return false;
    }
    pthread_mutex_lock(&outgoing.lock);
    while (!outgoing.go_on && !outgoing.cancelled && !outgoing.error) {
        pthread_cond_wait(&outgoing.changed, &outgoing.lock);
    }
    bool ok = outgoing.go_on && !outgoing.cancelled && !outgoing.error;
    pthread_mutex_unlock(&outgoing.lock);
    return ok;
}

static bool send_devices(GError **error)
{
    DevicesCall call = { .package = false };
    size_t len;
    outgoing_in_main(outgoing_devices_call, &call);
    bool ok = !call.error;
    if (ok) {
        const uint8_t *data = vm_writer_data(outgoing.devices, &len);
        out_expect(outgoing.out, len);
        out_put_memory(outgoing.out, data, len);
        ok = out_flush(outgoing.out);
        if (!ok) {
            *error = g_error_copy(out_error(outgoing.out));
        }
    } else {
        g_propagate_error(error, call.error);
    }
    SET(transferred, outgoing_bytes_sent());
    return ok;
}

/* The last byte has been handed over: is it where it should be? */
static bool confirm(GError **error)
{
    if (outgoing.check_close && io_channel_close(outgoing.ioc, error) < 0) {
        return false;
    }
    if (outgoing.return_path) {
        return return_path_wait(outgoing.return_path, error);
    }
    return true;
}

static bool send_last(GError **error)
{
    SET(precopy_bytes, outgoing_bytes_sent());
    if (!outgoing_wait_for_continue() || !outgoing_advance(MIGRATION_STATUS_DEVICE)) {
        return false;
    }
    outgoing_watchdog(true);
    outgoing_look_anew(true); /* G2 */
    sections_write_switchover_start(outgoing.out);
    bool ok = sections_write_ends(outgoing.out, error) && send_devices(error) && confirm(error);
    if (ok) {
        outgoing_commit(false);
    }
    return ok;
}

static StopResult switchover(GError **error)
{
    StopCall call = { 0 };
    do {
        outgoing_in_main(stop_call, &call);
    } while (call.result == STOP_AGAIN && !ended());
    if (call.result != STOP_OK) {
        pass_error(error, call.error);
        return call.result == STOP_BUSY ? STOP_BUSY : STOP_FAILED;
    }
    return (outgoing.by_postcopy ? postcopy_hand_over(error) : send_last(error)) ? STOP_OK
                                                                                 : STOP_FAILED;
}

/* A machine that is busy runs on a little; false when it had its time. */
static bool wait_while_busy(int64_t *since_ns, int64_t *pause, GError **busy, GError **error)
{
    int64_t now = outgoing_now_ns();
    if (*since_ns < 0) {
        *since_ns = now;
        *pause = BUSY_PAUSE_MIN_NS;
    }
    if (now - *since_ns >= (int64_t)migration_quiesce_timeout() * NS_PER_MS) {
        g_propagate_prefixed_error(
            error, g_steal_pointer(busy),
            "not ready for switchover within %" PRIu64 " ms: ", migration_quiesce_timeout());
        return false;
    }
    g_clear_error(busy);
    outgoing_pause_ns(*pause);
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
    uint64_t before = outgoing.dirty_before;
    outgoing.dirty_before = dirty;
    if (dirty > switchover_threshold()) {
        return false;
    }
    return dirty <= SMALL_BYTES || dirty > before / 4 * 3;
}

/* Stops the machine and hands over what is left, or finds that it must run on (*done false). */
static bool try_switchover(int64_t *busy_since, int64_t *busy_pause, bool *done, GError **error)
{
    GError *failure = NULL;
    switch (switchover(&failure)) {
    case STOP_OK:
        *done = true;
        return true;
    case STOP_BUSY:
        return wait_while_busy(busy_since, busy_pause, &failure, error);
    default:
        pass_error(error, failure);
        return false;
    }
}

/* switchover-ack: whether the destination has said so. */
static bool may_stop(void)
{
    pthread_mutex_lock(&outgoing.lock);
    bool acked = outgoing.switchover_acked;
    pthread_mutex_unlock(&outgoing.lock);
    return acked || !migration_capability(MIGRATION_CAPABILITY_SWITCHOVER_ACK);
}

/* Whether it is time: all is sent and little is new, or postcopy is asked for. */
static bool time_for_switchover(void)
{
    if (!may_stop()) {
        if (sections_pending() == 0) {
            outgoing_pause_ns(BUSY_PAUSE_MAX_NS);
            outgoing_look_anew(false);
        }
        return false;
    }
    if (postcopy_wanted()) {
        return outgoing.by_postcopy;
    }
    if (sections_pending() != 0) {
        return false;
    }
    outgoing_look_anew(false);
    uint64_t pending = sections_pending();
    estimate_downtime(pending);
    return ready_for_switchover(pending);
}

static bool iterate(GError **error)
{
    int64_t busy_since = -1, busy_pause = 0;
    bool done = false;
    while (!ended()) {
        if (time_for_switchover()) {
            if (!try_switchover(&busy_since, &busy_pause, &done, error)) {
                return false;
            }
            if (done) {
                return !GET(postcopy) || postcopy_send_rest(error);
            }
        }
        if (sections_pending() == 0) {
            continue;
        }
        if (sections_write_parts(outgoing.out, wait_for_budget(), error) == SECTION_ERROR) {
            return false;
        }
        outgoing.allowance -= outgoing_bytes_sent() - outgoing.transferred;
        outgoing_measure();
    }
    return false;
}

/* Memory for what is written while the guest stands still. */
static void make_room(void)
{
    size_t room = sections_device_count() * DEVICE_ROOM;
    outgoing.devices = vm_writer_new();
    vm_writer_reserve(outgoing.devices, room);
    outgoing.description = g_string_sized_new(room);
    memset(outgoing.description->str, 0, room);
}

static bool run(GError **error)
{
    make_room();
    if (!sections_write_begin(outgoing.out, outgoing.return_path != NULL, error)) {
        return false;
    }
    outgoing_look_anew(false);
    SET(active_ns, outgoing_now_ns());
    outgoing.window_ns = outgoing.allowance_ns = GET(active_ns);
    outgoing.allowance = (double)INT64_MAX; /* a window's worth */
    SET(transferred, outgoing_bytes_sent());
    return outgoing_advance(MIGRATION_STATUS_ACTIVE) && iterate(error);
}

void *outgoing_thread_main(void *opaque)
{
    GError *error = NULL;
    if (!run(&error) && error) {
        outgoing_keep_error(error);
    }
    main_loop_call(outgoing_finish, NULL);
    return NULL;
}

/* ---- begin and end ---- */

static void release(void)
{
    mapped_ram_stop(); /* its threads write into what the sections clean up */
    sections_cleanup();
    if (!GET(committed)) {
        multifd_send_shutdown();
    }
    multifd_send_stop();
    return_path_free(g_steal_pointer(&outgoing.return_path));
    out_free(g_steal_pointer(&outgoing.out));
    vm_writer_free(g_steal_pointer(&outgoing.devices));
    if (outgoing.description) {
        g_string_free(g_steal_pointer(&outgoing.description), TRUE);
    }
    if (outgoing.ioc && !GET(committed)) {
        io_channel_shutdown(outgoing.ioc, IO_SHUTDOWN_BOTH,
                            NULL); /* a command that lives on is not waited for */
    }
    io_channel_unref(g_steal_pointer(&outgoing.ioc));
    vmstate_thaw();
}

/* What went wrong, as users shall read it. Under no lock: the thread is gone. */
static void report_failure(void)
{
    if (!outgoing.error) {
        error_set(&outgoing.error, "the migration was ended");
    }
    warn_report("migration failed: %s", outgoing.error->message);
}

/* O3 */
void outgoing_finish(void *opaque)
{
    GError *error = NULL;
    if (outgoing.thread) {
        g_thread_join(g_steal_pointer(&outgoing.thread));
    }
    throttle_set(0);
    watchdog_call(GINT_TO_POINTER(false));
    SET(end_ns, outgoing_now_ns());
    bool done = GET(committed), gone = done;
    done &= !outgoing.lost;
    if (gone) {
        vm_set_state(VM_POSTMIGRATE);
        outgoing.stopped = false;
        if (done) {
            g_clear_error(&outgoing.error); /* of a cancellation that came too late */
        }
    } else if (!restart(&error)) {
        error_prefix(&error, "the guest cannot run on: ");
        if (outgoing.error) {
            error_prefix(&error, "%s; ", outgoing.error->message);
            g_clear_error(&outgoing.error);
        }
        outgoing.error = error;
        outgoing.cancelled = false; /* that is more than a cancellation */
    }
    release();
    if (done) {
        outgoing_set_status(MIGRATION_STATUS_COMPLETED);
    } else if (outgoing.cancelled) {
        g_clear_error(&outgoing.error);
        outgoing_set_status(MIGRATION_STATUS_CANCELLED);
    } else {
        report_failure();
        outgoing_set_status(MIGRATION_STATUS_FAILED);
    }
    SET(thread_done, true);
}

/* ---- what the destination says: main thread ---- */

static void return_path_ended(const GError *error, void *opaque)
{
    if (GET(postcopy)) {
        outgoing_shut_down(); /* the thread goes into a pause */
    } else if (!GET(committed)) {
        outgoing_keep_error(g_error_copy(error));
        outgoing_shut_down();
    }
}

void outgoing_parameters_changed(void)
{
    pthread_mutex_lock(&outgoing.lock);
    outgoing.poked = true;
    pthread_cond_broadcast(&outgoing.changed);
    pthread_mutex_unlock(&outgoing.lock);
}

static void pong(uint32_t value, void *opaque)
{
    if (value == PING_PACKAGE) {
        SET(package_ran, true);
    }
    if (value == PING_LOST_PAGES || value == PONG_LOST_PAGES) {
        ram_save_lost_answered(value == PONG_LOST_PAGES);
    }
    ram_release_answered(value);
}

static void switchover_ack(void *opaque)
{
    pthread_mutex_lock(&outgoing.lock);
    outgoing.switchover_acked = true;
    pthread_mutex_unlock(&outgoing.lock);
    outgoing_parameters_changed();
}

static bool page_request(const char *block, uint64_t start, uint32_t len, void *opaque,
                         GError **error)
{
    bool ok = ram_save_request(block, start, len, error);
    outgoing_parameters_changed();
    return ok;
}

static bool bitmap_begins(const char *block, uint64_t len, void *opaque, GError **error)
{
    return ram_save_expects_bitmap(block, len, error);
}

static bool arrived(const char *block, const uint8_t *bits, uint64_t len, void *opaque,
                    GError **error)
{
    bool ok = ram_save_arrived(block, bits, len, error);
    outgoing_parameters_changed();
    return ok;
}

static void resumed(void *opaque)
{
    SET(resumed, true);
    outgoing_parameters_changed();
}

const ReturnPathOps outgoing_return_path_ops = {
    return_path_ended, pong, switchover_ack, page_request, bitmap_begins, arrived, resumed,
};
