/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Run state of the VM, and who is told of it. Transitions are a table in system/runstate.c; one that is not
 * in it is our own mistake. Big lock.
 */
#ifndef SYSTEM_RUNSTATE_H
#define SYSTEM_RUNSTATE_H

#include <glib.h>

/* As QMP's RunState; the generated enum has the same order. */
typedef enum VmRunState {
    VM_DEBUG, VM_INMIGRATE, VM_INTERNAL_ERROR, VM_IO_ERROR, VM_PAUSED, VM_POSTMIGRATE, VM_PRELAUNCH,
    VM_FINISH_MIGRATE, VM_RESTORE_VM, VM_RUNNING, VM_SAVE_VM, VM_SHUTDOWN, VM_SUSPENDED, VM_WATCHDOG,
    VM_GUEST_PANICKED, VM_COLO, VM_RUN_STATES
} VmRunState;

VmRunState vm_state(void);
const char *vm_state_name(VmRunState state);
bool vm_state_parse(const char *name, VmRunState *state);
bool vm_is_running(void);
/* The VM is being started or stopped: handlers are told, and one of them may run the main loop while it waits for I/O. Processors stand
 * still then; whoever plays one has to as well. The hook is called when all have been told, and after each change of the state. */
bool vm_is_changing_state(void);
void vm_set_told_hook(void (*hook)(void));
/* Whether the table has this transition (or from equals to). */
bool vm_state_may_change(VmRunState from, VmRunState to);
/* Changes the state without starting or stopping anything. */
void vm_set_state(VmRunState state);
/* Starts: clocks, vCPUs, handlers, RESUME event. No-op when running. */
void vm_start(void);
/* 'cont': takes back what a finished or failed switchover left (hooks), then starts. An error while handlers are being told of
 * another start or stop: one of them may be in the middle of waiting for somebody. */
bool vm_resume(GError **error);
/* Whoever takes something back before the machine runs again (block activation, migration); called in order of registration, an
 * error keeps the machine stopped. */
void vm_add_resume_hook(bool (*hook)(GError **error));
/* Whoever must agree; all are asked before anything is taken back. */
void vm_add_resume_check(bool (*check)(GError **error));
/* Whether the machine is to run when an incoming migration has arrived (-S, stop, cont meanwhile). */
void vm_set_autostart(bool autostart);
bool vm_autostart(void);
/* Who stops the processors and lets them run (hw/core sets it): pause before the state changes and around a reset,
 * resume as the last thing of a start. */
void vm_set_cpu_hooks(void (*pause)(void), void (*resume)(void));
/* Stops vCPUs and clocks, drains block I/O, flushes, tells handlers, STOP event. Returns 0 or -errno of the
 * flush. From device code it is deferred: use vm_stop_request(). */
int vm_stop(VmRunState state);
/* At exit: stops without a word to clients. */
void vm_shut_down(void);
/* Asks the main loop to stop (any context, e.g. werror=stop). */
void vm_stop_request(VmRunState state);

/* Called with running and state at each start (in order of priority) and stop (in reverse). */
typedef void VmStateHandler(void *opaque, bool running, VmRunState state);
typedef struct VmStateEntry VmStateEntry;
VmStateEntry *vm_state_add_handler(VmStateHandler *handler, void *opaque, int priority);
void vm_state_del_handler(VmStateEntry *entry);

/* Requests that the main loop acts upon. */
typedef enum VmShutdownCause {
    VM_SHUTDOWN_HOST_ERROR, VM_SHUTDOWN_HOST_QMP_QUIT, VM_SHUTDOWN_HOST_QMP_RESET, VM_SHUTDOWN_HOST_SIGNAL,
    VM_SHUTDOWN_HOST_UI, VM_SHUTDOWN_GUEST_SHUTDOWN, VM_SHUTDOWN_GUEST_RESET, VM_SHUTDOWN_GUEST_PANIC,
    VM_SHUTDOWN_SUBSYSTEM_RESET, VM_SHUTDOWN_SNAPSHOT_LOAD
} VmShutdownCause;
void vm_request_shutdown(VmShutdownCause cause);
void vm_request_reset(VmShutdownCause cause);
/* The program ends with this status, whatever -no-shutdown says: the guest's wish (isa-debug-exit). */
void vm_request_exit(int status);
/* The guest says that its kernel has panicked (-action panic=), or that a crash kernel takes over. Events. */
void vm_guest_panicked(void);
void vm_guest_crash_loaded(void);
/* ACPI power button: event POWERDOWN, then the handler that the board set. */
void vm_request_powerdown(void);
void vm_set_powerdown_handler(void (*handler)(void *opaque), void *opaque);

/*
 * Suspend to RAM (ACPI S3): the machine stands still in state suspended (event SUSPEND), until something wakes it: it is
 * reset then, RAM apart, and runs (event WAKEUP). Suspended it can be migrated. The wake-up handler is called between
 * reset and start: it tells the guest why.
 */
typedef enum VmWakeupReason { VM_WAKEUP_OTHER, VM_WAKEUP_RTC, VM_WAKEUP_PM_TIMER, VM_WAKEUP_REASONS } VmWakeupReason;
void vm_request_suspend(void);
/* No-op unless the machine is suspended and the reason enabled (VM_WAKEUP_OTHER always is). Any context. */
void vm_request_wakeup(VmWakeupReason reason);
void vm_enable_wakeup(VmWakeupReason reason, bool enable);
/* By the board that can suspend. */
void vm_set_wakeup_handler(void (*handler)(void *opaque, VmWakeupReason reason), void *opaque);
bool vm_wakeup_supported(void);
/* What follows when the guest reboots or shuts down (-action, set-action). */
typedef struct VmActions {
    int reboot;   /* RebootAction */
    int shutdown; /* ShutdownAction */
    int panic;    /* PanicAction */
} VmActions;
VmActions *vm_actions(void);
/* Whether there are requests that the main loop has not acted upon yet. */
bool vm_requests_pending(void);
/* Resets the machine now: registered handlers, then the device tree (leaves first). */
void vm_reset(VmShutdownCause cause);

typedef void ResetHandler(void *opaque);
void reset_add_handler(ResetHandler *handler, void *opaque);
void reset_del_handler(ResetHandler *handler, void *opaque);
/* The device tree, reset after all handlers; hw/core sets it. */
void reset_set_tree_handler(ResetHandler *handler, void *opaque);

/* Whether the program ends: nothing is worth waiting for any more. Any thread. */
bool vm_is_leaving(void);
/* Until a request to leave comes; returns the exit status: a failure if the cause is VM_SHUTDOWN_HOST_ERROR. Main
 * thread. */
int vm_main_loop(void);

#endif
