/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The notes of a dump: registers of each processor as a core file has them. */
#ifndef TARGET_I386_DUMP_NOTES_H
#define TARGET_I386_DUMP_NOTES_H

#include <glib.h>

/* Appends NT_PRSTATUS of every processor, then a note "QEMU" of every processor (control registers and descriptor tables, for
 * crash(8)). long_mode: which kind of NT_PRSTATUS. Machine stopped, big lock. */
void x86_dump_notes(GByteArray *out, bool long_mode);
/* Whether the first processor is in long mode. */
bool x86_dump_long_mode(void);

#endif
