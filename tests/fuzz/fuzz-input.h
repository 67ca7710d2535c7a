/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The bytes of an input, taken one after the other. */
#ifndef TESTS_FUZZ_INPUT_H
#define TESTS_FUZZ_INPUT_H

#include <stddef.h>
#include <stdint.h>

typedef struct Input {
    const uint8_t *data;
    size_t left;
} Input;

/* The next bytes (at most 4), the lowest first; zeros behind the end. */
static inline uint32_t take(Input *in, unsigned bytes)
{
    uint32_t value = 0;

    for (unsigned i = 0; i < bytes; i++) {
        value |= (in->left ? *in->data : 0u) << i * 8;
        in->data += in->left > 0;
        in->left -= in->left > 0;
    }
    return value;
}

#endif
