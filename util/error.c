/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Errors in the TERN_ERROR domain and the lines that programs print on stderr; see util/error.h. */
#include "util/osdep.h"
#include "util/error.h"

#include <stdio.h>
#include <pthread.h>

G_DEFINE_QUARK(tern-error-quark, tern_error)

static const char *const class_names[] = {
    [TERN_ERROR_GENERIC] = "GenericError",
    [TERN_ERROR_COMMAND_NOT_FOUND] = "CommandNotFound",
    [TERN_ERROR_DEVICE_NOT_ACTIVE] = "DeviceNotActive",
    [TERN_ERROR_DEVICE_NOT_FOUND] = "DeviceNotFound",
    [TERN_ERROR_KVM_MISSING_CAP] = "KVMMissingCap",
};

/* The lock guards the two strings; they are read by any thread that reports. */
static pthread_mutex_t report_lock = PTHREAD_MUTEX_INITIALIZER;
static char *program_name;
static char *location;
static char *guest_name;
static bool timestamps;

const char *tern_error_class_name(const GError *error)
{
    if (error && error->domain == TERN_ERROR && error->code >= 0 &&
        (size_t)error->code < G_N_ELEMENTS(class_names)) {
        return class_names[error->code];
    }
    return class_names[TERN_ERROR_GENERIC];
}

static void set_valist(GError **error, TernErrorClass class, const char *fmt, va_list args)
{
    if (error) {
        g_assert(!*error);
        *error = g_error_new_valist(TERN_ERROR, class, fmt, args);
    }
}

bool error_set(GError **error, const char *fmt, ...)
{
    va_list args;
    va_start(args, fmt);
    set_valist(error, TERN_ERROR_GENERIC, fmt, args);
    va_end(args);
    return false;
}

bool error_set_class(GError **error, TernErrorClass class, const char *fmt, ...)
{
    va_list args;
    va_start(args, fmt);
    set_valist(error, class, fmt, args);
    va_end(args);
    return false;
}

bool error_set_errno(GError **error, int err, const char *fmt, ...)
{
    if (error) {
        va_list args;
        va_start(args, fmt);
        g_autofree char *text = g_strdup_vprintf(fmt, args);
        va_end(args);
        g_set_error(error, TERN_ERROR, TERN_ERROR_GENERIC, "%s: %s", text, g_strerror(err));
    }
    return false;
}

void error_prefix(GError **error, const char *fmt, ...)
{
    if (error && *error) {
        va_list args;
        va_start(args, fmt);
        g_autofree char *prefix = g_strdup_vprintf(fmt, args);
        va_end(args);
        char *text = g_strconcat(prefix, (*error)->message, NULL);
        g_free((*error)->message);
        (*error)->message = text;
    }
}

void error_set_program(const char *name)
{
    pthread_mutex_lock(&report_lock);
    g_free(program_name);
    program_name = g_strdup(name);
    pthread_mutex_unlock(&report_lock);
}

void error_location_set(const char *option)
{
    pthread_mutex_lock(&report_lock);
    g_free(location);
    location = g_strdup(option);
    pthread_mutex_unlock(&report_lock);
}

void error_set_timestamps(bool on)
{
    timestamps = on;
}

void error_set_guest(const char *name)
{
    pthread_mutex_lock(&report_lock);
    g_free(guest_name);
    guest_name = g_strdup(name);
    pthread_mutex_unlock(&report_lock);
}

/* "2026-01-31T12:00:00.000000Z " */
static char *timestamp(void)
{
    g_autoptr(GDateTime) now = g_date_time_new_now_utc();
    g_autofree char *seconds = g_date_time_format(now, "%Y-%m-%dT%H:%M:%S");
    return g_strdup_printf("%s.%06dZ ", seconds, g_date_time_get_microsecond(now));
}

/* One write per line, so that lines of several threads do not mix. */
static void report(const char *level, const char *text)
{
    pthread_mutex_lock(&report_lock);
    g_autofree char *when = timestamps ? timestamp() : NULL;
    g_autofree char *line = g_strconcat(when ? when : "", guest_name ? guest_name : "",
                                        guest_name ? " " : "",
                                        program_name ? program_name : "qemu-system-x86_64", ": ",
                                        location ? location : "", location ? ": " : "", level,
                                        text, "\n", NULL);
    pthread_mutex_unlock(&report_lock);
    fputs(line, stderr);
}

void error_report(const char *fmt, ...)
{
    va_list args;
    va_start(args, fmt);
    g_autofree char *text = g_strdup_vprintf(fmt, args);
    va_end(args);
    report("", text);
}

void warn_report(const char *fmt, ...)
{
    va_list args;
    va_start(args, fmt);
    g_autofree char *text = g_strdup_vprintf(fmt, args);
    va_end(args);
    report("warning: ", text);
}

void info_report(const char *fmt, ...)
{
    va_list args;
    va_start(args, fmt);
    g_autofree char *text = g_strdup_vprintf(fmt, args);
    va_end(args);
    report("info: ", text);
}

void error_report_gerror(GError *error)
{
    report("", error->message);
    g_error_free(error);
}
