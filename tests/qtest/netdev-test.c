/* SPDX-License-Identifier: GPL-2.0-or-later */
/* -netdev, -nic, -net: what is made of good ones, what is said about bad ones; hubs; backends that come and go. */
#include "util/osdep.h"
#include "net-wire.h"

#include <time.h>

static const struct {
    const char *args, *error;
} bad[] = {
    { "-netdev foo,id=x", "Parameter 'type' does not accept value 'foo'" },
    { "-netdev user", "Parameter 'id' is missing" },
    { "-netdev user,id=9", "Parameter 'id' expects an identifier" },
    { "-netdev user,id=a -netdev user,id=a", "Duplicate ID 'a' for netdev" },
    { "-netdev user,id=a,bar=1", "'bar'" },
    { "-netdev user,id=a,smb=/tmp", "'smb'" },
    { "-netdev user,id=a,net=foo/24", "Failed to parse net" },
    { "-netdev user,id=a,net=10.0.0.0/2", "Invalid netmask" },
    { "-netdev user,id=a,net=10.0.0.0/255.0.255.0", "Invalid netmask" },
    { "-netdev user,id=a,host=1.2.3.4", "Host doesn't belong to network" },
    { "-netdev user,id=a,dns=10.0.2.2", "DNS must be different from host" },
    { "-netdev user,id=a,dhcpstart=10.0.3.1", "DHCP doesn't belong to network" },
    { "-netdev user,id=a,ipv4=off,ipv6=off", "IPv4 and IPv6 disabled" },
    { "-netdev user,id=a,ipv6-net=zz::/64", "Failed to parse IPv6 prefix" },
    { "-netdev user,id=a,ipv6-net=fec0::/127", "IPv6 prefix length must be between 0 and 126" },
    { "-netdev user,id=a,ipv6-host=fec1::2", "IPv6 host doesn't belong to network" },
    { "-netdev user,id=a,domainname=", "'domainname' parameter cannot be empty" },
    { "-netdev user,id=a,tftp=/nonexistent", "'/nonexistent' is not a folder" },
    { "-netdev user,id=a,hostfwd=foo", "No : separators" },
    { "-netdev user,id=a,hostfwd=sctp::1-:2", "Bad protocol name" },
    { "-netdev user,id=a,hostfwd=tcp::1", "Bad host port separator" },
    { "-netdev user,id=a,hostfwd=tcp::99999-:22", "Bad host port" },
    { "-netdev user,id=a,hostfwd=tcp::1-:0", "Bad guest port" },
    { "-netdev user,id=a,guestfwd=tcp:10.0.2.100", "Invalid guest forwarding rule" },
    { "-netdev user,id=a,guestfwd=tcp:10.0.2.100:80-nothing", "guestfwd.tcp.0" },
    { "-netdev tap,id=a,queues=0", "queues=0 is out of range" },
    { "-netdev tap,id=a,vhost=off,vhostfd=0", "vhostfd(s)= is not valid without vhost" },
    { "-netdev tap,id=a,vhostfds=1:2", "vhostfds= is invalid if fds= wasn't specified" },
    { "-netdev tap,id=a,fds=0:0,vhostfds=0", "number of fds passed does not match" },
    { "-netdev tap,id=a,queues=2,vhostfd=0", "use fds= and vhostfds= for several" },
    { "-netdev tap,id=a,fd=77", "77" },
    { "-netdev tap,id=a,ifname=abcdefghijklmnopqrst,script=no", "longer than 15 characters" },
    { "-netdev socket,id=a", "exactly one of" },
    { "-netdev socket,id=a,listen=foo", "doesn't contain ':'" },
    { "-netdev socket,id=a,mcast=1.2.3.4:5", "does not contain a multicast address" },
    { "-netdev socket,id=a,udp=127.0.0.1:5", "localaddr= is mandatory" },
    { "-netdev stream,id=a", "Parameter 'addr' is missing" },
    { "-netdev stream,id=a,server=on,reconnect-ms=5,addr.type=unix,addr.path=x",
      "incompatible with socket in server mode" },
    { "-netdev stream,id=a,server=on,addr.type=unix,addr.path=/nonexistent/x", "/nonexistent/x" },
    { "-netdev dgram,id=a", "dgram requires local= parameter" },
    { "-netdev dgram,id=a,local.type=unix,local.path=x", "requires remote parameter" },
    { "-netdev dgram,id=a,local.type=fd,local.str=0", "not a datagram socket" },
    { "-netdev hubport,id=a,hubid=1,netdev=zz", "netdev 'zz' not found" },
    { "-netdev nic,id=a", "is not compiled into this binary" },
    { "-nic foo", "does not accept value 'foo'" },
    { "-nic user,model=foo", "Unsupported NIC model: foo" },
    { "-nic user,mac=foo", "invalid syntax for ethernet address" },
    { "-nic user,mac=01:00:00:00:00:00", "multicast MAC address" },
    { "-net nic,netdev=foo", "netdev 'foo' not found" },
    { "-device e1000,romfile=,netdev=zz", "can't find value 'zz'" },
    { "-netdev user,id=a -device e1000,romfile=,netdev=a -device e1000,romfile=,netdev=a",
      "it's in use" },
};

static void test_bad(void)
{
    for (unsigned i = 0; i < G_N_ELEMENTS(bad); i++) {
        g_autofree char *out = NULL;

        if (qtest_run(&out, "-accel qtest -machine pc -m 2 -display none -nodefaults %s",
                      bad[i].args) != 1 ||
            !strstr(out, bad[i].error)) {
            g_error("%s: %s", bad[i].args, out);
        }
    }
}

static void test_info(void)
{
    QTest *q =
        qtest_start("-machine pc -m 2 -nic user,model=e1000,mac=52:54:00:aa:bb:cc,restrict=on -net "
                    "nic,model=e1000 -net user,id=u "
                    "-netdev user,id=v,net=192.168.7.0/24");
    g_autofree char *info = qtest_hmp(q, "info network"), *after = NULL;

    g_assert_nonnull(
        strstr(info, "e1000.0: index=0,type=nic,model=e1000,macaddr=52:54:00:aa:bb:cc"));
    g_assert_nonnull(strstr(info, "index=0,type=user,net=10.0.2.0,restrict=on"));
    g_assert_nonnull(strstr(
        info,
        "hub 0\r\n \\ hub0port0: e1000.1: index=0,type=nic,model=e1000,macaddr=52:54:00:12:34:56"));
    g_assert_nonnull(strstr(info, " \\ hub0port1: u: index=0,type=user,net=10.0.2.0,restrict=off"));
    g_assert_nonnull(strstr(info, "v: index=0,type=user,net=192.168.7.0,restrict=off"));
    qtest_set_moving(q, false); /* what comes and goes now is not replayed */
    qtest_qmp_ok(q, "{'execute': 'netdev_add', 'arguments': {'type': 'user', 'id': 'w'}}");
    qtest_qmp_fails(q, "GenericError", "Duplicate ID 'w'",
                    "{'execute': 'netdev_add', 'arguments': {'type': 'user', 'id': 'w'}}");
    qtest_qmp_ok(q, "{'execute': 'device_add', 'arguments': {'driver': 'virtio-net-pci', 'id': "
                    "'c', 'netdev': 'w', 'romfile': ''}}");
    qtest_qmp_ok(q, "{'execute': 'netdev_del', 'arguments': {'id': 'w'}}"); /* under the card */
    qtest_qmp_fails(q, "DeviceNotFound", "'w'",
                    "{'execute': 'netdev_del', 'arguments': {'id': 'w'}}");
    after = qtest_hmp(q, "info network");
    g_assert_nonnull(strstr(after, "c: index=0,type=nic,model=virtio-net-pci"));
    g_assert_null(strstr(after, "w:"));
    qtest_end(q);
}

/* What one card at a hub sends the others hear, and not the card itself. */
static void test_hub(void)
{
    Wire *a = wire_new(), *b = wire_new();
    g_autofree char *na = wire_option(a, "a"), *nb = wire_option(b, "b");
    uint8_t frame[100] = { 0x52, 0x54, 0, 1, 2, 3 }, *got = g_malloc(WIRE_PACKET_MAX);
    QTest *q = qtest_start("-machine none %s %s -netdev hubport,id=p,hubid=3,netdev=a -netdev "
                           "hubport,id=q,hubid=3,netdev=b",
                           na, nb);

    qtest_set_moving(q, false);
    wire_attach(b, q);
    wire_attach(a, q);
    for (unsigned i = 0; i < 50; i++) {
        frame[99] = i;
        wire_send(i & 1 ? a : b, frame, sizeof(frame));
        g_assert_cmpuint(wire_receive(i & 1 ? b : a, got), ==, sizeof(frame));
        g_assert_cmpmem(got, sizeof(frame), frame, sizeof(frame));
    }
    g_assert_false(wire_has_packet(a, 10));
    g_assert_false(wire_has_packet(b, 10));
    qtest_end(q);
    wire_free(a);
    wire_free(b);
    g_free(got);
}

static double cpu_seconds(GPid pid)
{
    struct timespec ts;
    clockid_t clock;

    g_assert_cmpint(clock_getcpuclockid(pid, &clock), ==, 0);
    g_assert_cmpint(clock_gettime(clock, &ts), ==, 0);
    return ts.tv_sec + ts.tv_nsec / 1e9;
}

/* With hostfwd libslirp has a socket to wait for: the emulator kept a processor busy although nobody did anything. */
static void test_user_idle(void)
{
    QTest *q = qtest_start("-machine pc -m 2 -netdev user,id=u -device e1000,romfile=,netdev=u");
    bool added = false;

    qtest_set_moving(q, false);
    for (int i = 0; !added && i < 20; i++) { /* a port that is free */
        g_autofree char *answer = qtest_hmp(q, "hostfwd_add u tcp:127.0.0.1:%d-:22",
                                            g_random_int_range(20000, 60000));

        added = !*answer;
    }
    g_assert_true(added);
    g_usleep(200000);
    double used = 1;
    for (int i = 0; i < 8 && used >= 0.02; i++) { /* what runs beside it may make it dear now and then */
        double before = cpu_seconds(qtest_pid(q));

        g_usleep(1000000);
        used = cpu_seconds(qtest_pid(q)) - before;
    }
    g_assert_cmpfloat(used, <, 0.02);
    qtest_end(q);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/netdev/bad", test_bad);
    g_test_add_func("/netdev/info", test_info);
    g_test_add_func("/netdev/hub", test_hub);
    g_test_add_func("/netdev/user-idle", test_user_idle);
    return g_test_run();
}
