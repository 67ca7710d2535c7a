/* SPDX-License-Identifier: GPL-2.0-or-later */
/* A USB host controller that a test drives by hand, and devices' state taken from one such controller to another. */
#ifndef TESTS_UNIT_USB_HOST_H
#define TESTS_UNIT_USB_HOST_H

#include "hw/usb/usb.h"

typedef struct Host {
    Device device;
    UsbBus *bus;
    UsbPort ports[2];
    bool enabled[2];
    unsigned wakeups;
} Host;

Host *host_new(void);
/* With everything that is plugged in. */
void host_free(Host *h);
/* A device of that type at a port ("1", "2.3"; NULL: the first free one), reset; NULL with an error. */
UsbDevice *host_plug_at(Host *h, const char *type, const char *port, GError **error);
UsbDevice *host_plug(Host *h, const char *type);

/* One transaction that must end at once; *actual (may be NULL) is what it moved. */
UsbStatus usb_token(UsbDevice *dev, UsbPid pid, unsigned nr, void *data, size_t len,
                    size_t *actual);
void usb_put_setup(uint8_t setup[8], unsigned type, unsigned request, unsigned value,
                   unsigned index, unsigned length);
UsbStatus usb_send_setup(UsbDevice *dev, unsigned type, unsigned request, unsigned value,
                         unsigned index, unsigned length);
/* A whole control-IN transfer in packets of 8. Returns the length, or -1 if it stalled. */
int usb_control_in(UsbDevice *dev, unsigned type, unsigned request, unsigned value, unsigned index,
                   unsigned length, uint8_t *data);
UsbStatus usb_control_out(UsbDevice *dev, unsigned type, unsigned request, unsigned value,
                          unsigned index, void *data, unsigned length);

void check_bytes(const uint8_t *data, int len, const char *hex);
/* GET_DESCRIPTOR answers these bytes; hex NULL: it stalls. */
void check_descriptor(UsbDevice *dev, unsigned type, unsigned value, unsigned index,
                      const char *hex);

/* dev's state in its stream form, and back; len cuts it. */
GByteArray *usb_save(UsbDevice *dev);
bool usb_load(UsbDevice *dev, const GByteArray *b, size_t len, GError **error);
/* dev's state in a new device of the type, on another bus, as after a migration; the same bytes come out of it, and
 * every truncation of them is refused. */
UsbDevice *usb_move(UsbDevice *dev, Host *to);

#endif
