/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The PC's disk controllers, the drives that -drive, -hda, -fda … put into them, and what the CMOS says of drives
 * (the bytes of the PC AT and of BIOSes since; IBM PC AT Technical Reference, CMOS RAM).
 */
#include "util/osdep.h"
#include "hw/i386/pc.h"

#include "block/backend.h"
#include "hw/ide/ide.h"
#include "hw/misc/fdc.h"
#include "hw/timer/mc146818rtc.h"

#define IDE_DEVFN PCI_DEVFN(1, 1)
#define IDE_CHANNELS 2
#define FLOPPY_DRIVES 2

/* Disks of the first channel and of the second, as the CMOS counts them. */
#define CMOS_DISKS 4
#define CMOS_DISK_TYPE_EXTENDED 0xf /* look at CMOS_DISKn_TYPE */
#define CMOS_DISK_TYPE_USER 47      /* look at CMOS_DISKn_GEOMETRY */

/* The empty drives that a PC has unless the user has others. */
static bool add_default_drives(const PcMachine *pc, GError **error)
{
    const Machine *machine = &pc->machine;

    if (machine->default_cdrom && !block_drive_by_index(BLOCK_IF_IDE, 2) &&
        !block_add_drive("index=2,media=cdrom", BLOCK_IF_IDE, error)) {
        return false;
    }
    return !machine->default_floppy || !pc->chipset->floppy_controller ||
           block_drive_find(BLOCK_IF_FLOPPY, 0, 0) ||
           block_add_drive("index=0", BLOCK_IF_FLOPPY, error);
}

static bool floppy_given(void)
{
    return block_drive_find(BLOCK_IF_FLOPPY, 0, 0) || block_drive_find(BLOCK_IF_FLOPPY, 0, 1);
}

bool pc_floppies_init(PcMachine *pc, IsaBus *isa, GError **error)
{
    if (!add_default_drives(pc, error)) {
        return false;
    }
    if (!pc->chipset->floppy_controller && !floppy_given()) {
        return true;
    }
    pc->fdc = isa_create(isa, "isa-fdc", error);
    return pc->fdc && fdc_attach_drives(pc->fdc, error);
}

bool pc_ide_init(PcMachine *pc, GError **error)
{
    PciDevice *ide;

    ide = pci_create(pc->pci, IDE_DEVFN, false, "piix3-ide", error);
    if (!ide) {
        return false;
    }
    for (unsigned n = 0; n < IDE_CHANNELS; n++) {
        pc->ide[n] = piix_ide_bus(&ide->device, n);
        if (!ide_bus_attach_drives(pc->ide[n], n, error)) {
            return false;
        }
    }
    return true;
}

/* ---- CMOS ------------------------------------------------------------------------------------------------ */

static void set_floppies(PcMachine *pc)
{
    FloppyType type[FLOPPY_DRIVES];
    uint8_t equipment = rtc_cmos_get(pc->rtc, CMOS_EQUIPMENT) & ~0xc1;
    unsigned count = 0;

    for (unsigned n = 0; n < FLOPPY_DRIVES; n++) {
        type[n] = fdc_drive_type(pc->fdc, n);
        count += type[n] != FLOPPY_NONE;
    }
    if (count) {
        equipment |= 0x01 | (count - 1) << 6;
    }
    rtc_cmos_set(pc->rtc, CMOS_FLOPPY_TYPES, type[0] << 4 | type[1]);
    rtc_cmos_set(pc->rtc, CMOS_EQUIPMENT, equipment);
}

/* Nine bytes: cylinders, heads, no precompensation, control byte, landing zone, sectors. */
static void set_geometry(Device *rtc, unsigned at, uint32_t cyls, uint32_t heads, uint32_t secs)
{
    const uint8_t geometry[9] = {
        cyls, cyls >> 8, heads, 0xff, 0xff, 0xc0 | (heads > 8) << 3, cyls, cyls >> 8, secs,
    };

    for (unsigned i = 0; i < sizeof(geometry); i++) {
        rtc_cmos_set(rtc, at + i, geometry[i]);
    }
}

static void set_disks(PcMachine *pc)
{
    static const uint8_t type_at[2] = { CMOS_DISK0_TYPE, CMOS_DISK1_TYPE };
    static const uint8_t geometry_at[2] = { CMOS_DISK0_GEOMETRY, CMOS_DISK1_GEOMETRY };
    uint8_t types = 0, translations = 0;

    for (unsigned n = 0; n < CMOS_DISKS; n++) {
        uint32_t cyls, heads, secs;
        IdeTranslation translation;

        if (!ide_drive_geometry(pc->ide[n / 2], n % 2, &cyls, &heads, &secs, &translation)) {
            continue;
        }
        if (n < 2) {
            types |= CMOS_DISK_TYPE_EXTENDED << (n ? 0 : 4);
            rtc_cmos_set(pc->rtc, type_at[n], CMOS_DISK_TYPE_USER);
            set_geometry(pc->rtc, geometry_at[n], cyls, heads, secs);
        }
        translations |= (translation - IDE_TRANSLATION_NONE) << (2 * n);
    }
    rtc_cmos_set(pc->rtc, CMOS_DISK_TYPES, types);
    rtc_cmos_set(pc->rtc, CMOS_DISK_TRANSLATION, translations);
}

void pc_storage_done(PcMachine *pc)
{
    if (pc->fdc) {
        set_floppies(pc);
    }
    if (pc->ide[0]) {
        set_disks(pc);
    }
}
