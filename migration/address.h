/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Where a stream goes to or comes from. */
#ifndef MIGRATION_ADDRESS_H
#define MIGRATION_ADDRESS_H

#include "io/channel.h"
#include "io/socket.h"
#include "qapi/types-migration.h"

/* Exactly one of uri and channels. A new address, or NULL with an error. */
MigrationAddress *migration_address_from(const char *uri, const MigrationChannelArray *channels, GError **error);
/* Whether the destination can answer through the channel. */
bool migration_address_two_way(const MigrationAddress *addr);
/* The address to connect to or listen at; NULL if the channel is opened by migration_address_open(). */
const SocketAddress *migration_address_socket(const MigrationAddress *addr);
/* Opens a file, starts a command or takes a descriptor. */
IoChannel *migration_address_open(const MigrationAddress *addr, bool outgoing, GError **error);
/* Whether it may be a file with places in it; a descriptor's channel has to be asked as well. */
bool migration_address_may_seek(const MigrationAddress *addr);
/* mapped-ram: the file n times more, for pages (direct-io). All of them, the caller's, or none. */
bool migration_address_open_pages(const MigrationAddress *addr, IoChannel *main_stream,
                                  bool outgoing, IoChannel **channels, unsigned n, GError **error);

#endif
