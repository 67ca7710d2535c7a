/* SPDX-License-Identifier: GPL-2.0-or-later */
/* -smbios: fields of structures as key=value, and files with whole structures. */
#include "util/osdep.h"

#include <stdio.h>

#include "hw/i386/smbios.h"
#include "smbios-options.h"
#include "system/identity.h"
#include "util/error.h"
#include "util/keyval.h"

#define SMBIOS_TYPES 128
#define HEADER_SIZE 4

static SmbiosOptions options;

SmbiosOptions *smbios_options(void)
{
    if (!options.blob) {
        options.blob = g_byte_array_new();
        options.ports = g_array_new(FALSE, TRUE, sizeof(SmbiosPort));
        options.onboard = g_array_new(FALSE, TRUE, sizeof(SmbiosOnboard));
        options.strings = g_ptr_array_new_with_free_func(g_free);
        options.cpu.max_speed = options.cpu.current_speed = 2000;
    }
    return &options;
}

void smbios_reset_options(void)
{
    options = (SmbiosOptions){ 0 };
}

/* ---- fields ---------------------------------------------------------------------------------------------------------- */

typedef enum FieldKind {
    TEXT,
    TEXTS,
    TEXT_FILE,
    NUMBER8,
    NUMBER16,
    ID64,
    BOOLEAN,
    RELEASE,
    UUID,
    KIND
} FieldKind;

typedef struct Field {
    uint8_t type;
    const char *key;
    FieldKind kind;
    size_t offset; /* in SmbiosOptions; in the element for types 8 and 41 */
} Field;

#define F(type_, key_, kind_, member)                       \
    {                                                       \
        type_, key_, kind_, offsetof(SmbiosOptions, member) \
    }
#define P(key_, kind_, member)                       \
    {                                                \
        8, key_, kind_, offsetof(SmbiosPort, member) \
    }
#define O(key_, kind_, member)                           \
    {                                                    \
        41, key_, kind_, offsetof(SmbiosOnboard, member) \
    }
static const Field fields[] = {
    F(0, "vendor", TEXT, bios.vendor),
    F(0, "version", TEXT, bios.version),
    F(0, "date", TEXT, bios.date),
    F(0, "release", RELEASE, bios.major),
    F(0, "uefi", BOOLEAN, bios.uefi),
    F(1, "manufacturer", TEXT, system.manufacturer),
    F(1, "product", TEXT, system.product),
    F(1, "version", TEXT, system.version),
    F(1, "serial", TEXT, system.serial),
    F(1, "uuid", UUID, system.uuid),
    F(1, "sku", TEXT, system.sku),
    F(1, "family", TEXT, system.family),
    F(2, "manufacturer", TEXT, board.manufacturer),
    F(2, "product", TEXT, board.product),
    F(2, "version", TEXT, board.version),
    F(2, "serial", TEXT, board.serial),
    F(2, "asset", TEXT, board.asset),
    F(2, "location", TEXT, board.location),
    F(3, "manufacturer", TEXT, chassis.manufacturer),
    F(3, "version", TEXT, chassis.version),
    F(3, "serial", TEXT, chassis.serial),
    F(3, "asset", TEXT, chassis.asset),
    F(3, "sku", TEXT, chassis.sku),
    F(4, "sock_pfx", TEXT, cpu.socket),
    F(4, "manufacturer", TEXT, cpu.manufacturer),
    F(4, "version", TEXT, cpu.version),
    F(4, "serial", TEXT, cpu.serial),
    F(4, "asset", TEXT, cpu.asset),
    F(4, "part", TEXT, cpu.part),
    F(4, "max-speed", NUMBER16, cpu.max_speed),
    F(4, "current-speed", NUMBER16, cpu.current_speed),
    F(4, "processor-id", ID64, cpu.id),
    P("internal_reference", TEXT, internal),
    P("external_reference", TEXT, external),
    P("connector_type", NUMBER8, connector),
    P("port_type", NUMBER8, port),
    F(11, "value", TEXTS, strings),
    F(11, "path", TEXT_FILE, strings),
    F(17, "loc_pfx", TEXT, memory.locator),
    F(17, "bank", TEXT, memory.bank),
    F(17, "manufacturer", TEXT, memory.manufacturer),
    F(17, "serial", TEXT, memory.serial),
    F(17, "asset", TEXT, memory.asset),
    F(17, "part", TEXT, memory.part),
    F(17, "speed", NUMBER16, memory.speed),
    O("designation", TEXT, designation),
    O("kind", KIND, kind),
    O("instance", NUMBER8, instance),
    O("pcidev", TEXT, pcidev),
};

static bool known_type(unsigned type)
{
    for (unsigned i = 0; i < G_N_ELEMENTS(fields); i++) {
        if (fields[i].type == type) {
            return true;
        }
    }
    return false;
}

/* DSP0134, 7.42.1 */
static bool parse_kind(const char *text, uint8_t *kind, GError **error)
{
    static const char *const names[] = { "other",     "unknown", "video", "scsi", "ethernet",
                                         "tokenring", "sound",   "pata",  "sata", "sas" };

    for (unsigned i = 0; i < G_N_ELEMENTS(names); i++) {
        if (!strcmp(text, names[i])) {
            *kind = i + 1;
            return true;
        }
    }
    return error_set(error, "invalid parameter value: %s", text);
}

static bool parse_number(const Field *f, const char *text, uint64_t max, uint64_t *value,
                         GError **error)
{
    return (parse_uint64(text, value, NULL) && *value <= max) ||
           error_set(error, "Parameter '%s' expects a number up to %" PRIu64, f->key, max);
}

static bool add_text_file(GPtrArray *texts, const char *path, GError **error)
{
    g_autofree char *text = NULL;
    gsize len;

    if (!g_file_get_contents(path, &text, &len, NULL)) {
        return error_set(error, "Unable to open %s", path);
    }
    if (strlen(text) != len || len == 0) {
        return error_set(error, "%s is not a text: it is empty or has a NUL in it", path);
    }
    g_ptr_array_add(texts, g_steal_pointer(&text));
    return true;
}

static bool set_field(const Field *f, void *base, const char *text, GError **error)
{
    void *member = (char *)base + f->offset;
    uint64_t number = 0;
    unsigned major, minor;
    char rest;

    switch (f->kind) {
    case UUID:
        if (!g_uuid_string_is_valid(text)) {
            return error_set(error, "Invalid UUID");
        }
        if (!vm_set_uuid(text, error)) { /* it is the machine's, too */
            return false;
        }
        __attribute__((fallthrough));
    case TEXT:
        g_free(*(char **)member);
        *(char **)member = g_strdup(text);
        return true;
    case TEXTS:
        g_ptr_array_add(*(GPtrArray **)member, g_strdup(text));
        return true;
    case TEXT_FILE:
        return add_text_file(*(GPtrArray **)member, text, error);
    case NUMBER8:
        if (!parse_number(f, text, UINT8_MAX, &number, error)) {
            return false;
        }
        *(uint8_t *)member = number;
        return true;
    case NUMBER16:
        if (!parse_number(f, text, UINT16_MAX, &number, error)) {
            return false;
        }
        *(uint16_t *)member = number;
        return true;
    case ID64:
        smbios_options()->cpu.has_id = true;
        return parse_number(f, text, UINT64_MAX, member, error);
    case BOOLEAN:
        return parse_bool(text, member, NULL) ||
               error_set(error, "Parameter '%s' expects 'on' or 'off'", f->key);
    case RELEASE:
        if (sscanf(text, "%u.%u%c", &major, &minor, &rest) != 2 || major > 255 || minor > 255) {
            return error_set(error, "Invalid release");
        }
        ((uint8_t *)member)[0] = major;
        ((uint8_t *)member)[1] = minor;
        return true;
    case KIND:
        return parse_kind(text, member, error);
    }
    g_assert_not_reached();
}

/* ---- files ------------------------------------------------------------------------------------------------------------ */

/* The length of the structure at data with its strings; 0 if it does not end. */
static size_t structure_size(const uint8_t *data, size_t len)
{
    size_t at = len >= HEADER_SIZE ? data[1] : 0;

    if (at < HEADER_SIZE) {
        return 0;
    }
    for (; at + 2 <= len; at++) {
        if (!data[at] && !data[at + 1]) {
            return at + 2;
        }
    }
    return 0;
}

bool smbios_check_blob(const uint8_t *data, size_t len, GError **error)
{
    if (len == 0) {
        return error_set(error, "no structure in it");
    }
    for (size_t at = 0, size; at < len; at += size) {
        size = structure_size(data + at, len - at);
        if (size == 0) {
            return error_set(
                error, "the structure at offset %zu is cut off: header, or no end of its strings",
                at);
        }
        if (data[at] >= SMBIOS_TYPES - 1) {
            return error_set(error, "the structure at offset %zu has type %u, not one of 0 to 126",
                             at, data[at]);
        }
    }
    return true;
}

static bool add_file(const char *path, GError **error)
{
    SmbiosOptions *o = smbios_options();
    g_autofree char *data = NULL;
    g_autoptr(GError) why = NULL;
    gsize len;

    if (!g_file_get_contents(path, &data, &len, NULL)) {
        return error_set(error, "Cannot read SMBIOS file %s", path);
    }
    if (!smbios_check_blob((uint8_t *)data, len, &why)) {
        return error_set(error, "SMBIOS file %s: %s", path, why->message);
    }
    for (size_t at = 0, size; at < len; at += size) {
        unsigned type = (uint8_t)data[at];

        if (smbios_bit(o->given, type)) {
            return error_set(error, "can't load type %u struct, fields already specified!", type);
        }
        o->files[type / 32] |= 1u << type % 32;
        size = structure_size((uint8_t *)data + at, len - at);
        o->blob_max = MAX(o->blob_max, size);
        o->blob_count++;
    }
    g_byte_array_append(o->blob, (uint8_t *)data, len);
    return true;
}

/* ---- the option --------------------------------------------------------------------------------------------------------- */

/* key=value elements (a comma in a value is doubled); keys may come more than once, which no other option allows. */
static GPtrArray *split(const char *arg)
{
    GPtrArray *parts = g_ptr_array_new_with_free_func(g_free);
    GString *part = g_string_new(NULL);

    for (const char *p = arg;; p++) {
        if (*p == ',' && p[1] == ',') {
            g_string_append_c(part, ',');
            p++;
        } else if (*p == ',' || !*p) {
            g_ptr_array_add(parts, g_string_free(part, FALSE));
            part = *p ? g_string_new(NULL) : NULL;
            if (!*p) {
                return parts;
            }
        } else {
            g_string_append_c(part, *p);
        }
    }
}

static const char *find_key(const GPtrArray *parts, const char *key)
{
    size_t len = strlen(key);

    for (unsigned i = 0; i < parts->len; i++) {
        const char *part = g_ptr_array_index(parts, i);

        if (!strncmp(part, key, len) && part[len] == '=') {
            return part + len + 1;
        }
    }
    return NULL;
}

static bool set_part(unsigned type, void *base, const char *part, GError **error)
{
    const char *equals = strchr(part, '=');
    g_autofree char *key = equals ? g_strndup(part, equals - part) : g_strdup(part);

    if (!strcmp(key, "type")) {
        return true;
    }
    for (unsigned i = 0; i < G_N_ELEMENTS(fields); i++) {
        const Field *f = &fields[i];

        if (f->type == type && !strcmp(f->key, key)) {
            return set_field(f, base, equals ? equals + 1 : "on", error);
        }
    }
    return error_set(error, "Invalid parameter '%s'", key);
}

static bool set_type(unsigned type, const GPtrArray *parts, GError **error)
{
    SmbiosOptions *o = smbios_options();
    void *base = o;

    if (smbios_bit(o->files, type)) {
        return error_set(error, "can't process fields for type %u, binary file already loaded!",
                         type);
    }
    o->given[type / 32] |= 1u << type % 32;
    if (type == 8) {
        g_array_set_size(o->ports, o->ports->len + 1);
        base = &g_array_index(o->ports, SmbiosPort, o->ports->len - 1);
    } else if (type == 41) {
        g_array_set_size(o->onboard, o->onboard->len + 1);
        base = &g_array_index(o->onboard, SmbiosOnboard, o->onboard->len - 1);
        ((SmbiosOnboard *)base)->kind = 1;
    }
    for (unsigned i = 0; i < parts->len; i++) {
        if (!set_part(type, base, g_ptr_array_index(parts, i), error)) {
            return false;
        }
    }
    return true;
}

bool smbios_option(const char *arg, GError **error)
{
    g_autoptr(GPtrArray) parts = split(arg);
    const char *file = find_key(parts, "file"), *type_text = find_key(parts, "type");
    uint64_t type;

    if (file) {
        if (parts->len > 1) {
            return error_set(error, "Invalid parameter '%s'", type_text ? "type" : "with 'file'");
        }
        return add_file(file, error);
    }
    if (!type_text) {
        return error_set(error, "Must specify type= or file=");
    }
    if (!parse_uint64(type_text, &type, NULL) || type >= SMBIOS_TYPES) {
        return error_set(error, "out of range!");
    }
    if (!known_type(type)) {
        return error_set(error, "Don't know how to build fields for SMBIOS type %" PRIu64, type);
    }
    return set_type(type, parts, error);
}
