/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * PIIX4 function 3 (Intel 82371AB, order number 290562, chapter 7): ACPI registers at PMBASE, SMBus host at SMBBASE, the
 * SMI command port B2h. Around it what the PC has for ACPI and the chip has not: general-purpose events at AFE0h, PCI and
 * processor hot plug.
 */
#include "util/osdep.h"

#include "hw/acpi/piix4.h"
#include "system/runstate.h"
#include "util/bytes.h"
#include "util/error.h"
#include "util/trace.h"

TRACE_EVENT(piix4_pm_smi_command)

enum {
    PM_BASE = 0x40,         /* PMBA */
    SMI_ENABLES = 0x58,     /* DEVACTB and around */
    SMI_APMC_ENABLE = 0x5b, /* bit 1 */
    DEVRES_E = 0x5f,
    DEVRES_F = 0x63,
    DEVRES_G = 0x67,
    PM_MISC = 0x80, /* PMREGMISC: bit 0 opens the ACPI registers */
    SMB_BASE = 0x90,
    SMB_HOST_CONFIG = 0xd2, /* bit 0 opens the SMBus host */
};
#define IO_BASE_MASK 0xffc0u
#define PM_PORTS_SIZE 64

struct Piix4Pm {
    PciDevice pci;
    AcpiPm acpi;
    AcpiApm apm;
    SmbusHost smb;
    AcpiPciHotplug pci_hotplug;
    AcpiCpuHotplug cpu_hotplug;
    uint32_t
        memory_selector; /* of the memory hot plug registers, which exist with slots for memory only */
    const Piix4PmBoard *board;
    Irq *sci, *smi;
    MemoryRegion *ports;

    uint32_t smb_io_base;
    bool root_hotplug, memory_hotplug, smm_enabled, smm_compat, not_migrate_acpi_index;
    uint8_t disable_s3, disable_s4, s4_val;
};

AcpiPm *piix4_pm_acpi(Piix4Pm *s)
{
    return &s->acpi;
}

AcpiCpuHotplug *piix4_pm_cpus(Piix4Pm *s)
{
    return &s->cpu_hotplug;
}

uint32_t piix4_pm_base(const Piix4Pm *s)
{
    return load_le32(s->pci.config + PM_BASE) & IO_BASE_MASK;
}

Bus *piix4_pm_smbus(Piix4Pm *s)
{
    return s->smb.bus;
}

/* ---- where the registers are --------------------------------------------------------------------------------------- */

static void place(MemoryRegion *region, uint32_t base, bool enabled)
{
    memory_transaction_begin();
    memory_region_set_address(region, base & IO_BASE_MASK);
    memory_region_set_enabled(region, enabled);
    memory_transaction_commit();
}

static void update_ports(Piix4Pm *s)
{
    place(s->ports, load_le32(s->pci.config + PM_BASE), s->pci.config[PM_MISC] & 1);
    place(s->smb.ports, load_le32(s->pci.config + SMB_BASE), s->pci.config[SMB_HOST_CONFIG] & 1);
}

static void piix4_config_written(PciDevice *pci, unsigned addr, unsigned len)
{
    if (pci_config_touches(addr, len, PM_BASE, 4) || pci_config_touches(addr, len, PM_MISC, 1) ||
        pci_config_touches(addr, len, SMB_BASE, 4) || pci_config_touches(addr, len, SMB_HOST_CONFIG, 1)) {
        update_ports((Piix4Pm *)pci);
    }
}

void piix4_pm_set_ports(Piix4Pm *s, bool parallel, bool serial1, bool serial2)
{
    s->pci.config[DEVRES_E] = 0x10 | (parallel ? 0x80 : 0);
    s->pci.config[DEVRES_F] = 0x60;
    s->pci.config[DEVRES_G] = (serial1 ? 0x08 : 0) | (serial2 ? 0x90 : 0);
}

/* ---- SMI command port ---------------------------------------------------------------------------------------------- */

/* There is no system management mode: what its handler would do for ACPI is done here. */
static void smi_command(void *opaque, uint8_t value)
{
    Piix4Pm *s = opaque;

    trace(piix4_pm_smi_command, "0x%02x", value);
    if (value == PIIX4_ACPI_ENABLE || value == PIIX4_ACPI_DISABLE) {
        acpi_pm_set_sci_enabled(&s->acpi, value == PIIX4_ACPI_ENABLE);
    }
    if (s->pci.config[SMI_APMC_ENABLE] & 0x02) {
        irq_raise(s->smi);
    }
}

/* ---- life cycle ------------------------------------------------------------------------------------------------------ */

static void power_button(void *opaque)
{
    acpi_pm_power_button(&((Piix4Pm *)opaque)->acpi);
}

static void woken(void *opaque, VmWakeupReason reason)
{
    acpi_pm_woken(&((Piix4Pm *)opaque)->acpi, reason);
}

static void piix4_reset(PciDevice *pci)
{
    Piix4Pm *s = (Piix4Pm *)pci;

    memset(pci->config + SMI_ENABLES, 0, 4);
    pci->config[PM_BASE] = 0x01;
    pci->config[PM_MISC] = 0;
    if (!s->smm_enabled) {
        pci->config[SMI_APMC_ENABLE] =
            0x02; /* firmware takes its SMI handler for set up, and does not wait for one */
    }
    update_ports(s);
    acpi_pm_reset(&s->acpi);
    smbus_host_reset(&s->smb);
    acpi_pci_hotplug_reset(&s->pci_hotplug);
    s->memory_selector = 0;
}

static void map_registers(Piix4Pm *s, Object *owner)
{
    s->ports = memory_region_new_container(owner, "piix4-pm", PM_PORTS_SIZE);
    memory_region_map(s->ports, 0, s->acpi.event);
    memory_region_map(s->ports, 4, s->acpi.control);
    memory_region_map(s->ports, 8, s->acpi.timer_port);
    memory_region_set_enabled(s->ports, false);
    memory_region_map(system_io(), 0, s->ports);

    memory_region_set_enabled(s->smb.ports, false);
    memory_region_map(system_io(), s->smb_io_base, s->smb.ports);

    acpi_apm_init(&s->apm, owner, smi_command, s);
    memory_region_map(system_io(), PIIX4_GPE_PORT, s->acpi.gpe_ports);
}

static bool piix4_realize(PciDevice *pci, GError **error)
{
    Piix4Pm *s = (Piix4Pm *)pci;
    Object *owner = &pci->device.object;

    store_le16(pci->config + PCI_STATUS, PCI_STATUS_FAST_BACK | PCI_STATUS_DEVSEL_MEDIUM);
    store_le32(pci->config + SMB_BASE, s->smb_io_base | 1);
    pci->config[SMB_HOST_CONFIG] = 0x09;
    piix4_pm_set_ports(s, false, false, false);
    device_init_gpio_out(&pci->device, NULL, &s->sci, 1);
    device_init_gpio_out(&pci->device, "smi-irq", &s->smi, 1);
    device_connect_gpio_out(&pci->device, NULL, 0, s->board->sci);
    device_connect_gpio_out(&pci->device, "smi-irq", 0, s->board->smi);

    acpi_pm_init(&s->acpi, owner, &s->sci, PIIX4_GPE_BYTES);
    s->acpi.disable_s3 = s->disable_s3;
    s->acpi.disable_s4 = s->disable_s4;
    s->acpi.s4_type = s->s4_val;
    smbus_host_init(&s->smb, &pci->device);
    map_registers(s, owner);
    if (s->root_hotplug) {
        acpi_pci_hotplug_init(&s->pci_hotplug, owner, pci_device_bus(pci), PIIX4_PCI_HOTPLUG_PORT, &s->acpi);
    }
    acpi_cpu_hotplug_init(&s->cpu_hotplug, owner, s->board->max_cpus, s->board->cpu_ops,
                          s->board->opaque, PIIX4_CPU_HOTPLUG_PORT, &s->acpi);
    acpi_report_cpus(&s->cpu_hotplug);
    vm_set_powerdown_handler(power_button, s);
    vm_set_wakeup_handler(woken, s);
    piix4_reset(pci);
    return true;
}

static void piix4_unrealize(PciDevice *pci)
{
    Piix4Pm *s = (Piix4Pm *)pci;

    acpi_report_cpus(NULL);
    vm_set_powerdown_handler(NULL, NULL);
    vm_set_wakeup_handler(NULL, NULL);
    acpi_cpu_hotplug_cleanup(&s->cpu_hotplug);
    acpi_pci_hotplug_cleanup(&s->pci_hotplug);
    smbus_host_cleanup(&s->smb);
    acpi_pm_cleanup(&s->acpi);
    acpi_apm_cleanup(&s->apm);
    memory_region_free(s->ports);
}

/*
 * Migration notes. Registers, and the timer that raises TMR_STS while that is enabled. The PM timer itself is the virtual
 * clock. Where the registers are follows from the configuration space; what can be woken by, from the enable bits. A
 * device that waits for the guest to let it go is in `down`; the other side has it as well and ejects it there. The
 * subsection of memory hot plug carries the selector of registers that this machine does not have.
 */
static bool piix4_pre_save(void *opaque, GError **error)
{
    acpi_pm_update_status(&((Piix4Pm *)opaque)->acpi);
    return true;
}

static bool piix4_pre_load(void *opaque, GError **error)
{
    Piix4Pm *s = opaque;

    acpi_cpu_hotplug_set_modern(&s->cpu_hotplug, false);
    memset(s->cpu_hotplug.cpus, 0, s->cpu_hotplug.count * sizeof(AcpiCpu));
    s->cpu_hotplug.select = s->cpu_hotplug.command = 0;
    s->memory_selector = s->pci_hotplug.acpi_index = 0;
    return true;
}

static bool piix4_post_load(void *opaque, int version, GError **error)
{
    Piix4Pm *s = opaque;

    update_ports(s);
    acpi_pm_loaded(&s->acpi);
    return true;
}

static bool memhp_needed(const void *opaque)
{
    return ((const Piix4Pm *)opaque)->memory_hotplug;
}

static const VmState vmstate_piix4_memhp = {
    .name = "piix4_pm/memhp",
    .version = 1,
    .minimum_version = 1,
    .needed = memhp_needed,
    .fields = (const VmField[]){ VM_NAMED_STRUCT("acpi_memory_hotplug", Piix4Pm, memory_selector,
                                                 vmstate_acpi_memory_hotplug, uint32_t),
                                 VM_END },
};

static bool cpuhp_needed(const void *opaque)
{
    return ((const Piix4Pm *)opaque)->cpu_hotplug.modern;
}

static bool cpuhp_pre_load(void *opaque, GError **error)
{
    acpi_cpu_hotplug_set_modern(&((Piix4Pm *)opaque)->cpu_hotplug, true);
    return true;
}

static bool cpuhp_post_load(void *opaque, int version, GError **error)
{
    Piix4Pm *s = opaque;

    return s->cpu_hotplug.command <= 3 ||
           error_set(error, "processor hot plug has command %u", s->cpu_hotplug.command);
}

static const VmState vmstate_piix4_cpuhp = {
    .name = "piix4_pm/cpuhp",
    .version = 1,
    .minimum_version = 1,
    .needed = cpuhp_needed,
    .pre_load = cpuhp_pre_load,
    .post_load = cpuhp_post_load,
    .fields = (const VmField[]){ VM_NAMED_STRUCT("cpuhp_state", Piix4Pm, cpu_hotplug,
                                                 vmstate_acpi_cpu_hotplug, AcpiCpuHotplug),
                                 VM_END },
};

static bool acpi_index_sent(const void *opaque, int version)
{
    return !((const Piix4Pm *)opaque)->not_migrate_acpi_index;
}

static const VmState vmstate_piix4_pm = {
    .name = "piix4_pm",
    .version = 3,
    .minimum_version = 3,
    .pre_save = piix4_pre_save,
    .pre_load = piix4_pre_load,
    .post_load = piix4_post_load,
    .fields =
        (const VmField[]){
            VM_NAMED_STRUCT("parent_obj", Piix4Pm, pci, vmstate_pci_device, PciDevice),
            VM_NAMED("ar.pm1.evt.sts", u16, uint16_t, Piix4Pm, acpi.sts),
            VM_NAMED("ar.pm1.evt.en", u16, uint16_t, Piix4Pm, acpi.en),
            VM_NAMED("ar.pm1.cnt.cnt", u16, uint16_t, Piix4Pm, acpi.cnt),
            VM_STRUCT(Piix4Pm, apm, vmstate_acpi_apm, AcpiApm),
            VM_STRUCT(Piix4Pm, smb, vmstate_smbus_host, SmbusHost),
            VM_NAMED("ar.tmr.timer", timer, Timer, Piix4Pm, acpi.timer),
            VM_NAMED("ar.tmr.overflow_time", i64, int64_t, Piix4Pm, acpi.overflow_time),
            VM_NAMED_STRUCT("ar.gpe", Piix4Pm, acpi.gpe, vmstate_acpi_gpe, AcpiGpe),
            VM_NAMED("acpi_pci_hotplug.hotplug_select", u32, uint32_t, Piix4Pm, pci_hotplug.select),
            VM_NAMED_STRUCT_ARRAY("acpi_pci_hotplug.acpi_pcihp_pci_status", Piix4Pm,
                                  pci_hotplug.slots, ACPI_PCI_HOTPLUG_BUSES, vmstate_acpi_pci_slots,
                                  AcpiPciSlots),
            VM_NAMED_TEST("acpi_pci_hotplug.acpi_index", u32, uint32_t, Piix4Pm,
                          pci_hotplug.acpi_index, acpi_index_sent),
            VM_END },
    .subsections = (const VmState *const[]){ &vmstate_piix4_memhp, &vmstate_piix4_cpuhp, NULL },
};

static const PciDeviceOps piix4_ops = {
    .vendor_id = PCI_VENDOR_INTEL,
    .device_id = 0x7113,
    .class_id = 0x0680,
    .revision = 0x03,
    .interrupt_pin = 1,
    .realize = piix4_realize,
    .unrealize = piix4_unrealize,
    .reset = piix4_reset,
    .config_written = piix4_config_written,
};

static const DeviceType piix4_pm_type = {
    .object = {
        .name = "PIIX4_PM",
        .parent = &pci_device_type.object,
        .size = sizeof(Piix4Pm),
        .description = "PM",
        .properties = (const Property[]){
            PROPERTY_UINT32("smb_io_base", Piix4Pm, smb_io_base, "0", NULL),
            PROPERTY_UINT8("disable_s3", Piix4Pm, disable_s3, "0", NULL),
            PROPERTY_UINT8("disable_s4", Piix4Pm, disable_s4, "0", NULL),
            PROPERTY_UINT8("s4_val", Piix4Pm, s4_val, "2", NULL),
            PROPERTY_BOOL("acpi-root-pci-hotplug", Piix4Pm, root_hotplug, "on", NULL),
            PROPERTY_BOOL("memory-hotplug-support", Piix4Pm, memory_hotplug, "on", NULL),
            PROPERTY_BOOL("smm-compat", Piix4Pm, smm_compat, "off", NULL),
            PROPERTY_BOOL("smm-enabled", Piix4Pm, smm_enabled, "off", NULL),
            PROPERTY_BOOL("x-not-migrate-acpi-index", Piix4Pm, not_migrate_acpi_index, "off", NULL),
            {}
        },
    },
    .category = DEVICE_CATEGORY_BRIDGE,
    .not_user_creatable = true,
    .not_hotpluggable = true,
    .migration = MIGRATES_WITH(vmstate_piix4_pm),
    .ops = &piix4_ops,
};
DEVICE_REGISTER(piix4_pm_type);

Piix4Pm *piix4_pm_new(PciBus *bus, int devfn, const Piix4PmBoard *board, GError **error)
{
    Piix4Pm *s = (Piix4Pm *)device_new(&piix4_pm_type);

    s->board = board;
    s->pci.devfn = devfn;
    if (!s->smb_io_base) {
        s->smb_io_base = PIIX4_SMBUS_PORT;
    }
    if (!device_realize(&s->pci.device, (Bus *)bus, error)) {
        object_unref(s);
        return NULL;
    }
    return s;
}
