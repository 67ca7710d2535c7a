/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The window A0000…BFFFF of the VGA: the graphics controller between CPU and planes. */
#include "util/osdep.h"

#include "util/bytes.h"
#include "util/trace.h"
#include "vga.h"

TRACE_EVENT(vga_vram_read)
TRACE_EVENT(vga_vram_write)

/* A byte to all four planes. */
#define ALL_PLANES(byte) ((uint32_t)(uint8_t)(byte)*0x01010101u)

/* One bit a plane → ones in the planes' bytes. */
static const uint32_t plane_bits[16] = {
    0x00000000, 0x000000ff, 0x0000ff00, 0x0000ffff, 0x00ff0000, 0x00ff00ff, 0x00ffff00, 0x00ffffff,
    0xff000000, 0xff0000ff, 0xff00ff00, 0xff00ffff, 0xffff0000, 0xffff00ff, 0xffffff00, 0xffffffff,
};

/* In Bochs VBE modes of a byte a pixel and more all planes are open and chained, whatever the sequencer says. */
static bool chained(const VgaCore *s)
{
    return s->sr[VGA_SR_MEMORY_MODE] & VGA_MEMORY_MODE_CHAIN4 ||
           (vbe_enabled(s) && s->vbe_regs[VBE_BPP] > 4);
}

static unsigned map_mask(const VgaCore *s)
{
    return vbe_enabled(s) && s->vbe_regs[VBE_BPP] > 4 ? 0xf : s->sr[VGA_SR_MAP_MASK] & 0xf;
}

/* The window's part that GR6 chooses: address within it, or false. */
static bool window_address(const VgaCore *s, uint32_t *addr)
{
    switch (s->gr[VGA_GR_MISC] >> 2 & 3) {
    case 0:
        break;
    case 1:
        if (*addr >= VGA_BANK_SIZE) {
            return false;
        }
        *addr += s->bank_offset;
        break;
    case 2:
        *addr -= 0x10000;
        return *addr < 0x8000;
    default:
        *addr -= 0x18000;
        return *addr < 0x8000;
    }
    return true;
}

/* Odd/even: the lowest bit of the address is the plane. Where the byte is in vram (V1), before V2. */
static uint32_t odd_even_offset(uint32_t addr, unsigned plane)
{
    return (addr & ~1u) << 1 | plane;
}

static uint8_t read_planes(VgaCore *s, uint32_t addr)
{
    uint32_t differs;

    memcpy(&s->latch, s->vram_ptr + ((addr << 2) & (s->vram_size - 1)), 4);
    s->latch = GUINT32_FROM_LE(s->latch);
    if (!(s->gr[VGA_GR_MODE] & VGA_GR_MODE_READ1)) {
        return s->latch >> (s->gr[VGA_GR_READ_MAP] & 3) * 8;
    }
    differs = (s->latch ^ plane_bits[s->gr[VGA_GR_COLOR_COMPARE] & 0xf]) &
              plane_bits[s->gr[VGA_GR_DONT_CARE] & 0xf];
    differs |= differs >> 16;
    differs |= differs >> 8;
    return ~differs;
}

uint8_t vga_window_read(VgaCore *s, uint32_t addr)
{
    uint32_t mask = s->vram_size - 1;

    if (!window_address(s, &addr)) {
        return 0xff;
    }
    if (chained(s)) {
        return s->vram_ptr[addr & mask];
    }
    if (s->gr[VGA_GR_MODE] & VGA_GR_MODE_ODD_EVEN) {
        return s->vram_ptr[odd_even_offset(addr, (s->gr[VGA_GR_READ_MAP] & 2) | (addr & 1)) & mask];
    }
    return read_planes(s, addr);
}

static void put_byte(VgaCore *s, uint32_t offset, uint8_t value)
{
    offset &= s->vram_size - 1;
    s->vram_ptr[offset] = value;
    memory_region_set_dirty(s->vram, offset, 1);
}

/* What the four planes are to get, and which bits of each: write modes 0 to 3. */
static uint32_t write_mode_value(const VgaCore *s, uint8_t value, uint32_t *bits)
{
    unsigned mode = s->gr[VGA_GR_MODE] & 3, rotate = s->gr[VGA_GR_ROTATE] & 7;
    uint8_t rotated = value >> rotate | value << (8 - rotate);
    uint32_t set_reset = plane_bits[s->gr[VGA_GR_SET_RESET] & 0xf];
    uint32_t enable = plane_bits[s->gr[VGA_GR_ENABLE_SET_RESET] & 0xf];

    *bits = ALL_PLANES(s->gr[VGA_GR_BIT_MASK]);
    switch (mode) {
    case 0:
        return (ALL_PLANES(rotated) & ~enable) | (set_reset & enable);
    case 2:
        return plane_bits[value & 0xf];
    default: /* 3 */
        *bits &= ALL_PLANES(rotated);
        return set_reset;
    }
}

static void write_planes(VgaCore *s, uint32_t addr, uint8_t value)
{
    uint32_t offset = (addr << 2) & (s->vram_size - 1);
    uint32_t open = plane_bits[map_mask(s)], bits, planes, old;

    if ((s->gr[VGA_GR_MODE] & 3) == 1) {
        planes = s->latch;
    } else {
        planes = write_mode_value(s, value, &bits);
        switch (s->gr[VGA_GR_ROTATE] >> 3 & 3) {
        case 1:
            planes &= s->latch;
            break;
        case 2:
            planes |= s->latch;
            break;
        case 3:
            planes ^= s->latch;
            break;
        default:
            break;
        }
        planes = (planes & bits) | (s->latch & ~bits);
    }
    memcpy(&old, s->vram_ptr + offset, 4);
    planes = (GUINT32_FROM_LE(old) & ~open) | (planes & open);
    planes = GUINT32_TO_LE(planes);
    memcpy(s->vram_ptr + offset, &planes, 4);
    memory_region_set_dirty(s->vram, offset, 4);
}

void vga_window_write(VgaCore *s, uint32_t addr, uint8_t value)
{
    if (!window_address(s, &addr)) {
        return;
    }
    if (chained(s)) {
        if (map_mask(s) & 1u << (addr & 3)) {
            put_byte(s, addr, value);
        }
    } else if (s->gr[VGA_GR_MODE] & VGA_GR_MODE_ODD_EVEN) {
        unsigned plane = (s->gr[VGA_GR_READ_MAP] & 2) | (addr & 1);

        if (map_mask(s) & 1u << plane) {
            put_byte(s, odd_even_offset(addr, plane), value);
        }
    } else {
        write_planes(s, addr, value);
    }
}

/* ---- regions --------------------------------------------------------------------------------------------- */

static uint64_t window_read(void *opaque, hwaddr offset, unsigned size)
{
    uint8_t value = vga_window_read(opaque, offset);

    trace(vga_vram_read, "0x%x = 0x%x", (unsigned)offset, value);
    return value;
}

static void window_write(void *opaque, hwaddr offset, uint64_t value, unsigned size)
{
    trace(vga_vram_write, "0x%x = 0x%x", (unsigned)offset, (unsigned)value);
    vga_window_write(opaque, offset, value);
}

static const MemoryOps window_ops = {
    .read = window_read,
    .write = window_write,
    .valid = { .min_size = 1, .max_size = 8, .unaligned = true },
    .impl = { .min_size = 1, .max_size = 1 },
};

void vga_window_map(VgaCore *s, Object *owner, MemoryRegion *space)
{
    s->window = memory_region_new_io(owner, &window_ops, s, "vga-lowmem", VGA_WINDOW_SIZE);
    s->chain4 = memory_region_new_alias(owner, "vga.chain4", s->vram, 0, VGA_BANK_SIZE);
    memory_region_set_enabled(s->chain4, false);
    memory_transaction_begin();
    memory_region_map_overlap(space, VGA_WINDOW_BASE, s->window, 1);
    memory_region_map_overlap(space, VGA_WINDOW_BASE, s->chain4, 2);
    vga_window_update(s);
    memory_transaction_commit();
}

/* While the CPU sees bytes of vram one after the other it gets them without us. */
void vga_window_update(VgaCore *s)
{
    bool plain = chained(s) && map_mask(s) == 0xf && (s->gr[VGA_GR_MISC] >> 2 & 3) == 1;

    if (!s->chain4) {
        return;
    }
    memory_transaction_begin();
    memory_region_set_alias_offset(s->chain4, plain ? s->bank_offset : 0);
    memory_region_set_enabled(s->chain4, plain);
    memory_transaction_commit();
}
