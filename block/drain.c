/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Waiting for requests: drained sections of a part of the graph, drain of all, quiesce (P2), and
 * the change of hands at switchover (block.h, B6 and B7).
 *
 * E1  node->drain_count = sections that name this node + the sum of the counts of its children, one
 *     for each edge. So an edge that comes or goes changes the counts above it by the count of its
 *     child, and sections may end after the graph has changed.
 * E2  A user has been told drain_begin as often as its edge's node counts.
 */
#include "util/osdep.h"
#include "block/block.h"

#include "internal.h"
#include "util/error.h"

static bool quiesced_now;

/* ---- sections ---- */

static void edge_drain(BlockEdge *edge, bool begin);

static void node_drain(BlockNode *node, bool begin)
{
    g_assert(begin || node->drain_count > 0);
    node->drain_count += begin ? 1 : -1;
    if (begin && node->drain_count == 1 && node->driver->drain_begin) {
        node->driver->drain_begin(node);
    }
    if (!begin && node->drain_count == 0 && node->driver->drain_end) {
        node->driver->drain_end(node);
    }
    for (GList *l = node->parents.head, *next; l; l = next) {
        next = l->next;
        edge_drain(l->data, begin);
    }
}

static void edge_drain(BlockEdge *edge, bool begin)
{
    if (edge->parent) {
        node_drain(edge->parent, begin);
    } else if (begin) {
        edge->user_ops->drain_begin(edge->user);
    } else {
        edge->user_ops->drain_end(edge->user);
    }
}

void block_drain_edge_added(BlockEdge *edge)
{
    for (unsigned i = 0; i < edge->node->drain_count; i++) {
        edge_drain(edge, true);
    }
}

void block_drain_edge_removed(BlockEdge *edge)
{
    for (unsigned i = 0; i < edge->node->drain_count; i++) {
        edge_drain(edge, false);
    }
}

/* Whether a request is in flight in node, above it or below it. */
static bool busy_above(const BlockNode *node)
{
    if (block_node_busy(node)) {
        return true;
    }
    for (GList *l = node->parents.head; l; l = l->next) {
        BlockEdge *edge = l->data;
        if (edge->parent ? busy_above(edge->parent) : edge->user_ops->busy(edge->user)) {
            return true;
        }
    }
    return false;
}

static bool busy_below(const BlockNode *node)
{
    for (GList *l = node->children.head; l; l = l->next) {
        const BlockNode *child = ((BlockEdge *)l->data)->node;
        if (block_node_busy(child) || busy_below(child)) {
            return true;
        }
    }
    return false;
}

void block_drain_begin(BlockNode *node)
{
    g_assert(!in_coroutine());
    block_node_ref(node);
    node_drain(node, true);
    front_waits_begin();
    MAIN_LOOP_WHILE(busy_above(node) || busy_below(node));
    front_waits_end();
}

void block_drain_end(BlockNode *node)
{
    node_drain(node, false);
    block_node_unref(node);
}

/* ---- all ---- */

static bool all_busy(void)
{
    for (BlockFront *f = front_next_any(NULL); f; f = front_next_any(f)) {
        if (front_in_flight(f)) {
            return true;
        }
    }
    for (GList *l = block_nodes(); l; l = l->next) {
        if (block_node_busy(l->data)) {
            return true;
        }
    }
    return false;
}

void block_drain_all(void)
{
    g_assert(!in_coroutine());
    front_waits_begin();
    MAIN_LOOP_WHILE(all_busy());
    front_waits_end();
}

int block_flush_all(void)
{
    int result = 0;
    /* Roots flush what is below them; to ask the others again costs nothing. */
    for (GList *l = block_nodes(), *next; l; l = next) {
        BlockNode *node = block_node_ref(l->data);
        int ret = block_node_flush(node);
        if (ret < 0 && result == 0) {
            result = ret;
        }
        next = l->next;
        block_node_unref(node);
    }
    return result;
}

bool block_quiesce(GError **error)
{
    __atomic_store_n(&quiesced_now, true, __ATOMIC_SEQ_CST);
    block_drain_all();
    return true;
}

void block_resume(void)
{
    if (quiesced_now) {
        __atomic_store_n(&quiesced_now, false, __ATOMIC_SEQ_CST);
        front_restart_all();
    }
}

bool block_quiesced(void)
{
    return __atomic_load_n(&quiesced_now, __ATOMIC_SEQ_CST);
}

/* ---- who the image belongs to (B7) ---- */

static bool users_set_active(BlockNode *node, bool active, GError **error)
{
    for (GList *l = node->parents.head; l; l = l->next) {
        BlockEdge *edge = l->data;
        if (edge->parent) {
            continue;
        }
        bool (*func)(void *, GError **) =
            active ? edge->user_ops->activate : edge->user_ops->inactivate;
        if (func && !func(edge->user, error)) {
            return false;
        }
    }
    return true;
}

static bool node_inactivate(BlockNode *node, GError **error)
{
    if (node->inactive) {
        return true;
    }
    for (GList *l = node->parents.head; l; l = l->next) {
        BlockEdge *edge = l->data;
        if (edge->parent && !node_inactivate(edge->parent, error)) { /* parents write to children */
            return false;
        }
    }
    if (node->driver->inactivate && !node->driver->inactivate(node, error)) {
        return false;
    }
    int ret = block_node_flush(node);
    if (ret < 0) {
        return error_set_errno(error, -ret, "Could not flush '%s'", node->name);
    }
    if (!users_set_active(node, false, error)) {
        return false;
    }
    node->inactive = true;
    if (!block_node_refresh_perms(node, error)) {
        node->inactive = false;
        return false;
    }
    return true;
}

static bool node_activate(BlockNode *node, GError **error)
{
    if (!node->inactive) {
        return true;
    }
    for (GList *l = node->children.head; l; l = l->next) {
        if (!node_activate(((BlockEdge *)l->data)->node, error)) {
            return false;
        }
    }
    node->inactive = false;
    bool ok = block_node_refresh_perms(node, error);
    if (ok) {
        node->length = -1; /* somebody else may have changed it */
        ok = !node->driver->activate || node->driver->activate(node, error);
    }
    if (ok) {
        ok = users_set_active(node, true, error);
        if (!ok) {
            users_set_active(node, false, NULL);
            if (node->driver->inactivate) {
                node->driver->inactivate(node, NULL);
            }
        }
    }
    if (!ok) {
        node->inactive = true;
        block_node_refresh_perms(node, NULL);
    }
    return ok;
}

bool block_activate_all(GError **error)
{
    block_set_incoming(false);
    bool ok = true;
    for (GList *l = block_nodes(); l; l = l->next) {
        BlockNode *node = l->data;
        GError *local = NULL;
        if (node_activate(node, &local)) {
            continue;
        }
        if (ok) {
            g_propagate_error(error, local);
        } else {
            g_error_free(local);
        }
        ok = false;
    }
    return ok;
}

bool block_inactivate_all(GError **error)
{
    block_drain_all();
    for (GList *l = block_nodes(); l; l = l->next) {
        if (!node_inactivate(l->data, error)) {
            GError *local = NULL;
            if (!block_activate_all(&local)) {
                warn_report("%s", local->message);
                g_error_free(local);
            }
            return false;
        }
    }
    return true;
}

void block_close_all(void)
{
    block_drain_all();
    for (BlockFront *f = front_next_any(NULL), *next; f; f = next) {
        next = front_next_any(f);
        front_drop_root(f);
        if (f->monitor_owned) {
            f->monitor_owned = false;
            front_unref(f);
        }
    }
    bool again = true;
    while (again) { /* closing one may let go of others */
        again = false;
        for (GList *l = block_nodes(); l && !again; l = l->next) {
            BlockNode *node = l->data;
            if (node->monitor_owned) {
                node->monitor_owned = false;
                block_node_unref(node);
                again = true;
            }
        }
    }
}
