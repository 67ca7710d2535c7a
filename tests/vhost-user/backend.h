/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A vhost-user back end for tests, which does what it is told: late, wrong, not at all. As a library (each test has its
 * own) and as a program (vhost-user-backend), to be run against other front ends, too.
 *
 * Each connection is a device of its own, with one thread for the messages and one for each ring; the two know as little
 * of each other as those of a real back end do. All functions may be called from any thread.
 */
#ifndef TESTS_VHOST_USER_BACKEND_H
#define TESTS_VHOST_USER_BACKEND_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <glib.h>
#include "hw/virtio/vhost-user-protocol.h"

typedef enum BackendPersonality {
    BACKEND_BLK,  /* a disk: `image` of `image_size` bytes */
    BACKEND_FS,   /* answers FUSE_INIT, refuses other operations */
    BACKEND_NET,  /* what is sent on an odd ring comes back on the one before it */
    BACKEND_ECHO, /* writes what it read, inverted, into the rest of the chain */
    BACKEND_SCSI, /* a SCSI host with one disk, target 0, LUN 0: `image` */
} BackendPersonality;

/* What happens at a message, in place of or before what it asks for. */
typedef enum BackendAction {
    BACKEND_DELAY,  /* arg ms, then as usual */
    BACKEND_REFUSE, /* a reply of 1 where one is asked for, and nothing is done */
    BACKEND_IGNORE, /* no reply, and nothing is done */
    BACKEND_SILENT, /* from now on no message is read */
    BACKEND_CLOSE,  /* the connection is closed */
    BACKEND_DIE, /* the process exits (program), the connection and the listener are closed (library) */
    BACKEND_WRONG_ID,    /* a reply to another request */
    BACKEND_WRONG_FLAGS, /* without the reply bit */
    BACKEND_WRONG_SIZE,  /* of 4 bytes */
    BACKEND_HUGE_SIZE,   /* of 2^31 bytes */
    BACKEND_WRONG_RING,  /* about the next ring (GET_VRING_BASE) */
    BACKEND_EXTRA_FD,    /* with a descriptor too many */
    BACKEND_TWICE,       /* the reply comes twice */
    BACKEND_DIE_AFTER,   /* as DIE, but what was asked for is done and answered first */
} BackendAction;

typedef struct BackendRule {
    uint32_t request; /* 0: any */
    unsigned nth;     /* the nth of this kind on the connection, from 1; 0: each */
    BackendAction action;
    unsigned arg;
    bool from_now; /* counted from the moment at which the rule is given; holds once */
} BackendRule;

typedef struct BackendOptions {
    const char *path; /* of the socket that it listens on */
    BackendPersonality personality;
    unsigned queues;
    uint64_t features;        /* of the device; 0: the personality's */
    uint64_t protocol;        /* protocol features */
    bool no_protocol;         /* no VHOST_USER_F_PROTOCOL_FEATURES at all */
    uint64_t image_size;      /* blk */
    bool discard_requests;    /* a kick to a ring that is not enabled: its requests are dropped */
    bool discard_kicks;       /* … the kick is forgotten, the requests stay */
    bool disable_on_features; /* SET_FEATURES disables the rings */
    /* goes on writing into guest memory after GET_VRING_BASE, and says so in the log, or does not */
    bool late_writer, late_unlogged;
    uint64_t late_page;     /* a guest address: its page is written once after GET_VRING_BASE, and nobody is told */
    unsigned data_delay_ms; /* a ring's thread takes so long to look at a kick */
    unsigned state_delay_ms; /* between two bytes of its state */
    bool keep_held;         /* what is held stays so at GET_VRING_BASE */
    unsigned hold;          /* requests that are taken and not answered, until backend_release() */
    const char *trace;      /* file for one line per message; NULL: none */
    bool process;           /* DIE exits the process */
} BackendOptions;

typedef struct Backend Backend;

#define BACKEND_ALL_PROTOCOL                                                      \
    (1u << VHOST_USER_PROTOCOL_F_MQ | 1u << VHOST_USER_PROTOCOL_F_LOG_SHMFD |     \
     1u << VHOST_USER_PROTOCOL_F_REPLY_ACK | 1u << VHOST_USER_PROTOCOL_F_CONFIG | \
     1u << VHOST_USER_PROTOCOL_F_INFLIGHT_SHMFD)
#define BACKEND_NO_ACK (BACKEND_ALL_PROTOCOL & ~(1u << VHOST_USER_PROTOCOL_F_REPLY_ACK))

/* Listens from now on. NULL with an error. */
Backend *backend_new(const BackendOptions *options, GError **error);
/* Ends all connections and threads. */
void backend_free(Backend *b);
/* For messages that come from now on; a rule that comes later goes first. */
void backend_add_rule(Backend *b, uint32_t request, unsigned nth, BackendAction action,
                      unsigned arg);
void backend_apply_rule(Backend *b, const BackendRule *rule);
void backend_clear_rules(Backend *b);
/* "SET_VRING_ENABLE=delay:200", "GET_VRING_BASE#2=die", "*#7=close", "*#+3=die" (from now): false with an error. */
bool backend_parse_rule(const char *text, BackendRule *rule, GError **error);
/* Closes all connections; with gone, the listener, too, until backend_listen(). */
void backend_disconnect(Backend *b, bool gone);
bool backend_listen(Backend *b, GError **error);
/* What was held is answered. */
void backend_release(Backend *b);
/* CONFIG_CHANGE over the channels that there are. Returns how many. */
unsigned backend_config_changed(Backend *b);
/* Sends these bytes as they are over the message sockets. */
void backend_send_raw(Backend *b, const void *data, size_t len);

typedef struct BackendCounts {
    unsigned served;      /* requests answered */
    unsigned lost;        /* requests dropped, or found behind a kick that was forgotten */
    unsigned early;       /* kicks to rings that were not enabled */
    unsigned messages;    /* over all connections */
    unsigned connections; /* so far */
    unsigned open;        /* now */
    unsigned held;
    unsigned fired; /* rules that had an effect: a message without an answer cannot be answered wrong */
} BackendCounts;
void backend_get_counts(Backend *b, BackendCounts *counts);
/* How often a request has come. */
unsigned backend_count(Backend *b, uint32_t request);
uint8_t *backend_image(Backend *b);
/* The trace so far, one line per message ("> GET_FEATURES flags 0x1…", "< …"). g_free(). */
char *backend_trace(Backend *b);
void backend_clear_trace(Backend *b);

#endif
