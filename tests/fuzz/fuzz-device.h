/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What the fuzz targets of devices share: a move of one device into itself. */
#ifndef TESTS_FUZZ_DEVICE_H
#define TESTS_FUZZ_DEVICE_H

#include "hw/core/device.h"
#include "vmstate/vmstate.h"

/* What dev saves; the caller's. Ends the program if it cannot be saved. */
static inline GByteArray *device_save(Device *dev)
{
    VmWriter *w = vm_writer_new();
    GByteArray *b = g_byte_array_new();
    const uint8_t *bytes;
    size_t len;

    if (!vmstate_save(w, device_vmstate(dev), dev, NULL, NULL)) {
        abort();
    }
    bytes = vm_writer_data(w, &len);
    g_byte_array_append(b, bytes, len);
    vm_writer_free(w);
    return b;
}

/*
 * Loads what dev saves into dev itself, as if it had just arrived, and ends the program if it does not load, or saves
 * something else afterwards.
 */
static inline void device_reload(Device *dev)
{
    g_autoptr(GByteArray) first = device_save(dev), second = NULL;
    VmReader *r = vm_reader_new_from_memory(first->data, first->len);
    g_autoptr(GError) error = NULL;

    if (!vmstate_load(r, device_vmstate(dev), dev, device_vmstate(dev)->version, &error)) {
        g_error("%s does not load: %s", dev->object.type->name, error->message);
    }
    vm_reader_free(r);
    second = device_save(dev);
    if (first->len != second->len || memcmp(first->data, second->data, first->len) != 0) {
        guint at = 0;

        while (at < MIN(first->len, second->len) && first->data[at] == second->data[at]) {
            at++;
        }
        g_error("%s saves something else: %u and %u bytes, from %u on", dev->object.type->name, first->len,
                second->len, at);
    }
}

/* The bytes of a section; ends the program if it cannot be saved. */
static inline VmWriter *section_save(const VmSection *section, const uint8_t **data, size_t *len)
{
    VmWriter *w = vm_writer_new();

    if (!vmstate_save(w, section->vmsd, section->opaque, NULL, NULL)) {
        abort();
    }
    *data = vm_writer_data(w, len);
    return w;
}

/* As device_reload(), of a section of a whole machine. */
static inline void section_reload(VmSection *section)
{
    const uint8_t *a, *b;
    size_t n, m;
    VmWriter *before = section_save(section, &a, &n), *after;
    VmReader *r = vm_reader_new_from_memory(a, n);
    g_autoptr(GError) error = NULL;

    if (!vmstate_load(r, section->vmsd, section->opaque, section->vmsd->version, &error)) {
        g_error("%s does not load: %s", section->vmsd->name, error->message);
    }
    vm_reader_free(r);
    after = section_save(section, &b, &m);
    if (n != m || memcmp(a, b, n)) {
        g_error("%s saves something else", section->vmsd->name);
    }
    vm_writer_free(before);
    vm_writer_free(after);
}

#endif
