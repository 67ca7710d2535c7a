/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * VDI images from anybody: they open or end in an error with a text, reads and writes succeed or fail, and what check
 * has repaired is right afterwards. Input: the file.
 */
#include "util/osdep.h"

#include <fcntl.h>
#include <sys/mman.h>
#include "block/backend.h"
#include "block/image.h"
#include "util/main-loop.h"

#include "fuzz.h"

#define MAX_FILE 65536
/* Larger ones would take gigabytes when they are repaired. */
#define MAX_REPAIRED_BLOCK 65536

static int file;
static char path[64];

static void put(const uint8_t *data, size_t size)
{
    if (ftruncate(file, 0) < 0 || pwrite(file, data, size, 0) != (ssize_t)size) {
        abort();
    }
}

static BlockFront *open_image(unsigned flags)
{
    GError *error = NULL;
    json_object *o = json_tokener_parse("{\"driver\":\"vdi\",\"discard\":\"unmap\",\"file\":{\"locking\":\"off\"}}");
    BlockFront *front = front_open(path, o, flags, &error);
    json_object_put(o);
    if (!front && (!error || !error->message[0])) {
        abort(); /* failed without a word */
    }
    g_clear_error(&error);
    return front;
}

static const uint64_t places[] = { 0, 1, 3, 7, 1000, UINT64_MAX };

static void use(BlockFront *front, bool write)
{
    uint8_t buf[3000];
    int64_t length = front_length(front);
    memset(buf, 0x5a, sizeof(buf));
    for (unsigned i = 0; i < G_N_ELEMENTS(places) && length >= 512; i++) {
        uint64_t at = places[i] == UINT64_MAX ? (uint64_t)length - 512 : places[i] * 512;
        uint64_t n = MIN((uint64_t)length - MIN(at, (uint64_t)length), sizeof(buf));
        uint64_t count;
        if (n == 0) {
            continue;
        }
        front_read(front, at, n, buf);
        block_status_above(front_node(front), NULL, true, at, n, &count, NULL, NULL, NULL);
        if (write) {
            front_write(front, at, n, buf, i % 2 ? BLOCK_FUA : 0);
            front_write_zeroes(front, at, n, BLOCK_MAY_UNMAP);
            front_discard(front, at, n);
        }
    }
}

static void check(const uint8_t *data, size_t size)
{
    BlockCheckResult r = { 0 };
    put(data, size);
    BlockFront *front = open_image(BLOCK_OPEN_CHECK | BLOCK_OPEN_RDWR);
    if (!front) {
        return;
    }
    BlockDriverInfo info;
    block_node_info(front_node(front), &info);
    int ret = block_node_check(front_node(front), &r, 0);
    if (info.cluster_size <= MAX_REPAIRED_BLOCK) {
        r = (BlockCheckResult){ 0 };
        ret = block_node_check(front_node(front), &r, BLOCK_FIX_ERRORS | BLOCK_FIX_LEAKS);
    }
    front_unref(front);
    if (info.cluster_size > MAX_REPAIRED_BLOCK || ret < 0 || r.corruptions || r.leaks) {
        return;
    }
    front = open_image(BLOCK_OPEN_RDWR);
    r = (BlockCheckResult){ 0 };
    if (!front || block_node_check(front_node(front), &r, 0) < 0 || r.corruptions || r.leaks) {
        abort(); /* repaired, and yet it is not right */
    }
    use(front, true);
    front_unref(front);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (!file) {
        main_loop_init();
        file = memfd_create("vdi", MFD_CLOEXEC);
        g_snprintf(path, sizeof(path), "/proc/self/fd/%d", file);
    }
    if (size > MAX_FILE) {
        return 0;
    }
    put(data, size);
    BlockFront *front = open_image(0);
    if (front) {
        use(front, false);
        front_unref(front);
    }
    front = open_image(BLOCK_OPEN_RDWR);
    if (front) {
        use(front, true);
        front_unref(front);
    }
    check(data, size);
    put(data, 0);
    return 0;
}
