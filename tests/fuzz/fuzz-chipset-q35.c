/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The same for the other board. */
#include "util/osdep.h"

#define FUZZ_MACHINE "pc-q35-10.0"
#include "fuzz-chipset.c"
