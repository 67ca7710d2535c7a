/* SPDX-License-Identifier: GPL-2.0-or-later */
/* A machine with one disk behind a virtio card; see virtio-disk.h. */
#include "util/osdep.h"
#include "virtio-disk.h"

#define DEVFN (4 << 3)
#define HEAP 0x100000

void virtio_disk_attach(VirtioDisk *r)
{
    g_assert_cmpuint(r->queues, <=, VIRTIO_DISK_QUEUES);
    virtio_driver_init(&r->d, r->q, DEVFN, r->way->flags, 0xc000, 0xe0000000, HEAP);
    virtio_driver_negotiate(&r->d, VIRTIO_DRIVER_ALL & ~r->way->without);
    for (unsigned i = 0; i < r->queues; i++) {
        virtio_queue_init(&r->vq[i], &r->d, i, 16);
    }
    virtio_driver_ok(&r->d);
    r->next = VIRTIO_DISK_MEMORY;
}

static char *args_of(const VirtioDisk *r, const char *image, const char *inject, const char *more)
{
    return g_strdup_printf(
        "-machine %s -m 16 -object iothread,id=io0 "
        "-blockdev driver=file,filename=%s,node-name=f0,discard=unmap "
        "-blockdev driver=blkdebug,image=f0,node-name=disk,discard=unmap%s -device %s%s,drive=%s%s",
        qtest_machine(r->way->machine), image, inject, r->way->args, r->kind->device,
        *inject ? "disk" : "f0", more);
}

void virtio_disk_start(VirtioDisk *r, const char *file, const char *inject, const char *more)
{
    g_autofree char *args =
        args_of(r, qtest_image(file, VIRTIO_DISK_SIZE, r->kind->seed), inject, more);

    r->q = qtest_start("%s", args);
    virtio_disk_attach(r);
}

void virtio_disk_start_failing(VirtioDisk *r, const char *file, const char *iotype, int sector)
{
    static const char stop[] = ",rerror=stop,werror=stop";
    const char *image = qtest_image(file, VIRTIO_DISK_SIZE, r->kind->seed);
    g_autofree char *inject = g_strdup_printf(
        ",inject-error.0.event=none,inject-error.0.iotype=%s,inject-error.0.errno=5,"
        "inject-error.0.once=on,inject-error.0.sector=%d",
        iotype, sector);
    g_autofree char *bad = args_of(r, image, inject, stop);
    g_autofree char *good = args_of(r, image, "", stop);

    r->q = qtest_start("%s", bad);
    qtest_set_moving(r->q, false);
    qtest_set_args(r->q, "%s", good);
    virtio_disk_attach(r);
}

void virtio_disk_wait_stopped(VirtioDisk *r)
{
    json_object_put(qtest_wait_event(r->q, "BLOCK_IO_ERROR"));
    qtest_wait_status(r->q, "io-error");
}

uint64_t virtio_disk_take(VirtioDisk *r, uint64_t len)
{
    uint64_t at = r->next;

    r->next += (len + 63) & ~UINT64_C(63);
    return at;
}

void virtio_disk_add_tests(const VirtioDiskKind *kind, const VirtioDiskTest *tests, size_t ntests,
                           const VirtioDiskWay *ways, size_t nways)
{
    for (size_t t = 0; t < ntests; t++) {
        unsigned in = qtest_is_short() ? tests[t].moving : tests[t].ways;

        for (size_t i = 0; i < nways; i++) {
            if (in >> i & 1) {
                g_autofree char *path =
                    g_strdup_printf("/%s/%s/%s", kind->name, tests[t].name, ways[i].name);

                g_test_add_data_func(path, &ways[i], tests[t].func);
            }
        }
    }
}
