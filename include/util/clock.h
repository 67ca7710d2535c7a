/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Clocks and timers.
 *
 * Devices never read host time: guest-visible time is CLOCK_VIRTUAL, which stands still while the VM
 * is stopped and which qtest can step. All times are signed 64-bit nanoseconds.
 *
 * C1  CLOCK_VIRTUAL never goes back, except by clock_virtual_set() when a migration arrives.
 * C2  A timer's callback runs under the big lock in the main thread, with the timer not pending.
 * C3  Stepping the virtual clock runs due timers in order of expiry, each with the clock at its expiry.
 */
#ifndef UTIL_CLOCK_H
#define UTIL_CLOCK_H

#include <glib.h>

#define NS_PER_US INT64_C(1000)
#define NS_PER_MS INT64_C(1000000)
#define NS_PER_SEC INT64_C(1000000000)

typedef enum ClockType {
    CLOCK_REALTIME_NS, /* monotonic host time, runs always */
    CLOCK_VIRTUAL,     /* guest time, runs while the VM runs */
    CLOCK_HOST,        /* wall clock, may jump */
    CLOCK_TYPES
} ClockType;

int64_t clock_get_ns(ClockType clock);

/* Starts and stops the virtual clock (run state changes). Idempotent. */
void clock_virtual_enable(bool running);

/* Hands the virtual clock to a client that steps it (qtest). It then moves by clock_virtual_step only. */
void clock_virtual_set_manual(void);
bool clock_virtual_is_manual(void);
/* Moves the manual clock forward to ns, running due timers on the way. Returns the new time. */
int64_t clock_virtual_step_to(int64_t ns);
/* Expiry of the earliest virtual timer, -1 if there is none. */
int64_t clock_deadline(ClockType clock);

/* The virtual clock's value as a migration saves and restores it (VM stopped). */
int64_t clock_virtual_get_for_save(void);
void clock_virtual_set(int64_t ns);

typedef void TimerFunc(void *opaque);

/* A timer is embedded in its owner; the members are private. */
typedef struct Timer {
    ClockType clock;
    int64_t expire_ns; /* -1: not pending */
    TimerFunc *func;
    void *opaque;
    int64_t key;       /* position in the clock's heap: key, then seq */
    uint64_t seq;
    unsigned slot;
} Timer;

void timer_init(Timer *timer, ClockType clock, TimerFunc *func, void *opaque);
/*
 * (Re)arms the timer for the absolute time ns; a time in the past fires at the next iteration. Any thread, as
 * timer_del(), but then the owner sees to it that the callback is not running at the same time.
 */
void timer_mod(Timer *timer, int64_t ns);
/* As timer_mod(), but never later than it is armed now. */
void timer_mod_earlier(Timer *timer, int64_t ns);
/* Disarms; harmless when not pending. Call before the owner goes. */
void timer_del(Timer *timer);
bool timer_pending(const Timer *timer);
/* Absolute expiry, -1 when not pending. */
int64_t timer_expire_ns(const Timer *timer);

/* For the main loop: runs all due timers; ns until the next one, -1 for none. */
void clock_run_timers(void);
int64_t clock_poll_timeout_ns(void);

#endif
