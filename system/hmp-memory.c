/* SPDX-License-Identifier: GPL-2.0-or-later */
/* HMP commands that look at guest memory: x, xp, sum, info mtree, info ramblock. Layout as stock's. */
#include "util/osdep.h"

#include "util/bytes.h"
#include "monitor/hmp.h"
#include "memory-internal.h"

/* ---- x and xp ------------------------------------------------------------------------------------------ */

typedef struct DumpFormat {
    char format;
    unsigned size;      /* bytes of one value */
    unsigned per_line;  /* bytes */
    unsigned width;     /* digits of the largest value */
} DumpFormat;

static unsigned unit_size(char unit)
{
    switch (unit) {
    case 'b':
        return 1;
    case 'h':
        return 2;
    case 'g':
        return 8;
    default:
        return 4;
    }
}

static unsigned digits(char format, unsigned size)
{
    static const unsigned decimal[] = { [1] = 3, [2] = 5, [4] = 10, [8] = 20 };

    switch (format) {
    case 'o':
        return (size * 8 + 2) / 3;
    case 'x':
        return size * 2;
    case 'u':
    case 'd':
        return decimal[size];
    default:
        return 0;
    }
}

static int64_t sign_extend(uint64_t value, unsigned size)
{
    unsigned shift = 64 - size * 8;

    return (int64_t)(value << shift) >> shift;
}

static void print_char(Hmp *hmp, unsigned char c)
{
    static const char escapes[] = "\a\b\f\n\r\t\v\\'", letters[] = "abfnrtv\\'";
    const char *p = c ? strchr(escapes, c) : NULL;

    if (c == '\n' || c == '\r' || c == '\\' || c == '\'') {
        hmp_printf(hmp, "'\\%c'", letters[p - escapes]);
    } else if (c >= 32 && c <= 126) {
        hmp_printf(hmp, "'%c'", c);
    } else {
        hmp_printf(hmp, "'\\x%02x'", c);
    }
}

static void print_value(Hmp *hmp, const DumpFormat *f, uint64_t value)
{
    hmp_puts(hmp, " ");
    switch (f->format) {
    case 'o':
        hmp_printf(hmp, "%#*" PRIo64, (int)f->width, value);
        break;
    case 'x':
        hmp_printf(hmp, "0x%0*" PRIx64, (int)f->width, value);
        break;
    case 'u':
        hmp_printf(hmp, "%*" PRIu64, (int)f->width, value);
        break;
    case 'd':
        hmp_printf(hmp, "%*" PRId64, (int)f->width, sign_extend(value, f->size));
        break;
    default:
        print_char(hmp, value);
    }
}

static uint64_t load_value(const uint8_t *p, unsigned size)
{
    uint8_t buf[8] = { 0 };

    memcpy(buf, p, size);
    return load_le64(buf);
}

/* Lines until count values are out or memory ends. */
static MonitorTranslation (*translation)(int64_t cpu_index, uint64_t linear, uint64_t *physical);

void memory_set_monitor_translation(MonitorTranslation (*translate)(int64_t cpu_index, uint64_t linear,
                                                                    uint64_t *physical))
{
    translation = translate;
}

/* Bytes of guest memory; by linear address (translated page by page) or physical. */
static bool read_guest(const Hmp *hmp, bool linear, uint64_t addr, uint8_t *buf, unsigned len)
{
    while (len) {
        unsigned n = MIN(len, GUEST_PAGE_SIZE - (addr & (GUEST_PAGE_SIZE - 1)));
        uint64_t physical = addr;

        if (linear && translation(hmp_cpu_index(hmp), addr, &physical) != TRANSLATION_DONE) {
            return false;
        }
        if (address_space_read(address_space_memory, physical, buf, n) & MEM_DECODE_ERROR) {
            return false;
        }
        addr += n;
        buf += n;
        len -= n;
    }
    return true;
}

static void dump(Hmp *hmp, const DumpFormat *f, bool linear, uint64_t addr, uint64_t bytes)
{
    while (bytes) {
        unsigned n = MIN(bytes, f->per_line);
        uint8_t line[16];

        hmp_printf(hmp, "%016" PRIx64 ":", addr);
        if (!read_guest(hmp, linear, addr, line, n)) {
            hmp_puts(hmp, " Cannot access memory\n");
            return;
        }
        for (unsigned i = 0; i < n; i += f->size) {
            print_value(hmp, f, load_value(line + i, f->size));
        }
        hmp_puts(hmp, "\n");
        addr += n;
        bytes -= n;
    }
}

static void dump_command(Hmp *hmp, const HmpArgs *args, bool linear)
{
    DumpFormat f = { 0 };
    unsigned count;
    uint64_t bytes;
    char unit;

    hmp_arg_format(args, "fmt", &count, &f.format, &unit);
    if (f.format == 'i') {
        hmp_puts(hmp, "disassembly (format 'i') is not available in this build\n");
        return;
    }
    f.size = unit_size(unit);
    bytes = (uint64_t)count * f.size;
    f.per_line = f.size == 1 ? 8 : 16;
    if (f.format == 'c') {
        f.size = 1;
    }
    f.width = digits(f.format, f.size);
    dump(hmp, &f, linear, hmp_arg_int(args, "addr", 0), bytes);
}

static void hmp_xp(Hmp *hmp, const HmpArgs *args)
{
    dump_command(hmp, args, false);
}

/* Virtual addresses are a processor's. */
static void hmp_x(Hmp *hmp, const HmpArgs *args)
{
    uint64_t physical;

    if (!translation || translation(hmp_cpu_index(hmp), 0, &physical) == TRANSLATION_NO_CPU) {
        hmp_puts(hmp, "Can not dump without CPU\n");
        return;
    }
    dump_command(hmp, args, true);
}

/* The checksum of BSD's sum(1) over physical memory. */
static void hmp_sum(Hmp *hmp, const HmpArgs *args)
{
    uint64_t addr = hmp_arg_int(args, "start", 0), size = hmp_arg_int(args, "size", 0);
    uint16_t sum = 0;

    for (uint64_t i = 0; i < size; i++) {
        uint8_t byte = 0;

        address_space_read(address_space_memory, addr + i, &byte, 1);
        sum = (uint16_t)(sum >> 1 | sum << 15) + byte;
    }
    hmp_printf(hmp, "%05u\n", sum);
}

/* ---- info mtree ---------------------------------------------------------------------------------------- */

static bool region_is_ram(const MemoryRegion *mr)
{
    while (mr->kind == MEMORY_REGION_ALIAS) {
        mr = mr->target;
    }
    return mr->kind == MEMORY_REGION_RAM;
}

static bool region_is_rom(const MemoryRegion *mr)
{
    bool readonly = mr->readonly;

    while (mr->kind == MEMORY_REGION_ALIAS) {
        mr = mr->target;
        readonly |= mr->readonly;
    }
    return readonly;
}

/* ROM whose writes mean something. */
static bool region_is_romd(const MemoryRegion *mr)
{
    while (mr->kind == MEMORY_REGION_ALIAS) {
        mr = mr->target;
    }
    return mr->kind == MEMORY_REGION_RAM && mr->ops;
}

static const char *kind_text(const MemoryRegion *mr, bool readonly)
{
    return !region_is_ram(mr) ? "i/o" : region_is_romd(mr) ? "romd" : readonly ? "rom" : "ram";
}

static uint64_t last_of(uint64_t first, uint64_t size)
{
    return size == UINT64_MAX ? UINT64_MAX : first + size - 1;
}

/* By address, then the one that wins. */
static gint compare_regions(gconstpointer a, gconstpointer b)
{
    const MemoryRegion *x = *(MemoryRegion *const *)a, *y = *(MemoryRegion *const *)b;

    if (x->addr != y->addr) {
        return x->addr < y->addr ? -1 : 1;
    }
    return x->priority == y->priority ? 0 : x->priority > y->priority ? -1 : 1;
}

/* Regions that aliases show are remembered, to be printed on their own. */
static void print_region(Hmp *hmp, const MemoryRegion *mr, unsigned level, uint64_t base, GPtrArray *targets)
{
    g_autoptr(GPtrArray) subs = NULL;
    uint64_t first = base + mr->addr;

    if (!mr->enabled) {
        return;
    }
    hmp_printf(hmp, "%*s%016" PRIx64 "-%016" PRIx64 " (prio %d, %s): ", (int)(2 * level), "", first,
               last_of(first, mr->size), mr->priority, kind_text(mr, region_is_rom(mr)));
    if (mr->kind == MEMORY_REGION_ALIAS) {
        hmp_printf(hmp, "alias %s @%s %016" PRIx64 "-%016" PRIx64 "\n", memory_region_name(mr),
                   memory_region_name(mr->target), mr->target_offset, last_of(mr->target_offset, mr->size));
        if (!g_ptr_array_find(targets, mr->target, NULL)) {
            g_ptr_array_add(targets, mr->target);
        }
    } else {
        hmp_printf(hmp, "%s\n", memory_region_name(mr));
    }
    if (mr->subs) {
        subs = g_ptr_array_new(); /* a copy would drop references that it does not have */
        g_ptr_array_extend(subs, mr->subs, NULL, NULL);
        g_ptr_array_sort(subs, compare_regions);
        for (unsigned i = 0; i < subs->len; i++) {
            print_region(hmp, g_ptr_array_index(subs, i), level + 1, first, targets);
        }
    }
}

static void print_tree(Hmp *hmp)
{
    g_autoptr(GPtrArray) targets = g_ptr_array_new();

    for (unsigned i = 0; i < memory_address_spaces->len; i++) {
        AddressSpace *as = g_ptr_array_index(memory_address_spaces, i);

        hmp_printf(hmp, "address-space: %s\n", as->name);
        print_region(hmp, as->root, 1, -as->root->addr, targets);
        hmp_puts(hmp, "\n");
    }
    for (unsigned i = 0; i < targets->len; i++) { /* grows meanwhile */
        MemoryRegion *mr = g_ptr_array_index(targets, i);

        hmp_printf(hmp, "memory-region: %s\n", memory_region_name(mr));
        print_region(hmp, mr, 1, 0, targets);
        hmp_puts(hmp, "\n");
    }
}

static bool print_range(hwaddr start, uint64_t size, MemoryRegion *mr, hwaddr offset, bool readonly,
                        void *opaque)
{
    hmp_printf(opaque, "  %016" PRIx64 "-%016" PRIx64 " (prio %d, %s): %s", start, last_of(start, size),
               mr->priority, kind_text(mr, readonly), memory_region_name(mr));
    if (offset) {
        hmp_printf(opaque, " @%016" PRIx64, offset);
    }
    hmp_puts(opaque, "\n");
    return true;
}

static void print_views(Hmp *hmp)
{
    for (unsigned i = 0; i < memory_address_spaces->len; i++) {
        AddressSpace *as = g_ptr_array_index(memory_address_spaces, i);
        const char *root = memory_region_name(as->root);
        bool empty = !as->view->n;

        hmp_printf(hmp, "FlatView #%u\n AS \"%s\", root: %s\n Root memory region: %s\n", i, as->name, root,
                   empty ? "(none)" : root);
        if (empty) {
            hmp_puts(hmp, "  No rendered FlatView\n");
        }
        address_space_foreach_range(as, print_range, hmp);
        hmp_puts(hmp, "\n");
    }
}

static void hmp_info_mtree(Hmp *hmp, const HmpArgs *args)
{
    if (hmp_arg_has(args, "flatview")) {
        print_views(hmp);
    } else {
        print_tree(hmp);
    }
}

static bool print_block(RamBlock *block, void *opaque)
{
    hmp_printf(opaque, "%24s %6zu KiB  0x%016" PRIx64 " 0x%016" PRIx64 " 0x%016" PRIx64 "\n", block->idstr,
               block->page_size / 1024, block->offset, block->size, block->max_size);
    return true;
}

static void hmp_info_ramblock(Hmp *hmp, const HmpArgs *args)
{
    hmp_printf(hmp, "%24s %8s  %18s %18s %18s\n", "Block Name", "PSize", "Offset", "Used", "Total");
    ram_foreach(print_block, hmp);
}

static const HmpCommand memory_commands[] = {
    { "x", "fmt:/,addr:i", "/fmt addr", "virtual memory dump starting at 'addr'", hmp_x },
    { "xp", "fmt:/,addr:i", "/fmt addr", "physical memory dump starting at 'addr'", hmp_xp },
    { "sum", "start:i,size:i", "addr size", "compute the checksum of a memory region", hmp_sum },
    { "info mtree", "flatview:-f", "[-f]", "show memory tree (-f: dump flat view for address spaces)",
      hmp_info_mtree, true },
    { "info ramblock", "", "", "Display system ramblock information", hmp_info_ramblock, true },
};
HMP_REGISTER(memory_commands)
