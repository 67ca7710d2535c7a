/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Postcopy on the destination: the guest runs before its memory is there. What is missing is a hole in the mapping; an
 * access to it waits in the kernel (userfaultfd(2)) while the page is asked for on the return path, and goes on when
 * it has been put there.
 *
 * K1  From the advice on a page is either a hole or final for what has been sent so far: pages that arrive are mapped,
 *     zero ones too, and what the source discards becomes a hole again.
 * K2  From listen on pages come into being whole, by one ioctl per page of the block: nobody sees half of one.
 * K3  `received` is set after the page is there, and cleared before it goes. What it says is what a recovery goes by. `arrived` is
 *     set before: who is to put a fresh page there in between knows that no content will come.
 * K4  A broken connection stops nothing but those who wait for pages: the next one goes on.
 */
#ifndef MIGRATION_POSTCOPY_H
#define MIGRATION_POSTCOPY_H

#include "io/channel.h"
#include "ram-load.h"

/* ---- the loader's thread, in the order of the stream -------------------------------------------------------------- */

/* The source may go on by postcopy. False, naming the block, if it cannot here. */
bool postcopy_advise(uint64_t page_sizes, uint64_t page_size, GError **error);
bool postcopy_advised(void);
/* Pages that the guest wrote after they were sent. */
bool postcopy_discard(const char *name, uint64_t start, uint64_t len, GError **error);
/* Holes trap from now on; requests go to the channel. Main thread. */
bool postcopy_listen(IoChannel *ioc, GError **error);
bool postcopy_listening(void);
/* Where the guest page at this offset of a block is put together (K2); NULL with an error if it is out of order. */
uint8_t *postcopy_stage(RamLoadBlock *lb, uint64_t offset, GError **error);
/* What has been put there stands for a guest page that the source has lost: if that is news, the whole page of the block
 * becomes an entry of the list, and unreadable. */
void postcopy_stage_lost(RamLoadBlock *lb, uint64_t offset);
/* It is complete there. zero: all zero. */
bool postcopy_staged(RamLoadBlock *lb, uint64_t offset, bool zero, GError **error);
/* Whether all pages are there. */
bool postcopy_complete(void);

/* ---- connections ----------------------------------------------------------------------------------------------------- */

/* Requests have nowhere to go (NULL), or go there; what is outstanding is asked for again. */
void postcopy_set_channel(IoChannel *ioc);
/* Answers RECV_BITMAP. */
bool postcopy_send_bitmap(IoChannel *ioc, const char *name, GError **error);

/* ---- end --------------------------------------------------------------------------------------------------------------- */

/* Nothing traps any more. Main thread; harmless without an advice. */
void postcopy_end(void);

#endif
