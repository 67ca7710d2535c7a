/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Memory backends over anonymous memory, files and memfds. */
#include "util/osdep.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>

#include "util/error.h"
#include "system/memory-backend.h"
#include "system/ram.h"

typedef struct FileBackend {
    MemoryBackend backend;
    char *mem_path;
    uint64_t align;
    uint64_t offset;
    bool discard_data;
    bool readonly;
} FileBackend;

typedef struct MemfdBackend {
    MemoryBackend backend;
    bool hugetlb;
    uint64_t hugetlbsize;
    bool seal;
} MemfdBackend;

/* ---- common -------------------------------------------------------------------------------------------- */

static char *block_id(MemoryBackend *backend)
{
    return backend->canonical_path_id ? object_path(&backend->object)
                                      : g_strdup(object_path_component(&backend->object));
}

/* Takes over options->fd, also on failure. */
static bool make_region(MemoryBackend *backend, RamBlockOptions *options, GError **error)
{
    g_autofree char *id = block_id(backend);
    RamBlock *block;

    options->shared = backend->share;
    options->prealloc = backend->prealloc;
    options->merge = backend->merge;
    options->no_dump = !backend->dump;
    options->reserve = backend->reserve;
    block = ram_block_new_full(id, backend->size, options, error);
    if (!block) {
        if (options->fd >= 0) {
            close(options->fd);
        }
        return false;
    }
    block->not_migrated = true; /* until somebody uses it */
    backend->region = memory_region_new_ram_block(&backend->object, id, block);
    if (options->readonly) {
        memory_region_set_readonly(backend->region, true);
    }
    return true;
}

static bool check_size(MemoryBackend *backend, GError **error)
{
    return backend->size ? true : error_set(error, "can't create backend with size 0");
}

static bool backend_can_be_deleted(Object *obj, GError **error)
{
    MemoryBackend *backend = (MemoryBackend *)obj;

    return backend->used ? error_set(error, "object '%s' is in use, can not be deleted",
                                     object_path_component(obj))
                         : true;
}

static void backend_finalize(Object *obj)
{
    MemoryBackend *backend = (MemoryBackend *)obj;

    memory_region_free(backend->region);
}

MemoryBackend *memory_backend_find(const char *id, GError **error)
{
    g_autofree char *path = *id == '/' ? g_strdup(id) : g_strdup_printf("/objects/%s", id);
    MemoryBackend *backend = object_cast(object_resolve(path, NULL), &memory_backend_type);

    if (!backend) {
        error_set(error, "Memory backend '%s' not found", id);
    }
    return backend;
}

MemoryRegion *memory_backend_use(MemoryBackend *backend, GError **error)
{
    if (backend->used) {
        error_set(error, "memory backend '%s' can't be used multiple times.",
                  object_path_component(&backend->object));
        return NULL;
    }
    backend->used = true;
    memory_region_ram_block(backend->region)->not_migrated = false;
    return backend->region;
}

void memory_backend_release(MemoryBackend *backend)
{
    backend->used = false;
    memory_region_ram_block(backend->region)->not_migrated = true;
}

/* Numbers that libvirt sets as sizes ("4G") and QMP as integers. */
static const Property backend_properties[] = {
    PROPERTY("merge", property_bool, MemoryBackend, merge, .default_text = "on",
             .description = "Mark memory as mergeable"),
    PROPERTY("dump", property_bool, MemoryBackend, dump, .default_text = "on",
             .description = "Set to 'off' to exclude from core dump"),
    PROPERTY("prealloc", property_bool, MemoryBackend, prealloc, .default_text = "off",
             .description = "Preallocate memory"),
    PROPERTY("size", property_size, MemoryBackend, size,
             .description = "Size of the memory region (ex: 500M)"),
    PROPERTY("share", property_bool, MemoryBackend, share, .default_text = "off",
             .description = "Mark the memory as private to the emulator or shared"),
    PROPERTY("reserve", property_bool, MemoryBackend, reserve, .default_text = "on",
             .description = "Reserve swap space (or huge pages) if applicable"),
    PROPERTY("x-use-canonical-path-for-ramblock-id", property_bool, MemoryBackend, canonical_path_id,
             .default_text = "off"),
    {},
};

/* Size and the like shape the memory: after completion they are fixed. */
static bool guard_complete(Object *obj, const char *name, const Property *prop, GError **error)
{
    MemoryBackend *backend = (MemoryBackend *)obj;

    return backend->region && prop
               ? error_set(error, "cannot change property '%s' of %s", name, obj->type->name)
               : true;
}

const ObjectType memory_backend_type = {
    .name = "memory-backend",
    .parent = &object_type,
    .size = sizeof(MemoryBackend),
    .abstract = true,
    .properties = backend_properties,
    .finalize = backend_finalize,
};

static void __attribute__((constructor)) register_memory_backend(void)
{
    object_type_register(&memory_backend_type);
    object_install_set_guard(&memory_backend_type, guard_complete);
}

/* ---- anonymous memory ---------------------------------------------------------------------------------- */


static bool ram_complete(Object *obj, GError **error)
{
    MemoryBackend *backend = (MemoryBackend *)obj;
    RamBlockOptions options = { .fd = -1 };

    return check_size(backend, error) && make_region(backend, &options, error);
}

static const UserCreatableOps ram_ops = { ram_complete, backend_can_be_deleted };

const ObjectType memory_backend_ram_type = {
    .name = "memory-backend-ram",
    .parent = &memory_backend_type,
    .size = sizeof(MemoryBackend),
    .interfaces = (const InterfaceImpl[]){ { &user_creatable_type, &ram_ops }, {} },
};
OBJECT_TYPE_REGISTER(memory_backend_ram_type)

/* ---- files --------------------------------------------------------------------------------------------- */

/* Opens or creates mem_path; a folder gets an unnamed file in it. */
static int open_store(FileBackend *file, bool *created, GError **error)
{
    int access_mode = file->readonly ? O_RDONLY : O_RDWR;
    int fd = open(file->mem_path, access_mode | O_CLOEXEC);

    *created = false;
    if (fd < 0 && errno == ENOENT && !file->readonly) {
        fd = open(file->mem_path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0644);
        *created = fd >= 0;
    } else if (fd < 0 && errno == EISDIR) {
        g_autofree char *name = g_build_filename(file->mem_path, "tern_back_mem.XXXXXX", NULL);

        fd = mkostemp(name, O_CLOEXEC);
        if (fd >= 0) {
            unlink(name);
        }
    }
    if (fd < 0) {
        error_set_errno(error, errno, "can't open backing store %s for guest RAM", file->mem_path);
    }
    return fd;
}

/* A new file gets its size, an old one must have it (devices of the host tell none). */
static bool size_store(FileBackend *file, int fd, GError **error)
{
    uint64_t wanted = file->offset + file->backend.size;
    struct stat st;

    if (fstat(fd, &st) < 0) {
        return error_set_errno(error, errno, "can't look at backing store %s", file->mem_path);
    }
    if (!S_ISREG(st.st_mode)) {
        return true;
    }
    if (st.st_size == 0 && !file->readonly) {
        if (ftruncate(fd, wanted) < 0) {
            return error_set_errno(error, errno, "can't give backing store %s its size", file->mem_path);
        }
        return true;
    }
    if ((uint64_t)st.st_size < wanted) {
        return error_set(error, "backing store size 0x%" PRIx64 " does not match 'size' option 0x%" PRIx64,
                         (uint64_t)st.st_size, file->backend.size);
    }
    return true;
}

static bool file_complete(Object *obj, GError **error)
{
    FileBackend *file = (FileBackend *)obj;
    uint64_t page = sysconf(_SC_PAGESIZE);
    RamBlockOptions options = { .readonly = file->readonly, .align = file->align };
    bool created;

    if (!check_size(&file->backend, error)) {
        return false;
    }
    if (!file->mem_path) {
        return error_set(error, "mem-path property not set");
    }
    if (file->align % page) {
        return error_set(error, "alignment 0x%" PRIx64 " must be multiples of page size 0x%" PRIx64,
                         file->align, page);
    }
    if (file->offset % page || file->offset > INT64_MAX - file->backend.size) {
        return error_set(error, "offset 0x%" PRIx64 " must be a multiple of page size 0x%" PRIx64,
                         file->offset, page);
    }
    options.fd = open_store(file, &created, error);
    options.fd_offset = file->offset;
    if (options.fd < 0) {
        return false;
    }
    if (!size_store(file, options.fd, error)) {
        close(options.fd);
    } else if (make_region(&file->backend, &options, error)) {
        return true;
    }
    if (created) {
        unlink(file->mem_path);
    }
    return false;
}

static void file_finalize(Object *obj)
{
    FileBackend *file = (FileBackend *)obj;

    if (file->discard_data && file->backend.share && file->backend.region) {
        madvise(memory_region_ram_ptr(file->backend.region), file->backend.size, MADV_REMOVE);
    }
}

static const Property file_properties[] = {
    PROPERTY("discard-data", property_bool, FileBackend, discard_data, .default_text = "off"),
    PROPERTY_STRING("mem-path", FileBackend, mem_path, NULL),
    PROPERTY_SIZE("align", FileBackend, align, NULL, NULL),
    PROPERTY_SIZE("offset", FileBackend, offset, NULL, NULL),
    PROPERTY_BOOL("readonly", FileBackend, readonly, "off", NULL),
    {},
};

static const UserCreatableOps file_ops = { file_complete, backend_can_be_deleted };

static const ObjectType memory_backend_file_type = {
    .name = "memory-backend-file",
    .parent = &memory_backend_type,
    .size = sizeof(FileBackend),
    .properties = file_properties,
    .interfaces = (const InterfaceImpl[]){ { &user_creatable_type, &file_ops }, {} },
    .finalize = file_finalize,
};
OBJECT_TYPE_REGISTER(memory_backend_file_type)

/* ---- memfd --------------------------------------------------------------------------------------------- */

static bool memfd_flags(MemfdBackend *memfd, unsigned *flags, GError **error)
{
    *flags = MFD_CLOEXEC | (memfd->seal ? MFD_ALLOW_SEALING : 0);
    if (memfd->hugetlb) {
        *flags |= MFD_HUGETLB;
        if (memfd->hugetlbsize) {
            if (memfd->hugetlbsize & (memfd->hugetlbsize - 1)) {
                return error_set(error, "hugetlbsize must be a power of 2, not %" PRIu64, memfd->hugetlbsize);
            }
            *flags |= (unsigned)__builtin_ctzll(memfd->hugetlbsize) << MAP_HUGE_SHIFT;
        }
    }
    return true;
}

static bool memfd_complete(Object *obj, GError **error)
{
    MemfdBackend *memfd = (MemfdBackend *)obj;
    RamBlockOptions options = { .fd = -1 };
    unsigned flags;

    if (!check_size(&memfd->backend, error) || !memfd_flags(memfd, &flags, error)) {
        return false;
    }
    options.fd = memfd_create("memory-backend-memfd", flags);
    if (options.fd < 0) {
        return error_set_errno(error, errno, "failed to create memfd");
    }
    if (ftruncate(options.fd, memfd->backend.size) < 0) {
        error_set_errno(error, errno, "failed to resize memfd to %" PRIu64, memfd->backend.size);
        close(options.fd);
        return false;
    }
    if (memfd->seal && fcntl(options.fd, F_ADD_SEALS, F_SEAL_GROW | F_SEAL_SHRINK | F_SEAL_SEAL) < 0) {
        error_set_errno(error, errno, "failed to add seals to memfd");
        close(options.fd);
        return false;
    }
    return make_region(&memfd->backend, &options, error);
}

/* Others are to see it: shared by default. */
static void memfd_init(Object *obj)
{
    ((MemoryBackend *)obj)->share = true;
}

static const Property memfd_properties[] = {
    PROPERTY_BOOL("hugetlb", MemfdBackend, hugetlb, "off", "Use huge pages"),
    PROPERTY_SIZE("hugetlbsize", MemfdBackend, hugetlbsize, NULL, "Huge pages size (ex: 2M, 1G)"),
    PROPERTY_BOOL("seal", MemfdBackend, seal, "on", "Seal growing & shrinking"),
    {},
};

static const UserCreatableOps memfd_ops = { memfd_complete, backend_can_be_deleted };

static const ObjectType memory_backend_memfd_type = {
    .name = "memory-backend-memfd",
    .parent = &memory_backend_type,
    .size = sizeof(MemfdBackend),
    .properties = memfd_properties,
    .interfaces = (const InterfaceImpl[]){ { &user_creatable_type, &memfd_ops }, {} },
    .init = memfd_init,
};
OBJECT_TYPE_REGISTER(memory_backend_memfd_type)
