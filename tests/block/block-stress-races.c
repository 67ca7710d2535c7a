/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Races: every interleaving of a few requests for one block. A step is one of: the next request is
 * submitted; a request of the file (or an event of the format, as blkdebug's breakpoints have them)
 * that waits goes on; it fails (once in a run, if the scenario has an error); a request is cancelled
 * (once, if it has a cancel). All sequences of steps are tried: a run follows a list of choices as
 * far as it goes, takes the first one from there on, and the next run begins with the next choice at
 * the last place where there is one. After each step that has not been tried before, the machine
 * crashes with every subset of what was not flushed; at the end the image is opened and compared.
 */
#include "util/osdep.h"
#include "block-stress.h"

#include <stdio.h>

/* Subsets of up to so many entries are all tried. */
#define ALL_SUBSETS 4

typedef struct Request {
    enum { WRITE = 1, WRITE_FUA, ZERO, FLUSH, READ, DISCARD } kind;
    uint32_t first, count;
} Request;

typedef struct Scenario {
    const char *name;
    Request requests[4]; /* kind 0 ends them */
    bool error, cancel, events;
} Scenario;

/* Sectors are those of an image whose blocks have 8. */
static const Scenario scenarios[] = {
    { "two writers", { { WRITE, 0, 2 }, { WRITE, 2, 2 } }, .events = true },
    { "two writers, one over the other", { { WRITE, 0, 3 }, { WRITE, 2, 2 } }, .events = true },
    { "writer and flush", { { WRITE, 0, 2 }, { FLUSH } }, .events = true },
    { "two writers and flush", { { WRITE, 0, 2 }, { WRITE, 2, 2 }, { FLUSH } } },
    { "two writers, the second with FUA",
      { { WRITE, 0, 2 }, { WRITE_FUA, 2, 2 } },
      .events = true },
    { "two writers and an error",
      { { WRITE, 0, 2 }, { WRITE, 2, 2 } },
      .error = true,
      .events = true },
    { "two writers, flush and an error",
      { { WRITE, 0, 2 }, { WRITE, 2, 2 }, { FLUSH } },
      .error = true },
    { "two writers, FUA and an error", { { WRITE, 0, 2 }, { WRITE_FUA, 2, 2 } }, .error = true },
    { "two writers of two blocks and an error",
      { { WRITE, 0, 2 }, { WRITE, 8, 2 } },
      .error = true },
    { "two writers of two blocks and flush", { { WRITE, 0, 2 }, { WRITE, 8, 2 }, { FLUSH } } },
    { "two writers and a cancel", { { WRITE, 0, 2 }, { WRITE, 2, 2 } }, .cancel = true },
    { "two writers, flush, an error and a cancel",
      { { WRITE, 0, 2 }, { WRITE, 2, 2 }, { FLUSH } },
      .error = true,
      .cancel = true },
    { "three writers", { { WRITE, 0, 2 }, { WRITE, 2, 2 }, { WRITE, 4, 2 } } },
    { "three writers, the last with FUA, an error",
      { { WRITE, 0, 2 }, { WRITE, 2, 2 }, { WRITE_FUA, 4, 2 } },
      .error = true },
    { "three writers and flush", { { WRITE, 0, 2 }, { WRITE, 2, 2 }, { WRITE, 4, 2 }, { FLUSH } } },
    { "writer, zeros and an error", { { WRITE, 0, 2 }, { ZERO, 0, 8 } }, .error = true },
    { "writer, zeros and flush", { { WRITE, 0, 2 }, { ZERO, 1, 4 }, { FLUSH } } },
    { "writer and reader", { { WRITE, 0, 2 }, { READ, 0, 4 } }, .events = true },
    { "writer, discard and flush", { { WRITE, 0, 2 }, { DISCARD, 0, 8 }, { FLUSH } } },
};

typedef struct Choices {
    GArray *taken;   /* unsigned: choice at each step */
    GArray *options; /* how many there were */
    unsigned fresh;  /* steps before this one have been tried in the run before */
} Choices;

typedef struct Race {
    const StressPlan *plan;
    const Scenario *scenario;
    StressRun run;
    unsigned submitted;
    bool error_done, cancel_done;
    StressResult *result;
} Race;

static unsigned n_requests(const Scenario *s)
{
    unsigned n = 0;
    while (n < G_N_ELEMENTS(s->requests) && s->requests[n].kind) {
        n++;
    }
    return n;
}

static void submit(Race *race)
{
    const Request *r = &race->scenario->requests[race->submitted++];
    StressRun *run = &race->run;
    switch (r->kind) {
    case WRITE:
    case WRITE_FUA:
        stress_write(run, r->first, r->count, r->kind == WRITE_FUA);
        break;
    case ZERO:
        stress_zero(run, r->first, r->count, BLOCK_MAY_UNMAP);
        break;
    case FLUSH:
        stress_flush(run);
        break;
    case READ:
        stress_read(run, r->first, r->count);
        break;
    case DISCARD:
        stress_discard(run, r->first, r->count);
        break;
    }
}

/* Of the choices, in this order: submit; each that waits goes on; each that waits fails; each that
 * runs is cancelled. */
static unsigned count_options(const Race *race)
{
    unsigned pending = race->run.file->pending->len;
    unsigned n = race->submitted < n_requests(race->scenario) ? 1 : 0;
    n += pending;
    if (race->scenario->error && !race->error_done) {
        n += pending;
    }
    if (race->scenario->cancel && !race->cancel_done) {
        n += race->run.busy ? race->submitted : 0;
    }
    return n;
}

static void take_option(Race *race, unsigned choice)
{
    SimFile *f = race->run.file;
    unsigned pending = f->pending->len;
    if (race->submitted < n_requests(race->scenario)) {
        if (choice == 0) {
            submit(race);
            return;
        }
        choice--;
    }
    if (choice < pending) {
        sim_execute(f, choice, 0, 0);
        return;
    }
    choice -= pending;
    if (race->scenario->error && !race->error_done) {
        if (choice < pending) {
            race->error_done = true;
            const SimOp *op = f->pending->pdata[choice];
            sim_execute(f, choice, -EIO, op->kind == SIM_WRITE ? 1 : 0);
            return;
        }
        choice -= pending;
    }
    race->cancel_done = true;
    stress_cancel(&race->run, choice);
}

static void crash_all_ways(Race *race)
{
    StressRun *run = &race->run;
    unsigned n = sim_volatile(run->file);
    uint64_t subsets = n <= ALL_SUBSETS ? UINT64_C(1) << n : 0;
    for (uint64_t i = 0; i < subsets && !run->violation; i++) {
        stress_crash(run, SIM_LOSE_ENTRIES, i, false);
        race->result->states++;
    }
    if (!subsets) {
        for (unsigned i = 0; i < 1u << ALL_SUBSETS && !run->violation; i++) {
            stress_crash(run, i & 1 ? SIM_LOSE_SECTORS : SIM_LOSE_ENTRIES,
                         (uint64_t)g_rand_int(run->rand) << 32 | g_rand_int(run->rand), false);
            race->result->states++;
        }
    }
}

static void follow(Race *race, Choices *c)
{
    for (unsigned depth = 0; !race->run.violation; depth++) {
        unsigned options = count_options(race);
        if (options == 0) {
            break;
        }
        if (depth == c->taken->len) {
            unsigned first = 0;
            g_array_append_val(c->taken, first);
            g_array_append_val(c->options, options);
        }
        take_option(race, g_array_index(c->taken, unsigned, depth));
        stress_idle();
        if (depth >= c->fresh) {
            crash_all_ways(race);
        }
    }
}

/* The next run: the last step that has another choice takes it. */
static bool next_run(Choices *c)
{
    while (c->taken->len) {
        unsigned last = c->taken->len - 1;
        unsigned *taken = &g_array_index(c->taken, unsigned, last);
        if (*taken + 1 < g_array_index(c->options, unsigned, last)) {
            (*taken)++;
            c->fresh = last;
            return true;
        }
        g_array_set_size(c->taken, last);
        g_array_set_size(c->options, last);
    }
    return false;
}

static void run_scenario(const StressPlan *plan, const StressImage *image, const Scenario *s,
                         StressResult *result)
{
    Choices c = { g_array_new(FALSE, FALSE, sizeof(unsigned)),
                  g_array_new(FALSE, FALSE, sizeof(unsigned)), 0 };
    uint64_t runs = 0, violations = 0;
    do {
        Race race = { .plan = plan, .scenario = s, .result = result };
        stress_start(&race.run, image, runs);
        race.run.file->stop_at_events = s->events;
        follow(&race, &c);
        while (race.run.file->pending->len) {
            sim_execute(race.run.file, 0, 0, 0);
            stress_idle();
        }
        g_assert(race.run.busy == 0);
        race.run.file->stop_at_events = false;
        if (!race.run.violation) {
            stress_reopen(&race.run, false);
        }
        if (race.run.violation) {
            violations++;
            stress_report(plan, &race.run, s->name, runs);
        }
        stress_stop(&race.run);
        runs++;
    } while (violations < 20 && next_run(&c) && (!plan->cases || runs < plan->cases));
    if (plan->verbose) {
        printf("# races: %s: %s: %" G_GUINT64_FORMAT " interleavings\n", image->name, s->name,
               runs);
    }
    result->cases += runs;
    result->violations += violations;
    g_array_free(c.taken, TRUE);
    g_array_free(c.options, TRUE);
}

StressResult stress_races(const StressPlan *plan)
{
    static const char *const formats[] = { "vdi", "raw", "qcow2" };
    StressResult result = { 0 };
    for (unsigned i = 0; i < G_N_ELEMENTS(formats); i++) {
        if (plan->format && !g_str_equal(plan->format, formats[i])) {
            continue;
        }
        /* The first ones have blocks of 8 sectors; vdi: a new file, and one with rubbish in it. */
        GPtrArray *images = stress_images(formats[i]);
        unsigned n = i == 0 ? 2 : 1;
        for (unsigned k = 0; k < n; k++) {
            const StressImage *image = images->pdata[i == 2 ? 1 : k];
            for (unsigned s = 0; s < G_N_ELEMENTS(scenarios); s++) {
                if (plan->stop_early && result.violations) {
                    return result;
                }
                run_scenario(plan, image, &scenarios[s], &result);
            }
        }
    }
    return result;
}
