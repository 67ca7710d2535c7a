/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Several connections, made and sorted; see channels.h. */
#include "util/osdep.h"
#include "channels.h"

#include "multifd.h"
#include "util/bytes.h"

/* ---- source ---- */

struct ChannelsConnect {
    SocketAddress *addr;
    IoConnect *connect;
    ChannelsConnected *done;
    void *opaque;
    unsigned n, there;
    IoChannel *channels[];
};

static void connect_free(ChannelsConnect *cc)
{
    qapi_free_SocketAddress(cc->addr);
    g_free(cc);
}

static void drop_channels(ChannelsConnect *cc)
{
    while (cc->there) {
        io_channel_unref(cc->channels[--cc->there]);
    }
}

static void connected(IoChannel *ioc, const GError *error, void *opaque)
{
    ChannelsConnect *cc = opaque;
    cc->connect = NULL;
    if (error) {
        drop_channels(cc);
        cc->done(NULL, 0, error, cc->opaque);
        connect_free(cc);
        return;
    }
    cc->channels[cc->there++] = ioc;
    if (cc->there < cc->n) {
        cc->connect = io_socket_connect_async(cc->addr, 0, NULL, connected, cc);
        return;
    }
    cc->done(cc->channels, cc->n, NULL, cc->opaque);
    connect_free(cc);
}

ChannelsConnect *channels_connect(const SocketAddress *addr, unsigned n, ChannelsConnected *done,
                                  void *opaque)
{
    ChannelsConnect *cc = g_malloc0(sizeof(*cc) + n * sizeof(cc->channels[0]));
    cc->addr = qapi_clone_SocketAddress(addr);
    cc->n = n;
    cc->done = done;
    cc->opaque = opaque;
    cc->connect = io_socket_connect_async(addr, 0, NULL, connected, cc);
    return cc;
}

void channels_connect_cancel(ChannelsConnect *cc)
{
    io_connect_cancel(cc->connect);
    drop_channels(cc);
    connect_free(cc);
}

/* ---- destination ---- */

typedef struct Unsorted {
    ChannelSorter *sorter;
    IoChannel *ioc;
    GSource *watch;
    size_t have;
    uint8_t buf[MULTIFD_HELLO_BYTES];
} Unsorted;

struct ChannelSorter {
    const ChannelSorterOps *ops;
    void *opaque;
    GPtrArray *unsorted; /* Unsorted */
};

static void unsorted_free(Unsorted *u)
{
    io_watch_clear(&u->watch);
    io_channel_unref(u->ioc);
    g_free(u);
}

static size_t wanted(const Unsorted *u)
{
    return u->have < CHANNEL_FIRST_BYTES        ? CHANNEL_FIRST_BYTES
           : load_be32(u->buf) == MULTIFD_MAGIC ? MULTIFD_HELLO_BYTES
                                                : CHANNEL_FIRST_BYTES;
}

static void sorted(Unsorted *u)
{
    const ChannelSorter *sorter = u->sorter;
    IoChannel *ioc = g_steal_pointer(&u->ioc);
    uint8_t buf[MULTIFD_HELLO_BYTES];
    memcpy(buf, u->buf, sizeof(buf));
    g_ptr_array_remove_fast(sorter->unsorted, u);
    unsorted_free(u);
    /* The sorter may be gone after this. */
    if (load_be32(buf) == MULTIFD_MAGIC) {
        sorter->ops->multifd_channel(ioc, buf, sorter->opaque);
    } else {
        sorter->ops->main_channel(ioc, buf, sorter->opaque);
    }
}

static gboolean readable(IoChannel *ioc, GIOCondition cond, void *opaque)
{
    Unsorted *u = opaque;
    while (u->have < wanted(u)) {
        ssize_t n = io_channel_read(ioc, u->buf + u->have, wanted(u) - u->have, NULL);
        if (n == -EAGAIN) {
            return G_SOURCE_CONTINUE;
        }
        if (n <= 0) {
            const ChannelSorter *sorter = u->sorter;
            g_ptr_array_remove_fast(sorter->unsorted, u);
            unsorted_free(u);
            sorter->ops->nobody(sorter->opaque);
            return G_SOURCE_REMOVE;
        }
        u->have += n;
    }
    sorted(u);
    return G_SOURCE_REMOVE;
}

ChannelSorter *channel_sorter_new(const ChannelSorterOps *ops, void *opaque)
{
    ChannelSorter *sorter = g_new0(ChannelSorter, 1);
    sorter->ops = ops;
    sorter->opaque = opaque;
    sorter->unsorted = g_ptr_array_new();
    return sorter;
}

void channel_sorter_add(ChannelSorter *sorter, IoChannel *ioc)
{
    Unsorted *u = g_new0(Unsorted, 1);
    u->sorter = sorter;
    u->ioc = ioc;
    io_channel_set_blocking(ioc, false, NULL);
    u->watch = io_channel_add_watch(ioc, G_IO_IN, readable, u, NULL);
    g_ptr_array_add(sorter->unsorted, u);
}

void channel_sorter_free(ChannelSorter *sorter)
{
    if (sorter) {
        for (guint i = 0; i < sorter->unsorted->len; i++) {
            unsorted_free(sorter->unsorted->pdata[i]);
        }
        g_ptr_array_free(sorter->unsorted, TRUE);
        g_free(sorter);
    }
}
