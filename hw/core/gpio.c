/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Named pins of devices. An input is a line that the device owns, an output a slot where others put a line. */
#include "util/osdep.h"

#include "hw/core/device.h"
#include "device-internal.h"
#include "irq-internal.h"

/* What stands between an output and its target while qtest looks; the group owns it. */
typedef struct OutputWatch {
    Irq *line;         /* in the device's slot */
    Irq *target;       /* NULL: swallowed or unconnected */
    GpioWatch *watch;
    void *opaque;
} OutputWatch;

static void output_watch_free(gpointer data)
{
    OutputWatch *w = data;

    irq_free(w->line);
    g_free(w);
}

static void pin_group_free(gpointer data)
{
    PinGroup *group = data;

    g_ptr_array_unref(group->watches);
    g_ptr_array_unref(group->in);
    g_ptr_array_unref(group->out);
    g_free(group->name);
    g_free(group);
}

static PinGroup *find_group(Device *dev, const char *name)
{
    for (unsigned i = 0; dev->pins && i < dev->pins->len; i++) {
        PinGroup *group = g_ptr_array_index(dev->pins, i);

        if (!g_strcmp0(group->name, name)) {
            return group;
        }
    }
    return NULL;
}

static PinGroup *get_group(Device *dev, const char *name)
{
    PinGroup *group = find_group(dev, name);

    if (!group) {
        group = g_new0(PinGroup, 1);
        group->name = g_strdup(name);
        group->in = g_ptr_array_new_with_free_func((GDestroyNotify)irq_free);
        group->out = g_ptr_array_new();
        group->watches = g_ptr_array_new_with_free_func(output_watch_free);
        if (!dev->pins) {
            dev->pins = g_ptr_array_new_with_free_func(pin_group_free);
        }
        g_ptr_array_add(dev->pins, group);
    }
    return group;
}

void device_free_pins(Device *dev)
{
    g_clear_pointer(&dev->pins, g_ptr_array_unref);
}

void device_init_gpio_in(Device *dev, const char *name, IrqHandler *handler, int n)
{
    PinGroup *group = get_group(dev, name);
    int first = group->in->len;

    for (int i = first; i < first + n; i++) {
        Irq *irq = irq_new(handler, dev, i);
        g_autofree char *component = g_strdup_printf("%s[%d]", name ? name : "unnamed-gpio-in", i);

        object_add_child(&dev->object, component, (Object *)irq, NULL);
        g_ptr_array_add(group->in, irq);
    }
}

void device_init_gpio_out(Device *dev, const char *name, Irq **pins, int n)
{
    PinGroup *group = get_group(dev, name);

    for (int i = 0; i < n; i++) {
        g_ptr_array_add(group->out, &pins[i]);
    }
}

unsigned device_gpio_in_count(Device *dev, const char *name)
{
    PinGroup *group = find_group(dev, name);

    return group ? group->in->len : 0;
}

Irq *device_get_gpio_in(Device *dev, const char *name, int n)
{
    PinGroup *group = find_group(dev, name);

    g_assert(group && n >= 0 && (unsigned)n < group->in->len);
    return g_ptr_array_index(group->in, n);
}

void device_connect_gpio_out(Device *dev, const char *name, int n, Irq *target)
{
    PinGroup *group = find_group(dev, name);

    g_assert(group && n >= 0 && (unsigned)n < group->out->len);
    *(Irq **)g_ptr_array_index(group->out, n) = target;
}

bool device_watch_gpio_in(Device *dev, const char *name, GpioWatch *watch, void *opaque)
{
    PinGroup *group = find_group(dev, name);

    if (!group || !group->in->len) {
        return false;
    }
    for (unsigned i = 0; i < group->in->len; i++) {
        irq_watch(g_ptr_array_index(group->in, i), watch, opaque, i);
    }
    return true;
}

static void output_changed(void *opaque, int n, int level)
{
    OutputWatch *w = opaque;

    w->watch(w->opaque, n, level);
    irq_set(w->target, level);
}

bool device_watch_gpio_out(Device *dev, const char *name, bool swallow, GpioWatch *watch, void *opaque)
{
    PinGroup *group = find_group(dev, name);

    if (!group || !group->out->len) {
        return false;
    }
    for (unsigned i = 0; i < group->out->len; i++) {
        Irq **slot = g_ptr_array_index(group->out, i);
        OutputWatch *w = g_new(OutputWatch, 1);

        w->target = swallow ? NULL : *slot;
        w->watch = watch;
        w->opaque = opaque;
        w->line = irq_new(output_changed, w, i);
        *slot = w->line;
        g_ptr_array_add(group->watches, w);
    }
    return true;
}
