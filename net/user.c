/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Backend `user`: a network inside this process (libslirp). The guest's connections become sockets; DHCP, DNS and TFTP
 * are answered by the library.
 *
 * Migration: the section "slirp" is the library's own (its connections to guestfwd servers; those to the outside end with
 * the process that has the sockets, as they do with stock). Its clock is the VM's.
 */
#include "util/osdep.h"
#include "user-private.h"

#include "net/eth.h"
#include "util/bytes.h"
#include "util/error.h"
#include "util/iov.h"
#include "util/log.h"
#include "util/main-loop.h"

static GQueue networks = G_QUEUE_INIT; /* UserNet *, newest last */

/* ---- timers ------------------------------------------------------------------------------------------------------ */

typedef struct UserTimer {
    Timer timer;
    SlirpTimerCb func;
    void *func_opaque;
} UserTimer;

static void user_timer_fires(void *opaque)
{
    UserTimer *t = opaque;

    t->func(t->func_opaque);
}

static void *user_timer_new(SlirpTimerCb func, void *func_opaque, void *opaque)
{
    UserTimer *t = g_new0(UserTimer, 1);

    t->func = func;
    t->func_opaque = func_opaque;
    timer_init(&t->timer, CLOCK_VIRTUAL, user_timer_fires, t);
    return t;
}

static void user_timer_free(void *timer, void *opaque)
{
    UserTimer *t = timer;

    timer_del(&t->timer);
    g_free(t);
}

static void user_timer_mod(void *timer, int64_t expire_ms, void *opaque)
{
    timer_mod(&((UserTimer *)timer)->timer, expire_ms * NS_PER_MS);
}

static int64_t user_clock(void *opaque)
{
    return clock_get_ns(CLOCK_VIRTUAL);
}

/* ---- polling -------------------------------------------------------------------------------------------------------- */

/*
 * libslirp says before each poll which descriptors it wants. GLib wakes the loop for one that is added or removed, so one
 * that is not wanted for now stays, with nothing to wait for; it goes when it is closed or hung up.
 */
typedef struct UserFd {
    GPollFD poll;
    bool wanted; /* in this iteration */
} UserFd;

typedef struct UserPoll {
    GSource source;
    UserNet *user;
    GPtrArray *fds;      /* UserFd *; the library knows them by their index */
    unsigned n;          /* asked for in this iteration */
    int64_t deadline_ns; /* the library's next time-out, by its clock */
    bool busy;           /* a callback of the library iterates the loop */
} UserPoll;

static UserFd *fd_at(const UserPoll *poll, unsigned i)
{
    return g_ptr_array_index(poll->fds, i);
}

/* Mostly they come in the same order as last time. */
static int find_fd(const UserPoll *poll, int fd)
{
    for (unsigned i = 0; i < poll->fds->len; i++) {
        unsigned at = (poll->n + i) % poll->fds->len;

        if (fd_at(poll, at)->poll.fd == fd && !fd_at(poll, at)->wanted) {
            return at;
        }
    }
    return -1;
}

static int add_poll(int fd, int events, void *opaque)
{
    UserPoll *poll = opaque;
    GIOCondition condition = (events & SLIRP_POLL_IN ? G_IO_IN : 0) |
                             (events & SLIRP_POLL_OUT ? G_IO_OUT : 0) |
                             (events & SLIRP_POLL_PRI ? G_IO_PRI : 0) | G_IO_ERR | G_IO_HUP;
    int at = find_fd(poll, fd);
    UserFd *entry;

    if (at < 0) {
        at = poll->fds->len;
        entry = g_new0(UserFd, 1);
        entry->poll.fd = fd;
        g_ptr_array_add(poll->fds, entry);
        g_source_add_poll(&poll->source, &entry->poll);
    }
    entry = fd_at(poll, at);
    entry->poll.events = condition;
    entry->poll.revents = 0;
    entry->wanted = true;
    poll->n++;
    return at;
}

static int get_revents(int index, void *opaque)
{
    UserPoll *poll = opaque;
    const UserFd *entry;

    if (index < 0 || (unsigned)index >= poll->fds->len || !fd_at(poll, index)->wanted) {
        return 0;
    }
    entry = fd_at(poll, index);
    return (entry->poll.revents & G_IO_IN ? SLIRP_POLL_IN : 0) |
           (entry->poll.revents & G_IO_OUT ? SLIRP_POLL_OUT : 0) |
           (entry->poll.revents & G_IO_PRI ? SLIRP_POLL_PRI : 0) |
           (entry->poll.revents & G_IO_ERR ? SLIRP_POLL_ERR : 0) |
           (entry->poll.revents & G_IO_HUP ? SLIRP_POLL_HUP : 0);
}

/* All are unwanted until the library asks again; those that say something all the same go. */
static void forget_wishes(UserPoll *poll)
{
    for (unsigned i = poll->fds->len; i-- > 0;) {
        UserFd *entry = fd_at(poll, i);

        if (!entry->wanted && entry->poll.revents) {
            g_source_remove_poll(&poll->source, &entry->poll);
            g_free(g_ptr_array_steal_index(poll->fds, i));
            continue;
        }
        entry->wanted = false;
        entry->poll.events = 0;
    }
    poll->n = 0;
}

static gboolean poll_prepare(GSource *source, gint *timeout_ms)
{
    UserPoll *poll = (UserPoll *)source;
    uint32_t timeout = UINT32_MAX;

    *timeout_ms = -1;
    if (poll->busy) {
        return FALSE;
    }
    forget_wishes(poll);
    slirp_pollfds_fill(poll->user->slirp, &timeout, add_poll, poll);
    if (poll->user->called) {
        timeout = 0; /* what it has queued goes out when it is asked next */
    }
    if (timeout <= INT_MAX) {
        *timeout_ms = timeout;
        /* It counts from each call: a loop that is never idle would put it off for ever. */
        poll->deadline_ns = MIN(poll->deadline_ns, user_clock(NULL) + timeout * NS_PER_MS);
    }
    return FALSE;
}

/* The library looks at its sockets, its time-outs and what it has queued. */
static gboolean poll_check(GSource *source)
{
    const UserPoll *poll = (UserPoll *)source;

    if (poll->busy) {
        return FALSE;
    }
    for (unsigned i = 0; i < poll->fds->len; i++) {
        if (fd_at(poll, i)->wanted && fd_at(poll, i)->poll.revents) {
            return TRUE;
        }
    }
    return poll->user->called || user_clock(NULL) >= poll->deadline_ns;
}

static gboolean poll_dispatch(GSource *source, GSourceFunc callback, gpointer opaque)
{
    UserPoll *poll = (UserPoll *)source;

    poll->busy = true;
    poll->user->called = false;
    poll->deadline_ns = INT64_MAX;
    slirp_pollfds_poll(poll->user->slirp, 0, get_revents, poll);
    poll->busy = false;
    return G_SOURCE_CONTINUE;
}

static void poll_finalize(GSource *source)
{
    g_ptr_array_unref(((UserPoll *)source)->fds);
}

static GSourceFuncs poll_funcs = { poll_prepare,  poll_check, poll_dispatch,
                                   poll_finalize, NULL,       NULL };

static GSource *user_poll_new(UserNet *user)
{
    GSource *source = g_source_new(&poll_funcs, sizeof(UserPoll));
    UserPoll *poll = (UserPoll *)source;

    poll->user = user;
    poll->deadline_ns = INT64_MAX;
    poll->fds = g_ptr_array_new_with_free_func(g_free);
    g_source_set_static_name(source, "net-user");
    g_source_set_can_recurse(source, TRUE); /* else GLib wakes the loop for each descriptor after each call, for ever */
    g_source_attach(source, NULL);
    return source;
}

/* ---- packets ---------------------------------------------------------------------------------------------------------- */

static ssize_t user_send_packet(const void *buf, size_t len, void *opaque)
{
    net_send_buf(&((UserNet *)opaque)->nc, buf, len);
    return len;
}

/* There may be other descriptors to wait for. The main thread looks before it polls. */
static void user_notify(void *opaque)
{
    if (!in_main_thread()) {
        main_loop_wake();
    }
}

/* Packets that wait for the guest's address (ARP, neighbour discovery) go out when the library is asked next. */
static bool may_bring_address(const uint8_t *frame, size_t len)
{
    return len >= ETH_HEADER && load_be16(frame + ETH_TYPE) != ETHERTYPE_IPV4;
}

static bool user_receive(NetClient *nc, const struct iovec *iov, unsigned niov, size_t len)
{
    UserNet *user = (UserNet *)nc;
    g_autofree uint8_t *flat = NULL;
    const uint8_t *frame = iov->iov_base;

    if (niov != 1) {
        frame = flat = g_malloc(len);
        iov_to_buf(iov, niov, 0, flat, len);
    }
    slirp_input(user->slirp, frame, len);
    user->called |= may_bring_address(frame, len);
    user_notify(user);
    return true;
}

static void user_guest_error(const char *message, void *opaque)
{
    log_guest_error("net user: %s", message);
}

static void user_ignore_fd(int fd, void *opaque)
{
}

static const SlirpCb user_callbacks = {
    .send_packet = user_send_packet,
    .guest_error = user_guest_error,
    .clock_get_ns = user_clock,
    .timer_new = user_timer_new,
    .timer_free = user_timer_free,
    .timer_mod = user_timer_mod,
    .register_poll_fd = user_ignore_fd,
    .unregister_poll_fd = user_ignore_fd,
    .notify = user_notify,
};

/* ---- migration ------------------------------------------------------------------------------------------------------------ */

static ssize_t state_write(const void *buf, size_t len, void *opaque)
{
    vm_put_bytes(opaque, buf, len);
    return len;
}

static ssize_t state_read(void *buf, size_t len, void *opaque)
{
    return vm_get_bytes(opaque, buf, len) ? (ssize_t)len : -1;
}

static bool put_state(VmWriter *w, const void *elem, size_t size, const VmField *field,
                      GError **error)
{
    slirp_state_save(((const UserNet *)elem)->slirp, state_write, w);
    return true;
}

static bool get_state(VmReader *r, void *elem, size_t size, const VmField *field, GError **error)
{
    UserNet *user = elem;

    return slirp_state_load(user->slirp, user->load_version, state_read, r) == 0 ||
           error_set(error, "the user network's state cannot be read");
}

/* Always there; the only place that is told which version the stream has before the field is read. */
static bool note_version(const void *opaque, int version)
{
    ((UserNet *)opaque)->load_version = version;
    return true;
}

static const VmKind kind_slirp = { .name = "buffer", .put = put_state, .get = get_state };
static const VmField user_state_fields[] = {
    { .name = "data", .size = 1, .kind = &kind_slirp, .exists = note_version },
    VM_END,
};

/* The version is the library's, and only known when the program runs. */
static VmState vmstate_user = {
    .name = "slirp", /* as stock's */
    .fields = user_state_fields,
};

/* ---- life ------------------------------------------------------------------------------------------------------------------ */

static void user_cleanup(NetClient *nc)
{
    UserNet *user = (UserNet *)nc;

    g_queue_remove(&networks, user);
    if (user->section) {
        vmstate_unregister(user->section);
    }
    if (user->poll) {
        g_source_destroy(user->poll);
        g_source_unref(user->poll);
    }
    g_ptr_array_unref(user->forwards);
    slirp_cleanup(user->slirp);
}

static const NetClientOps user_ops = {
    .kind = NET_CLIENT_DRIVER_USER,
    .size = sizeof(UserNet),
    .receive = user_receive,
    .cleanup = user_cleanup,
};

UserNet *user_find(const char *id, GError **error)
{
    for (GList *l = networks.head; l; l = l->next) {
        UserNet *user = l->data;

        if (!id || !strcmp(user->nc.name, id)) {
            return user;
        }
    }
    if (id) {
        error_set(error,
                  net_find_any(id) ? "netdev '%s' is no user network"
                                   : "unrecognized netdev id '%s'",
                  id);
    } else {
        error_set(error, "user mode network stack not in use");
    }
    return NULL;
}

bool user_hostfwd_add(UserNet *user, const char *text, GError **error)
{
    UserRule rule;

    if (!user_rule_parse(text, false, &rule, error)) {
        return false;
    }
    return slirp_add_hostfwd(user->slirp, rule.udp, rule.host_addr, rule.host_port, rule.guest_addr,
                             rule.guest_port) == 0 ||
           error_set_errno(error, errno, "Could not set up host forwarding rule '%s'", text);
}

bool user_hostfwd_remove(UserNet *user, const char *text, bool *found, GError **error)
{
    UserRule rule;

    if (!user_rule_parse(text, true, &rule, error)) {
        return false;
    }
    *found = slirp_remove_hostfwd(user->slirp, rule.udp, rule.host_addr, rule.host_port) == 0;
    return true;
}

static bool add_forwards(UserNet *user, const NetdevUserOptions *o, GError **error)
{
    for (size_t i = 0; o->hostfwd && i < o->hostfwd->len; i++) {
        if (!user_hostfwd_add(user, o->hostfwd->items[i]->str, error)) {
            return false;
        }
    }
    for (size_t i = 0; o->guestfwd && i < o->guestfwd->len; i++) {
        if (!user_guestfwd_add(user, o->guestfwd->items[i]->str, error)) {
            return false;
        }
    }
    return true;
}

static bool user_create(const Netdev *netdev, const char *name, NetClient *peer, GError **error)
{
    const NetdevUserOptions *o = &netdev->u.user;
    char network[INET_ADDRSTRLEN];
    UserConfig config;
    UserNet *user;

    if (!user_config_parse(o, &config, error)) {
        return false;
    }
    user = (UserNet *)net_client_new(&user_ops, "user", name, 0, peer);
    user->slirp = slirp_new(&config.slirp, &user_callbacks, user);
    user->ipv4 = config.slirp.in_enabled;
    user->forwards = g_ptr_array_new_with_free_func((GDestroyNotify)user_guestfwd_free);
    g_queue_push_tail(&networks, user);
    inet_ntop(AF_INET, &config.slirp.vnetwork, network, sizeof(network));
    net_set_info(&user->nc, "net=%s,restrict=%s", network, config.slirp.restricted ? "on" : "off");
    user_config_clear(&config);
    if (!add_forwards(user, o, error)) {
        net_client_free(&user->nc);
        return false;
    }
    vmstate_user.version = slirp_state_version();
    vmstate_user.minimum_version = 0;
    user->section = vmstate_register("slirp", VM_INSTANCE_ANY, &vmstate_user, user);
    user->poll = user_poll_new(user);
    return true;
}

static const NetBackend user_backend = { .kind = NET_CLIENT_DRIVER_USER, .create = user_create };
NET_BACKEND_REGISTER(user_backend);
