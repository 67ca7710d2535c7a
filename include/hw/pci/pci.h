/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * PCI bus and conventional PCI devices (PCI Local Bus Specification 3.0).
 *
 * P1  A device's configuration space is changed by the guest only through its write masks.
 * P2  A BAR is mapped exactly while its decode bit is set and its address is valid.
 * P3  The level of an interrupt pin is the device's; the bus counts raised pins per line.
 */
#ifndef HW_PCI_PCI_H
#define HW_PCI_PCI_H

#include "hw/core/device.h"
#include "system/memory.h"

#define PCI_CONFIG_SIZE 256
#define PCI_NUM_BARS 6
#define PCI_ROM_BAR 6    /* the expansion ROM, in the same table */
#define PCI_NUM_REGIONS 7
#define PCI_NUM_PINS 4
#define PCI_DEVFN(slot, function) (((slot) & 0x1f) << 3 | ((function) & 7))
#define PCI_SLOT(devfn) ((devfn) >> 3 & 0x1f)
#define PCI_FUNCTION(devfn) ((devfn) & 7)

/* Configuration space header, type 0 (PCI 3.0, chapter 6.1). */
enum {
    PCI_VENDOR_ID = 0x00,
    PCI_DEVICE_ID = 0x02,
    PCI_COMMAND = 0x04,
    PCI_STATUS = 0x06,
    PCI_REVISION_ID = 0x08,
    PCI_CLASS_PROG = 0x09,
    PCI_CLASS_DEVICE = 0x0a,
    PCI_CACHE_LINE_SIZE = 0x0c,
    PCI_LATENCY_TIMER = 0x0d,
    PCI_HEADER_TYPE = 0x0e,
    PCI_BAR_0 = 0x10,
    PCI_SUBSYSTEM_VENDOR_ID = 0x2c,
    PCI_SUBSYSTEM_ID = 0x2e,
    PCI_ROM_ADDRESS = 0x30,
    PCI_CAPABILITY_LIST = 0x34,
    PCI_INTERRUPT_LINE = 0x3c,
    PCI_INTERRUPT_PIN = 0x3d,
};

enum {
    PCI_COMMAND_IO = 0x0001,
    PCI_COMMAND_MEMORY = 0x0002,
    PCI_COMMAND_MASTER = 0x0004,
    PCI_COMMAND_PARITY = 0x0040,
    PCI_COMMAND_SERR = 0x0100,
    PCI_COMMAND_INTX_DISABLE = 0x0400,
    PCI_STATUS_INTERRUPT = 0x0008,
    PCI_STATUS_FAST_BACK = 0x0080,
    PCI_STATUS_DEVSEL_MEDIUM = 0x0200,
    PCI_HEADER_TYPE_MULTI_FUNCTION = 0x80,
    PCI_STATUS_CAPABILITIES = 0x0010,
    PCI_BAR_SPACE_IO = 0x01,
    PCI_BAR_MEM_64 = 0x04, /* takes the next BAR's register too */
    PCI_BAR_MEM_PREFETCH = 0x08,
};

enum {
    PCI_VENDOR_INTEL = 0x8086,
    PCI_SUBVENDOR_DEFAULT = 0x1af4,
    PCI_SUBDEVICE_DEFAULT = 0x1100,
};

/* Capability IDs (PCI 3.0, appendix H). */
enum {
    PCI_CAP_MSI = 0x05,
    PCI_CAP_VENDOR = 0x09,
    PCI_CAP_MSIX = 0x11,
};

typedef struct PciBus PciBus;
typedef struct PciDevice PciDevice;
typedef struct MsixState MsixState;

/*
 * DeviceType.ops of a PCI device: its identity, its life cycle, and hooks into its configuration space.
 * A PCI device's record leaves realize, unrealize and reset of DeviceType NULL (inherited) and gives them
 * here: the common part runs first on the way up and last on the way down.
 */
typedef struct PciDeviceOps {
    bool (*realize)(PciDevice *dev, GError **error);
    void (*unrealize)(PciDevice *dev); /* NULL: nothing; regions given to pci_set_bar() are freed by it */
    void (*reset)(PciDevice *dev);     /* NULL: nothing; the header is reset already */
    uint16_t vendor_id, device_id;
    uint16_t class_id;             /* base class << 8 | sub-class */
    uint8_t prog_if, revision;
    uint8_t interrupt_pin;         /* 0: none, 1…4: INTA#…INTD# */
    const char *romfile;           /* default of the property, found in the data folders; NULL: none */
    /* After the write to config[addr, addr + len) took effect and BARs were remapped. NULL: nothing. */
    void (*config_written)(PciDevice *dev, unsigned addr, unsigned len);
    /* In place of the plain read. NULL: config bytes. */
    uint32_t (*config_read)(PciDevice *dev, unsigned addr, unsigned len);
} PciDeviceOps;

typedef struct PciBar {
    MemoryRegion *region;          /* NULL: the device has no such BAR */
    MemoryRegion *space;           /* where it is mapped now, NULL while it is not */
    uint8_t type;                  /* PCI_BAR_SPACE_IO or memory flags */
    uint64_t size;
} PciBar;

struct PciDevice {
    Device device;
    int32_t devfn;                 /* property "addr"; -1: first free slot */
    bool multifunction;
    uint32_t acpi_index;           /* property: the number that the guest's name for it is made of; 0: none */
    uint8_t config[PCI_CONFIG_SIZE];
    uint8_t wmask[PCI_CONFIG_SIZE];   /* bits that the guest can write */
    uint8_t w1cmask[PCI_CONFIG_SIZE]; /* bits that a written 1 clears */
    uint8_t cmask[PCI_CONFIG_SIZE];   /* bits that must be equal in an incoming stream */
    uint8_t capability_bytes[PCI_CONFIG_SIZE / 8]; /* private: where capabilities are */
    PciBar bars[PCI_NUM_REGIONS];
    char *romfile;                 /* property; "": none */
    uint32_t romsize, rombar;      /* properties: size of the ROM (UINT32_MAX: as the file needs), 0: no BAR for it */
    uint32_t irq_state;            /* bit per pin (0…3): the level that the device drives */
    uint32_t irq_counted;          /* bit per pin: what the bus counts (irq_state, unless INTx is disabled) */
    struct MsixState *msix;        /* msix.c; NULL: the device has no MSI-X */
    int32_t saved_version;         /* scratch of the description in pci.c */
};

extern const DeviceType pci_device_type;
extern const BusType pci_bus_type;
extern const BusType pcie_bus_type; /* a PCI bus whose devices may be PCI Express ones */
#define PCI_DEVICE(obj) ((PciDevice *)(obj))

/* Embedded state of a PCI device: first field of its own description, named "dev" (or as stock says). */
extern const VmState vmstate_pci_device;
#define VM_PCI_DEVICE(state, member)                                                        \
    { .name = #member, .offset = offsetof(state, member), .size = sizeof(PciDevice),         \
      .vmstate = &vmstate_pci_device }

/* Gives BAR n of a device being realized: region is I/O or memory by type and owned by the device, which
 * frees it in unrealize. size is a power of two, at least the region's. */
void pci_set_bar(PciDevice *dev, int n, uint8_t type, MemoryRegion *region, uint64_t size);
/*
 * Adds a capability of `size` bytes at offset (0: the first free place from 40h on), read-only but for what the caller puts into
 * wmask, and zero behind its header. Returns its offset; 0 with an error.
 */
unsigned pci_add_capability(PciDevice *dev, uint8_t id, unsigned offset, unsigned size, GError **error);
/* Offset of the first with that ID; 0: none. */
unsigned pci_find_capability(const PciDevice *dev, uint8_t id);
/* Whether an access to config[addr, addr + len) has to do with a register. */
static inline bool pci_config_touches(unsigned addr, unsigned len, unsigned reg, unsigned reg_len)
{
    return addr < reg + reg_len && reg < addr + len;
}
/* Where the register of a region is. */
static inline unsigned pci_region_register(int n)
{
    return n == PCI_ROM_BAR ? PCI_ROM_ADDRESS : PCI_BAR_0 + 4 * n;
}
/* Drives the device's interrupt pin (as its record says). Big lock. */
void pci_set_irq(PciDevice *dev, int level);
/* Bus-master access; fails with MEM_ERROR while the command register does not allow it, and where the device's own registers
 * are (dma_read_by()). */
MemResult pci_dma_read(PciDevice *dev, hwaddr addr, void *buf, uint64_t len);
MemResult pci_dma_write(PciDevice *dev, hwaddr addr, const void *buf, uint64_t len);
PciBus *pci_device_bus(const PciDevice *dev);
/* The spaces that its devices' BARs are in: for legacy addresses. */
MemoryRegion *pci_bus_memory(PciBus *bus);
MemoryRegion *pci_bus_io(PciBus *bus);

/* ---- for bridges and boards ------------------------------------------------------------------------------ */

/* Routes pin (0…3) of devfn to a line; sets a line's level. */
typedef int PciMapIrq(void *opaque, int devfn, int pin);
typedef void PciSetIrq(void *opaque, int line, int level);

/* The root bus: devices' BARs go to the two spaces. */
PciBus *pci_root_bus_new(Device *owner, const char *name, MemoryRegion *memory, MemoryRegion *io);
/* The root complex's bus. Nothing comes to it or leaves it while the machine runs (no slots: integrated endpoints). Its section
 * is registered apart, so that it stands where stock has it. */
PciBus *pcie_root_bus_new(Device *owner, const char *name, MemoryRegion *memory, MemoryRegion *io);
void pcie_root_bus_register_state(PciBus *bus);
/* Once, by the interrupt router. nlines at most 16. */
void pci_bus_set_irq_router(PciBus *bus, PciMapIrq *map, PciSetIrq *set, void *opaque, int nlines);
/* The routing of pins has changed. */
void pci_bus_rerouted(PciBus *bus);
int pci_bus_line_level(const PciBus *bus, int line);
/* Who deals with devices that come and go while the machine runs; without one they do so at once. */
typedef struct PciHotplugOps {
    void (*plugged)(void *opaque, PciDevice *dev);
    bool (*unplug_request)(void *opaque, PciDevice *dev, GError **error); /* device_unrealize() when the guest agrees */
} PciHotplugOps;
void pci_bus_set_hotplug(PciBus *bus, const PciHotplugOps *ops, void *opaque); /* NULL: nobody any more */
/* Device at devfn, NULL if none. */
PciDevice *pci_bus_find(PciBus *bus, int devfn);
/* Configuration access as the host bridge does it (len 1, 2, 4; not beyond the space). Absent: all ones. */
uint32_t pci_config_read(PciBus *bus, int devfn, unsigned addr, unsigned len);
void pci_config_write(PciBus *bus, int devfn, unsigned addr, uint32_t value, unsigned len);
/* A board device at a fixed place; NULL with an error. */
PciDevice *pci_create(PciBus *bus, int devfn, bool multifunction, const char *type, GError **error);
/* "USB controller", "usb" for a class code (PCI Code and ID Assignment Specification); NULL if unknown. */
const char *pci_class_name(uint16_t class_id);
const char *pci_class_firmware_name(uint16_t class_id);
/* The machine's root bus, NULL if it has none. */
PciBus *pci_root_bus(void);

/* Used by the configuration logic and by post_load: applies command and BAR registers to the map. */
void pci_update_mappings(PciDevice *dev);

#endif
