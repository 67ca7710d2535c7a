/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The task file of a channel (ATA8-APT chapters 8 and 9; ATA8-ACS 6 and 7.12 for signatures): what the
 * host reads and writes, the data register, interrupts, resets.
 *
 * A write to the command block reaches both units, except a command, which is for the selected one.
 * While the selected unit has BSY or DRQ set, nothing but the data register, a DEVICE RESET of a CD drive
 * and a software reset is heard. Where there is no drive, status reads 0.
 */
#include "util/osdep.h"
#include "ide-private.h"

#include "util/bytes.h"
#include "util/log.h"
#include "util/trace.h"

TRACE_EVENT(ide_ioport_read)
TRACE_EVENT(ide_ioport_write)
TRACE_EVENT(ide_status_read)
TRACE_EVENT(ide_ctrl_write)
TRACE_EVENT(ide_data_readw)
TRACE_EVENT(ide_data_writew)
TRACE_EVENT(ide_data_readl)
TRACE_EVENT(ide_data_writel)
TRACE_EVENT(ide_exec_cmd)
TRACE_EVENT(ide_reset)

#define COMMAND_DEVICE_RESET 0x08

static const char *const register_names[2][8] = {
    { "Data", "Error", "Sector Count", "Sector Number", "Cylinder Low", "Cylinder High",
      "Device/Head", "Status" },
    { "Data", "Features", "Sector Count", "Sector Number", "Cylinder Low", "Cylinder High",
      "Device/Head", "Command" },
};

/* ---- interrupts --------------------------------------------------------------------------------- */

static void update_line(IdeBus *bus)
{
    irq_set(bus->irq, bus->intrq && !(bus->control & IDE_CONTROL_NIEN));
}

void ide_set_intrq(IdeBus *bus, bool on)
{
    bus->intrq = on;
    update_line(bus);
    if (on && bus->dma) {
        bus->dma->irq_raised(bus->dma_opaque);
    }
}

/* ---- the ends of a command ------------------------------------------------------------------------ */

void ide_done(IdeUnit *u)
{
    u->phase = IDE_IDLE;
    u->next = IDE_NEXT_NONE;
    u->job = IDE_JOB_NONE;
    u->cur_offset = u->cur_len = 0;
    u->status &= ~(IDE_BSY | IDE_DRQ);
    ide_set_intrq(u->bus, true);
}

void ide_abort(IdeUnit *u)
{
    u->status = IDE_DRDY | IDE_ERR;
    u->error = IDE_ERROR_ABRT;
    ide_done(u);
}

void ide_pio(IdeUnit *u, IdePhase phase, int32_t offset, int32_t len, IdeNext next)
{
    u->phase = phase;
    u->job = IDE_JOB_NONE;
    u->next = next;
    u->cur_offset = offset;
    u->cur_len = len;
    u->status = IDE_READY | IDE_DRQ;
}

/* ---- the data register ----------------------------------------------------------------------------- */

/* The last byte of a block has passed. */
static void block_over(IdeUnit *u)
{
    IdeNext next = u->next;

    u->phase = IDE_IDLE;
    u->status &= ~IDE_DRQ;
    switch (next) {
    case IDE_NEXT_READ:
        ata_pio_read_next(u);
        break;
    case IDE_NEXT_WRITE:
        ata_pio_write_block(u);
        break;
    case IDE_NEXT_ATAPI_REPLY:
        atapi_reply_next(u);
        break;
    case IDE_NEXT_ATAPI_PACKET:
        atapi_packet(u);
        break;
    default:
        u->next = IDE_NEXT_NONE;
    }
}

uint8_t *ide_data_block(IdeUnit *u, uint32_t *len)
{
    *len = u->cur_len;
    return u->buffer + u->cur_offset;
}

void ide_data_block_moved(IdeUnit *u)
{
    u->cur_offset += u->cur_len;
    u->cur_len = 0;
    block_over(u);
}

static uint32_t data_read(IdeUnit *u, unsigned size)
{
    uint8_t bytes[4] = { 0 };
    int32_t n = MIN((int32_t)size, u->cur_len);

    if (u->phase != IDE_PIO_IN) {
        return 0;
    }
    memcpy(bytes, u->buffer + u->cur_offset, n);
    u->cur_offset += n;
    u->cur_len -= n;
    if (!u->cur_len) {
        block_over(u);
    }
    return load_le32(bytes);
}

static void data_write(IdeUnit *u, uint32_t value, unsigned size)
{
    uint8_t bytes[4];
    int32_t n = MIN((int32_t)size, u->cur_len);

    if (u->phase != IDE_PIO_OUT) {
        return;
    }
    store_le32(bytes, value);
    memcpy(u->buffer + u->cur_offset, bytes, n);
    u->cur_offset += n;
    u->cur_len -= n;
    if (!u->cur_len) {
        block_over(u);
    }
}

/* ---- resets ------------------------------------------------------------------------------------------ */

void ide_put_signature(IdeUnit *u)
{
    bool cd = u->drive && u->drive->cd;

    u->select &= ~(IDE_DEVICE_HEAD | IDE_DEVICE_LBA);
    u->nsector = 1;
    u->sector = 1;
    u->lcyl = !u->drive ? 0xff : cd ? 0x14 : 0;
    u->hcyl = !u->drive ? 0xff : cd ? 0xeb : 0;
}

/* What every reset brings about. The task file of a reset CD drive shows no readiness (SFF-8020i 5.17). */
static void reset_task_file(IdeUnit *u)
{
    trace(ide_reset, "IDEstate %p", (void *)u);
    u->select = IDE_DEVICE_OBSOLETE;
    u->feature = 0;
    u->lba48 = 0;
    u->hob_feature = u->hob_nsector = u->hob_sector = u->hob_lcyl = u->hob_hcyl = 0;
    ide_put_signature(u);
    u->status = u->drive && u->drive->cd ? 0 : IDE_READY;
    atapi_reset(u);
}

void ide_cancel(IdeUnit *u)
{
    if (u->request) {
        ide_orphan(u->request);
    }
    if (u->phase == IDE_DMA) {
        u->bus->dma->finished(u->bus->dma_opaque, false);
    }
    u->phase = IDE_IDLE;
    u->next = IDE_NEXT_NONE;
    u->job = IDE_JOB_NONE;
    u->cur_offset = u->cur_len = 0;
    u->packet_transfer_size = u->elementary_transfer_size = 0;
    u->cd_sector_size = 0;
    u->cd_buffered = 0;
    u->dma_stopped = false;
}

void ide_unit_reset(IdeUnit *u)
{
    ide_cancel(u);
    u->mult_sectors = IDE_MAX_MULTIPLE;
    u->identify_set = 0;
    u->error = 0;
    u->tray_open = u->tray_locked = false;
    u->event_new_media = u->event_eject_request = false;
    u->cdrom_changed = 0;
    reset_task_file(u);
    ata_smart_reset(u);
    if (u->drive && u->drive->conf.front) {
        front_set_write_cache(u->drive->conf.front, u->drive->write_cache_default);
    }
}

/* SRST was set: both units, and unit 0 is selected. What is in flight keeps BSY until it is over. */
static void software_reset(IdeBus *bus)
{
    for (unsigned n = 0; n < IDE_UNITS; n++) {
        IdeUnit *u = &bus->units[n];

        ide_cancel(u);
        reset_task_file(u);
        u->error = 1;
        u->tray_locked = false;
        u->reset_pending = u->orphans > 0;
    }
    bus->unit = 0;
    ide_set_intrq(bus, false);
}

/* DEVICE RESET (ATA8-ACS 7.6): a CD drive alone, in whatever state; no interrupt. */
static void device_reset_command(IdeUnit *u)
{
    uint8_t select = u->select;

    ide_cancel(u);
    reset_task_file(u);
    u->select = IDE_DEVICE_OBSOLETE | (select & IDE_DEVICE_UNIT);
    u->error = 1;
    u->reset_pending = u->orphans > 0;
}

void ide_reset_finish(IdeUnit *u)
{
    u->reset_pending = false;
    if (u->bus->dma && u->bus->dma->ready) {
        u->bus->dma->ready(u->bus->dma_opaque);
    }
}

void ide_bus_hard_reset(IdeBus *bus)
{
    for (unsigned n = 0; n < IDE_UNITS; n++) {
        ide_cancel(&bus->units[n]);
    }
    ide_settle(bus);
    for (unsigned n = 0; n < IDE_UNITS; n++) {
        ide_unit_reset(&bus->units[n]);
    }
    bus->unit = 0;
    bus->control = 0;
    bus->inert_error = 0;
    ide_set_intrq(bus, false);
    if (bus->dma) {
        bus->dma->reset(bus->dma_opaque);
    }
}

/* ---- reading ------------------------------------------------------------------------------------------- */

static uint8_t status_of(const IdeUnit *u)
{
    if (!u->drive) {
        return 0;
    }
    return u->bus->control & IDE_CONTROL_SRST || u->reset_pending ? IDE_BSY : u->status;
}

uint8_t ide_alternate_status(IdeBus *bus)
{
    uint8_t value = status_of(ide_selected(bus));

    trace(ide_status_read, "IDE PIO rd (Alt Status); val 0x%02x; bus %p; IDEState %p", value,
          (void *)bus, (void *)ide_selected(bus));
    return value;
}

static uint8_t register_read(IdeBus *bus, unsigned offset)
{
    const IdeUnit *u = ide_selected(bus);
    bool hob = bus->control & IDE_CONTROL_HOB;

    switch (offset) {
    case IDE_REG_ERROR:
        return !u->drive ? 0 : hob ? u->hob_feature : u->error;
    case IDE_REG_COUNT:
        return hob ? u->hob_nsector : u->nsector;
    case IDE_REG_LBA_LOW:
        return hob ? u->hob_sector : u->sector;
    case IDE_REG_LBA_MID:
        return hob ? u->hob_lcyl : u->lcyl;
    case IDE_REG_LBA_HIGH:
        return hob ? u->hob_hcyl : u->hcyl;
    case IDE_REG_DEVICE:
        return u->select;
    default:
        ide_set_intrq(bus, false);
        return status_of(u);
    }
}

uint32_t ide_read(IdeBus *bus, unsigned offset, unsigned size)
{
    IdeUnit *u = ide_selected(bus);
    uint32_t value = 0;

    if (offset == IDE_REG_DATA) {
        value = data_read(u, size);
        if (size == 4) {
            trace(ide_data_readl, "IDE PIO rd (Data: Long); val 0x%08x; bus %p; IDEState %p", value,
                  (void *)bus, (void *)u);
        } else {
            trace(ide_data_readw, "IDE PIO rd (Data: Word); val 0x%04x; bus %p; IDEState %p", value,
                  (void *)bus, (void *)u);
        }
        return value;
    }
    for (unsigned i = 0; i < size; i++) {
        uint8_t byte = offset + i <= IDE_REG_STATUS ? register_read(bus, offset + i) : 0xff;

        value |= (uint32_t)byte << (8 * i);
    }
    trace(ide_ioport_read, "IDE PIO rd (%s); val 0x%02x; bus %p IDEState %p",
          register_names[0][offset], value, (void *)bus, (void *)u);
    return value;
}

/* ---- writing --------------------------------------------------------------------------------------------- */

/* A transfer of the other unit that has the channel (I2). */
static bool other_unit_busy(const IdeBus *bus)
{
    const IdeUnit *other = &bus->units[!bus->unit];

    return other->request || other->orphans || other->phase >= IDE_BUSY;
}

static void command_write(IdeBus *bus, uint8_t command)
{
    IdeUnit *u = ide_selected(bus);
    bool resets = command == COMMAND_DEVICE_RESET && u->drive && u->drive->cd;

    trace(ide_exec_cmd, "IDE exec cmd: bus %p; state %p; cmd 0x%02x", (void *)bus, (void *)u,
          command);
    if (!u->drive) {
        return;
    }
    if (resets) {
        device_reset_command(u);
        return;
    }
    if (status_of(u) & (IDE_BSY | IDE_DRQ) || other_unit_busy(bus)) {
        log_guest_error("ide: command 0x%02x while the channel is busy", command);
        return;
    }
    ide_set_intrq(bus, false);
    ata_execute(u, command);
}

static void device_write(IdeBus *bus, uint8_t value)
{
    for (unsigned n = 0; n < IDE_UNITS; n++) {
        bus->units[n].select = value | IDE_DEVICE_OBSOLETE;
    }
    bus->unit = value & IDE_DEVICE_UNIT ? 1 : 0;
}

static void parameter_write(IdeUnit *u, unsigned offset, uint8_t value)
{
    switch (offset) {
    case IDE_REG_ERROR:
        u->hob_feature = u->feature;
        u->feature = value;
        break;
    case IDE_REG_COUNT:
        u->hob_nsector = u->nsector;
        u->nsector = value;
        break;
    case IDE_REG_LBA_LOW:
        u->hob_sector = u->sector;
        u->sector = value;
        break;
    case IDE_REG_LBA_MID:
        u->hob_lcyl = u->lcyl;
        u->lcyl = value;
        break;
    case IDE_REG_LBA_HIGH:
        u->hob_hcyl = u->hcyl;
        u->hcyl = value;
        break;
    }
}

static void register_write(IdeBus *bus, unsigned offset, uint8_t value)
{
    if (offset == IDE_REG_STATUS) {
        command_write(bus, value);
        return;
    }
    if (status_of(ide_selected(bus)) & (IDE_BSY | IDE_DRQ)) {
        return;
    }
    bus->control &= ~IDE_CONTROL_HOB;
    if (offset == IDE_REG_DEVICE) {
        device_write(bus, value);
        return;
    }
    for (unsigned n = 0; n < IDE_UNITS; n++) {
        IdeUnit *u = &bus->units[n];

        /* The count and address of a command under way are its own. */
        if (u == ide_selected(bus) || !(u->status & (IDE_BSY | IDE_DRQ))) {
            parameter_write(u, offset, value);
        }
    }
}

void ide_write(IdeBus *bus, unsigned offset, uint32_t value, unsigned size)
{
    IdeUnit *u = ide_selected(bus);

    if (offset == IDE_REG_DATA) {
        if (size == 4) {
            trace(ide_data_writel, "IDE PIO wr (Data: Long); val 0x%08x; bus %p; IDEState %p",
                  value, (void *)bus, (void *)u);
        } else {
            trace(ide_data_writew, "IDE PIO wr (Data: Word); val 0x%04x; bus %p; IDEState %p",
                  value, (void *)bus, (void *)u);
        }
        data_write(u, value, size);
        return;
    }
    trace(ide_ioport_write, "IDE PIO wr (%s); val 0x%02x; bus %p IDEState %p",
          register_names[1][offset], value, (void *)bus, (void *)u);
    for (unsigned i = 0; i < size && offset + i <= IDE_REG_STATUS; i++) {
        register_write(bus, offset + i, value >> (8 * i));
    }
}

void ide_write_control(IdeBus *bus, uint8_t value)
{
    uint8_t old = bus->control;

    trace(ide_ctrl_write, "IDE PIO wr (Device Control); val 0x%02x; bus %p", value, (void *)bus);
    bus->control = value & IDE_CONTROL_KEPT;
    if (value & ~old & IDE_CONTROL_SRST) {
        software_reset(bus);
    }
    update_line(bus);
}
