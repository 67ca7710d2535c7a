/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Quiesce (P2): everyone who can write guest memory without a vCPU stops before the last look at the dirty
 * bitmap, and stays stopped until the VM resumes.
 *
 * Q1  `quiesce` is called with the VM stopped, under the big lock, in registration order.
 * Q2  QUIESCE_BUSY from any one: those already quiesced are resumed in reverse order, the VM runs on a little
 *     and the stage starts over, until the deadline; then it fails and names who was busy.
 * Q3  After the last QUIESCE_DONE RAM is closed (system/memory.h M4).
 * Q4  `resume` is called exactly once for each quiesced backend when the VM runs again here.
 */
#ifndef SYSTEM_QUIESCE_H
#define SYSTEM_QUIESCE_H

#include <glib.h>

typedef enum QuiesceResult { QUIESCE_DONE, QUIESCE_BUSY, QUIESCE_ERROR } QuiesceResult;

typedef struct QuiesceOps {
    const char *name;
    /* *error is set for BUSY (what it waits for) and ERROR. */
    QuiesceResult (*quiesce)(void *opaque, GError **error);
    void (*resume)(void *opaque);
} QuiesceOps;

typedef struct QuiesceEntry QuiesceEntry;
QuiesceEntry *quiesce_register(const QuiesceOps *ops, void *opaque);
void quiesce_unregister(QuiesceEntry *entry);

/* One attempt (Q1); on BUSY and ERROR everything is as before the call. On DONE, RAM is closed. */
QuiesceResult quiesce_all(GError **error);
/* Opens RAM and resumes all. No-op if not quiesced. */
void quiesce_resume_all(void);
bool quiesced(void);

#endif
