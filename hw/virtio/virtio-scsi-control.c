/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The control queue and the event queue of virtio-scsi (VIRTIO 1.2, 5.6.6.2, 5.6.6.3). */
#include "util/osdep.h"
#include "virtio-scsi.h"

#include "util/bytes.h"
#include "util/iov.h"
#include "util/trace.h"

TRACE_EVENT(virtio_scsi_tmf_req)
TRACE_EVENT(virtio_scsi_tmf_resp)
TRACE_EVENT(virtio_scsi_event)

enum { CONTROL_TMF = 0, CONTROL_AN_QUERY = 1, CONTROL_AN_SUBSCRIBE = 2 };
enum {
    TMF_ABORT_TASK = 0,
    TMF_ABORT_TASK_SET = 1,
    TMF_CLEAR_ACA = 2,
    TMF_CLEAR_TASK_SET = 3,
    TMF_I_T_NEXUS_RESET = 4,
    TMF_LOGICAL_UNIT_RESET = 5,
    TMF_QUERY_TASK = 6,
    TMF_QUERY_TASK_SET = 7,
};

#define TMF_SIZE 24 /* type, subtype, lun, id */
#define AN_SIZE 16  /* type, lun, events */
#define AN_RESPONSE 5
#define EVENT_SIZE 16

/* ---- task management -------------------------------------------------------------------------------------------- */

struct ScsiTmf {
    VirtQueueElement elem;
    VirtioScsi *s;
    unsigned
        left; /* requests that it has cancelled and that are not over, and one while it is at it */
    ScsiResponse response;
};

void virtio_scsi_tmf_one_less(ScsiTmf *tmf)
{
    VirtQueueElement *elem = &tmf->elem;
    uint8_t response = tmf->response;

    if (--tmf->left) {
        return;
    }
    trace(virtio_scsi_tmf_resp, "response %u", response);
    if (tmf->s->running) {
        iov_from_buf(elem->in_sg, elem->in_num, 0, &response, 1);
        virtqueue_push(elem->vq, elem, 1);
        virtio_notify(&tmf->s->vdev, elem->vq);
    } else {
        virtqueue_detach_element(elem->vq, elem, 0); /* a reset was faster */
    }
    g_free(tmf);
}

static void cancel(ScsiTmf *tmf, ScsiRequest *req, ScsiResponse response)
{
    ScsiCommand *cmd = req->hba_private;

    cmd->response = response;
    cmd->waiting = g_slist_prepend(cmd->waiting, tmf);
    tmf->left++;
    scsi_request_cancel(req);
}

/* The requests to that logical unit. */
static void cancel_of(ScsiTmf *tmf, ScsiDevice *dev, ScsiResponse response)
{
    while (!g_queue_is_empty(&dev->requests)) {
        cancel(tmf, g_queue_peek_head(&dev->requests), response);
    }
}

static void reset_unit(ScsiTmf *tmf, ScsiDevice *dev)
{
    cancel_of(tmf, dev, VIRTIO_SCSI_S_RESET);
    device_reset(&dev->device);
}

static ScsiRequest *find_request(const ScsiDevice *dev, uint64_t id)
{
    for (GList *l = dev->requests.head; l; l = l->next) {
        ScsiRequest *req = l->data;
        const ScsiCommand *cmd = req->hba_private;
        if (cmd->id == id) {
            return req;
        }
    }
    return NULL;
}

static void reset_target(ScsiTmf *tmf, uint32_t target)
{
    ScsiBus *bus = tmf->s->bus;

    for (GList *l = bus->members.head; l; l = l->next) {
        ScsiDevice *dev = l->data;
        if (dev->id == target) {
            reset_unit(tmf, dev);
        }
    }
}

static ScsiResponse run_tmf(ScsiTmf *tmf, uint32_t subtype, const uint8_t lun[8], uint64_t id)
{
    uint32_t number;
    ScsiDevice *dev = virtio_scsi_find(tmf->s, lun, &number);

    if (!dev) {
        return VIRTIO_SCSI_S_BAD_TARGET;
    }
    if (subtype == TMF_I_T_NEXUS_RESET) {
        reset_target(tmf, dev->id);
        return VIRTIO_SCSI_S_FUNCTION_COMPLETE;
    }
    if (dev->lun != number) {
        return VIRTIO_SCSI_S_INCORRECT_LUN;
    }
    ScsiRequest *req = find_request(dev, id);
    switch (subtype) {
    case TMF_ABORT_TASK:
        if (req) {
            cancel(tmf, req, VIRTIO_SCSI_S_ABORTED);
        }
        return VIRTIO_SCSI_S_FUNCTION_COMPLETE;
    case TMF_ABORT_TASK_SET:
    case TMF_CLEAR_TASK_SET:
        cancel_of(tmf, dev, VIRTIO_SCSI_S_ABORTED);
        return VIRTIO_SCSI_S_FUNCTION_COMPLETE;
    case TMF_LOGICAL_UNIT_RESET:
        reset_unit(tmf, dev);
        return VIRTIO_SCSI_S_FUNCTION_COMPLETE;
    case TMF_QUERY_TASK:
        return req ? VIRTIO_SCSI_S_FUNCTION_SUCCEEDED : VIRTIO_SCSI_S_FUNCTION_COMPLETE;
    case TMF_QUERY_TASK_SET:
        return g_queue_is_empty(&dev->requests) ? VIRTIO_SCSI_S_OK
                                                : VIRTIO_SCSI_S_FUNCTION_SUCCEEDED;
    default: /* CLEAR ACA: there is no ACA condition */
        return VIRTIO_SCSI_S_FUNCTION_REJECTED;
    }
}

static void handle_tmf(ScsiTmf *tmf)
{
    uint8_t buf[TMF_SIZE];

    iov_to_buf(tmf->elem.out_sg, tmf->elem.out_num, 0, buf, sizeof(buf));
    uint32_t subtype = load_le32(buf + 4);
    uint64_t id = load_le64(buf + 16);
    trace(virtio_scsi_tmf_req, "subtype %u target %u lun %u id %" PRIu64, subtype, buf[9],
          load_be16(buf + 10) & 0x3fff, id);
    tmf->left = 1;
    tmf->response = run_tmf(tmf, subtype, buf + 8, id);
    virtio_scsi_tmf_one_less(tmf);
}

/* ---- the control queue --------------------------------------------------------------------------------------------- */

/* Asynchronous notifications: no device here has any. */
static void handle_an(ScsiTmf *an)
{
    static const uint8_t none[AN_RESPONSE] = { 0, 0, 0, 0, VIRTIO_SCSI_S_OK };

    iov_from_buf(an->elem.in_sg, an->elem.in_num, 0, none, sizeof(none));
    virtqueue_push(an->elem.vq, &an->elem, sizeof(none));
    virtio_notify(&an->s->vdev, an->elem.vq);
    g_free(an);
}

static bool control_fits(const VirtQueueElement *elem, uint32_t type)
{
    return type == CONTROL_TMF ? elem->out_len >= TMF_SIZE && elem->in_len >= 1
                               : elem->out_len >= AN_SIZE && elem->in_len >= AN_RESPONSE;
}

static bool handle_control(ScsiTmf *tmf)
{
    VirtQueueElement *elem = &tmf->elem;
    uint8_t type_bytes[4];

    if (elem->out_len < sizeof(type_bytes)) {
        return false;
    }
    iov_to_buf(elem->out_sg, elem->out_num, 0, type_bytes, sizeof(type_bytes));
    uint32_t type = load_le32(type_bytes);
    if (type > CONTROL_AN_SUBSCRIBE) { /* it wants nothing that we know: back as it came */
        virtqueue_push(elem->vq, elem, 0);
        virtio_notify(&tmf->s->vdev, elem->vq);
        g_free(tmf);
        return true;
    }
    if (!control_fits(elem, type)) {
        return false;
    }
    if (type == CONTROL_TMF) {
        handle_tmf(tmf);
    } else {
        handle_an(tmf);
    }
    return true;
}

void virtio_scsi_handle_control(VirtioDevice *vdev, VirtQueue *vq)
{
    VirtioScsi *s = VIRTIO_SCSI(vdev);
    unsigned left = virtqueue_burst(vq);
    ScsiTmf *tmf;

    while (left && s->intake && (tmf = virtqueue_pop(vq, sizeof(*tmf)))) {
        left--;
        tmf->s = s;
        if (!handle_control(tmf)) {
            virtio_error(vdev, "wrong size for virtio-scsi headers (%zu and %zu bytes)",
                         tmf->elem.out_len, tmf->elem.in_len);
            virtqueue_detach_element(vq, &tmf->elem, 0);
            g_free(tmf);
            return;
        }
    }
    if (!left) {
        virtio_queue_kick(vq);
    }
}

/* ---- events ---------------------------------------------------------------------------------------------------------- */

static VirtQueue *event_queue(VirtioScsi *s)
{
    return virtio_get_queue(&s->vdev, 1);
}

/* 5.6.6.3: the target and LUN in the form of commands; flat space addressing from 256 on. */
static void put_lun(uint8_t lun[8], const ScsiDevice *dev)
{
    lun[0] = 1;
    lun[1] = dev->id;
    lun[2] = dev->lun < 256 ? 0 : 0x40 | dev->lun >> 8;
    lun[3] = dev->lun;
}

void virtio_scsi_send_event(VirtioScsi *s, const ScsiDevice *dev, uint32_t event, uint32_t reason)
{
    uint8_t buf[EVENT_SIZE] = { 0 };
    VirtQueueElement *elem = s->running ? virtqueue_pop(event_queue(s), sizeof(*elem)) : NULL;

    if (!elem) {
        s->events_missed = true;
        return;
    }
    if (s->events_missed) {
        event |= VIRTIO_SCSI_EVENTS_MISSED;
        s->events_missed = false;
    }
    if (elem->in_len < sizeof(buf)) {
        virtio_error(&s->vdev, "wrong size for virtio-scsi headers (%zu and %zu bytes)",
                     elem->out_len, elem->in_len);
        virtqueue_detach_element(elem->vq, elem, 0);
        g_free(elem);
        return;
    }
    store_le32(buf, event);
    if (dev) {
        put_lun(buf + 4, dev);
    }
    store_le32(buf + 12, reason);
    trace(virtio_scsi_event, "event 0x%x reason 0x%x", event, reason);
    iov_from_buf(elem->in_sg, elem->in_num, 0, buf, sizeof(buf));
    virtqueue_push(elem->vq, elem, sizeof(buf));
    virtio_notify(&s->vdev, elem->vq);
    g_free(elem);
}

/* Buffers for events have come: one tells about those that found none. */
void virtio_scsi_handle_event(VirtioDevice *vdev, VirtQueue *vq)
{
    VirtioScsi *s = VIRTIO_SCSI(vdev);

    if (s->running && s->events_missed && !virtqueue_empty(vq)) {
        virtio_scsi_send_event(s, NULL, VIRTIO_SCSI_EVENT_NONE, 0);
    }
}
