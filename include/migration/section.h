/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Sections that are sent while the guest runs: RAM, and whatever else is too large for one piece. The handlers
 * are registered with vmstate_register_handlers().
 */
#ifndef MIGRATION_SECTION_H
#define MIGRATION_SECTION_H

#include <glib.h>
#include "vmstate/vmstate.h"

typedef struct MigrationOut MigrationOut;

typedef enum SectionProgress { SECTION_ERROR = -1, SECTION_MORE, SECTION_DONE } SectionProgress;

typedef struct SectionHandlers {
    /* ---- source. With the big lock: prepare and cleanup in the main thread, sync in any; the others without, in the migration
     * thread. ---- */

    /* Allocates what the others need. */
    bool (*prepare)(void *opaque, GError **error);
    /* Content of the start section. */
    bool (*setup)(MigrationOut *out, void *opaque, GError **error);
    /* Looks anew at what has changed. last: nothing will change any more. */
    void (*sync)(void *opaque, bool last);
    /* Bytes known to be left. */
    uint64_t (*pending)(void *opaque);
    /* Sends up to about budget bytes as the content of one part section. */
    SectionProgress (*iterate)(MigrationOut *out, void *opaque, uint64_t budget, GError **error);
    /* Content of the end section, which has all that is left. The guest stands still. */
    bool (*complete)(MigrationOut *out, void *opaque, GError **error);
    /* After success, failure or cancellation, if prepare was called. */
    void (*cleanup)(void *opaque);

    /* ---- destination ---- */

    bool (*load_prepare)(void *opaque, GError **error);
    /* Content of any of the sections, written by that version. No big lock, no main thread. */
    bool (*load)(VmReader *r, void *opaque, int version, GError **error);
    void (*load_cleanup)(void *opaque);
} SectionHandlers;

/* ---- output: small things are collected, memory is referred to ---- */

void out_put_u8(MigrationOut *out, uint8_t v);
void out_put_be16(MigrationOut *out, uint16_t v);
void out_put_be32(MigrationOut *out, uint32_t v);
void out_put_be64(MigrationOut *out, uint64_t v);
void out_put_bytes(MigrationOut *out, const void *data, size_t len);
void out_put_counted_string(MigrationOut *out, const char *s);
/* Sent from where it is: valid and, for the result to mean something, logged as dirty until it was flushed. */
void out_put_memory(MigrationOut *out, const void *data, size_t len);
/* False once writing has failed. */
bool out_ok(const MigrationOut *out);

#endif
