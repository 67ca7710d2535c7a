/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What the files about models share. */
#ifndef TARGET_I386_MODEL_INTERNAL_H
#define TARGET_I386_MODEL_INTERNAL_H

#include "target/i386/model.h"

extern Property x86_cpu_properties[];
extern const Property x86_host_properties[]; /* of host and max besides */
extern const DeviceCompat x86_cpu_compat[];
/* What all processors had that have no caches of their own in their model: as leaf 4, leaf 2 and 8000000xH show it. */
extern const X86Caches x86_legacy_caches, x86_legacy_caches_leaf2, x86_legacy_caches_amd;

/* What the accelerator can give of a word. */
uint64_t x86_supported_features(X86FeatureWord word);
/* Bits that would make a machine with host or max impossible to migrate. */
uint64_t x86_unmigratable_features(X86FeatureWord word);

#endif
