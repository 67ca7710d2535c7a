/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * -object iothread,id=ID: a thread that iterates a GMainContext of its own, for queues of devices and for block
 * nodes (block/block.h).
 *
 * I1  An iothread never takes the big lock and never waits for a thread that may hold it. What needs the big lock
 *     it hands over with bh_schedule_oneshot(NULL, ...).
 * I2  Therefore whoever holds the big lock may wait for an iothread: iothread_run().
 * I3  A context that a device uses stays: the object can be deleted only when nobody holds it.
 */
#ifndef SYSTEM_IOTHREAD_H
#define SYSTEM_IOTHREAD_H

#include "qom/object.h"

typedef struct IoThread IoThread;
extern const ObjectType iothread_type; /* "iothread" */

/* Where its callbacks run; never NULL. */
GMainContext *iothread_context(const IoThread *iothread);
/* Runs func in the iothread, between its other callbacks, and returns when it is over. Big lock (I2); from the iothread
 * itself: at once. */
void iothread_run(IoThread *iothread, void (*func)(void *opaque), void *opaque);
/* For users: the object stays (I3). */
void iothread_hold(IoThread *iothread);
void iothread_release(IoThread *iothread);
/* By its id; NULL with an error. */
IoThread *iothread_find(const char *id, GError **error);

#endif
