/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Something goes wrong on the way, at any byte of any channel: the source's guest runs on with all of its memory, or, in postcopy,
 * both go on over another connection; the destination does not crash; and the next migration works.
 *
 * Without a return path the source is done when the kernel has its last byte, so it may have completed although the destination
 * fails: then `cont` is the manager's decision, and the guest is none the worse for it.
 */
#include "util/osdep.h"
#include "migration-pairs.h"

#include <fcntl.h>
#include <unistd.h>

#define STALL_MS 50        /* of silence, before the manager gives up */
#define RECOVER_SECONDS 60
#define CHANNEL_SECONDS 5  /* for which a destination waits for connections that do not come, before the manager gives up */

/* ---- what goes wrong ------------------------------------------------------------------------------------------------------ */

static bool postcopy(const Run *r)
{
    return r->row.value[POSTCOPY] == ON;
}

/* Whether the source waits for the destination's word. */
static bool talks(const Run *r)
{
    return r->row.value[RETURN_PATH] == ON || postcopy(r);
}

/* Small numbers as often as large ones. */
static uint64_t any_size(Run *r, unsigned bits)
{
    uint64_t most = UINT64_C(1) << g_rand_int_range(r->random, 1, bits + 1);
    return g_rand_double_range(r->random, 0, most);
}

static RelayFault choose(Run *r)
{
    static const unsigned channels[] = { 1, 2, 3, 5 };
    unsigned n = channels[r->row.value[CHANNELS]];
    RelayFault fault = {
        .kind = g_rand_int_range(r->random, RELAY_CLOSE, RELAY_GARBAGE + 1),
        .channel = g_rand_int_range(r->random, 0, n),
        .offset = any_size(r, 23),
    };
    if (fault.kind == RELAY_GARBAGE) {
        /* Where it cannot be mistaken for something else: what a channel begins with. */
        fault.offset = g_rand_int_range(r->random, 0, 8);
    } else if (talks(r) && g_rand_int_range(r->random, 0, 4) == 0) {
        fault.channel = 0;
        fault.answers = true;
        fault.offset = any_size(r, 10);
    }
    return fault;
}

/* In postcopy: a byte of what is said after it has begun. A wrong byte there is not found. */
static RelayFault choose_in_postcopy(Run *r)
{
    RelayFault fault = {
        .kind = g_rand_int_range(r->random, RELAY_CLOSE, RELAY_GARBAGE),
        .channel = RELAY_ANY,
        .answers = g_rand_int_range(r->random, 0, 4) == 0,
    };
    fault.offset = any_size(r, fault.answers ? 8 : 20);
    return fault;
}

/* ---- what becomes of it --------------------------------------------------------------------------------------------------- */

/* The manager looks at a connection on which nothing comes any more, and ends it. */
static void give_up(Run *r)
{
    g_usleep(STALL_MS * 1000);
    if (strcmp(migration_status(r->a), "postcopy-active") == 0) {
        relay_cut(r->relay);
    } else {
        json_object_put(qtest_qmp(r->a, "{'execute': 'migrate_cancel'}"));
    }
}

/* Until it is over or paused. The manager ends what has stalled; where the guest stands still the source does. */
static const char *until_over(Run *r, RelayFaultKind kind)
{
    for (;;) {
        const char *status = run_poll(r);
        if (status) {
            return status;
        }
        if (r->slow && relay_faulted(r->relay)) {
            run_hurry(r);
            r->slow = false;
        }
        if (kind == RELAY_STALL && relay_faulted(r->relay)) {
            give_up(r);
            kind = RELAY_FINE;
        }
    }
}

/* The guest runs at the source, with all of its memory; the destination has not crashed. */
static void back_at_source(Run *r)
{
    qtest_wait_status(r->a, r->row.value[GUEST] == PAUSED ? "paused" : "running");
    guest_stop(r->guest);
    guest_check(r->guest, r->a);
    g_clear_pointer(&r->relay, relay_free);
    g_clear_pointer(&r->b, qtest_end);
}

/* The destination's status at the end. One whose source has gone waits on for a connection that was lost before it said anything. */
static const char *end_of_destination(Run *r)
{
    gint64 deadline = g_get_monotonic_time() + CHANNEL_SECONDS * G_TIME_SPAN_SECOND;
    if (r->stalled && r->relay) {
        relay_cut(r->relay); /* the source has not noticed that nobody takes it */
    }
    while (strcmp(migration_status(r->b), "setup") == 0) {
        if (!talks(r) && g_get_monotonic_time() > deadline) {
            return "setup";
        }
        g_usleep(1000);
    }
    return migration_wait(r->b, NULL);
}

/* The source has completed. Whether the destination has, too; if not, the guest is taken back. */
static bool arrived(Run *r)
{
    run_load(r);
    if (strcmp(end_of_destination(r), "completed") == 0) {
        run_arrive(r);
        run_swap(r);
        return true;
    }
    if (talks(r)) {
        g_error("the destination has said that it has everything, and has not: %s", qtest_stderr(r->b));
    }
    run_take_back(r);
    back_at_source(r);
    return false;
}

/*
 * Postcopy is paused at the source. NULL if the destination goes on over another connection; else it has completed, and the word was
 * lost, or has failed before it could run the guest: the manager sees that. While the guest waits for a page, the destination's main
 * thread does, too, and does not answer; then it is paused, or soon will be.
 */
static const char *recover_destination(Run *r, const char *uri)
{
    gint64 start = g_get_monotonic_time();
    for (;;) {
        gint64 seconds = (g_get_monotonic_time() - start) / G_TIME_SPAN_SECOND;
        const char *status = r->guest_is_there && seconds < CHANNEL_SECONDS ? "" : migration_status(r->b);
        if (strcmp(status, "failed") == 0 || strcmp(status, "completed") == 0) {
            return status;
        }
        json_object *answer = qtest_qmp(r->b, "{'exec-oob': 'migrate-recover', 'arguments': {'uri': '%s'}}", uri), *error;
        bool ok = !json_object_object_get_ex(answer, "error", &error);
        if (!ok && seconds >= RECOVER_SECONDS) {
            g_error("the destination is %s and cannot recover: %s", status, json_object_to_json_string(error));
        }
        json_object_put(answer);
        if (ok) {
            return NULL;
        }
        g_usleep(1000);
    }
}

static void recover(Run *r, FaultCounts *counts)
{
    g_autofree char *name = g_strdup_printf("n%u", r->machines), *uri = migration_unix_uri(name);
    g_clear_pointer(&r->relay, relay_free);
    const char *status = recover_destination(r, uri);
    if (status && strcmp(status, "completed") == 0) {
        arrived(r);
        counts->arrived++;
        return;
    }
    if (status) {
        qtest_qmp_ok(r->a, "{'execute': 'migrate_cancel'}");
        migration_expect(r->a, "cancelled");
        back_at_source(r);
        counts->taken_back++;
        return;
    }
    qtest_qmp_ok(r->a, "{'execute': 'migrate', 'arguments': {'uri': '%s', 'resume': true}}", uri);
    run_hurry(r);
    while (strcmp(migration_status(r->a), "completed") != 0) {
        run_poll(r);
    }
    counts->recovered++;
    arrived(r);
}

static void after(Run *r, const char *status, FaultCounts *counts)
{
    if (strcmp(status, "postcopy-paused") == 0) {
        recover(r, counts);
    } else if (strcmp(status, "completed") != 0) {
        back_at_source(r);
        counts->resumed++;
    } else if (arrived(r)) {
        counts->arrived++;
    } else {
        counts->taken_back++;
    }
}

/* ---- files ---------------------------------------------------------------------------------------------------------------- */

/* A part of what was written is lost, or its first bytes are others. */
static void damage_file(Run *r)
{
    g_autofree char *path = migration_path("stream");
    int fd = open(path, O_RDWR | O_CLOEXEC);
    off_t size = lseek(fd, 0, SEEK_END);
    g_assert_cmpint(fd, >=, 0);
    if (g_rand_int_range(r->random, 0, 4) == 0) {
        g_assert_cmpint(pwrite(fd, "?", 1, g_rand_int_range(r->random, 0, 8)), ==, 1);
    } else {
        g_assert_cmpint(ftruncate(fd, g_rand_double_range(r->random, 0, size)), ==, 0);
    }
    close(fd);
}

static void fault_in_file(Run *r, FaultCounts *counts)
{
    bool command = r->row.value[TRANSPORT] == EXEC;
    r->most = command ? 1 + any_size(r, 23) : 0;
    run_outgoing(r, NULL);
    run_disturb(r);
    const char *status = until_over(r, RELAY_FINE);
    if (!command && strcmp(status, "completed") == 0) {
        damage_file(r);
    }
    counts->faults++;
    after(r, status, counts);
    r->most = 0;
}

/* Until postcopy has begun at this side; the source's status, if that does not come any more. */
static const char *until_postcopy(Run *r, QTest *side)
{
    while (strcmp(migration_status(side), "postcopy-active") != 0) {
        const char *status = run_poll(r);
        if (status) {
            return status;
        }
    }
    return NULL;
}

static void fault_in_channel(Run *r, FaultCounts *counts)
{
    static const RelayFault fine;
    bool later = postcopy(r) && g_rand_int_range(r->random, 0, 4);
    RelayFault fault = later ? choose_in_postcopy(r) : choose(r);
    const char *status = NULL;
    r->stalled = false;
    run_outgoing(r, later ? &fine : &fault);
    if (later) {
        run_to_postcopy(r);
        status = until_postcopy(r, r->a);
        if (!status && g_rand_int_range(r->random, 0, 4)) {
            status = until_postcopy(r, r->b); /* else the package may still be on its way */
        }
    } else {
        run_disturb(r);
    }
    if (later && !status) {
        r->slow = true;
        relay_fault_from_here(r->relay, &fault);
    }
    status = status ? status : until_over(r, fault.kind);
    r->slow = false;
    counts->faults += relay_faulted(r->relay);
    counts->in_postcopy += later && relay_faulted(r->relay);
    r->stalled = fault.kind == RELAY_STALL && relay_faulted(r->relay);
    after(r, status, counts);
}

void run_faults(const PairwiseRow *row, uint32_t seed, unsigned n, FaultCounts *counts)
{
    Run run;
    qtest_use_oob(true);
    run_begin(&run, row, seed);
    for (unsigned i = 0; i < n; i++) {
        run_guest(&run);
        run_start_destination(&run);
        if (run_by_file(&run)) {
            fault_in_file(&run, counts);
        } else {
            fault_in_channel(&run, counts);
        }
    }
    run_migrate(&run);
    run_end(&run);
    qtest_use_oob(false);
}
