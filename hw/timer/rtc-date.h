/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Time registers of the MC146818 (data sheet, "Address Map" and "Time, Calendar, and Alarm Locations"): BCD or binary,
 * 12 or 24 hours, as register B says. Pure functions.
 */
#ifndef HW_TIMER_RTC_DATE_H
#define HW_TIMER_RTC_DATE_H

#include <time.h>

enum {
    RTC_SECONDS = 0,
    RTC_SECONDS_ALARM = 1,
    RTC_MINUTES = 2,
    RTC_MINUTES_ALARM = 3,
    RTC_HOURS = 4,
    RTC_HOURS_ALARM = 5,
    RTC_DAY_OF_WEEK = 6, /* Sunday is 1 */
    RTC_DAY_OF_MONTH = 7,
    RTC_MONTH = 8,
    RTC_YEAR = 9,
    RTC_REG_A = 10,
    RTC_REG_B = 11,
    RTC_REG_C = 12,
    RTC_REG_D = 13,
};

#define RTC_B_BINARY 0x04
#define RTC_B_24_HOURS 0x02

/* Seconds since 1970 of what the registers say. Values that are none count as what they would be if one counted on
 * (the 31st of February is a day in March). base_year: of year and century zero. */
int64_t rtc_date_from_registers(const uint8_t *regs, int base_year);
void rtc_date_to_registers(int64_t seconds, int base_year, uint8_t *regs);
/* As gmtime_r(), for any year. */
void rtc_date_split(int64_t seconds, struct tm *tm);
/* Seconds until the time registers match the alarm: 1 … 86400; -1 if they never do. */
int64_t rtc_date_until_alarm(const uint8_t *regs);

#endif
