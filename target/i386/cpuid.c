/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * CPUID (Intel SDM vol. 2 CPUID, AMD APM vol. 3 appendix E). A leaf is a function in a table; leaves that hold nothing but
 * features need none. Where vendors differ, AMD's processors answer as AMD's.
 */
#include "util/osdep.h"

#include "target/i386/cpuid.h"
#include "target/i386/model.h"
#include "model-internal.h"

#define VENDOR_INTEL "GenuineIntel"
#define VENDOR_AMD "AuthenticAMD"
#define CLFLUSH_UNITS 8 /* of 8 bytes */
#define SVM_REVISION 1
#define SVM_ASIDS 16
#define MONITOR_INTERRUPTS 3 /* leaf 5 ECX: extensions are enumerated, interrupts break MWAIT */
#define LINEAR_BITS 48
#define LINEAR_BITS_LA57 57
#define KVM_LEAF 0x40000000u
#define KVM_LEAF_FEATURES (KVM_LEAF + 1)
#define KVM_LEAF_FREQUENCY (KVM_LEAF + 0x10)
#define APIC_BUS_KHZ 1000000

static uint32_t (*supported_cpuid)(uint32_t leaf, uint32_t subleaf, unsigned reg);
static uint64_t (*supported_msr)(uint32_t msr);

void x86_cpuid_set_supported(uint32_t (*func)(uint32_t leaf, uint32_t subleaf, unsigned reg))
{
    supported_cpuid = func;
}

void x86_msr_set_supported(uint64_t (*func)(uint32_t msr))
{
    supported_msr = func;
}

bool x86_cpus_on_kvm(void)
{
    return supported_cpuid != NULL;
}

uint32_t x86_kvm_supported_cpuid(uint32_t leaf, uint32_t subleaf, unsigned reg)
{
    return supported_cpuid ? supported_cpuid(leaf, subleaf, reg) : 0;
}

uint64_t x86_kvm_supported_msr(uint32_t msr)
{
    return supported_msr ? supported_msr(msr) : 0;
}

static bool is_vendor(const X86Model *m, const char *vendor)
{
    return m->vendor && !strcmp(m->vendor, vendor);
}

/* Leaves that are only Intel's say nothing on a processor of AMD. */
static bool not_for_amd(const X86Model *m)
{
    return m->vendor_cpuid_only && is_vendor(m, VENDOR_AMD);
}

static unsigned package_threads(const X86Model *m)
{
    return m->dies * m->cores * m->threads;
}

static void put_vendor(const X86Model *m, uint32_t out[4])
{
    char text[12] = "";

    if (m->vendor) {
        memcpy(text, m->vendor, strnlen(m->vendor, sizeof(text)));
    }
    memcpy(&out[X86_EBX], text, 4);
    memcpy(&out[X86_EDX], text + 4, 4);
    memcpy(&out[X86_ECX], text + 8, 4);
}

static uint32_t version(const X86Model *m)
{
    uint32_t family = m->family > 15 ? 0xf00 | (m->family - 15) << 20 : m->family << 8;

    return family | (m->model & 0xf) << 4 | (m->model >> 4 & 0xf) << 16 | m->stepping;
}

/* ---- the first leaves -------------------------------------------------------------------------------------------- */

static void leaf_0(const X86Cpu *cpu, uint32_t subleaf, uint32_t out[4])
{
    out[X86_EAX] = cpu->model.level;
    put_vendor(&cpu->model, out);
}

static void leaf_1(const X86Cpu *cpu, uint32_t subleaf, uint32_t out[4])
{
    const X86Model *m = &cpu->model;

    out[X86_EAX] = version(m);
    out[X86_EBX] = cpu->apic_id << 24 | CLFLUSH_UNITS << 8;
    if (package_threads(m) > 1) {
        out[X86_EBX] |= (package_threads(m) & 0xff) << 16;
        out[X86_EDX] |= 1u << 28; /* HTT */
    }
}

static void leaf_5(const X86Cpu *cpu, uint32_t subleaf, uint32_t out[4])
{
    out[X86_ECX] = MONITOR_INTERRUPTS;
}

static void leaf_7(const X86Cpu *cpu, uint32_t subleaf, uint32_t out[4])
{
    if (subleaf > cpu->model.level_func7) {
        memset(out, 0, 4 * sizeof(*out));
    } else if (subleaf == 0) {
        out[X86_EAX] = cpu->model.level_func7;
    }
}

/* Architectural performance monitoring: the host's counters, or none. */
static void leaf_a(const X86Cpu *cpu, uint32_t subleaf, uint32_t out[4])
{
    for (unsigned reg = 0; cpu->model.pmu && reg < 4; reg++) {
        out[reg] = x86_kvm_supported_cpuid(0xa, 0, reg);
    }
}

/* ---- caches ---------------------------------------------------------------------------------------------------- */

/* Descriptors of leaf 2 (SDM vol. 2, table 3-12) for caches that have one. */
static uint8_t descriptor(const X86Cache *cache)
{
    static const struct {
        uint8_t code, level;
        X86CacheType type;
        unsigned size, associativity;
    } table[] = {
        { 0x2c, 1, X86_CACHE_DATA, 32 << 10, 8 },    { 0x30, 1, X86_CACHE_CODE, 32 << 10, 8 },
        { 0x7d, 2, X86_CACHE_UNIFIED, 2 << 20, 8 },  { 0x80, 2, X86_CACHE_UNIFIED, 512 << 10, 8 },
        { 0x4b, 3, X86_CACHE_UNIFIED, 8 << 20, 16 }, { 0x4d, 3, X86_CACHE_UNIFIED, 16 << 20, 16 },
        { 0x78, 2, X86_CACHE_UNIFIED, 1 << 20, 4 },  { 0xde, 3, X86_CACHE_UNIFIED, 8 << 20, 16 },
    };

    for (unsigned i = 0; i < G_N_ELEMENTS(table); i++) {
        if (table[i].level == cache->level && table[i].type == cache->type &&
            table[i].size == cache->size && table[i].associativity == cache->associativity) {
            return table[i].code;
        }
    }
    return 0xff; /* ask leaf 4 */
}

static const X86Caches *caches(const X86Model *m, const X86Caches *legacy)
{
    return m->legacy_cache || !m->caches ? legacy : m->caches;
}

static void leaf_2(const X86Cpu *cpu, uint32_t subleaf, uint32_t out[4])
{
    const X86Caches *c = caches(&cpu->model, &x86_legacy_caches_leaf2);

    if (cpu->model.host_cache_info) {
        for (unsigned reg = 0; reg < 4; reg++) {
            out[reg] = x86_kvm_supported_cpuid(2, 0, reg);
        }
        return;
    }
    if (not_for_amd(&cpu->model)) {
        return;
    }
    out[X86_EAX] = 1; /* one call tells all */
    out[X86_ECX] = cpu->model.l3_cache ? descriptor(&c->l3) : 0;
    out[X86_EDX] =
        (uint32_t)descriptor(&c->l1d) << 16 | descriptor(&c->l1i) << 8 | descriptor(&c->l2);
}

/* What leaves 4 and 8000001DH have in common; threads: how many share it, a power of two. */
static void put_cache(const X86Cache *cache, unsigned threads, uint32_t out[4])
{
    out[X86_EAX] = cache->type | cache->level << 5 | (cache->self_initializing ? 1 << 8 : 0) |
                   (threads - 1) << 14;
    out[X86_EBX] =
        (cache->line_size - 1) | (cache->partitions - 1) << 12 | (cache->associativity - 1) << 22;
    out[X86_ECX] = cache->size / (cache->line_size * cache->associativity * cache->partitions) - 1;
    out[X86_EDX] = (cache->no_invd_sharing ? 1 : 0) | (cache->inclusive ? 2 : 0) |
                   (cache->complex_indexing ? 4 : 0);
}

static unsigned sharing_threads(const X86Model *m, const X86Cache *cache)
{
    unsigned shifts[3];

    x86_topology_shifts(m->dies, m->cores, m->threads, shifts);
    return cache->share == X86_SHARE_CORE  ? 1u << shifts[0]
           : cache->share == X86_SHARE_DIE ? 1u << shifts[1]
                                           : 1;
}

static const X86Cache *cache_number(const X86Model *m, uint32_t n)
{
    const X86Caches *c = caches(m, &x86_legacy_caches);
    const X86Cache *const list[] = { &c->l1d, &c->l1i, &c->l2, m->l3_cache ? &c->l3 : NULL };

    return n < G_N_ELEMENTS(list) ? list[n] : NULL;
}

static void leaf_4(const X86Cpu *cpu, uint32_t subleaf, uint32_t out[4])
{
    const X86Model *m = &cpu->model;
    const X86Cache *cache = not_for_amd(m) ? NULL : cache_number(m, subleaf);
    unsigned shifts[3];

    if (m->host_cache_info) {
        for (unsigned reg = 0; reg < 4; reg++) {
            out[reg] = x86_kvm_supported_cpuid(4, subleaf, reg);
        }
    } else if (cache) {
        put_cache(cache, cache->level == 1 && !m->l1_per_thread ? 1 : sharing_threads(m, cache),
                  out);
    }
    if (out[X86_EAX] & 31) {
        x86_topology_shifts(m->dies, m->cores, m->threads, shifts);
        out[X86_EAX] = (out[X86_EAX] & 0x3ffffff) | ((1u << (shifts[2] - shifts[0])) - 1) << 26;
    }
}

static void leaf_8000001d(const X86Cpu *cpu, uint32_t subleaf, uint32_t out[4])
{
    const X86Model *m = &cpu->model;
    const X86Cache *cache = cache_number(m, subleaf);

    if (!x86_model_has(m, X86_FEAT_80000001_0_ECX, 22) || !cache) {
        return; /* no TOPOEXT */
    }
    put_cache(cache, sharing_threads(m, cache), out);
    if (m->topoext_features_only) {
        out[X86_EDX] &= ~4u; /* complex indexing is Intel's */
    }
}

/* Code of an associativity in 80000006H. */
static uint32_t ways_code(unsigned ways)
{
    static const struct {
        unsigned ways;
        uint32_t code;
    } table[] = { { 1, 1 },   { 2, 2 },   { 4, 4 },   { 8, 6 },   { 16, 8 },
                  { 32, 10 }, { 48, 11 }, { 64, 12 }, { 96, 13 }, { 128, 14 } };

    for (unsigned i = 0; i < G_N_ELEMENTS(table); i++) {
        if (table[i].ways == ways) {
            return table[i].code;
        }
    }
    return 15; /* fully associative */
}

static uint32_t l1_word(const X86Cache *cache)
{
    return cache->size >> 10 << 24 | cache->associativity << 16 | cache->lines_per_tag << 8 |
           cache->line_size;
}

#define TLB_L1 0x01ff01ffu /* 255 entries each, one way, for code and data */
#define TLB_L2 0x42004200u /* 512 entries, four ways, 4 KiB pages */

static void leaf_80000005(const X86Cpu *cpu, uint32_t subleaf, uint32_t out[4])
{
    const X86Caches *c = caches(&cpu->model, &x86_legacy_caches_amd);

    out[X86_EAX] = out[X86_EBX] = TLB_L1;
    out[X86_ECX] = l1_word(&c->l1d);
    out[X86_EDX] = l1_word(&c->l1i);
}

static void leaf_80000006(const X86Cpu *cpu, uint32_t subleaf, uint32_t out[4])
{
    const X86Caches *c = caches(&cpu->model, &x86_legacy_caches_amd);
    const X86Cache *l2 = &c->l2, *l3 = &c->l3;

    out[X86_EBX] = TLB_L2;
    out[X86_ECX] = l2->size >> 10 << 16 | ways_code(l2->associativity) << 12 |
                   l2->lines_per_tag << 8 | l2->line_size;
    if (cpu->model.l3_cache) {
        out[X86_EDX] = l3->size >> 19 << 18 | ways_code(l3->associativity) << 12 |
                       l3->lines_per_tag << 8 | l3->line_size;
    }
}

/* ---- topology -------------------------------------------------------------------------------------------------- */

enum { LEVEL_THREAD = 1, LEVEL_CORE = 2, LEVEL_DIE = 5 };

static void put_level(const X86Cpu *cpu, uint32_t subleaf, unsigned type, unsigned shift,
                      unsigned count, uint32_t out[4])
{
    out[X86_EAX] = shift;
    out[X86_EBX] = count;
    out[X86_ECX] = type << 8 | (subleaf & 0xff);
    out[X86_EDX] = cpu->apic_id;
}

static void leaf_b(const X86Cpu *cpu, uint32_t subleaf, uint32_t out[4])
{
    const X86Model *m = &cpu->model;
    unsigned shifts[3];

    if (!m->cpuid_0xb) {
        return;
    }
    x86_topology_shifts(m->dies, m->cores, m->threads, shifts);
    if (subleaf == 0) {
        put_level(cpu, subleaf, LEVEL_THREAD, shifts[0], m->threads, out);
    } else if (subleaf == 1) {
        put_level(cpu, subleaf, LEVEL_CORE, shifts[2], package_threads(m), out);
    } else {
        put_level(cpu, subleaf, 0, 0, 0, out);
    }
}

static void leaf_1f(const X86Cpu *cpu, uint32_t subleaf, uint32_t out[4])
{
    const X86Model *m = &cpu->model;
    unsigned shifts[3];

    if (m->dies < 2 || !m->cpuid_0xb) {
        return;
    }
    x86_topology_shifts(m->dies, m->cores, m->threads, shifts);
    if (subleaf == 0) {
        put_level(cpu, subleaf, LEVEL_THREAD, shifts[0], m->threads, out);
    } else if (subleaf == 1) {
        put_level(cpu, subleaf, LEVEL_CORE, shifts[1], m->threads * m->cores, out);
    } else if (subleaf == 2) {
        put_level(cpu, subleaf, LEVEL_DIE, shifts[2], package_threads(m), out);
    } else {
        put_level(cpu, subleaf, 0, 0, 0, out);
    }
}

static void leaf_8000001e(const X86Cpu *cpu, uint32_t subleaf, uint32_t out[4])
{
    const X86Model *m = &cpu->model;
    unsigned shifts[3];

    if (!x86_model_has(m, X86_FEAT_80000001_0_ECX, 22)) {
        return;
    }
    x86_topology_shifts(m->dies, m->cores, m->threads, shifts);
    out[X86_EAX] = cpu->apic_id;
    out[X86_EBX] = (m->threads - 1) << 8 |
                   (cpu->apic_id >> shifts[0] & ((1u << (shifts[2] - shifts[0])) - 1) & 0xff);
    if (m->legacy_multi_node) {
        out[X86_ECX] = (m->dies - 1) << 8 |
                       (cpu->apic_id >> shifts[1] & ((1u << (shifts[2] - shifts[1])) - 1));
    }
}

/* ---- extended state ------------------------------------------------------------------------------------------------ */

#define XSAVE_LEGACY 576 /* x87 and SSE with the header (SDM vol. 1 13.4) */

/* Components of XCR0 and IA32_XSS, what they need, and where they are unless the host has them elsewhere. */
static const struct {
    unsigned bit;
    X86FeatureWord word;
    unsigned feature;
    uint32_t size, offset;
} components[] = {
    { 2, X86_FEAT_1_0_ECX, 28, 256, 576 }, /* AVX */
    { 3, X86_FEAT_7_0_EBX, 14, 64, 960 },  /* bound registers */
    { 4, X86_FEAT_7_0_EBX, 14, 64, 1024 },
    { 5, X86_FEAT_7_0_EBX, 16, 64, 1088 }, /* opmasks, ZMM, HI16 ZMM */
    { 6, X86_FEAT_7_0_EBX, 16, 512, 1152 },
    { 7, X86_FEAT_7_0_EBX, 16, 1024, 1664 },
    { 9, X86_FEAT_7_0_ECX, 3, 8, 2688 },    /* PKRU */
    { 17, X86_FEAT_7_0_EDX, 24, 64, 2752 }, /* tiles */
    { 18, X86_FEAT_7_0_EDX, 24, 8192, 2816 },
};

static uint64_t xcr0_mask(const X86Model *m)
{
    uint64_t mask = 3, host = (uint64_t)x86_kvm_supported_cpuid(0xd, 0, X86_EDX) << 32 |
                              x86_kvm_supported_cpuid(0xd, 0, X86_EAX);

    for (unsigned i = 0; i < G_N_ELEMENTS(components); i++) {
        if (x86_model_has(m, components[i].word, components[i].feature)) {
            mask |= UINT64_C(1) << components[i].bit;
        }
    }
    return supported_cpuid ? mask & host : mask;
}

static void component_place(unsigned i, uint32_t *size, uint32_t *offset)
{
    *size = supported_cpuid ? x86_kvm_supported_cpuid(0xd, components[i].bit, X86_EAX)
                            : components[i].size;
    *offset = supported_cpuid ? x86_kvm_supported_cpuid(0xd, components[i].bit, X86_EBX)
                              : components[i].offset;
}

/* Bytes of an XSAVE area with these components, in the standard or the compacted form (SDM vol. 1 13.4.2, 13.4.3). */
static uint32_t xsave_size(uint64_t mask, bool compacted)
{
    uint32_t end = XSAVE_LEGACY;

    for (unsigned i = 0; i < G_N_ELEMENTS(components); i++) {
        uint32_t size, offset;

        if (!(mask >> components[i].bit & 1)) {
            continue;
        }
        component_place(i, &size, &offset);
        if (!compacted) {
            end = MAX(end, offset + size);
        } else {
            bool aligned = x86_kvm_supported_cpuid(0xd, components[i].bit, X86_ECX) & 2;

            end = (aligned ? (end + 63) & ~63u : end) + size;
        }
    }
    return end;
}

static void leaf_d(const X86Cpu *cpu, uint32_t subleaf, uint32_t out[4])
{
    const X86Model *m = &cpu->model;
    uint64_t mask = xcr0_mask(m);

    if (!x86_model_has(m, X86_FEAT_1_0_ECX, 26)) {
        return; /* no XSAVE */
    }
    if (subleaf == 0) {
        out[X86_EAX] = mask;
        out[X86_EDX] = mask >> 32;
        out[X86_EBX] = xsave_size(cpu->env.xcr0, false);
        out[X86_ECX] = xsave_size(mask, false);
    } else if (subleaf == 1) {
        out[X86_EBX] =
            xsave_size(cpu->env.xcr0 | cpu->env.xss, x86_model_has(m, X86_FEAT_D_1_EAX, 1));
    } else {
        for (unsigned i = 0; i < G_N_ELEMENTS(components); i++) {
            if (components[i].bit == subleaf && mask >> subleaf & 1) {
                component_place(i, &out[X86_EAX], &out[X86_EBX]);
                out[X86_ECX] = x86_kvm_supported_cpuid(0xd, subleaf, X86_ECX);
            }
        }
    }
}

/* Leaves that describe a unit of the host's, where the guest has it (processor trace, tiles). */
static void copy_host_leaf(uint32_t leaf, uint32_t subleaf, uint32_t out[4])
{
    for (unsigned reg = 0; reg < 4; reg++) {
        out[reg] = x86_kvm_supported_cpuid(leaf, subleaf, reg);
    }
}

static void leaf_14(const X86Cpu *cpu, uint32_t subleaf, uint32_t out[4])
{
    if (x86_model_has(&cpu->model, X86_FEAT_7_0_EBX, 25)) {
        copy_host_leaf(0x14, subleaf, out);
    }
}

static void leaf_tiles(const X86Cpu *cpu, uint32_t leaf, uint32_t subleaf, uint32_t out[4])
{
    if (x86_model_has(&cpu->model, X86_FEAT_7_0_EDX, 24)) {
        copy_host_leaf(leaf, subleaf, out);
    }
}

static void leaf_1d(const X86Cpu *cpu, uint32_t subleaf, uint32_t out[4])
{
    leaf_tiles(cpu, 0x1d, subleaf, out);
}

static void leaf_1e(const X86Cpu *cpu, uint32_t subleaf, uint32_t out[4])
{
    leaf_tiles(cpu, 0x1e, subleaf, out);
}

static void leaf_24(const X86Cpu *cpu, uint32_t subleaf, uint32_t out[4])
{
    if (subleaf) {
        memset(out, 0, 4 * sizeof(*out));
    } else if (x86_model_has(&cpu->model, X86_FEAT_7_1_EDX, 19)) {
        out[X86_EBX] |= cpu->model.avx10_version;
    }
}

/* ---- the hypervisor's leaves (Linux, Documentation/virt/kvm/x86/cpuid.rst) ----------------------------------------- */

static bool tells_frequency(const X86Cpu *cpu)
{
    return cpu->model.vmware_freq && cpu->model.expose_kvm &&
           x86_model_has(&cpu->model, X86_FEAT_80000007_0_EDX, 8) && cpu->env.tsc_khz;
}

static void leaf_kvm(const X86Cpu *cpu, uint32_t subleaf, uint32_t out[4])
{
    out[X86_EAX] = tells_frequency(cpu) ? KVM_LEAF_FREQUENCY : KVM_LEAF_FEATURES;
    memcpy(&out[X86_EBX], "KVMK", 4);
    memcpy(&out[X86_ECX], "VMKV", 4);
    memcpy(&out[X86_EDX], "M\0\0\0", 4);
}

static void leaf_kvm_frequency(const X86Cpu *cpu, uint32_t subleaf, uint32_t out[4])
{
    if (tells_frequency(cpu)) {
        out[X86_EAX] = cpu->env.tsc_khz;
        out[X86_EBX] = APIC_BUS_KHZ;
    }
}

/* ---- extended leaves ------------------------------------------------------------------------------------------------ */

static void leaf_80000000(const X86Cpu *cpu, uint32_t subleaf, uint32_t out[4])
{
    out[X86_EAX] = cpu->model.xlevel;
    put_vendor(&cpu->model, out);
}

/* Bits of leaf 1 EDX that AMD has in 80000001H EDX as well (APM vol. 3, E.4.2). */
#define AMD_ALIASES 0x0183f3ffu

static void leaf_80000001(const X86Cpu *cpu, uint32_t subleaf, uint32_t out[4])
{
    const X86Model *m = &cpu->model;

    out[X86_EAX] = version(m);
    if (is_vendor(m, VENDOR_AMD) || is_vendor(m, "HygonGenuine")) {
        out[X86_EDX] |= m->features[X86_FEAT_1_0_EDX] & AMD_ALIASES;
    }
    if (package_threads(m) > 1 && is_vendor(m, VENDOR_AMD)) {
        out[X86_ECX] |= 2; /* CmpLegacy: HTT means cores */
    }
}

static void leaf_brand(const X86Cpu *cpu, uint32_t n, uint32_t out[4])
{
    char text[48] = "";

    if (cpu->model.model_id) {
        memcpy(text, cpu->model.model_id, strnlen(cpu->model.model_id, sizeof(text)));
    }
    memcpy(out, text + 16 * n, 16);
}

static void leaf_80000008(const X86Cpu *cpu, uint32_t subleaf, uint32_t out[4])
{
    const X86Model *m = &cpu->model;
    unsigned shifts[3];

    out[X86_EAX] = m->phys_bits;
    if (x86_model_has(m, X86_FEAT_80000001_0_EDX, 29)) {
        out[X86_EAX] |= (x86_model_has(m, X86_FEAT_7_0_ECX, 16) ? LINEAR_BITS_LA57 : LINEAR_BITS)
                        << 8;
        if (m->guest_phys_bits != UINT32_MAX) {
            out[X86_EAX] |= m->guest_phys_bits << 16;
        }
    }
    if (package_threads(m) > 1) {
        x86_topology_shifts(m->dies, m->cores, m->threads, shifts);
        out[X86_ECX] = shifts[2] << 12 | (package_threads(m) - 1);
    }
}

static void leaf_8000000a(const X86Cpu *cpu, uint32_t subleaf, uint32_t out[4])
{
    if (x86_model_has(&cpu->model, X86_FEAT_80000001_0_ECX, 2)) {
        out[X86_EAX] = SVM_REVISION;
        out[X86_EBX] = SVM_ASIDS;
    }
}

static void leaf_80000022(const X86Cpu *cpu, uint32_t subleaf, uint32_t out[4])
{
    if (cpu->model.pmu && out[X86_EAX]) {
        out[X86_EBX] = x86_kvm_supported_cpuid(0x80000022, 0, X86_EBX);
    }
}

static void leaf_c0000000(const X86Cpu *cpu, uint32_t subleaf, uint32_t out[4])
{
    out[X86_EAX] = cpu->model.xlevel2;
}

/* ---- the table --------------------------------------------------------------------------------------------------- */

static const struct {
    uint32_t leaf;
    void (*fill)(const X86Cpu *cpu, uint32_t subleaf,
                 uint32_t out[4]); /* out has the features already */
} leaves[] = {
    { 0, leaf_0 },
    { 1, leaf_1 },
    { 2, leaf_2 },
    { 4, leaf_4 },
    { 5, leaf_5 },
    { 7, leaf_7 },
    { 0xa, leaf_a },
    { 0xb, leaf_b },
    { 0xd, leaf_d },
    { 0x14, leaf_14 },
    { 0x1d, leaf_1d },
    { 0x1e, leaf_1e },
    { 0x1f, leaf_1f },
    { 0x24, leaf_24 },
    { KVM_LEAF, leaf_kvm },
    { KVM_LEAF_FREQUENCY, leaf_kvm_frequency },
    { 0x80000000, leaf_80000000 },
    { 0x80000001, leaf_80000001 },
    { 0x80000005, leaf_80000005 },
    { 0x80000006, leaf_80000006 },
    { 0x80000008, leaf_80000008 },
    { 0x8000000a, leaf_8000000a },
    { 0x8000001d, leaf_8000001d },
    { 0x8000001e, leaf_8000001e },
    { 0x80000022, leaf_80000022 },
    { 0xc0000000, leaf_c0000000 },
};

static bool reached(const X86Model *m, uint32_t leaf)
{
    if (leaf >= 0xc0000000) {
        return m->xlevel2 && leaf <= m->xlevel2;
    }
    if (leaf >= 0x80000000) {
        return leaf <= m->xlevel;
    }
    if (leaf >> 28 == 4) {
        return m->expose_kvm && leaf <= KVM_LEAF_FREQUENCY && supported_cpuid;
    }
    return leaf <= m->level;
}

void x86_cpu_cpuid(const X86Cpu *cpu, uint32_t leaf, uint32_t subleaf, uint32_t out[4])
{
    const X86Model *m = &cpu->model;

    memset(out, 0, 4 * sizeof(*out));
    if (!reached(m, leaf)) {
        return;
    }
    for (X86FeatureWord word = 0; word < X86_FEATURE_WORDS; word++) {
        const X86FeatureWordInfo *info = &x86_feature_words[word];

        if (!info->msr && info->leaf == leaf &&
            (info->subleaf == subleaf || (!info->subleaf && leaf != 7 && leaf != 0x24))) {
            out[info->reg] |= m->features[word];
        }
    }
    if (leaf - 0x80000002 < 3) {
        leaf_brand(cpu, leaf - 0x80000002, out);
    }
    for (unsigned i = 0; i < G_N_ELEMENTS(leaves); i++) {
        if (leaves[i].leaf == leaf) {
            leaves[i].fill(cpu, subleaf, out);
        }
    }
}
