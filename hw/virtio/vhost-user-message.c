/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What is known of each vhost-user message. See the header. */
#include "util/osdep.h"
#include "hw/virtio/vhost-user-protocol.h"

#include "util/error.h"

/* How the payload is shown in traces. */
typedef enum Shape {
    SHAPE_NOTHING,
    SHAPE_U64,
    SHAPE_STATE,
    SHAPE_ENABLE,
    SHAPE_RING, /* KICK, CALL, ERR: which ring, and no more */
    SHAPE_ADDRESS, /* which ring, whether its writes are logged */
    SHAPE_TABLE,
    SHAPE_CONFIG,
    SHAPE_INFLIGHT,
    SHAPE_DEVICE_STATE,
} Shape;

typedef struct MessageInfo {
    const char *name;
    Shape shape;
    bool replies;
    uint16_t reply_min, reply_max; /* bytes of payload of the answer */
    uint8_t reply_fds;             /* most descriptors that may come with it */
} MessageInfo;

#define ANSWER(min, max, fds) \
    .replies = true, .reply_min = (min), .reply_max = (max), .reply_fds = (fds)
#define ANSWER_U64 ANSWER(8, 8, 0)

static const MessageInfo messages[VHOST_USER_REQUESTS] = {
    [VHOST_USER_GET_FEATURES] = { "GET_FEATURES", SHAPE_U64, ANSWER_U64 },
    [VHOST_USER_SET_FEATURES] = { "SET_FEATURES", SHAPE_U64 },
    [VHOST_USER_SET_OWNER] = { "SET_OWNER", SHAPE_NOTHING },
    [VHOST_USER_RESET_OWNER] = { "RESET_OWNER", SHAPE_NOTHING },
    [VHOST_USER_SET_MEM_TABLE] = { "SET_MEM_TABLE", SHAPE_TABLE },
    /* back ends answer with nothing, with a u64 or with what they got */
    [VHOST_USER_SET_LOG_BASE] = { "SET_LOG_BASE", SHAPE_NOTHING, ANSWER(0, 16, 0) },
    [VHOST_USER_SET_LOG_FD] = { "SET_LOG_FD", SHAPE_NOTHING },
    [VHOST_USER_SET_VRING_NUM] = { "SET_VRING_NUM", SHAPE_STATE },
    [VHOST_USER_SET_VRING_ADDR] = { "SET_VRING_ADDR", SHAPE_ADDRESS },
    [VHOST_USER_SET_VRING_BASE] = { "SET_VRING_BASE", SHAPE_STATE },
    [VHOST_USER_GET_VRING_BASE] = { "GET_VRING_BASE", SHAPE_STATE, ANSWER_U64 },
    [VHOST_USER_SET_VRING_KICK] = { "SET_VRING_KICK", SHAPE_RING },
    [VHOST_USER_SET_VRING_CALL] = { "SET_VRING_CALL", SHAPE_RING },
    [VHOST_USER_SET_VRING_ERR] = { "SET_VRING_ERR", SHAPE_RING },
    [VHOST_USER_GET_PROTOCOL_FEATURES] = { "GET_PROTOCOL_FEATURES", SHAPE_U64, ANSWER_U64 },
    [VHOST_USER_SET_PROTOCOL_FEATURES] = { "SET_PROTOCOL_FEATURES", SHAPE_U64 },
    [VHOST_USER_GET_QUEUE_NUM] = { "GET_QUEUE_NUM", SHAPE_U64, ANSWER_U64 },
    [VHOST_USER_SET_VRING_ENABLE] = { "SET_VRING_ENABLE", SHAPE_ENABLE },
    [VHOST_USER_SEND_RARP] = { "SEND_RARP", SHAPE_U64 },
    [VHOST_USER_NET_SET_MTU] = { "NET_SET_MTU", SHAPE_U64 },
    [VHOST_USER_SET_BACKEND_REQ_FD] = { "SET_BACKEND_REQ_FD", SHAPE_NOTHING },
    [VHOST_USER_GET_CONFIG] = { "GET_CONFIG", SHAPE_CONFIG, ANSWER(0, sizeof(VhostUserConfig), 0) },
    [VHOST_USER_SET_CONFIG] = { "SET_CONFIG", SHAPE_CONFIG },
    [VHOST_USER_GET_INFLIGHT_FD] = { "GET_INFLIGHT_FD", SHAPE_INFLIGHT,
                                     ANSWER(sizeof(VhostUserInflight), 24, 1) },
    [VHOST_USER_SET_INFLIGHT_FD] = { "SET_INFLIGHT_FD", SHAPE_INFLIGHT },
    [VHOST_USER_RESET_DEVICE] = { "RESET_DEVICE", SHAPE_NOTHING },
    [VHOST_USER_GET_MAX_MEM_SLOTS] = { "GET_MAX_MEM_SLOTS", SHAPE_U64, ANSWER_U64 },
    [VHOST_USER_ADD_MEM_REG] = { "ADD_MEM_REG", SHAPE_NOTHING },
    [VHOST_USER_REM_MEM_REG] = { "REM_MEM_REG", SHAPE_NOTHING },
    [VHOST_USER_SET_STATUS] = { "SET_STATUS", SHAPE_U64 },
    [VHOST_USER_GET_STATUS] = { "GET_STATUS", SHAPE_U64, ANSWER_U64 },
    [VHOST_USER_SET_DEVICE_STATE_FD] = { "SET_DEVICE_STATE_FD", SHAPE_DEVICE_STATE,
                                         ANSWER(8, 8, 1) },
    [VHOST_USER_CHECK_DEVICE_STATE] = { "CHECK_DEVICE_STATE", SHAPE_U64, ANSWER_U64 },
};

static const MessageInfo *info_of(uint32_t request)
{
    return request < VHOST_USER_REQUESTS && messages[request].name ? &messages[request] : NULL;
}

const char *vhost_user_request_name(uint32_t request)
{
    const MessageInfo *info = info_of(request);

    return info ? info->name : NULL;
}

bool vhost_user_has_reply(uint32_t request)
{
    const MessageInfo *info = info_of(request);

    return info && info->replies;
}

/* ---- checks -------------------------------------------------------------------------------------------- */

bool vhost_user_check_reply(const VhostUserHeader *header, uint32_t request, bool acknowledgement,
                            GError **error)
{
    const MessageInfo *info = info_of(request);
    unsigned min = acknowledgement ? 8 : info->reply_min,
             max = acknowledgement ? 8 : info->reply_max;

    if (header->request != request) {
        return error_set(error, "the reply to %s has the number %" PRIu32 ", not %" PRIu32,
                         info->name, header->request, request);
    }
    if ((header->flags & VHOST_USER_VERSION_MASK) != VHOST_USER_VERSION ||
        !(header->flags & VHOST_USER_REPLY) ||
        header->flags & ~(VHOST_USER_VERSION_MASK | VHOST_USER_REPLY | VHOST_USER_NEED_REPLY)) {
        return error_set(error, "the reply to %s has the flags 0x%" PRIx32 ", not 0x%x", info->name,
                         header->flags, VHOST_USER_VERSION | VHOST_USER_REPLY);
    }
    if (header->size < min || header->size > max) {
        return error_set(error, "the reply to %s has %" PRIu32 " bytes, not %u%s", info->name,
                         header->size, min, min == max ? "" : " or some more");
    }
    return true;
}

static bool check_config(const VhostUserMessage *request, const VhostUserMessage *reply,
                         GError **error)
{
    const VhostUserConfig *asked = &request->payload.config, *got = &reply->payload.config;

    if (reply->header.size == 0) {
        return error_set(error, "the back end refused GET_CONFIG");
    }
    if (reply->header.size != request->header.size || got->offset != asked->offset ||
        got->size != asked->size) {
        return error_set(error, "the reply to GET_CONFIG is about other bytes than was asked");
    }
    return true;
}

bool vhost_user_check_payload(const VhostUserMessage *request, const VhostUserMessage *reply,
                              unsigned nfds, GError **error)
{
    const MessageInfo *info = info_of(request->header.request);

    if (nfds > (info->replies ? info->reply_fds : 0)) {
        return error_set(error, "the reply to %s came with %u descriptors, %u may come", info->name,
                         nfds, info->replies ? info->reply_fds : 0);
    }
    switch (request->header.request) {
    case VHOST_USER_GET_VRING_BASE:
        if (reply->payload.state.index != request->payload.state.index) {
            return error_set(error,
                             "the reply to GET_VRING_BASE is about ring %" PRIu32 ", not %" PRIu32,
                             reply->payload.state.index, request->payload.state.index);
        }
        return true;
    case VHOST_USER_GET_CONFIG:
        return check_config(request, reply, error);
    case VHOST_USER_GET_INFLIGHT_FD:
        return reply->payload.inflight.mmap_size == 0 || nfds == 1 ||
               error_set(error, "the reply to GET_INFLIGHT_FD has no descriptor");
    default:
        return true;
    }
}

bool vhost_user_check_backend_request(const VhostUserHeader *header, GError **error)
{
    if ((header->flags & VHOST_USER_VERSION_MASK) != VHOST_USER_VERSION ||
        header->flags & ~(VHOST_USER_VERSION_MASK | VHOST_USER_NEED_REPLY)) {
        return error_set(error, "a request of the back end has the flags 0x%" PRIx32,
                         header->flags);
    }
    if (header->size > sizeof(VhostUserPayload)) {
        return error_set(error, "a request of the back end has %" PRIu32 " bytes", header->size);
    }
    return true;
}

/* ---- traces -------------------------------------------------------------------------------------------- */

static void describe_payload(GString *out, const MessageInfo *info, const VhostUserMessage *m)
{
    const VhostUserPayload *p = &m->payload;

    switch (info->shape) {
    case SHAPE_U64:
        g_string_append_printf(out, ": 0x%" PRIx64, p->u64);
        break;
    case SHAPE_STATE:
        g_string_append_printf(out, ": ring %" PRIu32 " num %" PRIu32, p->state.index,
                               p->state.num);
        break;
    case SHAPE_ENABLE:
        g_string_append_printf(out, ": ring %" PRIu32 " %s", p->state.index,
                               p->state.num ? "on" : "off");
        break;
    case SHAPE_RING:
        g_string_append_printf(out, ": ring %" PRIu64, p->u64 & VHOST_USER_VRING_INDEX_MASK);
        break;
    case SHAPE_ADDRESS:
        g_string_append_printf(out, ": ring %" PRIu32 "%s", p->addr.index,
                               p->addr.flags & VHOST_USER_VRING_F_LOG ? " log" : "");
        break;
    case SHAPE_TABLE:
        g_string_append_printf(out, ": %" PRIu32 " regions", p->table.n);
        break;
    case SHAPE_CONFIG:
        g_string_append_printf(out, ": offset %" PRIu32 " size %" PRIu32, p->config.offset,
                               p->config.size);
        break;
    case SHAPE_INFLIGHT:
        g_string_append_printf(out, ": %u queues of %u", p->inflight.num_queues,
                               p->inflight.queue_size);
        break;
    case SHAPE_DEVICE_STATE:
        g_string_append(out, p->device_state.direction ? ": load" : ": save");
        break;
    case SHAPE_NOTHING:
        break;
    }
}

char *vhost_user_describe(const VhostUserMessage *message, unsigned nfds)
{
    const MessageInfo *info = info_of(message->header.request);
    const VhostUserHeader *h = &message->header;
    GString *out = g_string_new(NULL);

    if (!info) {
        g_string_append_printf(out, "%" PRIu32, h->request);
    } else {
        g_string_append(out, info->name);
    }
    g_string_append_printf(out, " flags 0x%" PRIx32 " size %" PRIu32 " fds %u", h->flags, h->size,
                           nfds);
    if (info && h->size && !(h->flags & VHOST_USER_REPLY && !info->replies)) {
        describe_payload(out, info, message);
    } else if (info && h->size == 8) {
        g_string_append_printf(out, ": %" PRIu64, message->payload.u64);
    }
    return g_string_free(out, FALSE);
}
