/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * UHCI: walking the frame list, queue heads and transfer descriptors (UHCI Design Guide 1.1,
 * chapters 1.3, 3 and 4).
 *
 * S1  Guest memory is written only while the walk stands at the TD or QH in question, reached
 *     through the present schedule. A TD that the driver has taken out of the schedule is therefore
 *     never touched again.
 * S2  A frame ends: each round over the queues must have retired a TD, each retired TD uses up
 *     bandwidth, and the number of steps is limited.
 * S3  A transfer whose packet a device keeps is found again by its TD's address and words. It is
 *     taken back when the schedule no longer leads to it, or its TD has become another one.
 */
#include "util/osdep.h"
#include "uhci.h"
#include "util/bytes.h"
#include "util/trace.h"

TRACE_EVENT(usb_uhci_frame_start)
TRACE_EVENT(usb_uhci_frame_stop_bandwidth)
TRACE_EVENT(usb_uhci_frame_loop_stop_idle)
TRACE_EVENT(usb_uhci_frame_loop_continue)
TRACE_EVENT(usb_uhci_qh_load)
TRACE_EVENT(usb_uhci_td_load)
TRACE_EVENT(usb_uhci_td_nextqh)
TRACE_EVENT(usb_uhci_td_async)
TRACE_EVENT(usb_uhci_td_complete)
TRACE_EVENT(usb_uhci_packet_add)
TRACE_EVENT(usb_uhci_packet_link_async)
TRACE_EVENT(usb_uhci_packet_unlink_async)
TRACE_EVENT(usb_uhci_packet_cancel)
TRACE_EVENT(usb_uhci_packet_complete_success)
TRACE_EVENT(usb_uhci_packet_complete_shortxfer)
TRACE_EVENT(usb_uhci_packet_complete_stall)
TRACE_EVENT(usb_uhci_packet_complete_babble)
TRACE_EVENT(usb_uhci_packet_complete_error)
TRACE_EVENT(usb_uhci_packet_del)

/* Link pointers (3.1, 3.2.1, 3.3). */
#define LINK_TERMINATE 1u
#define LINK_QH 2u
#define LINK_DEPTH 4u
#define LINK_ADDRESS(link) ((link) & ~0xfu)

/* TD control and status (3.2.2). */
#define TD_ACTUAL 0x7ffu
#define TD_BITSTUFF (1u << 17)
#define TD_TIMEOUT (1u << 18)
#define TD_NAK (1u << 19)
#define TD_BABBLE (1u << 20)
#define TD_BUFFER_ERROR (1u << 21)
#define TD_STALLED (1u << 22)
#define TD_ACTIVE (1u << 23)
#define TD_IOC (1u << 24)
#define TD_ISO (1u << 25)
#define TD_ERRORS_SHIFT 27
#define TD_ERRORS (3u << TD_ERRORS_SHIFT)
#define TD_SPD (1u << 29)
#define TD_STATUS (TD_BITSTUFF | TD_TIMEOUT | TD_NAK | TD_BABBLE | TD_BUFFER_ERROR | TD_STALLED)

#define MIN_TD_COST 8 /* bytes of bandwidth that a TD uses up at least (S2) */
#define VISITED_SIZE 1024
#define MAX_STEPS 8192 /* queue heads and TDs looked at in a frame (S2) */

typedef struct Td {
    uint32_t link, ctrl, token, buffer;
} Td;

/* A TD whose packet is with a device, or has come back and waits for the walk. */
typedef struct UhciTransfer {
    UsbPacket packet;
    UhciState *s;
    UsbDevice *dev; /* NULL: came with a migration, finished */
    uint32_t td_addr, token, buffer;
    bool finished;
    uint64_t last_seen; /* frame_count when the walk last stood at the TD */
    uint16_t slot;      /* frame list index of that */
    bool every_frame;   /* was seen in consecutive frames */
    uint8_t data[UHCI_MAX_PACKET];
    GList link;
} UhciTransfer;

typedef enum TdResult {
    TD_RETIRED, /* done: go on to the next TD */
    TD_HOLD,    /* nothing more for this queue in this round */
    TD_STOP,    /* the frame is over */
} TdResult;

/* One frame being walked. */
typedef struct Walk {
    UhciState *s;
    bool retire_only;
    uint32_t qh_addr; /* where it is, 0 outside of queues; for the trace */
    uint32_t used;    /* bytes of bandwidth */
    bool complete;    /* ended by the schedule, not by bandwidth or an error */
    bool progress;    /* a TD was retired since the round began */
    unsigned steps;
    unsigned visited_count;
    uint32_t visited[VISITED_SIZE]; /* open hash of addresses + 1 */
} Walk;

/* ---- transfers ------------------------------------------------------------------------------- */

static void transfer_done(UsbPacket *p, void *opaque);

static UhciTransfer *transfer_new(UhciState *s)
{
    UhciTransfer *t = s->spare;

    if (t) {
        s->spare = NULL;
        return t;
    }
    t = g_new0(UhciTransfer, 1);
    t->s = s;
    t->link.data = t;
    usb_packet_init(&t->packet, transfer_done, t);
    return t;
}

/* t is not in the list. */
static void transfer_recycle(UhciTransfer *t)
{
    if (t->s->spare) {
        usb_packet_destroy(&t->packet);
        g_free(t);
    } else {
        t->s->spare = t;
    }
}

static void transfer_drop(UhciTransfer *t)
{
    g_queue_unlink(&t->s->transfers, &t->link);
    trace(usb_uhci_packet_cancel, "token 0x%x, td 0x%x, done %d", t->token, t->td_addr,
          t->finished);
    if (usb_packet_in_flight(&t->packet)) {
        usb_packet_cancel(&t->packet);
    }
    transfer_recycle(t);
}

/* A device ends a packet: the result waits for the walk. One that was not processed is submitted
 * again by it. */
static void transfer_done(UsbPacket *p, void *opaque)
{
    UhciTransfer *t = opaque;

    trace(usb_uhci_packet_unlink_async, "token 0x%x, td 0x%x", t->token, t->td_addr);
    if (p->status == USB_CANCELED || p->status == USB_NAK) {
        g_queue_unlink(&t->s->transfers, &t->link);
        transfer_recycle(t);
        return;
    }
    t->finished = true;
}

static UhciTransfer *transfer_find(UhciState *s, uint32_t td_addr)
{
    for (GList *l = s->transfers.head; l; l = l->next) {
        UhciTransfer *t = l->data;

        if (t->td_addr == td_addr) {
            return t;
        }
    }
    return NULL;
}

static void transfer_seen(UhciTransfer *t)
{
    UhciState *s = t->s;

    t->every_frame |= t->last_seen + 1 == s->frame_count;
    t->last_seen = s->frame_count;
    t->slot = s->frnum & (UHCI_FRAMES - 1);
}

void uhci_cancel_transfers(UhciState *s)
{
    while (s->transfers.head) {
        transfer_drop(s->transfers.head->data);
    }
}

void uhci_forget_device(UhciState *s, UsbDevice *dev)
{
    for (GList *l = s->transfers.head, *next; l; l = next) {
        UhciTransfer *t = l->data;

        next = l->next;
        if (t->dev == dev) {
            transfer_drop(t);
        }
    }
}

void uhci_free_transfers(UhciState *s)
{
    uhci_cancel_transfers(s);
    if (s->spare) {
        usb_packet_destroy(&s->spare->packet);
        g_clear_pointer(&s->spare, g_free);
    }
}

/* ---- guest memory ---------------------------------------------------------------------------- */

static bool read_words(Walk *w, uint32_t addr, uint32_t *words, unsigned n)
{
    uint8_t raw[16];

    g_assert(n * 4 <= sizeof(raw));
    if (pci_dma_read(&w->s->dev, addr, raw, n * 4) != MEM_OK) {
        uhci_halt(w->s, UHCI_STS_HSERR);
        return false;
    }
    for (unsigned i = 0; i < n; i++) {
        words[i] = load_le32(raw + i * 4);
    }
    return true;
}

static bool write_word(Walk *w, uint32_t addr, uint32_t value)
{
    uint8_t raw[4];

    store_le32(raw, value);
    if (pci_dma_write(&w->s->dev, addr, raw, 4) != MEM_OK) {
        uhci_halt(w->s, UHCI_STS_HSERR);
        return false;
    }
    return true;
}

/* ---- ending a TD ----------------------------------------------------------------------------- */

static unsigned td_max_length(const Td *td)
{
    return ((td->token >> 21) + 1) & 0x7ff;
}

static bool td_write_status(Walk *w, uint32_t td_addr, Td *td, uint32_t ctrl)
{
    if (ctrl == td->ctrl) {
        return true;
    }
    td->ctrl = ctrl;
    return write_word(w, td_addr + 4, ctrl);
}

static TdResult td_success(Walk *w, uint32_t td_addr, Td *td, bool in_queue, const UsbPacket *p,
                           const uint8_t *data)
{
    UhciState *s = w->s;
    bool in = (td->token & 0xff) == USB_PID_IN;
    unsigned len = p->actual_length;
    bool is_short = in && len < td_max_length(td);

    if (in && len > 0 && pci_dma_write(&s->dev, td->buffer, data, len) != MEM_OK) {
        uhci_halt(s, UHCI_STS_HSERR);
        return TD_STOP;
    }
    if (!td_write_status(w, td_addr, td,
                         (td->ctrl & ~(TD_STATUS | TD_ACTIVE | TD_ACTUAL)) |
                             ((len - 1) & TD_ACTUAL))) {
        return TD_STOP;
    }
    w->used += MAX(len, MIN_TD_COST);
    trace(usb_uhci_packet_complete_success, "token 0x%x, td 0x%x", td->token, td_addr);
    if (td->ctrl & TD_IOC) {
        s->pending_int_mask |= UHCI_CAUSE_IOC;
    }
    if (is_short && td->ctrl & TD_SPD && in_queue) {
        s->pending_int_mask |= UHCI_CAUSE_SPD;
        trace(usb_uhci_packet_complete_shortxfer, "token 0x%x, td 0x%x", td->token, td_addr);
        return TD_HOLD;
    }
    return TD_RETIRED;
}

/* The TD ends with error bits set. */
static TdResult td_failure(Walk *w, uint32_t td_addr, Td *td, uint32_t bits)
{
    UhciState *s = w->s;

    if (!td_write_status(w, td_addr, td,
                         (td->ctrl & ~(TD_STATUS | TD_ACTIVE)) | bits | TD_ACTUAL)) {
        return TD_STOP;
    }
    w->used += MIN_TD_COST;
    s->status |= UHCI_STS_USBERR;
    if (td->ctrl & TD_IOC) {
        s->pending_int_mask |= UHCI_CAUSE_IOC;
    }
    return TD_HOLD;
}

/* No valid answer: counts down C_ERR, whose end stalls the TD; 0 from the beginning means for ever
 * (3.2.2). */
static TdResult td_no_answer(Walk *w, uint32_t td_addr, Td *td)
{
    unsigned left = (td->ctrl & TD_ERRORS) >> TD_ERRORS_SHIFT;
    uint32_t ctrl;

    if (td->ctrl & TD_ISO) {
        return td_failure(w, td_addr, td, TD_TIMEOUT);
    }
    if (left == 1) {
        td->ctrl &= ~TD_ERRORS;
        return td_failure(w, td_addr, td, TD_TIMEOUT | TD_STALLED);
    }
    ctrl = (td->ctrl & ~(TD_ERRORS | TD_STATUS)) | TD_TIMEOUT;
    ctrl |= left ? (left - 1) << TD_ERRORS_SHIFT : 0;
    w->used += MIN_TD_COST;
    return td_write_status(w, td_addr, td, ctrl) ? TD_HOLD : TD_STOP;
}

static TdResult td_finish(Walk *w, uint32_t td_addr, Td *td, bool in_queue, const UsbPacket *p,
                          const uint8_t *data)
{
    switch (p->status) {
    case USB_OK:
        return td_success(w, td_addr, td, in_queue, p, data);
    case USB_NAK:
        if (td->ctrl & TD_ISO) {
            return td_no_answer(w, td_addr, td);
        }
        return td_write_status(w, td_addr, td, (td->ctrl & ~TD_STATUS) | TD_NAK) ? TD_HOLD
                                                                                 : TD_STOP;
    case USB_STALL:
        trace(usb_uhci_packet_complete_stall, "token 0x%x, td 0x%x", td->token, td_addr);
        return td_failure(w, td_addr, td, TD_STALLED);
    case USB_BABBLE:
        trace(usb_uhci_packet_complete_babble, "token 0x%x, td 0x%x", td->token, td_addr);
        return td_failure(w, td_addr, td, TD_STALLED | TD_BABBLE);
    case USB_IOERROR:
    case USB_NODEV:
        trace(usb_uhci_packet_complete_error, "token 0x%x, td 0x%x", td->token, td_addr);
        return td_no_answer(w, td_addr, td);
    case USB_ASYNC:
    case USB_CANCELED:
        break;
    }
    return TD_HOLD;
}

/* ---- executing a TD -------------------------------------------------------------------------- */

static UsbDevice *find_device(UhciState *s, uint8_t addr)
{
    for (unsigned i = 0; i < UHCI_NUM_PORTS; i++) {
        UsbDevice *dev = usb_port_find_device(&s->ports[i].port, addr);

        if (dev) {
            return dev;
        }
    }
    return NULL;
}

static bool td_is_valid(const Td *td)
{
    unsigned pid = td->token & 0xff;

    return (pid == USB_PID_IN || pid == USB_PID_OUT || pid == USB_PID_SETUP) &&
           td_max_length(td) <= UHCI_MAX_PACKET;
}

/* Whether another TD of this endpoint holds it. One that the schedule has not led to lately was
 * unlinked (S3). */
static bool endpoint_is_held(UhciState *s, const UsbEndpoint *ep)
{
    for (GList *l = s->transfers.head, *next; l; l = next) {
        UhciTransfer *t = l->data;

        next = l->next;
        if (!t->dev || t->packet.ep != ep) {
            continue;
        }
        if (t->last_seen + 1 >= s->frame_count) {
            return true;
        }
        transfer_drop(t);
    }
    return false;
}

static TdResult td_submit(Walk *w, uint32_t td_addr, Td *td, bool in_queue)
{
    UhciState *s = w->s;
    UsbPid pid = td->token & 0xff;
    UsbDevice *dev = find_device(s, td->token >> 8 & 0x7f);
    UsbEndpoint *ep = dev ? usb_endpoint_get(dev, pid, td->token >> 15 & 0xf) : NULL;
    unsigned len = td_max_length(td);
    UhciTransfer *t;
    TdResult result;

    if (ep && endpoint_is_held(s, ep)) {
        return TD_HOLD;
    }
    t = transfer_new(s);
    t->dev = dev;
    t->td_addr = td_addr;
    t->token = td->token;
    t->buffer = td->buffer;
    t->finished = false;
    t->every_frame = false;
    t->last_seen = s->frame_count;
    t->slot = s->frnum & (UHCI_FRAMES - 1);
    if (pid != USB_PID_IN && len > 0 && pci_dma_read(&s->dev, td->buffer, t->data, len) != MEM_OK) {
        transfer_recycle(t);
        uhci_halt(s, UHCI_STS_HSERR);
        return TD_STOP;
    }
    usb_packet_setup(&t->packet, pid, ep, td_addr, td->ctrl & TD_SPD, td->ctrl & TD_IOC);
    usb_packet_add_buffer(&t->packet, t->data, len);
    trace(usb_uhci_packet_add, "token 0x%x, td 0x%x", td->token, td_addr);
    if (usb_packet_submit(dev, &t->packet) == USB_ASYNC) {
        if (!(td->ctrl & TD_ISO)) {
            g_queue_push_tail_link(&s->transfers, &t->link);
            trace(usb_uhci_packet_link_async, "token 0x%x, td 0x%x", td->token, td_addr);
            return TD_HOLD;
        }
        usb_packet_cancel(&t->packet); /* isochronous: now or never */
        t->packet.status = USB_IOERROR;
    }
    result = td_finish(w, td_addr, td, in_queue, &t->packet, t->data);
    trace(usb_uhci_packet_del, "token 0x%x, td 0x%x", td->token, td_addr);
    transfer_recycle(t);
    return result;
}

/* The TD has a transfer already. */
static TdResult td_resume(Walk *w, UhciTransfer *t, Td *td, bool in_queue)
{
    TdResult result;

    transfer_seen(t);
    if (!t->finished) {
        return TD_HOLD;
    }
    g_queue_unlink(&w->s->transfers, &t->link);
    result = td_finish(w, t->td_addr, td, in_queue, &t->packet, t->data);
    transfer_recycle(t);
    return result;
}

/* Software debug mode: one transaction, then stop (2.1.1, bit 5). */
static TdResult td_debug_stop(Walk *w, TdResult result)
{
    if (w->s->cmd & UHCI_CMD_SWDBG && result != TD_STOP) {
        uhci_halt(w->s, 0);
    }
    return result;
}

static TdResult td_execute(Walk *w, uint32_t td_addr, Td *td, bool in_queue)
{
    UhciState *s = w->s;
    UhciTransfer *t;
    uint32_t words[4];

    if (!read_words(w, td_addr, words, 4)) {
        return TD_STOP;
    }
    *td = (Td){ .link = words[0], .ctrl = words[1], .token = words[2], .buffer = words[3] };
    trace(usb_uhci_td_load, "qh 0x%x, td 0x%x, ctrl 0x%x, token 0x%x", w->qh_addr, td_addr,
          td->ctrl, td->token);
    t = s->transfers.head ? transfer_find(s, td_addr) : NULL;
    if (t && (!(td->ctrl & TD_ACTIVE) || t->token != td->token || t->buffer != td->buffer ||
              (t->dev && t->dev != find_device(s, td->token >> 8 & 0x7f)))) {
        transfer_drop(t); /* S3 */
        t = NULL;
    }
    if (!(td->ctrl & TD_ACTIVE)) {
        if (td->ctrl & TD_IOC && !w->retire_only) {
            s->pending_int_mask |=
                UHCI_CAUSE_IOC; /* also for TDs that are not executed (3.2.2, bit 24) */
        }
        return TD_HOLD;
    }
    if (!t && w->retire_only) {
        return TD_HOLD;
    }
    if (!td_is_valid(td)) {
        uhci_halt(s, UHCI_STS_HCPERR);
        return TD_STOP;
    }
    if (t) {
        return td_debug_stop(w, td_resume(w, t, td, in_queue));
    }
    return td_debug_stop(w, td_submit(w, td_addr, td, in_queue));
}

/* ---- walking --------------------------------------------------------------------------------- */

/* Notes that the walk stands at addr. false: it has been there in this round, or there are too many
 * (S2). */
static bool walk_visit(Walk *w, uint32_t addr)
{
    uint32_t i = (addr >> 4) * 2654435761u;

    if (w->visited_count >= VISITED_SIZE * 3 / 4) {
        return false;
    }
    for (;; i++) {
        uint32_t *slot = &w->visited[i % VISITED_SIZE];

        if (*slot == addr + 1) {
            return false;
        }
        if (*slot == 0) {
            *slot = addr + 1;
            w->visited_count++;
            return true;
        }
    }
}

/* At a queue head or a TD outside of queues. Coming round again is bandwidth reclamation: worth it
 * as long as TDs were retired on the way. false: the frame is over. */
static bool walk_enter(Walk *w, uint32_t addr)
{
    if (walk_visit(w, addr)) {
        return true;
    }
    if (!w->progress) {
        trace_mark(usb_uhci_frame_loop_stop_idle);
        w->complete = w->visited_count < VISITED_SIZE * 3 / 4;
        return false;
    }
    trace_mark(usb_uhci_frame_loop_continue);
    w->progress = false;
    w->visited_count = 0;
    memset(w->visited, 0, sizeof(w->visited));
    return walk_visit(w, addr);
}

static bool walk_has_bandwidth(const Walk *w)
{
    return w->used < w->s->bandwidth;
}

static void trace_td(uint32_t qh_addr, uint32_t td_addr, const Td *td, TdResult result)
{
    if (result == TD_RETIRED) {
        trace(usb_uhci_td_complete, "qh 0x%x, td 0x%x", qh_addr, td_addr);
    } else if (td->ctrl & TD_ACTIVE) {
        trace(usb_uhci_td_async, "qh 0x%x, td 0x%x", qh_addr, td_addr);
    } else {
        trace(usb_uhci_td_nextqh, "qh 0x%x, td 0x%x", qh_addr, td_addr);
    }
}

/* Works on a queue while its TDs retire and ask for depth first (3.2.1, Vf). false: the frame is
 * over. */
static bool walk_queue(Walk *w, uint32_t qh_addr, uint32_t element)
{
    for (;;) {
        Td td;
        TdResult result;

        if (!walk_has_bandwidth(w)) {
            trace_mark(usb_uhci_frame_stop_bandwidth);
            return false;
        }
        w->qh_addr = qh_addr;
        result = td_execute(w, LINK_ADDRESS(element), &td, true);
        w->qh_addr = 0;
        trace_td(qh_addr, LINK_ADDRESS(element), &td, result);
        if (result == TD_RETIRED) {
            if (!write_word(w, qh_addr + 4, td.link)) {
                return false;
            }
            w->progress = true;
        }
        if (result == TD_STOP || !(w->s->cmd & UHCI_CMD_RS)) {
            return false;
        }
        element = td.link;
        if (result == TD_HOLD || element & LINK_TERMINATE || element & LINK_QH ||
            !(element & LINK_DEPTH)) {
            return true;
        }
    }
}

/* The next link of a frame, after what `link` points to was worked on. */
static bool walk_step(Walk *w, uint32_t *link)
{
    uint32_t addr = LINK_ADDRESS(*link), qh[2];
    TdResult result;
    Td td;

    if (w->steps++ >= MAX_STEPS || !walk_enter(w, addr)) {
        return false;
    }
    if (*link & LINK_QH) {
        if (!read_words(w, addr, qh, 2)) {
            return false;
        }
        trace(usb_uhci_qh_load, "qh 0x%x", addr);
        *link = qh[0];
        if (qh[1] & LINK_TERMINATE) {
            return true;
        }
        if (qh[1] & LINK_QH) {
            *link = qh[1]; /* a queue of queues goes on from the inner one (3.3) */
            return true;
        }
        return walk_queue(w, addr, qh[1]);
    }
    if (!walk_has_bandwidth(w)) {
        trace_mark(usb_uhci_frame_stop_bandwidth);
        return false;
    }
    result = td_execute(w, addr, &td, false);
    trace_td(0, addr, &td, result);
    *link = td.link;
    w->progress |= result == TD_RETIRED;
    return result != TD_STOP && w->s->cmd & UHCI_CMD_RS;
}

static void walk(Walk *w)
{
    UhciState *s = w->s;
    uint32_t link;

    if (!read_words(w, s->fl_base_addr + (s->frnum & (UHCI_FRAMES - 1)) * 4, &link, 1)) {
        return;
    }
    while (!(link & LINK_TERMINATE)) {
        if (!walk_step(w, &link)) {
            return;
        }
    }
    w->complete = true;
}

/* Takes back transfers that the schedule has lost (S3). */
static void sweep(Walk *w)
{
    UhciState *s = w->s;

    for (GList *l = s->transfers.head, *next; l; l = next) {
        UhciTransfer *t = l->data;
        uint8_t raw[12];

        next = l->next;
        if (t->last_seen == s->frame_count) {
            continue;
        }
        if (w->complete && (t->every_frame || t->slot == (s->frnum & (UHCI_FRAMES - 1)))) {
            transfer_drop(t);
        } else if (pci_dma_read(&s->dev, t->td_addr + 4, raw, sizeof(raw)) != MEM_OK ||
                   !(load_le32(raw) & TD_ACTIVE) || load_le32(raw + 4) != t->token ||
                   load_le32(raw + 8) != t->buffer) {
            transfer_drop(t);
        }
    }
}

void uhci_run_frame(UhciState *s)
{
    Walk w = { .s = s };

    s->frame_count++;
    trace(usb_uhci_frame_start, "nr %u", s->frnum);
    walk(&w);
    if (s->transfers.head && s->cmd & UHCI_CMD_RS) {
        sweep(&w);
    }
}

void uhci_retire_frame(UhciState *s)
{
    Walk w = { .s = s, .retire_only = true };

    walk(&w);
    uhci_update_irq(s);
}

/* ---- saved state ----------------------------------------------------------------------------- */

bool uhci_has_finished_transfers(const UhciState *s)
{
    for (GList *l = s->transfers.head; l; l = l->next) {
        if (((UhciTransfer *)l->data)->finished) {
            return true;
        }
    }
    return false;
}

void uhci_save_transfers(UhciState *s, VmWriter *w)
{
    for (GList *l = s->transfers.head; l; l = l->next) {
        UhciTransfer *t = l->data;

        if (!t->finished) {
            continue;
        }
        vm_put_be32(w, t->td_addr);
        vm_put_be32(w, t->token);
        vm_put_be32(w, t->buffer);
        vm_put_u8(w, t->packet.status);
        vm_put_be32(w, t->packet.actual_length);
        if ((t->token & 0xff) == USB_PID_IN) {
            vm_put_bytes(w, t->data, t->packet.actual_length);
        }
    }
}

static bool load_transfer(UhciState *s, VmReader *r)
{
    UhciTransfer *t = transfer_new(s);
    uint32_t len;
    unsigned status;
    Td td = { 0 };

    t->td_addr = vm_get_be32(r);
    t->token = td.token = vm_get_be32(r);
    t->buffer = vm_get_be32(r);
    status = vm_get_u8(r);
    len = vm_get_be32(r);
    if (!vm_reader_ok(r) || !td_is_valid(&td) || status > USB_NODEV || status == USB_NAK ||
        len > td_max_length(&td) || s->transfers.length >= UHCI_FRAMES ||
        ((t->token & 0xff) == USB_PID_IN && !vm_get_bytes(r, t->data, len))) {
        transfer_recycle(t);
        return vm_reader_fail(r, "bad finished transfer");
    }
    usb_packet_setup(&t->packet, td.token & 0xff, NULL, t->td_addr, false, false);
    t->packet.state = USB_PACKET_IDLE;
    t->packet.status = status;
    t->packet.actual_length = len;
    t->dev = NULL;
    t->finished = true;
    t->every_frame = false;
    t->last_seen = s->frame_count;
    t->slot = (s->frnum - 1) & (UHCI_FRAMES - 1); /* not known: every frame gets its turn */
    g_queue_push_tail_link(&s->transfers, &t->link);
    return true;
}

bool uhci_load_transfers(UhciState *s, VmReader *r, uint64_t length)
{
    uhci_cancel_transfers(s);
    while (vm_reader_tell(r) < length) {
        if (!load_transfer(s, r)) {
            return false;
        }
    }
    return true;
}
