/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * QMP commands and events, seen from the subsystems that have them.
 *
 * A subsystem writes its commands in qapi/MODULE.json, implements the handlers that the generated
 * "qapi/commands-MODULE.h" declares, adds the meson variable qapi_commands['MODULE'] (the
 * marshalling code) to the sources of its library, and puts QMP_REGISTER(MODULE) into one of its
 * files. Handlers:
 *
 *     bool qmp_NAME(ARGS..., [RET *ret,] GError **error)
 *
 * ARGS are the members of 'data' in schema order (`bool has_x, T x` for optional scalars, NULL for
 * other absent ones), or one `const T *arg` if the command is 'boxed'; they belong to the caller.
 * *ret is set on success and belongs to the caller. A command with 'gen': false gets `json_object
 * *args` (may be NULL) and `json_object **ret`. '-' and '.' of a name become '_'
 * ("qmp_query_chardev").
 *
 * Handlers run in the main thread under the big lock, one at a time per monitor, in the order of
 * the requests. A command with 'allow-oob' may also run in the monitor thread, without the big
 * lock: it must not block.
 */
#ifndef QAPI_DISPATCH_H
#define QAPI_DISPATCH_H

#include "qapi/qapi.h"

typedef enum QmpCommandFlags {
    QMP_ALLOW_OOB = 1 << 0,
    QMP_ALLOW_PRECONFIG = 1 << 1,
    QMP_NO_SUCCESS_RESPONSE = 1 << 2,
} QmpCommandFlags;

typedef struct QmpCommand {
    const char *name;
    /* args may be NULL; *ret is NULL on success for a command that returns nothing. */
    bool (*run)(json_object *args, json_object **ret, GError **error);
    unsigned flags;
} QmpCommand;

typedef struct QmpModule {
    const char *name;
    const QmpCommand *commands;
    unsigned n_commands;
    struct QmpModule *next;
} QmpModule;

void qmp_register_module(QmpModule *module);

#define QMP_REGISTER(module)                                                \
    extern QmpModule qmp_module_##module;                                   \
    static void __attribute__((constructor)) qmp_register_##module##_(void) \
    {                                                                       \
        qmp_register_module(&qmp_module_##module);                          \
    }

/* NULL if no registered module has it. */
const QmpCommand *qmp_find_command(const char *name);
void qmp_for_each_command(void (*func)(const QmpCommand *command, void *opaque), void *opaque);
/* Runs a command as QMP would, without a monitor: for HMP and tests. *ret (may be NULL) is the
 * caller's. */
bool qmp_run(const char *name, json_object *args, json_object **ret, GError **error);

/*
 * Events. The generated "qapi/events-MODULE.h" has `void qapi_event_send_NAME(ARGS...)` for each
 * event; arguments as for commands. Any thread. Without a sink (tools) events vanish.
 */
typedef void QapiEventSink(const char *name, json_object *data, void *opaque);
void qapi_event_set_sink(QapiEventSink *sink, void *opaque);
/* Takes data (may be NULL); the sink borrows it. Generated code calls this. */
void qapi_event_emit(const char *name, json_object *data);
/* Whether the schema has an event of this name. */
bool qapi_event_exists(const char *name);

/* The answer to query-qmp-schema: constant JSON text, generated. */
extern const char qapi_introspect_json[];
/* Names of all commands and events that the schema declares, NULL-terminated, sorted. */
extern const char *const qapi_schema_commands[];
extern const char *const qapi_schema_events[];

#endif
