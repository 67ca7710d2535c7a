/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * fw_cfg ("QEMU Firmware Configuration (fw_cfg) Device"): a selector at port 510h, a byte of data at a time at 511h, and
 * a DMA interface whose address register is at 514h (big-endian).
 *
 * What the text does not say, as the installed programs answer: a byte read of either port gives data, the selector
 * takes words only, reading stops at the end of an item (zeros, and the offset stays), a key that nothing can have
 * selects "nothing" (FFFFh), and a DMA command with both read and write bits reads.
 */
#include "util/osdep.h"

#include "hw/nvram/fw_cfg.h"
#include "util/bytes.h"
#include "util/error.h"
#include "util/trace.h"

TRACE_EVENT(fw_cfg_select)
TRACE_EVENT(fw_cfg_add_file)

#define PORT_BASE 0x510
#define PORT_SIZE 2
#define DMA_PORT 0x514
#define DMA_PORT_SIZE 8

#define ID_TRADITIONAL 0x01
#define ID_DMA 0x02
#define DMA_SIGNATURE UINT64_C(0x51454d5520434647) /* "QEMU CFG" */
#define DMA_ERROR 0x01
#define DMA_READ 0x02
#define DMA_SKIP 0x04
#define DMA_SELECT 0x08
#define DMA_WRITE 0x10

#define KEY_INVALID 0xffff
#define KEY_INDEX 0x3fff
#define NUM_ARCH_KEYS 5
#define MIN_FILE_SLOTS 0x10
#define MAX_FILE_SLOTS (KEY_INDEX - FW_CFG_FILE_FIRST)
#define DIR_ENTRY_SIZE 64
#define ZERO_CHUNK 4096

typedef struct FwCfgItem {
    uint8_t *data;
    size_t len, max_len;
    bool owned; /* data are ours */
    const FwCfgFileOps *ops;
    void *opaque;
} FwCfgItem;

typedef struct FwCfgFile {
    char *name;
    FwCfgItem item;
} FwCfgFile;

struct FwCfg {
    Device device;
    bool dma_enabled;
    uint16_t file_slots;
    bool acpi_mr_restore;

    FwCfgItem items[FW_CFG_FILE_FIRST];
    FwCfgItem arch_items[NUM_ARCH_KEYS];
    GPtrArray *files; /* FwCfgFile *, by name (F1) */

    uint16_t cur_entry;  /* as selected, or KEY_INVALID */
    uint32_t cur_offset; /* next byte; may be past the end (F2: checked at each use) */
    uint64_t dma_addr;
    uint64_t table_mr_size, linker_mr_size, rsdp_mr_size; /* scratch of the description below */
    MemoryRegion *ports, *dma;
};

static FwCfg *the_fw_cfg;

FwCfg *fw_cfg_find(void)
{
    return the_fw_cfg;
}

/* ---- items ----------------------------------------------------------------------------------------------------- */

static void item_clear(FwCfgItem *item)
{
    if (item->owned) {
        g_free(item->data);
    }
    *item = (FwCfgItem){ 0 };
}

static void item_set_copy(FwCfgItem *item, const void *data, size_t len)
{
    uint8_t *copy = g_memdup2(data, len); /* data may be a part of the old contents */

    item_clear(item);
    *item = (FwCfgItem){ .data = copy, .len = len, .max_len = len, .owned = true };
}

static void file_free(gpointer data)
{
    FwCfgFile *file = data;

    item_clear(&file->item);
    g_free(file->name);
    g_free(file);
}

/* Whether the guest can select the key at all. */
static bool key_valid(const FwCfg *s, uint16_t key)
{
    return (key & KEY_INDEX) < FW_CFG_FILE_FIRST + s->file_slots;
}

/* The item of a key; NULL if there is none. */
static FwCfgItem *item_find(FwCfg *s, uint16_t key)
{
    unsigned n = key & KEY_INDEX;

    if (key & FW_CFG_ARCH_LOCAL) {
        return n < NUM_ARCH_KEYS ? &s->arch_items[n] : NULL;
    }
    if (n < FW_CFG_FILE_FIRST) {
        return &s->items[n];
    }
    n -= FW_CFG_FILE_FIRST;
    return n < s->files->len ? &((FwCfgFile *)g_ptr_array_index(s->files, n))->item : NULL;
}

void fw_cfg_add_bytes(FwCfg *s, uint16_t key, const void *data, size_t len)
{
    FwCfgItem *item = item_find(s, key);

    g_assert(item && (key & KEY_INDEX) < FW_CFG_FILE_FIRST && len <= UINT32_MAX);
    item_set_copy(item, data, len);
}

void fw_cfg_add_string(FwCfg *s, uint16_t key, const char *text)
{
    fw_cfg_add_bytes(s, key, text, strlen(text) + 1);
}

void fw_cfg_add_i16(FwCfg *s, uint16_t key, uint16_t value)
{
    uint8_t bytes[2];

    store_le16(bytes, value);
    fw_cfg_add_bytes(s, key, bytes, sizeof(bytes));
}

void fw_cfg_add_i32(FwCfg *s, uint16_t key, uint32_t value)
{
    uint8_t bytes[4];

    store_le32(bytes, value);
    fw_cfg_add_bytes(s, key, bytes, sizeof(bytes));
}

void fw_cfg_add_i64(FwCfg *s, uint16_t key, uint64_t value)
{
    uint8_t bytes[8];

    store_le64(bytes, value);
    fw_cfg_add_bytes(s, key, bytes, sizeof(bytes));
}

/* ---- files ----------------------------------------------------------------------------------------------------- */

static FwCfgFile *file_find(const FwCfg *s, const char *name)
{
    for (unsigned i = 0; i < s->files->len; i++) {
        FwCfgFile *file = g_ptr_array_index(s->files, i);

        if (!strcmp(file->name, name)) {
            return file;
        }
    }
    return NULL;
}

/* The directory: be32 count, then be32 size, be16 key, 2 bytes reserved, name[56] each. */
static void update_directory(FwCfg *s)
{
    size_t len = 4 + s->files->len * DIR_ENTRY_SIZE;
    g_autofree uint8_t *dir = g_malloc0(len);

    store_be32(dir, s->files->len);
    for (unsigned i = 0; i < s->files->len; i++) {
        const FwCfgFile *file = g_ptr_array_index(s->files, i);
        uint8_t *entry = dir + 4 + i * DIR_ENTRY_SIZE;

        store_be32(entry, file->item.len);
        store_be16(entry + 4, FW_CFG_FILE_FIRST + i);
        memcpy(entry + 8, file->name, strlen(file->name));
    }
    fw_cfg_add_bytes(s, FW_CFG_FILE_DIR, dir, len);
}

/* A new file without contents, at its place (F1). */
static FwCfgFile *file_new(FwCfg *s, const char *name, size_t len, GError **error)
{
    unsigned at = 0;
    FwCfgFile *file;

    if (!*name || strlen(name) > FW_CFG_FILE_NAME_MAX) {
        error_set(error, "fw_cfg file name '%s' must have 1 to %d characters", name,
                  FW_CFG_FILE_NAME_MAX);
        return NULL;
    }
    if (file_find(s, name)) {
        error_set(error, "duplicate fw_cfg file name: %s", name);
        return NULL;
    }
    if (s->files->len >= s->file_slots) {
        error_set(error, "no room for fw_cfg file '%s': all %u are in use", name, s->file_slots);
        return NULL;
    }
    if (len > UINT32_MAX) {
        error_set(error, "fw_cfg file '%s' is larger than 4 GiB", name);
        return NULL;
    }
    while (at < s->files->len &&
           strcmp(((FwCfgFile *)g_ptr_array_index(s->files, at))->name, name) < 0) {
        at++;
    }
    file = g_new0(FwCfgFile, 1);
    file->name = g_strdup(name);
    g_ptr_array_insert(s->files, at, file);
    trace(fw_cfg_add_file, "%p #%u: %s (%zu bytes)", (void *)s, at, name, len);
    return file;
}

bool fw_cfg_add_file(FwCfg *s, const char *name, const void *data, size_t len, GError **error)
{
    FwCfgFile *file = file_new(s, name, len, error);

    if (!file) {
        return false;
    }
    item_set_copy(&file->item, data, len);
    update_directory(s);
    return true;
}

bool fw_cfg_add_file_callback(FwCfg *s, const char *name, void *data, size_t len, size_t max_len,
                              const FwCfgFileOps *ops, void *opaque, GError **error)
{
    FwCfgFile *file = file_new(s, name, max_len, error);

    g_assert(len <= max_len);
    if (!file) {
        return false;
    }
    file->item =
        (FwCfgItem){ .data = data, .len = len, .max_len = max_len, .ops = ops, .opaque = opaque };
    update_directory(s);
    return true;
}

bool fw_cfg_has_file(const FwCfg *s, const char *name)
{
    return file_find(s, name) != NULL;
}

const void *fw_cfg_file_data(const FwCfg *s, const char *name, size_t *len)
{
    const FwCfgFile *file = file_find(s, name);

    *len = file ? file->item.len : 0;
    return file ? file->item.data : NULL;
}

bool fw_cfg_modify_file(FwCfg *s, const char *name, const void *data, size_t len, GError **error)
{
    FwCfgFile *file = file_find(s, name);

    if (!file) {
        return fw_cfg_add_file(s, name, data, len, error);
    }
    g_assert(!file->item.ops && len <= UINT32_MAX);
    item_set_copy(&file->item, data, len);
    update_directory(s);
    return true;
}

void fw_cfg_resize_file(FwCfg *s, const char *name, size_t len)
{
    FwCfgFile *file = file_find(s, name);

    g_assert(file && !file->item.owned && len <= file->item.max_len);
    file->item.len = len;
    update_directory(s);
}

/* ---- what the guest does ----------------------------------------------------------------------------------------- */

static const char *key_name(const FwCfg *s, uint16_t key)
{
    unsigned n = (key & KEY_INDEX) - FW_CFG_FILE_FIRST;

    return !(key & FW_CFG_ARCH_LOCAL) && n < s->files->len
               ? ((FwCfgFile *)g_ptr_array_index(s->files, n))->name
               : "";
}

static void fw_cfg_select(FwCfg *s, uint16_t key)
{
    FwCfgItem *item;

    s->cur_offset = 0;
    if (!key_valid(s, key)) {
        s->cur_entry = KEY_INVALID;
        return;
    }
    s->cur_entry = key;
    item = item_find(s, key);
    trace(fw_cfg_select, "%p key 0x%04x '%s'", (void *)s, key, key_name(s, key));
    if (item && item->ops && item->ops->select) {
        item->ops->select(item->opaque);
    }
}

static FwCfgItem *current_item(FwCfg *s)
{
    return s->cur_entry == KEY_INVALID ? NULL : item_find(s, s->cur_entry);
}

/* How many bytes of the item are left from the offset on. */
static size_t bytes_left(const FwCfg *s, const FwCfgItem *item)
{
    return item && item->data && s->cur_offset < item->len ? item->len - s->cur_offset : 0;
}

static uint64_t ports_read(void *opaque, hwaddr offset, unsigned size)
{
    FwCfg *s = opaque;
    FwCfgItem *item = current_item(s);

    return bytes_left(s, item) ? item->data[s->cur_offset++] : 0;
}

/* Data cannot be written here any more. */
static void ports_write(void *opaque, hwaddr offset, uint64_t value, unsigned size)
{
    if (size == 2) {
        fw_cfg_select(opaque, value);
    }
}

static bool ports_accept(void *opaque, hwaddr offset, unsigned size, bool is_write)
{
    return size == 1 || (is_write && size == 2 && offset == 0);
}

static const MemoryOps ports_ops = {
    .read = ports_read,
    .write = ports_write,
    .accepts = ports_accept,
};

/* ---- DMA --------------------------------------------------------------------------------------------------------- */

static bool dma_put(hwaddr addr, const void *data, uint64_t len)
{
    return dma_write(address_space_memory, addr, data, len, "fw_cfg") == MEM_OK;
}

/* The item's bytes, then zeros. The first address that takes nothing ends it, so the guest's length is no burden. */
static bool dma_read_item(FwCfg *s, hwaddr addr, uint32_t len)
{
    static const uint8_t zeros[ZERO_CHUNK];
    FwCfgItem *item = current_item(s);
    uint32_t n = MIN(bytes_left(s, item), len);
    bool ok = !n || dma_put(addr, item->data + s->cur_offset, n);

    s->cur_offset += n;
    while (ok && n < len) {
        uint32_t chunk = MIN(len - n, ZERO_CHUNK);

        ok = dma_put(addr + n, zeros, chunk);
        n += chunk;
    }
    return ok;
}

/* All of it or nothing: a write must fit in what is left of a writable item. */
static bool dma_write_item(FwCfg *s, hwaddr addr, uint32_t len)
{
    FwCfgItem *item = current_item(s);
    uint32_t offset = s->cur_offset;
    size_t left = bytes_left(s, item);

    s->cur_offset += MIN(left, len);
    if (!item || !item->ops || !item->ops->written || len > left ||
        dma_read(address_space_memory, addr, item->data + offset, len) != MEM_OK) {
        return false;
    }
    item->ops->written(item->opaque, offset, len);
    return true;
}

/* The command is at the address: be32 control, be32 length, be64 address. Control becomes 0, or the error bit. */
static void fw_cfg_dma(FwCfg *s)
{
    hwaddr at = s->dma_addr, addr;
    uint8_t command[16], result[4];
    uint32_t control, len;
    bool ok = true;

    s->dma_addr = 0;
    if (dma_read(address_space_memory, at, command, sizeof(command)) != MEM_OK) {
        store_be32(result, DMA_ERROR);
        dma_put(at, result, sizeof(result));
        return;
    }
    control = load_be32(command);
    len = load_be32(command + 4);
    addr = load_be64(command + 8);
    if (control & DMA_SELECT) {
        fw_cfg_select(s, control >> 16);
    }
    if (control & DMA_READ) {
        ok = dma_read_item(s, addr, len);
    } else if (control & DMA_WRITE) {
        ok = dma_write_item(s, addr, len);
    } else if (control & DMA_SKIP) {
        s->cur_offset += MIN(bytes_left(s, current_item(s)), len);
    }
    store_be32(result, ok ? 0 : DMA_ERROR);
    dma_put(at, result, sizeof(result));
}

static uint64_t dma_port_read(void *opaque, hwaddr offset, unsigned size)
{
    return DMA_SIGNATURE >> (DMA_PORT_SIZE - offset - size) * 8;
}

static void dma_port_write(void *opaque, hwaddr offset, uint64_t value, unsigned size)
{
    FwCfg *s = opaque;

    if (size == 4 && offset == 0) {
        s->dma_addr = value << 32;
    } else if (size == 4) {
        s->dma_addr |= value;
        fw_cfg_dma(s);
    } else {
        s->dma_addr = value;
        fw_cfg_dma(s);
    }
}

static bool dma_port_accept(void *opaque, hwaddr offset, unsigned size, bool is_write)
{
    return !is_write || (size == 4 && offset % 4 == 0) || (size == 8 && offset == 0);
}

static const MemoryOps dma_ops = {
    .read = dma_port_read,
    .write = dma_port_write,
    .endian = MEM_BIG_ENDIAN,
    .valid = { .max_size = 8 },
    .impl = { .max_size = 8 },
    .accepts = dma_port_accept,
};

/* ---- life cycle -------------------------------------------------------------------------------------------------- */

static void fw_cfg_reset(Device *dev)
{
    FwCfg *s = (FwCfg *)dev;

    s->dma_addr = 0;
    fw_cfg_select(s, FW_CFG_SIGNATURE);
}

static void fw_cfg_init(Object *obj)
{
    ((FwCfg *)obj)->files = g_ptr_array_new_with_free_func(file_free);
}

static void fw_cfg_finalize(Object *obj)
{
    FwCfg *s = (FwCfg *)obj;

    for (unsigned i = 0; i < G_N_ELEMENTS(s->items); i++) {
        item_clear(&s->items[i]);
    }
    for (unsigned i = 0; i < G_N_ELEMENTS(s->arch_items); i++) {
        item_clear(&s->arch_items[i]);
    }
    g_ptr_array_unref(s->files);
}

static bool fw_cfg_io_realize(Device *dev, GError **error)
{
    FwCfg *s = (FwCfg *)dev;

    if (the_fw_cfg) {
        return error_set(error, "at most one fw_cfg device is permitted");
    }
    if (s->file_slots < MIN_FILE_SLOTS || s->file_slots > MAX_FILE_SLOTS) {
        return error_set(error, "\"file_slots\" must be between 0x%x and 0x%x", MIN_FILE_SLOTS,
                         MAX_FILE_SLOTS);
    }
    the_fw_cfg = s;
    s->ports = memory_region_new_io(&dev->object, &ports_ops, s, "fwcfg", PORT_SIZE);
    memory_region_map(system_io(), PORT_BASE, s->ports);
    if (s->dma_enabled) {
        s->dma = memory_region_new_io(&dev->object, &dma_ops, s, "fwcfg.dma", DMA_PORT_SIZE);
        memory_region_map(system_io(), DMA_PORT, s->dma);
    }
    fw_cfg_add_bytes(s, FW_CFG_SIGNATURE, "QEMU", 4);
    fw_cfg_add_i32(s, FW_CFG_ID, ID_TRADITIONAL | (s->dma_enabled ? ID_DMA : 0));
    update_directory(s);
    return true;
}

static void fw_cfg_io_unrealize(Device *dev)
{
    FwCfg *s = (FwCfg *)dev;

    memory_region_free(s->ports);
    memory_region_free(s->dma);
    the_fw_cfg = NULL;
}

FwCfg *fw_cfg_io_new(GError **error)
{
    Device *dev = device_new(device_type_by_name("fw_cfg_io"));

    if (!object_add_child(object_container("/machine"), "fw_cfg", &dev->object, error) ||
        !device_realize(dev, system_bus(), error)) {
        object_unparent(&dev->object);
        object_unref(dev);
        return NULL;
    }
    return (FwCfg *)dev;
}

/*
 * Migration notes. Which item, how far, and half of a DMA address; a DMA command is carried out within the write that
 * starts it. The contents are the machine's and made again by the other side; those that the guest has written belong
 * to the device that wanted them. The exact lengths of the ACPI files are sent, because their RAM blocks tell whole
 * pages only. A selector is taken only if it can be selected; an offset past the end reads zeros.
 */
static const char *const mr_names[] = { "etc/acpi/tables", "etc/table-loader", "etc/acpi/rsdp" };

static uint64_t *mr_size(FwCfg *s, unsigned n)
{
    return n == 0 ? &s->table_mr_size : n == 1 ? &s->linker_mr_size : &s->rsdp_mr_size;
}

static bool fw_cfg_pre_save(void *opaque, GError **error)
{
    FwCfg *s = opaque;

    for (unsigned i = 0; i < G_N_ELEMENTS(mr_names); i++) {
        const FwCfgFile *file = file_find(s, mr_names[i]);

        *mr_size(s, i) = file ? file->item.len : 0;
    }
    return true;
}

/* A subsection that does not come means: what it was. */
static bool fw_cfg_pre_load(void *opaque, GError **error)
{
    ((FwCfg *)opaque)->dma_addr = 0;
    return fw_cfg_pre_save(opaque, error);
}

static bool fw_cfg_post_load(void *opaque, int version, GError **error)
{
    FwCfg *s = opaque;

    if (s->cur_entry != KEY_INVALID && !key_valid(s, s->cur_entry)) {
        return error_set(error, "item 0x%x is selected, the last is 0x%x", s->cur_entry,
                         FW_CFG_FILE_FIRST + s->file_slots - 1);
    }
    for (unsigned i = 0; i < G_N_ELEMENTS(mr_names); i++) {
        FwCfgFile *file = file_find(s, mr_names[i]);
        uint64_t size = *mr_size(s, i);

        if (size > (file ? file->item.max_len : 0)) {
            return error_set(error, "%s has %" PRIu64 " bytes, here there is room for %zu",
                             mr_names[i], size, file ? file->item.max_len : (size_t)0);
        }
        if (file && size) {
            file->item.len = size;
        }
    }
    update_directory(s);
    return true;
}

static bool dma_needed(const void *opaque)
{
    return ((const FwCfg *)opaque)->dma_enabled;
}

static const VmState vmstate_fw_cfg_dma = {
    .name = "fw_cfg/dma",
    .needed = dma_needed,
    .fields = (const VmField[]){ VM_U64(FwCfg, dma_addr), VM_END },
};

static bool acpi_mr_needed(const void *opaque)
{
    const FwCfg *s = opaque;

    return s->acpi_mr_restore && file_find(s, mr_names[0]);
}

static const VmState vmstate_fw_cfg_acpi_mr = {
    .name = "fw_cfg/acpi_mr",
    .version = 1,
    .minimum_version = 1,
    .needed = acpi_mr_needed,
    .fields = (const VmField[]){ VM_U64(FwCfg, table_mr_size), VM_U64(FwCfg, linker_mr_size),
                                 VM_U64(FwCfg, rsdp_mr_size), VM_END },
};

static const VmState vmstate_fw_cfg = {
    .name = "fw_cfg",
    .version = 2,
    .minimum_version = 2,
    .pre_save = fw_cfg_pre_save,
    .pre_load = fw_cfg_pre_load,
    .post_load = fw_cfg_post_load,
    .fields =
        (const VmField[]){ VM_U16(FwCfg, cur_entry),
                           VM_NAMED("cur_offset[1]", u32, uint32_t, FwCfg, cur_offset), VM_END },
    .subsections = (const VmState *const[]){ &vmstate_fw_cfg_dma, &vmstate_fw_cfg_acpi_mr, NULL },
};

static const DeviceType fw_cfg_type = {
    .object = {
        .name = "fw_cfg",
        .parent = &device_type.object,
        .size = sizeof(FwCfg),
        .abstract = true,
        .init = fw_cfg_init,
        .finalize = fw_cfg_finalize,
    },
    .bus = &system_bus_type,
    .not_user_creatable = true,
    .not_hotpluggable = true,
    .reset = fw_cfg_reset,
    .migration = MIGRATES_WITH(vmstate_fw_cfg),
};
DEVICE_REGISTER(fw_cfg_type);

static const DeviceType fw_cfg_io_type = {
    .object = {
        .name = "fw_cfg_io",
        .parent = &fw_cfg_type.object,
        .size = sizeof(FwCfg),
        .properties = (const Property[]){
            PROPERTY_BOOL("dma_enabled", FwCfg, dma_enabled, "on", NULL),
            PROPERTY_UINT16("x-file-slots", FwCfg, file_slots, "32", NULL),
            PROPERTY_BOOL("acpi-mr-restore", FwCfg, acpi_mr_restore, "on", NULL),
            {}
        },
    },
    .realize = fw_cfg_io_realize,
    .unrealize = fw_cfg_io_unrealize,
};
DEVICE_REGISTER(fw_cfg_io_type);
