/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The ISA devices that every PC has, and how they are wired. */
#include "util/osdep.h"
#include "hw/i386/pc-isa.h"
#include "accel/kvm/kvm.h"
#include "hw/acpi/pm.h"
#include "hw/char/serial.h"
#include "hw/misc/i8042.h"
#include "hw/misc/pcspk.h"
#include "hw/misc/vmgenid.h"
#include "hw/misc/vmport.h"
#include "hw/timer/hpet.h"
#include "hw/timer/kvm-pit.h"
#include "hw/timer/mc146818rtc.h"
#include "system/serial-lines.h"
#include "target/i386/cpu.h"
#include "util/error.h"

#define MIB (UINT64_C(1) << 20)
#define PC_SERIAL_PORTS 4
#define PC_PARALLEL_PORTS 3

/* ---- CMOS ------------------------------------------------------------------------------------------------------ */

static void cmos_set_le(Device *rtc, unsigned index, uint64_t value, unsigned bytes)
{
    for (unsigned i = 0; i < bytes; i++) {
        rtc_cmos_set(rtc, index + i, value >> (8 * i));
    }
}

/* Sizes of memory as firmware has read them from there since the AT: 640 KiB, KiB above 1 MiB (twice), 64 KiB above
 * 16 MiB and above 4 GiB. */
static void pc_cmos_memory(PcMachine *pc, Device *rtc)
{
    uint64_t below = pc->ram_below_4g, above = pc->machine.ram_size - below;
    uint64_t extended = below > MIB ? MIN((below - MIB) / 1024, 65535) : 0;

    cmos_set_le(rtc, CMOS_BASE_MEMORY, 640, 2);
    cmos_set_le(rtc, CMOS_EXTENDED_MEMORY, extended, 2);
    cmos_set_le(rtc, CMOS_EXTENDED_MEMORY_2, extended, 2);
    cmos_set_le(rtc, CMOS_MEMORY_ABOVE_16M,
                below > 16 * MIB ? MIN((below - 16 * MIB) >> 16, 65535) : 0, 2);
    cmos_set_le(rtc, CMOS_MEMORY_ABOVE_4G, above >> 16, 3);
}

static void pc_init_cmos(PcMachine *pc, Device *rtc)
{
    pc_cmos_memory(pc, rtc);
    rtc_cmos_set(rtc, CMOS_CPUS, pc->machine.smp.cpus - 1);
    /* A coprocessor and a PS/2 mouse. Floppy drives add theirs. */
    rtc_cmos_set(rtc, CMOS_EQUIPMENT, 0x06);
}

/* ---- small ports ------------------------------------------------------------------------------------------------- */

static uint64_t read_nothing(void *opaque, hwaddr offset, unsigned size)
{
    return UINT64_MAX;
}

/* Port 80h takes codes of a power-on self test; F0h takes the coprocessor's error back (a 386 would have one). */
static void write_nothing(void *opaque, hwaddr offset, uint64_t value, unsigned size)
{
}

static const MemoryOps dummy_ops = {
    .read = read_nothing,
    .write = write_nothing,
    .impl = { .min_size = 1, .max_size = 1 },
};

static void pc_map_dummy_ports(IsaBus *isa)
{
    memory_region_map(isa_bus_io(isa), 0x80,
                      memory_region_new_io(NULL, &dummy_ops, NULL, "ioport80", 1));
    memory_region_map(isa_bus_io(isa), 0xf0,
                      memory_region_new_io(NULL, &dummy_ops, NULL, "ioportF0", 1));
}

/* ---- serial and parallel ports --------------------------------------------------------------------------------------- */

static bool pc_init_line(IsaBus *isa, const char *type, unsigned n, const char *chardev,
                         GError **error)
{
    Device *dev;

    if (!chardev) {
        return true;
    }
    dev = device_new(device_type_by_name(type));
    object_set_int(&dev->object, "index", n);
    object_set_string(&dev->object, "chardev", chardev);
    if (!device_realize(dev, (Bus *)isa, error)) {
        object_unref(dev);
        return false;
    }
    return true;
}

static bool pc_init_lines(IsaBus *isa, GError **error)
{
    if (!line_check_count(LINE_SERIAL, PC_SERIAL_PORTS, error) ||
        !line_check_count(LINE_PARALLEL, PC_PARALLEL_PORTS, error)) {
        return false;
    }
    for (unsigned n = 0; n < PC_SERIAL_PORTS; n++) {
        if (!pc_init_line(isa, "isa-serial", n, line_chardev(LINE_SERIAL, n), error)) {
            return false;
        }
    }
    for (unsigned n = 0; n < PC_PARALLEL_PORTS; n++) {
        if (!pc_init_line(isa, "isa-parallel", n, line_chardev(LINE_PARALLEL, n), error)) {
            return false;
        }
    }
    return true;
}

/* ---- all ---------------------------------------------------------------------------------------------------------- */

/* A20 leads to the processors, whose mask is what streams have. KVM's processors take no notice of it. */
static void pc_set_a20(void *opaque, int n, int level)
{
    ((PcMachine *)opaque)->a20 = level;
    CPU_FOREACH(cpu)
    {
        X86_CPU(cpu)->env.a20_mask = level ? -1 : ~(1 << 20);
    }
}

/* HPET, clock, 8254 and port 61h. The HPET stands between the two old timers and their interrupts. */
static bool pc_init_timers(PcMachine *pc, IsaBus *isa, GError **error)
{
    Irq *pit_irq = pc->gsi[0], *rtc_irq = pc->gsi[8];
    Device *hpet = NULL;
    PitCommon *pit;

    if (pc->hpet_enabled) {
        hpet = hpet_new(pc->gsi, PC_NUM_GSIS, pc->chipset->hpet_interrupts, error);
        if (!hpet) {
            return false;
        }
        pit_irq = hpet_legacy_input(hpet, HPET_LEGACY_PIT);
        rtc_irq = hpet_legacy_input(hpet, HPET_LEGACY_RTC);
    }
    pc->rtc = rtc_new(isa, rtc_irq, error);
    if (!pc->rtc) {
        return false;
    }
    pc_init_cmos(pc, pc->rtc);
    object_add_alias(&pc->machine.object, "rtc-time", &pc->rtc->object, "date");
    if (pc->pit == PROPERTY_OFF) {
        return true; /* and no port 61h, which is about the 8254's third channel */
    }
    pit = kvm_enabled() && kvm_irqchip() == KVM_IRQCHIP_KERNEL ? kvm_pit_new(isa, error)
                                                               : pit_new(isa, pit_irq, error);
    if (!pit || !pcspk_new(isa, pit, error)) {
        return false;
    }
    if (hpet) {
        hpet_connect_pit(hpet, device_get_gpio_in(&pit->isa.device, NULL, 0));
    }
    return true;
}

/* Keyboard controller, backdoor port with its mouse, port 92h. The mouse needs the keyboard controller's. */
static bool pc_init_input(PcMachine *pc, IsaBus *isa, GError **error)
{
    Device *i8042 = NULL, *vmport = NULL, *port92;

    if (pc->i8042_enabled) {
        i8042 = i8042_new(isa, pc->a20_line, error);
        if (!i8042) {
            return false;
        }
    }
    if (pc->vmport != PROPERTY_OFF) {
        vmport = vmport_new(isa, error);
        if (!vmport || (i8042 && !vmmouse_new(isa, vmport, i8042, error))) {
            return false;
        }
    }
    port92 = isa_create(isa, "port92", error);
    if (!port92) {
        return false;
    }
    device_connect_gpio_out(port92, "a20", 0, pc->a20_line);
    return true;
}

static void pc_vmgenid_changed(void *opaque)
{
    PcMachine *pc = opaque;

    if (pc->acpi_pm) {
        acpi_pm_raise_gpe(pc->acpi_pm, ACPI_GPE_VMGENID);
    }
}

bool pc_isa_init(PcMachine *pc, IsaBus *isa, GError **error)
{
    pc->a20_line = irq_new(pc_set_a20, pc, 0);
    pc_map_dummy_ports(isa);
    vmgenid_set_notify(pc_vmgenid_changed, pc);
    /* In the order in which stock has their sections. */
    return pc_init_timers(pc, isa, error) && pc_init_lines(isa, error) && pc_floppies_init(pc, isa, error) &&
           pc_init_input(pc, isa, error);
}
