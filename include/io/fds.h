/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Descriptors that a management application hands over: "fdsets" (add-fd, -add-fd) and names
 * (getfd).
 *
 * "/dev/fdset/N" as a file name means: a duplicate of a descriptor of set N whose access mode fits.
 * Everything that opens a file named by the user opens it with io_open().
 */
#ifndef IO_FDS_H
#define IO_FDS_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>
#include <glib.h>
#include "qapi/types-fds.h"

/* open(2) with O_CLOEXEC, EINTR handled, and fdsets. Returns a descriptor or -errno with an error
 * that names the file: "Could not open 'x': No such file or directory". */
int io_open(const char *path, int flags, mode_t mode, GError **error);
/* Closes a descriptor of io_open(): a duplicate of a set is taken off its list. */
int io_close(int fd);

/* Takes fd (also on failure: it is closed). has_id false: the lowest free set. */
bool io_fdset_add(int fd, bool has_id, int64_t id, const char *opaque, AddfdInfo **info,
                  GError **error);
/* has_fd false: all descriptors of the set. */
bool io_fdset_remove(int64_t id, bool has_fd, int64_t fd, GError **error);
FdsetInfoArray *io_fdset_query(void);

/* A descriptor by number ("7": one that we inherited; checked to be open) or, if it begins with a
 * letter, by the name that getfd gave it, which is used up. Returns the descriptor, now the
 * caller's, or -1 with an error. */
int io_fd_take(const char *name, GError **error);
/* The monitor layer sets who knows names: returns a descriptor or -1 with an error. */
void io_fd_set_resolver(int (*resolver)(const char *name, GError **error));

#endif
