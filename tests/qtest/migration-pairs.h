/* SPDX-License-Identifier: GPL-2.0-or-later */
/* migration-pairs-test: what can differ from one migration to the next, and one of them on its way. */
#ifndef MIGRATION_PAIRS_H
#define MIGRATION_PAIRS_H

#include "channel-relay.h"
#include "migration-driver.h"
#include "pairwise.h"
#include "ram-guest.h"

typedef enum FactorId {
    VERSION, TRANSPORT, CHANNELS, COMPRESSION, ZERO_COPY, XBZRLE, POSTCOPY, RELEASE, BLOCKTIME, RETURN_PATH, ACK, PAUSE, CONVERGE,
    ZERO_PAGES, SHARED, DIRECT, VALIDATE, RAM, SIZE, BANDWIDTH, GUEST, LOST_PAGES, BEFORE, FACTORS
} FactorId;

/* Values that the program asks for, in the order of the table. */
enum { UNIX, TCP, FD, EXEC, FILE_, MAPPED };
enum { OFF, ON };
enum { ANON, MEMFD, SHARED_FILE, SAME_FILE, HUGE_PAGES };
enum { FREE, SLOW, UNEVEN };
enum { BUSY, CALM, PAUSED };
enum { NONE_LOST, LOST_BEFORE, LOST_MEANWHILE };
enum { NOTHING, CANCELLED };

typedef struct Run {
    PairwiseRow row;
    uint32_t seed;
    GRand *random;
    unsigned machines; /* started so far */
    QTest *a, *b;      /* source, destination */
    Guest *guest;
    Relay *relay;
    char *there;       /* where the destination listens, or what the source writes */
    GArray *lost;      /* uint64_t: addresses of pages that hosts have lost */
    uint64_t most;     /* bytes that a command takes; 0: all */
    bool stalled;      /* a connection is silent */
    bool slow;         /* until something has gone wrong */
    bool guest_is_there; /* postcopy: it runs at the destination already */
} Run;

/* Whether two values go together. */
bool pairs_allowed(unsigned f, unsigned v, unsigned g, unsigned w);
/* "version=10.0 transport=unix ..."; g_free(). */
char *pairs_describe(const PairwiseRow *row);
unsigned pairs_mib(const Run *r);

/* ---- a migration (migration-pairs-run.c) -------------------------------------------------------------------------------- */

void run_begin(Run *r, const PairwiseRow *row, uint32_t seed);
/* Ends what is still there. */
void run_end(Run *r);
/* Starts the guest's thread at the source, unless it is paused. */
void run_guest(Run *r);
/* All the way to the end, with everything that the row has on the way. */
void run_migrate(Run *r);

/* The parts of it. A destination, which listens if it can. */
void run_start_destination(Run *r);
/* Says migrate; with a fault by way of a relay, unless it goes by a file. */
void run_outgoing(Run *r, const RelayFault *fault);
/* Waits a little, changes how fast it goes, begins postcopy: whatever the row has. The migration may be over before that. */
void run_disturb(Run *r);
/* The same, but it is slow, and postcopy begins as soon as it can; until run_hurry(). */
void run_to_postcopy(Run *r);
void run_hurry(Run *r);
/* Does what is to be done now. The status, when it does not change by itself any more. */
const char *run_poll(Run *r);
/* The destination reads the file, if there is one. */
void run_load(Run *r);
/* Everything is as it should be at the destination. */
void run_arrive(Run *r);
/* The source has completed, but nobody has the guest: it goes on there. */
void run_take_back(Run *r);
/* The destination is the source of what follows. */
void run_swap(Run *r);
/* Why this row is refused before anything is sent (g_free()); NULL: it is not. */
char *run_refusal(const PairwiseRow *row);
/* Whether it goes by a command or a file. */
bool run_by_file(const Run *r);

/* ---- with something going wrong (migration-pairs-faults.c) ---------------------------------------------------------------- */

typedef struct FaultCounts {
    unsigned faults;     /* that have happened */
    unsigned in_postcopy; /* of them, after it had begun at the source */
    unsigned resumed;    /* the guest has gone on at the source by itself */
    unsigned recovered;  /* postcopy has gone on over another connection */
    unsigned taken_back; /* the destination had not got it, which only the manager saw: cont, or in postcopy migrate_cancel */
    unsigned arrived;    /* though something happened */
} FaultCounts;

/* A few of them, and a migration without one afterwards. */
void run_faults(const PairwiseRow *row, uint32_t seed, unsigned n, FaultCounts *counts);

#endif
