/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Errors: one GError domain whose codes are the QMP error classes.
 *
 * Every function that can fail for a reason a user should read takes `GError **error` last and returns
 * false or NULL. Coroutine and I/O paths return 0 or -errno instead. Libraries never exit and never
 * print; warn_report() is for conditions that are worth a line in the log and change nothing else.
 */
#ifndef UTIL_ERROR_H
#define UTIL_ERROR_H

#include <glib.h>

#define TERN_ERROR tern_error_quark()
GQuark tern_error_quark(void);

/* The QMP error class of an error; anything from another GError domain counts as GENERIC. */
typedef enum TernErrorClass {
    TERN_ERROR_GENERIC,
    TERN_ERROR_COMMAND_NOT_FOUND,
    TERN_ERROR_DEVICE_NOT_ACTIVE,
    TERN_ERROR_DEVICE_NOT_FOUND,
    TERN_ERROR_KVM_MISSING_CAP,
} TernErrorClass;

/* Name of the class as QMP spells it ("GenericError"). */
const char *tern_error_class_name(const GError *error);

/* Sets *error (if error is not NULL) to a generic error with a formatted message. Returns false. */
bool error_set(GError **error, const char *fmt, ...) G_GNUC_PRINTF(2, 3);

/* As error_set(), with a QMP class. Returns false. */
bool error_set_class(GError **error, TernErrorClass class, const char *fmt, ...) G_GNUC_PRINTF(3, 4);

/* As error_set(), with ": " and strerror(err) behind; err is a positive errno value. Returns false. */
bool error_set_errno(GError **error, int err, const char *fmt, ...) G_GNUC_PRINTF(3, 4);

/* Puts a formatted prefix in front of *error's message, where there is an error. */
void error_prefix(GError **error, const char *fmt, ...) G_GNUC_PRINTF(2, 3);

/*
 * A line on stderr: "qemu-system-x86_64: <message>" (error_report) or "...: warning: <message>".
 * With a current command-line location set (error_location_set) it stands between program and text:
 * "qemu-system-x86_64: -device foo: <message>". Any thread.
 */
void error_report(const char *fmt, ...) G_GNUC_PRINTF(1, 2);
void warn_report(const char *fmt, ...) G_GNUC_PRINTF(1, 2);
void info_report(const char *fmt, ...) G_GNUC_PRINTF(1, 2);
/* Prints and frees error. */
void error_report_gerror(GError *error);
/* The program name and the "-option argument" that error_report() names; the strings are copied. */
void error_set_program(const char *name);
void error_location_set(const char *option);
/* -msg: the time (UTC) and the guest's name (copied, NULL: none) in front of every line. */
void error_set_timestamps(bool on);
void error_set_guest(const char *name);

#endif
