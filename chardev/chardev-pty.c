/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Chardev "pty": the master side of a pseudo terminal.
 *
 * Linux tells the master that nobody has the slave open by POLLHUP. It says nothing when somebody
 * opens it, so while there is nobody a timer looks twice a second. What is written meanwhile is
 * lost, as on an unplugged line.
 */
#include "util/osdep.h"

#include <fcntl.h>
#include <poll.h>

#include "chardev-fd.h"
#include "util/error.h"

#define PTY_POLL_MS 500

static void pty_gone(Chardev *chr);

static bool slave_is_open(FdChardev *fd)
{
    struct pollfd pfd = { io_channel_fd(fd->ioc), POLLIN, 0 };

    return poll(&pfd, 1, 0) >= 0 && !(pfd.revents & POLLHUP);
}

static gboolean pty_look(gpointer opaque)
{
    Chardev *chr = opaque;
    FdChardev *fd = opaque;

    if (!slave_is_open(fd)) {
        return G_SOURCE_CONTINUE;
    }
    io_watch_clear(&fd->poll_timer);
    chardev_be_event(chr, CHARDEV_EVENT_OPENED);
    chardev_reader_update(&fd->reader, fd->ioc);
    return G_SOURCE_REMOVE;
}

static void pty_update(Chardev *chr)
{
    FdChardev *fd = (FdChardev *)chr;

    if (chr->be_open) {
        chardev_reader_update(&fd->reader, fd->ioc);
    } else if (!fd->poll_timer && chardev_be_wants_input(chr)) {
        fd->poll_timer = g_timeout_source_new(PTY_POLL_MS);
        g_source_set_callback(fd->poll_timer, pty_look, chr, NULL);
        g_source_attach(fd->poll_timer, chr->ctx);
    }
}

static void pty_gone(Chardev *chr)
{
    chardev_be_event(chr, CHARDEV_EVENT_CLOSED);
    pty_update(chr);
}

static void pty_stop(Chardev *chr)
{
    io_watch_clear(&((FdChardev *)chr)->poll_timer);
    chardev_fd_stop(chr);
}

static ssize_t pty_write(Chardev *chr, const uint8_t *buf, size_t len)
{
    if (!chr->be_open) {
        return (ssize_t)len;
    }
    return chardev_fd_write(chr, buf, len);
}

/* The slave opened and closed once leaves the master hung up, the state that we can test. */
static bool prepare_slave(const char *path, GError **error)
{
    struct termios tty;
    int slave = open(path, O_RDWR | O_NOCTTY | O_CLOEXEC);

    if (slave < 0) {
        return error_set_errno(error, errno, "Could not open '%s'", path);
    }
    if (tcgetattr(slave, &tty) == 0) {
        cfmakeraw(&tty);
        tcsetattr(slave, TCSAFLUSH, &tty);
    }
    close(slave);
    return true;
}

static bool pty_open(Chardev *chr, const ChardevBackend *backend, bool may_wait, GError **error)
{
    FdChardev *fd = (FdChardev *)chr;
    const ChardevPty *options = backend->u.pty.data;
    int master = posix_openpt(O_RDWR | O_NOCTTY | O_CLOEXEC);
    char path[64];

    if (master < 0 || grantpt(master) < 0 || unlockpt(master) < 0 ||
        ptsname_r(master, path, sizeof(path)) != 0) {
        error_set_errno(error, errno, "Failed to create PTY");
        if (master >= 0) {
            close(master);
        }
        return false;
    }
    chardev_fd_set(chr, io_channel_new_fd_pair(master, master));
    fd->reader.eof = pty_gone;
    chr->be_open = false;
    if (!prepare_slave(path, error)) {
        return false;
    }
    if (options->path) {
        if (symlink(path, options->path) < 0) {
            return error_set_errno(error, errno, "Failed to create PTY symlink '%s'",
                                   options->path);
        }
        fd->link = g_strdup(options->path);
    }
    chardev_set_filename(chr, g_strdup_printf("pty:%s", path));
    return true;
}

static void pty_finalize(Chardev *chr)
{
    FdChardev *fd = (FdChardev *)chr;

    if (fd->link) {
        unlink(fd->link);
        g_free(fd->link);
    }
    if (fd->ioc) {
        chardev_fd_finalize(chr);
    }
}

static const ChardevOps pty_ops = {
    .kind = CHARDEV_BACKEND_KIND_PTY,
    .size = sizeof(FdChardev),
    .open = pty_open,
    .write = pty_write,
    .update = pty_update,
    .stop = pty_stop,
    .writable = chardev_fd_writable,
    .finalize = pty_finalize,
};
CHARDEV_REGISTER(pty_ops)
