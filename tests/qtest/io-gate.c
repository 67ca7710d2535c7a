/* SPDX-License-Identifier: GPL-2.0-or-later */
/* A gate before the host's disk; see io-gate.h. */
#include "util/osdep.h"
#include "io-gate.h"

#include <fcntl.h>
#include <unistd.h>
#include "qtest-client.h"

static char *path; /* of the file that shuts it */

void io_gate_init(void)
{
    path = g_strdup_printf("%s/gate", qtest_dir());
    g_setenv("SLOW_IO_GATE", path, true);
    qtest_allow_preload();
}

void io_gate_free(void)
{
    g_clear_pointer(&path, g_free);
}

bool io_gate_or_skip(void)
{
    if (!g_getenv("QTEST_SLOW_IO")) {
        g_test_skip("QTEST_SLOW_IO does not name the library slow-io");
        return false;
    }
    return true;
}

void io_gate_use(bool on)
{
    if (on) {
        g_setenv("LD_PRELOAD", g_getenv("QTEST_SLOW_IO"), true);
    } else {
        g_unsetenv("LD_PRELOAD");
    }
}

void io_gate_shut(void)
{
    int fd = open(path, O_CREAT | O_WRONLY | O_CLOEXEC, 0600);

    g_assert_cmpint(fd, >=, 0);
    close(fd);
}

static gpointer open_after(gpointer ms)
{
    g_usleep(GPOINTER_TO_UINT(ms) * 1000);
    g_assert_cmpint(unlink(path), ==, 0);
    return NULL;
}

GThread *io_gate_open_later(unsigned ms)
{
    return g_thread_new("gate", open_after, GUINT_TO_POINTER(ms));
}
