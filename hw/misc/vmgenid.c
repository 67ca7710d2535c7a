/* SPDX-License-Identifier: GPL-2.0-or-later */
/* vmgenid: see the header. */
#include "util/osdep.h"
#include "hw/misc/vmgenid.h"
#include "hw/nvram/fw_cfg.h"
#include "qapi/commands-vmgenid.h"
#include "qapi/dispatch.h"
#include "system/memory.h"
#include "system/runstate.h"
#include "util/bytes.h"
#include "util/error.h"

#define GUID_SIZE 16

typedef struct Vmgenid {
    Device device;
    uint8_t vmgenid_addr_le[8]; /* as the firmware wrote it */

    char *guid_text;         /* the property */
    uint8_t guid[GUID_SIZE]; /* as ACPI has it: the first three fields little-endian */
    uint8_t blob[VMGENID_BLOB_SIZE];
    bool arrived; /* by migration: the guest's copy may be another one */
    VmStateEntry *vm_state;
} Vmgenid;

static Vmgenid *the_vmgenid;
static void (*notify_func)(void *opaque);
static void *notify_opaque;

Device *vmgenid_find(void)
{
    return (Device *)the_vmgenid;
}

void vmgenid_set_notify(void (*notify)(void *opaque), void *opaque)
{
    notify_func = notify;
    notify_opaque = opaque;
}

/* ---- the GUID --------------------------------------------------------------------------------------------------- */

/* "324e6eaf-d1d1-4bf6-bf41-b9bb6c91fb87", "auto" or nothing. */
static bool parse_guid(const char *text, uint8_t guid[GUID_SIZE], GError **error)
{
    static const uint8_t order[GUID_SIZE] = {
        3, 2, 1, 0, 5, 4, 7, 6, 8, 9, 10, 11, 12, 13, 14, 15
    };
    g_autofree char *random = NULL;
    unsigned n = 0;

    if (!text || !strcmp(text, "auto")) {
        text = random = g_uuid_string_random();
    }
    if (!g_uuid_string_is_valid(text)) {
        return error_set(error, "Property 'vmgenid.guid' doesn't take value '%s'", text);
    }
    for (const char *p = text; *p; p++) {
        if (*p != '-') {
            guid[order[n++]] = g_ascii_xdigit_value(p[0]) << 4 | g_ascii_xdigit_value(p[1]);
            p++;
        }
    }
    return true;
}

static char *format_guid(const uint8_t g[GUID_SIZE])
{
    return g_strdup_printf("%08x-%04x-%04x-%02x%02x-%02x%02x%02x%02x%02x%02x", load_le32(g),
                           load_le16(g + 4), load_le16(g + 6), g[8], g[9], g[10], g[11], g[12],
                           g[13], g[14], g[15]);
}

/* Makes the guest's copy ours. Returns whether it was another one. */
static bool update_guest(Vmgenid *s)
{
    uint64_t addr = load_le64(s->vmgenid_addr_le);
    uint8_t there[GUID_SIZE];

    if (!addr || dma_read(address_space_memory, addr, there, GUID_SIZE) != MEM_OK ||
        !memcmp(there, s->guid, GUID_SIZE)) {
        return false;
    }
    dma_write(address_space_memory, addr, s->guid, GUID_SIZE, "vmgenid");
    return true;
}

static void vmgenid_vm_state(void *opaque, bool running, VmRunState state)
{
    Vmgenid *s = opaque;

    if (running && s->arrived) {
        s->arrived = false;
        if (update_guest(s) && notify_func) {
            notify_func(notify_opaque);
        }
    }
}

bool qmp_query_vm_generation_id(GuidInfo **ret, GError **error)
{
    if (!the_vmgenid) {
        return error_set(error, "VM Generation ID device not found");
    }
    *ret = g_new0(GuidInfo, 1);
    (*ret)->guid = format_guid(the_vmgenid->guid);
    return true;
}
QMP_REGISTER(vmgenid)

/* ---- life cycle --------------------------------------------------------------------------------------------------- */

static void addr_written(void *opaque, uint32_t offset, uint32_t len)
{
    update_guest(opaque);
}

static const FwCfgFileOps addr_ops = { .written = addr_written };
static const FwCfgFileOps blob_ops = { NULL, NULL };

static bool vmgenid_realize(Device *dev, GError **error)
{
    Vmgenid *s = (Vmgenid *)dev;
    FwCfg *fw = fw_cfg_find();

    if (the_vmgenid) {
        return error_set(error, "at most one vmgenid device is permitted");
    }
    if (!fw) {
        return error_set(error,
                         "vmgenid requires fw_cfg, which this machine type does not provide");
    }
    if (!parse_guid(s->guid_text, s->guid, error)) {
        return false;
    }
    memcpy(s->blob + VMGENID_GUID_OFFSET, s->guid, GUID_SIZE);
    if (!fw_cfg_add_file_callback(fw, VMGENID_GUID_FILE, s->blob, VMGENID_BLOB_SIZE,
                                  VMGENID_BLOB_SIZE, &blob_ops, s, error) ||
        !fw_cfg_add_file_callback(fw, VMGENID_ADDR_FILE, s->vmgenid_addr_le,
                                  sizeof(s->vmgenid_addr_le), sizeof(s->vmgenid_addr_le), &addr_ops,
                                  s, error)) {
        return false;
    }
    s->vm_state = vm_state_add_handler(vmgenid_vm_state, s, 0);
    the_vmgenid = s;
    return true;
}

static void vmgenid_unrealize(Device *dev)
{
    vm_state_del_handler(((Vmgenid *)dev)->vm_state);
    the_vmgenid = NULL;
}

/* The guest's firmware will write it anew. */
static void vmgenid_reset(Device *dev)
{
    memset(((Vmgenid *)dev)->vmgenid_addr_le, 0, sizeof(((Vmgenid *)dev)->vmgenid_addr_le));
}

/*
 * Migration notes. The guest's address travels; the GUID is this side's property. When the machine runs here the guest's
 * copy becomes ours, and the guest is told if that is another one.
 */
static bool vmgenid_post_load(void *opaque, int version, GError **error)
{
    ((Vmgenid *)opaque)->arrived = true;
    return true;
}

static const VmState vmstate_vmgenid = {
    .name = "vmgenid",
    .version = 1,
    .minimum_version = 1,
    .post_load = vmgenid_post_load,
    .fields = (const VmField[]){ VM_U8_ARRAY(Vmgenid, vmgenid_addr_le, 8), VM_END },
};

static const DeviceType vmgenid_type = {
    .object = {
        .name = "vmgenid",
        .parent = &device_type.object,
        .size = sizeof(Vmgenid),
        .properties = (const Property[]){
            { .name = "guid",
              .kind = &property_string,
              .offset = offsetof(Vmgenid, guid_text),
              .default_text = "auto",
              .description = "UUID (aka GUID) or \"auto\" for random value (default)" },
            {},
        },
    },
    .category = DEVICE_CATEGORY_MISC,
    .not_hotpluggable = true,
    .realize = vmgenid_realize,
    .unrealize = vmgenid_unrealize,
    .reset = vmgenid_reset,
    .migration = MIGRATES_WITH(vmstate_vmgenid),
};
DEVICE_REGISTER(vmgenid_type);
