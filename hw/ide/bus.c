/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The channel as a bus: its two places, the bus master's starts and stops, the drives of -drive. */
#include "util/osdep.h"
#include "ide-private.h"

#include "util/error.h"

/* ---- the bus --------------------------------------------------------------------------------------- */

static IdeUnit *unit_of(const Device *dev)
{
    return &IDE_BUS(dev->bus)->units[IDE_DRIVE(dev)->unit];
}

static bool check_address(Bus *bus, Device *dev, GError **error)
{
    IdeDrive *drive = IDE_DRIVE(dev);
    IdeUnit *units = IDE_BUS(bus)->units;

    if (drive->unit == UINT32_MAX) {
        drive->unit = units[0].drive ? 1 : 0;
    }
    if (drive->unit >= IDE_BUS(bus)->max_units) {
        return error_set(error, "Can't create IDE unit %u, bus supports only %u units", drive->unit,
                         IDE_BUS(bus)->max_units);
    }
    if (units[drive->unit].drive) {
        return error_set(error, "IDE unit %u is in use", drive->unit);
    }
    return true;
}

static char *firmware_path(const Device *dev)
{
    return g_strdup_printf("drive@%x", unit_of(dev)->bus->number);
}

static void bus_finalize(Object *obj)
{
    IdeBus *bus = IDE_BUS(obj);

    for (unsigned n = 0; n < IDE_UNITS; n++) {
        g_free(bus->units[n].buffer);
        g_free(bus->units[n].dma_buf);
    }
    if (bus->vm_state) {
        ide_bus_end_requests(bus);
    }
}

const BusType ide_bus_type = {
    .object = {
        .name = "IDE",
        .parent = &bus_type.object,
        .size = sizeof(IdeBus),
        .finalize = bus_finalize,
    },
    .max_devices = IDE_UNITS,
    .check_address = check_address,
    .firmware_path = firmware_path,
};
BUS_REGISTER(ide_bus_type)

IdeBus *ide_bus_new(Device *owner, unsigned number, Irq *irq, const IdeDmaOps *ops, void *dma)
{
    static unsigned next_serial;
    IdeBus *bus = IDE_BUS(bus_new(&ide_bus_type, owner, NULL));

    bus->number = number;
    bus->max_units = IDE_UNITS;
    bus->irq = irq;
    bus->dma = ops;
    bus->dma_opaque = dma;
    for (unsigned n = 0; n < IDE_UNITS; n++) {
        IdeUnit *u = &bus->units[n];

        u->bus = bus;
        u->number = n;
        u->serial_number = ++next_serial;
        u->buffer = g_malloc0(IDE_BUFFER_SIZE);
        u->next = IDE_NEXT_NONE;
        ide_unit_init_requests(u);
        ide_unit_reset(u);
    }
    ide_bus_init_requests(bus);
    return bus;
}

void ide_bus_set_units(IdeBus *bus, unsigned n)
{
    bus->max_units = n;
}

Device *ide_bus_drive(IdeBus *bus, unsigned unit)
{
    IdeDrive *drive = bus->units[unit].drive;

    return drive ? &drive->device : NULL;
}

bool ide_drive_geometry(IdeBus *bus, unsigned unit, uint32_t *cyls, uint32_t *heads, uint32_t *secs,
                        IdeTranslation *translation)
{
    const IdeDrive *drive = bus->units[unit].drive;

    if (!drive || drive->cd) {
        return false;
    }
    *cyls = drive->cyls;
    *heads = drive->heads;
    *secs = drive->secs;
    *translation = drive->translation;
    return true;
}

/* ---- the bus master ---------------------------------------------------------------------------------- */

void ide_dma_start(IdeBus *bus)
{
    for (unsigned n = 0; n < IDE_UNITS; n++) {
        IdeUnit *u = &bus->units[n];

        if (u->phase != IDE_DMA_WAIT) {
            continue;
        }
        if (u->job == IDE_JOB_ATAPI_DMA) {
            atapi_dma_begin(u);
        } else {
            ata_dma_begin(u);
        }
    }
}

void ide_dma_stop(IdeBus *bus)
{
    for (unsigned n = 0; n < IDE_UNITS; n++) {
        if (bus->units[n].phase == IDE_DMA) {
            bus->units[n].dma_stopped = true;
        }
    }
}

/* ---- -drive ------------------------------------------------------------------------------------------- */

static bool attach(IdeBus *bus, unsigned unit, BlockDrive *wanted, GError **error)
{
    const char *name = wanted->cdrom ? "ide-cd" : "ide-hd";
    IdeDrive *drive = IDE_DRIVE(device_new(device_type_by_name(name)));

    drive->unit = unit;
    drive->conf.front = front_ref(wanted->front);
    wanted->claimed = true;
    if (!device_realize(&drive->device, &bus->bus, error)) {
        object_unref(drive);
        return false;
    }
    return true;
}

bool ide_bus_attach_drive(IdeBus *bus, unsigned number, GError **error)
{
    BlockDrive *wanted = block_drive_find(BLOCK_IF_IDE, number, 0);

    return !wanted || attach(bus, 0, wanted, error);
}

bool ide_bus_attach_drives(IdeBus *bus, unsigned number, GError **error)
{
    for (unsigned unit = 0; unit < IDE_UNITS; unit++) {
        BlockDrive *wanted = block_drive_find(BLOCK_IF_IDE, number, unit);

        if (wanted && !attach(bus, unit, wanted, error)) {
            return false;
        }
    }
    return true;
}
