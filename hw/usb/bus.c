/* SPDX-License-Identifier: GPL-2.0-or-later */
/* USB buses and ports: who is plugged in where, and who answers to an address. */
#include "util/osdep.h"
#include "hw/usb/usb.h"
#include "usb-internal.h"
#include "monitor/hmp.h"
#include "util/error.h"
#include "util/trace.h"

TRACE_EVENT(usb_port_claim)
TRACE_EVENT(usb_port_release)

#define USB_MAX_HUB_DEPTH 5 /* USB 2.0, 4.1.1 */

static GPtrArray *buses; /* UsbBus *, in order of creation */
static int next_busnr;

/* ---- buses and ports ------------------------------------------------------------------------- */

/* Devices that may not send what stock does not know must have none of it at switchover. */
static QuiesceResult bus_quiesce(void *opaque, GError **error)
{
    UsbBus *bus = opaque;
    const char *what;

    for (GList *l = bus->ports.head; l; l = l->next) {
        UsbDevice *dev = ((UsbPort *)l->data)->dev;

        if (dev && !dev->carry_transfers && usb_device_has_carried_state(dev, &what)) {
            error_set(error, "%s on port %s of bus %s has %s (x-carry-transfers=off)",
                      dev->device.object.type->name, dev->port->path, bus->bus.name, what);
            return QUIESCE_BUSY;
        }
    }
    return QUIESCE_DONE;
}

static const QuiesceOps bus_quiesce_ops = { .name = "usb-bus", .quiesce = bus_quiesce };

UsbBus *usb_bus_new(Device *controller, const UsbBusOps *ops, void *opaque)
{
    UsbBus *bus = USB_BUS(bus_new(&usb_bus_type, controller, NULL));

    bus->ops = ops;
    bus->opaque = opaque;
    bus->busnr = next_busnr++;
    bus->bus.hotpluggable = true;
    g_queue_init(&bus->ports);
    g_queue_init(&bus->free_ports);
    g_queue_init(&bus->used_ports);
    bus->quiesce = quiesce_register(&bus_quiesce_ops, bus);
    if (!buses) {
        buses = g_ptr_array_new();
    }
    g_ptr_array_add(buses, bus);
    return bus;
}

void usb_bus_free(UsbBus *bus)
{
    g_assert(g_queue_is_empty(&bus->ports));
    g_ptr_array_remove(buses, bus);
    quiesce_unregister(bus->quiesce);
    bus_destroy(&bus->bus);
}

static void add_port(UsbBus *bus, UsbPort *port, unsigned index, unsigned speed_mask,
                     const UsbPortOps *ops, void *opaque)
{
    port->bus = bus;
    port->index = index;
    port->speed_mask = speed_mask;
    port->ops = ops;
    port->opaque = opaque;
    port->link.data = port;
    port->claim_link.data = port;
    g_queue_push_tail_link(&bus->ports, &port->link);
    g_queue_push_tail_link(&bus->free_ports, &port->claim_link);
}

void usb_bus_add_port(UsbBus *bus, UsbPort *port, unsigned index, unsigned speed_mask,
                      const UsbPortOps *ops, void *opaque)
{
    add_port(bus, port, index, speed_mask, ops, opaque);
    g_snprintf(port->path, sizeof(port->path), "%u", index + 1);
}

void usb_bus_add_hub_port(UsbBus *bus, UsbPort *port, UsbPort *upstream, unsigned index,
                          unsigned speed_mask, const UsbPortOps *ops, void *opaque)
{
    add_port(bus, port, index, speed_mask, ops, opaque);
    port->upstream = upstream;
    port->hub_count = upstream->hub_count + 1;
    g_snprintf(port->path, sizeof(port->path), "%s.%u", upstream->path, index + 1);
}

void usb_bus_remove_port(UsbPort *port)
{
    g_assert(!port->owner_dev && !port->dev);
    g_queue_unlink(&port->bus->ports, &port->link);
    g_queue_unlink(&port->bus->free_ports, &port->claim_link);
    port->bus = NULL;
}

bool usb_bus_register_companion(const char *masterbus, UsbPort *ports[], unsigned n, unsigned first,
                                GError **error)
{
    for (guint i = 0; buses && i < buses->len; i++) {
        UsbBus *bus = g_ptr_array_index(buses, i);

        if (strcmp(bus->bus.name, masterbus) != 0) {
            continue;
        }
        if (!bus->ops || !bus->ops->register_companion) {
            return error_set(error,
                             "Can't use USB bus '%s' as masterbus, it doesn't support companion"
                             " controllers",
                             masterbus);
        }
        return bus->ops->register_companion(bus, ports, n, first, error);
    }
    return error_set(error, "USB bus '%s' not found", masterbus);
}

/* ---- taking a port --------------------------------------------------------------------------- */

static UsbPort *free_port_by_path(UsbBus *bus, const char *path)
{
    for (GList *l = bus->free_ports.head; l; l = l->next) {
        UsbPort *port = l->data;

        if (strcmp(port->path, path) == 0) {
            return port;
        }
    }
    return NULL;
}

/* The last free port gets a hub when something else than a hub wants it, so that the bus never runs
 * full. */
static bool add_hub(UsbBus *bus, GError **error)
{
    const DeviceType *type = device_type_by_name("usb-hub");
    Device *hub;

    if (!type) {
        return error_set(error, "no free port on bus %s for a hub", bus->bus.name);
    }
    hub = device_new(type);
    if (!device_realize(hub, &bus->bus, error)) {
        object_unref(hub);
        return false;
    }
    return true;
}

bool usb_bus_claim_port(UsbDevice *dev, GError **error)
{
    UsbBus *bus = USB_BUS(dev->device.bus);
    bool is_hub = usb_device_ops(dev)->find_device != NULL;
    UsbPort *port;

    if (dev->port_path) {
        port = free_port_by_path(bus, dev->port_path);
        if (!port) {
            return error_set(error, "usb port %s (bus %s) not found (in use?)", dev->port_path,
                             bus->bus.name);
        }
    } else {
        if (bus->free_ports.length == 1 && !is_hub) {
            GError *none = NULL;

            if (!add_hub(bus, &none)) {
                g_clear_error(&none); /* as deep as hubs go: the device takes the port itself */
            }
        }
        port = g_queue_peek_head(&bus->free_ports);
        if (!port) {
            return error_set(error, "tried to attach usb device %s to a bus with no free ports",
                             usb_desc_product(dev));
        }
    }
    g_queue_unlink(&bus->free_ports, &port->claim_link);
    g_queue_push_tail_link(&bus->used_ports, &port->claim_link);
    trace(usb_port_claim, "bus %d, port %s", bus->busnr, port->path);
    port->owner_dev = dev;
    dev->port = port;
    return true;
}

void usb_bus_release_port(UsbDevice *dev)
{
    UsbPort *port = dev->port;

    g_assert(port && port->owner_dev == dev && !port->dev);
    trace(usb_port_release, "bus %d, port %s", port->bus->busnr, port->path);
    port->owner_dev = NULL;
    dev->port = NULL;
    g_queue_unlink(&port->bus->used_ports, &port->claim_link);
    g_queue_push_tail_link(&port->bus->free_ports, &port->claim_link);
}

/* ---- addresses ------------------------------------------------------------------------------- */

static bool port_enabled(UsbPort *port)
{
    return !port->ops->enabled || port->ops->enabled(port);
}

UsbDevice *usb_port_find_device(UsbPort *port, uint8_t addr)
{
    UsbDevice *dev = port->dev;

    if (!dev || !dev->attached || dev->state < USB_STATE_DEFAULT || !port_enabled(port)) {
        return NULL;
    }
    if (dev->addr == addr) {
        return dev;
    }
    return usb_device_ops(dev)->find_device ? usb_device_ops(dev)->find_device(dev, addr) : NULL;
}

bool usb_device_reachable(const UsbDevice *dev)
{
    UsbPort *port = dev->port;

    if (!dev->attached || dev->state < USB_STATE_DEFAULT) {
        return false;
    }
    for (; port; port = port->upstream) {
        if (!port_enabled(port)) {
            return false;
        }
    }
    return true;
}

void usb_port_reset(UsbPort *port)
{
    if (port->dev) {
        usb_device_bus_reset(port->dev);
    }
}

void usb_port_cancel_all(UsbPort *port)
{
    UsbBus *bus = port->bus;

    for (GList *l = bus->ports.head; l; l = l->next) {
        UsbPort *other = l->data, *root = other;

        while (root->upstream) {
            root = root->upstream;
        }
        if (root == port && other->dev) {
            usb_device_flush(other->dev, USB_CANCELED);
        }
    }
}

/* ---- the bus as devices and users see it ----------------------------------------------------- */

static char *bus_section_prefix(const Device *device)
{
    const UsbDevice *dev = USB_DEVICE(device);
    char *controller, *prefix;

    if (!dev->port) {
        return NULL;
    }
    controller = device_section_prefix(device->bus->owner);
    prefix = controller ? g_strdup_printf("%s/%s", controller, dev->port->path)
                        : g_strdup(dev->port->path);
    g_free(controller);
    return prefix;
}

static char *bus_firmware_path(const Device *device)
{
    const UsbDevice *dev = USB_DEVICE(device);
    GString *path = g_string_new(NULL);
    const char *p = dev->port ? dev->port->path : "0";

    /* "hub@1/storage@2": every hub on the way, then the device. */
    for (const char *dot; (dot = strchr(p, '.')) != NULL; p = dot + 1) {
        g_string_append_printf(path, "hub@%lx/", strtoul(p, NULL, 10));
    }
    g_string_append_printf(path, "%s@%lx",
                           usb_device_ops(dev)->firmware_name ? usb_device_ops(dev)->firmware_name
                                                              : device->object.type->name,
                           strtoul(p, NULL, 10));
    return g_string_free(path, false);
}

static void bus_print_device(const Device *device, GString *out, int indent)
{
    const UsbDevice *dev = USB_DEVICE(device);
    const UsbBus *bus = USB_BUS(device->bus);

    g_string_append_printf(out, "%*saddr %d.%d, port %s, speed %s, name %s%s\n", indent, "",
                           bus->busnr, dev->addr, dev->port ? dev->port->path : "-",
                           usb_speed_name(dev->speed), usb_desc_product(dev),
                           dev->attached ? ", attached" : "");
}

const BusType usb_bus_type = {
    .object = {
        .name = "usb-bus",
        .parent = &bus_type.object,
        .size = sizeof(UsbBus),
    },
    .section_prefix = bus_section_prefix,
    .firmware_path = bus_firmware_path,
    .print_device = bus_print_device,
};
BUS_REGISTER(usb_bus_type)

/* ---- info usb -------------------------------------------------------------------------------- */

static void info_usb(Hmp *hmp, const HmpArgs *args)
{
    if (!buses || buses->len == 0) {
        hmp_printf(hmp, "USB support not enabled\n");
        return;
    }
    for (guint i = 0; i < buses->len; i++) {
        UsbBus *bus = g_ptr_array_index(buses, i);

        for (GList *l = bus->used_ports.head; l; l = l->next) {
            const UsbDevice *dev = ((UsbPort *)l->data)->dev;

            if (dev) {
                hmp_printf(hmp, "  Device %d.%d, Port %s, Speed %s Mb/s, Product %s%s%s\n",
                           bus->busnr, dev->addr, dev->port->path, usb_speed_name(dev->speed),
                           usb_desc_product(dev), dev->device.id ? ", ID: " : "",
                           dev->device.id ? dev->device.id : "");
            }
        }
    }
}

static const HmpCommand usb_commands[] = {
    { .name = "info usb",
      .args = "",
      .params = "",
      .help = "show guest USB devices",
      .run = info_usb },
};
HMP_REGISTER(usb_commands)
