/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Compression of multifd packets. A channel is one endless zlib (RFC 1950) or Zstandard (RFC 8878) stream that is
 * flushed at the end of each packet, so that a packet can be read without the next one.
 */
#include "util/osdep.h"
#include "multifd.h"

#include <zlib.h>
#include <zstd.h>
#include "options.h"
#include "util/error.h"
#include "write.h"

struct MultifdCodec {
    uint32_t flag;
    bool compress;
    z_stream z;
    ZSTD_CCtx *cctx;
    ZSTD_DCtx *dctx;
    uint8_t *pages; /* compressing: a copy, as the guest may write them meanwhile */
    uint8_t *out;
};

uint32_t multifd_codec_flag(void)
{
    switch (migration_multifd_compression()) {
    case MULTI_FD_COMPRESSION_ZLIB:
        return MULTIFD_ZLIB;
    case MULTI_FD_COMPRESSION_ZSTD:
        return MULTIFD_ZSTD;
    default:
        return 0;
    }
}

static bool init_zlib(MultifdCodec *codec, GError **error)
{
    int r = codec->compress ? deflateInit(&codec->z, migration_multifd_zlib_level())
                            : inflateInit(&codec->z);
    return r == Z_OK || error_set(error, "zlib cannot start: error %d", r);
}

static bool init_zstd(MultifdCodec *codec, GError **error)
{
    if (!codec->compress) {
        codec->dctx = ZSTD_createDCtx();
        return codec->dctx || error_set(error, "zstd cannot start");
    }
    codec->cctx = ZSTD_createCCtx();
    if (!codec->cctx || ZSTD_isError(ZSTD_CCtx_setParameter(codec->cctx, ZSTD_c_compressionLevel,
                                                            migration_multifd_zstd_level()))) {
        return error_set(error, "zstd cannot start");
    }
    return true;
}

MultifdCodec *multifd_codec_new(bool compress, GError **error)
{
    MultifdCodec *codec = g_new0(MultifdCodec, 1);
    codec->flag = multifd_codec_flag();
    codec->compress = compress;
    if (!(codec->flag == MULTIFD_ZLIB ? init_zlib(codec, error) : init_zstd(codec, error))) {
        codec->flag = codec->flag == MULTIFD_ZLIB ? 0 : codec->flag;
        multifd_codec_free(codec);
        return NULL;
    }
    if (compress) {
        codec->pages = g_malloc(MULTIFD_PAGES * GUEST_PAGE_SIZE);
        codec->out = g_malloc(MULTIFD_DATA_MAX);
    }
    return codec;
}

void multifd_codec_free(MultifdCodec *codec)
{
    if (!codec) {
        return;
    }
    if (codec->flag == MULTIFD_ZLIB) {
        (codec->compress ? deflateEnd : inflateEnd)(&codec->z);
    }
    ZSTD_freeCCtx(codec->cctx);
    ZSTD_freeDCtx(codec->dctx);
    g_free(codec->pages);
    g_free(codec->out);
    g_free(codec);
}

bool multifd_pack(MultifdCodec *codec, const struct iovec *pages, unsigned n, const uint8_t **data,
                  size_t *len, GError **error)
{
    size_t size = n * GUEST_PAGE_SIZE;
    g_assert(n <= MULTIFD_PAGES);
    read_guest_pages(codec->pages, pages, n);
    *data = codec->out;
    if (codec->flag == MULTIFD_ZLIB) {
        codec->z.next_in = codec->pages;
        codec->z.avail_in = size;
        codec->z.next_out = codec->out;
        codec->z.avail_out = MULTIFD_DATA_MAX;
        if (deflate(&codec->z, Z_SYNC_FLUSH) != Z_OK || codec->z.avail_in || !codec->z.avail_out) {
            return error_set(error, "zlib could not compress a packet");
        }
        *len = MULTIFD_DATA_MAX - codec->z.avail_out;
        return true;
    }
    ZSTD_inBuffer in = { codec->pages, size, 0 };
    ZSTD_outBuffer out = { codec->out, MULTIFD_DATA_MAX, 0 };
    if (ZSTD_compressStream2(codec->cctx, &out, &in, ZSTD_e_flush) != 0 || in.pos != size) {
        return error_set(error, "zstd could not compress a packet");
    }
    *len = out.pos;
    return true;
}

static bool unpack_zlib(MultifdCodec *codec, const uint8_t *data, size_t len,
                        const struct iovec *pages, unsigned n, GError **error)
{
    codec->z.next_in = (uint8_t *)data;
    codec->z.avail_in = len;
    for (unsigned i = 0; i < n; i++) {
        codec->z.next_out = pages[i].iov_base;
        codec->z.avail_out = pages[i].iov_len;
        int r = inflate(&codec->z, Z_SYNC_FLUSH);
        if (r != Z_OK || codec->z.avail_out) {
            return error_set(error,
                             "the pages of a multifd packet are not what zlib makes (error %d)", r);
        }
    }
    /* What is left must be the end of the flush, an empty block. */
    uint8_t nothing;
    codec->z.next_out = &nothing;
    codec->z.avail_out = 1;
    int r = codec->z.avail_in ? inflate(&codec->z, Z_SYNC_FLUSH) : Z_OK;
    if ((r != Z_OK && r != Z_BUF_ERROR) || codec->z.avail_in || !codec->z.avail_out) {
        return error_set(error, "a multifd packet has more pages than it says");
    }
    return true;
}

static bool unpack_zstd(MultifdCodec *codec, const uint8_t *data, size_t len,
                        const struct iovec *pages, unsigned n, GError **error)
{
    ZSTD_inBuffer in = { data, len, 0 };
    for (unsigned i = 0; i < n; i++) {
        ZSTD_outBuffer out = { pages[i].iov_base, pages[i].iov_len, 0 };
        while (out.pos < out.size) {
            size_t before = in.pos + out.pos, r = ZSTD_decompressStream(codec->dctx, &out, &in);
            if (ZSTD_isError(r)) {
                return error_set(error, "the pages of a multifd packet are not what zstd makes: %s",
                                 ZSTD_getErrorName(r));
            }
            if (in.pos + out.pos == before) {
                return error_set(error, "a multifd packet has fewer pages than it says");
            }
        }
    }
    uint8_t nothing;
    ZSTD_outBuffer out = { &nothing, 1, 0 };
    while (in.pos < in.size) {
        size_t before = in.pos, r = ZSTD_decompressStream(codec->dctx, &out, &in);
        if (ZSTD_isError(r) || out.pos || in.pos == before) {
            return error_set(error, "a multifd packet has more pages than it says");
        }
    }
    return true;
}

bool multifd_unpack(MultifdCodec *codec, const uint8_t *data, size_t len, const struct iovec *pages,
                    unsigned n, GError **error)
{
    return codec->flag == MULTIFD_ZLIB ? unpack_zlib(codec, data, len, pages, n, error)
                                       : unpack_zstd(codec, data, len, pages, n, error);
}
