/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The XSAVE area (SDM vol. 1 13.4): the legacy part and header at fixed places, the components where the host's CPUID
 * leaf 0xd says, in the standard format.
 */
#include "util/osdep.h"

#include <cpuid.h>

#include "util/bytes.h"
#include "util/error.h"
#include "kvm-internal.h"

#define KVM_XSAVE_SIZE 4096 /* of KVM_GET_XSAVE */
#define XSAVE_HEADER 512
#define XSAVE_MXCSR 24
#define XSAVE_ST 32
#define XSAVE_XMM 160

enum {
    COMP_AVX = 2,
    COMP_BNDREGS,
    COMP_BNDCSR,
    COMP_OPMASK,
    COMP_ZMM_HI,
    COMP_HI16_ZMM,
    COMP_PKRU = 9,
    COMP_XTILECFG = 17,
    COMP_XTILEDATA = 18
};

/* What of a vector register a component has. */
typedef struct VectorPart {
    unsigned component, first_register, registers, first_word, words;
} VectorPart;

static const VectorPart vector_parts[] = {
    { COMP_AVX, 0, 16, 2, 2 },
    { COMP_ZMM_HI, 0, 16, 4, 4 },
    { COMP_HI16_ZMM, 16, 16, 0, 8 },
};

/* Other components, as they are. */
static const struct {
    unsigned component;
    size_t offset, size;
} plain_parts[] = {
    { COMP_BNDREGS, offsetof(X86State, bnd_regs), sizeof(((X86State *)0)->bnd_regs) },
    { COMP_BNDCSR, offsetof(X86State, bndcsr), sizeof(((X86State *)0)->bndcsr) },
    { COMP_OPMASK, offsetof(X86State, opmask_regs), sizeof(((X86State *)0)->opmask_regs) },
    { COMP_PKRU, offsetof(X86State, pkru), sizeof(((X86State *)0)->pkru) },
    { COMP_XTILECFG, offsetof(X86State, xtilecfg), sizeof(((X86State *)0)->xtilecfg) },
    { COMP_XTILEDATA, offsetof(X86State, xtiledata), sizeof(((X86State *)0)->xtiledata) },
};

size_t x86_kvm_xsave_size(void)
{
    return MAX(kvm_check_extension(KVM_CAP_XSAVE2), KVM_XSAVE_SIZE);
}

/* Where a component lies; NULL if the host has none or not of that size. */
static uint8_t *component(const X86Kvm *k, unsigned n, size_t size)
{
    uint32_t eax = 0, ebx = 0, ecx = 0, edx = 0;

    if (!__get_cpuid_count(0xd, n, &eax, &ebx, &ecx, &edx) || eax < size || !ebx ||
        (size_t)ebx + eax > k->xsave_size) {
        return NULL;
    }
    return k->xsave + ebx;
}

/* ---- out of the area ------------------------------------------------------------------------------------------- */

static void get_legacy(X86State *env, const uint8_t *area)
{
    env->fpuc = load_le16(area);
    env->fpus = load_le16(area + 2);
    env->fptags = ~area[4];
    env->fpop = load_le16(area + 6);
    env->fpip = load_le64(area + 8);
    env->fpdp = load_le64(area + 16);
    env->mxcsr = load_le32(area + XSAVE_MXCSR);
    for (unsigned i = 0; i < 8; i++) {
        env->fpregs[i].mantissa = load_le64(area + XSAVE_ST + 16 * i);
        env->fpregs[i].exponent = load_le16(area + XSAVE_ST + 16 * i + 8);
    }
    for (unsigned i = 0; i < 16; i++) {
        env->xmm_regs[i].q[0] = load_le64(area + XSAVE_XMM + 16 * i);
        env->xmm_regs[i].q[1] = load_le64(area + XSAVE_XMM + 16 * i + 8);
    }
    env->xstate_bv = load_le64(area + XSAVE_HEADER);
}

bool x86_kvm_get_xsave(X86Cpu *cpu, GError **error)
{
    X86Kvm *k = cpu->kvm;
    unsigned long request = k->xsave_size > KVM_XSAVE_SIZE ? KVM_GET_XSAVE2 : KVM_GET_XSAVE;
    int r = kvm_vcpu_ioctl(&cpu->cpu, request, k->xsave);

    if (r < 0) {
        return error_set_errno(error, -r, "KVM_GET_XSAVE");
    }
    get_legacy(&cpu->env, k->xsave);
    for (unsigned i = 0; i < G_N_ELEMENTS(vector_parts); i++) {
        const VectorPart *p = &vector_parts[i];
        const uint8_t *from = component(k, p->component, p->registers * p->words * 8);

        for (unsigned n = 0; from && n < p->registers; n++) {
            memcpy(&cpu->env.xmm_regs[p->first_register + n].q[p->first_word],
                   from + n * p->words * 8, p->words * 8);
        }
    }
    for (unsigned i = 0; i < G_N_ELEMENTS(plain_parts); i++) {
        const uint8_t *from = component(k, plain_parts[i].component, plain_parts[i].size);

        if (from) {
            memcpy((char *)&cpu->env + plain_parts[i].offset, from, plain_parts[i].size);
        }
    }
    return true;
}

/* ---- into the area --------------------------------------------------------------------------------------------- */

static void put_legacy(const X86State *env, uint8_t *area)
{
    store_le16(area, env->fpuc);
    store_le16(area + 2, env->fpus);
    area[4] = ~env->fptags;
    store_le16(area + 6, env->fpop);
    store_le64(area + 8, env->fpip);
    store_le64(area + 16, env->fpdp);
    store_le32(area + XSAVE_MXCSR, env->mxcsr);
    for (unsigned i = 0; i < 8; i++) {
        store_le64(area + XSAVE_ST + 16 * i, env->fpregs[i].mantissa);
        store_le16(area + XSAVE_ST + 16 * i + 8, env->fpregs[i].exponent);
    }
    for (unsigned i = 0; i < 16; i++) {
        store_le64(area + XSAVE_XMM + 16 * i, env->xmm_regs[i].q[0]);
        store_le64(area + XSAVE_XMM + 16 * i + 8, env->xmm_regs[i].q[1]);
    }
    store_le64(area + XSAVE_HEADER, env->xstate_bv);
}

static bool any_byte(const void *data, size_t size)
{
    const uint8_t *p = data;

    for (size_t i = 0; i < size; i++) {
        if (p[i]) {
            return true;
        }
    }
    return false;
}

static bool lost_component(GError **error, unsigned n)
{
    return error_set(error, "XSAVE component %u has contents and this host does not have it", n);
}

static bool put_vectors(const X86State *env, X86Kvm *k, GError **error)
{
    for (unsigned i = 0; i < G_N_ELEMENTS(vector_parts); i++) {
        const VectorPart *p = &vector_parts[i];
        uint8_t *to = component(k, p->component, p->registers * p->words * 8);

        for (unsigned n = 0; n < p->registers; n++) {
            const uint64_t *from = &env->xmm_regs[p->first_register + n].q[p->first_word];

            if (to) {
                memcpy(to + n * p->words * 8, from, p->words * 8);
            } else if ((env->xstate_bv >> p->component & 1) && any_byte(from, p->words * 8)) {
                return lost_component(error, p->component);
            }
        }
    }
    return true;
}

bool x86_kvm_put_xsave(X86Cpu *cpu, GError **error)
{
    X86Kvm *k = cpu->kvm;
    int r;

    memset(k->xsave, 0, k->xsave_size);
    put_legacy(&cpu->env, k->xsave);
    if (!put_vectors(&cpu->env, k, error)) {
        return false;
    }
    for (unsigned i = 0; i < G_N_ELEMENTS(plain_parts); i++) {
        uint8_t *to = component(k, plain_parts[i].component, plain_parts[i].size);
        const void *from = (const char *)&cpu->env + plain_parts[i].offset;

        if (to) {
            memcpy(to, from, plain_parts[i].size);
        } else if ((cpu->env.xstate_bv >> plain_parts[i].component & 1) &&
                   any_byte(from, plain_parts[i].size)) {
            return lost_component(error, plain_parts[i].component);
        }
    }
    r = kvm_vcpu_ioctl(&cpu->cpu, KVM_SET_XSAVE, k->xsave);
    return r >= 0 || error_set_errno(error, -r, "KVM_SET_XSAVE (xstate_bv 0x%" PRIx64 ")",
                                     cpu->env.xstate_bv);
}
