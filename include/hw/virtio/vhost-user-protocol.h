/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * vhost-user as it is on the wire ("Vhost-user Protocol", the specification of the front end's and the back end's
 * messages), and what is known of each message: names, sizes, descriptors. Frozen: nothing here is for use in
 * memory only. Numbers are in the byte order of the host.
 *
 * No state and no I/O: the session (vhost-user.h) uses it, and so do the tests' back end and the fuzzer.
 */
#ifndef HW_VIRTIO_VHOST_USER_PROTOCOL_H
#define HW_VIRTIO_VHOST_USER_PROTOCOL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <glib.h>

typedef enum VhostUserRequest {
    VHOST_USER_GET_FEATURES = 1,
    VHOST_USER_SET_FEATURES = 2,
    VHOST_USER_SET_OWNER = 3,
    VHOST_USER_RESET_OWNER = 4,
    VHOST_USER_SET_MEM_TABLE = 5,
    VHOST_USER_SET_LOG_BASE = 6,
    VHOST_USER_SET_LOG_FD = 7,
    VHOST_USER_SET_VRING_NUM = 8,
    VHOST_USER_SET_VRING_ADDR = 9,
    VHOST_USER_SET_VRING_BASE = 10,
    VHOST_USER_GET_VRING_BASE = 11,
    VHOST_USER_SET_VRING_KICK = 12,
    VHOST_USER_SET_VRING_CALL = 13,
    VHOST_USER_SET_VRING_ERR = 14,
    VHOST_USER_GET_PROTOCOL_FEATURES = 15,
    VHOST_USER_SET_PROTOCOL_FEATURES = 16,
    VHOST_USER_GET_QUEUE_NUM = 17,
    VHOST_USER_SET_VRING_ENABLE = 18,
    VHOST_USER_SEND_RARP = 19,
    VHOST_USER_NET_SET_MTU = 20,
    VHOST_USER_SET_BACKEND_REQ_FD = 21,
    VHOST_USER_GET_CONFIG = 24,
    VHOST_USER_SET_CONFIG = 25,
    VHOST_USER_GET_INFLIGHT_FD = 31,
    VHOST_USER_SET_INFLIGHT_FD = 32,
    VHOST_USER_RESET_DEVICE = 34,
    VHOST_USER_GET_MAX_MEM_SLOTS = 36,
    VHOST_USER_ADD_MEM_REG = 37,
    VHOST_USER_REM_MEM_REG = 38,
    VHOST_USER_SET_STATUS = 39,
    VHOST_USER_GET_STATUS = 40,
    VHOST_USER_SET_DEVICE_STATE_FD = 42,
    VHOST_USER_CHECK_DEVICE_STATE = 43,
    VHOST_USER_REQUESTS = 44,
} VhostUserRequest;

/* What a back end asks over the channel of SET_BACKEND_REQ_FD. */
typedef enum VhostUserBackendRequest {
    VHOST_USER_BACKEND_CONFIG_CHANGE = 2,
} VhostUserBackendRequest;

enum {
    VHOST_USER_VERSION = 0x1,
    VHOST_USER_VERSION_MASK = 0x3,
    VHOST_USER_REPLY = 0x4,
    VHOST_USER_NEED_REPLY = 0x8,
};

/* Bits of GET_FEATURES that are not the device's. */
#define VHOST_F_LOG_ALL 26
#define VHOST_USER_F_PROTOCOL_FEATURES 30

typedef enum VhostUserProtocolFeature {
    VHOST_USER_PROTOCOL_F_MQ = 0,
    VHOST_USER_PROTOCOL_F_LOG_SHMFD = 1,
    VHOST_USER_PROTOCOL_F_RARP = 2,
    VHOST_USER_PROTOCOL_F_REPLY_ACK = 3,
    VHOST_USER_PROTOCOL_F_MTU = 4,
    VHOST_USER_PROTOCOL_F_BACKEND_REQ = 5,
    VHOST_USER_PROTOCOL_F_CONFIG = 9,
    VHOST_USER_PROTOCOL_F_BACKEND_SEND_FD = 10,
    VHOST_USER_PROTOCOL_F_INFLIGHT_SHMFD = 12,
    VHOST_USER_PROTOCOL_F_RESET_DEVICE = 13,
    VHOST_USER_PROTOCOL_F_CONFIGURE_MEM_SLOTS = 15,
    VHOST_USER_PROTOCOL_F_STATUS = 16,
    VHOST_USER_PROTOCOL_F_DEVICE_STATE = 19,
} VhostUserProtocolFeature;

#define VHOST_USER_VRING_INDEX_MASK 0xff
#define VHOST_USER_VRING_NO_FD 0x100 /* of the u64 of KICK, CALL, ERR */
#define VHOST_USER_VRING_F_LOG 1     /* of the vring address: log writes to the used ring */
#define VHOST_USER_DEVICE_STATE_NO_FD 0x100
#define VHOST_USER_MAX_TABLE_REGIONS 8
#define VHOST_USER_MAX_CONFIG 256
#define VHOST_USER_MAX_FDS 8
#define VHOST_USER_LOG_PAGE 4096

typedef struct VhostUserHeader {
    uint32_t request, flags, size;
} VhostUserHeader;

typedef struct VhostUserVringState {
    uint32_t index, num;
} VhostUserVringState;

typedef struct VhostUserVringAddr {
    uint32_t index, flags;
    uint64_t descriptor, used, available; /* in the front end's address space */
    uint64_t log;                         /* guest address of the used ring */
} VhostUserVringAddr;

typedef struct VhostUserMemRegion {
    uint64_t guest_address, size, user_address, mmap_offset;
} VhostUserMemRegion;

typedef struct VhostUserMemTable {
    uint32_t n, padding;
    VhostUserMemRegion regions[VHOST_USER_MAX_TABLE_REGIONS];
} VhostUserMemTable;

typedef struct VhostUserSingleRegion {
    uint64_t padding;
    VhostUserMemRegion region;
} VhostUserSingleRegion;

typedef struct VhostUserLog {
    uint64_t size, offset;
} VhostUserLog;

typedef struct VhostUserConfig {
    uint32_t offset, size, flags;
    uint8_t data[VHOST_USER_MAX_CONFIG];
} VhostUserConfig;
#define VHOST_USER_CONFIG_HEADER 12

typedef struct VhostUserInflight {
    uint64_t mmap_size, mmap_offset;
    uint16_t num_queues, queue_size;
} __attribute__((packed)) VhostUserInflight;

typedef struct VhostUserDeviceState {
    uint32_t direction; /* 0 save, 1 load */
    uint32_t phase;     /* 0 stopped */
} VhostUserDeviceState;

typedef union VhostUserPayload {
    uint64_t u64;
    VhostUserVringState state;
    VhostUserVringAddr addr;
    VhostUserMemTable table;
    VhostUserSingleRegion region;
    VhostUserLog log;
    VhostUserConfig config;
    VhostUserInflight inflight;
    VhostUserDeviceState device_state;
} VhostUserPayload;

/* On the wire are the header's 12 bytes and header.size bytes behind them: vhost_user_wire(). */
typedef struct VhostUserMessage {
    uint32_t alignment; /* of the payload */
    VhostUserHeader header;
    VhostUserPayload payload;
} VhostUserMessage;

static inline uint8_t *vhost_user_wire(VhostUserMessage *message)
{
    return (uint8_t *)message + offsetof(VhostUserMessage, header);
}

/* "SET_VRING_ENABLE"; NULL for a number that means nothing to us. */
const char *vhost_user_request_name(uint32_t request);
/* Whether the message has an answer of its own, with or without NEED_REPLY. */
bool vhost_user_has_reply(uint32_t request);

/*
 * Looks at a reply's header before its payload is read: that it is a reply, to this request, of this version, and of a
 * size that the request allows. acknowledgement: the u64 of REPLY_ACK is expected instead of an answer.
 */
bool vhost_user_check_reply(const VhostUserHeader *header, uint32_t request, bool acknowledgement,
                            GError **error);
/* Looks at a complete reply: how many descriptors came, and what the payload says where that can be told from the
 * message alone (an answer about the ring that was asked for, a config of the asked size…). */
bool vhost_user_check_payload(const VhostUserMessage *request, const VhostUserMessage *reply,
                              unsigned nfds, GError **error);
/* The header of a request of the back end's. */
bool vhost_user_check_backend_request(const VhostUserHeader *header, GError **error);

/* One line for traces: "SET_VRING_ENABLE flags 0x9 size 8 fds 0: ring 0 on". Addresses and sizes that differ from run
 * to run are left out, so that traces can be compared. New string. */
char *vhost_user_describe(const VhostUserMessage *message, unsigned nfds);

#endif
