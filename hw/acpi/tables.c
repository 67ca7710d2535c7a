/* SPDX-License-Identifier: GPL-2.0-or-later */
/* ACPI tables and the loader's script. See the header. */
#include "util/osdep.h"

#include "hw/acpi/tables.h"
#include "util/bytes.h"

#define CREATOR "BXPC"
#define OFFSET_LENGTH 4
#define OFFSET_CHECKSUM 9
#define OFFSET_OEM 10
#define RSDP_SIZE 20
#define RSDP_CHECKSUM 8
#define RSDP_RSDT 16

enum { LOADER_ALLOCATE = 1, LOADER_ADD_POINTER = 2, LOADER_CHECKSUM = 3, LOADER_WRITE_POINTER = 4 };
enum { ZONE_HIGH = 1, ZONE_LOW = 2 };
#define LOADER_ENTRY_SIZE 128
#define LOADER_NAME_SIZE 56

static void fill_up(char *to, size_t len, const char *text)
{
    memset(to, ' ', len);
    memcpy(to, text, MIN(len, strlen(text)));
    to[len] = '\0';
}

AcpiTables *acpi_tables_new(const char *oem_id, const char *oem_table_id)
{
    AcpiTables *tables = g_new0(AcpiTables, 1);

    tables->blob = g_byte_array_new();
    tables->rsdp = g_byte_array_new();
    tables->loader = g_byte_array_new();
    tables->listed = g_array_new(FALSE, FALSE, sizeof(uint32_t));
    fill_up(tables->oem_id, 6, oem_id ? oem_id : "BOCHS");
    fill_up(tables->oem_table_id, 8, oem_table_id ? oem_table_id : "BXPC");
    acpi_loader_allocate(tables, ACPI_RSDP_FILE, 16, true);
    acpi_loader_allocate(tables, ACPI_TABLES_FILE, 64, false);
    return tables;
}

void acpi_tables_free(AcpiTables *tables)
{
    g_byte_array_unref(tables->blob);
    g_byte_array_unref(tables->rsdp);
    g_byte_array_unref(tables->loader);
    g_array_unref(tables->listed);
    g_free(tables);
}

/* ---- contents ------------------------------------------------------------------------------------------------------ */

void acpi_put(AcpiTables *tables, uint64_t value, unsigned size)
{
    uint8_t bytes[8];

    g_assert(size <= sizeof(bytes));
    store_le64(bytes, value);
    g_byte_array_append(tables->blob, bytes, size);
}

void acpi_put_bytes(AcpiTables *tables, const void *data, size_t len)
{
    g_byte_array_append(tables->blob, data, len);
}

void acpi_put_zeros(AcpiTables *tables, size_t len)
{
    size_t at = tables->blob->len;

    g_byte_array_set_size(tables->blob, at + len);
    memset(tables->blob->data + at, 0, len);
}

void acpi_put_pointer(AcpiTables *tables, uint32_t offset)
{
    acpi_loader_add_pointer(tables, ACPI_TABLES_FILE, tables->blob->len, 4, ACPI_TABLES_FILE);
    acpi_put(tables, offset, 4);
}

static void put_header(AcpiTables *tables, const char *signature, uint8_t revision,
                       const char *oem_table_id)
{
    char id[9];

    fill_up(id, 8, oem_table_id ? oem_table_id : tables->oem_table_id);
    acpi_put_bytes(tables, signature, 4);
    acpi_put(tables, 0, 4); /* length, at the end */
    acpi_put(tables, revision, 1);
    acpi_put(tables, 0, 1); /* checksum, by the loader */
    acpi_put_bytes(tables, tables->oem_id, 6);
    acpi_put_bytes(tables, id, 8);
    acpi_put(tables, 1, 4);
    acpi_put_bytes(tables, CREATOR, 4);
    acpi_put(tables, 1, 4);
}

static void list_table(AcpiTables *tables, const char *signature, uint32_t start)
{
    if (memcmp(signature, "DSDT", 4) && memcmp(signature, "FACS", 4) &&
        memcmp(signature, "RSDT", 4)) {
        g_array_append_val(tables->listed, start);
    }
}

uint32_t acpi_table_begin(AcpiTables *tables, const char *signature, uint8_t revision,
                          const char *oem_table_id)
{
    uint32_t start = tables->blob->len;

    list_table(tables, signature, start);
    put_header(tables, signature, revision, oem_table_id);
    return start;
}

void acpi_table_end(AcpiTables *tables, uint32_t start)
{
    uint32_t len = tables->blob->len - start;

    store_le32(tables->blob->data + start + OFFSET_LENGTH, len);
    acpi_loader_checksum(tables, ACPI_TABLES_FILE, start + OFFSET_CHECKSUM, start, len);
}

uint32_t acpi_table_add(AcpiTables *tables, const void *table, size_t len, bool restamp)
{
    uint32_t start = tables->blob->len;
    uint8_t *header;

    g_assert(len >= ACPI_HEADER_SIZE);
    list_table(tables, table, start);
    acpi_put_bytes(tables, table, len);
    header = tables->blob->data + start;
    header[OFFSET_CHECKSUM] = 0;
    if (restamp) {
        memcpy(header + OFFSET_OEM, tables->oem_id, 6);
        if (!memcmp(header + OFFSET_OEM + 6, "BXPC    ", 8)) {
            memcpy(header + OFFSET_OEM + 6, tables->oem_table_id, 8);
        }
        memcpy(header + 28, CREATOR, 4);
        store_le32(header + 32, 1);
    }
    acpi_table_end(tables, start);
    return start;
}

void acpi_tables_finish(AcpiTables *tables)
{
    uint32_t rsdt = acpi_table_begin(tables, "RSDT", 1, NULL);
    uint8_t rsdp[RSDP_SIZE] = "RSD PTR ";

    for (unsigned i = 0; i < tables->listed->len; i++) {
        acpi_put_pointer(tables, g_array_index(tables->listed, uint32_t, i));
    }
    acpi_table_end(tables, rsdt);

    memcpy(rsdp + 9, tables->oem_id, 6);
    store_le32(rsdp + RSDP_RSDT, rsdt);
    g_byte_array_append(tables->rsdp, rsdp, sizeof(rsdp));
    acpi_loader_add_pointer(tables, ACPI_RSDP_FILE, RSDP_RSDT, 4, ACPI_TABLES_FILE);
    acpi_loader_checksum(tables, ACPI_RSDP_FILE, RSDP_CHECKSUM, 0, RSDP_SIZE);
}

/* ---- script ---------------------------------------------------------------------------------------------------------- */

static void put_file(uint8_t *at, const char *file)
{
    g_assert(strlen(file) < LOADER_NAME_SIZE);
    memcpy(at, file, strlen(file));
}

/* An entry: le32 command, then what the command has. */
static void put_entry(AcpiTables *tables, uint32_t command, uint8_t entry[LOADER_ENTRY_SIZE])
{
    store_le32(entry, command);
    g_byte_array_append(tables->loader, entry, LOADER_ENTRY_SIZE);
}

void acpi_loader_allocate(AcpiTables *tables, const char *file, uint32_t align, bool low)
{
    uint8_t entry[LOADER_ENTRY_SIZE] = { 0 };

    put_file(entry + 4, file);
    store_le32(entry + 60, align);
    entry[64] = low ? ZONE_LOW : ZONE_HIGH;
    put_entry(tables, LOADER_ALLOCATE, entry);
}

void acpi_loader_add_pointer(AcpiTables *tables, const char *dest, uint32_t offset, uint8_t size,
                             const char *src)
{
    uint8_t entry[LOADER_ENTRY_SIZE] = { 0 };

    put_file(entry + 4, dest);
    put_file(entry + 60, src);
    store_le32(entry + 116, offset);
    entry[120] = size;
    put_entry(tables, LOADER_ADD_POINTER, entry);
}

void acpi_loader_checksum(AcpiTables *tables, const char *file, uint32_t offset, uint32_t start,
                          uint32_t len)
{
    uint8_t entry[LOADER_ENTRY_SIZE] = { 0 };

    put_file(entry + 4, file);
    store_le32(entry + 60, offset);
    store_le32(entry + 64, start);
    store_le32(entry + 68, len);
    put_entry(tables, LOADER_CHECKSUM, entry);
}

void acpi_loader_write_pointer(AcpiTables *tables, const char *dest, uint32_t dest_offset,
                               uint8_t size, const char *src, uint32_t src_offset)
{
    uint8_t entry[LOADER_ENTRY_SIZE] = { 0 };

    put_file(entry + 4, dest);
    put_file(entry + 60, src);
    store_le32(entry + 116, dest_offset);
    store_le32(entry + 120, src_offset);
    entry[124] = size;
    put_entry(tables, LOADER_WRITE_POINTER, entry);
}

/* ---- tables of devices ----------------------------------------------------------------------------------------------- */

typedef struct Builder {
    AcpiBuilder *build;
    void *opaque;
} Builder;

static GArray *builders; /* Builder */

void acpi_add_builder(AcpiBuilder *build, void *opaque)
{
    Builder builder = { build, opaque };

    if (!builders) {
        builders = g_array_new(FALSE, FALSE, sizeof(Builder));
    }
    g_array_append_val(builders, builder);
}

void acpi_del_builder(AcpiBuilder *build, void *opaque)
{
    for (unsigned i = 0; builders && i < builders->len; i++) {
        const Builder *b = &g_array_index(builders, Builder, i);

        if (b->build == build && b->opaque == opaque) {
            g_array_remove_index(builders, i);
            return;
        }
    }
}

void acpi_run_builders(AcpiTables *tables)
{
    for (unsigned i = 0; builders && i < builders->len; i++) {
        const Builder *b = &g_array_index(builders, Builder, i);

        b->build(tables, b->opaque);
    }
}
