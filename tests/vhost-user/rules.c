/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The test back end's rules: what happens at which message. */
#include "util/osdep.h"

#include "backend-internal.h"
#include "util/error.h"

const BackendRule *backend_find_rule(Conn *c, uint32_t request, BackendRule *found)
{
    Backend *b = c->b;
    const BackendRule *rule = NULL;

    g_mutex_lock(&b->lock);
    for (unsigned i = b->rules->len; i-- > 0 && !rule;) {
        const BackendRule *r = &g_array_index(b->rules, BackendRule, i);
        unsigned nth = r->request ? c->seen[request] : c->total;

        if ((!r->request || r->request == request) && (!r->nth || r->nth == nth)) {
            *found = *r;
            rule = found;
            if (r->from_now) { /* once, and not on the next connection as well */
                g_array_remove_index(b->rules, i);
            }
        }
    }
    g_mutex_unlock(&b->lock);
    return rule;
}

void backend_fired(Backend *b)
{
    g_mutex_lock(&b->lock);
    b->counts.fired++;
    g_mutex_unlock(&b->lock);
}

void backend_add_rule(Backend *b, uint32_t request, unsigned nth, BackendAction action,
                      unsigned arg)
{
    backend_apply_rule(
        b, &(BackendRule){ .request = request, .nth = nth, .action = action, .arg = arg });
}

void backend_apply_rule(Backend *b, const BackendRule *rule)
{
    BackendRule own = *rule;

    g_mutex_lock(&b->lock);
    if (own.from_now && b->conns->len) {
        const Conn *c = b->conns->pdata[b->conns->len - 1];

        own.nth += own.request ? c->seen[own.request] : c->total;
    }
    g_array_append_val(b->rules, own);
    g_mutex_unlock(&b->lock);
}

void backend_clear_rules(Backend *b)
{
    g_mutex_lock(&b->lock);
    g_array_set_size(b->rules, 0);
    g_mutex_unlock(&b->lock);
}

static const char *const action_names[] = {
    [BACKEND_DELAY] = "delay",           [BACKEND_REFUSE] = "refuse",
    [BACKEND_IGNORE] = "ignore",         [BACKEND_SILENT] = "silent",
    [BACKEND_CLOSE] = "close",           [BACKEND_DIE] = "die",
    [BACKEND_WRONG_ID] = "wrong-id",     [BACKEND_WRONG_FLAGS] = "wrong-flags",
    [BACKEND_WRONG_SIZE] = "wrong-size", [BACKEND_HUGE_SIZE] = "huge-size",
    [BACKEND_WRONG_RING] = "wrong-ring", [BACKEND_EXTRA_FD] = "extra-fd",
    [BACKEND_TWICE] = "twice",           [BACKEND_DIE_AFTER] = "die-after",
};

bool backend_parse_rule(const char *text, BackendRule *rule, GError **error)
{
    g_auto(GStrv) sides = g_strsplit(text, "=", 2);
    g_auto(GStrv) left = g_strsplit(sides[0], "#", 2);
    g_auto(GStrv) right = sides[1] ? g_strsplit(sides[1], ":", 2) : NULL;
    bool known = false;

    *rule = (BackendRule){ .from_now = left[1] && left[1][0] == '+',
                           .nth = left[1] ? (unsigned)atoi(left[1]) : 0 };
    if (!right) {
        return error_set(error, "'%s' is not MESSAGE[#N]=ACTION[:ARG]", text);
    }
    rule->arg = right[1] ? (unsigned)atoi(right[1]) : 0;
    for (uint32_t i = 1; i < VHOST_USER_REQUESTS && strcmp(left[0], "*"); i++) {
        const char *name = vhost_user_request_name(i);

        rule->request = name && !strcmp(name, left[0]) ? i : rule->request;
    }
    for (unsigned i = 0; i < G_N_ELEMENTS(action_names); i++) {
        if (!strcmp(action_names[i], right[0])) {
            rule->action = i;
            known = true;
        }
    }
    if (!known || (!rule->request && strcmp(left[0], "*"))) {
        return error_set(error, "'%s': no such message or action", text);
    }
    return true;
}
