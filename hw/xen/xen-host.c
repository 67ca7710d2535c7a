/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * "x-xen-host": what a Xen PV guest's drivers need of a hypervisor, without one — event channels (2-level ABI), grant
 * table (version 1), xenstore — so that a back end can be tried by a front end that is a test. Xen's public headers
 * define it all; only the way in differs: the guest writes the address of a call block to a port instead of a hypercall.
 *
 *   port +0, write 32 bits: guest-physical address of the block, the call is made;  read: "XenH"
 *   block: le64 number of the hypercall, le64 sub-operation, le64 arguments[4], le64 result (0, or negative errno of Xen)
 *
 *   memory_op 12      add_to_physmap 7:  [0] space (0 shared info, 1 grant table), [1] index, [2] page number
 *   event_channel_op 32  close 3: [0] port   send 4: [0] port   alloc_unbound 6: → [1] port   unmask 9: [0] port
 *   hvm_op 34         set_param 0: [0] index, [1] value   get_param 1: [0] index → [1] value
 *                     (STORE_PFN 1: where the guest has the store's ring; STORE_EVTCHN 2)
 *
 * Migration notes. Nothing is in flight: a call is complete when the port write returns. Saved are where the shared pages
 * are, the ports' states, and the store with its open transactions and what is on its way in its ring. Back ends bind
 * their ports anew when they are connected.
 */
#include "util/osdep.h"
#include "xen.h"

#include "util/bytes.h"
#include "util/error.h"

#define PORTS_SIZE 8
#define SIGNATURE 0x486e6558 /* "XenH" */
#define STORE_PORT 1
#define SHARED_PENDING 2048
#define SHARED_MASK 2560
#define STORE_STATE_MAX (4u << 20)

enum { CALL_MEMORY = 12, CALL_EVENT = 32, CALL_HVM = 34 };
enum {
    MEMORY_ADD_TO_PHYSMAP = 7,
    EVENT_CLOSE = 3,
    EVENT_SEND = 4,
    EVENT_ALLOC_UNBOUND = 6,
    EVENT_UNMASK = 9
};
enum { SPACE_SHARED_INFO = 0, SPACE_GRANT_TABLE = 1, PARAM_STORE_PFN = 1, PARAM_STORE_EVTCHN = 2 };
enum { GTF_PERMIT_ACCESS = 1, GTF_TYPE = 3, GTF_READONLY = 4, GTF_READING = 8, GTF_WRITING = 16 };

typedef enum PortState { PORT_CLOSED, PORT_UNBOUND, PORT_BOUND } PortState;

typedef struct Port {
    uint8_t state; /* PortState; what is bound travels as unbound, the back end binds it again */
    XenEvent *func;
    void *opaque;
} Port;

struct XenHost {
    IsaDevice isa;
    uint32_t iobase;
    MemoryRegion *ports_region;
    Bus *bus;
    XenStore *store;

    uint64_t shared_info; /* guest-physical, 0: not there */
    uint64_t store_ring;
    uint64_t grant_frames[XEN_GRANT_FRAMES];
    Port ports[XEN_PORTS];
    uint8_t port_states[XEN_PORTS]; /* in streams */
    uint32_t store_len;             /* likewise */
    uint8_t *store_state;
};

#define XEN_HOST(obj) ((XenHost *)(obj))

XenHost *xen_host_of(const Device *dev)
{
    return XEN_HOST(dev->bus->owner);
}

XenStore *xen_host_store(XenHost *s)
{
    return s->store;
}

/* ---- event channels ---------------------------------------------------------------------------------------------- */

bool xen_event_bind(XenHost *s, uint32_t port, XenEvent *func, void *opaque)
{
    if (port <= STORE_PORT || port >= XEN_PORTS || s->ports[port].state != PORT_UNBOUND) {
        return false;
    }
    s->ports[port] = (Port){ PORT_BOUND, func, opaque };
    return true;
}

void xen_event_unbind(XenHost *s, uint32_t port)
{
    if (port < XEN_PORTS && s->ports[port].state == PORT_BOUND) {
        s->ports[port] = (Port){ PORT_UNBOUND, NULL, NULL };
    }
}

static uint64_t shared_word(XenHost *s, unsigned at)
{
    uint8_t b[8] = { 0 };

    dma_read(address_space_memory, s->shared_info + at, b, 8);
    return load_le64(b);
}

static void set_shared_word(XenHost *s, unsigned at, uint64_t value)
{
    uint8_t b[8];

    store_le64(b, value);
    dma_write(address_space_memory, s->shared_info + at, b, 8, "x-xen-host");
}

/* The upcall: selector word, then the flag that the guest looks at first (struct vcpu_info). */
static void upcall(XenHost *s, uint32_t port)
{
    uint8_t one = 1;

    set_shared_word(s, 8, shared_word(s, 8) | UINT64_C(1) << port / 64);
    dma_write(address_space_memory, s->shared_info, &one, 1, "x-xen-host");
}

void xen_event_notify(XenHost *s, uint32_t port)
{
    unsigned at = port / 64 * 8;
    uint64_t bit = UINT64_C(1) << port % 64, pending;

    if (!s->shared_info || port >= XEN_PORTS || s->ports[port].state == PORT_CLOSED) {
        return;
    }
    pending = shared_word(s, SHARED_PENDING + at);
    set_shared_word(s, SHARED_PENDING + at, pending | bit);
    if (!(pending & bit) && !(shared_word(s, SHARED_MASK + at) & bit)) {
        upcall(s, port);
    }
}

static int64_t event_call(XenHost *s, uint64_t op, uint64_t args[4])
{
    uint64_t port = args[0];

    if (op == EVENT_ALLOC_UNBOUND) {
        for (port = STORE_PORT + 1; port < XEN_PORTS && s->ports[port].state != PORT_CLOSED;
             port++) {
        }
        if (port == XEN_PORTS) {
            return -XEN_ENOSPC;
        }
        s->ports[port].state = PORT_UNBOUND;
        args[1] = port;
        return 0;
    }
    if (port == 0 || port >= XEN_PORTS || s->ports[port].state == PORT_CLOSED) {
        return -XEN_EINVAL;
    }
    switch (op) {
    case EVENT_CLOSE:
        if (port == STORE_PORT) {
            return -XEN_EPERM;
        }
        s->ports[port] = (Port){ PORT_CLOSED, NULL, NULL };
        return 0;
    case EVENT_SEND:
        if (port == STORE_PORT) {
            if (s->store_ring) {
                xen_store_kick(s->store, s->store_ring);
            }
        } else if (s->ports[port].func) {
            s->ports[port].func(s->ports[port].opaque);
        }
        return 0;
    case EVENT_UNMASK:
        if (s->shared_info) {
            unsigned at = port / 64 * 8;
            uint64_t bit = UINT64_C(1) << port % 64;

            set_shared_word(s, SHARED_MASK + at, shared_word(s, SHARED_MASK + at) & ~bit);
            if (shared_word(s, SHARED_PENDING + at) & bit) {
                upcall(s, port);
            }
        }
        return 0;
    default:
        return -XEN_ENOSYS;
    }
}

/* ---- grants ----------------------------------------------------------------------------------------------------------- */

/* Guest-physical address of an entry; 0 if there is none. */
static hwaddr grant_entry(XenHost *s, uint32_t ref)
{
    uint32_t frame = ref / XEN_GRANTS_PER_FRAME;

    return frame < XEN_GRANT_FRAMES && s->grant_frames[frame]
               ? s->grant_frames[frame] + ref % XEN_GRANTS_PER_FRAME * 8
               : 0;
}

static void set_grant_flags(hwaddr entry, uint16_t flags)
{
    uint8_t b[2];

    store_le16(b, flags);
    dma_write(address_space_memory, entry, b, 2, "x-xen-host");
}

bool xen_grant_begin(XenHost *s, uint32_t ref, bool write, hwaddr *address)
{
    hwaddr entry = grant_entry(s, ref);
    uint8_t b[8];

    if (!entry || dma_read(address_space_memory, entry, b, 8) != MEM_OK) {
        return false;
    }
    uint16_t flags = load_le16(b);
    if ((flags & GTF_TYPE) != GTF_PERMIT_ACCESS || load_le16(b + 2) != XEN_BACKEND_DOMAIN ||
        (write && (flags & GTF_READONLY))) {
        return false;
    }
    set_grant_flags(entry, flags | GTF_READING | (write ? GTF_WRITING : 0));
    *address = (hwaddr)load_le32(b + 4) * XEN_PAGE;
    return true;
}

void xen_grant_end(XenHost *s, uint32_t ref)
{
    hwaddr entry = grant_entry(s, ref);
    uint8_t b[2];

    if (entry && dma_read(address_space_memory, entry, b, 2) == MEM_OK) {
        set_grant_flags(entry, load_le16(b) & ~(GTF_READING | GTF_WRITING));
    }
}

/* ---- the other calls ------------------------------------------------------------------------------------------------------ */

static int64_t memory_call(XenHost *s, uint64_t op, uint64_t args[4])
{
    if (op != MEMORY_ADD_TO_PHYSMAP) {
        return -XEN_ENOSYS;
    }
    if (args[2] == 0 || args[2] > UINT32_MAX) {
        return -XEN_EINVAL;
    }
    if (args[0] == SPACE_SHARED_INFO && args[1] == 0) {
        s->shared_info = args[2] * XEN_PAGE;
    } else if (args[0] == SPACE_GRANT_TABLE && args[1] < XEN_GRANT_FRAMES) {
        s->grant_frames[args[1]] = args[2] * XEN_PAGE;
    } else {
        return -XEN_EINVAL;
    }
    return 0;
}

static int64_t hvm_call(XenHost *s, uint64_t op, uint64_t args[4])
{
    if (op == 0 && args[0] == PARAM_STORE_PFN && args[1] && args[1] <= UINT32_MAX) {
        s->store_ring = args[1] * XEN_PAGE;
        return 0;
    }
    if (op == 1 && args[0] == PARAM_STORE_PFN) {
        args[1] = s->store_ring / XEN_PAGE;
        return 0;
    }
    if (op == 1 && args[0] == PARAM_STORE_EVTCHN) {
        args[1] = STORE_PORT;
        return 0;
    }
    return op > 1 ? -XEN_ENOSYS : -XEN_EINVAL;
}

static uint64_t ports_read(void *opaque, hwaddr offset, unsigned size)
{
    return SIGNATURE;
}

static void ports_write(void *opaque, hwaddr offset, uint64_t value, unsigned size)
{
    XenHost *s = opaque;
    uint64_t args[4];
    int64_t result;
    uint8_t block[56];

    if (dma_read(address_space_memory, value, block, sizeof(block)) != MEM_OK) {
        return;
    }
    for (unsigned i = 0; i < 4; i++) {
        args[i] = load_le64(block + 16 + 8 * i);
    }
    switch (load_le64(block)) {
    case CALL_MEMORY:
        result = memory_call(s, load_le64(block + 8), args);
        break;
    case CALL_EVENT:
        result = event_call(s, load_le64(block + 8), args);
        break;
    case CALL_HVM:
        result = hvm_call(s, load_le64(block + 8), args);
        break;
    default:
        result = -XEN_ENOSYS;
    }
    for (unsigned i = 0; i < 4; i++) {
        store_le64(block + 16 + 8 * i, args[i]);
    }
    store_le64(block + 48, result);
    dma_write(address_space_memory, value, block, sizeof(block), "x-xen-host");
}

static const MemoryOps ports_ops = {
    .read = ports_read,
    .write = ports_write,
    .valid = { .min_size = 4, .max_size = 4 },
    .impl = { .min_size = 4, .max_size = 4 },
};

/* ---- the bus ----------------------------------------------------------------------------------------------------------------- */

void xen_host_path_changed(XenHost *s, const char *path)
{
    for (GList *l = s->bus->devices.head; l; l = l->next) {
        xen_disk_path_changed(l->data, path);
    }
}

const BusType xen_bus_type = {
    .object = { .name = "xen-bus", .parent = &bus_type.object, .size = sizeof(Bus) },
};
BUS_REGISTER(xen_bus_type)

/* ---- reset, realize ------------------------------------------------------------------------------------------------------------ */

static void xen_host_reset(Device *dev)
{
    XenHost *s = XEN_HOST(dev);

    s->shared_info = s->store_ring = 0;
    memset(s->grant_frames, 0, sizeof(s->grant_frames));
    memset(s->ports, 0, sizeof(s->ports));
    s->ports[STORE_PORT].state = PORT_UNBOUND;
    xen_store_reset(s->store);
    xen_store_write(s->store, "/local/domain/1", "");
    for (GList *l = s->bus->devices.head; l; l = l->next) {
        xen_disk_publish(l->data);
    }
}

static bool xen_host_realize(Device *dev, GError **error)
{
    XenHost *s = XEN_HOST(dev);

    if (s->iobase > 0x10000 - PORTS_SIZE) {
        return error_set(error, "x-xen-host: there are no %u ports at 0x%x", PORTS_SIZE, s->iobase);
    }
    s->store = xen_store_new(s);
    s->bus = bus_new(&xen_bus_type, dev, "xen-bus.0");
    s->ports_region = memory_region_new_io(&dev->object, &ports_ops, s, "x-xen-host", PORTS_SIZE);
    isa_map_ports(dev, s->iobase, s->ports_region);
    return true;
}

static void xen_host_unrealize(Device *dev)
{
    XenHost *s = XEN_HOST(dev);

    memory_region_free(s->ports_region);
    bus_destroy(s->bus);
    xen_store_free(s->store);
    g_free(s->store_state);
}

/* ---- state ------------------------------------------------------------------------------------------------------------------------ */

static bool pre_save(void *opaque, GError **error)
{
    XenHost *s = opaque;
    GByteArray *bytes = g_byte_array_new();

    for (unsigned i = 0; i < XEN_PORTS; i++) {
        s->port_states[i] = MIN(s->ports[i].state, PORT_UNBOUND);
    }
    xen_store_save(s->store, bytes);
    g_free(s->store_state);
    s->store_len = bytes->len;
    s->store_state = g_byte_array_free(bytes, FALSE);
    return s->store_len <= STORE_STATE_MAX ||
           error_set(error, "the xenstore has grown to %u bytes", s->store_len);
}

static bool pages_are_pages(const XenHost *s)
{
    uint64_t all = s->shared_info | s->store_ring;

    for (unsigned i = 0; i < XEN_GRANT_FRAMES; i++) {
        all |= s->grant_frames[i];
    }
    return all % XEN_PAGE == 0 && all <= (uint64_t)UINT32_MAX * XEN_PAGE;
}

static bool post_load(void *opaque, int version, GError **error)
{
    XenHost *s = opaque;

    if (!pages_are_pages(s)) {
        return error_set(error, "a shared page is not at the address of a page");
    }
    for (unsigned i = 0; i < XEN_PORTS; i++) {
        if (s->port_states[i] > PORT_UNBOUND || (i == 0 && s->port_states[i]) ||
            (i == STORE_PORT && !s->port_states[i])) {
            return error_set(error, "event channel %u cannot be in state %u", i, s->port_states[i]);
        }
        s->ports[i] = (Port){ .state = s->port_states[i] };
    }
    return xen_store_load(s->store, s->store_state, s->store_len, error);
}

static const VmState vmstate_xen_host = {
    .name = "x-xen-host",
    .version = 1,
    .minimum_version = 1,
    .pre_save = pre_save,
    .post_load = post_load,
    .fields =
        (const VmField[]){
            VM_U64(XenHost, shared_info),
            VM_U64(XenHost, store_ring),
            VM_NAMED_ARRAY("grant_frames", u64, uint64_t, XenHost, grant_frames, XEN_GRANT_FRAMES),
            VM_NAMED_ARRAY("ports", u8, uint8_t, XenHost, port_states, XEN_PORTS),
            VM_U32(XenHost, store_len),
            VM_VBYTES("store", XenHost, store_state, store_len, STORE_STATE_MAX, VM_ALLOC),
            VM_END,
        },
};

static const DeviceType xen_host_type = {
    .object = {
        .name = "x-xen-host",
        .parent = &isa_device_type.object,
        .size = sizeof(XenHost),
        .description = "Event channels, grants and xenstore of Xen, for tests of back ends",
        .properties = (const Property[]){
            PROPERTY_UINT32("iobase", XenHost, iobase, "3776", NULL), /* 0xec0 */
            {},
        },
    },
    .category = DEVICE_CATEGORY_MISC,
    .not_hotpluggable = true,
    .realize = xen_host_realize,
    .unrealize = xen_host_unrealize,
    .reset = xen_host_reset,
    .migration = MIGRATES_WITH(vmstate_xen_host),
};
DEVICE_REGISTER(xen_host_type);
