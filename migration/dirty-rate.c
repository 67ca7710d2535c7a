/* SPDX-License-Identifier: GPL-2.0-or-later */
/* calc-dirty-rate and query-dirty-rate; see dirty-rate.h. */
#include "util/osdep.h"
#include "dirty-rate.h"

#include "dirty-sample.h"
#include "hw/core/cpu.h"
#include "qapi/commands-migration.h"
#include "state.h"
#include "system/memory.h"
#include "system/runstate.h"
#include "util/bitmap.h"
#include "util/clock.h"
#include "util/error.h"

#define PERIOD_MIN_MS 50
#define PERIOD_MAX_MS 60000
#define SAMPLES_MIN 128
#define SAMPLES_MAX 16384
#define SAMPLES 512
#define MIB (1024.0 * 1024.0)

typedef struct Measurement {
    DirtyRateStatus status;
    DirtyRateMeasureMode mode;
    int64_t start_s;             /* since 1970 */
    int64_t begin_ns, period_ms; /* asked for, then what it was */
    uint64_t samples;            /* per GiB; 0: not in this mode */
    double rate;                 /* MiB a second */
    /* dirty-ring */
    unsigned processors;
    uint64_t *counts; /* pages of each before */
    DirtyRateVcpuArray *each;
    Timer timer;
    DirtySample *sample;
} Measurement;

static Measurement now;

/* ---- by the dirty log ----------------------------------------------------------------------------------------------- */

static bool take_block(RamBlock *block, void *opaque)
{
    uint64_t pages = block->size / GUEST_PAGE_SIZE;
    g_autofree unsigned long *bits = bitmap_new(pages);
    *(uint64_t *)opaque += ram_block_take_dirty(block, 0, pages, bits);
    return true;
}

/* Pages that were written since the last call. */
static uint64_t take_dirty(void)
{
    uint64_t found = 0;
    ram_dirty_log_sync(false);
    ram_foreach(take_block, &found);
    return found;
}

static double per_second(uint64_t pages, int64_t ns)
{
    return pages * (double)GUEST_PAGE_SIZE / MIB * NS_PER_SEC / MAX(ns, 1);
}

static void begin_rings(void)
{
    now.processors = cpu_count();
    now.counts = g_renew(uint64_t, now.counts, now.processors);
    unsigned i = 0;
    CPU_FOREACH (cpu) {
        now.counts[i++] = __atomic_load_n(&cpu->dirty_pages, __ATOMIC_RELAXED);
    }
}

/* What each processor's ring had since. Returns the sum of their rates. */
static double end_rings(int64_t ns)
{
    double sum = 0;
    unsigned i = 0;
    now.each = g_new0(DirtyRateVcpuArray, 1);
    CPU_FOREACH (cpu) {
        uint64_t pages = __atomic_load_n(&cpu->dirty_pages, __ATOMIC_RELAXED);
        double rate = i < now.processors ? per_second(pages - now.counts[i], ns) : 0;
        DirtyRateVcpu *item = g_new0(DirtyRateVcpu, 1);
        item->id = cpu->index;
        item->dirty_rate = (int64_t)rate;
        QAPI_ARRAY_ADD(now.each, item);
        sum += rate;
        i++;
    }
    return sum;
}

static void end_log(void *opaque)
{
    int64_t ns = clock_get_ns(CLOCK_REALTIME_NS) - now.begin_ns;
    uint64_t pages = take_dirty();
    timer_del(&now.timer);
    ram_dirty_log_stop();
    now.rate = now.mode == DIRTY_RATE_MEASURE_MODE_DIRTY_RING ? end_rings(ns) : per_second(pages, ns);
    now.period_ms = ns / NS_PER_MS;
    now.status = DIRTY_RATE_STATUS_MEASURED;
}

static bool begin_log(GError **error)
{
    if (outgoing_active() || ram_dirty_log_active()) {
        return error_set(error, "the dirty log is in use by a migration: use the mode page-sampling");
    }
    if (!ram_dirty_log_start(error)) {
        return false;
    }
    take_dirty(); /* everything, to begin with */
    if (now.mode == DIRTY_RATE_MEASURE_MODE_DIRTY_RING) {
        begin_rings();
    }
    now.begin_ns = clock_get_ns(CLOCK_REALTIME_NS);
    timer_init(&now.timer, CLOCK_REALTIME_NS, end_log, NULL);
    timer_mod(&now.timer, now.begin_ns + now.period_ms * NS_PER_MS);
    return true;
}

void dirty_rate_give_way(void)
{
    if (now.status == DIRTY_RATE_STATUS_MEASURING &&
        now.mode != DIRTY_RATE_MEASURE_MODE_PAGE_SAMPLING) {
        end_log(NULL);
    }
}

/* ---- by samples ------------------------------------------------------------------------------------------------------ */

static void sampled(double rate, int64_t ns)
{
    now.rate = rate;
    now.period_ms = ns / NS_PER_MS;
    now.status = DIRTY_RATE_STATUS_MEASURED;
    dirty_sample_free(g_steal_pointer(&now.sample));
}

void dirty_rate_shutdown(void)
{
    dirty_rate_give_way();
    dirty_sample_free(g_steal_pointer(&now.sample));
    now.status = DIRTY_RATE_STATUS_UNSTARTED;
    g_clear_pointer(&now.counts, g_free);
    g_clear_pointer(&now.each, qapi_free_DirtyRateVcpuArray);
}

static bool has_rings(void)
{
    return cpu_accel_ops() && cpu_accel_ops()->dirty_rings;
}

/* ---- commands --------------------------------------------------------------------------------------------------------- */

static bool check(int64_t period_ms, bool has_samples, int64_t samples, DirtyRateMeasureMode mode,
                  GError **error)
{
    if (now.status == DIRTY_RATE_STATUS_MEASURING) {
        return error_set(error, "the dirty rate is already being measured.");
    }
    if (period_ms < PERIOD_MIN_MS || period_ms > PERIOD_MAX_MS) {
        return error_set(error, "Calculation time is out of range [%dms, %dms].", PERIOD_MIN_MS,
                         PERIOD_MAX_MS);
    }
    if (has_samples && mode != DIRTY_RATE_MEASURE_MODE_PAGE_SAMPLING) {
        return error_set(error, "sample-pages is used only in page-sampling mode");
    }
    if (has_samples && (samples < SAMPLES_MIN || samples > SAMPLES_MAX)) {
        return error_set(error, "sample-pages is out of range[%d, %d].", SAMPLES_MIN, SAMPLES_MAX);
    }
    if (mode == DIRTY_RATE_MEASURE_MODE_DIRTY_RING && !has_rings()) {
        return error_set(error, "mode dirty-ring is not enabled, use other method instead.");
    }
    if (vm_state() == VM_INMIGRATE || incoming_active()) { /* D2 */
        return error_set(error, "the guest's memory is still to come: the dirty rate cannot be measured");
    }
    return true;
}

bool qmp_calc_dirty_rate(int64_t calc_time, bool has_unit, TimeUnit unit, bool has_sample_pages,
                         int64_t sample_pages, bool has_mode, DirtyRateMeasureMode mode,
                         GError **error)
{
    int64_t scale = has_unit && unit == TIME_UNIT_MILLISECOND ? 1 : 1000;
    int64_t period_ms = calc_time > PERIOD_MAX_MS || calc_time < 0 ? -1 : calc_time * scale;
    mode = has_mode ? mode : DIRTY_RATE_MEASURE_MODE_PAGE_SAMPLING;
    if (!check(period_ms, has_sample_pages, sample_pages, mode, error)) {
        return false;
    }
    Measurement before = now;
    now.mode = mode;
    now.period_ms = period_ms;
    now.samples = mode != DIRTY_RATE_MEASURE_MODE_PAGE_SAMPLING ? 0
                  : has_sample_pages                            ? sample_pages
                                                                : SAMPLES;
    now.start_s = g_get_real_time() / G_USEC_PER_SEC;
    if (mode != DIRTY_RATE_MEASURE_MODE_PAGE_SAMPLING && !begin_log(error)) {
        now = before;
        return false;
    }
    if (mode == DIRTY_RATE_MEASURE_MODE_PAGE_SAMPLING) {
        now.sample = dirty_sample_new(now.samples, period_ms, sampled);
    }
    g_clear_pointer(&now.each, qapi_free_DirtyRateVcpuArray);
    now.status = DIRTY_RATE_STATUS_MEASURING;
    return true;
}

bool qmp_query_dirty_rate(bool has_unit, TimeUnit unit, DirtyRateInfo **ret, GError **error)
{
    DirtyRateInfo *info = g_new0(DirtyRateInfo, 1);
    info->calc_time_unit = has_unit ? unit : TIME_UNIT_SECOND;
    info->status = now.status;
    info->mode = now.mode;
    info->start_time = now.start_s;
    info->sample_pages = now.samples;
    info->calc_time =
        info->calc_time_unit == TIME_UNIT_SECOND ? now.period_ms / 1000 : now.period_ms;
    if (now.status == DIRTY_RATE_STATUS_MEASURED) {
        info->has_dirty_rate = true;
        info->dirty_rate = (int64_t)now.rate;
        info->vcpu_dirty_rate = now.each ? qapi_clone_DirtyRateVcpuArray(now.each) : NULL;
    }
    *ret = info;
    return true;
}
