/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Sessions with vhost-net (hw/virtio/vhost-kernel.c) against a kernel that is none: it keeps the rules of <linux/vhost.h>, refuses
 * what the real one refuses, and fails where a test says so.
 */
#include "util/osdep.h"

#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/stat.h>

#include "hw/virtio/vhost-kernel.h"
#include "system/ram.h"
#include "util/error.h"
#include "util/main-loop.h"

/* last: it defines feature bits by names that are enumerators above */
#include <linux/vhost.h>

#define RAM_SIZE (UINT64_C(4) << 20)
#define PAIRS 2
#define RINGS (2 * PAIRS)
#define RING_SIZE 64
#define F_LOG_ALL (UINT64_C(1) << VHOST_F_LOG_ALL)
#define F_HEADER (UINT64_C(1) << VHOST_NET_F_VIRTIO_NET_HDR)
#define F_VERSION_1 (UINT64_C(1) << 32)

typedef struct FakeRing {
    unsigned num, base;
    bool has_address, log_used, kick, call, err, runs;
    unsigned poll_us;
} FakeRing;

typedef struct FakePair {
    ino_t vhost;
    uint64_t features, log;
    unsigned regions;
    FakeRing rings[2];
} FakePair;

static FakePair kernel[PAIRS];
static uint64_t kernel_offers;
static unsigned calls, fail_at; /* the n-th call fails; 0: none */
static int fail_with;
static int vhost_fds[PAIRS], tap_fds[PAIRS];
static MemoryRegion *ram_region;

/* ---- the kernel ------------------------------------------------------------------------------------------ */

static int refuse(int error)
{
    errno = error;
    return -1;
}

static int fake_ring(FakePair *p, unsigned long request, void *arg)
{
    const struct vhost_vring_file *file = arg;
    struct vhost_vring_state *state = arg;
    const struct vhost_vring_addr *addr = arg;
    FakeRing *r;

    if (state->index > 1) {
        return refuse(ENOBUFS);
    }
    r = &p->rings[state->index];
    switch (request) {
    case VHOST_SET_VRING_NUM:
        r->num = state->num;
        return r->runs ? refuse(EBUSY) : 0;
    case VHOST_SET_VRING_BASE:
        r->base = state->num;
        return r->runs ? refuse(EBUSY) : 0;
    case VHOST_GET_VRING_BASE:
        state->num = r->base;
        return 0;
    case VHOST_SET_VRING_ADDR:
        r->has_address = addr->desc_user_addr && addr->avail_user_addr && addr->used_user_addr;
        r->log_used = addr->flags & 1 << VHOST_VRING_F_LOG;
        return !r->has_address || (r->log_used && !p->log) ? refuse(EFAULT) : 0;
    case VHOST_SET_VRING_KICK:
        r->kick = file->fd >= 0;
        return 0;
    case VHOST_SET_VRING_CALL:
        r->call = file->fd >= 0;
        return 0;
    case VHOST_SET_VRING_ERR:
        r->err = file->fd >= 0;
        return 0;
    case VHOST_SET_VRING_BUSYLOOP_TIMEOUT:
        r->poll_us = state->num;
        return 0;
    case VHOST_NET_SET_BACKEND:
        if (file->fd >= 0 && !(r->num && r->has_address && r->kick && r->call && p->regions)) {
            return refuse(EFAULT);
        }
        if (file->fd >= 0) {
            r->base += 3; /* requests that it serves */
        }
        r->runs = file->fd >= 0;
        return 0;
    default:
        return refuse(ENOTTY);
    }
}

static int fake_ioctl(int fd, unsigned long request, void *arg)
{
    FakePair *p = NULL;
    struct stat st;

    g_assert_cmpint(fstat(fd, &st), ==, 0);
    for (unsigned i = 0; i < PAIRS; i++) {
        p = kernel[i].vhost == st.st_ino ? &kernel[i] : p;
    }
    g_assert_nonnull(p);
    if (++calls == fail_at) {
        return refuse(fail_with);
    }
    switch (request) {
    case VHOST_GET_FEATURES:
        *(uint64_t *)arg = kernel_offers;
        return 0;
    case VHOST_SET_FEATURES:
        p->features = *(uint64_t *)arg;
        return p->features & ~kernel_offers         ? refuse(EOPNOTSUPP)
               : p->features & F_LOG_ALL && !p->log ? refuse(EFAULT)
                                                    : 0;
    case VHOST_SET_MEM_TABLE:
        p->regions = ((struct vhost_memory *)arg)->nregions;
        return p->regions ? 0 : refuse(EINVAL);
    case VHOST_SET_LOG_BASE:
        p->log = *(uint64_t *)arg;
        return 0;
    default:
        return fake_ring(p, request, arg);
    }
}

/* ---- the fixture ----------------------------------------------------------------------------------------- */

typedef struct Fixture {
    VhostKernel *k;
    const VhostSessionOps *ops;
    VhostUserMemory *memory;
    VhostUserRing rings[RINGS];
    int kick[RINGS], call[RINGS];
    unsigned done, broken;
    VhostUserFailure failure;
    char *text;
} Fixture;

static void on_done(void *opaque, VhostUserFailure failure, const GError *error)
{
    Fixture *f = opaque;

    f->done++;
    f->failure = failure;
    g_free(f->text);
    f->text = error ? g_strdup(error->message) : NULL;
}

static void on_broken(void *opaque)
{
    ((Fixture *)opaque)->broken++;
}

static VhostKernel *new_session(Fixture *f, const NetVhost *how, GError **error)
{
    NetVhost pairs[PAIRS];
    const NetVhost *list[PAIRS];
    VhostKernelOptions o = { .name = "test",
                             .pairs = list,
                             .n = PAIRS,
                             .broken = on_broken,
                             .opaque = f,
                             .ioctl = fake_ioctl };

    for (unsigned i = 0; i < PAIRS; i++) {
        pairs[i] = *how;
        pairs[i].vhost_fd = vhost_fds[i];
        pairs[i].fd = tap_fds[i];
        list[i] = &pairs[i];
    }
    return vhost_kernel_new(&o, error);
}

static Fixture *setup(NetVhost how)
{
    Fixture *f = g_new0(Fixture, 1);
    GError *error = NULL;

    calls = fail_at = 0;
    fail_with = EINVAL;
    kernel_offers = VHOST_KERNEL_FEATURES | F_LOG_ALL | F_HEADER;
    for (unsigned i = 0; i < PAIRS; i++) {
        struct stat st;

        fstat(vhost_fds[i], &st);
        kernel[i] = (FakePair){ .vhost = st.st_ino };
    }
    f->ops = &vhost_kernel_session_ops;
    f->memory = vhost_user_memory_new_private(address_space_memory, &error);
    g_assert_no_error(error);
    for (unsigned n = 0; n < RINGS; n++) {
        hwaddr at = 0x100000 + n * 0x10000;

        f->kick[n] = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
        f->call[n] = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
        f->rings[n] = (VhostUserRing){ .index = n,
                                       .num = RING_SIZE,
                                       .base = 10 * n,
                                       .enable = n < 2,
                                       .desc = at,
                                       .avail = at + 0x1000,
                                       .used = at + 0x2000,
                                       .desc_bytes = RING_SIZE * 16,
                                       .avail_bytes = 6 + RING_SIZE * 2,
                                       .used_bytes = 6 + RING_SIZE * 8,
                                       .kick_fd = f->kick[n],
                                       .call_fd = f->call[n] };
    }
    f->k = new_session(f, &how, &error);
    g_assert_no_error(error);
    return f;
}

static void teardown(Fixture *f)
{
    f->ops->free(f->k);
    for (unsigned n = 0; n < RINGS; n++) {
        g_assert_false(kernel[n / 2].rings[n % 2].runs);
        close(f->kick[n]);
        close(f->call[n]);
    }
    vhost_user_memory_unref(f->memory);
    g_free(f->text);
    g_free(f);
}

static void start(Fixture *f)
{
    f->ops->start(f->k, F_VERSION_1 | F_HEADER | UINT64_C(1) << 5, f->memory, f->rings, RINGS,
                  false, on_done, f);
}

static FakeRing *ring(unsigned n)
{
    return &kernel[n / 2].rings[n % 2];
}

/* What its driver would see next time. */
static uint32_t base(Fixture *f, unsigned n)
{
    uint32_t value = UINT32_MAX;

    g_assert_true(f->ops->ring_base(f->k, n, &value));
    return value;
}

/* ---- tests ----------------------------------------------------------------------------------------------- */

static void rings_do_not_run_or_run_with_the_wrong_features(void)
{
    Fixture *f = setup((NetVhost){ .has_header = true, .poll_us = 50 });

    start(f);
    g_assert_cmpuint(f->done, ==, 1);
    g_assert_cmpint(f->failure, ==, VHOST_USER_OK);
    for (unsigned n = 0; n < RINGS; n++) {
        uint64_t kicks = 0;

        g_assert_cmpint(ring(n)->runs, ==, n < 2); /* the driver uses one pair */
        g_assert_cmpuint(ring(n)->num, ==, RING_SIZE);
        g_assert_true(ring(n)->err);
        g_assert_cmpuint(ring(n)->poll_us, ==, 50);
        g_assert_cmpint(read(f->kick[n], &kicks, 8) == 8, ==,
                        n < 2); /* what the driver posted before */
        /* the header is the interface's; offloads and the card's features are not the kernel's */
        g_assert_cmpuint(kernel[n / 2].features, ==, F_VERSION_1);
    }
    f->ops->rings_enable(f->k, (bool[RINGS]){ true, true, true, true }, RINGS, on_done, f);
    g_assert_true(ring(2)->runs && ring(3)->runs);
    g_assert_true(f->ops->stop_and_wait(f->k, false, NULL));
    for (unsigned n = 0; n < RINGS; n++) {
        g_assert_false(ring(n)->runs || ring(n)->kick || ring(n)->call || ring(n)->err);
        g_assert_cmpuint(base(f, n), ==, 10 * n + 3);
    }
    teardown(f);
}

static void interface_without_header_gives_packets_that_begin_with_rubbish(void)
{
    Fixture *f = setup((NetVhost){ .has_header = false });

    start(f);
    g_assert_cmpuint(kernel[0].features, ==, F_VERSION_1 | F_HEADER);
    teardown(f);
}

static void pages_that_the_kernel_writes_are_not_sent(void)
{
    Fixture *f = setup((NetVhost){ .has_header = true });
    unsigned long dirty[RAM_SIZE / 4096 / 64] = { 0 };
    RamBlock *block = ram_find("ram");
    GError *error = NULL;

    start(f);
    g_assert_true(ram_dirty_log_start(&error));
    ram_block_take_dirty(block, 0, RAM_SIZE / 4096, dirty);
    memset(dirty, 0, sizeof(dirty));
    g_assert_true(f->ops->log_start(f->k, &error));
    g_assert_no_error(error);
    for (unsigned n = 0; n < RINGS; n++) {
        g_assert_true(ring(n)->log_used);
        g_assert_cmpuint(kernel[n / 2].features, ==, F_VERSION_1 | F_LOG_ALL);
    }
    ((uint64_t *)(uintptr_t)kernel[1].log)[1] = 1 << 7;
    f->ops->log_sync(f->k, false);
    ram_block_take_dirty(block, 0, RAM_SIZE / 4096, dirty);
    g_assert_cmpuint(dirty[1], ==, 1 << 7);
    g_assert_cmpuint(dirty[0] | dirty[2], ==, 0);
    /* started again meanwhile, as a guest's reset does it */
    g_assert_true(f->ops->stop_and_wait(f->k, true, NULL));
    start(f);
    g_assert_cmpint(f->failure, ==, VHOST_USER_OK);
    g_assert_true(ring(0)->log_used && kernel[0].features & F_LOG_ALL);
    g_assert_true(f->ops->stop_and_wait(f->k, false, NULL));
    f->ops->log_sync(f->k, true);
    g_assert_false(f->ops->log_late(f->k));
    ((uint64_t *)(uintptr_t)kernel[0].log)[0] = 1;
    g_assert_true(f->ops->log_late(f->k));
    ram_dirty_log_stop();
    f->ops->log_stop(f->k, NULL, NULL);
    start(f);
    g_assert_cmpint(f->failure, ==, VHOST_USER_OK);
    g_assert_cmpuint(kernel[0].features, ==, F_VERSION_1);
    g_assert_false(ring(0)->log_used);
    teardown(f);
}

/* Each ioctl of a start and of the beginning of a log fails once: nothing runs then, and the rings are where they were. */
static void failure_of_an_ioctl_leaves_rings_that_run(void)
{
    for (unsigned at = 1; at < 100; at++) {
        Fixture *f = setup((NetVhost){ .has_header = true, .poll_us = 1 });
        unsigned before = calls;
        bool failed;

        fail_at = before + at;
        start(f);
        g_assert_cmpuint(f->done, ==, 1);
        failed = f->failure != VHOST_USER_OK;
        if (failed) {
            g_assert_cmpint(f->failure, ==, VHOST_USER_REFUSED);
            g_assert_nonnull(strstr(f->text, "vhost-net: VHOST_"));
            g_assert_nonnull(strstr(f->text, "Invalid argument"));
            for (unsigned n = 0; n < RINGS; n++) { /* also those that the kernel has not heard of */
                g_assert_false(ring(n)->runs);
                g_assert_true(base(f, n) == 10 * n || base(f, n) == ring(n)->base);
                g_assert_cmpuint(base(f, n), >=, 10 * n);
            }
            fail_at = 0;
            start(f);
            g_assert_cmpint(f->failure, ==, VHOST_USER_OK);
        } else if (calls >= fail_at) {
            g_error("call %u failed and nobody noticed", at);
        }
        fail_at = 0;
        teardown(f);
        if (!failed) {
            g_assert_cmpuint(at, >, 30);
            return;
        }
    }
    g_assert_not_reached();
}

/* The requests since its start would run again: who asks has to look into the ring. */
static void ring_that_does_not_say_where_it_is_is_where_it_began(void)
{
    for (unsigned at = 1; at <= 2; at++) { /* the back end is not taken away; the base is not told */
        Fixture *f = setup((NetVhost){ .has_header = true });
        g_autoptr(GError) error = NULL;
        uint32_t value;

        start(f);
        fail_at = calls + at;
        g_assert_false(f->ops->stop_and_wait(f->k, false, &error));
        fail_at = 0;
        g_assert_false(f->ops->ring_base(f->k, 0, &value));
        g_assert_cmpuint(base(f, 1), ==, 13);
        ring(0)->runs = false;
        teardown(f);
    }
}

static void log_that_cannot_begin_is_not_an_error(void)
{
    for (unsigned at = 1;; at++) {
        Fixture *f = setup((NetVhost){ .has_header = true });
        GError *error = NULL;
        bool ok;

        start(f);
        fail_at = calls + at;
        ok = f->ops->log_start(f->k, &error);
        if (!ok) {
            g_assert_nonnull(strstr(error->message, "vhost-net: VHOST_SET_"));
            g_clear_error(&error);
            g_assert_cmpuint(kernel[0].features & F_LOG_ALL, ==, 0);
            g_assert_true(ring(0)->runs);
        }
        fail_at = 0;
        teardown(f);
        if (ok) {
            g_assert_cmpuint(at, >, 6);
            return;
        }
    }
}

static void queue_reset_takes_the_other_queues_along(void)
{
    Fixture *f = setup((NetVhost){ .has_header = true });

    start(f);
    f->ops->ring_stop(f->k, 1, on_done, f);
    g_assert_cmpint(f->failure, ==, VHOST_USER_OK);
    g_assert_true(ring(0)->runs);
    g_assert_false(ring(1)->runs);
    f->rings[1].base = 0;
    f->ops->ring_start(f->k, &f->rings[1], on_done, f);
    g_assert_cmpint(f->failure, ==, VHOST_USER_OK);
    g_assert_true(ring(0)->runs && ring(1)->runs);
    f->ops->set_memory(f->k, f->memory, on_done, f);
    g_assert_cmpint(f->failure, ==, VHOST_USER_OK);
    g_assert_true(ring(0)->runs && ring(1)->runs);
    f->rings[1].desc = UINT64_C(1) << 40;
    f->ops->ring_stop(f->k, 1, on_done, f);
    f->ops->ring_start(f->k, &f->rings[1], on_done, f);
    g_assert_cmpint(f->failure, ==, VHOST_USER_REFUSED);
    g_assert_cmpstr(f->text, ==, "vhost-net: ring 1 is not in guest RAM");
    g_assert_false(ring(0)->runs); /* VK5 */
    f->rings[0].packed = true;
    start(f);
    g_assert_cmpstr(f->text, ==, "vhost-net: ring 0 is packed");
    teardown(f);
}

static void kernel_that_does_not_answer_is_taken(void)
{
    Fixture *f = setup((NetVhost){ .has_header = true });
    GError *error = NULL;

    fail_at = calls + 2;
    g_assert_null(new_session(f, &(NetVhost){ .has_header = true }, &error));
    g_assert_nonnull(strstr(error->message, "vhost-net: VHOST_GET_FEATURES for pair 1"));
    g_clear_error(&error);
    teardown(f);
}

int main(int argc, char **argv)
{
    GError *error = NULL;

    g_test_init(&argc, &argv, NULL);
    main_loop_init();
    memory_init();
    ram_region = memory_region_new_ram(NULL, "ram", RAM_SIZE, &error);
    g_assert_no_error(error);
    memory_region_map(system_memory(), 0, ram_region);
    for (unsigned i = 0; i < PAIRS; i++) {
        vhost_fds[i] = memfd_create("vhost", MFD_CLOEXEC);
        tap_fds[i] = memfd_create("tap", MFD_CLOEXEC);
    }
#define T(name) g_test_add_func("/vhost-kernel/" #name, name)
    T(rings_do_not_run_or_run_with_the_wrong_features);
    T(interface_without_header_gives_packets_that_begin_with_rubbish);
    T(pages_that_the_kernel_writes_are_not_sent);
    T(failure_of_an_ioctl_leaves_rings_that_run);
    T(ring_that_does_not_say_where_it_is_is_where_it_began);
    T(log_that_cannot_begin_is_not_an_error);
    T(queue_reset_takes_the_other_queues_along);
    T(kernel_that_does_not_answer_is_taken);
    return g_test_run();
}
