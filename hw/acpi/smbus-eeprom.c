/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A serial EEPROM of 256 bytes on the SMBus, as memory modules have (24C02): the first byte written sets the address
 * counter, further ones are stored from there on; reading goes on from the counter.
 */
#include "util/osdep.h"

#include "hw/acpi/smbus.h"
#include "util/error.h"

#define EEPROM_SIZE 256
#define EEPROM_ADDRESS 0x50

typedef struct SmbusEeprom {
    SmbusDevice smbus;
    uint8_t data[EEPROM_SIZE];
    uint8_t offset;
    bool accessed; /* since the start: only then there is something to save */
} SmbusEeprom;

static void eeprom_write(SmbusDevice *dev, const uint8_t *data, unsigned len)
{
    SmbusEeprom *s = (SmbusEeprom *)dev;

    s->accessed = true;
    if (len) {
        s->offset = data[0];
    }
    for (unsigned i = 1; i < len; i++) {
        s->data[s->offset++] = data[i];
    }
}

static uint8_t eeprom_read_byte(SmbusDevice *dev)
{
    SmbusEeprom *s = (SmbusEeprom *)dev;

    s->accessed = true;
    return s->data[s->offset++];
}

/* What was written stays: it is not volatile. */
static void eeprom_reset(Device *dev)
{
    ((SmbusEeprom *)dev)->offset = 0;
}

/*
 * Migration notes. Contents and counter. No transfer is in progress between two steps: the host carries each out as a
 * whole. An EEPROM that nobody has touched sends nothing, as in stock.
 */
static bool eeprom_needed(const void *opaque)
{
    return ((const SmbusEeprom *)opaque)->accessed;
}

static const VmState vmstate_smbus_eeprom = {
    .name = "smbus-eeprom",
    .version = 1,
    .minimum_version = 1,
    .needed = eeprom_needed,
    .fields =
        (const VmField[]){
            VM_NAMED_STRUCT("smbusdev", SmbusEeprom, smbus, vmstate_smbus_device, SmbusDevice),
            VM_U8_ARRAY(SmbusEeprom, data, EEPROM_SIZE), VM_U8(SmbusEeprom, offset),
            VM_BOOL(SmbusEeprom, accessed), VM_END },
};

static const SmbusDeviceOps eeprom_ops = { .write = eeprom_write, .read_byte = eeprom_read_byte };

static const DeviceType smbus_eeprom_type = {
    .object = {
        .name = "smbus-eeprom",
        .parent = &smbus_device_type.object,
        .size = sizeof(SmbusEeprom),
    },
    .not_user_creatable = true,
    .reset = eeprom_reset,
    .migration = MIGRATES_WITH(vmstate_smbus_eeprom),
    .ops = &eeprom_ops,
};
DEVICE_REGISTER(smbus_eeprom_type);

bool smbus_eeproms_new(Bus *bus, unsigned n, GError **error)
{
    for (unsigned i = 0; i < n; i++) {
        SmbusDevice *dev = (SmbusDevice *)device_new(&smbus_eeprom_type);

        dev->address = EEPROM_ADDRESS + i;
        if (!device_realize(&dev->device, bus, error)) {
            object_unref(dev);
            return false;
        }
    }
    return true;
}
