/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * I/O APIC (Intel 82093AA data sheet, order number 290566; the EOI register of version 0x20 is in the ICH9 data
 * sheet, section 13.5). Interrupts leave as writes to the message address range 0xfee00000 (SDM volume 3,
 * "Message Signalled Interrupts"), so that it needs to know nothing of processors.
 */
#include "util/osdep.h"
#include "hw/intc/ioapic.h"
#include "monitor/hmp.h"
#include "system/memory.h"
#include "system/runstate.h"
#include "util/bytes.h"
#include "util/error.h"

#define IOAPIC_SIZE 0x1000
#define MSI_ADDRESS 0xfee00000u

/* Memory-mapped registers and those behind the window. */
enum { REG_SELECT = 0x00, REG_WINDOW = 0x10, REG_EOI = 0x40 };
enum { IOAPIC_ID = 0, IOAPIC_VERSION = 1, IOAPIC_ARB = 2, IOAPIC_REDTBL = 0x10 };

/* Redirection entry. */
#define RED_VECTOR UINT64_C(0xff)
#define RED_DELIVERY_SHIFT 8
#define RED_DEST_LOGICAL (UINT64_C(1) << 11)
#define RED_PENDING (UINT64_C(1) << 12)
#define RED_ACTIVE_LOW (UINT64_C(1) << 13)
#define RED_REMOTE_IRR (UINT64_C(1) << 14)
#define RED_LEVEL (UINT64_C(1) << 15)
#define RED_MASKED (UINT64_C(1) << 16)
#define RED_DEST_SHIFT 56
#define RED_READ_ONLY (RED_PENDING | RED_REMOTE_IRR)

typedef struct IoApic {
    Device device;
    uint8_t id;
    uint8_t ioregsel;
    uint32_t irr;                  /* requests: level of level pins, latched edges of the others */
    uint64_t ioredtbl[IOAPIC_PINS];

    uint32_t levels;               /* of the pins; not saved, see the migration notes */
    uint8_t version;
    MemoryRegion *mmio;
} IoApic;

static IoApic *the_ioapic; /* for info pic */

/* ---- delivery ----------------------------------------------------------------------------------------------- */

static void ioapic_message(uint64_t entry, uint32_t *address, uint32_t *data)
{
    *address = MSI_ADDRESS | (uint32_t)(entry >> RED_DEST_SHIFT) << 12;
    *data = (entry & RED_VECTOR) | (entry >> RED_DELIVERY_SHIFT & 7) << 8;
    if (entry & RED_DEST_LOGICAL) {
        *address |= 1 << 2;
    }
    if (entry & RED_LEVEL) {
        *data |= 1 << 15 | 1 << 14;
    }
}

static void (*message_watch)(int pin, bool active, uint32_t address, uint32_t data);

/* Tells who watches messages what pin n would send now. */
static void entry_changed(const IoApic *s, int n)
{
    uint32_t address, data;

    if (message_watch) {
        ioapic_message(s->ioredtbl[n], &address, &data);
        message_watch(n, !(s->ioredtbl[n] & RED_MASKED), address, data);
    }
}

static void all_entries_changed(const IoApic *s)
{
    for (int n = 0; n < IOAPIC_PINS; n++) {
        entry_changed(s, n);
    }
}

void ioapic_watch_messages(void (*watch)(int pin, bool active, uint32_t address, uint32_t data))
{
    message_watch = watch;
}

static void ioapic_send(uint64_t entry)
{
    uint32_t address, data;
    uint8_t le[4];

    ioapic_message(entry, &address, &data);
    store_le32(le, data);
    address_space_write(address_space_memory, address, le, sizeof(le));
}

/* Sends what pin n asks for, if its entry lets it. */
static void ioapic_service_pin(IoApic *s, int n)
{
    uint64_t entry = s->ioredtbl[n];

    if (!(s->irr & 1u << n) || (entry & RED_MASKED)) {
        return;
    }
    if (entry & RED_LEVEL) {
        if (entry & RED_REMOTE_IRR) {
            return;
        }
        s->ioredtbl[n] |= RED_REMOTE_IRR;
    } else {
        s->irr &= ~(1u << n);
    }
    ioapic_send(entry);
}

static void ioapic_set_pin(void *opaque, int n, int level)
{
    IoApic *s = opaque;
    uint32_t bit = 1u << n;
    bool edge = level && !(s->levels & bit);

    s->levels = level ? s->levels | bit : s->levels & ~bit;
    if (vm_state() == VM_INMIGRATE) {
        return; /* a line that is driven anew; what it has done is in our section */
    }
    if (s->ioredtbl[n] & RED_LEVEL) {
        if (!level) {
            s->irr &= ~bit;
            return;
        }
    } else if (!edge || (s->ioredtbl[n] & RED_MASKED)) {
        /* An edge that arrives masked is lost, as the data sheet has it. */
        return;
    }
    s->irr |= bit;
    ioapic_service_pin(s, n);
}

/* The processor ended the interrupt of this vector: level pins that are still raised ask again. */
static void ioapic_end_of_interrupt(IoApic *s, uint8_t vector)
{
    for (int n = 0; n < IOAPIC_PINS; n++) {
        if ((s->ioredtbl[n] & RED_LEVEL) && (s->ioredtbl[n] & RED_VECTOR) == vector) {
            s->ioredtbl[n] &= ~RED_REMOTE_IRR;
            ioapic_service_pin(s, n);
        }
    }
}

void ioapic_broadcast_eoi(uint8_t vector)
{
    if (the_ioapic) {
        ioapic_end_of_interrupt(the_ioapic, vector);
    }
}

/* ---- registers ----------------------------------------------------------------------------------------------- */

static uint32_t ioapic_read_window(const IoApic *s)
{
    switch (s->ioregsel) {
    case IOAPIC_ID:
    case IOAPIC_ARB:
        return (uint32_t)s->id << 24;
    case IOAPIC_VERSION:
        return s->version | (IOAPIC_PINS - 1) << 16;
    default: {
        unsigned n = (s->ioregsel - IOAPIC_REDTBL) / 2;

        if (s->ioregsel < IOAPIC_REDTBL || n >= IOAPIC_PINS) {
            return 0;
        }
        return s->ioregsel & 1 ? s->ioredtbl[n] >> 32 : s->ioredtbl[n];
    }
    }
}

static void ioapic_write_entry(IoApic *s, unsigned n, bool high, uint32_t value)
{
    uint64_t old = s->ioredtbl[n], entry;

    if (high) {
        entry = (uint64_t)value << 32 | (uint32_t)old;
    } else {
        entry = (old & ~(uint64_t)UINT32_MAX) | (value & ~RED_READ_ONLY) | (old & RED_READ_ONLY);
    }
    if (!(entry & RED_LEVEL)) {
        entry &= ~RED_REMOTE_IRR;
    } else {
        s->irr |= s->levels & 1u << n; /* the line may have risen while this was an edge pin */
    }
    s->ioredtbl[n] = entry;
    entry_changed(s, n);
    ioapic_service_pin(s, n);
}

static void ioapic_write_window(IoApic *s, uint32_t value)
{
    unsigned n = (s->ioregsel - IOAPIC_REDTBL) / 2;

    if (s->ioregsel == IOAPIC_ID) {
        s->id = value >> 24 & 0xf;
    } else if (s->ioregsel >= IOAPIC_REDTBL && n < IOAPIC_PINS) {
        ioapic_write_entry(s, n, s->ioregsel & 1, value);
    }
}

static uint64_t ioapic_mmio_read(void *opaque, hwaddr offset, unsigned size)
{
    IoApic *s = opaque;

    switch (offset) {
    case REG_SELECT:
        return s->ioregsel;
    case REG_WINDOW:
        return ioapic_read_window(s);
    default:
        return 0;
    }
}

static void ioapic_mmio_write(void *opaque, hwaddr offset, uint64_t value, unsigned size)
{
    IoApic *s = opaque;

    switch (offset) {
    case REG_SELECT:
        s->ioregsel = value;
        break;
    case REG_WINDOW:
        ioapic_write_window(s, value);
        break;
    case REG_EOI:
        if (s->version >= 0x20) {
            ioapic_end_of_interrupt(s, value);
        }
        break;
    default:
        break;
    }
}

static const MemoryOps ioapic_ops = {
    .read = ioapic_mmio_read,
    .write = ioapic_mmio_write,
    .impl = { .min_size = 4, .max_size = 4 },
};

/* ---- life cycle ------------------------------------------------------------------------------------------------ */

static void ioapic_reset(Device *dev)
{
    IoApic *s = (IoApic *)dev;

    s->id = 0;
    s->ioregsel = 0;
    s->irr = 0;
    for (int n = 0; n < IOAPIC_PINS; n++) {
        s->ioredtbl[n] = RED_MASKED;
    }
    all_entries_changed(s);
}

static bool ioapic_realize(Device *dev, GError **error)
{
    IoApic *s = (IoApic *)dev;

    if (s->version != 0x11 && s->version != 0x20) {
        return error_set(error, "IOAPIC only supports version 0x11 or 0x20 (default: 0x20).");
    }
    s->mmio = memory_region_new_io(&dev->object, &ioapic_ops, s, "ioapic", IOAPIC_SIZE);
    memory_region_map(system_memory(), IOAPIC_DEFAULT_ADDRESS, s->mmio);
    device_init_gpio_in(dev, NULL, ioapic_set_pin, IOAPIC_PINS);
    the_ioapic = s;
    return true;
}

static void ioapic_unrealize(Device *dev)
{
    memory_region_free(((IoApic *)dev)->mmio);
    the_ioapic = NULL;
}

Device *ioapic_new(Object *parent, GError **error)
{
    Device *dev = device_new(device_type_by_name("ioapic"));

    if (!object_add_child(parent, "ioapic", &dev->object, error) ||
        !device_realize(dev, system_bus(), error)) {
        object_unref(dev);
        return NULL;
    }
    return dev;
}

/*
 * Migration notes. All registers and the request bits. A level pin whose request was sent has Remote IRR set, so
 * nothing is sent again on arrival; a request that was latched and not sent (masked) stays latched. The levels of the
 * pins are not in the section: irr has those of level pins, and the lines of PCI cards, which may be high before the guest
 * makes theirs level pins, are driven anew when the cards arrive, which must not look like an edge.
 */
static bool ioapic_post_load(void *opaque, int version, GError **error)
{
    all_entries_changed(opaque);
    return true;
}

static const VmState vmstate_ioapic = {
    .name = "ioapic",
    .version = 3,
    .minimum_version = 3,
    .post_load = ioapic_post_load,
    .fields = (const VmField[]){
        VM_U8(IoApic, id),
        VM_U8(IoApic, ioregsel),
        VM_UNUSED_V(8, 2),
        VM_U32_V(IoApic, irr, 2),
        VM_U64_ARRAY(IoApic, ioredtbl, IOAPIC_PINS),
        VM_END
    },
};

static const DeviceType ioapic_type = {
    .object = {
        .name = "ioapic",
        .parent = &device_type.object,
        .size = sizeof(IoApic),
        .properties = (const Property[]){
            PROPERTY_UINT8("version", IoApic, version, "32", NULL),
            {}
        },
    },
    .bus = &system_bus_type,
    .not_user_creatable = true,
    .realize = ioapic_realize,
    .unrealize = ioapic_unrealize,
    .reset = ioapic_reset,
    .migration = MIGRATES_WITH(vmstate_ioapic),
};
DEVICE_REGISTER(ioapic_type);

static const char *const delivery_names[] = { "fixed", "lowest", "SMI", "...", "NMI", "INIT", "...", "extINT" };

static void hmp_info_ioapic(Hmp *hmp, const HmpArgs *args)
{
    const IoApic *s = the_ioapic;

    if (!s) {
        return;
    }
    hmp_printf(hmp, "ioapic0: ver=0x%x id=0x%02x sel=0x%02x\n", s->version, s->id, s->ioregsel);
    for (int n = 0; n < IOAPIC_PINS; n++) {
        uint64_t e = s->ioredtbl[n];

        hmp_printf(hmp, "  pin %-2d 0x%016" PRIx64 " dest=%" PRIx64 " vec=%-3" PRIu64 " %s %-5s %-6s %-6s %s%s\n", n, e,
                   e >> RED_DEST_SHIFT, e & RED_VECTOR, e & RED_ACTIVE_LOW ? "active-lo" : "active-hi",
                   e & RED_LEVEL ? "level" : "edge", e & RED_MASKED ? "masked" : "",
                   delivery_names[e >> RED_DELIVERY_SHIFT & 7], e & RED_DEST_LOGICAL ? "logical" : "physical",
                   e & RED_REMOTE_IRR ? " remote-irr" : "");
    }
}

static const HmpCommand ioapic_commands[] = {
    { "info ioapic", "", "", "show I/O APIC state", hmp_info_ioapic },
};
HMP_REGISTER(ioapic_commands);
