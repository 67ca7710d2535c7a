/* SPDX-License-Identifier: GPL-2.0-or-later */
/* NBD client: constants of the protocol ("The NBD protocol", networkblockdevice), negotiation, coroutine I/O. */
#ifndef BLOCK_NBD_H
#define BLOCK_NBD_H

#include "block/block.h"
#include "io/socket.h"
#include "util/coroutine.h"

#define NBD_DEFAULT_PORT "10809"
#define NBD_NAME_MAX 4096
#define NBD_MAX_BUFFER (32u << 20)

enum {
    NBD_FLAG_HAS_FLAGS = 1 << 0,
    NBD_FLAG_READ_ONLY = 1 << 1,
    NBD_FLAG_FLUSH = 1 << 2,
    NBD_FLAG_FUA = 1 << 3,
    NBD_FLAG_TRIM = 1 << 5,
    NBD_FLAG_WRITE_ZEROES = 1 << 6,
    NBD_FLAG_DF = 1 << 7,
    NBD_FLAG_FAST_ZERO = 1 << 11,
};

enum {
    NBD_CMD_READ = 0,
    NBD_CMD_WRITE = 1,
    NBD_CMD_DISC = 2,
    NBD_CMD_FLUSH = 3,
    NBD_CMD_TRIM = 4,
    NBD_CMD_WRITE_ZEROES = 6,
    NBD_CMD_BLOCK_STATUS = 7,
};

enum {
    NBD_CMD_FLAG_FUA = 1 << 0,
    NBD_CMD_FLAG_NO_HOLE = 1 << 1,
    NBD_CMD_FLAG_REQ_ONE = 1 << 3,
    NBD_CMD_FLAG_FAST_ZERO = 1 << 4,
};

#define NBD_REQUEST_MAGIC 0x25609513u
#define NBD_SIMPLE_REPLY_MAGIC 0x67446698u
#define NBD_STRUCTURED_REPLY_MAGIC 0x668e33efu
#define NBD_REPLY_DONE 1
enum {
    NBD_REPLY_NONE = 0,
    NBD_REPLY_OFFSET_DATA = 1,
    NBD_REPLY_OFFSET_HOLE = 2,
    NBD_REPLY_BLOCK_STATUS = 5,
    NBD_REPLY_ERROR = 1 << 15,
};
#define NBD_STATE_HOLE 1u
#define NBD_STATE_ZERO 2u

/* What was agreed on. */
typedef struct NbdExport {
    uint64_t size;
    uint16_t flags;
    uint32_t min_block, max_block; /* 0: not told */
    bool structured;
    bool base_allocation;
    uint32_t context_id;
} NbdExport;

/* Negotiates on a fresh, non-blocking connection. */
bool coroutine_fn nbd_negotiate(IoChannel *ioc, const char *name, NbdExport *info, GError **error);

/* Whole transfers; 0 or -errno. */
int coroutine_fn nbd_co_read(IoChannel *ioc, void *buf, size_t len);
int coroutine_fn nbd_co_readv(IoChannel *ioc, IoVec *vec, size_t offset, size_t len);
int coroutine_fn nbd_co_write(IoChannel *ioc, const void *buf, size_t len);
int coroutine_fn nbd_co_writev(IoChannel *ioc, IoVec *vec, size_t offset, size_t len);

/* An error number of the protocol as ours, positive. */
int nbd_errno(uint32_t error);

bool nbd_parse_filename(const char *filename, json_object *options, GError **error);
/* nbd://, nbd+unix:// for an address. */
char *nbd_make_filename(const SocketAddress *addr, const char *name);

#endif
