/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What the PC boards share. Big lock. */
#ifndef HW_I386_PC_H
#define HW_I386_PC_H

#include "hw/core/machine.h"
#include "hw/isa/isa.h"
#include "hw/pci/pci.h"

#define PC_NUM_GSIS 24
#define PC_FLASH_UNITS 2

typedef struct PcMachine PcMachine;

/* What ACPI tables say of a chip set. */
typedef struct PcAcpiPorts {
    uint32_t pm_base, gpe;              /* as the firmware has placed them by now */
    uint8_t gpe_bytes;                  /* status and enable bits together */
    uint8_t enable, disable;            /* for the SMI command port */
    uint64_t ecam, ecam_size;           /* the window of configuration space; size 0: there is no such thing */
} PcAcpiPorts;

/* How boards with different chips differ for what they share. */
typedef struct PcChipset {
    uint64_t ram_limit, ram_split;      /* up to the first all RAM is below 4 GiB; else the second is the part that is */
    const uint8_t *dsdt, *ssdt_cpu;     /* compiled */
    const size_t *dsdt_len, *ssdt_cpu_len;
    uint32_t hpet_interrupts;           /* a bit an input of the I/O APIC that its timers may use */
    bool floppy_controller;             /* always; else with -drive if=floppy only */
    unsigned first_slot;                /* whose _EJ0 is in the DSDT; 0: no slots are */
    void (*acpi_ports)(const PcMachine *pc, PcAcpiPorts *ports);
    void (*devices_done)(PcMachine *pc); /* when all devices are there; may be NULL */
} PcChipset;

struct PcMachine {
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
    struct IdeBus *ide[2];              /* the channels of the PIIX3; NULL without one */
    Device *fdc;                        /* NULL: none */
    uint64_t ram_below_4g;              /* the rest begins at 4 GiB */
    int smm;                            /* -machine smm=: there is none */
    bool hpet_enabled;                  /* -machine hpet= */
    bool i8042_enabled;
    int pit, vmport;                    /* -machine pit=, vmport=: PROPERTY_OFF, ON, AUTO */
    int acpi;                           /* -machine acpi=: PROPERTY_OFF, else there are tables and what they describe */
    unsigned boot_resets;               /* since the start, as far as -boot once= cares */
    char *smbios_entry_point;           /* -machine smbios-entry-point-type=: "32", "64", "auto" */
    char *flash_node[PC_FLASH_UNITS];   /* -machine pflash0=, pflash1= */
    uint64_t max_fw_size;               /* -machine max-fw-size= */
    Device *flash[PC_FLASH_UNITS];      /* NULL: the firmware is in ROM */
    char *oem_id, *oem_table_id;        /* -machine x-oem-id=, x-oem-table-id= */
    struct AcpiPm *acpi_pm;             /* NULL without ACPI */
    struct AcpiCpuHotplug *cpu_hotplug; /* with acpi_pm */
    const PcChipset *chipset;
    void *chip;                         /* what the chip set's functions want: Piix4Pm or Ich9Lpc */
    void *chip_board;                   /* what it was made with; freed with the machine */
};

extern const ObjectType pc_machine_type;

/* Builds the 440FX/PIIX3 board, or the Q35/ICH9 one (MachineType.init). */
bool pc_i440fx_init(Machine *machine, GError **error);
bool pc_q35_init(Machine *machine, GError **error);

/* Parts. */
/* The default drives, and the floppy controller with its drives. */
bool pc_floppies_init(PcMachine *pc, IsaBus *isa, GError **error);
bool pc_ide_init(PcMachine *pc, GError **error);
/* When all devices are there: what the CMOS says of drives. */
void pc_storage_done(PcMachine *pc);

#endif
