/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Bottom halves: one GSource per context with a lock-free list that any thread pushes to.
 *
 * B1  A Bh is in at most one list, once: BH_LISTED is set by whoever pushes it and cleared by the context's
 *     thread when it takes it off.
 * B2  BH_SCHEDULED says whether to run it; cancelling clears it and leaves the Bh in the list.
 * B3  Only the context's thread frees a Bh, and only when it is in no list.
 */
#include "util/osdep.h"
#include "util/main-loop.h"

#include <pthread.h>
#include "loop-private.h"

enum {
    BH_LISTED = 1 << 0,
    BH_SCHEDULED = 1 << 1,
    BH_DELETED = 1 << 2, /* free it when it comes off the list, after a run if that is scheduled too */
};

typedef struct BhSource BhSource;

struct Bh {
    BhSource *source;
    Bh *next;
    const char *name;
    BhFunc *func;
    void *opaque;
    unsigned flags; /* atomic */
};

struct BhSource {
    GSource source;
    GMainContext *ctx;
    Bh *pushed;             /* atomic: newest first */
    Bh *ready, **ready_end; /* oldest first, the context's thread only */
};

static pthread_mutex_t sources_lock = PTHREAD_MUTEX_INITIALIZER;
static GHashTable *sources; /* GMainContext * → BhSource * */
static BhSource *main_source;
static __thread BhSource *own_source; /* of the context that this thread runs, once it has been looked up */

/* Moves what was pushed behind what is ready, in the order of pushing. */
static void take_pushed(BhSource *s)
{
    Bh *list = __atomic_exchange_n(&s->pushed, NULL, __ATOMIC_SEQ_CST);
    Bh *forward = NULL;
    Bh **end = list ? &list->next : NULL;
    while (list) {
        Bh *next = list->next;
        list->next = forward;
        forward = list;
        list = next;
    }
    if (forward) {
        *s->ready_end = forward;
        s->ready_end = end;
    }
}

static Bh *take_ready(BhSource *s)
{
    Bh *bh = s->ready;
    if (bh) {
        s->ready = bh->next;
        if (!s->ready) {
            s->ready_end = &s->ready;
        }
        bh->next = NULL;
    }
    return bh;
}

static bool source_pending(const BhSource *s)
{
    return s->ready || __atomic_load_n(&s->pushed, __ATOMIC_SEQ_CST);
}

static gboolean bh_prepare(GSource *source, gint *timeout_ms)
{
    *timeout_ms = -1;
    return source_pending((BhSource *)source);
}

static gboolean bh_check(GSource *source)
{
    return source_pending((BhSource *)source);
}

/* What is scheduled meanwhile waits for the next round, so that one that reschedules itself does not
 * keep out the rest of the loop. A nested iteration takes over what is left here. */
static void run_round(BhSource *s)
{
    Bh *bh;
    take_pushed(s);
    while ((bh = take_ready(s))) {
        BhFunc *func = bh->func;
        void *arg = bh->opaque;
        unsigned flags = __atomic_fetch_and(&bh->flags, ~(BH_LISTED | BH_SCHEDULED), __ATOMIC_SEQ_CST);
        if (flags & BH_DELETED) {
            g_free(bh); /* B3; func may run all the same: one-shots */
        }
        if (flags & BH_SCHEDULED) {
            func(arg);
        }
    }
}

static gboolean bh_dispatch(GSource *source, GSourceFunc callback, gpointer opaque)
{
    run_round((BhSource *)source);
    return G_SOURCE_CONTINUE;
}

static void bh_finalize(GSource *source)
{
    BhSource *s = (BhSource *)source;
    Bh *bh;
    pthread_mutex_lock(&sources_lock);
    if (sources && g_hash_table_lookup(sources, s->ctx) == s) {
        g_hash_table_remove(sources, s->ctx);
    }
    pthread_mutex_unlock(&sources_lock);
    take_pushed(s);
    while ((bh = take_ready(s))) {
        if (__atomic_fetch_and(&bh->flags, ~BH_LISTED, __ATOMIC_SEQ_CST) & BH_DELETED) {
            g_free(bh);
        }
    }
}

static GSourceFuncs bh_source_funcs = {
    .prepare = bh_prepare,
    .check = bh_check,
    .dispatch = bh_dispatch,
    .finalize = bh_finalize,
};

static BhSource *source_new(GMainContext *ctx)
{
    BhSource *s = (BhSource *)g_source_new(&bh_source_funcs, sizeof(BhSource));
    s->ctx = ctx;
    s->ready_end = &s->ready;
    g_source_set_static_name(&s->source, "bottom-halves");
    g_source_set_can_recurse(&s->source, TRUE);
    g_source_attach(&s->source, ctx);
    g_source_unref(&s->source); /* the context keeps it */
    return s;
}

static BhSource *source_for(GMainContext *ctx)
{
    GMainContext *main_context = g_main_context_default();
    if (!ctx) {
        ctx = main_context;
    }
    BhSource *s = __atomic_load_n(&main_source, __ATOMIC_ACQUIRE);
    if (s && ctx == main_context) {
        return s;
    }
    if (own_source && own_source->ctx == ctx) {
        return own_source;
    }
    pthread_mutex_lock(&sources_lock);
    if (!sources) {
        sources = g_hash_table_new(NULL, NULL);
    }
    s = g_hash_table_lookup(sources, ctx);
    if (!s) {
        s = source_new(ctx);
        g_hash_table_insert(sources, ctx, s);
        if (ctx == main_context) {
            __atomic_store_n(&main_source, s, __ATOMIC_RELEASE);
        }
    }
    pthread_mutex_unlock(&sources_lock);
    if (!ctx || context_current() == ctx) {
        own_source = s;
    }
    return s;
}

void loop_bh_init_main(void)
{
    source_for(NULL);
}

bool bh_any_pending(GMainContext *ctx)
{
    return source_pending(source_for(ctx));
}

void loop_bh_leave_context(void)
{
    own_source = NULL;
}

void loop_bh_run(GMainContext *ctx, unsigned rounds)
{
    BhSource *s = source_for(ctx);
    while (rounds-- > 0 && source_pending(s)) {
        run_round(s);
    }
}

static Bh *bh_new_flags(GMainContext *ctx, const char *name, BhFunc *func, void *opaque, unsigned flags)
{
    Bh *bh = g_new(Bh, 1);
    *bh = (Bh){ .source = source_for(ctx), .name = name, .func = func, .opaque = opaque, .flags = flags };
    return bh;
}

Bh *bh_new(GMainContext *ctx, const char *name, BhFunc *func, void *opaque)
{
    return bh_new_flags(ctx, name, func, opaque, 0);
}

static void push(Bh *bh)
{
    BhSource *s = bh->source;
    Bh *head = __atomic_load_n(&s->pushed, __ATOMIC_RELAXED);
    do {
        bh->next = head;
    } while (!__atomic_compare_exchange_n(&s->pushed, &head, bh, true, __ATOMIC_SEQ_CST,
                                          __ATOMIC_RELAXED));
    /* The thread that runs the context sees the list before it polls; for others it has to wake up, unless
     * whoever put in the first one has seen to that. */
    bool here = s == main_source ? in_main_thread() : context_current() == s->ctx;
    if (!here && !head) {
        g_main_context_wakeup(s->ctx);
    }
}

void bh_schedule(Bh *bh)
{
    unsigned old = __atomic_fetch_or(&bh->flags, BH_LISTED | BH_SCHEDULED, __ATOMIC_SEQ_CST);
    if (!(old & BH_LISTED)) {
        push(bh);
    }
}

void bh_cancel(Bh *bh)
{
    __atomic_fetch_and(&bh->flags, ~BH_SCHEDULED, __ATOMIC_SEQ_CST);
}

void bh_delete(Bh *bh)
{
    if (!bh) {
        return;
    }
    unsigned old = __atomic_fetch_or(&bh->flags, BH_DELETED, __ATOMIC_SEQ_CST);
    __atomic_fetch_and(&bh->flags, ~BH_SCHEDULED, __ATOMIC_SEQ_CST);
    if (!(old & BH_LISTED)) {
        g_free(bh);
    }
}

void bh_schedule_oneshot(GMainContext *ctx, BhFunc *func, void *opaque)
{
    bh_schedule(bh_new_flags(ctx, "oneshot", func, opaque, BH_DELETED));
}

/* ---- calls into another thread ---- */

typedef struct ContextCall {
    BhFunc *func;
    void *opaque;
    pthread_mutex_t lock;
    pthread_cond_t over;
    bool done;
} ContextCall;

static void run_call(void *opaque)
{
    ContextCall *call = opaque;
    call->func(call->opaque);
    pthread_mutex_lock(&call->lock);
    call->done = true;
    pthread_cond_signal(&call->over);
    pthread_mutex_unlock(&call->lock);
}

void context_run(GMainContext *ctx, BhFunc *func, void *opaque)
{
    if (!ctx || context_current() == ctx) {
        func(opaque);
        return;
    }
    ContextCall call = { .func = func, .opaque = opaque };
    pthread_mutex_init(&call.lock, NULL);
    pthread_cond_init(&call.over, NULL);
    bh_schedule_oneshot(ctx, run_call, &call);
    pthread_mutex_lock(&call.lock);
    while (!call.done) {
        pthread_cond_wait(&call.over, &call.lock);
    }
    pthread_mutex_unlock(&call.lock);
    pthread_cond_destroy(&call.over);
    pthread_mutex_destroy(&call.lock);
}
