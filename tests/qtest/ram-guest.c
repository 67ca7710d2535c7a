/* SPDX-License-Identifier: GPL-2.0-or-later */
/* A guest that writes its memory: ram-guest.h. */
#include "util/osdep.h"
#include "ram-guest.h"

#include "qtest-internal.h"

#define BATCH 128       /* pages that are filled or compared at once */
#define HOT 64          /* pages that are written again and again */
#define ANSWER_SECONDS 120

struct Guest {
    uint8_t *data;      /* what memory should be */
    bool *lost;         /* by page; atomic */
    unsigned pages;
    GRand *random;

    QTest *q;           /* while the thread runs */
    GThread *thread;
    unsigned rate;
    bool watch;
    int quit;           /* atomic: 1 after the next answer, 2 at once */
    uint64_t writes;    /* atomic */
};

uint64_t guest_address(unsigned page)
{
    return GUEST_FIRST + (uint64_t)page * GUEST_PAGE;
}

unsigned guest_pages(const Guest *g)
{
    return g->pages;
}

uint64_t guest_writes(Guest *g)
{
    return __atomic_load_n(&g->writes, __ATOMIC_RELAXED);
}

/* ---- contents --------------------------------------------------------------------------------------------------------- */

static void fill_random(GRand *random, uint8_t *page)
{
    for (unsigned i = 0; i < GUEST_PAGE; i += 4) {
        uint32_t v = g_rand_int(random);
        memcpy(page + i, &v, 4);
    }
}

static void fill_page(GRand *random, uint8_t *page)
{
    memset(page, 0, GUEST_PAGE);
    switch (g_rand_int_range(random, 0, 5)) {
    case 0:
        break; /* zero */
    case 1:    /* does not compress */
        fill_random(random, page);
        break;
    case 2:
        memset(page, g_rand_int_range(random, 1, 255), GUEST_PAGE);
        break;
    case 3: /* one byte somewhere */
        page[g_rand_int_range(random, 0, GUEST_PAGE)] = 0x5a;
        break;
    default: /* text */
        for (unsigned i = 0; i < GUEST_PAGE; i++) {
            page[i] = "the quick brown fox "[i % 20] ^ (i / 512);
        }
    }
}

static void write_pages(Guest *g, QTest *q, unsigned page, unsigned n)
{
    qtest_memwrite(q, guest_address(page), g->data + (size_t)page * GUEST_PAGE, (size_t)n * GUEST_PAGE);
}

Guest *guest_new(QTest *q, unsigned mib, uint32_t seed)
{
    Guest *g = g_new0(Guest, 1);
    g->pages = ((mib << 20) - GUEST_FIRST) / GUEST_PAGE;
    g->data = g_malloc((size_t)g->pages * GUEST_PAGE);
    g->lost = g_new0(bool, g->pages);
    g->random = g_rand_new_with_seed(seed);
    for (unsigned i = 0; i < g->pages; i++) {
        fill_page(g->random, g->data + (size_t)i * GUEST_PAGE);
    }
    for (unsigned i = 0; i < g->pages; i += BATCH) {
        write_pages(g, q, i, MIN(BATCH, g->pages - i));
    }
    return g;
}

void guest_free(Guest *g)
{
    g_assert_null(g->thread);
    g_rand_free(g->random);
    g_free(g->data);
    g_free(g->lost);
    g_free(g);
}

void guest_lost(Guest *g, unsigned page)
{
    __atomic_store_n(&g->lost[page], true, __ATOMIC_RELEASE);
}

static bool is_lost(const Guest *g, unsigned page)
{
    return __atomic_load_n(&g->lost[page], __ATOMIC_ACQUIRE);
}

void guest_write(Guest *g, QTest *q, unsigned page)
{
    fill_page(g->random, g->data + (size_t)page * GUEST_PAGE);
    write_pages(g, q, page, 1);
}

void guest_write_random(Guest *g, QTest *q, unsigned page, unsigned n)
{
    for (unsigned i = 0; i < n; i++) {
        fill_random(g->random, g->data + (size_t)(page + i) * GUEST_PAGE);
    }
    write_pages(g, q, page, n);
}

/* ---- comparison ------------------------------------------------------------------------------------------------------- */

static void compare(const Guest *g, const uint8_t *got, unsigned page, const char *when)
{
    const uint8_t *want = g->data + (size_t)page * GUEST_PAGE;
    unsigned at = 0;
    if (is_lost(g, page) || memcmp(got, want, GUEST_PAGE) == 0) {
        return;
    }
    while (got[at] == want[at]) {
        at++;
    }
    g_error("page %u (0x%" PRIx64 ") is not what the guest has written, %s: at 0x%x there is 0x%02x, not 0x%02x", page,
            guest_address(page), when, at, got[at], want[at]);
}

void guest_check(Guest *g, QTest *q)
{
    g_autofree uint8_t *got = g_malloc(BATCH * GUEST_PAGE);
    for (unsigned i = 0; i < g->pages; i += BATCH) {
        unsigned n = MIN(BATCH, g->pages - i);
        qtest_memread(q, guest_address(i), got, (size_t)n * GUEST_PAGE);
        for (unsigned j = 0; j < n; j++) {
            compare(g, got + (size_t)j * GUEST_PAGE, i + j, "at the end");
        }
    }
}

/* ---- the thread --------------------------------------------------------------------------------------------------------- */

/* Sends a line; its answer, or NULL if the guest has gone elsewhere before there was one. */
static char *ask(Guest *g, const char *line)
{
    QTestProcess *p = g->q->process;
    gint64 deadline = g_get_monotonic_time() + ANSWER_SECONDS * G_TIME_SPAN_SECOND;
    qtest_write_all(p, false, line, strlen(line));
    for (;;) {
        /* In this order: what was answered before the guest went is there by now. */
        bool gone = __atomic_load_n(&g->quit, __ATOMIC_ACQUIRE) == 2;
        g_autofree char *answer = qtest_read_line(p, false, gone ? 0 : 5);
        if (answer && g_str_has_prefix(answer, "OK")) {
            return g_steal_pointer(&answer);
        }
        if (answer) {
            qtest_fail(p, "%.60s answers: %s", line, answer);
        }
        if (gone) {
            return NULL;
        }
        if (g_get_monotonic_time() > deadline) {
            qtest_fail(p, "no answer within %u s to: %.60s", ANSWER_SECONDS, line);
        }
    }
}

static bool look(Guest *g, unsigned page)
{
    g_autofree char *line = g_strdup_printf("b64read 0x%" PRIx64 " 0x%x\n", guest_address(page), GUEST_PAGE);
    g_autofree char *answer = ask(g, line);
    gsize len;
    if (!answer) {
        return false;
    }
    g_autofree guchar *got = g_base64_decode(answer + 3, &len);
    g_assert_cmpuint(len, ==, GUEST_PAGE);
    compare(g, got, page, "when it looks");
    return true;
}

/* Another content, or something little inside; the model has it when the machine has. */
static bool change(Guest *g, unsigned page)
{
    uint8_t *now = g->data + (size_t)page * GUEST_PAGE, data[GUEST_PAGE];
    unsigned at = 0, len = GUEST_PAGE;
    if (g_rand_int_range(g->random, 0, 3) == 0) {
        fill_page(g->random, data);
    } else {
        len = g_rand_int_range(g->random, 1, 64);
        at = g_rand_int_range(g->random, 0, GUEST_PAGE - len);
        memset(data, g_rand_int(g->random), len);
    }
    g_autofree char *text = g_base64_encode(data, len);
    g_autofree char *line = g_strdup_printf("b64write 0x%" PRIx64 " 0x%x %s\n", guest_address(page) + at, len, text);
    g_autofree char *answer = ask(g, line);
    if (answer) {
        memcpy(now + at, data, len);
        __atomic_add_fetch(&g->writes, 1, __ATOMIC_RELAXED);
    }
    return answer != NULL;
}

static void *guest_thread(void *opaque)
{
    Guest *g = opaque;
    gint64 start = g_get_monotonic_time();
    uint64_t done = 0;
    while (!__atomic_load_n(&g->quit, __ATOMIC_ACQUIRE)) {
        /* Half of it in a few pages, so that they are sent more than once. */
        unsigned page = g_rand_int_range(g->random, 0, done % 2 ? g->pages : MIN(HOT, g->pages));
        if (g->rate && (g_get_monotonic_time() - start) * g->rate / G_TIME_SPAN_SECOND < (gint64)done) {
            g_usleep(1000);
            continue;
        }
        if (!is_lost(g, page) && !(g->watch || done % 8 == 7 ? look(g, page) : change(g, page))) {
            break;
        }
        done++;
    }
    return NULL;
}

static void run(Guest *g, QTest *q, unsigned rate, bool watch)
{
    g_assert_null(g->thread);
    g->q = q;
    g->rate = rate;
    g->watch = watch;
    g->quit = 0;
    g->thread = g_thread_new("guest", guest_thread, g);
}

void guest_run(Guest *g, QTest *q, unsigned rate)
{
    run(g, q, rate, false);
}

void guest_watch(Guest *g, QTest *q)
{
    run(g, q, 0, true);
}

static void end(Guest *g, int how)
{
    if (g->thread) {
        __atomic_store_n(&g->quit, how, __ATOMIC_RELEASE);
        g_thread_join(g_steal_pointer(&g->thread));
        g->q = NULL;
    }
}

void guest_stop(Guest *g)
{
    end(g, 1);
}

void guest_leave(Guest *g)
{
    end(g, 2);
}
