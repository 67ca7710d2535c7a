/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * NBD client: coroutine I/O and the handshake ("fixed newstyle negotiation"). What the server says is checked
 * before it is used: lengths, sizes, flags.
 */
#include "util/osdep.h"
#include "nbd.h"

#include "internal.h"
#include "util/bytes.h"
#include "util/error.h"

#define NBD_MAGIC UINT64_C(0x4e42444d41474943)
#define NBD_OPTION_MAGIC UINT64_C(0x49484156454f5054)
#define NBD_OLD_MAGIC UINT64_C(0x00420281861253)
#define NBD_OPTION_REPLY_MAGIC UINT64_C(0x0003e889045565a9)

enum { HANDSHAKE_FIXED_NEWSTYLE = 1, HANDSHAKE_NO_ZEROES = 2 };
enum {
    OPT_EXPORT_NAME = 1,
    OPT_ABORT = 2,
    OPT_GO = 7,
    OPT_STRUCTURED_REPLY = 8,
    OPT_SET_META_CONTEXT = 10,
};
enum {
    REP_ACK = 1,
    REP_INFO = 3,
    REP_META_CONTEXT = 4,
    REP_FLAG_ERROR = 1u << 31,
    REP_ERR_UNSUP = REP_FLAG_ERROR | 1,
    REP_ERR_POLICY = REP_FLAG_ERROR | 2,
    REP_ERR_TLS_REQD = REP_FLAG_ERROR | 5,
    REP_ERR_UNKNOWN = REP_FLAG_ERROR | 6,
    REP_ERR_SHUTDOWN = REP_FLAG_ERROR | 7,
    REP_ERR_BLOCK_SIZE_REQD = REP_FLAG_ERROR | 8,
};
enum { INFO_EXPORT = 0, INFO_BLOCK_SIZE = 3 };

#define REPLY_MAX 65536
#define CONTEXT_NAME "base:allocation"

/* ---- coroutine I/O ---- */

typedef struct Waiter {
    Coroutine *co;
    GSource *source;
} Waiter;

static gboolean wait_ready(IoChannel *ioc, GIOCondition cond, void *opaque)
{
    Waiter *w = opaque;
    io_watch_clear(&w->source);
    coroutine_enter(w->co);
    return G_SOURCE_REMOVE;
}

static void coroutine_fn wait_for(IoChannel *ioc, GIOCondition cond)
{
    Waiter w = { .co = coroutine_self() };
    w.source = io_channel_add_watch(ioc, cond, wait_ready, &w, NULL);
    coroutine_yield();
}

static int coroutine_fn transfer(IoChannel *ioc, IoVec *vec, size_t offset, size_t len, bool write)
{
    struct iovec few[16];
    struct iovec *iov = vec->n <= G_N_ELEMENTS(few) ? few : g_new(struct iovec, vec->n);
    int ret = 0;
    while (len) {
        unsigned n = 0;
        size_t skip = offset, left = len;
        for (unsigned i = 0; i < vec->n && left; i++) {
            size_t part = vec->iov[i].iov_len;
            if (skip >= part) {
                skip -= part;
                continue;
            }
            part = MIN(part - skip, left);
            iov[n++] = (struct iovec){ (char *)vec->iov[i].iov_base + skip, part };
            left -= part;
            skip = 0;
        }
        n = MIN(n, IOV_MAX);
        ssize_t got =
            write ? io_channel_writev(ioc, iov, n, NULL) : io_channel_readv(ioc, iov, n, NULL);
        if (got == -EAGAIN) {
            wait_for(ioc, write ? G_IO_OUT : G_IO_IN);
            continue;
        }
        if (got <= 0) {
            ret = got < 0 ? (int)got : -ECONNRESET;
            break;
        }
        offset += got;
        len -= got;
    }
    if (iov != few) {
        g_free(iov);
    }
    return ret;
}

int coroutine_fn nbd_co_readv(IoChannel *ioc, IoVec *vec, size_t offset, size_t len)
{
    return transfer(ioc, vec, offset, len, false);
}

int coroutine_fn nbd_co_writev(IoChannel *ioc, IoVec *vec, size_t offset, size_t len)
{
    return transfer(ioc, vec, offset, len, true);
}

int coroutine_fn nbd_co_read(IoChannel *ioc, void *buf, size_t len)
{
    struct iovec iov = { buf, len };
    IoVec vec = { &iov, 1, 1, len };
    return transfer(ioc, &vec, 0, len, false);
}

int coroutine_fn nbd_co_write(IoChannel *ioc, const void *buf, size_t len)
{
    struct iovec iov = { (void *)buf, len };
    IoVec vec = { &iov, 1, 1, len };
    return transfer(ioc, &vec, 0, len, true);
}

int nbd_errno(uint32_t error)
{
    switch (error) {
    case 1:
        return EPERM;
    case 12:
        return ENOMEM;
    case 22:
        return EINVAL;
    case 28:
        return ENOSPC;
    case 75:
        return EOVERFLOW;
    case 95:
        return ENOTSUP;
    case 108:
        return ESHUTDOWN;
    default:
        return EIO;
    }
}

/* ---- options ---- */

static bool io_failed(int ret, const char *what, GError **error)
{
    return ret == 0 || error_set_errno(error, -ret, "Failed to %s", what);
}

static bool coroutine_fn send_option(IoChannel *ioc, uint32_t option, const void *data,
                                     uint32_t len, GError **error)
{
    g_autofree uint8_t *buf = g_malloc(16 + len);
    store_be64(buf, NBD_OPTION_MAGIC);
    store_be32(buf + 8, option);
    store_be32(buf + 12, len);
    memcpy(buf + 16, data, len);
    return io_failed(nbd_co_write(ioc, buf, 16 + len), "send an option of the negotiation", error);
}

typedef struct Reply {
    uint32_t type, len;
    uint8_t *data; /* g_free() */
} Reply;

static bool coroutine_fn read_reply(IoChannel *ioc, uint32_t option, Reply *reply, GError **error)
{
    uint8_t head[20];
    *reply = (Reply){ 0 };
    if (!io_failed(nbd_co_read(ioc, head, sizeof(head)), "read an answer of the negotiation",
                   error)) {
        return false;
    }
    reply->type = load_be32(head + 12);
    reply->len = load_be32(head + 16);
    if (load_be64(head) != NBD_OPTION_REPLY_MAGIC || load_be32(head + 8) != option) {
        return error_set(error, "Unexpected answer of the NBD server (option %" PRIu32 ")",
                         load_be32(head + 8));
    }
    if (reply->len > REPLY_MAX) {
        return error_set(error, "Answer of the NBD server is too long (%" PRIu32 " bytes)",
                         reply->len);
    }
    reply->data = g_malloc(reply->len + 1);
    reply->data[reply->len] = 0;
    if (!io_failed(nbd_co_read(ioc, reply->data, reply->len), "read an answer of the negotiation",
                   error)) {
        g_clear_pointer(&reply->data, g_free);
        return false;
    }
    return true;
}

static bool option_refused(const Reply *reply, const char *name, GError **error)
{
    const char *why;
    switch (reply->type) {
    case REP_ERR_TLS_REQD:
        return error_set(error, "The NBD server requires TLS, which is not supported");
    case REP_ERR_UNKNOWN:
        return error_set(error, "Requested export not available: '%s'", name);
    case REP_ERR_POLICY:
        why = "denied by its policy";
        break;
    case REP_ERR_SHUTDOWN:
        why = "it is shutting down";
        break;
    case REP_ERR_BLOCK_SIZE_REQD:
        why = "it wants a block size to be negotiated";
        break;
    default:
        return error_set(error, "The NBD server refused export '%s' (error %#" PRIx32 ")%s%s", name,
                         reply->type, reply->len ? ": " : "",
                         reply->len ? (char *)reply->data : "");
    }
    return error_set(error, "The NBD server refused export '%s': %s", name, why);
}

/* 1: agreed; 0: the server does not know it; -1: error. */
static int coroutine_fn ask_structured(IoChannel *ioc, GError **error)
{
    Reply reply;
    if (!send_option(ioc, OPT_STRUCTURED_REPLY, "", 0, error) ||
        !read_reply(ioc, OPT_STRUCTURED_REPLY, &reply, error)) {
        return -1;
    }
    g_free(reply.data);
    return reply.type == REP_ACK;
}

static bool coroutine_fn ask_context(IoChannel *ioc, const char *name, NbdExport *info,
                                     GError **error)
{
    uint32_t n = strlen(name), m = strlen(CONTEXT_NAME);
    g_autofree uint8_t *data = g_malloc(4 + n + 8 + m);
    store_be32(data, n);
    memcpy(data + 4, name, n);
    store_be32(data + 4 + n, 1);
    store_be32(data + 8 + n, m);
    memcpy(data + 12 + n, CONTEXT_NAME, m);
    if (!send_option(ioc, OPT_SET_META_CONTEXT, data, 12 + n + m, error)) {
        return false;
    }
    for (;;) {
        Reply reply;
        if (!read_reply(ioc, OPT_SET_META_CONTEXT, &reply, error)) {
            return false;
        }
        bool over = reply.type != REP_META_CONTEXT;
        if (!over && reply.len == 4 + m && memcmp(reply.data + 4, CONTEXT_NAME, m) == 0) {
            info->base_allocation = true;
            info->context_id = load_be32(reply.data);
        }
        g_free(reply.data);
        if (over) {
            return true; /* without it, if that was an error */
        }
    }
}

static bool take_info(const Reply *reply, NbdExport *info, bool *have_export, GError **error)
{
    uint16_t type = reply->len >= 2 ? load_be16(reply->data) : UINT16_MAX;
    if (type == INFO_EXPORT && reply->len == 12) {
        info->size = load_be64(reply->data + 2);
        info->flags = load_be16(reply->data + 10);
        *have_export = true;
    } else if (type == INFO_BLOCK_SIZE && reply->len == 14) {
        info->min_block = load_be32(reply->data + 2);
        info->max_block = load_be32(reply->data + 10);
        if (info->min_block == 0 || (info->min_block & (info->min_block - 1)) ||
            info->min_block > 65536) {
            return error_set(error,
                             "The NBD server has an invalid minimum block size (%" PRIu32 ")",
                             info->min_block);
        }
        if (info->max_block < info->min_block) {
            return error_set(error,
                             "The NBD server has an invalid maximum block size (%" PRIu32 ")",
                             info->max_block);
        }
    } else if (type == INFO_EXPORT || type == INFO_BLOCK_SIZE) {
        return error_set(error, "The NBD server sent facts of the wrong length");
    }
    return true;
}

/* 1: done; 0: the server does not know it; -1: error. */
static int coroutine_fn ask_go(IoChannel *ioc, const char *name, NbdExport *info, GError **error)
{
    uint32_t n = strlen(name);
    g_autofree uint8_t *data = g_malloc(4 + n + 4);
    store_be32(data, n);
    memcpy(data + 4, name, n);
    store_be16(data + 4 + n, 1);
    store_be16(data + 6 + n, INFO_BLOCK_SIZE);
    if (!send_option(ioc, OPT_GO, data, 8 + n, error)) {
        return -1;
    }
    bool have_export = false;
    for (;;) {
        Reply reply;
        if (!read_reply(ioc, OPT_GO, &reply, error)) {
            return -1;
        }
        g_autofree uint8_t *owned = reply.data; /* freed on each way out */
        (void)owned;
        if (reply.type == REP_ACK) {
            return have_export ? 1 : (error_set(error, "The NBD server did not tell the size"), -1);
        }
        if (reply.type == REP_ERR_UNSUP) {
            return 0;
        }
        if (reply.type != REP_INFO) {
            option_refused(&reply, name, error);
            return -1;
        }
        if (!take_info(&reply, info, &have_export, error)) {
            return -1;
        }
    }
}

static bool coroutine_fn ask_export_name(IoChannel *ioc, const char *name, NbdExport *info,
                                         bool no_zeroes, GError **error)
{
    uint8_t answer[10 + 124];
    size_t len = no_zeroes ? 10 : sizeof(answer);
    if (!send_option(ioc, OPT_EXPORT_NAME, name, strlen(name), error) ||
        !io_failed(nbd_co_read(ioc, answer, len), "read the size of the export", error)) {
        return false;
    }
    info->size = load_be64(answer);
    info->flags = load_be16(answer + 8);
    return true;
}

static bool coroutine_fn greet(IoChannel *ioc, bool *fixed, bool *no_zeroes, GError **error)
{
    uint8_t hello[18];
    if (!io_failed(nbd_co_read(ioc, hello, sizeof(hello)), "read the greeting of the NBD server",
                   error)) {
        return false;
    }
    if (load_be64(hello) != NBD_MAGIC) {
        return error_set(error, "Bad initial magic received: %#" PRIx64, load_be64(hello));
    }
    if (load_be64(hello + 8) == NBD_OLD_MAGIC) {
        return error_set(error, "The NBD server speaks the old protocol, which is not supported");
    }
    if (load_be64(hello + 8) != NBD_OPTION_MAGIC) {
        return error_set(error, "Bad server magic received: %#" PRIx64, load_be64(hello + 8));
    }
    uint16_t flags = load_be16(hello + 16);
    *fixed = flags & HANDSHAKE_FIXED_NEWSTYLE;
    *no_zeroes = flags & HANDSHAKE_NO_ZEROES;
    uint8_t answer[4];
    store_be32(answer, flags & (HANDSHAKE_FIXED_NEWSTYLE | HANDSHAKE_NO_ZEROES));
    return io_failed(nbd_co_write(ioc, answer, sizeof(answer)), "answer the NBD server", error);
}

bool coroutine_fn nbd_negotiate(IoChannel *ioc, const char *name, NbdExport *info, GError **error)
{
    bool fixed = false, no_zeroes = false;
    *info = (NbdExport){ 0 };
    if (!greet(ioc, &fixed, &no_zeroes, error)) {
        return false;
    }
    int go = 0;
    if (fixed) {
        int structured = ask_structured(ioc, error);
        if (structured < 0) {
            return false;
        }
        info->structured = structured;
        if (structured && !ask_context(ioc, name, info, error)) {
            return false;
        }
        go = ask_go(ioc, name, info, error);
    }
    if (go < 0 || (go == 0 && !ask_export_name(ioc, name, info, no_zeroes, error))) {
        return false;
    }
    if (info->size > BLOCK_MAX_LENGTH) {
        return error_set(error, "The export is too large (%" PRIu64 " bytes)", info->size);
    }
    return true;
}
