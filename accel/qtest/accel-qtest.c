/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Accelerator qtest: no processor; the virtual clock stands still unless the client steps it. Guest memory is made
 * read-only at switchover, so that whoever writes it then (P2) dies on the spot; x-guard-pages=off is for tests that
 * show what happens without. With x-client-migrates=on the client is like a processor in this, too: while a migration
 * has the machine stopped, and when it has gone, the client's accesses wait.
 */
#include "util/osdep.h"

#include "util/clock.h"
#include "system/memory.h"
#include "accel/accel.h"
#include "accel/qtest/qtest.h"

typedef struct QtestAccel {
    Object object;
    bool guard_pages, client_migrates;
} QtestAccel;

static bool qtest_accel_init(Object *accel, Machine *machine, GError **error)
{
    QtestAccel *qtest = (QtestAccel *)accel;

    ram_set_guard_pages(qtest->guard_pages);
    qtest_server_set_client_migrates(qtest->client_migrates);
    clock_virtual_set_manual();
    return true;
}

static const Property properties[] = {
    PROPERTY_BOOL("x-guard-pages", QtestAccel, guard_pages, "on", "Guest memory is read-only after quiesce"),
    PROPERTY_BOOL("x-client-migrates", QtestAccel, client_migrates, "off",
                  "The client's accesses wait while a migration has the machine stopped"),
    {},
};

static const AccelType qtest_accel_type = {
    .object = { .name = "qtest-accel", .parent = &accel_type, .size = sizeof(QtestAccel), .properties = properties },
    .name = "qtest",
    .init = qtest_accel_init,
};
ACCEL_REGISTER(qtest_accel_type)
