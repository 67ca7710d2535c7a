/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * i8042 keyboard controller (IBM PS/2 Hardware Interface Technical Reference, "Keyboard and Auxiliary Device
 * Controller"; Intel UPI-41/42 data sheet).
 *
 *   K1  The output buffer is full (STATUS_OUT_FULL) or not; obsrc says whose byte it is. A byte of a PS/2 device stays in
 *       that device's queue until the guest reads it, one of the controller is in cbdata.
 *   K2  `pending` is who has a byte: the devices' output lines, and the controller. Whoever has one waits until the
 *       buffer is free and, for devices, their interface is enabled.
 *   K3  IRQ 1 is up while the buffer holds a byte that is not the mouse's, IRQ 12 while it holds one that is, each if its
 *       mode bit allows.
 */
#include "util/osdep.h"
#include "hw/misc/i8042.h"
#include "hw/misc/ps2.h"
#include "system/runstate.h"
#include "util/clock.h"
#include "util/error.h"
#include "util/trace.h"

TRACE_EVENT(pckbd_kbd_read_data);
TRACE_EVENT(pckbd_kbd_read_status);
TRACE_EVENT(pckbd_outport_write);
TRACE_EVENT(pckbd_kbd_write_command);
TRACE_EVENT(pckbd_kbd_write_data);

#define PORT_DATA 0x60
#define PORT_COMMAND 0x64

/* Commands at port 64h. Those with an argument wait for it in write_cmd. */
enum {
    CMD_READ_MODE = 0x20,
    CMD_WRITE_MODE = 0x60, /* + mode */
    CMD_DISABLE_MOUSE = 0xa7,
    CMD_ENABLE_MOUSE = 0xa8,
    CMD_TEST_MOUSE = 0xa9,
    CMD_SELF_TEST = 0xaa,
    CMD_TEST_KBD = 0xab,
    CMD_DISABLE_KBD = 0xad,
    CMD_ENABLE_KBD = 0xae,
    CMD_READ_INPORT = 0xc0,
    CMD_READ_OUTPORT = 0xd0,
    CMD_WRITE_OUTPORT = 0xd1, /* + outputs */
    CMD_WRITE_KBD_OUT = 0xd2, /* + a byte, as if from the keyboard */
    CMD_WRITE_MOUSE_OUT = 0xd3,
    CMD_WRITE_MOUSE = 0xd4, /* + a byte to the mouse */
    CMD_A20_OFF = 0xdd,
    CMD_A20_ON = 0xdf,
    CMD_PULSE = 0xf0, /* … 0xff: outputs whose bit is clear */
};

/* Status register */
#define STATUS_OUT_FULL 0x01
#define STATUS_SYSTEM 0x04
#define STATUS_COMMAND 0x08
#define STATUS_UNLOCKED 0x10
#define STATUS_MOUSE_FULL 0x20
/* Mode */
#define MODE_KBD_INT 0x01
#define MODE_MOUSE_INT 0x02
#define MODE_DISABLE_KBD 0x10
#define MODE_DISABLE_MOUSE 0x20
#define MODE_TRANSLATE 0x40
/* Output port; the two full bits follow the status. */
#define OUT_RESET_N 0x01
#define OUT_A20 0x02
#define OUT_KBD_FULL 0x10
#define OUT_MOUSE_FULL 0x20
#define OUT_ONES 0xcc
/* pending (K2), in the encoding of the stream */
#define PENDING_KBD_OLD 0x01 /* without the subsection extended_state */
#define PENDING_MOUSE_OLD 0x02
#define PENDING_CONTROLLER_KBD 0x04
#define PENDING_CONTROLLER_MOUSE 0x08
#define PENDING_KBD 0x10
#define PENDING_MOUSE 0x20
/* obsrc (K1) */
#define SOURCE_KBD 0x01
#define SOURCE_MOUSE 0x02
#define SOURCE_CONTROLLER 0x04
/* migration_flags */
#define MIGRATED_THROTTLED 0x01

#define THROTTLE_NS NS_PER_MS

typedef struct I8042Core {
    uint8_t write_cmd; /* 0: data at port 60h is for the keyboard */
    uint8_t status, mode;
    uint8_t pending;
    uint8_t pending_tmp;
    uint8_t outport;
    uint32_t obsrc;
    uint8_t obdata; /* last byte that was read */
    uint8_t cbdata; /* the controller's byte */
    uint32_t migration_flags;
    bool extended_state_loaded, outport_loaded;

    bool extended_state, kbd_throttle;
    uint8_t kbd_irq, mouse_irq;
    Timer throttle_timer; /* the keyboard's next byte waits for it */
    Irq *irqs[2];         /* keyboard, mouse */
    Irq *a20;
    Device *kbd, *mouse;
} I8042Core;

typedef struct I8042 {
    IsaDevice isa;
    I8042Core kbd;
    MemoryRegion *data_port, *command_port;
} I8042;

/* ---- output buffer ------------------------------------------------------------------------------------------- */

static void i8042_update_irqs(I8042Core *s)
{
    bool full = s->status & STATUS_OUT_FULL, mouse = s->status & STATUS_MOUSE_FULL;

    s->outport = (s->outport & ~(OUT_KBD_FULL | OUT_MOUSE_FULL)) | (full ? OUT_KBD_FULL : 0) |
                 (mouse ? OUT_MOUSE_FULL : 0);
    irq_set(s->irqs[0], full && !mouse && (s->mode & MODE_KBD_INT));
    irq_set(s->irqs[1], full && mouse && (s->mode & MODE_MOUSE_INT));
}

/* K2 */
static void i8042_fill(I8042Core *s)
{
    if (s->status & STATUS_OUT_FULL) {
        i8042_update_irqs(s);
        return;
    }
    if (s->pending & (PENDING_CONTROLLER_KBD | PENDING_CONTROLLER_MOUSE)) {
        s->status |=
            STATUS_OUT_FULL | (s->pending & PENDING_CONTROLLER_MOUSE ? STATUS_MOUSE_FULL : 0);
        s->obsrc = SOURCE_CONTROLLER;
    } else if ((s->pending & PENDING_KBD) && !(s->mode & MODE_DISABLE_KBD) &&
               !timer_pending(&s->throttle_timer)) {
        s->status |= STATUS_OUT_FULL;
        s->obsrc = SOURCE_KBD;
    } else if ((s->pending & PENDING_MOUSE) && !(s->mode & MODE_DISABLE_MOUSE)) {
        s->status |= STATUS_OUT_FULL | STATUS_MOUSE_FULL;
        s->obsrc = SOURCE_MOUSE;
    }
    i8042_update_irqs(s);
}

static void i8042_empty(I8042Core *s)
{
    s->status &= ~(STATUS_OUT_FULL | STATUS_MOUSE_FULL);
    i8042_update_irqs(s);
}

static void i8042_throttle_over(void *opaque)
{
    i8042_fill(opaque);
}

/* A device has a byte, or none any more: then what it had put into the buffer is gone, too. */
static void i8042_device_line(I8042Core *s, int level, uint8_t pending, uint32_t source)
{
    if (level) {
        s->pending |= pending;
    } else {
        s->pending &= ~pending;
        if ((s->status & STATUS_OUT_FULL) && s->obsrc == source) {
            i8042_empty(s);
        }
    }
    i8042_fill(s);
}

static void i8042_kbd_line(void *opaque, int n, int level)
{
    i8042_device_line(&((I8042 *)opaque)->kbd, level, PENDING_KBD, SOURCE_KBD);
}

static void i8042_mouse_line(void *opaque, int n, int level)
{
    i8042_device_line(&((I8042 *)opaque)->kbd, level, PENDING_MOUSE, SOURCE_MOUSE);
}

/* A byte of the controller's own. */
static void i8042_answer(I8042Core *s, uint8_t value, bool as_mouse)
{
    s->cbdata = value;
    s->pending &= ~(PENDING_CONTROLLER_KBD | PENDING_CONTROLLER_MOUSE);
    s->pending |= as_mouse ? PENDING_CONTROLLER_MOUSE : PENDING_CONTROLLER_KBD;
    i8042_fill(s);
}

/* ---- registers -------------------------------------------------------------------------------------------------- */

static void i8042_set_mode(I8042Core *s, uint8_t mode)
{
    s->mode = mode;
    ps2_kbd_set_translation(s->kbd, mode & MODE_TRANSLATE);
    i8042_fill(s);
}

static void i8042_write_outport(I8042Core *s, uint8_t value)
{
    trace(pckbd_outport_write, "write outport 0x%02x", value);
    s->outport = value;
    irq_set(s->a20, (value & OUT_A20) != 0);
    if (!(value & OUT_RESET_N)) {
        vm_request_reset(VM_SHUTDOWN_GUEST_RESET);
    }
    i8042_update_irqs(s);
}

static void i8042_command(I8042Core *s, uint8_t command)
{
    switch (command) {
    case CMD_READ_MODE:
        i8042_answer(s, s->mode, false);
        break;
    case CMD_WRITE_MODE:
    case CMD_WRITE_OUTPORT:
    case CMD_WRITE_KBD_OUT:
    case CMD_WRITE_MOUSE_OUT:
    case CMD_WRITE_MOUSE:
        s->write_cmd = command;
        break;
    case CMD_DISABLE_MOUSE:
        i8042_set_mode(s, s->mode | MODE_DISABLE_MOUSE);
        break;
    case CMD_ENABLE_MOUSE:
        i8042_set_mode(s, s->mode & ~MODE_DISABLE_MOUSE);
        break;
    case CMD_DISABLE_KBD:
        i8042_set_mode(s, s->mode | MODE_DISABLE_KBD);
        break;
    case CMD_ENABLE_KBD:
        i8042_set_mode(s, s->mode & ~MODE_DISABLE_KBD);
        break;
    case CMD_SELF_TEST:
        s->status |= STATUS_SYSTEM;
        i8042_answer(s, 0x55, false);
        break;
    case CMD_TEST_MOUSE:
    case CMD_TEST_KBD:
        i8042_answer(s, 0, false);
        break;
    case CMD_READ_INPORT:
        i8042_answer(s, 0x80, false); /* the lock is open */
        break;
    case CMD_READ_OUTPORT:
        i8042_answer(s, s->outport, false);
        break;
    case CMD_A20_OFF:
        i8042_write_outport(s, s->outport & ~OUT_A20);
        break;
    case CMD_A20_ON:
        i8042_write_outport(s, s->outport | OUT_A20);
        break;
    default:
        if (command >= CMD_PULSE && !(command & OUT_RESET_N)) {
            vm_request_reset(VM_SHUTDOWN_GUEST_RESET);
        }
        break;
    }
}

static void i8042_command_write(void *opaque, hwaddr offset, uint64_t value, unsigned size)
{
    I8042 *s = opaque;

    trace(pckbd_kbd_write_command, "0x%02x", (unsigned)value);
    i8042_command(&s->kbd, value);
}

static uint64_t i8042_status_read(void *opaque, hwaddr offset, unsigned size)
{
    I8042 *s = opaque;

    trace(pckbd_kbd_read_status, "0x%02x", s->kbd.status);
    return s->kbd.status;
}

static void i8042_data_write(void *opaque, hwaddr offset, uint64_t value, unsigned size)
{
    I8042Core *s = &((I8042 *)opaque)->kbd;
    uint8_t command = s->write_cmd;

    trace(pckbd_kbd_write_data, "0x%02x", (unsigned)value);
    s->write_cmd = 0;
    switch (command) {
    case CMD_WRITE_MODE:
        i8042_set_mode(s, value);
        break;
    case CMD_WRITE_KBD_OUT:
    case CMD_WRITE_MOUSE_OUT:
        i8042_answer(s, value, command == CMD_WRITE_MOUSE_OUT);
        break;
    case CMD_WRITE_OUTPORT:
        i8042_write_outport(s, value);
        break;
    case CMD_WRITE_MOUSE: /* sending enables the interface */
        ps2_write(s->mouse, value);
        i8042_set_mode(s, s->mode & ~MODE_DISABLE_MOUSE);
        break;
    default:
        ps2_write(s->kbd, value);
        i8042_set_mode(s, s->mode & ~MODE_DISABLE_KBD);
        break;
    }
}

static uint64_t i8042_data_read(void *opaque, hwaddr offset, unsigned size)
{
    I8042Core *s = &((I8042 *)opaque)->kbd;

    if (s->status & STATUS_OUT_FULL) {
        i8042_empty(s);
        if (s->obsrc == SOURCE_KBD) {
            if (s->kbd_throttle) {
                timer_mod(&s->throttle_timer, clock_get_ns(CLOCK_VIRTUAL) + THROTTLE_NS);
            }
            s->obdata = ps2_read(s->kbd); /* its line falls, and rises for the next byte */
        } else if (s->obsrc == SOURCE_MOUSE) {
            s->obdata = ps2_read(s->mouse);
        } else {
            s->pending &= ~(PENDING_CONTROLLER_KBD | PENDING_CONTROLLER_MOUSE);
            s->obdata = s->cbdata;
        }
        i8042_fill(s);
    }
    trace(pckbd_kbd_read_data, "0x%02x", s->obdata);
    return s->obdata;
}

static const MemoryOps data_ops = {
    .read = i8042_data_read,
    .write = i8042_data_write,
    .impl = { .min_size = 1, .max_size = 1 },
};

static const MemoryOps command_ops = {
    .read = i8042_status_read,
    .write = i8042_command_write,
    .impl = { .min_size = 1, .max_size = 1 },
};

/* ---- life cycle ---------------------------------------------------------------------------------------------------- */

static void i8042_reset(Device *dev)
{
    I8042Core *s = &((I8042 *)dev)->kbd;

    s->mode = MODE_KBD_INT | MODE_MOUSE_INT;
    s->status = STATUS_COMMAND | STATUS_UNLOCKED;
    s->outport = OUT_RESET_N | OUT_A20 | OUT_ONES;
    s->write_cmd = s->pending = s->pending_tmp = 0;
    s->obsrc = 0;
    s->obdata = s->cbdata = 0;
    timer_del(&s->throttle_timer);
    irq_set(s->a20, 1);
    i8042_update_irqs(s);
}

static bool i8042_realize(Device *dev, GError **error)
{
    I8042 *i8042 = (I8042 *)dev;
    I8042Core *s = &i8042->kbd;
    IsaBus *bus = isa_device_bus(dev);

    if (s->kbd_irq >= ISA_NUM_IRQS || s->mouse_irq >= ISA_NUM_IRQS) {
        return error_set(error, "Maximum value for \"%s\" is: %u",
                         s->kbd_irq >= ISA_NUM_IRQS ? "kbd-irq" : "mouse-irq", ISA_NUM_IRQS - 1);
    }
    timer_init(&s->throttle_timer, CLOCK_VIRTUAL, i8042_throttle_over, s);
    device_init_gpio_in(dev, "ps2-kbd-input-irq", i8042_kbd_line, 1);
    device_init_gpio_in(dev, "ps2-mouse-input-irq", i8042_mouse_line, 1);
    device_init_gpio_out(dev, NULL, s->irqs, 2);
    device_init_gpio_out(dev, "a20", &s->a20, 1);
    s->irqs[0] = isa_bus_irq(bus, s->kbd_irq);
    s->irqs[1] = isa_bus_irq(bus, s->mouse_irq);
    s->kbd = ps2_new("ps2-kbd", &dev->object, "ps2kbd",
                     device_get_gpio_in(dev, "ps2-kbd-input-irq", 0), error);
    if (!s->kbd) {
        return false;
    }
    s->mouse = ps2_new("ps2-mouse", &dev->object, "ps2mouse",
                       device_get_gpio_in(dev, "ps2-mouse-input-irq", 0), error);
    if (!s->mouse) {
        device_unrealize(s->kbd);
        return false;
    }
    i8042->data_port = memory_region_new_io(&dev->object, &data_ops, i8042, "i8042-data", 1);
    isa_map_ports(dev, PORT_DATA, i8042->data_port);
    i8042->command_port = memory_region_new_io(&dev->object, &command_ops, i8042, "i8042-cmd", 1);
    isa_map_ports(dev, PORT_COMMAND, i8042->command_port);
    return true;
}

static void i8042_unrealize(Device *dev)
{
    I8042 *s = (I8042 *)dev;

    device_unrealize(s->kbd.mouse);
    device_unrealize(s->kbd.kbd);
    timer_del(&s->kbd.throttle_timer);
    memory_region_free(s->data_port);
    memory_region_free(s->command_port);
}

Device *i8042_new(IsaBus *bus, Irq *a20, GError **error)
{
    Device *dev = isa_create(bus, "i8042", error);

    if (dev) {
        device_connect_gpio_out(dev, "a20", 0, a20);
    }
    return dev;
}

Device *i8042_keyboard(Device *i8042)
{
    return ((I8042 *)i8042)->kbd.kbd;
}

Device *i8042_mouse(Device *i8042)
{
    return ((I8042 *)i8042)->kbd.mouse;
}

/*
 * Migration notes. What the devices' lines have done is in `pending`, what ours have done is in the interrupt
 * controllers' sections, A20 is in the processors'; no line is driven on load. Who holds the output buffer is in a subsection since 6.0; without it (extended-state=off, or from an older
 * machine) it follows from the status. The output port is sent when it is not as after reset.
 */
static uint8_t i8042_plain_outport(const I8042Core *s)
{
    return OUT_RESET_N | OUT_A20 | OUT_ONES | (s->status & STATUS_OUT_FULL ? OUT_KBD_FULL : 0) |
           (s->status & STATUS_MOUSE_FULL ? OUT_MOUSE_FULL : 0);
}

static bool i8042_pre_save(void *opaque, GError **error)
{
    I8042Core *s = opaque;

    s->migration_flags = timer_pending(&s->throttle_timer) ? MIGRATED_THROTTLED : 0;
    s->pending_tmp = s->pending;
    if (!s->extended_state) {
        s->pending_tmp = (s->pending & PENDING_KBD ? PENDING_KBD_OLD : 0) |
                         (s->pending & PENDING_MOUSE ? PENDING_MOUSE_OLD : 0);
    }
    return true;
}

static bool i8042_pre_load(void *opaque, GError **error)
{
    I8042Core *s = opaque;

    s->extended_state_loaded = s->outport_loaded = false;
    s->migration_flags = 0;
    s->obdata = s->cbdata = 0;
    return true;
}

static bool i8042_post_load(void *opaque, int version, GError **error)
{
    I8042Core *s = opaque;

    s->pending = s->pending_tmp & ~(PENDING_KBD_OLD | PENDING_MOUSE_OLD);
    if (!s->outport_loaded) {
        s->outport = i8042_plain_outport(s);
    }
    if (!s->extended_state_loaded) {
        s->pending |= (s->pending_tmp & PENDING_KBD_OLD ? PENDING_KBD : 0) |
                      (s->pending_tmp & PENDING_MOUSE_OLD ? PENDING_MOUSE : 0);
        s->obsrc = s->status & STATUS_MOUSE_FULL ? SOURCE_MOUSE
                   : s->status & STATUS_OUT_FULL ? SOURCE_KBD
                                                 : 0;
    }
    if (s->migration_flags & MIGRATED_THROTTLED) {
        timer_mod(&s->throttle_timer, clock_get_ns(CLOCK_VIRTUAL) + THROTTLE_NS);
    } else {
        timer_del(&s->throttle_timer);
    }
    return true;
}

static bool outport_needed(const void *opaque)
{
    const I8042Core *s = opaque;

    return s->outport != i8042_plain_outport(s);
}

static bool outport_post_load(void *opaque, int version, GError **error)
{
    ((I8042Core *)opaque)->outport_loaded = true;
    return true;
}

static bool extended_state_needed(const void *opaque)
{
    return ((const I8042Core *)opaque)->extended_state;
}

static bool extended_state_post_load(void *opaque, int version, GError **error)
{
    ((I8042Core *)opaque)->extended_state_loaded = true;
    return true;
}

static bool is_pending(const void *opaque, int64_t value)
{
    return value <= 0x3f;
}

static bool is_source(const void *opaque, int64_t value)
{
    return value == 0 || value == SOURCE_KBD || value == SOURCE_MOUSE || value == SOURCE_CONTROLLER;
}

static bool is_flags(const void *opaque, int64_t value)
{
    return value <= MIGRATED_THROTTLED;
}

#define CORE_CHECKED(member, k, n, check)                                                          \
    {                                                                                              \
        .name = #member, .offset = offsetof(I8042Core, member), .size = (n), .kind = &vm_kind_##k, \
        .valid = (check)                                                                           \
    }

static const VmState vmstate_outport = {
    .name = "pckbd_outport",
    .version = 1,
    .minimum_version = 1,
    .needed = outport_needed,
    .post_load = outport_post_load,
    .fields = (const VmField[]){ VM_U8(I8042Core, outport), VM_END },
};

static const VmState vmstate_extended_state = {
    .name = "pckbd/extended_state",
    .needed = extended_state_needed,
    .post_load = extended_state_post_load,
    .fields =
        (const VmField[]){
            CORE_CHECKED(migration_flags, u32, 4, is_flags),
            CORE_CHECKED(obsrc, u32, 4, is_source),
            VM_U8(I8042Core, obdata),
            VM_U8(I8042Core, cbdata),
            VM_END,
        },
};

static const VmState vmstate_core = {
    .name = "pckbd",
    .version = 3,
    .minimum_version = 3,
    .pre_save = i8042_pre_save,
    .pre_load = i8042_pre_load,
    .post_load = i8042_post_load,
    .fields =
        (const VmField[]){
            VM_U8(I8042Core, write_cmd),
            VM_U8(I8042Core, status),
            VM_U8(I8042Core, mode),
            CORE_CHECKED(pending_tmp, u8, 1, is_pending),
            VM_END,
        },
    .subsections = (const VmState *const[]){ &vmstate_outport, &vmstate_extended_state, NULL },
};

static const VmState vmstate_i8042 = {
    .name = "pckbd",
    .version = 3,
    .minimum_version = 3,
    .fields = (const VmField[]){ VM_STRUCT(I8042, kbd, vmstate_core, I8042Core), VM_END },
};

static const DeviceType i8042_type = {
    .object = {
        .name = "i8042",
        .parent = &isa_device_type.object,
        .size = sizeof(I8042),
        .properties = (const Property[]){
            PROPERTY_BOOL("extended-state", I8042, kbd.extended_state, "on", NULL),
            PROPERTY_BOOL("kbd-throttle", I8042, kbd.kbd_throttle, "off", NULL),
            PROPERTY_UINT8("kbd-irq", I8042, kbd.kbd_irq, "1", NULL),
            PROPERTY_UINT8("mouse-irq", I8042, kbd.mouse_irq, "12", NULL),
            {},
        },
    },
    .category = DEVICE_CATEGORY_INPUT,
    .realize = i8042_realize,
    .unrealize = i8042_unrealize,
    .reset = i8042_reset,
    .migration = MIGRATES_WITH(vmstate_i8042),
};
DEVICE_REGISTER(i8042_type);
