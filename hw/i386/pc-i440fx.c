/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The PC with the 440FX/PIIX3 chip set, and PIIX4's function 3: SCI on line 9, SMBus with memory modules' EEPROMs. */
#include "util/osdep.h"
#include "aml-tables.h"
#include "hw/acpi/piix4.h"
#include "hw/i386/pc-isa.h"
#include "hw/isa/piix3.h"
#include "hw/pci/i440fx.h"
#include "pc-acpi.h"
#include "pc-cpu.h"
#include "pc-display.h"
#include "pc-fw.h"
#include "pc-nic.h"

#define USB_CONTROLLER_DEVFN PCI_DEVFN(1, 2)
#define PM_DEVFN PCI_DEVFN(1, 3)
#define SCI_LINE 9

static void piix4_ports(const PcMachine *pc, PcAcpiPorts *ports)
{
    *ports = (PcAcpiPorts){
        .pm_base = piix4_pm_base(pc->chip),
        .gpe = PIIX4_GPE_PORT,
        .gpe_bytes = 2 * PIIX4_GPE_BYTES,
        .enable = PIIX4_ACPI_ENABLE,
        .disable = PIIX4_ACPI_DISABLE,
    };
}

/* Whoever answers at these ports, so says the chip's configuration space. */
static void piix4_devices_done(PcMachine *pc)
{
    piix4_pm_set_ports(pc->chip, pc_port_present(0x378), pc_port_present(0x3f8),
                       pc_port_present(0x2f8));
}

static const PcChipset i440fx_chipset = {
    .ram_limit = UINT64_C(0xe0000000),
    .ram_split = UINT64_C(0xc0000000),
    .dsdt = aml_dsdt,
    .dsdt_len = &aml_dsdt_len,
    .ssdt_cpu = aml_ssdt_cpu,
    .ssdt_cpu_len = &aml_ssdt_cpu_len,
    .hpet_interrupts = 0x04, /* the only one that no PCI or ISA device can have */
    .floppy_controller = true,
    .first_slot = 2,
    .acpi_ports = piix4_ports,
    .devices_done = piix4_devices_done,
};

static bool pm_init(PcMachine *pc, GError **error)
{
    Piix4PmBoard *board;

    if (pc->acpi == PROPERTY_OFF) {
        return true;
    }
    pc->chip_board = board = g_new(Piix4PmBoard, 1);
    *board = (Piix4PmBoard){
        .sci = pc->gsi[SCI_LINE],
        .max_cpus = MAX(pc->machine.smp.max_cpus, 1),
        .cpu_ops = &pc_acpi_cpu_ops,
        .opaque = &pc->machine,
    };
    pc->chip = piix4_pm_new(pc->pci, PM_DEVFN, board, error);
    if (!pc->chip) {
        return false;
    }
    pc->acpi_pm = piix4_pm_acpi(pc->chip);
    pc->cpu_hotplug = piix4_pm_cpus(pc->chip);
    return smbus_eeproms_new(piix4_pm_smbus(pc->chip), PC_SPD_EEPROMS, error);
}

bool pc_i440fx_init(Machine *machine, GError **error)
{
    PcMachine *pc = (PcMachine *)machine;
    IsaBus *isa;

    pc->chipset = &i440fx_chipset;
    if (!pc_cpus_new(pc, error)) {
        return false;
    }
    pc_map_ram(pc);
    if (!pc_flash_init(pc, error) || !pc_fw_init(pc, error)) {
        return false;
    }
    pc->pci = i440fx_new(&machine->object, machine->ram, &pc->pci_memory, error);
    if (!pc->pci || !pc_load_firmware(pc, error)) {
        return false;
    }
    isa = piix3_new(pc->pci, pc->gsi, error);
    if (!isa || !pc_interrupts_new(pc, isa, error) || !pc_isa_init(pc, isa, error)) {
        return false;
    }
    if (!pc_display_init(pc, error) || !pc_nic_init(pc, error) || !pc_ide_init(pc, error)) {
        return false;
    }
    if (machine->usb &&
        !pci_create(pc->pci, USB_CONTROLLER_DEVFN, false, "piix3-usb-uhci", error)) {
        return false;
    }
    return pm_init(pc, error);
}
