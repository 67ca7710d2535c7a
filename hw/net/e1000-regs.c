/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * e1000: the registers as the guest sees them (SDM chapter 13). A table says for each range what reading and writing do;
 * what is in none of them reads as 0 and ignores writes, as the I/O window does.
 */
#include "util/osdep.h"
#include "e1000.h"

typedef uint32_t RegisterRead(E1000 *s, unsigned reg);
typedef void RegisterWrite(E1000 *s, unsigned reg, uint32_t value);

/* ---- reading ------------------------------------------------------------------------------------------------------ */

static uint32_t read_plain(E1000 *s, unsigned reg)
{
    return E1000_REG(s, reg);
}

/* Statistics are cleared by reading. */
static uint32_t read_clear(E1000 *s, unsigned reg)
{
    uint32_t value = E1000_REG(s, reg);

    E1000_REG(s, reg) = 0;
    return value;
}

/* The upper half of a counter of 64 bits: reading it clears both. */
static uint32_t read_clear_pair(E1000 *s, unsigned reg)
{
    E1000_REG(s, reg - 4) = 0;
    return read_clear(s, reg);
}

static uint32_t read_icr(E1000 *s, unsigned reg)
{
    return e1000_take_causes(s);
}

static uint32_t read_eecd(E1000 *s, unsigned reg)
{
    return e1000_eecd_read(s);
}

static uint32_t read_eerd(E1000 *s, unsigned reg)
{
    return e1000_eerd_read(s);
}

/* ---- writing ------------------------------------------------------------------------------------------------------- */

static void write_plain(E1000 *s, unsigned reg, uint32_t value)
{
    E1000_REG(s, reg) = value;
}

static void write_4(E1000 *s, unsigned reg, uint32_t value)
{
    E1000_REG(s, reg) = value & 0xf;
}

static void write_11(E1000 *s, unsigned reg, uint32_t value)
{
    E1000_REG(s, reg) = value & 0x7ff;
}

static void write_13(E1000 *s, unsigned reg, uint32_t value)
{
    E1000_REG(s, reg) = value & 0x1fff;
}

static void write_16(E1000 *s, unsigned reg, uint32_t value)
{
    E1000_REG(s, reg) = value & 0xffff;
}

/* Lengths of rings: multiples of 128 bytes. */
static void write_length(E1000 *s, unsigned reg, uint32_t value)
{
    E1000_REG(s, reg) = value & 0xfff80;
}

static void write_ctrl(E1000 *s, unsigned reg, uint32_t value)
{
    if (value & CTRL_RST) {
        e1000_software_reset(s);
    }
    E1000_REG(s, E1000_CTRL) = value & ~CTRL_RST;
}

static void write_eecd(E1000 *s, unsigned reg, uint32_t value)
{
    e1000_eecd_write(s, value);
}

static void write_mdic(E1000 *s, unsigned reg, uint32_t value)
{
    e1000_phy_write_mdic(s, value);
}

static void write_icr(E1000 *s, unsigned reg, uint32_t value)
{
    e1000_clear_causes(s, value);
}

static void write_ics(E1000 *s, unsigned reg, uint32_t value)
{
    e1000_raise(s, value);
}

static void write_ims(E1000 *s, unsigned reg, uint32_t value)
{
    e1000_set_ims(s, E1000_REG(s, E1000_IMS) | value);
}

static void write_imc(E1000 *s, unsigned reg, uint32_t value)
{
    e1000_set_ims(s, E1000_REG(s, E1000_IMS) & ~value);
}

static void write_rctl(E1000 *s, unsigned reg, uint32_t value)
{
    E1000_REG(s, E1000_RCTL) = value;
    e1000_rx_configure(s);
    net_flush(nic_queue(&s->nic, 0));
}

static void write_rdt(E1000 *s, unsigned reg, uint32_t value)
{
    E1000_REG(s, E1000_RDT) = value & 0xffff;
    net_flush(nic_queue(&s->nic, 0));
}

static void write_tctl(E1000 *s, unsigned reg, uint32_t value)
{
    E1000_REG(s, reg) = value;
    E1000_REG(s, E1000_TDT) &= 0xffff;
    e1000_transmit(s);
}

/* Another descriptor, of which nothing has been taken. */
static void write_tdh(E1000 *s, unsigned reg, uint32_t value)
{
    write_16(s, reg, value);
    s->tx.done = 0;
}

static void write_tdt(E1000 *s, unsigned reg, uint32_t value)
{
    E1000_REG(s, E1000_TDT) = value & 0xffff;
    e1000_transmit(s);
}

/* Receive addresses; the first one is the card's. */
static void write_address(E1000 *s, unsigned reg, uint32_t value)
{
    E1000_REG(s, reg) = value;
    if (reg == E1000_RA + 4) {
        e1000_show_address(s);
    }
}

/* ---- the table -------------------------------------------------------------------------------------------------------- */

typedef struct RegisterRange {
    unsigned first, last; /* offsets, inclusive */
    RegisterRead *read;
    RegisterWrite *write;
    bool extra; /* there only with extra_mac_registers=on */
} RegisterRange;

/* Sorted. */
static const RegisterRange ranges[] = {
    { E1000_CTRL, E1000_CTRL, read_plain, write_ctrl, false },
    { E1000_STATUS, E1000_STATUS, read_plain, NULL, false },
    { E1000_EECD, E1000_EECD, read_eecd, write_eecd, false },
    { E1000_EERD, E1000_EERD, read_eerd, write_plain, false },
    { E1000_MDIC, E1000_MDIC, read_plain, write_mdic, false },
    { E1000_VET, E1000_VET, read_plain, write_plain, false },
    { E1000_ICR, E1000_ICR, read_icr, write_icr, false },
    { E1000_ITR, E1000_ITR, read_plain, write_16, false },
    { E1000_ICS, E1000_ICS, read_plain, write_ics, false },
    { E1000_IMS, E1000_IMS, read_plain, write_ims, false },
    { E1000_IMC, E1000_IMC, read_plain, write_imc, false },
    { E1000_RCTL, E1000_RCTL, read_plain, write_rctl, false },
    { E1000_TCTL, E1000_TCTL, read_plain, write_tctl, false },
    { E1000_AIT, E1000_AIT, read_plain, write_16, true },
    { E1000_LEDCTL, E1000_LEDCTL, read_plain, write_plain, false },
    { E1000_PBA, E1000_PBA, read_plain, write_plain, false },
    { E1000_RDFH + 0, E1000_RDFH + 0, read_plain, write_13, true },
    { E1000_RDFH + 8, E1000_RDFH + 8, read_plain, write_13, true },
    { E1000_RDFH + 16, E1000_RDFH + 16, read_plain, write_13, true },
    { E1000_RDFH + 24, E1000_RDFH + 24, read_plain, write_13, true },
    { E1000_RDFH + 32, E1000_RDFH + 32, read_plain, write_13, true },
    { E1000_RDBAL, E1000_RDBAH, read_plain, write_plain, false },
    { E1000_RDLEN, E1000_RDLEN, read_plain, write_length, false },
    { E1000_RDH, E1000_RDH, read_plain, write_16, false },
    { E1000_RDT, E1000_RDT, read_plain, write_rdt, false },
    { E1000_RDTR, E1000_RDTR, read_plain, write_16, false },
    { E1000_RADV, E1000_RADV, read_plain, write_16, false },
    { E1000_TDFH, E1000_TDFH, read_plain, write_11, true },
    { E1000_TDFT, E1000_TDFT, read_plain, write_11, true },
    { E1000_TDFHS + 0, E1000_TDFHS + 0, read_plain, write_13, true },
    { E1000_TDFHS + 8, E1000_TDFHS + 8, read_plain, write_13, true },
    { E1000_TDFHS + 16, E1000_TDFHS + 16, read_plain, write_13, true },
    { E1000_TDBAL, E1000_TDBAH, read_plain, write_plain, false },
    { E1000_TDLEN, E1000_TDLEN, read_plain, write_length, false },
    { E1000_TDH, E1000_TDH, read_plain, write_tdh, false },
    { E1000_TDT, E1000_TDT, read_plain, write_tdt, false },
    { E1000_TXDCTL, E1000_TXDCTL, read_plain, write_plain, false },
    { E1000_TADV, E1000_TADV, read_plain, write_16, false },
    { E1000_STATISTICS, E1000_GPTC + 4, read_clear, NULL, true },
    { E1000_GORCL, E1000_GORCL, read_plain, NULL, true },
    { E1000_GORCL + 4, E1000_GORCL + 4, read_clear_pair, NULL, true },
    { E1000_GOTCL, E1000_GOTCL, read_plain, NULL, true },
    { E1000_GOTCL + 4, E1000_GOTCL + 4, read_clear_pair, NULL, true },
    { E1000_GOTCL + 8, E1000_TORL - 4, read_clear, NULL, true },
    { E1000_TORL, E1000_TORL, read_plain, NULL, false },
    { E1000_TORH, E1000_TORH, read_clear_pair, NULL, false },
    { E1000_TOTL, E1000_TOTL, read_plain, NULL, false },
    { E1000_TOTH, E1000_TOTH, read_clear_pair, NULL, false },
    { E1000_TPR, E1000_TPT, read_clear, NULL, false },
    { E1000_PTC64, E1000_STATISTICS_END, read_clear, NULL, true },
    { E1000_MTA, E1000_MTA + 4 * E1000_MTA_COUNT - 4, read_plain, write_plain, false },
    { E1000_RA, E1000_RA + 4 * E1000_RA_COUNT - 4, read_plain, write_address, false },
    { E1000_VFTA, E1000_VFTA + 4 * E1000_VFTA_COUNT - 4, read_plain, write_plain, false },
    { E1000_WUC, E1000_WUC, read_plain, write_plain, true },
    { E1000_WUFC, E1000_WUFC, read_plain, write_plain, false },
    { E1000_WUS, E1000_WUS, read_plain, write_plain, true },
    { E1000_MANC, E1000_MANC, read_plain, NULL, false },
    { E1000_IPAV, E1000_IPAV, read_plain, write_plain, true },
    { E1000_IP4AT, E1000_IP4AT + 0x18, read_plain, write_plain, true },
    { E1000_IP6AT, E1000_IP6AT + 0xc, read_plain, write_plain, true },
    { E1000_WUPM, E1000_WUPM + 0x7c, read_plain, write_plain, true },
    { E1000_SWSM, E1000_SWSM, read_plain, write_plain, false },
    { E1000_FFLT, E1000_FFLT + 0x18, read_plain, write_11, true },
    { E1000_FFMT, E1000_FFMT + 0x3f8, read_plain, write_4, true },
    { E1000_FFVT, E1000_FFVT + 0x3f8, read_plain, write_plain, true },
    { E1000_PBM, E1000_MMIO_SIZE - 4, read_plain, write_plain, true },
};

/* Registers among the statistics that are there for all machines. */
static bool always_there(unsigned reg)
{
    return reg == E1000_MPC || reg == E1000_GPRC || reg == E1000_GPTC;
}

static int compare_range(const void *key, const void *range)
{
    unsigned reg = *(const unsigned *)key;
    const RegisterRange *r = range;

    return reg < r->first ? -1 : reg > r->last ? 1 : 0;
}

static const RegisterRange *find_range(const E1000 *s, unsigned reg)
{
    const RegisterRange *r =
        bsearch(&reg, ranges, G_N_ELEMENTS(ranges), sizeof(ranges[0]), compare_range);

    return r && (!r->extra || s->extra_registers || always_there(reg)) ? r : NULL;
}

static uint64_t e1000_mmio_read(void *opaque, hwaddr offset, unsigned size)
{
    E1000 *s = opaque;
    unsigned reg = offset & (E1000_MMIO_SIZE - 4);
    const RegisterRange *range = find_range(s, reg);

    return range && range->read ? range->read(s, reg) : 0;
}

static void e1000_mmio_write(void *opaque, hwaddr offset, uint64_t value, unsigned size)
{
    E1000 *s = opaque;
    unsigned reg = offset & (E1000_MMIO_SIZE - 4);
    const RegisterRange *range = find_range(s, reg);

    if (range && range->write) {
        range->write(s, reg, value);
    }
}

static uint64_t e1000_io_read(void *opaque, hwaddr offset, unsigned size)
{
    return 0;
}

static void e1000_io_write(void *opaque, hwaddr offset, uint64_t value, unsigned size)
{
}

/* Registers are 32 bits wide; a narrower access is a part of one. */
const MemoryOps e1000_mmio_ops = {
    .read = e1000_mmio_read,
    .write = e1000_mmio_write,
    .impl = { .min_size = 4, .max_size = 4 },
};
const MemoryOps e1000_io_ops = { .read = e1000_io_read, .write = e1000_io_write };
