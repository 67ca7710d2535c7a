/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Properties of devices with a drive. See the header. */
#include "util/osdep.h"
#include "hw/core/drive.h"

#include "hw/core/bootorder.h"
#include "util/error.h"
#include "util/keyval.h"

#define MAX_BLOCK_SIZE (2u << 20)

static void *member_of(Object *obj, const Property *prop)
{
    return (char *)obj + prop->offset;
}

/* ---- kinds ----------------------------------------------------------------------------------- */

static bool parse_drive(Object *obj, const Property *prop, const char *text, GError **error)
{
    BlockFront **member = member_of(obj, prop);
    BlockFront *front = NULL;
    if (text[0]) {
        bool exists = false;
        front = front_for_property(text, &exists, error);
        if (!front) {
            if (!exists && error) {
                g_clear_error(error);
                error_set(error, "Property '%s.%s' can't find value '%s'", obj->type->name,
                          prop->name, text);
            }
            return false;
        }
    }
    front_unref(*member);
    *member = front;
    return true;
}

static json_object *get_drive(Object *obj, const Property *prop, GError **error)
{
    BlockFront *front = *(BlockFront **)member_of(obj, prop);
    return json_object_new_string(front ? front_property(front) : "");
}

static void release_drive(Object *obj, const Property *prop)
{
    BlockFront **member = member_of(obj, prop);
    front_unref(*member);
    *member = NULL;
}

const PropertyKind property_drive = {
    .name = "str",
    .parse = parse_drive,
    .get = get_drive,
    .release = release_drive,
};

static json_object *get_u32(Object *obj, const Property *prop, GError **error)
{
    return json_object_new_int64(*(uint32_t *)member_of(obj, prop));
}

static bool store_block_size(Object *obj, const Property *prop, uint64_t value, GError **error)
{
    if (value && (value < BLOCK_SECTOR || value > MAX_BLOCK_SIZE || value & (value - 1))) {
        return error_set(error, "parameter %s must be a power of 2 between %d and %u", prop->name,
                         BLOCK_SECTOR, MAX_BLOCK_SIZE);
    }
    *(uint32_t *)member_of(obj, prop) = value;
    return true;
}

static bool store_size32(Object *obj, const Property *prop, uint64_t value, GError **error)
{
    if (value > UINT32_MAX) {
        return error_set(error,
                         "Property %s.%s doesn't take value %" PRIu64 " (maximum: %" PRIu32 ")",
                         obj->type->name, prop->name, value, UINT32_MAX);
    }
    *(uint32_t *)member_of(obj, prop) = value;
    return true;
}

static bool size_from_text(const Property *prop, const char *text, uint64_t *value, GError **error)
{
    if (!parse_size(text, 1, value, NULL)) {
        return error_set(error, "Parameter '%s' expects a size value", prop->name);
    }
    return true;
}

static bool size_from_json(const Property *prop, json_object *json, uint64_t *value, GError **error)
{
    if (!json_object_is_type(json, json_type_int) || json_object_get_int64(json) < 0) {
        return error_set(error, "Invalid parameter type for '%s', expected: integer", prop->name);
    }
    *value = json_object_get_uint64(json);
    return true;
}

static bool parse_block_size(Object *obj, const Property *prop, const char *text, GError **error)
{
    uint64_t value = 0;
    return size_from_text(prop, text, &value, error) && store_block_size(obj, prop, value, error);
}

static bool set_block_size(Object *obj, const Property *prop, json_object *json, GError **error)
{
    uint64_t value = 0;
    return size_from_json(prop, json, &value, error) && store_block_size(obj, prop, value, error);
}

const PropertyKind property_block_size = {
    .name = "size",
    .set = set_block_size,
    .parse = parse_block_size,
    .get = get_u32,
};

static bool parse_size32(Object *obj, const Property *prop, const char *text, GError **error)
{
    uint64_t value = 0;
    return size_from_text(prop, text, &value, error) && store_size32(obj, prop, value, error);
}

static bool set_size32(Object *obj, const Property *prop, json_object *json, GError **error)
{
    uint64_t value = 0;
    return size_from_json(prop, json, &value, error) && store_size32(obj, prop, value, error);
}

const PropertyKind property_size32 = {
    .name = "size",
    .set = set_size32,
    .parse = parse_size32,
    .get = get_u32,
};

static bool store_bootindex(Object *obj, const Property *prop, int32_t index, GError **error)
{
    if (!boot_index_set(DEVICE(obj), index, prop->arg, error)) {
        return false;
    }
    *(int32_t *)property_member(obj, prop) = index;
    return true;
}

static bool parse_bootindex(Object *obj, const Property *prop, const char *text, GError **error)
{
    int64_t value;

    return parse_int64(text, &value, NULL) && value >= INT32_MIN && value <= INT32_MAX
               ? store_bootindex(obj, prop, value, error)
               : property_int32.parse(obj, prop, text, error); /* with its words */
}

static bool set_bootindex(Object *obj, const Property *prop, json_object *json, GError **error)
{
    int64_t value = json_object_get_int64(json);

    return json_object_is_type(json, json_type_int) && value >= INT32_MIN && value <= INT32_MAX
               ? store_bootindex(obj, prop, value, error)
               : property_int32.set(obj, prop, json, error);
}

static json_object *get_bootindex(Object *obj, const Property *prop, GError **error)
{
    return property_int32.get(obj, prop, error);
}

/* Not a line of info qtree. */
static char *print_nothing(Object *obj, const Property *prop)
{
    return NULL;
}

const PropertyKind property_bootindex = {
    .name = "int32",
    .set = set_bootindex,
    .parse = parse_bootindex,
    .get = get_bootindex,
    .print = print_nothing,
};

const PropertyEnum property_on_error[] = {
    { "BlockdevOnError", "report", BLOCKDEV_ON_ERROR_REPORT },
    { NULL, "ignore", BLOCKDEV_ON_ERROR_IGNORE },
    { NULL, "enospc", BLOCKDEV_ON_ERROR_ENOSPC },
    { NULL, "stop", BLOCKDEV_ON_ERROR_STOP },
    { NULL, "auto", BLOCKDEV_ON_ERROR_AUTO },
    { NULL, NULL, 0 },
};

/* ---- conf ------------------------------------------------------------------------------------ */

bool drive_conf_block_sizes(DriveConf *conf, GError **error)
{
    if (!conf->logical_block_size) {
        conf->logical_block_size = BLOCK_SECTOR;
    }
    if (!conf->physical_block_size) {
        conf->physical_block_size = BLOCK_SECTOR;
    }
    if (conf->logical_block_size > conf->physical_block_size) {
        return error_set(error, "logical_block_size > physical_block_size not supported");
    }
    if (conf->min_io_size % conf->logical_block_size) {
        return error_set(error, "min_io_size must be a multiple of logical_block_size");
    }
    if (conf->min_io_size / conf->logical_block_size > UINT16_MAX) {
        return error_set(error, "min_io_size must not exceed 65535 logical blocks");
    }
    if (conf->opt_io_size % conf->logical_block_size) {
        return error_set(error, "opt_io_size must be a multiple of logical_block_size");
    }
    if (conf->discard_granularity != UINT32_MAX &&
        conf->discard_granularity % conf->logical_block_size) {
        return error_set(error, "discard_granularity must be a multiple of logical_block_size");
    }
    return true;
}

bool drive_conf_attach(DriveConf *conf, Device *dev, BlockDeviceConf *want, GError **error)
{
    g_autofree char *path = object_path(&dev->object);
    want->id = dev->id;
    want->path = path ? path : "";
    want->share_rw = conf->share_rw;
    want->rerror = conf->rerror;
    want->werror = conf->werror;
    want->write_cache = conf->write_cache == PROPERTY_ON    ? ON_OFF_AUTO_ON
                        : conf->write_cache == PROPERTY_OFF ? ON_OFF_AUTO_OFF
                                                            : ON_OFF_AUTO_AUTO;
    return front_attach_device(conf->front, want, error);
}

void drive_conf_detach(DriveConf *conf)
{
    if (conf->front) {
        front_detach_device(conf->front);
    }
}

bool drive_conf_geometry(uint64_t sectors, uint32_t max_heads, uint32_t *cyls, uint32_t *heads,
                         uint32_t *secs, GError **error)
{
    if (!*cyls && !*heads && !*secs) {
        *heads = 16;
        *secs = 63;
        *cyls = CLAMP(sectors / (16 * 63), 2, 16383);
        return true;
    }
    if (*cyls < 1 || *cyls > 65535) {
        return error_set(error, "cyls must be between 1 and 65535");
    }
    if (*heads < 1 || *heads > max_heads) {
        return error_set(error, "heads must be between 1 and %u", max_heads);
    }
    if (*secs < 1 || *secs > 255) {
        return error_set(error, "secs must be between 1 and 255");
    }
    return true;
}
