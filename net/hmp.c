/* SPDX-License-Identifier: GPL-2.0-or-later */
/* HMP: info network, set_link, netdev_add, netdev_del, announce_self. (hostfwd_add and info usernet: user-hmp.c.) */
#include "util/osdep.h"
#include "net-private.h"

#include "monitor/hmp.h"
#include "qapi/commands-net.h"
#include "util/error.h"

/* ---- info network --------------------------------------------------------------------------------------------- */

static void print_client(GString *out, const NetClient *nc)
{
    g_string_append_printf(out, "%s: index=%u,type=%s,%s\n", nc->name, nc->queue_index,
                           qapi_name_NetClientDriver(nc->ops->kind), nc->info);
}

static bool is_port(const NetClient *nc)
{
    return nc && nc->ops->kind == NET_CLIENT_DRIVER_HUBPORT;
}

/* Cards with what they are plugged into, backends without a peer; hubs and what is plugged into them come by themselves. */
static bool print_one(NetClient *nc, void *out)
{
    if (is_port(nc) || is_port(nc->peer)) {
        return true;
    }
    if (nc->ops->kind == NET_CLIENT_DRIVER_NIC || !nc->peer) {
        print_client(out, nc);
    }
    if (nc->ops->kind == NET_CLIENT_DRIVER_NIC && nc->peer) {
        g_string_append((GString *)out, " \\ ");
        print_client(out, nc->peer);
    }
    return true;
}

static void hmp_info_network(Hmp *hmp, const HmpArgs *args)
{
    GString *out = g_string_new(NULL);

    net_hub_print(out);
    net_foreach(print_one, out);
    hmp_puts(hmp, out->str);
    g_string_free(out, TRUE);
}

/* ---- the others -------------------------------------------------------------------------------------------------- */

static void hmp_set_link(Hmp *hmp, const HmpArgs *args)
{
    GError *error = NULL;

    qmp_set_link(hmp_arg_str(args, "name"), hmp_arg_bool(args, "up", false), &error);
    hmp_report_error(hmp, &error);
}

static void hmp_netdev_add(Hmp *hmp, const HmpArgs *args)
{
    GError *error = NULL;

    net_option_netdev(hmp_arg_str(args, "netdev"), &error);
    hmp_report_error(hmp, &error);
}

static void hmp_netdev_del(Hmp *hmp, const HmpArgs *args)
{
    GError *error = NULL;

    qmp_netdev_del(hmp_arg_str(args, "id"), &error);
    hmp_report_error(hmp, &error);
}

static void hmp_announce_self(Hmp *hmp, const HmpArgs *args)
{
    AnnounceParameters params = { .initial = 50, .max = 550, .rounds = 5, .step = 100 };
    const char *interfaces = hmp_arg_str(args, "interfaces");
    g_auto(GStrv) names = interfaces && interfaces[0] ? g_strsplit(interfaces, ",", -1) : NULL;
    StrArray list = { names ? g_strv_length(names) : 0, names };
    GError *error = NULL;

    params.interfaces = names ? &list : NULL;
    params.id = (char *)hmp_arg_str(args, "id");
    qmp_announce_self(&params, &error);
    hmp_report_error(hmp, &error);
}

typedef struct Completion {
    const char *prefix;
    GPtrArray *words;
    bool netdevs_only;
} Completion;

static bool add_name(NetClient *nc, void *opaque)
{
    Completion *c = opaque;

    if (nc->queue_index == 0 && (!c->netdevs_only || nc->is_netdev) &&
        g_str_has_prefix(nc->name, c->prefix)) {
        g_ptr_array_add(c->words, g_strdup(nc->name));
    }
    return true;
}

static void complete_client(unsigned n, const char *prefix, GPtrArray *words)
{
    Completion c = { prefix, words, false };

    if (n == 0) {
        net_foreach(add_name, &c);
    }
}

static void complete_netdev(unsigned n, const char *prefix, GPtrArray *words)
{
    Completion c = { prefix, words, true };

    if (n == 0) {
        net_foreach(add_name, &c);
    }
}

static const HmpCommand commands[] = {
    { "info network", "", "", "show the network state", hmp_info_network },
    { "set_link", "name:s,up:b", "name on|off", "change the link status of a network adapter",
      hmp_set_link, .complete = complete_client },
    { "netdev_add", "netdev:S", "[user|tap|socket|stream|dgram|hubport],id=str[,prop=value][,...]",
      "add host network device", hmp_netdev_add, .preconfig = true },
    { "netdev_del", "id:s", "id", "remove host network device", hmp_netdev_del, .preconfig = true,
      .complete = complete_netdev },
    { "announce_self", "interfaces:s?,id:s?", "[interfaces] [id]",
      "Trigger GARP/RARP announcements", hmp_announce_self },
};
HMP_REGISTER(commands)
