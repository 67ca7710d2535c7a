/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef SYSTEM_MAIN_STARTUP_H
#define SYSTEM_MAIN_STARTUP_H

/* The program; returns its exit status. */
int startup_main(int argc, char **argv);

#endif
