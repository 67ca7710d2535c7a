/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Hot plug by ACPI: registers that the AML reads when the general-purpose event comes. PCI slots (published text "QEMU
 * <-> ACPI BIOS PCI hotplug interface") and processors ("QEMU <-> ACPI BIOS CPU hotplug interface"). Big lock.
 */
#ifndef HW_ACPI_HOTPLUG_H
#define HW_ACPI_HOTPLUG_H

#include "hw/acpi/pm.h"
#include "hw/pci/pci.h"

#define ACPI_PCI_HOTPLUG_SIZE 0x18
#define ACPI_PCI_HOTPLUG_BUSES 256
#define ACPI_CPU_HOTPLUG_SIZE 12
#define ACPI_CPU_HOTPLUG_LEGACY_SIZE 32

/* ---- PCI ----------------------------------------------------------------------------------------------------------- */

typedef struct AcpiPciSlots {
    uint32_t up;   /* plugged; reading it clears */
    uint32_t down; /* to be ejected */
} AcpiPciSlots;

typedef struct AcpiPciHotplug {
    AcpiPm *pm;
    PciBus *bus;         /* number 0; there are no others */
    uint32_t select;     /* bus that the guest looks at */
    uint32_t acpi_index; /* of the slot that it asked for last */
    AcpiPciSlots slots[ACPI_PCI_HOTPLUG_BUSES];
    MemoryRegion *ports;
} AcpiPciHotplug;

/* Makes the bus hot-pluggable, with the registers at the port. */
void acpi_pci_hotplug_init(AcpiPciHotplug *hp, Object *owner, PciBus *bus, uint16_t port, AcpiPm *pm);
void acpi_pci_hotplug_cleanup(AcpiPciHotplug *hp);
/* Devices that wait for the guest are taken away, as its firmware will not find them. */
void acpi_pci_hotplug_reset(AcpiPciHotplug *hp);

extern const VmState vmstate_acpi_pci_slots;        /* as the PIIX4 sends them */
extern const VmState vmstate_acpi_pci_bridge_slots; /* as the ICH9 does */

/* ---- processors ------------------------------------------------------------------------------------------------------ */

typedef struct AcpiCpu {
    bool is_inserting, is_removing;
    uint32_t ost_event, ost_status;
} AcpiCpu;

/* What the board knows of its processors. */
typedef struct AcpiCpuOps {
    bool (*present)(void *opaque, unsigned n);
    uint64_t (*arch_id)(void *opaque, unsigned n); /* APIC id */
    void (*eject)(void *opaque, unsigned n);       /* the guest has let go */
} AcpiCpuOps;

typedef struct AcpiCpuHotplug {
    AcpiPm *pm;
    const AcpiCpuOps *ops;
    void *opaque;
    bool modern; /* the guest has switched to the registers of the text above */
    uint32_t select;
    uint8_t command;
    uint32_t count;
    AcpiCpu *cpus; /* count */
    MemoryRegion *legacy, *registers;
} AcpiCpuHotplug;

void acpi_cpu_hotplug_init(AcpiCpuHotplug *hp, Object *owner, unsigned count, const AcpiCpuOps *ops,
                           void *opaque, uint16_t port, AcpiPm *pm);
void acpi_cpu_hotplug_cleanup(AcpiCpuHotplug *hp);
/* Switches without a guest (after a load). */
void acpi_cpu_hotplug_set_modern(AcpiCpuHotplug *hp, bool modern);
/* A processor came while the machine runs; one is to go when the guest agrees. */
void acpi_cpu_hotplug_plugged(AcpiCpuHotplug *hp, unsigned n);
void acpi_cpu_hotplug_unplug_request(AcpiCpuHotplug *hp, unsigned n);

/* Whose processors query-acpi-ospm-status tells of; NULL: nobody's. */
void acpi_report_cpus(AcpiCpuHotplug *hp);

extern const VmState vmstate_acpi_cpu_hotplug;

/* The selector of memory hot plug: of registers that exist with slots for memory only, and that streams have nevertheless. */
extern const VmState vmstate_acpi_memory_hotplug;

#endif
