/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Commands of virtio-scsi (VIRTIO 1.2, 5.6.6.1): between rings and SCSI requests. The data of a command is in guest
 * memory all the time, so chunks are copied as soon as they are announced.
 *
 * Migration notes. What is in flight at a switchover are requests that the block layer refused under
 * rerror/werror=stop, and chunks and answers that came while the device was stopped. A list entry of the disk has, in
 * stock's layout, be32 the number of the request queue and the ring element; the disk sends no data (ScsiHbaOps.
 * keeps_data), and the command begins again on arrival, from guest memory.
 */
#include "util/osdep.h"
#include "virtio-scsi.h"

#include "block/backend.h"
#include "util/bytes.h"
#include "util/error.h"
#include "util/iov.h"
#include "util/trace.h"

TRACE_EVENT(virtio_scsi_cmd_req)
TRACE_EVENT(virtio_scsi_cmd_resp)

#define REQUEST_FIXED 19 /* lun, id, task attribute, priority, CRN; then the CDB */
#define RESPONSE_FIXED \
    12 /* sense_len, residual, qualifier, status, response; then the sense data */

/* ---- answers ------------------------------------------------------------------------------------------------- */

static void command_free(ScsiCommand *cmd)
{
    scsi_request_unref(cmd->req);
    g_free(cmd);
}

static void tell_waiting(ScsiCommand *cmd)
{
    GSList *list = g_slist_reverse(cmd->waiting);

    cmd->waiting = NULL;
    for (GSList *l = list; l; l = l->next) {
        virtio_scsi_tmf_one_less(l->data);
    }
    g_slist_free(list);
}

static size_t out_data(const ScsiCommand *cmd)
{
    return cmd->elem.out_len - cmd->request_header;
}

static size_t in_data(const ScsiCommand *cmd)
{
    return cmd->elem.in_len - cmd->response_header;
}

/* Bytes of the buffer for the way that the command's data goes; a buffer for the other way is none. */
static size_t data_size(const ScsiCommand *cmd)
{
    switch (cmd->req ? cmd->req->direction : SCSI_NO_DATA) {
    case SCSI_TO_DEVICE:
        return out_data(cmd);
    case SCSI_FROM_DEVICE:
        return in_data(cmd);
    default:
        return MAX(out_data(cmd), in_data(cmd));
    }
}

static void answer(ScsiCommand *cmd)
{
    VirtQueueElement *elem = &cmd->elem;
    VirtioDevice *vdev = &cmd->s->vdev;
    bool from_device = cmd->req && cmd->req->direction == SCSI_FROM_DEVICE;
    size_t sense = MIN(cmd->sense_len, cmd->response_header - RESPONSE_FIXED);
    uint8_t response[RESPONSE_FIXED] = { 0 };

    trace(virtio_scsi_cmd_resp, "response %u status 0x%02x id %" PRIu64, cmd->response, cmd->status,
          cmd->id);
    store_le32(response, sense);
    if (cmd->response == VIRTIO_SCSI_S_OK) {
        store_le32(response + 4, data_size(cmd) - cmd->position);
    }
    response[10] = cmd->status;
    response[11] = cmd->response;
    iov_from_buf(elem->in_sg, elem->in_num, 0, response, sizeof(response));
    iov_from_buf(elem->in_sg, elem->in_num, sizeof(response), cmd->sense, sense);
    virtqueue_push(elem->vq, elem, cmd->response_header + (from_device ? cmd->position : 0));
    virtio_notify(vdev, elem->vq);
    tell_waiting(cmd);
    command_free(cmd);
}

static void finish(ScsiCommand *cmd, ScsiResponse response)
{
    cmd->response = response;
    if (cmd->s->running) {
        answer(cmd);
    } else {
        cmd->link.data = cmd;
        g_queue_push_tail_link(&cmd->s->finished, &cmd->link);
    }
}

/* ---- ScsiHbaOps ----------------------------------------------------------------------------------------------- */

static void copy_chunk(ScsiRequest *req)
{
    ScsiCommand *cmd = req->hba_private;
    VirtQueueElement *elem = &cmd->elem;
    size_t n = MIN(req->chunk_len, data_size(cmd) - cmd->position);

    if (req->direction == SCSI_FROM_DEVICE) {
        iov_from_buf(elem->in_sg, elem->in_num, cmd->response_header + cmd->position, req->chunk,
                     n);
    } else {
        iov_to_buf(elem->out_sg, elem->out_num, cmd->request_header + cmd->position, req->chunk, n);
        memset(req->chunk + n, 0, req->chunk_len - n);
    }
    cmd->position += n;
    scsi_request_continue(req);
}

static void hba_data(ScsiRequest *req, uint8_t *chunk, uint32_t len)
{
    if (((ScsiCommand *)req->hba_private)->s->running) {
        copy_chunk(req);
    }
}

static void hba_complete(ScsiRequest *req)
{
    ScsiCommand *cmd = req->hba_private;

    cmd->status = req->status;
    cmd->sense_len = scsi_request_get_sense(req, cmd->sense, sizeof(cmd->sense));
    finish(cmd, VIRTIO_SCSI_S_OK);
}

static void hba_cancelled(ScsiRequest *req)
{
    ScsiCommand *cmd = req->hba_private;

    if (cmd) { /* else it did not survive its own arrival */
        req->hba_private = NULL;
        finish(cmd, cmd->response);
    }
}

static void hba_changed(ScsiBus *bus, ScsiDevice *dev, ScsiSense sense)
{
    VirtioScsi *s = bus->hba;

    if (virtio_has(&s->vdev, VIRTIO_SCSI_F_CHANGE) && dev->type == 0) {
        virtio_scsi_send_event(s, dev, VIRTIO_SCSI_EVENT_PARAM_CHANGE, sense.asc | sense.ascq << 8);
    }
}

static void luns_changed(ScsiBus *bus, const ScsiDevice *but)
{
    for (GList *l = bus->members.head; l; l = l->next) {
        if (l->data != but) {
            scsi_device_set_unit_attention(l->data, scsi_sense_luns_changed);
        }
    }
}

static void hba_plugged(ScsiBus *bus, ScsiDevice *dev)
{
    VirtioScsi *s = bus->hba;

    if (virtio_has(&s->vdev, VIRTIO_SCSI_F_HOTPLUG)) {
        luns_changed(bus, dev);
        virtio_scsi_send_event(s, dev, VIRTIO_SCSI_EVENT_TRANSPORT_RESET, VIRTIO_SCSI_RESET_RESCAN);
    }
}

static void hba_unplugged(ScsiBus *bus, ScsiDevice *dev)
{
    VirtioScsi *s = bus->hba;

    if (!s->unplugging && virtio_has(&s->vdev, VIRTIO_SCSI_F_HOTPLUG)) {
        virtio_scsi_send_event(s, dev, VIRTIO_SCSI_EVENT_TRANSPORT_RESET,
                               VIRTIO_SCSI_RESET_REMOVED);
        luns_changed(bus, dev);
    }
}

/* ---- commands --------------------------------------------------------------------------------------------------- */

ScsiDevice *virtio_scsi_find(VirtioScsi *s, const uint8_t lun[8], uint32_t *number)
{
    *number = load_be16(lun + 2) & 0x3fff;
    return lun[0] == 1 && !(lun[2] & 0x80) ? scsi_bus_find(s->bus, 0, lun[1], *number) : NULL;
}

/* Reads the header. False: there is none; the device is broken (W1). */
static bool parse(ScsiCommand *cmd)
{
    VirtioScsi *s = cmd->s;
    VirtQueueElement *elem = &cmd->elem;
    uint8_t fixed[REQUEST_FIXED];

    cmd->request_header = REQUEST_FIXED + __atomic_load_n(&s->cdb_size, __ATOMIC_RELAXED);
    cmd->response_header = RESPONSE_FIXED + __atomic_load_n(&s->sense_size, __ATOMIC_RELAXED);
    if (elem->out_len < cmd->request_header || elem->in_len < cmd->response_header) {
        virtio_error(&s->vdev, "wrong size for virtio-scsi headers (%zu and %zu bytes)",
                     elem->out_len, elem->in_len);
        return false;
    }
    iov_to_buf(elem->out_sg, elem->out_num, 0, fixed, sizeof(fixed));
    memcpy(cmd->lun, fixed, sizeof(cmd->lun));
    cmd->id = load_le64(fixed + 8);
    cmd->parsed = true;
    return true;
}

/* The CDB asks for more than there is memory for; the direction is known from the start, so is the buffer. */
static bool fits(ScsiCommand *cmd, const ScsiRequest *req)
{
    return req->direction == SCSI_NO_DATA || req->xfer <= data_size(cmd);
}

static void start_command(ScsiCommand *cmd)
{
    VirtioScsi *s = cmd->s;
    uint8_t cdb[SCSI_CDB_MAX] = { 0 };
    uint32_t lun;
    ScsiDevice *dev = virtio_scsi_find(s, cmd->lun, &lun);

    iov_to_buf(cmd->elem.out_sg, cmd->elem.out_num, REQUEST_FIXED, cdb,
               MIN(sizeof(cdb), cmd->request_header - REQUEST_FIXED));
    trace(virtio_scsi_cmd_req, "lun %u id %" PRIu64 " cmd 0x%02x", lun, cmd->id, cdb[0]);
    if (!dev) {
        finish(cmd, VIRTIO_SCSI_S_BAD_TARGET);
        return;
    }
    if (out_data(cmd) && in_data(cmd)) { /* VIRTIO_SCSI_F_INOUT is not offered */
        finish(cmd, VIRTIO_SCSI_S_FAILURE);
        return;
    }
    cmd->req = scsi_request_new(dev, (uint32_t)cmd->id, lun, cdb, sizeof(cdb), cmd);
    if (scsi_request_peek(cmd->req) && !fits(cmd, cmd->req)) {
        finish(cmd, VIRTIO_SCSI_S_OVERRUN);
        return;
    }
    cmd->response = VIRTIO_SCSI_S_ABORTED;
    scsi_request_enqueue(cmd->req);
}

void virtio_scsi_handle_request(VirtioDevice *vdev, VirtQueue *vq)
{
    VirtioScsi *s = VIRTIO_SCSI(vdev);
    unsigned left = virtqueue_burst(vq);

    if (!s->intake) {
        return;
    }
    block_plug();
    do {
        ScsiCommand *cmd;

        virtio_queue_set_notification(vq, false);
        while (left && s->intake && (cmd = virtqueue_pop(vq, sizeof(*cmd)))) {
            left--;
            cmd->s = s;
            if (!parse(cmd)) {
                virtqueue_detach_element(vq, &cmd->elem, 0);
                command_free(cmd);
                break;
            }
            start_command(cmd);
        }
        virtio_queue_set_notification(vq, true);
    } while (left && s->intake && !virtio_is_broken(vdev) && !virtqueue_empty(vq));
    block_unplug();
    if (!left) {
        virtio_queue_kick(vq);
    }
}

/* ---- start, reset ---------------------------------------------------------------------------------------------------- */

void virtio_scsi_go_on(VirtioScsi *s)
{
    GList *link;

    while ((link = g_queue_pop_head_link(&s->finished))) {
        answer(link->data);
    }
    for (GList *d = s->bus->members.head; d; d = d->next) {
        for (GList *l = SCSI_DEVICE(d->data)->requests.head, *next; l; l = next) {
            ScsiRequest *req = l->data;
            next = l->next;
            if (req->state == SCSI_REQUEST_DATA) {
                copy_chunk(req);
                next = SCSI_DEVICE(d->data)
                           ->requests.head; /* anything may have happened to the list */
            }
        }
    }
}

/* Cancels requests of a device; what was cancelled ends in `finished`, now or when its block I/O is over. */
static unsigned cancel_requests(ScsiDevice *dev, const VirtQueue *vq)
{
    unsigned n = 0;

    for (GList *l = dev->requests.head, *next; l; l = next) {
        const ScsiCommand *cmd = ((ScsiRequest *)l->data)->hba_private;
        next = l->next;
        if (!vq || cmd->elem.vq == vq) {
            scsi_request_cancel(l->data);
            n++;
            next = dev->requests.head;
        }
    }
    return n;
}

void virtio_scsi_forget(VirtioScsi *s, VirtQueue *vq)
{
    bool was_running = s->running;
    unsigned expected = g_queue_get_length(&s->finished);

    s->running = false; /* H3 */
    for (GList *l = s->bus->members.head; l; l = l->next) {
        expected += cancel_requests(SCSI_DEVICE(l->data), vq);
    }
    if (g_queue_get_length(&s->finished) < expected) {
        scsi_bus_drain(s->bus); /* some waited in a front that is paused */
    }
    s->running = was_running;
    for (GList *l = s->finished.head, *next; l; l = next) {
        ScsiCommand *cmd = l->data;
        next = l->next;
        if (!vq || cmd->elem.vq == vq) {
            g_queue_unlink(&s->finished, &cmd->link);
            virtqueue_detach_element(cmd->elem.vq, &cmd->elem, 0);
            tell_waiting(cmd);
            command_free(cmd);
        }
    }
}

/* ---- quiesce (P2): no command maps guest memory while the machine is quiesced ------------------------------------- */

void virtio_scsi_unmap(VirtioScsi *s)
{
    for (GList *d = s->bus->members.head; d; d = d->next) {
        for (GList *l = SCSI_DEVICE(d->data)->requests.head; l; l = l->next) {
            virtqueue_element_unmap(&((ScsiCommand *)((ScsiRequest *)l->data)->hba_private)->elem);
        }
    }
}

bool virtio_scsi_map(VirtioScsi *s, GError **error)
{
    for (GList *d = s->bus->members.head; d; d = d->next) {
        for (GList *l = SCSI_DEVICE(d->data)->requests.head; l; l = l->next) {
            ScsiCommand *cmd = ((ScsiRequest *)l->data)->hba_private;
            if (!virtqueue_element_map(&cmd->elem, error)) {
                return false;
            }
        }
    }
    return true;
}

/* ---- in a stream ------------------------------------------------------------------------------------------------------ */

static bool hba_save_request(ScsiRequest *req, VmWriter *w, GError **error)
{
    const ScsiCommand *cmd = req->hba_private;

    vm_put_be32(w, virtio_queue_index(cmd->elem.vq) - VIRTIO_SCSI_FIXED_QUEUES);
    virtqueue_element_save(w, &cmd->elem);
    return true;
}

static bool hba_load_request(ScsiRequest *req, VmReader *r, GError **error)
{
    VirtioScsi *s = req->bus->hba;
    uint32_t n = vm_get_be32(r);

    if (n >= s->num_queues) {
        return error_set(error, "a request in queue %u of %u", n, s->num_queues);
    }
    VirtQueue *vq = virtio_get_queue(&s->vdev, n + VIRTIO_SCSI_FIXED_QUEUES);
    ScsiCommand *cmd = virtqueue_element_load(&s->vdev, vq, r, sizeof(*cmd), error);
    if (!cmd) {
        return false;
    }
    cmd->s = s;
    cmd->req = scsi_request_ref(req);
    cmd->response = VIRTIO_SCSI_S_ABORTED;
    req->hba_private = cmd;
    return true;
}

static GMainContext *hba_home(const ScsiBus *bus)
{
    return ((const VirtioScsi *)bus->hba)->home;
}

/* Guest memory is there now: the headers of what has arrived. */
static void hba_restored(ScsiBus *bus)
{
    for (GList *d = bus->members.head; d; d = d->next) {
        for (GList *l = SCSI_DEVICE(d->data)->requests.head, *next; l; l = next) {
            ScsiRequest *req = l->data;
            ScsiCommand *cmd = req->hba_private;
            next = l->next;
            if (!cmd->parsed && !parse(cmd)) {
                scsi_request_cancel(req); /* the device is broken; nothing will be answered */
                next = SCSI_DEVICE(d->data)->requests.head;
            }
        }
    }
}

const ScsiHbaOps virtio_scsi_hba_ops = {
    .tagged_queueing = true,
    .keeps_data = true,
    .max_target = VIRTIO_SCSI_MAX_TARGET,
    .max_lun = VIRTIO_SCSI_MAX_LUN,
    .data = hba_data,
    .complete = hba_complete,
    .cancelled = hba_cancelled,
    .changed = hba_changed,
    .plugged = hba_plugged,
    .unplugged = hba_unplugged,
    .save_request = hba_save_request,
    .load_request = hba_load_request,
    .home = hba_home,
    .restored = hba_restored,
};
