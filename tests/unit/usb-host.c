/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "util/osdep.h"
#include "usb-host.h"

/* ---- a controller that is driven by hand --------------------------------------------------------------------- */

static void host_attach(UsbPort *port)
{
}

static void host_detach(UsbPort *port)
{
}

static void host_wakeup(UsbPort *port)
{
    ((Host *)port->opaque)->wakeups++;
}

static bool host_enabled(UsbPort *port)
{
    return ((Host *)port->opaque)->enabled[port->index];
}

static const UsbPortOps host_port_ops = {
    .attach = host_attach,
    .detach = host_detach,
    .wakeup = host_wakeup,
    .enabled = host_enabled,
};

static bool host_realize(Device *dev, GError **error)
{
    Host *h = (Host *)dev;

    h->bus = usb_bus_new(dev, NULL, h);
    for (unsigned i = 0; i < G_N_ELEMENTS(h->ports); i++) {
        h->enabled[i] = true;
        usb_bus_add_port(h->bus, &h->ports[i], i, USB_SPEED_BIT(USB_SPEED_FULL), &host_port_ops, h);
    }
    return true;
}

static void host_unrealize(Device *dev)
{
    Host *h = (Host *)dev;

    for (unsigned i = 0; i < G_N_ELEMENTS(h->ports); i++) {
        usb_bus_remove_port(&h->ports[i]);
    }
    usb_bus_free(h->bus);
}

static const DeviceType host_type = {
    .object = { .name = "test-usb-host", .parent = &device_type.object, .size = sizeof(Host) },
    .realize = host_realize,
    .unrealize = host_unrealize,
    .migration = STATELESS("part of a test"),
};
DEVICE_REGISTER(host_type)

Host *host_new(void)
{
    Device *dev = device_new(&host_type);
    GError *error = NULL;

    device_realize(dev, NULL, &error);
    g_assert_no_error(error);
    return (Host *)dev;
}

void host_free(Host *h)
{
    device_unrealize(&h->device);
}

UsbDevice *host_plug_at(Host *h, const char *type, const char *port, GError **error)
{
    Device *dev = device_new(device_type_by_name(type));

    if (port) {
        object_set_string(&dev->object, "port", port);
    }
    if (!device_realize(dev, &h->bus->bus, error)) {
        object_unref(dev);
        return NULL;
    }
    usb_device_bus_reset(USB_DEVICE(dev));
    return USB_DEVICE(dev);
}

UsbDevice *host_plug(Host *h, const char *type)
{
    GError *error = NULL;
    UsbDevice *dev = host_plug_at(h, type, NULL, &error);

    g_assert_no_error(error);
    return dev;
}

/* One transaction; what is left of it after a synchronous end. */
UsbStatus usb_token(UsbDevice *dev, UsbPid pid, unsigned nr, void *data, size_t len, size_t *actual)
{
    UsbPacket p;
    UsbStatus status;

    usb_packet_init(&p, NULL, NULL);
    usb_packet_setup(&p, pid, usb_endpoint_get(dev, pid, nr), 0, false, false);
    usb_packet_add_buffer(&p, data, len);
    status = usb_packet_submit(dev, &p);
    g_assert_cmpint(status, !=, USB_ASYNC);
    if (actual) {
        *actual = p.actual_length;
    }
    usb_packet_destroy(&p);
    return status;
}

void usb_put_setup(uint8_t setup[8], unsigned type, unsigned request, unsigned value,
                   unsigned index, unsigned length)
{
    const uint8_t bytes[8] = { type,         request,    value & 0xff,  value >> 8,
                               index & 0xff, index >> 8, length & 0xff, length >> 8 };

    memcpy(setup, bytes, 8);
}

UsbStatus usb_send_setup(UsbDevice *dev, unsigned type, unsigned request, unsigned value,
                         unsigned index, unsigned length)
{
    uint8_t setup[8];

    usb_put_setup(setup, type, request, value, index, length);
    return usb_token(dev, USB_PID_SETUP, 0, setup, 8, NULL);
}

/* A whole control-IN transfer in packets of 8. Returns the length, or -1 if it stalled. */
int usb_control_in(UsbDevice *dev, unsigned type, unsigned request, unsigned value, unsigned index,
                   unsigned length, uint8_t *data)
{
    size_t len = 0, actual;

    if (usb_send_setup(dev, type, request, value, index, length) != USB_OK) {
        return -1;
    }
    while (len < length) {
        if (usb_token(dev, USB_PID_IN, 0, data + len, MIN(8, length - len), &actual) != USB_OK) {
            return -1;
        }
        len += actual;
        if (actual < 8) {
            break;
        }
    }
    return usb_token(dev, USB_PID_OUT, 0, NULL, 0, NULL) == USB_OK ? (int)len : -1;
}

UsbStatus usb_control_out(UsbDevice *dev, unsigned type, unsigned request, unsigned value,
                          unsigned index, void *data, unsigned length)
{
    UsbStatus status = usb_send_setup(dev, type, request, value, index, length);

    if (status == USB_OK && length) {
        status = usb_token(dev, USB_PID_OUT, 0, data, length, NULL);
    }
    return status == USB_OK ? usb_token(dev, USB_PID_IN, 0, NULL, 0, NULL) : status;
}

void check_bytes(const uint8_t *data, int len, const char *hex)
{
    g_autoptr(GString) s = g_string_new(NULL);

    for (int i = 0; i < len; i++) {
        g_string_append_printf(s, "%02x", data[i]);
    }
    g_assert_cmpstr(s->str, ==, hex);
}

void check_descriptor(UsbDevice *dev, unsigned type, unsigned value, unsigned index,
                      const char *hex)
{
    uint8_t data[256];
    int len = usb_control_in(dev, type, USB_REQ_GET_DESCRIPTOR, value, index, 255, data);

    if (!hex) {
        g_assert_cmpint(len, ==, -1);
    } else {
        g_assert_cmpint(len, >=, 0);
        check_bytes(data, len, hex);
    }
}

/* ---- moving ---------------------------------------------------------------------------------------------------- */

GByteArray *usb_save(UsbDevice *dev)
{
    VmWriter *w = vm_writer_new();
    GByteArray *b = g_byte_array_new();
    GError *error = NULL;
    const uint8_t *bytes;
    size_t len;

    vmstate_save(w, device_vmstate(&dev->device), dev, NULL, &error);
    g_assert_no_error(error);
    bytes = vm_writer_data(w, &len);
    g_byte_array_append(b, bytes, len);
    vm_writer_free(w);
    return b;
}

bool usb_load(UsbDevice *dev, const GByteArray *b, size_t len, GError **error)
{
    VmReader *r = vm_reader_new_from_memory(b->data, len);
    const VmState *vmsd = device_vmstate(&dev->device);
    bool ok = vmstate_load(r, vmsd, dev, vmsd->version, error);

    vm_reader_free(r);
    return ok;
}

/* dev's state in a new device of the type, on another bus, as after a migration; the same bytes come out of it. */
UsbDevice *usb_move(UsbDevice *dev, Host *to)
{
    g_autoptr(GByteArray) first = usb_save(dev), second = NULL;
    UsbDevice *moved = host_plug(to, dev->device.object.type->name);
    GError *error = NULL;

    moved->carry_transfers = dev->carry_transfers;
    usb_load(moved, first, first->len, &error);
    g_assert_no_error(error);
    second = usb_save(moved);
    g_assert_cmpmem(first->data, first->len, second->data, second->len);
    /* Every truncation is refused. */
    for (guint len = 0; len < first->len; len++) {
        Host *h = host_new();
        UsbDevice *victim = host_plug(h, dev->device.object.type->name);

        if (usb_load(victim, first, len, &error)) {
            g_assert_cmpuint(
                len, >=,
                29); /* at the end of the fields nothing says that subsections were to come */
        }
        g_clear_error(&error);
        host_free(h);
    }
    return moved;
}
