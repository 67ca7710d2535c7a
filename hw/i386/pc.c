/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What PCs share: memory layout, firmware, the machine's properties. The boards are in pc-i440fx.c and pc-q35.c, one class
 * each with a version (pc-*-versions.c); what differs between versions is declared beside the devices that differ.
 *
 *   0 … 640 KiB, 1 MiB … below-4G   RAM            A0000 …       PCI (VGA, SMRAM window)
 *   C0000 … FFFFF                   by the attribute map: PCI (option ROMs, firmware) or RAM
 *   FEC00000                        I/O APIC       end of 4 GiB  firmware
 *   4 GiB …                         the rest of RAM
 */
#include "util/osdep.h"
#include "hw/i386/pc.h"
#include "pc-fw.h"
#include "system/datadir.h"
#include "util/error.h"

#define GIB (UINT64_C(1) << 30)
#define BIOS_DEFAULT "bios-256k.bin"
#define BIOS_DEFAULT_SIZE (256 * 1024)
#define BIOS_MAX_SIZE (16 * 1024 * 1024)
#define BIOS_ISA_SIZE (128 * 1024)               /* seen below 1 MiB */
#define OPTION_ROM_BASE 0xc0000
#define OPTION_ROM_SIZE 0x20000

/* ---- memory ------------------------------------------------------------------------------------------------ */

void pc_map_ram(PcMachine *pc)
{
    MemoryRegion *ram = pc->machine.ram;
    uint64_t size = pc->machine.ram_size;
    uint64_t below = size >= pc->chipset->ram_limit ? pc->chipset->ram_split : size;

    pc->ram_below_4g = below;
    memory_region_map(system_memory(), 0, memory_region_new_alias(NULL, "ram-below-4g", ram, 0, below));
    if (size > below) {
        memory_region_map(system_memory(), 4 * GIB,
                          memory_region_new_alias(NULL, "ram-above-4g", ram, below, size - below));
    }
}

/* Reads the firmware file; NULL contents with true where the default one is not installed and nobody asked for it. */
static bool pc_read_firmware(PcMachine *pc, char **contents, gsize *len, GError **error)
{
    const char *name = pc->machine.firmware ? pc->machine.firmware : BIOS_DEFAULT;
    g_autofree char *path = datadir_find(name);

    *contents = NULL;
    *len = BIOS_DEFAULT_SIZE;
    if (!path && !pc->machine.firmware && !machine_has_cpus(&pc->machine)) {
        return true;
    }
    if (!path || !g_file_get_contents(path, contents, len, NULL)) {
        return error_set(error, "could not load PC BIOS '%s'", name);
    }
    if (*len == 0 || *len % (64 * 1024) || *len > BIOS_MAX_SIZE) {
        g_clear_pointer(contents, g_free);
        return error_set(error, "could not load PC BIOS '%s': its size must be a multiple of 64 KiB, at most 16 MiB",
                         name);
    }
    return true;
}

/* Firmware in ROM ends at 4 GiB; its last 128 KiB are seen below 1 MiB too. */
static bool pc_load_bios(PcMachine *pc, GError **error)
{
    g_autofree char *contents = NULL;
    MemoryRegion *bios;
    gsize len, low;

    if (!pc_read_firmware(pc, &contents, &len, error)) {
        return false;
    }
    bios = memory_region_new_rom(NULL, "pc.bios", len, error);
    if (!bios) {
        return false;
    }
    if (contents) {
        memcpy(memory_region_ram_ptr(bios), contents, len);
    }
    low = MIN(len, BIOS_ISA_SIZE);
    memory_region_map(pc->pci_memory, 4 * GIB - len, bios);
    memory_region_map_overlap(pc->pci_memory, 0x100000 - low,
                              memory_region_new_alias(NULL, "isa-bios", bios, len - low, low), 1);
    return true;
}

/* Option ROMs live in a ROM of their own. */
bool pc_load_firmware(PcMachine *pc, GError **error)
{
    MemoryRegion *option_roms;

    if (!(pc->flash[0] ? pc_flash_map(pc, error) : pc_load_bios(pc, error))) {
        return false;
    }
    option_roms = memory_region_new_rom(NULL, "pc.rom", OPTION_ROM_SIZE, error);
    if (!option_roms) {
        return false;
    }
    memory_region_map_overlap(pc->pci_memory, OPTION_ROM_BASE, option_roms, 1);
    return true;
}

/* ---- the machine ----------------------------------------------------------------------------------------------- */

static void pc_finalize(Object *obj)
{
    PcMachine *pc = (PcMachine *)obj;

    for (int n = 0; n < PC_NUM_GSIS; n++) {
        irq_free(pc->gsi[n]);
    }
    irq_free(pc->intr);
    g_free(pc->chip_board);
    irq_free(pc->a20_line);
}

static const Property pc_properties[] = {
    PROPERTY_ON_OFF_AUTO("acpi", PcMachine, acpi, "auto", "Enable ACPI"),
    PROPERTY_ON_OFF_AUTO("smm", PcMachine, smm, "auto", "Enable SMM: this build has none"),
    PROPERTY_BOOL("i8042", PcMachine, i8042_enabled, "on", NULL),
    PROPERTY_ON_OFF_AUTO("pit", PcMachine, pit, "auto", "Enable i8254 PIT"),
    PROPERTY_ON_OFF_AUTO("vmport", PcMachine, vmport, "auto", "Enable vmport (pc & q35)"),
    PROPERTY_BOOL("hpet", PcMachine, hpet_enabled, "on", "Enable/disable high precision event timer emulation"),
    PROPERTY_SIZE("max-fw-size", PcMachine, max_fw_size, "8388608", "Maximum combined firmware size"),
    PROPERTY("pflash0", property_string, PcMachine, flash_node[0], .flags = PROPERTY_HIDDEN),
    PROPERTY("pflash1", property_string, PcMachine, flash_node[1], .flags = PROPERTY_HIDDEN),
    PROPERTY_STRING("smbios-entry-point-type", PcMachine, smbios_entry_point, "SMBIOS Entry Point type [32, 64]"),
    PROPERTY_STRING("x-oem-id", PcMachine, oem_id,
                    "Override the default value of field OEMID in ACPI table header.The string may be up to 6 bytes in "
                    "size"),
    PROPERTY_STRING("x-oem-table-id", PcMachine, oem_table_id,
                    "Override the default value of field OEM Table ID in ACPI table header.The string may be up to 8 "
                    "bytes in size"),
    {},
};

const ObjectType pc_machine_type = {
    .name = "generic-pc-machine",
    .parent = &machine_type,
    .size = sizeof(PcMachine),
    .abstract = true,
    .properties = pc_properties,
    .finalize = pc_finalize,
};
OBJECT_TYPE_REGISTER(pc_machine_type);
