/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * isa-parallel: the parallel port of the AT (IBM Personal Computer AT Technical Reference, "Serial/Parallel Adapter";
 * IEEE 1284-1994, compatibility mode) with a printer that takes what the character device takes.
 *
 *   P1  A byte that was strobed and that the other side has not taken is in dataw, and the printer is busy.
 *   P2  The printer acknowledges while the guest looks: the first look at the status after the strobe sees it busy, the
 *       second sees nAck low, the third ready. (It needs no time that one could wait for.)
 */
#include "util/osdep.h"
#include "hw/core/chardev.h"
#include "hw/isa/isa.h"
#include "io/channel.h"
#include "system/runstate.h"
#include "util/error.h"
#include "util/trace.h"

TRACE_EVENT(parallel_ioport_read);
TRACE_EVENT(parallel_ioport_write);

#define MOST_PORTS 3
#define PARALLEL_SIZE 8

enum { REG_DATA = 0, REG_STATUS = 1, REG_CONTROL = 2 };

#define STATUS_TIMEOUT 0x01
#define STATUS_ERROR_N 0x08
#define STATUS_SELECTED 0x10
#define STATUS_ACK_N 0x40
#define STATUS_BUSY_N 0x80
#define STATUS_READY (STATUS_BUSY_N | STATUS_ACK_N | STATUS_SELECTED | STATUS_ERROR_N)

#define CONTROL_STROBE 0x01
#define CONTROL_INIT_N 0x04
#define CONTROL_SELECT 0x08
#define CONTROL_INTERRUPT 0x10
#define CONTROL_INPUT 0x20
#define CONTROL_ONES 0xc0

typedef struct Parallel {
    IsaDevice isa;
    uint8_t dataw, datar, status, control;
    int32_t irq_pending;
    int32_t epp_timeout; /* kept for stock */
    uint8_t unsent;      /* P1 */

    uint32_t index, iobase, irq_number;
    ChardevFe chr;
    Irq *irq;
    MemoryRegion *ports;
    GSource *writable;
    VmStateEntry *vm_state;
} Parallel;

static const uint16_t places[MOST_PORTS] = { 0x378, 0x278, 0x3bc };
static unsigned next_index;

/* ---- the printer ------------------------------------------------------------------------------------------------ */

static void parallel_send(Parallel *s);

static void parallel_writable(void *opaque)
{
    Parallel *s = opaque;

    io_watch_clear(&s->writable);
    parallel_send(s);
}

/* Nothing is sent while the machine stands still: what is saved stays true. */
static void parallel_send(Parallel *s)
{
    if (!s->unsent || !vm_is_running()) {
        return;
    }
    if (chardev_write(&s->chr, &s->dataw, 1) == 0) {
        if (!s->writable) {
            s->writable = chardev_add_write_watch(&s->chr, parallel_writable, s);
        }
        if (s->writable) {
            return;
        }
    }
    s->unsent = 0;
}

static void parallel_vm_state(void *opaque, bool running, VmRunState state)
{
    Parallel *s = opaque;

    if (running) {
        parallel_send(s);
    } else {
        io_watch_clear(&s->writable);
    }
}

/* ---- registers ---------------------------------------------------------------------------------------------------- */

static void parallel_set_irq(Parallel *s, bool pending)
{
    s->irq_pending = pending;
    irq_set(s->irq, pending);
}

static void parallel_write_control(Parallel *s, uint8_t value)
{
    uint8_t old = s->control;

    s->control = value | CONTROL_ONES;
    if (!(value & CONTROL_INIT_N)) {
        s->status = STATUS_READY;
        s->unsent = 0;
    } else if (value & CONTROL_SELECT) {
        if (value & ~old & CONTROL_STROBE) {
            s->status &= ~STATUS_BUSY_N;
            s->unsent = 1;
            parallel_send(s);
        } else if (old & ~value & CONTROL_STROBE & (value & CONTROL_INTERRUPT ? 0xff : 0)) {
            parallel_set_irq(s, true);
        }
    }
    if (!(value & CONTROL_INTERRUPT) && s->irq_pending) {
        parallel_set_irq(s, false);
    }
}

static void parallel_write(void *opaque, hwaddr offset, uint64_t value, unsigned size)
{
    Parallel *s = opaque;

    trace(parallel_ioport_write, "write [0x%02x] = 0x%02x", (unsigned)offset, (unsigned)value);
    if (offset == REG_DATA) {
        if (!s->unsent) { /* else the latch of a printer that is busy keeps what it has */
            s->dataw = value;
        }
    } else if (offset == REG_CONTROL) {
        parallel_write_control(s, value);
    }
}

/* P2 */
static uint8_t parallel_read_status(Parallel *s)
{
    uint8_t value = s->status;

    if (!(s->status & STATUS_BUSY_N) && !(s->control & CONTROL_STROBE) && !s->unsent) {
        if (s->status & STATUS_ACK_N) {
            s->status &= ~STATUS_ACK_N;
        } else {
            s->status |= STATUS_ACK_N | STATUS_BUSY_N;
        }
    }
    if (s->irq_pending) {
        parallel_set_irq(s, false);
    }
    return value;
}

static uint64_t parallel_read(void *opaque, hwaddr offset, unsigned size)
{
    Parallel *s = opaque;
    uint8_t value = 0xff;

    switch (offset) {
    case REG_DATA:
        value = s->control & CONTROL_INPUT ? s->datar : s->dataw;
        break;
    case REG_STATUS:
        value = parallel_read_status(s);
        break;
    case REG_CONTROL:
        value = s->control;
        break;
    default: /* of the enhanced modes, which this port does not have */
        break;
    }
    trace(parallel_ioport_read, "read [0x%02x] = 0x%02x", (unsigned)offset, value);
    return value;
}

static const MemoryOps parallel_ops = {
    .read = parallel_read,
    .write = parallel_write,
    .impl = { .min_size = 1, .max_size = 1 },
};

/* ---- life cycle --------------------------------------------------------------------------------------------------- */

static void parallel_reset(Device *dev)
{
    Parallel *s = (Parallel *)dev;

    s->dataw = s->datar = 0xff;
    s->status = STATUS_READY | STATUS_TIMEOUT;
    s->control = CONTROL_SELECT | CONTROL_INIT_N | CONTROL_ONES;
    s->epp_timeout = 0;
    s->unsent = 0;
    io_watch_clear(&s->writable);
    parallel_set_irq(s, false);
}

static bool parallel_realize(Device *dev, GError **error)
{
    Parallel *s = (Parallel *)dev;

    if (!chardev_fe_attached(&s->chr)) {
        return error_set(error, "Can't create parallel device, empty char device");
    }
    if (s->index == UINT32_MAX) {
        s->index = next_index;
    }
    if (s->index >= MOST_PORTS) {
        return error_set(error, "Max. supported number of parallel ports is %d.", MOST_PORTS);
    }
    s->iobase = s->iobase == UINT32_MAX ? places[s->index] : s->iobase;
    if (s->irq_number >= ISA_NUM_IRQS || s->iobase > 0x10000 - PARALLEL_SIZE) {
        return error_set(error, "isa-parallel: there is no port 0x%x or no IRQ %u", s->iobase,
                         s->irq_number);
    }
    next_index = s->index + 1;
    s->irq = isa_bus_irq(isa_device_bus(dev), s->irq_number);
    s->ports = memory_region_new_io(&dev->object, &parallel_ops, s, "parallel", PARALLEL_SIZE);
    isa_map_ports(dev, s->iobase, s->ports);
    s->vm_state = vm_state_add_handler(parallel_vm_state, s, 0);
    chardev_fe_set_handlers(&s->chr, NULL, NULL, NULL);
    return true;
}

static void parallel_unrealize(Device *dev)
{
    Parallel *s = (Parallel *)dev;

    io_watch_clear(&s->writable);
    vm_state_del_handler(s->vm_state);
    memory_region_free(s->ports);
}

/*
 * Migration notes. A byte that waits is in dataw; that it waits is a subsection of ours, since stock's printer takes
 * everything at once. The line's level is in the interrupt controller's section.
 */
static bool unsent_needed(const void *opaque)
{
    return ((const Parallel *)opaque)->unsent;
}

static bool parallel_pre_load(void *opaque, GError **error)
{
    ((Parallel *)opaque)->unsent = 0;
    return true;
}

static bool is_bool(const void *opaque, int64_t value)
{
    return value == 0 || value == 1;
}

#define CHECKED(wire, member, k, n)                                                              \
    {                                                                                            \
        .name = (wire), .offset = offsetof(Parallel, member), .size = (n), .kind = &vm_kind_##k, \
        .valid = is_bool                                                                         \
    }

static const VmState vmstate_unsent = {
    .name = "parallel_isa/unsent",
    .version = 1,
    .minimum_version = 1,
    .needed = unsent_needed,
    .fields = (const VmField[]){ CHECKED("unsent", unsent, u8, 1), VM_END },
};

static const VmState vmstate_parallel = {
    .name = "parallel_isa",
    .version = 1,
    .minimum_version = 1,
    .pre_load = parallel_pre_load,
    .fields =
        (const VmField[]){
            VM_NAMED("state.dataw", u8, uint8_t, Parallel, dataw),
            VM_NAMED("state.datar", u8, uint8_t, Parallel, datar),
            VM_NAMED("state.status", u8, uint8_t, Parallel, status),
            VM_NAMED("state.control", u8, uint8_t, Parallel, control),
            CHECKED("state.irq_pending", irq_pending, i32, 4),
            VM_NAMED("state.epp_timeout", i32, int32_t, Parallel, epp_timeout),
            VM_END,
        },
    .subsections = (const VmState *const[]){ &vmstate_unsent, NULL },
};

static const DeviceType parallel_type = {
    .object = {
        .name = "isa-parallel",
        .parent = &isa_device_type.object,
        .size = sizeof(Parallel),
        .properties = (const Property[]){
            PROPERTY_CHARDEV("chardev", Parallel, chr),
            PROPERTY_UINT32("index", Parallel, index, "4294967295", NULL),
            PROPERTY_UINT32("iobase", Parallel, iobase, "4294967295", NULL),
            PROPERTY_UINT32("irq", Parallel, irq_number, "7", NULL),
            {},
        },
    },
    .category = DEVICE_CATEGORY_INPUT,
    .realize = parallel_realize,
    .unrealize = parallel_unrealize,
    .reset = parallel_reset,
    .migration = MIGRATES_WITH(vmstate_parallel),
};
DEVICE_REGISTER(parallel_type);
