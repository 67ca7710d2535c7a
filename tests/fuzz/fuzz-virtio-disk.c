/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What a guest can do to virtio-blk, and to virtio-scsi with a disk and a CD drive: all that fuzz-virtio-card.h has, and
 * requests that are well formed but for what is in them, to a disk that answers at once, late, or with errors at which
 * the machine stops. Whatever it is, nothing crashes, each kick ends, and a state that was saved, with the requests in
 * flight, can be loaded and saves the same again.
 *
 * The input is a byte that chooses card and disk and a list of steps: a byte that says what, then its arguments.
 */
#include "util/osdep.h"

#include "block/backend.h"

#define MORE_STEPS 3
#include "fuzz-virtio-card.h"

#define HEADERS BUFFERS          /* 128 bytes of each queue and turn, then its answers */
#define DATA (BUFFERS + 0x10000) /* 16 KiB of each */
#define SECTORS 2048

static const char *const nodes[] = { "disk", "bad", "late", "disk" };
static bool is_scsi;
static unsigned turn;

static Device *card_new(unsigned kind)
{
    Device *dev;

    is_scsi = kind & 1;
    turn = 0;
    if (!is_scsi) {
        dev = device_new(device_type_by_name("virtio-blk-pci"));
        object_set_string(&dev->object, "drive", nodes[kind >> 5 & 3]);
        object_set_string(&dev->object, "werror", kind & 0x80 ? "report" : "stop");
        object_set_string(&dev->object, "rerror", kind & 0x80 ? "report" : "stop");
        object_set_int(&dev->object, "num-queues", 2);
    } else {
        dev = device_new(device_type_by_name("virtio-scsi-pci"));
        object_set_int(&dev->object, "num_queues", 2);
    }
    return dev;
}

static void plug(const char *type, const char *node, int lun, const char *policy)
{
    Device *dev = device_new(device_type_by_name(type));
    g_autoptr(GError) error = NULL;

    object_set_string(&dev->object, "drive", node);
    object_set_string(&dev->object, "werror", policy);
    object_set_string(&dev->object, "rerror", policy);
    object_set_int(&dev->object, "scsi-id", 0);
    object_set_int(&dev->object, "lun", lun);
    if (!device_realize(dev, VIRTIO_PCI(card)->vdev->device.buses.head->data, &error)) {
        g_error("%s: %s", type, error->message);
    }
}

static void card_ready(unsigned kind)
{
    if (is_scsi) {
        plug("scsi-hd", nodes[kind >> 5 & 3], 1, kind & 0x80 ? "report" : "stop");
        plug("scsi-cd", "disc", 0, "report");
    }
}

/* ---- requests ----------------------------------------------------------------------------------------------------------- */

typedef struct Place {
    unsigned queue;
    uint64_t header, answer, data;
    uint8_t *header_bytes, *data_bytes;
} Place;

static Place place(unsigned queue)
{
    unsigned at = (turn++ & 7) * QUEUES + queue;
    Place p = { .queue = queue,
                .header = HEADERS + at * 0x200,
                .answer = HEADERS + at * 0x200 + 0x100,
                .data = DATA + at * 0x4000 };

    p.header_bytes = ram_bytes() + p.header;
    p.data_bytes = ram_bytes() + p.data;
    return p;
}

static void blk_request(Input *in, unsigned what)
{
    static const uint32_t types[] = { 0, 1, 4, 8, 11, 13, 2, 0x80000001 };
    Place p = place(what & 1);
    uint32_t type = types[take(in, 1) & 7], len = take(in, 1) * 64;
    uint64_t sector = take(in, 2);
    bool to_guest = type == 0 || type == 8, segments = type == 11 || type == 13;
    Piece pieces[3] = { { p.header, 16, false },
                        { p.data, segments ? 16 : len, to_guest },
                        { p.answer, 1, true } };

    if (segments) {
        store_le64(p.data_bytes, sector);
        store_le32(p.data_bytes + 8, len);
        store_le32(p.data_bytes + 12, what & 2 ? take(in, 1) : 0);
        sector = 0;
    }
    store_le32(p.header_bytes, type);
    store_le32(p.header_bytes + 4, 0);
    store_le64(p.header_bytes + 8, sector % (SECTORS + 16));
    if (type == 4 || !pieces[1].len) {
        pieces[1] = pieces[2];
        put_chain(p.queue, pieces, 2);
    } else {
        put_chain(p.queue, pieces, 3);
    }
}

static void put_lun(uint8_t *lun, unsigned what)
{
    memset(lun, 0, 8);
    lun[0] = 1;
    lun[1] = what & 8 ? what : 0;
    lun[2] = 0x40;
    lun[3] = what >> 1 & 3;
}

static void scsi_request(Input *in, unsigned what)
{
    Place p = place(2 + (what & 1));
    uint32_t len = take(in, 1) * 64;
    bool to_guest = take(in, 1) & 1;
    Piece answer = { p.answer, 108, true }, data = { p.data, len, to_guest };
    Piece pieces[3] = { { p.header, 51, false },
                        to_guest ? answer : data,
                        to_guest ? data : answer };

    memset(p.header_bytes, 0, 51);
    put_lun(p.header_bytes, what);
    store_le64(p.header_bytes + 8, take(in, 1) & 3);
    for (unsigned i = 0; i < 12; i++) {
        p.header_bytes[19 + i] = take(in, 1);
    }
    if (!len) {
        pieces[1] = answer;
    }
    put_chain(p.queue, pieces, len ? 3 : 2);
}

/* Task management and subscriptions; buffers for events. */
static void scsi_control(Input *in, unsigned what)
{
    unsigned type = take(in, 1) % 4;
    Place p = place(what & 1);
    Piece pieces[2] = { { p.header, type ? 16 : 24, false }, { p.answer, type ? 5 : 1, true } };

    if (p.queue == 1) {
        pieces[1].len = 16;
        put_chain(1, &pieces[1], 1);
        return;
    }
    memset(p.header_bytes, 0, 24);
    store_le32(p.header_bytes, type);
    put_lun(p.header_bytes + (type ? 4 : 8), what);
    store_le32(p.header_bytes + (type ? 12 : 4), take(in, 1));
    store_le64(p.header_bytes + 16, take(in, 1) & 3);
    put_chain(0, pieces, 2);
}

static void more(Input *in, unsigned which, unsigned what)
{
    if (which == 2 && is_scsi) {
        scsi_control(in, what);
    } else if (which == 2) {
        write_at(BAR + 0x2000 + 32, what & 1, 1); /* the write cache */
    } else if (is_scsi) {
        scsi_request(in, what);
    } else {
        blk_request(in, what);
    }
}

/* Of what disks are made; the bad one has a sector that fails always, and one that fails when it is written. */
static void add_nodes(void)
{
    static const char *const options[] = {
        "driver=null-co,node-name=disk,size=1048576,read-zeroes=on",
        "driver=null-co,node-name=disc,size=1048576,read-zeroes=on,read-only=on",
        "driver=null-co,node-name=late,size=1048576,read-zeroes=on,latency-ns=100000",
        "driver=null-co,node-name=under,size=1048576,read-zeroes=on",
        "driver=blkdebug,image=under,node-name=bad,inject-error.0.event=none,inject-error.0.errno="
        "5,"
        "inject-error.0.sector=3,inject-error.1.event=none,inject-error.1.errno=28,"
        "inject-error.1.iotype=write,inject-error.1.sector=8",
    };

    for (unsigned i = 0; i < G_N_ELEMENTS(options); i++) {
        g_autoptr(GError) error = NULL;

        if (!block_add_blockdev(options[i], &error)) {
            g_error("%s: %s", options[i], error->message);
        }
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (!pci_bus) {
        machine_init();
        add_nodes();
    }
    run_input(data, size);
    return 0;
}
