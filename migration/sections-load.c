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
#include "postcopy.h"
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
    GBytes *package;  /* the content of the command */
    bool in_package, in_postcopy;
    bool rest; /* devices have begun: nothing of postcopy any more */
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
    if (load->package) {
        g_bytes_unref(load->package);
    }
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

/* ---- commands ---- */

static bool command_ping(SectionsLoad *load, unsigned len, GError **error)
{
    uint32_t value = vm_get_be32(load->r);
    return vm_reader_check(load->r, error) && load->ops->ping(load->opaque, value, error);
}

static bool command_open(SectionsLoad *load, unsigned len, GError **error)
{
    return load->ops->open_return_path(load->opaque, error);
}

static bool command_skip(SectionsLoad *load, unsigned len, GError **error)
{
    return vm_skip_bytes(load->r, len) || vm_reader_check(load->r, error);
}

static bool command_advise(SectionsLoad *load, unsigned len, GError **error)
{
    if (len == 0) {
        return true; /* not of RAM */
    }
    uint64_t sizes = vm_get_be64(load->r), page = vm_get_be64(load->r);
    if (vm_reader_ok(load->r) && g_hash_table_size(load->by_id)) {
        return error_set(error, "postcopy is advised after RAM has begun");
    }
    return vm_reader_check(load->r, error) && load->ops->advise(load->opaque, sizes, page, error);
}

static bool command_discard(SectionsLoad *load, unsigned len, GError **error)
{
    VmReader *r = load->r;
    char name[256];
    uint8_t version = vm_get_u8(r);
    if (!vm_get_counted_string(r, name)) {
        return vm_reader_check(r, error);
    }
    size_t head = 1 + 1 + strlen(name) + 1;
    if (version != 0 || vm_get_u8(r) != 0 || len < head || (len - head) % 16) {
        return vm_reader_check(r, error) && error_set(error, "a discard that is not well-formed");
    }
    for (size_t n = (len - head) / 16; n; n--) {
        uint64_t start = vm_get_be64(r), length = vm_get_be64(r);
        if (!vm_reader_check(r, error) || !postcopy_discard(name, start, length, error)) {
            return false;
        }
    }
    return true;
}

static bool command_package(SectionsLoad *load, unsigned len, GError **error)
{
    uint32_t size = vm_get_be32(load->r);
    if (!vm_reader_check(load->r, error)) {
        return false;
    }
    if (load->package || load->in_package || load->in_postcopy || size > PACKAGE_MAX) {
        return error_set(error, "a package of 0x%x bytes that is out of place", size);
    }
    uint8_t *data = g_try_malloc(size);
    if (!data || !vm_get_bytes(load->r, data, size)) {
        g_free(data);
        return vm_reader_check(load->r, error) && error_set(error, "no memory for a package of 0x%x bytes", size);
    }
    load->package = g_bytes_new_take(data, size);
    return true;
}

static bool command_listen(SectionsLoad *load, unsigned len, GError **error)
{
    return load->in_package ? load->ops->listen(load->opaque, error)
                            : error_set(error, "command listen outside of a package");
}

/* The last thing in a package: nothing of it can fail after the guest has run. */
static bool command_run(SectionsLoad *load, unsigned len, GError **error)
{
    if (!load->in_package) {
        return error_set(error, "command run outside of a package");
    }
    if (vm_reader_tell(load->r) < g_bytes_get_size(load->package)) {
        return error_set(error, "command run before the end of the package");
    }
    return load->ops->run(load->opaque, error);
}

static bool command_bitmap(SectionsLoad *load, unsigned len, GError **error)
{
    char name[256];
    if (!vm_get_counted_string(load->r, name)) {
        return vm_reader_check(load->r, error);
    }
    if (len != strlen(name) + 1 || !load->in_postcopy) {
        return error_set(error, "the source asks for what has arrived, out of place");
    }
    return load->ops->recv_bitmap(load->opaque, name, error);
}

static bool command_resume(SectionsLoad *load, unsigned len, GError **error)
{
    return load->in_postcopy ? load->ops->resume(load->opaque, error) : error_set(error, "command resume out of place");
}

/* len -1: any. */
static const struct Command {
    const char *name;
    int len, other_len;
    bool (*run)(SectionsLoad *load, unsigned len, GError **error);
    bool postcopy;
} commands[] = {
    [COMMAND_OPEN_RETURN_PATH] = { "open-return-path", 0, 0, command_open, false },
    [COMMAND_PING] = { "ping", 4, 4, command_ping, false },
    [COMMAND_POSTCOPY_ADVISE] = { "postcopy-advise", 16, 0, command_advise, true },
    [COMMAND_POSTCOPY_LISTEN] = { "postcopy-listen", 0, 0, command_listen, true },
    [COMMAND_POSTCOPY_RUN] = { "postcopy-run", 0, 0, command_run, true },
    [COMMAND_POSTCOPY_DISCARD] = { "postcopy-ram-discard", -1, -1, command_discard, true },
    [COMMAND_PACKAGED] = { "packaged", 4, 4, command_package, true },
    [COMMAND_POSTCOPY_RESUME] = { "postcopy-resume", 0, 0, command_resume, true },
    [COMMAND_RECV_BITMAP] = { "recv-bitmap", -1, -1, command_bitmap, true },
    [COMMAND_SWITCHOVER_START] = { "switchover-start", -1, -1, command_skip, false },
};

static bool load_command(SectionsLoad *load, GError **error)
{
    uint16_t command = vm_get_be16(load->r), len = vm_get_be16(load->r);
    if (!vm_reader_check(load->r, error)) {
        return false;
    }
    const struct Command *c = command < G_N_ELEMENTS(commands) ? &commands[command] : NULL;
    if (!c || !c->run || (c->postcopy && (!load->ops->advise || load->rest))) {
        return error_set(error, "the source wants command 0x%x (%u bytes), which is not supported here", command, len);
    }
    if (c->len >= 0 && len != c->len && len != c->other_len) {
        return error_set(error, "command %s has %u bytes", c->name, len);
    }
    return c->run(load, len, error);
}

/* One part of the stream, whose mark has been taken. */
static bool load_marked(SectionsLoad *load, uint8_t mark, GError **error)
{
    switch (mark) {
    case MARK_SECTION_START:
        if (load->in_postcopy || load->in_package) {
            return error_set(error, "a section begins where postcopy goes on");
        }
        return load_new_section(load, false, error);
    case MARK_SECTION_FULL:
        if (load->in_postcopy) {
            return error_set(error, "a device behind the package");
        }
        return load_new_section(load, true, error);
    case MARK_SECTION_PART:
    case MARK_SECTION_END:
        if (load->in_package) {
            return error_set(error, "a part of a section in a package");
        }
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
        if (load->package) {
            return true;
        }
    }
}

/* ---- postcopy ---- */

bool sections_load_has_package(const SectionsLoad *load)
{
    return load->package != NULL;
}

bool sections_load_package(SectionsLoad *load, GError **error)
{
    SectionsLoad view = *load; /* with the same tables, which the other reader does not change */
    size_t len;
    const void *data = g_bytes_get_data(load->package, &len);
    bool ok = true;
    view.r = vm_reader_new_from_memory(data, len);
    view.in_package = true;
    while (ok && vm_reader_tell(view.r) < len) {
        uint8_t mark = vm_get_u8(view.r);
        ok = load_marked(&view, mark, error);
    }
    vm_reader_free(view.r);
    return ok;
}

bool sections_load_postcopy(const SectionsLoad *load, VmReader *r, GError **error)
{
    SectionsLoad view = *load;
    view.r = r;
    view.in_postcopy = true;
    for (;;) {
        uint8_t mark = vm_get_u8(r);
        if (!vm_reader_check(r, error)) {
            return false;
        }
        if (mark == MARK_EOF) {
            return true;
        }
        if (!load_marked(&view, mark, error)) {
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
    load->rest = true;
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
