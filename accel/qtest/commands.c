/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The commands of the qtest protocol. Every line gets one answer, "OK…" or "FAIL reason", whatever it says;
 * between them "IRQ raise N" and "IRQ lower N" may come. Numbers are C's: decimal, 0x, 0.
 */
#include "util/osdep.h"

#include <glib.h>

#include "util/clock.h"
#include "util/error.h"
#include "util/bytes.h"
#include "system/memory.h"
#include "hw/core/device.h"
#include "qtest-internal.h"

#define MAX_WORDS 6
#define MAX_TRANSFER (UINT64_C(256) << 20) /* bytes in one command */

typedef struct Words {
    unsigned n;
    char *word[MAX_WORDS];
} Words;

static bool fail(const char *fmt, ...) G_GNUC_PRINTF(1, 2);
static bool fail(const char *fmt, ...)
{
    g_autofree char *text = NULL;
    va_list ap;

    va_start(ap, fmt);
    text = g_strdup_vprintf(fmt, ap);
    va_end(ap);
    for (char *p = text; *p; p++) { /* it may quote the line */
        *p = g_ascii_isprint(*p) ? *p : '?';
    }
    qtest_send("FAIL %s", text);
    return false;
}

/* ---- arguments ----------------------------------------------------------------------------------------- */

static bool get_number(const char *text, uint64_t *value)
{
    char *end;

    errno = 0;
    *value = g_ascii_strtoull(text, &end, 0);
    if (!g_ascii_isdigit(text[0]) || *end || errno) {
        return fail("'%.40s' is not a number", text);
    }
    return true;
}

static bool get_signed(const char *text, int64_t *value)
{
    char *end;

    errno = 0;
    *value = g_ascii_strtoll(text, &end, 0);
    if (end == text || *end || errno) {
        return fail("'%.40s' is not a number", text);
    }
    return true;
}

/* ADDR SIZE of a transfer. */
static bool get_range(const Words *w, uint64_t *addr, uint64_t *size)
{
    if (!get_number(w->word[1], addr) || !get_number(w->word[2], size)) {
        return false;
    }
    if (*size > MAX_TRANSFER) {
        return fail("more than %" PRIu64 " bytes at once", MAX_TRANSFER);
    }
    return true;
}

/* The width that the last letter of a command stands for. */
static unsigned width(const char *command)
{
    switch (command[strlen(command) - 1]) {
    case 'b':
        return 1;
    case 'w':
        return 2;
    case 'l':
        return 4;
    default:
        return 8;
    }
}

static int hex_digit(char c)
{
    return g_ascii_xdigit_value(c);
}

/* ---- ports and memory ---------------------------------------------------------------------------------- */

static void cmd_in(const Words *w)
{
    uint64_t port;

    if (get_number(w->word[1], &port)) {
        qtest_send("OK 0x%04" PRIx64, port_read(port & 0xffff, width(w->word[0])));
    }
}

static void cmd_out(const Words *w)
{
    uint64_t port, value;

    if (get_number(w->word[1], &port) && get_number(w->word[2], &value)) {
        port_write(port & 0xffff, value, width(w->word[0]));
        qtest_send("OK");
    }
}

static void cmd_read_value(const Words *w)
{
    uint8_t buf[8] = { 0 };
    uint64_t addr;

    if (get_number(w->word[1], &addr)) {
        address_space_read(address_space_memory, addr, buf, width(w->word[0]));
        qtest_send("OK 0x%016" PRIx64, load_le64(buf));
    }
}

static void cmd_write_value(const Words *w)
{
    uint64_t addr, value;
    uint8_t buf[8];

    if (get_number(w->word[1], &addr) && get_number(w->word[2], &value)) {
        store_le64(buf, value);
        address_space_write(address_space_memory, addr, buf, width(w->word[0]));
        qtest_send("OK");
    }
}

static void cmd_read(const Words *w)
{
    static const char digits[] = "0123456789abcdef";
    g_autofree uint8_t *data = NULL;
    uint64_t addr, size;
    char *text;

    if (!get_range(w, &addr, &size)) {
        return;
    }
    data = g_malloc(size + 1);
    text = g_malloc(2 * size + 6);
    address_space_read(address_space_memory, addr, data, size);
    memcpy(text, "OK 0x", 5);
    for (uint64_t i = 0; i < size; i++) {
        text[5 + 2 * i] = digits[data[i] >> 4];
        text[6 + 2 * i] = digits[data[i] & 15];
    }
    text[5 + 2 * size] = '\0';
    qtest_send_take(text, 5 + 2 * size);
}

static void cmd_write(const Words *w)
{
    g_autofree uint8_t *data = NULL;
    const char *hex = w->word[3];
    uint64_t addr, size;
    size_t len;

    if (!get_range(w, &addr, &size)) {
        return;
    }
    if (!g_str_has_prefix(hex, "0x")) {
        fail("data must begin with 0x");
        return;
    }
    hex += 2;
    len = strlen(hex);
    if (len % 2 || strspn(hex, "0123456789abcdefABCDEF") != len) {
        fail("data must be pairs of hexadecimal digits");
        return;
    }
    data = g_malloc0(size + 1); /* what the line does not give is zero */
    for (uint64_t i = 0; i < MIN(size, len / 2); i++) {
        data[i] = hex_digit(hex[2 * i]) << 4 | hex_digit(hex[2 * i + 1]);
    }
    address_space_write(address_space_memory, addr, data, size);
    qtest_send("OK");
}

static void cmd_b64read(const Words *w)
{
    g_autofree uint8_t *data = NULL;
    g_autofree char *b64 = NULL;
    uint64_t addr, size;

    if (get_range(w, &addr, &size)) {
        data = g_malloc(size + 1);
        address_space_read(address_space_memory, addr, data, size);
        b64 = g_base64_encode(data, size);
        qtest_send("OK %s", b64);
    }
}

static void cmd_b64write(const Words *w)
{
    uint64_t addr, size;
    gsize len;

    if (!get_range(w, &addr, &size)) {
        return;
    }
    if (!*w->word[3] ||
        strspn(w->word[3], "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/=") !=
            strlen(w->word[3])) {
        fail("data must be base64");
        return;
    }
    g_base64_decode_inplace(w->word[3], &len);
    if (len != size) {
        fail("data has %" G_GSIZE_FORMAT " bytes, not %" PRIu64, len, size);
        return;
    }
    address_space_write(address_space_memory, addr, w->word[3], size);
    qtest_send("OK");
}

static void cmd_memset(const Words *w)
{
    uint64_t addr, size, value;

    if (get_range(w, &addr, &size) && get_number(w->word[3], &value)) {
        address_space_memset(address_space_memory, addr, value, size);
        qtest_send("OK");
    }
}

static void cmd_endianness(const Words *w)
{
    qtest_send("OK little");
}

/* ---- time ---------------------------------------------------------------------------------------------- */

static bool clock_is_ours(void)
{
    return clock_virtual_is_manual() || fail("the clock is not stepped by the client: use -accel qtest");
}

static void cmd_clock_step(const Words *w)
{
    int64_t now = clock_get_ns(CLOCK_VIRTUAL);
    int64_t step;

    if (!clock_is_ours()) {
        return;
    }
    if (w->n > 1) {
        if (!get_signed(w->word[1], &step)) {
            return;
        }
        if (step < 0 || step > INT64_MAX - now) {
            fail("the clock cannot step by %" PRId64, step);
            return;
        }
    } else {
        int64_t deadline = clock_deadline(CLOCK_VIRTUAL);

        step = deadline > now ? deadline - now : 0;
    }
    qtest_send("OK %" PRId64, clock_virtual_step_to(now + step));
}

static void cmd_clock_set(const Words *w)
{
    int64_t ns;

    if (!clock_is_ours() || !get_signed(w->word[1], &ns)) {
        return;
    }
    if (ns < clock_get_ns(CLOCK_VIRTUAL)) {
        fail("the clock cannot go back");
        return;
    }
    qtest_send("OK %" PRId64, clock_virtual_step_to(ns));
}

/* ---- interrupts ---------------------------------------------------------------------------------------- */

static Device *intercepted;      /* only compared, never looked into */
static GHashTable *levels;       /* line → last level */
static bool listening;           /* the present client asked */

static void line_changed(void *opaque, int n, int level)
{
    bool was = g_hash_table_contains(levels, GINT_TO_POINTER(n));

    if (!listening || was == !!level) {
        return;
    }
    if (level) {
        g_hash_table_add(levels, GINT_TO_POINTER(n));
    } else {
        g_hash_table_remove(levels, GINT_TO_POINTER(n));
    }
    qtest_send("IRQ %s %d", level ? "raise" : "lower", n);
}

static Device *get_device(const char *path)
{
    bool ambiguous = false;
    Object *obj = object_resolve(path, &ambiguous);

    if (ambiguous) {
        fail("path '%.80s' is ambiguous", path);
        return NULL;
    }
    if (!obj || !object_is_a(obj, &device_type.object)) {
        fail("Unknown device");
        return NULL;
    }
    return DEVICE(obj);
}

static void intercept(const char *path, const char *name, bool out)
{
    Device *dev = get_device(path);

    if (!dev) {
        return;
    }
    if (intercepted) {
        if (dev == intercepted) {
            listening = true;
            qtest_send("OK");
        } else {
            fail("IRQ intercept already enabled");
        }
        return;
    }
    if (!levels) {
        levels = g_hash_table_new(NULL, NULL);
    }
    if (out ? !device_watch_gpio_out(dev, name, false, line_changed, NULL)
            : !device_watch_gpio_in(dev, name, line_changed, NULL)) {
        fail("the device has no such lines");
        return;
    }
    intercepted = dev;
    listening = true;
    qtest_send("OK");
}

static const char *pin_name(const char *name)
{
    return !strcmp(name, "unnamed-gpio-in") || !strcmp(name, "unnamed-gpio-out") ? NULL : name;
}

static void cmd_intercept_in(const Words *w)
{
    intercept(w->word[1], NULL, false);
}

static void cmd_intercept_out(const Words *w)
{
    intercept(w->word[1], NULL, true);
}

static void cmd_intercept_out_named(const Words *w)
{
    intercept(w->word[1], pin_name(w->word[2]), true);
}

static void cmd_set_irq_in(const Words *w)
{
    Device *dev = get_device(w->word[1]);
    const char *name = pin_name(w->word[2]);
    uint64_t n;
    int64_t level;

    if (!dev || !get_number(w->word[3], &n) || !get_signed(w->word[4], &level)) {
        return;
    }
    if (n >= device_gpio_in_count(dev, name)) {
        fail("the device has no such line");
        return;
    }
    irq_set(device_get_gpio_in(dev, name, n), level != 0);
    qtest_send("OK");
}

void qtest_commands_reset(void)
{
    listening = false;
    if (levels) {
        g_hash_table_remove_all(levels);
    }
}

/* ---- the rest ------------------------------------------------------------------------------------------ */

/* Everything is built in: what a module would bring is there or will never be. */
static void cmd_module_load(const Words *w)
{
    fail("no module '%.40s%.40s': this program has none", w->word[1], w->word[2]);
}

typedef struct Command {
    const char *name;
    void (*run)(const Words *words);
    unsigned min_words, max_words; /* with the command's own */
} Command;

static const Command commands[] = {
    { "outb", cmd_out, 3, 3 },
    { "outw", cmd_out, 3, 3 },
    { "outl", cmd_out, 3, 3 },
    { "inb", cmd_in, 2, 2 },
    { "inw", cmd_in, 2, 2 },
    { "inl", cmd_in, 2, 2 },
    { "writeb", cmd_write_value, 3, 3 },
    { "writew", cmd_write_value, 3, 3 },
    { "writel", cmd_write_value, 3, 3 },
    { "writeq", cmd_write_value, 3, 3 },
    { "readb", cmd_read_value, 2, 2 },
    { "readw", cmd_read_value, 2, 2 },
    { "readl", cmd_read_value, 2, 2 },
    { "readq", cmd_read_value, 2, 2 },
    { "read", cmd_read, 3, 3 },
    { "write", cmd_write, 4, 4 },
    { "b64read", cmd_b64read, 3, 3 },
    { "b64write", cmd_b64write, 4, 4 },
    { "memset", cmd_memset, 4, 4 },
    { "endianness", cmd_endianness, 1, 1 },
    { "clock_step", cmd_clock_step, 1, 2 },
    { "clock_set", cmd_clock_set, 2, 2 },
    { "irq_intercept_in", cmd_intercept_in, 2, 2 },
    { "irq_intercept_out", cmd_intercept_out, 2, 2 },
    { "irq_intercept_out_named", cmd_intercept_out_named, 3, 3 },
    { "set_irq_in", cmd_set_irq_in, 5, 5 },
    { "module_load", cmd_module_load, 3, 3 },
};

/* Splits in place at blanks; more words than fit are counted all the same. */
static void split(char *line, Words *w)
{
    w->n = 0;
    while (*(line += strspn(line, " \t"))) {
        if (w->n < MAX_WORDS) {
            w->word[w->n] = line;
        }
        w->n++;
        line += strcspn(line, " \t");
        if (*line) {
            *line++ = '\0';
        }
    }
}

void qtest_run_line(char *line)
{
    Words words;

    split(line, &words);
    if (!words.n) {
        fail("empty line");
        return;
    }
    for (unsigned i = 0; i < G_N_ELEMENTS(commands); i++) {
        const Command *c = &commands[i];

        if (!strcmp(c->name, words.word[0])) {
            if (words.n < c->min_words || words.n > c->max_words) {
                fail("%s takes %u arguments", c->name, c->max_words - 1);
            } else {
                c->run(&words);
            }
            return;
        }
    }
    fail("Unknown command '%.40s'", words.word[0]);
}
