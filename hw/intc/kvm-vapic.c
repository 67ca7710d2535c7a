/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * "kvmvapic": the state of stock's patching of 32-bit Windows guests that write the task priority register often. A
 * processor with a local APIC has its section ("kvm-tpr-opt") in every stream. Nothing is patched here: the section is
 * that of a machine whose guest was not patched, and it carries what came along for stock's sake.
 *
 * Migration notes. A guest whose code was patched cannot go on without the handlers' shared page: a stream with that
 * state is refused.
 */
#include "util/osdep.h"

#include "apic-internal.h"
#include "util/error.h"

enum { VAPIC_INACTIVE, VAPIC_ACTIVE, VAPIC_STANDBY };

typedef struct VapicHandlers {
    uint32_t set_tpr, set_tpr_eax, get_tpr[8], get_tpr_stack;
} VapicHandlers;

typedef struct VapicRom {
    uint32_t vaddr, fixup_start, fixup_end, vapic_vaddr, vapic_size, vcpu_shift, real_tpr_addr;
    VapicHandlers up, mp;
} VapicRom;

typedef struct Vapic {
    Device device;
    VapicRom rom_state;
    uint32_t state, real_tpr_addr, rom_state_vaddr, vapic_paddr, rom_state_paddr;
} Vapic;

static const VmState vmstate_handlers = {
    .name = "kvmvapic-handlers",
    .version = 1,
    .minimum_version = 1,
    .fields = (const VmField[]){ VM_U32(VapicHandlers, set_tpr), VM_U32(VapicHandlers, set_tpr_eax),
                                 VM_U32_ARRAY(VapicHandlers, get_tpr, 8),
                                 VM_U32(VapicHandlers, get_tpr_stack), VM_END },
};

static const VmState vmstate_rom = {
    .name = "kvmvapic-guest-rom",
    .version = 1,
    .minimum_version = 1,
    .fields = (const VmField[]){ VM_UNUSED(8), /* a signature */
                                 VM_U32(VapicRom, vaddr), VM_U32(VapicRom, fixup_start),
                                 VM_U32(VapicRom, fixup_end), VM_U32(VapicRom, vapic_vaddr),
                                 VM_U32(VapicRom, vapic_size), VM_U32(VapicRom, vcpu_shift),
                                 VM_U32(VapicRom, real_tpr_addr),
                                 VM_STRUCT(VapicRom, up, vmstate_handlers, VapicHandlers),
                                 VM_STRUCT(VapicRom, mp, vmstate_handlers, VapicHandlers), VM_END },
};

static bool vapic_post_load(void *opaque, int version, GError **error)
{
    const Vapic *s = opaque;

    return s->state != VAPIC_ACTIVE ||
           error_set(
               error,
               "the guest's accesses to the task priority register were patched by the other side "
               "(kvmvapic), which cannot go on here");
}

static bool state_valid(const void *opaque, int64_t value)
{
    return value <= VAPIC_STANDBY;
}

static const VmState vmstate_vapic = {
    .name = "kvm-tpr-opt",
    .version = 1,
    .minimum_version = 1,
    .post_load = vapic_post_load,
    .fields = (const VmField[]){ VM_STRUCT(Vapic, rom_state, vmstate_rom, VapicRom),
                                 { .name = "state",
                                   .offset = offsetof(Vapic, state),
                                   .size = 4,
                                   .kind = &vm_kind_u32,
                                   .valid = state_valid },
                                 VM_U32(Vapic, real_tpr_addr),
                                 VM_U32(Vapic, rom_state_vaddr),
                                 VM_U32(Vapic, vapic_paddr),
                                 VM_U32(Vapic, rom_state_paddr),
                                 VM_END },
};

static void vapic_reset(Device *dev)
{
    Vapic *s = (Vapic *)dev;

    s->state = VAPIC_INACTIVE;
    s->real_tpr_addr = s->rom_state_vaddr = s->vapic_paddr = s->rom_state_paddr = 0;
    memset(&s->rom_state, 0, sizeof(s->rom_state));
}

static bool vapic_realize(Device *dev, GError **error)
{
    return true;
}

static const DeviceType vapic_type = {
    .object = { .name = "kvmvapic", .parent = &device_type.object, .size = sizeof(Vapic) },
    .bus = &system_bus_type,
    .not_user_creatable = true,
    .realize = vapic_realize,
    .reset = vapic_reset,
    .migration = MIGRATES_WITH(vmstate_vapic),
};
DEVICE_REGISTER(vapic_type)

bool kvm_vapic_ensure(GError **error)
{
    static bool made;
    Device *dev;

    if (made) {
        return true;
    }
    dev = device_new(&vapic_type);
    made = device_realize(dev, system_bus(), error);
    if (!made) {
        object_unref(dev);
    }
    return made;
}
