/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Where firmware and other data files are looked for: -L folders, then the installation's, then the host's. */
#ifndef SYSTEM_DATADIR_H
#define SYSTEM_DATADIR_H

#include <glib.h>

/* Adds a folder (-L), searched in the order added and before the built-in ones. The string is copied. */
void datadir_add(const char *path);
/* The path of a readable file of that name: as given if it has a '/' or exists here, else in the first folder that
 * has it. New string, NULL if there is none. */
char *datadir_find(const char *name);
/* Each folder in search order, for -L help. */
void datadir_foreach(void (*func)(const char *path, void *opaque), void *opaque);

#endif
