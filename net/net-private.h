/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Shared by the files of net/. */
#ifndef NET_PRIVATE_H
#define NET_PRIVATE_H

#include "net/net.h"

/* Makes the backend; peer may be NULL. Errors without a prefix. netdev->type is not nic or none. */
bool net_backend_create(const Netdev *netdev, const char *name, NetClient *peer, GError **error);
/* A new port of a hub, made with its first; name NULL: "hubXportY". */
NetClient *net_hub_port_new(int hubid, const char *name, NetClient *peer);
/* `info network`: hubs that have ports. */
void net_hub_print(GString *out);
/* The peer of a hub's port as a card sees it; NULL: it is no port, or nothing but cards are in that hub. */
NetClient *net_hub_backend_of(NetClient *port);
/* -netdev and -nic: text to the JSON that qapi_type_Netdev's keyval mode takes. NULL with an error. */
json_object *net_option_json(const char *arg, const char *implied, GError **error);

#endif
