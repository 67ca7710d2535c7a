/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Expansion ROMs of PCI devices (PCI 3.0, 6.3): a file in a read-only RAM block behind the ROM base address register. The
 * block is migrated, as the guest has copied from it and may again. With rombar=0 the firmware gets the file from fw_cfg.
 */
#include "util/osdep.h"

#include "pci-rom.h"
#include "hw/core/option-rom.h"
#include "system/datadir.h"
#include "system/ram.h"
#include "util/bytes.h"
#include "util/error.h"

#define ROM_MIN 2048 /* what the register can tell */
#define ROM_MAX (UINT64_C(1) << 31)
#define PCI_CLASS_VGA 0x0300
#define ROM_SIGNATURE 0xaa55
#define ROM_SPARE 6   /* a byte that nobody looks at */
#define ROM_PCIR 0x18 /* where the data structure is */

bool pci_rom_check(const PciDevice *dev, GError **error)
{
    if (dev->romsize != UINT32_MAX && (dev->romsize == 0 || (dev->romsize & (dev->romsize - 1)))) {
        return error_set(error, "ROM size %" PRIu32 " is not a power of two", dev->romsize);
    }
    if (dev->romfile && *dev->romfile && !dev->rombar && devices_ready()) {
        return error_set(error, "Hot-plugged device without ROM bar can't have an option ROM");
    }
    return true;
}

/* Where the file is; NULL with an error. Its contents are for the caller. */
static char *find_rom(const PciDevice *dev, char **contents, gsize *len, GError **error)
{
    g_autofree char *path = datadir_find(dev->romfile);
    g_autoptr(GError) why = NULL;

    if (!path) {
        error_set(error, "failed to find romfile \"%s\"", dev->romfile);
        return NULL;
    }
    if (!g_file_get_contents(path, contents, len, &why)) {
        error_set(error, "failed to load romfile \"%s\": %s", dev->romfile, why->message);
        return NULL;
    }
    if (*len == 0) {
        error_set(error, "romfile \"%s\" is empty", dev->romfile);
    } else if (*len > ROM_MAX) {
        error_set(error, "romfile \"%s\" too large (size cannot exceed 2 GiB)", dev->romfile);
    } else if (dev->romsize != UINT32_MAX && *len > dev->romsize) {
        error_set(error, "romfile \"%s\" (%zu bytes) is too large for ROM size %" PRIu32,
                  dev->romfile, *len, dev->romsize);
    } else {
        return g_steal_pointer(&path);
    }
    g_clear_pointer(contents, g_free);
    return NULL;
}

/* The block is named after the device's place and its description: "0000:00:02.0/vga.rom". */
static char *block_name(const PciDevice *dev)
{
    const VmState *vmstate = device_vmstate(&dev->device);
    g_autofree char *prefix = device_section_prefix(&dev->device);

    return g_strdup_printf("%s/%s.rom", prefix,
                           vmstate ? vmstate->name : dev->device.object.type->name);
}

/* One byte of the image, with the checksum that byte 6 makes up for. */
static void patch_byte(uint8_t *rom, size_t at, uint8_t value)
{
    rom[ROM_SPARE] += rom[at] - value;
    rom[at] = value;
}

/*
 * One image serves cards that differ in their device ID (virtio's interfaces, e1000's models); firmware runs it only if the
 * IDs in it are the card's (PCI 3.0, 6.3.3.1).
 */
static void patch_ids(const PciDevice *dev, uint8_t *rom, size_t len)
{
    size_t pcir = len > ROM_PCIR + 2 ? load_le16(rom + ROM_PCIR) : 0;

    if (len < 16 || load_le16(rom) != ROM_SIGNATURE || pcir + 8 > len ||
        memcmp(rom + pcir, "PCIR", 4)) {
        return;
    }
    for (unsigned i = 0; i < 4; i++) {
        patch_byte(rom, pcir + 4 + i, dev->config[PCI_VENDOR_ID + i]);
    }
}

bool pci_rom_load(PciDevice *dev, GError **error)
{
    g_autofree char *contents = NULL, *path = NULL, *name = NULL;
    MemoryRegion *region;
    uint64_t size = ROM_MIN;
    gsize len;

    if (!dev->romfile || !*dev->romfile) {
        return true;
    }
    path = find_rom(dev, &contents, &len, error);
    if (!path) {
        return false;
    }
    if (!dev->rombar) {
        option_rom_add(path, load_le16(dev->config + PCI_CLASS_DEVICE) == PCI_CLASS_VGA, -1);
        return true;
    }
    while (size < (dev->romsize != UINT32_MAX ? dev->romsize : len)) {
        size *= 2;
    }
    name = block_name(dev);
    region = memory_region_new_rom(&dev->device.object, name, size, error);
    if (!region) {
        return false;
    }
    if (!g_strcmp0(dev->romfile, ((const PciDeviceOps *)device_ops(&dev->device))->romfile)) {
        patch_ids(dev, (uint8_t *)contents, len); /* one that the user chose stays as it is */
    }
    memcpy(memory_region_ram_ptr(region), contents, len);
    pci_set_bar(dev, PCI_ROM_BAR, 0, region, size);
    return true;
}
