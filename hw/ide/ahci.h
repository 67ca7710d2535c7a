/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What the files of the AHCI controller share (Serial ATA AHCI 1.3.1). A port is an IDE channel with one unit, whose registers the
 * guest writes in the form of FISes in memory and whose data go through a table of regions in place of a bus master.
 *
 * A1  Commands are fetched and run in the main thread only (ahci_port_run), while the VM runs. What the guest has issued and
 *     nobody has fetched is in PxCI and PxSACT and nowhere else.
 * A2  At most one command that is not queued is under way: busy_slot. Queued ones (NCQ) run beside each other, and not
 *     beside that one.
 * A3  Nothing of a command is kept but its slot: table and position are read from memory again when it goes on.
 */
#ifndef HW_IDE_AHCI_H
#define HW_IDE_AHCI_H

#include "hw/pci/pci.h"
#include "ide-private.h"

#define AHCI_PORTS 6
#define AHCI_SLOTS 32

enum {                         /* PxIS and PxIE (3.3.5) */
       AHCI_IS_DHRS = 1 << 0,  /* register FIS */
       AHCI_IS_PSS = 1 << 1,   /* PIO setup FIS */
       AHCI_IS_SDBS = 1 << 3,  /* set device bits FIS */
       AHCI_IS_OFS = 1 << 24,  /* more data than the table has room for */
       AHCI_IS_HBFS = 1 << 29, /* memory that cannot be reached */
       AHCI_IS_TFES = 1 << 30, /* the command ended with an error */
};

typedef struct Ahci Ahci;
typedef struct AhciPort AhciPort;
typedef struct NcqRequest NcqRequest;

/* A queued command. */
typedef struct AhciNcq {
    uint32_t sector_count;
    uint64_t lba;
    uint8_t tag, cmd, slot;
    bool used;
    bool halt;           /* waits for the VM to run again */
    NcqRequest *request; /* in flight */
} AhciNcq;

typedef struct AhciSegment {
    uint64_t addr;
    uint32_t len;
} AhciSegment;

struct AhciPort {
    Ahci *ahci;
    unsigned number;
    IdeBus *bus;
    IdeUnit *unit; /* of the bus: 0 */
    Bh *run;

    /* Registers (3.3). */
    uint32_t lst_addr, lst_addr_hi, fis_addr, fis_addr_hi, irq_stat, irq_mask, cmd, tfdata, sig,
        scr_stat, scr_ctl, scr_err, scr_act, cmd_issue;
    int32_t busy_slot;  /* -1: none (A2) */
    bool init_d2h_sent; /* the signature has been sent since the last reset */
    AhciNcq ncq[AHCI_SLOTS];
    unsigned orphans; /* queued requests that were given up and are not over */

    /* Of the command in busy_slot. */
    uint64_t position; /* in the data that its table describes */
    GArray *
        gathered; /* AhciSegment: of the piece at hand; shorter than it if the table is too short */
    bool overflow, fault;
    bool in_advance;
    bool position_lost; /* after a load: PRDBC has it */

    /* In the stream and not used. */
    uint32_t port_state, finished;
    bool done_first_drq;
};

struct Ahci {
    PciDevice pci;
    AhciPort port[AHCI_PORTS];
    uint32_t cap, ghc, irqstatus, impl, version, idp_index;
    int32_t ports;
    bool line; /* what the interrupt pin, or the last message, says */
    MemoryRegion *registers, *index_ports;
    VmStateEntry *vm_state;
    QuiesceEntry *quiesce;
};

/* ---- ahci.c ---- */

/* Raises bits of PxIS, and the interrupt that follows from it. */
void ahci_port_interrupt(AhciPort *p, uint32_t bits);
uint64_t ahci_command_list(const AhciPort *p);
/* What PxSIG says after the first FIS of the drive. */
uint32_t ahci_port_signature(const AhciPort *p);
/* Where a received FIS goes (4.2.1); false while FIS reception is off. */
bool ahci_fis_area(const AhciPort *p, uint64_t *addr);
/* Lets ahci_port_run() run soon. Any thread. */
void ahci_port_kick(AhciPort *p);

/* ---- ahci-command.c ---- */

extern const IdeDmaOps ahci_dma_ops; /* opaque: AhciPort */
/* A1: everything that can begin or go on. */
void ahci_port_run(AhciPort *p);
/* Register FIS, device to host: status and error of the unit, and PxTFD. */
void ahci_send_d2h(AhciPort *p, bool interrupt);
/* The regions [from, from + want) of a slot's table; false: it cannot be read. Less than `want`: it ends before. */
bool ahci_gather(AhciPort *p, unsigned slot, uint64_t from, uint64_t want, GArray *segments);
/* Moves data through segments; what they have no room for is dropped, or zero. False: some of it could not be reached. */
bool ahci_move(AhciPort *p, const GArray *segments, uint8_t *buf, uint64_t len, bool to_memory);
/* PRDBC of a slot (4.2.2). */
void ahci_set_transferred(AhciPort *p, unsigned slot, uint32_t bytes);

/* ---- ahci-ncq.c ---- */

/* READ or WRITE FPDMA QUEUED (ATA8-ACS 7.32, 7.64) from a register FIS. */
void ahci_ncq_start(AhciPort *p, unsigned slot, const uint8_t *fis);
bool ahci_ncq_active(const AhciPort *p);
/* Those that were halted begin again. */
void ahci_ncq_go_on(AhciPort *p);
/* Gives them up. */
void ahci_ncq_cancel(AhciPort *p);
/* Requests that wait because the medium is somebody else's are halted. Main thread, with the VM stopped. */
void ahci_ncq_park(AhciPort *p);

#endif
