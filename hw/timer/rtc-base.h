/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What -rtc chose, for clocks. */
#ifndef HW_TIMER_RTC_BASE_H
#define HW_TIMER_RTC_BASE_H

#include "util/clock.h"

/* The clock that real-time clocks follow. */
ClockType rtc_clock(void);

#endif
