/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A guest that does nothing but write its memory and look at it, in a thread of its own, while the machine moves; and what its
 * memory should be, byte by byte. The machine has -accel qtest,x-client-migrates=on (GUEST_ACCEL): an access that comes when a
 * migration has the machine stopped waits, like a processor, and is done by whoever runs the guest afterwards. So there is nothing
 * to be timed, and the end may come whenever it likes.
 *
 * Between guest_run() and guest_stop() or guest_leave() the machine's qtest connection is the thread's. Everything else is
 * one thread's.
 */
#ifndef RAM_GUEST_H
#define RAM_GUEST_H

#include "qtest-client.h"

#define GUEST_ACCEL "-accel qtest,x-client-migrates=on"
#define GUEST_PAGE 4096
#define GUEST_FIRST 0x100000 /* below it is the firmware's */

typedef struct Guest Guest;

/* Fills the machine's memory up to `mib` megabytes: pages of zeros, of random numbers, of one byte, of text. */
Guest *guest_new(QTest *q, unsigned mib, uint32_t seed);
void guest_free(Guest *g);
/* Writes and reads from now on, about so many pages a second (0: as many as go). */
void guest_run(Guest *g, QTest *q, unsigned rate);
/* As guest_run(), but it only looks. */
void guest_watch(Guest *g, QTest *q);
/* Ends that. The machine runs: an access that has begun is done. */
void guest_stop(Guest *g);
/* Ends that. The guest has gone elsewhere: an access that has no answer was not done. */
void guest_leave(Guest *g);
/* How many pages have been written so far; may be asked while it runs. */
uint64_t guest_writes(Guest *g);
/* One page, of whoever has stopped it: this thread writes it now. */
void guest_write(Guest *g, QTest *q, unsigned page);
/* A page of random numbers each, from page on. */
void guest_write_random(Guest *g, QTest *q, unsigned page, unsigned n);
unsigned guest_pages(const Guest *g);
/* The host loses the page now: the guest leaves it alone, whatever is in it. May be called while it runs. */
void guest_lost(Guest *g, unsigned page);
uint64_t guest_address(unsigned page);
/* Compares every page; ends the test with a message if one is not as it should be. */
void guest_check(Guest *g, QTest *q);

#endif
