/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The header of VDI images, version 1.1. The format is VirtualBox's; its fields are described at
 * forums.virtualbox.org/viewtopic.php?t=8046. Everything is little-endian.
 *
 *   0x000  text, 64 bytes                      0x168  size of a sector: 512
 *   0x040  0xbeda107f                          0x170  size of the disk, 8 bytes
 *   0x044  version: 0x00010001                 0x178  size of a block
 *   0x048  size of the header from here on     0x17c  bytes in front of each block's data
 *   0x04c  type of the image                   0x180  blocks of the disk
 *   0x050  flags                               0x184  blocks of the file in use
 *   0x054  description, 256 bytes              0x188  UUID of the image
 *   0x154  offset of the block map             0x198  ... of its last change
 *   0x158  offset of the blocks                0x1a8  ... of the parent image
 *   0x15c  geometry, 3 * 4 bytes               0x1b8  ... of the parent's last change
 *
 * The map has an entry of 4 bytes for each block of the disk: the number of the block in the file,
 * or one of the two values in vdi.h. The header's size tells how many of the fields there are; sizes
 * of 348, 384 and 400 have been seen. What is behind the header reads as zero.
 */
#include "util/osdep.h"
#include "vdi.h"

#include "util/bytes.h"
#include "util/error.h"

#define SIGNATURE UINT32_C(0xbeda107f)
#define VERSION_1_1 UINT32_C(0x00010001)

enum {
    OFF_TEXT = 0,
    OFF_SIGNATURE = 0x40,
    OFF_VERSION = 0x44,
    OFF_HEADER_SIZE = 0x48,
    OFF_TYPE = 0x4c,
    OFF_MAP = 0x154,
    OFF_DATA = 0x158,
    OFF_SECTOR_SIZE = 0x168,
    OFF_DISK_SIZE = 0x170,
    OFF_BLOCK_SIZE = 0x178,
    OFF_BLOCK_EXTRA = 0x17c,
    OFF_BLOCKS = 0x180,
    OFF_ALLOCATED = 0x184,
    OFF_UUID_IMAGE = 0x188,
    OFF_UUID_CHANGE = 0x198,
    OFF_UUID_LINK = 0x1a8,
    OFF_UUID_PARENT = 0x1b8,
};
#define UUID_SIZE 16
/* Everything up to here has to be there. */
#define HEADER_SIZE_MIN (OFF_ALLOCATED + 4 - OFF_HEADER_SIZE)

/* A field that the header is too short for is zero. A size of less than all that is needed is not
 * meant: stock opens such images. */
static bool uuid_is_null(const uint8_t *raw, const VdiHeader *h, unsigned offset)
{
    static const uint8_t null[UUID_SIZE];
    if (h->header_size >= HEADER_SIZE_MIN &&
        offset + UUID_SIZE > OFF_HEADER_SIZE + (uint64_t)h->header_size) {
        return true;
    }
    return memcmp(raw + offset, null, UUID_SIZE) == 0;
}

static bool check_type(const uint8_t *raw, const VdiHeader *h, GError **error)
{
    switch (h->type) {
    case VDI_TYPE_DYNAMIC:
    case VDI_TYPE_STATIC:
        break;
    case VDI_TYPE_UNDO:
        return error_set(error, "unsupported VDI image (undo image)");
    case VDI_TYPE_DIFFERENCING:
        return error_set(error,
                         "unsupported VDI image (differencing image: a snapshot of another)");
    default:
        return error_set(error, "unsupported VDI image (image type %u)", h->type);
    }
    if (!uuid_is_null(raw, h, OFF_UUID_LINK)) {
        return error_set(error, "unsupported VDI image (non-NULL link UUID)");
    }
    if (!uuid_is_null(raw, h, OFF_UUID_PARENT)) {
        return error_set(error, "unsupported VDI image (non-NULL parent UUID)");
    }
    return true;
}

static bool check_places(const VdiHeader *h, GError **error)
{
    if (h->offset_map % BLOCK_SECTOR) {
        return error_set(error, "unsupported VDI image (unaligned block map offset 0x%x)",
                         h->offset_map);
    }
    if (h->offset_data % BLOCK_SECTOR) {
        return error_set(error, "unsupported VDI image (unaligned data offset 0x%x)",
                         h->offset_data);
    }
    uint64_t map_end = h->offset_map + (uint64_t)h->blocks * sizeof(uint32_t);
    if (h->offset_map < VDI_HEADER_SIZE || map_end > h->offset_data) {
        return error_set(error,
                         "unsupported VDI image (block map at 0x%x...0x%" PRIx64
                         " is not between header and data at 0x%x)",
                         h->offset_map, map_end, h->offset_data);
    }
    return true;
}

static bool check_sizes(const VdiHeader *h, GError **error)
{
    if (h->disk_size > VDI_MAX_SIZE) {
        return error_set(error,
                         "Unsupported VDI image size (size is 0x%" PRIx64
                         ", max supported is 0x%" PRIx64 ")",
                         h->disk_size, VDI_MAX_SIZE);
    }
    if (h->block_size < BLOCK_SECTOR || h->block_size % BLOCK_SECTOR ||
        h->block_size > BLOCK_MAX_ALIGN) {
        return error_set(
            error, "unsupported VDI image (block size %u is not a multiple of %u, at most %u)",
            h->block_size, BLOCK_SECTOR, BLOCK_MAX_ALIGN);
    }
    if (h->blocks > VDI_MAX_BLOCKS) {
        return error_set(error, "unsupported VDI image (too many blocks %u, max is %u)", h->blocks,
                         VDI_MAX_BLOCKS);
    }
    uint64_t room = (uint64_t)h->blocks * h->block_size;
    if (h->disk_size > room) {
        return error_set(error,
                         "unsupported VDI image (disk size %" PRIu64
                         ", image bitmap has room for %" PRIu64 ")",
                         h->disk_size, room);
    }
    return true;
}

bool vdi_header_decode(const uint8_t *raw, VdiHeader *h, GError **error)
{
    uint32_t signature = load_le32(raw + OFF_SIGNATURE), version = load_le32(raw + OFF_VERSION);
    uint32_t sector = load_le32(raw + OFF_SECTOR_SIZE), extra = load_le32(raw + OFF_BLOCK_EXTRA);
    *h = (VdiHeader){
        .header_size = load_le32(raw + OFF_HEADER_SIZE),
        .type = load_le32(raw + OFF_TYPE),
        .offset_map = load_le32(raw + OFF_MAP),
        .offset_data = load_le32(raw + OFF_DATA),
        .disk_size = load_le64(raw + OFF_DISK_SIZE),
        .block_size = load_le32(raw + OFF_BLOCK_SIZE),
        .blocks = load_le32(raw + OFF_BLOCKS),
        .allocated = load_le32(raw + OFF_ALLOCATED),
    };
    if (signature != SIGNATURE) {
        return error_set(error, "Image not in VDI format (bad signature %08x)", signature);
    }
    if (version != VERSION_1_1) {
        return error_set(error, "unsupported VDI image (version %u.%u)", version >> 16,
                         version & 0xffff);
    }
    if (sector != BLOCK_SECTOR) {
        return error_set(error, "unsupported VDI image (sector size %u is not %u)", sector,
                         BLOCK_SECTOR);
    }
    if (extra != 0) {
        return error_set(error, "unsupported VDI image (%u extra bytes in front of each block)",
                         extra);
    }
    /* Others have written such images. */
    h->disk_size = ROUND_UP(MIN(h->disk_size, UINT64_MAX - BLOCK_SECTOR), BLOCK_SECTOR);
    return check_sizes(h, error) && check_places(h, error) && check_type(raw, h, error);
}

void vdi_header_encode(const VdiHeader *h, uint8_t *raw)
{
    store_le32(raw + OFF_HEADER_SIZE, h->header_size);
    store_le32(raw + OFF_TYPE, h->type);
    store_le32(raw + OFF_MAP, h->offset_map);
    store_le32(raw + OFF_DATA, h->offset_data);
    store_le64(raw + OFF_DISK_SIZE, h->disk_size);
    store_le32(raw + OFF_BLOCK_SIZE, h->block_size);
    store_le32(raw + OFF_BLOCKS, h->blocks);
    store_le32(raw + OFF_ALLOCATED, h->allocated);
}

static void random_uuid(uint8_t *p)
{
    for (unsigned i = 0; i < UUID_SIZE; i += 4) {
        store_le32(p + i, g_random_int());
    }
    /* RFC 4122, version 4; the first three groups are little-endian here. */
    p[7] = (p[7] & 0x0f) | 0x40;
    p[8] = (p[8] & 0x3f) | 0x80;
}

void vdi_header_new(uint8_t *raw)
{
    static const char text[] = "<<< QEMU VM Virtual Disk Image >>>\n";
    memset(raw, 0, VDI_HEADER_SIZE);
    memcpy(raw + OFF_TEXT, text, sizeof(text));
    store_le32(raw + OFF_SIGNATURE, SIGNATURE);
    store_le32(raw + OFF_VERSION, VERSION_1_1);
    store_le32(raw + OFF_SECTOR_SIZE, BLOCK_SECTOR);
    random_uuid(raw + OFF_UUID_IMAGE);
    random_uuid(raw + OFF_UUID_CHANGE);
}

uint64_t vdi_host_offset(const VdiHeader *h, uint32_t host)
{
    return h->offset_data + (uint64_t)host * h->block_size;
}
