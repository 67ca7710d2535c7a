/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The contract of every device type and of every section of saved state, whoever registers it:
 *
 * C1  A concrete type says how it migrates, and says it itself or by a parent that has a section.
 * C2  Every type is in the machine of this test, or an excuse says why it cannot be.
 * C3  save → load → save gives the same bytes, after a reset, too, and the description covers them.
 * C4  Each value is there: a change of its bytes is refused, or it arrives and is saved again. What is taken and
 *     then dropped in silence is an error, unless `dropped` has a reason.
 * C5  Whatever was loaded in between, loading the first bytes gives the first bytes.
 * C6  A section that is cut short, or has flipped bits, is refused or gives a defined state: one that saves, loads
 *     and runs.
 * C7  A subsection that the idle device does not send is tried with bytes made from its description; one that nobody
 *     could make needed has a reason in `unmade`.
 *
 * A new device needs no line here, unless one of C2, C4, C7 asks for a reason.
 */
#include "util/osdep.h"
#include "contract.h"

#include "hw/core/machine.h"
#include "hw/scsi/scsi.h"

#include "util/error.h"

#define MOST_FLIPS 20000      /* single bits of one section; larger ones are sampled */
#define MOST_CUTS 2000
#define ALL_OF_ARRAY 300
#define EVERY_OF_ARRAY 997
#define SCRAMBLED_STREAMS 250 /* with several bytes changed */
#define MOST_BYTES (6u << 20) /* loaded for each of these three */
#define MOST_BYTES_LONG (24u << 20)
#define MAKE_TRIES 60         /* of bytes for a subsection */
#define MOST_COMPLAINTS 20    /* told about one section */

/* C4: section (or description), path (a pattern), reason. */
static const struct {
    const char *section, *path, *why;
} dropped[] = {
    { "PCIBUS", "irq_count[*]", "follows from the levels of the devices' pins, which have sections of their own" },
    { "PIIX3", "pci_irq_levels_vmstate[*]", "follows from the levels of the devices' pins" },
    { "apic", "count_shift", "follows from the divide configuration" },
    { "apic", "next_time", "follows from the initial count and when it was loaded" },
    { "apic", "timer_expiry", "follows from the initial count and when it was loaded" },
    { "cpu", "env.hflags", "follows from other registers, but for a few bits" },
    { "ide", "bmdma[*].migration_compat_status", "its bits 3 to 6 follow from the channel's error_status" },
    { "ide", "bmdma[*].migration_retry_*", "follows from the channel's error_status, if there is one" },
    { "ICH9LPC", "sci_level", "follows from the events and their enable bits" },
    { "ICH9LPC", "pm.acpi_regs.tmr.timer", "follows from the overflow time and whether its event is enabled" },
    { "piix4_pm", "ar.tmr.timer", "follows from the overflow time and whether its event is enabled" },
    { "cpu", "env.hflags", "follows from the control registers and the segments" },
    { "e1000", "rxbuf_*", "follows from RCTL" },
    { "e1000", "mac_reg[*", "stands again in e1000/full_mac_state" },
    { "e1000", "(e1000/mit_state).mac_reg[*", "stands again in e1000/full_mac_state" },
    { "i8254", "channels[0].next_transition_time", "stands in the section twice, the last one counts" },
    { NULL, NULL, NULL },
};

/* C7. */
static const struct {
    const char *subsection, *until, *why; /* until: of the machines up to this version; NULL: of all */
} unmade[] = {
    { "scsi-disk/answers", "9.0", "these versions do not send it: migrate-emulated-scsi-request=off" },
    { "ide_drive/pio_state", NULL, "128 KiB that must fit the command under way: ide-move-test has it" },
    { "ide_drive/atapi_read", NULL, "comes with ide_drive/pio_state: ide-move-test has it" },
    { NULL, NULL, NULL },
};

#define ZEROS(n) ZEROS_##n
#define ZEROS_8 "0000000000000000"
#define ZEROS_16 ZEROS_8 ZEROS_8
#define ZEROS_32 ZEROS_16 ZEROS_16
#define ZEROS_128 ZEROS_32 ZEROS_32 ZEROS_32 ZEROS_32
#define ZEROS_256 ZEROS_128 ZEROS_128
#define ZEROS_512 ZEROS_256 ZEROS_256

/* Counts that the board knows on both sides, and that no stream has. */
static const struct {
    const char *vmsd, *field;
} fixed_counts[] = {
    { "CPU hotplug state", "devs" }, /* of possible processors */
};

static bool is_fixed_count(const VmState *vmsd, const VmField *field)
{
    for (unsigned i = 0; i < G_N_ELEMENTS(fixed_counts); i++) {
        if (!strcmp(fixed_counts[i].vmsd, vmsd->name) && !strcmp(fixed_counts[i].field, field->name)) {
            return true;
        }
    }
    return false;
}

#define VHOST_ZEROS "00000000000000000000000000000000"
#define VHOST_INFLIGHT                                                                                               \
    "0001" "0001" "00000040" "0000000000000000" "0100" "0100" "0000" "0000" "01000000000000000000000000000000" \
    VHOST_ZEROS VHOST_ZEROS

/* C7: contents for subsections that would refuse made-up ones, and what other values (by the end of their path) must be
 * for them to make sense. */
static const struct {
    const char *subsection, *hex, *others;
} contents[] = {
    /* selector, command, the one processor: inserting, removing, _OST's event and status */
    { "piix4_pm/cpuhp", "00000000" "03" "01" "00" "00000103" "00000001", "" },
    { "ich9_pm/cpuhp", "00000000" "03" "01" "00" "00000103" "00000001", "" },
    { "pflash_cfi01_blk_write", ZEROS(256) "00001000", "wcycle=02 cmd=e8" },
    { "pflash_cfi01/erase", "01", "wcycle=01 cmd=20" },
    /* one queue of one descriptor, which is in flight: "Inflight I/O tracking" of the vhost-user protocol */
    { "vhost-user-blk/inflight", VHOST_INFLIGHT, "" },
    { "virtio-scsi/inflight", VHOST_INFLIGHT, "" },
    /* one finished IN transfer of 8 bytes: TD, token, buffer, status, count, data */
    { "uhci/completions", "00000019" "00001000" "00e08169" "00002000" "00" "00000008" "0102030405060708", "" },
    /* GET_DESCRIPTOR of 18 bytes, 8 of which are fetched */
    { "USBDevice/control", "00000012" "120110010000000812340123456789abcdef",
      "setup_state=00000002 setup_len=00000012 setup_index=00000008 setup_buf[0]=80" },
    /* configuration, settings of 16 interfaces, halted endpoints: IN 1 */
    { "USBDevice/config", "01" "00000000000000000000000000000000" "0002" "0000", "addr=05" },
    /* endpoint, packet, 3 bytes that are moved */
    { "USBDevice/transfers", "00000010" "81" "0000000000001000" "00000003" "010203", "addr=05" },
    /* tag, lun, not complete, the 12 bytes of a parameter list; the request that waits for it */
    { "scsi-disk/answers", "01" "00001234" "00000000" "00" "0000000c" "000000000000000000000000" "00",
      "requests=02" "151000000c00" "00000000000000000000" "00001234" "00000000" "000000000000000000000000" "00001000"
      "00" },
    { "serial/thr_ipending", "00000001", "state.iir=01" },
    { "serial/fifo_timeout_timer", "0000010000000000", "" },
    { "serial/timeout_ipending", "00000001", "" },
    { "serial/tsr", "00000001" "41" "42", "" },
    { "serial/recv_fifo", "61626300000000000000000000000000" "00000000" "00000003", "" },
    { "serial/xmit_fifo", "61626300000000000000000000000000" "00000000" "00000003", "" },
    { "i8254/paused", "ffffffffffffffff" "ffffffffffffffff" "0000000000000010", "" },
    { "hpet/offset", "0000000000001000", "config=0000000000000001" },
    { "hpet/rtc_irq_level", "01", "" },
    { "e1000/tx_done", "00001000", "" },
    { "parallel_isa/unsent", "01", "" },
    { "dma/status", "05", "" },
    { "ps2kbd/ledstate", "00000007", "" },
    { "ps2mouse/sent_buttons", "01", "" },
    { "pckbd_outport", "cd", "" },
    { "ps2kbd/command_reply_queue", "00000002", "parent_obj.queue.wptr=00000003 parent_obj.queue.count=00000003" },
    { "ide_drive/tray_state", "01" "01", "" },
    { "ide_drive/atapi/gesn_state", "01" "01", "" },
    /* a flush that was stopped */
    { "ide_bus/error", "00000040" "0000000000000005" "00000008" "00", "" },
    { "fdc/reset_sensei", "00000002", "" },
    /* READ ID waits for the index */
    { "fdc/result_timer", "0000010000000000", "state.msr=10 data_pos=00000002 data_len=00000002" },
    { "ide bmdma/status", "65", "migration_compat_status=05" },
    { NULL, NULL, NULL },
};

/* Further states in which a section is checked, as other values of the idle one. The list of requests may have another
 * length. */
#define SCSI_TAG_LUN "00001234" "00000000"
#define INQUIRY_36 "120000002400" "00000000000000000000"
#define READ_10_4 "28000000000100000400" "000000000000"
#define WRITE_10_4 "2a000000000100000400" "000000000000"
#define MODE_SELECT_6_12 "151000000c00" "00000000000000000000"
static const struct {
    const char *type; /* of the device; NULL: all that have the section */
    const char *section, *what, *values;
} states[] = {
    { NULL, "scsi-disk", "an INQUIRY with its answer",
      "requests=02" INQUIRY_36 SCSI_TAG_LUN "000000000000000000000000" "00001000" "00000008" "0580053221000000" "00" },
    { NULL, "scsi-disk", "an INQUIRY without its answer", "requests=02" INQUIRY_36 SCSI_TAG_LUN "00" },
    { NULL, "scsi-disk", "a READ with a chunk",
      "requests=02" READ_10_4 SCSI_TAG_LUN "0000000000000002" "00000003" "00001000" "00000200" ZEROS(512) "00" },
    { NULL, "scsi-disk", "a READ that was stopped",
      "requests=01" READ_10_4 SCSI_TAG_LUN "0000000000000001" "00000004" "00001000" "00" },
    { "scsi-hd", "scsi-disk", "a WRITE with a chunk",
      "requests=02" WRITE_10_4 SCSI_TAG_LUN "0000000000000001" "00000001" "00001000" ZEROS(512) "00" },
    { "scsi-hd", "scsi-disk", "a WRITE that was stopped",
      "requests=01" WRITE_10_4 SCSI_TAG_LUN "0000000000000001" "00000001" "00001000" ZEROS(512) "00" },
    { NULL, "pair", "an INQUIRY of which 4 bytes were fetched",
      "requests=02" INQUIRY_36 SCSI_TAG_LUN "000000000000000000000000" "00001000" "00000008" "0580053221000000" "00"
      " addr=05 mode=00000002 scsi_len=00000004 scsi_off=00000004 data_len=00000020" },
    { NULL, "pair", "an INQUIRY without its answer, of which 4 bytes were fetched",
      "requests=02" INQUIRY_36 SCSI_TAG_LUN "00"
      " addr=05 mode=00000002 scsi_len=00000020 scsi_off=00000004 data_len=00000020" },
    { NULL, "pair", "a READ of which 64 bytes were fetched",
      "requests=02" READ_10_4 SCSI_TAG_LUN "0000000000000002" "00000003" "00001000" "00000200" ZEROS(512) "00"
      " addr=05 mode=00000002 scsi_len=000001c0 scsi_off=00000040 data_len=000007c0" },
    { NULL, "pair", "a READ that was stopped",
      "requests=01" READ_10_4 SCSI_TAG_LUN "0000000000000001" "00000004" "00001000" "00"
      " addr=05 mode=00000002 data_len=00000800" },
    { "scsi-hd", "pair", "a WRITE of which 64 bytes have come",
      "requests=02" WRITE_10_4 SCSI_TAG_LUN "0000000000000001" "00000001" "00001000" ZEROS(512) "00"
      " addr=05 mode=00000001 scsi_len=000001c0 scsi_off=00000040 data_len=000001c0" },
    { NULL, "pair", "a command that has ended", "addr=05 mode=00000003 csw.sig=53425355 csw.tag=00001234 csw.status=01" },
    { NULL, NULL, NULL, NULL },
};

/* ---- saving and loading ------------------------------------------------------------------------------------ */

typedef struct Subject {
    const char *name;     /* of the section */
    const VmState *vmsd;
    void *opaque;
    Device *dev;          /* NULL: not a device's */
    const char *type;     /* of the device that the states are of; NULL: none */
    GHashTable *flipped;  /* paths of values whose bits need not be tried again */
    GHashTable *seen;     /* names of descriptions and subsections in streams that were saved */
    unsigned complaints;
} Subject;

/* The test fails; the first few reasons are told. */
static void G_GNUC_PRINTF(2, 3) complain(Subject *s, const char *fmt, ...)
{
    va_list args;

    va_start(args, fmt);
    g_autofree char *text = g_strdup_vprintf(fmt, args);
    va_end(args);
    if (s->complaints++ < MOST_COMPLAINTS) {
        g_test_message("%s: %s", s->name, text);
    }
    g_test_fail();
}

static GBytes *save_described(Subject *s, GString *desc)
{
    g_autoptr(GError) error = NULL;
    VmWriter *w = vm_writer_new();
    const uint8_t *data;
    size_t len;

    if (!vmstate_save(w, s->vmsd, s->opaque, desc, &error)) {
        g_error("%s: cannot be saved: %s", s->name, error->message);
    }
    data = vm_writer_data(w, &len);
    GBytes *bytes = g_bytes_new(data, len);
    vm_writer_free(w);
    return bytes;
}

static GBytes *save(Subject *s)
{
    return save_described(s, NULL);
}

/* What stands behind a section: its footer, and the head of the next one without its name. */
static const uint8_t behind[] = { 0x7e, 0, 0, 0, 5, 0x04, 0, 0, 0, 6 };

/* The len bytes of a section, of which `total` bytes are there with what is behind them. */
static bool load_part(Subject *s, const void *data, size_t len, size_t total, GError **error)
{
    VmReader *r = vm_reader_new_from_memory(data, total);
    bool ok = vmstate_load(r, s->vmsd, s->opaque, s->vmsd->version, error) && vm_reader_check(r, error);

    if (!ok) {
        g_assert(!error || *error);
    } else if (vm_reader_tell(r) != len) {
        ok = error_set(error, "bytes are left over, or too many are taken");
    }
    vm_reader_free(r);
    return ok;
}

static bool load_data(Subject *s, const void *data, size_t len, GError **error)
{
    g_autofree uint8_t *all = g_malloc(len + sizeof(behind));

    memcpy(all, data, len);
    memcpy(all + len, behind, sizeof(behind));
    return load_part(s, all, len, len + sizeof(behind), error);
}

static bool load(Subject *s, GBytes *bytes, GError **error)
{
    gsize len;
    const void *data = g_bytes_get_data(bytes, &len);
    return load_data(s, data, len, error);
}

static char *first_difference(GBytes *a, GBytes *b)
{
    gsize x_len, y_len, at = 0;
    const uint8_t *x = g_bytes_get_data(a, &x_len), *y = g_bytes_get_data(b, &y_len);

    while (at < MIN(x_len, y_len) && x[at] == y[at]) {
        at++;
    }
    return g_strdup_printf("byte %" G_GSIZE_FORMAT " of %" G_GSIZE_FORMAT " and %" G_GSIZE_FORMAT, at, x_len, y_len);
}

/* C5 and C3: these bytes load and are saved again. */
static void must_load(Subject *s, GBytes *bytes, const char *when)
{
    g_autoptr(GError) error = NULL;

    if (!load(s, bytes, &error)) {
        complain(s, "%s: what it saved does not load: %s", when, error->message);
        return;
    }
    g_autoptr(GBytes) again = save(s);
    if (!g_bytes_equal(bytes, again)) {
        g_autofree char *where = first_difference(bytes, again);
        complain(s, "%s: what was loaded is saved differently, from %s on", when, where);
    }
}

/* ---- C4, C5, C6: changed values ---------------------------------------------------------------------------- */

typedef enum Outcome { REFUSED, DROPPED, ARRIVED } Outcome;

/* Loads changed bytes and sees what becomes of them; the first ones are loaded again in the end. */
static Outcome try_bytes(Subject *s, GBytes *first, const uint8_t *data, size_t len, bool run)
{
    Outcome outcome = REFUSED;

    if (load_data(s, data, len, NULL)) {
        g_autoptr(GBytes) taken = save(s);

        must_load(s, taken, "after a change");
        outcome = g_bytes_equal(taken, first) ? DROPPED : ARRIVED;
    }
    if (run && outcome != REFUSED) { /* half a state must not run */
        contract_run(s->dev);
    }
    must_load(s, first, "over other state");
    return outcome;
}

static const char *reason_to_drop(const Subject *s, const Leaf *leaf)
{
    for (unsigned i = 0; dropped[i].section; i++) {
        if (!strcmp(dropped[i].section, s->vmsd->name) && g_pattern_match_simple(dropped[i].path, leaf->path)) {
            return dropped[i].why;
        }
    }
    return !strcmp(leaf->type, "unused_buffer") ? "unused" : !strcmp(leaf->type, "int32 le") ? "a limit" : NULL;
}

/* How many of at most `most` changes a section of len bytes gets: each one moves all of it several times. */
static size_t tries(size_t most, size_t len)
{
    unsigned bytes = g_getenv("TERN_TEST_LONG") ? MOST_BYTES_LONG : MOST_BYTES;

    return MIN(most, MAX(bytes / MAX(len, 1u), 50u));
}

/* Whether bit b of n is one of those that are tried. */
static bool sampled(size_t b, size_t n)
{
    size_t most = tries(MOST_FLIPS, n / 8);

    return n <= most || b % (n / most + 1) == 0;
}

/* Flips the bits of one value; those that arrive stay in `all`, so that in the end everything differs. */
static void check_leaf(Subject *s, GBytes *first, const Leaf *leaf, uint8_t *all)
{
    gsize len;
    const uint8_t *data = g_bytes_get_data(first, &len);
    g_autofree uint8_t *copy = g_memdup2(data, len);
    unsigned outcomes[3] = { 0 };

    for (size_t bit = 0; bit < leaf->len * 8; bit++) {
        uint8_t *byte = copy + leaf->offset + bit / 8;

        /* Of a truth value no other bit than the lowest can arrive. */
        if (!sampled(leaf->offset * 8 + bit, len * 8) && (bit || strcmp(leaf->type, "bool"))) {
            continue;
        }
        *byte ^= 1 << bit % 8;
        Outcome outcome = try_bytes(s, first, copy, len, !outcomes[ARRIVED]);
        outcomes[outcome]++;
        *byte ^= 1 << bit % 8;
        if (outcome == ARRIVED) {
            uint8_t old = all[leaf->offset + bit / 8];

            all[leaf->offset + bit / 8] ^= 1 << bit % 8;
            if (!load_data(s, all, len, NULL)) {
                all[leaf->offset + bit / 8] = old;
            }
            must_load(s, first, "over other state");
        }
    }
    if (outcomes[DROPPED] && !outcomes[ARRIVED] && !reason_to_drop(s, leaf)) {
        complain(s, "%s (%s): a change is taken and not saved again", leaf->path, leaf->type);
    }
}

/* Of an array with thousands of elements of one kind, the first ones and some of the rest will do. */
static bool is_chosen(const Leaf *leaf)
{
    const char *index = strrchr(leaf->path, '[');
    unsigned long n = index && index[strlen(index) - 1] == ']' ? strtoul(index + 1, NULL, 10) : 0;

    return n < ALL_OF_ARRAY || n % EVERY_OF_ARRAY == 0;
}

static void check_values(Subject *s, GBytes *first, const Leaves *leaves)
{
    gsize len;
    const uint8_t *data = g_bytes_get_data(first, &len);
    g_autofree uint8_t *all = g_memdup2(data, len);

    for (guint i = 0; i < leaves->leaves->len; i++) {
        const Leaf *leaf = &g_array_index(leaves->leaves, Leaf, i);

        /* With a subsection, what the section has without it was tried before. */
        if (is_chosen(leaf) && !g_hash_table_contains(s->flipped, leaf->path)) {
            check_leaf(s, first, leaf, all);
        }
    }
    try_bytes(s, first, all, len, true);
    if (s->dev) {
        device_reset(s->dev);
        try_bytes(s, first, all, len, true);
    }
}

/* Bits that are no value's: the heads of subsections. */
static void check_heads(Subject *s, GBytes *first, const Leaves *leaves)
{
    gsize len, at = 0;
    const uint8_t *data = g_bytes_get_data(first, &len);
    g_autofree uint8_t *copy = g_memdup2(data, len);

    for (guint i = 0; i <= leaves->leaves->len; i++) {
        const Leaf *leaf = i < leaves->leaves->len ? &g_array_index(leaves->leaves, Leaf, i) : NULL;

        for (size_t bit = at * 8; bit < (leaf ? leaf->offset : len) * 8; bit++) {
            copy[bit / 8] ^= 1 << bit % 8;
            try_bytes(s, first, copy, len, false);
            copy[bit / 8] ^= 1 << bit % 8;
        }
        at = leaf ? leaf->offset + leaf->len : len;
    }
}

/* Every prefix is refused, but one that lacks whole subsections at the end. */
static void check_cuts(Subject *s, GBytes *first)
{
    gsize len;
    const uint8_t *data = g_bytes_get_data(first, &len);
    size_t step = len / tries(MOST_CUTS, len) + 1;

    for (size_t cut = 0; cut < len; cut += step) {
        g_autofree uint8_t *copy = g_memdup2(data, cut); /* of its own size: a sanitizer sees a byte too many */

        if (load_part(s, copy, cut, cut, NULL) && data[cut] != 5) {
            complain(s, "%zu of %" G_GSIZE_FORMAT " bytes are taken as a whole section", cut, len);
        }
        must_load(s, first, "over the part of a section");
    }
}

static void check_scrambled(Subject *s, GBytes *first)
{
    gsize len;
    const uint8_t *data = g_bytes_get_data(first, &len);

    for (unsigned i = 0; len && i < tries(SCRAMBLED_STREAMS, len); i++) {
        g_autofree uint8_t *copy = g_memdup2(data, len);
        unsigned changes = g_test_rand_int_range(1, 9);

        while (changes--) {
            copy[g_test_rand_int_range(0, len)] = g_test_rand_int();
        }
        try_bytes(s, first, copy, len, true);
    }
}

static void note_seen(Subject *s, const Leaves *leaves)
{
    for (guint i = 0; i < leaves->names->len; i++) {
        g_hash_table_add(s->seen, leaves->names->pdata[i]);
    }
}

/* Everything with the state that the subject has now. */
static void check_state(Subject *s)
{
    g_autoptr(GString) desc = g_string_new("");
    g_autoptr(GBytes) first = save_described(s, desc);
    g_autoptr(Leaves) leaves = leaves_from_description(desc->str, g_bytes_get_size(first));

    note_seen(s, leaves);
    must_load(s, first, "at once");
    if (s->dev) {
        device_reset(s->dev);
        must_load(s, first, "after a reset");
    }
    check_values(s, first, leaves);
    check_heads(s, first, leaves);
    check_cuts(s, first);
    check_scrambled(s, first);
}

/* ---- sections with other values ------------------------------------------------------------------------------ */

static void put_hex(VmWriter *w, const char *hex)
{
    for (; g_ascii_isxdigit(hex[0]); hex += 2) {
        vm_put_u8(w, g_ascii_xdigit_value(hex[0]) << 4 | g_ascii_xdigit_value(hex[1]));
    }
}

/* Takes the writer. */
static GBytes *take_bytes(VmWriter *w)
{
    size_t len;
    const uint8_t *data = vm_writer_data(w, &len);
    GBytes *bytes = g_bytes_new(data, len);

    vm_writer_free(w);
    return bytes;
}

/* The value that "name=hex name=hex" gives to a path by its end; NULL if it does not. */
static const char *other_value(const char *others, const char *path)
{
    g_auto(GStrv) words = g_strsplit(others, " ", -1);
    const char *found = NULL;

    for (char **word = words; *word && **word && !found; word++) {
        size_t name = strcspn(*word, "=");
        g_autofree char *end = g_strdup_printf(".%.*s", (int)name, *word);

        if (g_str_has_suffix(path, end) || !strcmp(path, end + 1)) {
            found = strstr(others, *word) + name + 1;
        }
    }
    return found;
}

/* Bytes [from, to) of a section, whose values are leaves, with other values. */
static void put_with_values(VmWriter *w, GBytes *first, size_t from, size_t to, const Leaves *leaves,
                            const char *others)
{
    const uint8_t *data = g_bytes_get_data(first, NULL);

    for (guint i = 0; i < leaves->leaves->len; i++) {
        const Leaf *leaf = &g_array_index(leaves->leaves, Leaf, i);
        const char *hex = other_value(others, leaf->path);

        if (hex && leaf->offset >= from && leaf->offset < to) {
            vm_put_bytes(w, data + from, leaf->offset - from);
            put_hex(w, hex);
            from = leaf->offset + leaf->len;
        }
    }
    vm_put_bytes(w, data + from, to - from);
}

/* Checks the section in the states that the table has for it. */
/* The entries above are those of an adapter that adds nothing to them. Those of virtio-scsi begin with an element of a ring
 * of the guest: tests/qtest/virtio-scsi-test.c. */
static bool entries_differ(const Device *disk)
{
    const Bus *bus = disk ? disk->bus : NULL;

    return bus && object_is_a(bus, &scsi_bus_type.object) && SCSI_BUS(bus)->ops->save_request;
}

static void check_states(Subject *s, GBytes *first, const Leaves *leaves)
{
    for (unsigned i = 0; states[i].section; i++) {
        g_autoptr(GError) error = NULL;

        if (strcmp(states[i].section, s->vmsd->name) ||
            (states[i].type && g_strcmp0(states[i].type, s->type)) ||
            (entries_differ(s->dev) && g_str_has_prefix(states[i].values, "requests="))) {
            continue;
        }
        VmWriter *w = vm_writer_new();
        put_with_values(w, first, 0, g_bytes_get_size(first), leaves, states[i].values);
        g_autoptr(GBytes) bytes = take_bytes(w);
        g_test_message("%s: with %s", s->name, states[i].what);
        if (!load(s, bytes, &error)) {
            complain(s, "%s: not taken: %s", states[i].what, error->message);
        } else {
            check_state(s);
        }
        must_load(s, first, "over another state");
    }
}

/* ---- C7: subsections that are not needed now ---------------------------------------------------------------- */

static const char *reason_unmade(const char *name)
{
    for (unsigned i = 0; unmade[i].subsection; i++) {
        const char *version = machine_get_type(machine_current())->version;

        if (!strcmp(unmade[i].subsection, name) &&
            (!unmade[i].until || machine_version_compare(version, unmade[i].until) <= 0)) {
            return unmade[i].why;
        }
    }
    return NULL;
}

static bool put_known_contents(VmWriter *w, const VmState *sub, const char **others)
{
    for (unsigned i = 0; contents[i].subsection; i++) {
        if (!strcmp(contents[i].subsection, sub->name)) {
            *others = contents[i].others;
            vm_put_u8(w, 5);
            vm_put_counted_string(w, sub->name);
            vm_put_be32(w, sub->version);
            put_hex(w, contents[i].hex);
            return true;
        }
    }
    return false;
}

/* The section with a subsection behind the fields of its description. */
static GBytes *with_subsection(GBytes *first, const Leaves *leaves, const SubsectionPlace *place, const VmState *sub,
                               GRand *rand, unsigned pattern)
{
    VmWriter *w = vm_writer_new(), *sub_w = vm_writer_new();
    const char *others = "";
    const uint8_t *inner;
    size_t inner_len;

    if (pattern || !put_known_contents(sub_w, sub, &others)) {
        make_subsection(sub_w, sub, rand, pattern);
    }
    inner = vm_writer_data(sub_w, &inner_len);
    put_with_values(w, first, 0, place->offset, leaves, others);
    vm_put_bytes(w, inner, inner_len);
    put_with_values(w, first, place->offset, g_bytes_get_size(first), leaves, others);
    vm_writer_free(sub_w);
    return take_bytes(w);
}

static void note_flipped(Subject *s, const Leaves *leaves)
{
    for (guint i = 0; i < leaves->leaves->len; i++) {
        g_hash_table_add(s->flipped, g_strdup(g_array_index(leaves->leaves, Leaf, i).path));
    }
}

/* Whether loading these bytes makes the subsection needed; then everything is checked in that state. */
static bool try_made(Subject *s, GBytes *made, const char *name)
{
    if (!load(s, made, NULL)) {
        return false;
    }
    g_autoptr(GString) desc = g_string_new("");
    g_autoptr(GBytes) taken = save_described(s, desc);
    g_autoptr(Leaves) leaves = leaves_from_description(desc->str, g_bytes_get_size(taken));

    for (guint i = 0; i < leaves->names->len; i++) {
        if (!strcmp(leaves->names->pdata[i], name)) {
            g_test_message("%s: with subsection %s", s->name, name);
            check_state(s);
            return true;
        }
    }
    return false;
}

static void try_subsection(Subject *s, GBytes *first, const Leaves *leaves, const VmState *parent, const VmState *sub)
{
    g_autoptr(GRand) rand = g_rand_new_with_seed(g_test_rand_int());

    for (guint i = 0; i < leaves->places->len; i++) {
        const SubsectionPlace *place = &g_array_index(leaves->places, SubsectionPlace, i);

        if (strcmp(place->vmsd_name, parent->name)) {
            continue;
        }
        for (unsigned pattern = 0; pattern < MAKE_TRIES; pattern++) {
            g_autoptr(GBytes) made = with_subsection(first, leaves, place, sub, rand, pattern);
            bool needed = try_made(s, made, sub->name);

            must_load(s, first, "over a subsection that was made up");
            if (needed) {
                return;
            }
        }
    }
    if (!reason_unmade(sub->name) && !(entries_differ(s->dev) && !strcmp(sub->name, "scsi-disk/answers"))) {
        complain(s, "nothing that was tried makes subsection %s needed", sub->name);
    }
}

static void try_subsections(Subject *s, GBytes *first, const Leaves *leaves, const VmState *vmsd)
{
    for (const VmState *const *p = vmsd->subsections; p && *p; p++) {
        if (!g_hash_table_contains(s->seen, g_intern_string((*p)->name))) {
            try_subsection(s, first, leaves, vmsd, *p);
        }
        try_subsections(s, first, leaves, *p);
    }
    for (const VmField *f = vmsd->fields; f && f->name; f++) {
        if (f->vmstate) {
            try_subsections(s, first, leaves, f->vmstate);
        }
    }
}

/* ---- what can be seen in the tables ------------------------------------------------------------------------- */

static bool is_counted(const VmField *f)
{
    return f->shape == VM_VARRAY || f->shape == VM_VBUFFER;
}

static void check_table(const VmState *vmsd)
{
    g_assert_nonnull(vmsd->name);
    g_assert_cmpint(vmsd->minimum_version, <=, vmsd->version);
    g_assert_cmpint(vmsd->minimum_version, >=, 0);
    for (const VmField *f = vmsd->fields; f && f->name; f++) {
        bool count_known = false;

        g_assert_true(f->vmstate || f->kind);
        g_assert_true(f->vmstate || (f->kind->put && f->kind->get));
        g_assert_true(f->shape != VM_ARRAY || f->num > 0);
        g_assert_cmpint(f->version, <=, vmsd->version);
        for (const VmField *count = vmsd->fields; is_counted(f) && count != f; count++) {
            count_known |= count->offset == f->num_offset && count->shape == VM_SCALAR;
        }
        if (is_counted(f) && !count_known && !is_fixed_count(vmsd, f)) {
            g_test_message("%s: the count of '%s' is not described before it", vmsd->name, f->name);
            g_test_fail();
        }
        if (f->vmstate) {
            check_table(f->vmstate);
        }
    }
    for (const VmState *const *p = vmsd->subsections; p && *p; p++) {
        g_autofree char *prefix = g_strconcat(vmsd->name, "/", NULL);

        /* names of stock's that do not keep the rule */
        g_assert_true(g_str_has_prefix((*p)->name, prefix) || !strcmp((*p)->name, "pckbd_outport") ||
                      !strcmp((*p)->name, "apic_sipi") || !strcmp((*p)->name, "pflash_cfi01_blk_write") ||
                      !strcmp((*p)->name, "vga.endian") || !strcmp((*p)->name, "vhost-user-fs-backend"));
        g_assert_nonnull((*p)->needed);
        check_table(*p);
    }
}

/* ---- the tests ------------------------------------------------------------------------------------------------ */

static void check_section(const char *name, const VmState *vmsd, void *opaque, Device *dev, const char *type)
{
    Subject s = { .name = name, .vmsd = vmsd, .opaque = opaque, .dev = dev, .type = type };

    g_test_message("section %s", name);
    check_table(vmsd);
    contract_set_up_controllers();
    s.seen = g_hash_table_new(NULL, NULL);
    s.flipped = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
    check_state(&s);

    g_autoptr(GString) desc = g_string_new("");
    g_autoptr(GBytes) first = save_described(&s, desc);
    g_autoptr(Leaves) leaves = leaves_from_description(desc->str, g_bytes_get_size(first));
    check_states(&s, first, leaves);
    if (opaque == dev || !dev) { /* else the parts are sections of their own */
        note_flipped(&s, leaves);
        try_subsections(&s, first, leaves, vmsd);
    }
    g_hash_table_destroy(s.flipped);
    g_hash_table_destroy(s.seen);
}

/* C1. */
static void check_story(const DeviceType *type)
{
    const DeviceMigration *story = device_migration(type);

    g_assert_nonnull(story);
    if (story->kind == DEVICE_MIGRATION_VMSTATE) {
        g_assert_nonnull(story->vmstate);
        return;
    }
    g_assert_nonnull(story->why);
    g_assert_cmpuint(strlen(story->why), >=, 10);
    if (type->migration.kind == DEVICE_MIGRATION_INHERITED && ((const DeviceType *)type->object.parent)->object.abstract) {
        g_test_message("%s: inherits \"%s\" from an abstract type, which cannot know it", type->object.name,
                       story->why);
        g_test_fail();
    }
}

/*
 * A disk and its adapter hold a command together: their sections are checked as one, because what one of them says is
 * wrong or right by what the other one says.
 */
typedef struct Pair {
    Device *disk, *adapter;
} Pair;

static bool put_between(VmWriter *w, const void *elem, size_t size, const VmField *field, GError **error)
{
    vm_put_bytes(w, behind, sizeof(behind));
    return true;
}

static bool get_between(VmReader *r, void *elem, size_t size, const VmField *field, GError **error)
{
    uint8_t in[sizeof(behind)];

    return vm_get_bytes(r, in, sizeof(in)) && (!memcmp(in, behind, sizeof(in)) ||
                                               error_set(error, "the footer is missing"));
}

static void check_pair(Device *disk)
{
    static const VmKind kind = { .name = "between", .put = put_between, .get = get_between };
    Device *adapter = disk->bus->owner;
    Pair pair = { disk, adapter };
    const VmField fields[] = {
        { .name = "disk", .offset = offsetof(Pair, disk), .size = 1, .vmstate = disk->vmsection->vmsd,
          .flags = VM_POINTER },
        { .name = "between", .size = sizeof(behind), .kind = &kind },
        { .name = "adapter", .offset = offsetof(Pair, adapter), .size = 1, .vmstate = adapter->vmsection->vmsd,
          .flags = VM_POINTER },
        VM_END
    };
    const VmState both = { .name = "pair", .fields = fields };

    check_section(disk->vmsection->idstr, &both, &pair, adapter, disk->object.type->name);
}

static void test_type(gconstpointer data)
{
    const DeviceType *type = data;
    g_autoptr(GPtrArray) found = contract_instances(type);
    const char *why = contract_excused(type);

    check_story(type);
    if (why) {
        g_test_message("not in the machine: %s", why);
        g_assert_cmpuint(found->len, ==, 0);
        return;
    }
    if (!found->len) {
        why = contract_why_absent(type);
        g_error("%s is not in the machine: %s", type->object.name, why ? why : "no board device has this type");
    }
    for (guint i = 0; i < found->len; i++) {
        Device *dev = found->pdata[i];

        if (dev->vmsection && dev->vmsection->vmsd) {
            check_section(dev->vmsection->idstr, dev->vmsection->vmsd, dev, dev, type->object.name);
        }
        if (dev->bus && !strcmp(dev->bus->object.type->name, "SCSI") && dev->bus->owner->vmsection &&
            !entries_differ(dev)) {
            check_pair(dev);
        }
    }
}

static void test_section(gconstpointer data)
{
    const VmSection *section = data;

    check_section(section->idstr, section->vmsd, section->opaque, NULL, NULL);
}

static void add_type(const DeviceType *type, void *opaque)
{
    g_autofree char *path = g_strconcat("/contract/type/", type->object.name, NULL);

    /* Models of processors differ in what they say of themselves, not in what they save: one stands for all. */
    if (!g_str_has_suffix(type->object.name, "-x86_64-cpu") || !strcmp(type->object.name, "qemu64-x86_64-cpu")) {
        g_test_add_data_func(path, type, test_type);
    }
}

static bool note_device(Object *obj, void *opaque)
{
    if (object_is_a(obj, &device_type.object)) {
        g_hash_table_add(opaque, DEVICE(obj)->vmsection);
    }
    return true;
}

/* Sections that no device has: those of buses, of the machine. */
static bool add_section(VmSection *section, void *opaque)
{
    g_autofree char *path = g_strdup_printf("/contract/section/%s#%u", section->idstr, section->instance_id);

    if (section->vmsd && !g_hash_table_contains(opaque, section)) {
        g_test_add_data_func(path, section, test_section);
    }
    return true;
}

int main(int argc, char **argv)
{
    g_autoptr(GHashTable) devices = g_hash_table_new(NULL, NULL);
    g_autoptr(GPtrArray) args = g_ptr_array_new();
    char **all;
    int n;

    /* One device's failure does not hide the next one's. */
    for (int i = 0; i < argc; i++) {
        g_ptr_array_add(args, argv[i]);
    }
    g_ptr_array_add(args, "-k");
    g_ptr_array_add(args, NULL);
    all = (char **)args->pdata;
    n = argc + 1;
    g_test_init(&n, &all, NULL);
    contract_machine_start(n > 1 ? all[1] : "pc");
    device_type_foreach(add_type, NULL);
    object_foreach_child_recursive(object_root(), note_device, devices);
    vmstate_foreach(add_section, devices);
    return g_test_run();
}
