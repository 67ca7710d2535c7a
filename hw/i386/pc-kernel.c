/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * -kernel: a Linux kernel for the firmware ("The Linux/x86 Boot Protocol"). Kernel, its real-mode part, command line and initial
 * RAM disk are items of fw_cfg with the addresses where they are to go; the packaged option ROM linuxboot_dma puts them there
 * and starts the kernel. It has boot index 0.
 */
#include "util/osdep.h"

#include "pc-fw.h"
#include "hw/core/option-rom.h"
#include "hw/nvram/fw_cfg.h"
#include "system/datadir.h"
#include "util/bytes.h"
#include "util/error.h"

enum { /* offsets in the setup header */
       SETUP_SECTS = 0x1f1,
       VID_MODE = 0x1fa,
       HEADER_MAGIC = 0x202,
       VERSION = 0x206,
       TYPE_OF_LOADER = 0x210,
       LOADFLAGS = 0x211,
       CODE32_START = 0x214,
       RAMDISK_IMAGE = 0x218,
       RAMDISK_SIZE = 0x21c,
       HEAP_END = 0x224,
       CMD_LINE_POINTER = 0x228,
       INITRD_ADDR_MAX = 0x22c,
       CMDLINE_SIZE = 0x238,
       HEADER_END = 0x264,
};
#define SECTOR 512
#define MAGIC "HdrS"
#define LOADED_HIGH 0x01
#define CAN_USE_HEAP 0x80
#define LOADER_TYPE 0xb0 /* QEMU's, version 0 */
#define OLD_MAGIC 0x020f /* of the command line before protocol 2.02 */
#define HIGH_ADDRESS 0x100000u
#define LOW_ADDRESS 0x10000u      /* of a zImage */
#define REAL_ADDRESS 0x10000u     /* of the real-mode part, */
#define REAL_ADDRESS_LOW 0x90000u /* and with a zImage */
#define CMDLINE_ADDRESS 0x20000u
#define CMDLINE_MAX_OLD 255
#define INITRD_MAX_OLD 0x37ffffffu
#define RESERVED_AT_END \
    (UINT64_C(128) << 10) /* ACPI tables of the firmware, below the end of RAM */
#define BOOT_ROM "linuxboot_dma.bin"

typedef struct Kernel {
    const char *name;
    char *data;
    gsize len;
    unsigned protocol;
    gsize setup_size; /* boot sector and setup */
    uint32_t real_address, cmdline_address, protected_address;
    uint32_t initrd_max;
} Kernel;

static bool load_file(const char *what, const char *path, char **data, gsize *len, GError **error)
{
    g_autoptr(GError) why = NULL;

    return g_file_get_contents(path, data, len, &why) ||
           error_set(error, "could not open %s '%s': %s", what, path, why->message);
}

/* The header, or why it is none (chapter "The real-mode kernel header"). */
static bool parse_header(Kernel *k, GError **error)
{
    const uint8_t *h = (uint8_t *)k->data;
    unsigned sectors;

    if (k->len < HEADER_END || memcmp(h + HEADER_MAGIC, MAGIC, 4)) {
        if (k->len >= 4 && !memcmp(h, "\177ELF", 4)) {
            return error_set(error,
                             "kernel '%s' is an ELF file: multiboot and PVH kernels are not "
                             "supported, a bzImage is",
                             k->name);
        }
        return error_set(error, "invalid kernel header: '%s' is not a Linux kernel (bzImage)",
                         k->name);
    }
    k->protocol = load_le16(h + VERSION);
    if (k->protocol < 0x200) {
        return error_set(error, "kernel '%s' has boot protocol %u.%02u, at least 2.00 is needed",
                         k->name, k->protocol >> 8, k->protocol & 0xff);
    }
    sectors = h[SETUP_SECTS] ? h[SETUP_SECTS] : 4;
    k->setup_size = (sectors + 1) * SECTOR;
    if (k->setup_size >= k->len) {
        return error_set(error,
                         "kernel '%s' is cut off: its setup alone has %zu bytes, the file %zu",
                         k->name, k->setup_size, k->len);
    }
    k->initrd_max = k->protocol >= 0x203 ? load_le32(h + INITRD_ADDR_MAX) : INITRD_MAX_OLD;
    return true;
}

static bool place(PcMachine *pc, Kernel *k, GError **error)
{
    const uint8_t *h = (uint8_t *)k->data;
    bool high = h[LOADFLAGS] & LOADED_HIGH;
    uint64_t end;

    k->real_address = high ? REAL_ADDRESS : REAL_ADDRESS_LOW;
    k->protected_address = high ? HIGH_ADDRESS : LOW_ADDRESS;
    k->cmdline_address = high ? CMDLINE_ADDRESS : REAL_ADDRESS_LOW + 0x9a00;
    end = k->protected_address + (uint64_t)(k->len - k->setup_size);
    if (end > (high ? pc->ram_below_4g : REAL_ADDRESS_LOW)) {
        return error_set(error,
                         "kernel '%s' is too large: it would end at 0x%" PRIx64
                         ", there is room up to 0x%" PRIx64,
                         k->name, end, high ? pc->ram_below_4g : (uint64_t)REAL_ADDRESS_LOW);
    }
    return true;
}

static bool add_cmdline(PcMachine *pc, FwCfg *fw, Kernel *k, GError **error)
{
    uint8_t *h = (uint8_t *)k->data;
    const char *text = pc->machine.append ? pc->machine.append : "";
    uint32_t max = k->protocol >= 0x206 ? load_le32(h + CMDLINE_SIZE) : CMDLINE_MAX_OLD;
    gsize size = (strlen(text) + 1 + 15) & ~(gsize)15;
    g_autofree char *padded = g_malloc0(size);

    if (strlen(text) > max) {
        return error_set(error,
                         "kernel command line is too long: %zu characters, '%s' takes %" PRIu32,
                         strlen(text), k->name, max);
    }
    memcpy(padded, text, strlen(text));
    fw_cfg_add_i32(fw, FW_CFG_CMDLINE_ADDR, k->cmdline_address);
    fw_cfg_add_i32(fw, FW_CFG_CMDLINE_SIZE, size);
    fw_cfg_add_bytes(fw, FW_CFG_CMDLINE_DATA, padded, size);
    if (k->protocol >= 0x202) {
        store_le32(h + CMD_LINE_POINTER, k->cmdline_address);
    } else {
        store_le16(h + 0x20, 0xa33f);
        store_le16(h + 0x22, k->cmdline_address - k->real_address);
    }
    return true;
}

/* As high as the kernel allows and RAM is, below what the firmware keeps there. */
static bool add_initrd(PcMachine *pc, FwCfg *fw, Kernel *k, GError **error)
{
    uint8_t *h = (uint8_t *)k->data;
    g_autofree char *data = NULL;
    uint64_t top, kernel_end = k->protected_address + (uint64_t)(k->len - k->setup_size), address;
    gsize len;

    if (!pc->machine.initrd) {
        return true;
    }
    if (!load_file("initrd", pc->machine.initrd, &data, &len, error)) {
        return false;
    }
    top = MIN((uint64_t)k->initrd_max + 1, pc->ram_below_4g - RESERVED_AT_END);
    if (len == 0 || len >= top || ((top - len) & ~UINT64_C(0xfff)) < kernel_end) {
        return error_set(error,
                         "initrd '%s' does not fit: %zu bytes between the kernel's end (0x%" PRIx64
                         ") and 0x%" PRIx64,
                         pc->machine.initrd, len, kernel_end, top);
    }
    address = (top - len) & ~UINT64_C(0xfff);
    fw_cfg_add_i32(fw, FW_CFG_INITRD_ADDR, address);
    fw_cfg_add_i32(fw, FW_CFG_INITRD_SIZE, len);
    fw_cfg_add_bytes(fw, FW_CFG_INITRD_DATA, data, len);
    store_le32(h + RAMDISK_IMAGE, address);
    store_le32(h + RAMDISK_SIZE, len);
    return true;
}

static void add_kernel(FwCfg *fw, Kernel *k)
{
    uint8_t *h = (uint8_t *)k->data;

    h[TYPE_OF_LOADER] = LOADER_TYPE;
    if (k->protocol >= 0x201) {
        h[LOADFLAGS] |= CAN_USE_HEAP;
        store_le16(h + HEAP_END, k->cmdline_address - k->real_address - 0x200);
    }
    fw_cfg_add_i32(fw, FW_CFG_KERNEL_ADDR, k->protected_address);
    fw_cfg_add_i32(fw, FW_CFG_KERNEL_SIZE, k->len - k->setup_size);
    fw_cfg_add_bytes(fw, FW_CFG_KERNEL_DATA, k->data + k->setup_size, k->len - k->setup_size);
    fw_cfg_add_i32(fw, FW_CFG_SETUP_ADDR, k->real_address);
    fw_cfg_add_i32(fw, FW_CFG_SETUP_SIZE, k->setup_size);
    fw_cfg_add_bytes(fw, FW_CFG_SETUP_DATA, k->data, k->setup_size);
}

static bool load_kernel(PcMachine *pc, FwCfg *fw, Kernel *k, GError **error)
{
    if (!load_file("kernel file", k->name, &k->data, &k->len, error) || !parse_header(k, error) ||
        !place(pc, k, error) || !add_cmdline(pc, fw, k, error) || !add_initrd(pc, fw, k, error)) {
        return false;
    }
    add_kernel(fw, k); /* last: the header has been filled in */
    return true;
}

bool pc_kernel_init(PcMachine *pc, GError **error)
{
    Kernel k = { .name = pc->machine.kernel };
    g_autofree char *rom = NULL;
    bool ok;

    if (!k.name || !*k.name) {
        return true;
    }
    rom = datadir_find(BOOT_ROM);
    if (!rom) {
        return error_set(
            error,
            "-kernel needs the option ROM '%s', which is in none of the folders of '-L help'",
            BOOT_ROM);
    }
    ok = load_kernel(pc, fw_cfg_find(), &k, error);
    g_free(k.data);
    if (ok) {
        option_rom_add(rom, false, 0);
    }
    return ok;
}
