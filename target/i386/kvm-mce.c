/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A page that the host has lost becomes a machine check of the guest (system/poison.h), by KVM_X86_SET_MCE.
 *
 * Intel: SDM vol. 3, 15.9.3 (software recoverable errors). AMD: APM vol. 2, 9.3. What they have in common: bank,
 * address, and the code of a data load (action required: the processor is in the access). Where they differ:
 *
 *                     Intel                                      AMD
 *   required          S and AR; local (LMCE) where the guest      UC with POISON; local
 *                     wants that, else to all processors
 *   optional          an uncorrected error of the scrubber,       DEFERRED and POISON, no exception: the guest finds
 *                     S without AR; to all processors             it in the bank when it polls
 *
 * KVM ends a guest (triple fault) that gets an uncorrected error with CR4.MCE clear or another check in progress, and
 * says nothing of one whose bank is disabled. Both are looked at before: then it is "not now", or fatal.
 *
 * The address has a granularity of one page, also for huge pages: guests take no other. The rest of a huge page is
 * told of when it is touched.
 */
#include "util/osdep.h"

#include "system/poison.h"
#include "target/i386/cpuid.h"
#include "util/error.h"
#include "util/main-loop.h"
#include "kvm-internal.h"

#define MCG_CTL_P (UINT64_C(1) << 8)
#define MCG_LMCE_P (UINT64_C(1) << 27)
#define MCG_SER_P (UINT64_C(1) << 24)
#define MCG_EXT_CTL_LMCE_EN (UINT64_C(1) << 0)
#define MCG_STATUS_RIPV (UINT64_C(1) << 0)
#define MCG_STATUS_EIPV (UINT64_C(1) << 1)
#define MCG_STATUS_MCIP (UINT64_C(1) << 2)
#define MCG_STATUS_LMCE (UINT64_C(1) << 3)

#define MCI_VAL (UINT64_C(1) << 63)
#define MCI_UC (UINT64_C(1) << 61)
#define MCI_EN (UINT64_C(1) << 60)
#define MCI_MISCV (UINT64_C(1) << 59)
#define MCI_ADDRV (UINT64_C(1) << 58)
#define MCI_S (UINT64_C(1) << 56)
#define MCI_AR (UINT64_C(1) << 55)
#define MCI_DEFERRED (UINT64_C(1) << 44) /* AMD */
#define MCI_POISON (UINT64_C(1) << 43)   /* AMD */
#define CODE_DATA_LOAD 0x0134            /* cache hierarchy: level 0, data, data read */
#define CODE_SCRUBBER 0x00c0             /* memory controller: patrol scrubbing */
#define MISC_PHYSICAL (UINT64_C(2) << 6)

#define CR4_MCE (UINT64_C(1) << 6)
#define OTHERS_BANK 1
#define OUR_BANK 9

typedef struct Check {
    struct kvm_x86_mce mce;
    bool to_all;
} Check;

static bool is_amd(X86Cpu *cpu)
{
    uint32_t out[4];

    x86_cpu_cpuid(cpu, 0, 0, out);
    return (out[X86_EBX] == 0x68747541 && out[X86_EDX] == 0x69746e65) || /* AuthenticAMD */
           (out[X86_EBX] == 0x6f677948 && out[X86_EDX] == 0x6e65476e);   /* HygonGenuine */
}

/* SDM 15.10.4.1: processors from 06_0EH on tell all logical processors. */
static bool broadcasts(X86Cpu *cpu)
{
    uint32_t out[4];

    x86_cpu_cpuid(cpu, 1, 0, out);
    unsigned family = (out[X86_EAX] >> 8 & 0xf),
             model = (out[X86_EAX] >> 4 & 0xf) | (out[X86_EAX] >> 12 & 0xf0);
    return family > 6 || (family == 6 && model >= 14);
}

static unsigned bank_of(const X86Cpu *cpu)
{
    unsigned banks = MIN(cpu->env.mcg_cap & 0xff, X86_MCE_BANKS);

    return banks > OUR_BANK ? OUR_BANK : banks - 1;
}

/* Whether an uncorrected error in that bank would reach the guest and leave it alive. */
static bool can_take(const X86Cpu *cpu, unsigned bank, bool *recursive)
{
    const X86State *env = &cpu->env;

    if (!(env->mcg_cap & 0xff) || !(env->cr[4] & CR4_MCE)) {
        return false;
    }
    if (env->mcg_status & MCG_STATUS_MCIP) {
        *recursive = true;
        return false;
    }
    return (!(env->mcg_cap & MCG_CTL_P) || env->mcg_ctl == UINT64_MAX) &&
           env->mce_banks[4 * bank] == UINT64_MAX;
}

static Check make_check(X86Cpu *cpu, hwaddr address, bool required)
{
    bool amd = is_amd(cpu);
    uint64_t status = MCI_VAL | MCI_EN | MCI_MISCV | MCI_ADDRV, mcg = 0;
    bool to_all = false;

    if (required) {
        status |= MCI_UC | CODE_DATA_LOAD | (amd ? MCI_POISON : MCI_S | MCI_AR);
        mcg = MCG_STATUS_MCIP | MCG_STATUS_RIPV | MCG_STATUS_EIPV;
        if (!amd && (cpu->env.mcg_cap & MCG_LMCE_P) &&
            (cpu->env.mcg_ext_ctl & MCG_EXT_CTL_LMCE_EN)) {
            mcg |= MCG_STATUS_LMCE;
        } else {
            to_all = !amd && broadcasts(cpu);
        }
    } else if (amd) {
        status |= MCI_DEFERRED | MCI_POISON | CODE_DATA_LOAD;
    } else {
        status |= MCI_UC | MCI_S | CODE_SCRUBBER;
        mcg = MCG_STATUS_MCIP | MCG_STATUS_RIPV;
        to_all = broadcasts(cpu);
    }
    return (Check){ .to_all = to_all,
                    .mce = { .bank = bank_of(cpu),
                             .status = status,
                             .mcg_status = mcg,
                             .addr = address,
                             .misc = MISC_PHYSICAL | GUEST_PAGE_BITS } };
}

/* The processor's thread. What is in the struct meanwhile must not overwrite what the kernel gets now. */
static bool inject(Cpu *c, const struct kvm_x86_mce *mce)
{
    struct kvm_x86_mce arg = *mce;
    bool in_struct = c->in_struct;
    GError *error = NULL;

    if (in_struct && !cpu_put_now(c, &error)) {
        warn_report("CPU %d gets no machine check: %s", c->index, error->message);
        g_error_free(error);
        return false;
    }
    int r = kvm_vcpu_ioctl(c, KVM_X86_SET_MCE, &arg);
    if (in_struct) {
        c->in_struct = false;
        cpu_sync(c);
    }
    if (r < 0) {
        warn_report("KVM does not take a machine check on CPU %d: %s", c->index, g_strerror(-r));
    }
    return r >= 0;
}

/* The others learn that one is going on, in a bank that says nothing more. Those that have not started do not. */
static void tell_other(Cpu *c, void *opaque)
{
    X86Cpu *cpu = X86_CPU(c);
    bool recursive = false;
    struct kvm_x86_mce mce = { .bank = OTHERS_BANK,
                               .status = MCI_VAL | MCI_UC | MCI_EN,
                               .mcg_status = MCG_STATUS_MCIP | MCG_STATUS_RIPV };

    cpu_sync(c);
    if ((cpu->env.mcg_cap & 0xff) > OTHERS_BANK && can_take(cpu, OTHERS_BANK, &recursive)) {
        inject(c, &mce);
    }
}

typedef struct Report {
    hwaddr address;
    bool required;
    bool *recursive;
    PoisonVerdict verdict;
} Report;

/* The processor's thread, big lock. */
static void report_here(Cpu *c, void *opaque)
{
    Report *r = opaque;
    X86Cpu *cpu = X86_CPU(c);
    PoisonVerdict no = r->required ? POISON_FATAL : POISON_NOT_NOW;

    cpu_sync(c);
    r->verdict = no;
    if (!(cpu->env.mcg_cap & 0xff)) {
        return;
    }
    Check check = make_check(cpu, r->address, r->required);
    if (check.mce.status & MCI_UC) {
        if (!can_take(cpu, check.mce.bank, r->recursive)) {
            return;
        }
    } else if (!(cpu->env.cr[4] & CR4_MCE)) {
        return; /* nobody looks into banks */
    } else if (cpu->env.mce_banks[4 * check.mce.bank + 1] & MCI_VAL) {
        return; /* the guest has not fetched the last one yet */
    }
    if (!inject(c, &check.mce)) {
        return;
    }
    r->verdict = POISON_TOLD;
    CPU_FOREACH(other)
    {
        if (check.to_all && other != c) {
            cpu_run_on_async(other, tell_other, NULL);
        }
    }
}

static PoisonVerdict report(void *cpu, hwaddr address, unsigned lsb, bool action_required,
                            bool *recursive)
{
    Report r = { address, action_required, recursive, POISON_NOT_NOW };

    if (!kvm_enabled()) {
        return POISON_NOT_NOW;
    }
    if (cpu) {
        report_here(cpu, &r);
    } else if (cpu_first() && !cpu_first()->failed) {
        cpu_run_on(cpu_first(), report_here, &r);
    }
    return r.verdict;
}

static void *current(void)
{
    return kvm_enabled() ? cpu_current() : NULL;
}

static const PoisonTarget target = { .report = report, .current_cpu = current };

void x86_kvm_mce_init(void)
{
    poison_set_target(&target);
}
