/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Sources of entropy: the host's generator (rng-builtin), a file (rng-random), a daemon behind a character device that speaks
 * EGD's protocol (rng-egd: byte 02h and a count asks, that many bytes are the answer).
 */
#include "util/osdep.h"

#include <fcntl.h>
#include <glib-unix.h>
#include <sys/random.h>

#include "chardev/chardev.h"
#include "system/rng.h"
#include "util/error.h"
#include "util/main-loop.h"

#define EGD_READ 0x02
#define EGD_MAX 255

typedef struct RngRequest {
    size_t size, filled; /* filled: rng-egd has that many */
    size_t asked;        /* … and has asked for that many */
    RngReceived *received;
    void *opaque;
    uint8_t *data;
} RngRequest;

/* What a kind of source does when there is a request. */
typedef struct RngOps {
    void (*kick)(RngBackend *backend);
} RngOps;

static const ObjectType rng_source_type; /* interface: RngOps */

void rng_backend_request(RngBackend *backend, size_t size, RngReceived *received, void *opaque)
{
    RngRequest *r = g_new0(RngRequest, 1);

    r->size = MAX(size, 1);
    r->received = received;
    r->opaque = opaque;
    r->data = g_malloc(r->size);
    g_queue_push_tail(&backend->requests, r);
    ((const RngOps *)object_interface(backend, &rng_source_type))->kick(backend);
}

static void free_request(RngRequest *r)
{
    g_free(r->data);
    g_free(r);
}

void rng_backend_cancel(RngBackend *backend, void *opaque)
{
    for (GList *l = backend->requests.head, *next; l; l = next) {
        RngRequest *r = l->data;

        next = l->next;
        if (r->opaque == opaque) {
            r->received = NULL; /* a daemon's answer to it may be under way */
            r->opaque = NULL;
            if (!r->asked) {
                g_queue_delete_link(&backend->requests, l);
                free_request(r);
            }
        }
    }
}

/* The oldest request has n bytes. */
static void answer(RngBackend *backend, size_t n)
{
    RngRequest *r = g_queue_pop_head(&backend->requests);

    if (r->received) {
        r->received(r->opaque, r->data, n);
    }
    free_request(r);
}

void rng_backend_hold(RngBackend *backend)
{
    backend->users++;
}

void rng_backend_release(RngBackend *backend)
{
    g_assert(backend->users);
    backend->users--;
}

static bool rng_can_be_deleted(Object *obj, GError **error)
{
    return !((RngBackend *)obj)->users ||
           error_set(error, "object '%s' is in use, can not be deleted",
                     object_path_component(obj));
}

static void rng_finalize(Object *obj)
{
    RngBackend *backend = (RngBackend *)obj;
    RngRequest *r;

    while ((r = g_queue_pop_head(&backend->requests))) {
        free_request(r);
    }
}

static const ObjectType rng_source_type = {
    .name = "rng-source",
    .parent = &interface_type,
    .abstract = true,
};
OBJECT_TYPE_REGISTER(rng_source_type)

const ObjectType rng_backend_type = {
    .name = "rng-backend",
    .parent = &object_type,
    .size = sizeof(RngBackend),
    .abstract = true,
    .finalize = rng_finalize,
};
OBJECT_TYPE_REGISTER(rng_backend_type)

/* ---- rng-builtin ------------------------------------------------------------------------------------------------ */

typedef struct RngBuiltin {
    RngBackend backend;
    Bh *bh;
} RngBuiltin;

static void builtin_bh(void *opaque)
{
    RngBackend *backend = opaque;
    guint n =
        backend->requests.length; /* those that come from the answers wait for the next time */

    while (n-- && backend->requests.head) {
        RngRequest *r = backend->requests.head->data;
        ssize_t got = getrandom(r->data, r->size, 0);

        answer(backend, got > 0 ? (size_t)got : 0);
    }
    if (backend->requests.head) {
        bh_schedule(((RngBuiltin *)backend)->bh);
    }
}

static void builtin_kick(RngBackend *backend)
{
    bh_schedule(((RngBuiltin *)backend)->bh);
}

static void builtin_init(Object *obj)
{
    ((RngBuiltin *)obj)->bh = bh_new(NULL, "rng-builtin", builtin_bh, obj);
}

static void builtin_finalize(Object *obj)
{
    bh_delete(((RngBuiltin *)obj)->bh);
}

static bool builtin_complete(Object *obj, GError **error)
{
    return true;
}

static const RngOps builtin_source = { builtin_kick };
static const UserCreatableOps builtin_ops = { builtin_complete, rng_can_be_deleted };

const ObjectType rng_backend_builtin_type = {
    .name = "rng-builtin",
    .parent = &rng_backend_type,
    .size = sizeof(RngBuiltin),
    .init = builtin_init,
    .finalize = builtin_finalize,
    .interfaces = (const InterfaceImpl[]){ { &user_creatable_type, &builtin_ops },
                                           { &rng_source_type, &builtin_source },
                                           {} },
};
OBJECT_TYPE_REGISTER(rng_backend_builtin_type)

/* ---- rng-random --------------------------------------------------------------------------------------------------- */

typedef struct RngRandom {
    RngBackend backend;
    char *filename;
    int fd;
    GSource *source;
} RngRandom;

static gboolean random_readable(gint fd, GIOCondition condition, gpointer opaque)
{
    RngRandom *s = opaque;

    while (s->backend.requests.head) {
        RngRequest *r = s->backend.requests.head->data;
        ssize_t n = read(fd, r->data, r->size);

        if (n < 0 && errno == EINTR) {
            continue;
        }
        if (n <= 0) {
            break; /* none now; at the end of a file: none any more */
        }
        answer(&s->backend, n);
    }
    if (s->backend.requests.head) {
        return G_SOURCE_CONTINUE;
    }
    g_clear_pointer(&s->source, g_source_unref);
    return G_SOURCE_REMOVE;
}

static void random_kick(RngBackend *backend)
{
    RngRandom *s = (RngRandom *)backend;

    if (!s->source) {
        s->source = g_unix_fd_source_new(s->fd, G_IO_IN);
        g_source_set_callback(s->source, G_SOURCE_FUNC(random_readable), s, NULL);
        g_source_attach(s->source, NULL);
    }
}

static void random_init(Object *obj)
{
    ((RngRandom *)obj)->fd = -1;
}

static void random_finalize(Object *obj)
{
    RngRandom *s = (RngRandom *)obj;

    if (s->source) {
        g_source_destroy(s->source);
        g_source_unref(s->source);
    }
    if (s->fd >= 0) {
        close(s->fd);
    }
}

static bool random_complete(Object *obj, GError **error)
{
    RngRandom *s = (RngRandom *)obj;

    s->fd = open(s->filename, O_RDONLY | O_NONBLOCK | O_CLOEXEC);
    return s->fd >= 0 || error_set_errno(error, errno, "Could not open '%s'", s->filename);
}

static const RngOps random_source = { random_kick };
static const UserCreatableOps random_ops = { random_complete, rng_can_be_deleted };

static const ObjectType rng_random_type = {
    .name = "rng-random",
    .parent = &rng_backend_type,
    .size = sizeof(RngRandom),
    .init = random_init,
    .finalize = random_finalize,
    .properties = (const Property[]){ PROPERTY("filename", property_string, RngRandom, filename,
                                               .default_text = "/dev/urandom"),
                                      {} },
    .interfaces = (const InterfaceImpl[]){ { &user_creatable_type, &random_ops },
                                           { &rng_source_type, &random_source },
                                           {} },
};
OBJECT_TYPE_REGISTER(rng_random_type)

/* ---- rng-egd -------------------------------------------------------------------------------------------------------- */

typedef struct RngEgd {
    RngBackend backend;
    char *chardev;
    ChardevFe fe;
} RngEgd;

/* Asks for what has not been asked for, as far as the daemon takes it. */
static void egd_kick(RngBackend *backend)
{
    RngEgd *s = (RngEgd *)backend;

    for (GList *l = backend->requests.head; l; l = l->next) {
        RngRequest *r = l->data;

        while (r->asked < r->size) {
            uint8_t command[2] = { EGD_READ, MIN(r->size - r->asked, EGD_MAX) };

            if (chardev_write(&s->fe, command, sizeof(command)) != sizeof(command)) {
                return;
            }
            r->asked += command[1];
        }
    }
}

static size_t egd_can_read(void *opaque)
{
    RngBackend *backend = opaque;
    size_t wanted = 0;

    for (GList *l = backend->requests.head; l; l = l->next) {
        const RngRequest *r = l->data;

        wanted += r->asked - r->filled;
    }
    return wanted;
}

static void egd_read(void *opaque, const uint8_t *buf, size_t len)
{
    RngBackend *backend = opaque;

    while (len && backend->requests.head) {
        RngRequest *r = backend->requests.head->data;
        size_t n = MIN(len, r->size - r->filled);

        memcpy(r->data + r->filled, buf, n);
        r->filled += n;
        buf += n;
        len -= n;
        if (r->filled < r->size) {
            break;
        }
        answer(backend, r->size);
    }
}

/* Another daemon knows nothing of what the last one was asked. */
static void egd_event(void *opaque, ChardevEvent event)
{
    RngBackend *backend = opaque;

    if (event != CHARDEV_EVENT_OPENED) {
        return;
    }
    for (GList *l = backend->requests.head, *next; l; l = next) {
        RngRequest *r = l->data;

        next = l->next;
        r->asked = r->filled = 0;
        if (!r->received) {
            g_queue_delete_link(&backend->requests, l);
            free_request(r);
        }
    }
    egd_kick(backend);
}

static const ChardevHandlers egd_handlers = { egd_can_read, egd_read, egd_event };

static bool egd_complete(Object *obj, GError **error)
{
    RngEgd *s = (RngEgd *)obj;
    Chardev *chr;

    if (!s->chardev || !*s->chardev) {
        return error_set(error, "Parameter 'chardev' expects a valid character device");
    }
    chr = chardev_find(s->chardev);
    if (!chr) {
        return error_set_class(error, TERN_ERROR_DEVICE_NOT_FOUND, "Device '%s' not found",
                               s->chardev);
    }
    if (!chardev_fe_attach(&s->fe, chr, error)) {
        return false;
    }
    chardev_fe_set_handlers(&s->fe, &egd_handlers, s, NULL);
    return true;
}

static void egd_finalize(Object *obj)
{
    chardev_fe_detach(&((RngEgd *)obj)->fe);
}

static const RngOps egd_source = { egd_kick };
static const UserCreatableOps egd_ops = { egd_complete, rng_can_be_deleted };

static const ObjectType rng_egd_type = {
    .name = "rng-egd",
    .parent = &rng_backend_type,
    .size = sizeof(RngEgd),
    .finalize = egd_finalize,
    .properties = (const Property[]){ PROPERTY_STRING("chardev", RngEgd, chardev, NULL), {} },
    .interfaces = (const InterfaceImpl[]){ { &user_creatable_type, &egd_ops },
                                           { &rng_source_type, &egd_source },
                                           {} },
};
OBJECT_TYPE_REGISTER(rng_egd_type)
