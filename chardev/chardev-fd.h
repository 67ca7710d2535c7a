/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The common part of backends over one IoChannel that is there from the start: file, pipe, serial,
 * stdio, pty. */
#ifndef CHARDEV_FD_H
#define CHARDEV_FD_H

#include <termios.h>

#include "chardev-private.h"

typedef struct FdChardev {
    Chardev base;
    IoChannel *ioc;
    bool input_ended;
    ChardevReader reader;
    /* stdio */
    bool stdio;
    bool allow_signal;
    struct termios saved_tty;
    bool tty_saved;
    int saved_flags[2];
    /* pty */
    GSource *poll_timer;
    char *link;
} FdChardev;

/* Takes ioc; makes it non-blocking. */
void chardev_fd_set(Chardev *chr, IoChannel *ioc);
ssize_t chardev_fd_write(Chardev *chr, const uint8_t *buf, size_t len);
void chardev_fd_update(Chardev *chr);
void chardev_fd_stop(Chardev *chr);
IoChannel *chardev_fd_writable(Chardev *chr);
void chardev_fd_finalize(Chardev *chr);

#endif
