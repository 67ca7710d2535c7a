/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Parts of test-device-contract: a machine with one of everything, and the leaves of a section.
 */
#ifndef TESTS_UNIT_CONTRACT_H
#define TESTS_UNIT_CONTRACT_H

#include "hw/core/device.h"

/* ---- the machine (contract-machine.c) ---- */

/* Builds the machine and plugs in a device of every type that a user can create. Exits with a text if it cannot. */
void contract_machine_start(const char *machine);
/* The guest's part: controllers are mapped, and the ports of UHCI controllers enabled. */
void contract_set_up_controllers(void);
/* Lets the machine run for a moment. If dev is a USB device or its controller, the guest sends it packets. */
void contract_run(Device *dev);
/* Realized devices of exactly this type. */
GPtrArray *contract_instances(const DeviceType *type);
/* Why there is no device of this type: the error of the last try; NULL if nobody tried. */
const char *contract_why_absent(const DeviceType *type);
/* A reason why a type has no device in the machine, or NULL. */
const char *contract_excused(const DeviceType *type);

/* A chardev of that kind ({"type": …, "data": …}); its ID, g_free(). */
char *contract_add_chardev(const char *backend, GError **error);

/* ---- the other side of a vhost-user device (contract-peers.c, or tests/fuzz/no-peers.c) ---- */

/* A chardev with a back end for devices of that type behind it; its ID, g_free(). */
char *contract_new_peer(const DeviceType *type, GError **error);

/* ---- leaves (contract-leaves.c) ---- */

/* The bytes of a section that belong to one value. */
typedef struct Leaf {
    char *path;        /* "dev.config[0]", "ports[1].ctrl" */
    const char *type;  /* as the description says it; interned */
    size_t offset, len;
} Leaf;

/* Where the subsections of a description go, in the section's bytes. */
typedef struct SubsectionPlace {
    const char *vmsd_name; /* interned */
    size_t offset;
} SubsectionPlace;

typedef struct Leaves {
    GArray *leaves;    /* Leaf, in order of offset */
    GArray *places;    /* SubsectionPlace */
    GPtrArray *names;  /* of descriptions and subsections that are in the bytes; interned */
} Leaves;

/* From the JSON text that vmstate_save() made along with len bytes. The test fails when the two do not agree. */
Leaves *leaves_from_description(const char *desc, size_t len);
void leaves_free(Leaves *leaves);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(Leaves, leaves_free)

/* ---- bytes for descriptions that are not in a section (contract-make.c) ---- */

/* Appends what a subsection could look like: counts small; values zero (pattern 0), small (1) or any (2…). */
void make_subsection(VmWriter *w, const VmState *sub, GRand *rand, unsigned pattern);

#endif
