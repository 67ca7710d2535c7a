/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * "kvmclock": the nanoseconds that the paravirtual clock (Linux, Documentation/virt/kvm/x86/msr.rst) tells the guest.
 * It stands while the machine is stopped; processors are told that they were stopped, so that the guest's watchdogs
 * do not bark.
 *
 * Migration notes. As with stock, the clock of the section is the one of the moment in which it is written, not the
 * one at which the machine stopped for it: what passes until then is time that the guest sees pass. A machine that was
 * paused before keeps the clock of that moment.
 */
#include "util/osdep.h"

#include "accel/kvm/kvm.h"
#include "pc-cpu.h"
#include "system/runstate.h"
#include "util/error.h"

typedef struct KvmClock {
    Device device;
    uint64_t clock;
    bool clock_is_reliable; /* the host's KVM gives what the guest would read */
    bool stopped;           /* `clock` waits to be given to the kernel */
    bool final; /* and is the one to migrate: the machine was paused, or it came by migration */
    VmStateEntry *state_entry;
} KvmClock;

static bool read_clock(KvmClock *s, GError **error)
{
    struct kvm_clock_data data = { 0 };
    int r = kvm_vm_ioctl(KVM_GET_CLOCK, &data);

    if (r < 0) {
        return error_set_errno(error, -r, "KVM_GET_CLOCK");
    }
    s->clock = data.clock;
    return true;
}

static bool write_clock(const KvmClock *s, GError **error)
{
    struct kvm_clock_data data = { .clock = s->clock };
    int r = kvm_vm_ioctl(KVM_SET_CLOCK, &data);

    return r >= 0 || error_set_errno(error, -r, "KVM_SET_CLOCK");
}

static void run_state_changed(void *opaque, bool running, VmRunState state)
{
    KvmClock *s = opaque;
    GError *error = NULL;

    if (!running) {
        s->stopped = read_clock(s, &error);
        s->final = s->stopped && state != VM_FINISH_MIGRATE;
    } else if (s->stopped) {
        write_clock(s, &error);
        s->stopped = s->final = false;
        if (kvm_check_extension(KVM_CAP_KVMCLOCK_CTRL)) {
            CPU_FOREACH(cpu)
            {
                kvm_vcpu_ioctl(cpu, KVM_KVMCLOCK_CTRL,
                               NULL); /* EINVAL: this guest has no such clock */
            }
        }
    }
    if (error) {
        error_report_gerror(error);
    }
}

static bool clock_pre_save(void *opaque, GError **error)
{
    KvmClock *s = opaque;

    return s->final || read_clock(s, error);
}

static bool clock_pre_load(void *opaque, GError **error)
{
    ((KvmClock *)opaque)->clock_is_reliable = false;
    return true;
}

static bool clock_post_load(void *opaque, int version, GError **error)
{
    KvmClock *s = opaque;

    s->stopped = s->final = true; /* is given to the kernel when the machine starts */
    return true;
}

static bool reliable_needed(const void *opaque)
{
    return ((const KvmClock *)opaque)->clock_is_reliable;
}

static const VmState vmstate_reliable = {
    .name = "kvmclock/clock_is_reliable",
    .version = 1,
    .minimum_version = 1,
    .needed = reliable_needed,
    .fields = (const VmField[]){ VM_BOOL(KvmClock, clock_is_reliable), VM_END },
};

static const VmState vmstate_kvmclock = {
    .name = "kvmclock",
    .version = 1,
    .minimum_version = 1,
    .pre_save = clock_pre_save,
    .pre_load = clock_pre_load,
    .post_load = clock_post_load,
    .fields = (const VmField[]){ VM_U64(KvmClock, clock), VM_END },
    .subsections = (const VmState *const[]){ &vmstate_reliable, NULL },
};

static bool clock_realize(Device *dev, GError **error)
{
    KvmClock *s = (KvmClock *)dev;

    if (!kvm_enabled()) {
        return error_set(error, "kvmclock device requires KVM");
    }
    s->clock_is_reliable = kvm_check_extension(KVM_CAP_ADJUST_CLOCK) & KVM_CLOCK_TSC_STABLE;
    s->state_entry =
        vm_state_add_handler(run_state_changed, s, -10); /* before timers that compare with it */
    return true;
}

static void clock_unrealize(Device *dev)
{
    vm_state_del_handler(((KvmClock *)dev)->state_entry);
}

static const DeviceType kvm_clock_type = {
    .object = { .name = "kvmclock", .parent = &device_type.object, .size = sizeof(KvmClock) },
    .bus = &system_bus_type,
    .not_user_creatable = true,
    .realize = clock_realize,
    .unrealize = clock_unrealize,
    .migration = MIGRATES_WITH(vmstate_kvmclock),
};
DEVICE_REGISTER(kvm_clock_type)

bool kvm_clock_new(GError **error)
{
    Device *dev = device_new(&kvm_clock_type);

    if (!device_realize(dev, system_bus(), error)) {
        object_unref(dev);
        return false;
    }
    return true;
}
