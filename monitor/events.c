/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * QMP events on their way to the sessions: time stamp, and a limit of one per second for the kinds
 * that a guest can make as many of as it likes. Of those that come faster the last one is sent when
 * the second is over.
 */
#include "util/osdep.h"

#include "io/channel.h"
#include "monitor-private.h"

#define LIMIT_MS 1000

/* Events that are limited, and the member of their data that tells independent ones apart. */
static const struct {
    const char *name, *key;
} limits[] = {
    { "RTC_CHANGE", NULL },
    { "WATCHDOG", NULL },
    { "BALLOON_CHANGE", NULL },
    { "QUORUM_REPORT_BAD", "node-name" },
    { "QUORUM_FAILURE", NULL },
    { "VSERPORT_CHANGE", "id" },
    { "MEMORY_DEVICE_SIZE_CHANGE", "qom-path" },
    { "HV_BALLOON_STATUS_REPORT", NULL },
};

/* A limited event that was sent within the last second. */
typedef struct Recent {
    char *key;
    json_object *waiting; /* the newest that was held back, NULL: none */
    GSource *timer;
} Recent;

static GMutex lock;
static GHashTable *recent; /* key -> Recent */

static void recent_free(gpointer p)
{
    Recent *r = p;

    json_object_put(r->waiting);
    io_watch_clear(&r->timer);
    g_free(r->key);
    g_free(r);
}

static json_object *stamped(const char *name, json_object *data)
{
    json_object *message = json_object_new_object();
    json_object *stamp = json_object_new_object();
    gint64 now = g_get_real_time();

    json_object_object_add(stamp, "seconds", json_object_new_int64(now / G_USEC_PER_SEC));
    json_object_object_add(stamp, "microseconds", json_object_new_int64(now % G_USEC_PER_SEC));
    json_object_object_add(message, "timestamp", stamp);
    json_object_object_add(message, "event", json_object_new_string(name));
    if (data) {
        json_object_object_add(message, "data", json_object_get(data));
    }
    return message;
}

/* NULL: this event is not limited. */
static char *limit_key(const char *name, json_object *data)
{
    for (unsigned i = 0; i < G_N_ELEMENTS(limits); i++) {
        json_object *value = NULL;

        if (strcmp(limits[i].name, name)) {
            continue;
        }
        if (limits[i].key) {
            json_object_object_get_ex(data, limits[i].key, &value);
        }
        return g_strdup_printf("%s %s", name, value ? json_object_get_string(value) : "");
    }
    return NULL;
}

static gboolean second_is_over(gpointer opaque)
{
    Recent *r = opaque;
    json_object *message;

    g_mutex_lock(&lock);
    message = g_steal_pointer(&r->waiting);
    if (!message) {
        g_hash_table_remove(recent, r->key);
    }
    g_mutex_unlock(&lock);
    if (!message) {
        return G_SOURCE_REMOVE;
    }
    qmp_broadcast(message);
    json_object_put(message);
    return G_SOURCE_CONTINUE;
}

/* Whether the message goes now; otherwise it is kept. */
static bool pass_limit(const char *name, json_object *data, json_object *message)
{
    char *key = limit_key(name, data);
    Recent *r;

    if (!key) {
        return true;
    }
    g_mutex_lock(&lock);
    r = recent ? g_hash_table_lookup(recent, key) : NULL;
    if (r) {
        json_object_put(r->waiting);
        r->waiting = json_object_get(message);
        g_free(key);
    } else if (recent) {
        r = g_new0(Recent, 1);
        r->key = key;
        r->timer = g_timeout_source_new(LIMIT_MS);
        g_source_set_callback(r->timer, second_is_over, r, NULL);
        g_hash_table_insert(recent, r->key, r);
        g_source_attach(r->timer, NULL);
        r = NULL;
    } else {
        g_free(key);
    }
    g_mutex_unlock(&lock);
    return r == NULL;
}

static void sink(const char *name, json_object *data, void *opaque)
{
    json_object *message = stamped(name, data);

    if (pass_limit(name, data, message)) {
        qmp_broadcast(message);
    }
    json_object_put(message);
}

void monitor_events_init(void)
{
    g_mutex_lock(&lock);
    if (!recent) {
        recent = g_hash_table_new_full(g_str_hash, g_str_equal, NULL, recent_free);
    }
    g_mutex_unlock(&lock);
    qapi_event_set_sink(sink, NULL);
}

void monitor_events_cleanup(void)
{
    qapi_event_set_sink(NULL, NULL);
    g_mutex_lock(&lock);
    g_clear_pointer(&recent, g_hash_table_unref);
    g_mutex_unlock(&lock);
}
