/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What the PC boards share. Big lock. */
#ifndef HW_I386_PC_H
#define HW_I386_PC_H

#include "hw/core/machine.h"
#include "hw/isa/isa.h"
#include "hw/pci/pci.h"

#define PC_NUM_GSIS 24

typedef struct PcMachine {
    Machine machine;
    PciBus *pci;
    MemoryRegion *pci_memory;
    Irq *gsi[PC_NUM_GSIS];              /* the first ISA_NUM_IRQS are the ISA lines */
    Irq *pic_inputs[ISA_NUM_IRQS];
    Device *rtc;
    Irq *a20_line;                      /* what ports 60h and 92h drive */
    bool a20;
    Irq *intr;                          /* the 8259 pair's output; NULL where the pair is in the kernel */
    Device *ioapic;                     /* NULL where it is in the kernel */
    struct IdeBus *ide[2];              /* the channels of the PIIX3 */
    Device *fdc;
    uint64_t ram_below_4g;              /* the rest begins at 4 GiB */
    int smm;                            /* -machine smm=: there is none */
    bool hpet_enabled;                  /* -machine hpet= */
    bool i8042_enabled;
    int pit, vmport;                    /* -machine pit=, vmport=: PROPERTY_OFF, ON, AUTO */
    int acpi;                           /* -machine acpi=: PROPERTY_OFF, else there are tables and what they describe */
    unsigned boot_resets;               /* since the start, as far as -boot once= cares */
    char *smbios_entry_point;           /* -machine smbios-entry-point-type=: "32", "64", "auto" */
    char *oem_id, *oem_table_id;        /* -machine x-oem-id=, x-oem-table-id= */
    struct Piix4Pm *pm;                 /* NULL without ACPI */
    struct Piix4PmBoard *pm_board;
} PcMachine;

extern const ObjectType pc_machine_type;

/* Builds the 440FX/PIIX3 board (MachineType.init). */
bool pc_i440fx_init(Machine *machine, GError **error);

/* Its parts, in order. */
/* The default drives, and the floppy controller with its drives. */
bool pc_floppies_init(PcMachine *pc, IsaBus *isa, GError **error);
bool pc_ide_init(PcMachine *pc, GError **error);
/* When all devices are there: what the CMOS says of drives. */
void pc_storage_done(PcMachine *pc);

#endif
