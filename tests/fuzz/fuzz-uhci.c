/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What a guest can do to a UHCI controller with a hub and input devices: registers, schedules in memory, time, with
 * plugging, input and moves in between. Whatever it is, nothing crashes, each frame ends, and a state that was saved can
 * be loaded and saves the same again.
 *
 * The input is a list of steps: a byte that says what, then its arguments; see do_step().
 */
#include "util/osdep.h"

#include "fuzz-device.h"
#include "fuzz.h"
#include "hw/pci/pci.h"
#include "hw/usb/hid.h"
#include "system/memory.h"
#include "util/bytes.h"
#include "util/clock.h"
#include "util/main-loop.h"

#define IO 0xc000
#define RAM_SIZE (1 << 20)
#define FRAME_NS 1000000
#define MAX_STEPS 400
#define MAX_FRAMES 2000

static const DeviceType bridge_type = {
    .object = { .name = "fuzz-pci-host", .parent = &device_type.object, .size = sizeof(Device) },
    .migration = STATELESS("part of a test"),
};
DEVICE_REGISTER(bridge_type)

static PciBus *pci_bus;
static PciDevice *uhci;
static MemoryRegion *ram;

typedef struct Input {
    const uint8_t *data;
    size_t left;
    unsigned frames;
} Input;

static unsigned take(Input *in, unsigned bytes)
{
    unsigned value = 0;

    for (unsigned i = 0; i < bytes; i++) {
        value |= (in->left ? *in->data : 0u) << i * 8;
        in->data += in->left > 0;
        in->left -= in->left > 0;
    }
    return value;
}

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
    Device *bridge = device_new(&bridge_type);

    main_loop_init();
    memory_init();
    clock_virtual_set_manual();
    clock_virtual_enable(true);
    ram = memory_region_new_ram(NULL, "ram", RAM_SIZE, NULL);
    memory_region_map(system_memory(), 0, ram);
    if (!device_realize(bridge, NULL, NULL)) {
        abort();
    }
    pci_bus = pci_root_bus_new(bridge, "pci.0", system_memory(), system_io());
}

static void machine_begin(void)
{
    memset(memory_region_ram_ptr(ram), 0, RAM_SIZE);
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
    store_le32((uint8_t *)memory_region_ram_ptr(ram) + addr % (RAM_SIZE - 3), value);
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
        in->frames += n;
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
    Input in = { data, size, 0 };

    if (!pci_bus) {
        machine_init();
    }
    machine_begin();
    for (unsigned i = 0; i < MAX_STEPS && in.left > 0 && in.frames < MAX_FRAMES; i++) {
        do_step(&in);
    }
    reload_all();
    device_unrealize(&uhci->device);
    return 0;
}
