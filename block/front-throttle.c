/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Limits of a front: -drive throttling.*, block_set_io_throttle, query-block. */
#include "util/osdep.h"
#include "block/backend.h"

#include "internal.h"
#include "qapi/commands-block-core.h"
#include "throttle.h"
#include "util/error.h"

void coroutine_fn front_throttle(BlockFront *front, uint64_t bytes, bool write)
{
    throttle_wait(front->throttle, bytes, write);
}

static void leave(BlockFront *front)
{
    ThrottleMember *m = g_steal_pointer(&front->throttle);
    if (m) {
        throttle_drain_begin(m); /* nobody waits any more */
        throttle_member_free(m);
    }
}

static void set_throttle(BlockFront *front, const char *group, const ThrottleConfig *config)
{
    if (!throttle_config_limits(config)) {
        leave(front);
        return;
    }
    ThrottleGroup *g = throttle_group_get(group);
    if (!front->throttle || throttle_member_group(front->throttle) != g) {
        leave(front);
        front->throttle = throttle_member_new(g);
        for (unsigned i = 0; i < front->drain_count; i++) {
            throttle_drain_begin(front->throttle);
        }
    }
    throttle_group_unref(g);
    throttle_group_set(g, config);
}

void front_set_throttle(BlockFront *front, const char *group, const ThrottleConfig *config)
{
    block_hold(); /* with limits requests run in the main loop, where the limits' timers are */
    set_throttle(front, group, config);
    block_release();
}

void front_describe_throttle(const BlockFront *front, BlockDeviceInfo *info)
{
    if (!front->throttle) {
        return;
    }
    ThrottleConfig c;
    throttle_group_config(throttle_member_group(front->throttle), &c);
#define SHOW(name, i)                                       \
    info->name = c.bucket[i].avg;                           \
    info->has_##name##_max = c.bucket[i].max != 0;          \
    info->name##_max = c.bucket[i].max;                     \
    info->has_##name##_max_length = info->has_##name##_max; \
    info->name##_max_length = c.bucket[i].length;
    SHOW(bps, THROTTLE_BPS_TOTAL)
    SHOW(bps_rd, THROTTLE_BPS_READ)
    SHOW(bps_wr, THROTTLE_BPS_WRITE)
    SHOW(iops, THROTTLE_OPS_TOTAL)
    SHOW(iops_rd, THROTTLE_OPS_READ)
    SHOW(iops_wr, THROTTLE_OPS_WRITE)
#undef SHOW
    info->has_iops_size = c.op_size != 0;
    info->iops_size = c.op_size;
    info->group = g_strdup(throttle_group_name(throttle_member_group(front->throttle)));
}

/* ---- QMP ---- */

static bool check_signs(const int64_t *values, unsigned n, GError **error)
{
    for (unsigned i = 0; i < n; i++) {
        if (values[i] < 0) {
            return error_set(error, "bps/iops/max values must be within [0, 1000000000000000]");
        }
    }
    return true;
}

bool qmp_block_set_io_throttle(
    const char *device, const char *id, int64_t bps, int64_t bps_rd, int64_t bps_wr, int64_t iops,
    int64_t iops_rd, int64_t iops_wr, bool has_bps_max, int64_t bps_max, bool has_bps_rd_max,
    int64_t bps_rd_max, bool has_bps_wr_max, int64_t bps_wr_max, bool has_iops_max,
    int64_t iops_max, bool has_iops_rd_max, int64_t iops_rd_max, bool has_iops_wr_max,
    int64_t iops_wr_max, bool has_bps_max_length, int64_t bps_max_length,
    bool has_bps_rd_max_length, int64_t bps_rd_max_length, bool has_bps_wr_max_length,
    int64_t bps_wr_max_length, bool has_iops_max_length, int64_t iops_max_length,
    bool has_iops_rd_max_length, int64_t iops_rd_max_length, bool has_iops_wr_max_length,
    int64_t iops_wr_max_length, bool has_iops_size, int64_t iops_size, const char *group,
    GError **error)
{
    BlockFront *front = device ? front_by_name(device) : id ? front_by_device(id, error) : NULL;
    if (device && !front) {
        return error_set_class(error, TERN_ERROR_DEVICE_NOT_FOUND, "Device '%s' not found", device);
    }
    if (!device && !id) {
        return error_set(error, "Need exactly one of 'device' and 'id'");
    }
    if (!front) {
        return false;
    }
    if (!front->root) {
        return error_set(error, "Device has no medium");
    }
    const int64_t values[] = { bps,         bps_rd,      bps_wr,     iops,       iops_rd,
                               iops_wr,     bps_max,     bps_rd_max, bps_wr_max, iops_max,
                               iops_rd_max, iops_wr_max, iops_size };
    if (!check_signs(values, G_N_ELEMENTS(values), error)) {
        return false;
    }
    ThrottleConfig c;
    throttle_config_init(&c);
#define TAKE(name, i)                                    \
    c.bucket[i].avg = name;                              \
    c.bucket[i].max = has_##name##_max ? name##_max : 0; \
    c.bucket[i].length = has_##name##_max_length ? name##_max_length : 1;
    TAKE(bps, THROTTLE_BPS_TOTAL)
    TAKE(bps_rd, THROTTLE_BPS_READ)
    TAKE(bps_wr, THROTTLE_BPS_WRITE)
    TAKE(iops, THROTTLE_OPS_TOTAL)
    TAKE(iops_rd, THROTTLE_OPS_READ)
    TAKE(iops_wr, THROTTLE_OPS_WRITE)
#undef TAKE
    c.op_size = has_iops_size ? iops_size : 0;
    if (!throttle_config_check(&c, error)) {
        return false;
    }
    const char *name = group ? group
                       : front->throttle
                           ? throttle_group_name(throttle_member_group(front->throttle))
                       : device ? device
                                : id;
    g_autofree char *copy = g_strdup(name);
    front_set_throttle(front, copy, &c);
    return true;
}
