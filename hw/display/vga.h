/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The VGA core that the cards share: registers, memory, what the screen shows.
 *
 * Documents: IBM VGA technical reference as collected by FreeVGA; "VBE DISPI" interface of Bochs.
 *
 * V1  Video memory is an array of 32-bit words, one per address of the four planes: plane p is byte p. In chain-4
 *     modes, and in Bochs VBE modes, CPU addresses count its bytes. (So the content travels between programs.)
 * V2  vram_size is a power of two. Every address that registers make is taken modulo vram_size, so no register
 *     value reaches outside.
 * V3  Drawing has no side effect on registers or video memory.
 */
#ifndef HW_DISPLAY_VGA_H
#define HW_DISPLAY_VGA_H

#include "hw/core/device.h"
#include "system/memory.h"
#include "ui/console.h"
#include "vmstate/vmstate.h"

/* Sequencer, 3C4 */
enum {
    VGA_SR_CLOCKING = 1,
    VGA_SR_MAP_MASK = 2,
    VGA_SR_FONTS = 3,
    VGA_SR_MEMORY_MODE = 4,
    VGA_CLOCKING_8_DOTS = 1 << 0,
    VGA_CLOCKING_HALF = 1 << 3,
    VGA_CLOCKING_SCREEN_OFF = 1 << 5,
    VGA_MEMORY_MODE_CHAIN4 = 1 << 3,
};

/* Graphics controller, 3CE */
enum {
    VGA_GR_SET_RESET = 0,
    VGA_GR_ENABLE_SET_RESET = 1,
    VGA_GR_COLOR_COMPARE = 2,
    VGA_GR_ROTATE = 3,
    VGA_GR_READ_MAP = 4,
    VGA_GR_MODE = 5,
    VGA_GR_MISC = 6,
    VGA_GR_DONT_CARE = 7,
    VGA_GR_BIT_MASK = 8,
    VGA_GR_MODE_READ1 = 1 << 3,
    VGA_GR_MODE_ODD_EVEN = 1 << 4,
    VGA_GR_MISC_GRAPHICS = 1 << 0,
};

/* CRT controller, 3D4 or 3B4 */
enum {
    VGA_CR_H_DISPLAY = 0x01,
    VGA_CR_OVERFLOW = 0x07,
    VGA_CR_PRESET_ROW = 0x08,
    VGA_CR_MAX_SCAN = 0x09,
    VGA_CR_CURSOR_START = 0x0a,
    VGA_CR_CURSOR_END = 0x0b,
    VGA_CR_START_HIGH = 0x0c,
    VGA_CR_START_LOW = 0x0d,
    VGA_CR_CURSOR_HIGH = 0x0e,
    VGA_CR_CURSOR_LOW = 0x0f,
    VGA_CR_V_SYNC_END = 0x11,
    VGA_CR_V_DISPLAY = 0x12,
    VGA_CR_OFFSET = 0x13,
    VGA_CR_UNDERLINE = 0x14,
    VGA_CR_MODE = 0x17,
    VGA_CR_LINE_COMPARE = 0x18,
};

/* Attribute controller, 3C0 */
enum {
    VGA_AR_MODE = 0x10,
    VGA_AR_PLANE_ENABLE = 0x12,
    VGA_AR_PANNING = 0x13,
    VGA_AR_COLOR_SELECT = 0x14,
    VGA_AR_MODE_LINE_GRAPHICS = 1 << 2,
    VGA_AR_MODE_BLINK = 1 << 3,
    VGA_AR_MODE_PAN_COMPATIBLE = 1 << 5,
    VGA_AR_MODE_P54 = 1 << 7,
    VGA_AR_INDEX_SHOW = 1 << 5, /* of the index: the screen shows something */
};

/* Bochs VBE */
enum {
    VBE_ID = 0,
    VBE_XRES = 1,
    VBE_YRES = 2,
    VBE_BPP = 3,
    VBE_ENABLE = 4,
    VBE_BANK = 5,
    VBE_VIRT_WIDTH = 6,
    VBE_VIRT_HEIGHT = 7,
    VBE_X_OFFSET = 8,
    VBE_Y_OFFSET = 9,
    VBE_REGS = 10,
    VBE_MEMORY_64K = 10, /* read only, not a stored one */
    VBE_ID0 = 0xb0c0,
    VBE_ID5 = 0xb0c5,
    VBE_ENABLED = 0x01,
    VBE_GET_CAPS = 0x02,
    VBE_8BIT_DAC = 0x20,
    VBE_NO_CLEAR = 0x80,
    VBE_MAX_XRES = 16000,
    VBE_MAX_YRES = 12000,
    VBE_MAX_BPP = 32,
};

#define VGA_WINDOW_BASE 0xa0000
#define VGA_WINDOW_SIZE 0x20000
#define VGA_BANK_SIZE 0x10000
#define VGA_MAX_VRAM_MB 512

typedef struct VgaCore {
    /* What the stream has, with its names. */
    uint32_t latch;
    uint8_t sr_index, sr[8];
    uint8_t gr_index, gr[16];
    uint8_t ar_index, ar[21];
    int32_t ar_flip_flop;
    uint8_t cr_index, cr[256];
    uint8_t msr, fcr, st00, st01;
    uint8_t dac_state; /* 0: writing, 3: reading, as port 3C7 says */
    uint8_t dac_sub_index, dac_read_index, dac_write_index;
    uint8_t dac_cache[3];
    uint8_t palette[768]; /* as written: six bits a colour, eight with VBE_8BIT_DAC */
    int32_t bank_offset;
    uint8_t is_vbe_vmstate;
    uint16_t vbe_index, vbe_regs[VBE_REGS];
    uint32_t vbe_start_addr;  /* in words (V1) */
    uint32_t vbe_line_offset; /* in bytes */
    uint32_t vbe_bank_mask;

    uint32_t vgamem_mb; /* property */
    uint32_t vram_size;
    uint8_t *vram_ptr;
    bool big_endian; /* pixels of 15 bits and more */
    MemoryRegion *vram;
    MemoryRegion *window; /* A0000…BFFFF */
    MemoryRegion *chain4; /* over it: a bank of vram, while CPU addresses count bytes */
    MemoryRegion *window_space;
    Console *console;
    void *drawn; /* vga-draw.c: what the surface shows */
} VgaCore;

/* Makes memory (a block called "PREFIX/vga.vram") and console. */
bool vga_init(VgaCore *s, Device *owner, unsigned default_mb, GError **error);
void vga_reset(VgaCore *s);
void vga_exit(VgaCore *s);
/* The ports 3B0…3DF and those of VBE in an I/O space; owner frees them by vga_ports_free(). */
#define VGA_PORT_REGIONS 6
void vga_ports_map(VgaCore *s, Object *owner, MemoryRegion *space,
                   MemoryRegion *regions[VGA_PORT_REGIONS]);
void vga_ports_free(MemoryRegion *regions[VGA_PORT_REGIONS]);
/* The window into a memory space. */
void vga_window_map(VgaCore *s, Object *owner, MemoryRegion *space);

uint8_t vga_port_read(VgaCore *s, unsigned port);
void vga_port_write(VgaCore *s, unsigned port, uint8_t value);

uint8_t vga_window_read(VgaCore *s, uint32_t addr);
void vga_window_write(VgaCore *s, uint32_t addr, uint8_t value);
/* Registers changed: chain4 is where it must be. */
void vga_window_update(VgaCore *s);

bool vbe_enabled(const VgaCore *s);
uint16_t vbe_read(VgaCore *s);
void vbe_write(VgaCore *s, uint16_t value);
/* Makes registers that came with a stream ones that can be used. */
void vbe_check(VgaCore *s);

/* ConsoleOps.update */
void vga_draw(void *opaque);
void vga_draw_free(VgaCore *s);

extern const VmState vga_core_vmstate;
#define VM_VGA(state, member) VM_NAMED_STRUCT("vga", state, member, vga_core_vmstate, VgaCore)

#endif
