/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What a guest can do to an IDE function with a disk and a CD drive: registers of both channels and bus masters, good and
 * bad descriptors, packets, media that change, moves in between. Whatever it is, nothing crashes, and a state that was saved
 * can be loaded and saves the same again.
 *
 * The input is a list of steps: a byte that says what, then its arguments; see do_step().
 */
#include "util/osdep.h"

#include "fuzz-drives.h"
#include "fuzz-input.h"
#include "fuzz-pci.h"
#include "fuzz.h"
#include "hw/ide/ide.h"
#include "util/bytes.h"

#define IO 0xc000
#define TABLE 0x1000
#define MAX_STEPS 300

static PciDevice *ide;

/* ---- the machine ------------------------------------------------------------------------------------------ */

static void plug(unsigned channel, unsigned unit, const char *type, const char *node)
{
    Device *dev = device_new(device_type_by_name(type));

    object_set_int(&dev->object, "unit", unit);
    object_set_string(&dev->object, "drive", node);
    if (!device_realize(dev, (Bus *)piix_ide_bus(&ide->device, channel), NULL)) {
        abort();
    }
}

static void machine_init(void)
{
    fuzz_pci_init();
    fuzz_ram_init();
    fuzz_drives_init(1 << 20);
    vm_start();
}

static void enable(void)
{
    pci_config_write(pci_bus, ide->devfn, PCI_BAR_0 + 16, IO, 4);
    pci_config_write(pci_bus, ide->devfn, PCI_COMMAND, 5, 2);
}

static void machine_begin(void)
{
    memset(ram_bytes(), 0, RAM_SIZE);
    ide = pci_create(pci_bus, PCI_DEVFN(1, 1), false, "piix3-ide", NULL);
    plug(0, 0, "ide-hd", "disk");
    plug(0, 1, "ide-cd", "disc");
    device_reset(&ide->device);
    enable();
}

/* ---- steps ---------------------------------------------------------------------------------------------------- */

static unsigned base_of(unsigned what)
{
    return what & 0x80 ? 0x170 : 0x1f0;
}

static void command(Input *in, unsigned what)
{
    unsigned base = base_of(what);

    port_write(base + 6, take(in, 1), 1);
    for (unsigned reg = 1; reg <= 5; reg++) {
        port_write(base + reg, take(in, 1), 1);
    }
    port_write(base + 7, take(in, 1), 1);
}

static void packet(Input *in, unsigned what)
{
    unsigned base = base_of(what);

    port_write(base + 6, 0xb0, 1);
    port_write(base + 1, what >> 4 & 1, 1);
    port_write(base + 4, take(in, 1), 1);
    port_write(base + 5, take(in, 1), 1);
    port_write(base + 7, 0xa0, 1);
    for (unsigned i = 0; i < 6; i++) {
        port_write(base, take(in, 2), 2);
    }
}

static void move_words(Input *in, unsigned what)
{
    unsigned base = base_of(what), n = take(in, 1) * (what & 0x40 ? 8 : 1),
             size = what & 0x20 ? 4 : 2;

    for (unsigned i = 0; i < n; i++) {
        if (what & 0x10) {
            port_write(base, i, size);
        } else {
            port_read(base, size);
        }
    }
}

static void descriptor(Input *in)
{
    uint8_t *p = ram_bytes() + TABLE + take(in, 1) * 8;

    store_le32(p, take(in, 3));
    store_le32(p + 4, take(in, 2) | take(in, 1) << 31);
}

static void do_step(Input *in)
{
    unsigned what = take(in, 1), a;

    switch (what & 15) {
    case 0:
    case 1:
    case 2:
        command(in, what);
        break;
    case 3:
    case 4:
        packet(in, what);
        break;
    case 5:
    case 6:
        move_words(in, what);
        break;
    case 7:
        a = base_of(what) + (take(in, 1) & 7);
        port_write(a, take(in, 1), 1);
        port_read(a, 1);
        break;
    case 8:
        port_write(base_of(what) + 0x206, take(in, 1), 1);
        port_read(base_of(what) + 0x206, 1);
        break;
    case 9:
        a = IO + (take(in, 1) & 15);
        port_write(a, take(in, 1), 1);
        port_read(a, 1);
        break;
    case 10:
        descriptor(in);
        break;
    case 11:
        port_write(IO + (what & 0x80 ? 8 : 0) + 4, what & 0x40 ? take(in, 4) : TABLE, 4);
        port_write(IO + (what & 0x80 ? 8 : 0), what & 0x10 ? 9 : 0, 1);
        break;
    case 12:
        for (unsigned i = 0; i < 1 + (what >> 4); i++) {
            main_loop_iterate(false);
        }
        break;
    case 13:
        fuzz_move(ide);
        break;
    case 14:
        fuzz_change_disc(what);
        break;
    case 15:
        a = take(in, 1);
        pci_config_write(pci_bus, ide->devfn, a & 0xfe, take(in, 2), 2);
        if (what & 0x10) {
            enable();
        }
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
    for (unsigned i = 0; i < MAX_STEPS && in.left > 0; i++) {
        do_step(&in);
    }
    fuzz_move(ide);
    device_unrealize(&ide->device);
    return 0;
}
