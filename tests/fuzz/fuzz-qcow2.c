/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * qcow2 images (block/qcow2*.c): whatever is in a file, it opens or says why not; reads, writes, discards,
 * snapshots, check and repair of it end, within bounded time and memory.
 */
#include "util/osdep.h"

#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include "block/backend.h"
#include "block/image.h"
#include "util/main-loop.h"

#include "fuzz.h"

#define INPUT_MAX (256 << 10)

static void init_once(void)
{
    static bool done;
    if (done) {
        return;
    }
    done = true;
    main_loop_init();
    signal(SIGXFSZ, SIG_IGN);
    struct rlimit limit = { 64 << 20, 64 << 20 }; /* images that want to be large get an error */
    setrlimit(RLIMIT_FSIZE, &limit);
    /* Corruption is reported once for each image: not here. */
    if (!freopen("/dev/null", "w", stderr)) {
        abort();
    }
}

static BlockFront *open_image(const char *path, unsigned flags)
{
    g_autofree char *json = g_strdup_printf("json:{\"driver\":\"qcow2\",\"backing\":null,\"file\":{"
                                            "\"driver\":\"file\",\"locking\":\"off\","
                                            "\"filename\":\"%s\"}}",
                                            path);
    GError *error = NULL;
    BlockFront *front = front_open(json, NULL, flags, &error);
    if (!front && !error) {
        abort(); /* failed without a word */
    }
    g_clear_error(&error);
    return front;
}

static void read_all(BlockFront *front)
{
    static uint8_t buf[65536];
    int64_t length = front_length(front);
    for (int64_t at = 0; at < length && at < (1 << 20); at += sizeof(buf)) {
        front_read(front, at, MIN((int64_t)sizeof(buf), length - at), buf);
    }
    BlockNode *node = front_node(front);
    uint64_t n;
    for (int64_t at = 0; at < length && at < (1 << 20); at += n) {
        if (block_status_above(node, NULL, true, at, length - at, &n, NULL, NULL, NULL) < 0 ||
            n == 0) {
            break;
        }
    }
    BlockSnapshot *list;
    block_snapshot_list(node, &list);
    g_free(list);
    BlockDriverInfo info;
    block_node_info(node, &info);
}

static void change(BlockFront *front)
{
    static uint8_t data[20000];
    memset(data, 0x5a, sizeof(data));
    BlockNode *node = front_node(front);
    front_write(front, 700, sizeof(data), data, 0);
    front_write_zeroes(front, 1024, 3000, BLOCK_MAY_UNMAP);
    front_discard(front, 4096, 8192);
    front_flush(front);
    BlockSnapshot snap = { .name = "fuzz", .icount = -1 };
    block_snapshot_create(node, &snap, NULL);
    front_write(front, 0, 512, data, 0);
    block_snapshot_goto(node, snap.id, NULL);
    block_snapshot_delete(node, NULL, "fuzz", NULL);
    front_flush(front);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    init_once();
    if (size > INPUT_MAX) {
        return 0;
    }
    int fd = memfd_create("fuzz", MFD_CLOEXEC);
    if (fd < 0 || write(fd, data, size) != (ssize_t)size) {
        abort();
    }
    g_autofree char *path = g_strdup_printf("/proc/self/fd/%d", fd);
    BlockFront *front = open_image(path, 0);
    if (front) {
        read_all(front);
        front_unref(front);
    }
    front = open_image(path, BLOCK_OPEN_RDWR | BLOCK_OPEN_UNMAP);
    if (front) {
        change(front);
        front_unref(front);
    }
    front = open_image(path, BLOCK_OPEN_RDWR | BLOCK_OPEN_CHECK);
    if (front) {
        BlockCheckResult result = { 0 };
        block_node_check(front_node(front), &result, 0);
        result = (BlockCheckResult){ 0 };
        block_node_check(front_node(front), &result, BLOCK_FIX_LEAKS | BLOCK_FIX_ERRORS);
        front_unref(front);
    }
    close(fd);
    return 0;
}
