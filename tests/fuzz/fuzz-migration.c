/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The incoming stream, into a machine with one of every device: it is loaded or refused with an error, and nothing
 * else happens. The machine is reset between inputs. Seeds: make a stream with FUZZ_SAVE=FILE in the environment.
 */
#include "util/osdep.h"

#include <glib.h>

#include "fuzz.h"
#include "migration/buffer.h"
#include "migration/migration.h"
#include "system/runstate.h"
#include "util/main-loop.h"

/* tests/unit/contract-machine.c: builds the machine and plugs in a device of every type that a user can create. */
void contract_machine_start(const char *machine);

static void save_seed(const char *path)
{
    g_autoptr(GError) error = NULL;
    g_autoptr(GBytes) bytes = migration_save_buffer(&error);

    g_assert_no_error(error);
    g_file_set_contents(path, g_bytes_get_data(bytes, NULL), g_bytes_get_size(bytes), &error);
    g_assert_no_error(error);
}

static void start(void)
{
    contract_machine_start("pc");
    migration_init();
    if (g_getenv("FUZZ_SAVE")) {
        save_seed(g_getenv("FUZZ_SAVE"));
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static bool started;
    GError *error = NULL;
    bool ok;

    if (!started) {
        started = true;
        start();
    }
    ok = migration_load_buffer(data, size, &error);
    if (ok != !error) {
        abort(); /* failed without a word, or the other way round */
    }
    g_clear_error(&error);
    for (int i = 0; i < 8; i++) {
        main_loop_iterate(false); /* what loading has scheduled */
    }
    vm_reset(VM_SHUTDOWN_SUBSYSTEM_RESET);
    return 0;
}
