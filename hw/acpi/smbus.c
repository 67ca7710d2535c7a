/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * SMBus and its host controller (Intel 82371AB, 290562, chapter 7.2.1). As the installed programs do, a transfer that was
 * started is carried out when the guest first looks at the status, which then still says busy. With bit 1 of the
 * auxiliary control register (ICH) a block goes through the 32-byte buffer, without it byte by byte.
 */
#include "util/osdep.h"

#include "hw/acpi/smbus.h"
#include "util/error.h"
#include "util/trace.h"

TRACE_EVENT(smbus_ioport_readb)
TRACE_EVENT(smbus_ioport_writeb)
TRACE_EVENT(smbus_transaction)

enum {
    REG_STATUS = 0x0,
    REG_CONTROL = 0x2,
    REG_COMMAND = 0x3,
    REG_ADDRESS = 0x4,
    REG_DATA0 = 0x5,
    REG_DATA1 = 0x6,
    REG_BLOCK = 0x7,
    REG_AUX_CONTROL = 0xd,
    PORTS_SIZE = 64,
};
enum {
    STATUS_BUSY = 0x01,
    STATUS_DONE = 0x02,
    STATUS_ERROR = 0x04, /* nobody answered, or the command is none */
    STATUS_FAILED = 0x10,
    STATUS_BYTE_DONE = 0x80,
};
enum {
    CONTROL_INTERRUPT = 0x01,
    CONTROL_KILL = 0x02,
    CONTROL_LAST_BYTE = 0x20,
    CONTROL_START = 0x40
};
enum {
    PROTOCOL_QUICK,
    PROTOCOL_BYTE,
    PROTOCOL_BYTE_DATA,
    PROTOCOL_WORD_DATA,
    PROTOCOL_PROCESS_CALL,
    PROTOCOL_BLOCK,
    PROTOCOL_I2C_READ,
};
#define AUX_BLOCK_BUFFER 0x02

/* ---- the bus ------------------------------------------------------------------------------------------------------- */

typedef struct I2cBus {
    Bus bus;
    uint8_t
        saved_address; /* of a transfer in progress; FFh: none, which is always so between two steps */
    VmSection *section;
} I2cBus;

static const VmState vmstate_i2c_bus = {
    .name = "i2c_bus",
    .version = 1,
    .minimum_version = 1,
    .fields = (const VmField[]){ VM_U8(I2cBus, saved_address), VM_END },
};

const BusType i2c_bus_type = {
    .object = {
        .name = "i2c-bus",
        .parent = &bus_type.object,
        .size = sizeof(I2cBus),
    },
    .section_prefix = NULL,
};
BUS_REGISTER(i2c_bus_type);

Bus *smbus_new(Device *owner, const char *name)
{
    I2cBus *bus = (I2cBus *)bus_new(&i2c_bus_type, owner, name);

    bus->saved_address = 0xff;
    bus->section = vmstate_register("i2c_bus", VM_INSTANCE_ANY, &vmstate_i2c_bus, bus);
    return &bus->bus;
}

void smbus_cleanup(Bus *bus)
{
    vmstate_unregister(((I2cBus *)bus)->section);
}

static SmbusDevice *find_device(Bus *bus, uint8_t address)
{
    for (GList *l = bus->devices.head; l; l = l->next) {
        SmbusDevice *dev = l->data;

        if (dev->address == address) {
            return dev;
        }
    }
    return NULL;
}

bool smbus_transfer(Bus *bus, uint8_t address, const uint8_t *data, unsigned len, uint8_t *in,
                    unsigned n)
{
    SmbusDevice *dev = find_device(bus, address);
    const SmbusDeviceOps *ops = dev ? device_ops(&dev->device) : NULL;

    if (!dev) {
        return false;
    }
    if (len) {
        ops->write(dev, data, len);
    }
    for (unsigned i = 0; i < n; i++) {
        in[i] = ops->read_byte(dev);
    }
    return true;
}

static const VmState vmstate_i2c_slave = {
    .name = "I2CSlave",
    .version = 1,
    .minimum_version = 1,
    .fields =
        (const VmField[]){ VM_NAMED("address", equal_u8, uint8_t, SmbusDevice, address), VM_END },
};

const VmState vmstate_smbus_device = {
    .name = "smbus-device",
    .version = 1,
    .minimum_version = 1,
    .fields = (const VmField[]){ { .name = "i2c", .size = 1, .vmstate = &vmstate_i2c_slave },
                                 VM_I32(SmbusDevice, mode),
                                 VM_I32(SmbusDevice, data_len),
                                 VM_U8_ARRAY(SmbusDevice, data_buf, 34),
                                 VM_END },
};

const DeviceType smbus_device_type = {
    .object = {
        .name = "smbus-device",
        .parent = &device_type.object,
        .size = sizeof(SmbusDevice),
        .abstract = true,
        .properties = (const Property[]){
            PROPERTY_UINT8("address", SmbusDevice, address, "0", NULL),
            {}
        },
    },
    .bus = &i2c_bus_type,
    .not_hotpluggable = true,
};
DEVICE_REGISTER(smbus_device_type);

/* ---- transfers ------------------------------------------------------------------------------------------------------ */

/* Reads a block through the buffer, or its first byte where it goes byte by byte. */
static bool block_read(SmbusHost *host, uint8_t address)
{
    uint8_t len;

    if (!smbus_transfer(host->bus, address, &host->cmd, 1, &len, 1)) {
        return false;
    }
    len = MIN(len, SMBUS_BLOCK_MAX);
    host->data0 = len;
    host->index = 0;
    smbus_transfer(host->bus, address, NULL, 0, host->data, len);
    if (!(host->auxctl & AUX_BLOCK_BUFFER)) {
        host->blkdata = host->data[0];
        host->op_done = len <= 1;
    }
    return true;
}

static bool block_write(SmbusHost *host, uint8_t address)
{
    uint8_t out[2 + SMBUS_BLOCK_MAX] = { host->cmd, host->data0 };
    unsigned len = MIN(host->data0, SMBUS_BLOCK_MAX);

    memcpy(out + 2, host->data, len);
    host->index = 0;
    return smbus_transfer(host->bus, address, out, 2 + len, NULL, 0);
}

/* An I2C block read: address in DATA1, bytes until the guest says that it is the last. */
static bool i2c_read(SmbusHost *host, uint8_t address)
{
    host->in_i2c_block_read = true;
    host->op_done = false;
    return smbus_transfer(host->bus, address, &host->data1, 1, &host->blkdata, 1);
}

/* True if somebody answered to the protocol that the control register names. */
static bool carry_out(SmbusHost *host)
{
    uint8_t address = host->addr >> 1, out[3] = { host->cmd, host->data0, host->data1 },
            in[2] = { 0 };
    bool read = host->addr & 1, ok;

    switch (host->ctl >> 2 & 7) {
    case PROTOCOL_QUICK:
        return smbus_transfer(host->bus, address, NULL, 0, NULL, 0);
    case PROTOCOL_BYTE:
        return read ? smbus_transfer(host->bus, address, NULL, 0, &host->data0, 1)
                    : smbus_transfer(host->bus, address, out, 1, NULL, 0);
    case PROTOCOL_BYTE_DATA:
        return read ? smbus_transfer(host->bus, address, out, 1, &host->data0, 1)
                    : smbus_transfer(host->bus, address, out, 2, NULL, 0);
    case PROTOCOL_WORD_DATA:
        ok = read ? smbus_transfer(host->bus, address, out, 1, in, 2)
                  : smbus_transfer(host->bus, address, out, 3, NULL, 0);
        if (ok && read) {
            host->data0 = in[0];
            host->data1 = in[1];
        }
        return ok;
    case PROTOCOL_BLOCK:
        return read ? block_read(host, address) : block_write(host, address);
    case PROTOCOL_I2C_READ:
        return i2c_read(host, address);
    default: /* process call: nobody here knows it */
        return false;
    }
}

static void update_irq(SmbusHost *host)
{
    if (host->irq) {
        irq_set(*host->irq,
                (host->ctl & CONTROL_INTERRUPT) &&
                    (host->stat & (STATUS_DONE | STATUS_ERROR | STATUS_FAILED | STATUS_BYTE_DONE)));
    }
}

static void transaction(SmbusHost *host)
{
    bool ok;

    trace(smbus_transaction, "addr=0x%02x prot=0x%02x", host->addr, host->ctl >> 2 & 7);
    host->start_transaction_on_status_read = false;
    host->op_done = true;
    host->in_i2c_block_read = false;
    ok = carry_out(host);
    if (!ok) {
        host->op_done = true;
        host->stat = STATUS_ERROR;
    } else {
        host->stat = host->op_done ? STATUS_DONE : STATUS_BUSY | STATUS_BYTE_DONE;
    }
    update_irq(host);
}

/* The guest has taken a byte of a block that goes byte by byte. */
static void next_byte(SmbusHost *host)
{
    uint8_t address = host->addr >> 1;

    if (host->ctl & CONTROL_LAST_BYTE) {
        host->op_done = true;
    } else if (host->in_i2c_block_read) {
        host->op_done = !smbus_transfer(host->bus, address, NULL, 0, &host->blkdata, 1);
    } else {
        host->index = (host->index + 1) % SMBUS_BLOCK_MAX;
        host->blkdata = host->data[host->index];
        host->op_done = host->index + 1 >= host->data0;
    }
    host->stat = host->op_done ? STATUS_DONE : STATUS_BUSY | STATUS_BYTE_DONE;
}

/* ---- registers ------------------------------------------------------------------------------------------------------ */

static void write_status(SmbusHost *host, uint8_t value)
{
    bool next = (host->stat & STATUS_BYTE_DONE) && (value & STATUS_BYTE_DONE) && !host->op_done;

    host->stat &= ~(value & ~STATUS_BUSY);
    if (next) {
        next_byte(host);
    } else if (host->op_done && !host->start_transaction_on_status_read) {
        host->stat &= ~STATUS_BUSY;
    }
    update_irq(host);
}

static void write_control(SmbusHost *host, uint8_t value)
{
    host->ctl = value & ~CONTROL_START; /* it reads as zero */
    if (value & CONTROL_KILL) {
        host->stat = STATUS_FAILED;
        host->op_done = true;
        host->in_i2c_block_read = host->start_transaction_on_status_read = false;
    } else if (value & CONTROL_START) {
        host->stat = STATUS_BUSY;
        host->op_done = false;
        host->start_transaction_on_status_read = true;
    }
    update_irq(host);
}

static uint8_t next_in_buffer(SmbusHost *host, const uint8_t *value)
{
    uint8_t *byte = &host->data[host->index % SMBUS_BLOCK_MAX];

    if (value) {
        *byte = *value;
    }
    host->index = (host->index + 1) % SMBUS_BLOCK_MAX;
    return *byte;
}

static void smbus_write(void *opaque, hwaddr offset, uint64_t value, unsigned size)
{
    SmbusHost *host = opaque;
    uint8_t byte = value;

    trace(smbus_ioport_writeb, "[0x%04x] <- 0x%02x", (unsigned)offset, byte);
    switch (offset) {
    case REG_STATUS:
        write_status(host, byte);
        break;
    case REG_CONTROL:
        write_control(host, byte);
        break;
    case REG_COMMAND:
        host->cmd = byte;
        break;
    case REG_ADDRESS:
        host->addr = byte;
        break;
    case REG_DATA0:
        host->data0 = byte;
        break;
    case REG_DATA1:
        host->data1 = byte;
        break;
    case REG_BLOCK:
        host->blkdata = byte;
        next_in_buffer(host, &byte);
        break;
    case REG_AUX_CONTROL:
        host->auxctl = byte & 3;
        break;
    }
}

static uint64_t read_status(SmbusHost *host)
{
    uint8_t stat = host->stat;

    if (host->start_transaction_on_status_read) {
        transaction(host);
    }
    return stat;
}

static uint64_t smbus_read(void *opaque, hwaddr offset, unsigned size)
{
    SmbusHost *host = opaque;
    uint64_t value = 0;

    switch (offset) {
    case REG_STATUS:
        value = read_status(host);
        break;
    case REG_CONTROL:
        host->index = 0; /* reading it starts the block buffer over */
        value = host->ctl & ~CONTROL_LAST_BYTE;
        break;
    case REG_COMMAND:
        value = host->cmd;
        break;
    case REG_ADDRESS:
        value = host->addr;
        break;
    case REG_DATA0:
        value = host->data0;
        break;
    case REG_DATA1:
        value = host->data1;
        break;
    case REG_BLOCK:
        value = host->auxctl & AUX_BLOCK_BUFFER ? next_in_buffer(host, NULL) : host->blkdata;
        break;
    case REG_AUX_CONTROL:
        value = host->auxctl;
        break;
    }
    trace(smbus_ioport_readb, "[0x%04x] -> 0x%02x", (unsigned)offset, (unsigned)value);
    return value;
}

static const MemoryOps smbus_ops = {
    .read = smbus_read,
    .write = smbus_write,
    .valid = { .min_size = 1, .max_size = 1 },
    .impl = { .min_size = 1, .max_size = 1 },
};

/* ---- life cycle ----------------------------------------------------------------------------------------------------- */

void smbus_host_init(SmbusHost *host, Device *owner)
{
    host->bus = smbus_new(owner, "i2c");
    host->ports = memory_region_new_io(&owner->object, &smbus_ops, host, "pm-smbus", PORTS_SIZE);
}

void smbus_host_cleanup(SmbusHost *host)
{
    if (host->bus) {
        smbus_cleanup(host->bus);
    }
    memory_region_free(host->ports);
}

void smbus_host_reset(SmbusHost *host)
{
    host->stat = host->ctl = host->cmd = host->addr = host->data0 = host->data1 = host->blkdata = 0;
    host->index = 0;
    memset(host->data, 0, sizeof(host->data));
    host->auxctl = AUX_BLOCK_BUFFER;
    host->op_done = true;
    host->i2c_enable = host->in_i2c_block_read = host->start_transaction_on_status_read = false;
}

static bool smbus_index_valid(const void *opaque, int64_t value)
{
    return value >= 0 && value < SMBUS_BLOCK_MAX;
}

const VmState vmstate_smbus_host = {
    .name = "pmsmb",
    .version = 1,
    .minimum_version = 1,
    .fields = (const VmField[]){ VM_NAMED("smb_stat", u8, uint8_t, SmbusHost, stat),
                                 VM_NAMED("smb_ctl", u8, uint8_t, SmbusHost, ctl),
                                 VM_NAMED("smb_cmd", u8, uint8_t, SmbusHost, cmd),
                                 VM_NAMED("smb_addr", u8, uint8_t, SmbusHost, addr),
                                 VM_NAMED("smb_data0", u8, uint8_t, SmbusHost, data0),
                                 VM_NAMED("smb_data1", u8, uint8_t, SmbusHost, data1),
                                 { .name = "smb_index",
                                   .offset = VM_CHECKED_OFFSET(SmbusHost, index, uint32_t),
                                   .size = 4,
                                   .kind = &vm_kind_u32,
                                   .valid = smbus_index_valid },
                                 VM_NAMED_ARRAY("smb_data", u8, uint8_t, SmbusHost, data,
                                                SMBUS_BLOCK_MAX),
                                 VM_NAMED("smb_auxctl", u8, uint8_t, SmbusHost, auxctl),
                                 VM_NAMED("smb_blkdata", u8, uint8_t, SmbusHost, blkdata),
                                 VM_BOOL(SmbusHost, i2c_enable),
                                 VM_BOOL(SmbusHost, op_done),
                                 VM_BOOL(SmbusHost, in_i2c_block_read),
                                 VM_BOOL(SmbusHost, start_transaction_on_status_read),
                                 VM_END },
};
