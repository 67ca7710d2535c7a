/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Guest memory: rendering of the tree, access rules, races, listeners, events (system/memory.h). */
#include "util/osdep.h"

#include <sys/eventfd.h>

#include "util/error.h"
#include "util/main-loop.h"
#include "monitor/hmp.h"
#include "system/memory.h"
#include "memory-fixture.h"

/* ---- a device that remembers --------------------------------------------------------------------------- */

typedef struct Probe {
    unsigned reads, writes;
    hwaddr last_offset;
    unsigned last_size;
    uint64_t last_value;
    uint8_t regs[64];
    MemEndian endian;
} Probe;

static uint64_t probe_read(void *opaque, hwaddr offset, unsigned size)
{
    Probe *p = opaque;
    uint64_t value = 0;

    p->reads++;
    p->last_offset = offset;
    p->last_size = size;
    for (unsigned i = 0; i < size; i++) {
        unsigned shift = p->endian == MEM_BIG_ENDIAN ? size - 1 - i : i;
        value |= (uint64_t)p->regs[(offset + i) % 64] << (8 * shift);
    }
    return value;
}

static void probe_write(void *opaque, hwaddr offset, uint64_t value, unsigned size)
{
    Probe *p = opaque;

    p->writes++;
    p->last_offset = offset;
    p->last_size = size;
    p->last_value = value;
    for (unsigned i = 0; i < size; i++) {
        unsigned shift = p->endian == MEM_BIG_ENDIAN ? size - 1 - i : i;
        p->regs[(offset + i) % 64] = value >> (8 * shift);
    }
}

static const MemoryOps byte_ops = { .read = probe_read, .write = probe_write, .impl = { 1, 1 } };
static const MemoryOps dword_ops = {
    .read = probe_read, .write = probe_write, .valid = { 1, 8 }, .impl = { 4, 4 }
};
static const MemoryOps strict_ops = { .read = probe_read, .write = probe_write, .valid = { 4, 4 } };
static const MemoryOps big_ops = { .read = probe_read,
                                   .write = probe_write,
                                   .endian = MEM_BIG_ENDIAN,
                                   .valid = { 1, 8 },
                                   .impl = { 1, 8 } };

/* ---- rendering ----------------------------------------------------------------------------------------- */

typedef struct Expect {
    hwaddr start;
    uint64_t size;
    MemoryRegion *mr;
    hwaddr offset;
} Expect;

typedef struct ExpectWalk {
    const Expect *next;
    unsigned left;
} ExpectWalk;

static bool expect_range(hwaddr start, uint64_t size, MemoryRegion *mr, hwaddr offset,
                         bool readonly, void *opaque)
{
    ExpectWalk *walk = opaque;

    g_assert_cmpuint(walk->left, >, 0);
    g_assert_cmphex(start, ==, walk->next->start);
    g_assert_cmphex(size, ==, walk->next->size);
    g_assert_true(mr == walk->next->mr);
    g_assert_cmphex(offset, ==, walk->next->offset);
    walk->next++;
    walk->left--;
    return true;
}

#define EXPECT(as, ...)                                        \
    do {                                                       \
        const Expect list_[] = { __VA_ARGS__ };                \
        ExpectWalk walk_ = { list_, G_N_ELEMENTS(list_) };     \
        address_space_foreach_range(as, expect_range, &walk_); \
        g_assert_cmpuint(walk_.left, ==, 0);                   \
    } while (0)

static void test_overlap(void)
{
    MemoryRegion *root = memory_region_new_container(NULL, "root", UINT64_MAX);
    AddressSpace *as = address_space_new(root, "test");
    MemoryRegion *low = memory_new_ram("low", 64 * KIB), *high = memory_new_ram("high", 8 * KIB);
    MemoryRegion *twin = memory_new_ram("twin", 8 * KIB);

    memory_region_map(root, 0x10000, low);
    EXPECT(as, { 0x10000, 64 * KIB, low, 0 });
    memory_region_map_overlap(root, 0x14000, high, 1);
    EXPECT(as, { 0x10000, 0x4000, low, 0 }, { 0x14000, 0x2000, high, 0 },
           { 0x16000, 0xa000, low, 0x6000 });
    /* Of two with the same priority the newer one wins. */
    memory_region_map_overlap(root, 0x15000, twin, 1);
    EXPECT(as, { 0x10000, 0x4000, low, 0 }, { 0x14000, 0x1000, high, 0 },
           { 0x15000, 0x2000, twin, 0 }, { 0x17000, 0x9000, low, 0x7000 });
    memory_region_set_enabled(twin, false);
    memory_region_set_address(high, 0x1f000);
    EXPECT(as, { 0x10000, 0xf000, low, 0 }, { 0x1f000, 0x2000, high, 0 });
    g_assert_true(memory_region_is_mapped(twin));
    memory_region_unmap(root, low);
    EXPECT(as, { 0x1f000, 0x2000, high, 0 });
    memory_region_free(low);
    memory_region_free(high);
    memory_region_free(twin);
    address_space_free(as);
    memory_region_free(root);
    memory_settle();
}

static void test_alias(void)
{
    MemoryRegion *root = memory_region_new_container(NULL, "root", UINT64_MAX);
    AddressSpace *as = address_space_new(root, "test");
    MemoryRegion *ram = memory_new_ram("ram", 1024 * KIB);
    MemoryRegion *pci = memory_region_new_container(NULL, "pci", UINT64_MAX);
    MemoryRegion *rom = memory_region_new_rom(NULL, "rom", 64 * KIB, NULL);
    MemoryRegion *window, *low, *top;

    memory_region_map(pci, 0xffff0000, rom);
    low = memory_region_new_alias(NULL, "low", ram, 0, 512 * KIB);
    memory_region_map(root, 0, low);
    memory_region_map_overlap(root, 0, pci, -1);
    window = memory_region_new_alias(NULL, "window", pci, 0xffff0000, 64 * KIB);
    memory_region_map_overlap(root, 0x10000, window, 1);
    top = memory_region_new_alias(NULL, "top", ram, 512 * KIB, 512 * KIB);
    memory_region_map(root, UINT64_C(0x100000000), top);
    EXPECT(as, { 0, 0x10000, ram, 0 }, { 0x10000, 0x10000, rom, 0 },
           { 0x20000, 0x60000, ram, 0x20000 }, { 0xffff0000, 0x10000, rom, 0 },
           { UINT64_C(0x100000000), 0x80000, ram, 0x80000 });
    memory_region_set_alias_offset(window, 0xffff8000);
    EXPECT(as, { 0, 0x10000, ram, 0 }, { 0x10000, 0x8000, rom, 0x8000 },
           { 0x18000, 0x68000, ram, 0x18000 }, { 0xffff0000, 0x10000, rom, 0 },
           { UINT64_C(0x100000000), 0x80000, ram, 0x80000 });
    memory_region_set_size(window, 0x1000);
    memory_region_set_enabled(top, false);
    EXPECT(as, { 0, 0x10000, ram, 0 }, { 0x10000, 0x1000, rom, 0x8000 },
           { 0x11000, 0x6f000, ram, 0x11000 }, { 0xffff0000, 0x10000, rom, 0 });
    memory_region_free(window);
    memory_region_free(low);
    memory_region_free(top);
    memory_region_free(pci);
    memory_region_free(rom);
    memory_region_free(ram);
    address_space_free(as);
    memory_region_free(root);
    memory_settle();
}

/* A region of 2^64 bytes, and one at the very end. */
static void test_whole_space(void)
{
    Probe probe = { 0 };
    MemoryRegion *root = memory_region_new_container(NULL, "root", UINT64_MAX);
    MemoryRegion *io = memory_region_new_io(NULL, &byte_ops, &probe, "io", UINT64_MAX);
    MemoryRegion *last = memory_new_ram("last", 4 * KIB);
    AddressSpace *as = address_space_new(root, "test");
    uint8_t buf[2] = { 1, 2 };

    memory_region_map(root, 0, io);
    EXPECT(as, { 0, UINT64_MAX, io, 0 });
    memory_region_map_overlap(root, -(uint64_t)4 * KIB, last, 1);
    EXPECT(as, { 0, -(uint64_t)4 * KIB, io, 0 }, { -(uint64_t)4 * KIB, 4 * KIB, last, 0 });
    g_assert_cmpint(address_space_write(as, UINT64_MAX - 1, buf, 2), ==, MEM_OK);
    g_assert_cmphex(((uint8_t *)memory_region_ram_ptr(last))[4 * KIB - 1], ==, 2);
    memory_region_free(last);
    memory_region_free(io);
    address_space_free(as);
    memory_region_free(root);
    memory_settle();
}

/* ---- the flat view against a slow model ------------------------------------------------------------------ */

#define MODEL_REGIONS 12
#define MODEL_SPAN 64

typedef struct ModelRegion {
    MemoryRegion *mr;
    int parent; /* -1: not mapped, MODEL_REGIONS: the root */
    int target; /* alias of it, else -1 */
    hwaddr addr, size, alias_offset;
    int priority;
    bool enabled, container;
    unsigned age;
} ModelRegion;

static ModelRegion model[MODEL_REGIONS + 1];

/* Which leaf address x of region r's inside belongs to; -1 for none. */
static int model_find(int r, int64_t x, int64_t *offset)
{
    ModelRegion *m = &model[r];
    unsigned best_age = UINT_MAX;
    int best_priority = INT_MAX;

    if (!m->enabled || x < 0 || (uint64_t)x >= m->size) {
        return -1;
    }
    if (m->target >= 0) {
        return model_find(m->target, x + m->alias_offset, offset);
    }
    for (;;) { /* children by falling priority, younger first */
        int next = -1;

        for (int c = 0; c < MODEL_REGIONS; c++) {
            ModelRegion *k = &model[c];
            bool before =
                k->priority < best_priority || (k->priority == best_priority && k->age < best_age);

            if (k->parent == r && before &&
                (next < 0 || k->priority > model[next].priority ||
                 (k->priority == model[next].priority && k->age > model[next].age))) {
                next = c;
            }
        }
        if (next < 0) {
            break;
        }
        best_priority = model[next].priority;
        best_age = model[next].age;
        int found = model_find(next, x - (int64_t)model[next].addr, offset);
        if (found >= 0) {
            return found;
        }
    }
    if (m->container) {
        return -1;
    }
    *offset = x;
    return r;
}

typedef struct ModelWalk {
    int owner[MODEL_SPAN];
    int64_t offset[MODEL_SPAN];
} ModelWalk;

static bool model_range(hwaddr start, uint64_t size, MemoryRegion *mr, hwaddr offset, bool readonly,
                        void *opaque)
{
    ModelWalk *walk = opaque;

    for (uint64_t i = 0; i < size; i++) {
        g_assert_cmpuint(start + i, <, MODEL_SPAN);
        g_assert_cmpint(walk->owner[start + i], ==, -1);
        for (int r = 0; r < MODEL_REGIONS; r++) {
            if (model[r].mr == mr) {
                walk->owner[start + i] = r;
            }
        }
        walk->offset[start + i] = offset + i;
    }
    return true;
}

static bool model_is_below(int r, int ancestor)
{
    for (; r >= 0 && r <= MODEL_REGIONS; r = r == MODEL_REGIONS ? -1 : model[r].parent) {
        if (r == ancestor) {
            return true;
        }
    }
    return false;
}

static void model_step(unsigned step)
{
    int r = g_test_rand_int_range(0, MODEL_REGIONS), p;
    ModelRegion *m = &model[r];

    switch (g_test_rand_int_range(0, 5)) {
    case 0:
        if (m->parent >= 0) {
            memory_region_unmap(model[m->parent].mr, m->mr);
            m->parent = -1;
        }
        break;
    case 1:
        m->enabled = !m->enabled;
        memory_region_set_enabled(m->mr, m->enabled);
        break;
    case 2:
        m->addr = g_test_rand_int_range(0, MODEL_SPAN);
        m->age = step;
        memory_region_set_address(m->mr, m->addr);
        break;
    default: /* a parent that is a container, and not below r; aliases point to lower numbers only */
        p = g_test_rand_int_range(0, MODEL_REGIONS + 1);
        if (m->parent < 0 && model[p].target < 0 && (p == MODEL_REGIONS || p > r) &&
            !model_is_below(p, r)) {
            m->parent = p;
            m->addr = g_test_rand_int_range(0, MODEL_SPAN);
            m->priority = g_test_rand_int_range(-1, 2);
            m->age = step;
            memory_region_map_overlap(model[p].mr, m->addr, m->mr, m->priority);
        }
    }
}

static void test_model(void)
{
    Probe probe = { 0 };
    MemoryRegion *root = memory_region_new_container(NULL, "root", MODEL_SPAN);
    AddressSpace *as = address_space_new(root, "test");

    model[MODEL_REGIONS] = (ModelRegion){ .mr = root,
                                          .parent = -1,
                                          .target = -1,
                                          .size = MODEL_SPAN,
                                          .enabled = true,
                                          .container = true };
    for (int r = 0; r < MODEL_REGIONS; r++) {
        ModelRegion *m = &model[r];

        *m = (ModelRegion){
            .parent = -1, .target = -1, .size = g_test_rand_int_range(1, 40), .enabled = true
        };
        m->container = r % 3 == 1;
        if (r % 3 == 2) {
            m->target = g_test_rand_int_range(0, r);
            m->alias_offset = g_test_rand_int_range(0, 20);
            m->mr = memory_region_new_alias(NULL, "alias", model[m->target].mr, m->alias_offset,
                                            m->size);
        } else if (m->container) {
            m->mr = memory_region_new_container(NULL, "container", m->size);
        } else {
            m->mr = memory_region_new_io(NULL, &byte_ops, &probe, "io", m->size);
        }
    }
    for (unsigned step = 1; step < 3000; step++) {
        ModelWalk walk;

        model_step(step);
        memset(walk.owner, -1, sizeof(walk.owner));
        address_space_foreach_range(as, model_range, &walk);
        for (int x = 0; x < MODEL_SPAN; x++) {
            int64_t offset = 0;
            int owner = model_find(MODEL_REGIONS, x, &offset);

            g_assert_cmpint(walk.owner[x], ==, owner);
            g_assert_true(owner < 0 || walk.offset[x] == offset);
        }
    }
    for (int r = 0; r < MODEL_REGIONS; r++) {
        memory_region_free(model[MODEL_REGIONS - 1 - r].mr);
    }
    address_space_free(as);
    memory_region_free(root);
    memory_settle();
}

/* ---- access -------------------------------------------------------------------------------------------- */

typedef struct Fixture {
    MemoryRegion *root, *io;
    AddressSpace *as;
    Probe probe;
} Fixture;

static void fixture_io(Fixture *f, const MemoryOps *ops, uint64_t size)
{
    memset(f, 0, sizeof(*f));
    f->probe.endian = ops->endian;
    for (unsigned i = 0; i < 64; i++) {
        f->probe.regs[i] = 0x10 + i;
    }
    f->root = memory_region_new_container(NULL, "root", UINT64_MAX);
    f->as = address_space_new(f->root, "test");
    f->io = memory_region_new_io(NULL, ops, &f->probe, "io", size);
    memory_region_map(f->root, 0x1000, f->io);
}

static void fixture_end(Fixture *f)
{
    memory_region_free(f->io);
    address_space_free(f->as);
    memory_region_free(f->root);
    memory_settle();
}

static void test_split_to_bytes(void)
{
    Fixture f;
    uint8_t buf[8];

    fixture_io(&f, &byte_ops, 64);
    g_assert_cmpint(address_space_read(f.as, 0x1004, buf, 4), ==, MEM_OK);
    g_assert_cmpuint(f.probe.reads, ==, 4);
    g_assert_cmpmem(buf, 4, "\x14\x15\x16\x17", 4);
    g_assert_cmpint(address_space_write(f.as, 0x1001, "\xaa\xbb\xcc", 3), ==, MEM_OK);
    g_assert_cmpuint(f.probe.writes, ==, 3);
    g_assert_cmpmem(f.probe.regs + 1, 3, "\xaa\xbb\xcc", 3);
    fixture_end(&f);
}

static void test_widen_to_dwords(void)
{
    Fixture f;
    uint8_t buf[8];

    fixture_io(&f, &dword_ops, 64);
    g_assert_cmpint(address_space_read(f.as, 0x1006, buf, 2), ==, MEM_OK);
    g_assert_cmphex(f.probe.last_offset, ==, 4);
    g_assert_cmpuint(f.probe.last_size, ==, 4);
    g_assert_cmpmem(buf, 2, "\x16\x17", 2);
    g_assert_cmpint(address_space_read(f.as, 0x1008, buf, 8), ==, MEM_OK);
    g_assert_cmpuint(f.probe.reads, ==, 3);
    g_assert_cmpmem(buf, 8, "\x18\x19\x1a\x1b\x1c\x1d\x1e\x1f", 8);
    g_assert_cmpint(address_space_write(f.as, 0x1002, "\x77", 1), ==, MEM_OK);
    g_assert_cmphex(f.probe.last_offset, ==, 0);
    g_assert_cmphex(f.probe.last_value, ==, 0x770000);
    fixture_end(&f);
}

/* Sizes that the region does not take: all ones, ignored, and the result says so. */
static void test_refused_sizes(void)
{
    Fixture f;
    uint8_t buf[4];

    fixture_io(&f, &strict_ops, 64);
    g_assert_cmpint(address_space_read(f.as, 0x1000, buf, 2), ==, MEM_DECODE_ERROR);
    g_assert_cmpmem(buf, 2, "\xff\xff", 2);
    g_assert_cmpint(address_space_write(f.as, 0x1002, buf, 2), ==, MEM_DECODE_ERROR);
    g_assert_cmpuint(f.probe.reads + f.probe.writes, ==, 0);
    g_assert_cmpint(address_space_read(f.as, 0x1000, buf, 4), ==, MEM_OK);
    g_assert_cmpmem(buf, 4, "\x10\x11\x12\x13", 4);
    fixture_end(&f);
}

static void test_big_endian(void)
{
    Fixture f;
    uint8_t buf[8];

    fixture_io(&f, &big_ops, 64);
    g_assert_cmpint(address_space_read(f.as, 0x1000, buf, 8), ==, MEM_OK);
    g_assert_cmpuint(f.probe.reads, ==, 1);
    g_assert_cmpmem(buf, 8, "\x10\x11\x12\x13\x14\x15\x16\x17", 8);
    g_assert_cmpint(address_space_write(f.as, 0x1004, "\x01\x02\x03\x04", 4), ==, MEM_OK);
    g_assert_cmphex(f.probe.last_value, ==, 0x01020304);
    fixture_end(&f);
}

/* One access runs over the end of a region into nothing, and beyond the last address. */
static void test_holes(void)
{
    Fixture f;
    uint8_t buf[16];

    fixture_io(&f, &byte_ops, 4);
    memset(buf, 0xee, sizeof(buf));
    g_assert_cmpint(address_space_read(f.as, 0x0ffe, buf, 8), ==, MEM_DECODE_ERROR);
    g_assert_cmpmem(buf, 8, "\0\0\x10\x11\x12\x13\0\0", 8);
    g_assert_cmpint(address_space_write(f.as, UINT64_MAX, buf, 1), ==, MEM_DECODE_ERROR);
    g_assert_cmpint(address_space_read(f.as, UINT64_MAX - 3, buf, 8), ==, MEM_DECODE_ERROR);
    g_assert_cmpint(address_space_read(f.as, 0x1000, buf, 0), ==, MEM_OK);
    fixture_end(&f);
}

/* A double word at 0xcf8 is one access, though 0xcf9 is somebody else's. */
static void test_neighbour(void)
{
    Probe one = { 0 }, two = { 0 };
    MemoryRegion *index = memory_region_new_io(NULL, &strict_ops, &one, "index", 4);
    MemoryRegion *reset = memory_region_new_io(NULL, &byte_ops, &two, "reset", 1);

    memory_region_map(system_io(), 0xcf8, index);
    memory_region_map_overlap(system_io(), 0xcf9, reset, 1);
    port_write(0xcf8, 0x80000010, 4);
    g_assert_cmphex(one.last_value, ==, 0x80000010);
    g_assert_cmpuint(two.writes, ==, 0);
    g_assert_cmphex(port_read(0xcf8, 4), ==, 0x80000010);
    port_write(0xcf9, 6, 1);
    g_assert_cmpuint(two.writes, ==, 1);
    g_assert_cmphex(port_read(0x1234, 2), ==, 0xffff);
    memory_region_free(index);
    memory_region_free(reset);
    memory_settle();
}

static void test_rom(void)
{
    MemoryRegion *root = memory_region_new_container(NULL, "root", UINT64_MAX);
    AddressSpace *as = address_space_new(root, "test");
    MemoryRegion *rom = memory_region_new_rom(NULL, "rom", 4 * KIB, NULL);
    uint8_t buf[4] = { 1, 2, 3, 4 };
    uint64_t len = 4;

    memory_region_map(root, 0, rom);
    g_assert_cmpint(address_space_write(as, 0, buf, 4), ==, MEM_OK);
    g_assert_cmpint(((uint8_t *)memory_region_ram_ptr(rom))[0], ==, 0);
    g_assert_null(dma_map(as, 0, &len, false));
    g_assert_cmpint(address_space_write_rom(as, 0, buf, 4), ==, MEM_OK);
    g_assert_cmpmem(memory_region_ram_ptr(rom), 4, buf, 4);
    memory_region_free(rom);
    address_space_free(as);
    memory_region_free(root);
    memory_settle();
}

static void test_memset(void)
{
    MemoryRegion *root = memory_region_new_container(NULL, "root", UINT64_MAX);
    AddressSpace *as = address_space_new(root, "test");
    MemoryRegion *ram = memory_new_ram("ram", 64 * KIB);
    uint8_t *host = memory_region_ram_ptr(ram);

    memory_region_map(root, 0, ram);
    g_assert_cmpint(address_space_memset(as, 5, 0xab, 10000), ==, MEM_OK);
    g_assert_cmphex(host[4], ==, 0);
    g_assert_cmphex(host[5], ==, 0xab);
    g_assert_cmphex(host[10004], ==, 0xab);
    g_assert_cmphex(host[10005], ==, 0);
    memory_region_free(ram);
    address_space_free(as);
    memory_region_free(root);
    memory_settle();
}

/* ---- readers in other threads ---------------------------------------------------------------------------- */

typedef struct Race {
    AddressSpace *as;
    int stop;
    unsigned reads;
} Race;

static gpointer race_reader(gpointer opaque)
{
    Race *race = opaque;
    unsigned n = 0;

    while (!g_atomic_int_get(&race->stop)) {
        uint64_t value = 1;

        /* Either region, or nothing: 0. Never something else. */
        address_space_read(race->as, 0x2000 + (n++ % 512) * 8, &value, 8);
        g_assert_true(value == 0 || value == UINT64_C(0x1111111111111111) ||
                      value == UINT64_C(0x2222222222222222));
    }
    __atomic_add_fetch(&race->reads, n, __ATOMIC_SEQ_CST);
    return NULL;
}

static void test_race(void)
{
    MemoryRegion *root = memory_region_new_container(NULL, "root", UINT64_MAX);
    Race race = { .as = address_space_new(root, "test") };
    GThread *threads[2];

    for (unsigned i = 0; i < 2; i++) {
        threads[i] = g_thread_new("reader", race_reader, &race);
    }
    for (unsigned i = 0; i < 400; i++) {
        g_autofree char *name = g_strdup_printf("ram%u", i);
        MemoryRegion *ram = memory_new_ram(name, 4 * KIB);

        memset(memory_region_ram_ptr(ram), i & 1 ? 0x11 : 0x22, 4 * KIB);
        memory_region_map(root, 0x2000, ram);
        memory_region_free(ram);
        main_loop_iterate(false);
    }
    g_atomic_int_set(&race.stop, 1);
    for (unsigned i = 0; i < 2; i++) {
        g_thread_join(threads[i]);
    }
    g_assert_cmpuint(race.reads, >, 0);
    address_space_free(race.as);
    memory_region_free(root);
    memory_settle();
}

/* Another thread reaches a device: it takes the big lock by itself. */
static gpointer io_from_thread(gpointer opaque)
{
    AddressSpace *as = opaque;
    uint8_t byte = 0;

    g_assert_false(bql_locked());
    g_assert_cmpint(address_space_read(as, 0x1003, &byte, 1), ==, MEM_OK);
    g_assert_false(bql_locked());
    return GUINT_TO_POINTER(byte);
}

static void test_io_thread(void)
{
    GThread *thread;
    Fixture f;

    fixture_io(&f, &byte_ops, 64);
    thread = g_thread_new("io", io_from_thread, f.as);
    bql_unlock();
    g_assert_cmphex(GPOINTER_TO_UINT(g_thread_join(thread)), ==, 0x13);
    bql_lock();
    fixture_end(&f);
}

/* ---- listeners ------------------------------------------------------------------------------------------- */

static GString *heard;

static void heard_add(MemoryListener *l, hwaddr start, uint64_t size, MemoryRegion *mr,
                      hwaddr offset, bool readonly)
{
    g_string_append_printf(heard, "+%" PRIx64 ",%" PRIx64 ",%s ", start, size,
                           memory_region_name(mr));
}

static void heard_del(MemoryListener *l, hwaddr start, uint64_t size, MemoryRegion *mr,
                      hwaddr offset, bool readonly)
{
    g_string_append_printf(heard, "-%" PRIx64 ",%" PRIx64 ",%s ", start, size,
                           memory_region_name(mr));
}

static void heard_commit(MemoryListener *l)
{
    g_string_append(heard, "! ");
}

#define HEARD(text)                            \
    do {                                       \
        g_assert_cmpstr(heard->str, ==, text); \
        g_string_truncate(heard, 0);           \
    } while (0)

static void test_listener(void)
{
    MemoryRegion *root = memory_region_new_container(NULL, "root", UINT64_MAX);
    AddressSpace *as = address_space_new(root, "test");
    MemoryRegion *a = memory_new_ram("a", 8 * KIB), *b = memory_new_ram("b", 4 * KIB);
    MemoryListener l = { .range_add = heard_add, .range_del = heard_del, .commit = heard_commit };

    heard = g_string_new(NULL);
    memory_region_map(root, 0, a);
    memory_listener_register(&l, as);
    HEARD("+0,2000,a ! ");
    memory_transaction_begin();
    memory_region_map_overlap(root, 0x1000, b, 1);
    memory_region_set_enabled(b, false);
    memory_transaction_commit();
    HEARD("");
    memory_transaction_begin();
    memory_region_set_enabled(b, true);
    memory_transaction_commit();
    HEARD("-0,2000,a +0,1000,a +1000,1000,b ! ");
    memory_listener_unregister(&l);
    HEARD("-0,1000,a -1000,1000,b ! ");
    g_string_free(heard, TRUE);
    memory_region_free(a);
    memory_region_free(b);
    address_space_free(as);
    memory_region_free(root);
    memory_settle();
}

/* Looking at the tree changes nothing: regions were freed by the second look. */
static void test_info_mtree_again(void)
{
    MemoryRegion *outer = memory_region_new_container(NULL, "outer", 64 * KIB);
    MemoryRegion *ram = memory_new_ram("mtree-ram", 4 * KIB);
    g_autoptr(GString) first = g_string_new(NULL);

    memory_region_map(system_memory(), 1 << 30, outer);
    memory_region_map(outer, 0, ram);
    hmp_run_line("info mtree", 0, first);
    g_assert_nonnull(strstr(first->str, "mtree-ram"));
    for (int i = 0; i < 3; i++) {
        g_autoptr(GString) again = g_string_new(NULL);

        hmp_run_line("info mtree", 0, again);
        g_assert_cmpstr(again->str, ==, first->str);
    }
    memory_region_unmap(outer, ram);
    memory_region_unmap(system_memory(), outer);
    memory_region_free(ram);
    memory_region_free(outer);
}

/* ---- events ------------------------------------------------------------------------------------------------- */

typedef struct EventLog {
    MemoryListener listener;
    GString *text;
} EventLog;

static void log_eventfd(MemoryListener *l, const MemoryEventFd *e)
{
    g_string_append_printf(((EventLog *)l)->text, "+%" PRIx64 "/%u ", e->address, e->size);
}

static void unlog_eventfd(MemoryListener *l, const MemoryEventFd *e)
{
    g_string_append_printf(((EventLog *)l)->text, "-%" PRIx64 "/%u ", e->address, e->size);
}

static void log_zone(MemoryListener *l, hwaddr start, uint64_t size)
{
    g_string_append_printf(((EventLog *)l)->text, "z%" PRIx64 "+%" PRIu64 " ", start, size);
}

static void unlog_zone(MemoryListener *l, hwaddr start, uint64_t size)
{
    g_string_append_printf(((EventLog *)l)->text, "y%" PRIx64 "+%" PRIu64 " ", start, size);
}

static void check_log(EventLog *log, const char *text)
{
    g_assert_cmpstr(log->text->str, ==, text);
    g_string_truncate(log->text, 0);
}

static unsigned event_writes;

static void count_write(void *opaque, hwaddr offset, uint64_t value, unsigned size)
{
    event_writes++;
}

/* A write that matches signals and does not reach the region; listeners follow the region around. */
static void test_eventfds(void)
{
    static const MemoryOps ops = { .write = count_write };
    MemoryRegion *root = memory_region_new_container(NULL, "root", 0x10000);
    MemoryRegion *mr = memory_region_new_io(NULL, &ops, NULL, "io", 0x100);
    AddressSpace *as = address_space_new(root, "events");
    EventLog log = { .listener = { .eventfd_add = log_eventfd,
                                   .eventfd_del = unlog_eventfd,
                                   .coalesce_add = log_zone,
                                   .coalesce_del = unlog_zone },
                     .text = g_string_new(NULL) };
    int fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    const uint8_t five[4] = { 5 };
    uint64_t n;

    memory_region_add_eventfd(mr, 0x10, 2, true, 5, fd);
    memory_region_map(root, 0x1000, mr);
    memory_listener_register(&log.listener, as);
    check_log(&log, "+1010/2 ");
    address_space_write(as, 0x1010, five, 4); /* another size */
    address_space_write(as, 0x1012, five, 2); /* another place */
    g_assert_cmpuint(event_writes, ==, 2);
    g_assert_cmpint(read(fd, &n, sizeof(n)), <, 0);
    address_space_write(as, 0x1010, five, 2);
    g_assert_cmpuint(event_writes, ==, 2);
    g_assert_cmpint(read(fd, &n, sizeof(n)), ==, sizeof(n));
    memory_region_set_address(mr, 0x2000);
    check_log(&log, "-1010/2 +2010/2 ");
    memory_region_add_coalescing(mr, 0x80, 0x80);
    check_log(&log, "z2080+128 ");
    memory_region_set_size(mr, 0x90);
    check_log(&log, "y2080+128 z2080+16 ");
    memory_region_unmap(root, mr);
    check_log(&log, "-2010/2 y2080+16 ");
    memory_region_map(root, 0, mr);
    check_log(&log, "+10/2 z80+16 ");
    memory_region_del_eventfd(mr, 0x10, 2, true, 5, fd);
    memory_region_clear_coalescing(mr);
    check_log(&log, "-10/2 y80+16 ");
    memory_listener_unregister(&log.listener);
    address_space_free(as);
    memory_region_free(mr);
    memory_region_free(root);
    g_string_free(log.text, TRUE);
    close(fd);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    main_loop_init();
    memory_init();
    g_test_add_func("/memory/overlap", test_overlap);
    g_test_add_func("/memory/alias", test_alias);
    g_test_add_func("/memory/whole-space", test_whole_space);
    g_test_add_func("/memory/flat-view-equals-model", test_model);
    g_test_add_func("/memory/split-to-bytes", test_split_to_bytes);
    g_test_add_func("/memory/widen-to-dwords", test_widen_to_dwords);
    g_test_add_func("/memory/refused-sizes", test_refused_sizes);
    g_test_add_func("/memory/big-endian", test_big_endian);
    g_test_add_func("/memory/holes", test_holes);
    g_test_add_func("/memory/neighbour-does-not-split", test_neighbour);
    g_test_add_func("/memory/rom", test_rom);
    g_test_add_func("/memory/memset", test_memset);
    g_test_add_func("/memory/readers-race-with-changes", test_race);
    g_test_add_func("/memory/io-from-another-thread", test_io_thread);
    g_test_add_func("/memory/listener", test_listener);
    g_test_add_func("/memory/eventfds", test_eventfds);
    g_test_add_func("/memory/info-mtree-again", test_info_mtree_again);
    return g_test_run();
}
