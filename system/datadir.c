/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The search for firmware files. */
#include "util/osdep.h"

#include "system/datadir.h"

/* Ours, then where the distribution's firmware packages put theirs. */
static const char *const built_in[] = {
    TERN_DATADIR,
    TERN_PREFIX "/share/seabios",
    "/usr/share/seabios",
    "/usr/share/qemu",
    "/usr/lib/ipxe/qemu",
};

static GPtrArray *user_dirs;

void datadir_add(const char *path)
{
    if (!user_dirs) {
        user_dirs = g_ptr_array_new_with_free_func(g_free);
    }
    g_ptr_array_add(user_dirs, g_strdup(path));
}

static char *in_folder(const char *folder, const char *name)
{
    char *path = g_build_filename(folder, name, NULL);

    if (!access(path, R_OK)) {
        return path;
    }
    g_free(path);
    return NULL;
}

char *datadir_find(const char *name)
{
    char *path = NULL;

    if (!access(name, R_OK)) {
        return g_strdup(name);
    }
    for (unsigned i = 0; user_dirs && i < user_dirs->len && !path; i++) {
        path = in_folder(g_ptr_array_index(user_dirs, i), name);
    }
    for (unsigned i = 0; i < G_N_ELEMENTS(built_in) && !path; i++) {
        path = in_folder(built_in[i], name);
    }
    return path;
}

char *datadir_list(void)
{
    GString *out = g_string_new(NULL);

    for (unsigned i = 0; user_dirs && i < user_dirs->len; i++) {
        g_string_append_printf(out, "%s\n", (char *)g_ptr_array_index(user_dirs, i));
    }
    for (unsigned i = 0; i < G_N_ELEMENTS(built_in); i++) {
        g_string_append_printf(out, "%s\n", built_in[i]);
    }
    return g_string_free(out, FALSE);
}
