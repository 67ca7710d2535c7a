/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The features of x86 processors: words of bits, each a register of a CPUID leaf or an MSR that the guest can read, and
 * a name for each bit (features.def).
 */
#ifndef TARGET_I386_FEATURES_H
#define TARGET_I386_FEATURES_H

#include <glib.h>
#include <stdint.h>

enum { X86_EAX, X86_EBX, X86_ECX, X86_EDX };

typedef enum X86FeatureWord {
#define WORD(word, leaf, subleaf, reg) word,
#define MSR_WORD(word, msr) word,
#define NAME(bit, names)
#define END
#include "target/i386/features.def"
#undef WORD
#undef MSR_WORD
#undef NAME
#undef END
    X86_FEATURE_WORDS
} X86FeatureWord;

typedef struct X86FeatureWordInfo {
    uint32_t leaf, subleaf;
    unsigned reg;          /* X86_EAX… */
    uint32_t msr;          /* 0: it is a register of a leaf */
    const char *names[64]; /* "a|b": two names of one bit; NULL: none */
} X86FeatureWordInfo;

extern const X86FeatureWordInfo x86_feature_words[X86_FEATURE_WORDS];

/* A feature of one name: usually one bit, two for kvmclock. */
typedef struct X86Feature {
    const char *name; /* '-' between words; users may write '_' as well */
    X86FeatureWord word;
    uint64_t mask;
    bool alias; /* another name of a feature that is in the list already */
} X86Feature;

/* All features, by word and bit. */
const X86Feature *x86_features(unsigned *n);
const X86Feature *x86_feature_by_name(const char *name);
/* "CPUID.07H:EBX" or "MSR(10AH)": as warnings name a word. New string. */
char *x86_feature_word_name(X86FeatureWord word);
/* The first name of a bit, new string; NULL if it has none. */
char *x86_feature_bit_name(X86FeatureWord word, unsigned bit);

#endif
