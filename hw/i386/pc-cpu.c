/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The PC's processors, and how interrupts get to them. With KVM the interrupt controllers are in the kernel (on), only
 * the local APICs are (split), or none is (off); without KVM they are ours as in off.
 *
 *   device ─ gsi[n] ─┬─ 8259 pair ─ INTR ─ LINT0 of the boot processor
 *                    └─ I/O APIC ─ messages to 0xfee00000 ─ local APICs
 */
#include "util/osdep.h"

#include "hw/intc/apic.h"
#include "hw/intc/i8259.h"
#include "hw/intc/ioapic.h"
#include "hw/intc/kvm-irqchip.h"
#include "target/i386/kvm.h"
#include "util/error.h"
#include "pc-cpu.h"
#include "pc-fw.h"

#define IOAPIC_PIN_OF_IRQ0 2

/* ---- processors ---------------------------------------------------------------------------------------------- */

static bool cpu_new(const DeviceType *type, uint32_t apic_id, GError **error)
{
    Device *dev = device_new(type);

    object_set_int(&dev->object, "apic-id", apic_id);
    if (!device_realize(dev, NULL, error)) {
        object_unref(dev);
        return false;
    }
    return true;
}

bool pc_cpus_new(PcMachine *pc, GError **error)
{
    const char *name = pc->machine.cpu_type ? pc->machine.cpu_type
                                            : machine_get_type(&pc->machine)->default_cpu_type;
    const DeviceType *type = device_type_by_name(name);

    if (pc->smm == PROPERTY_ON) {
        return error_set(error, "System Management Mode not supported by this build: use smm=off or smm=auto");
    }
    if (!type) {
        return error_set(error, "there is no processor '%s'", name);
    }
    pc_cpu_places_init();
    for (unsigned n = 0; n < pc->machine.smp.cpus; n++) {
        if (!cpu_new(type, pc_apic_id(&pc->machine, n), error)) {
            return false;
        }
    }
    return !x86_kvm_has_clock() || kvm_clock_new(error);
}

/* ---- interrupts ---------------------------------------------------------------------------------------------- */

/* A global system interrupt reaches the I/O APIC, and the 8259 pair if it is an ISA line. Pin 2 of the I/O APIC is the
 * 8254's, which the HPET may use, too (as interrupt 2). */
static void set_gsi(void *opaque, int n, int level)
{
    PcMachine *pc = opaque;

    if (n < ISA_NUM_IRQS && n != IOAPIC_PIN_OF_IRQ0) { /* which is the cascade of the 8259 pair */
        irq_set(pc->pic_inputs[n], level);
    }
    irq_set(device_get_gpio_in(pc->ioapic, NULL, n ? n : IOAPIC_PIN_OF_IRQ0), level);
}

static void set_gsi_in_kernel(void *opaque, int n, int level)
{
    kvm_irqchip_set_gsi(n, level);
}

static void set_intr(void *opaque, int n, int level)
{
    x86_set_pic_line(level);
}

/* The kernel's local APICs tell the end of interrupts that its table leads to them as messages. */
static void set_split_route(int pin, bool active, uint32_t address, uint32_t data)
{
    GError *error = NULL;

    if (active) {
        kvm_route_set_msi(pin, address, data);
    } else {
        kvm_route_clear(pin);
    }
    if (!kvm_routes_commit(&error)) {
        error_report_gerror(error);
    }
}

static bool user_controllers_new(PcMachine *pc, IsaBus *isa, GError **error)
{
    pc->intr = irq_new(set_intr, pc, 0);
    x86_set_pic_acknowledge(i8259_acknowledge);
    if (kvm_enabled() && kvm_irqchip() == KVM_IRQCHIP_SPLIT) {
        ioapic_watch_messages(set_split_route);
        x86_kvm_set_eoi_handler(ioapic_broadcast_eoi);
    } else {
        apic_set_eoi_handler(ioapic_broadcast_eoi);
    }
    if (!i8259_pair_new(isa, pc->intr, pc->pic_inputs, error)) {
        return false;
    }
    pc->ioapic = ioapic_new(&pc->machine.object, error);
    return pc->ioapic != NULL;
}

bool pc_interrupts_new(PcMachine *pc, IsaBus *isa, GError **error)
{
    bool in_kernel = kvm_enabled() && kvm_irqchip() == KVM_IRQCHIP_KERNEL;

    for (int n = 0; n < PC_NUM_GSIS; n++) {
        pc->gsi[n] = irq_new(in_kernel ? set_gsi_in_kernel : set_gsi, pc, n);
    }
    return in_kernel ? kvm_irqchip_new(isa, &pc->machine.object, error)
                     : user_controllers_new(pc, isa, error);
}
