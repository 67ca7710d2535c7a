/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Accelerators: what runs the guest's processors. A type "NAME-accel" per accelerator; -accel and
 * -machine accel= choose one, falling back through a list.
 */
#ifndef ACCEL_ACCEL_H
#define ACCEL_ACCEL_H

#include "hw/core/machine.h"

typedef struct AccelType {
    ObjectType object;        /* name "qtest-accel", parent &accel_type */
    const char *name;         /* "qtest" */
    bool runs_cpus;
    /* Whether it works on this host, in this build. NULL: yes. */
    bool (*available)(GError **error);
    bool (*init)(Object *accel, Machine *machine, GError **error);
} AccelType;

extern const ObjectType accel_type;
void accel_type_register(const AccelType *type);
#define ACCEL_REGISTER(record)                                                 \
    static void __attribute__((constructor)) register_accel_##record(void)     \
    {                                                                          \
        accel_type_register(&(record));                                        \
    }

const AccelType *accel_type_by_name(const char *name);
typedef void AccelTypeFunc(const AccelType *type, void *opaque);
void accel_type_foreach(AccelTypeFunc *func, void *opaque);

/* Makes the accelerator of that name with properties as text (may be NULL) and lets it take the machine. */
bool accel_start(const char *name, json_object *props, Machine *machine, GError **error);
/* The chosen one, NULL before. */
const AccelType *accel_current(void);

#endif
