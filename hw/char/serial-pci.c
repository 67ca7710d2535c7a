/* SPDX-License-Identifier: GPL-2.0-or-later */
/* pci-serial: a 16550A behind PCI, with the registers of the PCI 16550 class in an I/O BAR. */
#include "util/osdep.h"
#include "hw/char/serial.h"
#include "hw/pci/pci.h"
#include "util/error.h"

typedef struct SerialPci {
    PciDevice dev;
    uint8_t prog_if;
    Serial state;
    Irq *irq;
} SerialPci;

static void serial_pci_set_irq(void *opaque, int n, int level)
{
    pci_set_irq(opaque, level);
}

static void serial_pci_reset(PciDevice *dev)
{
    serial_reset(&((SerialPci *)dev)->state);
}

static bool serial_pci_realize(PciDevice *dev, GError **error)
{
    SerialPci *s = (SerialPci *)dev;

    dev->config[PCI_CLASS_PROG] = s->prog_if;
    s->irq = irq_new(serial_pci_set_irq, dev, 0);
    s->state.irq = s->irq;
    serial_realize(&s->state, &dev->device.object);
    pci_set_bar(dev, 0, PCI_BAR_SPACE_IO, s->state.io, SERIAL_PORTS);
    return true;
}

static void serial_pci_unrealize(PciDevice *dev)
{
    SerialPci *s = (SerialPci *)dev;

    serial_unrealize(&s->state);
    irq_free(s->irq);
}

/* Migration notes: the chip's (serial.c). The interrupt's level is in the PCI part. */
static const VmState vmstate_serial_pci = {
    .name = "pci-serial",
    .version = 1,
    .minimum_version = 1,
    .fields =
        (const VmField[]){
            VM_NAMED_STRUCT("dev", SerialPci, dev, vmstate_pci_device, PciDevice),
            VM_STRUCT(SerialPci, state, serial_vmstate, Serial),
            VM_END,
        },
};

static const PciDeviceOps serial_pci_ops = {
    .realize = serial_pci_realize,
    .unrealize = serial_pci_unrealize,
    .reset = serial_pci_reset,
    .vendor_id = 0x1b36,
    .device_id = 0x0002,
    .class_id = 0x0700,
    .revision = 1,
    .interrupt_pin = 1,
};

static const DeviceType serial_pci_type = {
    .object = {
        .name = "pci-serial",
        .parent = &pci_device_type.object,
        .size = sizeof(SerialPci),
        .properties = (const Property[]){
            SERIAL_PROPERTIES(SerialPci, state),
            PROPERTY_UINT8("prog_if", SerialPci, prog_if, "2", NULL),
            {},
        },
    },
    .category = DEVICE_CATEGORY_INPUT,
    .migration = MIGRATES_WITH(vmstate_serial_pci),
    .ops = &serial_pci_ops,
};
DEVICE_REGISTER(serial_pci_type);
