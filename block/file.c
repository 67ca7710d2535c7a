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
#include "block/image.h"

#include <fcntl.h>
#include <linux/fs.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include "file-aio.h"
#include "file-lock.h"
#include "internal.h"
#include "io/fds.h"
#include "util/error.h"

/* Reads up to here are tried without a thread. */
#define READ_AT_ONCE (64 << 10)

typedef struct FileState {
    char *filename;
    int fd;
    bool writable; /* fd is */
    int new_fd;    /* between perm_prepare and commit or abort; -1: none */
    bool is_device;
    FileLock lock;
    FileRw *rw;
    bool in_line; /* writes without O_DSYNC go through the lane */
    FileLane lane;
    uint64_t data_start,
        data_end; /* where data were found last; SEEK_HOLE may look far for the end */
    bool sync_by_uring;
    bool no_zero_range, no_punch_hole, no_nowait; /* the file system has said so */
    int flush_error;                              /* L3; positive errno */
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
    node->any_context = true;
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
    /* Through the page cache a regular file has one writer at a time. What it has to wait for on its way to
     * the disk (O_DSYNC) comes after that. */
    s->in_line = s->rw == file_rw_threads && !s->is_device && !node->direct;
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
    int sector = BLOCK_SECTOR;
    if (s->is_device) {
        if (ioctl(s->fd, BLKSSZGET, &sector) < 0 || !power_of_two(sector)) {
            sector = BLOCK_SECTOR;
        }
        /* It takes back and zeroes whole sectors, also when any byte can be written. */
        node->limits.zero_align = node->limits.discard_align = sector;
    }
    if (!node->direct) {
        return;
    }
    if (!statx_alignment(s->fd, &node->limits)) {
        probe_alignment(s->fd, &node->limits);
    }
    if (s->is_device) {
        node->limits.request_align = MAX(node->limits.request_align, (unsigned)sector);
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
        ssize_t got = write && !dsync && s->in_line
                          ? file_write_lane(&s->lane, s->fd, offset, iov, n)
                          : s->rw(write, s->fd, offset, iov, n, dsync);
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

/* A small read of what is in the page cache takes less time than a thread's wake-up. Bytes, or 0: it
 * takes a thread (or is behind the end). */
static uint64_t read_cached(BlockNode *node, uint64_t offset, uint64_t bytes, IoVec *vec,
                            size_t vec_offset)
{
    FileState *s = node->state;
    struct iovec few[8];
    if (node->direct || s->rw != file_rw_threads || s->no_nowait || bytes > READ_AT_ONCE ||
        vec->n > G_N_ELEMENTS(few)) {
        return 0;
    }
    unsigned n = iov_rest(vec, vec_offset, bytes, few);
    ssize_t got = preadv2(s->fd, few, n, offset, RWF_NOWAIT);
    if (got < 0 && errno != EAGAIN && errno != EINTR) {
        s->no_nowait = true; /* what is wrong the thread will find */
    }
    return MAX(got, 0);
}

static int coroutine_fn file_read(BlockNode *node, uint64_t offset, uint64_t bytes, IoVec *vec,
                                  size_t vec_offset)
{
    uint64_t got = read_cached(node, offset, bytes, vec, vec_offset);
    offset += got;
    vec_offset += got;
    bytes -= got;
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

/* There are holes where data were. (Data that are a hole are no harm, so those that look meanwhile do not
 * matter.) */
static void forget_data(FileState *s)
{
    s->data_start = s->data_end = 0;
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
    if (s->is_device && (offset | bytes) % node->limits.zero_align) {
        return ret; /* a part of a sector */
    }
    if ((flags & BLOCK_MAY_UNMAP) && !s->no_punch_hole) {
        job.mode = FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE;
        job.grow = grows;
        ret = file_lane_run(s->is_device ? NULL : &s->lane, fallocate_work, &job);
        s->no_punch_hole = ret == -ENOTSUP;
    }
    if (ret == -ENOTSUP && !s->no_zero_range) {
        job.mode = FALLOC_FL_ZERO_RANGE | (grows ? 0 : FALLOC_FL_KEEP_SIZE);
        job.grow = false;
        ret = file_lane_run(s->is_device ? NULL : &s->lane, fallocate_work, &job);
        s->no_zero_range = ret == -ENOTSUP;
    }
    forget_data(s);
    return ret;
}

static int coroutine_fn file_discard(BlockNode *node, uint64_t offset, uint64_t bytes)
{
    FileState *s = node->state;
    SpaceJob job = { .fd = s->fd,
                     .mode = FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE,
                     .offset = offset,
                     .bytes = bytes };
    int ret = s->no_punch_hole
                  ? -ENOTSUP
                  : file_lane_run(s->is_device ? NULL : &s->lane, fallocate_work, &job);
    s->no_punch_hole |= ret == -ENOTSUP;
    forget_data(s);
    if (ret == 0) {
        s->stats.discard_nb_ok++;
        s->stats.discard_bytes_ok += bytes;
    } else {
        s->stats.discard_nb_failed++;
    }
    return ret;
}

typedef struct TruncateJob {
    int fd;
    uint64_t old, length;
    PreallocMode prealloc;
} TruncateJob;

/* Takes the new part's space by writing zeros. */
static int fill_work(const TruncateJob *j)
{
    size_t size = 1 << 20;
    char *zeros;
    int ret = 0;
    if (posix_memalign((void **)&zeros, 4096, size) != 0) { /* fd may be O_DIRECT */
        return -ENOMEM;
    }
    memset(zeros, 0, size);
    for (uint64_t at = j->old; ret == 0 && at < j->length;) {
        ssize_t n = pwrite(j->fd, zeros, MIN(size, j->length - at), at);
        if (n > 0) {
            at += n;
        } else if (n == 0) {
            ret = -ENOSPC;
        } else if (errno != EINTR) {
            ret = -errno;
        }
    }
    free(zeros);
    return ret < 0 ? ret : fsync(j->fd) < 0 ? -errno : 0;
}

static int truncate_work(void *arg)
{
    TruncateJob *j = arg;
    int ret = 0;
    if (j->prealloc == PREALLOC_MODE_OFF || j->length <= j->old) {
        return ftruncate(j->fd, j->length) < 0 ? -errno : 0;
    }
    if (j->prealloc == PREALLOC_MODE_FALLOC) {
        ret = -posix_fallocate(j->fd, j->old, j->length - j->old);
    } else {
        ret = fill_work(j);
    }
    if (ret < 0 && ftruncate(j->fd, j->old) < 0) {
        return ret; /* it has failed anyway */
    }
    return ret;
}

static int coroutine_fn file_truncate(BlockNode *node, uint64_t length, bool exact,
                                      PreallocMode prealloc, GError **error)
{
    FileState *s = node->state;
    int64_t current = file_length(node);
    if (current < 0) {
        error_set_errno(error, -current, "Failed to get the size of '%s'", s->filename);
        return current;
    }
    if (prealloc == PREALLOC_MODE_METADATA ||
        (prealloc != PREALLOC_MODE_OFF && (s->is_device || length < (uint64_t)current))) {
        error_set(error, "Unsupported preallocation mode: %s", qapi_name_PreallocMode(prealloc));
        return -ENOTSUP;
    }
    if (s->is_device) {
        if (length > (uint64_t)current) {
            error_set(error, "Cannot grow device files");
            return -EINVAL;
        }
        if (exact && length != (uint64_t)current) {
            error_set(error, "Cannot resize device files");
            return -ENOTSUP;
        }
        return 0;
    }
    TruncateJob job = { s->fd, current, length, prealloc };
    int ret = file_pool_run(truncate_work, &job);
    forget_data(s);
    if (ret < 0) {
        error_set_errno(error, -ret, "Could not resize file");
    }
    return ret;
}

/* ---- creating ---- */

static const BlockCreateOption file_create_options[] = {
    BLOCK_OPTION_SIZE_ROW,
    { "preallocation", BLOCK_OPTION_STR, "Preallocation mode (allowed values: off, falloc, full)",
      NULL },
    { "nocow", BLOCK_OPTION_BOOL, "Turn off copy-on-write (valid only on btrfs)", NULL },
    { "extent_size_hint", BLOCK_OPTION_SIZE, "Extent size hint for the image file, 0 to disable",
      NULL },
    { NULL },
};

/* Both are hints: a file system that does not know them is as good as one that does. */
static void file_hints(int fd, const BlockdevCreateOptionsFile *o)
{
    int attr;
    if (o->has_nocow && o->nocow && ioctl(fd, FS_IOC_GETFLAGS, &attr) == 0) {
        attr |= FS_NOCOW_FL;
        ioctl(fd, FS_IOC_SETFLAGS, &attr);
    }
    struct fsxattr x;
    uint64_t hint = o->has_extent_size_hint ? o->extent_size_hint : 1 << 20;
    if (hint && hint <= UINT32_MAX && ioctl(fd, FS_IOC_FSGETXATTR, &x) == 0) {
        x.fsx_xflags |= FS_XFLAG_EXTSIZE;
        x.fsx_extsize = hint;
        ioctl(fd, FS_IOC_FSSETXATTR, &x);
    }
}

typedef struct PoolRun {
    int (*func)(void *arg);
    void *arg;
    int ret;
} PoolRun;

static void coroutine_fn pool_run_entry(void *opaque)
{
    PoolRun *r = opaque;
    r->ret = file_pool_run(r->func, r->arg);
}

/* In a thread, while the main loop goes on: taking space may last. */
static int run_in_pool(int (*func)(void *arg), void *arg)
{
    PoolRun r = { func, arg, 0 };
    block_run_sync(pool_run_entry, &r);
    return r.ret;
}

/* Nobody else may be using what is overwritten. */
static bool file_create_locked(int fd, const BlockdevCreateOptionsFile *o, GError **error)
{
    FileLock lock = { .fd = fcntl(fd, F_DUPFD_CLOEXEC, 3) };
    bool locked = lock.fd >= 0 && file_lock_available(fd);
    if (locked && !file_lock_prepare(&lock, BLOCK_PERM_WRITE | BLOCK_PERM_RESIZE,
                                     BLOCK_PERM_ALL & ~(BLOCK_PERM_WRITE | BLOCK_PERM_RESIZE),
                                     o->filename, error)) {
        close(lock.fd);
        return false;
    }
    bool ok = true;
    if (ftruncate(fd, 0) < 0) {
        ok = error_set_errno(error, errno, "Could not resize file");
    } else {
        file_hints(fd, o);
        TruncateJob job = { fd, 0, o->size,
                            o->has_preallocation ? o->preallocation : PREALLOC_MODE_OFF };
        int ret = job.prealloc == PREALLOC_MODE_OFF ? truncate_work(&job)
                                                    : run_in_pool(truncate_work, &job);
        ok = ret == 0 || error_set_errno(error, -ret, "Could not resize file");
    }
    if (locked) {
        file_lock_abort(&lock);
    }
    if (lock.fd >= 0) {
        close(lock.fd);
    }
    return ok;
}

static bool file_create(const BlockdevCreateOptions *options, GError **error)
{
    const BlockdevCreateOptionsFile *o = &options->u.file;
    if (o->size > INT64_MAX) {
        return error_set(error, "Image size is too large");
    }
    if (o->has_preallocation && o->preallocation == PREALLOC_MODE_METADATA) {
        return error_set(error, "Unsupported preallocation mode: metadata");
    }
    int fd = io_open(o->filename, O_RDWR | O_CREAT, 0644, error);
    if (fd < 0) {
        return false;
    }
    struct stat st;
    bool ok = (fstat(fd, &st) == 0 && S_ISREG(st.st_mode)) ||
              error_set(error, "'file' driver requires '%s' to be a regular file", o->filename);
    ok = ok && file_create_locked(fd, o, error);
    io_close(fd);
    return ok;
}

static int file_remove(BlockNode *node)
{
    FileState *s = node->state;
    return unlink(s->filename) < 0 ? -errno : 0;
}

static bool file_zero_init(BlockNode *node)
{
    return true;
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
    if (offset >= s->data_start && offset < s->data_end) {
        *pnum = MIN(bytes, s->data_end - offset);
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
        s->data_start = offset;
        s->data_end = hole;
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

static int file_info(BlockNode *node, BlockDriverInfo *info)
{
    return 0; /* nothing that is not zero */
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
    .info = file_info, .image_info = file_image_info, .stats = file_stats

static const BlockDriver file_driver = {
    .name = "file",
    .qapi_driver = BLOCKDEV_DRIVER_FILE,
    .protocol = "file",
    .parse_filename = file_parse_filename,
    .create_options = file_create_options,
    .create = file_create,
    .remove = file_remove,
    .zero_init = file_zero_init,
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
