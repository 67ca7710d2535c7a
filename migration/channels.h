/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Connections of a migration that has several. Main thread. */
#ifndef MIGRATION_CHANNELS_H
#define MIGRATION_CHANNELS_H

#include "io/channel.h"
#include "io/socket.h"

/* ---- source ---- */

typedef struct ChannelsConnect ChannelsConnect;
/* All of them (the callee's from then on), or an error (the caller's). */
typedef void ChannelsConnected(IoChannel **channels, unsigned n, const GError *error, void *opaque);
/* Connects n times, one after the other, so that they are accepted in that order. done is called once, not before this
 * returns, and frees the handle. */
ChannelsConnect *channels_connect(const SocketAddress *addr, unsigned n, ChannelsConnected *done,
                                  void *opaque);
void channels_connect_cancel(ChannelsConnect *connect);

/* ---- destination ---- */

/*
 * Accepted connections say by their first bytes what they are: each is read until that is known. A channel is either
 * the main one, whose first four bytes come along, or one of multifd, whose hello comes along.
 */
#define CHANNEL_FIRST_BYTES 4
typedef struct ChannelSorter ChannelSorter;
typedef struct ChannelSorterOps {
    void (*main_channel)(IoChannel *ioc, const uint8_t first[CHANNEL_FIRST_BYTES],
                         void *opaque);                                          /* owns ioc */
    void (*multifd_channel)(IoChannel *ioc, const uint8_t *hello, void *opaque); /* owns ioc */
    void (*nobody)(void *opaque); /* one has ended before it said what it is, which anybody can do who finds the port */
} ChannelSorterOps;
ChannelSorter *channel_sorter_new(const ChannelSorterOps *ops, void *opaque);
/* Takes the reference. */
void channel_sorter_add(ChannelSorter *sorter, IoChannel *ioc);
void channel_sorter_free(ChannelSorter *sorter); /* NULL is allowed */

#endif
