/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * usb-storage: a stick or drive with one logical unit, made of its property `drive`. usb-bot: the
 * bare bridge, to which scsi-hd and scsi-cd are plugged as LUNs 0 to 15. Transport: bot.c.
 */
#include "util/osdep.h"
#include "storage.h"

#include "hw/core/bootorder.h"
#include "hw/scsi/disk.h"
#include "util/error.h"

/* ---- descriptors ----------------------------------------------------------------------------- */

enum {
    STRING_MANUFACTURER = 1,
    STRING_PRODUCT,
    STRING_SERIAL,
    STRING_FULL,
    STRING_HIGH,
    STRING_SUPER,
    STRINGS,
};

static const char *const strings[STRINGS] = {
    [STRING_MANUFACTURER] = "QEMU",
    [STRING_PRODUCT] = "QEMU USB HARDDRIVE",
    [STRING_SERIAL] = "1",
    [STRING_FULL] = "Full speed config (usb 1.1)",
    [STRING_HIGH] = "High speed config (usb 2.0)",
    [STRING_SUPER] = "Super speed config (usb 3.0)",
};

#define STORAGE_SPEED(name, packet, burst, usb, packet0, text) \
    static const UsbDescEndpoint name##_endpoints[] = {        \
        { .address = USB_DIR_IN | BOT_IN,                      \
          .attributes = USB_TRANSFER_BULK,                     \
          .max_packet_size = (packet),                         \
          .max_burst = (burst) },                              \
        { .address = USB_DIR_OUT | BOT_OUT,                    \
          .attributes = USB_TRANSFER_BULK,                     \
          .max_packet_size = (packet),                         \
          .max_burst = (burst) },                              \
    };                                                         \
    static const UsbDescInterface name##_interface = {         \
        .class = USB_CLASS_MASS_STORAGE,                       \
        .subclass = 0x06, /* SCSI */                           \
        .protocol = 0x50, /* bulk only */                      \
        .num_endpoints = 2,                                    \
        .endpoints = name##_endpoints,                         \
    };                                                         \
    static const UsbDescConfig name##_config = {               \
        .value = 1,                                            \
        .string = (text),                                      \
        .attributes = 0xc0,                                    \
        .num_interfaces = 1,                                   \
        .num_settings = 1,                                     \
        .interfaces = &name##_interface,                       \
    };                                                         \
    static const UsbDescDevice name##_device = {               \
        .usb_version = (usb),                                  \
        .max_packet_size0 = (packet0),                         \
        .num_configs = 1,                                      \
        .configs = &name##_config,                             \
    };
STORAGE_SPEED(full, 64, 0, 0x0200, 8, STRING_FULL)
STORAGE_SPEED(high, 512, 0, 0x0200, 64, STRING_HIGH)
STORAGE_SPEED(super, 1024, 15, 0x0300, 9, STRING_SUPER)

static const UsbDesc storage_desc = {
    .vendor = 0x46f4,
    .product = 0x0001,
    .device_version = 0,
    .manufacturer_string = STRING_MANUFACTURER,
    .product_string = STRING_PRODUCT,
    .serial_string = STRING_SERIAL,
    .full = &full_device,
    .high = &high_device,
    .super = &super_device,
    .strings = strings,
    .num_strings = STRINGS,
};

/* ---- reset ----------------------------------------------------------------------------------- */

static void storage_bus_reset(UsbDevice *dev)
{
    bot_reset(USB_STORAGE(dev));
}

/* ---- realize --------------------------------------------------------------------------------- */

static void vm_state_changed(void *opaque, bool running, VmRunState state)
{
    if (running) {
        bot_arrived(opaque);
    }
}

static bool bridge_realize(UsbStorage *s, GError **error)
{
    s->bus = scsi_bus_new(&s->usb.device, NULL, &bot_hba_ops, s);
    s->vm_state = vm_state_add_handler(vm_state_changed, s, -1); /* before the disks' own */
    return true;
}

static void bridge_unrealize(UsbStorage *s)
{
    bot_reset(s);
    vm_state_del_handler(s->vm_state);
    s->vm_state = NULL;
    bus_destroy(&s->bus->bus);
    s->bus = NULL;
}

static bool usb_storage_realize(UsbDevice *dev, GError **error)
{
    UsbStorage *s = USB_STORAGE(dev);
    ScsiDevice *disk;

    if (!s->conf.front) {
        return error_set(error, "drive property not set");
    }
    if (!bridge_realize(s, error)) {
        return false;
    }
    disk = scsi_bus_add_disk(s->bus, 0, "legacy[0]", &s->conf, s->removable, dev->serial, error);
    if (!disk) {
        bridge_unrealize(s);
        return false;
    }
    boot_index_redirect(&dev->device, &disk->device, NULL);
    return true;
}

static bool usb_bot_realize(UsbDevice *dev, GError **error)
{
    /* Hot-plugged, it appears to the guest when its LUNs are there: property "attached". */
    dev->attached_writable = true;
    dev->auto_attach = !dev->device.hotplugged;
    return bridge_realize(USB_STORAGE(dev), error);
}

static void storage_unrealize(UsbDevice *dev)
{
    bridge_unrealize(USB_STORAGE(dev));
}

/*
 * ---- migration notes ----
 *
 * See bot.c. The disks below save themselves, the implicit one of usb-storage as well: it is
 * realized, and so registered, before its bridge; those of usb-bot come after theirs. Medium and
 * properties are the command line's.
 */

/* ---- properties, registration ---------------------------------------------------------------- */

static const UsbDeviceOps usb_storage_ops = {
    .product = "QEMU USB MSD",
    .firmware_name = "storage",
    .desc = &storage_desc,
    .realize = usb_storage_realize,
    .unrealize = storage_unrealize,
    .bus_reset = storage_bus_reset,
    .control = bot_control,
    .data = bot_data,
    .cancel = bot_cancel,
};

static const UsbDeviceOps usb_bot_ops = {
    .product = "QEMU USB MSD",
    .firmware_name = "storage",
    .desc = &storage_desc,
    .realize = usb_bot_realize,
    .unrealize = storage_unrealize,
    .bus_reset = storage_bus_reset,
    .control = bot_control,
    .data = bot_data,
    .cancel = bot_cancel,
};

static const Property usb_storage_properties[] = {
    DRIVE_PROPERTY_DRIVE(UsbStorage, conf),
    DRIVE_PROPERTIES_BASE(UsbStorage, conf),
    DRIVE_PROPERTIES_ERROR(UsbStorage, conf),
    DRIVE_PROPERTY_BOOTINDEX(UsbStorage, conf),
    PROPERTY_BOOL("removable", UsbStorage, removable, "off", NULL),
    PROPERTY_BOOL("commandlog", UsbStorage, command_log, "off", NULL),
    { .name = NULL },
};

static void storage_init(Object *obj)
{
    USB_STORAGE(obj)->conf.bootindex = -1;
}

static const DeviceType usb_storage_base_type = {
    .object = {
        .name = "usb-storage-dev",
        .parent = &usb_device_type.object,
        .size = sizeof(UsbStorage),
        .abstract = true,
        .init = storage_init,
    },
    .category = DEVICE_CATEGORY_STORAGE,
    .migration = MIGRATES_WITH(bot_vmstate),
};
DEVICE_REGISTER(usb_storage_base_type)

static const DeviceType usb_storage_type = {
    .object = {
        .name = "usb-storage",
        .parent = &usb_storage_base_type.object,
        .size = sizeof(UsbStorage),
        .properties = usb_storage_properties,
    },
    .ops = &usb_storage_ops,
};
DEVICE_REGISTER(usb_storage_type)

static const DeviceType usb_bot_type = {
    .object = {
        .name = "usb-bot",
        .parent = &usb_storage_base_type.object,
        .size = sizeof(UsbStorage),
    },
    .ops = &usb_bot_ops,
};
DEVICE_REGISTER(usb_bot_type)
