/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The guest's clock, section "timer": the first of the sections that are sent in one piece. */
#include "util/osdep.h"
#include "sections.h"

#include "util/clock.h"
#include "util/error.h"

typedef struct ClockState {
    int64_t ticks_offset; /* of the TSC, where the accelerator has one of its own: handed through */
    int64_t virtual_ns;
} ClockState;

static ClockState clock_state;

static bool clock_pre_save(void *opaque, GError **error)
{
    clock_state.virtual_ns = clock_virtual_get_for_save();
    return true;
}

static bool clock_post_load(void *opaque, int version, GError **error)
{
    if (clock_state.virtual_ns < 0 || clock_state.virtual_ns > INT64_MAX / 2) { /* it has to go on from there */
        return error_set(error, "the guest's clock cannot be at %" PRId64, clock_state.virtual_ns);
    }
    clock_virtual_set(clock_state.virtual_ns);
    return true;
}

static const VmState vm_clock = {
    .name = "timer",
    .version = 2,
    .minimum_version = 1,
    .pre_save = clock_pre_save,
    .post_load = clock_post_load,
    .fields =
        (const VmField[]){
            VM_NAMED("cpu_ticks_offset", i64, int64_t, ClockState, ticks_offset),
            VM_UNUSED(8),
            VM_NAMED_V("cpu_clock_offset", i64, int64_t, ClockState, virtual_ns, 2),
            VM_END,
        },
};

void clock_section_register(void)
{
    vmstate_register("timer", 0, &vm_clock, &clock_state);
}
