/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The VGA core: memory, reset, ports and registers, description. Documents: vga.h. */
#include "util/osdep.h"

#include "hw/core/device.h"
#include "util/error.h"
#include "util/log.h"
#include "util/trace.h"
#include "vga.h"

TRACE_EVENT(vga_std_read_io)
TRACE_EVENT(vga_std_write_io)

/* ---- registers --------------------------------------------------------------------------------------- */

/* Bits that exist. */
static const uint8_t sr_mask[8] = { 0x03, 0x3d, 0x0f, 0x3f, 0x0e, 0x00, 0x00, 0xff };
static const uint8_t gr_mask[16] = { 0x0f, 0x0f, 0x0f, 0x1f, 0x03, 0x7b, 0x0f, 0x0f, 0xff };
static const uint8_t ar_mask[21] = {
    0x3f, 0x3f, 0x3f, 0x3f, 0x3f, 0x3f, 0x3f, 0x3f, 0x3f, 0x3f, 0x3f,
    0x3f, 0x3f, 0x3f, 0x3f, 0x3f, 0xef, 0xff, 0x3f, 0x0f, 0x0f,
};

#define MISC_COLOR 0x01 /* CRTC at 3Dx, else 3Bx */
#define MISC_MASK 0xef
#define FEATURE_MASK 0x10
#define STATUS1_TOGGLES 0x09 /* vertical retrace, display disabled */
#define CRTC_PROTECT 0x80    /* of CR11: CR0…CR7 are locked, but for the line compare bit */

/* The CRTC's ports are at 3Bx or at 3Dx; those of the other kind do not answer. */
static bool port_is_dead(const VgaCore *s, unsigned port)
{
    return s->msr & MISC_COLOR ? port >= 0x3b0 && port <= 0x3bf : port >= 0x3d0 && port <= 0x3df;
}

static uint8_t attribute_read(VgaCore *s)
{
    unsigned index = s->ar_index & 0x1f;

    return index < sizeof(s->ar) ? s->ar[index] : 0;
}

static void attribute_write(VgaCore *s, uint8_t value)
{
    unsigned index = s->ar_index & 0x1f;

    if (!s->ar_flip_flop) {
        s->ar_index = value & 0x3f;
    } else if (index < sizeof(s->ar)) {
        s->ar[index] = value & ar_mask[index];
    }
    s->ar_flip_flop ^= 1;
}

static uint8_t dac_read(VgaCore *s)
{
    uint8_t value = s->palette[s->dac_read_index * 3 + s->dac_sub_index];

    if (++s->dac_sub_index == 3) {
        s->dac_sub_index = 0;
        s->dac_read_index++;
    }
    return value;
}

/* A colour takes effect when its third part is there. */
static void dac_write(VgaCore *s, uint8_t value)
{
    s->dac_cache[s->dac_sub_index] = value;
    if (++s->dac_sub_index == 3) {
        memcpy(&s->palette[s->dac_write_index * 3], s->dac_cache, 3);
        s->dac_sub_index = 0;
        s->dac_write_index++;
    }
}

/* Nobody knows where the beam is: its bits change with each look, so that who waits for either goes on. */
static uint8_t status1_read(VgaCore *s)
{
    s->st01 ^= STATUS1_TOGGLES;
    s->ar_flip_flop = 0;
    return s->st01;
}

static uint8_t io_read(VgaCore *s, unsigned port)
{
    if (port_is_dead(s, port)) {
        return 0xff;
    }
    switch (port) {
    case 0x3c0:
        return s->ar_flip_flop ? 0 : s->ar_index;
    case 0x3c1:
        return attribute_read(s);
    case 0x3c2:
        return s->st00;
    case 0x3c4:
        return s->sr_index;
    case 0x3c5:
        return s->sr[s->sr_index & 7];
    case 0x3c7:
        return s->dac_state;
    case 0x3c8:
        return s->dac_write_index;
    case 0x3c9:
        return dac_read(s);
    case 0x3ca:
        return s->fcr;
    case 0x3cc:
        return s->msr;
    case 0x3ce:
        return s->gr_index;
    case 0x3cf:
        return s->gr[s->gr_index & 15];
    case 0x3b4:
    case 0x3d4:
        return s->cr_index;
    case 0x3b5:
    case 0x3d5:
        return s->cr[s->cr_index];
    case 0x3ba:
    case 0x3da:
        return status1_read(s);
    default:
        return 0;
    }
}

uint8_t vga_port_read(VgaCore *s, unsigned port)
{
    uint8_t value = io_read(s, port);

    trace(vga_std_read_io, "addr 0x%x, val 0x%x", port, value);
    return value;
}

static void crtc_write(VgaCore *s, uint8_t value)
{
    uint8_t *reg = &s->cr[s->cr_index];

    if (s->cr_index <= VGA_CR_OVERFLOW && s->cr[VGA_CR_V_SYNC_END] & CRTC_PROTECT) {
        if (s->cr_index == VGA_CR_OVERFLOW) {
            *reg = (*reg & ~0x10) | (value & 0x10);
        }
        return;
    }
    *reg = value;
}

static void sequencer_write(VgaCore *s, uint8_t value)
{
    s->sr[s->sr_index & 7] = value & sr_mask[s->sr_index & 7];
    vga_window_update(s);
}

static void graphics_write(VgaCore *s, uint8_t value)
{
    s->gr[s->gr_index & 15] = value & gr_mask[s->gr_index & 15];
    vga_window_update(s);
}

static void io_write(VgaCore *s, unsigned port, uint8_t value)
{
    switch (port) {
    case 0x3c0:
    case 0x3c1:
        attribute_write(s, value);
        break;
    case 0x3c2:
        s->msr = value & MISC_MASK;
        break;
    case 0x3c4:
        s->sr_index = value & 7;
        break;
    case 0x3c5:
        sequencer_write(s, value);
        break;
    case 0x3c7:
        s->dac_read_index = value;
        s->dac_sub_index = 0;
        s->dac_state = 3;
        break;
    case 0x3c8:
        s->dac_write_index = value;
        s->dac_sub_index = 0;
        s->dac_state = 0;
        break;
    case 0x3c9:
        dac_write(s, value);
        break;
    case 0x3ce:
        s->gr_index = value & 15;
        break;
    case 0x3cf:
        graphics_write(s, value);
        break;
    case 0x3b4:
    case 0x3d4:
        s->cr_index = value;
        break;
    case 0x3b5:
    case 0x3d5:
        crtc_write(s, value);
        break;
    case 0x3ba:
    case 0x3da:
        s->fcr = value & FEATURE_MASK;
        break;
    default:
        log_guest_error("vga: write of 0x%x to port 0x%x", value, port);
        break;
    }
}

void vga_port_write(VgaCore *s, unsigned port, uint8_t value)
{
    trace(vga_std_write_io, "addr 0x%x, val 0x%x", port, value);
    if (!port_is_dead(s, port)) {
        io_write(s, port, value);
    }
}

/* ---- I/O space ----------------------------------------------------------------------------------------- */

typedef struct PortRange {
    uint16_t first, count;
} PortRange;

static const PortRange port_ranges[VGA_PORT_REGIONS - 1] = {
    { 0x3b4, 2 }, { 0x3ba, 1 }, { 0x3c0, 16 }, { 0x3d4, 2 }, { 0x3da, 1 },
};

/* The offset says the port: each range has a function of its own that knows its first one. */
#define PORT_RANGE_OPS(first)                                                                     \
    static uint64_t ports_##first##_read(void *opaque, hwaddr offset, unsigned size)              \
    {                                                                                             \
        return vga_port_read(opaque, 0x##first + offset);                                         \
    }                                                                                             \
    static void ports_##first##_write(void *opaque, hwaddr offset, uint64_t value, unsigned size) \
    {                                                                                             \
        vga_port_write(opaque, 0x##first + offset, value);                                        \
    }                                                                                             \
    static const MemoryOps ports_##first##_ops = {                                                \
        .read = ports_##first##_read,                                                             \
        .write = ports_##first##_write,                                                           \
        .valid = { .min_size = 1, .max_size = 4, .unaligned = true },                             \
        .impl = { .min_size = 1, .max_size = 1 },                                                 \
    };

PORT_RANGE_OPS(3b4)
PORT_RANGE_OPS(3ba)
PORT_RANGE_OPS(3c0)
PORT_RANGE_OPS(3d4)
PORT_RANGE_OPS(3da)

static const MemoryOps *const port_ops[] = {
    &ports_3b4_ops, &ports_3ba_ops, &ports_3c0_ops, &ports_3d4_ops, &ports_3da_ops,
};

/* 1CE is the index, 1CF and (aligned) 1D0 the data. */
static uint64_t vbe_ports_read(void *opaque, hwaddr offset, unsigned size)
{
    VgaCore *s = opaque;

    return offset == 0 ? s->vbe_index : vbe_read(s);
}

static void vbe_ports_write(void *opaque, hwaddr offset, uint64_t value, unsigned size)
{
    VgaCore *s = opaque;

    if (offset == 0) {
        s->vbe_index = value;
    } else {
        vbe_write(s, value);
    }
}

static bool vbe_ports_accept(void *opaque, hwaddr offset, unsigned size, bool is_write)
{
    return size == 2 && offset <= 2;
}

static const MemoryOps vbe_ports_ops = {
    .read = vbe_ports_read,
    .write = vbe_ports_write,
    .accepts = vbe_ports_accept,
    .valid = { .min_size = 2, .max_size = 2, .unaligned = true },
    .impl = { .min_size = 2, .max_size = 2, .unaligned = true },
};

void vga_ports_map(VgaCore *s, Object *owner, MemoryRegion *space,
                   MemoryRegion *regions[VGA_PORT_REGIONS])
{
    for (unsigned i = 0; i < G_N_ELEMENTS(port_ranges); i++) {
        regions[i] = memory_region_new_io(owner, port_ops[i], s, "vga", port_ranges[i].count);
        memory_region_map(space, port_ranges[i].first, regions[i]);
    }
    regions[VGA_PORT_REGIONS - 1] = memory_region_new_io(owner, &vbe_ports_ops, s, "vbe", 4);
    memory_region_map(space, 0x1ce, regions[VGA_PORT_REGIONS - 1]);
}

void vga_ports_free(MemoryRegion *regions[VGA_PORT_REGIONS])
{
    for (unsigned i = 0; i < VGA_PORT_REGIONS; i++) {
        g_clear_pointer(&regions[i], memory_region_free);
    }
}

/* ---- reset and realize ----------------------------------------------------------------------------------- */

/* Video memory keeps what is in it, as the chips did. */
void vga_reset(VgaCore *s)
{
    memset(s, 0, offsetof(VgaCore, vgamem_mb));
    s->is_vbe_vmstate = 1;
    s->vbe_regs[VBE_ID] = VBE_ID5;
    s->vbe_bank_mask = s->vram_size / VGA_BANK_SIZE - 1;
    vga_window_update(s);
}

static const ConsoleOps console_ops = { .update = vga_draw };

bool vga_init(VgaCore *s, Device *owner, unsigned default_mb, GError **error)
{
    g_autofree char *prefix = device_section_prefix(owner);
    g_autofree char *name = prefix ? g_strdup_printf("%s/vga.vram", prefix) : g_strdup("vga.vram");
    unsigned mb = s->vgamem_mb ? s->vgamem_mb : default_mb;

    if (mb > VGA_MAX_VRAM_MB) {
        return error_set(error, "Property 'vgamem_mb' is at most %d", VGA_MAX_VRAM_MB);
    }
    while (mb & (mb - 1)) { /* V2 */
        mb += mb & -mb;
    }
    s->vgamem_mb = mb;
    s->vram_size = mb << 20;
    s->is_vbe_vmstate = 1;
    s->vbe_bank_mask = s->vram_size / VGA_BANK_SIZE - 1;
    s->vram = memory_region_new_ram(&owner->object, name, s->vram_size, error);
    if (!s->vram) {
        return false;
    }
    s->vram_ptr = memory_region_ram_ptr(s->vram);
    s->console = console_new(&owner->object, 0, &console_ops, s);
    return true;
}

void vga_exit(VgaCore *s)
{
    g_clear_pointer(&s->console, console_free);
    vga_draw_free(s);
    g_clear_pointer(&s->chain4, memory_region_free);
    g_clear_pointer(&s->window, memory_region_free);
    g_clear_pointer(&s->vram, memory_region_free);
}

/* ---- migration ----------------------------------------------------------------------------------------------- */

/*
 * Migration notes. All registers and the RAM block of video memory are sent; nothing is in flight, since drawing only
 * reads. The mask of port 3C6 and the state of the beam do not exist here as they do not in the stream. Where the window
 * leads follows from the registers. Indexes are masked where they are used; dac_sub_index is checked.
 */
static bool valid_sub_index(const void *opaque, int64_t value)
{
    return value >= 0 && value < 3;
}

static bool vga_post_load(void *opaque, int version, GError **error)
{
    VgaCore *s = opaque;

    if (s->vbe_bank_mask != s->vram_size / VGA_BANK_SIZE - 1) {
        return error_set(error, "vbe_bank_mask 0x%x does not belong to %u MiB of video memory",
                         s->vbe_bank_mask, s->vgamem_mb);
    }
    if (s->bank_offset < 0 || (uint32_t)s->bank_offset >= s->vram_size ||
        s->bank_offset % VGA_BANK_SIZE) {
        return error_set(error, "bank_offset 0x%x is not a bank", (unsigned)s->bank_offset);
    }
    vbe_check(s);
    vga_window_update(s);
    return true;
}

static bool endian_needed(const void *opaque)
{
    return ((const VgaCore *)opaque)->big_endian;
}

static bool vga_pre_load(void *opaque, GError **error)
{
    ((VgaCore *)opaque)->big_endian = false;
    return true;
}

static const VmState endian_vmstate = {
    .name = "vga.endian",
    .version = 1,
    .minimum_version = 1,
    .needed = endian_needed,
    .fields = (const VmField[]){ { .name = "big_endian_fb",
                                   .offset = VM_CHECKED_OFFSET(VgaCore, big_endian, bool),
                                   .size = 1,
                                   .kind = &vm_kind_bool },
                                 VM_END },
};

const VmState vga_core_vmstate = {
    .name = "vga",
    .version = 2,
    .minimum_version = 2,
    .pre_load = vga_pre_load,
    .post_load = vga_post_load,
    .fields =
        (const VmField[]){
            VM_U32(VgaCore, latch),
            VM_U8(VgaCore, sr_index),
            VM_BYTES(VgaCore, sr),
            VM_U8(VgaCore, gr_index),
            VM_BYTES(VgaCore, gr),
            VM_U8(VgaCore, ar_index),
            VM_BYTES(VgaCore, ar),
            VM_I32(VgaCore, ar_flip_flop),
            VM_U8(VgaCore, cr_index),
            VM_BYTES(VgaCore, cr),
            VM_U8(VgaCore, msr),
            VM_U8(VgaCore, fcr),
            VM_U8(VgaCore, st00),
            VM_U8(VgaCore, st01),
            VM_U8(VgaCore, dac_state),
            { .name = "dac_sub_index",
              .offset = VM_CHECKED_OFFSET(VgaCore, dac_sub_index, uint8_t),
              .size = 1,
              .kind = &vm_kind_u8,
              .valid = valid_sub_index },
            VM_U8(VgaCore, dac_read_index),
            VM_U8(VgaCore, dac_write_index),
            VM_BYTES(VgaCore, dac_cache),
            VM_BYTES(VgaCore, palette),
            VM_I32(VgaCore, bank_offset),
            VM_NAMED("is_vbe_vmstate", equal_u8, uint8_t, VgaCore, is_vbe_vmstate),
            VM_U16(VgaCore, vbe_index),
            VM_U16_ARRAY(VgaCore, vbe_regs, VBE_REGS),
            VM_U32(VgaCore, vbe_start_addr),
            VM_U32(VgaCore, vbe_line_offset),
            VM_U32(VgaCore, vbe_bank_mask),
            VM_END,
        },
    .subsections = (const VmState *const[]){ &endian_vmstate, NULL },
};
