/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * USB Mass Storage Class, Bulk-Only Transport, revision 1.0: the device side, on a SCSI bus.
 *
 * T1  mode says what the host does next: send a CBW, move data, fetch the CSW.
 * T2  While req is set the command is running. scsi_off bytes of its chunk have moved, scsi_len
 *     have not; scsi_len is 0 when it has no chunk. When it ends, csw is filled (csw.sig is set)
 *     and req is NULL.
 * T3  A chunk that has moved goes back to the request at once, so no packet ever waits at the end
 *     of a chunk.
 * T4  packet is the one that waits: for a chunk, or for the status. At most one, because the host
 *     does one thing at a time.
 * T5  A chunk that was cancelled may still be written to or read by block I/O. Until that is over
 *     (cancelling) CBWs get NAK.
 *
 * The thirteen cases (6.7), by what host (H) and device (D) expect: none (n), in (i), out (o)
 *     1  Hn = Dn   status
 *     2  Hn < Di   phase error                 3  Hn < Do   phase error
 *     4  Hi > Dn   zeros, status               5  Hi > Di   data, zeros, status; the residue tells
 *     6  Hi = Di   data, status                7  Hi < Di   data as far as the host expects, status
 *     8  Hi <> Do  IN stalls, phase error      9  Ho > Dn   data is dropped, status
 *     10 Ho <> Di  OUT stalls, phase error     11 Ho > Do   the rest is dropped; the residue tells
 *     12 Ho = Do   data, status                13 Ho < Do   phase error
 * In case 7 the specification wants a phase error; guests have always seen this device pass, and
 * some allocate more in the CDB than they transfer.
 *
 * Migration notes. The section "usb-storage" has mode, position and status: each point of a
 * command. The request is in its disk's section and attaches itself here (load_request), before or
 * after this section. A packet that waits is in nobody's stream; the controller submits it again
 * (usb.h U4), and as T3 holds nothing but a packet that straddles chunks has bytes in it. A request
 * without its buffer runs again and bot_data_again() goes on behind what the guest has. Beyond
 * stock: "usb-storage/invalid-cbw". Loads are checked field by field; that they fit together can be
 * seen only when all sections are there (bot_arrived): what does not fit ends in a phase error, and
 * the guest recovers.
 */
#include "util/osdep.h"
#include "storage.h"

#include "util/bytes.h"
#include "util/error.h"
#include "util/trace.h"

TRACE_EVENT(usb_msd_reset)
TRACE_EVENT(usb_msd_maxlun)
TRACE_EVENT(usb_msd_send_status)
TRACE_EVENT(usb_msd_data_in)
TRACE_EVENT(usb_msd_data_out)
TRACE_EVENT(usb_msd_packet_async)
TRACE_EVENT(usb_msd_packet_complete)
TRACE_EVENT(usb_msd_cmd_submit)
TRACE_EVENT(usb_msd_cmd_complete)
TRACE_EVENT(usb_msd_cmd_cancel)
TRACE_EVENT(usb_msd_fatal_error)

#define CBW_LEN 31
#define CSW_LEN 13
#define CBW_SIGNATURE 0x43425355u
#define CSW_SIGNATURE 0x53425355u

enum { CSW_PASSED = 0, CSW_FAILED = 1, CSW_PHASE_ERROR = 2 };

enum {
    REQUEST_GET_MAX_LUN = USB_REQUEST(USB_DIR_IN | USB_TYPE_CLASS | USB_RECIP_INTERFACE, 0xfe),
    REQUEST_BULK_ONLY_RESET = USB_REQUEST(USB_DIR_OUT | USB_TYPE_CLASS | USB_RECIP_INTERFACE, 0xff),
};

static UsbEndpoint *in_endpoint(UsbStorage *s)
{
    return usb_endpoint_get(&s->usb, USB_PID_IN, BOT_IN);
}

static UsbEndpoint *out_endpoint(UsbStorage *s)
{
    return usb_endpoint_get(&s->usb, USB_PID_OUT, BOT_OUT);
}

/* ---- the end of a command -------------------------------------------------------------------- */

static void set_csw(UsbStorage *s, uint32_t tag, uint8_t status)
{
    s->csw = (BotCsw){ CSW_SIGNATURE, tag, s->data_len, status };
    s->scsi_len = 0;
}

static void drop_request(UsbStorage *s)
{
    ScsiRequest *req = g_steal_pointer(&s->req);
    if (req) {
        trace(usb_msd_cmd_cancel, "tag 0x%x", req->tag);
        s->cancelling++;
        scsi_request_cancel(req);
        scsi_request_unref(req);
    }
}

/* The command ends here, whatever the device would like: the host knows by the status (and a
 * stall). */
static void end_command(UsbStorage *s, uint8_t status)
{
    uint32_t tag = s->req ? s->req->tag : s->csw.tag;
    drop_request(s);
    set_csw(s, tag, status);
}

static void phase_error(UsbStorage *s)
{
    end_command(s, CSW_PHASE_ERROR);
    if (s->mode == BOT_MODE_DATA_IN) {
        usb_endpoint_set_halted(in_endpoint(s), true);
    } else if (s->mode == BOT_MODE_DATA_OUT) {
        usb_endpoint_set_halted(out_endpoint(s), true);
    }
    s->mode = BOT_MODE_CSW;
}

void bot_reset(UsbStorage *s)
{
    trace_mark(usb_msd_reset);
    drop_request(s);
    s->mode = BOT_MODE_CBW;
    s->scsi_len = s->scsi_off = s->data_len = 0;
    s->csw = (BotCsw){ 0 };
    s->invalid_cbw = false;
}

/* ---- packets --------------------------------------------------------------------------------- */

/* Each of these does what it can for p. True: p is done, with p->status. */

static void send_csw(UsbStorage *s, UsbPacket *p)
{
    uint8_t csw[CSW_LEN];
    if (usb_packet_room(p) < CSW_LEN) {
        p->status = USB_STALL;
        return;
    }
    trace(usb_msd_send_status, "status %d, tag 0x%x, len %zu", s->csw.status, s->csw.tag,
          usb_packet_room(p));
    store_le32(csw, s->csw.sig);
    store_le32(csw + 4, s->csw.tag);
    store_le32(csw + 8, s->csw.residue);
    csw[12] = s->csw.status;
    usb_packet_copy(p, csw, sizeof(csw));
    s->csw = (BotCsw){ 0 };
    s->mode = BOT_MODE_CBW;
}

/* Moves what is there between p and the chunk; T3. A request that arrived without its chunk has a position all the
 * same (bot_chunk_again), until it has run again. */
static void move_chunks(UsbStorage *s, UsbPacket *p)
{
    while (s->req && s->req->chunk && s->scsi_len && s->data_len && usb_packet_room(p)) {
        uint32_t len = MIN(MIN(s->scsi_len, s->data_len), usb_packet_room(p));
        usb_packet_copy(p, s->req->chunk + s->scsi_off, len);
        s->scsi_off += len;
        s->scsi_len -= len;
        s->data_len -= len;
        if (!s->scsi_len) {
            scsi_request_continue(s->req);
        }
    }
}

/* Once the command has ended: zeros for the host, or its data to nowhere (cases 4, 5, 9, 11). */
static void fill_up(UsbStorage *s, UsbPacket *p)
{
    uint32_t len = MIN(s->data_len, usb_packet_room(p));
    usb_packet_skip(p, len);
    s->data_len -= len;
}

static bool data_in(UsbStorage *s, UsbPacket *p)
{
    trace(usb_msd_data_in, "%zu/%u (scsi %u)", usb_packet_room(p), s->data_len, s->scsi_len);
    move_chunks(s, p);
    if (s->mode != BOT_MODE_DATA_IN) { /* a phase error in between */
        p->status = USB_STALL;
        return true;
    }
    if (!s->req) {
        fill_up(s, p);
    } else if (!s->data_len && s->scsi_len) {
        end_command(s, CSW_PASSED); /* case 7 */
    }
    if (!s->data_len) {
        s->mode = BOT_MODE_CSW;
        return true;
    }
    return !usb_packet_room(p);
}

static bool data_out(UsbStorage *s, UsbPacket *p)
{
    trace(usb_msd_data_out, "%zu/%u", usb_packet_room(p), s->data_len);
    move_chunks(s, p);
    if (s->mode != BOT_MODE_DATA_OUT && s->mode != BOT_MODE_CSW) {
        p->status = USB_STALL;
        return true;
    }
    if (!s->req) {
        fill_up(s, p);
    } else if (!s->data_len && s->scsi_len) {
        end_command(s, CSW_PHASE_ERROR); /* case 13 */
    }
    if (!s->data_len && !s->req) {
        s->mode = BOT_MODE_CSW;
    }
    return !usb_packet_room(p) || !s->data_len;
}

static void invalid_cbw(UsbStorage *s, UsbPacket *p)
{
    trace(usb_msd_fatal_error, "invalid CBW of %zu bytes", usb_packet_room(p) + p->actual_length);
    s->invalid_cbw = true;
    usb_endpoint_set_halted(in_endpoint(s), true);
    usb_endpoint_set_halted(out_endpoint(s), true);
    p->status = USB_STALL;
}

static void start_command(UsbStorage *s, const uint8_t *cbw, ScsiDevice *dev, uint32_t lun)
{
    uint32_t tag = load_le32(cbw + 4);
    bool in = cbw[12] & 0x80;
    s->data_len = load_le32(cbw + 8);
    s->mode = !s->data_len ? BOT_MODE_CSW : in ? BOT_MODE_DATA_IN : BOT_MODE_DATA_OUT;
    s->scsi_len = 0;
    s->scsi_off = 0;
    s->csw = (BotCsw){ 0 };
    if (s->command_log) {
        info_report("%s: tag 0x%x: %s, %u bytes %s", dev->description, tag,
                    scsi_command_name(cbw[15]), s->data_len,
                    !s->data_len ? ""
                    : in         ? "in"
                                 : "out");
    }
    trace(usb_msd_cmd_submit, "lun %u, tag 0x%x, flags 0x%08x, len %u, data-len %u", lun, tag,
          cbw[12], cbw[14], s->data_len);
    s->req = scsi_request_new(dev, tag, lun, cbw + 15, cbw[14], s);
    scsi_request_enqueue(s->req);
}

/* 5.1, 6.2. Also refused: lengths of a command block that there cannot be. */
static void take_cbw(UsbStorage *s, UsbPacket *p)
{
    uint8_t cbw[CBW_LEN];
    if (s->cancelling) { /* T5 */
        p->status = USB_NAK;
        return;
    }
    if (usb_packet_room(p) != CBW_LEN) {
        invalid_cbw(s, p);
        return;
    }
    usb_packet_copy(p, cbw, sizeof(cbw));
    uint32_t lun = cbw[13] & 15;
    ScsiDevice *dev = scsi_bus_find(s->bus, 0, 0, lun);
    if (load_le32(cbw) != CBW_SIGNATURE || cbw[14] < 1 || cbw[14] > SCSI_CDB_MAX || !dev) {
        invalid_cbw(s, p);
        return;
    }
    start_command(s, cbw, dev, lun);
}

/* The host is out of step: it has to recover (5.3.4). */
static bool out_of_step(UsbStorage *s, UsbPacket *p)
{
    usb_endpoint_set_halted(p->ep, true);
    p->status = USB_STALL;
    return true;
}

static bool process_out(UsbStorage *s, UsbPacket *p)
{
    switch (s->mode) {
    case BOT_MODE_CBW:
        take_cbw(s, p);
        return true;
    case BOT_MODE_DATA_OUT:
        return s->data_len ? data_out(s, p) : out_of_step(s, p);
    default:
        return out_of_step(s, p);
    }
}

static bool process_in(UsbStorage *s, UsbPacket *p)
{
    switch (s->mode) {
    case BOT_MODE_DATA_IN:
        return data_in(s, p);
    case BOT_MODE_DATA_OUT:
        return s->data_len ? out_of_step(s, p)
                           : false; /* all data is there: waits for the status */
    case BOT_MODE_CSW:
        if (s->req) {
            return false;
        }
        send_csw(s, p);
        return true;
    default:
        return out_of_step(s, p);
    }
}

static bool process(UsbStorage *s, UsbPacket *p)
{
    if (s->invalid_cbw) {
        p->status = USB_STALL;
        return true;
    }
    return p->pid == USB_PID_IN ? process_in(s, p) : process_out(s, p);
}

void bot_data(UsbDevice *dev, UsbPacket *p)
{
    UsbStorage *s = USB_STORAGE(dev);
    if (!process(s, p)) {
        g_assert(!s->packet); /* T4 */
        trace_mark(usb_msd_packet_async);
        s->packet = p;
        p->status = USB_ASYNC;
    }
}

/* Something has happened: the packet that waits may go on. */
static void packet_go_on(UsbStorage *s)
{
    UsbPacket *p = g_steal_pointer(&s->packet);
    if (!p) {
        return;
    }
    p->status = USB_OK;
    if (process(s, p)) {
        trace_mark(usb_msd_packet_complete);
        usb_packet_finish(&s->usb, p);
    } else {
        p->status = USB_ASYNC;
        s->packet = p;
    }
}

void bot_cancel(UsbDevice *dev, UsbPacket *p)
{
    UsbStorage *s = USB_STORAGE(dev);
    if (s->packet == p) {
        s->packet = NULL;
    }
}

/* ---- ScsiHbaOps ------------------------------------------------------------------------------ */

/* Whether the data phase of the command is the one that the host has announced (cases 2, 3, 8, 10).
 * */
static bool directions_agree(UsbStorage *s, ScsiRequest *req)
{
    return s->data_len &&
           s->mode == (req->direction == SCSI_FROM_DEVICE ? BOT_MODE_DATA_IN : BOT_MODE_DATA_OUT);
}

static void bot_chunk(ScsiRequest *req, uint8_t *chunk, uint32_t len)
{
    UsbStorage *s = req->hba_private;
    if (s->mode == BOT_MODE_DATA_OUT && !s->data_len && req->direction == SCSI_TO_DEVICE) {
        end_command(s, CSW_PHASE_ERROR); /* case 13, at the end of a chunk */
        s->mode = BOT_MODE_CSW;
    } else if (s->mode == BOT_MODE_DATA_IN && !s->data_len && req->direction == SCSI_FROM_DEVICE) {
        end_command(s, CSW_PASSED); /* case 7, at the end of a chunk */
        s->mode = BOT_MODE_CSW;
    } else if (!directions_agree(s, req)) {
        phase_error(s);
    } else {
        s->scsi_len = len;
        s->scsi_off = 0;
    }
    packet_go_on(s);
}

static bool bot_chunk_again(ScsiRequest *req, uint8_t *chunk, uint32_t len)
{
    UsbStorage *s = req->hba_private;
    uint32_t moved = s->scsi_len ? s->scsi_off : 0;
    if (!directions_agree(s, req)) {
        phase_error(s);
        return true;
    }
    if (moved && (moved >= len || req->direction == SCSI_TO_DEVICE)) {
        return false;
    }
    s->scsi_off = moved;
    s->scsi_len = len - moved;
    packet_go_on(s);
    return true;
}

static void bot_complete(ScsiRequest *req)
{
    UsbStorage *s = req->hba_private;
    if (req != s->req) {
        return;
    }
    trace(usb_msd_cmd_complete, "status %d, tag 0x%x", req->status, req->tag);
    set_csw(s, req->tag, req->status == SCSI_GOOD ? CSW_PASSED : CSW_FAILED);
    scsi_request_unref(g_steal_pointer(&s->req));
    if (s->mode == BOT_MODE_DATA_OUT && !s->data_len) {
        s->mode = BOT_MODE_CSW;
    }
    packet_go_on(s);
}

static void bot_cancelled(ScsiRequest *req)
{
    UsbStorage *s = req->hba_private;
    if (req == s->req) { /* the device gave up: reset, unplugged */
        scsi_request_unref(g_steal_pointer(&s->req));
        set_csw(s, req->tag, CSW_FAILED);
        if (s->mode == BOT_MODE_DATA_OUT && !s->data_len) {
            s->mode = BOT_MODE_CSW;
        }
        packet_go_on(s);
        return;
    }
    g_assert(s->cancelling > 0);
    if (--s->cancelling == 0 && s->usb.attached) {
        usb_endpoint_wakeup(out_endpoint(s));
    }
}

static bool bot_load_request(ScsiRequest *req, VmReader *r, GError **error)
{
    UsbStorage *s = req->bus->hba;
    if (s->req) {
        return error_set(error, "more than one command on a bulk-only bus");
    }
    req->hba_private = s;
    s->req = scsi_request_ref(req);
    return true;
}

static void bot_restored(ScsiBus *bus)
{
    bot_arrived(bus->hba);
}

const ScsiHbaOps bot_hba_ops = {
    .max_lun = BOT_MAX_LUN,
    .data = bot_chunk,
    .data_again = bot_chunk_again,
    .complete = bot_complete,
    .cancelled = bot_cancelled,
    .load_request = bot_load_request,
    .restored = bot_restored,
};

/* ---- class requests (3) ---------------------------------------------------------------------- */

static uint8_t highest_lun(UsbStorage *s)
{
    uint8_t lun = 0;
    for (GList *l = s->bus->bus.devices.head; l; l = l->next) {
        lun = MAX(lun, SCSI_DEVICE(l->data)->lun);
    }
    return lun;
}

void bot_control(UsbDevice *dev, UsbPacket *p, unsigned request, unsigned value, unsigned index,
                 unsigned length, uint8_t *data)
{
    UsbStorage *s = USB_STORAGE(dev);
    switch (request) {
    case REQUEST_BULK_ONLY_RESET:
        bot_reset(s);
        break;
    case REQUEST_GET_MAX_LUN:
        data[0] = highest_lun(s);
        trace(usb_msd_maxlun, "%u", data[0]);
        p->actual_length = 1;
        break;
    default:
        p->status = USB_STALL;
        break;
    }
}

/* ---- state ----------------------------------------------------------------------------------- */

static bool position_fits(UsbStorage *s)
{
    ScsiRequest *req = s->req;
    if (s->mode == BOT_MODE_CBW) {
        return !req;
    }
    if (!req) {
        return s->csw.sig == CSW_SIGNATURE && !s->scsi_len;
    }
    if (s->csw.sig) {
        return false;
    }
    if (req->state == SCSI_REQUEST_DATA) {
        return directions_agree(s, req) && (uint64_t)s->scsi_off + s->scsi_len == req->chunk_len &&
               s->scsi_len;
    }
    return true;
}

void bot_arrived(UsbStorage *s)
{
    if (!s->loaded) {
        return;
    }
    s->loaded = false;
    if (position_fits(s)) {
        return;
    }
    warn_report(
        "usb-storage: state that arrived does not fit together; the guest will see a phase error");
    if (s->mode == BOT_MODE_CBW) {
        drop_request(s);
    } else {
        phase_error(s);
    }
}

static bool valid_mode(const void *opaque, int64_t value)
{
    return value >= BOT_MODE_CBW && value <= BOT_MODE_CSW;
}

static bool valid_status(const void *opaque, int64_t value)
{
    return value >= CSW_PASSED && value <= CSW_PHASE_ERROR;
}

static bool valid_signature(const void *opaque, int64_t value)
{
    return value == 0 || value == CSW_SIGNATURE;
}

static bool bot_pre_load(void *opaque, GError **error)
{
    UsbStorage *s = opaque;
    s->invalid_cbw = false;
    return true;
}

/* With the disk's section before this one (usb-storage) all is there, and what does not fit is
 * refused. */
static bool bot_post_load(void *opaque, int version, GError **error)
{
    UsbStorage *s = opaque;
    s->loaded = true;
    if (s->req && !position_fits(s)) {
        return error_set(error, "position of the transport does not fit the request");
    }
    return true;
}

static bool invalid_cbw_needed(const void *opaque)
{
    return ((const UsbStorage *)opaque)->invalid_cbw;
}

static const VmState invalid_cbw_vmstate = {
    .name = "usb-storage/invalid-cbw",
    .version = 1,
    .minimum_version = 1,
    .needed = invalid_cbw_needed,
    .fields =
        (const VmField[]){
            VM_BOOL(UsbStorage, invalid_cbw),
            VM_END,
        },
};

const VmState bot_vmstate = {
    .name = "usb-storage",
    .version = 1,
    .minimum_version = 1,
    .pre_load = bot_pre_load,
    .post_load = bot_post_load,
    .fields =
        (const VmField[]){
            VM_USB_DEVICE(UsbStorage, usb),
            { .name = "mode",
              .offset = VM_CHECKED_OFFSET(UsbStorage, mode, uint32_t),
              .size = 4,
              .kind = &vm_kind_u32,
              .valid = valid_mode },
            VM_U32(UsbStorage, scsi_len),
            VM_U32(UsbStorage, scsi_off),
            VM_U32(UsbStorage, data_len),
            { .name = "csw.sig",
              .offset = VM_CHECKED_OFFSET(UsbStorage, csw.sig, uint32_t),
              .size = 4,
              .kind = &vm_kind_u32,
              .valid = valid_signature },
            VM_U32(UsbStorage, csw.tag),
            VM_U32(UsbStorage, csw.residue),
            { .name = "csw.status",
              .offset = VM_CHECKED_OFFSET(UsbStorage, csw.status, uint8_t),
              .size = 1,
              .kind = &vm_kind_u8,
              .valid = valid_status },
            VM_END,
        },
    .subsections = (const VmState *const[]){ &invalid_cbw_vmstate, NULL },
};
