/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The graph's edges and what they may do (block.h, B5).
 *
 * A change begins at one node: it recomputes what all users of that node take and share, asks the
 * driver what this means for the children, and so on downwards, parents before children. Only if
 * every node agrees (no two edges in conflict, nobody writes to what is read-only, the driver got
 * its locks) the new values take effect.
 */
#include "util/osdep.h"
#include "block/block.h"

#include "internal.h"
#include "util/error.h"

static const char *const perm_names[BLOCK_PERMS] = { "consistent read", "write", "write unchanged",
                                                     "resize" };

char *block_perm_names(unsigned perms)
{
    GString *s = g_string_new(NULL);
    for (unsigned i = 0; i < BLOCK_PERMS; i++) {
        if (perms & 1u << i) {
            g_string_append_printf(s, "%s%s", s->len ? ", " : "", perm_names[i]);
        }
    }
    return g_string_free(s, FALSE);
}

/* ---- what a child needs ---- */

static void default_child_perm(const BlockNode *node, BlockRole role, unsigned perm,
                               unsigned shared, unsigned *child_perm, unsigned *child_shared)
{
    switch (role) {
    case BLOCK_ROLE_STORAGE:
    case BLOCK_ROLE_DATA:
        /* Metadata are read at any time, and written when the image is; nobody else may do so. */
        *child_perm = perm | BLOCK_PERM_CONSISTENT_READ;
        if (!node->read_only && !node->inactive) {
            *child_perm |= BLOCK_PERM_WRITE | BLOCK_PERM_RESIZE;
        }
        *child_shared = shared & ~(BLOCK_PERM_WRITE | BLOCK_PERM_RESIZE);
        if (node->inactive) {
            *child_shared |= BLOCK_PERM_WRITE | BLOCK_PERM_RESIZE;
        }
        break;
    case BLOCK_ROLE_BACKING:
        *child_perm = perm & BLOCK_PERM_CONSISTENT_READ;
        *child_shared = (shared & (BLOCK_PERM_WRITE | BLOCK_PERM_RESIZE)) |
                        BLOCK_PERM_CONSISTENT_READ | BLOCK_PERM_WRITE_UNCHANGED;
        break;
    default:
        *child_perm = perm;
        *child_shared = shared;
        break;
    }
}

void block_edge_child_perm(const BlockEdge *edge, unsigned perm, unsigned shared,
                           unsigned *child_perm, unsigned *child_shared)
{
    BlockNode *node = edge->parent;
    if (node->driver->child_perm) {
        node->driver->child_perm(node, edge, perm, shared, child_perm, child_shared);
    } else {
        default_child_perm(node, edge->role, perm, shared, child_perm, child_shared);
    }
    if (node->force_share) {
        *child_shared = BLOCK_PERM_ALL;
    }
}

/* ---- transactions ---- */

typedef struct EdgeChange {
    BlockEdge *edge;
    unsigned perm, shared;
} EdgeChange;

typedef struct PermPlan {
    GHashTable *edges; /* BlockEdge * -> EdgeChange * */
    GPtrArray *order;  /* BlockNode *, parents first */
    GHashTable *visited;
    unsigned prepared; /* how many of order have been prepared */
} PermPlan;

static void plan_init(PermPlan *plan)
{
    plan->edges = g_hash_table_new_full(NULL, NULL, NULL, g_free);
    plan->order = g_ptr_array_new();
    plan->visited = g_hash_table_new(NULL, NULL);
    plan->prepared = 0;
}

static void plan_clear(PermPlan *plan)
{
    g_hash_table_destroy(plan->edges);
    g_ptr_array_free(plan->order, TRUE);
    g_hash_table_destroy(plan->visited);
}

static void plan_edge(PermPlan *plan, BlockEdge *edge, unsigned perm, unsigned shared)
{
    EdgeChange *c = g_new(EdgeChange, 1);
    *c = (EdgeChange){ edge, perm, shared };
    g_hash_table_replace(plan->edges, edge, c);
}

static void planned_perm(const PermPlan *plan, const BlockEdge *edge, unsigned *perm,
                         unsigned *shared)
{
    const EdgeChange *c = g_hash_table_lookup(plan->edges, edge);
    *perm = c ? c->perm : edge->perm;
    *shared = c ? c->shared : edge->shared;
}

/* Children are appended before their parents; the caller reverses. */
static void plan_visit(PermPlan *plan, BlockNode *node)
{
    if (!g_hash_table_add(plan->visited, node)) {
        return;
    }
    for (GList *l = node->children.head; l; l = l->next) {
        plan_visit(plan, ((BlockEdge *)l->data)->node);
    }
    g_ptr_array_add(plan->order, node);
}

static void plan_sort(PermPlan *plan, BlockNode *start)
{
    plan_visit(plan, start);
    for (unsigned i = 0, j = plan->order->len; i + 1 < j; i++) {
        gpointer tmp = plan->order->pdata[i];
        plan->order->pdata[i] = plan->order->pdata[--j];
        plan->order->pdata[j] = tmp;
    }
}

static char *edge_describe(const BlockEdge *edge)
{
    if (edge->parent) {
        return g_strdup_printf("node '%s'", edge->parent->name);
    }
    return edge->user_ops->describe(edge->user);
}

static bool conflict(const BlockEdge *taker, const BlockEdge *keeper, unsigned perms,
                     GError **error)
{
    g_autofree char *a = edge_describe(taker);
    g_autofree char *b = edge_describe(keeper);
    g_autofree char *names = block_perm_names(perms);
    const char *node = taker->node->name;
    return error_set(
        error,
        "Permission conflict on node '%s': permissions '%s' are both required by %s (uses node "
        "'%s' as '%s' child) and unshared by %s (uses node '%s' as '%s' child).",
        node, names, a, node, taker->name, b, node, keeper->name);
}

/* B5 for one node; fills in what all users together take and share. */
static bool plan_check_users(const PermPlan *plan, BlockNode *node, unsigned *perm,
                             unsigned *shared, GError **error)
{
    *perm = 0;
    *shared = BLOCK_PERM_ALL;
    for (GList *l = node->parents.head; l; l = l->next) {
        unsigned p, s;
        planned_perm(plan, l->data, &p, &s);
        *perm |= p;
        *shared &= s;
        for (GList *m = node->parents.head; m; m = m->next) {
            unsigned p2, s2;
            planned_perm(plan, m->data, &p2, &s2);
            if (m != l && (p & ~s2)) {
                return conflict(l->data, m->data, p & ~s2, error);
            }
        }
    }
    return true;
}

static bool plan_node(PermPlan *plan, BlockNode *node, GError **error)
{
    unsigned perm, shared;
    if (!plan_check_users(plan, node, &perm, &shared, error)) {
        return false;
    }
    if ((perm & (BLOCK_PERM_WRITE | BLOCK_PERM_WRITE_UNCHANGED | BLOCK_PERM_RESIZE)) &&
        node->read_only) {
        return error_set(error, "Block node is read-only");
    }
    if (node->force_share) {
        shared = BLOCK_PERM_ALL;
    }
    for (GList *l = node->children.head; l; l = l->next) {
        unsigned p, s;
        block_edge_child_perm(l->data, perm, shared, &p, &s);
        plan_edge(plan, l->data, p, s);
    }
    if (node->driver->perm_prepare && !node->driver->perm_prepare(node, perm, shared, error)) {
        return false;
    }
    plan->prepared++;
    return true;
}

static void plan_commit(PermPlan *plan)
{
    GHashTableIter it;
    EdgeChange *c;
    g_hash_table_iter_init(&it, plan->edges);
    while (g_hash_table_iter_next(&it, NULL, (gpointer *)&c)) {
        c->edge->perm = c->perm;
        c->edge->shared = c->shared;
    }
    for (unsigned i = 0; i < plan->order->len; i++) {
        BlockNode *node = plan->order->pdata[i];
        if (node->driver->perm_commit) {
            node->driver->perm_commit(node);
        }
    }
}

static void plan_abort(PermPlan *plan)
{
    for (unsigned i = plan->prepared; i-- > 0;) {
        BlockNode *node = plan->order->pdata[i];
        if (node->driver->perm_abort) {
            node->driver->perm_abort(node);
        }
    }
}

static bool plan_run(PermPlan *plan, BlockNode *start, GError **error)
{
    bool ok = true;
    plan_sort(plan, start);
    for (unsigned i = 0; ok && i < plan->order->len; i++) {
        ok = plan_node(plan, plan->order->pdata[i], error);
    }
    if (ok) {
        plan_commit(plan);
    } else {
        plan_abort(plan);
    }
    return ok;
}

bool block_node_refresh_perms(BlockNode *node, GError **error)
{
    PermPlan plan;
    plan_init(&plan);
    block_hold();
    bool ok = plan_run(&plan, node, error);
    block_release();
    plan_clear(&plan);
    return ok;
}

bool block_edge_set_perm(BlockEdge *edge, unsigned perm, unsigned shared, GError **error)
{
    PermPlan plan;
    plan_init(&plan);
    plan_edge(&plan, edge, perm, shared);
    block_hold();
    bool ok = plan_run(&plan, edge->node, error);
    block_release();
    plan_clear(&plan);
    return ok;
}

/* ---- edges ---- */

static BlockEdge *edge_new(BlockNode *node, const char *name, BlockRole role)
{
    BlockEdge *edge = g_new0(BlockEdge, 1);
    edge->name = g_strdup(name);
    edge->role = role;
    edge->node = node;
    edge->shared = BLOCK_PERM_ALL;
    edge->link_child.data = edge;
    edge->link_parent.data = edge;
    return edge;
}

static void edge_link(BlockEdge *edge)
{
    g_queue_push_tail_link(&edge->node->parents, &edge->link_parent);
    if (edge->parent) {
        g_queue_push_tail_link(&edge->parent->children, &edge->link_child);
    }
    block_drain_edge_added(edge);
}

static void edge_unlink(BlockEdge *edge)
{
    block_drain_edge_removed(edge);
    g_queue_unlink(&edge->node->parents, &edge->link_parent);
    if (edge->parent) {
        g_queue_unlink(&edge->parent->children, &edge->link_child);
        if (edge->parent->file == edge) {
            edge->parent->file = NULL;
        }
        if (edge->parent->backing == edge) {
            edge->parent->backing = NULL;
        }
    }
    g_free(edge->name);
    g_free(edge);
}

BlockEdge *block_edge_attach(BlockNode *node, const char *name, const BlockUserOps *ops, void *user,
                             unsigned perm, unsigned shared, GError **error)
{
    BlockEdge *edge = edge_new(node, name, BLOCK_ROLE_ROOT);
    edge->user_ops = ops;
    edge->user = user;
    block_hold();
    edge_link(edge);
    if (block_edge_set_perm(edge, perm, shared, error)) {
        block_node_ref(node);
    } else {
        edge_unlink(edge);
        edge = NULL;
    }
    block_release();
    return edge;
}

BlockEdge *block_edge_new_child(BlockNode *parent, const char *name, BlockRole role,
                                BlockNode *node, GError **error)
{
    BlockEdge *edge = edge_new(node, name, role);
    edge->parent = parent;
    unsigned perm, shared;
    block_hold();
    edge_link(edge);
    block_edge_child_perm(edge, 0, BLOCK_PERM_ALL, &perm, &shared);
    if (!block_edge_set_perm(edge, perm, shared, error)) {
        edge_unlink(edge);
        edge = NULL;
    }
    block_release();
    return edge;
}

void block_edge_detach(BlockEdge *edge)
{
    BlockNode *node = edge->node;
    GError *error = NULL;
    block_hold();
    if (!block_edge_set_perm(edge, 0, BLOCK_PERM_ALL, &error)) {
        /* To take less cannot conflict; a lock that cannot be released is not worth more than a
         * line. */
        warn_report("%s: %s", node->name, error->message);
        g_error_free(error);
    }
    edge_unlink(edge);
    block_release();
    block_node_unref(node);
}
