/* SPDX-License-Identifier: GPL-2.0-or-later */
/* throttle: a filter that limits the rate of requests; throttle-group: the object with the limits. */
#include "util/osdep.h"
#include "throttle.h"

#include "internal.h"
#include "qapi/qapi.h"
#include "qom/object.h"
#include "util/error.h"

/* ---- the filter ---- */

typedef struct ThrottleState {
    ThrottleMember *member;
} ThrottleState;

static ThrottleMember *member_of(const BlockNode *node)
{
    return ((ThrottleState *)node->state)->member;
}

static bool throttle_open(BlockNode *node, const BlockdevOptions *options, unsigned flags,
                          GError **error)
{
    ThrottleState *s = node->state;
    const BlockdevOptionsThrottle *o = &options->u.throttle;
    ThrottleGroup *group = throttle_group_find(o->throttle_group);
    if (!group) {
        return error_set(error, "Throttle group '%s' does not exist", o->throttle_group);
    }
    if (!block_open_child(node, "file", BLOCK_ROLE_FILTERED, o->file, flags, error)) {
        return false;
    }
    node->write_flags = node->file->node->write_flags & BLOCK_FUA;
    node->zero_flags = node->file->node->zero_flags;
    s->member = throttle_member_new(group);
    return true;
}

static void throttle_close(BlockNode *node)
{
    throttle_member_free(member_of(node));
}

static int coroutine_fn throttle_read(BlockNode *node, uint64_t offset, uint64_t bytes, IoVec *vec,
                                      size_t vec_offset)
{
    throttle_wait(member_of(node), bytes, false);
    return block_co_read(node->file, offset, bytes, vec, vec_offset, 0);
}

static int coroutine_fn throttle_write(BlockNode *node, uint64_t offset, uint64_t bytes, IoVec *vec,
                                       size_t vec_offset, unsigned flags)
{
    throttle_wait(member_of(node), bytes, true);
    return block_co_write(node->file, offset, bytes, vec, vec_offset, flags);
}

static int coroutine_fn throttle_write_zeroes(BlockNode *node, uint64_t offset, uint64_t bytes,
                                              unsigned flags)
{
    throttle_wait(member_of(node), bytes, true);
    return block_co_write_zeroes(node->file, offset, bytes, flags);
}

static int coroutine_fn throttle_discard(BlockNode *node, uint64_t offset, uint64_t bytes)
{
    throttle_wait(member_of(node), bytes, true);
    return block_co_discard(node->file, offset, bytes);
}

static int coroutine_fn throttle_write_compressed(BlockNode *node, uint64_t offset, uint64_t bytes,
                                                  IoVec *vec, size_t vec_offset)
{
    return throttle_write(node, offset, bytes, vec, vec_offset, BLOCK_COMPRESSED);
}

static int coroutine_fn throttle_truncate(BlockNode *node, uint64_t length, bool exact,
                                          PreallocMode prealloc, GError **error)
{
    return block_co_truncate(node->file, length, exact, prealloc, error);
}

static int coroutine_fn throttle_block_status(BlockNode *node, bool want_zero, uint64_t offset,
                                              uint64_t bytes, uint64_t *pnum, uint64_t *map,
                                              BlockNode **file)
{
    *pnum = bytes;
    *map = offset;
    *file = node->file->node;
    return BLOCK_STATUS_OFFSET | BLOCK_STATUS_RECURSE;
}

static void throttle_node_drain_begin(BlockNode *node)
{
    if (member_of(node)) {
        throttle_drain_begin(member_of(node));
    }
}

static void throttle_node_drain_end(BlockNode *node)
{
    if (member_of(node)) {
        throttle_drain_end(member_of(node));
    }
}

static const BlockDriver throttle_driver = {
    .name = "throttle",
    .kind = BLOCK_FILTER,
    .qapi_driver = BLOCKDEV_DRIVER_THROTTLE,
    .state_size = sizeof(ThrottleState),
    .open = throttle_open,
    .close = throttle_close,
    .read = throttle_read,
    .write = throttle_write,
    .write_zeroes = throttle_write_zeroes,
    .write_compressed = throttle_write_compressed,
    .discard = throttle_discard,
    .truncate = throttle_truncate,
    .block_status = throttle_block_status,
    .drain_begin = throttle_node_drain_begin,
    .drain_end = throttle_node_drain_end,
};
BLOCK_DRIVER_REGISTER(throttle_driver)

/* ---- the object ---- */

typedef struct GroupObject {
    Object parent;
    ThrottleGroup *group;  /* after completion */
    ThrottleConfig config; /* before */
} GroupObject;

static const char *const limit_names[THROTTLE_BUCKETS] = {
    "bps-total", "bps-read", "bps-write", "iops-total", "iops-read", "iops-write"
};

static void get_config(const GroupObject *o, ThrottleConfig *config)
{
    if (o->group) {
        throttle_group_config(o->group, config);
    } else {
        *config = o->config;
    }
}

/* Before completion settings need not fit together yet. */
static bool set_config(GroupObject *o, const ThrottleConfig *config, GError **error)
{
    if (!o->group) {
        o->config = *config;
        return true;
    }
    if (!throttle_config_check(config, error)) {
        return false;
    }
    throttle_group_set(o->group, config);
    return true;
}

/* "x-iops-total-max-length" and its like; NULL: there is no such one. */
static uint64_t *config_field(ThrottleConfig *config, const char *name)
{
    name += strlen("x-");
    if (g_str_equal(name, "iops-size")) {
        return &config->op_size;
    }
    for (unsigned i = 0; i < THROTTLE_BUCKETS; i++) {
        if (!g_str_has_prefix(name, limit_names[i])) {
            continue;
        }
        const char *rest = name + strlen(limit_names[i]);
        return g_str_equal(rest, "")       ? &config->bucket[i].avg
               : g_str_equal(rest, "-max") ? &config->bucket[i].max
                                           : &config->bucket[i].length;
    }
    return NULL;
}

static bool set_field(Object *obj, const char *name, void *opaque, json_object *value,
                      GError **error)
{
    GroupObject *o = (GroupObject *)obj;
    ThrottleConfig config;
    if (!json_object_is_type(value, json_type_int)) {
        return error_set(error, "Invalid parameter type for '%s', expected: integer", name);
    }
    int64_t n = json_object_get_int64(value);
    if (n < 0) {
        return error_set(error, "Property values cannot be negative");
    }
    get_config(o, &config);
    *config_field(&config, name) = n;
    return set_config(o, &config, error);
}

static json_object *get_field(Object *obj, const char *name, void *opaque, GError **error)
{
    ThrottleConfig config;
    get_config((GroupObject *)obj, &config);
    return json_object_new_int64(*config_field(&config, name));
}

static bool set_limits(Object *obj, const char *name, void *opaque, json_object *value,
                       GError **error)
{
    GroupObject *o = (GroupObject *)obj;
    g_autoptr(ThrottleLimits) limits = qapi_decode_ThrottleLimits(value, QAPI_INPUT_JSON, error);
    if (!limits) {
        return false;
    }
    ThrottleConfig config;
    get_config(o, &config);
    throttle_config_from_limits(&config, limits);
    return throttle_config_check(&config, error) && set_config(o, &config, error);
}

static json_object *get_limits(Object *obj, const char *name, void *opaque, GError **error)
{
    ThrottleConfig config;
    get_config((GroupObject *)obj, &config);
    g_autoptr(ThrottleLimits) limits = throttle_config_to_limits(&config);
    return qapi_encode_ThrottleLimits(limits);
}

static void group_init(Object *obj)
{
    static const char *const suffixes[] = { "", "-max", "-max-length" };
    throttle_config_init(&((GroupObject *)obj)->config);
    for (unsigned i = 0; i < THROTTLE_BUCKETS; i++) {
        for (unsigned j = 0; j < G_N_ELEMENTS(suffixes); j++) {
            g_autofree char *name = g_strdup_printf("x-%s%s", limit_names[i], suffixes[j]);
            object_add_property(obj, name, "int", get_field, set_field, NULL, NULL);
        }
    }
    object_add_property(obj, "x-iops-size", "int", get_field, set_field, NULL, NULL);
    object_add_property(obj, "limits", "ThrottleLimits", get_limits, set_limits, NULL, NULL);
}

static bool group_complete(Object *obj, GError **error)
{
    GroupObject *o = (GroupObject *)obj;
    const char *id = object_path_component(obj);
    if (throttle_group_find(id)) {
        return error_set(error, "A group with this name already exists");
    }
    if (!throttle_config_check(&o->config, error)) {
        return false;
    }
    o->group = throttle_group_get(id);
    throttle_group_set(o->group, &o->config);
    return true;
}

static void group_finalize(Object *obj)
{
    throttle_group_unref(((GroupObject *)obj)->group);
}

static bool group_can_be_deleted(Object *obj, GError **error)
{
    GroupObject *o = (GroupObject *)obj;
    return !o->group || throttle_group_users(o->group) == 0 ||
           error_set(error, "object '%s' is in use, can not be deleted",
                     object_path_component(obj));
}

static const UserCreatableOps group_ops = { group_complete, group_can_be_deleted };

static const ObjectType throttle_group_type = {
    .name = "throttle-group",
    .parent = &object_type,
    .size = sizeof(GroupObject),
    .interfaces = (const InterfaceImpl[]){ { &user_creatable_type, &group_ops }, {} },
    .init = group_init,
    .finalize = group_finalize,
};
OBJECT_TYPE_REGISTER(throttle_group_type)
