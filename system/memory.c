/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The tree of memory regions and the address spaces: include/system/memory.h says what they mean. Changes
 * happen under the big lock; the outermost transaction publishes new flat views (flatview.c).
 */
#include "util/osdep.h"

#include "system/memory.h"
#include "system/ram.h"
#include "memory-internal.h"

static unsigned transaction_depth;
static bool tree_changed;
static MemoryRegion *memory_root, *io_root;

GPtrArray *memory_address_spaces;
AddressSpace *address_space_memory, *address_space_io;

/* ---- transactions -------------------------------------------------------------------------------------- */

void memory_transaction_begin(void)
{
    transaction_depth++;
}

void memory_transaction_commit(void)
{
    g_assert(transaction_depth > 0);
    if (--transaction_depth == 0 && tree_changed) {
        tree_changed = false;
        flatview_update_all();
    }
}

/* The tree differs from the views: publishes at the end of the transaction that surrounds us, or now. */
void memory_tree_has_changed(void)
{
    tree_changed = true;
    if (transaction_depth == 0) {
        tree_changed = false;
        flatview_update_all();
    }
}

/* ---- regions ------------------------------------------------------------------------------------------- */

static void memory_region_init(Object *obj)
{
    MemoryRegion *mr = (MemoryRegion *)obj;

    mr->enabled = true;
}

static void memory_region_finalize(Object *obj)
{
    MemoryRegion *mr = (MemoryRegion *)obj;

    for (unsigned i = 0; mr->subs && i < mr->subs->len; i++) {
        ((MemoryRegion *)g_ptr_array_index(mr->subs, i))->container = NULL;
    }
    g_clear_pointer(&mr->subs, g_ptr_array_unref);
    if (mr->block) {
        ram_block_release(mr->block);
    }
    memory_events_release(mr);
    object_unref(mr->target);
    g_free(mr->name);
}

static json_object *region_get_container(Object *obj, const Property *prop, GError **error)
{
    MemoryRegion *mr = (MemoryRegion *)obj;
    g_autofree char *path = mr->container ? object_path(&mr->container->object) : NULL;

    return json_object_new_string(path ? path : "");
}

static const PropertyKind property_region_link = {
    .name = "link<memory-region>",
    .get = region_get_container,
};

static const Property memory_region_properties[] = {
    { .name = "container", .kind = &property_region_link, .flags = PROPERTY_READ_ONLY },
    PROPERTY("addr", property_uint64, MemoryRegion, addr, .flags = PROPERTY_READ_ONLY),
    PROPERTY("size", property_uint64, MemoryRegion, size, .flags = PROPERTY_READ_ONLY),
    PROPERTY("priority", property_int32, MemoryRegion, priority, .flags = PROPERTY_READ_ONLY),
    {},
};

const ObjectType memory_region_type = {
    .name = "memory-region",
    .parent = &object_type,
    .size = sizeof(MemoryRegion),
    .properties = memory_region_properties,
    .init = memory_region_init,
    .finalize = memory_region_finalize,
};
OBJECT_TYPE_REGISTER(memory_region_type)

/* A '/' cannot be part of a path's component. */
static char *region_component(const char *name)
{
    char *component = g_strdup_printf("%s[*]", name);

    for (char *p = component; *p; p++) {
        if (*p == '/') {
            *p = '|';
        }
    }
    return component;
}

static MemoryRegion *region_new(Object *owner, MemoryRegionKind kind, const char *name, uint64_t size)
{
    MemoryRegion *mr = (MemoryRegion *)object_new(&memory_region_type);

    mr->name = g_strdup(name);
    mr->kind = kind;
    mr->size = size;
    mr->owner = owner;
    if (owner) {
        g_autofree char *component = region_component(name ? name : "anonymous");

        object_add_child(owner, component, &mr->object, NULL);
    }
    return mr;
}

MemoryRegion *memory_region_new_container(Object *owner, const char *name, uint64_t size)
{
    return region_new(owner, MEMORY_REGION_CONTAINER, name, size);
}

MemoryRegion *memory_region_new_io(Object *owner, const MemoryOps *ops, void *opaque, const char *name,
                                   uint64_t size)
{
    MemoryRegion *mr = region_new(owner, MEMORY_REGION_IO, name, size);

    mr->ops = ops;
    mr->opaque = opaque;
    return mr;
}

MemoryRegion *memory_region_new_ram(Object *owner, const char *name, uint64_t size, GError **error)
{
    RamBlock *block = ram_block_new(name, size, error);

    return block ? memory_region_new_ram_block(owner, name, block) : NULL;
}

MemoryRegion *memory_region_new_ram_block(Object *owner, const char *name, RamBlock *block)
{
    MemoryRegion *mr = region_new(owner, MEMORY_REGION_RAM, name, block->size);

    mr->block = block;
    block->region = mr;
    return mr;
}

MemoryRegion *memory_region_new_rom_resizable(Object *owner, const char *name, uint64_t size, uint64_t max_size,
                                              GError **error)
{
    const RamBlockOptions options = { .fd = -1, .max_size = max_size };
    RamBlock *block = ram_block_new_full(name, size, &options, error);
    MemoryRegion *mr = block ? memory_region_new_ram_block(owner, name, block) : NULL;

    if (mr) {
        mr->readonly = mr->rom = true;
        block->readonly_for_guest = true;
    }
    return mr;
}

MemoryRegion *memory_region_new_rom(Object *owner, const char *name, uint64_t size, GError **error)
{
    return memory_region_new_rom_resizable(owner, name, size, size, error);
}

MemoryRegion *memory_region_new_rom_device(Object *owner, const MemoryOps *ops, void *opaque, const char *name,
                                           uint64_t size, GError **error)
{
    MemoryRegion *mr = memory_region_new_rom(owner, name, size, error);

    if (mr) {
        mr->ops = ops;
        mr->opaque = opaque;
    }
    return mr;
}

MemoryRegion *memory_region_new_alias(Object *owner, const char *name, MemoryRegion *target, hwaddr offset,
                                      uint64_t size)
{
    MemoryRegion *mr = region_new(owner, MEMORY_REGION_ALIAS, name, size);

    mr->target = (MemoryRegion *)object_ref(target);
    mr->target_offset = offset;
    return mr;
}

void memory_region_free(MemoryRegion *mr)
{
    if (!mr) {
        return;
    }
    if (mr->container) {
        memory_region_unmap(mr->container, mr);
    }
    object_unparent(&mr->object);
    object_unref(mr);
}

void memory_region_map_overlap(MemoryRegion *container, hwaddr offset, MemoryRegion *sub, int priority)
{
    unsigned i;

    g_assert(!sub->container && container->kind != MEMORY_REGION_ALIAS);
    object_ref(sub);
    sub->container = container;
    sub->addr = offset;
    sub->priority = priority;
    if (!container->subs) {
        container->subs = g_ptr_array_new_with_free_func((GDestroyNotify)object_unref);
    }
    for (i = 0; i < container->subs->len; i++) {
        MemoryRegion *other = g_ptr_array_index(container->subs, i);

        if (priority >= other->priority) {
            break;
        }
    }
    g_ptr_array_insert(container->subs, i, sub);
    memory_tree_has_changed();
}

void memory_region_map(MemoryRegion *container, hwaddr offset, MemoryRegion *sub)
{
    memory_region_map_overlap(container, offset, sub, 0);
}

void memory_region_unmap(MemoryRegion *container, MemoryRegion *sub)
{
    g_assert(sub->container == container);
    sub->container = NULL;
    object_ref(sub);
    g_ptr_array_remove(container->subs, sub);
    memory_tree_has_changed();
    object_unref(sub);
}

void memory_region_set_enabled(MemoryRegion *mr, bool enabled)
{
    if (mr->enabled != enabled) {
        mr->enabled = enabled;
        memory_tree_has_changed();
    }
}

void memory_region_set_address(MemoryRegion *mr, hwaddr offset)
{
    if (mr->addr == offset) {
        return;
    }
    if (mr->container) {
        MemoryRegion *container = mr->container;

        /* The newest of equal priority wins: to move is to map anew. */
        memory_transaction_begin();
        object_ref(mr);
        memory_region_unmap(container, mr);
        memory_region_map_overlap(container, offset, mr, mr->priority);
        object_unref(mr);
        memory_transaction_commit();
    } else {
        mr->addr = offset;
    }
}

void memory_region_set_size(MemoryRegion *mr, uint64_t size)
{
    g_assert(mr->kind != MEMORY_REGION_RAM || size <= mr->block->size);
    if (mr->size != size) {
        mr->size = size;
        memory_tree_has_changed();
    }
}

void memory_region_set_alias_offset(MemoryRegion *mr, hwaddr offset)
{
    g_assert(mr->kind == MEMORY_REGION_ALIAS);
    if (mr->target_offset != offset) {
        mr->target_offset = offset;
        memory_tree_has_changed();
    }
}

void memory_region_set_readonly(MemoryRegion *mr, bool readonly)
{
    if (mr->readonly != readonly) {
        mr->readonly = readonly;
        memory_tree_has_changed();
    }
}

bool memory_region_is_mapped(const MemoryRegion *mr)
{
    return mr->container;
}

uint64_t memory_region_size(const MemoryRegion *mr)
{
    return mr->size;
}

const char *memory_region_name(const MemoryRegion *mr)
{
    return mr->name ? mr->name : "(null)";
}

hwaddr memory_region_address(const MemoryRegion *mr)
{
    return mr->addr;
}

RamBlock *memory_region_ram_block(MemoryRegion *mr)
{
    return mr->block;
}

void *memory_region_ram_ptr(MemoryRegion *mr)
{
    return mr->block ? mr->block->host : NULL;
}

void memory_region_set_dirty(MemoryRegion *mr, hwaddr offset, uint64_t len)
{
    ram_block_set_dirty(mr->block, offset, len);
}

/* ---- address spaces ------------------------------------------------------------------------------------ */

/* A port that nobody decodes: the bus floats. */
static uint64_t io_hole_read(void *opaque, hwaddr offset, unsigned size)
{
    return UINT64_MAX;
}

static void io_hole_write(void *opaque, hwaddr offset, uint64_t value, unsigned size)
{
}

static const MemoryOps io_hole_ops = {
    .read = io_hole_read,
    .write = io_hole_write,
    .valid = { .min_size = 1, .max_size = 8, .unaligned = true },
    .impl = { .min_size = 1, .max_size = 8, .unaligned = true },
};

void memory_init(void)
{
    Object *unattached;

    if (memory_root) {
        return;
    }
    unattached = object_container("/machine/unattached");
    memory_root = memory_region_new_container(unattached, "system", UINT64_MAX);
    io_root = memory_region_new_io(unattached, &io_hole_ops, NULL, "io", 65536);
    address_space_memory = address_space_new(memory_root, "memory");
    address_space_io = address_space_new(io_root, "I/O");
}

MemoryRegion *system_memory(void)
{
    return memory_root;
}

MemoryRegion *system_io(void)
{
    return io_root;
}

AddressSpace *address_space_new(MemoryRegion *root, const char *name)
{
    AddressSpace *as = g_new0(AddressSpace, 1);

    as->name = g_strdup(name);
    as->root = (MemoryRegion *)object_ref(root);
    as->listeners = g_ptr_array_new();
    as->eventfds = g_array_new(FALSE, TRUE, sizeof(MemoryEventFd));
    as->coalesced = g_array_new(FALSE, TRUE, sizeof(MemoryZone));
    as->view = flatview_render(root);
    if (!memory_address_spaces) {
        memory_address_spaces = g_ptr_array_new();
    }
    g_ptr_array_add(memory_address_spaces, as);
    return as;
}

static void address_space_destroy(void *opaque)
{
    AddressSpace *as = opaque;

    flatview_free(as->view);
    object_unref(as->root);
    g_ptr_array_unref(as->listeners);
    g_array_unref(as->eventfds);
    g_array_unref(as->coalesced);
    g_free(as->name);
    g_free(as);
}

void address_space_free(AddressSpace *as)
{
    if (!as) {
        return;
    }
    g_assert(as->listeners->len == 0);
    g_ptr_array_remove(memory_address_spaces, as);
    memory_rcu_defer(address_space_destroy, as);
}
