/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What a guest can do to the floppy controller (82078): registers, commands with any parameters, data by DMA and by hand, media
 * that change, with time, resets and moves in between. Whatever it is, nothing crashes, each access ends, and a state that was
 * saved can be loaded and saves the same again.
 *
 * The input is a list of steps: a byte that says what, then its arguments; see do_step().
 */
#include "util/osdep.h"

#include "block/backend.h"
#include "fuzz-device.h"
#include "fuzz-input.h"
#include "fuzz.h"
#include "system/memory.h"
#include "system/runstate.h"
#include "util/clock.h"
#include "util/main-loop.h"

/* tests/unit/contract-machine.c: a machine with one of every device. */
void contract_machine_start(const char *machine);

#define PORTS 0x3f0
#define DOR 0x3f2
#define MSR 0x3f4
#define FIFO 0x3f5
#define MOST_STEPS 300
#define MOST_NS (20 * NS_PER_MS)

/* The commands of the data sheet and how many bytes follow. */
static const struct {
    uint8_t command, parameters;
} commands[] = {
    { 0x02, 8 }, { 0x03, 2 }, { 0x04, 1 }, { 0x05, 8 }, { 0x06, 8 }, { 0x07, 1 }, { 0x08, 0 },
    { 0x09, 8 }, { 0x0a, 1 }, { 0x0c, 8 }, { 0x0d, 5 }, { 0x0e, 0 }, { 0x0f, 2 }, { 0x10, 0 },
    { 0x11, 8 }, { 0x12, 1 }, { 0x13, 3 }, { 0x14, 0 }, { 0x16, 8 }, { 0x18, 0 }, { 0x19, 8 },
    { 0x1d, 8 }, { 0x2e, 0 }, { 0x33, 1 }, { 0x4d, 5 }, { 0x8e, 5 }, { 0x8f, 2 }, { 0xcf, 2 },
};

static bool move_section(VmSection *section, void *opaque)
{
    if (section->vmsd &&
        (!strcmp(section->vmsd->name, "fdc") || !strcmp(section->vmsd->name, "dma"))) {
        section_reload(section);
    }
    return true;
}

static void move(void)
{
    vm_stop(VM_PAUSED);
    vmstate_foreach(move_section, NULL);
    vm_start();
}

/* ---- steps ---------------------------------------------------------------------------------------------------------- */

/* A command with its parameters; those of a transfer mostly name places that are there. */
static void command(Input *in, unsigned what)
{
    unsigned n = take(in, 1) % G_N_ELEMENTS(commands), flags = what & 0xe0;

    port_write(FIFO, commands[n].command | (commands[n].parameters == 8 ? flags : 0), 1);
    for (unsigned i = 0; i < commands[n].parameters; i++) {
        unsigned value = take(in, 1);

        port_write(FIFO, what & 0x10 ? value : value % (i == 0 ? 8 : 20), 1);
    }
}

/* Channel 2: mode, address and count, open or masked. */
static void program_dma(Input *in, unsigned what)
{
    unsigned address = take(in, 2), count = take(in, 2);

    port_write(0x0a, 6, 1);
    port_write(0x0c, 0, 1);
    port_write(0x0b, (what & 0xf0) >> 2 << 2 | 2, 1);
    port_write(0x04, address & 0xff, 1);
    port_write(0x04, address >> 8, 1);
    port_write(0x81, take(in, 1) & 0xf, 1);
    port_write(0x05, count & 0xff, 1);
    port_write(0x05, count >> 8, 1);
    port_write(0xd6, 0xc0, 1);
    port_write(0xd4, 0, 1);
    port_write(0x0a, what & 0x80 ? 6 : 2, 1);
}

static void move_data(Input *in, unsigned what)
{
    unsigned n = take(in, 1) * (what & 0x40 ? 8 : 1);

    for (unsigned i = 0; i < n; i++) {
        if (what & 0x10) {
            port_write(FIFO, i, 1);
        } else {
            port_read(FIFO, 1);
        }
        if (what & 0x20) {
            main_loop_iterate(false);
        }
    }
}

static void change_medium(unsigned what)
{
    unsigned n = what >> 6;

    for (BlockFront *f = front_next(NULL); f; f = front_next(f)) {
        if (!front_device(f) || n--) {
            continue;
        }
        if (what & 0x10) {
            front_open_tray(f, what & 0x20, NULL);
        } else {
            front_close_tray(f, NULL);
        }
        return;
    }
}

static void let_time_pass(Input *in)
{
    clock_virtual_step_to(clock_get_ns(CLOCK_VIRTUAL) + take(in, 4) % MOST_NS);
    for (unsigned i = 0; i < 4; i++) {
        main_loop_iterate(false);
    }
}

static void do_step(Input *in)
{
    unsigned what = take(in, 1), port;

    switch (what & 15) {
    case 0:
    case 1:
    case 2:
    case 3:
        command(in, what);
        break;
    case 4:
        port_write(DOR, take(in, 1), 1);
        break;
    case 5:
        port = PORTS + take(in, 1) % 8;
        port_write(port, take(in, 2), port == PORTS + 6 ? 1 : 1u << (what >> 4) % 3);
        break;
    case 6:
        port_read(PORTS + take(in, 1) % 8, 1u << (what >> 4) % 3);
        break;
    case 7:
    case 8:
        move_data(in, what);
        break;
    case 9:
    case 10:
        program_dma(in, what);
        break;
    case 11:
        let_time_pass(in);
        break;
    case 12:
        change_medium(what);
        break;
    case 13:
        port_read(MSR, 1);
        main_loop_iterate(false);
        break;
    case 14:
        move();
        break;
    default:
        vm_reset(VM_SHUTDOWN_SUBSYSTEM_RESET);
        break;
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static bool made;
    Input in = { data, size };

    if (!made) {
        made = true;
        contract_machine_start("pc-i440fx-10.0");
        vm_start();
    }
    vm_reset(VM_SHUTDOWN_SUBSYSTEM_RESET);
    for (unsigned i = 0; i < MOST_STEPS && in.left; i++) {
        do_step(&in);
    }
    move();
    return 0;
}
