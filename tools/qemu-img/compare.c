/* SPDX-License-Identifier: GPL-2.0-or-later */
/* qemu-img compare. Status: 0 equal, 1 different, 2 and more: it could not be told. */
#include "util/osdep.h"
#include "img.h"

#include <stdio.h>
#include "util/error.h"

#define CHUNK (UINT32_C(1) << 20)

typedef struct Side {
    ImgSource source;
    const char *name;
    BlockFront *front;
    uint64_t length;
    uint8_t *buf;
    /* Of the image at `at`. */
    int status;
    uint64_t status_end;
} Side;

typedef struct Compare {
    Side side[2];
    bool strict, quiet, progress;
    int result;
} Compare;

static void say(const Compare *c, const char *text)
{
    if (!c->quiet) {
        puts(text);
    }
}

static int coroutine_fn look(Side *s, uint64_t at)
{
    if (at < s->status_end) {
        return 0;
    }
    uint64_t n = 0;
    int ret = block_co_status_above(front_node(s->front), NULL, true, at, s->length - at, &n, NULL,
                                    NULL, NULL);
    if (ret < 0 || n == 0) {
        error_report("Sector allocation test failed for %s", s->name);
        return 3;
    }
    s->status = ret;
    s->status_end = at + n;
    return 0;
}

static int coroutine_fn read_side(Side *s, uint64_t at, uint64_t bytes)
{
    struct iovec iov = { s->buf, bytes };
    IoVec vec = { &iov, 1, 1, bytes };
    int ret = front_co_read(s->front, at, bytes, &vec, 0, 0);
    if (ret < 0) {
        error_report("Error while reading offset %" PRIu64 " of %s: %s", at, s->name,
                     g_strerror(-ret));
        return 4;
    }
    return 0;
}

/* First byte that differs from the other's, or from zero; n: none. */
static uint64_t first_difference(const uint8_t *a, const uint8_t *b, uint64_t n)
{
    uint64_t i = 0;
    while (i < n && a[i] == (b ? b[i] : 0)) {
        i++;
    }
    return i;
}

static bool is_zero(const uint8_t *buf, uint64_t n)
{
    return n == 0 || (buf[0] == 0 && memcmp(buf, buf + 1, n - 1) == 0);
}

static int mismatch(const Compare *c, uint64_t at)
{
    if (!c->quiet) {
        printf("Content mismatch at offset %" PRIu64 "!\n", at);
    }
    return 1;
}

/* One side's data against the other's, or against zeros (other NULL). Differences are told by sector. */
static int coroutine_fn compare_data(Compare *c, Side *s, Side *other, uint64_t at, uint64_t bytes)
{
    for (uint64_t done = 0; done < bytes;) {
        uint64_t n = MIN(bytes - done, CHUNK);
        int ret = read_side(s, at + done, n);
        if (ret == 0 && other) {
            ret = read_side(other, at + done, n);
        }
        if (ret) {
            return ret;
        }
        if (other ? memcmp(s->buf, other->buf, n) != 0 : !is_zero(s->buf, n)) {
            uint64_t i = first_difference(s->buf, other ? other->buf : NULL, n);
            return mismatch(c, (at + done + i) / BLOCK_SECTOR * BLOCK_SECTOR);
        }
        done += n;
    }
    return 0;
}

static int status_bits(const Side *s)
{
    return s->status & (BLOCK_STATUS_DATA | BLOCK_STATUS_ZERO | BLOCK_STATUS_ALLOCATED);
}

static int coroutine_fn compare_common(Compare *c, uint64_t common, uint64_t whole)
{
    Side *a = &c->side[0], *b = &c->side[1];
    for (uint64_t at = 0; at < common;) {
        int ret = look(a, at);
        ret = ret ? ret : look(b, at);
        if (ret) {
            return ret;
        }
        uint64_t n = MIN(MIN(a->status_end, b->status_end), common) - at;
        bool a_data = !(a->status & BLOCK_STATUS_ZERO), b_data = !(b->status & BLOCK_STATUS_ZERO);
        if (c->strict && status_bits(a) != status_bits(b)) {
            if (!c->quiet) {
                printf("Strict mode: Offset %" PRIu64 " block status mismatch!\n", at);
            }
            return 1;
        }
        n = a_data || b_data ? MIN(n, 16 * CHUNK) : n;
        if (a_data || b_data) {
            ret = compare_data(c, a_data ? a : b, a_data && b_data ? b : NULL, at, n);
        }
        if (ret) {
            return ret;
        }
        at += n;
        img_progress(100.0 * (double)at / (double)whole);
    }
    return 0;
}

static int coroutine_fn compare_rest(Compare *c, Side *s, uint64_t common)
{
    say(c, "Warning: Image size mismatch!");
    for (uint64_t at = common; at < s->length;) {
        int ret = look(s, at);
        if (ret) {
            return ret;
        }
        uint64_t n = MIN(s->status_end, s->length) - at;
        if (!(s->status & BLOCK_STATUS_ZERO)) {
            n = MIN(n, 16 * CHUNK);
            ret = compare_data(c, s, NULL, at, n);
            if (ret) {
                return ret;
            }
        }
        at += n;
        img_progress(100.0 * (double)at / (double)s->length);
    }
    return 0;
}

static void coroutine_fn compare_entry(void *opaque)
{
    Compare *c = opaque;
    Side *a = &c->side[0], *b = &c->side[1];
    uint64_t common = MIN(a->length, b->length), whole = MAX(a->length, b->length);
    if (c->strict && a->length != b->length) {
        say(c, "Strict mode: Image size mismatch!");
        c->result = 1;
        return;
    }
    c->result = compare_common(c, common, whole);
    if (c->result == 0 && a->length != b->length) {
        c->result = compare_rest(c, a->length > common ? a : b, common);
    }
}

static bool open_side(Side *s)
{
    s->front = img_open(&s->source, s->name, 0);
    if (!s->front) {
        return false;
    }
    int64_t length = front_length(s->front);
    if (length < 0) {
        error_report("Can't get size of %s: %s", s->name, g_strerror(-length));
        return false;
    }
    s->length = length;
    s->buf = block_alloc(front_node(s->front), CHUNK);
    return s->buf || (error_report("no memory for a buffer"), false);
}

static int compare(Compare *c)
{
    img_progress_begin(c->progress && !c->quiet);
    c->result = 2;
    if (open_side(&c->side[0]) && open_side(&c->side[1])) {
        img_run(compare_entry, c);
        if (c->result == 0) {
            img_progress(100);
            say(c, "Images are identical.");
        }
    }
    for (unsigned i = 0; i < 2; i++) {
        front_unref(c->side[i].front);
        free(c->side[i].buf);
    }
    img_progress_end();
    return c->result;
}

static const struct option options[] = {
    IMG_LONG_HELP, IMG_LONG_OBJECT, IMG_LONG_IMAGE_OPTS, IMG_LONG_FORCE_SHARE, { NULL },
};

int img_compare(int argc, char **argv)
{
    Compare c = { .strict = false };
    ImgSource *a = &c.side[0].source, *b = &c.side[1].source;
    int o, status = 0;
    while ((o = getopt_long(argc, argv, ":hf:F:T:pqsU", options, NULL)) != -1) {
        switch (o) {
        case 'f':
            a->format = optarg;
            break;
        case 'F':
            b->format = optarg;
            break;
        case 'T':
            a->cache = b->cache = optarg;
            break;
        case 'p':
            c.progress = true;
            break;
        case 'q':
            c.quiet = true;
            break;
        case 's':
            c.strict = true;
            break;
        case 'U':
            a->force_share = b->force_share = true;
            break;
        case IMG_OPT_IMAGE_OPTS:
            a->image_opts = b->image_opts = true;
            break;
        default:
            if (!img_common_option(o, argv, &status)) {
                return status;
            }
        }
    }
    if (optind != argc - 2) {
        return img_usage("Expecting two image file names");
    }
    if (!img_check_cache("source ", a->cache)) {
        return 2;
    }
    c.side[0].name = argv[optind];
    c.side[1].name = argv[optind + 1];
    return compare(&c);
}
