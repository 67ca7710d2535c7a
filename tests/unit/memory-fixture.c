/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "util/osdep.h"
#include "util/main-loop.h"
#include "memory-fixture.h"

MemoryRegion *memory_new_ram(const char *name, uint64_t size)
{
    GError *error = NULL;
    MemoryRegion *mr = memory_region_new_ram(NULL, name, size, &error);

    g_assert_no_error(error);
    return mr;
}

void memory_settle(void)
{
    for (int i = 0; i < 50; i++) {
        main_loop_iterate(false);
        g_usleep(200);
    }
}
