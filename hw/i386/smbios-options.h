/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What -smbios said. Private to smbios*.c. */
#ifndef HW_I386_SMBIOS_OPTIONS_H
#define HW_I386_SMBIOS_OPTIONS_H

#include <glib.h>

typedef struct SmbiosPort { /* type 8 */
    char *internal, *external;
    uint8_t connector, port;
} SmbiosPort;

typedef struct SmbiosOnboard { /* type 41 */
    char *designation, *pcidev;
    uint8_t kind, instance;
} SmbiosOnboard;

typedef struct SmbiosOptions {
    uint32_t given[4]; /* bit per type that -smbios type= named (0…127) */
    uint32_t files[4]; /* … and that a file has */
    GByteArray *blob;  /* structures of files */
    unsigned blob_count;
    size_t blob_max; /* the largest */
    struct {
        char *vendor, *version, *date;
        uint8_t major, minor;
        bool uefi;
    } bios;
    struct {
        char *manufacturer, *product, *version, *serial, *uuid, *sku, *family;
    } system;
    struct {
        char *manufacturer, *product, *version, *serial, *asset, *location;
    } board;
    struct {
        char *manufacturer, *version, *serial, *asset, *sku;
    } chassis;
    struct {
        char *socket, *manufacturer, *version, *serial, *asset, *part;
        uint16_t max_speed, current_speed;
        uint64_t id;
        bool has_id;
    } cpu;
    struct {
        char *locator, *bank, *manufacturer, *serial, *asset, *part;
        uint16_t speed;
    } memory;
    GArray *ports;      /* SmbiosPort */
    GArray *onboard;    /* SmbiosOnboard */
    GPtrArray *strings; /* type 11 */
} SmbiosOptions;

SmbiosOptions *smbios_options(void);
static inline bool smbios_bit(const uint32_t bits[4], unsigned type)
{
    return bits[type / 32] >> type % 32 & 1;
}

#endif
