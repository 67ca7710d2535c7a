/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Answers of CD and DVD drives (MMC-6) that are the same whatever bus the drive is on. The medium is one
 * session with one data track; more than 80 minutes of it make it a DVD-ROM.
 */
#ifndef HW_SCSI_MMC_H
#define HW_SCSI_MMC_H

#include <stdbool.h>
#include <stdint.h>

#define MMC_CD_MAX_BLOCKS (80 * 60 * 75)
#define MMC_TOC_MAX 64
#define MMC_DISC_INFORMATION_SIZE 34
#define MMC_DISC_STRUCTURE_MAX (4 + 2048)

typedef enum MmcProfile {
    MMC_PROFILE_NONE = 0x0000,
    MMC_PROFILE_CD_ROM = 0x0008,
    MMC_PROFILE_DVD_ROM = 0x0010,
} MmcProfile;

/* Of a medium of so many blocks. */
MmcProfile mmc_profile(uint64_t blocks);
/* READ TOC/PMA/ATIP (6.25): format 0 to 2, from track `first` on. Returns the length, 0 for fields that are invalid.
 * toc is zeroed. */
unsigned mmc_build_toc(uint8_t toc[MMC_TOC_MAX], uint64_t blocks, uint8_t format, bool msf,
                       uint8_t first);
/* READ DISC INFORMATION (6.21). */
void mmc_build_disc_information(uint8_t information[MMC_DISC_INFORMATION_SIZE]);
/* READ DISC STRUCTURE (6.22) of a DVD, or the list of structures (format FFh). Returns the length, 0 for fields that are
 * invalid. structure is zeroed. */
unsigned mmc_build_disc_structure(uint8_t structure[MMC_DISC_STRUCTURE_MAX], uint64_t blocks,
                                  uint8_t format, uint8_t layer);

#endif
