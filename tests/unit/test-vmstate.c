/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The encoder and decoder of saved state and the registry of sections (vmstate/vmstate.h). */
#include "util/osdep.h"

#include <glib.h>
#include "util/clock.h"
#include "util/error.h"
#include "util/main-loop.h"
#include "vmstate/blocker.h"
#include "vmstate/vmstate.h"

/* ---- a state with one field of every shape ---- */

typedef struct Port {
    uint16_t ctrl;
    bool extra_needed;
    uint32_t extra;
} Port;

typedef struct State {
    uint8_t u8;
    uint16_t u16;
    uint32_t u32;
    uint64_t u64;
    int32_t i32;
    bool flag;
    enum { MODE_A, MODE_B, MODE_C } mode;
    uint32_t regs[4];
    uint8_t bytes[5];
    Timer timer;
    uint32_t magic;
    Port port;
    Port ports[3];
    uint8_t n_ports;
    Port vports[4];
    Port *pointer;
    Port *pointers[2];
    int32_t n_data;
    uint8_t *data;
    uint32_t late; /* since version 2 */
    bool has_opt;
    uint8_t opt;
    unsigned long bitmap[2];
    uint64_t derived; /* travels as two halves */
    bool sub_needed;
    uint32_t sub;
    unsigned pre_saves, post_saves, post_loads;
} State;

static bool extra_needed(const void *opaque)
{
    return ((const Port *)opaque)->extra_needed;
}

static const VmState vm_port_extra = {
    .name = "port/extra",
    .version = 1,
    .minimum_version = 1,
    .needed = extra_needed,
    .fields = (const VmField[]){ VM_U32(Port, extra), VM_END },
};

static const VmState vm_port = {
    .name = "port",
    .version = 1,
    .minimum_version = 1,
    .fields = (const VmField[]){ VM_U16(Port, ctrl), VM_END },
    .subsections = (const VmState *const[]){ &vm_port_extra, NULL },
};

static const VmState vm_plain_port = {
    .name = "plain",
    .version = 1,
    .minimum_version = 1,
    .fields = (const VmField[]){ VM_U16(Port, ctrl), VM_END },
};

typedef struct Halves {
    State *parent;
    uint32_t high, low;
} Halves;

static bool halves_pre_save(void *opaque, GError **error)
{
    Halves *h = opaque;
    h->high = h->parent->derived >> 32;
    h->low = h->parent->derived;
    return true;
}

static bool halves_post_load(void *opaque, int version, GError **error)
{
    Halves *h = opaque;
    h->parent->derived = (uint64_t)h->high << 32 | h->low;
    return true;
}

static const VmState vm_halves = {
    .name = "halves",
    .pre_save = halves_pre_save,
    .post_load = halves_post_load,
    .fields = (const VmField[]){ VM_U32(Halves, high), VM_U32(Halves, low), VM_END },
};

static bool mode_valid(const void *opaque, int64_t value)
{
    return value >= MODE_A && value <= MODE_C;
}

static bool has_opt(const void *opaque, int version)
{
    return ((const State *)opaque)->has_opt;
}

static bool sub_needed(const void *opaque)
{
    return ((const State *)opaque)->sub_needed;
}

static bool state_pre_save(void *opaque, GError **error)
{
    ((State *)opaque)->pre_saves++;
    return true;
}

static void state_post_save(void *opaque)
{
    ((State *)opaque)->post_saves++;
}

static bool state_post_load(void *opaque, int version, GError **error)
{
    State *s = opaque;
    s->post_loads++;
    return s->u8 != 99 || error_set(error, "nobody has 99");
}

static const VmState vm_sub = {
    .name = "state/sub",
    .version = 3,
    .minimum_version = 2,
    .needed = sub_needed,
    .fields = (const VmField[]){ VM_U32(State, sub), VM_END },
};

static const VmField state_fields[] = {
    VM_U8(State, u8),
    VM_U16(State, u16),
    VM_U32(State, u32),
    VM_U64(State, u64),
    VM_I32(State, i32),
    VM_BOOL(State, flag),
    { .name = "mode", .offset = offsetof(State, mode), .size = 4, .kind = &vm_kind_i32, .valid = mode_valid },
    VM_U32_ARRAY(State, regs, 4),
    VM_BYTES(State, bytes),
    VM_TIMER(State, timer),
    VM_UNUSED(3),
    VM_NAMED("magic_vmstate", equal_u32, uint32_t, State, magic),
    VM_STRUCT(State, port, vm_port, Port),
    VM_STRUCT_ARRAY(State, ports, 3, vm_plain_port, Port),
    VM_U8(State, n_ports),
    VM_STRUCT_VARRAY("vports", State, vports, n_ports, vm_port, Port),
    VM_STRUCT_POINTER(State, pointer, vm_plain_port, Port),
    VM_STRUCT_POINTER_ARRAY("pointers", State, pointers, 2, vm_plain_port, Port),
    VM_I32(State, n_data),
    VM_VBYTES("data", State, data, n_data, 64, VM_ALLOC),
    VM_U32_V(State, late, 2),
    VM_BOOL(State, has_opt),
    VM_NAMED_TEST("opt", u8, uint8_t, State, opt, has_opt),
    { .name = "bitmap", .offset = offsetof(State, bitmap), .size = 16, .num = 70, .kind = &vm_kind_bitmap },
    VM_WITH_TMP(Halves, vm_halves),
    VM_END,
};

static const VmState vm_state = {
    .name = "state",
    .version = 2,
    .minimum_version = 1,
    .fields = state_fields,
    .subsections = (const VmState *const[]){ &vm_sub, NULL },
    .pre_save = state_pre_save,
    .post_save = state_post_save,
    .post_load = state_post_load,
};

/* ---- helpers ---- */

static void nop(void *opaque)
{
}

static void state_init(State *s)
{
    *s = (State){ .magic = 0xabcd };
    timer_init(&s->timer, CLOCK_VIRTUAL, nop, NULL);
    s->pointer = g_new0(Port, 1);
    s->pointers[0] = g_new0(Port, 1);
    s->pointers[1] = g_new0(Port, 1);
}

static void state_clear(State *s)
{
    timer_del(&s->timer);
    g_free(s->pointer);
    g_free(s->pointers[0]);
    g_free(s->pointers[1]);
    g_free(s->data);
}

static void state_fill(State *s)
{
    s->u8 = 1;
    s->u16 = 0x0203;
    s->u32 = 0x04050607;
    s->u64 = UINT64_C(0x08090a0b0c0d0e0f);
    s->i32 = -2;
    s->flag = true;
    s->mode = MODE_B;
    for (int i = 0; i < 4; i++) {
        s->regs[i] = 0x100 + i;
        s->vports[i].ctrl = 0x3000 + i;
    }
    memcpy(s->bytes, "hello", 5);
    timer_mod(&s->timer, 123456789);
    s->port = (Port){ 0x1111, true, 0x22222222 };
    for (int i = 0; i < 3; i++) {
        s->ports[i].ctrl = 0x2000 + i;
    }
    s->n_ports = 2;
    s->vports[1] = (Port){ 0x3001, true, 7 };
    s->pointer->ctrl = 0x4000;
    s->pointers[0]->ctrl = 0x5000;
    s->pointers[1]->ctrl = 0x5001;
    s->n_data = 6;
    s->data = g_memdup2("abcdef", 6);
    s->late = 0x77777777;
    s->has_opt = true;
    s->opt = 8;
    s->bitmap[0] = 0xf0f0;
    s->bitmap[1] = 0x3f;
    s->derived = UINT64_C(0xdeadbeef12345678);
    s->sub_needed = true;
    s->sub = 0x99999999;
}

static GBytes *save(const VmState *vmsd, void *opaque, GString *desc)
{
    g_autoptr(GError) error = NULL;
    VmWriter *w = vm_writer_new();
    size_t len;
    vmstate_save(w, vmsd, opaque, desc, &error);
    g_assert_no_error(error);
    const uint8_t *data = vm_writer_data(w, &len);
    GBytes *bytes = g_bytes_new(data, len);
    vm_writer_free(w);
    return bytes;
}

static bool load(const VmState *vmsd, void *opaque, int version, const void *data, size_t len, size_t *taken,
                 GError **error)
{
    VmReader *r = vm_reader_new_from_memory(data, len);
    bool ok = vmstate_load(r, vmsd, opaque, version, error);
    if (taken) {
        *taken = vm_reader_tell(r);
    }
    vm_reader_free(r);
    return ok;
}

/* ---- round trips ---- */

static void test_round_trip(void)
{
    State a, b;
    g_autoptr(GError) error = NULL;
    size_t len, taken;
    state_init(&a);
    state_init(&b);
    state_fill(&a);
    b.u8 = 44;
    b.n_data = 2;
    b.data = g_memdup2("xx", 2);
    timer_mod(&b.timer, 5);
    g_autoptr(GBytes) first = save(&vm_state, &a, NULL);
    const uint8_t *data = g_bytes_get_data(first, &len);
    g_assert_cmpuint(a.pre_saves, ==, 1);
    g_assert_cmpuint(a.post_saves, ==, 1);
    load(&vm_state, &b, 2, data, len, &taken, &error);
    g_assert_no_error(error);
    g_assert_cmpuint(taken, ==, len);
    g_assert_cmpuint(b.post_loads, ==, 1);
    g_assert_cmphex(b.u64, ==, a.u64);
    g_assert_cmpint(b.mode, ==, MODE_B);
    g_assert_cmphex(b.vports[1].extra, ==, 7);
    g_assert_cmphex(b.vports[2].ctrl, ==, 0); /* beyond the count */
    g_assert_cmpmem(b.data, b.n_data, "abcdef", 6);
    g_assert_cmpint(timer_expire_ns(&b.timer), ==, 123456789);
    g_assert_cmphex(b.derived, ==, a.derived);
    g_assert_cmphex(b.sub, ==, a.sub);
    b.sub_needed = true;
    b.port.extra_needed = b.vports[1].extra_needed = true;
    g_autoptr(GBytes) second = save(&vm_state, &b, NULL);
    g_assert_true(g_bytes_equal(first, second));

    /* Big-endian, in table order. */
    g_assert_cmpmem(data, 16,
                    "\x01\x02\x03\x04\x05\x06\x07\x08\x09\x0a\x0b\x0c\x0d\x0e\x0f\xff", 16);
    /* The last subsection ends the section. */
    g_assert_cmpmem(data + len - 19, 19, "\x05\tstate/sub\0\0\0\x03\x99\x99\x99\x99", 19);
    state_clear(&a);
    state_clear(&b);
}

static void test_versions(void)
{
    State a, b;
    g_autoptr(GError) error = NULL;
    size_t len;
    state_init(&a);
    state_init(&b);
    state_fill(&a);
    VmState old = vm_state;
    old.version = 1;
    g_autoptr(GBytes) bytes = save(&old, &a, NULL);
    const void *data = g_bytes_get_data(bytes, &len);
    b.late = 5;
    load(&vm_state, &b, 1, data, len, NULL, &error);
    g_assert_no_error(error);
    g_assert_cmpuint(b.late, ==, 5);
    g_assert_cmphex(b.derived, ==, a.derived);
    g_assert_false(load(&vm_state, &b, 3, data, len, NULL, &error));
    g_assert_cmpstr(error->message, ==,
                    "state: version 3 of the stream is not supported, versions 1 to 2 are");
    g_clear_error(&error);
    g_assert_false(load(&vm_state, &b, 0, data, len, NULL, &error));
    g_clear_error(&error);
    state_clear(&a);
    state_clear(&b);
}

static void test_description(void)
{
    State a;
    state_init(&a);
    state_fill(&a);
    g_autoptr(GString) desc = g_string_new("{");
    g_bytes_unref(save(&vm_state, &a, desc));
    g_string_append_c(desc, '}');
    g_assert_true(g_str_has_prefix(
        desc->str, "{\"vmsd_name\": \"state\", \"version\": 2, \"fields\": [{\"name\": \"u8\", \"type\": "
                   "\"uint8\", \"size\": 1}, {\"name\": \"u16\""));
    static const char *const parts[] = {
        "{\"name\": \"regs\", \"array_len\": 4, \"type\": \"uint32\", \"size\": 4}",
        "{\"name\": \"bytes\", \"type\": \"buffer\", \"size\": 5}",
        "{\"name\": \"unused\", \"type\": \"unused_buffer\", \"size\": 3}",
        "{\"name\": \"magic_vmstate\", \"type\": \"uint32 equal\", \"size\": 4}",
        "{\"name\": \"port\", \"type\": \"struct\", \"struct\": {\"vmsd_name\": \"port\", \"version\": 1, "
        "\"fields\": [{\"name\": \"ctrl\", \"type\": \"uint16\", \"size\": 2}], \"subsections\": "
        "[{\"vmsd_name\": \"port/extra\", \"version\": 1, \"fields\": [{\"name\": \"extra\", \"type\": "
        "\"uint32\", \"size\": 4}]}]}, \"size\": 22}",
        "{\"name\": \"ports\", \"array_len\": 3, \"type\": \"struct\", \"struct\": {\"vmsd_name\": \"plain\"",
        "{\"name\": \"vports\", \"index\": 0, \"type\": \"struct\"",
        "{\"name\": \"vports\", \"index\": 1, \"type\": \"struct\"",
        "{\"name\": \"tmp\", \"type\": \"tmp\", \"vmsd_name\": \"halves\", \"version\": 0, \"fields\": "
        "[{\"name\": \"high\", \"type\": \"uint32\", \"size\": 4}, {\"name\": \"low\", \"type\": "
        "\"uint32\", \"size\": 4}], \"size\": 8}",
    };
    for (size_t i = 0; i < G_N_ELEMENTS(parts); i++) {
        if (!strstr(desc->str, parts[i])) {
            g_error("not in the description: %s\n%s", parts[i], desc->str);
        }
    }
    json_object *parsed = json_tokener_parse(desc->str);
    g_assert_nonnull(parsed);
    json_object_put(parsed);
    json_object *fixed = vmstate_describe(&vm_state);
    g_assert_nonnull(strstr(json_object_to_json_string(fixed), "\"vbuffer\": 64"));
    json_object_put(fixed);
    state_clear(&a);
}

/* ---- bad input ---- */

static void expect_bad(const uint8_t *data, size_t len, const char *want)
{
    g_autoptr(GError) error = NULL;
    State b;
    state_init(&b);
    g_assert_false(load(&vm_state, &b, 2, data, len, NULL, &error));
    if (want) {
        g_assert_cmpstr(error->message, ==, want);
    }
    state_clear(&b);
}

static void test_bad_values(void)
{
    State a;
    size_t len;
    state_init(&a);
    state_fill(&a);
    struct {
        void *where;
        size_t size;
        uint32_t value;
        const char *want;
    } cases[] = {
        { &a.mode, 4, 3, "state: field 'mode': the value 3 is out of range" },
        { &a.mode, 4, -1, "state: field 'mode': the value -1 is out of range" },
        { &a.magic, 4, 1, "state: field 'magic_vmstate': 1 in the stream, 43981 here" },
        { &a.u8, 1, 99, "state: nobody has 99" },
    };
    for (size_t i = 0; i < G_N_ELEMENTS(cases); i++) {
        uint64_t keep = 0;
        memcpy(&keep, cases[i].where, cases[i].size);
        memcpy(cases[i].where, &cases[i].value, cases[i].size);
        g_autoptr(GBytes) bytes = save(&vm_state, &a, NULL);
        const uint8_t *data = g_bytes_get_data(bytes, &len);
        expect_bad(data, len, cases[i].want);
        memcpy(cases[i].where, &keep, cases[i].size);
    }
    /* Counts, where they are in the stream. */
    g_autoptr(GBytes) bytes = save(&vm_state, &a, NULL);
    const uint8_t *data = g_bytes_get_data(bytes, &len);
    g_autofree uint8_t *copy = g_memdup2(data, len);
    uint8_t *vports = memmem(copy, len, "\x20\x02\x02\x30\x00", 5) + 2;
    *vports = 5;
    expect_bad(copy, len, "state: field 'vports': a count of 5, at most 4 fit");
    *vports = 2;
    uint8_t *n_data = memmem(copy, len, "\0\0\0\x06" "abcdef", 10);
    n_data[3] = 65;
    expect_bad(copy, len, "state: field 'data': a count of 65, at most 64 fit");
    n_data[0] = 0xff;
    expect_bad(copy, len, "state: field 'data': a count of -16777151, at most 64 fit");
    n_data[0] = 0;
    n_data[3] = 6;
    uint8_t *name = memmem(copy, len, "state/sub", 9);
    name[8] = 'x';
    expect_bad(copy, len, "state: the subsection 'state/sux' is unknown here");
    name[8] = 'b';
    name[12] = 4;
    expect_bad(copy, len, "state/sub: version 4 of the stream is not supported, versions 2 to 3 are");
    name[12] = 1;
    expect_bad(copy, len, "state/sub: version 1 of the stream is not supported, versions 2 to 3 are");
    name[9] = 0xff;
    expect_bad(copy, len, "state/sub: version 4278190081 of the stream is not supported");
    state_clear(&a);
}

static void test_truncated(void)
{
    State a;
    size_t len;
    state_init(&a);
    state_fill(&a);
    g_autoptr(GBytes) bytes = save(&vm_state, &a, NULL);
    const uint8_t *data = g_bytes_get_data(bytes, &len);
    size_t whole = len - 19; /* without the subsection it is complete as well */
    for (size_t n = 0; n < len; n++) {
        g_autofree uint8_t *copy = g_memdup2(data, MAX(n, 1)); /* exact, for the sanitizer */
        g_autoptr(GError) error = NULL;
        State b;
        state_init(&b);
        size_t taken;
        bool ok = load(&vm_state, &b, 2, copy, n, &taken, &error);
        g_assert_true(ok == (error == NULL));
        if (ok) {
            g_assert_cmpuint(n, >=, whole);
            g_assert_cmpuint(taken, ==, whole);
        }
        state_clear(&b);
    }
    state_clear(&a);
}

static void test_bit_flips(void)
{
    State a;
    size_t len;
    unsigned refused = 0;
    state_init(&a);
    state_fill(&a);
    g_autoptr(GBytes) bytes = save(&vm_state, &a, NULL);
    const uint8_t *data = g_bytes_get_data(bytes, &len);
    g_autofree uint8_t *copy = g_memdup2(data, len);
    for (size_t bit = 0; bit < 8 * len; bit++) {
        g_autoptr(GError) error = NULL;
        State b;
        state_init(&b);
        copy[bit / 8] ^= 1 << bit % 8;
        bool ok = load(&vm_state, &b, 2, copy, len, NULL, &error);
        g_assert_true(ok == (error == NULL));
        refused += !ok;
        copy[bit / 8] ^= 1 << bit % 8;
        state_clear(&b);
    }
    g_assert_cmpuint(refused, >, 50);
    state_clear(&a);
}

/* ---- the mark byte that belongs to somebody else ---- */

typedef struct Outer {
    Port inner;
    uint8_t next;
    char text[12];
} Outer;

static const VmState vm_outer = {
    .name = "outer",
    .version = 1,
    .fields = (const VmField[]){ VM_STRUCT(Outer, inner, vm_port, Port), VM_U8(Outer, next),
                                 VM_BYTES(Outer, text), VM_END },
};

static void test_mark_of_another(void)
{
    static const char *const texts[] = { "\4portxxxxxxx", "\xffport/extra", "\x09othername/x", "" };
    for (size_t i = 0; i < G_N_ELEMENTS(texts); i++) {
        Outer a = { .inner = { 0x1234, i & 1, 9 }, .next = 5 }, b = { 0 };
        g_autoptr(GError) error = NULL;
        size_t len, taken;
        memcpy(a.text, texts[i], strlen(texts[i]));
        g_autoptr(GBytes) bytes = save(&vm_outer, &a, NULL);
        const void *data = g_bytes_get_data(bytes, &len);
        load(&vm_outer, &b, 1, data, len, &taken, &error);
        g_assert_no_error(error);
        g_assert_cmpuint(taken, ==, len);
        g_assert_cmpuint(b.next, ==, 5);
        g_assert_cmpmem(a.text, 12, b.text, 12);
    }
}

/* ---- saving what cannot be saved ---- */

static bool refuse(void *opaque, GError **error)
{
    return error_set(error, "not now");
}

static void test_save_errors(void)
{
    g_autoptr(GError) error = NULL;
    State a;
    VmWriter *w = vm_writer_new();
    state_init(&a);
    a.n_ports = 9;
    g_assert_false(vmstate_save(w, &vm_state, &a, NULL, &error));
    g_assert_cmpstr(error->message, ==, "state: field 'vports': a count of 9, at most 4 fit");
    g_clear_error(&error);
    a.n_ports = 0;
    Port *keep = g_steal_pointer(&a.pointer);
    g_assert_false(vmstate_save(w, &vm_state, &a, NULL, &error));
    g_assert_cmpstr(error->message, ==, "state: field 'pointer': there is nothing that it points to");
    g_clear_error(&error);
    a.pointer = keep;
    VmState refusing = vm_state;
    refusing.pre_save = refuse;
    g_assert_false(vmstate_save(w, &refusing, &a, NULL, &error));
    g_assert_cmpstr(error->message, ==, "state: not now");
    vm_writer_free(w);
    state_clear(&a);
}

/* ---- the reader ---- */

typedef struct Slow {
    const uint8_t *data;
    size_t len, pos;
    size_t step;
    bool fail;
} Slow;

static ssize_t slow_read(void *opaque, void *buf, size_t len, GError **error)
{
    Slow *s = opaque;
    if (s->fail && s->pos == s->len) {
        error_set(error, "the cable is cut");
        return -1;
    }
    size_t n = MIN(MIN(len, s->step), s->len - s->pos);
    memcpy(buf, s->data + s->pos, n);
    s->pos += n;
    return n;
}

static void test_reader(void)
{
    const size_t len = 300000;
    g_autofree uint8_t *data = g_malloc(len), *out = g_malloc(len);
    for (size_t i = 0; i < len; i++) {
        data[i] = i * 7 + i / 256;
    }
    static const size_t steps[] = { 1, 7, 4096, 1 << 20 };
    for (size_t i = 0; i < G_N_ELEMENTS(steps); i++) {
        Slow slow = { data, len, 0, steps[i], true };
        VmReader *r = vm_reader_new(&(VmSource){ slow_read, &slow });
        uint8_t peek[1024];
        g_autoptr(GError) error = NULL;
        g_assert_cmpuint(vm_peek_bytes(r, peek, 1024, 500), ==, 1024);
        g_assert_cmpmem(peek, 1024, data + 500, 1024);
        g_assert_cmphex(vm_get_be16(r), ==, data[0] << 8 | data[1]);
        g_assert_true(vm_get_bytes(r, out, 100000));
        g_assert_cmpmem(out, 100000, data + 2, 100000);
        g_assert_true(vm_skip_bytes(r, 99998));
        g_assert_cmpuint(vm_reader_tell(r), ==, 200000);
        g_assert_cmpuint(vm_get_u8(r), ==, data[200000]);
        g_assert_true(vm_get_bytes(r, out, 99990));
        g_assert_cmpmem(out, 99990, data + 200001, 99990);
        g_assert_cmpuint(vm_peek_bytes(r, peek, 1024, 0), ==, 9);
        vm_get_be64(r);
        g_assert_cmpuint(vm_get_be64(r), ==, 0);
        g_assert_false(vm_reader_check(r, &error));
        g_assert_cmpstr(error->message, ==, "the cable is cut");
        g_assert_false(vm_reader_fail(r, "a second one"));
        vm_reader_free(r);
    }
    VmReader *r = vm_reader_new_from_memory("\x03" "abc" "\x02" "a\0" "\x05", 8);
    char name[256];
    g_assert_true(vm_get_counted_string(r, name));
    g_assert_cmpstr(name, ==, "abc");
    g_assert_false(vm_get_counted_string(r, name));
    vm_reader_free(r);
}

static ssize_t slow_readv(void *opaque, const struct iovec *iov, unsigned niov, GError **error)
{
    ssize_t total = 0;
    for (unsigned i = 0; i < niov; i++) {
        ssize_t n = slow_read(opaque, iov[i].iov_base, iov[i].iov_len, error);
        total += MAX(n, 0);
        if (n < (ssize_t)iov[i].iov_len) {
            break;
        }
    }
    return total;
}

static void test_reader_scattered(void)
{
    const size_t len = 100000;
    g_autofree uint8_t *data = g_malloc(len), *out = g_malloc(len);
    for (size_t i = 0; i < len; i++) {
        data[i] = i * 11 + i / 256;
    }
    Slow slow = { data, len, 0, 1000000, false };
    VmReader *r = vm_reader_new(&(VmSource){ slow_read, &slow, slow_readv });
    g_assert_cmphex(vm_get_u8(r), ==, data[0]);
    struct iovec iov[2] = { { out, 10 }, { out + 10, 5000 } };
    g_assert_cmpuint(vm_read_scattered(r, iov, 2), ==, 0); /* not while something is buffered */
    size_t have = vm_take_buffered(r, out, len);
    g_assert_cmpuint(have, ==, 65535);
    g_assert_cmpmem(out, have, data + 1, have);
    g_assert_cmpuint(vm_read_scattered(r, iov, 2), ==, 5010);
    g_assert_cmpmem(out, 5010, data + 65536, 5010);
    g_assert_cmpuint(vm_reader_tell(r), ==, 65536 + 5010);
    vm_reader_unread(r, iov, 2);
    g_assert_cmpuint(vm_reader_tell(r), ==, 65536);
    g_assert_true(vm_get_bytes(r, out, 20000));
    g_assert_cmpmem(out, 20000, data + 65536, 20000);
    g_assert_cmpuint(vm_take_buffered(r, out, len), ==, len - 85536);
    g_assert_cmpuint(vm_read_scattered(r, iov, 2), ==, 0);
    g_assert_false(vm_reader_ok(r));
    vm_reader_free(r);
}

/* ---- registry ---- */

static bool add_name(VmSection *section, void *opaque)
{
    g_string_append_printf(opaque, "%s/%u ", section->idstr, section->instance_id);
    return true;
}

static void test_registry(void)
{
    static const VmState early = { .name = "early", .priority = VM_PRIORITY_PCI_BUS };
    g_autoptr(GString) names = g_string_new(NULL);
    VmSection *a = vmstate_register("a", 0, &vm_port, NULL);
    VmSection *d0 = vmstate_register("dma", VM_INSTANCE_ANY, &vm_port, NULL);
    VmSection *ram = vmstate_register_handlers("ram", 0, 4, &vm_port, NULL);
    VmSection *e = vmstate_register("early", 0, &early, NULL);
    VmSection *d1 = vmstate_register("dma", VM_INSTANCE_ANY, &vm_port, NULL);
    VmSection *e2 = vmstate_register("early2", 0, &early, NULL);
    g_assert_true(vmstate_foreach(add_name, names));
    g_assert_cmpstr(names->str, ==, "early/0 early2/0 a/0 dma/0 ram/0 dma/1 ");
    g_assert_true(vmstate_find("dma", 1) == d1);
    g_assert_null(vmstate_find("dma", 2));
    g_assert_cmpint(ram->version, ==, 4);
    a->compat_idstr = "olda";
    g_assert_true(vmstate_find("olda", 0) == a);
    g_assert_cmpuint(d1->section_id, >, d0->section_id);
    vmstate_unregister(d0);
    g_assert_null(vmstate_find("dma", 0));
    vmstate_unregister(a);
    vmstate_unregister(ram);
    vmstate_unregister(e);
    vmstate_unregister(d1);
    vmstate_unregister(e2);
    vmstate_unregister(NULL);
}

static void add_reason(const char *reason, void *opaque)
{
    g_string_append_printf(opaque, "%s; ", reason);
}

static void test_blockers(void)
{
    g_autoptr(GError) error = NULL;
    g_autoptr(GString) reasons = g_string_new(NULL);
    VmBlocker *a = vmstate_block(&error, "the %s is on fire", "disk");
    VmSection *bad = vmstate_register("toaster", 0, &vm_port, NULL);
    bad->unmigratable = true;
    bad->reason = "bread inside";
    vmstate_foreach_reason(add_reason, reasons);
    g_assert_cmpstr(reasons->str, ==,
                    "the disk is on fire; State blocked by non-migratable device 'toaster': bread inside; ");
    vmstate_unblock(a);
    vmstate_unblock(NULL);
    vmstate_unregister(bad);
    g_string_truncate(reasons, 0);
    vmstate_foreach_reason(add_reason, reasons);
    g_assert_cmpstr(reasons->str, ==, "");
    vmstate_set_only_migratable(true);
    g_assert_null(vmstate_block(&error, "x"));
    g_assert_cmpstr(error->message, ==, "disallowing migration blocker (--only-migratable) for: x");
    g_clear_error(&error);
    vmstate_set_only_migratable(false);
    vmstate_freeze();
    g_assert_true(vmstate_frozen());
    g_assert_null(vmstate_block(&error, "x"));
    vmstate_thaw();
    g_assert_false(vmstate_frozen());
    g_clear_error(&error);
    g_assert_true(vmstate_check_postcopy(&error));
    a = vmstate_block_postcopy("the %s is slow", "disk");
    VmBlocker *b = vmstate_block_postcopy("the moon is full");
    g_assert_false(vmstate_check_postcopy(&error));
    g_assert_cmpstr(error->message, ==, "the disk is slow");
    vmstate_foreach_reason(add_reason, reasons); /* of any migration: none */
    g_assert_cmpstr(reasons->str, ==, "");
    vmstate_unblock(a);
    vmstate_unblock(b);
    g_assert_true(vmstate_check_postcopy(NULL));
}

static void test_speed(void)
{
    State a;
    if (!g_test_perf()) {
        g_test_skip("only with -m perf");
        return;
    }
    state_init(&a);
    state_fill(&a);
    VmWriter *w = vm_writer_new();
    g_autoptr(GString) desc = g_string_new(NULL);
    g_test_timer_start();
    for (int i = 0; i < 10000; i++) {
        g_string_assign(desc, "{");
        vm_writer_reset(w);
        vmstate_save(w, &vm_state, &a, desc, NULL);
    }
    double us = g_test_timer_elapsed() * 100;
    g_test_message("%.2f us for %zu bytes and %zu of description", us, vm_writer_tell(w), desc->len);
    vm_writer_free(w);
    state_clear(&a);
}

/* As virtio has it: a thousand queues of a few words, of which a device uses few. */
typedef struct Ring {
    uint16_t num;
    bool enabled;
    uint32_t desc[2], avail[2], used[2];
} Ring;

typedef struct Rings {
    Ring ring[1024];
} Rings;

static const VmState vm_ring = {
    .name = "ring",
    .version = 1,
    .minimum_version = 1,
    .fields = (const VmField[]){ VM_U16(Ring, num), VM_BOOL(Ring, enabled), VM_U32_ARRAY(Ring, desc, 2), VM_U32_ARRAY(Ring, avail, 2),
                                 VM_U32_ARRAY(Ring, used, 2), VM_END },
};

static const VmState vm_rings = {
    .name = "rings",
    .version = 1,
    .minimum_version = 1,
    .fields = (const VmField[]){ VM_STRUCT_ARRAY(Rings, ring, 1024, vm_ring, Ring), VM_END },
};

static void test_speed_of_many(void)
{
    if (!g_test_perf()) {
        g_test_skip("only with -m perf");
        return;
    }
    g_autofree Rings *rings = g_new0(Rings, 1);
    VmWriter *w = vm_writer_new();
    g_autoptr(GString) desc = g_string_new(NULL);
    g_test_timer_start();
    for (int i = 0; i < 1000; i++) {
        g_string_assign(desc, "{");
        vm_writer_reset(w);
        vmstate_save(w, &vm_rings, rings, desc, NULL);
    }
    double saved = g_test_timer_elapsed() * 1000;
    size_t len;
    const uint8_t *data = vm_writer_data(w, &len);
    g_test_timer_start();
    for (int i = 0; i < 1000; i++) {
        VmReader *r = vm_reader_new_from_memory(data, len);
        g_assert_true(vmstate_load(r, &vm_rings, rings, 1, NULL));
        vm_reader_free(r);
    }
    g_test_message("%.2f us to save %zu bytes, %.2f us to load them", saved, len, g_test_timer_elapsed() * 1000);
    vm_writer_free(w);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    main_loop_init();
    g_test_add_func("/vmstate/round-trip", test_round_trip);
    g_test_add_func("/vmstate/versions", test_versions);
    g_test_add_func("/vmstate/description", test_description);
    g_test_add_func("/vmstate/bad-values", test_bad_values);
    g_test_add_func("/vmstate/truncated", test_truncated);
    g_test_add_func("/vmstate/bit-flips", test_bit_flips);
    g_test_add_func("/vmstate/mark-of-another", test_mark_of_another);
    g_test_add_func("/vmstate/save-errors", test_save_errors);
    g_test_add_func("/vmstate/reader", test_reader);
    g_test_add_func("/vmstate/reader-scattered", test_reader_scattered);
    g_test_add_func("/vmstate/registry", test_registry);
    g_test_add_func("/vmstate/blockers", test_blockers);
    g_test_add_func("/vmstate/speed", test_speed);
    g_test_add_func("/vmstate/speed-of-many", test_speed_of_many);
    return g_test_run();
}
