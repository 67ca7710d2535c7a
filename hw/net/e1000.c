/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * e1000: the Intel 82540EM, and two of its sisters that differ in how they identify themselves. Document and state:
 * e1000.h. Here: life cycle, interrupts, counters, migration.
 */
#include "util/osdep.h"
#include "e1000.h"

#include "hw/core/drive.h"
#include "util/bytes.h"
#include "util/error.h"

typedef struct E1000Type {
    DeviceType device;
    E1000Model model;
} E1000Type;

const E1000Model *e1000_model(const E1000 *s)
{
    return &((const E1000Type *)s->pci.device.object.type)->model;
}

/* ---- interrupts (SDM 13.4.17 ff.) ------------------------------------------------------------------------------------ */

#define ITR_UNIT 256         /* ns */
#define DELAY_UNIT (4 * 256) /* of TADV and RADV */

/* How long the next interrupt keeps the one behind it away: the shortest of the times that the guest has set. */
static int64_t mitigation_delay(E1000 *s, uint32_t pending)
{
    int64_t delay = 0, itr = (int64_t)E1000_REG(s, E1000_ITR) * ITR_UNIT;

    if (s->delay_wanted && pending & (ICR_TXQE | ICR_TXDW)) {
        delay = (int64_t)E1000_REG(s, E1000_TADV) * DELAY_UNIT;
    }
    if (E1000_REG(s, E1000_RDTR) && pending & ICR_RXT0 && E1000_REG(s, E1000_RADV)) {
        int64_t radv = (int64_t)E1000_REG(s, E1000_RADV) * DELAY_UNIT;

        delay = delay ? MIN(delay, radv) : radv;
    }
    return itr && delay ? MIN(delay, itr) : MAX(itr, delay);
}

static void update_irq(E1000 *s)
{
    uint32_t pending = E1000_REG(s, E1000_IMS) & E1000_REG(s, E1000_ICR);

    if (!s->irq_level && pending) {
        int64_t delay;

        if (s->mitigated) {
            return; /* the timer looks again */
        }
        delay = mitigation_delay(s, pending);
        s->delay_wanted = false;
        if (delay) {
            s->mitigated = true;
            timer_mod(&s->mitigation, clock_get_ns(CLOCK_VIRTUAL) + delay);
        }
    }
    s->irq_level = pending != 0;
    pci_set_irq(&s->pci, s->irq_level);
}

static void mitigation_over(void *opaque)
{
    E1000 *s = opaque;

    s->mitigated = false;
    update_irq(s);
}

/* ICS shows what ICR has. */
static void set_causes(E1000 *s, uint32_t causes)
{
    E1000_REG(s, E1000_ICR) = E1000_REG(s, E1000_ICS) = causes;
    update_irq(s);
}

void e1000_raise(E1000 *s, uint32_t causes)
{
    set_causes(s, E1000_REG(s, E1000_ICR) | causes);
}

void e1000_clear_causes(E1000 *s, uint32_t causes)
{
    set_causes(s, E1000_REG(s, E1000_ICR) & ~causes);
}

uint32_t e1000_take_causes(E1000 *s)
{
    uint32_t causes = E1000_REG(s, E1000_ICR);

    set_causes(s, 0);
    return causes;
}

void e1000_set_ims(E1000 *s, uint32_t ims)
{
    E1000_REG(s, E1000_IMS) = ims;
    update_irq(s);
}

/* ---- counters: they stay at their ends (SDM 13.7) ------------------------------------------------------------------------ */

void e1000_count(E1000 *s, unsigned reg)
{
    E1000_REG(s, reg) += E1000_REG(s, reg) != UINT32_MAX;
}

void e1000_count_octets(E1000 *s, unsigned low, uint64_t n)
{
    uint64_t value = (uint64_t)E1000_REG(s, low + 4) << 32 | E1000_REG(s, low);

    value = value + n < value ? UINT64_MAX : value + n;
    E1000_REG(s, low) = value;
    E1000_REG(s, low + 4) = value >> 32;
}

void e1000_count_size(E1000 *s, unsigned first, size_t len)
{
    static const uint16_t limits[] = { 64, 127, 255, 511, 1023 };
    unsigned i = 0;

    while (i < G_N_ELEMENTS(limits) && len > limits[i]) {
        i++;
    }
    e1000_count(s, first + 4 * i);
}

/* ---- reset ------------------------------------------------------------------------------------------------------------- */

void e1000_show_address(E1000 *s)
{
    uint8_t mac[8];

    store_le32(mac, E1000_REG(s, E1000_RA));
    store_le32(mac + 4, E1000_REG(s, E1000_RA + 4));
    nic_set_mac(&s->nic, mac);
}

/* Everything but PCI and the PHY's link. */
static void registers_reset(E1000 *s)
{
    memset(s->mac, 0, sizeof(s->mac));
    E1000_REG(s, E1000_PBA) = 0x00100030;
    E1000_REG(s, E1000_LEDCTL) = 0x602;
    E1000_REG(s, E1000_CTRL) = 0x00140240;
    E1000_REG(s, E1000_STATUS) = 0x80080783;
    E1000_REG(s, E1000_MANC) = 0x00222300;
    E1000_REG(s, E1000_VET) = s->init_vet ? 0x8100 : 0;
    E1000_REG(s, E1000_RA) = load_le32(s->conf.mac);
    E1000_REG(s, E1000_RA + 4) = RAH_AV | load_le16(s->conf.mac + 4);
    memset(&s->tx, 0, sizeof(s->tx));
    memset(&s->eecd, 0, sizeof(s->eecd));
    e1000_rx_configure(s);
    timer_del(&s->mitigation);
    bh_cancel(s->go_on);
    s->mitigated = s->delay_wanted = false;
}

/* CTRL.RST: the packet buffer and the multicast table keep what they have on the wire's side only; all is as after power on. */
void e1000_software_reset(E1000 *s)
{
    bool up = E1000_REG(s, E1000_STATUS) & STATUS_LU;

    registers_reset(s);
    if (!up) {
        E1000_REG(s, E1000_STATUS) &= ~STATUS_LU;
    }
    s->irq_level = false;
    pci_set_irq(&s->pci, 0);
    e1000_show_address(s);
}

static void e1000_reset(PciDevice *dev)
{
    E1000 *s = (E1000 *)dev;

    registers_reset(s);
    e1000_phy_reset(s);
    s->irq_level = false;
    pci_set_irq(&s->pci, 0);
    e1000_show_address(s);
}

/* ---- realize ----------------------------------------------------------------------------------------------------------- */

/* T4. */
static void go_on_sending(void *opaque)
{
    if (vm_is_running()) {
        e1000_transmit(opaque);
    }
}

static void vm_state_changed(void *opaque, bool running, VmRunState state)
{
    E1000 *s = opaque;

    if (running && E1000_REG(s, E1000_TDH) != E1000_REG(s, E1000_TDT)) {
        bh_schedule(s->go_on);
    }
}

static void link_sendable(NetClient *nc)
{
}

static const NetClientOps e1000_client_ops = {
    .kind = NET_CLIENT_DRIVER_NIC,
    .size = sizeof(NetClient),
    .can_receive = e1000_can_receive,
    .receive = e1000_receive,
    .sendable = link_sendable, /* net_send() keeps what the backend does not take */
    .link_changed = e1000_link_changed,
    .query_rx_filter = e1000_query_rx_filter,
};

static bool e1000_realize(PciDevice *dev, GError **error)
{
    E1000 *s = (E1000 *)dev;

    if (s->conf.mac[0] & 1) {
        return error_set(error, "property 'mac' must not be a multicast address");
    }
    timer_init(&s->autoneg, CLOCK_VIRTUAL, e1000_autoneg_done, s);
    timer_init(&s->mitigation, CLOCK_VIRTUAL, mitigation_over, s);
    s->mmio = memory_region_new_io(&dev->device.object, &e1000_mmio_ops, s, "e1000-mmio",
                                   E1000_MMIO_SIZE);
    s->io = memory_region_new_io(&dev->device.object, &e1000_io_ops, s, "e1000-io", E1000_IO_SIZE);
    pci_set_bar(dev, 0, 0, s->mmio, E1000_MMIO_SIZE);
    pci_set_bar(dev, 1, PCI_BAR_SPACE_IO, s->io, E1000_IO_SIZE);
    s->go_on = bh_new(NULL, "e1000-tx", go_on_sending, s);
    s->vm_state = vm_state_add_handler(vm_state_changed, s, 0);
    nic_open(&s->nic, &s->conf, &dev->device, &e1000_client_ops, 1, s);
    e1000_eeprom_init(s);
    return true;
}

static void e1000_unrealize(PciDevice *dev)
{
    E1000 *s = (E1000 *)dev;

    timer_del(&s->autoneg);
    timer_del(&s->mitigation);
    vm_state_del_handler(s->vm_state);
    bh_delete(s->go_on);
    nic_close(&s->nic, &s->conf);
    memory_region_free(s->mmio);
    memory_region_free(s->io);
}

static void e1000_init(Object *obj)
{
    nic_conf_init(&((E1000 *)obj)->conf);
}

/* The guest lets it master the bus: packets wait for that. */
static void e1000_config_written(PciDevice *dev, unsigned addr, unsigned len)
{
    E1000 *s = (E1000 *)dev;

    if (addr < PCI_COMMAND + 2 && addr + len > PCI_COMMAND &&
        load_le16(dev->config + PCI_COMMAND) & PCI_COMMAND_MASTER) {
        net_flush(nic_queue(&s->nic, 0));
    }
}

/* ---- migration notes ----------------------------------------------------------------------------------------------------
 *
 * In flight: a packet that is being put together from descriptors: tx.size bytes of tx.data, tx.header, tso_frames,
 * sum_needed and both contexts are saved, so that the next descriptor goes on with it. A packet whose last descriptor was
 * done has left; the backend has it, or the queue in front of the backend, which stays behind as the wire would. A ring that
 * was left in the middle (T4) is gone on with at the other side; stock does so when its driver writes the tail again. In the
 * middle of a descriptor e1000/tx_done says how far it is: frames cannot be sent again, and no field of stock's has it. Packets
 * for the guest that wait for descriptors stay in the source's queue and are lost, as on a full card.
 *
 * Timers are not in stock's stream. A negotiation that was going on (control register: restart; status: not done) starts
 * its half second again. An interrupt that mitigation holds back is looked for after 1 ms: with the level saved, no
 * interrupt is lost or doubled.
 *
 * rxbuf_size and rxbuf_min_shift follow from RCTL (stock has 0 there before RCTL is written): what arrives is not used.
 * Order: none with others. Registers are in the stream twice: single ones for old readers, then all of them in
 * e1000/full_mac_state, which count.
 */

static bool e1000_pre_save(void *opaque, GError **error)
{
    E1000 *s = opaque;

    s->tx.saved_props = !s->migrate_tso && s->tx.last_was_tso ? s->tx.tso_props : s->tx.props;
    return true;
}

static bool tso_needed(const void *opaque)
{
    return ((const E1000 *)opaque)->migrate_tso;
}

/* Machines as old as those whose cards had no mitigation are not offered. */
static bool mit_needed(const void *opaque)
{
    return true;
}

static bool full_needed(const void *opaque)
{
    return ((const E1000 *)opaque)->extra_registers;
}

/* A subsection of ours: only a driver that asks for more frames by one descriptor than there are in a turn meets it. */
static bool done_needed(const void *opaque)
{
    return ((const E1000 *)opaque)->tx.done != 0;
}

static bool done_post_load(void *opaque, int version, GError **error)
{
    const E1000 *s = opaque;

    return (s->tx.done && s->tx.done <= 0xfffff) ||
           error_set(error, "e1000: 0x%" PRIx32 " bytes of a descriptor", s->tx.done);
}

static bool e1000_pre_load(void *opaque, GError **error)
{
    E1000 *s = opaque;

    s->tx.done = 0;
    memset(s->mac, 0, sizeof(s->mac));
    timer_del(&s->autoneg);
    timer_del(&s->mitigation);
    s->mitigated = s->delay_wanted = s->irq_level = false;
    memset(&s->tx.tso_props, 0xff, sizeof(s->tx.tso_props)); /* a mark that no descriptor can set */
    return true;
}

static bool tso_came(const E1000Context *c)
{
    return !(c->ip == -1 && c->tcp == -1 && c->paylen == UINT32_MAX);
}

static bool e1000_post_load(void *opaque, int version, GError **error)
{
    E1000 *s = opaque;

    e1000_rx_configure(s);
    s->tx.props = s->tx.saved_props;
    if (!tso_came(&s->tx.tso_props)) {
        s->tx.tso_props = s->tx.saved_props;
    }
    nic_queue(&s->nic, 0)->link_down = !(E1000_REG(s, E1000_STATUS) & STATUS_LU);
    if (s->phy[PHY_CONTROL] & PHY_CONTROL_RESTART && s->phy[PHY_CONTROL] & PHY_CONTROL_AUTONEG &&
        !(s->phy[PHY_STATUS] & PHY_STATUS_AUTONEG_DONE)) {
        nic_queue(&s->nic, 0)->link_down = false; /* down only because it negotiates */
        e1000_autoneg_resume(s);
    }
    if (!s->irq_level && E1000_REG(s, E1000_IMS) & E1000_REG(s, E1000_ICR)) {
        s->mitigated = true; /* one is held back */
        timer_mod(&s->mitigation, clock_get_ns(CLOCK_VIRTUAL) + NS_PER_MS);
    }
    e1000_show_address(s);
    return true;
}

static const VmState vmstate_mit = {
    .name = "e1000/mit_state",
    .version = 1,
    .minimum_version = 1,
    .needed = mit_needed,
    .fields =
        (const VmField[]){ VM_NAMED("mac_reg[RDTR]", u32, uint32_t, E1000, mac[E1000_RDTR >> 2]),
                           VM_NAMED("mac_reg[RADV]", u32, uint32_t, E1000, mac[E1000_RADV >> 2]),
                           VM_NAMED("mac_reg[TADV]", u32, uint32_t, E1000, mac[E1000_TADV >> 2]),
                           VM_NAMED("mac_reg[ITR]", u32, uint32_t, E1000, mac[E1000_ITR >> 2]),
                           { .name = "mit_irq_level",
                             .offset = offsetof(E1000, irq_level),
                             .size = 1,
                             .kind = &vm_kind_bool },
                           VM_END },
};

static const VmState vmstate_full = {
    .name = "e1000/full_mac_state",
    .version = 1,
    .minimum_version = 1,
    .needed = full_needed,
    .fields =
        (const VmField[]){ VM_NAMED_ARRAY("mac_reg", u32, uint32_t, E1000, mac, E1000_REGISTERS),
                           VM_END },
};

#define CONTEXT_FIELDS_1(wire, member)                                    \
    VM_NAMED(wire ".ipcss", u8, uint8_t, E1000, tx.member.ipcss),         \
        VM_NAMED(wire ".ipcso", u8, uint8_t, E1000, tx.member.ipcso),     \
        VM_NAMED(wire ".ipcse", u16, uint16_t, E1000, tx.member.ipcse),   \
        VM_NAMED(wire ".tucss", u8, uint8_t, E1000, tx.member.tucss),     \
        VM_NAMED(wire ".tucso", u8, uint8_t, E1000, tx.member.tucso),     \
        VM_NAMED(wire ".tucse", u16, uint16_t, E1000, tx.member.tucse),   \
        VM_NAMED(wire ".paylen", u32, uint32_t, E1000, tx.member.paylen), \
        VM_NAMED(wire ".hdr_len", u8, uint8_t, E1000, tx.member.hdr_len), \
        VM_NAMED(wire ".mss", u16, uint16_t, E1000, tx.member.mss)
#define CONTEXT_FIELDS_2(wire, member)                     \
    VM_NAMED(wire ".ip", i8, int8_t, E1000, tx.member.ip), \
        VM_NAMED(wire ".tcp", i8, int8_t, E1000, tx.member.tcp)

static const VmState vmstate_tso = {
    .name = "e1000/tx_tso_state",
    .version = 1,
    .minimum_version = 1,
    .needed = tso_needed,
    .fields = (const VmField[]){ CONTEXT_FIELDS_1("tx.tso_props", tso_props),
                                 CONTEXT_FIELDS_2("tx.tso_props", tso_props), VM_END },
};

static const VmState vmstate_done = {
    .name = "e1000/tx_done",
    .version = 1,
    .minimum_version = 1,
    .needed = done_needed,
    .post_load = done_post_load,
    .fields = (const VmField[]){ VM_NAMED("tx.done", u32, uint32_t, E1000, tx.done), VM_END },
};

#define MAC_FIELD(name) VM_NAMED("mac_reg[" #name "]", u32, uint32_t, E1000, mac[E1000_##name >> 2])
#define MAC_FIELDS(wire, first, count)                                                       \
    {                                                                                        \
        .name = (wire), .offset = offsetof(E1000, mac) + (first), .size = 4, .num = (count), \
        .shape = VM_ARRAY, .kind = &vm_kind_u32                                              \
    }

static const VmState vmstate_e1000 = {
    .name = "e1000",
    .version = 2,
    .minimum_version = 1,
    .pre_save = e1000_pre_save,
    .pre_load = e1000_pre_load,
    .post_load = e1000_post_load,
    .fields =
        (const VmField[]){
            VM_NAMED_STRUCT("parent_obj", E1000, pci, vmstate_pci_device, PciDevice),
            { .name = "unused[1]", .size = 4, .shape = VM_BUFFER, .kind = &vm_kind_unused },
            VM_U32(E1000, rxbuf_size),
            VM_U32(E1000, rxbuf_min_shift),
            VM_NAMED("eecd_state.val_in", u32, uint32_t, E1000, eecd.val_in),
            VM_NAMED("eecd_state.bitnum_in", u16, uint16_t, E1000, eecd.bitnum_in),
            VM_NAMED("eecd_state.bitnum_out", u16, uint16_t, E1000, eecd.bitnum_out),
            VM_NAMED("eecd_state.reading", u16, uint16_t, E1000, eecd.reading),
            VM_NAMED("eecd_state.old_eecd", u32, uint32_t, E1000, eecd.old_eecd),
            CONTEXT_FIELDS_1("mig_props", saved_props),
            VM_NAMED("tx.size", u16, uint16_t, E1000, tx.size),
            VM_NAMED("tx.tso_frames", u16, uint16_t, E1000, tx.tso_frames),
            VM_NAMED("tx.sum_needed", u8, uint8_t, E1000, tx.sum_needed),
            CONTEXT_FIELDS_2("mig_props", saved_props),
            VM_NAMED_BYTES("tx.header", E1000, tx.header),
            VM_NAMED_BYTES("tx.data", E1000, tx.data),
            VM_NAMED_ARRAY("eeprom_data", u16, uint16_t, E1000, eeprom, E1000_EEPROM_WORDS),
            VM_NAMED_ARRAY("phy_reg", u16, uint16_t, E1000, phy, E1000_PHY_REGISTERS),
            MAC_FIELD(CTRL),
            MAC_FIELD(EECD),
            MAC_FIELD(EERD),
            MAC_FIELD(GPRC),
            MAC_FIELD(GPTC),
            MAC_FIELD(ICR),
            MAC_FIELD(ICS),
            MAC_FIELD(IMC),
            MAC_FIELD(IMS),
            MAC_FIELD(LEDCTL),
            MAC_FIELD(MANC),
            MAC_FIELD(MDIC),
            MAC_FIELD(MPC),
            MAC_FIELD(PBA),
            MAC_FIELD(RCTL),
            MAC_FIELD(RDBAH),
            MAC_FIELD(RDBAL),
            MAC_FIELD(RDH),
            MAC_FIELD(RDLEN),
            MAC_FIELD(RDT),
            MAC_FIELD(STATUS),
            MAC_FIELD(SWSM),
            MAC_FIELD(TCTL),
            MAC_FIELD(TDBAH),
            MAC_FIELD(TDBAL),
            MAC_FIELD(TDH),
            MAC_FIELD(TDLEN),
            MAC_FIELD(TDT),
            MAC_FIELD(TORH),
            MAC_FIELD(TORL),
            MAC_FIELD(TOTH),
            MAC_FIELD(TOTL),
            MAC_FIELD(TPR),
            MAC_FIELD(TPT),
            MAC_FIELD(TXDCTL),
            MAC_FIELD(WUFC),
            MAC_FIELD(VET),
            MAC_FIELDS("mac_reg[0]", E1000_RA, E1000_RA_COUNT),
            MAC_FIELDS("mac_reg[1]", E1000_MTA, E1000_MTA_COUNT),
            MAC_FIELDS("mac_reg[2]", E1000_VFTA, E1000_VFTA_COUNT),
            VM_END },
    .subsections = (const VmState *const[]){ &vmstate_mit, &vmstate_full, &vmstate_tso, &vmstate_done, NULL },
};

/* ---- registration ------------------------------------------------------------------------------------------------------- */

static const Property e1000_properties[] = {
    NIC_PROPERTIES(E1000, conf),
    PROPERTY_BOOL("extra_mac_registers", E1000, extra_registers, "on", NULL),
    PROPERTY_BOOL("migrate_tso_props", E1000, migrate_tso, "on", NULL),
    PROPERTY_BOOL("init-vet", E1000, init_vet, "on", NULL),
    {},
};

static const DeviceType e1000_base_type = {
    .object = {
        .name = "e1000-base",
        .parent = &pci_device_type.object,
        .size = sizeof(E1000),
        .abstract = true,
        .init = e1000_init,
        .properties = e1000_properties,
    },
    .category = DEVICE_CATEGORY_NETWORK,
    .migration = MIGRATES_WITH(vmstate_e1000),
};
DEVICE_REGISTER(e1000_base_type);

#define E1000_TYPE(symbol, name_, device_id_, phy_id2_, description_) \
    static const PciDeviceOps symbol##_ops = {                        \
        .realize = e1000_realize,                                     \
        .unrealize = e1000_unrealize,                                 \
        .reset = e1000_reset,                                         \
        .config_written = e1000_config_written,                       \
        .vendor_id = PCI_VENDOR_INTEL,                                \
        .device_id = (device_id_),                                    \
        .class_id = 0x0200,                                           \
        .revision = 3,                                                \
        .interrupt_pin = 1,                                           \
        .romfile = "efi-e1000.rom",                                   \
    };                                                                \
    static const E1000Type symbol##_type = {                                    \
        .device = {                                                             \
            .object = {                                                         \
                .name = (name_),                                                \
                .parent = &e1000_base_type.object,                              \
                .size = sizeof(E1000),                                          \
                .description = (description_),                                  \
            },                                                                  \
            .category = DEVICE_CATEGORY_NETWORK,                                \
            .migration = MIGRATES_WITH(vmstate_e1000),                          \
            .ops = &symbol##_ops,                                               \
        },                                                                      \
        .model = { (device_id_), (phy_id2_) },                                  \
    }

E1000_TYPE(e1000_82540em, "e1000", 0x100e, 0x0c20, "Intel Gigabit Ethernet");
E1000_TYPE(e1000_82544gc, "e1000-82544gc", 0x100c, 0x0c30, "Intel Gigabit Ethernet");
E1000_TYPE(e1000_82545em, "e1000-82545em", 0x100f, 0x0c20, "Intel Gigabit Ethernet");

static void __attribute__((constructor)) register_cards(void)
{
    device_type_register(&e1000_82540em_type.device);
    device_type_register(&e1000_82544gc_type.device);
    device_type_register(&e1000_82545em_type.device);
}
