/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What becomes of a page that is sent. Every path (single channel, XBZRLE, multifd, postcopy, mapped-ram) asks here and
 * nowhere else, so that none can read a page that must not be read (P5).
 */
#ifndef MIGRATION_RAM_PAGE_H
#define MIGRATION_RAM_PAGE_H

#include "system/memory.h"
#include "migration/zero-page.h"

typedef enum PageKind {
    PAGE_NORMAL,
    PAGE_ZERO, /* all zero, or not to be read */
} PageKind;

/* look: whether zero pages are looked for. Any thread. */
PageKind ram_classify(const RamBlock *block, uint64_t offset, bool look);
/* The same for the pages of a word of a bitmap, from `first` on: which of those that are set are PAGE_ZERO. */
unsigned long ram_classify_word(const RamBlock *block, uint64_t first, unsigned long bits,
                                bool look);

#endif
