/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The test back end's SCSI host (VIRTIO 1.2, 5.6.6): a disk at target 0, LUN 0, whose blocks are those of the image. Ring 0 takes
 * task management, ring 1 events, the others commands: what a boot firmware and a simple driver need (SPC-4, SBC-3).
 */
#include "util/osdep.h"

#include "backend-internal.h"
#include "util/bytes.h"

#define BLOCK 512
#define CDB_AT 19           /* in the request's header */
#define REQUEST_BYTES 51    /* header with a CDB of 32 bytes */
#define RESPONSE_BYTES 108  /* with 96 bytes of sense data */
#define BAD_TARGET 3        /* response */
#define CHECK_CONDITION 2   /* status */
#define ILLEGAL_REQUEST 5   /* sense key */
#define INVALID_OPCODE 0x20 /* additional sense codes */
#define OUT_OF_RANGE 0x21
#define NO_SUCH_LUN 0x25

typedef struct Command {
    Ring *ring;
    Chain *chain;
    const uint8_t *cdb;
    size_t done;   /* bytes of data-in */
    uint8_t sense; /* additional sense code of the failure; 0: GOOD */
} Command;

static void answer(Command *c, const void *data, size_t len, size_t allocated)
{
    c->done = chain_put(c->ring, c->chain, RESPONSE_BYTES, data, MIN(len, allocated));
}

static void inquiry(Command *c)
{
    uint8_t data[36] = { 0, 0, 5, 2, 31 };

    if (c->cdb[1] & 1) { /* vital product data: none */
        c->sense = INVALID_OPCODE;
        return;
    }
    memcpy(data + 8, "TERN    TEST BACK END   1   ", 28);
    answer(c, data, sizeof(data), load_be16(c->cdb + 3));
}

static void read_capacity(Command *c)
{
    uint8_t data[8];

    store_be32(data, (uint32_t)(c->ring->conn->b->o.image_size / BLOCK - 1));
    store_be32(data + 4, BLOCK);
    answer(c, data, sizeof(data), sizeof(data));
}

static void report_luns(Command *c)
{
    uint8_t data[16] = { 0, 0, 0, 8 };

    answer(c, data, sizeof(data), load_be32(c->cdb + 6));
}

static void transfer(Command *c, bool write)
{
    Backend *b = c->ring->conn->b;
    uint64_t first = load_be32(c->cdb + 2), blocks = load_be16(c->cdb + 7);

    if (first > b->o.image_size / BLOCK || blocks > b->o.image_size / BLOCK - first) {
        c->sense = OUT_OF_RANGE;
    } else if (write) {
        chain_take(c->chain, REQUEST_BYTES, b->image + first * BLOCK, blocks * BLOCK);
    } else {
        answer(c, b->image + first * BLOCK, blocks * BLOCK, blocks * BLOCK);
    }
}

static void run(Command *c)
{
    switch (c->cdb[0]) {
    case 0x00: /* TEST UNIT READY */
    case 0x35: /* SYNCHRONIZE CACHE(10) */
        break;
    case 0x12:
        inquiry(c);
        break;
    case 0x25:
        read_capacity(c);
        break;
    case 0x28:
    case 0x2a:
        transfer(c, c->cdb[0] == 0x2a);
        break;
    case 0xa0:
        report_luns(c);
        break;
    default:
        c->sense = INVALID_OPCODE;
        break;
    }
}

/* Task management: whatever it is, it is complete. */
static uint32_t serve_control(Ring *r, Chain *chain)
{
    uint8_t done = 0;

    return (uint32_t)chain_put(r, chain, 0, &done, 1);
}

uint32_t scsi_serve(Ring *r, Chain *chain)
{
    uint8_t request[REQUEST_BYTES] = { 0 }, response[RESPONSE_BYTES] = { 0 };
    Command c = { .ring = r, .chain = chain, .cdb = request + CDB_AT };

    if (r->index == 0) {
        return serve_control(r, chain);
    }
    if (chain_take(chain, 0, request, sizeof(request)) != sizeof(request)) {
        return 0;
    }
    if (request[0] != 1 || request[1] != 0) {
        response[11] = BAD_TARGET;
    } else {
        if (load_be16(request + 2) & 0x3fff) {
            c.sense = NO_SUCH_LUN;
        } else {
            run(&c);
        }
        if (c.sense) {
            store_le32(response, 18);
            response[10] = CHECK_CONDITION;
            response[12] = 0x70;
            response[14] = ILLEGAL_REQUEST;
            response[19] = 10;
            response[24] = c.sense;
        }
    }
    chain_put(r, chain, 0, response, sizeof(response));
    return (uint32_t)(RESPONSE_BYTES + c.done);
}
