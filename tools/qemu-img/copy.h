/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The copying of convert and dd.
 *
 * C1  What a worker writes is what it has read, at the same place of the copy; a place is given to one worker.
 * C2  Unless out_of_order, a write begins when the one before it (by place) is over.
 * C3  Zeros are left out only where the target is known to read as zeros, or what is behind it shows through.
 */
#ifndef QEMU_IMG_COPY_H
#define QEMU_IMG_COPY_H

#include "img.h"

#define IMG_COPY_MAX_WORKERS 16
/* Bytes of one request. Large enough to make the cost of a request small, and small enough for caches. */
#define IMG_COPY_BUFFER (UINT32_C(1) << 20)
#define IMG_COPY_MAX_SPARSE (UINT32_C(16) << 20)

/* A part of the copy. */
typedef struct ImgPiece {
    BlockFront *front;
    uint64_t length; /* so many bytes of it are copied */
} ImgPiece;

typedef struct ImgCopy {
    /* Set by the caller. */
    const ImgPiece *pieces; /* one behind the other */
    unsigned n_pieces;
    uint64_t skip; /* the copy begins here in the first piece, whose length counts from here */
    BlockFront *target;
    unsigned workers; /* 1 to IMG_COPY_MAX_WORKERS */
    bool out_of_order;
    uint32_t sparse; /* zeros of this many bytes are not written as data; 0: all is data */
    bool zero_init;  /* C3: the target reads as zeros */
    bool
        has_backing; /* C3: what the source does not have itself is left to the target's backing file */
    uint64_t backing_length;
    uint32_t cluster;    /* of the target; 0: none */
    bool compressed;     /* in whole clusters */
    bool salvage, quiet; /* unreadable parts become zeros, with a warning */
    uint64_t rate;       /* bytes per second; 0: no limit */

    /* Private. */
    uint64_t total, at;
    uint64_t done, left_out; /* copied, and nothing to be done for it */
    uint64_t reserved;       /* given out, for the rate */
    unsigned piece;          /* that `at` is in */
    uint64_t piece_start;
    int status;          /* BLOCK_STATUS_* from `at` on ... */
    uint64_t status_end; /* ... to here */
    CoMutex lock;
    uint64_t next_number, next_write; /* C2 */
    Coroutine *turn[IMG_COPY_MAX_WORKERS];
    unsigned running;
    int64_t start_ns;
    int ret;
} ImgCopy;

/* Copies. Returns false with a message, or without one if a signal came (img_signal()). */
bool img_copy(ImgCopy *copy);

#endif
