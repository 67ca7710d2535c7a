/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Backends by name: kinds, -netdev, netdev_add and netdev_del. */
#include "util/osdep.h"
#include "net-private.h"

#include "qapi/commands-net.h"
#include "qapi/dispatch.h"
#include "util/error.h"
#include "util/keyval.h"

QMP_REGISTER(net)

static const NetBackend *backends[NET_CLIENT_DRIVER_COUNT];

void net_backend_register(const NetBackend *backend)
{
    g_assert(!backends[backend->kind]);
    backends[backend->kind] = backend;
}

bool net_backend_create(const Netdev *netdev, const char *name, NetClient *peer, GError **error)
{
    const NetBackend *backend = backends[netdev->type];

    if (!backend) {
        return error_set(error, "network backend '%s' is not compiled into this binary",
                         qapi_name_NetClientDriver(netdev->type));
    }
    return backend->create(netdev, name, peer, error);
}

/* A backend with an id of its own. */
static bool netdev_create(const Netdev *netdev, GError **error)
{
    NetClient *queues[NET_QUEUES_MAX];
    unsigned n;

    if (!id_wellformed(netdev->id)) {
        return error_set(error, "Parameter 'id' expects an identifier");
    }
    if (net_find(netdev->id, NET_ANY_BACKEND, NULL, 0)) {
        return error_set(error, "Duplicate ID '%s' for netdev", netdev->id);
    }
    if (!net_backend_create(netdev, netdev->id, NULL, error)) {
        return false;
    }
    n = net_find(netdev->id, NET_ANY_BACKEND, queues, G_N_ELEMENTS(queues));
    for (unsigned i = 0; i < MIN(n, NET_QUEUES_MAX); i++) {
        queues[i]->is_netdev = true;
    }
    return true;
}

/* ---- -netdev --------------------------------------------------------------------------------------------------- */

/* Appends {"str": value} to the list of that name. */
static void append_string(json_object *options, const char *key, const char *value)
{
    json_object *list, *item = json_object_new_object();

    if (!json_object_object_get_ex(options, key, &list)) {
        list = json_object_new_array();
        json_object_object_add(options, key, list);
    }
    json_object_object_add(item, "str", json_object_new_string(value));
    json_object_array_add(list, item);
}

/* "fec0::/64" in two parameters. */
static bool split_prefix(json_object *options, const char *value, GError **error)
{
    const char *slash = strrchr(value, '/');
    g_autofree char *prefix = slash ? g_strndup(value, slash - value) : g_strdup(value);

    json_object_object_add(options, "ipv6-prefix", json_object_new_string(prefix));
    if (slash) {
        json_object_object_add(options, "ipv6-prefixlen", json_object_new_string(slash + 1));
    }
    return prefix[0] ||
           error_set(error, "Parameter 'ipv6-net' expects an address, such as fec0::/64");
}

/* Takes the elements that keyval has no way for (lists by repetition, ipv6-net) out of arg: what is left. */
static char *take_lists(const char *arg, json_object *options, GError **error)
{
    static const char *const lists[] = { "hostfwd", "guestfwd", "dnssearch" };
    GString *rest = g_string_new(NULL);
    const char *s = arg;

    while (*s) {
        g_autoptr(GString) value = g_string_new(NULL);
        const char *start = s;
        const char *equals;
        bool taken = false;

        while (*s && (s[0] != ',' || s[1] == ',')) {
            s += s[0] == ',' ? 1 : 0;
            g_string_append_c(value, *s++);
        }
        equals = strchr(value->str, '=');
        for (unsigned i = 0; equals && i < G_N_ELEMENTS(lists); i++) {
            size_t len = strlen(lists[i]);

            if ((size_t)(equals - value->str) == len && !strncmp(value->str, lists[i], len)) {
                append_string(options, lists[i], equals + 1);
                taken = true;
            }
        }
        if (equals && g_str_has_prefix(value->str, "ipv6-net=")) {
            taken = true;
            if (!split_prefix(options, equals + 1, error)) {
                g_string_free(rest, TRUE);
                return NULL;
            }
        }
        if (!taken) {
            g_string_append_printf(rest, "%s%.*s", rest->len ? "," : "", (int)(s - start), start);
        }
        s += *s == ',';
    }
    return g_string_free(rest, FALSE);
}

json_object *net_option_json(const char *arg, const char *implied, GError **error)
{
    json_object *options = json_object_new_object(), *others;
    g_autofree char *rest = take_lists(arg, options, error);

    others = rest ? keyval_parse(rest, implied, true, NULL, error) : NULL;
    if (!others) {
        json_object_put(options);
        return NULL;
    }
    json_object_object_foreach(others, key, value)
    {
        json_object_object_add(options, key, json_object_get(value));
    }
    json_object_put(others);
    return options;
}

bool net_option_netdev(const char *arg, GError **error)
{
    Netdev *netdev;
    bool ok;

    if (arg[0] == '{') {
        netdev = qapi_decode_option(&qapi_type_Netdev, arg, NULL, error);
    } else {
        json_object *options = net_option_json(arg, "type", error);

        netdev = options ? qapi_decode_Netdev(options, QAPI_INPUT_KEYVAL, error) : NULL;
        json_object_put(options);
    }
    if (!netdev) {
        return false;
    }
    ok = netdev_create(netdev, error);
    qapi_free_Netdev(netdev);
    return ok;
}

char *net_option_help(const char *arg)
{
    GString *out;

    if (strcmp(arg, "help") && strcmp(arg, "?")) {
        return NULL;
    }
    out = g_string_new("Available netdev backend types:\n");
    for (unsigned i = 0; i < NET_CLIENT_DRIVER_COUNT; i++) {
        if (backends[i]) {
            g_string_append_printf(out, "%s\n", qapi_name_NetClientDriver(i));
        }
    }
    return g_string_free(out, FALSE);
}

/* ---- QMP -------------------------------------------------------------------------------------------------------- */

bool qmp_netdev_add(const Netdev *netdev, GError **error)
{
    return netdev_create(netdev, error);
}

bool qmp_netdev_del(const char *id, GError **error)
{
    NetClient *queues[NET_QUEUES_MAX];
    unsigned n = net_find(id, NET_ANY_BACKEND, queues, G_N_ELEMENTS(queues));

    if (n == 0) {
        return error_set_class(error, TERN_ERROR_DEVICE_NOT_FOUND, "Device '%s' not found", id);
    }
    if (!queues[0]->is_netdev) {
        return error_set(error, "Device '%s' is not a netdev", id);
    }
    for (unsigned i = 0; i < MIN(n, NET_QUEUES_MAX); i++) {
        net_client_free(queues[i]);
    }
    return true;
}

bool qmp_set_link(const char *name, bool up, GError **error)
{
    return net_set_link(name, up, error);
}
