/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What the fuzz targets of PCI devices share: a machine that is a PCI bus and memory, and a move of one device into itself. */
#ifndef TESTS_FUZZ_PCI_H
#define TESTS_FUZZ_PCI_H

#include "fuzz-device.h"
#include "hw/pci/pci.h"
#include "system/memory.h"
#include "system/runstate.h"
#include "util/main-loop.h"

#define RAM_SIZE (1 << 20)

static const DeviceType fuzz_host_type = {
    .object = { .name = "fuzz-pci-host", .parent = &device_type.object, .size = sizeof(Device) },
    .migration = STATELESS("part of a test"),
};
DEVICE_REGISTER(fuzz_host_type)

static PciBus *pci_bus; /* NULL before fuzz_pci_init() */
static MemoryRegion *ram;

/* A machine without devices and memory, once for all inputs. */
static inline void fuzz_pci_init(void)
{
    Device *host = device_new(&fuzz_host_type);

    main_loop_init();
    memory_init();
    if (!device_realize(host, NULL, NULL)) {
        abort();
    }
    pci_bus = pci_root_bus_new(host, "pci.0", system_memory(), system_io());
}

/* RAM_SIZE bytes of memory at 0. */
static inline void fuzz_ram_init(void)
{
    ram = memory_region_new_ram(NULL, "ram", RAM_SIZE, NULL);
    memory_region_map(system_memory(), 0, ram);
}

static inline uint8_t *ram_bytes(void)
{
    return memory_region_ram_ptr(ram);
}

/* Into the same device, as if it had just arrived in a machine that stands still. */
static inline void fuzz_move(PciDevice *dev)
{
    vm_stop(VM_PAUSED);
    device_reload(&dev->device);
    vm_start();
}

#endif
