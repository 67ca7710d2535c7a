/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The compat values of every machine version against the tables in tests/golden/compat, and against what is known of
 * the stock programs. With --update it writes the tables instead.
 */
#include "util/osdep.h"

#include <glib/gstdio.h>
#include <stdio.h>

#include "hw/core/machine.h"
#include "util/error.h"

static char *golden_folder(void)
{
    return g_test_build_filename(G_TEST_DIST, "..", "golden", "compat", NULL);
}

static char *golden_path(const MachineType *type)
{
    g_autofree char *folder = golden_folder();

    return g_strdup_printf("%s/%s.txt", folder, type->name);
}

/* ---- the tables ---------------------------------------------------------------------------------------------- */

/* Tells the lines that only one of two sorted texts has. */
static void tell_difference(const char *golden, const char *now)
{
    g_auto(GStrv) a = g_strsplit(golden, "\n", -1);
    g_auto(GStrv) b = g_strsplit(now, "\n", -1);

    for (char **x = a, **y = b; *x || *y;) {
        int order = !*x ? 1 : !*y ? -1 : strcmp(*x, *y);

        if (order < 0 && **x) {
            g_test_message("-%s", *x);
        } else if (order > 0 && **y) {
            g_test_message("+%s", *y);
        }
        x += order <= 0 && *x;
        y += order >= 0 && *y;
    }
}

static void test_table(gconstpointer data)
{
    const MachineType *type = data;
    g_autofree char *path = golden_path(type);
    g_autofree char *now = machine_dump_compat(type);
    g_autofree char *golden = NULL;

    if (!g_file_get_contents(path, &golden, NULL, NULL)) {
        g_test_message("there is no %s: run tests/golden/compat/update", path);
        g_test_fail();
    } else if (strcmp(golden, now)) {
        g_test_message("%s differs (+ now, - in the file); if this is wanted, run tests/golden/compat/update", path);
        tell_difference(golden, now);
        g_test_fail();
    }
}

static void update_table(const MachineType *type, void *opaque)
{
    if (type->version) {
        g_autofree char *path = golden_path(type);
        g_autofree char *now = machine_dump_compat(type);
        g_autoptr(GError) error = NULL;

        if (!g_file_set_contents(path, now, -1, &error)) {
            g_error("%s", error->message);
        }
        g_chmod(path, 0644);
        printf("%s\n", path);
    }
}

/* A file whose machine is gone is a version that was dropped without a word. */
static void test_no_table_without_machine(void)
{
    g_autofree char *folder = golden_folder();
    g_autoptr(GDir) dir = g_dir_open(folder, 0, NULL);

    g_assert_nonnull(dir);
    for (const char *name; (name = g_dir_read_name(dir));) {
        if (g_str_has_suffix(name, ".txt") && strcmp(name, "stock.txt")) {
            g_autofree char *machine = g_strndup(name, strlen(name) - 4);

            g_test_message("%s", name);
            g_assert_nonnull(machine_type_by_name(machine));
        }
    }
}

/* ---- the entries ---------------------------------------------------------------------------------------------- */

static bool check_entries(const ObjectType *object, void *opaque)
{
    for (const DeviceCompat *c = ((const DeviceType *)object)->compat; c && c->until; c++) {
        const Property *prop = object_type_find_property(object, c->property, NULL);
        g_autoptr(GError) error = NULL;
        g_autofree char *memory = g_malloc0(object->size ? object->size : 64 << 10);
        Object *scratch = (Object *)memory;

        g_test_message("%s: %s %s=%s", object->name, c->until, c->property, c->value);
        g_assert_nonnull(prop);
        g_assert_true(g_ascii_isdigit(c->until[0]) && strchr(c->until, '.'));
        scratch->type = object;
        if (prop->kind->parse && !prop->kind->parse(scratch, prop, c->value, &error)) {
            g_error("%s", error->message);
        }
        g_assert_cmpstr(c->value, !=, prop->default_text);
        if (prop->kind->release) {
            prop->kind->release(scratch, prop);
        }
    }
    return true;
}

/* Each names a property of its type and a value that the property takes and that is not its default. */
static void test_entries(void)
{
    object_type_foreach(&device_type.object, true, check_entries, NULL);
}

/* ---- stock's switches --------------------------------------------------------------------------------------- */

typedef struct Switch {
    const ObjectType *type;
    const char *until, *property, *old_value, *new_value;
    unsigned checked;
} Switch;

/* What a device of this type gets: the entry of the nearest type, else the declared default. */
static char *effective_value(const MachineType *machine, const ObjectType *type, const char *property)
{
    g_autofree char *dump = machine_dump_compat(machine);
    g_auto(GStrv) lines = g_strsplit(dump, "\n", -1);

    for (const ObjectType *t = type; t; t = t->parent) {
        g_autofree char *prefix = g_strdup_printf("%s.%s=", t->name, property);

        for (char **line = lines; *line; line++) {
            if (g_str_has_prefix(*line, prefix)) {
                return g_strdup(*line + strlen(prefix));
            }
        }
    }
    return g_strdup(object_type_find_property(type, property, NULL)->default_text);
}

static void check_switch(const MachineType *machine, void *opaque)
{
    Switch *s = opaque;
    const char *expected;

    if (!machine->version) {
        return;
    }
    expected = machine_version_compare(machine->version, s->until) <= 0 ? s->old_value : s->new_value;
    g_autofree char *value = effective_value(machine, s->type, s->property);
    if (g_strcmp0(value, expected)) {
        g_test_message("%s: %s.%s is %s, stock has %s", machine->name, s->type->name, s->property, value, expected);
        g_test_fail();
    }
    s->checked++;
}

static void test_stock(void)
{
    g_autofree char *folder = golden_folder();
    g_autofree char *path = g_strdup_printf("%s/stock.txt", folder);
    g_autofree char *text = NULL;
    unsigned checked = 0, rows = 0;

    g_assert_true(g_file_get_contents(path, &text, NULL, NULL));
    g_auto(GStrv) lines = g_strsplit(text, "\n", -1);
    for (char **line = lines; *line; line++) {
        g_auto(GStrv) words = g_regex_split_simple(" +", *line, 0, 0);

        if (**line == '#' || !**line) {
            continue;
        }
        g_assert_cmpuint(g_strv_length(words), ==, 5);
        rows++;
        Switch s = { object_type_by_name(words[0]), words[1], words[2], words[3], words[4], 0 };
        if (s.type && object_type_find_property(s.type, s.property, NULL)) {
            machine_type_foreach(check_switch, &s);
        }
        checked += s.checked;
    }
    g_test_message("%u values of %u switches compared", checked, rows);
}

/* ---- main ------------------------------------------------------------------------------------------------------ */

static void add_machine(const MachineType *type, void *opaque)
{
    if (type->version) {
        g_autofree char *path = g_strconcat("/compat/table/", type->name, NULL);

        g_test_add_data_func(path, type, test_table);
    }
}

int main(int argc, char **argv)
{
    bool update = argc == 2 && !strcmp(argv[1], "--update");

    g_test_init(&argc, &argv, NULL);
    if (update) {
        machine_type_foreach(update_table, NULL);
        return EXIT_SUCCESS;
    }
    machine_type_foreach(add_machine, NULL);
    g_test_add_func("/compat/table-without-machine", test_no_table_without_machine);
    g_test_add_func("/compat/entries", test_entries);
    g_test_add_func("/compat/stock", test_stock);
    return g_test_run();
}
