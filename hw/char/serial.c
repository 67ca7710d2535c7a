/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * 16550A UART (National Semiconductor PC16550D data sheet, SNLS378).
 *
 * Characters are not paced by the baud rate: they go as fast as the other side takes them and the guest reads them. The
 * rate counts for the time after which a partly filled receiver FIFO asks for attention.
 *
 *   S1  A character that the guest wrote and the other side has not taken is in tsr, thr or xmit_fifo, in this order,
 *       and nowhere else. It leaves them when the other side has taken it.
 *   S2  While the machine is stopped nothing is sent and nothing is received: what is saved stays true.
 *   S3  The interrupt line is the OR of the conditions in serial_update_irq(), at any time.
 */
#include "util/osdep.h"
#include "hw/char/serial.h"
#include "io/channel.h"
#include "util/trace.h"

TRACE_EVENT(serial_read);
TRACE_EVENT(serial_write);
TRACE_EVENT(serial_update_parameters);

/* Registers; the first two are the divisor latch while LCR_DLAB is set. */
enum {
    REG_DATA = 0,
    REG_IER = 1,
    REG_IIR_FCR = 2,
    REG_LCR = 3,
    REG_MCR = 4,
    REG_LSR = 5,
    REG_MSR = 6,
    REG_SCR = 7
};

/* Interrupt enable */
#define IER_RECEIVE 0x01
#define IER_TRANSMIT 0x02
#define IER_LINE 0x04
#define IER_MODEM 0x08
/* Interrupt identification */
#define IIR_NONE 0x01
#define IIR_MODEM 0x00
#define IIR_TRANSMIT 0x02
#define IIR_RECEIVE 0x04
#define IIR_LINE 0x06
#define IIR_TIMEOUT 0x0c
#define IIR_ID 0x0f
#define IIR_FIFO 0xc0
/* FIFO control */
#define FCR_ENABLE 0x01
#define FCR_CLEAR_RECEIVE 0x02
#define FCR_CLEAR_TRANSMIT 0x04
#define FCR_DMA 0x08
#define FCR_TRIGGER_SHIFT 6
#define FCR_KEPT 0xc9
/* Line control */
#define LCR_WORD 0x03
#define LCR_STOP 0x04
#define LCR_PARITY 0x08
#define LCR_BREAK 0x40
#define LCR_DLAB 0x80
/* Modem control */
#define MCR_DTR 0x01
#define MCR_RTS 0x02
#define MCR_OUT1 0x04
#define MCR_OUT2 0x08
#define MCR_LOOP 0x10
/* Line status */
#define LSR_DATA 0x01
#define LSR_OVERRUN 0x02
#define LSR_BREAK 0x10
#define LSR_ERRORS 0x1e
#define LSR_THR_EMPTY 0x20
#define LSR_EMPTY 0x40
/* Modem status; the changes are in the low half. */
#define MSR_DELTA_CTS 0x01
#define MSR_DELTA_DSR 0x02
#define MSR_TRAILING_RI 0x04
#define MSR_DELTA_DCD 0x08
#define MSR_DELTAS 0x0f
#define MSR_CTS 0x10
#define MSR_DSR 0x20
#define MSR_RI 0x40
#define MSR_DCD 0x80

static void serial_transmit(Serial *s);

/* ---- FIFOs --------------------------------------------------------------------------------------------------- */

static void fifo_clear(SerialFifo *f)
{
    f->head = f->num = 0;
    memset(f->data, 0, sizeof(f->data));
}

static bool fifo_put(SerialFifo *f, uint8_t c)
{
    if (f->num == SERIAL_FIFO) {
        return false;
    }
    f->data[(f->head + f->num++) % SERIAL_FIFO] = c;
    return true;
}

static uint8_t fifo_get(SerialFifo *f)
{
    uint8_t c = f->data[f->head];

    f->head = (f->head + 1) % SERIAL_FIFO;
    f->num--;
    return c;
}

static bool serial_has_fifos(const Serial *s)
{
    return s->fcr & FCR_ENABLE;
}

static unsigned serial_trigger(const Serial *s)
{
    static const uint8_t levels[] = { 1, 4, 8, 14 };

    return levels[s->fcr >> FCR_TRIGGER_SHIFT];
}

/* ---- interrupts ------------------------------------------------------------------------------------------------- */

/* In the order of the data sheet's priorities (table 4). */
static uint8_t serial_pending(const Serial *s)
{
    if ((s->ier & IER_LINE) && (s->lsr & LSR_ERRORS)) {
        return IIR_LINE;
    }
    if ((s->ier & IER_RECEIVE) && s->timeout_ipending) {
        return IIR_TIMEOUT;
    }
    if ((s->ier & IER_RECEIVE) && (s->lsr & LSR_DATA) &&
        (!serial_has_fifos(s) || s->recv_fifo.num >= serial_trigger(s))) {
        return IIR_RECEIVE;
    }
    if ((s->ier & IER_TRANSMIT) && s->thr_ipending) {
        return IIR_TRANSMIT;
    }
    if ((s->ier & IER_MODEM) && (s->msr & MSR_DELTAS)) {
        return IIR_MODEM;
    }
    return IIR_NONE;
}

static void serial_update_irq(Serial *s)
{
    uint8_t pending = serial_pending(s);

    s->iir = pending | (serial_has_fifos(s) ? IIR_FIFO : 0);
    irq_set(s->irq, pending != IIR_NONE);
}

/* Start, data, parity and stop bits at the rate of the divisor. */
static int64_t serial_character_ns(const Serial *s)
{
    int bits =
        1 + 5 + (s->lcr & LCR_WORD) + (s->lcr & LCR_PARITY ? 1 : 0) + (s->lcr & LCR_STOP ? 2 : 1);
    int64_t rate = s->divider ? s->baudbase / s->divider : 0;

    return bits * NS_PER_SEC / MAX(rate, 1);
}

/* Four characters' time without a read or an arrival while there is something in the FIFO. */
static void serial_restart_timeout(Serial *s)
{
    if (serial_has_fifos(s) && s->recv_fifo.num) {
        timer_mod(&s->fifo_timeout_timer, clock_get_ns(CLOCK_VIRTUAL) + 4 * serial_character_ns(s));
    } else {
        timer_del(&s->fifo_timeout_timer);
    }
}

static void serial_timeout(void *opaque)
{
    Serial *s = opaque;

    if (s->recv_fifo.num) {
        s->timeout_ipending = 1;
        serial_update_irq(s);
    }
}

/* ---- receiver ------------------------------------------------------------------------------------------------------ */

static void serial_receive(Serial *s, uint8_t c)
{
    if (serial_has_fifos(s)) {
        if (!fifo_put(&s->recv_fifo, c)) {
            s->lsr |= LSR_OVERRUN;
        }
        serial_restart_timeout(s);
    } else {
        if (s->lsr & LSR_DATA) {
            s->lsr |= LSR_OVERRUN;
        }
        s->rbr = c;
    }
    s->lsr |= LSR_DATA;
    serial_update_irq(s);
}

static uint8_t serial_read_data(Serial *s)
{
    uint8_t c = s->rbr;

    if (serial_has_fifos(s)) {
        c = s->recv_fifo.num ? fifo_get(&s->recv_fifo) : 0;
        if (!s->recv_fifo.num) {
            s->lsr &= ~(LSR_DATA | LSR_BREAK);
        }
        s->timeout_ipending = 0;
        serial_restart_timeout(s);
    } else {
        s->lsr &= ~(LSR_DATA | LSR_BREAK);
    }
    serial_update_irq(s);
    if (!(s->mcr & MCR_LOOP)) {
        chardev_accept_input(&s->chr);
    }
    return c;
}

/* S2; in loop-back mode the input is cut off. */
static size_t serial_can_read(void *opaque)
{
    Serial *s = opaque;

    if (!vm_is_running() || (s->mcr & MCR_LOOP)) {
        return 0;
    }
    return serial_has_fifos(s) ? SERIAL_FIFO - s->recv_fifo.num : !(s->lsr & LSR_DATA);
}

static void serial_chardev_read(void *opaque, const uint8_t *buf, size_t len)
{
    for (size_t i = 0; i < len; i++) {
        serial_receive(opaque, buf[i]);
    }
}

static void serial_chardev_event(void *opaque, ChardevEvent event)
{
    Serial *s = opaque;

    if (event == CHARDEV_EVENT_BREAK && vm_is_running()) {
        s->lsr |= LSR_BREAK;
        serial_receive(s, 0);
    } else if (event == CHARDEV_EVENT_OPENED || event == CHARDEV_EVENT_CLOSED) {
        serial_transmit(s); /* what waits goes to the new peer, or nowhere */
    }
}

static const ChardevHandlers serial_handlers = { serial_can_read, serial_chardev_read,
                                                 serial_chardev_event };

/* ---- transmitter --------------------------------------------------------------------------------------------------- */

static void serial_writable(void *opaque)
{
    Serial *s = opaque;

    io_watch_clear(&s->writable);
    serial_transmit(s);
}

/* Hands tsr over; false: the other side does not take it now. A line that nobody is at takes everything. */
static bool serial_send(Serial *s)
{
    if (s->mcr & MCR_LOOP) {
        serial_receive(s, s->tsr);
        return true;
    }
    return chardev_write(&s->chr, &s->tsr, 1) != 0;
}

static bool serial_next_character(Serial *s)
{
    if (serial_has_fifos(s) && s->xmit_fifo.num) {
        s->tsr = fifo_get(&s->xmit_fifo);
        if (!s->xmit_fifo.num) {
            s->lsr |= LSR_THR_EMPTY;
        }
    } else if (!serial_has_fifos(s) && !(s->lsr & LSR_THR_EMPTY)) {
        s->tsr = s->thr;
        s->lsr |= LSR_THR_EMPTY;
    } else {
        return false;
    }
    if (s->lsr & LSR_THR_EMPTY) {
        s->thr_ipending = 1;
    }
    return true;
}

/* Sends until nothing is left or the other side is slow; then a watch, or the next start of the machine, goes on (S2). */
static void serial_transmit(Serial *s)
{
    if (!vm_is_running()) {
        return;
    }
    while (s->tsr_retry || serial_next_character(s)) {
        s->tsr_retry = 1;
        if (!serial_send(s)) {
            if (!s->writable) {
                s->writable = chardev_add_write_watch(&s->chr, serial_writable, s);
            }
            if (s->writable) {
                break;
            }
        }
        s->tsr_retry = 0;
    }
    if (!s->tsr_retry) {
        s->lsr |= LSR_EMPTY;
    }
    serial_update_irq(s);
}

static void serial_write_data(Serial *s, uint8_t c)
{
    s->thr = c;
    if (serial_has_fifos(s)) {
        fifo_put(&s->xmit_fifo, c); /* lost if there is no room, as the guest was told by LSR */
    }
    s->thr_ipending = 0;
    s->lsr &= ~(LSR_THR_EMPTY | LSR_EMPTY);
    serial_update_irq(s);
    if (!s->tsr_retry) {
        serial_transmit(s);
    }
}

/* ---- registers ------------------------------------------------------------------------------------------------------- */

static void serial_update_parameters(Serial *s)
{
    trace(serial_update_parameters, "baudrate=%u parity='%c' data_bits=%d stop_bits=%d",
          s->divider ? s->baudbase / s->divider : 0,
          s->lcr & LCR_PARITY ? (s->lcr & 0x10 ? 'E' : 'O') : 'N', 5 + (s->lcr & LCR_WORD),
          s->lcr & LCR_STOP ? 2 : 1);
}

static void serial_write_ier(Serial *s, uint8_t value)
{
    uint8_t changed = (s->ier ^ value) & 0x0f;

    s->ier = value & 0x0f;
    /* Enabling the interrupt of an empty transmitter asks at once (data sheet, 8.6.4). */
    if ((changed & IER_TRANSMIT) && (s->ier & IER_TRANSMIT) && (s->lsr & LSR_THR_EMPTY)) {
        s->thr_ipending = 1;
    }
    serial_update_irq(s);
}

static void serial_set_fcr(Serial *s, uint8_t value)
{
    s->fcr = value & FCR_KEPT;
}

static void serial_write_fcr(Serial *s, uint8_t value)
{
    if ((value ^ s->fcr) & FCR_ENABLE) {
        value |= FCR_CLEAR_RECEIVE | FCR_CLEAR_TRANSMIT;
    }
    if (value & FCR_CLEAR_RECEIVE) {
        s->lsr &= ~(LSR_DATA | LSR_BREAK);
        timer_del(&s->fifo_timeout_timer);
        s->timeout_ipending = 0;
        fifo_clear(&s->recv_fifo);
    }
    if (value & FCR_CLEAR_TRANSMIT) {
        s->lsr |= LSR_THR_EMPTY;
        s->thr_ipending = 1;
        fifo_clear(&s->xmit_fifo);
    }
    serial_set_fcr(s, value);
    serial_update_irq(s);
    chardev_accept_input(&s->chr);
}

static void serial_write_lcr(Serial *s, uint8_t value)
{
    bool break_begins = (value & ~s->lcr) & LCR_BREAK;

    s->lcr = value;
    serial_update_parameters(s);
    if (break_begins && !(s->mcr & MCR_LOOP)) {
        chardev_send_break(&s->chr);
    }
}

/* The lines of the other side: all there; in loop-back mode our own. */
static uint8_t serial_modem_lines(const Serial *s)
{
    if (!(s->mcr & MCR_LOOP)) {
        return MSR_DCD | MSR_DSR | MSR_CTS;
    }
    return (s->mcr & MCR_DTR ? MSR_DSR : 0) | (s->mcr & MCR_RTS ? MSR_CTS : 0) |
           (s->mcr & MCR_OUT1 ? MSR_RI : 0) | (s->mcr & MCR_OUT2 ? MSR_DCD : 0);
}

static void serial_write_mcr(Serial *s, uint8_t value)
{
    bool was_loop = s->mcr & MCR_LOOP;
    uint8_t lines, changed;

    s->mcr = value & 0x1f;
    lines = serial_modem_lines(s);
    changed = (s->msr ^ lines) & (MSR_DCD | MSR_DSR | MSR_CTS);
    if (s->msr & ~lines & MSR_RI) {
        changed |= MSR_RI;
    }
    s->msr = lines | (s->msr & MSR_DELTAS) | changed >> 4;
    serial_update_irq(s);
    if (was_loop && !(s->mcr & MCR_LOOP)) {
        chardev_accept_input(&s->chr);
    }
}

static void serial_write(void *opaque, hwaddr addr, uint64_t value, unsigned size)
{
    Serial *s = opaque;

    trace(serial_write, "write addr 0x%02x val 0x%02x", (unsigned)addr, (unsigned)value);
    if ((s->lcr & LCR_DLAB) && addr <= REG_IER) {
        s->divider =
            addr == REG_DATA ? (s->divider & 0xff00) | value : (s->divider & 0xff) | value << 8;
        serial_update_parameters(s);
        return;
    }
    switch (addr) {
    case REG_DATA:
        serial_write_data(s, value);
        break;
    case REG_IER:
        serial_write_ier(s, value);
        break;
    case REG_IIR_FCR:
        serial_write_fcr(s, value);
        break;
    case REG_LCR:
        serial_write_lcr(s, value);
        break;
    case REG_MCR:
        serial_write_mcr(s, value);
        break;
    case REG_SCR:
        s->scr = value;
        break;
    default: /* status registers are read only */
        break;
    }
}

static uint8_t serial_read_iir(Serial *s)
{
    uint8_t value = s->iir;

    if ((value & IIR_ID) == IIR_TRANSMIT) {
        s->thr_ipending = 0;
        serial_update_irq(s);
    }
    return value;
}

static uint8_t serial_read_lsr(Serial *s)
{
    uint8_t value = s->lsr;

    if (s->lsr & (LSR_ERRORS)) {
        s->lsr &= ~LSR_ERRORS;
        serial_update_irq(s);
    }
    return value;
}

static uint8_t serial_read_msr(Serial *s)
{
    uint8_t value = s->msr;

    if (s->msr & MSR_DELTAS) {
        s->msr &= ~MSR_DELTAS;
        serial_update_irq(s);
    }
    return value;
}

static uint8_t serial_read_register(Serial *s, hwaddr addr)
{
    if ((s->lcr & LCR_DLAB) && addr <= REG_IER) {
        return addr == REG_DATA ? s->divider : s->divider >> 8;
    }
    switch (addr) {
    case REG_DATA:
        return serial_read_data(s);
    case REG_IER:
        return s->ier;
    case REG_IIR_FCR:
        return serial_read_iir(s);
    case REG_LCR:
        return s->lcr;
    case REG_MCR:
        return s->mcr;
    case REG_LSR:
        return serial_read_lsr(s);
    case REG_MSR:
        return serial_read_msr(s);
    default:
        return s->scr;
    }
}

static uint64_t serial_read(void *opaque, hwaddr addr, unsigned size)
{
    uint8_t value = serial_read_register(opaque, addr);

    trace(serial_read, "read addr 0x%02x val 0x%02x", (unsigned)addr, value);
    return value;
}

static const MemoryOps serial_ops = {
    .read = serial_read,
    .write = serial_write,
    .valid = { .unaligned = true },
    .impl = { .min_size = 1, .max_size = 1 },
};

/* ---- life cycle ---------------------------------------------------------------------------------------------------- */

/* 9600 baud, and the lines of a modem that is there. */
void serial_reset(Serial *s)
{
    s->divider = 0x0c;
    s->rbr = s->ier = s->lcr = s->scr = s->thr = s->tsr = 0;
    s->mcr = MCR_OUT2;
    s->lsr = LSR_EMPTY | LSR_THR_EMPTY;
    s->msr = MSR_DCD | MSR_DSR | MSR_CTS;
    s->fcr = 0;
    s->tsr_retry = 0;
    s->thr_ipending = s->timeout_ipending = 0;
    fifo_clear(&s->recv_fifo);
    fifo_clear(&s->xmit_fifo);
    timer_del(&s->fifo_timeout_timer);
    io_watch_clear(&s->writable);
    serial_update_irq(s);
    chardev_accept_input(&s->chr);
}

/* S2 */
static void serial_vm_state(void *opaque, bool running, VmRunState state)
{
    Serial *s = opaque;

    if (running) {
        serial_transmit(s);
        chardev_accept_input(&s->chr);
    } else {
        io_watch_clear(&s->writable);
    }
}

void serial_realize(Serial *s, Object *owner)
{
    timer_init(&s->fifo_timeout_timer, CLOCK_VIRTUAL, serial_timeout, s);
    s->io = memory_region_new_io(owner, &serial_ops, s, "serial", SERIAL_PORTS);
    s->vm_state = vm_state_add_handler(serial_vm_state, s, 0);
    chardev_fe_set_handlers(&s->chr, &serial_handlers, s, NULL);
    serial_reset(s);
}

void serial_unrealize(Serial *s)
{
    timer_del(&s->fifo_timeout_timer);
    io_watch_clear(&s->writable);
    vm_state_del_handler(s->vm_state);
    chardev_fe_set_handlers(&s->chr, NULL, NULL, NULL);
    memory_region_free(s->io);
}

/*
 * Migration notes. Carried: characters in both FIFOs, in thr and in tsr (S1), which go on from the other end when the
 * machine runs there. Between saving and that nobody sends or receives (S2), so that no character is lost or repeated;
 * what the outside sends meanwhile waits in its chardev. The interrupt identification implies the flags of its
 * conditions, but for the cases that have subsections.
 */
static bool serial_pre_save(void *opaque, GError **error)
{
    Serial *s = opaque;

    s->fcr_vmstate = s->fcr;
    return true;
}

static bool serial_pre_load(void *opaque, GError **error)
{
    Serial *s = opaque;

    s->thr = s->tsr = 0;
    s->tsr_retry = 0;
    s->thr_ipending = -1;
    s->timeout_ipending = 0;
    fifo_clear(&s->recv_fifo);
    fifo_clear(&s->xmit_fifo);
    timer_del(&s->fifo_timeout_timer);
    return true;
}

static bool serial_post_load(void *opaque, int version, GError **error)
{
    Serial *s = opaque;

    serial_set_fcr(s, s->fcr_vmstate);
    if (s->thr_ipending < 0) {
        s->thr_ipending = (s->iir & IIR_ID) == IIR_TRANSMIT;
    }
    return true;
}

static bool thr_ipending_needed(const void *opaque)
{
    const Serial *s = opaque;

    return (s->thr_ipending != 0) != ((s->iir & IIR_ID) == IIR_TRANSMIT);
}

static bool tsr_needed(const void *opaque)
{
    return ((const Serial *)opaque)->tsr_retry != 0;
}

static bool recv_fifo_needed(const void *opaque)
{
    return ((const Serial *)opaque)->recv_fifo.num != 0;
}

static bool xmit_fifo_needed(const void *opaque)
{
    return ((const Serial *)opaque)->xmit_fifo.num != 0;
}

static bool timeout_timer_needed(const void *opaque)
{
    return timer_pending(&((const Serial *)opaque)->fifo_timeout_timer);
}

static bool timeout_ipending_needed(const void *opaque)
{
    return ((const Serial *)opaque)->timeout_ipending != 0;
}

static bool is_bool(const void *opaque, int64_t value)
{
    return value == 0 || value == 1;
}

static bool is_index(const void *opaque, int64_t value)
{
    return value < SERIAL_FIFO;
}

static bool is_count(const void *opaque, int64_t value)
{
    return value <= SERIAL_FIFO;
}

static bool is_retry(const void *opaque, int64_t value)
{
    return value >= 0 && value <= 4; /* stock counts how often it has tried */
}

#define SERIAL_CHECKED(member, kind_, check)                                                      \
    {                                                                                             \
        .name = #member, .offset = offsetof(Serial, member), .size = 4, .kind = &vm_kind_##kind_, \
        .valid = (check)                                                                          \
    }
#define SERIAL_SUBSECTION(ident, wire, test, ...)                    \
    static const VmState vmstate_##ident = { .name = "serial/" wire, \
                                             .version = 1,           \
                                             .minimum_version = 1,   \
                                             .needed = (test),       \
                                             .fields = (const VmField[]){ __VA_ARGS__, VM_END } }

SERIAL_SUBSECTION(thr_ipending, "thr_ipending", thr_ipending_needed,
                  SERIAL_CHECKED(thr_ipending, i32, is_bool));
SERIAL_SUBSECTION(tsr, "tsr", tsr_needed, SERIAL_CHECKED(tsr_retry, u32, is_retry),
                  VM_U8(Serial, thr), VM_U8(Serial, tsr));
SERIAL_SUBSECTION(recv_fifo, "recv_fifo", recv_fifo_needed, VM_BYTES(Serial, recv_fifo.data),
                  SERIAL_CHECKED(recv_fifo.head, u32, is_index),
                  SERIAL_CHECKED(recv_fifo.num, u32, is_count));
SERIAL_SUBSECTION(xmit_fifo, "xmit_fifo", xmit_fifo_needed, VM_BYTES(Serial, xmit_fifo.data),
                  SERIAL_CHECKED(xmit_fifo.head, u32, is_index),
                  SERIAL_CHECKED(xmit_fifo.num, u32, is_count));
SERIAL_SUBSECTION(timeout_timer, "fifo_timeout_timer", timeout_timer_needed,
                  VM_TIMER(Serial, fifo_timeout_timer));
SERIAL_SUBSECTION(timeout_ipending, "timeout_ipending", timeout_ipending_needed,
                  SERIAL_CHECKED(timeout_ipending, i32, is_bool));

const VmState serial_vmstate = {
    .name = "serial",
    .version = 3,
    .minimum_version = 3,
    .pre_save = serial_pre_save,
    .pre_load = serial_pre_load,
    .post_load = serial_post_load,
    .fields =
        (const VmField[]){
            VM_U16(Serial, divider),
            VM_U8(Serial, rbr),
            VM_U8(Serial, ier),
            VM_U8(Serial, iir),
            VM_U8(Serial, lcr),
            VM_U8(Serial, mcr),
            VM_U8(Serial, lsr),
            VM_U8(Serial, msr),
            VM_U8(Serial, scr),
            VM_U8(Serial, fcr_vmstate),
            VM_END,
        },
    .subsections =
        (const VmState *const[]){
            &vmstate_thr_ipending,
            &vmstate_tsr,
            &vmstate_recv_fifo,
            &vmstate_xmit_fifo,
            &vmstate_timeout_timer,
            &vmstate_timeout_ipending,
            NULL,
        },
};
