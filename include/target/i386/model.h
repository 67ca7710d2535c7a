/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * CPU models: what a processor says of itself. A model is a vendor's processor under a name that libvirt and users know
 * ("Haswell", "EPYC-Milan-v2"); properties change it (-cpu NAME,+feature,-feature,key=value).
 *
 * W1  features is what was asked for until the processor is realized, and then what the guest gets.
 * W2  What the user said of a feature (user_features) is never changed without a word: if the accelerator cannot give
 *     it, check warns and enforce refuses.
 * W3  Named models are the same on every host. host and max are whatever the host has.
 */
#ifndef TARGET_I386_MODEL_H
#define TARGET_I386_MODEL_H

#include <json-c/json.h>
#include "hw/core/device.h"
#include "target/i386/features.h"

struct X86Cpu;

typedef enum X86CacheType {
    X86_CACHE_NONE,
    X86_CACHE_DATA,
    X86_CACHE_CODE,
    X86_CACHE_UNIFIED
} X86CacheType;

/* A cache as CPUID leaf 4 and 8000001DH describe it. */
typedef struct X86Cache {
    X86CacheType type;
    unsigned level;
    unsigned size;      /* bytes */
    unsigned line_size; /* bytes */
    unsigned associativity;
    unsigned partitions;    /* physical line partitions */
    unsigned lines_per_tag; /* as leaves 80000005H and 80000006H have it */
    bool self_initializing;
    bool no_invd_sharing; /* WBINVD does not reach those of other threads that share it */
    bool inclusive;
    bool complex_indexing;
    enum { X86_SHARE_THREAD, X86_SHARE_CORE, X86_SHARE_DIE } share;
} X86Cache;

typedef struct X86Caches {
    X86Cache l1d, l1i, l2, l3;
} X86Caches;

typedef struct X86ModelVersion {
    int version;          /* 0 ends the list */
    const char *alias;    /* another name, or NULL */
    const char *model_id; /* NULL: as the version before */
    const char *changes;  /* "feature -feature key=value" against the version before, or NULL */
} X86ModelVersion;

typedef struct X86ModelDef {
    const char *name;
    const char *vendor;
    unsigned family, model, stepping;
    uint32_t level, xlevel, xlevel2;
    const char *model_id;
    const X86Caches *caches;         /* NULL: those that all processors had once */
    const char *features;            /* names */
    const X86ModelVersion *versions; /* NULL: version 1 is all there is */
} X86ModelDef;

extern const X86ModelDef x86_model_defs[]; /* ended by one without a name */

typedef enum X86ModelKind {
    X86_MODEL_NAMED,
    X86_MODEL_BASE, /* nothing at all */
    X86_MODEL_MAX,  /* everything that the accelerator gives */
    X86_MODEL_HOST, /* the same, and the host's identity */
} X86ModelKind;

/* A type of processor. */
typedef struct X86ModelType {
    DeviceType device; /* "Haswell-v2-x86_64-cpu" */
    const char *name;  /* "Haswell-v2", as -cpu says it */
    X86ModelKind kind;
    const X86ModelDef *def;
    int version;          /* of the definition; 0 for kinds without */
    const char *alias_of; /* the versioned name if this is another one for it */
} X86ModelType;

/* The part of X86Cpu that a model is. */
typedef struct X86Model {
    uint64_t features[X86_FEATURE_WORDS];
    uint64_t user_features[X86_FEATURE_WORDS]; /* bits that the user has turned on or off */
    uint64_t filtered[X86_FEATURE_WORDS];      /* bits that were asked for and are not there */
    char *vendor;                              /* twelve characters */
    char *model_id;
    bool vendor_set; /* by the user */
    uint32_t family, model, stepping;
    uint32_t level, xlevel, xlevel2; /* UINT32_MAX: by the features */
    uint32_t min_level, min_xlevel, min_xlevel2;
    uint32_t level_func7, avx10_version;
    const X86Caches *caches;
    uint32_t phys_bits, guest_phys_bits, host_phys_bits_limit;
    uint64_t tsc_frequency; /* Hz; 0: the host's */
    uint64_t ucode_rev;
    int32_t socket_id, die_id, module_id, core_id, thread_id, node_id;
    bool check, enforce;
    bool host_phys_bits, migratable, expose_kvm, expose_tcg, kvm_enforce_cpuid;
    bool l3_cache, legacy_cache, host_cache_info;
    bool cpuid_0xb, full_auto_level, vendor_cpuid_only, vmware_freq, intel_pt_auto_level;
    bool l1_per_thread, topoext_features_only, legacy_multi_node;
    bool pmu, lmce, fill_mtrr_mask;
    bool expanded;                 /* features and levels are final */
    unsigned dies, cores, threads; /* per socket, die, core */
} X86Model;

/* All types that -cpu knows, sorted by name. */
typedef void X86ModelTypeFunc(const X86ModelType *type, void *opaque);
void x86_model_foreach(X86ModelTypeFunc *func, void *opaque);
const X86ModelType *x86_model_by_name(const char *name);
/* The model's type of a processor. */
const X86ModelType *x86_model_type(const struct X86Cpu *cpu);

/* Turns what was asked for into what there is, except for filtering: defaults of the accelerator, host and max, what one
 * feature needs of another, levels. */
bool x86_model_expand(struct X86Cpu *cpu, GError **error);
/* Takes away what the accelerator cannot give and notes it in filtered. */
void x86_model_filter(struct X86Cpu *cpu);
/* Both, warnings (check) and refusal (enforce), address widths. For a processor's realize. */
bool x86_model_realize(struct X86Cpu *cpu, GError **error);

static inline bool x86_model_has(const X86Model *model, X86FeatureWord word, unsigned bit)
{
    return model->features[word] >> bit & 1;
}

/* -cpu: "MODEL[,+FEATURE][,-FEATURE][,KEY=VALUE]". Returns the type; the properties become those of every processor
 * that the machine makes. */
const X86ModelType *x86_model_parse(const char *text, GError **error);
/* What -cpu help prints. New string. */
char *x86_model_help(void);

/* ---- topology -------------------------------------------------------------------------------------------- */

/* The APIC id of processor number index when each socket has so many dies, cores and threads: each part has as many bits
 * as its largest number needs (SDM vol. 3 10.4.6, "Hierarchical Mapping of Shared Resources"). */
uint32_t x86_topology_apic_id(unsigned dies, unsigned cores, unsigned threads, unsigned index);
/* Widths of the parts below: bits of the thread; thread and core; thread, core and die. */
void x86_topology_shifts(unsigned dies, unsigned cores, unsigned threads, unsigned shifts[3]);

#endif
