/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Rules of the blkdebug driver; how they come from a file. */
#ifndef BLOCK_BLKDEBUG_H
#define BLOCK_BLKDEBUG_H

#include "block/block.h"

typedef enum BlkdebugKind { BLKDEBUG_INJECT, BLKDEBUG_SET_STATE, BLKDEBUG_SUSPEND } BlkdebugKind;

typedef struct BlkdebugRule {
    BlkdebugKind kind;
    int64_t state;    /* 0: any */
    int64_t error;    /* positive errno */
    int64_t sector;   /* -1: any */
    unsigned iotypes; /* bits of BlkdebugIOType */
    bool once, immediately;
    bool used; /* `once` has happened */
    int64_t new_state;
    char *tag; /* SUSPEND */
} BlkdebugRule;

typedef struct BlkdebugRules {
    GPtrArray *by_event[BLKDEBUG_EVENT_COUNT]; /* BlkdebugRule *, owned */
} BlkdebugRules;

/* A new rule with defaults, appended. */
BlkdebugRule *blkdebug_rule_new(BlkdebugRules *rules, BlkdebugKind kind, BlkdebugEvent event,
                                int64_t state);
bool blkdebug_read_config(const char *filename, BlkdebugRules *rules, GError **error);

#endif
