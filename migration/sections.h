/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What the stream consists of: writing it on the source, reading it on the destination. */
#ifndef MIGRATION_SECTIONS_H
#define MIGRATION_SECTIONS_H

#include "migration/section.h"
#include "system/runstate.h"
#include "vmstate/vmstate.h"

/* ---- sections of our own ---- */

void clock_section_register(void);
/* The last one: called when the first migration begins. */
void global_state_register(void);
/* The state that the destination shall take. */
void global_state_set(VmRunState state);
/* Whether a state has arrived since the last global_state_forget(), and which. */
bool global_state_loaded(VmRunState *state);
void global_state_forget(void);

/* ---- source ---- */

/* Everything that a migration of this machine cannot do, in one error; true if there is nothing (G1). */
bool sections_check_migratable(GError **error);
bool sections_prepare(GError **error);
/* Magic, version, configuration; commands that open the return path; start sections. */
bool sections_write_begin(MigrationOut *out, bool return_path, GError **error);
void sections_sync(bool last);
uint64_t sections_pending(void);
/* One part section from each handler that has something. DONE: nothing is left for now. */
SectionProgress sections_write_parts(MigrationOut *out, uint64_t budget, GError **error);
bool sections_write_ends(MigrationOut *out, GError **error);
/* Sections in one piece and the end mark, into w; their description as JSON into desc. Big lock. */
bool sections_save_devices(VmWriter *w, GString *desc, GError **error);
void sections_cleanup(void);

/* ---- destination ---- */

typedef struct SectionsLoad SectionsLoad;

/* What the loader does beside loading. */
typedef struct SectionsLoadOps {
    /* Commands of the source. */
    bool (*open_return_path)(void *opaque, GError **error);
    bool (*ping)(void *opaque, uint32_t value, GError **error);
} SectionsLoadOps;

SectionsLoad *sections_load_new(VmReader *r, const SectionsLoadOps *ops, void *opaque);
void sections_load_free(SectionsLoad *load);
/* With the big lock, before the first byte. */
bool sections_load_prepare(SectionsLoad *load, GError **error);
/* Magic to configuration, then sections up to the first one that needs the big lock. Any thread. */
bool sections_load_iterative(SectionsLoad *load, GError **error);
/* The rest, up to the last byte of the stream. Big lock. */
bool sections_load_rest(SectionsLoad *load, GError **error);
/* Then: sections that we have and the stream had not, for a message; NULL if there are none. New string. */
char *sections_load_missing(const SectionsLoad *load);

#endif
