/* SPDX-License-Identifier: GPL-2.0-or-later */
/* CPUID between a processor and KVM: what the host supports, and KVM_SET_CPUID2 from what the processor answers. */
#include "util/osdep.h"

#include <asm/kvm_para.h>

#include "target/i386/cpuid.h"
#include "util/error.h"
#include "kvm-internal.h"

#define ENTRIES_MAX 256
#define LEAF_KVM 0x40000000u
#define LEAF_EXTENDED 0x80000000u
#define LEAF_CENTAUR 0xc0000000u

static struct kvm_cpuid2 *supported;

static struct kvm_cpuid2 *cpuid2_new(unsigned n)
{
    struct kvm_cpuid2 *list = g_malloc0(sizeof(*list) + n * sizeof(struct kvm_cpuid_entry2));

    list->nent = n;
    return list;
}

/* The kernel says E2BIG until there is room for all. */
static const struct kvm_cpuid2 *supported_list(void)
{
    for (unsigned n = 64; !supported; n *= 2) {
        struct kvm_cpuid2 *list = cpuid2_new(n);
        int r = kvm_system_ioctl(KVM_GET_SUPPORTED_CPUID, list);

        if (r >= 0) {
            supported = list;
        } else {
            g_free(list);
            if (r != -E2BIG || n > 4096) {
                supported = cpuid2_new(0);
            }
        }
    }
    return supported;
}

#define CPUID_1_ECX_X2APIC (1u << 21)
#define CPUID_1_ECX_TSC_DEADLINE (1u << 24)
#define CPUID_1_ECX_HYPERVISOR (1u << 31)
#define CPUID_6_EAX_ARAT (1u << 2)
#define KVM_NEEDS_LOCAL_APIC (1u << KVM_FEATURE_PV_EOI | 1u << KVM_FEATURE_PV_UNHALT)

/* What the list does not say, or says of a local APIC that is not the kernel's. */
static uint32_t corrected(uint32_t leaf, unsigned reg, uint32_t value)
{
    bool in_kernel = kvm_irqchip() != KVM_IRQCHIP_USER;

    if (leaf == 1 && reg == X86_ECX) {
        value |= CPUID_1_ECX_HYPERVISOR;
        if (!in_kernel) {
            value &= ~(CPUID_1_ECX_X2APIC | CPUID_1_ECX_TSC_DEADLINE);
        } else if (kvm_check_extension(KVM_CAP_TSC_DEADLINE_TIMER)) {
            value |= CPUID_1_ECX_TSC_DEADLINE;
        }
    } else if (leaf == 6 && reg == X86_EAX) {
        value |= CPUID_6_EAX_ARAT; /* timers of ours do not stop when the guest sleeps */
    } else if (leaf == LEAF_KVM + 1 && reg == X86_EAX && !in_kernel) {
        value &= ~KVM_NEEDS_LOCAL_APIC;
    }
    return value;
}

static uint32_t listed(uint32_t leaf, uint32_t subleaf, unsigned reg)
{
    const struct kvm_cpuid2 *list = supported_list();

    for (unsigned i = 0; i < list->nent; i++) {
        const struct kvm_cpuid_entry2 *e = &list->entries[i];

        if (e->function == leaf &&
            (e->index == subleaf || !(e->flags & KVM_CPUID_FLAG_SIGNIFCANT_INDEX))) {
            const uint32_t regs[4] = { e->eax, e->ebx, e->ecx, e->edx };

            return regs[reg];
        }
    }
    return 0;
}

uint32_t x86_kvm_cpuid_from_host(uint32_t leaf, uint32_t subleaf, unsigned reg)
{
    return corrected(leaf, reg, listed(leaf, subleaf, reg));
}

uint64_t x86_kvm_msr_from_host(uint32_t index)
{
    g_autofree struct kvm_msrs *list = g_malloc0(sizeof(*list) + sizeof(list->entries[0]));

    list->nmsrs = 1;
    list->entries[0].index = index;
    return kvm_system_ioctl(KVM_GET_MSRS, list) == 1 ? list->entries[0].data : 0;
}

/* ---- KVM_SET_CPUID2 -------------------------------------------------------------------------------------------- */

/* How a leaf's subleaves end. */
typedef enum Subleaves {
    SUBLEAF_NONE,
    SUBLEAF_TYPE_EAX,  /* EAX[4:0] = 0 is behind the last (caches) */
    SUBLEAF_TYPE_ECX,  /* ECX[15:8] = 0 is the last (topology) */
    SUBLEAF_COUNT_EAX, /* EAX of subleaf 0 is the highest */
    SUBLEAF_64,        /* up to 63, some of them empty */
} Subleaves;

static Subleaves subleaves_of(uint32_t leaf)
{
    switch (leaf) {
    case 0x4:
    case 0x8000001d:
        return SUBLEAF_TYPE_EAX;
    case 0xb:
    case 0x1f:
        return SUBLEAF_TYPE_ECX;
    case 0x7:
    case 0x14:
    case 0x17:
    case 0x18:
    case 0x1d:
        return SUBLEAF_COUNT_EAX;
    case 0xd:
        return SUBLEAF_64;
    default:
        return SUBLEAF_NONE;
    }
}

static bool last_subleaf(Subleaves kind, uint32_t subleaf, const uint32_t first[4],
                         const uint32_t out[4])
{
    switch (kind) {
    case SUBLEAF_TYPE_EAX:
        return !(out[X86_EAX] & 0x1f);
    case SUBLEAF_TYPE_ECX:
        return !(out[X86_ECX] & 0xff00);
    case SUBLEAF_COUNT_EAX:
        return subleaf >= first[X86_EAX];
    case SUBLEAF_64:
        return subleaf >= 63;
    default:
        return true;
    }
}

static bool add_entry(struct kvm_cpuid2 *list, uint32_t leaf, uint32_t subleaf, Subleaves kind,
                      const uint32_t out[4], GError **error)
{
    if (kind == SUBLEAF_64 && subleaf && !out[0] && !out[1] && !out[2] && !out[3]) {
        return true;
    }
    if (list->nent >= ENTRIES_MAX) {
        return error_set(error, "CPUID of this processor has more than %d entries", ENTRIES_MAX);
    }
    list->entries[list->nent++] = (struct kvm_cpuid_entry2){
        .function = leaf,
        .index = subleaf,
        .flags = kind != SUBLEAF_NONE ? KVM_CPUID_FLAG_SIGNIFCANT_INDEX : 0,
        .eax = out[X86_EAX],
        .ebx = out[X86_EBX],
        .ecx = out[X86_ECX],
        .edx = out[X86_EDX],
    };
    return true;
}

static bool add_leaf(struct kvm_cpuid2 *list, const X86Cpu *cpu, uint32_t leaf, GError **error)
{
    Subleaves kind = subleaves_of(leaf);
    uint32_t first[4], out[4];

    for (uint32_t subleaf = 0; subleaf < 64; subleaf++) {
        x86_cpu_cpuid(cpu, leaf, subleaf, out);
        if (subleaf == 0) {
            memcpy(first, out, sizeof(first));
        }
        if (!add_entry(list, leaf, subleaf, kind, out, error)) {
            return false;
        }
        if (last_subleaf(kind, subleaf, first, out)) {
            return true;
        }
    }
    return true;
}

/* A range of leaves; the first one says which is the last. */
static bool add_range(struct kvm_cpuid2 *list, const X86Cpu *cpu, uint32_t first, GError **error)
{
    uint32_t out[4], last;

    x86_cpu_cpuid(cpu, first, 0, out);
    last = out[X86_EAX];
    if (first == LEAF_KVM && out[X86_EBX] && last < LEAF_KVM + 1) {
        last = LEAF_KVM + 1; /* 0 stands for that in KVM's documentation */
    }
    if (last < first || last - first > 0xff) {
        return true;
    }
    for (uint32_t leaf = first; leaf <= last; leaf++) {
        if (!add_leaf(list, cpu, leaf, error)) {
            return false;
        }
    }
    return true;
}

bool x86_kvm_put_cpuid(X86Cpu *cpu, GError **error)
{
    g_autofree struct kvm_cpuid2 *list = cpuid2_new(ENTRIES_MAX);
    static const uint32_t ranges[] = { 0, LEAF_KVM, LEAF_EXTENDED, LEAF_CENTAUR };
    int r;

    list->nent = 0;
    for (unsigned i = 0; i < G_N_ELEMENTS(ranges); i++) {
        if (!add_range(list, cpu, ranges[i], error)) {
            return false;
        }
    }
    r = kvm_vcpu_ioctl(&cpu->cpu, KVM_SET_CPUID2, list);
    return r >= 0 ||
           error_set_errno(error, -r, "KVM does not take the CPUID of CPU %d (%u entries)",
                           cpu->cpu.index, list->nent);
}
