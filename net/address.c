/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Ethernet addresses: text, and those that cards have by default. */
#include "util/osdep.h"
#include "net-private.h"

#include "util/error.h"

#define DEFAULT_FIRST 0x56 /* 52:54:00:12:34:56 */

static const uint8_t default_base[5] = { 0x52, 0x54, 0x00, 0x12, 0x34 };
static unsigned taken[256]; /* how many cards have 52:54:00:12:34:XX */

bool net_mac_parse(const char *text, uint8_t mac[6], GError **error)
{
    uint8_t parsed[6];
    const char *s = text;

    for (unsigned i = 0; i < 6; i++) {
        int high = g_ascii_xdigit_value(s[0]);
        int low = high < 0 ? -1 : g_ascii_xdigit_value(s[1]);

        if (low < 0) {
            return error_set(error, "'%s' is no Ethernet address, such as 52:54:00:12:34:56", text);
        }
        parsed[i] = high << 4 | low;
        s += 2;
        if (i < 5 ? (*s != ':' && *s != '-') : *s != '\0') {
            return error_set(error, "'%s' is no Ethernet address, such as 52:54:00:12:34:56", text);
        }
        s += i < 5;
    }
    memcpy(mac, parsed, 6);
    return true;
}

char *net_mac_format(const uint8_t mac[6])
{
    return g_strdup_printf("%02x:%02x:%02x:%02x:%02x:%02x", mac[0], mac[1], mac[2], mac[3], mac[4],
                           mac[5]);
}

void net_mac_take(uint8_t mac[6])
{
    static const uint8_t none[6];

    if (!memcmp(mac, none, 6)) {
        unsigned last = DEFAULT_FIRST;

        while (last < 0xff && taken[last]) {
            last++;
        }
        memcpy(mac, default_base, 5);
        mac[5] = last;
    }
    if (!memcmp(mac, default_base, 5)) {
        taken[mac[5]]++;
    }
}

void net_mac_release(const uint8_t mac[6])
{
    if (!memcmp(mac, default_base, 5) && taken[mac[5]]) {
        taken[mac[5]]--;
    }
}
