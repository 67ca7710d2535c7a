/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What the test back end's devices do with a request, and what their configuration space says. */
#include "util/osdep.h"

#include "backend-internal.h"

#define BIT(n) (UINT64_C(1) << (n))
#define BLK_WRITEBACK 32 /* of the configuration space (VIRTIO 1.2, 5.2.4) */
#define COMMON_FEATURES (BIT(24) | BIT(28) | BIT(32) | BIT(VHOST_F_LOG_ALL))

uint64_t device_features(const BackendOptions *o)
{
    uint64_t f = o->features ? o->features : COMMON_FEATURES;

    if (!o->features && o->personality == BACKEND_BLK) {
        f |= BIT(6) | BIT(9) | BIT(12); /* BLK_SIZE, FLUSH, MQ */
    }
    return o->no_protocol ? f & ~BIT(VHOST_USER_F_PROTOCOL_FEATURES)
                          : f | BIT(VHOST_USER_F_PROTOCOL_FEATURES);
}

unsigned device_config(Backend *b, uint8_t *config, unsigned max)
{
    uint64_t sectors = b->o.image_size / 512;
    uint32_t block = 512;
    uint16_t queues = (uint16_t)b->o.queues;

    memset(config, 0, max);
    if (b->o.personality == BACKEND_BLK && max >= 60) { /* struct virtio_blk_config */
        memcpy(config, &sectors, 8);
        memcpy(config + 20, &block, 4);
        config[BLK_WRITEBACK] = device_features(&b->o) & BIT(11) ? b->writeback : 0;
        memcpy(config + 34, &queues, 2);
    } else {
        for (unsigned i = 0; i < max; i++) {
            config[i] = (uint8_t)(0xa0 + i);
        }
    }
    return max;
}

bool device_set_config(Backend *b, unsigned offset, const uint8_t *data, unsigned len)
{
    if (b->o.personality == BACKEND_BLK && (offset != BLK_WRITEBACK || len != 1)) {
        return false;
    }
    b->writeback = data[0];
    return true;
}

/* ---- vectors ------------------------------------------------------------------------------------------- */

size_t chain_take(const Chain *chain, size_t offset, void *buf, size_t len)
{
    size_t done = 0;

    for (unsigned i = 0; i < chain->nout && done < len; i++) {
        size_t n;

        if (offset >= chain->out[i].len) {
            offset -= chain->out[i].len;
            continue;
        }
        n = MIN(chain->out[i].len - offset, len - done);
        memcpy((uint8_t *)buf + done, chain->out[i].p + offset, n);
        done += n;
        offset = 0;
    }
    return done;
}

size_t chain_put(Ring *r, Chain *chain, size_t offset, const void *buf, size_t len)
{
    size_t done = 0;

    for (unsigned i = 0; i < chain->nin && done < len; i++) {
        size_t n;

        if (offset >= chain->in[i].len) {
            offset -= chain->in[i].len;
            continue;
        }
        n = MIN(chain->in[i].len - offset, len - done);
        memcpy(chain->in[i].p + offset, (const uint8_t *)buf + done, n);
        conn_log(r->conn, chain->in[i].gpa + offset, n);
        done += n;
        offset = 0;
    }
    return done;
}

static size_t in_size(const Chain *chain)
{
    size_t n = 0;

    for (unsigned i = 0; i < chain->nin; i++) {
        n += chain->in[i].len;
    }
    return n;
}

static size_t out_size(const Chain *chain)
{
    size_t n = 0;

    for (unsigned i = 0; i < chain->nout; i++) {
        n += chain->out[i].len;
    }
    return n;
}

/* ---- devices ------------------------------------------------------------------------------------------- */

static uint32_t serve_blk(Ring *r, Chain *chain)
{
    Backend *b = r->conn->b;
    struct {
        uint32_t type, prio;
        uint64_t sector;
    } h = { 0 };
    size_t in = in_size(chain), out = out_size(chain), len;
    uint8_t status = 0;

    if (chain_take(chain, 0, &h, sizeof(h)) != sizeof(h) || in == 0) {
        return 0;
    }
    len = h.type == 1 ? out - sizeof(h) : in - 1;
    if (h.type <= 1 &&
        (h.sector > b->o.image_size / 512 || len > b->o.image_size - h.sector * 512)) {
        status = 1;
    } else if (h.type == 0) {
        chain_put(r, chain, 0, b->image + h.sector * 512, len);
    } else if (h.type == 1) {
        chain_take(chain, sizeof(h), b->image + h.sector * 512, len);
    } else if (h.type == 8) {
        chain_put(r, chain, 0, "tern-test-backend\0\0", MIN(len, 20));
    } else if (h.type != 4) {
        status = 2;
    }
    chain_put(r, chain, in - 1, &status, 1);
    return (uint32_t)in;
}

static uint32_t serve_fs(Ring *r, Chain *chain)
{
    struct {
        uint32_t len, opcode;
        uint64_t unique, nodeid;
        uint32_t uid, gid, pid, padding;
    } in = { 0 };
    struct {
        uint32_t len;
        int32_t error;
        uint64_t unique;
        uint32_t init[16];
    } out = { .len = 16 };

    if (chain_take(chain, 0, &in, sizeof(in)) != sizeof(in)) {
        return 0;
    }
    out.unique = in.unique;
    if (in.opcode == 26) { /* FUSE_INIT; UEFI takes nobody without READDIRPLUS */
        uint32_t asked[4] = { 0 };

        chain_take(chain, sizeof(in), asked, sizeof(asked));
        out.len = sizeof(out);
        out.init[0] = 7;
        out.init[1] = 31;
        out.init[2] = 0x20000;
        out.init[3] = asked[3] & 1 << 13; /* FUSE_DO_READDIRPLUS */
        out.init[5] = 0x20000;
    } else {
        out.error = -38;
    }
    return (uint32_t)chain_put(r, chain, 0, &out, out.len);
}

static uint32_t serve_echo(Ring *r, Chain *chain)
{
    size_t len = MIN(out_size(chain), in_size(chain));
    g_autofree uint8_t *buf = g_malloc(len + 1);

    chain_take(chain, 0, buf, len);
    for (size_t i = 0; i < len; i++) {
        buf[i] = (uint8_t)~buf[i];
    }
    return (uint32_t)chain_put(r, chain, 0, buf, len);
}

uint32_t device_serve(Ring *r, Chain *chain)
{
    switch (r->conn->b->o.personality) {
    case BACKEND_BLK:
        return serve_blk(r, chain);
    case BACKEND_FS:
        return serve_fs(r, chain);
    case BACKEND_SCSI:
        return scsi_serve(r, chain);
    default:
        return serve_echo(r, chain);
    }
}

bool device_keeps(const Ring *r)
{
    return r->conn->b->o.personality == BACKEND_SCSI && r->index == 1;
}
