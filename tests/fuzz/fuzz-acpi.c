/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What a guest can do to fw_cfg and to the PIIX4's power management: all registers in all widths, DMA commands in memory, time,
 * with devices that come and go, resets and moves in between. Whatever it is, nothing crashes, and a state that was
 * saved can be loaded and saves the same again.
 *
 * The input is a list of steps: a byte that says what, then its arguments; see do_step().
 */
#include "util/osdep.h"

#include "fuzz-input.h"
#include "fuzz-pci.h"
#include "fuzz.h"
#include "hw/acpi/piix4.h"
#include "hw/nvram/fw_cfg.h"
#include "util/bytes.h"
#include "util/clock.h"

#define COMMAND 0x8000
#define PM_BASE 0x600
#define MAX_STEPS 400
#define CPUS 5

static const PciDeviceOps card_ops = { .vendor_id = 0x1234, .device_id = 1, .class_id = 0xff00 };
static const DeviceType card_type = {
    .object = { .name = "fuzz-card", .parent = &pci_device_type.object, .size = sizeof(PciDevice) },
    .migration = STATELESS("part of a test"),
    .ops = &card_ops,
};
DEVICE_REGISTER(card_type)

static Piix4Pm *pm;
static FwCfg *fw;
static uint8_t writable[64];
static bool cpus[CPUS];

/* ---- the machine ------------------------------------------------------------------------------------------------ */

static bool cpu_present(void *opaque, unsigned n)
{
    return cpus[n];
}

static uint64_t cpu_id(void *opaque, unsigned n)
{
    return n * 3 + ((uint64_t)n << 33);
}

static void cpu_eject(void *opaque, unsigned n)
{
    cpus[n] = false;
}

static const AcpiCpuOps cpu_ops = { .present = cpu_present, .arch_id = cpu_id, .eject = cpu_eject };
static const Piix4PmBoard board = { .max_cpus = CPUS, .cpu_ops = &cpu_ops };

static void machine_init(void)
{
    fuzz_pci_init();
    fuzz_ram_init();
    clock_virtual_set_manual();
    clock_virtual_enable(true);
}

static void written(void *opaque, uint32_t offset, uint32_t len)
{
    g_assert(offset + len <= sizeof(writable));
}

static const FwCfgFileOps writable_ops = { .written = written };

static void machine_begin(void)
{
    memset(ram_bytes(), 0, RAM_SIZE);
    memset(writable, 0, sizeof(writable));
    memset(cpus, true, sizeof(cpus));
    fw = fw_cfg_io_new(NULL);
    pm = piix4_pm_new(pci_bus, PCI_DEVFN(1, 3), &board, NULL);
    if (!fw || !pm || !smbus_eeproms_new(piix4_pm_smbus(pm), 2, NULL) ||
        !fw_cfg_add_file(fw, "etc/one", "contents", 8, NULL) ||
        !fw_cfg_add_file_callback(fw, "etc/two", writable, 32, sizeof(writable), &writable_ops,
                                  NULL, NULL)) {
        abort();
    }
    device_reset((Device *)fw);
    device_reset((Device *)pm);
    pci_config_write(pci_bus, PCI_DEVFN(1, 3), 0x40, PM_BASE | 1, 4);
    pci_config_write(pci_bus, PCI_DEVFN(1, 3), 0x80, 1, 1);
}

static void machine_end(void)
{
    while (((Bus *)pci_bus)->devices.head) {
        device_unrealize(((Bus *)pci_bus)->devices.head->data);
    }
    device_unrealize((Device *)fw);
}

/* ---- moves --------------------------------------------------------------------------------------------------------- */

static void reload_all(void)
{
    device_reload((Device *)fw);
    device_reload((Device *)pm);
    for (GList *l = piix4_pm_smbus(pm)->devices.head; l; l = l->next) {
        device_reload(l->data);
    }
}

/* ---- steps ------------------------------------------------------------------------------------------------------------ */

static void access_port(Input *in)
{
    static const uint16_t bases[] = { 0x510,  0x518,  0x600,  0xb0,  0xae00,
                                      0xae10, 0xaf00, 0xafe0, 0xb100 };
    unsigned what = take(in, 1), port = bases[what % G_N_ELEMENTS(bases)] + (take(in, 1) & 0xf);
    unsigned size = 1u << (what >> 6) % 3;

    if (what & 0x20) {
        port_read(port, size);
    } else {
        port_write(port, take(in, size), size);
    }
}

static void dma_command(Input *in)
{
    uint8_t *command = ram_bytes() + COMMAND;

    store_be32(command, take(in, 4));
    store_be32(command + 4, take(in, 2));
    store_be64(command + 8, take(in, 3));
    port_write(0x514, 0, 4);
    port_write(0x518, GUINT32_SWAP_LE_BE(COMMAND), 4);
}

static void plug_or_pull(Input *in)
{
    unsigned what = take(in, 1), devfn = PCI_DEVFN(2 + what % 4, 0);
    PciDevice *dev = pci_bus_find(pci_bus, devfn);

    if (dev) {
        bus_get_type((Bus *)pci_bus)->unplug_request((Bus *)pci_bus, &dev->device, NULL);
        return;
    }
    dev = (PciDevice *)device_new(&card_type);
    dev->devfn = devfn;
    dev->acpi_index = what >> 4;
    if (!device_realize(&dev->device, (Bus *)pci_bus, NULL)) {
        object_unref(dev);
        return;
    }
    bus_get_type((Bus *)pci_bus)->plugged((Bus *)pci_bus, &dev->device);
}

static void processor(Input *in)
{
    unsigned what = take(in, 1), n = what % CPUS;

    if (cpus[n]) {
        acpi_cpu_hotplug_unplug_request(piix4_pm_cpus(pm), n);
    } else {
        cpus[n] = true;
        acpi_cpu_hotplug_plugged(piix4_pm_cpus(pm), n);
    }
}

static void do_step(Input *in)
{
    unsigned a;

    switch (take(in, 1) & 15) {
    default:
        access_port(in);
        break;
    case 6:
    case 7:
        dma_command(in);
        break;
    case 8:
        clock_virtual_step_to(clock_get_ns(CLOCK_VIRTUAL) + ((int64_t)take(in, 2) << 16));
        break;
    case 9:
        plug_or_pull(in);
        break;
    case 10:
        processor(in);
        break;
    case 11:
        reload_all();
        break;
    case 12:
        a = take(in, 1);
        pci_config_write(pci_bus, PCI_DEVFN(1, 3), a & 0xfc, take(in, 4), 4);
        break;
    case 13:
        acpi_pm_power_button(piix4_pm_acpi(pm));
        break;
    case 14:
        device_reset((Device *)pm);
        device_reset((Device *)fw);
        break;
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    Input in = { data, size };

    if (!pci_bus) {
        machine_init();
    }
    machine_begin();
    for (unsigned i = 0; i < MAX_STEPS && in.left > 0; i++) {
        do_step(&in);
    }
    reload_all();
    machine_end();
    return 0;
}
