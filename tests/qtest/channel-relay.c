/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Between source and destination: channel-relay.h. A thread for each direction of each connection, as one that is not read
 * must not hold up the others. */
#include "util/osdep.h"
#include "channel-relay.h"

#include <arpa/inet.h>
#include <glib.h>
#include <glib/gstdio.h>
#include <netinet/in.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/un.h>

#define PIECE 16384
#define SHORT_BYTES 3000 /* that come in pieces of up to SHORT_PIECE */
#define SHORT_PIECE 9

typedef struct Link {
    Relay *relay;
    unsigned number;
    int fd[2]; /* the source's, the destination's */
    GThread *thread[2];
} Link;

struct Relay {
    GMutex lock;      /* of what follows */
    GCond changed;
    RelayFault fault; /* kind: RELAY_FINE once it has happened */
    bool faulted, cut;
    bool hold[2];     /* what the source says, what the destination says */
    GPtrArray *links; /* Link * */
    uint64_t passed[2];

    char *path, *uri, *target;
    int listener;
    GThread *thread;
};

/* ---- addresses -------------------------------------------------------------------------------------------------------- */

typedef union Address {
    struct sockaddr any;
    struct sockaddr_un un;
    struct sockaddr_in in;
} Address;

/* A socket for "unix:PATH" or "tcp:127.0.0.1:PORT", and the address for bind() or connect(). */
static int socket_for(const char *uri, Address *addr, socklen_t *len)
{
    *addr = (Address){ 0 };
    if (g_str_has_prefix(uri, "unix:")) {
        addr->un.sun_family = AF_UNIX;
        g_strlcpy(addr->un.sun_path, uri + 5, sizeof(addr->un.sun_path));
        *len = sizeof(addr->un);
        return socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    }
    addr->in.sin_family = AF_INET;
    addr->in.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    addr->in.sin_port = htons(g_ascii_strtoull(strrchr(uri, ':') + 1, NULL, 10));
    *len = sizeof(addr->in);
    return socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
}

/* ---- passing on --------------------------------------------------------------------------------------------------------- */

static void shut(Link *link)
{
    shutdown(link->fd[0], SHUT_RDWR);
    shutdown(link->fd[1], SHUT_RDWR);
}

static void cut_locked(Relay *r)
{
    r->cut = true;
    for (unsigned i = 0; i < r->links->len; i++) {
        shut(g_ptr_array_index(r->links, i));
    }
    g_cond_broadcast(&r->changed);
}

/* What happens to the next bytes of this direction, `passed` bytes after its beginning. */
typedef struct Turn {
    size_t limit; /* at most so many */
    bool garble, stop;
} Turn;

/* With the lock. */
static void fault_now(Link *link, Turn *turn, uint64_t *short_left)
{
    Relay *r = link->relay;
    RelayFaultKind kind = r->fault.kind;
    while (kind == RELAY_CLOSE_ONE && !r->passed[0] && !r->cut) {
        g_cond_wait(&r->changed, &r->lock);
    }
    r->fault.kind = RELAY_FINE;
    r->faulted = true;
    switch (kind) {
    case RELAY_CLOSE:
        cut_locked(r);
        break;
    case RELAY_CLOSE_ONE:
        shut(link);
        break;
    case RELAY_STALL:
        while (!r->cut) {
            g_cond_wait(&r->changed, &r->lock);
        }
        break;
    case RELAY_SHORT:
        *short_left = SHORT_BYTES;
        return;
    default:
        turn->garble = true;
        turn->limit = 1;
        return;
    }
    turn->stop = true;
}

/* Bytes that may be passed on until the fault is due; UINT64_MAX if it is none of this direction's. With the lock. */
static uint64_t until_fault(const Link *link, bool answers, uint64_t passed)
{
    const Relay *r = link->relay;
    if (r->fault.kind == RELAY_FINE || r->fault.answers != answers) {
        return UINT64_MAX;
    }
    if (r->fault.channel == RELAY_ANY) {
        passed = r->passed[answers];
    } else if (r->fault.channel != link->number) {
        return UINT64_MAX;
    }
    return r->fault.offset - MIN(r->fault.offset, passed);
}

/* Until this direction may go on; false: it has been cut. A hold may have begun while bytes were waited for. */
static bool wait_held(Relay *r, bool answers)
{
    g_mutex_lock(&r->lock);
    while (r->hold[answers] && !r->cut) {
        g_cond_wait(&r->changed, &r->lock);
    }
    bool ok = !r->cut;
    g_mutex_unlock(&r->lock);
    return ok;
}

static Turn next_turn(Link *link, bool answers, uint64_t passed, uint64_t *short_left)
{
    Relay *r = link->relay;
    Turn turn = { 0 };
    g_mutex_lock(&r->lock);
    turn.limit = MIN(PIECE, until_fault(link, answers, passed));
    if (turn.limit == 0) {
        turn.limit = PIECE;
        fault_now(link, &turn, short_left);
    }
    if (*short_left) {
        turn.limit = MIN(turn.limit, 1 + *short_left % SHORT_PIECE);
    }
    turn.stop |= r->cut;
    g_mutex_unlock(&r->lock);
    return turn;
}

static bool send_all(int fd, const char *data, size_t len)
{
    while (len) {
        ssize_t n = send(fd, data, len, MSG_NOSIGNAL);
        if (n <= 0) {
            return false;
        }
        data += n;
        len -= n;
    }
    return true;
}

static void pass(Link *link, bool answers)
{
    Relay *r = link->relay;
    uint64_t passed = 0, short_left = 0;
    g_autofree char *buf = g_malloc(PIECE);
    for (;;) {
        Turn turn = next_turn(link, answers, passed, &short_left);
        /* It stays in the socket until it has been passed on: relay_idle(). */
        ssize_t n = turn.stop ? 0 : recv(link->fd[answers], buf, turn.limit, MSG_PEEK);
        if (n <= 0) {
            break;
        }
        if (turn.garble) {
            buf[0] ^= 1 + passed % 255;
        }
        if (!wait_held(r, answers)) {
            break;
        }
        passed += n;
        short_left -= MIN(short_left, (uint64_t)n);
        g_mutex_lock(&r->lock);
        r->passed[answers] += n;
        g_cond_broadcast(&r->changed);
        g_mutex_unlock(&r->lock);
        if (!send_all(link->fd[!answers], buf, n) || recv(link->fd[answers], buf, n, 0) != n) {
            break;
        }
    }
    shut(link);
}

static void *pass_questions(void *opaque)
{
    pass(opaque, false);
    return NULL;
}

static void *pass_answers(void *opaque)
{
    pass(opaque, true);
    return NULL;
}

void relay_add(Relay *r, int source, int target)
{
    Link *link = g_new0(Link, 1);
    *link = (Link){ .relay = r, .fd = { source, target } };
    g_mutex_lock(&r->lock);
    link->number = r->links->len;
    g_ptr_array_add(r->links, link);
    if (r->cut) {
        shut(link);
    }
    link->thread[0] = g_thread_new("questions", pass_questions, link);
    link->thread[1] = g_thread_new("answers", pass_answers, link);
    g_mutex_unlock(&r->lock);
}

/* ---- listening ------------------------------------------------------------------------------------------------------------ */

static void *listen_thread(void *opaque)
{
    Relay *r = opaque;
    int a;
    while ((a = accept4(r->listener, NULL, NULL, SOCK_CLOEXEC)) >= 0) {
        Address addr;
        socklen_t len;
        int b = socket_for(r->target, &addr, &len);
        if (connect(b, &addr.any, len) < 0) {
            close(a);
            close(b);
            continue;
        }
        relay_add(r, a, b);
    }
    return NULL;
}

Relay *relay_new_pairs(const RelayFault *fault)
{
    Relay *r = g_new0(Relay, 1);
    r->fault = fault ? *fault : (RelayFault){ 0 };
    r->links = g_ptr_array_new();
    r->listener = -1;
    g_mutex_init(&r->lock);
    g_cond_init(&r->changed);
    return r;
}

Relay *relay_new(const char *path, const char *target, const RelayFault *fault)
{
    Relay *r = relay_new_pairs(fault);
    Address addr;
    socklen_t len;
    r->uri = path ? g_strconcat("unix:", path, NULL) : g_strdup("tcp:127.0.0.1:0");
    r->path = g_strdup(path);
    r->target = g_strdup(target);
    r->listener = socket_for(r->uri, &addr, &len);
    g_assert_cmpint(bind(r->listener, &addr.any, len), ==, 0);
    g_assert_cmpint(listen(r->listener, 64), ==, 0);
    if (!path) {
        g_assert_cmpint(getsockname(r->listener, &addr.any, &len), ==, 0);
        g_free(r->uri);
        r->uri = g_strdup_printf("tcp:127.0.0.1:%u", ntohs(addr.in.sin_port));
    }
    r->thread = g_thread_new("relay", listen_thread, r);
    return r;
}

const char *relay_uri(const Relay *r)
{
    return r->uri;
}

/* ---- the test's hand ------------------------------------------------------------------------------------------------------ */

void relay_fault_from_here(Relay *r, const RelayFault *fault)
{
    g_assert_cmpuint(fault->channel, ==, RELAY_ANY);
    g_mutex_lock(&r->lock);
    r->fault = *fault;
    r->fault.offset += r->passed[fault->answers];
    g_mutex_unlock(&r->lock);
}

void relay_hold(Relay *r, bool answers, bool hold)
{
    g_mutex_lock(&r->lock);
    r->hold[answers] = hold;
    g_cond_broadcast(&r->changed);
    g_mutex_unlock(&r->lock);
}

bool relay_faulted(Relay *r)
{
    g_mutex_lock(&r->lock);
    bool faulted = r->faulted;
    g_mutex_unlock(&r->lock);
    return faulted;
}

uint64_t relay_passed(Relay *r, bool answers)
{
    g_mutex_lock(&r->lock);
    uint64_t passed = r->passed[answers];
    g_mutex_unlock(&r->lock);
    return passed;
}

bool relay_idle(Relay *r)
{
    bool idle = true;
    g_mutex_lock(&r->lock);
    for (unsigned i = 0; i < r->links->len; i++) {
        const Link *link = g_ptr_array_index(r->links, i);
        int waiting = 0;
        g_assert_cmpint(ioctl(link->fd[0], FIONREAD, &waiting), ==, 0);
        idle &= waiting == 0;
    }
    g_mutex_unlock(&r->lock);
    return idle;
}

void relay_cut(Relay *r)
{
    g_mutex_lock(&r->lock);
    cut_locked(r);
    g_mutex_unlock(&r->lock);
}

void relay_free(Relay *r)
{
    if (!r) {
        return;
    }
    if (r->thread) {
        shutdown(r->listener, SHUT_RDWR); /* wakes accept() */
        g_thread_join(r->thread);
        close(r->listener);
    }
    relay_cut(r);
    for (unsigned i = 0; i < r->links->len; i++) {
        Link *link = g_ptr_array_index(r->links, i);
        for (unsigned j = 0; j < 2; j++) {
            g_thread_join(link->thread[j]);
            close(link->fd[j]);
        }
        g_free(link);
    }
    if (r->path) {
        g_unlink(r->path);
    }
    g_ptr_array_free(r->links, TRUE);
    g_mutex_clear(&r->lock);
    g_cond_clear(&r->changed);
    g_free(r->path);
    g_free(r->uri);
    g_free(r->target);
    g_free(r);
}
