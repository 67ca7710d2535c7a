/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Trace points: a named event per thing that somebody who debugs a guest wants to see, with stock's names where stock
 * has the event. One that is off costs a load and a branch.
 *
 *     TRACE_EVENT(usb_uhci_td_complete)
 *     ...
 *     trace(usb_uhci_td_complete, "token 0x%x, td 0x%x", token, addr);
 *
 * prints "usb_uhci_td_complete token 0x69, td 0x1000" into the log (util/log.h), with "PID@SECONDS:" in front if -msg
 * timestamp=on. Any thread.
 */
#ifndef UTIL_TRACE_H
#define UTIL_TRACE_H

#include <glib.h>

typedef struct TraceEvent {
    const char *name;
    bool enabled;
} TraceEvent;

void trace_event_register(TraceEvent *event);

/* At file scope. An event belongs to one file. */
#define TRACE_EVENT(event)                                                \
    static TraceEvent trace_event_##event = { .name = #event };           \
    static void __attribute__((constructor)) trace_register_##event(void) \
    {                                                                     \
        trace_event_register(&trace_event_##event);                       \
    }

#define trace(event, ...)                                   \
    do {                                                    \
        if (G_UNLIKELY(trace_event_##event.enabled)) {      \
            trace_print(&trace_event_##event, __VA_ARGS__); \
        }                                                   \
    } while (0)
/* An event that says everything by its name. */
#define trace_mark(event) trace(event, "%s", "")
/* Whether the event is on: before work that only the trace needs. */
#define trace_wants(event) G_UNLIKELY(trace_event_##event.enabled)

void trace_print(const TraceEvent *event, const char *fmt, ...) G_GNUC_PRINTF(2, 3);

/* All events in the order of their names. */
typedef void TraceEventFunc(TraceEvent *event, void *opaque);
void trace_foreach(const char *pattern, TraceEventFunc *func, void *opaque);

/* Turns the events that match a shell pattern on or off; returns how many there are. */
unsigned trace_set(const char *pattern, bool enabled);
/* One entry of -trace or -d trace: "PATTERN", or "-PATTERN" to turn off. A name without wildcards that does not exist is
 * worth a warning. */
void trace_enable(const char *text);
/* Lines of a file: one entry each; '#' begins a comment. */
bool trace_enable_file(const char *path, GError **error);
/* "PID@SECONDS:" in front of each line. */
void trace_set_timestamps(bool on);
/* Names, a line each. New string. */
char *trace_help(void);

#endif
