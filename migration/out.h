/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The source's end of the stream. */
#ifndef MIGRATION_OUT_H
#define MIGRATION_OUT_H

#include "io/channel.h"
#include "migration/section.h"

/* Keeps a reference on the channel, which becomes non-blocking. */
MigrationOut *out_new(IoChannel *ioc);
void out_free(MigrationOut *out);
/* len bytes follow that should go with one write: the guest stands still. */
void out_expect(MigrationOut *out, size_t len);
/* Hands everything to the channel and waits until it has it. False if that failed now or before. */
bool out_flush(MigrationOut *out);
/* The error of the first failed write; NULL if there was none. The out's. */
const GError *out_error(const MigrationOut *out);
/* Where the next byte goes in a file; -1 with an error. Everything before is written. */
off_t out_position(MigrationOut *out, GError **error);
bool out_seek(MigrationOut *out, off_t position, GError **error);
/* The out's. */
IoChannel *out_channel(MigrationOut *out);
/* Bytes put so far. */
uint64_t out_tell(const MigrationOut *out);
/* Bytes that the channel has taken. Any thread. */
uint64_t out_written(const MigrationOut *out);

#endif
