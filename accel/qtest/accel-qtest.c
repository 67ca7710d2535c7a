/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Accelerator qtest: no processor; the virtual clock stands still unless the client steps it. */
#include "util/osdep.h"

#include "util/clock.h"
#include "accel/accel.h"
#include "accel/qtest/qtest.h"

static bool qtest_accel_init(Object *accel, Machine *machine, GError **error)
{
    clock_virtual_set_manual();
    return true;
}

static const AccelType qtest_accel_type = {
    .object = { .name = "qtest-accel", .parent = &accel_type },
    .name = "qtest",
    .init = qtest_accel_init,
};
ACCEL_REGISTER(qtest_accel_type)
