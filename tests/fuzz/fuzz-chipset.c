/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What a guest can do to the chip set of a PC: configuration space of every function by ports and as memory, attribute map, interrupt
 * routing, the registers that they place (power management, SMBus, watchdog, chip set configuration), reset control; with time, resets
 * and moves in between. Whatever it is, nothing crashes, and a state that was saved can be loaded and saves the same again.
 *
 * The input is a list of steps: a byte that says what, then its arguments; see do_step().
 */
#include "util/osdep.h"

#include "fuzz-device.h"
#include "fuzz-input.h"
#include "fuzz.h"
#include "hw/pci/pci.h"
#include "system/memory.h"
#include "system/runstate.h"
#include "util/clock.h"
#include "util/main-loop.h"

/* tests/unit/contract-machine.c: a machine with one of every device. */
void contract_machine_start(const char *machine);

#ifndef FUZZ_MACHINE
#define FUZZ_MACHINE "pc-i440fx-10.0"
#endif
#define MOST_STEPS 300
#define MOST_NS (2000 * NS_PER_MS)
#define ECAM UINT64_C(0xb0000000)
#define RCBA UINT64_C(0xfed1c000)
#define SLEEP_ENABLE 0x20 /* of the high byte of PM1_CNT: would end the program */

static bool made;

static bool move_section(VmSection *section, void *opaque)
{
    static const char *const names[] = { "PCIHost", "PCIBUS",  "I440FX",  "PIIX3",
                                         "mch",     "ICH9LPC", "ich9_smb" };

    for (unsigned i = 0; section->vmsd && i < G_N_ELEMENTS(names); i++) {
        if (!strcmp(section->vmsd->name, names[i])) {
            section_reload(section);
        }
    }
    return true;
}

/* ---- steps ---------------------------------------------------------------------------------------------------------- */

/* The chip set's own functions, mostly. */
static unsigned any_function(Input *in)
{
    static const uint8_t functions[] = { 0x00, 0x08, 0x0a, 0xf8, 0xfa, 0xfb };
    unsigned n = take(in, 1);

    return n & 0x80 ? n & 0x7f : functions[n % G_N_ELEMENTS(functions)];
}

static void access_config(Input *in, unsigned what)
{
    unsigned size = 1u << (what >> 4) % 3, devfn = any_function(in), reg = take(in, 1);

    port_write(0xcf8, 0x80000000u | devfn << 8 | (reg & 0xfc), 4);
    if (what & 0x80) {
        port_read(0xcfc + (reg & 3 & ~(size - 1)), size);
    } else {
        port_write(0xcfc + (reg & 3 & ~(size - 1)), take(in, size), size);
    }
}

static void access_memory(Input *in, unsigned what)
{
    static const uint64_t bases[] = { ECAM,          ECAM + 0xf8000, ECAM + 0xfb000, RCBA + 0x3000,
                                      RCBA + 0x3400, 0xa0000,        0xc0000,        0xf0000 };
    uint64_t at = bases[take(in, 1) % G_N_ELEMENTS(bases)] + take(in, 2) % 0x2000;
    uint32_t value = 0, size = 1u << (what >> 4) % 3;

    if (what & 0x80) {
        address_space_read(address_space_memory, at, &value, size);
    } else {
        value = take(in, size);
        address_space_write(address_space_memory, at, &value, size);
    }
}

static void access_port(Input *in, unsigned what)
{
    static const uint16_t bases[] = { 0x600, 0x620,  0x630,  0x660,  0xb0,  0xcf8,
                                      0x700, 0xb100, 0xafe0, 0xae00, 0xcc0, 0xcd8 };
    uint16_t port = bases[take(in, 1) % G_N_ELEMENTS(bases)] + take(in, 1) % 0x20;
    unsigned size = 1u << (what >> 4) % 3;

    if (what & 0x80) {
        port_read(port, size);
    } else {
        unsigned value = take(in, size);

        if (port >= 0x600 && port < 0x610) {
            value &= ~(SLEEP_ENABLE | SLEEP_ENABLE << 8 | SLEEP_ENABLE << 24);
        }
        port_write(port, value, size);
    }
}

/* As firmware does it: everything where the steps above expect it. */
static void place_registers(void)
{
    static const struct {
        unsigned devfn, reg;
        uint32_t value;
    } places[] = {
        { 0x00, 0x60, (uint32_t)ECAM | 1 },
        { 0xf8, 0x40, 0x601 },
        { 0xf8, 0x44, 0x80 },
        { 0xf8, 0xf0, (uint32_t)RCBA | 1 },
        { 0xfb, 0x20, 0x701 },
        { 0xfb, 0x40, 1 },
        { 0xfb, 0x04, 1 },
        { 0x0b, 0x40, 0x601 },
        { 0x0b, 0x80, 1 },
    };

    for (unsigned i = 0; i < G_N_ELEMENTS(places); i++) {
        pci_config_write(pci_root_bus(), places[i].devfn, places[i].reg, places[i].value, 4);
    }
}

static void do_step(Input *in)
{
    unsigned what = take(in, 1);

    switch (what & 15) {
    case 0 ... 4:
        access_config(in, what);
        break;
    case 5 ... 7:
        access_memory(in, what);
        break;
    case 8 ... 11:
        access_port(in, what);
        break;
    case 12:
        place_registers();
        break;
    case 13:
        clock_virtual_step_to(clock_get_ns(CLOCK_VIRTUAL) + take(in, 4) % MOST_NS);
        break;
    case 14:
        vmstate_foreach(move_section, NULL);
        break;
    default:
        vm_reset(VM_SHUTDOWN_SUBSYSTEM_RESET);
        break;
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    Input in = { .data = data, .left = size };

    if (!made) {
        contract_machine_start(FUZZ_MACHINE);
        vm_start();
        made = true;
    }
    vm_reset(VM_SHUTDOWN_SUBSYSTEM_RESET);
    place_registers();
    for (unsigned i = 0; i < MOST_STEPS && in.left; i++) {
        do_step(&in);
    }
    vmstate_foreach(move_section, NULL);
    return 0;
}
