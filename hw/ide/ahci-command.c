/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * AHCI commands (Serial ATA AHCI 1.3.1, chapters 4 and 5): command list and tables in memory, register and PIO setup FISes, and
 * the task file commands of the unit behind the port.
 */
#include "util/osdep.h"
#include "ahci.h"

#include "util/bytes.h"
#include "util/log.h"
#include "util/trace.h"

TRACE_EVENT(handle_cmd_fis_dump)
TRACE_EVENT(ahci_start_transfer)

enum { /* command header (4.2.2), first double word */
       HEADER_SIZE = 32,
       HEADER_CLEAR = 1 << 10,
       HEADER_PRDTL_SHIFT = 16,
};
enum { /* command table (4.2.3) */
       TABLE_CFIS = 0x00,
       TABLE_ACMD = 0x40,
       TABLE_PRDT = 0x80,
       TABLE_ALIGN = 128,
       CFIS_SIZE = 64,
       PRD_SIZE = 16,
       PRD_BYTES = 0x3fffff, /* and one */
};
enum { /* received FISes (4.2.1) */
       RFIS_PIO_SETUP = 0x20,
       RFIS_D2H = 0x40,
};
enum {
    FIS_H2D = 0x27,
    FIS_D2H = 0x34,
    FIS_PIO_SETUP = 0x5f,
    FIS_H2D_COMMAND =
        0x80, /* in the second byte: the command register is written, else the control register */
    FIS_INTERRUPT = 0x40,
    FIS_TO_HOST = 0x20,
};
#define COMMAND_PACKET 0xa0
#define COMMAND_READ_FPDMA 0x60
#define COMMAND_WRITE_FPDMA 0x61
#define PXCMD_ST 0x01
#define PXCMD_CCS_SHIFT 8
#define PXCMD_CCS (0x1f << PXCMD_CCS_SHIFT)

/* ---- memory ------------------------------------------------------------------------------------------------------ */

typedef struct CommandHeader {
    uint32_t flags;
    uint64_t table;
} CommandHeader;

static bool read_header(AhciPort *p, unsigned slot, CommandHeader *header)
{
    uint8_t raw[HEADER_SIZE];

    if (pci_dma_read(&p->ahci->pci, ahci_command_list(p) + slot * HEADER_SIZE, raw, sizeof(raw)) !=
        MEM_OK) {
        return false;
    }
    header->flags = load_le32(raw);
    header->table = load_le64(raw + 8) & ~(uint64_t)(TABLE_ALIGN - 1);
    return true;
}

void ahci_set_transferred(AhciPort *p, unsigned slot, uint32_t bytes)
{
    uint8_t raw[4];

    store_le32(raw, bytes);
    pci_dma_write(&p->ahci->pci, ahci_command_list(p) + slot * HEADER_SIZE + 4, raw, sizeof(raw));
}

static uint32_t transferred(AhciPort *p, unsigned slot)
{
    uint8_t raw[4] = { 0 };

    pci_dma_read(&p->ahci->pci, ahci_command_list(p) + slot * HEADER_SIZE + 4, raw, sizeof(raw));
    return load_le32(raw);
}

bool ahci_gather(AhciPort *p, unsigned slot, uint64_t from, uint64_t want, GArray *segments)
{
    CommandHeader header;
    uint64_t at = 0, end = from + want;

    g_array_set_size(segments, 0);
    if (!read_header(p, slot, &header)) {
        return false;
    }
    for (unsigned i = 0; i < header.flags >> HEADER_PRDTL_SHIFT && at < end; i++) {
        uint8_t raw[PRD_SIZE];
        uint32_t len;

        if (pci_dma_read(&p->ahci->pci, header.table + TABLE_PRDT + i * PRD_SIZE, raw,
                         sizeof(raw)) != MEM_OK) {
            return false;
        }
        len = (load_le32(raw + 12) & PRD_BYTES) + 1;
        if (at + len > from) {
            uint64_t skip = from > at ? from - at : 0;
            AhciSegment part = { load_le64(raw) + skip, MIN(len - skip, end - at - skip) };

            g_array_append_val(segments, part);
        }
        at += len;
    }
    return true;
}

bool ahci_move(AhciPort *p, const GArray *segments, uint8_t *buf, uint64_t len, bool to_memory)
{
    PciDevice *pci = &p->ahci->pci;
    MemResult result = MEM_OK;

    for (guint i = 0; i < segments->len && len; i++) {
        const AhciSegment *s = &g_array_index(segments, AhciSegment, i);
        uint32_t n = MIN(s->len, len);

        result |=
            to_memory ? pci_dma_write(pci, s->addr, buf, n) : pci_dma_read(pci, s->addr, buf, n);
        buf += n;
        len -= n;
    }
    if (!to_memory) {
        memset(buf, 0, len);
    }
    return result == MEM_OK;
}

/* ---- FISes to the host ---------------------------------------------------------------------------------------------- */

static void update_task_file(AhciPort *p)
{
    p->tfdata = p->unit->status | p->unit->error << 8;
}

static void send_fis(AhciPort *p, unsigned offset, const uint8_t *fis, size_t len)
{
    uint64_t area;

    if (ahci_fis_area(p, &area)) {
        pci_dma_write(&p->ahci->pci, area + offset, fis, len);
    }
}

/* Address and count, as both kinds of FIS have them. */
static void put_registers(const IdeUnit *u, uint8_t *fis)
{
    fis[2] = u->status;
    fis[3] = u->error;
    fis[4] = u->sector;
    fis[5] = u->lcyl;
    fis[6] = u->hcyl;
    fis[7] = u->select;
    fis[8] = u->hob_sector;
    fis[9] = u->hob_lcyl;
    fis[10] = u->hob_hcyl;
    fis[12] = u->nsector;
    fis[13] = u->hob_nsector;
}

void ahci_send_d2h(AhciPort *p, bool interrupt)
{
    uint8_t fis[20] = { FIS_D2H, interrupt ? FIS_INTERRUPT : 0 };

    put_registers(p->unit, fis);
    update_task_file(p);
    send_fis(p, RFIS_D2H, fis, sizeof(fis));
    if (interrupt) {
        ahci_port_interrupt(p, AHCI_IS_DHRS | (p->unit->status & IDE_ERR ? AHCI_IS_TFES : 0));
    }
}

/* Before a data phase of len bytes; `after` is the status behind it. */
static void send_pio_setup(AhciPort *p, uint32_t len, bool to_host, uint8_t after)
{
    uint8_t fis[20] = { FIS_PIO_SETUP, FIS_INTERRUPT | (to_host ? FIS_TO_HOST : 0) };

    put_registers(p->unit, fis);
    fis[15] = after;
    store_le16(fis + 16, len);
    update_task_file(p);
    send_fis(p, RFIS_PIO_SETUP, fis, sizeof(fis));
    ahci_port_interrupt(p, AHCI_IS_PSS);
}

/* ---- the unit's data ------------------------------------------------------------------------------------------------- */

static void find_position(AhciPort *p)
{
    if (p->position_lost) {
        p->position = transferred(p, p->busy_slot);
        p->position_lost = false;
    }
}

static bool dma_started(void *opaque)
{
    return true;
}

static void dma_rewind(void *opaque)
{
    AhciPort *p = opaque;

    p->position = 0;
    p->position_lost = false;
}

/* A table that is too short, or cannot be read, takes and gives as if it were long enough; the end of the command says so. */
static int64_t dma_gather(void *opaque, uint64_t want)
{
    AhciPort *p = opaque;
    uint64_t got = 0;

    find_position(p);
    if (!ahci_gather(p, p->busy_slot, p->position, want, p->gathered)) {
        p->fault = true;
    }
    for (guint i = 0; i < p->gathered->len; i++) {
        got += g_array_index(p->gathered, AhciSegment, i).len;
    }
    p->overflow |= got < want;
    return want;
}

static bool dma_move(void *opaque, void *buf, uint64_t len, bool to_memory)
{
    AhciPort *p = opaque;

    if (!ahci_move(p, p->gathered, buf, len, to_memory)) {
        p->fault = true;
    }
    p->position += len;
    ahci_set_transferred(p, p->busy_slot, p->position);
    return true;
}

static void advance(AhciPort *p);

static void dma_finished(void *opaque, bool complete)
{
}

static void dma_reset(void *opaque)
{
}

/* The unit has data, wants some, or is done. */
static void unit_asks(void *opaque)
{
    advance(opaque);
}

/* Commands, and the signature, have waited for that. */
static void unit_ready(void *opaque)
{
    ahci_port_kick(opaque);
}

const IdeDmaOps ahci_dma_ops = {
    .started = dma_started,
    .rewind = dma_rewind,
    .gather = dma_gather,
    .move = dma_move,
    .finished = dma_finished,
    .reset = dma_reset,
    .irq_raised = unit_asks,
    .ready = unit_ready,
};

/* A block of a PIO command, or the packet, between the unit's buffer and memory. */
static void move_block(AhciPort *p)
{
    IdeUnit *u = p->unit;
    uint32_t len;
    uint8_t *data = ide_data_block(u, &len);
    bool to_host = u->phase == IDE_PIO_IN;
    CommandHeader header;

    if (u->next == IDE_NEXT_ATAPI_PACKET) {
        if (!read_header(p, p->busy_slot, &header) ||
            pci_dma_read(&p->ahci->pci, header.table + TABLE_ACMD, data, len) != MEM_OK) {
            p->fault = true;
            memset(data, 0, len);
        }
    } else {
        trace(ahci_start_transfer, "ahci(%p)[%u]: %s %u bytes", (void *)p->ahci, p->number,
              to_host ? "reading" : "writing", len);
        send_pio_setup(p, len, to_host, IDE_READY);
        dma_gather(p, len);
        dma_move(p, data, len, to_host);
    }
    ide_data_block_moved(u);
}

/* ---- a command's course ---------------------------------------------------------------------------------------------- */

static void complete(AhciPort *p)
{
    unsigned slot = p->busy_slot;

    p->busy_slot = -1;
    p->cmd_issue &= ~(1u << slot);
    if (p->overflow || p->fault) {
        ahci_port_interrupt(p, (p->overflow ? AHCI_IS_OFS : 0) | (p->fault ? AHCI_IS_HBFS : 0));
    }
    ahci_send_d2h(p, true);
    ahci_port_kick(p); /* for the next one */
}

/* Moves data as long as the unit has or wants some; then the command is over, or the unit is busy with its medium. */
static void advance(AhciPort *p)
{
    IdeUnit *u = p->unit;

    if (p->busy_slot < 0 || p->in_advance) {
        return;
    }
    p->in_advance = true;
    while (u->phase == IDE_PIO_IN || u->phase == IDE_PIO_OUT) {
        move_block(p);
    }
    p->in_advance = false;
    update_task_file(p);
    if (u->phase == IDE_IDLE && !u->request && !u->reset_pending) {
        complete(p);
    }
}

/* The task file has two bytes of each; the earlier one is written first. */
static void write_twice(IdeBus *bus, unsigned reg, uint8_t earlier, uint8_t later)
{
    ide_write(bus, reg, earlier, 1);
    ide_write(bus, reg, later, 1);
}

static void write_command(AhciPort *p, unsigned slot, const uint8_t *fis)
{
    IdeBus *bus = p->bus;

    p->busy_slot = slot;
    p->position = 0;
    p->position_lost = false;
    p->overflow = p->fault = false;
    ahci_set_transferred(p, slot, 0);
    ide_write(bus, IDE_REG_DEVICE, fis[7] & ~IDE_DEVICE_UNIT, 1);
    write_twice(bus, IDE_REG_ERROR, fis[11], fis[3]);
    write_twice(bus, IDE_REG_COUNT, fis[13], fis[12]);
    write_twice(bus, IDE_REG_LBA_LOW, fis[8], fis[4]);
    write_twice(bus, IDE_REG_LBA_MID, fis[9], fis[5]);
    write_twice(bus, IDE_REG_LBA_HIGH, fis[10], fis[6]);
    p->in_advance = true; /* until the command has begun */
    ide_write(bus, IDE_REG_STATUS, fis[2], 1);
    p->in_advance = false;
    advance(p);
}

/* A software reset: the FIS that sets SRST, and the one that clears it, after which the signature comes. */
static void write_control(AhciPort *p, unsigned slot, const CommandHeader *header,
                          const uint8_t *fis)
{
    bool was = p->bus->control & IDE_CONTROL_SRST, is = fis[15] & IDE_CONTROL_SRST;

    ide_write_control(p->bus, fis[15] & IDE_CONTROL_SRST);
    p->cmd_issue &= ~(1u << slot);
    if (was && !is) {
        ahci_send_d2h(p, true);
    } else if (header->flags & HEADER_CLEAR) {
        p->tfdata &= ~(IDE_BSY | IDE_DRQ);
    }
}

/* Fetches a command; false: the port has to wait before it can take it. */
static bool take_command(AhciPort *p, unsigned slot)
{
    uint8_t fis[CFIS_SIZE];
    CommandHeader header;
    bool queued;

    if (!read_header(p, slot, &header) ||
        pci_dma_read(&p->ahci->pci, header.table + TABLE_CFIS, fis, sizeof(fis)) != MEM_OK) {
        p->cmd_issue &= ~(1u << slot);
        ahci_port_interrupt(p, AHCI_IS_HBFS);
        return true;
    }
    queued =
        fis[1] & FIS_H2D_COMMAND && (fis[2] == COMMAND_READ_FPDMA || fis[2] == COMMAND_WRITE_FPDMA);
    if (!queued && ahci_ncq_active(p)) {
        return false;
    }
    trace(handle_cmd_fis_dump, "ahci(%p)[%u]: slot %u command 0x%02x", (void *)p->ahci, p->number,
          slot, fis[2]);
    p->cmd = (p->cmd & ~PXCMD_CCS) | slot << PXCMD_CCS_SHIFT;
    if (fis[0] != FIS_H2D) {
        log_guest_error("ahci: FIS of type 0x%02x", fis[0]);
        p->cmd_issue &= ~(1u << slot);
    } else if (!(fis[1] & FIS_H2D_COMMAND)) {
        write_control(p, slot, &header, fis);
    } else if (queued && p->unit->drive && !p->unit->drive->cd) {
        ahci_ncq_start(p, slot, fis);
    } else {
        write_command(p, slot, fis);
    }
    return true;
}

void ahci_port_run(AhciPort *p)
{
    uint64_t area;

    if (!p->unit->drive || p->unit->reset_pending || p->orphans) {
        return;
    }
    if (!p->init_d2h_sent && ahci_fis_area(p, &area)) {
        p->init_d2h_sent = true;
        p->sig = ahci_port_signature(p);
        ahci_send_d2h(p, false);
    }
    while (p->cmd & PXCMD_ST && p->busy_slot < 0 && p->cmd_issue) {
        unsigned slot = __builtin_ctz(p->cmd_issue);

        if (!take_command(p, slot)) {
            break;
        }
    }
}
