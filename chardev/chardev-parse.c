/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The command line's ways to say what a chardev is: -chardev BACKEND,id=...,key=value and the short
 * forms of -serial, -monitor, -qmp ("unix:/path,server=on"). Both are rewritten as the
 * ChardevBackend of qapi/char.json and decoded there.
 */
#include "util/osdep.h"

#include <stdio.h>

#include "chardev-private.h"
#include "util/error.h"
#include "util/keyval.h"

/* The flat keys of -chardev; what is left at the end is unknown. */
typedef struct Keys {
    json_object *in;
} Keys;

static const char *get(Keys *keys, const char *name)
{
    json_object *value;

    return json_object_object_get_ex(keys->in, name, &value) ? json_object_get_string(value) : NULL;
}

/* Moves a key into `out` under another name. */
static bool move_as(Keys *keys, json_object *out, const char *name, const char *new_name)
{
    json_object *value;

    if (!json_object_object_get_ex(keys->in, name, &value)) {
        return false;
    }
    json_object_object_add(out, new_name, json_object_get(value));
    json_object_object_del(keys->in, name);
    return true;
}

static bool move(Keys *keys, json_object *out, const char *name)
{
    return move_as(keys, out, name, name);
}

static void put(json_object *out, const char *name, const char *value)
{
    json_object_object_add(out, name, json_object_new_string(value));
}

/* ---- per backend ---- */

static bool parse_file(Keys *keys, json_object *data, GError **error)
{
    if (!move_as(keys, data, "path", "out")) {
        return error_set(error, "chardev: file: no filename given");
    }
    move_as(keys, data, "input-path", "in");
    move(keys, data, "append");
    return true;
}

static bool parse_hostdev(Keys *keys, json_object *data, const char *kind, GError **error)
{
    return move_as(keys, data, "path", "device") ||
           error_set(error, "chardev: %s: no device path given", kind);
}

static json_object *add_address(json_object *data, const char *type)
{
    json_object *addr = json_object_new_object();
    json_object *inner = json_object_new_object();

    put(addr, "type", type);
    json_object_object_add(addr, "data", inner);
    json_object_object_add(data, "addr", addr);
    return inner;
}

static bool parse_socket_address(Keys *keys, json_object *data, GError **error)
{
    static const char *const inet_keys[] = { "host", "port", "to", "ipv4", "ipv6" };
    bool path = get(keys, "path"), host = get(keys, "host"), fd = get(keys, "fd");
    json_object *addr;

    if (path + host + fd > 1) {
        return error_set(error, "None or one of 'path', 'fd' or 'host' option required.");
    }
    if (path) {
        addr = add_address(data, "unix");
        move(keys, addr, "path");
        move(keys, addr, "abstract");
        move(keys, addr, "tight");
    } else if (fd) {
        addr = add_address(data, "fd");
        move_as(keys, addr, "fd", "str");
    } else if (host || get(keys, "port")) {
        if (!get(keys, "port")) {
            return error_set(error, "chardev: socket: no port given");
        }
        addr = add_address(data, "inet");
        if (!host) {
            put(addr, "host", "");
        }
        for (unsigned i = 0; i < G_N_ELEMENTS(inet_keys); i++) {
            move(keys, addr, inet_keys[i]);
        }
    } else {
        return error_set(error,
                         "chardev: socket: one of 'path', 'host' and 'port', or 'fd' is required");
    }
    return true;
}

/* An option with the opposite sense: delay=off is nodelay=on. */
static bool move_inverted(Keys *keys, json_object *out, const char *name, const char *new_name,
                          GError **error)
{
    const char *text = get(keys, name);
    bool value;

    if (!text) {
        return true;
    }
    if (!parse_bool(text, &value, NULL)) {
        return error_set(error, "Parameter '%s' expects 'on' or 'off'", name);
    }
    put(out, new_name, value ? "off" : "on");
    json_object_object_del(keys->in, name);
    return true;
}

static bool parse_socket(Keys *keys, json_object *data, GError **error)
{
    const char *server = get(keys, "server");
    bool is_server = false;

    if (server && !parse_bool(server, &is_server, NULL)) {
        return error_set(error, "Parameter 'server' expects 'on' or 'off'");
    }
    if (!parse_socket_address(keys, data, error)) {
        return false;
    }
    json_object_object_del(keys->in, "server");
    put(data, "server", is_server ? "on" : "off"); /* the command line's default is client */
    if (is_server && !get(keys, "wait")) {
        put(data, "wait", "on");
    }
    move(keys, data, "wait");
    move(keys, data, "nodelay");
    move(keys, data, "telnet");
    move(keys, data, "reconnect");
    move(keys, data, "reconnect-ms");
    return move_inverted(keys, data, "delay", "nodelay", error);
}

/* Sizes may have a suffix on the command line; the schema's type is int. */
static bool parse_ringbuf_size(Keys *keys, json_object *data, GError **error)
{
    const char *text = get(keys, "size");
    g_autofree char *number = NULL;
    uint64_t size;

    if (!text) {
        return true;
    }
    if (!parse_size(text, 1, &size, NULL) || size > INT64_MAX) {
        return error_set(error, "Parameter 'size' expects a non-negative number below 2^64");
    }
    number = g_strdup_printf("%" PRIu64, size);
    put(data, "size", number);
    json_object_object_del(keys->in, "size");
    return true;
}

static bool parse_kind(Keys *keys, int kind, json_object *data, GError **error)
{
    move(keys, data, "logfile");
    move(keys, data, "logappend");
    switch (kind) {
    case CHARDEV_BACKEND_KIND_FILE:
        return parse_file(keys, data, error);
    case CHARDEV_BACKEND_KIND_SERIAL:
        return parse_hostdev(keys, data, "serial", error);
    case CHARDEV_BACKEND_KIND_PIPE:
        return parse_hostdev(keys, data, "pipe", error);
    case CHARDEV_BACKEND_KIND_SOCKET:
        return parse_socket(keys, data, error);
    case CHARDEV_BACKEND_KIND_PTY:
        move(keys, data, "path");
        return true;
    case CHARDEV_BACKEND_KIND_MUX:
        return move(keys, data, "chardev") || error_set(error, "chardev: mux: no chardev given");
    case CHARDEV_BACKEND_KIND_STDIO:
        move(keys, data, "signal");
        return true;
    case CHARDEV_BACKEND_KIND_RINGBUF:
    case CHARDEV_BACKEND_KIND_MEMORY:
        return parse_ringbuf_size(keys, data, error);
    default:
        return true;
    }
}

/* "Parameter 'data.addr.data.to' expects ..." becomes "Parameter 'to' ...": what the user wrote was
 * flat. */
static void strip_path_of_error(GError **error)
{
    char *open, *close, *dot;

    if (!error || !*error) {
        return;
    }
    open = strchr((*error)->message, '\'');
    close = open ? strchr(open + 1, '\'') : NULL;
    if (close) {
        *close = '\0';
        dot = strrchr(open, '.');
        *close = '\'';
        if (dot) {
            memmove(open + 1, dot + 1, strlen(dot + 1) + 1);
        }
    }
}

/* ---- making ---- */

/* With mux=on the device gets the id ID-base, and a mux has ID. */
static Chardev *make(const char *id, const ChardevBackend *backend, bool mux, GError **error)
{
    g_autofree char *base_id = mux ? g_strdup_printf("%s-base", id) : NULL;
    Chardev *chr = chardev_create(mux ? base_id : id, backend, true, true, error);
    ChardevMux *wrapped;
    ChardevBackend *outer;
    Chardev *result;

    if (!chr || !mux) {
        return chr;
    }
    outer = g_new0(ChardevBackend, 1);
    outer->type = CHARDEV_BACKEND_KIND_MUX;
    wrapped = outer->u.mux.data = g_new0(ChardevMux, 1);
    wrapped->chardev = g_strdup(base_id);
    result = chardev_create(id, outer, true, true, error);
    qapi_free_ChardevBackend(outer);
    if (!result) {
        chardev_destroy(chr);
    }
    return result;
}

static Chardev *make_from_keys(Keys *keys, const char *kind_name, const char *id, GError **error)
{
    int kind = qapi_parse_ChardevBackendKind(kind_name);
    json_object *backend_in, *data;
    g_autoptr(ChardevBackend) backend = NULL;
    const char *mux_text = get(keys, "mux");
    bool mux = false;

    if (kind < 0 || !chardev_ops_of(kind)) {
        error_set(error, "'%s' is not a valid char driver name", kind_name);
        return NULL;
    }
    if (mux_text && !parse_bool(mux_text, &mux, NULL)) {
        error_set(error, "Parameter 'mux' expects 'on' or 'off'");
        return NULL;
    }
    json_object_object_del(keys->in, "mux");
    backend_in = json_object_new_object();
    data = json_object_new_object();
    put(backend_in, "type", kind_name);
    json_object_object_add(backend_in, "data", data);
    if (parse_kind(keys, kind, data, error)) {
        json_object_object_foreach(keys->in, unknown, value)
        {
            (void)value;
            error_set(error, "Invalid parameter '%s'", unknown);
            json_object_put(backend_in);
            return NULL;
        }
        backend = qapi_decode_ChardevBackend(backend_in, QAPI_INPUT_KEYVAL, error);
        strip_path_of_error(error);
    }
    json_object_put(backend_in);
    return backend ? make(id, backend, mux, error) : NULL;
}

static bool check_id(const char *id, GError **error)
{
    if (!id) {
        return error_set(error, "chardev: no id specified");
    }
    if (!id_wellformed(id)) {
        return error_set(
            error,
            "Parameter 'id' expects an identifier\n"
            "Identifiers consist of letters, digits, '-', '.', '_', starting with a letter.");
    }
    if (chardev_find(id)) {
        return error_set(error, "Duplicate ID '%s' for chardev", id);
    }
    return true;
}

static Chardev *make_from_json(json_object *in, GError **error)
{
    json_object *id = json_object_object_get(in, "id");
    json_object *backend_in = json_object_object_get(in, "backend");
    g_autoptr(ChardevBackend) backend = NULL;

    if (!check_id(json_object_is_type(id, json_type_string) ? json_object_get_string(id) : NULL,
                  error)) {
        return NULL;
    }
    backend = qapi_decode_ChardevBackend(backend_in, QAPI_INPUT_JSON, error);
    return backend ? make(json_object_get_string(id), backend, false, error) : NULL;
}

static void print_kind(const ChardevOps *ops, void *opaque)
{
    printf("  %s\n", qapi_name_ChardevBackendKind(ops->kind));
}

Chardev *chardev_new_option(const char *text, bool *help, GError **error)
{
    bool want_help = false;
    Keys keys = { keyval_parse(text, "backend", true, &want_help, error) };
    json_object *value;
    g_autofree char *id = NULL, *kind = NULL;
    Chardev *chr = NULL;

    if (want_help) {
        printf("Available chardev backend types: \n");
        chardev_foreach_ops(print_kind, NULL);
        json_object_put(keys.in);
        *help = true;
        return NULL;
    }
    if (!keys.in) {
        return NULL;
    }
    if (text[0] == '{') {
        chr = make_from_json(keys.in, error);
        json_object_put(keys.in);
        return chr;
    }
    if (json_object_object_get_ex(keys.in, "id", &value)) {
        id = g_strdup(json_object_get_string(value));
        json_object_object_del(keys.in, "id");
    }
    if (json_object_object_get_ex(keys.in, "backend", &value)) {
        kind = g_strdup(json_object_get_string(value));
        json_object_object_del(keys.in, "backend");
    }
    if (check_id(id, error)) {
        if (!kind) {
            error_set(error, "chardev: \"%s\" missing backend", id);
        } else {
            chr = make_from_keys(&keys, kind, id, error);
        }
    }
    json_object_put(keys.in);
    return chr;
}

/* ---- short forms ---- */

/* "PREFIX:REST" with REST the value of key, followed by ",options". */
static Keys keys_of(const char *rest, const char *key, GError **error)
{
    return (Keys){ keyval_parse(rest, key, true, NULL, error) };
}

/* "HOST:PORT,options" */
static Keys tcp_keys(const char *rest, GError **error)
{
    const char *comma = strchr(rest, ',');
    size_t len = comma ? (size_t)(comma - rest) : strlen(rest);
    g_autofree char *address = g_strndup(rest, len);
    char *colon = strrchr(address, ':');
    Keys keys = { NULL };
    size_t host_len;

    if (!colon) {
        error_set(error, "parse error: tcp:%s", rest);
        return keys;
    }
    *colon = '\0';
    keys.in = comma && comma[1] ? keyval_parse(comma + 1, NULL, true, NULL, error)
                                : json_object_new_object();
    host_len = strlen(address);
    if (keys.in) {
        if (address[0] == '[' && host_len > 1 && address[host_len - 1] == ']') {
            address[host_len - 1] = '\0';
            put(keys.in, "host", address + 1);
        } else {
            put(keys.in, "host", address);
        }
        put(keys.in, "port", colon + 1);
    }
    return keys;
}

static Chardev *make_spec(const char *label, const char *kind, Keys keys, bool mux, GError **error)
{
    Chardev *chr = NULL;

    if (keys.in) {
        if (mux) {
            put(keys.in, "mux", "on");
        }
        chr = make_from_keys(&keys, kind, label, error);
        json_object_put(keys.in);
    }
    return chr;
}

static Chardev *find_existing(const char *id, GError **error)
{
    Chardev *chr = chardev_find(id);

    if (!chr) {
        error_set(error, "chardev \"%s\" not found", id);
    }
    return chr;
}

Chardev *chardev_new_spec(const char *label, const char *spec, bool with_mux, GError **error)
{
    static const struct {
        const char *prefix, *kind, *key;
    } forms[] = {
        { "unix:", "socket", "path" },
        { "file:", "file", "path" },
        { "pipe:", "pipe", "path" },
    };
    static const char *const words[] = { "null", "pty", "stdio", "ringbuf" };
    bool mux = with_mux && g_str_has_prefix(spec, "mon:");
    const char *s = mux ? spec + 4 : spec;
    Keys keys;

    if (strcmp(s, "none") == 0) {
        return NULL;
    }
    if (g_str_has_prefix(s, "chardev:")) {
        return find_existing(s + strlen("chardev:"), error);
    }
    for (unsigned i = 0; i < G_N_ELEMENTS(forms); i++) {
        if (g_str_has_prefix(s, forms[i].prefix)) {
            keys = keys_of(s + strlen(forms[i].prefix), forms[i].key, error);
            return make_spec(label, forms[i].kind, keys, mux, error);
        }
    }
    for (unsigned i = 0; i < G_N_ELEMENTS(words); i++) {
        if (strcmp(s, words[i]) == 0) {
            keys = (Keys){ json_object_new_object() };
            if (mux && strcmp(s, "stdio") == 0) {
                put(keys.in, "signal", "off"); /* Ctrl-C is for the guest, C-a x ends the program */
            }
            return make_spec(label, s, keys, mux, error);
        }
    }
    if (g_str_has_prefix(s, "tcp:") || g_str_has_prefix(s, "telnet:")) {
        bool telnet = s[1] == 'e';

        keys = tcp_keys(s + (telnet ? 7 : 4), error);
        if (keys.in && telnet) {
            put(keys.in, "telnet", "on");
        }
        return make_spec(label, "socket", keys, mux, error);
    }
    if (g_str_has_prefix(s, "/dev/")) {
        keys = (Keys){ json_object_new_object() };
        put(keys.in, "path", s);
        return make_spec(label, "serial", keys, mux, error);
    }
    error_set(error, "'%s' is not a valid char driver", s);
    return NULL;
}
