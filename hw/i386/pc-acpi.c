/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * ACPI tables of the PC (ACPI 6.3, chapter 5.2; revision 1 of each, as 32-bit firmware and old guests know them).
 *
 * P1  The tables are in RAM blocks that are migrated, because the firmware may read them in the middle of a move, and the
 *     other side may be another program with other tables.
 * P2  They are made again when the firmware first looks after a reset: only then it has given the power management
 *     registers their ports. Their lengths do not change by that.
 */
#include "util/osdep.h"

#include "pc-acpi.h"
#include "pc-fw.h"
#include "hw/core/cpu.h"
#include "hw/nvram/fw_cfg.h"
#include "system/runstate.h"
#include "util/bytes.h"
#include "util/error.h"

#define KIB UINT64_C(1024)
#define GIB (UINT64_C(1) << 30)
#define TABLES_ALIGN (128 * KIB) /* a size that differs little from version to version */
#define TABLES_MAX (2048 * KIB)
#define LOADER_ALIGN (4 * KIB)
#define LOADER_MAX (64 * KIB)
#define RSDP_BLOCK (4 * KIB)
#define FACS_SIZE 64
#define SCI_LINE 9
#define SMI_COMMAND_PORT 0xb2
#define LAPIC_ADDRESS 0xfee00000u
#define IOAPIC_ADDRESS 0xfec00000u
#define HPET_ADDRESS UINT64_C(0xfed00000)
#define HPET_ID 0x8086a201u

enum {
    MADT_LOCAL_APIC = 0,
    MADT_IO_APIC = 1,
    MADT_OVERRIDE = 2,
    MADT_LOCAL_NMI = 4,
    MADT_X2APIC = 9,
    MADT_X2APIC_NMI = 10
};

typedef struct AcpiFile {
    const char *name;
    MemoryRegion *rom;
} AcpiFile;

typedef struct PcAcpi {
    PcMachine *pc;
    AcpiFile tables, loader, rsdp;
    uint8_t patched; /* the firmware has looked since the last reset (P2) */
} PcAcpi;

/* ---- fixed tables ---------------------------------------------------------------------------------------------------- */

static uint32_t add_facs(AcpiTables *t)
{
    uint32_t start;

    while (t->blob->len % 64) {
        acpi_put(t, 0, 1);
    }
    start = t->blob->len;
    acpi_put_bytes(t, "FACS", 4);
    acpi_put(t, FACS_SIZE, 4);
    acpi_put_zeros(t, FACS_SIZE - 8);
    return start;
}

static void add_fadt(PcMachine *pc, AcpiTables *t, uint32_t facs, uint32_t dsdt)
{
    enum {
        WBINVD = 1 << 0,
        PROC_C1 = 1 << 2,
        SLP_BUTTON = 1 << 5,
        RTC_S4 = 1 << 7,
        PLATFORM_CLOCK = 1 << 15
    };
    PcAcpiPorts ports;
    uint32_t start = acpi_table_begin(t, "FACP", 1, NULL);

    pc->chipset->acpi_ports(pc, &ports);
    acpi_put_pointer(t, facs);
    acpi_put_pointer(t, dsdt);
    acpi_put(t, 1, 1); /* INT_MODEL: multiple APIC */
    acpi_put(t, 0, 1);
    acpi_put(t, SCI_LINE, 2);
    acpi_put(t, SMI_COMMAND_PORT, 4);
    acpi_put(t, ports.enable, 1);
    acpi_put(t, ports.disable, 1);
    acpi_put(t, 0, 2);
    acpi_put(t, ports.pm_base, 4); /* PM1a event, control; no PM1b, no PM2 */
    acpi_put(t, 0, 4);
    acpi_put(t, ports.pm_base + 4, 4);
    acpi_put_zeros(t, 8);
    acpi_put(t, ports.pm_base + 8, 4); /* timer */
    acpi_put(t, ports.gpe, 4);
    acpi_put(t, 0, 4);
    acpi_put_bytes(t, (const uint8_t[]){ 4, 2, 0, 4, ports.gpe_bytes, 0, 0, 0 },
                   8);     /* lengths of the blocks above */
    acpi_put(t, 0xfff, 2); /* no C2, no C3 */
    acpi_put(t, 0xfff, 2);
    acpi_put_zeros(t, 8);
    acpi_put(t, 0x32, 1); /* century in the RTC's RAM */
    acpi_put_zeros(t, 3);
    acpi_put(t, WBINVD | PROC_C1 | SLP_BUTTON | RTC_S4 | PLATFORM_CLOCK, 4);
    acpi_table_end(t, start);
}

static void add_hpet(AcpiTables *t)
{
    uint32_t start = acpi_table_begin(t, "HPET", 1, NULL);

    acpi_put(t, HPET_ID, 4);
    acpi_put(t, 0, 4); /* in memory */
    acpi_put(t, HPET_ADDRESS, 8);
    acpi_put_zeros(t, 4);
    acpi_table_end(t, start);
}

/* Where configuration space is memory (PCI Firmware Specification 3.0, 4.1.2). */
static void add_mcfg(AcpiTables *t, const PcAcpiPorts *ports)
{
    uint32_t start = acpi_table_begin(t, "MCFG", 1, NULL);

    acpi_put_zeros(t, 8);
    acpi_put(t, ports->ecam, 8);
    acpi_put(t, 0, 2); /* segment group */
    acpi_put(t, 0, 1); /* first bus */
    acpi_put(t, (ports->ecam_size >> 20) - 1, 1);
    acpi_put_zeros(t, 4);
    acpi_table_end(t, start);
}

/* Windows ACPI Emulated Devices Table: the PM timer needs one read only. */
static void add_waet(AcpiTables *t)
{
    uint32_t start = acpi_table_begin(t, "WAET", 1, NULL);

    acpi_put(t, 1 << 1, 4);
    acpi_table_end(t, start);
}

/* ---- processors and interrupts ----------------------------------------------------------------------------------------- */

static void add_override(AcpiTables *t, uint8_t irq, uint32_t gsi, uint16_t flags)
{
    acpi_put_bytes(t, (const uint8_t[]){ MADT_OVERRIDE, 10, 0, irq }, 4);
    acpi_put(t, gsi, 4);
    acpi_put(t, flags, 2);
}

/* Returns whether it needed an x2APIC entry. */
static bool add_local_apic(PcMachine *pc, AcpiTables *t, unsigned n)
{
    uint32_t id = pc_apic_id(&pc->machine, n);
    bool enabled = cpu_first() ? cpu_by_index(n) != NULL : n < pc->machine.smp.cpus;

    if (id < 255 && n < 255) {
        acpi_put_bytes(t, (const uint8_t[]){ MADT_LOCAL_APIC, 8, n, id }, 4);
        acpi_put(t, enabled, 4);
        return false;
    }
    acpi_put_bytes(t, (const uint8_t[]){ MADT_X2APIC, 16, 0, 0 }, 4);
    acpi_put(t, id, 4);
    acpi_put(t, enabled, 4);
    acpi_put(t, n, 4);
    return true;
}

static void add_madt(PcMachine *pc, AcpiTables *t)
{
    static const uint8_t level_lines[] = { 5, 9, 10, 11 }; /* PCI's and the SCI: high, level */
    uint32_t start = acpi_table_begin(t, "APIC", 1, NULL);
    bool x2apic = false;

    acpi_put(t, LAPIC_ADDRESS, 4);
    acpi_put(t, 1, 4); /* there are 8259s, too */
    for (unsigned n = 0; n < MAX(pc->machine.smp.max_cpus, 1); n++) {
        x2apic |= add_local_apic(pc, t, n);
    }
    acpi_put_bytes(t, (const uint8_t[]){ MADT_IO_APIC, 12, 0, 0 }, 4);
    acpi_put(t, IOAPIC_ADDRESS, 4);
    acpi_put(t, 0, 4);
    add_override(t, 0, 2, 0); /* the PIT */
    for (unsigned i = 0; i < G_N_ELEMENTS(level_lines); i++) {
        add_override(t, level_lines[i], level_lines[i], 0x000d);
    }
    if (x2apic) {
        acpi_put_bytes(t, (const uint8_t[]){ MADT_X2APIC_NMI, 12, 0, 0 }, 4);
        acpi_put(t, UINT32_MAX, 4);
        acpi_put(t, 1, 4); /* LINT1 */
    } else {
        acpi_put_bytes(t, (const uint8_t[]){ MADT_LOCAL_NMI, 6, 0xff, 0, 0, 1 }, 6);
    }
    acpi_table_end(t, start);
}

/* ---- NUMA -------------------------------------------------------------------------------------------------------------- */

static void add_memory_affinity(AcpiTables *t, uint32_t node, uint64_t base, uint64_t len,
                                uint32_t flags)
{
    acpi_put_bytes(t, (const uint8_t[]){ 1, 40 }, 2);
    acpi_put(t, node, 4);
    acpi_put(t, 0, 2);
    acpi_put(t, base, 8);
    acpi_put(t, len, 8);
    acpi_put(t, 0, 4);
    acpi_put(t, flags, 4);
    acpi_put(t, 0, 8);
}

static void add_cpu_affinity(PcMachine *pc, AcpiTables *t, unsigned n)
{
    uint32_t id = pc_apic_id(&pc->machine, n), node = pc->machine.numa->cpu_node[n];

    if (id < 255) {
        acpi_put_bytes(t, (const uint8_t[]){ 0, 16, node, id }, 4);
        acpi_put(t, 1, 4);
        acpi_put(t, 0, 1);
        acpi_put(t, node >> 8, 3);
        acpi_put(t, 0, 4);
    } else {
        acpi_put_bytes(t, (const uint8_t[]){ 2, 24, 0, 0 }, 4);
        acpi_put(t, node, 4);
        acpi_put(t, id, 4);
        acpi_put(t, 1, 4);
        acpi_put(t, 0, 8);
    }
}

/* The node's memory [base, base + len) of the guest's RAM in one piece, as the guest sees it: without the hole below 1 MiB
 * and the one below 4 GiB. Returns how many entries it took. */
static unsigned add_node_memory(PcMachine *pc, AcpiTables *t, uint32_t node, uint64_t base,
                                uint64_t len)
{
    const struct {
        uint64_t from, to, add; /* of RAM; what is added to get the address */
    } pieces[] = {
        { 0, 640 * KIB, 0 },
        { 1024 * KIB, pc->ram_below_4g, 0 },
        { pc->ram_below_4g, UINT64_MAX, 4 * GIB - pc->ram_below_4g },
    };
    unsigned n = 0;

    for (unsigned i = 0; i < G_N_ELEMENTS(pieces); i++) {
        uint64_t from = MAX(base, pieces[i].from), to = MIN(base + len, pieces[i].to);

        if (from < to) {
            add_memory_affinity(t, node, from + pieces[i].add, to - from, 1);
            n++;
        }
    }
    return n;
}

static void add_srat(PcMachine *pc, AcpiTables *t)
{
    const MachineNuma *numa = pc->machine.numa;
    uint32_t start = acpi_table_begin(t, "SRAT", 1, NULL);
    uint64_t base = 0;
    unsigned entries = 0;

    acpi_put(t, 1, 4);
    acpi_put(t, 0, 8);
    for (unsigned n = 0; n < MAX(pc->machine.smp.max_cpus, 1); n++) {
        add_cpu_affinity(pc, t, n);
    }
    for (unsigned node = 0; node < numa->nodes; node++) {
        entries += add_node_memory(pc, t, node, base, numa->memory[node]);
        base += numa->memory[node];
    }
    for (; entries < numa->nodes + 2; entries++) {
        add_memory_affinity(t, 0, 0, 0, 0); /* as many as there could be */
    }
    acpi_table_end(t, start);
}

static void add_slit(PcMachine *pc, AcpiTables *t)
{
    const MachineNuma *numa = pc->machine.numa;
    uint32_t start = acpi_table_begin(t, "SLIT", 1, NULL);

    acpi_put(t, numa->nodes, 8);
    for (unsigned from = 0; from < numa->nodes; from++) {
        acpi_put_bytes(t, numa->distance[from], numa->nodes);
    }
    acpi_table_end(t, start);
}

/* ---- all of it ------------------------------------------------------------------------------------------------------------ */

AcpiTables *pc_acpi_build(PcMachine *pc)
{
    AcpiTables *t = acpi_tables_new(pc->oem_id, pc->oem_table_id);
    uint32_t facs = add_facs(t), dsdt = pc_acpi_add_dsdt(pc, t);
    GPtrArray *user = pc->machine.acpi_tables;
    PcAcpiPorts ports;

    pc->chipset->acpi_ports(pc, &ports);
    add_fadt(pc, t, facs, dsdt);
    pc_acpi_add_ssdts(pc, t);
    add_madt(pc, t);
    if (pc_hpet_present()) {
        add_hpet(t);
    }
    if (pc->machine.numa) {
        add_srat(pc, t);
        if (pc->machine.numa->has_distance) {
            add_slit(pc, t);
        }
    }
    if (ports.ecam_size) {
        add_mcfg(t, &ports);
    }
    add_waet(t);
    acpi_run_builders(t);
    for (unsigned i = 0; user && i < user->len; i++) {
        gsize len;
        gconstpointer table = g_bytes_get_data(g_ptr_array_index(user, i), &len);

        acpi_table_add(t, table, len, false);
    }
    acpi_tables_finish(t);
    return t;
}

static void fill(AcpiFile *file, const GByteArray *contents)
{
    uint8_t *at = memory_region_ram_ptr(file->rom);
    uint64_t size = memory_region_size(file->rom);

    memcpy(at, contents->data, MIN(contents->len, size));
    memset(at + MIN(contents->len, size), 0, size - MIN(contents->len, size));
    memory_region_set_dirty(file->rom, 0, size);
}

/* The guest selects one of the files (P2). A block that came from elsewhere in a smaller size stays as it is. */
static void looked_at(void *opaque)
{
    PcAcpi *s = opaque;
    AcpiTables *t;

    if (s->patched || ram_is_closed()) {
        return;
    }
    s->patched = 1;
    t = pc_acpi_build(s->pc);
    if (t->blob->len <= memory_region_size(s->tables.rom) &&
        t->loader->len <= memory_region_size(s->loader.rom)) {
        fill(&s->tables, t->blob);
        fill(&s->loader, t->loader);
        fill(&s->rsdp, t->rsdp);
    }
    acpi_tables_free(t);
}

static void reset(void *opaque)
{
    ((PcAcpi *)opaque)->patched = 0;
}

static const VmState vmstate_acpi_build = {
    .name = "acpi_build",
    .version = 1,
    .minimum_version = 1,
    .fields = (const VmField[]){ VM_U8(PcAcpi, patched), VM_END },
};

static const FwCfgFileOps file_ops = { .select = looked_at };

static bool add_file(PcAcpi *s, AcpiFile *file, const char *name, uint64_t len, uint64_t size,
                     uint64_t max, GError **error)
{
    g_autofree char *block = g_strconcat("/rom@", name, NULL);

    if (size > max) {
        return error_set(error, "%s would have %" PRIu64 " bytes, more than %" PRIu64, name, size,
                         max);
    }
    file->name = name;
    file->rom = memory_region_new_rom_resizable(NULL, block, size, max, error);
    return file->rom &&
           fw_cfg_add_file_callback(fw_cfg_find(), name, memory_region_ram_ptr(file->rom), len, max,
                                    &file_ops, s, error);
}

static uint64_t round_up(uint64_t value, uint64_t unit)
{
    return (value + unit - 1) / unit * unit;
}

bool pc_acpi_init(PcMachine *pc, GError **error)
{
    PcAcpi *s;
    AcpiTables *t;
    uint64_t tables, loader;
    bool ok;

    if (!pc->acpi_pm) {
        return true;
    }
    s = g_new0(PcAcpi, 1);
    s->pc = pc;
    t = pc_acpi_build(pc);
    tables = round_up(t->blob->len, TABLES_ALIGN);
    loader = round_up(t->loader->len, LOADER_ALIGN);
    ok = add_file(s, &s->tables, ACPI_TABLES_FILE, tables, tables, TABLES_MAX, error) &&
         add_file(s, &s->loader, ACPI_LOADER_FILE, loader, loader, LOADER_MAX, error) &&
         add_file(s, &s->rsdp, ACPI_RSDP_FILE, t->rsdp->len, RSDP_BLOCK, RSDP_BLOCK, error);
    if (ok) {
        fill(&s->tables, t->blob);
        fill(&s->loader, t->loader);
        fill(&s->rsdp, t->rsdp);
        reset_add_handler(reset, s);
        vmstate_register("acpi_build", VM_INSTANCE_ANY, &vmstate_acpi_build, s);
    }
    acpi_tables_free(t);
    return ok;
}
