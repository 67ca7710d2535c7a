/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * 82371SB (PIIX3) function 0, the PCI-to-ISA bridge (Intel 82371FB/82371SB data sheet, order number 290550):
 * the PIRQ route control registers and the reset control register (CF9h).
 */
#include "util/osdep.h"
#include "hw/isa/piix3.h"
#include "hw/isa/i8257.h"
#include "system/runstate.h"
#include "util/error.h"

#define PIIX_PIRQC 0x60       /* four route control registers */
#define PIIX_PIRQ_DISABLED 0x80
#define PIIX_NUM_PIRQS 4
#define RESET_CONTROL_PORT 0xcf9
#define RCR_HARD 0x02
#define RCR_RESET 0x04

typedef struct Piix3 {
    PciDevice pci;
    int32_t pirq_levels[PIIX_NUM_PIRQS]; /* scratch of the description below */
    uint8_t rcr;
    uint16_t driven;                     /* ISA lines that a PIRQ holds up; the others belong to ISA devices */
    Irq **lines;
    IsaBus *isa;
    MemoryRegion *reset_control;
} Piix3;

/* ---- interrupt routing ---------------------------------------------------------------------------------------- */

/* Interrupt pins are wired so that neighbouring slots start at neighbouring PIRQ lines. */
static int piix3_map_irq(void *opaque, int devfn, int pin)
{
    return (PCI_SLOT(devfn) - 1 + pin) & 3;
}

/* The ISA line of a PIRQ, -1 if it goes nowhere. */
static int piix3_route(const Piix3 *s, int pirq)
{
    uint8_t route = s->pci.config[PIIX_PIRQC + pirq];

    return route & PIIX_PIRQ_DISABLED ? -1 : route & 0xf;
}

/* A line is raised while any PIRQ routed to it is. Lines that no PIRQ touches are not driven. */
static void piix3_update_lines(Piix3 *s)
{
    uint16_t wanted = 0, changed;

    for (int pirq = 0; pirq < PIIX_NUM_PIRQS; pirq++) {
        int line = piix3_route(s, pirq);

        if (line >= 0 && pci_bus_line_level(pci_device_bus(&s->pci), pirq)) {
            wanted |= 1u << line;
        }
    }
    changed = wanted ^ s->driven;
    s->driven = wanted;
    for (int line = 0; line < ISA_NUM_IRQS; line++) {
        if (changed >> line & 1) {
            irq_set(s->lines[line], wanted >> line & 1);
        }
    }
}

static void piix3_set_irq(void *opaque, int pirq, int level)
{
    piix3_update_lines(opaque);
}

static void piix3_config_written(PciDevice *pci, unsigned addr, unsigned len)
{
    if (addr < PIIX_PIRQC + PIIX_NUM_PIRQS && addr + len > PIIX_PIRQC) {
        piix3_update_lines((Piix3 *)pci);
    }
}

/* ---- reset control ---------------------------------------------------------------------------------------------- */

static uint64_t rcr_read(void *opaque, hwaddr offset, unsigned size)
{
    return ((Piix3 *)opaque)->rcr;
}

static void rcr_write(void *opaque, hwaddr offset, uint64_t value, unsigned size)
{
    Piix3 *s = opaque;

    if (value & RCR_RESET) {
        vm_request_reset(VM_SHUTDOWN_GUEST_RESET);
        return;
    }
    s->rcr = value & RCR_HARD;
}

static const MemoryOps rcr_ops = {
    .read = rcr_read,
    .write = rcr_write,
    .impl = { .min_size = 1, .max_size = 1 },
};

/* ---- life cycle --------------------------------------------------------------------------------------------------- */

/* Values of the data sheet's register table, and of the bits that the board straps. */
static const struct {
    uint8_t reg, value;
} reset_values[] = {
    { 0x4c, 0x4d }, { 0x4e, 0x03 }, { 0x60, 0x80 }, { 0x61, 0x80 }, { 0x62, 0x80 }, { 0x63, 0x80 },
    { 0x69, 0x02 }, { 0x70, 0x80 }, { 0x76, 0x0c }, { 0x77, 0x0c }, { 0x78, 0x02 }, { 0xa0, 0x08 },
    { 0xa8, 0x0f },
};

static void piix3_reset(PciDevice *pci)
{
    Piix3 *s = (Piix3 *)pci;

    memset(pci->config + 0x40, 0, PCI_CONFIG_SIZE - 0x40);
    for (size_t i = 0; i < G_N_ELEMENTS(reset_values); i++) {
        pci->config[reset_values[i].reg] = reset_values[i].value;
    }
    pci->config[PCI_STATUS + 1] = PCI_STATUS_DEVSEL_MEDIUM >> 8;
    s->rcr = 0;
    piix3_update_lines(s);
}

static bool piix3_realize(PciDevice *pci, GError **error)
{
    Piix3 *s = (Piix3 *)pci;

    s->isa = isa_bus_new(&pci->device, system_memory(), system_io());
    if (!i8257_pair_new(s->isa, error)) {
        return false;
    }
    s->reset_control = memory_region_new_io(&pci->device.object, &rcr_ops, s, "piix3-reset-control", 1);
    memory_region_map_overlap(system_io(), RESET_CONTROL_PORT, s->reset_control, 1);
    pci_bus_set_irq_router(pci_device_bus(pci), piix3_map_irq, piix3_set_irq, s, PIIX_NUM_PIRQS);
    piix3_reset(pci);
    return true;
}

static void piix3_unrealize(PciDevice *pci)
{
    memory_region_free(((Piix3 *)pci)->reset_control);
}

/*
 * Migration notes. Routing is in the configuration space. The levels of the PIRQ lines are in the stream because
 * they always were; they follow from the devices' pins, which arrive later and raise their lines then. A line
 * raised again finds the interrupt controller with that input raised already, so nothing happens twice.
 */
static bool piix3_pre_save(void *opaque, GError **error)
{
    Piix3 *s = opaque;

    for (int pirq = 0; pirq < PIIX_NUM_PIRQS; pirq++) {
        s->pirq_levels[pirq] = pci_bus_line_level(pci_device_bus(&s->pci), pirq);
    }
    return true;
}

/* A subsection that does not come means the value after a reset. */
static bool piix3_pre_load(void *opaque, GError **error)
{
    ((Piix3 *)opaque)->rcr = 0;
    return true;
}

static bool piix3_post_load(void *opaque, int version, GError **error)
{
    piix3_update_lines(opaque);
    return true;
}

static bool rcr_needed(const void *opaque)
{
    return ((const Piix3 *)opaque)->rcr != 0;
}

static const VmState vmstate_piix3_rcr = {
    .name = "PIIX3/rcr",
    .version = 1,
    .minimum_version = 1,
    .needed = rcr_needed,
    .fields = (const VmField[]){
        VM_U8(Piix3, rcr),
        VM_END
    },
};

static const VmState vmstate_piix3 = {
    .name = "PIIX3",
    .version = 3,
    .minimum_version = 3,
    .pre_save = piix3_pre_save,
    .pre_load = piix3_pre_load,
    .post_load = piix3_post_load,
    .fields = (const VmField[]){
        { .name = "dev", .offset = offsetof(Piix3, pci), .size = sizeof(PciDevice),
          .vmstate = &vmstate_pci_device },
        { .name = "pci_irq_levels_vmstate", .offset = offsetof(Piix3, pirq_levels), .size = sizeof(int32_t),
          .num = PIIX_NUM_PIRQS, .shape = VM_ARRAY, .kind = &vm_kind_i32, .version = 3 },
        VM_END
    },
    .subsections = (const VmState *const[]){ &vmstate_piix3_rcr, NULL },
};

static const PciDeviceOps piix3_ops = {
    .vendor_id = PCI_VENDOR_INTEL,
    .device_id = 0x7000,
    .class_id = 0x0601,
    .realize = piix3_realize,
    .unrealize = piix3_unrealize,
    .reset = piix3_reset,
    .config_written = piix3_config_written,
};

static const DeviceType piix3_type = {
    .object = {
        .name = "PIIX3",
        .parent = &pci_device_type.object,
        .size = sizeof(Piix3),
        .description = "ISA bridge",
    },
    .category = DEVICE_CATEGORY_BRIDGE,
    .not_user_creatable = true,
    .not_hotpluggable = true,
    .migration = MIGRATES_WITH(vmstate_piix3),
    .ops = &piix3_ops,
};
DEVICE_REGISTER(piix3_type);

IsaBus *piix3_new(PciBus *bus, Irq **lines, GError **error)
{
    Piix3 *s = (Piix3 *)device_new(&piix3_type);

    s->lines = lines;
    s->pci.devfn = PCI_DEVFN(1, 0);
    s->pci.multifunction = true;
    if (!device_realize(&s->pci.device, (Bus *)bus, error)) {
        object_unref(s);
        return NULL;
    }
    isa_bus_connect_irqs(s->isa, lines);
    return s->isa;
}
