/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Where firmware is found: the folders of -L, then the installed ones. */
#ifndef SYSTEM_DATADIR_H
#define SYSTEM_DATADIR_H

#include <glib.h>

/* -L DIR: searched in the order added, before the built-in folders. */
void datadir_add(const char *path);
/* The file of that name, or at that path if it exists there. New string; NULL if there is none. */
char *datadir_find(const char *name);
/* -L help: all folders, one a line; new string. */
char *datadir_list(void);

#endif
