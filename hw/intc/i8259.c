/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * 8259A programmable interrupt controller (Intel 8259A data sheet, order number 231468), with the edge/level
 * control registers of the PIIX (82371 data sheet, ELCR1 and ELCR2).
 */
#include "util/osdep.h"
#include "hw/intc/i8259.h"
#include "monitor/hmp.h"
#include "util/error.h"

#define PIC_INPUTS 8
#define PIC_CASCADE 2 /* input of the master that the slave drives */

/* ICW1 */
#define ICW1_MARK 0x10
#define ICW1_LEVEL 0x08
#define ICW1_SINGLE 0x02
#define ICW1_ICW4 0x01
/* ICW4 */
#define ICW4_SFNM 0x10
#define ICW4_AUTO_EOI 0x02
/* OCW3 */
#define OCW3_MARK 0x08
#define OCW3_POLL 0x04
#define OCW3_READ 0x02
#define OCW3_READ_ISR 0x01
#define OCW3_SPECIAL_MASK_SET 0x40
#define OCW3_SPECIAL_MASK 0x20

typedef enum PicInit { PIC_READY = 0, PIC_WANTS_ICW2 = 1, PIC_WANTS_ICW3 = 2, PIC_WANTS_ICW4 = 3 } PicInit;

typedef struct Pic Pic;
struct Pic {
    IsaDevice isa;
    uint8_t last_irr;  /* levels of the inputs, for edges */
    uint8_t irr, imr, isr;
    uint8_t priority_add; /* the input of highest priority */
    uint8_t irq_base;
    uint8_t read_reg_select;
    uint8_t poll;
    uint8_t special_mask;
    uint8_t init_state;
    uint8_t auto_eoi;
    uint8_t rotate_on_auto_eoi;
    uint8_t special_fully_nested_mode;
    uint8_t init4; /* ICW4 will come */
    uint8_t single_mode;
    uint8_t elcr;  /* inputs that are level triggered */

    uint32_t iobase, elcr_addr;
    uint8_t elcr_mask;
    bool master;
    MemoryRegion *ports, *elcr_port;
    Irq *intr;
    Irq *inputs[PIC_INPUTS];
};

static Pic *pics[2]; /* master, slave */

/* ---- priorities -------------------------------------------------------------------------------------------- */

/* Distance of the first set bit from the input of highest priority; PIC_INPUTS for none. */
static int pic_priority(const Pic *s, uint8_t mask)
{
    for (int i = 0; i < PIC_INPUTS; i++) {
        if (mask & 1 << ((i + s->priority_add) & 7)) {
            return i;
        }
    }
    return PIC_INPUTS;
}

/* The input that may interrupt now, -1 for none. */
static int pic_pending(const Pic *s)
{
    int request = pic_priority(s, s->irr & ~s->imr);
    uint8_t in_service = s->isr;

    if (request == PIC_INPUTS) {
        return -1;
    }
    if (s->special_mask) {
        in_service &= ~s->imr;
    }
    /* In special fully nested mode the master lets a slave in service interrupt again. */
    if (s->special_fully_nested_mode && s->master) {
        in_service &= ~(1 << PIC_CASCADE);
    }
    if (request >= pic_priority(s, in_service)) {
        return -1;
    }
    return (request + s->priority_add) & 7;
}

static void pic_update(Pic *s)
{
    irq_set(s->intr, pic_pending(s) >= 0);
}

/* An edge is remembered until it is acknowledged. (The chip forgets it when the line falls before that. Stock's and the
 * kernel's do not, and devices that pulse their line, such as an HPET in place of the 8254, rely on it.) */
static void pic_set_input(void *opaque, int n, int level)
{
    Pic *s = opaque;
    uint8_t bit = 1 << n;

    if (s->elcr & bit) {
        s->irr = level ? s->irr | bit : s->irr & ~bit;
    } else if (level && !(s->last_irr & bit)) {
        s->irr |= bit;
    }
    s->last_irr = level ? s->last_irr | bit : s->last_irr & ~bit;
    pic_update(s);
}

/* The request n is taken: into service, and out of the request register if it was an edge. */
static void pic_take(Pic *s, int n)
{
    if (s->auto_eoi) {
        if (s->rotate_on_auto_eoi) {
            s->priority_add = (n + 1) & 7;
        }
    } else {
        s->isr |= 1 << n;
    }
    if (!(s->elcr & 1 << n)) {
        s->irr &= ~(1 << n);
    }
    pic_update(s);
}

int i8259_acknowledge(void)
{
    Pic *master = pics[0], *slave = pics[1];
    int n, vector;

    if (!master) {
        return -1;
    }
    n = pic_pending(master);
    if (n < 0) {
        return master->irq_base + 7;
    }
    if (n != PIC_CASCADE || !slave) {
        vector = master->irq_base + n;
    } else {
        int m = pic_pending(slave);

        if (m >= 0) {
            pic_take(slave, m);
        } else {
            m = 7;
        }
        vector = slave->irq_base + m;
    }
    pic_take(master, n);
    return vector;
}

/* ---- registers --------------------------------------------------------------------------------------------- */

/* What ICW1 clears, and reset. The edge/level register keeps its value over ICW1. */
static void pic_init_words(Pic *s)
{
    s->last_irr = 0;
    s->irr &= s->elcr;
    s->imr = 0;
    s->isr = 0;
    s->priority_add = 0;
    s->irq_base = 0;
    s->read_reg_select = 0;
    s->poll = 0;
    s->special_mask = 0;
    s->init_state = PIC_READY;
    s->auto_eoi = 0;
    s->rotate_on_auto_eoi = 0;
    s->special_fully_nested_mode = 0;
    s->init4 = 0;
    s->single_mode = 0;
}

static void pic_write_icw1(Pic *s, uint8_t value)
{
    pic_init_words(s);
    s->init_state = PIC_WANTS_ICW2;
    s->init4 = value & ICW1_ICW4;
    s->single_mode = value & ICW1_SINGLE;
    pic_update(s);
}

static void pic_write_ocw3(Pic *s, uint8_t value)
{
    if (value & OCW3_POLL) {
        s->poll = 1;
    }
    if (value & OCW3_READ) {
        s->read_reg_select = value & OCW3_READ_ISR;
    }
    if (value & OCW3_SPECIAL_MASK_SET) {
        s->special_mask = (value & OCW3_SPECIAL_MASK) != 0;
        pic_update(s);
    }
}

/* Ends the service of input n, or of the one of highest priority (n < 0). Returns which it was, -1 none. */
static int pic_eoi(Pic *s, int n)
{
    if (n < 0) {
        int first = pic_priority(s, s->isr);

        if (first == PIC_INPUTS) {
            return -1;
        }
        n = (first + s->priority_add) & 7;
    }
    s->isr &= ~(1 << n);
    return n;
}

/* Bits 7…5: rotate, specific, end of interrupt. */
static void pic_write_ocw2(Pic *s, uint8_t value)
{
    int level = value & 7, n;

    switch (value >> 5) {
    case 0: /* stop rotating in automatic EOI mode */
    case 4: /* rotate in automatic EOI mode */
        s->rotate_on_auto_eoi = value >> 7;
        break;
    case 1: /* non-specific EOI */
        pic_eoi(s, -1);
        break;
    case 3: /* specific EOI */
        pic_eoi(s, level);
        break;
    case 5: /* rotate on non-specific EOI */
        n = pic_eoi(s, -1);
        if (n >= 0) {
            s->priority_add = (n + 1) & 7;
        }
        break;
    case 6: /* set priority */
        s->priority_add = (level + 1) & 7;
        break;
    case 7: /* rotate on specific EOI */
        pic_eoi(s, level);
        s->priority_add = (level + 1) & 7;
        break;
    default: /* 2: no operation */
        break;
    }
    pic_update(s);
}

static void pic_write_data(Pic *s, uint8_t value)
{
    switch ((PicInit)s->init_state) {
    case PIC_READY:
        s->imr = value;
        pic_update(s);
        break;
    case PIC_WANTS_ICW2:
        s->irq_base = value & 0xf8;
        s->init_state = !s->single_mode ? PIC_WANTS_ICW3 : s->init4 ? PIC_WANTS_ICW4 : PIC_READY;
        break;
    case PIC_WANTS_ICW3: /* the wiring of the PC is fixed */
        s->init_state = s->init4 ? PIC_WANTS_ICW4 : PIC_READY;
        break;
    case PIC_WANTS_ICW4:
        s->special_fully_nested_mode = (value & ICW4_SFNM) != 0;
        s->auto_eoi = (value & ICW4_AUTO_EOI) != 0;
        s->init_state = PIC_READY;
        break;
    }
}

static void pic_port_write(void *opaque, hwaddr offset, uint64_t value, unsigned size)
{
    Pic *s = opaque;

    if (offset == 1) {
        pic_write_data(s, value);
    } else if (value & ICW1_MARK) {
        pic_write_icw1(s, value);
    } else if (value & OCW3_MARK) {
        pic_write_ocw3(s, value);
    } else {
        pic_write_ocw2(s, value);
    }
}

static uint64_t pic_port_read(void *opaque, hwaddr offset, unsigned size)
{
    Pic *s = opaque;

    if (s->poll) {
        int n = pic_pending(s);

        s->poll = 0;
        if (n < 0) {
            return 0;
        }
        pic_take(s, n);
        return n | 0x80;
    }
    if (offset == 1) {
        return s->imr;
    }
    return s->read_reg_select ? s->isr : s->irr;
}

static const MemoryOps pic_port_ops = {
    .read = pic_port_read,
    .write = pic_port_write,
    .valid = { .min_size = 1, .max_size = 4 },
    .impl = { .min_size = 1, .max_size = 1 },
};

static uint64_t elcr_read(void *opaque, hwaddr offset, unsigned size)
{
    Pic *s = opaque;

    return s->elcr;
}

static void elcr_write(void *opaque, hwaddr offset, uint64_t value, unsigned size)
{
    Pic *s = opaque;

    s->elcr = value & s->elcr_mask;
}

static const MemoryOps elcr_ops = {
    .read = elcr_read,
    .write = elcr_write,
    .impl = { .min_size = 1, .max_size = 1 },
};

/* ---- life cycle ---------------------------------------------------------------------------------------------- */

static void pic_reset(Device *dev)
{
    Pic *s = (Pic *)dev;

    s->elcr = 0;
    s->irr = 0;
    pic_init_words(s);
    pic_update(s);
}

static bool pic_realize(Device *dev, GError **error)
{
    Pic *s = (Pic *)dev;

    s->ports = memory_region_new_io(&dev->object, &pic_port_ops, s, "pic", 2);
    isa_map_ports(dev, s->iobase, s->ports);
    s->elcr_port = memory_region_new_io(&dev->object, &elcr_ops, s, "elcr", 1);
    isa_map_ports(dev, s->elcr_addr, s->elcr_port);
    device_init_gpio_out(dev, NULL, &s->intr, 1);
    device_init_gpio_in(dev, NULL, pic_set_input, PIC_INPUTS);
    return true;
}

static void pic_unrealize(Device *dev)
{
    Pic *s = (Pic *)dev;

    memory_region_free(s->ports);
    memory_region_free(s->elcr_port);
    pics[!s->master] = NULL;
}

static Pic *pic_new(IsaBus *bus, bool master, GError **error)
{
    Device *dev = device_new(device_type_by_name("isa-i8259"));
    Pic *s = (Pic *)dev;

    s->iobase = master ? 0x20 : 0xa0;
    s->elcr_addr = master ? 0x4d0 : 0x4d1;
    /* Timer, keyboard and cascade, clock and coprocessor are edge triggered for good. */
    s->elcr_mask = master ? 0xf8 : 0xde;
    s->master = master;
    if (!device_realize(dev, (Bus *)bus, error)) {
        object_unref(dev);
        return NULL;
    }
    pics[!master] = s;
    return s;
}

bool i8259_pair_new(IsaBus *bus, Irq *intr, Irq **irqs, GError **error)
{
    Pic *master = pic_new(bus, true, error);
    Pic *slave = master ? pic_new(bus, false, error) : NULL;

    if (!slave) {
        return false;
    }
    for (int n = 0; n < PIC_INPUTS; n++) {
        irqs[n] = device_get_gpio_in(&master->isa.device, NULL, n);
        irqs[PIC_INPUTS + n] = device_get_gpio_in(&slave->isa.device, NULL, n);
    }
    if (intr) {
        device_connect_gpio_out(&master->isa.device, NULL, 0, intr);
    }
    device_connect_gpio_out(&slave->isa.device, NULL, 0, irqs[PIC_CASCADE]);
    return true;
}

/*
 * Migration notes. The registers and the state of an initialization sequence half-way. The output level follows
 * from them; it is driven again after load, which the receiver sees as the level that it had.
 */
static bool init_state_valid(const void *opaque, int64_t value)
{
    return value <= PIC_WANTS_ICW4;
}

static bool priority_valid(const void *opaque, int64_t value)
{
    return value < PIC_INPUTS;
}

static bool pic_post_load(void *opaque, int version, GError **error)
{
    Pic *s = opaque;

    s->elcr &= s->elcr_mask;
    pic_update(s);
    return true;
}

#define PIC_U8_VALID(member, check)                                                                    \
    { .name = #member, .offset = offsetof(Pic, member), .size = 1, .kind = &vm_kind_u8, .valid = (check) }

static const VmState vmstate_i8259 = {
    .name = "i8259",
    .version = 1,
    .minimum_version = 1,
    .post_load = pic_post_load,
    .fields = (const VmField[]){
        VM_U8(Pic, last_irr),
        VM_U8(Pic, irr),
        VM_U8(Pic, imr),
        VM_U8(Pic, isr),
        PIC_U8_VALID(priority_add, priority_valid),
        VM_U8(Pic, irq_base),
        VM_U8(Pic, read_reg_select),
        VM_U8(Pic, poll),
        VM_U8(Pic, special_mask),
        PIC_U8_VALID(init_state, init_state_valid),
        VM_U8(Pic, auto_eoi),
        VM_U8(Pic, rotate_on_auto_eoi),
        VM_U8(Pic, special_fully_nested_mode),
        VM_U8(Pic, init4),
        VM_U8(Pic, single_mode),
        VM_U8(Pic, elcr),
        VM_END
    },
};

static void hmp_info_pic(Hmp *hmp, const HmpArgs *args)
{
    for (int n = 1; n >= 0; n--) {
        const Pic *s = pics[n];

        if (s) {
            hmp_printf(hmp, "pic%d: irr=%02x imr=%02x isr=%02x hprio=%d irq_base=%02x rr_sel=%d elcr=%02x fnm=%d\n", n,
                       s->irr, s->imr, s->isr, s->priority_add, s->irq_base, s->read_reg_select, s->elcr,
                       s->special_fully_nested_mode);
        }
    }
}

static const HmpCommand pic_commands[] = {
    { "info pic", "", "", "show PIC state", hmp_info_pic },
};
HMP_REGISTER(pic_commands);

static const DeviceType i8259_type = {
    .object = {
        .name = "isa-i8259",
        .parent = &isa_device_type.object,
        .size = sizeof(Pic),
        .properties = (const Property[]){
            PROPERTY_UINT32("iobase", Pic, iobase, "4294967295", NULL),
            PROPERTY_UINT32("elcr_addr", Pic, elcr_addr, "4294967295", NULL),
            PROPERTY_UINT8("elcr_mask", Pic, elcr_mask, "255", NULL),
            PROPERTY_BOOL("master", Pic, master, "off", "on/off"),
            {}
        },
    },
    .not_user_creatable = true,
    .realize = pic_realize,
    .unrealize = pic_unrealize,
    .reset = pic_reset,
    .migration = MIGRATES_WITH(vmstate_i8259),
};
DEVICE_REGISTER(i8259_type);
