/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The VMware backdoor port, and the mouse behind it. Big lock. */
#ifndef HW_MISC_VMPORT_H
#define HW_MISC_VMPORT_H

#include "hw/isa/isa.h"

#define VMPORT_COMMANDS 0x60

/* Registers of the guest in a call; what a command changes goes back. */
typedef struct VmportRegs {
    uint32_t eax, ebx, ecx, edx, esi, edi;
} VmportRegs;

/* The result for EAX is returned. */
typedef uint32_t VmportFunc(void *opaque, VmportRegs *regs);

/* Makes the board's port 5658h; NULL with an error. */
Device *vmport_new(IsaBus *bus, GError **error);
void vmport_register(Device *vmport, uint8_t command, VmportFunc *func, void *opaque);

/* Makes the board's vmmouse on the port; i8042 is whose interrupt makes its driver look. NULL with an error. */
Device *vmmouse_new(IsaBus *bus, Device *vmport, Device *i8042, GError **error);

#endif
