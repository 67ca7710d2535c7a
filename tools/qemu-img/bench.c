/* SPDX-License-Identifier: GPL-2.0-or-later */
/* qemu-img bench: so many requests as fast as they go. */
#include "util/osdep.h"
#include "img.h"

#include <stdio.h>
#include "util/clock.h"
#include "util/error.h"
#include "util/main-loop.h"

typedef struct Bench {
    ImgSource source;
    int64_t count, depth, flush_interval; /* 0: no flushes */
    bool write, no_drain;
    int64_t offset, size, step;
    int pattern;

    BlockFront *front;
    int64_t length;
    /* What is written is the same for all; each read has memory of its own, because threads that fill the
     * same take it from each other's caches. */
    void *buf;
    struct Slot *slots; /* depth of them */
    struct Slot *free_slot;
    int64_t left;        /* requests not yet sent */
    int64_t since_flush; /* completed since the last flush was due */
    unsigned in_flight;
    bool flush_due;
    int ret;
} Bench;

typedef struct Slot {
    Bench *bench;
    IoVec vec;
    struct iovec iov;
    struct Slot *next; /* that is free */
} Slot;

/* ---- requests ---- */

static void send_more(Bench *b);

static void finish(Bench *b, int ret)
{
    b->in_flight--;
    if (ret < 0 && b->ret == 0) {
        error_report("Failed request: %s", g_strerror(-ret));
        b->ret = ret;
    }
    send_more(b);
}

static void request_done(void *opaque, int ret)
{
    Slot *slot = opaque;
    Bench *b = slot->bench;
    slot->next = b->free_slot;
    b->free_slot = slot;
    if (b->flush_interval && ++b->since_flush == b->flush_interval) {
        b->since_flush = 0;
        b->flush_due = true;
    }
    finish(b, ret);
}

static void flush_done(void *opaque, int ret)
{
    finish(opaque, ret);
}

static void send_request(Bench *b)
{
    uint64_t offset = b->offset;
    b->offset += b->step;
    if (b->length && b->offset >= b->length) {
        b->offset %= b->length;
    }
    b->left--;
    b->in_flight++;
    Slot *slot = b->free_slot;
    b->free_slot = slot->next;
    if (b->write) {
        front_aio_write(b->front, offset, &slot->vec, 0, request_done, slot);
    } else {
        front_aio_read(b->front, offset, &slot->vec, request_done, slot);
    }
}

static void send_more(Bench *b)
{
    if (b->flush_due && b->ret == 0 && (b->no_drain || b->in_flight == 0)) {
        b->flush_due = false;
        b->in_flight++;
        front_aio_flush(b->front, flush_done, b);
        if (!b->no_drain) {
            return; /* what follows the flush comes when it is over */
        }
    }
    bool held = b->flush_due && !b->no_drain;
    while (!held && b->ret == 0 && b->left && b->in_flight < b->depth) {
        send_request(b);
    }
}

static bool make_slots(Bench *b)
{
    int64_t n = MIN(b->depth, MAX(b->count, 1)), buffers = b->write ? 1 : n;
    int64_t size = (b->size + 4095) / 4096 * 4096;
    b->slots = g_try_new0(Slot, n);
    if (!b->slots || size > INT64_MAX / buffers ||
        !(b->buf = block_alloc(front_node(b->front), size * buffers))) {
        error_report("no memory for %" PRId64 " requests of %" PRId64 " bytes at a time", n,
                     b->size);
        g_free(b->slots);
        return false;
    }
    if (b->write) {
        memset(b->buf, b->pattern, size);
    }
    for (int64_t i = 0; i < n; i++) {
        Slot *slot = &b->slots[i];
        slot->bench = b;
        slot->iov = (struct iovec){ (char *)b->buf + (b->write ? 0 : i * size), b->size };
        slot->vec = (IoVec){ &slot->iov, 1, 1, b->size };
        slot->next = i + 1 < n ? slot + 1 : NULL;
    }
    b->free_slot = b->slots;
    return true;
}

static int run(Bench *b)
{
    if (!make_slots(b)) {
        return 1;
    }
    b->left = b->count;
    printf("Sending %" PRId64 " %s requests, %" PRId64 " bytes each, %" PRId64
           " in parallel (starting at offset %" PRId64 ", step size %" PRId64 ")\n",
           b->count, b->write ? "write" : "read", b->size, b->depth, b->offset, b->step);
    if (b->flush_interval) {
        printf("Sending flush every %" PRId64 " requests\n", b->flush_interval);
    }
    fflush(stdout);
    int64_t start = clock_get_ns(CLOCK_REALTIME_NS);
    send_more(b);
    MAIN_LOOP_WHILE(b->in_flight || (b->left && b->ret == 0));
    int64_t took = clock_get_ns(CLOCK_REALTIME_NS) - start;
    free(b->buf);
    g_free(b->slots);
    if (b->ret == 0) {
        printf("Run completed in %3.3f seconds.\n", (double)took / 1e9);
    }
    return b->ret == 0 ? 0 : 1;
}

/* ---- arguments ---- */

static bool parse_count(const char *what, int64_t min, int64_t *value)
{
    char *end;
    errno = 0;
    long long n = strtoll(optarg, &end, 0);
    if (errno || end == optarg || *end || n < min || n > INT32_MAX) {
        error_report("Invalid %s specified", what);
        return false;
    }
    *value = n;
    return true;
}

static bool parse_bytes(const char *what, int64_t *value)
{
    if (!img_parse_number(what, optarg, value)) {
        return false;
    }
    if (*value > INT32_MAX) {
        error_report("Invalid %s specified. Must be between 0 and %d.", what, INT32_MAX);
        return false;
    }
    return true;
}

static const struct option options[] = {
    IMG_LONG_HELP,
    { "flush-interval", required_argument, NULL, IMG_OPT_FLUSH_INTERVAL },
    { "pattern", required_argument, NULL, IMG_OPT_PATTERN },
    { "no-drain", no_argument, NULL, IMG_OPT_NO_DRAIN },
    IMG_LONG_IMAGE_OPTS,
    IMG_LONG_FORCE_SHARE,
    { NULL },
};

static bool parse_aio(Bench *b, const char *mode)
{
    b->source.aio = tool_parse_aio(mode);
    if (!b->source.aio) {
        error_report("Invalid aio option: %s", mode);
    }
    return b->source.aio != NULL;
}

static bool parse_pattern(Bench *b)
{
    int64_t n;
    if (!parse_count("pattern byte", 0, &n)) {
        return false;
    }
    if (n > UINT8_MAX) {
        error_report("Invalid pattern byte specified");
        return false;
    }
    b->pattern = n;
    return true;
}

static bool handle(Bench *b, int c, bool *handled)
{
    switch (c) {
    case 'c':
        return parse_count("request count", 0, &b->count);
    case 'd':
        return parse_count("queue depth", 1, &b->depth);
    case 'f':
        b->source.format = optarg;
        return true;
    case 'n':
        return parse_aio(b, "native");
    case 'i':
        return parse_aio(b, optarg);
    case 'o':
        return img_parse_number("offset", optarg, &b->offset);
    case 'q':
        return true; /* there is nothing to be quiet about but the result */
    case 's':
        return parse_bytes("buffer size", &b->size);
    case 'S':
        return parse_bytes("step_size", &b->step);
    case 't':
        b->source.cache = optarg;
        return true;
    case 'w':
        b->write = true;
        return true;
    case 'U':
        b->source.force_share = true;
        return true;
    case IMG_OPT_PATTERN:
        return parse_pattern(b);
    case IMG_OPT_FLUSH_INTERVAL:
        return parse_count("flush interval", 0, &b->flush_interval);
    case IMG_OPT_NO_DRAIN:
        b->no_drain = true;
        return true;
    case IMG_OPT_IMAGE_OPTS:
        b->source.image_opts = true;
        return true;
    default:
        *handled = false;
        return true;
    }
}

static int bench(Bench *b, const char *filename)
{
    if (!b->write && b->flush_interval) {
        error_report("--flush-interval is only available in write tests");
        return 1;
    }
    if (b->flush_interval && b->flush_interval < b->depth) {
        error_report("Flush interval can't be smaller than depth");
        return 1;
    }
    unsigned flags = 0;
    bool writethrough;
    if (b->source.cache && !tool_parse_cache(b->source.cache, &flags, &writethrough)) {
        error_report("Invalid cache mode");
        return 1;
    }
    b->front = img_open(&b->source, filename, b->write ? BLOCK_OPEN_RDWR : 0);
    if (!b->front) {
        return 1;
    }
    b->length = front_length(b->front);
    if (b->length < 0) {
        error_report("Failed to get size for '%s': %s", filename, g_strerror(-b->length));
    }
    b->step = b->step ? b->step : b->size;
    int status = b->length < 0 ? 1 : run(b);
    front_unref(b->front);
    return status;
}

int img_bench(int argc, char **argv)
{
    Bench b = { .count = 75000, .depth = 64, .size = 4096 };
    int c, status = 1;
    while ((c = getopt_long(argc, argv, ":hc:d:f:ni:o:qs:S:t:wU", options, NULL)) != -1) {
        bool handled = true;
        if (!handle(&b, c, &handled)) {
            return 1;
        }
        if (!handled && !img_common_option(c, argv, &status)) {
            return status;
        }
    }
    if (optind != argc - 1) {
        return img_usage("Expecting one image file name");
    }
    return bench(&b, argv[optind]);
}
