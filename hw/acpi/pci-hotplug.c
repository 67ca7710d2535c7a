/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * PCI hot plug by ACPI ("QEMU <-> ACPI BIOS PCI hotplug interface"): double words at the base that the chip set gives them.
 *
 *   0  slots with a new device, of the selected bus; cleared by reading     4  slots to be ejected
 *   8  write: slots that the guest has let go of                            C  slots that can be ejected
 *  10  bus                                                                  14  write: slot, read: its acpi-index
 */
#include "util/osdep.h"
#include "eject.h"

#include "hw/acpi/hotplug.h"
#include "util/error.h"
#include "util/trace.h"

TRACE_EVENT(acpi_pci_up_read)
TRACE_EVENT(acpi_pci_down_read)
TRACE_EVENT(acpi_pci_ej_write)
TRACE_EVENT(acpi_pci_sel_write)
TRACE_EVENT(acpi_pci_eject_slot)

enum {
    REG_UP = 0x0,
    REG_DOWN = 0x4,
    REG_EJECT = 0x8,
    REG_REMOVABLE = 0xc,
    REG_SELECT = 0x10,
    REG_INDEX = 0x14
};

static bool removable(const PciDevice *dev)
{
    const DeviceType *type = device_get_type(&dev->device);

    return device_type_hotpluggable(type) && device_type_user_creatable(type);
}

static uint32_t slot_bit(const PciDevice *dev)
{
    return 1u << PCI_SLOT(dev->devfn);
}

/* Slots without a device that cannot go. A bus that does not exist has none. */
static uint32_t removable_slots(const AcpiPciHotplug *hp)
{
    uint32_t slots = UINT32_MAX;

    for (GList *l = hp->select == 0 ? ((Bus *)hp->bus)->devices.head : NULL; l; l = l->next) {
        if (!removable(l->data)) {
            slots &= ~slot_bit(l->data);
        }
    }
    return slots;
}

/* Takes away the first device in the slot that can go; false if there is none. */
static bool eject_one(AcpiPciHotplug *hp, unsigned slot)
{
    for (GList *l = ((Bus *)hp->bus)->devices.head; l; l = l->next) {
        PciDevice *dev = l->data;

        if (PCI_SLOT(dev->devfn) == slot && removable(dev)) {
            device_unrealize(&dev->device);
            return true;
        }
    }
    return false;
}

/* All functions of the slots; bus 0 is the only one. */
static void eject(AcpiPciHotplug *hp, uint32_t slots)
{
    for (unsigned slot = 0; slot < 32; slot++) {
        if (slots >> slot & 1) {
            trace(acpi_pci_eject_slot, "bsel: 0 slot: %u", slot);
            while (eject_one(hp, slot)) {
            }
        }
    }
    hp->slots[0].down &= ~slots;
    hp->slots[0].up &= ~slots;
}

static void guest_ejects(void *opaque, uint32_t slots)
{
    eject(opaque, slots);
}

static void find_index(AcpiPciHotplug *hp, uint32_t slots)
{
    PciDevice *dev = NULL;

    if (hp->select == 0 && slots) {
        dev = pci_bus_find(hp->bus, PCI_DEVFN(__builtin_ctz(slots), 0));
    }
    hp->acpi_index = dev ? dev->acpi_index : 0;
}

static uint64_t hotplug_read(void *opaque, hwaddr offset, unsigned size)
{
    AcpiPciHotplug *hp = opaque;
    AcpiPciSlots *slots;
    uint32_t value;

    if (hp->select >= ACPI_PCI_HOTPLUG_BUSES) {
        return 0;
    }
    slots = &hp->slots[hp->select];
    switch (offset) {
    case REG_UP:
        value = slots->up;
        slots->up = 0;
        trace(acpi_pci_up_read, "%" PRIu32, value);
        return value;
    case REG_DOWN:
        trace(acpi_pci_down_read, "%" PRIu32, slots->down);
        return slots->down;
    case REG_REMOVABLE:
        return removable_slots(hp);
    case REG_SELECT:
        return hp->select;
    case REG_INDEX:
        return hp->acpi_index;
    default:
        return 0;
    }
}

static void hotplug_write(void *opaque, hwaddr offset, uint64_t value, unsigned size)
{
    AcpiPciHotplug *hp = opaque;

    switch (offset) {
    case REG_EJECT:
        trace(acpi_pci_ej_write, "0x%" PRIx64 " <== %" PRIu64, (uint64_t)offset, value);
        if (hp->select == 0) {
            acpi_eject(guest_ejects, hp, value);
        }
        break;
    case REG_SELECT:
        trace(acpi_pci_sel_write, "0x%" PRIx64 " <== %" PRIu64, (uint64_t)offset, value);
        hp->select = value;
        break;
    case REG_INDEX:
        find_index(hp, value);
        break;
    }
}

static const MemoryOps hotplug_ops = {
    .read = hotplug_read,
    .write = hotplug_write,
    .valid = { .min_size = 4, .max_size = 4 },
    .impl = { .min_size = 4, .max_size = 4 },
};

/* ---- plugging ---------------------------------------------------------------------------------------------------- */

/* The guest looks at a slot when its function 0 comes: others have to be there then. */
static void plugged(void *opaque, PciDevice *dev)
{
    AcpiPciHotplug *hp = opaque;

    if (PCI_FUNCTION(dev->devfn) == 0) {
        hp->slots[0].up |= slot_bit(dev);
        acpi_pm_raise_gpe(hp->pm, ACPI_GPE_PCI_HOTPLUG);
    }
}

static bool unplug_request(void *opaque, PciDevice *dev, GError **error)
{
    AcpiPciHotplug *hp = opaque;

    hp->slots[0].down |= slot_bit(dev);
    acpi_pm_raise_gpe(hp->pm, ACPI_GPE_PCI_HOTPLUG);
    return true;
}

static const PciHotplugOps bus_ops = { .plugged = plugged, .unplug_request = unplug_request };

void acpi_pci_hotplug_init(AcpiPciHotplug *hp, Object *owner, PciBus *bus, uint16_t port, AcpiPm *pm)
{
    hp->pm = pm;
    hp->bus = bus;
    hp->ports =
        memory_region_new_io(owner, &hotplug_ops, hp, "acpi-pci-hotplug", ACPI_PCI_HOTPLUG_SIZE);
    memory_region_map(system_io(), port, hp->ports);
    pci_bus_set_hotplug(bus, &bus_ops, hp);
}

void acpi_pci_hotplug_cleanup(AcpiPciHotplug *hp)
{
    if (hp->bus) {
        pci_bus_set_hotplug(hp->bus, NULL, NULL);
    }
    memory_region_free(hp->ports);
}

void acpi_pci_hotplug_reset(AcpiPciHotplug *hp)
{
    if (hp->bus) {
        eject(hp, hp->slots[0].down);
    }
    memset(hp->slots, 0, sizeof(hp->slots));
    hp->select = 0;
    hp->acpi_index = 0;
}

const VmState vmstate_acpi_pci_bridge_slots = {
    .name = "acpi_pcihp_pci_status",
    .version = 1,
    .minimum_version = 1,
    .fields = (const VmField[]){ VM_U32(AcpiPciSlots, up), VM_U32(AcpiPciSlots, down), VM_END },
};

/* The elements of stock's PIIX4 have a test, so that the description lists each. */
static bool always(const void *opaque, int version)
{
    return true;
}

const VmState vmstate_acpi_pci_slots = {
    .name = "acpi_pcihp_pci_status",
    .version = 1,
    .minimum_version = 1,
    .fields =
        (const VmField[]){ VM_SCALAR_FULL(u32, uint32_t, AcpiPciSlots, up, 0, always),
                           VM_SCALAR_FULL(u32, uint32_t, AcpiPciSlots, down, 0, always), VM_END },
};
