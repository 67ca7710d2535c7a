/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The demo: a guest's driver reads a whole disc from a USB CD-ROM through the emulated UHCI controller, while its VM is
 * live-migrated from process to process at random points; then the sums of what the guest read and of the file are
 * compared.
 *
 *     demo [--disc FILE] [--moves N] [--seed N] [--quiet]
 *
 * Environment: QTEST_QEMU_BINARY, the emulator. Exit status 0 only if every byte was right.
 */
#include "util/osdep.h"
#include "bot-driver.h"
#include "util/bytes.h"

#include <stdio.h>

#define SECTOR 2048
#define SECTORS_PER_READ 16
#define DEVFN_UHCI 0x0a /* 01.2 */
#define UHCI_IO 0xc040
#define GUEST_MEMORY 0x100000
#define DEFAULT_DISC "/usr/lib/grub-rescue/grub-rescue-cdrom.iso"
#define DEFAULT_MOVES 400
/* Commands that the client sends for one READ(10) of SECTORS_PER_READ, about: three transfers, a step per frame. */
#define COMMANDS_PER_READ 80

/* What the guest is doing when a move comes. */
typedef enum Phase { PHASE_IDLE, PHASE_COMMAND, PHASE_DATA, PHASE_STATUS, PHASES } Phase;

typedef struct Demo {
    QTest *q;
    UhciDriver uhci;
    BotDriver bot;
    const char *disc;
    unsigned wanted_moves, seed;
    bool quiet, tty;

    Phase phase;
    unsigned moves_in[PHASES];
    GArray *downtimes;       /* double, ms */
    uint32_t sectors, done;
    gint64 started;
} Demo;

/* ---- the guest ------------------------------------------------------------------------------------------------ */

static unsigned in_flight(const Demo *d)
{
    return d->moves_in[PHASE_COMMAND] + d->moves_in[PHASE_DATA] + d->moves_in[PHASE_STATUS];
}

/* One READ(10), phase by phase, so that a move knows what it interrupts. */
static void read_sectors(Demo *d, uint32_t lba, uint16_t count, uint8_t *data)
{
    uint8_t cdb[10] = { 0x28 };
    size_t len = (size_t)count * SECTOR;
    BotResult result = { 0 };
    UhciResult r;

    store_be32(cdb + 2, lba);
    store_be16(cdb + 7, count);
    d->phase = PHASE_COMMAND;
    g_assert_cmpint(bot_send_cbw(&d->bot, 0, BOT_IN, cdb, sizeof(cdb), len), ==, UHCI_DONE);
    d->phase = PHASE_DATA;
    r = bot_data(&d->bot, BOT_IN, data, len);
    g_assert_cmpint(r.status, ==, UHCI_DONE);
    g_assert_cmpuint(r.actual, ==, len);
    d->phase = PHASE_STATUS;
    g_assert_cmpint(bot_read_csw(&d->bot, &result), ==, UHCI_DONE);
    g_assert_cmpint(result.csw_status, ==, 0);
    d->phase = PHASE_IDLE;
}

static uint32_t read_capacity(Demo *d)
{
    uint8_t cdb[10] = { 0x25 }, capacity[8];
    BotResult r = bot_command(&d->bot, 0, BOT_IN, cdb, sizeof(cdb), capacity, sizeof(capacity));

    g_assert_cmpint(r.csw_status, ==, 0);
    g_assert_cmpuint(load_be32(capacity + 4), ==, SECTOR);
    return load_be32(capacity) + 1;
}

/* ---- progress ---------------------------------------------------------------------------------------------------- */

static void show_progress(Demo *d, bool last)
{
    static gint64 shown;
    gint64 now = g_get_monotonic_time();
    double part = d->sectors ? (double)d->done / d->sectors : 0;
    char bar[41];

    if (d->quiet || (!last && now - shown < (d->tty ? 100000 : 5000000))) {
        return;
    }
    shown = now;
    for (int i = 0; i < 40; i++) {
        bar[i] = i < part * 40 ? '#' : '.';
    }
    bar[40] = '\0';
    fprintf(stderr, "%s[%s] %3.0f %%  %5.2f MiB read  %4u moves, %u with a request in flight%s", d->tty ? "\r" : "", bar,
            100 * part, d->done * (double)SECTOR / (1 << 20), qtest_moves(d->q), in_flight(d),
            d->tty && !last ? "" : "\n");
}

static void on_move(QTest *q, bool before, void *opaque)
{
    Demo *d = opaque;
    double ms;

    if (before) {
        d->moves_in[d->phase]++;
        return;
    }
    ms = qtest_downtime_ms(q);
    g_array_append_val(d->downtimes, ms);
    show_progress(d, false);
}

/* ---- result -------------------------------------------------------------------------------------------------------- */

static int compare_double(gconstpointer a, gconstpointer b)
{
    double x = *(const double *)a, y = *(const double *)b;

    return (x > y) - (x < y);
}

static double percentile(GArray *sorted, double p)
{
    return sorted->len ? g_array_index(sorted, double, (guint)(p * (sorted->len - 1))) : 0;
}

static char *file_sum(const char *path, uint64_t len)
{
    g_autoptr(GMappedFile) file = g_mapped_file_new(path, FALSE, NULL);

    g_assert_nonnull(file);
    g_assert_cmpuint(g_mapped_file_get_length(file), >=, len);
    return g_compute_checksum_for_data(G_CHECKSUM_SHA256, (guchar *)g_mapped_file_get_contents(file), len);
}

static bool report(Demo *d, const char *guest_sum)
{
    uint64_t len = (uint64_t)d->sectors * SECTOR;
    g_autofree char *sum = file_sum(d->disc, len);
    double seconds = (g_get_monotonic_time() - d->started) / 1e6;
    bool same = g_str_equal(sum, guest_sum);

    g_array_sort(d->downtimes, compare_double);
    printf("disc                      %s, %" PRIu64 " bytes\n", d->disc, len);
    printf("SHA-256 of the file       %s\n", sum);
    printf("SHA-256 as the guest read %s  %s\n", guest_sum, same ? "(the same)" : "(DIFFERENT)");
    printf("migrations                %u (seed %u)\n", qtest_moves(d->q), d->seed);
    printf("  with a request in flight  %u: %u in its command, %u in its data, %u before its status\n", in_flight(d),
           d->moves_in[PHASE_COMMAND], d->moves_in[PHASE_DATA], d->moves_in[PHASE_STATUS]);
    printf("downtime                  p50 %.2f ms, p99 %.2f ms, longest %.2f ms\n", percentile(d->downtimes, 0.5),
           percentile(d->downtimes, 0.99), percentile(d->downtimes, 1));
    printf("speed                     %.2f MiB/s over %.1f s, %.1f migrations/s\n", len / seconds / (1 << 20), seconds,
           qtest_moves(d->q) / seconds);
    return same;
}

static bool run(Demo *d)
{
    g_autoptr(GChecksum) sum = g_checksum_new(G_CHECKSUM_SHA256);
    g_autofree uint8_t *data = g_malloc(SECTORS_PER_READ * SECTOR);
    unsigned reads;
    bool same;

    d->q = qtest_start("-machine pc -m 64 -device piix3-usb-uhci,id=usb,addr=01.2 "
                       "-blockdev driver=file,filename=%s,node-name=disc,read-only=on "
                       "-device usb-bot,id=bot,bus=usb.0,port=2 -device scsi-cd,bus=bot.0,drive=disc",
                       d->disc);
    qtest_set_moving(d->q, true);
    qtest_on_move(d->q, on_move, d);
    uhci_init(&d->uhci, d->q, DEVFN_UHCI, UHCI_IO, GUEST_MEMORY);
    bot_enumerate(&d->bot, &d->uhci, 1, 1);
    bot_wait_ready(&d->bot, 0);
    d->sectors = read_capacity(d);

    reads = (d->sectors + SECTORS_PER_READ - 1) / SECTORS_PER_READ;
    d->started = g_get_monotonic_time();
    if (d->wanted_moves) {
        qtest_move_randomly(d->q, d->seed, MAX(reads * COMMANDS_PER_READ / d->wanted_moves, 1));
    }
    while (d->done < d->sectors) {
        uint16_t count = MIN(SECTORS_PER_READ, d->sectors - d->done);

        read_sectors(d, d->done, count, data);
        g_checksum_update(sum, data, count * SECTOR);
        d->done += count;
        show_progress(d, false);
    }
    show_progress(d, true);
    same = report(d, g_checksum_get_string(sum));
    qtest_end(d->q);
    return same;
}

int main(int argc, char **argv)
{
    Demo d = { .wanted_moves = DEFAULT_MOVES, .seed = g_random_int(), .disc = DEFAULT_DISC };
    g_autofree char *disc = NULL;
    gint moves = DEFAULT_MOVES, seed = (gint)(d.seed & G_MAXINT);
    gboolean quiet = FALSE;
    const GOptionEntry options[] = {
        { "disc", 0, 0, G_OPTION_ARG_FILENAME, &disc, "image of the disc [" DEFAULT_DISC "]", "FILE" },
        { "moves", 0, 0, G_OPTION_ARG_INT, &moves, "about how often to migrate [400]", "N" },
        { "seed", 0, 0, G_OPTION_ARG_INT, &seed, "of the random points, to run it again", "N" },
        { "quiet", 0, 0, G_OPTION_ARG_NONE, &quiet, "no progress", NULL },
        { 0 }
    };
    g_autoptr(GOptionContext) context = g_option_context_new("- read a USB CD-ROM while its machine moves");
    g_autoptr(GError) error = NULL;

    g_option_context_add_main_entries(context, options, NULL);
    if (!g_option_context_parse(context, &argc, &argv, &error) || moves < 0 || argc > 1) {
        fprintf(stderr, "%s: %s\n", argv[0], error ? error->message : "bad arguments, see --help");
        return EXIT_FAILURE;
    }
    d.wanted_moves = moves;
    d.seed = seed;
    d.quiet = quiet;
    d.tty = isatty(STDERR_FILENO);
    d.disc = disc ? disc : DEFAULT_DISC;
    if (access(d.disc, R_OK) != 0) {
        fprintf(stderr, "%s: cannot read %s: %s\n", argv[0], d.disc, strerror(errno));
        return EXIT_FAILURE;
    }
    d.downtimes = g_array_new(FALSE, FALSE, sizeof(double));
    return run(&d) ? EXIT_SUCCESS : EXIT_FAILURE;
}
