/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What every fuzz target defines; libFuzzer's interface (llvm.org/docs/LibFuzzer.html). */
#ifndef TESTS_FUZZ_H
#define TESTS_FUZZ_H

#include <stddef.h>
#include <stdint.h>

/*
 * Feeds one input to the parser under test. Must not keep anything from one call to the next, so that an
 * input that fails does so alone. Returns 0.
 */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#endif
