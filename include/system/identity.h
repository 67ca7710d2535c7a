/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Name and UUID of the machine (-name, -uuid). */
#ifndef SYSTEM_IDENTITY_H
#define SYSTEM_IDENTITY_H

#include <glib.h>

void vm_set_name(const char *name);
/* NULL if it has none. */
const char *vm_get_name(void);
bool vm_set_uuid(const char *uuid, GError **error);
/* All zero if it has none. */
const char *vm_get_uuid(void);

#endif
