/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The quiesce stage: include/system/quiesce.h has the rules Q1 to Q4. */
#include "util/osdep.h"

#include "util/error.h"
#include "util/main-loop.h"
#include "system/memory.h"
#include "system/quiesce.h"

struct QuiesceEntry {
    const QuiesceOps *ops;
    void *opaque;
    bool done;
};

static GPtrArray *entries; /* QuiesceEntry *, in order of registration */
static bool all_done;

QuiesceEntry *quiesce_register(const QuiesceOps *ops, void *opaque)
{
    QuiesceEntry *entry = g_new0(QuiesceEntry, 1);

    entry->ops = ops;
    entry->opaque = opaque;
    if (!entries) {
        entries = g_ptr_array_new();
    }
    g_ptr_array_add(entries, entry);
    return entry;
}

void quiesce_unregister(QuiesceEntry *entry)
{
    if (!entry) {
        return;
    }
    g_ptr_array_remove(entries, entry);
    g_free(entry);
}

static void resume_done(void)
{
    for (unsigned i = entries ? entries->len : 0; i-- > 0;) {
        QuiesceEntry *entry = g_ptr_array_index(entries, i);

        if (entry->done) {
            entry->done = false;
            if (entry->ops->resume) {
                entry->ops->resume(entry->opaque);
            }
        }
    }
}

QuiesceResult quiesce_all(GError **error)
{
    g_assert(bql_locked());
    if (all_done) {
        return QUIESCE_DONE;
    }
    for (unsigned i = 0; entries && i < entries->len; i++) {
        QuiesceEntry *entry = g_ptr_array_index(entries, i);
        QuiesceResult result = entry->ops->quiesce(entry->opaque, error);

        if (result != QUIESCE_DONE) {
            error_prefix(error, "%s: ", entry->ops->name);
            resume_done();
            return result;
        }
        entry->done = true;
    }
    if (dma_mappings_active()) {
        error_set(error, "%u mappings of guest memory are still in use after all have stopped",
                  dma_mappings_active());
        resume_done();
        return QUIESCE_ERROR;
    }
    all_done = true;
    ram_close();
    return QUIESCE_DONE;
}

void quiesce_resume_all(void)
{
    if (!all_done) {
        return;
    }
    all_done = false;
    ram_open();
    resume_done();
}

bool quiesced(void)
{
    return all_done;
}
