/* SPDX-License-Identifier: GPL-2.0-or-later */
/* e1000: the PHY behind MDIC (SDM chapter 11, 13.2), and the EEPROM (SDM chapter 5). */
#include "util/osdep.h"
#include "e1000.h"

#define AUTONEG_TIME (500 * NS_PER_MS)
#define PHY_ADDRESS 1
#define EEPROM_SUM 0xbaba /* of all its words */
#define EEPROM_DEVICE_ID 11
#define EEPROM_DEVICE_ID_COPY 13

/* ---- PHY --------------------------------------------------------------------------------------------------------- */

static const uint16_t phy_values[E1000_PHY_REGISTERS] = {
    [PHY_CONTROL] = 0x1140, /* 1000 Mbit/s, full duplex, negotiates */
    [PHY_STATUS] = 0x794d,  /* can do everything; link up */
    [PHY_ID1] = 0x0141,
    [PHY_ADVERTISE] = 0x0de1,
    [PHY_PARTNER] = 0x01e0,
    [PHY_1000_CONTROL] = 0x0e00,
    [PHY_1000_STATUS] = 0x3c00,
    [PHY_SPECIFIC_CONTROL] = 0x0360,
    [PHY_SPECIFIC_STATUS] = 0xac00,
    [PHY_EXTENDED_CONTROL] = 0x0d60,
};

static const uint32_t phy_readable =
    1u << PHY_CONTROL | 1u << PHY_STATUS | 1u << PHY_ID1 | 1u << PHY_ID2 | 1u << PHY_ADVERTISE |
    1u << PHY_PARTNER | 1u << PHY_EXPANSION | 1u << PHY_1000_CONTROL | 1u << PHY_1000_STATUS |
    1u << PHY_SPECIFIC_CONTROL | 1u << PHY_SPECIFIC_STATUS | 1u << PHY_EXTENDED_CONTROL |
    1u << PHY_RX_ERRORS;
static const uint32_t phy_writable = 1u << PHY_CONTROL | 1u << PHY_ADVERTISE |
                                     1u << PHY_1000_CONTROL | 1u << PHY_SPECIFIC_CONTROL |
                                     1u << PHY_EXTENDED_CONTROL;

static void link_registers(E1000 *s, bool up)
{
    if (up) {
        E1000_REG(s, E1000_STATUS) |= STATUS_LU;
        s->phy[PHY_STATUS] |= PHY_STATUS_LINK;
    } else {
        E1000_REG(s, E1000_STATUS) &= ~STATUS_LU;
        s->phy[PHY_STATUS] &= ~(PHY_STATUS_LINK | PHY_STATUS_AUTONEG_DONE);
        s->phy[PHY_PARTNER] &= ~PHY_PARTNER_ACK;
    }
}

static bool negotiating(const E1000 *s)
{
    return s->phy[PHY_CONTROL] & PHY_CONTROL_AUTONEG &&
           !(s->phy[PHY_STATUS] & PHY_STATUS_AUTONEG_DONE);
}

static void negotiate(E1000 *s)
{
    link_registers(s, false);
    timer_mod(&s->autoneg, clock_get_ns(CLOCK_VIRTUAL) + AUTONEG_TIME);
}

void e1000_autoneg_done(void *opaque)
{
    E1000 *s = opaque;

    if (nic_queue(&s->nic, 0)->link_down) {
        return;
    }
    link_registers(s, true);
    s->phy[PHY_PARTNER] |= PHY_PARTNER_ACK;
    s->phy[PHY_STATUS] |= PHY_STATUS_AUTONEG_DONE;
    e1000_raise(s, ICR_LSC);
    net_flush(nic_queue(&s->nic, 0));
}

void e1000_autoneg_resume(E1000 *s)
{
    /* Also a link that never negotiated after reset is "up" with negotiation not done: that one stays as it is. */
    if (negotiating(s) && s->phy[PHY_CONTROL] & PHY_CONTROL_RESTART) {
        timer_mod(&s->autoneg, clock_get_ns(CLOCK_VIRTUAL) + AUTONEG_TIME);
    }
}

void e1000_link_changed(NetClient *nc)
{
    E1000 *s = nc->opaque;
    uint32_t before = E1000_REG(s, E1000_STATUS);

    if (nc->link_down) {
        link_registers(s, false);
        timer_del(&s->autoneg);
    } else if (s->phy[PHY_CONTROL] & PHY_CONTROL_AUTONEG) {
        s->phy[PHY_CONTROL] |= PHY_CONTROL_RESTART; /* a move in between finds it so */
        negotiate(s);
    } else {
        link_registers(s, true);
    }
    if (E1000_REG(s, E1000_STATUS) != before) {
        e1000_raise(s, ICR_LSC);
    }
}

void e1000_phy_reset(E1000 *s)
{
    memcpy(s->phy, phy_values, sizeof(s->phy));
    s->phy[PHY_ID2] = e1000_model(s)->phy_id2;
    timer_del(&s->autoneg);
    link_registers(s, !nic_queue(&s->nic, 0)->link_down);
}

static void phy_control(E1000 *s, uint16_t value)
{
    s->phy[PHY_CONTROL] = value & ~(PHY_CONTROL_RESERVED | PHY_CONTROL_RESET | PHY_CONTROL_RESTART);
    if (value & PHY_CONTROL_AUTONEG && value & PHY_CONTROL_RESTART) {
        s->phy[PHY_CONTROL] |= PHY_CONTROL_RESTART;
        negotiate(s);
    }
}

void e1000_phy_write_mdic(E1000 *s, uint32_t value)
{
    unsigned reg = value >> 16 & 0x1f;
    uint16_t data = value;

    if ((value >> 21 & 0x1f) != PHY_ADDRESS) {
        value = E1000_REG(s, E1000_MDIC) | MDIC_ERROR;
    } else if (value & MDIC_READ) {
        if (phy_readable >> reg & 1) {
            value = (value & ~0xffffu) | s->phy[reg];
        } else {
            value |= MDIC_ERROR;
        }
    } else if (value & MDIC_WRITE) {
        if (!(phy_writable >> reg & 1)) {
            value |= MDIC_ERROR;
        } else if (reg == PHY_CONTROL) {
            phy_control(s, data);
        } else {
            s->phy[reg] = data;
        }
    }
    E1000_REG(s, E1000_MDIC) = value | MDIC_READY;
    if (value & MDIC_INTERRUPT) {
        e1000_raise(s, ICR_MDAC);
    }
}

/* ---- EEPROM -------------------------------------------------------------------------------------------------------- */

static const uint16_t eeprom_values[E1000_EEPROM_WORDS] = {
    0x0000, 0x0000, 0x0000, 0x0000, 0xffff, 0x0000, 0x0000, 0x0000, /* 0: address */
    0x3000, 0x1000, 0x6403, 0x0000, 0x8086, 0x0000, 0x8086, 0x3040, /* 11, 13: device id */
    0x0008, 0x2000, 0x7e14, 0x0048, 0x1000, 0x00d8, 0x0000, 0x2700, 0x6cc9, 0x3150,
    0x0722, 0x040b, 0x0984, 0x0000, 0xc000, 0x0706, 0x1008, 0x0000, 0x0f04, 0x7fff,
    0x4d01, 0xffff, 0xffff, 0xffff, 0xffff, 0xffff, 0xffff, 0xffff, 0xffff, 0xffff,
    0xffff, 0xffff, 0x0100, 0x4000, 0x121c, 0xffff, 0xffff, 0xffff, 0xffff, 0xffff,
    0xffff, 0xffff, 0xffff, 0xffff, 0xffff, 0xffff, 0xffff, 0x0000, /* 63: checksum */
};

void e1000_eeprom_init(E1000 *s)
{
    uint16_t sum = 0;

    memcpy(s->eeprom, eeprom_values, sizeof(s->eeprom));
    for (unsigned i = 0; i < 3; i++) {
        s->eeprom[i] = s->conf.mac[2 * i] | s->conf.mac[2 * i + 1] << 8;
    }
    s->eeprom[EEPROM_DEVICE_ID] = s->eeprom[EEPROM_DEVICE_ID_COPY] = e1000_model(s)->device_id;
    for (unsigned i = 0; i < E1000_EEPROM_WORDS - 1; i++) {
        sum += s->eeprom[i];
    }
    s->eeprom[E1000_EEPROM_WORDS - 1] = EEPROM_SUM - sum;
}

enum {
    EECD_SK = 0x01,
    EECD_CS = 0x02,
    EECD_DI = 0x04,
    EECD_DO = 0x08,
    EECD_FWE = 0x30,
    EECD_REQUEST = 0x40,
    EECD_GRANT = 0x80,
    EECD_PRESENT = 0x100,
};
#define EEPROM_COMMAND_BITS 9 /* start bit, opcode, address of 6 bits */
#define EEPROM_READ 6         /* start bit and opcode */

uint32_t e1000_eecd_read(const E1000 *s)
{
    uint32_t value = EECD_PRESENT | EECD_GRANT | s->eecd.old_eecd;
    unsigned bit = s->eecd.bitnum_out;

    if (!s->eecd.reading || s->eeprom[bit >> 4 & 0x3f] >> (15 - (bit & 15)) & 1) {
        value |= EECD_DO;
    }
    return value;
}

/* A command comes in at rising edges; the data goes out bit by bit, the next one at each falling edge. */
void e1000_eecd_write(E1000 *s, uint32_t value)
{
    E1000Eecd *e = &s->eecd;
    uint32_t old = e->old_eecd;

    e->old_eecd = value & (EECD_SK | EECD_CS | EECD_DI | EECD_FWE | EECD_REQUEST);
    if (!(value & EECD_CS)) {
        return;
    }
    if (!(old & EECD_CS)) {
        e->val_in = 0;
        e->bitnum_in = e->bitnum_out = 0;
        e->reading = 0;
    }
    if (!((value ^ old) & EECD_SK)) {
        return;
    }
    if (!(value & EECD_SK)) {
        e->bitnum_out++;
        return;
    }
    e->val_in = e->val_in << 1 | (value & EECD_DI ? 1 : 0);
    if (++e->bitnum_in == EEPROM_COMMAND_BITS && !e->reading) {
        e->bitnum_out = ((e->val_in & 0x3f) << 4) - 1;
        e->reading = (e->val_in >> 6 & 7) == EEPROM_READ;
    }
}

uint32_t e1000_eerd_read(const E1000 *s)
{
    uint32_t value = E1000_REG(s, E1000_EERD);
    unsigned index = value >> 8;

    if (!(value & EERD_START)) {
        return value;
    }
    value &= ~EERD_START;
    if (index >= E1000_EEPROM_WORDS) {
        return value | EERD_DONE;
    }
    return value | EERD_DONE | (uint32_t)s->eeprom[index] << 16;
}
