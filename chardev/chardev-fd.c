/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Chardevs "file", "pipe", "serial" and "stdio": descriptors that are open from the start. */
#include "util/osdep.h"

#include <fcntl.h>
#include <sys/ioctl.h>

#include "chardev-fd.h"
#include "io/fds.h"
#include "util/error.h"

/* ---- common ---- */

static void input_ended(Chardev *chr)
{
    ((FdChardev *)chr)->input_ended = true;
    chardev_be_event(chr, CHARDEV_EVENT_CLOSED);
}

void chardev_fd_set(Chardev *chr, IoChannel *ioc)
{
    FdChardev *fd = (FdChardev *)chr;

    fd->ioc = ioc;
    fd->reader.chr = chr;
    fd->reader.eof = input_ended;
    io_channel_set_blocking(ioc, false, NULL);
    chr->be_open = true;
}

ssize_t chardev_fd_write(Chardev *chr, const uint8_t *buf, size_t len)
{
    ssize_t n = io_channel_write(((FdChardev *)chr)->ioc, buf, len, NULL);

    return n == -EAGAIN ? 0 : n;
}

void chardev_fd_update(Chardev *chr)
{
    FdChardev *fd = (FdChardev *)chr;

    chardev_reader_update(&fd->reader, fd->input_ended ? NULL : fd->ioc);
}

void chardev_fd_stop(Chardev *chr)
{
    FdChardev *fd = (FdChardev *)chr;

    if (fd->reader.chr) {
        chardev_reader_stop(&fd->reader);
    }
}

IoChannel *chardev_fd_writable(Chardev *chr)
{
    return io_channel_ref(((FdChardev *)chr)->ioc);
}

void chardev_fd_finalize(Chardev *chr)
{
    io_channel_unref(((FdChardev *)chr)->ioc);
}

/* ---- file ---- */

/* Output only: reading the file that one writes makes no sense. */
static void file_update(Chardev *chr)
{
    FdChardev *fd = (FdChardev *)chr;

    if (fd->reader.read) {
        chardev_fd_update(chr);
    }
}

static ssize_t file_read(Chardev *chr, void *buf, size_t len)
{
    return io_channel_read(((FdChardev *)chr)->ioc, buf, len, NULL);
}

static bool file_open(Chardev *chr, const ChardevBackend *backend, bool may_wait, GError **error)
{
    const ChardevFile *options = backend->u.file.data;
    int flags = O_WRONLY | O_CREAT | (options->has_append && options->append ? O_APPEND : O_TRUNC);
    int in = -1, out = io_open(options->out, flags, 0666, NULL);

    if (out < 0) {
        return error_set_errno(error, -out, "Could not open '%s'", options->out);
    }
    if (options->in) {
        in = io_open(options->in, O_RDONLY | O_NONBLOCK, 0, error);
        if (in < 0) {
            io_close(out);
            return false;
        }
        ((FdChardev *)chr)->reader.read = file_read;
    }
    chardev_fd_set(chr, io_channel_new_fd_pair(in, out));
    return true;
}

static const ChardevOps file_ops = {
    .kind = CHARDEV_BACKEND_KIND_FILE,
    .size = sizeof(FdChardev),
    .open = file_open,
    .write = chardev_fd_write,
    .update = file_update,
    .stop = chardev_fd_stop,
    .writable = chardev_fd_writable,
    .finalize = chardev_fd_finalize,
};
CHARDEV_REGISTER(file_ops)

/* ---- pipe ---- */

static bool pipe_open(Chardev *chr, const ChardevBackend *backend, bool may_wait, GError **error)
{
    const char *path = backend->u.pipe.data->device;
    g_autofree char *in_path = g_strdup_printf("%s.in", path);
    g_autofree char *out_path = g_strdup_printf("%s.out", path);
    /* opened for both directions, so that neither open nor end of file depends on the other side */
    int in = io_open(in_path, O_RDWR | O_NONBLOCK, 0, NULL);
    int out = io_open(out_path, O_RDWR | O_NONBLOCK, 0, NULL);

    if (in < 0 || out < 0) {
        if (in >= 0) {
            io_close(in);
        }
        if (out >= 0) {
            io_close(out);
        }
        in = out = io_open(path, O_RDWR | O_NONBLOCK, 0, error);
        if (in < 0) {
            return false;
        }
    }
    chardev_fd_set(chr, io_channel_new_fd_pair(in, out));
    return true;
}

static const ChardevOps pipe_ops = {
    .kind = CHARDEV_BACKEND_KIND_PIPE,
    .size = sizeof(FdChardev),
    .open = pipe_open,
    .write = chardev_fd_write,
    .update = chardev_fd_update,
    .stop = chardev_fd_stop,
    .writable = chardev_fd_writable,
    .finalize = chardev_fd_finalize,
};
CHARDEV_REGISTER(pipe_ops)

/* ---- serial: a terminal device of the host ---- */

static bool serial_open(Chardev *chr, const ChardevBackend *backend, bool may_wait, GError **error)
{
    struct termios tty;
    int fd = io_open(backend->u.serial.data->device, O_RDWR | O_NONBLOCK | O_NOCTTY, 0, error);

    if (fd < 0) {
        return false;
    }
    if (tcgetattr(fd, &tty) == 0) {
        cfmakeraw(&tty);
        tcsetattr(fd, TCSANOW, &tty);
    }
    chardev_fd_set(chr, io_channel_new_fd_pair(fd, fd));
    return true;
}

static void serial_send_break(Chardev *chr)
{
    tcsendbreak(io_channel_fd(((FdChardev *)chr)->ioc), 1);
}

static const ChardevOps serial_ops = {
    .kind = CHARDEV_BACKEND_KIND_SERIAL,
    .size = sizeof(FdChardev),
    .open = serial_open,
    .write = chardev_fd_write,
    .update = chardev_fd_update,
    .stop = chardev_fd_stop,
    .writable = chardev_fd_writable,
    .send_break = serial_send_break,
    .finalize = chardev_fd_finalize,
};
CHARDEV_REGISTER(serial_ops)

/* ---- stdio ---- */

static FdChardev *stdio_user;

static void stdio_set_echo(Chardev *chr, bool echo)
{
    FdChardev *fd = (FdChardev *)chr;
    struct termios tty = fd->saved_tty;

    if (!fd->tty_saved) {
        return;
    }
    if (!echo) {
        tty.c_iflag &=
            ~(tcflag_t)(IGNBRK | BRKINT | PARMRK | ISTRIP | INLCR | IGNCR | ICRNL | IXON);
        tty.c_oflag |= OPOST;
        tty.c_lflag &= ~(tcflag_t)(ECHO | ECHONL | ICANON | IEXTEN);
        tty.c_cflag &= ~(tcflag_t)(CSIZE | PARENB);
        tty.c_cflag |= CS8;
        tty.c_cc[VMIN] = 1;
        tty.c_cc[VTIME] = 0;
    }
    if (!fd->allow_signal) {
        tty.c_lflag &= ~(tcflag_t)ISIG;
    }
    tcsetattr(0, TCSANOW, &tty);
}

/* Also from exit(), where a terminal must not stay raw. */
static void stdio_restore(void)
{
    if (stdio_user) {
        if (stdio_user->tty_saved) {
            tcsetattr(0, TCSANOW, &stdio_user->saved_tty);
        }
        fcntl(0, F_SETFL, stdio_user->saved_flags[0]);
        fcntl(1, F_SETFL, stdio_user->saved_flags[1]);
    }
}

static bool stdio_open(Chardev *chr, const ChardevBackend *backend, bool may_wait, GError **error)
{
    FdChardev *fd = (FdChardev *)chr;
    const ChardevStdio *options = backend->u.stdio.data;
    static bool at_exit;
    int in, out;

    if (stdio_user) {
        return error_set(error, "cannot use stdio by multiple character devices");
    }
    fd->stdio = true;
    fd->allow_signal = !options->has_signal || options->signal;
    fd->saved_flags[0] = fcntl(0, F_GETFL);
    fd->saved_flags[1] = fcntl(1, F_GETFL);
    in = fcntl(0, F_DUPFD_CLOEXEC, 3);
    out = fcntl(1, F_DUPFD_CLOEXEC, 3);
    if (in < 0 || out < 0) {
        error_set_errno(error, errno, "Cannot use standard input and output");
        if (in >= 0) {
            close(in);
        }
        return false;
    }
    fd->tty_saved = tcgetattr(0, &fd->saved_tty) == 0;
    stdio_user = fd;
    if (!at_exit) {
        at_exit = true;
        atexit(stdio_restore);
    }
    chardev_fd_set(chr, io_channel_new_fd_pair(in, out));
    stdio_set_echo(chr, false);
    return true;
}

static void stdio_finalize(Chardev *chr)
{
    if ((FdChardev *)chr == stdio_user) {
        stdio_restore();
        stdio_user = NULL;
    }
    chardev_fd_finalize(chr);
}

static const ChardevOps stdio_ops = {
    .kind = CHARDEV_BACKEND_KIND_STDIO,
    .size = sizeof(FdChardev),
    .open = stdio_open,
    .write = chardev_fd_write,
    .update = chardev_fd_update,
    .stop = chardev_fd_stop,
    .writable = chardev_fd_writable,
    .set_echo = stdio_set_echo,
    .finalize = stdio_finalize,
};
CHARDEV_REGISTER(stdio_ops)
