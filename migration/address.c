/* SPDX-License-Identifier: GPL-2.0-or-later */
/* URIs and channels of migrate, migrate-incoming and -incoming. */
#include "util/osdep.h"
#include "address.h"

#include <fcntl.h>
#include "io/fds.h"
#include "options.h"
#include "util/error.h"
#include "util/keyval.h"

/* "PATH[,offset=SIZE]" */
static bool parse_file(const char *text, FileMigrationArgs *args, GError **error)
{
    const char *option = strstr(text, ",offset=");
    args->filename = option ? g_strndup(text, option - text) : g_strdup(text);
    if (option && (!parse_size(option + strlen(",offset="), 1, &args->offset, NULL) ||
                   args->offset > INT64_MAX)) {
        return error_set(error, "file URI has bad offset %s", option + strlen(",offset="));
    }
    if (!args->filename[0]) {
        return error_set(error, "file URI without a file name");
    }
    return true;
}

static bool is_socket_uri(const char *uri)
{
    static const char *const schemes[] = { "tcp:", "unix:", "vsock:", "fd:" };
    for (size_t i = 0; i < G_N_ELEMENTS(schemes); i++) {
        if (g_str_has_prefix(uri, schemes[i])) {
            return true;
        }
    }
    return false;
}

static bool parse_uri(const char *uri, MigrationAddress *addr, GError **error)
{
    if (g_str_has_prefix(uri, "exec:")) {
        addr->transport = MIGRATION_ADDRESS_TYPE_EXEC;
        addr->u.exec.args_ = g_new0(StrArray, 1);
        QAPI_ARRAY_ADD(addr->u.exec.args_, g_strdup("/bin/sh"));
        QAPI_ARRAY_ADD(addr->u.exec.args_, g_strdup("-c"));
        QAPI_ARRAY_ADD(addr->u.exec.args_, g_strdup(uri + strlen("exec:")));
        return true;
    }
    if (g_str_has_prefix(uri, "file:")) {
        addr->transport = MIGRATION_ADDRESS_TYPE_FILE;
        return parse_file(uri + strlen("file:"), &addr->u.file, error);
    }
    if (!is_socket_uri(uri)) {
        return error_set(error, "unknown migration protocol: %s", uri);
    }
    SocketAddress *socket = io_socket_address_parse(uri, error);
    if (!socket) {
        return false;
    }
    addr->transport = MIGRATION_ADDRESS_TYPE_SOCKET;
    addr->u.socket = *socket;
    g_free(socket); /* its members are ours now */
    return true;
}

static MigrationAddress *from_channels(const MigrationChannelArray *channels, GError **error)
{
    if (channels->len != 1) {
        error_set(error, "Channel list must have one entry, type 'main'");
        return NULL;
    }
    const MigrationAddress *addr = channels->items[0]->addr;
    if (addr->transport == MIGRATION_ADDRESS_TYPE_EXEC && addr->u.exec.args_->len == 0) {
        error_set(error, "Parameter 'args' names no program");
        return NULL;
    }
    return qapi_clone_MigrationAddress(addr);
}

MigrationAddress *migration_address_from(const char *uri, const MigrationChannelArray *channels, GError **error)
{
    if (!uri == !channels) {
        error_set(error, uri ? "uri and channels arguments are mutually exclusive; exactly one of the two "
                               "should be present in migration commands"
                             : "neither uri nor channels argument are specified in migration command");
        return NULL;
    }
    if (channels) {
        return from_channels(channels, error);
    }
    MigrationAddress *addr = g_new0(MigrationAddress, 1);
    if (!parse_uri(uri, addr, error)) {
        qapi_free_MigrationAddress(addr);
        return NULL;
    }
    return addr;
}

bool migration_address_may_seek(const MigrationAddress *addr)
{
    return addr->transport == MIGRATION_ADDRESS_TYPE_FILE ||
           (addr->transport == MIGRATION_ADDRESS_TYPE_SOCKET &&
            addr->u.socket.type == SOCKET_ADDRESS_TYPE_FD);
}

bool migration_address_two_way(const MigrationAddress *addr)
{
    return addr->transport == MIGRATION_ADDRESS_TYPE_SOCKET;
}

const SocketAddress *migration_address_socket(const MigrationAddress *addr)
{
    if (addr->transport != MIGRATION_ADDRESS_TYPE_SOCKET ||
        addr->u.socket.type == SOCKET_ADDRESS_TYPE_FD) {
        return NULL;
    }
    return &addr->u.socket;
}

static IoChannel *open_command(const StrArray *args, bool outgoing, GError **error)
{
    g_autofree const char **argv = g_new0(const char *, args->len + 1);
    for (size_t i = 0; i < args->len; i++) {
        argv[i] = args->items[i];
    }
    return io_channel_new_command(argv, outgoing ? G_IO_OUT : G_IO_IN, error);
}

static IoChannel *open_file(const FileMigrationArgs *args, bool outgoing, GError **error)
{
    int flags = outgoing ? O_WRONLY | O_CREAT | (args->offset ? 0 : O_TRUNC) : O_RDONLY;
    IoChannel *ioc = io_channel_new_file(args->filename, flags, 0660, error);
    if (ioc && args->offset && io_channel_seek(ioc, args->offset, SEEK_SET, error) < 0) {
        io_channel_unref(ioc);
        return NULL;
    }
    return ioc;
}

IoChannel *migration_address_open(const MigrationAddress *addr, bool outgoing, GError **error)
{
    int fd;
    switch (addr->transport) {
    case MIGRATION_ADDRESS_TYPE_EXEC:
        return open_command(addr->u.exec.args_, outgoing, error);
    case MIGRATION_ADDRESS_TYPE_FILE:
        return open_file(&addr->u.file, outgoing, error);
    case MIGRATION_ADDRESS_TYPE_SOCKET:
        fd = io_fd_take(addr->u.socket.u.fd.str, error);
        return fd < 0 ? NULL : io_channel_new_fd(fd, error);
    default:
        g_assert_not_reached();
    }
}

/* One more open of the main stream's file. */
static IoChannel *open_again(const MigrationAddress *addr, IoChannel *main_stream, int flags,
                             GError **error)
{
    int fd = io_channel_fd(main_stream);
    g_autofree char *own = g_strdup_printf("/proc/self/fd/%d", fd);
    bool file = addr->transport == MIGRATION_ADDRESS_TYPE_FILE;
    g_autoptr(IoChannel) ioc =
        io_channel_new_file(file ? addr->u.file.filename : own, flags, 0, error);
    if (!ioc || !(flags & O_DIRECT) || !(fcntl(fd, F_GETFL) & O_DIRECT)) {
        return g_steal_pointer(&ioc);
    }
    /* A set with one descriptor, which both are: the stream's writes are not aligned. */
    fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) & ~O_DIRECT);
    if (migration_capability(MIGRATION_CAPABILITY_MULTIFD)) {
        error_set(error,
                  "%s: direct-io needs a descriptor with O_DIRECT beside the one without, opened "
                  "separately",
                  io_channel_name(main_stream));
        return NULL;
    }
    return g_steal_pointer(&ioc); /* as stock, which has direct-io with multifd only */
}

bool migration_address_open_pages(const MigrationAddress *addr, IoChannel *main_stream,
                                  bool outgoing, IoChannel **channels, unsigned n, GError **error)
{
    int flags = (outgoing ? O_WRONLY : O_RDONLY) | (migration_direct_io() ? O_DIRECT : 0);
    for (unsigned i = 0; i < n; i++) {
        channels[i] = open_again(addr, main_stream, flags, error);
        if (!channels[i]) {
            while (i) {
                io_channel_unref(channels[--i]);
            }
            return false;
        }
    }
    return true;
}
