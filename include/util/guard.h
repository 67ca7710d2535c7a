/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Reading memory that may turn out to be unreadable (a page that the host has lost) without dying of it.
 *
 * A thread that runs guarded code and meets such memory comes back out of guard_run() instead. Who installs the
 * signal handlers (system/poison) decides which addresses these are, and calls guard_unwind().
 */
#ifndef UTIL_GUARD_H
#define UTIL_GUARD_H

#include <stdbool.h>
#include <stddef.h>

/* Runs func(opaque). False if it met memory that cannot be accessed: func was left in the middle, *bad (may be NULL)
 * is the address. func must be one that can be left anywhere: no locks, no allocation, no calls of others' code.
 * Nests. Any thread. */
bool guard_run(void (*func)(void *opaque), void *opaque, void **bad);
/* memcpy(); false if source or destination cannot be accessed. What was copied until then is copied. */
bool guard_copy(void *dst, const void *src, size_t len, void **bad);

/* For a handler of SIGBUS or SIGSEGV: does not return if the thread runs guarded code. Async-signal-safe. */
void guard_unwind(void *address);

#endif
