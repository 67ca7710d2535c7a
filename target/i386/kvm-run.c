/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Around KVM_RUN: interrupts that come from our own interrupt controllers, non-maskable ones, and the exits that only
 * x86 has. With local APICs in the kernel almost nothing is left to do here.
 */
#include "util/osdep.h"

#include "target/i386/kvm.h"
#include "util/error.h"
#include "util/main-loop.h"
#include "kvm-internal.h"

static void (*eoi_handler)(uint8_t vector);

void x86_kvm_set_eoi_handler(void (*handler)(uint8_t vector))
{
    eoi_handler = handler;
}

/* ---- before -------------------------------------------------------------------------------------------------------- */

/* Big lock. The kernel says when it can take one, and comes out for that when asked. */
static void inject_from_user(X86Cpu *cpu, struct kvm_run *run)
{
    Cpu *c = &cpu->cpu;

    if ((cpu_interrupts(c) & CPU_INTERRUPT_HARD) && run->ready_for_interrupt_injection) {
        int vector = x86_cpu_acknowledge_interrupt(cpu);
        struct kvm_interrupt interrupt = { .irq = vector };

        if (vector >= 0) {
            kvm_vcpu_ioctl(c, KVM_INTERRUPT, &interrupt);
            run->ready_for_interrupt_injection = 0;
        }
    }
    run->request_interrupt_window = (cpu_interrupts(c) & CPU_INTERRUPT_HARD) != 0;
}

/* Requests that change registers: the access that was made last is completed first (R1 in accel/kvm/vcpu.c). */
static bool must_leave(const Cpu *c)
{
    return cpu_interrupts(c) & (CPU_INTERRUPT_INIT | CPU_INTERRUPT_SIPI | CPU_INTERRUPT_POLL);
}

KvmNext x86_kvm_before_run(Cpu *c, struct kvm_run *run)
{
    X86Cpu *cpu = X86_CPU(c);

    cpu->env.tsc_valid = false;
    if (!cpu_interrupts(c) && kvm_irqchip() == KVM_IRQCHIP_KERNEL) {
        return KVM_GO_ON;
    }
    bql_lock();
    if (cpu_interrupts(c) & CPU_INTERRUPT_NMI) {
        cpu_clear_interrupt(c, CPU_INTERRUPT_NMI);
        kvm_vcpu_ioctl(c, KVM_NMI, NULL);
    }
    if (must_leave(c)) {
        __atomic_store_n(&c->exit_request, true, __ATOMIC_SEQ_CST);
    } else if (kvm_irqchip() != KVM_IRQCHIP_KERNEL) {
        c->halted = 0;
        inject_from_user(cpu, run);
        if (kvm_irqchip() == KVM_IRQCHIP_USER && cpu->apic) {
            run->cr8 = ((X86Kvm *)cpu->kvm)->last_cr8 = x86_apic_ops(cpu)->get_tpr(cpu->apic);
        }
    }
    bql_unlock();
    return KVM_GO_ON;
}

/* ---- after ----------------------------------------------------------------------------------------------------------- */

void x86_kvm_after_run(Cpu *c, struct kvm_run *run)
{
    X86Cpu *cpu = X86_CPU(c);
    X86Kvm *k = cpu->kvm;
    const X86ApicOps *ops = x86_apic_ops(cpu);

    if (kvm_irqchip() != KVM_IRQCHIP_USER) {
        return;
    }
    cpu->env.eflags =
        run->if_flag ? cpu->env.eflags | X86_EFLAGS_IF : cpu->env.eflags & ~X86_EFLAGS_IF;
    if (ops && (run->cr8 != k->last_cr8 || run->apic_base != ops->get_base(cpu->apic))) {
        bql_lock();
        ops->set_tpr(cpu->apic, run->cr8);
        ops->set_base(cpu->apic, run->apic_base);
        bql_unlock();
        k->last_cr8 = run->cr8;
    }
}

/* HLT where nothing in the kernel could wake it. */
static KvmNext handle_halt(Cpu *c)
{
    KvmNext next = KVM_GO_ON;

    bql_lock();
    c->halted = 1;
    if (!cpu_target_ops(c)->has_work(c)) {
        next = KVM_LEAVE;
    } else {
        c->halted = 0;
    }
    bql_unlock();
    return next;
}

KvmNext x86_kvm_handle_exit(Cpu *c, struct kvm_run *run)
{
    switch (run->exit_reason) {
    case KVM_EXIT_HLT:
        return handle_halt(c);
    case KVM_EXIT_SET_TPR: /* after_run() has seen it */
        return KVM_GO_ON;
    case KVM_EXIT_IOAPIC_EOI:
        bql_lock();
        if (eoi_handler) {
            eoi_handler(run->eoi.vector);
        }
        bql_unlock();
        return KVM_GO_ON;
    default:
        return KVM_UNHANDLED;
    }
}
