/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What all cards have in common: receive filters as QMP sees them, and self-announcement. */
#include "util/osdep.h"
#include "net-private.h"

#include "qapi/commands-net.h"
#include "qapi/events-net.h"
#include "util/clock.h"
#include "util/error.h"

void net_nic_format_info(NetClient *nc)
{
    g_autofree char *mac = net_mac_format(nc->mac);

    if (nc->queue_index == 0) {
        net_set_info(nc, "model=%s,macaddr=%s", nc->model, mac);
    }
}

/* ---- receive filters ------------------------------------------------------------------------------------------ */

void net_rx_filter_changed(NetClient *nc)
{
    bool has_id = nc->path && g_str_has_prefix(nc->path, "/machine/peripheral/");

    if (!nc->rx_filter_told && nc->path) {
        nc->rx_filter_told = true;
        qapi_event_send_NIC_RX_FILTER_CHANGED(has_id ? nc->name : NULL, nc->path);
    }
}

typedef struct FilterQuery {
    const char *name;
    RxFilterInfoArray *list;
    GError *error;
    bool found;
} FilterQuery;

static bool add_filter(NetClient *nc, void *opaque)
{
    FilterQuery *query = opaque;
    RxFilterInfo *info;

    if (nc->queue_index || (query->name && strcmp(nc->name, query->name))) {
        return true;
    }
    query->found = true;
    if (nc->ops->kind != NET_CLIENT_DRIVER_NIC) {
        return !query->name || error_set(&query->error, "net client(%s) isn't a NIC", query->name);
    }
    if (!nc->ops->query_rx_filter) {
        return !query->name ||
               error_set(&query->error, "net client(%s) doesn't support rx-filter querying",
                         query->name);
    }
    info = nc->ops->query_rx_filter(nc, &query->error);
    if (!info) {
        return false;
    }
    nc->rx_filter_told = false;
    QAPI_ARRAY_ADD(query->list, info);
    return true;
}

bool qmp_query_rx_filter(const char *name, RxFilterInfoArray **ret, GError **error)
{
    FilterQuery query = { .name = name, .list = g_new0(RxFilterInfoArray, 1) };

    net_foreach(add_filter, &query);
    if (!query.error && name && !query.found) {
        error_set(&query.error, "invalid net client name: %s", name);
    }
    if (query.error) {
        qapi_free_RxFilterInfoArray(query.list);
        g_propagate_error(error, query.error);
        return false;
    }
    *ret = query.list;
    return true;
}

/* ---- self-announcement ------------------------------------------------------------------------------------------ */

#define RARP_TYPE 0x8035
#define RARP_REQUEST_REVERSE 3

typedef struct Announcement {
    AnnounceParameters *params;
    int64_t round;
    Timer timer;
} Announcement;

static GPtrArray *announcements; /* Announcement * */

/* RFC 903: "who am I?", which makes switches learn the port and which nobody needs to answer. */
static void send_rarp(NetClient *nc)
{
    static const uint8_t fixed[] = { RARP_TYPE >> 8,      RARP_TYPE & 0xff, 0, 1, 8, 0, 6, 4, 0,
                                     RARP_REQUEST_REVERSE };
    uint8_t frame[60] = { 0 };

    memset(frame, 0xff, 6);
    memcpy(frame + 6, nc->mac, 6);
    memcpy(frame + 12, fixed, sizeof(fixed));
    memcpy(frame + 22, nc->mac, 6); /* sender, whose protocol address is 0.0.0.0 */
    memcpy(frame + 32, nc->mac, 6); /* target, likewise */
    net_send_raw(nc, frame, sizeof(frame));
}

static bool listed(const AnnounceParameters *params, const char *name)
{
    if (!params->interfaces) {
        return true;
    }
    for (size_t i = 0; i < params->interfaces->len; i++) {
        if (!strcmp(params->interfaces->items[i], name)) {
            return true;
        }
    }
    return false;
}

static bool collect_card(NetClient *nc, void *cards)
{
    if (nc->ops->kind == NET_CLIENT_DRIVER_NIC && nc->queue_index == 0) {
        g_ptr_array_add(cards, nc);
    }
    return true;
}

static void announce_round(Announcement *a)
{
    g_autoptr(GPtrArray) cards = g_ptr_array_new();

    net_foreach(collect_card, cards);
    for (unsigned i = 0; i < cards->len; i++) {
        NetClient *nc = g_ptr_array_index(cards, i);

        if (!listed(a->params, nc->name)) {
            continue;
        }
        send_rarp(nc);
        if (nc->ops->announce) {
            nc->ops->announce(nc);
        }
    }
}

static void announcement_free(Announcement *a)
{
    timer_del(&a->timer);
    qapi_free_AnnounceParameters(a->params);
    g_free(a);
}

static void announce_next(void *opaque)
{
    Announcement *a = opaque;
    int64_t pause = MIN(a->params->initial + a->round * a->params->step, a->params->max);

    announce_round(a);
    if (++a->round >= a->params->rounds) {
        g_ptr_array_remove(announcements, a);
        announcement_free(a);
        return;
    }
    timer_mod(&a->timer, clock_get_ns(CLOCK_REALTIME_NS) + pause * NS_PER_MS);
}

void net_announce_self(const AnnounceParameters *params)
{
    Announcement *a = g_new0(Announcement, 1);

    if (!announcements) {
        announcements = g_ptr_array_new();
    }
    for (unsigned i = 0; i < announcements->len; i++) {
        Announcement *old = g_ptr_array_index(announcements, i);

        if (!g_strcmp0(old->params->id, params->id)) {
            g_ptr_array_remove_index(announcements, i);
            announcement_free(old);
            break;
        }
    }
    a->params = qapi_clone_AnnounceParameters(params);
    timer_init(&a->timer, CLOCK_REALTIME_NS, announce_next, a);
    g_ptr_array_add(announcements, a);
    announce_next(a);
}

bool qmp_announce_self(const AnnounceParameters *params, GError **error)
{
    if (params->initial < 1 || params->initial > 100000) {
        return error_set(error, "Parameter 'initial' expects a value between 1 and 100000");
    }
    if (params->max < 1 || params->max > 100000) {
        return error_set(error, "Parameter 'max' expects a value between 1 and 100000");
    }
    if (params->rounds < 1 || params->rounds > 1000) {
        return error_set(error, "Parameter 'rounds' expects a value between 1 and 1000");
    }
    if (params->step < 0 || params->step > 10000) {
        return error_set(error, "Parameter 'step' expects a value between 0 and 10000");
    }
    net_announce_self(params);
    return true;
}
