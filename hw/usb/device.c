/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The abstract USB device: plugging, reset, and its saved state (USB 2.0, chapter 9.1).
 *
 * Migration notes. The wire has stock's seven fields, "USBDevice" version 1. They do not tell
 *   - the bytes of a control transfer's data stage,
 *   - which configuration and settings are active, and which endpoints are halted,
 *   - how much of a packet that the device keeps has been moved (U4).
 * Each of these is a subsection that is there only when its absence would be read as something
 * else:
 *   - without "USBDevice/control", data in a device-to-host transfer is produced again from the
 *     SETUP packet, and a host-to-device transfer that has begun is stalled;
 *   - without "USBDevice/config", a device with an address is in its first configuration, one
 *     without is in none, settings are 0 and nothing is halted; a device that no transaction can
 *     reach needs none, because it will be reset first;
 *   - without "USBDevice/transfers", no packet has moved anything.
 * Data toggles are not modelled: both ends of the bus are in this process and no packet is lost
 * between them.
 */
#include "util/osdep.h"
#include "hw/usb/usb.h"
#include "usb-internal.h"
#include "util/error.h"
#include "util/trace.h"

TRACE_EVENT(usb_port_attach)
TRACE_EVENT(usb_port_detach)

const UsbDeviceOps *usb_device_ops(const UsbDevice *dev)
{
    return device_ops(&dev->device);
}

const char *usb_speed_name(UsbSpeed speed)
{
    static const char *const names[] = { "1.5", "12", "480", "5000" };

    return names[speed];
}

/* ---- plugging and reset ---------------------------------------------------------------------- */

static const char *speeds_text(unsigned mask, GString *out)
{
    static const char *const names[] = { "low", "full", "high", "super" };

    g_string_truncate(out, 0);
    for (unsigned i = 0; i < G_N_ELEMENTS(names); i++) {
        if (mask & (1u << i)) {
            g_string_append_printf(out, "%s%s", out->len ? "+" : "", names[i]);
        }
    }
    return out->str;
}

static bool choose_speed(UsbDevice *dev, GError **error)
{
    const UsbDesc *desc = dev->desc ? dev->desc : usb_device_ops(dev)->desc;
    unsigned common;

    dev->speed_mask = usb_desc_speed_mask(desc);
    common = dev->speed_mask & dev->port->speed_mask;
    if (!common) {
        GString *a = g_string_new(NULL), *b = g_string_new(NULL);

        error_set(error,
                  "speed mismatch trying to attach usb device \"%s\" (%s speed) to bus \"%s\", port"
                  " \"%s\" (%s speed)",
                  usb_desc_product(dev), speeds_text(dev->speed_mask, a), dev->port->bus->bus.name,
                  dev->port->path, speeds_text(dev->port->speed_mask, b));
        g_string_free(a, true);
        g_string_free(b, true);
        return false;
    }
    dev->speed = g_bit_nth_msf(common, -1);
    return true;
}

/* State after reset signalling, without telling the device. */
static void reset_state(UsbDevice *dev)
{
    usb_device_flush(dev, USB_CANCELED);
    dev->addr = 0;
    dev->remote_wakeup = 0;
    dev->setup_state = USB_SETUP_IDLE;
    dev->setup_len = 0;
    dev->setup_index = 0;
    dev->control_replay = false;
    if (dev->attached) {
        dev->state = USB_STATE_DEFAULT;
        usb_desc_select(dev);
    }
}

void usb_device_bus_reset(UsbDevice *dev)
{
    reset_state(dev);
    if (usb_device_ops(dev)->bus_reset) {
        usb_device_ops(dev)->bus_reset(dev);
    }
}

bool usb_device_attach(UsbDevice *dev, GError **error)
{
    if (dev->attached) {
        return true;
    }
    g_assert(dev->port && !dev->port->dev);
    if (!choose_speed(dev, error)) {
        return false;
    }
    dev->attached = true;
    dev->state = USB_STATE_ATTACHED;
    dev->port->dev = dev;
    trace(usb_port_attach, "bus %d, port %s, speed %s", dev->port->bus->busnr, dev->port->path,
          usb_speed_name(dev->speed));
    usb_desc_select(dev);
    dev->port->ops->attach(dev->port);
    if (usb_device_ops(dev)->attach) {
        usb_device_ops(dev)->attach(dev);
    }
    return true;
}

void usb_device_detach(UsbDevice *dev)
{
    UsbPort *port = dev->port, *root = port;

    if (!dev->attached) {
        return;
    }
    trace(usb_port_detach, "bus %d, port %s", port->bus->busnr, port->path);
    usb_device_flush(dev, USB_NODEV);
    if (usb_device_ops(dev)->detach) {
        usb_device_ops(dev)->detach(dev);
    }
    port->ops->detach(port);
    while (root->upstream) {
        root = root->upstream;
    }
    if (root->ops->device_gone) {
        root->ops->device_gone(root, dev);
    }
    reset_state(dev);
    dev->attached = false;
    dev->state = USB_STATE_NOT_ATTACHED;
    port->dev = NULL;
}

/* ---- property "attached" --------------------------------------------------------------------- */

static json_object *get_attached(Object *obj, const Property *prop, GError **error)
{
    return json_object_new_boolean(USB_DEVICE(obj)->attached);
}

static bool set_attached(Object *obj, const Property *prop, json_object *value, GError **error)
{
    UsbDevice *dev = USB_DEVICE(obj);

    if (!dev->attached_writable) {
        return error_set(error, "Property '%s.%s' is not writable", obj->type->name, prop->name);
    }
    if (!json_object_is_type(value, json_type_boolean)) {
        return error_set(error, "Invalid parameter type for '%s', expected: boolean", prop->name);
    }
    if (!dev->port) {
        return error_set(error, "Property '%s.%s' cannot be set before the device is plugged in",
                         obj->type->name, prop->name);
    }
    if (json_object_get_boolean(value)) {
        return usb_device_attach(dev, error);
    }
    usb_device_detach(dev);
    return true;
}

static bool parse_attached(Object *obj, const Property *prop, const char *text, GError **error)
{
    json_object *value = json_object_new_boolean(strcmp(text, "on") == 0);
    bool ok = set_attached(obj, prop, value, error);

    json_object_put(value);
    return ok;
}

/* `info qtree` says it on its line about the address. */
static char *print_attached(Object *obj, const Property *prop)
{
    return NULL;
}

static const PropertyKind property_attached = {
    .name = "bool",
    .set = set_attached,
    .parse = parse_attached,
    .get = get_attached,
    .print = print_attached,
};

/* ---- realize --------------------------------------------------------------------------------- */

static void usb_device_init(Object *obj)
{
    UsbDevice *dev = USB_DEVICE(obj);

    dev->auto_attach = true;
    usb_endpoint_init(&dev->ep0, dev, 0, 0);
    for (unsigned i = 0; i < USB_MAX_ENDPOINTS; i++) {
        usb_endpoint_init(&dev->ep_in[i], dev, i + 1, USB_PID_IN);
        usb_endpoint_init(&dev->ep_out[i], dev, i + 1, USB_PID_OUT);
    }
}

static void usb_device_finalize(Object *obj)
{
    UsbDevice *dev = USB_DEVICE(obj);

    for (unsigned i = 0; dev->own_strings && i < 256; i++) {
        g_free(dev->own_strings[i]);
    }
    g_free(dev->own_strings);
    g_free(dev->saved);
}

static bool usb_device_realize(Device *device, GError **error)
{
    UsbDevice *dev = USB_DEVICE(device);
    const UsbDeviceOps *ops = usb_device_ops(dev);

    if (!usb_bus_claim_port(dev, error)) {
        return false;
    }
    if (ops->realize && !ops->realize(dev, error)) {
        usb_bus_release_port(dev);
        return false;
    }
    usb_desc_init_serial(dev);
    if (dev->auto_attach && !usb_device_attach(dev, error)) {
        if (ops->unrealize) {
            ops->unrealize(dev);
        }
        usb_bus_release_port(dev);
        return false;
    }
    return true;
}

static void usb_device_unrealize(Device *device)
{
    UsbDevice *dev = USB_DEVICE(device);

    usb_device_detach(dev);
    if (usb_device_ops(dev)->unrealize) {
        usb_device_ops(dev)->unrealize(dev);
    }
    usb_device_flush(dev, USB_NODEV);
    usb_bus_release_port(dev);
}

static void usb_device_reset(Device *device)
{
    usb_device_bus_reset(USB_DEVICE(device));
}

/* ---- saved state ----------------------------------------------------------------------------- */

static bool valid_addr(const void *opaque, int64_t value)
{
    return value <= 127;
}

static bool valid_state(const void *opaque, int64_t value)
{
    return value >= USB_STATE_NOT_ATTACHED && value <= 5;
}

static bool valid_setup_state(const void *opaque, int64_t value)
{
    return value >= USB_SETUP_IDLE && value <= USB_SETUP_STATUS;
}

static bool valid_setup_count(const void *opaque, int64_t value)
{
    return value >= 0 && value <= 0xffff;
}

/* Bytes of data_buf that matter: all of an answer, what has come of a request's data. */
static unsigned control_bytes(const UsbDevice *dev)
{
    if (dev->setup_state == USB_SETUP_DATA && dev->setup_buf[0] & USB_DIR_IN) {
        return dev->setup_len;
    }
    if ((dev->setup_state == USB_SETUP_DATA || dev->setup_state == USB_SETUP_STATUS) &&
        !(dev->setup_buf[0] & USB_DIR_IN)) {
        return dev->setup_index;
    }
    return 0;
}

static bool control_present(const UsbDevice *dev)
{
    return control_bytes(dev) > 0 && !dev->control_replay;
}

static bool control_needed(const void *opaque)
{
    const UsbDevice *dev = opaque;

    return dev->carry_transfers && control_present(dev);
}

static bool control_pre_save(void *opaque, GError **error)
{
    UsbDevice *dev = opaque;

    dev->saved_len = control_bytes(dev);
    g_free(dev->saved);
    dev->saved = g_memdup2(dev->data_buf, dev->saved_len);
    return true;
}

static void scratch_free(void *opaque)
{
    UsbDevice *dev = opaque;

    g_clear_pointer(&dev->saved, g_free);
    dev->saved_len = 0;
}

static bool scratch_pre_load(void *opaque, GError **error)
{
    scratch_free(opaque);
    return true;
}

static bool control_post_load(void *opaque, int version, GError **error)
{
    UsbDevice *dev = opaque;

    if (dev->saved_len > USB_CONTROL_BUFFER_SIZE || dev->saved_len != control_bytes(dev)) {
        return error_set(error, "control transfer of %u bytes does not fit its SETUP packet",
                         dev->saved_len);
    }
    memcpy(dev->data_buf, dev->saved, dev->saved_len);
    dev->control_replay = false;
    scratch_free(dev);
    return true;
}

#define SAVED_BYTES(limit)                                                               \
    { .name = "length",                                                                  \
      .offset = VM_CHECKED_OFFSET(UsbDevice, saved_len, uint32_t),                       \
      .size = 4,                                                                         \
      .kind = &vm_kind_u32 },                                                            \
    {                                                                                    \
        .name = "data", .offset = offsetof(UsbDevice, saved), .size = 1, .num = (limit), \
        .num_offset = offsetof(UsbDevice, saved_len), .num_kind = VM_COUNT_U32,          \
        .shape = VM_VBUFFER, .flags = VM_POINTER | VM_ALLOC, .kind = &vm_kind_buffer     \
    }

static const VmState control_vmstate = {
    .name = "USBDevice/control",
    .version = 1,
    .minimum_version = 1,
    .needed = control_needed,
    .pre_save = control_pre_save,
    .post_save = scratch_free,
    .pre_load = scratch_pre_load,
    .post_load = control_post_load,
    .fields = (const VmField[]){ SAVED_BYTES(USB_CONTROL_BUFFER_SIZE), VM_END },
};

/* What a stream without "USBDevice/config" means. */
static unsigned default_configuration(const UsbDevice *dev)
{
    const UsbDescDevice *d = dev->desc_device;

    return dev->addr && d && d->num_configs ? d->configs[0].value : 0;
}

static void halted_masks(const UsbDevice *dev, uint16_t *in, uint16_t *out)
{
    *in = *out = 0;
    for (unsigned i = 0; i < USB_MAX_ENDPOINTS; i++) {
        *in |= dev->ep_in[i].halted ? 1u << i : 0;
        *out |= dev->ep_out[i].halted ? 1u << i : 0;
    }
}

static bool config_present(const UsbDevice *dev)
{
    uint16_t in, out;

    if (!usb_device_reachable(dev)) {
        return false;
    }
    halted_masks(dev, &in, &out);
    for (unsigned i = 0; i < USB_MAX_INTERFACES; i++) {
        if (dev->alternate[i]) {
            return true;
        }
    }
    return in || out || dev->configuration != default_configuration(dev);
}

static bool config_needed(const void *opaque)
{
    const UsbDevice *dev = opaque;

    return dev->carry_transfers && config_present(dev);
}

static bool config_pre_save(void *opaque, GError **error)
{
    UsbDevice *dev = opaque;

    halted_masks(dev, &dev->saved_halted_in, &dev->saved_halted_out);
    return true;
}

/* It takes effect when the device is known to be attached: restore_configuration(). */
static bool config_post_load(void *opaque, int version, GError **error)
{
    ((UsbDevice *)opaque)->config_arrived = true;
    return true;
}

static const VmState config_vmstate = {
    .name = "USBDevice/config",
    .version = 1,
    .minimum_version = 1,
    .needed = config_needed,
    .pre_save = config_pre_save,
    .post_load = config_post_load,
    .fields =
        (const VmField[]){
            VM_U8(UsbDevice, configuration),
            VM_U8_ARRAY(UsbDevice, alternate, USB_MAX_INTERFACES),
            VM_U16(UsbDevice, saved_halted_in),
            VM_U16(UsbDevice, saved_halted_out),
            VM_END,
        },
};

/* ---- bytes of packets that devices keep ------------------------------------------------------ */

/* What the endpoint's next packet must start with: id and progress; NULL if nothing was moved. */
static bool endpoint_progress(const UsbEndpoint *ep, uint64_t *id, size_t *len,
                              const UsbPacket **packet)
{
    const UsbPacket *p = g_queue_peek_head((GQueue *)&ep->queue);

    if (p && p->state == USB_PACKET_ASYNC && p->actual_length > 0 && ep->nr > 0) {
        *id = p->id;
        *len = p->actual_length;
        *packet = p;
        return true;
    }
    *packet = NULL;
    *id = ep->carried_id;
    *len = ep->carried_length;
    return !p && ep->carried_length > 0;
}

static void put_progress(VmWriter *w, const UsbEndpoint *ep)
{
    const UsbPacket *p;
    uint64_t id;
    size_t len;

    if (!endpoint_progress(ep, &id, &len, &p)) {
        return;
    }
    vm_put_u8(w, ep->nr | (ep->pid == USB_PID_IN ? USB_DIR_IN : 0));
    vm_put_be64(w, id);
    vm_put_be32(w, len);
    if (ep->pid == USB_PID_IN) {
        uint8_t *bytes = g_malloc(len);

        if (p) {
            iovec_to_buf(&p->data, 0, bytes, len);
        } else {
            memcpy(bytes, ep->carried_data, len);
        }
        vm_put_bytes(w, bytes, len);
        g_free(bytes);
    }
}

static bool transfers_present(const UsbDevice *dev)
{
    const UsbPacket *p;
    uint64_t id;
    size_t len;

    for (unsigned i = 0; i < USB_MAX_ENDPOINTS; i++) {
        if (endpoint_progress(&dev->ep_in[i], &id, &len, &p) ||
            endpoint_progress(&dev->ep_out[i], &id, &len, &p)) {
            return true;
        }
    }
    return false;
}

static bool transfers_needed(const void *opaque)
{
    const UsbDevice *dev = opaque;

    return dev->carry_transfers && transfers_present(dev);
}

static bool transfers_pre_save(void *opaque, GError **error)
{
    UsbDevice *dev = opaque;
    VmWriter *w = vm_writer_new();
    const uint8_t *bytes;
    size_t len;

    for (unsigned i = 0; i < USB_MAX_ENDPOINTS; i++) {
        put_progress(w, &dev->ep_in[i]);
        put_progress(w, &dev->ep_out[i]);
    }
    bytes = vm_writer_data(w, &len);
    g_free(dev->saved);
    dev->saved = g_memdup2(bytes, len);
    dev->saved_len = len;
    vm_writer_free(w);
    return true;
}

#define TRANSFERS_LIMIT (1u << 24)

static bool get_progress(UsbDevice *dev, VmReader *r, uint32_t remaining)
{
    unsigned address = vm_get_u8(r);
    uint64_t id = vm_get_be64(r);
    uint32_t len = vm_get_be32(r);
    UsbEndpoint *ep;

    if (!vm_reader_ok(r)) {
        return false;
    }
    if (!(address & 0x0f) || address & 0x70 || len == 0 || len > TRANSFERS_LIMIT ||
        (address & USB_DIR_IN && len > remaining)) {
        return vm_reader_fail(r, "bad transfer on endpoint 0x%02x", address);
    }
    ep = usb_endpoint_get(dev, address & USB_DIR_IN ? USB_PID_IN : USB_PID_OUT, address & 0x0f);
    usb_endpoint_drop_carried(ep);
    if (address & USB_DIR_IN) {
        ep->carried_data = g_malloc(len);
        if (!vm_get_bytes(r, ep->carried_data, len)) {
            usb_endpoint_drop_carried(ep);
            return false;
        }
    }
    ep->carried_id = id;
    ep->carried_length = len;
    return true;
}

static bool transfers_post_load(void *opaque, int version, GError **error)
{
    UsbDevice *dev = opaque;
    VmReader *r = vm_reader_new_from_memory(dev->saved, dev->saved_len);
    bool ok = true;

    while (ok && vm_reader_tell(r) < dev->saved_len) {
        ok = get_progress(dev, r, dev->saved_len - vm_reader_tell(r));
    }
    ok = vm_reader_check(r, error) && ok;
    vm_reader_free(r);
    scratch_free(dev);
    return ok;
}

static const VmState transfers_vmstate = {
    .name = "USBDevice/transfers",
    .version = 1,
    .minimum_version = 1,
    .needed = transfers_needed,
    .pre_save = transfers_pre_save,
    .post_save = scratch_free,
    .pre_load = scratch_pre_load,
    .post_load = transfers_post_load,
    .fields = (const VmField[]){ SAVED_BYTES(TRANSFERS_LIMIT), VM_END },
};

bool usb_device_has_carried_state(UsbDevice *dev, const char **what)
{
    *what = control_present(dev)     ? "a control transfer in its data stage"
            : transfers_present(dev) ? "a packet of which a part was moved"
            : config_present(dev)    ? "an endpoint or interface that is not in its initial state"
                                     : NULL;
    return *what != NULL;
}

/* ---- the description ------------------------------------------------------------------------- */

static bool usb_device_pre_load(void *opaque, GError **error)
{
    UsbDevice *dev = opaque;

    for (unsigned i = 0; i < USB_MAX_ENDPOINTS; i++) {
        usb_endpoint_drop_carried(&dev->ep_in[i]);
        usb_endpoint_drop_carried(&dev->ep_out[i]);
    }
    dev->control_replay = true;
    dev->config_arrived = false;
    return true;
}

/* The port's registers have come with its controller or hub: they are not touched. */
static bool restore_attached(UsbDevice *dev, GError **error)
{
    bool attached = dev->state != USB_STATE_NOT_ATTACHED;

    if (attached == dev->attached || !dev->port) {
        return true;
    }
    if (attached && !choose_speed(dev, error)) {
        return false;
    }
    dev->attached = attached;
    dev->port->dev = attached ? dev : NULL;
    if (attached) {
        usb_desc_select(dev);
    }
    return true;
}

/* Attaching begins with no configuration, so what has arrived is put by until then. */
static bool restore_configuration(UsbDevice *dev, GError **error)
{
    uint8_t alternate[USB_MAX_INTERFACES] = { 0 };
    unsigned configuration = dev->configuration;

    if (dev->config_arrived) {
        memcpy(alternate, dev->alternate, sizeof(alternate));
    }
    if (!restore_attached(dev, error)) {
        return false;
    }
    if (!dev->config_arrived) {
        configuration = default_configuration(dev);
    }
    if (!usb_desc_restore(dev, configuration, alternate, error)) {
        return false;
    }
    for (unsigned i = 0; dev->config_arrived && i < USB_MAX_ENDPOINTS; i++) {
        dev->ep_in[i].halted = dev->saved_halted_in >> i & 1;
        dev->ep_out[i].halted = dev->saved_halted_out >> i & 1;
    }
    return true;
}

static bool usb_device_post_load(void *opaque, int version, GError **error)
{
    UsbDevice *dev = opaque;

    if (dev->setup_state != USB_SETUP_IDLE &&
        (dev->setup_len > USB_CONTROL_BUFFER_SIZE || dev->setup_index > dev->setup_len)) {
        return error_set(error, "control transfer at byte %d of %d", dev->setup_index,
                         dev->setup_len);
    }
    if (!restore_configuration(dev, error)) {
        return false;
    }
    if (control_bytes(dev) == 0) {
        dev->control_replay = false;
    }
    return true;
}

const VmState usb_device_vmstate = {
    .name = "USBDevice",
    .version = 1,
    .minimum_version = 1,
    .pre_load = usb_device_pre_load,
    .post_load = usb_device_post_load,
    .fields =
        (const VmField[]){
            { .name = "addr",
              .offset = offsetof(UsbDevice, addr),
              .size = 1,
              .kind = &vm_kind_u8,
              .valid = valid_addr },
            { .name = "state",
              .offset = offsetof(UsbDevice, state),
              .size = 4,
              .kind = &vm_kind_i32,
              .valid = valid_state },
            VM_I32(UsbDevice, remote_wakeup),
            { .name = "setup_state",
              .offset = offsetof(UsbDevice, setup_state),
              .size = 4,
              .kind = &vm_kind_i32,
              .valid = valid_setup_state },
            { .name = "setup_len",
              .offset = offsetof(UsbDevice, setup_len),
              .size = 4,
              .kind = &vm_kind_i32,
              .valid = valid_setup_count },
            { .name = "setup_index",
              .offset = offsetof(UsbDevice, setup_index),
              .size = 4,
              .kind = &vm_kind_i32,
              .valid = valid_setup_count },
            VM_U8_ARRAY(UsbDevice, setup_buf, 8),
            VM_END,
        },
    .subsections =
        (const VmState *const[]){
            &control_vmstate,
            &config_vmstate,
            &transfers_vmstate,
            NULL,
        },
};

/* ---- registration ---------------------------------------------------------------------------- */

static const Property usb_device_properties[] = {
    { .name = "attached", .kind = &property_attached, .flags = PROPERTY_ANY_TIME },
    PROPERTY_STRING("port", UsbDevice, port_path, NULL),
    PROPERTY_STRING("serial", UsbDevice, serial, NULL),
    PROPERTY_BOOL("msos-desc", UsbDevice, msos_desc, "on", NULL),
    { .name = "x-carry-transfers",
      .kind = &property_bool,
      .offset = offsetof(UsbDevice, carry_transfers),
      .default_text = "on",
      .flags = PROPERTY_HIDDEN,
      .description = "send state that stock QEMU cannot load; off: wait until there is none" },
    { .name = NULL },
};

const DeviceType usb_device_type = {
    .object = {
        .name = "usb-device",
        .parent = &device_type.object,
        .size = sizeof(UsbDevice),
        .abstract = true,
        .properties = usb_device_properties,
        .init = usb_device_init,
        .finalize = usb_device_finalize,
    },
    .bus = &usb_bus_type,
    .category = DEVICE_CATEGORY_USB,
    .realize = usb_device_realize,
    .unrealize = usb_device_unrealize,
    .reset = usb_device_reset,
};
DEVICE_REGISTER(usb_device_type)
