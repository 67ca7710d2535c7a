/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * e1000: registers and state, shared by its files. Document: PCI/PCI-X Family of Gigabit Ethernet Controllers Software
 * Developer's Manual (8254x), Intel 317453; chapters are cited as SDM.
 */
#ifndef HW_NET_E1000_H
#define HW_NET_E1000_H

#include "hw/net/nic.h"
#include "hw/pci/pci.h"
#include "system/runstate.h"
#include "util/clock.h"
#include "util/main-loop.h"

#define E1000_MMIO_SIZE 0x20000
#define E1000_IO_SIZE 0x40
#define E1000_REGISTERS (E1000_MMIO_SIZE / 4)
#define E1000_EEPROM_WORDS 64
#define E1000_PHY_REGISTERS 32
#define E1000_DATA_MAX 0x10000 /* of one packet (segment) on its way out */
#define E1000_HEADER_MAX 256
#define E1000_DESCRIPTOR 16
#define E1000_FCS 4

/* Registers (SDM chapter 13). */
enum {
    E1000_CTRL = 0x0000,
    E1000_STATUS = 0x0008,
    E1000_EECD = 0x0010,
    E1000_EERD = 0x0014,
    E1000_MDIC = 0x0020,
    E1000_VET = 0x0038,
    E1000_ICR = 0x00c0,
    E1000_ITR = 0x00c4,
    E1000_ICS = 0x00c8,
    E1000_IMS = 0x00d0,
    E1000_IMC = 0x00d8,
    E1000_RCTL = 0x0100,
    E1000_TCTL = 0x0400,
    E1000_AIT = 0x0458,
    E1000_LEDCTL = 0x0e00,
    E1000_PBA = 0x1000,
    E1000_RDFH = 0x2410,
    E1000_RDFPC = 0x2430,
    E1000_RDBAL = 0x2800,
    E1000_RDBAH = 0x2804,
    E1000_RDLEN = 0x2808,
    E1000_RDH = 0x2810,
    E1000_RDT = 0x2818,
    E1000_RDTR = 0x2820,
    E1000_RADV = 0x282c,
    E1000_TDFH = 0x3410,
    E1000_TDFT = 0x3418,
    E1000_TDFHS = 0x3420,
    E1000_TDFPC = 0x3430,
    E1000_TDBAL = 0x3800,
    E1000_TDBAH = 0x3804,
    E1000_TDLEN = 0x3808,
    E1000_TDH = 0x3810,
    E1000_TDT = 0x3818,
    E1000_TXDCTL = 0x3828,
    E1000_TADV = 0x382c,
    E1000_STATISTICS = 0x4000, /* … 0x40fc */
    E1000_MPC = 0x4010,
    E1000_SCC = 0x4014,
    E1000_PRC64 = 0x405c, /* … PRC1522 at 0x4070 */
    E1000_GPRC = 0x4074,
    E1000_BPRC = 0x4078,
    E1000_MPRC = 0x407c,
    E1000_GPTC = 0x4080,
    E1000_GORCL = 0x4088,
    E1000_GOTCL = 0x4090,
    E1000_RNBC = 0x40a0,
    E1000_ROC = 0x40ac,
    E1000_TORL = 0x40c0,
    E1000_TORH = 0x40c4,
    E1000_TOTL = 0x40c8,
    E1000_TOTH = 0x40cc,
    E1000_TPR = 0x40d0,
    E1000_TPT = 0x40d4,
    E1000_PTC64 = 0x40d8, /* … PTC1522 at 0x40ec */
    E1000_MPTC = 0x40f0,
    E1000_BPTC = 0x40f4,
    E1000_TSCTC = 0x40f8,
    E1000_STATISTICS_END = 0x4124,
    E1000_MTA = 0x5200,
    E1000_RA = 0x5400,
    E1000_VFTA = 0x5600,
    E1000_WUC = 0x5800,
    E1000_WUFC = 0x5808,
    E1000_WUS = 0x5810,
    E1000_MANC = 0x5820,
    E1000_IPAV = 0x5838,
    E1000_IP4AT = 0x5840, /* four entries of 8 bytes */
    E1000_IP6AT = 0x5880,
    E1000_WUPM = 0x5a00,
    E1000_SWSM = 0x5b50,
    E1000_FFLT = 0x5f00,
    E1000_FFMT = 0x9000,
    E1000_FFVT = 0x9800,
    E1000_PBM = 0x10000,
};

enum { E1000_MTA_COUNT = 128, E1000_RA_COUNT = 32, E1000_VFTA_COUNT = 128 };

enum {
    CTRL_FD = 1u << 0,
    CTRL_SLU = 1u << 6,
    CTRL_RST = 1u << 26,
    CTRL_VME = 1u << 30,
    CTRL_PHY_RST = 1u << 31,
    STATUS_FD = 1u << 0,
    STATUS_LU = 1u << 1,
    EERD_START = 1u << 0,
    EERD_DONE = 1u << 4,
    MDIC_WRITE = 1u << 26,
    MDIC_READ = 1u << 27,
    MDIC_READY = 1u << 28,
    MDIC_INTERRUPT = 1u << 29,
    MDIC_ERROR = 1u << 30,
    RAH_AV = 1u << 31,
};

/* Interrupt causes (SDM 13.4.17). */
enum {
    ICR_TXDW = 1u << 0,
    ICR_TXQE = 1u << 1,
    ICR_LSC = 1u << 2,
    ICR_RXDMT0 = 1u << 4,
    ICR_RXO = 1u << 6,
    ICR_RXT0 = 1u << 7,
    ICR_MDAC = 1u << 9,
};

enum {
    RCTL_EN = 1u << 1,
    RCTL_SBP = 1u << 2,
    RCTL_UPE = 1u << 3,
    RCTL_MPE = 1u << 4,
    RCTL_LPE = 1u << 5,
    RCTL_LBM_SHIFT = 6, /* two bits */
    RCTL_RDMTS_SHIFT = 8,
    RCTL_MO_SHIFT = 12,
    RCTL_BAM = 1u << 15,
    RCTL_BSIZE_SHIFT = 16,
    RCTL_VFE = 1u << 18,
    RCTL_BSEX = 1u << 25,
    RCTL_SECRC = 1u << 26,
    TCTL_EN = 1u << 1,
};

/* PHY registers (SDM 13.2). */
enum {
    PHY_CONTROL = 0,
    PHY_STATUS = 1,
    PHY_ID1 = 2,
    PHY_ID2 = 3,
    PHY_ADVERTISE = 4,
    PHY_PARTNER = 5,
    PHY_EXPANSION = 6,
    PHY_1000_CONTROL = 9,
    PHY_1000_STATUS = 10,
    PHY_SPECIFIC_CONTROL = 16,
    PHY_SPECIFIC_STATUS = 17,
    PHY_EXTENDED_CONTROL = 20,
    PHY_RX_ERRORS = 21,
};

enum {
    PHY_CONTROL_RESET = 0x8000,
    PHY_CONTROL_LOOPBACK = 0x4000,
    PHY_CONTROL_AUTONEG = 0x1000,
    PHY_CONTROL_RESTART = 0x0200,
    PHY_CONTROL_FULL_DUPLEX = 0x0100,
    PHY_CONTROL_RESERVED = 0x003f,
    PHY_STATUS_LINK = 0x0004,
    PHY_STATUS_AUTONEG_DONE = 0x0020,
    PHY_PARTNER_ACK = 0x4000,
};

/* What a context descriptor says (SDM 3.3.6). The names are the stream's. */
typedef struct E1000Context {
    uint8_t ipcss, ipcso;
    uint16_t ipcse;
    uint8_t tucss, tucso;
    uint16_t tucse;
    uint32_t paylen;
    uint8_t hdr_len;
    uint16_t mss;
    int8_t ip, tcp; /* IPv4 (else IPv6); TCP (else UDP) */
} E1000Context;

/* The packet on its way out, between descriptors. */
typedef struct E1000Tx {
    uint8_t header[E1000_HEADER_MAX]; /* of a segmented packet, as the guest gave it */
    uint8_t data[E1000_DATA_MAX];
    uint16_t size;
    uint16_t tso_frames; /* segments that are out */
    uint32_t done;       /* T4: bytes of the head's descriptor that have been taken */
    uint8_t sum_needed;  /* POPTS of the packet's first descriptor */
    E1000Context props, tso_props;
    E1000Context saved_props; /* scratch of the description: one that stands for both */
    bool last_was_tso;        /* the last context descriptor */
} E1000Tx;

/* The EEPROM's serial interface (Microwire). */
typedef struct E1000Eecd {
    uint32_t val_in; /* bits shifted in since it was selected */
    uint16_t bitnum_in, bitnum_out;
    uint16_t reading;
    uint32_t old_eecd;
} E1000Eecd;

typedef struct E1000 {
    PciDevice pci;
    NicConf conf;
    Nic nic;
    bool extra_registers, migrate_tso, init_vet; /* properties */
    MemoryRegion *mmio, *io;

    uint32_t mac[E1000_REGISTERS];
    uint16_t phy[E1000_PHY_REGISTERS];
    uint16_t eeprom[E1000_EEPROM_WORDS];
    uint32_t rxbuf_size, rxbuf_min_shift; /* follow from RCTL */
    E1000Tx tx;
    E1000Eecd eecd;

    Timer autoneg;
    Timer mitigation; /* while it runs, a new interrupt waits for it */
    bool mitigated;   /* it runs */
    bool irq_level;
    bool delay_wanted;       /* a descriptor with IDE was done */
    unsigned burst;          /* frames that have left in this go */
    Bh *go_on;               /* the rest of a ring that takes longer than one go */
    VmStateEntry *vm_state;
    bool sending, receiving; /* a device that is its own guest memory must not be entered twice */
} E1000;

#define E1000_REG(s, r) ((s)->mac[(r) >> 2])

/* What a model is called and how it identifies itself. */
typedef struct E1000Model {
    uint16_t device_id, phy_id2;
} E1000Model;
const E1000Model *e1000_model(const E1000 *s);

/* e1000.c */
void e1000_raise(E1000 *s, uint32_t causes);
void e1000_set_ims(E1000 *s, uint32_t ims);
uint32_t e1000_take_causes(E1000 *s);
void e1000_clear_causes(E1000 *s, uint32_t causes);
void e1000_software_reset(E1000 *s);
void e1000_count(E1000 *s, unsigned reg);
void e1000_count_octets(E1000 *s, unsigned low, uint64_t n);
/* The counter of packets of that length: PRC64, PTC64 and those behind them. */
void e1000_count_size(E1000 *s, unsigned first, size_t len);
void e1000_show_address(E1000 *s);

/* e1000-phy.c: PHY and EEPROM */
void e1000_phy_reset(E1000 *s);
void e1000_phy_write_mdic(E1000 *s, uint32_t value);
void e1000_link_changed(NetClient *nc);
void e1000_autoneg_done(void *opaque);
/* After a load: goes on with what the registers say was going on. */
void e1000_autoneg_resume(E1000 *s);
void e1000_eeprom_init(E1000 *s);
uint32_t e1000_eecd_read(const E1000 *s);
void e1000_eecd_write(E1000 *s, uint32_t value);
uint32_t e1000_eerd_read(const E1000 *s);

/* e1000-regs.c */
extern const MemoryOps e1000_mmio_ops, e1000_io_ops;

/* e1000-tx.c */
/* Sends what is in the ring; what takes too long at once later, as long as the machine runs. */
void e1000_transmit(E1000 *s);

/* e1000-rx.c */
bool e1000_can_receive(NetClient *nc);
bool e1000_receive(NetClient *nc, const struct iovec *iov, unsigned niov, size_t len);
/* A packet from the card itself (loopback), or from receive(). */
bool e1000_receive_frame(E1000 *s, const uint8_t *frame, size_t len);
void e1000_rx_configure(E1000 *s);
RxFilterInfo *e1000_query_rx_filter(NetClient *nc, GError **error);

#endif
