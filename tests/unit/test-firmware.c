/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What is made for the firmware: AML (hw/acpi/aml.h), tables and the loader's script (hw/acpi/tables.h), SMBIOS
 * (hw/i386/smbios.h), boot order (hw/core/bootorder.h), RAM blocks that a stream resizes.
 */
#include "util/osdep.h"

#include "hw/acpi/aml.h"
#include "hw/acpi/tables.h"
#include "hw/core/bootorder.h"
#include "hw/i386/smbios.h"
#include "hw/nvram/fw_cfg.h"
#include "system/memory.h"
#include "system/ram.h"
#include "util/bytes.h"

/* ---- AML ------------------------------------------------------------------------------------------------------------ */

static void expect(GByteArray *aml, const char *hex)
{
    g_autoptr(GString) got = g_string_new(NULL);

    for (unsigned i = 0; i < aml->len; i++) {
        g_string_append_printf(got, "%02x", aml->data[i]);
    }
    g_assert_cmpstr(got->str, ==, hex);
    g_byte_array_set_size(aml, 0);
}

static void test_aml_terms(void)
{
    g_autoptr(GByteArray) aml = g_byte_array_new();
    size_t term;

    aml_integer(aml, 0);
    aml_integer(aml, 1);
    aml_integer(aml, 0xff);
    aml_integer(aml, 0x100);
    aml_integer(aml, 0x12345678);
    expect(aml, "00"
                "01"
                "0aff"
                "0b0001"
                "0c78563412");
    aml_path(aml, "A");
    aml_path(aml, "\\_SB.PCI0");
    aml_path(aml, "\\_SB.PCI0.ISA");
    expect(aml, "415f5f5f"
                "5c2e"
                "5f53425f"
                "50434930"
                "5c2f03"
                "5f53425f"
                "50434930"
                "4953415f");
    aml_name(aml, "_UID");
    aml_string(aml, "x");
    expect(aml, "085f554944"
                "0d7800");
    aml_buffer(aml, "\1\2", 2);
    expect(aml, "11"
                "05"
                "0a02"
                "0102");
    term = aml_open_device(aml, "C001");
    aml_close(aml, term);
    expect(aml, "5b82"
                "05"
                "43303031");
    term = aml_open_method(aml, "_OST", 3, true);
    aml_return(aml);
    aml_arg(aml, 2);
    aml_close(aml, term);
    expect(aml, "14"
                "08"
                "5f4f5354"
                "0b"
                "a4"
                "6a");
    aml_external(aml, "X", AML_METHOD, 2);
    expect(aml, "15"
                "585f5f5f"
                "08"
                "02");
}

/* PkgLength at each of its borders: the length counts its own bytes (20.2.4). */
static void test_aml_lengths(void)
{
    static const struct {
        unsigned contents;
        const char *encoded;
    } cases[] = {
        { 62, "3f" },       { 63, "4104" },        { 4093, "4fff" },
        { 4094, "810001" }, { 1048572, "8fffff" }, { 1048573, "c1000001" },
    };

    for (unsigned i = 0; i < G_N_ELEMENTS(cases); i++) {
        g_autoptr(GByteArray) aml = g_byte_array_new();
        g_autofree uint8_t *contents = g_malloc0(cases[i].contents);
        size_t term = aml_open_if(aml);
        g_autoptr(GString) got = g_string_new(NULL);

        g_byte_array_append(aml, contents, cases[i].contents);
        aml_close(aml, term);
        for (unsigned n = 1; n < aml->len - cases[i].contents; n++) {
            g_string_append_printf(got, "%02x", aml->data[n]);
        }
        g_assert_cmpstr(got->str, ==, cases[i].encoded);
    }
}

static void test_aml_find_name(void)
{
    g_autoptr(GByteArray) aml = g_byte_array_new();

    aml_name(aml, "AAAA");
    aml_integer(aml, 5);
    aml_name(aml, "\\P_XX");
    aml_integer(aml, 0x0f);
    g_assert_cmphex(aml_find_name(aml->data, aml->len, "AAAA")[1], ==, 5);
    g_assert_cmphex(aml_find_name(aml->data, aml->len, "P_XX")[1], ==, 0x0f);
}

/* ---- tables ------------------------------------------------------------------------------------------------------------ */

static void test_tables(void)
{
    AcpiTables *t = acpi_tables_new("ID", "TABLEID");
    uint32_t start = acpi_table_begin(t, "TEST", 3, NULL), other;
    const uint8_t *h;

    acpi_put(t, 0x1234, 2);
    acpi_put_pointer(t, start);
    acpi_table_end(t, start);
    h = t->blob->data + start;
    g_assert_cmpmem(h, 4, "TEST", 4);
    g_assert_cmpuint(load_le32(h + 4), ==, ACPI_HEADER_SIZE + 6);
    g_assert_cmpmem(h + 8, 16, "\3\0ID    TABLEID ", 16);
    other = acpi_table_begin(t, "DSDT", 1, "OTHER");
    acpi_table_end(t, other);
    g_assert_cmpmem(t->blob->data + other + 16, 8, "OTHER   ", 8);
    acpi_tables_finish(t);
    /* The RSDT names the one, not the DSDT. */
    g_assert_cmpuint(t->blob->len, ==,
                     start + ACPI_HEADER_SIZE + 6 + ACPI_HEADER_SIZE + ACPI_HEADER_SIZE + 4);
    g_assert_cmpmem(t->rsdp->data, 8, "RSD PTR ", 8);
    /* Two files, a pointer, two checksums, RSDT's pointer and checksum, RSDP's. */
    g_assert_cmpuint(t->loader->len, ==, 128 * (2 + 1 + 2 + 2 + 2));
    g_assert_cmpuint(load_le32(t->loader->data), ==, 1);
    g_assert_cmpstr((char *)t->loader->data + 4, ==, ACPI_RSDP_FILE);
    g_assert_cmpuint(load_le32(t->loader->data + 256), ==, 2);
    g_assert_cmpuint(load_le32(t->loader->data + 256 + 116), ==, start + ACPI_HEADER_SIZE + 2);
    acpi_tables_free(t);
}

static unsigned built;

static void build(AcpiTables *tables, void *opaque)
{
    built++;
    acpi_table_end(tables, acpi_table_begin(tables, "DEV1", 1, NULL));
}

static void test_builders(void)
{
    AcpiTables *t = acpi_tables_new(NULL, NULL);

    acpi_add_builder(build, NULL);
    acpi_run_builders(t);
    g_assert_cmpuint(t->listed->len, ==, 1);
    acpi_del_builder(build, NULL);
    acpi_run_builders(t);
    g_assert_cmpuint(built, ==, 1);
    acpi_tables_free(t);
}

/* ---- SMBIOS ------------------------------------------------------------------------------------------------------------- */

static int no_pci(const char *id)
{
    return -1;
}

static SmbiosMachine machine(uint64_t ram)
{
    return (SmbiosMachine){ .manufacturer = "QEMU",
                            .product = "P",
                            .version = "V",
                            .sockets = 2,
                            .cores = 3,
                            .threads = 1,
                            .ram_size = ram,
                            .ranges = { { 0, 3 << 20 }, { UINT64_C(4) << 30, ram } },
                            .pci_address = no_pci };
}

/* How many structures of a type there are; the last one's formatted part. */
static unsigned count_type(const GByteArray *tables, uint8_t type, const uint8_t **last)
{
    unsigned n = 0;

    for (unsigned at = 0; at < tables->len;) {
        const uint8_t *s = tables->data + at;

        if (s[0] == type) {
            *last = s;
            n++;
        }
        for (at += s[1]; tables->data[at] || tables->data[at + 1]; at++) {
        }
        at += 2;
    }
    return n;
}

static void test_smbios_large_memory(void)
{
    SmbiosMachine m = machine(UINT64_C(5) << 40); /* 5 TiB */
    g_autoptr(GByteArray) tables = NULL, anchor = NULL;
    const uint8_t *s = NULL;

    m.entry_point_64 = true;
    g_assert_true(smbios_build(&m, &tables, &anchor, NULL));
    g_assert_true(
        smbios_check_blob(tables->data, tables->len - 6, NULL)); /* without the end's structure */
    g_assert_cmpuint(count_type(tables, 17, &s), ==, 320);       /* of 16 GiB */
    g_assert_cmpuint(load_le16(s + 12), ==, 16384);
    g_assert_cmpuint(count_type(tables, 16, &s), ==, 1);
    g_assert_cmphex(load_le32(s + 7), ==, 0x80000000); /* see the extended field */
    g_assert_cmphex(load_le64(s + 15), ==, m.ram_size);
    g_assert_cmpuint(count_type(tables, 19, &s), ==, 2);
    g_assert_cmphex(load_le32(s + 4), ==, 0xffffffff);
    g_assert_cmphex(load_le64(s + 15), ==, UINT64_C(4) << 30);
    g_assert_cmpuint(count_type(tables, 4, &s), ==, 2);
    g_assert_cmpuint(s[35], ==, 3);
    g_assert_cmpuint(count_type(tables, 127, &s), ==, 1);
    g_assert_cmpuint(load_le32(anchor->data + 12), ==, tables->len);
}

static void test_smbios_too_large_for_28(void)
{
    SmbiosMachine m = machine(UINT64_C(40) << 40);
    g_autoptr(GByteArray) tables = NULL, anchor = NULL;
    g_autoptr(GError) error = NULL;

    g_assert_false(smbios_build(&m, &tables, &anchor, &error));
    g_assert_nonnull(strstr(error->message, "65535"));
}

static void test_smbios_blobs(void)
{
    static const uint8_t good[] = { 1, 4, 0, 1, 'a', 0, 0, 2, 5, 0, 2, 9, 0, 0 };
    uint8_t bad_type[] = { 127, 4, 0, 1, 0, 0 }, short_header[] = { 1, 3, 0, 0, 0, 0 };

    g_assert_true(smbios_check_blob(good, sizeof(good), NULL));
    for (size_t len = 0; len < sizeof(good); len++) {
        g_assert_true(smbios_check_blob(good, len, NULL) == (len == 7));
    }
    g_assert_false(smbios_check_blob(bad_type, sizeof(bad_type), NULL));
    g_assert_false(smbios_check_blob(short_header, sizeof(short_header), NULL));
}

/* ---- boot order ------------------------------------------------------------------------------------------------------------ */

static void test_boot_order(void)
{
    g_autoptr(GByteArray) list = NULL;
    g_autoptr(GError) error = NULL;

    g_assert_true(boot_order_check("", NULL));
    g_assert_true(boot_order_check("acdn", NULL));
    g_assert_false(boot_order_check("cc", NULL));
    g_assert_false(boot_order_check("q", NULL));
    g_assert_true(boot_index_set_path("/b", 7, NULL));
    g_assert_true(boot_index_set_path("/a", 0, NULL));
    g_assert_false(boot_index_set_path("/c", 7, &error));
    g_assert_cmpstr(error->message, ==, "The bootindex 7 has already been used");
    g_assert_true(boot_index_set_path("/b", 7, NULL)); /* its own */
    list = boot_order_list(true);
    g_assert_cmpmem(list->data, list->len, "/a\n/b\nHALT", 11);
    g_clear_pointer(&list, g_byte_array_unref);
    g_assert_true(boot_index_set_path("/a", -1, NULL));
    g_assert_true(boot_index_set_path("/b", -1, NULL));
    list = boot_order_list(true); /* nothing to say, not even HALT */
    g_assert_cmpuint(list->len, ==, 0);
}

/* ---- RAM ------------------------------------------------------------------------------------------------------------------ */

static void init_memory(void)
{
    static bool done;

    if (!done) {
        memory_init();
        done = true;
    }
}

/* P2: a command that comes after the last look at the dirty bitmap changes nothing and is remembered by name. */
static void test_fw_cfg_writes_no_closed_ram(void)
{
    MemoryRegion *ram;
    uint8_t *at, command[16] = { 0 };
    FwCfg *fw;

    init_memory();
    ram = memory_region_new_ram(NULL, "fw-ram", 0x4000, NULL);
    memory_region_map(system_memory(), 0, ram);
    fw = fw_cfg_io_new(NULL);
    g_assert_nonnull(fw);
    at = memory_region_ram_ptr(ram);
    store_be32(command, 8 | 2);
    store_be32(command + 4, 4);
    store_be64(command + 8, 0x2000);
    memcpy(at + 0x1000, command, sizeof(command));
    ram_close();
    port_write(0x514, 0, 4);
    port_write(0x518, GUINT32_SWAP_LE_BE(0x1000), 4);
    g_assert_cmpmem(at + 0x1000, 16, command, 16);
    g_assert_cmphex(load_le32(at + 0x2000), ==, 0);
    g_assert_cmpstr(ram_late_writer(), ==, "fw_cfg");
    ram_open();
    port_write(0x518, GUINT32_SWAP_LE_BE(0x1000), 4);
    g_assert_cmphex(load_be32(at + 0x1000), ==, 0);
    g_assert_cmpmem(at + 0x2000, 4, "QEMU", 4);
    device_unrealize((Device *)fw);
    memory_region_free(ram);
}

static void test_ram_block_takes_another_size(void)
{
    MemoryRegion *rom, *fixed;
    RamBlock *block;
    g_autoptr(GError) error = NULL;

    init_memory();
    rom = memory_region_new_rom_resizable(NULL, "rom", 0x3000, 0x8000, NULL);
    block = memory_region_ram_block(rom);
    g_assert_cmphex(block->size, ==, 0x3000);
    g_assert_cmphex(block->max_size, ==, 0x8000);
    memset(block->host, 0xaa, 0x3000);
    g_assert_true(ram_block_resize(block, 0x8000, NULL));
    g_assert_cmphex(memory_region_size(rom), ==, 0x8000);
    g_assert_cmphex(block->host[0x2fff], ==, 0xaa);
    g_assert_cmphex(block->host[0x3000], ==, 0);
    g_assert_true(ram_block_resize(block, 0x1000, NULL));
    g_assert_true(ram_block_resize(block, 0x2000, NULL));
    g_assert_cmphex(block->host[0xfff], ==, 0xaa);
    g_assert_cmphex(block->host[0x1000], ==, 0);
    g_assert_false(ram_block_resize(block, 0x8001, &error));
    g_assert_false(ram_block_resize(block, 0, NULL));
    fixed = memory_region_new_rom(NULL, "fixed", 0x1000, NULL);
    g_assert_false(ram_block_resize(memory_region_ram_block(fixed), 0x1000, NULL));
    memory_region_free(rom);
    memory_region_free(fixed);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/firmware/aml/terms", test_aml_terms);
    g_test_add_func("/firmware/aml/lengths", test_aml_lengths);
    g_test_add_func("/firmware/aml/find-name", test_aml_find_name);
    g_test_add_func("/firmware/tables", test_tables);
    g_test_add_func("/firmware/builders", test_builders);
    g_test_add_func("/firmware/smbios/large-memory", test_smbios_large_memory);
    g_test_add_func("/firmware/smbios/too-large-for-2.8", test_smbios_too_large_for_28);
    g_test_add_func("/firmware/smbios/blobs", test_smbios_blobs);
    g_test_add_func("/firmware/boot-order", test_boot_order);
    g_test_add_func("/firmware/fw_cfg-writes-no-closed-ram", test_fw_cfg_writes_no_closed_ram);
    g_test_add_func("/firmware/ram-block-takes-another-size", test_ram_block_takes_another_size);
    return g_test_run();
}
