/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The stream as the destination reads it. Everything in it is foreign: names, ids, versions and lengths are
 * checked before they are used, and messages show them escaped.
 *
 * D1  A section that has started has an entry under its id; parts of others are refused.
 * D2  Each section is followed by its footer: a description that reads too much or too little ends here.
 */
#include "util/osdep.h"
#include "sections.h"

#include "configuration.h"
#include "hw/core/machine.h"
#include "protocol.h"
#include "util/error.h"

typedef struct LoadEntry {
    VmSection *section;
    int version; /* as the source wrote it */
} LoadEntry;

struct SectionsLoad {
    VmReader *r;
    const SectionsLoadOps *ops;
    void *opaque;
    GHashTable *by_id;    /* id → LoadEntry */
    GHashTable *seen;     /* VmSection */
    GPtrArray *prepared;  /* sections with handlers */
    bool began;
};

SectionsLoad *sections_load_new(VmReader *r, const SectionsLoadOps *ops, void *opaque)
{
    SectionsLoad *load = g_new0(SectionsLoad, 1);
    load->r = r;
    load->ops = ops;
    load->opaque = opaque;
    load->by_id = g_hash_table_new_full(NULL, NULL, NULL, g_free);
    load->seen = g_hash_table_new(NULL, NULL);
    load->prepared = g_ptr_array_new();
    return load;
}

static const SectionHandlers *handlers_of(const VmSection *s)
{
    return s->handlers;
}

void sections_load_free(SectionsLoad *load)
{
    if (!load) {
        return;
    }
    for (guint i = 0; i < load->prepared->len; i++) {
        const VmSection *s = load->prepared->pdata[i];
        if (handlers_of(s)->load_cleanup) {
            handlers_of(s)->load_cleanup(s->opaque);
        }
    }
    g_ptr_array_free(load->prepared, TRUE);
    g_hash_table_unref(load->by_id);
    g_hash_table_unref(load->seen);
    g_free(load);
}

typedef struct PrepareWalk {
    SectionsLoad *load;
    GError **error;
} PrepareWalk;

static bool prepare_one(VmSection *s, void *opaque)
{
    PrepareWalk *walk = opaque;
    if (!s->handlers) {
        return true;
    }
    g_ptr_array_add(walk->load->prepared, s);
    return !handlers_of(s)->load_prepare || handlers_of(s)->load_prepare(s->opaque, walk->error);
}

bool sections_load_prepare(SectionsLoad *load, GError **error)
{
    PrepareWalk walk = { load, error };
    return vmstate_foreach(prepare_one, &walk);
}

/* ---- the beginning ---- */

static bool load_begin(SectionsLoad *load, GError **error)
{
    VmReader *r = load->r;
    uint32_t magic = vm_get_be32(r);
    if (vm_reader_ok(r) && magic != STREAM_MAGIC) {
        return error_set(error, "Not a migration stream");
    }
    uint32_t version = vm_get_be32(r);
    if (vm_reader_ok(r) && version == STREAM_VERSION_OBSOLETE) {
        return error_set(error, "SaveVM v2 format is obsolete and don't work anymore");
    }
    if (vm_reader_ok(r) && version != STREAM_VERSION) {
        return error_set(error, "Unsupported migration stream version");
    }
    uint8_t mark = vm_get_u8(r);
    if (!vm_reader_check(r, error)) {
        return false;
    }
    if (mark != MARK_CONFIGURATION) {
        return error_set(error, "Configuration section missing");
    }
    load->began = true;
    return configuration_load(r, error);
}

/* ---- sections ---- */

static bool check_footer(SectionsLoad *load, const VmSection *s, uint32_t id, GError **error)
{
    uint8_t mark = vm_get_u8(load->r);
    if (vm_reader_ok(load->r) && mark != MARK_FOOTER) {
        return error_set(error, "Missing section footer for %s", s->idstr);
    }
    uint32_t got = vm_get_be32(load->r);
    if (!vm_reader_check(load->r, error)) {
        error_prefix(error, "section footer for %s: ", s->idstr);
        return false;
    }
    if (got != id) {
        return error_set(error, "Mismatched section id in footer for %s - read 0x%" PRIx32 " expected 0x%" PRIx32,
                         s->idstr, got, id);
    }
    return true;
}

static bool load_content(SectionsLoad *load, const LoadEntry *entry, uint32_t id, GError **error)
{
    VmSection *s = entry->section;
    bool ok = s->handlers ? handlers_of(s)->load(load->r, s->opaque, entry->version, error)
                          : vmstate_load(load->r, s->vmsd, s->opaque, entry->version, error);
    if (!ok) {
        error_prefix(error, "error while loading state for instance 0x%" PRIx32 " of device '%s': ",
                     s->instance_id, s->idstr);
        return false;
    }
    return check_footer(load, s, id, error);
}

static bool check_section(const VmSection *s, const char *name, uint32_t instance, uint32_t version, bool full,
                          GError **error)
{
    if (!s || s->unmigratable) {
        g_autofree char *shown = g_strescape(name, NULL);
        return error_set(error,
                         "Unknown savevm section or instance '%s' %" PRIu32 ". Make sure that your current VM "
                         "setup matches your saved VM setup, including any hotplugged devices",
                         shown, instance);
    }
    if (full != !s->handlers) {
        return error_set(error, "section '%s' is of the wrong kind", s->idstr);
    }
    if (version > (uint32_t)s->version) {
        return error_set(error, "savevm: unsupported version %" PRIu32 " for '%s' v%d", version, s->idstr,
                         s->version);
    }
    return true;
}

/* A section that begins here: in parts, or in one piece (full). */
static bool load_new_section(SectionsLoad *load, bool full, GError **error)
{
    VmReader *r = load->r;
    char name[256];
    uint32_t id = vm_get_be32(r);
    vm_get_counted_string(r, name);
    uint32_t instance = vm_get_be32(r), version = vm_get_be32(r);
    if (!vm_reader_check(r, error)) {
        return false;
    }
    VmSection *s = vmstate_find(name, instance);
    if (!check_section(s, name, instance, version, full, error)) {
        return false;
    }
    if (!g_hash_table_add(load->seen, s)) {
        return error_set(error, "section '%s' comes twice", s->idstr);
    }
    LoadEntry entry = { s, version };
    if (!full) {
        g_hash_table_replace(load->by_id, GUINT_TO_POINTER(id), g_memdup2(&entry, sizeof(entry)));
    }
    return load_content(load, &entry, id, error);
}

static bool load_part(SectionsLoad *load, GError **error)
{
    uint32_t id = vm_get_be32(load->r);
    if (!vm_reader_check(load->r, error)) {
        return false;
    }
    const LoadEntry *entry = g_hash_table_lookup(load->by_id, GUINT_TO_POINTER(id)); /* D1 */
    if (!entry) {
        return error_set(error, "Unknown savevm section %" PRIu32, id);
    }
    return load_content(load, entry, id, error);
}

static bool load_command(SectionsLoad *load, GError **error)
{
    VmReader *r = load->r;
    uint16_t command = vm_get_be16(r), len = vm_get_be16(r);
    uint32_t value;
    if (!vm_reader_check(r, error)) {
        return false;
    }
    switch (command) {
    case COMMAND_OPEN_RETURN_PATH:
        return len == 0 ? load->ops->open_return_path(load->opaque, error)
                        : error_set(error, "command open-return-path has %u bytes", len);
    case COMMAND_PING:
        if (len != 4) {
            return error_set(error, "command ping has %u bytes", len);
        }
        value = vm_get_be32(r);
        return vm_reader_check(r, error) && load->ops->ping(load->opaque, value, error);
    case COMMAND_SWITCHOVER_START: /* a notice that we have no use for */
        return vm_skip_bytes(r, len) || vm_reader_check(r, error);
    default:
        return error_set(error, "the source wants command 0x%x (%u bytes), which is not supported here", command,
                         len);
    }
}

/* One part of the stream, whose mark has been taken. */
static bool load_marked(SectionsLoad *load, uint8_t mark, GError **error)
{
    switch (mark) {
    case MARK_SECTION_START:
        return load_new_section(load, false, error);
    case MARK_SECTION_FULL:
        return load_new_section(load, true, error);
    case MARK_SECTION_PART:
    case MARK_SECTION_END:
        return load_part(load, error);
    case MARK_COMMAND:
        return load_command(load, error);
    default:
        return error_set(error, "Unknown savevm section type %d", mark);
    }
}

bool sections_load_iterative(SectionsLoad *load, GError **error)
{
    if (!load_begin(load, error)) {
        return false;
    }
    for (;;) {
        uint8_t mark;
        if (vm_peek_bytes(load->r, &mark, 1, 0) != 1) {
            vm_get_u8(load->r);
            return vm_reader_check(load->r, error);
        }
        if (mark == MARK_SECTION_FULL || mark == MARK_EOF) {
            return true;
        }
        vm_get_u8(load->r);
        if (!load_marked(load, mark, error)) {
            return false;
        }
    }
}

/* ---- the end ---- */

/* The description is for people and tools. It is read because the source is done only when all of it is taken. */
static bool load_description(SectionsLoad *load, GError **error)
{
    const Machine *machine = machine_current();
    if (machine && machine->suppress_vmdesc) {
        return true;
    }
    uint8_t mark = vm_get_u8(load->r);
    if (vm_reader_ok(load->r) && mark != MARK_DESCRIPTION) {
        return error_set(error, "Expected vmdescription section, but got %d", mark);
    }
    uint32_t len = vm_get_be32(load->r);
    return vm_skip_bytes(load->r, len) || vm_reader_check(load->r, error);
}

bool sections_load_rest(SectionsLoad *load, GError **error)
{
    for (;;) {
        uint8_t mark = vm_get_u8(load->r);
        if (!vm_reader_check(load->r, error)) {
            return false;
        }
        if (mark == MARK_EOF) {
            break;
        }
        if (!load_marked(load, mark, error)) {
            return false;
        }
    }
    return load_description(load, error);
}

typedef struct Missing {
    const SectionsLoad *load;
    GString *names;
} Missing;

static bool add_missing(VmSection *s, void *opaque)
{
    const Missing *m = opaque;
    if (s->vmsd && !(s->vmsd->needed && !s->vmsd->needed(s->opaque)) &&
        !g_hash_table_contains(m->load->seen, s)) {
        g_string_append_printf(m->names, "%s%s", m->names->len ? ", " : "", s->idstr);
    }
    return true;
}

char *sections_load_missing(const SectionsLoad *load)
{
    Missing m = { load, g_string_new(NULL) };
    vmstate_foreach(add_missing, &m);
    return g_string_free(m.names, m.names->len == 0);
}
