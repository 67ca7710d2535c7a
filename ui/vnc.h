/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Between the files of the VNC server; rules in ui/vnc.h of include/. */
#ifndef UI_VNC_PRIVATE_H
#define UI_VNC_PRIVATE_H

#include <pixman.h>

#include "io/socket.h"
#include "qapi/types-ui.h"
#include "ui-private.h"

typedef struct VncServer VncServer;

/* A client as the main thread sees it. The server thread has the socket; control_fd is a duplicate to shut it down. */
typedef struct VncClient {
    VncServer *server;
    int fd; /* until the server thread takes it, then -1 */
    int control_fd;
    SocketAddress *address;
    bool initialized;
    bool has_position;
    bool relative_pointer; /* it knows that motion may be relative (pointer type pseudo encoding) */
    int x, y;
    unsigned buttons;
    uint16_t held[Q_KEY_CODE_COUNT];
} VncClient;

enum { VNC_MAX_RECTS = 32 };

/* What lies between the threads (N2). */
typedef struct VncMailbox {
    uint32_t *pixels; /* width * height, owned by the main thread's side */
    int width, height;
    bool resized;
    pixman_box32_t rects[VNC_MAX_RECTS];
    unsigned n_rects;
    GQueue arrivals; /* VncClient * */
    unsigned leds;
    bool absolute;
    bool quit;
} VncMailbox;

struct VncServer {
    char *id;
    char *display; /* id of the device, NULL: the first console */
    unsigned head;
    SocketAddress *wanted; /* where to listen; NULL: nowhere (none) */
    char *location;        /* for errors at start */
    bool password_auth;
    bool ignore_share;
    unsigned max_connections;
    IoListener *listener;
    SocketAddress *address; /* where it listens */
    Console *console;
    ConsoleListener *listening;
    GPtrArray *clients; /* VncClient * */
    GThread *thread;
    int wake_fd;     /* eventfd */
    unsigned queued; /* events on their way to the main thread; atomic */
    GMutex lock;
    VncMailbox mail;
    char *password;        /* under lock */
    int64_t password_ends; /* s since 1970; INT64_MAX: never. Under lock */
};

/* In order of definition. */
extern GQueue vnc_servers;
/* NULL id: the first. NULL if there is none. */
VncServer *vnc_server_by_id(const char *id);
/* New strings; address may be NULL. */
void vnc_address_info(const SocketAddress *address, char **host, char **service,
                      NetworkAddressFamily *family);
/* "QEMU", "QEMU (NAME)": new string. */
char *vnc_title(void);

/* ---- vnc-thread.c: the server's thread ---- */

/* Loads the library. */
bool vnc_library_load(GError **error);
void *vnc_thread(void *server);
/* The thread looks into the mailbox. */
void vnc_wake(VncServer *server);

/* ---- vnc.c: called in the main thread for what the thread reported ---- */

typedef enum VncEventKind {
    VNC_EVENT_INITIALIZED,
    VNC_EVENT_GONE,
    VNC_EVENT_KEYSYM,
    VNC_EVENT_KEY_NUMBER,
    VNC_EVENT_POINTER,
    VNC_EVENT_RELATIVE_POINTER,
} VncEventKind;

typedef struct VncEvent {
    VncEventKind kind;
    VncClient *client;
    unsigned value; /* key, buttons */
    bool down;
    int x, y;
} VncEvent;

void vnc_event(void *event); /* frees it */

/* ---- vnc-keys.c ---- */

/* The key of a US keyboard that makes this keysym; Q_KEY_CODE_UNMAPPED if there is none. */
QKeyCode vnc_key_from_keysym(uint32_t keysym);

#endif
