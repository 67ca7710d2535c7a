/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What a guest can do to an AHCI controller with a disk and a CD drive: registers of the HBA and of its ports, command headers,
 * tables and FISes that are good or not, queued commands, packets, messages, data that lead to the controller's own registers,
 * media that change, moves in between. Whatever it is, nothing crashes, and a state that was saved can be loaded and saves the
 * same again.
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

#define ABAR UINT64_C(0xe0000000)
#define INDEX_PORTS 0xc000
#define LIST(n) (0x10000 + (n)*0x10000)
#define FISES(n) (LIST(n) + 0x400)
#define TABLE(n, slot) (LIST(n) + 0x1000 + (slot)*0x200)
#define PORT(n) (ABAR + 0x100 + (n)*0x80)
#define PXCMD 0x18
#define PXSCTL 0x2c
#define PXSACT 0x34
#define PXCI 0x38
#define DATA 0x40000
#define MAX_STEPS 300

static PciDevice *ahci;

/* ---- the machine ------------------------------------------------------------------------------------------ */

static void plug(unsigned port, const char *type, const char *node)
{
    Device *dev = device_new(device_type_by_name(type));

    object_set_string(&dev->object, "drive", node);
    if (!device_realize(dev, (Bus *)ahci_port_bus(&ahci->device, port), NULL)) {
        abort();
    }
}

static void machine_init(void)
{
    fuzz_pci_init();
    fuzz_ram_init();
    fuzz_drives_init(4 << 20);
    vm_start();
}

static uint8_t *ram_at(uint64_t addr)
{
    return ram_bytes() + addr % RAM_SIZE;
}

static uint32_t mem_read(uint64_t addr)
{
    uint8_t b[4];

    address_space_read(address_space_memory, addr, b, 4);
    return load_le32(b);
}

static void mem_write(uint64_t addr, uint32_t value)
{
    uint8_t b[4];

    store_le32(b, value);
    address_space_write(address_space_memory, addr, b, 4);
}

static void enable(void)
{
    pci_config_write(pci_bus, ahci->devfn, PCI_BAR_0 + 16, INDEX_PORTS, 4);
    pci_config_write(pci_bus, ahci->devfn, PCI_BAR_0 + 20, ABAR, 4);
    pci_config_write(pci_bus, ahci->devfn, PCI_COMMAND, 7, 2);
}

/* A guest that means well begins like that. */
static void start_port(unsigned n)
{
    mem_write(PORT(n), LIST(n));
    mem_write(PORT(n) + 4, 0);
    mem_write(PORT(n) + 8, FISES(n));
    mem_write(PORT(n) + 12, 0);
    mem_write(PORT(n) + 0x14, 0xffffffff);
    mem_write(PORT(n) + PXCMD, 0x10);
    mem_write(PORT(n) + PXCMD, 0x11);
    mem_write(ABAR + 4, 0x80000002);
}

static void machine_begin(void)
{
    memset(ram_bytes(), 0, RAM_SIZE);
    ahci = pci_create(pci_bus, PCI_DEVFN(1, 2), false, "ich9-ahci", NULL);
    plug(0, "ide-hd", "disk");
    plug(1, "ide-cd", "disc");
    device_reset(&ahci->device);
    enable();
    start_port(0);
    start_port(1);
}

static void loop(unsigned n)
{
    while (n-- > 0) {
        main_loop_iterate(false);
    }
}

/* ---- steps ---------------------------------------------------------------------------------------------------- */

/* Where data may lead: RAM, the controller's registers, nowhere, around the end of all. */
static uint64_t place(Input *in)
{
    unsigned how = take(in, 1);

    switch (how & 7) {
    case 0:
        return ABAR + take(in, 2) % 0x1000;
    case 1:
        return UINT64_MAX - take(in, 2);
    case 2:
        return UINT64_C(0x7fff00000000) + take(in, 4);
    case 3:
        return LIST(how >> 7) + take(in, 2); /* the guest's own structures */
    default:
        return DATA + take(in, 2);
    }
}

static void header(Input *in, unsigned n, unsigned slot, unsigned pieces)
{
    unsigned odd = take(in, 1);

    store_le32(ram_at(LIST(n) + slot * 32), 5 | (odd & 0xe0) | pieces << 16);
    store_le32(ram_at(LIST(n) + slot * 32 + 4), 0);
    store_le64(ram_at(LIST(n) + slot * 32 + 8), odd & 1 ? place(in) : TABLE(n, slot));
}

static void regions(Input *in, unsigned n, unsigned slot, unsigned pieces)
{
    for (unsigned i = 0; i < MIN(pieces, 8); i++) {
        store_le64(ram_at(TABLE(n, slot) + 0x80 + i * 16), place(in));
        store_le32(ram_at(TABLE(n, slot) + 0x80 + i * 16 + 12), take(in, 3) | (i & 1u) << 31);
    }
}

/* A whole command: FIS, header, table; and it is issued. */
static void command(Input *in, unsigned what)
{
    unsigned n = what >> 4 & 1, slot = take(in, 1) & 31, pieces = take(in, 1);
    uint8_t *fis = ram_at(TABLE(n, slot));

    fis[0] = 0x27;
    fis[1] = 0x80;
    for (unsigned i = 2; i < 14; i++) {
        fis[i] = take(in, 1);
    }
    if (what & 0x80) { /* queued */
        fis[2] = 0x60 | (fis[2] & 1);
        fis[6] = fis[8] = fis[9] = fis[10] = 0;
    }
    for (unsigned i = 0; n && i < 12; i++) {
        fis[0x40 + i] = take(in, 1);
    }
    header(in, n, slot, what & 0x40 ? pieces * 257 : pieces & 7);
    regions(in, n, slot, what & 0x40 ? 8 : pieces & 7);
    mem_write(PORT(n) + PXSACT, what & 0x80 ? 1u << slot : 0);
    mem_write(PORT(n) + PXCI, 1u << slot);
    if (what & 0x20) {
        loop(4);
    }
}

static void control_fis(Input *in, unsigned what)
{
    unsigned n = what >> 4 & 1;
    uint8_t *fis = ram_at(TABLE(n, 0));

    memset(fis, 0, 64);
    fis[0] = what & 0x80 ? take(in, 1) : 0x27;
    fis[15] = take(in, 1);
    store_le32(ram_at(LIST(n)), 5 | take(in, 2));
    store_le64(ram_at(LIST(n) + 8), TABLE(n, 0));
    mem_write(PORT(n) + PXCI, 1);
}

static void port_register(Input *in, unsigned what)
{
    uint64_t at = PORT(what >> 4 & 7) + (take(in, 1) & 0x7c);

    mem_write(at, what & 0x80 ? take(in, 4) : take(in, 1));
    mem_read(at);
}

static void any_register(Input *in)
{
    unsigned how = take(in, 1), size = 1 << (how & 3);
    uint8_t b[8];

    store_le64(b, take(in, 4));
    if (how & 0x80) {
        port_write(INDEX_PORTS + (how >> 2 & 31), load_le32(b), MIN(size, 4));
        port_read(INDEX_PORTS + (how >> 2 & 31), MIN(size, 4));
    } else {
        uint64_t at = ABAR + take(in, 2) % 0xff8;

        address_space_write(address_space_memory, at, b, size);
        address_space_read(address_space_memory, at, b, size);
    }
}

/* Stopped, reset, started again. */
static void port_reset(unsigned what)
{
    unsigned n = what >> 4 & 1;

    if (what & 0x20) {
        mem_write(PORT(n) + PXCMD, 0x10);
    }
    if (what & 0x40) {
        mem_write(PORT(n) + PXSCTL, 1);
        mem_write(PORT(n) + PXSCTL, 0);
    }
    if (what & 0x80) {
        start_port(n);
    }
}

static void messages(Input *in, unsigned what)
{
    uint64_t addr = place(in);

    pci_config_write(pci_bus, ahci->devfn, 0x84, addr, 4);
    pci_config_write(pci_bus, ahci->devfn, 0x88, addr >> 32, 4);
    pci_config_write(pci_bus, ahci->devfn, 0x8c, take(in, 2), 2);
    pci_config_write(pci_bus, ahci->devfn, 0x82, what >> 4 & 1, 2);
}

static void do_step(Input *in)
{
    unsigned what = take(in, 1), a;

    switch (what & 15) {
    case 0:
    case 1:
    case 2:
    case 3:
    case 4:
        command(in, what);
        break;
    case 5:
        control_fis(in, what);
        break;
    case 6:
    case 7:
        port_register(in, what);
        break;
    case 8:
        any_register(in);
        break;
    case 9:
        port_reset(what);
        break;
    case 10:
        messages(in, what);
        break;
    case 11:
        store_le32(ram_at(LIST(what >> 4 & 1) + take(in, 2)), take(in, 4));
        break;
    case 12:
        loop(1 + (what >> 4));
        break;
    case 13:
        fuzz_move(ahci);
        break;
    case 14:
        fuzz_change_disc(what);
        break;
    case 15:
        a = take(in, 1);
        pci_config_write(pci_bus, ahci->devfn, a & 0xfe, take(in, 2), 2);
        if (what & 0x10) {
            enable();
        }
        if (what & 0x80) {
            device_reset(&ahci->device);
            enable();
            start_port(0);
            start_port(1);
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
    fuzz_move(ahci);
    device_unrealize(&ahci->device);
    return 0;
}
