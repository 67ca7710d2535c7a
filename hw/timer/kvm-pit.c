/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * "kvm-pit": the 8254 in the kernel. Ports 0x40…0x43 and 0x61 are answered there; this device is its section and its
 * stopping: the kernel's counters know host time only, so that what they were loaded at moves when the machine was
 * stopped. Section and shapes: hw/timer/i8254.h.
 */
#include "util/osdep.h"

#include <time.h>

#include "accel/kvm/kvm.h"
#include "hw/timer/kvm-pit.h"
#include "system/runstate.h"
#include "util/error.h"

enum { POLICY_DELAY, POLICY_DISCARD };

typedef struct KvmPit {
    PitCommon common;
    int lost_tick_policy;
    bool fresh; /* the struct is newer than the kernel (stopped, loaded, reset) */
    VmStateEntry *state_entry;
} KvmPit;

/* ---- between the kernel and the struct ------------------------------------------------------------------------- */

/* What has to be added to the kernel's times (CLOCK_MONOTONIC) for the virtual clock's. */
static int64_t clock_offset(void)
{
    struct timespec ts;

    clock_gettime(CLOCK_MONOTONIC, &ts);
    return clock_get_ns(CLOCK_VIRTUAL) - (ts.tv_sec * NS_PER_SEC + ts.tv_nsec);
}

#define FOR_EACH_MEMBER(DO)                                                          \
    DO(count)                                                                        \
    DO(latched_count) DO(count_latched) DO(status_latched) DO(status) DO(read_state) \
        DO(write_state) DO(write_latch) DO(rw_mode) DO(mode) DO(bcd) DO(gate)

static bool fetch(KvmPit *s, GError **error)
{
    struct kvm_pit_state2 state;
    int64_t offset = clock_offset();
    int r;

    if (s->fresh) {
        return true;
    }
    r = kvm_vm_ioctl(KVM_GET_PIT2, &state);
    if (r < 0) {
        return error_set_errno(error, -r, "KVM_GET_PIT2");
    }
    for (unsigned n = 0; n < PIT_CHANNELS; n++) {
        const struct kvm_pit_channel_state *from = &state.channels[n];
        PitChannel *to = &s->common.channels[n];

#define FETCH(member) to->member = from->member;
        FOR_EACH_MEMBER(FETCH)
#undef FETCH
        to->count = to->count ? to->count : 0x10000;
        to->count_load_time = MAX(from->count_load_time + offset, 0);
        to->next_transition_time = -1;
    }
    s->common.channels[0].irq_disabled = state.flags & KVM_PIT_FLAGS_HPET_LEGACY;
    s->common.speaker_on = state.flags & KVM_PIT_FLAGS_SPEAKER_DATA_ON;
    return true;
}

static bool store(KvmPit *s, GError **error)
{
    struct kvm_pit_state2 state = {
        .flags = (s->common.channels[0].irq_disabled ? KVM_PIT_FLAGS_HPET_LEGACY : 0) |
                 (s->common.speaker_on ? KVM_PIT_FLAGS_SPEAKER_DATA_ON : 0),
    };
    int64_t offset = clock_offset();
    int r;

    for (unsigned n = 0; n < PIT_CHANNELS; n++) {
        const PitChannel *from = &s->common.channels[n];
        struct kvm_pit_channel_state *to = &state.channels[n];

#define STORE(member) to->member = from->member;
        FOR_EACH_MEMBER(STORE)
#undef STORE
        to->count_load_time = from->count_load_time - offset;
    }
    r = kvm_vm_ioctl(KVM_SET_PIT2, &state);
    return r >= 0 || error_set_errno(error, -r, "KVM_SET_PIT2");
}

static void change(KvmPit *s)
{
    GError *error = NULL;

    if (!s->fresh && !store(s, &error)) {
        error_report_gerror(error);
    }
}

static void look(KvmPit *s)
{
    GError *error = NULL;

    if (!fetch(s, &error)) {
        error_report_gerror(error);
    }
}

static void run_state_changed(void *opaque, bool running, VmRunState state)
{
    KvmPit *s = opaque;

    if (running) {
        s->fresh = false;
        change(s);
    } else {
        look(s);
        s->fresh = true;
    }
}

/* ---- pins and the speaker ------------------------------------------------------------------------------------------ */

static void kvm_pit_set_gate(PitCommon *pit, unsigned channel, bool level)
{
    KvmPit *s = (KvmPit *)pit;
    PitChannel *c = &pit->channels[channel];

    look(s);
    if (level && !c->gate && c->mode != 0 && c->mode != 4) {
        c->count_load_time = clock_get_ns(CLOCK_VIRTUAL); /* a rising edge starts the count anew */
    }
    c->gate = level;
    change(s);
}

/* Output pin after so many ticks (8254 data sheet, mode definitions). */
static bool output(const PitChannel *c, uint64_t ticks)
{
    uint64_t count = c->count;

    switch (c->mode) {
    case 0:
        return ticks >= count;
    case 1:
        return ticks < count;
    case 2:
        return ticks && ticks % count == 0;
    case 3:
        return ticks % count < (count + 1) / 2;
    default:
        return ticks == count;
    }
}

static void kvm_pit_channel_info(PitCommon *pit, unsigned channel, PitChannelInfo *info)
{
    const PitChannel *c = &pit->channels[channel];
    int64_t ns;

    look((KvmPit *)pit);
    ns = MAX(clock_get_ns(CLOCK_VIRTUAL) - c->count_load_time, 0);
    *info = (PitChannelInfo){
        .gate = c->gate,
        .out = output(c, (uint64_t)ns / NS_PER_MS * PIT_FREQUENCY / 1000),
        .mode = c->mode,
        .initial_count = c->count,
    };
}

static const PitOps kvm_pit_ops = { kvm_pit_set_gate, kvm_pit_channel_info };

/* The HPET replaces channel 0's interrupt. */
static void irq_control(void *opaque, int n, int level)
{
    KvmPit *s = opaque;

    look(s);
    s->common.channels[0].irq_disabled = !level;
    change(s);
}

/* ---- life cycle ------------------------------------------------------------------------------------------------------ */

static void kvm_pit_reset(Device *dev)
{
    KvmPit *s = (KvmPit *)dev;
    GError *error = NULL;

    pit_reset_channels(&s->common, clock_get_ns(CLOCK_VIRTUAL));
    s->common.channels[0].irq_disabled = 0;
    s->common.speaker_on = false;
    if (!store(s, &error)) {
        error_report_gerror(error);
    }
}

/* The kernel answers port 0x61 too, whose bits follow from its counters. */
static bool create(GError **error)
{
    struct kvm_pit_config config = { .flags = KVM_PIT_SPEAKER_DUMMY };
    int r = kvm_vm_ioctl(KVM_CREATE_PIT2, &config);

    return r >= 0 || error_set_errno(error, -r, "KVM_CREATE_PIT2");
}

static bool set_policy(const KvmPit *s, GError **error)
{
    struct kvm_reinject_control control = { .pit_reinject = s->lost_tick_policy == POLICY_DELAY };
    int r;

    if (s->lost_tick_policy == POLICY_DELAY && !kvm_check_extension(KVM_CAP_REINJECT_CONTROL)) {
        return true; /* kernels that cannot be told do that */
    }
    r = kvm_vm_ioctl(KVM_REINJECT_CONTROL, &control);
    return r >= 0 ||
           error_set_errno(
               error, -r,
               "kvm-pit: this kernel cannot set lost_tick_policy (KVM_CAP_REINJECT_CONTROL)");
}

static bool kvm_pit_realize(Device *dev, GError **error)
{
    KvmPit *s = (KvmPit *)dev;

    if (!kvm_enabled() || kvm_irqchip() != KVM_IRQCHIP_KERNEL) {
        return error_set(error, "this timer is KVM's: it needs -accel kvm,kernel-irqchip=on");
    }
    if (!create(error) || !set_policy(s, error)) {
        return false;
    }
    device_init_gpio_in(dev, NULL, irq_control, 1);
    s->common.has_speaker = true;
    s->fresh = true;
    s->state_entry = vm_state_add_handler(run_state_changed, s, 0);
    return true;
}

static void kvm_pit_unrealize(Device *dev)
{
    vm_state_del_handler(((KvmPit *)dev)->state_entry);
}

/*
 * Migration notes. The counters are read when the machine stops, so that the time between then and the section does
 * not count; they go to the kernel when it starts again. The kernel begins channel 0's period anew at that moment. The bit of
 * port 61h is in the section of "isa-pcspk".
 */
static bool kvm_pit_pre_save(void *opaque, GError **error)
{
    return fetch(opaque, error);
}

static bool kvm_pit_post_load(void *opaque, int version, GError **error)
{
    KvmPit *s = opaque;

    return pit_check_channels(&s->common, error) && store(s, error);
}

static const VmState vmstate_kvm_pit = {
    .name = "i8254",
    .version = 3,
    .minimum_version = 2,
    .pre_save = kvm_pit_pre_save,
    .post_load = kvm_pit_post_load,
    .fields = pit_common_fields,
};

static const PropertyEnum policies[] = {
    { "LostTickPolicy", "delay", POLICY_DELAY },
    { NULL, "discard", POLICY_DISCARD },
    {},
};

static const DeviceType kvm_pit_type = {
    .object = {
        .name = "kvm-pit",
        .parent = &pit_common_type.object,
        .size = sizeof(KvmPit),
        .properties = (const Property[]){
            PROPERTY_ENUM("lost_tick_policy", KvmPit, lost_tick_policy, policies, "delay", NULL),
            {}
        },
    },
    .not_user_creatable = true,
    .realize = kvm_pit_realize,
    .unrealize = kvm_pit_unrealize,
    .reset = kvm_pit_reset,
    .migration = MIGRATES_WITH(vmstate_kvm_pit),
    .ops = &kvm_pit_ops,
};
DEVICE_REGISTER(kvm_pit_type);

PitCommon *kvm_pit_new(IsaBus *bus, GError **error)
{
    return (PitCommon *)isa_create(bus, kvm_pit_type.object.name, error);
}
