/* SPDX-License-Identifier: GPL-2.0-or-later */
/* MSI. See the header. */
#include "util/osdep.h"
#include "hw/pci/msi.h"

#include "util/bytes.h"

enum {
    MSI_CONTROL = 2,
    MSI_ADDRESS = 4,
    MSI_DATA = 12,
    MSI_SIZE = 14,
};
#define CONTROL_ENABLE 0x0001
#define CONTROL_64_BIT 0x0080

bool msi_init(PciDevice *dev, unsigned offset, GError **error)
{
    unsigned cap = pci_add_capability(dev, PCI_CAP_MSI, offset, MSI_SIZE, error);

    if (!cap) {
        return false;
    }
    store_le16(dev->config + cap + MSI_CONTROL, CONTROL_64_BIT);
    store_le16(dev->wmask + cap + MSI_CONTROL, CONTROL_ENABLE);
    store_le64(dev->wmask + cap + MSI_ADDRESS, ~UINT64_C(3));
    store_le16(dev->wmask + cap + MSI_DATA, 0xffff);
    return true;
}

void msi_reset(PciDevice *dev)
{
    unsigned cap = pci_find_capability(dev, PCI_CAP_MSI);

    if (cap) {
        store_le16(dev->config + cap + MSI_CONTROL, CONTROL_64_BIT);
        memset(dev->config + cap + MSI_ADDRESS, 0, MSI_SIZE - MSI_ADDRESS);
    }
}

bool msi_enabled(const PciDevice *dev)
{
    unsigned cap = pci_find_capability(dev, PCI_CAP_MSI);

    return cap && load_le16(dev->config + cap + MSI_CONTROL) & CONTROL_ENABLE;
}

void msi_notify(PciDevice *dev)
{
    unsigned cap = pci_find_capability(dev, PCI_CAP_MSI);
    uint8_t data[4];

    if (msi_enabled(dev)) {
        store_le32(data, load_le16(dev->config + cap + MSI_DATA));
        pci_dma_write(dev, load_le64(dev->config + cap + MSI_ADDRESS), data, sizeof(data));
    }
}
