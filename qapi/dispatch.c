/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Who has which QMP command, and the way of events to the monitors. See include/qapi/dispatch.h. */
#include "util/osdep.h"

#include <string.h>

#include "qapi/dispatch.h"
#include "util/error.h"

static QmpModule *modules;
static QapiEventSink *event_sink;
static void *event_opaque;

void qmp_register_module(QmpModule *module)
{
    module->next = modules;
    modules = module;
}

const QmpCommand *qmp_find_command(const char *name)
{
    for (const QmpModule *m = modules; m; m = m->next) {
        for (unsigned i = 0; i < m->n_commands; i++) {
            if (strcmp(m->commands[i].name, name) == 0) {
                return &m->commands[i];
            }
        }
    }
    return NULL;
}

void qmp_for_each_command(void (*func)(const QmpCommand *command, void *opaque), void *opaque)
{
    for (const QmpModule *m = modules; m; m = m->next) {
        for (unsigned i = 0; i < m->n_commands; i++) {
            func(&m->commands[i], opaque);
        }
    }
}

bool qmp_run(const char *name, json_object *args, json_object **ret, GError **error)
{
    const QmpCommand *command = qmp_find_command(name);
    json_object *out = NULL;

    if (!command) {
        return error_set_class(error, TERN_ERROR_COMMAND_NOT_FOUND,
                               "The command %s has not been found", name);
    }
    if (!command->run(args, &out, error)) {
        return false;
    }
    if (ret) {
        *ret = out;
    } else {
        json_object_put(out);
    }
    return true;
}

void qapi_event_set_sink(QapiEventSink *sink, void *opaque)
{
    event_sink = sink;
    event_opaque = opaque;
}

void qapi_event_emit(const char *name, json_object *data)
{
    if (event_sink) {
        event_sink(name, data, event_opaque);
    }
    json_object_put(data);
}

bool qapi_event_exists(const char *name)
{
    for (unsigned i = 0; qapi_schema_events[i]; i++) {
        if (strcmp(qapi_schema_events[i], name) == 0) {
            return true;
        }
    }
    return false;
}
