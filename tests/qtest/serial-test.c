/* SPDX-License-Identifier: GPL-2.0-or-later */
/* 16550A: registers, FIFOs, interrupts, loop-back; characters across moves while the other side is slow. */
#include "util/osdep.h"
#include "qtest-client.h"

#include <fcntl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>

#define COM1 0x3f8
enum { DATA = 0, IER = 1, IIR = 2, FCR = 2, LCR = 3, MCR = 4, LSR = 5, MSR = 6, SCR = 7 };

static uint8_t get(QTest *q, int reg)
{
    return qtest_inb(q, COM1 + reg);
}

static void set(QTest *q, int reg, uint8_t value)
{
    qtest_outb(q, COM1 + reg, value);
}

static void test_registers(void)
{
    QTest *q = qtest_start("-machine pc -serial null -serial none -serial null");
    static const uint8_t reset[] = { 0x00, 0x00, 0x01, 0x00, 0x08, 0x60, 0xb0, 0x00 };

    for (int reg = 0; reg < 8; reg++) {
        g_assert_cmphex(get(q, reg), ==, reset[reg]);
    }
    g_assert_cmphex(qtest_inb(q, 0x2fd), ==, 0xff); /* none there */
    g_assert_cmphex(qtest_inb(q, 0x3ed), ==, 0x60);
    set(q, IER, 0xff);
    g_assert_cmphex(get(q, IER), ==, 0x0f);
    set(q, LCR, 0x83);
    g_assert_cmphex(get(q, DATA), ==, 0x0c);
    set(q, DATA, 0x34);
    set(q, IER, 0x12);
    g_assert_cmphex(get(q, DATA), ==, 0x34);
    g_assert_cmphex(get(q, IER), ==, 0x12);
    set(q, LCR, 0x03);
    g_assert_cmphex(get(q, IER), ==, 0x0f);
    set(q, MCR, 0xff);
    g_assert_cmphex(get(q, MCR), ==, 0x1f);
    set(q, SCR, 0xa5);
    g_assert_cmphex(get(q, SCR), ==, 0xa5);
    set(q, LSR, 0xff);
    g_assert_cmphex(get(q, LSR), ==, 0x60);
    set(q, FCR, 0x01);
    g_assert_cmphex(get(q, IIR) & 0xc0, ==, 0xc0);
    qtest_end(q);
}

static void test_loopback(void)
{
    QTest *q = qtest_start("-machine pc -serial null");

    set(q, MCR, 0x10);
    g_assert_cmphex(get(q, MSR), ==, 0x0b); /* DCD, DSR and CTS went away */
    g_assert_cmphex(get(q, MSR), ==, 0x00);
    set(q, MCR, 0x1f);
    g_assert_cmphex(get(q, MSR), ==, 0xfb);
    set(q, MCR, 0x1b);
    g_assert_cmphex(get(q, MSR), ==, 0xb4); /* the ring ended */
    set(q, DATA, 'x');
    g_assert_cmphex(get(q, LSR), ==, 0x61);
    set(q, DATA, 'y');
    g_assert_cmphex(get(q, LSR), ==, 0x63); /* overrun */
    g_assert_cmphex(get(q, LSR), ==, 0x61);
    g_assert_cmphex(get(q, DATA), ==, 'y');
    g_assert_cmphex(get(q, LSR), ==, 0x60);
    /* Sixteen in the FIFO, the seventeenth is too many. */
    set(q, FCR, 0xc1);
    for (int i = 0; i < 17; i++) {
        set(q, DATA, 'a' + i);
    }
    g_assert_cmphex(get(q, LSR), ==, 0x63);
    for (int i = 0; i < 16; i++) {
        g_assert_cmphex(get(q, DATA), ==, 'a' + i);
    }
    g_assert_cmphex(get(q, LSR), ==, 0x60);
    g_assert_cmphex(get(q, DATA), ==, 0);
    qtest_end(q);
}

static void test_interrupts(void)
{
    QTest *q = qtest_start("-machine pc -serial null");

    /* An empty transmitter asks once when that is enabled. */
    set(q, IER, 0x02);
    g_assert_cmphex(get(q, IIR), ==, 0x02);
    g_assert_cmphex(get(q, IIR), ==, 0x01);
    set(q, DATA, 'x');
    g_assert_cmphex(get(q, IIR), ==, 0x02);
    /* Trigger level four, then the time-out of what is below it. */
    set(q, IER, 0x05);
    set(q, MCR, 0x18);
    set(q, FCR, 0x41);
    for (int i = 0; i < 3; i++) {
        set(q, DATA, '0' + i);
        g_assert_cmphex(get(q, IIR), ==, 0xc1);
    }
    set(q, DATA, '3');
    g_assert_cmphex(get(q, IIR), ==, 0xc4);
    g_assert_cmphex(get(q, DATA), ==, '0');
    g_assert_cmphex(get(q, IIR), ==, 0xc1);
    qtest_clock_step(q, 4000000); /* 5N1 at 9600 baud: seven bits, four times: 2.9 ms */
    g_assert_cmphex(get(q, IIR), ==, 0xcc);
    g_assert_cmphex(get(q, DATA), ==, '1');
    g_assert_cmphex(get(q, IIR), ==, 0xc1);
    set(q, FCR, 0x43);
    g_assert_cmphex(get(q, LSR), ==, 0x60);
    qtest_clock_step(q, 10000000);
    g_assert_cmphex(get(q, IIR), ==, 0xc1);
    /* Line status before all others, modem status last. */
    set(q, IER, 0x0f);
    set(q, FCR, 0x00);
    set(q, DATA, 'x');
    set(q, DATA, 'y');
    g_assert_cmphex(get(q, IIR), ==, 0x06);
    get(q, LSR);
    g_assert_cmphex(get(q, IIR), ==, 0x04);
    get(q, DATA);
    g_assert_cmphex(get(q, IIR), ==, 0x02);
    g_assert_cmphex(get(q, IIR), ==, 0x00);
    get(q, MSR);
    g_assert_cmphex(get(q, IIR), ==, 0x01);
    qtest_end(q);
}

/* ---- a line with somebody at the other end ------------------------------------------------------------------- */

/* A pair of named pipes; whoever reads the guest's output gives each byte one by one. */
typedef struct Line {
    char *path;
    int in, out; /* our ends: we write in, we read out */
} Line;

static Line line_new(const char *name, int capacity)
{
    Line line = { g_build_filename(qtest_dir(), name, NULL), -1, -1 };
    g_autofree char *in = g_strconcat(line.path, ".in", NULL),
                    *out = g_strconcat(line.path, ".out", NULL);

    g_assert_cmpint(mkfifo(in, 0600), ==, 0);
    g_assert_cmpint(mkfifo(out, 0600), ==, 0);
    line.in = open(in, O_RDWR | O_NONBLOCK);
    line.out = open(out, O_RDWR | O_NONBLOCK);
    g_assert_cmpint(line.in, >=, 0);
    g_assert_cmpint(line.out, >=, 0);
    if (capacity) {
        fcntl(line.out, F_SETPIPE_SZ, capacity);
    }
    return line;
}

static void line_free(Line *line)
{
    g_autofree char *in = g_strconcat(line->path, ".in", NULL),
                    *out = g_strconcat(line->path, ".out", NULL);

    close(line->in);
    close(line->out);
    unlink(in);
    unlink(out);
    g_free(line->path);
}

static unsigned line_read(Line *line, uint8_t *buf, unsigned len)
{
    ssize_t n = read(line->out, buf, len);

    return n < 0 ? 0 : n;
}

static void test_both_ways(void)
{
    Line line = line_new("both", 0);
    QTest *q = qtest_start("-machine pc -serial pipe:%s", line.path);
    uint8_t buf[16] = { 0 };

    set(q, DATA, 'h');
    set(q, DATA, 'i');
    g_assert_cmphex(get(q, LSR), ==, 0x60);
    g_assert_cmpint(line_read(&line, buf, sizeof(buf)), ==, 2);
    g_assert_cmpmem(buf, 2, "hi", 2);
    /* Without the FIFO one at a time; nothing is lost while the guest does not look. */
    g_assert_cmpint(write(line.in, "hello", 5), ==, 5);
    for (int i = 0; i < 5; i++) {
        for (int tries = 0; !(get(q, LSR) & 1) && tries < 5000; tries++) {
            g_usleep(1000);
        }
        g_assert_cmphex(get(q, DATA), ==, "hello"[i]);
    }
    g_assert_cmphex(get(q, LSR), ==, 0x60);
    qtest_end(q);
    line_free(&line);
}

/* The guest writes as fast as LSR lets it, the other side reads now and then, the machine moves in between: everything
 * arrives once, in order. */
static void characters_across_moves(const char *name, uint8_t fcr)
{
    Line line = line_new(name, 4096);
    QTest *q = qtest_start("-machine pc -serial pipe:%s", line.path);
    unsigned sent = 0, received = 0, burst = fcr ? 16 : 1, idle = 0;
    const unsigned total = 4096 + (fcr ? 160 : 30);
    uint8_t buf[300];

    set(q, FCR, fcr);
    qtest_set_moving(q, false); /* it moves where it wants to */
    while (sent < 4096) { /* fills the pipe */
        set(q, DATA, sent++);
    }
    while (received < total && idle < 5000) {
        unsigned n;

        if (sent < total && (get(q, LSR) & 0x20)) {
            for (unsigned i = 0; i < burst && sent < total; i++) {
                set(q, DATA, sent++);
            }
            qtest_move(q);
        }
        n = line_read(&line, buf, sent < 4096 + 20 ? 7 : sizeof(buf));
        for (unsigned i = 0; i < n; i++) {
            g_assert_cmphex(buf[i], ==, received & 0xff);
            received++;
        }
        idle = n ? 0 : idle + 1;
        if (!n) {
            g_usleep(1000);
        }
    }
    g_assert_cmpuint(received, ==, total);
    g_assert_cmpuint(line_read(&line, buf, sizeof(buf)), ==, 0);
    g_assert_cmphex(get(q, LSR), ==, 0x60);
    qtest_end(q);
    line_free(&line);
}

static void test_slow_peer_without_fifo(void)
{
    characters_across_moves("slow", 0);
}

static void test_slow_peer_with_fifo(void)
{
    characters_across_moves("slow-fifo", 0x01);
}

/* Input that arrives while the machine moves, with a guest that is slow to read. */
static void test_input_across_moves(void)
{
    Line line = line_new("input", 0);
    QTest *q = qtest_start("-machine pc -serial pipe:%s", line.path);
    uint8_t buf[100];

    for (unsigned i = 0; i < sizeof(buf); i++) {
        buf[i] = i + 1;
    }
    qtest_set_moving(q, false);
    set(q, FCR, 0x81);
    g_assert_cmpint(write(line.in, buf, sizeof(buf)), ==, sizeof(buf));
    for (unsigned i = 0; i < sizeof(buf); i++) {
        if (i % 9 == 0) {
            qtest_move(q);
        }
        for (int tries = 0; !(get(q, LSR) & 1) && tries < 5000; tries++) {
            g_usleep(1000);
        }
        g_assert_cmphex(get(q, DATA), ==, i + 1);
    }
    g_assert_cmphex(get(q, LSR), ==, 0x60);
    qtest_end(q);
    line_free(&line);
}

/* Waits until text has come out of the line. */
static void line_expect(Line *line, const char *text)
{
    g_autoptr(GString) got = g_string_new(NULL);
    uint8_t buf[256];

    for (int tries = 0; tries < 5000; tries++) {
        unsigned n = line_read(line, buf, sizeof(buf));

        g_string_append_len(got, (const char *)buf, n);
        if (strstr(got->str, text)) {
            return;
        }
        g_usleep(1000);
    }
    g_error("'%s' is not in '%s'", text, got->str);
}

static void line_type(Line *line, const char *text)
{
    g_assert_cmpint(write(line->in, text, strlen(text)), ==, strlen(text));
}

static void wait_for_data(QTest *q)
{
    for (int tries = 0; !(get(q, LSR) & 1) && tries < 5000; tries++) {
        g_usleep(1000);
    }
}

/* -serial mon:…: the guest has the line at first, C-a c gives it to the monitor and back. */
static void test_monitor_on_the_serial_line(void)
{
    Line line = line_new("mux", 0);
    QTest *q = qtest_start("-machine pc -serial mon:pipe:%s", line.path);
    uint8_t lsr;

    qtest_set_moving(q, false);
    line_type(&line, "x");
    wait_for_data(q);
    g_assert_cmphex(get(q, DATA), ==, 'x');
    set(q, DATA, 'y');
    line_expect(&line, "y");
    line_type(&line, "\1h");
    line_expect(&line, "C-a c");
    line_type(&line, "\1c");
    line_expect(&line, "(qemu)");
    line_type(&line, "info status\r");
    line_expect(&line, "VM status: running");
    line_type(&line, "\1c\1\1");
    wait_for_data(q);
    g_assert_cmphex(get(q, DATA), ==, 0x01);
    g_assert_cmphex(get(q, LSR), ==, 0x60);
    line_type(&line, "\1b");
    for (int tries = 0; !((lsr = get(q, LSR)) & 1) && tries < 5000; tries++) {
        g_usleep(1000);
    }
    g_assert_cmphex(lsr, ==, 0x71);
    g_assert_cmphex(get(q, DATA), ==, 0);
    /* Time stamps at the beginnings of lines. */
    line_type(&line, "\1t");
    for (int tries = 0; tries < 3; tries++) {
        qtest_clock_step(q, 1);
    }
    set(q, DATA, '\n');
    set(q, DATA, 'z');
    line_expect(&line, "\n[");
    line_type(&line, "\1x");
    qtest_expect_exit(q, 0);
    line_free(&line);
}

static void test_bad_options(void)
{
    static const char *const bad[][2] = {
        { "-serial nonsense", "'nonsense' is not a valid char driver" },
        { "-serial null -serial null -serial null -serial null -serial null", "4 serial ports" },
        { "-device isa-serial,chardev=nobody",
          "Property 'isa-serial.chardev' can't find value 'nobody'" },
        { "-chardev null,id=c -device isa-serial,chardev=c -device isa-serial,chardev=c",
          "Property 'isa-serial.chardev' can't take value 'c', it's in use" },
        { "-device isa-serial,index=4", "Max. supported number of ISA serial ports is 4." },
        { "-device isa-debugcon", "empty char device" },
    };

    for (unsigned i = 0; i < G_N_ELEMENTS(bad); i++) {
        g_autofree char *out = NULL;

        g_assert_cmpint(
            qtest_run(&out, "-machine pc -nodefaults -display none -accel qtest %s", bad[i][0]), ==,
            1);
        if (!strstr(out, bad[i][1])) {
            g_error("%s: %s", bad[i][0], out);
        }
    }
}

static void test_debugcon(void)
{
    Line line = line_new("debug", 4096);
    QTest *q = qtest_start(
        "-machine pc -chardev pipe,id=d,path=%s -device isa-debugcon,iobase=0x402,chardev=d",
        line.path);
    uint8_t buf[16];

    g_assert_cmphex(qtest_inb(q, 0x402), ==, 0xe9);
    qtest_outb(q, 0x402, 'o');
    qtest_outb(q, 0x402, 'k');
    g_assert_cmpint(line_read(&line, buf, sizeof(buf)), ==, 2);
    g_assert_cmpmem(buf, 2, "ok", 2);
    qtest_end(q);
    line_free(&line);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/serial/registers", test_registers);
    g_test_add_func("/serial/loopback", test_loopback);
    g_test_add_func("/serial/interrupts", test_interrupts);
    g_test_add_func("/serial/both-ways", test_both_ways);
    g_test_add_func("/serial/slow-peer-without-fifo", test_slow_peer_without_fifo);
    g_test_add_func("/serial/slow-peer-with-fifo", test_slow_peer_with_fifo);
    g_test_add_func("/serial/input-across-moves", test_input_across_moves);
    g_test_add_func("/serial/monitor-on-the-serial-line", test_monitor_on_the_serial_line);
    g_test_add_func("/serial/bad-options", test_bad_options);
    g_test_add_func("/serial/debugcon", test_debugcon);
    return g_test_run();
}
