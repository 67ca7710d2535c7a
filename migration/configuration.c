/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The configuration section; it has no section header, and only its version is fixed. */
#include "util/osdep.h"
#include "configuration.h"

#include "hw/core/machine.h"
#include "options.h"
#include "system/identity.h"
#include "util/error.h"
#include "util/hexdump.h"

#define NAME_MAX_BYTES 255
#define UUID_BYTES 16

typedef struct Configuration {
    uint32_t len;
    char *name; /* not terminated */
    uint32_t caps_count;
    struct {
        uint8_t data[UUID_BYTES];
    } uuid;
    bool ignore_shared, mapped_ram; /* are on at the source */
} Configuration;

static const char *machine_name(void)
{
    const Machine *machine = machine_current();
    return machine ? machine_get_type(machine)->name : "none";
}

/* ---- capabilities that both sides must have or not have: be32 count, names ---- */

/* In the order of their numbers, as stock has them. */
static const MigrationCapability sent[] = { MIGRATION_CAPABILITY_X_IGNORE_SHARED, MIGRATION_CAPABILITY_MAPPED_RAM };

static unsigned count_sent(void)
{
    unsigned n = 0;
    for (size_t i = 0; i < G_N_ELEMENTS(sent); i++) {
        n += migration_capability(sent[i]);
    }
    return n;
}

static bool capabilities_needed(const void *opaque)
{
    return count_sent() > 0;
}

static bool put_capabilities(VmWriter *w, const void *elem, size_t size, const VmField *field, GError **error)
{
    for (size_t i = 0; i < G_N_ELEMENTS(sent); i++) {
        if (migration_capability(sent[i])) {
            vm_put_counted_string(w, qapi_name_MigrationCapability(sent[i]));
        }
    }
    return true;
}

static bool get_capabilities(VmReader *r, void *elem, size_t size, const VmField *field,
                             GError **error)
{
    Configuration *c = elem;
    for (uint32_t i = 0; i < c->caps_count && vm_reader_ok(r); i++) {
        char name[256];
        if (!vm_get_counted_string(r, name)) {
            break;
        }
        int cap = qapi_parse_MigrationCapability(name);
        if (cap < 0 || !migration_capability(cap)) {
            g_autofree char *shown = g_strescape(name, NULL);
            return error_set(error, "Capability %s is off, but received capability is on", shown);
        }
        if (cap == MIGRATION_CAPABILITY_X_IGNORE_SHARED) {
            c->ignore_shared = true;
        } else if (cap == MIGRATION_CAPABILITY_MAPPED_RAM) {
            c->mapped_ram = true;
        }
    }
    return vm_reader_check(r, error);
}

static const VmKind kind_capabilities = { "capability", put_capabilities, get_capabilities };

static bool capabilities_pre_save(void *opaque, GError **error)
{
    ((Configuration *)opaque)->caps_count = count_sent();
    return true;
}

static const VmState vm_configuration_capabilities = {
    .name = "configuration/capabilities",
    .version = 1,
    .minimum_version = 1,
    .needed = capabilities_needed,
    .pre_save = capabilities_pre_save,
    .fields =
        (const VmField[]){
            VM_U32(Configuration, caps_count),
            VM_CUSTOM_WHOLE("capabilities", 1, kind_capabilities),
            VM_END,
        },
};

/* ---- UUID ---- */

static bool uuid_needed(const void *opaque)
{
    return migration_capability(MIGRATION_CAPABILITY_VALIDATE_UUID);
}

void configuration_own_uuid(uint8_t uuid[UUID_BYTES])
{
    g_auto(GStrv) parts = g_strsplit(vm_get_uuid(), "-", 0);
    g_autofree char *digits = g_strjoinv("", parts);
    size_t len;
    g_autofree uint8_t *bytes = hex_bytes(digits, &len);
    g_assert(bytes && len == UUID_BYTES);
    memcpy(uuid, bytes, UUID_BYTES);
}

static char *uuid_text(const uint8_t uuid[UUID_BYTES])
{
    g_autofree char *hex = hex_string(uuid, UUID_BYTES);
    return g_strdup_printf("%.8s-%.4s-%.4s-%.4s-%.12s", hex, hex + 8, hex + 12, hex + 16, hex + 20);
}

static bool uuid_pre_save(void *opaque, GError **error)
{
    configuration_own_uuid(((Configuration *)opaque)->uuid.data);
    return true;
}

static bool uuid_post_load(void *opaque, int version, GError **error)
{
    const Configuration *c = opaque;
    uint8_t here[UUID_BYTES];
    configuration_own_uuid(here);
    if (memcmp(here, c->uuid.data, UUID_BYTES) != 0) {
        g_autofree char *got = uuid_text(c->uuid.data);
        return error_set(error, "UUID received is %s and local is %s", got, vm_get_uuid());
    }
    return true;
}

static const VmState vm_configuration_uuid = {
    .name = "configuration/uuid",
    .version = 1,
    .minimum_version = 1,
    .needed = uuid_needed,
    .pre_save = uuid_pre_save,
    .post_load = uuid_post_load,
    .fields = (const VmField[]){ VM_U8_ARRAY(Configuration, uuid.data, UUID_BYTES), VM_END },
};

/* ---- the section ---- */

static bool configuration_post_load(void *opaque, int version, GError **error)
{
    const Configuration *c = opaque;
    const char *here = machine_name();
    if (c->len != strlen(here) || memcmp(c->name, here, c->len) != 0) {
        g_autofree char *got = g_strndup(c->name ? c->name : "", c->len);
        g_autofree char *shown = g_strescape(got, NULL);
        return error_set(error, "Machine type received is '%s' and local is '%s'", shown, here);
    }
    return true;
}

static const VmState vm_configuration = {
    .name = "configuration",
    .version = 1,
    .minimum_version = 1,
    .post_load = configuration_post_load,
    .fields =
        (const VmField[]){
            VM_U32(Configuration, len),
            VM_VBYTES("name", Configuration, name, len, NAME_MAX_BYTES, VM_ALLOC),
            VM_END,
        },
    .subsections =
        (const VmState *const[]){ &vm_configuration_capabilities, &vm_configuration_uuid, NULL },
};

bool configuration_save(VmWriter *w, GString *desc, GError **error)
{
    Configuration c = { .len = strlen(machine_name()), .name = (char *)machine_name() };
    return vmstate_save(w, &vm_configuration, &c, desc, error);
}

bool configuration_load(VmReader *r, GError **error)
{
    Configuration c = { 0 };
    bool ok = vmstate_load(r, &vm_configuration, &c, 1, error);
    g_free(c.name);
    if (ok && migration_capability(MIGRATION_CAPABILITY_X_IGNORE_SHARED) && !c.ignore_shared) {
        return error_set(error, "Capability x-ignore-shared is on, but received capability is off");
    }
    if (ok && migration_capability(MIGRATION_CAPABILITY_MAPPED_RAM) && !c.mapped_ram) {
        return error_set(error, "Capability mapped-ram is on, but received capability is off");
    }
    return ok;
}
