/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Where firmware and other data files are looked for. */
#include "util/osdep.h"
#include "system/datadir.h"

static GPtrArray *user_dirs;

/* The installation's folder, then where Debian's firmware packages put their files. */
static const char *const builtin_dirs[] = {
    TERN_DATADIR, "/usr/share/seabios", "/usr/lib/ipxe/qemu", "/usr/share/qemu", NULL
};

void datadir_add(const char *path)
{
    if (!user_dirs) {
        user_dirs = g_ptr_array_new_with_free_func(g_free);
    }
    g_ptr_array_add(user_dirs, g_strdup(path));
}

void datadir_foreach(void (*func)(const char *path, void *opaque), void *opaque)
{
    for (guint i = 0; user_dirs && i < user_dirs->len; i++) {
        func(user_dirs->pdata[i], opaque);
    }
    for (const char *const *dir = builtin_dirs; *dir; dir++) {
        func(*dir, opaque);
    }
}

typedef struct Search {
    const char *name;
    char *found;
} Search;

static void search_dir(const char *path, void *opaque)
{
    Search *search = opaque;
    g_autofree char *file = NULL;

    if (search->found) {
        return;
    }
    file = g_build_filename(path, search->name, NULL);
    if (access(file, R_OK) == 0) {
        search->found = g_steal_pointer(&file);
    }
}

char *datadir_find(const char *name)
{
    Search search = { .name = name };

    if (access(name, R_OK) == 0) {
        return g_strdup(name);
    }
    if (!strchr(name, '/')) {
        datadir_foreach(search_dir, &search);
    }
    return search.found;
}
