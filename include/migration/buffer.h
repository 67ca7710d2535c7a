/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A whole stream in memory, without a peer: for tests, fuzzing and tools. Main thread, big lock, machine stopped,
 * no migration going on. Images and the run state stay as they are.
 */
#ifndef MIGRATION_BUFFER_H
#define MIGRATION_BUFFER_H

#include <glib.h>

/* What `migrate` would send; NULL with an error. */
GBytes *migration_save_buffer(GError **error);
/* Loads what is there. After a failure the devices hold parts of a state: reset them. */
bool migration_load_buffer(const void *data, size_t len, GError **error);

#endif
