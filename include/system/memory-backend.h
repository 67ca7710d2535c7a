/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Memory backends: guest memory as an object of its own (-object memory-backend-ram|file|memfd). A backend has
 * its RAM from completion on; it becomes guest memory, and part of a migration, when a machine or device uses it.
 */
#ifndef SYSTEM_MEMORY_BACKEND_H
#define SYSTEM_MEMORY_BACKEND_H

#include "system/memory.h"

typedef struct MemoryBackend {
    Object object;
    uint64_t size;
    bool share, prealloc, merge, dump, reserve;
    bool canonical_path_id;    /* the block is "/objects/ID", not "ID" */
    MemoryRegion *region;      /* NULL until complete */
    bool used;
} MemoryBackend;

extern const ObjectType memory_backend_type;
extern const ObjectType memory_backend_ram_type;

/* The backend of that id; NULL with "Memory backend 'x' not found" (and the class GenericError). */
MemoryBackend *memory_backend_find(const char *id, GError **error);
/* Its memory for the one user that it can have; NULL with an error if it has one. Not a new reference. */
MemoryRegion *memory_backend_use(MemoryBackend *backend, GError **error);
void memory_backend_release(MemoryBackend *backend);

#endif
