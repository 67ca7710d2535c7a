/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Random pages of guest memory, looked at twice: how many of them have changed. Main thread. */
#ifndef MIGRATION_DIRTY_SAMPLE_H
#define MIGRATION_DIRTY_SAMPLE_H

#include <glib.h>

typedef struct DirtySample DirtySample;
/* The guest's rate in MiB a second, measured over ns. The sample is to be freed. */
typedef void DirtySampleDone(double rate, int64_t ns);

/* Looks at so many pages for each GiB now and again after period_ms; a few at a time, so that nobody has to wait for it. */
DirtySample *dirty_sample_new(uint64_t per_gib, int64_t period_ms, DirtySampleDone *done);
/* Also before it is done, which is not called then. NULL is allowed. */
void dirty_sample_free(DirtySample *sample);

#endif
