/* SPDX-License-Identifier: GPL-2.0-or-later */
/* -rtc: which clock real-time clocks follow, and what they show at the start. */
#include "util/osdep.h"
#include "rtc-base.h"

#include <stdio.h>

#include "hw/timer/mc146818rtc.h"
#include "util/error.h"
#include "util/keyval.h"

typedef enum RtcBase { RTC_BASE_UTC, RTC_BASE_LOCALTIME, RTC_BASE_DATE } RtcBase;

static struct {
    ClockType clock;
    RtcBase base;
    int64_t date; /* seconds, of RTC_BASE_DATE */
    bool started;
    int64_t start;      /* value of clock when the first clock asked */
    int64_t start_host; /* seconds of the wall clock then */
} rtc_base = { .clock = CLOCK_HOST };

ClockType rtc_clock(void)
{
    return rtc_base.clock;
}

static int64_t local_seconds(int64_t utc)
{
    time_t t = utc;
    struct tm tm;

    localtime_r(&t, &tm);
    return utc + tm.tm_gmtoff;
}

int64_t rtc_reference_time(int64_t now)
{
    int64_t passed;

    if (!rtc_base.started) {
        rtc_base.started = true;
        rtc_base.start = clock_get_ns(rtc_base.clock);
        rtc_base.start_host = clock_get_ns(CLOCK_HOST) / NS_PER_SEC;
    }
    passed = (now - rtc_base.start) / NS_PER_SEC;
    if (rtc_base.base == RTC_BASE_DATE) {
        return rtc_base.date + passed;
    }
    if (rtc_base.clock == CLOCK_HOST) {
        passed = now / NS_PER_SEC - rtc_base.start_host;
    }
    return rtc_base.base == RTC_BASE_UTC ? rtc_base.start_host + passed
                                         : local_seconds(rtc_base.start_host + passed);
}

/* ---- the option --------------------------------------------------------------------------------------------- */

/* YYYY-MM-DD or YYYY-MM-DDTHH:MM:SS, as UTC. */
static bool parse_date(const char *text, GError **error)
{
    g_autoptr(GTimeZone) utc = g_time_zone_new_utc();
    g_autoptr(GDateTime) date = NULL;
    int year, month, day, hour = 0, minute = 0, second = 0, end = 0;

    if ((sscanf(text, "%4d-%2d-%2d%n", &year, &month, &day, &end) == 3 && !text[end]) ||
        (sscanf(text, "%4d-%2d-%2dT%2d:%2d:%2d%n", &year, &month, &day, &hour, &minute, &second,
                &end) == 6 &&
         !text[end])) {
        date = g_date_time_new(utc, year, month, day, hour, minute, second);
    }
    if (!date) {
        return error_set(
            error, "invalid datetime format\nvalid formats: '2006-06-17T16:01:21' or '2006-06-17'");
    }
    rtc_base.base = RTC_BASE_DATE;
    rtc_base.date = g_date_time_to_unix(date);
    return true;
}

static bool set_base(const char *text, GError **error)
{
    if (!strcmp(text, "utc")) {
        rtc_base.base = RTC_BASE_UTC;
    } else if (!strcmp(text, "localtime")) {
        rtc_base.base = RTC_BASE_LOCALTIME;
    } else {
        return parse_date(text, error);
    }
    return true;
}

static bool set_clock(const char *text, GError **error)
{
    static const struct {
        const char *name;
        ClockType clock;
    } clocks[] = { { "host", CLOCK_HOST }, { "rt", CLOCK_REALTIME_NS }, { "vm", CLOCK_VIRTUAL } };

    for (unsigned i = 0; i < G_N_ELEMENTS(clocks); i++) {
        if (!strcmp(text, clocks[i].name)) {
            rtc_base.clock = clocks[i].clock;
            return true;
        }
    }
    return error_set(error, "invalid option value '%s'", text);
}

static bool set_driftfix(const char *text, GError **error)
{
    if (!strcmp(text, "slew")) {
        globals_add("mc146818rtc", "lost_tick_policy", "slew", false);
        return true;
    }
    return !strcmp(text, "none") || error_set(error, "invalid option value '%s'", text);
}

bool rtc_option(const char *text, GError **error)
{
    json_object *props = keyval_parse(text, NULL, false, NULL, error);
    bool ok = props != NULL;

    if (!props) {
        return false;
    }
    json_object_object_foreach(props, key, value)
    {
        const char *word = json_object_get_string(value);

        ok = !strcmp(key, "base")       ? set_base(word, error)
             : !strcmp(key, "clock")    ? set_clock(word, error)
             : !strcmp(key, "driftfix") ? set_driftfix(word, error)
                                        : error_set(error, "Invalid parameter '%s'", key);
        if (!ok) {
            break;
        }
    }
    json_object_put(props);
    return ok;
}
