/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Private to hw/acpi: devices that the guest lets go of. */
#ifndef ACPI_EJECT_H
#define ACPI_EJECT_H

#include <glib.h>

/*
 * Calls func(opaque, value) in the main thread, where alone a device may be taken away: at once if the caller is there. From the thread of
 * a processor that is to go itself, or that is not to wait for the device's requests, it comes soon; the processor is held until then
 * (DESIGN P3). opaque lives as long as the program. Big lock.
 */
void acpi_eject(void (*func)(void *opaque, uint32_t value), void *opaque, uint32_t value);

#endif
