/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Writing AML. See the header. */
#include "util/osdep.h"

#include "hw/acpi/aml.h"
#include "util/bytes.h"

enum {
    OP_ZERO = 0x00,
    OP_ONE = 0x01,
    OP_NAME = 0x08,
    OP_BYTE = 0x0a,
    OP_WORD = 0x0b,
    OP_DWORD = 0x0c,
    OP_STRING = 0x0d,
    OP_SCOPE = 0x10,
    OP_BUFFER = 0x11,
    OP_PACKAGE = 0x12,
    OP_EXTERNAL = 0x15,
    OP_METHOD = 0x14,
    OP_DUAL_NAME = 0x2e,
    OP_MULTI_NAME = 0x2f,
    OP_EXTENDED = 0x5b,
    OP_ARG0 = 0x68,
    OP_DEVICE = 0x82, /* extended */
    OP_NOTIFY = 0x86,
    OP_EQUAL = 0x93,
    OP_IF = 0xa0,
    OP_RETURN = 0xa4,
};

static void put(GByteArray *aml, uint8_t byte)
{
    g_byte_array_append(aml, &byte, 1);
}

/* A name segment: four characters, filled up with underscores. */
static void put_segment(GByteArray *aml, const char *segment, size_t len)
{
    uint8_t name[4] = { '_', '_', '_', '_' };

    g_assert(len > 0 && len <= 4);
    memcpy(name, segment, len);
    g_byte_array_append(aml, name, 4);
}

void aml_path(GByteArray *aml, const char *name)
{
    g_auto(GStrv) segments = NULL;
    unsigned n;

    if (*name == '\\') {
        put(aml, '\\');
        name++;
    }
    segments = g_strsplit(name, ".", -1);
    n = g_strv_length(segments);
    if (n == 2) {
        put(aml, OP_DUAL_NAME);
    } else if (n > 2) {
        put(aml, OP_MULTI_NAME);
        put(aml, n);
    }
    for (unsigned i = 0; i < n; i++) {
        put_segment(aml, segments[i], strlen(segments[i]));
    }
}

/* PkgLength (20.2.4): itself counts, in 1 to 4 bytes. */
void aml_close(GByteArray *aml, size_t term)
{
    size_t len = aml->len - term;
    uint8_t bytes[4];
    unsigned n = len + 1 < 1 << 6 ? 1 : len + 2 < 1 << 12 ? 2 : len + 3 < 1 << 20 ? 3 : 4;

    len += n;
    g_assert(len < 1 << 28);
    if (n == 1) {
        bytes[0] = len;
    } else {
        bytes[0] = (n - 1) << 6 | (len & 0xf);
        for (unsigned i = 1; i < n; i++) {
            bytes[i] = len >> (4 + 8 * (i - 1));
        }
    }
    g_byte_array_set_size(aml, aml->len + n);
    memmove(aml->data + term + n, aml->data + term, aml->len - n - term);
    memcpy(aml->data + term, bytes, n);
}

size_t aml_open_scope(GByteArray *aml, const char *name)
{
    size_t term;

    put(aml, OP_SCOPE);
    term = aml->len;
    aml_path(aml, name);
    return term;
}

size_t aml_open_device(GByteArray *aml, const char *name)
{
    size_t term;

    put(aml, OP_EXTENDED);
    put(aml, OP_DEVICE);
    term = aml->len;
    aml_path(aml, name);
    return term;
}

size_t aml_open_method(GByteArray *aml, const char *name, unsigned args, bool serialized)
{
    size_t term;

    put(aml, OP_METHOD);
    term = aml->len;
    aml_path(aml, name);
    put(aml, args | (serialized ? 1 << 3 : 0));
    return term;
}

size_t aml_open_if(GByteArray *aml)
{
    put(aml, OP_IF);
    return aml->len;
}

size_t aml_open_package(GByteArray *aml, unsigned count)
{
    size_t term;

    put(aml, OP_PACKAGE);
    term = aml->len;
    put(aml, count);
    return term;
}

void aml_external(GByteArray *aml, const char *name, uint8_t type, unsigned args)
{
    put(aml, OP_EXTERNAL);
    aml_path(aml, name);
    put(aml, type);
    put(aml, args);
}

void aml_name(GByteArray *aml, const char *name)
{
    put(aml, OP_NAME);
    aml_path(aml, name);
}

void aml_integer(GByteArray *aml, uint32_t value)
{
    uint8_t bytes[4];

    store_le32(bytes, value);
    if (value <= 1) {
        put(aml, value ? OP_ONE : OP_ZERO);
    } else if (value <= UINT8_MAX) {
        put(aml, OP_BYTE);
        g_byte_array_append(aml, bytes, 1);
    } else if (value <= UINT16_MAX) {
        put(aml, OP_WORD);
        g_byte_array_append(aml, bytes, 2);
    } else {
        put(aml, OP_DWORD);
        g_byte_array_append(aml, bytes, 4);
    }
}

void aml_string(GByteArray *aml, const char *text)
{
    put(aml, OP_STRING);
    g_byte_array_append(aml, (const uint8_t *)text, strlen(text) + 1);
}

void aml_buffer(GByteArray *aml, const void *data, size_t len)
{
    size_t term;

    put(aml, OP_BUFFER);
    term = aml->len;
    aml_integer(aml, len);
    g_byte_array_append(aml, data, len);
    aml_close(aml, term);
}

void aml_arg(GByteArray *aml, unsigned n)
{
    g_assert(n < 7);
    put(aml, OP_ARG0 + n);
}

void aml_return(GByteArray *aml)
{
    put(aml, OP_RETURN);
}

void aml_equal(GByteArray *aml)
{
    put(aml, OP_EQUAL);
}

void aml_notify(GByteArray *aml)
{
    put(aml, OP_NOTIFY);
}

uint8_t *aml_find_name(uint8_t *aml, size_t len, const char name[4])
{
    for (size_t i = 0; i + 5 < len; i++) {
        if (aml[i] == OP_NAME && !memcmp(aml + i + 1, name, 4)) {
            return aml + i + 5;
        }
        /* a name at the root is written with its backslash */
        if (aml[i] == OP_NAME && aml[i + 1] == '\\' && i + 6 < len &&
            !memcmp(aml + i + 2, name, 4)) {
            return aml + i + 6;
        }
    }
    g_assert_not_reached();
}
