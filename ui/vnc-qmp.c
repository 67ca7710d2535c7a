/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Commands about VNC servers. */
#include "util/osdep.h"

#include "monitor/hmp.h"
#include "qapi/commands-ui.h"
#include "ui/vnc.h"
#include "util/error.h"
#include "util/keyval.h"
#include "vnc.h"

/* ---- questions --------------------------------------------------------------------------------------------- */

static VncClientInfoArray *clients_of(const VncServer *server)
{
    VncClientInfoArray *list = g_new0(VncClientInfoArray, 1);

    for (guint i = 0; i < server->clients->len; i++) {
        VncClient *client = server->clients->pdata[i];
        VncClientInfo *info = g_new0(VncClientInfo, 1);

        vnc_address_info(client->address, &info->host, &info->service, &info->family);
        QAPI_ARRAY_ADD(list, info);
    }
    return list;
}

bool qmp_query_vnc(VncInfo **ret, GError **error)
{
    VncServer *server = vnc_server_by_id(NULL);
    VncInfo *info = g_new0(VncInfo, 1);

    info->enabled = server && server->listener;
    if (info->enabled) {
        vnc_address_info(server->address, &info->host, &info->service, &info->family);
        info->has_family = true;
        info->auth = g_strdup(server->password_auth ? "vnc" : "none");
        info->clients = clients_of(server);
    }
    *ret = info;
    return true;
}

bool qmp_query_vnc_servers(VncInfo2Array **ret, GError **error)
{
    *ret = g_new0(VncInfo2Array, 1);
    for (GList *l = vnc_servers.tail; l; l = l->prev) {
        VncServer *server = l->data;
        VncInfo2 *info = g_new0(VncInfo2, 1);

        info->id = g_strdup(server->id);
        info->auth = server->password_auth ? VNC_PRIMARY_AUTH_VNC : VNC_PRIMARY_AUTH_NONE;
        info->display = g_strdup(server->display);
        info->clients = clients_of(server);
        info->server = g_new0(VncServerInfo2Array, 1);
        if (server->listener) {
            VncServerInfo2 *where = g_new0(VncServerInfo2, 1);

            vnc_address_info(server->address, &where->host, &where->service, &where->family);
            where->auth = info->auth;
            QAPI_ARRAY_ADD(info->server, where);
        }
        QAPI_ARRAY_ADD(*ret, info);
    }
    return true;
}

/* ---- passwords --------------------------------------------------------------------------------------------- */

static bool set_vnc_password(const char *display, const char *password, GError **error)
{
    VncServer *server = vnc_server_by_id(display);

    if (!server || !server->password_auth) {
        return error_set(error, "Could not set password");
    }
    g_mutex_lock(&server->lock);
    g_free(server->password);
    server->password = g_strdup(password);
    g_mutex_unlock(&server->lock);
    return true;
}

bool qmp_change_vnc_password(const char *password, GError **error)
{
    return set_vnc_password(NULL, password, error);
}

bool qmp_set_password(const SetPasswordOptions *arg, GError **error)
{
    if (arg->has_connected && arg->connected != SET_PASSWORD_ACTION_KEEP) {
        return error_set(error, "Invalid parameter 'connected'");
    }
    return set_vnc_password(arg->u.vnc.display, arg->password, error);
}

/* "now", "never", "+SECONDS", or seconds since 1970. */
static bool parse_time(const char *text, int64_t *ends, GError **error)
{
    int64_t now = g_get_real_time() / G_USEC_PER_SEC;
    uint64_t seconds;

    if (!strcmp(text, "now")) {
        *ends = now;
    } else if (!strcmp(text, "never")) {
        *ends = INT64_MAX;
    } else if (parse_uint64(text[0] == '+' ? text + 1 : text, &seconds, NULL) &&
               seconds < INT32_MAX * INT64_C(2)) {
        *ends = seconds + (text[0] == '+' ? now : 0);
    } else {
        return error_set(
            error, "Parameter 'time' expects 'now', 'never', '+SECONDS' or seconds since 1970");
    }
    return true;
}

bool qmp_expire_password(const ExpirePasswordOptions *arg, GError **error)
{
    VncServer *server = vnc_server_by_id(arg->u.vnc.display);
    int64_t ends = 0;

    if (!server) {
        return error_set(error, "Could not set password expire time");
    }
    if (!parse_time(arg->time, &ends, error)) {
        return false;
    }
    g_mutex_lock(&server->lock);
    server->password_ends = ends;
    g_mutex_unlock(&server->lock);
    return true;
}

/* ---- human monitor ------------------------------------------------------------------------------------------ */

static void print_client(Hmp *hmp, const VncClientInfo *client)
{
    hmp_printf(hmp, "  Client: %s:%s (%s)\n", client->host, client->service,
               qapi_name_NetworkAddressFamily(client->family));
    hmp_puts(hmp, "    x509_dname: none\n    sasl_username: none\n");
}

static void hmp_info_vnc(Hmp *hmp, const HmpArgs *args)
{
    VncInfo2Array *servers;

    qmp_query_vnc_servers(&servers, NULL);
    if (!servers->len) {
        hmp_puts(hmp, "None\n");
    }
    for (size_t i = 0; i < servers->len; i++) {
        const VncInfo2 *info = servers->items[i];

        hmp_printf(hmp, "%s:\n", info->id);
        for (size_t n = 0; n < info->server->len; n++) {
            const VncServerInfo2 *server = info->server->items[n];

            hmp_printf(hmp, "  Server: %s:%s (%s)\n    Auth: %s (Sub: none)\n", server->host,
                       server->service, qapi_name_NetworkAddressFamily(server->family),
                       qapi_name_VncPrimaryAuth(server->auth));
        }
        for (size_t n = 0; n < info->clients->len; n++) {
            print_client(hmp, info->clients->items[n]);
        }
    }
    qapi_free_VncInfo2Array(servers);
}

static bool protocol_is_vnc(const HmpArgs *args, GError **error)
{
    const char *protocol = hmp_arg_str(args, "protocol");

    return !strcmp(protocol, "vnc") ||
           error_set(error, "Parameter 'protocol' does not accept value '%s'", protocol);
}

static void hmp_set_password(Hmp *hmp, const HmpArgs *args)
{
    const char *connected = hmp_arg_str(args, "connected");
    GError *error = NULL;

    if (protocol_is_vnc(args, &error)) {
        if (connected && strcmp(connected, "keep")) {
            error_set(&error, "Invalid parameter 'connected'");
        } else {
            set_vnc_password(hmp_arg_str(args, "display"), hmp_arg_str(args, "password"), &error);
        }
    }
    hmp_report_error(hmp, &error);
}

static void hmp_expire_password(Hmp *hmp, const HmpArgs *args)
{
    ExpirePasswordOptions options = { .protocol = DISPLAY_PROTOCOL_VNC,
                                      .time = (char *)hmp_arg_str(args, "time") };
    GError *error = NULL;

    options.u.vnc.display = (char *)hmp_arg_str(args, "display");
    if (protocol_is_vnc(args, &error)) {
        qmp_expire_password(&options, &error);
    }
    hmp_report_error(hmp, &error);
}

static const HmpCommand commands[] = {
    { "info vnc", "", "", "show the vnc server status", hmp_info_vnc },
    { "set_password", "protocol:s,password:s,display:-ds,connected:s?",
      "protocol password [-d display] [action-if-connected]", "set spice/vnc password",
      hmp_set_password },
    { "expire_password", "protocol:s,time:s,display:-ds", "protocol time [-d display]",
      "set spice/vnc password expire-time", hmp_expire_password },
};
HMP_REGISTER(commands)
