/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The manager's side of a migration: migration-driver.h. */
#include "util/osdep.h"
#include "migration-driver.h"

#define END_SECONDS 120 /* much more than it takes on a busy machine */

char *migration_path(const char *name)
{
    return g_build_filename(qtest_dir(), name, NULL);
}

char *migration_unix_uri(const char *name)
{
    g_autofree char *path = migration_path(name);
    return g_strconcat("unix:", path, NULL);
}

QTest *migration_start(const char *args, ...)
{
    va_list ap;
    va_start(ap, args);
    g_autofree char *text = g_strdup_vprintf(args, ap);
    va_end(ap);
    QTest *q = qtest_start("%s", text);
    qtest_set_moving(q, false);
    return q;
}

/* ---- commands ----------------------------------------------------------------------------------------------------------- */

void migration_set_capabilities(QTest *q, const char *names, bool on)
{
    g_auto(GStrv) words = g_strsplit(names, " ", 0);
    for (unsigned i = 0; words[i] && words[i][0]; i++) {
        qtest_qmp_ok(q,
                     "{'execute': 'migrate-set-capabilities', 'arguments': {'capabilities': "
                     "[{'capability': '%s', 'state': %s}]}}",
                     words[i], on ? "true" : "false");
    }
}

void migration_set_parameters(QTest *q, const char *members, ...)
{
    va_list ap;
    va_start(ap, members);
    g_autofree char *text = g_strdup_vprintf(members, ap);
    va_end(ap);
    if (text[0]) {
        qtest_qmp_ok(q, "{'execute': 'migrate-set-parameters', 'arguments': {%s}}", text);
    }
}

void migration_outgoing(QTest *q, const char *uri)
{
    qtest_qmp_ok(q, "{'execute': 'migrate', 'arguments': {'uri': '%s'}}", uri);
}

void migration_incoming(QTest *q, const char *uri)
{
    qtest_qmp_ok(q, "{'execute': 'migrate-incoming', 'arguments': {'uri': '%s', 'exit-on-error': false}}", uri);
}

void migration_incoming_or_exit(QTest *q, const char *uri)
{
    qtest_qmp_ok(q, "{'execute': 'migrate-incoming', 'arguments': {'uri': '%s'}}", uri);
}

char *migration_incoming_tcp(QTest *q)
{
    json_object *list;
    migration_incoming(q, "tcp:127.0.0.1:0");
    json_object *info = qtest_qmp_return(q, "{'execute': 'query-migrate'}");
    g_assert_true(json_object_object_get_ex(info, "socket-address", &list));
    char *uri = g_strdup_printf("tcp:127.0.0.1:%s", qtest_json_string(json_object_array_get_idx(list, 0), "port"));
    json_object_put(info);
    return uri;
}

/* ---- what becomes of it --------------------------------------------------------------------------------------------------- */

const char *migration_status(QTest *q)
{
    json_object *info = qtest_qmp_return(q, "{'execute': 'query-migrate'}"), *status;
    const char *text = json_object_object_get_ex(info, "status", &status) ? json_object_get_string(status) : "none";
    text = g_intern_string(text);
    json_object_put(info);
    return text;
}

int64_t migration_number(QTest *q, const char *path)
{
    json_object *info = qtest_qmp_return(q, "{'execute': 'query-migrate'}");
    int64_t n = qtest_json_int(info, path);
    json_object_put(info);
    return n;
}

const char *migration_wait(QTest *q, const char *wanted)
{
    static const char *const final[] = { "completed", "failed", "cancelled", NULL };
    gint64 deadline = g_get_monotonic_time() + END_SECONDS * G_TIME_SPAN_SECOND;
    for (;;) {
        const char *status = migration_status(q);
        if ((wanted && strcmp(status, wanted) == 0) || g_strv_contains(final, status)) {
            return status;
        }
        if (g_get_monotonic_time() > deadline) {
            g_error("the migration stays %s and does not become %s", status, wanted ? wanted : "anything final");
        }
        g_usleep(1000);
    }
}

void migration_expect(QTest *q, const char *wanted)
{
    const char *status = migration_wait(q, wanted);
    if (strcmp(status, wanted) != 0) {
        json_object *info = qtest_qmp_return(q, "{'execute': 'query-migrate'}");
        g_error("the migration is %s, not %s: %s; stderr: %s", status, wanted, json_object_to_json_string(info), qtest_stderr(q));
    }
}

void migration_expect_failed(QTest *q, const char *text)
{
    migration_expect(q, "failed");
    json_object *info = qtest_qmp_return(q, "{'execute': 'query-migrate'}");
    const char *desc = qtest_json_string(info, "error-desc");
    if (!strstr(desc, text)) {
        g_error("error-desc '%s' has no '%s'", desc, text);
    }
    json_object_put(info);
}

void migration_expect_state(QTest *q, const char *wanted)
{
    json_object *info = qtest_qmp_return(q, "{'execute': 'query-status'}");
    g_assert_cmpstr(qtest_json_string(info, "status"), ==, wanted);
    json_object_put(info);
}
