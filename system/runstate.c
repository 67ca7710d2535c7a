/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The run state and its transitions, requests to the main loop, reset.
 *
 * U1  A transition that the table does not have is our own mistake: vm_set_state() asserts.
 * U2  Requests may come from any thread; they are acted upon by the main loop only.
 * U3  In finish-migrate, and while a stream is being loaded, requests that would change the guest wait. Those that came before are acted upon before
 *     the machine stops for it (vm_requests_pending()).
 */
#include "util/osdep.h"

#include "util/clock.h"
#include "util/error.h"
#include "util/main-loop.h"
#include "qapi/events-run-state.h"
#include "qapi/types-run-state.h"
#include "system/runstate.h"
#include "vmstate/blocker.h"
#include "runstate-internal.h"

/* ---- states -------------------------------------------------------------------------------------------- */

G_STATIC_ASSERT((int)VM_RUN_STATES == (int)RUN_STATE_COUNT);

#define TO(state) (1u << (state))

/* From each state to which others, and why where it is not plain. */
static const unsigned transitions[VM_RUN_STATES] = {
    [VM_DEBUG] = TO(VM_RUNNING) | TO(VM_FINISH_MIGRATE) | TO(VM_PRELAUNCH),
    /* an incoming machine starts, stays stopped, or takes the state that came with the stream */
    [VM_INMIGRATE] = TO(VM_INTERNAL_ERROR) | TO(VM_IO_ERROR) | TO(VM_PAUSED) | TO(VM_RUNNING) |
                     TO(VM_SHUTDOWN) | TO(VM_SUSPENDED) | TO(VM_WATCHDOG) | TO(VM_GUEST_PANICKED) |
                     TO(VM_FINISH_MIGRATE) | TO(VM_PRELAUNCH) | TO(VM_POSTMIGRATE) | TO(VM_COLO),
    [VM_INTERNAL_ERROR] = TO(VM_PAUSED) | TO(VM_FINISH_MIGRATE) | TO(VM_PRELAUNCH),
    [VM_IO_ERROR] = TO(VM_RUNNING) | TO(VM_FINISH_MIGRATE) | TO(VM_PRELAUNCH) | TO(VM_PAUSED),
    [VM_PAUSED] = TO(VM_RUNNING) | TO(VM_FINISH_MIGRATE) | TO(VM_POSTMIGRATE) | TO(VM_PRELAUNCH) |
                  TO(VM_COLO),
    /* after a migration: back to life here, or it goes again */
    [VM_POSTMIGRATE] = TO(VM_RUNNING) | TO(VM_FINISH_MIGRATE) | TO(VM_PRELAUNCH) | TO(VM_PAUSED),
    [VM_PRELAUNCH] = TO(VM_RUNNING) | TO(VM_FINISH_MIGRATE) | TO(VM_INMIGRATE) | TO(VM_PAUSED) |
                     TO(VM_POSTMIGRATE),
    /* done, or failed and back to what it was */
    [VM_FINISH_MIGRATE] = TO(VM_RUNNING) | TO(VM_PAUSED) | TO(VM_POSTMIGRATE) | TO(VM_PRELAUNCH) |
                          TO(VM_COLO) | TO(VM_INTERNAL_ERROR) | TO(VM_IO_ERROR) | TO(VM_SHUTDOWN) |
                          TO(VM_SUSPENDED) | TO(VM_WATCHDOG) | TO(VM_GUEST_PANICKED),
    [VM_RESTORE_VM] = TO(VM_RUNNING) | TO(VM_PRELAUNCH) | TO(VM_SUSPENDED),
    [VM_RUNNING] = TO(VM_DEBUG) | TO(VM_INTERNAL_ERROR) | TO(VM_IO_ERROR) | TO(VM_PAUSED) |
                   TO(VM_FINISH_MIGRATE) | TO(VM_RESTORE_VM) | TO(VM_SAVE_VM) | TO(VM_SHUTDOWN) |
                   TO(VM_WATCHDOG) | TO(VM_GUEST_PANICKED) | TO(VM_COLO) | TO(VM_SUSPENDED),
    [VM_SAVE_VM] = TO(VM_RUNNING) | TO(VM_SUSPENDED) | TO(VM_PAUSED),
    [VM_SHUTDOWN] = TO(VM_PAUSED) | TO(VM_FINISH_MIGRATE) | TO(VM_PRELAUNCH) | TO(VM_COLO),
    [VM_SUSPENDED] = TO(VM_RUNNING) | TO(VM_PAUSED) | TO(VM_FINISH_MIGRATE) | TO(VM_PRELAUNCH) |
                     TO(VM_SHUTDOWN) | TO(VM_SAVE_VM),
    [VM_WATCHDOG] = TO(VM_RUNNING) | TO(VM_FINISH_MIGRATE) | TO(VM_PRELAUNCH) | TO(VM_PAUSED),
    [VM_GUEST_PANICKED] = TO(VM_RUNNING) | TO(VM_FINISH_MIGRATE) | TO(VM_PRELAUNCH) | TO(VM_PAUSED),
    [VM_COLO] = TO(VM_RUNNING) | TO(VM_PRELAUNCH) | TO(VM_SHUTDOWN),
};

static VmRunState state = VM_PRELAUNCH;

VmRunState vm_state(void)
{
    return state;
}

const char *vm_state_name(VmRunState s)
{
    return qapi_name_RunState(s);
}

bool vm_state_parse(const char *name, VmRunState *result)
{
    int value = qapi_parse_RunState(name);

    if (value < 0) {
        return false;
    }
    *result = value;
    return true;
}

bool vm_is_running(void)
{
    return state == VM_RUNNING;
}

bool vm_state_may_change(VmRunState from, VmRunState to)
{
    return from == to || (transitions[from] & TO(to));
}

static unsigned telling; /* handlers of a start or stop */
static void (*told_hook)(void);

bool vm_is_changing_state(void)
{
    return telling > 0;
}

void vm_set_told_hook(void (*hook)(void))
{
    told_hook = hook;
}

void vm_set_state(VmRunState new_state)
{
    if (!vm_state_may_change(state, new_state)) {
        g_error("run state: no way from '%s' to '%s' (U1)", vm_state_name(state), vm_state_name(new_state));
    }
    state = new_state;
    if (told_hook && telling == 0) {
        told_hook();
    }
}

/* ---- start and stop ------------------------------------------------------------------------------------ */

struct VmStateEntry {
    VmStateHandler *handler;
    void *opaque;
    int priority;
    bool deleted;
};

static GPtrArray *state_handlers; /* by priority, then age */

static void sweep_handlers(void)
{
    for (unsigned i = 0; i < state_handlers->len;) {
        VmStateEntry *entry = g_ptr_array_index(state_handlers, i);

        if (entry->deleted) {
            g_ptr_array_remove_index(state_handlers, i);
            g_free(entry);
        } else {
            i++;
        }
    }
}

VmStateEntry *vm_state_add_handler(VmStateHandler *handler, void *opaque, int priority)
{
    VmStateEntry *entry = g_new0(VmStateEntry, 1);
    unsigned at;

    entry->handler = handler;
    entry->opaque = opaque;
    entry->priority = priority;
    if (!state_handlers) {
        state_handlers = g_ptr_array_new();
    }
    for (at = state_handlers->len; at > 0; at--) {
        if (((VmStateEntry *)g_ptr_array_index(state_handlers, at - 1))->priority <= priority) {
            break;
        }
    }
    g_ptr_array_insert(state_handlers, at, entry);
    return entry;
}

void vm_state_del_handler(VmStateEntry *entry)
{
    if (entry) {
        entry->deleted = true; /* perhaps from inside a handler */
        if (!telling) {
            sweep_handlers();
        }
    }
}

static void tell_handlers(bool running)
{
    g_autoptr(GPtrArray) now = NULL;

    if (!state_handlers) {
        return;
    }
    now = g_ptr_array_copy(state_handlers, NULL, NULL);
    telling++;
    for (unsigned i = 0; i < now->len; i++) {
        VmStateEntry *entry = g_ptr_array_index(now, running ? i : now->len - 1 - i);

        if (!entry->deleted) {
            entry->handler(entry->opaque, running, state);
        }
    }
    if (--telling == 0) {
        sweep_handlers();
        if (told_hook) {
            told_hook();
        }
    }
}

static int (*drain_and_flush)(void);

void vm_set_drain_hook(int (*hook)(void))
{
    drain_and_flush = hook;
}

static void (*pause_cpus)(void), (*resume_cpus)(void);

void vm_set_cpu_hooks(void (*pause)(void), void (*resume)(void))
{
    pause_cpus = pause;
    resume_cpus = resume;
}

static void cpus_out(void)
{
    if (pause_cpus) {
        pause_cpus();
    }
}

static void cpus_in(void)
{
    if (resume_cpus) {
        resume_cpus();
    }
}

static void run(void (*event)(void))
{
    vm_cancel_stop_request();
    vm_set_state(VM_RUNNING);
    event();
    clock_virtual_enable(true);
    tell_handlers(true);
    cpus_in();
}

void vm_start(void)
{
    if (!vm_is_running()) {
        run(qapi_event_send_RESUME);
    }
}

typedef bool ResumeFunc(GError **error);

static GPtrArray *resume_checks, *resume_hooks; /* ResumeFunc */
static bool autostart = true;

static void add_resume_func(GPtrArray **list, ResumeFunc *func)
{
    if (!*list) {
        *list = g_ptr_array_new();
    }
    g_ptr_array_add(*list, (gpointer)func);
}

void vm_add_resume_hook(bool (*hook)(GError **error))
{
    add_resume_func(&resume_hooks, hook);
}

void vm_add_resume_check(bool (*check)(GError **error))
{
    add_resume_func(&resume_checks, check);
}

static bool all_agree(const GPtrArray *list, GError **error)
{
    for (unsigned i = 0; list && i < list->len; i++) {
        ResumeFunc *func = (ResumeFunc *)g_ptr_array_index(list, i);

        if (!func(error)) {
            return false;
        }
    }
    return true;
}

/* Whether it may; then what it needs has been taken back. */
static bool prepare_resume(GError **error)
{
    return all_agree(resume_checks, error) && all_agree(resume_hooks, error);
}

bool vm_resume(GError **error)
{
    if (vm_is_changing_state()) { /* another monitor, in a loop that a handler iterates */
        return error_set(error, "the machine is being stopped or started: not before that is done");
    }
    if (!prepare_resume(error)) {
        return false;
    }
    vm_start();
    return true;
}

void vm_set_autostart(bool value)
{
    autostart = value;
}

bool vm_autostart(void)
{
    return autostart;
}

static int halt(VmRunState new_state, void (*event)(void))
{
    if (vm_is_running()) {
        clock_virtual_enable(false);
        cpus_out(); /* gives the big lock away: somebody else may stop the machine meanwhile */
        if (vm_is_running()) {
            vm_set_state(new_state);
            tell_handlers(false);
            event();
        } else {
            cpus_in();
        }
    }
    return drain_and_flush ? drain_and_flush() : 0;
}

int vm_stop(VmRunState new_state)
{
    return halt(new_state, qapi_event_send_STOP);
}

void vm_shut_down(void)
{
    if (vm_is_running()) {
        clock_virtual_enable(false);
        cpus_out();
        vm_set_state(VM_SHUTDOWN);
        tell_handlers(false);
    }
    if (drain_and_flush) {
        drain_and_flush();
    }
}

/* ---- reset --------------------------------------------------------------------------------------------- */

typedef struct ResetEntry {
    ResetHandler *handler;
    void *opaque;
} ResetEntry;

static GPtrArray *reset_handlers;
static ResetEntry tree_reset;

void reset_add_handler(ResetHandler *handler, void *opaque)
{
    ResetEntry *entry = g_new(ResetEntry, 1);

    entry->handler = handler;
    entry->opaque = opaque;
    if (!reset_handlers) {
        reset_handlers = g_ptr_array_new_with_free_func(g_free);
    }
    g_ptr_array_add(reset_handlers, entry);
}

void reset_del_handler(ResetHandler *handler, void *opaque)
{
    for (unsigned i = 0; reset_handlers && i < reset_handlers->len; i++) {
        ResetEntry *entry = g_ptr_array_index(reset_handlers, i);

        if (entry->handler == handler && entry->opaque == opaque) {
            g_ptr_array_remove_index(reset_handlers, i);
            return;
        }
    }
}

void reset_set_tree_handler(ResetHandler *handler, void *opaque)
{
    tree_reset = (ResetEntry){ handler, opaque };
}

static ShutdownCause cause_name(VmShutdownCause cause)
{
    return (ShutdownCause)(cause + 1);
}

G_STATIC_ASSERT((int)VM_SHUTDOWN_HOST_ERROR + 1 == (int)SHUTDOWN_CAUSE_HOST_ERROR);
G_STATIC_ASSERT((int)VM_SHUTDOWN_SNAPSHOT_LOAD + 1 == (int)SHUTDOWN_CAUSE_SNAPSHOT_LOAD);

static bool caused_by_guest(VmShutdownCause cause)
{
    return cause >= VM_SHUTDOWN_GUEST_SHUTDOWN && cause <= VM_SHUTDOWN_GUEST_PANIC;
}

void vm_reset(VmShutdownCause cause)
{
    cpus_out();
    for (unsigned i = 0; reset_handlers && i < reset_handlers->len; i++) {
        ResetEntry *entry = g_ptr_array_index(reset_handlers, i);

        entry->handler(entry->opaque);
    }
    if (tree_reset.handler) {
        tree_reset.handler(tree_reset.opaque);
    }
    if (cause != VM_SHUTDOWN_SUBSYSTEM_RESET && cause != VM_SHUTDOWN_SNAPSHOT_LOAD) {
        qapi_event_send_RESET(caused_by_guest(cause), cause_name(cause));
    }
    cpus_in();
}

/* ---- requests ------------------------------------------------------------------------------------------ */

#define NO_REQUEST (-1)

static int shutdown_request = NO_REQUEST; /* VmShutdownCause; atomic, as those that follow */
static int reset_request = NO_REQUEST;
static int stop_request = NO_REQUEST;     /* VmRunState */
static int powerdown_request;
static int suspend_request;
static int wakeup_request = NO_REQUEST;   /* VmWakeupReason */
static unsigned wakeup_enabled = 1u << VM_WAKEUP_OTHER;
static int exit_status = EXIT_SUCCESS;
static int exit_request = NO_REQUEST;     /* the status */

static VmActions actions = { .reboot = REBOOT_ACTION_RESET, .shutdown = SHUTDOWN_ACTION_POWEROFF,
                             .panic = PANIC_ACTION_SHUTDOWN };
static void (*powerdown_handler)(void *opaque);
static void *powerdown_opaque;
static void (*wakeup_handler)(void *opaque, VmWakeupReason reason);
static void *wakeup_opaque;

static void request(int *slot, int value)
{
    __atomic_store_n(slot, value, __ATOMIC_SEQ_CST);
    main_loop_wake();
}

static int take(int *slot, int none)
{
    return __atomic_exchange_n(slot, none, __ATOMIC_SEQ_CST);
}

VmActions *vm_actions(void)
{
    return &actions;
}

void vm_set_powerdown_handler(void (*handler)(void *opaque), void *opaque)
{
    powerdown_handler = handler;
    powerdown_opaque = opaque;
}

void vm_request_shutdown(VmShutdownCause cause)
{
    request(&shutdown_request, cause);
}

void vm_request_reset(VmShutdownCause cause)
{
    if (actions.reboot == REBOOT_ACTION_SHUTDOWN) {
        request(&shutdown_request, cause);
    } else {
        request(&reset_request, cause);
    }
}

void vm_request_exit(int status)
{
    request(&exit_request, status);
}

/* The request goes through the main loop like all others: the guest is in the middle of an access. */
void vm_guest_panicked(void)
{
    switch (actions.panic) {
    case PANIC_ACTION_PAUSE:
        qapi_event_send_GUEST_PANICKED(GUEST_PANIC_ACTION_PAUSE);
        vm_stop_request(VM_GUEST_PANICKED);
        break;
    case PANIC_ACTION_NONE:
        qapi_event_send_GUEST_PANICKED(GUEST_PANIC_ACTION_RUN);
        break;
    default:
        qapi_event_send_GUEST_PANICKED(GUEST_PANIC_ACTION_POWEROFF);
        vm_stop_request(VM_GUEST_PANICKED);
        vm_request_shutdown(VM_SHUTDOWN_GUEST_PANIC);
        break;
    }
}

void vm_guest_crash_loaded(void)
{
    qapi_event_send_GUEST_CRASHLOADED(GUEST_PANIC_ACTION_RUN);
}

void vm_request_powerdown(void)
{
    request(&powerdown_request, 1);
}

void vm_set_wakeup_handler(void (*handler)(void *opaque, VmWakeupReason reason), void *opaque)
{
    wakeup_handler = handler;
    wakeup_opaque = opaque;
}

bool vm_wakeup_supported(void)
{
    return wakeup_handler;
}

void vm_enable_wakeup(VmWakeupReason reason, bool enable)
{
    if (enable) {
        wakeup_enabled |= 1u << reason;
    } else if (reason != VM_WAKEUP_OTHER) {
        wakeup_enabled &= ~(1u << reason);
    }
}

void vm_request_suspend(void)
{
    if (state != VM_SUSPENDED) {
        request(&suspend_request, 1);
    }
}

void vm_request_wakeup(VmWakeupReason reason)
{
    if (state == VM_SUSPENDED && (wakeup_enabled >> reason & 1)) {
        request(&wakeup_request, reason);
    }
}

void vm_stop_request(VmRunState new_state)
{
    request(&stop_request, new_state);
}

bool vm_requests_pending(void)
{
    return __atomic_load_n(&stop_request, __ATOMIC_SEQ_CST) != NO_REQUEST ||
           __atomic_load_n(&exit_request, __ATOMIC_SEQ_CST) != NO_REQUEST ||
           __atomic_load_n(&shutdown_request, __ATOMIC_SEQ_CST) != NO_REQUEST ||
           __atomic_load_n(&reset_request, __ATOMIC_SEQ_CST) != NO_REQUEST ||
           __atomic_load_n(&powerdown_request, __ATOMIC_SEQ_CST) ||
           __atomic_load_n(&suspend_request, __ATOMIC_SEQ_CST) ||
           __atomic_load_n(&wakeup_request, __ATOMIC_SEQ_CST) != NO_REQUEST;
}

void vm_cancel_stop_request(void)
{
    take(&stop_request, NO_REQUEST);
}

/* A stopped machine that is reset begins anew, except where it waits for somebody. */
static void do_reset(VmShutdownCause cause)
{
    vm_reset(cause);
    if (!vm_is_running() && vm_state() != VM_INMIGRATE && vm_state() != VM_PRELAUNCH &&
        vm_state() != VM_SAVE_VM && vm_state() != VM_FINISH_MIGRATE && vm_state() != VM_RESTORE_VM) {
        vm_set_state(VM_PRELAUNCH);
    }
}

/* Back to life after S3. What cannot be resumed (an image that is locked elsewhere) stays suspended. */
static void do_wakeup(VmWakeupReason reason)
{
    GError *error = NULL;

    if (state != VM_SUSPENDED) {
        return;
    }
    if (!prepare_resume(&error)) {
        error_report_gerror(error);
        return;
    }
    vm_reset(VM_SHUTDOWN_SUBSYSTEM_RESET);
    if (wakeup_handler) {
        wakeup_handler(wakeup_opaque, reason);
    }
    run(qapi_event_send_WAKEUP);
}

/* Whether the program has to end. */
static bool do_shutdown(VmShutdownCause cause)
{
    qapi_event_send_SHUTDOWN(caused_by_guest(cause), cause_name(cause));
    if (actions.shutdown == SHUTDOWN_ACTION_PAUSE && cause != VM_SHUTDOWN_HOST_QMP_QUIT &&
        cause != VM_SHUTDOWN_HOST_SIGNAL) {
        if (vm_is_running()) {
            vm_stop(VM_SHUTDOWN);
        }
        return false;
    }
    return true;
}

/* The requests in order of weight. True: leave the main loop. */
static bool handle_requests(void)
{
    int r;

    r = take(&exit_request, NO_REQUEST);
    if (r != NO_REQUEST) {
        exit_status = r;
        return true;
    }
    r = take(&stop_request, NO_REQUEST);
    if (r != NO_REQUEST && vm_is_running()) {
        vm_stop(r);
    }
    r = take(&shutdown_request, NO_REQUEST);
    if (r != NO_REQUEST && do_shutdown(r)) {
        exit_status = r == VM_SHUTDOWN_HOST_ERROR ||
                              (r == VM_SHUTDOWN_GUEST_PANIC && actions.panic == PANIC_ACTION_EXIT_FAILURE)
                          ? EXIT_FAILURE
                          : EXIT_SUCCESS;
        return true;
    }
    /* U3: what goes to another process must not change any more, and what comes must be complete first. */
    if (state == VM_FINISH_MIGRATE || (state == VM_INMIGRATE && vmstate_frozen())) {
        return false;
    }
    r = take(&reset_request, NO_REQUEST);
    if (r != NO_REQUEST) {
        do_reset(r);
    }
    if (take(&suspend_request, 0) && vm_is_running()) {
        halt(VM_SUSPENDED, qapi_event_send_SUSPEND);
    }
    r = take(&wakeup_request, NO_REQUEST);
    if (r != NO_REQUEST) {
        do_wakeup(r);
    }
    if (take(&powerdown_request, 0)) {
        qapi_event_send_POWERDOWN();
        if (powerdown_handler) {
            powerdown_handler(powerdown_opaque);
        }
    }
    return false;
}

static bool leaving; /* atomic */

bool vm_is_leaving(void)
{
    return __atomic_load_n(&leaving, __ATOMIC_SEQ_CST);
}

int vm_main_loop(void)
{
    while (!handle_requests()) {
        main_loop_iterate(true);
    }
    __atomic_store_n(&leaving, true, __ATOMIC_SEQ_CST);
    return exit_status;
}
