/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The source's run state before it stopped for the switchover, section "globalstate": 4 + 100 bytes. Since
 * machine version 8.2 the last 68 are other fields, which old ones read as the end of the name.
 */
#include "util/osdep.h"
#include "sections.h"

#include "hw/core/machine.h"
#include "util/error.h"

typedef struct GlobalState {
    uint32_t size;
    char runstate[100];
    uint8_t has_vm_was_suspended, vm_was_suspended;
    char unused[66];
} GlobalState;

static GlobalState global_state;
static VmRunState saved_state;
static VmRunState loaded_state;
static bool loaded;

void global_state_set(VmRunState state)
{
    saved_state = state;
}

bool global_state_loaded(VmRunState *state)
{
    *state = loaded_state;
    return loaded;
}

void global_state_forget(void)
{
    loaded = false;
}

static bool global_pre_save(void *opaque, GError **error)
{
    GlobalState *g = opaque;
    memset(g, 0, sizeof(*g));
    g_strlcpy(g->runstate, vm_state_name(saved_state), sizeof(g->runstate));
    g->size = strlen(g->runstate) + 1;
    g->has_vm_was_suspended = 1;
    return true;
}

static bool global_post_load(void *opaque, int version, GError **error)
{
    GlobalState *g = opaque;
    const size_t room = 32; /* what both layouts have for the name */
    if (g->size == 0 || g->size > room || memchr(g->runstate, 0, room) != g->runstate + g->size - 1) {
        return error_set(error, "the name of the run state is not well-formed");
    }
    if (!vm_state_parse(g->runstate, &loaded_state)) {
        g_autofree char *shown = g_strescape(g->runstate, NULL);
        return error_set(error, "Unknown received state %s", shown);
    }
    loaded = true;
    return true;
}

#define NAME_OF_STATE(bytes)                                                                   \
    { .name = "runstate", .offset = offsetof(GlobalState, runstate), .size = (bytes),          \
      .shape = VM_BUFFER, .kind = &vm_kind_buffer }

static const VmState vm_global_state_old = {
    .name = "globalstate",
    .version = 1,
    .minimum_version = 1,
    .pre_save = global_pre_save,
    .post_load = global_post_load,
    .fields = (const VmField[]){ VM_U32(GlobalState, size), NAME_OF_STATE(100), VM_END },
};

static const VmState vm_global_state = {
    .name = "globalstate",
    .version = 1,
    .minimum_version = 1,
    .pre_save = global_pre_save,
    .post_load = global_post_load,
    .fields =
        (const VmField[]){
            VM_U32(GlobalState, size),
            NAME_OF_STATE(32),
            VM_U8(GlobalState, has_vm_was_suspended),
            VM_U8(GlobalState, vm_was_suspended),
            VM_BYTES(GlobalState, unused),
            VM_END,
        },
};

void global_state_register(void)
{
    static bool done;
    const Machine *machine = machine_current();
    const char *version = machine ? machine_get_type(machine)->version : NULL;
    if (!done) {
        done = true;
        vmstate_register("globalstate", 0,
                         version && machine_version_compare(version, "8.2") < 0 ? &vm_global_state_old
                                                                                : &vm_global_state,
                         &global_state);
    }
}
