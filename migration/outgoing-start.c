/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The source: how a migration begins, and what commands do while it goes on. Main thread; outgoing.c has the rest. */
#include "util/osdep.h"
#include "outgoing-internal.h"

#include <sys/stat.h>
#include "address.h"
#include "block/block.h"
#include "mapped-ram.h"
#include "migration/migration.h"
#include "multifd.h"
#include "options.h"
#include "ram.h"
#include "sections.h"
#include "system/quiesce.h"
#include "util/error.h"
#include "util/main-loop.h"
#include "vmstate/blocker.h"

/* ---- begin ---- */

/* Whoever it is that waits: the thread may have nothing to write on that channel. The destination's own word comes first. */
static void multifd_ended(void)
{
    if (outgoing.return_path) {
        return_path_hear_all(outgoing.return_path);
    }
    GError *error = multifd_send_error();
    if (error) { /* else it has been shut down by us */
        outgoing_keep_error(error);
        outgoing_shut_down();
    }
}

/* With the channels (taken): from here on it is the thread's business. */
static void begin(IoChannel *ioc, IoChannel **more, unsigned n)
{
    outgoing.ioc = ioc;
    if (!io_channel_has_feature(ioc, IO_FEATURE_SEEKABLE)) { /* a file's name says more */
        io_channel_set_name(ioc, "migration-source");
    }
    outgoing.out = out_new(ioc);
    if (migration_return_path()) {
        outgoing.return_path = return_path_new(ioc, &outgoing_return_path_ops, NULL);
    }
    GError *error = NULL;
    global_state_register();
    if ((n && !multifd_send_start(more, n, multifd_ended, &error)) || !sections_prepare(&error)) {
        outgoing_keep_error(error);
        outgoing_finish(NULL);
        return;
    }
    outgoing.thread = g_thread_new("migration", outgoing_thread_main, NULL);
}

static void connected(IoChannel **channels, unsigned n, const GError *error, void *opaque)
{
    outgoing.connect = NULL;
    if (error) {
        outgoing_keep_error(g_error_copy(error));
        outgoing_finish(NULL);
    } else {
        begin(channels[0], channels + 1, n - 1);
    }
}

static void reset_state(void)
{
    g_clear_error(&outgoing.error);
    outgoing.cancelled = outgoing.go_on = outgoing.poked = false;
    outgoing.committed = outgoing.stopped = outgoing.inactivated = outgoing.thread_done = false;
    outgoing.start_postcopy = outgoing.postcopy = outgoing.lost = outgoing.package_ran =
        outgoing.resumed = outgoing.switchover_acked = outgoing.take_back = false;
    outgoing.bytes_before = outgoing.postcopy_bytes = 0;
    outgoing.handover_ns = 0;
    outgoing.look_bytes = 0;
    outgoing.too_much = 0;
    outgoing.bandwidth = 0;
    outgoing.dirty_before = UINT64_MAX;
    outgoing.window_bytes = outgoing.window_pages = 0;
    outgoing.active_ns = outgoing.stop_ns = outgoing.end_ns = 0;
    outgoing.multifd_bytes = outgoing.missed_zero_copy = 0;
    outgoing.transferred = outgoing.precopy_bytes = outgoing.mbps_1000 = outgoing.pages_per_second =
        0;
    outgoing.expected_downtime_ms = migration_downtime_limit();
    outgoing.start_ns = outgoing_now_ns();
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
    if (migration_return_path() && !migration_address_two_way(addr)) {
        return error_set(error, "The capability return-path (or postcopy-ram) needs a channel that "
                                "can answer: a socket");
    }
    if (migration_capability(MIGRATION_CAPABILITY_MAPPED_RAM)) {
        if (!migration_address_may_seek(addr)) {
            return error_set(error, "Migration requires seekable transport (e.g. file)");
        }
        if (migration_multifd_compression() != MULTI_FD_COMPRESSION_NONE) {
            return error_set(error, "Cannot use compression with mapped-ram");
        }
    } else if (migration_capability(MIGRATION_CAPABILITY_MULTIFD) && !migration_address_socket(addr)) {
        return error_set(error, "The capability multifd needs an address that can be connected to "
                                "several times: a socket's");
    }
    if (migration_capability(MIGRATION_CAPABILITY_POSTCOPY_RAM) && !vmstate_check_postcopy(error)) {
        return false;
    }
    return sections_check_migratable(error); /* G1 */
}

static bool check_seekable(const IoChannel *ioc, GError **error)
{
    return !migration_capability(MIGRATION_CAPABILITY_MAPPED_RAM) ||
           io_channel_has_feature(ioc, IO_FEATURE_SEEKABLE) ||
           error_set(error, "Migration requires seekable transport (e.g. file)");
}

/* mapped-ram: who writes pages. */
static bool start_mapped(const MigrationAddress *addr, IoChannel *ioc, GError **error)
{
    bool threads = migration_capability(MIGRATION_CAPABILITY_MULTIFD);
    unsigned n = threads ? migration_multifd_channels() : 1;
    g_autofree IoChannel **channels = g_new0(IoChannel *, n);
    return migration_address_open_pages(addr, ioc, true, channels, n, error) &&
           mapped_ram_start(channels, n, threads, error);
}

/* fd: may be one as well. */
static bool is_socket(const IoChannel *ioc)
{
    struct stat st;
    return fstat(io_channel_fd(ioc), &st) == 0 && S_ISSOCK(st.st_mode);
}

bool outgoing_start(const MigrationAddress *addr, GError **error)
{
    IoChannel *ioc = NULL;
    GError *failure = NULL;
    const SocketAddress *socket = migration_address_socket(addr);
    if (!may_start(addr, error)) {
        return false;
    }
    if (!socket) {
        ioc = migration_address_open(addr, true, error);
        if (!ioc || !check_seekable(ioc, error)) {
            io_channel_unref(ioc);
            return false;
        }
    }
    reset_state();
    outgoing.check_close = ioc && !is_socket(ioc);
    vmstate_freeze();
    outgoing_set_status(MIGRATION_STATUS_SETUP);
    if (ioc && migration_capability(MIGRATION_CAPABILITY_MAPPED_RAM)) {
        start_mapped(addr, ioc, &failure);
    }
    if (failure) {
        outgoing.ioc = ioc;
        outgoing_keep_error(failure);
        outgoing_finish(NULL);
    } else if (ioc) {
        begin(ioc, NULL, 0);
    } else {
        unsigned more =
            migration_capability(MIGRATION_CAPABILITY_MULTIFD) ? migration_multifd_channels() : 0;
        outgoing.connect = channels_connect(socket, 1 + more, connected, NULL);
    }
    return true;
}

/* ---- what commands do meanwhile ---- */

void outgoing_cancel(void)
{
    if (!outgoing_active()) {
        return;
    }
    pthread_mutex_lock(&outgoing.lock);
    bool too_late = outgoing.committed, first = !too_late && !outgoing.cancelled; /* O2 */
    if (first) {
        outgoing.cancelled = true;
        SET(status, MIGRATION_STATUS_CANCELLING);
        pthread_cond_broadcast(&outgoing.changed);
    }
    pthread_mutex_unlock(&outgoing.lock);
    if (too_late && !outgoing.exiting) { /* the end of the program is nobody's word that the destination has failed */
        postcopy_take_back();
    }
    if (!first) {
        return;
    }
    migration_announce(MIGRATION_STATUS_CANCELLING);
    if (outgoing.connect) {
        channels_connect_cancel(g_steal_pointer(&outgoing.connect));
        outgoing_finish(NULL);
    } else if (outgoing.ioc) {
        outgoing_shut_down();
    }
}

bool outgoing_continue(MigrationStatus expected, GError **error)
{
    if (expected != MIGRATION_STATUS_PRE_SWITCHOVER ||
        GET(status) != MIGRATION_STATUS_PRE_SWITCHOVER) {
        return error_set(error, "Migration not in expected state: %s",
                         qapi_name_MigrationStatus(GET(status)));
    }
    pthread_mutex_lock(&outgoing.lock);
    outgoing.go_on = true;
    pthread_cond_broadcast(&outgoing.changed);
    pthread_mutex_unlock(&outgoing.lock);
    return true;
}

bool outgoing_resume_check(GError **error)
{
    return !ram_save_released() || error_set(error, "the guest's memory was given back to the host (release-ram): it is "
                                                    "on the destination only");
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
        outgoing.inactivated = false;
        quiesce_resume_all();
    }
    return true;
}

void outgoing_shutdown(void)
{
    if (outgoing_active()) {
        outgoing.exiting = true;
        if (GET(postcopy)) {
            outgoing_shut_down();
            outgoing_parameters_changed();
        }
        outgoing_cancel();
        MAIN_LOOP_WHILE(!GET(thread_done));
    }
}
