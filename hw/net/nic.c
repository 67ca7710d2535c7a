/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What every network card has. See the header. */
#include "util/osdep.h"
#include "hw/net/nic.h"

#include "util/error.h"

/* ---- property netdev -------------------------------------------------------------------------------------------- */

static bool parse_netdev(Object *obj, const Property *prop, const char *text, GError **error)
{
    NicConf *conf = property_member(obj, prop);
    unsigned n = text[0] ? net_find(text, NET_ANY_BACKEND, NULL, 0) : 0;
    g_autofree NetClient **found = g_new0(NetClient *, n + 1);

    if (text[0] && n == 0) {
        return error_set(error, "Property '%s.%s' can't find value '%s'", obj->type->name,
                         prop->name, text);
    }
    if (n > NET_QUEUES_MAX) {
        return error_set(error, "Property '%s.%s': netdev '%s' has more than %d queues",
                         obj->type->name, prop->name, text, NET_QUEUES_MAX);
    }
    net_find(text, NET_ANY_BACKEND, found, n);
    for (unsigned i = 0; i < n; i++) {
        if (found[i]->peer) {
            return error_set(error, "Property '%s.%s' can't take value '%s', it's in use",
                             obj->type->name, prop->name, text);
        }
    }
    g_free(conf->backends);
    conf->backends = n ? g_steal_pointer(&found) : NULL;
    conf->n_backends = n;
    return true;
}

static json_object *get_netdev(Object *obj, const Property *prop, GError **error)
{
    const NicConf *conf = property_member(obj, prop);

    return json_object_new_string(conf->n_backends ? conf->backends[0]->name : "");
}

static void release_netdev(Object *obj, const Property *prop)
{
    g_free(((NicConf *)property_member(obj, prop))->backends);
}

const PropertyKind property_netdev = {
    .name = "str",
    .parse = parse_netdev,
    .get = get_netdev,
    .release = release_netdev,
};

/* ---- property mac ----------------------------------------------------------------------------------------------- */

static bool parse_mac(Object *obj, const Property *prop, const char *text, GError **error)
{
    return net_mac_parse(text, property_member(obj, prop), NULL) ||
           error_set(error, "Property '%s.%s' doesn't take value '%s'", obj->type->name, prop->name,
                     text);
}

static json_object *get_mac(Object *obj, const Property *prop, GError **error)
{
    g_autofree char *text = net_mac_format(property_member(obj, prop));

    return json_object_new_string(text);
}

const PropertyKind property_mac = { .name = "str", .parse = parse_mac, .get = get_mac };

/* ---- clients ----------------------------------------------------------------------------------------------------- */

void nic_conf_init(NicConf *conf)
{
    conf->bootindex = -1;
}

void nic_open_for(Nic *nic, NicConf *conf, Device *dev, Device *card, const NetClientOps *ops,
                  unsigned queues, void *opaque)
{
    g_autofree char *path = object_path(&dev->object);
    const char *name = card->id;

    net_mac_take(conf->mac);
    conf->mac_taken = true;
    nic->n = MAX(queues, 1u);
    nic->queues = g_new0(NetClient *, nic->n);
    for (unsigned i = 0; i < nic->n; i++) {
        NetClient *peer = i < conf->n_backends ? conf->backends[i] : NULL;
        NetClient *nc = net_client_new(ops, card->object.type->name, name, i, peer);

        name = nc->name; /* of the other queues, too */
        nc->opaque = opaque;
        nc->path = g_strdup(path);
        nc->link_down = peer && peer->link_down;
        nic->queues[i] = nc;
    }
    nic_set_mac(nic, conf->mac);
}

void nic_open(Nic *nic, NicConf *conf, Device *dev, const NetClientOps *ops, unsigned queues,
              void *opaque)
{
    nic_open_for(nic, conf, dev, dev, ops, queues, opaque);
}

void nic_close(Nic *nic, NicConf *conf)
{
    for (unsigned i = 0; i < nic->n; i++) {
        net_client_free(nic->queues[i]);
    }
    g_clear_pointer(&nic->queues, g_free);
    nic->n = 0;
    conf->n_backends = 0; /* they may go before the device object does */
    if (conf->mac_taken) {
        net_mac_release(conf->mac);
        conf->mac_taken = false;
    }
}

void nic_set_mac(Nic *nic, const uint8_t mac[6])
{
    for (unsigned i = 0; i < nic->n; i++) {
        memcpy(nic->queues[i]->mac, mac, 6);
        net_nic_format_info(nic->queues[i]);
    }
}
