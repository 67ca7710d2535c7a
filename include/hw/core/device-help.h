/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What -device help, -device X,help and -object X,help print. */
#ifndef HW_CORE_DEVICE_HELP_H
#define HW_CORE_DEVICE_HELP_H

#include "qom/object.h"

/* All device types by category; user_creatable_only as for -device help, else as info qdm. */
void device_help_list(GString *out, bool user_creatable_only);
/* "usb-kbd options:" and a line for each property. */
void property_help(GString *out, const ObjectType *type, const char *title);
/* A property's default as JSON; NULL if it has none worth telling. */
json_object *property_default(const Property *prop);

#endif
