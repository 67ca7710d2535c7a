/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * VM generation ID (Microsoft, "Virtual Machine Generation ID"): a GUID in guest memory that is another one when the
 * guest may have run before, as after a snapshot was loaded. Big lock.
 *
 * Firmware puts the blob VMGENID_GUID_FILE into memory and writes the address of its GUID (at VMGENID_GUID_OFFSET) to
 * VMGENID_ADDR_FILE, as the table loader's script tells it; the ACPI device reads the address from there.
 */
#ifndef HW_MISC_VMGENID_H
#define HW_MISC_VMGENID_H

#include "hw/core/device.h"

#define VMGENID_GUID_FILE "etc/vmgenid_guid"
#define VMGENID_ADDR_FILE "etc/vmgenid_addr"
#define VMGENID_GUID_OFFSET 40
#define VMGENID_BLOB_SIZE 4096

/* The machine's; NULL if it has none. */
Device *vmgenid_find(void);
/* How the guest is told that the GUID has changed (ACPI's general purpose event 5). Set by the board. */
void vmgenid_set_notify(void (*notify)(void *opaque), void *opaque);

#endif
