/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Migrations by combinations: transports, capabilities, parameters, kinds of memory, what the guest does. All pairs of values that
 * go together are in one set of rows; a guest writes all the time, and every page is compared afterwards. What does not go
 * together is refused by name. The same with connections that break, stall or say rubbish at random bytes.
 *
 *   TERN_TEST_SEED=N           repeats a run; the seed is printed
 *   TERN_MIGRATIONS=N          so many migrations (default: one set of rows, at most 40; with TERN_TEST_LONG 1000)
 *   TERN_FAULTS=N              so many with a fault (12; 330)
 *   TERN_MIGRATION='F=V ...'   one combination; what it does not name has the first value. With TERN_FAULTS: with faults
 */
#include "util/osdep.h"
#include "migration-pairs.h"

/* ---- the table ------------------------------------------------------------------------------------------------------------ */

typedef struct Factor {
    const char *name;
    const char *values[PAIRWISE_VALUES];
} Factor;

static const Factor factors[FACTORS] = {
    [VERSION] = { "version", { "7.2", "8.2", "9.0", "9.2", "10.0" } },
    [TRANSPORT] = { "transport", { "unix", "tcp", "fd", "exec", "file", "mapped-ram" } },
    [CHANNELS] = { "multifd", { "off", "1", "2", "4" } },
    [COMPRESSION] = { "compression", { "none", "zlib", "zstd" } },
    [ZERO_COPY] = { "zero-copy-send", { "off", "on" } },
    [XBZRLE] = { "xbzrle", { "off", "on" } },
    [POSTCOPY] = { "postcopy-ram", { "off", "on" } },
    [RELEASE] = { "release-ram", { "off", "on" } },
    [BLOCKTIME] = { "postcopy-blocktime", { "off", "on" } },
    [RETURN_PATH] = { "return-path", { "off", "on" } },
    [ACK] = { "switchover-ack", { "off", "on" } },
    [PAUSE] = { "pause-before-switchover", { "off", "on" } },
    [CONVERGE] = { "auto-converge", { "off", "on" } },
    [ZERO_PAGES] = { "zero-page-detection", { "default", "none", "legacy", "multifd" } },
    [SHARED] = { "x-ignore-shared", { "off", "on" } },
    [DIRECT] = { "direct-io", { "off", "on" } },
    [VALIDATE] = { "validate-uuid", { "off", "on" } },
    [RAM] = { "ram", { "anonymous", "memfd", "file", "same-file", "huge-pages" } },
    [SIZE] = { "size", { "8M", "12M", "20M" } },
    [BANDWIDTH] = { "bandwidth", { "free", "slow", "uneven" } },
    [GUEST] = { "guest", { "busy", "calm", "paused" } },
    [LOST_PAGES] = { "lost-pages", { "none", "before", "meanwhile" } },
    [BEFORE] = { "before", { "nothing", "cancelled" } },
};

#define V(value) (1u << (value))
#define MORE_CHANNELS (~V(OFF))

/* What does not go together, and what the program says to it; without a text it means nothing, or something else. */
typedef struct Rule {
    FactorId f;
    unsigned v;
    FactorId g;
    unsigned w;
    const char *text;
} Rule;

static const char no_copy[] = "Zero copy only available for non-compressed non-TLS multifd migration";
static const char in_file[] = "Mapped-ram migration is incompatible with";

static const Rule rules[] = {
    { CHANNELS, MORE_CHANNELS, TRANSPORT, V(FD) | V(EXEC) | V(FILE_), "The capability multifd needs an address" },
    { CHANNELS, V(OFF), ZERO_COPY, V(ON), no_copy },
    { COMPRESSION, ~V(0), ZERO_COPY, V(ON), no_copy },
    { TRANSPORT, ~V(TCP), ZERO_COPY, V(ON), NULL }, /* goes, by copies */
    { CHANNELS, MORE_CHANNELS, XBZRLE, V(ON), "Multifd is not compatible with xbzrle" },
    { CHANNELS, MORE_CHANNELS, POSTCOPY, V(ON), "Postcopy is not yet compatible with multifd" },
    { CHANNELS, V(OFF), COMPRESSION, ~V(0), NULL },
    { TRANSPORT, V(MAPPED), COMPRESSION, ~V(0), NULL },
    { TRANSPORT, V(MAPPED), XBZRLE, V(ON), in_file },
    { TRANSPORT, V(MAPPED), POSTCOPY, V(ON), in_file },
    { TRANSPORT, V(MAPPED), SHARED, V(ON), in_file },
    { TRANSPORT, V(EXEC) | V(FILE_), POSTCOPY, V(ON), "needs a channel that can answer" },
    { TRANSPORT, V(EXEC) | V(FILE_) | V(MAPPED), RETURN_PATH, V(ON), "needs a channel that can answer" },
    { RETURN_PATH, V(OFF), ACK, V(ON), "Capability 'switchover-ack' requires capability 'return-path'" },
    { POSTCOPY, V(ON), SHARED, V(ON), "Postcopy is not compatible with ignore-shared" },
    { POSTCOPY, V(ON), RAM, V(SHARED_FILE), NULL }, /* depends on the file system */
    { LOST_PAGES, ~V(NONE_LOST), RAM, V(SHARED_FILE) | V(SAME_FILE), NULL }, /* as above */
    { TRANSPORT, ~V(MAPPED), DIRECT, V(ON), NULL },
    /* What is not sent has to be there. */
    { SHARED, V(ON), RAM, V(MEMFD) | V(SHARED_FILE) | V(HUGE_PAGES), NULL },
    { SHARED, V(OFF), RAM, V(SAME_FILE), NULL },
    { BEFORE, V(CANCELLED), RAM, V(SAME_FILE), NULL },
};

static bool huge_pages;

/* Whether the rule forbids the pair, in either order. */
static bool forbids(const Rule *rule, unsigned f, unsigned v, unsigned g, unsigned w)
{
    return (rule->f == f && rule->g == g && (rule->v & V(v)) && (rule->w & V(w))) ||
           (rule->f == g && rule->g == f && (rule->v & V(w)) && (rule->w & V(v)));
}

bool pairs_allowed(unsigned f, unsigned v, unsigned g, unsigned w)
{
    if (!huge_pages && ((f == RAM && v == HUGE_PAGES) || (g == RAM && w == HUGE_PAGES))) {
        return false;
    }
    for (unsigned i = 0; i < G_N_ELEMENTS(rules); i++) {
        if (forbids(&rules[i], f, v, g, w)) {
            return false;
        }
    }
    return true;
}

static unsigned value_count(const Factor *factor)
{
    unsigned n = 0;
    while (n < PAIRWISE_VALUES && factor->values[n]) {
        n++;
    }
    return n;
}

static Pairwise table(void)
{
    Pairwise p = { .n = FACTORS, .allowed = pairs_allowed };
    for (unsigned i = 0; i < FACTORS; i++) {
        p.values[i] = value_count(&factors[i]);
    }
    return p;
}

char *pairs_describe(const PairwiseRow *row)
{
    GString *text = g_string_new(NULL);
    for (unsigned i = 0; i < FACTORS; i++) {
        if (row->value[i] || i < CHANNELS) {
            g_string_append_printf(text, "%s%s=%s", i ? " " : "", factors[i].name, factors[i].values[row->value[i]]);
        }
    }
    return g_string_free(text, FALSE);
}

/* "name=value" into the row. */
static void parse_one(const char *word, PairwiseRow *row)
{
    g_auto(GStrv) parts = g_strsplit(word, "=", 2);
    for (unsigned i = 0; i < FACTORS; i++) {
        for (unsigned v = 0; parts[1] && v < value_count(&factors[i]); v++) {
            if (strcmp(parts[0], factors[i].name) == 0 && strcmp(parts[1], factors[i].values[v]) == 0) {
                row->value[i] = v;
                return;
            }
        }
    }
    g_error("TERN_MIGRATION: there is no '%s'", word);
}

/* ---- numbers -------------------------------------------------------------------------------------------------------------- */

static unsigned number(const char *variable, unsigned usual, unsigned in_long)
{
    const char *text = g_getenv(variable);
    return text ? g_ascii_strtoull(text, NULL, 10) : g_getenv("TERN_TEST_LONG") ? in_long : usual;
}

static uint32_t first_seed(void)
{
    static uint32_t seed;
    const char *text = g_getenv("TERN_TEST_SEED");
    if (!seed) {
        seed = text ? g_ascii_strtoull(text, NULL, 10) : g_random_int() | 1;
        g_print("# TERN_TEST_SEED=%u\n", seed);
    }
    return seed;
}

/* Whether the host has free huge pages for two machines of the largest size. */
static bool have_huge_pages(void)
{
    g_autofree char *text = NULL;
    return g_file_get_contents("/sys/kernel/mm/hugepages/hugepages-2048kB/free_hugepages", &text, NULL, NULL) &&
           g_ascii_strtoull(text, NULL, 10) >= 40;
}

/* For whoever finds that it has failed. */
static void say_running(const PairwiseRow *row, uint32_t seed)
{
    g_autofree char *text = pairs_describe(row);
    g_print("# TERN_TEST_SEED=%u TERN_MIGRATION='%s'\n", seed, text);
}

static void say_progress(const char *what, unsigned n, unsigned of)
{
    if (of > 100 && n % 50 == 0) {
        g_printerr("%s: %u of %u\n", what, n, of);
    }
}

/* ---- tests ---------------------------------------------------------------------------------------------------------------- */

static void test_generator(void)
{
    Pairwise p = table();
    for (uint32_t seed = 1; seed <= 3; seed++) {
        g_autoptr(GRand) random = g_rand_new_with_seed(seed);
        g_autoptr(GArray) rows = pairwise_rows(&p, random);
        g_assert_cmpuint(rows->len, >=, 36); /* a transport with each channel count that it can have, and so on */
        g_assert_cmpuint(rows->len, <, 90);
        for (unsigned i = 0; i < rows->len; i++) {
            g_assert_true(pairwise_row_allowed(&p, &g_array_index(rows, PairwiseRow, i)));
        }
        g_assert_cmpuint(pairwise_missing(&p, rows), ==, pairwise_impossible(&p, random));
        g_array_set_size(rows, rows->len / 2);
        g_assert_cmpuint(pairwise_missing(&p, rows), >, pairwise_impossible(&p, random));
    }
}

/* Whatever does not go together is refused by name, before anything is sent. */
static void test_refused(void)
{
    unsigned n = 0;
    for (unsigned i = 0; i < G_N_ELEMENTS(rules); i++) {
        const Rule *rule = &rules[i];
        for (unsigned v = 0; v < value_count(&factors[rule->f]); v++) {
            for (unsigned w = 0; rule->text && w < value_count(&factors[rule->g]); w++) {
                if (!(rule->v & V(v)) || !(rule->w & V(w))) {
                    continue;
                }
                PairwiseRow row = { 0 };
                row.value[rule->f] = v;
                row.value[rule->g] = w;
                g_autofree char *why = run_refusal(&row), *what = pairs_describe(&row);
                if (!why || !strstr(why, rule->text)) {
                    g_error("%s: '%s', not '%s'", what, why ? why : "accepted", rule->text);
                }
                n++;
            }
        }
    }
    g_print("# %u refused\n", n);
}

static void migrate_row(const PairwiseRow *row, uint32_t seed)
{
    Run run;
    say_running(row, seed);
    run_begin(&run, row, seed);
    run_migrate(&run);
    run_end(&run);
}

typedef void RowFunc(const PairwiseRow *row, uint32_t seed, unsigned number, void *opaque);

/* Calls func for n rows, set after set of them. */
static void each_row(unsigned n, RowFunc *func, void *opaque)
{
    Pairwise p = table();
    uint32_t seed = first_seed();
    for (unsigned done = 0; done < n; seed++) {
        g_autoptr(GRand) random = g_rand_new_with_seed(seed);
        g_autoptr(GArray) rows = pairwise_rows(&p, random);
        for (unsigned i = 0; i < rows->len && done < n; i++, done++) {
            func(&g_array_index(rows, PairwiseRow, i), seed * 1000 + i, done, opaque);
        }
    }
}

static void one_of_many(const PairwiseRow *row, uint32_t seed, unsigned done, void *opaque)
{
    migrate_row(row, seed);
    say_progress("migrations", done + 1, *(unsigned *)opaque);
}

static void test_migrations(void)
{
    unsigned n = number("TERN_MIGRATIONS", 40, 1000);
    each_row(n, one_of_many, &n);
}

#define FAULTS_EACH 3 /* with the same source, and a migration without one */

typedef struct FaultRun {
    FaultCounts counts;
    unsigned of;
} FaultRun;

/* Whether factor f can have this value beside those of the factors that are settled. */
static bool fits(const PairwiseRow *row, const bool *settled, unsigned f, unsigned value)
{
    for (unsigned g = 0; g < FACTORS; g++) {
        if (settled[g] && !pairs_allowed(f, value, g, row->value[g])) {
            return false;
        }
    }
    return true;
}

/* The same row with postcopy: what does not go together with that becomes the first value that does. */
static PairwiseRow with_postcopy(PairwiseRow row)
{
    bool settled[FACTORS] = { [POSTCOPY] = true };
    row.value[POSTCOPY] = ON;
    for (unsigned f = 0; f < FACTORS; f++) {
        for (unsigned v = 0; !settled[f] && !fits(&row, settled, f, row.value[f]) && v < value_count(&factors[f]); v++) {
            row.value[f] = v;
        }
        settled[f] = true;
    }
    return row;
}

static void say_counts(const FaultCounts *c)
{
    g_print("# %u faults, %u of them in postcopy: %u times the guest ran on at the source, %u times it was taken back, "
            "%u recoveries in postcopy, %u arrived\n",
            c->faults, c->in_postcopy, c->resumed, c->taken_back, c->recovered, c->arrived);
}

/* Few rows of a set have postcopy, and it has most that can go wrong: every other one gets it here. */
static void faults_of(const PairwiseRow *of_set, uint32_t seed, unsigned done, void *opaque)
{
    FaultRun *run = opaque;
    PairwiseRow row = done % 2 ? *of_set : with_postcopy(*of_set);
    say_running(&row, seed);
    run_faults(&row, seed, FAULTS_EACH, &run->counts);
    say_progress("rows with faults", done + 1, run->of);
}

static void test_faults(void)
{
    FaultRun run = { .of = (number("TERN_FAULTS", 12, 330) + FAULTS_EACH - 1) / FAULTS_EACH };
    each_row(run.of, faults_of, &run);
    say_counts(&run.counts);
}

static void test_one(void)
{
    const char *text = g_getenv("TERN_MIGRATION");
    PairwiseRow row = { 0 };
    g_auto(GStrv) words = g_strsplit(text, " ", 0);
    for (unsigned i = 0; words[i]; i++) {
        if (words[i][0]) {
            parse_one(words[i], &row);
        }
    }
    if (g_getenv("TERN_FAULTS")) {
        FaultCounts counts = { 0 };
        run_faults(&row, first_seed(), FAULTS_EACH, &counts);
        say_counts(&counts);
    } else {
        migrate_row(&row, first_seed());
    }
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    huge_pages = have_huge_pages();
    g_test_add_func("/migration-pairs/generator", test_generator);
    g_test_add_func("/migration-pairs/refused", test_refused);
    if (g_getenv("TERN_MIGRATION")) {
        g_test_add_func("/migration-pairs/one", test_one);
    } else {
        g_test_add_func("/migration-pairs/migrations", test_migrations);
        g_test_add_func("/migration-pairs/faults", test_faults);
    }
    return g_test_run();
}
