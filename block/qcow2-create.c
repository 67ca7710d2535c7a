/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * qcow2: new images, and how large they will be.
 *
 * An image is made empty (header, one cluster of the reference count table, one block), opened, and grown to
 * its size.
 */
#include "util/osdep.h"
#include "qcow2.h"

#include "qapi/qapi.h"
#include "util/error.h"

const BlockCreateOption qcow2_create_options[] = {
    { "encryption", BLOCK_OPTION_BOOL, "Not supported: images are not encrypted", NULL },
    { "encrypt.format", BLOCK_OPTION_STR, "Not supported: images are not encrypted", NULL },
    { "cluster_size", BLOCK_OPTION_SIZE, "qcow2 cluster size", "65536" },
    { "extended_l2", BLOCK_OPTION_BOOL, "Extended L2 tables", "off" },
    { "preallocation", BLOCK_OPTION_STR,
      "Preallocation mode (allowed values: off, metadata, falloc, full)", NULL },
    { "compression_type", BLOCK_OPTION_STR, "Compression method used for image cluster compression",
      "zlib" },
    BLOCK_OPTION_SIZE_ROW,
    { "compat", BLOCK_OPTION_STR, "Compatibility level (v2 [0.10] or v3 [1.1])", NULL },
    { "backing_file", BLOCK_OPTION_STR, "File name of a base image", NULL },
    { "backing_fmt", BLOCK_OPTION_STR, "Image format of the base image", NULL },
    { "data_file", BLOCK_OPTION_STR, "File name of an external data file", NULL },
    { "data_file_raw", BLOCK_OPTION_BOOL, "The external data file must stay valid as a raw image",
      NULL },
    { "lazy_refcounts", BLOCK_OPTION_BOOL, "Postpone refcount updates", "off" },
    { "refcount_bits", BLOCK_OPTION_NUMBER, "Width of a reference count entry in bits", "16" },
    { NULL },
};

/* ---- options ---- */

static const char *option(json_object *o, const char *key)
{
    json_object *v = json_object_object_get(o, key);
    return v ? json_object_get_string(v) : NULL;
}

static void rename_option(json_object *o, const char *from, const char *to)
{
    const char *value = option(o, from);
    if (value) {
        g_autofree char *copy = g_strdup(value);
        json_object_object_del(o, from);
        json_object_object_add(o, to, json_object_new_string(copy));
    }
}

static bool refuse_encryption(json_object *o, GError **error)
{
    const char *encryption = option(o, "encryption");
    const char *format = option(o, "encrypt.format");
    if ((encryption && g_str_equal(encryption, "on")) || format) {
        return error_set(error, "Encryption of qcow2 images (%s) is not supported",
                         format ? format : "aes");
    }
    json_object_object_del(o, "encryption");
    return true;
}

/* The data file is made here, as a raw image. */
static bool make_data_file(json_object *o, GError **error)
{
    const char *name = option(o, "data_file");
    if (!name) {
        return true;
    }
    g_autofree char *filename = g_strdup(name);
    json_object *raw = json_object_new_object();
    const char *size = option(o, "size");
    json_object_object_add(raw, "size", json_object_new_string(size ? size : "0"));
    bool ok = block_create_image(filename, block_driver_by_name("raw"), raw, error);
    json_object_put(raw);
    if (!ok) {
        return false;
    }
    json_object *file = block_resolve_protocol(filename, json_object_new_object(), error);
    if (!file) {
        return false;
    }
    json_object_object_del(o, "data_file");
    json_object_object_add(o, "data-file", file);
    return true;
}

bool qcow2_create_convert(json_object *o, GError **error)
{
    static const struct {
        const char *from, *to;
    } names[] = {
        { "cluster_size", "cluster-size" },         { "extended_l2", "extended-l2" },
        { "compression_type", "compression-type" }, { "compat", "version" },
        { "backing_file", "backing-file" },         { "backing_fmt", "backing-fmt" },
        { "data_file_raw", "data-file-raw" },       { "lazy_refcounts", "lazy-refcounts" },
        { "refcount_bits", "refcount-bits" },
    };
    if (!refuse_encryption(o, error)) {
        return false;
    }
    if (option(o, "data_file_raw") && g_str_equal(option(o, "data_file_raw"), "on") &&
        !option(o, "data_file")) {
        return error_set(error, "data-file-raw requires data-file");
    }
    for (unsigned i = 0; i < G_N_ELEMENTS(names); i++) {
        rename_option(o, names[i].from, names[i].to);
    }
    const char *version = option(o, "version");
    if (version && g_str_equal(version, "0.10")) {
        json_object_object_add(o, "version", json_object_new_string("v2"));
    } else if (version && g_str_equal(version, "1.1")) {
        json_object_object_add(o, "version", json_object_new_string("v3"));
    }
    /* Sizes are whole sectors. */
    const char *size = option(o, "size");
    if (size) {
        uint64_t n = g_ascii_strtoull(size, NULL, 10);
        n = n > BLOCK_MAX_LENGTH ? n : ROUND_UP(n, BLOCK_SECTOR);
        g_autofree char *text = g_strdup_printf("%" PRIu64, n);
        json_object_object_add(o, "size", json_object_new_string(text));
    }
    return make_data_file(o, error);
}

/* What is wanted, complete. */
typedef struct Wanted {
    Qcow2 head; /* the fields of a header */
    PreallocMode prealloc;
    bool raw_data;
} Wanted;

static bool take_geometry(Wanted *w, const BlockdevCreateOptionsQcow2 *o, GError **error)
{
    uint64_t cluster = o->has_cluster_size ? o->cluster_size : 65536;
    if (cluster < 512 || cluster > (2u << 20) || (cluster & (cluster - 1))) {
        return error_set(error, "Cluster size must be a power of two between 512 and 2048k");
    }
    w->head.cluster_bits = __builtin_ctzll(cluster);
    if (o->has_extended_l2 && o->extended_l2) {
        if (w->head.version < 3) {
            return error_set(error,
                             "Extended L2 entries are only supported with compatibility level "
                             "1.1 and above (use version=v3 or greater)");
        }
        if (cluster < 16384) {
            return error_set(error,
                             "Extended L2 entries are only supported with cluster sizes of at "
                             "least 16384 bytes");
        }
        w->head.incompatible |= QCOW2_INCOMPAT_EXTL2;
    }
    if (o->size & (BLOCK_SECTOR - 1)) {
        return error_set(error, "Image size must be a multiple of %d bytes", BLOCK_SECTOR);
    }
    return true;
}

static bool take_counts(Wanted *w, const BlockdevCreateOptionsQcow2 *o, GError **error)
{
    int64_t bits = o->has_refcount_bits ? o->refcount_bits : 16;
    if (bits < 1 || bits > 64 || (bits & (bits - 1))) {
        return error_set(error, "Refcount width must be a power of two and may not exceed 64 bits");
    }
    if (w->head.version < 3 && bits != 16) {
        return error_set(error,
                         "Different refcount widths than 16 bits require compatibility level "
                         "1.1 or above (use version=v3 or greater)");
    }
    w->head.refcount_order = __builtin_ctzll(bits);
    if (o->has_lazy_refcounts && o->lazy_refcounts) {
        if (w->head.version < 3) {
            return error_set(error,
                             "Lazy refcounts only supported with compatibility level 1.1 and "
                             "above (use version=v3 or greater)");
        }
        w->head.compatible |= QCOW2_COMPAT_LAZY;
    }
    if (o->has_compression_type && o->compression_type != QCOW2_COMPRESSION_TYPE_ZLIB) {
        if (w->head.version < 3) {
            return error_set(error,
                             "Non-zlib compression type is only supported with compatibility "
                             "level 1.1 and above (use version=v3 or greater)");
        }
        w->head.compression = QCOW2_ZSTD;
        w->head.incompatible |= QCOW2_INCOMPAT_COMPRESSION;
    }
    return true;
}

static bool take_files(Wanted *w, const BlockdevCreateOptionsQcow2 *o, GError **error)
{
    bool raw = o->has_data_file_raw && o->data_file_raw;
    if (o->backing_file && !o->backing_file[0]) {
        return error_set(error, "Expected backing file name, got empty string");
    }
    if (o->has_backing_fmt && !o->backing_file) {
        return error_set(error, "Backing format cannot be used without backing file");
    }
    if (w->prealloc != PREALLOC_MODE_OFF && o->backing_file &&
        !(w->head.incompatible & QCOW2_INCOMPAT_EXTL2)) {
        return error_set(error,
                         "Backing file and preallocation can only be used at the same time if "
                         "extended_l2 is on");
    }
    if (raw && !o->data_file) {
        return error_set(error, "data-file-raw requires data-file");
    }
    if (raw && o->backing_file) {
        return error_set(error, "Backing file and data-file-raw cannot be used at the same time");
    }
    if (o->data_file && w->head.version < 3) {
        return error_set(error,
                         "External data files are only supported with compatibility level 1.1 "
                         "and above (use version=v3 or greater)");
    }
    if (o->data_file) {
        w->head.incompatible |= QCOW2_INCOMPAT_DATA_FILE;
        w->head.autoclear |= raw ? QCOW2_AUTOCLEAR_DATA_FILE_RAW : 0;
        w->head.external_data = true;
    }
    w->raw_data = raw;
    if (o->backing_file && strlen(o->backing_file) > QCOW2_MAX_NAME) {
        return error_set(error, "Backing file name too long");
    }
    w->head.backing_file = o->backing_file;
    w->head.backing_format =
        o->has_backing_fmt ? (char *)qapi_name_BlockdevDriver(o->backing_fmt) : NULL;
    return true;
}

static bool check_size(const Wanted *w, uint64_t size, GError **error)
{
    if (size > BLOCK_MAX_LENGTH || qcow2_l1_entries(&w->head, size) > QCOW2_MAX_L1_BYTES / 8) {
        return error_set(error, "The image size is too large for file format 'qcow2' (try using a "
                                "larger cluster size)");
    }
    return true;
}

static bool take_all(Wanted *w, const BlockdevCreateOptionsQcow2 *o, GError **error)
{
    *w = (Wanted){ .prealloc = o->has_preallocation ? o->preallocation : PREALLOC_MODE_OFF };
    w->head.version = o->has_version && o->version == BLOCKDEV_QCOW2_VERSION_V2 ? 2 : 3;
    if (!take_geometry(w, o, error) || !take_counts(w, o, error) || !take_files(w, o, error)) {
        return false;
    }
    qcow2_derive(&w->head);
    if (w->raw_data && w->prealloc == PREALLOC_MODE_OFF) {
        w->prealloc = PREALLOC_MODE_METADATA;
    }
    return check_size(w, o->size, error);
}

/* ---- the empty image ---- */

/* If nothing else has to be done for it, the size is right from the beginning: L1 behind the rest. */
static bool place_l1(Wanted *w, uint64_t size)
{
    Qcow2 *h = &w->head;
    uint64_t entries = qcow2_l1_entries(h, size);
    if (w->prealloc != PREALLOC_MODE_OFF || h->external_data ||
        3 + qcow2_clusters(h, entries * 8) > UINT64_C(1) << h->refblock_bits) {
        return false;
    }
    h->size = size;
    h->l1_size = entries;
    h->l1_offset = entries ? 3 * h->cluster_size : 0;
    return true;
}

/* Header, table, block: clusters 0, 1 and 2. */
static int write_skeleton(BlockEdge *edge, Qcow2 *head)
{
    uint64_t used = 3 + qcow2_clusters(head, (uint64_t)head->l1_size * 8);
    uint8_t *buf = block_alloc(edge->node, head->cluster_size * 3);
    if (!buf) {
        return -ENOMEM;
    }
    memset(buf, 0, head->cluster_size * 3);
    head->reftable_offset = head->cluster_size;
    head->reftable_clusters = 1;
    int ret = qcow2_format_header(head, buf);
    store_be64(buf + head->cluster_size, head->cluster_size * 2);
    for (uint64_t i = 0; i < used; i++) {
        qcow2_set_entry(buf + head->cluster_size * 2, i, head->refcount_order, 1);
    }
    if (ret == 0) {
        ret = block_write_buf(edge, 0, head->cluster_size * 3, buf, 0);
    }
    free(buf);
    return ret;
}

typedef struct Cut {
    BlockEdge *edge;
    uint64_t length;
    GError **error;
    int ret;
} Cut;

static void coroutine_fn cut_entry(void *opaque)
{
    Cut *c = opaque;
    c->ret = block_co_truncate(c->edge, c->length, false, PREALLOC_MODE_OFF, c->error);
}

static bool cut(BlockEdge *edge, uint64_t length, GError **error)
{
    Cut c = { edge, length, error, 0 };
    block_run_sync(cut_entry, &c);
    return c.ret == 0;
}

static bool create_empty(const BlockdevRef *file, Wanted *w, uint64_t size, bool *sized,
                         GError **error)
{
    BlockEdge *edge = block_create_open(file, error);
    if (!edge) {
        return false;
    }
    bool ok = cut(edge, 0, error);
    *sized = ok && block_node_zero_init(edge->node) && place_l1(w, size);
    if (ok) {
        int ret = write_skeleton(edge, &w->head);
        ok = ret == 0 || error_set_errno(error, -ret, "Could not write qcow2 header");
    }
    if (ok && w->head.l1_size) {
        ok = cut(edge, w->head.l1_offset + (uint64_t)w->head.l1_size * 8, error);
    }
    block_create_close(edge);
    return ok;
}

/* Options to open it with: without its backing file, which need not be there. */
static BlockFront *open_empty(const BlockdevCreateOptionsQcow2 *o, GError **error)
{
    BlockdevRefOrNull none = { .kind = BLOCKDEV_REF_OR_NULL_KIND_NULL };
    BlockdevOptions options = { .driver = BLOCKDEV_DRIVER_QCOW2 };
    options.u.qcow2.file = o->file;
    options.u.qcow2.data_file = o->data_file;
    options.u.qcow2.backing = &none;
    BlockNode *node =
        block_node_open(&options, BLOCK_OPEN_RDWR | BLOCK_OPEN_UNMAP | BLOCK_OPEN_NO_FLUSH, error);
    if (!node) {
        return NULL;
    }
    BlockFront *front = front_new(NULL, NULL);
    bool ok = front_insert_node(front, node, error) &&
              front_take_perms(front, BLOCK_PERM_WRITE | BLOCK_PERM_RESIZE, BLOCK_PERM_ALL, error);
    block_node_unref(node);
    if (!ok) {
        front_unref(front);
        return NULL;
    }
    return front;
}

static char *data_file_name(const BlockdevRef *ref)
{
    if (!ref) {
        return NULL;
    }
    if (ref->kind == BLOCKDEV_REF_KIND_REFERENCE) {
        BlockNode *node = block_node_find(ref->u.reference);
        return node ? g_strdup(block_node_filename(node)) : NULL;
    }
    return ref->u.definition.driver == BLOCKDEV_DRIVER_FILE
               ? g_strdup(ref->u.definition.u.file.filename)
               : NULL;
}

bool qcow2_create(const BlockdevCreateOptions *options, GError **error)
{
    const BlockdevCreateOptionsQcow2 *o = &options->u.qcow2;
    Wanted w;
    if (!take_all(&w, o, error)) {
        return false;
    }
    g_autofree char *data_name = data_file_name(o->data_file);
    w.head.data_file_name = data_name;
    bool sized;
    if (!create_empty(o->file, &w, o->size, &sized, error)) {
        return false;
    }
    if (sized) {
        return true;
    }
    BlockFront *front = open_empty(o, error);
    if (!front) {
        return false;
    }
    bool ok = o->size == 0 || front_truncate(front, o->size, false, w.prealloc, error);
    if (ok) {
        int ret = front_flush(front);
        ok = ret == 0 || error_set_errno(error, -ret, "Could not flush the new image");
    }
    front_unref(front);
    return ok;
}

/* ---- measuring ---- */

/* Clusters of metadata for `data` clusters of a disk of `size`. */
static uint64_t metadata_bytes(const Qcow2 *h, uint64_t size)
{
    uint64_t data = qcow2_clusters(h, size);
    uint64_t l2 = (data + (UINT64_C(1) << h->l2_bits) - 1) >> h->l2_bits;
    uint64_t l1 = qcow2_clusters(h, l2 * 8);
    uint64_t others = 1 + l1 + l2 + data, blocks = 0, table = 0;
    for (;;) {
        uint64_t total = others + blocks + table;
        uint64_t need = (total + (UINT64_C(1) << h->refblock_bits) - 1) >> h->refblock_bits;
        uint64_t table_need = qcow2_clusters(h, need * 8);
        if (need == blocks && table_need == table) {
            break;
        }
        blocks = need;
        table = table_need;
    }
    return (1 + l1 + l2 + blocks + table) << h->cluster_bits;
}

/* Bytes of source in clusters that are not all zeros by its status. */
static int64_t used_bytes(const Qcow2 *h, BlockNode *source, uint64_t size)
{
    uint64_t used_end = 0, used = 0;
    for (uint64_t offset = 0; offset < size;) {
        uint64_t n;
        int ret =
            block_status_above(source, NULL, true, offset, size - offset, &n, NULL, NULL, NULL);
        if (ret < 0) {
            return ret;
        }
        if (n == 0) {
            break;
        }
        if ((ret & BLOCK_STATUS_DATA) && !(ret & BLOCK_STATUS_ZERO)) {
            uint64_t from = MAX(qcow2_cluster_start(h, offset), used_end);
            uint64_t to = qcow2_cluster_end(h, offset + n);
            used += to > from ? to - from : 0;
            used_end = MAX(used_end, to);
        }
        offset += n;
    }
    return used;
}

/* Persistent bitmaps of a qcow2 source, as a copy of them would take. */
static uint64_t bitmaps_bytes(const Qcow2 *h, BlockNode *source, uint64_t size)
{
    const Qcow2 *s = source->state;
    uint64_t bytes = 0, directory = 0;
    for (unsigned i = 0; s->bitmaps && i < s->bitmaps->len; i++) {
        const Qcow2Bitmap *b = &g_array_index(s->bitmaps, Qcow2Bitmap, i);
        unsigned shift = MIN(b->granularity_bits, 40);
        uint64_t bits = (size + (UINT64_C(1) << shift) - 1) >> shift;
        uint64_t clusters = qcow2_clusters(h, (bits + 7) / 8);
        bytes += (clusters << h->cluster_bits) + qcow2_cluster_end(h, clusters * 8);
        directory += (24 + strlen(b->name) + 7) & ~(size_t)7;
    }
    return bytes + qcow2_cluster_end(h, directory);
}

static bool measure_options(json_object *options, BlockdevCreateOptionsQcow2 **result,
                            GError **error)
{
    g_autofree char *copy = g_strdup(json_object_to_json_string(options));
    json_object *o = json_tokener_parse(copy);
    json_object_object_del(o, "data_file"); /* it would be made */
    json_object_object_del(o, "data_file_raw");
    if (!option(o, "size")) {
        json_object_object_add(o, "size", json_object_new_string("0"));
    }
    bool ok = qcow2_create_convert(o, error);
    if (ok) {
        json_object_object_add(o, "file", json_object_new_string("none"));
        *result = qapi_decode_BlockdevCreateOptionsQcow2(o, QAPI_INPUT_KEYVAL, error);
        ok = *result != NULL;
    }
    json_object_put(o);
    return ok;
}

bool qcow2_measure(json_object *options, BlockNode *source, BlockMeasure *measure, GError **error)
{
    g_autoptr(BlockdevCreateOptionsQcow2) o = NULL;
    Wanted w;
    if (!measure_options(options, &o, error)) {
        return false;
    }
    int64_t size = source ? block_node_length(source) : (int64_t)MIN(o->size, INT64_MAX);
    if (size < 0) {
        return error_set_errno(error, -size, "Unable to get image virtual_size");
    }
    o->size = size;
    bool preallocated = o->has_preallocation && (o->preallocation == PREALLOC_MODE_FULL ||
                                                 o->preallocation == PREALLOC_MODE_FALLOC);
    bool backing = o->backing_file != NULL;
    if (backing && o->has_preallocation) {
        o->has_preallocation = false; /* whether that goes together is a question for create */
    }
    GError *local = NULL;
    if (!take_all(&w, o, &local)) {
        if (strstr(local->message, "image size is too large")) {
            g_error_free(local);
            return error_set(error,
                             "The image size is too large (try using a larger cluster size)");
        }
        g_propagate_error(error, local);
        return false;
    }
    uint64_t whole = qcow2_cluster_end(&w.head, size);
    int64_t used = !source || preallocated ? (preallocated ? (int64_t)whole : 0)
                   : backing               ? (int64_t)whole
                                           : used_bytes(&w.head, source, size);
    if (used < 0) {
        return error_set_errno(error, -used, "Unable to get block status");
    }
    uint64_t metadata = metadata_bytes(&w.head, size);
    measure->required = metadata + used;
    measure->fully_allocated = metadata + whole;
    const BlockNode *image = source ? block_skip_filters(source) : NULL;
    if (image && w.head.version >= 3 && image->driver->qapi_driver == BLOCKDEV_DRIVER_QCOW2) {
        measure->has_bitmaps = true;
        measure->bitmaps = bitmaps_bytes(&w.head, (BlockNode *)image, size);
    }
    return true;
}
