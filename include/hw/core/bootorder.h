/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What is booted from: -boot, and the devices that have a boot index. Big lock.
 *
 * B1  No two devices have the same index.
 * B2  The list that the firmware gets is made when the machine is reset: an index set by qom-set counts from the next
 *     reset on.
 */
#ifndef HW_CORE_BOOTORDER_H
#define HW_CORE_BOOTORDER_H

#include "hw/core/device.h"

/* -boot. Owned by the machine; strings may be NULL. */
typedef struct BootOptions {
    char *order;  /* letters; NULL: the board's default */
    char *once;   /* for the first boot only */
    char *splash; /* file */
    bool menu, strict;
    bool has_splash_time, has_reboot_timeout;
    int64_t splash_time;    /* ms */
    int64_t reboot_timeout; /* ms; -1: never */
} BootOptions;

/* Whether each letter is one of a…p and none comes twice. */
bool boot_order_check(const char *order, GError **error);

/*
 * Gives dev an index; a negative one takes it out. suffix is a part of the device that has an index of its own
 * ("/floppy@0"), NULL: the device itself. It is copied. Fails when something else has the index (B1). The kind
 * property_bootindex does this, with the property's arg as suffix.
 */
bool boot_index_set(Device *dev, int32_t index, const char *suffix, GError **error);
/* The firmware finds the device itself (suffix NULL above) at target's path with suffix behind it: a disk that its bridge
 * has made, or "/disk@0" of a drive. target may be dev. Forgotten when dev goes. */
void boot_index_redirect(Device *dev, Device *target, const char *suffix);
/* Something without a device that is booted from: "/rom@genroms/x.rom". path is copied. */
bool boot_index_set_path(const char *path, int32_t index, GError **error);
/* Takes out all that dev has; hw/core does it when a device goes. */
void boot_index_remove(Device *dev);

/* The firmware's list: device paths in order of their index, each followed by a newline but the last, which is
 * followed by a NUL; "HALT" as the last one if strict. Empty if there is nothing to say. */
GByteArray *boot_order_list(bool strict);
/* The device's path as the firmware finds it: "/pci@i0cf8/usb@1,2/storage@1/channel@0/disk@0,0"; new string. */
char *device_firmware_path(const Device *dev, const char *suffix);

#endif
