/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Socket addresses: text, QAPI, struct sockaddr. See include/io/socket.h. */
#include "util/osdep.h"

#include <linux/vm_sockets.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/un.h>

#include "socket-private.h"
#include "util/error.h"
#include "util/keyval.h"

/* ---- QAPI to struct sockaddr ---- */

static bool add_unix(GArray *out, const UnixSocketAddress *addr, GError **error)
{
    bool abstract = addr->has_abstract && addr->abstract;
    bool tight = !addr->has_tight || addr->tight;
    size_t len = strlen(addr->path);
    IoSockaddr sa = { .len = sizeof(struct sockaddr_un) };
    struct sockaddr_un *un = (struct sockaddr_un *)&sa.ss;

    if (len + abstract > sizeof(un->sun_path)) {
        return error_set(error, "UNIX socket path '%s' is too long", addr->path);
    }
    un->sun_family = AF_UNIX;
    memcpy(un->sun_path + abstract, addr->path, len);
    if (abstract && tight) {
        sa.len = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + 1 + len);
    }
    g_array_append_val(out, sa);
    return true;
}

static bool add_vsock(GArray *out, const VsockSocketAddress *addr, GError **error)
{
    IoSockaddr sa = { .len = sizeof(struct sockaddr_vm) };
    struct sockaddr_vm *vm = (struct sockaddr_vm *)&sa.ss;
    uint64_t cid, port;

    if (!parse_uint64(addr->cid, &cid, NULL) || cid > UINT32_MAX) {
        return error_set(error, "Failed to parse cid '%s'", addr->cid);
    }
    if (!parse_uint64(addr->port, &port, NULL) || port > UINT32_MAX) {
        return error_set(error, "Failed to parse port '%s'", addr->port);
    }
    vm->svm_family = AF_VSOCK;
    vm->svm_cid = (unsigned)cid;
    vm->svm_port = (unsigned)port;
    g_array_append_val(out, sa);
    return true;
}

/* Which families the ipv4 and ipv6 switches allow; false if none. */
static bool choose_family(const InetSocketAddress *addr, int *family, GError **error)
{
    bool no4 = addr->has_ipv4 && !addr->ipv4, no6 = addr->has_ipv6 && !addr->ipv6;
    bool want4 = addr->has_ipv4 && addr->ipv4, want6 = addr->has_ipv6 && addr->ipv6;

    if (no4 && no6) {
        return error_set(error, "Cannot disable IPv4 and IPv6 at same time");
    }
    *family = (no4 || (want6 && !want4))   ? AF_INET6
              : (no6 || (want4 && !want6)) ? AF_INET
                                           : AF_UNSPEC;
    return true;
}

static bool add_inet(GArray *out, const InetSocketAddress *addr, bool passive, GError **error)
{
    struct addrinfo hints = { .ai_socktype = SOCK_STREAM, .ai_flags = passive ? AI_PASSIVE : 0 };
    struct addrinfo *list;
    const char *host = addr->host[0] ? addr->host : NULL;
    int r;

    if (!choose_family(addr, &hints.ai_family, error)) {
        return false;
    }
    if (!addr->port[0]) {
        return error_set(error, "port not specified");
    }
    if (addr->has_numeric && addr->numeric) {
        hints.ai_flags |= AI_NUMERICHOST | AI_NUMERICSERV;
    }
    r = getaddrinfo(host, addr->port, &hints, &list);
    if (r) {
        return error_set(error, "address resolution failed for %s:%s: %s", addr->host, addr->port,
                         r == EAI_SYSTEM ? g_strerror(errno) : gai_strerror(r));
    }
    for (struct addrinfo *ai = list; ai; ai = ai->ai_next) {
        IoSockaddr sa = { .len = ai->ai_addrlen };

        memcpy(&sa.ss, ai->ai_addr, ai->ai_addrlen);
        g_array_append_val(out, sa);
    }
    freeaddrinfo(list);
    return true;
}

GArray *io_sockaddr_resolve(const SocketAddress *addr, bool passive, GError **error)
{
    GArray *out = g_array_new(FALSE, TRUE, sizeof(IoSockaddr));
    bool ok = false;

    switch (addr->type) {
    case SOCKET_ADDRESS_TYPE_INET:
        ok = add_inet(out, &addr->u.inet, passive, error);
        break;
    case SOCKET_ADDRESS_TYPE_UNIX:
        ok = add_unix(out, &addr->u.unix_, error);
        break;
    case SOCKET_ADDRESS_TYPE_VSOCK:
        ok = add_vsock(out, &addr->u.vsock, error);
        break;
    default:
        error_set(error, "A descriptor has no address");
        break;
    }
    if (!ok) {
        g_array_unref(out);
        return NULL;
    }
    return out;
}

void io_socket_apply_options(int fd, const SocketAddress *addr)
{
    int one = 1;

    if (addr->type == SOCKET_ADDRESS_TYPE_INET && addr->u.inet.has_keep_alive &&
        addr->u.inet.keep_alive) {
        setsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, &one, sizeof(one));
    }
}

/* ---- struct sockaddr to QAPI ---- */

static SocketAddress *inet_to_qapi(const struct sockaddr_storage *ss, socklen_t len, GError **error)
{
    char host[NI_MAXHOST], port[NI_MAXSERV];
    SocketAddress *addr;
    int r = getnameinfo((const struct sockaddr *)ss, len, host, sizeof(host), port, sizeof(port),
                        NI_NUMERICHOST | NI_NUMERICSERV);

    if (r) {
        error_set(error, "Cannot format an address: %s", gai_strerror(r));
        return NULL;
    }
    addr = g_new0(SocketAddress, 1);
    addr->type = SOCKET_ADDRESS_TYPE_INET;
    addr->u.inet.host = g_strdup(host);
    addr->u.inet.port = g_strdup(port);
    if (ss->ss_family == AF_INET) {
        addr->u.inet.has_ipv4 = addr->u.inet.ipv4 = true;
    } else {
        addr->u.inet.has_ipv6 = addr->u.inet.ipv6 = true;
    }
    return addr;
}

static SocketAddress *unix_to_qapi(const struct sockaddr_un *un, socklen_t len)
{
    SocketAddress *addr = g_new0(SocketAddress, 1);
    size_t n = len > offsetof(struct sockaddr_un, sun_path)
                   ? len - offsetof(struct sockaddr_un, sun_path)
                   : 0;

    addr->type = SOCKET_ADDRESS_TYPE_UNIX;
    if (n && un->sun_path[0] == '\0') {
        addr->u.unix_.has_abstract = addr->u.unix_.abstract = true;
        addr->u.unix_.has_tight = true;
        addr->u.unix_.tight = len < sizeof(*un);
        addr->u.unix_.path = g_strndup(un->sun_path + 1, n - 1);
    } else {
        addr->u.unix_.path = g_strndup(un->sun_path, n);
    }
    return addr;
}

SocketAddress *io_sockaddr_to_qapi(const struct sockaddr_storage *ss, socklen_t len, GError **error)
{
    const struct sockaddr_vm *vm = (const struct sockaddr_vm *)ss;
    SocketAddress *addr;

    switch (ss->ss_family) {
    case AF_INET:
    case AF_INET6:
        return inet_to_qapi(ss, len, error);
    case AF_UNIX:
        return unix_to_qapi((const struct sockaddr_un *)ss, len);
    case AF_VSOCK:
        addr = g_new0(SocketAddress, 1);
        addr->type = SOCKET_ADDRESS_TYPE_VSOCK;
        addr->u.vsock.cid = g_strdup_printf("%u", vm->svm_cid);
        addr->u.vsock.port = g_strdup_printf("%u", vm->svm_port);
        return addr;
    default:
        error_set(error, "Socket family %d unsupported", ss->ss_family);
        return NULL;
    }
}

/* ---- text ---- */

/* "HOST:PORT" with [..] around IPv6 addresses; *rest is what follows the port (options). */
static bool split_host_port(const char *text, char **host, char **port, const char **rest,
                            GError **error)
{
    const char *colon, *end;

    if (text[0] == '[') {
        const char *close = strchr(text, ']');

        if (!close || close[1] != ':') {
            return error_set(error, "error parsing IPv6 address '%s'", text);
        }
        *host = g_strndup(text + 1, (size_t)(close - text - 1));
        colon = close + 1;
    } else {
        colon = strchr(text, ':');
        if (!colon) {
            return error_set(error, "error parsing address '%s'", text);
        }
        *host = g_strndup(text, (size_t)(colon - text));
    }
    end = strchr(colon, ',');
    *rest = end ? end + 1 : "";
    *port = end ? g_strndup(colon + 1, (size_t)(end - colon - 1)) : g_strdup(colon + 1);
    return true;
}

/* What stands behind the port: "to=5910,ipv4=on". */
static SocketAddress *decode_with_options(json_object *in, const char *options, GError **error)
{
    SocketAddress *addr = NULL;

    if (*options) {
        json_object *more = keyval_parse(options, NULL, true, NULL, error);

        if (!more) {
            return NULL;
        }
        json_object_object_foreach(more, key, value)
        {
            json_object_object_add(in, key, json_object_get(value));
        }
        json_object_put(more);
    }
    addr = qapi_decode_SocketAddress(in, QAPI_INPUT_KEYVAL, error);
    return addr;
}

static void add_text(json_object *object, const char *key, const char *value)
{
    json_object_object_add(object, key, json_object_new_string(value));
}

static SocketAddress *parse_two_parts(const char *type, const char *text, const char *key,
                                      GError **error)
{
    g_autofree char *host = NULL, *port = NULL;
    const char *rest = "";
    json_object *in;
    SocketAddress *addr;

    if (!split_host_port(text, &host, &port, &rest, error)) {
        return NULL;
    }
    in = json_object_new_object();
    add_text(in, "type", type);
    add_text(in, key, host);
    add_text(in, "port", port);
    addr = decode_with_options(in, rest, error);
    json_object_put(in);
    return addr;
}

static SocketAddress *parse_one_part(const char *type, const char *key, const char *value,
                                     GError **error)
{
    json_object *in;
    SocketAddress *addr;

    if (!*value) {
        error_set(error, "Empty address '%s:'", type);
        return NULL;
    }
    in = json_object_new_object();
    add_text(in, "type", type);
    add_text(in, key, value);
    addr = qapi_decode_SocketAddress(in, QAPI_INPUT_KEYVAL, error);
    json_object_put(in);
    return addr;
}

SocketAddress *io_socket_address_parse(const char *text, GError **error)
{
    if (g_str_has_prefix(text, "unix:")) {
        return parse_one_part("unix", "path", text + 5, error);
    }
    if (g_str_has_prefix(text, "fd:")) {
        return parse_one_part("fd", "str", text + 3, error);
    }
    if (g_str_has_prefix(text, "vsock:")) {
        return parse_two_parts("vsock", text + 6, "cid", error);
    }
    return parse_two_parts("inet", g_str_has_prefix(text, "tcp:") ? text + 4 : text, "host", error);
}

char *io_socket_address_brief(const SocketAddress *addr)
{
    switch (addr->type) {
    case SOCKET_ADDRESS_TYPE_INET:
        return g_strdup_printf(strchr(addr->u.inet.host, ':') ? "[%s]:%s" : "%s:%s",
                               addr->u.inet.host, addr->u.inet.port);
    case SOCKET_ADDRESS_TYPE_UNIX:
        return g_strdup_printf("%s%s",
                               addr->u.unix_.has_abstract && addr->u.unix_.abstract ? "@" : "",
                               addr->u.unix_.path);
    case SOCKET_ADDRESS_TYPE_VSOCK:
        return g_strdup_printf("%s:%s", addr->u.vsock.cid, addr->u.vsock.port);
    default:
        return g_strdup(addr->u.fd.str);
    }
}

char *io_socket_address_format(const SocketAddress *addr)
{
    static const char *const prefix[SOCKET_ADDRESS_TYPE_COUNT] = {
        [SOCKET_ADDRESS_TYPE_INET] = "tcp",
        [SOCKET_ADDRESS_TYPE_UNIX] = "unix",
        [SOCKET_ADDRESS_TYPE_VSOCK] = "vsock",
        [SOCKET_ADDRESS_TYPE_FD] = "fd",
    };
    g_autofree char *brief = NULL;

    if (addr->type == SOCKET_ADDRESS_TYPE_UNIX) {
        bool abstract = addr->u.unix_.has_abstract && addr->u.unix_.abstract;
        bool tight = !addr->u.unix_.has_tight || addr->u.unix_.tight;

        return g_strdup_printf("unix:%s%s%s", addr->u.unix_.path, abstract ? ",abstract=on" : "",
                               abstract && tight ? ",tight=on" : "");
    }
    brief = io_socket_address_brief(addr);
    return g_strdup_printf("%s:%s", prefix[addr->type], brief);
}
