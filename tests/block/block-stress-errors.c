/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Errors: random requests at the same time, in random order, while the file fails some of its
 * requests (once, for a while, or by chance; a write may be torn), and some of ours are cancelled.
 * Reads are checked live; then the image is closed and opened, compared, checked and repaired.
 *
 * Crashes: the same without (or with few) errors; after each request of the file the machine
 * crashes: with all, nothing, some entries or some sectors of what was not flushed.
 */
#include "util/osdep.h"
#include "block-stress.h"

#include <stdio.h>

/* When the file fails. */
typedef struct Faults {
    enum { FAULT_NONE, FAULT_ONCE, FAULT_WHILE, FAULT_CHANCE } mode;
    unsigned from, to; /* numbers of requests of the file; CHANCE: to in 100 */
    unsigned kinds;    /* 1 << SimKind */
    int error;
} Faults;

static Faults choose_faults(GRand *rand)
{
    static const int errors[] = { -EIO, -ENOSPC };
    Faults f = { .mode = g_rand_int_range(rand, 0, 4),
                 .error = errors[g_rand_int_range(rand, 0, 2)] };
    f.from = g_rand_int_range(rand, 0, 40);
    f.to = f.mode == FAULT_CHANCE ? (unsigned)g_rand_int_range(rand, 2, 30)
                                  : f.from + g_rand_int_range(rand, 1, 12);
    f.kinds = g_rand_int_range(rand, 0, 3) == 0 ? 1u << g_rand_int_range(rand, 0, SIM_KINDS)
                                                : (1u << SIM_KINDS) - 1;
    return f;
}

static int fault(const Faults *f, const StressRun *run, const SimOp *op)
{
    unsigned n = run->file->executed;
    if (!(f->kinds & 1u << op->kind)) {
        return 0;
    }
    switch (f->mode) {
    case FAULT_ONCE:
        return n == f->from ? f->error : 0;
    case FAULT_WHILE:
        return n >= f->from && n < f->to ? f->error : 0;
    case FAULT_CHANCE:
        return (unsigned)g_rand_int_range(run->rand, 0, 100) < f->to ? f->error : 0;
    default:
        return 0;
    }
}

/* One request of the file, any of those that wait; in a run that lags rather a young one, so that old
 * ones are overtaken by whole requests. */
static void execute_one(StressRun *run, const Faults *faults)
{
    SimFile *f = run->file;
    unsigned i = g_rand_int_range(run->rand, 0, f->pending->len);
    for (unsigned k = 0; k < run->lag; k++) {
        i = MAX(i, (unsigned)g_rand_int_range(run->rand, 0, f->pending->len));
    }
    const SimOp *op = f->pending->pdata[i];
    int error = fault(faults, run, op);
    unsigned part = error ? g_rand_int_range(run->rand, 0, 1 + op->bytes / SIM_SECTOR) : 0;
    part = g_rand_boolean(run->rand) ? part : 0;
    if (stress_trace) {
        static const char *const names[] = { "read",  "write",    "zero", "discard",
                                             "flush", "truncate", "event" };
        printf("# file: %s %" PRIu64 "+%" PRIu64 ": %d (%u)\n", names[op->kind], op->offset,
               op->bytes, error, part);
    }
    sim_execute(f, i, error, part);
    stress_idle();
}

static void finish_all(StressRun *run, const Faults *faults)
{
    stress_idle();
    while (run->file->pending->len) {
        execute_one(run, faults);
    }
    g_assert(run->busy == 0);
}

/* Mostly near each other, so that they meet. */
static void choose_place(StressRun *run, uint32_t *first, uint32_t *count)
{
    uint32_t sectors = run->image->sectors, block = run->image->block_sectors;
    uint32_t span = MIN(sectors, g_rand_boolean(run->rand) ? 3 * block : sectors);
    uint32_t most = g_rand_int_range(run->rand, 0, 4) ? MIN(block, 8) : 3 * block;
    *first = g_rand_int_range(run->rand, 0, span);
    *count = g_rand_int_range(run->rand, 1, 1 + MAX(most, 1));
    *count = MIN(*count, sectors - *first);
}

static void submit_one(StressRun *run)
{
    uint32_t first, count;
    choose_place(run, &first, &count);
    int what = g_rand_int_range(run->rand, 0, 16);
    if (run->lag && g_rand_int_range(run->rand, 0, 3) == 0) {
        what = g_rand_boolean(run->rand) ? 0 : 4; /* clusters become free under the old ones */
    }
    switch (what) {
    case 0:
        stress_flush(run);
        break;
    case 1:
        stress_zero(run, first, count, 0);
        break;
    case 2:
        stress_zero(run, first, count, BLOCK_MAY_UNMAP);
        break;
    case 3:
        stress_zero(run, first, count, BLOCK_FUA);
        break;
    case 4:
        stress_discard(run, first, count);
        break;
    case 5:
    case 6:
    case 7:
        stress_read(run, first, count);
        break;
    case 8:
    case 9:
        stress_write(run, first, count, true);
        break;
    default:
        stress_write(run, first, count, false);
        break;
    }
}

/* Requests that arrive while the front is quiesced wait, and some of them are cancelled: they must
 * have no effect, the others must go on. */
static void quiesced_requests(StressRun *run, const Faults *faults)
{
    finish_all(run, faults);
    block_quiesce(NULL);
    unsigned n = g_rand_int_range(run->rand, 2, STRESS_SLOTS);
    for (unsigned i = 0; i < n; i++) {
        submit_one(run);
    }
    for (unsigned i = 0; i < n; i++) {
        if (g_rand_boolean(run->rand)) {
            stress_cancel(run, i);
        }
    }
    stress_idle();
    block_resume();
    stress_idle();
}

static void step(StressRun *run, const Faults *faults)
{
    unsigned what = g_rand_int_range(run->rand, 0, 40);
    if (what == 0) {
        stress_cancel(run, g_rand_int_range(run->rand, 0, STRESS_SLOTS));
    } else if (what == 1 && g_rand_boolean(run->rand)) {
        quiesced_requests(run, faults);
    } else if (what < 20 && run->busy < STRESS_SLOTS) {
        submit_one(run);
    } else if (run->file->pending->len) {
        execute_one(run, faults);
    }
    stress_idle();
}

/* ---- errors ---- */

static void error_case(StressRun *run)
{
    Faults none = { 0 };
    unsigned rounds = g_rand_int_range(run->rand, 1, 3);
    run->lag = g_rand_int_range(run->rand, 0, 4) ? 0 : 6;
    for (unsigned r = 0; r < rounds && !run->violation; r++) {
        Faults faults = choose_faults(run->rand);
        unsigned steps = g_rand_int_range(run->rand, 20, 120);
        faults.from += run->file->executed;
        faults.to += faults.mode == FAULT_CHANCE ? 0 : run->file->executed;
        for (unsigned i = 0; i < steps && !run->violation; i++) {
            step(run, &faults);
        }
        finish_all(run, g_rand_boolean(run->rand) ? &faults : &none);
        if (!run->violation) {
            stress_reopen(run, g_rand_int_range(run->rand, 0, 32) == 0);
        }
    }
}

/* ---- crashes ---- */

static void crash_states(StressRun *run, StressResult *result)
{
    unsigned n = sim_volatile(run->file);
    stress_crash(run, SIM_LOSE_ALL, 0, g_rand_int_range(run->rand, 0, 8) == 0);
    stress_crash(run, SIM_LOSE_NOTHING, 0, g_rand_int_range(run->rand, 0, 8) == 0);
    result->states += 2;
    for (unsigned i = 0; n && i < MIN(n, 3) && !run->violation; i++) {
        uint64_t choice = (uint64_t)g_rand_int(run->rand) << 32 | g_rand_int(run->rand);
        stress_crash(run, SIM_LOSE_ENTRIES, choice, g_rand_int_range(run->rand, 0, 8) == 0);
        stress_crash(run, SIM_LOSE_SECTORS, 0, g_rand_int_range(run->rand, 0, 8) == 0);
        result->states += 2;
    }
}

static void crash_case(StressRun *run, StressResult *result)
{
    Faults faults = { 0 };
    run->lag = g_rand_int_range(run->rand, 0, 4) ? 0 : 6;
    if (g_rand_int_range(run->rand, 0, 3) == 0) {
        faults = choose_faults(run->rand);
    }
    unsigned steps = g_rand_int_range(run->rand, 20, 80);
    for (unsigned i = 0; i < steps && !run->violation; i++) {
        unsigned before = run->file->executed;
        step(run, &faults);
        if (run->file->executed != before) {
            crash_states(run, result);
        }
    }
    finish_all(run, &faults);
    if (!run->violation) {
        stress_reopen(run, false);
        crash_states(run, result);
    }
}

/* ---- all cases ---- */

static StressResult run_cases(const StressPlan *plan, const char *part, bool crashes)
{
    static const char *const formats[] = { "vdi", "raw", "qcow2" };
    StressResult result = { 0 };
    GPtrArray *images = g_ptr_array_new();
    for (unsigned i = 0; i < G_N_ELEMENTS(formats); i++) {
        if (!plan->format || g_str_equal(plan->format, formats[i])) {
            GPtrArray *of = stress_images(formats[i]);
            for (unsigned k = 0; k < of->len; k++) {
                g_ptr_array_add(images, of->pdata[k]);
            }
        }
    }
    for (uint64_t n = 0; n < plan->cases && !(plan->stop_early && result.violations); n++) {
        StressRun run;
        guint32 seed = plan->seed + n;
        stress_start(&run, images->pdata[seed % images->len], seed);
        if (crashes) {
            crash_case(&run, &result);
        } else {
            error_case(&run);
        }
        result.cases++;
        result.requests += run.acked + run.failed;
        result.failed += run.failed;
        if (run.violation) {
            result.violations++;
            stress_report(plan, &run, part, seed);
            Faults none = { 0 };
            finish_all(&run, &none);
        }
        stress_stop(&run);
    }
    g_ptr_array_free(images, TRUE);
    return result;
}

StressResult stress_errors(const StressPlan *plan)
{
    return run_cases(plan, "errors", false);
}

StressResult stress_crashes(const StressPlan *plan)
{
    return run_cases(plan, "crash", true);
}
