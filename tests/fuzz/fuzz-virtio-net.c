/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What a guest, and the network, can do to virtio-net: all that fuzz-virtio-card.h has, packets and control commands that
 * are well formed but for what is in them, packets that come, a backend that is busy, a cable that is pulled.
 *
 * The input is a byte that chooses the card's rings and the backend and a list of steps: a byte that says what, then its
 * arguments.
 */
#include "util/osdep.h"

#define MORE_STEPS 4
#include "fuzz-net.h"
#include "fuzz-virtio-card.h"

#define DATA (BUFFERS + 0x10000)
#define RX 0
#define TX 1
#define CONTROL 2

static unsigned turn;

static Device *card_new(unsigned kind)
{
    Device *dev = device_new(device_type_by_name("virtio-net-pci"));

    fuzz_net_plug(kind & 1);
    turn = 0;
    object_set_string(&dev->object, "netdev", "wire");
    object_set_string(&dev->object, "romfile", "");
    object_set_string(&dev->object, "tx", kind & 2 ? "timer" : "bh");
    object_set_bool(&dev->object, "mrg_rxbuf", !(kind & 0x20));
    return dev;
}

static void card_ready(unsigned kind)
{
}

static uint8_t *bytes_at(uint64_t addr)
{
    return ram_bytes() + addr;
}

static void transmit(Input *in, unsigned what)
{
    uint64_t at = DATA + (turn++ & 7) * 0x8000;
    unsigned size = take(in, 1), len = size * (what & 1 ? 64 : 1);
    Piece pieces[2] = { { at, 12, false }, { at + 12, len, false } };

    for (unsigned i = 0; i < 12; i++) {
        bytes_at(at)[i] = what & 2 ? take(in, 1) : 0;
    }
    fuzz_net_fill(bytes_at(at + 12), len, take(in, 1));
    put_chain(TX, pieces, len ? 2 : 1);
}

static void give_buffer(Input *in, unsigned what)
{
    Piece piece = { DATA + 0x40000 + (turn++ & 7) * 0x4000, take(in, 1) * (what & 1 ? 64 : 8),
                    true };

    put_chain(RX, &piece, 1);
}

/* Class, command, and arguments as long as the first of them says. */
static void command(Input *in, unsigned what)
{
    uint64_t at = DATA + 0x70000 + (turn++ & 7) * 0x200;
    unsigned len = take(in, 1) & 31;
    Piece pieces[3] = { { at, 2, false }, { at + 2, len, false }, { at + 0x100, 1, true } };

    for (unsigned i = 0; i < len + 2; i++) {
        bytes_at(at)[i] = take(in, 1);
    }
    if (!len) {
        pieces[1] = pieces[2];
    }
    put_chain(CONTROL, pieces, len ? 3 : 2);
}

static void more(Input *in, unsigned which, unsigned what)
{
    switch (which) {
    case 0:
        transmit(in, what);
        break;
    case 1:
        give_buffer(in, what);
        break;
    case 2:
        command(in, what);
        break;
    default:
        fuzz_net_step(what, take(in, 1), take(in, 1));
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (!pci_bus) {
        machine_init();
    }
    run_input(data, size);
    fuzz_net_unplug();
    return 0;
}
