/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What the parts of the USB core know of each other. */
#ifndef HW_USB_USB_INTERNAL_H
#define HW_USB_USB_INTERNAL_H

#include "hw/usb/usb.h"

/* UsbDevice.setup_state; the numbers are on the wire. */
enum {
    USB_SETUP_IDLE = 0,
    USB_SETUP_EXECUTING = 1, /* control() keeps the SETUP packet */
    USB_SETUP_DATA = 2,
    USB_SETUP_STATUS = 3,
};

/* core.c */
void usb_endpoint_init(UsbEndpoint *ep, UsbDevice *dev, unsigned nr, UsbPid pid);
void usb_endpoint_drop_carried(UsbEndpoint *ep);
/* All endpoints, as usb_endpoint_flush(). */
void usb_device_flush(UsbDevice *dev, UsbStatus status);

/* desc.c */
/* Handles a standard request (9.4) into data / p; false if it is the device's to answer. */
bool usb_standard_request(UsbDevice *dev, UsbPacket *p, unsigned request, unsigned value,
                          unsigned index, unsigned length, uint8_t *data);
/* Chooses the description for dev->speed and sets up endpoints as configuration `value` has them. */
void usb_desc_select(UsbDevice *dev);
/* false: there is no such configuration. */
bool usb_desc_set_configuration(UsbDevice *dev, unsigned value);
bool usb_desc_set_interface(UsbDevice *dev, unsigned interface, unsigned alternate);
/* Activates configuration and settings as a stream has them, without telling the device, whose own
 * state knows. */
bool usb_desc_restore(UsbDevice *dev, unsigned configuration, const uint8_t *alternate,
                      GError **error);
unsigned usb_desc_speed_mask(const UsbDesc *desc);
/* Gives the serial number string its text: property, or descriptor's and place. */
void usb_desc_init_serial(UsbDevice *dev);
const char *usb_desc_product(const UsbDevice *dev);

/* bus.c */
/* Takes the port that dev asks for or the next free one (behind a new hub, if it is the last);
 * releases it. */
bool usb_bus_claim_port(UsbDevice *dev, GError **error);
void usb_bus_release_port(UsbDevice *dev);
/* Whether transactions can reach dev now: all ports on the way are enabled. */
bool usb_device_reachable(const UsbDevice *dev);

/* device.c */
/* Whether the stream would need a subsection that stock does not know; *what says which. */
bool usb_device_has_carried_state(UsbDevice *dev, const char **what);

#endif
