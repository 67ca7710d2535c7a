/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * vmmouse: an absolute pointer behind the VMware backdoor (protocol as the public drivers of X.org and Linux use it).
 * The driver is woken by the PS/2 mouse's interrupt, asks how many words wait, and fetches four for each event.
 */
#include "util/osdep.h"
#include "hw/misc/vmport.h"
#include "hw/misc/i8042.h"
#include "hw/misc/ps2.h"
#include "ui/input.h"
#include "util/error.h"

/* Backdoor commands */
enum { CMD_DATA = 39, CMD_STATUS = 40, CMD_COMMAND = 41 };
/* What CMD_COMMAND takes in EBX */
#define REQUEST_ENABLE 0x45414552u
#define REQUEST_DISABLE 0x000000f5u
#define REQUEST_RELATIVE 0x4c455252u
#define REQUEST_ABSOLUTE 0x53424152u

#define VERSION_ID 0x3442554au
#define STATUS_ERROR 0xffff
#define BUTTON_LEFT 0x20
#define BUTTON_RIGHT 0x10
#define BUTTON_MIDDLE 0x08
#define PACKET_RELATIVE 0x00010000u
#define QUEUE_WORDS 1024
#define EVENT_WORDS 4
#define MOST_AT_ONCE 6
#define POSITION_MAX 0xffff

typedef struct Vmmouse {
    IsaDevice isa;
    int32_t queue_size;
    uint32_t queue[QUEUE_WORDS];
    uint16_t nb_queue, status;
    uint8_t absolute;

    Device *i8042;
    InputHandler *handler;
    uint32_t buttons;
    int x, y, z; /* of the event that is being made */
} Vmmouse;

/* ---- input --------------------------------------------------------------------------------------------------------- */

static void vmmouse_button(void *opaque, InputButton button, bool down)
{
    Vmmouse *s = opaque;
    uint32_t bit = 0;

    switch (button) {
    case INPUT_BUTTON_LEFT:
        bit = BUTTON_LEFT;
        break;
    case INPUT_BUTTON_RIGHT:
        bit = BUTTON_RIGHT;
        break;
    case INPUT_BUTTON_MIDDLE:
        bit = BUTTON_MIDDLE;
        break;
    case INPUT_BUTTON_WHEEL_UP:
        s->z -= down;
        break;
    case INPUT_BUTTON_WHEEL_DOWN:
        s->z += down;
        break;
    default:
        break;
    }
    s->buttons = down ? s->buttons | bit : s->buttons & ~bit;
}

static void vmmouse_position(void *opaque, InputAxis axis, int position)
{
    Vmmouse *s = opaque;
    int *at = axis == INPUT_AXIS_X ? &s->x : &s->y;

    *at = (int)((int64_t)position * POSITION_MAX / INPUT_ABSOLUTE_MAX);
}

static void vmmouse_move(void *opaque, InputAxis axis, int delta)
{
    Vmmouse *s = opaque;
    int *at = axis == INPUT_AXIS_X ? &s->x : &s->y;

    *at += delta;
}

/* The queue is bounded; an event that finds no room is dropped. */
static void vmmouse_sync(void *opaque)
{
    Vmmouse *s = opaque;

    if (s->status != STATUS_ERROR && s->nb_queue <= QUEUE_WORDS - EVENT_WORDS) {
        s->queue[s->nb_queue++] = s->buttons | (s->absolute ? 0 : PACKET_RELATIVE);
        s->queue[s->nb_queue++] = s->x;
        s->queue[s->nb_queue++] = s->y;
        s->queue[s->nb_queue++] = s->z;
        ps2_mouse_wake(i8042_mouse(s->i8042));
    }
    s->z = 0;
    if (!s->absolute) {
        s->x = s->y = 0;
    }
}

static const InputHandlerOps absolute_ops = {
    .name = "vmmouse",
    .button = vmmouse_button,
    .position = vmmouse_position,
    .sync = vmmouse_sync,
};

static const InputHandlerOps relative_ops = {
    .name = "vmmouse",
    .button = vmmouse_button,
    .move = vmmouse_move,
    .sync = vmmouse_sync,
};

/* A handler while the driver wants events, of the kind that it wants. */
static void vmmouse_update_handler(Vmmouse *s, bool wanted)
{
    input_handler_free(s->handler);
    s->handler = NULL;
    if (wanted) {
        s->handler = input_handler_new(s->absolute ? &absolute_ops : &relative_ops, s);
        input_handler_activate(s->handler);
    }
}

/* ---- commands ------------------------------------------------------------------------------------------------------ */

static void vmmouse_disable(Vmmouse *s)
{
    s->status = STATUS_ERROR;
    s->nb_queue = 0;
    vmmouse_update_handler(s, false);
}

static uint32_t vmmouse_get_status(void *opaque, VmportRegs *regs)
{
    Vmmouse *s = opaque;

    return (uint32_t)s->status << 16 | s->nb_queue;
}

/* EBX words into EAX, EBX, ECX, EDX, ESI, EDI; more than there are is an error, which the driver answers with a reset. */
static uint32_t vmmouse_get_data(void *opaque, VmportRegs *regs)
{
    Vmmouse *s = opaque;
    uint32_t words = regs->ebx;
    uint32_t *const places[MOST_AT_ONCE] = { &regs->eax, &regs->ebx, &regs->ecx,
                                             &regs->edx, &regs->esi, &regs->edi };

    if (words == 0 || words > MOST_AT_ONCE || words > s->nb_queue) {
        vmmouse_disable(s);
        return regs->eax;
    }
    for (unsigned i = 0; i < words; i++) {
        *places[i] = s->queue[i];
    }
    s->nb_queue -= words;
    memmove(s->queue, s->queue + words, s->nb_queue * sizeof(s->queue[0]));
    return regs->eax;
}

static uint32_t vmmouse_command(void *opaque, VmportRegs *regs)
{
    Vmmouse *s = opaque;

    switch (regs->ebx) {
    case REQUEST_ENABLE:
        s->status = 0;
        s->nb_queue = 0;
        s->queue[s->nb_queue++] = VERSION_ID;
        break;
    case REQUEST_DISABLE:
        vmmouse_disable(s);
        break;
    case REQUEST_RELATIVE:
    case REQUEST_ABSOLUTE:
        s->absolute = regs->ebx == REQUEST_ABSOLUTE;
        s->x = s->y = s->z = 0;
        vmmouse_update_handler(s, true);
        break;
    default:
        break;
    }
    return 0;
}

/* ---- life cycle -------------------------------------------------------------------------------------------------------- */

static void vmmouse_reset(Device *dev)
{
    Vmmouse *s = (Vmmouse *)dev;

    s->absolute = 0;
    s->buttons = 0;
    s->x = s->y = s->z = 0;
    memset(s->queue, 0, sizeof(s->queue));
    vmmouse_disable(s);
}

static bool vmmouse_realize(Device *dev, GError **error)
{
    Vmmouse *s = (Vmmouse *)dev;

    if (!s->i8042) {
        return error_set(error, "'i8042' link is not set");
    }
    s->queue_size = QUEUE_WORDS;
    s->status = STATUS_ERROR;
    return true;
}

static void vmmouse_unrealize(Device *dev)
{
    vmmouse_update_handler((Vmmouse *)dev, false);
}

Device *vmmouse_new(IsaBus *bus, Device *vmport, Device *i8042, GError **error)
{
    Device *dev = device_new(device_type_by_name("vmmouse"));

    object_set_link(&dev->object, "i8042", &i8042->object);
    if (!device_realize(dev, (Bus *)bus, error)) {
        object_unref(dev);
        return NULL;
    }
    vmport_register(vmport, CMD_STATUS, vmmouse_get_status, dev);
    vmport_register(vmport, CMD_DATA, vmmouse_get_data, dev);
    vmport_register(vmport, CMD_COMMAND, vmmouse_command, dev);
    return dev;
}

/*
 * Migration notes. The words that wait, whether the driver is there and which kind it wants. An event that is being made
 * is complete before the machine stops; buttons are released by then (input_flush()).
 */
static bool vmmouse_post_load(void *opaque, int version, GError **error)
{
    Vmmouse *s = opaque;

    s->buttons = 0;
    s->x = s->y = s->z = 0;
    vmmouse_update_handler(s, s->status != STATUS_ERROR);
    return true;
}

static bool is_bool(const void *opaque, int64_t value)
{
    return value == 0 || value == 1;
}

static bool is_count(const void *opaque, int64_t value)
{
    return value >= 0 && value <= QUEUE_WORDS;
}

static const VmState vmstate_vmmouse = {
    .name = "vmmouse",
    .version = 0,
    .minimum_version = 0,
    .post_load = vmmouse_post_load,
    .fields =
        (const VmField[]){
            VM_NAMED("queue_size", equal_i32, int32_t, Vmmouse, queue_size),
            VM_U32_ARRAY(Vmmouse, queue, QUEUE_WORDS),
            { .name = "nb_queue",
              .offset = offsetof(Vmmouse, nb_queue),
              .size = 2,
              .kind = &vm_kind_u16,
              .valid = is_count },
            VM_U16(Vmmouse, status),
            { .name = "absolute",
              .offset = offsetof(Vmmouse, absolute),
              .size = 1,
              .kind = &vm_kind_u8,
              .valid = is_bool },
            VM_END,
        },
};

static const DeviceType vmmouse_type = {
    .object = {
        .name = "vmmouse",
        .parent = &isa_device_type.object,
        .size = sizeof(Vmmouse),
        .properties = (const Property[]){
            PROPERTY_LINK("i8042", Vmmouse, i8042, device_type.object, NULL),
            {},
        },
    },
    .category = DEVICE_CATEGORY_INPUT,
    .not_user_creatable = true,
    .realize = vmmouse_realize,
    .unrealize = vmmouse_unrealize,
    .reset = vmmouse_reset,
    .migration = MIGRATES_WITH(vmstate_vmmouse),
};
DEVICE_REGISTER(vmmouse_type);
