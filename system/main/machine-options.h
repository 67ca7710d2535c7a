/* SPDX-License-Identifier: GPL-2.0-or-later */
/* -machine, -accel, -m, -smp: from options to a machine that is configured and not yet built. */
#ifndef SYSTEM_MAIN_MACHINE_OPTIONS_H
#define SYSTEM_MAIN_MACHINE_OPTIONS_H

#include "hw/core/machine.h"
#include "options.h"

/* Prints help if -machine or -accel ask for it; true: the program is done. */
bool machine_options_help(const Options *options);
/* The machine type; NULL after printing why there is none. */
const MachineType *machine_type_from_options(const Options *options);
/* The machine with its properties, at /machine, once globals are there; NULL after printing why not. */
Machine *machine_from_options(const Options *options, const MachineType *type);
/* Chooses and starts the accelerator. Prints why not. */
bool accel_from_options(const Options *options, Machine *machine);

#endif
