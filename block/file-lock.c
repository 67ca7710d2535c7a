/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Locks on image files, see file-lock.h. Open file description locks: they go with the descriptor,
 * not the process. */
#include "util/osdep.h"
#include "file-lock.h"

#include <fcntl.h>
#include "block/block.h"
#include "util/error.h"

#define HELD_BASE 100
#define UNSHARED_BASE 200

static int lock_byte(int fd, short type, off_t byte)
{
    struct flock fl = { .l_type = type, .l_whence = SEEK_SET, .l_start = byte, .l_len = 1 };
    return fcntl(fd, F_OFD_SETLK, &fl) < 0 ? -errno : 0;
}

/* Whether nobody else has a lock on it. */
static int test_byte(int fd, off_t byte)
{
    struct flock fl = { .l_type = F_WRLCK, .l_whence = SEEK_SET, .l_start = byte, .l_len = 1 };
    if (fcntl(fd, F_OFD_GETLK, &fl) < 0) {
        return -errno;
    }
    return fl.l_type == F_UNLCK ? 0 : -EAGAIN;
}

bool file_lock_available(int fd)
{
    return test_byte(fd, HELD_BASE) != -EINVAL;
}

static void unlock_bits(int fd, unsigned bits, off_t base)
{
    for (unsigned i = 0; i < BLOCK_PERMS; i++) {
        if (bits & 1u << i) {
            lock_byte(fd, F_UNLCK, base + i);
        }
    }
}

static int lock_bits(int fd, unsigned bits, off_t base)
{
    for (unsigned i = 0; i < BLOCK_PERMS; i++) {
        int ret = bits & 1u << i ? lock_byte(fd, F_RDLCK, base + i) : 0;
        if (ret < 0) {
            unlock_bits(fd, bits & ((1u << i) - 1), base);
            return ret;
        }
    }
    return 0;
}

static bool conflict(unsigned perm, const char *what, const char *filename, GError **error)
{
    g_autofree char *name = block_perm_names(perm);
    return error_set(error, "Failed to get %s\"%s\" lock\nIs another process using the image [%s]?",
                     what, name, filename);
}

static bool test_conflicts(FileLock *lock, unsigned perm, unsigned unshared, const char *filename,
                           GError **error)
{
    for (unsigned i = 0; i < BLOCK_PERMS; i++) {
        if ((perm & 1u << i) && test_byte(lock->fd, UNSHARED_BASE + i) < 0) {
            return conflict(1u << i, "", filename, error);
        }
        if ((unshared & 1u << i) && test_byte(lock->fd, HELD_BASE + i) < 0) {
            return conflict(1u << i, "shared ", filename, error);
        }
    }
    return true;
}

bool file_lock_prepare(FileLock *lock, unsigned perm, unsigned shared, const char *filename,
                       GError **error)
{
    lock->new_held = perm;
    lock->new_unshared = BLOCK_PERM_ALL & ~shared;
    if (lock->fd < 0) {
        return true;
    }
    /* First announce, then look: of two that come at the same time at least one sees the other. */
    unsigned add_held = lock->new_held & ~lock->held;
    unsigned add_unshared = lock->new_unshared & ~lock->unshared;
    int ret = lock_bits(lock->fd, add_held, HELD_BASE);
    if (ret == 0) {
        ret = lock_bits(lock->fd, add_unshared, UNSHARED_BASE);
        if (ret < 0) {
            unlock_bits(lock->fd, add_held, HELD_BASE);
        }
    }
    if (ret < 0) {
        lock->new_held = lock->held;
        lock->new_unshared = lock->unshared;
        return error_set_errno(error, -ret, "Failed to lock '%s'", filename);
    }
    if (!test_conflicts(lock, lock->new_held, lock->new_unshared, filename, error)) {
        file_lock_abort(lock);
        return false;
    }
    return true;
}

void file_lock_commit(FileLock *lock)
{
    if (lock->fd >= 0) {
        unlock_bits(lock->fd, lock->held & ~lock->new_held, HELD_BASE);
        unlock_bits(lock->fd, lock->unshared & ~lock->new_unshared, UNSHARED_BASE);
    }
    lock->held = lock->new_held;
    lock->unshared = lock->new_unshared;
}

void file_lock_abort(FileLock *lock)
{
    if (lock->fd >= 0) {
        unlock_bits(lock->fd, lock->new_held & ~lock->held, HELD_BASE);
        unlock_bits(lock->fd, lock->new_unshared & ~lock->unshared, UNSHARED_BASE);
    }
    lock->new_held = lock->held;
    lock->new_unshared = lock->unshared;
}
