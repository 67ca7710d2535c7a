/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The log: what -d asks for, in the file of -D or on stderr. Lines of messages for users (util/error.h) do not
 * go there. Any thread; one line is one write.
 */
#ifndef UTIL_LOG_H
#define UTIL_LOG_H

#include <glib.h>

/* Items of -d; a bit each. */
typedef enum LogItem {
    LOG_CPU_RESET = 1 << 0,     /* "cpu_reset": state of a CPU before it is reset */
    LOG_UNIMPLEMENTED = 1 << 1, /* "unimp": what a device of ours does not do */
    LOG_GUEST_ERRORS = 1 << 2,  /* "guest_errors": what the guest should not do */
} LogItem;

extern unsigned log_items; /* read it through log_wants() */

static inline bool log_wants(LogItem item)
{
    return G_UNLIKELY(log_items & item);
}

/* A line of the log (a newline is added); the text is formatted only if the item is wanted. */
#define log_item(item, ...)          \
    do {                             \
        if (log_wants(item)) {       \
            log_printf(__VA_ARGS__); \
        }                            \
    } while (0)
#define log_guest_error(...) log_item(LOG_GUEST_ERRORS, __VA_ARGS__)
#define log_unimplemented(...) log_item(LOG_UNIMPLEMENTED, __VA_ARGS__)
void log_printf(const char *fmt, ...) G_GNUC_PRINTF(1, 2);

/* "guest_errors,unimp,trace:usb_*" or "none": sets the items and enables trace events. Error: an unknown item; nothing is
 * changed then. */
bool log_set_items(const char *text, GError **error);
/* The list of items as -d help shows it; how is "-d" or "log". New string. */
char *log_items_help(const char *how);
/* Where the log goes from now on: a file, emptied; "%d" in its name is the process id. NULL: stderr. */
bool log_set_file(const char *path, GError **error);
/* The file's descriptor, -1 for stderr. */
int log_fd(void);

#endif
