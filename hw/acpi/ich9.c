/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * ICH9 function 1f.0, the LPC bridge (Intel ICH9 data sheet, order number 316972, chapters 10 and 13): ISA bus, routing of
 * eight PIRQs, ACPI registers at PMBASE with the TCO watchdog, SMI command port, reset control register, chip set
 * configuration registers at RCBA. Around it what the PC has for hot plug and the chip has not.
 *
 * I1  A PIRQ drives its own input of the I/O APIC, and the ISA line that its route control register names.
 * I2  An ISA line is raised while any PIRQ routed to it is, or the SCI. Lines that neither touches are not driven.
 *
 * There is no system management mode: SMI_EN and SMI_STS are registers without effect.
 */
#include "util/osdep.h"

#include "hw/acpi/ich9.h"
#include "hw/isa/i8257.h"
#include "system/runstate.h"
#include "tco.h"
#include "util/bytes.h"
#include "util/error.h"
#include "util/trace.h"

TRACE_EVENT(ich9_smi_command)

enum { /* configuration space */
       LPC_PMBASE = 0x40,
       LPC_ACPI_CNTL = 0x44,
       LPC_PIRQA_ROUT = 0x60,
       LPC_PIRQE_ROUT = 0x68,
       LPC_RCBA = 0xf0,
};
enum { /* chip set configuration registers */
       CC_D31IR = 0x3140,
       CC_GCS = 0x3410,
       CC_SIZE = 0x4000,
};
#define LPC_DEVFN PCI_DEVFN(31, 0)
#define PMBASE_MASK 0xff80u
#define ACPI_CNTL_ENABLE 0x80
#define ACPI_CNTL_SCI_SELECT 0x07
#define PIRQ_DISABLED 0x80
#define RCBA_MASK 0xffffc000u
#define RCBA_ENABLE 0x01
#define GCS_NO_REBOOT 0x20
#define PM_PORTS_SIZE 128
#define PM_SMI_OFFSET 0x30
#define PM_TCO_OFFSET 0x60
#define SMI_EN_APMC \
    0x20 /* set from the start: firmware takes its SMI handler for set up, and does not wait for one */
#define RESET_CONTROL_PORT 0xcf9
#define RCR_MASK 0x0e
#define RCR_RESET 0x04
#define STREAM_GPE_BYTES 16 /* as streams have them: ours, and as many that there are not */

struct Ich9Lpc {
    PciDevice pci;
    const Ich9Board *board;
    AcpiPm acpi;
    AcpiTco tco;
    AcpiApm apm;
    AcpiCpuHotplug cpu_hotplug;
    AcpiPciHotplug pci_hotplug;
    uint32_t memory_selector;
    uint32_t smi_en, smi_sts;
    uint8_t rst_cnt;
    uint8_t chip_config[CC_SIZE];
    uint32_t sci_level;
    uint32_t driven; /* inputs of board->gsi that are held up (I1, I2) */
    IsaBus *isa;
    Irq *sci;
    MemoryRegion *ports, *smi_ports, *reset_control, *rcrb;

    /* For the description below: acpi.gpe, and behind it what streams have besides, kept as it came. */
    uint8_t gpe_sts[STREAM_GPE_BYTES], gpe_en[STREAM_GPE_BYTES];
    bool noreboot, memory_hotplug, bridge_hotplug, enable_tco;
    uint8_t disable_s3, disable_s4, s4_val;
};

IsaBus *ich9_lpc_isa(Ich9Lpc *s)
{
    return s->isa;
}

AcpiPm *ich9_lpc_acpi(Ich9Lpc *s)
{
    return &s->acpi;
}

AcpiCpuHotplug *ich9_lpc_cpus(Ich9Lpc *s)
{
    return &s->cpu_hotplug;
}

uint32_t ich9_lpc_pm_base(const Ich9Lpc *s)
{
    return load_le32(s->pci.config + LPC_PMBASE) & PMBASE_MASK;
}

/* ---- interrupts ---------------------------------------------------------------------------------------------------- */

/* Functions of slots 25 to 31 are wired as the chip's own devices, by DnnIR; slots have PIRQE to H in turn. Slot 30 would be
 * the bridge to conventional PCI, which has PIRQE first. */
static int ich9_map_irq(void *opaque, int devfn, int pin)
{
    static const uint16_t registers[] = {
        [25] = 0x3150, [26] = 0x314c, [27] = 0x3148, [28] = 0x3146, [29] = 0x3144, [31] = CC_D31IR
    };
    const Ich9Lpc *s = opaque;
    int slot = PCI_SLOT(devfn);

    if (slot == 30) {
        return 4 + pin;
    }
    if (slot < 25) {
        return 4 + (slot + pin) % 4;
    }
    return load_le16(s->chip_config + registers[slot]) >> 4 * pin & 7;
}

static int ich9_route(const Ich9Lpc *s, int pirq)
{
    uint8_t route = s->pci.config[pirq < 4 ? LPC_PIRQA_ROUT + pirq : LPC_PIRQE_ROUT + pirq - 4];

    return route & PIRQ_DISABLED ? -1 : route & 0xf;
}

/* The input that the SCI drives; selections that the data sheet reserves are as the default. */
static int ich9_sci_gsi(const Ich9Lpc *s)
{
    static const uint8_t gsi[8] = { 9, 10, 11, 9, 20, 21, 9, 9 };

    return gsi[s->pci.config[LPC_ACPI_CNTL] & ACPI_CNTL_SCI_SELECT];
}

static void update_lines(Ich9Lpc *s)
{
    uint32_t wanted = s->sci_level ? 1u << ich9_sci_gsi(s) : 0, changed;

    for (int pirq = 0; pirq < ICH9_NUM_PIRQS; pirq++) {
        int line = ich9_route(s, pirq);

        if (pci_bus_line_level(pci_device_bus(&s->pci), pirq)) {
            wanted |= 1u << (ICH9_FIRST_PIRQ_GSI + pirq);
            wanted |= line >= 0 ? 1u << line : 0;
        }
    }
    changed = wanted ^ s->driven;
    s->driven = wanted;
    for (int gsi = 0; gsi < ICH9_FIRST_PIRQ_GSI + ICH9_NUM_PIRQS; gsi++) {
        if (changed >> gsi & 1) {
            irq_set(s->board->gsi[gsi], wanted >> gsi & 1);
        }
    }
}

static void ich9_set_irq(void *opaque, int pirq, int level)
{
    update_lines(opaque);
}

static void set_sci(void *opaque, int n, int level)
{
    Ich9Lpc *s = opaque;

    s->sci_level = level;
    update_lines(s);
}

/* ---- where registers are --------------------------------------------------------------------------------------------- */

static void update_ports(Ich9Lpc *s)
{
    uint32_t rcba = load_le32(s->pci.config + LPC_RCBA);

    memory_transaction_begin();
    memory_region_set_address(s->ports, ich9_lpc_pm_base(s));
    memory_region_set_enabled(s->ports, s->pci.config[LPC_ACPI_CNTL] & ACPI_CNTL_ENABLE);
    memory_region_set_address(s->rcrb, rcba & RCBA_MASK);
    memory_region_set_enabled(s->rcrb, rcba & RCBA_ENABLE);
    memory_transaction_commit();
}

static void ich9_config_written(PciDevice *pci, unsigned addr, unsigned len)
{
    Ich9Lpc *s = (Ich9Lpc *)pci;

    if (pci_config_touches(addr, len, LPC_PMBASE, 8) || pci_config_touches(addr, len, LPC_RCBA, 4)) {
        update_ports(s);
    }
    if (pci_config_touches(addr, len, LPC_ACPI_CNTL, 1) || pci_config_touches(addr, len, LPC_PIRQA_ROUT, 4) ||
        pci_config_touches(addr, len, LPC_PIRQE_ROUT, 4)) {
        update_lines(s);
    }
}

/* ---- chip set configuration registers --------------------------------------------------------------------------------- */

static uint64_t rcrb_read(void *opaque, hwaddr offset, unsigned size)
{
    const Ich9Lpc *s = opaque;
    uint64_t value = 0;

    for (unsigned i = 0; i < size; i++) {
        value |= (uint64_t)s->chip_config[offset + i] << i * 8;
    }
    return value;
}

/* Most registers have no effect; those of interrupt routing do. */
static void rcrb_write(void *opaque, hwaddr offset, uint64_t value, unsigned size)
{
    Ich9Lpc *s = opaque;

    for (unsigned i = 0; i < size; i++) {
        s->chip_config[offset + i] = value >> i * 8;
    }
    pci_bus_rerouted(pci_device_bus(&s->pci));
}

static const MemoryOps rcrb_ops = {
    .read = rcrb_read,
    .write = rcrb_write,
    .valid = { .min_size = 1, .max_size = 4 },
    .impl = { .min_size = 1, .max_size = 4 },
};

static void reset_chip_config(Ich9Lpc *s)
{
    static const uint16_t wired[] = { CC_D31IR, 0x3144, 0x3146, 0x3148, 0x314c, 0x3150 };

    memset(s->chip_config, 0, sizeof(s->chip_config));
    for (unsigned i = 0; i < G_N_ELEMENTS(wired); i++) {
        store_le16(s->chip_config + wired[i], 0x3210);
    }
    s->chip_config[CC_GCS] = s->noreboot ? GCS_NO_REBOOT : 0;
}

static bool watchdog_may_reset(void *opaque)
{
    return !(((Ich9Lpc *)opaque)->chip_config[CC_GCS] & GCS_NO_REBOOT);
}

/* ---- SMI command, SMI registers, reset control ------------------------------------------------------------------------- */

/* What the handler in system management mode would do for ACPI is done here. */
static void smi_command(void *opaque, uint8_t value)
{
    Ich9Lpc *s = opaque;

    trace(ich9_smi_command, "0x%02x", value);
    if (value == ICH9_ACPI_ENABLE || value == ICH9_ACPI_DISABLE) {
        acpi_pm_set_sci_enabled(&s->acpi, value == ICH9_ACPI_ENABLE);
    }
}

static uint64_t smi_read(void *opaque, hwaddr offset, unsigned size)
{
    const Ich9Lpc *s = opaque;

    return offset ? s->smi_sts : s->smi_en;
}

static void smi_write(void *opaque, hwaddr offset, uint64_t value, unsigned size)
{
    Ich9Lpc *s = opaque;

    if (offset == 0) {
        s->smi_en = value;
    } else {
        s->smi_sts &= ~value;
    }
}

static const MemoryOps smi_ops = {
    .read = smi_read,
    .write = smi_write,
    .valid = { .min_size = 1, .max_size = 4 },
    .impl = { .min_size = 4, .max_size = 4 },
};

static uint64_t rcr_read(void *opaque, hwaddr offset, unsigned size)
{
    return ((Ich9Lpc *)opaque)->rst_cnt;
}

static void rcr_write(void *opaque, hwaddr offset, uint64_t value, unsigned size)
{
    Ich9Lpc *s = opaque;

    if (value & RCR_RESET) {
        vm_request_reset(VM_SHUTDOWN_GUEST_RESET);
        return;
    }
    s->rst_cnt = value & RCR_MASK;
}

static const MemoryOps rcr_ops = {
    .read = rcr_read,
    .write = rcr_write,
    .impl = { .min_size = 1, .max_size = 1 },
};

/* ---- life cycle -------------------------------------------------------------------------------------------------------- */

static void power_button(void *opaque)
{
    acpi_pm_power_button(&((Ich9Lpc *)opaque)->acpi);
}

static void woken(void *opaque, VmWakeupReason reason)
{
    acpi_pm_woken(&((Ich9Lpc *)opaque)->acpi, reason);
}

static void ich9_reset(PciDevice *pci)
{
    Ich9Lpc *s = (Ich9Lpc *)pci;

    store_le32(pci->config + LPC_PMBASE, 0x01);
    pci->config[LPC_ACPI_CNTL] = 0;
    store_le32(pci->config + LPC_RCBA, 0);
    memset(pci->config + LPC_PIRQA_ROUT, PIRQ_DISABLED, 4);
    memset(pci->config + LPC_PIRQE_ROUT, PIRQ_DISABLED, 4);
    reset_chip_config(s);
    s->smi_en = SMI_EN_APMC;
    s->smi_sts = 0;
    s->rst_cnt = 0;
    s->memory_selector = 0;
    memset(s->gpe_sts, 0, sizeof(s->gpe_sts));
    memset(s->gpe_en, 0, sizeof(s->gpe_en));
    update_ports(s);
    acpi_pm_reset(&s->acpi);
    tco_reset(&s->tco);
    acpi_pci_hotplug_reset(&s->pci_hotplug);
    pci_bus_rerouted(pci_device_bus(pci)); /* by the chip set configuration registers' new values */
    update_lines(s);
}

static void map_registers(Ich9Lpc *s, Object *owner)
{
    s->smi_ports = memory_region_new_io(owner, &smi_ops, s, "acpi-smi", 8);
    s->ports = memory_region_new_container(owner, "ich9-pm", PM_PORTS_SIZE);
    memory_region_map(s->ports, 0, s->acpi.event);
    memory_region_map(s->ports, 4, s->acpi.control);
    memory_region_map(s->ports, 8, s->acpi.timer_port);
    memory_region_map(s->ports, ICH9_GPE_OFFSET, s->acpi.gpe_ports);
    memory_region_map(s->ports, PM_SMI_OFFSET, s->smi_ports);
    memory_region_map(s->ports, PM_TCO_OFFSET, s->tco.ports);
    memory_region_set_enabled(s->ports, false);
    memory_region_map(system_io(), 0, s->ports);

    s->reset_control = memory_region_new_io(owner, &rcr_ops, s, "lpc-reset-control", 1);
    memory_region_map_overlap(system_io(), RESET_CONTROL_PORT, s->reset_control, 1);
    s->rcrb = memory_region_new_io(owner, &rcrb_ops, s, "lpc-rcrb-mmio", CC_SIZE);
    memory_region_set_enabled(s->rcrb, false);
    memory_region_map_overlap(system_memory(), 0, s->rcrb, 1);
}

static void init_masks(PciDevice *pci)
{
    pci->wmask[LPC_PMBASE] = PMBASE_MASK & 0xff;
    pci->wmask[LPC_PMBASE + 2] = pci->wmask[LPC_PMBASE + 3] = 0;
    pci->wmask[LPC_ACPI_CNTL] = ACPI_CNTL_ENABLE | ACPI_CNTL_SCI_SELECT;
    store_le32(pci->wmask + LPC_RCBA, RCBA_MASK | RCBA_ENABLE);
}

static bool ich9_realize(PciDevice *pci, GError **error)
{
    Ich9Lpc *s = (Ich9Lpc *)pci;
    Object *owner = &pci->device.object;

    s->isa = isa_bus_new(&pci->device, system_memory(), system_io());
    if (!i8257_pair_new(s->isa, error)) {
        return false;
    }
    init_masks(pci);
    s->sci = irq_new(set_sci, s, 0);
    acpi_pm_init(&s->acpi, owner, &s->sci, ICH9_GPE_BYTES);
    s->acpi.disable_s3 = s->disable_s3;
    s->acpi.disable_s4 = s->disable_s4;
    s->acpi.s4_type = s->s4_val;
    tco_init(&s->tco, owner, watchdog_may_reset, s);
    acpi_apm_init(&s->apm, owner, smi_command, s);
    map_registers(s, owner);
    if (s->bridge_hotplug) {
        acpi_pci_hotplug_init(&s->pci_hotplug, owner, pci_device_bus(pci), ICH9_PCI_HOTPLUG_PORT,
                              &s->acpi);
    }
    acpi_cpu_hotplug_init(&s->cpu_hotplug, owner, s->board->max_cpus, s->board->cpu_ops,
                          s->board->opaque, ICH9_CPU_HOTPLUG_PORT, &s->acpi);
    acpi_report_cpus(&s->cpu_hotplug);
    vm_set_powerdown_handler(power_button, s);
    vm_set_wakeup_handler(woken, s);
    pci_bus_set_irq_router(pci_device_bus(pci), ich9_map_irq, ich9_set_irq, s, ICH9_NUM_PIRQS);
    ich9_reset(pci);
    return true;
}

static void ich9_unrealize(PciDevice *pci)
{
    Ich9Lpc *s = (Ich9Lpc *)pci;

    acpi_report_cpus(NULL);
    vm_set_powerdown_handler(NULL, NULL);
    vm_set_wakeup_handler(NULL, NULL);
    acpi_cpu_hotplug_cleanup(&s->cpu_hotplug);
    acpi_pci_hotplug_cleanup(&s->pci_hotplug);
    acpi_apm_cleanup(&s->apm);
    tco_cleanup(&s->tco);
    acpi_pm_cleanup(&s->acpi);
    memory_region_free(s->smi_ports);
    memory_region_free(s->ports);
    memory_region_free(s->reset_control);
    memory_region_free(s->rcrb);
    irq_free(s->sci);
}

/*
 * Migration notes. Registers, the PM timer's and the watchdog's timers. Where registers are and how interrupts are routed
 * follows from the configuration space and the chip set configuration registers; the levels of PIRQs from the devices' pins,
 * which come in their own sections. What firmware negotiates about SMIs is not there, so a stream with it is refused.
 */
static bool ich9_pre_save(void *opaque, GError **error)
{
    Ich9Lpc *s = opaque;

    acpi_pm_update_status(&s->acpi);
    store_le64(s->gpe_sts, s->acpi.gpe.sts);
    store_le64(s->gpe_en, s->acpi.gpe.en);
    return true;
}

/* A subsection that does not come means the value after a reset. */
static bool ich9_pre_load(void *opaque, GError **error)
{
    Ich9Lpc *s = opaque;

    acpi_cpu_hotplug_set_modern(&s->cpu_hotplug, false);
    memset(s->cpu_hotplug.cpus, 0, s->cpu_hotplug.count * sizeof(AcpiCpu));
    s->cpu_hotplug.select = s->cpu_hotplug.command = 0;
    s->memory_selector = 0;
    s->rst_cnt = 0;
    return true;
}

static bool ich9_post_load(void *opaque, int version, GError **error)
{
    Ich9Lpc *s = opaque;

    s->acpi.gpe = (AcpiGpe){ .sts = load_le64(s->gpe_sts), .en = load_le64(s->gpe_en) };
    update_ports(s);
    acpi_pm_loaded(&s->acpi);
    pci_bus_rerouted(pci_device_bus(&s->pci));
    return true;
}

static bool memhp_needed(const void *opaque)
{
    return ((const Ich9Lpc *)opaque)->memory_hotplug;
}

static const VmState vmstate_ich9_memhp = {
    .name = "ich9_pm/memhp",
    .version = 1,
    .minimum_version = 1,
    .needed = memhp_needed,
    .fields = (const VmField[]){ VM_NAMED_STRUCT("acpi_memory_hotplug", Ich9Lpc, memory_selector,
                                                 vmstate_acpi_memory_hotplug, uint32_t),
                                 VM_END },
};

static bool tco_needed(const void *opaque)
{
    return ((const Ich9Lpc *)opaque)->enable_tco;
}

static const VmState vmstate_ich9_tco = {
    .name = "ich9_pm/tco",
    .version = 1,
    .minimum_version = 1,
    .needed = tco_needed,
    .fields = (const VmField[]){ VM_NAMED_STRUCT("tco_regs", Ich9Lpc, tco, vmstate_tco, AcpiTco),
                                 VM_END },
};

static bool cpuhp_needed(const void *opaque)
{
    return ((const Ich9Lpc *)opaque)->cpu_hotplug.modern;
}

static bool cpuhp_pre_load(void *opaque, GError **error)
{
    acpi_cpu_hotplug_set_modern(&((Ich9Lpc *)opaque)->cpu_hotplug, true);
    return true;
}

static bool cpuhp_post_load(void *opaque, int version, GError **error)
{
    const Ich9Lpc *s = opaque;

    return s->cpu_hotplug.command <= 3 ||
           error_set(error, "processor hot plug has command %u", s->cpu_hotplug.command);
}

static const VmState vmstate_ich9_cpuhp = {
    .name = "ich9_pm/cpuhp",
    .version = 1,
    .minimum_version = 1,
    .needed = cpuhp_needed,
    .pre_load = cpuhp_pre_load,
    .post_load = cpuhp_post_load,
    .fields = (const VmField[]){ VM_NAMED_STRUCT("cpuhp_state", Ich9Lpc, cpu_hotplug,
                                                 vmstate_acpi_cpu_hotplug, AcpiCpuHotplug),
                                 VM_END },
};

static bool pcihp_needed(const void *opaque)
{
    return ((const Ich9Lpc *)opaque)->bridge_hotplug;
}

static const VmState vmstate_ich9_pcihp = {
    .name = "ich9_pm/pcihp",
    .version = 1,
    .minimum_version = 1,
    .needed = pcihp_needed,
    .fields =
        (const VmField[]){
            VM_NAMED("acpi_pci_hotplug.hotplug_select", u32, uint32_t, Ich9Lpc, pci_hotplug.select),
            VM_NAMED_STRUCT_ARRAY("acpi_pci_hotplug.acpi_pcihp_pci_status", Ich9Lpc,
                                  pci_hotplug.slots, ACPI_PCI_HOTPLUG_BUSES,
                                  vmstate_acpi_pci_bridge_slots, AcpiPciSlots),
            VM_NAMED("acpi_pci_hotplug.acpi_index", u32, uint32_t, Ich9Lpc, pci_hotplug.acpi_index),
            VM_END },
};

/* The power management part; in stock a struct of its own within the bridge. */
static const VmState vmstate_ich9_pm = {
    .name = "ich9_pm",
    .version = 1,
    .minimum_version = 1,
    .pre_save = ich9_pre_save,
    .pre_load = ich9_pre_load,
    .fields =
        (const VmField[]){
            VM_NAMED("acpi_regs.pm1.evt.sts", u16, uint16_t, Ich9Lpc, acpi.sts),
            VM_NAMED("acpi_regs.pm1.evt.en", u16, uint16_t, Ich9Lpc, acpi.en),
            VM_NAMED("acpi_regs.pm1.cnt.cnt", u16, uint16_t, Ich9Lpc, acpi.cnt),
            VM_NAMED("acpi_regs.tmr.timer", timer, Timer, Ich9Lpc, acpi.timer),
            VM_NAMED("acpi_regs.tmr.overflow_time", i64, int64_t, Ich9Lpc, acpi.overflow_time),
            VM_NAMED_ARRAY("acpi_regs.gpe.sts", u8, uint8_t, Ich9Lpc, gpe_sts, STREAM_GPE_BYTES),
            VM_NAMED_ARRAY("acpi_regs.gpe.en", u8, uint8_t, Ich9Lpc, gpe_en, STREAM_GPE_BYTES),
            VM_U32(Ich9Lpc, smi_en), VM_U32(Ich9Lpc, smi_sts), VM_END },
    .subsections = (const VmState *const[]){ &vmstate_ich9_memhp, &vmstate_ich9_tco,
                                             &vmstate_ich9_cpuhp, &vmstate_ich9_pcihp, NULL },
};

static bool rst_cnt_needed(const void *opaque)
{
    return ((const Ich9Lpc *)opaque)->rst_cnt != 0;
}

static const VmState vmstate_ich9_rst_cnt = {
    .name = "ICH9LPC/rst_cnt",
    .version = 1,
    .minimum_version = 1,
    .needed = rst_cnt_needed,
    .fields = (const VmField[]){ VM_U8(Ich9Lpc, rst_cnt), VM_END },
};

static const VmState vmstate_ich9_lpc = {
    .name = "ICH9LPC",
    .version = 1,
    .minimum_version = 1,
    .post_load = ich9_post_load,
    .fields =
        (const VmField[]){
            VM_NAMED_STRUCT("d", Ich9Lpc, pci, vmstate_pci_device, PciDevice),
            VM_STRUCT(Ich9Lpc, apm, vmstate_acpi_apm, AcpiApm),
            { .name = "pm", .offset = 0, .size = sizeof(Ich9Lpc), .vmstate = &vmstate_ich9_pm },
            VM_U8_ARRAY(Ich9Lpc, chip_config, CC_SIZE),
            VM_U32(Ich9Lpc, sci_level),
            VM_END },
    .subsections = (const VmState *const[]){ &vmstate_ich9_rst_cnt, NULL },
};

static const PciDeviceOps ich9_ops = {
    .vendor_id = PCI_VENDOR_INTEL,
    .device_id = 0x2918,
    .class_id = 0x0601,
    .revision = 0x02,
    .realize = ich9_realize,
    .unrealize = ich9_unrealize,
    .reset = ich9_reset,
    .config_written = ich9_config_written,
};

static const DeviceType ich9_lpc_type = {
    .object = {
        .name = "ICH9-LPC",
        .parent = &pci_device_type.object,
        .size = sizeof(Ich9Lpc),
        .description = "ICH9 LPC bridge",
        .properties = (const Property[]){
            PROPERTY_BOOL("noreboot", Ich9Lpc, noreboot, "on", NULL),
            PROPERTY_UINT8("disable_s3", Ich9Lpc, disable_s3, "0", NULL),
            PROPERTY_UINT8("disable_s4", Ich9Lpc, disable_s4, "0", NULL),
            PROPERTY_UINT8("s4_val", Ich9Lpc, s4_val, "2", NULL),
            PROPERTY_BOOL("enable_tco", Ich9Lpc, enable_tco, "on", NULL),
            PROPERTY_BOOL("memory-hotplug-support", Ich9Lpc, memory_hotplug, "on", NULL),
            PROPERTY_BOOL("acpi-pci-hotplug-with-bridge-support", Ich9Lpc, bridge_hotplug, "on", NULL),
            {}
        },
    },
    .category = DEVICE_CATEGORY_BRIDGE,
    .not_user_creatable = true,
    .not_hotpluggable = true,
    .migration = MIGRATES_WITH(vmstate_ich9_lpc),
    .ops = &ich9_ops,
};
DEVICE_REGISTER(ich9_lpc_type);

Ich9Lpc *ich9_lpc_new(PciBus *bus, const Ich9Board *board, GError **error)
{
    Ich9Lpc *s = (Ich9Lpc *)device_new(&ich9_lpc_type);

    s->board = board;
    s->pci.devfn = LPC_DEVFN;
    s->pci.multifunction = true;
    if (!device_realize(&s->pci.device, (Bus *)bus, error)) {
        object_unref(s);
        return NULL;
    }
    isa_bus_connect_irqs(s->isa, board->gsi);
    return s;
}
