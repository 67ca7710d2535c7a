/* SPDX-License-Identifier: GPL-2.0-or-later */
/* A guest's driver of virtio PCI cards for tests. */
#include "util/osdep.h"
#include "virtio-driver.h"
#include "pci-config.h"
#include "util/bytes.h"

#define DESC_NEXT 1
#define DESC_WRITE 2
#define DESC_INDIRECT 4
#define DESC_AVAIL 0x80
#define DESC_USED 0x8000
#define MESSAGE 0x4d5347 /* data of every MSI-X message */
#define TABLE_ENTRIES 64
#define WAIT_SECONDS 60

enum {
    LEGACY_DF = 0,
    LEGACY_GF = 4,
    LEGACY_PFN = 8,
    LEGACY_SIZE = 12,
    LEGACY_SELECT = 14,
    LEGACY_NOTIFY = 16,
    LEGACY_STATUS = 18,
    LEGACY_ISR = 19,
    LEGACY_CONFIG_VECTOR = 20,
    LEGACY_QUEUE_VECTOR = 22
};

static bool is_legacy(const VirtioDriver *d)
{
    return d->flags & VIRTIO_DRIVER_LEGACY;
}

/* ---- configuration space ------------------------------------------------------------------------------------------ */

uint32_t virtio_config_space_read(VirtioDriver *d, unsigned reg)
{
    return qtest_pci_read(d->q, d->devfn, reg);
}

void virtio_config_space_write(VirtioDriver *d, unsigned reg, uint32_t value)
{
    qtest_pci_write(d->q, d->devfn, reg, value);
}

static unsigned next_capability(VirtioDriver *d, unsigned at)
{
    unsigned reg = at ? at : 0x34;

    return virtio_config_space_read(d, reg) >> (at ? 8 : 0) & 0xfc;
}

unsigned virtio_find_capability(VirtioDriver *d, uint8_t type, unsigned nth)
{
    for (unsigned at = next_capability(d, 0); at; at = next_capability(d, at)) {
        uint32_t head = virtio_config_space_read(d, at);

        if ((head & 0xff) == 0x09 && head >> 24 == type && nth-- == 0) {
            return at;
        }
    }
    return 0;
}

static unsigned find_msix(VirtioDriver *d)
{
    for (unsigned at = next_capability(d, 0); at; at = next_capability(d, at)) {
        if ((virtio_config_space_read(d, at) & 0xff) == 0x11) {
            return at;
        }
    }
    return 0;
}

uint64_t virtio_alloc(VirtioDriver *d, uint64_t size, uint64_t align)
{
    uint64_t at = (d->heap + align - 1) & ~(align - 1);

    d->heap = at + size;
    qtest_memset(d->q, at, 0, size);
    return at;
}

static void set_bars(VirtioDriver *d, uint64_t mmio, uint64_t *where)
{
    uint64_t at = mmio;

    for (unsigned n = 0; n < 6; n++) {
        unsigned reg = 0x10 + 4 * n;
        uint32_t type = virtio_config_space_read(d, reg), size;

        virtio_config_space_write(d, reg, 0xffffffff);
        size = virtio_config_space_read(d, reg);
        if (!size) {
            continue;
        }
        if (type & 1) {
            where[n] = n == 0 ? d->io : d->io + 0x80;
            virtio_config_space_write(d, reg, where[n]);
            continue;
        }
        size = ~(size & ~15u) + 1;
        at = (at + size - 1) & ~(uint64_t)(size - 1);
        where[n] = at;
        virtio_config_space_write(d, reg, at);
        at += size;
        if (type & 4) {
            virtio_config_space_write(d, reg + 4, where[n] >> 32);
            n++;
        }
    }
}

static uint64_t place(VirtioDriver *d, unsigned cap, const uint64_t *where)
{
    return where[virtio_config_space_read(d, cap + 4) & 7] + virtio_config_space_read(d, cap + 8);
}

static uint64_t part(VirtioDriver *d, uint8_t type, const uint64_t *where)
{
    unsigned cap = virtio_find_capability(d, type, 0);

    g_assert_cmpuint(cap, !=, 0);
    return place(d, cap, where);
}

/* Kicks go to memory, even where there is a port for them. */
static void find_parts(VirtioDriver *d, const uint64_t *where)
{
    unsigned nth = 0, cap;

    d->common = part(d, 1, where);
    d->isr = part(d, 3, where);
    d->device = part(d, 4, where);
    do {
        cap = virtio_find_capability(d, 2, nth++);
        g_assert_cmpuint(cap, !=, 0);
        d->notify_multiplier = virtio_config_space_read(d, cap + 16);
    } while (!d->notify_multiplier);
    d->notify = place(d, cap, where);
}

/* Each vector's message goes to a word of its own in RAM. */
static void set_up_msix(VirtioDriver *d, const uint64_t *where)
{
    unsigned cap = find_msix(d);
    uint32_t head = virtio_config_space_read(d, cap), table = virtio_config_space_read(d, cap + 4);

    g_assert_cmpuint(cap, !=, 0);
    d->vectors = (head >> 16 & 0x7ff) + 1;
    d->msix_table = where[table & 7] + (table & ~7u);
    d->messages = virtio_alloc(d, 4 * d->vectors, 64);
    for (unsigned v = 0; v < d->vectors; v++) {
        qtest_writel(d->q, d->msix_table + 16 * v, d->messages + 4 * v);
        qtest_writel(d->q, d->msix_table + 16 * v + 4, 0);
        qtest_writel(d->q, d->msix_table + 16 * v + 8, MESSAGE + v);
        qtest_writel(d->q, d->msix_table + 16 * v + 12, 0);
    }
    virtio_config_space_write(d, cap, (head & 0xffff) | 0x80000000u | (head & 0x7ff0000));
}

void virtio_driver_init(VirtioDriver *d, QTest *q, unsigned devfn, unsigned flags, uint16_t io,
                        uint64_t mmio, uint64_t heap)
{
    uint64_t where[6] = { 0 };

    *d = (VirtioDriver){ .q = q, .devfn = devfn, .flags = flags, .io = io, .heap = heap };
    g_assert_cmphex(virtio_config_space_read(d, 0) & 0xffff, ==, 0x1af4);
    set_bars(d, mmio, where);
    virtio_config_space_write(d, 4, 7);
    if (!is_legacy(d)) {
        find_parts(d, where);
    }
    if (flags & VIRTIO_DRIVER_MSIX) {
        set_up_msix(d, where);
    }
    virtio_driver_reset(d);
}

/* ---- the device ------------------------------------------------------------------------------------------------------ */

uint8_t virtio_driver_status(VirtioDriver *d)
{
    return is_legacy(d) ? qtest_inb(d->q, d->io + LEGACY_STATUS)
                        : qtest_readb(d->q, d->common + VIRTIO_COMMON_STATUS);
}

void virtio_driver_set_status(VirtioDriver *d, uint8_t status)
{
    if (is_legacy(d)) {
        qtest_outb(d->q, d->io + LEGACY_STATUS, status);
    } else {
        qtest_writeb(d->q, d->common + VIRTIO_COMMON_STATUS, status);
    }
}

void virtio_driver_reset(VirtioDriver *d)
{
    virtio_driver_set_status(d, 0);
    g_assert_cmphex(virtio_driver_status(d), ==, 0);
}

uint64_t virtio_driver_offered(VirtioDriver *d)
{
    uint64_t f;

    if (is_legacy(d)) {
        return qtest_inl(d->q, d->io + LEGACY_DF);
    }
    qtest_writel(d->q, d->common + VIRTIO_COMMON_DFSELECT, 0);
    f = qtest_readl(d->q, d->common + VIRTIO_COMMON_DF);
    qtest_writel(d->q, d->common + VIRTIO_COMMON_DFSELECT, 1);
    return f | (uint64_t)qtest_readl(d->q, d->common + VIRTIO_COMMON_DF) << 32;
}

static void set_features(VirtioDriver *d)
{
    if (is_legacy(d)) {
        qtest_outl(d->q, d->io + LEGACY_GF, d->features);
        return;
    }
    for (unsigned half = 0; half < 2; half++) {
        qtest_writel(d->q, d->common + VIRTIO_COMMON_GFSELECT, half);
        qtest_writel(d->q, d->common + VIRTIO_COMMON_GF, d->features >> 32 * half);
    }
}

static void set_config_vector(VirtioDriver *d)
{
    if (is_legacy(d)) {
        qtest_outw(d->q, d->io + LEGACY_CONFIG_VECTOR, 0);
        g_assert_cmphex(qtest_inw(d->q, d->io + LEGACY_CONFIG_VECTOR), ==, 0);
    } else {
        qtest_writew(d->q, d->common + VIRTIO_COMMON_CONFIG_VECTOR, 0);
        g_assert_cmphex(qtest_readw(d->q, d->common + VIRTIO_COMMON_CONFIG_VECTOR), ==, 0);
    }
}

uint64_t virtio_driver_negotiate(VirtioDriver *d, uint64_t wanted)
{
    virtio_driver_set_status(d, VIRTIO_ST_ACK);
    virtio_driver_set_status(d, VIRTIO_ST_ACK | VIRTIO_ST_DRIVER);
    if (!is_legacy(d)) {
        wanted |= VIRTIO_FEATURE(VIRTIO_VERSION_1);
    }
    d->features = virtio_driver_offered(d) & wanted;
    set_features(d);
    if (!is_legacy(d)) {
        uint8_t status = VIRTIO_ST_ACK | VIRTIO_ST_DRIVER | VIRTIO_ST_FEATURES_OK;

        virtio_driver_set_status(d, status);
        g_assert_cmphex(virtio_driver_status(d), ==, status);
    }
    if (d->flags & VIRTIO_DRIVER_MSIX) {
        set_config_vector(d);
    }
    return d->features;
}

void virtio_driver_ok(VirtioDriver *d)
{
    virtio_driver_set_status(d, virtio_driver_status(d) | VIRTIO_ST_OK);
}

bool virtio_driver_wait_broken(VirtioDriver *d)
{
    for (unsigned n = 0; n < 1000; n++) {
        if (virtio_driver_status(d) & VIRTIO_ST_NEEDS_RESET) {
            return true;
        }
        g_usleep(1000);
    }
    return false;
}

static uint64_t legacy_config(const VirtioDriver *d)
{
    return d->io + (d->flags & VIRTIO_DRIVER_MSIX ? 24 : 20);
}

uint64_t virtio_device_read(VirtioDriver *d, unsigned offset, unsigned width)
{
    uint64_t at = is_legacy(d) ? legacy_config(d) + offset : d->device + offset;

    switch (width) {
    case 1:
        return is_legacy(d) ? qtest_inb(d->q, at) : qtest_readb(d->q, at);
    case 2:
        return is_legacy(d) ? qtest_inw(d->q, at) : qtest_readw(d->q, at);
    case 4:
        return is_legacy(d) ? qtest_inl(d->q, at) : qtest_readl(d->q, at);
    default:
        return virtio_device_read(d, offset, 4) | virtio_device_read(d, offset + 4, 4) << 32;
    }
}

void virtio_device_write(VirtioDriver *d, unsigned offset, uint64_t value, unsigned width)
{
    uint64_t at = is_legacy(d) ? legacy_config(d) + offset : d->device + offset;

    if (width == 1) {
        is_legacy(d) ? qtest_outb(d->q, at, value) : qtest_writeb(d->q, at, value);
    } else if (width == 2) {
        is_legacy(d) ? qtest_outw(d->q, at, value) : qtest_writew(d->q, at, value);
    } else if (width == 4) {
        is_legacy(d) ? qtest_outl(d->q, at, value) : qtest_writel(d->q, at, value);
    } else {
        virtio_device_write(d, offset, value, 4);
        virtio_device_write(d, offset + 4, value >> 32, 4);
    }
}

bool virtio_interrupted(VirtioDriver *d, unsigned vector)
{
    uint32_t data;

    if (!(d->flags & VIRTIO_DRIVER_MSIX)) {
        return is_legacy(d) ? qtest_inb(d->q, d->io + LEGACY_ISR) : qtest_readb(d->q, d->isr);
    }
    vector = MIN(vector, d->vectors - 1);
    data = qtest_readl(d->q, d->messages + 4 * vector);
    if (!data) {
        return false;
    }
    g_assert_cmphex(data, ==, MESSAGE + vector);
    qtest_writel(d->q, d->messages + 4 * vector, 0);
    return true;
}

static void give_up(const char *what)
{
    g_printerr("nothing after %d s: %s\n", WAIT_SECONDS, what);
    g_assert_not_reached();
}

void virtio_wait_interrupt(VirtioDriver *d, unsigned vector)
{
    gint64 end = g_get_monotonic_time() + WAIT_SECONDS * G_USEC_PER_SEC;

    while (!virtio_interrupted(d, vector)) {
        if (g_get_monotonic_time() > end) {
            give_up("an interrupt");
        }
    }
}

/* ---- setting up a queue ------------------------------------------------------------------------------------------------- */

static void write64(VirtioDriver *d, unsigned reg, uint64_t value)
{
    qtest_writel(d->q, d->common + reg, value);
    qtest_writel(d->q, d->common + reg + 4, value >> 32);
}

static void set_up_legacy(VirtioQueue *vq, unsigned vector)
{
    VirtioDriver *d = vq->d;

    qtest_outw(d->q, d->io + LEGACY_SELECT, vq->n);
    vq->size = qtest_inw(d->q, d->io + LEGACY_SIZE);
    g_assert_cmpuint(vq->size, !=, 0);
    vq->desc = virtio_alloc(d, 16 * vq->size + 6 + 2 * vq->size + 4096 + 6 + 8 * vq->size, 4096);
    vq->avail = vq->desc + 16 * vq->size;
    vq->used = (vq->avail + 6 + 2 * vq->size + 4095) & ~(uint64_t)4095;
    if (d->flags & VIRTIO_DRIVER_MSIX) {
        qtest_outw(d->q, d->io + LEGACY_QUEUE_VECTOR, vector);
        g_assert_cmphex(qtest_inw(d->q, d->io + LEGACY_QUEUE_VECTOR), ==, vector);
    }
    qtest_outl(d->q, d->io + LEGACY_PFN, vq->desc >> 12);
}

static void set_up_modern(VirtioQueue *vq, unsigned size, unsigned vector)
{
    VirtioDriver *d = vq->d;
    unsigned max;

    qtest_writew(d->q, d->common + VIRTIO_COMMON_Q_SELECT, vq->n);
    max = qtest_readw(d->q, d->common + VIRTIO_COMMON_Q_SIZE);
    g_assert_cmpuint(max, !=, 0);
    vq->size = size ? size : max;
    g_assert_cmpuint(vq->size, <=, max);
    qtest_writew(d->q, d->common + VIRTIO_COMMON_Q_SIZE, vq->size);
    vq->desc = virtio_alloc(d, 16 * vq->size, 16);
    vq->avail = virtio_alloc(d, 6 + 2 * vq->size, 4);
    vq->used = virtio_alloc(d, 6 + 8 * vq->size, 4);
    write64(d, VIRTIO_COMMON_Q_DESC, vq->desc);
    write64(d, VIRTIO_COMMON_Q_AVAIL, vq->avail);
    write64(d, VIRTIO_COMMON_Q_USED, vq->used);
    if (d->flags & VIRTIO_DRIVER_MSIX) {
        qtest_writew(d->q, d->common + VIRTIO_COMMON_Q_VECTOR, vector);
        g_assert_cmphex(qtest_readw(d->q, d->common + VIRTIO_COMMON_Q_VECTOR), ==, vector);
    }
    qtest_writew(d->q, d->common + VIRTIO_COMMON_Q_ENABLE, 1);
}

void virtio_queue_init(VirtioQueue *vq, VirtioDriver *d, unsigned n, unsigned size)
{
    unsigned vector = d->vectors ? MIN(n + 1, d->vectors - 1) : 0;

    memset(vq, 0, sizeof(*vq));
    vq->d = d;
    vq->n = n;
    vq->packed = d->features & VIRTIO_FEATURE(VIRTIO_PACKED);
    vq->event_idx = d->features & VIRTIO_FEATURE(VIRTIO_EVENT_IDX);
    vq->indirect = d->features & VIRTIO_FEATURE(VIRTIO_INDIRECT);
    vq->avail_wrap = vq->used_wrap = true;
    if (is_legacy(d)) {
        set_up_legacy(vq, vector);
    } else {
        set_up_modern(vq, size, vector);
    }
    g_assert_cmpuint(vq->size, <=, VIRTIO_MAX_RING);
    vq->free = vq->size;
}

void virtio_queue_reset(VirtioQueue *vq)
{
    VirtioDriver *d = vq->d;

    qtest_writew(d->q, d->common + VIRTIO_COMMON_Q_SELECT, vq->n);
    qtest_writew(d->q, d->common + VIRTIO_COMMON_Q_RESET, 1);
    g_assert_cmphex(qtest_readw(d->q, d->common + VIRTIO_COMMON_Q_RESET), ==, 0);
    g_assert_cmphex(qtest_readw(d->q, d->common + VIRTIO_COMMON_Q_ENABLE), ==, 0);
    virtio_queue_init(vq, d, vq->n, vq->size);
}

void virtio_queue_use_indirect(VirtioQueue *vq, bool on)
{
    vq->indirect = on;
}

/* ---- requests -------------------------------------------------------------------------------------------------------------- */

static void encode(uint8_t out[16], bool packed, uint64_t addr, uint32_t len, uint16_t flags,
                   uint16_t next)
{
    store_le64(out, addr);
    store_le32(out + 8, len);
    store_le16(out + (packed ? 14 : 12), flags);
    store_le16(out + (packed ? 12 : 14), next);
}

/* A table for chain `id`, filled. */
static uint64_t make_table(VirtioQueue *vq, unsigned id, const VirtioBuf *bufs, unsigned n)
{
    uint8_t table[TABLE_ENTRIES * 16];

    g_assert_cmpuint(n, <=, TABLE_ENTRIES);
    if (!vq->tables[id]) {
        vq->tables[id] = virtio_alloc(vq->d, sizeof(table), 16);
    }
    for (unsigned i = 0; i < n; i++) {
        uint16_t flags =
            (bufs[i].write ? DESC_WRITE : 0) | (i + 1 < n && !vq->packed ? DESC_NEXT : 0);

        encode(table + 16 * i, vq->packed, bufs[i].addr, bufs[i].len, flags, i + 1);
    }
    qtest_memwrite(vq->d->q, vq->tables[id], table, 16 * n);
    return vq->tables[id];
}

static unsigned free_id(VirtioQueue *vq)
{
    unsigned id = 0;

    while (vq->busy[id]) {
        g_assert_cmpuint(++id, <, vq->size);
    }
    return id;
}

static unsigned add_split(VirtioQueue *vq, const VirtioBuf *bufs, unsigned n)
{
    unsigned head = free_id(vq), at = head;
    uint8_t desc[16];

    for (unsigned i = 0; i < n; i++) {
        unsigned next = at;

        vq->busy[at] = true;
        if (i + 1 < n) {
            next = free_id(vq);
        }
        encode(desc, false, bufs[i].addr, bufs[i].len,
               (bufs[i].write ? DESC_WRITE : 0) | (i + 1 < n ? DESC_NEXT : 0), next);
        qtest_memwrite(vq->d->q, vq->desc + 16 * at, desc, 16);
        at = next;
    }
    vq->slots[head] = n;
    return head;
}

static void make_avail_split(VirtioQueue *vq, unsigned head)
{
    qtest_writew(vq->d->q, vq->avail + 4 + 2 * (vq->avail_idx % vq->size), head);
    qtest_writew(vq->d->q, vq->avail + 2, ++vq->avail_idx);
}

/* The first descriptor's flags last. */
static void add_packed(VirtioQueue *vq, unsigned id, const VirtioBuf *bufs, unsigned n,
                       uint16_t extra)
{
    uint16_t first = vq->avail_idx, first_flags = 0;
    uint8_t desc[16];

    for (unsigned i = 0; i < n; i++) {
        uint16_t flags = (bufs[i].write && !extra ? DESC_WRITE : 0) | (i + 1 < n ? DESC_NEXT : 0) |
                         extra | (vq->avail_wrap ? DESC_AVAIL : DESC_USED);

        encode(desc, true, bufs[i].addr, bufs[i].len, flags, id);
        if (i == 0) {
            first_flags = flags;
            qtest_memwrite(vq->d->q, vq->desc + 16 * vq->avail_idx, desc, 14);
        } else {
            qtest_memwrite(vq->d->q, vq->desc + 16 * vq->avail_idx, desc, 16);
        }
        if (++vq->avail_idx == vq->size) {
            vq->avail_idx = 0;
            vq->avail_wrap = !vq->avail_wrap;
        }
    }
    vq->busy[id] = true;
    vq->slots[id] = n;
    qtest_writew(vq->d->q, vq->desc + 16 * first + 14, first_flags);
}

unsigned virtio_queue_add(VirtioQueue *vq, const VirtioBuf *bufs, unsigned n)
{
    unsigned id = free_id(vq);
    bool table = vq->indirect && n > 1;
    VirtioBuf whole = { .len = 16 * n };

    g_assert_cmpuint(table ? 1 : n, <=, vq->free);
    vq->done[id] = false;
    vq->free -= table ? 1 : n;
    if (table) {
        whole.addr = make_table(vq, id, bufs, n);
    }
    if (vq->packed) {
        add_packed(vq, id, table ? &whole : bufs, table ? 1 : n, table ? DESC_INDIRECT : 0);
        return id;
    }
    if (table) {
        uint8_t desc[16];

        encode(desc, false, whole.addr, whole.len, DESC_INDIRECT, 0);
        qtest_memwrite(vq->d->q, vq->desc + 16 * id, desc, 16);
        vq->busy[id] = true;
        vq->slots[id] = 1;
    } else {
        add_split(vq, bufs, n);
    }
    make_avail_split(vq, id);
    return id;
}

void virtio_queue_notify(VirtioQueue *vq)
{
    VirtioDriver *d = vq->d;

    vq->kicked = vq->avail_idx;
    if (is_legacy(d)) {
        qtest_outw(d->q, d->io + LEGACY_NOTIFY, vq->n);
    } else {
        qtest_writew(d->q, d->notify + vq->n * d->notify_multiplier, vq->n);
    }
}

bool virtio_queue_wants_kick(VirtioQueue *vq)
{
    QTest *q = vq->d->q;

    if (vq->packed) {
        return qtest_readw(q, vq->used + 2) !=
               1; /* by slot: close enough, a kick too many does no harm */
    }
    if (vq->event_idx) {
        uint16_t event = qtest_readw(q, vq->used + 4 + 8 * vq->size);

        return (uint16_t)(vq->avail_idx - event - 1) < (uint16_t)(vq->avail_idx - vq->kicked);
    }
    return !(qtest_readw(q, vq->used) & 1);
}

void virtio_queue_kick(VirtioQueue *vq)
{
    if (virtio_queue_wants_kick(vq)) {
        virtio_queue_notify(vq);
    } else {
        vq->kicked = vq->avail_idx;
    }
}

/* ---- answers ----------------------------------------------------------------------------------------------------------------- */

static void free_chain(VirtioQueue *vq, unsigned id)
{
    g_assert_cmpuint(id, <, vq->size);
    g_assert_true(vq->busy[id]);
    vq->free += vq->slots[id];
    if (!vq->packed) {
        unsigned at = id;

        for (unsigned left = vq->slots[id]; left > 1; left--) {
            uint16_t next = qtest_readw(vq->d->q, vq->desc + 16 * at + 14);

            vq->busy[at] = false;
            at = next;
        }
        vq->busy[at] = false;
    }
    vq->busy[id] = false;
}

static bool poll_split(VirtioQueue *vq, unsigned *id, uint32_t *len)
{
    uint64_t entry = vq->used + 4 + 8 * (vq->used_idx % vq->size);

    if (qtest_readw(vq->d->q, vq->used + 2) == vq->used_idx) {
        return false;
    }
    *id = qtest_readl(vq->d->q, entry);
    *len = qtest_readl(vq->d->q, entry + 4);
    vq->used_idx++;
    return true;
}

static bool poll_packed(VirtioQueue *vq, unsigned *id, uint32_t *len)
{
    uint64_t desc = vq->desc + 16 * vq->used_idx;
    uint16_t flags = qtest_readw(vq->d->q, desc + 14);

    if (!!(flags & DESC_USED) != vq->used_wrap || !!(flags & DESC_AVAIL) != vq->used_wrap) {
        return false;
    }
    *id = qtest_readw(vq->d->q, desc + 12);
    *len = qtest_readl(vq->d->q, desc + 8);
    g_assert_cmpuint(*id, <, vq->size);
    vq->used_idx += vq->slots[*id];
    if (vq->used_idx >= vq->size) {
        vq->used_idx -= vq->size;
        vq->used_wrap = !vq->used_wrap;
    }
    return true;
}

bool virtio_queue_poll(VirtioQueue *vq, unsigned *id, uint32_t *len)
{
    if (!(vq->packed ? poll_packed(vq, id, len) : poll_split(vq, id, len))) {
        return false;
    }
    free_chain(vq, *id);
    vq->done[*id] = true;
    vq->done_len[*id] = *len;
    return true;
}

bool virtio_queue_is_done(VirtioQueue *vq, unsigned id)
{
    unsigned other;
    uint32_t len;

    while (!vq->done[id] && virtio_queue_poll(vq, &other, &len)) {
    }
    return vq->done[id];
}

uint32_t virtio_queue_wait(VirtioQueue *vq, unsigned id)
{
    gint64 end = g_get_monotonic_time() + WAIT_SECONDS * G_USEC_PER_SEC;

    while (!virtio_queue_is_done(vq, id)) {
        if (g_get_monotonic_time() > end) {
            give_up("a used buffer");
        }
    }
    vq->done[id] = false;
    return vq->done_len[id];
}

void virtio_queue_want_interrupt(VirtioQueue *vq, unsigned count)
{
    QTest *q = vq->d->q;

    if (vq->packed && vq->event_idx && count) {
        unsigned at = vq->used_idx + count - 1;
        bool wrap = vq->used_wrap;

        if (at >= vq->size) {
            at -= vq->size;
            wrap = !wrap;
        }
        qtest_writew(q, vq->avail, at | (unsigned)wrap << 15);
        qtest_writew(q, vq->avail + 2, 2);
    } else if (vq->packed) {
        qtest_writew(q, vq->avail + 2, !count);
    } else if (vq->event_idx) {
        qtest_writew(q, vq->avail + 4 + 2 * vq->size, (uint16_t)(vq->used_idx + count - 1));
    } else {
        qtest_writew(q, vq->avail, !count);
    }
}
