/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * vhost-user: life of a session, and its jobs. The thread takes jobs in order; between them it looks after the
 * connection. What is over becomes a notice, which the main thread delivers under the big lock.
 */
#include "util/osdep.h"

#include <fcntl.h>

#include "vhost-user-internal.h"
#include "system/runstate.h"
#include "util/coroutine.h"
#include "util/error.h"

#define PARTING_US G_TIME_SPAN_SECOND /* that a session which ends gives its last jobs */

/* ---- notices ------------------------------------------------------------------------------------------- */

static void job_free(VuJob *job)
{
    g_clear_error(&job->error);
    vhost_user_memory_unref(job->memory);
    g_free(job->data);
    g_free(job);
}

/* Tells the main thread. Any thread. */
void vu_notice(VhostUser *vu, VuJob *notice)
{
    g_mutex_lock(&vu->lock);
    g_queue_push_tail(&vu->notices, notice);
    g_mutex_unlock(&vu->lock);
    bh_schedule(vu->bh);
}

static void deliver(void *opaque)
{
    VhostUser *vu = opaque;

    for (;;) {
        VuJob *job;

        g_mutex_lock(&vu->lock);
        job = g_queue_pop_head(&vu->notices);
        g_mutex_unlock(&vu->lock);
        if (!job) {
            return;
        }
        if (job->event) {
            job->event(vu, job);
        } else if (job->done) {
            job->done(job->opaque, job->failure, job->error);
        }
        job_free(job);
    }
}

static void ready_event(VhostUser *vu, VuJob *job)
{
    if (vu->ops.ready) {
        vu->ops.ready(vu->opaque, job->flag);
    }
}

static void lost_event(VhostUser *vu, VuJob *job)
{
    if (vu->ops.lost) {
        vu->ops.lost(vu->opaque, job->failure, job->error);
    }
}

static void notice_lost(VhostUser *vu, VhostUserFailure failure, GError *why)
{
    VuJob *notice = g_new0(VuJob, 1);

    notice->event = lost_event;
    notice->failure = failure;
    notice->error = why;
    vu_notice(vu, notice);
}

/* ---- the connection ------------------------------------------------------------------------------------ */

/* The failure of what was just tried, for whoever is to hear of it; the session is clean again. */
static VhostUserFailure take_failure(VhostUser *vu, GError **error)
{
    VhostUserFailure failure = vu->failure;

    g_propagate_error(error, g_steal_pointer(&vu->error));
    vu->failure = VHOST_USER_OK;
    return failure;
}

static void handle_closed(VhostUser *vu)
{
    bool was_ready = vu->state == VU_IDLE || vu->state == VU_RUNNING;
    g_autofree char *why = g_steal_pointer(&vu->ended_why);

    vu->closed = false;
    vu_state_event(vu, VU_CLOSED);
    vu_input_reset(vu);
    vu_channel_close(vu);
    g_clear_pointer(&vu->sent_memory, vhost_user_memory_unref);
    if (was_ready || why) {
        notice_lost(vu, VHOST_USER_AWAY,
                    g_error_new(TERN_ERROR, 0, "%s", why ? why : "the back end has gone"));
    }
}

/* A new connection: agrees, and runs the plan if there is one. The failure stays in vu. */
static bool handle_opened(VhostUser *vu)
{
    bool again;
    VuJob *notice;

    vu->opened = false;
    if (!vu_state_event(vu, VU_OPENED)) {
        return false;
    }
    vu_input_reset(vu);
    if (!vu_negotiate(vu) || !vu_restore_config(vu) ||
        (vu->planned && !vu_run_plan(vu, true))) {
        if (vu->state != VU_ABSENT) {
            vu_state_event(vu, VU_BROKEN);
            chardev_disconnect(vu->fe);
        }
        return false;
    }
    g_mutex_lock(&vu->lock);
    again = vu->agreed_once;
    vu->agreed_once = true;
    g_clear_error(&vu->first_failure);
    g_cond_broadcast(&vu->changed);
    g_mutex_unlock(&vu->lock);
    notice = g_new0(VuJob, 1);
    notice->event = ready_event;
    notice->flag = again;
    vu_notice(vu, notice);
    return true;
}

/* A connection that came by itself. */
static void greet(VhostUser *vu)
{
    g_autoptr(GError) error = NULL;
    VhostUserFailure failure;

    if (handle_opened(vu)) {
        return;
    }
    failure = take_failure(vu, &error);
    if (failure == VHOST_USER_OK) {
        return;
    }
    g_mutex_lock(&vu->lock);
    if (!vu->agreed_once) {
        g_clear_error(&vu->first_failure);
        vu->first_failure = g_error_copy(error);
        g_cond_broadcast(&vu->changed);
    }
    g_mutex_unlock(&vu->lock);
    if (vu->planned && failure != VHOST_USER_ENDING) {
        g_clear_pointer(&vu->ended_why, g_free);
        notice_lost(vu, failure, g_steal_pointer(&error));
    }
}

bool vu_present(VhostUser *vu)
{
    gint64 deadline = vu_deadline(vu);

    while (vu->state != VU_IDLE && vu->state != VU_RUNNING) {
        if (vu->closed) {
            handle_closed(vu);
        } else if (vu->opened) {
            if (!handle_opened(vu)) {
                return vu->failure != VHOST_USER_OK
                           ? false
                           : vu_fail(vu, VHOST_USER_AWAY, "the back end has gone");
            }
        } else if (vu_interrupted(vu)) {
            return vu_fail(vu, VHOST_USER_ENDING, "given up");
        } else if (!chardev_may_reconnect(vu->fe) && !chardev_connected(vu->fe)) {
            return vu_fail(vu, VHOST_USER_AWAY, "there is no back end");
        } else if (g_get_monotonic_time() >= deadline) {
            return vu_fail(vu, VHOST_USER_AWAY, "no back end came within %u ms", vu_timeout(vu));
        } else {
            vu_iterate(vu, deadline);
        }
    }
    return true;
}

/* ---- the thread ---------------------------------------------------------------------------------------- */

VuJob *vu_job_new(bool (*run)(VhostUser *vu, VuJob *job), VhostUserDone *done, void *opaque)
{
    VuJob *job = g_new0(VuJob, 1);

    job->run = run;
    job->done = done;
    job->opaque = opaque;
    return job;
}

static void finish(VhostUser *vu, VuJob *job)
{
    g_mutex_lock(&vu->lock);
    vu->unfinished--;
    g_queue_push_tail(&vu->notices, job);
    g_cond_broadcast(&vu->changed);
    g_mutex_unlock(&vu->lock);
    bh_schedule(vu->bh);
}

static VuJob *next_job(VhostUser *vu)
{
    VuJob *job;

    g_mutex_lock(&vu->lock);
    job = g_queue_pop_head(&vu->jobs);
    g_mutex_unlock(&vu->lock);
    return job;
}

static bool quitting(VhostUser *vu)
{
    bool quit;

    g_mutex_lock(&vu->lock);
    quit = vu->quit;
    g_mutex_unlock(&vu->lock);
    return quit;
}

static void run_job(VhostUser *vu, VuJob *job)
{
    if (!job->run(vu, job)) {
        job->failure = take_failure(vu, &job->error);
        g_assert(job->failure != VHOST_USER_OK);
    }
    finish(vu, job);
}

static gpointer thread_main(gpointer opaque)
{
    VhostUser *vu = opaque;
    VuJob *job;

    g_main_context_push_thread_default(vu->context);
    while (!quitting(vu)) {
        if (vu->closed) {
            handle_closed(vu);
        } else if (vu->opened) {
            greet(vu);
        } else if ((vu->state == VU_IDLE || vu->state == VU_RUNNING) && !vu_input_quiet(vu)) {
            GError *error = NULL;
            VhostUserFailure failure = take_failure(vu, &error);

            vu_input_reset(vu);
            g_clear_pointer(&vu->ended_why, g_free); /* this tells it */
            notice_lost(vu, failure, error);
        } else if ((job = next_job(vu))) {
            run_job(vu, job);
        } else {
            g_main_context_iteration(vu->context, TRUE);
        }
    }
    while ((job = next_job(vu))) {
        job->failure = VHOST_USER_ENDING;
        error_set(&job->error, "the session ends");
        finish(vu, job);
    }
    vu_channel_close(vu);
    g_main_context_pop_thread_default(vu->context);
    return NULL;
}

/* ---- life ---------------------------------------------------------------------------------------------- */

static GPtrArray *sessions; /* that have a thread */

VhostUser *vhost_user_new(const VhostUserOptions *options, const VhostUserOps *ops, void *opaque)
{
    VhostUser *vu = g_new0(VhostUser, 1);

    vu->name = g_strdup(options->name);
    vu->fe = options->fe;
    vhost_user_set_timeout(vu, options->timeout_ms);
    vu->wanted_protocol = options->protocol_features;
    vu->ops = *ops;
    vu->opaque = opaque;
    vu->channel_fd = vu->inflight_fd = vu->log.fd = -1;
    vu->in_need = sizeof(VhostUserHeader);
    g_mutex_init(&vu->lock);
    g_mutex_init(&vu->log_lock);
    g_cond_init(&vu->changed);
    g_queue_init(&vu->jobs);
    g_queue_init(&vu->notices);
    vu->bh = bh_new(NULL, "vhost-user", deliver, vu);
    vu->context = g_main_context_new();
    chardev_fe_set_handlers(vu->fe, &vu_chardev_handlers, vu, vu->context);
    vu->thread = g_thread_new("vhost-user", thread_main, vu);
    sessions = sessions ? sessions : g_ptr_array_new();
    g_ptr_array_add(sessions, vu);
    return vu;
}

void vhost_user_set_timeout(VhostUser *vu, unsigned timeout_ms)
{
    g_atomic_int_set(&vu->timeout_ms,
                     (gint)MIN(timeout_ms ? timeout_ms : VHOST_USER_DEFAULT_TIMEOUT_MS, INT_MAX));
}

bool vhost_user_wait_ready(VhostUser *vu, GError **error)
{
    gint64 deadline = vu_deadline(vu) + G_TIME_SPAN_SECOND / 10;
    bool ok;

    g_mutex_lock(&vu->lock);
    while (!vu->agreed_once && !vu->first_failure) {
        if (!g_cond_wait_until(&vu->changed, &vu->lock, deadline)) {
            break;
        }
    }
    ok = vu->agreed_once;
    if (!ok && vu->first_failure) {
        g_propagate_error(error, g_steal_pointer(&vu->first_failure));
    } else if (!ok) {
        error_set(error, "no back end came to chardev '%s' within %u ms", chardev_id(vu->fe->chr),
                  vu_timeout(vu));
    }
    g_mutex_unlock(&vu->lock);
    return ok;
}

static void end_thread(VhostUser *vu)
{
    gint64 deadline = g_get_monotonic_time() + PARTING_US;

    if (!vu->thread) {
        return;
    }
    g_mutex_lock(&vu->lock);
    /* a back end that is left in the middle of a stop would still have rings in memory that the guest uses for something else */
    while (vu->unfinished && !vm_is_leaving() &&
           g_cond_wait_until(&vu->changed, &vu->lock, deadline)) {
    }
    vu->quit = true;
    g_mutex_unlock(&vu->lock);
    g_main_context_wakeup(vu->context);
    g_thread_join(g_steal_pointer(&vu->thread));
    chardev_fe_set_handlers(vu->fe, NULL, NULL, NULL);
    g_ptr_array_remove_fast(sessions, vu);
    if (!sessions->len) {
        g_clear_pointer(&sessions, g_ptr_array_unref);
    }
}

void vhost_user_leave(void)
{
    while (sessions) {
        end_thread(sessions->pdata[0]);
    }
}

void vhost_user_free(VhostUser *vu)
{
    VuJob *job;

    if (!vu) {
        return;
    }
    end_thread(vu);
    while ((job = g_queue_pop_head(&vu->notices))) {
        if (!job->event && job->done) {
            job->done(job->opaque, job->failure, job->error);
        }
        job_free(job);
    }
    vu_input_reset(vu);
    bh_delete(vu->bh);
    for (unsigned i = 0; i < VHOST_USER_MAX_RINGS; i++) {
        vu_ring_clear(&vu->rings[i]);
    }
    vu_inflight_forget(vu);
    vu->planned = false;
    vu_log_end(vu);
    vhost_user_memory_unref(vu->memory);
    vhost_user_memory_unref(vu->sent_memory);
    g_clear_error(&vu->first_failure);
    g_clear_error(&vu->error);
    g_free(vu->ended_why);
    g_main_context_unref(vu->context);
    g_mutex_clear(&vu->lock);
    g_mutex_clear(&vu->log_lock);
    g_cond_clear(&vu->changed);
    g_free(vu->name);
    g_free(vu);
}

bool vhost_user_connected(VhostUser *vu)
{
    bool connected;

    g_mutex_lock(&vu->lock);
    connected = vu->connected;
    g_mutex_unlock(&vu->lock);
    return connected;
}

bool vhost_user_may_return(VhostUser *vu)
{
    return chardev_may_reconnect(vu->fe);
}

uint64_t vhost_user_features(VhostUser *vu)
{
    uint64_t features;

    g_mutex_lock(&vu->lock);
    features = vu->features;
    g_mutex_unlock(&vu->lock);
    return features;
}

bool vhost_user_has_protocol(VhostUser *vu, VhostUserProtocolFeature feature)
{
    uint64_t protocol;

    g_mutex_lock(&vu->lock);
    protocol = vu->protocol;
    g_mutex_unlock(&vu->lock);
    return protocol >> feature & 1;
}

unsigned vhost_user_max_rings(VhostUser *vu)
{
    unsigned n;

    g_mutex_lock(&vu->lock);
    n = vu->max_rings;
    g_mutex_unlock(&vu->lock);
    return n;
}

/* ---- giving jobs, waiting for them --------------------------------------------------------------------- */

void vu_submit(VhostUser *vu, VuJob *job)
{
    g_mutex_lock(&vu->lock);
    vu->unfinished++;
    g_queue_push_tail(&vu->jobs, job);
    g_mutex_unlock(&vu->lock);
    g_main_context_wakeup(vu->context);
}

static bool unfinished(VhostUser *vu)
{
    bool any;

    g_mutex_lock(&vu->lock);
    any = vu->unfinished > 0;
    g_mutex_unlock(&vu->lock);
    return any;
}

/* The lock is kept (VU1), except where the main loop can go on, which matters when the back end is slow. */
void vhost_user_drain(VhostUser *vu)
{
    gint64 soon = g_get_monotonic_time() + G_TIME_SPAN_MILLISECOND * 5;
    bool iterate = in_main_thread() && !in_coroutine();

    g_mutex_lock(&vu->lock);
    while (vu->unfinished && (!iterate || g_get_monotonic_time() < soon)) {
        if (iterate) {
            g_cond_wait_until(&vu->changed, &vu->lock, soon);
        } else {
            g_cond_wait(&vu->changed, &vu->lock);
        }
    }
    g_mutex_unlock(&vu->lock);
    if (iterate) {
        MAIN_LOOP_WHILE(unfinished(vu));
    }
    deliver(vu);
}

typedef struct Outcome {
    bool over;
    bool ok;
    GError *error;
} Outcome;

static void outcome_done(void *opaque, VhostUserFailure failure, const GError *error)
{
    Outcome *outcome = opaque;

    outcome->over = true;
    outcome->ok = failure == VHOST_USER_OK;
    outcome->error = error ? g_error_copy(error) : NULL;
}

bool vu_submit_and_wait(VhostUser *vu, VuJob *job, GError **error)
{
    Outcome outcome = { 0 };

    job->done = outcome_done;
    job->opaque = &outcome;
    vu_submit(vu, job);
    vhost_user_drain(vu);
    g_assert(outcome.over);
    if (outcome.error) {
        g_propagate_error(error, outcome.error);
    }
    return outcome.ok;
}

/* ---- jobs ---------------------------------------------------------------------------------------------- */

static void adopt_ring(VhostUser *vu, const VhostUserRing *ring)
{
    VuRing *r = &vu->rings[ring->index];

    vu_ring_clear(r);
    r->ring = *ring;
    r->planned = true;
    g_mutex_lock(&vu->lock);
    r->stopped_base = false;
    g_mutex_unlock(&vu->lock);
    vu->nrings = MAX(vu->nrings, ring->index + 1);
}

static int own_fd(int fd)
{
    return fd < 0 ? -1 : fcntl(fd, F_DUPFD_CLOEXEC, 0);
}

/* Copies with descriptors of their own. */
static VhostUserRing *copy_rings(const VhostUserRing *rings, unsigned n)
{
    VhostUserRing *copy = g_memdup2(rings, n * sizeof(*rings));

    for (unsigned i = 0; i < n; i++) {
        copy[i].kick_fd = own_fd(rings[i].kick_fd);
        copy[i].call_fd = own_fd(rings[i].call_fd);
    }
    return copy;
}

/* With an absent back end: when it comes, it gets the plan; that is this job's end, too. */
static bool run_start(VhostUser *vu, VuJob *job)
{
    const VhostUserRing *rings = job->data;

    vu->planned = true;
    vu->plan_features = job->u64;
    vhost_user_memory_unref(vu->memory);
    vu->memory = g_steal_pointer(&job->memory);
    vu->use_inflight = job->flag;
    vu->nrings = 0;
    for (unsigned i = 0; i < job->n; i++) {
        adopt_ring(vu, &rings[i]);
    }
    if (vu->state == VU_IDLE || vu->state == VU_RUNNING) {
        return vu_run_plan(vu, false);
    }
    return vu_present(vu);
}

void vhost_user_start(VhostUser *vu, uint64_t features, VhostUserMemory *memory,
                      const VhostUserRing *rings, unsigned nrings, bool inflight,
                      VhostUserDone *done, void *opaque)
{
    VuJob *job = vu_job_new(run_start, done, opaque);

    job->u64 = features;
    job->memory = vhost_user_memory_ref(memory);
    job->data = copy_rings(rings, nrings);
    job->n = nrings;
    job->flag = inflight;
    vu_submit(vu, job);
}

/* Whatever becomes of it, there is no plan any more. */
static bool run_stop(VhostUser *vu, VuJob *job)
{
    bool ok = true;

    if (vu->state == VU_RUNNING || vu->state == VU_IDLE) {
        ok = vu_stop_plan(vu, job->flag);
    } else if (vu->planned && !job->flag) {
        ok = vu_fail(vu, VHOST_USER_AWAY,
                     "the back end has gone and cannot say where its rings are");
    }
    for (unsigned i = 0; i < vu->nrings; i++) {
        vu_ring_clear(&vu->rings[i]);
        vu->rings[i].set_up = false;
    }
    vu->planned = false;
    if (job->flag) {
        vu_inflight_forget(vu);
        memset(vu->is_written, 0, sizeof(vu->is_written));
    }
    return ok;
}

void vhost_user_stop(VhostUser *vu, bool reset, VhostUserDone *done, void *opaque)
{
    VuJob *job = vu_job_new(run_stop, done, opaque);

    job->flag = reset;
    vu_submit(vu, job);
}

bool vhost_user_stop_and_wait(VhostUser *vu, bool reset, GError **error)
{
    VuJob *job = vu_job_new(run_stop, NULL, NULL);

    job->flag = reset;
    return vu_submit_and_wait(vu, job, error);
}

static bool run_ring_start(VhostUser *vu, VuJob *job)
{
    const VhostUserRing *ring = job->data;

    adopt_ring(vu, ring);
    return vu->state == VU_RUNNING ? vu_ring_run(vu, &vu->rings[ring->index]) : vu_present(vu);
}

void vhost_user_ring_start(VhostUser *vu, const VhostUserRing *ring, VhostUserDone *done,
                           void *opaque)
{
    VuJob *job = vu_job_new(run_ring_start, done, opaque);

    job->data = copy_rings(ring, 1);
    vu_submit(vu, job);
}

static bool run_ring_stop(VhostUser *vu, VuJob *job)
{
    VuRing *ring = &vu->rings[job->index];
    bool ok = vu->state != VU_RUNNING || !ring->planned || vu_ring_halt(vu, ring);

    vu_ring_clear(ring);
    return ok;
}

void vhost_user_ring_stop(VhostUser *vu, unsigned index, VhostUserDone *done, void *opaque)
{
    VuJob *job = vu_job_new(run_ring_stop, done, opaque);

    job->index = index;
    vu_submit(vu, job);
}

static bool run_enable(VhostUser *vu, VuJob *job)
{
    const bool *enable = job->data;

    for (unsigned i = 0; i < job->n && i < vu->nrings; i++) {
        VuRing *ring = &vu->rings[i];

        if (!ring->planned || ring->ring.enable == enable[i]) {
            continue;
        }
        if (vu->state == VU_RUNNING && !vu_ring_enable(vu, ring, enable[i])) {
            return false;
        }
        ring->ring.enable = enable[i];
        if (enable[i] && ring->ring.kick_fd >= 0) {
            uint64_t one = 1;

            /* a full counter is a signal, too */
            if (write(ring->ring.kick_fd, &one, sizeof(one)) < 0 && errno != EAGAIN) {
                return vu_fail(vu, VHOST_USER_ENDING, "cannot signal a kick: %s",
                               g_strerror(errno));
            }
        }
    }
    return true;
}

void vhost_user_rings_enable(VhostUser *vu, const bool *enable, unsigned n, VhostUserDone *done,
                             void *opaque)
{
    VuJob *job = vu_job_new(run_enable, done, opaque);

    job->data = g_memdup2(enable, n * sizeof(*enable));
    job->n = n;
    vu_submit(vu, job);
}

static bool run_set_memory(VhostUser *vu, VuJob *job)
{
    vhost_user_memory_unref(vu->memory);
    vu->memory = g_steal_pointer(&job->memory);
    if (vu->state != VU_RUNNING) {
        return true;
    }
    return vu_send_memory(vu, vu->memory) && (vu->log.fd < 0 || vu_log_ensure(vu));
}

void vhost_user_set_memory(VhostUser *vu, VhostUserMemory *memory, VhostUserDone *done,
                           void *opaque)
{
    VuJob *job = vu_job_new(run_set_memory, done, opaque);

    job->memory = vhost_user_memory_ref(memory);
    vu_submit(vu, job);
}

static bool run_set_features(VhostUser *vu, VuJob *job)
{
    vu->plan_features = job->u64;
    return vu->state != VU_RUNNING || (vu_send_features(vu) && vu_refresh_rings(vu));
}

void vhost_user_set_features(VhostUser *vu, uint64_t features, VhostUserDone *done, void *opaque)
{
    VuJob *job = vu_job_new(run_set_features, done, opaque);

    job->u64 = features;
    vu_submit(vu, job);
}

/* A back end that comes while this waits gets it with all else that is written. What is refused is not written. */
static bool run_set_config(VhostUser *vu, VuJob *job)
{
    bool there = vu->state == VU_IDLE || vu->state == VU_RUNNING, ok;

    memcpy(vu->written + job->index, job->data, job->len);
    memset(vu->is_written + job->index, true, job->len);
    ok = there ? vu_send_config(vu, job->index, (unsigned)job->len) : vu_present(vu);
    if (vu->failure == VHOST_USER_REFUSED) {
        memset(vu->is_written + job->index, false, job->len);
    }
    if (ok) { /* the driver reads what it wrote, also before the next fetch */
        g_mutex_lock(&vu->lock);
        memcpy(vu->config + job->index, job->data, job->len);
        g_mutex_unlock(&vu->lock);
    }
    return ok;
}

static VuJob *set_config_job(unsigned offset, const void *data, unsigned len, VhostUserDone *done,
                             void *opaque)
{
    VuJob *job = vu_job_new(run_set_config, done, opaque);

    g_assert(len <= VHOST_USER_MAX_CONFIG && offset <= VHOST_USER_MAX_CONFIG - len);
    job->index = offset;
    job->data = g_memdup2(data, len);
    job->len = len;
    return job;
}

void vhost_user_set_config(VhostUser *vu, unsigned offset, const void *data, unsigned len,
                           VhostUserDone *done, void *opaque)
{
    vu_submit(vu, set_config_job(offset, data, len, done, opaque));
}

bool vhost_user_set_config_and_wait(VhostUser *vu, unsigned offset, const void *data, unsigned len,
                                    GError **error)
{
    return vu_submit_and_wait(vu, set_config_job(offset, data, len, NULL, NULL), error);
}

static bool run_fetch_config(VhostUser *vu, VuJob *job)
{
    VhostUserMessage message = vu_message(VHOST_USER_GET_CONFIG, VHOST_USER_CONFIG_HEADER + job->n),
                     reply;

    message.payload.config.size = job->n;
    if (!vu_present(vu) || !vu_ask(vu, &message, NULL, 0, &reply, NULL)) {
        return false;
    }
    g_mutex_lock(&vu->lock);
    memcpy(vu->config, reply.payload.config.data, job->n);
    vu->config_len = job->n;
    g_mutex_unlock(&vu->lock);
    return true;
}

static VuJob *fetch_job(unsigned len, VhostUserDone *done, void *opaque)
{
    VuJob *job = vu_job_new(run_fetch_config, done, opaque);

    g_assert(len <= VHOST_USER_MAX_CONFIG);
    job->n = len;
    return job;
}

/* Whether the job that is to be run last is a fetch for the same caller: it reads what there is when its turn comes. */
static bool fetch_waits(VhostUser *vu, unsigned len, VhostUserDone *done, void *opaque)
{
    const VuJob *last;
    bool waits;

    g_mutex_lock(&vu->lock);
    last = g_queue_peek_tail(&vu->jobs);
    waits = last && last->run == run_fetch_config && last->n == len && last->done == done &&
            last->opaque == opaque;
    g_mutex_unlock(&vu->lock);
    return waits;
}

void vhost_user_fetch_config(VhostUser *vu, unsigned len, VhostUserDone *done, void *opaque)
{
    if (!fetch_waits(vu, len, done, opaque)) {
        vu_submit(vu, fetch_job(len, done, opaque));
    }
}

bool vhost_user_fetch_config_and_wait(VhostUser *vu, unsigned len, GError **error)
{
    return vu_submit_and_wait(vu, fetch_job(len, NULL, NULL), error);
}

unsigned vhost_user_config(VhostUser *vu, void *data, unsigned len)
{
    unsigned n;

    g_mutex_lock(&vu->lock);
    n = MIN(len, vu->config_len);
    memcpy(data, vu->config, n);
    g_mutex_unlock(&vu->lock);
    return n;
}

bool vhost_user_ring_base(VhostUser *vu, unsigned index, uint32_t *base)
{
    bool known;

    g_mutex_lock(&vu->lock);
    known = index < VHOST_USER_MAX_RINGS && vu->rings[index].stopped_base;
    if (known) {
        *base = vu->rings[index].ring.base;
    }
    g_mutex_unlock(&vu->lock);
    return known;
}

static bool run_simple(VhostUser *vu, VuJob *job)
{
    VhostUserMessage message = vu_message(job->index, 8);

    message.payload.u64 = job->u64;
    if (vu->state != VU_IDLE && vu->state != VU_RUNNING) {
        return true; /* whoever comes gets it with the next start */
    }
    return !vu_has(vu, job->n) || vu_tell(vu, &message, NULL, 0);
}

static void submit_simple(VhostUser *vu, VhostUserRequest request, VhostUserProtocolFeature needs,
                          uint64_t value, VhostUserDone *done, void *opaque)
{
    VuJob *job = vu_job_new(run_simple, done, opaque);

    job->index = request;
    job->n = needs;
    job->u64 = value;
    vu_submit(vu, job);
}

void vhost_user_send_rarp(VhostUser *vu, const uint8_t mac[6], VhostUserDone *done, void *opaque)
{
    uint64_t value = 0;

    memcpy(&value, mac, 6);
    submit_simple(vu, VHOST_USER_SEND_RARP, VHOST_USER_PROTOCOL_F_RARP, value, done, opaque);
}

static bool run_set_mtu(VhostUser *vu, VuJob *job)
{
    vu->mtu = (uint16_t)job->u64;
    return true;
}

void vhost_user_set_mtu(VhostUser *vu, uint16_t mtu)
{
    VuJob *job = vu_job_new(run_set_mtu, NULL, NULL);

    job->u64 = mtu;
    vu_submit(vu, job);
}
