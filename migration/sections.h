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
/* Tells the destination that the guest has stopped, where the machine version has that. */
void sections_write_switchover_start(MigrationOut *out);
bool sections_write_ends(MigrationOut *out, GError **error);
/* How many sections in one piece there may be. The thread may ask: the registry is frozen. */
unsigned sections_device_count(void);
/* Sections in one piece and the end mark, into w; their description as JSON into desc. Big lock. */
bool sections_save_devices(VmWriter *w, GString *desc, GError **error);
/* The same for postcopy: what the package holds. */
bool sections_save_package(VmWriter *w, GError **error);
/* Sends it. */
void sections_write_package(MigrationOut *out, VmWriter *w);
void sections_write_ping(MigrationOut *out, uint32_t value);
/* Any other command. */
void sections_write_command(MigrationOut *out, unsigned command, const void *data, size_t len);
void sections_cleanup(void);

/* ---- destination ---- */

typedef struct SectionsLoad SectionsLoad;

/* What the loader does beside loading. */
typedef struct SectionsLoadOps {
    /* Commands of the source. */
    bool (*open_return_path)(void *opaque, GError **error);
    bool (*ping)(void *opaque, uint32_t value, GError **error);
    /* Postcopy; all of them, or NULL: refused. */
    bool (*advise)(void *opaque, uint64_t page_sizes, uint64_t page_size, GError **error);
    bool (*listen)(void *opaque, GError **error);
    bool (*run)(void *opaque, GError **error);
    bool (*recv_bitmap)(void *opaque, const char *block, GError **error);
    bool (*resume)(void *opaque, GError **error);
} SectionsLoadOps;

SectionsLoad *sections_load_new(VmReader *r, const SectionsLoadOps *ops, void *opaque);
void sections_load_free(SectionsLoad *load);
/* With the big lock, before the first byte. */
bool sections_load_prepare(SectionsLoad *load, GError **error);
/* Magic to configuration, then sections up to the first one that needs the big lock, or up to a package. Any thread. */
bool sections_load_iterative(SectionsLoad *load, GError **error);
/* Whether it was a package: postcopy begins. */
bool sections_load_has_package(const SectionsLoad *load);
/* Its content: devices, and the commands listen and run. Big lock. */
bool sections_load_package(SectionsLoad *load, GError **error);
/* Then: parts and commands up to the end mark, from a connection. Any thread, also while the package is loaded. */
bool sections_load_postcopy(const SectionsLoad *load, VmReader *r, GError **error);
/* The rest, up to the last byte of the stream. Big lock. */
bool sections_load_rest(SectionsLoad *load, GError **error);
/* Then: sections that we have and the stream had not, for a message; NULL if there are none. New string. */
char *sections_load_missing(const SectionsLoad *load);

#endif
