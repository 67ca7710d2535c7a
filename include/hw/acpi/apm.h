/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Advanced power management control and status (ports B2h, B3h): how ACPI mode is switched on, by an SMI. Big lock. */
#ifndef HW_ACPI_APM_H
#define HW_ACPI_APM_H

#include "system/memory.h"
#include "vmstate/vmstate.h"

typedef struct AcpiApm {
    uint8_t apmc, apms;
    void (*command)(void *opaque, uint8_t value);
    void *opaque;
    MemoryRegion *ports;
} AcpiApm;

/* Maps the ports; command is called at each write to B2h, when the register has its value. */
void acpi_apm_init(AcpiApm *apm, Object *owner, void (*command)(void *opaque, uint8_t value),
                   void *opaque);
void acpi_apm_cleanup(AcpiApm *apm);
extern const VmState vmstate_acpi_apm;

#endif
