/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Boot order: letters of -boot, boot indexes of devices, and the list of paths for the firmware. */
#include "util/osdep.h"

#include "hw/core/bootorder.h"
#include "util/error.h"

typedef struct BootEntry {
    Device *dev; /* NULL: part is the whole path */
    char *part;  /* suffix under which it was set, or NULL */
    int32_t index;
} BootEntry;

/* Where a device really is. */
typedef struct BootPlace {
    Device *dev, *target;
    char *suffix;
} BootPlace;

static GPtrArray *entries; /* BootEntry *, by index (B1) */
static GPtrArray *places;  /* BootPlace * */

bool boot_order_check(const char *order, GError **error)
{
    uint32_t seen = 0;

    for (const char *p = order; *p; p++) {
        if (*p < 'a' || *p > 'p') {
            return error_set(error, "Invalid boot device '%c'", *p);
        }
        if (seen >> (*p - 'a') & 1) {
            return error_set(error, "Boot device '%c' was given twice", *p);
        }
        seen |= 1u << (*p - 'a');
    }
    return true;
}

/* ---- indexes ----------------------------------------------------------------------------------------------------- */

static void entry_free(gpointer data)
{
    g_free(((BootEntry *)data)->part);
    g_free(data);
}

static void place_free(gpointer data)
{
    g_free(((BootPlace *)data)->suffix);
    g_free(data);
}

static void make_lists(void)
{
    if (!entries) {
        entries = g_ptr_array_new_with_free_func(entry_free);
        places = g_ptr_array_new_with_free_func(place_free);
    }
}

bool boot_index_set(Device *dev, int32_t index, const char *suffix, GError **error)
{
    BootEntry *mine = NULL, *e;
    unsigned at = 0;

    make_lists();
    for (unsigned i = 0; i < entries->len; i++) {
        e = g_ptr_array_index(entries, i);
        if (e->dev == dev && !g_strcmp0(e->part, suffix)) {
            mine = e;
        } else if (e->index == index) {
            return error_set(error, "The bootindex %d has already been used", index);
        }
    }
    if (mine) {
        g_ptr_array_remove(entries, mine);
    }
    if (index < 0) {
        return true;
    }
    while (at < entries->len && ((BootEntry *)g_ptr_array_index(entries, at))->index < index) {
        at++;
    }
    e = g_new(BootEntry, 1);
    *e = (BootEntry){ dev, g_strdup(suffix), index };
    g_ptr_array_insert(entries, at, e);
    return true;
}

bool boot_index_set_path(const char *path, int32_t index, GError **error)
{
    return boot_index_set(NULL, index, path, error);
}

static BootPlace *find_place(const Device *dev)
{
    for (unsigned i = 0; i < places->len; i++) {
        BootPlace *place = g_ptr_array_index(places, i);

        if (place->dev == dev) {
            return place;
        }
    }
    return NULL;
}

void boot_index_redirect(Device *dev, Device *target, const char *suffix)
{
    BootPlace *place;

    make_lists();
    place = find_place(dev);
    if (place) {
        g_ptr_array_remove(places, place);
    }
    place = g_new(BootPlace, 1);
    *place = (BootPlace){ dev, target, g_strdup(suffix) };
    g_ptr_array_add(places, place);
}

void boot_index_remove(Device *dev)
{
    BootPlace *place;

    if (!entries) {
        return;
    }
    for (unsigned i = entries->len; i-- > 0;) {
        if (((BootEntry *)g_ptr_array_index(entries, i))->dev == dev) {
            g_ptr_array_remove_index(entries, i);
        }
    }
    place = find_place(dev);
    if (place) {
        g_ptr_array_remove(places, place);
    }
}

/* ---- paths ------------------------------------------------------------------------------------------------------- */

/* What the bus calls it; NULL: nothing, it is not on the way. */
static char *path_component(const Device *dev)
{
    const BusType *t = dev->bus ? bus_get_type(dev->bus) : NULL;

    while (t && !t->firmware_path) {
        t = t == &bus_type ? NULL : (const BusType *)t->object.parent;
    }
    return t ? t->firmware_path(dev) : NULL;
}

char *device_firmware_path(const Device *dev, const char *suffix)
{
    char *path = g_strdup(suffix ? suffix : "");

    for (; dev; dev = dev->bus ? dev->bus->owner : NULL) {
        g_autofree char *component = path_component(dev);

        if (component && *component) {
            char *longer = g_strdup_printf("/%s%s", component, path);

            g_free(path);
            path = longer;
        }
    }
    return path;
}

GByteArray *boot_order_list(bool strict)
{
    GByteArray *list = g_byte_array_new();

    for (unsigned i = 0; entries && i < entries->len; i++) {
        const BootEntry *e = g_ptr_array_index(entries, i);
        const BootPlace *place = e->part ? NULL : find_place(e->dev);
        g_autofree char *path = NULL;

        if (e->dev && !e->dev->realized) {
            continue;
        }
        path =
            device_firmware_path(place ? place->target : e->dev, place ? place->suffix : e->part);
        g_byte_array_append(list, (const uint8_t *)path, strlen(path));
        g_byte_array_append(list, (const uint8_t *)"\n", 1);
    }
    if (list->len && strict) {
        g_byte_array_append(list, (const uint8_t *)"HALT\n", 5);
    }
    if (list->len) {
        list->data[list->len - 1] = '\0';
    }
    return list;
}
