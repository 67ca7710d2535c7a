/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Properties that every device with a drive has (`drive`, block sizes, error policies, …), with
 * QEMU's names, and the binding of device and front that follows from them.
 */
#ifndef HW_CORE_DRIVE_H
#define HW_CORE_DRIVE_H

#include "block/backend.h"
#include "hw/core/device.h"

typedef struct DriveConf {
    BlockFront *front;           /* property `drive`; NULL: none given */
    uint32_t logical_block_size; /* 0 before drive_conf_block_sizes(): the default */
    uint32_t physical_block_size;
    uint32_t min_io_size, opt_io_size;
    uint32_t discard_granularity; /* UINT32_MAX: by the medium */
    int backend_defaults, write_cache, account_invalid, account_failed; /* PROPERTY_ON/OFF/AUTO */
    bool share_rw;
    int rerror, werror; /* BlockdevOnError */
    int32_t bootindex;  /* -1: none */
} DriveConf;

/* Kinds: `drive`; powers of two from 512 to 2 MiB; sizes up to 2 MiB that are multiples of 512 in a
 * uint32_t; sizes that fit a uint32_t; bootindex, whose default is not shown and whose arg is the
 * suffix of hw/core/bootorder.h. */
extern const PropertyKind property_drive, property_block_size, property_size32, property_bootindex;
extern const PropertyEnum property_on_error[];

#define DRIVE_BLOCK_SIZE_TEXT "A power of two between 512 B and 2 MiB"

/* Rows for a type's table; conf is a DriveConf member. */
#define DRIVE_PROPERTIES_BASE(type, conf)                                                      \
    PROPERTY_ON_OFF_AUTO("backend_defaults", type, conf.backend_defaults, "auto", NULL),       \
        PROPERTY("logical_block_size", property_block_size, type, conf.logical_block_size,     \
                 .default_text = "0", .description = DRIVE_BLOCK_SIZE_TEXT),                   \
        PROPERTY("physical_block_size", property_block_size, type, conf.physical_block_size,   \
                 .default_text = "0", .description = DRIVE_BLOCK_SIZE_TEXT),                   \
        PROPERTY("min_io_size", property_size32, type, conf.min_io_size, .default_text = "0"), \
        PROPERTY("opt_io_size", property_size32, type, conf.opt_io_size, .default_text = "0"), \
        PROPERTY("discard_granularity", property_size32, type, conf.discard_granularity,       \
                 .default_text = "4294967295"),                                                \
        PROPERTY_ON_OFF_AUTO("write-cache", type, conf.write_cache, "auto", NULL),             \
        PROPERTY_BOOL("share-rw", type, conf.share_rw, "off", NULL),                           \
        PROPERTY_ON_OFF_AUTO("account-invalid", type, conf.account_invalid, "auto", NULL),     \
        PROPERTY_ON_OFF_AUTO("account-failed", type, conf.account_failed, "auto", NULL)
#define DRIVE_PROPERTIES_ERROR(type, conf)                                    \
    PROPERTY_ENUM("rerror", type, conf.rerror, property_on_error, "auto",     \
                  "Error handling policy (report/ignore/enospc/stop/auto)"),  \
        PROPERTY_ENUM("werror", type, conf.werror, property_on_error, "auto", \
                      "Error handling policy (report/ignore/enospc/stop/auto)")
/* The type's init sets the member to -1: the default is not shown. */
#define DRIVE_PROPERTY_BOOTINDEX(type, conf) \
    PROPERTY("bootindex", property_bootindex, type, conf.bootindex, .flags = PROPERTY_ANY_TIME)
#define DRIVE_PROPERTY_DRIVE(type, conf)                \
    PROPERTY("drive", property_drive, type, conf.front, \
             .description = "Node name or ID of a block device to use as a backend")

/* Fills in the defaults of the block sizes and checks them against each other. Errors in stock's
 * words. */
bool drive_conf_block_sizes(DriveConf *conf, GError **error);
/* Binds dev to conf->front with the policies of conf; the caller has set what it wants of the
 * others in *want (ops, device, read_only, needs_medium, …). */
bool drive_conf_attach(DriveConf *conf, Device *dev, BlockDeviceConf *want, GError **error);
/* Undoes the attachment. The front stays in conf until the property is released. */
void drive_conf_detach(DriveConf *conf);

/* Cylinders, heads and sectors of a disk of that many 512-byte sectors, as PC BIOSes of old saw it;
 * left alone if the user gave them (all three not 0), an error if only some or out of range. */
bool drive_conf_geometry(uint64_t sectors, uint32_t max_heads, uint32_t *cyls, uint32_t *heads,
                         uint32_t *secs, GError **error);

#endif
