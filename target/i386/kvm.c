/* SPDX-License-Identifier: GPL-2.0-or-later */
/* x86 with KVM: the virtual machine's parts, a processor's beginning, machine checks. */
#include "util/osdep.h"

#include <asm/kvm_para.h>
#include <sys/syscall.h>

#include "target/i386/cpuid.h"
#include "target/i386/kvm.h"
#include "util/error.h"
#include "cpu-internal.h"
#include "kvm-internal.h"

#define IDENTITY_MAP_BASE X86_KVM_RESERVED_BASE
#define TSS_BASE (IDENTITY_MAP_BASE + 0x1000)
#define SPLIT_ROUTES 24
#define ARCH_REQ_XCOMP_GUEST_PERM 0x1025
#define XFEATURE_XTILEDATA 18
#define LEAF_KVM_FEATURES 0x40000001u
#define KVM_CLOCK_FEATURES (1u << KVM_FEATURE_CLOCKSOURCE | 1u << KVM_FEATURE_CLOCKSOURCE2)

#define CAPABILITY(name) \
    {                    \
#name, name      \
    }

static const struct KvmCapability required[] = {
    CAPABILITY(KVM_CAP_SET_TSS_ADDR),
    CAPABILITY(KVM_CAP_SET_IDENTITY_MAP_ADDR),
    CAPABILITY(KVM_CAP_EXT_CPUID),
    CAPABILITY(KVM_CAP_MP_STATE),
    CAPABILITY(KVM_CAP_VCPU_EVENTS),
    CAPABILITY(KVM_CAP_DEBUGREGS),
    CAPABILITY(KVM_CAP_XSAVE),
    CAPABILITY(KVM_CAP_XCRS),
    CAPABILITY(KVM_CAP_USER_NMI),
    CAPABILITY(KVM_CAP_SIGNAL_MSI),
    {},
};

static const struct KvmCapability required_irqchip[] = {
    CAPABILITY(KVM_CAP_IRQCHIP),
    CAPABILITY(KVM_CAP_IRQ_ROUTING),
    CAPABILITY(KVM_CAP_PIT2),
    CAPABILITY(KVM_CAP_PIT_STATE2),
    {},
};

static const struct KvmCapability required_split[] = {
    CAPABILITY(KVM_CAP_IRQ_ROUTING),
    CAPABILITY(KVM_CAP_SPLIT_IRQCHIP),
    {},
};

/* ---- the virtual machine ------------------------------------------------------------------------------------------ */

static bool must(int r, const char *what, GError **error)
{
    return r >= 0 || error_set_errno(error, -r, "failed to initialize kvm: %s", what);
}

static bool need(const struct KvmCapability *list, GError **error)
{
    for (; list->name; list++) {
        if (!kvm_check_extension(list->value)) {
            return error_set_class(error, TERN_ERROR_KVM_MISSING_CAP,
                                   "kernel-irqchip: the host's KVM does not support %s",
                                   list->name);
        }
    }
    return true;
}

static bool make_irqchip(GError **error)
{
    switch (kvm_irqchip()) {
    case KVM_IRQCHIP_KERNEL:
        return need(required_irqchip, error) &&
               must(kvm_vm_ioctl(KVM_CREATE_IRQCHIP, NULL), "KVM_CREATE_IRQCHIP", error);
    case KVM_IRQCHIP_SPLIT:
        return need(required_split, error) &&
               must(kvm_enable_capability(KVM_CAP_SPLIT_IRQCHIP, SPLIT_ROUTES, 0),
                    "KVM_CAP_SPLIT_IRQCHIP", error);
    default:
        return true;
    }
}

static bool x86_vm_created(Machine *machine, GError **error)
{
    uint64_t identity = IDENTITY_MAP_BASE;

    if (!must(kvm_vm_ioctl(KVM_SET_IDENTITY_MAP_ADDR, &identity), "KVM_SET_IDENTITY_MAP_ADDR",
              error) ||
        !must(kvm_vm_ioctl(KVM_SET_TSS_ADDR, (void *)(uintptr_t)TSS_BASE), "KVM_SET_TSS_ADDR",
              error) ||
        !make_irqchip(error) || !x86_kvm_msrs_init(error)) {
        return false;
    }
    /* Tile registers have to be asked for; a host without them says no, and that is all. */
    syscall(SYS_arch_prctl, ARCH_REQ_XCOMP_GUEST_PERM, XFEATURE_XTILEDATA);
    if (kvm_check_extension(KVM_CAP_EXCEPTION_PAYLOAD)) {
        kvm_enable_capability(KVM_CAP_EXCEPTION_PAYLOAD, 1, 0);
    }
    if (kvm_check_extension(KVM_CAP_X86_TRIPLE_FAULT_EVENT)) {
        kvm_enable_capability(KVM_CAP_X86_TRIPLE_FAULT_EVENT, 1, 0);
    }
    x86_kvm_mce_init();
    x86_cpuid_set_supported(x86_kvm_cpuid_from_host);
    x86_msr_set_supported(x86_kvm_msr_from_host);
    if (kvm_irqchip() != KVM_IRQCHIP_USER) {
        x86_cpu_set_apic_type("kvm-apic");
    }
    return true;
}

bool x86_kvm_get_irqchip(unsigned chip, struct kvm_irqchip *state, GError **error)
{
    memset(state, 0, sizeof(*state));
    state->chip_id = chip;
    int r = kvm_vm_ioctl(KVM_GET_IRQCHIP, state);
    return r >= 0 || error_set_errno(error, -r, "KVM_GET_IRQCHIP (chip %u)", chip);
}

bool x86_kvm_set_irqchip(const struct kvm_irqchip *state, GError **error)
{
    int r = kvm_vm_ioctl(KVM_SET_IRQCHIP, (void *)state);

    return r >= 0 || error_set_errno(error, -r, "KVM_SET_IRQCHIP (chip %u)", state->chip_id);
}

bool x86_kvm_has_clock(void)
{
    uint32_t out[4];

    if (!kvm_enabled() || !cpu_first() || !kvm_check_extension(KVM_CAP_ADJUST_CLOCK)) {
        return false;
    }
    x86_cpu_cpuid(X86_CPU(cpu_first()), LEAF_KVM_FEATURES, 0, out);
    return out[X86_EAX] & KVM_CLOCK_FEATURES;
}

/* ---- machine checks ----------------------------------------------------------------------------------------------- */

/* The banks that a processor of ours has, as far as the host has them; MCG_CTL is there. */
static bool setup_mce(X86Cpu *cpu, GError **error)
{
    uint64_t host_cap = 0, cap;
    int banks = kvm_check_extension(KVM_CAP_MCE), r;

    if (!banks) {
        cpu->env.mcg_cap = 0;
        return true;
    }
    r = kvm_system_ioctl(KVM_X86_GET_MCE_CAP_SUPPORTED, &host_cap);
    if (r < 0) {
        return error_set_errno(error, -r, "KVM_X86_GET_MCE_CAP_SUPPORTED");
    }
    cap = (cpu->env.mcg_cap & (host_cap | 0xff) & ~UINT64_C(0xff)) | MIN(banks, X86_MCE_BANKS);
    r = kvm_vcpu_ioctl(&cpu->cpu, KVM_X86_SETUP_MCE, &cap);
    if (r < 0) {
        return error_set_errno(error, -r, "KVM_X86_SETUP_MCE (0x%" PRIx64 ")", cap);
    }
    cpu->env.mcg_cap = cap;
    return true;
}

static bool inject_mce(X86Cpu *cpu, unsigned bank, uint64_t status, uint64_t mcg_status,
                       uint64_t addr, uint64_t misc, GError **error)
{
    struct kvm_x86_mce mce = {
        .bank = bank,
        .status = status,
        .mcg_status = mcg_status,
        .addr = addr,
        .misc = misc,
    };
    int r = kvm_vcpu_ioctl(&cpu->cpu, KVM_X86_SET_MCE, &mce);

    return r >= 0 || error_set_errno(error, -r, "KVM does not take the machine check on CPU %d",
                                     cpu->cpu.index);
}

/* ---- a processor ----------------------------------------------------------------------------------------------------- */

static unsigned long x86_vcpu_id(const Cpu *cpu)
{
    return X86_CPU(cpu)->apic_id;
}

static bool x86_vcpu_created(Cpu *c, GError **error)
{
    X86Cpu *cpu = X86_CPU(c);
    X86Kvm *k = g_new0(X86Kvm, 1);
    int khz;

    cpu->kvm = k;
    k->xsave_size = x86_kvm_xsave_size();
    k->xsave = g_malloc0(k->xsave_size);
    k->msrs = x86_kvm_msrs_alloc();
    if (!x86_kvm_put_cpuid(cpu, error) || !setup_mce(cpu, error)) {
        return false;
    }
    khz = kvm_vcpu_ioctl(c, KVM_GET_TSC_KHZ, NULL);
    cpu->env.tsc_khz = MAX(khz, 0);
    x86_cpu_set_mce_injector(inject_mce);
    return true;
}

static void x86_vcpu_destroyed(Cpu *c)
{
    X86Cpu *cpu = X86_CPU(c);
    X86Kvm *k = cpu->kvm;

    if (k) {
        g_free(k->xsave);
        g_free(k->msrs);
        g_free(k);
        cpu->kvm = NULL;
    }
}

/* VMX (SDM vol. 3 appendix C): the guest state that was asked for is not one that a processor can be in. */
static const char *explain_entry_failure(uint64_t reason)
{
    return reason == UINT64_C(0x80000021) ? "invalid guest state" : NULL;
}

static const KvmTargetOps x86_target = {
    .required = required,
    .vm_created = x86_vm_created,
    .vcpu_id = x86_vcpu_id,
    .vcpu_created = x86_vcpu_created,
    .vcpu_destroyed = x86_vcpu_destroyed,
    .get = x86_kvm_get,
    .put = x86_kvm_put,
    .before_run = x86_kvm_before_run,
    .after_run = x86_kvm_after_run,
    .handle_exit = x86_kvm_handle_exit,
    .explain_entry_failure = explain_entry_failure,
};

static void __attribute__((constructor)) register_target(void)
{
    kvm_set_target(&x86_target);
}
