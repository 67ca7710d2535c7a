/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The other side of vhost-user devices: back ends in this process, which live as long as it does. */
#include "util/osdep.h"
#include "contract.h"

#include "../vhost-user/backend.h"
#include "util/error.h"

static const struct {
    const char *prefix;
    BackendPersonality personality;
} peers[] = {
    { "vhost-user-blk", BACKEND_BLK },
    { "vhost-user-fs", BACKEND_FS },
    { "vhost-user-scsi", BACKEND_SCSI },
    { "vhost-user-device", BACKEND_ECHO },
};

static char *new_peer(BackendPersonality personality, GError **error)
{
    static unsigned next;
    g_autofree char *path = g_strdup_printf("%s/peer%u", g_get_tmp_dir(), next++);
    g_autofree char *text =
        g_strdup_printf("{\"type\": \"socket\", \"data\": {\"server\": false, \"addr\": {\"type\": \"unix\", "
                        "\"data\": {\"path\": \"%s\"}}}}",
                        path);
    BackendOptions o = {
        .path = path,
        .personality = personality,
        .queues = 3,
        .image_size = 1 << 20,
        .protocol = BACKEND_ALL_PROTOCOL | 1u << VHOST_USER_PROTOCOL_F_DEVICE_STATE,
    };
    char *id = NULL;

    if (backend_new(&o, error)) {
        id = contract_add_chardev(text, error);
        unlink(path); /* nobody else is to come */
    }
    return id;
}

char *contract_new_peer(const DeviceType *type, GError **error)
{
    for (unsigned i = 0; i < G_N_ELEMENTS(peers); i++) {
        if (g_str_has_prefix(type->object.name, peers[i].prefix)) {
            return new_peer(peers[i].personality, error);
        }
    }
    error_set(error, "no back end for %s", type->object.name);
    return NULL;
}
