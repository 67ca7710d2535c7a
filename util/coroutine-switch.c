/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Switching stacks: a few instructions on x86-64 (System V ABI, section 3.2.1: callee-saved registers and
 * the control words), ucontext(3) elsewhere or with -DCOROUTINE_UCONTEXT. Sanitizers are told of each switch.
 */
#include "util/osdep.h"
#include "coroutine-private.h"

#include <glib.h>
#include <sys/mman.h>

#ifdef CONFIG_ASAN
#include <sanitizer/asan_interface.h>
#include <pthread.h>
#include <sanitizer/common_interface_defs.h>
#include <sanitizer/lsan_interface.h>
#endif
#ifdef CONFIG_TSAN
#include <sanitizer/tsan_interface.h>
#endif
#if __has_include(<valgrind/valgrind.h>)
#include <valgrind/valgrind.h>
#else
#define VALGRIND_STACK_REGISTER(start, end) 0
#define VALGRIND_STACK_DEREGISTER(id) ((void)(id))
#endif

/* Deep enough for a chain of block nodes; untouched pages cost nothing. */
#if defined(CONFIG_ASAN) || defined(CONFIG_TSAN)
#define STACK_SIZE (1024 * 1024)
#else
#define STACK_SIZE (256 * 1024)
#endif

static size_t guard_size(void)
{
    static size_t size;
    if (!size) {
        size = sysconf(_SC_PAGESIZE);
    }
    return size;
}

static void stack_new(CoContext *ctx)
{
    size_t guard = guard_size();
    char *map = mmap(NULL, STACK_SIZE + guard, PROT_READ | PROT_WRITE,
                     MAP_PRIVATE | MAP_ANONYMOUS | MAP_STACK | MAP_NORESERVE, -1, 0);
    if (map == MAP_FAILED || mprotect(map, guard, PROT_NONE) != 0) {
        g_error("coroutine: no memory for a stack of %d bytes: %s", STACK_SIZE, g_strerror(errno));
    }
    ctx->stack = map + guard;
    ctx->stack_size = STACK_SIZE;
    ctx->valgrind_id = VALGRIND_STACK_REGISTER(ctx->stack, (char *)ctx->stack + STACK_SIZE);
}

#if COROUTINE_ASM

/*
 * void tern_stack_switch(void **save_sp (rdi), void *load_sp (rsi))
 * Pushes what a callee must preserve, swaps the stack pointer, pops. A new stack is laid out as if it had
 * been left by the same function, with tern_stack_start as the return address.
 */
void tern_stack_switch(void **save_sp, void *load_sp);
void tern_stack_start(void);

__asm__(".text\n"
        ".p2align 4\n"
        ".globl tern_stack_switch\n"
        ".hidden tern_stack_switch\n"
        ".type tern_stack_switch, @function\n"
        "tern_stack_switch:\n"
        "    endbr64\n"
        "    pushq %rbp\n"
        "    pushq %rbx\n"
        "    pushq %r12\n"
        "    pushq %r13\n"
        "    pushq %r14\n"
        "    pushq %r15\n"
        "    movq %rsp, (%rdi)\n"
        "    movq %rsi, %rsp\n"
        "    popq %r15\n"
        "    popq %r14\n"
        "    popq %r13\n"
        "    popq %r12\n"
        "    popq %rbx\n"
        "    popq %rbp\n"
        "    ret\n"
        ".size tern_stack_switch, . - tern_stack_switch\n"
        ".p2align 4\n"
        ".globl tern_stack_start\n"
        ".hidden tern_stack_start\n"
        ".type tern_stack_start, @function\n"
        "tern_stack_start:\n"
        "    .cfi_startproc\n"
        "    .cfi_undefined rip\n" /* unwinders end here */
        "    movq %r12, %rdi\n"
        "    callq *%rbx\n"
        "    ud2\n"
        "    .cfi_endproc\n"
        ".size tern_stack_start, . - tern_stack_start\n");

static void context_prepare(CoContext *ctx, void (*entry)(void *opaque), void *opaque)
{
    void **sp = (void **)((char *)ctx->stack + ctx->stack_size);
    *--sp = NULL; /* so that rsp % 16 == 0 at tern_stack_start, before its call */
    *--sp = NULL;
    *--sp = (void *)tern_stack_start;
    *--sp = NULL;          /* rbp */
    *--sp = (void *)entry; /* rbx */
    *--sp = opaque;        /* r12 */
    *--sp = NULL;          /* r13 */
    *--sp = NULL;          /* r14 */
    *--sp = NULL;          /* r15 */
    ctx->sp = sp;
}

static inline void raw_switch(CoContext *from, CoContext *to)
{
    tern_stack_switch(&from->sp, to->sp);
}

#else

/* makecontext() passes ints only. */
static void start_ucontext(unsigned entry_hi, unsigned entry_lo, unsigned opaque_hi, unsigned opaque_lo)
{
    void (*entry)(void *) = (void (*)(void *))(uintptr_t)((uint64_t)entry_hi << 32 | entry_lo);
    entry((void *)(uintptr_t)((uint64_t)opaque_hi << 32 | opaque_lo));
    abort();
}

static void context_prepare(CoContext *ctx, void (*entry)(void *opaque), void *opaque)
{
    uint64_t e = (uintptr_t)entry, o = (uintptr_t)opaque;
    getcontext(&ctx->uc);
    ctx->uc.uc_link = NULL;
    ctx->uc.uc_stack.ss_sp = ctx->stack;
    ctx->uc.uc_stack.ss_size = ctx->stack_size;
    makecontext(&ctx->uc, (void (*)(void))start_ucontext, 4, (unsigned)(e >> 32), (unsigned)e,
                (unsigned)(o >> 32), (unsigned)o);
}

static inline void raw_switch(CoContext *from, CoContext *to)
{
    swapcontext(&from->uc, &to->uc);
}

#endif

void co_context_restart(CoContext *ctx, void (*entry)(void *opaque), void *opaque)
{
#ifdef CONFIG_ASAN
    ASAN_UNPOISON_MEMORY_REGION(ctx->stack, ctx->stack_size);
    ctx->fake_stack = NULL;
#endif
#ifdef CONFIG_TSAN
    if (ctx->fiber) {
        __tsan_destroy_fiber(ctx->fiber);
    }
    ctx->fiber = __tsan_create_fiber(0);
#endif
    context_prepare(ctx, entry, opaque);
}

void co_context_init(CoContext *ctx, void (*entry)(void *opaque), void *opaque)
{
    *ctx = (CoContext){ 0 };
    stack_new(ctx);
#ifdef CONFIG_ASAN
    __lsan_register_root_region(ctx->stack, ctx->stack_size);
#endif
    co_context_restart(ctx, entry, opaque);
}

void co_context_init_thread(CoContext *ctx)
{
#ifdef CONFIG_ASAN
    pthread_attr_t attr;
    if (pthread_getattr_np(pthread_self(), &attr) == 0) {
        pthread_attr_getstack(&attr, &ctx->stack, &ctx->stack_size);
        pthread_attr_destroy(&attr);
    }
#endif
}

void co_context_destroy(CoContext *ctx)
{
#ifdef CONFIG_ASAN
    ASAN_UNPOISON_MEMORY_REGION(ctx->stack, ctx->stack_size);
    __lsan_unregister_root_region(ctx->stack, ctx->stack_size);
#endif
#ifdef CONFIG_TSAN
    __tsan_destroy_fiber(ctx->fiber);
#endif
    VALGRIND_STACK_DEREGISTER(ctx->valgrind_id);
    munmap((char *)ctx->stack - guard_size(), ctx->stack_size + guard_size());
}

void co_context_switch(CoContext *from, CoContext *to, bool final)
{
#ifdef CONFIG_ASAN
    __sanitizer_start_switch_fiber(final ? NULL : &from->fake_stack, to->stack, to->stack_size);
#endif
#ifdef CONFIG_TSAN
    from->fiber = __tsan_get_current_fiber();
    __tsan_switch_to_fiber(to->fiber, 0);
#endif
    raw_switch(from, to);
#ifdef CONFIG_ASAN
    __sanitizer_finish_switch_fiber(from->fake_stack, NULL, NULL);
#endif
}

void co_context_started(CoContext *self)
{
#ifdef CONFIG_ASAN
    __sanitizer_finish_switch_fiber(self->fake_stack, NULL, NULL);
#endif
}
