/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The life of a SCSI request (SAM-5 8): transitions, sense data and unit attentions, and its form
 * in a stream. The table of states is in docs/devel/scsi.md.
 */
#include "util/osdep.h"
#include "hw/scsi/scsi.h"

#include "scsi-private.h"
#include "util/error.h"
#include "util/trace.h"

TRACE_EVENT(scsi_req_alloc)
TRACE_EVENT(scsi_req_parsed)
TRACE_EVENT(scsi_req_parsed_lba)
TRACE_EVENT(scsi_req_parse_bad)
TRACE_EVENT(scsi_req_data)
TRACE_EVENT(scsi_req_continue)
TRACE_EVENT(scsi_req_dequeue)
TRACE_EVENT(scsi_req_cancel)
TRACE_EVENT(scsi_req_build_sense)

/* A stream with more requests of one device than this is refused. */
#define MAX_LOADED_REQUESTS 4096

#define TRACE_REQUEST(event, req, fmt, ...) \
    trace(event, "target %u lun %u tag %u" fmt, (req)->dev->id, (req)->lun, (req)->tag, __VA_ARGS__)

/* ---- references ------------------------------------------------------------------------------ */

ScsiRequest *scsi_request_new(ScsiDevice *dev, uint32_t tag, uint32_t lun, const uint8_t *cdb,
                              size_t len, void *hba_private)
{
    uint8_t padded[SCSI_CDB_MAX] = { 0 };
    memcpy(padded, cdb, MIN(len, sizeof(padded)));
    const ScsiRequestOps *ops = &scsi_target_request_ops;
    if (lun == dev->lun && padded[0] != SCSI_OP_REPORT_LUNS) {
        ops = scsi_device_ops(dev)->request_ops(dev, padded);
    }
    ScsiRequest *req = g_malloc0(ops->size);
    req->ops = ops;
    req->bus = SCSI_BUS(dev->device.bus);
    req->dev = (ScsiDevice *)object_ref(dev);
    req->refs = 1;
    req->tag = tag;
    req->lun = lun;
    req->state = SCSI_REQUEST_NEW;
    memcpy(req->cdb, padded, sizeof(padded));
    req->cdb_len = scsi_cdb_length(padded[0]);
    req->status = -1;
    req->hba_private = hba_private;
    req->link.data = req;
    TRACE_REQUEST(scsi_req_alloc, req, "%s", "");
    return req;
}

ScsiRequest *scsi_request_ref(ScsiRequest *req)
{
    req->refs++;
    return req;
}

void scsi_request_unref(ScsiRequest *req)
{
    if (!req || --req->refs > 0) {
        return;
    }
    g_assert(!req->on_list);
    if (req->ops->free) {
        req->ops->free(req);
    }
    object_unref(req->dev);
    g_free(req);
}

/* The list holds one reference. */
static void list_add(ScsiRequest *req)
{
    req->on_list = true;
    g_queue_push_tail_link(&req->dev->requests, &req->link);
    scsi_request_ref(req);
}

static void list_remove(ScsiRequest *req)
{
    if (req->on_list) {
        TRACE_REQUEST(scsi_req_dequeue, req, "%s", "");
        req->on_list = false;
        g_queue_unlink(&req->dev->requests, &req->link);
        scsi_request_unref(req);
    }
}

char *scsi_request_describe(const ScsiRequest *req)
{
    return g_strdup_printf("%s: request %s", req->dev->description, scsi_command_name(req->cdb[0]));
}

/* ---- transitions ----------------------------------------------------------------------------- */

/* Commands that are done in spite of a unit attention and leave it pending (SPC-4 5.14; MMC-6
 * 4.1.6). REQUEST SENSE does as long as there is sense data of the command before it. */
static bool ignores_unit_attention(const ScsiRequest *req)
{
    uint8_t opcode = req->cdb[0];
    return (opcode == SCSI_OP_REQUEST_SENSE && req->dev->sense_len) || opcode == SCSI_OP_INQUIRY ||
           opcode == SCSI_OP_REPORT_LUNS || opcode == SCSI_OP_GET_CONFIGURATION ||
           opcode == SCSI_OP_GET_EVENT_STATUS;
}

static void report_unit_attention(ScsiRequest *req)
{
    ScsiDevice *dev = req->dev;
    ScsiSense sense = dev->unit_attention;
    dev->unit_attention = scsi_sense_none;
    if (scsi_device_ops(dev)->unit_attention_reported) {
        scsi_device_ops(dev)->unit_attention_reported(dev);
    }
    scsi_request_check_condition(req, sense);
    dev->sense_is_ua = true;
}

bool scsi_request_peek(ScsiRequest *req)
{
    ScsiSense sense;
    return req->ops != &scsi_target_request_ops &&
           scsi_device_ops(req->dev)->parse_cdb(req->dev, req, &sense);
}

void scsi_request_enqueue(ScsiRequest *req)
{
    g_assert(req->state == SCSI_REQUEST_NEW);
    ScsiDevice *dev = req->dev;
    list_add(req);
    req->state = SCSI_REQUEST_RUNNING;
    if (req->cdb[0] != SCSI_OP_REQUEST_SENSE) {
        dev->sense_len = 0;
        dev->sense_is_ua = false;
    }
    if (req->ops == &scsi_target_request_ops) {
        req->ops->start(req);
        return;
    }
    if (dev->unit_attention.key && !ignores_unit_attention(req)) {
        report_unit_attention(req);
        return;
    }
    ScsiSense sense = scsi_sense_illegal_opcode;
    if (!scsi_device_ops(dev)->parse_cdb(dev, req, &sense)) {
        TRACE_REQUEST(scsi_req_parse_bad, req, " command %u", req->cdb[0]);
        scsi_request_check_condition(req, sense);
        return;
    }
    TRACE_REQUEST(scsi_req_parsed, req, " command %u dir %d length %" PRIu64, req->cdb[0],
                  req->direction, req->xfer);
    TRACE_REQUEST(scsi_req_parsed_lba, req, " command %u lba %" PRIu64, req->cdb[0], req->lba);
    req->ops->start(req);
}

void scsi_request_data(ScsiRequest *req, uint8_t *chunk, uint32_t len)
{
    g_assert(req->state == SCSI_REQUEST_RUNNING && len > 0);
    const ScsiHbaOps *hba = req->bus->ops;
    TRACE_REQUEST(scsi_req_data, req, " len %u", len);
    req->state = SCSI_REQUEST_DATA;
    req->chunk = chunk;
    req->chunk_len = len;
    if (req->replaying) {
        req->replaying = false;
        if (hba->data_again) {
            if (!hba->data_again(req, chunk, len)) {
                req->state = SCSI_REQUEST_RUNNING;
                req->chunk = NULL;
                scsi_request_check_condition(req, scsi_sense_data_phase);
            }
            return;
        }
    }
    hba->data(req, chunk, len);
}

void scsi_request_continue(ScsiRequest *req)
{
    g_assert(req->state == SCSI_REQUEST_DATA);
    TRACE_REQUEST(scsi_req_continue, req, "%s", "");
    req->state = SCSI_REQUEST_RUNNING;
    req->moved += req->chunk_len;
    req->chunk = NULL;
    req->chunk_len = 0;
    req->ops->advance(req);
}

void scsi_request_complete(ScsiRequest *req, ScsiStatus status)
{
    g_assert(req->state == SCSI_REQUEST_RUNNING);
    req->state = SCSI_REQUEST_DONE;
    req->status = status;
    req->replaying = false;
    if (status != SCSI_CHECK_CONDITION) {
        req->sense_len = 0;
    } else {
        memcpy(req->dev->sense, req->sense, sizeof(req->sense));
        req->dev->sense_len = req->sense_len;
        req->dev->sense_is_ua = false;
    }
    scsi_request_ref(req);
    list_remove(req);
    req->bus->ops->complete(req);
    scsi_request_unref(req);
}

void scsi_request_check_condition(ScsiRequest *req, ScsiSense sense)
{
    TRACE_REQUEST(scsi_req_build_sense, req, " key 0x%02x asc 0x%02x ascq 0x%02x", sense.key,
                  sense.asc, sense.ascq);
    req->sense_len = scsi_sense_build(req->sense, sense, true);
    scsi_request_complete(req, SCSI_CHECK_CONDITION);
}

void scsi_request_stop(ScsiRequest *req)
{
    g_assert(req->state == SCSI_REQUEST_RUNNING);
    req->state = SCSI_REQUEST_STOPPED;
}

/* A request with I/O in flight leaves the list at once; the I/O keeps a reference until it is over.
 * */
void scsi_request_cancel(ScsiRequest *req)
{
    if (!req->on_list) {
        return;
    }
    TRACE_REQUEST(scsi_req_cancel, req, "%s", "");
    bool running = req->state == SCSI_REQUEST_RUNNING;
    req->state = SCSI_REQUEST_CANCELLED;
    req->chunk = NULL;
    scsi_request_ref(req);
    list_remove(req);
    if (running && req->ops->cancel_io && req->ops->cancel_io(req)) {
        return; /* scsi_request_io_done() takes over the reference */
    }
    req->bus->ops->cancelled(req);
    scsi_request_unref(req);
}

bool scsi_request_io_done(ScsiRequest *req)
{
    if (req->state != SCSI_REQUEST_CANCELLED) {
        return false;
    }
    req->bus->ops->cancelled(req);
    scsi_request_unref(req);
    return true;
}

unsigned scsi_request_get_sense(ScsiRequest *req, uint8_t *buf, unsigned len)
{
    unsigned n = MIN(req->sense_len, len);
    memcpy(buf, req->sense, n);
    return n;
}

void scsi_request_load_chunk(ScsiRequest *req, uint8_t *chunk, uint32_t len)
{
    req->state = SCSI_REQUEST_DATA;
    req->chunk = chunk;
    req->chunk_len = len;
}

/* ---- when the VM starts ---------------------------------------------------------------------- */

static void go_on(ScsiRequest *req)
{
    const ScsiRequestOps *ops = req->ops;
    if (req->state == SCSI_REQUEST_STOPPED) {
        req->state = SCSI_REQUEST_RUNNING;
        (ops->restart ? ops->restart : ops->start)(req);
    } else if (req->state == SCSI_REQUEST_RESTORED) {
        req->state = SCSI_REQUEST_RUNNING;
        req->replaying = true;
        (ops->replay ? ops->replay : ops->start)(req);
    }
}

void scsi_device_requests_go_on(ScsiDevice *dev)
{
    g_autoptr(GPtrArray) list = g_ptr_array_new_with_free_func((GDestroyNotify)scsi_request_unref);
    for (GList *l = dev->requests.head; l; l = l->next) {
        g_ptr_array_add(list, scsi_request_ref(l->data));
    }
    for (unsigned i = 0; i < list->len; i++) {
        ScsiRequest *req = list->pdata[i];
        if (req->on_list) {
            go_on(req);
        }
    }
}

void scsi_device_cancel_all(ScsiDevice *dev)
{
    while (!g_queue_is_empty(&dev->requests)) {
        scsi_request_cancel(g_queue_peek_head(&dev->requests));
    }
}

/* ---- quiesce --------------------------------------------------------------------------------- */

QuiesceResult scsi_device_requests_can_leave(ScsiDevice *dev, GError **error)
{
    for (GList *l = dev->requests.head; l; l = l->next) {
        ScsiRequest *req = l->data;
        g_autofree char *what = scsi_request_describe(req);
        if (req->state == SCSI_REQUEST_RUNNING) {
            error_set(error, "%s waits for block I/O", what);
            return QUIESCE_BUSY;
        }
        if (req->ops->can_leave && !req->ops->can_leave(req, error)) {
            error_prefix(error, "%s in flight: ", what);
            return QUIESCE_BUSY;
        }
    }
    return QUIESCE_DONE;
}

/* ---- the list in a stream -------------------------------------------------------------------- */

enum { ENTRY_END = 0, ENTRY_STOPPED = 1, ENTRY_NORMAL = 2 };

static bool put_request(ScsiRequest *req, VmWriter *w, GError **error)
{
    if (req->state != SCSI_REQUEST_DATA && req->state != SCSI_REQUEST_STOPPED &&
        req->state != SCSI_REQUEST_RESTORED) {
        g_autofree char *what = scsi_request_describe(req);
        return error_set(error, "%s is still running", what); /* S6 */
    }
    vm_put_u8(w, req->state == SCSI_REQUEST_STOPPED ? ENTRY_STOPPED : ENTRY_NORMAL);
    vm_put_bytes(w, req->cdb, sizeof(req->cdb));
    vm_put_be32(w, req->tag);
    vm_put_be32(w, req->lun);
    const ScsiHbaOps *hba = req->bus->ops;
    if (hba->save_request && !hba->save_request(req, w, error)) {
        return false;
    }
    return !req->ops->save || req->ops->save(req, w, error);
}

static bool put_requests(VmWriter *w, const void *elem, size_t size, const VmField *field,
                         GError **error)
{
    const GQueue *requests = elem;
    for (GList *l = requests->head; l; l = l->next) {
        if (!put_request(l->data, w, error)) {
            return false;
        }
    }
    vm_put_u8(w, ENTRY_END);
    return true;
}

static bool get_request(ScsiDevice *dev, uint8_t kind, VmReader *r, GError **error)
{
    uint8_t cdb[SCSI_CDB_MAX];
    vm_get_bytes(r, cdb, sizeof(cdb));
    uint32_t tag = vm_get_be32(r);
    uint32_t lun = vm_get_be32(r);
    if (!vm_reader_check(r, error)) {
        return false;
    }
    const ScsiHbaOps *hba = SCSI_BUS(dev->device.bus)->ops;
    ScsiRequest *req = scsi_request_new(dev, tag, lun, cdb, sizeof(cdb), NULL);
    ScsiSense sense;
    bool ok = true;
    if (!hba->load_request) {
        ok = error_set(error, "the adapter cannot take over requests");
    } else if (req->ops != &scsi_target_request_ops &&
               !scsi_device_ops(dev)->parse_cdb(dev, req, &sense)) {
        /* It would have failed at once on our side. It has a form all the same: it runs into its
         * error again. */
        req->direction = SCSI_NO_DATA;
        req->xfer = 0;
    }
    req->state = kind == ENTRY_STOPPED ? SCSI_REQUEST_STOPPED : SCSI_REQUEST_RESTORED;
    if (ok) {
        list_add(req);
        bool with_adapter = hba->load_request(req, r, error);
        ok = with_adapter && (!req->ops->load || req->ops->load(req, r, error)) &&
             vm_reader_check(r, error);
        if (!ok) {
            req->state = SCSI_REQUEST_CANCELLED;
            req->chunk = NULL;
            list_remove(req);
        }
        if (!ok && with_adapter) {
            hba->cancelled(req);
        }
    }
    scsi_request_unref(req);
    return ok;
}

static bool get_requests(VmReader *r, void *elem, size_t size, const VmField *field, GError **error)
{
    ScsiDevice *dev = (ScsiDevice *)((char *)elem - offsetof(ScsiDevice, requests));
    scsi_device_cancel_all(dev);
    unsigned limit = SCSI_BUS(dev->device.bus)->ops->tagged_queueing ? MAX_LOADED_REQUESTS : 1;
    for (unsigned n = 0;; n++) {
        uint8_t kind = vm_get_u8(r);
        if (!vm_reader_check(r, error)) {
            return false;
        }
        if (kind == ENTRY_END) {
            return true;
        }
        if (kind != ENTRY_STOPPED && kind != ENTRY_NORMAL) {
            return error_set(error, "%s: unknown kind %u of request", dev->description, kind);
        }
        if (n == limit) {
            return error_set(error, "%s: too many requests", dev->description);
        }
        if (!get_request(dev, kind, r, error)) {
            error_prefix(error, "%s: ", dev->description);
            return false;
        }
    }
}

static const VmKind vm_kind_scsi_requests = {
    .name = "scsi-requests",
    .put = put_requests,
    .get = get_requests,
};

static bool valid_sense_len(const void *opaque, int64_t value)
{
    return value >= 0 && value <= SCSI_SENSE_MAX;
}

/* The sense buffer of the wire is shorter than what SPC-4 allows; sense data of ours always fits.
 * */
#define SENSE_ON_WIRE 96

static bool sense_post_load(void *opaque, int version, GError **error)
{
    ScsiDevice *dev = opaque;
    memset(dev->sense + SENSE_ON_WIRE, 0, sizeof(dev->sense) - SENSE_ON_WIRE);
    return true;
}

const VmState scsi_device_vmstate = {
    .name = "SCSIDevice",
    .version = 1,
    .minimum_version = 1,
    .post_load = sense_post_load,
    .fields =
        (const VmField[]){
            VM_U8(ScsiDevice, unit_attention.key),
            VM_U8(ScsiDevice, unit_attention.asc),
            VM_U8(ScsiDevice, unit_attention.ascq),
            VM_BOOL(ScsiDevice, sense_is_ua),
            VM_U8_ARRAY(ScsiDevice, sense, SENSE_ON_WIRE),
            { .name = "sense_len",
              .offset = VM_CHECKED_OFFSET(ScsiDevice, sense_len, uint32_t),
              .size = 4,
              .kind = &vm_kind_u32,
              .valid = valid_sense_len },
            { .name = "requests",
              .offset = VM_CHECKED_OFFSET(ScsiDevice, requests, GQueue),
              .size = 1,
              .kind = &vm_kind_scsi_requests },
            VM_END,
        },
};
