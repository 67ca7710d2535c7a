/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The IDE function of the PIIX3 and PIIX4 (82371SB data sheet, order number 290550, 2.3; Programming Interface
 * for Bus Master IDE Controller, revision 1.0): two channels at their old places, with a bus master each.
 *
 * The channels are decoded whatever the command and timing registers say, as guests of QEMU know it. The
 * direction bit of a bus master is not compared with the command's.
 */
#include "util/osdep.h"
#include "ide-private.h"

#include "hw/isa/isa.h"
#include "hw/pci/pci.h"
#include "util/bytes.h"
#include "util/error.h"
#include "util/trace.h"

TRACE_EVENT(bmdma_read)
TRACE_EVENT(bmdma_write)
TRACE_EVENT(bmdma_reset)

#define CHANNELS 2
#define BMIDE_BAR 4
#define BMIDE_SIZE 16
#define BMIDE_CHANNEL_SIZE 8

enum { BM_COMMAND = 0, BM_STATUS = 2, BM_TABLE = 4 };

enum {
    BM_COMMAND_START = 0x01,
    BM_COMMAND_TO_MEMORY = 0x08,
    BM_STATUS_ACTIVE = 0x01,
    BM_STATUS_ERROR = 0x02,
    BM_STATUS_INTERRUPT = 0x04,
    BM_STATUS_CAPABLE = 0x60,
};

/* A table of descriptors is at most 64 KiB long. */
#define MAX_DESCRIPTORS (65536 / 8)
#define DESCRIPTOR_LAST 0x80000000u

static const struct {
    uint16_t command_block, control;
    uint8_t irq;
} legacy[CHANNELS] = { { 0x1f0, 0x3f6, 14 }, { 0x170, 0x376, 15 } };

typedef struct PiixIde PiixIde;

typedef struct Segment {
    uint32_t addr, len;
} Segment;

typedef struct BusMaster {
    PiixIde *piix;
    unsigned number;
    uint8_t command, status;
    uint32_t table;
    /* Within a transfer. */
    uint32_t next; /* descriptors taken */
    Segment current;
    bool last;
    GArray *gathered; /* Segment */
    /* For the stream. */
    uint8_t compat_status, saved_status;
    int64_t retry_sector_num;
    uint32_t retry_nsector;
    uint8_t retry_unit;
    bool status_came;
} BusMaster;

struct PiixIde {
    PciDevice pci;
    IdeBus *bus[CHANNELS];
    IdeUnit *units[CHANNELS][IDE_UNITS];
    BusMaster bm[CHANNELS];
    MemoryRegion *bmide, *command_block[CHANNELS], *control[CHANNELS];
};

/* ---- the bus master (Bus Master IDE, chapter 1) ------------------------------------------------------- */

static bool bm_started(void *opaque)
{
    return ((BusMaster *)opaque)->status & BM_STATUS_ACTIVE;
}

static void bm_rewind(void *opaque)
{
    BusMaster *bm = opaque;

    bm->next = 0;
    bm->current.len = 0;
    bm->last = false;
}

static void bm_fail(BusMaster *bm)
{
    bm->status |= BM_STATUS_ERROR;
    bm->status &= ~BM_STATUS_ACTIVE;
}

/* The next descriptor. False at the end of the table; *readable says whether it was that. */
static bool take_descriptor(BusMaster *bm, bool *readable)
{
    uint8_t raw[8];
    uint32_t addr = bm->table + 8 * bm->next;

    if (bm->last || bm->next >= MAX_DESCRIPTORS) {
        return false;
    }
    if (pci_dma_read(&bm->piix->pci, addr, raw, sizeof(raw)) != MEM_OK) {
        *readable = false;
        return false;
    }
    bm->next++;
    bm->current.addr = load_le32(raw) & ~1u;
    bm->current.len = load_le32(raw + 4) & 0xfffe;
    if (!bm->current.len) {
        bm->current.len = 65536;
    }
    bm->last = load_le32(raw + 4) & DESCRIPTOR_LAST;
    return true;
}

static int64_t bm_gather(void *opaque, uint64_t want)
{
    BusMaster *bm = opaque;
    bool readable = true;
    uint64_t got = 0;

    g_array_set_size(bm->gathered, 0);
    while (got < want) {
        Segment part;

        if (!bm->current.len && !take_descriptor(bm, &readable)) {
            break;
        }
        part.addr = bm->current.addr;
        part.len = MIN(bm->current.len, want - got);
        g_array_append_val(bm->gathered, part);
        bm->current.addr += part.len;
        bm->current.len -= part.len;
        got += part.len;
    }
    if (!readable) {
        bm_fail(bm);
        return -1;
    }
    return got;
}

static bool bm_move(void *opaque, void *buf, uint64_t len, bool to_memory)
{
    BusMaster *bm = opaque;
    PciDevice *pci = &bm->piix->pci;
    uint8_t *p = buf;
    MemResult result = MEM_OK;

    for (guint i = 0; i < bm->gathered->len && len; i++) {
        const Segment *s = &g_array_index(bm->gathered, Segment, i);
        uint32_t n = MIN(s->len, len);

        result |= to_memory ? pci_dma_write(pci, s->addr, p, n) : pci_dma_read(pci, s->addr, p, n);
        p += n;
        len -= n;
    }
    if (result != MEM_OK) {
        bm_fail(bm);
    }
    return result == MEM_OK;
}

static void bm_finished(void *opaque, bool complete)
{
    BusMaster *bm = opaque;

    if (!complete || (bm->last && !bm->current.len)) {
        bm->status &= ~BM_STATUS_ACTIVE;
    }
}

static void bm_reset(void *opaque)
{
    BusMaster *bm = opaque;

    trace_mark(bmdma_reset);
    bm->command = bm->status = 0;
    bm->table = 0;
    bm->retry_sector_num = 0;
    bm->retry_nsector = 0;
    bm->retry_unit = 0;
    bm_rewind(bm);
}

static void bm_irq_raised(void *opaque)
{
    ((BusMaster *)opaque)->status |= BM_STATUS_INTERRUPT;
}

static const IdeDmaOps bm_ops = {
    .started = bm_started,
    .rewind = bm_rewind,
    .gather = bm_gather,
    .move = bm_move,
    .finished = bm_finished,
    .reset = bm_reset,
    .irq_raised = bm_irq_raised,
};

/* ---- its registers -------------------------------------------------------------------------------------- */

static uint8_t bm_read_byte(const BusMaster *bm, unsigned offset)
{
    switch (offset) {
    case BM_COMMAND:
        return bm->command;
    case BM_STATUS:
        return bm->status;
    case BM_TABLE ... BM_TABLE + 3:
        return bm->table >> (8 * (offset - BM_TABLE));
    default:
        return 0xff;
    }
}

static void command_write(BusMaster *bm, uint8_t value)
{
    bool was = bm->command & BM_COMMAND_START, is = value & BM_COMMAND_START;

    bm->command = value & (BM_COMMAND_START | BM_COMMAND_TO_MEMORY);
    if (is && !was) {
        bm->status |= BM_STATUS_ACTIVE;
        bm_rewind(bm);
        ide_dma_start(bm->piix->bus[bm->number]);
    } else if (!is && was) {
        bm->status &= ~BM_STATUS_ACTIVE;
        ide_dma_stop(bm->piix->bus[bm->number]);
    }
}

static void bm_write_byte(BusMaster *bm, unsigned offset, uint8_t value)
{
    unsigned shift = 8 * (offset - BM_TABLE);

    switch (offset) {
    case BM_COMMAND:
        command_write(bm, value);
        break;
    case BM_STATUS:
        bm->status = (value & BM_STATUS_CAPABLE) | (bm->status & BM_STATUS_ACTIVE) |
                     (bm->status & ~value & (BM_STATUS_ERROR | BM_STATUS_INTERRUPT));
        break;
    case BM_TABLE ... BM_TABLE + 3:
        bm->table = (bm->table & ~(0xffu << shift)) | (uint32_t)value << shift;
        bm->table &= ~3u;
        break;
    }
}

static uint64_t bmide_read(void *opaque, hwaddr offset, unsigned size)
{
    PiixIde *s = opaque;
    uint32_t value = 0;

    for (unsigned i = 0; i < size; i++) {
        unsigned at = offset + i;

        value |= (uint32_t)bm_read_byte(&s->bm[at / BMIDE_CHANNEL_SIZE], at % BMIDE_CHANNEL_SIZE)
                 << (8 * i);
    }
    trace(bmdma_read, "bmdma: readb 0x%" PRIx64 " : 0x%x", offset, value);
    return value;
}

static void bmide_write(void *opaque, hwaddr offset, uint64_t value, unsigned size)
{
    PiixIde *s = opaque;

    trace(bmdma_write, "bmdma: writeb 0x%" PRIx64 " : 0x%" PRIx64, offset, value);
    for (unsigned i = 0; i < size; i++) {
        unsigned at = offset + i;

        bm_write_byte(&s->bm[at / BMIDE_CHANNEL_SIZE], at % BMIDE_CHANNEL_SIZE, value >> (8 * i));
    }
}

static const MemoryOps bmide_ops = {
    .read = bmide_read,
    .write = bmide_write,
    .valid = { .min_size = 1, .max_size = 4 },
    .impl = { .min_size = 1, .max_size = 4 },
};

/* ---- the channels' ports ----------------------------------------------------------------------------------- */

static uint64_t command_block_read(void *opaque, hwaddr offset, unsigned size)
{
    return ide_read(opaque, offset, size);
}

static void command_block_write(void *opaque, hwaddr offset, uint64_t value, unsigned size)
{
    ide_write(opaque, offset, value, size);
}

static const MemoryOps command_block_ops = {
    .read = command_block_read,
    .write = command_block_write,
    .valid = { .min_size = 1, .max_size = 4, .unaligned = true },
    .impl = { .min_size = 1, .max_size = 4, .unaligned = true },
};

static uint64_t control_read(void *opaque, hwaddr offset, unsigned size)
{
    return ide_alternate_status(opaque);
}

static void control_write(void *opaque, hwaddr offset, uint64_t value, unsigned size)
{
    ide_write_control(opaque, value);
}

static const MemoryOps control_ops = {
    .read = control_read,
    .write = control_write,
    .valid = { .min_size = 1, .max_size = 1 },
    .impl = { .min_size = 1, .max_size = 1 },
};

/* ---- reset ---------------------------------------------------------------------------------------------------- */

static void piix_reset(PciDevice *pci)
{
    PiixIde *s = (PiixIde *)pci;

    for (unsigned n = 0; n < CHANNELS; n++) {
        ide_bus_hard_reset(s->bus[n]);
    }
    memset(pci->config + 0x40, 0, PCI_CONFIG_SIZE - 0x40);
    store_le16(pci->config + PCI_STATUS, PCI_STATUS_DEVSEL_MEDIUM | 0x80 /* fast back-to-back */);
}

/* ---- realize ------------------------------------------------------------------------------------------------------ */

static void make_channel(PiixIde *s, unsigned n, IsaBus *isa)
{
    Object *owner = &s->pci.device.object;
    BusMaster *bm = &s->bm[n];

    bm->piix = s;
    bm->number = n;
    bm->gathered = g_array_new(false, false, sizeof(Segment));
    s->bus[n] =
        ide_bus_new(&s->pci.device, n, isa ? isa_bus_irq(isa, legacy[n].irq) : NULL, &bm_ops, bm);
    for (unsigned unit = 0; unit < IDE_UNITS; unit++) {
        s->units[n][unit] = &s->bus[n]->units[unit];
    }
    s->command_block[n] = memory_region_new_io(owner, &command_block_ops, s->bus[n], "ide", 8);
    s->control[n] = memory_region_new_io(owner, &control_ops, s->bus[n], "ide", 1);
    memory_region_map(system_io(), legacy[n].command_block, s->command_block[n]);
    memory_region_map(system_io(), legacy[n].control, s->control[n]);
}

static bool piix_realize(PciDevice *pci, GError **error)
{
    PiixIde *s = (PiixIde *)pci;
    IsaBus *isa = (IsaBus *)bus_find_by_type(&isa_bus_type);

    for (unsigned n = 0; n < CHANNELS; n++) {
        make_channel(s, n, isa);
    }
    s->bmide = memory_region_new_io(&pci->device.object, &bmide_ops, s, "piix-bmdma-container",
                                    BMIDE_SIZE);
    pci_set_bar(pci, BMIDE_BAR, PCI_BAR_SPACE_IO, s->bmide, BMIDE_SIZE);
    piix_reset(pci);
    return true;
}

static void piix_unrealize(PciDevice *pci)
{
    PiixIde *s = (PiixIde *)pci;

    for (unsigned n = 0; n < CHANNELS; n++) {
        memory_region_free(s->command_block[n]);
        memory_region_free(s->control[n]);
        g_array_free(s->bm[n].gathered, true);
    }
    memory_region_free(s->bmide);
}

IdeBus *piix_ide_bus(Device *controller, unsigned n)
{
    return ((PiixIde *)controller)->bus[n];
}

/*
 * ---- migration notes ----
 *
 * Nothing of a transfer is in the bus master when a stream is written: transfers that run are finished first,
 * the others begin at the first descriptor. Its registers travel. Bits 08h to 40h of the status field are what
 * older programs looked for (see vmstate.c); the register's own bits of these come in a subsection.
 */

#define COMPAT_BITS 0x78

static bool bm_pre_save(void *opaque, GError **error)
{
    BusMaster *bm = opaque;
    IdeBus *bus = bm->piix->bus[bm->number];

    if (!ide_bus_vmstate.pre_save(bus, error)) {
        return false;
    }
    bm->saved_status = bm->status;
    bm->compat_status = (bm->status & ~COMPAT_BITS) | (bus->error_status & COMPAT_BITS);
    if (bus->error_status) {
        bm->retry_sector_num = bus->retry_sector_num;
        bm->retry_nsector = bus->retry_nsector;
        bm->retry_unit = bus->retry_unit;
    }
    return true;
}

static bool bm_pre_load(void *opaque, GError **error)
{
    BusMaster *bm = opaque;

    bm->status_came = false;
    bm_rewind(bm);
    return true;
}

static bool bm_post_load(void *opaque, int version, GError **error)
{
    BusMaster *bm = opaque;

    bm->status = bm->status_came ? bm->saved_status : bm->compat_status & ~COMPAT_BITS;
    if (bm->status &
            ~(BM_STATUS_ACTIVE | BM_STATUS_ERROR | BM_STATUS_INTERRUPT | BM_STATUS_CAPABLE) ||
        (bm->status & ~COMPAT_BITS) != (bm->compat_status & ~COMPAT_BITS)) {
        return error_set(error, "impossible status of the bus master");
    }
    return true;
}

static bool bm_status_needed(const void *opaque)
{
    return ((const BusMaster *)opaque)->status & COMPAT_BITS;
}

static bool bm_status_post_load(void *opaque, int version, GError **error)
{
    ((BusMaster *)opaque)->status_came = true;
    return true;
}

static bool valid_command(const void *opaque, int64_t value)
{
    return !(value & ~(BM_COMMAND_START | BM_COMMAND_TO_MEMORY));
}

static bool valid_table(const void *opaque, int64_t value)
{
    return !(value & 3);
}

static const VmState vmstate_bm_status = {
    .name = "ide bmdma/status",
    .version = 1,
    .minimum_version = 1,
    .needed = bm_status_needed,
    .post_load = bm_status_post_load,
    .fields = (const VmField[]){ VM_NAMED("status", u8, uint8_t, BusMaster, saved_status), VM_END },
};

static const VmState vmstate_bm = {
    .name = "ide bmdma",
    .version = 3,
    .minimum_version = 3,
    .pre_save = bm_pre_save,
    .pre_load = bm_pre_load,
    .post_load = bm_post_load,
    .fields =
        (const VmField[]){
            { .name = "cmd",
              .offset = offsetof(BusMaster, command),
              .size = 1,
              .kind = &vm_kind_u8,
              .valid = valid_command },
            VM_NAMED("migration_compat_status", u8, uint8_t, BusMaster, compat_status),
            { .name = "addr",
              .offset = offsetof(BusMaster, table),
              .size = 4,
              .kind = &vm_kind_u32,
              .valid = valid_table },
            VM_NAMED("migration_retry_sector_num", i64, int64_t, BusMaster, retry_sector_num),
            VM_NAMED("migration_retry_nsector", u32, uint32_t, BusMaster, retry_nsector),
            VM_NAMED("migration_retry_unit", u8, uint8_t, BusMaster, retry_unit),
            VM_END },
    .subsections = (const VmState *const[]){ &vmstate_bm_status, NULL },
};

static bool piix_post_load(void *opaque, int version, GError **error)
{
    PiixIde *s = opaque;

    for (unsigned n = 0; n < CHANNELS; n++) {
        if (!ide_bus_loaded(s->bus[n], error)) {
            return false;
        }
    }
    return true;
}

static const VmState vmstate_piix_ide = {
    .name = "ide",
    .version = 3,
    .minimum_version = 3,
    .post_load = piix_post_load,
    .fields =
        (const VmField[]){
            { .name = "parent_obj",
              .offset = offsetof(PiixIde, pci),
              .size = sizeof(PciDevice),
              .vmstate = &vmstate_pci_device },
            VM_NAMED_STRUCT_ARRAY("bmdma", PiixIde, bm, CHANNELS, vmstate_bm, BusMaster),
            VM_STRUCT_POINTER_ARRAY("bus", PiixIde, bus, CHANNELS, ide_bus_vmstate, IdeBus),
            VM_STRUCT_POINTER_ARRAY("bus[0].ifs", PiixIde, units[0], IDE_UNITS, ide_drive_vmstate,
                                    IdeUnit),
            VM_STRUCT_POINTER_ARRAY("bus[1].ifs", PiixIde, units[1], IDE_UNITS, ide_drive_vmstate,
                                    IdeUnit),
            VM_END },
};

/* ---- registration -------------------------------------------------------------------------------------------------- */

static const PciDeviceOps piix3_ops = {
    .vendor_id = PCI_VENDOR_INTEL,
    .device_id = 0x7010,
    .class_id = 0x0101,
    .prog_if = 0x80, /* bus master; both channels at fixed places */
    .realize = piix_realize,
    .unrealize = piix_unrealize,
    .reset = piix_reset,
};

static const PciDeviceOps piix4_ops = {
    .vendor_id = PCI_VENDOR_INTEL,
    .device_id = 0x7111,
    .class_id = 0x0101,
    .prog_if = 0x80,
    .realize = piix_realize,
    .unrealize = piix_unrealize,
    .reset = piix_reset,
};

static const DeviceType piix3_ide_type = {
    .object = {
        .name = "piix3-ide",
        .parent = &pci_device_type.object,
        .size = sizeof(PiixIde),
    },
    .category = DEVICE_CATEGORY_STORAGE,
    .not_hotpluggable = true,
    .migration = MIGRATES_WITH(vmstate_piix_ide),
    .ops = &piix3_ops,
};
DEVICE_REGISTER(piix3_ide_type);

static const DeviceType piix4_ide_type = {
    .object = {
        .name = "piix4-ide",
        .parent = &pci_device_type.object,
        .size = sizeof(PiixIde),
    },
    .category = DEVICE_CATEGORY_STORAGE,
    .not_hotpluggable = true,
    .migration = MIGRATES_WITH(vmstate_piix_ide),
    .ops = &piix4_ops,
};
DEVICE_REGISTER(piix4_ide_type);
