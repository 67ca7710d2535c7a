/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What a target answers for its logical units (SPC-4 6.33 REPORT LUNS; SAM-5 5.11 for LUNs that do
 * not exist).
 *
 * Migration notes. In flight is a request between its answer and the last byte that the adapter
 * takes. The list entry of such a request has no payload on the wire; its bytes travel in the
 * subsection "scsi-disk/answers" of the device that it was addressed through, and without that it
 * runs again: the answer depends on the set of logical units only.
 */
#include "util/osdep.h"
#include "scsi-private.h"

#include "util/bytes.h"
#include "util/error.h"

#define INQUIRY_LEN 36

typedef struct TargetRequest {
    ScsiRequest req;
    uint8_t *buf;
    uint32_t len;
} TargetRequest;

static int compare_luns(gconstpointer a, gconstpointer b)
{
    uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;
    return (x > y) - (x < y);
}

/* SAM-5 4.7.7.5: peripheral device addressing below 256, flat space addressing above. */
static void put_lun(uint8_t *p, uint32_t lun)
{
    p[0] = lun < 256 ? 0 : 0x40 | (lun >> 8 & 0x3f);
    p[1] = lun;
}

static void report_luns(TargetRequest *t)
{
    ScsiRequest *req = &t->req;
    ScsiDevice *dev = req->dev;
    uint32_t alloc = load_be32(req->cdb + 6);
    if (alloc < 16 || req->cdb[2] > 2) {
        scsi_request_check_condition(req, scsi_sense_invalid_field);
        return;
    }
    g_autoptr(GArray) luns = g_array_new(FALSE, FALSE, sizeof(uint32_t));
    uint32_t zero = 0;
    g_array_append_val(luns, zero);
    for (GList *l = req->bus->members.head; l; l = l->next) {
        ScsiDevice *other = l->data;
        if (other->channel == dev->channel && other->id == dev->id && other->lun &&
            other->lun < 16384) {
            g_array_append_val(luns, other->lun);
        }
    }
    g_array_sort(luns, compare_luns);
    uint32_t total = 8 + 8 * luns->len;
    t->buf = g_malloc0(total);
    store_be32(t->buf, total - 8);
    for (unsigned i = 0; i < luns->len; i++) {
        put_lun(t->buf + 8 + 8 * i, g_array_index(luns, uint32_t, i));
    }
    t->len = MIN(total, alloc);
    scsi_request_data(req, t->buf, t->len);
}

/* SPC-4 6.6.2: a qualifier says whether there could be a logical unit. LUN 0 answers for the target
 * even if it is not there, so that a host can ask which ones are. */
static void inquiry_no_lun(TargetRequest *t)
{
    ScsiRequest *req = &t->req;
    const uint8_t *cdb = req->cdb;
    uint32_t alloc = load_be16(cdb + 3);
    bool vital_product_data = cdb[1] & 1;
    if (cdb[2] != 0) {
        scsi_request_check_condition(req, scsi_sense_invalid_field);
        return;
    }
    t->buf = g_malloc0(INQUIRY_LEN);
    t->len = INQUIRY_LEN;
    t->buf[0] = req->lun ? 0x7f : 0x3f;
    if (vital_product_data) {
        t->buf[3] = 1; /* one page, this one */
        t->len = 5;
    } else if (!req->lun) {
        t->buf[2] = 5;        /* SPC-3 */
        t->buf[3] = 2 | 0x10; /* format 2, hierarchical addressing */
        t->buf[4] = INQUIRY_LEN - 5;
        t->buf[7] = 0x10 | (req->bus->ops->tagged_queueing ? 2 : 0);
        memcpy(t->buf + 8, "QEMU    QEMU TARGET     2.5", 27);
    }
    t->len = MIN(t->len, alloc);
    if (t->len) {
        scsi_request_data(req, t->buf, t->len);
    } else {
        scsi_request_complete(req, SCSI_GOOD);
    }
}

static void request_sense_no_lun(TargetRequest *t)
{
    ScsiRequest *req = &t->req;
    uint8_t sense[SCSI_SENSE_MAX];
    scsi_sense_build(sense, req->lun ? scsi_sense_invalid_lun : scsi_sense_none,
                     !(req->cdb[1] & 1));
    t->buf = g_memdup2(sense, sizeof(sense));
    t->len = MIN(req->cdb[4], sizeof(sense));
    if (t->len) {
        scsi_request_data(req, t->buf, t->len);
    } else {
        scsi_request_complete(req, SCSI_GOOD);
    }
}

static void target_start(ScsiRequest *req)
{
    TargetRequest *t = (TargetRequest *)req;
    uint8_t opcode = req->cdb[0];
    req->direction = SCSI_FROM_DEVICE;
    g_clear_pointer(&t->buf, g_free);
    if (opcode == SCSI_OP_REPORT_LUNS && (req->lun == req->dev->lun || !req->lun)) {
        req->xfer = load_be32(req->cdb + 6);
        report_luns(t);
    } else if (opcode == SCSI_OP_INQUIRY) {
        req->xfer = load_be16(req->cdb + 3);
        inquiry_no_lun(t);
    } else if (opcode == SCSI_OP_REQUEST_SENSE) {
        req->xfer = req->cdb[4];
        request_sense_no_lun(t);
    } else {
        req->direction = SCSI_NO_DATA;
        scsi_request_check_condition(req, scsi_sense_invalid_lun);
    }
}

static void target_advance(ScsiRequest *req)
{
    scsi_request_complete(req, SCSI_GOOD);
}

static void target_free(ScsiRequest *req)
{
    g_free(((TargetRequest *)req)->buf);
}

static bool target_can_leave(ScsiRequest *req, GError **error)
{
    return req->dev->carries_answers || req->state == SCSI_REQUEST_RESTORED ||
           error_set(error, "the guest has not fetched the answer yet");
}

uint8_t *scsi_target_buffer(ScsiRequest *req, uint32_t *len)
{
    TargetRequest *t = (TargetRequest *)req;
    *len = t->len;
    return t->buf;
}

void scsi_target_load_buffer(ScsiRequest *req, const uint8_t *data, uint32_t len)
{
    TargetRequest *t = (TargetRequest *)req;
    g_free(t->buf);
    t->buf = g_memdup2(data, len);
    t->len = len;
    req->direction = SCSI_FROM_DEVICE;
    req->xfer = len;
    scsi_request_load_chunk(req, t->buf, len);
}

const ScsiRequestOps scsi_target_request_ops = {
    .size = sizeof(TargetRequest),
    .start = target_start,
    .advance = target_advance,
    .free = target_free,
    .can_leave = target_can_leave,
};
