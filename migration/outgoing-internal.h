/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The source, between its files; outgoing.c has its invariants. */
#ifndef MIGRATION_OUTGOING_INTERNAL_H
#define MIGRATION_OUTGOING_INTERNAL_H

#include <pthread.h>
#include "channels.h"
#include "out.h"
#include "return-path.h"
#include "state.h"
#include "system/runstate.h"
#include "util/clock.h"

typedef struct Outgoing {
    pthread_mutex_t lock;
    pthread_cond_t changed;       /* cancelled, go_on, parameters, an answer: whatever the thread may wait for */
    bool cancelled, go_on, poked; /* under lock */
    GError *error;                /* under lock; the first one */

    MigrationStatus status; /* atomic */
    bool committed;         /* set under lock, atomic for others; O2 */
    bool thread_done;       /* atomic */
    GThread *thread;

    ChannelsConnect *connect; /* a connection is being made, the first one or a recovery's; main thread */
    IoChannel *ioc;
    bool check_close;         /* closing it may fail (command, file) */
    MigrationOut *out;
    ReturnPath *return_path;
    bool switchover_acked;    /* under lock */
    VmWriter *devices;        /* their state at the switchover; it and its description have room since the guest still ran */
    GString *description;

    /* Postcopy. */
    bool start_postcopy;    /* atomic: migrate-start-postcopy */
    bool by_postcopy;       /* the thread's: this switchover begins postcopy */
    bool postcopy;          /* atomic: the package is out */
    bool package_ran;       /* atomic: the ping at the end of the package has been answered (W2) */
    bool take_back;         /* under lock: it is paused, and the manager has said that the destination does not have the guest */
    bool lost;              /* it was given up: neither side has all of the guest's memory */
    IoChannel *resume_ioc;  /* under lock: a recovery's connection */
    bool resumed;           /* atomic: the destination is ready to go on, in a recovery */
    uint64_t bytes_before;  /* of connections that broke; atomic */

    /* What switchover has changed and finish() takes back. Main thread. */
    bool stopped, inactivated;
    bool exiting; /* the program ends: the guest is not restarted */
    bool was_running;
    VmRunState old_state;

    /* Bandwidth: the thread. */
    double allowance;
    int64_t allowance_ns;
    int64_t window_ns;
    uint64_t window_bytes, window_pages;
    double bandwidth;      /* bytes per second */
    uint64_t dirty_before; /* bytes that the last look found */
    uint64_t look_bytes;   /* sent at the last look */
    unsigned too_much;     /* looks at which the guest had written too much (auto-converge) */

    /* Numbers for query-migrate: written by the thread, atomic. Nanoseconds of CLOCK_REALTIME_NS. */
    int64_t start_ns, active_ns, stop_ns, end_ns, handover_ns;
    uint64_t postcopy_bytes; /* sent before postcopy began */
    uint64_t transferred, precopy_bytes, multifd_bytes, missed_zero_copy;
    uint64_t mbps_1000, pages_per_second, expected_downtime_ms;

    Timer watchdog;
    uint64_t watchdog_written;
    bool watchdog_on;
} Outgoing;

extern Outgoing outgoing;
#define GET(name) __atomic_load_n(&outgoing.name, __ATOMIC_ACQUIRE)
#define SET(name, value) __atomic_store_n(&outgoing.name, (value), __ATOMIC_RELEASE)

typedef struct DevicesCall {
    bool package; /* for postcopy */
    GError *error;
} DevicesCall;

/* outgoing.c; the thread, unless it says otherwise */
int64_t outgoing_now_ns(void);
void outgoing_set_status(MigrationStatus status); /* any thread */
bool outgoing_advance(MigrationStatus status);
/* O2. postcopy: a cancellation or an error of before is forgotten, and the status is postcopy-active. */
void outgoing_commit(bool postcopy);
void outgoing_in_main(void (*func)(void *opaque), void *opaque);
void outgoing_pause_ns(int64_t ns);
void outgoing_look_anew(bool last);
void outgoing_measure(void);
uint64_t outgoing_bytes_sent(void);
bool outgoing_wait_for_continue(void);
void outgoing_watchdog(bool on);
void outgoing_devices_call(void *opaque); /* main thread: DevicesCall */
extern const ReturnPathOps outgoing_return_path_ops;
/* Keeps the first error. Takes it. Any thread. */
void outgoing_keep_error(GError *error);
/* Ends what any thread waits for. Any thread. */
void outgoing_shut_down(void);
void *outgoing_thread_main(void *opaque);
/* The way out (O3): main thread. */
void outgoing_finish(void *opaque);

/* outgoing-postcopy.c */
/* Whether postcopy is asked for and may begin (W4). It does in this switchover if outgoing.by_postcopy is set then. */
bool postcopy_wanted(void);
/* The machine is stopped and quiesced: hands the guest over. False: it is still ours. */
bool postcopy_hand_over(GError **error);
/* Until the destination has everything. False: it never will. */
bool postcopy_send_rest(GError **error);
/* migrate_cancel while postcopy is paused (W5); false: it is too late for that. */
bool postcopy_take_back(void);

/* outgoing-query.c is state.h's outgoing_query(), outgoing-start.c the other commands. */

#endif
