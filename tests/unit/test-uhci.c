/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * UHCI and a device that keeps its packets: what is written to guest memory and when, what is taken back, and what a
 * move finds (rules S1 to S3 of uhci-schedule.c, U2 to U4 of usb.h).
 */
#include "util/osdep.h"
#include "hw/pci/pci.h"
#include "hw/usb/usb.h"
#include "system/memory.h"
#include "system/quiesce.h"
#include "util/bytes.h"
#include "util/clock.h"
#include "util/main-loop.h"

#define IO 0xc000
#define FRAMES 0x10000
#define QH(n) (0x20000 + (n) * 16)
#define TD(n) (0x21000 + (n) * 16)
#define BUF(n) (0x30000 + (n) * 0x1000)
#define FRAME_NS 1000000

#define ACTIVE (1u << 23)
#define IOC (1u << 24)
#define ISO (1u << 25)
#define ERRORS(n) ((uint32_t)(n) << 27)
#define STALLED (1u << 22)
#define NAK (1u << 19)
#define TIMEOUT (1u << 18)
#define TOKEN(pid, ep, len) ((uint32_t)(((len) - 1) & 0x7ff) << 21 | (uint32_t)(ep) << 15 | (pid))

/* ---- a device whose packets wait until the test moves bytes ----------------------------------------------------- */

typedef struct Slow {
    UsbDevice usb;
    UsbPacket *kept;
    uint8_t next;
    unsigned cancels, submissions;
} Slow;

static void slow_data(UsbDevice *dev, UsbPacket *p)
{
    Slow *s = (Slow *)dev;

    g_assert_null(s->kept);
    s->kept = p;
    s->submissions++;
    p->status = USB_ASYNC;
}

static void slow_cancel(UsbDevice *dev, UsbPacket *p)
{
    Slow *s = (Slow *)dev;

    g_assert_true(s->kept == p);
    s->kept = NULL;
    s->cancels++;
}

static void slow_move(Slow *s, size_t n)
{
    for (; n > 0 && usb_packet_room(s->kept) > 0; n--) {
        uint8_t byte = s->next;

        usb_packet_copy(s->kept, &byte, 1);
        g_assert_cmpint(byte, ==, s->next);
        s->next++;
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
static const UsbDescInterface slow_interface = { .class = 0xff, .num_endpoints = 2, .endpoints = slow_endpoints };
static const UsbDescConfig slow_config = { .value = 1, .attributes = 0x80, .num_interfaces = 1, .num_settings = 1,
                                           .interfaces = &slow_interface };
static const UsbDescDevice slow_full = { .usb_version = 0x0200, .max_packet_size0 = 8, .num_configs = 1,
                                         .configs = &slow_config };
static const UsbDesc slow_desc = { .vendor = 1, .product = 2, .full = &slow_full };
static const UsbDeviceOps slow_ops = { .product = "slow", .desc = &slow_desc, .data = slow_data,
                                       .cancel = slow_cancel };
static const VmState slow_vmstate = {
    .name = "slow",
    .version = 1,
    .minimum_version = 1,
    .fields = (const VmField[]){ VM_USB_DEVICE(Slow, usb), VM_U8(Slow, next), VM_END },
};
static const DeviceType slow_type = {
    .object = { .name = "test-usb-slow", .parent = &usb_device_type.object, .size = sizeof(Slow) },
    .migration = MIGRATES_WITH(slow_vmstate),
    .ops = &slow_ops,
};
DEVICE_REGISTER(slow_type)

/* ---- a machine ---------------------------------------------------------------------------------------------------- */

static const DeviceType bridge_type = {
    .object = { .name = "test-pci-host", .parent = &device_type.object, .size = sizeof(Device) },
    .migration = STATELESS("part of a test"),
};
DEVICE_REGISTER(bridge_type)

static PciBus *pci_bus;

typedef struct Machine {
    PciDevice *uhci;
    Slow *slow;
} Machine;

static void write32(uint32_t addr, uint32_t value)
{
    uint8_t raw[4];

    store_le32(raw, value);
    g_assert_cmpint(address_space_write(address_space_memory, addr, raw, 4), ==, MEM_OK);
}

static uint32_t read32(uint32_t addr)
{
    uint8_t raw[4];

    g_assert_cmpint(address_space_read(address_space_memory, addr, raw, 4), ==, MEM_OK);
    return load_le32(raw);
}

static void set_frames(uint32_t link)
{
    for (unsigned i = 0; i < 1024; i++) {
        write32(FRAMES + i * 4, link);
    }
}

static void frames(unsigned n)
{
    clock_virtual_step_to(clock_get_ns(CLOCK_VIRTUAL) + (int64_t)n * FRAME_NS);
}

static void machine_init(void)
{
    Device *bridge = device_new(&bridge_type);

    main_loop_init();
    memory_init();
    clock_virtual_set_manual();
    clock_virtual_enable(true);
    memory_region_map(system_memory(), 0, memory_region_new_ram(NULL, "ram", 1 << 20, NULL));
    g_assert_true(device_realize(bridge, NULL, NULL));
    pci_bus = pci_root_bus_new(bridge, "pci.0", system_memory(), system_io());
}

/* A controller with a device on port 1. At most one machine at a time decodes its ports. */
static void machine_plug(Machine *m)
{
    GError *error = NULL;
    Device *dev;

    m->uhci = pci_create(pci_bus, -1, false, "piix3-usb-uhci", &error);
    g_assert_no_error(error);
    device_reset(&m->uhci->device);
    dev = device_new(&slow_type);
    g_assert_true(device_realize(dev, m->uhci->device.buses.head->data, &error));
    m->slow = (Slow *)dev;
    usb_device_bus_reset(&m->slow->usb);
}

static void machine_new(Machine *m)
{
    machine_plug(m);
    set_frames(1);
    write32(QH(0), 1);
    write32(QH(0) + 4, 1);
    pci_config_write(pci_bus, m->uhci->devfn, PCI_BAR_0 + 16, IO, 4);
    pci_config_write(pci_bus, m->uhci->devfn, PCI_COMMAND, 5, 2);
    port_write(IO + 8, FRAMES, 4);
    port_write(IO + 0x10, 6, 2);
    port_write(IO, 0xc1, 2);
    set_frames(QH(0) | 2);
}

static void machine_free(Machine *m)
{
    device_unrealize(&m->uhci->device);
}

static void put_td(unsigned n, uint32_t link, uint32_t ctrl, uint32_t token, uint32_t buffer)
{
    write32(TD(n), link);
    write32(TD(n) + 4, ctrl);
    write32(TD(n) + 8, token);
    write32(TD(n) + 12, buffer);
}

static uint32_t td_ctrl(unsigned n)
{
    return read32(TD(n) + 4);
}

/* An IN of 64 bytes as TD 0, alone in the queue. */
static void queue_in(void)
{
    put_td(0, 1, ACTIVE | ERRORS(3) | IOC, TOKEN(USB_PID_IN, 1, 64), BUF(0));
    address_space_memset(address_space_memory, BUF(0), 0xee, 64);
    write32(QH(0) + 4, TD(0));
}

static void check_arrived(uint8_t first, unsigned len)
{
    uint8_t d[64];

    g_assert_cmphex(td_ctrl(0), ==, (ERRORS(3) | IOC | (len - 1)));
    address_space_read(address_space_memory, BUF(0), d, 64);
    for (unsigned i = 0; i < 64; i++) {
        g_assert_cmphex(d[i], ==, i < len ? (uint8_t)(first + i) : 0xee);
    }
    g_assert_cmphex(read32(QH(0) + 4), ==, 1);
}

/* ---- moving ------------------------------------------------------------------------------------------------------- */

static GByteArray *save(Device *dev)
{
    VmWriter *w = vm_writer_new();
    GByteArray *b = g_byte_array_new();
    GError *error = NULL;
    const uint8_t *bytes;
    size_t len;

    vmstate_save(w, device_vmstate(dev), dev, NULL, &error);
    g_assert_no_error(error);
    bytes = vm_writer_data(w, &len);
    g_byte_array_append(b, bytes, len);
    vm_writer_free(w);
    return b;
}

static void load(Device *dev, const GByteArray *b)
{
    VmReader *r = vm_reader_new_from_memory(b->data, b->len);
    GError *error = NULL;

    vmstate_load(r, device_vmstate(dev), dev, device_vmstate(dev)->version, &error);
    g_assert_no_error(error);
    vm_reader_free(r);
}

/* Replaces m's devices by new ones with their state; late runs between quiesce and save. */
static void move(Machine *m, void (*late)(Machine *m))
{
    g_autoptr(GByteArray) uhci = NULL, slow = NULL;
    Machine to = { 0 };

    g_assert_cmpint(quiesce_all(NULL), ==, QUIESCE_DONE);
    if (late) {
        late(m);
    }
    uhci = save(&m->uhci->device);
    slow = save(&m->slow->usb.device);
    g_assert_null(ram_late_writer());
    quiesce_resume_all();
    machine_free(m);
    machine_plug(&to);
    load(&to.uhci->device, uhci);
    load(&to.slow->usb.device, slow);
    *m = to;
}

/* ---- tests ---------------------------------------------------------------------------------------------------------- */

static void test_kept_and_finished(void)
{
    Machine m;

    machine_new(&m);
    queue_in();
    frames(3);
    g_assert_cmpuint(m.slow->submissions, ==, 1);
    g_assert_cmphex(td_ctrl(0), ==, (ACTIVE | ERRORS(3) | IOC));
    slow_move(m.slow, 10);
    frames(1);
    g_assert_cmpuint(m.slow->submissions, ==, 1);
    slow_move(m.slow, 20);
    slow_finish(m.slow, USB_OK);
    /* Nothing reaches the guest but by the walk of a frame. */
    g_assert_cmphex(td_ctrl(0), ==, (ACTIVE | ERRORS(3) | IOC));
    g_assert_cmphex(read32(BUF(0)), ==, 0xeeeeeeee);
    frames(1);
    check_arrived(0, 30);
    g_assert_cmphex(port_read(IO + 2, 2), ==, 1);

    queue_in();
    frames(1);
    slow_finish(m.slow, USB_STALL);
    frames(1);
    g_assert_cmphex(td_ctrl(0), ==, (ERRORS(3) | IOC | STALLED | 0x7ff));
    /* NAK: submitted again. */
    queue_in();
    frames(1);
    m.slow->submissions = 0;
    slow_finish(m.slow, USB_NAK);
    frames(1);
    g_assert_cmpuint(m.slow->submissions, ==, 1);
    machine_free(&m);
}

static void test_out(void)
{
    Machine m;

    machine_new(&m);
    for (unsigned i = 0; i < 64; i += 4) {
        write32(BUF(0) + i, 0x03020100u + i * 0x01010101u);
    }
    put_td(0, 1, ACTIVE | ERRORS(3), TOKEN(USB_PID_OUT, 2, 64), BUF(0));
    write32(QH(0) + 4, TD(0));
    frames(1);
    slow_move(m.slow, 20);
    move(&m, NULL);
    frames(1);
    g_assert_nonnull(m.slow->kept);
    g_assert_cmpuint(m.slow->kept->actual_length, ==, 20);
    slow_move(m.slow, 64);
    slow_finish(m.slow, USB_OK);
    frames(1);
    g_assert_cmphex(td_ctrl(0), ==, (ERRORS(3) | 63));
    g_assert_cmpint(m.slow->next, ==, 64);
    machine_free(&m);
}

static void test_move_while_kept(void)
{
    for (unsigned moved = 0; moved < 64; moved += 13) {
        Machine m;

        machine_new(&m);
        queue_in();
        frames(2);
        slow_move(m.slow, moved);
        for (int i = 0; i < 3; i++) { /* twice without a frame in between */
            move(&m, NULL);
            g_assert_null(m.slow->kept);
            frames(i);
        }
        g_assert_cmpuint(m.slow->kept->actual_length, ==, moved);
        slow_move(m.slow, 64);
        slow_finish(m.slow, USB_OK);
        frames(1);
        check_arrived(0, 64);
        machine_free(&m);
    }
}

static void test_finished_before_quiesce(void)
{
    Machine m;

    machine_new(&m);
    queue_in();
    frames(2);
    slow_move(m.slow, 64);
    slow_finish(m.slow, USB_OK);
    port_write(IO + 2, 0x3f, 2);
    move(&m, NULL);
    check_arrived(0, 64);
    g_assert_cmphex(port_read(IO + 2, 2), ==, 0); /* the interrupt comes at the end of the frame */
    frames(1);
    g_assert_cmphex(port_read(IO + 2, 2), ==, 1);
    g_assert_cmpuint(m.slow->submissions, ==, 0);
    machine_free(&m);
}

static void finish_late(Machine *m)
{
    slow_move(m->slow, 64);
    slow_finish(m->slow, USB_OK);
    /* The rest of the chain stays where it is. */
    g_assert_cmphex(td_ctrl(0) & ACTIVE, ==, ACTIVE);
}

static void test_finished_after_quiesce(void)
{
    Machine m;

    machine_new(&m);
    queue_in();
    frames(2);
    move(&m, finish_late);
    g_assert_cmphex(td_ctrl(0), ==, (ACTIVE | ERRORS(3) | IOC));
    move(&m, NULL); /* carried, then written by the next quiesce */
    frames(1);
    check_arrived(0, 64);
    g_assert_cmpuint(m.slow->submissions, ==, 0);
    machine_free(&m);
}

/* A finished TD that only another frame leads to is carried until that frame comes. */
static void test_finished_in_another_frame(void)
{
    Machine m;

    machine_new(&m);
    set_frames(1);
    frames(3);
    write32(FRAMES + ((port_read(IO + 6, 2) + 1) & 1023) * 4, QH(0) | 2);
    queue_in();
    frames(4);
    g_assert_nonnull(m.slow->kept);
    g_assert_cmpuint(m.slow->cancels, ==, 0);
    slow_move(m.slow, 64);
    slow_finish(m.slow, USB_OK);
    move(&m, NULL);
    g_assert_cmphex(td_ctrl(0), ==, (ACTIVE | ERRORS(3) | IOC));
    frames(900);
    move(&m, NULL);
    g_assert_cmphex(td_ctrl(0), ==, (ACTIVE | ERRORS(3) | IOC));
    frames(130);
    check_arrived(0, 64);
    g_assert_cmpuint(m.slow->submissions, ==, 0);
    machine_free(&m);
}

static void test_unlinked(void)
{
    Machine m;

    machine_new(&m);
    queue_in();
    frames(3);
    write32(QH(0) + 4, 1);
    frames(2);
    g_assert_cmpuint(m.slow->cancels, ==, 1);
    g_assert_cmphex(td_ctrl(0), ==, (ACTIVE | ERRORS(3) | IOC));
    /* Another TD for the endpoint in the very frame in which the first one went. */
    queue_in();
    frames(2);
    put_td(1, 1, ACTIVE | ERRORS(3), TOKEN(USB_PID_IN, 1, 32), BUF(1));
    write32(QH(0) + 4, TD(1));
    frames(3);
    g_assert_cmpuint(m.slow->cancels, ==, 2);
    g_assert_cmpuint(usb_packet_room(m.slow->kept), ==, 32);
    /* The TD itself becomes another one. */
    write32(TD(1) + 8, TOKEN(USB_PID_IN, 1, 16));
    frames(1);
    g_assert_cmpuint(m.slow->cancels, ==, 3);
    g_assert_cmpuint(usb_packet_room(m.slow->kept), ==, 16);
    write32(TD(1) + 4, 0);
    frames(1);
    g_assert_cmpuint(m.slow->cancels, ==, 4);
    g_assert_null(m.slow->kept);
    /* Unlinked after it finished, before the walk came: not a byte is written. */
    queue_in();
    frames(1);
    slow_move(m.slow, 64);
    slow_finish(m.slow, USB_OK);
    write32(QH(0) + 4, 1);
    frames(3);
    g_assert_cmphex(td_ctrl(0), ==, (ACTIVE | ERRORS(3) | IOC));
    g_assert_cmphex(read32(BUF(0)), ==, 0xeeeeeeee);
    machine_free(&m);
}

static void test_stopped_controller_keeps(void)
{
    Machine m;

    machine_new(&m);
    queue_in();
    frames(2);
    port_write(IO, 0xc0, 2);
    slow_move(m.slow, 64);
    slow_finish(m.slow, USB_OK);
    frames(5);
    move(&m, NULL);
    g_assert_cmphex(td_ctrl(0), ==, (ACTIVE | ERRORS(3) | IOC));
    port_write(IO, 0xc1, 2);
    frames(1);
    check_arrived(0, 64);
    machine_free(&m);
}

static void test_resets(void)
{
    Machine m;
    GError *error = NULL;

    machine_new(&m);
    queue_in();
    frames(2);
    port_write(IO, 2, 2);
    g_assert_cmpuint(m.slow->cancels, ==, 1);
    g_assert_null(m.slow->kept);
    /* Port off: the TD runs into the error counter. */
    port_write(IO + 8, FRAMES, 4);
    port_write(IO + 0x10, 6, 2);
    port_write(IO, 0xc1, 2);
    frames(1);
    g_assert_nonnull(m.slow->kept);
    port_write(IO + 0x10, 0, 2);
    frames(1);
    g_assert_cmpuint(m.slow->cancels, ==, 2);
    g_assert_cmphex(td_ctrl(0), ==, (ACTIVE | ERRORS(2) | IOC | TIMEOUT));
    /* Port reset and pulling the device while a packet is kept. */
    port_write(IO + 0x10, 4, 2);
    frames(1);
    port_write(IO + 0x10, 0x204, 2);
    g_assert_cmpuint(m.slow->cancels, ==, 3);
    port_write(IO + 0x10, 4, 2);
    frames(1);
    g_assert_nonnull(m.slow->kept);
    device_unrealize(&m.slow->usb.device);
    frames(3);
    g_assert_cmphex(td_ctrl(0), ==, (STALLED | IOC | TIMEOUT | 0x7ff));
    g_assert_no_error(error);
    machine_free(&m);
}

static void test_isochronous(void)
{
    Machine m;

    machine_new(&m);
    put_td(0, 1, ACTIVE | ISO, TOKEN(USB_PID_IN, 1, 64), BUF(0));
    set_frames(TD(0));
    frames(1);
    g_assert_cmphex(td_ctrl(0), ==, (ISO | TIMEOUT | 0x7ff));
    g_assert_null(m.slow->kept);
    g_assert_cmpuint(m.slow->cancels, ==, 1);
    machine_free(&m);
}

/* Two queues for one endpoint: the second waits for the first. */
static void test_shared_endpoint(void)
{
    Machine m;

    machine_new(&m);
    queue_in();
    put_td(1, 1, ACTIVE | ERRORS(3), TOKEN(USB_PID_IN, 1, 64), BUF(1));
    write32(QH(1), 1);
    write32(QH(1) + 4, TD(1));
    write32(QH(0), QH(1) | 2);
    frames(5);
    g_assert_cmpuint(m.slow->submissions, ==, 1);
    g_assert_cmpuint(m.slow->cancels, ==, 0);
    slow_move(m.slow, 64);
    slow_finish(m.slow, USB_OK);
    frames(2);
    g_assert_cmpuint(m.slow->submissions, ==, 2);
    slow_move(m.slow, 64);
    slow_finish(m.slow, USB_OK);
    frames(1);
    g_assert_cmphex(td_ctrl(1), ==, (ERRORS(3) | 63));
    g_assert_cmphex(read32(BUF(1)), ==, 0x43424140);
    machine_free(&m);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    machine_init();
    g_test_add_func("/uhci/kept-and-finished", test_kept_and_finished);
    g_test_add_func("/uhci/out", test_out);
    g_test_add_func("/uhci/move-while-kept", test_move_while_kept);
    g_test_add_func("/uhci/finished-before-quiesce", test_finished_before_quiesce);
    g_test_add_func("/uhci/finished-after-quiesce", test_finished_after_quiesce);
    g_test_add_func("/uhci/finished-in-another-frame", test_finished_in_another_frame);
    g_test_add_func("/uhci/unlinked", test_unlinked);
    g_test_add_func("/uhci/stopped-controller-keeps", test_stopped_controller_keeps);
    g_test_add_func("/uhci/resets", test_resets);
    g_test_add_func("/uhci/isochronous", test_isochronous);
    g_test_add_func("/uhci/shared-endpoint", test_shared_endpoint);
    return g_test_run();
}
