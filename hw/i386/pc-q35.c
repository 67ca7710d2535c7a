/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The PC with the Q35/ICH9 chip set: root complex, LPC bridge with power management, SATA, SMBus with memory modules' EEPROMs. */
#include "util/osdep.h"
#include "aml-tables.h"
#include "hw/acpi/ich9.h"
#include "hw/i386/pc-isa.h"
#include "hw/ide/ide.h"
#include "hw/pci/q35.h"
#include "pc-acpi.h"
#include "pc-cpu.h"
#include "pc-display.h"
#include "pc-fw.h"
#include "pc-nic.h"
#include "util/error.h"

static void ich9_ports(const PcMachine *pc, PcAcpiPorts *ports)
{
    uint32_t base = ich9_lpc_pm_base(pc->chip);

    *ports = (PcAcpiPorts){
        .pm_base = base,
        .gpe = base + ICH9_GPE_OFFSET,
        .gpe_bytes = 2 * ICH9_GPE_BYTES,
        .enable = ICH9_ACPI_ENABLE,
        .disable = ICH9_ACPI_DISABLE,
    };
    if (!q35_ecam_window(pc->pci, &ports->ecam, &ports->ecam_size)) {
        ports->ecam = Q35_ECAM_ADDRESS; /* where firmware that wants it will put it */
        ports->ecam_size = Q35_ECAM_SIZE;
    }
}

static const PcChipset q35_chipset = {
    .ram_limit = Q35_ECAM_ADDRESS,
    .ram_split = UINT64_C(0x80000000),
    .dsdt = aml_dsdt_q35,
    .dsdt_len = &aml_dsdt_q35_len,
    .ssdt_cpu = aml_ssdt_cpu_q35,
    .ssdt_cpu_len = &aml_ssdt_cpu_q35_len,
    .hpet_interrupts = 0xff0104,
    .acpi_ports = ich9_ports,
};

static IsaBus *lpc_init(PcMachine *pc, GError **error)
{
    Ich9Board *board = g_new(Ich9Board, 1);

    *board = (Ich9Board){
        .gsi = pc->gsi,
        .max_cpus = MAX(pc->machine.smp.max_cpus, 1),
        .cpu_ops = &pc_acpi_cpu_ops,
        .opaque = &pc->machine,
    };
    pc->chip_board = board;
    pc->chip = ich9_lpc_new(pc->pci, board, error);
    if (!pc->chip) {
        return NULL;
    }
    if (pc->acpi != PROPERTY_OFF) {
        pc->acpi_pm = ich9_lpc_acpi(pc->chip);
        pc->cpu_hotplug = ich9_lpc_cpus(pc->chip);
    }
    return ich9_lpc_isa(pc->chip);
}

#define SATA_DEVFN PCI_DEVFN(31, 2)
#define SATA_PORTS 6

/* Port n has the drive with index n. */
static bool sata_init(PcMachine *pc, GError **error)
{
    PciDevice *sata = pci_create(pc->pci, SATA_DEVFN, true, "ich9-ahci", error);

    for (unsigned n = 0; sata && n < SATA_PORTS; n++) {
        if (!ide_bus_attach_drive(ahci_port_bus(&sata->device, n), n, error)) {
            return false;
        }
    }
    return sata != NULL;
}

static bool smbus_init(PcMachine *pc, GError **error)
{
    Bus *smbus = ich9_smbus_new(pc->pci, error);

    return smbus && smbus_eeproms_new(smbus, PC_SPD_EEPROMS, error);
}

bool pc_q35_init(Machine *machine, GError **error)
{
    PcMachine *pc = (PcMachine *)machine;
    IsaBus *isa;

    pc->chipset = &q35_chipset;
    if (machine->usb) {
        return error_set(
            error,
            "-usb: there is no EHCI controller for this machine; use -device ich9-usb-uhci1");
    }
    if (!pc_cpus_new(pc, error)) {
        return false;
    }
    pc_map_ram(pc);
    if (!pc_flash_init(pc, error) || !pc_fw_init(pc, error)) {
        return false;
    }
    pc->pci = q35_new(&machine->object, machine->ram, &pc->pci_memory, error);
    if (!pc->pci || !pc_load_firmware(pc, error)) {
        return false;
    }
    isa = lpc_init(pc, error);
    return isa && pc_interrupts_new(pc, isa, error) && pc_isa_init(pc, isa, error) &&
           pc_display_init(pc, error) && pc_nic_init(pc, error) && sata_init(pc, error) &&
           smbus_init(pc, error);
}
