/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What a vhost-user back end can answer. A session negotiates, starts two rings, logs, stops, saves and loads the back end's
 * state; each message that waits for a reply is answered from the input: a byte below 128 makes a reply of the right number,
 * with payload from the input; another one is the length of raw bytes, sent as they are. What is left of the input at the
 * back end's own channel goes there. The end of the input is the end of the connection.
 */
#include "util/osdep.h"

#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/socket.h>

#include "fuzz.h"
#include "hw/virtio/vhost-user.h"
#include "system/ram.h"
#include "util/main-loop.h"

#define RAM_SIZE (UINT64_C(2) << 20)

typedef struct Peer {
    int fd;
    const uint8_t *data;
    size_t size;
} Peer;

static VhostUserMemory *memory;
static int kick_fd;

static size_t take(Peer *p, void *buf, size_t n)
{
    n = MIN(n, p->size);
    memcpy(buf, p->data, n);
    p->data += n;
    p->size -= n;
    return n;
}

/* A message in; descriptors are closed, but for the channel's. False: the front end has gone. */
static bool receive(Peer *p, VhostUserMessage *m, int *channel)
{
    char control[CMSG_SPACE(16 * sizeof(int))];
    struct iovec iov = { vhost_user_wire(m), sizeof(m->header) };
    struct msghdr msg = {
        .msg_iov = &iov, .msg_iovlen = 1, .msg_control = control, .msg_controllen = sizeof(control)
    };
    ssize_t n = recvmsg(p->fd, &msg, MSG_WAITALL | MSG_CMSG_CLOEXEC);

    for (struct cmsghdr *c = n > 0 ? CMSG_FIRSTHDR(&msg) : NULL; c; c = CMSG_NXTHDR(&msg, c)) {
        for (size_t i = 0; CMSG_LEN((i + 1) * sizeof(int)) <= c->cmsg_len; i++) {
            int fd;

            memcpy(&fd, CMSG_DATA(c) + i * sizeof(int), sizeof(fd));
            if (m->header.request == VHOST_USER_SET_BACKEND_REQ_FD && *channel < 0) {
                *channel = fd;
            } else {
                close(fd);
            }
        }
    }
    if (n != sizeof(m->header) || m->header.size > sizeof(m->payload)) {
        return false;
    }
    return m->header.size == 0 ||
           recv(p->fd, &m->payload, m->header.size, MSG_WAITALL) == (ssize_t)m->header.size;
}

static void answer(Peer *p, VhostUserMessage *m)
{
    uint8_t op = 0, raw[128];
    bool own = vhost_user_has_reply(m->header.request);
    size_t n;

    take(p, &op, 1);
    if (op >= 128) {
        n = take(p, raw, op - 128);
        send(p->fd, raw, n, MSG_NOSIGNAL);
        return;
    }
    if (own && m->header.request == VHOST_USER_GET_CONFIG) {
        take(p, m->payload.config.data, 16);
    } else if (own && m->header.request == VHOST_USER_GET_INFLIGHT_FD) {
        take(p, &m->payload.inflight, sizeof(m->payload.inflight));
        m->header.size = sizeof(m->payload.inflight);
    } else {
        m->header.size = 8;
        m->payload.u64 = 0;
        take(p, &m->payload.u64, own ? 8 : op & 1);
    }
    m->header.flags = VHOST_USER_VERSION | VHOST_USER_REPLY;
    send(p->fd, vhost_user_wire(m), sizeof(m->header) + m->header.size, MSG_NOSIGNAL);
}

static gpointer peer_main(gpointer opaque)
{
    Peer *p = opaque;
    VhostUserMessage m = { 0 };
    int channel = -1;

    while (p->size && receive(p, &m, &channel)) {
        bool asked =
            vhost_user_has_reply(m.header.request) || m.header.flags & VHOST_USER_NEED_REPLY;

        if (m.header.request == VHOST_USER_SET_BACKEND_REQ_FD && channel >= 0) {
            uint8_t raw[64];

            send(channel, raw, take(p, raw, MIN(p->size, sizeof(raw)) / 2), MSG_NOSIGNAL);
        }
        if (asked) {
            answer(p, &m);
        }
    }
    if (channel >= 0) {
        close(channel);
    }
    close(p->fd);
    return NULL;
}

static void set_up(void)
{
    RamBlockOptions options = { .shared = true,
                                .reserve = true,
                                .fd = memfd_create("ram", MFD_CLOEXEC) };
    MemoryRegion *region;

    main_loop_init();
    memory_init();
    g_assert_cmpint(ftruncate(options.fd, RAM_SIZE), ==, 0);
    region = memory_region_new_ram_block(NULL, "ram",
                                         ram_block_new_full("ram", RAM_SIZE, &options, NULL));
    memory_region_map(system_memory(), 0, region);
    memory = vhost_user_memory_new(address_space_memory, NULL);
    kick_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
}

static void use(VhostUser *vu)
{
    VhostUserRing rings[2];
    g_autoptr(GByteArray) state = NULL;
    uint8_t config[60];
    uint32_t base;

    for (unsigned i = 0; i < 2; i++) {
        rings[i] = (VhostUserRing){
            .index = i,
            .num = 16,
            .enable = true,
            .desc = 0x10000 * (i + 1),
            .avail = 0x10000 * (i + 1) + 0x1000,
            .used = 0x10000 * (i + 1) + 0x2000,
            .desc_bytes = 256,
            .avail_bytes = 38,
            .used_bytes = 134,
            .kick_fd = kick_fd,
            .call_fd = -1,
        };
    }
    vhost_user_fetch_config_and_wait(vu, sizeof(config), NULL);
    vhost_user_start(vu, vhost_user_features(vu) & UINT64_C(1) << 32, memory, rings, 2, true, NULL,
                     NULL);
    if (vhost_user_log_start(vu, NULL)) {
        vhost_user_log_sync(vu, true);
    }
    vhost_user_stop_and_wait(vu, false, NULL);
    vhost_user_ring_base(vu, 1, &base);
    vhost_user_inflight_pending(vu, false);
    vhost_user_inflight_pending(vu, true);
    state = vhost_user_state_save(vu, NULL);
    vhost_user_log_stop(vu, NULL, NULL);
    vhost_user_drain(vu);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    VhostUserOptions options = { .name = "fuzz",
                                 .timeout_ms = 20,
                                 .protocol_features = ~UINT64_C(0) };
    static const VhostUserOps ops = { 0 };
    g_autofree char *spec = NULL;
    Peer peer = { .data = data, .size = size };
    ChardevFe fe = { 0 };
    GThread *thread;
    VhostUser *vu;
    bool help = false;
    int pair[2];

    if (!memory) {
        set_up();
    }
    if (size == 0 || socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) < 0) {
        return 0;
    }
    spec = g_strdup_printf("socket,id=c0,fd=%d", pair[0]);
    chardev_fe_attach(&fe, chardev_new_option(spec, &help, NULL), NULL);
    peer.fd = pair[1];
    options.fe = &fe;
    thread = g_thread_new("peer", peer_main, &peer);
    vu = vhost_user_new(&options, &ops, NULL);
    if (vhost_user_wait_ready(vu, NULL)) {
        use(vu);
    }
    vhost_user_free(vu);
    chardev_fe_detach(&fe);
    chardev_remove("c0", NULL);
    g_thread_join(thread);
    return 0;
}
