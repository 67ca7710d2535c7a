/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * fw_cfg: what the firmware asks the machine (published interface: "QEMU Firmware Configuration (fw_cfg) Device").
 *
 * Items have 16-bit keys; files are items with names that a directory item lists. Items are added before the guest
 * runs; what they contain may change later. Big lock.
 *
 * F1  Files are in the directory by name, so that two machines with the same files have the same keys.
 * F2  The guest never reads or writes outside an item's present length.
 */
#ifndef HW_NVRAM_FW_CFG_H
#define HW_NVRAM_FW_CFG_H

#include "hw/core/device.h"
#include "system/memory.h"

enum {
    FW_CFG_SIGNATURE = 0x00,
    FW_CFG_ID = 0x01,
    FW_CFG_UUID = 0x02,
    FW_CFG_RAM_SIZE = 0x03,
    FW_CFG_NOGRAPHIC = 0x04,
    FW_CFG_NB_CPUS = 0x05,
    FW_CFG_KERNEL_ADDR = 0x07,
    FW_CFG_KERNEL_SIZE = 0x08,
    FW_CFG_KERNEL_CMDLINE = 0x09,
    FW_CFG_INITRD_ADDR = 0x0a,
    FW_CFG_INITRD_SIZE = 0x0b,
    FW_CFG_NUMA = 0x0d,
    FW_CFG_BOOT_MENU = 0x0e,
    FW_CFG_MAX_CPUS = 0x0f,
    FW_CFG_KERNEL_ENTRY = 0x10,
    FW_CFG_KERNEL_DATA = 0x11,
    FW_CFG_INITRD_DATA = 0x12,
    FW_CFG_CMDLINE_ADDR = 0x13,
    FW_CFG_CMDLINE_SIZE = 0x14,
    FW_CFG_CMDLINE_DATA = 0x15,
    FW_CFG_SETUP_ADDR = 0x16,
    FW_CFG_SETUP_SIZE = 0x17,
    FW_CFG_SETUP_DATA = 0x18,
    FW_CFG_FILE_DIR = 0x19,
    FW_CFG_FILE_FIRST = 0x20,
    FW_CFG_WRITE_CHANNEL = 0x4000, /* flag of a selected key, without effect */
    FW_CFG_ARCH_LOCAL = 0x8000,    /* flag: keys of the architecture */
    FW_CFG_ACPI_TABLES = FW_CFG_ARCH_LOCAL + 0,
    FW_CFG_SMBIOS_ENTRIES = FW_CFG_ARCH_LOCAL + 1,
    FW_CFG_IRQ0_OVERRIDE = FW_CFG_ARCH_LOCAL + 2,
    FW_CFG_HPET = FW_CFG_ARCH_LOCAL + 4,
};

#define FW_CFG_FILE_NAME_MAX 55 /* characters */

typedef struct FwCfg FwCfg;

/* Creates the PC's device at ports 0x510-0x511 and 0x514-0x51b as /machine/fw_cfg; NULL with an error. */
FwCfg *fw_cfg_io_new(GError **error);
/* The machine's device; NULL if it has none. */
FwCfg *fw_cfg_find(void);

/* Items by key, which must be a known one and free, or have been added before (then the contents are replaced). The
 * data are copied; numbers are little-endian; the string comes with its NUL. */
void fw_cfg_add_bytes(FwCfg *fw, uint16_t key, const void *data, size_t len);
void fw_cfg_add_string(FwCfg *fw, uint16_t key, const char *s);
void fw_cfg_add_i16(FwCfg *fw, uint16_t key, uint16_t value);
void fw_cfg_add_i32(FwCfg *fw, uint16_t key, uint32_t value);
void fw_cfg_add_i64(FwCfg *fw, uint16_t key, uint64_t value);

/* A read-only file with a copy of the data. Fails if the name is taken, empty or too long, or the directory full. */
bool fw_cfg_add_file(FwCfg *fw, const char *name, const void *data, size_t len, GError **error);

/* Files with more to them. */
typedef struct FwCfgFileOps {
    void (*select)(
        void *opaque); /* the guest has selected the item; it may change it now. NULL: nothing */
    void (*written)(void *opaque, uint32_t offset, uint32_t len); /* NULL: the guest cannot write */
} FwCfgFileOps;
/* The data stay the caller's and must outlive the device; ops and opaque too. len may grow up to max_len with
 * fw_cfg_resize_file(), or with a stream. */
bool fw_cfg_add_file_callback(FwCfg *fw, const char *name, void *data, size_t len, size_t max_len,
                              const FwCfgFileOps *ops, void *opaque, GError **error);

bool fw_cfg_has_file(const FwCfg *fw, const char *name);
/* The contents now, and their length; NULL if there is no such file. */
const void *fw_cfg_file_data(const FwCfg *fw, const char *name, size_t *len);
/* Replaces the contents of a file that was made by fw_cfg_add_file(), or adds it; never fails for a name that was
 * there before the guest ran. */
bool fw_cfg_modify_file(FwCfg *fw, const char *name, const void *data, size_t len, GError **error);
/* Sets the length of a callback file; at most its max_len. */
void fw_cfg_resize_file(FwCfg *fw, const char *name, size_t len);

#endif
