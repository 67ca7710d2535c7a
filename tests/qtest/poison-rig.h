/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What the programs about lost pages have in common: machines with a pattern in their memory, x-poison-page, ways out of a
 * machine, and huge pages.
 */
#ifndef POISON_RIG_H
#define POISON_RIG_H

#include "qtest-client.h"

#define PAGE 0x1000u
#define HUGE_PAGE 0x200000u
#define GIANT_PAGE 0x40000000u

/* Guest addresses; a back end may shift them all. */
#define RAM_START 0x400000u /* where the pattern begins */
#define RAM_BYTES 0x600000u /* three huge pages */
#define LOST 0x605000u      /* in the second one */
#define OTHER 0xb00000u     /* zeros */

typedef struct PoisonBackend {
    const char *name, *args;
    uint64_t page_size;
    uint64_t shift;
    bool seldom; /* only with TERN_TEST_LONG */
} PoisonBackend;

typedef enum PoisonBackendId { PRIVATE, MEMFD, HUGE, GIANT, POISON_BACKENDS } PoisonBackendId;
extern const PoisonBackend poison_backends[POISON_BACKENDS];
/* Whether this host has the pages for n such machines at once: as root they are reserved, and given back at the end of the
 * program. If not, says why in a message of the test. */
bool poison_backend_is_there(const PoisonBackend *backend, unsigned n);

/* A machine that is not moved by QTEST_MOVE_EVERY. */
QTest *poison_start(const char *args);
QTest *poison_start_incoming(const char *args);
/* x-poison-page; the address is not shifted. */
void poison(QTest *q, uint64_t address, const char *notice);
uint32_t poison_word_at(uint64_t address);
/* Writes the pattern. */
void poison_fill(QTest *q, const PoisonBackend *backend);
/* Everything but the page of LOST is the pattern; the page of `page_size` bytes reads as `lost` everywhere (-1: as the rest). */
void poison_check(QTest *q, const PoisonBackend *backend, uint64_t page_size, int lost);
size_t poison_entries(QTest *q);
/* The page of LOST is the list's only entry (or the only ones, of small pages). */
void poison_check_entry(QTest *q, const PoisonBackend *backend, uint64_t page_size, bool reported, bool required,
                        const char *origin);
void poison_expect_text(const char *text, const char *part);

/* ---- ways out of a machine ---- */

typedef struct PoisonPath {
    const char *name;
    const char *capabilities[3]; /* up to the first NULL */
    const char *parameters;      /* JSON of migrate-set-parameters, NULL: none */
    const char *to;              /* "unix:", "file:", "tcp:" */
} PoisonPath;

extern const PoisonPath poison_paths[];
extern const size_t poison_path_count;
/* By name. */
const PoisonPath *poison_path(const char *name);
bool poison_path_is_postcopy(const PoisonPath *path);
/* False, with a message of the test, if this build or host has no such way. */
bool poison_set_path(QTest *q, const PoisonPath *path);
/* The machine goes from a to b, which has been started to receive, and runs there. */
void poison_send(QTest *a, QTest *b, const PoisonPath *path);
/* migrate is refused, with the page's name, before anything is sent. */
void poison_refused(QTest *q, const PoisonPath *path);
const char *poison_wait_migration(QTest *q);
/* Until query-migrate says so. */
void poison_wait_for(QTest *q, const char *status);
void poison_set_bandwidth(QTest *q, unsigned bytes);

#endif
