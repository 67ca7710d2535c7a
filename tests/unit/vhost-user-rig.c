/* SPDX-License-Identifier: GPL-2.0-or-later */
/* A session with the test back end, and the driver of its rings; see the header. */
#include "util/osdep.h"

#include <sys/eventfd.h>

#include "util/bytes.h"
#include "util/error.h"
#include "vhost-user-rig.h"

uint8_t *rig_ram;
MemoryRegion *rig_ram_region;
char *rig_socket_path;
unsigned rig_timeout_ms = 10000;

/* ---- the driver ---------------------------------------------------------------------------------------- */

hwaddr rig_ring_at(unsigned q)
{
    return 0x100000 + q * 0x10000;
}

VhostUserRing rig_ring(Rig *f, unsigned q)
{
    return (VhostUserRing){
        .index = q,
        .num = RING_SIZE,
        .enable = true,
        .base = f->posted[q],
        .desc = rig_ring_at(q),
        .avail = rig_ring_at(q) + 0x1000,
        .used = rig_ring_at(q) + 0x2000,
        .desc_bytes = RING_SIZE * 16,
        .avail_bytes = 6 + RING_SIZE * 2,
        .used_bytes = 6 + RING_SIZE * 8,
        .kick_fd = f->kick[q],
        .call_fd = f->call[q],
    };
}

/* Posts a request: 8 bytes out, 8 bytes in; the echo device inverts them. */
void rig_post(Rig *f, unsigned q)
{
    uint8_t *d = rig_ram + rig_ring_at(q), *avail = d + 0x1000;
    unsigned slot = f->posted[q] % (RING_SIZE / 2), head = slot * 2;
    uint64_t buffer = rig_ring_at(q) + 0x4000 + slot * 16;

    memset(rig_ram + buffer, 0x5a, 8);
    memset(rig_ram + buffer + 8, 0, 8);
    store_le64(d + head * 16, buffer);
    store_le32(d + head * 16 + 8, 8);
    store_le16(d + head * 16 + 12, 1);
    store_le16(d + head * 16 + 14, (uint16_t)(head + 1));
    store_le64(d + head * 16 + 16, buffer + 8);
    store_le32(d + head * 16 + 24, 8);
    store_le16(d + head * 16 + 28, 2);
    store_le16(avail + 4 + f->posted[q] % RING_SIZE * 2, (uint16_t)head);
    f->posted[q]++;
    __atomic_store_n((uint16_t *)(avail + 2), f->posted[q], __ATOMIC_RELEASE);
}

void rig_kick(Rig *f, unsigned q)
{
    g_assert_cmpint(eventfd_write(f->kick[q], 1), ==, 0);
}

uint16_t rig_used(unsigned q)
{
    return __atomic_load_n((uint16_t *)(rig_ram + rig_ring_at(q) + 0x2002), __ATOMIC_ACQUIRE);
}

bool rig_answered(Rig *f, unsigned q)
{
    unsigned slot = (uint16_t)(f->posted[q] - 1) % (RING_SIZE / 2);

    return rig_used(q) == f->posted[q] && rig_ram[rig_ring_at(q) + 0x4000 + slot * 16 + 8] == 0xa5;
}

/* ---- the fixture --------------------------------------------------------------------------------------- */

static void rig_ready(void *opaque, bool again)
{
    Rig *f = opaque;

    f->ready++;
    f->again += again;
}

static void rig_lost(void *opaque, VhostUserFailure failure, const GError *why)
{
    Rig *f = opaque;

    f->lost++;
    f->last_failure = failure;
    g_free(f->lost_text);
    f->lost_text = g_strdup(why->message);
}

static void rig_config(void *opaque)
{
    ((Rig *)opaque)->config_changes++;
}

static const VhostUserOps ops = { rig_ready, rig_lost, rig_config };

void rig_done(void *opaque, VhostUserFailure failure, const GError *error)
{
    Rig *f = opaque;

    f->over = true;
    f->failure = failure;
    g_free(f->text);
    f->text = error ? g_strdup(error->message) : NULL;
}

static Chardev *rig_new_chardev(bool reconnect)
{
    g_autofree char *spec =
        g_strdup_printf("socket,id=c0,path=%s%s", rig_socket_path, reconnect ? ",reconnect-ms=20" : "");
    GError *error = NULL;
    bool help = false;
    Chardev *chr = chardev_new_option(spec, &help, &error);

    g_assert_no_error(error);
    return chr;
}

Rig *rig_setup_session(const BackendOptions *options, bool reconnect)
{
    Rig *f = g_new0(Rig, 1);
    BackendOptions o = *options;
    VhostUserOptions vo = {
        .name = "test",
        .fe = &f->fe,
        .timeout_ms = rig_timeout_ms,
        .protocol_features = ~(UINT64_C(1) << VHOST_USER_PROTOCOL_F_STATUS),
    };
    GError *error = NULL;

    o.path = rig_socket_path;
    memset(rig_ram, 0, RAM_SIZE);
    f->backend = backend_new(&o, &error);
    g_assert_no_error(error);
    f->queues = MAX(1, o.queues);
    for (unsigned i = 0; i < MAX_QUEUES; i++) {
        f->kick[i] = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
        f->call[i] = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
    }
    f->memory = vhost_user_memory_new(address_space_memory, &error);
    g_assert_no_error(error);
    f->chr = rig_new_chardev(reconnect);
    g_assert_true(chardev_fe_attach(&f->fe, f->chr, &error));
    f->vu = vhost_user_new(&vo, &ops, f);
    return f;
}

Rig *rig_setup(const BackendOptions *options, bool reconnect)
{
    Rig *f = rig_setup_session(options, reconnect);
    GError *error = NULL;

    vhost_user_wait_ready(f->vu, &error);
    g_assert_no_error(error);
    return f;
}

void rig_teardown(Rig *f)
{
    GError *error = NULL;

    vhost_user_free(f->vu);
    chardev_fe_detach(&f->fe);
    g_assert_true(chardev_remove("c0", &error));
    backend_free(f->backend);
    vhost_user_memory_unref(f->memory);
    for (unsigned i = 0; i < MAX_QUEUES; i++) {
        close(f->kick[i]);
        close(f->call[i]);
    }
    g_free(f->lost_text);
    g_free(f->text);
    g_free(f);
}

void rig_start_async(Rig *f)
{
    VhostUserRing rings[MAX_QUEUES];

    for (unsigned q = 0; q < f->queues; q++) {
        rings[q] = rig_ring(f, q);
    }
    f->over = false;
    vhost_user_start(f->vu, UINT64_C(1) << 32, f->memory, rings, f->queues, true, rig_done, f);
}

void rig_start(Rig *f)
{
    rig_start_async(f);
    RUN_UNTIL(f->over);
    g_assert_cmpstr(f->text, ==, NULL);
}

void rig_stop(Rig *f, bool reset)
{
    GError *error = NULL;

    g_assert_true(vhost_user_stop_and_wait(f->vu, reset, &error));
    g_assert_no_error(error);
}

void rig_all_answered(Rig *f)
{
    BackendCounts c;

    for (unsigned q = 0; q < f->queues; q++) {
        RUN_UNTIL(rig_answered(f, q));
    }
    backend_get_counts(f->backend, &c);
    g_assert_cmpuint(c.lost, ==, 0);
}
