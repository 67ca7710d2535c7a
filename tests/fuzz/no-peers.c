/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The machine of the contract test without programs at the other end of sockets: nothing but the input decides what happens. */
#include "util/osdep.h"

#include "hw/core/device.h"
#include "util/error.h"

/* declared in tests/unit/contract.h */
char *contract_new_peer(const DeviceType *type, GError **error);

char *contract_new_peer(const DeviceType *type, GError **error)
{
    error_set(error, "nobody is there for %s", type->object.name);
    return NULL;
}
