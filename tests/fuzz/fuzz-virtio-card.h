/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What the fuzz targets of virtio cards share: a PCI bus with one card, a driver made of random bytes, and moves. The target
 * defines card_new() and more(), and MORE_STEPS before it includes this.
 */
#ifndef TESTS_FUZZ_VIRTIO_CARD_H
#define TESTS_FUZZ_VIRTIO_CARD_H

#include "fuzz-input.h"
#include "fuzz-pci.h"
#include "fuzz.h"
#include "hw/core/machine.h"
#include "hw/pci/msix.h"
#include "hw/virtio/virtio-pci.h"
#include "system/quiesce.h"
#include "util/bytes.h"
#include "util/clock.h"
#include "util/error.h"

#define IO 0xc000
#define BAR 0xe0004000
#define MSIX 0xe0000000
#define RINGS 0x10000 /* a page for each part of each queue */
#define BUFFERS 0x40000
#define MAX_STEPS 300
#define QUEUES 4
#define SPLIT_SIZE 8
#define PACKED_SIZE 6

static PciDevice *card;
static bool packed;
static unsigned packed_next[QUEUES]; /* where put_chain() goes on */
static bool packed_wrap[QUEUES];

/* ---- the machine ------------------------------------------------------------------------------------------------ */

static void machine_init(void)
{
    fuzz_pci_init();
    fuzz_ram_init();
    clock_virtual_set_manual();
    machine_set_current((Machine *)object_new(object_type_by_name("none-machine")));
    vm_start();
}

static void config_write(unsigned reg, uint32_t value, unsigned len)
{
    pci_config_write(pci_bus, card->devfn, reg, value, len);
}

static void write_at(hwaddr at, uint32_t value, unsigned width)
{
    uint8_t bytes[4];

    store_le32(bytes, value);
    address_space_write(address_space_memory, at, bytes, width);
}

/* A card as kind says, not realized. Sets what is particular to it. */
static Device *card_new(unsigned kind);
/* The card is there: what is plugged into it. */
static void card_ready(unsigned kind);
/* One more step of the target's own; which < MORE_STEPS. */
static void more(Input *in, unsigned which, unsigned what);

static void machine_begin(unsigned kind)
{
    Device *dev = card_new(kind);
    g_autoptr(GError) error = NULL;

    memset(ram_bytes(), 0, RAM_SIZE);
    packed = kind & 4;
    object_set_bool(&dev->object, "packed", packed);
    object_set_bool(&dev->object, "ioeventfd", !(kind & 8));
    object_set_int(&dev->object, "vectors", kind & 16 ? 3 : 0);
    if (!device_realize(dev, (Bus *)pci_bus, &error)) {
        g_error("%s: %s", dev->object.type->name, error->message);
    }
    card = PCI_DEVICE(dev);
    device_reset(dev);
    config_write(PCI_BAR_0, IO, 4);
    config_write(PCI_BAR_0 + 4, MSIX, 4);
    config_write(PCI_BAR_0 + 16, BAR, 4);
    config_write(PCI_COMMAND, 7, 2);
    card_ready(kind);
}

/* ---- steps ------------------------------------------------------------------------------------------------------------ */

static void put(unsigned addr, const void *bytes, unsigned len)
{
    memcpy(ram_bytes() + addr % (RAM_SIZE - 64), bytes, len);
}

static unsigned ring_part(unsigned queue, unsigned part)
{
    return RINGS + (queue * 3 + part) * 0x1000;
}

/* A driver that knows what it does: all queues, DRIVER_OK. */
static void bring_up(Input *in)
{
    uint32_t low = take(in, 1) & 1 ? 0xffffffff : 0x10000032;

    write_at(BAR + 20, 0, 1);
    write_at(BAR + 20, 3, 1);
    for (unsigned half = 0; half < 2; half++) {
        uint8_t offered[4];

        write_at(BAR, half, 4);
        address_space_read(address_space_memory, BAR + 4, offered, 4);
        write_at(BAR + 8, half, 4);
        write_at(BAR + 12, load_le32(offered) & (half ? 0xffffffff : low), 4);
    }
    write_at(BAR + 20, 11, 1);
    for (unsigned n = 0; n < QUEUES; n++) {
        write_at(BAR + 22, n, 2);
        write_at(BAR + 24, packed ? PACKED_SIZE : SPLIT_SIZE, 2);
        for (unsigned part = 0; part < 3; part++) {
            write_at(BAR + 32 + 8 * part, ring_part(n, part), 4);
        }
        write_at(BAR + 26, n, 2);
        write_at(BAR + 28, 1, 2);
        packed_next[n] = 0;
        packed_wrap[n] = true;
    }
    write_at(BAR + 20, 15, 1);
}

/* A descriptor with the fields that matter, in a ring or in a table. */
static void put_desc(Input *in)
{
    static const uint64_t places[] = { BUFFERS, BUFFERS + 0xff8, RAM_SIZE - 8,
                                       BAR,     UINT64_MAX - 3,  RINGS };
    uint8_t desc[16];
    unsigned where = take(in, 1), what = take(in, 1);
    uint64_t addr = what & 0x80 ? BUFFERS + 0x8000 : places[what % G_N_ELEMENTS(places)];
    unsigned table = where & 0x80 ? BUFFERS + 0x8000 : ring_part(where >> 4 & 3, 0);
    uint16_t flags = take(in, 1), next = take(in, 1);

    if (packed) {
        flags = (flags & 7) | (flags & 8 ? 0x80 : 0) | (flags & 16 ? 0x8000 : 0);
    }
    store_le64(desc, addr);
    store_le32(desc + 8, what & 0x40 ? take(in, 4) : (take(in, 1) & 0x3f) * (what & 0x80 ? 16 : 4));
    store_le16(desc + 12, packed ? next : flags & 7);
    store_le16(desc + 14, packed ? flags : next);
    put(table + 16 * (where & 7), desc, 16);
}

static void offer(Input *in)
{
    unsigned queue = take(in, 1) & 3, head = take(in, 1), n = take(in, 1) & 15;
    uint8_t *avail = ram_bytes() + ring_part(queue, 1);
    uint16_t idx = load_le16(avail + 2);

    store_le16(avail + 4 + 2 * (idx % 8), head);
    store_le16(avail + 2, idx + (n ? 1 : head));
    write_at(BAR + 0x3000 + 4 * queue, queue, 2);
}

/* A buffer of a well-formed request. */
typedef struct Piece {
    uint64_t addr;
    uint32_t len;
    bool write; /* by the device */
} Piece;

static void put_piece(uint8_t *desc, const Piece *p, uint16_t at12, uint16_t at14)
{
    store_le64(desc, p->addr);
    store_le32(desc + 8, p->len);
    store_le16(desc + 12, at12);
    store_le16(desc + 14, at14);
}

static void put_packed_chain(unsigned queue, const Piece *pieces, unsigned n)
{
    uint8_t *ring = ram_bytes() + ring_part(queue, 0);
    uint16_t first_flags = 0;
    unsigned first = packed_next[queue];

    for (unsigned i = 0; i < n; i++) {
        uint16_t flags = (i + 1 < n) | pieces[i].write << 1 | (packed_wrap[queue] ? 0x80 : 0x8000);
        unsigned at = packed_next[queue];

        put_piece(ring + 16 * at, &pieces[i], first, i ? flags : 0);
        first_flags = i ? first_flags : flags;
        packed_next[queue] = (at + 1) % PACKED_SIZE;
        packed_wrap[queue] ^= packed_next[queue] == 0;
    }
    store_le16(ring + 16 * first + 14, first_flags);
}

static void put_split_chain(unsigned queue, const Piece *pieces, unsigned n)
{
    uint8_t *memory = ram_bytes();
    uint8_t *avail = memory + ring_part(queue, 1);
    uint16_t idx = load_le16(avail + 2);
    unsigned head = (idx & 1) * 4;

    for (unsigned i = 0; i < n; i++) {
        put_piece(memory + ring_part(queue, 0) + 16 * (head + i), &pieces[i],
                  (i + 1 < n) | pieces[i].write << 1, head + i + 1);
    }
    store_le16(avail + 4 + 2 * (idx % SPLIT_SIZE), head);
    store_le16(avail + 2, idx + 1);
}

/* Makes a chain of at most four available as a good driver does, and kicks. */
static inline void put_chain(unsigned queue, const Piece *pieces, unsigned n)
{
    if (packed) {
        put_packed_chain(queue, pieces, n);
    } else {
        put_split_chain(queue, pieces, n);
    }
    write_at(BAR + 0x3000 + 4 * queue, queue, 2);
}

/* ---- moves ----------------------------------------------------------------------------------------------------------- */

typedef struct Saved {
    VmSection *section;
    GByteArray *bytes;
} Saved;

static void saved_free(gpointer p)
{
    Saved *saved = p;

    g_byte_array_unref(saved->bytes);
    g_free(saved);
}

static bool save_section(VmSection *section, void *opaque)
{
    Saved *saved;
    const uint8_t *bytes;
    size_t len;
    VmWriter *w;

    if (!section->vmsd) {
        return true;
    }
    saved = g_new0(Saved, 1);
    w = section_save(section, &bytes, &len);
    saved->section = section;
    saved->bytes = g_byte_array_append(g_byte_array_new(), bytes, len);
    vm_writer_free(w);
    g_ptr_array_add(opaque, saved);
    return true;
}

/* NULL: somebody is busy. */
static GPtrArray *save_all(void)
{
    GPtrArray *all;

    if (quiesce_all(NULL) != QUIESCE_DONE) {
        return NULL;
    }
    all = g_ptr_array_new_with_free_func(saved_free);
    vmstate_foreach(save_section, all);
    quiesce_resume_all();
    return all;
}

static void load_all(GPtrArray *all)
{
    for (guint i = 0; i < all->len; i++) {
        Saved *saved = g_ptr_array_index(all, i);
        const VmState *vmsd = saved->section->vmsd;
        VmReader *r = vm_reader_new_from_memory(saved->bytes->data, saved->bytes->len);
        g_autoptr(GError) error = NULL;

        if (!vmstate_load(r, vmsd, saved->section->opaque, vmsd->version, &error)) {
            g_error("%s does not load: %s", vmsd->name, error->message);
        }
        vm_reader_free(r);
    }
}

static void compare(GPtrArray *first, GPtrArray *second)
{
    for (guint i = 0; i < first->len; i++) {
        Saved *a = g_ptr_array_index(first, i), *b = g_ptr_array_index(second, i);

        if (a->bytes->len != b->bytes->len ||
            memcmp(a->bytes->data, b->bytes->data, a->bytes->len)) {
            g_error("%s saves something else", a->section->vmsd->name);
        }
    }
}

/* The card, and what is plugged into it, with all requests that wait, into itself. */
static void move(void)
{
    GPtrArray *first, *second;

    vm_stop(VM_PAUSED);
    first = save_all();
    if (first) {
        load_all(first);
        second = save_all();
        if (!second) {
            g_error("not quiet after a load");
        }
        compare(first, second);
        g_ptr_array_unref(first);
        g_ptr_array_unref(second);
    }
    vm_start();
}

/* ---- anything --------------------------------------------------------------------------------------------------------- */

static void do_step(Input *in)
{
    unsigned what = take(in, 1);
    uint16_t small;

    switch (what % (12 + MORE_STEPS)) {
    case 0:
        bring_up(in);
        break;
    case 1:
    case 2:
        put_desc(in);
        break;
    case 3:
    case 4:
        offer(in);
        break;
    case 5: /* any register of the modern interface, MSI-X, configuration */
        small = take(in, 2);
        write_at((small & 0x8000 ? MSIX : BAR) + (small & 0x3fff), take(in, 4),
                 1u << (what >> 4) % 3);
        break;
    case 6: /* legacy */
        small = take(in, 1);
        port_write(IO + small % 64, take(in, 4), 1u << (what >> 4) % 3);
        break;
    case 7:
        small = take(in, 1) & 0xfc;
        config_write(small, take(in, 4), 4);
        break;
    case 8: /* anything in a ring */
        small = take(in, 2);
        store_le16(ram_bytes() + RINGS + small % 0xc000, take(in, 2));
        break;
    case 9:
        clock_virtual_step_to(clock_get_ns(CLOCK_VIRTUAL) + take(in, 1) * NS_PER_SEC / 16);
        break;
    case 10:
        move();
        break;
    case 11:
        small = take(in, 2);
        write_at(BAR + 0x3000 + (small & 0xfff), small, 2);
        break;
    default:
        more(in, what % (12 + MORE_STEPS) - 12, what / (12 + MORE_STEPS));
    }
    for (unsigned i = 0; i < 3; i++) {
        main_loop_iterate(false);
    }
}

static void run_input(const uint8_t *data, size_t size)
{
    Input in = { data, size };

    if (!vm_is_running()) {
        vm_start(); /* an error of the disk has stopped it */
    }
    machine_begin(take(&in, 1));
    for (unsigned i = 0; i < MAX_STEPS && in.left; i++) {
        do_step(&in);
    }
    move();
    device_unrealize(&card->device);
}

#endif
