/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Requests that move: every command, cut at every interesting place, saved and loaded into another
 * device in each form that a stream can have, gives the guest what it would have got at home.
 *
 *   FORM_ON     a source with migrate-emulated-scsi-request=on: the buffer travels
 *   FORM_OFF    a source with it off: nothing behind the lun
 *   FORM_STOCK  stock with it on: a payload of length 0
 */
#include "util/osdep.h"
#include "scsi-common.h"

#include "system/runstate.h"

typedef enum Form { FORM_ON, FORM_OFF, FORM_STOCK, FORMS } Form;

typedef struct Command {
    const char *name, *type, *cdb;
    uint32_t len; /* of the data phase */
    bool out;
    const char *data; /* hexadecimal, the rest is zeros; NULL: a pattern */
    bool consumes;    /* cannot be answered again */
    bool dma;         /* its chunk travels in all forms */
} Command;

static const Command commands[] = {
    { "inquiry", "scsi-cd", "120000002400", 36, false, NULL, false, false },
    { "inquiry-long", "scsi-cd", "12000000ff00", 255, false, NULL, false, false },
    { "vpd", "scsi-hd", "1201b000ff00", 255, false, NULL, false, false },
    { "read-capacity", "scsi-cd", "25000000000000000000", 8, false, NULL, false, false },
    { "read-capacity-16", "scsi-hd", "9e100000000000000000000000200000", 32, false, NULL, false,
      false },
    { "mode-sense", "scsi-cd", "5a003f00000000010000", 256, false, NULL, false, false },
    { "request-sense", "scsi-cd", "030000001200", 18, false, NULL, true, false },
    { "report-luns", "scsi-cd", "a00000000000000000400000", 16, false, NULL, false, false },
    { "read-toc", "scsi-cd", "43000000000000001400", 20, false, NULL, false, false },
    { "get-configuration", "scsi-cd", "46000000000000002800", 40, false, NULL, false, false },
    { "get-event-status", "scsi-cd", "4a010000100000000800", 8, false, NULL, false, false },
    { "read-disc-information", "scsi-cd", "51000000000000002200", 34, false, NULL, false, false },
    { "mechanism-status", "scsi-cd", "bd0000000000000000080000", 8, false, NULL, false, false },
    { "get-performance", "scsi-cd", "ac0000000000000000010000", 24, false, NULL, false, false },
    { "disc-structures", "scsi-cd", "ad000000000000ff00140000", 20, false, NULL, false, false },
    { "read", "scsi-cd", "28000000001000000300", 3 * 2048, false, NULL, false, true },
    { "read-chunks", "scsi-cd", "28000000001000009600", 150 * 2048, false, NULL, false, true },
    { "mode-select", "scsi-hd", "151000001800", 24, true, "000000000812", false, false },
    { "unmap", "scsi-hd", "42000000000000001800", 24, true,
      "001600100000000000000000000000070000000100000000", false, false },
    { "write-same", "scsi-hd", "93000000000000000010000000020000", 512, true, NULL, false, false },
    { "write", "scsi-hd", "2a000000001000000300", 3 * 512, true, NULL, false, true },
    { "write-chunks", "scsi-hd", "2a000000001000012c00", 300 * 512, true, NULL, false, true },
};

/* ---- two places ------------------------------------------------------------------------------ */

typedef struct Place {
    Hba *hba;
    ScsiDevice *dev;
} Place;

/* Both sides use one image, as with shared storage. */
static Place place_new(const char *type, bool carries)
{
    g_autofree char *props =
        g_strdup_printf("share-rw=on,drive=%s,migrate-emulated-scsi-request=%s",
                        strcmp(type, "scsi-cd") ? "disk" : "disc", carries ? "on" : "off");
    Place p = { .hba = hba_new() };
    p.dev = hba_plug(p.hba, type, props);
    p.dev->unit_attention = scsi_sense_none;
    return p;
}

static GBytes *place_save(Place *p)
{
    GError *error = NULL;
    VmWriter *w = vm_writer_new();
    vmstate_save(w, device_vmstate(&p->dev->device), p->dev, NULL, &error);
    g_assert_no_error(error);
    size_t len;
    const uint8_t *data = vm_writer_data(w, &len);
    GByteArray *bytes = g_byte_array_new();
    static const uint8_t footer[32] = { 0x7e, 0, 0, 0, 40, 0x04, 0, 0, 0, 41, 11 };
    g_byte_array_append(bytes, data, len);
    g_byte_array_append(bytes, footer, sizeof(footer));
    vm_writer_free(w);
    return g_byte_array_free_to_bytes(bytes);
}

static bool place_load(Place *p, const uint8_t *data, size_t len)
{
    VmReader *r = vm_reader_new_from_memory(data, len);
    g_autoptr(GError) error = NULL;
    bool ok = vmstate_load(r, device_vmstate(&p->dev->device), p->dev, 1, &error);
    g_assert_true(ok == !error);
    vm_reader_free(r);
    return ok;
}

static void place_free(Place *p)
{
    scsi_device_cancel_all(p->dev);
    hba_free(p->hba);
}

/* Loads what `from` has, at its position, into a new place. */
static Place place_move(Place *from, const char *type, bool carries)
{
    g_autoptr(GBytes) bytes = place_save(from);
    Place to = place_new(type, carries);
    size_t len;
    const uint8_t *data = g_bytes_get_data(bytes, &len);
    g_assert_true(place_load(&to, data, len));
    to.hba->pos = from->hba->pos;
    to.hba->total = from->hba->total;
    place_free(from);
    return to;
}

/* ---- one command ----------------------------------------------------------------------------- */

static uint8_t *data_of(const Command *c)
{
    uint8_t *data = g_malloc0(c->len + 1);
    if (c->out && c->data) {
        size_t n;
        g_autofree uint8_t *start = hex_bytes(c->data, &n);
        memcpy(data, start, n);
    } else if (c->out) {
        for (uint32_t i = 0; i < c->len; i++) {
            data[i] = i * 5 + i / 256 + 1;
        }
    }
    return data;
}

static void start(Place *p, const Command *c)
{
    size_t n;
    g_autofree uint8_t *cdb = hex_bytes(c->cdb, &n);
    hba_start(p->hba, p->dev, 0, cdb, n);
}

typedef struct Outcome {
    uint8_t *data;
    int status;
    ScsiSense sense;
    bool again;
} Outcome;

/* Runs c with a move after `cut` bytes; cut > len: no move. */
static Outcome run(const Command *c, uint32_t cut, Form form, bool dest_carries)
{
    Outcome o = { .data = data_of(c) };
    Place p = place_new(c->type, form == FORM_ON);
    start(&p, c);
    if (cut <= c->len) {
        hba_move(p.hba, o.data, cut, !c->out);
        if (form ==
            FORM_STOCK) { /* as it comes without, it goes on with the payload of a request that has none */
            p = place_move(&p, c->type, true);
        }
        p = place_move(&p, c->type, dest_carries);
        vm_start();
        while (p.hba->req && p.hba->req->state == SCSI_REQUEST_RUNNING) {
            main_loop_iterate(true);
        }
    } else {
        cut = 0;
    }
    if (p.hba->req) {
        hba_move(p.hba, o.data + cut, c->len - cut, !c->out);
        hba_end(p.hba);
    }
    o.status = p.hba->status;
    o.sense = p.hba->sense;
    o.again = p.hba->data_again;
    vm_stop(VM_PAUSED);
    place_free(&p);
    return o;
}

static bool lost(const Command *c, uint32_t cut, Form form)
{
    if (form == FORM_ON || c->dma) {
        return false;
    }
    return c->consumes || (c->out && cut > 0);
}

static void check(const Command *c, uint32_t cut, Form form, bool dest_carries, const Outcome *home)
{
    Outcome o = run(c, cut, form, dest_carries);
    if (lost(c, cut, form)) {
        g_assert_cmpint(o.status, ==, SCSI_CHECK_CONDITION);
        g_assert_cmpint(o.sense.key, ==, 0xb); /* ABORTED COMMAND: the guest repeats it */
    } else {
        g_assert_cmpint(o.status, ==, home->status);
        g_assert_cmpmem(o.data, c->len, home->data, c->len);
        g_assert_true(o.again == (form != FORM_ON && !c->dma));
    }
    g_free(o.data);
}

static void test_command(gconstpointer opaque)
{
    const Command *c = opaque;
    Outcome home = run(c, UINT32_MAX, FORM_ON, true);
    g_assert_cmpint(home.status, ==, SCSI_GOOD);
    uint32_t cuts[] = { 0, 1, c->len / 2, c->len - 1, 4096, 131072 - 64, 131072, 131072 + 64 };
    for (unsigned i = 0; i < G_N_ELEMENTS(cuts); i++) {
        if (cuts[i] >= c->len) {
            continue;
        }
        for (Form form = FORM_ON; form < FORMS; form++) {
            check(c, cuts[i], form, true, &home);
            check(c, cuts[i], form, false, &home);
        }
    }
    g_free(home.data);
}

/* ---- more than one move ---------------------------------------------------------------------- */

static void test_every_byte(void)
{
    const Command *c = &commands[1];
    Outcome home = run(c, UINT32_MAX, FORM_ON, true);
    g_autofree uint8_t *data = g_malloc0(c->len);
    Place p = place_new(c->type, true);
    start(&p, c);
    for (uint32_t i = 0; i < c->len; i++) {
        p = place_move(&p, c->type, true);
        vm_start();
        g_assert_cmpuint(hba_move(p.hba, data + i, 1, true), ==, 1);
        vm_stop(VM_PAUSED);
    }
    hba_end(p.hba);
    g_assert_cmpint(p.hba->status, ==, SCSI_GOOD);
    g_assert_cmpmem(data, c->len, home.data, c->len);
    place_free(&p);
    g_free(home.data);
}

/* A request that arrived without its buffer and moves on before the VM ran is still that. */
static void test_passing_through(void)
{
    const Command *c = &commands[0];
    Place p = place_new(c->type, false);
    start(&p, c);
    g_autofree uint8_t *data = data_of(c);
    hba_move(p.hba, data, 10, true);
    g_autoptr(GBytes) first = place_save(&p);
    p = place_move(&p, c->type, false);
    g_autoptr(GBytes) second = place_save(&p);
    g_assert_true(g_bytes_equal(first, second));
    place_free(&p);
}

/* ---- the quiesce stage ----------------------------------------------------------------------- */

static void test_quiesce(void)
{
    const Command *c = &commands[0];
    g_autoptr(GError) error = NULL;
    g_autofree uint8_t *data = data_of(c);
    for (unsigned carries = 0; carries < 2; carries++) {
        Place p = place_new(c->type, carries);
        start(&p, c);
        QuiesceResult result = quiesce_all(&error);
        if (carries) {
            g_assert_no_error(error);
            g_assert_cmpint(result, ==, QUIESCE_DONE);
            quiesce_resume_all();
        } else {
            g_assert_cmpint(result, ==, QUIESCE_BUSY);
            g_assert_nonnull(strstr(error->message, "request INQUIRY in flight"));
            g_clear_error(&error);
        }
        hba_move(p.hba, data, c->len, true);
        hba_end(p.hba);
        g_assert_cmpint(quiesce_all(&error), ==, QUIESCE_DONE);
        quiesce_resume_all();
        place_free(&p);
    }
}

/* ---- state that changed before the replay ---------------------------------------------------- */

static void test_medium_changed(void)
{
    const Command *c = &commands[3]; /* READ CAPACITY */
    Place p = place_new(c->type, false);
    start(&p, c);
    scsi_device_set_unit_attention(p.dev, scsi_sense_medium_changed);
    p = place_move(&p, c->type, true);
    vm_start();
    g_assert_true(p.hba->done);
    g_assert_cmpint(p.hba->status, ==, SCSI_CHECK_CONDITION);
    g_assert_true(scsi_sense_equal(p.hba->sense, scsi_sense_medium_changed));
    vm_stop(VM_PAUSED);
    place_free(&p);
}

/* An INQUIRY does not care, and the unit attention is still there after it. */
static void test_attention_waits(void)
{
    const Command *c = &commands[0];
    g_autofree uint8_t *data = data_of(c);
    Place p = place_new(c->type, false);
    start(&p, c);
    scsi_device_set_unit_attention(p.dev, scsi_sense_medium_changed);
    p = place_move(&p, c->type, true);
    vm_start();
    hba_move(p.hba, data, c->len, true);
    hba_end(p.hba);
    g_assert_cmpint(p.hba->status, ==, SCSI_GOOD);
    g_assert_true(scsi_sense_equal(p.dev->unit_attention, scsi_sense_medium_changed));
    vm_stop(VM_PAUSED);
    place_free(&p);
}

static void test_write_cache(void)
{
    static const Command off = { "",   "scsi-hd",      "151000001800", 24,
                                 true, "000000000812", false,          false };
    static const uint8_t sense[6] = { 0x1a, 8, 8, 0, 255 };
    g_autofree uint8_t *list = data_of(&off);
    uint8_t page[255] = { 0 };
    Place p = place_new("scsi-hd", true);
    start(&p, &off);
    hba_move(p.hba, list, off.len, false);
    hba_end(p.hba);
    g_assert_cmpint(p.hba->status, ==, SCSI_GOOD);
    p = place_move(&p, "scsi-hd", true);
    hba_start(p.hba, p.dev, 0, sense, sizeof(sense));
    hba_move(p.hba, page, sizeof(page), true);
    hba_end(p.hba);
    g_assert_cmphex(page[4], ==, 8);
    g_assert_cmphex(page[6] & 4, ==, 0);
    place_free(&p);
}

/* ---- damaged streams ------------------------------------------------------------------------- */

/* Loads bytes and lets the device do what it can with them: nothing may crash. */
static void load_and_run(const Command *c, const uint8_t *data, size_t len)
{
    Place p = place_new(c->type, true);
    g_autofree uint8_t *buf = g_malloc0(1 << 20);
    if (place_load(&p, data, len)) {
        vm_start();
        while (p.hba->req && p.hba->req->state == SCSI_REQUEST_RUNNING) {
            main_loop_iterate(true);
        }
        for (unsigned i = 0; i < 4 && p.hba->req; i++) {
            hba_move(p.hba, buf, 1 << 20, p.hba->req->direction == SCSI_FROM_DEVICE);
        }
        vm_stop(VM_PAUSED);
    }
    place_free(&p);
}

static void test_damaged(gconstpointer opaque)
{
    const Command *c = opaque;
    Place p = place_new(c->type, true);
    start(&p, c);
    g_autoptr(GBytes) bytes = place_save(&p);
    place_free(&p);
    size_t len;
    const uint8_t *data = g_bytes_get_data(bytes, &len);
    g_autofree uint8_t *copy = g_memdup2(data, len);
    size_t section = len - 32; /* without the footer */
    size_t head = MIN(section, 256);
    bool subsections = false;
    for (size_t i = 0; i < head; i++) {
        Place q = place_new(c->type, true);
        /* What ends before or in the head of a subsection is whole; in a stream its footer would be
         * missing. */
        bool whole = place_load(&q, data, i);
        g_assert_true(!whole || subsections || data[i] == 5);
        subsections |= whole;
        place_free(&q);
        for (unsigned bit = 0; bit < 8; bit++) {
            copy[i] ^= 1 << bit;
            load_and_run(c, copy, len);
            copy[i] ^= 1 << bit;
        }
    }
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    scsi_test_init();
    add_node("driver=null-co,node-name=disk,size=16777216,read-zeroes=on");
    add_node("driver=null-co,node-name=disc,size=2048000,read-zeroes=on,read-only=on");
    for (unsigned i = 0; i < G_N_ELEMENTS(commands); i++) {
        g_autofree char *move = g_strdup_printf("/scsi/move/%s", commands[i].name);
        g_autofree char *damage = g_strdup_printf("/scsi/damaged/%s", commands[i].name);
        g_test_add_data_func(move, &commands[i], test_command);
        g_test_add_data_func(damage, &commands[i], test_damaged);
    }
    g_test_add_func("/scsi/move/every-byte", test_every_byte);
    g_test_add_func("/scsi/move/passing-through", test_passing_through);
    g_test_add_func("/scsi/move/write-cache", test_write_cache);
    g_test_add_func("/scsi/replay/medium-changed", test_medium_changed);
    g_test_add_func("/scsi/replay/attention-waits", test_attention_waits);
    g_test_add_func("/scsi/quiesce/busy-by-name", test_quiesce);
    return g_test_run();
}
