/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The rule files of blkdebug: groups [inject-error] and [set-state] with lines key = "value", '#'
 * begins a comment. The keys are those of the QAPI types of the same rules.
 */
#include "util/osdep.h"
#include "blkdebug.h"

#include <stdio.h>
#include "util/error.h"
#include "util/keyval.h"

typedef enum Group { GROUP_NONE, GROUP_INJECT, GROUP_SET_STATE } Group;

/* One group while it is read. */
typedef struct Draft {
    Group group;
    char *event, *iotype;
    int64_t state, error, sector, new_state;
    bool once, immediately;
} Draft;

static void draft_reset(Draft *d, Group group)
{
    g_free(d->event);
    g_free(d->iotype);
    *d = (Draft){ .group = group, .error = EIO, .sector = -1 };
}

static bool draft_finish(Draft *d, BlkdebugRules *rules, GError **error)
{
    if (d->group == GROUP_NONE) {
        return true;
    }
    if (!d->event) {
        return error_set(error, "Missing event name for rule");
    }
    int event = qapi_parse_BlkdebugEvent(d->event);
    int iotype = d->iotype ? qapi_parse_BlkdebugIOType(d->iotype) : 0;
    if (event < 0 || iotype < 0) {
        return error_set(error, "invalid parameter value: %s", event < 0 ? d->event : d->iotype);
    }
    BlkdebugRule *rule = blkdebug_rule_new(
        rules, d->group == GROUP_INJECT ? BLKDEBUG_INJECT : BLKDEBUG_SET_STATE, event, d->state);
    rule->error = d->error;
    rule->sector = d->sector;
    rule->once = d->once;
    rule->immediately = d->immediately;
    rule->new_state = d->new_state;
    if (d->iotype) {
        rule->iotypes = 1u << iotype;
    }
    return true;
}

static bool set_number(const char *key, const char *value, int64_t *result, GError **error)
{
    return parse_int64(value, result, NULL) ||
           error_set(error, "Parameter '%s' expects a number", key);
}

static bool set_bool(const char *key, const char *value, bool *result, GError **error)
{
    return parse_bool(value, result, NULL) ||
           error_set(error, "Parameter '%s' expects 'on' or 'off'", key);
}

static bool set_text(char **member, const char *value)
{
    g_free(*member);
    *member = g_strdup(value);
    return true;
}

static bool draft_set(Draft *d, const char *line, const char *key, const char *value,
                      GError **error)
{
    bool inject = d->group == GROUP_INJECT;
    if (g_str_equal(key, "event")) {
        return set_text(&d->event, value);
    } else if (g_str_equal(key, "state")) {
        return set_number(key, value, &d->state, error);
    } else if (inject && g_str_equal(key, "errno")) {
        return set_number(key, value, &d->error, error);
    } else if (inject && g_str_equal(key, "sector")) {
        return set_number(key, value, &d->sector, error);
    } else if (inject && g_str_equal(key, "once")) {
        return set_bool(key, value, &d->once, error);
    } else if (inject && g_str_equal(key, "immediately")) {
        return set_bool(key, value, &d->immediately, error);
    } else if (inject && g_str_equal(key, "iotype")) {
        return set_text(&d->iotype, value);
    } else if (!inject && g_str_equal(key, "new_state")) {
        return set_number(key, value, &d->new_state, error);
    }
    return error_set(error, "Invalid parameter '%s'", line);
}

static bool parse_group(Draft *d, const char *line, BlkdebugRules *rules, GError **error)
{
    g_autofree char *name = g_strndup(line + 1, strcspn(line + 1, " ]"));
    Group group = g_str_equal(name, "inject-error") ? GROUP_INJECT
                  : g_str_equal(name, "set-state")  ? GROUP_SET_STATE
                                                    : GROUP_NONE;
    if (!strchr(line, ']')) {
        return error_set(error, "blkdebug config: '%s' has no ']'", line);
    }
    if (group == GROUP_NONE) {
        return error_set(error, "There is no option group '%s'", name);
    }
    if (!draft_finish(d, rules, error)) {
        return false;
    }
    draft_reset(d, group);
    return true;
}

static bool parse_setting(Draft *d, const char *line, GError **error)
{
    if (d->group == GROUP_NONE) {
        return error_set(error, "no group defined");
    }
    const char *eq = strchr(line, '=');
    size_t n = strlen(line);
    const char *open = eq ? strchr(eq, '"') : NULL;
    if (!open || open == line + n - 1 || line[n - 1] != '"') {
        return error_set(error, "Invalid parameter '%s'", line);
    }
    g_autofree char *key = g_strstrip(g_strndup(line, eq - line));
    g_autofree char *value = g_strndup(open + 1, line + n - 1 - (open + 1));
    return draft_set(d, line, key, value, error);
}

bool blkdebug_read_config(const char *filename, BlkdebugRules *rules, GError **error)
{
    FILE *f = fopen(filename, "re");
    if (!f) {
        return error_set_errno(error, errno, "Could not read blkdebug config file");
    }
    Draft d = { .group = GROUP_NONE };
    char buf[1024];
    bool ok = true;
    while (ok && fgets(buf, sizeof(buf), f)) {
        char *line = g_strstrip(buf);
        if (line[0] == 0 || line[0] == '#') {
            continue;
        }
        ok = line[0] == '[' ? parse_group(&d, line, rules, error) : parse_setting(&d, line, error);
    }
    if (ok && ferror(f)) {
        ok = error_set_errno(error, errno, "Could not read blkdebug config file");
    }
    ok = ok && draft_finish(&d, rules, error);
    draft_reset(&d, GROUP_NONE);
    fclose(f);
    return ok;
}
