/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The SATA function of the ICH9 in AHCI mode (Intel ICH9 data sheet, order number 316972, chapter 14; Serial ATA AHCI 1.3.1): HBA
 * and port registers in memory and behind an index/data pair of ports, six ports with a channel of one unit each.
 * Commands are in ahci-command.c, queued ones in ahci-ncq.c.
 */
#include "util/osdep.h"
#include "ahci.h"

#include "hw/pci/msi.h"
#include "util/bytes.h"
#include "util/error.h"
#include "util/trace.h"

TRACE_EVENT(ahci_mem_read)
TRACE_EVENT(ahci_mem_write)
TRACE_EVENT(ahci_port_read)
TRACE_EVENT(ahci_port_write)
TRACE_EVENT(ahci_check_irq)
TRACE_EVENT(ahci_reset_port)

enum { /* HBA registers (3.1) */
       HBA_CAP = 0x00,
       HBA_GHC = 0x04,
       HBA_IS = 0x08,
       HBA_PI = 0x0c,
       HBA_VS = 0x10,
       PORTS_AT = 0x100,
       PORT_SIZE = 0x80,
       REGISTERS_SIZE = 0x1000,
};
enum { /* port registers (3.3) */
       PXCLB = 0x00,
       PXCLBU = 0x04,
       PXFB = 0x08,
       PXFBU = 0x0c,
       PXIS = 0x10,
       PXIE = 0x14,
       PXCMD = 0x18,
       PXTFD = 0x20,
       PXSIG = 0x24,
       PXSSTS = 0x28,
       PXSCTL = 0x2c,
       PXSERR = 0x30,
       PXSACT = 0x34,
       PXCI = 0x38,
};
enum {
    GHC_RESET = 1u << 0,
    GHC_INTERRUPTS = 1u << 1,
    GHC_AHCI = 1u << 31, /* always */
};
enum {
    CMD_ST = 1 << 0,
    CMD_CLO = 1 << 3,
    CMD_FRE = 1 << 4,
    CMD_FR = 1 << 14,
    CMD_CR = 1 << 15,
    CMD_ATAPI = 1 << 24,
    CMD_CCS = 0x1f << 8,
    CMD_WRITABLE = 0x0f820017,
    CMD_RESET = 0x06, /* spun up, powered */
};
#define CAPABILITIES \
    0xc0141f05 /* 64 bits, NCQ, 32 slots, staggered off, 1.5 Gb/s, AHCI only, six ports */
#define VERSION 0x00010000
#define IE_MASK 0xfdc000ff
#define TFD_RESET 0x7f
#define SSTS_PRESENT 0x113 /* there, communication established, 1.5 Gb/s, active */
#define SCTL_DET 0x0f
#define SCTL_DET_INIT 1
#define SIGNATURE_NONE 0xffffffff
#define SIGNATURE_DISK 0x00000101
#define SIGNATURE_CD 0xeb140101
#define CLB_MASK 0xfffffc00u
#define FB_MASK 0xffffff00u

#define INDEX_BAR 4
#define INDEX_BAR_SIZE 32
#define INDEX_PORT 0x10
#define DATA_PORT 0x14
#define REGISTERS_BAR 5
#define MSI_OFFSET 0x80
#define SATA_CAPABILITY 0x12
#define SATA_OFFSET 0xa8
#define SATA_SIZE 8

/* ---- interrupts ------------------------------------------------------------------------------------------------------ */

/* A bit of IS is set while its port has something; with messages, each time that the line would go up is one. */
static void update_irq(Ahci *s)
{
    bool line;

    for (unsigned n = 0; n < AHCI_PORTS; n++) {
        if (s->port[n].irq_stat & s->port[n].irq_mask) {
            s->irqstatus |= 1u << n;
        }
    }
    line = s->irqstatus && s->ghc & GHC_INTERRUPTS;
    trace(ahci_check_irq, "ahci(%p): check irq 0x%08x --> 0x%08x", (void *)s, s->line, line);
    if (msi_enabled(&s->pci)) {
        if (line && !s->line) {
            msi_notify(&s->pci);
        }
        pci_set_irq(&s->pci, 0);
    } else {
        pci_set_irq(&s->pci, line);
    }
    s->line = line;
}

void ahci_port_interrupt(AhciPort *p, uint32_t bits)
{
    p->irq_stat |= bits;
    update_irq(p->ahci);
}

/* ---- ports ------------------------------------------------------------------------------------------------------------- */

uint64_t ahci_command_list(const AhciPort *p)
{
    return (uint64_t)p->lst_addr_hi << 32 | p->lst_addr;
}

bool ahci_fis_area(const AhciPort *p, uint64_t *addr)
{
    *addr = (uint64_t)p->fis_addr_hi << 32 | p->fis_addr;
    return p->cmd & CMD_FRE;
}

static void run_bh(void *opaque)
{
    if (vm_is_running()) {
        ahci_port_run(opaque);
    }
}

void ahci_port_kick(AhciPort *p)
{
    bh_schedule(p->run);
}

uint32_t ahci_port_signature(const AhciPort *p)
{
    return !p->unit->drive ? SIGNATURE_NONE : p->unit->drive->cd ? SIGNATURE_CD : SIGNATURE_DISK;
}

/* PxSSTS follows from the drive and PxSCTL; a stream of stock has 0 there until the guest has looked. */
static uint32_t link_status(const AhciPort *p)
{
    return p->unit->drive && (p->scr_ctl & SCTL_DET) != SCTL_DET_INIT ? SSTS_PRESENT : 0;
}

/* What is under way is given up; the unit starts anew and will send its signature. */
static void reset_unit(AhciPort *p)
{
    trace(ahci_reset_port, "ahci(%p)[%u]: reset port", (void *)p->ahci, p->number);
    ahci_ncq_cancel(p);
    p->busy_slot = -1;
    p->position_lost = false;
    ide_unit_reset(p->unit);
    p->unit->reset_pending = p->unit->orphans > 0;
    p->bus->control = 0;
    p->unit->error = p->unit->drive != NULL; /* diagnostics passed: part of the signature */
    p->init_d2h_sent = false;
    p->scr_act = p->cmd_issue = 0;
    p->scr_err = 0;
    p->tfdata = TFD_RESET;
    p->sig = ahci_port_signature(p);
    p->scr_stat = link_status(p);
    p->cmd = p->unit->drive && p->unit->drive->cd ? p->cmd | CMD_ATAPI : p->cmd & ~CMD_ATAPI;
    ahci_port_kick(p);
}

static void reset_port(AhciPort *p)
{
    p->lst_addr = p->lst_addr_hi = p->fis_addr = p->fis_addr_hi = 0;
    p->irq_stat = p->irq_mask = 0;
    p->cmd = CMD_RESET;
    p->scr_ctl = 0;
    p->port_state = p->finished = 0;
    p->done_first_drq = false;
    reset_unit(p);
}

static uint32_t px_read(AhciPort *p, unsigned offset)
{
    switch (offset) {
    case PXCLB:
        return p->lst_addr;
    case PXCLBU:
        return p->lst_addr_hi;
    case PXFB:
        return p->fis_addr;
    case PXFBU:
        return p->fis_addr_hi;
    case PXIS:
        return p->irq_stat;
    case PXIE:
        return p->irq_mask;
    case PXCMD:
        return p->cmd;
    case PXTFD:
        return p->tfdata;
    case PXSIG:
        return p->sig;
    case PXSSTS:
        return link_status(p);
    case PXSCTL:
        return p->scr_ctl;
    case PXSERR:
        return p->scr_err;
    case PXSACT:
        return p->scr_act;
    case PXCI:
        return p->cmd_issue;
    default:
        return 0;
    }
}

static void command_write(AhciPort *p, uint32_t value)
{
    uint32_t was = p->cmd;

    p->cmd = (was & ~CMD_WRITABLE) | (value & CMD_WRITABLE);
    p->cmd = (p->cmd & ~(CMD_CR | CMD_FR)) | (value & CMD_ST ? CMD_CR : 0) |
             (value & CMD_FRE ? CMD_FR : 0);
    if (value & CMD_CLO) { /* read as over at once */
        p->tfdata &= ~(IDE_BSY | IDE_DRQ);
    }
    if (was & CMD_ST && !(value & CMD_ST)) { /* 10.3.1: what is under way comes to nothing */
        p->cmd_issue = p->scr_act = 0;
        p->cmd &= ~CMD_CCS;
        if (p->busy_slot >= 0 || ahci_ncq_active(p)) {
            ahci_ncq_cancel(p);
            ide_cancel(p->unit);
            p->unit->reset_pending = p->unit->orphans > 0;
            p->unit->status = IDE_READY;
            p->busy_slot = -1;
        }
    }
    ahci_port_kick(p);
}

/* COMRESET while DET is 1; the device is there again when it is 0. */
static void control_write(AhciPort *p, uint32_t value)
{
    bool was = (p->scr_ctl & SCTL_DET) == SCTL_DET_INIT, is = (value & SCTL_DET) == SCTL_DET_INIT;

    p->scr_ctl = value;
    if (is) {
        p->scr_stat = 0;
    } else if (was) {
        reset_unit(p);
    }
}

static void px_write(AhciPort *p, unsigned offset, uint32_t value)
{
    switch (offset) {
    case PXCLB:
        p->lst_addr = value & CLB_MASK;
        break;
    case PXCLBU:
        p->lst_addr_hi = value;
        break;
    case PXFB:
        p->fis_addr = value & FB_MASK;
        break;
    case PXFBU:
        p->fis_addr_hi = value;
        break;
    case PXIS:
        p->irq_stat &= ~value;
        update_irq(p->ahci);
        break;
    case PXIE:
        p->irq_mask = value & IE_MASK;
        update_irq(p->ahci);
        break;
    case PXCMD:
        command_write(p, value);
        break;
    case PXSCTL:
        control_write(p, value);
        break;
    case PXSERR:
        p->scr_err &= ~value;
        break;
    case PXSACT:
        p->scr_act |= p->cmd & CMD_ST ? value : 0;
        break;
    case PXCI:
        p->cmd_issue |= p->cmd & CMD_ST ? value : 0;
        ahci_port_kick(p);
        break;
    }
}

/* ---- HBA registers -------------------------------------------------------------------------------------------------------- */

static void reset_hba(Ahci *s)
{
    s->ghc = GHC_AHCI;
    s->irqstatus = 0;
    for (unsigned n = 0; n < AHCI_PORTS; n++) {
        reset_port(&s->port[n]);
    }
    update_irq(s);
}

static void hba_write(Ahci *s, unsigned offset, uint32_t value)
{
    switch (offset) {
    case HBA_GHC:
        if (value & GHC_RESET) {
            reset_hba(s);
            return;
        }
        s->ghc = GHC_AHCI | (value & GHC_INTERRUPTS);
        update_irq(s);
        break;
    case HBA_IS:
        s->irqstatus &= ~value;
        s->line &= s->irqstatus != 0; /* what comes now, or is still there, is news */
        update_irq(s);
        break;
    }
}

static uint32_t hba_read(const Ahci *s, unsigned offset)
{
    switch (offset) {
    case HBA_CAP:
        return s->cap;
    case HBA_GHC:
        return s->ghc;
    case HBA_IS:
        return s->irqstatus;
    case HBA_PI:
        return s->impl;
    case HBA_VS:
        return s->version;
    default:
        return 0;
    }
}

static uint64_t register_read(void *opaque, hwaddr offset, unsigned size)
{
    Ahci *s = opaque;
    unsigned n = (offset - PORTS_AT) / PORT_SIZE;
    uint32_t value = 0;

    if (offset < PORTS_AT) {
        value = hba_read(s, offset);
        trace(ahci_mem_read, "ahci(%p): mem read @ 0x%" PRIx64 ": 0x%08x", opaque, (uint64_t)offset,
              value);
    } else if (n < AHCI_PORTS) {
        value = px_read(&s->port[n], offset % PORT_SIZE);
        trace(ahci_port_read, "ahci(%p)[%u]: port read @ 0x%x: 0x%08x", opaque, n,
              (unsigned)offset % PORT_SIZE, value);
    }
    return value;
}

static void register_write(void *opaque, hwaddr offset, uint64_t value, unsigned size)
{
    Ahci *s = opaque;
    unsigned n = (offset - PORTS_AT) / PORT_SIZE;

    if (offset < PORTS_AT) {
        trace(ahci_mem_write, "ahci(%p): mem write @ 0x%" PRIx64 ": 0x%08x", opaque,
              (uint64_t)offset, (uint32_t)value);
        hba_write(s, offset, value);
    } else if (n < AHCI_PORTS) {
        trace(ahci_port_write, "ahci(%p)[%u]: port write @ 0x%x: 0x%08x", opaque, n,
              (unsigned)offset % PORT_SIZE, (uint32_t)value);
        px_write(&s->port[n], offset % PORT_SIZE, value);
    }
}

static const MemoryOps register_ops = {
    .read = register_read,
    .write = register_write,
    .valid = { .min_size = 1, .max_size = 8 },
    .impl = { .min_size = 4, .max_size = 4 },
};

/* The same registers from real mode (ICH9 14.3.3). */
static uint64_t index_read(void *opaque, hwaddr offset, unsigned size)
{
    Ahci *s = opaque;

    return offset == INDEX_PORT  ? s->idp_index
           : offset == DATA_PORT ? register_read(s, s->idp_index, 4)
                                 : 0;
}

static void index_write(void *opaque, hwaddr offset, uint64_t value, unsigned size)
{
    Ahci *s = opaque;

    if (offset == INDEX_PORT) {
        s->idp_index = value & (REGISTERS_SIZE - 4);
    } else if (offset == DATA_PORT) {
        register_write(s, s->idp_index, value, 4);
    }
}

static const MemoryOps index_ops = {
    .read = index_read,
    .write = index_write,
    .valid = { .min_size = 1, .max_size = 4 },
    .impl = { .min_size = 4, .max_size = 4 },
};

/* ---- life cycle ------------------------------------------------------------------------------------------------------------- */

static void vm_state_changed(void *opaque, bool running, VmRunState state)
{
    Ahci *s = opaque;

    for (unsigned n = 0; running && n < AHCI_PORTS; n++) {
        ahci_ncq_go_on(&s->port[n]);
        ahci_port_kick(&s->port[n]);
    }
}

static QuiesceResult quiesce(void *opaque, GError **error)
{
    Ahci *s = opaque;

    for (unsigned n = 0; n < AHCI_PORTS; n++) {
        ahci_ncq_park(&s->port[n]);
    }
    return QUIESCE_DONE;
}

static const QuiesceOps quiesce_ops = { .name = "ahci", .quiesce = quiesce };

static void ahci_reset(PciDevice *pci)
{
    Ahci *s = (Ahci *)pci;

    for (unsigned n = 0; n < AHCI_PORTS; n++) {
        ahci_ncq_cancel(&s->port[n]);
        ide_bus_hard_reset(s->port[n].bus);
    }
    s->idp_index = 0;
    msi_reset(pci);
    reset_hba(s);
}

/* Messages were switched on or off: so is the pin. */
static void ahci_config_written(PciDevice *pci, unsigned addr, unsigned len)
{
    if (addr < MSI_OFFSET + 4 && addr + len > MSI_OFFSET) {
        update_irq((Ahci *)pci);
    }
}

static void port_init(Ahci *s, unsigned n)
{
    AhciPort *p = &s->port[n];

    p->ahci = s;
    p->number = n;
    p->bus = ide_bus_new(&s->pci.device, n, NULL, &ahci_dma_ops, p);
    ide_bus_set_units(p->bus, 1);
    p->bus->queue_depth = AHCI_SLOTS;
    p->unit = &p->bus->units[0];
    p->run = bh_new(NULL, "ahci", run_bh, p);
    p->gathered = g_array_new(false, false, sizeof(AhciSegment));
    p->busy_slot = -1;
}

static bool ahci_realize(PciDevice *pci, GError **error)
{
    Ahci *s = (Ahci *)pci;
    Object *owner = &pci->device.object;

    if (!pci_add_capability(pci, SATA_CAPABILITY, SATA_OFFSET, SATA_SIZE, error) ||
        !msi_init(pci, MSI_OFFSET, error)) {
        return false;
    }
    store_le16(pci->config + SATA_OFFSET + 2, 0x0010);     /* revision 1.0 */
    store_le32(pci->config + SATA_OFFSET + 4, 0x00000048); /* index and data are at 10h in BAR 4 */
    pci->config[0x90] = 0x40;                              /* MAP: AHCI mode */
    s->cap = CAPABILITIES;
    s->impl = (1u << AHCI_PORTS) - 1;
    s->version = VERSION;
    s->ports = AHCI_PORTS;
    for (unsigned n = 0; n < AHCI_PORTS; n++) {
        port_init(s, n);
    }
    s->registers = memory_region_new_io(owner, &register_ops, s, "ahci", REGISTERS_SIZE);
    s->index_ports = memory_region_new_io(owner, &index_ops, s, "ahci-idp", INDEX_BAR_SIZE);
    pci_set_bar(pci, INDEX_BAR, PCI_BAR_SPACE_IO, s->index_ports, INDEX_BAR_SIZE);
    pci_set_bar(pci, REGISTERS_BAR, 0, s->registers, REGISTERS_SIZE);
    s->vm_state = vm_state_add_handler(vm_state_changed, s, 0);
    s->quiesce = quiesce_register(&quiesce_ops, s);
    reset_hba(s);
    return true;
}

static void ahci_unrealize(PciDevice *pci)
{
    Ahci *s = (Ahci *)pci;

    vm_state_del_handler(s->vm_state);
    quiesce_unregister(s->quiesce);
    for (unsigned n = 0; n < AHCI_PORTS; n++) {
        bh_delete(s->port[n].run);
        g_array_free(s->port[n].gathered, true);
    }
    memory_region_free(s->registers);
    memory_region_free(s->index_ports);
}

/*
 * ---- migration notes ----
 *
 * Registers, and the unit's state as on every channel. When a stream is written, block I/O is over: a command that is not
 * queued has ended or stands still with busy_slot (the unit's retry state says how it goes on), queued ones have ended or are
 * halted and begin again. Issued commands that nobody has fetched are in cmd_issue and are fetched when the VM runs. How far a
 * PIO command is, PRDBC in its header says, which is in guest memory.
 */
static bool valid_slot(const void *opaque, int64_t value)
{
    return value >= -1 && value < AHCI_SLOTS;
}

static bool valid_tag(const void *opaque, int64_t value)
{
    return value >= 0 && value < AHCI_SLOTS;
}

static bool valid_count(const void *opaque, int64_t value)
{
    return value >= 0 && value <= 65536;
}

static const VmState vmstate_ncq = {
    .name = "ncq state",
    .version = 1,
    .minimum_version = 1,
    .fields = (const VmField[]){ { .name = "sector_count",
                                   .offset = VM_CHECKED_OFFSET(AhciNcq, sector_count, uint32_t),
                                   .size = 4,
                                   .kind = &vm_kind_u32,
                                   .valid = valid_count },
                                 VM_U64(AhciNcq, lba),
                                 { .name = "tag",
                                   .offset = VM_CHECKED_OFFSET(AhciNcq, tag, uint8_t),
                                   .size = 1,
                                   .kind = &vm_kind_u8,
                                   .valid = valid_tag },
                                 VM_U8(AhciNcq, cmd),
                                 { .name = "slot",
                                   .offset = VM_CHECKED_OFFSET(AhciNcq, slot, uint8_t),
                                   .size = 1,
                                   .kind = &vm_kind_u8,
                                   .valid = valid_tag },
                                 VM_BOOL(AhciNcq, used),
                                 VM_BOOL(AhciNcq, halt),
                                 VM_END },
};

static const VmState vmstate_port = {
    .name = "ahci port",
    .version = 1,
    .minimum_version = 1,
    .fields =
        (const VmField[]){
            VM_NAMED_STRUCT_POINTER("port", AhciPort, bus, ide_bus_vmstate, IdeBus),
            VM_NAMED_STRUCT_POINTER("port.ifs[0]", AhciPort, unit, ide_drive_vmstate, IdeUnit),
            VM_U32(AhciPort, port_state),
            VM_U32(AhciPort, finished),
            VM_NAMED("port_regs.lst_addr", u32, uint32_t, AhciPort, lst_addr),
            VM_NAMED("port_regs.lst_addr_hi", u32, uint32_t, AhciPort, lst_addr_hi),
            VM_NAMED("port_regs.fis_addr", u32, uint32_t, AhciPort, fis_addr),
            VM_NAMED("port_regs.fis_addr_hi", u32, uint32_t, AhciPort, fis_addr_hi),
            VM_NAMED("port_regs.irq_stat", u32, uint32_t, AhciPort, irq_stat),
            VM_NAMED("port_regs.irq_mask", u32, uint32_t, AhciPort, irq_mask),
            VM_NAMED("port_regs.cmd", u32, uint32_t, AhciPort, cmd),
            VM_NAMED("port_regs.tfdata", u32, uint32_t, AhciPort, tfdata),
            VM_NAMED("port_regs.sig", u32, uint32_t, AhciPort, sig),
            VM_NAMED("port_regs.scr_stat", u32, uint32_t, AhciPort, scr_stat),
            VM_NAMED("port_regs.scr_ctl", u32, uint32_t, AhciPort, scr_ctl),
            VM_NAMED("port_regs.scr_err", u32, uint32_t, AhciPort, scr_err),
            VM_NAMED("port_regs.scr_act", u32, uint32_t, AhciPort, scr_act),
            VM_NAMED("port_regs.cmd_issue", u32, uint32_t, AhciPort, cmd_issue),
            VM_BOOL(AhciPort, done_first_drq),
            { .name = "busy_slot",
              .offset = VM_CHECKED_OFFSET(AhciPort, busy_slot, int32_t),
              .size = 4,
              .kind = &vm_kind_i32,
              .valid = valid_slot },
            VM_BOOL(AhciPort, init_d2h_sent),
            VM_NAMED_STRUCT_ARRAY("ncq_tfs", AhciPort, ncq, AHCI_SLOTS, vmstate_ncq, AhciNcq),
            VM_END },
};

static bool unit_waits(const IdeUnit *u)
{
    return u->phase == IDE_STOPPED || u->phase == IDE_DMA_WAIT;
}

static bool port_loaded(AhciPort *p, GError **error)
{
    if (!ide_bus_loaded(p->bus, error)) {
        return false;
    }
    p->position_lost = p->busy_slot >= 0;
    if (p->unit->drive && (p->busy_slot >= 0) != unit_waits(p->unit)) {
        return error_set(error,
                         "AHCI port %u: slot %" PRId32 " and the unit's state do not fit together",
                         p->number, p->busy_slot);
    }
    for (unsigned i = 0; i < AHCI_SLOTS; i++) {
        const AhciNcq *tf = &p->ncq[i];

        if (tf->used && (!p->unit->drive || p->unit->drive->cd || tf->tag != i ||
                         tf->sector_count == 0 || (tf->cmd != 0x60 && tf->cmd != 0x61) ||
                         !ata_range_valid(p->unit, tf->lba, tf->sector_count))) {
            return error_set(error, "AHCI port %u: queued command %u does not fit the drive",
                             p->number, i);
        }
    }
    return true;
}

static bool ahci_post_load(void *opaque, int version, GError **error)
{
    Ahci *s = opaque;

    for (unsigned n = 0; n < AHCI_PORTS; n++) {
        if (!port_loaded(&s->port[n], error)) {
            return false;
        }
    }
    s->line = s->irqstatus && s->ghc & GHC_INTERRUPTS;
    return true;
}

static const VmState vmstate_ahci = {
    .name = "ahci",
    .version = 1,
    .minimum_version = 1,
    .fields = (const VmField[]){ VM_NAMED_STRUCT_ARRAY("dev", Ahci, port, AHCI_PORTS, vmstate_port,
                                                       AhciPort),
                                 VM_NAMED("control_regs.cap", u32, uint32_t, Ahci, cap),
                                 VM_NAMED("control_regs.ghc", u32, uint32_t, Ahci, ghc),
                                 VM_NAMED("control_regs.irqstatus", u32, uint32_t, Ahci, irqstatus),
                                 VM_NAMED("control_regs.impl", u32, uint32_t, Ahci, impl),
                                 VM_NAMED("control_regs.version", u32, uint32_t, Ahci, version),
                                 VM_U32(Ahci, idp_index),
                                 { .name = "ports",
                                   .offset = offsetof(Ahci, ports),
                                   .size = 4,
                                   .kind = &vm_kind_equal_i32 },
                                 VM_END },
};

static const VmState vmstate_ich9_ahci = {
    .name = "ich9_ahci",
    .version = 1,
    .minimum_version = 1,
    .post_load = ahci_post_load,
    .fields =
        (const VmField[]){
            VM_NAMED_STRUCT("parent_obj", Ahci, pci, vmstate_pci_device, PciDevice),
            { .name = "ahci", .offset = 0, .size = sizeof(Ahci), .vmstate = &vmstate_ahci },
            VM_END },
};

/* ---- registration --------------------------------------------------------------------------------------------------------- */

IdeBus *ahci_port_bus(Device *controller, unsigned n)
{
    return n < AHCI_PORTS ? ((Ahci *)controller)->port[n].bus : NULL;
}

static const PciDeviceOps ich9_ahci_ops = {
    .vendor_id = PCI_VENDOR_INTEL,
    .device_id = 0x2922,
    .class_id = 0x0106,
    .prog_if = 0x01,
    .revision = 0x02,
    .interrupt_pin = 1,
    .realize = ahci_realize,
    .unrealize = ahci_unrealize,
    .reset = ahci_reset,
    .config_written = ahci_config_written,
};

static const DeviceType ich9_ahci_type = {
    .object = {
        .name = "ich9-ahci",
        .parent = &pci_device_type.object,
        .size = sizeof(Ahci),
    },
    .category = DEVICE_CATEGORY_STORAGE,
    .not_hotpluggable = true,
    .migration = MIGRATES_WITH(vmstate_ich9_ahci),
    .ops = &ich9_ahci_ops,
};
DEVICE_REGISTER(ich9_ahci_type);
