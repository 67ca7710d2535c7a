/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * SIGBUS, by which the kernel says that a page of memory is lost (sigaction(2), prctl(2) PR_MCE_KILL).
 *
 * Action required (BUS_MCEERR_AR; BUS_ADRERR where the page was poisoned by userfaultfd or its file has become
 * shorter): a thread has touched it. Which one decides:
 *   - guarded code (util/guard.h) comes out of it and learns the address;
 *   - a processor inside KVM_RUN: the guest's own access; noted, the processor's thread acts when it is outside again;
 *   - our own code without a guard: it gets a page of zeros in place of the lost one so that it can go on; the page is
 *     noted as lost, and the guest is told of it. The paths that hand guest memory to others are guarded or go by the
 *     list, so that this is the last resort.
 * Action optional (BUS_MCEERR_AO): the kernel has found it before anybody touched it; noted.
 *
 * A signal that does not concern guest memory ends the program as it would have without us: memory of its own is gone. Before
 * that it says so (MEMORY_FAILURE, action fatal) by a thread that waits for nothing else, since the one that has met the loss cannot
 * go on, and may be any.
 *
 * H1  Handlers call async-signal-safe functions and mmap(2) (a plain system call) only, and take no lock.
 * H2  No notice is lost for want of space: they are slots of tables, of which the first is there from the start and further ones are
 *     mapped by the handler that finds all full. A handler takes a free slot by compare-and-swap.
 */
#include "util/osdep.h"
#include "system/poison.h"

#include <poll.h>
#include <signal.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <glib-unix.h>
#include "qapi/events-run-state.h"
#include "util/error.h"
#include "util/guard.h"
#include "util/main-loop.h"
#include "poison-internal.h"

#define N_NOTICES 120 /* of a table, which then is a page */
#define LAST_WORDS_MS 1000

typedef enum NoticeState { NOTICE_FREE, NOTICE_BEING_WRITTEN, NOTICE_READY } NoticeState;

typedef struct Notice {
    unsigned state; /* atomic; NoticeState */
    void *address;
    unsigned lsb;
    bool action_required;
} Notice;

typedef struct NoticeTable {
    struct NoticeTable *next; /* atomic; never goes away */
    Notice notices[N_NOTICES];
} NoticeTable;

static NoticeTable first_table;
static unsigned lost_notices; /* atomic; the kernel gave no memory for a table */
static int wake_fd = -1, fatal_fd = -1;
static unsigned dying, announced; /* atomic */
static struct sigaction before_us;

static __thread bool inside; /* a processor's thread in KVM_RUN */
static __thread bool met;    /* and what it met there */
static __thread void *met_address;
static __thread unsigned met_lsb;

/* ---- handlers -------------------------------------------------------------------------------------------------- */

static bool take_slot(NoticeTable *table, void *address, unsigned lsb, bool action_required)
{
    for (unsigned i = 0; i < N_NOTICES; i++) {
        Notice *n = &table->notices[i];
        unsigned expected = NOTICE_FREE;

        if (__atomic_compare_exchange_n(&n->state, &expected, NOTICE_BEING_WRITTEN, false,
                                        __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST)) {
            n->address = address;
            n->lsb = lsb;
            n->action_required = action_required;
            __atomic_store_n(&n->state, NOTICE_READY, __ATOMIC_SEQ_CST);
            return true;
        }
    }
    return false;
}

/* The table behind this one, mapped if there is none; NULL: no memory. */
static NoticeTable *next_table(NoticeTable *table)
{
    NoticeTable *next = __atomic_load_n(&table->next, __ATOMIC_ACQUIRE), *none = NULL;

    if (next) {
        return next;
    }
    next = mmap(NULL, sizeof(*next), PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (next == MAP_FAILED) {
        return NULL;
    }
    if (!__atomic_compare_exchange_n(&table->next, &none, next, false, __ATOMIC_ACQ_REL,
                                     __ATOMIC_ACQUIRE)) {
        munmap(next, sizeof(*next)); /* another handler was faster */
        next = none;
    }
    return next;
}

static void note(void *address, unsigned lsb, bool action_required)
{
    NoticeTable *table = &first_table;
    uint64_t one = 1;

    while (table && !take_slot(table, address, lsb, action_required)) {
        table = next_table(table);
    }
    if (!table) {
        __atomic_fetch_add(&lost_notices, 1, __ATOMIC_SEQ_CST);
    }
    if (write(wake_fd, &one, sizeof(one)) < 0) {
        /* full: the main loop is awake anyway */
    }
}

/* Memory of the program itself cannot be read, and somebody needs it. The caller ends the program. */
static void last_words(void)
{
    static const char text[] = "qemu-system-x86_64: the host has lost memory of this program that is not the guest's, and the "
                               "program needs it: it ends here (SIGBUS)\n";
    uint64_t one = 1;

    if (!__atomic_exchange_n(&dying, 1, __ATOMIC_SEQ_CST) &&
        (write(STDERR_FILENO, text, sizeof(text) - 1) < 0 ||
         write(fatal_fd, &one, sizeof(one)) != sizeof(one))) {
        return;
    }
    for (unsigned i = 0; i < LAST_WORDS_MS / 10 && !__atomic_load_n(&announced, __ATOMIC_ACQUIRE); i++) {
        poll(NULL, 0, 10);
    }
}

/* As if we had never asked for it: what was there before us sees it, now or when the access is made again. */
static void not_ours(int sig, bool sent)
{
    sigaction(sig, &before_us, NULL);
    if (sent) {
        raise(sig);
    }
}

static void handler(int sig, siginfo_t *info, void *context)
{
    int saved_errno = errno;
    uint64_t offset;
    RamBlock *block;

    if (info->si_code == BUS_MCEERR_AO) {
        note(info->si_addr, info->si_addr_lsb, false);
        errno = saved_errno;
        return;
    }
    block = info->si_code > 0 ? poison_block_from_host(info->si_addr, &offset)
                              : NULL; /* 0, -n: somebody's kill() */
    if (!block) {
        if (info->si_code > 0) {
            last_words();
        }
        not_ours(sig, info->si_code <= 0);
        return;
    }
    if (inside) {
        met = true;
        met_address = info->si_addr;
        met_lsb = info->si_addr_lsb;
        errno = saved_errno;
        return;
    }
    guard_unwind(info->si_addr);
    offset = offset / block->page_size * block->page_size;
    mmap(block->host + offset, block->page_size, PROT_READ | PROT_WRITE,
         MAP_FIXED | MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    note(info->si_addr, 0, true);
    errno = saved_errno;
}

void poison_vcpu_inside(bool is)
{
    inside = is;
    __atomic_signal_fence(__ATOMIC_SEQ_CST);
}

bool poison_vcpu_take_error(void **address, unsigned *lsb)
{
    __atomic_signal_fence(__ATOMIC_SEQ_CST);
    if (G_LIKELY(!met)) {
        return false;
    }
    met = false;
    *address = met_address;
    *lsb = met_lsb;
    return true;
}

/* ---- the other side -------------------------------------------------------------------------------------------------- */

static void own_memory(const Notice *n)
{
    MemoryFailureFlags flags = { .action_required = n->action_required };

    warn_report("the host has lost memory of this program at %p that is not the guest's",
                n->address);
    qapi_event_send_MEMORY_FAILURE(MEMORY_FAILURE_RECIPIENT_HYPERVISOR,
                                   MEMORY_FAILURE_ACTION_IGNORE, &flags);
}

static void process(const Notice *n)
{
    uint64_t offset;
    RamBlock *block = ram_block_from_host(n->address, &offset);

    if (!block) {
        own_memory(n);
        return;
    }
    if (n->action_required) {
        GError *error = NULL;

        warn_report("a page of RAM block '%s' at 0x%" PRIx64
                    " was lost while a device was reading it",
                    block->idstr, offset);
        ram_poison_add(block, offset, 1, false, false, POISON_HOST);
        /* Zeros stand in its place; they are not to be had for data. */
        offset = offset / block->page_size * block->page_size;
        if (!ram_poison_install(block, offset, block->page_size, &error)) {
            warn_report("%s", error->message);
            g_error_free(error);
        }
        return;
    }
    uint64_t size = n->lsb && n->lsb < 63 ? UINT64_C(1) << n->lsb : 1;
    offset = offset / size * size;
    ram_poison_add(block, offset, MIN(size, block->size - offset), false, false, POISON_HOST);
}

void poison_process_notices(void)
{
    unsigned lost = __atomic_exchange_n(&lost_notices, 0, __ATOMIC_SEQ_CST);

    for (NoticeTable *t = &first_table; t; t = __atomic_load_n(&t->next, __ATOMIC_ACQUIRE)) {
        for (unsigned i = 0; i < N_NOTICES; i++) {
            if (__atomic_load_n(&t->notices[i].state, __ATOMIC_SEQ_CST) == NOTICE_READY) {
                Notice n = t->notices[i];

                __atomic_store_n(&t->notices[i].state, NOTICE_FREE, __ATOMIC_SEQ_CST);
                process(&n);
            }
        }
    }
    if (lost) {
        error_report("there was no memory to keep %u notices of lost memory; those pages are found when they are read",
                     lost);
    }
}

static gboolean woken(int fd, GIOCondition condition, void *opaque)
{
    uint64_t n;

    if (read(fd, &n, sizeof(n)) == sizeof(n)) {
        poison_process_notices();
    }
    return G_SOURCE_CONTINUE;
}

/* H1 keeps a handler from doing this. */
static gpointer fatal_thread(gpointer opaque)
{
    MemoryFailureFlags flags = { .action_required = true };
    uint64_t n;
    ssize_t r;

    do {
        r = read(fatal_fd, &n, sizeof(n));
    } while (r < 0 && errno == EINTR);
    if (r == sizeof(n)) {
        qapi_event_send_MEMORY_FAILURE(MEMORY_FAILURE_RECIPIENT_HYPERVISOR,
                                       MEMORY_FAILURE_ACTION_FATAL, &flags);
        __atomic_store_n(&announced, 1, __ATOMIC_RELEASE);
    }
    return NULL;
}

void poison_signals_init(void)
{
    struct sigaction action = { .sa_sigaction = handler, .sa_flags = SA_SIGINFO | SA_NODEFER };

    if (wake_fd >= 0) {
        return;
    }
    wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    fatal_fd = eventfd(0, EFD_CLOEXEC);
    if (wake_fd < 0 || fatal_fd < 0) {
        error_report("no descriptor for notices of lost memory: %s", g_strerror(errno));
        return;
    }
    g_thread_unref(g_thread_new("memory-failure", fatal_thread, NULL));
    sigemptyset(&action.sa_mask);
    sigaction(SIGBUS, &action, &before_us);
    /* Kernels without memory failure handling know no such option. */
    prctl(PR_MCE_KILL, PR_MCE_KILL_SET, PR_MCE_KILL_EARLY, 0, 0);
    g_unix_fd_add(wake_fd, G_IO_IN, woken, NULL);
}
