/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Displays of the command line, and what ties ui/ to the run state. */
#ifndef SYSTEM_MAIN_DISPLAY_OPTIONS_H
#define SYSTEM_MAIN_DISPLAY_OPTIONS_H

/* Input counts while the machine runs, and is let go of before it moves. Once, before devices. */
void display_init(void);

#endif
