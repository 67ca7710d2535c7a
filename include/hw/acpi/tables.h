/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * ACPI system description tables (ACPI 6.3, chapter 5.2), one behind the other in a blob, and the script by which the
 * firmware places them: allocate a file, add a file's address to a pointer, make a checksum. Big lock.
 */
#ifndef HW_ACPI_TABLES_H
#define HW_ACPI_TABLES_H

#include <glib.h>

#define ACPI_HEADER_SIZE 36
#define ACPI_TABLES_FILE "etc/acpi/tables"
#define ACPI_RSDP_FILE "etc/acpi/rsdp"
#define ACPI_LOADER_FILE "etc/table-loader"

typedef struct AcpiTables {
    GByteArray *blob;   /* ACPI_TABLES_FILE */
    GByteArray *rsdp;   /* ACPI_RSDP_FILE */
    GByteArray *loader; /* ACPI_LOADER_FILE */
    GArray *listed;     /* uint32_t: offsets of the tables that the RSDT names */
    char oem_id[7], oem_table_id[9];
} AcpiTables;

/* The names fill up with blanks; NULL: "BOCHS", "BXPC". */
AcpiTables *acpi_tables_new(const char *oem_id, const char *oem_table_id);
void acpi_tables_free(AcpiTables *tables);

/* ---- contents: appended to the blob -------------------------------------------------------------------------------- */

void acpi_put(AcpiTables *tables, uint64_t value, unsigned size); /* little-endian */
void acpi_put_bytes(AcpiTables *tables, const void *data, size_t len);
void acpi_put_zeros(AcpiTables *tables, size_t len);
/* Four bytes that will be the address of what is at that offset of the blob. */
void acpi_put_pointer(AcpiTables *tables, uint32_t offset);

/* A header; returns where it is. The end fills in the length and has the checksum made. Tables but DSDT and FACS are listed
 * in the RSDT. oem_table_id NULL: the usual one. */
uint32_t acpi_table_begin(AcpiTables *tables, const char *signature, uint8_t revision,
                          const char *oem_table_id);
void acpi_table_end(AcpiTables *tables, uint32_t start);
/* A table as it is, header included (compiled AML: OEM id and compiler are made the usual ones if restamp). */
uint32_t acpi_table_add(AcpiTables *tables, const void *table, size_t len, bool restamp);
/* RSDT and RSDP, after all others. */
void acpi_tables_finish(AcpiTables *tables);

/* ---- script ---------------------------------------------------------------------------------------------------------- */

/* The firmware allocates the file, in low memory (below 1 MiB, where RSDP and EBDA are) or anywhere below 4 GiB. */
void acpi_loader_allocate(AcpiTables *tables, const char *file, uint32_t align, bool low);
void acpi_loader_add_pointer(AcpiTables *tables, const char *dest, uint32_t offset, uint8_t size,
                             const char *src);
void acpi_loader_checksum(AcpiTables *tables, const char *file, uint32_t offset, uint32_t start,
                          uint32_t len);
/* The address of src plus an offset goes back into a writable fw_cfg file. */
void acpi_loader_write_pointer(AcpiTables *tables, const char *dest, uint32_t dest_offset,
                               uint8_t size, const char *src, uint32_t src_offset);

/* ---- tables of devices ----------------------------------------------------------------------------------------------- */

/* Called each time the tables are made; it may add tables and script. The same number of bytes each time. */
typedef void AcpiBuilder(AcpiTables *tables, void *opaque);
void acpi_add_builder(AcpiBuilder *build, void *opaque);
void acpi_del_builder(AcpiBuilder *build, void *opaque);
void acpi_run_builders(AcpiTables *tables);

#endif
