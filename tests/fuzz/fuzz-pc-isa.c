/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What a guest can write to the ISA devices of a PC and to the HPET, with time, resets and moves in between. Whatever it
 * is, nothing crashes, each access ends, and a state that was saved can be loaded and saves the same again.
 *
 * The input is a list of steps: a byte that says what, then its arguments; see do_step().
 */
#include "util/osdep.h"

#include "fuzz-device.h"
#include "fuzz.h"
#include "hw/misc/i8042.h"
#include "hw/timer/hpet.h"
#include "system/memory.h"
#include "system/runstate.h"
#include "ui/input.h"
#include "util/clock.h"
#include "util/main-loop.h"

/* tests/unit/contract-machine.c: a machine with one of every device. */
void contract_machine_start(const char *machine);

#define MOST_STEPS 300
#define MOST_NS (20 * NS_PER_MS)
#define MOST_NS_IN_ALL (100 * NS_PER_MS)

/* Ports of the devices; those that end the program or reset the machine at a word are reached by other steps. */
static const struct {
    uint16_t first, n;
} ranges[] = {
    { 0x00, 16 }, { 0x20, 2 },  { 0x40, 4 },  { 0x60, 2 },  { 0x64, 1 },   { 0x70, 2 },
    { 0x80, 16 }, { 0x92, 1 },  { 0xa0, 2 },  { 0xc0, 32 }, { 0x278, 8 },  { 0x2f8, 8 },
    { 0x378, 8 }, { 0x3f8, 8 }, { 0x402, 1 }, { 0x4d0, 2 }, { 0x5658, 4 },
};

typedef struct Input {
    const uint8_t *data;
    size_t left;
    int64_t ns;
} Input;

static uint64_t take(Input *in, unsigned bytes)
{
    uint64_t value = 0;

    for (unsigned i = 0; i < bytes; i++) {
        value |= (uint64_t)(in->left ? *in->data : 0u) << i * 8;
        in->data += in->left > 0;
        in->left -= in->left > 0;
    }
    return value;
}

static uint16_t take_port(Input *in)
{
    unsigned n = take(in, 1) % G_N_ELEMENTS(ranges);

    return ranges[n].first + take(in, 1) % ranges[n].n;
}

/* ---- moves --------------------------------------------------------------------------------------------------------- */

static bool is_ours(const VmSection *section)
{
    static const char *const names[] = { "dma",     "i8259",  "hpet",        "mc146818rtc", "i8254",
                                         "pcspk",   "serial", "ps2kbd",      "ps2mouse",    "pckbd",
                                         "vmmouse", "port92", "parallel_isa" };

    for (unsigned i = 0; i < G_N_ELEMENTS(names); i++) {
        if (section->vmsd && !strcmp(section->vmsd->name, names[i])) {
            return true;
        }
    }
    return false;
}

static bool move_section(VmSection *section, void *opaque)
{
    if (is_ours(section)) {
        section_reload(section);
    }
    return true;
}

/* ---- steps ---------------------------------------------------------------------------------------------------------- */

static void let_time_pass(Input *in)
{
    int64_t ns = take(in, 4) % MOST_NS;

    if (in->ns + ns <= MOST_NS_IN_ALL) {
        in->ns += ns;
        clock_virtual_step_to(clock_get_ns(CLOCK_VIRTUAL) + ns);
    }
    main_loop_iterate(false);
}

static void access_hpet(Input *in, bool is_write)
{
    unsigned offset = take(in, 2) % 0x400;
    unsigned size = take(in, 1) & 1 ? 8 : 4;
    uint64_t value = is_write ? take(in, size) : 0;

    offset &= ~(size - 1);
    if (is_write) {
        address_space_write(address_space_memory, HPET_BASE + offset, &value, size);
    } else {
        address_space_read(address_space_memory, HPET_BASE + offset, &value, size);
    }
}

static void make_input(Input *in)
{
    unsigned what = take(in, 1);

    switch (what & 3) {
    case 0:
        input_key(NULL, take(in, 1) % Q_KEY_CODE_COUNT, what & 4);
        break;
    case 1:
        input_button(NULL, take(in, 1) % INPUT_BUTTON_COUNT, what & 4);
        break;
    case 2:
        input_move(NULL, what & 4 ? INPUT_AXIS_X : INPUT_AXIS_Y, (int16_t)take(in, 2));
        break;
    default:
        input_position(NULL, what & 4 ? INPUT_AXIS_X : INPUT_AXIS_Y, take(in, 2), 0, 0x10000);
        break;
    }
    input_sync();
}

static void do_step(Input *in)
{
    unsigned what = take(in, 1);
    unsigned size = 1u << (what >> 4) % 3;
    uint16_t port;

    switch (what & 15) {
    case 0:
    case 1:
    case 2:
    case 3:
    case 4:
    case 5:
        port = take_port(in);
        port_write(port, take(in, size), size);
        break;
    case 6:
    case 7:
    case 8:
        port_read(take_port(in), size);
        break;
    case 9:
        access_hpet(in, true);
        break;
    case 10:
        access_hpet(in, false);
        break;
    case 11:
    case 12:
        let_time_pass(in);
        break;
    case 13:
        make_input(in);
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
    static bool made;
    Input in = { data, size, 0 };

    if (!made) {
        made = true;
        contract_machine_start("pc-i440fx-10.0");
        vm_start();
    }
    vm_reset(VM_SHUTDOWN_SUBSYSTEM_RESET);
    for (unsigned i = 0; i < MOST_STEPS && in.left; i++) {
        do_step(&in);
    }
    vmstate_foreach(move_section, NULL);
    return 0;
}
