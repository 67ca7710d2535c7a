/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef TESTS_VHOST_USER_BACKEND_INTERNAL_H
#define TESTS_VHOST_USER_BACKEND_INTERNAL_H

#include "backend.h"

#define MAX_RINGS 64
#define MAX_REGIONS 64

typedef struct Region {
    VhostUserMemRegion wire;
    uint8_t *map;
    size_t map_size;
} Region;

typedef struct Conn Conn;

typedef struct Ring {
    Conn *conn;
    unsigned index;
    GMutex lock; /* everything below; held while requests are served */
    unsigned num;
    uint32_t last_avail;
    bool packed, avail_wrap;
    uint16_t used_idx; /* split: as in memory */
    VhostUserVringAddr addr;
    int kick_fd, call_fd;
    bool running, enabled, log;
    bool resubmitted;
    GArray *held; /* heads that wait for backend_release() */
    GThread *thread, *late;
    int wake[2]; /* pipe: the thread looks again */
    bool quit;
} Ring;

struct Conn {
    Backend *b;
    int fd, channel_fd;
    GThread *thread;
    GMutex lock; /* memory, log */
    Region regions[MAX_REGIONS];
    unsigned nregions;
    uint8_t *log;
    size_t log_size;
    uint64_t features, protocol;
    Ring rings[MAX_RINGS];
    unsigned seen[VHOST_USER_REQUESTS], total;
    uint8_t status;
    uint8_t *inflight;
    size_t inflight_size;
    unsigned inflight_num;
    int inflight_fd;
    bool over;
    int state_fd;
    GThread *trickle; /* writes to it */
};

struct Backend {
    BackendOptions o;
    char *path;
    GMutex lock; /* all below */
    GCond changed;
    GPtrArray *conns;
    GArray *rules;
    int listen_fd;
    GThread *listener;
    bool quit;
    BackendCounts counts;
    unsigned seen[VHOST_USER_REQUESTS];
    GString *trace;
    FILE *trace_file;
    uint8_t *image;
    uint8_t state[64]; /* of DEVICE_STATE */
    uint8_t writeback; /* blk: the cache, as SET_CONFIG has it */
};

/* ring.c */
void ring_init(Ring *r, Conn *c, unsigned index);
void ring_start_thread(Ring *r);
void ring_stop_thread(Ring *r);
void ring_wake(Ring *r);
/* Under the ring's lock: serves or drops what is there. */
void ring_run(Ring *r, bool kicked);
void ring_release_held(Ring *r);
/* rules.c: what is to happen at the message that has just been counted; NULL: nothing. */
const BackendRule *backend_find_rule(Conn *c, uint32_t request, BackendRule *found);
/* A rule has had an effect. */
void backend_fired(Backend *b);
/* device.c: what a request is answered with; returns the bytes written. */
typedef struct Chain {
    struct {
        uint8_t *p;
        uint32_t len;
        uint64_t gpa;
    } out[256], in[256];
    unsigned nout, nin;
} Chain;
uint32_t device_serve(Ring *r, Chain *chain);
/* Whether buffers of this ring wait for something that does not happen (SCSI events). */
bool device_keeps(const Ring *r);
/* Bytes of what the driver gave, and into what it takes; how many there were. */
size_t chain_take(const Chain *chain, size_t offset, void *buf, size_t len);
size_t chain_put(Ring *r, Chain *chain, size_t offset, const void *buf, size_t len);
uint32_t scsi_serve(Ring *r, Chain *chain);
uint64_t device_features(const BackendOptions *o);
unsigned device_config(Backend *b, uint8_t *config, unsigned max);
/* SET_CONFIG. Whether the driver may write there. */
bool device_set_config(Backend *b, unsigned offset, const uint8_t *data, unsigned len);
/* act.c: does what the message asks for, with its descriptors, of which those that are taken become -1. False: it is refused. Sets
 * whether the message itself is the reply, and the descriptor that goes with it. */
bool conn_act(Conn *c, VhostUserMessage *m, int *fds, unsigned nfds, bool *replies, int *reply_fd);
/* memory.c. Regions: under c->lock. */
bool conn_add_region(Conn *c, const VhostUserMemRegion *wire, int fd);
void conn_drop_region(Conn *c, unsigned i);
bool conn_remove_region(Conn *c, const VhostUserMemRegion *wire);
/* c->lock need not be held. */
uint8_t *conn_gpa(Conn *c, uint64_t gpa, uint64_t len);
uint8_t *conn_uva(Conn *c, uint64_t uva);
void conn_log(Conn *c, uint64_t gpa, uint64_t len);

#endif
