/* SPDX-License-Identifier: GPL-2.0-or-later */
/* vhost-net of the host's kernel. See the header. */
#include "util/osdep.h"

#include <fcntl.h>
#include <glib-unix.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <sys/mman.h>

#include "hw/virtio/vhost-kernel.h"
#include "util/error.h"
#include "util/trace.h"

/* last: it defines feature bits by names that are enumerators above */
#include <linux/vhost.h>

TRACE_EVENT(vhost_kernel_ioctl)

#define RINGS_OF_PAIR 2

typedef struct KernelRing {
    VhostUserRing ring; /* descriptors are ours; -1 while it is not set up */
    bool set_up, has_base,
        runs; /* we began to tell the kernel of it; the kernel knows its base; VK3 */
} KernelRing;

typedef struct KernelPair {
    int vhost, tap;
    bool in_use; /* has rings that are set up */
} KernelPair;

struct VhostKernel {
    char *name;
    unsigned npairs;
    KernelPair *pairs;
    KernelRing *rings;
    bool add_header; /* the interface knows no header: the kernel takes it off and puts it on */
    unsigned poll_us;
    int (*ioctl)(int fd, unsigned long request, void *arg);
    uint64_t features; /* of the kernel */
    uint64_t chosen;
    VhostUserMemory *memory; /* NULL: not started */
    int error_fd;
    GSource *error_source;
    void (*broken)(void *opaque);
    void *opaque;

    bool logging, log_closed, log_late;
    void *log; /* NULL: none */
    uint64_t log_bytes;
    VhostUserMemory *log_memory;
};

/* ---- ioctls -------------------------------------------------------------------------------------------- */

static const struct {
    unsigned long request;
    const char *name;
} requests[] = {
    { VHOST_GET_FEATURES, "VHOST_GET_FEATURES" },
    { VHOST_SET_FEATURES, "VHOST_SET_FEATURES" },
    { VHOST_SET_MEM_TABLE, "VHOST_SET_MEM_TABLE" },
    { VHOST_SET_LOG_BASE, "VHOST_SET_LOG_BASE" },
    { VHOST_SET_VRING_NUM, "VHOST_SET_VRING_NUM" },
    { VHOST_SET_VRING_ADDR, "VHOST_SET_VRING_ADDR" },
    { VHOST_SET_VRING_BASE, "VHOST_SET_VRING_BASE" },
    { VHOST_GET_VRING_BASE, "VHOST_GET_VRING_BASE" },
    { VHOST_SET_VRING_KICK, "VHOST_SET_VRING_KICK" },
    { VHOST_SET_VRING_CALL, "VHOST_SET_VRING_CALL" },
    { VHOST_SET_VRING_ERR, "VHOST_SET_VRING_ERR" },
    { VHOST_SET_VRING_BUSYLOOP_TIMEOUT, "VHOST_SET_VRING_BUSYLOOP_TIMEOUT" },
    { VHOST_NET_SET_BACKEND, "VHOST_NET_SET_BACKEND" },
};

static const char *request_name(unsigned long request)
{
    for (unsigned i = 0; i < G_N_ELEMENTS(requests); i++) {
        if (requests[i].request == request) {
            return requests[i].name;
        }
    }
    return "ioctl";
}

static int real_ioctl(int fd, unsigned long request, void *arg)
{
    return ioctl(fd, request, arg);
}

/* what: "pair 0" or "ring 3". */
static bool ask(VhostKernel *k, unsigned pair, unsigned long request, void *arg, const char *what,
                unsigned n, GError **error)
{
    int r;

    do {
        r = k->ioctl(k->pairs[pair].vhost, request, arg);
    } while (r < 0 && errno == EINTR);
    trace(vhost_kernel_ioctl, "%s %s %s %u: %s", k->name, request_name(request), what, n,
          r < 0 ? g_strerror(errno) : "ok");
    return r >= 0 ||
           error_set_errno(error, errno, "vhost-net: %s for %s %u", request_name(request), what, n);
}

static bool tell_pair(VhostKernel *k, unsigned pair, unsigned long request, void *arg,
                      GError **error)
{
    return ask(k, pair, request, arg, "pair", pair, error);
}

static bool set_state(VhostKernel *k, unsigned n, unsigned long request, unsigned value,
                      GError **error)
{
    struct vhost_vring_state state = { n % RINGS_OF_PAIR, value };

    return ask(k, n / RINGS_OF_PAIR, request, &state, "ring", n, error);
}

static bool set_file(VhostKernel *k, unsigned n, unsigned long request, int fd, GError **error)
{
    struct vhost_vring_file file = { n % RINGS_OF_PAIR, fd };

    return ask(k, n / RINGS_OF_PAIR, request, &file, "ring", n, error);
}

static unsigned ring_count(const VhostKernel *k)
{
    return k->npairs * RINGS_OF_PAIR;
}

/* ---- memory, features, log ----------------------------------------------------------------------------- */

static bool send_memory(VhostKernel *k, unsigned pair, GError **error)
{
    const VhostUserMemory *m = k->memory;
    g_autofree struct vhost_memory *table =
        g_malloc0(sizeof(*table) + m->n * sizeof(table->regions[0]));

    table->nregions = m->n;
    for (unsigned i = 0; i < m->n; i++) {
        table->regions[i] = (struct vhost_memory_region){
            .guest_phys_addr = m->regions[i].wire.guest_address,
            .memory_size = m->regions[i].wire.size,
            .userspace_addr = m->regions[i].wire.user_address,
        };
    }
    return tell_pair(k, pair, VHOST_SET_MEM_TABLE, table, error);
}

static bool send_features(VhostKernel *k, unsigned pair, GError **error)
{
    uint64_t features = k->chosen | (k->logging ? UINT64_C(1) << VHOST_F_LOG_ALL : 0) |
                        (k->add_header ? UINT64_C(1) << VHOST_NET_F_VIRTIO_NET_HDR : 0);

    return tell_pair(k, pair, VHOST_SET_FEATURES, &features, error);
}

static bool send_log(VhostKernel *k, unsigned pair, GError **error)
{
    uint64_t base = (uintptr_t)k->log;

    return tell_pair(k, pair, VHOST_SET_LOG_BASE, &base, error);
}

static bool send_address(VhostKernel *k, unsigned n, GError **error)
{
    const VhostUserRing *r = &k->rings[n].ring;
    struct vhost_vring_addr addr = {
        .index = n % RINGS_OF_PAIR,
        .flags = k->logging ? 1 << VHOST_VRING_F_LOG : 0,
        .desc_user_addr = vhost_user_memory_translate(k->memory, r->desc, r->desc_bytes),
        .avail_user_addr = vhost_user_memory_translate(k->memory, r->avail, r->avail_bytes),
        .used_user_addr = vhost_user_memory_translate(k->memory, r->used, r->used_bytes),
        .log_guest_addr = r->used,
    };

    if (!addr.desc_user_addr || !addr.avail_user_addr || !addr.used_user_addr) {
        return error_set(error, "vhost-net: ring %u is not in guest RAM", n);
    }
    return ask(k, n / RINGS_OF_PAIR, VHOST_SET_VRING_ADDR, &addr, "ring", n, error);
}

static bool take_log(VhostKernel *k)
{
    return k->log && vhost_user_memory_take_log(k->log_memory, k->log, k->log_bytes);
}

static void drop_log(VhostKernel *k)
{
    if (k->log) {
        munmap(k->log, k->log_bytes);
        k->log = NULL;
    }
    g_clear_pointer(&k->log_memory, vhost_user_memory_unref);
}

/* A log that covers k->memory; one that is too small is replaced, and its bits are taken. */
static bool ensure_log(VhostKernel *k, GError **error)
{
    uint64_t bytes = vhost_user_memory_log_bytes(k->memory);
    VhostKernel old = *k;
    bool ok = true;

    if (k->log && k->log_bytes >= bytes) {
        vhost_user_memory_unref(k->log_memory);
        k->log_memory = vhost_user_memory_ref(k->memory);
        return true;
    }
    k->log = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE,
                  -1, 0);
    if (k->log == MAP_FAILED) {
        k->log = old.log;
        return error_set_errno(error, errno, "vhost-net: a dirty log of %" PRIu64 " bytes", bytes);
    }
    k->log_bytes = bytes;
    k->log_memory = vhost_user_memory_ref(k->memory);
    for (unsigned i = 0; ok && i < k->npairs; i++) {
        ok = !k->pairs[i].in_use || send_log(k, i, error);
    }
    if (ok) {
        take_log(&old);
        drop_log(&old);
        return true;
    }
    drop_log(k);
    k->log = old.log;
    k->log_bytes = old.log_bytes;
    k->log_memory = old.log_memory;
    return false;
}

/* ---- rings --------------------------------------------------------------------------------------------- */

static void close_fd(int *fd)
{
    if (*fd >= 0) {
        close(*fd);
        *fd = -1;
    }
}

/* VK3. */
static bool enable_ring(VhostKernel *k, unsigned n, bool enable, GError **error)
{
    KernelRing *r = &k->rings[n];
    const uint64_t one = 1;

    if (r->runs == enable) {
        return true;
    }
    if (!set_file(k, n, VHOST_NET_SET_BACKEND, enable ? k->pairs[n / RINGS_OF_PAIR].tap : -1,
                  error)) {
        return false;
    }
    r->runs = enable;
    if (enable && write(r->ring.kick_fd, &one, sizeof(one)) < 0 && errno != EAGAIN) {
        return error_set_errno(error, errno, "vhost-net: kick of ring %u", n);
    }
    return true;
}

/* Whatever it answers, nothing of the ring is left with us; where it is we know if the kernel said so. */
static bool stop_ring(VhostKernel *k, unsigned n, GError **error)
{
    KernelRing *r = &k->rings[n];
    struct vhost_vring_state state = { n % RINGS_OF_PAIR, 0 };
    bool ok;

    if (!r->set_up) {
        return true;
    }
    ok = enable_ring(k, n, false, error);
    if (ok && r->has_base) {
        ok = ask(k, n / RINGS_OF_PAIR, VHOST_GET_VRING_BASE, &state, "ring", n, error);
        r->ring.base = state.num;
    }
    if (!ok) {
        r->ring.num = 0;
    }
    set_file(k, n, VHOST_SET_VRING_KICK, VHOST_FILE_UNBIND, NULL);
    set_file(k, n, VHOST_SET_VRING_CALL, VHOST_FILE_UNBIND, NULL);
    set_file(k, n, VHOST_SET_VRING_ERR, VHOST_FILE_UNBIND, NULL);
    close_fd(&r->ring.kick_fd);
    close_fd(&r->ring.call_fd);
    r->set_up = r->has_base = r->runs = false;
    return ok;
}

static bool stop_all(VhostKernel *k, GError **error)
{
    bool ok = true;

    for (unsigned n = 0; n < ring_count(k); n++) {
        ok &= stop_ring(k, n, ok ? error : NULL);
    }
    for (unsigned i = 0; i < k->npairs; i++) {
        k->pairs[i].in_use = false;
    }
    g_clear_pointer(&k->memory, vhost_user_memory_unref);
    return ok;
}

/* The first ring of a pair brings the pair along. */
static bool set_up_pair(VhostKernel *k, unsigned pair, GError **error)
{
    KernelPair *p = &k->pairs[pair];

    if (p->in_use) {
        return true;
    }
    p->in_use = send_memory(k, pair, error) && (!k->logging || send_log(k, pair, error)) &&
                send_features(k, pair, error);
    return p->in_use;
}

static bool set_up_ring(VhostKernel *k, const VhostUserRing *ring, GError **error)
{
    unsigned n = ring->index;
    KernelRing *r;

    if (n >= ring_count(k)) {
        return error_set(error, "vhost-net: there is no ring %u", n);
    }
    if (ring->packed) {
        return error_set(error, "vhost-net: ring %u is packed", n);
    }
    r = &k->rings[n];
    close_fd(&r->ring.kick_fd);
    close_fd(&r->ring.call_fd);
    r->ring = *ring;
    r->ring.kick_fd = fcntl(ring->kick_fd, F_DUPFD_CLOEXEC, 0);
    r->ring.call_fd = fcntl(ring->call_fd, F_DUPFD_CLOEXEC, 0);
    r->set_up = true;
    if (r->ring.kick_fd < 0 || r->ring.call_fd < 0) {
        return error_set_errno(error, errno, "vhost-net: descriptors of ring %u", n);
    }
    r->has_base = set_up_pair(k, n / RINGS_OF_PAIR, error) &&
                  set_state(k, n, VHOST_SET_VRING_NUM, ring->num, error) &&
                  set_state(k, n, VHOST_SET_VRING_BASE, ring->base, error);
    return r->has_base && send_address(k, n, error) &&
           set_file(k, n, VHOST_SET_VRING_KICK, r->ring.kick_fd, error) &&
           set_file(k, n, VHOST_SET_VRING_CALL, r->ring.call_fd, error) &&
           set_file(k, n, VHOST_SET_VRING_ERR, k->error_fd, error) &&
           (!k->poll_us || set_state(k, n, VHOST_SET_VRING_BUSYLOOP_TIMEOUT, k->poll_us, error));
}

/* ---- jobs ---------------------------------------------------------------------------------------------- */

/* VK5; calls done. */
static void finish(VhostKernel *k, GError *failure, VhostUserDone *done, void *opaque)
{
    if (failure) {
        stop_all(k, NULL);
    }
    if (done) {
        done(opaque, failure ? VHOST_USER_REFUSED : VHOST_USER_OK, failure);
    }
    g_clear_error(&failure);
}

static void kernel_start(void *session, uint64_t features, VhostUserMemory *memory,
                         const VhostUserRing *rings, unsigned n, bool inflight, VhostUserDone *done,
                         void *opaque)
{
    VhostKernel *k = session;
    GError *failure = NULL;

    stop_all(k, NULL);
    for (unsigned i = 0; i < n; i++) { /* VK5, also for those that we do not get to */
        if (rings[i].index < ring_count(k)) {
            k->rings[rings[i].index].ring.num = rings[i].num;
            k->rings[rings[i].index].ring.base = rings[i].base;
        }
    }
    k->chosen = features & VHOST_KERNEL_FEATURES;
    k->memory = vhost_user_memory_ref(memory);
    if (k->logging) {
        ensure_log(k, &failure);
    }
    for (unsigned i = 0; !failure && i < n; i++) {
        set_up_ring(k, &rings[i], &failure);
    }
    for (unsigned i = 0; !failure && i < n; i++) {
        enable_ring(k, rings[i].index, rings[i].enable, &failure);
    }
    finish(k, failure, done, opaque);
}

static bool kernel_stop_and_wait(void *session, bool reset, GError **error)
{
    return stop_all(session, error);
}

static void kernel_stop(void *session, bool reset, VhostUserDone *done, void *opaque)
{
    GError *failure = NULL;

    stop_all(session, &failure);
    finish(session, failure, done, opaque);
}

static void kernel_ring_start(void *session, const VhostUserRing *ring, VhostUserDone *done,
                              void *opaque)
{
    VhostKernel *k = session;
    GError *failure = NULL;

    if (!k->memory) {
        error_set(&failure, "vhost-net: ring %u is enabled while the card is stopped", ring->index);
    } else if (set_up_ring(k, ring, &failure)) {
        enable_ring(k, ring->index, ring->enable, &failure);
    }
    finish(k, failure, done, opaque);
}

static void kernel_ring_stop(void *session, unsigned index, VhostUserDone *done, void *opaque)
{
    VhostKernel *k = session;
    GError *failure = NULL;

    if (index < ring_count(k)) {
        stop_ring(k, index, &failure);
    }
    finish(k, failure, done, opaque);
}

static void kernel_rings_enable(void *session, const bool *enable, unsigned n, VhostUserDone *done,
                                void *opaque)
{
    VhostKernel *k = session;
    GError *failure = NULL;

    for (unsigned i = 0; !failure && i < MIN(n, ring_count(k)); i++) {
        if (k->rings[i].set_up) {
            k->rings[i].ring.enable = enable[i];
            enable_ring(k, i, enable[i], &failure);
        }
    }
    finish(k, failure, done, opaque);
}

/* The log has to cover the table before the kernel gets it; rings may lie elsewhere in our address space then. */
static void kernel_set_memory(void *session, VhostUserMemory *memory, VhostUserDone *done,
                              void *opaque)
{
    VhostKernel *k = session;
    GError *failure = NULL;

    if (k->memory) {
        vhost_user_memory_unref(k->memory);
        k->memory = vhost_user_memory_ref(memory);
        if (k->logging) {
            ensure_log(k, &failure);
        }
    }
    for (unsigned i = 0; !failure && k->memory && i < k->npairs; i++) {
        if (k->pairs[i].in_use) {
            send_memory(k, i, &failure);
        }
    }
    for (unsigned i = 0; !failure && k->memory && i < ring_count(k); i++) {
        if (k->rings[i].set_up) {
            send_address(k, i, &failure);
        }
    }
    finish(k, failure, done, opaque);
}

static bool kernel_ring_base(void *session, unsigned index, uint32_t *base)
{
    VhostKernel *k = session;

    if (index >= ring_count(k) || !k->rings[index].ring.num) { /* never set up, or lost */
        return false;
    }
    *base = k->rings[index].ring.base;
    return true;
}

/* ---- log ----------------------------------------------------------------------------------------------- */

static bool send_log_state(VhostKernel *k, GError **error)
{
    bool ok = true;

    for (unsigned i = 0; ok && i < k->npairs; i++) {
        ok = !k->pairs[i].in_use || send_features(k, i, error);
    }
    for (unsigned i = 0; ok && i < ring_count(k); i++) {
        ok = !k->rings[i].set_up || send_address(k, i, error);
    }
    return ok;
}

static void kernel_log_stop(void *session)
{
    VhostKernel *k = session;
    g_autoptr(GError) error = NULL;

    if (!k->logging) {
        return;
    }
    k->logging = false;
    if (k->memory && !send_log_state(k, &error)) {
        warn_report("%s: %s", k->name, error->message);
        return; /* the kernel may still write there */
    }
    drop_log(k);
}

static void kernel_end_log(void *session, VhostUserDone *done, void *opaque)
{
    kernel_log_stop(session);
    if (done) {
        done(opaque, VHOST_USER_OK, NULL);
    }
}

static bool kernel_log_start(void *session, GError **error)
{
    VhostKernel *k = session;

    k->logging = true;
    k->log_closed = k->log_late = false;
    if (!k->memory || (ensure_log(k, error) && send_log_state(k, error))) {
        return true;
    }
    kernel_log_stop(k);
    return false;
}

static void kernel_log_sync(void *session, bool last)
{
    VhostKernel *k = session;

    take_log(k);
    k->log_closed = last;
}

static bool kernel_log_late(void *session)
{
    VhostKernel *k = session;

    if (k->log_closed && take_log(k)) {
        k->log_late = true;
    }
    return k->log_late;
}

/* ---- life ---------------------------------------------------------------------------------------------- */

static gboolean error_readable(gint fd, GIOCondition condition, gpointer opaque)
{
    VhostKernel *k = opaque;
    uint64_t count;

    if (read(fd, &count, sizeof(count)) == sizeof(count) && k->memory) {
        k->broken(k->opaque);
    }
    return G_SOURCE_CONTINUE;
}

static uint64_t kernel_features(void *session)
{
    return ((VhostKernel *)session)->features;
}

static bool kernel_connected(void *session)
{
    return true;
}

static bool kernel_may_return(void *session)
{
    return false;
}

static void kernel_drain(void *session)
{
}

static void kernel_free(void *session)
{
    VhostKernel *k = session;

    stop_all(k, NULL);
    kernel_log_stop(k);
    for (unsigned i = 0; i < k->npairs; i++) {
        close_fd(&k->pairs[i].vhost);
        close_fd(&k->pairs[i].tap);
    }
    if (k->error_source) {
        g_source_destroy(k->error_source);
        g_source_unref(k->error_source);
    }
    close_fd(&k->error_fd);
    drop_log(k);
    g_free(k->pairs);
    g_free(k->rings);
    g_free(k->name);
    g_free(k);
}

static bool open_pairs(VhostKernel *k, const VhostKernelOptions *o, GError **error)
{
    for (unsigned i = 0; i < k->npairs; i++) {
        const NetVhost *from = o->pairs[i];
        uint64_t features = 0;

        k->pairs[i].vhost = fcntl(from->vhost_fd, F_DUPFD_CLOEXEC, 0);
        k->pairs[i].tap = fcntl(from->fd, F_DUPFD_CLOEXEC, 0);
        if (k->pairs[i].vhost < 0 || k->pairs[i].tap < 0) {
            return error_set_errno(error, errno, "vhost-net: descriptors of pair %u", i);
        }
        if (!tell_pair(k, i, VHOST_GET_FEATURES, &features, error)) {
            return false;
        }
        k->features &= features;
    }
    k->error_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    return k->error_fd >= 0 || error_set_errno(error, errno, "eventfd");
}

VhostKernel *vhost_kernel_new(const VhostKernelOptions *o, GError **error)
{
    VhostKernel *k = g_new0(VhostKernel, 1);

    k->name = g_strdup(o->name);
    k->npairs = o->n;
    k->pairs = g_new0(KernelPair, o->n);
    k->rings = g_new0(KernelRing, ring_count(k));
    k->ioctl = o->ioctl ? o->ioctl : real_ioctl;
    k->features = UINT64_MAX;
    k->add_header = !o->pairs[0]->has_header;
    k->poll_us = o->pairs[0]->poll_us;
    k->broken = o->broken;
    k->opaque = o->opaque;
    k->error_fd = -1;
    for (unsigned i = 0; i < k->npairs; i++) {
        k->pairs[i].vhost = k->pairs[i].tap = -1;
    }
    for (unsigned n = 0; n < ring_count(k); n++) {
        k->rings[n].ring.kick_fd = k->rings[n].ring.call_fd = -1;
    }
    if (!open_pairs(k, o, error)) {
        kernel_free(k);
        return NULL;
    }
    k->error_source = g_unix_fd_source_new(k->error_fd, G_IO_IN);
    g_source_set_callback(k->error_source, G_SOURCE_FUNC(error_readable), k, NULL);
    g_source_attach(k->error_source, NULL);
    return k;
}

const VhostSessionOps vhost_kernel_session_ops = {
    .name = "vhost-net",
    .any_memory = true,
    .features = kernel_features,
    .connected = kernel_connected,
    .may_return = kernel_may_return,
    .start = kernel_start,
    .stop = kernel_stop,
    .stop_and_wait = kernel_stop_and_wait,
    .ring_start = kernel_ring_start,
    .ring_stop = kernel_ring_stop,
    .rings_enable = kernel_rings_enable,
    .set_memory = kernel_set_memory,
    .drain = kernel_drain,
    .ring_base = kernel_ring_base,
    .log_start = kernel_log_start,
    .log_stop = kernel_end_log,
    .log_sync = kernel_log_sync,
    .log_late = kernel_log_late,
    .free = kernel_free,
};
