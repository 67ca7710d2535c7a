/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * SMBIOS structures (DMTF DSP0134). Values that the user has not given are those that the installed programs have. Handles
 * are type << 8 plus a number.
 */
#include "util/osdep.h"

#include "hw/i386/smbios.h"
#include "smbios-options.h"
#include "util/bytes.h"
#include "util/error.h"

#define KIB UINT64_C(1024)
#define MIB (UINT64_C(1) << 20)
#define GIB (UINT64_C(1) << 30)
#define DIMM_MAX (16 * GIB)
#define NO_HANDLE 0xffff
#define NO_ERROR_INFORMATION 0xfffe
#define UNKNOWN16 0xffff
#define BCD_REVISION 0x28

typedef struct Builder {
    const SmbiosMachine *machine;
    const SmbiosOptions *options;
    GByteArray *out;
    GPtrArray *strings; /* of the structure being made: const char * */
    size_t start;
    size_t largest;
    unsigned count;
} Builder;

/* ---- one structure ----------------------------------------------------------------------------------------------------- */

static void put(Builder *b, uint64_t value, unsigned size)
{
    uint8_t bytes[8];

    store_le64(bytes, value);
    g_byte_array_append(b->out, bytes, size);
}

/* The number of a string; 0 for none. Equal strings are not shared: readers do not mind. */
static void put_string(Builder *b, const char *text)
{
    if (!text || !*text) {
        put(b, 0, 1);
        return;
    }
    g_ptr_array_add(b->strings, (gpointer)text);
    put(b, b->strings->len, 1);
}

static void begin_with_handle(Builder *b, uint8_t type, uint16_t handle)
{
    b->start = b->out->len;
    g_ptr_array_set_size(b->strings, 0);
    put(b, type, 1);
    put(b, 0, 1); /* length, at the end */
    put(b, handle, 2);
}

static void begin(Builder *b, uint8_t type, unsigned n)
{
    begin_with_handle(b, type, (unsigned)type << 8 | n);
}

static void end(Builder *b)
{
    b->out->data[b->start + 1] = b->out->len - b->start;
    for (unsigned i = 0; i < b->strings->len; i++) {
        const char *text = g_ptr_array_index(b->strings, i);

        g_byte_array_append(b->out, (const uint8_t *)text, strlen(text) + 1);
    }
    put(b, 0, b->strings->len ? 1 : 2);
    b->largest = MAX(b->largest, b->out->len - b->start);
    b->count++;
}

static const char *given_or(const char *given, const char *usual)
{
    return given ? given : usual;
}

/* ---- the types ------------------------------------------------------------------------------------------------------------ */

static bool wanted(const Builder *b, unsigned type)
{
    return !smbios_bit(b->options->files, type);
}

static void bios_information(Builder *b)
{
    const SmbiosOptions *o = b->options;

    if (!wanted(b, 0) || !smbios_bit(o->given, 0)) {
        return; /* the firmware says it of itself */
    }
    begin(b, 0, 0);
    put_string(b, o->bios.vendor);
    put_string(b, o->bios.version);
    put(b, 0xe800, 2);
    put_string(b, o->bios.date);
    put(b, 0, 1);
    put(b, 1 << 3, 8); /* characteristics are not supported */
    put(b, 0, 1);
    put(b, 0x14 | (o->bios.uefi ? 0x08 : 0), 1); /* a virtual machine */
    put(b, o->bios.major, 1);
    put(b, o->bios.minor, 1);
    put(b, 0xffff, 2);
    end(b);
}

/* The first three fields are little-endian (7.2.1). */
static void put_uuid(Builder *b, const char *text)
{
    uint8_t bytes[16] = { 0 };
    unsigned at = 0;

    for (const char *p = text; p && *p && at < 16; p++) {
        if (*p != '-') {
            bytes[at++] = g_ascii_xdigit_value(p[0]) << 4 | g_ascii_xdigit_value(p[1]);
            p++;
        }
    }
    store_le32(bytes, load_be32(bytes));
    store_le16(bytes + 4, load_be16(bytes + 4));
    store_le16(bytes + 6, load_be16(bytes + 6));
    g_byte_array_append(b->out, bytes, sizeof(bytes));
}

static void system_information(Builder *b)
{
    const SmbiosOptions *o = b->options;

    if (!wanted(b, 1)) {
        return;
    }
    begin(b, 1, 0);
    put_string(b, given_or(o->system.manufacturer, b->machine->manufacturer));
    put_string(b, given_or(o->system.product, b->machine->product));
    put_string(b, given_or(o->system.version, b->machine->version));
    put_string(b, o->system.serial);
    put_uuid(b, given_or(o->system.uuid, b->machine->uuid));
    put(b, 6, 1); /* woken by the power switch */
    put_string(b, o->system.sku);
    put_string(b, o->system.family);
    end(b);
}

static void base_board(Builder *b)
{
    const SmbiosOptions *o = b->options;

    if (!wanted(b, 2) || !smbios_bit(o->given, 2)) {
        return;
    }
    begin(b, 2, 0);
    put_string(b, given_or(o->board.manufacturer, b->machine->manufacturer));
    put_string(b, given_or(o->board.product, b->machine->product));
    put_string(b, given_or(o->board.version, b->machine->version));
    put_string(b, o->board.serial);
    put_string(b, o->board.asset);
    put(b, 1, 1); /* hosting */
    put_string(b, o->board.location);
    put(b, 0x0300, 2); /* in that chassis */
    put(b, 0x0a, 1);   /* a motherboard */
    put(b, 0, 1);
    end(b);
}

static void chassis(Builder *b)
{
    const SmbiosOptions *o = b->options;

    if (!wanted(b, 3)) {
        return;
    }
    begin(b, 3, 0);
    put_string(b, given_or(o->chassis.manufacturer, b->machine->manufacturer));
    put(b, 1, 1); /* other */
    put_string(b, given_or(o->chassis.version, b->machine->version));
    put_string(b, o->chassis.serial);
    put_string(b, o->chassis.asset);
    put(b, 0x02030303, 4); /* all is safe */
    put(b, 0, 8);          /* OEM, height, cords, elements */
    put_string(b, o->chassis.sku);
    end(b);
}

static void processor(Builder *b, unsigned socket)
{
    const SmbiosOptions *o = b->options;
    const SmbiosMachine *m = b->machine;
    g_autofree char *designation = g_strdup_printf("%s %u", given_or(o->cpu.socket, "CPU"), socket);
    unsigned cores = m->cores, threads = m->cores * m->threads;

    begin(b, 4, socket);
    put_string(b, designation);
    put(b, 3, 1); /* a central processor */
    put(b, 1, 1); /* of another family */
    put_string(b, given_or(o->cpu.manufacturer, m->manufacturer));
    put(b, o->cpu.has_id ? o->cpu.id : (uint64_t)m->cpuid_edx << 32 | m->cpuid_eax, 8);
    put_string(b, given_or(o->cpu.version, m->version));
    put(b, 0, 1);
    put(b, 0, 2);
    put(b, o->cpu.max_speed, 2);
    put(b, o->cpu.current_speed, 2);
    put(b, 0x41, 1); /* there, enabled */
    put(b, 1, 1);
    put(b, UINT64_C(0xffffffffffff), 6); /* no caches */
    put_string(b, o->cpu.serial);
    put_string(b, o->cpu.asset);
    put_string(b, o->cpu.part);
    put(b, MIN(cores, 255), 1);
    put(b, MIN(cores, 255), 1);
    put(b, MIN(threads, 255), 1);
    put(b, 1 << 1, 2); /* characteristics are not known */
    put(b, 1, 2);
    if (m->entry_point_64) {
        put(b, cores, 2);
        put(b, cores, 2);
        put(b, threads, 2);
    }
    end(b);
}

static void port_connectors(Builder *b)
{
    for (unsigned i = 0; wanted(b, 8) && i < b->options->ports->len; i++) {
        const SmbiosPort *port = &g_array_index(b->options->ports, SmbiosPort, i);

        begin(b, 8, i);
        put_string(b, port->internal);
        put(b, 0, 1);
        put_string(b, port->external);
        put(b, port->connector, 1);
        put(b, port->port, 1);
        end(b);
    }
}

static void oem_strings(Builder *b)
{
    const GPtrArray *strings = b->options->strings;

    if (!wanted(b, 11) || !strings->len) {
        return;
    }
    begin_with_handle(b, 11, 0x0e00); /* as the installed programs have it */
    put(b, strings->len, 1);
    for (unsigned i = 0; i < strings->len; i++) {
        g_ptr_array_add(b->strings, g_ptr_array_index(strings, i));
    }
    end(b);
}

static unsigned dimms(const Builder *b)
{
    return (b->machine->ram_size + DIMM_MAX - 1) / DIMM_MAX;
}

static void memory_array(Builder *b)
{
    uint64_t kib = b->machine->ram_size / KIB;

    begin(b, 16, 0);
    put(b, 1, 1); /* other */
    put(b, 3, 1); /* system memory */
    put(b, 6, 1); /* multi-bit ECC */
    put(b, kib < 0x80000000 ? kib : 0x80000000, 4);
    put(b, NO_ERROR_INFORMATION, 2);
    put(b, dimms(b), 2);
    put(b, kib < 0x80000000 ? 0 : b->machine->ram_size, 8);
    end(b);
}

static void memory_device(Builder *b, unsigned n, uint64_t size)
{
    const SmbiosOptions *o = b->options;
    g_autofree char *locator = g_strdup_printf("%s %u", given_or(o->memory.locator, "DIMM"), n);
    uint64_t mib = (size + MIB - 1) / MIB;

    begin(b, 17, n);
    put(b, 0x1000, 2); /* of that array */
    put(b, NO_ERROR_INFORMATION, 2);
    put(b, UNKNOWN16, 2);
    put(b, UNKNOWN16, 2);
    put(b, MIN(mib, 0x7fff), 2);
    put(b, 9, 1); /* a DIMM */
    put(b, 0, 1);
    put_string(b, locator);
    put_string(b, o->memory.bank);
    put(b, 7, 1); /* RAM */
    put(b, 1 << 1, 2);
    put(b, o->memory.speed, 2);
    put_string(b, given_or(o->memory.manufacturer, b->machine->manufacturer));
    put_string(b, o->memory.serial);
    put_string(b, o->memory.asset);
    put_string(b, o->memory.part);
    put(b, 0, 1);
    put(b, mib < 0x7fff ? 0 : mib, 4);
    put(b, o->memory.speed, 2);
    put(b, 0, 6); /* voltages */
    end(b);
}

static void mapped_address(Builder *b, unsigned n, uint64_t start, uint64_t len)
{
    uint64_t first = start / KIB, last = (start + len - 1) / KIB;
    bool small = last < UINT32_MAX;

    begin(b, 19, n);
    put(b, small ? first : UINT32_MAX, 4);
    put(b, small ? last : UINT32_MAX, 4);
    put(b, 0x1000, 2);
    put(b, 1, 1);
    put(b, small ? 0 : start, 8);
    put(b, small ? 0 : start + len - 1, 8);
    end(b);
}

static void memory(Builder *b)
{
    const SmbiosMachine *m = b->machine;
    unsigned n = 0;

    if (wanted(b, 16)) {
        memory_array(b);
    }
    for (unsigned i = 0; wanted(b, 17) && i < dimms(b); i++) {
        memory_device(b, i, MIN(m->ram_size - i * DIMM_MAX, DIMM_MAX));
    }
    for (unsigned i = 0; wanted(b, 19) && i < G_N_ELEMENTS(m->ranges); i++) {
        if (m->ranges[i].len) {
            mapped_address(b, n++, m->ranges[i].start, m->ranges[i].len);
        }
    }
}

static bool onboard_devices(Builder *b, GError **error)
{
    for (unsigned i = 0; wanted(b, 41) && i < b->options->onboard->len; i++) {
        const SmbiosOnboard *o = &g_array_index(b->options->onboard, SmbiosOnboard, i);
        int address = o->pcidev ? b->machine->pci_address(o->pcidev) : 0;

        if (address < 0) {
            return error_set(error, "No PCI device %s for SMBIOS type 41 entry %s", o->pcidev,
                             given_or(o->designation, "without a designation"));
        }
        begin(b, 41, i);
        put_string(b, o->designation);
        put(b, o->kind | 0x80, 1); /* enabled */
        put(b, o->instance, 1);
        put(b, 0, 2); /* segment */
        put(b, address >> 8, 1);
        put(b, address & 0xff, 1);
        end(b);
    }
    return true;
}

/* ---- entry points ------------------------------------------------------------------------------------------------------------ */

/* Checksums and the address are the firmware's. */
static GByteArray *entry_point_32(const Builder *b)
{
    uint8_t ep[31] = "_SM_";

    ep[5] = sizeof(ep);
    ep[6] = 2;
    ep[7] = 8;
    store_le16(ep + 8, MIN(b->largest, UINT16_MAX));
    memcpy(ep + 16, "_DMI_", 5);
    store_le16(ep + 22, b->out->len);
    store_le16(ep + 28, b->count);
    ep[30] = BCD_REVISION;
    return g_byte_array_append(g_byte_array_new(), ep, sizeof(ep));
}

static GByteArray *entry_point_64(const Builder *b)
{
    uint8_t ep[24] = "_SM3_";

    ep[6] = sizeof(ep);
    ep[7] = 3;
    ep[10] = 1;
    store_le32(ep + 12, b->out->len);
    return g_byte_array_append(g_byte_array_new(), ep, sizeof(ep));
}

bool smbios_build(const SmbiosMachine *machine, GByteArray **tables, GByteArray **anchor,
                  GError **error)
{
    Builder b = { .machine = machine, .options = smbios_options(), .out = g_byte_array_new() };
    bool ok;

    b.strings = g_ptr_array_new();
    b.largest = b.options->blob_max;
    b.count = b.options->blob_count;
    g_byte_array_append(b.out, b.options->blob->data, b.options->blob->len);
    bios_information(&b);
    system_information(&b);
    base_board(&b);
    chassis(&b);
    for (unsigned n = 0; wanted(&b, 4) && n < machine->sockets; n++) {
        processor(&b, n);
    }
    port_connectors(&b);
    oem_strings(&b);
    memory(&b);
    if (wanted(&b, 32)) {
        begin(&b, 32, 0);
        put(&b, 0, 7); /* no error in booting */
        end(&b);
    }
    ok = onboard_devices(&b, error);
    begin(&b, 127, 0);
    end(&b);
    g_ptr_array_unref(b.strings);
    if (ok && !machine->entry_point_64 && b.out->len > UINT16_MAX) {
        ok = error_set(error,
                       "SMBIOS 2.8 tables cannot have %u bytes, 65535 is the most: use "
                       "smbios-entry-point-type=64",
                       b.out->len);
    }
    if (!ok) {
        g_byte_array_unref(b.out);
        return false;
    }
    *tables = b.out;
    *anchor = machine->entry_point_64 ? entry_point_64(&b) : entry_point_32(&b);
    return true;
}
