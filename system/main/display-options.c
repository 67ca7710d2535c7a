/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Displays of the command line; ui/ is below the run state and learns of it here. */
#include "util/osdep.h"

#include "display-options.h"
#include "system/identity.h"
#include "system/quiesce.h"
#include "system/runstate.h"
#include "ui/input.h"
#include "ui/vnc.h"
#include "util/error.h"

static const char *vga_chosen; /* NULL: -vga was not given */

/* ---- options ------------------------------------------------------------------------------------------ */

bool display_option(const char *arg, GError **error)
{
    g_autofree char *type = g_strndup(arg, strcspn(arg, ",="));

    if (g_str_has_prefix(arg, "vnc=")) {
        return vnc_add_option(arg + strlen("vnc="), error);
    }
    if (!strcmp(type, "vnc")) {
        return error_set(error, "VNC requires a display argument vnc=<display>");
    }
    if (strcmp(type, "none")) {
        return error_set(error, "Parameter 'type' does not accept value '%s'", type);
    }
    if (strcmp(arg, type)) {
        g_autofree char *key = g_strndup(arg + strlen(type) + 1, strcspn(arg + strlen(type) + 1, "="));

        return error_set(error, "Parameter '%s' is unexpected", key);
    }
    return true;
}

bool vga_option(const char *arg, GError **error)
{
    static const char *const ours[] = { "std", "none", NULL };
    static const char *const others[] = { "cirrus", "vmware", "qxl", "virtio", "xenfb", "tcx", "cg3", NULL };

    for (unsigned i = 0; ours[i]; i++) {
        if (!strcmp(arg, ours[i])) {
            vga_chosen = ours[i];
            return true;
        }
    }
    if (g_strv_contains(others, arg)) {
        return error_set(error, "'%s' is not available in this build, only 'std' and 'none' are", arg);
    }
    return error_set(error, "unknown vga type: %s", arg);
}

/* Clients that send scan codes need none; for the others there is one. */
bool keymap_option(const char *arg, GError **error)
{
    return !strcmp(arg, "en-us") ||
           error_set(error, "could not read keymap file: '%s' (this build has en-us only)", arg);
}

/* A card of the user's own takes the place of the default one. */
static bool is_vga_device(const char *arg)
{
    static const char *const cards[] = { "VGA", "isa-vga" };

    for (unsigned i = 0; i < G_N_ELEMENTS(cards); i++) {
        size_t len = strlen(cards[i]);
        const char *name = g_str_has_prefix(arg, "driver=") ? arg + strlen("driver=") : arg;
        g_autofree char *quoted = g_strdup_printf("\"%s\"", cards[i]);

        if ((!strncmp(name, cards[i], len) && (!name[len] || name[len] == ',')) ||
            (arg[0] == '{' && strstr(arg, quoted))) {
            return true;
        }
    }
    return false;
}

void display_machine_options(const Options *options, Machine *machine)
{
    machine->vga = vga_chosen;
    for (unsigned i = 0; !vga_chosen && i < options->given->len; i++) {
        const GivenOption *given = &g_array_index(options->given, GivenOption, i);

        if (given->id == OPT_DEVICE && is_vga_device(given->arg)) {
            machine->vga = "none";
        }
    }
}

/* ---- run state ---------------------------------------------------------------------------------------- */

static bool input_counts(void)
{
    return vm_is_running() || vm_state() == VM_SUSPENDED;
}

static QuiesceResult input_quiesce(void *opaque, GError **error)
{
    input_flush();
    return QUIESCE_DONE;
}

static void input_resume(void *opaque)
{
}

static const QuiesceOps input_quiesce_ops = {
    .name = "input", .quiesce = input_quiesce, .resume = input_resume
};

void display_init(void)
{
    input_set_gate(input_counts);
    quiesce_register(&input_quiesce_ops, NULL);
}

bool display_start(void)
{
    GError *error = NULL;

    vnc_set_guest_name(vm_get_name());
    if (!vnc_start(&error)) {
        error_report_gerror(error);
        error_location_set(NULL);
        return false;
    }
    return true;
}
