/* SPDX-License-Identifier: GPL-2.0-or-later */
/* How single values look on the wire; see vmstate/vmstate.h. */
#include "util/osdep.h"
#include "vmstate/vmstate.h"

#include "util/bitmap.h"
#include "util/clock.h"
#include "util/error.h"

/* ---- integers: big-endian ---- */

#define INT_KIND(kind_, name_, ctype_, puter, getter)                                                    \
    static bool put_##kind_(VmWriter *w, const void *elem, size_t size, const VmField *field,           \
                            GError **error)                                                             \
    {                                                                                                   \
        puter(w, *(const ctype_ *)elem);                                                                \
        return true;                                                                                    \
    }                                                                                                   \
    static bool get_##kind_(VmReader *r, void *elem, size_t size, const VmField *field, GError **error) \
    {                                                                                                   \
        ctype_ value = getter(r);                                                                       \
        if (vm_reader_ok(r)) {                                                                          \
            *(ctype_ *)elem = value;                                                                    \
        }                                                                                               \
        return vm_reader_check(r, error);                                                               \
    }                                                                                                   \
    const VmKind vm_kind_##kind_ = { .name = name_, .put = put_##kind_, .get = get_##kind_ };

INT_KIND(u8, "uint8", uint8_t, vm_put_u8, vm_get_u8)
INT_KIND(u16, "uint16", uint16_t, vm_put_be16, vm_get_be16)
INT_KIND(u32, "uint32", uint32_t, vm_put_be32, vm_get_be32)
INT_KIND(u64, "uint64", uint64_t, vm_put_be64, vm_get_be64)
INT_KIND(i8, "int8", int8_t, vm_put_u8, vm_get_u8)
INT_KIND(i16, "int16", int16_t, vm_put_be16, vm_get_be16)
INT_KIND(i32, "int32", int32_t, vm_put_be32, vm_get_be32)
INT_KIND(i64, "int64", int64_t, vm_put_be64, vm_get_be64)

/* Any byte but zero is true, so that a bool never holds anything else. */
static bool put_bool(VmWriter *w, const void *elem, size_t size, const VmField *field, GError **error)
{
    vm_put_u8(w, *(const bool *)elem);
    return true;
}

static bool get_bool(VmReader *r, void *elem, size_t size, const VmField *field, GError **error)
{
    *(bool *)elem = vm_get_u8(r) != 0;
    return vm_reader_check(r, error);
}

const VmKind vm_kind_bool = { .name = "bool", .put = put_bool, .get = get_bool };

/* ---- integers that must equal what the destination has ---- */

#define EQUAL_KIND(kind_, name_, ctype_, base_, getter)                                                 \
    static bool get_##kind_(VmReader *r, void *elem, size_t size, const VmField *field, GError **error) \
    {                                                                                                   \
        ctype_ value = getter(r), here = *(ctype_ *)elem;                                               \
        if (!vm_reader_check(r, error)) {                                                               \
            return false;                                                                               \
        }                                                                                               \
        return value == here || error_set(error, "%" PRIu64 " in the stream, %" PRIu64 " here",         \
                                          (uint64_t)value, (uint64_t)here);                             \
    }                                                                                                   \
    const VmKind vm_kind_##kind_ = { .name = name_, .put = put_##base_, .get = get_##kind_ };

EQUAL_KIND(equal_u8, "uint8 equal", uint8_t, u8, vm_get_u8)
EQUAL_KIND(equal_u16, "uint16 equal", uint16_t, u16, vm_get_be16)
EQUAL_KIND(equal_u32, "uint32 equal", uint32_t, u32, vm_get_be32)
EQUAL_KIND(equal_i32, "int32 equal", int32_t, i32, vm_get_be32)
EQUAL_KIND(equal_u64, "int64 equal", uint64_t, u64, vm_get_be64)

static bool get_i32_at_most(VmReader *r, void *elem, size_t size, const VmField *field, GError **error)
{
    int32_t value = vm_get_be32(r), here = *(int32_t *)elem;
    if (!vm_reader_check(r, error)) {
        return false;
    }
    if (value < 0 || value > here) {
        return error_set(error, "%" PRId32 " in the stream, at most %" PRId32 " here", value, here);
    }
    *(int32_t *)elem = value;
    return true;
}

const VmKind vm_kind_i32_at_most = { .name = "int32 le", .put = put_i32, .get = get_i32_at_most };

/* ---- bytes ---- */

static bool put_buffer(VmWriter *w, const void *elem, size_t size, const VmField *field, GError **error)
{
    vm_put_bytes(w, elem, size);
    return true;
}

static bool get_buffer(VmReader *r, void *elem, size_t size, const VmField *field, GError **error)
{
    return vm_get_bytes(r, elem, size) || vm_reader_check(r, error);
}

const VmKind vm_kind_buffer = { .name = "buffer", .put = put_buffer, .get = get_buffer };

static bool put_unused(VmWriter *w, const void *elem, size_t size, const VmField *field, GError **error)
{
    static const uint8_t zeros[256];
    for (size_t n; size; size -= n) {
        n = MIN(size, sizeof(zeros));
        vm_put_bytes(w, zeros, n);
    }
    return true;
}

static bool get_unused(VmReader *r, void *elem, size_t size, const VmField *field, GError **error)
{
    return vm_skip_bytes(r, size) || vm_reader_check(r, error);
}

const VmKind vm_kind_unused = { .name = "unused_buffer", .put = put_unused, .get = get_unused };

/* ---- timers: the expiry, all ones if it is not pending ---- */

static bool put_timer(VmWriter *w, const void *elem, size_t size, const VmField *field, GError **error)
{
    vm_put_be64(w, timer_expire_ns(elem));
    return true;
}

static bool get_timer(VmReader *r, void *elem, size_t size, const VmField *field, GError **error)
{
    int64_t ns = vm_get_be64(r);
    if (!vm_reader_check(r, error)) {
        return false;
    }
    if (ns == -1) {
        timer_del(elem);
    } else if (ns < 0) {
        return error_set(error, "a timer at the negative time %" PRId64, ns);
    } else {
        timer_mod(elem, ns);
    }
    return true;
}

const VmKind vm_kind_timer = { .name = "timer", .put = put_timer, .get = get_timer };

/* ---- bitmaps: words of 64 bits, bits past the end are zero ---- */

static bool put_bitmap(VmWriter *w, const void *elem, size_t size, const VmField *field, GError **error)
{
    const unsigned long *map = elem;
    for (size_t i = 0; i < BITS_TO_LONGS(field->num); i++) {
        vm_put_be64(w, map[i]);
    }
    return true;
}

static bool get_bitmap(VmReader *r, void *elem, size_t size, const VmField *field, GError **error)
{
    unsigned long *map = elem;
    for (size_t i = 0; i < BITS_TO_LONGS(field->num); i++) {
        map[i] = vm_get_be64(r);
    }
    if (field->num % BITS_PER_LONG) {
        map[field->num / BITS_PER_LONG] &= (1UL << field->num % BITS_PER_LONG) - 1;
    }
    return vm_reader_check(r, error);
}

const VmKind vm_kind_bitmap = { .name = "bitmap", .put = put_bitmap, .get = get_bitmap };
