/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Requests by native AIO and io_uring, with a kernel that takes less than it is given: the functions of libaio and liburing that hand
 * requests over stand here, before those of the libraries.
 */
#include "util/osdep.h"
#include "block-common.h"

#include <dlfcn.h>
#ifdef CONFIG_LINUX_AIO
#include <libaio.h>
#endif
#ifdef CONFIG_LINUX_IO_URING
#include <liburing.h>
#endif

#define REQUESTS 150 /* more than are handed over at once */
#define BYTES 4096
#define PATIENCE 60 /* s */

#ifdef CONFIG_LINUX_AIO
static unsigned refused;

/* Too many requests of others. */
int io_submit(io_context_t ctx, long n, struct iocb **requests)
{
    refused++;
    return -EAGAIN;
}
#endif

#ifdef CONFIG_LINUX_IO_URING
static unsigned shortened;

/* One of them. */
int io_uring_submit(struct io_uring *ring)
{
    int (*next)(struct io_uring *ring) = (int (*)(struct io_uring *))dlsym(RTLD_NEXT, "io_uring_submit");
    unsigned tail = ring->sq.sqe_tail, head = tail - io_uring_sq_ready(ring);

    if (tail - head > 1) {
        shortened++;
        ring->sq.sqe_tail = head + 1;
    }
    int ret = next(ring);
    ring->sq.sqe_tail = tail;
    return ret;
}
#endif

static unsigned left;

static void on_done(void *opaque, int ret)
{
    g_assert_cmpint(ret, ==, 0);
    left--;
}

/* Many at once; each comes back with its data. */
static void G_GNUC_UNUSED read_many(const char *aio, bool direct)
{
    g_autofree char *path = make_image("many", REQUESTS * BYTES);
    g_autofree char *text =
        g_strdup_printf("driver=file,node-name=n,filename=%s,cache.direct=%s,aio=%s", path, direct ? "on" : "off", aio);
    int fd = open(path, O_RDONLY | (direct ? O_DIRECT : 0) | O_CLOEXEC);
    if (fd < 0) {
        g_test_skip("O_DIRECT is not possible in the test's folder");
        return;
    }
    close(fd);
    add_node(text);
    BlockFront *front = add_front("n");
    uint8_t *data = g_aligned_alloc(REQUESTS, BYTES, BYTES);
    struct iovec iov[REQUESTS];
    IoVec vec[REQUESTS];
    left = REQUESTS;
    alarm(PATIENCE); /* who waits for what does not come ends the test */
    block_plug();
    for (unsigned i = 0; i < REQUESTS; i++) {
        iov[i] = (struct iovec){ data + i * BYTES, BYTES };
        vec[i] = (IoVec){ &iov[i], 1, 1, BYTES };
        front_aio_read(front, i * BYTES, &vec[i], on_done, NULL);
    }
    block_unplug();
    MAIN_LOOP_WHILE(left);
    alarm(0);
    for (unsigned i = 0; i < REQUESTS * BYTES; i++) {
        g_assert_cmpuint(data[i], ==, pattern(i));
    }
    g_aligned_free(data);
    drop_front(front);
    del_node("n");
}

#ifdef CONFIG_LINUX_AIO
static void test_full_queue_that_the_kernel_refuses(void)
{
    read_many("native", true);
    g_assert_cmpuint(refused, >, 0);
}
#endif

#ifdef CONFIG_LINUX_IO_URING
static void test_kernel_that_takes_one_at_a_time(void)
{
    read_many("io_uring", false); /* what is in the page cache is over at once: no event hands over the rest */
    g_assert_cmpuint(shortened, >, 0);
}
#endif

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    block_test_init();
#ifdef CONFIG_LINUX_AIO
    g_test_add_func("/block-aio/full-queue-that-the-kernel-refuses", test_full_queue_that_the_kernel_refuses);
#endif
#ifdef CONFIG_LINUX_IO_URING
    g_test_add_func("/block-aio/kernel-that-takes-one-at-a-time", test_kernel_that_takes_one_at_a_time);
#endif
    int r = g_test_run();
    block_test_cleanup();
    return r;
}
