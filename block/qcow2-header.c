/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * qcow2: the header and its extensions.
 *
 * The header is read, checked and kept in Qcow2; unknown extensions and unknown header fields are kept
 * and written back. A few fields are changed in place (qcow2_patch_header): they lie within one
 * sector, so a crash leaves the old or the new ones.
 */
#include "util/osdep.h"
#include "qcow2.h"

#include "util/error.h"

/* ---- extensions ---- */

static void extension_free(void *opaque)
{
    Qcow2Extension *e = opaque;
    g_free(e->data);
    g_free(e);
}

void qcow2_header_clear(Qcow2 *s)
{
    g_clear_pointer(&s->extensions, g_ptr_array_unref);
    g_clear_pointer(&s->backing_file, g_free);
    g_clear_pointer(&s->backing_format, g_free);
    g_clear_pointer(&s->data_file_name, g_free);
    g_clear_pointer(&s->unknown_header, g_free);
    g_clear_pointer(&s->feature_names, g_free);
    s->feature_names_size = 0;
    s->unknown_header_size = 0;
}

/* Text of an extension: without a NUL in it. */
static bool take_text(char **text, const uint8_t *data, uint32_t len, size_t max, const char *what,
                      GError **error)
{
    if (len > max || memchr(data, 0, len)) {
        return error_set(error, "ERROR: %s: too long or not a text (len=%" PRIu32 ")", what, len);
    }
    g_free(*text);
    *text = g_strndup((const char *)data, len);
    return true;
}

static bool take_bitmaps(Qcow2 *s, const uint8_t *data, uint32_t len, bool check, GError **error)
{
    if (len != 24) {
        return error_set(error, "bitmaps_ext: Invalid extension length");
    }
    s->has_bitmaps_ext = true;
    s->nb_bitmaps = load_be32(data);
    s->bitmap_directory_size = load_be64(data + 8);
    s->bitmap_directory_offset = load_be64(data + 16);
    if (!(s->autoclear & QCOW2_AUTOCLEAR_BITMAPS)) {
        return true; /* inconsistent, whatever it says */
    }
    if (load_be32(data + 4) != 0) {
        return error_set(error, "bitmaps_ext: Reserved field is not zero");
    }
    if (s->nb_bitmaps == 0) {
        return error_set(error, "found bitmaps extension with zero bitmaps");
    }
    if (s->nb_bitmaps > QCOW2_MAX_BITMAPS) {
        return error_set(error,
                         "bitmaps_ext: image has %" PRIu32 " bitmaps, exceeding the QEMU supported "
                         "maximum of %d",
                         s->nb_bitmaps, QCOW2_MAX_BITMAPS);
    }
    if (s->bitmap_directory_offset & (s->cluster_size - 1)) {
        return error_set(error, "bitmaps_ext: invalid bitmap directory offset");
    }
    if (s->bitmap_directory_size > QCOW2_MAX_BITMAP_DIRECTORY) {
        return error_set(error,
                         "bitmaps_ext: bitmap directory size (%" PRIu64
                         ") exceeds the maximum supported size (%d)",
                         s->bitmap_directory_size, QCOW2_MAX_BITMAP_DIRECTORY);
    }
    return true;
}

static bool take_extension(Qcow2 *s, uint32_t type, const uint8_t *data, uint32_t len, bool check,
                           GError **error)
{
    switch (type) {
    case QCOW2_EXT_BACKING_FORMAT:
        return take_text(&s->backing_format, data, len, QCOW2_MAX_NAME, "ext_backing_format",
                         error);
    case QCOW2_EXT_DATA_FILE:
        return take_text(&s->data_file_name, data, len, QCOW2_MAX_NAME, "ext_data_file", error);
    case QCOW2_EXT_FEATURE_NAMES:
        g_free(s->feature_names);
        s->feature_names = g_memdup2(data, len);
        s->feature_names_size = len;
        return true;
    case QCOW2_EXT_BITMAPS:
        return take_bitmaps(s, data, len, check, error);
    case QCOW2_EXT_CRYPTO:
        return error_set(error, "LUKS encryption of qcow2 images is not supported");
    default: {
        Qcow2Extension *e = g_new(Qcow2Extension, 1);
        *e = (Qcow2Extension){ type, len, g_memdup2(data, len) };
        g_ptr_array_add(s->extensions, e);
        return true;
    }
    }
}

static bool read_extensions(Qcow2 *s, const uint8_t *buf, uint64_t at, uint64_t end, bool check,
                            GError **error)
{
    while (at + 8 <= end) {
        uint32_t type = load_be32(buf + at), len = load_be32(buf + at + 4);
        at += 8;
        if (type == QCOW2_EXT_END) {
            return true;
        }
        if (len > end - at) {
            return error_set(error,
                             "Header extension too large (type %#" PRIx32 ", len %" PRIu32 ")",
                             type, len);
        }
        if (!take_extension(s, type, buf + at, len, check, error)) {
            return false;
        }
        at += (len + 7) & ~UINT64_C(7);
    }
    return true;
}

/* ---- checks ---- */

/* The name that the image itself has for a bit that we do not know. */
static char *feature_name(const Qcow2 *s, unsigned kind, unsigned bit)
{
    for (uint32_t i = 0; i + 48 <= s->feature_names_size; i += 48) {
        const uint8_t *p = s->feature_names + i;
        if (p[0] == kind && p[1] == bit) {
            return g_strndup((const char *)p + 2, 46);
        }
    }
    return g_strdup_printf("Unknown incompatible feature: %" PRIx64, UINT64_C(1) << bit);
}

static bool check_features(const Qcow2 *s, GError **error)
{
    uint64_t unknown = s->incompatible & ~QCOW2_INCOMPAT_KNOWN;
    if (!unknown) {
        return true;
    }
    g_autoptr(GString) names = g_string_new(NULL);
    for (unsigned bit = 0; bit < 64; bit++) {
        if (unknown >> bit & 1) {
            g_autofree char *name = feature_name(s, 0, bit);
            g_string_append_printf(names, "%s%s", names->len ? ", " : "", name);
        }
    }
    return error_set(error, "Unsupported qcow2 feature(s): %s", names->str);
}

static bool check_table(const Qcow2 *s, uint64_t offset, uint64_t entries, uint64_t entry_size,
                        uint64_t max_bytes, const char *name, GError **error)
{
    if (entries > max_bytes / entry_size) {
        return error_set(error, "%s too large", name);
    }
    uint64_t bytes = entries * entry_size;
    if (offset > INT64_MAX - bytes || offset & (s->cluster_size - 1)) {
        return error_set(error, "%s offset invalid", name);
    }
    return true;
}

static bool check_basic(const Qcow2 *s, GError **error)
{
    if (s->version < 2 || s->version > 3) {
        return error_set(error, "Unsupported qcow2 version %" PRIu32, s->version);
    }
    if (s->cluster_bits < QCOW2_MIN_CLUSTER_BITS || s->cluster_bits > QCOW2_MAX_CLUSTER_BITS) {
        return error_set(error, "Unsupported cluster size: 2^%u", s->cluster_bits);
    }
    if (s->version == 3 && s->header_length < QCOW2_V3_HEADER_MIN) {
        return error_set(error, "qcow2 header too short");
    }
    if (s->header_length > s->cluster_size) {
        return error_set(error, "qcow2 header exceeds cluster size");
    }
    if (s->size > BLOCK_MAX_LENGTH) {
        return error_set(error, "The image size is too large");
    }
    return true;
}

static bool check_tables(const Qcow2 *s, uint32_t nb_snapshots, GError **error)
{
    if (s->refcount_order > 6) {
        return error_set(error, "Reference count entry width too large; may not exceed 64 bits");
    }
    if (s->reftable_clusters == 0) {
        return error_set(error, "Image does not contain a reference count table");
    }
    if (!check_table(s, s->reftable_offset, s->reftable_clusters, s->cluster_size,
                     QCOW2_MAX_REFTABLE_BYTES, "Reference count table", error) ||
        !check_table(s, s->snapshots_offset, nb_snapshots, 40, QCOW2_MAX_SNAPSHOTS * UINT64_C(40),
                     "Snapshot table", error) ||
        !check_table(s, s->l1_offset, s->l1_size, 8, QCOW2_MAX_L1_BYTES, "Active L1 table",
                     error)) {
        return false;
    }
    if (s->reftable_offset == 0 || (s->l1_size && s->l1_offset == 0)) {
        return error_set(error, "%s offset invalid",
                         s->reftable_offset ? "Active L1 table" : "Reference count table");
    }
    if (qcow2_l1_entries(s, s->size) > s->l1_size) {
        return error_set(error, "L1 table is too small");
    }
    return true;
}

static bool check_compression(const Qcow2 *s, GError **error)
{
    if (s->compression > QCOW2_ZSTD) {
        return error_set(error, "qcow2: unknown compression type: %u", s->compression);
    }
    if ((s->compression != QCOW2_DEFLATE) != !!(s->incompatible & QCOW2_INCOMPAT_COMPRESSION)) {
        return error_set(error,
                         s->compression == QCOW2_DEFLATE
                             ? "qcow2: Compression type incompatible feature bit must not be set"
                             : "qcow2: Compression type incompatible feature bit must be set");
    }
    if ((s->incompatible & QCOW2_INCOMPAT_EXTL2) && s->cluster_bits < 14) {
        return error_set(error, "Extended L2 entries need clusters of at least 16 KiB");
    }
    return true;
}

/* ---- reading ---- */

void qcow2_derive(Qcow2 *s)
{
    s->cluster_size = UINT64_C(1) << s->cluster_bits;
    s->extended = s->incompatible & QCOW2_INCOMPAT_EXTL2;
    s->l2_entry_size = s->extended ? 16 : 8;
    s->l2_bits = s->cluster_bits - (s->extended ? 4 : 3);
    s->subclusters = s->extended ? 32 : 1;
    s->subcluster_bits = s->cluster_bits - (s->extended ? 5 : 0);
    s->subcluster_size = UINT64_C(1) << s->subcluster_bits;
    s->refcount_bits = 1u << MIN(s->refcount_order, 31); /* not checked yet */
    s->refcount_max = s->refcount_order >= 6 ? INT64_MAX : (UINT64_C(1) << s->refcount_bits) - 1;
    s->refblock_bits = s->cluster_bits + 3 - s->refcount_order;
    s->csize_shift = 62 - (s->cluster_bits - 8);
    s->coffset_mask = (UINT64_C(1) << s->csize_shift) - 1;
}

/* Fixed fields. Returns the number of snapshots. */
static uint32_t parse_fixed(Qcow2 *s, const uint8_t *buf)
{
    s->version = load_be32(buf + QH_VERSION);
    s->cluster_bits = load_be32(buf + QH_CLUSTER_BITS);
    s->size = load_be64(buf + QH_SIZE);
    s->l1_size = load_be32(buf + QH_L1_SIZE);
    s->l1_offset = load_be64(buf + QH_L1_OFFSET);
    s->reftable_offset = load_be64(buf + QH_REFTABLE_OFFSET);
    s->reftable_clusters = load_be32(buf + QH_REFTABLE_CLUSTERS);
    s->snapshots_offset = load_be64(buf + QH_SNAPSHOTS_OFFSET);
    s->incompatible = s->compatible = s->autoclear = 0;
    s->refcount_order = 4;
    s->header_length = QCOW2_V2_HEADER;
    s->compression = QCOW2_DEFLATE;
    if (s->version >= 3) {
        s->incompatible = load_be64(buf + QH_INCOMPATIBLE);
        s->compatible = load_be64(buf + QH_COMPATIBLE);
        s->autoclear = load_be64(buf + QH_AUTOCLEAR);
        s->refcount_order = load_be32(buf + QH_REFCOUNT_ORDER);
        s->header_length = load_be32(buf + QH_HEADER_LENGTH);
        if (s->header_length > QH_COMPRESSION) {
            s->compression = buf[QH_COMPRESSION];
        }
    }
    return load_be32(buf + QH_SNAPSHOTS);
}

static bool read_backing_name(Qcow2 *s, const uint8_t *buf, uint64_t *end, GError **error)
{
    uint64_t offset = load_be64(buf + QH_BACKING_OFFSET);
    uint32_t len = load_be32(buf + QH_BACKING_SIZE);
    *end = s->cluster_size;
    if (offset > s->cluster_size) {
        return error_set(error, "Invalid backing file offset");
    }
    if (!offset) {
        return true;
    }
    if (len > MIN(QCOW2_MAX_NAME, s->cluster_size - offset)) {
        return error_set(error, "Backing file name too long");
    }
    *end = offset;
    if (len) {
        s->backing_file = g_strndup((const char *)buf + offset, len);
    }
    return true;
}

bool qcow2_read_header(Qcow2 *s, bool check, GError **error)
{
    uint8_t fixed[QCOW2_V3_HEADER];
    int ret = block_read_buf(s->node->file, 0, sizeof(fixed), fixed);
    if (ret < 0) {
        return error_set_errno(error, -ret, "Could not read qcow2 header");
    }
    if (load_be32(fixed) != QCOW2_MAGIC) {
        return error_set(error, "Image is not in qcow2 format");
    }
    s->extensions = g_ptr_array_new_with_free_func(extension_free);
    uint32_t nb_snapshots = parse_fixed(s, fixed);
    s->nb_snapshots = nb_snapshots;
    s->cluster_size = UINT64_C(1) << MIN(s->cluster_bits, QCOW2_MAX_CLUSTER_BITS);
    if (!check_basic(s, error)) {
        return false;
    }
    qcow2_derive(s);
    g_autofree uint8_t *buf = g_malloc(s->cluster_size);
    ret = block_read_buf(s->node->file, 0, s->cluster_size, buf);
    if (ret < 0) {
        return error_set_errno(error, -ret, "Could not read qcow2 header");
    }
    uint64_t end;
    if (!read_backing_name(s, buf, &end, error)) {
        return false;
    }
    if (s->header_length > QCOW2_V3_HEADER) {
        s->unknown_header_size = s->header_length - QCOW2_V3_HEADER;
        s->unknown_header = g_memdup2(buf + QCOW2_V3_HEADER, s->unknown_header_size);
    }
    uint32_t crypt = load_be32(buf + QH_CRYPT);
    if (crypt) {
        return error_set(error,
                         crypt == 1   ? "AES encryption of qcow2 images is not supported"
                         : crypt == 2 ? "LUKS encryption of qcow2 images is not supported"
                                      : "Unsupported encryption method %" PRIu32,
                         crypt);
    }
    return read_extensions(s, buf, s->header_length, end, check, error) &&
           check_features(s, error) && check_compression(s, error) &&
           check_tables(s, nb_snapshots, error);
}

/* ---- writing ---- */

typedef struct Writer {
    uint8_t *buf;
    size_t at, size;
    bool full;
} Writer;

static void put_extension(Writer *w, uint32_t type, const void *data, uint32_t len)
{
    size_t need = 8 + ((len + 7) & ~7u);
    if (w->full || need > w->size - w->at) {
        w->full = true;
        return;
    }
    store_be32(w->buf + w->at, type);
    store_be32(w->buf + w->at + 4, len);
    memcpy(w->buf + w->at + 8, data, len);
    w->at += need;
}

typedef struct FeatureName {
    uint8_t kind, bit;
    const char *name;
} FeatureName;

static const FeatureName feature_table[] = {
    { 0, 0, "dirty bit" },        { 0, 1, "corrupt bit" },         { 0, 2, "external data file" },
    { 0, 3, "compression type" }, { 0, 4, "extended L2 entries" }, { 1, 0, "lazy refcounts" },
    { 2, 0, "bitmaps" },          { 2, 1, "raw external data" },
};

static void put_feature_names(Writer *w)
{
    uint8_t table[G_N_ELEMENTS(feature_table)][48] = { 0 };
    for (unsigned i = 0; i < G_N_ELEMENTS(feature_table); i++) {
        table[i][0] = feature_table[i].kind;
        table[i][1] = feature_table[i].bit;
        memcpy(table[i] + 2, feature_table[i].name, strlen(feature_table[i].name));
    }
    put_extension(w, QCOW2_EXT_FEATURE_NAMES, table, sizeof(table));
}

static void put_bitmaps(const Qcow2 *s, Writer *w)
{
    uint8_t data[24] = { 0 };
    store_be32(data, s->nb_bitmaps);
    store_be64(data + 8, s->bitmap_directory_size);
    store_be64(data + 16, s->bitmap_directory_offset);
    put_extension(w, QCOW2_EXT_BITMAPS, data, sizeof(data));
}

static void put_extensions(const Qcow2 *s, Writer *w)
{
    if (s->backing_format) {
        put_extension(w, QCOW2_EXT_BACKING_FORMAT, s->backing_format, strlen(s->backing_format));
    }
    if (s->data_file_name && s->external_data) {
        put_extension(w, QCOW2_EXT_DATA_FILE, s->data_file_name, strlen(s->data_file_name));
    }
    if (s->has_bitmaps_ext) {
        put_bitmaps(s, w);
    }
    for (unsigned i = 0; s->extensions && i < s->extensions->len; i++) {
        const Qcow2Extension *e = s->extensions->pdata[i];
        put_extension(w, e->type, e->data, e->len);
    }
    /* Names for people: the first thing to do without in a small cluster. */
    size_t rest = 8 + (s->backing_file ? strlen(s->backing_file) : 0);
    if (s->version >= 3 && w->size - w->at >= 8 + G_N_ELEMENTS(feature_table) * 48 + rest) {
        put_feature_names(w);
    }
    put_extension(w, QCOW2_EXT_END, "", 0);
}

static void put_fixed(const Qcow2 *s, uint8_t *buf, uint32_t length)
{
    store_be32(buf + QH_MAGIC, QCOW2_MAGIC);
    store_be32(buf + QH_VERSION, s->version);
    store_be32(buf + QH_CLUSTER_BITS, s->cluster_bits);
    store_be64(buf + QH_SIZE, s->size);
    store_be32(buf + QH_L1_SIZE, s->l1_size);
    store_be64(buf + QH_L1_OFFSET, s->l1_offset);
    store_be64(buf + QH_REFTABLE_OFFSET, s->reftable_offset);
    store_be32(buf + QH_REFTABLE_CLUSTERS, s->reftable_clusters);
    store_be32(buf + QH_SNAPSHOTS, s->nb_snapshots);
    store_be64(buf + QH_SNAPSHOTS_OFFSET, s->snapshots_offset);
    if (s->version >= 3) {
        store_be64(buf + QH_INCOMPATIBLE, s->incompatible);
        store_be64(buf + QH_COMPATIBLE, s->compatible);
        store_be64(buf + QH_AUTOCLEAR, s->autoclear);
        store_be32(buf + QH_REFCOUNT_ORDER, s->refcount_order);
        store_be32(buf + QH_HEADER_LENGTH, length);
        buf[QH_COMPRESSION] = s->compression;
    }
}

int qcow2_format_header(const Qcow2 *s, uint8_t *buf)
{
    Writer w = { buf, QCOW2_V2_HEADER, s->cluster_size, false };
    memset(buf, 0, s->cluster_size);
    if (s->version >= 3) {
        w.at = QCOW2_V3_HEADER;
        if (s->unknown_header_size > w.size - w.at) {
            return -ENOSPC;
        }
        if (s->unknown_header_size) {
            memcpy(buf + w.at, s->unknown_header, s->unknown_header_size);
        }
        w.at += s->unknown_header_size;
    }
    uint32_t length = w.at;
    put_fixed(s, buf, length);
    put_extensions(s, &w);
    size_t name = s->backing_file ? strlen(s->backing_file) : 0;
    if (w.full || name > w.size - w.at) {
        return -ENOSPC;
    }
    if (name) {
        store_be64(buf + QH_BACKING_OFFSET, w.at);
        store_be32(buf + QH_BACKING_SIZE, name);
        memcpy(buf + w.at, s->backing_file, name);
    }
    return 0;
}

/* What a change that failed has left in the file is still to be taken back. */
static int coroutine_fn restore_locked(Qcow2 *s)
{
    if (!s->undo) {
        return 0;
    }
    int ret = block_co_write_buf(s->node->file, s->undo_at, s->undo_bytes, s->undo, 0);
    if (ret == 0) {
        ret = block_co_flush(s->node->file->node);
    }
    if (ret == 0) {
        g_clear_pointer(&s->undo, free);
    }
    return ret;
}

int coroutine_fn qcow2_restore_header(Qcow2 *s)
{
    if (!s->undo) {
        return 0;
    }
    co_mutex_lock(&s->patch_lock);
    int ret = restore_locked(s);
    co_mutex_unlock(&s->patch_lock);
    return ret;
}

/* W4. undo: when it fails the file has the new bytes perhaps, while our caller goes on as if nothing had changed. */
static int coroutine_fn patch(Qcow2 *s, uint64_t at, const void *data, size_t bytes, bool undo)
{
    uint8_t *old = block_alloc(s->node->file->node, bytes);
    if (!old) {
        return -ENOMEM;
    }
    co_mutex_lock(&s->patch_lock);
    int ret = restore_locked(s);
    if (ret == 0) {
        ret = block_co_read_buf(s->node->file, at, bytes, old, 0);
    }
    if (ret == 0) {
        ret = block_co_write_buf(s->node->file, at, bytes, data, 0);
        if (ret == 0) {
            ret = block_co_flush(s->node->file->node);
        }
        if (ret < 0 && undo) {
            s->undo = g_steal_pointer(&old);
            s->undo_at = at;
            s->undo_bytes = bytes;
            restore_locked(s);
        }
    }
    co_mutex_unlock(&s->patch_lock);
    free(old);
    return ret;
}

int coroutine_fn qcow2_write_header(Qcow2 *s)
{
    uint8_t *buf = block_alloc(s->node->file->node, s->cluster_size);
    int ret = buf ? qcow2_format_header(s, buf) : -ENOMEM;
    if (ret == 0) {
        ret = patch(s, 0, buf, s->cluster_size, true);
    }
    free(buf);
    return ret;
}

int coroutine_fn qcow2_patch_header(Qcow2 *s, unsigned at, const void *data, size_t bytes)
{
    return patch(s, at, data, bytes, true);
}

int coroutine_fn qcow2_write_incompatible(Qcow2 *s, uint64_t value)
{
    uint8_t buf[8];
    if (s->version < 3) {
        return 0; /* there is no place for it */
    }
    store_be64(buf, value);
    /* A mark too many (dirty, corrupt) does no harm. */
    int ret = patch(s, QH_INCOMPATIBLE, buf, sizeof(buf), !(value & ~s->incompatible));
    if (ret == 0) {
        s->incompatible = value;
    }
    return ret;
}
