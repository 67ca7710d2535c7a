/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Does this host's KVM write over entries of a dirty ring that nobody has taken yet?
 *
 *     dirty-ring-overrun [ENTRIES]
 *
 * Nothing of the emulator is in here: one processor, 16 MiB, a loop that writes twice into each of 2560 pages. Each time that KVM says
 * "ring full" the ring is emptied and given back, while the processor is outside, and memory is compared with what it was: a page
 * that has changed without an entry is lost. Exits with 1 if there is one. See docs/devel/kvm.md.
 */
#include "util/osdep.h"

#include <fcntl.h>
#include <linux/kvm.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>

#define PAGE 4096
#define SIZE (16 << 20)
#define CODE 0x8000
#define ROUNDS 64

static const uint8_t code[] = {
    0xbf, 0x00, 0x00, 0x10, 0x00,       /* mov $0x100000, %edi */
    0xb9, 0x00, 0x0a, 0x00, 0x00,       /* mov $2560, %ecx */
    0xff, 0x07,                         /* incl (%edi) */
    0xff, 0x87, 0xfc, 0x0f, 0x00, 0x00, /* incl 0xffc(%edi) */
    0x81, 0xc7, 0x00, 0x10, 0x00, 0x00, /* add $0x1000, %edi */
    0xe2, 0xf0,                         /* loop */
    0xeb, 0xe4,                         /* again */
};

static int kvm, vm, vcpu;
static struct kvm_run *run;
static uint8_t *memory;

static int must(int r, const char *what)
{
    if (r < 0) {
        perror(what);
        exit(77);
    }
    return r;
}

static void *map(int fd, size_t size, off_t offset)
{
    void *p = mmap(NULL, size, PROT_READ | PROT_WRITE,
                   fd < 0 ? MAP_PRIVATE | MAP_ANONYMOUS : MAP_SHARED, fd, offset);

    if (p == MAP_FAILED) {
        perror("mmap");
        exit(77);
    }
    return p;
}

static void create(size_t ring_bytes)
{
    struct kvm_enable_cap cap = { .cap = KVM_CAP_DIRTY_LOG_RING_ACQ_REL, .args = { ring_bytes } };
    struct kvm_userspace_memory_region region = { .flags = KVM_MEM_LOG_DIRTY_PAGES,
                                                  .memory_size = SIZE };

    kvm = must(open("/dev/kvm", O_RDWR), "/dev/kvm");
    vm = must(ioctl(kvm, KVM_CREATE_VM, 0), "KVM_CREATE_VM");
    must(ioctl(vm, KVM_ENABLE_CAP, &cap), "KVM_CAP_DIRTY_LOG_RING_ACQ_REL");
    must(ioctl(vm, KVM_SET_TSS_ADDR, 0xfffbd000), "KVM_SET_TSS_ADDR");
    memory = map(-1, SIZE, 0);
    memset(memory, 0, SIZE);
    memcpy(memory + CODE, code, sizeof(code));
    region.userspace_addr = (uintptr_t)memory;
    must(ioctl(vm, KVM_SET_USER_MEMORY_REGION, &region), "KVM_SET_USER_MEMORY_REGION");
    vcpu = must(ioctl(vm, KVM_CREATE_VCPU, 0), "KVM_CREATE_VCPU");
    run = map(vcpu, must(ioctl(kvm, KVM_GET_VCPU_MMAP_SIZE, 0), "KVM_GET_VCPU_MMAP_SIZE"), 0);
}

/* 32-bit code without paging. */
static void set_registers(void)
{
    struct kvm_sregs sregs;
    struct kvm_regs regs = { .rip = CODE, .rflags = 2, .rsp = 0x7000 };
    struct kvm_segment flat = {
        .limit = ~0u, .type = 3, .present = 1, .db = 1, .s = 1, .g = 1, .selector = 16
    };

    must(ioctl(vcpu, KVM_GET_SREGS, &sregs), "KVM_GET_SREGS");
    sregs.ds = sregs.es = sregs.fs = sregs.gs = sregs.ss = sregs.cs = flat;
    sregs.cs.type = 11;
    sregs.cs.selector = 8;
    sregs.cr0 |= 1;
    must(ioctl(vcpu, KVM_SET_SREGS, &sregs), "KVM_SET_SREGS");
    must(ioctl(vcpu, KVM_SET_REGS, &regs), "KVM_SET_REGS");
}

/* Pages that differ from the copy and were not told; the copy follows. */
static unsigned compare(uint8_t *copy, const uint8_t *told)
{
    unsigned lost = 0;

    for (size_t page = 0; page < SIZE / PAGE; page++) {
        if (memcmp(memory + page * PAGE, copy + page * PAGE, PAGE)) {
            lost += !told[page];
            memcpy(copy + page * PAGE, memory + page * PAGE, PAGE);
        }
    }
    return lost;
}

int main(int argc, char **argv)
{
    uint32_t entries = argc > 1 ? strtoul(argv[1], NULL, 0) : 1024, next = 0;
    uint8_t *copy = malloc(SIZE), told[SIZE / PAGE];
    struct kvm_dirty_gfn *ring;
    unsigned lost = 0;

    create(entries * sizeof(*ring));
    set_registers();
    ring = map(vcpu, entries * sizeof(*ring), KVM_DIRTY_LOG_PAGE_OFFSET * PAGE);
    memcpy(copy, memory, SIZE);
    for (unsigned round = 0; round < ROUNDS && !lost; round++) {
        unsigned taken = 0, left = 0;

        must(ioctl(vcpu, KVM_RUN, 0), "KVM_RUN");
        if (run->exit_reason != KVM_EXIT_DIRTY_RING_FULL) {
            fprintf(stderr, "exit reason %u\n", run->exit_reason);
            return 77;
        }
        memset(told, 0, sizeof(told));
        for (; __atomic_load_n(&ring[next % entries].flags, __ATOMIC_ACQUIRE) ==
               KVM_DIRTY_GFN_F_DIRTY;
             next++, taken++) {
            told[ring[next % entries].offset % (SIZE / PAGE)] = 1;
            __atomic_store_n(&ring[next % entries].flags, KVM_DIRTY_GFN_F_RESET, __ATOMIC_RELEASE);
        }
        for (uint32_t i = 0; i < entries; i++) {
            left += ring[i].flags == KVM_DIRTY_GFN_F_DIRTY;
        }
        must(ioctl(vm, KVM_RESET_DIRTY_RINGS, 0), "KVM_RESET_DIRTY_RINGS");
        lost = compare(copy, told);
        printf("full: %u of %u entries taken, then one that is not dirty, %u dirty ones behind it; "
               "%u pages lost\n",
               taken, entries, left, lost);
    }
    return lost > 0;
}
