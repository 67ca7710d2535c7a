/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What a guest, and the network, can do to an e1000: registers of any kind, good and bad rings and descriptors, packets that
 * come, a backend that is busy, a cable that is pulled, moves in between. Whatever it is, nothing crashes, and a state that
 * was saved can be loaded and saves the same again.
 *
 * The input is a list of steps: a byte that says what, then its arguments; see do_step().
 */
#include "util/osdep.h"

#include "fuzz-input.h"
#include "fuzz-net.h"
#include "fuzz-pci.h"
#include "fuzz.h"
#include "hw/core/machine.h"
#include "util/bytes.h"
#include "util/clock.h"

#define MMIO 0xe0000000
#define IO 0xc000
#define RX_RING 0x1000
#define TX_RING 0x2000
#define BUFFERS 0x10000
#define RING 16
#define MAX_STEPS 300

enum {
    ICR = 0xc0,
    ITR = 0xc4,
    IMS = 0xd0,
    RCTL = 0x100,
    TCTL = 0x400,
    RDBAL = 0x2800, /* with RDBAH, RDLEN, RDH, RDT at 4, 8, 10h, 18h from it */
    TDBAL = 0x3800,
};

static PciDevice *card;
static unsigned tail; /* of what transmit() has written */

/* ---- the machine ------------------------------------------------------------------------------------------------ */

static void machine_init(void)
{
    fuzz_pci_init();
    fuzz_ram_init();
    clock_virtual_set_manual();
    machine_set_current((Machine *)object_new(object_type_by_name("none-machine")));
    vm_start();
}

static void machine_begin(void)
{
    Device *dev = device_new(device_type_by_name("e1000"));
    g_autoptr(GError) error = NULL;

    memset(ram_bytes(), 0, RAM_SIZE);
    tail = 0;
    fuzz_net_plug(false);
    object_set_string(&dev->object, "netdev", "wire");
    object_set_string(&dev->object, "romfile", "");
    if (!device_realize(dev, (Bus *)pci_bus, &error)) {
        g_error("e1000: %s", error->message);
    }
    card = PCI_DEVICE(dev);
    device_reset(dev);
    pci_config_write(pci_bus, card->devfn, PCI_BAR_0, MMIO, 4);
    pci_config_write(pci_bus, card->devfn, PCI_BAR_0 + 4, IO, 4);
    pci_config_write(pci_bus, card->devfn, PCI_COMMAND, 7, 2);
}

static void wr(unsigned reg, uint32_t value)
{
    uint8_t bytes[4];

    store_le32(bytes, value);
    address_space_write(address_space_memory, MMIO + reg, bytes, 4);
}

static void rd(unsigned reg, unsigned width)
{
    uint8_t bytes[4];

    address_space_read(address_space_memory, MMIO + reg, bytes, width);
}

static uint8_t *memory(unsigned addr)
{
    return ram_bytes() + addr;
}

/* ---- steps ------------------------------------------------------------------------------------------------------- */

/* A driver that knows what it does: both rings. */
static void bring_up(Input *in)
{
    uint32_t rctl = take(in, 4);

    for (unsigned i = 0; i < RING; i++) {
        store_le64(memory(RX_RING + 16 * i), BUFFERS + 0x80000 + i * 0x4000);
    }
    wr(TDBAL, TX_RING);
    wr(TDBAL + 8, 16 * RING);
    wr(TDBAL + 0x10, 0);
    wr(TDBAL + 0x18, 0);
    wr(RDBAL, RX_RING);
    wr(RDBAL + 8, 16 * RING);
    wr(RDBAL + 0x10, 0);
    wr(RDBAL + 0x18, RING - 1);
    wr(IMS, 0xffff);
    wr(TCTL, 2);
    wr(RCTL, rctl | 2);
    tail = 0;
}

static uint8_t *next_descriptor(void)
{
    uint8_t *desc = memory(TX_RING + 16 * tail);

    tail = (tail + 1) % RING;
    return desc;
}

/* Legacy (0), context (1) or data (2) descriptors: what is in them comes from the input. */
static void transmit(Input *in, unsigned what)
{
    uint8_t *desc = next_descriptor();
    unsigned kind = take(in, 1) % 3, len = take(in, 1) * (what & 1 ? 64 : 4);
    uint8_t cmd = take(in, 1);

    if (kind == 1) {
        for (unsigned i = 0; i < 8; i++) {
            desc[i] = take(in, 1);
        }
        store_le32(desc + 8, len | (uint32_t)(cmd & 0xdf) << 24 | 1u << 29);
        desc[12] = 0;
        desc[13] = take(in, 1);             /* header */
        store_le16(desc + 14, take(in, 2)); /* segment */
    } else {
        fuzz_net_fill(memory(BUFFERS + 0x4000 * tail), len, what);
        store_le64(desc, BUFFERS + 0x4000 * tail);
        store_le32(desc + 8, len | (uint32_t)(kind == 2 ? cmd | 0x20 : cmd & 0xdf) << 24 |
                                 (kind == 2 ? 1u << 20 : take(in, 1) << 16));
        store_le32(desc + 12, take(in, 1) << 8 | take(in, 1) << 16);
    }
    if (!(what & 2)) {
        wr(TDBAL + 0x18, tail);
    }
}

static void do_step(Input *in)
{
    unsigned what = take(in, 1), arg = what / 12;
    uint32_t reg;

    switch (what % 12) {
    case 0:
        bring_up(in);
        break;
    case 1:
    case 2:
        transmit(in, arg);
        break;
    case 3: /* receive descriptors given back, all or some */
        wr(RDBAL + 0x18, take(in, 1));
        break;
    case 4: /* a register that does something */
        reg = (take(in, 1) & 0x7f) * 4 + (arg & 1   ? 0x2800
                                          : arg & 2 ? 0x3800
                                          : arg & 4 ? 0x5400
                                                    : 0);
        wr(reg, take(in, 4));
        rd(reg, 4);
        break;
    case 5: /* any */
        reg = take(in, 3) & 0x1ffff;
        wr(reg, take(in, 4));
        rd(reg, 1u << arg % 3);
        break;
    case 6: /* the window in I/O space */
        port_write(IO + (arg & 7), take(in, 4), 4);
        port_write(IO + 4, take(in, 4), 4);
        port_read(IO + 4, 4);
        break;
    case 7:
        fuzz_net_step(arg, take(in, 1), take(in, 1));
        break;
    case 8:
        clock_virtual_step_to(clock_get_ns(CLOCK_VIRTUAL) + take(in, 1) * NS_PER_MS * 4);
        break;
    case 9:
        fuzz_move(card);
        break;
    case 10: /* anything in a ring */
        reg = take(in, 2) & 0x1fff;
        store_le16(memory(RX_RING + reg), take(in, 2));
        break;
    default:
        reg = take(in, 1) & 0xfc;
        pci_config_write(pci_bus, card->devfn, reg, take(in, 4), 4);
        rd(ICR, 4);
    }
    main_loop_iterate(false);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    Input in = { data, size };

    if (!pci_bus) {
        machine_init();
    }
    machine_begin();
    for (unsigned i = 0; i < MAX_STEPS && in.left; i++) {
        do_step(&in);
    }
    fuzz_move(card);
    device_unrealize(&card->device);
    fuzz_net_unplug();
    return 0;
}
