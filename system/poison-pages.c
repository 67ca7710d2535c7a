/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Making pages unreadable, and readable again.
 *
 * Unreadable: userfaultfd(2)'s UFFDIO_POISON (Linux 6.6) puts a mark where the page was; the next access, ours, the
 * kernel's or that of KVM's guest, ends like one to a page that the hardware has lost. It needs no privilege, and the
 * mark outlives the descriptor. It works on whole pages of the mapping, and on ours only: a vhost-user back-end that
 * maps the same file reads what the file has.
 *
 * Where that is not to be had the page gets a guard: a region over it in the guest's memory map, whose accesses fail.
 * A processor that meets it gets the machine check, a device an error. Our own readers go by the list, and for those who do
 * neither a file without content is mapped there: SIGBUS, or EFAULT in a system call. In this order, because KVM can tell a
 * guest nothing of such a page. Of a part of a larger page there is only the guard.
 */
#include "util/osdep.h"
#include "system/poison.h"

#include <fcntl.h>
#include <linux/falloc.h>
#include <linux/userfaultfd.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include "util/error.h"
#include "util/guard.h"
#include "util/main-loop.h"
#include "memory-internal.h"
#include "poison-internal.h"

/* Linux 6.6; the headers that we are built with may be older. */
typedef struct UffdPoison {
    struct uffdio_range range;
    uint64_t mode;
    int64_t updated;
} UffdPoison;
#define UFFD_IOCTL_POISON _IOWR(UFFDIO, 0x08, UffdPoison)
#define UFFD_FEATURE_POISON_BIT (UINT64_C(1) << 14)
#ifndef UFFD_USER_MODE_ONLY
#define UFFD_USER_MODE_ONLY 1
#endif

#define GUARD_PRIORITY 10000

static int shared_uffd = -1; /* atomic; postcopy's */

void ram_poison_set_userfaultfd(int fd)
{
    __atomic_store_n(&shared_uffd, fd, __ATOMIC_RELEASE);
}

/* ---- UFFDIO_POISON -------------------------------------------------------------------------------------------- */

/* -errno */
static int mark_pages(int fd, void *host, uint64_t len)
{
    UffdPoison poison = { .range = { (uintptr_t)host, len } };
    int r;

    if (madvise(host, len, MADV_DONTNEED) < 0) {
        return -errno;
    }
    do {
        poison.updated = 0;
        r = ioctl(fd, UFFD_IOCTL_POISON, &poison);
    } while (r < 0 && errno == EAGAIN && poison.updated >= 0);
    return r < 0 ? -errno : 0;
}

static int poison_by_own_fd(void *host, uint64_t len)
{
    struct uffdio_api api = { .api = UFFD_API, .features = UFFD_FEATURE_POISON_BIT };
    struct uffdio_register reg = { .range = { (uintptr_t)host, len },
                                   .mode = UFFDIO_REGISTER_MODE_MISSING };
    int fd = syscall(SYS_userfaultfd, O_CLOEXEC | O_NONBLOCK | UFFD_USER_MODE_ONLY);
    int r;

    if (fd < 0) {
        return -errno;
    }
    if (ioctl(fd, UFFDIO_API, &api) < 0 || ioctl(fd, UFFDIO_REGISTER, &reg) < 0) {
        r = -errno;
    } else {
        r = mark_pages(fd, host, len);
        ioctl(fd, UFFDIO_UNREGISTER, &reg.range);
    }
    close(fd);
    return r;
}

/* -errno; pages of the block's size only. */
static int poison_pages(RamBlock *block, uint64_t offset, uint64_t len)
{
    int fd = __atomic_load_n(&shared_uffd, __ATOMIC_ACQUIRE);

    if ((offset | len) & (block->page_size - 1)) {
        return -EINVAL;
    }
    return fd >= 0 ? mark_pages(fd, block->host + offset, len)
                   : poison_by_own_fd(block->host + offset, len);
}

/* ---- the guard -------------------------------------------------------------------------------------------------- */

typedef struct GuardArea {
    RamBlock *block;
    uint64_t offset, size;
} GuardArea;

/* An access of a processor becomes a machine check; whoever it is, the access fails. */
static bool guard_accepts(void *opaque, hwaddr offset, unsigned size, bool is_write)
{
    const GuardArea *area = opaque;
    const PoisonTarget *target = poison_target();
    void *cpu = target ? target->current_cpu() : NULL;

    if (cpu) {
        poison_vcpu_error(cpu, area->block->host + area->offset + offset, 0);
    }
    return false;
}

static const MemoryOps guard_ops = { .accepts = guard_accepts };

void poison_free_guard(void *opaque)
{
    MemoryRegion *guard = opaque;
    GuardArea *area = guard->opaque;

    memory_region_free(guard);
    g_free(area);
}

/* Big lock. */
static bool add_guard(RamBlock *block, uint64_t offset, uint64_t len, GError **error)
{
    hwaddr address = ram_guest_address(block, offset);
    GuardArea *area;
    MemoryRegion *guard;
    PoisonEntry e;

    if (!poison_entry_find(block, offset, &e)) { /* our own readers would not know */
        return error_set(error, "RAM block '%s', offset 0x%" PRIx64 ": userfaultfd cannot poison this page (UFFDIO_POISON)",
                         block->idstr, offset);
    }
    if (address == UINT64_MAX) {
        return error_set(error,
                         "RAM block '%s', offset 0x%" PRIx64 ": the guest does not see this page",
                         block->idstr, offset);
    }
    area = g_new(GuardArea, 1);
    *area = (GuardArea){ block, offset, len };
    guard = memory_region_new_io(NULL, &guard_ops, area, "memory-error", len);
    memory_region_map_overlap(system_memory(), address, guard, GUARD_PRIORITY);
    guard = poison_entry_set_guard(block, offset, guard);
    if (guard) {
        poison_free_guard(guard);
    }
    return true;
}

/* A file without content; -1 with errno. Big lock. */
static int empty_file(void)
{
    static int fd = -1;

    if (fd < 0) {
        fd = memfd_create("lost-memory", MFD_CLOEXEC);
    }
    return fd;
}

/* Pages that have a guard. Postcopy has nothing to do with this mapping: nobody waits there for what does not come. Big lock. */
static bool map_nothing(RamBlock *block, uint64_t offset, uint64_t len, GError **error)
{
    int fd = empty_file();

    pthread_mutex_lock(&poison_pages_lock);
    bool ok = (offset | len) & (block->page_size - 1) || !ram_range_poisoned(block, offset, len) ||
              (fd >= 0 && mmap(block->host + offset, len, PROT_READ | PROT_WRITE, MAP_FIXED | MAP_SHARED | MAP_NORESERVE, fd, 0) !=
                              MAP_FAILED &&
               madvise(block->host + offset, len, MADV_DONTFORK) == 0);
    pthread_mutex_unlock(&poison_pages_lock);
    return ok || error_set_errno(error, errno, "RAM block '%s': the lost page at 0x%" PRIx64 " cannot be made unreadable",
                                 block->idstr, offset);
}

static bool guard_pages(RamBlock *block, uint64_t offset, uint64_t len, GError **error)
{
    return add_guard(block, offset, len, error) && map_nothing(block, offset, len, error);
}

static void add_late_guard(void *opaque)
{
    g_autofree GuardArea *area = opaque;
    GError *error = NULL;

    if (ram_page_poisoned(area->block, area->offset) && !guard_pages(area->block, area->offset, area->size, &error)) {
        error_report("the guest finds zeros in a lost page: %s", error->message);
        g_error_free(error);
    }
}

bool ram_poison_arrives_late(RamBlock *block, uint64_t offset, uint64_t len)
{
    ram_poison_add(block, offset, len, false, false, POISON_ARRIVED);
    return poison_pages(block, offset, len) == 0;
}

void ram_poison_guard_late(RamBlock *block, uint64_t offset, uint64_t len)
{
    GuardArea area = { block, offset, len };

    main_loop_call(add_late_guard, g_memdup2(&area, sizeof(area)));
}

bool ram_poison_install(RamBlock *block, uint64_t offset, uint64_t len, GError **error)
{
    if (len == 0 || offset >= block->size || len > block->size - offset ||
        ((offset | len) & (GUEST_PAGE_SIZE - 1))) {
        return error_set(error, "RAM block '%s' has no pages at 0x%" PRIx64 ", 0x%" PRIx64 " bytes",
                         block->idstr, offset, len);
    }
    int r = poison_pages(block, offset, len);
    return r == 0 || guard_pages(block, offset, len, error);
}

/* ---- fresh pages ----------------------------------------------------------------------------------------------------- */

static bool remap(RamBlock *block, uint64_t offset, GError **error)
{
    int prot = PROT_READ | (block->host_readonly ? 0 : PROT_WRITE);
    int flags = MAP_FIXED | MAP_NORESERVE | (block->shared ? MAP_SHARED : MAP_PRIVATE);
    int fd = block->fd;
    size_t size = block->page_size;
    uint8_t *host = block->host + offset;

    /* A private mapping of a file must not show the file again; huge pages come from their file system only. */
    if (!block->shared && size == (size_t)sysconf(_SC_PAGESIZE)) {
        fd = -1;
    }
    if (fd < 0) {
        flags |= MAP_ANONYMOUS;
    } else if (block->shared && fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE,
                                          block->fd_offset + offset, size) < 0) {
        return error_set_errno(error, errno,
                               "RAM block '%s': the lost page at 0x%" PRIx64
                               " cannot be taken out of its file",
                               block->idstr, offset);
    }
    if (mmap(host, size, prot, flags, fd, fd < 0 ? 0 : block->fd_offset + offset) == MAP_FAILED) {
        return error_set_errno(error, errno,
                               "RAM block '%s': no fresh page for the lost one at 0x%" PRIx64,
                               block->idstr, offset);
    }
    madvise(host, size, MADV_DONTFORK);
    if (block->size >= UINT64_C(2) << 20) {
        madvise(
            host, size,
            MADV_HUGEPAGE); /* as its neighbours, so that the kernel makes one area of them again */
    }
    return true;
}

typedef struct Clear {
    uint8_t *host;
    uint64_t size;
} Clear;

static void clear(void *opaque)
{
    const Clear *c = opaque;

    memset(c->host, 0, c->size);
}

/* Zeros; a page that is a hole is not waited for. */
static bool make_clear(RamBlock *block, uint64_t offset, uint64_t size, GError **error)
{
    Clear c = { block->host + offset, block->host_readonly ? 0 : size };

    return guard_run(clear, &c, NULL) ||
           error_set(error, "RAM block '%s': the page at 0x%" PRIx64 " stays lost", block->idstr, offset);
}

static bool in_postcopy(const RamBlock *block)
{
    return __atomic_load_n(&shared_uffd, __ATOMIC_ACQUIRE) >= 0 && !block->not_migrated;
}

/* Whether postcopy has still to bring it. Of what had been lost where it comes from there is nothing to come. */
static bool is_to_come(const PoisonEntry *e)
{
    return in_postcopy(e->block) && e->origin != POISON_ARRIVED && poison_content(e) == RAM_CONTENT_COMES;
}

/* A part of a larger page, which the host can read: it came so from a host with smaller ones. In postcopy the page may still be
 * a hole: it comes with zeros there. */
static bool refresh_part(const PoisonEntry *e, GError **error)
{
    bool hole = in_postcopy(e->block) && poison_content(e) == RAM_CONTENT_COMES;

    if (!hole && !make_clear(e->block, e->offset, e->size, error)) {
        return false;
    }
    poison_entries_remove(e->block, e->offset, e->size);
    ram_block_set_dirty(e->block, e->offset, e->size);
    return true;
}

/* The fresh mapping belongs to postcopy as the one before did: where nothing is, it traps. */
static bool traps_again(RamBlock *block, uint64_t offset)
{
    struct uffdio_register reg = { .range = { (uintptr_t)block->host + offset, block->page_size },
                                   .mode = UFFDIO_REGISTER_MODE_MISSING };

    return ioctl(__atomic_load_n(&shared_uffd, __ATOMIC_ACQUIRE), UFFDIO_REGISTER, &reg) == 0;
}

bool poison_refresh_locked(RamBlock *block, uint64_t offset, GError **error)
{
    uint64_t size = block->page_size;
    PoisonEntry e;
    bool found = poison_entry_find(block, offset, &e);

    if (found && e.size < size) {
        return refresh_part(&e, error);
    }
    offset = offset / size * size;
    if (!found) { /* nobody has told us yet */
        e = (PoisonEntry){ .block = block, .offset = offset, .size = size, .origin = POISON_HOST };
    }
    bool hole = is_to_come(&e);
    if (!remap(block, offset, error) || (!hole && !make_clear(block, offset, size, error))) {
        return false;
    }
    if (in_postcopy(block) && !traps_again(block, offset) && hole) {
        return error_set_errno(error, errno, "RAM block '%s': the fresh page at 0x%" PRIx64 " cannot be loaded by postcopy",
                               block->idstr, offset);
    }
    if (in_postcopy(block) && !hole) {
        poison_content_unwanted(block, offset);
    }
    poison_entries_remove(block, offset, size);
    ram_block_set_dirty(block, offset, size);
    return true;
}

bool ram_poison_refresh(RamBlock *block, uint64_t offset, GError **error)
{
    pthread_mutex_lock(&poison_pages_lock);
    bool ok = poison_refresh_locked(block, offset, error);
    pthread_mutex_unlock(&poison_pages_lock);
    return ok;
}
