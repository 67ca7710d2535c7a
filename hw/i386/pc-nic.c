/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The network cards of a PC: PCI devices, in the order of the command line, behind the graphics card. */
#include "util/osdep.h"
#include "pc-nic.h"

#include "net/net.h"
#include "util/error.h"

#define MODEL_VIRTIO "virtio" /* short for the one on this bus */

static const DeviceType *model_type(const PcMachine *pc, const char *model)
{
    const DeviceType *type;

    if (!model) {
        model = machine_get_type(&pc->machine)->default_nic;
    } else if (!strcmp(model, MODEL_VIRTIO)) {
        model = "virtio-net-pci";
    }
    type = device_type_by_name(model);
    return type && type->category == DEVICE_CATEGORY_NETWORK && device_type_user_creatable(type)
               ? type
               : NULL;
}

static bool set_properties(Object *card, const NetNicRequest *request, GError **error)
{
    g_autofree char *mac = net_mac_format(request->mac);
    g_autofree char *vectors = g_strdup_printf("%" PRId64, request->vectors);

    return (!request->has_mac || object_set_text(card, "mac", mac, error)) &&
           (!request->peer || object_set_text(card, "netdev", request->peer->name, error)) &&
           (!request->addr || object_set_text(card, "addr", request->addr, error)) &&
           (request->vectors < 0 || object_set_text(card, "vectors", vectors, error));
}

static bool make_card(PcMachine *pc, NetNicRequest *request, GError **error)
{
    const DeviceType *type = model_type(pc, request->model);
    Device *card;

    if (!type) {
        return error_set(error, "Unsupported NIC model: %s",
                         request->model ? request->model : "default");
    }
    card = device_new(type);
    if (!set_properties(&card->object, request, error) ||
        !device_realize(card, (Bus *)pc->pci, error)) {
        object_unref(card);
        return false;
    }
    request->used = true;
    return true;
}

bool pc_nic_init(PcMachine *pc, GError **error)
{
    NetNicRequest *request;

    for (unsigned i = 0; (request = net_nic_request(i)); i++) {
        if (!make_card(pc, request, error)) {
            return false;
        }
    }
    return true;
}
