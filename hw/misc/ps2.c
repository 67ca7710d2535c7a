/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The queue of PS/2 devices; see ps2-private.h. */
#include "util/osdep.h"
#include "ps2-private.h"
#include "util/error.h"
#include "util/trace.h"

TRACE_EVENT(ps2_read_data);

#define RING_MASK (PS2_RING - 1)

/* Down and up again, so that an edge follows each byte. */
static void ps2_update_output(Ps2 *s)
{
    irq_set(s->output, s->queue.count != 0);
}

bool ps2_put_input(Ps2 *s, const uint8_t *bytes, unsigned n)
{
    Ps2Queue *q = &s->queue;

    if (q->count + (int)n > PS2_QUEUE_INPUT) {
        return false;
    }
    ps2_put_reply(s, bytes, n);
    return true;
}

void ps2_put_reply(Ps2 *s, const uint8_t *bytes, unsigned n)
{
    Ps2Queue *q = &s->queue;

    for (unsigned i = 0; i < n && q->count < PS2_QUEUE_MOST; i++) {
        q->data[q->wptr] = bytes[i];
        q->wptr = (q->wptr + 1) & RING_MASK;
        q->count++;
    }
    ps2_update_output(s);
}

void ps2_put_reply_first(Ps2 *s, const uint8_t *bytes, unsigned n)
{
    Ps2Queue *q = &s->queue;

    if (q->cwptr >= 0) {
        q->count -= (q->cwptr - q->rptr) & RING_MASK;
        q->rptr = q->cwptr;
    }
    q->cwptr = q->rptr;
    q->rptr = (q->rptr - (int)n) & RING_MASK;
    q->count += (int)n;
    for (unsigned i = 0; i < n; i++) {
        q->data[(q->rptr + i) & RING_MASK] = bytes[i];
    }
    ps2_update_output(s);
}

void ps2_clear(Ps2 *s)
{
    Ps2Queue *q = &s->queue;

    q->rptr = q->wptr = q->count = 0;
    q->cwptr = -1;
    ps2_update_output(s);
}

uint8_t ps2_read(Device *dev)
{
    Ps2 *s = (Ps2 *)dev;
    Ps2Queue *q = &s->queue;
    const Ps2Ops *ops = device_ops(dev);
    uint8_t value;

    if (!q->count) {
        return q->data[(q->rptr - 1) & RING_MASK];
    }
    value = q->data[q->rptr];
    q->rptr = (q->rptr + 1) & RING_MASK;
    q->count--;
    if (q->cwptr == q->rptr) {
        q->cwptr = -1;
    }
    trace(ps2_read_data, "%s 0x%02x", dev->object.type->name, value);
    irq_lower(s->output);
    ps2_update_output(s);
    if (ops->drained) {
        ops->drained(s);
    }
    return value;
}

void ps2_write(Device *dev, uint8_t value)
{
    const Ps2Ops *ops = device_ops(dev);

    ops->write((Ps2 *)dev, value);
}

/* ---- life cycle --------------------------------------------------------------------------------------------------- */

Device *ps2_new(const char *type, Object *owner, const char *place, Irq *output, GError **error)
{
    Device *dev = device_new(device_type_by_name(type));

    device_set_tree_place(dev, owner, place);
    if (!device_realize(dev, system_bus(), error)) {
        object_unref(dev);
        return NULL;
    }
    device_connect_gpio_out(dev, NULL, 0, output);
    return dev;
}

bool ps2_realize(Device *dev, GError **error)
{
    Ps2 *s = (Ps2 *)dev;

    device_init_gpio_out(dev, NULL, &s->output, 1);
    s->write_cmd = PS2_NO_COMMAND;
    ps2_clear(s);
    return true;
}

/* ---- vmstate: the common part ------------------------------------------------------------------------------------- */

static bool is_command(const void *opaque, int64_t value)
{
    return value >= PS2_NO_COMMAND && value <= 0xff;
}

static bool is_index(const void *opaque, int64_t value)
{
    return value >= 0 && value < PS2_RING;
}

static bool is_count(const void *opaque, int64_t value)
{
    return value >= 0 && value < PS2_RING;
}

static bool ps2_pre_load(void *opaque, GError **error)
{
    ((Ps2 *)opaque)->queue.cwptr = -1;
    return true;
}

static bool ps2_post_load(void *opaque, int version, GError **error)
{
    Ps2Queue *q = &((Ps2 *)opaque)->queue;

    return ((q->rptr + q->count) & RING_MASK) == q->wptr ||
           error_set(error, "the queue makes no sense");
}

#define PS2_I32(member, check)                                                             \
    {                                                                                      \
        .name = #member, .offset = offsetof(Ps2, member), .size = 4, .kind = &vm_kind_i32, \
        .valid = (check)                                                                   \
    }

const VmState ps2_vmstate = {
    .name = "PS2 Common State",
    .version = 3,
    .minimum_version = 2,
    .pre_load = ps2_pre_load,
    .post_load = ps2_post_load,
    .fields =
        (const VmField[]){
            PS2_I32(write_cmd, is_command),
            PS2_I32(queue.rptr, is_index),
            PS2_I32(queue.wptr, is_index),
            PS2_I32(queue.count, is_count),
            VM_BYTES(Ps2, queue.data),
            VM_END,
        },
};

const DeviceType ps2_type = {
    .object = {
        .name = "ps2-device",
        .parent = &device_type.object,
        .size = sizeof(Ps2),
        .abstract = true,
    },
    .bus = &system_bus_type,
    .category = DEVICE_CATEGORY_INPUT,
    .not_user_creatable = true,
    .not_hotpluggable = true,
    .realize = ps2_realize,
};
DEVICE_REGISTER(ps2_type);
