/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Leaky buckets, groups and members (block/throttle.h). */
#include "util/osdep.h"
#include "throttle.h"

#include "internal.h"
#include "qapi/types-block-core.h"
#include "util/error.h"

#define VALUE_MAX UINT64_C(1000000000000000)

/* ---- configuration ---- */

void throttle_config_init(ThrottleConfig *config)
{
    *config = (ThrottleConfig){ .op_size = 0 };
    for (unsigned i = 0; i < THROTTLE_BUCKETS; i++) {
        config->bucket[i].length = 1;
    }
}

bool throttle_config_limits(const ThrottleConfig *config)
{
    for (unsigned i = 0; i < THROTTLE_BUCKETS; i++) {
        if (config->bucket[i].avg) {
            return true;
        }
    }
    return false;
}

static bool check_conflict(const ThrottleConfig *c, unsigned total, GError **error)
{
    bool avg = c->bucket[total].avg && (c->bucket[total + 1].avg || c->bucket[total + 2].avg);
    bool max = c->bucket[total].max && (c->bucket[total + 1].max || c->bucket[total + 2].max);
    return !(avg || max) ||
           error_set(error, "bps/iops/max total values and read/write values cannot be used at the "
                            "same time");
}

bool throttle_config_check(const ThrottleConfig *c, GError **error)
{
    if (!check_conflict(c, THROTTLE_BPS_TOTAL, error) ||
        !check_conflict(c, THROTTLE_OPS_TOTAL, error)) {
        return false;
    }
    if (c->op_size && !c->bucket[THROTTLE_OPS_TOTAL].avg && !c->bucket[THROTTLE_OPS_READ].avg &&
        !c->bucket[THROTTLE_OPS_WRITE].avg) {
        return error_set(error, "iops size requires an iops value to be set");
    }
    for (unsigned i = 0; i < THROTTLE_BUCKETS; i++) {
        uint64_t avg = c->bucket[i].avg, max = c->bucket[i].max, length = c->bucket[i].length;
        if (avg > VALUE_MAX || max > VALUE_MAX) {
            return error_set(error, "bps/iops/max values must be within [0, %" PRIu64 "]",
                             VALUE_MAX);
        }
        if (!length) {
            return error_set(error, "the burst length cannot be 0");
        }
        if (length > 1 && !max) {
            return error_set(error, "burst length set without burst rate");
        }
        if (max && length > VALUE_MAX / max) {
            return error_set(error, "burst length too high for this burst rate");
        }
        if (max && !avg) {
            return error_set(error, "bps_max/iops_max require corresponding bps/iops values");
        }
        if (max && max < avg) {
            return error_set(error, "bps_max/iops_max cannot be lower than bps/iops");
        }
    }
    return true;
}

/* ---- buckets ---- */

typedef struct Bucket {
    double level, burst_level;
} Bucket;

struct ThrottleGroup {
    char *name;
    int refs;
    GList link;
    ThrottleConfig config;
    Bucket bucket[THROTTLE_BUCKETS];
    int64_t leaked_ns;
    GQueue turns[2]; /* members that wait; the first one is next */
    Timer timer[2];
};

struct ThrottleMember {
    ThrottleGroup *group;
    unsigned drained;
    CoQueue waiting[2];
    unsigned waiters[2];
    GList turn[2];
    uint64_t next_bytes[2]; /* of the first that waits */
    GQueue sizes[2];        /* uint64_t *, in order */
};

static void leak(ThrottleGroup *g)
{
    int64_t now = clock_get_ns(CLOCK_REALTIME_NS);
    double seconds = (double)(now - g->leaked_ns) / NS_PER_SEC;
    g->leaked_ns = now;
    for (unsigned i = 0; i < THROTTLE_BUCKETS; i++) {
        Bucket *b = &g->bucket[i];
        b->level = MAX(0, b->level - (double)g->config.bucket[i].avg * seconds);
        b->burst_level = MAX(0, b->burst_level - (double)g->config.bucket[i].max * seconds);
    }
}

/* Seconds until the bucket is low enough. */
static double bucket_wait(const ThrottleGroup *g, unsigned i)
{
    double avg = g->config.bucket[i].avg, max = g->config.bucket[i].max;
    if (avg == 0) {
        return 0;
    }
    double size = max != 0 ? max * (double)g->config.bucket[i].length : avg / 10;
    double wait = MAX(0, (g->bucket[i].level - size) / avg);
    if (g->config.bucket[i].length > 1) {
        wait = MAX(wait, (g->bucket[i].burst_level - max / 10) / max);
    }
    return wait;
}

static double group_wait(ThrottleGroup *g, bool write)
{
    const unsigned mine[] = { THROTTLE_BPS_TOTAL, THROTTLE_OPS_TOTAL,
                              write ? THROTTLE_BPS_WRITE : THROTTLE_BPS_READ,
                              write ? THROTTLE_OPS_WRITE : THROTTLE_OPS_READ };
    double wait = 0;
    leak(g);
    for (unsigned i = 0; i < G_N_ELEMENTS(mine); i++) {
        wait = MAX(wait, bucket_wait(g, mine[i]));
    }
    return wait;
}

static void account(ThrottleGroup *g, uint64_t bytes, bool write)
{
    double ops = g->config.op_size && bytes > g->config.op_size
                     ? (double)bytes / (double)g->config.op_size
                     : 1;
    const double add[THROTTLE_BUCKETS] = {
        [THROTTLE_BPS_TOTAL] = bytes,
        [THROTTLE_BPS_READ] = write ? 0 : bytes,
        [THROTTLE_BPS_WRITE] = write ? bytes : 0,
        [THROTTLE_OPS_TOTAL] = ops,
        [THROTTLE_OPS_READ] = write ? 0 : ops,
        [THROTTLE_OPS_WRITE] = write ? ops : 0,
    };
    for (unsigned i = 0; i < THROTTLE_BUCKETS; i++) {
        g->bucket[i].level += add[i];
        g->bucket[i].burst_level += add[i];
    }
}

/* ---- turns (T2) ---- */

static void arm(ThrottleGroup *g, bool write, double wait)
{
    timer_mod(&g->timer[write], clock_get_ns(CLOCK_REALTIME_NS) + (int64_t)(wait * NS_PER_SEC) + 1);
}

/* Lets the first of a member go. */
static void release_one(ThrottleMember *m, bool write)
{
    uint64_t *bytes = g_queue_pop_head(&m->sizes[write]);
    account(m->group, *bytes, write);
    m->waiters[write]--;
    g_queue_unlink(&m->group->turns[write], &m->turn[write]);
    if (m->waiters[write]) {
        g_queue_push_tail_link(&m->group->turns[write], &m->turn[write]);
    }
    co_queue_next(&m->waiting[write]);
}

static void run_turns(ThrottleGroup *g, bool write)
{
    while (!g_queue_is_empty(&g->turns[write])) {
        double wait = group_wait(g, write);
        if (wait > 0) {
            arm(g, write, wait);
            return;
        }
        release_one(g->turns[write].head->data, write);
    }
}

static void read_timer(void *opaque)
{
    run_turns(opaque, false);
}

static void write_timer(void *opaque)
{
    run_turns(opaque, true);
}

void coroutine_fn throttle_wait(ThrottleMember *m, uint64_t bytes, bool write)
{
    ThrottleGroup *g = m->group;
    if (m->drained) {
        return; /* T3 */
    }
    double wait = group_wait(g, write);
    if (wait <= 0 && g_queue_is_empty(&g->turns[write])) {
        account(g, bytes, write);
        return;
    }
    if (m->waiters[write]++ == 0) {
        g_queue_push_tail_link(&g->turns[write], &m->turn[write]);
    }
    g_queue_push_tail(&m->sizes[write], &bytes);
    if (!timer_pending(&g->timer[write])) {
        arm(g, write, wait);
    }
    co_queue_wait(&m->waiting[write]);
}

void throttle_drain_begin(ThrottleMember *m)
{
    m->drained++;
    for (unsigned write = 0; write < 2; write++) {
        while (m->waiters[write]) {
            release_one(m, write);
        }
    }
}

void throttle_drain_end(ThrottleMember *m)
{
    g_assert(m->drained > 0);
    m->drained--;
}

ThrottleMember *throttle_member_new(ThrottleGroup *group)
{
    ThrottleMember *m = g_new0(ThrottleMember, 1);
    group->refs++;
    m->group = group;
    for (unsigned i = 0; i < 2; i++) {
        co_queue_init(&m->waiting[i]);
        g_queue_init(&m->sizes[i]);
        m->turn[i].data = m;
    }
    return m;
}

void throttle_member_free(ThrottleMember *m)
{
    if (m) {
        g_assert(!m->waiters[0] && !m->waiters[1]);
        throttle_group_unref(m->group);
        g_free(m);
    }
}

ThrottleGroup *throttle_member_group(const ThrottleMember *m)
{
    return m->group;
}

/* ---- groups ---- */

static GQueue groups = G_QUEUE_INIT;

ThrottleGroup *throttle_group_find(const char *name)
{
    for (GList *l = groups.head; l; l = l->next) {
        ThrottleGroup *g = l->data;
        if (g_str_equal(g->name, name)) {
            return g;
        }
    }
    return NULL;
}

ThrottleGroup *throttle_group_get(const char *name)
{
    ThrottleGroup *g = throttle_group_find(name);
    if (g) {
        g->refs++;
        return g;
    }
    g = g_new0(ThrottleGroup, 1);
    g->name = g_strdup(name);
    g->refs = 1;
    g->link.data = g;
    throttle_config_init(&g->config);
    timer_init(&g->timer[0], CLOCK_REALTIME_NS, read_timer, g);
    timer_init(&g->timer[1], CLOCK_REALTIME_NS, write_timer, g);
    g_queue_push_tail_link(&groups, &g->link);
    return g;
}

void throttle_group_unref(ThrottleGroup *g)
{
    if (g && --g->refs == 0) {
        timer_del(&g->timer[0]);
        timer_del(&g->timer[1]);
        g_queue_unlink(&groups, &g->link);
        g_free(g->name);
        g_free(g);
    }
}

const char *throttle_group_name(const ThrottleGroup *g)
{
    return g->name;
}

void throttle_group_config(const ThrottleGroup *g, ThrottleConfig *config)
{
    *config = g->config;
}

unsigned throttle_group_users(const ThrottleGroup *g)
{
    return g->refs - 1;
}

void throttle_group_set(ThrottleGroup *g, const ThrottleConfig *config)
{
    g->config = *config;
    memset(g->bucket, 0, sizeof(g->bucket));
    g->leaked_ns = clock_get_ns(CLOCK_REALTIME_NS);
    run_turns(g, false);
    run_turns(g, true);
}

/* ---- the schema's type ---- */

#define EACH_LIMIT(_)                                                     \
    _(bps_total, THROTTLE_BPS_TOTAL)                                      \
    _(bps_read, THROTTLE_BPS_READ) _(bps_write, THROTTLE_BPS_WRITE)       \
        _(iops_total, THROTTLE_OPS_TOTAL) _(iops_read, THROTTLE_OPS_READ) \
            _(iops_write, THROTTLE_OPS_WRITE)

void throttle_config_from_limits(ThrottleConfig *c, const ThrottleLimits *l)
{
#define FROM(name, i)                               \
    if (l->has_##name) {                            \
        c->bucket[i].avg = l->name;                 \
    }                                               \
    if (l->has_##name##_max) {                      \
        c->bucket[i].max = l->name##_max;           \
    }                                               \
    if (l->has_##name##_max_length) {               \
        c->bucket[i].length = l->name##_max_length; \
    }
    EACH_LIMIT(FROM)
#undef FROM
    if (l->has_iops_size) {
        c->op_size = l->iops_size;
    }
}

ThrottleLimits *throttle_config_to_limits(const ThrottleConfig *c)
{
    ThrottleLimits *l = g_new0(ThrottleLimits, 1);
#define TO(name, i)                                                          \
    l->has_##name = l->has_##name##_max = l->has_##name##_max_length = true; \
    l->name = c->bucket[i].avg;                                              \
    l->name##_max = c->bucket[i].max;                                        \
    l->name##_max_length = c->bucket[i].length;
    EACH_LIMIT(TO)
#undef TO
    l->has_iops_size = true;
    l->iops_size = c->op_size;
    return l;
}
