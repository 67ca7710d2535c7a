/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What a host can do to a bulk-only bridge with a CD drive, a disk and nothing behind its LUNs:
 * commands and data of any kind, packets and control requests in any order, with resets, medium
 * changes and moves in between; and streams with flipped bits. Nothing crashes, each command comes
 * to an end, and a state that was saved loads and saves the same again.
 *
 * The input is a list of steps: a byte that says what, then its arguments; see do_step().
 */
#include "util/osdep.h"

#include "fuzz-drives.h"
#include "fuzz-input.h"
#include "fuzz.h"
#include "hw/scsi/scsi.h"
#include "hw/usb/usb.h"
#include "system/memory.h"
#include "system/runstate.h"
#include "util/bytes.h"
#include "util/main-loop.h"

#define MAX_STEPS 200
#define MAX_PACKET 4096

typedef struct Host {
    Device device;
    UsbBus *bus;
    UsbPort port;
    UsbDevice *bot;
    Device *cd, *hd;
} Host;

/* ---- the machine ----------------------------------------------------------------------------- */

static void nothing(UsbPort *port)
{
}

static bool enabled(UsbPort *port)
{
    return true;
}

static const UsbPortOps port_ops = {
    .attach = nothing, .detach = nothing, .wakeup = nothing, .enabled = enabled
};

static bool host_realize(Device *dev, GError **error)
{
    Host *h = (Host *)dev;

    h->bus = usb_bus_new(dev, NULL, h);
    usb_bus_add_port(h->bus, &h->port, 0, USB_SPEED_BIT(USB_SPEED_FULL), &port_ops, h);
    return true;
}

static void host_unrealize(Device *dev)
{
    Host *h = (Host *)dev;

    usb_bus_remove_port(&h->port);
    usb_bus_free(h->bus);
}

static const DeviceType host_type = {
    .object = { .name = "fuzz-usb-host", .parent = &device_type.object, .size = sizeof(Host) },
    .realize = host_realize,
    .unrealize = host_unrealize,
    .migration = STATELESS("part of a test"),
};
DEVICE_REGISTER(host_type)

static Device *plug(Bus *bus, const char *type, const char *drive, int lun)
{
    g_autoptr(GError) error = NULL;
    Device *dev = device_new(device_type_by_name(type));

    if (drive) {
        object_set_string(&dev->object, "drive", drive);
        object_set_int(&dev->object, "lun", lun);
        object_set_int(&dev->object, "scsi-id", 0);
        object_set_bool(&dev->object, "share-rw", true);
    }
    if (!device_realize(dev, bus, &error)) {
        g_error("%s: %s", type, error->message);
    }
    return dev;
}

static Host *host_new(void)
{
    Host *h = (Host *)device_new(&host_type);

    if (!device_realize(&h->device, NULL, NULL)) {
        abort();
    }
    h->bot = USB_DEVICE(plug(&h->bus->bus, "usb-bot", NULL, 0));
    h->cd = plug(h->bot->device.buses.head->data, "scsi-cd", "disc", 0);
    h->hd = plug(h->bot->device.buses.head->data, "scsi-hd", "disk", 1);
    if (!usb_device_attach(h->bot, NULL)) {
        abort();
    }
    usb_device_bus_reset(h->bot);
    return h;
}

static void host_free(Host *h)
{
    device_unrealize(&h->device);
}

static void machine_init(void)
{
    main_loop_init();
    memory_init();
    fuzz_drives_init(1 << 20);
}

/* ---- packets --------------------------------------------------------------------------------- */

static void packet_done(UsbPacket *p, void *opaque)
{
    *(bool *)opaque = true;
}

/* One transaction; one that is not over when all block I/O is waits for something else, and is
 * taken back. */
static UsbStatus packet(Host *h, UsbPid pid, unsigned endpoint, void *data, size_t len)
{
    bool done = false;
    UsbPacket p = { 0 };
    UsbStatus status;

    usb_packet_init(&p, packet_done, &done);
    usb_packet_setup(&p, pid, usb_endpoint_get(h->bot, pid, endpoint), 1, false, false);
    if (len) {
        usb_packet_add_buffer(&p, data, len);
    }
    status = usb_packet_submit(h->bot, &p);
    if (status == USB_ASYNC) {
        for (unsigned i = 0; i < 20 && !done; i++) {
            main_loop_iterate(false);
        }
        if (!done) {
            usb_packet_cancel(&p);
        }
        status = p.status;
    }
    usb_packet_destroy(&p);
    return status;
}

static void control(Host *h, const uint8_t setup[8])
{
    uint8_t request[8], data[64] = { 0 };
    unsigned len = MIN(load_le16(setup + 6), sizeof(data));

    memcpy(request, setup, 8);
    if (setup[1] == USB_REQ_SET_ADDRESS && !(setup[0] & 0x60)) {
        return;
    }
    packet(h, USB_PID_SETUP, 0, request, 8);
    if (len) {
        packet(h, setup[0] & USB_DIR_IN ? USB_PID_IN : USB_PID_OUT, 0, data, len);
    }
    packet(h, setup[0] & USB_DIR_IN ? USB_PID_OUT : USB_PID_IN, 0, data, 0);
}

static void configure(Host *h)
{
    static const uint8_t set_configuration[8] = { 0, USB_REQ_SET_CONFIGURATION, 1 };
    control(h, set_configuration);
}

static void recover(Host *h)
{
    static const uint8_t reset[8] = { 0x21, 0xff }, in[8] = { 2, 1, 0, 0, 0x81 },
                         out[8] = { 2, 1, 0, 0, 0x02 };

    configure(h);
    control(h, reset);
    control(h, in);
    control(h, out);
}

static void raw_out(Host *h, Input *in)
{
    uint8_t data[MAX_PACKET];
    unsigned len = take(in, 2) % (sizeof(data) + 1);

    for (unsigned i = 0; i < len; i++) {
        data[i] = i < 64 ? take(in, 1) : i;
    }
    packet(h, USB_PID_OUT, 2, data, len);
}

static void some_in(Host *h, unsigned len)
{
    uint8_t data[MAX_PACKET] = { 0 };
    packet(h, USB_PID_IN, 1, data, len % (sizeof(data) + 1));
}

/* A CBW that is well formed, with anything in it. */
static void command(Host *h, Input *in)
{
    uint8_t cbw[31] = { 'U', 'S', 'B', 'C' };
    unsigned what = take(in, 1);

    store_le32(cbw + 4, take(in, 1));
    store_le32(cbw + 8, what & 4 ? take(in, 4) : take(in, 2));
    cbw[12] = what << 7;
    cbw[13] = what >> 4 & 3;
    cbw[14] = what & 8 ? take(in, 1) % 18 : 16;
    for (unsigned i = 0; i < 16; i++) {
        cbw[15 + i] = take(in, 1);
    }
    packet(h, USB_PID_OUT, 2, cbw, sizeof(cbw));
}

/* ---- moves ----------------------------------------------------------------------------------- */

static GByteArray *save(Device *dev)
{
    VmWriter *w = vm_writer_new();
    GByteArray *b = g_byte_array_new();
    static const uint8_t footer[16] = { 0x7e, 0, 0, 0, 7, 4 };
    const uint8_t *bytes;
    size_t len;

    if (!vmstate_save(w, device_vmstate(dev), dev, NULL, NULL)) {
        abort();
    }
    bytes = vm_writer_data(w, &len);
    g_byte_array_append(b, bytes, len);
    g_byte_array_append(b, footer, sizeof(footer)); /* something always follows a section */
    vm_writer_free(w);
    return b;
}

static bool load(Device *dev, const GByteArray *b)
{
    VmReader *r = vm_reader_new_from_memory(b->data, b->len);
    g_autoptr(GError) error = NULL;
    bool ok = vmstate_load(r, device_vmstate(dev), dev, device_vmstate(dev)->version, &error);

    vm_reader_free(r);
    if (ok != !error) {
        abort();
    }
    return ok;
}

static Host *move(Host *h, Input *in, bool damage)
{
    g_autoptr(GError) error = NULL;
    QuiesceResult result = quiesce_all(&error);
    Device *from[] = { &h->bot->device, h->cd, h->hd };
    GByteArray *bytes[3], *again[3];
    Host *to = host_new();
    Device *dest[] = { &to->bot->device, to->cd, to->hd };
    bool ok = true, flipped = false;

    if (result == QUIESCE_DONE) {
        quiesce_resume_all();
    } else if (result == QUIESCE_ERROR) {
        abort();
    }
    for (unsigned i = 0; i < 3; i++) {
        bytes[i] = save(from[i]);
    }
    for (unsigned i = 0; damage && i < 2; i++) {
        GByteArray *b = bytes[take(in, 1) % 3];
        b->data[take(in, 2) % b->len] ^= 1 << take(in, 1) % 8;
        flipped = true;
    }
    host_free(h);
    for (unsigned i = 0; i < 3 && ok; i++) {
        ok = load(dest[i], bytes[i]);
    }
    for (unsigned i = 0; i < 3; i++) {
        if (!flipped) {
            again[i] = save(dest[i]);
            if (!ok || bytes[i]->len != again[i]->len ||
                memcmp(bytes[i]->data, again[i]->data, bytes[i]->len) != 0) {
                g_error("%s: what was saved loads or saves in another way",
                        dest[i]->object.type->name);
            }
            g_byte_array_unref(again[i]);
        }
        g_byte_array_unref(bytes[i]);
    }
    if (!ok) { /* such a VM never runs */
        host_free(to);
        return host_new();
    }
    vm_start();
    vm_stop(VM_PAUSED);
    return to;
}

/* ---- steps ----------------------------------------------------------------------------------- */

static void medium(Host *h, Input *in)
{
    g_autofree char *path = object_path(&h->cd->object);
    BlockFront *front = front_by_device(path, NULL);
    unsigned what = take(in, 1);

    if (!front) {
        return;
    }
    if (what & 1) {
        front_open_tray(front, what & 2, NULL);
    } else {
        front_close_tray(front, NULL);
    }
}

static Host *do_step(Host *h, Input *in)
{
    uint8_t setup[8];

    switch (take(in, 1) % 10) {
    case 0:
    case 1:
        command(h, in);
        break;
    case 2:
        raw_out(h, in);
        break;
    case 3:
        some_in(h, take(in, 1));
        break;
    case 4:
        some_in(h, take(in, 2));
        break;
    case 5:
        for (unsigned i = 0; i < 8; i++) {
            setup[i] = take(in, 1);
        }
        control(h, setup);
        break;
    case 6:
        recover(h);
        break;
    case 7:
        return move(h, in, false);
    case 8:
        medium(h, in);
        break;
    default:
        return move(h, in, true);
    }
    return h;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static bool initialized;
    Input in = { data, size };
    Host *h;

    if (!initialized) {
        machine_init();
        initialized = true;
    }
    h = host_new();
    configure(h);
    for (unsigned steps = 0; in.left && steps < MAX_STEPS; steps++) {
        h = do_step(h, &in);
    }
    /* Whatever was before: after a recovery the bridge works. */
    recover(h);
    for (unsigned i = 0; i < 50; i++) {
        main_loop_iterate(false);
    }
    host_free(h);
    return 0;
}
