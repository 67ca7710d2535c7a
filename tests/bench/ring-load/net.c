/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * ring-load net: a TCP stream between a virtio-net card on `-netdev user` and a socket of this process (RFC 9293, as much
 * of it as a wire without losses needs: a fixed window, go back to what was not acknowledged after a silence). The guest
 * connects to 10.0.2.2, which libslirp makes 127.0.0.1. What arrives is compared with what was sent.
 */
#include "util/osdep.h"
#include "ring-load.h"

#include <fcntl.h>
#include <netinet/in.h>
#include <stdio.h>
#include <sys/socket.h>

#define BUFFERS 128      /* of each ring, one chain each */
#define BUFFER_SIZE 2048
#define TX_AT (DATA + BUFFERS * BUFFER_SIZE)
#define NET_HEADER 12    /* VIRTIO 1.2, 5.1.6: zeros, no offloads */
#define ETH 14
#define HEADERS (ETH + 20 + 20)
#define MSS 1460u
#define WINDOW 65535u
#define PATTERN (1u << 20)
#define PORT 40000
#define WARM_UP 0.05
#define SILENCE 0.3
#define DELAYED_ACK 64 /* idle turns */
#define PATIENCE 10.0

enum { FIN = 1, SYN = 2, RST = 4, PSH = 8, ACK = 16 };

typedef struct Net {
    Load *load;
    Ring *rx, *tx;
    bool receive;
    uint16_t free[BUFFERS]; /* chains of tx that the device does not have */
    unsigned n_free;
    int listener, sock;
    uint16_t port;
    bool arp_seen, established;
    /* the guest's end */
    uint32_t una, nxt, peer_window; /* sent, counted from the first byte, which is 0 */
    uint32_t rcv;                   /* taken, likewise */
    uint32_t rcv_acked;
    uint32_t peer_isn;
    bool ack_now;
    double last_progress;
    /* the host's end */
    uint64_t host_done;
    bool bad;
    uint8_t *pattern; /* twice, so that any piece of it is in one */
} Net;

static const uint8_t guest_mac[6] = { 0x52, 0x54, 0, 0x12, 0x34, 0x56 };
static const uint8_t host_mac[6] = { 0x52, 0x55, 10, 0, 2, 2 };
static const uint8_t guest_ip[4] = { 10, 0, 2, 15 }, host_ip[4] = { 10, 0, 2, 2 };
#define ISN 1000u

static void put16(uint8_t *p, unsigned value)
{
    p[0] = value >> 8;
    p[1] = value;
}

static void put32(uint8_t *p, uint32_t value)
{
    put16(p, value >> 16);
    put16(p + 2, value & 0xffff);
}

static uint32_t get16(const uint8_t *p)
{
    return p[0] << 8 | p[1];
}

static uint32_t get32(const uint8_t *p)
{
    return get16(p) << 16 | get16(p + 2);
}

/* RFC 1071, of an even place on. */
static uint64_t sum_of(const uint8_t *p, size_t len, uint64_t sum)
{
    uint32_t word;

    for (; len >= 4; p += 4, len -= 4) {
        memcpy(&word, p, 4);
        sum += word;
    }
    if (len) {
        word = 0;
        memcpy(&word, p, len);
        sum += word;
    }
    return sum;
}

static void put_sum(uint8_t *p, uint64_t sum)
{
    while (sum >> 16) {
        sum = (sum & 0xffff) + (sum >> 16);
    }
    uint16_t folded = ~sum;
    memcpy(p, &folded, 2);
}

/* ---- frames out ---- */

static void take_sent(Net *n)
{
    uint32_t len;

    for (int head; (head = ring_take(n->tx, &len)) >= 0;) {
        n->free[n->n_free++] = head;
    }
}

/* Memory for a frame, or NULL; what is sent next is what was got last. */
static uint8_t *frame_new(Net *n)
{
    if (!n->n_free) {
        take_sent(n);
    }
    if (!n->n_free) {
        return NULL;
    }
    uint8_t *p = n->load->ram + TX_AT + n->free[n->n_free - 1] * BUFFER_SIZE;
    memset(p, 0, NET_HEADER);
    memcpy(p + NET_HEADER, host_mac, 6);
    memcpy(p + NET_HEADER + 6, guest_mac, 6);
    return p + NET_HEADER;
}

static void frame_send(Net *n, size_t len)
{
    uint16_t head = n->free[--n->n_free];

    n->tx->desc[head] = (Desc){ TX_AT + head * BUFFER_SIZE, NET_HEADER + len, 0, 0 };
    ring_post(n->tx, head);
}

static void send_arp(Net *n, bool answer)
{
    static const uint8_t head[8] = { 0, 1, 8, 0, 6, 4, 0, 1 };
    uint8_t *p = frame_new(n);

    if (!p) {
        return;
    }
    if (!answer) {
        memset(p, 0xff, 6);
    }
    put16(p + 12, 0x806);
    memcpy(p + ETH, head, 8);
    p[ETH + 7] = answer ? 2 : 1;
    memcpy(p + ETH + 8, guest_mac, 6);
    memcpy(p + ETH + 14, guest_ip, 4);
    memcpy(p + ETH + 18, host_mac, 6);
    memcpy(p + ETH + 24, host_ip, 4);
    frame_send(n, ETH + 28);
}

/* False: no room. */
static bool send_tcp(Net *n, unsigned flags, uint32_t seq, const uint8_t *data, size_t len)
{
    uint8_t *p = frame_new(n), *ip = p + ETH, *tcp = ip + 20;
    size_t head = flags & SYN ? 24 : 20;

    if (!p) {
        return false;
    }
    put16(p + 12, 0x800);
    memset(ip, 0, 20 + head);
    ip[0] = 0x45;
    put16(ip + 2, 20 + head + len);
    ip[8] = 64;
    ip[9] = 6;
    memcpy(ip + 12, guest_ip, 4);
    memcpy(ip + 16, host_ip, 4);
    put_sum(ip + 10, sum_of(ip, 20, 0));
    put16(tcp, PORT);
    put16(tcp + 2, n->port);
    put32(tcp + 4, flags & SYN ? ISN : ISN + 1 + seq);
    put32(tcp + 8, flags & ACK ? n->peer_isn + 1 + n->rcv : 0);
    tcp[12] = head / 4 << 4;
    tcp[13] = flags;
    put16(tcp + 14, WINDOW);
    if (flags & SYN) {
        put16(tcp + 20, 0x204); /* MSS */
        put16(tcp + 22, MSS);
    }
    if (len) {
        memcpy(tcp + head, data, len);
    }
    uint8_t pseudo[4] = { 0, 6, (head + len) >> 8, (head + len) & 0xff };
    put_sum(tcp + 16, sum_of(ip + 12, 8, sum_of(pseudo, 4, sum_of(tcp, head + len, 0))));
    frame_send(n, ETH + 20 + head + len);
    if (flags & ACK) {
        n->rcv_acked = n->rcv;
        n->ack_now = false;
    }
    return true;
}

/* ---- frames in ---- */

static void tcp_data(Net *n, uint32_t seq, const uint8_t *data, size_t len)
{
    if (seq != n->rcv) {
        n->ack_now = true; /* sent again, or something is missing */
        return;
    }
    if (memcmp(data, n->pattern + n->rcv % PATTERN, len) != 0) {
        n->bad = true;
    }
    n->rcv += len;
    n->last_progress = load_now();
    if (n->rcv - n->rcv_acked > MSS) {
        n->ack_now = true; /* each second segment */
    }
}

static void tcp_in(Net *n, const uint8_t *ip, size_t len)
{
    const uint8_t *tcp = ip + 20;
    size_t head = (tcp[12] >> 4) * 4, total = get16(ip + 2);
    uint32_t ack = get32(tcp + 8) - ISN - 1;

    if (total < 20 + head || total > len || get16(tcp + 2) != PORT) {
        return;
    }
    if (tcp[13] & RST) {
        load_fail("the connection was reset");
    }
    n->peer_window = get16(tcp + 14);
    if (tcp[13] & SYN) {
        n->peer_isn = get32(tcp + 4);
        n->established = n->ack_now = true;
        return;
    }
    if ((int32_t)(ack - n->una) > 0 && (int32_t)(ack - n->nxt) <= 0) {
        n->una = ack;
        n->last_progress = load_now();
    }
    if (total > 20 + head) {
        tcp_data(n, get32(tcp + 4) - n->peer_isn - 1, tcp + head, total - 20 - head);
    }
}

static void frame_in(Net *n, const uint8_t *p, size_t len)
{
    if (len >= ETH + 28 && get16(p + 12) == 0x806) {
        n->arp_seen = true;
        if (get16(p + ETH + 6) == 1 && memcmp(p + ETH + 24, guest_ip, 4) == 0) {
            send_arp(n, true);
        }
    } else if (len >= HEADERS && get16(p + 12) == 0x800 && p[ETH] == 0x45 && p[ETH + 9] == 6) {
        tcp_in(n, p + ETH, len - ETH);
    }
}

/* Whether anything came. */
static bool take_frames(Net *n)
{
    bool any = false;
    uint32_t len;

    for (int head; (head = ring_take(n->rx, &len)) >= 0; any = true) {
        if (len > NET_HEADER) {
            frame_in(n, n->load->ram + DATA + head * BUFFER_SIZE + NET_HEADER, len - NET_HEADER);
        }
        ring_post(n->rx, head);
    }
    if (any) {
        ring_wait_next(n->load, n->rx);
        ring_show(n->rx);
    }
    return any;
}

/* ---- both ends ---- */

static void guest_sends(Net *n)
{
    if (n->nxt != n->una && load_now() - n->last_progress > SILENCE) {
        n->nxt = n->una; /* something was lost */
        n->last_progress = load_now();
    }
    while (!n->receive && n->nxt - n->una + MSS <= n->peer_window &&
           send_tcp(n, ACK | PSH, n->nxt, n->pattern + n->nxt % PATTERN, MSS)) {
        n->nxt += MSS;
    }
    if (n->ack_now) {
        send_tcp(n, ACK, n->nxt, NULL, 0);
    }
    ring_show(n->tx);
}

static bool host_turn(Net *n)
{
    static uint8_t buf[256 * 1024];
    ssize_t r;

    if (n->receive) {
        r = send(n->sock, n->pattern + n->host_done % PATTERN, 65536, MSG_DONTWAIT | MSG_NOSIGNAL);
    } else {
        r = recv(n->sock, buf, sizeof(buf), MSG_DONTWAIT);
        if (r > 0 && memcmp(buf, n->pattern + n->host_done % PATTERN, r) != 0) {
            n->bad = true;
        }
    }
    if (r < 0 && errno != EAGAIN) {
        load_fail("the host's socket: %s", strerror(errno));
    }
    n->host_done += r > 0 ? r : 0;
    return r > 0;
}

static void run_until(Net *n, double end)
{
    for (unsigned idle = 0; load_now() < end && !n->bad; idle++) {
        bool any = take_frames(n);

        guest_sends(n);
        any |= host_turn(n);
        if (any) {
            idle = 0;
        } else {
            n->ack_now |= idle == DELAYED_ACK && n->rcv != n->rcv_acked;
            ring_relax(idle);
        }
        if (load_now() - n->last_progress > PATIENCE) {
            load_fail("nothing arrives for %.0f seconds", PATIENCE);
        }
    }
    if (n->bad) {
        load_fail("other bytes arrive than were sent");
    }
}

static bool arp_answered(void *opaque)
{
    Net *n = opaque;

    take_frames(n);
    if (!n->arp_seen) {
        return false;
    }
    n->arp_seen = false;
    send_arp(n, false);
    ring_show(n->tx);
    return true;
}

static void prepare(Net *n)
{
    n->pattern = malloc(2 * PATTERN);
    if (!n->pattern || n->load->n_rings < 2 || n->rx->size < BUFFERS || n->tx->size < BUFFERS) {
        load_fail("net needs two rings of %u entries, and memory", BUFFERS);
    }
    for (uint32_t i = 0, x = 1; i < PATTERN; i++) {
        x = x * 1664525 + 1013904223;
        n->pattern[i] = n->pattern[i + PATTERN] = x >> 24;
    }
    for (unsigned i = 0; i < BUFFERS; i++) {
        n->rx->desc[i] = (Desc){ DATA + i * BUFFER_SIZE, BUFFER_SIZE, DESC_WRITE, 0 };
        ring_post(n->rx, i);
        n->free[n->n_free++] = i;
    }
    ring_show(n->rx);
    struct sockaddr_in at = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
    socklen_t len = sizeof(at);
    n->listener = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
    if (n->listener < 0 || bind(n->listener, (struct sockaddr *)&at, len) != 0 || listen(n->listener, 1) != 0 ||
        getsockname(n->listener, (struct sockaddr *)&at, &len) != 0) {
        load_fail("a listening socket: %s", strerror(errno));
    }
    n->port = ntohs(at.sin_port);
    n->sock = -1;
}

static void connect_ends(Net *n)
{
    double end = load_now() + PATIENCE;

    send_arp(n, false);
    ring_show(n->tx);
    if (!ring_find_kick(n->load, n->tx, arp_answered, n) ||
        !ring_find_kick(n->load, n->rx, NULL, NULL)) {
        load_fail("no eventfd starts the queue");
    }
    send_tcp(n, SYN, 0, NULL, 0);
    ring_show(n->tx);
    while (!n->established || n->sock < 0) {
        take_frames(n);
        guest_sends(n);
        if (n->sock < 0) {
            n->sock = accept4(n->listener, NULL, NULL, SOCK_NONBLOCK);
        }
        if (load_now() > end) {
            load_fail("no connection");
        }
    }
}

void load_net(Load *load, const NetOptions *options)
{
    Net n = { .load = load, .rx = &load->rings[0], .tx = &load->rings[1], .receive = options->receive };

    prepare(&n);
    connect_ends(&n);
    n.last_progress = load_now();
    run_until(&n, load_now() + WARM_UP);
    uint64_t host = n.host_done, kicks = n.tx->kicks + n.rx->kicks;
    uint32_t guest = n.rcv;
    double start = load_now(), cpu = load_cpu(load);
    run_until(&n, start + load->seconds);
    cpu = load_cpu(load) - cpu;
    double took = load_now() - start;
    printf("{\"bytes\": %" PRIu64 ", \"seconds\": %.6f, \"cpu\": %.6f, \"kicks\": %" PRIu64 "}\n",
           n.receive ? (uint64_t)(uint32_t)(n.rcv - guest) : n.host_done - host, took, cpu,
           n.tx->kicks + n.rx->kicks - kicks);
}
