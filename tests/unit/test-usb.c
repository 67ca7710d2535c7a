/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * USB core without a host controller: descriptors, control transfers cut anywhere, queues of endpoints, packets that
 * move with the VM, ports and hubs, the queues of input devices. Descriptor bytes were read from stock QEMU 7.2.
 */
#include "util/osdep.h"
#include "hw/usb/hid.h"
#include "hw/usb/usb.h"
#include "system/memory.h"

#define MAX_REPLY 4096

/* ---- a controller that is driven by hand --------------------------------------------------------------------- */

typedef struct Host {
    Device device;
    UsbBus *bus;
    UsbPort ports[2];
    bool enabled[2];
    unsigned wakeups;
} Host;

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

static Host *host_new(void)
{
    Device *dev = device_new(&host_type);
    GError *error = NULL;

    device_realize(dev, NULL, &error);
    g_assert_no_error(error);
    return (Host *)dev;
}

static void host_free(Host *h)
{
    device_unrealize(&h->device);
}

static UsbDevice *plug_at(Host *h, const char *type, const char *port, GError **error)
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

static UsbDevice *plug(Host *h, const char *type)
{
    GError *error = NULL;
    UsbDevice *dev = plug_at(h, type, NULL, &error);

    g_assert_no_error(error);
    return dev;
}

/* One transaction; what is left of it after a synchronous end. */
static UsbStatus token(UsbDevice *dev, UsbPid pid, unsigned nr, void *data, size_t len, size_t *actual)
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

static void put_setup(uint8_t setup[8], unsigned type, unsigned request, unsigned value, unsigned index,
                      unsigned length)
{
    const uint8_t bytes[8] = { type,         request,    value & 0xff,  value >> 8,
                               index & 0xff, index >> 8, length & 0xff, length >> 8 };

    memcpy(setup, bytes, 8);
}

static UsbStatus send_setup(UsbDevice *dev, unsigned type, unsigned request, unsigned value, unsigned index,
                            unsigned length)
{
    uint8_t setup[8];

    put_setup(setup, type, request, value, index, length);
    return token(dev, USB_PID_SETUP, 0, setup, 8, NULL);
}

/* A whole control-IN transfer in packets of 8. Returns the length, or -1 if it stalled. */
static int control_in(UsbDevice *dev, unsigned type, unsigned request, unsigned value, unsigned index,
                      unsigned length, uint8_t *data)
{
    size_t len = 0, actual;

    if (send_setup(dev, type, request, value, index, length) != USB_OK) {
        return -1;
    }
    while (len < length) {
        if (token(dev, USB_PID_IN, 0, data + len, MIN(8, length - len), &actual) != USB_OK) {
            return -1;
        }
        len += actual;
        if (actual < 8) {
            break;
        }
    }
    return token(dev, USB_PID_OUT, 0, NULL, 0, NULL) == USB_OK ? (int)len : -1;
}

static UsbStatus control_out(UsbDevice *dev, unsigned type, unsigned request, unsigned value, unsigned index,
                             void *data, unsigned length)
{
    UsbStatus status = send_setup(dev, type, request, value, index, length);

    if (status == USB_OK && length) {
        status = token(dev, USB_PID_OUT, 0, data, length, NULL);
    }
    return status == USB_OK ? token(dev, USB_PID_IN, 0, NULL, 0, NULL) : status;
}

static void check_bytes(const uint8_t *data, int len, const char *hex)
{
    g_autoptr(GString) s = g_string_new(NULL);

    for (int i = 0; i < len; i++) {
        g_string_append_printf(s, "%02x", data[i]);
    }
    g_assert_cmpstr(s->str, ==, hex);
}

static void check_descriptor(UsbDevice *dev, unsigned type, unsigned value, unsigned index, const char *hex)
{
    uint8_t data[256];
    int len = control_in(dev, type, USB_REQ_GET_DESCRIPTOR, value, index, 255, data);

    if (!hex) {
        g_assert_cmpint(len, ==, -1);
    } else {
        g_assert_cmpint(len, >=, 0);
        check_bytes(data, len, hex);
    }
}

/* ---- descriptors ------------------------------------------------------------------------------------------------ */

typedef struct Golden {
    const char *type;
    const char *device, *config, *qualifier, *other, *bos, *report;
} Golden;

static const Golden golden[] = {
    { "usb-kbd", "120100020000000827060100000001040b01",
      "09022200010108a032090400000103010100092111010001223f000705810308000a", "0a060002000000400100",
      "09072200010108a032090400000103010100092111010001223f0007058103080007", "050f0c000107100202000000",
      "05010906a10175019508050719e029e715002501810295017508810195057501050819012905910295017503910195067508"
      "150025ff0507190029ff8100c0" },
    { "usb-mouse", "120100020000000827060100000001020901",
      "09022200010106a0320904000001030102000921010000012234000705810304000a", "0a060002000000400100",
      "09072200010106a03209040000010301020009210100000122340007058103040007", "050f0c000107100202000000",
      "05010902a1010901a1000509190129051500250195057501810295017503810105010930093109381581257f750895038106"
      "c0c0" },
    { "usb-tablet", "120100020000000827060100000001030a01",
      "09022200010107a032090400000103000000092101000001224a000705810308000a", "0a060002000000400100",
      "09072200010107a032090400000103000000092101000001224a0007058103080004", "050f0c000107100202000000",
      "05010902a1010901a10005091901290315002501950375018102950175058101050109300931150026ff7f350046ff7f7510"
      "95028102050109381581257f35004500750895018106c0c0" },
    { "usb-hub", "12011001090000080904aa55010101020301", "09021900010100e000090400000109000000070581030200ff",
      NULL, NULL, "050f050000", NULL },
};

static void test_descriptors(void)
{
    Host *h = host_new();

    for (unsigned i = 0; i < G_N_ELEMENTS(golden); i++) {
        const Golden *g = &golden[i];
        UsbDevice *dev = plug(h, g->type);

        check_descriptor(dev, 0x80, 0x0100, 0, g->device);
        check_descriptor(dev, 0x80, 0x0200, 0, g->config);
        check_descriptor(dev, 0x80, 0x0201, 0, NULL);
        check_descriptor(dev, 0x80, 0x0600, 0, g->qualifier);
        check_descriptor(dev, 0x80, 0x0700, 0, g->other);
        check_descriptor(dev, 0x80, 0x0f00, 0, g->bos);
        check_descriptor(dev, 0x81, 0x2200, 0, g->report);
        check_descriptor(dev, 0x80, 0x0300, 0, "04030904");
        check_descriptor(dev, 0x80, 0x0301, 0x0409, "0a03510045004d005500");
        check_descriptor(dev, 0x80, 0x03f0, 0x0409, NULL);
        check_descriptor(dev, 0x80, 0x2900, 0, NULL);
        device_unrealize(&dev->device);
    }
    host_free(h);
}

static void test_strings_and_msos(void)
{
    Host *h = host_new();
    UsbDevice *dev = plug(h, "usb-kbd");
    uint8_t data[128];
    int len;

    g_assert_cmpstr(usb_device_get_string(dev, 11), ==, "68284-1");
    check_descriptor(dev, 0x80, 0x03ee, 0, "12034d005300460054003100300030005100");
    len = control_in(dev, 0xc0, 'Q', 0, 4, 128, data);
    check_bytes(data, len, "28000000000104000100000000000000000100000000000000000000000000000000000000000000");
    len = control_in(dev, 0xc1, 'Q', 0, 5, 128, data);
    check_bytes(data, len,
                "5200000000010500010048000000040000003000530065006c00650063007400690076006500530075007300700065"
                "006e00640045006e00610062006c006500640000000400000001000000000000000000");
    device_unrealize(&dev->device);

    dev = USB_DEVICE(device_new(device_type_by_name("usb-kbd")));
    object_set_string(&dev->device.object, "serial", "abc");
    object_set_bool(&dev->device.object, "msos-desc", false);
    object_set_int(&dev->device.object, "usb_version", 1);
    g_assert_true(device_realize(&dev->device, &h->bus->bus, NULL));
    usb_device_bus_reset(dev);
    check_descriptor(dev, 0x80, 0x030b, 0x0409, "0803610062006300");
    check_descriptor(dev, 0x80, 0x03ee, 0, NULL);
    check_descriptor(dev, 0x80, 0x0600, 0, NULL);
    check_descriptor(dev, 0x80, 0x0f00, 0, "050f050000");
    g_assert_cmpint(control_in(dev, 0xc0, 'Q', 0, 4, 128, data), ==, -1);
    device_unrealize(&dev->device);
    host_free(h);
}

/* ---- standard requests ---------------------------------------------------------------------------------------- */

static void test_standard_requests(void)
{
    Host *h = host_new();
    UsbDevice *dev = plug(h, "usb-kbd");
    uint8_t data[8];

    g_assert_cmpint(dev->state, ==, USB_STATE_DEFAULT);
    g_assert_true(usb_port_find_device(&h->ports[0], 0) == dev);
    g_assert_cmpint(control_out(dev, 0, USB_REQ_SET_ADDRESS, 128, 0, NULL, 0), ==, USB_STALL);
    g_assert_cmpint(control_out(dev, 0, USB_REQ_SET_ADDRESS, 5, 0, NULL, 0), ==, USB_OK);
    g_assert_true(usb_port_find_device(&h->ports[0], 5) == dev);
    g_assert_null(usb_port_find_device(&h->ports[0], 0));
    h->enabled[0] = false;
    g_assert_null(usb_port_find_device(&h->ports[0], 5));
    h->enabled[0] = true;

    g_assert_cmpint(control_in(dev, 0x80, USB_REQ_GET_CONFIGURATION, 0, 0, 1, data), ==, 1);
    g_assert_cmpint(data[0], ==, 0);
    g_assert_cmpint(control_out(dev, 0, USB_REQ_SET_CONFIGURATION, 9, 0, NULL, 0), ==, USB_STALL);
    g_assert_cmpint(control_out(dev, 0, USB_REQ_SET_CONFIGURATION, 1, 0, NULL, 0), ==, USB_OK);
    g_assert_cmpint(control_in(dev, 0x80, USB_REQ_GET_CONFIGURATION, 0, 0, 1, data), ==, 1);
    g_assert_cmpint(data[0], ==, 1);
    g_assert_cmpint(control_in(dev, 0x81, USB_REQ_GET_INTERFACE, 0, 0, 1, data), ==, 1);
    g_assert_cmpint(control_in(dev, 0x81, USB_REQ_GET_INTERFACE, 0, 1, 1, data), ==, -1);
    g_assert_cmpint(control_out(dev, 1, USB_REQ_SET_INTERFACE, 0, 0, NULL, 0), ==, USB_OK);
    g_assert_cmpint(control_out(dev, 1, USB_REQ_SET_INTERFACE, 1, 0, NULL, 0), ==, USB_STALL);

    g_assert_cmpint(control_out(dev, 0, USB_REQ_SET_FEATURE, USB_FEATURE_REMOTE_WAKEUP, 0, NULL, 0), ==, USB_OK);
    g_assert_cmpint(control_in(dev, 0x80, USB_REQ_GET_STATUS, 0, 0, 2, data), ==, 2);
    g_assert_cmpint(data[0], ==, 2);
    g_assert_cmpint(control_out(dev, 0, USB_REQ_CLEAR_FEATURE, USB_FEATURE_REMOTE_WAKEUP, 0, NULL, 0), ==,
                    USB_OK);
    g_assert_cmpint(control_in(dev, 0x80, USB_REQ_GET_STATUS, 0, 0, 2, data), ==, 2);
    g_assert_cmpint(data[0], ==, 0);
    g_assert_cmpint(control_out(dev, 0, USB_REQ_SET_FEATURE, 77, 0, NULL, 0), ==, USB_STALL);

    g_assert_cmpint(token(dev, USB_PID_IN, 1, data, 8, NULL), ==, USB_NAK);
    g_assert_cmpint(control_out(dev, 2, USB_REQ_SET_FEATURE, 0, 0x81, NULL, 0), ==, USB_OK);
    g_assert_cmpint(token(dev, USB_PID_IN, 1, data, 8, NULL), ==, USB_STALL);
    g_assert_cmpint(control_in(dev, 0x82, USB_REQ_GET_STATUS, 0, 0x81, 2, data), ==, 2);
    g_assert_cmpint(data[0], ==, 1);
    g_assert_cmpint(control_out(dev, 2, USB_REQ_CLEAR_FEATURE, 0, 0x81, NULL, 0), ==, USB_OK);
    g_assert_cmpint(token(dev, USB_PID_IN, 1, data, 8, NULL), ==, USB_NAK);
    g_assert_cmpint(control_out(dev, 2, USB_REQ_SET_FEATURE, 0, 0x85, NULL, 0), ==, USB_STALL);
    g_assert_cmpint(token(dev, USB_PID_OUT, 1, data, 8, NULL), ==, USB_STALL);
    g_assert_cmpint(token(dev, USB_PID_IN, 5, data, 8, NULL), ==, USB_STALL);
    host_free(h);
}

static void test_control_corners(void)
{
    Host *h = host_new();
    UsbDevice *dev = plug(h, "usb-kbd");
    uint8_t data[64];
    size_t actual;

    /* Status before all data. */
    g_assert_cmpint(send_setup(dev, 0x80, USB_REQ_GET_DESCRIPTOR, 0x0200, 0, 255), ==, USB_OK);
    g_assert_cmpint(token(dev, USB_PID_IN, 0, data, 8, &actual), ==, USB_OK);
    g_assert_cmpint(actual, ==, 8);
    g_assert_cmpint(token(dev, USB_PID_OUT, 0, NULL, 0, NULL), ==, USB_OK);
    g_assert_cmpint(token(dev, USB_PID_IN, 0, data, 8, NULL), ==, USB_STALL);
    /* 16 bytes of 18, then the rest, then a zero-length packet. */
    g_assert_cmpint(send_setup(dev, 0x80, USB_REQ_GET_DESCRIPTOR, 0x0100, 0, 255), ==, USB_OK);
    g_assert_cmpint(token(dev, USB_PID_IN, 0, data, 16, &actual), ==, USB_OK);
    g_assert_cmpint(actual, ==, 16);
    g_assert_cmpint(token(dev, USB_PID_IN, 0, data, 16, &actual), ==, USB_OK);
    g_assert_cmpint(actual, ==, 2);
    g_assert_cmpint(token(dev, USB_PID_IN, 0, data, 16, &actual), ==, USB_OK);
    g_assert_cmpint(actual, ==, 0);
    g_assert_cmpint(token(dev, USB_PID_OUT, 0, NULL, 0, NULL), ==, USB_OK);
    /* More than asked for is cut. */
    g_assert_cmpint(control_in(dev, 0x80, USB_REQ_GET_DESCRIPTOR, 0x0100, 0, 5, data), ==, 5);
    /* A length beyond every buffer. */
    g_assert_cmpint(send_setup(dev, 0x80, USB_REQ_GET_DESCRIPTOR, 0x0100, 0, 0xffff), ==, USB_OK);
    g_assert_cmpint(dev->setup_len, ==, 18);
    g_assert_cmpint(send_setup(dev, 0x21, 9, 0x0200, 0, 0xffff), ==, USB_STALL);
    /* More data than announced; data for a request that has none; a short SETUP. */
    g_assert_cmpint(send_setup(dev, 0x21, 9, 0x0200, 0, 1), ==, USB_OK);
    g_assert_cmpint(token(dev, USB_PID_OUT, 0, data, 2, NULL), ==, USB_STALL);
    g_assert_cmpint(send_setup(dev, 0x00, USB_REQ_SET_ADDRESS, 3, 0, 0), ==, USB_OK);
    g_assert_cmpint(token(dev, USB_PID_OUT, 0, data, 2, NULL), ==, USB_STALL);
    g_assert_cmpint(dev->addr, ==, 0);
    g_assert_cmpint(token(dev, USB_PID_SETUP, 0, data, 7, NULL), ==, USB_STALL);
    g_assert_cmpint(token(dev, USB_PID_SETUP, 1, data, 8, NULL), ==, USB_STALL);
    /* Data in several packets; SETUP in the middle begins anew. */
    g_assert_cmpint(send_setup(dev, 0x21, 9, 0x0200, 0, 4), ==, USB_OK);
    g_assert_cmpint(token(dev, USB_PID_OUT, 0, data, 2, NULL), ==, USB_OK);
    g_assert_cmpint(token(dev, USB_PID_IN, 0, NULL, 0, NULL), ==, USB_STALL);
    data[0] = 5;
    g_assert_cmpint(control_out(dev, 0x21, 9, 0x0200, 0, data, 1), ==, USB_OK);
    g_assert_cmpint(usb_hid_state(&dev->device)->kbd.leds, ==, 5);
    host_free(h);
}

/* ---- a device whose packets wait ------------------------------------------------------------------------------- */

typedef struct Slow {
    UsbDevice usb;
    UsbPacket *kept;
    UsbPacket *control;
    bool finish_within; /* usb_packet_finish() from within data() */
    uint8_t next;       /* IN: the byte that comes next; OUT: the one expected */
    uint32_t cancels, controls;
} Slow;

static void slow_control(UsbDevice *dev, UsbPacket *p, unsigned request, unsigned value, unsigned index,
                         unsigned length, uint8_t *data)
{
    Slow *s = (Slow *)dev;

    s->controls++;
    if (request == USB_REQUEST(0xc0, 1) || request == USB_REQUEST(0x40, 1)) {
        s->control = p;
        p->status = USB_ASYNC;
    } else if (request == USB_REQUEST(0xc0, 2)) { /* counts: not repeatable, for the test of what was carried */
        memset(data, s->controls, length);
        p->actual_length = length;
    } else if (request == USB_REQUEST(0x40, 3)) {
        s->next = data[0] + data[length - 1];
    } else {
        p->status = USB_STALL;
    }
}

/* Moves n bytes of the pattern. */
static void slow_move(Slow *s, UsbPacket *p, size_t n)
{
    for (; n > 0 && usb_packet_room(p) > 0; n--) {
        uint8_t byte = s->next;

        usb_packet_copy(p, &byte, 1);
        g_assert_cmpint(byte, ==, s->next);
        s->next++;
    }
}

static void slow_data(UsbDevice *dev, UsbPacket *p)
{
    Slow *s = (Slow *)dev;

    g_assert_null(s->kept);
    s->kept = p;
    p->status = USB_ASYNC;
    if (s->finish_within) {
        s->kept = NULL;
        slow_move(s, p, SIZE_MAX);
        p->status = USB_OK;
        usb_packet_finish(dev, p);
    }
}

static void slow_cancel(UsbDevice *dev, UsbPacket *p)
{
    Slow *s = (Slow *)dev;

    g_assert_true(p == s->kept || p == s->control);
    s->cancels++;
    if (p == s->kept) {
        s->kept = NULL;
    } else {
        s->control = NULL;
    }
}

static void slow_finish(Slow *s, UsbStatus status)
{
    UsbPacket *p = s->kept;

    s->kept = NULL;
    p->status = status;
    usb_packet_finish(&s->usb, p);
}

static const UsbDescEndpoint slow_endpoints[] = {
    { .address = 0x81, .attributes = USB_TRANSFER_BULK, .max_packet_size = 64 },
    { .address = 0x02, .attributes = USB_TRANSFER_BULK, .max_packet_size = 64 },
};
static const UsbDescInterface slow_interfaces[] = {
    { .class = 0xff, .num_endpoints = 2, .endpoints = slow_endpoints },
    { .alternate = 1, .class = 0xff, .num_endpoints = 1, .endpoints = slow_endpoints },
};
static const UsbDescConfig slow_configs[] = {
    { .value = 3, .attributes = 0x80, .num_interfaces = 1, .num_settings = 2, .interfaces = slow_interfaces },
    { .value = 4, .attributes = 0x80, .num_interfaces = 1, .num_settings = 1, .interfaces = slow_interfaces },
};
static const UsbDescDevice slow_full = { .usb_version = 0x0200, .max_packet_size0 = 8, .num_configs = 2,
                                         .configs = slow_configs };
static const UsbDesc slow_desc = { .vendor = 1, .product = 2, .full = &slow_full };
static const UsbDeviceOps slow_ops = { .product = "slow", .desc = &slow_desc, .control = slow_control,
                                       .data = slow_data, .cancel = slow_cancel };
static const VmState slow_vmstate = {
    .name = "slow",
    .version = 1,
    .minimum_version = 1,
    .fields = (const VmField[]){ VM_USB_DEVICE(Slow, usb), VM_U8(Slow, next), VM_U32(Slow, controls), VM_END },
};
static const DeviceType slow_type = {
    .object = { .name = "test-usb-slow", .parent = &usb_device_type.object, .size = sizeof(Slow) },
    .migration = MIGRATES_WITH(slow_vmstate),
    .ops = &slow_ops,
};
DEVICE_REGISTER(slow_type)

typedef struct Sent {
    UsbPacket p;
    uint8_t data[64];
    unsigned done;
} Sent;

static void sent_done(UsbPacket *p, void *opaque)
{
    ((Sent *)opaque)->done++;
}

static UsbStatus send(UsbDevice *dev, Sent *s, UsbPid pid, unsigned nr, size_t len, bool short_not_ok)
{
    if (!s->p.link.data) {
        usb_packet_init(&s->p, sent_done, s);
    }
    usb_packet_setup(&s->p, pid, usb_endpoint_get(dev, pid, nr), 0x1000 + nr, short_not_ok, false);
    usb_packet_add_buffer(&s->p, s->data, len);
    return usb_packet_submit(dev, &s->p);
}

static void test_queue(void)
{
    Host *h = host_new();
    Slow *slow = (Slow *)plug(h, "test-usb-slow");
    Sent a = { 0 }, b = { 0 }, c = { 0 };

    /* In order, one at a time. */
    g_assert_cmpint(send(&slow->usb, &a, USB_PID_IN, 1, 4, false), ==, USB_ASYNC);
    g_assert_cmpint(send(&slow->usb, &b, USB_PID_IN, 1, 4, false), ==, USB_ASYNC);
    g_assert_true(slow->kept == &a.p);
    slow_move(slow, slow->kept, 4);
    slow_finish(slow, USB_OK);
    g_assert_cmpint(a.done, ==, 1);
    g_assert_cmpint(a.p.status, ==, USB_OK);
    g_assert_cmpint(a.data[3], ==, 3);
    g_assert_true(slow->kept == &b.p);
    slow_move(slow, slow->kept, 2);
    slow_finish(slow, USB_OK);
    g_assert_cmpint(b.p.actual_length, ==, 2);
    g_assert_cmpint(b.data[1], ==, 5);
    /* A failure sends the rest back; so does a short packet that is not OK. */
    for (int i = 0; i < 2; i++) {
        a.done = b.done = c.done = 0;
        send(&slow->usb, &a, USB_PID_IN, 1, 4, i == 1);
        send(&slow->usb, &b, USB_PID_IN, 1, 4, false);
        send(&slow->usb, &c, USB_PID_IN, 1, 4, false);
        slow_finish(slow, i == 0 ? USB_STALL : USB_OK);
        g_assert_cmpint(a.done + b.done + c.done, ==, 3);
        g_assert_cmpint(b.p.status, ==, USB_CANCELED);
        g_assert_cmpint(c.p.status, ==, USB_CANCELED);
        g_assert_null(slow->kept);
    }
    /* Cancel: of one that waits, then of the one with the device. */
    a.done = b.done = c.done = 0;
    send(&slow->usb, &a, USB_PID_IN, 1, 4, false);
    send(&slow->usb, &b, USB_PID_IN, 1, 4, false);
    usb_packet_cancel(&b.p);
    g_assert_cmpint(slow->cancels, ==, 0);
    usb_packet_cancel(&a.p);
    g_assert_cmpint(slow->cancels, ==, 1);
    g_assert_cmpint(a.done + b.done, ==, 0);
    /* Endpoints do not wait for each other; a finish from within is the submission's answer. */
    send(&slow->usb, &a, USB_PID_IN, 1, 4, false);
    slow->kept = NULL;
    slow->finish_within = true;
    slow->next = 0;
    memset(b.data, 0, sizeof(b.data));
    for (int i = 0; i < 4; i++) {
        b.data[i] = i;
    }
    g_assert_cmpint(send(&slow->usb, &b, USB_PID_OUT, 2, 4, false), ==, USB_OK);
    g_assert_cmpint(b.done, ==, 0);
    slow->kept = &a.p;
    /* Reset and unplugging end all. */
    usb_device_bus_reset(&slow->usb);
    g_assert_cmpint(a.done, ==, 1);
    g_assert_cmpint(a.p.status, ==, USB_CANCELED);
    slow->finish_within = false;
    send(&slow->usb, &a, USB_PID_IN, 1, 4, false);
    device_unrealize(&slow->usb.device);
    g_assert_cmpint(a.done, ==, 2);
    g_assert_cmpint(a.p.status, ==, USB_NODEV);
    usb_packet_destroy(&a.p);
    usb_packet_destroy(&b.p);
    usb_packet_destroy(&c.p);
    host_free(h);
}

static void test_asynchronous_control(void)
{
    Host *h = host_new();
    Slow *slow = (Slow *)plug(h, "test-usb-slow");
    Sent a = { 0 };
    uint8_t data[8];
    size_t actual;

    put_setup(a.data, 0xc0, 1, 0, 0, 4);
    g_assert_cmpint(send(&slow->usb, &a, USB_PID_SETUP, 0, 8, false), ==, USB_ASYNC);
    memcpy(slow->usb.data_buf, "abcdef", 6);
    slow->control->actual_length = 6;
    slow->control->status = USB_OK;
    usb_packet_finish(&slow->usb, slow->control);
    g_assert_cmpint(a.done, ==, 1);
    g_assert_cmpint(a.p.actual_length, ==, 8);
    g_assert_cmpint(token(&slow->usb, USB_PID_IN, 0, data, 8, &actual), ==, USB_OK);
    g_assert_cmpint(actual, ==, 4);
    g_assert_cmpint(token(&slow->usb, USB_PID_OUT, 0, NULL, 0, NULL), ==, USB_OK);

    g_assert_cmpint(send_setup(&slow->usb, 0x40, 1, 0, 0, 0), ==, USB_OK);
    g_assert_cmpint(send(&slow->usb, &a, USB_PID_IN, 0, 0, false), ==, USB_ASYNC);
    slow->control->status = USB_STALL;
    usb_packet_finish(&slow->usb, slow->control);
    g_assert_cmpint(a.p.status, ==, USB_STALL);
    g_assert_cmpint(slow->usb.setup_state, ==, 0);

    put_setup(a.data, 0xc0, 1, 0, 0, 4);
    send(&slow->usb, &a, USB_PID_SETUP, 0, 8, false);
    usb_packet_cancel(&a.p);
    g_assert_cmpint(slow->cancels, ==, 1);
    g_assert_cmpint(slow->usb.setup_state, ==, 0);
    usb_packet_destroy(&a.p);
    host_free(h);
}

/* ---- moving ---------------------------------------------------------------------------------------------------------- */

static GByteArray *save(UsbDevice *dev)
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

static bool load(UsbDevice *dev, const GByteArray *b, size_t len, GError **error)
{
    VmReader *r = vm_reader_new_from_memory(b->data, len);
    const VmState *vmsd = device_vmstate(&dev->device);
    bool ok = vmstate_load(r, vmsd, dev, vmsd->version, error);

    vm_reader_free(r);
    return ok;
}

/* dev's state in a new device of the type, on another bus, as after a migration; the same bytes come out of it. */
static UsbDevice *move(UsbDevice *dev, Host *to)
{
    g_autoptr(GByteArray) first = save(dev), second = NULL;
    UsbDevice *moved = plug(to, dev->device.object.type->name);
    GError *error = NULL;

    moved->carry_transfers = dev->carry_transfers;
    load(moved, first, first->len, &error);
    g_assert_no_error(error);
    second = save(moved);
    g_assert_cmpmem(first->data, first->len, second->data, second->len);
    /* Every truncation is refused. */
    for (guint len = 0; len < first->len; len++) {
        Host *h = host_new();
        UsbDevice *victim = plug(h, dev->device.object.type->name);

        if (load(victim, first, len, &error)) {
            g_assert_cmpuint(len, >=, 29); /* at the end of the fields nothing says that subsections were to come */
        }
        g_clear_error(&error);
        host_free(h);
    }
    return moved;
}

static void test_move_control_in(void)
{
    uint8_t want[64], got[64];

    for (unsigned step = 0; step <= 6; step++) {
        Host *h = host_new(), *h2 = host_new();
        UsbDevice *dev = plug(h, "usb-kbd");
        unsigned at = 0;

        g_assert_cmpint(control_in(dev, 0x80, USB_REQ_GET_DESCRIPTOR, 0x0200, 0, 255, want), ==, 34);
        memset(got, 0, sizeof(got));
        g_assert_cmpint(send_setup(dev, 0x80, USB_REQ_GET_DESCRIPTOR, 0x0200, 0, 255), ==, USB_OK);
        for (;; at++) {
            size_t actual;

            if (at == step) {
                dev = move(dev, h2);
            }
            if (at == 5) {
                break;
            }
            g_assert_cmpint(token(dev, USB_PID_IN, 0, got + at * 8, 8, &actual), ==, USB_OK);
            g_assert_cmpint(actual, ==, at < 4 ? 8 : 2);
        }
        g_assert_cmpmem(got, 34, want, 34);
        g_assert_cmpint(token(dev, USB_PID_OUT, 0, NULL, 0, NULL), ==, USB_OK);
        host_free(h);
        host_free(h2);
    }
}

/* The device's answer would be another one: the bytes of before the move must come. */
static void test_move_control_not_repeatable(void)
{
    Host *h = host_new(), *h2 = host_new();
    UsbDevice *dev = plug(h, "test-usb-slow");
    uint8_t got[8];

    g_assert_cmpint(send_setup(dev, 0xc0, 2, 0, 0, 8), ==, USB_OK);
    g_assert_cmpint(token(dev, USB_PID_IN, 0, got, 4, NULL), ==, USB_OK);
    dev = move(dev, h2);
    g_assert_cmpint(token(dev, USB_PID_IN, 0, got + 4, 4, NULL), ==, USB_OK);
    g_assert_cmpint(got[7], ==, got[0]);
    g_assert_cmpint(((Slow *)dev)->controls, ==, 1);
    host_free(h);
    host_free(h2);
}

static void test_move_control_out(void)
{
    for (unsigned step = 0; step < 3; step++) {
        Host *h = host_new(), *h2 = host_new();
        UsbDevice *dev = plug(h, "test-usb-slow");
        uint8_t data[8] = { 10, 0, 0, 0, 0, 0, 0, 20 };

        g_assert_cmpint(send_setup(dev, 0x40, 3, 0, 0, 8), ==, USB_OK);
        dev = step == 0 ? move(dev, h2) : dev;
        g_assert_cmpint(token(dev, USB_PID_OUT, 0, data, 4, NULL), ==, USB_OK);
        dev = step == 1 ? move(dev, h2) : dev;
        g_assert_cmpint(token(dev, USB_PID_OUT, 0, data + 4, 4, NULL), ==, USB_OK);
        dev = step == 2 ? move(dev, h2) : dev;
        g_assert_cmpint(token(dev, USB_PID_IN, 0, NULL, 0, NULL), ==, USB_OK);
        g_assert_cmpint(((Slow *)dev)->next, ==, 30);
        host_free(h);
        host_free(h2);
    }
}

/* From a source that sends only what stock does. */
static void test_move_control_without_data(void)
{
    Host *h = host_new(), *h2 = host_new();
    UsbDevice *dev = plug(h, "usb-kbd");
    g_autoptr(GByteArray) b = NULL;
    uint8_t want[64], got[64], byte = 7;

    control_in(dev, 0x80, USB_REQ_GET_DESCRIPTOR, 0x0200, 0, 255, want);
    dev->carry_transfers = false;
    g_assert_cmpint(send_setup(dev, 0x80, USB_REQ_GET_DESCRIPTOR, 0x0200, 0, 255), ==, USB_OK);
    g_assert_cmpint(token(dev, USB_PID_IN, 0, got, 8, NULL), ==, USB_OK);
    b = save(dev);
    g_assert_cmpuint(b->len, ==, 129);
    dev = plug(h2, "usb-kbd");
    g_assert_true(load(dev, b, b->len, NULL));
    g_assert_cmpint(token(dev, USB_PID_IN, 0, got + 8, 26, NULL), ==, USB_OK);
    g_assert_cmpmem(got, 34, want, 34);
    g_assert_cmpint(token(dev, USB_PID_OUT, 0, NULL, 0, NULL), ==, USB_OK);
    /* Host to device: the bytes are gone, so the host is told to begin again. */
    dev->carry_transfers = false;
    g_assert_cmpint(send_setup(dev, 0x21, 9, 0x0200, 0, 1), ==, USB_OK);
    g_assert_cmpint(token(dev, USB_PID_OUT, 0, &byte, 1, NULL), ==, USB_OK);
    g_clear_pointer(&b, g_byte_array_unref);
    b = save(dev);
    dev = plug(h2, "usb-kbd");
    g_assert_true(load(dev, b, b->len, NULL));
    g_assert_cmpint(token(dev, USB_PID_IN, 0, NULL, 0, NULL), ==, USB_STALL);
    g_assert_cmpint(usb_hid_state(&dev->device)->kbd.leds, ==, 0);
    host_free(h);
    host_free(h2);
}

static void test_move_partial_packets(void)
{
    for (unsigned moved = 0; moved <= 64; moved += 16) {
        Host *h = host_new(), *h2 = host_new();
        Slow *slow = (Slow *)plug(h, "test-usb-slow"), *there;
        Sent in = { 0 }, out = { 0 }, in2 = { 0 }, out2 = { 0 };

        slow->next = 100;
        g_assert_cmpint(send(&slow->usb, &in, USB_PID_IN, 1, 64, false), ==, USB_ASYNC);
        slow_move(slow, slow->kept, moved);
        there = (Slow *)move(&slow->usb, h2);
        g_assert_null(there->kept);
        g_assert_cmpint(send(&there->usb, &in2, USB_PID_IN, 1, 64, false), ==, USB_ASYNC);
        g_assert_cmpint(in2.p.actual_length, ==, moved);
        slow_move(there, there->kept, SIZE_MAX);
        slow_finish(there, USB_OK);
        for (unsigned i = 0; i < 64; i++) {
            g_assert_cmpint(in2.data[i], ==, (100 + i) & 0xff);
        }
        slow_finish(slow, USB_OK);

        there->next = slow->next = 0;
        for (unsigned i = 0; i < 64; i++) {
            out.data[i] = out2.data[i] = i;
        }
        g_assert_cmpint(send(&there->usb, &out, USB_PID_OUT, 2, 64, false), ==, USB_ASYNC);
        slow_move(there, there->kept, moved);
        device_unrealize(&slow->usb.device);
        slow = (Slow *)move(&there->usb, h);
        g_assert_cmpint(send(&slow->usb, &out2, USB_PID_OUT, 2, 64, false), ==, USB_ASYNC);
        slow_move(slow, slow->kept, SIZE_MAX);
        g_assert_cmpint(slow->next, ==, 64);
        slow_finish(slow, USB_OK);
        slow_finish(there, USB_OK);
        usb_packet_destroy(&in.p);
        usb_packet_destroy(&in2.p);
        usb_packet_destroy(&out.p);
        usb_packet_destroy(&out2.p);
        host_free(h);
        host_free(h2);
    }
}

static void test_move_configuration(void)
{
    Host *h = host_new(), *h2 = host_new();
    UsbDevice *dev = plug(h, "test-usb-slow"), *there;
    g_autoptr(GByteArray) b = save(dev);
    guint plain = b->len;
    uint8_t value;

    /* What stock's stream means by itself needs no subsection. */
    control_out(dev, 0, USB_REQ_SET_ADDRESS, 5, 0, NULL, 0);
    control_out(dev, 0, USB_REQ_SET_CONFIGURATION, 3, 0, NULL, 0);
    g_clear_pointer(&b, g_byte_array_unref);
    b = save(dev);
    g_assert_cmpuint(b->len, ==, plain);
    there = move(dev, h2);
    control_in(there, 0x80, USB_REQ_GET_CONFIGURATION, 0, 0, 1, &value);
    g_assert_cmpint(value, ==, 3);
    device_unrealize(&there->device);
    /* Another configuration, setting, a halted endpoint. */
    control_out(dev, 2, USB_REQ_SET_FEATURE, 0, 0x02, NULL, 0);
    there = move(dev, h2);
    g_assert_true(there->ep_out[1].halted);
    g_assert_false(there->ep_in[0].halted);
    device_unrealize(&there->device);
    control_out(dev, 1, USB_REQ_SET_INTERFACE, 1, 0, NULL, 0);
    there = move(dev, h2);
    g_assert_cmpint(there->alternate[0], ==, 1);
    g_assert_cmpint(there->ep_out[1].type, ==, USB_TRANSFER_NONE);
    device_unrealize(&there->device);
    control_out(dev, 0, USB_REQ_SET_CONFIGURATION, 4, 0, NULL, 0);
    there = move(dev, h2);
    g_assert_cmpint(there->configuration, ==, 4);
    device_unrealize(&there->device);
    control_out(dev, 0, USB_REQ_SET_CONFIGURATION, 0, 0, NULL, 0);
    there = move(dev, h2);
    g_assert_cmpint(there->configuration, ==, 0);
    device_unrealize(&there->device);
    /* Not reachable: stock's bytes are enough. */
    h->enabled[0] = false;
    g_clear_pointer(&b, g_byte_array_unref);
    b = save(dev);
    g_assert_cmpuint(b->len, ==, plain);
    host_free(h);
    host_free(h2);
}

static void test_bad_streams(void)
{
    static const struct {
        unsigned offset;
        uint8_t value;
    } bad[] = { { 0, 128 }, { 1, 0x80 }, { 4, 6 }, { 9, 0xff }, { 12, 4 }, { 13, 1 }, { 17, 0xff } };
    Host *h = host_new();
    UsbDevice *dev = plug(h, "usb-kbd"), *there = plug(h, "usb-kbd");
    g_autoptr(GByteArray) b = NULL;

    send_setup(dev, 0x80, USB_REQ_GET_DESCRIPTOR, 0x0200, 0, 255);
    b = save(dev);
    for (unsigned i = 0; i < G_N_ELEMENTS(bad); i++) {
        uint8_t old = b->data[bad[i].offset];
        GError *error = NULL;

        b->data[bad[i].offset] = bad[i].value;
        g_assert_false(load(there, b, b->len, &error));
        g_assert_nonnull(error);
        g_clear_error(&error);
        b->data[bad[i].offset] = old;
    }
    /* No byte anywhere makes it crash. */
    for (guint i = 0; i < b->len * 8; i++) {
        b->data[i / 8] ^= 1 << i % 8;
        if (load(there, b, b->len, NULL)) {
            token(there, USB_PID_IN, 0, (uint8_t[8]){ 0 }, 8, NULL);
            token(there, USB_PID_IN, 1, (uint8_t[8]){ 0 }, 8, NULL);
        }
        b->data[i / 8] ^= 1 << i % 8;
    }
    host_free(h);
}

/* ---- ports and hubs --------------------------------------------------------------------------------------------------- */

static void test_ports(void)
{
    Host *h = host_new();
    UsbDevice *k[5], *hub;
    GError *error = NULL;
    char *prefix;

    for (int i = 0; i < 4; i++) {
        k[i] = plug(h, "usb-kbd");
    }
    g_assert_cmpstr(k[0]->port->path, ==, "1");
    g_assert_cmpstr(k[1]->port->path, ==, "2.1"); /* behind a hub that came by itself */
    g_assert_cmpstr(k[3]->port->path, ==, "2.3");
    prefix = device_section_prefix(&k[3]->device);
    g_assert_cmpstr(prefix, ==, "2.3");
    g_free(prefix);
    g_assert_null(plug_at(h, "usb-kbd", "2.3", &error));
    g_assert_true(g_str_has_prefix(error->message, "usb port 2.3 (bus usb-bus."));
    g_assert_true(g_str_has_suffix(error->message, ") not found (in use?)"));
    g_clear_error(&error);
    g_assert_null(plug_at(h, "usb-kbd", "3", &error));
    g_clear_error(&error);
    k[4] = plug_at(h, "usb-kbd", "2.8", &error);
    g_assert_no_error(error);
    /* Ports that become free are given last. */
    device_unrealize(&k[0]->device);
    k[0] = plug(h, "usb-kbd");
    g_assert_cmpstr(k[0]->port->path, ==, "2.4");
    /* A hub takes what is behind it along. */
    hub = h->ports[1].dev;
    device_unrealize(&hub->device);
    g_assert_cmpuint(h->bus->used_ports.length, ==, 0);
    g_assert_cmpuint(h->bus->ports.length, ==, 2);

    hub = plug_at(h, "usb-hub", "1", &error);
    hub = plug_at(h, "usb-hub", "1.1", &error);
    hub = plug_at(h, "usb-hub", "1.1.1", &error);
    hub = plug_at(h, "usb-hub", "1.1.1.1", &error);
    hub = plug_at(h, "usb-hub", "1.1.1.1.8", &error);
    g_assert_nonnull(hub);
    g_assert_null(plug_at(h, "usb-hub", "1.1.1.1.8.8", &error));
    g_assert_cmpstr(error->message, ==, "usb hub chain too deep");
    g_clear_error(&error);
    g_assert_nonnull(plug_at(h, "usb-kbd", "1.1.1.1.8.8", &error));
    device_unrealize(&h->ports[0].dev->device);
    host_free(h);
}

static unsigned hub_port_status(UsbDevice *hub, unsigned port)
{
    uint8_t d[4];

    g_assert_cmpint(control_in(hub, 0xa3, USB_REQ_GET_STATUS, 0, port, 4, d), ==, 4);
    return d[0] | d[1] << 8 | d[2] << 16 | (unsigned)d[3] << 24;
}

static UsbStatus hub_feature(UsbDevice *hub, bool set, unsigned feature, unsigned port)
{
    return control_out(hub, 0x23, set ? USB_REQ_SET_FEATURE : USB_REQ_CLEAR_FEATURE, feature, port, NULL, 0);
}

static void test_hub(void)
{
    Host *h = host_new();
    UsbDevice *hub = plug(h, "usb-hub"), *kbd = plug_at(h, "usb-kbd", "1.1", NULL);
    uint8_t d[16];

    usb_device_bus_reset(hub);
    g_assert_cmpint(control_in(hub, 0xa0, USB_REQ_GET_DESCRIPTOR, 0x2900, 0, 16, d), ==, 10);
    check_bytes(d, 10, "0a29080a0001000000ff");
    g_assert_cmphex(hub_port_status(hub, 1), ==, 0x00010101);
    g_assert_cmphex(hub_port_status(hub, 2), ==, 0x00000100);
    g_assert_cmpint(control_in(hub, 0xa3, USB_REQ_GET_STATUS, 0, 9, 4, d), ==, -1);
    g_assert_cmpint(token(hub, USB_PID_IN, 1, d, 2, NULL), ==, USB_OK);
    g_assert_cmpint(d[0], ==, 2);
    hub_feature(hub, false, 16, 1);
    g_assert_cmpint(token(hub, USB_PID_IN, 1, d, 2, NULL), ==, USB_NAK);
    /* Not enabled: nobody answers there. */
    control_out(hub, 0, USB_REQ_SET_ADDRESS, 2, 0, NULL, 0);
    g_assert_null(usb_port_find_device(&h->ports[0], 0));
    hub_feature(hub, true, 4, 1);
    g_assert_cmphex(hub_port_status(hub, 1), ==, 0x00100103);
    g_assert_true(usb_port_find_device(&h->ports[0], 0) == kbd);
    hub_feature(hub, false, 20, 1);
    hub_feature(hub, true, 2, 1);
    g_assert_cmphex(hub_port_status(hub, 1), ==, 0x00000107);
    g_assert_null(usb_port_find_device(&h->ports[0], 0));
    /* A key wakes the port, if the guest allows it. */
    hid_put_scancodes(usb_hid_state(&kbd->device), (const uint8_t[]){ 0x1e }, 1);
    g_assert_cmphex(hub_port_status(hub, 1), ==, 0x00000107);
    kbd->remote_wakeup = 1;
    hid_put_scancodes(usb_hid_state(&kbd->device), (const uint8_t[]){ 0x9e }, 1);
    g_assert_cmphex(hub_port_status(hub, 1), ==, 0x00040103);
    hub_feature(hub, false, 18, 1);
    hub_feature(hub, false, 1, 1);
    g_assert_cmphex(hub_port_status(hub, 1), ==, 0x00000101);
    g_assert_cmpint(hub_feature(hub, true, 1, 1), ==, USB_STALL);
    g_assert_cmpint(hub_feature(hub, true, 8, 9), ==, USB_STALL);
    g_assert_cmpint(hub_feature(hub, false, 8, 1), ==, USB_OK);
    g_assert_cmphex(hub_port_status(hub, 1), ==, 0x00000101);
    hub_feature(hub, true, 4, 1);
    hub_feature(hub, false, 20, 1);
    device_unrealize(&kbd->device);
    g_assert_cmphex(hub_port_status(hub, 1), ==, 0x00030100);
    device_unrealize(&hub->device);
    host_free(h);
}

static void test_hub_port_power(void)
{
    Host *h = host_new();
    UsbDevice *hub = USB_DEVICE(device_new(device_type_by_name("usb-hub")));
    uint8_t d[16];

    object_set_int(&hub->device.object, "ports", 4);
    object_set_bool(&hub->device.object, "port-power", true);
    g_assert_true(device_realize(&hub->device, &h->bus->bus, NULL));
    plug_at(h, "usb-kbd", "1.1", NULL);
    usb_device_bus_reset(hub);
    g_assert_cmpint(control_in(hub, 0xa0, USB_REQ_GET_DESCRIPTOR, 0x2900, 0, 16, d), ==, 9);
    check_bytes(d, 9, "0929040900010000ff");
    hub_feature(hub, false, 8, 1);
    g_assert_cmphex(hub_port_status(hub, 1), ==, 0);
    hub_feature(hub, true, 8, 1);
    g_assert_cmphex(hub_port_status(hub, 1), ==, 0x00010101);
    device_unrealize(&hub->device);
    host_free(h);
}

/* ---- input devices --------------------------------------------------------------------------------------------------- */

static void check_report(UsbDevice *dev, const char *hex)
{
    uint8_t d[8];
    size_t actual;

    if (!hex) {
        g_assert_cmpint(token(dev, USB_PID_IN, 1, d, 8, &actual), ==, USB_NAK);
        return;
    }
    g_assert_cmpint(token(dev, USB_PID_IN, 1, d, 8, &actual), ==, USB_OK);
    check_bytes(d, actual, hex);
}

static bool put_codes(UsbDevice *dev, const char *codes, unsigned n)
{
    return hid_put_scancodes(usb_hid_state(&dev->device), (const uint8_t *)codes, n);
}

static void test_keyboard(void)
{
    Host *h = host_new(), *h2 = host_new();
    UsbDevice *dev = plug(h, "usb-kbd");

    check_report(dev, NULL);
    put_codes(dev, "\x1e", 1);
    put_codes(dev, "\x9e", 1);
    check_report(dev, "0000040000000000");
    check_report(dev, "0000000000000000");
    check_report(dev, NULL);
    /* Right control, then Pause: prefixes are reports of their own; moved in the middle. */
    put_codes(dev, "\xe0\x1d", 2);
    put_codes(dev, "\xe0\x9d", 2);
    put_codes(dev, "\xe1\x1d\x45", 3);
    put_codes(dev, "\xe1\x9d\xc5", 3);
    check_report(dev, "0000000000000000");
    dev = move(dev, h2);
    check_report(dev, "1000000000000000");
    check_report(dev, "1000000000000000");
    check_report(dev, "0000000000000000");
    check_report(dev, "0000000000000000");
    check_report(dev, "0000000000000000");
    check_report(dev, "0000480000000000");
    check_report(dev, "0000480000000000");
    check_report(dev, "0000480000000000");
    check_report(dev, "0000000000000000");
    /* Order after a release; too many keys; a full queue drops whole events. */
    put_codes(dev, "\x1e\x30\x2e\x20\x9e\xb0", 6);
    check_report(dev, "0000040000000000");
    check_report(dev, "0000040500000000");
    check_report(dev, "0000040506000000");
    check_report(dev, "0000040506070000");
    check_report(dev, "0000070506000000");
    check_report(dev, "0000070600000000");
    put_codes(dev, "\x12\x21\x22\x23\x24", 5);
    for (int i = 0; i < 4; i++) {
        token(dev, USB_PID_IN, 1, (uint8_t[8]){ 0 }, 8, NULL);
    }
    check_report(dev, "0000010101010101");
    for (int i = 0; i < 15; i++) {
        g_assert_true(put_codes(dev, "\x1e", 1));
    }
    g_assert_false(put_codes(dev, "\xe0\x1d", 2));
    g_assert_true(put_codes(dev, "\x1e", 1));
    g_assert_false(put_codes(dev, "\x1e", 1));
    usb_device_bus_reset(dev);
    check_report(dev, NULL);
    host_free(h);
    host_free(h2);
}

static void test_keyboard_requests(void)
{
    Host *h = host_new();
    UsbDevice *dev = plug(h, "usb-kbd"), *tablet = plug(h, "usb-tablet");
    uint8_t d[8];

    g_assert_cmpint(control_in(dev, 0xa1, 3, 0, 0, 1, d), ==, 1);
    g_assert_cmpint(d[0], ==, 1);
    g_assert_cmpint(control_out(dev, 0x21, 11, 0, 0, NULL, 0), ==, USB_OK);
    g_assert_cmpint(control_in(dev, 0xa1, 3, 0, 0, 1, d), ==, 1);
    g_assert_cmpint(d[0], ==, 0);
    g_assert_cmpint(control_out(dev, 0x21, 11, 2, 0, NULL, 0), ==, USB_STALL);
    g_assert_cmpint(control_in(tablet, 0xa1, 3, 0, 0, 1, d), ==, -1);
    g_assert_cmpint(control_in(dev, 0xa1, 1, 0x0100, 0, 8, d), ==, 8);
    check_bytes(d, 8, "0000000000000000");
    d[0] = 1;
    g_assert_cmpint(control_out(tablet, 0x21, 9, 0x0200, 0, d, 1), ==, USB_STALL);
    check_descriptor(dev, 0x81, 0x2100, 0, "092111010001223f00");
    host_free(h);
}

static void test_pointers(void)
{
    Host *h = host_new(), *h2 = host_new();
    UsbDevice *mouse = plug(h, "usb-mouse"), *tablet = plug_at(h, "usb-tablet", "2", NULL);
    HidState *hs = usb_hid_state(&mouse->device);

    check_report(mouse, NULL);
    hid_pointer_move(hs, 10, -20, -1);
    hid_pointer_sync(hs);
    check_report(mouse, "000aec01");
    check_report(mouse, NULL);
    hid_pointer_move(hs, 200, -300, 0);
    hid_pointer_sync(hs);
    check_report(mouse, "007f8100");
    mouse = move(mouse, h2);
    hs = usb_hid_state(&mouse->device);
    check_report(mouse, "00498100");
    check_report(mouse, "0000d200");
    check_report(mouse, NULL);
    /* Joined while the buttons stay. */
    hid_pointer_move(hs, 5, 0, 0);
    hid_pointer_sync(hs);
    hid_pointer_buttons(hs, HID_BUTTON_LEFT, 0);
    hid_pointer_sync(hs);
    hid_pointer_move(hs, 5, 1, 0);
    hid_pointer_sync(hs);
    hid_pointer_move(hs, 6, 1, 0);
    hid_pointer_sync(hs);
    hid_pointer_buttons(hs, 0, HID_BUTTON_LEFT);
    hid_pointer_sync(hs);
    check_report(mouse, "00050000");
    check_report(mouse, "010b0200");
    check_report(mouse, "00000000");
    check_report(mouse, NULL);
    /* Too many changes: the last state is what remains. */
    for (int i = 0; i < 40; i++) {
        hid_pointer_buttons(hs, i & 1 ? HID_BUTTON_RIGHT : 0, i & 1 ? 0 : HID_BUTTON_RIGHT);
        hid_pointer_sync(hs);
    }
    g_assert_cmpuint(hs->n, ==, 15);

    hs = usb_hid_state(&tablet->device);
    hid_pointer_position(hs, 100, 40000);
    hid_pointer_sync(hs);
    hid_pointer_position(hs, 300, -5);
    hid_pointer_sync(hs);
    hid_pointer_buttons(hs, HID_BUTTON_MIDDLE, 0);
    hid_pointer_sync(hs);
    check_report(tablet, "002c01000000");
    check_report(tablet, "042c01000000");
    check_report(tablet, NULL);
    host_free(h);
    host_free(h2);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    memory_init();
    g_test_add_func("/usb/descriptors", test_descriptors);
    g_test_add_func("/usb/strings-and-msos", test_strings_and_msos);
    g_test_add_func("/usb/standard-requests", test_standard_requests);
    g_test_add_func("/usb/control/corners", test_control_corners);
    g_test_add_func("/usb/control/asynchronous", test_asynchronous_control);
    g_test_add_func("/usb/queue", test_queue);
    g_test_add_func("/usb/move/control-in", test_move_control_in);
    g_test_add_func("/usb/move/control-not-repeatable", test_move_control_not_repeatable);
    g_test_add_func("/usb/move/control-out", test_move_control_out);
    g_test_add_func("/usb/move/control-without-data", test_move_control_without_data);
    g_test_add_func("/usb/move/partial-packets", test_move_partial_packets);
    g_test_add_func("/usb/move/configuration", test_move_configuration);
    g_test_add_func("/usb/move/bad-streams", test_bad_streams);
    g_test_add_func("/usb/ports", test_ports);
    g_test_add_func("/usb/hub", test_hub);
    g_test_add_func("/usb/hub-port-power", test_hub_port_power);
    g_test_add_func("/usb/keyboard", test_keyboard);
    g_test_add_func("/usb/keyboard-requests", test_keyboard_requests);
    g_test_add_func("/usb/pointers", test_pointers);
    return g_test_run();
}
