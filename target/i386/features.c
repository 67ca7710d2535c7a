/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Names of features; see the header. */
#include "util/osdep.h"
#include "target/i386/features.h"

const X86FeatureWordInfo x86_feature_words[X86_FEATURE_WORDS] = {
#define WORD(word, leaf_, subleaf_, reg_) \
    [word] = { .leaf = (leaf_), .subleaf = (subleaf_), .reg = (reg_), .names = {
#define MSR_WORD(word, msr_) [word] = { .msr = (msr_), .names = {
#define NAME(bit, name) [bit] = (name),
#define END \
    }       \
    }       \
    ,
#include "target/i386/features.def"
#undef WORD
#undef MSR_WORD
#undef NAME
#undef END
};

static X86Feature *features;
static unsigned n_features;
static GHashTable *by_name;

static void add(const char *name, X86FeatureWord word, unsigned bit, bool alias)
{
    uint64_t mask = UINT64_C(1) << bit;

    for (unsigned i = 0; i < n_features; i++) {
        if (features[i].word == word && !strcmp(features[i].name, name)) {
            features[i].mask |= mask;
            return;
        }
    }
    features[n_features++] = (X86Feature){ g_intern_string(name), word, mask, alias };
}

static void build(void)
{
    features = g_new0(X86Feature, X86_FEATURE_WORDS * 64);
    for (X86FeatureWord word = 0; word < X86_FEATURE_WORDS; word++) {
        for (unsigned bit = 0; bit < 64; bit++) {
            const char *names = x86_feature_words[word].names[bit];
            g_auto(GStrv) list = names ? g_strsplit(names, "|", -1) : NULL;

            for (unsigned i = 0; list && list[i]; i++) {
                add(list[i], word, bit, i > 0);
            }
        }
    }
    features = g_renew(X86Feature, features, n_features);
    by_name = g_hash_table_new(g_str_hash, g_str_equal);
    for (unsigned i = 0; i < n_features; i++) {
        g_hash_table_insert(by_name, (gpointer)features[i].name, &features[i]);
    }
}

const X86Feature *x86_features(unsigned *n)
{
    if (!features) {
        build();
    }
    *n = n_features;
    return features;
}

const X86Feature *x86_feature_by_name(const char *name)
{
    g_autofree char *plain = g_strdelimit(g_strdup(name), "_", '-');
    unsigned n;

    x86_features(&n);
    return g_hash_table_lookup(by_name, plain);
}

char *x86_feature_word_name(X86FeatureWord word)
{
    static const char *const registers[] = { "EAX", "EBX", "ECX", "EDX" };
    const X86FeatureWordInfo *info = &x86_feature_words[word];

    return info->msr ? g_strdup_printf("MSR(%XH)", info->msr)
                     : g_strdup_printf("CPUID.%02XH:%s", info->leaf, registers[info->reg]);
}

char *x86_feature_bit_name(X86FeatureWord word, unsigned bit)
{
    const char *names = x86_feature_words[word].names[bit];

    return names ? g_strndup(names, strcspn(names, "|")) : NULL;
}
