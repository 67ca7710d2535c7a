/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Postcopy on the source: the devices go first and the guest runs over there; memory follows.
 *
 * W1  Until the last byte of the package is with the kernel the destination cannot have run the guest: it is ours, whatever
 *     happens.
 * W2  After that it is not, unless the destination says that it has failed before it has answered the ping at the end
 *     of the package.
 * W3  Memory here is kept until the destination has all of it; a connection that breaks is waited for to come back.
 * W4  It does not begin while a page is lost of which the guest does not know (N3), nor before the destination has said
 *     whether it can be told of pages that are found to be lost later.
 * W5  A connection that breaks before that ping is answered leaves it open who has the guest, and nobody can tell from here. The
 *     manager can: if the destination has failed, migrate_cancel takes the guest back. After the answer it does nothing.
 *     What has been said on a connection that broke is heard to its end before anything is decided.
 */
#include "util/osdep.h"
#include "outgoing-internal.h"

#include "options.h"
#include "protocol.h"
#include "qapi/commands-migration.h"
#include "address.h"
#include "ram-release.h"
#include "sections.h"
#include "system/poison.h"
#include "util/error.h"

/* Pages that are sent between two looks at who is waiting. */
#define POSTCOPY_STEP (128u << 10)

/* ---- the thread ---------------------------------------------------------------------------------------------------- */

static bool check_out(GError **error)
{
    if (out_flush(outgoing.out)) {
        return true;
    }
    g_propagate_error(error, g_error_copy(out_error(outgoing.out)));
    return false;
}

bool postcopy_wanted(void)
{
    g_autoptr(GError) error = NULL;
    outgoing.by_postcopy = false;
    if (!GET(start_postcopy)) {
        return false;
    }
    if (!ram_poison_all_reported(&error)) { /* W4 */
        warn_report("postcopy does not begin, the migration goes on as precopy: %s",
                    error->message);
        SET(start_postcopy, false);
        return false;
    }
    outgoing.by_postcopy = !ram_save_lost_unanswered();
    if (!outgoing.by_postcopy) {
        outgoing_pause_ns(NS_PER_MS);
    }
    return true;
}

bool postcopy_hand_over(GError **error)
{
    DevicesCall call = { .package = true };
    SET(precopy_bytes, outgoing_bytes_sent());
    bool ok = outgoing_wait_for_continue() && outgoing_advance(MIGRATION_STATUS_DEVICE);
    if (ok) {
        outgoing_watchdog(true);
        outgoing_look_anew(true); /* G2 */
        sections_write_switchover_start(outgoing.out);
        ram_save_postcopy_begin(outgoing.out);
        sections_write_ping(outgoing.out, PING_DISCARDED);
        outgoing_in_main(outgoing_devices_call, &call);
        ok = !call.error;
        if (call.error) {
            g_propagate_error(error, call.error);
        }
    }
    if (ok) {
        sections_write_package(outgoing.out, outgoing.devices);
        ok = check_out(error); /* W1 */
        outgoing_watchdog(false);
    }
    if (ok) {
        SET(postcopy_bytes, outgoing_bytes_sent());
        SET(handover_ns, outgoing_now_ns());
        outgoing_commit(true);
        sections_write_ping(outgoing.out, PING_POSTCOPY);
    }
    return ok;
}

/* Bytes of background that may go now; at least one, so that who waits is served at once. */
static uint64_t wait_for_budget(void)
{
    uint64_t limit = migration_max_postcopy_bandwidth();
    while (limit != UINT64_MAX) {
        int64_t now = outgoing_now_ns();
        outgoing.allowance =
            MIN(outgoing.allowance + (double)(now - outgoing.allowance_ns) * limit / NS_PER_SEC,
                (double)limit / 10);
        outgoing.allowance_ns = now;
        if (ram_save_requested()) {
            return 1;
        }
        if (outgoing.allowance >= 1) {
            return MIN(outgoing.allowance, POSTCOPY_STEP);
        }
        outgoing_pause_ns(10 * NS_PER_MS);
        if (!out_ok(outgoing.out) || return_path_over(outgoing.return_path)) {
            return 1; /* writing finds out */
        }
        limit = migration_max_postcopy_bandwidth();
    }
    return POSTCOPY_STEP;
}

/* All that is left, on this connection. */
static bool send_memory(GError **error)
{
    outgoing.allowance = 0;
    outgoing.allowance_ns = outgoing_now_ns();
    while (sections_pending()) {
        uint64_t before = outgoing_bytes_sent();
        if (sections_write_parts(outgoing.out, wait_for_budget(), error) == SECTION_ERROR) {
            return false;
        }
        ram_release_step(outgoing.out, GET(package_ran));
        outgoing.allowance -= outgoing_bytes_sent() - before;
        outgoing_measure();
    }
    static const uint8_t mark = MARK_EOF;
    if (!sections_write_ends(outgoing.out, error)) {
        return false;
    }
    out_put_bytes(outgoing.out, &mark, 1);
    if (!check_out(error) || !return_path_wait(outgoing.return_path, error)) {
        return false;
    }
    ram_release_all();
    return true;
}

/* ---- a broken connection ----------------------------------------------------------------------------------------------- */

static void hear_call(void *opaque)
{
    return_path_hear_all(outgoing.return_path);
}

static void drop_call(void *opaque)
{
    hear_call(NULL); /* W5: it may have said that the guest runs */
    io_channel_shutdown(outgoing.ioc, IO_SHUTDOWN_BOTH, NULL);
    return_path_free(g_steal_pointer(&outgoing.return_path));
}

static void attach_call(void *opaque)
{
    IoChannel *ioc = opaque, *old = outgoing.ioc;
    pthread_mutex_lock(&outgoing.lock);
    outgoing.ioc = ioc;
    pthread_mutex_unlock(&outgoing.lock);
    io_channel_unref(old);
    outgoing.return_path = return_path_new(ioc, &outgoing_return_path_ops, NULL);
}

/* Until migrate with resume has made a connection; NULL: the program ends, or the guest is taken back. */
static IoChannel *wait_for_connection(void)
{
    pthread_mutex_lock(&outgoing.lock);
    while (!outgoing.resume_ioc && !outgoing.exiting && !outgoing.take_back) {
        pthread_cond_wait(&outgoing.changed, &outgoing.lock);
    }
    IoChannel *ioc = g_steal_pointer(&outgoing.resume_ioc);
    pthread_mutex_unlock(&outgoing.lock);
    return ioc;
}

typedef bool WaitFunc(void);

static bool has_resumed(void)
{
    return GET(resumed);
}

static bool bitmaps_there(void)
{
    return !ram_save_recovering();
}

/* Until the destination has answered; the connection's end is seen by a failing look at it. */
static bool wait_answer(WaitFunc *done, GError **error)
{
    while (!done()) {
        if (return_path_over(outgoing.return_path) && !return_path_wait(outgoing.return_path, error)) {
            error_prefix(error, "the connection ended during the recovery: ");
            return false;
        }
        if (return_path_over(outgoing.return_path) || outgoing.exiting) {
            return error_set(error, "the connection ended during the recovery");
        }
        outgoing_pause_ns(20 * NS_PER_MS);
    }
    return true;
}

static bool recover(GError **error)
{
    SET(resumed, false);
    ram_save_recover(outgoing.out);
    if (!check_out(error) || !wait_answer(bitmaps_there, error)) {
        return false;
    }
    sections_write_command(outgoing.out, COMMAND_POSTCOPY_RESUME, NULL, 0);
    return check_out(error) && wait_answer(has_resumed, error);
}

/* False: never. */
static bool pause_and_recover(GError **error)
{
    for (;;) {
        outgoing_in_main(drop_call, NULL);
        outgoing_set_status(MIGRATION_STATUS_POSTCOPY_PAUSED);
        IoChannel *ioc = wait_for_connection();
        if (!ioc && outgoing.take_back) {
            return error_set(error, "the guest was taken back before the destination had run it");
        }
        if (!ioc) {
            return error_set(
                error, "the program ended before the destination had all of the guest's memory");
        }
        SET(bytes_before, outgoing_bytes_sent());
        out_free(outgoing.out);
        outgoing.out = out_new(ioc);
        outgoing_in_main(attach_call, ioc);
        outgoing_set_status(MIGRATION_STATUS_POSTCOPY_RECOVER);
        GError *failure = NULL;
        if (recover(&failure)) {
            ram_release_recovered(GET(package_ran));
            outgoing_set_status(MIGRATION_STATUS_POSTCOPY_ACTIVE);
            return true;
        }
        warn_report("postcopy: %s", failure->message);
        g_clear_error(&failure);
    }
}

/* The destination has not run the guest, and does not. */
static void ours_again(void)
{
    SET(postcopy, false);
    SET(committed, false);
}

bool postcopy_send_rest(GError **error)
{
    for (;;) {
        GError *failure = NULL;
        if (send_memory(&failure)) {
            return true;
        }
        outgoing_in_main(hear_call, NULL); /* its last word may be behind the end that writing has met */
        if (return_path_refused(outgoing.return_path) && !GET(package_ran)) { /* W2 */
            ours_again();
            g_clear_error(&failure);
            return_path_wait(outgoing.return_path, error); /* which says more */
            return false;
        }
        warn_report("postcopy is paused: %s", failure->message);
        g_clear_error(&failure);
        if (!pause_and_recover(error)) {
            outgoing.lost = !outgoing.take_back;
            if (outgoing.take_back) {
                ours_again();
            }
            return false;
        }
    }
}

/* ---- commands: main thread, migrate-pause any ------------------------------------------------------------------------------ */

bool outgoing_start_postcopy(GError **error)
{
    if (!migration_capability(MIGRATION_CAPABILITY_POSTCOPY_RAM)) {
        return error_set(
            error, "Enable postcopy with migrate_set_capability before the start of migration");
    }
    if (GET(status) == MIGRATION_STATUS_NONE || !outgoing_active()) {
        return error_set(error, "Postcopy must be started after migration has been started");
    }
    poison_process_notices();
    if (!ram_poison_check_migratable(error)) { /* W4 */
        return false;
    }
    SET(start_postcopy, true);
    outgoing_parameters_changed();
    return true;
}

bool postcopy_take_back(void)
{
    pthread_mutex_lock(&outgoing.lock);
    bool ok = GET(status) == MIGRATION_STATUS_POSTCOPY_PAUSED && !GET(package_ran) && !outgoing.resume_ioc;
    if (ok) {
        outgoing.take_back = outgoing.cancelled = true;
        pthread_cond_broadcast(&outgoing.changed);
    }
    pthread_mutex_unlock(&outgoing.lock);
    return ok;
}

bool outgoing_pause(void)
{
    MigrationStatus status = GET(status);
    if (status != MIGRATION_STATUS_POSTCOPY_ACTIVE && status != MIGRATION_STATUS_POSTCOPY_RECOVER) {
        return false;
    }
    pthread_mutex_lock(&outgoing.lock);
    if (outgoing.ioc) {
        io_channel_shutdown(outgoing.ioc, IO_SHUTDOWN_BOTH, NULL);
    }
    pthread_mutex_unlock(&outgoing.lock);
    outgoing_parameters_changed();
    return true;
}

static void give_connection(IoChannel *ioc)
{
    io_channel_set_name(ioc, "migration-source");
    pthread_mutex_lock(&outgoing.lock);
    outgoing.resume_ioc = ioc;
    pthread_cond_broadcast(&outgoing.changed);
    pthread_mutex_unlock(&outgoing.lock);
}

static void resume_connected(IoChannel **channels, unsigned n, const GError *error, void *opaque)
{
    outgoing.connect = NULL;
    if (error) {
        warn_report("postcopy: no connection for the recovery: %s", error->message);
        outgoing_set_status(MIGRATION_STATUS_POSTCOPY_PAUSED);
        return;
    }
    give_connection(channels[0]);
}

static bool taken_back(void)
{
    pthread_mutex_lock(&outgoing.lock);
    bool is = outgoing.take_back;
    pthread_mutex_unlock(&outgoing.lock);
    return is;
}

bool outgoing_resume(const MigrationAddress *addr, GError **error)
{
    const SocketAddress *socket = migration_address_socket(addr);
    if (outgoing_active() && taken_back()) {
        return error_set(error, "The guest has been taken back (migrate_cancel): there is nothing to resume");
    }
    if (GET(status) != MIGRATION_STATUS_POSTCOPY_PAUSED) {
        return error_set(error, "Cannot resume if there is no paused migration");
    }
    if (!migration_address_two_way(addr)) {
        return error_set(error, "a recovery needs a channel that can answer: a socket");
    }
    IoChannel *ioc = socket ? NULL : migration_address_open(addr, true, error);
    if (!socket && !ioc) {
        return false;
    }
    outgoing_set_status(MIGRATION_STATUS_POSTCOPY_RECOVER_SETUP);
    if (socket) {
        outgoing.connect = channels_connect(socket, 1, resume_connected, NULL);
    } else {
        give_connection(ioc);
    }
    return true;
}
