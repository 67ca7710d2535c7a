/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What a backend supplies, and what the core gives to backends. */
#ifndef CHARDEV_PRIVATE_H
#define CHARDEV_PRIVATE_H

#include "chardev/chardev.h"
#include "io/channel.h"

typedef struct ChardevOps {
    ChardevBackendKind kind;
    size_t size; /* of the struct whose first member is a Chardev */
    /* Opens. may_wait: a server may wait for its first client. The chardev has its id; no source
     * runs yet. */
    bool (*open)(Chardev *chr, const ChardevBackend *backend, bool may_wait, GError **error);
    /* Bytes that went, 0 if none would go now, -errno if the peer has gone. chr->lock is held. */
    ssize_t (*write)(Chardev *chr, const uint8_t *buf, size_t len);
    /* Called in chr->ctx when handlers or the wish for input changed: (re)makes the sources. May be
     * NULL. */
    void (*update)(Chardev *chr);
    /* Destroys all sources (before a change of context or the end). May be NULL. */
    void (*stop)(Chardev *chr);
    /* Behind stop, when chr->ctx is another one: takes along what was under way. May be NULL. */
    void (*moved)(Chardev *chr);
    /* A channel to wait on for room, NULL: everything is always taken. chr->lock is held; a new
     * reference. */
    IoChannel *(*writable)(Chardev *chr);
    int (*take_fd)(Chardev *chr);
    /* As write, with descriptors. NULL: they cannot travel. chr->lock is held. */
    ssize_t (*write_fds)(Chardev *chr, const uint8_t *buf, size_t len, const int *fds,
                         unsigned nfds);
    bool (*may_reconnect)(const Chardev *chr); /* NULL: no */
    void (*set_echo)(Chardev *chr, bool echo);
    void (*send_break)(Chardev *chr);
    void (*disconnect)(Chardev *chr);
    void (*finalize)(Chardev *chr);
} ChardevOps;

struct Chardev {
    const ChardevOps *ops;
    char *id;
    char *filename; /* lock */
    bool listed;
    bool be_open;      /* the peer is there; written in ctx under lock */
    ChardevFe *fe;     /* the front end; a mux has its own table */
    GMainContext *ctx; /* of the sources */
    GSource *start;    /* pending start in ctx */
    GMutex lock;       /* writers against the ends of connections */
    int log_fd;        /* -1: none */
};

void chardev_register_ops(const ChardevOps *ops);
#define CHARDEV_REGISTER(ops)                                                \
    static void __attribute__((constructor)) chardev_register_##ops##_(void) \
    {                                                                        \
        chardev_register_ops(&ops);                                          \
    }
const ChardevOps *chardev_ops_of(ChardevBackendKind kind);
/* Calls func for each registered kind, in order of the enum. */
void chardev_foreach_ops(void (*func)(const ChardevOps *ops, void *opaque), void *opaque);

/* chardev_new() with all its switches. */
Chardev *chardev_create(const char *id, const ChardevBackend *backend, bool listed, bool may_wait,
                        GError **error);
/* Whatever uses it, it ends now. */
void chardev_destroy(Chardev *chr);

/* Takes text. */
void chardev_set_filename(Chardev *chr, char *text);

/* For backends, in chr->ctx: the peer came or went; sends the event if that is news. */
void chardev_be_event(Chardev *chr, ChardevEvent event);
/* How much the front end takes now. */
size_t chardev_be_can_read(Chardev *chr);
void chardev_be_read(Chardev *chr, const uint8_t *buf, size_t len);
/* Whether anybody wants input. */
bool chardev_be_wants_input(Chardev *chr);

/* --- input from an IoChannel, for backends that have one -------------------------------------- */

typedef struct ChardevReader {
    Chardev *chr;
    GSource *source;
    void (*eof)(Chardev *chr); /* the peer has gone; in ctx, must not touch the source any more */
    /* Reads up to len bytes as io_channel_read(); NULL: just that. */
    ssize_t (*read)(Chardev *chr, void *buf, size_t len);
} ChardevReader;

/* Starts or stops watching ioc (NULL: stops) as the front end wishes. In chr->ctx. */
void chardev_reader_update(ChardevReader *reader, IoChannel *ioc);
void chardev_reader_stop(ChardevReader *reader);

/* --- the mux's part of the front end interface ------------------------------------------------ */

bool chardev_mux_attach(Chardev *chr, ChardevFe *fe, GError **error);
void chardev_mux_detach(Chardev *chr, ChardevFe *fe);
void chardev_mux_handlers_changed(Chardev *chr, ChardevFe *fe);
void chardev_mux_accept_input(Chardev *chr, ChardevFe *fe);
ssize_t chardev_mux_write(Chardev *chr, ChardevFe *fe, const void *buf, size_t len);
bool chardev_mux_used(const Chardev *chr);
/* The mux's own front end of the device below it. */
ChardevFe *chardev_mux_base(Chardev *chr);

/* ringbuf */
bool chardev_is_ringbuf(const Chardev *chr);

#endif
