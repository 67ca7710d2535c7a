/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The table of docs/devel/quiesce.md, run: each back end with a read, a write, a flush and a control request in flight, while
 * the machine moves, a migration is cancelled at switchover, or fails. The outcome is the one of the table, the data are right
 * where the guest goes on, and who stays busy or fails is named.
 *
 * Block I/O is in flight behind a gate (slow-io), which opens when the machine has stopped. Guest memory is read-only after quiesce (x-guard-pages, on by
 * default): a back end that writes then dies. That the source finished a request, rather than the destination, is seen in the
 * destination's block statistics.
 */
#include "util/osdep.h"
#include "quiesce-rig.h"
#include "../vhost-user/backend.h"

#include <fcntl.h>
#include <unistd.h>

#define IMAGE_SIZE 1474560 /* a floppy's, too */
#define SEED 31
#define PATIENCE_MS 60000

#define I440FX "-machine pc -m 16 "
#define POLICY ",rerror=stop,werror=stop"
#define UHCI "-device piix3-usb-uhci,id=usb,addr=01.2 "
#define CARD ",netdev=n,addr=4,romfile=,mac=52:54:00:12:34:56"
#define STORED                         \
    {                                  \
        FINISH, FINISH, FINISH, FINISH \
    }
#define RWF (1 << QUIESCE_READ | 1 << QUIESCE_WRITE | 1 << QUIESCE_FLUSH)

const QuiesceRow quiesce_rows[] = {
    { "ide-hd",
      I440FX "-device ide-hd,drive=disk,bus=ide.0,unit=0" POLICY,
      quiesce_ide_attach,
      quiesce_ide_run,
      { FINISH, FINISH, FINISH, CARRY },
      RWF },
    { "ide-cd",
      I440FX "-device ide-cd,drive=disk,bus=ide.0,unit=0" POLICY,
      quiesce_ide_attach,
      quiesce_ide_run,
      { FINISH, NOT_THERE, NOT_THERE, CARRY },
      1 << QUIESCE_READ,
      .cd = true },
    { "ahci", "-machine q35 -m 16 -device ide-hd,drive=disk,bus=ide.0" POLICY, quiesce_ahci_attach,
      quiesce_ahci_run, STORED, RWF },
    { "ahci-ncq", "-machine q35 -m 16 -device ide-hd,drive=disk,bus=ide.0" POLICY,
      quiesce_ahci_attach, quiesce_ahci_run, STORED, RWF, .ncq = true },
    { "floppy",
      I440FX "-device floppy,drive=disk",
      quiesce_fdc_attach,
      quiesce_fdc_run,
      { PARK, FINISH, NOT_THERE, CARRY },
      .by_sectors = true },
    { "usb-storage",
      I440FX UHCI "-device usb-storage,bus=usb.0,port=2,drive=disk" POLICY,
      quiesce_usb_attach,
      quiesce_usb_run,
      { FINISH, FINISH, FINISH, CARRY },
      RWF },
    { "usb-bot",
      I440FX UHCI
      "-device usb-bot,id=bot,bus=usb.0,port=2 -device scsi-hd,bus=bot.0,drive=disk" POLICY,
      quiesce_usb_attach,
      quiesce_usb_run,
      { FINISH, FINISH, FINISH, CARRY },
      RWF },
    { "usb-bot-answers-not-carried",
      I440FX UHCI "-device usb-bot,id=bot,bus=usb.0,port=2 "
                  "-device scsi-hd,bus=bot.0,drive=disk,migrate-emulated-scsi-request=off",
      quiesce_usb_attach,
      quiesce_usb_run,
      { NOT_THERE, NOT_THERE, NOT_THERE, BUSY },
      .says = "the guest has not fetched the answer yet" },
    { "usb-transfer",
      I440FX UHCI "-device usb-storage,bus=usb.0,port=2,drive=disk",
      quiesce_usb_attach,
      quiesce_usb_transfer,
      { NOT_THERE, NOT_THERE, NOT_THERE, CARRY } },
    { "usb-transfer-not-carried",
      I440FX UHCI "-device usb-storage,bus=usb.0,port=2,drive=disk,x-carry-transfers=off",
      quiesce_usb_attach,
      quiesce_usb_transfer,
      { NOT_THERE, NOT_THERE, NOT_THERE, BUSY },
      .says =
          "usb-bus: usb-storage on port 2 of bus usb.0 has a control transfer in its data stage" },
    { "virtio-blk", I440FX "-device virtio-blk-pci,addr=4,drive=disk,serial=a-serial" POLICY,
      quiesce_blk_attach, quiesce_blk_run, STORED, RWF },
    { "virtio-blk-iothread",
      I440FX "-object iothread,id=io0 "
             "-device virtio-blk-pci,addr=4,iothread=io0,drive=disk,serial=a-serial" POLICY,
      quiesce_blk_attach, quiesce_blk_run, STORED, RWF },
    { "virtio-scsi",
      I440FX "-device virtio-scsi-pci,addr=4,id=s -device scsi-hd,bus=s.0,drive=disk" POLICY,
      quiesce_scsi_attach, quiesce_scsi_run, STORED, RWF },
    { "xen-disk",
      I440FX "-device x-xen-host -device xen-disk,drive=disk,vdev=xvda",
      quiesce_xen_attach,
      quiesce_xen_run,
      { FINISH, FINISH, FINISH, CARRY } },
    { "xen-disk-not-taken",
      I440FX "-device x-xen-host -device xen-disk,drive=disk,vdev=xvda",
      quiesce_xen_attach,
      quiesce_xen_run,
      { PARK, NOT_THERE, NOT_THERE, NOT_THERE },
      .behind = true },
    { "xen-disk-late",
      I440FX "-device x-xen-host -device xen-disk,drive=disk,vdev=xvda,x-late-ms=1500",
      quiesce_xen_attach,
      quiesce_xen_run,
      { BUSY, BUSY, BUSY, NOT_THERE },
      .says = "xen-disk: xen-disk xvda: a completion is on its way" },
    { "virtio-net",
      I440FX "-device virtio-net-pci" CARD,
      quiesce_net_attach,
      quiesce_net_run,
      { FINISH, FINISH, NOT_THERE, FINISH } },
    { "e1000",
      I440FX "-device e1000" CARD,
      quiesce_e1000_attach,
      quiesce_e1000_run,
      { FINISH, FINISH, NOT_THERE, NOT_THERE } },
};
const size_t quiesce_row_count = G_N_ELEMENTS(quiesce_rows);

static const char *const op_names[] = { "read", "write", "flush", "control" };

/* ---- the gates: of reads and writes, and of flushes ----------------------------------------------------------------------- */

static char *gates[2];

static void shut_gate(QuiesceOp op)
{
    if (op != QUIESCE_CONTROL) {
        int fd = open(gates[op == QUIESCE_FLUSH], O_CREAT | O_WRONLY | O_CLOEXEC, 0600);

        g_assert_cmpint(fd, >=, 0);
        close(fd);
    }
}

static void open_gates(void)
{
    unlink(gates[0]);
    unlink(gates[1]);
}

static QuiesceRig *current;

/* The disk answers when the machine has stopped, and not before. Peers do not know about it at all. */
static void open_gates_when_stopped(const char *state)
{
    if (!g_str_equal(state, "running")) {
        open_gates();
        if (current->while_stopped) {
            current->while_stopped(current);
        }
    }
}

static void prepare_gates(void)
{
    gates[0] = g_build_filename(qtest_dir(), "gate", NULL);
    gates[1] = g_strconcat(gates[0], ".sync", NULL);
    g_setenv("SLOW_IO_GATE", gates[0], true);
    qtest_allow_preload();
    g_setenv("LD_PRELOAD", g_getenv("QTEST_SLOW_IO"), true);
}

/* ---- situations ------------------------------------------------------------------------------------------------------------- */

void quiesce_happens(QuiesceRig *r)
{
    void (*situation)(QuiesceRig * r) = r->situation;

    current = r;
    r->situation = NULL;
    if (situation) {
        situation(r);
    }
}

static void migrate(QuiesceRig *r, const char *uri)
{
    qtest_qmp_ok(r->q, "{'execute': 'migrate', 'arguments': {'uri': '%s'}}", uri);
}

/* What query-migrate says when the migration has come so far; json_object_put() it. */
static json_object *wait_migration(QuiesceRig *r, const char *wanted)
{
    for (unsigned i = 0; i < PATIENCE_MS; i++) {
        json_object *run = qtest_qmp_return(r->q, "{'execute': 'query-status'}");
        json_object *info = qtest_qmp_return(r->q, "{'execute': 'query-migrate'}");
        const char *status = qtest_json_string(info, "status");

        open_gates_when_stopped(qtest_json_string(run, "status"));
        json_object_put(run);
        if (g_str_equal(status, wanted)) {
            return info;
        }
        if (g_str_equal(status, "completed") || g_str_equal(status, "failed")) {
            g_error("%s: the migration is %s", r->row->name, json_object_to_json_string(info));
        }
        json_object_put(info);
        g_usleep(1000);
    }
    g_error("%s: the migration is never %s", r->row->name, wanted);
}

static void pause_before_switchover(QuiesceRig *r, bool on)
{
    qtest_qmp_ok(r->q,
                 "{'execute': 'migrate-set-capabilities', 'arguments': {'capabilities': "
                 "[{'capability': 'pause-before-switchover', 'state': %s}]}}",
                 on ? "true" : "false");
}

static void moved(QuiesceRig *r)
{
    qtest_on_move_wait(r->q, open_gates_when_stopped);
    qtest_move(r->q);
}

static void cancelled(QuiesceRig *r)
{
    pause_before_switchover(r, true);
    migrate(r, "exec:cat >/dev/null");
    json_object_put(wait_migration(r, "pre-switchover"));
    qtest_qmp_ok(r->q, "{'execute': 'migrate_cancel'}");
    json_object_put(wait_migration(r, "cancelled"));
    qtest_wait_status(r->q, "running");
    pause_before_switchover(r, false);
}

static void expect_failure(QuiesceRig *r, const char *says)
{
    json_object *info = wait_migration(r, "failed");

    if (!strstr(qtest_json_string(info, "error-desc"), says)) {
        g_error("%s: '%s' does not contain '%s'", r->row->name,
                qtest_json_string(info, "error-desc"), says);
    }
    json_object_put(info);
    qtest_wait_status(r->q, "running");
}

/* The peer takes the whole stream and says that it is of no use: everything has been quiesced by then. */
static void failed(QuiesceRig *r)
{
    while (qtest_had_event(r->q, "STOP")) {
    }
    migrate(r, "exec:cat >/dev/null; false");
    expect_failure(r, "exit status 1");
    g_assert_true(qtest_had_event(r->q, "STOP"));
}

/* Busy, or failing: the migration ends with the name of who it was, and the machine goes on here. */
static void refused(QuiesceRig *r)
{
    qtest_qmp_ok(r->q, "{'execute': 'migrate-set-parameters', 'arguments': "
                       "{'x-quiesce-timeout': 40}}");
    migrate(r, "exec:cat >/dev/null");
    expect_failure(r, r->row->says);
}

/* The disk's error has stopped the machine: the request goes along and is done where the disk is good. */
static void parked(QuiesceRig *r)
{
    json_object_put(qtest_wait_event(r->q, "BLOCK_IO_ERROR"));
    qtest_wait_status(r->q, "io-error");
    qtest_move(r->q);
    qtest_qmp_ok(r->q, "{'execute': 'cont'}");
}

/* ---- a machine -------------------------------------------------------------------------------------------------------------- */

static char *args_of(const QuiesceRow *row, const char *image, const char *inject)
{
    return g_strdup_printf("-blockdev driver=file,filename=%s,node-name=f0,read-only=%s "
                           "-blockdev driver=blkdebug,image=f0,node-name=disk,read-only=%s%s %s",
                           image, row->cd ? "on" : "off", row->cd ? "on" : "off", inject,
                           row->args);
}

static void start(QuiesceRig *r, const QuiesceRow *row, const char *inject)
{
    g_autofree char *file = g_strdup_printf("%s.slow", row->name), *args = NULL, *good = NULL;

    *r = (QuiesceRig){ .row = row, .image = qtest_image(file, IMAGE_SIZE, SEED) };
    if (strstr(row->args, "netdev=n")) {
        g_autofree char *option = NULL;

        r->wire = wire_new();
        option = wire_option(r->wire, "n");
        good = g_strdup_printf("%s %s", option, row->args);
    } else {
        good = args_of(row, r->image, "");
    }
    args = *inject ? args_of(row, r->image, inject) : g_strdup(good);
    r->q = qtest_start("%s", args);
    qtest_set_moving(r->q, false); /* each request stands for one point */
    qtest_set_args(r->q, "%s", good);
    if (r->wire) {
        wire_attach(r->wire, r->q);
    }
    row->attach(r);
}

static void end(QuiesceRig *r)
{
    qtest_end(r->q);
    if (r->wire) {
        wire_free(r->wire);
    }
}

/* Requests of this kind that the disks of the process that runs now have done. */
static int64_t done_here(QuiesceRig *r, QuiesceOp op)
{
    static const char *const counters[] = { "stats.rd_operations", "stats.wr_operations",
                                            "stats.flush_operations" };
    json_object *list = qtest_qmp_return(r->q, "{'execute': 'query-blockstats'}");
    int64_t sum = 0;

    for (size_t i = 0; op != QUIESCE_CONTROL && i < json_object_array_length(list); i++) {
        sum += qtest_json_int(json_object_array_get_idx(list, i), counters[op]);
    }
    json_object_put(list);
    return sum;
}

static void fill(QuiesceRig *r, QuiesceOp op, uint32_t seed)
{
    for (size_t i = 0; i < sizeof(r->data); i++) {
        r->data[i] = op == QUIESCE_WRITE ? qtest_image_byte(i, seed) : 0xa5;
    }
}

static void check_file(const QuiesceRig *r, uint32_t seed)
{
    uint8_t got[QUIESCE_LENGTH];
    int fd = open(r->image, O_RDONLY | O_CLOEXEC);

    g_assert_cmpint(pread(fd, got, sizeof(got), QUIESCE_WRITE_AT * QUIESCE_SECTOR), ==,
                    sizeof(got));
    close(fd);
    for (size_t i = 0; i < sizeof(got); i++) {
        if (got[i] != qtest_image_byte(i, seed)) {
            g_error("%s: byte %zu that was written is %02x", r->row->name, i, got[i]);
        }
    }
}

static void check_data(const QuiesceRig *r, QuiesceOp op, uint32_t seed, const uint8_t *reference)
{
    if (r->wire) {
        return; /* packets are checked where they come */
    }
    if (op == QUIESCE_WRITE) {
        check_file(r, seed);
    } else if (op == QUIESCE_CONTROL) {
        g_assert_cmpmem(r->data, sizeof(r->data), reference, sizeof(r->data));
    }
    for (size_t i = 0; op == QUIESCE_READ && i < sizeof(r->data); i++) {
        if (r->data[i] != qtest_image_byte(QUIESCE_READ_AT * QUIESCE_SECTOR + i, SEED)) {
            g_error("%s: byte %zu that was read is %02x", r->row->name, i, r->data[i]);
        }
    }
}

/* ---- cells -------------------------------------------------------------------------------------------------------------------- */

/* One request with something that happens meanwhile. */
static void one(QuiesceRig *r, QuiesceOp op, void (*situation)(QuiesceRig *r), bool gated)
{
    static uint32_t seed = 100;
    uint8_t reference[QUIESCE_LENGTH];

    if (op == QUIESCE_FLUSH) { /* something to flush */
        fill(r, QUIESCE_WRITE, ++seed);
        r->row->run(r, QUIESCE_WRITE);
    } else if (op == QUIESCE_CONTROL) { /* undisturbed, to compare */
        fill(r, op, 0);
        r->row->run(r, op);
        memcpy(reference, r->data, sizeof(reference));
    }
    fill(r, op, ++seed);
    if (gated && !r->wire) {
        shut_gate(op);
    }
    r->situation = situation;
    r->row->run(r, op);
    g_assert_null(r->situation);
    check_data(r, op, seed, reference);
}

typedef struct Cell {
    const QuiesceRow *row;
    QuiesceOp op;
} Cell;

static void test_cell(gconstpointer opaque)
{
    const Cell *cell = opaque;
    Outcome outcome = cell->row->outcome[cell->op];
    QuiesceRig r;

    start(&r, cell->row, "");
    if (outcome == BUSY) {
        one(&r, cell->op, refused, true);
        qtest_move(r.q); /* nothing is in flight any more */
        one(&r, cell->op, NULL, false);
    } else {
        one(&r, cell->op, cancelled, true);
        one(&r, cell->op, failed, true);
        one(&r, cell->op, moved, true);
        /* The source has done it, or else the destination has; of many sectors perhaps each some. */
        if (!r.wire && !(cell->row->by_sectors && cell->op == QUIESCE_WRITE)) {
            g_assert_cmpint(done_here(&r, cell->op) > 0, ==, outcome == PARK);
        }
    }
    end(&r);
}

static void test_parked(gconstpointer opaque)
{
    const Cell *cell = opaque;
    g_autofree char *inject = NULL;
    QuiesceRig r;

    inject = g_strdup_printf(
        ",inject-error.0.event=none,inject-error.0.iotype=%s,inject-error.0.errno=5,"
        "inject-error.0.once=on,inject-error.0.sector=%d",
        op_names[cell->op],
        cell->op == QUIESCE_READ    ? QUIESCE_READ_AT + 1
        : cell->op == QUIESCE_WRITE ? QUIESCE_WRITE_AT + 1
                                    : -1);
    start(&r, cell->row, inject);
    one(&r, cell->op, parked, false);
    g_assert_cmpint(done_here(&r, cell->op), >=, 1); /* the destination has done it */
    one(&r, cell->op, moved, true);
    end(&r);
}

/* ---- vhost-user: the requests are a back end's, in this process ----------------------------------------------------------- */

static const QuiesceRow vhost_row = {
    "vhost-user-blk",
    NULL,
    quiesce_blk_attach,
    quiesce_blk_run,
    { FINISH, FINISH, FINISH, FINISH },
    .says = "vhost-user",
};

/* The back end holds one request: it ends it when its ring is stopped. */
static void vhost_machine(QuiesceRig *r, Backend **b, QuiesceOp op, const BackendRule *rule,
                          void (*situation)(QuiesceRig *r))
{
    g_autofree char *path = g_build_filename(qtest_dir(), "vu", NULL);
    BackendOptions o = { .path = path,
                         .personality = BACKEND_BLK,
                         .queues = 1,
                         .hold = 1,
                         .image_size = IMAGE_SIZE / 4096 * 4096,
                         .protocol = BACKEND_ALL_PROTOCOL };
    GError *error = NULL;

    *b = backend_new(&o, &error);
    g_assert_no_error(error);
    for (size_t i = 0; i < o.image_size; i++) {
        backend_image(*b)[i] = qtest_image_byte(i, SEED);
    }
    if (rule) {
        backend_add_rule(*b, rule->request, rule->nth, rule->action, rule->arg);
    }
    *r = (QuiesceRig){ .row = &vhost_row };
    r->q = qtest_start("-machine pc,memory-backend=m0 -m 16 "
                       "-object memory-backend-memfd,id=m0,size=16M,share=on "
                       "-chardev socket,id=c0,path=%s "
                       "-device vhost-user-blk-pci,addr=4,chardev=c0,num-queues=1",
                       path);
    qtest_set_moving(r->q, false);
    quiesce_blk_attach(r);
    fill(r, op, 7);
    r->situation = situation;
}

static Backend *vhost_backend;
static void (*vhost_situation)(QuiesceRig *r);

/* The back end has taken the request: a kick that it has not seen yet would be another case. */
static void vhost_taken(QuiesceRig *r)
{
    BackendCounts counts;

    do {
        g_usleep(500);
        backend_get_counts(vhost_backend, &counts);
    } while (!counts.held);
    current = r;
    vhost_situation(r);
}

static void test_vhost(gconstpointer opaque)
{
    static void (*const situations[])(QuiesceRig *) = { cancelled, failed, moved };
    QuiesceOp op = GPOINTER_TO_UINT(opaque);

    for (unsigned s = 0; s < G_N_ELEMENTS(situations); s++) {
        BackendCounts counts;
        QuiesceRig r;
        Backend *b;

        vhost_machine(&r, &b, op, NULL, vhost_taken);
        vhost_backend = b;
        vhost_situation = situations[s];
        quiesce_blk_run(&r, op);
        for (size_t i = 0; op <= QUIESCE_WRITE && i < sizeof(r.data); i++) {
            bool read = op == QUIESCE_READ;
            size_t at = QUIESCE_SECTOR * (read ? QUIESCE_READ_AT : QUIESCE_WRITE_AT) + i;

            g_assert_cmphex(read ? r.data[i] : backend_image(b)[at], ==,
                            read ? qtest_image_byte(at, SEED) : qtest_image_byte(i, 7));
        }
        end(&r);
        backend_get_counts(b, &counts);
        g_assert_cmpuint(counts.lost, ==, 0);
        backend_free(b);
    }
}

/* It goes away when it is asked to stop, with a request in its hands: named, and nothing has left. */
static void test_vhost_fails(void)
{
    static const BackendRule rule = { VHOST_USER_GET_VRING_BASE, 1, BACKEND_CLOSE, 0 };
    VirtioBuf bufs[3] = { { 0x400000, 16, false }, { 0x401000, 512, true }, { 0x400800, 1, true } };
    QuiesceRig r;
    Backend *b;

    vhost_machine(&r, &b, QUIESCE_READ, &rule, NULL);
    qtest_memset(r.q, 0x400000, 0, 16);
    virtio_queue_add(&r.vq[0], bufs, 3);
    virtio_queue_kick(&r.vq[0]);
    vhost_backend = b;
    vhost_situation = refused;
    vhost_taken(&r);
    end(&r);
    backend_free(b);
}

/* ---- page sums: a peer that writes guest memory when nobody looks any more ------------------------------------------------------- */

#define LATE_PAGE 0x600000

/* One for each page. */
static GArray *page_sums(QTest *q)
{
    g_autofree char *path = g_build_filename(qtest_dir(), "pages", NULL), *data = NULL;
    GArray *sums = g_array_new(false, false, sizeof(uint64_t));
    gsize len;

    qtest_qmp_ok(q, "{'execute': 'pmemsave', 'arguments': {'val': 0, 'size': %u, 'filename': '%s'}}", 16u << 20, path);
    g_assert_true(g_file_get_contents(path, &data, &len, NULL));
    g_assert_cmpuint(len, ==, 16 << 20);
    for (gsize at = 0; at < len; at += 4096) {
        uint64_t sum = UINT64_C(0xcbf29ce484222325); /* FNV-1a */

        for (unsigned i = 0; i < 4096; i++) {
            sum = (sum ^ (uint8_t)data[at + i]) * UINT64_C(0x100000001b3);
        }
        g_array_append_val(sums, sum);
    }
    unlink(path);
    return sums;
}

/* How many pages differ; the address of the last one. */
static unsigned differences(QTest *a, QTest *b, uint64_t *last)
{
    g_autoptr(GArray) here = page_sums(a), there = page_sums(b);
    unsigned n = 0;

    for (guint i = 0; i < here->len; i++) {
        if (g_array_index(here, uint64_t, i) != g_array_index(there, uint64_t, i)) {
            *last = i * UINT64_C(4096);
            n++;
        }
    }
    return n;
}

/*
 * The source has stopped, the destination has everything and does not run yet: each page is the same on both sides. The dirty log is
 * no help against a peer that does not write it.
 */
static void test_page_sums(gconstpointer opaque)
{
    bool late = GPOINTER_TO_UINT(opaque);
    g_autofree char *vu = g_build_filename(qtest_dir(), "vu", NULL), *path = g_build_filename(qtest_dir(), "m", NULL);
    g_autofree char *uri = g_strconcat("unix:", path, NULL);
    g_autofree char *args = g_strdup_printf("-machine pc,memory-backend=m0 -m 16 "
                                            "-object memory-backend-memfd,id=m0,size=16M,share=on "
                                            "-chardev socket,id=c0,path=%s "
                                            "-device vhost-user-blk-pci,addr=4,chardev=c0,num-queues=1",
                                            vu);
    BackendOptions o = { .path = vu, .personality = BACKEND_BLK, .queues = 1, .image_size = IMAGE_SIZE / 4096 * 4096,
                         .protocol = BACKEND_ALL_PROTOCOL, .late_page = late ? LATE_PAGE : 0 };
    QuiesceRig r = { .row = &vhost_row };
    GError *error = NULL;
    Backend *backend = backend_new(&o, &error);
    uint64_t at = 0;

    g_assert_no_error(error);
    r.q = qtest_start("%s", args);
    qtest_set_moving(r.q, false);
    qtest_memset(r.q, 0x500000, 0x77, 0x200000);
    quiesce_blk_attach(&r);
    quiesce_blk_run(&r, QUIESCE_READ);
    QTest *b = qtest_start("%s -S -incoming unix:%s", args, path);
    qtest_set_moving(b, false);
    migrate(&r, uri);
    json_object_put(wait_migration(&r, "completed"));
    qtest_wait_status(b, "paused");
    for (unsigned i = 0; late && qtest_readb(r.q, LATE_PAGE) != 0x1a; i++) {
        g_assert_cmpuint(i, <, PATIENCE_MS);
        g_usleep(1000);
    }
    g_assert_cmpuint(differences(r.q, b, &at), ==, late);
    g_assert_cmphex(at, ==, late ? LATE_PAGE : 0);
    qtest_end(b);
    qtest_end(r.q);
    backend_free(backend);
}

/* ---- the table ---------------------------------------------------------------------------------------------------------------- */

static void add_row(const QuiesceRow *row)
{
    for (QuiesceOp op = 0; op < QUIESCE_OPS; op++) {
        static const char *const words[] = { "", "finish", "park", "carry", "busy", "fail" };
        Cell *cell = g_new(Cell, 1); /* as long as the program */
        g_autofree char *path =
            g_strdup_printf("/quiesce/%s/%s/%s", row->name, op_names[op], words[row->outcome[op]]);
        g_autofree char *parks = g_strdup_printf("/quiesce/%s/%s/park", row->name, op_names[op]);

        *cell = (Cell){ row, op };
        if (row->outcome[op] != NOT_THERE) {
            g_test_add_data_func_full(path, cell, test_cell, g_free);
        } else {
            g_free(cell);
        }
        if (row->parks >> op & 1) {
            cell = g_new(Cell, 1);
            *cell = (Cell){ row, op };
            g_test_add_data_func_full(parks, cell, test_parked, g_free);
        }
    }
}

int main(int argc, char **argv)
{
    int status;

    g_test_init(&argc, &argv, NULL);
    if (!g_getenv("QTEST_SLOW_IO")) {
        g_printerr("QTEST_SLOW_IO is not set: name the library slow-io\n");
        return 1;
    }
    if (g_getenv("QTEST_MOVE_EVERY")) {
        return g_test_run(); /* it moves by itself, in the same way each time */
    }
    prepare_gates();
    for (size_t i = 0; i < quiesce_row_count; i++) {
        add_row(&quiesce_rows[i]);
    }
    g_test_add_data_func("/quiesce/vhost-user-blk/read/finish", GUINT_TO_POINTER(QUIESCE_READ),
                         test_vhost);
    g_test_add_data_func("/quiesce/vhost-user-blk/write/finish", GUINT_TO_POINTER(QUIESCE_WRITE),
                         test_vhost);
    g_test_add_data_func("/quiesce/vhost-user-blk/flush/finish", GUINT_TO_POINTER(QUIESCE_FLUSH), test_vhost);
    g_test_add_data_func("/quiesce/vhost-user-blk/control/finish",
                         GUINT_TO_POINTER(QUIESCE_CONTROL), test_vhost);
    g_test_add_data_func("/quiesce/page-sums/vhost-user-blk", GUINT_TO_POINTER(false), test_page_sums);
    g_test_add_data_func("/quiesce/page-sums/vhost-user-blk-writes-late", GUINT_TO_POINTER(true), test_page_sums);
    g_test_add_func("/quiesce/vhost-user-blk/read/fail", test_vhost_fails);
    status = g_test_run();
    g_free(gates[0]);
    g_free(gates[1]);
    return status;
}
