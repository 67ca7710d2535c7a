/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Backend `dgram`: each packet a datagram, between two addresses or in a multicast group. */
#include "util/osdep.h"
#include "packet-dgram.h"

#include <arpa/inet.h>
#include <sys/un.h>
#include "io/fds.h"
#include "util/error.h"

static const NetClientOps dgram_ops = { PACKET_DGRAM_OPS(NET_CLIENT_DRIVER_DGRAM) };

static int inet_family(const InetSocketAddress *addr)
{
    bool no4 = addr->has_ipv4 && !addr->ipv4, no6 = addr->has_ipv6 && !addr->ipv6;

    return no4 ? AF_INET6 : no6 || (addr->has_ipv4 && addr->ipv4) ? AF_INET : AF_UNSPEC;
}

/* A descriptor that somebody else has opened; -1 with an error. */
static int take_fd(const char *text, GError **error)
{
    int fd = io_fd_take(text, error), type = 0;
    socklen_t len = sizeof(type);

    if (fd < 0) {
        return -1;
    }
    if (getsockopt(fd, SOL_SOCKET, SO_TYPE, &type, &len) < 0 || type != SOCK_DGRAM) {
        error_set(error, "fd=%s is not a datagram socket", text);
        close(fd);
        return -1;
    }
    return fd;
}

/* ---- multicast ------------------------------------------------------------------------------------------------- */

static bool create_multicast(const NetdevDgramOptions *o, const struct sockaddr_in *group,
                             const char *name, NetClient *peer, GError **error)
{
    const SocketAddress *local = o->local;
    struct in_addr interface;
    NetClient *nc;
    int fd;

    if (local && local->type == SOCKET_ADDRESS_TYPE_FD) {
        fd = take_fd(local->u.fd.str, error);
    } else if (local && local->type != SOCKET_ADDRESS_TYPE_INET) {
        return error_set(error, "multicast only supports inet and fd types for local");
    } else if (local && inet_pton(AF_INET, local->u.inet.host, &interface) != 1) {
        return error_set(error, "localaddr '%s' is not an IPv4 address", local->u.inet.host);
    } else {
        fd = packet_dgram_join(group, local ? &interface : NULL, error);
    }
    if (fd < 0) {
        return false;
    }
    nc = packet_dgram_new(&dgram_ops, name, peer, fd, (const struct sockaddr *)group,
                          sizeof(*group), NULL);
    net_set_info(nc, "mcast=%s:%u", o->remote->u.inet.host, ntohs(group->sin_port));
    return true;
}

/* ---- two addresses --------------------------------------------------------------------------------------------- */

static bool create_inet(const NetdevDgramOptions *o, const char *name, NetClient *peer,
                        GError **error)
{
    const InetSocketAddress *l = &o->local->u.inet, *r = &o->remote->u.inet;
    struct sockaddr_storage local, remote;
    socklen_t local_len, remote_len;
    NetClient *nc;
    int fd;

    if (!packet_dgram_resolve(r->host, r->port, inet_family(r), false, &remote, &remote_len,
                              error) ||
        !packet_dgram_resolve(l->host, l->port, remote.ss_family, true, &local, &local_len,
                              error)) {
        return false;
    }
    fd = packet_dgram_bind((struct sockaddr *)&local, local_len, error);
    if (fd < 0) {
        return false;
    }
    nc = packet_dgram_new(&dgram_ops, name, peer, fd, (struct sockaddr *)&remote, remote_len, NULL);
    net_set_info(nc, "udp=%s:%s/%s:%s", l->host, l->port, r->host, r->port);
    return true;
}

static bool unix_address(const char *path, struct sockaddr_un *addr, GError **error)
{
    if (strlen(path) >= sizeof(addr->sun_path)) {
        return error_set(error, "UNIX socket path '%s' is too long", path);
    }
    addr->sun_family = AF_UNIX;
    strcpy(addr->sun_path, path);
    return true;
}

static bool create_unix(const NetdevDgramOptions *o, const char *name, NetClient *peer,
                        GError **error)
{
    const char *l = o->local->u.unix_.path, *r = o->remote->u.unix_.path;
    struct sockaddr_un local = { 0 }, remote = { 0 };
    NetClient *nc;
    int fd;

    if (!unix_address(l, &local, error) || !unix_address(r, &remote, error)) {
        return false;
    }
    if (unlink(l) < 0 && errno != ENOENT) {
        return error_set_errno(error, errno, "failed to unlink socket %s", l);
    }
    fd = packet_dgram_bind((struct sockaddr *)&local, sizeof(local), error);
    if (fd < 0) {
        error_prefix(error, "%s: ", l);
        return false;
    }
    nc =
        packet_dgram_new(&dgram_ops, name, peer, fd, (struct sockaddr *)&remote, sizeof(remote), l);
    net_set_info(nc, "udp=%s:%s", l, r);
    return true;
}

static bool create_fd(const NetdevDgramOptions *o, const char *name, NetClient *peer,
                      GError **error)
{
    int fd = take_fd(o->local->u.fd.str, error);
    NetClient *nc;

    if (fd < 0) {
        return false;
    }
    nc = packet_dgram_new(&dgram_ops, name, peer, fd, NULL, 0, NULL);
    net_set_info(nc, "fd=%d", fd);
    return true;
}

static bool check_types(const NetdevDgramOptions *o, GError **error)
{
    if (!o->local) {
        return error_set(error, "dgram requires local= parameter");
    }
    if (o->local->type == SOCKET_ADDRESS_TYPE_VSOCK) {
        return error_set(error, "dgram only supports inet, unix and fd types for local");
    }
    if (o->local->type == SOCKET_ADDRESS_TYPE_FD) {
        return !o->remote ||
               error_set(error,
                         "local type=fd does not take a remote: the socket must be connected");
    }
    if (!o->remote) {
        return error_set(error, "type=inet or type=unix requires remote parameter");
    }
    return o->local->type == o->remote->type ||
           error_set(error, "remote and local types must be the same");
}

static bool dgram_create(const Netdev *netdev, const char *name, NetClient *peer, GError **error)
{
    const NetdevDgramOptions *o = &netdev->u.dgram;

    if (o->remote && o->remote->type == SOCKET_ADDRESS_TYPE_INET) {
        const InetSocketAddress *r = &o->remote->u.inet;
        struct sockaddr_storage addr;
        socklen_t len;

        if (!packet_dgram_resolve(r->host, r->port, inet_family(r), false, &addr, &len, error)) {
            return false;
        }
        if (addr.ss_family == AF_INET &&
            IN_MULTICAST(ntohl(((struct sockaddr_in *)&addr)->sin_addr.s_addr))) {
            return create_multicast(o, (struct sockaddr_in *)&addr, name, peer, error);
        }
    }
    if (!check_types(o, error)) {
        return false;
    }
    switch (o->local->type) {
    case SOCKET_ADDRESS_TYPE_INET:
        return create_inet(o, name, peer, error);
    case SOCKET_ADDRESS_TYPE_UNIX:
        return create_unix(o, name, peer, error);
    default:
        return create_fd(o, name, peer, error);
    }
}

static const NetBackend dgram_backend = { .kind = NET_CLIENT_DRIVER_DGRAM, .create = dgram_create };
NET_BACKEND_REGISTER(dgram_backend);
