/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What the files of hw/core share. */
#ifndef HW_CORE_DEVICE_INTERNAL_H
#define HW_CORE_DEVICE_INTERNAL_H

#include "hw/core/device.h"

/* Pins of one name: inputs are lines of their own, outputs are slots in the device. */
typedef struct PinGroup {
    char *name;        /* NULL: unnamed */
    GPtrArray *in;     /* Irq * */
    GPtrArray *out;    /* Irq **, slots */
    GPtrArray *watches; /* OutputWatch, see gpio.c */
} PinGroup;

void device_free_pins(Device *dev);

/* bus.c: the two ends of plugging. bus_attach() checks kind, hot-plug, room and address. */
bool bus_attach(Bus *bus, Device *dev, GError **error);
void bus_detach(Bus *bus, Device *dev);
bool bus_is_full(const Bus *bus);
/* The n-th record up from t that is still a bus. */
const BusType *bus_type_parent(const BusType *t);

/* The next record up, NULL above "device". */
const DeviceType *device_type_parent(const DeviceType *t);
/* DeviceType.unplug_request, inherited; NULL: it goes at once. */
typedef bool DeviceUnplugRequest(Device *dev, GError **error);
DeviceUnplugRequest *device_unplug_request(const Device *dev);
/* The event, for a device that was there; path is where. */
void device_emit_deleted(const Device *dev, const char *path);

#endif
