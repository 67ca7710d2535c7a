/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The description that a monitor gives of itself (VESA E-EDID 1.4, CTA-861). */
#ifndef HW_DISPLAY_EDID_H
#define HW_DISPLAY_EDID_H

#include <stdbool.h>
#include <stdint.h>
#include <glib.h>

#define EDID_SIZE 256 /* base block and one extension */

typedef struct EdidInfo {
    uint32_t xres, yres;   /* the preferred mode; 0: 1280 x 800 */
    uint32_t xmax, ymax;   /* no larger mode is listed; 0: any */
    uint32_t refresh_rate; /* mHz; 0: 75 Hz */
} EdidInfo;

/* Fills in what is 0 and checks the rest: what EDID cannot express is an error. */
bool edid_check(EdidInfo *info, GError **error);
/* info was checked. */
void edid_generate(uint8_t edid[EDID_SIZE], const EdidInfo *info);

#endif
