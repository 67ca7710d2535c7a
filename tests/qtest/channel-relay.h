/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Between the source and the destination of a migration: passes on what is said on each connection, in both directions, and
 * does something wrong at a chosen byte of a chosen one. Channels are numbered in the order in which the source makes them.
 */
#ifndef CHANNEL_RELAY_H
#define CHANNEL_RELAY_H

#include <stdbool.h>
#include <stdint.h>

typedef struct Relay Relay;

typedef enum RelayFaultKind {
    RELAY_FINE,
    RELAY_CLOSE,     /* all connections end */
    RELAY_CLOSE_ONE, /* this one does, once the source has said something on any */
    RELAY_STALL,     /* nothing more comes on it */
    RELAY_SHORT,     /* the next kilobytes come in pieces of a few bytes, which is no fault */
    RELAY_GARBAGE,   /* one byte is another */
} RelayFaultKind;

#define RELAY_ANY 9999 /* the channel that says the byte, all counted together */

typedef struct RelayFault {
    RelayFaultKind kind;
    unsigned channel;
    bool answers;    /* in what the destination says */
    uint64_t offset; /* bytes of that channel and direction before it */
} RelayFault;

/* Listens at a unix socket (path) or, with NULL, at a port of 127.0.0.1, and connects to target: "unix:PATH" or
 * "tcp:HOST:PORT". The fault may be NULL. */
Relay *relay_new(const char *path, const char *target, const RelayFault *fault);
/* Nobody listens; pairs of connected sockets (taken) come by relay_add(). */
Relay *relay_new_pairs(const RelayFault *fault);
void relay_add(Relay *r, int source, int target);
/* Where the source connects to; owned by the relay. */
const char *relay_uri(const Relay *r);
/* From now on, with offset counted from here: for a phase that begins at no byte that is known before. Only of RELAY_ANY. */
void relay_fault_from_here(Relay *r, const RelayFault *fault);
/* What the destination (answers) or the source says is held back, or passed on again. */
void relay_hold(Relay *r, bool answers, bool hold);
/* Whether the fault has happened. */
bool relay_faulted(Relay *r);
/* Bytes that one of them has said, on all channels. */
uint64_t relay_passed(Relay *r, bool answers);
/* Whether all that the source has said by now has been given to the destination's sockets. */
bool relay_idle(Relay *r);
/* Ends all connections and takes no more. */
void relay_cut(Relay *r);
/* The same, and the rest of it. NULL is allowed. */
void relay_free(Relay *r);

#endif
