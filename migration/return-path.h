/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The way back: what the destination says while it loads. */
#ifndef MIGRATION_RETURN_PATH_H
#define MIGRATION_RETURN_PATH_H

#include "io/channel.h"

/* ---- source: main thread, except return_path_wait() ---- */

typedef struct ReturnPath ReturnPath;
typedef struct ReturnPathOps {
    /* Once: the destination has failed, has broken the protocol or has gone. */
    void (*ended)(const GError *error, void *opaque);
    void (*pong)(uint32_t value, void *opaque);
    void (*switchover_ack)(void *opaque);
    /* Postcopy: the guest waits for these bytes of a block. False with an error if there are none. */
    bool (*request)(const char *block, uint64_t start, uint32_t len, void *opaque, GError **error);
    /* Recovery: so many bytes of bitmap follow, of what the destination has of a block. False with an error if they were not
     * asked for, or are not as many as the block needs: nothing is kept that is of no use. */
    bool (*bitmap_begins)(const char *block, uint64_t len, void *opaque, GError **error);
    /* They are here. */
    bool (*bitmap)(const char *block, const uint8_t *bits, uint64_t len, void *opaque,
                   GError **error);
    void (*resumed)(void *opaque);
} ReturnPathOps;

ReturnPath *return_path_new(IoChannel *ioc, const ReturnPathOps *ops, void *opaque);
void return_path_free(ReturnPath *rp); /* NULL is allowed */
/* Takes what the destination has said and nobody has looked at yet: the end of a connection is seen by who writes before that. */
void return_path_hear_all(ReturnPath *rp);
/* Whether the end was the destination's own word that it has failed. */
bool return_path_refused(ReturnPath *rp);
/* Whether nothing more will come. Any thread. */
bool return_path_over(ReturnPath *rp);
/* Until the destination says that it has everything; false with an error otherwise. The migration thread. */
bool return_path_wait(ReturnPath *rp, GError **error);

/* ---- destination: any thread ---- */

bool return_path_send_pong(IoChannel *ioc, uint32_t value, GError **error);
bool return_path_send_switchover_ack(IoChannel *ioc, GError **error);
/* name NULL: the block of the last request. */
bool return_path_send_request(IoChannel *ioc, const char *name, uint64_t start, uint32_t len,
                              GError **error);
bool return_path_send_bitmap(IoChannel *ioc, const char *name, const unsigned long *bits,
                             uint64_t n, GError **error);
bool return_path_send_resumed(IoChannel *ioc, GError **error);
/* The last message. ok: the source may forget the guest. Fails if the source is not there any more. */
bool return_path_send_shut(IoChannel *ioc, bool ok, GError **error);

#endif
