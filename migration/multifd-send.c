/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * multifd on the source: a thread per channel. The migration thread fills one packet and hands it to a channel that is
 * idle; there is one lock, taken once or twice a packet. See multifd.h.
 */
#include "util/osdep.h"
#include "multifd.h"

#include <pthread.h>
#include "configuration.h"
#include "options.h"
#include "ram-page.h"
#include "util/bytes.h"
#include "util/error.h"
#include "write.h"
#include "zero-copy.h"

typedef struct Job {
    const RamBlock *block; /* NULL: a sync */
    unsigned n;
    uint64_t number;
    uint64_t offsets[MULTIFD_PAGES];
    bool zero[MULTIFD_PAGES]; /* known to be */
} Job;

typedef struct Channel {
    unsigned number;
    IoChannel *ioc;
    pthread_t thread;
    bool started;
    GSource *end_watch; /* main thread */
    pthread_cond_t wake;
    Job *job; /* filled by the migration thread while !busy */
    bool busy;
    MultifdCodec *codec;
    ZeroCopy *zero_copy; /* NULL: off */
    uint8_t header[MULTIFD_PACKET_BYTES];
} Channel;

typedef struct MultifdSend {
    pthread_mutex_t lock;
    pthread_cond_t idle; /* a channel has become idle, or failed */
    Channel *channels;
    unsigned n;
    unsigned next; /* where the search for an idle one begins */
    bool quit;     /* under lock */
    GError *error; /* under lock; the first */
    Job *job;      /* being filled; the migration thread's */
    uint64_t packets;
    bool look;                    /* channels look for zero pages */
    void (*ended)(void);
    uint64_t bytes, zero, normal; /* atomic */
} MultifdSend;

static MultifdSend *ms;

/* ---- a channel's thread ---- */

static void put_header(Channel *c, const Job *job, uint32_t flags, unsigned normal, unsigned zero,
                       uint32_t bytes)
{
    uint8_t *h = c->header;
    memset(h, 0, 64 + 256);
    store_be32(h, MULTIFD_MAGIC);
    store_be32(h + 4, MULTIFD_VERSION);
    store_be32(h + 8, flags);
    store_be32(h + 12, job->block ? MULTIFD_PAGES : 0);
    store_be32(h + 16, normal);
    store_be32(h + 20, bytes);
    store_be64(h + 24, job->number);
    store_be32(h + 32, zero);
    if (job->block) {
        strncpy((char *)h + 64, job->block->idstr, 255);
    }
}

/* Offsets of normal pages first, then those of zero pages; the vector gets the normal ones. */
static unsigned sort_pages(Channel *c, const Job *job, struct iovec *iov)
{
    uint8_t *offsets = c->header + 64 + 256;
    bool zero[MULTIFD_PAGES];
    unsigned normal = 0, at = 0;
    for (unsigned i = 0; i < job->n; i++) {
        zero[i] = job->zero[i] || ram_classify(job->block, job->offsets[i], ms->look) == PAGE_ZERO;
        if (!zero[i]) {
            store_be64(offsets + 8 * at++, job->offsets[i]);
            iov[normal++] = (struct iovec){ job->block->host + job->offsets[i], GUEST_PAGE_SIZE };
        }
    }
    for (unsigned i = 0; i < job->n; i++) {
        if (zero[i]) {
            store_be64(offsets + 8 * at++, job->offsets[i]);
        }
    }
    memset(offsets + 8 * at, 0, 8 * (MULTIFD_PAGES - at));
    return normal;
}

static bool send_pages(Channel *c, const Job *job, GError **error)
{
    struct iovec iov[1 + MULTIFD_PAGES];
    unsigned normal = sort_pages(c, job, iov + 1), n = 1;
    uint32_t flags = c->codec ? multifd_codec_flag() : 0;
    size_t len = normal * GUEST_PAGE_SIZE;
    iov[0] = (struct iovec){ c->header, MULTIFD_PACKET_BYTES };
    if (c->codec && normal) {
        const uint8_t *data;
        if (!multifd_pack(c->codec, iov + 1, normal, &data, &len, error)) {
            return false;
        }
        iov[n++] = (struct iovec){ (void *)data, len };
    } else {
        for (unsigned i = 1; i <= normal; i++) { /* rows become one entry */
            if (n > 1 && (uint8_t *)iov[n - 1].iov_base + iov[n - 1].iov_len == iov[i].iov_base) {
                iov[n - 1].iov_len += GUEST_PAGE_SIZE;
            } else {
                iov[n++] = iov[i];
            }
        }
    }
    put_header(c, job, flags, normal, job->n - normal, len);
    __atomic_fetch_add(&ms->normal, normal, __ATOMIC_RELAXED);
    __atomic_fetch_add(&ms->zero, job->n - normal, __ATOMIC_RELAXED);
    if (c->zero_copy && normal) {
        return write_vector(c->ioc, iov, 1, &ms->bytes, error) &&
               zero_copy_write(c->zero_copy, iov + 1, n - 1, &ms->bytes, error);
    }
    return write_vector(c->ioc, iov, n, &ms->bytes, error);
}

static bool send_sync(Channel *c, const Job *job, GError **error)
{
    struct iovec iov = { c->header, MULTIFD_PACKET_BYTES };
    put_header(c, job, MULTIFD_SYNC, 0, 0, 0);
    memset(c->header + 64 + 256, 0, 8 * MULTIFD_PAGES);
    return write_vector(c->ioc, &iov, 1, &ms->bytes, error) &&
           (!c->zero_copy || zero_copy_wait(c->zero_copy, error));
}

static bool send_hello(Channel *c, GError **error)
{
    uint8_t hello[MULTIFD_HELLO_BYTES] = { 0 };
    struct iovec iov = { hello, sizeof(hello) };
    store_be32(hello, MULTIFD_MAGIC);
    store_be32(hello + 4, MULTIFD_VERSION);
    configuration_own_uuid(hello + 8);
    hello[24] = c->number;
    return write_vector(c->ioc, &iov, 1, &ms->bytes, error);
}

/* Takes it, if it is the first. */
static void failed(GError *error, unsigned number)
{
    if (ms->error || ms->quit) {
        g_error_free(error);
    } else {
        g_prefix_error(&error, "multifd channel %u: ", number);
        ms->error = error;
    }
}

static void *channel_thread(void *opaque)
{
    Channel *c = opaque;
    GError *error = NULL;
    bool ok = send_hello(c, &error);
    pthread_mutex_lock(&ms->lock);
    for (;;) {
        if (!ok) {
            failed(error, c->number);
        }
        c->busy = false;
        pthread_cond_broadcast(&ms->idle);
        if (!ok) {
            break;
        }
        while (!c->busy && !ms->quit) {
            pthread_cond_wait(&c->wake, &ms->lock);
        }
        if (!c->busy) {
            break;
        }
        pthread_mutex_unlock(&ms->lock);
        ok = c->job->block ? send_pages(c, c->job, &error) : send_sync(c, c->job, &error);
        pthread_mutex_lock(&ms->lock);
    }
    pthread_mutex_unlock(&ms->lock);
    return NULL;
}

/* ---- the migration thread ---- */

bool multifd_send_active(void)
{
    return ms != NULL;
}

/* With the lock. */
static bool usable(void)
{
    return !ms->error && !ms->quit;
}

/* An idle channel, with the lock; NULL when it is over. */
static Channel *wait_idle(void)
{
    while (usable()) {
        for (unsigned i = 0; i < ms->n; i++) {
            Channel *c = &ms->channels[(ms->next + i) % ms->n];
            if (!c->busy) {
                ms->next = (c->number + 1) % ms->n;
                return c;
            }
        }
        pthread_cond_wait(&ms->idle, &ms->lock);
    }
    return NULL;
}

/* The filled packet goes to a channel, whose old one is filled next. */
static bool hand_over(void)
{
    if (!ms->job->n) {
        return true;
    }
    pthread_mutex_lock(&ms->lock);
    Channel *c = wait_idle();
    if (c) {
        Job *job = ms->job;
        ms->job = c->job;
        c->job = job;
        job->number = ms->packets++;
        c->busy = true;
        pthread_cond_signal(&c->wake);
    }
    pthread_mutex_unlock(&ms->lock);
    ms->job->n = 0;
    return c != NULL;
}

bool multifd_send_page(const RamBlock *block, uint64_t offset, bool zero)
{
    if (ms->job->n == MULTIFD_PAGES || (ms->job->n && ms->job->block != block)) {
        if (!hand_over()) {
            return false;
        }
    }
    ms->job->block = block;
    ms->job->offsets[ms->job->n] = offset;
    ms->job->zero[ms->job->n++] = zero;
    return true;
}

bool multifd_send_sync(void)
{
    bool ok = hand_over();
    pthread_mutex_lock(&ms->lock);
    for (unsigned i = 0; i < ms->n && ok; i++) {
        Channel *c = &ms->channels[i];
        while (c->busy && usable()) {
            pthread_cond_wait(&ms->idle, &ms->lock);
        }
        ok = usable();
        if (ok) {
            c->job->block = NULL;
            c->job->n = 0;
            c->job->number = ms->packets++;
            c->busy = true;
            pthread_cond_signal(&c->wake);
        }
    }
    for (unsigned i = 0; i < ms->n; i++) {
        while (ms->channels[i].busy && usable()) {
            pthread_cond_wait(&ms->idle, &ms->lock);
        }
    }
    ok = ok && usable();
    pthread_mutex_unlock(&ms->lock);
    return ok;
}

bool multifd_send_ok(void)
{
    pthread_mutex_lock(&ms->lock);
    bool ok = usable();
    pthread_mutex_unlock(&ms->lock);
    return ok;
}

GError *multifd_send_error(void)
{
    if (!ms) {
        return NULL;
    }
    pthread_mutex_lock(&ms->lock);
    GError *error = ms->error ? g_error_copy(ms->error) : NULL;
    pthread_mutex_unlock(&ms->lock);
    return error;
}

uint64_t multifd_send_missed_zero_copy(void)
{
    uint64_t missed = 0;
    for (unsigned i = 0; ms && i < ms->n; i++) {
        missed += zero_copy_missed(ms->channels[i].zero_copy);
    }
    return missed;
}

uint64_t multifd_send_bytes(void)
{
    return ms ? __atomic_load_n(&ms->bytes, __ATOMIC_RELAXED) : 0;
}

void multifd_send_take_counts(uint64_t *zero, uint64_t *normal)
{
    *zero = __atomic_exchange_n(&ms->zero, 0, __ATOMIC_RELAXED);
    *normal = __atomic_exchange_n(&ms->normal, 0, __ATOMIC_RELAXED);
}

/* ---- begin and end ---- */

void multifd_send_shutdown(void)
{
    if (!ms) {
        return;
    }
    pthread_mutex_lock(&ms->lock);
    ms->quit = true;
    for (unsigned i = 0; i < ms->n; i++) {
        io_channel_shutdown(ms->channels[i].ioc, IO_SHUTDOWN_BOTH, NULL);
        pthread_cond_broadcast(&ms->channels[i].wake);
    }
    pthread_cond_broadcast(&ms->idle);
    pthread_mutex_unlock(&ms->lock);
}

void multifd_send_may_end(void)
{
    for (unsigned i = 0; ms && i < ms->n; i++) {
        io_watch_clear(&ms->channels[i].end_watch);
    }
}

/* The threads end when they have nothing to do any more. */
void multifd_send_stop(void)
{
    if (!ms) {
        return;
    }
    multifd_send_may_end();
    pthread_mutex_lock(&ms->lock);
    ms->quit = true;
    for (unsigned i = 0; i < ms->n; i++) {
        pthread_cond_broadcast(&ms->channels[i].wake);
    }
    pthread_mutex_unlock(&ms->lock);
    for (unsigned i = 0; i < ms->n; i++) {
        Channel *c = &ms->channels[i];
        if (c->started) {
            pthread_join(c->thread, NULL);
        }
        zero_copy_free(c->zero_copy);
        multifd_codec_free(c->codec);
        io_channel_unref(c->ioc);
        pthread_cond_destroy(&c->wake);
        g_free(c->job);
    }
    pthread_mutex_destroy(&ms->lock);
    pthread_cond_destroy(&ms->idle);
    g_clear_error(&ms->error);
    g_free(ms->channels);
    g_free(ms->job);
    g_clear_pointer(&ms, g_free);
}

/* A channel that has nothing to say does not find out by writing. */
static gboolean channel_ended(IoChannel *ioc, GIOCondition cond, void *opaque)
{
    const Channel *c = opaque;
    GError *error = NULL;
    error_set(&error, "the destination has closed the connection");
    pthread_mutex_lock(&ms->lock);
    failed(error, c->number);
    pthread_cond_broadcast(&ms->idle);
    pthread_mutex_unlock(&ms->lock);
    multifd_send_may_end(); /* one is enough */
    ms->ended();
    return G_SOURCE_REMOVE;
}

static bool start_channel(Channel *c, GError **error)
{
    io_channel_set_name(c->ioc, "multifd-source");
    io_channel_set_nodelay(c->ioc, true); /* a packet's end is not to wait for the beginning of the next */
    io_channel_set_blocking(c->ioc, false, NULL);
    if (multifd_codec_flag() && !(c->codec = multifd_codec_new(true, error))) {
        return false;
    }
    if (migration_capability(MIGRATION_CAPABILITY_ZERO_COPY_SEND) &&
        !(c->zero_copy = zero_copy_new(c->ioc, error))) {
        return false;
    }
    c->end_watch = c->zero_copy ? NULL : io_channel_add_end_watch(c->ioc, channel_ended, c, NULL);
    int r = pthread_create(&c->thread, NULL, channel_thread, c);
    c->started = r == 0;
    return c->started || error_set_errno(error, r, "cannot start a thread");
}

bool multifd_send_start(IoChannel **channels, unsigned n, void (*ended)(void), GError **error)
{
    g_assert(!ms);
    ms = g_new0(MultifdSend, 1);
    ms->ended = ended;
    pthread_mutex_init(&ms->lock, NULL);
    pthread_cond_init(&ms->idle, NULL);
    ms->channels = g_new0(Channel, n);
    ms->n = n;
    ms->job = g_new0(Job, 1);
    ms->look = migration_zero_page_detection() == ZERO_PAGE_DETECTION_MULTIFD;
    for (unsigned i = 0; i < n; i++) {
        ms->channels[i] =
            (Channel){ .number = i, .ioc = channels[i], .job = g_new0(Job, 1), .busy = true };
        pthread_cond_init(&ms->channels[i].wake, NULL);
    }
    for (unsigned i = 0; i < n; i++) {
        if (!start_channel(&ms->channels[i], error)) {
            multifd_send_shutdown();
            return false; /* the threads are ended by multifd_send_stop() */
        }
    }
    return true;
}
