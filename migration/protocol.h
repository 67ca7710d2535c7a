/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The numbers of the stream. They are frozen: what is in memory has its own types. Layout and order of the
 * stream are in docs/devel/migration.md.
 */
#ifndef MIGRATION_PROTOCOL_H
#define MIGRATION_PROTOCOL_H

#define STREAM_MAGIC 0x5145564d /* "QEVM" */
#define STREAM_VERSION 3
#define STREAM_VERSION_OBSOLETE 2

/* First byte of each part of the stream. */
enum {
    MARK_EOF = 0x00,
    MARK_SECTION_START = 0x01, /* be32 id, name, be32 instance, be32 version, content */
    MARK_SECTION_PART = 0x02,  /* be32 id, content */
    MARK_SECTION_END = 0x03,   /* be32 id, content */
    MARK_SECTION_FULL = 0x04,  /* as start */
    MARK_SUBSECTION = 0x05,    /* vmstate/ */
    MARK_DESCRIPTION = 0x06,   /* behind the end: be32 length, JSON */
    MARK_CONFIGURATION = 0x07,
    MARK_COMMAND = 0x08, /* be16 command, be16 length, content */
    MARK_FOOTER = 0x7e,  /* behind each section's content: be32 id */
};

/* Commands from source to destination that we know. */
enum {
    COMMAND_OPEN_RETURN_PATH = 1,
    COMMAND_PING = 2, /* be32: to be sent back */
    COMMAND_POSTCOPY_ADVISE = 3, /* be64 or of the blocks' page sizes, be64 guest page size; or nothing */
    COMMAND_POSTCOPY_LISTEN = 4,
    COMMAND_POSTCOPY_RUN = 5,
    COMMAND_POSTCOPY_DISCARD = 6, /* u8 0, counted name, u8 0, pairs of be64 start, be64 length */
    COMMAND_PACKAGED = 7,         /* be32 length; behind it a piece of stream of that length */
    COMMAND_POSTCOPY_RESUME = 9,
    COMMAND_RECV_BITMAP = 10,     /* counted name */
    COMMAND_SWITCHOVER_START = 11,
};

/* Messages on the return path: be16 type, be16 length, content. */
enum {
    RETURN_SHUT = 1, /* be32: 0 = all went well */
    RETURN_PONG = 2, /* be32 */
    RETURN_REQUEST_NAMED = 3, /* be64 start, be32 length, counted name */
    RETURN_REQUEST = 4,       /* be64 start, be32 length: of the same block as before */
    RETURN_BITMAP = 5,        /* counted name; behind it be64 bytes, bitmap (little-endian), be64 RETURN_BITMAP_END */
    RETURN_RESUMED = 6,       /* be32 1 */
    RETURN_SWITCHOVER_ACK = 7,
};
#define RETURN_MESSAGE_MAX (12 + 256)
#define RETURN_BITMAP_END UINT64_C(0x0123456789abcdef)
/* Numbers of pings, as stock has them: at the beginning, before, in and behind the package. */
enum { PING_BEGIN = 1, PING_DISCARDED = 2, PING_PACKAGE = 3, PING_POSTCOPY = 4 };
/* One of our own: who knows RAM_LOST answers it with another number, everybody else with the same. */
#define PING_LOST_PAGES 0x5445524e
#define PONG_LOST_PAGES 0x5445524f
/* Others of our own, which everybody answers with the same: what was sent before has been handled. */
#define PING_RELEASE 0x52450000
#define PING_RELEASE_COUNT 0xffff
#define DISCARD_RANGES_MAX 12
/* Devices' state in a package: more is no state. */
#define PACKAGE_MAX (512u << 20)

/* Low bits of the be64 in front of each item of a RAM section; the others are an offset. */
enum {
    RAM_ZERO = 0x02, /* u8 that fills the page */
    RAM_MEM_SIZE =
        0x04,        /* the offset is the total of the blocks that are listed: name, be64 length */
    RAM_PAGE = 0x08, /* the page */
    RAM_EOS = 0x10,  /* end of this section's content */
    RAM_CONTINUE = 0x20,       /* in the same block as before; else its name follows */
    RAM_XBZRLE = 0x40,         /* u8 1, be16 length, what has changed in the page (xbzrle.h) */
    RAM_MULTIFD_FLUSH = 0x200, /* every channel is at a sync here (multifd.h) */
    RAM_LOST = 0x800,          /* postcopy, after PONG_LOST_PAGES: the page is lost, no content */
};
#define RAM_FLAGS 0xfff
#define RAM_SECTION_VERSION 4

#endif
