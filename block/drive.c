/* SPDX-License-Identifier: GPL-2.0-or-later */
/* -blockdev and -drive: from the text of the option to nodes and fronts, and the places that boards
 * ask for. */
#include "util/osdep.h"
#include "block/backend.h"

#include "internal.h"
#include "monitor/monitor.h"
#include "qapi/qapi.h"
#include "throttle.h"
#include "util/error.h"
#include "util/keyval.h"

static GQueue drives = G_QUEUE_INIT; /* BlockDrive */
static bool incoming;

typedef struct InterfaceInfo {
    const char *name;
    int units;   /* per bus; 0: buses have no meaning */
    bool errors; /* devices handle werror/rerror */
} InterfaceInfo;

static InterfaceInfo interfaces[BLOCK_IFS] = {
    [BLOCK_IF_NONE] = { "none", 0, true },      [BLOCK_IF_IDE] = { "ide", 2, true },
    [BLOCK_IF_SCSI] = { "scsi", 7, true },      [BLOCK_IF_FLOPPY] = { "floppy", 0, false },
    [BLOCK_IF_PFLASH] = { "pflash", 0, false }, [BLOCK_IF_MTD] = { "mtd", 0, false },
    [BLOCK_IF_SD] = { "sd", 0, false },         [BLOCK_IF_VIRTIO] = { "virtio", 0, true },
    [BLOCK_IF_XEN] = { "xen", 0, false },
};

const char *block_interface_name(BlockInterface interface)
{
    return interfaces[interface].name;
}

void block_set_incoming(bool on)
{
    incoming = on;
}

bool block_incoming(void)
{
    return incoming;
}

/* ---- -blockdev ---- */

bool block_add_node(const BlockdevOptions *options, GError **error)
{
    if (!options->node_name) {
        return error_set(error, "'node-name' must be specified for the root node");
    }
    unsigned flags = BLOCK_OPEN_RDWR | (incoming ? BLOCK_OPEN_INACTIVE : 0);
    BlockNode *node = block_node_open(options, flags, error);
    if (!node) {
        return false;
    }
    node->monitor_owned = true;
    return true;
}

bool block_add_blockdev(const char *text, GError **error)
{
    g_autoptr(BlockdevOptions) options =
        qapi_decode_option(&qapi_type_BlockdevOptions, text, "driver", error);
    return options && block_add_node(options, error);
}

/* ---- the places ---- */

void block_set_ide_units(int units)
{
    interfaces[BLOCK_IF_IDE].units = units;
}

BlockDrive *block_drive_by_index(BlockInterface interface, int index)
{
    int units = interfaces[interface].units;
    return block_drive_find(interface, units ? index / units : 0, units ? index % units : index);
}

BlockDrive *block_drive_next(BlockDrive *drive)
{
    GList *l = drive ? g_queue_find(&drives, drive)->next : drives.head;
    return l ? l->data : NULL;
}

BlockDrive *block_drive_find(BlockInterface interface, int bus, int unit)
{
    for (GList *l = drives.head; l; l = l->next) {
        BlockDrive *d = l->data;
        if (d->interface == interface && d->bus == bus && d->unit == unit) {
            return d;
        }
    }
    return NULL;
}

void block_drive_forget(BlockFront *front)
{
    if (front->drive) {
        g_queue_remove(&drives, front->drive);
        g_free(front->drive);
        front->drive = NULL;
    }
}

/* ---- the text of -drive ---- */

/* Keys and values in the order given; later ones win. */
typedef struct DriveText {
    GPtrArray *keys, *values;
} DriveText;

static void text_init(DriveText *t)
{
    t->keys = g_ptr_array_new_with_free_func(g_free);
    t->values = g_ptr_array_new_with_free_func(g_free);
}

static void text_clear(DriveText *t)
{
    g_ptr_array_free(t->keys, TRUE);
    g_ptr_array_free(t->values, TRUE);
}

static void text_add(DriveText *t, const char *key, const char *value)
{
    g_ptr_array_add(t->keys, g_strdup(key));
    g_ptr_array_add(t->values, g_strdup(value));
}

/* One element up to a single ','; ",," stands for ','. Returns where the next begins. */
static const char *text_element(const char *p, GString *out)
{
    while (*p) {
        if (*p == ',' && *++p != ',') {
            break;
        }
        g_string_append_c(out, *p++);
    }
    return p;
}

static void text_parse(DriveText *t, const char *text)
{
    g_autoptr(GString) element = g_string_new(NULL);
    for (const char *p = text; *p;) {
        g_string_truncate(element, 0);
        p = text_element(p, element);
        char *eq = strchr(element->str, '=');
        if (eq) {
            *eq = 0;
            text_add(t, element->str, eq + 1);
        } else if (element->len) {
            bool off = g_str_has_prefix(element->str, "no") && element->len > 2;
            const char *key = element->str + (off ? 2 : 0), *value = off ? "off" : "on";
            warn_report("short-form boolean option '%s' deprecated\nPlease use %s=%s instead",
                        element->str, key, value);
            text_add(t, key, value);
        }
    }
}

/* The last value of key, which is removed; NULL if absent. The caller's. */
static char *text_take(DriveText *t, const char *key)
{
    char *result = NULL;
    for (unsigned i = t->keys->len; i-- > 0;) {
        if (g_str_equal(t->keys->pdata[i], key)) {
            if (!result) {
                result = g_strdup(t->values->pdata[i]);
            }
            g_ptr_array_remove_index(t->keys, i);
            g_ptr_array_remove_index(t->values, i);
        }
    }
    return result;
}

static bool text_has(const DriveText *t, const char *key)
{
    for (unsigned i = 0; i < t->keys->len; i++) {
        if (g_str_equal(t->keys->pdata[i], key)) {
            return true;
        }
    }
    return false;
}

static bool text_rename(DriveText *t, const char *alias, const char *name, GError **error)
{
    if (!text_has(t, alias)) {
        return true;
    }
    if (text_has(t, name)) {
        return error_set(error, "'%s' and its alias '%s' can't be used at the same time", name,
                         alias);
    }
    g_autofree char *value = text_take(t, alias);
    text_add(t, name, value);
    return true;
}

/* What is left, nested. */
static json_object *text_nested(const DriveText *t, GError **error)
{
    g_autoptr(GString) s = g_string_new(NULL);
    for (unsigned i = 0; i < t->keys->len; i++) {
        g_string_append_printf(s, "%s%s=", i ? "," : "", (char *)t->keys->pdata[i]);
        for (const char *v = t->values->pdata[i]; *v; v++) {
            g_string_append(s, *v == ',' ? ",," : (char[]){ *v, 0 });
        }
    }
    return s->len ? keyval_parse(s->str, NULL, false, NULL, error) : json_object_new_object();
}

static bool take_number(DriveText *t, const char *key, int dflt, int *value, bool *given,
                        GError **error)
{
    g_autofree char *s = text_take(t, key);
    int64_t n = dflt;
    if (given) {
        *given = s != NULL;
    }
    if (s && (!parse_int64(s, &n, NULL) || n > INT_MAX)) {
        return error_set(error, "Parameter '%s' expects a number", key);
    }
    *value = n;
    return true;
}

static bool take_bool(DriveText *t, const char *key, bool dflt, bool *value, GError **error)
{
    g_autofree char *s = text_take(t, key);
    *value = dflt;
    if (s && g_str_equal(s, "on")) {
        *value = true;
    } else if (s && g_str_equal(s, "off")) {
        *value = false;
    } else if (s) {
        return error_set(error, "Parameter '%s' expects 'on' or 'off'", key);
    }
    return true;
}

/* ---- what -drive means ---- */

typedef struct DriveOptions {
    char *id, *file;
    BlockInterface interface;
    int bus, unit;
    bool cdrom, read_only, write_cache, snapshot, copy_on_read;
    BlockdevOnError rerror, werror;
    BlockdevDetectZeroesOptions detect_zeroes;
    ThrottleConfig limits;
    char *group;
    unsigned flags;
} DriveOptions;

static bool take_interface(DriveText *t, BlockInterface default_if, DriveOptions *o, GError **error)
{
    g_autofree char *s = text_take(t, "if");
    o->interface = default_if;
    if (!s) {
        return true;
    }
    for (int i = BLOCK_IF_NONE; i < BLOCK_IFS; i++) {
        if (g_str_equal(s, interfaces[i].name)) {
            o->interface = i;
            return true;
        }
    }
    return error_set(error, "unsupported bus type '%s'", s);
}

static bool take_media(DriveText *t, DriveOptions *o, GError **error)
{
    g_autofree char *s = text_take(t, "media");
    if (!s || g_str_equal(s, "disk")) {
        return true;
    }
    if (!g_str_equal(s, "cdrom")) {
        return error_set(error, "'%s' invalid media", s);
    }
    o->cdrom = true;
    return true;
}

static bool take_place(DriveText *t, DriveOptions *o, GError **error)
{
    int units = interfaces[o->interface].units, index;
    bool has_index, has_bus, has_unit;
    if (!take_number(t, "bus", 0, &o->bus, &has_bus, error) ||
        !take_number(t, "unit", -1, &o->unit, &has_unit, error) ||
        !take_number(t, "index", -1, &index, &has_index, error)) {
        return false;
    }
    if (has_index && index >= 0) {
        if (has_bus || has_unit) {
            return error_set(error, "index cannot be used with bus and unit");
        }
        o->bus = units ? index / units : 0;
        o->unit = units ? index % units : index;
    }
    if (o->unit < 0) { /* the first that is free */
        o->unit = 0;
        while (block_drive_find(o->interface, o->bus, o->unit)) {
            if (units && ++o->unit >= units) {
                o->unit = 0;
                o->bus++;
            } else if (!units) {
                o->unit++;
            }
        }
    }
    if (units && o->unit >= units) {
        return error_set(error, "unit %d too big (max is %d)", o->unit, units - 1);
    }
    if (block_drive_find(o->interface, o->bus, o->unit)) {
        return error_set(error, "drive with bus=%d, unit=%d (index=%d) exists", o->bus, o->unit,
                         has_index ? index : o->bus * units + o->unit);
    }
    return true;
}

static bool take_on_error(DriveText *t, const char *key, bool is_read, DriveOptions *o,
                          BlockdevOnError *result, GError **error)
{
    g_autofree char *s = text_take(t, key);
    *result = BLOCKDEV_ON_ERROR_AUTO;
    if (!s) {
        return true;
    }
    if (!interfaces[o->interface].errors) {
        return error_set(error, "%s is not supported by this bus type", key);
    }
    int v = qapi_parse_BlockdevOnError(s);
    if (v < 0 || v == BLOCKDEV_ON_ERROR_AUTO || (is_read && v == BLOCKDEV_ON_ERROR_ENOSPC)) {
        return error_set(error, "'%s' invalid %s error action", s, is_read ? "read" : "write");
    }
    *result = v;
    return true;
}

/* cache=MODE: three switches; an explicit cache.direct or cache.no-flush wins. */
static bool take_cache(DriveText *t, DriveOptions *o, GError **error)
{
    static const struct {
        const char *name;
        bool write_cache, direct, no_flush;
    } modes[] = {
        { "none", true, true, false },        { "off", true, true, false },
        { "directsync", false, true, false }, { "writethrough", false, false, false },
        { "writeback", true, false, false },  { "unsafe", true, false, true },
    };
    g_autofree char *s = text_take(t, "cache");
    unsigned m = 4;
    if (s) {
        for (m = 0; m < G_N_ELEMENTS(modes) && !g_str_equal(s, modes[m].name); m++) {
        }
        if (m == G_N_ELEMENTS(modes)) {
            return error_set(error, "invalid cache option");
        }
    }
    o->flags |= modes[m].direct ? BLOCK_OPEN_DIRECT : 0;
    o->flags |= modes[m].no_flush ? BLOCK_OPEN_NO_FLUSH : 0;
    return take_bool(t, "cache.writeback", modes[m].write_cache, &o->write_cache, error);
}

static bool take_discard(DriveText *t, DriveOptions *o, GError **error)
{
    g_autofree char *s = text_take(t, "discard");
    if (s && (g_str_equal(s, "unmap") || g_str_equal(s, "on"))) {
        o->flags |= BLOCK_OPEN_UNMAP;
    } else if (s && !g_str_equal(s, "ignore") && !g_str_equal(s, "off")) {
        return error_set(error, "Invalid discard option");
    }
    g_autofree char *z = text_take(t, "detect-zeroes");
    int v = z ? qapi_parse_BlockdevDetectZeroesOptions(z) : BLOCKDEV_DETECT_ZEROES_OPTIONS_OFF;
    if (v < 0) {
        return error_set(error, "Parameter 'detect-zeroes' does not accept value '%s'", z);
    }
    o->detect_zeroes = v;
    return true;
}

/* ---- limits ---- */

static const struct {
    const char *old, *name; /* iops_rd and throttling.iops-read are the same */
    unsigned bucket;
} limit_keys[] = {
    { "bps", "bps-total", THROTTLE_BPS_TOTAL },    { "bps_rd", "bps-read", THROTTLE_BPS_READ },
    { "bps_wr", "bps-write", THROTTLE_BPS_WRITE }, { "iops", "iops-total", THROTTLE_OPS_TOTAL },
    { "iops_rd", "iops-read", THROTTLE_OPS_READ }, { "iops_wr", "iops-write", THROTTLE_OPS_WRITE },
};

static bool take_limit(DriveText *t, const char *old, const char *name, uint64_t *value, bool *any,
                       GError **error)
{
    g_autofree char *key = g_strdup_printf("throttling.%s", name);
    if (old && !text_rename(t, old, key, error)) {
        return false;
    }
    g_autofree char *s = text_take(t, key);
    uint64_t n;
    if (!s) {
        return true;
    }
    if (!parse_uint64(s, &n, NULL)) {
        return error_set(error, "Parameter '%s' expects a number", key);
    }
    *value = n;
    *any = true;
    return true;
}

static bool take_limits(DriveText *t, DriveOptions *o, GError **error)
{
    throttle_config_init(&o->limits);
    bool any = false;
    for (unsigned i = 0; i < G_N_ELEMENTS(limit_keys); i++) {
        unsigned b = limit_keys[i].bucket;
        g_autofree char *old_max = g_strdup_printf("%s_max", limit_keys[i].old);
        g_autofree char *max = g_strdup_printf("%s-max", limit_keys[i].name);
        g_autofree char *length = g_strdup_printf("%s-max-length", limit_keys[i].name);
        if (!take_limit(t, limit_keys[i].old, limit_keys[i].name, &o->limits.bucket[b].avg, &any,
                        error) ||
            !take_limit(t, old_max, max, &o->limits.bucket[b].max, &any, error) ||
            !take_limit(t, NULL, length, &o->limits.bucket[b].length, &any, error)) {
            return false;
        }
    }
    if (!take_limit(t, "iops_size", "iops-size", &o->limits.op_size, &any, error)) {
        return false;
    }
    if (!text_rename(t, "group", "throttling.group", error)) {
        return false;
    }
    o->group = text_take(t, "throttling.group");
    return !any || throttle_config_check(&o->limits, error);
}

static bool check_aio(const DriveText *t, GError **error)
{
    for (unsigned i = 0; i < t->keys->len; i++) {
        if (g_str_equal(t->keys->pdata[i], "aio") &&
            qapi_parse_BlockdevAioOptions(t->values->pdata[i]) < 0) {
            return error_set(error, "invalid aio option");
        }
    }
    return true;
}

/* Sizes may have a suffix here; what -blockdev takes are plain numbers. What is no size is left for the driver to
 * complain about. */
static void expand_sizes(DriveText *t)
{
    static const char *const sizes[] = { "size",         "offset",         "align",
                                         "max-transfer", "opt-write-zero", "max-write-zero",
                                         "opt-discard",  "max-discard" };
    for (unsigned i = 0; i < t->keys->len; i++) {
        const char *key = t->keys->pdata[i], *dot = strrchr(key, '.');
        uint64_t n;
        for (unsigned j = 0; j < G_N_ELEMENTS(sizes); j++) {
            if (g_str_equal(dot ? dot + 1 : key, sizes[j]) &&
                parse_size(t->values->pdata[i], 1, &n, NULL)) {
                g_free(t->values->pdata[i]);
                t->values->pdata[i] = g_strdup_printf("%" PRIu64, n);
            }
        }
    }
}

static char *make_id(const DriveOptions *o)
{
    const InterfaceInfo *info = &interfaces[o->interface];
    const char *media = o->cdrom ? "-cd" : "-hd";
    return info->units ? g_strdup_printf("%s%d%s%d", info->name, o->bus, media, o->unit)
                       : g_strdup_printf("%s%d", info->name, o->unit);
}

static bool take_id(DriveText *t, DriveOptions *o, GError **error)
{
    o->id = text_take(t, "id");
    if (!o->id) {
        o->id = make_id(o);
    } else if (!id_wellformed(o->id)) {
        return error_set(
            error, "Parameter 'id' expects an identifier\nIdentifiers consist of letters, digits, "
                   "'-', '.', '_', starting with a letter.");
    }
    if (front_by_name(o->id)) {
        return error_set(error, "Duplicate ID '%s' for drive", o->id);
    }
    return true;
}

static bool take_options(DriveText *t, BlockInterface default_if, DriveOptions *o, GError **error)
{
    if (!text_rename(t, "readonly", "read-only", error)) {
        return false;
    }
    if (text_has(t, "format") && text_has(t, "driver")) {
        return error_set(error, "Cannot specify both 'driver' and 'format'");
    }
    bool ok = text_rename(t, "format", "driver", error) &&
              take_interface(t, default_if, o, error) && take_media(t, o, error) &&
              take_place(t, o, error) && take_id(t, o, error) &&
              take_bool(t, "read-only", o->cdrom, &o->read_only, error) &&
              take_cache(t, o, error) && take_discard(t, o, error) && check_aio(t, error) &&
              take_on_error(t, "werror", false, o, &o->werror, error) &&
              take_on_error(t, "rerror", true, o, &o->rerror, error) && take_limits(t, o, error) &&
              take_bool(t, "snapshot", false, &o->snapshot, error) &&
              take_bool(t, "copy-on-read", false, &o->copy_on_read, error);
    o->file = text_take(t, "file");
    expand_sizes(t);
    return ok;
}

/* The new node, which has taken a reference to the one below; NULL if there is none. */
static BlockNode *put_on_top(BlockNode *below, BlockNode *top)
{
    block_node_unref(below);
    return top;
}

static BlockNode *drive_open(const DriveText *t, const DriveOptions *o, GError **error)
{
    json_object *nested = text_nested(t, error);
    if (!nested) {
        return NULL;
    }
    bool writable = !o->read_only && !o->snapshot;
    unsigned flags = o->flags | BLOCK_OPEN_AUTO_RDONLY | (writable ? BLOCK_OPEN_RDWR : 0) |
                     (incoming ? BLOCK_OPEN_INACTIVE : 0);
    bool has_file = o->file && o->file[0];
    BlockNode *node = NULL;
    if (!has_file && !text_has(t, "driver") && !json_object_object_get(nested, "file")) {
        error_set(error, "Must specify either driver or file");
    } else {
        node = block_open_filename(has_file ? o->file : NULL, nested, flags, error);
    }
    json_object_put(nested);
    if (node && o->snapshot) {
        node = put_on_top(node, block_open_temporary(node, flags, error));
    }
    if (node) {
        node->detect_zeroes = o->detect_zeroes;
    }
    if (node && o->copy_on_read && node->read_only) {
        warn_report("disabling copy-on-read on read-only drive");
    } else if (node && o->copy_on_read) {
        node = put_on_top(node, block_open_cor(node, flags | BLOCK_OPEN_RDWR, error));
    }
    return node;
}

static bool drive_create(const DriveText *t, const DriveOptions *o, GError **error)
{
    BlockFront *front = front_new(o->id, error);
    if (!front) {
        return false;
    }
    front->rerror = o->rerror;
    front->werror = o->werror;
    front->write_cache = o->write_cache;
    front->medium_read_only = o->read_only;
    front->detect_zeroes = o->detect_zeroes;
    front->open_flags = o->flags | BLOCK_OPEN_AUTO_RDONLY;
    front_set_throttle(front, o->group ? o->group : o->id, &o->limits);
    /* No keys are left and no file: a drive without a medium. */
    if (t->keys->len || (o->file && o->file[0])) {
        BlockNode *node = drive_open(t, o, error);
        bool ok = node && front_insert_node(front, node, error);
        block_node_unref(node);
        if (!ok) {
            front_unref(front);
            return false;
        }
    }
    BlockDrive *drive = g_new(BlockDrive, 1);
    *drive = (BlockDrive){ front, o->interface, o->bus, o->unit, o->cdrom, false };
    g_queue_push_tail(&drives, drive);
    front->drive = drive;
    front->monitor_owned = true;
    return true;
}

bool block_add_drive(const char *text, BlockInterface default_if, GError **error)
{
    DriveText t;
    DriveOptions o = { .interface = BLOCK_IF_NONE };
    text_init(&t);
    text_parse(&t, text);
    bool ok = take_options(&t, default_if, &o, error) && drive_create(&t, &o, error);
    text_clear(&t);
    g_free(o.id);
    g_free(o.file);
    g_free(o.group);
    return ok;
}

bool block_add_drive_simple(const char *file, int index, const char *media,
                            BlockInterface default_if, GError **error)
{
    g_autoptr(GString) text = g_string_new(NULL);
    if (index >= 0) {
        g_string_append_printf(text, "index=%d,", index);
    }
    if (media) {
        g_string_append_printf(text, "media=%s,", media);
    }
    g_string_append(text, "file=");
    for (const char *p = file; *p; p++) {
        g_string_append(text, *p == ',' ? ",," : (char[]){ *p, 0 });
    }
    return block_add_drive(text->str, default_if, error);
}

/* ---- query-command-line-options ---- */

static const OptionParam drive_params[] = {
    { "bus", "number", "bus number" },
    { "unit", "number", "unit number (i.e. lun for scsi)" },
    { "index", "number", "index number" },
    { "media", "string", "media type (disk, cdrom)" },
    { "if", "string", "interface (ide, scsi, sd, mtd, floppy, pflash, virtio)" },
    { "file", "string", "file name" },
    { "werror", "string", "write error action" },
    { "rerror", "string", "read error action" },
    { "read-only", "boolean", "open drive file as read-only" },
    { "format", "string", "disk format (raw, qcow2, ...)" },
    { "cache", "string", "host cache usage (none, writeback, writethrough, directsync, unsafe)" },
    { "aio", "string", "host AIO implementation (threads, native, io_uring)" },
    { "snapshot", "boolean", "enable/disable snapshot mode" },
    { "copy-on-read", "boolean", "copy read data from backing file into image file" },
    { "discard", "string", "discard operation (ignore/off, unmap/on)" },
    { "detect-zeroes", "string", "try to optimize zero writes (off, on, unmap)" },
    { "throttling.iops-total", "number", "limit total I/O operations per second" },
    { "throttling.iops-total-max", "number", "total burst of I/O operations" },
    { "throttling.iops-total-max-length", "number",
      "length of the iops-total burst period, in seconds" },
    { "throttling.iops-read", "number", "limit read I/O operations per second" },
    { "throttling.iops-read-max", "number", "read burst of I/O operations" },
    { "throttling.iops-read-max-length", "number",
      "length of the iops-read burst period, in seconds" },
    { "throttling.iops-write", "number", "limit write I/O operations per second" },
    { "throttling.iops-write-max", "number", "write burst of I/O operations" },
    { "throttling.iops-write-max-length", "number",
      "length of the iops-write burst period, in seconds" },
    { "throttling.bps-total", "number", "limit total bytes per second" },
    { "throttling.bps-total-max", "number", "total burst of bytes" },
    { "throttling.bps-total-max-length", "number",
      "length of the bps-total burst period, in seconds" },
    { "throttling.bps-read", "number", "limit read bytes per second" },
    { "throttling.bps-read-max", "number", "read burst of bytes" },
    { "throttling.bps-read-max-length", "number",
      "length of the bps-read burst period, in seconds" },
    { "throttling.bps-write", "number", "limit write bytes per second" },
    { "throttling.bps-write-max", "number", "write burst of bytes" },
    { "throttling.bps-write-max-length", "number",
      "length of the bps-write burst period, in seconds" },
    { "throttling.iops-size", "number", "when limiting by iops max size of an I/O in bytes" },
    { "throttling.group", "string", "name of the block throttling group" },
    { NULL },
};
static OptionGroup drive_group = { .option = "drive", .params = drive_params };
OPTION_GROUP_REGISTER(drive_group)
