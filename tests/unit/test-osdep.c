/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What util/osdep.h promises: the build's configuration, and 64-bit file offsets. */
#include "util/osdep.h"

#include <glib.h>
#include <sys/types.h>

static void test_version(void)
{
    g_assert_cmpuint(strlen(TERN_VERSION), >, 0);
}

static void test_offsets(void)
{
    g_assert_cmpuint(sizeof(off_t), ==, 8);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/osdep/version", test_version);
    g_test_add_func("/osdep/offsets", test_offsets);
    return g_test_run();
}
