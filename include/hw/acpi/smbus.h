/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * SMBus (System Management Bus Specification 2.0): a bus of devices with seven-bit addresses, and the host controller
 * that the PIIX4 and ICH chips have (Intel 290562, chapter 7.2.1; ICH9: 13.2). Big lock.
 */
#ifndef HW_ACPI_SMBUS_H
#define HW_ACPI_SMBUS_H

#include "hw/core/device.h"
#include "system/memory.h"

#define SMBUS_BLOCK_MAX 32

typedef struct SmbusDevice {
    Device device;
    uint8_t address; /* property: seven bits */
    int32_t mode,
        data_len; /* as streams have them: a transfer is never in progress between two steps */
    uint8_t data_buf[34];
} SmbusDevice;

/* DeviceType.ops of a device on the bus. A transfer has the command byte first, if it has one. */
typedef struct SmbusDeviceOps {
    void (*write)(SmbusDevice *dev, const uint8_t *data, unsigned len);
    uint8_t (*read_byte)(SmbusDevice *dev);
} SmbusDeviceOps;

extern const DeviceType smbus_device_type;
extern const BusType i2c_bus_type;
extern const VmState vmstate_smbus_device;

/* The bus below a chip, with its section ("i2c_bus"). */
Bus *smbus_new(Device *owner, const char *name);
/* Its section goes with the owner. */
void smbus_cleanup(Bus *bus);
/* One transfer: writes len bytes (after which, with n, n bytes are read). False if nobody has the address. */
bool smbus_transfer(Bus *bus, uint8_t address, const uint8_t *data, unsigned len, uint8_t *in,
                    unsigned n);

/* ---- the host controller --------------------------------------------------------------------------------------------- */

typedef struct SmbusHost {
    Bus *bus;
    uint8_t stat, ctl, cmd, addr, data0, data1;
    uint32_t index; /* next byte of the block buffer; < SMBUS_BLOCK_MAX */
    uint8_t data[SMBUS_BLOCK_MAX];
    uint8_t auxctl, blkdata;
    bool i2c_enable, op_done, in_i2c_block_read, start_transaction_on_status_read;
    MemoryRegion *ports;
    Irq **irq; /* NULL: none */
} SmbusHost;

void smbus_host_init(SmbusHost *host, Device *owner);
void smbus_host_cleanup(SmbusHost *host);
void smbus_host_reset(SmbusHost *host);
extern const VmState vmstate_smbus_host;

/* n EEPROMs with addresses 50h… and 256 zeros each, as the PC's memory modules would have; false with an error. */
bool smbus_eeproms_new(Bus *bus, unsigned n, GError **error);

#endif
