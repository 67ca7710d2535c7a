/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What a guest can do to its flash memory: writes of any value and width in any cycle, looks, resets and moves in between. Whatever it is, the array
 * and its image are the same in the end, unless the image is read-only, and a state that was saved can be loaded and saves the same again.
 *
 * The input is a list of steps: a byte that says what, then its arguments; see do_step().
 */
#include "util/osdep.h"

#include "accel/accel.h"
#include "fuzz-device.h"
#include "fuzz-input.h"
#include "fuzz.h"
#include "hw/nvram/pflash.h"
#include "qapi/dispatch.h"
#include "system/memory.h"
#include "system/runstate.h"
#include "util/main-loop.h"

#define SIZE 0x8000
#define SECTOR 0x1000
#define BASE 0x1000
#define MOST_STEPS 400

static Device *flash;
static char path[] = "/tmp/fuzz-pflash-XXXXXX";

static void make_node(void)
{
    g_autofree char *text = NULL;
    json_object *args;
    int fd = mkstemp(path);

    if (fd < 0 || ftruncate(fd, SIZE) < 0) {
        g_error("%s: %s", path, g_strerror(errno));
    }
    close(fd);
    text = g_strdup_printf("{\"driver\": \"file\", \"filename\": \"%s\", \"node-name\": \"image\"}", path);
    args = json_tokener_parse(text);
    if (!qmp_run("blockdev-add", args, NULL, NULL)) {
        g_error("no node");
    }
    json_object_put(args);
}

static void remove_image(void)
{
    unlink(path);
}

static void make_flash(void)
{
    g_autoptr(GError) error = NULL;

    main_loop_init();
    memory_init();
    make_node();
    atexit(remove_image);
    flash = pflash_cfi01_new("image", &error);
    if (!flash || !pflash_cfi01_complete(flash, object_container("/machine"), "flash", SIZE, SECTOR, &error)) {
        g_error("%s", error->message);
    }
    memory_region_map(system_memory(), BASE, pflash_cfi01_region(flash));
    vm_start();
}

/* The guest is held while it is written: it does nothing else. */
static void wait_for_image(void)
{
    vm_stop(VM_PAUSED);
    vm_start();
}

static void write_value(unsigned at, uint64_t value, unsigned width)
{
    address_space_write(address_space_memory, BASE + at % SIZE, &value, MIN(width, SIZE - at % SIZE));
    wait_for_image();
}

/* What drivers do: a command with its second half. */
static void whole_command(Input *in, unsigned what)
{
    static const uint8_t first[] = { 0x10, 0x20, 0x40, 0x60, 0x90, 0x98, 0x70, 0x50 };
    unsigned at = take(in, 2), n = what >> 4;

    write_value(0, 0xff, 1);
    write_value(at, first[n % G_N_ELEMENTS(first)], 1);
    write_value(at, n % G_N_ELEMENTS(first) == 1 ? 0xd0 : take(in, 1), 1);
}

static void fill_buffer(Input *in, unsigned what)
{
    unsigned at = take(in, 2), n = take(in, 1);

    write_value(0, 0xff, 1);
    write_value(at, 0xe8, 1);
    write_value(at, n, 1);
    for (unsigned i = 0; i <= n && i < (what & 0x10 ? 4 : 256); i++) {
        write_value(at + i, i ^ what, 1);
    }
    write_value(at, what & 0x20 ? 0xd0 : take(in, 1), 1);
}

static void do_step(Input *in)
{
    unsigned what = take(in, 1), at;
    uint64_t value;

    switch (what & 7) {
    case 0:
    case 1:
        at = take(in, 2);
        write_value(at, take(in, 1), 1);
        break;
    case 2:
        at = take(in, 2);
        write_value(at, take(in, 4), 1u << (what >> 4) % 4);
        break;
    case 3:
        address_space_read(address_space_memory, BASE + take(in, 2) % (SIZE - 8), &value, 1u << (what >> 4) % 4);
        break;
    case 4:
        whole_command(in, what);
        break;
    case 5:
        fill_buffer(in, what);
        break;
    case 6:
        vm_stop(VM_PAUSED);
        device_reload(flash);
        vm_start();
        break;
    default:
        if (what & 0x80) {
            device_reset(flash);
        }
        break;
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    g_autofree char *image = NULL;
    Input in = { data, size };
    gsize len;

    if (!flash) {
        make_flash();
    }
    device_reset(flash);
    for (unsigned i = 0; i < MOST_STEPS && in.left; i++) {
        do_step(&in);
    }
    wait_for_image();
    if (!g_file_get_contents(path, &image, &len, NULL) || len != SIZE || memcmp(image, pflash_cfi01_contents(flash), SIZE)) {
        g_error("the image is not what the array is");
    }
    return 0;
}
