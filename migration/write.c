/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Writing and copying guest memory that may have failed; see write.h. */
#include "util/osdep.h"
#include "write.h"

#include <sys/uio.h>
#include "system/poison.h"
#include "util/error.h"

/* What is looked at in one go to find the page that cannot be read. */
#define PROBE_BYTES (64 * 1024)

/* Aligned: it may go to a file past the page cache. */
static const uint8_t zeros[GUEST_PAGE_SIZE] __attribute__((aligned(GUEST_PAGE_SIZE)));

unsigned vector_consume(struct iovec *iov, size_t n)
{
    unsigned i = 0;
    while (n && n >= iov[i].iov_len) {
        n -= iov[i++].iov_len;
    }
    if (n) {
        iov[i].iov_base = (char *)iov[i].iov_base + n;
        iov[i].iov_len -= n;
    }
    return i;
}

/* How many bytes from base on the kernel can read, up to len. */
static size_t readable(const void *base, size_t len)
{
    uint8_t scratch[GUEST_PAGE_SIZE];
    size_t good = 0;
    len = MIN(len, PROBE_BYTES);
    while (good < len) {
        const char *at = (const char *)base + good;
        size_t n = MIN(len - good, GUEST_PAGE_SIZE - (uintptr_t)at % GUEST_PAGE_SIZE);
        struct iovec to = { scratch, n }, from = { (char *)at, n };
        if (process_vm_readv(getpid(), &to, 1, &from, 1, 0) != (ssize_t)n) {
            break;
        }
        good += n;
    }
    return good;
}

static ssize_t put(IoChannel *ioc, const struct iovec *iov, unsigned n, off_t offset,
                   GError **error)
{
    return offset < 0 ? io_channel_writev(ioc, iov, n, error)
                      : io_channel_pwritev(ioc, iov, n, offset, error);
}

/* A write from *iov on has met memory that cannot be read: moves past what can, or past one page that cannot. */
static ssize_t put_piece(IoChannel *ioc, const struct iovec *iov, off_t offset, GError **error)
{
    struct iovec piece = { iov->iov_base, readable(iov->iov_base, iov->iov_len) };
    if (!piece.iov_len) {
        size_t rest = GUEST_PAGE_SIZE - (uintptr_t)iov->iov_base % GUEST_PAGE_SIZE;
        piece = (struct iovec){ (void *)zeros, MIN(rest, iov->iov_len) };
    }
    return put(ioc, &piece, 1, offset, error);
}

static bool write_all(IoChannel *ioc, struct iovec *iov, unsigned niov, off_t offset,
                      uint64_t *written, GError **error)
{
    for (unsigned at = 0; at < niov;) {
        GError *local = NULL;
        if (!iov[at].iov_len) {
            at++;
            continue;
        }
        ssize_t n = put(ioc, iov + at, MIN(niov - at, IOV_MAX), offset, &local);
        if (n == -EFAULT) {
            g_clear_error(&local);
            ram_poison_find(iov + at, 1);
            n = put_piece(ioc, iov + at, offset, &local);
        }
        if (n == -EAGAIN) {
            io_channel_wait(ioc, G_IO_OUT, -1);
        } else if (n > 0) {
            at += vector_consume(iov + at, n);
            offset = offset < 0 ? offset : offset + n;
            __atomic_fetch_add(written, n, __ATOMIC_RELAXED);
        } else if (n == 0) {
            return error_set(error, "the channel takes no more data");
        } else {
            g_propagate_error(error, local);
            return false;
        }
    }
    return true;
}

bool write_vector(IoChannel *ioc, struct iovec *iov, unsigned n, uint64_t *written, GError **error)
{
    return write_all(ioc, iov, n, -1, written, error);
}

bool write_vector_at(IoChannel *ioc, struct iovec *iov, unsigned n, off_t offset, uint64_t *written,
                     GError **error)
{
    g_assert(offset >= 0);
    return write_all(ioc, iov, n, offset, written, error);
}

/* One page, of which some may be readable. */
static void read_page(uint8_t *dst, const struct iovec *from)
{
    struct iovec to = { dst, from->iov_len };
    ssize_t n = process_vm_readv(getpid(), &to, 1, from, 1, 0);
    size_t good = MAX(n, 0);
    if (good < from->iov_len) {
        ram_poison_find(from, 1);
    }
    memset(dst + good, 0, from->iov_len - good);
}

void read_guest_pages(uint8_t *dst, const struct iovec *iov, unsigned n)
{
    size_t total = 0;
    for (unsigned i = 0; i < n; i++) {
        total += iov[i].iov_len;
    }
    struct iovec to = { dst, total };
    if (n <= IOV_MAX && process_vm_readv(getpid(), &to, 1, iov, n, 0) == (ssize_t)total) {
        return;
    }
    for (unsigned i = 0; i < n; i++) {
        read_page(dst, &iov[i]);
        dst += iov[i].iov_len;
    }
}
