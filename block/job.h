/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Jobs: work that goes on after the QMP command that began it (qapi/job.json). Main thread. */
#ifndef BLOCK_JOB_H
#define BLOCK_JOB_H

#include "qapi/types-job.h"

typedef struct Job Job;

typedef struct JobOps {
    JobType type;
    /* The work, from a bottom half of the main loop; it may run the loop. */
    bool (*run)(void *opaque, GError **error);
    void (*free)(void *opaque);
} JobOps;

/* Makes a job and starts it soon; takes opaque, also when it fails. id has to be well-formed and new. It
 * stays after its end until it is dismissed. */
bool job_start(const char *id, const JobOps *ops, void *opaque, GError **error);

#endif
