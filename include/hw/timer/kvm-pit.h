/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The 8254 that KVM has in the kernel. Big lock. */
#ifndef HW_TIMER_KVM_PIT_H
#define HW_TIMER_KVM_PIT_H

#include "hw/timer/i8254.h"

/* Instead of pit_new(), where interrupt controllers are the kernel's: it raises global system interrupt 0 by itself. */
PitCommon *kvm_pit_new(IsaBus *bus, GError **error);

#endif
