/* SPDX-License-Identifier: GPL-2.0-or-later */
/* -display, -vga, -vnc, -k, and what ties ui/ to the run state. */
#ifndef SYSTEM_MAIN_DISPLAY_OPTIONS_H
#define SYSTEM_MAIN_DISPLAY_OPTIONS_H

#include "hw/core/machine.h"
#include "options.h"

OptionFunc display_option, vga_option, keymap_option;
/* What -vga and -device say about the machine's card. */
void display_machine_options(const Options *options, Machine *machine);
/* Input counts while the machine runs, and is let go of before it moves. Once, before devices. */
void display_init(void);
/* VNC servers begin to listen: the devices exist. Prints what is wrong and returns false. */
bool display_start(void);

#endif
