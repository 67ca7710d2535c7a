/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What a guest can do to virtio cards: registers of both interfaces, rings and descriptors in memory, configuration space,
 * with moves in between. Whatever it is, nothing crashes, each kick ends, and a state that was saved can be loaded and
 * saves the same again.
 *
 * The input is a byte that chooses cards and a list of steps: a byte that says what, then its arguments; see do_step().
 */
#include "util/osdep.h"

#define MORE_STEPS 0
#include "fuzz-virtio-card.h"

static Device *card_new(unsigned kind)
{
    static const char *const types[] = { "virtio-rng-pci", "virtio-balloon-pci",
                                         "virtio-rng-pci-non-transitional",
                                         "virtio-balloon-pci-transitional" };
    Device *dev = device_new(device_type_by_name(types[kind & 3]));

    if (kind & 1) {
        object_set_bool(&dev->object, "free-page-reporting", true);
    }
    return dev;
}

static void card_ready(unsigned kind)
{
}

static void more(Input *in, unsigned which, unsigned what)
{
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (!pci_bus) {
        machine_init();
    }
    run_input(data, size);
    return 0;
}
