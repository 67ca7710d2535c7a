/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What a guest can do to a VGA, and what a damaged stream can: registers, the window, Bochs VBE, time, loads, with the
 * screen drawn in between. Nothing reaches outside video memory or surface (the sanitizers look), what was saved can be
 * loaded and saves the same again, and what is drawn is what was reported.
 *
 * The input is a list of steps: a byte that says what, then its arguments; see do_step().
 */
#include "util/osdep.h"

#include "fuzz-input.h"
#include "fuzz-pci.h"
#include "fuzz.h"
#include "ui/console.h"
#include "util/clock.h"

#define VRAM 0xe0000000u
#define VRAM_SIZE (1 << 20)
#define MMIO 0xe2000000u
#define MAX_STEPS 600
#define MAX_DRAWN 6 /* pictures an input: they are what takes time */
#define MAX_PIXELS (1 << 22)

static PciDevice *vga;
static Console *console;
static pixman_image_t *copy; /* what a client would have */
static unsigned drawn; /* pictures of this input */

/* ---- the machine ------------------------------------------------------------------------------------------- */

static void machine_init(void)
{
    fuzz_pci_init();
    clock_virtual_set_manual();
    clock_virtual_enable(true);
    vga = PCI_DEVICE(device_new(device_type_by_name("VGA")));
    vga->devfn = PCI_DEVFN(2, 0);
    object_set_int(&vga->device.object, "vgamem_mb", 1);
    if (object_has_property(&vga->device.object, "romfile")) {
        object_set_string(&vga->device.object, "romfile", "");
    }
    if (!device_realize(&vga->device, (Bus *)pci_bus, NULL)) {
        abort();
    }
    console = console_by_index(0);
}

static void machine_begin(void)
{
    device_reset(&vga->device);
    pci_config_write(pci_bus, vga->devfn, PCI_BAR_0, VRAM, 4);
    pci_config_write(pci_bus, vga->devfn, PCI_BAR_0 + 8, MMIO, 4);
    pci_config_write(pci_bus, vga->devfn, PCI_COMMAND, 3, 2);
    address_space_memset(address_space_memory, VRAM, 0, VRAM_SIZE);
}

/* ---- drawing ------------------------------------------------------------------------------------------------- */

static void on_damage(void *opaque, int x, int y, int width, int height)
{
    pixman_image_composite32(PIXMAN_OP_SRC, console_surface(console), NULL, copy, x, y, 0, 0, x, y,
                             width, height);
}

static void on_resized(void *opaque, pixman_image_t *surface)
{
    pixman_image_unref(copy);
    copy = pixman_image_create_bits(PIXMAN_x8r8g8b8, pixman_image_get_width(surface),
                                    pixman_image_get_height(surface), NULL, 0);
}

static void on_gone(void *opaque)
{
    abort();
}

static const ConsoleListenerOps listener = { .damage = on_damage,
                                             .resized = on_resized,
                                             .gone = on_gone };

/* The copy that is made of reports only must be the picture. */
static void draw(void)
{
    const uint32_t *shown, *seen;
    size_t pixels;

    if (drawn++ >= MAX_DRAWN) {
        return;
    }
    console_update(console);
    shown = pixman_image_get_data(console_surface(console));
    seen = pixman_image_get_data(copy);
    pixels = (size_t)pixman_image_get_width(copy) * pixman_image_get_height(copy);
    if (memcmp(shown, seen, pixels * 4) != 0) {
        g_error("the surface changed without a report");
    }
    if (pixels > MAX_PIXELS) {
        drawn = MAX_DRAWN;
    }
}

/* ---- loads ----------------------------------------------------------------------------------------------------- */

static bool load(const GByteArray *bytes)
{
    const VmState *vmsd = device_vmstate(&vga->device);
    VmReader *r = vm_reader_new_from_memory(bytes->data, bytes->len);
    bool ok = vmstate_load(r, vmsd, vga, vmsd->version, NULL);

    vm_reader_free(r);
    return ok;
}

/* A state that no guest could reach; a refused one ends the input. */
static bool load_damaged(Input *in)
{
    g_autoptr(GByteArray) bytes = device_save(&vga->device);

    for (unsigned n = take(in, 1) & 7; n > 0; n--) {
        unsigned at = 276 + take(in, 2) % (bytes->len - 276); /* behind the PCI header */

        bytes->data[at] = take(in, 1);
    }
    if (load(bytes)) {
        return true;
    }
    machine_begin();
    return false;
}

/* ---- steps ------------------------------------------------------------------------------------------------------ */

static bool do_step(Input *in)
{
    unsigned what = take(in, 1), a, b;

    switch (what % 12) {
    case 0:
        a = take(in, 1);
        port_write(0x3b0 + (a % 0x30), take(in, 1), 1);
        break;
    case 1:
        port_read(0x3b0 + take(in, 1) % 0x30, 1);
        break;
    case 2:
    case 3:
        a = take(in, 1);
        port_write((const uint16_t[]){ 0x3c4, 0x3ce, 0x3d4, 0x3b4 }[a & 3], take(in, 2), 2);
        break;
    case 4:
        port_read(0x3da, 1);
        a = take(in, 1);
        port_write(0x3c0, a, 1);
        port_write(0x3c0, take(in, 1), 1);
        break;
    case 5:
    case 6:
        port_write(0x1ce, take(in, 1) % 12, 2);
        port_write(0x1cf, take(in, 2), 2);
        break;
    case 7:
        a = take(in, 3);
        b = take(in, 4);
        address_space_write(address_space_memory, 0xa0000 + a % 0x20000, &b, 4);
        address_space_read(address_space_memory, 0xa0000 + b % 0x20000, &a, 4);
        break;
    case 8:
        a = take(in, 3);
        b = take(in, 4);
        address_space_write(address_space_memory, VRAM + a % 0xffffc, &b, 4);
        break;
    case 9:
        a = take(in, 2);
        b = take(in, 4);
        address_space_write(address_space_memory, MMIO + a % 0x700, &b, 1 << (what >> 4) % 3);
        break;
    case 10:
        clock_virtual_step_to(clock_get_ns(CLOCK_VIRTUAL) + take(in, 2) * (NS_PER_SEC / 256));
        draw();
        break;
    default:
        if (what & 0x80) {
            return load_damaged(in);
        }
        device_reload(&vga->device);
        break;
    }
    return true;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static bool ready;
    Input in = { data, size };
    ConsoleListener *l;

    if (!ready) {
        machine_init();
        ready = true;
    }
    machine_begin();
    drawn = 0;
    copy = pixman_image_create_bits(PIXMAN_x8r8g8b8, 1, 1, NULL, 0);
    on_resized(NULL, console_surface(console));
    on_damage(NULL, 0, 0, pixman_image_get_width(copy), pixman_image_get_height(copy));
    l = console_listen(console, &listener, NULL);
    for (unsigned i = 0; i < MAX_STEPS && in.left > 0 && do_step(&in); i++) {
    }
    drawn = MIN(drawn, MAX_DRAWN - 1);
    draw();
    console_unlisten(l);
    pixman_image_unref(copy);
    return 0;
}
