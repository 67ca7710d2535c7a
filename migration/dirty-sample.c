/* SPDX-License-Identifier: GPL-2.0-or-later */
/* See dirty-sample.h. Blocks may come and go between two batches: they are found again by name. */
#include "util/osdep.h"
#include "dirty-sample.h"

#include <zlib.h>
#include "system/memory.h"
#include "system/poison.h"
#include "util/clock.h"

/* Pages that are read in one go. */
#define BATCH 32
#define GIB (UINT64_C(1) << 30)

typedef struct Sampled {
    char *idstr;
    uint64_t size;
} Sampled;

typedef struct Page {
    unsigned block; /* number */
    uint64_t offset;
    uint32_t sum;
} Page;

struct DirtySample {
    uint64_t per_gib;
    int64_t period_ns, begin_ns;
    DirtySampleDone *done;
    GArray *blocks; /* Sampled */
    GArray *pages;  /* Page */
    Timer timer;
    guint at;
    bool again; /* the second time */
    int64_t ns; /* between the two */
    uint64_t looked, changed;
};

static void clear_block(void *opaque)
{
    g_free(((Sampled *)opaque)->idstr);
}

static bool choose(RamBlock *block, void *opaque)
{
    DirtySample *s = opaque;
    uint64_t pages = block->size / GUEST_PAGE_SIZE;
    uint64_t n = MIN((uint64_t)((double)block->size * s->per_gib / GIB) + 1, pages);
    Sampled sampled = { g_strdup(block->idstr), block->size };
    if (block->host_readonly || block->not_migrated) {
        g_free(sampled.idstr);
        return true;
    }
    for (uint64_t i = 0; i < n; i++) {
        const Page page = { s->blocks->len,
                            (uint64_t)(g_random_double() * pages) * GUEST_PAGE_SIZE, 0 };
        g_array_append_val(s->pages, page);
    }
    g_array_append_val(s->blocks, sampled);
    return true;
}

/* False: it is not there any more. */
static bool sum_page(const DirtySample *s, const Page *page, uint32_t *sum)
{
    uint8_t data[GUEST_PAGE_SIZE];
    const Sampled *sampled = &g_array_index(s->blocks, Sampled, page->block);
    const RamBlock *block = ram_find(sampled->idstr);
    if (!block || block->size != sampled->size) {
        return false;
    }
    ram_copy_or_zero(data, block, page->offset, sizeof(data));
    *sum = crc32(0, data, sizeof(data));
    return true;
}

static uint64_t all_bytes(const DirtySample *s)
{
    uint64_t bytes = 0;
    for (guint i = 0; i < s->blocks->len; i++) {
        bytes += g_array_index(s->blocks, Sampled, i).size;
    }
    return bytes;
}

static void look(DirtySample *s)
{
    for (guint end = MIN(s->at + BATCH, s->pages->len); s->at < end; s->at++) {
        Page *page = &g_array_index(s->pages, Page, s->at);
        uint32_t sum;
        if (!sum_page(s, page, &sum)) {
            continue;
        }
        if (s->again) {
            s->looked++;
            s->changed += sum != page->sum;
        }
        page->sum = sum;
    }
}

static void tick(void *opaque)
{
    DirtySample *s = opaque;
    int64_t now = clock_get_ns(CLOCK_REALTIME_NS);
    if (s->again && s->at == 0) {
        s->ns = now - s->begin_ns;
    }
    look(s);
    if (s->at < s->pages->len) {
        timer_mod(&s->timer, now);
    } else if (!s->again) {
        s->again = true;
        s->at = 0;
        s->begin_ns = clock_get_ns(CLOCK_REALTIME_NS);
        timer_mod(&s->timer, s->begin_ns + s->period_ns);
    } else {
        double part = s->looked ? (double)s->changed / s->looked : 0;
        s->done(part * all_bytes(s) / (1 << 20) * NS_PER_SEC / MAX(s->ns, 1), s->ns);
    }
}

DirtySample *dirty_sample_new(uint64_t per_gib, int64_t period_ms, DirtySampleDone *done)
{
    DirtySample *s = g_new0(DirtySample, 1);
    s->per_gib = per_gib;
    s->period_ns = period_ms * NS_PER_MS;
    s->done = done;
    s->blocks = g_array_new(FALSE, FALSE, sizeof(Sampled));
    g_array_set_clear_func(s->blocks, clear_block);
    s->pages = g_array_new(FALSE, FALSE, sizeof(Page));
    ram_foreach(choose, s);
    timer_init(&s->timer, CLOCK_REALTIME_NS, tick, s);
    timer_mod(&s->timer, clock_get_ns(CLOCK_REALTIME_NS));
    return s;
}

void dirty_sample_free(DirtySample *s)
{
    if (s) {
        timer_del(&s->timer);
        g_array_unref(s->blocks);
        g_array_unref(s->pages);
        g_free(s);
    }
}
