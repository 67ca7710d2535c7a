/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Units and channels in a stream: stock's tables, and subsections of our own.
 *
 * ---- migration notes ----
 *
 * Block I/O is waited for at vm_stop() and quiesce (request.c), so a DMA transfer that runs is finished, and
 * what is left is (I3):
 *
 *   phase                      where it is
 *   data for or from the guest ide_drive/pio_state: buffer, position, what follows
 *   waits for the bus master   ide_bus/error: as a command to be done again
 *   STOPPED                    ide_bus/error; PIO with its buffer in pio_state
 *
 * error_status says what is to be done again: 08h DMA, 10h PIO, 20h reading, 40h flush, 80h TRIM; 20h alone is
 * a packet by DMA, whose first 12 bytes of the buffer are the packet. DMA starts again at retry_sector_num; a
 * packet runs again, which is why an answer by DMA takes nothing away before it is in memory.
 *
 * INTRQ is in bit 6 of the device control register, which ATA reserves and a guest cannot set; stock keeps
 * that bit and makes nothing of it. What commands set is in identify_data: geometry, write cache.
 *
 * Subsections of our own, each only if there is something in it:
 *   ide_drive/atapi_read   a READ by PIO with more to come: where it goes on. Stock does not say and would read
 *                          on elsewhere: it refuses the subsection by name. One that comes from stock without
 *                          it ends with ABORTED COMMAND.
 *   ide_drive/smart        SMART as commands have set it
 *
 * Checked: every position against the buffer, that what is under way fits the drive, that nothing is under way
 * without what it needs.
 */
#include "util/osdep.h"
#include "ide-private.h"

#include "util/error.h"

enum {
    RETRY_DMA = 0x08,
    RETRY_PIO = 0x10,
    RETRY_READ = 0x20,
    RETRY_FLUSH = 0x40,
    RETRY_TRIM = 0x80,
};

#define MAX_COUNT 65536

static const struct {
    IdeJob job;
    uint8_t bits;
    bool cd;
} jobs[] = {
    { IDE_JOB_DMA_READ, RETRY_DMA | RETRY_READ, false },
    { IDE_JOB_DMA_WRITE, RETRY_DMA, false },
    { IDE_JOB_TRIM, RETRY_DMA | RETRY_TRIM, false },
    { IDE_JOB_READ, RETRY_PIO | RETRY_READ, false },
    { IDE_JOB_WRITE, RETRY_PIO, false },
    { IDE_JOB_FLUSH, RETRY_FLUSH, false },
    { IDE_JOB_FLUSH, RETRY_FLUSH, true },
    { IDE_JOB_ATAPI_DMA, RETRY_READ, true },
    { IDE_JOB_ATAPI_READ, RETRY_PIO | RETRY_READ, true },
};

/* ---- units ---------------------------------------------------------------------------------------- */

static bool pio_stopped(const IdeUnit *u)
{
    return u->phase == IDE_STOPPED &&
           (u->job == IDE_JOB_READ || u->job == IDE_JOB_WRITE || u->job == IDE_JOB_ATAPI_READ);
}

static bool pio_state_needed(const void *opaque)
{
    const IdeUnit *u = opaque;

    return u->status & IDE_DRQ || pio_stopped(u);
}

static bool pio_state_pre_save(void *opaque, GError **error)
{
    IdeUnit *u = opaque;

    u->saved_next = u->next;
    return true;
}

static bool pio_state_post_load(void *opaque, int version, GError **error)
{
    ((IdeUnit *)opaque)->pio_state_came = true;
    return true;
}

static bool valid_next(const void *opaque, int64_t value)
{
    return value < IDE_NEXTS;
}

static bool valid_size(const void *opaque, int64_t value)
{
    return value >= 0 && value <= INT32_MAX / 2;
}

static bool valid_position(const void *opaque, int64_t value)
{
    return value >= 0 && value <= IDE_BUFFER_SIZE;
}

static const VmState pio_state = {
    .name = "ide_drive/pio_state",
    .version = 1,
    .minimum_version = 1,
    .needed = pio_state_needed,
    .pre_save = pio_state_pre_save,
    .post_load = pio_state_post_load,
    .fields =
        (const VmField[]){
            VM_I32(IdeUnit, req_nb_sectors),
            { .name = "io_buffer",
              .offset = offsetof(IdeUnit, buffer),
              .size = 1,
              .num = IDE_BUFFER_SIZE,
              .shape = VM_ARRAY,
              .flags = VM_POINTER,
              .kind = &vm_kind_u8 },
            { .name = "cur_io_buffer_offset",
              .offset = offsetof(IdeUnit, cur_offset),
              .size = 4,
              .kind = &vm_kind_i32,
              .valid = valid_position },
            { .name = "cur_io_buffer_len",
              .offset = offsetof(IdeUnit, cur_len),
              .size = 4,
              .kind = &vm_kind_i32,
              .valid = valid_position },
            { .name = "end_transfer_fn_idx",
              .offset = offsetof(IdeUnit, saved_next),
              .size = 1,
              .kind = &vm_kind_u8,
              .valid = valid_next },
            { .name = "elementary_transfer_size",
              .offset = offsetof(IdeUnit, elementary_transfer_size),
              .size = 4,
              .kind = &vm_kind_i32,
              .valid = valid_size },
            { .name = "packet_transfer_size",
              .offset = offsetof(IdeUnit, packet_transfer_size),
              .size = 4,
              .kind = &vm_kind_i32,
              .valid = valid_size },
            VM_END,
        },
};

static bool tray_state_needed(const void *opaque)
{
    const IdeUnit *u = opaque;

    return u->tray_open || u->tray_locked;
}

static const VmState tray_state = {
    .name = "ide_drive/tray_state",
    .version = 1,
    .minimum_version = 1,
    .needed = tray_state_needed,
    .fields =
        (const VmField[]){
            VM_BOOL(IdeUnit, tray_open),
            VM_BOOL(IdeUnit, tray_locked),
            VM_END,
        },
};

static bool gesn_state_needed(const void *opaque)
{
    const IdeUnit *u = opaque;

    return u->event_new_media || u->event_eject_request;
}

#define EVENT(name_, member_)                                                     \
    {                                                                             \
        .name = "events." name_, .offset = offsetof(IdeUnit, member_), .size = 1, \
        .kind = &vm_kind_bool                                                     \
    }

static const VmState gesn_state = {
    .name = "ide_drive/atapi/gesn_state",
    .version = 1,
    .minimum_version = 1,
    .needed = gesn_state_needed,
    .fields =
        (const VmField[]){
            EVENT("new_media", event_new_media),
            EVENT("eject_request", event_eject_request),
            VM_END,
        },
};

static bool atapi_read_needed(const void *opaque)
{
    const IdeUnit *u = opaque;

    return u->cd_sector_size && u->packet_transfer_size && pio_state_needed(u);
}

static bool atapi_read_post_load(void *opaque, int version, GError **error)
{
    IdeUnit *u = opaque;

    u->read_state_came = true;
    if ((u->cd_sector_size != CD_SECTOR && u->cd_sector_size != CD_RAW_SECTOR) ||
        u->cd_buffered > IDE_BUFFER_SIZE / 2 || u->cd_buffered < (uint32_t)u->cur_offset) {
        return error_set(error, "impossible position of a READ");
    }
    return true;
}

static const VmState atapi_read_state = {
    .name = "ide_drive/atapi_read",
    .version = 1,
    .minimum_version = 1,
    .needed = atapi_read_needed,
    .post_load = atapi_read_post_load,
    .fields =
        (const VmField[]){
            VM_U32(IdeUnit, cd_lba),
            VM_U16(IdeUnit, cd_sector_size),
            VM_U32(IdeUnit, cd_buffered),
            VM_END,
        },
};

static bool smart_needed(const void *opaque)
{
    const IdeUnit *u = opaque;

    return !u->smart_enabled || !u->smart_autosave || u->smart_selftests;
}

static bool valid_selftests(const void *opaque, int64_t value)
{
    return value <= 21;
}

static const VmState smart_state = {
    .name = "ide_drive/smart",
    .version = 1,
    .minimum_version = 1,
    .needed = smart_needed,
    .fields =
        (const VmField[]){
            VM_BOOL(IdeUnit, smart_enabled),
            VM_BOOL(IdeUnit, smart_autosave),
            { .name = "smart_selftests",
              .offset = offsetof(IdeUnit, smart_selftests),
              .size = 1,
              .kind = &vm_kind_u8,
              .valid = valid_selftests },
            VM_BYTES(IdeUnit, smart_selftest_data),
            VM_END,
        },
};

static bool unit_pre_load(void *opaque, GError **error)
{
    IdeUnit *u = opaque;

    ide_cancel(u);
    u->tray_open = u->tray_locked = false;
    u->event_new_media = u->event_eject_request = false;
    u->req_nb_sectors = 0;
    u->packet_dma = false;
    u->cd_lba = 0;
    u->pio_state_came = u->read_state_came = false;
    u->saved_next = IDE_NEXT_NONE;
    ata_smart_reset(u);
    return true;
}

/* Stock shows a PIO command that was stopped as not busy. */
static bool unit_pre_save(void *opaque, GError **error)
{
    IdeUnit *u = opaque;

    u->saved_status = pio_stopped(u) ? IDE_READY : u->status;
    return !u->request || error_set(error, "a drive's block I/O has not ended");
}

static bool identify_data_exists(const void *opaque, int version)
{
    return ((const IdeUnit *)opaque)->identify_set;
}

static bool valid_multiple(const void *opaque, int64_t value)
{
    return value >= 0 && value <= IDE_MAX_MULTIPLE && !(value & (value - 1));
}

static bool valid_count(const void *opaque, int64_t value)
{
    return value >= 0 && value <= MAX_COUNT;
}

static bool valid_flag(const void *opaque, int64_t value)
{
    return value == 0 || value == 1;
}

static bool valid_key(const void *opaque, int64_t value)
{
    return value <= 0x0f;
}

static bool valid_changed(const void *opaque, int64_t value)
{
    return value <= 2;
}

#define CHECKED(member_, kind_, ctype_, valid_)                                  \
    {                                                                            \
        .name = #member_, .offset = VM_CHECKED_OFFSET(IdeUnit, member_, ctype_), \
        .size = sizeof(ctype_), .kind = &vm_kind_##kind_, .valid = (valid_)      \
    }

const VmState ide_drive_vmstate = {
    .name = "ide_drive",
    .version = 3,
    .minimum_version = 3,
    .pre_load = unit_pre_load,
    .pre_save = unit_pre_save,
    .fields =
        (const VmField[]){
            CHECKED(mult_sectors, i32, int32_t, valid_multiple),
            CHECKED(identify_set, i32, int32_t, valid_flag),
            { .name = "identify_data",
              .offset = offsetof(IdeUnit, identify_data),
              .size = 512,
              .shape = VM_BUFFER,
              .kind = &vm_kind_buffer,
              .exists = identify_data_exists },
            VM_U8(IdeUnit, feature),
            VM_U8(IdeUnit, error),
            CHECKED(nsector, u32, uint32_t, valid_count),
            VM_U8(IdeUnit, sector),
            VM_U8(IdeUnit, lcyl),
            VM_U8(IdeUnit, hcyl),
            VM_U8(IdeUnit, hob_feature),
            VM_U8(IdeUnit, hob_sector),
            VM_U8(IdeUnit, hob_nsector),
            VM_U8(IdeUnit, hob_lcyl),
            VM_U8(IdeUnit, hob_hcyl),
            VM_U8(IdeUnit, select),
            VM_NAMED("status", u8, uint8_t, IdeUnit, saved_status),
            CHECKED(lba48, u8, uint8_t, valid_flag),
            CHECKED(sense_key, u8, uint8_t, valid_key),
            VM_U8(IdeUnit, asc),
            { .name = "cdrom_changed",
              .offset = offsetof(IdeUnit, cdrom_changed),
              .size = 1,
              .kind = &vm_kind_u8,
              .version = 3,
              .valid = valid_changed },
            VM_END,
        },
    .subsections = (const VmState *const[]){ &pio_state, &tray_state, &gesn_state,
                                             &atapi_read_state, &smart_state, NULL },
};

/* ---- channels ------------------------------------------------------------------------------------------ */

static uint8_t bits_of(const IdeUnit *u)
{
    if (u->phase != IDE_DMA_WAIT && u->phase != IDE_STOPPED) {
        return 0;
    }
    for (unsigned i = 0; i < G_N_ELEMENTS(jobs); i++) {
        if (jobs[i].job == u->job) {
            return jobs[i].bits;
        }
    }
    return 0;
}

static bool error_needed(const void *opaque)
{
    return ((const IdeBus *)opaque)->error_status != 0;
}

static bool valid_unit(const void *opaque, int64_t value)
{
    return value >= 0 && value < IDE_UNITS;
}

static const VmState error_state = {
    .name = "ide_bus/error",
    .version = 2,
    .minimum_version = 2,
    .needed = error_needed,
    .fields =
        (const VmField[]){
            VM_I32(IdeBus, error_status),
            VM_I64(IdeBus, retry_sector_num),
            VM_U32(IdeBus, retry_nsector),
            { .name = "retry_unit",
              .offset = offsetof(IdeBus, retry_unit),
              .size = 1,
              .kind = &vm_kind_u8,
              .valid = valid_unit },
            VM_END,
        },
};

static bool bus_pre_save(void *opaque, GError **error)
{
    IdeBus *bus = opaque;

    bus->saved_control = bus->control | (bus->intrq ? IDE_CONTROL_SAVED_INTRQ : 0);
    bus->error_status = bus->inert_error;
    for (unsigned n = 0; n < IDE_UNITS; n++) {
        const IdeUnit *u = &bus->units[n];

        if (bits_of(u)) {
            bus->error_status = bits_of(u);
            bus->retry_unit = n;
            bus->retry_sector_num = u->retry_sector;
            bus->retry_nsector = u->retry_nsector;
        }
    }
    return true;
}

static bool bus_pre_load(void *opaque, GError **error)
{
    IdeBus *bus = opaque;

    bus->error_status = bus->inert_error = 0;
    return true;
}

static bool bus_post_load(void *opaque, int version, GError **error)
{
    IdeBus *bus = opaque;

    bus->control = bus->saved_control & IDE_CONTROL_KEPT;
    bus->intrq = bus->saved_control & IDE_CONTROL_SAVED_INTRQ;
    if (bus->saved_control & ~(IDE_CONTROL_KEPT | IDE_CONTROL_SAVED_INTRQ)) {
        return error_set(error, "impossible device control register");
    }
    return true;
}

const VmState ide_bus_vmstate = {
    .name = "ide_bus",
    .version = 1,
    .minimum_version = 1,
    .pre_save = bus_pre_save,
    .pre_load = bus_pre_load,
    .post_load = bus_post_load,
    .fields =
        (const VmField[]){
            VM_NAMED("cmd", u8, uint8_t, IdeBus, saved_control),
            { .name = "unit",
              .offset = offsetof(IdeBus, unit),
              .size = 1,
              .kind = &vm_kind_u8,
              .valid = valid_unit },
            VM_END,
        },
    .subsections = (const VmState *const[]){ &error_state, NULL },
};

/* ---- putting them together ------------------------------------------------------------------------------- */

static bool damaged(const IdeUnit *u, GError **error)
{
    return error_set(error,
                     "IDE unit %u of channel %u: a command under way that does not fit the drive",
                     u->number, u->bus->number);
}

/* A command that is to be done again. */
static bool retry_loaded(IdeUnit *u, GError **error)
{
    const IdeBus *bus = u->bus;

    for (unsigned i = 0; i < G_N_ELEMENTS(jobs); i++) {
        if (jobs[i].bits == bus->error_status && jobs[i].cd == u->drive->cd) {
            u->job = jobs[i].job;
        }
    }
    u->phase = IDE_STOPPED;
    u->retry_sector = bus->retry_sector_num;
    u->retry_nsector = bus->retry_nsector;
    switch (u->job) {
    case IDE_JOB_NONE:
        return damaged(u, error);
    case IDE_JOB_DMA_READ:
    case IDE_JOB_DMA_WRITE:
    case IDE_JOB_TRIM:
        return (bus->dma && u->retry_nsector && u->retry_nsector <= MAX_COUNT &&
                u->retry_sector >= -1 && u->retry_sector < INT64_C(1) << 48) ||
               damaged(u, error);
    case IDE_JOB_READ:
    case IDE_JOB_WRITE:
        u->status = IDE_READY | IDE_BSY;
        return (u->pio_state_came && u->nsector && u->req_nb_sectors > 0 &&
                u->req_nb_sectors <= IDE_MAX_MULTIPLE) ||
               damaged(u, error);
    case IDE_JOB_ATAPI_DMA:
        memcpy(u->packet, u->buffer, ATAPI_PACKET_SIZE);
        u->packet_dma = true;
        return (bus->dma && u->pio_state_came && u->next == IDE_NEXT_ATAPI_PACKET) ||
               damaged(u, error);
    case IDE_JOB_ATAPI_READ:
        u->status = IDE_READY | IDE_BSY;
        return (u->pio_state_came && u->read_state_came && u->packet_transfer_size) ||
               damaged(u, error);
    case IDE_JOB_FLUSH:
        return true;
    }
    return true;
}

/* Whether the position of a data phase makes sense for what follows. */
static bool data_phase_fits(const IdeUnit *u)
{
    int32_t end = u->cur_offset + u->cur_len;

    if (!u->pio_state_came || u->cur_len <= 0 || end > IDE_BUFFER_SIZE) {
        return false;
    }
    switch (u->next) {
    case IDE_NEXT_READ:
        return !u->drive->cd && end % BLOCK_SECTOR == 0 && u->req_nb_sectors > 0 &&
               u->req_nb_sectors <= IDE_MAX_MULTIPLE;
    case IDE_NEXT_WRITE:
        return !u->drive->cd && u->nsector && u->req_nb_sectors > 0 &&
               u->req_nb_sectors <= IDE_MAX_MULTIPLE &&
               (uint32_t)end == MIN(u->nsector, (uint32_t)u->req_nb_sectors) * BLOCK_SECTOR;
    case IDE_NEXT_STOP:
        return end == 512;
    case IDE_NEXT_ATAPI_REPLY:
        return u->drive->cd && u->elementary_transfer_size <= u->packet_transfer_size &&
               (!u->read_state_came || (uint32_t)end <= u->cd_buffered);
    case IDE_NEXT_ATAPI_PACKET:
        return u->drive->cd && end == ATAPI_PACKET_SIZE;
    default:
        return false;
    }
}

static bool unit_loaded(IdeUnit *u, GError **error)
{
    bool retry = u->bus->error_status && u->bus->retry_unit == u->number;

    u->next = u->saved_next;
    u->status = u->saved_status;
    if (!u->drive) { /* nobody sees it: kept for whoever comes next */
        u->bus->inert_error = retry ? u->bus->error_status : u->bus->inert_error;
        return true;
    }
    if (retry) {
        return retry_loaded(u, error);
    }
    if (u->status & IDE_DRQ && !(u->status & IDE_BSY)) {
        if (!data_phase_fits(u)) {
            return damaged(u, error);
        }
        u->phase = u->next == IDE_NEXT_WRITE || u->next == IDE_NEXT_ATAPI_PACKET ? IDE_PIO_OUT
                                                                                 : IDE_PIO_IN;
        u->packet_dma = u->next == IDE_NEXT_ATAPI_PACKET && u->feature & 1;
        return true;
    }
    return (!(u->status & IDE_BSY) && !u->pio_state_came && !u->read_state_came) ||
           damaged(u, error);
}

bool ide_bus_loaded(IdeBus *bus, GError **error)
{
    for (unsigned n = 0; n < IDE_UNITS; n++) {
        IdeUnit *u = &bus->units[n];

        if (!unit_loaded(u, error)) {
            return false;
        }
        if (u->drive && !u->drive->cd) {
            bool on =
                u->identify_set ? ata_identify_word(u, 85) & 0x20 : u->drive->write_cache_default;

            front_set_write_cache(u->drive->conf.front, on);
        }
    }
    irq_set(bus->irq, bus->intrq && !(bus->control & IDE_CONTROL_NIEN));
    return true;
}
