/* SPDX-License-Identifier: GPL-2.0-or-later */
/* SMBIOS of the PC, as files of fw_cfg. */
#include "util/osdep.h"

#include "pc-fw.h"
#include "hw/core/cpu.h"
#include "hw/i386/smbios.h"
#include "hw/nvram/fw_cfg.h"
#include "system/identity.h"
#include "target/i386/cpu.h"
#include "target/i386/cpuid.h"
#include "util/error.h"

#define CPUID_HTT (1u << 28)
#define GIB (UINT64_C(1) << 30)

static int pci_address(const char *id)
{
    Device *dev = device_find(id, NULL);
    PciDevice *pci = object_cast(dev, &pci_device_type.object);

    return pci ? pci->devfn : -1;
}

static void describe(PcMachine *pc, SmbiosMachine *m)
{
    const Machine *machine = &pc->machine;
    const MachineType *type = machine_get_type(machine);
    unsigned cores = MAX(machine->smp.cores, 1) * MAX(machine->smp.dies, 1),
             threads = MAX(machine->smp.threads, 1);
    Cpu *cpu = cpu_first();
    uint32_t regs[4] = { 0 };

    if (cpu && object_is_a(cpu, &x86_cpu_type.object)) {
        x86_cpu_cpuid((X86Cpu *)cpu, 1, 0, regs);
    }
    *m = (SmbiosMachine){
        .manufacturer = "QEMU",
        .product = type->description,
        .version = type->name,
        .uuid = vm_get_uuid(),
        .sockets = (MAX(machine->smp.max_cpus, 1) + cores * threads - 1) / (cores * threads),
        .cores = cores,
        .threads = threads,
        .cpuid_eax = regs[0],
        .cpuid_edx = regs[3] & ~CPUID_HTT, /* the processor's, whatever stands beside it */
        .ram_size = machine->ram_size,
        .ranges = { { 0, pc->ram_below_4g }, { 4 * GIB, machine->ram_size - pc->ram_below_4g } },
        .pci_address = pci_address,
    };
}

/* By version of the machine: 2.8, 3.0, whichever is needed. */
static const char *usual_entry_point(const char *version)
{
    return machine_version_compare(version, "8.0") <= 0   ? "32"
           : machine_version_compare(version, "8.2") <= 0 ? "64"
                                                          : "auto";
}

bool pc_smbios_init(PcMachine *pc, GError **error)
{
    SmbiosMachine m;
    g_autoptr(GByteArray) tables = NULL;
    g_autoptr(GByteArray) anchor = NULL;
    const char *type = pc->smbios_entry_point
                           ? pc->smbios_entry_point
                           : usual_entry_point(machine_get_type(&pc->machine)->version);
    bool automatic = !strcmp(type, "auto"), ok;
    g_autoptr(GError) too_large = NULL;

    if (!automatic && strcmp(type, "32") && strcmp(type, "64")) {
        return error_set(error, "Parameter 'smbios-entry-point-type' does not accept value '%s'",
                         type);
    }
    describe(pc, &m);
    m.entry_point_64 = !strcmp(type, "64");
    ok = smbios_build(&m, &tables, &anchor, automatic ? &too_large : error);
    if (!ok && automatic) {
        m.entry_point_64 = true;
        ok = smbios_build(&m, &tables, &anchor, error);
    }
    return ok &&
           fw_cfg_add_file(fw_cfg_find(), "etc/smbios/smbios-tables", tables->data, tables->len,
                           error) &&
           fw_cfg_add_file(fw_cfg_find(), "etc/smbios/smbios-anchor", anchor->data, anchor->len,
                           error);
}
