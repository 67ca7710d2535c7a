/* SPDX-License-Identifier: GPL-2.0-or-later */
/* multifd on the destination: a thread per channel reads pages to where they belong. See multifd.h. */
#include "util/osdep.h"
#include "multifd.h"

#include <pthread.h>
#include "options.h"
#include "ram.h"
#include "util/bytes.h"
#include "util/error.h"

typedef struct Channel {
    unsigned number;
    IoChannel *ioc;
    pthread_t thread;
    bool started, ended; /* under lock */
    bool at_sync;        /* under lock; waits to be let go */
    MultifdCodec *codec;
    uint8_t *data; /* packed pages */
    uint8_t header[MULTIFD_PACKET_BYTES];
} Channel;

typedef struct MultifdRecv {
    pthread_mutex_t lock;
    pthread_cond_t changed;
    Channel *channels;
    unsigned n, there;
    bool quit;     /* under lock */
    GError *error; /* under lock */
    MultifdFailed *failed;
    void *opaque;
    uint8_t uuid[16]; /* of the first channel */
} MultifdRecv;

static MultifdRecv *mr;

/* A packet, in our terms. */
typedef struct Packet {
    uint32_t flags, normal, bytes, zero;
    RamLoadBlock *block;
} Packet;

/* ---- packets (F3) ------------------------------------------------------------------------------------------------ */

static bool check_counts(const Packet *p, GError **error)
{
    uint32_t codec = p->flags & MULTIFD_CODEC_MASK;
    if (p->flags & ~(uint32_t)(MULTIFD_SYNC | MULTIFD_CODEC_MASK)) {
        return error_set(error, "flags 0x%x are not understood", p->flags);
    }
    if (p->normal > MULTIFD_PAGES || p->zero > MULTIFD_PAGES - p->normal) {
        return error_set(error, "a packet with %u normal and %u zero pages, of at most %d",
                         p->normal, p->zero, MULTIFD_PAGES);
    }
    if (!p->normal) {
        return true; /* then nothing follows; some sources leave an old length there */
    }
    if (codec != multifd_codec_flag()) {
        return error_set(error,
                         "pages with compression 0x%x, but 0x%x is set here (multifd-compression)",
                         codec, multifd_codec_flag());
    }
    if (codec ? p->bytes > MULTIFD_DATA_MAX : p->bytes != p->normal * GUEST_PAGE_SIZE) {
        return error_set(error, "%u pages in 0x%x bytes", p->normal, p->bytes);
    }
    return true;
}

static bool parse_packet(Channel *c, Packet *p, GError **error)
{
    const uint8_t *h = c->header;
    char name[256];
    if (load_be32(h) != MULTIFD_MAGIC || load_be32(h + 4) != MULTIFD_VERSION) {
        return error_set(error, "a packet with magic 0x%x and version %u", load_be32(h),
                         load_be32(h + 4));
    }
    *p =
        (Packet){ load_be32(h + 8), load_be32(h + 16), load_be32(h + 20), load_be32(h + 32), NULL };
    if (!check_counts(p, error)) {
        return false;
    }
    if (!p->normal && !p->zero) {
        return true;
    }
    memcpy(name, h + 64, sizeof(name));
    if (name[255]) {
        return error_set(error, "the name of a RAM block has no end");
    }
    p->block = ram_load_find(name, error);
    return p->block != NULL;
}

static uint8_t *page_address(Channel *c, const Packet *p, unsigned i, uint64_t *offset,
                             GError **error)
{
    *offset = load_be64(c->header + 64 + 256 + 8 * i);
    return ram_load_address(p->block, *offset, error);
}

/* The normal pages; rows become one entry unless each is wanted. Returns how many entries, 0 with an error. */
static unsigned make_vector(Channel *c, const Packet *p, struct iovec *iov, bool each,
                            GError **error)
{
    unsigned n = 0;
    for (unsigned i = 0; i < p->normal; i++) {
        uint64_t offset;
        uint8_t *host = page_address(c, p, i, &offset, error);
        if (!host) {
            return 0;
        }
        if (!ram_load_begin_page(p->block, offset, error)) {
            return 0;
        }
        if (!each && n && (uint8_t *)iov[n - 1].iov_base + iov[n - 1].iov_len == host) {
            iov[n - 1].iov_len += GUEST_PAGE_SIZE;
        } else {
            iov[n++] = (struct iovec){ host, GUEST_PAGE_SIZE };
        }
    }
    return n;
}

/* The whole vector; changes it. */
static bool read_vector(IoChannel *ioc, struct iovec *iov, unsigned n, GError **error)
{
    for (unsigned at = 0; at < n;) {
        GError *failure = NULL;
        ssize_t got = io_channel_readv(ioc, iov + at, n - at, &failure);
        if (got == -EAGAIN) {
            io_channel_wait(ioc, G_IO_IN, -1);
            continue;
        }
        if (got == -EFAULT && ram_load_repair(iov + at, n - at, &failure)) {
            continue;
        }
        if (got <= 0) {
            return got < 0 ? (g_propagate_error(error, failure), false)
                           : error_set(error, "the connection has ended within a packet");
        }
        for (; got; at++) {
            size_t take = MIN((size_t)got, iov[at].iov_len);
            iov[at].iov_base = (uint8_t *)iov[at].iov_base + take;
            iov[at].iov_len -= take;
            got -= take;
            if (iov[at].iov_len) {
                break;
            }
        }
    }
    return true;
}

static bool load_normal(Channel *c, const Packet *p, GError **error)
{
    struct iovec iov[MULTIFD_PAGES];
    if (!p->normal) {
        return true;
    }
    unsigned n = make_vector(c, p, iov, c->codec != NULL, error);
    if (!n) {
        return false;
    }
    if (!c->codec) {
        return read_vector(c->ioc, iov, n, error);
    }
    return io_channel_read_all(c->ioc, c->data, p->bytes, error) == 0 &&
           multifd_unpack(c->codec, c->data, p->bytes, iov, n, error);
}

static bool load_zero(Channel *c, const Packet *p, GError **error)
{
    for (unsigned i = p->normal; i < p->normal + p->zero; i++) {
        uint64_t offset;
        uint8_t *host = page_address(c, p, i, &offset, error);
        if (!host) {
            return false;
        }
        if (!ram_load_zero(p->block, offset, error)) {
            return false;
        }
    }
    return true;
}

/* F2. False: it is over. */
static bool wait_at_sync(Channel *c)
{
    pthread_mutex_lock(&mr->lock);
    c->at_sync = true;
    pthread_cond_broadcast(&mr->changed);
    while (c->at_sync && !mr->quit) {
        pthread_cond_wait(&mr->changed, &mr->lock);
    }
    bool go_on = !mr->quit;
    pthread_mutex_unlock(&mr->lock);
    return go_on;
}

/* Packets until the end of the connection. */
static bool read_packets(Channel *c, GError **error)
{
    for (bool first = true;; first = false) {
        Packet p;
        int r = io_channel_read_all_eof(c->ioc, c->header, sizeof(c->header), error);
        if (r <= 0) {
            return r == 0;
        }
        if (!parse_packet(c, &p, error)) {
            return false;
        }
        if (first && (!(p.flags & MULTIFD_SYNC) || p.normal || p.zero)) {
            /* Until the first sync the list of blocks may still be on its way. */
            return error_set(error, "the first packet is no sync");
        }
        if (!load_normal(c, &p, error) || !load_zero(c, &p, error)) {
            return false;
        }
        if ((p.flags & MULTIFD_SYNC) && !wait_at_sync(c)) {
            return true;
        }
    }
}

static void *channel_thread(void *opaque)
{
    Channel *c = opaque;
    GError *error = NULL;
    bool tell = false;
    if (!read_packets(c, &error) && !error) {
        error_set(&error, "ended");
    }
    pthread_mutex_lock(&mr->lock);
    c->ended = true;
    if (error && !mr->error && !mr->quit) {
        g_prefix_error(&error, "multifd channel %u: ", c->number);
        mr->error = g_steal_pointer(&error);
        tell = true;
    }
    pthread_cond_broadcast(&mr->changed);
    pthread_mutex_unlock(&mr->lock);
    g_clear_error(&error);
    if (tell) {
        mr->failed(mr->opaque);
    }
    return NULL;
}

/* ---- the loader's thread ------------------------------------------------------------------------------------------- */

bool multifd_recv_active(void)
{
    return mr != NULL;
}

/* With the lock: all stand at the sync; false when one never will. */
static bool all_at_sync(bool *possible)
{
    bool all = true;
    *possible = !mr->error && !mr->quit;
    for (unsigned i = 0; i < mr->n; i++) {
        all &= mr->channels[i].at_sync;
        *possible &= mr->channels[i].at_sync || !mr->channels[i].ended;
    }
    return all;
}

bool multifd_recv_sync(GError **error)
{
    bool possible, all;
    pthread_mutex_lock(&mr->lock);
    while (!(all = all_at_sync(&possible)) && possible) {
        pthread_cond_wait(&mr->changed, &mr->lock);
    }
    for (unsigned i = 0; i < mr->n && all; i++) {
        mr->channels[i].at_sync = false;
    }
    if (!all && mr->error) {
        g_propagate_error(error, g_error_copy(mr->error));
    } else if (!all) {
        error_set(error,
                  "a multifd channel has ended before the sync that the main channel speaks of");
    }
    pthread_cond_broadcast(&mr->changed);
    pthread_mutex_unlock(&mr->lock);
    return all;
}

GError *multifd_recv_error(void)
{
    if (!mr) {
        return NULL;
    }
    pthread_mutex_lock(&mr->lock);
    GError *error = mr->error ? g_error_copy(mr->error) : NULL;
    pthread_mutex_unlock(&mr->lock);
    return error;
}

/* ---- begin and end --------------------------------------------------------------------------------------------------- */

bool multifd_recv_prepare(MultifdFailed *failed, void *opaque, GError **error)
{
    g_assert(!mr);
    mr = g_new0(MultifdRecv, 1);
    pthread_mutex_init(&mr->lock, NULL);
    pthread_cond_init(&mr->changed, NULL);
    mr->n = migration_multifd_channels();
    mr->channels = g_new0(Channel, mr->n);
    mr->failed = failed;
    mr->opaque = opaque;
    for (unsigned i = 0; i < mr->n; i++) {
        mr->channels[i].number = i;
        if (multifd_codec_flag()) {
            mr->channels[i].codec = multifd_codec_new(false, error);
            if (!mr->channels[i].codec) {
                return false;
            }
            mr->channels[i].data = g_malloc(MULTIFD_DATA_MAX);
        }
    }
    return true;
}

bool multifd_recv_add(IoChannel *ioc, const uint8_t hello[MULTIFD_HELLO_BYTES], GError **error)
{
    unsigned number = hello[24];
    if (load_be32(hello) != MULTIFD_MAGIC || load_be32(hello + 4) != MULTIFD_VERSION) {
        return error_set(error, "multifd: a channel of version %u", load_be32(hello + 4));
    }
    if (number >= mr->n) {
        return error_set(error, "multifd: channel number %u, but multifd-channels is %u here",
                         number, mr->n);
    }
    if (mr->channels[number].ioc) {
        return error_set(error, "multifd: channel number %u comes twice", number);
    }
    if (mr->there && memcmp(mr->uuid, hello + 8, sizeof(mr->uuid)) != 0) {
        return error_set(
            error, "multifd: channel %u is of another machine (its UUID is not that of the others)",
            number);
    }
    memcpy(mr->uuid, hello + 8, sizeof(mr->uuid));
    io_channel_set_name(ioc, "multifd-destination");
    io_channel_set_blocking(ioc, true, NULL); /* a shutdown ends a wait in the kernel, too */
    mr->channels[number].ioc = ioc;
    mr->there++;
    return true;
}

bool multifd_recv_start(GError **error)
{
    for (unsigned i = 0; i < mr->n; i++) {
        Channel *c = &mr->channels[i];
        int r = pthread_create(&c->thread, NULL, channel_thread, c);
        if (r) {
            return error_set_errno(error, r, "cannot start a thread");
        }
        c->started = true;
    }
    return true;
}

void multifd_recv_shutdown(void)
{
    if (!mr) {
        return;
    }
    pthread_mutex_lock(&mr->lock);
    mr->quit = true;
    pthread_cond_broadcast(&mr->changed);
    pthread_mutex_unlock(&mr->lock);
    for (unsigned i = 0; i < mr->n; i++) {
        if (mr->channels[i].ioc) {
            io_channel_shutdown(mr->channels[i].ioc, IO_SHUTDOWN_BOTH, NULL);
        }
    }
}

void multifd_recv_stop(void)
{
    if (!mr) {
        return;
    }
    multifd_recv_shutdown();
    for (unsigned i = 0; i < mr->n; i++) {
        Channel *c = &mr->channels[i];
        if (c->started) {
            pthread_join(c->thread, NULL);
        }
        io_channel_unref(c->ioc);
        multifd_codec_free(c->codec);
        g_free(c->data);
    }
    g_clear_error(&mr->error);
    pthread_mutex_destroy(&mr->lock);
    pthread_cond_destroy(&mr->changed);
    g_free(mr->channels);
    g_clear_pointer(&mr, g_free);
}
