/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * "kvm-i8259" and "kvm-ioapic": the 8259 pair and the I/O APIC in the kernel. They have the sections of "isa-i8259" and
 * "ioapic"; registers are fetched for a section, and given back after a load and a reset.
 *
 * Migration notes. As in i8259.c and ioapic.c. The kernel keeps the levels of lines apart; devices drive their lines
 * anew when they arrive, before the processors run.
 */
#include "util/osdep.h"

#include "hw/intc/ioapic.h"
#include "hw/intc/kvm-irqchip.h"
#include "target/i386/kvm.h"
#include "util/error.h"

#define PIC_PINS 8

/* ---- 8259 ----------------------------------------------------------------------------------------------------- */

typedef struct KvmPic {
    IsaDevice isa;
    unsigned chip;
    uint8_t last_irr, irr, imr, isr, priority_add, irq_base, read_reg_select, poll, special_mask,
        init_state;
    uint8_t auto_eoi, rotate_on_auto_eoi, special_fully_nested_mode, init4, single_mode, elcr;
} KvmPic;

/* The kernel's struct has the same names but for one. */
#define FOR_EACH_PIC_MEMBER(DO)                                                        \
    DO(last_irr)                                                                       \
    DO(irr) DO(imr) DO(isr) DO(priority_add) DO(irq_base) DO(read_reg_select) DO(poll) \
        DO(special_mask) DO(init_state) DO(auto_eoi) DO(rotate_on_auto_eoi)            \
            DO(special_fully_nested_mode) DO(init4) DO(elcr)

static bool pic_pre_save(void *opaque, GError **error)
{
    KvmPic *s = opaque;
    struct kvm_irqchip chip;

    if (!x86_kvm_get_irqchip(s->chip, &chip, error)) {
        return false;
    }
#define FETCH(member) s->member = chip.chip.pic.member;
    FOR_EACH_PIC_MEMBER(FETCH)
#undef FETCH
    s->single_mode = 0; /* the kernel's pair is always a cascade */
    return true;
}

static bool pic_put(KvmPic *s, GError **error)
{
    struct kvm_irqchip chip = { .chip_id = s->chip };

#define STORE(member) chip.chip.pic.member = s->member;
    FOR_EACH_PIC_MEMBER(STORE)
#undef STORE
    chip.chip.pic.elcr_mask = s->chip == X86_KVM_PIC_MASTER ? 0xf8 : 0xde;
    chip.chip.pic.elcr &= chip.chip.pic.elcr_mask;
    s->elcr = chip.chip.pic.elcr;
    s->single_mode = 0;
    return x86_kvm_set_irqchip(&chip, error);
}

static bool pic_post_load(void *opaque, int version, GError **error)
{
    return pic_put(opaque, error);
}

static void pic_reset(Device *dev)
{
    KvmPic *s = (KvmPic *)dev;
    GError *error = NULL;

#define CLEAR(member) s->member = 0;
    FOR_EACH_PIC_MEMBER(CLEAR)
#undef CLEAR
    if (!pic_put(s, &error)) {
        error_report_gerror(error);
    }
}

static bool init_state_valid(const void *opaque, int64_t value)
{
    return value <= 3;
}

static bool priority_valid(const void *opaque, int64_t value)
{
    return value < PIC_PINS;
}

#define PIC_CHECKED(member, check)                                                           \
    {                                                                                        \
        .name = #member, .offset = offsetof(KvmPic, member), .size = 1, .kind = &vm_kind_u8, \
        .valid = (check)                                                                     \
    }

static const VmState vmstate_pic = {
    .name = "i8259",
    .version = 1,
    .minimum_version = 1,
    .pre_save = pic_pre_save,
    .post_load = pic_post_load,
    .fields = (const VmField[]){ VM_U8(KvmPic, last_irr), VM_U8(KvmPic, irr), VM_U8(KvmPic, imr),
                                 VM_U8(KvmPic, isr), PIC_CHECKED(priority_add, priority_valid),
                                 VM_U8(KvmPic, irq_base), VM_U8(KvmPic, read_reg_select),
                                 VM_U8(KvmPic, poll), VM_U8(KvmPic, special_mask),
                                 PIC_CHECKED(init_state, init_state_valid), VM_U8(KvmPic, auto_eoi),
                                 VM_U8(KvmPic, rotate_on_auto_eoi),
                                 VM_U8(KvmPic, special_fully_nested_mode), VM_U8(KvmPic, init4),
                                 VM_U8(KvmPic, single_mode), VM_U8(KvmPic, elcr), VM_END },
};

static bool needs_kvm(GError **error)
{
    return (kvm_enabled() && kvm_irqchip() == KVM_IRQCHIP_KERNEL) ||
           error_set(error,
                     "this interrupt controller is KVM's: it needs -accel kvm,kernel-irqchip=on");
}

static bool pic_realize(Device *dev, GError **error)
{
    return needs_kvm(error);
}

static const DeviceType kvm_i8259_type = {
    .object = {
        .name = "kvm-i8259",
        .parent = &isa_device_type.object,
        .size = sizeof(KvmPic),
    },
    .not_user_creatable = true,
    .realize = pic_realize,
    .reset = pic_reset,
    .migration = MIGRATES_WITH(vmstate_pic),
};
DEVICE_REGISTER(kvm_i8259_type);

static bool pic_new(IsaBus *bus, unsigned chip, GError **error)
{
    Device *dev = device_new(&kvm_i8259_type);

    ((KvmPic *)dev)->chip = chip;
    if (!device_realize(dev, (Bus *)bus, error)) {
        object_unref(dev);
        return false;
    }
    return true;
}

/* ---- I/O APIC ---------------------------------------------------------------------------------------------------- */

typedef struct KvmIoApic {
    Device device;
    uint8_t id, ioregsel;
    uint32_t irr;
    uint64_t ioredtbl[IOAPIC_PINS];
} KvmIoApic;

#define RED_MASKED (UINT64_C(1) << 16)

static bool ioapic_pre_save(void *opaque, GError **error)
{
    KvmIoApic *s = opaque;
    struct kvm_irqchip chip;

    if (!x86_kvm_get_irqchip(X86_KVM_IOAPIC, &chip, error)) {
        return false;
    }
    s->id = chip.chip.ioapic.id;
    s->ioregsel = chip.chip.ioapic.ioregsel;
    s->irr = chip.chip.ioapic.irr;
    for (unsigned n = 0; n < IOAPIC_PINS; n++) {
        s->ioredtbl[n] = chip.chip.ioapic.redirtbl[n].bits;
    }
    return true;
}

static bool ioapic_put(KvmIoApic *s, GError **error)
{
    struct kvm_irqchip chip = { .chip_id = X86_KVM_IOAPIC };

    chip.chip.ioapic.base_address = IOAPIC_DEFAULT_ADDRESS;
    chip.chip.ioapic.id = s->id;
    chip.chip.ioapic.ioregsel = s->ioregsel;
    chip.chip.ioapic.irr = s->irr;
    for (unsigned n = 0; n < IOAPIC_PINS; n++) {
        chip.chip.ioapic.redirtbl[n].bits = s->ioredtbl[n];
    }
    return x86_kvm_set_irqchip(&chip, error);
}

static bool ioapic_post_load(void *opaque, int version, GError **error)
{
    return ioapic_put(opaque, error);
}

static void ioapic_reset(Device *dev)
{
    KvmIoApic *s = (KvmIoApic *)dev;
    GError *error = NULL;

    s->id = s->ioregsel = 0;
    s->irr = 0;
    for (unsigned n = 0; n < IOAPIC_PINS; n++) {
        s->ioredtbl[n] = RED_MASKED;
    }
    if (!ioapic_put(s, &error)) {
        error_report_gerror(error);
    }
}

static bool ioapic_realize(Device *dev, GError **error)
{
    return needs_kvm(error);
}

static const VmState vmstate_ioapic = {
    .name = "ioapic",
    .version = 3,
    .minimum_version = 3,
    .pre_save = ioapic_pre_save,
    .post_load = ioapic_post_load,
    .fields = (const VmField[]){ VM_U8(KvmIoApic, id), VM_U8(KvmIoApic, ioregsel),
                                 VM_UNUSED_V(8, 2), VM_U32_V(KvmIoApic, irr, 2),
                                 VM_U64_ARRAY(KvmIoApic, ioredtbl, IOAPIC_PINS), VM_END },
};

static const DeviceType kvm_ioapic_type = {
    .object = { .name = "kvm-ioapic", .parent = &device_type.object, .size = sizeof(KvmIoApic) },
    .bus = &system_bus_type,
    .not_user_creatable = true,
    .realize = ioapic_realize,
    .reset = ioapic_reset,
    .migration = MIGRATES_WITH(vmstate_ioapic),
};
DEVICE_REGISTER(kvm_ioapic_type);

/* ---- both -------------------------------------------------------------------------------------------------------- */

/* ISA interrupt 0 is the I/O APIC's pin 2 (as the MADT says), whose own line is the cascade and leads nowhere. */
static bool make_routes(GError **error)
{
    for (unsigned gsi = 0; gsi < IOAPIC_PINS; gsi++) {
        if (gsi < ISA_NUM_IRQS && gsi != 2) {
            kvm_route_set_irqchip(gsi, gsi / PIC_PINS ? X86_KVM_PIC_SLAVE : X86_KVM_PIC_MASTER,
                                  gsi % PIC_PINS);
        }
        if (gsi != 2) {
            kvm_route_set_irqchip(gsi, X86_KVM_IOAPIC, gsi ? gsi : 2);
        }
    }
    return kvm_routes_commit(error);
}

bool kvm_irqchip_new(IsaBus *bus, Object *parent, GError **error)
{
    Device *ioapic;

    if (!pic_new(bus, X86_KVM_PIC_MASTER, error) || !pic_new(bus, X86_KVM_PIC_SLAVE, error) ||
        !make_routes(error)) {
        return false;
    }
    ioapic = device_new(&kvm_ioapic_type);
    if (!object_add_child(parent, "ioapic", &ioapic->object, error) ||
        !device_realize(ioapic, system_bus(), error)) {
        object_unref(ioapic);
        return false;
    }
    return true;
}

void kvm_irqchip_set_gsi(unsigned gsi, int level)
{
    kvm_set_irq(gsi, level);
}
