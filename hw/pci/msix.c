/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * MSI-X (PCI Local Bus Specification 3.0, chapter 6.8). X1 to X3 are in hw/pci/msix.h.
 *
 * Migration notes. The capability is in the device's configuration space; table and pending bits are written by the device
 * with msix_save() where stock has them. A pending vector is sent when the machine runs and nothing masks it; what has been
 * sent is the interrupt controllers'.
 */
#include "util/osdep.h"
#include "hw/pci/msix.h"
#include "util/bytes.h"
#include "util/error.h"
#include "util/trace.h"

TRACE_EVENT(msix_write_config)

#define MSIX_CONTROL 2
#define MSIX_CONTROL_ENABLE 0x8000
#define MSIX_CONTROL_MASK_ALL 0x4000
#define MSIX_TABLE 4
#define MSIX_PBA 8
#define ENTRY_DATA 8
#define ENTRY_CONTROL 12
#define ENTRY_MASKED 1

struct MsixState {
    PciDevice *dev;
    unsigned vectors;
    unsigned cap; /* offset in configuration space */
    uint8_t *table, *pba;
    size_t pba_size;
    unsigned *users;
    bool *told; /* unmask has been said */
    MemoryRegion *table_region, *pba_region;
    MemoryRegion *own_bar; /* of msix_init_exclusive_bar() */
    MemoryRegion *bar;
    const MsixNotifiers *notifiers;
    void *opaque;
};

static uint8_t *entry(const MsixState *s, unsigned vector)
{
    return s->table + vector * MSIX_ENTRY_SIZE;
}

static uint16_t control(const MsixState *s)
{
    return load_le16(s->dev->config + s->cap + MSIX_CONTROL);
}

static bool function_masked(const MsixState *s)
{
    return (control(s) & (MSIX_CONTROL_ENABLE | MSIX_CONTROL_MASK_ALL)) != MSIX_CONTROL_ENABLE;
}

static bool is_masked(const MsixState *s, unsigned vector)
{
    return function_masked(s) || load_le32(entry(s, vector) + ENTRY_CONTROL) & ENTRY_MASKED;
}

static bool is_pending(const MsixState *s, unsigned vector)
{
    return s->pba[vector / 8] >> vector % 8 & 1;
}

static void set_pending(MsixState *s, unsigned vector, bool pending)
{
    uint8_t bit = 1 << vector % 8;

    s->pba[vector / 8] = pending ? s->pba[vector / 8] | bit : s->pba[vector / 8] & ~bit;
}

static MsixMessage message(const MsixState *s, unsigned vector)
{
    return (MsixMessage){ load_le64(entry(s, vector)), load_le32(entry(s, vector) + ENTRY_DATA) };
}

static void send(MsixState *s, unsigned vector)
{
    MsixMessage m = message(s, vector);
    uint8_t data[4];

    store_le32(data, m.data);
    pci_dma_write(s->dev, m.address, data, sizeof(data));
}

/* A vector's mask or message may have changed: X1 and X3. */
static void update(MsixState *s, unsigned vector, bool new_message)
{
    bool masked = is_masked(s, vector);

    if (s->notifiers && (masked || new_message) && s->told[vector]) {
        s->told[vector] = false;
        s->notifiers->mask(s->opaque, vector);
    }
    if (s->notifiers && !masked && !s->told[vector]) {
        s->told[vector] = true;
        s->notifiers->unmask(s->opaque, vector, message(s, vector));
    }
    if (!masked && is_pending(s, vector)) {
        set_pending(s, vector, false);
        send(s, vector);
    }
}

static void update_all(MsixState *s)
{
    for (unsigned v = 0; v < s->vectors; v++) {
        update(s, v, false);
    }
}

/* ---- what the guest sees ------------------------------------------------------------------------------------- */

static uint64_t table_read(void *opaque, hwaddr offset, unsigned size)
{
    const MsixState *s = opaque;

    return load_le32(s->table + offset);
}

static void table_write(void *opaque, hwaddr offset, uint64_t value, unsigned size)
{
    MsixState *s = opaque;
    unsigned vector = offset / MSIX_ENTRY_SIZE;
    bool changed = load_le32(s->table + offset) != value;

    store_le32(s->table + offset, value);
    update(s, vector, changed && offset % MSIX_ENTRY_SIZE != ENTRY_CONTROL);
}

static uint64_t pba_read(void *opaque, hwaddr offset, unsigned size)
{
    MsixState *s = opaque;

    if (s->notifiers && s->notifiers->poll) {
        s->notifiers->poll(s->opaque);
    }
    return load_le32(s->pba + offset);
}

static const MemoryOps table_ops = {
    .read = table_read,
    .write = table_write,
    .valid = { 4, 8, false },
    .impl = { 4, 4, false },
};
static const MemoryOps pba_ops = {
    .read = pba_read,
    .valid = { 4, 8, false },
    .impl = { 4, 4, false },
};

void msix_config_written(PciDevice *dev, unsigned addr, unsigned len)
{
    MsixState *s = dev->msix;

    if (s && addr < s->cap + MSIX_CONTROL + 2 && addr + len > s->cap + MSIX_CONTROL) {
        trace(msix_write_config, "dev %s enabled %d masked %d", dev->device.object.type->name,
              !!(control(s) & MSIX_CONTROL_ENABLE), !!(control(s) & MSIX_CONTROL_MASK_ALL));
        update_all(s);
    }
}

/* ---- life ------------------------------------------------------------------------------------------------------ */

static void free_state(PciDevice *dev)
{
    MsixState *s = g_steal_pointer(&dev->msix);

    g_free(s->table);
    g_free(s->pba);
    g_free(s->users);
    g_free(s->told);
    g_free(s);
}

bool msix_init(PciDevice *dev, unsigned vectors, MemoryRegion *bar, int bar_nr,
               uint32_t table_offset, uint32_t pba_offset, unsigned cap_offset, GError **error)
{
    MsixState *s;
    uint8_t *cap;

    if (!vectors || vectors > MSIX_MAX_VECTORS) {
        return error_set(error, "%s: MSI-X has 1 to %u vectors, not %u",
                         dev->device.object.type->name, MSIX_MAX_VECTORS, vectors);
    }
    cap_offset = pci_add_capability(dev, PCI_CAP_MSIX, cap_offset, MSIX_CAPABILITY_SIZE, error);
    if (!cap_offset) {
        return false;
    }
    s = dev->msix = g_new0(MsixState, 1);
    s->dev = dev;
    s->vectors = vectors;
    s->cap = cap_offset;
    s->bar = bar;
    s->table = g_malloc0(vectors * MSIX_ENTRY_SIZE);
    s->pba_size = (vectors + 63) / 64 * 8;
    s->pba = g_malloc0(s->pba_size);
    s->users = g_new0(unsigned, vectors);
    s->told = g_new0(bool, vectors);
    cap = dev->config + cap_offset;
    store_le16(cap + MSIX_CONTROL, vectors - 1);
    store_le32(cap + MSIX_TABLE, table_offset | bar_nr);
    store_le32(cap + MSIX_PBA, pba_offset | bar_nr);
    store_le16(dev->wmask + cap_offset + MSIX_CONTROL, MSIX_CONTROL_ENABLE | MSIX_CONTROL_MASK_ALL);
    s->table_region = memory_region_new_io(&dev->device.object, &table_ops, s, "msix-table",
                                           vectors * MSIX_ENTRY_SIZE);
    s->pba_region = memory_region_new_io(&dev->device.object, &pba_ops, s, "msix-pba", s->pba_size);
    memory_region_map(bar, table_offset, s->table_region);
    memory_region_map(bar, pba_offset, s->pba_region);
    msix_reset(dev);
    return true;
}

bool msix_init_exclusive_bar(PciDevice *dev, unsigned vectors, int bar_nr, GError **error)
{
    uint32_t size = 4096, pba = 2048;
    g_autofree char *name = g_strdup_printf("%s-msix", dev->device.object.type->name);
    MemoryRegion *bar;

    while (pba < vectors * MSIX_ENTRY_SIZE || size - pba < (vectors + 63) / 64 * 8) {
        size *= 2;
        pba = size / 2;
    }
    bar = memory_region_new_container(&dev->device.object, name, size);
    if (!msix_init(dev, vectors, bar, bar_nr, 0, pba, 0, error)) {
        memory_region_free(bar);
        return false;
    }
    dev->msix->own_bar = bar;
    pci_set_bar(dev, bar_nr, 0, bar, size);
    return true;
}

void msix_uninit(PciDevice *dev)
{
    MsixState *s = dev->msix;
    MemoryRegion *own;

    if (!s) {
        return;
    }
    own = s->own_bar;
    memory_region_unmap(s->bar, s->table_region);
    memory_region_unmap(s->bar, s->pba_region);
    memory_region_free(s->table_region);
    memory_region_free(s->pba_region);
    free_state(dev);
    memory_region_free(own);
}

void msix_reset(PciDevice *dev)
{
    MsixState *s = dev->msix;

    if (!s) {
        return;
    }
    store_le16(dev->config + s->cap + MSIX_CONTROL, s->vectors - 1);
    memset(s->table, 0, s->vectors * MSIX_ENTRY_SIZE);
    memset(s->pba, 0, s->pba_size);
    for (unsigned v = 0; v < s->vectors; v++) {
        store_le32(entry(s, v) + ENTRY_CONTROL, ENTRY_MASKED);
    }
    update_all(s);
}

/* ---- the device's side ---------------------------------------------------------------------------------------------- */

bool msix_present(const PciDevice *dev)
{
    return dev->msix;
}

unsigned msix_vectors(const PciDevice *dev)
{
    return dev->msix ? dev->msix->vectors : 0;
}

bool msix_enabled(const PciDevice *dev)
{
    return dev->msix && control(dev->msix) & MSIX_CONTROL_ENABLE;
}

bool msix_is_masked(const PciDevice *dev, unsigned vector)
{
    return vector >= msix_vectors(dev) || is_masked(dev->msix, vector);
}

MsixMessage msix_get_message(const PciDevice *dev, unsigned vector)
{
    return vector < msix_vectors(dev) ? message(dev->msix, vector) : (MsixMessage){ 0, 0 };
}

void msix_use(PciDevice *dev, unsigned vector)
{
    if (vector < msix_vectors(dev)) {
        dev->msix->users[vector]++;
    }
}

void msix_unuse(PciDevice *dev, unsigned vector)
{
    if (vector < msix_vectors(dev) && dev->msix->users[vector] && !--dev->msix->users[vector]) {
        set_pending(dev->msix, vector, false); /* X2 */
    }
}

void msix_notify(PciDevice *dev, unsigned vector)
{
    MsixState *s = dev->msix;

    if (vector >= msix_vectors(dev) || !s->users[vector]) {
        return;
    }
    if (is_masked(s, vector)) {
        set_pending(s, vector, true);
    } else {
        send(s, vector);
    }
}

void msix_set_pending(PciDevice *dev, unsigned vector)
{
    if (vector < msix_vectors(dev)) {
        set_pending(dev->msix, vector, true);
    }
}

void msix_clear_pending(PciDevice *dev, unsigned vector)
{
    if (vector < msix_vectors(dev)) {
        set_pending(dev->msix, vector, false);
    }
}

bool msix_is_pending(const PciDevice *dev, unsigned vector)
{
    return vector < msix_vectors(dev) && is_pending(dev->msix, vector);
}

void msix_set_notifiers(PciDevice *dev, const MsixNotifiers *notifiers, void *opaque)
{
    MsixState *s = dev->msix;

    if (!s) {
        return;
    }
    for (unsigned v = 0; v < s->vectors; v++) {
        if (s->told[v]) {
            s->told[v] = false;
            s->notifiers->mask(s->opaque, v);
        }
    }
    s->notifiers = notifiers;
    s->opaque = opaque;
    if (notifiers) {
        update_all(s);
    }
}

/* ---- saved state ------------------------------------------------------------------------------------------------------ */

void msix_save(PciDevice *dev, VmWriter *w)
{
    MsixState *s = dev->msix;

    if (s) {
        vm_put_bytes(w, s->table, s->vectors * MSIX_ENTRY_SIZE);
        vm_put_bytes(w, s->pba, (s->vectors + 7) / 8);
    }
}

bool msix_load(PciDevice *dev, VmReader *r, GError **error)
{
    MsixState *s = dev->msix;
    unsigned spare;

    if (!s) {
        return true;
    }
    memset(s->pba, 0, s->pba_size);
    vm_get_bytes(r, s->table, s->vectors * MSIX_ENTRY_SIZE);
    vm_get_bytes(r, s->pba, (s->vectors + 7) / 8);
    if (!vm_reader_check(r, error)) {
        return false;
    }
    spare = s->vectors % 8;
    if (spare && s->pba[s->vectors / 8] >> spare) {
        return error_set(error, "MSI-X vectors are pending that the device does not have");
    }
    for (unsigned v = 0; s->notifiers && v < s->vectors; v++) {
        update(s, v, true);
    }
    return true;
}
