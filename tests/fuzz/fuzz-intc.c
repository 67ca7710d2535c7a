/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What guest and devices can do to the interrupt controllers in user space: the 8259 pair, the I/O APIC and local APICs, with
 * messages, lines, interrupts that are taken and ended, time, resets and moves in between. Whatever it is, nothing crashes, each
 * access ends, and a state that was saved can be loaded and saves the same again.
 *
 * The input is a list of steps: a byte that says what, then its arguments; see do_step().
 */
#include "util/osdep.h"

#include "fuzz-device.h"
#include "fuzz-input.h"
#include "fuzz.h"
#include "hw/core/irq.h"
#include "hw/intc/ioapic.h"
#include "qom/object.h"
#include "system/memory.h"
#include "system/runstate.h"
#include "target/i386/cpu.h"
#include "util/clock.h"
#include "util/main-loop.h"

/* tests/unit/contract-machine.c: a machine with one of every device. */
void contract_machine_start(const char *machine);

#define LAPIC 0xfee00000
#define MOST_STEPS 300
#define MOST_NS (20 * NS_PER_MS)

static Device *ioapic;

static bool move_section(VmSection *section, void *opaque)
{
    static const char *const names[] = { "i8259", "ioapic", "apic" };

    for (unsigned i = 0; section->vmsd && i < G_N_ELEMENTS(names); i++) {
        if (!strcmp(section->vmsd->name, names[i])) {
            section_reload(section);
        }
    }
    return true;
}

/* ---- steps ---------------------------------------------------------------------------------------------------------- */

static void access_pic(Input *in, unsigned what)
{
    static const uint16_t ports[] = { 0x20, 0x21, 0xa0, 0xa1, 0x4d0, 0x4d1 };
    uint16_t port = ports[take(in, 1) % G_N_ELEMENTS(ports)];

    if (what & 0x80) {
        port_read(port, 1);
    } else {
        port_write(port, take(in, 1), 1);
    }
}

static void initialize_pic(Input *in, unsigned what)
{
    unsigned base = what & 0x10 ? 0xa0 : 0x20;

    port_write(base, 0x10 | take(in, 1), 1);
    for (unsigned i = 0; i < 3; i++) {
        port_write(base + 1, take(in, 1), 1);
    }
    port_write(base + 1, take(in, 1), 1);
}

static void access_ioapic(Input *in, unsigned what)
{
    uint32_t value = take(in, 1) % 0x50;

    address_space_write(address_space_memory, IOAPIC_DEFAULT_ADDRESS, &value, 4);
    if (what & 0x80) {
        address_space_read(address_space_memory, IOAPIC_DEFAULT_ADDRESS + 0x10, &value, 4);
    } else {
        value = take(in, 4);
        address_space_write(address_space_memory,
                            IOAPIC_DEFAULT_ADDRESS + (what & 0x40 ? 0x40 : 0x10), &value, 4);
    }
}

static void access_lapic(Input *in, unsigned what)
{
    unsigned reg = take(in, 1) % 0x40;
    uint32_t value = 0;

    if (what & 0x80) {
        address_space_read(address_space_memory, LAPIC + reg * 16 + (what >> 4 & 3), &value,
                           1u << (what >> 5 & 1));
        return;
    }
    value = take(in, 4);
    address_space_write(address_space_memory, LAPIC + reg * 16, &value, 4);
}

/* A message of a device: any destination, mode and vector. */
static void send_message(Input *in)
{
    uint32_t address = LAPIC + (take(in, 2) << 4 & 0xff000) + (take(in, 1) & 0xc),
             data = take(in, 2);

    address_space_write(address_space_memory, address, &data, 4);
}

static void set_line(Input *in, unsigned what)
{
    irq_set(device_get_gpio_in(ioapic, NULL, take(in, 1) % IOAPIC_PINS), what >> 7);
}

static X86Cpu *any_cpu(unsigned what)
{
    X86Cpu *cpu = x86_cpu_by_apic_id(what >> 4 & 1);

    return cpu ? cpu : X86_CPU(cpu_first());
}

static void be_processor(Input *in, unsigned what)
{
    X86Cpu *cpu = any_cpu(what);
    const X86ApicOps *ops = x86_apic_ops(cpu);

    switch (take(in, 1) % 6) {
    case 0:
        x86_cpu_acknowledge_interrupt(cpu);
        break;
    case 1:
        ops->set_tpr(cpu->apic, take(in, 1) & 15);
        break;
    case 2:
        ops->set_base(cpu->apic, LAPIC | (take(in, 1) & 0x9) << 8);
        break;
    case 3:
        ops->init_reset(cpu->apic);
        break;
    case 4:
        ops->external_nmi(cpu->apic);
        break;
    default:
        if (ops->pending(cpu->apic) && x86_cpu_acknowledge_interrupt(cpu) < 0) {
            g_error("an interrupt that is pending cannot be taken");
        }
        break;
    }
}

static void let_time_pass(Input *in)
{
    clock_virtual_step_to(clock_get_ns(CLOCK_VIRTUAL) + take(in, 4) % MOST_NS);
    main_loop_iterate(false);
}

static void do_step(Input *in)
{
    unsigned what = take(in, 1);

    switch (what & 15) {
    case 0:
    case 1:
        access_pic(in, what);
        break;
    case 2:
        initialize_pic(in, what);
        break;
    case 3:
    case 4:
        access_ioapic(in, what);
        break;
    case 5:
    case 6:
    case 7:
        access_lapic(in, what);
        break;
    case 8:
        send_message(in);
        break;
    case 9:
    case 10:
        set_line(in, what);
        break;
    case 11:
    case 12:
        be_processor(in, what);
        break;
    case 13:
        let_time_pass(in);
        break;
    case 14:
        vmstate_foreach(move_section, NULL);
        break;
    default:
        vm_reset(VM_SHUTDOWN_SUBSYSTEM_RESET);
        break;
    }
}

static void machine_make(void)
{
    contract_machine_start("pc-i440fx-10.0");
    ioapic = (Device *)object_resolve("/machine/ioapic", NULL);
    if (!ioapic) {
        g_error("no I/O APIC");
    }
    vm_start();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    Input in = { .data = data, .left = size };

    if (!ioapic) {
        machine_make();
    }
    for (unsigned pin = 0; pin < IOAPIC_PINS; pin++) {
        irq_set(device_get_gpio_in(ioapic, NULL, pin), 0);
    }
    vm_reset(VM_SHUTDOWN_SUBSYSTEM_RESET);
    for (unsigned i = 0; i < MOST_STEPS && in.left; i++) {
        do_step(&in);
    }
    vmstate_foreach(move_section, NULL);
    return 0;
}
