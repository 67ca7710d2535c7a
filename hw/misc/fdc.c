/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * isa-fdc: an 82078 floppy controller (Intel data sheet, order number 290474) at 3F1h–3F5h and 3F7h, with two
 * drives. This file has the registers and the device; commands are in fdc-commands.c, data in fdc-transfer.c.
 *
 * Interrupts and DMA requests do not depend on the gate bit of the digital output register: SPECIFY's ND bit is kept
 * there, as stock does.
 */
#include "util/osdep.h"
#include "fdc-private.h"

#include "hw/core/bootorder.h"
#include "util/error.h"
#include "util/trace.h"

TRACE_EVENT(fdc_ioport_read)
TRACE_EVENT(fdc_ioport_write)

enum { REG_SRA = 0, REG_SRB = 1, REG_DOR = 2, REG_TDR = 3, REG_MSR = 4, REG_FIFO = 5, REG_DIR = 7 };

enum {
    SRA_INTERRUPT = 0x80,
    SRA_NO_DRIVE_2 = 0x40,
    DOR_NOT_RESET = 0x04,
    DSR_RESET = 0x80,
    DSR_POWERDOWN = 0x40,
    DIR_CHANGED = 0x80,
};

#define PORTS 5 /* 3F1h … 3F5h: 3F6h is the IDE channel's */
#define FIRST_REG 1
#define CONFIG_DEFAULT 0x60
#define DOR_DEFAULT 0x0c
/* In the stream only, a bit that stock keeps and does not look at: the sector that begins now is in fifo. */
#define STATE_IN_FIFO 0x40
#define NO_RATE 0xff /* while a stream is read */

/* ---- interrupt, DMA request --------------------------------------------------------------------------------- */

void fdc_raise_irq(Fdc *s)
{
    s->sra |= SRA_INTERRUPT;
    s->reset_sensei = 0;
    irq_set(s->irq, 1);
}

void fdc_lower_irq(Fdc *s)
{
    s->sra &= ~SRA_INTERRUPT;
    irq_set(s->irq, 0);
}

void fdc_set_dreq(Fdc *s, bool up)
{
    if (s->dreq != up) {
        s->dreq = up;
        isa_dma_request(isa_device_bus(&s->isa.device), s->dma_channel, up);
    }
}

/* ---- phases ---------------------------------------------------------------------------------------------------- */

void fdc_idle(Fdc *s)
{
    s->phase = FDC_COMMAND;
    s->data_dir = FDC_WRITE;
    s->data_pos = 0;
    s->data_len = 1;
    s->msr = MSR_RQM;
}

void fdc_result(Fdc *s, unsigned n)
{
    s->phase = FDC_RESULT;
    s->data_dir = FDC_READ;
    s->data_pos = 0;
    s->data_len = n;
    s->msr = MSR_BUSY | MSR_RQM | MSR_DIO;
}

static void result_timer(void *opaque)
{
    Fdc *s = opaque;
    FdcPlace *p = fdc_selected(s);

    if (floppy_has_medium(p) && p->media_rate != (s->dsr & 3)) {
        fdc_stop_transfer(s, ST0_ABNORMAL, ST1_MISSING_ADDRESS, 0);
        return;
    }
    if (p->last_sect) { /* another sector each time */
        p->sect = p->sect % p->last_sect + 1;
    }
    fdc_stop_transfer(s, 0, 0, 0);
}

void fdc_reset(Fdc *s, bool interrupt)
{
    fdc_cancel(s);
    fdc_lower_irq(s);
    s->sra = s->places[1].drive ? 0 : SRA_NO_DRIVE_2;
    s->srb = 0xc0;
    s->dor |= DOR_NOT_RESET;
    s->status0 = s->status1 = s->status2 = 0;
    s->data_state = 0;
    if (!s->lock) {
        s->config = CONFIG_DEFAULT;
        s->precomp_trk = 0;
    }
    for (unsigned n = 0; n < FDC_DRIVES; n++) {
        s->places[n].track = s->places[n].head = 0;
        s->places[n].sect = s->places[n].drive ? 1 : 0;
    }
    fdc_idle(s);
    if (interrupt) {
        fdc_raise_irq(s);
        s->status0 = ST0_POLLING;
        s->reset_sensei = FDC_SENSES_AFTER_RESET;
    }
}

/* ---- registers ---------------------------------------------------------------------------------------------------- */

static uint8_t fifo_read(Fdc *s)
{
    uint8_t value;

    if (s->phase == FDC_EXECUTION) {
        return fdc_pio_read(s);
    }
    if (s->phase != FDC_RESULT) {
        return 0;
    }
    value = s->fifo[s->data_pos++];
    fdc_lower_irq(s);
    if (s->data_pos >= s->data_len) {
        fdc_idle(s);
    }
    return value;
}

static void fifo_write(Fdc *s, uint8_t value)
{
    if (!(s->dor & DOR_NOT_RESET) || timer_pending(&s->result_timer)) {
        return;
    }
    if (s->phase == FDC_EXECUTION) {
        fdc_pio_write(s, value);
        return;
    }
    if (s->phase == FDC_RESULT) {
        return;
    }
    if (s->data_pos == 0) {
        s->data_len = fdc_parameters(value) + 1;
        s->command = value;
        s->msr = MSR_RQM | MSR_BUSY;
    }
    s->fifo[s->data_pos++] = value;
    if (s->fifo[0] == 0x8e && s->data_pos > 1 && value & 0x80) {
        s->data_len = s->data_pos; /* DRIVE SPECIFICATION COMMAND: that was the last byte */
    }
    if (s->data_pos >= s->data_len) {
        fdc_execute(s);
    }
}

static void dor_write(Fdc *s, uint8_t value)
{
    bool was_reset = !(s->dor & DOR_NOT_RESET);

    s->srb = 0xc0 | (value & 1 ? 0x20 : 0) | (value & 0x20 ? 2 : 0);
    if (!(value & DOR_NOT_RESET)) {
        if (!was_reset) {
            fdc_reset(s, false);
        }
        s->dor = value;
        s->msr = 0;
        return;
    }
    s->dor = value;
    if (was_reset) {
        fdc_reset(s, true);
        s->dor = value;
    }
}

static void dsr_write(Fdc *s, uint8_t value)
{
    if (value & DSR_RESET) { /* clears itself */
        fdc_reset(s, true);
    }
    s->dsr = value & ~DSR_RESET;
}

static uint8_t register_read(Fdc *s, unsigned reg)
{
    switch (reg) {
    case REG_SRA:
        return s->sra;
    case REG_SRB:
        return s->srb;
    case REG_DOR:
        return s->dor;
    case REG_TDR:
        return s->tdr;
    case REG_MSR:
        s->dsr &= ~DSR_POWERDOWN;
        return s->dor & DOR_NOT_RESET ? s->msr : 0;
    case REG_FIFO:
        return fifo_read(s);
    case REG_DIR:
        return fdc_selected(s)->media_changed ? DIR_CHANGED : 0;
    default:
        return 0xff;
    }
}

static void register_write(Fdc *s, unsigned reg, uint8_t value)
{
    switch (reg) {
    case REG_DOR:
        dor_write(s, value);
        break;
    case REG_TDR:
        s->tdr = value & 3;
        break;
    case REG_MSR:
        dsr_write(s, value);
        break;
    case REG_FIFO:
        fifo_write(s, value);
        break;
    case REG_DIR: /* configuration control: the data rate */
        s->dsr = (s->dsr & ~3) | (value & 3);
        break;
    }
}

static uint64_t ports_read(void *opaque, hwaddr offset, unsigned size)
{
    uint8_t value = register_read(opaque, offset + FIRST_REG);

    trace(fdc_ioport_read, "read reg 0x%02x val 0x%02x", (unsigned)offset + FIRST_REG, value);
    return value;
}

static void ports_write(void *opaque, hwaddr offset, uint64_t value, unsigned size)
{
    trace(fdc_ioport_write, "write reg 0x%02x val 0x%02x", (unsigned)offset + FIRST_REG,
          (unsigned)value);
    register_write(opaque, offset + FIRST_REG, value);
}

static const MemoryOps ports_ops = {
    .read = ports_read,
    .write = ports_write,
    .impl = { .min_size = 1, .max_size = 1 },
};

static uint64_t dir_read(void *opaque, hwaddr offset, unsigned size)
{
    return register_read(opaque, REG_DIR);
}

static void dir_write(void *opaque, hwaddr offset, uint64_t value, unsigned size)
{
    register_write(opaque, REG_DIR, value);
}

static const MemoryOps dir_ops = {
    .read = dir_read,
    .write = dir_write,
    .impl = { .min_size = 1, .max_size = 1 },
};

/* ---- reset, realize -------------------------------------------------------------------------------------------------- */

static void fdc_device_reset(Device *dev)
{
    Fdc *s = (Fdc *)dev;

    fdc_cancel(s);
    fdc_settle(s);
    s->lock = 0;
    s->tdr = s->dsr = 0;
    s->dor = DOR_DEFAULT;
    s->timer0 = s->timer1 = s->pwrd = s->eot = 0;
    s->reset_sensei = 0;
    for (unsigned n = 0; n < FDC_DRIVES; n++) {
        s->places[n].media_changed = 1;
        s->places[n].perpendicular = 0;
        floppy_revalidate(&s->places[n]);
    }
    memset(s->fifo, 0, sizeof(s->fifo));
    fdc_reset(s, false);
    s->dor = DOR_DEFAULT;
}

static bool fdc_realize(Device *dev, GError **error)
{
    Fdc *s = (Fdc *)dev;
    IsaBus *isa = isa_device_bus(dev);
    Object *owner = &dev->object;

    if (s->irq_line >= ISA_NUM_IRQS || s->iobase > 0xfff0) {
        return error_set(error, "isa-fdc: irq must be below 16, iobase at most 0xfff0");
    }
    if (!isa_dma_claim(isa, s->dma_channel, fdc_dma_transfer, s, error)) {
        return false;
    }
    s->irq = isa_bus_irq(isa, s->irq_line);
    s->num_floppies = FDC_DRIVES;
    s->isa.first_port = s->iobase;
    s->ports = memory_region_new_io(owner, &ports_ops, s, "fdc", PORTS);
    s->dir_port = memory_region_new_io(owner, &dir_ops, s, "fdc", 1);
    isa_map_ports(dev, s->iobase + FIRST_REG, s->ports);
    isa_map_ports(dev, s->iobase + REG_DIR, s->dir_port);
    timer_init(&s->result_timer, CLOCK_VIRTUAL, result_timer, s);
    s->bus = bus_new(&floppy_bus_type, dev, NULL);
    ((FloppyBus *)s->bus)->fdc = s;
    fdc_transfer_init(s);
    fdc_device_reset(dev);
    return true;
}

static void fdc_unrealize(Device *dev)
{
    Fdc *s = (Fdc *)dev;

    fdc_cancel(s);
    fdc_settle(s);
    fdc_transfer_end(s);
    timer_del(&s->result_timer);
    isa_dma_release(isa_device_bus(dev), s->dma_channel);
    memory_region_free(s->ports);
    memory_region_free(s->dir_port);
}

FloppyType fdc_drive_type(Device *fdc, unsigned n)
{
    const FdcPlace *p = &((Fdc *)fdc)->places[n];

    return p->drive ? p->type : FLOPPY_NONE;
}

static bool attach(Fdc *s, unsigned unit, BlockDrive *wanted, GError **error)
{
    FloppyDrive *drive = FLOPPY_DRIVE(device_new(device_type_by_name("floppy")));

    drive->unit = unit;
    drive->type = s->type[unit];
    drive->conf.front = front_ref(wanted->front);
    wanted->claimed = true;
    if (!device_realize(&drive->device, s->bus, error)) {
        object_unref(drive);
        return false;
    }
    return true;
}

bool fdc_attach_drives(Device *fdc, GError **error)
{
    for (unsigned unit = 0; unit < FDC_DRIVES; unit++) {
        BlockDrive *wanted = block_drive_find(BLOCK_IF_FLOPPY, 0, unit);

        if (wanted && !attach((Fdc *)fdc, unit, wanted, error)) {
            return false;
        }
    }
    return true;
}

/*
 * ---- migration notes ----
 *
 * In flight: block I/O of a sector is waited for (fdc-transfer.c), so a transfer stands still between two bytes of
 * the guest. Its position is in the section: data_pos, data_len, the drive's track, head and sector. Writing: the
 * bytes of the sector that have come are in fifo. Reading: the sector is read again at arrival, and goes on behind
 * what the guest has had; nobody else can have changed it (byte by byte the rest is in fifo). The DMA request is raised
 * anew. READ ID waits for its
 * timer (fdc/result_timer). The phase follows from the main status register, as in stock. FORMAT is finished first.
 * The interrupt's level is bit 7 of sra.
 *
 * Checked: position and lengths against fifo and the medium.
 */

static bool valid_fifo_place(const void *opaque, int64_t value)
{
    return value <= 255 * 2 * FDC_SECTOR;
}

static bool valid_direction(const void *opaque, int64_t value)
{
    return value <= FDC_VERIFY;
}

static bool valid_sensei(const void *opaque, int64_t value)
{
    return value >= 0 && value <= FDC_SENSES_AFTER_RESET;
}

static bool valid_bit(const void *opaque, int64_t value)
{
    return value <= 1;
}

static bool media_changed_needed(const void *opaque)
{
    return ((const FdcPlace *)opaque)->media_changed != 1;
}

/* Always: so it was in the first program that had it. */
static bool media_rate_needed(const void *opaque)
{
    return true;
}

static bool perpendicular_needed(const void *opaque)
{
    return ((const FdcPlace *)opaque)->perpendicular != 0;
}

#define PLACE_SUBSECTION(variable, member_, needed_)                     \
    static const VmState variable = {                                    \
        .name = "fdrive/" #member_,                                      \
        .version = 1,                                                    \
        .minimum_version = 1,                                            \
        .needed = needed_,                                               \
        .fields = (const VmField[]){ VM_U8(FdcPlace, member_), VM_END }, \
    }
PLACE_SUBSECTION(vmstate_media_changed, media_changed, media_changed_needed);
PLACE_SUBSECTION(vmstate_media_rate, media_rate, media_rate_needed);
PLACE_SUBSECTION(vmstate_perpendicular, perpendicular, perpendicular_needed);

static bool place_pre_load(void *opaque, GError **error)
{
    FdcPlace *p = opaque;

    p->media_changed = 1;
    p->perpendicular = 0;
    p->media_rate = NO_RATE;
    return true;
}

static bool place_post_load(void *opaque, int version, GError **error)
{
    return ((FdcPlace *)opaque)->media_rate != NO_RATE ||
           error_set(error, "the medium's data rate is missing");
}

static const VmState vmstate_place = {
    .name = "fdrive",
    .version = 1,
    .minimum_version = 1,
    .pre_load = place_pre_load,
    .post_load = place_post_load,
    .fields = (const VmField[]){ VM_U8(FdcPlace, head), VM_U8(FdcPlace, track),
                                 VM_U8(FdcPlace, sect), VM_END },
    .subsections = (const VmState *const[]){ &vmstate_media_changed, &vmstate_media_rate,
                                             &vmstate_perpendicular, NULL },
};

static bool sensei_needed(const void *opaque)
{
    return ((const Fdc *)opaque)->reset_sensei != 0;
}

static const VmState vmstate_sensei = {
    .name = "fdc/reset_sensei",
    .version = 1,
    .minimum_version = 1,
    .needed = sensei_needed,
    .fields = (const VmField[]){ { .name = "reset_sensei",
                                   .offset = offsetof(Fdc, reset_sensei),
                                   .size = 4,
                                   .kind = &vm_kind_i32,
                                   .valid = valid_sensei },
                                 VM_END },
};

static bool timer_needed(const void *opaque)
{
    return timer_pending(&((const Fdc *)opaque)->result_timer);
}

static const VmState vmstate_timer = {
    .name = "fdc/result_timer",
    .version = 1,
    .minimum_version = 1,
    .needed = timer_needed,
    .fields = (const VmField[]){ VM_TIMER(Fdc, result_timer), VM_END },
};

static bool at_sector_in_fifo(const Fdc *s)
{
    return s->phase == FDC_EXECUTION && s->msr & MSR_NON_DMA && s->data_dir == FDC_READ &&
           s->data_pos % FDC_SECTOR == 0 && s->sector_ready;
}

static bool fdc_pre_save(void *opaque, GError **error)
{
    Fdc *s = opaque;

    s->saved_state = s->data_state | (at_sector_in_fifo(s) ? STATE_IN_FIFO : 0);
    return !s->request || error_set(error, "a sector is on its way");
}

static bool fdc_pre_load(void *opaque, GError **error)
{
    Fdc *s = opaque;

    fdc_cancel(s);
    s->reset_sensei = 0;
    return true;
}

/* The phase by the main status register. */
static bool phase_from_status(Fdc *s)
{
    if (!(s->msr & MSR_BUSY)) {
        s->phase = FDC_COMMAND;
        return s->data_pos == 0 && s->data_len == 1;
    }
    if (timer_pending(&s->result_timer)) {
        s->phase = FDC_COMMAND;
        return s->data_pos <= FDC_SECTOR;
    }
    if (!(s->msr & MSR_RQM) || s->msr & MSR_NON_DMA) {
        s->phase = FDC_EXECUTION;
        /* Byte by byte, the rest of the sector is in fifo; at its begin stock's is not. */
        s->sector_ready =
            s->msr & MSR_NON_DMA && (s->data_dir == FDC_WRITE || s->data_pos % FDC_SECTOR ||
                                     s->saved_state & STATE_IN_FIFO);
        /* The sector itself may have gone: see start_io(). */
        return s->data_dir != FDC_FORMAT && s->data_pos < s->data_len;
    }
    s->phase = s->msr & MSR_DIO ? FDC_RESULT : FDC_COMMAND;
    s->command = s->fifo[0];
    return s->data_pos < s->data_len && s->data_len <= 18;
}

static bool fdc_post_load(void *opaque, int version, GError **error)
{
    Fdc *s = opaque;

    for (unsigned n = 0; n < FDC_DRIVES; n++) {
        uint8_t rate = s->places[n].media_rate;

        floppy_revalidate(&s->places[n]);
        s->places[n].media_rate = rate;
    }
    s->data_state = s->saved_state & ~STATE_IN_FIFO;
    if (!phase_from_status(s) || (s->saved_state & STATE_IN_FIFO && !at_sector_in_fifo(s))) {
        return error_set(error, "isa-fdc: impossible position of a command");
    }
    irq_set(s->irq, s->sra & SRA_INTERRUPT ? 1 : 0);
    return true;
}

#define CHECKED_U8(member_, valid_)                                                         \
    {                                                                                       \
        .name = #member_, .offset = offsetof(Fdc, member_), .size = 1, .kind = &vm_kind_u8, \
        .valid = valid_                                                                     \
    }
#define CHECKED_U32(member_, valid_)                                                         \
    {                                                                                        \
        .name = #member_, .offset = offsetof(Fdc, member_), .size = 4, .kind = &vm_kind_u32, \
        .valid = valid_                                                                      \
    }

static const VmState vmstate_state = {
    .name = "fdc",
    .version = 2,
    .minimum_version = 2,
    .pre_save = fdc_pre_save,
    .pre_load = fdc_pre_load,
    .post_load = fdc_post_load,
    .fields = (const VmField[]){ VM_U8(Fdc, sra),
                                 VM_U8(Fdc, srb),
                                 VM_NAMED("dor_vmstate", u8, uint8_t, Fdc, dor),
                                 VM_U8(Fdc, tdr),
                                 VM_U8(Fdc, dsr),
                                 VM_U8(Fdc, msr),
                                 VM_U8(Fdc, status0),
                                 VM_U8(Fdc, status1),
                                 VM_U8(Fdc, status2),
                                 VM_U8_ARRAY(Fdc, fifo, FDC_SECTOR),
                                 CHECKED_U32(data_pos, valid_fifo_place),
                                 CHECKED_U32(data_len, valid_fifo_place),
                                 VM_NAMED("data_state", u8, uint8_t, Fdc, saved_state),
                                 CHECKED_U8(data_dir, valid_direction),
                                 VM_U8(Fdc, eot),
                                 VM_U8(Fdc, timer0),
                                 VM_U8(Fdc, timer1),
                                 VM_U8(Fdc, precomp_trk),
                                 VM_U8(Fdc, config),
                                 CHECKED_U8(lock, valid_bit),
                                 VM_U8(Fdc, pwrd),
                                 VM_NAMED("num_floppies", equal_u8, uint8_t, Fdc, num_floppies),
                                 VM_NAMED_STRUCT_ARRAY("drives", Fdc, places, FDC_DRIVES,
                                                       vmstate_place, FdcPlace),
                                 VM_END },
    .subsections = (const VmState *const[]){ &vmstate_sensei, &vmstate_timer, NULL },
};

static const VmState vmstate_fdc = {
    .name = "fdc",
    .version = 2,
    .minimum_version = 2,
    .fields =
        (const VmField[]){
            { .name = "state", .offset = 0, .size = sizeof(Fdc), .vmstate = &vmstate_state },
            VM_END },
};

/* ---- properties, registration -------------------------------------------------------------------------------------- */

static void fdc_init(Object *obj)
{
    Fdc *s = (Fdc *)obj;

    s->bootindex[0] = s->bootindex[1] = -1;
}

static const DeviceType fdc_type = {
    .object = {
        .name = "isa-fdc",
        .parent = &isa_device_type.object,
        .size = sizeof(Fdc),
        .description = "virtual floppy controller",
        .init = fdc_init,
        .properties = (const Property[]){
            PROPERTY_UINT32("iobase", Fdc, iobase, "1008", NULL),
            PROPERTY_UINT32("irq", Fdc, irq_line, "6", NULL),
            PROPERTY_UINT32("dma", Fdc, dma_channel, "2", NULL),
            PROPERTY_ENUM("fdtypeA", Fdc, type[0], floppy_types, "auto", "FDC drive type, 144/288/120/none/auto"),
            PROPERTY_ENUM("fdtypeB", Fdc, type[1], floppy_types, "auto", "FDC drive type, 144/288/120/none/auto"),
            PROPERTY_ENUM("fallback", Fdc, fallback, floppy_types, "288", "FDC drive type, 144/288/120/none/auto"),
            PROPERTY("bootindexA", property_bootindex, Fdc, bootindex[0], .arg = "/floppy@0"),
            PROPERTY("bootindexB", property_bootindex, Fdc, bootindex[1], .arg = "/floppy@1"),
            {}
        },
    },
    .category = DEVICE_CATEGORY_STORAGE,
    .firmware_name = "fdc",
    .realize = fdc_realize,
    .unrealize = fdc_unrealize,
    .reset = fdc_device_reset,
    .migration = MIGRATES_WITH(vmstate_fdc),
};
DEVICE_REGISTER(fdc_type);
