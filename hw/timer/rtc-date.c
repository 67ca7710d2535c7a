/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "util/osdep.h"
#include "rtc-date.h"
#include "hw/timer/mc146818rtc.h"

#define HOUR_PM 0x80
#define ALARM_ANY 0xc0 /* both bits: matches every value */
#define DAY_SECONDS 86400

static int from_register(const uint8_t *regs, uint8_t value)
{
    return regs[RTC_REG_B] & RTC_B_BINARY ? value : (value >> 4) * 10 + (value & 15);
}

static uint8_t to_register(const uint8_t *regs, int value)
{
    return regs[RTC_REG_B] & RTC_B_BINARY ? value : value / 10 << 4 | value % 10;
}

static int hour_from_register(const uint8_t *regs, uint8_t value)
{
    int hour;

    if (regs[RTC_REG_B] & RTC_B_24_HOURS) {
        return from_register(regs, value);
    }
    hour = from_register(regs, value & ~HOUR_PM) % 12;
    return value & HOUR_PM ? hour + 12 : hour;
}

static uint8_t hour_to_register(const uint8_t *regs, int hour)
{
    if (regs[RTC_REG_B] & RTC_B_24_HOURS) {
        return to_register(regs, hour);
    }
    return to_register(regs, hour % 12 ? hour % 12 : 12) | (hour >= 12 ? HOUR_PM : 0);
}

/* Days from 1970-01-01 to the first of a month (1 … 12) in the proleptic Gregorian calendar. */
static int64_t days_to_month(int64_t year, int month)
{
    int64_t y = month <= 2 ? year - 1 : year;
    int m = month <= 2 ? month + 9 : month - 3; /* March is 0 */
    int64_t era = (y >= 0 ? y : y - 399) / 400, in_era = y - era * 400;

    return era * 146097 + in_era * 365 + in_era / 4 - in_era / 100 + (153 * m + 2) / 5 - 719468;
}

int64_t rtc_date_from_registers(const uint8_t *regs, int base_year)
{
    int month = from_register(regs, regs[RTC_MONTH]);
    int64_t year = base_year + from_register(regs, regs[RTC_YEAR]) +
                   ((regs[CMOS_CENTURY] >> 4) * 10 + (regs[CMOS_CENTURY] & 15)) * 100;
    int64_t days, seconds;

    year += month > 12 ? (month - 1) / 12 : 0;
    month = month > 12 ? (month - 1) % 12 + 1 : MAX(month, 1);
    days = days_to_month(year, month) + from_register(regs, regs[RTC_DAY_OF_MONTH]) - 1;
    seconds = days * DAY_SECONDS + hour_from_register(regs, regs[RTC_HOURS]) * 3600 +
              from_register(regs, regs[RTC_MINUTES]) * 60 + from_register(regs, regs[RTC_SECONDS]);
    return MAX(seconds, 0);
}

void rtc_date_split(int64_t seconds, struct tm *tm)
{
    int64_t days = seconds / DAY_SECONDS, year = 1970 + days / 366;
    int rest = seconds % DAY_SECONDS, month = 1;

    while (days_to_month(year + 1, 1) <= days) {
        year++;
    }
    while (month < 12 && days_to_month(year, month + 1) <= days) {
        month++;
    }
    *tm = (struct tm){
        .tm_year = (int)(year - 1900),
        .tm_mon = month - 1,
        .tm_mday = (int)(days - days_to_month(year, month)) + 1,
        .tm_hour = rest / 3600,
        .tm_min = rest / 60 % 60,
        .tm_sec = rest % 60,
        .tm_wday = (int)((days + 4) % 7),
        .tm_yday = (int)(days - days_to_month(year, 1)),
    };
}

void rtc_date_to_registers(int64_t seconds, int base_year, uint8_t *regs)
{
    struct tm tm;
    int year;

    rtc_date_split(seconds, &tm);
    year = MAX(tm.tm_year + 1900 - base_year, 0);
    regs[RTC_SECONDS] = to_register(regs, tm.tm_sec);
    regs[RTC_MINUTES] = to_register(regs, tm.tm_min);
    regs[RTC_HOURS] = hour_to_register(regs, tm.tm_hour);
    regs[RTC_DAY_OF_WEEK] = to_register(regs, tm.tm_wday + 1);
    regs[RTC_DAY_OF_MONTH] = to_register(regs, tm.tm_mday);
    regs[RTC_MONTH] = to_register(regs, tm.tm_mon + 1);
    regs[RTC_YEAR] = to_register(regs, year % 100);
    regs[CMOS_CENTURY] = year / 1000 % 10 << 4 | year / 100 % 10;
}

/* The smallest value >= from that the alarm register accepts; -1 if there is none before `end`. */
static int next_match(int alarm, int from, int end)
{
    if (alarm < 0) {
        return from < end ? from : -1;
    }
    return alarm >= from && alarm < end ? alarm : -1;
}

static int alarm_value(const uint8_t *regs, unsigned index)
{
    if ((regs[index] & ALARM_ANY) == ALARM_ANY) {
        return -1;
    }
    return index == RTC_HOURS_ALARM ? hour_from_register(regs, regs[index])
                                    : from_register(regs, regs[index]);
}

/* Seconds of the day of the first match at or after `from`; -1 for none that day. */
static int first_match(const int alarm[3], int from)
{
    for (int hour = from / 3600; (hour = next_match(alarm[2], hour, 24)) >= 0; hour++) {
        int first_minute = hour == from / 3600 ? from / 60 % 60 : 0;

        for (int minute = first_minute; (minute = next_match(alarm[1], minute, 60)) >= 0;
             minute++) {
            bool same = hour == from / 3600 && minute == from / 60 % 60;
            int second = next_match(alarm[0], same ? from % 60 : 0, 60);

            if (second >= 0) {
                return (hour * 60 + minute) * 60 + second;
            }
        }
    }
    return -1;
}

int64_t rtc_date_until_alarm(const uint8_t *regs)
{
    const int alarm[3] = { alarm_value(regs, RTC_SECONDS_ALARM),
                           alarm_value(regs, RTC_MINUTES_ALARM),
                           alarm_value(regs, RTC_HOURS_ALARM) };
    int now = (hour_from_register(regs, regs[RTC_HOURS]) % 24 * 60 +
               from_register(regs, regs[RTC_MINUTES]) % 60) *
                  60 +
              from_register(regs, regs[RTC_SECONDS]) % 60;
    int today = first_match(alarm, now + 1), tomorrow;

    if (today > now) {
        return today - now;
    }
    tomorrow = first_match(alarm, 0);
    return tomorrow < 0 ? -1 : DAY_SECONDS - now + tomorrow;
}
