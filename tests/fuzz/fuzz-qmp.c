/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * QMP input: framing (monitor/qmp-parser), then what a client can reach with a message: decoding of
 * arguments into large types and the way back, and commands that do nothing to the host.
 */
#include "util/osdep.h"

#include "monitor/hmp.h"
#include "monitor/qmp-parser.h"
#include "qapi/dispatch.h"
#include "qapi/types-char.h"
#include "qapi/types-introspect.h"
#include "qapi/types-qom.h"
#include "util/main-loop.h"

#include "fuzz.h"

/* What was accepted survives encoding, decoding and cloning. */
static void check_type(const QapiType *type, json_object *in, QapiInput mode)
{
    GError *error = NULL;
    void *value = qapi_decode_value(type, in, mode, &error);
    void *copy, *again;
    json_object *out, *out2;
    GString *text, *text2;

    if (!value) {
        if (!error) {
            abort();
        }
        g_error_free(error);
        return;
    }
    out = qapi_encode_value(type, value);
    copy = qapi_clone_value(type, value);
    qapi_free_value(type, value);
    again = qapi_decode_value(type, out, QAPI_INPUT_JSON, NULL);
    if (!again) {
        abort();
    }
    out2 = qapi_encode_value(type, copy);
    text = g_string_new(NULL);
    text2 = g_string_new(NULL);
    qapi_json_write(text, out, false);
    qapi_json_write(text2, out2, false);
    if (!g_string_equal(text, text2)) {
        abort();
    }
    g_string_free(text, TRUE);
    g_string_free(text2, TRUE);
    json_object_put(out);
    json_object_put(out2);
    qapi_free_value(type, copy);
    qapi_free_value(type, again);
}

static bool harmless(const char *command)
{
    static const char *const names[] = {
        "query-version",
        "query-commands",
        "query-qmp-schema",
        "query-chardev",
        "query-chardev-backends",
        "query-fdsets",
        "query-command-line-options",
        "ringbuf-read",
        "ringbuf-write",
        "qom-list",
        "qom-get",
        "qom-list-types",
        "qom-list-properties",
        "chardev-remove",
        "remove-fd",
    };

    for (unsigned i = 0; i < G_N_ELEMENTS(names); i++) {
        if (strcmp(names[i], command) == 0) {
            return true;
        }
    }
    return false;
}

/* Lines for the human monitor, made harmless by what stands before them. */
static void try_line(const char *text)
{
    static const char *const before[] = { "help ", "print ", "print /", "info version ",
                                          "ringbuf_read r " };

    for (unsigned i = 0; i < G_N_ELEMENTS(before); i++) {
        g_autofree char *line = g_strconcat(before[i], text, NULL);
        GString *out = g_string_new(NULL);

        hmp_run_line(line, 0, out);
        g_string_free(out, TRUE);
    }
}

static void try_command(json_object *message)
{
    json_object *execute, *args = NULL, *ret = NULL;
    const char *name;
    GError *error = NULL;

    if (!json_object_object_get_ex(message, "execute", &execute) ||
        !json_object_is_type(execute, json_type_string)) {
        return;
    }
    name = json_object_get_string(execute);
    if (json_object_object_get_ex(message, "arguments", &args) &&
        !json_object_is_type(args, json_type_object)) {
        args = NULL;
    }
    if (strcmp(name, "human-monitor-command") == 0) {
        json_object *line;

        if (json_object_object_get_ex(args, "command-line", &line) &&
            json_object_is_type(line, json_type_string)) {
            try_line(json_object_get_string(line));
        }
    } else if (harmless(name)) {
        if (qmp_run(name, args, &ret, &error) == (error != NULL)) {
            abort();
        }
        json_object_put(ret);
        g_clear_error(&error);
    }
}

static void message(json_object *value, const GError *error, void *opaque)
{
    static const QapiType *const types[] = {
        &qapi_type_ChardevBackend,      &qapi_type_SchemaInfo, &qapi_type_ObjectOptions,
        &qapi_type_SocketAddressLegacy, &qapi_type_StrArray,
    };
    json_object *args = value;

    if (json_object_is_type(value, json_type_object)) {
        try_command(value);
        json_object_object_get_ex(value, "arguments", &args);
    }
    for (unsigned i = 0; i < G_N_ELEMENTS(types); i++) {
        check_type(types[i], args, QAPI_INPUT_JSON);
        check_type(types[i], args, QAPI_INPUT_KEYVAL);
    }
    json_object_put(value);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static bool ready;
    QmpParser parser;

    if (!ready) {
        ready = true;
        main_loop_init();
    }
    qmp_parser_init(&parser, message, NULL);
    qmp_parser_feed(&parser, data, size);
    qmp_parser_destroy(&parser);
    return 0;
}
