/* SPDX-License-Identifier: GPL-2.0-or-later */
/* SMBIOS structures (DMTF DSP0134, versions 2.8 and 3.0) of a PC, and what -smbios changes of them. Big lock. */
#ifndef HW_I386_SMBIOS_H
#define HW_I386_SMBIOS_H

#include <glib.h>

/* What the machine says of itself. */
typedef struct SmbiosMachine {
    const char *manufacturer, *product, *version;
    const char *uuid;                 /* text; NULL or all zero: none */
    unsigned sockets, cores, threads; /* cores: of a socket; threads: of a core */
    uint32_t cpuid_eax, cpuid_edx;    /* leaf 1 */
    uint64_t ram_size;
    struct {
        uint64_t start, len;
    } ranges[2];         /* of RAM in the address space; len 0: none */
    bool entry_point_64; /* version 3.0, else 2.8 */
    /* The address of the PCI device with that id, as (bus << 8 | devfn); -1 if there is none. */
    int (*pci_address)(const char *id);
} SmbiosMachine;

/* One -smbios option. */
bool smbios_option(const char *arg, GError **error);
/* The structures, and the entry point whose address and checksums the firmware fills in. */
bool smbios_build(const SmbiosMachine *machine, GByteArray **tables, GByteArray **anchor,
                  GError **error);
/* Checks the structures of a file: lengths, strings, and that nothing is behind them. */
bool smbios_check_blob(const uint8_t *data, size_t len, GError **error);
/* Forgets all options: for tests. */
void smbios_reset_options(void);

#endif
