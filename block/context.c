/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Fronts in an iothread: where their requests run, and how the main thread gets at their nodes.
 *
 * X1  A front has a home: the context in which its requests are submitted and their callbacks come; the
 *     main loop's unless front_set_home() said another. Only the main thread changes it, while the
 *     front is paused and nothing is in flight.
 * X2  A front with another home is `local` if nobody else can reach its nodes (no other user, no other
 *     parent of any of them) and all of them can run anywhere (BlockNode.any_context). Then its
 *     coroutines run at home; else they run in the main loop, and only the callback goes home.
 * X3  The main thread touches nodes below a local front only while the front is paused and nothing is
 *     in flight: in a drained section, or between block_hold() and block_release(). So their state needs
 *     no locks: the count of requests in flight hands it over.
 * X4  A local request never needs the main thread, so the main thread may wait for it without
 *     running its loop.
 */
#include "util/osdep.h"
#include "block/backend.h"

#include <pthread.h>
#include "internal.h"

static unsigned depth; /* of block_hold() */
static unsigned waits; /* atomic: of the main thread, for requests to end */
static pthread_mutex_t idle_lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t idle = PTHREAD_COND_INITIALIZER;

/* ---- who is local (X2) ---- */

static bool subgraph_fits(BlockNode *node, GHashTable *seen)
{
    if (!g_hash_table_add(seen, node)) {
        return true;
    }
    if (!node->any_context) {
        return false;
    }
    for (GList *l = node->children.head; l; l = l->next) {
        if (!subgraph_fits(((BlockEdge *)l->data)->node, seen)) {
            return false;
        }
    }
    return true;
}

static bool alone(const BlockFront *front, GHashTable *nodes)
{
    GHashTableIter iter;
    gpointer key;
    g_hash_table_iter_init(&iter, nodes);
    while (g_hash_table_iter_next(&iter, &key, NULL)) {
        for (GList *l = ((BlockNode *)key)->parents.head; l; l = l->next) {
            const BlockEdge *edge = l->data;
            if (edge->parent ? !g_hash_table_contains(nodes, edge->parent) : edge != front->root) {
                return false;
            }
        }
    }
    return true;
}

static bool can_be_local(const BlockFront *front)
{
    if (!front->home || !front->root || front->throttle) {
        return false;
    }
    GHashTable *nodes = g_hash_table_new(NULL, NULL);
    bool ok = subgraph_fits(front->root->node, nodes) && alone(front, nodes);
    g_hash_table_unref(nodes);
    return ok;
}

/* ---- holding (X3, X4) ---- */

/* The counts of requests are looked at after this one, and changed before it is looked at: nobody waits unnoticed. */
void front_waits_begin(void)
{
    __atomic_fetch_add(&waits, 1, __ATOMIC_SEQ_CST);
}

void front_waits_end(void)
{
    __atomic_fetch_sub(&waits, 1, __ATOMIC_SEQ_CST);
}

void front_wait_idle(BlockFront *front)
{
    front_waits_begin();
    pthread_mutex_lock(&idle_lock);
    while (front_in_flight(front)) {
        pthread_cond_wait(&idle, &idle_lock);
    }
    pthread_mutex_unlock(&idle_lock);
    front_waits_end();
}

void front_became_idle(void)
{
    if (!__atomic_load_n(&waits, __ATOMIC_SEQ_CST)) {
        return;
    }
    pthread_mutex_lock(&idle_lock);
    pthread_cond_broadcast(&idle);
    pthread_mutex_unlock(&idle_lock);
    main_loop_wake();
}

void block_hold(void)
{
    if (!in_main_thread() || depth++ > 0) {
        return;
    }
    for (BlockFront *f = front_next_any(NULL); f; f = front_next_any(f)) {
        if (f->local) {
            f->held = true;
            __atomic_fetch_add(&f->drain_count, 1, __ATOMIC_SEQ_CST);
            front_wait_idle(f);
        }
    }
}

/* Paused fronts may change sides while nothing is in flight; another one stays where it is until the next time. */
static void decide(BlockFront *front)
{
    bool local = can_be_local(front);
    if (local == front->local) {
        return;
    }
    __atomic_fetch_add(&front->drain_count, 1, __ATOMIC_SEQ_CST);
    if (!front_in_flight(front)) {
        front->local = local;
    }
    __atomic_fetch_sub(&front->drain_count, 1, __ATOMIC_SEQ_CST);
    if (!front->held) {
        front_restart_waiting(front);
    }
}

void block_release(void)
{
    if (!in_main_thread()) {
        return;
    }
    g_assert(depth > 0);
    if (--depth > 0) {
        return;
    }
    for (BlockFront *f = front_next_any(NULL); f; f = front_next_any(f)) {
        decide(f);
        if (f->held) {
            f->held = false;
            __atomic_fetch_sub(&f->drain_count, 1, __ATOMIC_SEQ_CST);
            front_restart_waiting(f);
        }
    }
}

/* ---- homes (X1) ---- */

GMainContext *front_home(const BlockFront *front)
{
    return front->home;
}

bool front_is_local(const BlockFront *front)
{
    return front->local;
}

static void nothing(void *opaque)
{
}

void front_set_home(BlockFront *front, GMainContext *home)
{
    if (front->home == home) {
        return;
    }
    front_drain_begin(front);
    context_run(front->home, nothing, NULL); /* what was sent there has arrived */
    block_hold();
    front->home = home;
    block_release();
    front_drain_end(front);
}
