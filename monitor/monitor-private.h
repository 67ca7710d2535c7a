/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Between the files of the monitor. */
#ifndef MONITOR_PRIVATE_H
#define MONITOR_PRIVATE_H

#include "monitor/monitor.h"
#include "qapi/types-control.h"

/* A monitor is a QMP session or a human monitor. */
struct Monitor {
    ChardevFe fe;
    bool qmp;
    GHashTable *fds; /* name -> descriptor + 1; big lock */
    struct Monitor *next;
};

const MonitorHooks *monitor_hooks(void);
bool monitor_machine_ready(void);
/* Asks the program to end; false if it does not offer that. */
bool monitor_quit(void);
/* How often that was asked. */
unsigned monitor_quit_count(void);
/* Sets what monitor_current() returns in this thread; returns what it was. */
Monitor *monitor_set_current(Monitor *mon);
/* The monitor thread's context; NULL before monitor_start(). */
GMainContext *monitor_context(void);

/* --- qmp.c ------------------------------------------------------------------------------------ */
Monitor *qmp_session_new(bool pretty);
void qmp_session_start(Monitor *mon);
void qmp_session_free(Monitor *mon);
/* Writes what is left, waiting a little. */
void qmp_session_flush(Monitor *mon);
/* A finished event, to all sessions that have negotiated. */
void qmp_broadcast(json_object *message);
/* qmp_capabilities of the session that runs it. */
bool qmp_session_negotiate(Monitor *mon, const QMPCapabilityArray *enable, GError **error);

/* --- events.c --------------------------------------------------------------------------------- */
void monitor_events_init(void);
void monitor_events_cleanup(void);

/* --- hmp-session.c ---------------------------------------------------------------------------- */
Monitor *hmp_session_new(bool line_edit);
void hmp_session_start(Monitor *mon);
void hmp_session_free(Monitor *mon);
void hmp_session_flush(Monitor *mon);

/* --- small things ----------------------------------------------------------------------------- */
/* Appends text with "\n" as "\r\n". */
void monitor_append_crlf(GString *out, const char *text, size_t len);
/* Removes the words that do not begin with prefix. */
void monitor_keep_prefixed(GPtrArray *words, const char *prefix);

#endif
