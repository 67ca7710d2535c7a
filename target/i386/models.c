/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The named models. Family, model, stepping and what they can do are those of the vendors' processors; which of it guests
 * get under a name is an interface that libvirt's CPU map and migration rely on, and equal to stock's. A version changes
 * the one before it.
 */
#include "util/osdep.h"
#include "model-internal.h"

#define KIB 1024u
#define MIB (1024u * KIB)

/* ---- caches -------------------------------------------------------------------------------------------------- */

#define CACHE(type_, level_, size_, ways, ...)                                    \
    {                                                                             \
        .type = (type_), .level = (level_), .size = (size_), .line_size = 64,     \
        .associativity = (ways), .partitions = 1, .lines_per_tag = 1, __VA_ARGS__ \
    }
#define L1(type_, size_, ways)                                                       \
    CACHE(type_, 1, size_, ways, .self_initializing = true, .no_invd_sharing = true, \
          .share = X86_SHARE_CORE)
/* old: as all processors had it once, otherwise as AMD's */
#define L2(size_, ways, old)                                                                       \
    CACHE(X86_CACHE_UNIFIED, 2, size_, ways, .self_initializing = (old), .no_invd_sharing = (old), \
          .share = X86_SHARE_CORE)
#define L3(size_, complex)                                                               \
    CACHE(X86_CACHE_UNIFIED, 3, size_, 16, .self_initializing = true, .inclusive = true, \
          .complex_indexing = (complex), .share = X86_SHARE_DIE)

const X86Caches x86_legacy_caches = { L1(X86_CACHE_DATA, 32 * KIB, 8),
                                      L1(X86_CACHE_CODE, 32 * KIB, 8), L2(4 * MIB, 16, true),
                                      L3(16 * MIB, true) };
/* Leaf 2 always told of a smaller L2, and the leaves of AMD of other ones altogether. */
const X86Caches x86_legacy_caches_leaf2 = { L1(X86_CACHE_DATA, 32 * KIB, 8),
                                            L1(X86_CACHE_CODE, 32 * KIB, 8), L2(2 * MIB, 8, true),
                                            L3(16 * MIB, true) };
const X86Caches x86_legacy_caches_amd = { L1(X86_CACHE_DATA, 64 * KIB, 2),
                                          L1(X86_CACHE_CODE, 64 * KIB, 2), L2(512 * KIB, 16, true),
                                          L3(16 * MIB, true) };
static const X86Caches caches_epyc = { L1(X86_CACHE_DATA, 32 * KIB, 8),
                                       L1(X86_CACHE_CODE, 64 * KIB, 4), L2(512 * KIB, 8, false),
                                       L3(8 * MIB, true) };
static const X86Caches caches_rome = { L1(X86_CACHE_DATA, 32 * KIB, 8),
                                       L1(X86_CACHE_CODE, 32 * KIB, 8), L2(512 * KIB, 8, false),
                                       L3(16 * MIB, true) };
static const X86Caches caches_milan = { L1(X86_CACHE_DATA, 32 * KIB, 8),
                                        L1(X86_CACHE_CODE, 32 * KIB, 8), L2(512 * KIB, 8, false),
                                        L3(32 * MIB, true) };
static const X86Caches caches_genoa = { L1(X86_CACHE_DATA, 32 * KIB, 8),
                                        L1(X86_CACHE_CODE, 32 * KIB, 8), L2(1 * MIB, 8, false),
                                        L3(32 * MIB, false) };

/* ---- what a guest hypervisor may rely on, where vmx is on ------------------------------------------------------- */

#define VMX_KVM32                                                                   \
    "vmx-activity-hlt vmx-intr-exit vmx-nmi-exit vmx-vintr-pending vmx-tsc-offset " \
    "vmx-hlt-exit vmx-invlpg-exit vmx-mwait-exit vmx-rdpmc-exit vmx-rdtsc-exit "    \
    "vmx-movdr-exit vmx-io-exit vmx-io-bitmap vmx-msr-bitmap vmx-monitor-exit "     \
    "vmx-pause-exit vmx-exit-ack-intr "
#define VMX_KVM64                                                                       \
    "vmx-activity-hlt vmx-intr-exit vmx-nmi-exit vmx-vintr-pending vmx-tsc-offset "     \
    "vmx-hlt-exit vmx-invlpg-exit vmx-mwait-exit vmx-rdpmc-exit vmx-rdtsc-exit "        \
    "vmx-cr8-load-exit vmx-cr8-store-exit vmx-flexpriority vmx-movdr-exit vmx-io-exit " \
    "vmx-io-bitmap vmx-monitor-exit vmx-pause-exit vmx-exit-ack-intr vmx-entry-ia32e-mode "
#define VMX_CONROE                                                           \
    VMX_KVM64                                                                \
    "vmx-ins-outs vmx-apicv-xapic vmx-vnmi vmx-vnmi-pending vmx-msr-bitmap " \
    "vmx-secondary-ctls "
#define VMX_PENRYN \
    VMX_CONROE     \
    "vmx-wbinvd-exit vmx-exit-load-perf-global-ctrl vmx-entry-load-perf-global-ctrl "
#define VMX_NEHALEM                                                                     \
    VMX_PENRYN                                                                          \
    "vmx-true-ctls vmx-ept vmx-desc-exit vmx-apicv-x2apic vmx-vpid vmx-ept-execonly "   \
    "vmx-page-walk-4 vmx-ept-2mb vmx-ept-1gb vmx-invept vmx-invept-all-context "        \
    "vmx-invvpid vmx-invvpid-single-addr vmx-invept-single-context "                    \
    "vmx-invvpid-all-context vmx-invept-single-context-noglobals vmx-preemption-timer " \
    "vmx-cr3-load-noexit vmx-cr3-store-noexit vmx-mtf vmx-exit-nosave-debugctl "        \
    "vmx-exit-save-pat vmx-exit-load-pat vmx-exit-save-efer vmx-exit-load-efer "        \
    "vmx-exit-save-preemption-timer vmx-entry-noload-debugctl vmx-entry-load-pat "      \
    "vmx-entry-load-efer "
#define VMX_WESTMERE \
    VMX_NEHALEM      \
    "vmx-store-lma vmx-unrestricted-guest "
#define VMX_SANDYBRIDGE \
    VMX_WESTMERE        \
    "vmx-rdtscp-exit "
#define VMX_IVYBRIDGE \
    VMX_SANDYBRIDGE   \
    "vmx-apicv-register vmx-apicv-vid vmx-rdrand-exit vmx-posted-intr "
#define VMX_SKYLAKE_CLIENT                                                                 \
    VMX_PENRYN                                                                             \
    "vmx-true-ctls vmx-store-lma vmx-vmwrite-vmexit-fields vmx-ept vmx-desc-exit "         \
    "vmx-rdtscp-exit vmx-vpid vmx-unrestricted-guest vmx-rdrand-exit vmx-invpcid-exit "    \
    "vmx-vmfunc vmx-shadow-vmcs vmx-rdseed-exit vmx-pml vmx-ept-execonly vmx-page-walk-4 " \
    "vmx-ept-2mb vmx-ept-1gb vmx-invept vmx-eptad vmx-invept-all-context vmx-invvpid "     \
    "vmx-invvpid-single-addr vmx-invept-single-context vmx-invvpid-all-context "           \
    "vmx-invept-single-context-noglobals vmx-preemption-timer vmx-cr3-load-noexit "        \
    "vmx-cr3-store-noexit vmx-mtf vmx-exit-nosave-debugctl vmx-exit-save-pat "             \
    "vmx-exit-load-pat vmx-exit-save-efer vmx-exit-load-efer "                             \
    "vmx-exit-save-preemption-timer vmx-entry-noload-debugctl vmx-entry-load-pat "         \
    "vmx-entry-load-efer vmx-eptp-switching "
#define VMX_ICELAKE_SERVER \
    VMX_IVYBRIDGE          \
    "vmx-vmwrite-vmexit-fields vmx-invpcid-exit vmx-vmfunc vmx-shadow-vmcs vmx-eptad "
#define VMX_HASWELL    \
    VMX_ICELAKE_SERVER \
    "vmx-eptp-switching "
#define VMX_CASCADELAKE_SERVER \
    VMX_ICELAKE_SERVER         \
    "vmx-rdseed-exit vmx-pml "
#define VMX_DENVERTON                                                               \
    VMX_IVYBRIDGE                                                                   \
    "vmx-vmwrite-vmexit-fields vmx-vmfunc vmx-shadow-vmcs vmx-rdseed-exit vmx-pml " \
    "vmx-eptad vmx-eptp-switching "
#define VMX_YONGFENG \
    VMX_HASWELL      \
    "vmx-pml "
#define VMX_BROADWELL      \
    VMX_CASCADELAKE_SERVER \
    "vmx-eptp-switching "
#define VMX_CLEARWATERFOREST \
    VMX_BROADWELL            \
    "vmx-xsaves "
#define VMX_GRANITERAPIDS \
    VMX_CLEARWATERFOREST  \
    "vmx-page-walk-5 "

/* ---- models ------------------------------------------------------------------------------------------------------ */

const X86ModelDef x86_model_defs[] = {
    {
        .name = "486",
        .vendor = "GenuineIntel",
        .family = 4,
        .model = 8,
        .stepping = 0,
        .level = 0x1,
        .xlevel = 0x0,
        .features = "fpu vme pse hypervisor",
    },
    {
        .name = "athlon",
        .vendor = "AuthenticAMD",
        .family = 6,
        .model = 2,
        .stepping = 3,
        .level = 0x2,
        .xlevel = 0x80000008,
        .model_id = "QEMU Virtual CPU version 2.5+",
        .features = "fpu vme de pse tsc msr pae mce cx8 apic sep mtrr pge mca cmov pat pse36 mmx "
                    "fxsr sse sse2 hypervisor mmxext 3dnowext 3dnow",
    },
    {
        .name = "Broadwell",
        .vendor = "GenuineIntel",
        .family = 6,
        .model = 61,
        .stepping = 2,
        .level = 0xd,
        .xlevel = 0x80000008,
        .model_id = "Intel Core Processor (Broadwell)",
        .features = VMX_BROADWELL
        "fpu vme de pse tsc msr pae mce cx8 apic sep mtrr pge mca cmov pat pse36 "
        "clflush mmx fxsr sse sse2 pni pclmulqdq ssse3 fma cx16 pcid sse4.1 sse4.2 "
        "x2apic movbe popcnt tsc-deadline aes xsave avx f16c rdrand hypervisor arat "
        "fsgsbase bmi1 hle avx2 smep bmi2 erms invpcid rtm rdseed adx smap xsaveopt "
        "syscall nx rdtscp lm lahf-lm abm 3dnowprefetch",
        .versions =
            (const X86ModelVersion[]){
                { 1 },
                { 2, .alias = "Broadwell-noTSX",
                  .model_id = "Intel Core Processor (Broadwell, no TSX)", .changes = "-hle -rtm" },
                { 3, .alias = "Broadwell-IBRS",
                  .model_id = "Intel Core Processor (Broadwell, IBRS)",
                  .changes = "hle rtm spec-ctrl" },
                { 4, .alias = "Broadwell-noTSX-IBRS",
                  .model_id = "Intel Core Processor (Broadwell, no TSX, IBRS)",
                  .changes = "-hle -rtm" },
                { 0 } },
    },
    {
        .name = "Cascadelake-Server",
        .vendor = "GenuineIntel",
        .family = 6,
        .model = 85,
        .stepping = 6,
        .level = 0xd,
        .xlevel = 0x80000008,
        .model_id = "Intel Xeon Processor (Cascadelake)",
        .features = VMX_CASCADELAKE_SERVER
        "fpu vme de pse tsc msr pae mce cx8 apic sep mtrr pge mca cmov pat pse36 "
        "clflush mmx fxsr sse sse2 pni pclmulqdq ssse3 fma cx16 pcid sse4.1 sse4.2 "
        "x2apic movbe popcnt tsc-deadline aes xsave avx f16c rdrand hypervisor arat "
        "fsgsbase bmi1 hle avx2 smep bmi2 erms invpcid rtm avx512f avx512dq rdseed adx "
        "smap clflushopt clwb avx512cd avx512bw avx512vl pku avx512vnni spec-ctrl ssbd "
        "xsaveopt xsavec xgetbv1 syscall nx pdpe1gb rdtscp lm lahf-lm abm 3dnowprefetch",
        .versions =
            (const X86ModelVersion[]){
                { 1 },
                { 2, .changes = "arch-capabilities rdctl-no ibrs-all skip-l1dfl-vmentry mds-no" },
                { 3, .alias = "Cascadelake-Server-noTSX", .changes = "-hle -rtm" },
                { 4, .changes = "vmx-eptp-switching" },
                { 5, .changes = "xsaves vmx-xsaves" },
                { 0 } },
    },
    {
        .name = "ClearwaterForest",
        .vendor = "GenuineIntel",
        .family = 6,
        .model = 221,
        .stepping = 0,
        .level = 0x23,
        .xlevel = 0x80000008,
        .model_id = "Intel Xeon Processor (ClearwaterForest)",
        .features = VMX_CLEARWATERFOREST
        "fpu vme de pse tsc msr pae mce cx8 apic sep mtrr pge mca cmov pat pse36 "
        "clflush mmx fxsr sse sse2 ss pni pclmulqdq ssse3 fma cx16 pcid sse4.1 sse4.2 "
        "x2apic movbe popcnt tsc-deadline aes xsave avx f16c rdrand hypervisor arat "
        "fsgsbase tsc-adjust bmi1 avx2 smep bmi2 erms invpcid rdseed adx smap "
        "clflushopt clwb sha-ni umip pku gfni vaes vpclmulqdq rdpid bus-lock-detect "
        "cldemote movdiri movdir64b fsrm serialize spec-ctrl arch-capabilities ssbd "
        "sha512 sm3 sm4 avx-vnni cmpccxadd fsrs avx-ifma lam avx-vnni-int8 "
        "avx-ne-convert avx-vnni-int16 prefetchiti intel-psfd ipred-ctrl rrsba-ctrl "
        "ddpd-u bhi-ctrl mcdt-no xsaveopt xsavec xgetbv1 xsaves syscall nx pdpe1gb "
        "rdtscp lm lahf-lm abm 3dnowprefetch wbnoinvd rdctl-no ibrs-all "
        "skip-l1dfl-vmentry mds-no pschange-mc-no sbdr-ssdp-no fbsdp-no psdp-no bhi-no "
        "pbrsb-no gds-no rfds-no",
    },
    {
        .name = "Conroe",
        .vendor = "GenuineIntel",
        .family = 6,
        .model = 15,
        .stepping = 3,
        .level = 0xa,
        .xlevel = 0x80000008,
        .model_id = "Intel Celeron_4x0 (Conroe/Merom Class Core 2)",
        .features =
            VMX_CONROE "fpu vme de pse tsc msr pae mce cx8 apic sep mtrr pge mca cmov pat pse36 "
                       "clflush mmx fxsr sse sse2 pni ssse3 hypervisor syscall nx lm lahf-lm",
    },
    {
        .name = "Cooperlake",
        .vendor = "GenuineIntel",
        .family = 6,
        .model = 85,
        .stepping = 10,
        .level = 0xd,
        .xlevel = 0x80000008,
        .model_id = "Intel Xeon Processor (Cooperlake)",
        .features = VMX_BROADWELL
        "fpu vme de pse tsc msr pae mce cx8 apic sep mtrr pge mca cmov pat pse36 "
        "clflush mmx fxsr sse sse2 pni pclmulqdq ssse3 fma cx16 pcid sse4.1 sse4.2 "
        "x2apic movbe popcnt tsc-deadline aes xsave avx f16c rdrand hypervisor arat "
        "fsgsbase bmi1 hle avx2 smep bmi2 erms invpcid rtm avx512f avx512dq rdseed adx "
        "smap clflushopt clwb avx512cd avx512bw avx512vl pku avx512vnni spec-ctrl stibp "
        "arch-capabilities ssbd avx512-bf16 xsaveopt xsavec xgetbv1 syscall nx pdpe1gb "
        "rdtscp lm lahf-lm abm 3dnowprefetch rdctl-no ibrs-all skip-l1dfl-vmentry "
        "mds-no pschange-mc-no taa-no",
        .versions =
            (const X86ModelVersion[]){ { 1 }, { 2, .changes = "xsaves vmx-xsaves" }, { 0 } },
    },
    {
        .name = "core2duo",
        .vendor = "GenuineIntel",
        .family = 6,
        .model = 15,
        .stepping = 11,
        .level = 0xa,
        .xlevel = 0x80000008,
        .model_id = "Intel(R) Core(TM)2 Duo CPU     T7700  @ 2.40GHz",
        .features = VMX_CONROE
        "fpu vme de pse tsc msr pae mce cx8 apic sep mtrr pge mca cmov pat pse36 "
        "clflush acpi mmx fxsr sse sse2 ss pni monitor ssse3 cx16 hypervisor syscall nx "
        "lm lahf-lm",
    },
    {
        .name = "coreduo",
        .vendor = "GenuineIntel",
        .family = 6,
        .model = 14,
        .stepping = 8,
        .level = 0xa,
        .xlevel = 0x80000008,
        .model_id = "Genuine Intel(R) CPU           T2600  @ 2.16GHz",
        .features = VMX_KVM32
        "fpu vme de pse tsc msr pae mce cx8 apic sep mtrr pge mca cmov pat clflush acpi "
        "mmx fxsr sse sse2 ss pni monitor hypervisor nx",
    },
    {
        .name = "Denverton",
        .vendor = "GenuineIntel",
        .family = 6,
        .model = 95,
        .stepping = 1,
        .level = 0x15,
        .xlevel = 0x80000008,
        .model_id = "Intel Atom Processor (Denverton)",
        .features = VMX_DENVERTON
        "fpu vme de pse tsc msr pae mce cx8 apic sep mtrr pge mca cmov pat pse36 "
        "clflush mmx fxsr sse sse2 pni pclmulqdq monitor ssse3 cx16 sse4.1 sse4.2 "
        "x2apic movbe popcnt tsc-deadline aes xsave rdrand hypervisor arat fsgsbase "
        "smep erms mpx rdseed smap clflushopt sha-ni spec-ctrl arch-capabilities ssbd "
        "xsaveopt xsavec xgetbv1 syscall nx pdpe1gb rdtscp lm lahf-lm 3dnowprefetch "
        "rdctl-no skip-l1dfl-vmentry",
        .versions = (const X86ModelVersion[]){ { 1 },
                                               { 2, .changes = "-monitor -mpx" },
                                               { 3, .changes = "xsaves vmx-xsaves" },
                                               { 0 } },
    },
    {
        .name = "Dhyana",
        .vendor = "HygonGenuine",
        .family = 24,
        .model = 0,
        .stepping = 1,
        .level = 0xd,
        .xlevel = 0x8000001e,
        .model_id = "Hygon Dhyana Processor",
        .caches = &caches_epyc,
        .features = "fpu vme de pse tsc msr pae mce cx8 apic sep mtrr pge mca cmov pat pse36 "
                    "clflush mmx fxsr sse sse2 pni monitor ssse3 fma cx16 sse4.1 sse4.2 movbe "
                    "popcnt xsave avx f16c rdrand hypervisor arat fsgsbase bmi1 avx2 smep bmi2 "
                    "rdseed adx smap clflushopt xsaveopt xsavec xgetbv1 syscall nx mmxext fxsr-opt "
                    "pdpe1gb rdtscp lm lahf-lm svm cr8legacy abm sse4a misalignsse 3dnowprefetch "
                    "osvw topoext ibpb npt nrip-save",
        .versions = (const X86ModelVersion[]){ { 1 }, { 2, .changes = "xsaves" }, { 0 } },
    },
    {
        .name = "EPYC",
        .vendor = "AuthenticAMD",
        .family = 23,
        .model = 1,
        .stepping = 2,
        .level = 0xd,
        .xlevel = 0x8000001e,
        .model_id = "AMD EPYC Processor",
        .caches = &caches_epyc,
        .features =
            "fpu vme de pse tsc msr pae mce cx8 apic sep mtrr pge mca cmov pat pse36 "
            "clflush mmx fxsr sse sse2 pni pclmulqdq monitor ssse3 fma cx16 sse4.1 sse4.2 "
            "movbe popcnt aes xsave avx f16c rdrand hypervisor arat fsgsbase bmi1 avx2 smep "
            "bmi2 rdseed adx smap clflushopt sha-ni xsaveopt xsavec xgetbv1 syscall nx "
            "mmxext fxsr-opt pdpe1gb rdtscp lm lahf-lm svm cr8legacy abm sse4a misalignsse "
            "3dnowprefetch osvw topoext npt nrip-save",
        .versions =
            (const X86ModelVersion[]){ { 1 },
                                       { 2, .alias = "EPYC-IBPB",
                                         .model_id = "AMD EPYC Processor (with IBPB)",
                                         .changes = "ibpb" },
                                       { 3, .model_id = "AMD EPYC Processor",
                                         .changes = "xsaves perfctr-core clzero xsaveerptr" },
                                       { 4, .model_id = "AMD EPYC-v4 Processor" },
                                       { 0 } },
    },
    {
        .name = "EPYC-Genoa",
        .vendor = "AuthenticAMD",
        .family = 25,
        .model = 17,
        .stepping = 0,
        .level = 0xd,
        .xlevel = 0x80000022,
        .model_id = "AMD EPYC-Genoa Processor",
        .caches = &caches_genoa,
        .features =
            "fpu vme de pse tsc msr pae mce cx8 apic sep mtrr pge mca cmov pat pse36 "
            "clflush mmx fxsr sse sse2 pni pclmulqdq monitor ssse3 fma cx16 pcid sse4.1 "
            "sse4.2 movbe popcnt aes xsave avx f16c rdrand hypervisor arat fsgsbase bmi1 "
            "avx2 smep bmi2 erms invpcid avx512f avx512dq rdseed adx smap avx512ifma "
            "clflushopt clwb avx512cd sha-ni avx512bw avx512vl avx512vbmi umip pku "
            "avx512vbmi2 gfni vaes vpclmulqdq avx512vnni avx512bitalg avx512-vpopcntdq la57 "
            "rdpid fsrm avx512-bf16 xsaveopt xsavec xgetbv1 xsaves syscall nx mmxext "
            "fxsr-opt pdpe1gb rdtscp lm lahf-lm svm cr8legacy abm sse4a misalignsse "
            "3dnowprefetch osvw topoext perfctr-core clzero xsaveerptr wbnoinvd ibpb ibrs "
            "amd-stibp stibp-always-on amd-ssbd amd-psfd npt nrip-save vnmi svme-addr-chk "
            "no-nested-data-bp lfence-always-serializing null-sel-clr-base auto-ibrs",
    },
    {
        .name = "EPYC-Milan",
        .vendor = "AuthenticAMD",
        .family = 25,
        .model = 1,
        .stepping = 1,
        .level = 0xd,
        .xlevel = 0x8000001e,
        .model_id = "AMD EPYC-Milan Processor",
        .caches = &caches_milan,
        .features = "fpu vme de pse tsc msr pae mce cx8 apic sep mtrr pge mca cmov pat pse36 "
                    "clflush mmx fxsr sse sse2 pni pclmulqdq monitor ssse3 fma cx16 pcid sse4.1 "
                    "sse4.2 movbe popcnt aes xsave avx f16c rdrand hypervisor arat fsgsbase bmi1 "
                    "avx2 smep bmi2 erms invpcid rdseed adx smap clflushopt clwb sha-ni umip pku "
                    "rdpid fsrm xsaveopt xsavec xgetbv1 xsaves syscall nx mmxext fxsr-opt pdpe1gb "
                    "rdtscp lm lahf-lm svm cr8legacy abm sse4a misalignsse 3dnowprefetch osvw "
                    "topoext perfctr-core clzero xsaveerptr wbnoinvd ibpb ibrs amd-stibp amd-ssbd "
                    "npt nrip-save svme-addr-chk",
        .versions =
            (const X86ModelVersion[]){
                { 1 },
                { 2, .model_id = "AMD EPYC-Milan-v2 Processor",
                  .changes = "vaes vpclmulqdq stibp-always-on amd-psfd no-nested-data-bp "
                             "lfence-always-serializing null-sel-clr-base" },
                { 0 } },
    },
    {
        .name = "EPYC-Rome",
        .vendor = "AuthenticAMD",
        .family = 23,
        .model = 49,
        .stepping = 0,
        .level = 0xd,
        .xlevel = 0x8000001e,
        .model_id = "AMD EPYC-Rome Processor",
        .caches = &caches_rome,
        .features =
            "fpu vme de pse tsc msr pae mce cx8 apic sep mtrr pge mca cmov pat pse36 "
            "clflush mmx fxsr sse sse2 pni pclmulqdq monitor ssse3 fma cx16 sse4.1 sse4.2 "
            "movbe popcnt aes xsave avx f16c rdrand hypervisor arat fsgsbase bmi1 avx2 smep "
            "bmi2 rdseed adx smap clflushopt clwb sha-ni umip rdpid xsaveopt xsavec xgetbv1 "
            "xsaves syscall nx mmxext fxsr-opt pdpe1gb rdtscp lm lahf-lm svm cr8legacy abm "
            "sse4a misalignsse 3dnowprefetch osvw topoext perfctr-core clzero xsaveerptr "
            "wbnoinvd ibpb amd-stibp npt nrip-save",
        .versions =
            (const X86ModelVersion[]){
                { 1 },
                { 2, .changes = "ibrs amd-ssbd" },
                { 3, .model_id = "AMD EPYC-Rome-v3 Processor" },
                { 4, .model_id = "AMD EPYC-Rome-v4 Processor (no XSAVES)", .changes = "-xsaves" },
                { 0 } },
    },
    {
        .name = "GraniteRapids",
        .vendor = "GenuineIntel",
        .family = 6,
        .model = 173,
        .stepping = 0,
        .level = 0x20,
        .xlevel = 0x80000008,
        .model_id = "Intel Xeon Processor (GraniteRapids)",
        .features = VMX_GRANITERAPIDS
        "fpu vme de pse tsc msr pae mce cx8 apic sep mtrr pge mca cmov pat pse36 "
        "clflush mmx fxsr sse sse2 pni pclmulqdq ssse3 fma cx16 pcid sse4.1 sse4.2 "
        "x2apic movbe popcnt tsc-deadline aes xsave avx f16c rdrand hypervisor arat "
        "fsgsbase bmi1 hle avx2 smep bmi2 erms invpcid rtm avx512f avx512dq rdseed adx "
        "smap avx512ifma clflushopt clwb avx512cd sha-ni avx512bw avx512vl avx512vbmi "
        "umip pku avx512vbmi2 gfni vaes vpclmulqdq avx512vnni avx512bitalg "
        "avx512-vpopcntdq la57 rdpid bus-lock-detect fsrm serialize tsx-ldtrk amx-bf16 "
        "avx512-fp16 amx-tile amx-int8 spec-ctrl arch-capabilities ssbd avx-vnni "
        "avx512-bf16 fzrm fsrs fsrc amx-fp16 prefetchiti mcdt-no xsaveopt xsavec "
        "xgetbv1 xsaves xfd syscall nx pdpe1gb rdtscp lm lahf-lm abm 3dnowprefetch "
        "wbnoinvd rdctl-no ibrs-all skip-l1dfl-vmentry mds-no pschange-mc-no taa-no "
        "sbdr-ssdp-no fbsdp-no psdp-no pbrsb-no",
        .versions =
            (const X86ModelVersion[]){ { 1 },
                                       { 2, .changes = "ss tsc-adjust cldemote movdiri movdir64b "
                                                       "avx10 avx10-128 avx10-256 avx10-512 "
                                                       "stepping=1 avx10-version=1" },
                                       { 0 } },
    },
    {
        .name = "Haswell",
        .vendor = "GenuineIntel",
        .family = 6,
        .model = 60,
        .stepping = 4,
        .level = 0xd,
        .xlevel = 0x80000008,
        .model_id = "Intel Core Processor (Haswell)",
        .features = VMX_HASWELL
        "fpu vme de pse tsc msr pae mce cx8 apic sep mtrr pge mca cmov pat pse36 "
        "clflush mmx fxsr sse sse2 pni pclmulqdq ssse3 fma cx16 pcid sse4.1 sse4.2 "
        "x2apic movbe popcnt tsc-deadline aes xsave avx f16c rdrand hypervisor arat "
        "fsgsbase bmi1 hle avx2 smep bmi2 erms invpcid rtm xsaveopt syscall nx rdtscp "
        "lm lahf-lm abm",
        .versions =
            (const X86ModelVersion[]){
                { 1 },
                { 2, .alias = "Haswell-noTSX", .model_id = "Intel Core Processor (Haswell, no TSX)",
                  .changes = "-hle -rtm stepping=1" },
                { 3, .alias = "Haswell-IBRS", .model_id = "Intel Core Processor (Haswell, IBRS)",
                  .changes = "hle rtm spec-ctrl stepping=4" },
                { 4, .alias = "Haswell-noTSX-IBRS",
                  .model_id = "Intel Core Processor (Haswell, no TSX, IBRS)",
                  .changes = "-hle -rtm stepping=1" },
                { 0 } },
    },
    {
        .name = "Icelake-Server",
        .vendor = "GenuineIntel",
        .family = 6,
        .model = 134,
        .stepping = 0,
        .level = 0xd,
        .xlevel = 0x80000008,
        .model_id = "Intel Xeon Processor (Icelake)",
        .features = VMX_ICELAKE_SERVER
        "fpu vme de pse tsc msr pae mce cx8 apic sep mtrr pge mca cmov pat pse36 "
        "clflush mmx fxsr sse sse2 pni pclmulqdq ssse3 fma cx16 pcid sse4.1 sse4.2 "
        "x2apic movbe popcnt tsc-deadline aes xsave avx f16c rdrand hypervisor arat "
        "fsgsbase bmi1 hle avx2 smep bmi2 erms invpcid rtm avx512f avx512dq rdseed adx "
        "smap clflushopt clwb avx512cd avx512bw avx512vl avx512vbmi umip pku "
        "avx512vbmi2 gfni vaes vpclmulqdq avx512vnni avx512bitalg avx512-vpopcntdq la57 "
        "spec-ctrl ssbd xsaveopt xsavec xgetbv1 syscall nx pdpe1gb rdtscp lm lahf-lm "
        "abm 3dnowprefetch wbnoinvd",
        .versions =
            (const X86ModelVersion[]){
                { 1 },
                { 2, .alias = "Icelake-Server-noTSX", .changes = "-hle -rtm" },
                { 3, .changes = "arch-capabilities rdctl-no ibrs-all skip-l1dfl-vmentry mds-no "
                                "pschange-mc-no "
                                "taa-no" },
                { 4, .changes =
                         "avx512ifma sha-ni rdpid fsrm vmx-rdseed-exit vmx-pml vmx-eptp-switching "
                         "model=106" },
                { 5, .changes = "xsaves vmx-xsaves" },
                { 6, .changes = "vmx-page-walk-5" },
                { 7, .changes = "hle rtm" },
                { 0 } },
    },
    {
        .name = "IvyBridge",
        .vendor = "GenuineIntel",
        .family = 6,
        .model = 58,
        .stepping = 9,
        .level = 0xd,
        .xlevel = 0x80000008,
        .model_id = "Intel Xeon E3-12xx v2 (Ivy Bridge)",
        .features = VMX_IVYBRIDGE
        "fpu vme de pse tsc msr pae mce cx8 apic sep mtrr pge mca cmov pat pse36 "
        "clflush mmx fxsr sse sse2 pni pclmulqdq ssse3 cx16 sse4.1 sse4.2 x2apic popcnt "
        "tsc-deadline aes xsave avx f16c rdrand hypervisor arat fsgsbase smep erms "
        "xsaveopt syscall nx rdtscp lm lahf-lm",
        .versions =
            (const X86ModelVersion[]){ { 1 },
                                       { 2, .alias = "IvyBridge-IBRS",
                                         .model_id = "Intel Xeon E3-12xx v2 (Ivy Bridge, IBRS)",
                                         .changes = "spec-ctrl" },
                                       { 0 } },
    },
    {
        .name = "KnightsMill",
        .vendor = "GenuineIntel",
        .family = 6,
        .model = 133,
        .stepping = 0,
        .level = 0xd,
        .xlevel = 0x80000008,
        .model_id = "Intel Xeon Phi Processor (Knights Mill)",
        .features =
            "fpu vme de pse tsc msr pae mce cx8 apic sep mtrr pge mca cmov pat pse36 "
            "clflush mmx fxsr sse sse2 ss pni pclmulqdq ssse3 fma cx16 sse4.1 sse4.2 x2apic "
            "movbe popcnt tsc-deadline aes xsave avx f16c rdrand hypervisor arat fsgsbase "
            "bmi1 avx2 smep bmi2 erms avx512f rdseed adx avx512pf avx512er avx512cd "
            "avx512-vpopcntdq avx512-4vnniw avx512-4fmaps xsaveopt syscall nx pdpe1gb "
            "rdtscp lm lahf-lm abm 3dnowprefetch",
    },
    {
        .name = "kvm32",
        .vendor = "GenuineIntel",
        .family = 15,
        .model = 6,
        .stepping = 1,
        .level = 0x5,
        .xlevel = 0x80000008,
        .model_id = "Common 32-bit KVM processor",
        .features =
            VMX_KVM32 "fpu vme de pse tsc msr pae mce cx8 apic sep mtrr pge mca cmov pat pse36 "
                      "clflush mmx fxsr sse sse2 pni hypervisor",
    },
    {
        .name = "kvm64",
        .vendor = "GenuineIntel",
        .family = 15,
        .model = 6,
        .stepping = 1,
        .level = 0xd,
        .xlevel = 0x80000008,
        .model_id = "Common KVM processor",
        .features =
            VMX_KVM64 "fpu vme de pse tsc msr pae mce cx8 apic sep mtrr pge mca cmov pat pse36 "
                      "clflush mmx fxsr sse sse2 pni cx16 hypervisor syscall nx lm",
    },
    {
        .name = "n270",
        .vendor = "GenuineIntel",
        .family = 6,
        .model = 28,
        .stepping = 2,
        .level = 0xa,
        .xlevel = 0x80000008,
        .model_id = "Intel(R) Atom(TM) CPU N270   @ 1.60GHz",
        .features =
            "fpu vme de pse tsc msr pae mce cx8 apic sep mtrr pge mca cmov pat clflush acpi "
            "mmx fxsr sse sse2 ss pni monitor ssse3 movbe hypervisor nx lahf-lm",
    },
    {
        .name = "Nehalem",
        .vendor = "GenuineIntel",
        .family = 6,
        .model = 26,
        .stepping = 3,
        .level = 0xb,
        .xlevel = 0x80000008,
        .model_id = "Intel Core i7 9xx (Nehalem Class Core i7)",
        .features =
            VMX_NEHALEM "fpu vme de pse tsc msr pae mce cx8 apic sep mtrr pge mca cmov pat pse36 "
                        "clflush mmx fxsr sse sse2 pni ssse3 cx16 sse4.1 sse4.2 popcnt hypervisor "
                        "syscall nx lm lahf-lm",
        .versions =
            (const X86ModelVersion[]){
                { 1 },
                { 2, .alias = "Nehalem-IBRS",
                  .model_id = "Intel Core i7 9xx (Nehalem Core i7, IBRS update)",
                  .changes = "spec-ctrl" },
                { 0 } },
    },
    {
        .name = "Opteron_G1",
        .vendor = "AuthenticAMD",
        .family = 15,
        .model = 6,
        .stepping = 1,
        .level = 0x5,
        .xlevel = 0x80000008,
        .model_id = "AMD Opteron 240 (Gen 1 Class Opteron)",
        .features = "fpu vme de pse tsc msr pae mce cx8 apic sep mtrr pge mca cmov pat pse36 "
                    "clflush mmx fxsr sse sse2 pni hypervisor syscall nx lm",
    },
    {
        .name = "Opteron_G2",
        .vendor = "AuthenticAMD",
        .family = 15,
        .model = 6,
        .stepping = 1,
        .level = 0x5,
        .xlevel = 0x80000008,
        .model_id = "AMD Opteron 22xx (Gen 2 Class Opteron)",
        .features = "fpu vme de pse tsc msr pae mce cx8 apic sep mtrr pge mca cmov pat pse36 "
                    "clflush mmx fxsr sse sse2 pni cx16 hypervisor syscall nx lm lahf-lm svm",
    },
    {
        .name = "Opteron_G3",
        .vendor = "AuthenticAMD",
        .family = 16,
        .model = 2,
        .stepping = 3,
        .level = 0x5,
        .xlevel = 0x80000008,
        .model_id = "AMD Opteron 23xx (Gen 3 Class Opteron)",
        .features =
            "fpu vme de pse tsc msr pae mce cx8 apic sep mtrr pge mca cmov pat pse36 "
            "clflush mmx fxsr sse sse2 pni monitor cx16 popcnt hypervisor syscall nx rdtscp "
            "lm lahf-lm svm abm sse4a misalignsse",
    },
    {
        .name = "Opteron_G4",
        .vendor = "AuthenticAMD",
        .family = 21,
        .model = 1,
        .stepping = 2,
        .level = 0xd,
        .xlevel = 0x8000001a,
        .model_id = "AMD Opteron 62xx class CPU",
        .features = "fpu vme de pse tsc msr pae mce cx8 apic sep mtrr pge mca cmov pat pse36 "
                    "clflush mmx fxsr sse sse2 pni pclmulqdq ssse3 cx16 sse4.1 sse4.2 popcnt aes "
                    "xsave avx hypervisor syscall nx pdpe1gb rdtscp lm lahf-lm svm abm sse4a "
                    "misalignsse 3dnowprefetch xop fma4 npt nrip-save",
    },
    {
        .name = "Opteron_G5",
        .vendor = "AuthenticAMD",
        .family = 21,
        .model = 2,
        .stepping = 0,
        .level = 0xd,
        .xlevel = 0x8000001a,
        .model_id = "AMD Opteron 63xx class CPU",
        .features = "fpu vme de pse tsc msr pae mce cx8 apic sep mtrr pge mca cmov pat pse36 "
                    "clflush mmx fxsr sse sse2 pni pclmulqdq ssse3 fma cx16 sse4.1 sse4.2 popcnt "
                    "aes xsave avx f16c hypervisor syscall nx pdpe1gb rdtscp lm lahf-lm svm abm "
                    "sse4a misalignsse 3dnowprefetch xop fma4 tbm npt nrip-save",
    },
    {
        .name = "Penryn",
        .vendor = "GenuineIntel",
        .family = 6,
        .model = 23,
        .stepping = 3,
        .level = 0xa,
        .xlevel = 0x80000008,
        .model_id = "Intel Core 2 Duo P9xxx (Penryn Class Core 2)",
        .features =
            VMX_PENRYN "fpu vme de pse tsc msr pae mce cx8 apic sep mtrr pge mca cmov pat pse36 "
                       "clflush mmx fxsr sse sse2 pni ssse3 cx16 sse4.1 hypervisor syscall nx lm "
                       "lahf-lm",
    },
    {
        .name = "pentium",
        .vendor = "GenuineIntel",
        .family = 5,
        .model = 4,
        .stepping = 3,
        .level = 0x1,
        .xlevel = 0x0,
        .features = "fpu vme de pse tsc msr mce cx8 apic mmx hypervisor",
    },
    {
        .name = "pentium2",
        .vendor = "GenuineIntel",
        .family = 6,
        .model = 5,
        .stepping = 2,
        .level = 0x2,
        .xlevel = 0x0,
        .features = "fpu vme de pse tsc msr pae mce cx8 apic sep mtrr pge mca cmov pat pse36 mmx "
                    "fxsr hypervisor",
    },
    {
        .name = "pentium3",
        .vendor = "GenuineIntel",
        .family = 6,
        .model = 7,
        .stepping = 3,
        .level = 0x3,
        .xlevel = 0x0,
        .features = "fpu vme de pse tsc msr pae mce cx8 apic sep mtrr pge mca cmov pat pse36 mmx "
                    "fxsr sse hypervisor",
    },
    {
        .name = "phenom",
        .vendor = "AuthenticAMD",
        .family = 16,
        .model = 2,
        .stepping = 3,
        .level = 0x5,
        .xlevel = 0x8000001a,
        .model_id = "AMD Phenom(tm) 9550 Quad-Core Processor",
        .features =
            "fpu vme de pse tsc msr pae mce cx8 apic sep mtrr pge mca cmov pat pse36 "
            "clflush mmx fxsr sse sse2 pni monitor cx16 popcnt hypervisor syscall nx mmxext "
            "fxsr-opt pdpe1gb rdtscp lm 3dnowext 3dnow lahf-lm svm abm sse4a npt",
    },
    {
        .name = "qemu32",
        .vendor = "GenuineIntel",
        .family = 6,
        .model = 6,
        .stepping = 3,
        .level = 0x4,
        .xlevel = 0x80000004,
        .model_id = "QEMU Virtual CPU version 2.5+",
        .features = "fpu de pse tsc msr pae mce cx8 apic sep pge cmov pat mmx fxsr sse sse2 pni "
                    "hypervisor",
    },
    {
        .name = "qemu64",
        .vendor = "AuthenticAMD",
        .family = 15,
        .model = 107,
        .stepping = 1,
        .level = 0xd,
        .xlevel = 0x8000000a,
        .model_id = "QEMU Virtual CPU version 2.5+",
        .features = "fpu de pse tsc msr pae mce cx8 apic sep mtrr pge mca cmov pat pse36 clflush "
                    "mmx fxsr sse sse2 pni cx16 hypervisor syscall nx lm lahf-lm svm",
    },
    {
        .name = "SandyBridge",
        .vendor = "GenuineIntel",
        .family = 6,
        .model = 42,
        .stepping = 1,
        .level = 0xd,
        .xlevel = 0x80000008,
        .model_id = "Intel Xeon E312xx (Sandy Bridge)",
        .features = VMX_SANDYBRIDGE
        "fpu vme de pse tsc msr pae mce cx8 apic sep mtrr pge mca cmov pat pse36 "
        "clflush mmx fxsr sse sse2 pni pclmulqdq ssse3 cx16 sse4.1 sse4.2 x2apic popcnt "
        "tsc-deadline aes xsave avx hypervisor arat xsaveopt syscall nx rdtscp lm "
        "lahf-lm",
        .versions =
            (const X86ModelVersion[]){
                { 1 },
                { 2, .alias = "SandyBridge-IBRS",
                  .model_id = "Intel Xeon E312xx (Sandy Bridge, IBRS update)",
                  .changes = "spec-ctrl" },
                { 0 } },
    },
    {
        .name = "SapphireRapids",
        .vendor = "GenuineIntel",
        .family = 6,
        .model = 143,
        .stepping = 4,
        .level = 0x20,
        .xlevel = 0x80000008,
        .model_id = "Intel Xeon Processor (SapphireRapids)",
        .features = VMX_GRANITERAPIDS
        "fpu vme de pse tsc msr pae mce cx8 apic sep mtrr pge mca cmov pat pse36 "
        "clflush mmx fxsr sse sse2 pni pclmulqdq ssse3 fma cx16 pcid sse4.1 sse4.2 "
        "x2apic movbe popcnt tsc-deadline aes xsave avx f16c rdrand hypervisor arat "
        "fsgsbase bmi1 hle avx2 smep bmi2 erms invpcid rtm avx512f avx512dq rdseed adx "
        "smap avx512ifma clflushopt clwb avx512cd sha-ni avx512bw avx512vl avx512vbmi "
        "umip pku avx512vbmi2 gfni vaes vpclmulqdq avx512vnni avx512bitalg "
        "avx512-vpopcntdq la57 rdpid bus-lock-detect fsrm serialize tsx-ldtrk amx-bf16 "
        "avx512-fp16 amx-tile amx-int8 spec-ctrl arch-capabilities ssbd avx-vnni "
        "avx512-bf16 fzrm fsrs fsrc xsaveopt xsavec xgetbv1 xsaves xfd syscall nx "
        "pdpe1gb rdtscp lm lahf-lm abm 3dnowprefetch wbnoinvd rdctl-no ibrs-all "
        "skip-l1dfl-vmentry mds-no pschange-mc-no taa-no",
        .versions =
            (const X86ModelVersion[]){ { 1 },
                                       { 2, .changes = "sbdr-ssdp-no fbsdp-no psdp-no" },
                                       { 3, .changes = "ss tsc-adjust cldemote movdiri movdir64b" },
                                       { 0 } },
    },
    {
        .name = "SierraForest",
        .vendor = "GenuineIntel",
        .family = 6,
        .model = 175,
        .stepping = 0,
        .level = 0x23,
        .xlevel = 0x80000008,
        .model_id = "Intel Xeon Processor (SierraForest)",
        .features = VMX_CLEARWATERFOREST
        "fpu vme de pse tsc msr pae mce cx8 apic sep mtrr pge mca cmov pat pse36 "
        "clflush mmx fxsr sse sse2 pni pclmulqdq ssse3 fma cx16 pcid sse4.1 sse4.2 "
        "x2apic movbe popcnt tsc-deadline aes xsave avx f16c rdrand hypervisor arat "
        "fsgsbase bmi1 avx2 smep bmi2 erms invpcid rdseed adx smap clflushopt clwb "
        "sha-ni umip pku gfni vaes vpclmulqdq rdpid bus-lock-detect fsrm serialize "
        "spec-ctrl arch-capabilities ssbd avx-vnni cmpccxadd fsrs avx-ifma "
        "avx-vnni-int8 avx-ne-convert mcdt-no xsaveopt xsavec xgetbv1 xsaves syscall nx "
        "pdpe1gb rdtscp lm lahf-lm abm 3dnowprefetch wbnoinvd rdctl-no ibrs-all "
        "skip-l1dfl-vmentry mds-no pschange-mc-no sbdr-ssdp-no fbsdp-no psdp-no "
        "pbrsb-no",
        .versions =
            (const X86ModelVersion[]){ { 1 },
                                       { 2, .changes = "ss tsc-adjust cldemote movdiri movdir64b "
                                                       "lam intel-psfd ipred-ctrl rrsba-ctrl "
                                                       "bhi-ctrl gds-no rfds-no stepping=3" },
                                       { 0 } },
    },
    {
        .name = "Skylake-Client",
        .vendor = "GenuineIntel",
        .family = 6,
        .model = 94,
        .stepping = 3,
        .level = 0xd,
        .xlevel = 0x80000008,
        .model_id = "Intel Core Processor (Skylake)",
        .features = VMX_SKYLAKE_CLIENT
        "fpu vme de pse tsc msr pae mce cx8 apic sep mtrr pge mca cmov pat pse36 "
        "clflush mmx fxsr sse sse2 pni pclmulqdq ssse3 fma cx16 pcid sse4.1 sse4.2 "
        "x2apic movbe popcnt tsc-deadline aes xsave avx f16c rdrand hypervisor arat "
        "fsgsbase bmi1 hle avx2 smep bmi2 erms invpcid rtm rdseed adx smap xsaveopt "
        "xsavec xgetbv1 syscall nx rdtscp lm lahf-lm abm 3dnowprefetch",
        .versions =
            (const X86ModelVersion[]){ { 1 },
                                       { 2, .alias = "Skylake-Client-IBRS",
                                         .model_id = "Intel Core Processor (Skylake, IBRS)",
                                         .changes = "spec-ctrl" },
                                       { 3, .alias = "Skylake-Client-noTSX-IBRS",
                                         .model_id = "Intel Core Processor (Skylake, IBRS, no TSX)",
                                         .changes = "-hle -rtm" },
                                       { 4, .changes = "xsaves vmx-xsaves" },
                                       { 0 } },
    },
    {
        .name = "Skylake-Server",
        .vendor = "GenuineIntel",
        .family = 6,
        .model = 85,
        .stepping = 4,
        .level = 0xd,
        .xlevel = 0x80000008,
        .model_id = "Intel Xeon Processor (Skylake)",
        .features = VMX_CASCADELAKE_SERVER
        "fpu vme de pse tsc msr pae mce cx8 apic sep mtrr pge mca cmov pat pse36 "
        "clflush mmx fxsr sse sse2 pni pclmulqdq ssse3 fma cx16 pcid sse4.1 sse4.2 "
        "x2apic movbe popcnt tsc-deadline aes xsave avx f16c rdrand hypervisor arat "
        "fsgsbase bmi1 hle avx2 smep bmi2 erms invpcid rtm avx512f avx512dq rdseed adx "
        "smap clflushopt clwb avx512cd avx512bw avx512vl pku xsaveopt xsavec xgetbv1 "
        "syscall nx pdpe1gb rdtscp lm lahf-lm abm 3dnowprefetch",
        .versions =
            (const X86ModelVersion[]){ { 1 },
                                       { 2, .alias = "Skylake-Server-IBRS",
                                         .model_id = "Intel Xeon Processor (Skylake, IBRS)",
                                         .changes = "-clflushopt spec-ctrl" },
                                       { 3, .alias = "Skylake-Server-noTSX-IBRS",
                                         .model_id = "Intel Xeon Processor (Skylake, IBRS, no TSX)",
                                         .changes = "-hle -rtm" },
                                       { 4, .changes = "vmx-eptp-switching" },
                                       { 5, .changes = "xsaves vmx-xsaves" },
                                       { 0 } },
    },
    {
        .name = "Snowridge",
        .vendor = "GenuineIntel",
        .family = 6,
        .model = 134,
        .stepping = 1,
        .level = 0x1b,
        .xlevel = 0x80000008,
        .model_id = "Intel Atom Processor (SnowRidge)",
        .features = VMX_DENVERTON
        "fpu vme de pse tsc msr pae mce cx8 apic sep mtrr pge mca cmov pat pse36 "
        "clflush mmx fxsr sse sse2 pni pclmulqdq monitor ssse3 cx16 sse4.1 sse4.2 "
        "x2apic movbe popcnt tsc-deadline aes xsave rdrand hypervisor arat fsgsbase "
        "smep erms mpx rdseed smap clflushopt clwb sha-ni umip gfni cldemote movdiri "
        "movdir64b spec-ctrl arch-capabilities core-capability ssbd xsaveopt xsavec "
        "xgetbv1 syscall nx pdpe1gb rdtscp lm lahf-lm 3dnowprefetch split-lock-detect",
        .versions =
            (const X86ModelVersion[]){
                { 1 },
                { 2, .model_id = "Intel Atom Processor (Snowridge, no MPX)", .changes = "-mpx" },
                { 3, .changes = "xsaves vmx-xsaves" },
                { 4, .changes = "-core-capability -split-lock-detect" },
                { 0 } },
    },
    {
        .name = "Westmere",
        .vendor = "GenuineIntel",
        .family = 6,
        .model = 44,
        .stepping = 1,
        .level = 0xb,
        .xlevel = 0x80000008,
        .model_id = "Westmere E56xx/L56xx/X56xx (Nehalem-C)",
        .features = VMX_WESTMERE
        "fpu vme de pse tsc msr pae mce cx8 apic sep mtrr pge mca cmov pat pse36 "
        "clflush mmx fxsr sse sse2 pni pclmulqdq ssse3 cx16 sse4.1 sse4.2 popcnt aes "
        "hypervisor arat syscall nx lm lahf-lm",
        .versions =
            (const X86ModelVersion[]){ { 1 },
                                       { 2, .alias = "Westmere-IBRS",
                                         .model_id = "Westmere E56xx/L56xx/X56xx (IBRS update)",
                                         .changes = "spec-ctrl" },
                                       { 0 } },
    },
    {
        .name = "YongFeng",
        .vendor = "CentaurHauls",
        .family = 7,
        .model = 11,
        .stepping = 3,
        .level = 0x1f,
        .xlevel = 0x80000008,
        .xlevel2 = 0xc0000001,
        .model_id = "Zhaoxin YongFeng Processor",
        .features = VMX_YONGFENG
        "fpu vme de pse tsc msr pae mce cx8 apic sep mtrr pge mca cmov pat pse36 "
        "clflush acpi mmx fxsr sse sse2 ss pni pclmulqdq monitor ssse3 fma cx16 pcid "
        "sse4.1 sse4.2 x2apic movbe popcnt tsc-deadline aes xsave avx f16c rdrand "
        "hypervisor fsgsbase bmi1 avx2 smep bmi2 invpcid rdseed adx smap sha-ni umip "
        "pku rdpid spec-ctrl arch-capabilities xsaveopt syscall nx pdpe1gb rdtscp lm "
        "lahf-lm abm 3dnowprefetch invtsc xstore xstore-en xcrypt xcrypt-en ace2 phe "
        "phe-en pmm pmm-en rdctl-no skip-l1dfl-vmentry ssb-no mds-no pschange-mc-no",
        .versions = (const X86ModelVersion[]){ { 1 }, { 2, .changes = "model=91" }, { 0 } },
    },
    {},
};
