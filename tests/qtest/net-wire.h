/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The other end of a network card's cable, for tests: the emulator's `-netdev stream` connects to a socket of the test. A
 * machine that moves connects from its new process; what is sent goes to the newest connection, what is received comes from
 * any.
 */
#ifndef NET_WIRE_H
#define NET_WIRE_H

#include "qtest-client.h"

typedef struct Wire Wire;

#define WIRE_PACKET_MAX (70 * 1024)

Wire *wire_new(void);
void wire_free(Wire *w);
/* "-netdev stream,id=ID,…" */
char *wire_option(const Wire *w, const char *id);
/* The machine has the card with that option: waits until it is connected, now and after each move. */
void wire_attach(Wire *w, QTest *q);
void wire_send(Wire *w, const void *packet, size_t len);
/* RARP packets are packets, too: without this they are passed over. */
void wire_want_announcements(Wire *w);
/* The next packet, at most ten seconds later. */
size_t wire_receive(Wire *w, void *packet);
/* Whether one is there or comes within so many milliseconds. */
bool wire_has_packet(Wire *w, int timeout_ms);
/* Does not read from the emulator any more (its socket fills), and again. */
void wire_stall(Wire *w, bool stall);

/* Big-endian fields. */
uint16_t wire_be16(const uint8_t *p);
uint32_t wire_be32(const uint8_t *p);
/* RFC 1071 over len bytes; 0xffff where the sum in them is right. */
uint16_t wire_sum(uint32_t start, const uint8_t *p, size_t len);

#endif
