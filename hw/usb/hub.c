/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A USB 1.1 hub with up to eight ports, each of which has its own power switch if port-power is on
 * (USB 2.0, chapter 11).
 *
 * Without port-power the ports are always powered: PORT_POWER is accepted and changes nothing.
 */
#include "util/osdep.h"
#include "hw/usb/usb.h"
#include "util/error.h"

#define HUB_MAX_PORTS 8
#define HUB_MAX_DEPTH 5

/* wPortStatus and wPortChange (11.24.2.7) */
enum {
    PORT_CONNECTION = 1 << 0,
    PORT_ENABLE = 1 << 1,
    PORT_SUSPEND = 1 << 2,
    PORT_OVERCURRENT = 1 << 3,
    PORT_RESET = 1 << 4,
    PORT_POWER = 1 << 8,
    PORT_LOW_SPEED = 1 << 9,
    PORT_HIGH_SPEED = 1 << 10,
};

/* Feature selectors (11.24.2, table 11-17) */
enum {
    FEATURE_PORT_ENABLE = 1,
    FEATURE_PORT_SUSPEND = 2,
    FEATURE_PORT_RESET = 4,
    FEATURE_PORT_POWER = 8,
    FEATURE_C_PORT_CONNECTION = 16,
    FEATURE_C_PORT_ENABLE = 17,
    FEATURE_C_PORT_SUSPEND = 18,
    FEATURE_C_PORT_OVERCURRENT = 19,
    FEATURE_C_PORT_RESET = 20,
};

typedef struct HubPort {
    UsbPort port;
    uint16_t wPortStatus;
    uint16_t wPortChange;
} HubPort;

typedef struct UsbHub {
    UsbDevice usb;
    uint32_t num_ports;
    bool port_power;
    HubPort ports[HUB_MAX_PORTS];
} UsbHub;

/* ---- descriptors ----------------------------------------------------------------------------- */

static const UsbDescEndpoint hub_endpoint = {
    .address = USB_DIR_IN | 1,
    .attributes = USB_TRANSFER_INTERRUPT,
    .max_packet_size = 1 + (HUB_MAX_PORTS + 7) / 8,
    .interval = 0xff,
};

static const UsbDescInterface hub_interface = {
    .class = USB_CLASS_HUB,
    .num_endpoints = 1,
    .endpoints = &hub_endpoint,
};

static const UsbDescConfig hub_config = {
    .value = 1,
    .attributes = 0xe0,
    .num_interfaces = 1,
    .num_settings = 1,
    .interfaces = &hub_interface,
};

static const UsbDescDevice hub_full = {
    .usb_version = 0x0110,
    .class = USB_CLASS_HUB,
    .max_packet_size0 = 8,
    .num_configs = 1,
    .configs = &hub_config,
};

static const char *const hub_strings[] = { NULL, "QEMU", "QEMU USB Hub", "314159" };

static const UsbDesc hub_desc = {
    .vendor = 0x0409,
    .product = 0x55aa,
    .device_version = 0x0101,
    .manufacturer_string = 1,
    .product_string = 2,
    .serial_string = 3,
    .full = &hub_full,
    .strings = hub_strings,
    .num_strings = G_N_ELEMENTS(hub_strings),
};

/* ---- ports ----------------------------------------------------------------------------------- */

static UsbHub *port_hub(const UsbPort *port)
{
    return port->opaque;
}

static HubPort *hub_port(UsbPort *port)
{
    return (HubPort *)((char *)port - offsetof(HubPort, port));
}

static void hub_changed(UsbHub *hub)
{
    usb_endpoint_wakeup(usb_endpoint_get(&hub->usb, USB_PID_IN, 1));
}

/* Status bits of a powered port follow from what is plugged in. */
static void port_connect(UsbHub *hub, HubPort *p)
{
    p->wPortStatus |= PORT_CONNECTION;
    p->wPortChange |= PORT_CONNECTION;
    p->wPortStatus &= ~(PORT_LOW_SPEED | PORT_HIGH_SPEED);
    if (p->port.dev->speed == USB_SPEED_LOW) {
        p->wPortStatus |= PORT_LOW_SPEED;
    }
}

static void hub_port_attach(UsbPort *port)
{
    UsbHub *hub = port_hub(port);
    HubPort *p = hub_port(port);

    if (p->wPortStatus & PORT_POWER) {
        port_connect(hub, p);
        hub_changed(hub);
    }
}

static void hub_port_detach(UsbPort *port)
{
    UsbHub *hub = port_hub(port);
    HubPort *p = hub_port(port);

    if (!(p->wPortStatus & PORT_CONNECTION)) {
        return;
    }
    p->wPortStatus &= ~(PORT_CONNECTION | PORT_LOW_SPEED | PORT_HIGH_SPEED | PORT_SUSPEND);
    p->wPortChange |= PORT_CONNECTION;
    if (p->wPortStatus & PORT_ENABLE) {
        p->wPortStatus &= ~PORT_ENABLE;
        p->wPortChange |= PORT_ENABLE;
    }
    hub_changed(hub);
}

/* Resume signalling from below wakes the port and goes on upstream (11.9). */
static void hub_port_wakeup(UsbPort *port)
{
    UsbHub *hub = port_hub(port);
    HubPort *p = hub_port(port);
    UsbPort *upstream = hub->usb.port;

    if (p->wPortStatus & PORT_SUSPEND) {
        p->wPortStatus &= ~PORT_SUSPEND;
        p->wPortChange |= PORT_SUSPEND;
        hub_changed(hub);
    } else if (upstream && upstream->ops->wakeup) {
        upstream->ops->wakeup(upstream);
    }
}

static bool hub_port_enabled(UsbPort *port)
{
    const HubPort *p = hub_port(port);

    return (p->wPortStatus & (PORT_ENABLE | PORT_SUSPEND | PORT_POWER)) ==
           (PORT_ENABLE | PORT_POWER);
}

static const UsbPortOps hub_port_ops = {
    .attach = hub_port_attach,
    .detach = hub_port_detach,
    .wakeup = hub_port_wakeup,
    .enabled = hub_port_enabled,
};

static UsbDevice *hub_find_device(UsbDevice *dev, uint8_t addr)
{
    UsbHub *hub = (UsbHub *)dev;

    for (unsigned i = 0; i < hub->num_ports; i++) {
        UsbDevice *found = usb_port_find_device(&hub->ports[i].port, addr);

        if (found) {
            return found;
        }
    }
    return NULL;
}

/* ---- requests of the hub class (11.24.2) ----------------------------------------------------- */

static void put_status(UsbPacket *p, uint8_t *data, unsigned length, uint16_t status,
                       uint16_t change)
{
    const uint8_t bytes[4] = { status & 0xff, status >> 8, change & 0xff, change >> 8 };

    p->actual_length = MIN(length, sizeof(bytes));
    memcpy(data, bytes, p->actual_length);
}

/* 11.23.2.1 */
static void put_descriptor(UsbHub *hub, UsbPacket *p, uint8_t *data, unsigned length)
{
    uint8_t d[16] = { 0,    USB_DESC_HUB, hub->num_ports, hub->port_power ? 0x09 : 0x0a, 0x00,
                      0x01, 0x00 };
    unsigned bitmap = (hub->num_ports + 1 + 7) / 8, len = 7;

    len += bitmap; /* no device is built in */
    for (unsigned i = 0; i < hub->num_ports; i += 8) {
        d[len++] = 0xff; /* as the text demands */
    }
    d[0] = len;
    p->actual_length = MIN(length, len);
    memcpy(data, d, p->actual_length);
}

static void port_power(UsbHub *hub, HubPort *p, bool on)
{
    if (!hub->port_power || !(p->wPortStatus & PORT_POWER) == !on) {
        return;
    }
    if (on) {
        p->wPortStatus |= PORT_POWER;
        if (p->port.dev) {
            port_connect(hub, p);
            hub_changed(hub);
        }
    } else {
        p->wPortStatus = 0;
        p->wPortChange = 0;
    }
}

static bool set_port_feature(UsbHub *hub, HubPort *p, unsigned feature)
{
    switch (feature) {
    case FEATURE_PORT_SUSPEND:
        if (p->wPortStatus & PORT_ENABLE) {
            p->wPortStatus |= PORT_SUSPEND;
        }
        return true;
    case FEATURE_PORT_RESET:
        p->wPortStatus &= ~PORT_SUSPEND;
        if (p->port.dev && p->wPortStatus & PORT_POWER) {
            usb_port_reset(&p->port);
            p->wPortChange |= PORT_RESET;
            p->wPortStatus |= PORT_ENABLE;
            hub_changed(hub);
        }
        return true;
    case FEATURE_PORT_POWER:
        port_power(hub, p, true);
        return true;
    default:
        return false;
    }
}

static bool clear_port_feature(UsbHub *hub, HubPort *p, unsigned feature)
{
    switch (feature) {
    case FEATURE_PORT_ENABLE:
        p->wPortStatus &= ~(PORT_ENABLE | PORT_SUSPEND);
        return true;
    case FEATURE_PORT_SUSPEND:
        if (p->wPortStatus & PORT_SUSPEND) {
            p->wPortStatus &= ~PORT_SUSPEND;
            p->wPortChange |= PORT_SUSPEND;
            hub_changed(hub);
        }
        return true;
    case FEATURE_PORT_POWER:
        port_power(hub, p, false);
        return true;
    case FEATURE_C_PORT_CONNECTION:
        p->wPortChange &= ~PORT_CONNECTION;
        return true;
    case FEATURE_C_PORT_ENABLE:
        p->wPortChange &= ~PORT_ENABLE;
        return true;
    case FEATURE_C_PORT_SUSPEND:
        p->wPortChange &= ~PORT_SUSPEND;
        return true;
    case FEATURE_C_PORT_OVERCURRENT:
        p->wPortChange &= ~PORT_OVERCURRENT;
        return true;
    case FEATURE_C_PORT_RESET:
        p->wPortChange &= ~PORT_RESET;
        return true;
    default:
        return false;
    }
}

static void hub_control(UsbDevice *dev, UsbPacket *p, unsigned request, unsigned value,
                        unsigned index, unsigned length, uint8_t *data)
{
    UsbHub *hub = (UsbHub *)dev;
    HubPort *port = index >= 1 && index <= hub->num_ports ? &hub->ports[index - 1] : NULL;
    bool ok = true;

    switch (request) {
    case USB_REQUEST(USB_DIR_IN | USB_TYPE_CLASS | USB_RECIP_DEVICE, USB_REQ_GET_DESCRIPTOR):
        ok = value >> 8 == USB_DESC_HUB;
        if (ok) {
            put_descriptor(hub, p, data, length);
        }
        break;
    case USB_REQUEST(USB_DIR_IN | USB_TYPE_CLASS | USB_RECIP_DEVICE, USB_REQ_GET_STATUS):
        put_status(p, data, length, 0, 0);
        break;
    case USB_REQUEST(USB_DIR_IN | USB_TYPE_CLASS | USB_RECIP_OTHER, USB_REQ_GET_STATUS):
        ok = port != NULL;
        if (ok) {
            put_status(p, data, length, port->wPortStatus, port->wPortChange);
        }
        break;
    case USB_REQUEST(USB_DIR_OUT | USB_TYPE_CLASS | USB_RECIP_DEVICE, USB_REQ_SET_FEATURE):
    case USB_REQUEST(USB_DIR_OUT | USB_TYPE_CLASS | USB_RECIP_DEVICE, USB_REQ_CLEAR_FEATURE):
        ok = value <= 1; /* C_HUB_LOCAL_POWER, C_HUB_OVER_CURRENT: never set */
        break;
    case USB_REQUEST(USB_DIR_OUT | USB_TYPE_CLASS | USB_RECIP_OTHER, USB_REQ_SET_FEATURE):
        ok = port && set_port_feature(hub, port, value);
        break;
    case USB_REQUEST(USB_DIR_OUT | USB_TYPE_CLASS | USB_RECIP_OTHER, USB_REQ_CLEAR_FEATURE):
        ok = port && clear_port_feature(hub, port, value);
        break;
    default:
        ok = false;
    }
    if (!ok) {
        p->status = USB_STALL;
    }
}

/* The status change endpoint: a bit per port (11.12.4). */
static void hub_data(UsbDevice *dev, UsbPacket *p)
{
    UsbHub *hub = (UsbHub *)dev;
    uint32_t bits = 0;
    uint8_t bytes[2];
    size_t len = (hub->num_ports + 1 + 7) / 8;

    if (p->pid != USB_PID_IN) {
        p->status = USB_STALL;
        return;
    }
    for (unsigned i = 0; i < hub->num_ports; i++) {
        bits |= hub->ports[i].wPortChange ? 2u << i : 0;
    }
    if (!bits) {
        p->status = USB_NAK;
        return;
    }
    if (usb_packet_room(p) == 0) {
        p->status = USB_BABBLE;
        return;
    }
    bytes[0] = bits & 0xff;
    bytes[1] = bits >> 8;
    usb_packet_copy(
        p, bytes,
        MIN(len, usb_packet_room(p))); /* bits that do not fit are of ports not asked for */
}

/* ---- reset and realize ----------------------------------------------------------------------- */

static void hub_bus_reset(UsbDevice *dev)
{
    UsbHub *hub = (UsbHub *)dev;

    for (unsigned i = 0; i < hub->num_ports; i++) {
        HubPort *p = &hub->ports[i];

        p->wPortStatus = PORT_POWER;
        p->wPortChange = 0;
        if (p->port.dev) {
            port_connect(hub, p);
        }
    }
}

static bool hub_realize(UsbDevice *dev, GError **error)
{
    UsbHub *hub = (UsbHub *)dev;
    UsbBus *bus = USB_BUS(dev->device.bus);

    if (hub->num_ports < 1 || hub->num_ports > HUB_MAX_PORTS) {
        return error_set(error, "num_ports (%u) out of range (1..%d)", hub->num_ports,
                         HUB_MAX_PORTS);
    }
    if (dev->port->hub_count == HUB_MAX_DEPTH) {
        return error_set(error, "usb hub chain too deep");
    }
    for (unsigned i = 0; i < hub->num_ports; i++) {
        hub->ports[i].wPortStatus = PORT_POWER;
        usb_bus_add_hub_port(bus, &hub->ports[i].port, dev->port, i,
                             USB_SPEED_BIT(USB_SPEED_LOW) | USB_SPEED_BIT(USB_SPEED_FULL),
                             &hub_port_ops, hub);
    }
    return true;
}

static void hub_unrealize(UsbDevice *dev)
{
    UsbHub *hub = (UsbHub *)dev;

    for (unsigned i = 0; i < hub->num_ports; i++) {
        UsbPort *port = &hub->ports[i].port;

        if (port->owner_dev) {
            device_unrealize(&port->owner_dev->device);
        }
        usb_bus_remove_port(port);
    }
}

/* ---- migration ------------------------------------------------------------------------------- */

/* Migration notes. Nothing is in flight: the status change endpoint answers at once. Status and
 * change of all ports are sent; what is plugged in says so itself. */
static const VmState hub_port_vmstate = {
    .name = "usb-hub-port",
    .version = 1,
    .minimum_version = 1,
    .fields =
        (const VmField[]){ VM_U16(HubPort, wPortStatus), VM_U16(HubPort, wPortChange), VM_END },
};

static const VmState hub_vmstate = {
    .name = "usb-hub",
    .version = 1,
    .minimum_version = 1,
    .fields =
        (const VmField[]){
            VM_USB_DEVICE(UsbHub, usb),
            VM_STRUCT_ARRAY(UsbHub, ports, HUB_MAX_PORTS, hub_port_vmstate, HubPort),
            VM_END,
        },
};

/* ---- registration ---------------------------------------------------------------------------- */

static const Property hub_properties[] = {
    PROPERTY_UINT32("ports", UsbHub, num_ports, "8", NULL),
    PROPERTY_BOOL("port-power", UsbHub, port_power, "off", NULL),
    { .name = NULL },
};

static const UsbDeviceOps hub_ops = {
    .firmware_name = "hub",
    .desc = &hub_desc,
    .realize = hub_realize,
    .unrealize = hub_unrealize,
    .bus_reset = hub_bus_reset,
    .control = hub_control,
    .data = hub_data,
    .find_device = hub_find_device,
};

static const DeviceType hub_type = {
    .object = {
        .name = "usb-hub",
        .parent = &usb_device_type.object,
        .size = sizeof(UsbHub),
        .properties = hub_properties,
    },
    .category = DEVICE_CATEGORY_BRIDGE,
    .migration = MIGRATES_WITH(hub_vmstate),
    .ops = &hub_ops,
};
DEVICE_REGISTER(hub_type)
