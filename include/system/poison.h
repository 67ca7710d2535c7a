/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Guest memory that the host has lost (P5): a page that the kernel has poisoned cannot be read any more. Here is the
 * list of such pages, and what everybody who reads or writes guest memory needs to know of it. docs/devel/poison.md.
 *
 * N1  An entry is one page of its RAM block's page size (2 MiB for huge pages): the kernel takes it as a whole.
 * N2  A page in the list is never read; it leaves as zeros, in every path.
 * N3  *Reported* means that the guest knows: it will not trust the page. An entry that is not reported keeps a
 *     migration from beginning; that ends the moment it becomes reported, is discarded by the guest, or at a reset.
 * N4  Signal handlers only note; everything else happens in a thread that may take locks. No notice is lost for want of
 *     space.
 * N5  The list stays over a reset only as far as pages could not be replaced.
 * N6  From the moment everybody is quiesced the guest may run elsewhere: it is not told here (its state has been saved; a machine
 *     check would get lost, and would write its memory). What is not reported travels so, and the other side tells. If the guest
 *     goes on here, it is told then.
 * N7  A page is found to be unreadable and enters the list, or is replaced, by one thread at a time: several load parts of one huge
 *     page, and who has met the lost one must not replace the fresh one.
 */
#ifndef SYSTEM_POISON_H
#define SYSTEM_POISON_H

#include <sys/uio.h>
#include <glib.h>
#include "system/memory.h"
#include "util/bitmap.h"

/* ---- for everybody who reads RAM: any thread, no lock ------------------------------------------------------ */

/* Whether the guest page at this offset is in the list. One test of a pointer while a block has no such page. */
static inline bool ram_page_poisoned(const RamBlock *block, uint64_t offset)
{
    const unsigned long *bits = __atomic_load_n(&block->poison, __ATOMIC_ACQUIRE);

    return G_UNLIKELY(bits != NULL) && bitmap_test(bits, offset >> GUEST_PAGE_BITS);
}
/* Whether any of these bytes are in such a page. */
bool ram_range_poisoned(const RamBlock *block, uint64_t offset, uint64_t len);
/* The first such guest page in [page, end), end if there is none; the first one that is not. */
uint64_t ram_next_poisoned(const RamBlock *block, uint64_t page, uint64_t end);
uint64_t ram_next_readable(const RamBlock *block, uint64_t page, uint64_t end);

/* Runs func, which reads (or writes) guest memory and may be left anywhere (util/guard.h). False: it met a page
 * that cannot be read, which is in the list now, and of which the guest will be told. */
bool ram_read_guarded(void (*func)(void *opaque), void *opaque);
/* Copies from guest memory; what cannot be read (page by page) arrives as zeros. Returns how many bytes could not. */
uint64_t ram_copy_or_zero(void *dst, const RamBlock *block, uint64_t offset, uint64_t len);
/* After a system call on guest memory has failed with EFAULT: looks for pages of the vector that cannot be read and
 * puts them into the list. How many there are now. */
unsigned ram_poison_find(const struct iovec *iov, unsigned niov);
/* The same, and gives a vector (g_free) of the same bytes with zeros where guest memory is poisoned. NULL: there is
 * none, EFAULT had another reason. */
struct iovec *ram_poison_patch_iov(const struct iovec *iov, unsigned niov, unsigned *n_out);

/* ---- entries ------------------------------------------------------------------------------------------------ */

typedef enum PoisonOrigin {
    POISON_HOST,    /* the kernel's signal, or reading failed */
    POISON_ARRIVED, /* came with a migration */
    POISON_TEST,    /* x-poison-page */
} PoisonOrigin;

typedef struct PoisonEntry {
    RamBlock *block;
    uint64_t offset;
    uint64_t size;        /* a page of the block (N1); less, if it came from a host with smaller ones */
    bool reported;        /* N3 */
    bool action_required; /* somebody has touched it; otherwise only the kernel has noticed */
    PoisonOrigin origin;
    uint64_t notices;     /* how often it was seen */
    bool announced;       /* the event for it was sent; private */
    MemoryRegion *guard;  /* makes the guest's accesses fail where the host's page is readable; private */
} PoisonEntry;

/* Puts the pages of a range into the list, or adds to what is known of them; the guest is told later, if not reported.
 * A part of a page that has arrived is taken as it is, in guest pages; anything else in pages of the block. Any
 * thread. */
void ram_poison_add(RamBlock *block, uint64_t offset, uint64_t len, bool reported,
                    bool action_required, PoisonOrigin origin);
/* Copies of the entries, in order of block and offset. Any thread. */
GArray *ram_poison_list(void);
unsigned ram_poison_count(void);
/* The guest does not have the content of these bytes any more (balloon, discard): pages that lie inside are replaced
 * by fresh ones and leave the list. Big lock. */
void ram_poison_discarded(RamBlock *block, uint64_t offset, uint64_t len);
/* Puts a fresh page (zeros) in the place of the entry or page that holds offset, which leaves the list. The content is lost:
 * for pages whose content is still to come, or not wanted. While postcopy loads memory (ram_poison_set_userfaultfd()) a page
 * whose content is still to come becomes a hole, as all of those are; any other is zeros for good. Any thread. */
bool ram_poison_refresh(RamBlock *block, uint64_t offset, GError **error);
/* Makes the pages of a range really unreadable, for us and the guest: userfaultfd's UFFDIO_POISON where the kernel has
 * it, else, for pages that are in the list, a guard in the memory map and, of whole pages of the block, a mapping that has no
 * content. The content is lost. Big lock. */
bool ram_poison_install(RamBlock *block, uint64_t offset, uint64_t len, GError **error);
/* A page of the block that is still a hole was lost where it comes from, which the guest does not know: into the list, and
 * unreadable. False: the kernel cannot do that; zeros are to be put there, so that nobody waits for it, and then a guard. Any
 * thread. */
bool ram_poison_arrives_late(RamBlock *block, uint64_t offset, uint64_t len);
/* The guard, when the main loop comes to it, as ram_poison_install() makes it. Any thread. */
void ram_poison_guard_late(RamBlock *block, uint64_t offset, uint64_t len);
/* Whether all of a range was lost before it came here: what the stream still has for it (zeros) is not wanted. Any
 * thread. */
bool ram_poison_arrived(const RamBlock *block, uint64_t offset, uint64_t len);
/* The same; if so, func notes that this page of the block has come, while nobody puts a fresh page there. */
bool ram_poison_arrived_note(const RamBlock *block, uint64_t offset, void (*func)(void *opaque), void *opaque);
/* The userfaultfd that all RAM is registered with (postcopy), which is used then; -1: none any more. */
void ram_poison_set_userfaultfd(int fd);
/* Where the guest sees it; UINT64_MAX: nowhere. */
hwaddr ram_guest_address(const RamBlock *block, uint64_t offset);
/* Blocks come and go: ram.c. */
void ram_poison_forget_block(RamBlock *block);

/* ---- migration ----------------------------------------------------------------------------------------------- */

/* Pages of which the guest was not told are told of now, if possible; false, naming the first, if some stay. */
bool ram_poison_check_migratable(GError **error);
/* The same, only looking. Any thread. */
bool ram_poison_all_reported(GError **error);
/* Whether the list goes into streams (section "memory-errors"); on by default. */
void ram_poison_set_travels(bool travels);
bool ram_poison_travels(void);
/* Registers the section. */
void ram_poison_register_section(void);
typedef enum RamContent {
    RAM_CONTENT_COMES, /* all of it; what is there is of no value */
    RAM_CONTENT_HERE,  /* something of it has come, and does not come again */
    RAM_CONTENT_KEPT,  /* this load has nothing to do with the page: it stays what it is */
} RamContent;

typedef struct RamLoaderOps {
    RamContent (*content)(const RamBlock *block, uint64_t offset); /* of a guest page; any thread */
    /* The page of the block has been replaced by zeros: what comes for it is not wanted any more. Postcopy; any thread. */
    void (*unwanted)(const RamBlock *block, uint64_t offset);
} RamLoaderOps;

/* The destination, while RAM is loaded. NULL: no load is going on. */
void ram_poison_set_loader(const RamLoaderOps *ops);
/* The destination: each page in the list whose content is still to come is replaced. False, naming the first, if one
 * had its content already. Any thread. */
bool ram_poison_settle_load(GError **error);

/* ---- signals --------------------------------------------------------------------------------------------------- */

/* Installs the handler of SIGBUS and asks the kernel for early notices. Main thread, at the start. */
void poison_signals_init(void);
/* A processor's thread is about to run the guest (true) or has come out: what the kernel says in between concerns
 * the guest's own access. */
void poison_vcpu_inside(bool inside);
/* After coming out: the guest's access met a poisoned page. */
bool poison_vcpu_take_error(void **address, unsigned *lsb);
/* Around an access that a processor makes for the guest outside of KVM_RUN: what it meets is not told of as if a device
 * had met it. Then, after MEM_ERROR: as poison_vcpu_error(), by guest-physical address; nothing if that is no lost page.
 * Its own thread, the latter with the big lock. */
void poison_guest_access(bool begin);
void poison_guest_error(void *cpu, hwaddr address);
/* Puts what handlers have noted into the list and tells the guest. Big lock. */
void poison_process_notices(void);
/* A processor met a poisoned page at host address: list, guest, event. Its own thread, big lock. */
void poison_vcpu_error(void *cpu, void *address, unsigned lsb);

/* ---- telling the guest: the target ------------------------------------------------------------------------------- */

typedef enum PoisonVerdict {
    POISON_TOLD,    /* the guest has a machine check */
    POISON_NOT_NOW, /* it cannot take one (no MCE, one is being handled): asked again later */
    POISON_FATAL,   /* it cannot go on and is reset */
} PoisonVerdict;

typedef struct PoisonTarget {
    /* cpu: the processor whose access it was, its own thread; NULL: nobody's, any processor will do. address:
     * guest-physical, of a block of 1 << lsb bytes. *recursive: while an earlier one was being handled. Big lock. */
    PoisonVerdict (*report)(void *cpu, hwaddr address, unsigned lsb, bool action_required,
                            bool *recursive);
    /* The processor whose thread this is, inside or outside of the guest; NULL for other threads. */
    void *(*current_cpu)(void);
} PoisonTarget;

/* NULL: nobody runs processors, nobody can be told. */
void poison_set_target(const PoisonTarget *target);

#endif
