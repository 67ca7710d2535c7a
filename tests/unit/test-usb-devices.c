/* SPDX-License-Identifier: GPL-2.0-or-later */
/* USB ports and hubs, and the queues of input devices, without a host controller. */
#include "util/osdep.h"
#include "hw/usb/hid.h"
#include "system/memory.h"
#include "usb-host.h"

/* ---- ports and hubs --------------------------------------------------------------------------------------------------- */

static void test_ports(void)
{
    Host *h = host_new();
    UsbDevice *k[5], *hub;
    GError *error = NULL;
    char *prefix;

    for (int i = 0; i < 4; i++) {
        k[i] = host_plug(h, "usb-kbd");
    }
    g_assert_cmpstr(k[0]->port->path, ==, "1");
    g_assert_cmpstr(k[1]->port->path, ==, "2.1"); /* behind a hub that came by itself */
    g_assert_cmpstr(k[3]->port->path, ==, "2.3");
    prefix = device_section_prefix(&k[3]->device);
    g_assert_cmpstr(prefix, ==, "2.3");
    g_free(prefix);
    g_assert_null(host_plug_at(h, "usb-kbd", "2.3", &error));
    g_assert_true(g_str_has_prefix(error->message, "usb port 2.3 (bus usb-bus."));
    g_assert_true(g_str_has_suffix(error->message, ") not found (in use?)"));
    g_clear_error(&error);
    g_assert_null(host_plug_at(h, "usb-kbd", "3", &error));
    g_clear_error(&error);
    k[4] = host_plug_at(h, "usb-kbd", "2.8", &error);
    g_assert_no_error(error);
    /* Ports that become free are given last. */
    device_unrealize(&k[0]->device);
    k[0] = host_plug(h, "usb-kbd");
    g_assert_cmpstr(k[0]->port->path, ==, "2.4");
    /* A hub takes what is behind it along. */
    hub = h->ports[1].dev;
    device_unrealize(&hub->device);
    g_assert_cmpuint(h->bus->used_ports.length, ==, 0);
    g_assert_cmpuint(h->bus->ports.length, ==, 2);

    hub = host_plug_at(h, "usb-hub", "1", &error);
    hub = host_plug_at(h, "usb-hub", "1.1", &error);
    hub = host_plug_at(h, "usb-hub", "1.1.1", &error);
    hub = host_plug_at(h, "usb-hub", "1.1.1.1", &error);
    hub = host_plug_at(h, "usb-hub", "1.1.1.1.8", &error);
    g_assert_nonnull(hub);
    g_assert_null(host_plug_at(h, "usb-hub", "1.1.1.1.8.8", &error));
    g_assert_cmpstr(error->message, ==, "usb hub chain too deep");
    g_clear_error(&error);
    g_assert_nonnull(host_plug_at(h, "usb-kbd", "1.1.1.1.8.8", &error));
    device_unrealize(&h->ports[0].dev->device);
    host_free(h);
}

static unsigned hub_port_status(UsbDevice *hub, unsigned port)
{
    uint8_t d[4];

    g_assert_cmpint(usb_control_in(hub, 0xa3, USB_REQ_GET_STATUS, 0, port, 4, d), ==, 4);
    return d[0] | d[1] << 8 | d[2] << 16 | (unsigned)d[3] << 24;
}

static UsbStatus hub_feature(UsbDevice *hub, bool set, unsigned feature, unsigned port)
{
    return usb_control_out(hub, 0x23, set ? USB_REQ_SET_FEATURE : USB_REQ_CLEAR_FEATURE, feature,
                           port, NULL, 0);
}

static void test_hub(void)
{
    Host *h = host_new();
    UsbDevice *hub = host_plug(h, "usb-hub"), *kbd = host_plug_at(h, "usb-kbd", "1.1", NULL);
    uint8_t d[16];

    usb_device_bus_reset(hub);
    g_assert_cmpint(usb_control_in(hub, 0xa0, USB_REQ_GET_DESCRIPTOR, 0x2900, 0, 16, d), ==, 10);
    check_bytes(d, 10, "0a29080a0001000000ff");
    g_assert_cmphex(hub_port_status(hub, 1), ==, 0x00010101);
    g_assert_cmphex(hub_port_status(hub, 2), ==, 0x00000100);
    g_assert_cmpint(usb_control_in(hub, 0xa3, USB_REQ_GET_STATUS, 0, 9, 4, d), ==, -1);
    g_assert_cmpint(usb_token(hub, USB_PID_IN, 1, d, 2, NULL), ==, USB_OK);
    g_assert_cmpint(d[0], ==, 2);
    hub_feature(hub, false, 16, 1);
    g_assert_cmpint(usb_token(hub, USB_PID_IN, 1, d, 2, NULL), ==, USB_NAK);
    /* Not enabled: nobody answers there. */
    usb_control_out(hub, 0, USB_REQ_SET_ADDRESS, 2, 0, NULL, 0);
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
    host_plug_at(h, "usb-kbd", "1.1", NULL);
    usb_device_bus_reset(hub);
    g_assert_cmpint(usb_control_in(hub, 0xa0, USB_REQ_GET_DESCRIPTOR, 0x2900, 0, 16, d), ==, 9);
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
        g_assert_cmpint(usb_token(dev, USB_PID_IN, 1, d, 8, &actual), ==, USB_NAK);
        return;
    }
    g_assert_cmpint(usb_token(dev, USB_PID_IN, 1, d, 8, &actual), ==, USB_OK);
    check_bytes(d, actual, hex);
}

static bool put_codes(UsbDevice *dev, const char *codes, unsigned n)
{
    return hid_put_scancodes(usb_hid_state(&dev->device), (const uint8_t *)codes, n);
}

static void test_keyboard(void)
{
    Host *h = host_new(), *h2 = host_new();
    UsbDevice *dev = host_plug(h, "usb-kbd");

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
    dev = usb_move(dev, h2);
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
        usb_token(dev, USB_PID_IN, 1, (uint8_t[8]){ 0 }, 8, NULL);
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
    UsbDevice *dev = host_plug(h, "usb-kbd"), *tablet = host_plug(h, "usb-tablet");
    uint8_t d[8];

    g_assert_cmpint(usb_control_in(dev, 0xa1, 3, 0, 0, 1, d), ==, 1);
    g_assert_cmpint(d[0], ==, 1);
    g_assert_cmpint(usb_control_out(dev, 0x21, 11, 0, 0, NULL, 0), ==, USB_OK);
    g_assert_cmpint(usb_control_in(dev, 0xa1, 3, 0, 0, 1, d), ==, 1);
    g_assert_cmpint(d[0], ==, 0);
    g_assert_cmpint(usb_control_out(dev, 0x21, 11, 2, 0, NULL, 0), ==, USB_STALL);
    g_assert_cmpint(usb_control_in(tablet, 0xa1, 3, 0, 0, 1, d), ==, -1);
    g_assert_cmpint(usb_control_in(dev, 0xa1, 1, 0x0100, 0, 8, d), ==, 8);
    check_bytes(d, 8, "0000000000000000");
    d[0] = 1;
    g_assert_cmpint(usb_control_out(tablet, 0x21, 9, 0x0200, 0, d, 1), ==, USB_STALL);
    check_descriptor(dev, 0x81, 0x2100, 0, "092111010001223f00");
    host_free(h);
}

static void test_pointers(void)
{
    Host *h = host_new(), *h2 = host_new();
    UsbDevice *mouse = host_plug(h, "usb-mouse"),
              *tablet = host_plug_at(h, "usb-tablet", "2", NULL);
    HidState *hs = usb_hid_state(&mouse->device);

    check_report(mouse, NULL);
    hid_pointer_move(hs, 10, -20, -1);
    hid_pointer_sync(hs);
    check_report(mouse, "000aec01");
    check_report(mouse, NULL);
    hid_pointer_move(hs, 200, -300, 0);
    hid_pointer_sync(hs);
    check_report(mouse, "007f8100");
    mouse = usb_move(mouse, h2);
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
    g_test_add_func("/usb/ports", test_ports);
    g_test_add_func("/usb/hub", test_hub);
    g_test_add_func("/usb/hub-port-power", test_hub_port_power);
    g_test_add_func("/usb/keyboard", test_keyboard);
    g_test_add_func("/usb/keyboard-requests", test_keyboard_requests);
    g_test_add_func("/usb/pointers", test_pointers);
    return g_test_run();
}
