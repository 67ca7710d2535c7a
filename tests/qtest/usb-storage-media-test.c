/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Trays and media of a CD-ROM behind usb-bot, opened, emptied, filled and locked by the manager and by the guest, with
 * moves at every step: the guest hears of each change once, as in a machine that stays (P1).
 *
 * A play is a list of acts. After each one the guest asks what it always asks (TEST UNIT READY with the sense, GET EVENT
 * STATUS, READ CAPACITY, a block), and all it is told goes into a protocol. The protocol of a machine that stays is compared
 * with those of machines that move: after each act, after each command block, in the middle of each answer.
 */
#include "util/osdep.h"
#include "bot-driver.h"
#include "util/bytes.h"

#define DEVFN_UHCI 0x0a
#define UHCI_IO 0xc040
#define GUEST_MEMORY 0x100000
#define BLOCK 2048
#define N_DISCS 3
#define SENSE_LEN 18

/* ---- the stage ------------------------------------------------------------------------------------------------------ */

typedef enum Moves { STAYS, AFTER_ACTS, AFTER_COMMAND_BLOCKS, IN_ANSWERS, BEFORE_STATUS, MOVES } Moves;

static const char *const moves_names[MOVES] = {
    "stays", "after acts", "after command blocks", "in the middle of answers", "before the status",
};

typedef struct Setting {
    const char *name, *machine, *property;
    unsigned moves; /* bits; what an emulated request holds does not travel with the property off */
} Setting;

static const Setting settings[] = {
    { "10.0", "pc-i440fx-10.0", NULL, 1 << AFTER_ACTS | 1 << AFTER_COMMAND_BLOCKS | 1 << IN_ANSWERS | 1 << BEFORE_STATUS },
    { "7.2-on", "pc-i440fx-7.2", "on", 1 << AFTER_COMMAND_BLOCKS },
    { "7.2", "pc-i440fx-7.2", NULL, 1 << AFTER_ACTS },
};

typedef struct Stage {
    const Setting *setting;
    Moves moves;
    QTest *q;
    UhciDriver uhci;
    BotDriver bot;
    int disc;          /* in the drive; 0: none */
    GString *protocol;
} Stage;

/* Discs differ in size and content. */
static uint64_t disc_size(int disc)
{
    return disc * 16 * BLOCK;
}

static const char *disc_path(int disc)
{
    g_autofree char *name = g_strdup_printf("disc%d.iso", disc);

    return qtest_image(name, disc_size(disc), disc);
}

static char *stage_args(const Stage *s)
{
    g_autofree char *medium = s->disc ? g_strdup_printf("-blockdev driver=file,filename=%s/disc%d.iso,node-name=disc%d,"
                                                        "read-only=on", qtest_dir(), s->disc, s->disc)
                                      : g_strdup("");
    g_autofree char *drive = s->disc ? g_strdup_printf(",drive=disc%d", s->disc) : g_strdup("");
    g_autofree char *global = s->setting->property ? g_strdup_printf("-global scsi-cd.migrate-emulated-scsi-request=%s",
                                                                     s->setting->property)
                                                   : g_strdup("");

    return g_strdup_printf("-machine %s -m 16 %s %s -device piix3-usb-uhci,id=usb,addr=01.2 "
                           "-device usb-bot,id=bot,bus=usb.0,port=2 -device scsi-cd,id=cd,bus=bot.0%s",
                           s->setting->machine, global, medium, drive);
}

/* The next process is started with the disc that is in the drive now. */
static void medium_is(Stage *s, int disc)
{
    g_autofree char *args = NULL;

    s->disc = disc;
    args = stage_args(s);
    qtest_set_args(s->q, "%s", args);
}

static void note(Stage *s, const char *fmt, ...) G_GNUC_PRINTF(2, 3);
static void note(Stage *s, const char *fmt, ...)
{
    va_list ap;

    va_start(ap, fmt);
    g_string_append_vprintf(s->protocol, fmt, ap);
    va_end(ap);
    g_string_append_c(s->protocol, '\n');
}

/* ---- the guest -------------------------------------------------------------------------------------------------------- */

static void at(Stage *s, Moves here)
{
    if (s->moves == here) {
        qtest_move(s->q);
    }
}

static void note_result(Stage *s, const char *name, const BotResult *r, const uint8_t *data)
{
    g_autofree char *sum = g_compute_checksum_for_data(G_CHECKSUM_MD5, data, r->actual);
    g_autoptr(GString) head = g_string_new(NULL);

    for (size_t i = 0; i < MIN(r->actual, SENSE_LEN); i++) {
        g_string_append_printf(head, "%02x", data[i]);
    }
    note(s, "  %s: data %d, %zu bytes %s (%s), status %u, residue %u", name, r->data_status, r->actual, head->str, sum,
         r->csw_status, r->residue);
}

/* A command with moves in it; notes what came of it. Returns the status. */
static int command(Stage *s, const char *name, BotDirection direction, const void *cdb, size_t cdb_len, size_t len)
{
    g_autofree uint8_t *data = g_malloc0(len + 1);
    BotResult result = { .data_status = UHCI_DONE };

    g_assert_cmpint(bot_send_cbw(&s->bot, 0, direction, cdb, cdb_len, len), ==, UHCI_DONE);
    at(s, AFTER_COMMAND_BLOCKS);
    /* Packets that are shorter than the endpoint's would end the phase, so only long answers have a middle. */
    for (size_t part; len && result.actual < len && result.data_status == UHCI_DONE; ) {
        UhciResult r;

        part = s->moves == IN_ANSWERS ? MIN(len - result.actual, s->bot.mps) : len - result.actual;
        r = bot_data(&s->bot, direction, data + result.actual, part);
        result.data_status = r.status;
        result.actual += r.actual;
        at(s, IN_ANSWERS);
        if (r.actual < part) {
            break;
        }
    }
    if (result.data_status == UHCI_STALLED) {
        bot_clear_halt(&s->bot, direction);
    }
    at(s, BEFORE_STATUS);
    if (bot_read_csw(&s->bot, &result) == UHCI_STALLED) {
        bot_clear_halt(&s->bot, BOT_IN);
        bot_read_csw(&s->bot, &result);
    }
    g_assert_cmpint(result.csw_phase, ==, UHCI_DONE);
    note_result(s, name, &result, data);
    return result.csw_status;
}

#define COMMAND(s, name, direction, len, ...)                                                             \
    command(s, name, direction, (const uint8_t[]){ __VA_ARGS__ }, sizeof((const uint8_t[]){ __VA_ARGS__ }), len)

static void guest_looks(Stage *s)
{
    for (int i = 0; i < 3; i++) {
        if (COMMAND(s, "test unit ready", BOT_NONE, 0, 0, 0, 0, 0, 0, 0) == 0) {
            break;
        }
        COMMAND(s, "sense", BOT_IN, SENSE_LEN, 3, 0, 0, 0, SENSE_LEN, 0);
    }
    for (int i = 0; i < 3; i++) {
        COMMAND(s, "event status", BOT_IN, 8, 0x4a, 1, 0, 0, 0x10, 0, 0, 0, 8, 0);
    }
    if (COMMAND(s, "read capacity", BOT_IN, 8, 0x25, 0, 0, 0, 0, 0, 0, 0, 0, 0)) {
        COMMAND(s, "sense", BOT_IN, SENSE_LEN, 3, 0, 0, 0, SENSE_LEN, 0);
    }
    COMMAND(s, "mode sense", BOT_IN, 128, 0x5a, 0, 0x2a, 0, 0, 0, 0, 0, 128, 0);
    if (COMMAND(s, "read", BOT_IN, BLOCK, 0x28, 0, 0, 0, 0, 3, 0, 0, 1, 0)) {
        COMMAND(s, "sense", BOT_IN, SENSE_LEN, 3, 0, 0, 0, SENSE_LEN, 0);
    }
}

static void guest_start_stop(Stage *s, uint8_t what)
{
    if (COMMAND(s, "start stop unit", BOT_NONE, 0, 0x1b, 0, 0, 0, what, 0)) {
        COMMAND(s, "sense", BOT_IN, SENSE_LEN, 3, 0, 0, 0, SENSE_LEN, 0);
    }
}

static void guest_ejects(Stage *s)
{
    guest_start_stop(s, 2);
}

static void guest_loads(Stage *s)
{
    guest_start_stop(s, 3);
}

static void guest_locks(Stage *s)
{
    COMMAND(s, "prevent", BOT_NONE, 0, 0x1e, 0, 0, 0, 1, 0);
}

static void guest_unlocks(Stage *s)
{
    COMMAND(s, "allow", BOT_NONE, 0, 0x1e, 0, 0, 0, 0, 0);
}

static void guest_hears_first(Stage *s)
{
    COMMAND(s, "test unit ready", BOT_NONE, 0, 0, 0, 0, 0, 0, 0);
}

/* ---- the manager -------------------------------------------------------------------------------------------------------- */

static void manager_opens(Stage *s)
{
    qtest_qmp_ok(s->q, "{'execute': 'blockdev-open-tray', 'arguments': {'id': 'cd'}}");
    medium_is(s, s->disc);
}

static void manager_opens_by_force(Stage *s)
{
    qtest_qmp_ok(s->q, "{'execute': 'blockdev-open-tray', 'arguments': {'id': 'cd', 'force': true}}");
    medium_is(s, s->disc);
}

static void manager_closes(Stage *s)
{
    qtest_qmp_ok(s->q, "{'execute': 'blockdev-close-tray', 'arguments': {'id': 'cd'}}");
    medium_is(s, s->disc);
}

static void manager_removes(Stage *s)
{
    qtest_qmp_ok(s->q, "{'execute': 'blockdev-remove-medium', 'arguments': {'id': 'cd'}}");
    medium_is(s, 0);
}

static void manager_inserts_2(Stage *s)
{
    qtest_qmp_ok(s->q, "{'execute': 'blockdev-add', 'arguments': {'driver': 'file', 'filename': '%s/disc2.iso',"
                       " 'node-name': 'new-disc', 'read-only': true}}", qtest_dir());
    qtest_qmp_ok(s->q, "{'execute': 'blockdev-insert-medium', 'arguments': {'id': 'cd', 'node-name': 'new-disc'}}");
    medium_is(s, 2);
}

static void manager_changes_to_3(Stage *s)
{
    qtest_qmp_ok(s->q, "{'execute': 'blockdev-change-medium', 'arguments': {'id': 'cd', 'filename': '%s/disc3.iso',"
                       " 'format': 'raw', 'read-only-mode': 'read-only'}}", qtest_dir());
    medium_is(s, 3);
}

static void manager_ejects(Stage *s)
{
    qtest_qmp_ok(s->q, "{'execute': 'eject', 'arguments': {'id': 'cd'}}");
    medium_is(s, 0);
}

static void manager_may_not_eject(Stage *s)
{
    qtest_qmp_fails(s->q, "GenericError", "locked", "{'execute': 'eject', 'arguments': {'id': 'cd'}}");
}

static void manager_resets(Stage *s)
{
    qtest_qmp_ok(s->q, "{'execute': 'system_reset'}");
    uhci_init(&s->uhci, s->q, DEVFN_UHCI, UHCI_IO, GUEST_MEMORY);
    bot_enumerate(&s->bot, &s->uhci, 1, 1);
}

static json_object *find_drive(json_object *list)
{
    for (size_t i = 0; i < json_object_array_length(list); i++) {
        json_object *drive = json_object_array_get_idx(list, i), *qdev;

        if (json_object_object_get_ex(drive, "qdev", &qdev) && strstr(json_object_get_string(qdev), "cd")) {
            return drive;
        }
    }
    g_error("query-block does not show the drive: %s", json_object_to_json_string(list));
}

static void manager_looks(Stage *s)
{
    json_object *list = qtest_qmp_return(s->q, "{'execute': 'query-block'}"), *drive = find_drive(list);
    unsigned moved = 0;

    while (qtest_had_event(s->q, "DEVICE_TRAY_MOVED")) {
        moved++;
    }
    note(s, "  manager: tray open %d, locked %d, medium %d, %u events", (int)qtest_json_int(drive, "tray_open"),
         (int)qtest_json_int(drive, "locked"), json_object_object_get_ex(drive, "inserted", NULL), moved);
    json_object_put(list);
}

/* ---- plays ------------------------------------------------------------------------------------------------------------------ */

typedef struct Act {
    const char *name;
    void (*func)(Stage *s);
    bool quiet; /* the guest does not look behind it: what it would hear waits for the next act */
} Act;

typedef struct Play {
    const char *name;
    int disc;
    Act acts[12];
} Play;

static const Play plays[] = {
    { "by-hand", 1, { { "open", manager_opens, false }, { "remove", manager_removes, false },
                      { "insert", manager_inserts_2, false }, { "close", manager_closes, false } } },
    { "by-hand-unseen", 1, { { "open", manager_opens, true }, { "remove", manager_removes, true },
                             { "insert", manager_inserts_2, true }, { "close", manager_closes, false } } },
    { "change", 1, { { "change", manager_changes_to_3, false } } },
    { "change-half-heard", 1, { { "change", manager_changes_to_3, true },
                                { "hear of the old one", guest_hears_first, true }, { "look", guest_unlocks, false } } },
    { "eject-and-change", 1, { { "eject", manager_ejects, false }, { "change", manager_changes_to_3, false } } },
    { "empty-at-start", 0, { { "look", guest_unlocks, false }, { "change", manager_changes_to_3, false },
                             { "eject", manager_ejects, false } } },
    { "guest", 1, { { "eject", guest_ejects, false }, { "eject again", guest_ejects, false },
                    { "load", guest_loads, false }, { "eject", guest_ejects, false },
                    { "remove", manager_removes, false }, { "load nothing", guest_loads, false } } },
    { "locked", 1, { { "lock", guest_locks, false }, { "guest ejects", guest_ejects, false },
                     { "refused", manager_may_not_eject, false }, { "refused again", manager_may_not_eject, true },
                     { "unlock", guest_unlocks, false }, { "guest ejects", guest_ejects, false },
                     { "close", manager_closes, false } } },
    { "asked", 1, { { "lock", guest_locks, true }, { "asked to open", manager_opens, false },
                    { "unlock", guest_unlocks, true }, { "guest ejects", guest_ejects, false },
                    { "remove", manager_removes, true }, { "insert", manager_inserts_2, true },
                    { "load", guest_loads, false } } },
    { "by-force", 1, { { "lock", guest_locks, true }, { "open by force", manager_opens_by_force, false },
                       { "close", manager_closes, false }, { "lock", guest_locks, true },
                       { "asked", manager_opens, true }, { "open by force", manager_opens_by_force, false } } },
    { "reset", 1, { { "lock", guest_locks, true }, { "asked to open", manager_opens, true },
                    { "reset", manager_resets, false }, { "open", manager_opens, true }, { "reset", manager_resets, false } } },
};

static char *run_play(const Play *play, const Setting *setting, Moves moves)
{
    Stage s = { .setting = setting, .moves = moves, .disc = play->disc };
    g_autofree char *args = stage_args(&s);

    s.protocol = g_string_new(NULL);
    s.q = qtest_start("%s", args);
    qtest_set_moving(s.q, moves != STAYS && setting->moves & 1 << AFTER_COMMAND_BLOCKS);
    uhci_init(&s.uhci, s.q, DEVFN_UHCI, UHCI_IO, GUEST_MEMORY);
    bot_enumerate(&s.bot, &s.uhci, 1, 1);
    guest_looks(&s);
    for (const Act *act = play->acts; act->name; act++) {
        note(&s, "%s", act->name);
        act->func(&s);
        at(&s, AFTER_ACTS);
        if (!act->quiet) {
            guest_looks(&s);
        }
        manager_looks(&s);
    }
    qtest_end(s.q);
    return g_string_free(s.protocol, FALSE);
}

/* How often a text is in it. */
static unsigned count(const char *text, const char *what)
{
    unsigned n = 0;

    while ((text = strstr(text, what))) {
        text += strlen(what);
        n++;
    }
    return n;
}

typedef struct Case {
    const Play *play;
    const Setting *setting;
} Case;

static void compare(const char *stays, const char *moves, const char *how)
{
    g_auto(GStrv) a = g_strsplit(stays, "\n", -1), b = g_strsplit(moves, "\n", -1);

    for (size_t i = 0; a[i] && b[i]; i++) {
        if (!g_str_equal(a[i], b[i])) {
            g_error("moved %s, line %zu:\n%s\nunmoved:\n%s\nprotocol:\n%s", how, i, b[i], a[i], moves);
        }
    }
    g_assert_cmpuint(g_strv_length(a), ==, g_strv_length(b));
}

static void test_play(gconstpointer data)
{
    const Case *c = data;
    g_autofree char *stays = run_play(c->play, c->setting, STAYS);

    if (g_test_verbose()) {
        g_printerr("%s", stays);
    }
    for (Moves moves = STAYS + 1; moves < MOVES; moves++) {
        g_autofree char *moved = NULL;

        if (!(c->setting->moves & 1u << moves) || (g_getenv("QTEST_MOVE_EVERY") && moves != AFTER_ACTS)) {
            continue;
        }
        moved = run_play(c->play, c->setting, moves);
        compare(stays, moved, moves_names[moves]);
    }
}

#define SAYS_NO_MEDIUM "700006000000000a000000003a" /* unit attention: medium not present */
#define SAYS_CHANGED "700006000000000a0000000028"   /* unit attention: medium may have changed */
#define SAYS_NEW "0004041002"                       /* event: new media */
#define SAYS_EJECT "0004041001"                     /* event: eject request */

static const Play *play_named(const char *name)
{
    for (size_t i = 0; i < G_N_ELEMENTS(plays); i++) {
        if (g_str_equal(plays[i].name, name)) {
            return &plays[i];
        }
    }
    g_assert_not_reached();
}

/* What the protocols are compared with is itself right: a change is told once, as attentions and as an event. */
static void test_told_once(void)
{
    g_autofree char *change = run_play(play_named("change"), &settings[0], STAYS);
    g_autofree char *locked = run_play(play_named("locked"), &settings[0], STAYS);
    g_autofree char *unseen = run_play(play_named("by-hand-unseen"), &settings[0], STAYS);

    g_assert_cmpuint(count(change, SAYS_NO_MEDIUM), ==, 1);
    g_assert_cmpuint(count(change, SAYS_CHANGED), ==, 1);
    g_assert_cmpuint(count(change, SAYS_NEW), ==, 1);
    g_assert_cmpuint(count(change, SAYS_EJECT), ==, 0);
    g_assert_cmpuint(count(unseen, SAYS_NO_MEDIUM), ==, 1);
    g_assert_cmpuint(count(unseen, SAYS_CHANGED), ==, 1);
    g_assert_cmpuint(count(unseen, SAYS_NEW), ==, 1);
    /* The manager asked twice before the guest let go, with a look in between. */
    g_assert_cmpuint(count(locked, SAYS_EJECT), ==, 2);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    for (int disc = 1; disc <= N_DISCS; disc++) {
        disc_path(disc);
    }
    g_test_add_func("/usb-storage-media/told-once", test_told_once);
    for (size_t i = 0; i < G_N_ELEMENTS(settings); i++) {
        for (size_t p = 0; p < G_N_ELEMENTS(plays); p++) {
            Case *c = g_new0(Case, 1);
            g_autofree char *path = g_strdup_printf("/usb-storage-media/%s/%s", settings[i].name, plays[p].name);

            *c = (Case){ .play = &plays[p], .setting = &settings[i] };
            g_test_add_data_func_full(path, c, test_play, g_free);
        }
    }
    return g_test_run();
}
