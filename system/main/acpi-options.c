/* SPDX-License-Identifier: GPL-2.0-or-later */
/* -acpitable: a table of the user's, from files with its contents or with all of it. */
#include "util/osdep.h"

#include <fcntl.h>

#include "boot-options.h"
#include "util/bytes.h"
#include "util/error.h"
#include "util/keyval.h"

#define HEADER_SIZE 36
#define TABLE_MAX (1024 * 1024)

/* Offsets in the header (ACPI 6.3, 5.2.6). */
static const struct {
    const char *key;
    unsigned offset, size;
    bool number;
} fields[] = {
    { "sig", 0, 4, false },
    { "rev", 8, 1, true },
    { "oem_id", 10, 6, false },
    { "oem_table_id", 16, 8, false },
    { "oem_rev", 24, 4, true },
    { "asl_compiler_id", 28, 4, false },
    { "asl_compiler_rev", 32, 4, true },
};

/* Puts the contents of the files (names with colons between) behind the table. */
static bool append_files(GByteArray *table, const char *names, GError **error)
{
    g_auto(GStrv) files = g_strsplit(names, ":", -1);

    for (unsigned i = 0; files[i]; i++) {
        g_autofree char *data = NULL;
        gsize len;
        int fd = open(files[i], O_RDONLY);

        if (fd < 0) {
            return error_set_errno(error, errno, "can't open file %s", files[i]);
        }
        close(fd);
        if (!g_file_get_contents(files[i], &data, &len, NULL)) {
            return error_set(error, "can't read file %s", files[i]);
        }
        g_byte_array_append(table, (uint8_t *)data, len);
        if (table->len > TABLE_MAX) {
            return error_set(error, "file %s: the table is larger than 1 MiB", files[i]);
        }
    }
    return true;
}

static bool set_field(GByteArray *table, unsigned i, const char *text, GError **error)
{
    uint8_t bytes[8] = { 0 };
    uint64_t number;

    if (fields[i].number) {
        if (!parse_uint64(text, &number, NULL) || number >> fields[i].size * 8) {
            return error_set(error, "Parameter '%s' expects a number of %u bytes", fields[i].key,
                             fields[i].size);
        }
        store_le64(bytes, number);
    } else if (strlen(text) > fields[i].size) {
        return error_set(error, "Parameter '%s' has more than %u characters: '%s'", fields[i].key,
                         fields[i].size, text);
    } else {
        memcpy(bytes, text, strlen(text));
    }
    memcpy(table->data + fields[i].offset, bytes, fields[i].size);
    return true;
}

static const char *text_of(json_object *props, const char *key)
{
    json_object *value;

    return json_object_object_get_ex(props, key, &value) ? json_object_get_string(value) : NULL;
}

static bool known_keys(json_object *props, GError **error)
{
    json_object_object_foreach(props, key, value)
    {
        bool known = !strcmp(key, "data") || !strcmp(key, "file");

        (void)value;
        for (unsigned i = 0; i < G_N_ELEMENTS(fields); i++) {
            known |= !strcmp(key, fields[i].key);
        }
        if (!known) {
            return error_set(error, "Invalid parameter '%s'", key);
        }
    }
    return true;
}

static bool make_table(json_object *props, GByteArray *table, GError **error)
{
    static const char usual[HEADER_SIZE + 1] = "QEMU\0\0\0\0\1\0QEMUQEQEMUQEMU\1\0\0\0QEMU\1\0\0";
    const char *data = text_of(props, "data"), *file = text_of(props, "file");

    if (!data == !file) {
        return error_set(error, "'-acpitable' requires one of 'data' or 'file'");
    }
    if (data) {
        g_byte_array_append(table, (const uint8_t *)usual, HEADER_SIZE);
        if (json_object_object_length(props) == 1) {
            warn_report("ACPI table: no headers are specified");
        }
    }
    if (!append_files(table, data ? data : file, error)) {
        return false;
    }
    if (file && (table->len < HEADER_SIZE || load_le32(table->data + 4) != table->len)) {
        return error_set(
            error, "file %s is no ACPI table: it has %u bytes, its header says %" PRIu32, file,
            table->len, table->len < HEADER_SIZE ? 0 : load_le32(table->data + 4));
    }
    for (unsigned i = 0; i < G_N_ELEMENTS(fields); i++) {
        const char *text = text_of(props, fields[i].key);

        if (text && !set_field(table, i, text, error)) {
            return false;
        }
    }
    store_le32(table->data + 4, table->len);
    return true;
}

static GPtrArray *acpi_tables;

static bool parse_table(const char *arg, GError **error)
{
    json_object *props = keyval_parse(arg, NULL, false, NULL, error);
    GByteArray *table = g_byte_array_new();
    bool ok = props && known_keys(props, error) && make_table(props, table, error);

    if (props) {
        json_object_put(props);
    }
    if (!ok) {
        g_byte_array_unref(table);
        return false;
    }
    g_ptr_array_add(acpi_tables, g_byte_array_free_to_bytes(table));
    return true;
}

bool acpi_tables_from_options(const Options *options, Machine *machine)
{
    if (!options_has(options, OPT_ACPITABLE)) {
        return true;
    }
    acpi_tables = g_ptr_array_new_with_free_func((GDestroyNotify)g_bytes_unref);
    machine->acpi_tables = acpi_tables;
    return options_each(options, OPT_ACPITABLE, parse_table);
}
