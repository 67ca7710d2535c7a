/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The DISPI interface of Bochs: modes of any size, up to 32 bits a pixel. */
#include "util/osdep.h"

#include "util/trace.h"
#include "vga.h"

TRACE_EVENT(vga_vbe_read)
TRACE_EVENT(vga_vbe_write)

bool vbe_enabled(const VgaCore *s)
{
    return s->vbe_regs[VBE_ENABLE] & VBE_ENABLED;
}

static unsigned bits_per_pixel(const VgaCore *s)
{
    return s->vbe_regs[VBE_BPP] == 15 ? 16 : s->vbe_regs[VBE_BPP];
}

/* Depth, size, virtual width: what does not fit is made to. */
static void check_size(VgaCore *s)
{
    uint16_t *r = s->vbe_regs;
    unsigned bits;

    if (r[VBE_BPP] != 4 && r[VBE_BPP] != 15 && r[VBE_BPP] != 16 && r[VBE_BPP] != 24 &&
        r[VBE_BPP] != 32) {
        r[VBE_BPP] = 8;
    }
    bits = bits_per_pixel(s);
    r[VBE_XRES] = CLAMP(r[VBE_XRES] & ~7, 8, VBE_MAX_XRES);
    r[VBE_VIRT_WIDTH] = CLAMP(r[VBE_VIRT_WIDTH] & ~7, r[VBE_XRES], VBE_MAX_XRES);
    s->vbe_line_offset = r[VBE_VIRT_WIDTH] * bits / 8;
    r[VBE_YRES] = CLAMP(r[VBE_YRES], 1, MIN(VBE_MAX_YRES, s->vram_size / s->vbe_line_offset));
    r[VBE_VIRT_HEIGHT] = s->vram_size / s->vbe_line_offset;
}

static uint64_t first_byte(const VgaCore *s)
{
    return (uint64_t)s->vbe_regs[VBE_X_OFFSET] * bits_per_pixel(s) / 8 +
           (uint64_t)s->vbe_regs[VBE_Y_OFFSET] * s->vbe_line_offset;
}

/* An offset beyond the memory is none: that of the lines goes first. */
static void check_offset(VgaCore *s)
{
    uint64_t shown = (uint64_t)s->vbe_regs[VBE_YRES] * s->vbe_line_offset;

    if (first_byte(s) + shown > s->vram_size) {
        s->vbe_regs[VBE_Y_OFFSET] = 0;
    }
    if (first_byte(s) + shown > s->vram_size) {
        s->vbe_regs[VBE_X_OFFSET] = 0;
    }
    s->vbe_start_addr = first_byte(s) / 4;
}

void vbe_check(VgaCore *s)
{
    if (vbe_enabled(s)) {
        check_size(s);
        check_offset(s);
    }
}

/* The VGA registers that describe the same mode, for those who look at them. */
static void set_vga_registers(VgaCore *s)
{
    unsigned last = s->vbe_regs[VBE_YRES] - 1;

    s->gr[VGA_GR_MISC] = (s->gr[VGA_GR_MISC] & ~0x0c) | 0x04 | VGA_GR_MISC_GRAPHICS;
    s->gr[VGA_GR_MODE] = (s->gr[VGA_GR_MODE] & ~0x60) | (s->vbe_regs[VBE_BPP] == 4 ? 0 : 0x40);
    s->cr[VGA_CR_MODE] |= 3;
    s->cr[VGA_CR_OFFSET] = s->vbe_line_offset >> 3;
    s->cr[VGA_CR_H_DISPLAY] = (s->vbe_regs[VBE_XRES] >> 3) - 1;
    s->cr[VGA_CR_V_DISPLAY] = last;
    s->cr[VGA_CR_OVERFLOW] =
        (s->cr[VGA_CR_OVERFLOW] & ~0x42) | (last >> 7 & 0x02) | (last >> 3 & 0x40);
    s->cr[VGA_CR_LINE_COMPARE] = 0xff;
    s->cr[VGA_CR_OVERFLOW] |= 0x10;
    s->cr[VGA_CR_MAX_SCAN] = (s->cr[VGA_CR_MAX_SCAN] & ~0x9f) | 0x40;
}

static void write_enable(VgaCore *s, uint16_t value)
{
    bool was = vbe_enabled(s);

    s->vbe_regs[VBE_ENABLE] = value;
    if (value & VBE_ENABLED && !was) {
        s->vbe_regs[VBE_VIRT_WIDTH] = 0;
        s->vbe_regs[VBE_X_OFFSET] = 0;
        s->vbe_regs[VBE_Y_OFFSET] = 0;
        vbe_check(s);
        if (!(value & VBE_NO_CLEAR)) {
            memset(s->vram_ptr, 0, s->vbe_regs[VBE_YRES] * s->vbe_line_offset);
            memory_region_set_dirty(s->vram, 0, s->vbe_regs[VBE_YRES] * s->vbe_line_offset);
        }
        set_vga_registers(s);
    } else if (!(value & VBE_ENABLED)) {
        s->bank_offset = 0;
    }
}

uint16_t vbe_read(VgaCore *s)
{
    unsigned index = s->vbe_index;
    uint16_t value;

    if (index < VBE_REGS) {
        value = s->vbe_regs[index];
        if (s->vbe_regs[VBE_ENABLE] & VBE_GET_CAPS) {
            value = index == VBE_XRES   ? VBE_MAX_XRES
                    : index == VBE_YRES ? VBE_MAX_YRES
                    : index == VBE_BPP  ? VBE_MAX_BPP
                                        : value;
        }
    } else {
        value = index == VBE_MEMORY_64K ? s->vram_size / VGA_BANK_SIZE : 0;
    }
    trace(vga_vbe_read, "index 0x%x, val 0x%x", index, value);
    return value;
}

void vbe_write(VgaCore *s, uint16_t value)
{
    trace(vga_vbe_write, "index 0x%x, val 0x%x", s->vbe_index, value);
    switch (s->vbe_index) {
    case VBE_ID:
        if (value >= VBE_ID0 && value <= VBE_ID5) {
            s->vbe_regs[VBE_ID] = value;
        }
        break;
    case VBE_XRES:
    case VBE_YRES:
    case VBE_BPP:
    case VBE_VIRT_WIDTH:
    case VBE_X_OFFSET:
    case VBE_Y_OFFSET:
        s->vbe_regs[s->vbe_index] = value;
        vbe_check(s);
        break;
    case VBE_BANK:
        s->vbe_regs[VBE_BANK] = value & s->vbe_bank_mask;
        s->bank_offset = s->vbe_regs[VBE_BANK] * VGA_BANK_SIZE;
        break;
    case VBE_ENABLE:
        write_enable(s, value);
        break;
    default:
        return;
    }
    vga_window_update(s);
}
