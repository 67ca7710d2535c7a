/* SPDX-License-Identifier: GPL-2.0-or-later */
/* -nic and -net: backends without ids, hub 0, and the cards that the board makes for them. */
#include "util/osdep.h"
#include "net-private.h"

#include "util/error.h"
#include "util/keyval.h"

static GPtrArray *requests; /* NetNicRequest * */
static unsigned names;      /* of backends without an id */

NetNicRequest *net_nic_request(unsigned i)
{
    return requests && i < requests->len ? g_ptr_array_index(requests, i) : NULL;
}

static NetNicRequest *request_new(void)
{
    NetNicRequest *request = g_new0(NetNicRequest, 1);

    if (!requests) {
        requests = g_ptr_array_new();
    }
    request->vectors = -1;
    g_ptr_array_add(requests, request);
    return request;
}

/* Takes a key out of the options: new string, NULL if it is not there. */
static char *take(json_object *options, const char *key)
{
    json_object *value;
    char *text;

    if (!json_object_object_get_ex(options, key, &value) ||
        !json_object_is_type(value, json_type_string)) {
        return NULL;
    }
    text = g_strdup(json_object_get_string(value));
    json_object_object_del(options, key);
    return text;
}

static bool set_mac(NetNicRequest *request, const char *text, GError **error)
{
    if (!text) {
        return true;
    }
    if (!net_mac_parse(text, request->mac, NULL)) {
        return error_set(error, "invalid syntax for ethernet address");
    }
    if (request->mac[0] & 1) {
        return error_set(error, "NIC cannot have multicast MAC address (odd 1st byte)");
    }
    request->has_mac = true;
    return true;
}

/* Makes the backend that the options describe; without an id it gets a name that no id can be. */
static NetClient *make_backend(json_object *options, NetClient *peer, GError **error)
{
    NetClient *found = NULL;
    Netdev *netdev;
    char *name;

    if (!json_object_object_get_ex(options, "id", NULL)) {
        name = g_strdup_printf("#net%03u", names++);
        json_object_object_add(options, "id", json_object_new_string(name));
        g_free(name);
    }
    netdev = qapi_decode_Netdev(options, QAPI_INPUT_KEYVAL, error);
    if (!netdev) {
        return NULL;
    }
    if (net_find(netdev->id, NET_ANY_BACKEND, NULL, 0)) {
        error_set(error, "Duplicate ID '%s' for netdev", netdev->id);
    } else if (net_backend_create(netdev, netdev->id, peer, error)) {
        net_find(netdev->id, NET_ANY_BACKEND, &found, 1);
    }
    qapi_free_Netdev(netdev);
    return found;
}

static const char *type_of(json_object *options)
{
    json_object *value;

    return json_object_object_get_ex(options, "type", &value) ? json_object_get_string(value) : "";
}

/* ---- -nic ------------------------------------------------------------------------------------------------------- */

static bool nic_from_options(json_object *options, bool is_default, GError **error)
{
    g_autofree char *model = take(options, "model");
    g_autofree char *mac = take(options, "mac");
    g_autofree char *macaddr = take(options, "macaddr");
    g_autofree char *addr = take(options, "addr");
    NetNicRequest *request;
    NetClient *backend;

    if (!json_object_object_get_ex(options, "type", NULL)) {
        json_object_object_add(options, "type", json_object_new_string("user"));
    }
    if (!strcmp(type_of(options), "nic")) {
        return error_set(error, "Parameter 'type' does not accept value 'nic'");
    }
    backend = make_backend(options, NULL, error);
    if (!backend) {
        return false;
    }
    request = request_new();
    request->model = g_steal_pointer(&model);
    request->addr = g_steal_pointer(&addr);
    request->peer = backend;
    request->is_default = is_default;
    return set_mac(request, mac ? mac : macaddr, error);
}

bool net_option_nic(const char *arg, GError **error)
{
    json_object *options;
    bool ok;

    if (!strcmp(arg, "none")) {
        return true;
    }
    options = net_option_json(arg, "type", error);
    ok = options && nic_from_options(options, false, error);
    json_object_put(options);
    return ok;
}

bool net_add_default(GError **error)
{
    json_object *options = json_object_new_object();
    bool ok = nic_from_options(options, true, error);

    json_object_put(options);
    return ok;
}

/* ---- -net ------------------------------------------------------------------------------------------------------- */

static bool net_nic(json_object *options, GError **error)
{
    g_autoptr(NetLegacyNicOptions) nic = NULL;
    NetNicRequest *request;
    NetClient *peer = NULL;

    json_object_object_del(options, "type");
    json_object_object_del(options, "id"); /* a card of the machine has none */
    nic = qapi_decode_NetLegacyNicOptions(options, QAPI_INPUT_KEYVAL, error);
    if (!nic) {
        return false;
    }
    if (nic->netdev && net_find(nic->netdev, NET_ANY_BACKEND, &peer, 1) == 0) {
        return error_set(error, "netdev '%s' not found", nic->netdev);
    }
    if (peer && peer->peer) {
        return error_set(error, "netdev '%s' is in use already", nic->netdev);
    }
    request = request_new();
    request->model = g_strdup(nic->model);
    request->addr = g_strdup(nic->addr);
    if (nic->has_vectors) {
        request->vectors = nic->vectors;
    }
    request->peer = peer ? peer : net_hub_port_new(0, NULL, NULL);
    return set_mac(request, nic->macaddr, error);
}

bool net_option_net(const char *arg, GError **error)
{
    json_object *options;
    NetClient *port, *backend;
    bool ok;

    if (!strcmp(arg, "none")) {
        return true;
    }
    options = net_option_json(arg, "type", error);
    if (!options) {
        return false;
    }
    if (!strcmp(type_of(options), "nic")) {
        ok = net_nic(options, error);
    } else if (!strcmp(type_of(options), "hubport")) {
        ok = error_set(error, "Parameter 'type' does not accept value 'hubport'");
    } else {
        backend = make_backend(options, NULL, error);
        port = backend ? net_hub_port_new(0, NULL, backend) : NULL;
        ok = port;
    }
    json_object_put(options);
    return ok;
}

/* ---- the end of start-up ------------------------------------------------------------------------------------------ */

bool net_check_requests(GError **error)
{
    for (unsigned i = 0; net_nic_request(i); i++) {
        NetNicRequest *request = net_nic_request(i);

        if (!request->used && !request->is_default) {
            return error_set(
                error, "requested NIC (model %s) was not created: not supported by this machine",
                request->model ? request->model : "unspecified");
        }
    }
    return true;
}

static bool warn_unused(NetClient *nc, void *opaque)
{
    if (!nc->peer && nc->queue_index == 0) {
        warn_report("%s %s has no peer", nc->ops->kind == NET_CLIENT_DRIVER_NIC ? "nic" : "netdev",
                    nc->name);
    }
    return true;
}

void net_report_unused(void)
{
    net_foreach(warn_unused, NULL);
}
