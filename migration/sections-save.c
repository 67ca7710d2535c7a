/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The stream as the source writes it: framing around what handlers and descriptions yield. */
#include "util/osdep.h"
#include "sections.h"

#include "configuration.h"
#include "dirty-rate.h"
#include "hw/core/machine.h"
#include "options.h"
#include "out.h"
#include "protocol.h"
#include "ram.h"
#include "system/memory.h"
#include "system/poison.h"
#include "util/error.h"
#include "vmstate/blocker.h"

/* Sections with handlers, whose state this migration has prepared. */
static GPtrArray *active;
static GString *configuration_desc;

static const SectionHandlers *handlers_of(const VmSection *s)
{
    return s->handlers;
}

/* ---- who cannot ---- */

static void collect_reason(const char *reason, void *opaque)
{
    GString *all = opaque;
    g_string_append_printf(all, "%s%s", all->len ? "; " : "", reason);
}

bool sections_check_migratable(GError **error)
{
    g_autoptr(GString) reasons = g_string_new(NULL);
    vmstate_foreach_reason(collect_reason, reasons);
    if (reasons->len) {
        return error_set(error, "%s", reasons->str);
    }
    /* The board's property reaches the list here, before anything is sent. */
    const Machine *machine = machine_current();
    ram_poison_set_travels(!machine || machine->migrate_poison);
    return ram_poison_check_migratable(error);
}

/* ---- framing ---- */

static void put_header(MigrationOut *out, uint8_t mark, const VmSection *s)
{
    out_put_u8(out, mark);
    out_put_be32(out, s->section_id);
    if (mark == MARK_SECTION_START) {
        out_put_counted_string(out, s->idstr);
        out_put_be32(out, s->instance_id);
        out_put_be32(out, s->version);
    }
}

static void put_footer(MigrationOut *out, const VmSection *s)
{
    out_put_u8(out, MARK_FOOTER);
    out_put_be32(out, s->section_id);
}

static bool check_out(const MigrationOut *out, GError **error)
{
    if (!out_ok(out)) {
        if (error && !*error) {
            *error = g_error_copy(out_error(out));
        }
        return false;
    }
    return true;
}

static bool name_section(const VmSection *s, GError **error)
{
    error_prefix(error, "section '%s': ", s->idstr);
    return false;
}

/* ---- life of a migration ---- */

static bool prepare_one(VmSection *s, void *opaque)
{
    if (!s->handlers) {
        return true;
    }
    g_ptr_array_add(active, s);
    return !handlers_of(s)->prepare || handlers_of(s)->prepare(s->opaque, opaque) ||
           name_section(s, opaque);
}

bool sections_prepare(GError **error)
{
    dirty_rate_give_way(); /* the dirty log is wanted */
    g_assert(!active);
    active = g_ptr_array_new();
    configuration_desc = g_string_new(NULL);
    if (!vmstate_foreach(prepare_one, error)) {
        sections_cleanup();
        return false;
    }
    return true;
}

void sections_cleanup(void)
{
    for (guint i = 0; active && i < active->len; i++) {
        const VmSection *s = active->pdata[i];
        if (handlers_of(s)->cleanup) {
            handlers_of(s)->cleanup(s->opaque);
        }
    }
    if (active) {
        g_ptr_array_free(g_steal_pointer(&active), TRUE);
        g_string_free(g_steal_pointer(&configuration_desc), TRUE);
    }
}

static bool put_configuration(MigrationOut *out, GError **error)
{
    VmWriter *w = vm_writer_new();
    size_t len;
    bool ok = configuration_save(w, configuration_desc, error);
    if (ok) {
        const uint8_t *data = vm_writer_data(w, &len);
        out_put_u8(out, MARK_CONFIGURATION);
        out_put_bytes(out, data, len);
    }
    vm_writer_free(w);
    return ok;
}

static void put_command(MigrationOut *out, uint16_t command, uint16_t len)
{
    out_put_u8(out, MARK_COMMAND);
    out_put_be16(out, command);
    out_put_be16(out, len);
}

void sections_write_ping(MigrationOut *out, uint32_t value)
{
    put_command(out, COMMAND_PING, 4);
    out_put_be32(out, value);
}

void sections_write_command(MigrationOut *out, unsigned command, const void *data, size_t len)
{
    put_command(out, command, len);
    out_put_bytes(out, data, len);
}

bool sections_write_begin(MigrationOut *out, bool return_path, GError **error)
{
    out_put_be32(out, STREAM_MAGIC);
    out_put_be32(out, STREAM_VERSION);
    if (!put_configuration(out, error)) {
        return false;
    }
    if (return_path) {
        put_command(out, COMMAND_OPEN_RETURN_PATH, 0);
        sections_write_ping(out, 1);
    }
    if (migration_capability(MIGRATION_CAPABILITY_POSTCOPY_RAM)) {
        put_command(out, COMMAND_POSTCOPY_ADVISE, 16);
        out_put_be64(out, ram_save_page_sizes());
        out_put_be64(out, GUEST_PAGE_SIZE);
        if (return_path && ram_poison_travels()) {
            ram_save_lost_asked();
            sections_write_ping(out, PING_LOST_PAGES);
        }
    }
    for (guint i = 0; i < active->len; i++) {
        const VmSection *s = active->pdata[i];
        put_header(out, MARK_SECTION_START, s);
        if (!handlers_of(s)->setup(out, s->opaque, error)) {
            return name_section(s, error);
        }
        put_footer(out, s);
    }
    out_flush(out);
    return check_out(out, error);
}

void sections_sync(bool last)
{
    for (guint i = 0; i < active->len; i++) {
        const VmSection *s = active->pdata[i];
        handlers_of(s)->sync(s->opaque, last);
    }
}

uint64_t sections_pending(void)
{
    uint64_t pending = 0;
    for (guint i = 0; i < active->len; i++) {
        const VmSection *s = active->pdata[i];
        pending += handlers_of(s)->pending(s->opaque);
    }
    return pending;
}

SectionProgress sections_write_parts(MigrationOut *out, uint64_t budget, GError **error)
{
    bool more = false;
    for (guint i = 0; i < active->len; i++) {
        const VmSection *s = active->pdata[i];
        if (handlers_of(s)->pending(s->opaque) == 0) {
            continue;
        }
        put_header(out, MARK_SECTION_PART, s);
        SectionProgress progress = handlers_of(s)->iterate(out, s->opaque, budget, error);
        if (progress == SECTION_ERROR) {
            name_section(s, error);
            return SECTION_ERROR;
        }
        put_footer(out, s);
        more |= progress == SECTION_MORE;
    }
    out_flush(out);
    if (!check_out(out, error)) {
        return SECTION_ERROR;
    }
    return more ? SECTION_MORE : SECTION_DONE;
}

void sections_write_switchover_start(MigrationOut *out)
{
    if (migration_sends_switchover_start()) {
        put_command(out, COMMAND_SWITCHOVER_START, 0);
    }
}

bool sections_write_ends(MigrationOut *out, GError **error)
{
    for (guint i = 0; i < active->len; i++) {
        const VmSection *s = active->pdata[i];
        put_header(out, MARK_SECTION_END, s);
        if (!handlers_of(s)->complete(out, s->opaque, error)) {
            return name_section(s, error);
        }
        put_footer(out, s);
    }
    return check_out(out, error);
}

/* ---- devices ---- */

typedef struct SaveDevices {
    VmWriter *w;
    GString *desc; /* NULL: not wanted */
    GError **error;
} SaveDevices;

static void describe_section(GString *desc, const VmSection *s)
{
    if (desc->str[desc->len - 1] == '}') {
        g_string_append(desc, ", ");
    }
    g_string_append(desc, "{\"name\": ");
    vmstate_json_string(desc, s->idstr);
    g_string_append_printf(desc, ", \"instance_id\": %" PRIu32 ", ", s->instance_id);
}

static bool save_device(VmSection *s, void *opaque)
{
    SaveDevices *sd = opaque;
    if (!s->vmsd || (s->vmsd->needed && !s->vmsd->needed(s->opaque))) {
        return true;
    }
    vm_put_u8(sd->w, MARK_SECTION_FULL);
    vm_put_be32(sd->w, s->section_id);
    vm_put_counted_string(sd->w, s->idstr);
    vm_put_be32(sd->w, s->instance_id);
    vm_put_be32(sd->w, s->version);
    if (sd->desc) {
        describe_section(sd->desc, s);
    }
    if (!vmstate_save(sd->w, s->vmsd, s->opaque, sd->desc, sd->error)) {
        return name_section(s, sd->error);
    }
    if (sd->desc) {
        g_string_append_c(sd->desc, '}');
    }
    vm_put_u8(sd->w, MARK_FOOTER);
    vm_put_be32(sd->w, s->section_id);
    return true;
}

static bool count_device(VmSection *s, void *opaque)
{
    unsigned *n = opaque;
    *n += s->vmsd != NULL;
    return true;
}

unsigned sections_device_count(void)
{
    unsigned n = 0;
    vmstate_foreach(count_device, &n);
    return n;
}

bool sections_save_devices(VmWriter *w, GString *desc, GError **error)
{
    const Machine *machine = machine_current();
    SaveDevices sd = { w, machine && machine->suppress_vmdesc ? NULL : desc, error };
    if (sd.desc) {
        g_string_assign(desc, "{\"configuration\": {");
        g_string_append(desc, configuration_desc->str);
        g_string_append_printf(desc, "}, \"page_size\": %d, \"devices\": [", (int)GUEST_PAGE_SIZE);
    }
    if (!vmstate_foreach(save_device, &sd)) {
        return false;
    }
    vm_put_u8(w, MARK_EOF);
    if (sd.desc) {
        g_string_append(desc, "]}");
        vm_put_u8(w, MARK_DESCRIPTION);
        vm_put_be32(w, desc->len);
        vm_put_bytes(w, desc->str, desc->len);
    }
    return true;
}

/* ---- postcopy: the guest goes on there before its memory is complete ---- */

static void vm_put_command(VmWriter *w, uint16_t command, uint16_t len)
{
    vm_put_u8(w, MARK_COMMAND);
    vm_put_be16(w, command);
    vm_put_be16(w, len);
}

bool sections_save_package(VmWriter *w, GError **error)
{
    SaveDevices sd = { w, NULL, error };
    vm_put_command(w, COMMAND_POSTCOPY_LISTEN, 0);
    if (!vmstate_foreach(save_device, &sd)) {
        return false;
    }
    vm_put_command(w, COMMAND_PING, 4);
    vm_put_be32(w, PING_PACKAGE);
    vm_put_command(w, COMMAND_POSTCOPY_RUN, 0);
    return true;
}

void sections_write_package(MigrationOut *out, VmWriter *w)
{
    size_t len;
    const uint8_t *data = vm_writer_data(w, &len);
    put_command(out, COMMAND_PACKAGED, 4);
    out_put_be32(out, len);
    out_put_memory(out, data, len);
}
