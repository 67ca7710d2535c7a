/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Pages over several channels. The main stream has everything else; each further channel begins with a hello of 64
 * bytes and goes on with packets: a header of 1344 bytes that says which pages of one block follow, and the pages.
 *
 * F1  A page is on at most one channel between two syncs, so that the order of channels does not matter.
 * F2  At a sync each channel sends a packet that says so and its receiver stops; the main stream has a mark at that
 *     place (or the end of a section stands for it, in machine versions up to 8.0), where the reader waits for all of
 *     them and lets them go on.
 * F3  What a packet says is foreign: every number in it is checked against the block before memory is touched.
 */
#ifndef MIGRATION_MULTIFD_H
#define MIGRATION_MULTIFD_H

#include "io/channel.h"
#include "system/memory.h"
#include "vmstate/vmstate.h"

#define MULTIFD_MAGIC 0x11223344
#define MULTIFD_VERSION 1
#define MULTIFD_HELLO_BYTES \
    64                    /* be32 magic, be32 version, uuid[16], u8 number, 39 bytes of nothing */
#define MULTIFD_PAGES 128 /* offsets in a packet */

/* Packet: be32 magic, version, flags, room for offsets, normal pages, bytes behind the header; be64 number; be32 zero
 * pages, 28 bytes of nothing, name[256], be64 offsets[128]: those of normal pages first. */
#define MULTIFD_PACKET_BYTES (64 + 256 + 8 * MULTIFD_PAGES)
enum {
    MULTIFD_SYNC = 1 << 0,
    MULTIFD_ZLIB = 1 << 1,
    MULTIFD_ZSTD = 2 << 1,
    MULTIFD_CODEC_MASK = 0xf << 1,
};
/* The most that compression can make of a packet's pages, generously. */
#define MULTIFD_DATA_MAX (2 * MULTIFD_PAGES * GUEST_PAGE_SIZE)

/* ---- compression ------------------------------------------------------------------------------------------------ */

typedef struct MultifdCodec MultifdCodec;
/* For one channel and one direction, by the parameters; NULL with an error. Check multifd_codec_flag() first: the
 * pages of no codec go as they are. */
MultifdCodec *multifd_codec_new(bool compress, GError **error);
void multifd_codec_free(MultifdCodec *codec); /* NULL is allowed */
uint32_t multifd_codec_flag(void);
/* Packs pages into the codec's buffer, which *data points to; false with an error. */
bool multifd_pack(MultifdCodec *codec, const struct iovec *pages, unsigned n, const uint8_t **data,
                  size_t *len, GError **error);
/* Unpacks exactly into these pages. */
bool multifd_unpack(MultifdCodec *codec, const uint8_t *data, size_t len, const struct iovec *pages,
                    unsigned n, GError **error);

/* ---- source: the migration thread, unless it says otherwise --------------------------------------------------------- */

/* Takes the references on the channels. ended: in the main thread, when the destination has ended one of them (what it says is
 * multifd_send_error()'s then). Main thread. */
bool multifd_send_start(IoChannel **channels, unsigned n, void (*ended)(void), GError **error);
/* A destination that has everything may do that. Main thread. */
void multifd_send_may_end(void);
bool multifd_send_active(void);
/* Queues a page. zero: it is known to be. False when a channel has failed: multifd_send_error(). */
bool multifd_send_page(const RamBlock *block, uint64_t offset, bool zero);
/* Everything so far, and a sync packet on each channel (F2), is with the kernel afterwards. */
bool multifd_send_sync(void);
/* Ends blocked writes. Main thread. */
void multifd_send_shutdown(void);
/* False once a channel has failed or all were shut down. */
bool multifd_send_ok(void);
/* A copy of the first error, NULL if there is none. */
GError *multifd_send_error(void);
/* Bytes that the channels have taken, since the start. */
uint64_t multifd_send_bytes(void);
/* Pages that channels found to be zero and normal since the last call. */
void multifd_send_take_counts(uint64_t *zero, uint64_t *normal);
uint64_t multifd_send_missed_zero_copy(void);
/* Ends the threads. Main thread. */
void multifd_send_stop(void);

/* ---- destination ------------------------------------------------------------------------------------------------ */

/* Called when a channel fails, once, from its thread: the main stream will not come to its end. */
typedef void MultifdFailed(void *opaque);
bool multifd_recv_prepare(MultifdFailed *failed, void *opaque, GError **error);
/* A hello has come in: true if it is a new channel's, which is ours from then on. Main thread. */
bool multifd_recv_add(IoChannel *ioc, const uint8_t hello[MULTIFD_HELLO_BYTES], GError **error);
/* All channels are there and RAM is prepared: they read from now on. Main thread. */
bool multifd_recv_start(GError **error);
bool multifd_recv_active(void);
/* F2, the loader's thread. False with an error. */
bool multifd_recv_sync(GError **error);
GError *multifd_recv_error(void);
/* Ends what channels, and who waits for them, wait for: a sync fails. Main thread; harmless without channels. */
void multifd_recv_shutdown(void);
void multifd_recv_stop(void);

#endif
