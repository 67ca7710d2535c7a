/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * blkdebug: a filter that fails and suspends requests by rules. Options: qapi/block-core.json; rule
 * files: blkdebug-config.c.
 *
 * The node is in a state (1 at first). An event, sent by the parent's driver or by the core,
 *   - suspends the coroutine that sent it, for each breakpoint on that event (the breakpoint is
 *     used up);
 *   - arms the inject-error rules of the event that are valid in this state; those armed by an
 *     event before are disarmed, unless this event arms none;
 *   - then changes the state.
 * A request fails if an armed rule matches its kind and place. Rules of event 'none' are armed from
 * the beginning.
 */
#include "util/osdep.h"
#include "blkdebug.h"

#include "internal.h"
#include "util/error.h"

typedef struct Suspended {
    Coroutine *co;
    const char *tag;
    unsigned *left; /* breakpoints that hold the same request */
    GList link;
} Suspended;

typedef struct BlkdebugState {
    BlkdebugRules rules;
    GPtrArray *armed; /* BlkdebugRule *, borrowed, newest first */
    int64_t state;
    GQueue suspended;
    char *config;
    BlockLimits options; /* align, max_transfer...: 0 if not given */
    unsigned take_perms, unshare_perms;
} BlkdebugState;

#define DEFAULT_IOTYPES                                                     \
    (1u << BLKDEBUG_IO_TYPE_READ | 1u << BLKDEBUG_IO_TYPE_WRITE |           \
     1u << BLKDEBUG_IO_TYPE_WRITE_ZEROES | 1u << BLKDEBUG_IO_TYPE_DISCARD | \
     1u << BLKDEBUG_IO_TYPE_FLUSH)

/* ---- rules ---- */

static void rule_free(void *opaque)
{
    BlkdebugRule *rule = opaque;
    g_free(rule->tag);
    g_free(rule);
}

static void rules_init(BlkdebugRules *rules)
{
    for (unsigned i = 0; i < BLKDEBUG_EVENT_COUNT; i++) {
        rules->by_event[i] = g_ptr_array_new_with_free_func(rule_free);
    }
}

static void rules_clear(BlkdebugRules *rules)
{
    for (unsigned i = 0; i < BLKDEBUG_EVENT_COUNT; i++) {
        g_ptr_array_free(rules->by_event[i], TRUE);
    }
}

BlkdebugRule *blkdebug_rule_new(BlkdebugRules *rules, BlkdebugKind kind, BlkdebugEvent event,
                                int64_t state)
{
    BlkdebugRule *rule = g_new0(BlkdebugRule, 1);
    rule->kind = kind;
    rule->state = state;
    rule->error = EIO;
    rule->sector = -1;
    rule->iotypes = DEFAULT_IOTYPES;
    g_ptr_array_add(rules->by_event[event], rule);
    return rule;
}

static bool rule_valid(const BlkdebugState *s, const BlkdebugRule *rule)
{
    return !rule->used && (rule->state == 0 || rule->state == s->state);
}

/* ---- events ---- */

static bool arm_rules(BlkdebugState *s, const GPtrArray *rules)
{
    bool first = true;
    for (unsigned i = 0; i < rules->len; i++) {
        BlkdebugRule *rule = rules->pdata[i];
        if (rule->kind != BLKDEBUG_INJECT || !rule_valid(s, rule)) {
            continue;
        }
        if (first) {
            g_ptr_array_set_size(s->armed, 0);
            first = false;
        }
        g_ptr_array_insert(s->armed, 0, rule);
    }
    return !first;
}

static int64_t next_state(const BlkdebugState *s, const GPtrArray *rules)
{
    int64_t state = s->state;
    for (unsigned i = 0; i < rules->len; i++) {
        const BlkdebugRule *rule = rules->pdata[i];
        if (rule->kind == BLKDEBUG_SET_STATE && rule_valid(s, rule)) {
            state = rule->new_state;
        }
    }
    return state;
}

/* Breakpoints of this event, which are used up; the tags are the caller's. */
static GPtrArray *take_breakpoints(BlkdebugState *s, GPtrArray *rules)
{
    GPtrArray *tags = g_ptr_array_new_with_free_func(g_free);
    for (unsigned i = 0; i < rules->len;) {
        BlkdebugRule *rule = rules->pdata[i];
        if (rule->kind == BLKDEBUG_SUSPEND && rule_valid(s, rule)) {
            g_ptr_array_add(tags, g_steal_pointer(&rule->tag));
            g_ptr_array_remove_index(rules, i);
        } else {
            i++;
        }
    }
    return tags;
}

/* All breakpoints of an event are there at once, the newest first; the request goes on when the last one is
 * resumed. */
static void coroutine_fn suspend(BlkdebugState *s, GPtrArray *tags)
{
    g_autofree Suspended *list = g_new0(Suspended, tags->len);
    unsigned left = tags->len;
    for (unsigned i = tags->len; i-- > 0;) {
        Suspended *entry = &list[i];
        *entry = (Suspended){ .co = coroutine_self(), .tag = tags->pdata[i], .left = &left };
        entry->link.data = entry;
        g_queue_push_tail_link(&s->suspended, &entry->link);
        block_debug_notify(entry->tag, true);
    }
    while (left) {
        coroutine_yield();
    }
}

static void process_event(BlkdebugState *s, BlkdebugEvent event)
{
    GPtrArray *rules = s->rules.by_event[event];
    arm_rules(s, rules);
    s->state = next_state(s, rules);
}

static void coroutine_fn blkdebug_event(BlockNode *node, BlkdebugEvent event)
{
    BlkdebugState *s = node->state;
    GPtrArray *tags = take_breakpoints(s, s->rules.by_event[event]);
    process_event(s, event);
    if (tags->len) {
        suspend(s, tags);
    }
    g_ptr_array_free(tags, TRUE);
}

/* ---- breakpoints ---- */

static int blkdebug_break(BlockNode *node, BlkdebugEvent event, const char *tag)
{
    BlkdebugState *s = node->state;
    BlkdebugRule *rule = blkdebug_rule_new(&s->rules, BLKDEBUG_SUSPEND, event, s->state);
    rule->tag = g_strdup(tag);
    return 0;
}

static bool resume_one(BlkdebugState *s, const char *tag)
{
    for (GList *l = s->suspended.head; l; l = l->next) {
        Suspended *suspended = l->data;
        if (g_str_equal(suspended->tag, tag)) {
            g_queue_unlink(&s->suspended, l);
            block_debug_notify(tag, false);
            if (--*suspended->left > 0) {
                return true;
            }
            /* The request goes on at once, so that what it does next is seen by whoever resumed it. */
            if (in_coroutine()) {
                coroutine_schedule(NULL, suspended->co);
            } else {
                coroutine_enter(suspended->co);
            }
            return true;
        }
    }
    return false;
}

static int blkdebug_resume(BlockNode *node, const char *tag)
{
    return resume_one(node->state, tag) ? 0 : -ENOENT;
}

static int blkdebug_remove_break(BlockNode *node, const char *tag)
{
    BlkdebugState *s = node->state;
    int ret = -ENOENT;
    for (unsigned e = 0; e < BLKDEBUG_EVENT_COUNT; e++) {
        GPtrArray *rules = s->rules.by_event[e];
        for (unsigned i = rules->len; i-- > 0;) {
            const BlkdebugRule *rule = rules->pdata[i];
            if (rule->kind == BLKDEBUG_SUSPEND && g_str_equal(rule->tag, tag)) {
                g_ptr_array_remove_index(rules, i);
                ret = 0;
            }
        }
    }
    while (resume_one(s, tag)) {
        ret = 0;
    }
    return ret;
}

static bool blkdebug_is_suspended(BlockNode *node, const char *tag)
{
    BlkdebugState *s = node->state;
    for (GList *l = s->suspended.head; l; l = l->next) {
        if (g_str_equal(((Suspended *)l->data)->tag, tag)) {
            return true;
        }
    }
    return false;
}

/* ---- errors ---- */

static bool rule_matches(const BlkdebugRule *rule, BlkdebugIOType iotype, uint64_t offset,
                         uint64_t bytes)
{
    if (!(rule->iotypes & 1u << iotype)) {
        return false;
    }
    if (rule->sector < 0 || iotype == BLKDEBUG_IO_TYPE_FLUSH) {
        return rule->sector < 0;
    }
    uint64_t place = (uint64_t)rule->sector * BLOCK_SECTOR;
    return place < offset + bytes && offset < place + BLOCK_SECTOR;
}

static int coroutine_fn check_rules(BlockNode *node, BlkdebugIOType iotype, uint64_t offset,
                                    uint64_t bytes)
{
    BlkdebugState *s = node->state;
    for (unsigned i = 0; i < s->armed->len; i++) {
        BlkdebugRule *rule = s->armed->pdata[i];
        if (!rule_matches(rule, iotype, offset, bytes)) {
            continue;
        }
        int ret = -(int)rule->error;
        bool immediately = rule->immediately;
        if (rule->once) {
            rule->used = true;
            g_ptr_array_remove_index(s->armed, i);
        }
        if (!immediately && ret) {
            coroutine_schedule(NULL, coroutine_self());
            coroutine_yield();
        }
        return ret;
    }
    return 0;
}

/* ---- opening ---- */

static bool blkdebug_parse_filename(const char *filename, json_object *options, GError **error)
{
    const char *p = filename + strlen("blkdebug:");
    const char *colon = strchr(p, ':');
    if (!colon) {
        return error_set(error, "blkdebug requires both config file and image path");
    }
    if (colon != p) {
        json_object_object_add(options, "config", json_object_new_string_len(p, colon - p));
    }
    json_object *image = block_resolve_protocol(colon + 1, json_object_new_object(), error);
    if (!image) {
        return false;
    }
    json_object_object_add(options, "image", image);
    return true;
}

static bool add_rules(BlkdebugState *s, const BlockdevOptionsBlkdebug *o, GError **error)
{
    for (size_t i = 0; o->inject_error && i < o->inject_error->len; i++) {
        const BlkdebugInjectErrorOptions *r = o->inject_error->items[i];
        BlkdebugRule *rule =
            blkdebug_rule_new(&s->rules, BLKDEBUG_INJECT, r->event, r->has_state ? r->state : 0);
        rule->error = r->has_errno_ ? r->errno_ : EIO;
        rule->sector = r->has_sector ? r->sector : -1;
        rule->iotypes = r->has_iotype ? 1u << r->iotype : DEFAULT_IOTYPES;
        rule->once = r->has_once && r->once;
        rule->immediately = r->has_immediately && r->immediately;
    }
    for (size_t i = 0; o->set_state && i < o->set_state->len; i++) {
        const BlkdebugSetStateOptions *r = o->set_state->items[i];
        blkdebug_rule_new(&s->rules, BLKDEBUG_SET_STATE, r->event, r->has_state ? r->state : 0)
            ->new_state = r->new_state;
    }
    return !o->config || !o->config[0] || blkdebug_read_config(o->config, &s->rules, error);
}

/* errno values go to callers as they are: keep them in the range of real ones. */
static bool check_errnos(const BlkdebugState *s, GError **error)
{
    for (unsigned e = 0; e < BLKDEBUG_EVENT_COUNT; e++) {
        for (unsigned i = 0; i < s->rules.by_event[e]->len; i++) {
            const BlkdebugRule *rule = s->rules.by_event[e]->pdata[i];
            if (rule->error < 0 || rule->error > 4095) {
                return error_set(error, "errno %" PRId64 " is not between 0 and 4095", rule->error);
            }
        }
    }
    return true;
}

static bool check_multiple(const char *name, int64_t value, uint32_t align, GError **error)
{
    if (value < 0 || value % align) {
        return error_set(error, "Cannot meet constraints with %s %" PRId64, name, value);
    }
    return true;
}

static bool set_limits(BlkdebugState *s, const BlockdevOptionsBlkdebug *o, GError **error)
{
    int64_t align = o->has_align ? o->align : 0;
    if (align < 0 || align > BLOCK_MAX_ALIGN || (align & (align - 1))) {
        return error_set(error, "Cannot meet constraints with align %" PRId64, align);
    }
    s->options.request_align = align;
    uint32_t unit = MAX(align, 1);
    if (!check_multiple("max-transfer", o->has_max_transfer ? o->max_transfer : 0, unit, error) ||
        !check_multiple("opt-write-zero", o->has_opt_write_zero ? o->opt_write_zero : 0, unit,
                        error) ||
        !check_multiple("opt-discard", o->has_opt_discard ? o->opt_discard : 0, unit, error)) {
        return false;
    }
    s->options.max_transfer = o->has_max_transfer ? o->max_transfer : 0;
    s->options.zero_align = o->has_opt_write_zero ? o->opt_write_zero : 0;
    s->options.discard_align = o->has_opt_discard ? o->opt_discard : 0;
    if (s->options.zero_align & (s->options.zero_align - 1)) {
        return error_set(error, "Cannot meet constraints with opt-write-zero %" PRIu32,
                         s->options.zero_align);
    }
    if (s->options.discard_align & (s->options.discard_align - 1)) {
        return error_set(error, "Cannot meet constraints with opt-discard %" PRIu32,
                         s->options.discard_align);
    }
    if (!check_multiple("max-write-zero", o->has_max_write_zero ? o->max_write_zero : 0,
                        MAX(unit, s->options.zero_align), error) ||
        !check_multiple("max-discard", o->has_max_discard ? o->max_discard : 0,
                        MAX(unit, s->options.discard_align), error)) {
        return false;
    }
    s->options.max_zero = o->has_max_write_zero ? o->max_write_zero : 0;
    s->options.max_discard = o->has_max_discard ? o->max_discard : 0;
    return true;
}

static unsigned perm_bits(const BlockPermissionArray *list)
{
    unsigned bits = 0;
    for (size_t i = 0; list && i < list->len; i++) {
        bits |= 1u << list->items[i]; /* the enum has the order of BLOCK_PERM_* */
    }
    return bits;
}

static void blkdebug_close(BlockNode *node)
{
    BlkdebugState *s = node->state;
    rules_clear(&s->rules);
    g_ptr_array_free(s->armed, TRUE);
    g_free(s->config);
}

static bool blkdebug_open(BlockNode *node, const BlockdevOptions *options, unsigned flags,
                          GError **error)
{
    BlkdebugState *s = node->state;
    const BlockdevOptionsBlkdebug *o = &options->u.blkdebug;
    rules_init(&s->rules);
    s->armed = g_ptr_array_new();
    s->state = 1;
    g_queue_init(&s->suspended);
    s->config = g_strdup(o->config);
    s->take_perms = perm_bits(o->take_child_perms);
    s->unshare_perms = perm_bits(o->unshare_child_perms);
    if (!add_rules(s, o, error) || !check_errnos(s, error) || !set_limits(s, o, error) ||
        !block_open_child(node, "image", BLOCK_ROLE_FILTERED, o->image, flags, error)) {
        blkdebug_close(node);
        return false;
    }
    node->write_flags = node->file->node->write_flags & BLOCK_FUA;
    node->zero_flags = node->file->node->zero_flags;
    process_event(s, BLKDEBUG_EVENT_NONE);
    return true;
}

static void blkdebug_refresh_limits(BlockNode *node)
{
    const BlockLimits *o = &((BlkdebugState *)node->state)->options;
    BlockLimits *l = &node->limits;
    l->request_align = o->request_align ? o->request_align : 1;
    l->max_transfer = o->max_transfer;
    l->zero_align = o->zero_align;
    l->max_zero = o->max_zero;
    l->discard_align = o->discard_align;
    l->max_discard = o->max_discard;
}

static void blkdebug_child_perm(BlockNode *node, const BlockEdge *child, unsigned perm,
                                unsigned shared, unsigned *child_perm, unsigned *child_shared)
{
    const BlkdebugState *s = node->state;
    *child_perm = perm | s->take_perms;
    *child_shared = shared & ~s->unshare_perms;
}

/* ---- requests ---- */

/* Our alignment may be larger than the child's, so that padding goes beyond its end. */
static uint64_t clip(const BlockNode *node, uint64_t offset, uint64_t bytes)
{
    int64_t length = block_node_length(node->file->node);
    if (length < 0 || (node->file->perm & BLOCK_PERM_RESIZE) ||
        offset + bytes <= (uint64_t)length) {
        return bytes;
    }
    return offset < (uint64_t)length ? length - offset : 0;
}

static int coroutine_fn blkdebug_read(BlockNode *node, uint64_t offset, uint64_t bytes, IoVec *vec,
                                      size_t vec_offset)
{
    int ret = check_rules(node, BLKDEBUG_IO_TYPE_READ, offset, bytes);
    return ret < 0 ? ret : block_co_read(node->file, offset, bytes, vec, vec_offset, 0);
}

static int coroutine_fn blkdebug_write(BlockNode *node, uint64_t offset, uint64_t bytes, IoVec *vec,
                                       size_t vec_offset, unsigned flags)
{
    int ret = check_rules(node, BLKDEBUG_IO_TYPE_WRITE, offset, bytes);
    return ret < 0 ? ret
                   : block_co_write(node->file, offset, clip(node, offset, bytes), vec, vec_offset,
                                    flags);
}

static int coroutine_fn blkdebug_write_zeroes(BlockNode *node, uint64_t offset, uint64_t bytes,
                                              unsigned flags)
{
    int ret = check_rules(node, BLKDEBUG_IO_TYPE_WRITE_ZEROES, offset, bytes);
    return ret < 0 ? ret
                   : block_co_write_zeroes(node->file, offset, clip(node, offset, bytes), flags);
}

static int coroutine_fn blkdebug_discard(BlockNode *node, uint64_t offset, uint64_t bytes)
{
    int ret = check_rules(node, BLKDEBUG_IO_TYPE_DISCARD, offset, bytes);
    return ret < 0 ? ret : block_co_discard(node->file, offset, bytes);
}

/* Before the child is flushed. */
static int coroutine_fn blkdebug_flush_metadata(BlockNode *node)
{
    return check_rules(node, BLKDEBUG_IO_TYPE_FLUSH, 0, 0);
}

static int coroutine_fn blkdebug_truncate(BlockNode *node, uint64_t length, bool exact,
                                          PreallocMode prealloc, GError **error)
{
    return block_co_truncate(node->file, length, exact, prealloc, error);
}

static int coroutine_fn blkdebug_block_status(BlockNode *node, bool want_zero, uint64_t offset,
                                              uint64_t bytes, uint64_t *pnum, uint64_t *map,
                                              BlockNode **file)
{
    int ret = check_rules(node, BLKDEBUG_IO_TYPE_BLOCK_STATUS, offset, bytes);
    *pnum = bytes;
    *map = offset;
    *file = node->file->node;
    return ret < 0 ? ret : BLOCK_STATUS_OFFSET | BLOCK_STATUS_RECURSE;
}

static char *blkdebug_filename(BlockNode *node)
{
    const BlkdebugState *s = node->state;
    BlockNode *child = node->file->node;
    json_object_object_foreach(node->options, key, value)
    {
        (void)value;
        if (!g_str_equal(key, "driver") && !g_str_equal(key, "config") &&
            !g_str_equal(key, "image")) {
            return NULL;
        }
    }
    g_autofree char *image = child->driver->filename ? child->driver->filename(child) : NULL;
    return image ? g_strdup_printf("blkdebug:%s:%s", s->config ? s->config : "", image) : NULL;
}

static const BlockDriver blkdebug_driver = {
    .name = "blkdebug",
    .kind = BLOCK_FILTER,
    .qapi_driver = BLOCKDEV_DRIVER_BLKDEBUG,
    .state_size = sizeof(BlkdebugState),
    .protocol = "blkdebug",
    .parse_filename = blkdebug_parse_filename,
    .open = blkdebug_open,
    .close = blkdebug_close,
    .refresh_limits = blkdebug_refresh_limits,
    .child_perm = blkdebug_child_perm,
    .read = blkdebug_read,
    .write = blkdebug_write,
    .write_zeroes = blkdebug_write_zeroes,
    .discard = blkdebug_discard,
    .flush_metadata = blkdebug_flush_metadata,
    .truncate = blkdebug_truncate,
    .block_status = blkdebug_block_status,
    .debug_event = blkdebug_event,
    .debug_break = blkdebug_break,
    .debug_remove_break = blkdebug_remove_break,
    .debug_resume = blkdebug_resume,
    .debug_is_suspended = blkdebug_is_suspended,
    .filename = blkdebug_filename,
};
BLOCK_DRIVER_REGISTER(blkdebug_driver)
