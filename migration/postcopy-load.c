/* SPDX-License-Identifier: GPL-2.0-or-later */
/* userfaultfd(2) on the destination; see postcopy.h. */
#include "util/osdep.h"
#include "postcopy.h"

#include <fcntl.h>
#include <linux/userfaultfd.h>
#include <poll.h>
#include <pthread.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include "migration/blocktime.h"
#include "hw/core/cpu.h"
#include "options.h"
#include "return-path.h"
#include "system/poison.h"
#include "util/bitmap.h"
#include "util/clock.h"
#include "util/error.h"

#define HUGE_PAGE (UINT64_C(2) << 20)

typedef struct Postcopy {
    bool advised;
    bool listening; /* atomic */
    int uffd;
    int wake_fd; /* eventfd: the fault thread shall look */
    GThread *thread;
    bool quit; /* atomic */

    pthread_mutex_t lock;
    IoChannel *ioc;            /* under lock; NULL: broken */
    bool again;                /* under lock: everything outstanding is to be asked for */
    const RamLoadBlock *asked; /* under lock: block of the last request on this channel */

    /* The page that is being put together: the loader's thread. */
    uint8_t *stage;
    size_t stage_size;
    const RamLoadBlock *stage_block;
    uint64_t stage_page, stage_next;
    bool stage_zero, stage_lost;
} Postcopy;

static Postcopy pc = { .uffd = -1, .wake_fd = -1, .lock = PTHREAD_MUTEX_INITIALIZER };

bool postcopy_advised(void)
{
    return pc.advised;
}

bool postcopy_listening(void)
{
    return __atomic_load_n(&pc.listening, __ATOMIC_ACQUIRE);
}

/* ---- blocks ---------------------------------------------------------------------------------------------------------- */

static bool takes_part(const RamLoadBlock *lb)
{
    return !lb->block->not_migrated && !ram_block_ignored(lb->block);
}

static int open_userfaultfd(GError **error)
{
    int fd = syscall(SYS_userfaultfd, O_CLOEXEC | O_NONBLOCK);
#ifdef USERFAULTFD_IOC_NEW
    if (fd < 0) {
        int dev = open("/dev/userfaultfd", O_RDWR | O_CLOEXEC);
        fd = dev < 0 ? -1 : ioctl(dev, USERFAULTFD_IOC_NEW, O_CLOEXEC | O_NONBLOCK);
        if (dev >= 0) {
            close(dev);
        }
    }
#endif
    bool who = migration_capability(MIGRATION_CAPABILITY_POSTCOPY_BLOCKTIME);
    struct uffdio_api api = { .api = UFFD_API, .features = who ? UFFD_FEATURE_THREAD_ID : 0 };
    if (fd >= 0 && ioctl(fd, UFFDIO_API, &api) < 0) {
        close(fd);
        fd = -1;
        if (who && errno == EINVAL) {
            error_set(error, "postcopy-blocktime needs a kernel that says which thread waits for a page");
            return -1;
        }
    }
    if (fd < 0) {
        error_set_errno(
            error, errno,
            "postcopy needs userfaultfd (root, vm.unprivileged_userfaultfd=1 or /dev/userfaultfd)");
    }
    return fd;
}

static bool register_block(RamLoadBlock *lb, void *opaque)
{
    const RamBlock *block = lb->block;
    struct uffdio_register reg = { .range = { (uintptr_t)block->host, block->size },
                                   .mode = UFFDIO_REGISTER_MODE_MISSING };
    if (!takes_part(lb)) {
        return true;
    }
    if (ioctl(pc.uffd, UFFDIO_REGISTER, &reg) < 0) {
        return error_set_errno(opaque, errno, "RAM block %s cannot be loaded by postcopy",
                               block->idstr);
    }
    return true;
}

/* Pages become holes: what is read there then comes from the source. */
static bool drop(const RamBlock *block, uint64_t start, uint64_t len, GError **error)
{
    bool file = block->fd >= 0 && block->shared;
    int r = file ? madvise(block->host + start, len, MADV_REMOVE)
                 : madvise(block->host + start, len, MADV_DONTNEED);
    return r == 0 || error_set_errno(error, errno, "RAM block %s cannot be emptied for postcopy",
                                     block->idstr);
}

static bool prepare_block(RamLoadBlock *lb, void *opaque)
{
    RamBlock *block = lb->block;
    uint64_t pages = block->max_size / GUEST_PAGE_SIZE; /* the list of blocks, which comes later, may make it larger */
    if (!takes_part(lb)) {
        return true;
    }
    if (block->fd >= 0 && !block->shared && block->page_size == GUEST_PAGE_SIZE) {
        return error_set(opaque,
                         "RAM block %s is a private mapping of a file, which postcopy cannot load",
                         block->idstr);
    }
    g_clear_pointer(&lb->untouched, g_free); /* K1: zero pages are to be mapped */
    lb->received = bitmap_new(pages);
    lb->requested = bitmap_new(pages);
    pc.stage_size = MAX(pc.stage_size, block->page_size);
    /* A huge page of the kernel's making would fill holes. */
    madvise(block->host, block->size, MADV_NOHUGEPAGE);
    return drop(block, 0, block->max_size, opaque);
}

static bool add_page_size(RamLoadBlock *lb, void *opaque)
{
    if (takes_part(lb)) {
        *(uint64_t *)opaque |= lb->block->page_size;
    }
    return true;
}

/* Whether the kernel can, before anything depends on it. */
static bool try_register(GError **error)
{
    pc.uffd = open_userfaultfd(error);
    bool ok = pc.uffd >= 0 && ram_load_foreach(register_block, error);
    if (pc.uffd >= 0) {
        close(pc.uffd); /* takes the registrations away */
    }
    pc.uffd = -1;
    return ok;
}

bool postcopy_advise(uint64_t page_sizes, uint64_t page_size, GError **error)
{
    uint64_t own = 0;
    if (pc.advised) {
        return error_set(error, "the source advises postcopy twice");
    }
    if (page_size != GUEST_PAGE_SIZE) {
        return error_set(error, "postcopy with guest pages of 0x%" PRIx64 " bytes", page_size);
    }
    ram_load_foreach(add_page_size, &own);
    if (page_sizes != own) {
        return error_set(error,
                         "postcopy needs memory of the same page sizes: 0x%" PRIx64
                         " here, 0x%" PRIx64 " there",
                         own, page_sizes);
    }
    if (!try_register(error)) {
        return false;
    }
    pc.advised = true;
    pc.stage_size = GUEST_PAGE_SIZE;
    if (!ram_load_foreach(prepare_block, error)) {
        return false;
    }
    pc.stage = mmap(NULL, pc.stage_size, PROT_READ | PROT_WRITE,
                    MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (pc.stage == MAP_FAILED) {
        pc.stage = NULL;
        return error_set_errno(error, errno, "no memory for a page of 0x%zx bytes", pc.stage_size);
    }
    return true;
}

bool postcopy_discard(const char *name, uint64_t start, uint64_t len, GError **error)
{
    RamLoadBlock *lb = ram_load_find(name, error);
    if (!lb) {
        return false;
    }
    const RamBlock *block = lb->block;
    if (!pc.advised || postcopy_listening() || !lb->received) {
        return error_set(error, "a discard of RAM block %s that is out of place", block->idstr);
    }
    if (start > block->size || len > block->size - start || (start | len) % block->page_size) {
        return error_set(error, "a discard of 0x%" PRIx64 " bytes at 0x%" PRIx64 " of RAM block %s",
                         len, start, block->idstr);
    }
    if (!len) {
        return true;
    }
    bitmap_clear(lb->received, start / GUEST_PAGE_SIZE, len / GUEST_PAGE_SIZE); /* K3 */
    bitmap_clear(lb->arrived, start / GUEST_PAGE_SIZE, len / GUEST_PAGE_SIZE);  /* L3 */
    return drop(block, start, len, error);
}

/* ---- requests ---------------------------------------------------------------------------------------------------------- */

/* With the lock. Failures show on the main channel as well. */
static void send_request(const RamLoadBlock *lb, uint64_t offset)
{
    if (pc.ioc && return_path_send_request(pc.ioc, lb == pc.asked ? NULL : lb->block->idstr, offset,
                                           lb->block->page_size, NULL)) {
        pc.asked = lb;
    }
}

typedef struct Fault {
    const uint8_t *address;
    int thread; /* who waits, with postcopy-blocktime */
} Fault;

/* T2; with the lock. */
static void measure_fault(const RamLoadBlock *lb, const Fault *fault, uint64_t offset)
{
    if (blocktime_active()) {
        const uint8_t *page = lb->block->host + offset;
        blocktime_fault(fault->thread, page, clock_get_ns(CLOCK_REALTIME_NS));
        if (bitmap_test(lb->received, offset / GUEST_PAGE_SIZE)) {
            blocktime_arrived(page, clock_get_ns(CLOCK_REALTIME_NS));
        }
    }
}

static bool find_fault(RamLoadBlock *lb, void *opaque)
{
    const Fault *fault = opaque;
    const RamBlock *block = lb->block;
    if (!lb->received || fault->address < block->host ||
        fault->address >= block->host + block->size) {
        return true;
    }
    uint64_t offset =
        (uint64_t)(fault->address - block->host) / block->page_size * block->page_size;
    uint64_t page = offset / GUEST_PAGE_SIZE;
    pthread_mutex_lock(&pc.lock);
    measure_fault(lb, fault, offset);
    if (bitmap_test(lb->received, page)) {
        struct uffdio_zeropage z = { .range = { (uintptr_t)block->host + offset, block->page_size } };
        /* The guest has given it back since it came (K3), which it does with small pages: zeros. EEXIST: it came meanwhile. A larger
         * one is no hole any more, or not for long: it is lost, and is being made unreadable (ram_poison_install()). */
        if (block->page_size != GUEST_PAGE_SIZE || ioctl(pc.uffd, UFFDIO_ZEROPAGE, &z) < 0) {
            ioctl(pc.uffd, UFFDIO_WAKE, &z.range);
        }
    } else if (!bitmap_test(lb->requested, page)) {
        bitmap_set(lb->requested, page, 1);
        send_request(lb, offset);
    }
    pthread_mutex_unlock(&pc.lock);
    return false;
}

static bool ask_again(RamLoadBlock *lb, void *opaque)
{
    uint64_t pages = lb->block->size / GUEST_PAGE_SIZE;
    for (uint64_t page = 0;
         lb->requested && (page = bitmap_find_next(lb->requested, pages, page)) < pages; page++) {
        if (!bitmap_test(lb->received, page)) {
            send_request(lb, page * GUEST_PAGE_SIZE);
        }
    }
    return true;
}

static void read_faults(void)
{
    struct uffd_msg messages[16];
    ssize_t n;
    while ((n = read(pc.uffd, messages, sizeof(messages))) > 0) {
        for (size_t i = 0; i < n / sizeof(messages[0]); i++) {
            if (messages[i].event == UFFD_EVENT_PAGEFAULT) {
                Fault fault = { (const uint8_t *)(uintptr_t)messages[i].arg.pagefault.address,
                                messages[i].arg.pagefault.feat.ptid };
                ram_load_foreach(find_fault, &fault);
            }
        }
    }
}

static void *fault_thread(void *opaque)
{
    while (!__atomic_load_n(&pc.quit, __ATOMIC_ACQUIRE)) {
        struct pollfd pfd[2] = { { .fd = pc.uffd, .events = POLLIN },
                                 { .fd = pc.wake_fd, .events = POLLIN } };
        uint64_t count;
        if (poll(pfd, 2, -1) < 0) {
            continue;
        }
        if (pfd[1].revents && read(pc.wake_fd, &count, sizeof(count)) > 0) {
            pthread_mutex_lock(&pc.lock);
            if (pc.again) {
                pc.again = false;
                ram_load_foreach(ask_again, NULL);
            }
            pthread_mutex_unlock(&pc.lock);
        }
        if (pfd[0].revents) {
            read_faults();
        }
    }
    return NULL;
}

static void wake_thread(void)
{
    uint64_t one = 1;
    if (write(pc.wake_fd, &one, sizeof(one)) < 0) {
        g_assert(errno == EAGAIN); /* it is awake */
    }
}

void postcopy_set_channel(IoChannel *ioc)
{
    pthread_mutex_lock(&pc.lock);
    io_channel_unref(pc.ioc);
    pc.ioc = ioc ? io_channel_ref(ioc) : NULL;
    pc.asked = NULL;
    pc.again = ioc != NULL;
    pthread_mutex_unlock(&pc.lock);
    if (ioc && pc.wake_fd >= 0) {
        wake_thread();
    }
}

/* Those who are there now; who is plugged in later is not measured. */
static void measure_processors(void)
{
    g_autofree int *threads = g_new0(int, cpu_count());
    unsigned n = 0;
    CPU_FOREACH (cpu) {
        threads[n++] = cpu->has_thread ? cpu->thread_id : 0;
    }
    blocktime_begin(threads, n);
}

bool postcopy_listen(IoChannel *ioc, GError **error)
{
    if (!pc.advised || pc.listening) {
        return error_set(error, "the source wants postcopy to begin, which it has not advised");
    }
    pc.uffd = open_userfaultfd(error);
    if (pc.uffd < 0 || !ram_load_foreach(register_block, error)) {
        return false;
    }
    pc.wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (pc.wake_fd < 0) {
        return error_set_errno(error, errno, "eventfd");
    }
    if (migration_capability(MIGRATION_CAPABILITY_POSTCOPY_BLOCKTIME)) {
        measure_processors();
    }
    ram_poison_set_userfaultfd(pc.uffd);
    postcopy_set_channel(ioc);
    pc.quit = false;
    __atomic_store_n(&pc.listening, true, __ATOMIC_RELEASE);
    pc.thread = g_thread_new("postcopy-fault", fault_thread, NULL);
    return true;
}

/* ---- pages -------------------------------------------------------------------------------------------------------------- */

uint8_t *postcopy_stage(RamLoadBlock *lb, uint64_t offset, GError **error)
{
    size_t size = lb->block->page_size;
    uint64_t page = offset / size * size;
    if (!lb->received) {
        error_set(error, "RAM block %s does not take part", lb->block->idstr);
        return NULL;
    }
    if (offset == page) {
        pc.stage_block = lb;
        pc.stage_page = page;
        pc.stage_zero = true;
        pc.stage_lost = false;
    } else if (pc.stage_block != lb || pc.stage_page != page || pc.stage_next != offset) {
        error_set(error, "a part of page 0x%" PRIx64 " of RAM block %s is out of order", page,
                  lb->block->idstr);
        return NULL;
    }
    pc.stage_next = offset + GUEST_PAGE_SIZE;
    return pc.stage + (offset - page);
}

void postcopy_stage_lost(RamLoadBlock *lb, uint64_t offset)
{
    pc.stage_lost |= !ram_poison_arrived(lb->block, offset, GUEST_PAGE_SIZE);
}

/* One attempt: 0, or errno. */
static int fill_hole(const RamBlock *block, uint64_t page, bool zero)
{
    uint64_t at = (uintptr_t)block->host + page, done = 0;
    while (done < block->page_size) {
        int r;
        int64_t got;
        if (zero && block->page_size == GUEST_PAGE_SIZE) {
            struct uffdio_zeropage z = { .range = { at, block->page_size } };
            r = ioctl(pc.uffd, UFFDIO_ZEROPAGE, &z);
            got = z.zeropage;
        } else {
            struct uffdio_copy c = { .dst = at + done,
                                     .src = (uintptr_t)pc.stage + done,
                                     .len = block->page_size - done };
            r = ioctl(pc.uffd, UFFDIO_COPY, &c);
            got = c.copy;
        }
        if (r == 0) {
            break;
        }
        if (errno != EAGAIN) {
            return errno;
        }
        done += MAX(got, 0);
    }
    return 0;
}

static void note_received(void *opaque)
{
    RamLoadBlock *lb = opaque;
    bitmap_set_atomic(lb->received, pc.stage_page / GUEST_PAGE_SIZE, lb->block->page_size / GUEST_PAGE_SIZE);
}

/* L3: the page of the block may be there from now on; or its content is still to come, after all. */
static void note_coming(RamLoadBlock *lb, uint64_t page, bool coming)
{
    uint64_t first = page / GUEST_PAGE_SIZE, n = lb->block->page_size / GUEST_PAGE_SIZE;
    if (coming) {
        bitmap_set_atomic(lb->arrived, first, n);
    } else {
        bitmap_test_and_clear_atomic(lb->arrived, first, n);
    }
}

/* Into the hole. What is there instead is no page of the guest's: this host has lost it, and its content comes into a fresh one; or
 * the guest has been reset, and zeros are what is wanted. */
static bool fill(RamLoadBlock *lb, uint64_t page, bool zero, GError **error)
{
    RamBlock *block = lb->block;
    bool lost = G_UNLIKELY(ram_page_poisoned(block, page)) && !ram_poison_arrived(block, page, GUEST_PAGE_SIZE);
    for (bool again = false;; again = true) {
        int r = EEXIST;
        if (!lost || again) {
            note_coming(lb, page, true); /* first (K3) */
            r = fill_hole(block, page, zero);
        }
        if (r == 0 || (r == EEXIST && bitmap_test(lb->received, page / GUEST_PAGE_SIZE))) {
            return true;
        }
        note_coming(lb, page, false);
        if (r != EEXIST || again) { /* again: somebody has touched the fresh page; the content is not to be dropped */
            return error_set(error, "page 0x%" PRIx64 " of RAM block %s cannot be placed: %s", page, block->idstr,
                             g_strerror(r));
        }
        if (!ram_poison_refresh(block, page, error)) {
            return false;
        }
    }
}

/* The page becomes unreadable, as it was for the source; where the kernel cannot do that zeros go there, and a guard follows. */
static bool make_lost(RamLoadBlock *lb, uint64_t page, GError **error)
{
    RamBlock *block = lb->block;
    if ((ram_page_poisoned(block, page) && !ram_poison_arrived(block, page, GUEST_PAGE_SIZE)) || /* this host has lost it as well */
        ram_poison_arrives_late(block, page, block->page_size)) {
        return true;
    }
    memset(pc.stage, 0, block->page_size);
    bool ok = fill(lb, page, true, error);
    ram_poison_guard_late(block, page, block->page_size);
    return ok;
}

/* Who waits for a page is to look again. */
static void wake(const RamLoadBlock *lb, uint64_t page)
{
    struct uffdio_range range = { (uintptr_t)lb->block->host + page, lb->block->page_size };
    ioctl(pc.uffd, UFFDIO_WAKE, &range);
}

/* K2. */
static bool place(RamLoadBlock *lb, uint64_t page, bool zero, GError **error)
{
    RamBlock *block = lb->block;
    if (G_UNLIKELY(ram_range_poisoned(block, page, block->page_size)) &&
        ram_poison_arrived_note(block, page, note_received, lb)) {
        wake(lb, page); /* the source had lost it; it is unreadable here, too, since after who waits has touched it */
        return true;
    }
    if (bitmap_test(lb->received, page / GUEST_PAGE_SIZE)) {
        return true; /* it came twice, a request and the background; or it was replaced and is not wanted */
    }
    return G_UNLIKELY(pc.stage_lost) ? make_lost(lb, page, error) : fill(lb, page, zero, error);
}

/* K3. asked: whether it was asked for before it was placed. Who has given it back and touched it again since waits for what does
 * not come: he is to look again. */
static void set_received(RamLoadBlock *lb, bool asked)
{
    pthread_mutex_lock(&pc.lock);
    note_received(lb);
    bool late = !asked && bitmap_test(lb->requested, pc.stage_page / GUEST_PAGE_SIZE);
    pthread_mutex_unlock(&pc.lock);
    if (G_UNLIKELY(late)) {
        wake(lb, pc.stage_page);
    }
}

bool postcopy_staged(RamLoadBlock *lb, uint64_t offset, bool zero, GError **error)
{
    RamBlock *block = lb->block;
    pc.stage_zero &= zero;
    if (pc.stage_next != pc.stage_page + block->page_size) {
        return true;
    }
    pc.stage_block = NULL;
    bool asked = bitmap_test(lb->requested, pc.stage_page / GUEST_PAGE_SIZE);
    if (!place(lb, pc.stage_page, pc.stage_zero, error)) {
        return false;
    }
    set_received(lb, asked);
    if (blocktime_active()) {
        blocktime_arrived(block->host + pc.stage_page, clock_get_ns(CLOCK_REALTIME_NS));
    }
    return true;
}

static bool block_complete(RamLoadBlock *lb, void *opaque)
{
    uint64_t pages = lb->block->size / GUEST_PAGE_SIZE;
    return !lb->received || bitmap_find_next_zero(lb->received, pages, 0) >= pages;
}

bool postcopy_complete(void)
{
    return ram_load_foreach(block_complete, NULL);
}

bool postcopy_send_bitmap(IoChannel *ioc, const char *name, GError **error)
{
    RamLoadBlock *lb = ram_load_find(name, error);
    if (!lb) {
        return false;
    }
    if (!lb->received || !postcopy_listening()) {
        return error_set(
            error, "the source asks for the pages of RAM block %s, which is not loaded by postcopy",
            name);
    }
    pc.stage_block = NULL;
    return return_path_send_bitmap(ioc, name, lb->received, lb->block->size / GUEST_PAGE_SIZE,
                                   error);
}

/* ---- end ------------------------------------------------------------------------------------------------------------------ */

static bool end_block(RamLoadBlock *lb, void *opaque)
{
    RamBlock *block = lb->block;
    if (lb->received) {
        g_clear_pointer(&lb->received, g_free);
        g_clear_pointer(&lb->requested, g_free);
        if (block->size >= HUGE_PAGE) {
            madvise(block->host, block->size, MADV_HUGEPAGE);
        }
    }
    return true;
}

void postcopy_end(void)
{
    if (pc.thread) {
        __atomic_store_n(&pc.quit, true, __ATOMIC_RELEASE);
        wake_thread();
        g_thread_join(g_steal_pointer(&pc.thread));
    }
    postcopy_set_channel(NULL);
    blocktime_end(clock_get_ns(CLOCK_REALTIME_NS));
    __atomic_store_n(&pc.listening, false, __ATOMIC_RELEASE);
    if (pc.uffd >= 0) {
        ram_poison_set_userfaultfd(-1);
        close(pc.uffd); /* who still waits goes on, with what is there */
        pc.uffd = -1;
    }
    if (pc.wake_fd >= 0) {
        close(pc.wake_fd);
        pc.wake_fd = -1;
    }
    ram_load_foreach(end_block, NULL);
    if (pc.stage) {
        munmap(pc.stage, pc.stage_size);
        pc.stage = NULL;
    }
    pc.stage_block = NULL;
    pc.stage_size = 0;
    pc.advised = false;
}
