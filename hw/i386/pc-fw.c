/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * fw_cfg of the PC: memory map (e820), processors, boot options, and where the tables of pc-acpi.c and pc-smbios.c go.
 * Names and contents are those that SeaBIOS and OVMF know.
 */
#include "util/osdep.h"

#include "pc-acpi.h"
#include "pc-fw.h"
#include "hw/core/cpu.h"
#include "hw/nvram/fw_cfg.h"
#include "system/identity.h"
#include "target/i386/cpuid.h"
#include "target/i386/kvm.h"
#include "util/bytes.h"
#include "target/i386/model.h"
#include "util/error.h"

#define GIB (UINT64_C(1) << 30)
#define E820_RAM 1
#define E820_RESERVED 2
/* What the I/O hubs of AMD's processors have for themselves (AMD I/O Virtualization Technology, 2.1.2): guests must not
 * put DMA there. */
#define HYPERTRANSPORT_START UINT64_C(0xfd00000000)
#define HYPERTRANSPORT_LEN UINT64_C(0x0300000000)
#define E820_ENTRY_SIZE 20
#define HPET_ID 0x8086a201u
#define HPET_ADDRESS UINT64_C(0xfed00000)
#define HPET_TABLE_SIZE (1 + 8 * 15) /* a count, and room for eight blocks */

/* ---- processors -------------------------------------------------------------------------------------------------- */

/* The APIC id of processor n. */
unsigned pc_apic_id(const Machine *machine, unsigned n)
{
    const MachineSmp *smp = &machine->smp;

    return x86_topology_apic_id(MAX(smp->dies, 1), MAX(smp->cores, 1), MAX(smp->threads, 1), n);
}

unsigned pc_apic_id_limit(const Machine *machine)
{
    return pc_apic_id(machine, MAX(machine->smp.max_cpus, 1) - 1) + 1;
}

/* ---- memory map -------------------------------------------------------------------------------------------------- */

static void e820_add(GByteArray *table, uint64_t start, uint64_t len, uint32_t type)
{
    uint8_t entry[E820_ENTRY_SIZE];

    store_le64(entry, start);
    store_le64(entry + 8, len);
    store_le32(entry + 16, type);
    g_byte_array_append(table, entry, sizeof(entry));
}

static bool amd_processors(void)
{
    Cpu *cpu = cpu_first();
    uint32_t regs[4] = { 0 };

    if (cpu && object_is_a(cpu, &x86_cpu_type.object)) {
        x86_cpu_cpuid((X86Cpu *)cpu, 0, 0, regs);
    }
    return regs[1] == 0x68747541 && regs[3] == 0x69746e65 &&
           regs[2] == 0x444d4163; /* AuthenticAMD */
}

static bool add_e820(PcMachine *pc, FwCfg *fw, GError **error)
{
    g_autoptr(GByteArray) table = g_byte_array_new();

    if (kvm_enabled()) {
        e820_add(table, X86_KVM_RESERVED_BASE, X86_KVM_RESERVED_SIZE, E820_RESERVED);
    }
    if (amd_processors()) {
        e820_add(table, HYPERTRANSPORT_START, HYPERTRANSPORT_LEN, E820_RESERVED);
    }
    e820_add(table, 0, pc->ram_below_4g, E820_RAM);
    if (pc->machine.ram_size > pc->ram_below_4g) {
        e820_add(table, 4 * GIB, pc->machine.ram_size - pc->ram_below_4g, E820_RAM);
    }
    return fw_cfg_add_file(fw, "etc/e820", table->data, table->len, error);
}

/* ---- NUMA ---- */

/* Numbers of eight bytes: how many nodes; the node of each APIC id; the memory of each node. */
static void add_numa(PcMachine *pc, FwCfg *fw)
{
    const MachineNuma *numa = pc->machine.numa;
    unsigned ids = pc_apic_id_limit(&pc->machine);
    g_autofree uint8_t *table = NULL;

    if (!numa) {
        return;
    }
    table = g_malloc0(8 * (1 + ids + numa->nodes));
    store_le64(table, numa->nodes);
    for (unsigned n = 0; n < pc->machine.smp.max_cpus; n++) {
        store_le64(table + 8 * (1 + pc_apic_id(&pc->machine, n)), numa->cpu_node[n]);
    }
    for (unsigned n = 0; n < numa->nodes; n++) {
        store_le64(table + 8 * (1 + ids + n), numa->memory[n]);
    }
    fw_cfg_add_bytes(fw, FW_CFG_NUMA, table, 8 * (1 + ids + numa->nodes));
}

/* ---- all of it --------------------------------------------------------------------------------------------------- */

/* Event timer blocks for firmware that makes its own tables; a count of FFh says that there is none. */
static void add_hpet(FwCfg *fw)
{
    uint8_t table[HPET_TABLE_SIZE] = { 1 };

    store_le32(table + 1, HPET_ID);
    store_le64(table + 5, HPET_ADDRESS);
    if (!pc_hpet_present()) {
        memset(table, 0, sizeof(table));
        table[0] = 0xff;
    }
    fw_cfg_add_bytes(fw, FW_CFG_HPET, table, sizeof(table));
}

/* Sixteen bytes in the order of the text. */
static void add_uuid(FwCfg *fw)
{
    uint8_t bytes[16] = { 0 };
    unsigned at = 0;

    for (const char *p = vm_get_uuid(); *p && at < 16; p++) {
        if (*p != '-') {
            bytes[at++] = g_ascii_xdigit_value(p[0]) << 4 | g_ascii_xdigit_value(p[1]);
            p++;
        }
    }
    fw_cfg_add_bytes(fw, FW_CFG_UUID, bytes, sizeof(bytes));
}

bool pc_fw_init(PcMachine *pc, GError **error)
{
    const Machine *machine = &pc->machine;
    FwCfg *fw = fw_cfg_io_new(error);

    if (!fw) {
        return false;
    }
    fw_cfg_add_i16(fw, FW_CFG_NOGRAPHIC, machine->no_graphics);
    fw_cfg_add_i64(fw, FW_CFG_RAM_SIZE, machine->ram_size);
    fw_cfg_add_i16(fw, FW_CFG_NB_CPUS, machine->smp.cpus);
    fw_cfg_add_i16(fw, FW_CFG_MAX_CPUS, pc_apic_id_limit(machine));
    fw_cfg_add_i32(fw, FW_CFG_IRQ0_OVERRIDE, 1);
    return pc_boot_init(pc, error);
}

static bool check_oem_ids(const PcMachine *pc, GError **error)
{
    if (pc->oem_id && strlen(pc->oem_id) > 6) {
        return error_set(error, "User specified oem-id value is bigger than 6 bytes in size");
    }
    if (pc->oem_table_id && strlen(pc->oem_table_id) > 8) {
        return error_set(error, "User specified oem-table-id value is bigger than 8 bytes in size");
    }
    return true;
}

bool pc_fw_done(Machine *machine, GError **error)
{
    PcMachine *pc = (PcMachine *)machine;

    if (!check_oem_ids(pc, error)) {
        return false;
    }
    add_uuid(fw_cfg_find());
    add_numa(pc, fw_cfg_find());
    add_hpet(fw_cfg_find());
    if (pc->chip && pc->chipset->devices_done) {
        pc->chipset->devices_done(pc);
    }
    pc_storage_done(pc);
    return add_e820(pc, fw_cfg_find(), error) && pc_kernel_init(pc, error) &&
           pc_boot_done(pc, error) && pc_smbios_init(pc, error) && pc_acpi_init(pc, error);
}
