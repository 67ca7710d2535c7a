/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The fixed hardware of ACPI (ACPI 6.3, chapter 4.8): PM1 event and control registers, power management timer, one
 * general-purpose event block. Embedded in the chip that has them. Big lock.
 *
 * A1  The SCI is high exactly while an enabled PM1 or general-purpose event is set.
 * A2  TMR_STS is set from the time on that `overflow_time` (in ticks) names; clearing it computes the next one.
 */
#ifndef HW_ACPI_PM_H
#define HW_ACPI_PM_H

#include "hw/core/irq.h"
#include "system/memory.h"
#include "util/clock.h"
#include "vmstate/vmstate.h"

#define ACPI_PM_TIMER_HZ 3579545

enum { /* PM1_STS and PM1_EN */
       ACPI_PM1_TIMER = 1 << 0,
       ACPI_PM1_GLOBAL = 1 << 5,
       ACPI_PM1_POWER_BUTTON = 1 << 8,
       ACPI_PM1_RTC = 1 << 10,
       ACPI_PM1_WAKE = 1 << 15, /* status only */
};
enum { /* PM1_CNT */
       ACPI_PM1_SCI_EN = 1 << 0,
       ACPI_PM1_SLEEP_TYPE_SHIFT = 10,
       ACPI_PM1_SLEEP_EN = 1 << 13,
};
enum { /* general-purpose events of the PC */
       ACPI_GPE_PCI_HOTPLUG = 1 << 1,
       ACPI_GPE_CPU_HOTPLUG = 1 << 2,
       ACPI_GPE_MEMORY_HOTPLUG = 1 << 3,
       ACPI_GPE_VMGENID = 1 << 5,
};

/* A bit an event. The PIIX4 has sixteen, the ICH9 sixty-four. */
typedef struct AcpiGpe {
    uint64_t sts, en;
} AcpiGpe;

typedef struct AcpiPm {
    uint16_t sts, en, cnt;
    AcpiGpe gpe;
    unsigned gpe_bytes; /* of status, and of enable bits */
    Timer timer;
    int64_t overflow_time; /* ticks (A2) */
    bool disable_s3, disable_s4;
    uint8_t s4_type; /* value of SLP_TYP that means S4 */
    Irq **sci;       /* where the chip keeps its pin */
    MemoryRegion *event, *control, *timer_port, *gpe_ports;
} AcpiPm;

/* Makes the registers' regions, owned by owner, for the chip to map: event (4 bytes), control (2), timer_port (4), gpe_ports
 * (gpe_bytes of status, as many of enable bits; at most 8 each). */
void acpi_pm_init(AcpiPm *pm, Object *owner, Irq **sci, unsigned gpe_bytes);
/* Frees the regions; timers are off. */
void acpi_pm_cleanup(AcpiPm *pm);
void acpi_pm_reset(AcpiPm *pm);
/* After a load. */
void acpi_pm_loaded(AcpiPm *pm);
/* Brings TMR_STS up to date, before it is saved. */
void acpi_pm_update_status(AcpiPm *pm);
/* ACPI mode on or off, as the SMI command port wants it. */
void acpi_pm_set_sci_enabled(AcpiPm *pm, bool on);
/* Sets general-purpose event bits. */
void acpi_pm_raise_gpe(AcpiPm *pm, uint64_t bits);
/* The power button: an event if the guest has enabled it. */
void acpi_pm_power_button(AcpiPm *pm);
/* The guest wakes from S3 (VmWakeupReason). */
void acpi_pm_woken(AcpiPm *pm, int reason);

extern const VmState vmstate_acpi_gpe; /* of sixteen events */

#endif
