/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Limits of rates: leaky buckets, groups that share them, members that wait.
 *
 * T1  A request of a member waits until all buckets of its direction have leaked below their size, and is
 *     then added to them. So a rate is kept on average, and bursts are as large as a bucket.
 * T2  Members of a group take turns. A member's requests of one direction go in order.
 * T3  While a member is drained its requests do not wait.
 */
#ifndef BLOCK_THROTTLE_H
#define BLOCK_THROTTLE_H

#include "block/block.h"
#include "util/clock.h"

enum {
    THROTTLE_BPS_TOTAL,
    THROTTLE_BPS_READ,
    THROTTLE_BPS_WRITE,
    THROTTLE_OPS_TOTAL,
    THROTTLE_OPS_READ,
    THROTTLE_OPS_WRITE,
    THROTTLE_BUCKETS
};

/* What users set. Zero: no limit. */
typedef struct ThrottleConfig {
    struct {
        uint64_t avg;    /* units each second */
        uint64_t max;    /* during a burst; 0: a tenth of a second's worth more */
        uint64_t length; /* seconds of a burst */
    } bucket[THROTTLE_BUCKETS];
    uint64_t op_size; /* larger requests count as several; 0: as one */
} ThrottleConfig;

void throttle_config_init(ThrottleConfig *config);
/* Errors in stock's words. */
bool throttle_config_check(const ThrottleConfig *config, GError **error);
bool throttle_config_limits(const ThrottleConfig *config);

typedef struct ThrottleGroup ThrottleGroup;
typedef struct ThrottleMember ThrottleMember;

/* The group of that name, made if need be. One reference. */
ThrottleGroup *throttle_group_get(const char *name);
ThrottleGroup *throttle_group_find(const char *name);
void throttle_group_unref(ThrottleGroup *group);
const char *throttle_group_name(const ThrottleGroup *group);
void throttle_group_config(const ThrottleGroup *group, ThrottleConfig *config);
/* References besides that of whoever made it. */
unsigned throttle_group_users(const ThrottleGroup *group);
/* Buckets begin empty; who waits waits by the new ones. */
void throttle_group_set(ThrottleGroup *group, const ThrottleConfig *config);

ThrottleMember *throttle_member_new(ThrottleGroup *group);
/* Nobody waits. */
void throttle_member_free(ThrottleMember *member);
ThrottleGroup *throttle_member_group(const ThrottleMember *member);
void coroutine_fn throttle_wait(ThrottleMember *member, uint64_t bytes, bool write);
void throttle_drain_begin(ThrottleMember *member);
void throttle_drain_end(ThrottleMember *member);

/* Between the schema's types and ours. */
void throttle_config_from_limits(ThrottleConfig *config, const struct ThrottleLimits *limits);
struct ThrottleLimits *throttle_config_to_limits(const ThrottleConfig *config);

#endif
