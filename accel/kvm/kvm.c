/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Accelerator kvm: opening, capabilities, options, and the plain calls. */
#include "util/osdep.h"

#include <fcntl.h>
#include <sys/ioctl.h>

#include "accel/accel.h"
#include "util/error.h"
#include "kvm-internal.h"

#define DIRTY_RING_MIN 1024
#define DIRTY_RING_MAX 65536

KvmState kvm_state = { .fd = -1, .vm_fd = -1 };

typedef struct KvmAccel {
    Object object;
    int kernel_irqchip; /* KvmIrqchip */
    uint32_t dirty_ring_size;
    char *device;
} KvmAccel;

/* ---- calls --------------------------------------------------------------------------------------------------- */

bool kvm_enabled(void)
{
    return kvm_state.vm_fd >= 0;
}

KvmIrqchip kvm_irqchip(void)
{
    return kvm_state.irqchip;
}

static int call(int fd, unsigned long request, void *arg)
{
    int r = ioctl(fd, request, arg);

    return r < 0 ? -errno : r;
}

int kvm_system_ioctl(unsigned long request, void *arg)
{
    return call(kvm_state.fd, request, arg);
}

int kvm_vm_ioctl(unsigned long request, void *arg)
{
    return call(kvm_state.vm_fd, request, arg);
}

int kvm_vcpu_ioctl(Cpu *cpu, unsigned long request, void *arg)
{
    return call(((KvmVcpu *)cpu->accel)->fd, request, arg);
}

struct kvm_run *kvm_vcpu_run_area(Cpu *cpu)
{
    return ((KvmVcpu *)cpu->accel)->run;
}

int kvm_check_extension(int capability)
{
    int r = call(kvm_state.vm_fd >= 0 ? kvm_state.vm_fd : kvm_state.fd, KVM_CHECK_EXTENSION,
                 (void *)(uintptr_t)capability);

    return MAX(r, 0);
}

int kvm_enable_capability(int capability, uint64_t arg0, uint64_t arg1)
{
    struct kvm_enable_cap cap = { .cap = capability, .args = { arg0, arg1 } };

    return kvm_vm_ioctl(KVM_ENABLE_CAP, &cap);
}

void kvm_set_target(const KvmTargetOps *ops)
{
    kvm_state.target = ops;
}

/* ---- start ----------------------------------------------------------------------------------------------------- */

#define CAPABILITY(name) \
    {                    \
#name, name      \
    }

/* What cannot be done without; the target has more. */
static const struct KvmCapability required[] = {
    CAPABILITY(KVM_CAP_USER_MEMORY),
    CAPABILITY(KVM_CAP_DESTROY_MEMORY_REGION_WORKS),
    CAPABILITY(KVM_CAP_JOIN_MEMORY_REGIONS_WORKS),
    CAPABILITY(KVM_CAP_INTERNAL_ERROR_DATA),
    CAPABILITY(KVM_CAP_IMMEDIATE_EXIT),
    CAPABILITY(KVM_CAP_IOEVENTFD),
    {},
};

static bool check_required(const struct KvmCapability *list, GError **error)
{
    for (; list && list->name; list++) {
        if (!kvm_check_extension(list->value)) {
            return error_set_class(error, TERN_ERROR_KVM_MISSING_CAP,
                                   "the host's KVM does not support %s, which is needed",
                                   list->name);
        }
    }
    return true;
}

static bool open_device(KvmAccel *accel, GError **error)
{
    const char *path = accel->device ? accel->device : "/dev/kvm";
    int version;

    kvm_state.fd = open(path, O_RDWR | O_CLOEXEC);
    if (kvm_state.fd < 0) {
        return error_set_errno(
            error, errno, "failed to initialize kvm: Could not access KVM kernel module %s", path);
    }
    version = kvm_system_ioctl(KVM_GET_API_VERSION, NULL);
    if (version != KVM_API_VERSION) {
        return error_set(error, "failed to initialize kvm: %s",
                         version < 0 ? "the device is not KVM" : "kvm version not supported");
    }
    return true;
}

static bool create_vm(GError **error)
{
    int r;

    do {
        r = kvm_system_ioctl(KVM_CREATE_VM, NULL);
    } while (r == -EINTR);
    if (r < 0) {
        return error_set_errno(error, -r, "failed to initialize kvm: KVM_CREATE_VM");
    }
    kvm_state.vm_fd = r;
    r = kvm_system_ioctl(KVM_GET_VCPU_MMAP_SIZE, NULL);
    if (r < (int)sizeof(struct kvm_run)) {
        return error_set(error, "failed to initialize kvm: KVM_GET_VCPU_MMAP_SIZE says %d", r);
    }
    kvm_state.run_size = r;
    return true;
}

/* Rings have to be on before the first processor comes. */
static bool enable_ring(uint32_t entries, GError **error)
{
    size_t bytes = (size_t)entries * sizeof(struct kvm_dirty_gfn);
    int capability = KVM_CAP_DIRTY_LOG_RING_ACQ_REL;
    int max = kvm_check_extension(capability), r;

    if (!max) {
        capability = KVM_CAP_DIRTY_LOG_RING;
        max = kvm_check_extension(capability);
    }
    if (!max) {
        return error_set_class(
            error, TERN_ERROR_KVM_MISSING_CAP,
            "dirty-ring-size: the host's KVM does not support KVM_CAP_DIRTY_LOG_RING");
    }
    if (bytes > (size_t)max) {
        return error_set(error, "dirty-ring-size: the host's KVM takes at most %zu entries",
                         max / sizeof(struct kvm_dirty_gfn));
    }
    r = kvm_enable_capability(capability, bytes, 0);
    if (r < 0) {
        return error_set_errno(error, -r, "dirty-ring-size: enabling the dirty ring");
    }
    kvm_state.ring_entries = entries;
    kvm_cpu_ops.dirty_rings = true;
    return true;
}

/* Bitmaps are cleared piece by piece where the kernel can, and begin all set: nothing is protected at the start. */
static void enable_manual_protect(void)
{
    int have = kvm_check_extension(KVM_CAP_MANUAL_DIRTY_LOG_PROTECT2);
    uint64_t want = have & (KVM_DIRTY_LOG_MANUAL_PROTECT_ENABLE | KVM_DIRTY_LOG_INITIALLY_SET);

    kvm_state.manual_protect =
        want && kvm_enable_capability(KVM_CAP_MANUAL_DIRTY_LOG_PROTECT2, want, 0) >= 0;
}

static bool kvm_start(KvmAccel *accel, Machine *machine, GError **error)
{
    const KvmTargetOps *target = kvm_state.target;

    if (!target) {
        return error_set(error,
                         "failed to initialize kvm: no processor that it could run is built in");
    }
    if (!open_device(accel, error) || !create_vm(error) || !check_required(required, error) ||
        !check_required(target->required, error)) {
        return false;
    }
    kvm_state.irqchip = accel->kernel_irqchip;
    kvm_state.has_readonly = kvm_check_extension(KVM_CAP_READONLY_MEM);
    kvm_state.max_slots = MAX(kvm_check_extension(KVM_CAP_NR_MEMSLOTS), 32);
    if (accel->dirty_ring_size && !enable_ring(accel->dirty_ring_size, error)) {
        return false;
    }
    if (!kvm_state.ring_entries) {
        enable_manual_protect();
    }
    return target->vm_created(machine, error);
}

static bool kvm_accel_init(Object *object, Machine *machine, GError **error)
{
    if (!kvm_start((KvmAccel *)object, machine, error)) {
        if (kvm_state.vm_fd >= 0) {
            close(kvm_state.vm_fd);
        }
        if (kvm_state.fd >= 0) {
            close(kvm_state.fd);
        }
        kvm_state.fd = kvm_state.vm_fd = -1;
        return false;
    }
    kvm_cpu_ops.halts_inside = kvm_state.irqchip != KVM_IRQCHIP_USER;
    cpu_set_accel_ops(&kvm_cpu_ops);
    kvm_slots_init();
    kvm_events_init();
    kvm_quiesce_init();
    return true;
}

/* ---- properties ------------------------------------------------------------------------------------------------ */

static const PropertyEnum irqchip_names[] = {
    { "OnOffSplit", "on", KVM_IRQCHIP_KERNEL },
    { NULL, "off", KVM_IRQCHIP_USER },
    { NULL, "split", KVM_IRQCHIP_SPLIT },
    {},
};

static bool set_ring_size(Object *obj, const Property *prop, json_object *value, GError **error)
{
    int64_t n = json_object_get_int64(value);

    if (!json_object_is_type(value, json_type_int)) {
        return error_set(error, "Parameter '%s' expects uint32", prop->name);
    }
    if (n && (n < DIRTY_RING_MIN || n > DIRTY_RING_MAX || (n & (n - 1)))) {
        return error_set(error, "%s must be 0, or a power of two from %d to %d", prop->name,
                         DIRTY_RING_MIN, DIRTY_RING_MAX);
    }
    *(uint32_t *)property_member(obj, prop) = n;
    return true;
}

static bool parse_ring_size(Object *obj, const Property *prop, const char *text, GError **error)
{
    char *end;
    json_object *value;
    bool ok;

    errno = 0;
    value = json_object_new_int64(strtoll(text, &end, 0));
    ok = (!errno && *text && !*end) ||
         error_set(error, "Parameter '%s' expects a number", prop->name);
    ok = ok && set_ring_size(obj, prop, value, error);
    json_object_put(value);
    return ok;
}

static json_object *get_ring_size(Object *obj, const Property *prop, GError **error)
{
    return json_object_new_int64(*(uint32_t *)property_member(obj, prop));
}

static const PropertyKind property_ring_size = {
    .name = "uint32",
    .set = set_ring_size,
    .parse = parse_ring_size,
    .get = get_ring_size,
};

static const Property kvm_properties[] = {
    PROPERTY_STRING("device", KvmAccel, device,
                    "Path to the device node to use (default: /dev/kvm)"),
    PROPERTY("dirty-ring-size", property_ring_size, KvmAccel, dirty_ring_size, .default_text = "0",
             .description = "Size of KVM dirty page ring buffer (default: 0, i.e. use bitmap)"),
    PROPERTY_ENUM("kernel-irqchip", KvmAccel, kernel_irqchip, irqchip_names, "on",
                  "Configure KVM in-kernel irqchip"),
    {},
};

static const AccelType kvm_accel_type = {
    .object = {
        .name = "kvm-accel",
        .parent = &accel_type,
        .size = sizeof(KvmAccel),
        .properties = kvm_properties,
    },
    .name = "kvm",
    .runs_cpus = true,
    .init = kvm_accel_init,
};
ACCEL_REGISTER(kvm_accel_type)
