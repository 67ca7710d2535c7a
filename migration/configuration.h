/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The configuration section: what both sides must have in common. */
#ifndef MIGRATION_CONFIGURATION_H
#define MIGRATION_CONFIGURATION_H

#include "vmstate/vmstate.h"

bool configuration_save(VmWriter *w, GString *desc, GError **error);
bool configuration_load(VmReader *r, GError **error);
/* The machine's UUID as 16 bytes. */
void configuration_own_uuid(uint8_t uuid[16]);

#endif
