/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Monitors: QMP sessions (docs/interop of QEMU: "QMP protocol specification") and the human monitor
 * (HMP).
 *
 * M1  In-band commands run in the main thread under the big lock, per session in the order of
 *     arrival.
 * M2  Out-of-band commands run in the monitor thread, at once, and may overtake others.
 * M3  A response belongs to its request's session; after the peer has gone it is dropped.
 * M4  A peer that does not read costs bounded memory: requests are not read while too many wait.
 */
#ifndef MONITOR_MONITOR_H
#define MONITOR_MONITOR_H

#include "chardev/chardev.h"
#include "qapi/dispatch.h"
#include "monitor/hmp.h"

typedef struct Monitor Monitor;

/* One monitor on a chardev that is not in use. A control monitor speaks QMP (pretty: with line
 * breaks), otherwise HMP with line editing when the chardev is a terminal or mux. */
Monitor *monitor_new_qmp(Chardev *chr, bool pretty, GError **error);
Monitor *monitor_new_hmp(Chardev *chr, bool line_edit, GError **error);
/* -mon TEXT: "chardev=ID,mode=control|readline,pretty=on" or JSON, implied key chardev. */
bool monitor_new_option(const char *text, GError **error);
/* -qmp, -qmp-pretty, -monitor SPEC. */
bool monitor_new_spec(const char *spec, bool control, bool pretty, GError **error);
/* Starts the monitor thread; call after -daemonize has forked and before the main loop. Monitors
 * that were made before begin to talk now. */
void monitor_start(void);
/* At exit: flushes what goes within a short time, closes all, joins the thread. */
void monitor_cleanup(void);

/* The monitor whose command runs in this thread, NULL outside of commands. */
Monitor *monitor_current(void);
/* The descriptor that getfd named; removes the name. -1 with an error if there is none. */
int monitor_take_fd(const char *name, GError **error);

/*
 * Hooks of the program, set before monitor_start(); each may stay NULL.
 */
typedef struct MonitorHooks {
    /* quit */
    void (*quit)(void);
    /* Whether the machine exists yet; before, only QMP_ALLOW_PRECONFIG commands run. */
    bool (*machine_ready)(void);
    /* Whether there is a CPU of that number (human-monitor-command's cpu-index). */
    bool (*cpu_exists)(int64_t index);
} MonitorHooks;
void monitor_set_hooks(const MonitorHooks *hooks);

/*
 * query-command-line-options: who parses an option says which keys it takes. Constant data.
 */
typedef struct OptionParam {
    const char *name;
    const char *type;          /* "string", "boolean", "number", "size" */
    const char *help;          /* may be NULL */
    const char *default_value; /* may be NULL */
} OptionParam;
typedef struct OptionGroup {
    const char *option;        /* without '-' */
    const OptionParam *params; /* ends with a NULL name */
    struct OptionGroup *next;
} OptionGroup;
void monitor_register_option_group(OptionGroup *group);
#define OPTION_GROUP_REGISTER(group)                                   \
    static void __attribute__((constructor)) register_##group##_(void) \
    {                                                                  \
        monitor_register_option_group(&group);                         \
    }

#endif
