/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Requests of virtqueues, common to both ring layouts (VIRTIO 1.2, chapters 2.6 to 2.8): chains of descriptors become
 * vectors of host memory and go back.
 *
 * Q1  Whatever a ring says is checked before it is used: indexes, lengths, directions, the number of descriptors. What
 *     does not fit breaks the device (W1).
 * Q2  All of a chain is mapped, or nothing of it.
 * Q3  Elements in flight have at most as many slots as the ring: used ones find room.
 */
#include "util/osdep.h"
#include "util/bytes.h"
#include "util/error.h"
#include "util/trace.h"
#include "virtio-internal.h"

TRACE_EVENT(virtqueue_pop)
TRACE_EVENT(virtqueue_fill)
TRACE_EVENT(virtqueue_flush)
TRACE_EVENT(virtqueue_alloc_element)

/* ---- access to the ring ------------------------------------------------------------------------------------ */

bool ring_read(VirtQueue *vq, MemoryCache *part, uint64_t offset, void *buf, unsigned len)
{
    if (memory_cache_read(part, offset, buf, len) != MEM_OK) {
        virtio_error(vq->vdev, "queue %u: ring memory at 0x%" PRIx64 " cannot be read", vq->n,
                     part->addr + offset);
        return false;
    }
    return true;
}

bool ring_write(VirtQueue *vq, MemoryCache *part, uint64_t offset, const void *buf, unsigned len)
{
    MemResult r = memory_cache_write(part, offset, buf, len, virtio_name(vq->vdev));

    if (r == MEM_OK) {
        return true;
    }
    if (!(r & MEM_CLOSED)) { /* that one is ours, and the late writer is remembered */
        virtio_error(vq->vdev, "queue %u: ring memory at 0x%" PRIx64 " cannot be written", vq->n,
                     part->addr + offset);
    }
    return false;
}

bool ring_read16(VirtQueue *vq, MemoryCache *part, uint64_t offset, uint16_t *value)
{
    uint8_t bytes[2];

    if (!ring_read(vq, part, offset, bytes, 2)) {
        return false;
    }
    *value = load_le16(bytes);
    return true;
}

bool ring_write16(VirtQueue *vq, MemoryCache *part, uint64_t offset, uint16_t value)
{
    uint8_t bytes[2];

    store_le16(bytes, value);
    return ring_write(vq, part, offset, bytes, 2);
}

bool virtqueue_usable(VirtQueue *vq)
{
    return vq->enabled && vq->size && !virtio_is_broken(vq->vdev);
}

/* ---- chains ------------------------------------------------------------------------------------------------- */

static void unmap_all(struct iovec *iov, unsigned n, bool to_device, size_t written,
                      const char *writer)
{
    for (unsigned i = 0; i < n; i++) {
        size_t used = MIN(iov[i].iov_len, written);

        dma_unmap(address_space_memory, iov[i].iov_base, iov[i].iov_len, to_device,
                  to_device ? 0 : used, writer);
        written -= used;
    }
}

/* The arrays are large and filled as far as they are used. */
static void chain_begin(RingChain *chain, VirtQueue *vq, bool map)
{
    chain->vq = vq;
    chain->map = map;
    chain->out_num = chain->in_num = chain->descs = 0;
    chain->out_len = chain->in_len = 0;
}

static void chain_unmap(RingChain *chain)
{
    const char *writer = virtio_name(chain->vq->vdev);

    if (chain->map) {
        unmap_all(chain->iov, chain->out_num, true, 0, writer);
        unmap_all(chain->iov + chain->out_num, chain->in_num, false, 0, writer);
    }
    chain->out_num = chain->in_num = 0;
}

/* A descriptor may lie across several pieces of RAM. */
static bool chain_map(RingChain *chain, const RingDesc *desc)
{
    bool to_device = !(desc->flags & RING_DESC_WRITE);
    hwaddr addr = desc->addr;
    uint64_t left = desc->len;

    while (left) {
        unsigned at = chain->out_num + chain->in_num;
        uint64_t n = left;
        void *host;

        if (at == VIRTQUEUE_MAX_SIZE) {
            virtio_error(chain->vq->vdev, "queue %u: too many pieces of memory in one request",
                         chain->vq->n);
            return false;
        }
        host = dma_map(address_space_memory, addr, &n, to_device);
        if (!host) {
            virtio_error(chain->vq->vdev,
                         "queue %u: a descriptor says 0x%" PRIx64
                         ", where there is no memory to %s",
                         chain->vq->n, addr, to_device ? "read" : "write");
            return false;
        }
        chain->addr[at] = addr;
        chain->iov[at] = (struct iovec){ host, n };
        *(to_device ? &chain->out_num : &chain->in_num) += 1;
        addr += n;
        left -= n;
    }
    return true;
}

bool ring_chain_add(RingChain *chain, const RingDesc *desc)
{
    VirtQueue *vq = chain->vq;
    bool write = desc->flags & RING_DESC_WRITE;

    if (++chain->descs > VIRTQUEUE_MAX_SIZE) {
        virtio_error(vq->vdev, "queue %u: a chain of more than %u descriptors, or a loop", vq->n,
                     VIRTQUEUE_MAX_SIZE);
        return false;
    }
    if (!desc->len) {
        virtio_error(vq->vdev, "queue %u: zero sized buffers are not allowed", vq->n);
        return false;
    }
    if (!write && chain->in_len) {
        virtio_error(vq->vdev, "queue %u: a descriptor to be read stands behind one to be written",
                     vq->n);
        return false;
    }
    *(write ? &chain->in_len : &chain->out_len) += desc->len;
    if (chain->in_len + chain->out_len > UINT32_MAX) {
        virtio_error(vq->vdev, "queue %u: a request of more than 4 GiB", vq->n);
        return false;
    }
    return !chain->map || chain_map(chain, desc);
}

static void decode_desc(const uint8_t bytes[16], bool packed, RingDesc *desc)
{
    desc->addr = load_le64(bytes);
    desc->len = load_le32(bytes + 8);
    desc->flags = load_le16(bytes + (packed ? 14 : 12));
    desc->next = load_le16(bytes + (packed ? 12 : 14));
}

/* A table's descriptors follow `next` (split, 2.7.5.3) or one another (packed, 2.8.7). */
bool ring_chain_add_indirect(RingChain *chain, const RingDesc *table, bool packed)
{
    VirtQueue *vq = chain->vq;
    unsigned n = table->len / 16, i = 0;
    MemoryCache cache;
    RingDesc desc;

    if (!virtio_has(vq->vdev, VIRTIO_F_INDIRECT_DESC)) {
        virtio_error(vq->vdev, "queue %u: an indirect table, which the driver has not negotiated",
                     vq->n);
        return false;
    }
    if (!table->len || table->len % 16 || n > UINT16_MAX + 1) {
        virtio_error(vq->vdev, "queue %u: an indirect table of %" PRIu32 " bytes", vq->n,
                     table->len);
        return false;
    }
    memory_cache_init(&cache, address_space_memory, table->addr, table->len);
    do {
        uint8_t bytes[16];

        if (!ring_read(vq, &cache, (uint64_t)i * 16, bytes, 16)) {
            return false;
        }
        decode_desc(bytes, packed, &desc);
        if (desc.flags & RING_DESC_INDIRECT) {
            virtio_error(vq->vdev, "queue %u: an indirect table within another", vq->n);
            return false;
        }
        if (!ring_chain_add(chain, &desc)) {
            return false;
        }
        i = packed ? i + 1 : desc.next;
        if (!packed && (desc.flags & RING_DESC_NEXT) && i >= n) {
            virtio_error(vq->vdev, "queue %u: descriptor %u of a table of %u", vq->n, i, n);
            return false;
        }
    } while (packed ? i < n : desc.flags & RING_DESC_NEXT);
    return true;
}

/* ---- elements ------------------------------------------------------------------------------------------------ */

/* One block: the caller's struct, then the four arrays. */
static VirtQueueElement *element_new(VirtQueue *vq, size_t size, unsigned out_num, unsigned in_num)
{
    size_t addr_at = (size + 15) & ~(size_t)15;
    size_t sg_at = addr_at + (out_num + in_num) * sizeof(hwaddr);
    VirtQueueElement *elem;

    sg_at = (sg_at + 15) & ~(size_t)15;
    g_assert(size >= sizeof(VirtQueueElement));
    elem = g_malloc(sg_at + (out_num + in_num) * sizeof(struct iovec));
    memset(elem, 0, size);
    elem->vq = vq;
    elem->out_num = out_num;
    elem->in_num = in_num;
    elem->out_addr = (hwaddr *)((char *)elem + addr_at);
    elem->in_addr = elem->out_addr + out_num;
    elem->out_sg = (struct iovec *)((char *)elem + sg_at);
    elem->in_sg = elem->out_sg + out_num;
    trace(virtqueue_alloc_element, "elem %p size %zu in_num %u out_num %u", (void *)elem, size,
          in_num, out_num);
    return elem;
}

/* elements: more of them (or less), which have that many slots of the ring. */
static void count_inflight(VirtQueue *vq, int elements, int slots)
{
    vq->inflight += elements;
    vq->taken_slots += slots;
    __atomic_add_fetch(&vq->vdev->priv->inflight, elements, __ATOMIC_SEQ_CST);
}

/* Q3: without it a batch of chains that wind round a packed ring would end beyond it. */
static bool too_many_slots(const VirtQueue *vq, unsigned more)
{
    return vq->taken_slots + more > vq->size;
}

void *virtqueue_pop(VirtQueue *vq, size_t size)
{
    RingChain chain;
    RingTaken taken;
    VirtQueueElement *elem;
    RingResult result;

    if (!virtqueue_usable(vq)) {
        return NULL;
    }
    chain_begin(&chain, vq, true);
    result = ring_ops(vq)->peek(vq, 0, &chain, &taken);
    if (result == RING_CHAIN && too_many_slots(vq, taken.slots)) {
        virtio_error(vq->vdev, "queue %u: more descriptors in flight than the ring has", vq->n);
        result = RING_BROKEN;
    }
    if (result != RING_CHAIN) {
        chain_unmap(&chain);
        return NULL;
    }
    ring_ops(vq)->advance(vq, &taken);
    elem = element_new(vq, size, chain.out_num, chain.in_num);
    elem->index = taken.id;
    elem->ndescs = taken.slots;
    elem->out_len = chain.out_len;
    elem->in_len = chain.in_len;
    elem->mapped = true;
    memcpy(elem->out_addr, chain.addr, chain.out_num * sizeof(hwaddr));
    memcpy(elem->in_addr, chain.addr + chain.out_num, chain.in_num * sizeof(hwaddr));
    memcpy(elem->out_sg, chain.iov, chain.out_num * sizeof(struct iovec));
    memcpy(elem->in_sg, chain.iov + chain.out_num, chain.in_num * sizeof(struct iovec));
    count_inflight(vq, 1, taken.slots);
    trace(virtqueue_pop, "vq %p elem %p in_num %u out_num %u", (void *)vq, (void *)elem,
          elem->in_num, elem->out_num);
    return elem;
}

unsigned virtqueue_burst(const VirtQueue *vq)
{
    return MAX(vq->size / 2, 1);
}

static void element_unmap(VirtQueueElement *elem, size_t written)
{
    const char *writer = virtio_name(elem->vq->vdev);

    if (elem->mapped) {
        unmap_all(elem->out_sg, elem->out_num, true, 0, writer);
        unmap_all(elem->in_sg, elem->in_num, false, written, writer);
        elem->mapped = false;
    }
}

void virtqueue_element_unmap(VirtQueueElement *elem)
{
    element_unmap(elem, elem->in_len);
}

static bool map_again(struct iovec *iov, const hwaddr *addr, unsigned n, bool to_device,
                      GError **error)
{
    for (unsigned i = 0; i < n; i++) {
        uint64_t len = iov[i].iov_len;

        iov[i].iov_base = dma_map(address_space_memory, addr[i], &len, to_device);
        if (iov[i].iov_base && len == iov[i].iov_len) {
            continue;
        }
        if (iov[i].iov_base) {
            dma_unmap(address_space_memory, iov[i].iov_base, len, to_device, 0, "virtio");
        }
        unmap_all(iov, i, to_device, 0, "virtio");
        return error_set(error,
                         "a request's buffer at 0x%" PRIx64 " (%zu bytes) is not in guest memory",
                         addr[i], iov[i].iov_len);
    }
    return true;
}

bool virtqueue_element_map(VirtQueueElement *elem, GError **error)
{
    g_assert(!elem->mapped);
    if (!map_again(elem->out_sg, elem->out_addr, elem->out_num, true, error)) {
        return false;
    }
    if (!map_again(elem->in_sg, elem->in_addr, elem->in_num, false, error)) {
        unmap_all(elem->out_sg, elem->out_num, true, 0, "virtio");
        return false;
    }
    elem->mapped = true;
    return true;
}

void virtqueue_detach_element(VirtQueue *vq, VirtQueueElement *elem, uint32_t len)
{
    element_unmap(elem, len);
    count_inflight(vq, -1, -(int)elem->ndescs);
}

void virtqueue_unpop(VirtQueue *vq, VirtQueueElement *elem, uint32_t len)
{
    ring_ops(vq)->retreat(vq, elem->ndescs);
    virtqueue_detach_element(vq, elem, len);
}

void virtqueue_fill(VirtQueue *vq, VirtQueueElement *elem, uint32_t len, unsigned idx)
{
    trace(virtqueue_fill, "vq %p elem %p len %" PRIu32 " idx %u", (void *)vq, (void *)elem, len,
          idx);
    element_unmap(elem, len);
    if (virtqueue_usable(vq)) {
        ring_ops(vq)->fill(vq, elem, len, idx);
    }
    vq->filled_slots += elem->ndescs;
}

void virtqueue_flush(VirtQueue *vq, unsigned count)
{
    trace(virtqueue_flush, "vq %p count %u", (void *)vq, count);
    if (count && virtqueue_usable(vq)) {
        ring_ops(vq)->flush(vq, count, vq->filled_slots);
    }
    count_inflight(vq, -(int)count, -(int)vq->filled_slots);
    vq->filled_slots = 0;
}

void virtqueue_push(VirtQueue *vq, VirtQueueElement *elem, uint32_t len)
{
    virtqueue_fill(vq, elem, len, 0);
    virtqueue_flush(vq, 1);
}

unsigned virtqueue_drop_all(VirtQueue *vq)
{
    VirtQueueElement *elem;
    unsigned n = 0;

    while (n < vq->size && (elem = virtqueue_pop(vq, sizeof(*elem)))) {
        virtqueue_push(vq, elem, 0);
        g_free(elem);
        n++;
    }
    return n;
}

unsigned virtqueue_inflight(const VirtQueue *vq)
{
    return vq->inflight;
}

/* ---- looking ahead --------------------------------------------------------------------------------------------- */

bool virtqueue_empty(VirtQueue *vq)
{
    return !virtqueue_usable(vq) || ring_ops(vq)->empty(vq);
}

void virtqueue_get_avail_bytes(VirtQueue *vq, size_t *in_bytes, size_t *out_bytes, size_t max_in,
                               size_t max_out)
{
    size_t in = 0, out = 0;

    for (unsigned ahead = 0; virtqueue_usable(vq) && ahead < vq->size;) {
        RingChain chain;
        RingTaken taken;

        chain_begin(&chain, vq, false);
        if (ring_ops(vq)->peek(vq, ahead, &chain, &taken) != RING_CHAIN) {
            break;
        }
        ahead += taken.slots;
        in += chain.in_len;
        out += chain.out_len;
        if (in >= max_in && out >= max_out) {
            break;
        }
    }
    if (in_bytes) {
        *in_bytes = in;
    }
    if (out_bytes) {
        *out_bytes = out;
    }
}

bool virtqueue_avail_bytes(VirtQueue *vq, size_t in_bytes, size_t out_bytes)
{
    size_t in, out;

    virtqueue_get_avail_bytes(vq, &in, &out, in_bytes, out_bytes);
    return in >= in_bytes && out >= out_bytes;
}

void virtio_queue_set_notification(VirtQueue *vq, bool enable)
{
    vq->notification = enable;
    if (virtqueue_usable(vq) && !vq->polled) {
        ring_ops(vq)->set_notification(vq, enable);
    }
    __atomic_thread_fence(
        __ATOMIC_SEQ_CST); /* whoever looks at the ring next sees what came before the kick */
}

/* ---- elements in a stream ------------------------------------------------------------------------------------- */

/*
 * What stock's streams have is its struct as it lay in memory: counts, then room for 1024 addresses and vectors each
 * way. Numbers in the byte order of the host; of the vectors only the lengths mean anything.
 */
#define OLD_ELEMENT_SIZE (16 + 2 * VIRTQUEUE_MAX_SIZE * 8 + 2 * VIRTQUEUE_MAX_SIZE * 16)
#define OLD_IN_ADDR 16
#define OLD_OUT_ADDR (OLD_IN_ADDR + VIRTQUEUE_MAX_SIZE * 8)
#define OLD_IN_SG (OLD_OUT_ADDR + VIRTQUEUE_MAX_SIZE * 8)
#define OLD_OUT_SG (OLD_IN_SG + VIRTQUEUE_MAX_SIZE * 16)

static void old_put(uint8_t *b, unsigned addr_at, unsigned sg_at, const hwaddr *addr,
                    const struct iovec *sg, unsigned n)
{
    for (unsigned i = 0; i < n; i++) {
        store_le64(b + addr_at + 8 * i, addr[i]);
        store_le64(b + sg_at + 16 * i + 8, sg[i].iov_len);
    }
}

/* Stock sends the number of descriptors if the device could have packed rings (as it was configured), whatever the driver
 * has chosen; that is not known yet when elements arrive. 0 with a split ring. */
static bool has_count(const VirtQueue *vq)
{
    return vq->vdev->host_features >> VIRTIO_F_RING_PACKED & 1;
}

void virtqueue_element_save(VmWriter *w, const VirtQueueElement *elem)
{
    g_autofree uint8_t *b = g_malloc0(OLD_ELEMENT_SIZE);

    store_le32(b, elem->index);
    store_le32(b + 4, elem->out_num);
    store_le32(b + 8, elem->in_num);
    old_put(b, OLD_IN_ADDR, OLD_IN_SG, elem->in_addr, elem->in_sg, elem->in_num);
    old_put(b, OLD_OUT_ADDR, OLD_OUT_SG, elem->out_addr, elem->out_sg, elem->out_num);
    vm_put_bytes(w, b, OLD_ELEMENT_SIZE);
    if (has_count(elem->vq)) {
        vm_put_be32(w, virtqueue_packed(elem->vq) ? elem->ndescs : 0);
    }
}

static uint64_t old_get(const uint8_t *b, unsigned addr_at, unsigned sg_at, hwaddr *addr,
                        struct iovec *sg, unsigned n)
{
    uint64_t total = 0;

    for (unsigned i = 0; i < n; i++) {
        addr[i] = load_le64(b + addr_at + 8 * i);
        sg[i].iov_len = load_le64(b + sg_at + 16 * i + 8);
        total += MIN(sg[i].iov_len, (uint64_t)1 << 33); /* not beyond what a sum can hold */
    }
    return total;
}

void *virtqueue_element_load(VirtioDevice *vdev, VirtQueue *vq, VmReader *r, size_t size,
                             GError **error)
{
    g_autofree uint8_t *b = g_malloc(OLD_ELEMENT_SIZE);
    uint32_t index, in_num, out_num, ndescs = 1;
    VirtQueueElement *elem;
    uint64_t in_len, out_len;

    vm_get_bytes(r, b, OLD_ELEMENT_SIZE);
    if (has_count(vq)) {
        ndescs = vm_get_be32(r);
    }
    if (!vm_reader_check(r, error)) {
        return NULL;
    }
    index = load_le32(b);
    out_num = load_le32(b + 4);
    in_num = load_le32(b + 8);
    if (in_num > VIRTQUEUE_MAX_SIZE || out_num > VIRTQUEUE_MAX_SIZE || index > UINT16_MAX ||
        (!has_count(vq) && index >= vq->size) || ndescs > vq->size ||
        too_many_slots(vq, MAX(ndescs, 1))) {
        error_set(error,
                  "a request in flight on queue %u cannot be: index %" PRIu32 ", %" PRIu32
                  " + %" PRIu32 " vectors, %" PRIu32 " descriptors",
                  vq->n, index, out_num, in_num, ndescs);
        return NULL;
    }
    elem = element_new(vq, size, out_num, in_num);
    elem->index = index;
    elem->ndescs = MAX(ndescs, 1);
    in_len = old_get(b, OLD_IN_ADDR, OLD_IN_SG, elem->in_addr, elem->in_sg, in_num);
    out_len = old_get(b, OLD_OUT_ADDR, OLD_OUT_SG, elem->out_addr, elem->out_sg, out_num);
    elem->in_len = in_len;
    elem->out_len = out_len;
    if (in_len + out_len > UINT32_MAX) {
        error_set(error, "a request in flight on queue %u is too long", vq->n);
        g_free(elem);
        return NULL;
    }
    if (!virtqueue_element_map(elem, error)) {
        g_free(elem);
        return NULL;
    }
    count_inflight(vq, 1, elem->ndescs);
    return elem;
}
