/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * "xen-disk": a block back end of Xen (io/blkif.h, io/ring.h): one ring of one page, reads, writes, flushes, barriers
 * and discards, with persistent grants where the front end has them.
 *
 *   frontend /local/domain/1/device/vbd/N   backend /local/domain/0/backend/vbd/1/N   N by vdev (xvda: 51712)
 *
 * D1  A grant's page is mapped by dma_map(): its use is counted, and its bytes are logged as dirty when it is unmapped.
 *     A per-request grant is unmapped before its response is written; a persistent one when quiesce or a disconnection
 *     says so.
 * D2  A request has its response exactly once; one that was taken from the ring and has none is in `requests`.
 *
 * Migration notes. Requests that have begun are finished by the stop; those that wait in the block layer are cancelled by
 * quiesce and *parked*: their 112 bytes travel and they run at the destination. All mappings are released. The ring
 * itself is in guest memory; `req_cons` says where it is read on. A front end that connects anew after its resume (as
 * Linux does) finds a back end in InitWait when it closes, and repeats what it had no response for.
 *
 * For tests: x-late-ms holds each completion back for so long (a slow back end); x-quiesce=off is the back end of 2014,
 * which never heard of P2: its mappings are past the dirty log and it does not stop.
 */
#include "util/osdep.h"
#include "xen.h"

#include <stdio.h>
#include "hw/core/drive.h"
#include "system/quiesce.h"
#include "system/runstate.h"
#include "util/bytes.h"
#include "util/clock.h"
#include "util/error.h"
#include "util/main-loop.h"

#define RING_ENTRIES 32
#define RING_HEADER 64
#define ENTRY_SIZE 112
#define SEGMENTS_MAX 11
#define SECTOR 512
#define PERSISTENT_MAX (RING_ENTRIES * SEGMENTS_MAX)

enum { REQ_PROD = 0, REQ_EVENT = 4, RSP_PROD = 8, RSP_EVENT = 12 };
enum { OP_READ = 0, OP_WRITE = 1, OP_BARRIER = 2, OP_FLUSH = 3, OP_DISCARD = 5 };
enum { RSP_OKAY = 0, RSP_ERROR = -1, RSP_NOT_SUPPORTED = -2 };

typedef struct Mapping {
    uint32_t ref;
    bool write;
    uint8_t *host;
    hwaddr address;
    unsigned users; /* of a persistent one */
} Mapping;

typedef struct XenRequest {
    XenDisk *disk;
    uint8_t raw[ENTRY_SIZE];
    uint8_t op;
    uint64_t id;
    unsigned n;
    Mapping maps[SEGMENTS_MAX]; /* D1; host NULL: none */
    Mapping *persistent[SEGMENTS_MAX];
    IoVec vec;
    BlockAio *aio;
    Timer late;
    int16_t status;
    bool parked, waiting_late, flush_first;
} XenRequest;

struct XenDisk {
    Device device;
    DriveConf conf;
    char *vdev;
    bool copy, with_quiesce;
    uint32_t late_ms;
    uint32_t number;
    char *frontend, *backend;
    QuiesceEntry *quiesce;
    VmStateEntry *vm_state;

    XenbusState state;
    bool connected, persistent, stopped;
    uint32_t ring_ref, port;
    hwaddr ring;
    uint8_t *raw_ring; /* x-quiesce=off */
    uint32_t req_cons, rsp_prod;
    GPtrArray *requests; /* D2 */
    GPtrArray *grants;   /* Mapping *: persistent ones */

    /* in streams */
    uint8_t was_connected;
    uint32_t n_parked;
    uint8_t parked[RING_ENTRIES * ENTRY_SIZE];
};

#define XEN_DISK(obj) ((XenDisk *)(obj))

static void take_requests(XenDisk *s);

/* ---- memory ---------------------------------------------------------------------------------------------------------- */

/* The back end of 2014: a pointer that no log knows of. */
static uint8_t *raw_pointer(hwaddr address)
{
    uint64_t len = XEN_PAGE;
    uint8_t *host = dma_map(address_space_memory, address, &len, false);

    if (host) {
        dma_unmap(address_space_memory, host, len, false, 0, "xen-disk");
    }
    return len == XEN_PAGE ? host : NULL;
}

static void ring_read(XenDisk *s, unsigned at, void *buf, size_t len)
{
    dma_read(address_space_memory, s->ring + at, buf, len);
}

static void ring_write(XenDisk *s, unsigned at, const void *buf, size_t len)
{
    if (s->raw_ring && !s->copy) {
        memcpy(s->raw_ring + at, buf, len);
    } else {
        dma_write(address_space_memory, s->ring + at, buf, len, "xen-disk");
    }
}

static uint32_t ring_word(XenDisk *s, unsigned at)
{
    uint8_t b[4] = { 0 };

    ring_read(s, at, b, 4);
    return load_le32(b);
}

static bool map_grant(XenDisk *s, Mapping *m, uint32_t ref, bool write)
{
    XenHost *host = xen_host_of(&s->device);
    uint64_t len = XEN_PAGE;

    if (!xen_grant_begin(host, ref, write, &m->address)) {
        return false;
    }
    m->host = s->with_quiesce ? dma_map(address_space_memory, m->address, &len, !write)
                              : raw_pointer(m->address);
    if (m->host && len < XEN_PAGE) {
        dma_unmap(address_space_memory, m->host, len, !write, 0, "xen-disk");
        m->host = NULL;
    }
    if (!m->host) {
        xen_grant_end(host, ref);
        return false;
    }
    m->ref = ref;
    m->write = write;
    return true;
}

/* D1: written pages become dirty here. */
static void unmap_grant(XenDisk *s, Mapping *m)
{
    if (!m->host) {
        return;
    }
    if (s->with_quiesce) {
        dma_unmap(address_space_memory, m->host, XEN_PAGE, !m->write, m->write ? XEN_PAGE : 0,
                  "xen-disk");
    }
    m->host = NULL;
    xen_grant_end(xen_host_of(&s->device), m->ref);
}

static void unmap_persistent(XenDisk *s)
{
    for (guint i = 0; i < s->grants->len; i++) {
        unmap_grant(s, s->grants->pdata[i]);
        g_free(s->grants->pdata[i]);
    }
    g_ptr_array_set_size(s->grants, 0);
}

/* A persistent grant's page, mapped at its first use, always for both directions. */
static Mapping *persistent_grant(XenDisk *s, uint32_t ref)
{
    Mapping *m;

    for (guint i = 0; i < s->grants->len; i++) {
        m = s->grants->pdata[i];
        if (m->ref == ref) {
            return m;
        }
    }
    if (s->grants->len >= PERSISTENT_MAX) {
        return NULL;
    }
    m = g_new0(Mapping, 1);
    if (!map_grant(s, m, ref, true)) {
        g_free(m);
        return NULL;
    }
    g_ptr_array_add(s->grants, m);
    return m;
}

/* ---- requests: end ------------------------------------------------------------------------------------------------------ */

static void respond(XenDisk *s, const XenRequest *r)
{
    uint8_t rsp[16] = { 0 }, word[4];
    uint32_t event = ring_word(s, RSP_EVENT), old = s->rsp_prod;

    store_le64(rsp, r->id);
    rsp[8] = r->op;
    store_le16(rsp + 10, r->status);
    ring_write(s, RING_HEADER + old % RING_ENTRIES * ENTRY_SIZE, rsp, sizeof(rsp));
    store_le32(word, ++s->rsp_prod);
    ring_write(s, RSP_PROD, word, 4);
    if (s->rsp_prod - event < s->rsp_prod - old) { /* RING_PUSH_RESPONSES_AND_CHECK_NOTIFY */
        xen_event_notify(xen_host_of(&s->device), s->port);
    }
}

static void release_pages(XenRequest *r)
{
    for (unsigned i = 0; i < r->n; i++) {
        unmap_grant(r->disk, &r->maps[i]);
        r->persistent[i] = NULL;
    }
}

static void free_request(XenRequest *r)
{
    release_pages(r);
    timer_del(&r->late);
    iovec_destroy(&r->vec);
    g_ptr_array_remove_fast(r->disk->requests, r);
    g_free(r);
}

/* GNTTABOP_copy: what was read goes into the pages of the guest. */
static bool copy_out(XenRequest *r)
{
    size_t at = 0;
    bool ok = true;

    for (unsigned i = 0; i < r->n; i++) {
        const uint8_t *seg = r->raw + 24 + 8 * i;
        size_t len = (seg[5] - seg[4] + 1) * SECTOR;
        hwaddr address;

        if (xen_grant_begin(xen_host_of(&r->disk->device), load_le32(seg), true, &address)) {
            ok &= dma_write(address_space_memory, address + seg[4] * SECTOR,
                            (uint8_t *)r->vec.iov[0].iov_base + at, len, "xen-disk") == MEM_OK;
            xen_grant_end(xen_host_of(&r->disk->device), load_le32(seg));
        } else {
            ok = false;
        }
        at += len;
    }
    return ok;
}

static void free_bounce(XenRequest *r)
{
    if (r->disk->copy && r->vec.n) {
        g_free(r->vec.iov[0].iov_base);
        iovec_reset(&r->vec);
    }
}

static void finish(XenRequest *r)
{
    XenDisk *s = r->disk;

    r->waiting_late = false;
    if (s->copy && r->op == OP_READ && r->status == RSP_OKAY && !copy_out(r)) {
        r->status = RSP_ERROR;
    }
    free_bounce(r);
    release_pages(r);
    respond(s, r);
    free_request(r);
    if (vm_is_running() || !s->with_quiesce) { /* what the ring has more stays there: the destination takes it */
        take_requests(s);
    }
}

static void late_timer(void *opaque)
{
    finish(opaque);
}

static void end_request(XenRequest *r, int16_t status)
{
    r->status = status;
    if (r->disk->late_ms) {
        r->waiting_late = true;
        timer_mod(&r->late, clock_get_ns(CLOCK_REALTIME_NS) + r->disk->late_ms * NS_PER_MS);
    } else {
        finish(r);
    }
}

static void run_request(XenRequest *r);

static void io_done(void *opaque, int ret)
{
    XenRequest *r = opaque;

    r->aio = NULL;
    if (ret == -ECANCELED && r->disk->stopped) {
        free_bounce(r);
        release_pages(r);
        iovec_reset(&r->vec);
        r->parked = true;
        return;
    }
    if (ret == 0 && r->flush_first) {
        r->flush_first = false;
        run_request(r);
        return;
    }
    end_request(r, ret < 0 ? RSP_ERROR : RSP_OKAY);
}

/* ---- requests: begin ------------------------------------------------------------------------------------------------------- */

/* One segment's place in memory; NULL if the guest has not granted it. */
static uint8_t *segment_page(XenRequest *r, unsigned i, uint32_t ref, bool write)
{
    XenDisk *s = r->disk;

    if (s->persistent) {
        Mapping *m = persistent_grant(s, ref);

        r->persistent[i] = m;
        return m ? m->host : NULL;
    }
    return map_grant(s, &r->maps[i], ref, write) ? r->maps[i].host : NULL;
}

/* Into a buffer of ours; a write's bytes are fetched. */
static bool make_bounce(XenRequest *r, size_t total)
{
    uint8_t *buffer = g_malloc0(MAX(total, 1));
    size_t at = 0;
    bool ok = true;

    iovec_add(&r->vec, buffer, total);
    for (unsigned i = 0; i < r->n && r->op != OP_READ; i++) {
        const uint8_t *seg = r->raw + 24 + 8 * i;
        size_t len = (seg[5] - seg[4] + 1) * SECTOR;
        hwaddr address;

        if (xen_grant_begin(xen_host_of(&r->disk->device), load_le32(seg), false, &address)) {
            ok &= dma_read(address_space_memory, address + seg[4] * SECTOR, buffer + at, len) ==
                  MEM_OK;
            xen_grant_end(xen_host_of(&r->disk->device), load_le32(seg));
        } else {
            ok = false;
        }
        at += len;
    }
    return ok;
}

static bool make_vector(XenRequest *r)
{
    size_t total = 0;

    iovec_reset(&r->vec);
    for (unsigned i = 0; i < r->n; i++) {
        const uint8_t *seg = r->raw + 24 + 8 * i;
        size_t len;

        if (seg[5] < seg[4] || seg[5] >= XEN_PAGE / SECTOR) {
            return false;
        }
        len = (seg[5] - seg[4] + 1) * SECTOR;
        total += len;
        if (!r->disk->copy) {
            uint8_t *page = segment_page(r, i, load_le32(seg), r->op == OP_READ);

            if (!page) {
                return false;
            }
            iovec_add(&r->vec, page + seg[4] * SECTOR, len);
        }
    }
    return !r->disk->copy || make_bounce(r, total);
}

static void run_transfer(XenRequest *r)
{
    BlockFront *front = r->disk->conf.front;
    uint64_t offset = load_le64(r->raw + 16);

    if (!r->n || offset > INT64_MAX / SECTOR || !make_vector(r)) {
        release_pages(r);
        free_bounce(r);
        end_request(r, RSP_ERROR);
        return;
    }
    offset *= SECTOR;
    r->aio = r->op == OP_READ ? front_aio_read(front, offset, &r->vec, io_done, r)
                              : front_aio_write(front, offset, &r->vec,
                                                r->op == OP_BARRIER ? BLOCK_FUA : 0, io_done, r);
}

static void run_request(XenRequest *r)
{
    BlockFront *front = r->disk->conf.front;
    uint64_t start, count;

    switch (r->op) {
    case OP_BARRIER:
        if (!r->n) {
            r->aio = front_aio_flush(front, io_done, r);
            return;
        }
        run_transfer(r);
        return;
    case OP_READ:
    case OP_WRITE:
        run_transfer(r);
        return;
    case OP_FLUSH:
        r->aio = front_aio_flush(front, io_done, r);
        return;
    case OP_DISCARD:
        start = load_le64(r->raw + 16);
        count = load_le64(r->raw + 24);
        if (start > INT64_MAX / SECTOR || count > INT64_MAX / SECTOR - start) {
            end_request(r, RSP_ERROR);
            return;
        }
        r->aio = front_aio_discard(front, start * SECTOR, count * SECTOR, io_done, r);
        return;
    default:
        end_request(r, RSP_NOT_SUPPORTED);
    }
}

static void start_request(XenDisk *s, const uint8_t *raw)
{
    XenRequest *r = g_new0(XenRequest, 1);

    r->disk = s;
    memcpy(r->raw, raw, ENTRY_SIZE);
    r->op = raw[0];
    r->id = load_le64(raw + 8);
    r->n = r->op == OP_DISCARD || r->op == OP_FLUSH ? 0 : MIN(raw[1], SEGMENTS_MAX);
    r->flush_first = r->op == OP_BARRIER && raw[1];
    iovec_init(&r->vec, SEGMENTS_MAX);
    timer_init(&r->late, CLOCK_REALTIME_NS, late_timer, r);
    g_ptr_array_add(s->requests, r);
    if (raw[1] > SEGMENTS_MAX && (r->op == OP_READ || r->op == OP_WRITE || r->op == OP_BARRIER)) {
        r->n = 0;
        end_request(r, RSP_ERROR);
    } else if (r->flush_first) {
        r->aio = front_aio_flush(s->conf.front, io_done, r);
    } else {
        run_request(r);
    }
}

/* RING_FINAL_CHECK_FOR_REQUESTS */
static void take_requests(XenDisk *s)
{
    uint8_t raw[ENTRY_SIZE], word[4];

    while (s->connected && !s->stopped && s->requests->len < RING_ENTRIES) {
        uint32_t prod = ring_word(s, REQ_PROD);

        if (prod == s->req_cons) {
            store_le32(word, s->req_cons + 1);
            ring_write(s, REQ_EVENT, word, 4);
            if (ring_word(s, REQ_PROD) == s->req_cons) {
                return;
            }
            continue;
        }
        if (prod - s->rsp_prod > RING_ENTRIES) {
            return; /* the guest's index makes no sense */
        }
        ring_read(s, RING_HEADER + s->req_cons % RING_ENTRIES * ENTRY_SIZE, raw, ENTRY_SIZE);
        s->req_cons++;
        start_request(s, raw);
    }
}

static void kicked(void *opaque)
{
    XenDisk *s = opaque;

    if (vm_is_running()) {
        take_requests(s);
    }
}

/* ---- connection ---------------------------------------------------------------------------------------------------------------- */

static void set_state(XenDisk *s, XenbusState state)
{
    g_autofree char *path = g_strconcat(s->backend, "/state", NULL);

    s->state = state;
    xen_store_printf(xen_host_store(xen_host_of(&s->device)), path, "%u", state);
}

static void set_node(XenDisk *s, const char *name, const char *fmt, ...) G_GNUC_PRINTF(3, 4);
static void set_node(XenDisk *s, const char *name, const char *fmt, ...)
{
    g_autofree char *path = g_strconcat(s->backend, "/", name, NULL);
    va_list args;

    va_start(args, fmt);
    g_autofree char *value = g_strdup_vprintf(fmt, args);
    va_end(args);
    xen_store_write(xen_host_store(xen_host_of(&s->device)), path, value);
}

static const char *frontend_node(XenDisk *s, const char *name)
{
    g_autofree char *path = g_strconcat(s->frontend, "/", name, NULL);

    return xen_store_read(xen_host_store(xen_host_of(&s->device)), path);
}

static uint64_t frontend_number(XenDisk *s, const char *name, uint64_t fallback)
{
    g_autofree char *path = g_strconcat(s->frontend, "/", name, NULL);

    return xen_store_read_number(xen_host_store(xen_host_of(&s->device)), path, fallback);
}

static XenRequest *next_running(const XenDisk *s)
{
    for (guint i = 0; i < s->requests->len; i++) {
        XenRequest *r = s->requests->pdata[i];

        if (r->aio) {
            return r;
        }
    }
    return NULL;
}

/* Each is cancelled, and parked then, or finishes. */
static void end_running(XenDisk *s)
{
    XenRequest *r;

    while ((r = next_running(s))) {
        front_aio_cancel(r->aio);
        MAIN_LOOP_WHILE(next_running(s) == r);
    }
}

/* Whatever runs ends without a response: the ring is not ours any more. */
static void drop_requests(XenDisk *s)
{
    front_drain(s->conf.front);
    end_running(s);
    while (s->requests->len) {
        XenRequest *r = s->requests->pdata[0];

        free_bounce(r);
        free_request(r);
    }
}

static void disconnect(XenDisk *s)
{
    bool stopped = s->stopped;

    if (!s->connected) {
        return;
    }
    s->connected = false;
    s->stopped = true; /* a cancelled one is parked, not answered */
    drop_requests(s);
    s->stopped = stopped;
    unmap_persistent(s);
    xen_event_unbind(xen_host_of(&s->device), s->port);
    xen_grant_end(xen_host_of(&s->device), s->ring_ref);
    s->raw_ring = NULL;
}

/* The ring of the front end; from the beginning, or where it is. */
static bool attach_ring(XenDisk *s)
{
    XenHost *host = xen_host_of(&s->device);

    if (!xen_grant_begin(host, s->ring_ref, true, &s->ring)) {
        return false;
    }
    if (!xen_event_bind(host, s->port, kicked, s)) {
        xen_grant_end(host, s->ring_ref);
        return false;
    }
    s->raw_ring = s->with_quiesce ? NULL : raw_pointer(s->ring);
    s->connected = true;
    return true;
}

static void connect_frontend(XenDisk *s)
{
    const char *protocol = frontend_node(s, "protocol");
    int64_t length = front_length(s->conf.front);

    if (protocol && strcmp(protocol, "x86_64-abi")) {
        warn_report("xen-disk %s: protocol '%.40s' is not supported", s->vdev, protocol);
        set_state(s, XENBUS_CLOSING);
        return;
    }
    s->ring_ref = frontend_number(s, "ring-ref", 0);
    s->port = frontend_number(s, "event-channel", 0);
    s->persistent = frontend_number(s, "feature-persistent", 0) && !s->copy;
    s->req_cons = s->rsp_prod = 0;
    if (!attach_ring(s)) {
        set_state(s, XENBUS_CLOSING);
        return;
    }
    set_node(s, "sectors", "%" PRIu64, (uint64_t)MAX(length, 0) / SECTOR);
    set_node(s, "sector-size", "%u", SECTOR);
    set_node(s, "info", "%u", front_is_read_only(s->conf.front) ? 4 : 0);
    set_state(s, XENBUS_CONNECTED);
    take_requests(s);
}

/* What the front end has become (blkif.h, "STATE DIAGRAMS"). */
static void follow_frontend(XenDisk *s)
{
    switch (frontend_number(s, "state", XENBUS_UNKNOWN)) {
    case XENBUS_INITIALISED:
    case XENBUS_CONNECTED:
        if (!s->connected && s->state == XENBUS_INIT_WAIT) {
            connect_frontend(s);
        }
        break;
    case XENBUS_CLOSING:
        if (s->state != XENBUS_CLOSING) {
            disconnect(s);
            set_state(s, XENBUS_CLOSING);
        }
        break;
    case XENBUS_CLOSED:
        disconnect(s);
        if (s->state != XENBUS_CLOSED) {
            set_state(s, XENBUS_CLOSED);
        }
        break;
    case XENBUS_INITIALISING: /* a front end that begins, or begins anew after its resume */
        disconnect(s);
        if (s->state != XENBUS_INIT_WAIT) {
            set_state(s, XENBUS_INIT_WAIT);
        }
        break;
    default:
        break;
    }
}

void xen_disk_path_changed(XenDisk *s, const char *path)
{
    size_t len = strlen(s->frontend);

    if (!strncmp(path, s->frontend, len) && !strcmp(path + len, "/state")) {
        follow_frontend(s);
    }
}

void xen_disk_publish(XenDisk *s)
{
    XenStore *store = xen_host_store(xen_host_of(&s->device));
    g_autofree char *there = g_strconcat(s->frontend, "/backend", NULL);
    g_autofree char *state = g_strconcat(s->frontend, "/state", NULL);
    g_autofree char *id = g_strconcat(s->frontend, "/backend-id", NULL);
    g_autofree char *device = g_strconcat(s->frontend, "/virtual-device", NULL);

    xen_store_write(store, there, s->backend);
    xen_store_write(store, id, "0");
    xen_store_printf(store, device, "%u", s->number);
    xen_store_write(store, state, "1");
    set_node(s, "frontend", "%s", s->frontend);
    set_node(s, "frontend-id", "%u", XEN_GUEST_DOMAIN);
    set_node(s, "online", "1");
    set_node(s, "dev", "%s", s->vdev);
    set_node(s, "mode", "%s", front_is_read_only(s->conf.front) ? "r" : "w");
    set_node(s, "feature-flush-cache", "1");
    set_node(s, "feature-barrier", "1");
    set_node(s, "feature-discard", "1");
    set_node(s, "feature-persistent", "%u", !s->copy);
    set_node(s, "max-ring-page-order", "0");
    set_state(s, XENBUS_INIT_WAIT);
}

/* ---- quiesce -------------------------------------------------------------------------------------------------------------------- */

static bool any_late(const XenDisk *s)
{
    for (guint i = 0; i < s->requests->len; i++) {
        if (((XenRequest *)s->requests->pdata[i])->waiting_late) {
            return true;
        }
    }
    return false;
}

static QuiesceResult quiesce(void *opaque, GError **error)
{
    XenDisk *s = opaque;

    s->stopped = true;
    end_running(s);
    if (any_late(s)) {
        s->stopped = false;
        error_set(error, "xen-disk %s: a completion is on its way", s->vdev);
        return QUIESCE_BUSY;
    }
    unmap_persistent(s);
    if (s->connected) {
        xen_grant_end(xen_host_of(&s->device), s->ring_ref);
    }
    return QUIESCE_DONE;
}

static void run_parked(XenDisk *s)
{
    for (guint i = 0; i < s->requests->len; i++) {
        XenRequest *r = s->requests->pdata[i];

        if (r->parked) {
            r->parked = false;
            run_request(r);
            i = -1; /* the list may have changed */
        }
    }
}

static void resume(void *opaque)
{
    XenDisk *s = opaque;
    hwaddr ring;

    s->stopped = false;
    if (s->connected &&
        (!xen_grant_begin(xen_host_of(&s->device), s->ring_ref, true, &ring) || ring != s->ring)) {
        warn_report("xen-disk %s: the guest's ring has gone", s->vdev);
        s->connected = false;
    }
}

static const QuiesceOps quiesce_ops = { .name = "xen-disk", .quiesce = quiesce, .resume = resume };

/* Arrival, and every start. */
static void vm_state_changed(void *opaque, bool running, VmRunState state)
{
    XenDisk *s = opaque;

    if (!running) {
        return;
    }
    if (s->was_connected) {
        s->was_connected = false;
        if (!attach_ring(s)) {
            warn_report("xen-disk %s: the guest's ring is not there", s->vdev);
            set_state(s, XENBUS_CLOSING);
            return;
        }
        for (unsigned i = 0; i < s->n_parked; i++) {
            start_request(s, s->parked + i * ENTRY_SIZE);
        }
        s->n_parked = 0;
    }
    run_parked(s);
    take_requests(s);
}

/* ---- reset, realize ---------------------------------------------------------------------------------------------------------------- */

static void xen_disk_reset(Device *dev)
{
    XenDisk *s = XEN_DISK(dev);

    disconnect(s);
    s->was_connected = false;
    s->n_parked = 0;
    s->persistent = false;
    s->ring_ref = s->port = s->req_cons = s->rsp_prod = 0;
    s->state = XENBUS_INIT_WAIT;
}

/* vbd-interface: xvda … xvdp; the first free one if the user gave none. */
static bool choose_number(XenDisk *s, GError **error)
{
    bool given = s->vdev != NULL;

    for (char letter = 'a'; letter <= 'p'; letter++) {
        g_autofree char *name = g_strdup_printf("xvd%c", letter);
        bool taken = false;

        for (GList *l = s->device.bus->devices.head; l; l = l->next) {
            XenDisk *other = l->data;

            taken |= other != s && other->frontend && !strcmp(other->vdev, name);
        }
        if (given ? strcmp(s->vdev, name) : taken) {
            continue;
        }
        if (taken) {
            return error_set(error, "xen-disk: '%s' is taken", s->vdev);
        }
        s->number = 202u << 8 | (unsigned)(letter - 'a') << 4;
        s->frontend = g_strdup_printf("/local/domain/1/device/vbd/%u", s->number);
        s->backend = g_strdup_printf("/local/domain/0/backend/vbd/1/%u", s->number);
        s->vdev = given ? s->vdev : g_steal_pointer(&name);
        return true;
    }
    return error_set(error, "xen-disk: property 'vdev' is to be xvda to xvdp, and free");
}

static bool xen_disk_realize(Device *dev, GError **error)
{
    XenDisk *s = XEN_DISK(dev);
    BlockDeviceConf want = { .device = s, .needs_medium = true };

    if (!s->conf.front) {
        return error_set(error, "drive property not set");
    }
    if (!drive_conf_block_sizes(&s->conf, error)) {
        return false;
    }
    want.read_only = front_is_inserted(s->conf.front) && front_is_read_only(s->conf.front);
    if (!choose_number(s, error) || !drive_conf_attach(&s->conf, dev, &want, error)) {
        g_clear_pointer(&s->frontend, g_free);
        g_clear_pointer(&s->backend, g_free);
        return false;
    }
    s->requests = g_ptr_array_new();
    s->grants = g_ptr_array_new();
    s->vm_state = vm_state_add_handler(vm_state_changed, s, 0);
    if (s->with_quiesce) {
        s->quiesce = quiesce_register(&quiesce_ops, s);
    }
    return true;
}

static void xen_disk_unrealize(Device *dev)
{
    XenDisk *s = XEN_DISK(dev);

    disconnect(s);
    vm_state_del_handler(s->vm_state);
    quiesce_unregister(s->quiesce);
    drive_conf_detach(&s->conf);
    g_ptr_array_free(s->requests, TRUE);
    g_ptr_array_free(s->grants, TRUE);
    g_free(s->frontend);
    g_free(s->backend);
}

/* ---- state ---------------------------------------------------------------------------------------------------------------------------- */

static bool pre_save(void *opaque, GError **error)
{
    XenDisk *s = opaque;

    s->was_connected |= s->connected;
    if (s->connected) {
        s->n_parked = 0;
        for (guint i = 0; i < s->requests->len; i++) {
            memcpy(s->parked + s->n_parked++ * ENTRY_SIZE,
                   ((XenRequest *)s->requests->pdata[i])->raw, ENTRY_SIZE);
        }
    }
    return true;
}

static void post_save(void *opaque)
{
    XenDisk *s = opaque;

    if (s->connected) {
        s->was_connected = false;
        s->n_parked = 0;
    }
}

static bool pre_load(void *opaque, GError **error)
{
    XEN_DISK(opaque)->connected = false;
    return true;
}

static bool post_load(void *opaque, int version, GError **error)
{
    XenDisk *s = opaque;

    if (s->was_connected > 1 || s->n_parked > RING_ENTRIES || s->state > XENBUS_CLOSED ||
        (!s->was_connected && s->n_parked) || s->req_cons - s->rsp_prod != s->n_parked) {
        return error_set(error, "a ring with %u requests, of which %u have no answer",
                         s->req_cons - s->rsp_prod, s->n_parked);
    }
    return true;
}

static const VmState vmstate_xen_disk = {
    .name = "xen-disk",
    .version = 1,
    .minimum_version = 1,
    .pre_save = pre_save,
    .post_save = post_save,
    .pre_load = pre_load,
    .post_load = post_load,
    .fields =
        (const VmField[]){
            VM_NAMED_ENUM("state", XenDisk, state),
            VM_U8(XenDisk, was_connected),
            VM_BOOL(XenDisk, persistent),
            VM_U32(XenDisk, ring_ref),
            VM_U32(XenDisk, port),
            VM_U32(XenDisk, req_cons),
            VM_U32(XenDisk, rsp_prod),
            VM_U32(XenDisk, n_parked),
            VM_BYTES(XenDisk, parked),
            VM_END,
        },
};

static void xen_disk_init(Object *obj)
{
    XEN_DISK(obj)->conf.rerror = XEN_DISK(obj)->conf.werror = BLOCKDEV_ON_ERROR_AUTO;
}

static const DeviceType xen_disk_type = {
    .object = {
        .name = "xen-disk",
        .parent = &device_type.object,
        .size = sizeof(XenDisk),
        .description = "Xen block back end",
        .init = xen_disk_init,
        .properties = (const Property[]){
            DRIVE_PROPERTY_DRIVE(XenDisk, conf),
            DRIVE_PROPERTIES_BASE(XenDisk, conf),
            PROPERTY_STRING("vdev", XenDisk, vdev, "xvda to xvdp; the first free one by default"),
            PROPERTY_BOOL("x-copy", XenDisk, copy, "off", "Grants are copied, not mapped"),
            PROPERTY_BOOL("x-quiesce", XenDisk, with_quiesce, "on", "Stop for a migration; off is a test of what happens without"),
            PROPERTY_UINT32("x-late-ms", XenDisk, late_ms, "0", "Test: completions come so much later"),
            {},
        },
    },
    .bus = &xen_bus_type,
    .category = DEVICE_CATEGORY_STORAGE,
    .not_hotpluggable = true,
    .realize = xen_disk_realize,
    .unrealize = xen_disk_unrealize,
    .reset = xen_disk_reset,
    .migration = MIGRATES_WITH(vmstate_xen_disk),
};
DEVICE_REGISTER(xen_disk_type);
