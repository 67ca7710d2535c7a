/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Images, requests and checks of the tester (block-stress.h). */
#include "util/osdep.h"
#include "block-stress.h"

#include <stdarg.h>
#include <stdio.h>
#include "util/bytes.h"
#include "util/error.h"
#include "util/main-loop.h"

/* ---- images ---- */

static StressImage *image_new(const char *format, char *name, uint32_t sectors,
                              uint32_t block_sectors, uint32_t align)
{
    StressImage *image = g_new0(StressImage, 1);
    *image = (StressImage){ format, name, g_byte_array_new(), sectors, block_sectors, align };
    image->open_with = "";
    return image;
}

static void put32(StressImage *image, uint64_t at, uint32_t value)
{
    if (image->bytes->len < at + 4) {
        guint old = image->bytes->len;
        g_byte_array_set_size(image->bytes, at + 4);
        memset(image->bytes->data + old, 0, at + 4 - old);
    }
    store_le32(image->bytes->data + at, value);
}

/* Blocks much smaller than usual, so that a disk with some is small. The first `leaked` blocks of the
 * file belong to nobody and hold rubbish; a static image has all blocks. */
static StressImage *make_vdi(uint32_t block_size, uint32_t blocks, uint32_t sectors,
                             uint32_t leaked, bool is_static, uint32_t align)
{
    StressImage *image =
        image_new("vdi",
                  g_strdup_printf("vdi block=%u blocks=%u leaked=%u static=%d align=%u", block_size,
                                  blocks, leaked, is_static, align),
                  sectors, block_size / MODEL_SECTOR, align);
    uint32_t map_bytes = (blocks * 4 + 511) & ~511u, data = 512 + map_bytes;
    uint32_t used = is_static ? blocks : leaked;
    put32(image, 0x40, 0xbeda107f);
    put32(image, 0x44, 0x00010001);
    put32(image, 0x48, 0x180);
    put32(image, 0x4c, is_static ? 2 : 1);
    put32(image, 0x154, 512);
    put32(image, 0x158, data);
    put32(image, 0x168, 512);
    put32(image, 0x170, sectors * MODEL_SECTOR);
    put32(image, 0x178, block_size);
    put32(image, 0x180, blocks);
    put32(image, 0x184, used);
    for (uint32_t i = 0; i < blocks; i++) {
        put32(image, 512 + 4 * i, is_static ? i : 0xffffffff);
    }
    put32(image, data - 4, load_le32(image->bytes->data + data - 4));
    for (uint32_t at = 0; at < used * block_size; at += 4) {
        put32(image, data + at, is_static ? 0 : 0xeeeeeeee);
    }
    return image;
}

static void vdi_images(GPtrArray *images)
{
    g_ptr_array_add(images, make_vdi(4096, 16, 128, 0, false, 1));
    g_ptr_array_add(images, make_vdi(4096, 16, 125, 3, false, 512));
    g_ptr_array_add(images, make_vdi(1024, 300, 600, 0, false, 1));
    g_ptr_array_add(images, make_vdi(1536, 40, 120, 2, false, 512));
    g_ptr_array_add(images, make_vdi(65536, 3, 384, 1, false, 4096));
    g_ptr_array_add(images, make_vdi(4096, 8, 64, 0, true, 512));
}

/* Made by the driver itself. */
static StressImage *make_by_driver(GPtrArray *images, const char *format, const char *options,
                                   uint32_t sectors, uint32_t cluster, uint32_t align)
{
    SimFile *f = &sim_files[STRESS_MAKE_FILE];
    GError *error = NULL;
    sim_reset(f, NULL, 0);
    f->instant = true;
    g_autofree char *text = g_strdup_printf(
        "{\"driver\":\"%s\",\"size\":\"%u\",\"file\":{\"driver\":\"null-co\","
        "\"size\":\"%d\"}%s%s}",
        format, sectors * MODEL_SECTOR, STRESS_MAKE_FILE, options[0] ? "," : "", options);
    json_object *o = json_tokener_parse(text);
    BlockdevCreateOptions *c = qapi_decode_BlockdevCreateOptions(o, QAPI_INPUT_KEYVAL, &error);
    json_object_put(o);
    if (!c || !block_create(c, &error)) {
        g_error("%s: %s", text, error->message);
    }
    qapi_free_BlockdevCreateOptions(c);
    StressImage *image =
        image_new(format, g_strdup_printf("%s %s align=%u", format, options, align), sectors,
                  cluster / MODEL_SECTOR, align);
    g_byte_array_append(image->bytes, f->now->data, f->now->len);
    image->write_back = g_str_equal(format, "qcow2");
    image->lazy = strstr(options, "lazy") != NULL;
    g_ptr_array_add(images, image);
    return image;
}

/* Caches of a few tables, where the image has many of them: what is dirty has to go in the middle of
 * requests. */
static void small_caches(StressImage *image, const char *open_with)
{
    char *name = g_strdup_printf("%s %s", image->name, open_with);
    g_free(image->name);
    image->name = name;
    image->open_with = open_with;
}

static void qcow2_images(GPtrArray *images)
{
    make_by_driver(images, "qcow2", "\"cluster-size\":\"512\"", 128, 512, 1);
    make_by_driver(images, "qcow2", "\"cluster-size\":\"4096\"", 128, 4096, 512);
    make_by_driver(images, "qcow2", "\"cluster-size\":\"4096\",\"lazy-refcounts\":\"on\"", 128,
                   4096, 1);
    make_by_driver(images, "qcow2", "\"cluster-size\":\"16384\",\"extended-l2\":\"on\"", 256, 16384,
                   1);
    make_by_driver(images, "qcow2", "\"cluster-size\":\"4096\",\"version\":\"v2\"", 125, 4096,
                   4096);
    small_caches(make_by_driver(images, "qcow2",
                                "\"cluster-size\":\"512\",\"refcount-bits\":\"64\"", 512, 512, 1),
                 "\"l2-cache-size\":\"512\",\"refcount-cache-size\":\"512\",");
    small_caches(make_by_driver(images, "qcow2",
                                "\"cluster-size\":\"2048\",\"lazy-refcounts\":\"on\"", 1024, 2048,
                                512),
                 "\"l2-cache-size\":\"512\",\"l2-cache-entry-size\":\"512\","
                 "\"discard-no-unref\":\"on\",");
}

static void raw_images(GPtrArray *images)
{
    static const uint32_t aligns[] = { 1, 512, 4096 };
    for (unsigned i = 0; i < G_N_ELEMENTS(aligns); i++) {
        StressImage *image =
            image_new("raw", g_strdup_printf("raw align=%u", aligns[i]), 96, 8, aligns[i]);
        g_byte_array_set_size(image->bytes, 96 * MODEL_SECTOR);
        memset(image->bytes->data, 0, image->bytes->len);
        g_ptr_array_add(images, image);
    }
}

GPtrArray *stress_images(const char *format)
{
    static GHashTable *made;
    if (!made) {
        made = g_hash_table_new(g_str_hash, g_str_equal);
    }
    GPtrArray *images = g_hash_table_lookup(made, format);
    if (images) {
        return images;
    }
    images = g_ptr_array_new();
    if (g_str_equal(format, "vdi")) {
        vdi_images(images);
    } else if (g_str_equal(format, "qcow2")) {
        qcow2_images(images);
    } else {
        raw_images(images);
    }
    g_hash_table_insert(made, (gpointer)format, images);
    return images;
}

/* ---- opening ---- */

static BlockFront *open_image(const StressImage *image, int file, bool writable, GError **error)
{
    g_autofree char *text = g_strdup_printf("{\"driver\":\"%s\",\"discard\":\"unmap\",%s\"file\":{"
                                            "\"driver\":\"null-co\",\"size\":\"%d\"}}",
                                            image->format, image->open_with, file);
    json_object *o = json_tokener_parse(text);
    bool instant = sim_files[file].instant;
    sim_files[file].instant = true;
    BlockFront *front = front_open(NULL, o, writable ? BLOCK_OPEN_RDWR : 0, error);
    sim_files[file].instant = instant;
    json_object_put(o);
    return front;
}

void stress_violation(StressRun *run, const char *fmt, ...)
{
    va_list args;
    if (run->violation) {
        return;
    }
    va_start(args, fmt);
    run->violation = g_strdup_vprintf(fmt, args);
    va_end(args);
}

static void open_run(StressRun *run)
{
    GError *error = NULL;
    run->front = open_image(run->image, STRESS_FILE, true, &error);
    if (!run->front) {
        stress_violation(run, "does not open: %s", error->message);
        g_error_free(error);
    }
}

void stress_start(StressRun *run, const StressImage *image, guint32 seed)
{
    *run = (StressRun){ .image = image, .file = &sim_files[STRESS_FILE] };
    run->rand = g_rand_new_with_seed(seed);
    sim_reset(run->file, image->bytes->data, image->bytes->len);
    run->file->instant = false;
    run->file->request_align = image->align;
    model_init(&run->model, image->sectors);
    open_run(run);
}

static void close_run(StressRun *run)
{
    run->file->instant = true;
    if (run->front) {
        front_unref(run->front);
    }
    run->file->instant = false;
    run->front = NULL;
}

void stress_stop(StressRun *run)
{
    g_assert(run->busy == 0);
    close_run(run);
    model_clear(&run->model);
    g_rand_free(run->rand);
    g_free(run->violation);
}

/* ---- requests ---- */

bool stress_trace;

static void trace_slot(const StressSlot *slot, const char *what, int ret)
{
    if (stress_trace) {
        printf("# %s: %s %u at %u+%u: %d\n", what,
               slot->is_read               ? "read"
               : slot->is_flush            ? "flush"
               : slot->kind == MODEL_WRITE ? "write"
               : slot->kind == MODEL_ZERO  ? "zero"
                                           : "discard",
               slot->op, slot->first, slot->count, ret);
    }
}

static void check_read(StressSlot *slot)
{
    StressRun *run = slot->run;
    for (uint32_t i = 0; i < slot->count; i++) {
        g_autofree char *text = model_check_read(&run->model, slot->first + i,
                                                 slot->buf + i * MODEL_SECTOR, slot->began);
        if (text) {
            stress_violation(run, "read: %s", text);
        }
    }
}

static int64_t oldest_read(const StressRun *run)
{
    int64_t oldest = INT64_MAX;
    for (unsigned i = 0; i < STRESS_SLOTS; i++) {
        const StressSlot *slot = &run->slots[i];
        if (slot->used && slot->is_read) {
            oldest = MIN(oldest, slot->began);
        }
    }
    return oldest;
}

static void on_done(void *opaque, int ret)
{
    StressSlot *slot = opaque;
    StressRun *run = slot->run;
    trace_slot(slot, "done", ret);
    run->model.oldest_read = oldest_read(run);
    if (slot->is_read) {
        run->reads++;
        if (ret == 0) {
            check_read(slot);
        }
    } else if (slot->is_flush) {
        if (ret == 0) {
            model_flushed(&run->model, slot->began);
        }
    } else if (ret == -ECANCELED) {
        run->cancelled++;
        model_cancelled(&run->model, slot->op);
        if (!slot->cancelled) {
            stress_violation(run, "cancelled by nobody");
        }
    } else {
        model_end(&run->model, slot->op, ret == 0);
    }
    run->acked += ret == 0;
    run->failed += ret < 0;
    g_free(slot->buf);
    slot->used = false;
    run->busy--;
}

static StressSlot *take_slot(StressRun *run, uint32_t first, uint32_t count)
{
    for (unsigned i = 0; i < STRESS_SLOTS; i++) {
        StressSlot *slot = &run->slots[i];
        if (!slot->used) {
            *slot = (StressSlot){ .run = run, .used = true, .first = first, .count = count };
            slot->buf = count ? g_malloc(count * MODEL_SECTOR) : NULL;
            slot->iov = (struct iovec){ slot->buf, count * MODEL_SECTOR };
            slot->vec = (IoVec){ &slot->iov, 1, 1, count * MODEL_SECTOR };
            run->busy++;
            return slot;
        }
    }
    return NULL;
}

bool stress_write(StressRun *run, uint32_t first, uint32_t count, bool fua)
{
    StressSlot *slot = take_slot(run, first, count);
    if (slot) {
        slot->kind = MODEL_WRITE;
        slot->op = model_begin(&run->model, MODEL_WRITE, first, count, fua);
        trace_slot(slot, "submit", fua);
        model_fill(slot->buf, slot->op, first, count);
        slot->aio = front_aio_write(run->front, first * MODEL_SECTOR, &slot->vec,
                                    fua ? BLOCK_FUA : 0, on_done, slot);
    }
    return slot;
}

bool stress_zero(StressRun *run, uint32_t first, uint32_t count, unsigned flags)
{
    StressSlot *slot = take_slot(run, first, count);
    if (slot) {
        slot->kind = MODEL_ZERO;
        slot->op = model_begin(&run->model, MODEL_ZERO, first, count, flags & BLOCK_FUA);
        trace_slot(slot, "submit", flags);
        slot->aio = front_aio_write_zeroes(run->front, first * MODEL_SECTOR,
                                           (uint64_t)count * MODEL_SECTOR, flags, on_done, slot);
    }
    return slot;
}

bool stress_discard(StressRun *run, uint32_t first, uint32_t count)
{
    StressSlot *slot = take_slot(run, first, count);
    if (slot) {
        slot->kind = MODEL_DISCARD;
        slot->op = model_begin(&run->model, MODEL_DISCARD, first, count, false);
        trace_slot(slot, "submit", 0);
        slot->aio = front_aio_discard(run->front, first * MODEL_SECTOR,
                                      (uint64_t)count * MODEL_SECTOR, on_done, slot);
    }
    return slot;
}

bool stress_read(StressRun *run, uint32_t first, uint32_t count)
{
    StressSlot *slot = take_slot(run, first, count);
    if (slot) {
        slot->is_read = true;
        slot->began = model_time(&run->model);
        trace_slot(slot, "submit", 0);
        slot->aio = front_aio_read(run->front, first * MODEL_SECTOR, &slot->vec, on_done, slot);
    }
    return slot;
}

bool stress_flush(StressRun *run)
{
    StressSlot *slot = take_slot(run, 0, 0);
    if (slot) {
        slot->is_flush = true;
        slot->began = model_time(&run->model);
        trace_slot(slot, "submit", 0);
        slot->aio = front_aio_flush(run->front, on_done, slot);
    }
    return slot;
}

void stress_cancel(StressRun *run, unsigned i)
{
    StressSlot *slot = &run->slots[i];
    if (slot->used) {
        slot->cancelled = true;
        front_aio_cancel(slot->aio);
    }
}

void stress_idle(void)
{
    while (g_main_context_pending(NULL)) {
        main_loop_iterate(false);
    }
}

/* ---- what is left ---- */

static uint8_t *read_all(StressRun *run, BlockFront *front, const char *when)
{
    size_t size = (size_t)run->image->sectors * MODEL_SECTOR;
    uint8_t *buf = g_malloc(size);
    int ret = front_read(front, 0, size, buf);
    if (ret < 0) {
        stress_violation(run, "%s: cannot be read: %s", when, g_strerror(-ret));
        g_free(buf);
        return NULL;
    }
    return buf;
}

typedef struct Lines {
    GString *text;
} Lines;

static void add_line(void *opaque, const char *line)
{
    GString *text = ((Lines *)opaque)->text;
    if (text->len < 500) {
        g_string_append_printf(text, "; %s", line);
    }
}

/* leaks: of blocks that nobody uses; they are allowed after errors and crashes. */
static void check_image(StressRun *run, BlockFront *front, const char *when, unsigned fix,
                        bool leaks)
{
    Lines lines = { g_string_new(NULL) };
    BlockCheckResult result = { .report = add_line, .opaque = &lines };
    int ret = block_node_check(front_node(front), &result, fix);
    if (ret < 0 && ret != -ENOTSUP) {
        stress_violation(run, "%s: check: %s", when, g_strerror(-ret));
    } else if (result.corruptions || result.corruptions_fixed || result.check_errors ||
               (result.leaks && !leaks)) {
        stress_violation(run,
                         "%s: check (fix %u): %" PRIu64 " corruptions, %" PRIu64 " fixed, %" PRIu64
                         " leaks, %" PRIu64 " errors%s",
                         when, fix, result.corruptions, result.corruptions_fixed, result.leaks,
                         result.check_errors, lines.text->str);
    }
    g_string_free(lines.text, TRUE);
}

static void compare_same(StressRun *run, const uint8_t *before, const uint8_t *after,
                         const char *when)
{
    for (uint32_t s = 0; before && after && s < run->image->sectors; s++) {
        if (memcmp(before + s * MODEL_SECTOR, after + s * MODEL_SECTOR, MODEL_SECTOR) != 0) {
            stress_violation(run, "%s: sector %u is not what it was", when, s);
        }
    }
}

void stress_reopen(StressRun *run, bool broken_close)
{
    g_assert(run->busy == 0);
    run->file->broken = broken_close;
    close_run(run);
    run->file->broken = false;
    open_run(run);
    if (!run->front) {
        return;
    }
    run->file->instant = true;
    check_image(run, run->front, "reopened", 0, true);
    g_autofree uint8_t *buf = read_all(run, run->front, "reopened");
    for (uint32_t s = 0; buf && s < run->image->sectors; s++) {
        const uint8_t *p = buf + s * MODEL_SECTOR;
        g_autofree char *text = broken_close && run->image->write_back
                                    ? model_check_crash(&run->model, s, p)
                                    : model_check_read(&run->model, s, p, INT64_MAX);
        if (text) {
            stress_violation(run, "reopened: %s", text);
        }
    }
    check_image(run, run->front, "repaired", BLOCK_FIX_LEAKS | BLOCK_FIX_ERRORS, false);
    check_image(run, run->front, "after repair", 0, false);
    g_autofree uint8_t *again = read_all(run, run->front, "repaired");
    compare_same(run, buf, again, "repaired");
    int ret = front_flush(run->front);
    if (ret < 0) {
        stress_violation(run, "reopened: flush: %s", g_strerror(-ret));
    }
    for (uint32_t s = 0; !run->violation && s < run->image->sectors; s++) {
        model_pin(&run->model, s, buf + s * MODEL_SECTOR);
    }
    run->file->instant = false;
}

/* Somebody goes on with the image: new blocks must not be those that are in use. */
static void go_on_writing(StressRun *run, const uint8_t *before)
{
    SimFile *f = &sim_files[STRESS_CRASH_FILE];
    GError *error = NULL;
    BlockFront *front = open_image(run->image, STRESS_CRASH_FILE, true, &error);
    if (!front) {
        stress_violation(run, "after crash: cannot be opened for writing: %s", error->message);
        g_error_free(error);
        return;
    }
    uint32_t sectors = run->image->sectors, step = run->image->block_sectors;
    uint8_t *want = g_memdup2(before, (size_t)sectors * MODEL_SECTOR);
    for (uint32_t n = 0; n < 4; n++) {
        uint32_t s = g_rand_int_range(run->rand, 0, (sectors + step - 1) / step) * step;
        memset(want + s * MODEL_SECTOR, 0xa0 + n, MODEL_SECTOR);
        int ret = front_write(front, s * MODEL_SECTOR, MODEL_SECTOR, want + s * MODEL_SECTOR, 0);
        if (ret < 0) {
            stress_violation(run, "after crash: write: %s", g_strerror(-ret));
        }
    }
    front_unref(front);
    front = open_image(run->image, STRESS_CRASH_FILE, false, &error);
    if (!front) {
        stress_violation(run, "after crash and writes: does not open: %s", error->message);
        g_error_free(error);
    } else {
        g_autofree uint8_t *after = read_all(run, front, "after crash and writes");
        compare_same(run, want, after, "after crash and writes");
        check_image(run, front, "after crash and writes", 0, true);
        front_unref(front);
    }
    g_free(want);
    f->instant = true;
}

void stress_crash(StressRun *run, SimLoss loss, uint64_t choice, bool go_on)
{
    SimFile *f = &sim_files[STRESS_CRASH_FILE];
    GByteArray *bytes = sim_crash(run->file, loss, choice, run->rand);
    GError *error = NULL;
    sim_reset(f, bytes->data, bytes->len);
    f->instant = f->forget = true;
    f->request_align = run->image->align;
    g_byte_array_free(bytes, TRUE);
    BlockFront *front = open_image(run->image, STRESS_CRASH_FILE, run->image->lazy, &error);
    if (!front) {
        stress_violation(run, "after crash (%d): does not open: %s", loss, error->message);
        g_error_free(error);
        return;
    }
    g_autofree uint8_t *buf = read_all(run, front, "after crash");
    for (uint32_t s = 0; buf && s < run->image->sectors; s++) {
        g_autofree char *text = model_check_crash(&run->model, s, buf + s * MODEL_SECTOR);
        if (text) {
            stress_violation(run, "after crash (%d): %s", loss, text);
        }
    }
    check_image(run, front, "after crash", 0, true);
    front_unref(front);
    if (go_on && buf) {
        go_on_writing(run, buf);
    }
}
