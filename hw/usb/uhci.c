/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * UHCI host controllers: PIIX3, PIIX4 and the companions of ICH9 (Universal Host Controller
 * Interface Design Guide, revision 1.1; 82371SB and I/O Controller Hub 9 datasheets for the PCI
 * side).
 *
 * The companions have the register model of a full controller. With masterbus they hand their ports
 * to the EHCI controller on that bus, which routes each port; without, they are controllers of
 * their own.
 *
 * Where the text and what guests know from QEMU differ: the port's line status reads 0, the
 * registers behind PORTSC2 read 0xff7f, and INTx does not depend on the legacy register's PIRQ
 * enable.
 */
#include "util/osdep.h"
#include "uhci.h"
#include "util/bytes.h"
#include "util/error.h"
#include "util/trace.h"

TRACE_EVENT(usb_uhci_reset)
TRACE_EVENT(usb_uhci_exit)
TRACE_EVENT(usb_uhci_schedule_start)
TRACE_EVENT(usb_uhci_schedule_stop)
TRACE_EVENT(usb_uhci_mmio_readw)
TRACE_EVENT(usb_uhci_mmio_writew)

/* PCI configuration space. */
enum {
    UHCI_PCI_SBRN = 0x60, /* serial bus release number: 1.0 */
    UHCI_PCI_MISC = 0x6a,
    UHCI_PCI_LEGSUP = 0xc0,
};
#define LEGSUP_DEFAULT 0x2000
#define LEGSUP_CLEARED_BY_ONE 0x8f00
#define LEGSUP_WRITABLE 0x20bf

/* Registers in the I/O BAR (2.1). */
enum {
    REG_USBCMD = 0x00,
    REG_USBSTS = 0x02,
    REG_USBINTR = 0x04,
    REG_FRNUM = 0x06,
    REG_FLBASEADD = 0x08,
    REG_FLBASEADD_HIGH = 0x0a,
    REG_SOFMOD = 0x0c,
    REG_PORTSC = 0x10,
    REG_SPACE = 0x20,
};

#define UHCI_BAR 4
#define FRAME_NUMBER_MASK 0x7ff
#define SOF_DEFAULT 64
#define UNUSED_REGISTER 0xff7f

/* ---- interrupts and halting ------------------------------------------------------------------ */

void uhci_update_irq(UhciState *s)
{
    bool level = (s->status2 & UHCI_CAUSE_IOC && s->intr & UHCI_INTR_IOC) ||
                 (s->status2 & UHCI_CAUSE_SPD && s->intr & UHCI_INTR_SPD) ||
                 (s->status & UHCI_STS_USBERR && s->intr & UHCI_INTR_CRC) ||
                 (s->status & UHCI_STS_RD && s->intr & UHCI_INTR_RESUME) ||
                 s->status & (UHCI_STS_HSERR | UHCI_STS_HCPERR);

    pci_set_irq(&s->dev, level);
}

static void uhci_stop(UhciState *s)
{
    trace_mark(usb_uhci_schedule_stop);
    s->cmd &= ~UHCI_CMD_RS;
    s->status |= UHCI_STS_HCHALTED;
    timer_del(&s->frame_timer);
}

void uhci_halt(UhciState *s, uint16_t error)
{
    uhci_stop(s);
    s->status |= error;
    uhci_update_irq(s);
}

/* A resume event: seen as such only in global suspend (2.1.2, bit 2). */
static void uhci_resume_event(UhciState *s)
{
    if (s->cmd & UHCI_CMD_EGSM) {
        s->cmd |= UHCI_CMD_FGR;
        s->status |= UHCI_STS_RD;
        uhci_update_irq(s);
    }
}

/* ---- frames ---------------------------------------------------------------------------------- */

/* Length of a frame: 11936 + SOFMOD bit times at 12 MHz (2.1.6). */
static int64_t frame_ns(const UhciState *s)
{
    return (11936 + (s->sof_timing & 0x7f)) * INT64_C(250) / 3;
}

static void raise_pending(UhciState *s)
{
    if (s->pending_int_mask) {
        s->status2 |= s->pending_int_mask & (UHCI_CAUSE_IOC | UHCI_CAUSE_SPD);
        s->pending_int_mask = 0;
        s->status |= UHCI_STS_USBINT;
    }
    uhci_update_irq(s);
}

static bool can_run_schedule(const UhciState *s)
{
    return !(s->cmd & (UHCI_CMD_EGSM | UHCI_CMD_GRESET)) &&
           load_le16(s->dev.config + PCI_COMMAND) & PCI_COMMAND_MASTER;
}

static void frame_timer(void *opaque)
{
    UhciState *s = opaque;
    int64_t now = clock_get_ns(CLOCK_VIRTUAL), period = frame_ns(s);
    unsigned frames = 0;

    if (!(s->cmd & UHCI_CMD_RS)) {
        return;
    }
    if (s->expire_time > now) {
        s->expire_time = now; /* only a stream from elsewhere can say so */
    }
    while (s->expire_time <= now && frames < MAX(s->maxframes, 1)) {
        if (can_run_schedule(s)) {
            uhci_run_frame(s);
        }
        raise_pending(s);
        if (!(s->cmd & UHCI_CMD_RS)) {
            return;
        }
        s->frnum = (s->frnum + 1) & FRAME_NUMBER_MASK;
        s->expire_time += period;
        frames++;
    }
    if (s->expire_time <= now) { /* too late: frames pass without being executed */
        uint64_t missed = ((uint64_t)now - (uint64_t)s->expire_time) / period + 1;

        s->frnum = (s->frnum + missed) & FRAME_NUMBER_MASK;
        s->expire_time += missed * period;
    }
    timer_mod(&s->frame_timer, s->expire_time);
}

static void uhci_start(UhciState *s)
{
    trace_mark(usb_uhci_schedule_start);
    s->status &= ~UHCI_STS_HCHALTED;
    s->expire_time = clock_get_ns(CLOCK_VIRTUAL) + frame_ns(s);
    timer_mod(&s->frame_timer, s->expire_time);
}

/* ---- ports ----------------------------------------------------------------------------------- */

static UhciPort *uhci_port(UsbPort *port)
{
    return (UhciPort *)((char *)port - offsetof(UhciPort, port));
}

static void port_attach(UsbPort *port)
{
    UhciState *s = port->opaque;
    UhciPort *p = uhci_port(port);

    p->ctrl |= UHCI_PORT_CONNECT | UHCI_PORT_CONNECT_CHANGE;
    p->ctrl &= ~UHCI_PORT_LOW_SPEED;
    if (port->dev->speed == USB_SPEED_LOW) {
        p->ctrl |= UHCI_PORT_LOW_SPEED;
    }
    uhci_resume_event(s);
}

static void port_detach(UsbPort *port)
{
    UhciState *s = port->opaque;
    UhciPort *p = uhci_port(port);

    if (p->ctrl & UHCI_PORT_CONNECT) {
        p->ctrl |= UHCI_PORT_CONNECT_CHANGE;
    }
    if (p->ctrl & UHCI_PORT_ENABLE) {
        p->ctrl |= UHCI_PORT_ENABLE_CHANGE;
    }
    p->ctrl &= ~(UHCI_PORT_CONNECT | UHCI_PORT_ENABLE | UHCI_PORT_LOW_SPEED | UHCI_PORT_SUSPEND |
                 UHCI_PORT_RESUME);
    uhci_resume_event(s);
}

static void port_device_gone(UsbPort *port, UsbDevice *dev)
{
    uhci_forget_device(port->opaque, dev);
}

static void port_wakeup(UsbPort *port)
{
    UhciState *s = port->opaque;
    UhciPort *p = uhci_port(port);

    if (p->ctrl & UHCI_PORT_SUSPEND && !(p->ctrl & UHCI_PORT_RESUME)) {
        p->ctrl |= UHCI_PORT_RESUME;
        uhci_resume_event(s);
    } else if (!(p->ctrl & UHCI_PORT_SUSPEND) && p->ctrl & UHCI_PORT_ENABLE) {
        uhci_resume_event(s);
    }
}

static bool port_enabled(UsbPort *port)
{
    const UhciPort *p = uhci_port(port);

    return (p->ctrl & (UHCI_PORT_ENABLE | UHCI_PORT_SUSPEND | UHCI_PORT_RESET)) == UHCI_PORT_ENABLE;
}

static const UsbPortOps port_ops = {
    .attach = port_attach,
    .detach = port_detach,
    .device_gone = port_device_gone,
    .wakeup = port_wakeup,
    .enabled = port_enabled,
};

static void portsc_write(UhciState *s, unsigned n, uint16_t value)
{
    const uint16_t writable =
        UHCI_PORT_ENABLE | UHCI_PORT_RESUME | UHCI_PORT_RESET | UHCI_PORT_SUSPEND;
    UhciPort *p = &s->ports[n];
    uint16_t old = p->ctrl;

    p->ctrl &= ~(value & (UHCI_PORT_CONNECT_CHANGE | UHCI_PORT_ENABLE_CHANGE));
    p->ctrl = (p->ctrl & ~writable) | (value & writable);
    if (!(p->ctrl & UHCI_PORT_CONNECT)) {
        p->ctrl &= ~UHCI_PORT_ENABLE;
    }
    if (old & UHCI_PORT_RESUME && !(value & UHCI_PORT_RESUME)) {
        p->ctrl &=
            ~UHCI_PORT_SUSPEND; /* the low-speed EOP ends resume and suspend (2.1.7, bit 6) */
    }
    if (value & UHCI_PORT_RESET && !(old & UHCI_PORT_RESET)) {
        p->ctrl &= ~(UHCI_PORT_SUSPEND | UHCI_PORT_RESUME);
        usb_port_reset(&p->port);
    }
}

/* ---- reset ----------------------------------------------------------------------------------- */

/* HCRESET, and the part of GRESET and system reset that is the controller's: registers to their
 * defaults, ports as if everything had just been plugged in. */
static void uhci_reset_controller(UhciState *s)
{
    trace(usb_uhci_reset, "=== RESET ===");
    uhci_cancel_transfers(s);
    timer_del(&s->frame_timer);
    s->cmd = 0;
    s->status = UHCI_STS_HCHALTED;
    s->status2 = 0;
    s->intr = 0;
    s->frnum = 0;
    s->fl_base_addr = 0;
    s->sof_timing = SOF_DEFAULT;
    s->pending_int_mask = 0;
    s->expire_time = 0;
    for (unsigned i = 0; i < UHCI_NUM_PORTS; i++) {
        UhciPort *p = &s->ports[i];

        p->ctrl = UHCI_PORT_ALWAYS_ONE;
        if (p->port.dev) {
            port_attach(&p->port);
        }
    }
    uhci_update_irq(s);
}

static void uhci_reset_ports(UhciState *s)
{
    for (unsigned i = 0; i < UHCI_NUM_PORTS; i++) {
        usb_port_reset(&s->ports[i].port);
    }
}

static void uhci_reset(PciDevice *dev)
{
    UhciState *s = (UhciState *)dev;

    dev->config[UHCI_PCI_SBRN] = 0x10;
    dev->config[UHCI_PCI_MISC] = 0x01;
    store_le16(dev->config + UHCI_PCI_LEGSUP, LEGSUP_DEFAULT);
    uhci_reset_controller(s);
    uhci_reset_ports(s);
}

/* ---- registers ------------------------------------------------------------------------------- */

static void cmd_write(UhciState *s, uint16_t value)
{
    uint16_t old = s->cmd;

    if (value & UHCI_CMD_HCRESET) {
        uhci_reset_controller(s);
        return;
    }
    if (value & UHCI_CMD_GRESET) {
        if (!(old & UHCI_CMD_GRESET)) {
            uhci_reset_controller(s);
            uhci_reset_ports(s);
        }
        s->cmd = UHCI_CMD_GRESET | (value & (UHCI_CMD_CF | UHCI_CMD_MAXP));
        return;
    }
    s->cmd = value & 0xff;
    if (value & UHCI_CMD_RS && !(old & UHCI_CMD_RS)) {
        uhci_start(s);
    } else if (!(value & UHCI_CMD_RS) && old & UHCI_CMD_RS) {
        uhci_stop(s);
    }
}

static void status_write(UhciState *s, uint16_t value)
{
    s->status &= ~(value & 0x3f);
    if (value & UHCI_STS_USBINT) {
        s->status2 = 0;
    }
    uhci_update_irq(s);
}

/* The word at an even offset. */
static uint16_t word_read(const UhciState *s, unsigned offset)
{
    switch (offset) {
    case REG_USBCMD:
        return s->cmd;
    case REG_USBSTS:
        return s->status;
    case REG_USBINTR:
        return s->intr;
    case REG_FRNUM:
        return s->frnum;
    case REG_FLBASEADD:
        return s->fl_base_addr & 0xffff;
    case REG_FLBASEADD_HIGH:
        return s->fl_base_addr >> 16;
    case REG_SOFMOD:
        return s->sof_timing;
    case REG_PORTSC:
    case REG_PORTSC + 2:
        return s->ports[(offset - REG_PORTSC) / 2].ctrl;
    default:
        return UNUSED_REGISTER;
    }
}

static void word_write(UhciState *s, unsigned offset, uint16_t value)
{
    switch (offset) {
    case REG_USBCMD:
        cmd_write(s, value);
        break;
    case REG_USBSTS:
        status_write(s, value);
        break;
    case REG_USBINTR:
        s->intr = value & 0x0f;
        uhci_update_irq(s);
        break;
    case REG_FRNUM:
        if (s->status & UHCI_STS_HCHALTED) {
            s->frnum = value & FRAME_NUMBER_MASK;
        }
        break;
    case REG_FLBASEADD:
        s->fl_base_addr = (s->fl_base_addr & 0xffff0000) | (value & 0xf000);
        break;
    case REG_FLBASEADD_HIGH:
        s->fl_base_addr = (s->fl_base_addr & 0xffff) | (uint32_t)value << 16;
        break;
    case REG_SOFMOD:
        s->sof_timing = value & 0x7f;
        break;
    case REG_PORTSC:
    case REG_PORTSC + 2:
        portsc_write(s, (offset - REG_PORTSC) / 2, value);
        break;
    }
}

/* What a write of single bytes leaves in the other byte of a word: nothing where ones mean "clear". */
static uint16_t word_kept(const UhciState *s, unsigned offset)
{
    uint16_t value = word_read(s, offset);

    if (offset == REG_USBSTS) {
        return 0;
    }
    if (offset == REG_PORTSC || offset == REG_PORTSC + 2) {
        return value & ~(UHCI_PORT_CONNECT_CHANGE | UHCI_PORT_ENABLE_CHANGE);
    }
    return value;
}

static uint64_t uhci_read(void *opaque, hwaddr addr, unsigned size)
{
    uint32_t value = 0;

    for (unsigned i = 0; i < size; i++) {
        uint16_t word = word_read(opaque, (addr + i) & ~1u);

        value |= (uint32_t)(word >> ((addr + i) & 1) * 8 & 0xff) << i * 8;
    }
    trace(usb_uhci_mmio_readw, "addr 0x%04x, ret 0x%04x", (unsigned)addr, value);
    return value;
}

static void uhci_write(void *opaque, hwaddr addr, uint64_t value, unsigned size)
{
    unsigned i = 0;

    trace(usb_uhci_mmio_writew, "addr 0x%04x, val 0x%04x", (unsigned)addr, (unsigned)value);
    while (i < size) {
        unsigned offset = (addr + i) & ~1u, n = (addr + i) & 1 || size - i == 1 ? 1 : 2;

        if (n == 2) {
            word_write(opaque, offset, value >> i * 8);
        } else {
            unsigned shift = ((addr + i) & 1) * 8;
            uint16_t byte = value >> i * 8 & 0xff;

            word_write(opaque, offset,
                       (word_kept(opaque, offset) & ~(0xff << shift)) | byte << shift);
        }
        i += n;
    }
}

static const MemoryOps uhci_io_ops = {
    .read = uhci_read,
    .write = uhci_write,
    .endian = MEM_LITTLE_ENDIAN,
    .valid = { .min_size = 1, .max_size = 4, .unaligned = true },
    .impl = { .min_size = 1, .max_size = 4, .unaligned = true },
};

/* ---- quiesce --------------------------------------------------------------------------------- */

/*
 * The controller writes guest memory from its frame timer only, which stands still with the virtual
 * clock. What devices have finished since the last frame is written now, so that the stream need
 * not carry it.
 */
static QuiesceResult uhci_quiesce(void *opaque, GError **error)
{
    UhciState *s = opaque;

    if (s->cmd & UHCI_CMD_RS && can_run_schedule(s) && uhci_has_finished_transfers(s)) {
        uhci_retire_frame(s);
    }
    return QUIESCE_DONE;
}

static const QuiesceOps uhci_quiesce_ops = { .name = "uhci", .quiesce = uhci_quiesce };

/* ---- realize --------------------------------------------------------------------------------- */

static const UsbBusOps uhci_bus_ops = { 0 };

static bool uhci_realize(PciDevice *dev, GError **error)
{
    UhciState *s = (UhciState *)dev;
    const unsigned speeds = USB_SPEED_BIT(USB_SPEED_LOW) | USB_SPEED_BIT(USB_SPEED_FULL);

    if (s->masterbus) {
        UsbPort *ports[UHCI_NUM_PORTS] = { &s->ports[0].port, &s->ports[1].port };

        if (!usb_bus_register_companion(s->masterbus, ports, UHCI_NUM_PORTS, s->firstport, error)) {
            return false;
        }
    } else {
        s->bus = usb_bus_new(&dev->device, &uhci_bus_ops, s);
        for (unsigned i = 0; i < UHCI_NUM_PORTS; i++) {
            usb_bus_add_port(s->bus, &s->ports[i].port, i, speeds, &port_ops, s);
        }
    }
    dev->wmask[UHCI_PCI_SBRN] = 0;
    store_le16(dev->wmask + UHCI_PCI_LEGSUP, LEGSUP_WRITABLE);
    store_le16(dev->w1cmask + UHCI_PCI_LEGSUP, LEGSUP_CLEARED_BY_ONE);
    timer_init(&s->frame_timer, CLOCK_VIRTUAL, frame_timer, s);
    pci_set_bar(dev, UHCI_BAR, PCI_BAR_SPACE_IO,
                memory_region_new_io(&dev->device.object, &uhci_io_ops, s, "uhci", REG_SPACE),
                REG_SPACE);
    s->quiesce = quiesce_register(&uhci_quiesce_ops, s);
    for (unsigned i = 0; i < UHCI_NUM_PORTS; i++) {
        s->ports[i].ctrl = UHCI_PORT_ALWAYS_ONE;
    }
    s->status = UHCI_STS_HCHALTED;
    s->sof_timing = SOF_DEFAULT;
    return true;
}

static void uhci_unrealize(PciDevice *dev)
{
    UhciState *s = (UhciState *)dev;

    trace(usb_uhci_exit, "=== EXIT ===");
    timer_del(&s->frame_timer);
    quiesce_unregister(s->quiesce);
    for (unsigned i = 0; i < UHCI_NUM_PORTS; i++) {
        if (s->ports[i].port.owner_dev) {
            device_unrealize(&s->ports[i].port.owner_dev->device);
        }
        if (s->bus) {
            usb_bus_remove_port(&s->ports[i].port);
        }
    }
    uhci_free_transfers(s);
    if (s->bus) {
        usb_bus_free(s->bus);
        s->bus = NULL;
    }
    memory_region_free(dev->bars[UHCI_BAR].region);
}

static void uhci_init(Object *obj)
{
    UhciState *s = (UhciState *)obj;

    s->num_ports_vmstate = UHCI_NUM_PORTS;
    g_queue_init(&s->transfers);
}

static void uhci_finalize(Object *obj)
{
    UhciState *s = (UhciState *)obj;

    g_free(s->saved);
}

/* ---- migration ------------------------------------------------------------------------------- */

/*
 * Migration notes. Registers, the time of the next frame, and causes of interrupts that wait for
 * the frame's end. The schedule is in guest memory. In flight are TDs whose packet a device keeps:
 * their TDs are still active, and the arriving controller submits them again when its first frame
 * comes to them (U4 in usb.h). Packets that were finished, but whose results no frame has written
 * yet, are written in quiesce; those that the present frame does not lead to (interrupt queues of
 * other frames) travel in "uhci/completions" and are written by the frame that comes to them.
 */
static bool completions_needed(const void *opaque)
{
    return uhci_has_finished_transfers(opaque);
}

static bool completions_pre_save(void *opaque, GError **error)
{
    UhciState *s = opaque;
    VmWriter *w = vm_writer_new();
    const uint8_t *bytes;
    size_t len;

    uhci_save_transfers(s, w);
    bytes = vm_writer_data(w, &len);
    g_free(s->saved);
    s->saved = g_memdup2(bytes, len);
    s->saved_len = len;
    vm_writer_free(w);
    return true;
}

static void completions_done(void *opaque)
{
    UhciState *s = opaque;

    g_clear_pointer(&s->saved, g_free);
    s->saved_len = 0;
}

static bool completions_pre_load(void *opaque, GError **error)
{
    completions_done(opaque);
    return true;
}

static bool completions_post_load(void *opaque, int version, GError **error)
{
    UhciState *s = opaque;
    VmReader *r = vm_reader_new_from_memory(s->saved, s->saved_len);
    bool ok = uhci_load_transfers(s, r, s->saved_len);

    ok = vm_reader_check(r, error) && ok;
    vm_reader_free(r);
    completions_done(s);
    return ok;
}

static const VmState completions_vmstate = {
    .name = "uhci/completions",
    .version = 1,
    .minimum_version = 1,
    .needed = completions_needed,
    .pre_save = completions_pre_save,
    .post_save = completions_done,
    .pre_load = completions_pre_load,
    .post_load = completions_post_load,
    .fields =
        (const VmField[]){
            { .name = "length",
              .offset = VM_CHECKED_OFFSET(UhciState, saved_len, uint32_t),
              .size = 4,
              .kind = &vm_kind_u32 },
            { .name = "data",
              .offset = offsetof(UhciState, saved),
              .size = 1,
              .num = 1u << 20,
              .num_offset = offsetof(UhciState, saved_len),
              .num_kind = VM_COUNT_U32,
              .shape = VM_VBUFFER,
              .flags = VM_POINTER | VM_ALLOC,
              .kind = &vm_kind_buffer },
            VM_END,
        },
};

static const VmState port_vmstate = {
    .name = "uhci port",
    .version = 1,
    .minimum_version = 1,
    .fields = (const VmField[]){ VM_U16(UhciPort, ctrl), VM_END },
};

static bool uhci_pre_load(void *opaque, GError **error)
{
    uhci_cancel_transfers(opaque);
    return true;
}

/* Every use of a register masks it, so any value of the stream is safe; only a frame that never
 * comes is not. */
static bool uhci_post_load(void *opaque, int version, GError **error)
{
    UhciState *s = opaque;

    if (version < 2) {
        s->expire_time = clock_get_ns(CLOCK_VIRTUAL) + frame_ns(s);
    }
    if (s->cmd & UHCI_CMD_RS && !timer_pending(&s->frame_timer)) {
        timer_mod(&s->frame_timer, s->expire_time);
    }
    return true;
}

static const VmState uhci_vmstate = {
    .name = "uhci",
    .version = 3,
    .minimum_version = 1,
    .pre_load = uhci_pre_load,
    .post_load = uhci_post_load,
    .fields =
        (const VmField[]){
            VM_PCI_DEVICE(UhciState, dev),
            { .name = "num_ports_vmstate",
              .offset = offsetof(UhciState, num_ports_vmstate),
              .size = 1,
              .kind = &vm_kind_equal_u8 },
            VM_STRUCT_ARRAY(UhciState, ports, UHCI_NUM_PORTS, port_vmstate, UhciPort),
            VM_U16(UhciState, cmd),
            VM_U16(UhciState, status),
            VM_U16(UhciState, intr),
            VM_U16(UhciState, frnum),
            VM_U32(UhciState, fl_base_addr),
            VM_U8(UhciState, sof_timing),
            VM_U8(UhciState, status2),
            VM_TIMER(UhciState, frame_timer),
            VM_I64_V(UhciState, expire_time, 2),
            VM_U32_V(UhciState, pending_int_mask, 3),
            VM_END,
        },
    .subsections = (const VmState *const[]){ &completions_vmstate, NULL },
};

/* ---- registration ---------------------------------------------------------------------------- */

static const Property uhci_properties[] = {
    PROPERTY_UINT32("bandwidth", UhciState, bandwidth, "1280", NULL),
    PROPERTY_UINT32("maxframes", UhciState, maxframes, "128", NULL),
    { .name = NULL },
};

static const Property companion_properties[] = {
    PROPERTY_STRING("masterbus", UhciState, masterbus, NULL),
    PROPERTY_UINT32("firstport", UhciState, firstport, "0", NULL),
    { .name = NULL },
};

static const DeviceType uhci_type = {
    .object = {
        .name = "pci-uhci-usb",
        .parent = &pci_device_type.object,
        .size = sizeof(UhciState),
        .abstract = true,
        .properties = uhci_properties,
        .init = uhci_init,
        .finalize = uhci_finalize,
    },
    .category = DEVICE_CATEGORY_USB,
    .migration = MIGRATES_WITH(uhci_vmstate),
};
DEVICE_REGISTER(uhci_type)

#define UHCI_CONTROLLER(ident, type_name, device, rev, pin, props)                             \
    static const PciDeviceOps ident##_ops = {                                                  \
        .realize = uhci_realize,                                                               \
        .unrealize = uhci_unrealize,                                                           \
        .reset = uhci_reset,                                                                   \
        .vendor_id = PCI_VENDOR_INTEL,                                                         \
        .device_id = (device),                                                                 \
        .class_id = 0x0c03,                                                                    \
        .revision = (rev),                                                                     \
        .interrupt_pin = (pin),                                                                \
    };                                                                                         \
    static const DeviceType ident##_type = {                                                   \
        .object = { .name = (type_name), .parent = &uhci_type.object, .properties = (props) }, \
        .ops = &ident##_ops,                                                                   \
    };                                                                                         \
    DEVICE_REGISTER(ident##_type)

UHCI_CONTROLLER(piix3, "piix3-usb-uhci", 0x7020, 0x01, 4, NULL)
UHCI_CONTROLLER(piix4, "piix4-usb-uhci", 0x7112, 0x01, 4, NULL)
UHCI_CONTROLLER(ich9_1, "ich9-usb-uhci1", 0x2934, 0x03, 1, companion_properties)
UHCI_CONTROLLER(ich9_2, "ich9-usb-uhci2", 0x2935, 0x03, 2, companion_properties)
UHCI_CONTROLLER(ich9_3, "ich9-usb-uhci3", 0x2936, 0x03, 3, companion_properties)
UHCI_CONTROLLER(ich9_4, "ich9-usb-uhci4", 0x2937, 0x03, 1, companion_properties)
UHCI_CONTROLLER(ich9_5, "ich9-usb-uhci5", 0x2938, 0x03, 2, companion_properties)
UHCI_CONTROLLER(ich9_6, "ich9-usb-uhci6", 0x2939, 0x03, 3, companion_properties)
