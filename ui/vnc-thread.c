/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The thread of a VNC server: the only caller of LibVNCServer (N1). It waits for its clients and for the eventfd that
 * says that there is mail, never for the machine.
 */
#include "util/osdep.h"

#include <dlfcn.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <rfb/rfb.h>
#include <sys/eventfd.h>
#include <sys/select.h>
#include <sys/socket.h>

#include "ui/vnc.h"
#include "util/bytes.h"
#include "util/error.h"
#include "util/main-loop.h"
#include "vnc.h"

#define LIBRARY "libvncserver.so.1"
#define CLIENT_WAIT_MS 4000 /* how long a client may keep the others waiting */
#define QUEUE_MAX 256       /* events on their way to a machine that does not take them */

/* Pseudo encodings of the community's protocol. */
enum {
    ENCODING_POINTER_TYPE = -257,
    ENCODING_EXTENDED_KEY = -258,
    ENCODING_LEDS = -261,
    MESSAGE_QEMU = 255,
};

/* ---- the library --------------------------------------------------------------------------------------- */

#define FUNCTIONS(F)                \
    F(rfbCheckPasswordByList)       \
    F(rfbClientConnectionGone)      \
    F(rfbCloseClient)               \
    F(rfbGetScreen)                 \
    F(rfbLogEnable)                 \
    F(rfbMarkRectAsModified)        \
    F(rfbNewClient)                 \
    F(rfbNewFramebuffer)            \
    F(rfbProcessClientMessage)      \
    F(rfbReadExact)                 \
    F(rfbRegisterProtocolExtension) \
    F(rfbScreenCleanup)             \
    F(rfbUpdateClient)              \
    F(rfbWriteExact)

static struct {
    void *handle;
#define MEMBER(name) __typeof__(name) *name;
    FUNCTIONS(MEMBER)
#undef MEMBER
} lib;

static rfbProtocolExtension extension;

static bool load_function(const char *name, void *slot, GError **error)
{
    void *function = dlsym(lib.handle, name);

    memcpy(slot, &function, sizeof(function));
    return function || error_set(error, "VNC: " LIBRARY " has no %s", name);
}

bool vnc_library_load(GError **error)
{
    if (lib.handle) {
        return true;
    }
    lib.handle = dlopen(LIBRARY, RTLD_NOW | RTLD_LOCAL);
    if (!lib.handle) {
        return error_set(error, "VNC needs LibVNCServer: %s", dlerror());
    }
#define LOAD(name)                                 \
    if (!load_function(#name, &lib.name, error)) { \
        dlclose(lib.handle);                       \
        lib.handle = NULL;                         \
        return false;                              \
    }
    FUNCTIONS(LOAD)
#undef LOAD
    lib.rfbLogEnable(FALSE);
    lib.rfbRegisterProtocolExtension(&extension);
    return true;
}

void vnc_wake(VncServer *server)
{
    uint64_t one = 1;

    if (write(server->wake_fd, &one, sizeof(one)) < 0) {
        return; /* the counter is full, so it is awake */
    }
}

/* ---- clients: from here on all in the server's thread ------------------------------------------------------ */

/* One of our clients: cl->clientData. */
typedef struct ThreadClient {
    VncClient *client;
    rfbClientPtr cl;
    bool initialized;
    bool knows_leds, knows_pointer_type;
    unsigned leds; /* as told */
    bool absolute;
} ThreadClient;

/* cl->screen->screenData */
typedef struct ThreadServer {
    VncServer *server;
    rfbScreenInfoPtr screen;
    GPtrArray *clients; /* ThreadClient * */
    uint32_t *pixels;   /* what the library sends from */
    char *title;
    unsigned leds;
    bool absolute;
} ThreadServer;

static ThreadServer *thread_of(rfbClientPtr cl)
{
    return cl->screen->screenData;
}

static void post(ThreadServer *t, ThreadClient *c, const VncEvent *event)
{
    VncServer *server = t->server;
    VncEvent *copy = g_memdup2(event, sizeof(*event));

    copy->client = c->client;
    while (event->kind != VNC_EVENT_GONE && g_atomic_int_get(&server->queued) > QUEUE_MAX) {
        bool quit;

        g_mutex_lock(&server->lock);
        quit = server->mail.quit;
        g_mutex_unlock(&server->lock);
        if (quit) {
            break;
        }
        g_usleep(1000);
    }
    g_atomic_int_inc(&server->queued);
    main_loop_call(vnc_event, copy);
}

static void on_key(rfbBool down, rfbKeySym key, rfbClientPtr cl)
{
    post(thread_of(cl), cl->clientData,
         &(VncEvent){ .kind = VNC_EVENT_KEYSYM, .value = key, .down = down });
}

static void on_pointer(int buttons, int x, int y, rfbClientPtr cl)
{
    post(thread_of(cl), cl->clientData,
         &(VncEvent){ .kind = VNC_EVENT_POINTER, .value = buttons, .x = x, .y = y });
}

/* The library compares with a list that ends with NULL. */
static rfbBool check_password(rfbClientPtr cl, const char *response, int len)
{
    VncServer *server = thread_of(cl)->server;
    char password[9] = "";
    char *list[] = { password, NULL };
    bool usable;
    rfbBool ok;

    g_mutex_lock(&server->lock);
    usable = server->password && server->password_ends > g_get_real_time() / G_USEC_PER_SEC;
    if (usable) {
        g_strlcpy(password, server->password, sizeof(password));
    }
    g_mutex_unlock(&server->lock);
    if (!usable) {
        return FALSE;
    }
    cl->screen->authPasswdData = list;
    ok = lib.rfbCheckPasswordByList(cl, response, len);
    cl->screen->authPasswdData = server;
    return ok;
}

static enum rfbNewClientAction accept_client(rfbClientPtr cl)
{
    return RFB_CLIENT_ACCEPT;
}

/* A rectangle that carries news instead of pixels, in an update of its own. */
static void send_pseudo_rect(rfbClientPtr cl, int encoding, unsigned x, unsigned width,
                             unsigned height, const uint8_t *data, size_t len)
{
    uint8_t message[4 + 12 + 1] = { 0, 0, 0, 1 };

    store_be16(message + 4, x);
    store_be16(message + 8, width);
    store_be16(message + 10, height);
    store_be32(message + 12, encoding);
    if (len) {
        memcpy(message + 16, data, len);
    }
    if (lib.rfbWriteExact(cl, (char *)message, 16 + len) < 0) {
        lib.rfbCloseClient(cl);
    }
}

static void send_leds(ThreadServer *t, ThreadClient *c)
{
    uint8_t state = t->leds; /* bits as ui/input.h has them */

    c->leds = t->leds;
    send_pseudo_rect(c->cl, ENCODING_LEDS, 0, 1, 1, &state, 1);
}

static void send_pointer_type(ThreadServer *t, ThreadClient *c)
{
    c->absolute = t->absolute;
    send_pseudo_rect(c->cl, ENCODING_POINTER_TYPE, t->absolute, t->screen->width, t->screen->height,
                     NULL, 0);
}

static rfbBool enable_encoding(rfbClientPtr cl, void **data, int encoding)
{
    ThreadServer *t = thread_of(cl);
    ThreadClient *c = cl->clientData;

    if (encoding == ENCODING_EXTENDED_KEY) {
        send_pseudo_rect(cl, encoding, 0, t->screen->width, t->screen->height, NULL, 0);
    } else if (encoding == ENCODING_LEDS) {
        c->knows_leds = true;
        send_leds(t, c);
    } else if (encoding == ENCODING_POINTER_TYPE) {
        c->knows_pointer_type = true;
        post(t, c, &(VncEvent){ .kind = VNC_EVENT_RELATIVE_POINTER });
        send_pointer_type(t, c);
    } else {
        return FALSE;
    }
    return TRUE;
}

/* Message 255, sub-message 0: a key with keysym and scan code. */
static rfbBool handle_message(rfbClientPtr cl, void *data, const rfbClientToServerMsg *message)
{
    uint8_t rest[11];
    unsigned number;

    if (message->type != MESSAGE_QEMU) {
        return FALSE;
    }
    if (lib.rfbReadExact(cl, (char *)rest, 1) <= 0 || rest[0] != 0 ||
        lib.rfbReadExact(cl, (char *)rest + 1, sizeof(rest) - 1) <= 0) {
        lib.rfbCloseClient(cl); /* gone, or something that we did not offer */
        return TRUE;
    }
    number = load_be32(rest + 7);
    post(thread_of(cl), cl->clientData,
         number ? &(VncEvent){ .kind = VNC_EVENT_KEY_NUMBER,
                               .value = number,
                               .down = load_be16(rest + 1) }
                : &(VncEvent){ .kind = VNC_EVENT_KEYSYM,
                               .value = load_be32(rest + 3),
                               .down = load_be16(rest + 1) });
    return TRUE;
}

static int extension_encodings[] = { ENCODING_EXTENDED_KEY, ENCODING_LEDS, ENCODING_POINTER_TYPE,
                                     0 };
static rfbProtocolExtension extension = {
    .pseudoEncodings = extension_encodings,
    .enablePseudoEncoding = enable_encoding,
    .handleMessage = handle_message,
};

/* ---- the screen ------------------------------------------------------------------------------------------ */

static void set_format(ThreadServer *t)
{
    rfbPixelFormat *format = &t->screen->serverFormat;

    format->redShift = 16;
    format->greenShift = 8;
    format->blueShift = 0;
    for (guint i = 0; i < t->clients->len; i++) {
        ThreadClient *c = t->clients->pdata[i];

        t->screen->setTranslateFunction(c->cl);
    }
}

static bool make_screen(ThreadServer *t)
{
    VncServer *server = t->server;
    rfbScreenInfoPtr screen = lib.rfbGetScreen(NULL, NULL, 1, 1, 8, 3, 4);

    if (!screen) {
        return false;
    }
    t->screen = screen;
    t->pixels = g_new0(uint32_t, 1);
    screen->frameBuffer = (char *)t->pixels;
    screen->screenData = t;
    screen->desktopName = t->title;
    screen->cursor = NULL;
    screen->alwaysShared = server->ignore_share;
    screen->deferUpdateTime = 0;
    screen->deferPtrUpdateTime = 0;
    screen->maxClientWait = CLIENT_WAIT_MS;
    screen->kbdAddEvent = on_key;
    screen->ptrAddEvent = on_pointer;
    screen->newClientHook = accept_client;
    screen->passwordCheck = check_password;
    screen->authPasswdData = server->password_auth ? server : NULL;
    set_format(t);
    return true;
}

/* The picture grew or shrank: mail holds the lock. */
static void take_size(ThreadServer *t, VncMailbox *mail)
{
    uint32_t *old = t->pixels;

    t->pixels = g_new0(uint32_t, (size_t)mail->width * mail->height);
    lib.rfbNewFramebuffer(t->screen, (char *)t->pixels, mail->width, mail->height, 8, 3, 4);
    g_free(old);
    set_format(t);
}

static void copy_rect(ThreadServer *t, const VncMailbox *mail, const pixman_box32_t *r)
{
    for (int y = r->y1; y < r->y2; y++) {
        size_t at = (size_t)y * mail->width + r->x1;

        memcpy(t->pixels + at, mail->pixels + at, (size_t)(r->x2 - r->x1) * 4);
    }
}

/* Takes what the main thread left; false to end. */
static bool take_mail(ThreadServer *t, GQueue *arrivals)
{
    VncServer *server = t->server;
    VncMailbox *mail = &server->mail;
    pixman_box32_t rects[VNC_MAX_RECTS];
    unsigned n_rects;
    bool quit;

    g_mutex_lock(&server->lock);
    if (mail->resized) {
        take_size(t, mail);
        mail->resized = false;
    }
    n_rects = mail->n_rects;
    for (unsigned i = 0; i < n_rects; i++) {
        rects[i] = mail->rects[i];
        copy_rect(t, mail, &rects[i]);
    }
    mail->n_rects = 0;
    *arrivals = mail->arrivals;
    g_queue_init(&mail->arrivals);
    t->leds = mail->leds;
    t->absolute = mail->absolute;
    quit = mail->quit;
    g_mutex_unlock(&server->lock);
    for (unsigned i = 0; i < n_rects; i++) {
        lib.rfbMarkRectAsModified(t->screen, rects[i].x1, rects[i].y1, rects[i].x2, rects[i].y2);
    }
    return !quit;
}

/* ---- the loop -------------------------------------------------------------------------------------------- */

static void report_gone(ThreadServer *t, ThreadClient *c)
{
    post(t, c, &(VncEvent){ .kind = VNC_EVENT_GONE });
    g_free(c);
}

/*
 * The library looks at the first bytes that a new client sends, for WebSockets: 100 ms long, and for ever where there is one
 * byte and no more. So it meets a socket pair first that says what a VNC client would say; the real socket takes its
 * place when the greeting is out. A descriptor that is too large for select() in the library is refused.
 */
static rfbClientPtr introduce(rfbScreenInfoPtr screen, int fd)
{
    static const char hello[] = "RFB ";
    char greeting[12];
    rfbClientPtr cl = NULL;
    ssize_t n;
    int pair[2];

    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) < 0) {
        return NULL;
    }
    if (pair[0] < FD_SETSIZE && write(pair[1], hello, 4) == 4) {
        cl = lib.rfbNewClient(screen, pair[0]);
    } else {
        close(pair[0]);
    }
    if (cl) {
        n = recv(pair[1], greeting, sizeof(greeting), MSG_DONTWAIT);
        fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) | O_NONBLOCK);
        if (n != sizeof(greeting) || send(fd, greeting, n, MSG_NOSIGNAL) != n ||
            dup3(fd, cl->sock, O_CLOEXEC) < 0) {
            lib.rfbCloseClient(cl);
        }
    }
    close(pair[1]);
    return cl;
}

static void take_client(ThreadServer *t, VncClient *client)
{
    ThreadClient *c = g_new0(ThreadClient, 1);

    c->client = client;
    c->cl = introduce(t->screen, client->fd);
    close(client->fd);
    client->fd = -1;
    if (!c->cl) {
        report_gone(t, c);
        return;
    }
    c->cl->clientData = c;
    g_ptr_array_add(t->clients, c);
}

static void drop_client(ThreadServer *t, unsigned i)
{
    ThreadClient *c = g_ptr_array_remove_index(t->clients, i);

    c->cl->clientData = NULL;
    lib.rfbClientConnectionGone(c->cl);
    report_gone(t, c);
}

/* A client may ask for a picture that is scaled down to nothing, on which the library divides by zero. */
static bool sees_something(const rfbClientRec *cl)
{
    return !cl->scaledScreen || (cl->scaledScreen->width > 0 && cl->scaledScreen->height > 0);
}

/*
 * With these two encodings LibVNCServer 0.9.14 divides by the width of each rectangle that a client has asked for, which may be
 * nothing. Raw pixels every client takes (RFC 6143, 7.7).
 */
static void avoid_divisions(rfbClientPtr cl)
{
    if (cl->preferredEncoding == rfbEncodingZlib || cl->preferredEncoding == rfbEncodingUltra) {
        cl->preferredEncoding = rfbEncodingRaw;
    }
}

static void serve_client(ThreadServer *t, ThreadClient *c)
{
    if (!c->initialized && c->cl->state == RFB_NORMAL) {
        c->initialized = true;
        post(t, c, &(VncEvent){ .kind = VNC_EVENT_INITIALIZED });
    }
    if (c->cl->sock != RFB_INVALID_SOCKET && !sees_something(c->cl)) {
        lib.rfbCloseClient(c->cl);
    }
    if (c->cl->sock == RFB_INVALID_SOCKET) {
        return;
    }
    if (c->knows_leds && c->leds != t->leds) {
        send_leds(t, c);
    }
    if (c->knows_pointer_type && c->absolute != t->absolute) {
        send_pointer_type(t, c);
    }
    avoid_divisions(c->cl);
    lib.rfbUpdateClient(c->cl);
}

static void serve_clients(ThreadServer *t)
{
    for (unsigned i = 0; i < t->clients->len;) {
        ThreadClient *c = t->clients->pdata[i];

        serve_client(t, c);
        if (c->cl->sock == RFB_INVALID_SOCKET) {
            drop_client(t, i);
        } else {
            i++;
        }
    }
}

/* Waits for mail or for a client, and reads what the clients say. */
static void wait_and_read(ThreadServer *t)
{
    unsigned n = t->clients->len;
    g_autofree struct pollfd *fds = g_new0(struct pollfd, n + 1);
    uint64_t count;

    for (unsigned i = 0; i < n; i++) {
        ThreadClient *c = t->clients->pdata[i];

        fds[i] = (struct pollfd){ .fd = c->cl->sock, .events = POLLIN };
    }
    fds[n] = (struct pollfd){ .fd = t->server->wake_fd, .events = POLLIN };
    if (poll(fds, n + 1, -1) < 0) {
        return;
    }
    if (fds[n].revents && read(fds[n].fd, &count, sizeof(count)) < 0) {
        return; /* somebody was faster: there is only us, so it was not ready */
    }
    for (unsigned i = 0; i < n; i++) {
        ThreadClient *c = t->clients->pdata[i];

        if (fds[i].revents && c->cl->sock != RFB_INVALID_SOCKET) {
            lib.rfbProcessClientMessage(c->cl);
        }
    }
}

static void end_clients(ThreadServer *t, GQueue *arrivals)
{
    VncClient *client;

    while ((client = g_queue_pop_head(arrivals))) {
        close(client->fd);
        client->fd = -1;
    }
    while (t->clients->len) {
        lib.rfbCloseClient(((ThreadClient *)t->clients->pdata[0])->cl);
        drop_client(t, 0);
    }
}

void *vnc_thread(void *opaque)
{
    ThreadServer t = { .server = opaque, .clients = g_ptr_array_new() };
    GQueue arrivals = G_QUEUE_INIT;
    VncClient *client;
    bool ok;

    t.title = vnc_title();
    ok = make_screen(&t);
    while (take_mail(&t, &arrivals) && ok) {
        while ((client = g_queue_pop_head(&arrivals))) {
            take_client(&t, client);
        }
        serve_clients(&t);
        wait_and_read(&t);
    }
    end_clients(&t, &arrivals);
    if (ok) {
        t.screen->frameBuffer = NULL;
        lib.rfbScreenCleanup(t.screen);
    }
    g_free(t.pixels);
    g_free(t.title);
    g_ptr_array_free(t.clients, TRUE);
    return NULL;
}
