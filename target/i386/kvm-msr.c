/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Model-specific registers: a table of which of them is which member, as far as the host's KVM has it
 * (KVM_GET_MSR_INDEX_LIST). Numbers are those of SDM vol. 4, APM vol. 2 appendix A, and Linux's asm/kvm_para.h.
 */
#include "util/osdep.h"

#include "system/runstate.h"
#include "target/i386/cpuid.h"
#include "util/error.h"
#include "kvm-internal.h"

#define MSR_TSC 0x10
#define CPU_PUT_NEVER ((CpuPutLevel)(CPU_PUT_FULL + 1))

typedef struct MsrEntry {
    uint32_t index;
    uint16_t size;     /* of the member, 4 or 8 bytes */
    CpuPutLevel level; /* written from there on */
    size_t offset;     /* in X86State */
} MsrEntry;

#define MSR_L(number, member, level_)                                                  \
    {                                                                                  \
        .index = (number), .size = sizeof(((X86State *)0)->member), .level = (level_), \
        .offset = offsetof(X86State, member)                                           \
    }
#define MSR(number, member) MSR_L(number, member, CPU_PUT_RUNTIME)
#define MSR_RESET(number, member) MSR_L(number, member, CPU_PUT_RESET)
#define MSR_FULL(number, member) MSR_L(number, member, CPU_PUT_FULL)

/* Order matters where one register says what another may hold. */
static const MsrEntry single_msrs[] = {
    MSR_RESET(0x3a, msr_ia32_feature_control),
    MSR(0x174, sysenter_cs),
    MSR(0x175, sysenter_esp),
    MSR(0x176, sysenter_eip),
    MSR(0x277, pat),
    MSR(0xc0000081, star),
    MSR(0xc0000082, lstar),
    MSR(0xc0000083, cstar),
    MSR(0xc0000084, fmask),
    MSR(0xc0000102, kernelgsbase),
    MSR(0xc0010117, vm_hsave),
    MSR(0xc0000103, tsc_aux),
    MSR(0x3b, tsc_adjust),
    MSR(0x1a0, msr_ia32_misc_enable),
    MSR(0xd90, msr_bndcfgs),
    MSR(0xda0, xss),
    MSR(0xe1, umwait),
    MSR(0x48, spec_ctrl),
    MSR(0x122, tsx_ctrl),
    MSR(0xc001011f, virt_ssbd),
    MSR(0x1c4, msr_xfd),
    MSR(0x1c5, msr_xfd_err),
    MSR(0xc0000104, amd_tsc_scale_msr),
    MSR(0x6e1, pkrs),
    MSR_FULL(0x34, msr_smi_count),
    MSR_FULL(MSR_TSC, tsc),
    MSR_L(X86_MSR_TSC_DEADLINE, tsc_deadline, CPU_PUT_NEVER), /* by x86_kvm_put_tsc_deadline() */
    /* The paravirtual clock takes its time of the guest's pages when it is written. */
    MSR_RESET(0x4b564d01, system_time_msr),
    MSR_RESET(0x4b564d00, wall_clock_msr),
    MSR_RESET(0x4b564d02, async_pf_en_msr),
    MSR_RESET(0x4b564d06, async_pf_int_msr),
    MSR_RESET(0x4b564d04, pv_eoi_en_msr),
    MSR_RESET(0x4b564d03, steal_time_msr),
    MSR_RESET(0x4b564d05, poll_control_msr),
    MSR_RESET(0x2ff, mtrr_deftype),
    MSR_RESET(0x17a, mcg_status),
    MSR_RESET(0x17b, mcg_ctl),
    MSR_RESET(0x4d0, mcg_ext_ctl),
    MSR_RESET(0x38d, msr_fixed_ctr_ctrl),
    MSR_RESET(0x38f, msr_global_ctrl),
    MSR_RESET(0x38e, msr_global_status),
    MSR_RESET(0x390, msr_global_ovf_ctrl),
};

static const uint32_t fixed_mtrrs[X86_MTRR_FIXED] = { 0x250, 0x258, 0x259, 0x268, 0x269, 0x26a,
                                                      0x26b, 0x26c, 0x26d, 0x26e, 0x26f };

static GArray *msrs; /* MsrEntry, those that the host has */
static GArray *host; /* uint32_t */

bool x86_kvm_has_msr(uint32_t index)
{
    for (unsigned i = 0; i < host->len; i++) {
        if (g_array_index(host, uint32_t, i) == index) {
            return true;
        }
    }
    return false;
}

/* ---- the table ----------------------------------------------------------------------------------------------- */

static bool read_host_list(GError **error)
{
    struct kvm_msr_list probe = { 0 };
    g_autofree struct kvm_msr_list *list = NULL;
    int r = kvm_system_ioctl(KVM_GET_MSR_INDEX_LIST, &probe);

    if (r < 0 && r != -E2BIG) {
        return error_set_errno(error, -r, "KVM_GET_MSR_INDEX_LIST");
    }
    list = g_malloc0(sizeof(*list) + probe.nmsrs * sizeof(list->indices[0]));
    list->nmsrs = probe.nmsrs;
    r = kvm_system_ioctl(KVM_GET_MSR_INDEX_LIST, list);
    if (r < 0) {
        return error_set_errno(error, -r, "KVM_GET_MSR_INDEX_LIST");
    }
    host = g_array_new(FALSE, TRUE, sizeof(uint32_t));
    g_array_append_vals(host, list->indices, list->nmsrs);
    return true;
}

/* always: KVM has it although the list, which leaves out what is there in every processor, has not. */
static void add_msr(uint32_t index, size_t offset, bool always)
{
    MsrEntry entry = { index, 8, CPU_PUT_RESET, offset };

    if (always || x86_kvm_has_msr(index)) {
        g_array_append_val(msrs, entry);
    }
}

bool x86_kvm_msrs_init(GError **error)
{
    if (!read_host_list(error)) {
        return false;
    }
    msrs = g_array_new(FALSE, TRUE, sizeof(MsrEntry));
    for (unsigned i = 0; i < G_N_ELEMENTS(single_msrs); i++) {
        uint32_t index = single_msrs[i].index;

        if (x86_kvm_has_msr(index) || index == 0x2ff) {
            g_array_append_val(msrs, single_msrs[i]);
        }
    }
    for (unsigned i = 0; i < X86_MTRR_FIXED; i++) {
        add_msr(fixed_mtrrs[i], offsetof(X86State, mtrr_fixed) + 8 * i, true);
    }
    for (unsigned i = 0; i < X86_MTRR_VARIABLE; i++) {
        add_msr(0x200 + 2 * i, offsetof(X86State, mtrr_var) + 16 * i, true);
        add_msr(0x201 + 2 * i, offsetof(X86State, mtrr_var) + 16 * i + 8, true);
    }
    for (unsigned i = 0; kvm_check_extension(KVM_CAP_MCE) && i < X86_MCE_BANKS * 4; i++) {
        add_msr(0x400 + i, offsetof(X86State, mce_banks) + 8 * i, true);
    }
    for (unsigned i = 0; i < X86_FIXED_COUNTERS; i++) {
        add_msr(0x309 + i, offsetof(X86State, msr_fixed_counters) + 8 * i, false);
    }
    for (unsigned i = 0; i < X86_GP_COUNTERS; i++) {
        add_msr(0xc1 + i, offsetof(X86State, msr_gp_counters) + 8 * i, false);
        add_msr(0x186 + i, offsetof(X86State, msr_gp_evtsel) + 8 * i, false);
    }
    return true;
}

struct kvm_msrs *x86_kvm_msrs_alloc(void)
{
    return g_malloc0(sizeof(struct kvm_msrs) + msrs->len * sizeof(struct kvm_msr_entry));
}

/* ---- moving ---------------------------------------------------------------------------------------------------- */

static uint64_t load_member(const X86State *env, const MsrEntry *m)
{
    const void *p = (const char *)env + m->offset;

    return m->size == 4 ? *(const uint32_t *)p : *(const uint64_t *)p;
}

static void store_member(X86State *env, const MsrEntry *m, uint64_t value)
{
    void *p = (char *)env + m->offset;

    if (m->size == 4) {
        *(uint32_t *)p = value;
    } else {
        *(uint64_t *)p = value;
    }
}

static const MsrEntry *find(uint32_t index)
{
    for (unsigned i = 0; i < msrs->len; i++) {
        if (g_array_index(msrs, MsrEntry, i).index == index) {
            return &g_array_index(msrs, MsrEntry, i);
        }
    }
    return NULL;
}

/*
 * Masks of variable MTRRs have ones above the processor's physical address bits in streams, so that they fit whatever
 * number of bits the destination has (SDM vol. 3 11.11.2.3); the register takes none of them.
 */
static uint64_t mtrr_high_bits(const X86Cpu *cpu)
{
    uint32_t out[4];
    unsigned bits;

    x86_cpu_cpuid(cpu, 0x80000008, 0, out);
    bits = out[X86_EAX] & 0xff;
    bits = bits ? bits : 36;
    return bits < 52 ? (UINT64_C(1) << 52) - (UINT64_C(1) << bits) : 0;
}

static void mtrr_masks_complete(X86Cpu *cpu)
{
    uint64_t high = mtrr_high_bits(cpu);

    for (unsigned i = 0; i < X86_MTRR_VARIABLE; i++) {
        cpu->env.mtrr_var[i].mask |= high;
    }
}

static bool is_mtrr_mask(const MsrEntry *m)
{
    return m->index >= 0x201 && m->index <= 0x200 + 2 * X86_MTRR_VARIABLE && m->index % 2;
}

/* One call moves as many as the processor takes; the one where it stops is not there for this model. */
static int move_some(X86Cpu *cpu, unsigned long request, struct kvm_msr_entry *entries, unsigned n)
{
    struct kvm_msrs *buffer = ((X86Kvm *)cpu->kvm)->msrs;

    buffer->nmsrs = n;
    memmove(buffer->entries, entries, n * sizeof(*entries));
    return kvm_vcpu_ioctl(&cpu->cpu, request, buffer);
}

bool x86_kvm_get_msrs(X86Cpu *cpu, GError **error)
{
    struct kvm_msrs *buffer = ((X86Kvm *)cpu->kvm)->msrs;
    g_autofree struct kvm_msr_entry *wanted = g_new0(struct kvm_msr_entry, msrs->len);
    unsigned n = 0;

    for (unsigned i = 0; i < msrs->len; i++) {
        const MsrEntry *m = &g_array_index(msrs, MsrEntry, i);

        if (m->index != MSR_TSC || !cpu->env.tsc_valid) {
            wanted[n++].index = m->index;
        }
    }
    for (unsigned at = 0; at < n;) {
        int done = move_some(cpu, KVM_GET_MSRS, wanted + at, n - at);

        if (done < 0) {
            return error_set_errno(error, -done, "KVM_GET_MSRS");
        }
        for (int i = 0; i < done; i++) {
            store_member(&cpu->env, find(buffer->entries[i].index), buffer->entries[i].data);
        }
        at += done + 1;
    }
    mtrr_masks_complete(cpu);
    cpu->env.tsc_valid = !vm_is_running(); /* stands while the machine does */
    return true;
}

/* A register that cannot be written matters if the guest would miss its value. */
static bool refused(const X86Cpu *cpu, const struct kvm_msr_entry *entry, CpuPutLevel level,
                    GError **error)
{
    static GHashTable *told; /* under the big lock */

    if (!entry->data) {
        return true;
    }
    if (level == CPU_PUT_FULL && vm_state() == VM_INMIGRATE) {
        return error_set(error, "KVM does not take 0x%" PRIx64 " for MSR 0x%x",
                         (uint64_t)entry->data, entry->index);
    }
    if (!told) {
        told = g_hash_table_new(NULL, NULL);
    }
    if (g_hash_table_add(told, GUINT_TO_POINTER(entry->index))) {
        warn_report("CPU %d: KVM does not take 0x%" PRIx64 " for MSR 0x%x", cpu->cpu.index,
                    (uint64_t)entry->data, entry->index);
    }
    return true;
}

static bool put_tsc(X86Cpu *cpu, uint64_t value)
{
    struct kvm_msr_entry entry = { .index = MSR_TSC, .data = value };

    return move_some(cpu, KVM_SET_MSRS, &entry, 1) == 1;
}

/*
 * KVM takes a time stamp counter that is written within a second of what it would show now for an attempt to keep processors together, and
 * goes on with its own (before Linux 6.7 from the virtual machine's beginning on): at a destination that is a little younger than the guest
 * was the counter would go back. If it is not read back as what was written, and what a hundredth of a second adds to it, a value that is
 * far away comes between; the other processors' come after the first one's, and are kept together with it.
 */
static void keep_first_tsc(X86Cpu *cpu)
{
    struct kvm_msr_entry entry = { .index = MSR_TSC };
    uint64_t wanted = cpu->env.tsc;
    static bool done; /* under the big lock */

    if (done || !wanted) { /* 0 is the others' again, always */
        return;
    }
    done = true;
    if (move_some(cpu, KVM_GET_MSRS, &entry, 1) == 1 &&
        ((X86Kvm *)cpu->kvm)->msrs->entries[0].data - wanted > (uint64_t)cpu->env.tsc_khz * 10 &&
        put_tsc(cpu, wanted ^ UINT64_C(1) << 62)) {
        put_tsc(cpu, wanted);
    }
}

bool x86_kvm_put_msrs(X86Cpu *cpu, CpuPutLevel level, GError **error)
{
    uint64_t high = mtrr_high_bits(cpu);
    g_autofree struct kvm_msr_entry *wanted = g_new0(struct kvm_msr_entry, msrs->len);
    unsigned n = 0;

    for (unsigned i = 0; i < msrs->len; i++) {
        const MsrEntry *m = &g_array_index(msrs, MsrEntry, i);

        if (m->level <= level) {
            wanted[n++] = (struct kvm_msr_entry){
                .index = m->index, .data = load_member(&cpu->env, m) & ~(is_mtrr_mask(m) ? high : 0)
            };
        }
    }
    for (unsigned at = 0; at < n;) {
        int done = move_some(cpu, KVM_SET_MSRS, wanted + at, n - at);

        if (done < 0) {
            return error_set_errno(error, -done, "KVM_SET_MSRS");
        }
        at += done;
        if (at < n && !refused(cpu, &wanted[at], level, error)) {
            return false;
        }
        at++;
    }
    if (level == CPU_PUT_FULL) {
        keep_first_tsc(cpu);
    }
    return true;
}

bool x86_kvm_put_tsc_deadline(X86Cpu *cpu, GError **error)
{
    struct kvm_msr_entry entry = { .index = X86_MSR_TSC_DEADLINE, .data = cpu->env.tsc_deadline };

    if (!x86_kvm_has_msr(X86_MSR_TSC_DEADLINE)) {
        return true;
    }
    if (move_some(cpu, KVM_SET_MSRS, &entry, 1) == 1 || !entry.data) {
        return true;
    }
    return error_set(error, "KVM does not take a TSC deadline");
}
