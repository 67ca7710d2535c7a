/* SPDX-License-Identifier: GPL-2.0-or-later */
/* QMP and HMP commands about the run state. */
#include "util/osdep.h"

#include "util/error.h"
#include "qapi/commands-misc.h"
#include "qapi/commands-run-state.h"
#include "qapi/dispatch.h"
#include "monitor/hmp.h"
#include "system/identity.h"
#include "system/runstate.h"

QMP_REGISTER(run_state)
QMP_REGISTER(misc)

/* ---- who we are ---------------------------------------------------------------------------------------- */

static char *vm_name;
static char *vm_uuid;

void vm_set_name(const char *name)
{
    g_free(vm_name);
    vm_name = g_strdup(name);
}

const char *vm_get_name(void)
{
    return vm_name;
}

bool vm_set_uuid(const char *uuid, GError **error)
{
    if (!g_uuid_string_is_valid(uuid)) {
        return error_set(error, "failed to parse UUID string: wrong format");
    }
    g_free(vm_uuid);
    vm_uuid = g_ascii_strdown(uuid, -1);
    return true;
}

const char *vm_get_uuid(void)
{
    return vm_uuid ? vm_uuid : "00000000-0000-0000-0000-000000000000";
}

bool qmp_query_name(NameInfo **ret, GError **error)
{
    *ret = g_new0(NameInfo, 1);
    (*ret)->name = g_strdup(vm_name);
    return true;
}

bool qmp_query_uuid(UuidInfo **ret, GError **error)
{
    *ret = g_new0(UuidInfo, 1);
    (*ret)->UUID = g_strdup(vm_get_uuid());
    return true;
}

/* ---- run state ----------------------------------------------------------------------------------------- */

bool qmp_query_status(StatusInfo **ret, GError **error)
{
    *ret = g_new0(StatusInfo, 1);
    (*ret)->running = vm_is_running();
    (*ret)->status = (RunState)vm_state();
    return true;
}

bool qmp_stop(GError **error)
{
    int r;

    if (vm_state() == VM_INMIGRATE) {
        vm_set_autostart(false);
        return true;
    }
    r = vm_stop(VM_PAUSED);
    return r < 0 ? error_set_errno(error, -r, "not all data could be written out") : true;
}

bool qmp_cont(GError **error)
{
    switch (vm_state()) {
    case VM_INTERNAL_ERROR:
    case VM_SHUTDOWN:
        return error_set(error, "Resetting the Virtual Machine is required");
    case VM_SUSPENDED:
        return true;
    case VM_FINISH_MIGRATE:
        return error_set(error, "Migration is not finalized yet");
    case VM_INMIGRATE:
        vm_set_autostart(true); /* when the stream has arrived */
        return true;
    default:
        return vm_resume(error);
    }
}

bool qmp_system_reset(GError **error)
{
    vm_request_reset(VM_SHUTDOWN_HOST_QMP_RESET);
    return true;
}

bool qmp_system_powerdown(GError **error)
{
    vm_request_powerdown();
    return true;
}

bool qmp_system_wakeup(GError **error)
{
    if (!vm_wakeup_supported()) {
        return error_set(error, "wake-up from suspend is not supported by this guest");
    }
    vm_request_wakeup(VM_WAKEUP_OTHER);
    return true;
}

bool qmp_set_action(bool has_reboot, RebootAction reboot, bool has_shutdown, ShutdownAction shutdown,
                    bool has_panic, PanicAction panic, GError **error)
{
    if (has_reboot) {
        vm_actions()->reboot = reboot;
    }
    if (has_shutdown) {
        vm_actions()->shutdown = shutdown;
    }
    if (has_panic) {
        vm_actions()->panic = panic;
    }
    return true;
}

/* ---- HMP ----------------------------------------------------------------------------------------------- */

static void hmp_stop(Hmp *hmp, const HmpArgs *args)
{
    GError *error = NULL;

    qmp_stop(&error);
    hmp_report_error(hmp, &error);
}

static void hmp_cont(Hmp *hmp, const HmpArgs *args)
{
    GError *error = NULL;

    qmp_cont(&error);
    hmp_report_error(hmp, &error);
}

static void hmp_system_reset(Hmp *hmp, const HmpArgs *args)
{
    qmp_system_reset(NULL);
}

static void hmp_system_wakeup(Hmp *hmp, const HmpArgs *args)
{
    GError *error = NULL;

    qmp_system_wakeup(&error);
    hmp_report_error(hmp, &error);
}

static void hmp_system_powerdown(Hmp *hmp, const HmpArgs *args)
{
    qmp_system_powerdown(NULL);
}

static void hmp_info_status(Hmp *hmp, const HmpArgs *args)
{
    hmp_printf(hmp, "VM status: %s", vm_is_running() ? "running" : "paused");
    if (!vm_is_running() && vm_state() != VM_PAUSED) {
        hmp_printf(hmp, " (%s)", vm_state_name(vm_state()));
    }
    hmp_puts(hmp, "\n");
}

static void hmp_info_name(Hmp *hmp, const HmpArgs *args)
{
    if (vm_name) {
        hmp_printf(hmp, "%s\n", vm_name);
    }
}

static void hmp_info_uuid(Hmp *hmp, const HmpArgs *args)
{
    hmp_printf(hmp, "%s\n", vm_get_uuid());
}

static const HmpCommand runstate_commands[] = {
    { "stop|s", "", "", "stop emulation", hmp_stop },
    { "cont|c", "", "", "resume emulation", hmp_cont },
    { "system_reset", "", "", "reset the system", hmp_system_reset },
    { "system_powerdown", "", "", "send system power down event", hmp_system_powerdown },
    { "system_wakeup", "", "", "wakeup guest from suspend", hmp_system_wakeup },
    { "info status", "", "", "show the current VM status (running|paused)", hmp_info_status, true },
    { "info name", "", "", "show the current VM name", hmp_info_name, true },
    { "info uuid", "", "", "show the current VM UUID", hmp_info_uuid, true },
};
HMP_REGISTER(runstate_commands)
