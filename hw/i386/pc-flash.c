/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The PC's firmware in flash memory: unit 0 ends at 4 GiB, unit 1 (UEFI's variables) lies right below. From -drive if=pflash or
 * from -machine pflash0=NODE,pflash1=NODE.
 */
#include "util/osdep.h"
#include "hw/i386/pc.h"
#include "hw/nvram/pflash.h"
#include "pc-fw.h"
#include "util/error.h"

#define GIB (UINT64_C(1) << 30)
#define SECTOR 4096
#define ISA_SIZE (128 * 1024) /* of unit 0, seen below 1 MiB */
#define SENSIBLE_MAX (UINT64_C(16) << 20)

static const char *const unit_names[PC_FLASH_UNITS] = { "system.flash0", "system.flash1" };

/* The flash device of a unit; *dev stays NULL where there is none. */
static bool flash_prepare(PcMachine *pc, unsigned unit, Device **dev, GError **error)
{
    BlockDrive *drive = block_drive_find(BLOCK_IF_PFLASH, 0, unit);
    const char *node = pc->flash_node[unit];

    if (drive && node && node[0]) {
        return error_set(error, "-drive if=pflash,unit=%u clashes with -machine pflash%u=%s", unit, unit, node);
    }
    if (drive) {
        node = front_name(drive->front);
    }
    if (!node || !node[0]) {
        return true;
    }
    *dev = pflash_cfi01_new(node, error);
    return *dev != NULL;
}

static bool flash_check(PcMachine *pc, BlockFront *front, uint64_t *size, uint64_t total, GError **error)
{
    int64_t length = front_length(front);

    if (length < 0) {
        return error_set_errno(error, -length, "can't get size of block device %s", front_property(front));
    }
    if (length == 0 || length % SECTOR) {
        return error_set(error, "system firmware block device %s has invalid size %" PRId64 ": its size must be a non-zero multiple of 0x%x",
                         front_property(front), length, SECTOR);
    }
    if ((uint64_t)length > pc->max_fw_size || total > pc->max_fw_size - length) {
        return error_set(error, "combined size of system firmware exceeds %" PRIu64 " bytes", pc->max_fw_size);
    }
    *size = length;
    return true;
}

bool pc_flash_init(PcMachine *pc, GError **error)
{
    uint64_t total = 0;

    if (pc->max_fw_size > SENSIBLE_MAX) {
        warn_report("max-fw-size=%" PRIu64 ": firmware of more than 16 MiB covers the registers below 4 GiB, the machine may not boot",
                    pc->max_fw_size);
    }
    for (unsigned unit = 0; unit < PC_FLASH_UNITS; unit++) {
        Device *dev = NULL;
        uint64_t size = 0;

        if (!flash_prepare(pc, unit, &dev, error)) {
            return false;
        }
        if (!dev) {
            continue;
        }
        if (unit && !pc->flash[0]) {
            object_unref(dev);
            return error_set(error, "pflash%u requires pflash0", unit);
        }
        if (!flash_check(pc, pflash_cfi01_front(dev), &size, total, error)) {
            object_unref(dev);
            return false;
        }
        if (!pflash_cfi01_complete(dev, &pc->machine.object, unit_names[unit], size, SECTOR, error)) {
            return false;
        }
        pc->flash[unit] = dev;
        total += size;
    }
    if (pc->flash[0] && pc->machine.firmware) {
        warn_report("-bios %s is not used: the firmware is in pflash0", pc->machine.firmware);
    }
    return true;
}

/* Up to machine version 9.0 a copy of its own, which the stream has; then the flash itself. */
static MemoryRegion *flash_isa_window(PcMachine *pc, uint64_t size, uint64_t low, GError **error)
{
    const char *version = machine_get_type(&pc->machine)->version;
    MemoryRegion *copy;

    if (machine_version_compare(version, "9.0") > 0) {
        return memory_region_new_alias(NULL, "isa-bios", pflash_cfi01_region(pc->flash[0]), size - low, low);
    }
    copy = memory_region_new_rom(NULL, "isa-bios", low, error);
    if (copy) {
        memcpy(memory_region_ram_ptr(copy), (const char *)pflash_cfi01_contents(pc->flash[0]) + size - low, low);
    }
    return copy;
}

bool pc_flash_map(PcMachine *pc, GError **error)
{
    uint64_t size = memory_region_size(pflash_cfi01_region(pc->flash[0])), low = MIN(size, ISA_SIZE), end = 4 * GIB;
    MemoryRegion *window = flash_isa_window(pc, size, low, error);

    if (!window) {
        return false;
    }
    for (unsigned unit = 0; unit < PC_FLASH_UNITS && pc->flash[unit]; unit++) {
        MemoryRegion *region = pflash_cfi01_region(pc->flash[unit]);

        end -= memory_region_size(region);
        memory_region_map(system_memory(), end, region);
    }
    memory_region_map_overlap(pc->pci_memory, 0x100000 - low, window, 1);
    return true;
}
