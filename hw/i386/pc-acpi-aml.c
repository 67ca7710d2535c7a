/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * AML of the PC: the DSDT as compiled, with what is not there marked so; an SSDT of processor hot plug; and one that is written
 * here, because it depends on numbers: processors, sleep states, the host bridge's windows.
 */
#include "util/osdep.h"

#include "aml-tables.h"
#include "pc-acpi.h"
#include "pc-fw.h"
#include "hw/acpi/aml.h"
#include "hw/acpi/pm.h"
#include "hw/core/cpu.h"
#include "hw/misc/vmgenid.h"
#include "util/bytes.h"

#define GIB (UINT64_C(1) << 30)
#define IOAPIC_ADDRESS UINT64_C(0xfec00000)
#define LAST_SLOT 31

/* ---- DSDT ---------------------------------------------------------------------------------------------------------- */

typedef struct Presence {
    hwaddr address;
    bool found;
} Presence;

static bool covers(hwaddr start, uint64_t size, MemoryRegion *mr, hwaddr offset, bool readonly,
                   void *opaque)
{
    Presence *p = opaque;

    p->found |= p->address >= start && p->address - start < size && mr != system_io();
    return !p->found;
}

bool pc_port_present(uint16_t port)
{
    Presence p = { .address = port };

    address_space_foreach_range(address_space_io, covers, &p);
    return p.found;
}

bool pc_hpet_present(void)
{
    Presence p = { .address = 0xfed00000 };

    address_space_foreach_range(address_space_memory, covers, &p);
    return p.found;
}

/* Name (_STA, 0x0F) of a device that is not there becomes 0. */
static void mark(uint8_t *aml, size_t len, const char device[4], bool present)
{
    uint8_t *name = memmem(aml, len, device, 4);
    uint8_t *sta = name ? memmem(name, len - (name - aml), "\x08_STA\x0a\x0f", 7) : NULL;

    g_assert(sta && sta - name < 64);
    sta[6] = present ? 0x0f : 0;
}

static bool slot_ejectable(PcMachine *pc, unsigned slot)
{
    for (GList *l = ((Bus *)pc->pci)->devices.head; l; l = l->next) {
        const DeviceType *type = device_get_type(l->data);

        if (PCI_SLOT(((PciDevice *)l->data)->devfn) == slot &&
            !(device_type_hotpluggable(type) && device_type_user_creatable(type))) {
            return false;
        }
    }
    return true;
}

static void mark_slots(PcMachine *pc, uint8_t *aml, size_t len)
{
    unsigned slot = pc->chipset->first_slot;

    for (uint8_t *p = aml; p + 4 <= aml + len; p++) {
        if (!memcmp(p, "_EJ0", 4)) {
            memcpy(p, slot_ejectable(pc, slot) ? "_EJ0" : "XEJ0", 4);
            slot++;
        }
    }
    g_assert(slot == LAST_SLOT + 1);
}

uint32_t pc_acpi_add_dsdt(PcMachine *pc, AcpiTables *tables)
{
    size_t len = *pc->chipset->dsdt_len;
    uint32_t start = acpi_table_add(tables, pc->chipset->dsdt, len, true);
    uint8_t *dsdt = tables->blob->data + start;
    bool keyboard = pc_port_present(0x64);

    mark(dsdt, len, "KBD_", keyboard);
    mark(dsdt, len, "MOU_", keyboard);
    mark(dsdt, len, "RTC_", pc_port_present(0x70));
    mark(dsdt, len, "FDC0", pc_port_present(0x3f5));
    mark(dsdt, len, "LPT1", pc_port_present(0x378));
    mark(dsdt, len, "COM1", pc_port_present(0x3f8));
    mark(dsdt, len, "COM2", pc_port_present(0x2f8));
    mark(dsdt, len, "HPET", pc_hpet_present());
    if (pc->chipset->first_slot) {
        mark_slots(pc, dsdt, len);
    }
    return start;
}

/* ---- what the host bridge passes on ---------------------------------------------------------------------------------- */

static void put16(GByteArray *a, uint16_t v)
{
    v = GUINT16_TO_LE(v);
    g_byte_array_append(a, (const uint8_t *)&v, 2);
}

static void put32(GByteArray *a, uint32_t v)
{
    v = GUINT32_TO_LE(v);
    g_byte_array_append(a, (const uint8_t *)&v, 4);
}

static void put64(GByteArray *a, uint64_t v)
{
    v = GUINT64_TO_LE(v);
    g_byte_array_append(a, (const uint8_t *)&v, 8);
}

/* Address space descriptors (ACPI 6.3, 6.4.3.5): kind, flags (minimum and maximum fixed), flags of the kind, granularity,
 * first, last, translation, length. */
static void window16(GByteArray *a, uint8_t kind, uint8_t flags, uint16_t first, uint16_t last)
{
    const uint8_t head[] = { 0x88, 0x0d, 0x00, kind, 0x0c, flags };

    g_byte_array_append(a, head, sizeof(head));
    put16(a, 0);
    put16(a, first);
    put16(a, last);
    put16(a, 0);
    put16(a, last - first + 1);
}

static void window32(GByteArray *a, uint8_t flags, uint32_t first, uint32_t last)
{
    const uint8_t head[] = { 0x87, 0x17, 0x00, 0x00, 0x0c, flags };

    g_byte_array_append(a, head, sizeof(head));
    put32(a, 0);
    put32(a, first);
    put32(a, last);
    put32(a, 0);
    put32(a, last - first + 1);
}

static void window64(GByteArray *a, uint8_t flags, uint64_t first, uint64_t last)
{
    const uint8_t head[] = { 0x8a, 0x2b, 0x00, 0x00, 0x0c, flags };

    g_byte_array_append(a, head, sizeof(head));
    put64(a, 0);
    put64(a, first);
    put64(a, last);
    put64(a, 0);
    put64(a, last - first + 1);
}

static void add_windows(PcMachine *pc, GByteArray *aml)
{
    static const uint8_t config_ports[] = { 0x47, 0x01, 0xf8, 0x0c, 0xf8, 0x0c, 0x01, 0x08 };
    static const uint8_t end_tag[] = { 0x79, 0x00 };
    g_autoptr(GByteArray) crs = g_byte_array_new();
    uint64_t above = 4 * GIB + (pc->machine.ram_size - pc->ram_below_4g);
    PcAcpiPorts ports;
    size_t scope;

    pc->chipset->acpi_ports(pc, &ports);
    above = (above + GIB - 1) / GIB * GIB;
    window16(crs, 2, 0x00, 0x00, 0xff); /* buses */
    g_byte_array_append(crs, config_ports, sizeof(config_ports));
    window16(crs, 1, 0x03, 0x0000, 0x0cf7);
    window16(crs, 1, 0x03, 0x0d00, 0xffff);
    window32(crs, 0x03, 0xa0000, 0xbffff); /* cacheable, writable */
    if (ports.ecam_size) {
        window32(crs, 0x01, pc->ram_below_4g, ports.ecam - 1);
        window32(crs, 0x01, ports.ecam + ports.ecam_size, IOAPIC_ADDRESS - 1);
    } else {
        window32(crs, 0x01, pc->ram_below_4g, IOAPIC_ADDRESS - 1);
    }
    window64(crs, 0x03, above, above + 2 * GIB - 1);
    g_byte_array_append(crs, end_tag, sizeof(end_tag));

    scope = aml_open_scope(aml, "\\_SB.PCI0");
    aml_name(aml, "_CRS");
    aml_buffer(aml, crs->data, crs->len);
    aml_close(aml, scope);
}

/* ---- sleep states ---------------------------------------------------------------------------------------------------- */

static void add_sleep_state(GByteArray *aml, const char *name, unsigned type)
{
    size_t package;

    aml_name(aml, name);
    package = aml_open_package(aml, 4);
    aml_integer(aml, type);
    aml_integer(aml, type);
    aml_integer(aml, 0);
    aml_integer(aml, 0);
    aml_close(aml, package);
}

static void add_sleep_states(PcMachine *pc, GByteArray *aml)
{
    const AcpiPm *pm = pc->acpi_pm;

    if (!pm->disable_s3) {
        add_sleep_state(aml, "\\_S3", 1);
    }
    if (!pm->disable_s4) {
        add_sleep_state(aml, "\\_S4", pm->s4_type);
    }
    add_sleep_state(aml, "\\_S5", 0);
}

/* ---- processors ------------------------------------------------------------------------------------------------------ */

static char *cpu_name(unsigned n)
{
    return g_strdup_printf("C%03X", n);
}

/* The processor's entry of the MADT: of its local APIC, or its x2APIC where the id needs more than 8 bits. */
static void add_mat(PcMachine *pc, GByteArray *aml, unsigned n)
{
    uint32_t id = pc_apic_id(&pc->machine, n);
    uint8_t entry[16] = { 0 };

    if (id < 255 && n < 255) {
        memcpy(entry, (const uint8_t[]){ 0, 8, n, id, 1 }, 5);
    } else {
        memcpy(entry, (const uint8_t[]){ 9, 16 }, 2);
        store_le32(entry + 4, id);
        store_le32(entry + 8, 1);
        store_le32(entry + 12, n);
    }
    aml_name(aml, "_MAT");
    aml_buffer(aml, entry, entry[1]);
}

static void add_cpu(PcMachine *pc, GByteArray *aml, unsigned n)
{
    g_autofree char *name = cpu_name(n);
    size_t device = aml_open_device(aml, name), method;

    aml_name(aml, "_HID");
    aml_string(aml, "ACPI0007");
    aml_name(aml, "_UID");
    aml_integer(aml, n);
    method = aml_open_method(aml, "_STA", 0, true);
    aml_return(aml);
    aml_path(aml, "\\_SB.CPUR.CSTA");
    aml_integer(aml, n);
    aml_close(aml, method);
    add_mat(pc, aml, n);
    if (pc->machine.numa) {
        aml_name(aml, "_PXM");
        aml_integer(aml, pc->machine.numa->cpu_node[n]);
    }
    if (n > 0) {
        method = aml_open_method(aml, "_EJ0", 1, false);
        aml_path(aml, "\\_SB.CPUR.CEJ0");
        aml_integer(aml, n);
        aml_close(aml, method);
    }
    method = aml_open_method(aml, "_OST", 3, true);
    aml_path(aml, "\\_SB.CPUR.COST");
    aml_integer(aml, n);
    aml_arg(aml, 0);
    aml_arg(aml, 1);
    aml_close(aml, method);
    aml_close(aml, device);
}

static void add_cpus(PcMachine *pc, GByteArray *aml)
{
    unsigned count = MAX(pc->machine.smp.max_cpus, 1);
    size_t container = aml_open_device(aml, "\\_SB.CPUS"), method;

    aml_name(aml, "_HID");
    aml_string(aml, "ACPI0010"); /* processor container */
    for (unsigned n = 0; n < count; n++) {
        add_cpu(pc, aml, n);
    }
    method = aml_open_method(aml, "CTFY", 2, false);
    for (unsigned n = 0; n < count; n++) {
        g_autofree char *name = cpu_name(n);
        size_t branch = aml_open_if(aml);

        aml_equal(aml);
        aml_arg(aml, 0);
        aml_integer(aml, n);
        aml_notify(aml);
        aml_path(aml, name);
        aml_arg(aml, 1);
        aml_close(aml, branch);
    }
    aml_close(aml, method);
    aml_close(aml, container);
}

/* ---- VM generation ID ---- */

/* The device's blob is a file of its own, whose address goes into the table and back to the device. The pointer stands in the
 * script before the table's checksum. */
static void add_vmgenid(AcpiTables *tables)
{
    g_autofree uint8_t *aml = NULL;
    uint8_t *address, *hid;

    if (!vmgenid_find()) {
        return;
    }
    aml = g_memdup2(aml_ssdt_vmgenid, aml_ssdt_vmgenid_len);
    hid = memmem(aml, aml_ssdt_vmgenid_len, "QEMU0001", 8);
    address = aml_find_name(aml, aml_ssdt_vmgenid_len, "VGIA") + 1; /* behind DWordPrefix */
    g_assert(hid);
    memcpy(hid, "QEMUVGID", 8);
    memset(address, 0, 4);
    acpi_loader_allocate(tables, VMGENID_GUID_FILE, 4096, false);
    acpi_loader_write_pointer(tables, VMGENID_ADDR_FILE, 0, 8, VMGENID_GUID_FILE,
                              VMGENID_GUID_OFFSET);
    acpi_loader_add_pointer(tables, ACPI_TABLES_FILE, tables->blob->len + (address - aml), 4,
                            VMGENID_GUID_FILE);
    acpi_table_add(tables, aml, aml_ssdt_vmgenid_len, true);
}

/* For disassemblers only. In a branch that is never taken: Linux's interpreter takes those it meets for objects that they make. */
static void add_externals(GByteArray *aml)
{
    size_t never = aml_open_if(aml);

    aml_integer(aml, 0);
    aml_external(aml, "\\_SB.PCI0", AML_DEVICE, 0);
    aml_external(aml, "\\_SB.CPUR.CSTA", AML_METHOD, 1);
    aml_external(aml, "\\_SB.CPUR.CEJ0", AML_METHOD, 1);
    aml_external(aml, "\\_SB.CPUR.COST", AML_METHOD, 3);
    aml_close(aml, never);
}

/* ---- all of it -------------------------------------------------------------------------------------------------------- */

void pc_acpi_add_ssdts(PcMachine *pc, AcpiTables *tables)
{
    g_autoptr(GByteArray) aml = g_byte_array_new();
    uint32_t start = acpi_table_begin(tables, "SSDT", 1, "BXPCBORD");

    add_externals(aml);
    add_windows(pc, aml);
    add_sleep_states(pc, aml);
    add_cpus(pc, aml);
    acpi_put_bytes(tables, aml->data, aml->len);
    acpi_table_end(tables, start);
    acpi_table_add(tables, pc->chipset->ssdt_cpu, *pc->chipset->ssdt_cpu_len, true);
    add_vmgenid(tables);
}
