/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The tester of formats (docs/devel/block-testing.md). As a test it runs a short part that is the same
 * each time. With arguments it is `make stress-block`:
 *
 *   test-block-stress errors|crash|races [--format=vdi|qcow2|raw] [--seed=N] [--cases=N]
 *                     [--mutation=NUMBER] [--verbose] [--trace]
 *
 * prints counts, and exits with 1 if there was a violation.
 */
#include "util/osdep.h"
#include "block-stress.h"

#include <stdio.h>
#include <stdlib.h>
#include "mutants.h"
#include "util/main-loop.h"

typedef StressResult Part(const StressPlan *plan);

typedef struct PartName {
    const char *name;
    Part *run;
    uint64_t cases;    /* of the short run, for each format; 0: all */
    uint64_t mutation; /* of a run on a broken driver */
} PartName;

static const PartName parts[] = {
    { "errors", stress_errors, 300, 20000 },
    { "crash", stress_crashes, 40, 400 },
    { "races", stress_races, 60, 2000 },
};

void stress_report(const StressPlan *plan, const StressRun *run, const char *part, guint32 seed)
{
    static unsigned reported;
    if (plan->verbose || (!plan->stop_early && reported++ < 10)) {
        printf("# %s, %s, seed %u: %s\n", part, run->image->name, seed, run->violation);
    }
}

/* ---- as a test ---- */

#ifndef BLOCK_MUTATIONS
typedef struct Case {
    const PartName *part;
    const char *format;
} Case;

static void test_part(gconstpointer data)
{
    const Case *c = data;
    StressPlan plan = { .format = c->format, .seed = 1, .cases = c->part->cases };
    StressResult r = c->part->run(&plan);
    g_test_message("%s, %s: %" PRIu64 " cases, %" PRIu64 " crash states, seeds from %u",
                   c->part->name, c->format, r.cases, r.states, plan.seed);
    g_assert_cmpint(r.cases, >=, c->part->cases);
    g_assert_cmpint(r.violations, ==, 0);
}
#else
typedef struct Mutant {
    const char *format;
    unsigned *mutation;
    const char *const *names;
} Mutant;

static const Mutant mutants[] = {
    { "vdi", &vdi_mutation, vdi_mutation_names },
    { "qcow2", &qcow2_mutation, qcow2_mutation_names },
};

typedef struct MutantCase {
    const Mutant *mutant;
    unsigned mutation;
} MutantCase;

/* Where those that are seldom found were found last: looked at first, to save time and nothing else. */
static const struct {
    const char *mutation;
    unsigned part;
    guint32 seed;
} hints[] = {
    { "reuse-stuck", 1, 102 }, { "trust-suspect", 0, 2416 }, { "free-early", 1, 245 },
    { "no-free-flush", 1, 161 }, { "ignore-use", 0, 5803 },
};

static uint64_t look_for(const MutantCase *c, const PartName *part, guint32 seed, uint64_t cases)
{
    StressPlan plan = { .format = c->mutant->format, .seed = seed, .cases = cases };
    plan.stop_early = true;
    StressResult r = part->run(&plan);
    g_test_message("%s: %" PRIu64 " violations of %" PRIu64 " cases", part->name, r.violations,
                   r.cases);
    return r.violations;
}

/* Each way to break a driver has to be found. */
static void test_mutation(gconstpointer data)
{
    const MutantCase *c = data;
    *c->mutant->mutation = c->mutation;
    uint64_t found = 0;
    for (unsigned i = 0; i < G_N_ELEMENTS(hints); i++) {
        if (g_str_equal(hints[i].mutation, c->mutant->names[c->mutation])) {
            found = look_for(c, &parts[hints[i].part], hints[i].seed, 1);
        }
    }
    static const unsigned order[] = { 1, 2, 0 }; /* the quickest to find most of them first */
    for (unsigned i = 0; i < G_N_ELEMENTS(order) && !found; i++) {
        found = look_for(c, &parts[order[i]], 1, parts[order[i]].mutation);
    }
    *c->mutant->mutation = 0;
    g_assert_cmpint(found, >, 0);
}
#endif

static void add_tests(void)
{
#ifndef BLOCK_MUTATIONS
    static const char *const formats[] = { "vdi", "raw", "qcow2" };
    for (unsigned i = 0; i < G_N_ELEMENTS(parts); i++) {
        for (unsigned k = 0; k < G_N_ELEMENTS(formats); k++) {
            Case *c = g_new(Case, 1);
            *c = (Case){ &parts[i], formats[k] };
            g_autofree char *name =
                g_strdup_printf("/block-stress/%s/%s", parts[i].name, formats[k]);
            g_test_add_data_func_full(name, c, test_part, g_free);
        }
    }
#else
    for (unsigned k = 0; k < G_N_ELEMENTS(mutants); k++) {
        for (unsigned m = 1; mutants[k].names[m]; m++) {
            MutantCase *c = g_new(MutantCase, 1);
            *c = (MutantCase){ &mutants[k], m };
            g_autofree char *name = g_strdup_printf("/block-stress/mutation/%s/%s",
                                                    mutants[k].format, mutants[k].names[m]);
            g_test_add_data_func_full(name, c, test_mutation, g_free);
        }
    }
#endif
}

/* ---- as a program ---- */

static int run_part(int argc, char **argv)
{
    StressPlan plan = { .seed = 1, .cases = 1000 };
    const PartName *part = NULL;
    for (unsigned i = 0; i < G_N_ELEMENTS(parts); i++) {
        part = g_str_equal(parts[i].name, argv[1]) ? &parts[i] : part;
    }
    bool ok = part != NULL;
    for (int i = 2; i < argc; i++) {
        const char *value = strchr(argv[i], '=');
        value = value ? value + 1 : "";
        if (g_str_has_prefix(argv[i], "--format=")) {
            plan.format = value;
        } else if (g_str_has_prefix(argv[i], "--seed=")) {
            plan.seed = strtoul(value, NULL, 0);
        } else if (g_str_has_prefix(argv[i], "--cases=")) {
            plan.cases = strtoull(value, NULL, 0);
#ifdef BLOCK_MUTATIONS
        } else if (g_str_has_prefix(argv[i], "--mutation=")) {
            vdi_mutation = qcow2_mutation = strtoul(value, NULL, 0);
#endif
        } else if (g_str_equal(argv[i], "--trace")) {
            stress_trace = true;
        } else if (g_str_equal(argv[i], "--verbose")) {
            plan.verbose = true;
        } else {
            ok = false;
        }
    }
    if (!ok) {
        fprintf(stderr,
                "usage: %s errors|crash|races [--format=F] [--seed=N] [--cases=N] "
                "[--verbose]\n",
                argv[0]);
        return 2;
    }
    gint64 begin = g_get_monotonic_time();
    StressResult r = part->run(&plan);
    printf("%s: %" PRIu64 " cases, %" PRIu64 " crash states, %" PRIu64 " requests (%" PRIu64
           " failed), seeds from %u: %" PRIu64 " violations, %.1f s\n",
           part->name, r.cases, r.states, r.requests, r.failed, plan.seed, r.violations,
           (g_get_monotonic_time() - begin) / 1e6);
    return r.violations != 0;
}

int main(int argc, char **argv)
{
    main_loop_init();
    sim_register();
#ifdef BLOCK_MUTATIONS
    block_driver_register(vdi_mutant);
    block_driver_register(qcow2_mutant);
#endif
    int ret;
    if (argc > 1 && argv[1][0] != '-') {
        ret = run_part(argc, argv);
    } else {
        g_test_init(&argc, &argv, NULL);
        add_tests();
        ret = g_test_run();
    }
    block_close_all();
    for (unsigned i = 0; i < SIM_FILES; i++) {
        sim_clear(&sim_files[i]);
    }
    return ret;
}
