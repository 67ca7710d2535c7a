/* SPDX-License-Identifier: GPL-2.0-or-later */
/* -numa: into the machine, when memory backends exist. */
#ifndef SYSTEM_MAIN_NUMA_OPTIONS_H
#define SYSTEM_MAIN_NUMA_OPTIONS_H

#include "hw/core/machine.h"
#include "options.h"

/* Prints what is wrong. */
bool numa_from_options(const Options *options, Machine *machine);

#endif
