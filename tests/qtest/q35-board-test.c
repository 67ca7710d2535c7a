/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The Q35/ICH9 board: configuration space by ports and as memory, identities and reset values, attribute map, interrupt
 * routing, ACPI registers, watchdog, SMBus; with values that the data sheets give and the installed stock programs answer.
 */
#include "util/osdep.h"
#include "pci-config.h"

#define MCH 0x00
#define LPC 0xf8
#define SMBUS 0xfb
#define PM 0x600
#define ECAM UINT64_C(0xb0000000)
#define RCBA 0xfed1c000u
#define CARD_BASE 0xc000
#define CARD(slot) ((slot) << 3)

static void reset(QTest *q)
{
    qtest_qmp_ok(q, "{'execute': 'system_reset'}");
    json_object_put(qtest_wait_event(q, "RESET"));
}

static void test_identities_and_masks(void)
{
    QTest *q = qtest_start("-machine q35");

    g_assert_cmphex(qtest_pci_read(q, MCH, 0), ==, 0x29c08086);
    g_assert_cmphex(qtest_pci_read(q, MCH, 8), ==, 0x06000000);
    g_assert_cmphex(qtest_pci_read(q, MCH, 0x60), ==, ECAM);
    g_assert_cmphex(qtest_pci_read(q, MCH, 0x9c), ==, 0x00380200);
    g_assert_cmphex(qtest_pci_read(q, LPC, 0), ==, 0x29188086);
    g_assert_cmphex(qtest_pci_read(q, LPC, 8), ==, 0x06010002);
    g_assert_cmphex(qtest_pci_read(q, LPC, 0x0c), ==, 0x00800000);
    g_assert_cmphex(qtest_pci_read(q, LPC, 0x40), ==, 1);
    g_assert_cmphex(qtest_pci_read(q, LPC, 0x60), ==, 0x80808080);
    g_assert_cmphex(qtest_pci_read(q, LPC, 0x68), ==, 0x80808080);
    g_assert_cmphex(qtest_pci_read(q, SMBUS, 0), ==, 0x29308086);
    g_assert_cmphex(qtest_pci_read(q, SMBUS, 8), ==, 0x0c050002);
    qtest_pci_write(q, LPC, 0x40, 0xffffffff);
    g_assert_cmphex(qtest_pci_read(q, LPC, 0x40), ==, 0xff81);
    qtest_pci_write(q, LPC, 0xf0, 0xffffffff);
    g_assert_cmphex(qtest_pci_read(q, LPC, 0xf0), ==, 0xffffc001);
    reset(q);
    g_assert_cmphex(qtest_pci_read(q, LPC, 0x40), ==, 1);
    g_assert_cmphex(qtest_pci_read(q, LPC, 0xf0), ==, 0);
    qtest_end(q);
}

static void test_configuration_space_as_memory(void)
{
    QTest *q = qtest_start("-machine q35");

    g_assert_cmphex(qtest_readl(q, ECAM), !=, 0x29c08086); /* closed */
    qtest_pci_write(q, MCH, 0x60, ECAM | 1);
    g_assert_cmphex(qtest_readl(q, ECAM), ==, 0x29c08086);
    g_assert_cmphex(qtest_readw(q, ECAM + 2), ==, 0x29c0);
    g_assert_cmphex(qtest_readl(q, ECAM + LPC * 4096), ==, 0x29188086);
    /* A conventional function ends after 256 bytes; nobody is in slot 1, nor on bus 1. */
    g_assert_cmphex(qtest_readl(q, ECAM + 0x100), ==, 0xffffffff);
    g_assert_cmphex(qtest_readl(q, ECAM + 0x8000), ==, 0xffffffff);
    g_assert_cmphex(qtest_readl(q, ECAM + 0x100000), ==, 0xffffffff);
    qtest_writeb(q, ECAM + LPC * 4096 + 0x61, 0x0b);
    g_assert_cmphex(qtest_pci_read(q, LPC, 0x60), ==, 0x80800b80);
    /* Elsewhere, and of 64 MiB. */
    qtest_pci_write(q, MCH, 0x60, 0xe0000005);
    g_assert_cmphex(qtest_readl(q, 0xe0000000 + LPC * 4096), ==, 0x29188086);
    g_assert_cmphex(qtest_readl(q, ECAM), !=, 0x29c08086);
    reset(q);
    g_assert_cmphex(qtest_readl(q, 0xe0000000), !=, 0x29c08086);
    qtest_end(q);
}

static void test_attribute_map_and_lock(void)
{
    QTest *q = qtest_start("-machine q35");

    qtest_pci_write_byte(q, MCH, 0x92, 0x33);
    qtest_writel(q, 0xc8000, 0x11223344);
    g_assert_cmphex(qtest_readl(q, 0xc8000), ==, 0x11223344);
    qtest_pci_write_byte(q, MCH, 0x92, 0x11);
    qtest_writel(q, 0xc8000, 0x55667788);
    g_assert_cmphex(qtest_readl(q, 0xc8000), ==, 0x11223344);
    qtest_pci_write_byte(q, MCH, 0x92, 0);
    g_assert_cmphex(qtest_readl(q, 0xc8000), !=, 0x11223344);

    qtest_pci_write_byte(q, MCH, 0x9d, 0x4a);
    g_assert_cmphex(qtest_pci_read(q, MCH, 0x9c) >> 8 & 0xff, ==, 0x4a);
    qtest_pci_write_byte(q, MCH, 0x9d, 0x5a);
    g_assert_cmphex(qtest_pci_read(q, MCH, 0x9c) >> 8 & 0xff, ==, 0x1a);
    qtest_pci_write_byte(q, MCH, 0x9d, 0x4a);
    g_assert_cmphex(qtest_pci_read(q, MCH, 0x9c) >> 8 & 0xff, ==, 0x1a);
    reset(q);
    qtest_pci_write_byte(q, MCH, 0x9d, 0x4a);
    g_assert_cmphex(qtest_pci_read(q, MCH, 0x9c) >> 8 & 0xff, ==, 0x4a);
    /* The attribute map stays over a reset: waking from S3, firmware runs from RAM. */
    qtest_pci_write_byte(q, MCH, 0x92, 0x33);
    qtest_writel(q, 0xc8000, 0x12345678);
    reset(q);
    g_assert_cmphex(qtest_pci_read(q, MCH, 0x90) >> 16 & 0xff, ==, 0x33);
    g_assert_cmphex(qtest_readl(q, 0xc8000), ==, 0x12345678);
    qtest_end(q);
}

/* ---- interrupts ------------------------------------------------------------------------------------------------ */

/* The card's transmitter asks for an interrupt while it is enabled, on pin A. */
static void card_init(QTest *q, unsigned slot, unsigned n)
{
    qtest_pci_write(q, CARD(slot), 0x10, CARD_BASE + 0x10 * n);
    qtest_pci_write(q, CARD(slot), 4, 1);
}

static void card_ask(QTest *q, unsigned n, bool on)
{
    qtest_outb(q, CARD_BASE + 0x10 * n + 4, on ? 0x08 : 0);
    qtest_outb(q, CARD_BASE + 0x10 * n + 1, on ? 0x02 : 0);
}

static void expect_lines(QTest *q, uint32_t lines)
{
    uint32_t up = 0;

    for (int n = 0; n < 24; n++) {
        up |= (uint32_t)qtest_get_irq(q, n) << n;
    }
    g_assert_cmphex(up, ==, lines);
}

static void test_interrupt_routing(void)
{
    QTest *q = qtest_start("-machine q35 -device pci-serial,addr=1 -device pci-serial,addr=5 "
                           "-device pci-serial,addr=1d");

    qtest_irq_intercept_in(q, "ioapic");
    card_init(q, 0x01, 0);
    card_init(q, 0x05, 1);
    card_init(q, 0x1d, 2);
    /* Slots 1 and 5 share PIRQF, the chip's slot 29 has PIRQA. */
    card_ask(q, 0, true);
    expect_lines(q, 1 << 21);
    card_ask(q, 1, true);
    card_ask(q, 0, false);
    expect_lines(q, 1 << 21);
    card_ask(q, 2, true);
    expect_lines(q, 1 << 21 | 1 << 16);
    /* Routed to an ISA line, a PIRQ drives that, too; two may share it. */
    qtest_pci_write_byte(q, LPC, 0x69, 0x0b);
    expect_lines(q, 1 << 21 | 1 << 16 | 1 << 11);
    qtest_pci_write_byte(q, LPC, 0x60, 0x0b);
    card_ask(q, 1, false);
    expect_lines(q, 1 << 16 | 1 << 11);
    qtest_pci_write_byte(q, LPC, 0x60, 0x8b);
    expect_lines(q, 1 << 16);
    /* Slot 29's pin A is led to PIRQH while it asks. */
    qtest_pci_write(q, LPC, 0xf0, RCBA | 1);
    g_assert_cmphex(qtest_readl(q, RCBA + 0x3144), ==, 0x32103210);
    qtest_writew(q, RCBA + 0x3144, 0x3217);
    expect_lines(q, 1 << 23);
    card_ask(q, 2, false);
    expect_lines(q, 0);
    qtest_end(q);
}

/* A card asks on a rerouted pin when the machine is reset: no line stays up, and the card is heard afterwards. */
static void test_reset_of_routing(void)
{
    QTest *q = qtest_start("-machine q35 -device pci-serial,addr=1d");

    qtest_irq_intercept_in(q, "ioapic");
    card_init(q, 0x1d, 0);
    qtest_pci_write(q, LPC, 0xf0, RCBA | 1);
    qtest_writew(q, RCBA + 0x3144, 0x3217);
    card_ask(q, 0, true);
    expect_lines(q, 1 << 23);
    qtest_set_moving(q, false); /* what a line does beside commands is not heard while moving */
    reset(q);
    expect_lines(q, 0);
    qtest_set_moving(q, true);
    card_init(q, 0x1d, 0);
    card_ask(q, 0, true);
    expect_lines(q, 1 << 16);
    qtest_end(q);
}

/* ---- power management ------------------------------------------------------------------------------------------- */

static void open_pm(QTest *q)
{
    qtest_pci_write(q, LPC, 0x40, PM);
    qtest_pci_write_byte(q, LPC, 0x44, 0x80);
}

static void test_acpi_registers(void)
{
    QTest *q = qtest_start("-machine q35");

    qtest_irq_intercept_in(q, "ioapic");
    g_assert_cmphex(qtest_inw(q, PM), ==, 0xffff); /* closed */
    open_pm(q);
    g_assert_cmphex(qtest_inw(q, PM + 4), ==, 0);
    qtest_outb(q, 0xb2, 0x02);
    g_assert_cmphex(qtest_inw(q, PM + 4), ==, 1); /* ACPI mode */
    qtest_outb(q, 0xb2, 0x03);
    g_assert_cmphex(qtest_inw(q, PM + 4), ==, 0);
    /* 64 general-purpose events: enable bits are all there. */
    for (unsigned i = 0; i < 8; i++) {
        qtest_outb(q, PM + 0x28 + i, 0x11 * i);
    }
    g_assert_cmphex(qtest_inl(q, PM + 0x28), ==, 0x33221100);
    g_assert_cmphex(qtest_inl(q, PM + 0x2c), ==, 0x77665544);
    /* The power button raises the SCI where ACPI_CNTL wants it. */
    qtest_outw(q, PM + 2, 1 << 8);
    qtest_qmp_ok(q, "{'execute': 'system_powerdown'}");
    g_assert_cmphex(qtest_inw(q, PM) & 1 << 8, ==, 1 << 8);
    expect_lines(q, 1 << 9);
    qtest_pci_write_byte(q, LPC, 0x44, 0x85);
    expect_lines(q, 1 << 21);
    qtest_outw(q, PM, 1 << 8);
    expect_lines(q, 0);
    qtest_end(q);
}

static void test_watchdog(void)
{
    QTest *q = qtest_start("-machine q35 -global ICH9-LPC.noreboot=off");
    const int64_t tick = 600000000;

    open_pm(q);
    g_assert_cmphex(qtest_inw(q, PM + 0x6a), ==, 8);
    g_assert_cmphex(qtest_inw(q, PM + 0x72), ==, 4);
    qtest_outw(q, PM + 0x72, 10);
    qtest_outw(q, PM + 0x60, 1);
    qtest_clock_step(q, 4 * tick + tick / 2);
    g_assert_cmphex(qtest_inw(q, PM + 0x60), ==, 5);
    /* Halted, it stands still. */
    qtest_outw(q, PM + 0x68, 1 << 11);
    qtest_clock_step(q, 100 * tick);
    g_assert_cmphex(qtest_inw(q, PM + 0x64), ==, 0);
    qtest_outw(q, PM + 0x68, 0);
    /* The first time-out is told and counted; a reload in time is all that is asked for. */
    qtest_clock_step(q, 11 * tick);
    g_assert_cmphex(qtest_inw(q, PM + 0x64), ==, 8);
    qtest_outw(q, PM + 0x64, 8);
    qtest_outw(q, PM + 0x60, 1);
    qtest_clock_step(q, 11 * tick);
    g_assert_cmphex(qtest_inw(q, PM + 0x64), ==, 8);
    g_assert_cmphex(qtest_inw(q, PM + 0x66), ==, 0);
    /* The second one resets, and is known after that. */
    qtest_clock_step(q, 11 * tick);
    json_object_put(qtest_wait_event(q, "RESET"));
    open_pm(q);
    g_assert_cmphex(qtest_inw(q, PM + 0x66), ==, 6);
    qtest_outw(q, PM + 0x66, 2);
    g_assert_cmphex(qtest_inw(q, PM + 0x66), ==, 0);
    qtest_end(q);
}

/* With NO_REBOOT, which boards strap, the machine goes on. */
static void test_watchdog_without_reboot(void)
{
    QTest *q = qtest_start("-machine q35");

    open_pm(q);
    qtest_pci_write(q, LPC, 0xf0, RCBA | 1);
    g_assert_cmphex(qtest_readl(q, RCBA + 0x3410) & 0x20, ==, 0x20);
    qtest_outw(q, PM + 0x60, 1);
    qtest_clock_step(q, 100 * INT64_C(600000000));
    g_assert_cmphex(qtest_inw(q, PM + 0x66), ==, 6);
    g_assert_false(qtest_had_event(q, "RESET"));
    qtest_end(q);
}

static void test_smbus(void)
{
    QTest *q = qtest_start("-machine q35");

    qtest_pci_write(q, SMBUS, 0x20, 0xd000);
    qtest_pci_write(q, SMBUS, 4, 1);
    g_assert_cmphex(qtest_inb(q, 0xd002), ==, 0xff); /* not enabled */
    qtest_pci_write(q, SMBUS, 0x40, 1);
    g_assert_cmphex(qtest_inb(q, 0xd002), ==, 0);
    /* Read a byte of the first EEPROM; nobody is at 0x20. */
    qtest_outb(q, 0xd004, 0x50 << 1 | 1);
    qtest_outb(q, 0xd003, 0);
    qtest_outb(q, 0xd002, 0x48);
    qtest_inb(q, 0xd000);
    g_assert_cmphex(qtest_inb(q, 0xd000) & 0x06, ==, 0x02);
    qtest_outb(q, 0xd000, 0xff);
    qtest_outb(q, 0xd004, 0x20 << 1 | 1);
    qtest_outb(q, 0xd002, 0x48);
    qtest_inb(q, 0xd000);
    g_assert_cmphex(qtest_inb(q, 0xd000) & 0x04, ==, 0x04);
    qtest_end(q);
}

static void test_reset_control(void)
{
    QTest *q = qtest_start("-machine q35");

    qtest_outb(q, 0xcf9, 0x0a);
    g_assert_cmphex(qtest_inb(q, 0xcf9), ==, 0x0a);
    qtest_outb(q, 0xcf9, 0x06);
    json_object_put(qtest_wait_event(q, "RESET"));
    g_assert_cmphex(qtest_inb(q, 0xcf9), ==, 0);
    qtest_end(q);
}

/* Nothing can come to the root complex while the machine runs. */
static void test_no_hot_plug(void)
{
    QTest *q = qtest_start("-machine q35 -nodefaults");

    qtest_set_moving(q, false); /* the device would have to be on the other command line */
    qtest_qmp_fails(q, "GenericError", "Bus 'pcie.0' does not support hotplugging",
                    "{'execute': 'device_add', 'arguments': {'driver': 'pci-serial', 'id': 's'}}");
    qtest_end(q);
}

/* A port takes one drive, and names follow from that: scripts eject ide2-cd0. */
static void test_names_of_drives(void)
{
    QTest *q = qtest_start(
        "-machine q35 -drive if=ide,bus=3,file.driver=null-co,format=raw -drive "
        "if=ide,index=1,file.driver=null-co,format=raw -drive if=ide,index=2,media=cdrom");
    json_object *list = qtest_qmp_return(q, "{'execute': 'query-block'}");
    g_autofree char *names = g_strdup("");

    for (size_t i = 0; i < json_object_array_length(list); i++) {
        json_object *device;
        char *longer;

        json_object_object_get_ex(json_object_array_get_idx(list, i), "device", &device);
        longer = g_strconcat(names, " ", json_object_get_string(device), NULL);
        g_free(names);
        names = longer;
    }
    json_object_put(list);
    g_assert_cmpstr(names, ==, " ide3-hd0 ide1-hd0 ide2-cd0");
    qtest_end(q);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/q35/identities-and-masks", test_identities_and_masks);
    g_test_add_func("/q35/configuration-space-as-memory", test_configuration_space_as_memory);
    g_test_add_func("/q35/attribute-map-and-lock", test_attribute_map_and_lock);
    g_test_add_func("/q35/interrupt-routing", test_interrupt_routing);
    g_test_add_func("/q35/reset-of-routing", test_reset_of_routing);
    g_test_add_func("/q35/acpi-registers", test_acpi_registers);
    g_test_add_func("/q35/watchdog", test_watchdog);
    g_test_add_func("/q35/watchdog-without-reboot", test_watchdog_without_reboot);
    g_test_add_func("/q35/smbus", test_smbus);
    g_test_add_func("/q35/reset-control", test_reset_control);
    g_test_add_func("/q35/no-hot-plug", test_no_hot_plug);
    g_test_add_func("/q35/names-of-drives", test_names_of_drives);
    return g_test_run();
}
