/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Two versions: that of the interface, which clients compare with the QEMU release whose commands
 * and machines they expect (libvirt refuses what is too old), and our own.
 */
#ifndef QAPI_VERSION_H
#define QAPI_VERSION_H

#define INTERFACE_VERSION_MAJOR 10
#define INTERFACE_VERSION_MINOR 0
#define INTERFACE_VERSION_MICRO 2
#define INTERFACE_VERSION "10.0.2"

/* Wants config.h (util/osdep.h). */
#define PROGRAM_VERSION_TEXT "Tern " TERN_VERSION

#endif
