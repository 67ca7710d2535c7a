/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * From a byte stream to QMP messages, whatever the bytes are.
 *
 * J1  Every message gives exactly one call of `message`: a JSON value, or an error.
 * J2  After an error the parser goes on with the next message; a byte 0xFF always resets it.
 * J3  Memory per message and depth of nesting are bounded.
 */
#ifndef MONITOR_QMP_PARSER_H
#define MONITOR_QMP_PARSER_H

#include <stdbool.h>
#include <stdint.h>
#include <glib.h>
#include <json-c/json.h>

#define QMP_MAX_MESSAGE (64u << 20)
#define QMP_MAX_NESTING 1024

/* Takes value; exactly one of value (may be NULL for a JSON null) and error is meant, error is
 * borrowed. */
typedef void QmpMessageFunc(json_object *value, const GError *error, void *opaque);

typedef struct QmpParser {
    QmpMessageFunc *message;
    void *opaque;
    GString *text; /* of the message so far, strings in double quotes */
    unsigned depth;
    char quote;    /* of the string that we are in, 0 outside */
    bool escape;   /* after a backslash */
    bool bare;     /* in a number or keyword outside of objects and arrays */
    size_t number; /* where in text the number that we are in begins, + 1; 0: none */
} QmpParser;

void qmp_parser_init(QmpParser *parser, QmpMessageFunc *message, void *opaque);
void qmp_parser_feed(QmpParser *parser, const uint8_t *buf, size_t len);
/* Forgets a message in the middle. */
void qmp_parser_reset(QmpParser *parser);
void qmp_parser_destroy(QmpParser *parser);

#endif
