/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * USB core without a host controller: descriptors, control transfers cut anywhere, queues of endpoints, packets that
 * move with the VM. Descriptor bytes were read from stock QEMU 7.2.
 */
#include "util/osdep.h"
#include "hw/usb/hid.h"
#include "system/memory.h"
#include "usb-host.h"

/* ---- descriptors ------------------------------------------------------------------------------------------------ */

typedef struct Golden {
    const char *type;
    const char *device, *config, *qualifier, *other, *bos, *report;
} Golden;

static const Golden golden[] = {
    { "usb-kbd", "120100020000000827060100000001040b01",
      "09022200010108a032090400000103010100092111010001223f000705810308000a",
      "0a060002000000400100",
      "09072200010108a032090400000103010100092111010001223f0007058103080007",
      "050f0c000107100202000000",
      "05010906a10175019508050719e029e7150025018102950175088101950575010508190129059102950175039101"
      "95067508"
      "150025ff0507190029ff8100c0" },
    { "usb-mouse", "120100020000000827060100000001020901",
      "09022200010106a0320904000001030102000921010000012234000705810304000a",
      "0a060002000000400100",
      "09072200010106a03209040000010301020009210100000122340007058103040007",
      "050f0c000107100202000000",
      "05010902a1010901a1000509190129051500250195057501810295017503810105010930093109381581257f7508"
      "95038106"
      "c0c0" },
    { "usb-tablet", "120100020000000827060100000001030a01",
      "09022200010107a032090400000103000000092101000001224a000705810308000a",
      "0a060002000000400100",
      "09072200010107a032090400000103000000092101000001224a0007058103080004",
      "050f0c000107100202000000",
      "05010902a1010901a10005091901290315002501950375018102950175058101050109300931150026ff7f350046"
      "ff7f7510"
      "95028102050109381581257f35004500750895018106c0c0" },
    { "usb-hub", "12011001090000080904aa55010101020301",
      "09021900010100e000090400000109000000070581030200ff", NULL, NULL, "050f050000", NULL },
};

static void test_descriptors(void)
{
    Host *h = host_new();

    for (unsigned i = 0; i < G_N_ELEMENTS(golden); i++) {
        const Golden *g = &golden[i];
        UsbDevice *dev = host_plug(h, g->type);

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
    UsbDevice *dev = host_plug(h, "usb-kbd");
    uint8_t data[128];
    int len;

    g_assert_cmpstr(usb_device_get_string(dev, 11), ==, "68284-1");
    check_descriptor(dev, 0x80, 0x03ee, 0, "12034d005300460054003100300030005100");
    len = usb_control_in(dev, 0xc0, 'Q', 0, 4, 128, data);
    check_bytes(data, len,
                "28000000000104000100000000000000000100000000000000000000000000000000000000000000");
    len = usb_control_in(dev, 0xc1, 'Q', 0, 5, 128, data);
    check_bytes(data, len,
                "5200000000010500010048000000040000003000530065006c00650063007400690076006500530075"
                "007300700065"
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
    g_assert_cmpint(usb_control_in(dev, 0xc0, 'Q', 0, 4, 128, data), ==, -1);
    device_unrealize(&dev->device);
    host_free(h);
}

/* ---- standard requests ---------------------------------------------------------------------------------------- */

static void test_standard_requests(void)
{
    Host *h = host_new();
    UsbDevice *dev = host_plug(h, "usb-kbd");
    uint8_t data[8];

    g_assert_cmpint(dev->state, ==, USB_STATE_DEFAULT);
    g_assert_true(usb_port_find_device(&h->ports[0], 0) == dev);
    g_assert_cmpint(usb_control_out(dev, 0, USB_REQ_SET_ADDRESS, 128, 0, NULL, 0), ==, USB_STALL);
    g_assert_cmpint(usb_control_out(dev, 0, USB_REQ_SET_ADDRESS, 5, 0, NULL, 0), ==, USB_OK);
    g_assert_true(usb_port_find_device(&h->ports[0], 5) == dev);
    g_assert_null(usb_port_find_device(&h->ports[0], 0));
    h->enabled[0] = false;
    g_assert_null(usb_port_find_device(&h->ports[0], 5));
    h->enabled[0] = true;

    g_assert_cmpint(usb_control_in(dev, 0x80, USB_REQ_GET_CONFIGURATION, 0, 0, 1, data), ==, 1);
    g_assert_cmpint(data[0], ==, 0);
    g_assert_cmpint(usb_control_out(dev, 0, USB_REQ_SET_CONFIGURATION, 9, 0, NULL, 0), ==,
                    USB_STALL);
    g_assert_cmpint(usb_control_out(dev, 0, USB_REQ_SET_CONFIGURATION, 1, 0, NULL, 0), ==, USB_OK);
    g_assert_cmpint(usb_control_in(dev, 0x80, USB_REQ_GET_CONFIGURATION, 0, 0, 1, data), ==, 1);
    g_assert_cmpint(data[0], ==, 1);
    g_assert_cmpint(usb_control_in(dev, 0x81, USB_REQ_GET_INTERFACE, 0, 0, 1, data), ==, 1);
    g_assert_cmpint(usb_control_in(dev, 0x81, USB_REQ_GET_INTERFACE, 0, 1, 1, data), ==, -1);
    g_assert_cmpint(usb_control_out(dev, 1, USB_REQ_SET_INTERFACE, 0, 0, NULL, 0), ==, USB_OK);
    g_assert_cmpint(usb_control_out(dev, 1, USB_REQ_SET_INTERFACE, 1, 0, NULL, 0), ==, USB_STALL);

    g_assert_cmpint(
        usb_control_out(dev, 0, USB_REQ_SET_FEATURE, USB_FEATURE_REMOTE_WAKEUP, 0, NULL, 0), ==,
        USB_OK);
    g_assert_cmpint(usb_control_in(dev, 0x80, USB_REQ_GET_STATUS, 0, 0, 2, data), ==, 2);
    g_assert_cmpint(data[0], ==, 2);
    g_assert_cmpint(
        usb_control_out(dev, 0, USB_REQ_CLEAR_FEATURE, USB_FEATURE_REMOTE_WAKEUP, 0, NULL, 0), ==,
        USB_OK);
    g_assert_cmpint(usb_control_in(dev, 0x80, USB_REQ_GET_STATUS, 0, 0, 2, data), ==, 2);
    g_assert_cmpint(data[0], ==, 0);
    g_assert_cmpint(usb_control_out(dev, 0, USB_REQ_SET_FEATURE, 77, 0, NULL, 0), ==, USB_STALL);

    g_assert_cmpint(usb_token(dev, USB_PID_IN, 1, data, 8, NULL), ==, USB_NAK);
    g_assert_cmpint(usb_control_out(dev, 2, USB_REQ_SET_FEATURE, 0, 0x81, NULL, 0), ==, USB_OK);
    g_assert_cmpint(usb_token(dev, USB_PID_IN, 1, data, 8, NULL), ==, USB_STALL);
    g_assert_cmpint(usb_control_in(dev, 0x82, USB_REQ_GET_STATUS, 0, 0x81, 2, data), ==, 2);
    g_assert_cmpint(data[0], ==, 1);
    g_assert_cmpint(usb_control_out(dev, 2, USB_REQ_CLEAR_FEATURE, 0, 0x81, NULL, 0), ==, USB_OK);
    g_assert_cmpint(usb_token(dev, USB_PID_IN, 1, data, 8, NULL), ==, USB_NAK);
    g_assert_cmpint(usb_control_out(dev, 2, USB_REQ_SET_FEATURE, 0, 0x85, NULL, 0), ==, USB_STALL);
    g_assert_cmpint(usb_token(dev, USB_PID_OUT, 1, data, 8, NULL), ==, USB_STALL);
    g_assert_cmpint(usb_token(dev, USB_PID_IN, 5, data, 8, NULL), ==, USB_STALL);
    host_free(h);
}

static void test_control_corners(void)
{
    Host *h = host_new();
    UsbDevice *dev = host_plug(h, "usb-kbd");
    uint8_t data[64];
    size_t actual;

    /* Status before all data. */
    g_assert_cmpint(usb_send_setup(dev, 0x80, USB_REQ_GET_DESCRIPTOR, 0x0200, 0, 255), ==, USB_OK);
    g_assert_cmpint(usb_token(dev, USB_PID_IN, 0, data, 8, &actual), ==, USB_OK);
    g_assert_cmpint(actual, ==, 8);
    g_assert_cmpint(usb_token(dev, USB_PID_OUT, 0, NULL, 0, NULL), ==, USB_OK);
    g_assert_cmpint(usb_token(dev, USB_PID_IN, 0, data, 8, NULL), ==, USB_STALL);
    /* 16 bytes of 18, then the rest, then a zero-length packet. */
    g_assert_cmpint(usb_send_setup(dev, 0x80, USB_REQ_GET_DESCRIPTOR, 0x0100, 0, 255), ==, USB_OK);
    g_assert_cmpint(usb_token(dev, USB_PID_IN, 0, data, 16, &actual), ==, USB_OK);
    g_assert_cmpint(actual, ==, 16);
    g_assert_cmpint(usb_token(dev, USB_PID_IN, 0, data, 16, &actual), ==, USB_OK);
    g_assert_cmpint(actual, ==, 2);
    g_assert_cmpint(usb_token(dev, USB_PID_IN, 0, data, 16, &actual), ==, USB_OK);
    g_assert_cmpint(actual, ==, 0);
    g_assert_cmpint(usb_token(dev, USB_PID_OUT, 0, NULL, 0, NULL), ==, USB_OK);
    /* More than asked for is cut. */
    g_assert_cmpint(usb_control_in(dev, 0x80, USB_REQ_GET_DESCRIPTOR, 0x0100, 0, 5, data), ==, 5);
    /* A length beyond every buffer. */
    g_assert_cmpint(usb_send_setup(dev, 0x80, USB_REQ_GET_DESCRIPTOR, 0x0100, 0, 0xffff), ==,
                    USB_OK);
    g_assert_cmpint(dev->setup_len, ==, 18);
    g_assert_cmpint(usb_send_setup(dev, 0x21, 9, 0x0200, 0, 0xffff), ==, USB_STALL);
    /* More data than announced; data for a request that has none; a short SETUP. */
    g_assert_cmpint(usb_send_setup(dev, 0x21, 9, 0x0200, 0, 1), ==, USB_OK);
    g_assert_cmpint(usb_token(dev, USB_PID_OUT, 0, data, 2, NULL), ==, USB_STALL);
    g_assert_cmpint(usb_send_setup(dev, 0x00, USB_REQ_SET_ADDRESS, 3, 0, 0), ==, USB_OK);
    g_assert_cmpint(usb_token(dev, USB_PID_OUT, 0, data, 2, NULL), ==, USB_STALL);
    g_assert_cmpint(dev->addr, ==, 0);
    g_assert_cmpint(usb_token(dev, USB_PID_SETUP, 0, data, 7, NULL), ==, USB_STALL);
    g_assert_cmpint(usb_token(dev, USB_PID_SETUP, 1, data, 8, NULL), ==, USB_STALL);
    /* Data in several packets; SETUP in the middle begins anew. */
    g_assert_cmpint(usb_send_setup(dev, 0x21, 9, 0x0200, 0, 4), ==, USB_OK);
    g_assert_cmpint(usb_token(dev, USB_PID_OUT, 0, data, 2, NULL), ==, USB_OK);
    g_assert_cmpint(usb_token(dev, USB_PID_IN, 0, NULL, 0, NULL), ==, USB_STALL);
    data[0] = 5;
    g_assert_cmpint(usb_control_out(dev, 0x21, 9, 0x0200, 0, data, 1), ==, USB_OK);
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

static void slow_control(UsbDevice *dev, UsbPacket *p, unsigned request, unsigned value,
                         unsigned index, unsigned length, uint8_t *data)
{
    Slow *s = (Slow *)dev;

    s->controls++;
    if (request == USB_REQUEST(0xc0, 1) || request == USB_REQUEST(0x40, 1)) {
        s->control = p;
        p->status = USB_ASYNC;
    } else if (request ==
               USB_REQUEST(0xc0,
                           2)) { /* counts: not repeatable, for the test of what was carried */
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
    { .value = 3,
      .attributes = 0x80,
      .num_interfaces = 1,
      .num_settings = 2,
      .interfaces = slow_interfaces },
    { .value = 4,
      .attributes = 0x80,
      .num_interfaces = 1,
      .num_settings = 1,
      .interfaces = slow_interfaces },
};
static const UsbDescDevice slow_full = {
    .usb_version = 0x0200, .max_packet_size0 = 8, .num_configs = 2, .configs = slow_configs
};
static const UsbDesc slow_desc = { .vendor = 1, .product = 2, .full = &slow_full };
static const UsbDeviceOps slow_ops = { .product = "slow",
                                       .desc = &slow_desc,
                                       .control = slow_control,
                                       .data = slow_data,
                                       .cancel = slow_cancel };
static const VmState slow_vmstate = {
    .name = "slow",
    .version = 1,
    .minimum_version = 1,
    .fields = (const VmField[]){ VM_USB_DEVICE(Slow, usb), VM_U8(Slow, next),
                                 VM_U32(Slow, controls), VM_END },
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

static UsbStatus send(UsbDevice *dev, Sent *s, UsbPid pid, unsigned nr, size_t len,
                      bool short_not_ok)
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
    Slow *slow = (Slow *)host_plug(h, "test-usb-slow");
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
    Slow *slow = (Slow *)host_plug(h, "test-usb-slow");
    Sent a = { 0 };
    uint8_t data[8];
    size_t actual;

    usb_put_setup(a.data, 0xc0, 1, 0, 0, 4);
    g_assert_cmpint(send(&slow->usb, &a, USB_PID_SETUP, 0, 8, false), ==, USB_ASYNC);
    memcpy(slow->usb.data_buf, "abcdef", 6);
    slow->control->actual_length = 6;
    slow->control->status = USB_OK;
    usb_packet_finish(&slow->usb, slow->control);
    g_assert_cmpint(a.done, ==, 1);
    g_assert_cmpint(a.p.actual_length, ==, 8);
    g_assert_cmpint(usb_token(&slow->usb, USB_PID_IN, 0, data, 8, &actual), ==, USB_OK);
    g_assert_cmpint(actual, ==, 4);
    g_assert_cmpint(usb_token(&slow->usb, USB_PID_OUT, 0, NULL, 0, NULL), ==, USB_OK);

    g_assert_cmpint(usb_send_setup(&slow->usb, 0x40, 1, 0, 0, 0), ==, USB_OK);
    g_assert_cmpint(send(&slow->usb, &a, USB_PID_IN, 0, 0, false), ==, USB_ASYNC);
    slow->control->status = USB_STALL;
    usb_packet_finish(&slow->usb, slow->control);
    g_assert_cmpint(a.p.status, ==, USB_STALL);
    g_assert_cmpint(slow->usb.setup_state, ==, 0);

    usb_put_setup(a.data, 0xc0, 1, 0, 0, 4);
    send(&slow->usb, &a, USB_PID_SETUP, 0, 8, false);
    usb_packet_cancel(&a.p);
    g_assert_cmpint(slow->cancels, ==, 1);
    g_assert_cmpint(slow->usb.setup_state, ==, 0);
    usb_packet_destroy(&a.p);
    host_free(h);
}

/* ---- moving ---------------------------------------------------------------------------------------------------------- */

static void test_move_control_in(void)
{
    uint8_t want[64], got[64];

    for (unsigned step = 0; step <= 6; step++) {
        Host *h = host_new(), *h2 = host_new();
        UsbDevice *dev = host_plug(h, "usb-kbd");
        unsigned at = 0;

        g_assert_cmpint(usb_control_in(dev, 0x80, USB_REQ_GET_DESCRIPTOR, 0x0200, 0, 255, want), ==,
                        34);
        memset(got, 0, sizeof(got));
        g_assert_cmpint(usb_send_setup(dev, 0x80, USB_REQ_GET_DESCRIPTOR, 0x0200, 0, 255), ==,
                        USB_OK);
        for (;; at++) {
            size_t actual;

            if (at == step) {
                dev = usb_move(dev, h2);
            }
            if (at == 5) {
                break;
            }
            g_assert_cmpint(usb_token(dev, USB_PID_IN, 0, got + at * 8, 8, &actual), ==, USB_OK);
            g_assert_cmpint(actual, ==, at < 4 ? 8 : 2);
        }
        g_assert_cmpmem(got, 34, want, 34);
        g_assert_cmpint(usb_token(dev, USB_PID_OUT, 0, NULL, 0, NULL), ==, USB_OK);
        host_free(h);
        host_free(h2);
    }
}

/* The device's answer would be another one: the bytes of before the move must come. */
static void test_move_control_not_repeatable(void)
{
    Host *h = host_new(), *h2 = host_new();
    UsbDevice *dev = host_plug(h, "test-usb-slow");
    uint8_t got[8];

    g_assert_cmpint(usb_send_setup(dev, 0xc0, 2, 0, 0, 8), ==, USB_OK);
    g_assert_cmpint(usb_token(dev, USB_PID_IN, 0, got, 4, NULL), ==, USB_OK);
    dev = usb_move(dev, h2);
    g_assert_cmpint(usb_token(dev, USB_PID_IN, 0, got + 4, 4, NULL), ==, USB_OK);
    g_assert_cmpint(got[7], ==, got[0]);
    g_assert_cmpint(((Slow *)dev)->controls, ==, 1);
    host_free(h);
    host_free(h2);
}

static void test_move_control_out(void)
{
    for (unsigned step = 0; step < 3; step++) {
        Host *h = host_new(), *h2 = host_new();
        UsbDevice *dev = host_plug(h, "test-usb-slow");
        uint8_t data[8] = { 10, 0, 0, 0, 0, 0, 0, 20 };

        g_assert_cmpint(usb_send_setup(dev, 0x40, 3, 0, 0, 8), ==, USB_OK);
        dev = step == 0 ? usb_move(dev, h2) : dev;
        g_assert_cmpint(usb_token(dev, USB_PID_OUT, 0, data, 4, NULL), ==, USB_OK);
        dev = step == 1 ? usb_move(dev, h2) : dev;
        g_assert_cmpint(usb_token(dev, USB_PID_OUT, 0, data + 4, 4, NULL), ==, USB_OK);
        dev = step == 2 ? usb_move(dev, h2) : dev;
        g_assert_cmpint(usb_token(dev, USB_PID_IN, 0, NULL, 0, NULL), ==, USB_OK);
        g_assert_cmpint(((Slow *)dev)->next, ==, 30);
        host_free(h);
        host_free(h2);
    }
}

/* From a source that sends only what stock does. */
static void test_move_control_without_data(void)
{
    Host *h = host_new(), *h2 = host_new();
    UsbDevice *dev = host_plug(h, "usb-kbd");
    g_autoptr(GByteArray) b = NULL;
    uint8_t want[64], got[64], byte = 7;

    usb_control_in(dev, 0x80, USB_REQ_GET_DESCRIPTOR, 0x0200, 0, 255, want);
    dev->carry_transfers = false;
    g_assert_cmpint(usb_send_setup(dev, 0x80, USB_REQ_GET_DESCRIPTOR, 0x0200, 0, 255), ==, USB_OK);
    g_assert_cmpint(usb_token(dev, USB_PID_IN, 0, got, 8, NULL), ==, USB_OK);
    b = usb_save(dev);
    g_assert_cmpuint(b->len, ==, 129);
    dev = host_plug(h2, "usb-kbd");
    g_assert_true(usb_load(dev, b, b->len, NULL));
    g_assert_cmpint(usb_token(dev, USB_PID_IN, 0, got + 8, 26, NULL), ==, USB_OK);
    g_assert_cmpmem(got, 34, want, 34);
    g_assert_cmpint(usb_token(dev, USB_PID_OUT, 0, NULL, 0, NULL), ==, USB_OK);
    /* Host to device: the bytes are gone, so the host is told to begin again. */
    dev->carry_transfers = false;
    g_assert_cmpint(usb_send_setup(dev, 0x21, 9, 0x0200, 0, 1), ==, USB_OK);
    g_assert_cmpint(usb_token(dev, USB_PID_OUT, 0, &byte, 1, NULL), ==, USB_OK);
    g_clear_pointer(&b, g_byte_array_unref);
    b = usb_save(dev);
    dev = host_plug(h2, "usb-kbd");
    g_assert_true(usb_load(dev, b, b->len, NULL));
    g_assert_cmpint(usb_token(dev, USB_PID_IN, 0, NULL, 0, NULL), ==, USB_STALL);
    g_assert_cmpint(usb_hid_state(&dev->device)->kbd.leds, ==, 0);
    host_free(h);
    host_free(h2);
}

static void test_move_partial_packets(void)
{
    for (unsigned moved = 0; moved <= 64; moved += 16) {
        Host *h = host_new(), *h2 = host_new();
        Slow *slow = (Slow *)host_plug(h, "test-usb-slow"), *there;
        Sent in = { 0 }, out = { 0 }, in2 = { 0 }, out2 = { 0 };

        slow->next = 100;
        g_assert_cmpint(send(&slow->usb, &in, USB_PID_IN, 1, 64, false), ==, USB_ASYNC);
        slow_move(slow, slow->kept, moved);
        there = (Slow *)usb_move(&slow->usb, h2);
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
        slow = (Slow *)usb_move(&there->usb, h);
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
    UsbDevice *dev = host_plug(h, "test-usb-slow"), *there;
    g_autoptr(GByteArray) b = usb_save(dev);
    guint plain = b->len;
    uint8_t value;

    /* What stock's stream means by itself needs no subsection. */
    usb_control_out(dev, 0, USB_REQ_SET_ADDRESS, 5, 0, NULL, 0);
    usb_control_out(dev, 0, USB_REQ_SET_CONFIGURATION, 3, 0, NULL, 0);
    g_clear_pointer(&b, g_byte_array_unref);
    b = usb_save(dev);
    g_assert_cmpuint(b->len, ==, plain);
    there = usb_move(dev, h2);
    usb_control_in(there, 0x80, USB_REQ_GET_CONFIGURATION, 0, 0, 1, &value);
    g_assert_cmpint(value, ==, 3);
    device_unrealize(&there->device);
    /* Another configuration, setting, a halted endpoint. */
    usb_control_out(dev, 2, USB_REQ_SET_FEATURE, 0, 0x02, NULL, 0);
    there = usb_move(dev, h2);
    g_assert_true(there->ep_out[1].halted);
    g_assert_false(there->ep_in[0].halted);
    device_unrealize(&there->device);
    usb_control_out(dev, 1, USB_REQ_SET_INTERFACE, 1, 0, NULL, 0);
    there = usb_move(dev, h2);
    g_assert_cmpint(there->alternate[0], ==, 1);
    g_assert_cmpint(there->ep_out[1].type, ==, USB_TRANSFER_NONE);
    device_unrealize(&there->device);
    usb_control_out(dev, 0, USB_REQ_SET_CONFIGURATION, 4, 0, NULL, 0);
    there = usb_move(dev, h2);
    g_assert_cmpint(there->configuration, ==, 4);
    device_unrealize(&there->device);
    usb_control_out(dev, 0, USB_REQ_SET_CONFIGURATION, 0, 0, NULL, 0);
    there = usb_move(dev, h2);
    g_assert_cmpint(there->configuration, ==, 0);
    device_unrealize(&there->device);
    /* Not reachable: stock's bytes are enough. */
    h->enabled[0] = false;
    g_clear_pointer(&b, g_byte_array_unref);
    b = usb_save(dev);
    g_assert_cmpuint(b->len, ==, plain);
    host_free(h);
    host_free(h2);
}

static void test_bad_streams(void)
{
    static const struct {
        unsigned offset;
        uint8_t value;
    } bad[] = {
        { 0, 128 }, { 1, 0x80 }, { 4, 6 }, { 9, 0xff }, { 12, 4 }, { 13, 1 }, { 17, 0xff }
    };
    Host *h = host_new();
    UsbDevice *dev = host_plug(h, "usb-kbd"), *there = host_plug(h, "usb-kbd");
    g_autoptr(GByteArray) b = NULL;

    usb_send_setup(dev, 0x80, USB_REQ_GET_DESCRIPTOR, 0x0200, 0, 255);
    b = usb_save(dev);
    for (unsigned i = 0; i < G_N_ELEMENTS(bad); i++) {
        uint8_t old = b->data[bad[i].offset];
        GError *error = NULL;

        b->data[bad[i].offset] = bad[i].value;
        g_assert_false(usb_load(there, b, b->len, &error));
        g_assert_nonnull(error);
        g_clear_error(&error);
        b->data[bad[i].offset] = old;
    }
    /* No byte anywhere makes it crash. */
    for (guint i = 0; i < b->len * 8; i++) {
        b->data[i / 8] ^= 1 << i % 8;
        if (usb_load(there, b, b->len, NULL)) {
            usb_token(there, USB_PID_IN, 0, (uint8_t[8]){ 0 }, 8, NULL);
            usb_token(there, USB_PID_IN, 1, (uint8_t[8]){ 0 }, 8, NULL);
        }
        b->data[i / 8] ^= 1 << i % 8;
    }
    host_free(h);
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
    return g_test_run();
}
