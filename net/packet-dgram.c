/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Packets as datagrams. See the header. */
#include "util/osdep.h"
#include "packet-dgram.h"

#include <arpa/inet.h>
#include <glib-unix.h>
#include <netdb.h>
#include <sys/stat.h>
#include "io/channel.h"
#include "util/error.h"

/* ---- packets -------------------------------------------------------------------------------------------------- */

static GSource *watch(PacketDgram *s, GIOCondition condition, GUnixFDSourceFunc func)
{
    GSource *source = g_unix_fd_source_new(s->fd, condition);

    g_source_set_static_name(source, "net-dgram");
    g_source_set_callback(source, (GSourceFunc)(void (*)(void))func, s, NULL);
    g_source_attach(source, NULL);
    return source;
}

static gboolean out_ready(gint fd, GIOCondition condition, gpointer opaque)
{
    PacketDgram *s = opaque;

    io_watch_clear(&s->out_watch);
    net_flush(&s->nc);
    return G_SOURCE_REMOVE;
}

bool packet_dgram_can_receive(NetClient *nc)
{
    return !((PacketDgram *)nc)->out_watch;
}

bool packet_dgram_receive(NetClient *nc, const struct iovec *iov, unsigned niov, size_t len)
{
    PacketDgram *s = (PacketDgram *)nc;
    struct msghdr msg = { .msg_name = s->to_len ? &s->to : NULL,
                          .msg_namelen = s->to_len,
                          .msg_iov = (struct iovec *)iov,
                          .msg_iovlen = MIN(niov, (unsigned)IOV_MAX) };
    ssize_t n;

    do {
        n = sendmsg(s->fd, &msg, MSG_DONTWAIT | MSG_NOSIGNAL);
    } while (n < 0 && errno == EINTR);
    if (n < 0 && errno == EAGAIN) {
        s->out_watch = watch(s, G_IO_OUT, out_ready);
        return false;
    }
    return true; /* nobody there is the same as a cable without an end */
}

static gboolean in_ready(gint fd, GIOCondition condition, gpointer opaque)
{
    PacketDgram *s = opaque;
    struct iovec iov = { s->in, 0 };
    ssize_t n;

    if (!net_can_send(&s->nc)) {
        io_watch_clear(&s->in_watch); /* until sendable(): they wait in the kernel */
        return G_SOURCE_REMOVE;
    }
    n = recv(s->fd, s->in, NET_PACKET_MAX, MSG_DONTWAIT | MSG_TRUNC);
    if (n > 0 && n <= NET_PACKET_MAX) { /* the beginning of a longer one is no frame */
        iov.iov_len = n;
        net_send(&s->nc, &iov, 1);
    }
    return G_SOURCE_CONTINUE;
}

void packet_dgram_sendable(NetClient *nc)
{
    PacketDgram *s = (PacketDgram *)nc;

    if (!s->in_watch) {
        s->in_watch = watch(s, G_IO_IN, in_ready);
    }
}

void packet_dgram_cleanup(NetClient *nc)
{
    PacketDgram *s = (PacketDgram *)nc;
    struct stat now;

    io_watch_clear(&s->in_watch);
    io_watch_clear(&s->out_watch);
    close(s->fd);
    if (s->unlink_path && stat(s->unlink_path, &now) == 0 && now.st_ino == s->inode &&
        now.st_dev == s->device) {
        unlink(
            s->unlink_path); /* unless it is another process's by now: the one that the machine moved to */
    }
    g_free(s->unlink_path);
    g_free(s->in);
}

NetClient *packet_dgram_new(const NetClientOps *ops, const char *name, NetClient *peer, int fd,
                            const struct sockaddr *to, socklen_t to_len, const char *unlink_path)
{
    NetClient *nc = net_client_new(ops, qapi_name_NetClientDriver(ops->kind), name, 0, peer);
    PacketDgram *s = (PacketDgram *)nc;
    struct stat made;

    s->fd = fd;
    if (to) {
        memcpy(&s->to, to, to_len);
        s->to_len = to_len;
    }
    s->in = g_malloc(NET_PACKET_MAX);
    if (unlink_path && stat(unlink_path, &made) == 0) {
        s->unlink_path = g_strdup(unlink_path);
        s->inode = made.st_ino;
        s->device = made.st_dev;
    }
    s->in_watch = watch(s, G_IO_IN, in_ready);
    return nc;
}

/* ---- sockets --------------------------------------------------------------------------------------------------- */

bool packet_dgram_resolve(const char *host, const char *port, int family, bool passive,
                          struct sockaddr_storage *addr, socklen_t *len, GError **error)
{
    struct addrinfo hints = { .ai_family = family,
                              .ai_socktype = SOCK_DGRAM,
                              .ai_flags = passive ? AI_PASSIVE : 0 };
    struct addrinfo *list;
    int r = getaddrinfo(host && host[0] ? host : NULL, port && port[0] ? port : "0", &hints, &list);

    if (r) {
        return error_set(error, "can't resolve host address '%s', port '%s': %s", host ? host : "",
                         port ? port : "", r == EAI_SYSTEM ? g_strerror(errno) : gai_strerror(r));
    }
    memcpy(addr, list->ai_addr, list->ai_addrlen);
    *len = list->ai_addrlen;
    freeaddrinfo(list);
    return true;
}

int packet_dgram_bind(const struct sockaddr *addr, socklen_t len, GError **error)
{
    int fd = socket(addr->sa_family, SOCK_DGRAM | SOCK_CLOEXEC, 0), on = 1;

    if (fd < 0) {
        error_set_errno(error, errno, "can't create datagram socket");
        return -1;
    }
    if (addr->sa_family != AF_UNIX) {
        setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
    }
    if (bind(fd, addr, len) < 0) {
        error_set_errno(error, errno, "can't bind datagram socket");
        close(fd);
        return -1;
    }
    return fd;
}

int packet_dgram_join(const struct sockaddr_in *group, const struct in_addr *local, GError **error)
{
    struct ip_mreq member = { .imr_multiaddr = group->sin_addr };
    int fd, on = 1;

    if (!IN_MULTICAST(ntohl(group->sin_addr.s_addr))) {
        char text[INET_ADDRSTRLEN];

        inet_ntop(AF_INET, &group->sin_addr, text, sizeof(text));
        error_set(error, "specified mcastaddr %s (0x%08x) does not contain a multicast address",
                  text, (unsigned)ntohl(group->sin_addr.s_addr));
        return -1;
    }
    fd = packet_dgram_bind((const struct sockaddr *)group, sizeof(*group), error);
    if (fd < 0) {
        return -1;
    }
    if (local) {
        member.imr_interface = *local;
    }
    if (setsockopt(fd, IPPROTO_IP, IP_ADD_MEMBERSHIP, &member, sizeof(member)) < 0 ||
        setsockopt(fd, IPPROTO_IP, IP_MULTICAST_LOOP, &on, sizeof(on)) <
            0 || /* others on this host */
        (local && setsockopt(fd, IPPROTO_IP, IP_MULTICAST_IF, local, sizeof(*local)) < 0)) {
        error_set_errno(error, errno, "can't join multicast group");
        close(fd);
        return -1;
    }
    return fd;
}
