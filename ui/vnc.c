/* SPDX-License-Identifier: GPL-2.0-or-later */
/* VNC servers as the main thread sees them: options, listening, pictures into the mailbox, events out of it. */
#include "util/osdep.h"

#include <fcntl.h>
#include <sys/eventfd.h>
#include <sys/socket.h>

#include "qapi/events-ui.h"
#include "ui/vnc.h"
#include "util/error.h"
#include "util/keyval.h"
#include "util/main-loop.h"
#include "util/trace.h"
#include "vnc.h"

TRACE_EVENT(vnc_client_connect)
TRACE_EVENT(vnc_client_disconnect_finish)
TRACE_EVENT(vnc_key_event_map)
TRACE_EVENT(vnc_msg_client_pointer_event)

#define FIRST_PORT 5900
#define DEFAULT_CONNECTIONS 32

GQueue vnc_servers = G_QUEUE_INIT;
static char *guest_name;

void vnc_set_guest_name(const char *name)
{
    g_free(guest_name);
    guest_name = g_strdup(name);
}

char *vnc_title(void)
{
    return guest_name ? g_strdup_printf("QEMU (%s)", guest_name) : g_strdup("QEMU");
}

VncServer *vnc_server_by_id(const char *id)
{
    for (GList *l = vnc_servers.head; l; l = l->next) {
        VncServer *server = l->data;

        if (!id || !strcmp(server->id, id)) {
            return server;
        }
    }
    return NULL;
}

/* ---- the picture ------------------------------------------------------------------------------------------ */

static void add_rect(VncMailbox *mail, int x, int y, int width, int height)
{
    pixman_box32_t *r;

    if (mail->n_rects == VNC_MAX_RECTS) { /* too many: one around all */
        for (unsigned i = 1; i < VNC_MAX_RECTS; i++) {
            r = &mail->rects[0];
            r->x1 = MIN(r->x1, mail->rects[i].x1);
            r->y1 = MIN(r->y1, mail->rects[i].y1);
            r->x2 = MAX(r->x2, mail->rects[i].x2);
            r->y2 = MAX(r->y2, mail->rects[i].y2);
        }
        mail->n_rects = 1;
    }
    r = &mail->rects[mail->n_rects++];
    *r = (pixman_box32_t){ x, y, x + width, y + height };
}

static void on_damage(void *opaque, int x, int y, int width, int height)
{
    VncServer *server = opaque;
    pixman_image_t *surface = console_surface(server->console);
    const uint32_t *from = pixman_image_get_data(surface);
    size_t stride = pixman_image_get_stride(surface) / 4;
    VncMailbox *mail = &server->mail;

    g_mutex_lock(&server->lock);
    for (int line = y; line < y + height; line++) {
        memcpy(mail->pixels + (size_t)line * mail->width + x, from + line * stride + x,
               (size_t)width * 4);
    }
    add_rect(mail, x, y, width, height);
    g_mutex_unlock(&server->lock);
    vnc_wake(server);
}

static void on_resized(void *opaque, pixman_image_t *surface)
{
    VncServer *server = opaque;
    VncMailbox *mail = &server->mail;
    int width = pixman_image_get_width(surface), height = pixman_image_get_height(surface);

    g_mutex_lock(&server->lock);
    g_free(mail->pixels);
    mail->pixels = g_new0(uint32_t, (size_t)width * height);
    mail->width = width;
    mail->height = height;
    mail->resized = true;
    mail->n_rects = 0;
    g_mutex_unlock(&server->lock);
    on_damage(server, 0, 0, width, height);
}

/* Clients may want to know whether the guest takes positions now. */
static void on_updated(void *opaque)
{
    VncServer *server = opaque;
    bool absolute = input_is_absolute(server->console), changed;

    g_mutex_lock(&server->lock);
    changed = server->mail.absolute != absolute;
    server->mail.absolute = absolute;
    g_mutex_unlock(&server->lock);
    if (changed) {
        vnc_wake(server);
    }
}

static void on_gone(void *opaque)
{
    VncServer *server = opaque;

    server->listening = NULL;
    server->console = NULL;
}

static const ConsoleListenerOps listener_ops = {
    .damage = on_damage, .resized = on_resized, .updated = on_updated, .gone = on_gone
};

static void on_leds(void *opaque, unsigned leds)
{
    VncServer *server = opaque;

    g_mutex_lock(&server->lock);
    server->mail.leds = leds;
    g_mutex_unlock(&server->lock);
    vnc_wake(server);
}

/* The first client has come: somebody looks. */
static void begin_to_look(VncServer *server)
{
    input_led_listen(on_leds, server);
    if (!server->console) { /* none: a black picture */
        pixman_image_t *black = pixman_image_create_bits(PIXMAN_x8r8g8b8, 640, 480, NULL, 0);

        g_mutex_lock(&server->lock);
        g_free(server->mail.pixels);
        server->mail.width = pixman_image_get_width(black);
        server->mail.height = pixman_image_get_height(black);
        server->mail.pixels = g_new0(uint32_t, (size_t)server->mail.width * server->mail.height);
        server->mail.resized = true;
        g_mutex_unlock(&server->lock);
        pixman_image_unref(black);
        return;
    }
    console_update(server->console);
    on_resized(server, console_surface(server->console));
    on_updated(server);
    server->listening = console_listen(server->console, &listener_ops, server);
}

static void stop_looking(VncServer *server)
{
    input_led_unlisten(on_leds, server);
    console_unlisten(server->listening);
    server->listening = NULL;
}

/* ---- clients -------------------------------------------------------------------------------------------- */

void vnc_address_info(const SocketAddress *address, char **host, char **service,
                      NetworkAddressFamily *family)
{
    bool inet = address && address->type == SOCKET_ADDRESS_TYPE_INET;
    bool is_unix = address && address->type == SOCKET_ADDRESS_TYPE_UNIX;

    *host = g_strdup(inet ? address->u.inet.host : "");
    *service = g_strdup(inet ? address->u.inet.port : is_unix ? address->u.unix_.path : "");
    *family = is_unix              ? NETWORK_ADDRESS_FAMILY_UNIX
              : !inet              ? NETWORK_ADDRESS_FAMILY_UNKNOWN
              : strchr(*host, ':') ? NETWORK_ADDRESS_FAMILY_IPV6
                                   : NETWORK_ADDRESS_FAMILY_IPV4;
}

typedef enum ClientEvent { CLIENT_CONNECTED, CLIENT_INITIALIZED, CLIENT_DISCONNECTED } ClientEvent;

static void send_client_event(VncClient *client, ClientEvent what)
{
    VncServerInfo server = { .auth = (char *)(client->server->password_auth ? "vnc" : "none") };
    VncBasicInfo basic = { 0 };
    VncClientInfo info = { 0 };

    vnc_address_info(client->server->address, &server.host, &server.service, &server.family);
    vnc_address_info(client->address, &basic.host, &basic.service, &basic.family);
    info.host = basic.host;
    info.service = basic.service;
    info.family = basic.family;
    if (what == CLIENT_CONNECTED) {
        qapi_event_send_VNC_CONNECTED(&server, &basic);
    } else if (what == CLIENT_INITIALIZED) {
        qapi_event_send_VNC_INITIALIZED(&server, &info);
    } else {
        qapi_event_send_VNC_DISCONNECTED(&server, &info);
    }
    g_free(server.host);
    g_free(server.service);
    g_free(basic.host);
    g_free(basic.service);
}

/* Takes fd, which is connected, and address. */
static void add_client(VncServer *server, int fd, SocketAddress *address)
{
    VncClient *client = g_new0(VncClient, 1);

    client->server = server;
    client->fd = fd;
    client->control_fd = fcntl(fd, F_DUPFD_CLOEXEC, 0);
    client->address = address;
    g_ptr_array_add(server->clients, client);
    trace(vnc_client_connect, "VNC client connect state=%p ioc=%d", (void *)client, fd);
    send_client_event(client, CLIENT_CONNECTED);
    if (server->clients->len == 1) {
        begin_to_look(server);
    }
    g_mutex_lock(&server->lock);
    g_queue_push_tail(&server->mail.arrivals, client);
    g_mutex_unlock(&server->lock);
    vnc_wake(server);
}

static void on_connection(IoListener *listener, IoChannel *ioc, void *opaque)
{
    VncServer *server = opaque;
    int fd = server->clients->len < server->max_connections
                 ? fcntl(io_channel_fd(ioc), F_DUPFD_CLOEXEC, 0)
                 : -1;

    io_channel_set_nodelay(ioc, true);
    if (fd >= 0) {
        add_client(server, fd, io_socket_remote_address(ioc, NULL));
    }
    io_channel_unref(ioc);
}

void vnc_add_connection(int fd)
{
    add_client(vnc_servers.head->data, fd, NULL);
}

static void release_held(VncClient *client)
{
    for (int key = 0; key < Q_KEY_CODE_COUNT; key++) {
        if (client->held[key]) {
            input_key(client->server->console, key, false);
        }
    }
    input_buttons(client->server->console, client->buttons, 0);
    input_sync();
}

static void client_gone(VncClient *client)
{
    VncServer *server = client->server;

    trace(vnc_client_disconnect_finish, "VNC client disconnect finish state=%p", (void *)client);
    release_held(client);
    send_client_event(client, CLIENT_DISCONNECTED);
    g_ptr_array_remove(server->clients, client);
    if (server->clients->len == 0) {
        stop_looking(server);
    }
    if (client->control_fd >= 0) {
        close(client->control_fd);
    }
    qapi_free_SocketAddress(client->address);
    g_free(client);
}

/* A release without a press is passed on too: the guest may know better. */
static void client_key(VncClient *client, QKeyCode key, bool down, unsigned from)
{
    trace(vnc_key_event_map, "key 0x%x -> %s, down %d", from, qapi_name_QKeyCode(key), down);
    if (key == Q_KEY_CODE_UNMAPPED) {
        return;
    }
    client->held[key] = down;
    input_key(client->server->console, key, down);
    input_sync();
}

static unsigned buttons_of(unsigned mask)
{
    static const uint8_t of_bit[] = { INPUT_BUTTON_LEFT,       INPUT_BUTTON_MIDDLE,
                                      INPUT_BUTTON_RIGHT,      INPUT_BUTTON_WHEEL_UP,
                                      INPUT_BUTTON_WHEEL_DOWN, INPUT_BUTTON_WHEEL_LEFT,
                                      INPUT_BUTTON_WHEEL_RIGHT };
    unsigned buttons = 0;

    for (unsigned bit = 0; bit < G_N_ELEMENTS(of_bit); bit++) {
        buttons |= (mask >> bit & 1) << of_bit[bit];
    }
    return buttons;
}

/* Where the guest takes motion: a client that knows sends it around 0x7fff, of others we see positions. */
static void move_relative(VncClient *client, int x, int y)
{
    if (client->relative_pointer) {
        input_move(client->server->console, INPUT_AXIS_X, x - INPUT_ABSOLUTE_MAX);
        input_move(client->server->console, INPUT_AXIS_Y, y - INPUT_ABSOLUTE_MAX);
    } else if (client->has_position) {
        input_move(client->server->console, INPUT_AXIS_X, x - client->x);
        input_move(client->server->console, INPUT_AXIS_Y, y - client->y);
    }
    client->has_position = true;
    client->x = x;
    client->y = y;
}

static void client_pointer(VncClient *client, unsigned mask, int x, int y)
{
    VncServer *server = client->server;
    unsigned buttons = buttons_of(mask);

    trace(vnc_msg_client_pointer_event, "buttons 0x%x, %d,%d", mask, x, y);
    input_buttons(server->console, client->buttons, buttons);
    client->buttons = buttons;
    if (input_is_absolute(server->console)) {
        input_position(server->console, INPUT_AXIS_X, x, 0, server->mail.width);
        input_position(server->console, INPUT_AXIS_Y, y, 0, server->mail.height);
    } else {
        move_relative(client, x, y);
    }
    input_sync();
}

void vnc_event(void *opaque)
{
    VncEvent *event = opaque;
    VncClient *client = event->client;

    g_atomic_int_add((int *)&client->server->queued, -1);
    switch (event->kind) {
    case VNC_EVENT_INITIALIZED:
        client->initialized = true;
        send_client_event(client, CLIENT_INITIALIZED);
        break;
    case VNC_EVENT_GONE:
        client_gone(client);
        break;
    case VNC_EVENT_KEYSYM:
        client_key(client, vnc_key_from_keysym(event->value), event->down, event->value);
        break;
    case VNC_EVENT_KEY_NUMBER:
        client_key(client, input_key_from_number(event->value), event->down, event->value);
        break;
    case VNC_EVENT_POINTER:
        client_pointer(client, event->value, event->x, event->y);
        break;
    default:
        client->relative_pointer = true;
        break;
    }
    g_free(event);
}

/* ---- options --------------------------------------------------------------------------------------------- */

static const char *text_of(json_object *props, const char *key)
{
    json_object *value;

    return json_object_object_get_ex(props, key, &value) ? json_object_get_string(value) : NULL;
}

static bool number_of(json_object *props, const char *key, uint64_t max, uint64_t *value,
                      GError **error)
{
    const char *text = text_of(props, key);

    return !text || (parse_uint64(text, value, NULL) && *value <= max) ||
           error_set(error, "Parameter '%s' expects a number up to %" PRIu64, key, max);
}

static bool switch_of(json_object *props, const char *key, bool *has, bool *value, GError **error)
{
    const char *text = text_of(props, key);

    *has = text != NULL;
    return !text || parse_bool(text, value, NULL) ||
           error_set(error, "Parameter '%s' expects 'on' or 'off'", key);
}

/* What stock knows and we do not have is called that. */
static bool check_keys(json_object *props, GError **error)
{
    static const char *const known[] = { "vnc",      "to",          "ipv4", "ipv6",
                                         "password", "share",       "id",   "display",
                                         "head",     "connections", NULL };
    static const char *const missing[] = { "websocket",
                                           "reverse",
                                           "tls-creds",
                                           "tls-authz",
                                           "sasl",
                                           "sasl-authz",
                                           "acl",
                                           "lossy",
                                           "non-adaptive",
                                           "key-delay-ms",
                                           "audiodev",
                                           "power-control",
                                           "password-secret",
                                           NULL };

    json_object_object_foreach(props, key, value)
    {
        (void)value;
        if (g_strv_contains(missing, key)) {
            return error_set(error, "Parameter '%s' is not available in this build", key);
        }
        if (!g_strv_contains(known, key)) {
            return error_set(error, "Invalid parameter '%s'", key);
        }
    }
    return true;
}

/* "[HOST]:DISPLAY", HOST perhaps in brackets. */
static SocketAddress *inet_address(const char *text, json_object *props, GError **error)
{
    const char *colon = strrchr(text, ':');
    SocketAddress *address;
    uint64_t display, to = 0;
    size_t len;

    if (!colon) {
        error_set(error, "no vnc port specified");
        return NULL;
    }
    if (!g_ascii_isdigit(colon[1]) || !parse_uint64(colon + 1, &display, NULL)) {
        error_set(error, "can't convert to a number: %s", colon + 1);
        return NULL;
    }
    if (display > UINT16_MAX - FIRST_PORT) {
        error_set(error, "port %" PRIu64 " out of range", display);
        return NULL;
    }
    if (!number_of(props, "to", UINT16_MAX - FIRST_PORT, &to, error)) {
        return NULL;
    }
    address = g_new0(SocketAddress, 1);
    address->type = SOCKET_ADDRESS_TYPE_INET;
    len = colon - text;
    if (len >= 2 && text[0] == '[' && text[len - 1] == ']') {
        address->u.inet.host = g_strndup(text + 1, len - 2);
    } else {
        address->u.inet.host = g_strndup(text, len);
    }
    address->u.inet.port = g_strdup_printf("%u", (unsigned)(FIRST_PORT + display));
    address->u.inet.has_to = text_of(props, "to") != NULL;
    address->u.inet.to = FIRST_PORT + to;
    if (!switch_of(props, "ipv4", &address->u.inet.has_ipv4, &address->u.inet.ipv4, error) ||
        !switch_of(props, "ipv6", &address->u.inet.has_ipv6, &address->u.inet.ipv6, error)) {
        qapi_free_SocketAddress(address);
        return NULL;
    }
    return address;
}

/* false: an error; *address NULL: none. */
static bool get_address(json_object *props, SocketAddress **address, GError **error)
{
    const char *text = text_of(props, "vnc");

    *address = NULL;
    if (!text) {
        return error_set(error, "no vnc port specified");
    }
    if (!strcmp(text, "none")) {
        return true;
    }
    if (g_str_has_prefix(text, "unix:")) {
        *address = g_new0(SocketAddress, 1);
        (*address)->type = SOCKET_ADDRESS_TYPE_UNIX;
        (*address)->u.unix_.path = g_strdup(text + strlen("unix:"));
        return true;
    }
    *address = inet_address(text, props, error);
    return *address;
}

static bool set_share(VncServer *server, const char *share, GError **error)
{
    if (share && !strcmp(share, "force-shared")) {
        return error_set(error, "share=force-shared is not available in this build");
    }
    if (share && strcmp(share, "ignore") && strcmp(share, "allow-exclusive")) {
        return error_set(error, "unknown vnc share= option");
    }
    server->ignore_share = share && !strcmp(share, "ignore");
    return true;
}

static bool set_id(VncServer *server, const char *id, GError **error)
{
    if (id && !id_wellformed(id)) {
        return error_set(error, "Parameter 'id' expects an identifier");
    }
    server->id = id ? g_strdup(id) : g_strdup("default");
    for (unsigned n = 2; !id && vnc_server_by_id(server->id); n++) {
        g_free(server->id);
        server->id = g_strdup_printf("vnc%u", n);
    }
    return !vnc_server_by_id(server->id) ||
           error_set(error, "Duplicate ID '%s' for vnc", server->id);
}

static void free_server(VncServer *server)
{
    g_free(server->id);
    g_free(server->display);
    g_free(server->location);
    g_free(server->password);
    g_free(server->mail.pixels);
    qapi_free_SocketAddress(server->wanted);
    qapi_free_SocketAddress(server->address);
    g_ptr_array_free(server->clients, TRUE);
    g_mutex_clear(&server->lock);
    g_free(server);
}

static bool parse_server(VncServer *server, json_object *props, GError **error)
{
    uint64_t head = 0, connections = DEFAULT_CONNECTIONS;
    bool has;

    if (!check_keys(props, error) || !get_address(props, &server->wanted, error) ||
        !switch_of(props, "password", &has, &server->password_auth, error) ||
        !set_share(server, text_of(props, "share"), error) ||
        !set_id(server, text_of(props, "id"), error) ||
        !number_of(props, "head", UINT32_MAX, &head, error) ||
        !number_of(props, "connections", 1000, &connections, error)) {
        return false;
    }
    server->display = g_strdup(text_of(props, "display"));
    server->head = head;
    server->max_connections = connections;
    return true;
}

bool vnc_add_option(const char *text, GError **error)
{
    json_object *props = keyval_parse(text, "vnc", true, NULL, error);
    VncServer *server;
    bool ok;

    if (!props) {
        return false;
    }
    server = g_new0(VncServer, 1);
    server->wake_fd = -1;
    server->clients = g_ptr_array_new();
    server->password_ends = INT64_MAX;
    server->location = g_strdup_printf("-vnc %s", text);
    g_mutex_init(&server->lock);
    ok = parse_server(server, props, error);
    json_object_put(props);
    if (ok) {
        g_queue_push_tail(&vnc_servers, server);
    } else {
        free_server(server);
    }
    return ok;
}

bool vnc_wanted(void)
{
    return vnc_servers.length > 0;
}

/* ---- start and end ---------------------------------------------------------------------------------------- */

static bool start_server(VncServer *server, GError **error)
{
    if (server->display) {
        server->console = console_find(server->display, server->head, error);
        if (!server->console) {
            return false;
        }
    } else {
        server->console = console_by_index(0);
    }
    if (!server->wanted) {
        return true;
    }
    if (!vnc_library_load(error)) {
        return false;
    }
    server->listener = io_listener_new(server->wanted, 16, error);
    if (!server->listener) {
        return false;
    }
    server->address = io_listener_address(server->listener, NULL);
    server->wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (server->wake_fd < 0) {
        return error_set_errno(error, errno, "eventfd");
    }
    server->thread = g_thread_new("vnc", vnc_thread, server);
    io_listener_start(server->listener, NULL, on_connection, server);
    return true;
}

bool vnc_start(GError **error)
{
    for (GList *l = vnc_servers.head; l; l = l->next) {
        VncServer *server = l->data;

        error_location_set(server->location);
        if (!start_server(server, error)) {
            return false;
        }
    }
    error_location_set(NULL);
    return true;
}

static void stop_server(VncServer *server)
{
    io_listener_free(server->listener);
    server->listener = NULL;
    if (server->thread) {
        g_mutex_lock(&server->lock);
        server->mail.quit = true;
        g_mutex_unlock(&server->lock);
        for (guint i = 0; i < server->clients->len; i++) {
            shutdown(((VncClient *)server->clients->pdata[i])->control_fd, SHUT_RDWR);
        }
        vnc_wake(server);
        g_thread_join(server->thread);
        while (g_atomic_int_get(&server->queued) > 0) {
            main_loop_iterate(false);
        }
        while (server->clients->len) { /* those that the thread never saw */
            client_gone(server->clients->pdata[0]);
        }
    }
    if (server->wake_fd >= 0) {
        close(server->wake_fd);
    }
    free_server(server);
}

void vnc_cleanup(void)
{
    VncServer *server;

    while ((server = g_queue_pop_head(&vnc_servers))) {
        stop_server(server);
    }
    g_clear_pointer(&guest_name, g_free);
}
