/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What qemu-img and qemu-io share. Contract: tools/tool.h. */
#include "util/osdep.h"
#include "tools/tool.h"

#include <math.h>
#include <signal.h>
#include <stdio.h>
#include "block/image.h"
#include "qapi/commands-qom.h"
#include "qapi/qapi.h"
#include "qapi/version.h"
#include "util/error.h"
#include "util/keyval.h"
#include "util/log.h"
#include "util/main-loop.h"
#include "util/trace.h"

/* ---- start and end ---- */

void tool_init(const char *name)
{
    error_set_program(name);
    signal(SIGPIPE, SIG_IGN);
    main_loop_init();
}

int tool_exit(int status)
{
    block_close_all();
    if (fflush(stdout) != 0 || ferror(stdout)) {
        error_report("error writing the output: %s", g_strerror(errno));
        return status ? status : 1;
    }
    return status;
}

void tool_print_version(const char *name)
{
    printf("%s version " INTERFACE_VERSION " (" PROGRAM_VERSION_TEXT ")\n", name);
}

int tool_fail(GError *error)
{
    error_report_gerror(error);
    return 1;
}

bool tool_object(const char *text, GError **error)
{
    g_autoptr(ObjectOptions) object =
        qapi_decode_option(&qapi_type_ObjectOptions, text, "qom-type", error);
    return object && qmp_object_add(object, error);
}

bool tool_trace(const char *text, bool *listed, GError **error)
{
    *listed = g_str_equal(text, "help") || g_str_equal(text, "?");
    if (*listed) {
        g_autofree char *names = trace_help();
        fputs(names, stdout);
        return true;
    }
    json_object *o = keyval_parse(text, "enable", false, NULL, error);
    bool ok = o != NULL;
    if (o) {
        json_object_object_foreach(o, key, value)
        {
            const char *v = json_object_get_string(value);
            if (!ok) {
                break;
            } else if (g_str_equal(key, "enable")) {
                trace_enable(v);
            } else if (g_str_equal(key, "events")) {
                ok = trace_enable_file(v, error);
            } else if (g_str_equal(key, "file")) {
                ok = log_set_file(v, error);
            } else {
                ok = error_set(error, "Invalid parameter '%s'", key);
            }
        }
        json_object_put(o);
    }
    return ok;
}

/* ---- numbers ---- */

/* Powers of 1024 of a suffix; -1: none. */
static int suffix_power(char c)
{
    static const char suffixes[] = "bkmgtpe";
    const char *at = c ? strchr(suffixes, g_ascii_tolower(c)) : NULL;
    return at ? (int)(at - suffixes) : -1;
}

static int parse_hex(const char *digits, char *end, uint64_t whole, uint64_t *value)
{
    int power = *end ? suffix_power(*end) : 0;
    if (end == digits || power < 0 || (*end && end[1])) {
        return -EINVAL;
    }
    if (*end) {
        warn_report("Using a multiplier suffix on hex numbers is deprecated: %s", digits - 2);
    }
    return __builtin_mul_overflow(whole, UINT64_C(1) << 10 * power, value) ? -ERANGE : 0;
}

int tool_parse_size(const char *text, uint64_t *value)
{
    while (g_ascii_isspace(*text)) {
        text++;
    }
    text += *text == '+';
    if (!g_ascii_isdigit(*text)) {
        return -EINVAL;
    }
    char *end;
    errno = 0;
    if (text[0] == '0' && g_ascii_tolower(text[1]) == 'x') {
        const char *digits = text + 2;
        uint64_t whole = g_ascii_isxdigit(*digits) ? strtoull(digits, &end, 16) : 0;
        return !g_ascii_isxdigit(*digits) ? -EINVAL
               : errno                    ? -ERANGE
                                          : parse_hex(digits, end, whole, value);
    }
    uint64_t whole = strtoull(text, &end, 10);
    if (errno) {
        return -ERANGE;
    }
    double fraction = 0;
    if (*end == '.') {
        char *dot = end++;
        if (g_ascii_isdigit(*end)) {
            end += strspn(end, "0123456789");
            g_autofree char *part = g_strndup(dot, end - dot);
            fraction = g_ascii_strtod(part, NULL);
        }
    }
    int power = *end ? suffix_power(*end) : 0;
    if (power < 0 || (*end && end[1]) || (power == 0 && fraction != 0)) {
        return -EINVAL;
    }
    uint64_t unit = UINT64_C(1) << 10 * power;
    return __builtin_mul_overflow(whole, unit, value) ||
                   __builtin_add_overflow(*value, (uint64_t)(fraction * (double)unit), value)
               ? -ERANGE
               : 0;
}

static const char *const units[] = { "bytes", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB" };

char *tool_io_size(double value)
{
    unsigned u = 0;
    while (value >= 1024 && u + 1 < G_N_ELEMENTS(units)) {
        value /= 1024;
        u++;
    }
    char number[64];
    snprintf(number, sizeof(number), u ? "%.3f" : "%f", value);
    char *dot = strchr(number, '.');
    if (dot && strspn(dot + 1, "0") == strlen(dot + 1)) {
        *dot = '\0';
    }
    return g_strdup_printf("%s %s", number, units[u]);
}

char *tool_img_size(uint64_t value)
{
    /* The unit changes where three digits would no longer do: 1000 KiB is 0.977 MiB. */
    int exponent;
    frexp((double)value / (1000.0 / 1024.0), &exponent);
    unsigned u = exponent > 0 ? (exponent - 1) / 10 : 0;
    return g_strdup_printf("%0.3g %s", (double)value / (double)(UINT64_C(1) << 10 * u),
                           u ? units[u] : "B");
}

/* ---- images ---- */

bool tool_parse_cache(const char *mode, unsigned *flags, bool *writethrough)
{
    static const struct {
        const char *name;
        unsigned flags;
        bool writethrough;
    } modes[] = {
        { "none", BLOCK_OPEN_DIRECT, false },      { "off", BLOCK_OPEN_DIRECT, false },
        { "directsync", BLOCK_OPEN_DIRECT, true }, { "writeback", 0, false },
        { "unsafe", BLOCK_OPEN_NO_FLUSH, false },  { "writethrough", 0, true },
    };
    for (unsigned i = 0; i < G_N_ELEMENTS(modes); i++) {
        if (g_str_equal(mode, modes[i].name)) {
            *flags &= ~(BLOCK_OPEN_DIRECT | BLOCK_OPEN_NO_FLUSH);
            *flags |= modes[i].flags;
            *writethrough = modes[i].writethrough;
            return true;
        }
    }
    return false;
}

bool tool_parse_discard(const char *mode, unsigned *flags)
{
    bool unmap = g_str_equal(mode, "on") || g_str_equal(mode, "unmap");
    if (!unmap && !g_str_equal(mode, "off") && !g_str_equal(mode, "ignore")) {
        return false;
    }
    *flags = unmap ? *flags | BLOCK_OPEN_UNMAP : *flags & ~BLOCK_OPEN_UNMAP;
    return true;
}

const char *tool_parse_aio(const char *mode)
{
    static const char *const modes[] = { "threads", "native", "io_uring" };
    for (unsigned i = 0; i < G_N_ELEMENTS(modes); i++) {
        if (g_str_equal(mode, modes[i])) {
            return modes[i];
        }
    }
    return NULL;
}

/* The elements without '=' of an option string. ",," belongs to a value. */
static void warn_short_forms(const char *text)
{
    while (*text) {
        size_t n = 0;
        bool assigned = false;
        while (text[n] && (text[n] != ',' || text[n + 1] == ',')) {
            assigned |= text[n] == '=';
            n += text[n] == ',' ? 2 : 1;
        }
        if (n && !assigned) {
            bool off = n > 2 && g_str_has_prefix(text, "no");
            const char *key = off ? text + 2 : text;
            int len = off ? n - 2 : n;
            warn_report("short-form boolean option '%.*s' deprecated\nPlease use %.*s=%s instead",
                        (int)n, text, len, key, off ? "off" : "on");
        }
        text += n + (text[n] == ',');
    }
}

json_object *tool_parse_options(const char *text, GError **error)
{
    if (text[0] != '{') {
        warn_short_forms(text);
    }
    return keyval_parse(text, NULL, true, NULL, error);
}

/* What the caller of tool_open() asked for beside its options. New object, or NULL with an error. */
static json_object *complete_options(const ToolOpen *open, GError **error)
{
    json_object *o = json_object_new_object();
    if (open->options) {
        json_object_object_foreach(open->options, key, value)
        {
            json_object_object_add(o, key, json_object_get(value));
        }
    }
    bool ok = true;
    if (open->format && json_object_object_get_ex(o, "driver", NULL)) {
        ok = error_set(error, "Cannot specify both 'driver' and 'format'");
    }
    if (open->format) {
        json_object_object_add(o, "driver", json_object_new_string(open->format));
    }
    if (open->aio) {
        json_object_object_add(o, "aio", json_object_new_string(open->aio));
    }
    if (open->force_share) {
        json_object_object_add(o, "force-share", json_object_new_string("on"));
    }
    if (!ok) {
        json_object_put(o);
        return NULL;
    }
    return o;
}

/* The new node, which has taken a reference to the one below; NULL if there is none. */
static BlockNode *put_on_top(BlockNode *below, BlockNode *top)
{
    block_node_unref(below);
    return top;
}

static BlockNode *open_copy_on_read(BlockNode *base, unsigned flags, GError **error)
{
    if (base->read_only) {
        error_set(error, "Can't use copy-on-read on read-only device");
        return NULL;
    }
    return block_open_cor(base, flags, error);
}

BlockFront *tool_open(const ToolOpen *open, GError **error)
{
    json_object *options = complete_options(open, error);
    if (!options) {
        return NULL;
    }
    unsigned flags = open->snapshot ? open->flags & ~BLOCK_OPEN_RDWR : open->flags;
    BlockNode *node = block_open_filename(open->filename, options, flags, error);
    json_object_put(options);
    if (node && (flags & BLOCK_OPEN_RDWR) && node->read_only) {
        error_set(error, "Block node is read-only");
        block_node_unref(node);
        node = NULL;
    }
    if (node && open->snapshot) {
        node = put_on_top(node, block_open_temporary(node, open->flags, error));
    }
    if (node && open->copy_on_read) {
        node = put_on_top(node, open_copy_on_read(node, open->flags, error));
    }
    BlockFront *front = node ? front_open_node(node, error) : NULL;
    if (front && open->writethrough) {
        front_set_write_cache(front, false);
    }
    return front;
}

/* ---- format specific information ---- */

/* Members of a driver's facts stand in this order, which is stock's and no other; those not named here follow. */
static const char *const fact_order[] = { "compat",           "data-file",      "data-file-raw",
                                          "compression-type", "lazy-refcounts", "refcount-bits",
                                          "corrupt",          "extended-l2" };

json_object *tool_specific(BlockNode *node)
{
    g_autoptr(ImageInfoSpecific) specific = block_node_info_specific(node);
    json_object *all = specific ? qapi_encode_ImageInfoSpecific(specific) : NULL;
    json_object *data = all ? json_object_object_get(all, "data") : NULL;
    if (!data || json_object_object_length(data) == 0) {
        json_object_put(all);
        return NULL;
    }
    json_object *sorted = json_object_new_object();
    for (unsigned i = 0; i < G_N_ELEMENTS(fact_order); i++) {
        json_object *v = json_object_object_get(data, fact_order[i]);
        if (v) {
            json_object_object_add(sorted, fact_order[i], json_object_get(v));
        }
    }
    json_object_object_foreach(data, key, value)
    {
        if (!json_object_object_get_ex(sorted, key, NULL)) {
            json_object_object_add(sorted, key, json_object_get(value));
        }
    }
    json_object_object_add(all, "data", sorted);
    return all;
}

static bool is_composite(json_object *value)
{
    return json_object_is_type(value, json_type_object) ||
           json_object_is_type(value, json_type_array);
}

static void print_entry(const char *key, json_object *value, int indent)
{
    g_autofree char *name = g_strdelimit(g_strdup(key), "-", ' ');
    printf("%*s%s:%s", indent * 4, "", name, is_composite(value) ? "\n" : " ");
    tool_print_value(value, indent + 1);
    if (!is_composite(value)) {
        putchar('\n');
    }
}

void tool_print_value(json_object *value, int indent)
{
    switch (json_object_get_type(value)) {
    case json_type_object: {
        json_object_object_foreach(value, key, member)
        {
            print_entry(key, member, indent);
        }
        break;
    }
    case json_type_array:
        for (size_t i = 0; i < json_object_array_length(value); i++) {
            char key[24];
            snprintf(key, sizeof(key), "[%zu]", i);
            print_entry(key, json_object_array_get_idx(value, i), indent);
        }
        break;
    case json_type_boolean:
        fputs(json_object_get_boolean(value) ? "true" : "false", stdout);
        break;
    case json_type_null:
        fputs("null", stdout);
        break;
    default:
        fputs(json_object_get_string(value), stdout);
    }
}
