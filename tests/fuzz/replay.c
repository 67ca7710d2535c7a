/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The smoke run of a fuzz target in builds without libFuzzer: its corpus, then mutations of it for a short
 * time. Speaks TAP.
 *
 *   FUZZ_SEED=N        start of the random numbers (printed; otherwise the clock)
 *   FUZZ_ITERATION=N   only this mutation of that seed
 *   FUZZ_SECONDS=N     how long to mutate (2)
 *
 * A mutation depends on seed, iteration and corpus alone: after a crash the printed seed and iteration
 * bring it back.
 */
#include "util/osdep.h"

#include <glib.h>
#include <signal.h>
#include <stdio.h>

#include "fuzz.h"

#define INPUT_LIMIT 65536

static uint64_t seed;
static volatile sig_atomic_t iteration;

/* splitmix64: small, and the same everywhere */
static uint64_t next_random(uint64_t *state)
{
    uint64_t z = (*state += 0x9e3779b97f4a7c15ull);

    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9ull;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebull;
    return z ^ (z >> 31);
}

static void say_where(int signal_number)
{
    char text[96];
    int len = snprintf(text, sizeof(text), "# again with FUZZ_SEED=%" PRIu64 " FUZZ_ITERATION=%ld\n",
                       seed, (long)iteration);

    if (write(STDOUT_FILENO, text, len) != len) {
        _exit(1);
    }
    signal(signal_number, SIG_DFL);
    raise(signal_number);
}

static gint compare_inputs(gconstpointer a, gconstpointer b)
{
    GBytes *const *x = a, *const *y = b;

    return g_bytes_compare(*x, *y);
}

/* The corpus in an order that does not depend on the file system; never empty. */
static GPtrArray *load_corpus(const char *path)
{
    GPtrArray *corpus = g_ptr_array_new_with_free_func((GDestroyNotify)g_bytes_unref);
    GDir *dir = g_dir_open(path, 0, NULL);
    const char *name;

    while (dir && (name = g_dir_read_name(dir))) {
        g_autofree char *file = g_build_filename(path, name, NULL);
        char *data;
        gsize len;

        if (g_file_get_contents(file, &data, &len, NULL)) {
            g_ptr_array_add(corpus, g_bytes_new_take(data, len));
        }
    }
    if (dir) {
        g_dir_close(dir);
    }
    g_ptr_array_sort(corpus, compare_inputs);
    g_ptr_array_insert(corpus, 0, g_bytes_new(NULL, 0));
    return corpus;
}

/* The input exactly as long as it is, so that a sanitizer sees a read behind its end; never NULL. */
static void feed(const uint8_t *data, size_t len)
{
    uint8_t *copy = len ? g_memdup2(data, len) : g_malloc(1);

    LLVMFuzzerTestOneInput(copy, len);
    g_free(copy);
}

static void mutate_byte(GByteArray *input, uint64_t *state)
{
    static const uint8_t edges[] = { 0, 1, 0x7f, 0x80, 0xff, '"', '{', ',', '=' };
    size_t at = next_random(state) % input->len;
    uint64_t how = next_random(state);

    switch (how % 3) {
    case 0:
        input->data[at] ^= 1 << (how >> 8) % 8;
        break;
    case 1:
        input->data[at] = edges[(how >> 8) % G_N_ELEMENTS(edges)];
        break;
    default:
        input->data[at] = how >> 8;
    }
}

static void mutate_length(GByteArray *input, uint64_t *state)
{
    size_t at = next_random(state) % (input->len + 1);
    size_t count = 1 + next_random(state) % 16;

    if (next_random(state) % 2 && at < input->len) {
        g_byte_array_remove_range(input, at, MIN(count, input->len - at));
    } else if (input->len + count <= INPUT_LIMIT) {
        size_t tail = input->len - at;

        g_byte_array_set_size(input, input->len + count);
        memmove(input->data + at + count, input->data + at, tail);
        for (size_t i = 0; i < count; i++) {
            input->data[at + i] = next_random(state);
        }
    }
}

static void splice(GByteArray *input, GPtrArray *corpus, uint64_t *state)
{
    gsize len;
    const uint8_t *other =
        g_bytes_get_data(corpus->pdata[next_random(state) % corpus->len], &len);

    g_byte_array_set_size(input, next_random(state) % (input->len + 1));
    if (len) {
        size_t from = next_random(state) % len;

        g_byte_array_append(input, other + from, MIN(len - from, INPUT_LIMIT - input->len));
    }
}

static void run_mutation(GPtrArray *corpus, uint64_t number)
{
    uint64_t state = seed + number * 0x2545f4914f6cdd1dull;
    GBytes *base = corpus->pdata[next_random(&state) % corpus->len];
    GByteArray *input = g_byte_array_new();
    gsize len;
    const uint8_t *data = g_bytes_get_data(base, &len);

    g_byte_array_append(input, data, MIN(len, INPUT_LIMIT));
    for (int rounds = 1 + next_random(&state) % 8; rounds > 0; rounds--) {
        uint64_t how = next_random(&state) % 8;

        if (how == 0) {
            splice(input, corpus, &state);
        } else if (how < 3 || !input->len) {
            mutate_length(input, &state);
        } else {
            mutate_byte(input, &state);
        }
    }
    feed(input->data, input->len);
    g_byte_array_unref(input);
}

static uint64_t number_from(const char *name, uint64_t otherwise)
{
    const char *text = g_getenv(name);

    return text ? g_ascii_strtoull(text, NULL, 10) : otherwise;
}

int main(int argc, char **argv)
{
    static const int signals[] = { SIGSEGV, SIGBUS, SIGABRT, SIGFPE, SIGILL, SIGTERM };
    GPtrArray *corpus = load_corpus(argc > 1 ? argv[1] : "/nonexistent");
    gint64 until = g_get_monotonic_time() + number_from("FUZZ_SECONDS", 2) * G_USEC_PER_SEC;
    uint64_t only = number_from("FUZZ_ITERATION", 0);
    uint64_t count = 0;

    setvbuf(stdout, NULL, _IOLBF, 0);
    seed = number_from("FUZZ_SEED", g_get_real_time());
    for (size_t i = 0; i < G_N_ELEMENTS(signals); i++) {
        signal(signals[i], say_where);
    }
    printf("1..2\n# seed %" PRIu64 "\n", seed);
    for (guint i = 0; i < corpus->len; i++) {
        gsize len;
        const uint8_t *data = g_bytes_get_data(corpus->pdata[i], &len);

        feed(data, len);
    }
    printf("ok 1 - corpus of %u\n", corpus->len);
    if (only) {
        iteration = only;
        run_mutation(corpus, only);
        count = 1;
    }
    while (!only && g_get_monotonic_time() < until) {
        iteration = ++count;
        run_mutation(corpus, count);
    }
    printf("# %" PRIu64 " mutations\nok 2 - mutations\n", count);
    g_ptr_array_unref(corpus);
    return EXIT_SUCCESS;
}
