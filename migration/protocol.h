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
    MARK_COMMAND = 0x08,       /* be16 command, be16 length, content */
    MARK_FOOTER = 0x7e,        /* behind each section's content: be32 id */
};

/* Commands from source to destination that we know. */
enum {
    COMMAND_OPEN_RETURN_PATH = 1,
    COMMAND_PING = 2, /* be32: to be sent back */
    COMMAND_SWITCHOVER_START = 11,
};

/* Messages on the return path: be16 type, be16 length, content. */
enum {
    RETURN_SHUT = 1, /* be32: 0 = all went well */
    RETURN_PONG = 2, /* be32 */
};
#define RETURN_MESSAGE_MAX 16

/* Low bits of the be64 in front of each item of a RAM section; the others are an offset. */
enum {
    RAM_ZERO = 0x02,     /* u8 that fills the page */
    RAM_MEM_SIZE = 0x04, /* the offset is the total of the blocks that are listed: name, be64 length */
    RAM_PAGE = 0x08,     /* the page */
    RAM_EOS = 0x10,      /* end of this section's content */
    RAM_CONTINUE = 0x20, /* in the same block as before; else its name follows */
};
#define RAM_FLAGS 0xfff
#define RAM_SECTION_VERSION 4

#endif
