/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A timer asks each processor's thread to sleep for a while; in between it runs for SLICE_NS. A sleep ends early when the
 * machine is to stop: throttling costs no downtime.
 */
#include "util/osdep.h"
#include "throttle.h"

#include "hw/core/cpu.h"
#include "util/clock.h"
#include "util/main-loop.h"

#define SLICE_NS (10 * NS_PER_MS)
/* How long a stop may have to wait for a sleeper. */
#define NAP_NS (2 * NS_PER_MS)

static unsigned percentage; /* atomic */
static Timer timer;
static bool initialized;

unsigned throttle_get(void)
{
    return __atomic_load_n(&percentage, __ATOMIC_RELAXED);
}

/* A period has a slice in which the processor runs, and this. */
static int64_t sleep_ns(unsigned percent)
{
    return SLICE_NS * percent / (100 - percent);
}

/* The processor's thread, big lock. */
static void sleep_here(Cpu *cpu, void *opaque)
{
    int64_t until = clock_get_ns(CLOCK_REALTIME_NS) + sleep_ns(throttle_get());
    int64_t left;
    while (throttle_get() && !cpu->stop && !cpu->leaving && (left = until - clock_get_ns(CLOCK_REALTIME_NS)) > 0) {
        bql_unlock();
        g_usleep(MIN(left, NAP_NS) / 1000 + 1);
        bql_lock();
    }
}

static void tick(void *opaque)
{
    unsigned percent = throttle_get();
    if (!percent) {
        return;
    }
    CPU_FOREACH (cpu) {
        if (cpu->has_thread && !cpu->stop) {
            cpu_run_on_async(cpu, sleep_here, NULL);
        }
    }
    timer_mod(&timer, clock_get_ns(CLOCK_REALTIME_NS) + SLICE_NS + sleep_ns(percent));
}

void throttle_set(unsigned percent)
{
    g_assert(percent < 100);
    if (!initialized) {
        timer_init(&timer, CLOCK_REALTIME_NS, tick, NULL);
        initialized = true;
    }
    bool was_off = !throttle_get();
    __atomic_store_n(&percentage, percent, __ATOMIC_RELAXED);
    if (!percent) {
        timer_del(&timer);
    } else if (was_off) {
        timer_mod(&timer, clock_get_ns(CLOCK_REALTIME_NS));
    }
}
