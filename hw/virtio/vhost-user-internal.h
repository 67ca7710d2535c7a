/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The inside of a vhost-user session. Members belong to the session's thread, unless the comment says otherwise.
 */
#ifndef VHOST_USER_INTERNAL_H
#define VHOST_USER_INTERNAL_H

#include "hw/virtio/vhost-user.h"
#include "util/main-loop.h"

/* Where a session is; the table is in vhost-user-io.c. */
typedef enum VuState {
    VU_ABSENT,      /* no connection */
    VU_NEGOTIATING, /* first messages */
    VU_IDLE,        /* agreed, rings stopped */
    VU_RUNNING,     /* the plan runs */
    VU_ENDING,      /* we ended the connection; its end has not been seen yet */
    VU_STATES
} VuState;

typedef enum VuEvent {
    VU_OPENED,
    VU_AGREED,
    VU_STARTED,
    VU_STOPPED,
    VU_BROKEN,
    VU_CLOSED,
    VU_EVENTS
} VuEvent;

typedef struct VuRing {
    VhostUserRing ring; /* descriptors are ours */
    bool planned;       /* part of the plan */
    bool set_up;        /* the back end has it */
    bool served;        /* one has had it since it was planned: ring.base is where it began */
    bool stopped_base;  /* ring.base is what the back end answered; lock */
} VuRing;

typedef struct VuLog {
    int fd; /* -1: none */
    void *map;
    uint64_t size;
} VuLog;

/* A piece of work for the thread, and then a notice of its end for the main thread. */
typedef struct VuJob VuJob;
struct VuJob {
    bool (*run)(VhostUser *vu, VuJob *job); /* NULL: not a job, an event */
    void (*event)(VhostUser *vu, VuJob *job);
    VhostUserDone *done;
    void *opaque;
    VhostUserFailure failure;
    GError *error;
    /* arguments, as the job needs them */
    uint64_t u64;
    unsigned index, n;
    bool flag;
    void *data;
    size_t len;
    VhostUserMemory *memory;
};

struct VhostUser {
    char *name;
    ChardevFe *fe;
    gint timeout_ms; /* any thread: vu_timeout() */
    uint64_t wanted_protocol;
    VhostUserOps ops;
    void *opaque;
    GThread *thread;
    GMainContext *context;
    Bh *bh; /* main thread: delivers notices */

    GMutex lock;
    GCond changed;
    GQueue jobs;                 /* lock: waiting */
    GQueue notices;              /* lock: over, not delivered */
    bool config_told;            /* lock: one of them says that the configuration has changed */
    unsigned unfinished;         /* lock: jobs waiting or running */
    bool quit;                   /* lock */
    bool agreed_once, connected; /* lock */
    uint64_t features,
        protocol;       /* lock: of the back end; features it had at first stay the measure */
    unsigned max_rings; /* lock */
    uint8_t config[VHOST_USER_MAX_CONFIG]; /* lock */
    unsigned config_len;                   /* lock */
    GError *first_failure;                 /* lock: why there was no first `ready` */

    VuState state;
    bool opened, closed;      /* events that came and were not acted upon */
    VhostUserFailure failure; /* of the job at work */
    GError *error;
    char *ended_why; /* we ended the connection, and the device is to hear of it whoever's job it was */

    /* the message being received */
    VhostUserMessage in;
    size_t in_have, in_need;
    int in_fds[VHOST_USER_MAX_FDS];
    unsigned in_nfds;

    /* the back end's own channel */
    int channel_fd; /* our end; -1: none */
    GSource *channel_source;
    VhostUserMessage channel_in;
    size_t channel_have;

    /* the plan (VU4) */
    bool planned;
    uint64_t plan_features;
    uint16_t mtu; /* 0: none */
    VhostUserMemory *memory;
    VuRing rings[VHOST_USER_MAX_RINGS];
    unsigned nrings;
    bool use_inflight;
    int inflight_fd; /* -1: none */
    VhostUserInflight inflight;
    /* what the driver wrote into the configuration space since its reset, and where */
    uint8_t written[VHOST_USER_MAX_CONFIG];
    bool is_written[VHOST_USER_MAX_CONFIG];

    VhostUserMemory *sent_memory; /* what the back end has */
    unsigned max_slots;

    GMutex log_lock;
    bool logging;                /* log_lock */
    VuLog log;                   /* log_lock */
    VhostUserMemory *log_memory; /* log_lock */
    bool log_closed, log_late;   /* log_lock */
};

/* Milliseconds for one reply, and when they are over for what begins now. */
static inline unsigned vu_timeout(VhostUser *vu)
{
    return (unsigned)g_atomic_int_get(&vu->timeout_ms);
}

static inline gint64 vu_deadline(VhostUser *vu)
{
    return g_get_monotonic_time() + vu_timeout(vu) * (gint64)G_TIME_SPAN_MILLISECOND;
}

/* ---- vhost-user-io.c ---------------------------------------------------------------------------------------- */

/* Goes on by the table; false where it does not have the event. */
bool vu_state_event(VhostUser *vu, VuEvent event);
/* Sets why the job at work fails; the first reason stays. SILENT and LIED end the connection. Returns false. */
bool vu_fail(VhostUser *vu, VhostUserFailure failure, const char *fmt, ...) G_GNUC_PRINTF(3, 4);
/* Ends it from our side; its end is seen later. */
void vu_end_connection(VhostUser *vu);
/* Sends, with no wait for anything. */
bool vu_send(VhostUser *vu, VhostUserMessage *message, const int *fds, unsigned nfds);
/* Sends and waits for the message's own reply. reply_fd may be NULL: none may come; else the descriptor or -1. */
bool vu_ask(VhostUser *vu, VhostUserMessage *message, const int *fds, unsigned nfds,
            VhostUserMessage *reply, int *reply_fd);
/* Sends and waits until the back end has acted (VU2). */
bool vu_tell(VhostUser *vu, VhostUserMessage *message, const int *fds, unsigned nfds);
bool vu_ask_u64(VhostUser *vu, VhostUserRequest request, uint64_t *value);
/* GET_FEATURES, to know that everything before it has been acted upon. */
bool vu_barrier(VhostUser *vu);
bool vu_has(const VhostUser *vu, VhostUserProtocolFeature feature);
/* Whether the thread is to give up what it waits for. */
bool vu_interrupted(VhostUser *vu);
/* Runs the context until something happens, at most until the (monotonic) time. */
void vu_iterate(VhostUser *vu, gint64 deadline);
/* Forgets what has been received, and is ready for the next message. */
void vu_input_reset(VhostUser *vu);
/* Nothing came unasked; else the job fails (LIED). */
bool vu_input_quiet(VhostUser *vu);
void vu_channel_open(VhostUser *vu, int fd);
void vu_channel_close(VhostUser *vu);
extern const ChardevHandlers vu_chardev_handlers;
void vu_trace(VhostUser *vu, char direction, const VhostUserMessage *message, unsigned nfds);

static inline VhostUserMessage vu_message(VhostUserRequest request, uint32_t size)
{
    return (VhostUserMessage){ .header = { request, VHOST_USER_VERSION, size } };
}

/* ---- vhost-user-plan.c -------------------------------------------------------------------------------------- */

/* First messages with a new connection. */
bool vu_negotiate(VhostUser *vu);
/* Brings the back end from idle to the plan. again: it lost what it knew, the rings' bases come from guest memory. */
bool vu_run_plan(VhostUser *vu, bool again);
/* Stops every ring that can be stopped, and resets, whatever the back end refuses. */
bool vu_stop_plan(VhostUser *vu, bool reset);
/* SET_CONFIG of len bytes of vu->written. */
bool vu_send_config(VhostUser *vu, unsigned offset, unsigned len);
/* All that is written, to a back end that has not heard of it. */
bool vu_restore_config(VhostUser *vu);
bool vu_ring_run(VhostUser *vu, VuRing *ring);
bool vu_ring_halt(VhostUser *vu, VuRing *ring);
bool vu_ring_enable(VhostUser *vu, VuRing *ring, bool enable);
bool vu_send_features(VhostUser *vu);
bool vu_send_memory(VhostUser *vu, VhostUserMemory *memory);
/* Enables the rings again behind a SET_FEATURES (VU5). */
bool vu_refresh_rings(VhostUser *vu);
/* The log covers the memory map that has changed. */
bool vu_log_ensure(VhostUser *vu);
bool vu_log_begin(VhostUser *vu);
bool vu_log_end(VhostUser *vu);
void vu_ring_clear(VuRing *ring);
void vu_inflight_forget(VhostUser *vu);

/* ---- vhost-user.c ------------------------------------------------------------------------------------------- */

void vu_notice(VhostUser *vu, VuJob *notice);
VuJob *vu_job_new(bool (*run)(VhostUser *vu, VuJob *job), VhostUserDone *done, void *opaque);
void vu_submit(VhostUser *vu, VuJob *job);
/* Submits and waits; takes over nothing of job but frees it. */
bool vu_submit_and_wait(VhostUser *vu, VuJob *job, GError **error);
/* For jobs that need a back end: true when there is one that is agreed with. */
bool vu_present(VhostUser *vu);

#endif
