/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The xenstore of one guest: a tree of strings, watches, transactions, and the ring by which the guest speaks (Xen's
 * docs/misc/xenstore.txt and xenstore-ring.txt, io/xs_wire.h).
 *
 * T1  Paths are absolute inside; the guest's relative ones begin at /local/domain/1. A node that is written makes its
 *     parents.
 * T2  A transaction works on a copy. Its end puts the copy in place if nothing has changed since, else EAGAIN.
 * T3  What does not fit into the ring waits here, in order; so does a request of which the ring has a part.
 */
#include "util/osdep.h"
#include "xen.h"

#include <stdio.h>
#include "util/bytes.h"
#include "util/error.h"

enum {
    XS_DIRECTORY = 1,
    XS_READ = 2,
    XS_GET_PERMS = 3,
    XS_WATCH = 4,
    XS_UNWATCH = 5,
    XS_TRANSACTION_START = 6,
    XS_TRANSACTION_END = 7,
    XS_GET_DOMAIN_PATH = 10,
    XS_WRITE = 11,
    XS_MKDIR = 12,
    XS_RM = 13,
    XS_WATCH_EVENT = 15,
    XS_ERROR = 16,
    XS_RESET_WATCHES = 20,
};

#define RING 1024
#define REQ_CONS 2048
#define REQ_PROD 2052
#define RSP_CONS 2056
#define RSP_PROD 2060
#define HEADER 16
#define PAYLOAD_MAX 4096
#define PATH_MAX_LEN 3072
#define NODES_MAX 4096
#define WATCHES_MAX 128
#define TRANSACTIONS_MAX 8
#define CHANGES_MAX 1024       /* of a transaction */
#define WAITING_MAX (1u << 20) /* of answers that the guest does not fetch */
#define GUEST_HOME "/local/domain/1"

typedef struct Watch {
    char *path, *token;
    bool relative;
} Watch;

typedef struct Transaction {
    uint32_t id;
    uint64_t generation;
    GTree *tree;
    GPtrArray *changed; /* paths */
} Transaction;

struct XenStore {
    XenHost *host;
    GTree *tree; /* path → value */
    uint64_t generation;
    GPtrArray *watches, *transactions;
    uint32_t next_id;
    GByteArray *in, *out; /* T3 */
    hwaddr ring;
};

/* ---- the tree ---------------------------------------------------------------------------------------------------- */

static gint compare(gconstpointer a, gconstpointer b, gpointer opaque)
{
    return strcmp(a, b);
}

static GTree *tree_new(void)
{
    return g_tree_new_full(compare, NULL, g_free, g_free);
}

static gboolean copy_node(gpointer path, gpointer value, gpointer to)
{
    g_tree_insert(to, g_strdup(path), g_strdup(value));
    return FALSE;
}

static void set_node(GTree *tree, const char *path, const char *value)
{
    for (const char *slash = strchr(path + 1, '/'); slash; slash = strchr(slash + 1, '/')) {
        g_autofree char *parent = g_strndup(path, slash - path);
        if (!g_tree_lookup(tree, parent)) {
            g_tree_insert(tree, g_strdup(parent), g_strdup(""));
        }
    }
    g_tree_insert(tree, g_strdup(path), g_strdup(value));
}

typedef struct Below {
    const char *path;
    size_t len;
    GPtrArray *found;
} Below;

static gboolean collect_below(gpointer path, gpointer value, gpointer opaque)
{
    Below *b = opaque;
    if (!strncmp(path, b->path, b->len) &&
        (((char *)path)[b->len] == '/' || !((char *)path)[b->len])) {
        g_ptr_array_add(b->found, g_strdup(path));
    }
    return FALSE;
}

/* The node and all below it. */
static GPtrArray *subtree(GTree *tree, const char *path)
{
    Below b = { path, strlen(path), g_ptr_array_new_with_free_func(g_free) };
    g_tree_foreach(tree, collect_below, &b);
    return b.found;
}

static bool remove_node(GTree *tree, const char *path)
{
    g_autoptr(GPtrArray) all = subtree(tree, path);
    for (guint i = 0; i < all->len; i++) {
        g_tree_remove(tree, all->pdata[i]);
    }
    return all->len > 0;
}

/* ---- towards the guest --------------------------------------------------------------------------------------------- */

static void put_message(XenStore *s, uint32_t type, uint32_t req, uint32_t tx, const void *payload,
                        uint32_t len)
{
    uint8_t header[HEADER];
    if (s->out->len + len > WAITING_MAX) {
        return; /* of a guest that asks and never fetches */
    }
    store_le32(header, type);
    store_le32(header + 4, req);
    store_le32(header + 8, tx);
    store_le32(header + 12, len);
    g_byte_array_append(s->out, header, HEADER);
    g_byte_array_append(s->out, payload, len);
}

static uint32_t ring_word(XenStore *s, unsigned at)
{
    uint8_t b[4] = { 0 };
    dma_read(address_space_memory, s->ring + at, b, 4);
    return load_le32(b);
}

static void set_ring_word(XenStore *s, unsigned at, uint32_t value)
{
    uint8_t b[4];
    store_le32(b, value);
    dma_write(address_space_memory, s->ring + at, b, 4, "xenstore");
}

/* As much of what waits as there is room for; true if anything went. */
static bool flush(XenStore *s)
{
    uint32_t cons = ring_word(s, RSP_CONS), prod = ring_word(s, RSP_PROD);
    bool any = false;
    while (s->out->len && prod - cons < RING) {
        uint32_t at = prod % RING, n = MIN(MIN(s->out->len, RING - (prod - cons)), RING - at);
        dma_write(address_space_memory, s->ring + RING + at, s->out->data, n, "xenstore");
        g_byte_array_remove_range(s->out, 0, n);
        prod += n;
        any = true;
    }
    if (any) {
        set_ring_word(s, RSP_PROD, prod);
    }
    return any;
}

static void tell_watch(XenStore *s, const Watch *w, const char *path)
{
    const char *shown = w->relative ? path + strlen(GUEST_HOME) + 1 : path;
    g_autoptr(GByteArray) payload = g_byte_array_new();
    g_byte_array_append(payload, (const uint8_t *)shown, strlen(shown) + 1);
    g_byte_array_append(payload, (const uint8_t *)w->token, strlen(w->token) + 1);
    put_message(s, XS_WATCH_EVENT, 0, 0, payload->data, payload->len);
}

static void tell_watches(XenStore *s, const char *path)
{
    for (guint i = 0; i < s->watches->len; i++) {
        const Watch *w = s->watches->pdata[i];
        size_t len = strlen(w->path);
        if (!strncmp(path, w->path, len) && (!path[len] || path[len] == '/')) {
            tell_watch(s, w, path);
        }
    }
}

/* ---- the backend's side ---------------------------------------------------------------------------------------------- */

void xen_store_write(XenStore *s, const char *path, const char *value)
{
    if (value) {
        set_node(s->tree, path, value);
    } else {
        remove_node(s->tree, path);
    }
    s->generation++;
    tell_watches(s, path);
    if (s->ring) {
        xen_store_kick(s, s->ring);
    }
}

void xen_store_printf(XenStore *s, const char *path, const char *fmt, ...)
{
    va_list args;
    va_start(args, fmt);
    g_autofree char *value = g_strdup_vprintf(fmt, args);
    va_end(args);
    xen_store_write(s, path, value);
}

const char *xen_store_read(XenStore *s, const char *path)
{
    return g_tree_lookup(s->tree, path);
}

uint64_t xen_store_read_number(XenStore *s, const char *path, uint64_t fallback)
{
    const char *text = xen_store_read(s, path);
    guint64 value;
    return text && g_ascii_string_to_unsigned(text, 10, 0, UINT32_MAX, &value, NULL) ? value
                                                                                     : fallback;
}

/* ---- requests of the guest -------------------------------------------------------------------------------------------- */

typedef struct Request {
    uint32_t type, id, tx;
    const char *payload;
    uint32_t len;
    Transaction *transaction; /* NULL: none */
    GTree *tree;
    char *path; /* of the first string of the payload */
} Request;

static void reply(XenStore *s, const Request *r, const void *payload, uint32_t len)
{
    put_message(s, r->type, r->id, r->tx, payload, len);
}

static void reply_ok(XenStore *s, const Request *r)
{
    reply(s, r, "OK", 3);
}

static void reply_error(XenStore *s, const Request *r, const char *name)
{
    put_message(s, XS_ERROR, r->id, r->tx, name, strlen(name) + 1);
}

/* The absolute path of the payload's first string; NULL if that is none. */
static char *absolute(const char *text, uint32_t len)
{
    if (!memchr(text, 0, len) || !text[0] || strlen(text) > PATH_MAX_LEN) {
        return NULL;
    }
    char *path = text[0] == '/' ? g_strdup(text) : g_strconcat(GUEST_HOME "/", text, NULL);
    size_t n = strlen(path);
    while (n > 1 && path[n - 1] == '/') {
        path[--n] = 0;
    }
    return path;
}

/* A guest writes in its own home only. */
static bool is_own(const char *path)
{
    return g_str_has_prefix(path, GUEST_HOME "/");
}

static void changed(XenStore *s, const Request *r, const char *path)
{
    if (r->transaction) {
        g_ptr_array_add(r->transaction->changed, g_strdup(path));
        return;
    }
    s->generation++;
    tell_watches(s, path);
    xen_host_path_changed(s->host, path);
}

static void do_directory(XenStore *s, Request *r)
{
    g_autoptr(GPtrArray) all = subtree(r->tree, r->path);
    g_autoptr(GByteArray) names = g_byte_array_new();
    size_t len = strlen(r->path);
    if (!all->len) {
        reply_error(s, r, "ENOENT");
        return;
    }
    for (guint i = 0; i < all->len; i++) {
        const char *rest = (const char *)all->pdata[i] + len;
        if (rest[0] == '/' && !strchr(rest + 1, '/') && names->len + strlen(rest) <= PAYLOAD_MAX) {
            g_byte_array_append(names, (const uint8_t *)rest + 1, strlen(rest));
        }
    }
    reply(s, r, names->data, names->len);
}

/* Why the guest may not change this path; NULL if it may. */
static const char *refusal(const Request *r)
{
    if (!is_own(r->path)) {
        return "EACCES";
    }
    return r->transaction && r->transaction->changed->len >= CHANGES_MAX ? "ENOSPC" : NULL;
}

static void do_write(XenStore *s, Request *r)
{
    size_t skip = strlen(r->payload) + 1;
    const char *refused = refusal(r);
    if (refused || g_tree_nnodes(r->tree) >= NODES_MAX) {
        reply_error(s, r, refused ? refused : "ENOSPC");
    } else {
        g_autofree char *value =
            r->type == XS_MKDIR ? g_strdup("") : g_strndup(r->payload + skip, r->len - skip);
        if (r->type == XS_WRITE || !g_tree_lookup(r->tree, r->path)) {
            set_node(r->tree, r->path, value);
        }
        reply_ok(s, r);
        changed(s, r, r->path);
    }
}

static void do_rm(XenStore *s, Request *r)
{
    const char *refused = refusal(r);
    if (refused) {
        reply_error(s, r, refused);
    } else {
        remove_node(r->tree, r->path);
        reply_ok(s, r);
        changed(s, r, r->path);
    }
}

static void free_watch(gpointer data)
{
    Watch *w = data;
    g_free(w->path);
    g_free(w->token);
    g_free(w);
}

static void do_watch(XenStore *s, Request *r)
{
    size_t skip = strlen(r->payload) + 1;
    if (r->len <= skip || r->payload[r->len - 1]) {
        reply_error(s, r, "EINVAL");
        return;
    }
    const char *token = r->payload + skip;
    for (guint i = 0; i < s->watches->len; i++) {
        const Watch *w = s->watches->pdata[i];
        if (!strcmp(w->path, r->path) && !strcmp(w->token, token)) {
            if (r->type == XS_UNWATCH) {
                g_ptr_array_remove_index(s->watches, i);
                reply_ok(s, r);
            } else {
                reply_error(s, r, "EEXIST");
            }
            return;
        }
    }
    if (r->type == XS_UNWATCH || s->watches->len >= WATCHES_MAX) {
        reply_error(s, r, r->type == XS_UNWATCH ? "ENOENT" : "E2BIG");
        return;
    }
    Watch *w = g_new(Watch, 1);
    *w = (Watch){ g_strdup(r->path), g_strdup(token), r->payload[0] != '/' };
    g_ptr_array_add(s->watches, w);
    reply_ok(s, r);
    tell_watch(s, w, r->path); /* a watch begins with an event */
}

static void free_transaction(gpointer data)
{
    Transaction *t = data;
    g_tree_unref(t->tree);
    g_ptr_array_free(t->changed, TRUE);
    g_free(t);
}

static void do_transaction_start(XenStore *s, Request *r)
{
    if (r->transaction || s->transactions->len >= TRANSACTIONS_MAX) {
        reply_error(s, r, "ENOSPC");
        return;
    }
    Transaction *t = g_new(Transaction, 1);
    *t = (Transaction){ ++s->next_id, s->generation, tree_new(),
                        g_ptr_array_new_with_free_func(g_free) };
    g_tree_foreach(s->tree, copy_node, t->tree);
    g_ptr_array_add(s->transactions, t);
    g_autofree char *id = g_strdup_printf("%u", t->id);
    reply(s, r, id, strlen(id) + 1);
}

static void do_transaction_end(XenStore *s, Request *r)
{
    Transaction *t = r->transaction;
    if (!t || r->len < 1 || (r->payload[0] != 'T' && r->payload[0] != 'F')) {
        reply_error(s, r, t ? "EINVAL" : "ENOENT");
        return;
    }
    bool commit = r->payload[0] == 'T';
    g_autoptr(GPtrArray) paths = g_ptr_array_ref(t->changed);
    if (commit && paths->len && t->generation != s->generation) { /* T2 */
        g_ptr_array_remove(s->transactions, t);
        reply_error(s, r, "EAGAIN");
        return;
    }
    if (commit && paths->len) {
        g_tree_unref(s->tree);
        s->tree = g_tree_ref(t->tree);
        s->generation++;
    }
    g_ptr_array_remove(s->transactions, t);
    reply_ok(s, r);
    for (guint i = 0; commit && i < paths->len; i++) {
        tell_watches(s, paths->pdata[i]);
        xen_host_path_changed(s->host, paths->pdata[i]);
    }
}

static void do_path_request(XenStore *s, Request *r)
{
    const char *value = g_tree_lookup(r->tree, r->path);
    switch (r->type) {
    case XS_DIRECTORY:
        do_directory(s, r);
        break;
    case XS_READ:
        if (value) {
            reply(s, r, value, strlen(value));
        } else {
            reply_error(s, r, "ENOENT");
        }
        break;
    case XS_GET_PERMS:
        if (value) {
            reply(s, r, is_own(r->path) ? "n1" : "n0", 3);
        } else {
            reply_error(s, r, "ENOENT");
        }
        break;
    case XS_WRITE:
    case XS_MKDIR:
        do_write(s, r);
        break;
    case XS_RM:
        do_rm(s, r);
        break;
    default:
        do_watch(s, r);
    }
}

static Transaction *find_transaction(XenStore *s, uint32_t id)
{
    for (guint i = 0; i < s->transactions->len; i++) {
        Transaction *t = s->transactions->pdata[i];
        if (t->id == id) {
            return t;
        }
    }
    return NULL;
}

static void handle(XenStore *s, Request *r)
{
    r->transaction = r->tx ? find_transaction(s, r->tx) : NULL;
    r->tree = r->transaction ? r->transaction->tree : s->tree;
    if (r->tx && !r->transaction) {
        reply_error(s, r, "ENOENT");
        return;
    }
    switch (r->type) {
    case XS_TRANSACTION_START:
        do_transaction_start(s, r);
        return;
    case XS_TRANSACTION_END:
        do_transaction_end(s, r);
        return;
    case XS_GET_DOMAIN_PATH:
        reply(s, r, GUEST_HOME, sizeof(GUEST_HOME));
        return;
    case XS_RESET_WATCHES:
        g_ptr_array_set_size(s->watches, 0);
        reply_ok(s, r);
        return;
    case XS_DIRECTORY:
    case XS_READ:
    case XS_GET_PERMS:
    case XS_WRITE:
    case XS_MKDIR:
    case XS_RM:
    case XS_WATCH:
    case XS_UNWATCH:
        r->path = absolute(r->payload, r->len);
        if (r->path) {
            do_path_request(s, r);
        } else {
            reply_error(s, r, "EINVAL");
        }
        g_free(r->path);
        return;
    default:
        reply_error(s, r, "ENOSYS");
    }
}

/* Complete requests at the beginning of `in`. */
static void handle_all(XenStore *s)
{
    while (s->in->len >= HEADER) {
        uint32_t len = load_le32(s->in->data + 12);
        if (len > PAYLOAD_MAX) { /* protocol violation: nothing behind it can be understood */
            g_byte_array_set_size(s->in, 0);
            return;
        }
        if (s->in->len < HEADER + len) {
            return;
        }
        g_autofree char *payload = g_malloc(len + 1);
        memcpy(payload, s->in->data + HEADER, len);
        payload[len] = 0;
        Request r = { .type = load_le32(s->in->data),
                      .id = load_le32(s->in->data + 4),
                      .tx = load_le32(s->in->data + 8),
                      .payload = payload,
                      .len = len };
        g_byte_array_remove_range(s->in, 0, HEADER + len);
        handle(s, &r);
    }
}

void xen_store_kick(XenStore *s, hwaddr ring)
{
    bool any = false;
    s->ring = ring;
    uint32_t cons = ring_word(s, REQ_CONS), prod = ring_word(s, REQ_PROD);
    if (prod - cons > RING) {
        return; /* the guest's indexes make no sense */
    }
    while (cons != prod) {
        uint8_t bytes[RING];
        uint32_t at = cons % RING, n = MIN(prod - cons, RING - at);
        dma_read(address_space_memory, s->ring + at, bytes, n);
        g_byte_array_append(s->in, bytes, n);
        cons += n;
        any = true;
    }
    if (any) {
        set_ring_word(s, REQ_CONS, cons);
        handle_all(s);
    }
    if (flush(s) || any) {
        xen_event_notify(s->host, 1); /* the store's port */
    }
}

/* ---- life ------------------------------------------------------------------------------------------------------------------ */

XenStore *xen_store_new(XenHost *host)
{
    XenStore *s = g_new0(XenStore, 1);
    s->host = host;
    s->tree = tree_new();
    s->watches = g_ptr_array_new_with_free_func(free_watch);
    s->transactions = g_ptr_array_new_with_free_func(free_transaction);
    s->in = g_byte_array_new();
    s->out = g_byte_array_new();
    return s;
}

void xen_store_reset(XenStore *s)
{
    g_tree_unref(s->tree);
    s->tree = tree_new();
    s->ring = 0;
    s->generation++;
    g_ptr_array_set_size(s->watches, 0);
    g_ptr_array_set_size(s->transactions, 0);
    g_byte_array_set_size(s->in, 0);
    g_byte_array_set_size(s->out, 0);
}

void xen_store_free(XenStore *s)
{
    g_tree_unref(s->tree);
    g_ptr_array_free(s->watches, TRUE);
    g_ptr_array_free(s->transactions, TRUE);
    g_byte_array_free(s->in, TRUE);
    g_byte_array_free(s->out, TRUE);
    g_free(s);
}

/* ---- stream: counted pieces, be32 length and bytes ----------------------------------------------------------------------------- */

static void put_piece(GByteArray *out, const void *data, uint32_t len)
{
    uint8_t n[4];
    store_be32(n, len);
    g_byte_array_append(out, n, 4);
    g_byte_array_append(out, data, len);
}

static void put_count(GByteArray *out, uint32_t n)
{
    uint8_t bytes[4];
    store_be32(bytes, n);
    g_byte_array_append(out, bytes, 4);
}

static gboolean put_node(gpointer path, gpointer value, gpointer out)
{
    put_piece(out, path, strlen(path));
    put_piece(out, value, strlen(value));
    return FALSE;
}

static void put_tree(GByteArray *out, GTree *tree)
{
    put_count(out, g_tree_nnodes(tree));
    g_tree_foreach(tree, put_node, out);
}

static void put_transaction(GByteArray *out, const XenStore *s, const Transaction *t)
{
    put_count(out, t->id);
    put_count(out, t->generation != s->generation); /* it will not succeed */
    put_tree(out, t->tree);
    put_count(out, t->changed->len);
    for (guint i = 0; i < t->changed->len; i++) {
        put_piece(out, t->changed->pdata[i], strlen(t->changed->pdata[i]));
    }
}

void xen_store_save(XenStore *s, GByteArray *out)
{
    put_piece(out, s->in->data, s->in->len);
    put_piece(out, s->out->data, s->out->len);
    put_count(out, s->watches->len);
    for (guint i = 0; i < s->watches->len; i++) {
        const Watch *w = s->watches->pdata[i];
        put_piece(out, w->path, strlen(w->path));
        put_piece(out, w->token, strlen(w->token));
        put_piece(out, w->relative ? "r" : "", w->relative);
    }
    put_tree(out, s->tree);
    put_count(out, s->next_id);
    put_count(out, s->transactions->len);
    for (guint i = 0; i < s->transactions->len; i++) {
        put_transaction(out, s, s->transactions->pdata[i]);
    }
}

typedef struct Pieces {
    const uint8_t *at;
    size_t left;
} Pieces;

/* The next piece as a string (g_free); NULL if there is none, or it has a zero inside. */
static char *next_piece(Pieces *p, uint32_t *len, bool text)
{
    if (p->left < 4 || load_be32(p->at) > p->left - 4) {
        return NULL;
    }
    *len = load_be32(p->at);
    char *piece = g_strndup("", *len);
    memcpy(piece, p->at + 4, *len);
    p->at += 4 + *len;
    p->left -= 4 + *len;
    if (text && strlen(piece) != *len) {
        g_free(piece);
        return NULL;
    }
    return piece;
}

static bool next_count(Pieces *p, uint32_t most, uint32_t *n)
{
    if (p->left < 4 || load_be32(p->at) > most) {
        return false;
    }
    *n = load_be32(p->at);
    p->at += 4;
    p->left -= 4;
    return true;
}

static bool load_watches(XenStore *s, Pieces *p)
{
    uint32_t n, len;
    if (!next_count(p, WATCHES_MAX, &n)) {
        return false;
    }
    for (uint32_t i = 0; i < n; i++) {
        char *path = next_piece(p, &len, true), *token = path ? next_piece(p, &len, true) : NULL;
        g_autofree char *kind = token ? next_piece(p, &len, true) : NULL;
        if (!kind || len > 1 || (len && (kind[0] != 'r' || !is_own(path)))) {
            g_free(path);
            g_free(token);
            return false;
        }
        Watch *w = g_new(Watch, 1);
        *w = (Watch){ path, token, len };
        g_ptr_array_add(s->watches, w);
    }
    return true;
}

static bool load_tree(GTree *tree, Pieces *p)
{
    uint32_t n, len;
    if (!next_count(p, 2 * NODES_MAX, &n)) {
        return false;
    }
    while (n--) {
        char *path = next_piece(p, &len, true), *value = path ? next_piece(p, &len, true) : NULL;
        if (!value || path[0] != '/') {
            g_free(path);
            g_free(value);
            return false;
        }
        g_tree_insert(tree, path, value);
    }
    return true;
}

static bool load_transaction(XenStore *s, Pieces *p)
{
    Transaction *t = g_new0(Transaction, 1);
    uint32_t stale, n, len;
    t->tree = tree_new();
    t->changed = g_ptr_array_new_with_free_func(g_free);
    g_ptr_array_add(s->transactions, t);
    if (!next_count(p, s->next_id, &t->id) || !t->id || !next_count(p, 1, &stale) ||
        !load_tree(t->tree, p) || !next_count(p, 2 * NODES_MAX, &n)) {
        return false;
    }
    t->generation = s->generation - stale;
    while (n--) {
        char *path = next_piece(p, &len, true);
        if (!path || !is_own(path)) {
            g_free(path);
            return false;
        }
        g_ptr_array_add(t->changed, path);
    }
    return true;
}

static bool load_transactions(XenStore *s, Pieces *p)
{
    uint32_t n;
    if (!next_count(p, UINT32_MAX, &s->next_id) || !next_count(p, TRANSACTIONS_MAX, &n)) {
        return false;
    }
    while (n--) {
        if (!load_transaction(s, p)) {
            return false;
        }
    }
    return true;
}

static bool load_bytes(GByteArray *to, Pieces *p, size_t most)
{
    uint32_t len;
    g_autofree char *bytes = next_piece(p, &len, false);
    if (!bytes || len > most) {
        return false;
    }
    g_byte_array_append(to, (const uint8_t *)bytes, len);
    return true;
}

bool xen_store_load(XenStore *s, const uint8_t *data, size_t len, GError **error)
{
    Pieces p = { data, len };
    xen_store_reset(s);
    if (load_bytes(s->in, &p, HEADER + PAYLOAD_MAX) &&
        load_bytes(s->out, &p, WAITING_MAX + HEADER + PAYLOAD_MAX) && load_watches(s, &p) &&
        load_tree(s->tree, &p) && load_transactions(s, &p) && !p.left) {
        return true;
    }
    xen_store_reset(s);
    return error_set(error, "the xenstore's content is damaged");
}
