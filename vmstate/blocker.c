/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Reasons not to migrate; see vmstate/blocker.h. */
#include "util/osdep.h"
#include "vmstate/blocker.h"

#include "util/error.h"
#include "vmstate/vmstate.h"

struct VmBlocker {
    char *reason;
    GPtrArray *list; /* that it is on */
};

static GPtrArray *blockers, *postcopy_blockers;
static bool only_migratable;
static unsigned frozen;

static VmBlocker *add(GPtrArray **list, char *reason)
{
    if (!*list) {
        *list = g_ptr_array_new();
    }
    VmBlocker *blocker = g_new(VmBlocker, 1);
    *blocker = (VmBlocker){ reason, *list };
    g_ptr_array_add(*list, blocker);
    return blocker;
}

VmBlocker *vmstate_block(GError **error, const char *fmt, ...)
{
    va_list args;
    va_start(args, fmt);
    g_autofree char *reason = g_strdup_vprintf(fmt, args);
    va_end(args);
    if (only_migratable) {
        error_set(error, "disallowing migration blocker (--only-migratable) for: %s", reason);
        return NULL;
    }
    if (frozen) {
        error_set(error, "disallowing migration blocker (migration in progress) for: %s", reason);
        return NULL;
    }
    return add(&blockers, g_steal_pointer(&reason));
}

VmBlocker *vmstate_block_postcopy(const char *fmt, ...)
{
    va_list args;
    va_start(args, fmt);
    char *reason = g_strdup_vprintf(fmt, args);
    va_end(args);
    return add(&postcopy_blockers, reason);
}

bool vmstate_check_postcopy(GError **error)
{
    return !postcopy_blockers || !postcopy_blockers->len ||
           error_set(error, "%s", ((const VmBlocker *)postcopy_blockers->pdata[0])->reason);
}

void vmstate_unblock(VmBlocker *blocker)
{
    if (blocker) {
        g_ptr_array_remove(blocker->list, blocker);
        g_free(blocker->reason);
        g_free(blocker);
    }
}

typedef struct ReasonWalk {
    VmBlockerFunc *func;
    void *opaque;
} ReasonWalk;

static bool report_section(VmSection *section, void *opaque)
{
    const ReasonWalk *walk = opaque;
    if (section->unmigratable) {
        g_autofree char *reason = g_strdup_printf("State blocked by non-migratable device '%s': %s",
                                                  section->idstr,
                                                  section->reason ? section->reason : "no reason given");
        walk->func(reason, walk->opaque);
    }
    return true;
}

void vmstate_foreach_reason(VmBlockerFunc *func, void *opaque)
{
    ReasonWalk walk = { func, opaque };
    for (guint i = 0; blockers && i < blockers->len; i++) {
        func(((const VmBlocker *)blockers->pdata[i])->reason, opaque);
    }
    vmstate_foreach(report_section, &walk);
}

void vmstate_set_only_migratable(bool only)
{
    only_migratable = only;
}

bool vmstate_only_migratable(void)
{
    return only_migratable;
}

void vmstate_freeze(void)
{
    frozen++;
}

void vmstate_thaw(void)
{
    g_assert(frozen > 0);
    frozen--;
}

bool vmstate_frozen(void)
{
    return frozen > 0;
}
