/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Backend `tap`: an Ethernet interface of the host's kernel (Linux, Documentation/networking/tuntap.rst). With IFF_VNET_HDR
 * packets begin with a virtio_net_hdr; a card that knows none gets and gives them without.
 *
 * Migration: nothing is saved. While the VM stands still the card does not receive, so packets stay in the kernel's queue;
 * the destination's interface hears of the card by its announcement.
 */
#include "util/osdep.h"
#include "net-private.h"

#include <fcntl.h>
#include <glib-unix.h>
#include <linux/if.h>
#include <linux/if_tun.h>
#include <linux/vhost.h>
#include <sys/ioctl.h>
#include <sys/wait.h>
#include "io/channel.h"
#include "io/fds.h"
#include "util/error.h"
#include "util/iov.h"

#define TUN_DEVICE "/dev/net/tun"
#define VHOST_DEVICE "/dev/vhost-net"
#define SCRIPT_UP "/etc/qemu-ifup"
#define SCRIPT_DOWN "/etc/qemu-ifdown"
#define HEADER_DEFAULT 10
#define MOST_PIECES 64 /* of a packet, to be written where they are; well below IOV_MAX */
#define BURST 64 /* packets at one wake-up: others want their turn, too */
#ifndef TUN_F_USO4
#define TUN_F_USO4 0x20
#define TUN_F_USO6 0x40
#endif

typedef struct Tap {
    NetClient nc;
    int fd;
    bool has_header;     /* the interface has IFF_VNET_HDR */
    unsigned header_len; /* of the interface's header, if it has one */
    bool peer_uses_header;
    unsigned offloads; /* that the kernel knows */
    GSource *in_watch, *out_watch;
    bool outside;     /* vhost-net takes the packets */
    bool multi_queue; /* queues can be detached from the interface */
    bool detached;
    NetVhost vhost; /* vhost_fd -1: none */
    uint8_t *in;
    char ifname[IFNAMSIZ];
    char *down_script; /* NULL: none */
} Tap;

/* ---- packets ------------------------------------------------------------------------------------------------------ */

static GSource *watch(Tap *s, GIOCondition condition, GUnixFDSourceFunc func)
{
    GSource *source = g_unix_fd_source_new(s->fd, condition);

    g_source_set_static_name(source, "net-tap");
    g_source_set_callback(source, (GSourceFunc)(void (*)(void))func, s, NULL);
    g_source_attach(source, NULL);
    return source;
}

static gboolean out_ready(gint fd, GIOCondition condition, gpointer opaque)
{
    Tap *s = opaque;

    io_watch_clear(&s->out_watch);
    net_flush(&s->nc);
    return G_SOURCE_REMOVE;
}

static bool tap_can_receive(NetClient *nc)
{
    return !((Tap *)nc)->out_watch;
}

static bool tap_receive(NetClient *nc, const struct iovec *iov, unsigned niov, size_t len)
{
    static const uint8_t no_header[32];
    Tap *s = (Tap *)nc;
    struct iovec with_header[1 + MOST_PIECES], whole;
    g_autofree uint8_t *copy = NULL;
    ssize_t n;

    if (niov > MOST_PIECES) {
        copy = g_malloc(len);
        iov_to_buf(iov, niov, 0, copy, len);
        whole = (struct iovec){ copy, len };
        iov = &whole;
        niov = 1;
    }
    if (s->has_header && !s->peer_uses_header) {
        with_header[0] = (struct iovec){ (void *)no_header, s->header_len };
        memcpy(with_header + 1, iov, niov * sizeof(*iov));
        iov = with_header;
        niov++;
    }
    do {
        n = writev(s->fd, iov, niov);
    } while (n < 0 && errno == EINTR);
    if (n < 0 && errno == EAGAIN) {
        s->out_watch = watch(s, G_IO_OUT, out_ready);
        return false;
    }
    return true; /* an interface that is down is a cable without an end */
}

static gboolean in_ready(gint fd, GIOCondition condition, gpointer opaque)
{
    Tap *s = opaque;

    for (unsigned i = 0; i < BURST; i++) {
        unsigned skip = s->has_header && !s->peer_uses_header ? s->header_len : 0;
        struct iovec iov;
        ssize_t n;

        if (!net_can_send(&s->nc)) {
            io_watch_clear(&s->in_watch); /* until sendable(): they wait in the kernel */
            return G_SOURCE_REMOVE;
        }
        n = read(s->fd, s->in, NET_PACKET_MAX);
        if (n < 0 && errno != EAGAIN && errno != EINTR && errno != EIO) {
            io_watch_clear(&s->in_watch);
            return G_SOURCE_REMOVE;
        }
        if (n <= (ssize_t)skip) {
            return G_SOURCE_CONTINUE;
        }
        iov = (struct iovec){ s->in + skip, n - skip };
        net_send(&s->nc, &iov, 1);
    }
    return G_SOURCE_CONTINUE;
}

static void tap_sendable(NetClient *nc)
{
    Tap *s = (Tap *)nc;

    if (!s->in_watch && !s->outside && !s->detached) {
        s->in_watch = watch(s, G_IO_IN, in_ready);
    }
}

static void update_watch(Tap *s)
{
    if (s->outside || s->detached) {
        io_watch_clear(&s->in_watch);
    } else {
        tap_sendable(&s->nc);
    }
}

static void tap_set_polling(NetClient *nc, bool on)
{
    Tap *s = (Tap *)nc;

    s->outside = !on;
    update_watch(s);
}

/* Packets are spread over all queues that are attached: one that the guest does not read would swallow its share. */
static void tap_set_queue_used(NetClient *nc, bool used)
{
    Tap *s = (Tap *)nc;
    struct ifreq ifr = { .ifr_flags = used ? IFF_ATTACH_QUEUE : IFF_DETACH_QUEUE };

    if (!s->multi_queue || s->detached == !used) {
        return;
    }
    if (ioctl(s->fd, TUNSETQUEUE, &ifr) < 0) {
        warn_report("netdev %s: queue %u cannot be %s: %s", nc->name, nc->queue_index,
                    used ? "attached" : "detached", g_strerror(errno));
        return;
    }
    s->detached = !used;
    update_watch(s);
}

static const NetVhost *tap_vhost(NetClient *nc)
{
    Tap *s = (Tap *)nc;

    return s->vhost.vhost_fd >= 0 ? &s->vhost : NULL;
}

/* ---- offloads -------------------------------------------------------------------------------------------------------- */

static unsigned tap_offloads(NetClient *nc)
{
    return ((Tap *)nc)->offloads;
}

static void tap_set_vnet_header(NetClient *nc, unsigned len)
{
    Tap *s = (Tap *)nc;
    int size = len;

    s->peer_uses_header = len != 0;
    if (s->has_header && len && ioctl(s->fd, TUNSETVNETHDRSZ, &size) == 0) {
        s->header_len = len;
    }
}

static unsigned long kernel_flags(unsigned offloads)
{
    if (!(offloads & NET_OFFLOAD_CSUM)) {
        return 0;
    }
    return TUN_F_CSUM | (offloads & NET_OFFLOAD_TSO4 ? TUN_F_TSO4 : 0) |
           (offloads & NET_OFFLOAD_TSO6 ? TUN_F_TSO6 : 0) |
           (offloads & NET_OFFLOAD_ECN && offloads & (NET_OFFLOAD_TSO4 | NET_OFFLOAD_TSO6)
                ? TUN_F_TSO_ECN
                : 0) |
           (offloads & NET_OFFLOAD_UFO ? TUN_F_UFO : 0) |
           (offloads & NET_OFFLOAD_USO4 ? TUN_F_USO4 : 0) |
           (offloads & NET_OFFLOAD_USO6 ? TUN_F_USO6 : 0);
}

static void tap_set_offloads(NetClient *nc, unsigned offloads)
{
    Tap *s = (Tap *)nc;

    if (ioctl(s->fd, TUNSETOFFLOAD, kernel_flags(offloads)) < 0) {
        ioctl(s->fd, TUNSETOFFLOAD,
              kernel_flags(offloads & ~(NET_OFFLOAD_UFO | NET_OFFLOAD_USO4 | NET_OFFLOAD_USO6)));
    }
}

static bool kernel_takes(int fd, unsigned offloads)
{
    return ioctl(fd, TUNSETOFFLOAD, kernel_flags(offloads)) == 0;
}

static void probe_offloads(Tap *s)
{
    unsigned base = NET_OFFLOAD_VNET_HEADER | NET_OFFLOAD_CSUM;

    s->offloads = 0;
    if (!s->has_header) {
        return;
    }
    s->offloads = base | NET_OFFLOAD_TSO4 | NET_OFFLOAD_TSO6 | NET_OFFLOAD_ECN;
    if (kernel_takes(s->fd, base | NET_OFFLOAD_UFO)) {
        s->offloads |= NET_OFFLOAD_UFO;
    }
    if (kernel_takes(s->fd, base | NET_OFFLOAD_USO4 | NET_OFFLOAD_USO6)) {
        s->offloads |= NET_OFFLOAD_USO4 | NET_OFFLOAD_USO6;
    }
    ioctl(s->fd, TUNSETOFFLOAD, 0ul);
}

/* ---- scripts ------------------------------------------------------------------------------------------------------------- */

/* NULL: none is to be run. */
static const char *script_of(const char *option, const char *dflt)
{
    if (!option) {
        return dflt;
    }
    return option[0] && strcmp(option, "no") ? option : NULL;
}

static bool run_script(const char *script, const char *ifname, GError **error)
{
    const char *argv[] = { script, ifname, NULL };
    int status;

    if (!g_spawn_sync(NULL, (char **)argv, NULL, G_SPAWN_CHILD_INHERITS_STDIN, NULL, NULL, NULL,
                      NULL, &status, error)) {
        error_prefix(error, "could not launch network script: ");
        return false;
    }
    if (!WIFEXITED(status) || WEXITSTATUS(status)) {
        return error_set(error, "network script %s failed with status %d", script,
                         WIFEXITED(status) ? WEXITSTATUS(status) : -1);
    }
    return true;
}

/* ---- life ------------------------------------------------------------------------------------------------------------------ */

static void tap_cleanup(NetClient *nc)
{
    Tap *s = (Tap *)nc;
    GError *error = NULL;

    io_watch_clear(&s->in_watch);
    io_watch_clear(&s->out_watch);
    if (s->down_script && !run_script(s->down_script, s->ifname, &error)) {
        warn_report("netdev %s: %s", nc->name, error->message);
        g_error_free(error);
    }
    close(s->fd);
    if (s->vhost.vhost_fd >= 0) {
        close(s->vhost.vhost_fd);
    }
    g_free(s->down_script);
    g_free(s->in);
}

static const NetClientOps tap_ops = {
    .kind = NET_CLIENT_DRIVER_TAP,
    .size = sizeof(Tap),
    .can_receive = tap_can_receive,
    .receive = tap_receive,
    .sendable = tap_sendable,
    .cleanup = tap_cleanup,
    .offloads = tap_offloads,
    .set_vnet_header = tap_set_vnet_header,
    .set_offloads = tap_set_offloads,
    .set_polling = tap_set_polling,
    .set_queue_used = tap_set_queue_used,
    .vhost = tap_vhost,
};

/* Takes fd, a tap descriptor whose interface is known, and vhost_fd (-1: none). */
static Tap *tap_new(const NetdevTapOptions *o, int fd, int vhost_fd, const struct ifreq *ifr,
                    const char *name, unsigned queue, NetClient *peer)
{
    Tap *s = (Tap *)net_client_new(&tap_ops, "tap", name, queue, peer);
    uint64_t sndbuf = o->has_sndbuf ? o->sndbuf : 0;
    int limit = sndbuf && sndbuf < INT_MAX ? (int)sndbuf : INT_MAX;

    s->fd = fd;
    s->multi_queue = ifr->ifr_flags & IFF_MULTI_QUEUE;
    s->vhost = (NetVhost){
        .vhost_fd = vhost_fd,
        .fd = fd,
        .has_header = ifr->ifr_flags & IFF_VNET_HDR,
        .force = o->has_vhostforce && o->vhostforce,
        .poll_us = o->has_poll_us ? o->poll_us : 0,
    };
    s->in = g_malloc(NET_PACKET_MAX);
    g_strlcpy(s->ifname, ifr->ifr_name, sizeof(s->ifname));
    s->has_header = ifr->ifr_flags & IFF_VNET_HDR;
    s->header_len = HEADER_DEFAULT;
    if (s->has_header) {
        ioctl(fd, TUNSETVNETHDRSZ, &s->header_len);
    }
    ioctl(fd, TUNSETSNDBUF, &limit);
    probe_offloads(s);
    s->in_watch = watch(s, G_IO_IN, in_ready);
    return s;
}

/* ---- vhost-net -------------------------------------------------------------------------------------------------------- */

static bool wants_vhost(const NetdevTapOptions *o)
{
    return o->has_vhost ? o->vhost
                        : o->vhostfd || o->vhostfds || (o->has_vhostforce && o->vhostforce);
}

/* A descriptor that this process owns: of `text`, or of the device (NULL). -1 if none is wanted, or with an error. */
static int open_vhost(const NetdevTapOptions *o, const char *text, GError **error)
{
    int fd;

    if (!wants_vhost(o)) {
        return -1;
    }
    fd = text ? io_fd_take(text, error) : open(VHOST_DEVICE, O_RDWR | O_CLOEXEC);
    if (fd < 0) {
        if (!text) {
            error_set_errno(error, errno, "tap: open vhost char device failed: %s", VHOST_DEVICE);
        }
        return -1;
    }
    if (ioctl(fd, VHOST_SET_OWNER, NULL) < 0) {
        error_set_errno(error, errno, "vhost_set_owner failed: %s", text ? text : VHOST_DEVICE);
        close(fd);
        return -1;
    }
    return fd;
}

/* ---- an interface of our own --------------------------------------------------------------------------------------------------- */

/* Opens a queue of the interface named in ifr (or a new one, whose name it gets); -1 with an error. */
static int open_queue(const NetdevTapOptions *o, bool multi_queue, struct ifreq *ifr,
                      GError **error)
{
    int fd = open(TUN_DEVICE, O_RDWR | O_CLOEXEC | O_NONBLOCK);
    unsigned features = 0;
    bool want_header = !o->has_vnet_hdr || o->vnet_hdr;

    if (fd < 0) {
        error_set_errno(error, errno, "could not open %s", TUN_DEVICE);
        return -1;
    }
    if (ioctl(fd, TUNGETFEATURES, &features) < 0) {
        features = 0;
    }
    ifr->ifr_flags = IFF_TAP | IFF_NO_PI;
    if (want_header && features & IFF_VNET_HDR) {
        ifr->ifr_flags |= IFF_VNET_HDR;
    } else if (o->has_vnet_hdr && o->vnet_hdr) {
        error_set(error, "vnet_hdr=1 requested, but no kernel support for IFF_VNET_HDR available");
    }
    if (multi_queue && features & IFF_MULTI_QUEUE) {
        ifr->ifr_flags |= IFF_MULTI_QUEUE;
    } else if (multi_queue) {
        error_set(error,
                  "multiqueue required, but no kernel support for IFF_MULTI_QUEUE available");
    }
    if (*error) {
        close(fd);
        return -1;
    }
    if (ioctl(fd, TUNSETIFF, ifr) < 0) {
        error_set_errno(error, errno, "could not configure %s (%s)", TUN_DEVICE,
                        ifr->ifr_name[0] ? ifr->ifr_name : "tap%d");
        close(fd);
        return -1;
    }
    return fd;
}

static void close_both(int fd, int vhost)
{
    if (fd >= 0) {
        close(fd);
    }
    if (vhost >= 0) {
        close(vhost);
    }
}

static void free_queues(const char *name, unsigned n)
{
    for (NetClient *nc; n && net_find(name, NET_CLIENT_DRIVER_TAP, &nc, 1); n--) {
        net_client_free(nc);
    }
}

static bool create_interface(const NetdevTapOptions *o, const char *name, NetClient *peer,
                             GError **error)
{
    const char *up = script_of(o->script, SCRIPT_UP), *down = script_of(o->downscript, SCRIPT_DOWN);
    unsigned queues = o->has_queues ? o->queues : 1;
    struct ifreq ifr = { 0 };
    GError *err = NULL;

    if (o->ifname) {
        if (strlen(o->ifname) >= IFNAMSIZ) {
            return error_set(error, "ifname '%s' is longer than %d characters", o->ifname,
                             IFNAMSIZ - 1);
        }
        strcpy(ifr.ifr_name, o->ifname);
    }
    for (unsigned i = 0; i < queues; i++) {
        int fd = open_queue(o, queues > 1, &ifr, &err), vhost = -1;
        Tap *s;

        if (!err) {
            vhost = open_vhost(o, o->vhostfd, &err);
        }
        if (!err && i == 0 && up) {
            run_script(up, ifr.ifr_name, &err);
        }
        if (err) {
            close_both(fd, vhost);
            free_queues(name, i);
            g_propagate_error(error, err);
            return false;
        }
        s = tap_new(o, fd, vhost, &ifr, name, i, i ? NULL : peer);
        s->down_script = i == 0 ? g_strdup(down) : NULL;
        net_set_info(&s->nc, "ifname=%s,script=%s,downscript=%s", ifr.ifr_name, up ? up : "no",
                     down ? down : "no");
    }
    return true;
}

/* ---- descriptors that others have opened ---------------------------------------------------------------------------------------- */

/* vhost: a descriptor of vhost-net, or NULL. */
static bool add_fd(const NetdevTapOptions *o, const char *text, const char *vhost, const char *name,
                   unsigned queue, NetClient *peer, GError **error)
{
    struct ifreq ifr = { 0 };
    int fd = io_fd_take(text, error), vhost_fd;
    GError *err = NULL;
    Tap *s;

    if (fd < 0) {
        error_prefix(error, "%s: ", name);
        return false;
    }
    if (ioctl(fd, TUNGETIFF, &ifr) < 0) {
        close(fd);
        return error_set(error, "fd=%s is not a tap device", text);
    }
    if (o->has_vnet_hdr && o->vnet_hdr != !!(ifr.ifr_flags & IFF_VNET_HDR)) {
        close(fd);
        return error_set(error, "vnet_hdr=%s, but fd=%s was opened %s it",
                         o->vnet_hdr ? "on" : "off", text, o->vnet_hdr ? "without" : "with");
    }
    vhost_fd = open_vhost(o, vhost, &err);
    if (err) {
        close(fd);
        g_propagate_error(error, err);
        return false;
    }
    fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) | O_NONBLOCK);
    s = tap_new(o, fd, vhost_fd, &ifr, name, queue, peer);
    net_set_info(&s->nc, "fd=%d", fd);
    return true;
}

static bool create_fds(const NetdevTapOptions *o, const char *name, NetClient *peer, GError **error)
{
    g_auto(GStrv) fds = g_strsplit(o->fd ? o->fd : o->fds, o->fd ? "," : ":", -1);
    g_auto(GStrv) vhostfds = o->vhostfds  ? g_strsplit(o->vhostfds, ":", -1)
                             : o->vhostfd ? g_strsplit(o->vhostfd, ",", -1)
                                          : NULL;
    unsigned n = g_strv_length(fds);

    if (n == 0 || n > NET_QUEUES_MAX) {
        return error_set(error, "fds= expects 1 to %d descriptors", NET_QUEUES_MAX);
    }
    if (vhostfds && g_strv_length(vhostfds) != n) {
        return error_set(error, "The number of fds passed does not match the number of vhostfds "
                                "passed");
    }
    for (unsigned i = 0; i < n; i++) {
        if (!add_fd(o, fds[i], vhostfds ? vhostfds[i] : NULL, name, i, i ? NULL : peer, error)) {
            free_queues(name, i);
            return false;
        }
    }
    return true;
}

static bool check_vhost_options(const NetdevTapOptions *o, GError **error)
{
    if ((o->vhostfd || o->vhostfds) && !wants_vhost(o)) {
        return error_set(error, "vhostfd(s)= is not valid without vhost");
    }
    if (o->vhostfds && !o->fds) {
        return error_set(error, "vhostfds= is invalid if fds= wasn't specified");
    }
    if (o->vhostfd && (o->fds || (o->has_queues && o->queues > 1))) {
        return error_set(error, "vhostfd= is for one queue: use fds= and vhostfds= for several");
    }
    return true;
}

static bool tap_create(const Netdev *netdev, const char *name, NetClient *peer, GError **error)
{
    const NetdevTapOptions *o = &netdev->u.tap;

    if (!check_vhost_options(o, error)) {
        return false;
    }
    if (o->has_queues && (o->queues < 1 || o->queues > NET_QUEUES_MAX)) {
        return error_set(error, "queues=%" PRIu32 " is out of range (1 to %d)", o->queues,
                         NET_QUEUES_MAX);
    }
    if (peer && o->has_queues && o->queues > 1) {
        return error_set(error, "Multiqueue tap cannot be used with hubs");
    }
    if (o->fd && (o->fds || o->ifname || o->script || o->downscript || o->has_queues)) {
        return error_set(error,
                         "ifname=, script=, downscript=, queues= and fds= are invalid with fd=");
    }
    if (o->fds && (o->ifname || o->script || o->downscript || o->has_queues)) {
        return error_set(error, "ifname=, script=, downscript= and queues= are invalid with fds=");
    }
    return o->fd || o->fds ? create_fds(o, name, peer, error)
                           : create_interface(o, name, peer, error);
}

static const NetBackend tap_backend = { .kind = NET_CLIENT_DRIVER_TAP, .create = tap_create };
NET_BACKEND_REGISTER(tap_backend);
