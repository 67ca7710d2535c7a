/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Flash memory with a PC's firmware (cfi.pflash01): commands and answers as the data sheets of command set 0001h and the installed
 * stock programs have them, and what has become of the image's file.
 */
#include "util/osdep.h"
#include <glib/gstdio.h>
#include "qtest-client.h"

#define CODE_SIZE 0x20000
#define VARS_SIZE 0x40000
#define CODE (0x100000000 - CODE_SIZE)
#define VARS (CODE - VARS_SIZE)
#define SEED 7

typedef struct Flash {
    QTest *q;
    const char *vars; /* path */
} Flash;

static Flash flash_start_with(const char *image)
{
    Flash f = { .vars = qtest_image("vars", VARS_SIZE, SEED) };
    const char *code = qtest_image("code", CODE_SIZE, 1);

    f.q = qtest_start("-machine %s -drive if=pflash,unit=0,format=raw,readonly=on,file=%s -drive if=pflash,unit=1,%s",
                      qtest_machine("pc"), code, image);
    return f;
}

static Flash flash_start(void)
{
    g_autofree char *image = g_strdup_printf("format=raw,file=%s/vars", qtest_dir());

    return flash_start_with(image);
}

static void command(Flash *f, unsigned at, uint8_t value)
{
    qtest_writeb(f->q, VARS + at, value);
}

static uint8_t look(Flash *f, unsigned at)
{
    return qtest_readb(f->q, VARS + at);
}

static uint8_t status(Flash *f)
{
    command(f, 0, 0x70);
    return look(f, 0x123);
}

static uint8_t original(unsigned at)
{
    return qtest_image_byte(at, SEED);
}

/* What the file has. */
static void check_file(Flash *f, unsigned at, const void *bytes, unsigned n)
{
    g_autofree char *data = NULL;
    gsize len;

    g_assert_true(g_file_get_contents(f->vars, &data, &len, NULL));
    g_assert_cmpuint(len, ==, VARS_SIZE);
    g_assert_cmpmem(data + at, n, bytes, n);
}

static void check_array(Flash *f, unsigned at, const void *bytes, unsigned n)
{
    uint8_t found[512];

    command(f, 0, 0xff);
    qtest_memread(f->q, VARS + at, found, n);
    g_assert_cmpmem(found, n, bytes, n);
}

/* ---- reading ------------------------------------------------------------------------------------------------------ */

/* Unit 0 ends at 4 GiB, unit 1 lies below, and the last 128 KiB of unit 0 are seen below 1 MiB. */
static void test_where_it_lies(void)
{
    Flash f = flash_start();

    for (unsigned at = 0; at < CODE_SIZE; at += 0x3337) {
        g_assert_cmphex(qtest_readb(f.q, CODE + at), ==, qtest_image_byte(at, 1));
        g_assert_cmphex(qtest_readb(f.q, 0x100000 - CODE_SIZE + at), ==, qtest_image_byte(at, 1));
    }
    g_assert_cmphex(qtest_readb(f.q, CODE + CODE_SIZE - 1), ==, qtest_image_byte(CODE_SIZE - 1, 1));
    for (unsigned at = 0; at < VARS_SIZE; at += 0x3337) {
        g_assert_cmphex(look(&f, at), ==, original(at));
    }
    g_assert_cmphex(look(&f, VARS_SIZE - 1), ==, original(VARS_SIZE - 1));
    qtest_end(f.q);
}

static void test_query(void)
{
    static const uint8_t table[] = { 'Q', 'R', 'Y', 1, 0, 0x31, 0, 0, 0, 0, 0, 0x45, 0x55, 0, 0, 7, 7, 10, 0, 4, 4, 4, 0,
                                     18, 2, 0, 8, 0, 1, VARS_SIZE / 4096 - 1, 0, 0x10, 0, 'P', 'R', 'I', '1', '0' };
    Flash f = flash_start();

    command(&f, 0x55, 0x98);
    for (unsigned i = 0; i < sizeof(table); i++) {
        g_assert_cmphex(look(&f, 0x10 + i), ==, table[i]);
        g_assert_cmphex(look(&f, 0x1100 + 0x10 + i), ==, table[i]);
    }
    g_assert_cmphex(qtest_readw(f.q, VARS + 0x10), ==, 'Q');
    g_assert_cmphex(look(&f, 0), ==, 0);
    command(&f, 0, 0x70); /* it ends with FFh only */
    g_assert_cmphex(look(&f, 0x10), ==, 'Q');
    command(&f, 0, 0xff);
    g_assert_cmphex(look(&f, 0x10), ==, original(0x10));
    qtest_end(f.q);
}

static void test_identifier_and_status(void)
{
    Flash f = flash_start();

    command(&f, 0, 0x90);
    g_assert_cmphex(look(&f, 0), ==, 0);
    g_assert_cmphex(look(&f, 1), ==, 0);
    g_assert_cmphex(look(&f, 2), ==, 0);
    g_assert_cmphex(status(&f), ==, 0x80);
    g_assert_cmphex(qtest_readw(f.q, VARS), ==, 0x80);
    g_assert_cmphex(qtest_readl(f.q, VARS), ==, 0x800080);
    g_assert_cmphex(qtest_readq(f.q, VARS), ==, 0x80008000800080);
    command(&f, 0, 0x50);
    g_assert_cmphex(look(&f, 3), ==, original(3)); /* an array again */
    g_assert_cmphex(status(&f), ==, 0);            /* by which OVMF knows it */
    command(&f, 0, 0xf0);
    g_assert_cmphex(look(&f, 3), ==, original(3));
    command(&f, 0, 0x90);
    command(&f, 0, 0x12); /* no such command */
    g_assert_cmphex(look(&f, 3), ==, original(3));
    qtest_end(f.q);
}

/* ---- writing ------------------------------------------------------------------------------------------------------- */

static void program_byte(Flash *f, unsigned at, uint8_t value)
{
    command(f, at, 0x40);
    command(f, at, value);
    g_assert_cmphex(look(f, at), ==, 0x80);
}

static void test_program(void)
{
    uint8_t expected[4] = { original(0x1000), 0x5a, original(0x1002), original(0x1003) };
    Flash f = flash_start();

    program_byte(&f, 0x1001, 0x5a);
    check_file(&f, 0x1000, expected, 4); /* before anything else is done */
    check_array(&f, 0x1000, expected, 4);
    command(&f, 0x1002, 0x10);
    command(&f, 0x1002, 0xa5); /* bits may be set, too */
    expected[2] = 0xa5;
    check_array(&f, 0x1000, expected, 4);
    qtest_writel(f.q, VARS + 0x1ffc, 0x40);
    qtest_writel(f.q, VARS + 0x1ffc, 0x11223344);
    check_array(&f, 0x1ffc, "\x44\x33\x22\x11", 4);
    check_file(&f, 0x1ffc, "\x44\x33\x22\x11", 4);
    qtest_end(f.q);
}

static void test_erase(void)
{
    uint8_t blank[512], before = original(0x2fff), after = original(0x4000);
    Flash f = flash_start();

    memset(blank, 0xff, sizeof(blank));
    command(&f, 0x3456, 0x20);
    g_assert_cmphex(look(&f, 0), ==, 0x80);
    command(&f, 0x3456, 0xd0);
    g_assert_cmphex(look(&f, 0), ==, 0x80);
    check_array(&f, 0x3000, blank, 512);
    check_array(&f, 0x3e00, blank, 512);
    check_array(&f, 0x2fff, &before, 1);
    check_array(&f, 0x4000, &after, 1);
    check_file(&f, 0x3000, blank, 512);
    check_file(&f, 0x4000, &after, 1);
    qtest_end(f.q);
}

/* Something else than the confirmation: nothing is erased, and the status says that there is no such sequence. */
static void test_an_erase_that_is_not_confirmed_erases_nothing(void)
{
    uint8_t there = original(0x3000);
    Flash f = flash_start();

    command(&f, 0x3000, 0x20);
    command(&f, 0x3000, 0xff);
    g_assert_cmphex(status(&f), ==, 0xb0);
    check_array(&f, 0x3000, &there, 1);
    check_file(&f, 0x3000, &there, 1);
    command(&f, 0x3000, 0x50);
    g_assert_cmphex(status(&f), ==, 0);
    qtest_end(f.q);
}

static void fill_buffer(Flash *f, unsigned at, unsigned n, uint8_t first)
{
    command(f, at, 0xe8);
    g_assert_cmphex(look(f, at), ==, 0x80);
    command(f, at, n - 1);
    for (unsigned i = 0; i < n; i++) {
        command(f, at + i, first + i);
        g_assert_cmphex(look(f, 0), ==, 0x80);
    }
}

static void test_buffer(void)
{
    uint8_t expected[256], there = original(0x5010);
    Flash f = flash_start();

    for (unsigned i = 0; i < 256; i++) {
        expected[i] = 0x33 + i;
    }
    fill_buffer(&f, 0x5000, 256, 0x33);
    check_file(&f, 0x5010, &there, 1); /* not yet */
    command(&f, 0x5000, 0xd0);
    check_file(&f, 0x5000, expected, 256);
    check_array(&f, 0x5000, expected, 256);
    fill_buffer(&f, 0x51ff, 1, 0x77); /* one byte: stock 10.0 refuses that */
    command(&f, 0x51ff, 0xd0);
    g_assert_cmphex(status(&f), ==, 0x80);
    expected[0] = 0x77;
    expected[1] = original(0x5200);
    check_array(&f, 0x51ff, expected, 2);
    qtest_end(f.q);
}

/* Data outside of the buffer's 256 bytes, and a last command that is no confirmation: nothing is programmed. */
static void test_buffer_errors(void)
{
    uint8_t there[2] = { original(0x5010), original(0x5011) }, next = original(0x5100);
    Flash f = flash_start();

    command(&f, 0x5010, 0xe8);
    command(&f, 0x5010, 1);
    command(&f, 0x5010, 0xab);
    command(&f, 0x5100, 0xcd);
    g_assert_cmphex(look(&f, 0), ==, 0x90);
    command(&f, 0x5010, 0xd0);
    check_array(&f, 0x5010, there, 2);
    check_array(&f, 0x5100, &next, 1);
    g_assert_cmphex(status(&f), ==, 0x90);
    command(&f, 0, 0x50);
    fill_buffer(&f, 0x5010, 2, 0xab);
    command(&f, 0x5010, 0x70);
    g_assert_cmphex(status(&f), ==, 0xb0);
    check_array(&f, 0x5010, there, 2);
    check_file(&f, 0x5010, there, 2);
    qtest_end(f.q);
}

static void test_lock_bits_are_accepted(void)
{
    Flash f = flash_start();

    for (unsigned i = 0; i < 2; i++) {
        command(&f, 0, 0x60);
        command(&f, 0, i ? 0xd0 : 0x01);
        g_assert_cmphex(look(&f, 0), ==, 0x80);
    }
    command(&f, 0, 0x60);
    command(&f, 0, 0x55);
    g_assert_cmphex(look(&f, 3), ==, original(3));
    program_byte(&f, 0, 0x12);
    check_array(&f, 0, "\x12", 1);
    qtest_end(f.q);
}

static void test_a_read_only_unit_keeps_what_it_has(void)
{
    g_autofree char *image = g_strdup_printf("format=raw,readonly=on,file=%s/vars", qtest_dir());
    uint8_t there = original(0x3000);
    Flash f = flash_start_with(image);

    command(&f, 0x3000, 0x20);
    command(&f, 0x3000, 0xd0);
    g_assert_cmphex(status(&f), ==, 0xa0);
    command(&f, 0, 0x50);
    command(&f, 0x3000, 0x40);
    command(&f, 0x3000, 0);
    g_assert_cmphex(status(&f), ==, 0x90);
    command(&f, 0, 0x50);
    command(&f, 0x3000, 0xe8);
    command(&f, 0x3000, 0);
    command(&f, 0x3000, 0);
    g_assert_cmphex(look(&f, 0), ==, 0x90);
    command(&f, 0x3000, 0xd0);
    check_array(&f, 0x3000, &there, 1);
    qtest_end(f.q);
}

/* A write that fails changes nothing, and the status tells the guest. */
static void test_a_write_that_fails_is_told_to_the_guest(void)
{
    g_autofree char *config = g_build_filename(qtest_dir(), "blkdebug", NULL);
    g_autofree char *image = g_strdup_printf("file.driver=blkdebug,file.config=%s,file.image.filename=%s/vars,format=raw", config,
                                             qtest_dir());
    uint8_t there = original(0x3000);
    Flash f;

    g_assert_true(g_file_set_contents(config, "[inject-error]\nevent = \"pwritev\"\nerrno = \"28\"\nonce = \"off\"\n", -1, NULL));
    f = flash_start_with(image);
    qtest_set_moving(f.q, false);
    command(&f, 0x3000, 0x40);
    command(&f, 0x3000, 0);
    g_assert_cmphex(look(&f, 0), ==, 0x90);
    check_array(&f, 0x3000, &there, 1);
    g_assert_nonnull(strstr(qtest_stderr(f.q), "system.flash1: 1 bytes at 0x3000 cannot be written"));
    command(&f, 0x3000, 0x50);
    command(&f, 0x3000, 0x20);
    command(&f, 0x3000, 0xd0);
    g_assert_cmphex(look(&f, 0), ==, 0xa0);
    check_array(&f, 0x3000, &there, 1);
    qtest_end(f.q);
    g_remove(config);
}

static void test_reset(void)
{
    Flash f = flash_start();

    command(&f, 0, 0x50);
    command(&f, 0, 0x98);
    qtest_qmp_ok(f.q, "{'execute': 'system_reset'}");
    json_object_put(qtest_wait_event(f.q, "RESET"));
    g_assert_cmphex(look(&f, 0x10), ==, original(0x10));
    g_assert_cmphex(status(&f), ==, 0x80);
    fill_buffer(&f, 0x5000, 2, 0);
    qtest_qmp_ok(f.q, "{'execute': 'system_reset'}");
    json_object_put(qtest_wait_event(f.q, "RESET"));
    g_assert_cmphex(look(&f, 0x5000), ==, original(0x5000));
    qtest_end(f.q);
}

/* ---- moves ----------------------------------------------------------------------------------------------------------- */

/* Between any two cycles. */
static void test_moved_in_the_middle_of_commands(void)
{
    uint8_t expected[4] = { 0x44, 0x45, 0xff, 0xff };
    Flash f = flash_start();

    command(&f, 0x3000, 0x20);
    qtest_move(f.q);
    command(&f, 0x3000, 0xd0);
    qtest_move(f.q);
    command(&f, 0x3000, 0xe8);
    qtest_move(f.q);
    command(&f, 0x3000, 1);
    qtest_move(f.q);
    command(&f, 0x3000, 0x44);
    qtest_move(f.q);
    command(&f, 0x3001, 0x45);
    qtest_move(f.q);
    command(&f, 0x3000, 0xd0);
    qtest_move(f.q);
    g_assert_cmphex(look(&f, 0), ==, 0x80);
    check_array(&f, 0x3000, expected, 4);
    check_file(&f, 0x3000, expected, 4);
    qtest_end(f.q);
}

/* Variables that the firmware has written stay when the other side has a copy of the image from before. */
static void test_another_copy_of_the_image_gets_what_the_guest_has(void)
{
    const char *copy = qtest_image("copy", VARS_SIZE, SEED);
    Flash f = flash_start();
    uint8_t there = original(0x1002);

    program_byte(&f, 0x1001, 0x5a);
    command(&f, 0, 0xff);
    qtest_move_to(f.q, "-machine %s -drive if=pflash,unit=0,format=raw,readonly=on,file=%s/code -drive if=pflash,unit=1,format=raw,file=%s",
                  qtest_machine("pc"), qtest_dir(), copy);
    f.vars = copy;
    look(&f, 0); /* the guest is held until it is so */
    check_file(&f, 0x1001, "\x5a", 1);
    check_file(&f, 0x1002, &there, 1);
    qtest_end(f.q);
}

/* The machine stands still then, and with `cont` it is tried again. */
static void test_an_image_that_cannot_be_written_after_a_move_stops_the_machine(void)
{
    const char *copy = qtest_image("copy", VARS_SIZE, SEED);
    g_autofree char *config = g_build_filename(qtest_dir(), "blkdebug", NULL);
    Flash f = flash_start();

    g_assert_true(g_file_set_contents(config, "[inject-error]\nevent = \"pwritev\"\nerrno = \"28\"\nonce = \"on\"\n", -1, NULL));
    qtest_set_moving(f.q, false);
    program_byte(&f, 0x1001, 0x5a);
    qtest_qmp_ok(f.q, "{'execute': 'stop'}");
    qtest_move_to(f.q, "-machine %s -drive if=pflash,unit=0,format=raw,readonly=on,file=%s/code"
                  " -drive if=pflash,unit=1,file.driver=blkdebug,file.config=%s,file.image.filename=%s,format=raw",
                  qtest_machine("pc"), qtest_dir(), config, copy);
    f.vars = copy;
    qtest_qmp_ok(f.q, "{'execute': 'cont'}");
    qtest_wait_status(f.q, "io-error");
    g_assert_nonnull(strstr(qtest_stderr(f.q), "the contents that came with the migration are not in"));
    qtest_qmp_ok(f.q, "{'execute': 'cont'}");
    look(&f, 0);
    check_file(&f, 0x1001, "\x5a", 1);
    qtest_wait_status(f.q, "running");
    qtest_end(f.q);
    g_remove(config);
}

/* -blockdev with -machine pflash0=, as libvirt does it. */
static void test_nodes_of_the_machine(void)
{
    const char *code = qtest_image("code", CODE_SIZE, 1), *vars = qtest_image("vars", VARS_SIZE, SEED);
    QTest *q = qtest_start("-machine %s,pflash0=code,pflash1=vars"
                           " -blockdev driver=file,filename=%s,node-name=code-file,read-only=on"
                           " -blockdev driver=raw,node-name=code,file=code-file,read-only=on"
                           " -blockdev driver=file,filename=%s,node-name=vars-file -blockdev driver=raw,node-name=vars,file=vars-file",
                           qtest_machine("pc"), code, vars);
    Flash f = { q, vars };
    json_object *name = qtest_qmp_return(q, "{'execute': 'qom-get', 'arguments': {'path': '/machine', 'property': 'pflash1'}}");
    g_autofree char *tree = qtest_hmp(q, "info mtree -f");

    g_assert_cmpstr(json_object_get_string(name), ==, "vars");
    json_object_put(name);
    g_assert_nonnull(strstr(tree, "00000000fffa0000-00000000fffdffff (prio 0, romd): system.flash1"));
    program_byte(&f, 0x1001, 0x5a);
    check_file(&f, 0x1001, "\x5a", 1);
    qtest_end(q);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/pflash/where-it-lies", test_where_it_lies);
    g_test_add_func("/pflash/query", test_query);
    g_test_add_func("/pflash/identifier-and-status", test_identifier_and_status);
    g_test_add_func("/pflash/program", test_program);
    g_test_add_func("/pflash/erase", test_erase);
    g_test_add_func("/pflash/an-erase-that-is-not-confirmed-erases-nothing", test_an_erase_that_is_not_confirmed_erases_nothing);
    g_test_add_func("/pflash/buffer", test_buffer);
    g_test_add_func("/pflash/buffer-errors", test_buffer_errors);
    g_test_add_func("/pflash/lock-bits-are-accepted", test_lock_bits_are_accepted);
    g_test_add_func("/pflash/a-read-only-unit-keeps-what-it-has", test_a_read_only_unit_keeps_what_it_has);
    g_test_add_func("/pflash/a-write-that-fails-is-told-to-the-guest", test_a_write_that_fails_is_told_to_the_guest);
    g_test_add_func("/pflash/reset", test_reset);
    g_test_add_func("/pflash/moved-in-the-middle-of-commands", test_moved_in_the_middle_of_commands);
    g_test_add_func("/pflash/another-copy-of-the-image-gets-what-the-guest-has",
                    test_another_copy_of_the_image_gets_what_the_guest_has);
    g_test_add_func("/pflash/an-image-that-cannot-be-written-after-a-move-stops-the-machine",
                    test_an_image_that_cannot_be_written_after_a_move_stops_the_machine);
    g_test_add_func("/pflash/nodes-of-the-machine", test_nodes_of_the_machine);
    return g_test_run();
}
