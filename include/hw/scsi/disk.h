/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Disks that an adapter makes by itself. */
#ifndef HW_SCSI_DISK_PUBLIC_H
#define HW_SCSI_DISK_PUBLIC_H

#include "hw/core/drive.h"
#include "hw/scsi/scsi.h"

/*
 * Plugs the drive in conf into lun of bus as scsi-cd (if it was declared media=cdrom) or scsi-hd,
 * in the tree as child `name` of the bus. The front moves from conf to the disk; policies and sizes
 * are copied. serial may be NULL. NULL with an error if it cannot be; the front is gone then, too.
 */
ScsiDevice *scsi_bus_add_disk(ScsiBus *bus, uint32_t lun, const char *name, DriveConf *conf,
                              bool removable, const char *serial, GError **error);

#endif
