/* SPDX-License-Identifier: GPL-2.0-or-later */
/* nbd:HOST:PORT[:exportname=NAME], nbd:unix:PATH[...], nbd[+tcp]://HOST[:PORT]/[NAME], nbd+unix:///[NAME]?socket=PATH. */
#include "util/osdep.h"
#include "nbd.h"

#include "internal.h"
#include "util/error.h"

static void set(json_object *o, const char *key, const char *value)
{
    json_object_object_add(o, key, json_object_new_string(value));
}

static void set_server(json_object *options, const char *path, const char *host, const char *port)
{
    json_object *server = json_object_new_object();
    if (path) {
        set(server, "type", "unix");
        set(server, "path", path);
    } else {
        set(server, "type", "inet");
        set(server, "host", host);
        set(server, "port", port);
    }
    json_object_object_add(options, "server", server);
}

/* ---- URIs ---- */

static bool parse_uri(const char *filename, json_object *options, GError **error)
{
    GError *local = NULL;
    g_autoptr(GUri) uri = g_uri_parse(filename, G_URI_FLAGS_NONE, &local);
    if (!uri) {
        error_set(error, "Invalid NBD URI '%s': %s", filename, local->message);
        g_error_free(local);
        return false;
    }
    const char *scheme = g_uri_get_scheme(uri), *path = g_uri_get_path(uri),
               *query = g_uri_get_query(uri);
    const char *name = path[0] == '/' ? path + 1 : path;
    if (name[0]) {
        set(options, "export", name);
    }
    const char *host = g_uri_get_host(uri);
    if (g_str_equal(scheme, "nbd+unix")) {
        if (!query || !g_str_has_prefix(query, "socket=") || strchr(query, '&') ||
            (host && host[0])) {
            return error_set(error, "'%s' needs '?socket=PATH' and no host", filename);
        }
        set_server(options, query + strlen("socket="), NULL, NULL);
        return true;
    }
    if (!g_str_equal(scheme, "nbd") && !g_str_equal(scheme, "nbd+tcp")) {
        return error_set(error, "Unknown scheme of an NBD URI: '%s'", scheme);
    }
    if (query) {
        return error_set(error, "'%s' must not have parameters", filename);
    }
    if (!host || !host[0]) {
        return error_set(error, "'%s' has no host", filename);
    }
    g_autofree char *port = g_uri_get_port(uri) >= 0 ? g_strdup_printf("%d", g_uri_get_port(uri))
                                                     : g_strdup(NBD_DEFAULT_PORT);
    set_server(options, NULL, host, port);
    return true;
}

/* ---- the old form ---- */

static bool parse_old(const char *filename, json_object *options, GError **error)
{
    g_autofree char *text = g_strdup(filename + strlen("nbd:"));
    char *name = strstr(text, ":exportname=");
    if (name) {
        *name = 0;
        set(options, "export", name + strlen(":exportname="));
    }
    if (g_str_has_prefix(text, "unix:")) {
        if (!text[5]) {
            return error_set(error, "'%s' has no path of a socket", filename);
        }
        set_server(options, text + 5, NULL, NULL);
        return true;
    }
    char *colon = strrchr(text, ':');
    if (!colon || colon == text || !colon[1]) {
        return error_set(error, "error parsing address '%s'", text);
    }
    *colon = 0;
    /* An IPv6 address is in brackets. */
    size_t n = strlen(text);
    if (text[0] == '[' && text[n - 1] == ']') {
        text[n - 1] = 0;
        set_server(options, NULL, text + 1, colon + 1);
    } else {
        set_server(options, NULL, text, colon + 1);
    }
    return true;
}

bool nbd_parse_filename(const char *filename, json_object *options, GError **error)
{
    return strstr(filename, "://") ? parse_uri(filename, options, error)
                                   : parse_old(filename, options, error);
}

char *nbd_make_filename(const SocketAddress *addr, const char *name)
{
    g_autofree char *quoted = g_uri_escape_string(name, "/", FALSE);
    switch (addr->type) {
    case SOCKET_ADDRESS_TYPE_UNIX:
        return g_strdup_printf("nbd+unix:///%s?socket=%s", quoted, addr->u.unix_.path);
    case SOCKET_ADDRESS_TYPE_INET: {
        bool v6 = strchr(addr->u.inet.host, ':') != NULL;
        return g_strdup_printf("nbd://%s%s%s:%s%s%s", v6 ? "[" : "", addr->u.inet.host,
                               v6 ? "]" : "", addr->u.inet.port, name[0] ? "/" : "", quoted);
    }
    default:
        return NULL;
    }
}
