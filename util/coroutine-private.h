/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Stacks and the switch between them: the part of coroutines that knows the processor. */
#ifndef UTIL_COROUTINE_PRIVATE_H
#define UTIL_COROUTINE_PRIVATE_H

#include <stddef.h>
#include <ucontext.h>

#if defined(__x86_64__) && !defined(COROUTINE_UCONTEXT)
#define COROUTINE_ASM 1
#else
#define COROUTINE_ASM 0
#endif

/* A thread of execution that is switched away from: a coroutine, or a thread's own stack. */
typedef struct CoContext {
#if COROUTINE_ASM
    void *sp;
#else
    ucontext_t uc;
#endif
    void *stack; /* lowest usable byte; of a thread's own stack for the sanitizer only */
    size_t stack_size;
    void *fake_stack; /* AddressSanitizer's */
    void *fiber;      /* ThreadSanitizer's */
    unsigned valgrind_id;
} CoContext;

/* A context with a stack of its own that will run entry(opaque), which must never return. */
void co_context_init(CoContext *ctx, void (*entry)(void *opaque), void *opaque);
void co_context_destroy(CoContext *ctx);
/* Prepares one that ended for a new start of the same entry. */
void co_context_restart(CoContext *ctx, void (*entry)(void *opaque), void *opaque);
/* Leaves `from` for `to`. Returns when somebody switches back. final: from will not be resumed. */
void co_context_switch(CoContext *from, CoContext *to, bool final);
/* First thing in entry(): completes the switch that started it. */
void co_context_started(CoContext *self);
/* Makes ctx stand for the calling thread's own stack. */
void co_context_init_thread(CoContext *ctx);

#endif
