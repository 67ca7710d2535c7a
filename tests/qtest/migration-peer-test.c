/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Peers that say what none of ours would: streams that are written here, piece by piece, and answers of a destination that
 * means harm. The machine is not harmed, and says what was wrong.
 */
#include "util/osdep.h"

#include <glib.h>
#include <sys/socket.h>
#include <sys/un.h>

#include "channel-relay.h"
#include "migration-driver.h"
#include "util/bytes.h"

#define MACHINE "-M pc-i440fx-10.0 -m 8"

/* ---- a stream, in pieces (docs/devel/migration.md) ------------------------------------------------------------------ */

static void put_be16(GByteArray *s, uint16_t v)
{
    uint8_t data[2];
    store_be16(data, v);
    g_byte_array_append(s, data, sizeof(data));
}

static void put_be32(GByteArray *s, uint32_t v)
{
    uint8_t data[4];
    store_be32(data, v);
    g_byte_array_append(s, data, sizeof(data));
}

static void put_be64(GByteArray *s, uint64_t v)
{
    uint8_t data[8];
    store_be64(data, v);
    g_byte_array_append(s, data, sizeof(data));
}

static void put_mark(GByteArray *s, uint8_t mark)
{
    g_byte_array_append(s, &mark, 1);
}

static void put_name(GByteArray *s, const char *name)
{
    put_mark(s, strlen(name));
    g_byte_array_append(s, (const uint8_t *)name, strlen(name));
}

static void put_command(GByteArray *s, uint16_t command, uint16_t len)
{
    put_mark(s, 8);
    put_be16(s, command);
    put_be16(s, len);
}

/* Up to postcopy's advice. */
static GByteArray *stream_new(void)
{
    static const char machine[] = "pc-i440fx-10.0";
    GByteArray *s = g_byte_array_new();
    put_be32(s, 0x5145564d);
    put_be32(s, 3);
    put_mark(s, 7);
    put_be32(s, strlen(machine));
    g_byte_array_append(s, (const uint8_t *)machine, strlen(machine));
    put_command(s, 1, 0); /* open-return-path */
    put_command(s, 3, 16); /* postcopy-advise */
    put_be64(s, 4096);
    put_be64(s, 4096);
    return s;
}

/* The section "ram" begins: a list of one block. What follows is its content, up to end_ram(). */
static void begin_ram(GByteArray *s, const char *block, uint64_t size)
{
    put_mark(s, 1);
    put_be32(s, 2); /* id */
    put_name(s, "ram");
    put_be32(s, 0); /* instance */
    put_be32(s, 4); /* version */
    put_be64(s, size | 0x04);
    put_name(s, block);
    put_be64(s, size);
}

static void end_ram(GByteArray *s)
{
    put_be64(s, 0x10);
    put_mark(s, 0x7e);
    put_be32(s, 2);
}

/* A page of zeros, in the stream as any other. */
static void put_page(GByteArray *s, const char *block, uint64_t offset)
{
    static const uint8_t page[4096];
    put_be64(s, offset | 0x08);
    put_name(s, block);
    g_byte_array_append(s, page, sizeof(page));
}

/* A destination that may be asked for postcopy, and a connection to it over which the stream (freed) has been said. */
static QTest *destination_of(GByteArray *s, int *fd)
{
    struct sockaddr_un addr = { .sun_family = AF_UNIX };
    g_autofree char *path = migration_path("peer.sock"), *uri = g_strconcat("unix:", path, NULL);
    QTest *b = migration_start(MACHINE " -incoming defer");
    migration_set_capabilities(b, "postcopy-ram", true);
    migration_incoming(b, uri);
    *fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    g_strlcpy(addr.sun_path, path, sizeof(addr.sun_path));
    g_assert_cmpint(connect(*fd, (struct sockaddr *)&addr, sizeof(addr)), ==, 0);
    g_assert_cmpint(send(*fd, s->data, s->len, MSG_NOSIGNAL), ==, s->len);
    g_byte_array_unref(s);
    return b;
}

/* ---- streams ------------------------------------------------------------------------------------------------------------ */

/* A block that may grow has grown since the source's advice: its pages are noted where nothing had room for them. */
static void test_block_grows(void)
{
    static const char block[] = "/rom@etc/acpi/tables"; /* of 128 KiB here, of 2 MiB at most */
    GByteArray *s = stream_new();
    int fd;
    begin_ram(s, block, 2 << 20);
    for (uint64_t page = 0; page < 512; page++) {
        put_page(s, block, page * 4096);
    }
    end_ram(s);
    put_mark(s, 0x55);
    QTest *b = destination_of(s, &fd);
    migration_expect_failed(b, "Unknown savevm section type 85");
    close(fd);
    qtest_end(b);
}

/* A package with something behind the command that lets the guest run: the guest does not run before the failure. */
static void test_package_goes_on(void)
{
    GByteArray *s = stream_new();
    int fd;
    begin_ram(s, "pc.ram", 8 << 20);
    end_ram(s);
    put_command(s, 7, 4); /* packaged */
    put_be32(s, 11);
    put_command(s, 4, 0); /* listen */
    put_command(s, 5, 0); /* run */
    put_mark(s, 0x55);
    QTest *b = destination_of(s, &fd);
    migration_expect_failed(b, "command run before the end of the package");
    migration_expect_state(b, "inmigrate");
    close(fd);
    qtest_end(b);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/migration-peer/block-grows-after-advice", test_block_grows);
    g_test_add_func("/migration-peer/package-goes-on-behind-run", test_package_goes_on);
    return g_test_run();
}
