/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Host errors under a USB disk (rerror, werror): the machine stops, is moved while it stands, and repeats the request
 * after `cont`; data, status, sense and the disk's content equal a run without the error (P1, P4).
 *
 * Each case is a request × an error × what happens at each stop. blkdebug below the unit makes the error. A plan has one
 * entry for each stop that must come: 'g' moves to a process whose disk has no error, 'b' to one whose disk has it
 * (again), "" stays.
 */
#include "util/osdep.h"
#include "bot-driver.h"
#include "util/bytes.h"

#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

#define DEVFN_UHCI 0x0a
#define UHCI_IO 0xc040
#define GUEST_MEMORY 0x100000
#define IMAGE_SIZE (512 * 1024)
#define IMAGE_SEED 11
#define WRITE_SEED 12
#define MAX_DATA (160 * 1024)
#define PART (48 * 1024) /* of the data phase at a time in the queue */
#define FRAMES_AT_ONCE 10
#define PHASE_SECONDS 60

typedef struct Unit {
    const char *name, *type;
    bool cd;
    const char *args; /* the policy of errors is appended */
} Unit;

static const Unit unit_storage = { "usb-storage", "scsi-hd", false,
                                   "-device usb-storage,id=dev,bus=usb.0,port=2,drive=disk" };
static const Unit unit_cd = { "usb-bot-cd", "scsi-cd", true,
                              "-device usb-bot,id=bot,bus=usb.0,port=2 -device scsi-cd,id=dev,bus=bot.0,drive=disk" };
static const Unit unit_hd = { "usb-bot-hd", "scsi-hd", false,
                              "-device usb-bot,id=bot,bus=usb.0,port=2 -device scsi-hd,id=dev,bus=bot.0,drive=disk" };

/* A request, and the error that it meets. */
typedef struct Meeting {
    const char *name;
    const Unit *unit;
    BotDirection direction;
    uint8_t cdb[16];
    uint8_t cdb_len;
    uint32_t len;        /* of the data phase */
    uint64_t first;      /* byte of the disk that the data begin at */
    uint64_t bytes;      /* of the disk that it writes; len for READ and WRITE */
    const char *iotype;
    int sector;          /* that fails; -1: any */
    int error;
    const char *policy;  /* ",rerror=stop" */
    const char *action;  /* of BLOCK_IO_ERROR; NULL: there is no event */
    const char *operation;
    bool fails;          /* the guest sees CHECK CONDITION */
} Meeting;

#define CDB(...) .cdb = { __VA_ARGS__ }, .cdb_len = sizeof((uint8_t[]){ __VA_ARGS__ })
/* READ(10) and WRITE(10) of 300 blocks from LBA 100, in chunks that are shorter; of 75 of the disc's from 25. */
#define HD_300(op) CDB(op, 0, 0, 0, 0, 100, 0, 1, 44, 0), .len = 300 * 512, .first = 100 * 512
#define CD_75 CDB(0x28, 0, 0, 0, 0, 25, 0, 0, 75, 0), .len = 75 * 2048, .first = 25 * 2048
#define EARLY 105
#define LATE 390

static const Meeting stops[] = {
    { "read-early", &unit_storage, BOT_IN, HD_300(0x28), .iotype = "read", .sector = EARLY, .error = EIO,
      .policy = ",rerror=stop", .action = "stop", .operation = "read" },
    { "read-late", &unit_storage, BOT_IN, HD_300(0x28), .iotype = "read", .sector = LATE, .error = EIO,
      .policy = ",rerror=stop", .action = "stop", .operation = "read" },
    { "read-early", &unit_cd, BOT_IN, CD_75, .iotype = "read", .sector = EARLY, .error = EIO,
      .policy = ",rerror=stop", .action = "stop", .operation = "read" },
    { "read-late", &unit_cd, BOT_IN, CD_75, .iotype = "read", .sector = LATE, .error = EIO,
      .policy = ",rerror=stop", .action = "stop", .operation = "read" },
    { "write-early", &unit_hd, BOT_OUT, HD_300(0x2a), .iotype = "write", .sector = EARLY, .error = EIO,
      .policy = ",werror=stop", .action = "stop", .operation = "write" },
    { "write-late", &unit_hd, BOT_OUT, HD_300(0x2a), .iotype = "write", .sector = LATE, .error = EIO,
      .policy = ",werror=stop", .action = "stop", .operation = "write" },
    { "write-no-space", &unit_storage, BOT_OUT, HD_300(0x2a), .iotype = "write", .sector = LATE, .error = ENOSPC,
      .policy = ",werror=enospc", .action = "stop", .operation = "write" },
    { "write-no-space-by-default", &unit_hd, BOT_OUT, HD_300(0x2a), .iotype = "write", .sector = EARLY, .error = ENOSPC,
      .policy = "", .action = "stop", .operation = "write" },
    { "flush", &unit_hd, BOT_NONE, CDB(0x35, 0, 0, 0, 0, 0, 0, 0, 0, 0), .iotype = "flush", .sector = -1, .error = EIO,
      .policy = ",werror=stop", .action = "stop", .operation = "write" },
    { "write-same", &unit_hd, BOT_OUT, CDB(0x41, 0, 0, 0, 0, 100, 0, 0, 16, 0), .len = 512, .first = 100 * 512,
      .bytes = 16 * 512, .iotype = "write", .sector = EARLY, .error = EIO, .policy = ",werror=stop", .action = "stop",
      .operation = "write" },
};

/* The VM runs on: the guest is told, or not. */
static const Meeting goes_on[] = {
    { "read-report", &unit_cd, BOT_IN, CD_75, .iotype = "read", .sector = LATE, .error = EIO,
      .policy = ",rerror=report", .action = "report", .operation = "read", .fails = true },
    { "read-report-by-default", &unit_storage, BOT_IN, HD_300(0x28), .iotype = "read", .sector = EARLY, .error = EIO,
      .policy = "", .action = "report", .operation = "read", .fails = true },
    { "read-ignore", &unit_storage, BOT_IN, HD_300(0x28), .iotype = "read", .sector = LATE, .error = EIO,
      .policy = ",rerror=ignore", .action = "ignore", .operation = "read" },
    { "write-report", &unit_hd, BOT_OUT, HD_300(0x2a), .iotype = "write", .sector = LATE, .error = EIO,
      .policy = ",werror=report", .action = "report", .operation = "write", .fails = true },
    { "write-no-space-report", &unit_hd, BOT_OUT, HD_300(0x2a), .iotype = "write", .sector = EARLY, .error = ENOSPC,
      .policy = ",werror=report", .action = "report", .operation = "write", .fails = true },
    { "write-other-than-no-space", &unit_storage, BOT_OUT, HD_300(0x2a), .iotype = "write", .sector = EARLY,
      .error = EIO, .policy = ",werror=enospc", .action = "report", .operation = "write", .fails = true },
    { "write-ignore", &unit_hd, BOT_OUT, HD_300(0x2a), .iotype = "write", .sector = EARLY, .error = EIO,
      .policy = ",werror=ignore", .action = "ignore", .operation = "write" },
};

typedef struct Setting {
    const char *name, *machine, *property;
    bool off; /* what an emulated request holds does not travel */
} Setting;

static const Setting settings[] = {
    { "10.0", "pc-i440fx-10.0", NULL, false },
    { "10.0-off", "pc-i440fx-10.0", "off", true },
    { "7.2", "pc-i440fx-7.2", NULL, true },
    { "7.2-on", "pc-i440fx-7.2", "on", false },
};

#define MAX_STOPS 4

typedef struct Plan {
    const char *name;
    const char *at_stop[MAX_STOPS];
    bool always; /* the error of a process does not go away by itself */
} Plan;

static const Plan plans[] = {
    { "stay", { "" }, false },
    { "move", { "g" }, false },
    { "move-often", { "gbgbg" }, true },
    { "fails-there-too", { "b", "g" }, false },
    { "fails-everywhere", { "", "b", "bb", "g" }, true },
};

typedef struct Case {
    const Meeting *meeting;
    const Setting *setting;
    const Plan *plan; /* NULL: no stop is expected */
    char *image;
    QTest *q;
    UhciDriver uhci;
    BotDriver bot;
    unsigned stops;
    bool auto_moves;
} Case;

typedef struct Outcome {
    BotResult result;
    uint32_t sense;
    uint8_t data[MAX_DATA];
} Outcome;

/* ---- starting and moving ------------------------------------------------------------------------------------------ */

static char *error_rule(const Case *c)
{
    const Meeting *m = c->meeting;
    g_autofree char *sector = m->sector < 0 ? g_strdup("") : g_strdup_printf(", \"sector\": %d", m->sector);

    return g_strdup_printf("{\"event\": \"none\", \"iotype\": \"%s\", \"errno\": %d, \"once\": %s%s}", m->iotype,
                           m->error, !c->plan || c->plan->always ? "false" : "true", sector);
}

static char *side_args(const Case *c, bool bad)
{
    const Unit *unit = c->meeting->unit;
    const char *read_only = unit->cd ? "true" : "false";
    g_autofree char *rule = bad ? error_rule(c) : g_strdup("");
    g_autofree char *global = c->setting->property
                                  ? g_strdup_printf("-global %s.migrate-emulated-scsi-request=%s", unit->type,
                                                    c->setting->property)
                                  : g_strdup("");

    return g_strdup_printf("-machine %s -m 16 %s -device piix3-usb-uhci,id=usb,addr=01.2 "
                           "-blockdev driver=file,filename=%s,node-name=file,read-only=%s "
                           "-blockdev '{\"driver\": \"blkdebug\", \"image\": \"file\", \"node-name\": \"disk\", "
                           "\"read-only\": %s, \"inject-error\": [%s]}' %s%s",
                           c->setting->machine, global, c->image, unit->cd ? "on" : "off", read_only, rule, unit->args,
                           c->meeting->policy);
}

static void move_to_side(Case *c, bool bad)
{
    g_autofree char *args = side_args(c, bad);

    qtest_move_to(c->q, "%s", args);
}

static char *vm_status(Case *c)
{
    json_object *ret = qtest_qmp_return(c->q, "{'execute': 'query-status'}");
    char *status = g_strdup(qtest_json_string(ret, "status"));

    json_object_put(ret);
    return status;
}

static void check_event(Case *c)
{
    const Meeting *m = c->meeting;
    json_object *event = qtest_wait_event(c->q, "BLOCK_IO_ERROR");

    g_assert_cmpstr(qtest_json_string(event, "data.action"), ==, m->action);
    g_assert_cmpstr(qtest_json_string(event, "data.operation"), ==, m->operation);
    g_assert_cmpstr(qtest_json_string(event, "data.node-name"), ==, "disk");
    g_assert_cmpint(qtest_json_int(event, "data.nospace"), ==, m->error == ENOSPC);
    json_object_put(event);
}

/* Nothing of the guest's memory changes while the VM stands. */
static char *memory_sum(Case *c)
{
    g_autofree uint8_t *memory = g_malloc(0x40000);

    qtest_memread(c->q, GUEST_MEMORY, memory, 0x40000);
    return g_compute_checksum_for_data(G_CHECKSUM_SHA256, memory, 0x40000);
}

/* WRITE SAME holds its block: without the property it cannot leave, and a machine that stands cannot finish it. */
static bool holds_data(const Meeting *m, const Setting *setting)
{
    return setting->off && g_str_equal(m->name, "write-same");
}

static void move_must_fail(Case *c)
{
    const char *status;
    json_object *ret;

    qtest_qmp_ok(c->q, "{'execute': 'migrate', 'arguments': {'uri': 'exec:cat >/dev/null'}}");
    while (ret = qtest_qmp_return(c->q, "{'execute': 'query-migrate'}"), status = qtest_json_string(ret, "status"),
           !g_str_equal(status, "failed")) {
        g_assert_cmpstr(status, !=, "completed");
        json_object_put(ret);
        g_usleep(2000);
    }
    g_assert_nonnull(strstr(qtest_json_string(ret, "error-desc"), "WRITE SAME"));
    json_object_put(ret);
    qtest_wait_status(c->q, "io-error");
}

static void at_stop(Case *c)
{
    const char *moves = c->stops < MAX_STOPS && c->plan ? c->plan->at_stop[c->stops] : NULL;
    g_autofree char *before = NULL, *after = NULL;

    check_event(c);
    c->stops++;
    if (!moves) {
        /* An automatic move has brought a new process, whose error is new as well. */
        g_assert_true(c->auto_moves);
        moves = "g";
    }
    before = memory_sum(c);
    if (!c->plan->at_stop[0][0] && holds_data(c->meeting, c->setting)) {
        move_must_fail(c);
    }
    for (; *moves; moves++) {
        move_to_side(c, *moves == 'b');
        qtest_wait_status(c->q, "io-error");
    }
    uhci_step_frames(&c->uhci, 3);
    after = memory_sum(c);
    g_assert_cmpstr(before, ==, after);
    qtest_qmp_ok(c->q, "{'execute': 'cont'}");
}

static void look_for_stop(Case *c)
{
    g_autofree char *status = vm_status(c);

    if (!g_str_equal(status, "running")) {
        qtest_wait_status(c->q, "io-error");
        at_stop(c);
    }
}

/* ---- a request --------------------------------------------------------------------------------------------------------- */

static UhciResult transfer(Case *c, BotDirection direction, void *data, size_t len)
{
    gint64 deadline = g_get_monotonic_time() + PHASE_SECONDS * G_TIME_SPAN_SECOND;
    BotDriver *b = &c->bot;
    bool in = direction == BOT_IN;
    bool *toggle = in ? &b->in_toggle : &b->out_toggle;
    UhciResult r;

    uhci_queue(b->u, b->address, in ? b->in_endpoint : b->out_endpoint, in ? UHCI_PID_IN : UHCI_PID_OUT, *toggle, data,
               len, b->mps, in ? UHCI_TD_SPD : 0);
    while ((r = uhci_look(b->u)).status == UHCI_PENDING) {
        look_for_stop(c);
        uhci_step_frames(b->u, FRAMES_AT_ONCE);
        g_assert_true(c->auto_moves || g_get_monotonic_time() < deadline);
    }
    uhci_unlink(b->u);
    *toggle = r.toggle;
    if (in) {
        uhci_read_data(b->u, data, r.actual);
    }
    return r;
}

static void data_phase(Case *c, bool moves, Outcome *o)
{
    const Meeting *m = c->meeting;
    size_t done = 0;
    UhciResult r = { .status = UHCI_DONE };

    while (done < m->len && r.status == UHCI_DONE) {
        size_t part = MIN(PART, m->len - done);

        r = transfer(c, m->direction, o->data + done, part);
        done += r.actual;
        if (moves) {
            qtest_move(c->q);
        }
        if (r.actual < part) {
            break;
        }
    }
    o->result.data_status = r.status;
    o->result.actual = done;
    if (r.status == UHCI_STALLED) {
        bot_clear_halt(&c->bot, m->direction);
    }
}

static void status_phase(Case *c, Outcome *o)
{
    uint8_t csw[BOT_CSW_SIZE] = { 0 };
    UhciResult r = transfer(c, BOT_IN, csw, sizeof(csw));

    if (r.status == UHCI_STALLED) {
        bot_clear_halt(&c->bot, BOT_IN);
        r = transfer(c, BOT_IN, csw, sizeof(csw));
    }
    o->result.csw_phase = r.status;
    g_assert_cmpint(r.status, ==, UHCI_DONE);
    g_assert_cmpuint(r.actual, ==, BOT_CSW_SIZE);
    g_assert_cmphex(load_le32(csw + 4), ==, c->bot.tag);
    o->result.residue = load_le32(csw + 8);
    o->result.csw_status = csw[12];
}

static void fill_out(const Case *c, uint8_t *data)
{
    for (uint32_t i = 0; c->meeting->direction == BOT_OUT && i < c->meeting->len; i++) {
        data[i] = qtest_image_byte(i, WRITE_SEED);
    }
}

static void run_request(Case *c, bool moves, Outcome *o)
{
    const Meeting *m = c->meeting;

    memset(o, 0, sizeof(*o));
    o->result.data_status = UHCI_DONE;
    fill_out(c, o->data);
    g_assert_cmpint(bot_send_cbw(&c->bot, 0, m->direction, m->cdb, m->cdb_len, m->len), ==, UHCI_DONE);
    if (moves) {
        qtest_move(c->q);
    }
    if (m->len) {
        data_phase(c, moves, o);
    }
    status_phase(c, o);
    if (moves) {
        qtest_move(c->q);
    }
    o->sense = bot_sense(&c->bot, 0);
}

/* ---- the disk ------------------------------------------------------------------------------------------------------------ */

static uint8_t *disk_content(const Case *c)
{
    gsize len;
    char *content;

    g_assert_true(g_file_get_contents(c->image, &content, &len, NULL));
    g_assert_cmpuint(len, ==, IMAGE_SIZE);
    return (uint8_t *)content;
}

/* What is where the request writes, and nothing else has changed. */
static void check_disk(const Case *c)
{
    const Meeting *m = c->meeting;
    g_autofree uint8_t *disk = disk_content(c);
    uint64_t bytes = m->direction != BOT_OUT ? 0 : m->bytes ? m->bytes : m->len;

    for (uint64_t i = 0; i < IMAGE_SIZE; i++) {
        bool written = i >= m->first && i < m->first + bytes;
        uint8_t want = written ? qtest_image_byte((i - m->first) % m->len, WRITE_SEED) : qtest_image_byte(i, IMAGE_SEED);

        if (disk[i] != want) {
            g_error("byte %" PRIu64 " of the disk is %02x, not %02x", i, disk[i], want);
        }
    }
}

/* A request that is done is not done again: what is put into its place afterwards stays. */
static void check_once(Case *c)
{
    static const char other[] = "written behind the guest's back";
    const Meeting *m = c->meeting;
    g_autofree uint8_t *disk = NULL;
    int fd;

    if (m->direction != BOT_OUT) {
        return;
    }
    fd = open(c->image, O_WRONLY | O_CLOEXEC);
    g_assert_cmpint(pwrite(fd, other, sizeof(other), m->first), ==, sizeof(other));
    close(fd);
    move_to_side(c, false);
    uhci_step_frames(&c->uhci, 20);
    move_to_side(c, false);
    disk = disk_content(c);
    g_assert_cmpmem(disk + m->first, sizeof(other), other, sizeof(other));
}

/* ---- cases ----------------------------------------------------------------------------------------------------------------- */

static void start(Case *c, bool bad)
{
    g_autofree char *args = NULL;

    c->image = g_strdup(qtest_image("disk.img", IMAGE_SIZE, IMAGE_SEED));
    c->auto_moves = g_getenv("QTEST_MOVE_EVERY") != NULL;
    args = side_args(c, bad);
    c->q = qtest_start("%s", args);
    uhci_init(&c->uhci, c->q, DEVFN_UHCI, UHCI_IO, GUEST_MEMORY);
    bot_enumerate(&c->bot, &c->uhci, 1, 1);
    bot_wait_ready(&c->bot, 0);
    c->stops = 0;
}

/* A flush without a write since the last one does nothing: the first block is written as it was. */
static void write_something(Case *c)
{
    static const uint8_t write_10[10] = { 0x2a, 0, 0, 0, 0, 0, 0, 0, 1 };
    uint8_t block[512];

    for (size_t i = 0; i < sizeof(block); i++) {
        block[i] = qtest_image_byte(i, IMAGE_SEED);
    }
    g_assert_cmpint(bot_command(&c->bot, 0, BOT_OUT, write_10, sizeof(write_10), block, sizeof(block)).csw_status, ==, 0);
}

static unsigned stops_of(const Plan *plan)
{
    unsigned n = 0;

    while (n < MAX_STOPS && plan->at_stop[n]) {
        n++;
    }
    return n;
}

static void test_stop(gconstpointer data)
{
    Case c = *(const Case *)data;
    const Meeting *m = c.meeting;
    g_autofree Outcome *o = g_new(Outcome, 1);

    start(&c, true);
    if (g_str_equal(m->iotype, "flush")) {
        write_something(&c);
    }
    run_request(&c, false, o);
    if (!c.auto_moves) {
        g_assert_cmpuint(c.stops, ==, stops_of(c.plan));
    }
    g_assert_cmpint(o->result.data_status, ==, UHCI_DONE);
    g_assert_cmpuint(o->result.actual, ==, m->len);
    g_assert_cmpint(o->result.csw_status, ==, 0);
    g_assert_cmpuint(o->result.residue, ==, 0);
    g_assert_cmphex(o->sense, ==, 0);
    for (uint32_t i = 0; m->direction == BOT_IN && i < m->len; i++) {
        if (o->data[i] != qtest_image_byte(m->first + i, IMAGE_SEED)) {
            g_error("byte %u that the guest read is %02x", i, o->data[i]);
        }
    }
    check_disk(&c);
    check_once(&c);
    g_assert_false(qtest_had_event(c.q, "BLOCK_IO_ERROR"));
    qtest_end(c.q);
    g_free(c.image);
}

/* The guest is told of the error, or not, and the machine runs on; moved between any two parts it is told the same. */
static void test_goes_on(gconstpointer data)
{
    Case c = *(const Case *)data;
    const Meeting *m = c.meeting;
    g_autofree Outcome *home = g_new(Outcome, 1), *moved = g_new(Outcome, 1);
    g_autofree uint8_t *disk_home = NULL, *disk_moved = NULL;

    start(&c, true);
    run_request(&c, false, home);
    check_event(&c);
    qtest_end(c.q);
    disk_home = disk_content(&c);
    g_free(c.image);
    g_assert_cmpint(home->result.csw_status, ==, m->fails);
    g_assert_cmpint(home->sense != 0, ==, m->fails);

    start(&c, true);
    run_request(&c, true, moved);
    check_event(&c);
    g_assert_false(qtest_had_event(c.q, "BLOCK_IO_ERROR"));
    qtest_end(c.q);
    disk_moved = disk_content(&c);
    g_free(c.image);
    g_assert_cmpint(moved->result.data_status, ==, home->result.data_status);
    g_assert_cmpuint(moved->result.actual, ==, home->result.actual);
    g_assert_cmpint(moved->result.csw_status, ==, home->result.csw_status);
    g_assert_cmpuint(moved->result.residue, ==, home->result.residue);
    g_assert_cmphex(moved->sense, ==, home->sense);
    if (m->direction == BOT_IN) {
        g_assert_cmpmem(moved->data, moved->result.actual, home->data, home->result.actual);
    }
    g_assert_cmpmem(disk_moved, IMAGE_SIZE, disk_home, IMAGE_SIZE);
}

static void add(const char *group, const Meeting *m, const Setting *setting, const Plan *plan, GTestDataFunc func)
{
    Case *c = g_new0(Case, 1);
    g_autofree char *path = g_strdup_printf("/usb-storage-stop/%s/%s/%s/%s%s%s", group, setting->name, m->unit->name,
                                            m->name, plan ? "/" : "", plan ? plan->name : "");

    *c = (Case){ .meeting = m, .setting = setting, .plan = plan };
    g_test_add_data_func_full(path, c, func, g_free);
}

static bool can_be(const Meeting *m, const Setting *setting, const Plan *plan)
{
    bool auto_moves = g_getenv("QTEST_MOVE_EVERY") != NULL;

    if (auto_moves && setting->off) {
        return false; /* what an emulated request holds does not travel, so not every instant is one for a move */
    }
    if (auto_moves && plan && !g_str_equal(plan->name, "fails-there-too")) {
        return false; /* each plan becomes the same one: a new process at each command */
    }
    if (g_str_equal(m->iotype, "flush")) {
        /* A move flushes: it fails as long as flushes do, and there is nothing to flush behind it. */
        return !auto_moves && !plan->always && !plan->at_stop[1];
    }
    if (holds_data(m, setting)) {
        return !auto_moves && g_str_equal(plan->name, "stay");
    }
    /* The first setting has all plans, the others those that contain the rest. */
    return !plan || setting == settings || plan->at_stop[1] || strlen(plan->at_stop[0]) > 1;
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    for (size_t s = 0; s < G_N_ELEMENTS(settings); s++) {
        for (size_t i = 0; i < G_N_ELEMENTS(stops); i++) {
            for (size_t p = 0; p < G_N_ELEMENTS(plans); p++) {
                if (can_be(&stops[i], &settings[s], &plans[p])) {
                    add("stops", &stops[i], &settings[s], &plans[p], test_stop);
                }
            }
        }
    }
    for (size_t i = 0; i < G_N_ELEMENTS(goes_on); i++) {
        const Setting *setting = &settings[i % G_N_ELEMENTS(settings)];

        if (can_be(&goes_on[i], setting, NULL)) {
            add("goes-on", &goes_on[i], setting, NULL, test_goes_on);
        }
    }
    return g_test_run();
}
