/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Commands, and what the program's start needs; see migration/migration.h. */
#include "util/osdep.h"
#include "migration/migration.h"

#include "address.h"
#include "block/backend.h"
#include "dirty-rate.h"
#include "options.h"
#include "qapi/commands-migration.h"
#include "qapi/dispatch.h"
#include "qapi/events-migration.h"
#include "ram.h"
#include "sections.h"
#include "state.h"
#include "system/poison.h"
#include "system/runstate.h"
#include "util/error.h"
#include "vmstate/blocker.h"

QMP_REGISTER(migration)

void migration_announce(MigrationStatus status)
{
    if (migration_capability(MIGRATION_CAPABILITY_EVENTS)) {
        qapi_event_send_MIGRATION(status);
    }
}

void migration_init(void)
{
    clock_section_register();
    vmstate_register_handlers("ram", 0, 4, &ram_handlers, NULL);
    ram_poison_register_section();
    vm_add_resume_check(outgoing_resume_check);
    vm_add_resume_hook(outgoing_resume_hook);
}

void migration_expect_incoming(void)
{
    vm_set_state(VM_INMIGRATE);
    block_set_incoming(true);
}

void migration_shutdown(void)
{
    outgoing_shutdown();
    incoming_shutdown();
    dirty_rate_shutdown();
}

/* ---- incoming ---- */

static bool start_incoming(const char *uri, const MigrationChannelArray *channels, bool exit_on_error,
                           GError **error)
{
    g_autoptr(MigrationAddress) addr = migration_address_from(uri, channels, error);
    return addr && incoming_start(addr, exit_on_error, error);
}

bool migration_incoming_option(const char *value, GError **error)
{
    if (strcmp(value, "defer") == 0) {
        return true;
    }
    if (value[0] != '{') {
        return start_incoming(value, NULL, true, error);
    }
    MigrationChannel *channel = qapi_decode_option(&qapi_type_MigrationChannel, value, NULL, error);
    if (!channel) {
        return false;
    }
    MigrationChannelArray list = { 1, &channel };
    bool ok = start_incoming(NULL, &list, true, error);
    qapi_free_MigrationChannel(channel);
    return ok;
}

bool qmp_migrate_incoming(const char *uri, const MigrationChannelArray *channels, bool has_exit_on_error,
                          bool exit_on_error, GError **error)
{
    return start_incoming(uri, channels, !has_exit_on_error || exit_on_error, error);
}

/* ---- outgoing ---- */

bool qmp_migrate(const char *uri, const MigrationChannelArray *channels, bool has_detach, bool detach,
                 bool has_resume, bool resume, GError **error)
{
    g_autoptr(MigrationAddress) addr = migration_address_from(uri, channels, error);
    return addr && (has_resume && resume ? outgoing_resume(addr, error) : outgoing_start(addr, error));
}

bool qmp_migrate_start_postcopy(GError **error)
{
    return outgoing_start_postcopy(error);
}

bool qmp_migrate_pause(GError **error)
{
    return outgoing_pause() || incoming_pause() ||
           error_set(error, "migrate-pause is currently only supported during postcopy-active or postcopy-recover state");
}

bool qmp_migrate_recover(const char *uri, GError **error)
{
    g_autoptr(MigrationAddress) addr = migration_address_from(uri, NULL, error);
    return addr && incoming_recover(addr, error);
}

bool qmp_migrate_cancel(GError **error)
{
    outgoing_cancel();
    return true;
}

bool qmp_migrate_continue(MigrationStatus state, GError **error)
{
    return outgoing_continue(state, error);
}

/* ---- query ---- */

static void add_reason(const char *reason, void *opaque)
{
    MigrationInfo *info = opaque;
    if (!info->blocked_reasons) {
        info->blocked_reasons = g_new0(StrArray, 1);
    }
    QAPI_ARRAY_ADD(info->blocked_reasons, g_strdup(reason));
}

bool qmp_query_migrate(MigrationInfo **ret, GError **error)
{
    MigrationInfo *info = g_new0(MigrationInfo, 1);
    if (!outgoing_query(info)) {
        incoming_query(info);
    }
    vmstate_foreach_reason(add_reason, info);
    GError *poison = NULL;
    if (!ram_poison_all_reported(&poison)) {
        add_reason(poison->message, info);
        g_error_free(poison);
    }
    *ret = info;
    return true;
}
