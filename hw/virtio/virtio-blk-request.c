/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Requests of virtio-blk (VIRTIO 1.2, 5.2.6): from the ring to the block layer and back.
 *
 *   ring --> read_request() --> batch, neighbours are merged --> active --> answered
 *                                                                  |  ^
 *                                       error under policy stop,   v  |  the machine runs again
 *                                       not begun when it stops   parked
 */
#include "util/osdep.h"
#include "virtio-blk.h"

#include <limits.h>
#include "util/bytes.h"
#include "util/error.h"
#include "util/main-loop.h"
#include "util/trace.h"

TRACE_EVENT(virtio_blk_handle_read)
TRACE_EVENT(virtio_blk_handle_write)
TRACE_EVENT(virtio_blk_req_complete)
TRACE_EVENT(virtio_blk_rw_complete)

#define HEADER_SIZE 16
#define SEGMENT_SIZE 16
#define SEGMENT_UNMAP 1u
#define MERGE_MAX 32 /* requests in one */
#define ALL_QUEUES UINT_MAX

struct BlkRequest {
    VirtQueueElement elem;
    VirtioBlk *blk;
    GList link; /* in active or parked */
    uint32_t type;
    uint64_t sector;
    IoVec data;    /* without header and status; of those that have data */
    BlockAio *aio; /* the front has it */
    /* Merged ones: the first has the others behind it, and their memory in one vector. */
    BlkRequest *next;
    IoVec merged;
    bool alone; /* it failed with others: by itself now */
};

/* ---- answers ------------------------------------------------------------------------------------------------- */

/* Vectors with alloc 0 are the element's own. */
static void drop_data(BlkRequest *req)
{
    if (req->data.alloc) {
        iovec_destroy(&req->data);
    }
    req->data = (IoVec){ 0 };
}

static void request_free(BlkRequest *req)
{
    drop_data(req);
    iovec_destroy(&req->merged);
    g_free(req);
}

static BlkRequest *request_new(VirtioBlk *blk, BlkRequest *req)
{
    req->blk = blk;
    req->link.data = req;
    return req;
}

/* One interrupt for all that is answered in one turn of the loop. */
static void notify_soon(VirtioBlk *blk, VirtQueue *vq)
{
    unsigned n = virtio_queue_index(vq);

    blk->to_notify[n / 64] |= UINT64_C(1) << n % 64;
    bh_schedule(blk->notify_bh);
}

void virtio_blk_notify_now(void *opaque)
{
    VirtioBlk *blk = opaque;

    for (unsigned i = 0; i < G_N_ELEMENTS(blk->to_notify); i++) {
        while (blk->to_notify[i]) {
            unsigned bit = __builtin_ctzll(blk->to_notify[i]);

            blk->to_notify[i] &= blk->to_notify[i] - 1;
            virtio_notify(&blk->vdev, virtio_get_queue(&blk->vdev, i * 64 + bit));
        }
    }
}

static void answer(BlkRequest *req, uint8_t status)
{
    VirtioDevice *vdev = &req->blk->vdev;
    VirtQueueElement *elem = &req->elem;
    VirtQueue *vq = elem->vq;

    trace(virtio_blk_req_complete, "vdev %p req %p status %u", (void *)vdev, (void *)req, status);
    iov_from_buf(elem->in_sg, elem->in_num, elem->in_len - 1, &status, 1);
    virtqueue_push(vq, elem, elem->in_len);
    notify_soon(req->blk, vq);
    request_free(req);
}

static void park(BlkRequest *req)
{
    g_queue_push_tail_link(&req->blk->parked, &req->link);
}

/* ---- errors: in the device's thread; the user is told in the main thread ----------------------------------------- */

/* Whether the request is to be answered as if it were good; else it has been parked or answered. */
static bool ignore_error(BlkRequest *req, int err, bool is_read)
{
    BlockFront *front = req->blk->conf.front;
    BlockErrorAction action = front_error_action(front, is_read, err);

    if (action == BLOCK_ERROR_ACTION_STOP) {
        park(req);
    } else if (action == BLOCK_ERROR_ACTION_REPORT) {
        answer(req, VIRTIO_BLK_S_IOERR);
    }
    front_error_apply(front, action, is_read, err);
    return action == BLOCK_ERROR_ACTION_IGNORE;
}

/* ---- block I/O ------------------------------------------------------------------------------------------------ */

static void submit_rw(BlkRequest *req);

static void activate(BlkRequest *req, BlockAio *aio)
{
    req->aio = aio;
}

/* Out of active. True: it is over for now, because the machine stops before the front has begun with it. */
static bool inactive(BlkRequest *req, int ret)
{
    req->aio = NULL;
    g_queue_unlink(&req->blk->active, &req->link);
    if (ret != -ECANCELED || req->blk->running) {
        return false;
    }
    for (BlkRequest *next; req; req = next) {
        next = req->next;
        req->next = NULL;
        iovec_destroy(&req->merged);
        park(req);
    }
    return true;
}

static void one_done(BlkRequest *req, int ret, bool is_read)
{
    if (ret >= 0 || ignore_error(req, -ret, is_read)) {
        answer(req, VIRTIO_BLK_S_OK);
    }
}

static void rw_done(void *opaque, int ret)
{
    BlkRequest *req = opaque;
    bool is_read = req->type == VIRTIO_BLK_T_IN, merged = req->next != NULL;

    trace(virtio_blk_rw_complete, "vdev %p req %p ret %d", (void *)&req->blk->vdev, (void *)req,
          ret);
    if (inactive(req, ret)) {
        return;
    }
    for (BlkRequest *next; req; req = next) {
        next = req->next;
        req->next = NULL;
        if (ret < 0 && merged) {
            req->alone = true; /* which one of them failed is not known */
            submit_rw(req);
        } else {
            one_done(req, ret, is_read);
        }
    }
}

static void other_done(void *opaque, int ret)
{
    BlkRequest *req = opaque;

    if (!inactive(req, ret)) {
        one_done(req, ret, false);
    }
}

/* One, or the first of several that have been merged. */
static void submit_rw(BlkRequest *req)
{
    BlockFront *front = req->blk->conf.front;
    IoVec *vec = req->next ? &req->merged : &req->data;
    uint64_t offset = req->sector << VIRTIO_BLK_SECTOR_BITS;

    g_queue_push_tail_link(&req->blk->active, &req->link);
    activate(req, req->type == VIRTIO_BLK_T_IN
                      ? front_aio_read(front, offset, vec, rw_done, req)
                      : front_aio_write(front, offset, vec, 0, rw_done, req));
}

/* ---- merging of neighbours ------------------------------------------------------------------------------------- */

/* What one call of the handler has popped and not submitted: reads or writes of one run of sectors. */
typedef struct Batch {
    BlkRequest *first, *last;
    unsigned n;
    uint64_t bytes;
    unsigned niov;
    uint64_t max_bytes;
    unsigned max_iov;
} Batch;

static void batch_submit(Batch *batch)
{
    BlkRequest *first = batch->first;

    if (!first) {
        return;
    }
    if (first->next) {
        iovec_init(&first->merged, batch->niov);
        for (BlkRequest *r = first; r; r = r->next) {
            iovec_add_slice(&first->merged, &r->data, 0, r->data.size);
        }
    }
    batch->first = batch->last = NULL;
    batch->n = 0;
    submit_rw(first);
}

static bool batch_fits(const Batch *batch, const BlkRequest *req)
{
    const BlkRequest *last = batch->last;

    return req->blk->request_merging && !req->alone && batch->n < MERGE_MAX &&
           last->type == req->type &&
           last->sector + (last->data.size >> VIRTIO_BLK_SECTOR_BITS) == req->sector &&
           batch->bytes + req->data.size <= batch->max_bytes &&
           batch->niov + req->data.n <= batch->max_iov;
}

static void batch_add(Batch *batch, BlkRequest *req)
{
    if (batch->first && !batch_fits(batch, req)) {
        batch_submit(batch);
    }
    if (batch->first) {
        batch->last->next = req;
    } else {
        batch->first = req;
        batch->bytes = batch->niov = 0;
    }
    batch->last = req;
    batch->n++;
    batch->bytes += req->data.size;
    batch->niov += req->data.n;
}

static void batch_init(Batch *batch, VirtioBlk *blk)
{
    BlockLimits limits;

    front_limits(blk->conf.front, &limits);
    *batch = (Batch){
        .max_bytes = limits.max_transfer ? limits.max_transfer : INT32_MAX,
        .max_iov = limits.max_iov ? MIN(limits.max_iov, IOV_MAX) : IOV_MAX,
    };
}

/* ---- what the driver asks for ------------------------------------------------------------------------------------- */

/* The memory behind the header, or before the status. */
static void take_data(BlkRequest *req, bool out)
{
    VirtQueueElement *elem = &req->elem;
    IoVec all = { .iov = out ? elem->out_sg : elem->in_sg,
                  .n = out ? elem->out_num : elem->in_num };

    all.size = out ? elem->out_len : elem->in_len;
    /* Header and status have descriptors of their own, as they had to in the legacy interface (2.7.4.2). */
    if (out && elem->out_sg[0].iov_len == HEADER_SIZE) {
        req->data = (IoVec){ .iov = all.iov + 1, .n = all.n - 1, .size = all.size - HEADER_SIZE };
        return;
    }
    if (!out && elem->in_sg[all.n - 1].iov_len == 1) {
        req->data = (IoVec){ .iov = all.iov, .n = all.n - 1, .size = all.size - 1 };
        return;
    }
    iovec_init(&req->data, MAX(all.n, 1));
    if (out) {
        iovec_add_slice(&req->data, &all, HEADER_SIZE, all.size - HEADER_SIZE);
    } else {
        iovec_add_slice(&req->data, &all, 0, all.size - 1);
    }
}

static bool range_good(VirtioBlk *blk, uint64_t sector, uint64_t bytes)
{
    int64_t length = front_length(blk->conf.front);
    uint64_t sectors = length > 0 ? (uint64_t)length >> VIRTIO_BLK_SECTOR_BITS : 0;
    uint64_t block = blk->conf.logical_block_size;

    return sector <= sectors && bytes >> VIRTIO_BLK_SECTOR_BITS <= sectors - sector &&
           (sector << VIRTIO_BLK_SECTOR_BITS) % block == 0 && bytes % block == 0;
}

static void start_rw(BlkRequest *req, Batch *batch)
{
    VirtioBlk *blk = req->blk;
    bool out = req->type == VIRTIO_BLK_T_OUT;

    take_data(req, out);
    if (!range_good(blk, req->sector, req->data.size) ||
        (out && front_is_read_only(blk->conf.front))) {
        front_account_invalid(blk->conf.front, out ? BLOCK_STAT_WRITE : BLOCK_STAT_READ);
        answer(req, VIRTIO_BLK_S_IOERR);
        return;
    }
    if (out) {
        trace(virtio_blk_handle_write, "vdev %p req %p sector %" PRIu64 " nsectors %zu",
              (void *)&blk->vdev, (void *)req, req->sector,
              req->data.size >> VIRTIO_BLK_SECTOR_BITS);
    } else {
        trace(virtio_blk_handle_read, "vdev %p req %p sector %" PRIu64 " nsectors %zu",
              (void *)&blk->vdev, (void *)req, req->sector,
              req->data.size >> VIRTIO_BLK_SECTOR_BITS);
    }
    batch_add(batch, req);
}

static void start_flush(BlkRequest *req)
{
    g_queue_push_tail_link(&req->blk->active, &req->link);
    activate(req, front_aio_flush(req->blk->conf.front, other_done, req));
}

static void get_id(BlkRequest *req)
{
    const char *serial = req->blk->serial ? req->blk->serial : "";
    size_t len = MIN(strlen(serial) + 1, VIRTIO_BLK_ID_BYTES); /* the NUL ends a shorter one */

    iov_from_buf(req->elem.in_sg, req->elem.in_num, 0, serial, MIN(len, req->elem.in_len - 1));
    answer(req, VIRTIO_BLK_S_OK);
}

/* 5.2.6.2: one segment, as the configuration says. */
static void start_discard(BlkRequest *req)
{
    VirtioBlk *blk = req->blk;
    bool zeroes = req->type == VIRTIO_BLK_T_WRITE_ZEROES;
    uint8_t segment[SEGMENT_SIZE];
    size_t len = req->elem.out_len - HEADER_SIZE;

    if (!(blk->vdev.host_features >> (zeroes ? VIRTIO_BLK_F_WRITE_ZEROES : VIRTIO_BLK_F_DISCARD) &
          1)) {
        answer(req, VIRTIO_BLK_S_UNSUPP);
        return;
    }
    if (len != sizeof(segment)) {
        answer(req, len < sizeof(segment) ? VIRTIO_BLK_S_IOERR : VIRTIO_BLK_S_UNSUPP);
        return;
    }
    iov_to_buf(req->elem.out_sg, req->elem.out_num, HEADER_SIZE, segment, sizeof(segment));
    uint64_t sector = load_le64(segment), bytes = (uint64_t)load_le32(segment + 8)
                                                  << VIRTIO_BLK_SECTOR_BITS;
    uint32_t flags = load_le32(segment + 12), sectors = load_le32(segment + 8);

    if (flags & ~(zeroes ? SEGMENT_UNMAP : 0)) {
        answer(req, VIRTIO_BLK_S_UNSUPP);
        return;
    }
    if (sectors > (zeroes ? blk->max_write_zeroes_sectors : blk->max_discard_sectors) ||
        !range_good(blk, sector, bytes) || front_is_read_only(blk->conf.front)) {
        front_account_invalid(blk->conf.front, zeroes ? BLOCK_STAT_WRITE : BLOCK_STAT_UNMAP);
        answer(req, VIRTIO_BLK_S_IOERR);
        return;
    }
    g_queue_push_tail_link(&blk->active, &req->link);
    uint64_t offset = sector << VIRTIO_BLK_SECTOR_BITS;
    if (zeroes) {
        activate(req, front_aio_write_zeroes(blk->conf.front, offset, bytes,
                                             flags ? BLOCK_MAY_UNMAP : 0, other_done, req));
    } else {
        activate(req, front_aio_discard(blk->conf.front, offset, bytes, other_done, req));
    }
}

/* False: the request has no header or no place for a status; the device is broken (W1). */
static bool read_request(BlkRequest *req)
{
    VirtQueueElement *elem = &req->elem;
    uint8_t header[HEADER_SIZE];

    if (elem->out_len < HEADER_SIZE || elem->in_len < 1) {
        virtio_error(&req->blk->vdev,
                     elem->out_len < HEADER_SIZE ? "request without a header (%zu bytes)"
                                                 : "request without a status byte (%zu bytes)",
                     elem->out_len < HEADER_SIZE ? elem->out_len : elem->in_len);
        virtqueue_detach_element(elem->vq, elem, 0);
        request_free(req);
        return false;
    }
    iov_to_buf(elem->out_sg, elem->out_num, 0, header, sizeof(header));
    req->type = load_le32(header);
    req->sector = load_le64(header + 8);
    if (!virtio_has(&req->blk->vdev, VIRTIO_F_VERSION_1)) {
        req->type &= ~VIRTIO_BLK_T_BARRIER;
    }
    return true;
}

static void start_request(BlkRequest *req, Batch *batch)
{
    switch (req->type) {
    case VIRTIO_BLK_T_IN:
    case VIRTIO_BLK_T_OUT:
        start_rw(req, batch);
        break;
    case VIRTIO_BLK_T_FLUSH:
        batch_submit(batch);
        start_flush(req);
        break;
    case VIRTIO_BLK_T_GET_ID:
        get_id(req);
        break;
    case VIRTIO_BLK_T_DISCARD:
    case VIRTIO_BLK_T_WRITE_ZEROES:
        batch_submit(batch);
        start_discard(req);
        break;
    default:
        answer(req, VIRTIO_BLK_S_UNSUPP);
        break;
    }
}

void virtio_blk_handle_queue(VirtioDevice *vdev, VirtQueue *vq)
{
    VirtioBlk *blk = VIRTIO_BLK(vdev);
    unsigned left = virtqueue_burst(vq);
    Batch batch;

    if (!blk->running) {
        return;
    }
    batch_init(&batch, blk);
    block_plug();
    do {
        BlkRequest *req;

        virtio_queue_set_notification(vq, false);
        while (left && (req = virtqueue_pop(vq, sizeof(*req)))) {
            left--;
            if (!read_request(request_new(blk, req))) {
                break;
            }
            start_request(req, &batch);
        }
        virtio_queue_set_notification(vq, true);
    } while (left && !virtio_is_broken(vdev) && !virtqueue_empty(vq));
    batch_submit(&batch);
    block_unplug();
    if (!left) {
        virtio_queue_kick(vq);
    }
}

/* ---- what is parked ----------------------------------------------------------------------------------------------- */

void virtio_blk_restart_parked(VirtioBlk *blk)
{
    GQueue list = blk->parked;
    GList *link;
    Batch batch;

    g_queue_init(&blk->parked);
    batch_init(&batch, blk);
    while ((link = g_queue_pop_head_link(&list))) {
        BlkRequest *req = link->data;

        drop_data(req);
        if (read_request(req)) {
            start_request(req, &batch);
        }
    }
    batch_submit(&batch);
}

void virtio_blk_stop_intake(VirtioBlk *blk)
{
    blk->running = false;
    for (GList *l = blk->active.head; l; l = l->next) {
        front_aio_cancel(((BlkRequest *)l->data)->aio); /* F2: what has begun ends by itself */
    }
}

void virtio_blk_drop_parked(VirtioBlk *blk, VirtQueue *vq)
{
    for (GList *l = blk->parked.head, *next; l; l = next) {
        BlkRequest *req = l->data;

        next = l->next;
        if (!vq || req->elem.vq == vq) {
            g_queue_unlink(&blk->parked, l);
            virtqueue_detach_element(req->elem.vq, &req->elem, 0);
            request_free(req);
        }
    }
}

void virtio_blk_unmap_parked(VirtioBlk *blk)
{
    for (GList *l = blk->parked.head; l; l = l->next) {
        virtqueue_element_unmap(&((BlkRequest *)l->data)->elem);
    }
}

bool virtio_blk_map_parked(VirtioBlk *blk, GError **error)
{
    for (GList *l = blk->parked.head; l; l = l->next) {
        if (!virtqueue_element_map(&((BlkRequest *)l->data)->elem, error)) {
            return false;
        }
    }
    return true;
}

bool virtio_blk_save_parked(VirtioBlk *blk, VmWriter *w, GError **error)
{
    for (GList *l = blk->parked.head; l; l = l->next) {
        const BlkRequest *req = l->data;

        vm_put_u8(w, 1);
        if (blk->num_queues > 1) {
            vm_put_be32(w, virtio_queue_index(req->elem.vq));
        }
        virtqueue_element_save(w, &req->elem);
    }
    vm_put_u8(w, 0);
    return true;
}

bool virtio_blk_load_parked(VirtioBlk *blk, VmReader *r, GError **error)
{
    virtio_blk_drop_parked(blk, NULL);
    while (vm_get_u8(r)) {
        uint32_t n = blk->num_queues > 1 ? vm_get_be32(r) : 0;

        if (n >= blk->num_queues) {
            return error_set(error, "a request in queue %u of %u", n, blk->num_queues);
        }
        VirtQueue *vq = virtio_get_queue(&blk->vdev, n);
        BlkRequest *req = virtqueue_element_load(&blk->vdev, vq, r, sizeof(*req), error);
        if (!req) {
            return false;
        }
        park(request_new(blk, req));
    }
    return true;
}
