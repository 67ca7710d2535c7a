/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The TCO ("total cost of ownership") block of the ICH9: a watchdog, in 32 ports behind the power management registers. */
#ifndef HW_ACPI_TCO_H
#define HW_ACPI_TCO_H

#include "system/memory.h"
#include "util/clock.h"
#include "vmstate/vmstate.h"

#define TCO_PORTS 32

typedef struct AcpiTco {
    uint16_t rld, sts1, sts2, cnt1, cnt2, tmr;
    uint8_t din, dout, msg1, msg2, wdcnt, sw_irq_gen;
    Timer timer;
    int64_t expire_time; /* ns of the virtual clock; -1 while it stands still */
    uint8_t timeouts;    /* since the last reload: the second one resets */
    bool (*reset_allowed)(void *opaque);
    void *opaque;
    MemoryRegion *ports;
} AcpiTco;

/* reset_allowed is asked at the second time-out (the NO_REBOOT bit). */
void tco_init(AcpiTco *tco, Object *owner, bool (*reset_allowed)(void *opaque), void *opaque);
void tco_cleanup(AcpiTco *tco);
void tco_reset(AcpiTco *tco);
extern const VmState vmstate_tco;

#endif
