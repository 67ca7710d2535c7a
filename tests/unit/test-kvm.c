/* SPDX-License-Identifier: GPL-2.0-or-later */
/* KVM in this process: what a guest's writes do to eventfds and coalesced zones, and what an eventfd does to a line. */
#include "util/osdep.h"

#include <fcntl.h>
#include <stdio.h>
#include <sys/eventfd.h>

#include "accel/accel.h"
#include "accel/kvm/kvm.h"
#include "system/runstate.h"
#include "target/i386/kvm.h"
#include "util/error.h"
#include "util/main-loop.h"

#define PORT 0x600
#define GSI 5
#define SECONDS 10

/* mov al, 0x42; out to PORT (eventfd), PORT + 2 (coalesced), PORT + 1; hlt for good. */
static const uint8_t code[] = { 0xb0, 0x42, 0xba, 0x00, 0x06, 0xee, 0xba, 0x02, 0x06,
                                0xee, 0xba, 0x01, 0x06, 0xee, 0xf4, 0xeb, 0xfd };
static const uint8_t reset_vector[] = { 0xe9, 0x0d, 0x00 };

static GString *writes; /* offsets, in order */
static int event;
static MemoryRegion *ports;

static void port_written(void *opaque, hwaddr offset, uint64_t value, unsigned size)
{
    g_assert_cmphex(value, ==, 0x42);
    g_string_append_printf(writes, "%u ", (unsigned)offset);
}

static const MemoryOps port_ops = { .write = port_written,
                                    .impl = { .min_size = 1, .max_size = 1 } };

static void make_rom(const char *path)
{
    g_autofree uint8_t *rom = g_malloc0(0x10000);

    memcpy(rom, code, sizeof(code));
    memcpy(rom + 0xfff0, reset_vector, sizeof(reset_vector));
    g_assert_true(g_file_set_contents(path, (char *)rom, 0x10000, NULL));
}

static void start_machine(const char *firmware)
{
    const MachineType *type = machine_type_by_name("pc");
    Machine *machine = (Machine *)object_new(&type->object);
    GError *error = NULL;

    main_loop_init();
    machine_apply_compat(type);
    machine->ram_size = 16 << 20;
    machine->smp = (MachineSmp){ 1, 1, 1, 1, 1, 1 };
    machine->firmware = g_strdup(firmware);
    machine_set_current(machine);
    memory_init();
    if (!globals_apply(&machine->object, &error) || !accel_start("kvm", NULL, machine, &error) ||
        !machine_create_ram(machine, &error) || !type->init(machine, &error)) {
        g_error("%s", error->message);
    }
    devices_set_ready();
    vm_reset(VM_SHUTDOWN_SUBSYSTEM_RESET);
}

static uint64_t count_of(int fd)
{
    uint64_t n = 0;

    return read(fd, &n, sizeof(n)) == sizeof(n) ? n : 0;
}

static void run_until(bool (*done)(void))
{
    gint64 end = g_get_monotonic_time() + SECONDS * G_USEC_PER_SEC;

    vm_start();
    while (!done()) {
        g_assert_cmpint(g_get_monotonic_time(), <, end);
        main_loop_iterate(false);
    }
    vm_stop(VM_PAUSED);
}

static bool last_write_seen(void)
{
    return g_str_has_suffix(writes->str, "1 ");
}

static void test_eventfd_and_coalesced_writes(void)
{
    g_string_truncate(writes, 0);
    run_until(last_write_seen);
    g_assert_cmpuint(count_of(event), ==, 1);
    g_assert_cmpstr(writes->str, ==, "2 1 "); /* the late one still in order */
}

static void test_without_eventfd_the_region_is_called(void)
{
    memory_region_del_eventfd(ports, 0, 1, true, 0x42, event);
    memory_region_clear_coalescing(ports);
    vm_reset(VM_SHUTDOWN_SUBSYSTEM_RESET);
    g_string_truncate(writes, 0);
    run_until(last_write_seen);
    g_assert_cmpuint(count_of(event), ==, 0);
    g_assert_cmpstr(writes->str, ==, "0 2 1 ");
    /* Another value is not the one that the descriptor waits for. */
    memory_region_add_eventfd(ports, 0, 1, true, 0x43, event);
    vm_reset(VM_SHUTDOWN_SUBSYSTEM_RESET);
    g_string_truncate(writes, 0);
    run_until(last_write_seen);
    g_assert_cmpuint(count_of(event), ==, 0);
    g_assert_cmpstr(writes->str, ==, "0 2 1 ");
}

static bool line_requested(void)
{
    struct kvm_irqchip chip;

    g_assert_true(x86_kvm_get_irqchip(X86_KVM_PIC_MASTER, &chip, NULL));
    return chip.chip.pic.irr & 1 << GSI;
}

static void test_irqfd_raises_its_line(void)
{
    g_autoptr(GError) error = NULL;
    int fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    const uint64_t one = 1;

    g_assert_false(line_requested());
    g_assert_true(kvm_irqfd_add(GSI, fd, -1, &error));
    g_assert_cmpint(write(fd, &one, sizeof(one)), ==, sizeof(one));
    run_until(line_requested);
    kvm_irqfd_remove(GSI, fd);
    close(fd);
}

static void test_messages_have_routes(void)
{
    g_autoptr(GError) error = NULL;
    int gsi = kvm_route_alloc();

    g_assert_cmpint(gsi, >=, 24);
    kvm_route_set_msi(gsi, 0xfee00000, 0x4041);
    g_assert_true(kvm_routes_commit(&error));
    g_assert_cmpint(kvm_route_alloc(), !=, gsi);
    kvm_route_clear(gsi);
    g_assert_true(kvm_routes_commit(&error));
    g_assert_cmpint(kvm_route_alloc(), ==, gsi);
}

int main(int argc, char **argv)
{
    g_autofree char *folder = NULL, *firmware = NULL;
    int fd = open("/dev/kvm", O_RDWR | O_CLOEXEC), status;

    g_test_init(&argc, &argv, NULL);
    if (fd < 0) {
        printf("1..0 # SKIP /dev/kvm: %s\n", g_strerror(errno));
        return 0;
    }
    close(fd);
    folder = g_dir_make_tmp("test-kvm-XXXXXX", NULL);
    firmware = g_build_filename(folder, "rom", NULL);
    make_rom(firmware);
    start_machine(firmware);
    writes = g_string_new(NULL);
    event = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    ports = memory_region_new_io(NULL, &port_ops, NULL, "test", 4);
    memory_region_map(system_io(), PORT, ports);
    memory_region_add_eventfd(ports, 0, 1, true, 0x42, event);
    memory_region_add_coalescing(ports, 2, 1);
    g_test_add_func("/kvm/eventfd-and-coalesced-writes", test_eventfd_and_coalesced_writes);
    g_test_add_func("/kvm/without-eventfd-the-region-is-called",
                    test_without_eventfd_the_region_is_called);
    g_test_add_func("/kvm/irqfd-raises-its-line", test_irqfd_raises_its_line);
    g_test_add_func("/kvm/messages-have-routes", test_messages_have_routes);
    status = g_test_run();
    vm_shut_down();
    remove(firmware);
    remove(folder);
    return status;
}
