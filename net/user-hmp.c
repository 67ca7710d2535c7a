/* SPDX-License-Identifier: GPL-2.0-or-later */
/* HMP of the user network: info usernet, hostfwd_add, hostfwd_remove. */
#include "util/osdep.h"
#include "user-private.h"

#include "monitor/hmp.h"
#include "util/error.h"

static bool print_usernet(NetClient *nc, void *opaque)
{
    Hmp *hmp = opaque;

    if (nc->ops->kind == NET_CLIENT_DRIVER_USER) {
        g_autofree char *info = slirp_connection_info(((UserNet *)nc)->slirp);

        hmp_printf(hmp, "Hub %d (%s):\n%s", -1, nc->name, info);
    }
    return true;
}

static void hmp_info_usernet(Hmp *hmp, const HmpArgs *args)
{
    net_foreach(print_usernet, hmp);
}

/* "[ID] RULE": the network, and *rule. */
static UserNet *network_of(Hmp *hmp, const HmpArgs *args, const char **rule)
{
    const char *first = hmp_arg_str(args, "arg1"), *second = hmp_arg_str(args, "arg2");
    GError *error = NULL;
    UserNet *user = user_find(second ? first : NULL, &error);

    *rule = second ? second : first;
    if (!user) {
        hmp_printf(hmp, "%s\n", error->message);
        g_error_free(error);
    }
    return user;
}

static void hmp_hostfwd_add(Hmp *hmp, const HmpArgs *args)
{
    const char *rule;
    UserNet *user = network_of(hmp, args, &rule);
    GError *error = NULL;

    if (user && !user_hostfwd_add(user, rule, &error)) {
        hmp_printf(hmp, "%s\n", error->message);
        g_error_free(error);
    }
}

static void hmp_hostfwd_remove(Hmp *hmp, const HmpArgs *args)
{
    const char *rule;
    UserNet *user = network_of(hmp, args, &rule);
    GError *error = NULL;
    bool found;

    if (!user) {
        return;
    }
    if (!user_hostfwd_remove(user, rule, &found, &error)) {
        hmp_printf(hmp, "%s\n", error->message);
        g_error_free(error);
    } else {
        hmp_printf(hmp, "host forwarding rule for %s %s\n", rule, found ? "removed" : "not found");
    }
}

static const HmpCommand commands[] = {
    { "info usernet", "", "", "show user network stack connection states", hmp_info_usernet },
    { "hostfwd_add", "arg1:s,arg2:s?",
      "[netdev_id] [tcp|udp]:[hostaddr]:hostport-[guestaddr]:guestport",
      "redirect TCP or UDP connections from host to guest (requires -net user)", hmp_hostfwd_add },
    { "hostfwd_remove", "arg1:s,arg2:s?", "[netdev_id] [tcp|udp]:[hostaddr]:hostport",
      "remove host-to-guest TCP or UDP redirection", hmp_hostfwd_remove },
};
HMP_REGISTER(commands)
