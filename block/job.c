/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Jobs (job.h, qapi/job.json), and the one that makes images.
 *
 * J1  The status changes along an arrow of `arrows` only, and each change is told by an event.
 * J2  A job is in the list from job_start() until it is dismissed, which it can be when it is concluded.
 */
#include "util/osdep.h"
#include "job.h"

#include "block/image.h"
#include "qapi/commands-block-core.h"
#include "qapi/commands-job.h"
#include "qapi/dispatch.h"
#include "qapi/events-job.h"
#include "util/error.h"
#include "util/keyval.h"
#include "util/main-loop.h"

QMP_REGISTER(job)

struct Job {
    char *id;
    const JobOps *ops;
    void *opaque;
    JobStatus status;
    bool done; /* progress: it is one step */
    char *error;
};

static GQueue jobs = G_QUEUE_INIT;

/* J1: where each status may go. */
static const unsigned arrows[] = {
    [JOB_STATUS_UNDEFINED] = 1u << JOB_STATUS_CREATED,
    [JOB_STATUS_CREATED] = 1u << JOB_STATUS_RUNNING,
    [JOB_STATUS_RUNNING] = 1u << JOB_STATUS_WAITING | 1u << JOB_STATUS_ABORTING,
    [JOB_STATUS_WAITING] = 1u << JOB_STATUS_PENDING,
    [JOB_STATUS_PENDING] = 1u << JOB_STATUS_CONCLUDED,
    [JOB_STATUS_ABORTING] = 1u << JOB_STATUS_CONCLUDED,
    [JOB_STATUS_CONCLUDED] = 1u << JOB_STATUS_NULL,
};

static void job_go(Job *job, JobStatus status)
{
    g_assert(job->status < G_N_ELEMENTS(arrows) && (arrows[job->status] & 1u << status)); /* J1 */
    job->status = status;
    qapi_event_send_JOB_STATUS_CHANGE(job->id, status);
}

static Job *job_find(const char *id)
{
    for (GList *l = jobs.head; l; l = l->next) {
        Job *job = l->data;
        if (g_str_equal(job->id, id)) {
            return job;
        }
    }
    return NULL;
}

static void job_run(void *opaque)
{
    Job *job = opaque;
    GError *error = NULL;
    bool ok = job->ops->run(job->opaque, &error);
    job->done = true;
    if (ok) {
        job_go(job, JOB_STATUS_WAITING);
        job_go(job, JOB_STATUS_PENDING);
    } else {
        job->error = g_strdup(error->message);
        g_error_free(error);
        job_go(job, JOB_STATUS_ABORTING);
    }
    job_go(job, JOB_STATUS_CONCLUDED);
}

bool job_start(const char *id, const JobOps *ops, void *opaque, GError **error)
{
    if (!id_wellformed(id) || job_find(id)) {
        ops->free(opaque);
        return error_set(
            error, id_wellformed(id) ? "Job ID '%s' already in use" : "Invalid job ID '%s'", id);
    }
    Job *job = g_new0(Job, 1);
    job->id = g_strdup(id);
    job->ops = ops;
    job->opaque = opaque;
    g_queue_push_tail(&jobs, job);
    job_go(job, JOB_STATUS_CREATED);
    job_go(job, JOB_STATUS_RUNNING);
    bh_schedule_oneshot(NULL, job_run, job);
    return true;
}

/* ---- QMP ---- */

bool qmp_query_jobs(JobInfoArray **ret, GError **error)
{
    JobInfoArray *list = g_new0(JobInfoArray, 1);
    list->items = g_new0(JobInfo *, jobs.length);
    for (GList *l = jobs.head; l; l = l->next) {
        const Job *job = l->data;
        JobInfo *info = list->items[list->len++] = g_new0(JobInfo, 1);
        info->id = g_strdup(job->id);
        info->type = job->ops->type;
        info->status = job->status;
        info->current_progress = job->done;
        info->total_progress = 1;
        info->error_ = g_strdup(job->error);
    }
    *ret = list;
    return true;
}

bool qmp_job_dismiss(const char *id, GError **error)
{
    Job *job = job_find(id);
    if (!job) {
        return error_set(error, "Job not found");
    }
    if (job->status != JOB_STATUS_CONCLUDED) { /* J2 */
        return error_set(error, "Job '%s' in state '%s' cannot accept command verb 'dismiss'", id,
                         qapi_name_JobStatus(job->status));
    }
    job_go(job, JOB_STATUS_NULL);
    g_queue_remove(&jobs, job);
    job->ops->free(job->opaque);
    g_free(job->id);
    g_free(job->error);
    g_free(job);
    return true;
}

/* ---- making an image ---- */

static bool create_run(void *opaque, GError **error)
{
    return block_create(opaque, error);
}

static void create_free(void *opaque)
{
    qapi_free_BlockdevCreateOptions(opaque);
}

static const JobOps create_ops = { JOB_TYPE_CREATE, create_run, create_free };

bool qmp_blockdev_create(const char *job_id, const BlockdevCreateOptions *options, GError **error)
{
    const BlockDriver *driver = block_driver_by_name(qapi_name_BlockdevDriver(options->driver));
    if (!driver || !driver->create) {
        return error_set(error, "Driver does not support blockdev-create");
    }
    /* The command's options go with the command. */
    json_object *o = qapi_encode_BlockdevCreateOptions(options);
    BlockdevCreateOptions *copy = qapi_decode_BlockdevCreateOptions(o, QAPI_INPUT_JSON, error);
    json_object_put(o);
    return copy && job_start(job_id, &create_ops, copy, error);
}
