/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Streams in memory; see migration/buffer.h. */
#include "util/osdep.h"
#include "migration/buffer.h"

#include "out.h"
#include "sections.h"
#include "system/runstate.h"
#include "util/error.h"

static bool write_stream(MigrationOut *out, GError **error)
{
    VmWriter *w = vm_writer_new();
    g_autoptr(GString) desc = g_string_new(NULL);
    if (!sections_write_begin(out, false, error)) {
        vm_writer_free(w);
        return false;
    }
    sections_sync(true);
    bool ok = sections_write_ends(out, error) && sections_save_devices(w, desc, error);
    if (ok) {
        size_t len;
        const uint8_t *data = vm_writer_data(w, &len);
        out_put_bytes(out, data, len);
        ok = out_flush(out);
    }
    vm_writer_free(w);
    return ok;
}

GBytes *migration_save_buffer(GError **error)
{
    if (!sections_check_migratable(error)) {
        return NULL;
    }
    global_state_register();
    global_state_set(vm_state());
    if (!sections_prepare(error)) {
        return NULL;
    }
    g_autoptr(IoChannel) ioc = io_channel_new_buffer(64 * 1024);
    MigrationOut *out = out_new(ioc);
    GBytes *bytes = NULL;
    if (write_stream(out, error)) {
        size_t len;
        const uint8_t *data = io_channel_buffer_data(ioc, &len);
        bytes = g_bytes_new(data, len);
    }
    out_free(out);
    sections_cleanup();
    return bytes;
}

static bool no_return_path(void *opaque, GError **error)
{
    return true;
}

static bool no_ping(void *opaque, uint32_t value, GError **error)
{
    return true;
}

bool migration_load_buffer(const void *data, size_t len, GError **error)
{
    static const SectionsLoadOps ops = { .open_return_path = no_return_path, .ping = no_ping };
    VmReader *r = vm_reader_new_from_memory(data, len);
    SectionsLoad *load = sections_load_new(r, &ops, NULL);
    global_state_register();
    global_state_forget();
    bool ok = sections_load_prepare(load, error) && sections_load_iterative(load, error) &&
              sections_load_rest(load, error);
    sections_load_free(load);
    vm_reader_free(r);
    return ok;
}
