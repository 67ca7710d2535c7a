/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Buffered input with look-ahead and a sticky error; see vmstate/vmstate.h. */
#include "util/osdep.h"
#include "vmstate/vmstate.h"

#include "util/bytes.h"
#include "util/error.h"

#define BUFFER_SIZE (64 * 1024)
/* Room for what comes back, at the front. */
#define ALLOC_SIZE MAX(BUFFER_SIZE, VM_UNREAD_MAX)

struct VmReader {
    VmSource source;      /* read is NULL for memory: everything is in the buffer from the start */
    const uint8_t *buf;
    uint8_t *own;         /* buf, if it is ours */
    size_t pos, end;      /* bytes [pos, end) of buf are there and not taken */
    uint64_t taken;       /* position in the stream of buf[pos] */
    GError *error;        /* sticky */
};

VmReader *vm_reader_new(const VmSource *source)
{
    VmReader *r = g_new0(VmReader, 1);
    r->source = *source;
    r->buf = r->own = g_malloc(ALLOC_SIZE);
    return r;
}

VmReader *vm_reader_new_from_memory(const void *data, size_t len)
{
    VmReader *r = g_new0(VmReader, 1);
    r->buf = data;
    r->end = len;
    return r;
}

void vm_reader_free(VmReader *r)
{
    if (r) {
        g_clear_error(&r->error);
        g_free(r->own);
        g_free(r);
    }
}

bool vm_reader_ok(const VmReader *r)
{
    return !r->error;
}

bool vm_reader_fail(VmReader *r, const char *fmt, ...)
{
    if (!r->error) {
        va_list args;
        va_start(args, fmt);
        r->error = g_error_new_valist(TERN_ERROR, TERN_ERROR_GENERIC, fmt, args);
        va_end(args);
    }
    return false;
}

bool vm_reader_check(VmReader *r, GError **error)
{
    if (r->error && error) {
        *error = g_error_copy(r->error);
    }
    return !r->error;
}

uint64_t vm_reader_tell(const VmReader *r)
{
    return r->taken;
}

/* One read of the source into [buf, buf + len). 0 at the end of the stream and after an error. */
static size_t pull(VmReader *r, uint8_t *buf, size_t len)
{
    if (r->error || !r->source.read) {
        return 0;
    }
    ssize_t n = r->source.read(r->source.opaque, buf, len, &r->error);
    g_assert((n < 0) == (r->error != NULL) && n <= (ssize_t)len);
    return MAX(n, 0);
}

/* Makes at least want (<= BUFFER_SIZE) bytes available, if the stream has them. Returns how many there are. */
static size_t fill(VmReader *r, size_t want)
{
    while (r->end - r->pos < want) {
        if (r->own && r->pos) {
            memmove(r->own, r->own + r->pos, r->end - r->pos);
            r->end -= r->pos;
            r->pos = 0;
        }
        size_t n = r->own ? pull(r, r->own + r->end, BUFFER_SIZE - r->end) : 0;
        if (!n) {
            break;
        }
        r->end += n;
    }
    return r->end - r->pos;
}

static bool too_short(VmReader *r)
{
    return vm_reader_fail(r, "the stream ends unexpectedly after %" PRIu64 " bytes",
                          r->taken + (r->end - r->pos));
}

/* len bytes in one piece, taken; NULL with the sticky error. */
static const uint8_t *take(VmReader *r, size_t len)
{
    if (G_UNLIKELY(r->end - r->pos < len) && fill(r, len) < len) {
        too_short(r);
        return NULL;
    }
    if (r->error) {
        return NULL;
    }
    const uint8_t *at = r->buf + r->pos;
    r->pos += len;
    r->taken += len;
    return at;
}

uint8_t vm_get_u8(VmReader *r)
{
    const uint8_t *p = take(r, 1);
    return p ? *p : 0;
}

uint16_t vm_get_be16(VmReader *r)
{
    const uint8_t *p = take(r, 2);
    return p ? load_be16(p) : 0;
}

uint32_t vm_get_be32(VmReader *r)
{
    const uint8_t *p = take(r, 4);
    return p ? load_be32(p) : 0;
}

uint64_t vm_get_be64(VmReader *r)
{
    const uint8_t *p = take(r, 8);
    return p ? load_be64(p) : 0;
}

bool vm_get_bytes(VmReader *r, void *buf, size_t len)
{
    uint8_t *out = buf;
    if (r->error) {
        return false;
    }
    while (len) {
        size_t n = MIN(r->end - r->pos, len);
        if (n) {
            memcpy(out, r->buf + r->pos, n);
            r->pos += n;
        } else if (r->own && len >= BUFFER_SIZE) {
            n = pull(r, out, len); /* past the buffer, which is empty */
        } else if (fill(r, 1)) {
            continue;
        }
        if (!n) {
            return too_short(r);
        }
        r->taken += n;
        out += n;
        len -= n;
    }
    return true;
}

size_t vm_take_buffered(VmReader *r, void *buf, size_t len)
{
    len = r->error ? 0 : MIN(len, r->end - r->pos);
    memcpy(buf, r->buf + r->pos, len);
    r->pos += len;
    r->taken += len;
    return len;
}

size_t vm_read_scattered(VmReader *r, const struct iovec *iov, unsigned niov)
{
    if (r->error || !r->source.readv || r->pos < r->end) {
        return 0;
    }
    ssize_t n = r->source.readv(r->source.opaque, iov, niov, &r->error);
    g_assert((n < 0) == (r->error != NULL));
    if (n == 0) {
        too_short(r);
    }
    r->taken += MAX(n, 0);
    return MAX(n, 0);
}

void vm_reader_restart(VmReader *r)
{
    g_assert(r->own);
    r->pos = r->end = 0;
}

void vm_reader_push(VmReader *r, const struct iovec *iov, unsigned niov)
{
    g_assert(r->own && r->pos == r->end);
    r->pos = r->end = 0;
    for (unsigned i = 0; i < niov; i++) {
        g_assert(iov[i].iov_len <= ALLOC_SIZE - r->end);
        memcpy(r->own + r->end, iov[i].iov_base, iov[i].iov_len);
        r->end += iov[i].iov_len;
    }
}

void vm_reader_unread(VmReader *r, const struct iovec *iov, unsigned niov)
{
    vm_reader_push(r, iov, niov);
    r->taken -= r->end;
}

bool vm_skip_bytes(VmReader *r, size_t len)
{
    while (len) {
        size_t n = MIN(fill(r, 1), len);
        if (!n || r->error) {
            return too_short(r);
        }
        r->pos += n;
        r->taken += n;
        len -= n;
    }
    return !r->error;
}

bool vm_get_counted_string(VmReader *r, char buf[256])
{
    size_t len = vm_get_u8(r);
    buf[0] = '\0';
    if (!vm_get_bytes(r, buf, len)) {
        return false;
    }
    buf[len] = '\0';
    if (strlen(buf) != len) {
        return vm_reader_fail(r, "a name has a zero byte in it, at byte %" PRIu64, r->taken);
    }
    return true;
}

size_t vm_peek_bytes(VmReader *r, void *buf, size_t len, size_t offset)
{
    g_assert(len + offset <= BUFFER_SIZE);
    if (r->error) {
        return 0;
    }
    size_t there = fill(r, offset + len);
    if (there <= offset) {
        return 0;
    }
    len = MIN(len, there - offset);
    memcpy(buf, r->buf + r->pos + offset, len);
    return len;
}
