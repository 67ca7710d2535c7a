/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * file: a regular file; host_device: a block device of the host. Options: qapi/block-core.json.
 *
 * L1  With auto-read-only the file is opened for reading, and for writing as soon as somebody takes
 *     a write permission. The number of the descriptor stays the same, so requests need not know.
 * L2  Locks are on a descriptor of their own, and are held exactly for the permissions in effect.
 * L3  After a failed fdatasync() the kernel may have dropped what it could not write. With the page
 *     cache in use no later flush can be trusted, so all of them fail.
 */
#include "util/osdep.h"
#include "block/block.h"

#include <fcntl.h>
#include <linux/fs.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include "file-aio.h"
#include "file-lock.h"
#include "internal.h"
#include "io/fds.h"
#include "util/error.h"

typedef struct FileState {
    char *filename;
    int fd;
    bool writable; /* fd is */
    int new_fd;    /* between perm_prepare and commit or abort; -1: none */
    bool is_device;
    FileLock lock;
    FileRw *rw;
    bool sync_by_uring;
    bool no_zero_range, no_punch_hole; /* the file system has said so */
    int flush_error;                   /* L3; positive errno */
    BlockStatsSpecificFile stats;
} FileState;

/* ---- opening ---- */

static bool file_parse_filename(const char *filename, json_object *options, GError **error)
{
    json_object_object_add(options, "filename", json_object_new_string(filename + strlen("file:")));
    return true;
}

static int host_device_probe(const char *filename)
{
    struct stat st;
    return stat(filename, &st) == 0 && S_ISBLK(st.st_mode) ? 100 : 0;
}

static int open_mode(const BlockNode *node, bool write)
{
    return (write ? O_RDWR : O_RDONLY) | (node->direct ? O_DIRECT : 0);
}

static bool file_check_type(BlockNode *node, GError **error)
{
    FileState *s = node->state;
    struct stat st;
    if (fstat(s->fd, &st) < 0) {
        return error_set_errno(error, errno, "Could not stat '%s'", s->filename);
    }
    s->is_device = S_ISBLK(st.st_mode);
    if (node->driver->qapi_driver == BLOCKDEV_DRIVER_FILE && !S_ISREG(st.st_mode)) {
        return error_set(error, "'file' driver requires '%s' to be a regular file", s->filename);
    }
    if (node->driver->qapi_driver == BLOCKDEV_DRIVER_HOST_DEVICE && !S_ISBLK(st.st_mode)) {
        return error_set(error, "'host_device' driver requires '%s' to be a block device",
                         s->filename);
    }
    return true;
}

static bool file_choose_aio(BlockNode *node, const BlockdevOptionsFile *o, GError **error)
{
    FileState *s = node->state;
    switch (o->has_aio ? o->aio : BLOCKDEV_AIO_OPTIONS_THREADS) {
    case BLOCKDEV_AIO_OPTIONS_NATIVE:
        if (!node->direct) {
            return error_set(error, "aio=native was specified, but it requires cache.direct=on, "
                                    "which was not specified.");
        }
        s->rw = file_rw_native;
        return file_aio_native_ready(error);
    case BLOCKDEV_AIO_OPTIONS_IO_URING:
        s->rw = file_rw_uring;
        s->sync_by_uring = true;
        return file_aio_uring_ready(error);
    default:
        s->rw = file_rw_threads;
        return true;
    }
}

/* L2. The locks' descriptor is opened anew, because a duplicate would share its locks with whoever
 * has the original. */
static bool file_open_lock(FileState *s, const BlockdevOptionsFile *o, GError **error)
{
    s->lock.fd = -1;
    if (o->has_locking && o->locking == ON_OFF_AUTO_OFF) {
        return true;
    }
    if (!file_lock_available(s->fd)) {
        return o->has_locking && o->locking == ON_OFF_AUTO_ON
                   ? error_set(
                         error,
                         "locking=on: the system does not support open file description locks")
                   : true;
    }
    char path[64];
    g_snprintf(path, sizeof(path), "/proc/self/fd/%d", s->fd);
    s->lock.fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    if (s->lock.fd < 0) {
        s->lock.fd = fcntl(s->fd, F_DUPFD_CLOEXEC, 3);
    }
    return s->lock.fd >= 0 ||
           error_set_errno(error, errno, "Could not open '%s' for locks", s->filename);
}

static void file_close(BlockNode *node)
{
    FileState *s = node->state;
    if (s->fd >= 0) {
        io_close(s->fd);
    }
    if (s->lock.fd >= 0) {
        close(s->lock.fd);
    }
    g_free(s->filename);
}

static bool file_open(BlockNode *node, const BlockdevOptions *options, unsigned flags,
                      GError **error)
{
    FileState *s = node->state;
    const BlockdevOptionsFile *o =
        options->driver == BLOCKDEV_DRIVER_FILE ? &options->u.file : &options->u.host_device;
    s->lock.fd = s->fd = s->new_fd = -1;
    s->filename = g_strdup(o->filename);
    if (!s->filename[0]) {
        error_set(error, "The 'file' block driver requires a file name");
        goto fail;
    }
    s->writable = !node->read_only && !node->auto_read_only; /* L1 */
    s->fd = io_open(s->filename, open_mode(node, s->writable), 0, error);
    if (s->fd < 0) {
        goto fail;
    }
    if (!file_check_type(node, error) || !file_choose_aio(node, o, error) ||
        !file_open_lock(s, o, error)) {
        goto fail;
    }
    node->write_flags = BLOCK_FUA;
    node->zero_flags = BLOCK_MAY_UNMAP | BLOCK_NO_FALLBACK;
    return true;

fail:
    file_close(node);
    return false;
}

/* ---- permissions ---- */

static bool file_perm_prepare(BlockNode *node, unsigned perm, unsigned shared, GError **error)
{
    FileState *s = node->state;
    bool writes = perm & (BLOCK_PERM_WRITE | BLOCK_PERM_WRITE_UNCHANGED | BLOCK_PERM_RESIZE);
    if (writes && !s->writable) {
        s->new_fd = io_open(s->filename, open_mode(node, true), 0, error);
        if (s->new_fd < 0) {
            s->new_fd = -1;
            return false;
        }
    }
    if (!file_lock_prepare(&s->lock, perm, shared, s->filename, error)) {
        if (s->new_fd >= 0) {
            io_close(s->new_fd);
            s->new_fd = -1;
        }
        return false;
    }
    return true;
}

static void file_perm_commit(BlockNode *node)
{
    FileState *s = node->state;
    if (s->new_fd >= 0) {
        dup3(s->new_fd, s->fd, O_CLOEXEC); /* L1: both are open, so it cannot fail */
        io_close(s->new_fd);
        s->new_fd = -1;
        s->writable = true;
    }
    file_lock_commit(&s->lock);
}

static void file_perm_abort(BlockNode *node)
{
    FileState *s = node->state;
    if (s->new_fd >= 0) {
        io_close(s->new_fd);
        s->new_fd = -1;
    }
    file_lock_abort(&s->lock);
}

/* ---- alignment (open(2), O_DIRECT) ---- */

static bool read_works(int fd, void *buf, size_t len)
{
    return pread(fd, buf, len, 0) >= 0 || errno != EINVAL;
}

/* Tries what the kernel does not tell. */
static void probe_alignment(int fd, BlockLimits *limits)
{
    static const size_t sizes[] = { 1, 512, 1024, 2048, 4096 };
    char *buf;
    limits->request_align = limits->memory_align = 4096;
    if (posix_memalign((void **)&buf, 4096, 2 * 4096) != 0) {
        return;
    }
    for (unsigned i = 0; i < G_N_ELEMENTS(sizes); i++) {
        if (read_works(fd, buf, sizes[i])) {
            limits->request_align = sizes[i];
            break;
        }
    }
    for (unsigned i = 0; i < G_N_ELEMENTS(sizes); i++) {
        if (read_works(fd, buf + sizes[i], limits->request_align)) {
            limits->memory_align = sizes[i];
            break;
        }
    }
    free(buf);
}

static bool power_of_two(uint64_t n)
{
    return n && (n & (n - 1)) == 0;
}

static bool statx_alignment(int fd, BlockLimits *limits)
{
#ifdef STATX_DIOALIGN
    struct statx sx;
    if (statx(fd, "", AT_EMPTY_PATH, STATX_DIOALIGN, &sx) == 0 && (sx.stx_mask & STATX_DIOALIGN) &&
        power_of_two(sx.stx_dio_offset_align) && power_of_two(sx.stx_dio_mem_align)) {
        limits->request_align = sx.stx_dio_offset_align;
        limits->memory_align = sx.stx_dio_mem_align;
        return true;
    }
#endif
    return false;
}

static void file_refresh_limits(BlockNode *node)
{
    FileState *s = node->state;
    struct stat st;
    node->limits.max_iov = IOV_MAX;
    if (fstat(s->fd, &st) == 0 && power_of_two(st.st_blksize)) {
        node->limits.opt_transfer = st.st_blksize;
    }
    if (!node->direct) {
        return;
    }
    if (!statx_alignment(s->fd, &node->limits)) {
        probe_alignment(s->fd, &node->limits);
    }
    if (s->is_device) {
        int sector;
        if (ioctl(s->fd, BLKSSZGET, &sector) == 0 && power_of_two(sector)) {
            node->limits.request_align = MAX(node->limits.request_align, (unsigned)sector);
        }
    }
}

/* ---- reading and writing ---- */

/* The part of vec that is still to do; iov has room for vec->n elements. */
static unsigned iov_rest(const IoVec *vec, size_t skip, uint64_t bytes, struct iovec *iov)
{
    unsigned n = 0;
    for (unsigned i = 0; i < vec->n && bytes; i++) {
        size_t len = vec->iov[i].iov_len;
        if (skip >= len) {
            skip -= len;
            continue;
        }
        iov[n].iov_base = (char *)vec->iov[i].iov_base + skip;
        iov[n].iov_len = MIN(len - skip, bytes);
        bytes -= iov[n].iov_len;
        skip = 0;
        n++;
    }
    return n;
}

static int coroutine_fn file_rw(BlockNode *node, bool write, uint64_t offset, uint64_t bytes,
                                IoVec *vec, size_t vec_offset, bool dsync)
{
    FileState *s = node->state;
    struct iovec few[8];
    struct iovec *iov = vec->n <= G_N_ELEMENTS(few) ? few : g_new(struct iovec, vec->n);
    int ret = 0;
    while (bytes) {
        unsigned n = iov_rest(vec, vec_offset, bytes, iov);
        ssize_t got = s->rw(write, s->fd, offset, iov, n, dsync);
        if (got == -EINTR || got == -EAGAIN) {
            continue;
        }
        if (got < 0 || (got == 0 && write)) {
            ret = got < 0 ? (int)got : -ENOSPC;
            break;
        }
        if (got == 0) {
            iovec_memset(vec, vec_offset, 0, bytes); /* behind the end */
            break;
        }
        offset += got;
        vec_offset += got;
        bytes -= got;
    }
    if (iov != few) {
        g_free(iov);
    }
    return ret;
}

static int coroutine_fn file_read(BlockNode *node, uint64_t offset, uint64_t bytes, IoVec *vec,
                                  size_t vec_offset)
{
    return file_rw(node, false, offset, bytes, vec, vec_offset, false);
}

static int coroutine_fn file_write(BlockNode *node, uint64_t offset, uint64_t bytes, IoVec *vec,
                                   size_t vec_offset, unsigned flags)
{
    /* cache.no-flush: nobody cares when it reaches the disk. */
    return file_rw(node, true, offset, bytes, vec, vec_offset,
                   (flags & BLOCK_FUA) && !node->no_flush);
}

static int coroutine_fn file_flush(BlockNode *node)
{
    FileState *s = node->state;
    if (s->flush_error) {
        return -s->flush_error; /* L3 */
    }
    if (!s->writable) {
        return 0;
    }
    int ret = s->sync_by_uring ? file_sync_uring(s->fd) : file_sync_threads(s->fd);
    if (ret < 0 && !node->direct) {
        s->flush_error = -ret;
    }
    return ret;
}

/* ---- space ---- */

typedef struct SpaceJob {
    int fd;
    int mode;
    uint64_t offset, bytes;
    bool grow; /* the end of the range becomes the end of the file, if that is before it */
} SpaceJob;

static int fallocate_work(void *arg)
{
    SpaceJob *j = arg;
    int ret;
    do {
        ret = fallocate(j->fd, j->mode, j->offset, j->bytes);
        if (ret == 0 && j->grow) {
            /* Not ftruncate(): another request may have made the file longer meanwhile. */
            ret = fallocate(j->fd, 0, j->offset + j->bytes - 1, 1);
        }
    } while (ret < 0 && errno == EINTR);
    if (ret < 0) {
        return errno == EOPNOTSUPP || errno == ENOSYS || errno == ENODEV ? -ENOTSUP : -errno;
    }
    return 0;
}

static int64_t file_length(BlockNode *node)
{
    FileState *s = node->state;
    struct stat st;
    uint64_t size;
    if (s->is_device) {
        return ioctl(s->fd, BLKGETSIZE64, &size) < 0 ? -errno
                                                     : (int64_t)MIN(size, BLOCK_MAX_LENGTH);
    }
    return fstat(s->fd, &st) < 0 ? -errno : st.st_size;
}

static int coroutine_fn file_write_zeroes(BlockNode *node, uint64_t offset, uint64_t bytes,
                                          unsigned flags)
{
    FileState *s = node->state;
    SpaceJob job = { .fd = s->fd, .offset = offset, .bytes = bytes };
    int64_t length = s->is_device ? 0 : file_length(node);
    if (length < 0) {
        return length;
    }
    bool grows = !s->is_device && offset + bytes > (uint64_t)length;
    int ret = -ENOTSUP;
    if ((flags & BLOCK_MAY_UNMAP) && !s->no_punch_hole) {
        job.mode = FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE;
        job.grow = grows;
        ret = file_pool_run(fallocate_work, &job);
        s->no_punch_hole = ret == -ENOTSUP;
    }
    if (ret == -ENOTSUP && !s->no_zero_range) {
        job.mode = FALLOC_FL_ZERO_RANGE | (grows ? 0 : FALLOC_FL_KEEP_SIZE);
        job.grow = false;
        ret = file_pool_run(fallocate_work, &job);
        s->no_zero_range = ret == -ENOTSUP;
    }
    return ret;
}

static int coroutine_fn file_discard(BlockNode *node, uint64_t offset, uint64_t bytes)
{
    FileState *s = node->state;
    SpaceJob job = { .fd = s->fd,
                     .mode = FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE,
                     .offset = offset,
                     .bytes = bytes };
    int ret = s->no_punch_hole ? -ENOTSUP : file_pool_run(fallocate_work, &job);
    s->no_punch_hole |= ret == -ENOTSUP;
    if (ret == 0) {
        s->stats.discard_nb_ok++;
        s->stats.discard_bytes_ok += bytes;
    } else {
        s->stats.discard_nb_failed++;
    }
    return ret;
}

static int truncate_work(void *arg)
{
    SpaceJob *j = arg;
    return ftruncate(j->fd, j->bytes) < 0 ? -errno : 0;
}

static int coroutine_fn file_truncate(BlockNode *node, uint64_t length, bool exact, GError **error)
{
    FileState *s = node->state;
    if (s->is_device) {
        int64_t current = file_length(node);
        if (current < 0 || length > (uint64_t)current) {
            error_set(error, "Cannot grow device files");
            return -EINVAL;
        }
        if (exact && length != (uint64_t)current) {
            error_set(error, "Cannot resize device files");
            return -ENOTSUP;
        }
        return 0;
    }
    SpaceJob job = { .fd = s->fd, .bytes = length };
    int ret = file_pool_run(truncate_work, &job);
    if (ret < 0) {
        error_set_errno(error, -ret, "Failed to resize file");
    }
    return ret;
}

/* ---- facts ---- */

static int coroutine_fn file_block_status(BlockNode *node, bool want_zero, uint64_t offset,
                                          uint64_t bytes, uint64_t *pnum, uint64_t *map,
                                          BlockNode **file)
{
    FileState *s = node->state;
    *pnum = bytes;
    *map = offset;
    *file = node;
    if (!want_zero || s->is_device) {
        return BLOCK_STATUS_DATA | BLOCK_STATUS_OFFSET;
    }
    off_t data = lseek(s->fd, offset, SEEK_DATA);
    if (data < 0) {
        /* ENXIO: no data from here to the end. Anything else: it cannot tell. */
        return errno == ENXIO ? BLOCK_STATUS_ZERO | BLOCK_STATUS_OFFSET
                              : BLOCK_STATUS_DATA | BLOCK_STATUS_OFFSET;
    }
    if ((uint64_t)data > offset) {
        *pnum = MIN(bytes, (uint64_t)data - offset);
        return BLOCK_STATUS_ZERO | BLOCK_STATUS_OFFSET;
    }
    off_t hole = lseek(s->fd, offset, SEEK_HOLE);
    if (hole > (off_t)offset) {
        *pnum = MIN(bytes, (uint64_t)hole - offset);
    }
    *pnum = MIN(bytes, ROUND_UP(*pnum, node->limits.request_align));
    return BLOCK_STATUS_DATA | BLOCK_STATUS_OFFSET;
}

static int64_t file_allocated_size(BlockNode *node)
{
    FileState *s = node->state;
    struct stat st;
    return fstat(s->fd, &st) < 0 ? -errno : (int64_t)st.st_blocks * 512;
}

static char *file_filename(BlockNode *node)
{
    return g_strdup(((FileState *)node->state)->filename);
}

static ImageInfoSpecific *file_image_info(BlockNode *node)
{
    ImageInfoSpecific *info = g_new0(ImageInfoSpecific, 1);
    info->type = IMAGE_INFO_SPECIFIC_KIND_FILE;
    info->u.file.data = g_new0(ImageInfoSpecificFile, 1);
    return info;
}

static BlockStatsSpecific *file_stats(BlockNode *node)
{
    BlockStatsSpecific *stats = g_new0(BlockStatsSpecific, 1);
    stats->driver = node->driver->qapi_driver;
    if (stats->driver == BLOCKDEV_DRIVER_FILE) {
        stats->u.file = ((FileState *)node->state)->stats;
    } else {
        stats->u.host_device = ((FileState *)node->state)->stats;
    }
    return stats;
}

#define FILE_DRIVER                                                                                \
    .kind = BLOCK_PROTOCOL, .state_size = sizeof(FileState), .open = file_open,                    \
    .close = file_close, .refresh_limits = file_refresh_limits, .perm_prepare = file_perm_prepare, \
    .perm_commit = file_perm_commit, .perm_abort = file_perm_abort, .read = file_read,             \
    .write = file_write, .write_zeroes = file_write_zeroes, .discard = file_discard,               \
    .flush = file_flush, .truncate = file_truncate, .block_status = file_block_status,             \
    .length = file_length, .allocated_size = file_allocated_size, .filename = file_filename,       \
    .image_info = file_image_info, .stats = file_stats

static const BlockDriver file_driver = {
    .name = "file",
    .qapi_driver = BLOCKDEV_DRIVER_FILE,
    .protocol = "file",
    .parse_filename = file_parse_filename,
    FILE_DRIVER,
};
BLOCK_DRIVER_REGISTER(file_driver)

static const BlockDriver host_device_driver = {
    .name = "host_device",
    .qapi_driver = BLOCKDEV_DRIVER_HOST_DEVICE,
    .protocol = "host_device",
    .probe_device = host_device_probe,
    FILE_DRIVER,
};
BLOCK_DRIVER_REGISTER(host_device_driver)
