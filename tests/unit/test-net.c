/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The core of net/ between clients that do what a test tells them: queue, order, busy receivers, link, hubs, announcements. */
#include "util/osdep.h"

#include "net/net.h"
#include "util/clock.h"
#include "util/error.h"
#include "util/main-loop.h"

typedef struct Client Client;
struct Client {
    NetClient nc;
    GByteArray *got; /* first byte of each packet */
    size_t bytes;
    bool busy, refuses; /* can_receive false; receive false */
    unsigned sendable, links, runs, announced;
    Client *answers_to; /* sends one more packet there from within receive() */
    bool inside, entered_twice;
    bool frees_itself;
    unsigned header;
};

static bool can_receive(NetClient *nc)
{
    return !((Client *)nc)->busy;
}

static bool receive(NetClient *nc, const struct iovec *iov, unsigned niov, size_t len)
{
    Client *c = (Client *)nc;
    const uint8_t *data = iov[0].iov_len ? iov[0].iov_base : iov[1].iov_base;

    c->entered_twice |= c->inside;
    if (c->refuses) {
        return false;
    }
    c->inside = true;
    g_byte_array_append(c->got, data, 1);
    c->bytes += len;
    if (c->answers_to && data[0] < 100) {
        uint8_t answer[60] = { data[0] + 100 };

        net_send_buf(nc, answer, sizeof(answer));
    }
    c->inside = false;
    if (c->frees_itself) {
        net_client_free(nc);
    }
    return true;
}

static void sendable(NetClient *nc)
{
    ((Client *)nc)->sendable++;
}

static void link_changed(NetClient *nc)
{
    ((Client *)nc)->links++;
}

static void vm_running(NetClient *nc, bool running)
{
    ((Client *)nc)->runs++;
}

static void announce(NetClient *nc)
{
    ((Client *)nc)->announced++;
}

static void cleanup(NetClient *nc)
{
    g_byte_array_unref(((Client *)nc)->got);
}

#define OPS(kind_)                                                                             \
    {                                                                                          \
        .kind = kind_, .size = sizeof(Client), .can_receive = can_receive, .receive = receive, \
        .sendable = sendable, .link_changed = link_changed, .vm_running = vm_running,          \
        .announce = announce, .cleanup = cleanup,                                              \
    }
static const NetClientOps card_ops = OPS(NET_CLIENT_DRIVER_NIC),
                          cable_ops = OPS(NET_CLIENT_DRIVER_USER);

static Client *client(const NetClientOps *ops, const char *name, Client *peer)
{
    Client *c = (Client *)net_client_new(ops, "model", name, 0, peer ? &peer->nc : NULL);

    c->got = g_byte_array_new();
    return c;
}

static void pair(Client **card, Client **cable)
{
    *cable = client(&cable_ops, "cable", NULL);
    *card = client(&card_ops, "card", *cable);
    net_set_vm_running(false);
    net_set_vm_running(true);
    (*card)->runs = 0;
}

static void send_one(Client *from, uint8_t number)
{
    uint8_t packet[60] = { number };

    net_send_buf(&from->nc, packet, sizeof(packet));
}

static bool try_one(Client *from, uint8_t number)
{
    uint8_t packet[60] = { number };
    struct iovec iov = { packet, sizeof(packet) };

    return net_try_send(&from->nc, &iov, 1);
}

/* The numbers 1…n in order and nothing else. */
static void check(Client *c, unsigned n)
{
    g_assert_cmpuint(c->got->len, ==, n);
    for (unsigned i = 0; i < n; i++) {
        g_assert_cmpuint(c->got->data[i], ==, i + 1);
    }
}

static void end(Client *card, Client *cable)
{
    net_client_free(&card->nc);
    net_client_free(&cable->nc);
}

static void packets_overtake_those_that_wait(void)
{
    Client *card, *cable;

    pair(&card, &cable);
    send_one(cable, 1);
    card->busy = true;
    g_assert_false(net_can_send(&cable->nc));
    send_one(cable, 2);
    card->busy = false;
    send_one(cable, 3);                 /* behind the one that waits (N4) */
    g_assert_false(try_one(cable, 99)); /* its own */
    g_assert_cmpuint(net_waiting(&card->nc), ==, 2);
    g_assert_cmpuint(cable->sendable, ==, 0);
    net_flush(&card->nc);
    check(card, 3);
    g_assert_cmpuint(cable->sendable, ==, 1);
    g_assert_true(try_one(cable, 4));
    card->refuses = true; /* finds out in the middle of it */
    g_assert_false(try_one(cable, 99));
    send_one(cable, 5);
    net_flush(&card->nc);
    check(card, 4);
    card->refuses = false;
    net_flush(&card->nc);
    check(card, 5);
    end(card, cable);
}

static void queue_grows_without_end(void)
{
    Client *card, *cable;
    g_autofree uint8_t *big = g_malloc0(NET_PACKET_MAX + 1);

    pair(&card, &cable);
    card->busy = true;
    for (unsigned i = 0; i < NET_QUEUE_PACKETS + 10; i++) {
        send_one(cable, 1);
    }
    g_assert_cmpuint(net_waiting(&card->nc), ==, NET_QUEUE_PACKETS);
    net_purge(&card->nc);
    for (unsigned i = 0; i < NET_QUEUE_BYTES / NET_PACKET_MAX + 10; i++) {
        net_send_buf(&cable->nc, big, NET_PACKET_MAX);
    }
    g_assert_cmpuint(net_waiting(&card->nc), ==, NET_QUEUE_BYTES / NET_PACKET_MAX);
    net_purge(&card->nc);
    net_send_buf(&cable->nc, big, NET_PACKET_MAX + 1); /* no frame */
    net_send_buf(&cable->nc, big, 0);
    card->busy = false;
    net_flush(&card->nc);
    net_send_buf(&cable->nc, big, NET_PACKET_MAX + 1);
    g_assert_cmpuint(card->got->len, ==, 0);
    end(card, cable);
}

static void receiver_is_entered_while_it_receives(void)
{
    Client *card, *cable;

    pair(&card, &cable);
    cable->answers_to = card; /* as libslirp answers an ARP request */
    card->answers_to = cable;
    send_one(card, 1);
    g_assert_cmpuint(cable->got->len, ==, 1);
    g_assert_cmpuint(card->got->len, ==, 1);
    g_assert_cmpuint(card->got->data[0], ==, 101);
    send_one(cable, 2);
    g_assert_cmpuint(cable->got->data[1], ==, 102);
    g_assert_false(card->entered_twice || cable->entered_twice);
    end(card, cable);
}

static void receiver_that_goes_while_it_receives(void)
{
    Client *card, *cable;

    pair(&card, &cable);
    card->frees_itself = true;
    send_one(cable, 1);
    g_assert_null(cable->nc.peer);
    g_assert_cmpuint(cable->links, ==, 1);
    g_assert_true(cable->nc.link_down);
    send_one(cable, 2);
    g_assert_true(try_one(cable, 3)); /* to nobody */
    net_client_free(&cable->nc);
}

static void card_of_a_machine_that_stands_still_receives(void)
{
    Client *card, *cable;

    pair(&card, &cable);
    net_set_vm_running(false);
    g_assert_cmpuint(card->runs, ==, 1);
    g_assert_false(try_one(cable, 99));
    send_one(cable, 1);
    send_one(cable, 2);
    net_flush(&card->nc);
    check(card, 0);    /* N3 */
    send_one(card, 1); /* its announcement goes out */
    check(cable, 1);
    net_set_vm_running(true);
    check(card, 2);
    g_assert_cmpuint(cable->sendable, ==, 1);
    end(card, cable);
}

static void packet_goes_through_a_cable_that_is_pulled(void)
{
    Client *card, *cable;
    GError *error = NULL;

    pair(&card, &cable);
    card->busy = true;
    send_one(cable, 9);
    g_assert_false(try_one(cable, 9));
    g_assert_true(net_set_link("card", false, &error));
    g_assert_cmpuint(card->links, ==, 1);
    g_assert_cmpuint(net_waiting(&card->nc), ==, 0); /* what waited is dropped */
    g_assert_cmpuint(cable->sendable, ==, 1);
    g_assert_true(try_one(cable, 9));
    g_assert_true(try_one(card, 9));
    card->busy = false;
    g_assert_true(net_set_link("card", true, &error));
    send_one(cable, 1);
    send_one(card, 1);
    check(card, 1);
    check(cable, 1);
    g_assert_true(net_set_link("cable", false, &error)); /* the guest sees it, too */
    g_assert_true(card->nc.link_down);
    g_assert_cmpuint(card->links, ==, 3);
    g_assert_true(net_set_link("cable", true, &error));
    g_assert_false(card->nc.link_down);
    g_assert_false(net_set_link("nothing", true, &error));
    g_assert_nonnull(strstr(error->message, "Device 'nothing' not found"));
    g_clear_error(&error);
    net_client_free(&cable->nc);
    g_assert_true(net_set_link("card", true, &error)); /* for good */
    g_assert_true(card->nc.link_down);
    net_client_free(&card->nc);
}

/* A hub with three backends: one of them busy, one that goes. */
static void hub_forgets_a_port_or_brings_packets_back(void)
{
    Client *cards[3];
    NetClient *ports[3];

    for (unsigned i = 0; i < 3; i++) {
        g_autofree char *name = g_strdup_printf("card%u", i);

        g_autofree char *option = g_strdup_printf("hubport,id=port%u,hubid=7,netdev=%s", i, name);

        cards[i] = client(&cable_ops, name, NULL);
        g_assert_true(net_option_netdev(option, NULL));
        ports[i] = cards[i]->nc.peer;
    }
    net_set_vm_running(true);
    g_assert_cmpstr(ports[1]->name, ==, "port1");
    cards[1]->busy = true;
    send_one(cards[0], 1);
    send_one(cards[0], 2);
    check(cards[0], 0);
    check(cards[1], 0);
    check(cards[2], 2);
    cards[1]->busy = false;
    net_flush(&cards[1]->nc);
    check(cards[1], 2);
    cards[1]->busy = cards[2]->busy = true;
    g_assert_false(net_can_send(&cards[0]->nc)); /* nobody could take it */
    cards[2]->busy = false;
    net_flush(&cards[2]->nc);
    g_assert_cmpuint(cards[0]->sendable, ==, 1);
    net_client_free(ports[1]);
    g_assert_true(cards[1]->nc.link_down);
    send_one(cards[0], 3);
    check(cards[2], 3);
    for (unsigned i = 0; i < 3; i++) {
        net_client_free(i == 1 ? NULL : ports[i]);
        net_client_free(&cards[i]->nc);
    }
}

static void announcement_has_the_wrong_form_or_number(void)
{
    static const uint8_t mac[6] = { 0x52, 0x54, 0, 1, 2, 3 };
    AnnounceParameters p = { .initial = 1, .max = 3, .rounds = 4, .step = 1 };
    AnnounceParameters other = { .initial = 1, .max = 1, .rounds = 1, .step = 0 };
    StrArray only = { 1, (char *[]){ (char *)"other" } };
    Client *card, *cable;
    gint64 until;

    pair(&card, &cable);
    memcpy(card->nc.mac, mac, 6);
    card->nc.vnet_header = 12; /* agreed upon: an empty one goes in front */
    net_announce_self(&p);
    g_assert_cmpuint(cable->got->len, ==, 1);
    g_assert_cmpuint(cable->bytes, ==, 12 + 60);
    g_assert_cmpuint(card->announced, ==, 1);
    for (until = g_get_monotonic_time() + 60 * G_TIME_SPAN_SECOND;
         cable->got->len < 4 && g_get_monotonic_time() < until;) {
        main_loop_iterate(false);
        g_usleep(500);
    }
    g_usleep(10000);
    main_loop_iterate(false);
    g_assert_cmpuint(cable->got->len, ==, 4);
    g_assert_cmpuint(card->announced, ==, 4);
    other.interfaces = &only;
    net_announce_self(&other);
    g_assert_cmpuint(cable->got->len, ==, 4);
    p.rounds = 1000;
    net_announce_self(&p);
    net_announce_self(&other); /* takes its place: nothing more comes */
    g_usleep(10000);
    main_loop_iterate(false);
    g_assert_cmpuint(cable->got->len, ==, 5);
    end(card, cable);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    main_loop_init();
#define T(name) g_test_add_func("/net/" #name, name)
    T(packets_overtake_those_that_wait);
    T(queue_grows_without_end);
    T(receiver_is_entered_while_it_receives);
    T(receiver_that_goes_while_it_receives);
    T(card_of_a_machine_that_stands_still_receives);
    T(packet_goes_through_a_cable_that_is_pulled);
    T(hub_forgets_a_port_or_brings_packets_back);
    T(announcement_has_the_wrong_form_or_number);
    return g_test_run();
}
