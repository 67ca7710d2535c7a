/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Guarded access to memory, see util/guard.h. */
#include "util/osdep.h"
#include "util/guard.h"

#include <setjmp.h>
#include <string.h>

typedef struct Guard {
    jmp_buf env;
    struct Guard *outer;
    void *bad;
} Guard;

static __thread Guard *innermost;

bool guard_run(void (*func)(void *opaque), void *opaque, void **bad)
{
    Guard guard = { .outer = innermost };

    /* The handler runs with SA_NODEFER: no signal mask has to be restored, which would cost a system call. */
    if (_setjmp(guard.env)) {
        innermost = guard.outer;
        if (bad) {
            *bad = guard.bad;
        }
        return false;
    }
    __atomic_store_n(&innermost, &guard, __ATOMIC_RELAXED);
    __atomic_signal_fence(__ATOMIC_SEQ_CST);
    func(opaque);
    __atomic_signal_fence(__ATOMIC_SEQ_CST);
    innermost = guard.outer;
    return true;
}

typedef struct Copy {
    void *dst;
    const void *src;
    size_t len;
} Copy;

static void copy(void *opaque)
{
    const Copy *c = opaque;

    memcpy(c->dst, c->src, c->len);
}

bool guard_copy(void *dst, const void *src, size_t len, void **bad)
{
    Copy c = { dst, src, len };

    return guard_run(copy, &c, bad);
}

void guard_unwind(void *address)
{
    Guard *guard = innermost;

    if (guard) {
        guard->bad = address;
        _longjmp(guard->env, 1);
    }
}
