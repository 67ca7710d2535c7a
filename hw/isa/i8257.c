/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * i8257: the 8237A DMA controllers of a PC (Intel 8237A data sheet, order number 231466) with their page registers. The
 * type has stock's name.
 *
 *   D1  The current address of a channel is now[ADDRESS] plus or minus now[COUNT], its current count base[COUNT] minus
 *       now[COUNT]: now[COUNT] is how much of the transfer is done. All three in bytes, base in transfers.
 *   D2  A device is called from a bottom half, while the machine runs, if its channel is requested, unmasked and the
 *       controller enabled.
 */
#include "util/osdep.h"
#include "hw/isa/i8257.h"
#include "system/runstate.h"
#include "util/error.h"
#include "util/main-loop.h"
#include "util/trace.h"

TRACE_EVENT(i8257_unregistered_dma);

#define CHANNELS 4
enum { ADDRESS = 0, COUNT = 1 };

/* Registers behind the channels' (port numbers without the second controller's shift) */
enum {
    REG_STATUS_COMMAND = 0,
    REG_REQUEST = 1,
    REG_SINGLE_MASK = 2,
    REG_MODE = 3,
    REG_CLEAR_FLIP_FLOP = 4,
    REG_MASTER_CLEAR = 5,
    REG_CLEAR_MASK = 6,
    REG_MASK = 7,
};

#define COMMAND_DISABLE 0x04
#define MODE_DECREMENT 0x20
#define MODE_AUTOINIT 0x10
#define MODE_TYPE(mode) ((mode) >> 2 & 3)
#define SELECT_SET 0x04 /* request and single mask: the new value of the bit */
#define STATUS_REQUEST_SHIFT 4

typedef struct DmaChannel {
    int32_t now[2];
    uint16_t base[2];
    uint8_t mode;
    uint8_t page, pageh;
    uint8_t dack, eop; /* kept for stock */
    IsaDmaTransfer *transfer;
    void *opaque;
} DmaChannel;

typedef struct I8257 {
    IsaDevice isa;
    uint8_t command, mask, flip_flop;
    uint8_t status; /* requests above, terminal counts below; not saved */
    int32_t dshift;
    DmaChannel regs[CHANNELS];

    int32_t base, page_base, pageh_base;
    MemoryRegion *channel_ports, *control_ports, *page_ports[2], *pageh_ports[2];
    Bh *run;
    VmStateEntry *vm_state;
} I8257;

static I8257 *controllers[2];

/* ---- transfers ------------------------------------------------------------------------------------------------- */

static unsigned channel_total(const I8257 *s, const DmaChannel *c)
{
    return ((unsigned)c->base[COUNT] + 1) << s->dshift;
}

static bool channel_ready(const I8257 *s, unsigned n)
{
    return !(s->command & COMMAND_DISABLE) && !(s->mask & 1 << n) &&
           (s->status & 1 << (n + STATUS_REQUEST_SHIFT));
}

/* All is moved: tells the guest, and begins anew or stops (data sheet, "Autoinitialize" and "Mask Register"). */
static void channel_terminal_count(I8257 *s, unsigned n)
{
    DmaChannel *c = &s->regs[n];

    s->status |= 1 << n;
    if (c->mode & MODE_AUTOINIT) {
        c->now[ADDRESS] = c->base[ADDRESS] << s->dshift;
        c->now[COUNT] = 0;
    } else {
        s->mask |= 1 << n;
    }
}

/* Returns whether the device got any further. */
static bool channel_run(I8257 *s, unsigned n)
{
    DmaChannel *c = &s->regs[n];
    unsigned total = channel_total(s, c), before = c->now[COUNT], done;

    if (!c->transfer) {
        trace(i8257_unregistered_dma,
              "unregistered DMA channel used nchan=%u dma_pos=%d dma_len=%u", n, c->now[COUNT],
              total);
        return false;
    }
    done = c->transfer(c->opaque, n + (s->dshift ? CHANNELS : 0), c->now[COUNT], total);
    c->now[COUNT] = MIN(done, total);
    if (done >= total) {
        channel_terminal_count(s, n);
    }
    return done > before;
}

/* D2 */
static void i8257_kick(I8257 *s)
{
    for (unsigned n = 0; n < CHANNELS; n++) {
        if (channel_ready(s, n) && s->regs[n].transfer) {
            bh_schedule(s->run);
            return;
        }
    }
}

static void i8257_run(void *opaque)
{
    I8257 *s = opaque;
    bool further = false;

    if (!vm_is_running()) {
        return; /* i8257_vm_state() comes back to it */
    }
    for (unsigned n = 0; n < CHANNELS; n++) {
        if (channel_ready(s, n)) {
            further |= channel_run(s, n);
        }
    }
    if (further) {
        i8257_kick(s);
    }
}

static void i8257_vm_state(void *opaque, bool running, VmRunState state)
{
    if (running) {
        i8257_kick(opaque);
    }
}

/* ---- for devices -------------------------------------------------------------------------------------------------- */

static I8257 *controller_of(IsaBus *bus, unsigned channel)
{
    I8257 *s = channel < ISA_DMA_CHANNELS ? controllers[channel / CHANNELS] : NULL;

    return s && isa_device_bus(&s->isa.device) == bus ? s : NULL;
}

bool isa_dma_claim(IsaBus *bus, unsigned channel, IsaDmaTransfer *transfer, void *opaque,
                   GError **error)
{
    I8257 *s = controller_of(bus, channel);

    if (!s || channel == CHANNELS) { /* which joins the two controllers */
        return error_set(error, "the ISA bus has no DMA channel %u", channel);
    }
    if (s->regs[channel % CHANNELS].transfer) {
        return error_set(error, "DMA channel %u is in use", channel);
    }
    s->regs[channel % CHANNELS].transfer = transfer;
    s->regs[channel % CHANNELS].opaque = opaque;
    return true;
}

void isa_dma_release(IsaBus *bus, unsigned channel)
{
    I8257 *s = controller_of(bus, channel);

    if (s) {
        s->regs[channel % CHANNELS].transfer = NULL;
        s->status &= ~(1 << (channel % CHANNELS + STATUS_REQUEST_SHIFT));
    }
}

void isa_dma_request(IsaBus *bus, unsigned channel, bool up)
{
    I8257 *s = controller_of(bus, channel);
    uint8_t bit = 1 << (channel % CHANNELS + STATUS_REQUEST_SHIFT);

    s->status = up ? s->status | bit : s->status & ~bit;
    i8257_kick(s);
}

IsaDmaType isa_dma_type(IsaBus *bus, unsigned channel)
{
    return MODE_TYPE(controller_of(bus, channel)->regs[channel % CHANNELS].mode);
}

/* The page does not change within a transfer: the address wraps at its end. Returns how many bytes are before that, in the
 * direction of the transfer; *step is -1 for one that goes down, byte by byte. */
static unsigned channel_address(const I8257 *s, const DmaChannel *c, unsigned done, unsigned len,
                                hwaddr *addr)
{
    uint32_t size = 0x10000u << s->dshift, at;
    hwaddr page = (hwaddr)(c->pageh & 0x7f) << 24 | (hwaddr)c->page << 16;

    at = (uint32_t)(c->mode & MODE_DECREMENT ? c->now[ADDRESS] - (int32_t)done
                                             : c->now[ADDRESS] + (int32_t)done) &
         (size - 1);
    *addr = (page & ~(hwaddr)(size - 1)) | at;
    return c->mode & MODE_DECREMENT ? 1 : MIN(len, size - at);
}

void isa_dma_read(IsaBus *bus, unsigned channel, void *buf, unsigned done, unsigned len)
{
    I8257 *s = controller_of(bus, channel);
    uint8_t *p = buf;

    while (len) {
        hwaddr addr;
        unsigned n = channel_address(s, &s->regs[channel % CHANNELS], done, len, &addr);

        dma_read(address_space_memory, addr, p, n);
        p += n;
        done += n;
        len -= n;
    }
}

void isa_dma_write(IsaBus *bus, unsigned channel, const void *buf, unsigned done, unsigned len,
                   const char *writer)
{
    I8257 *s = controller_of(bus, channel);
    const uint8_t *p = buf;

    while (len) {
        hwaddr addr;
        unsigned n = channel_address(s, &s->regs[channel % CHANNELS], done, len, &addr);

        dma_write(address_space_memory, addr, p, n, writer);
        p += n;
        done += n;
        len -= n;
    }
}

/* ---- registers of a channel ---------------------------------------------------------------------------------------- */

/* Low byte first, then high. */
static bool take_flip_flop(I8257 *s)
{
    bool high = s->flip_flop;

    s->flip_flop = !high;
    return high;
}

static int32_t progress(const DmaChannel *c)
{
    return c->mode & MODE_DECREMENT ? -c->now[COUNT] : c->now[COUNT];
}

static uint64_t channel_read(void *opaque, hwaddr offset, unsigned size)
{
    I8257 *s = opaque;
    unsigned reg = offset >> s->dshift;
    DmaChannel *c = &s->regs[reg >> 1];
    int32_t value;

    if (reg & 1) {
        value = ((int32_t)c->base[COUNT] << s->dshift) - c->now[COUNT];
    } else {
        value = c->now[ADDRESS] + progress(c);
    }
    value >>= s->dshift;
    return take_flip_flop(s) ? value >> 8 & 0xff : value & 0xff;
}

/* Address and count are written for base and current together, and each leaves the other one's current value (D1). */
static void channel_write(void *opaque, hwaddr offset, uint64_t value, unsigned size)
{
    I8257 *s = opaque;
    unsigned reg = offset >> s->dshift;
    DmaChannel *c = &s->regs[reg >> 1];
    uint16_t *base = &c->base[reg & 1];

    if (!take_flip_flop(s)) {
        *base = (*base & 0xff00) | value;
        return;
    }
    *base = (*base & 0xff) | value << 8;
    if (reg & 1) {
        c->now[ADDRESS] = (c->now[ADDRESS] + progress(c)) & (int32_t)((0x10000u << s->dshift) - 1);
        c->now[COUNT] = 0;
    } else {
        c->now[ADDRESS] = ((int32_t)*base << s->dshift) - progress(c);
    }
}

/* ---- control registers ---------------------------------------------------------------------------------------------- */

static void i8257_master_clear(I8257 *s)
{
    s->flip_flop = 0;
    s->mask = 0xff;
    s->status = 0;
    s->command = 0;
}

static void control_write(void *opaque, hwaddr offset, uint64_t value, unsigned size)
{
    I8257 *s = opaque;
    unsigned n = value & 3;

    switch (offset >> s->dshift) {
    case REG_STATUS_COMMAND:
        s->command = value;
        break;
    case REG_REQUEST:
        if (value & SELECT_SET) {
            s->status |= 1 << (n + STATUS_REQUEST_SHIFT);
        } else {
            s->status &= ~(1 << (n + STATUS_REQUEST_SHIFT));
        }
        break;
    case REG_SINGLE_MASK:
        s->mask = value & SELECT_SET ? s->mask | 1 << n : s->mask & ~(1 << n);
        break;
    case REG_MODE:
        s->regs[n].mode = value;
        break;
    case REG_CLEAR_FLIP_FLOP:
        s->flip_flop = 0;
        break;
    case REG_MASTER_CLEAR:
        i8257_master_clear(s);
        break;
    case REG_CLEAR_MASK:
        s->mask = 0;
        break;
    default:
        s->mask = value;
        break;
    }
    i8257_kick(s);
}

/* Reading the status takes the terminal counts away. The mask is where stock shows it. */
static uint64_t control_read(void *opaque, hwaddr offset, unsigned size)
{
    I8257 *s = opaque;
    uint8_t value;

    switch (offset >> s->dshift) {
    case REG_STATUS_COMMAND:
        value = s->status;
        s->status &= 0xf0;
        return value;
    case REG_REQUEST:
        return s->mask;
    default:
        return 0;
    }
}

/* ---- page registers --------------------------------------------------------------------------------------------------- */

/* By offset from the first one's port, 1 … 3 and 7. */
static unsigned page_channel(hwaddr offset)
{
    static const uint8_t channels[8] = { 0, 2, 3, 1, 0, 0, 0, 0 };

    return channels[offset & 7];
}

static uint64_t page_read_low(void *opaque, hwaddr offset, unsigned size)
{
    return ((I8257 *)opaque)->regs[page_channel(offset + 1)].page;
}

static void page_write_low(void *opaque, hwaddr offset, uint64_t value, unsigned size)
{
    ((I8257 *)opaque)->regs[page_channel(offset + 1)].page = value;
}

static uint64_t page_read_0(void *opaque, hwaddr offset, unsigned size)
{
    return ((I8257 *)opaque)->regs[0].page;
}

static void page_write_0(void *opaque, hwaddr offset, uint64_t value, unsigned size)
{
    ((I8257 *)opaque)->regs[0].page = value;
}

static uint64_t pageh_read_low(void *opaque, hwaddr offset, unsigned size)
{
    return ((I8257 *)opaque)->regs[page_channel(offset + 1)].pageh;
}

static void pageh_write_low(void *opaque, hwaddr offset, uint64_t value, unsigned size)
{
    ((I8257 *)opaque)->regs[page_channel(offset + 1)].pageh = value;
}

static uint64_t pageh_read_0(void *opaque, hwaddr offset, unsigned size)
{
    return ((I8257 *)opaque)->regs[0].pageh;
}

static void pageh_write_0(void *opaque, hwaddr offset, uint64_t value, unsigned size)
{
    ((I8257 *)opaque)->regs[0].pageh = value;
}

#define BYTE_PORTS(r, w)                                                   \
    {                                                                      \
        .read = (r), .write = (w), .impl = {.min_size = 1, .max_size = 1 } \
    }
static const MemoryOps channel_ops = BYTE_PORTS(channel_read, channel_write);
static const MemoryOps control_ops = BYTE_PORTS(control_read, control_write);
static const MemoryOps page_ops[2] = { BYTE_PORTS(page_read_low, page_write_low),
                                       BYTE_PORTS(page_read_0, page_write_0) };
static const MemoryOps pageh_ops[2] = { BYTE_PORTS(pageh_read_low, pageh_write_low),
                                        BYTE_PORTS(pageh_read_0, pageh_write_0) };

/* ---- life cycle ------------------------------------------------------------------------------------------------------- */

static void i8257_reset(Device *dev)
{
    I8257 *s = (I8257 *)dev;

    i8257_master_clear(s);
    for (unsigned n = 0; n < CHANNELS; n++) {
        DmaChannel *c = &s->regs[n];

        *c = (DmaChannel){ .transfer = c->transfer, .opaque = c->opaque };
    }
}

static void map_pages(I8257 *s, int32_t base, MemoryRegion **regions, const MemoryOps *ops)
{
    regions[0] = memory_region_new_io(&s->isa.device.object, &ops[0], s, "dma-page", 3);
    isa_map_ports(&s->isa.device, base + 1, regions[0]);
    regions[1] = memory_region_new_io(&s->isa.device.object, &ops[1], s, "dma-page", 1);
    isa_map_ports(&s->isa.device, base + 7, regions[1]);
}

static bool i8257_realize(Device *dev, GError **error)
{
    I8257 *s = (I8257 *)dev;

    if (s->dshift < 0 || s->dshift > 1 || controllers[s->dshift]) {
        return error_set(
            error,
            "i8257: the bus has one controller for bytes (dshift=0) and one for words (dshift=1)");
    }
    s->channel_ports =
        memory_region_new_io(&dev->object, &channel_ops, s, "dma-chan", 8 << s->dshift);
    isa_map_ports(dev, s->base, s->channel_ports);
    s->control_ports =
        memory_region_new_io(&dev->object, &control_ops, s, "dma-cont", 8 << s->dshift);
    isa_map_ports(dev, s->base + (8 << s->dshift), s->control_ports);
    map_pages(s, s->page_base, s->page_ports, page_ops);
    if (s->pageh_base >= 0) {
        map_pages(s, s->pageh_base, s->pageh_ports, pageh_ops);
    }
    s->run = bh_new(NULL, "i8257", i8257_run, s);
    s->vm_state = vm_state_add_handler(i8257_vm_state, s, 0);
    controllers[s->dshift] = s;
    return true;
}

static void i8257_unrealize(Device *dev)
{
    I8257 *s = (I8257 *)dev;

    controllers[s->dshift] = NULL;
    vm_state_del_handler(s->vm_state);
    bh_delete(s->run);
    memory_region_free(s->channel_ports);
    memory_region_free(s->control_ports);
    for (unsigned i = 0; i < 2; i++) {
        memory_region_free(s->page_ports[i]);
        memory_region_free(s->pageh_ports[i]);
    }
}

static bool i8257_new(IsaBus *bus, int base, int page_base, int dshift, GError **error)
{
    Device *dev = device_new(device_type_by_name("i8257"));

    object_set_int(&dev->object, "base", base);
    object_set_int(&dev->object, "page-base", page_base);
    object_set_int(&dev->object, "pageh-base", -1);
    object_set_int(&dev->object, "dshift", dshift);
    if (!device_realize(dev, (Bus *)bus, error)) {
        object_unref(dev);
        return false;
    }
    return true;
}

bool i8257_pair_new(IsaBus *bus, GError **error)
{
    return i8257_new(bus, 0x00, 0x80, 0, error) && i8257_new(bus, 0xc0, 0x88, 1, error);
}

/*
 * Migration notes. Requests are the devices', who raise them again; between two calls of a device all that has happened
 * is in now[COUNT]. Terminal counts that the guest has not read are in a subsection that stock does not have, since its
 * guests never miss them: those who look at all look at the device.
 */
static bool status_needed(const void *opaque)
{
    return ((const I8257 *)opaque)->status & 0x0f;
}

static bool i8257_pre_load(void *opaque, GError **error)
{
    ((I8257 *)opaque)->status &= 0xf0;
    return true;
}

static bool is_bool(const void *opaque, int64_t value)
{
    return value == 0 || value == 1;
}

static bool is_current(const void *opaque, int64_t value)
{
    return value >= -0x20000 && value <= 0x20000;
}

static const VmState vmstate_channel = {
    .name = "dma_regs",
    .version = 1,
    .minimum_version = 1,
    .fields =
        (const VmField[]){
            { .name = "now",
              .offset = VM_CHECKED_ARRAY_OFFSET(DmaChannel, now, int32_t, 2),
              .size = 4,
              .num = 2,
              .shape = VM_ARRAY,
              .kind = &vm_kind_i32,
              .valid = is_current },
            VM_U16_ARRAY(DmaChannel, base, 2),
            VM_U8(DmaChannel, mode),
            VM_U8(DmaChannel, page),
            VM_U8(DmaChannel, pageh),
            VM_U8(DmaChannel, dack),
            VM_U8(DmaChannel, eop),
            VM_END,
        },
};

/* A transfer that is further than its end, or before its begin, is none. */
static bool i8257_post_load(void *opaque, int version, GError **error)
{
    I8257 *s = opaque;
    int32_t dshift = s->dshift;

    s->dshift = controllers[1] == s;
    if (dshift != s->dshift) {
        return error_set(error, "dshift is %d here and %d in the stream", s->dshift, dshift);
    }
    for (unsigned n = 0; n < CHANNELS; n++) {
        const DmaChannel *c = &s->regs[n];

        if (c->now[COUNT] < 0 || (unsigned)c->now[COUNT] > channel_total(s, c)) {
            return error_set(error, "channel %u: %d bytes of %u are done", n, c->now[COUNT],
                             channel_total(s, c));
        }
    }
    return true;
}

static const VmState vmstate_status = {
    .name = "dma/status",
    .version = 1,
    .minimum_version = 1,
    .needed = status_needed,
    .fields = (const VmField[]){ VM_U8(I8257, status), VM_END },
};

static const VmState vmstate_i8257 = {
    .name = "dma",
    .version = 1,
    .minimum_version = 1,
    .pre_load = i8257_pre_load,
    .post_load = i8257_post_load,
    .fields =
        (const VmField[]){
            VM_U8(I8257, command),
            VM_U8(I8257, mask),
            { .name = "flip_flop",
              .offset = VM_CHECKED_OFFSET(I8257, flip_flop, uint8_t),
              .size = 1,
              .kind = &vm_kind_u8,
              .valid = is_bool },
            VM_I32(I8257, dshift),
            VM_STRUCT_ARRAY(I8257, regs, CHANNELS, vmstate_channel, DmaChannel),
            VM_END,
        },
    .subsections = (const VmState *const[]){ &vmstate_status, NULL },
};

static const DeviceType i8257_type = {
    .object = {
        .name = "i8257",
        .parent = &isa_device_type.object,
        .size = sizeof(I8257),
        .properties = (const Property[]){
            PROPERTY_INT32("base", I8257, base, "0", NULL),
            PROPERTY_INT32("page-base", I8257, page_base, "128", NULL),
            PROPERTY_INT32("pageh-base", I8257, pageh_base, "1152", NULL),
            PROPERTY_INT32("dshift", I8257, dshift, "0", NULL),
            {},
        },
    },
    .not_user_creatable = true,
    .realize = i8257_realize,
    .unrealize = i8257_unrealize,
    .reset = i8257_reset,
    .migration = MIGRATES_WITH(vmstate_i8257),
};
DEVICE_REGISTER(i8257_type);
