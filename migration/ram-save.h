/* SPDX-License-Identifier: GPL-2.0-or-later */
/* RAM on the source, between the files that send it. */
#ifndef MIGRATION_RAM_SAVE_H
#define MIGRATION_RAM_SAVE_H

#include <pthread.h>
#include "mapped-ram.h"
#include "ram.h"
#include "migration/xbzrle.h"
#include "migration/zero-page.h"

typedef struct SaveBlock {
    RamBlock *block;
    unsigned long *todo_bitmap;
    uint64_t pages;
    hwaddr address; /* where the guest sees it, at the beginning; 0: nowhere */
    bool ask_page_map; /* in the first pass: later, dirty pages have been written */
    MappedBlock mapped;
    unsigned long *held; /* release-ram: what is here still (ram-release.h); NULL: all */
    bool arrived;      /* recovery: the destination has said what it has */
} SaveBlock;

/* Whether the destination understands RAM_LOST. */
typedef enum LostAnswer { LOST_NOT_ASKED, LOST_ASKED, LOST_UNKNOWN, LOST_KNOWN } LostAnswer;

typedef struct RamSave {
    SaveBlock *blocks;
    unsigned n;
    unsigned at;            /* block that is being sent */
    uint64_t page;          /* and where in it */
    unsigned passes;        /* ends of the last block reached */
    const SaveBlock *named; /* the block whose name was sent last in this section */
    PageMap *page_map;
    int64_t last_sync_ns;
    bool multifd;
    bool look;          /* for zero pages, here */
    bool mapped;        /* to a file in which pages have their places */
    bool zero_here;     /* zero pages go in the main stream */
    bool flush_due;     /* multifd: a new pass begins (F1) */
    uint64_t elsewhere; /* bytes given to other channels; about */

    bool new_pass;       /* the dirty bitmap was looked at again */
    XbzrleCache *xbzrle; /* NULL: off */
    uint64_t xbzrle_size;
    uint8_t page_copy[GUEST_PAGE_SIZE], encoded[GUEST_PAGE_SIZE];

    bool postcopy;
    LostAnswer lost_answer;     /* atomic */
    const RamBlock *lost_block; /* the last lost page that was spoken of */
    uint64_t lost_page;
    pthread_mutex_t lock;
    GQueue requests;       /* under lock: Request */
    unsigned recover_left; /* atomic */
} RamSave;

extern RamSave *ram_save;

/* Sends these pages of a word of todo_bitmap, and clears their bits. */
void ram_save_word(MigrationOut *out, SaveBlock *sb, uint64_t first, unsigned long bits);
/* Pieces of the stream. */
void ram_save_put_header(MigrationOut *out, const SaveBlock *sb, uint64_t offset, unsigned flags);
void ram_save_put_zero(MigrationOut *out, const SaveBlock *sb, uint64_t offset);
/* Postcopy: a page, which may turn out to be lost (U2). Whether it went out as a normal one. */
bool ram_save_postcopy_page(MigrationOut *out, const SaveBlock *sb, uint64_t offset, bool zero);
/* Postcopy's way of sending about budget bytes; false when nothing is left. */
bool ram_save_postcopy_pages(MigrationOut *out, uint64_t budget);
/* Bytes that were added to what is left, or taken. */
void ram_save_add_remaining(int64_t bytes);
uint64_t ram_save_remaining(void);
void ram_save_free_requests(void);

#endif
