/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What a guest can do to a UHCI controller with a hub and input devices: registers, schedules in memory, time, with
 * plugging, input and moves in between. Whatever it is, nothing crashes, each frame ends, and a state that was saved can
 * be loaded and saves the same again.
 *
 * The input is a list of steps: a byte that says what, then its arguments; see do_step().
 */
#include "util/osdep.h"

#include "fuzz-input.h"
#include "fuzz-pci.h"
#include "fuzz.h"
#include "hw/usb/hid.h"
#include "util/bytes.h"
#include "util/clock.h"

#define IO 0xc000
#define FRAME_NS 1000000
#define MAX_STEPS 400
#define MAX_FRAMES 2000

static PciDevice *uhci;
static unsigned frames; /* that this input has let pass */

/* ---- the machine ------------------------------------------------------------------------------------------------ */

static Bus *usb_bus(void)
{
    return uhci->device.buses.head->data;
}

static Device *plug(const char *type, const char *port)
{
    Device *dev = device_new(device_type_by_name(type));

    object_set_string(&dev->object, "port", port);
    if (!device_realize(dev, usb_bus(), NULL)) {
        object_unref(dev);
        return NULL;
    }
    device_reset(dev);
    return dev;
}

static void machine_init(void)
{
    fuzz_pci_init();
    fuzz_ram_init();
    clock_virtual_set_manual();
    clock_virtual_enable(true);
}

static void machine_begin(void)
{
    memset(ram_bytes(), 0, RAM_SIZE);
    uhci = pci_create(pci_bus, PCI_DEVFN(1, 2), false, "piix3-usb-uhci", NULL);
    plug("usb-hub", "1");
    plug("usb-kbd", "1.1");
    plug("usb-tablet", "1.2");
    plug("usb-mouse", "2");
    device_reset(&uhci->device);
    pci_config_write(pci_bus, uhci->devfn, PCI_BAR_0 + 16, IO, 4);
    pci_config_write(pci_bus, uhci->devfn, PCI_COMMAND, 5, 2);
}

/* ---- moves --------------------------------------------------------------------------------------------------------- */

static void reload_all(void)
{
    device_reload(&uhci->device);
    for (GList *l = usb_bus()->devices.head; l; l = l->next) {
        device_reload(l->data);
    }
}

/* ---- steps ------------------------------------------------------------------------------------------------------------ */

static void put32(unsigned addr, uint32_t value)
{
    store_le32(ram_bytes() + addr % (RAM_SIZE - 3), value);
}

/* A TD with the fields that matter, at a place that links can name. */
static void put_td(Input *in)
{
    static const uint8_t pids[] = { 0x69, 0xe1, 0x2d, 0x69 };
    unsigned addr = 0x2000 + take(in, 1) * 16, what = take(in, 2), len = take(in, 1);

    put32(addr, take(in, 2) << 4 | (what >> 12 & 7));
    put32(addr + 4, 1u << 23 | (what & 3) << 27 | (what >> 2 & 1) << 29 | (what >> 3 & 1) << 24 | (what >> 4 & 1) << 25);
    put32(addr + 8, (uint32_t)((len - 1) & 0x7ff) << 21 | (what >> 5 & 1) << 15 | (what >> 6 & 7) << 8 |
                        pids[what >> 9 & 3]);
    put32(addr + 12, 0x8000 + take(in, 1) * 64);
}

static void input_event(Input *in)
{
    unsigned what = take(in, 1), n = 0;

    for (GList *l = usb_bus()->devices.head; l; l = l->next) {
        HidState *hs = usb_hid_state(l->data);

        if (!hs || n++ != what % 4) {
            continue;
        }
        if (hs->kind == HID_KEYBOARD) {
            const uint8_t code = take(in, 1);

            hid_put_scancodes(hs, &code, 1);
        } else {
            hid_pointer_move(hs, (int8_t)take(in, 1), (int8_t)take(in, 1), 0);
            hid_pointer_position(hs, take(in, 2), take(in, 2));
            hid_pointer_buttons(hs, what >> 4 & 7, 7);
            hid_pointer_sync(hs);
        }
        return;
    }
}

static void plug_or_pull(Input *in)
{
    static const char *const types[] = { "usb-kbd", "usb-mouse", "usb-tablet", "usb-hub" };
    unsigned what = take(in, 1);

    for (GList *l = usb_bus()->devices.head; l; l = l->next) {
        UsbDevice *dev = l->data;

        if (strcmp(dev->port->path, what & 0x80 ? "1" : "2") == 0) {
            device_unrealize(&dev->device);
            return;
        }
    }
    plug(types[what & 3], what & 0x80 ? "1" : "2");
}

static void do_step(Input *in)
{
    unsigned what = take(in, 1), a, n;

    switch (what & 15) {
    case 0:
    case 1:
        a = take(in, 1);
        port_write(IO + (a & 0x1e), take(in, 2), 2);
        break;
    case 2:
        a = take(in, 1) & 0x1f;
        port_write(IO + a, take(in, 1), 1);
        port_read(IO + a, 1);
        port_read(IO + (a & 0x1c), 4);
        break;
    case 3:
    case 4:
    case 5:
        a = take(in, 2) << 2;
        put32(a, take(in, 4));
        break;
    case 6:
    case 7:
    case 8:
        put_td(in);
        break;
    case 9:
    case 10:
    case 11:
        n = 1 + take(in, 1) % 32;
        frames += n;
        clock_virtual_step_to(clock_get_ns(CLOCK_VIRTUAL) + (int64_t)n * FRAME_NS);
        break;
    case 12:
        input_event(in);
        break;
    case 13:
        plug_or_pull(in);
        break;
    case 14:
        reload_all();
        break;
    case 15:
        a = take(in, 1);
        pci_config_write(pci_bus, uhci->devfn, a & 0xfe, take(in, 2), 2);
        pci_config_write(pci_bus, uhci->devfn, PCI_BAR_0 + 16, IO, 4);
        break;
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    Input in = { data, size };

    if (!pci_bus) {
        machine_init();
    }
    machine_begin();
    frames = 0;
    for (unsigned i = 0; i < MAX_STEPS && in.left > 0 && frames < MAX_FRAMES; i++) {
        do_step(&in);
    }
    reload_all();
    device_unrealize(&uhci->device);
    return 0;
}
