/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * USB descriptors built from tables, and the standard requests answered from them (USB 2.0, chapter
 * 9.4-9.6; BOS and companions: USB 3.0, 9.6; Microsoft OS descriptors 1.0).
 */
#include "util/osdep.h"
#include "hw/usb/usb.h"
#include "usb-internal.h"
#include "util/error.h"
#include "util/trace.h"

TRACE_EVENT(usb_set_addr)
TRACE_EVENT(usb_set_config)
TRACE_EVENT(usb_set_interface)
TRACE_EVENT(usb_set_device_feature)
TRACE_EVENT(usb_desc_device)
TRACE_EVENT(usb_desc_config)
TRACE_EVENT(usb_desc_string)
TRACE_EVENT(usb_desc_bos)
TRACE_EVENT(usb_desc_other)

#define LANGUAGE_US_ENGLISH 0x0409
#define MSOS_STRING_INDEX 0xee
#define MSOS_VENDOR_CODE 'Q'

/* ---- bytes ----------------------------------------------------------------------------------- */

static void put8(GByteArray *b, unsigned v)
{
    uint8_t byte = v;

    g_byte_array_append(b, &byte, 1);
}

static void put16(GByteArray *b, unsigned v)
{
    put8(b, v & 0xff);
    put8(b, v >> 8 & 0xff);
}

static void put32(GByteArray *b, uint32_t v)
{
    put16(b, v & 0xffff);
    put16(b, v >> 16);
}

static void put_zeros(GByteArray *b, unsigned n)
{
    while (n-- > 0) {
        put8(b, 0);
    }
}

static void put_text(GByteArray *b, const char *text, glong max_units)
{
    glong units = 0;
    gunichar2 *utf16 = g_utf8_to_utf16(text, -1, NULL, &units, NULL);

    for (glong i = 0; utf16 && i < MIN(units, max_units); i++) {
        put16(b, utf16[i]);
    }
    g_free(utf16);
}

/* ---- which tables apply ---------------------------------------------------------------------- */

static const UsbDesc *device_desc(const UsbDevice *dev)
{
    return dev->desc ? dev->desc : usb_device_ops(dev)->desc;
}

unsigned usb_desc_speed_mask(const UsbDesc *desc)
{
    return (desc->low ? USB_SPEED_BIT(USB_SPEED_LOW) : 0) |
           (desc->full ? USB_SPEED_BIT(USB_SPEED_FULL) : 0) |
           (desc->high ? USB_SPEED_BIT(USB_SPEED_HIGH) : 0) |
           (desc->super ? USB_SPEED_BIT(USB_SPEED_SUPER) : 0);
}

static const UsbDescDevice *desc_at_speed(const UsbDesc *desc, UsbSpeed speed)
{
    switch (speed) {
    case USB_SPEED_LOW:
        return desc->low;
    case USB_SPEED_FULL:
        return desc->full;
    case USB_SPEED_HIGH:
        return desc->high;
    case USB_SPEED_SUPER:
        return desc->super;
    }
    return NULL;
}

static const UsbDescConfig *find_config(const UsbDescDevice *d, unsigned value)
{
    for (unsigned i = 0; d && i < d->num_configs; i++) {
        if (d->configs[i].value == value) {
            return &d->configs[i];
        }
    }
    return NULL;
}

static const UsbDescInterface *find_interface(const UsbDescConfig *config, unsigned number,
                                              unsigned alternate)
{
    for (unsigned i = 0; config && i < config->num_settings; i++) {
        const UsbDescInterface *iface = &config->interfaces[i];

        if (iface->number == number && iface->alternate == alternate) {
            return iface;
        }
    }
    return NULL;
}

/* ---- descriptors ----------------------------------------------------------------------------- */

static void build_device(GByteArray *b, const UsbDesc *desc, const UsbDescDevice *d)
{
    put8(b, 18);
    put8(b, USB_DESC_DEVICE);
    put16(b, d->usb_version);
    put8(b, d->class);
    put8(b, d->subclass);
    put8(b, d->protocol);
    put8(b, d->max_packet_size0);
    put16(b, desc->vendor);
    put16(b, desc->product);
    put16(b, desc->device_version);
    put8(b, desc->manufacturer_string);
    put8(b, desc->product_string);
    put8(b, desc->serial_string);
    put8(b, d->num_configs);
}

static void build_qualifier(GByteArray *b, const UsbDescDevice *d)
{
    put8(b, 10);
    put8(b, USB_DESC_DEVICE_QUALIFIER);
    put16(b, d->usb_version);
    put8(b, d->class);
    put8(b, d->subclass);
    put8(b, d->protocol);
    put8(b, d->max_packet_size0);
    put8(b, d->num_configs);
    put8(b, 0);
}

static void build_endpoint(GByteArray *b, const UsbDescEndpoint *ep, bool super)
{
    put8(b, 7);
    put8(b, USB_DESC_ENDPOINT);
    put8(b, ep->address);
    put8(b, ep->attributes);
    put16(b, ep->max_packet_size);
    put8(b, ep->interval);
    if (super) {
        put8(b, 6);
        put8(b, 0x30); /* SuperSpeed endpoint companion */
        put8(b, ep->max_burst);
        put8(b, 0);
        put16(b, (ep->attributes & 3) == USB_TRANSFER_INTERRUPT ? ep->max_packet_size : 0);
    }
    if (ep->extra_len) {
        g_byte_array_append(b, ep->extra, ep->extra_len);
    }
}

static void build_interface(GByteArray *b, const UsbDescInterface *iface, bool super)
{
    put8(b, 9);
    put8(b, USB_DESC_INTERFACE);
    put8(b, iface->number);
    put8(b, iface->alternate);
    put8(b, iface->num_endpoints);
    put8(b, iface->class);
    put8(b, iface->subclass);
    put8(b, iface->protocol);
    put8(b, iface->string);
    if (iface->extra_len) {
        g_byte_array_append(b, iface->extra, iface->extra_len);
    }
    for (unsigned i = 0; i < iface->num_endpoints; i++) {
        build_endpoint(b, &iface->endpoints[i], super);
    }
}

static void build_config(GByteArray *b, const UsbDescConfig *config, uint8_t type, bool super)
{
    guint start = b->len;

    put8(b, 9);
    put8(b, type);
    put16(b, 0);
    put8(b, config->num_interfaces);
    put8(b, config->value);
    put8(b, config->string);
    put8(b, config->attributes);
    put8(b, config->max_power);
    for (unsigned i = 0; i < config->num_settings; i++) {
        build_interface(b, &config->interfaces[i], super);
    }
    b->data[start + 2] = (b->len - start) & 0xff;
    b->data[start + 3] = (b->len - start) >> 8;
}

static void build_bos(GByteArray *b, const UsbDesc *desc)
{
    put8(b, 5);
    put8(b, USB_DESC_BOS);
    put16(b, 0);
    put8(b, (desc->high ? 1 : 0) + (desc->super ? 1 : 0));
    if (desc->high) { /* USB 2.0 extension: link power management */
        put8(b, 7);
        put8(b, 0x10);
        put8(b, 2);
        put32(b, 2);
    }
    if (desc->super) { /* SuperSpeed: speeds, lowest full-featured speed, exit latencies */
        put8(b, 10);
        put8(b, 0x10);
        put8(b, 3);
        put8(b, 0);
        put16(b, USB_SPEED_BIT(3) | (desc->high ? USB_SPEED_BIT(2) : 0) |
                     (desc->full ? USB_SPEED_BIT(1) : 0));
        put8(b, desc->full ? 1 : desc->high ? 2 : 3);
        put8(b, 0x0a);
        put16(b, 0x20);
    }
    b->data[2] = b->len & 0xff;
    b->data[3] = b->len >> 8;
}

static bool build_string(GByteArray *b, UsbDevice *dev, unsigned index)
{
    const char *text;

    put8(b, 0);
    put8(b, USB_DESC_STRING);
    if (index == 0) {
        put16(b, LANGUAGE_US_ENGLISH);
    } else if (index == MSOS_STRING_INDEX && dev->msos_desc &&
               device_desc(dev)->msos_selective_suspend) {
        put_text(b, "MSFT100", 7);
        put16(b, MSOS_VENDOR_CODE);
    } else {
        text = usb_device_get_string(dev, index);
        if (!text) {
            return false;
        }
        put_text(b, text, 126);
    }
    b->data[0] = b->len;
    return true;
}

/* The other of full and high speed. */
static const UsbDescDevice *other_speed(UsbDevice *dev, const UsbDesc *desc)
{
    return dev->speed == USB_SPEED_HIGH   ? desc->full
           : dev->speed == USB_SPEED_FULL ? desc->high
                                          : NULL;
}

GByteArray *usb_desc_build(UsbDevice *dev, uint8_t type, uint8_t index, uint16_t language)
{
    const UsbDesc *desc = device_desc(dev);
    const UsbDescDevice *d = dev->desc_device, *other = other_speed(dev, desc);
    GByteArray *b = g_byte_array_new();
    bool ok = true;

    switch (type) {
    case USB_DESC_DEVICE:
        build_device(b, desc, d);
        break;
    case USB_DESC_CONFIG:
        ok = index < d->num_configs;
        if (ok) {
            build_config(b, &d->configs[index], type, dev->speed == USB_SPEED_SUPER);
        }
        break;
    case USB_DESC_STRING:
        ok = build_string(b, dev, index);
        break;
    case USB_DESC_DEVICE_QUALIFIER:
        ok = other != NULL;
        if (ok) {
            build_qualifier(b, other);
        }
        break;
    case USB_DESC_OTHER_SPEED_CONFIG:
        ok = other && index < other->num_configs;
        if (ok) {
            build_config(b, &other->configs[index], type, false);
        }
        break;
    case USB_DESC_BOS:
        build_bos(b, desc);
        break;
    default:
        ok = false;
    }
    if (!ok) {
        g_byte_array_unref(b);
        return NULL;
    }
    return b;
}

/* ---- Microsoft OS descriptors ---------------------------------------------------------------- */

/* "Extended compat ID" (index 4) and "extended properties" (5); other indexes are empty. */
static void build_msos(GByteArray *b, unsigned index)
{
    static const char name[] = "SelectiveSuspendEnabled";
    const unsigned name_size = sizeof(name) * 2;

    if (index == 4) {
        put32(b, 0x28);
        put16(b, 0x0100);
        put16(b, 4);
        put8(b, 1);
        put_zeros(b, 8);
        put8(b, 1);
        put_zeros(b, 0x28 - 18);
    } else if (index == 5) {
        put32(b, 10 + 24 + name_size);
        put16(b, 0x0100);
        put16(b, 5);
        put16(b, 1);
        put32(b, 4 + 4 + 2 + name_size + 4 + 4 + 6);
        put32(b, 4); /* REG_DWORD_LITTLE_ENDIAN */
        put16(b, name_size);
        put_text(b, name, sizeof(name));
        put16(b, 0);
        put32(b, 4);
        put32(b, 1);
        put_zeros(b, 6);
    }
}

/* ---- strings --------------------------------------------------------------------------------- */

void usb_device_set_string(UsbDevice *dev, unsigned index, const char *text)
{
    g_assert(index > 0 && index < 256);
    if (!dev->own_strings) {
        dev->own_strings = g_new0(char *, 256);
    }
    g_free(dev->own_strings[index]);
    dev->own_strings[index] = g_strdup(text);
}

const char *usb_device_get_string(const UsbDevice *dev, unsigned index)
{
    const UsbDesc *desc = device_desc(dev);

    if (dev->own_strings && index < 256 && dev->own_strings[index]) {
        return dev->own_strings[index];
    }
    return desc && index < desc->num_strings ? desc->strings[index] : NULL;
}

void usb_desc_init_serial(UsbDevice *dev)
{
    const UsbDesc *desc = device_desc(dev);
    const char *base;
    char *place, *text;

    if (!desc->serial_string) {
        return;
    }
    if (dev->serial) {
        usb_device_set_string(dev, desc->serial_string, dev->serial);
        return;
    }
    base = usb_device_get_string(dev, desc->serial_string);
    place = device_section_prefix(dev->port->bus->bus.owner);
    text = place ? g_strdup_printf("%s-%s-%s", base ? base : "", place, dev->port->path)
                 : g_strdup_printf("%s-%s", base ? base : "", dev->port->path);
    usb_device_set_string(dev, desc->serial_string, text);
    g_free(text);
    g_free(place);
}

const char *usb_desc_product(const UsbDevice *dev)
{
    const UsbDesc *desc = device_desc(dev);
    const char *name = usb_device_ops(dev)->product;

    if (!name && desc) {
        name = usb_device_get_string(dev, desc->product_string);
    }
    return name ? name : "";
}

/* ---- configuration --------------------------------------------------------------------------- */

static void endpoint_clear(UsbEndpoint *ep)
{
    ep->type = USB_TRANSFER_NONE;
    ep->interface = 255;
    ep->max_packet_size = 0;
    ep->halted = false;
}

static void setup_interface_endpoints(UsbDevice *dev, const UsbDescInterface *iface)
{
    for (unsigned i = 0; i < iface->num_endpoints; i++) {
        const UsbDescEndpoint *d = &iface->endpoints[i];
        UsbEndpoint *ep = usb_endpoint_get(dev, d->address & USB_DIR_IN ? USB_PID_IN : USB_PID_OUT,
                                           d->address & 0x0f);

        ep->type = d->attributes & 3;
        ep->interface = iface->number;
        ep->max_packet_size = d->max_packet_size;
        ep->halted = false;
    }
}

static void setup_endpoints(UsbDevice *dev)
{
    for (unsigned i = 0; i < USB_MAX_ENDPOINTS; i++) {
        endpoint_clear(&dev->ep_in[i]);
        endpoint_clear(&dev->ep_out[i]);
    }
    for (unsigned i = 0; dev->desc_config && i < dev->desc_config->num_interfaces; i++) {
        const UsbDescInterface *iface =
            find_interface(dev->desc_config, i, i < USB_MAX_INTERFACES ? dev->alternate[i] : 0);

        if (iface) {
            setup_interface_endpoints(dev, iface);
        }
    }
}

/*
 * A device without a configuration keeps the endpoints of its first one: stock answers there as
 * well, and small drivers (firmware, tests) rely on it.
 */
static void apply_configuration(UsbDevice *dev, unsigned value)
{
    const UsbDescDevice *d = dev->desc_device;

    dev->configuration = value;
    dev->desc_config = value ? find_config(d, value) : d->num_configs ? &d->configs[0] : NULL;
    memset(dev->alternate, 0, sizeof(dev->alternate));
    setup_endpoints(dev);
}

void usb_desc_select(UsbDevice *dev)
{
    dev->desc_device = desc_at_speed(device_desc(dev), dev->speed);
    g_assert(dev->desc_device);
    dev->ep0.max_packet_size = dev->speed == USB_SPEED_SUPER
                                   ? 1u << dev->desc_device->max_packet_size0
                                   : dev->desc_device->max_packet_size0;
    apply_configuration(dev, 0);
}

bool usb_desc_set_configuration(UsbDevice *dev, unsigned value)
{
    unsigned old = dev->configuration;

    trace(usb_set_config, "dev %u, config %u", dev->addr, value);
    if (value && !find_config(dev->desc_device, value)) {
        return false;
    }
    for (unsigned i = 0; i < USB_MAX_ENDPOINTS; i++) {
        usb_endpoint_flush(&dev->ep_in[i], USB_CANCELED);
        usb_endpoint_flush(&dev->ep_out[i], USB_CANCELED);
    }
    apply_configuration(dev, value);
    if (usb_device_ops(dev)->set_configuration) {
        usb_device_ops(dev)->set_configuration(dev, old, value);
    }
    return true;
}

bool usb_desc_set_interface(UsbDevice *dev, unsigned interface, unsigned alternate)
{
    unsigned old;

    if (interface >= USB_MAX_INTERFACES ||
        !find_interface(dev->desc_config, interface, alternate)) {
        return false;
    }
    trace(usb_set_interface, "dev %u, interface %u, altsetting %u", dev->addr, interface,
          alternate);
    old = dev->alternate[interface];
    for (unsigned i = 0; i < USB_MAX_ENDPOINTS; i++) {
        if (dev->ep_in[i].interface == interface) {
            usb_endpoint_flush(&dev->ep_in[i], USB_CANCELED);
        }
        if (dev->ep_out[i].interface == interface) {
            usb_endpoint_flush(&dev->ep_out[i], USB_CANCELED);
        }
    }
    dev->alternate[interface] = alternate;
    setup_endpoints(dev);
    if (usb_device_ops(dev)->set_interface) {
        usb_device_ops(dev)->set_interface(dev, interface, old, alternate);
    }
    return true;
}

bool usb_desc_restore(UsbDevice *dev, unsigned configuration, const uint8_t *alternate,
                      GError **error)
{
    uint8_t settings[USB_MAX_INTERFACES];

    memcpy(settings, alternate, sizeof(settings));
    if (!dev->desc_device) {
        return true;
    }
    if (configuration && !find_config(dev->desc_device, configuration)) {
        return error_set(error, "device has no configuration %u", configuration);
    }
    apply_configuration(dev, configuration);
    for (unsigned i = 0; i < USB_MAX_INTERFACES; i++) {
        if (settings[i] && !find_interface(dev->desc_config, i, settings[i])) {
            return error_set(error, "interface %u has no setting %u", i, settings[i]);
        }
    }
    memcpy(dev->alternate, settings, sizeof(settings));
    setup_endpoints(dev);
    return true;
}

/* ---- standard requests ----------------------------------------------------------------------- */

static void answer(UsbPacket *p, uint8_t *data, unsigned length, const void *bytes, size_t n)
{
    n = MIN(n, length);
    memcpy(data, bytes, n);
    p->actual_length = n;
}

static void answer_array(UsbPacket *p, uint8_t *data, unsigned length, GByteArray *b)
{
    if (!b) {
        p->status = USB_STALL;
        return;
    }
    answer(p, data, length, b->data, b->len);
    g_byte_array_unref(b);
}

/* The endpoint that wIndex names; NULL if the device has none there. */
static UsbEndpoint *endpoint_by_address(UsbDevice *dev, unsigned address)
{
    UsbEndpoint *ep;

    if (address & ~0x8fu) {
        return NULL;
    }
    ep = usb_endpoint_get(dev, address & USB_DIR_IN ? USB_PID_IN : USB_PID_OUT, address & 0x0f);
    return ep->type == USB_TRANSFER_NONE ? NULL : ep;
}

static void endpoint_feature(UsbDevice *dev, UsbPacket *p, unsigned value, unsigned index, bool set)
{
    UsbEndpoint *ep = endpoint_by_address(dev, index);

    if (value != USB_FEATURE_ENDPOINT_HALT || !ep || (set && ep->nr == 0)) {
        p->status = USB_STALL;
        return;
    }
    usb_endpoint_set_halted(ep, set);
    if (usb_device_ops(dev)->endpoint_halted) {
        usb_device_ops(dev)->endpoint_halted(dev, ep);
    }
}

static void device_feature(UsbDevice *dev, UsbPacket *p, unsigned value, bool set)
{
    trace(usb_set_device_feature, "dev %u, feature %u, %s", dev->addr, value,
          set ? "set" : "clear");
    if (value != USB_FEATURE_REMOTE_WAKEUP) {
        p->status = USB_STALL;
        return;
    }
    dev->remote_wakeup = set;
}

static void get_status(UsbDevice *dev, UsbPacket *p, unsigned recipient, unsigned index,
                       unsigned length, uint8_t *data)
{
    uint8_t status[2] = { 0, 0 };
    const UsbEndpoint *ep;

    if (recipient == USB_RECIP_DEVICE) {
        if (dev->desc_config && dev->desc_config->attributes & 0x40) {
            status[0] |= 1;
        }
        status[0] |= dev->remote_wakeup ? 2 : 0;
    } else if (recipient == USB_RECIP_ENDPOINT) {
        ep = endpoint_by_address(dev, index);
        if (!ep) {
            p->status = USB_STALL;
            return;
        }
        status[0] = ep->halted;
    } else if (!dev->desc_config || index >= dev->desc_config->num_interfaces) {
        p->status = USB_STALL;
        return;
    }
    answer(p, data, length, status, 2);
}

static void get_interface(UsbDevice *dev, UsbPacket *p, unsigned index, unsigned length,
                          uint8_t *data)
{
    if (!dev->desc_config || index >= dev->desc_config->num_interfaces ||
        index >= USB_MAX_INTERFACES) {
        p->status = USB_STALL;
        return;
    }
    answer(p, data, length, &dev->alternate[index], 1);
}

static void set_address(UsbDevice *dev, UsbPacket *p, unsigned value)
{
    if (value > 127) {
        p->status = USB_STALL;
        return;
    }
    trace(usb_set_addr, "dev %u", value);
    dev->addr = value;
}

/* The vendor request behind the string 0xee. */
static bool msos_request(UsbDevice *dev, UsbPacket *p, unsigned request, unsigned index,
                         unsigned length, uint8_t *data)
{
    GByteArray *b;

    if (!dev->msos_desc || !device_desc(dev)->msos_selective_suspend) {
        return false;
    }
    if (request != USB_REQUEST(USB_DIR_IN | USB_TYPE_VENDOR | USB_RECIP_DEVICE, MSOS_VENDOR_CODE) &&
        request !=
            USB_REQUEST(USB_DIR_IN | USB_TYPE_VENDOR | USB_RECIP_INTERFACE, MSOS_VENDOR_CODE)) {
        return false;
    }
    b = g_byte_array_new();
    build_msos(b, index);
    answer_array(p, data, length, b);
    return true;
}

static void trace_descriptor(const UsbDevice *dev, const UsbPacket *p, unsigned value,
                             unsigned length)
{
    int n = p->status == USB_OK ? (int)p->actual_length : -1;

    switch (value >> 8) {
    case USB_DESC_DEVICE:
        trace(usb_desc_device, "dev %u query device, len %u, ret %d", dev->addr, length, n);
        break;
    case USB_DESC_CONFIG:
        trace(usb_desc_config, "dev %u query config %u, len %u, ret %d", dev->addr, value & 0xff,
              length, n);
        break;
    case USB_DESC_STRING:
        trace(usb_desc_string, "dev %u query string %u, len %u, ret %d", dev->addr, value & 0xff,
              length, n);
        break;
    case USB_DESC_BOS:
        trace(usb_desc_bos, "dev %u bos, len %u, ret %d", dev->addr, length, n);
        break;
    default:
        trace(usb_desc_other, "dev %u query type %u, len %u, ret %d", dev->addr, value >> 8, length,
              n);
        break;
    }
}

bool usb_standard_request(UsbDevice *dev, UsbPacket *p, unsigned request, unsigned value,
                          unsigned index, unsigned length, uint8_t *data)
{
    switch (request) {
    case USB_REQUEST(USB_DIR_IN | USB_RECIP_DEVICE, USB_REQ_GET_DESCRIPTOR):
        answer_array(p, data, length, usb_desc_build(dev, value >> 8, value & 0xff, index));
        trace_descriptor(dev, p, value, length);
        return true;
    case USB_REQUEST(USB_DIR_IN | USB_RECIP_DEVICE, USB_REQ_GET_CONFIGURATION):
        answer(p, data, length, &dev->configuration, 1);
        return true;
    case USB_REQUEST(USB_DIR_OUT | USB_RECIP_DEVICE, USB_REQ_SET_CONFIGURATION):
        if (!usb_desc_set_configuration(dev, value & 0xff)) {
            p->status = USB_STALL;
        }
        return true;
    case USB_REQUEST(USB_DIR_OUT | USB_RECIP_DEVICE, USB_REQ_SET_ADDRESS):
        set_address(dev, p, value);
        return true;
    case USB_REQUEST(USB_DIR_IN | USB_RECIP_DEVICE, USB_REQ_GET_STATUS):
    case USB_REQUEST(USB_DIR_IN | USB_RECIP_INTERFACE, USB_REQ_GET_STATUS):
    case USB_REQUEST(USB_DIR_IN | USB_RECIP_ENDPOINT, USB_REQ_GET_STATUS):
        get_status(dev, p, request >> 8 & 3, index, length, data);
        return true;
    case USB_REQUEST(USB_DIR_OUT | USB_RECIP_DEVICE, USB_REQ_SET_FEATURE):
    case USB_REQUEST(USB_DIR_OUT | USB_RECIP_DEVICE, USB_REQ_CLEAR_FEATURE):
        device_feature(dev, p, value, (request & 0xff) == USB_REQ_SET_FEATURE);
        return true;
    case USB_REQUEST(USB_DIR_OUT | USB_RECIP_ENDPOINT, USB_REQ_SET_FEATURE):
    case USB_REQUEST(USB_DIR_OUT | USB_RECIP_ENDPOINT, USB_REQ_CLEAR_FEATURE):
        endpoint_feature(dev, p, value, index, (request & 0xff) == USB_REQ_SET_FEATURE);
        return true;
    case USB_REQUEST(USB_DIR_IN | USB_RECIP_INTERFACE, USB_REQ_GET_INTERFACE):
        get_interface(dev, p, index, length, data);
        return true;
    case USB_REQUEST(USB_DIR_OUT | USB_RECIP_INTERFACE, USB_REQ_SET_INTERFACE):
        if (!usb_desc_set_interface(dev, index, value)) {
            p->status = USB_STALL;
        }
        return true;
    default:
        return msos_request(dev, p, request, index, length, data);
    }
}
