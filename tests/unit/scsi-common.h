/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A host adapter driven by hand, for tests of SCSI devices. It behaves as a bulk-only bridge does
 * towards its host: the data phase has the length that the host says; answers are padded with
 * zeros.
 */
#ifndef TEST_SCSI_COMMON_H
#define TEST_SCSI_COMMON_H

#include "hw/scsi/disk.h"
#include "hw/scsi/scsi.h"
#include "system/memory.h"
#include "util/main-loop.h"

typedef struct Hba {
    Device device;
    ScsiBus *bus;
    ScsiRequest *req; /* in flight */
    uint32_t pos;     /* within the chunk */
    uint32_t total;   /* bytes of the data phase that have moved */
    bool data_again;  /* .data_again was called */
    bool done, cancelled;
    int status;
    ScsiSense sense;
} Hba;

static void hba_data(ScsiRequest *req, uint8_t *chunk, uint32_t len)
{
    ((Hba *)req->bus->hba)->pos = 0;
}

static bool hba_data_again(ScsiRequest *req, uint8_t *chunk, uint32_t len)
{
    Hba *h = req->bus->hba;
    h->data_again = true;
    return !h->pos || (req->direction == SCSI_FROM_DEVICE && h->pos < len);
}

static void hba_finish(ScsiRequest *req, bool cancelled)
{
    Hba *h = req->bus->hba;
    g_assert_false(h->done);
    h->done = true;
    h->cancelled = cancelled;
    h->status = req->status;
    h->sense = scsi_sense_parse(req->sense, req->sense_len);
    g_assert(h->req == req);
    scsi_request_unref(req);
    h->req = NULL;
}

static void hba_complete(ScsiRequest *req)
{
    hba_finish(req, false);
}

static void hba_cancelled(ScsiRequest *req)
{
    hba_finish(req, true);
}

static bool hba_load_request(ScsiRequest *req, VmReader *r, GError **error)
{
    Hba *h = req->bus->hba;
    g_assert_null(h->req);
    h->req = scsi_request_ref(req);
    h->done = h->cancelled = h->data_again = false;
    return true;
}

static const ScsiHbaOps hba_ops = {
    .max_lun = 15,
    .data = hba_data,
    .data_again = hba_data_again,
    .complete = hba_complete,
    .cancelled = hba_cancelled,
    .load_request = hba_load_request,
};

static bool hba_realize(Device *dev, GError **error)
{
    Hba *h = (Hba *)dev;
    h->bus = scsi_bus_new(dev, NULL, &hba_ops, h);
    return true;
}

static void hba_unrealize(Device *dev)
{
    bus_destroy(&((Hba *)dev)->bus->bus);
}

static const DeviceType hba_type = {
    .object = { .name = "test-hba", .parent = &device_type.object, .size = sizeof(Hba) },
    .realize = hba_realize,
    .unrealize = hba_unrealize,
    .migration = STATELESS("part of a test"),
};
DEVICE_REGISTER(hba_type)

static inline Hba *hba_new(void)
{
    GError *error = NULL;
    Device *dev = device_new(&hba_type);
    device_realize(dev, NULL, &error);
    g_assert_no_error(error);
    return (Hba *)dev;
}

/* props: "name=value" pairs as of -device, separated by commas; may be NULL. */
static inline ScsiDevice *hba_plug(Hba *h, const char *type, const char *props)
{
    GError *error = NULL;
    Device *dev = device_new(device_type_by_name(type));
    g_auto(GStrv) list = g_strsplit(props ? props : "", ",", -1);
    for (char **p = list; *p; p++) {
        g_auto(GStrv) pair = g_strsplit(*p, "=", 2);
        object_set_text(&dev->object, pair[0], pair[1], &error);
        g_assert_no_error(error);
    }
    device_realize(dev, &h->bus->bus, &error);
    g_assert_no_error(error);
    return SCSI_DEVICE(dev);
}

static inline void hba_free(Hba *h)
{
    device_unrealize(&h->device);
}

/* ---- commands in steps ----------------------------------------------------------------------- */

/* Until the request wants data moved, has ended, or is stopped. */
static inline void hba_wait(Hba *h)
{
    while (!h->done && h->req->state == SCSI_REQUEST_RUNNING) {
        main_loop_iterate(true);
    }
}

static inline void hba_start(Hba *h, ScsiDevice *dev, uint32_t lun, const uint8_t *cdb, size_t len)
{
    static uint32_t tag = 0x1000;
    h->done = h->cancelled = h->data_again = false;
    h->pos = h->total = 0;
    h->req = scsi_request_new(dev, tag++, lun, cdb, len, h);
    scsi_request_enqueue(h->req);
    hba_wait(h);
}

/* Moves up to len bytes of the data phase; returns how many. buf NULL: zeros out. */
static inline uint32_t hba_move(Hba *h, uint8_t *buf, uint32_t len, bool in)
{
    uint32_t moved = 0;
    while (moved < len && !h->done && h->req->state == SCSI_REQUEST_DATA) {
        ScsiRequest *req = h->req;
        if ((req->direction == SCSI_FROM_DEVICE) != in) {
            break;
        }
        uint32_t n = MIN(len - moved, req->chunk_len - h->pos);
        if (in) {
            memcpy(buf + moved, req->chunk + h->pos, n);
        } else {
            memcpy(req->chunk + h->pos, buf + moved, n);
        }
        h->pos += n;
        moved += n;
        if (h->pos == req->chunk_len) {
            scsi_request_continue(req);
            hba_wait(h);
        }
    }
    h->total += moved;
    return moved;
}

/* The host is through with the data phase: gives up what has not ended. */
static inline void hba_end(Hba *h)
{
    if (!h->done && h->req->state == SCSI_REQUEST_DATA) {
        scsi_request_cancel(h->req);
        h->status = SCSI_GOOD;
    }
    while (!h->done) {
        main_loop_iterate(true);
    }
}

/* ---- setting up ------------------------------------------------------------------------------ */

static inline void scsi_test_init(void)
{
    main_loop_init();
    memory_init();
}

static inline void add_node(const char *text)
{
    GError *error = NULL;
    block_add_blockdev(text, &error);
    g_assert_no_error(error);
}

static inline uint8_t *hex_bytes(const char *hex, size_t *len)
{
    *len = strlen(hex) / 2;
    uint8_t *bytes = g_malloc0(*len + 1);
    for (size_t i = 0; i < *len; i++) {
        bytes[i] = g_ascii_xdigit_value(hex[2 * i]) << 4 | g_ascii_xdigit_value(hex[2 * i + 1]);
    }
    return bytes;
}

#endif
