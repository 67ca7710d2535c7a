/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * vmport: the VMware backdoor (commands and registers as the public drivers of open-vm-tools and Linux use them). A guest
 * reads port 5658h with a magic number in EAX and a command in CX, and gets its answer in registers.
 */
#include "util/osdep.h"
#include "hw/misc/vmport.h"
#include "hw/core/machine.h"
#include "target/i386/cpu.h"
#include "util/error.h"
#include "util/trace.h"

TRACE_EVENT(vmport_register);
TRACE_EVENT(vmport_command);

#define VMPORT 0x5658
#define MAGIC 0x564d5868
#define UNKNOWN_COMMAND UINT32_MAX

enum { CMD_GET_VERSION = 0x0a, CMD_GET_RAM_SIZE = 0x14 };

typedef struct Vmport {
    IsaDevice isa;
    struct {
        VmportFunc *func;
        void *opaque;
    } commands[VMPORT_COMMANDS];
    uint32_t version;
    uint8_t type;
    bool signal_unsupported, report_type;
    MemoryRegion *port;
} Vmport;

void vmport_register(Device *vmport, uint8_t command, VmportFunc *func, void *opaque)
{
    Vmport *s = (Vmport *)vmport;

    g_assert(command < VMPORT_COMMANDS);
    trace(vmport_register, "command 0x%02x", command);
    s->commands[command].func = func;
    s->commands[command].opaque = opaque;
}

static uint32_t get_version(void *opaque, VmportRegs *regs)
{
    Vmport *s = opaque;

    regs->ebx = MAGIC;
    if (s->report_type) {
        regs->ecx = s->type;
    }
    return s->version;
}

static uint32_t get_ram_size(void *opaque, VmportRegs *regs)
{
    regs->ebx = 0x1177; /* the value that says: in bytes, in EAX */
    return MIN(machine_current()->ram_size, UINT32_MAX);
}

static uint32_t vmport_run(Vmport *s, VmportRegs *regs)
{
    uint16_t command = regs->ecx;

    trace(vmport_command, "command 0x%02x", command);
    if (command >= VMPORT_COMMANDS || !s->commands[command].func) {
        return s->signal_unsupported ? UNKNOWN_COMMAND : regs->eax;
    }
    return s->commands[command].func(s->commands[command].opaque, regs);
}

/* The answer in EAX is the value that is read; the other registers are the processor's. Nobody's access (a monitor's, a
 * test's) and one without the magic number finds nothing. */
static uint64_t vmport_read(void *opaque, hwaddr offset, unsigned size)
{
    Cpu *cpu = cpu_current();
    uint64_t *r;
    VmportRegs regs;
    uint32_t eax;

    if (!cpu) {
        return UINT32_MAX;
    }
    cpu_sync(cpu);
    r = X86_CPU(cpu)->env.regs;
    regs = (VmportRegs){ r[X86_RAX], r[X86_RBX], r[X86_RCX], r[X86_RDX], r[X86_RSI], r[X86_RDI] };
    if (regs.eax != MAGIC) {
        return UINT32_MAX;
    }
    eax = vmport_run(opaque, &regs);
    r[X86_RBX] = regs.ebx;
    r[X86_RCX] = regs.ecx;
    r[X86_RDX] = regs.edx;
    r[X86_RSI] = regs.esi;
    r[X86_RDI] = regs.edi;
    cpu_mark_changed(cpu, CPU_PUT_RUNTIME);
    return eax;
}

static void vmport_write(void *opaque, hwaddr offset, uint64_t value, unsigned size)
{
    vmport_read(opaque, offset, size); /* OUT asks, too; the answer in EAX is lost */
}

static const MemoryOps vmport_ops = {
    .read = vmport_read,
    .write = vmport_write,
    .valid = { .min_size = 4, .max_size = 4 },
    .impl = { .min_size = 4, .max_size = 4 },
};

static bool vmport_realize(Device *dev, GError **error)
{
    Vmport *s = (Vmport *)dev;

    s->port = memory_region_new_io(&dev->object, &vmport_ops, s, "vmport", 1);
    isa_map_ports(dev, VMPORT, s->port);
    vmport_register(dev, CMD_GET_VERSION, get_version, s);
    vmport_register(dev, CMD_GET_RAM_SIZE, get_ram_size, s);
    return true;
}

static void vmport_unrealize(Device *dev)
{
    memory_region_free(((Vmport *)dev)->port);
}

Device *vmport_new(IsaBus *bus, GError **error)
{
    return isa_create(bus, "vmport", error);
}

static const DeviceType vmport_type = {
    .object = {
        .name = "vmport",
        .parent = &isa_device_type.object,
        .size = sizeof(Vmport),
        .properties = (const Property[]){
            PROPERTY_UINT8("vmware-vmx-type", Vmport, type, "2", NULL),
            PROPERTY_UINT32("vmware-vmx-version", Vmport, version, "6", NULL),
            PROPERTY_BOOL("x-report-vmx-type", Vmport, report_type, "on", "on/off"),
            PROPERTY_BOOL("x-signal-unsupported-cmd", Vmport, signal_unsupported, "on", "on/off"),
            {},
        },
    },
    .not_user_creatable = true,
    .realize = vmport_realize,
    .unrealize = vmport_unrealize,
    .migration = STATELESS("a command is answered when it is asked"),
};
DEVICE_REGISTER(vmport_type);
