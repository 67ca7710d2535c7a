/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The source's end of the stream. */
#ifndef MIGRATION_OUT_H
#define MIGRATION_OUT_H

#include "io/channel.h"
#include "migration/section.h"

/* Keeps a reference on the channel, which becomes non-blocking. */
MigrationOut *out_new(IoChannel *ioc);
void out_free(MigrationOut *out);
/* Hands everything to the channel and waits until it has it. False if that failed now or before. */
bool out_flush(MigrationOut *out);
/* The error of the first failed write; NULL if there was none. The out's. */
const GError *out_error(const MigrationOut *out);
/* Bytes put so far. */
uint64_t out_tell(const MigrationOut *out);
/* Bytes that the channel has taken. Any thread. */
uint64_t out_written(const MigrationOut *out);

#endif
