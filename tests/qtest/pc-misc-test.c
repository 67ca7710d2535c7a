/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Small devices of the PC: parallel port, pvpanic, isa-debug-exit, vmgenid, pci-serial, and what -machine turns off. */
#include "util/osdep.h"
#include "pic-driver.h"

#include <fcntl.h>
#include <sys/stat.h>

/* ---- parallel port ---------------------------------------------------------------------------------------------- */

#define LPT 0x378

static void print_byte(QTest *q, uint8_t value)
{
    qtest_outb(q, LPT, value);
    qtest_outb(q, LPT + 2, 0x0d);
    qtest_outb(q, LPT + 2, 0x0c);
}

/* Looks until the printer is ready again. */
static bool printer_ready(QTest *q)
{
    for (int i = 0; i < 3; i++) {
        if (qtest_inb(q, LPT + 1) & 0x80) {
            return true;
        }
    }
    return false;
}

static void test_parallel_registers(void)
{
    QTest *q = qtest_start("-machine pc -parallel null");

    g_assert_cmphex(qtest_inb(q, LPT), ==, 0xff);
    g_assert_cmphex(qtest_inb(q, LPT + 1), ==, 0xd9);
    g_assert_cmphex(qtest_inb(q, LPT + 2), ==, 0xcc);
    g_assert_cmphex(qtest_inb(q, LPT + 3), ==, 0xff);
    qtest_outb(q, LPT, 0x55);
    g_assert_cmphex(qtest_inb(q, LPT), ==, 0x55);
    qtest_outb(q, LPT + 2, 0x2c);
    g_assert_cmphex(qtest_inb(q, LPT), ==, 0xff); /* input */
    qtest_outb(q, LPT + 2, 0x0d);
    g_assert_cmphex(qtest_inb(q, LPT + 1), ==, 0x59);
    qtest_outb(q, LPT + 2, 0x0c);
    g_assert_cmphex(qtest_inb(q, LPT + 1), ==, 0x59);
    g_assert_cmphex(qtest_inb(q, LPT + 1), ==, 0x19);
    g_assert_cmphex(qtest_inb(q, LPT + 1), ==, 0xd9);
    qtest_outb(q, LPT + 2, 0x08);
    g_assert_cmphex(qtest_inb(q, LPT + 1), ==, 0xd8);
    /* With the interrupt. */
    pic_init(q);
    qtest_outb(q, LPT + 2, 0x1d);
    g_assert_cmphex(pic_requests(q, PIC_MASTER) & 0x80, ==, 0);
    qtest_outb(q, LPT + 2, 0x1c);
    g_assert_cmphex(pic_requests(q, PIC_MASTER) & 0x80, ==, 0x80);
    qtest_end(q);
}

/* A printer that is slow for a while gets each byte once, whatever moves meanwhile. */
static void test_parallel_across_moves(void)
{
    g_autofree char *path = g_build_filename(qtest_dir(), "printer", NULL);
    unsigned sent = 0, received = 0, idle = 0;
    const unsigned total = 4096 + 20;
    uint8_t buf[300];
    QTest *q;
    int fd;

    g_assert_cmpint(mkfifo(path, 0600), ==, 0);
    fd = open(path, O_RDWR | O_NONBLOCK);
    g_assert_cmpint(fd, >=, 0);
    fcntl(fd, F_SETPIPE_SZ, 4096);
    memset(buf, 0, sizeof(buf));
    for (int i = 0; i < 4096;
         i += 256) { /* the pipe is full but for the bytes that this makes room for */
        g_assert_cmpint(write(fd, buf, 256), ==, 256);
    }
    q = qtest_start("-machine pc -chardev pipe,id=p,path=%s -device isa-parallel,chardev=p", path);
    qtest_set_moving(q, false);
    while (received < total && idle < 5000) {
        ssize_t n;

        if (sent < 20 && printer_ready(q)) {
            print_byte(q, ++sent);
            qtest_move(q);
        }
        n = received < 4096 ? read(fd, buf, 256) : read(fd, buf, sizeof(buf));
        for (ssize_t i = 0; i < n; i++) {
            if (received >= 4096) {
                g_assert_cmphex(buf[i], ==, received - 4095);
            }
            received++;
        }
        idle = n > 0 ? 0 : idle + 1;
        if (n <= 0) {
            g_usleep(1000);
        }
    }
    g_assert_cmpuint(received, ==, total);
    qtest_end(q);
    close(fd);
    unlink(path);
}

/* ---- pvpanic ------------------------------------------------------------------------------------------------------ */

static void test_pvpanic_pause(void)
{
    QTest *q = qtest_start("-machine pc -device pvpanic -action panic=pause");
    json_object *event;

    g_assert_cmphex(qtest_inb(q, 0x505), ==, 3);
    qtest_outb(q, 0x505, 2);
    event = qtest_wait_event(q, "GUEST_CRASHLOADED");
    g_assert_cmpstr(qtest_json_string(event, "data.action"), ==, "run");
    json_object_put(event);
    qtest_set_moving(q, false);
    qtest_outb(q, 0x505, 1);
    event = qtest_wait_event(q, "GUEST_PANICKED");
    g_assert_cmpstr(qtest_json_string(event, "data.action"), ==, "pause");
    json_object_put(event);
    qtest_wait_status(q, "guest-panicked");
    qtest_qmp_ok(q, "{'execute': 'system_reset'}");
    qtest_end(q);
}

static void test_pvpanic_actions(void)
{
    QTest *q = qtest_start("-machine pc -device pvpanic,ioport=0x506,events=1");
    json_object *event;

    qtest_set_moving(q, false);
    g_assert_cmphex(qtest_inb(q, 0x506), ==, 1);
    qtest_qmp_ok(q, "{'execute': 'set-action', 'arguments': {'panic': 'none'}}");
    qtest_outb(q, 0x506, 1);
    event = qtest_wait_event(q, "GUEST_PANICKED");
    g_assert_cmpstr(qtest_json_string(event, "data.action"), ==, "run");
    json_object_put(event);
    qtest_wait_status(q, "running");
    qtest_qmp_ok(q, "{'execute': 'set-action', 'arguments': {'panic': 'exit-failure'}}");
    g_free(qtest_raw(q, "outb 0x506 1"));
    qtest_expect_exit(q, 1);
}

static void test_pvpanic_pci(void)
{
    QTest *q = qtest_start("-machine pc -device pvpanic-pci,addr=5 -action panic=pause");

    qtest_outl(q, 0xcf8, 0x80002800);
    g_assert_cmphex(qtest_inl(q, 0xcfc), ==, 0x00111b36);
    qtest_outl(q, 0xcf8, 0x80002808);
    g_assert_cmphex(qtest_inl(q, 0xcfc), ==, 0x08800001);
    qtest_outl(q, 0xcf8, 0x80002810);
    qtest_outl(q, 0xcfc, 0xe0000000);
    qtest_outl(q, 0xcf8, 0x80002804);
    qtest_outl(q, 0xcfc, 0x00000002);
    g_assert_cmphex(qtest_readb(q, 0xe0000000), ==, 3);
    qtest_set_moving(q, false);
    qtest_writeb(q, 0xe0000000, 1);
    json_object_put(qtest_wait_event(q, "GUEST_PANICKED"));
    qtest_wait_status(q, "guest-panicked");
    qtest_end(q);
}

/* ---- others ------------------------------------------------------------------------------------------------------- */

static void test_debug_exit(void)
{
    QTest *q = qtest_start("-machine pc -device isa-debug-exit,iobase=0xf4,iosize=4");

    g_assert_cmphex(qtest_inb(q, 0xf4), ==, 0);
    qtest_set_moving(q, false);
    g_free(qtest_raw(q, "outl 0xf4 0x10"));
    qtest_expect_exit(q, 0x21);
}

static void test_vmgenid(void)
{
    static const char guid[] = "324e6eaf-d1d1-4bf6-bf41-b9bb6c91fb87";
    QTest *q = qtest_start("-machine pc -device vmgenid,guid=%s", guid);
    json_object *info = qtest_qmp_return(q, "{'execute': 'query-vm-generation-id'}");

    g_assert_cmpstr(qtest_json_string(info, "guid"), ==, guid);
    json_object_put(info);
    qtest_end(q);
    q = qtest_start("-machine pc");
    qtest_qmp_fails(q, "GenericError", "VM Generation ID device not found",
                    "{'execute': 'query-vm-generation-id'}");
    qtest_end(q);
}

static void test_pci_serial(void)
{
    QTest *q = qtest_start("-machine pc -chardev null,id=c -device pci-serial,addr=6,chardev=c");

    qtest_outl(q, 0xcf8, 0x80003000);
    g_assert_cmphex(qtest_inl(q, 0xcfc), ==, 0x00021b36);
    qtest_outl(q, 0xcf8, 0x80003008);
    g_assert_cmphex(qtest_inl(q, 0xcfc), ==, 0x07000201);
    qtest_outl(q, 0xcf8, 0x80003010);
    qtest_outl(q, 0xcfc, 0xffffffff);
    g_assert_cmphex(qtest_inl(q, 0xcfc), ==, 0xfffffff9);
    qtest_outl(q, 0xcfc, 0xc000);
    qtest_outl(q, 0xcf8, 0x80003004);
    qtest_outl(q, 0xcfc, 0x00000001);
    g_assert_cmphex(qtest_inb(q, 0xc005), ==, 0x60);
    qtest_outb(q, 0xc001, 0x02); /* the transmitter is empty: interrupts */
    g_assert_cmphex(qtest_inl(q, 0xcfc) >> 16 & 0x08, ==, 0x08);
    g_assert_cmphex(qtest_inb(q, 0xc002), ==, 0x02);
    g_assert_cmphex(qtest_inl(q, 0xcfc) >> 16 & 0x08, ==, 0x00);
    qtest_end(q);
}

static void test_machine_without(void)
{
    QTest *q = qtest_start("-machine pc,hpet=off,pit=off,i8042=off,vmport=off");

    g_assert_cmphex(qtest_inb(q, 0x61), ==, 0xff);
    g_assert_cmphex(qtest_inb(q, 0x64), ==, 0xff);
    g_assert_cmphex(qtest_inb(q, 0x92), ==, 0x00);
    g_assert_cmphex(qtest_inl(q, 0x5658), ==, 0xffffffff);
    qtest_end(q);
}

/* Nobody but a processor has registers to ask with. */
static void test_vmport_without_a_processor(void)
{
    QTest *q = qtest_start("-machine pc");

    g_assert_cmphex(qtest_inl(q, 0x5658), ==, 0xffffffff);
    qtest_outl(q, 0x5658, 0x564d5868);
    qtest_end(q);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/pc-misc/parallel-registers", test_parallel_registers);
    g_test_add_func("/pc-misc/parallel-across-moves", test_parallel_across_moves);
    g_test_add_func("/pc-misc/pvpanic-pause", test_pvpanic_pause);
    g_test_add_func("/pc-misc/pvpanic-actions", test_pvpanic_actions);
    g_test_add_func("/pc-misc/pvpanic-pci", test_pvpanic_pci);
    g_test_add_func("/pc-misc/debug-exit", test_debug_exit);
    g_test_add_func("/pc-misc/vmgenid", test_vmgenid);
    g_test_add_func("/pc-misc/pci-serial", test_pci_serial);
    g_test_add_func("/pc-misc/machine-without", test_machine_without);
    g_test_add_func("/pc-misc/vmport-without-a-processor", test_vmport_without_a_processor);
    return g_test_run();
}
