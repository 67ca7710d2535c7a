/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A session with a vhost-user back end: the front end's side of the protocol over a chardev ("Vhost-user Protocol").
 * What a device makes of it is in vhost-device.h. Maintainers: docs/devel/vhost-user.md.
 *
 * VU1  One thread per session does all of its I/O. It never takes the big lock, so whoever holds the lock may wait for
 *      it. Work comes as jobs, in order, each with an end: every wait for the peer has a time limit.
 * VU2  (P3) A job is done when the back end has acted: it waits for the reply (NEED_REPLY, or the message's own), and
 *      where there is none for the answer to a GET_FEATURES behind it, which has to come in order.
 * VU3  Nothing that the back end says is believed before it is checked: number, flags, size, descriptors, ring, range.
 *      A lie ends the connection.
 * VU4  What the session has been told to run is its plan: features, memory, rings, log, what the driver wrote into the
 *      configuration space. A back end that comes back gets the whole plan again, and each kick eventfd is signalled behind the
 *      enables: what the guest posted meanwhile is seen.
 * VU5  Rings are enabled behind SET_FEATURES and the memory table, and again behind each later SET_FEATURES: back ends
 *      may disable their rings there.
 * VU6  The log of dirty pages is there before the feature, the feature before the rings' flags, and all of it before
 *      log_start returns.
 * VU7  When stop is done the back end has answered GET_VRING_BASE for each ring: it touches guest memory no more.
 */
#ifndef HW_VIRTIO_VHOST_USER_H
#define HW_VIRTIO_VHOST_USER_H

#include "chardev/chardev.h"
#include "hw/virtio/vhost-user-protocol.h"
#include "system/memory.h"

#define VHOST_USER_MAX_RINGS 256
#define VHOST_USER_MAX_REGIONS 512
#define VHOST_USER_DEFAULT_TIMEOUT_MS 10000

typedef struct VhostUser VhostUser;

/* Why a job failed. */
typedef enum VhostUserFailure {
    VHOST_USER_OK,
    VHOST_USER_REFUSED, /* a negative reply; the connection stands */
    VHOST_USER_AWAY,    /* there is no back end, or it died */
    VHOST_USER_SILENT,  /* no reply within the time limit; the connection was ended */
    VHOST_USER_LIED,    /* VU3; the connection was ended */
    VHOST_USER_ENDING,  /* the session or the program ends */
} VhostUserFailure;

/* Guest memory as the back end gets it; counted. */
typedef struct VhostUserMemory {
    gint refs;
    unsigned n;
    struct {
        VhostUserMemRegion wire;
        int fd; /* a duplicate */
    } regions[];
} VhostUserMemory;

/* The guest's RAM as it is mapped now. Big lock. NULL with an error that says what is needed, if RAM is not shared. */
VhostUserMemory *vhost_user_memory_new(AddressSpace *as, GError **error);
/* The same for who shares this process's addresses: any RAM will do; descriptors are -1. */
VhostUserMemory *vhost_user_memory_new_private(AddressSpace *as, GError **error);
/* The error of memory that is not shared. Returns false. */
bool vhost_user_memory_refuse(const char *block, GError **error);
VhostUserMemory *vhost_user_memory_ref(VhostUserMemory *memory);
void vhost_user_memory_unref(VhostUserMemory *memory); /* NULL is allowed */
/* The user address of guest [addr, addr + len); 0 if no region has it all. */
uint64_t vhost_user_memory_translate(const VhostUserMemory *memory, uint64_t addr, uint64_t len);
bool vhost_user_memory_equal(const VhostUserMemory *a, const VhostUserMemory *b);
/* Bytes of log that the memory needs. */
uint64_t vhost_user_memory_log_bytes(const VhostUserMemory *memory);
/* Takes the bits of such a log into the RAM blocks; whether there were any. */
bool vhost_user_memory_take_log(const VhostUserMemory *memory, void *log, uint64_t bytes);

/* A ring as the device wants it to run. Descriptors are duplicated by the session. */
typedef struct VhostUserRing {
    unsigned index;
    uint16_t num;
    uint32_t base;
    bool packed;
    bool enable; /* false: set up, not enabled (queue pairs that the guest does not use) */
    hwaddr desc, avail, used; /* guest addresses */
    uint64_t desc_bytes, avail_bytes, used_bytes;
    int kick_fd, call_fd;
} VhostUserRing;

typedef struct VhostUserOptions {
    const char *name;           /* of the device, for messages; copied */
    ChardevFe *fe;              /* attached; the session sets its handlers */
    unsigned timeout_ms;        /* for one reply; 0: the default */
    uint64_t protocol_features; /* those that the device can use; REPLY_ACK, MQ… */
} VhostUserOptions;

/* Calls in the main thread under the big lock, in order. */
typedef struct VhostUserOps {
    /* There is a back end and the features are agreed upon. again: the plan runs on it, too. */
    void (*ready)(void *opaque, bool again);
    /* It has gone, or its plan could not be taken up again (anything but AWAY). */
    void (*lost)(void *opaque, VhostUserFailure failure, const GError *why);
    /* The back end says that its configuration space has changed. */
    void (*config_changed)(void *opaque);
} VhostUserOps;

/* Called once, in the main thread under the big lock. error (borrowed) is NULL for success. */
typedef void VhostUserDone(void *opaque, VhostUserFailure failure, const GError *error);

/* Begins to look for the back end. Big lock. */
VhostUser *vhost_user_new(const VhostUserOptions *options, const VhostUserOps *ops, void *opaque);
/* Another time limit, for replies that are asked for from now on; 0: the default. Any thread. */
void vhost_user_set_timeout(VhostUser *vu, unsigned timeout_ms);
/* Waits at most the time limit for the first `ready`. Big lock, held throughout. */
bool vhost_user_wait_ready(VhostUser *vu, GError **error);
/* Ends the session: pending jobs end with ENDING, their functions are called before it returns. */
void vhost_user_free(VhostUser *vu);
/* The program ends: the threads of all sessions do, before the chardevs go. Devices stay as they are. */
void vhost_user_leave(void);
/* Whether a back end is there. */
bool vhost_user_connected(VhostUser *vu);
/* Whether it could come back if it went. */
bool vhost_user_may_return(VhostUser *vu);

/* After the first `ready`: what the back end offers. */
uint64_t vhost_user_features(VhostUser *vu);
bool vhost_user_has_protocol(VhostUser *vu, VhostUserProtocolFeature feature);
/* How many rings the back end has; 0: it cannot say (no MQ). */
unsigned vhost_user_max_rings(VhostUser *vu);

/* ---- jobs: return at once; done may be NULL ---------------------------------------------------------------- */

/* Runs the rings on these features. Takes a reference on memory, copies rings. inflight: whether to use a region of
 * INFLIGHT_SHMFD, if the back end can. */
void vhost_user_start(VhostUser *vu, uint64_t features, VhostUserMemory *memory,
                      const VhostUserRing *rings, unsigned nrings, bool inflight,
                      VhostUserDone *done, void *opaque);
/* Stops all (VU7). reset: the device is reset, too: RESET_DEVICE, status 0, the in-flight region is forgotten. */
void vhost_user_stop(VhostUser *vu, bool reset, VhostUserDone *done, void *opaque);
/* One ring more, or an own one again; one less. While started. */
void vhost_user_ring_start(VhostUser *vu, const VhostUserRing *ring, VhostUserDone *done,
                           void *opaque);
void vhost_user_ring_stop(VhostUser *vu, unsigned index, VhostUserDone *done, void *opaque);
/* Enables and disables rings that are set up; bit per ring. */
void vhost_user_rings_enable(VhostUser *vu, const bool *enable, unsigned n, VhostUserDone *done,
                             void *opaque);
/* Another memory map. */
void vhost_user_set_memory(VhostUser *vu, VhostUserMemory *memory, VhostUserDone *done,
                           void *opaque);
/* Another set of features while it runs (net: offloads are not among them). */
void vhost_user_set_features(VhostUser *vu, uint64_t features, VhostUserDone *done, void *opaque);
/* SET_CONFIG of len bytes at offset; what is written, until a stop with reset, is part of the plan (VU4). */
void vhost_user_set_config(VhostUser *vu, unsigned offset, const void *data, unsigned len,
                           VhostUserDone *done, void *opaque);
/* Fills the cache that vhost_user_config() reads with the first len bytes. If the last job that waits is such a one, with the
 * same arguments, it stands for this one as well: `done` is called once. */
void vhost_user_fetch_config(VhostUser *vu, unsigned len, VhostUserDone *done, void *opaque);
/* SEND_RARP; without the protocol feature nothing is sent. */
void vhost_user_send_rarp(VhostUser *vu, const uint8_t mac[6], VhostUserDone *done, void *opaque);
/* NET_SET_MTU behind the features of the next start, and of each that repeats it (VU4); 0: none. Without the protocol feature
 * nothing is sent. A back end that refuses it, which it can with REPLY_ACK, refuses the start. */
void vhost_user_set_mtu(VhostUser *vu, uint16_t mtu);

/*
 * Waits until every job that was given is over, and calls the functions of those that are. Big lock. In the main thread,
 * outside of coroutines, the main loop goes on meanwhile.
 */
void vhost_user_drain(VhostUser *vu);
/* As a job and vhost_user_drain() for the caller alone: true, or the error. */
bool vhost_user_stop_and_wait(VhostUser *vu, bool reset, GError **error);
bool vhost_user_fetch_config_and_wait(VhostUser *vu, unsigned len, GError **error);
bool vhost_user_set_config_and_wait(VhostUser *vu, unsigned offset, const void *data, unsigned len,
                                    GError **error);

/* After stop or ring_stop: where the ring is. False: the back end did not say (it died). */
bool vhost_user_ring_base(VhostUser *vu, unsigned index, uint32_t *base);
/* The bytes of the last fetch_config, at most len. Returns how many there are. */
unsigned vhost_user_config(VhostUser *vu, void *data, unsigned len);

/* ---- dirty log ---------------------------------------------------------------------------------------------- */

/* Begins (VU6) and waits for it; ends, as a job. Big lock. Rings may be off for a moment (VU5): hold the guest. */
bool vhost_user_log_start(VhostUser *vu, GError **error);
void vhost_user_log_stop(VhostUser *vu, VhostUserDone *done, void *opaque);
/* Takes the bits into the RAM blocks. last: nothing may be written any more; from now on vhost_user_log_late() tells
 * whether something was. */
void vhost_user_log_sync(VhostUser *vu, bool last);
/* Whether the back end has marked a page since the last sync with `last`. */
bool vhost_user_log_late(VhostUser *vu);

/* ---- in-flight region and device state ------------------------------------------------------------------------- */

/* The region as bytes, for a stream; NULL if there is none. g_free(). Stopped. */
uint8_t *vhost_user_inflight_save(VhostUser *vu, size_t *len, uint16_t *num_queues,
                                  uint16_t *queue_size);
/* The region that the next start uses. Copied into a memfd. */
bool vhost_user_inflight_load(VhostUser *vu, const uint8_t *data, size_t len, uint16_t num_queues,
                              uint16_t queue_size, GError **error);
/* The next start gets a new one. Stopped. */
void vhost_user_inflight_forget(VhostUser *vu);
/* Whether the region has entries of requests that are not finished, as the specification lays them out for split or packed rings. */
bool vhost_user_inflight_pending(VhostUser *vu, bool packed);
#define VHOST_USER_INFLIGHT_MAX (16 * 1024 * 1024)

/* The back end's own state (DEVICE_STATE), stopped: all of its bytes, or the reason why not. g_byte_array_unref(). Waits:
 * big lock, held throughout. */
GByteArray *vhost_user_state_save(VhostUser *vu, GError **error);
bool vhost_user_state_load(VhostUser *vu, const uint8_t *data, size_t len, GError **error);
#define VHOST_USER_STATE_MAX (256 * 1024 * 1024)

#endif
