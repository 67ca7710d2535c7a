/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * PIIX4 function 3 and what the PC has around it: ACPI fixed hardware, sleep states, general-purpose events, PCI and
 * processor hot plug, SMBus. Values are the specifications', or what the installed programs answer.
 */
#include "util/osdep.h"

#include "pci-config.h"

#define PM 0x0b /* 00:01.3 */
#define BASE 0x600
#define PM1_STS BASE
#define PM1_EN (BASE + 2)
#define PM1_CNT (BASE + 4)
#define PM_TMR (BASE + 8)
#define GPE_STS 0xafe0
#define GPE_EN 0xafe2
#define TICKS_PER_SECOND 3579545
#define SCI 9

enum { TMR = 1, PWRBTN = 1 << 8, WAK = 1 << 15 };

static uint32_t config_read(QTest *q, unsigned reg)
{
    return qtest_pci_read(q, PM, reg) >> (reg & 3) * 8;
}

static void config_write(QTest *q, unsigned reg, uint32_t value)
{
    qtest_pci_write(q, PM, reg, value);
}

/* With the ACPI registers at BASE and the SCI watched. */
static QTest *start(const char *args)
{
    QTest *q = qtest_start("-machine pc %s", args);

    config_write(q, 0x40, BASE | 1);
    config_write(q, 0x80, 1);
    qtest_irq_intercept_in(q, "/machine/ioapic");
    return q;
}

static void reset(QTest *q)
{
    qtest_qmp_ok(q, "{'execute': 'system_reset'}");
    json_object_put(qtest_wait_event(q, "RESET"));
}

static void test_configuration(void)
{
    QTest *q = qtest_start("-machine pc");

    g_assert_cmphex(config_read(q, 0), ==, 0x71138086);
    g_assert_cmphex(config_read(q, 4), ==, 0x02800000);
    g_assert_cmphex(config_read(q, 8), ==, 0x06800003);
    g_assert_cmphex(config_read(q, 0x3c), ==, 0x0100);
    g_assert_cmphex(config_read(q, 0x40), ==, 1);
    g_assert_cmphex(config_read(q, 0x90), ==, 0xb101);
    g_assert_cmphex(config_read(q, 0xd2) & 0xff, ==, 9);
    g_assert_cmphex(qtest_inw(q, PM1_CNT), ==, 0xffff);
    config_write(q, 0x40, BASE | 1);
    g_assert_cmphex(qtest_inw(q, PM1_CNT), ==, 0xffff); /* PMIOSE is still off */
    config_write(q, 0x80, 1);
    g_assert_cmphex(qtest_inw(q, PM1_CNT), ==, 0);
    config_write(q, 0x40, 0xb001);
    g_assert_cmphex(qtest_inw(q, PM1_CNT), ==, 0xffff);
    g_assert_cmphex(qtest_inw(q, 0xb004), ==, 0);
    reset(q);
    g_assert_cmphex(qtest_inw(q, 0xb004), ==, 0xffff);
    g_assert_cmphex(config_read(q, 0x40) & 0xff, ==, 1);
    qtest_end(q);

    q = qtest_start("-machine pc,acpi=off");
    g_assert_cmphex(config_read(q, 0), ==, 0xffffffff);
    qtest_end(q);
}

static void test_timer(void)
{
    QTest *q = start("");
    uint32_t before, half = 0x800000;

    before = qtest_inl(q, PM_TMR);
    qtest_clock_step(q, 1000000000);
    g_assert_cmpuint(((qtest_inl(q, PM_TMR) - before) & 0xffffff), ==, TICKS_PER_SECOND);
    /* The status comes when bit 23 changes, with an interrupt if enabled. */
    qtest_outw(q, PM1_STS, TMR);
    g_assert_cmphex(qtest_inw(q, PM1_STS) & TMR, ==, 0);
    qtest_outw(q, PM1_EN, TMR);
    g_assert_false(qtest_get_irq(q, SCI));
    qtest_clock_step(q, (half - 1 - TICKS_PER_SECOND) * INT64_C(1000000000) / TICKS_PER_SECOND);
    g_assert_false(qtest_get_irq(q, SCI));
    qtest_clock_step(q, 1000);
    g_assert_cmphex(qtest_inl(q, PM_TMR) - half, <, 5);
    g_assert_true(qtest_get_irq(q, SCI));
    g_assert_cmphex(qtest_inw(q, PM1_STS) & TMR, ==, TMR);
    qtest_outw(q, PM1_STS, TMR);
    g_assert_false(qtest_get_irq(q, SCI));
    qtest_clock_step(q, half * INT64_C(1000000000) / TICKS_PER_SECOND + 1000);
    g_assert_true(qtest_get_irq(q, SCI));
    /* 24 bits, then from zero. */
    g_assert_cmphex(qtest_inl(q, PM_TMR), <, 10);
    qtest_outw(q, PM1_EN, 0);
    g_assert_false(qtest_get_irq(q, SCI));
    qtest_end(q);
}

static void test_registers_by_byte(void)
{
    QTest *q = start("");

    qtest_outw(q, PM1_EN, 0x0521);
    g_assert_cmphex(qtest_inb(q, PM1_EN), ==, 0x21);
    g_assert_cmphex(qtest_inb(q, PM1_EN + 1), ==, 0x05);
    qtest_outb(q, PM1_EN + 1, 0x01);
    g_assert_cmphex(qtest_inw(q, PM1_EN), ==, 0x0121);
    qtest_outb(q, PM1_EN, 0);
    g_assert_cmphex(qtest_inl(q, PM1_STS) >> 16, ==, 0x0100);
    qtest_outw(q, PM1_CNT, 0x1c01 & ~0x2000);
    g_assert_cmphex(qtest_inw(q, PM1_CNT), ==, 0x1c01);
    reset(q);
    config_write(q, 0x40, BASE | 1);
    config_write(q, 0x80, 1);
    g_assert_cmphex(qtest_inw(q, PM1_EN), ==, 0);
    g_assert_cmphex(qtest_inw(q, PM1_CNT), ==, 0);
    qtest_end(q);
}

static void test_smi_command(void)
{
    QTest *q = start("");

    qtest_outb(q, 0xb2, 0xf1);
    g_assert_cmphex(qtest_inw(q, PM1_CNT), ==, 1);
    qtest_outb(q, 0xb3, 0x5a);
    g_assert_cmphex(qtest_inw(q, 0xb2), ==, 0x5af1);
    qtest_outb(q, 0xb2, 0xf0);
    g_assert_cmphex(qtest_inw(q, PM1_CNT), ==, 0);
    qtest_outb(q, 0xb2, 0x12);
    g_assert_cmphex(qtest_inw(q, PM1_CNT), ==, 0);
    qtest_end(q);
}

static void test_power_button(void)
{
    QTest *q = start("");

    qtest_qmp_ok(q, "{'execute': 'system_powerdown'}");
    json_object_put(qtest_wait_event(q, "POWERDOWN"));
    g_assert_cmphex(qtest_inw(q, PM1_STS) & PWRBTN, ==, 0); /* the guest does not want to know */
    qtest_outw(q, PM1_EN, PWRBTN);
    qtest_qmp_ok(q, "{'execute': 'system_powerdown'}");
    json_object_put(qtest_wait_event(q, "POWERDOWN"));
    g_assert_cmphex(qtest_inw(q, PM1_STS) & PWRBTN, ==, PWRBTN);
    g_assert_true(qtest_get_irq(q, SCI));
    qtest_outw(q, PM1_STS, PWRBTN);
    g_assert_false(qtest_get_irq(q, SCI));
    qtest_end(q);
}

static void test_off(void)
{
    QTest *q = start("-no-shutdown");
    json_object *event;

    qtest_outw(q, PM1_CNT, 0x2000);
    event = qtest_wait_event(q, "SHUTDOWN");
    g_assert_cmpstr(qtest_json_string(event, "data.reason"), ==, "guest-shutdown");
    json_object_put(event);
    qtest_wait_status(q, "shutdown");
    qtest_end(q);
}

static void test_suspend_to_disk(void)
{
    QTest *q = start("-no-shutdown");

    qtest_outw(q, PM1_CNT, 2 << 10 | 0x2000);
    json_object_put(qtest_wait_event(q, "SUSPEND_DISK"));
    json_object_put(qtest_wait_event(q, "SHUTDOWN"));
    qtest_end(q);

    /* Another type, and switched off: nothing happens. */
    q = start("-no-shutdown -global PIIX4_PM.disable_s4=1");
    qtest_outw(q, PM1_CNT, 2 << 10 | 0x2000);
    qtest_outw(q, PM1_CNT, 6 << 10 | 0x2000);
    g_assert_cmphex(qtest_inw(q, PM1_CNT), ==, 6 << 10);
    g_assert_false(qtest_had_event(q, "SHUTDOWN"));
    qtest_end(q);
}

static void test_suspend_to_ram(void)
{
    QTest *q = start("");
    json_object *params;

    params = qtest_qmp_return(q, "{'execute': 'query-current-machine'}");
    g_assert_cmpstr(json_object_to_json_string_ext(params, JSON_C_TO_STRING_PLAIN), ==,
                    "{\"wakeup-suspend-support\":true}");
    json_object_put(params);
    qtest_memset(q, 0x10000, 0x5a, 64);
    qtest_outl(q, 0xcf8, 0x80000058); /* the host bridge's attributes: F0000h is RAM */
    qtest_outb(q, 0xcfd, 0x30);
    qtest_memset(q, 0xf8000, 0xa5, 64);
    qtest_outw(q, PM1_EN, TMR);
    qtest_outw(q, PM1_CNT, 1 << 10 | 0x2000);
    json_object_put(qtest_wait_event(q, "SUSPEND"));
    qtest_wait_status(q, "suspended");
    qtest_move(q); /* asleep */
    qtest_wait_status(q, "suspended");
    qtest_qmp_ok(q, "{'execute': 'cont'}");
    qtest_wait_status(q, "suspended");
    qtest_qmp_ok(q, "{'execute': 'system_wakeup'}");
    json_object_put(qtest_wait_event(q, "WAKEUP"));
    qtest_wait_status(q, "running");
    /* Reset, but for the memory; and it knows why, as does the firmware, which finds what it had in RAM. */
    g_assert_cmphex(qtest_readb(q, 0xf803f), ==, 0xa5);
    qtest_outb(q, 0x70, 0x0f);
    g_assert_cmphex(qtest_inb(q, 0x71), ==, 0xfe);
    g_assert_cmphex(config_read(q, 0x80) & 1, ==, 0);
    config_write(q, 0x40, BASE | 1);
    config_write(q, 0x80, 1);
    g_assert_cmphex(qtest_inw(q, PM1_EN), ==, 0);
    g_assert_cmphex(qtest_inw(q, PM1_STS) & (WAK | PWRBTN), ==, WAK | PWRBTN);
    g_assert_cmphex(qtest_readb(q, 0x1003f), ==, 0x5a);
    /* Awake already. */
    qtest_qmp_ok(q, "{'execute': 'system_wakeup'}");
    g_assert_false(qtest_had_event(q, "WAKEUP"));
    qtest_end(q);

    q = start("-global PIIX4_PM.disable_s3=1");
    qtest_outw(q, PM1_CNT, 1 << 10 | 0x2000);
    qtest_wait_status(q, "running");
    g_assert_false(qtest_had_event(q, "SUSPEND"));
    qtest_end(q);

    q = qtest_start("-machine pc,acpi=off");
    qtest_qmp_fails(q, "GenericError", "not supported", "{'execute': 'system_wakeup'}");
    qtest_end(q);
}

static void test_gpe(void)
{
    QTest *q = start("");

    qtest_outb(q, GPE_EN, 0xff);
    qtest_outb(q, GPE_EN + 1, 0x12);
    g_assert_cmphex(qtest_inl(q, GPE_STS), ==, 0x12ff0000);
    qtest_outw(q, GPE_EN, 0x0102);
    g_assert_cmphex(qtest_inw(q, GPE_EN), ==, 0x0102);
    qtest_qmp_ok(q, "{'execute': 'device_add', 'arguments': {'driver': 'piix3-usb-uhci', 'id': "
                    "'u', 'addr': '5'}}");
    g_assert_cmphex(qtest_inb(q, GPE_STS), ==, 2);
    g_assert_true(qtest_get_irq(q, SCI));
    qtest_outb(q, GPE_STS, 0xfd);
    g_assert_cmphex(qtest_inb(q, GPE_STS), ==, 2);
    qtest_outb(q, GPE_STS, 2);
    g_assert_cmphex(qtest_inb(q, GPE_STS), ==, 0);
    g_assert_false(qtest_get_irq(q, SCI));
    qtest_end(q);
}

static void deleted(QTest *q, const char *id)
{
    json_object *event = qtest_wait_event(q, "DEVICE_DELETED");

    g_assert_cmpstr(qtest_json_string(event, "data.device"), ==, id);
    json_object_put(event);
}

static void test_pci_hotplug(void)
{
    QTest *q = start("");

    g_assert_cmphex(qtest_inl(q, 0xae0c), ==, 0xfffffffc); /* host bridge and PIIX cannot go */
    qtest_outw(q, GPE_EN, 2);
    qtest_qmp_ok(q, "{'execute': 'device_add', 'arguments': {'driver': 'piix3-usb-uhci', 'id': "
                    "'u', 'addr': '5',"
                    " 'acpi-index': 7}}");
    qtest_qmp_ok(q, "{'execute': 'device_add', 'arguments': {'driver': 'piix3-usb-uhci', 'id': "
                    "'v', 'addr': '9'}}");
    qtest_qmp_fails(q, "GenericError", "a PCI device with acpi-index = 7 already exist",
                    "{'execute': 'device_add', 'arguments': {'driver': 'piix3-usb-uhci', 'id': "
                    "'w', 'acpi-index': 7}}");
    g_assert_cmphex(qtest_inl(q, 0xae00), ==, 1 << 5 | 1 << 9);
    g_assert_cmphex(qtest_inl(q, 0xae00), ==, 0); /* reading took it */
    qtest_outl(q, 0xae14, 1 << 5);
    g_assert_cmphex(qtest_inl(q, 0xae14), ==, 7);
    qtest_outl(q, 0xae14, 1 << 9);
    g_assert_cmphex(qtest_inl(q, 0xae14), ==, 0);
    qtest_outw(q, GPE_STS, 2);

    /* device_del only asks. */
    qtest_qmp_ok(q, "{'execute': 'device_del', 'arguments': {'id': 'u'}}");
    g_assert_true(qtest_get_irq(q, SCI));
    g_assert_cmphex(qtest_inl(q, 0xae04), ==, 1 << 5);
    g_assert_cmphex(qtest_inl(q, 0xae04), ==, 1 << 5);
    g_assert_false(qtest_had_event(q, "DEVICE_DELETED"));
    qtest_outl(q, 0xae08, 1 << 6); /* nobody there */
    qtest_outl(q, 0xae08, 1 << 1); /* cannot go */
    g_assert_cmphex(config_read(q, 0), ==, 0x71138086);
    qtest_outl(q, 0xae08, 1 << 5);
    deleted(q, "u");
    g_assert_cmphex(qtest_inl(q, 0xae04), ==, 0);

    /* Another bus, and none at all. */
    qtest_outl(q, 0xae10, 5);
    g_assert_cmphex(qtest_inl(q, 0xae10), ==, 5);
    g_assert_cmphex(qtest_inl(q, 0xae0c), ==, 0xffffffff);
    qtest_outl(q, 0xae08, 1 << 9);
    qtest_outl(q, 0xae10, 0x100);
    g_assert_cmphex(qtest_inl(q, 0xae10), ==, 0);
    qtest_outl(q, 0xae10, 0xffffffff);
    g_assert_cmphex(qtest_inl(q, 0xae04), ==, 0);
    qtest_outl(q, 0xae10, 0);

    /* A reset takes away what waits. */
    qtest_qmp_ok(q, "{'execute': 'device_del', 'arguments': {'id': 'v'}}");
    g_assert_cmphex(qtest_inl(q, 0xae04), ==, 1 << 9);
    reset(q);
    deleted(q, "v");
    g_assert_cmphex(qtest_inl(q, 0xae04), ==, 0);
    qtest_end(q);
}

static void test_cpu_hotplug(void)
{
    QTest *q = start("-smp 1,maxcpus=3,sockets=3");

    qtest_outb(q, 0xaf00, 0); /* from the bitmap to the registers */
    g_assert_cmphex(qtest_inl(q, 0xaf0c), ==, 0xffffffff);
    qtest_outl(q, 0xaf00, 2);
    qtest_outb(q, 0xaf05, 3);
    g_assert_cmphex(qtest_inl(q, 0xaf08), ==, 2); /* its APIC id */
    g_assert_cmphex(qtest_inb(q, 0xaf04) & 6, ==, 0);
    qtest_outb(q, 0xaf05, 0); /* no event: stays */
    g_assert_cmphex(qtest_inl(q, 0xaf08), ==, 2);
    qtest_outb(q, 0xaf05, 1);
    qtest_outl(q, 0xaf08, 0x103);
    qtest_outb(q, 0xaf05, 2);
    qtest_outl(q, 0xaf08, 1);
    json_object_put(qtest_wait_event(q, "ACPI_DEVICE_OST"));
    qtest_outl(q, 0xaf00, 3); /* beyond the last */
    g_assert_cmphex(qtest_inb(q, 0xaf04), ==, 0);
    qtest_outb(q, 0xaf04, 8);
    qtest_outb(q, 0xaf05, 0xff);
    qtest_end(q);
}

/* ---- SMBus --------------------------------------------------------------------------------------------------------- */

#define SMB 0xb100

/* Runs a transfer; returns the status after it. */
static uint8_t transfer(QTest *q, unsigned protocol, uint8_t address, uint8_t command)
{
    uint8_t status;

    qtest_outb(q, SMB, 0xff);
    qtest_outb(q, SMB + 4, address);
    qtest_outb(q, SMB + 3, command);
    qtest_outb(q, SMB + 2, protocol << 2 | 0x40);
    do {
        status = qtest_inb(q, SMB);
    } while ((status & 1) && !(status & 0x80));
    return status;
}

static void test_smbus(void)
{
    QTest *q = start("");

    g_assert_cmphex(transfer(q, 0, 0xa1, 0), ==, 2);
    g_assert_cmphex(transfer(q, 0, 0xaf, 0), ==, 2);
    g_assert_cmphex(transfer(q, 0, 0x41, 0), ==, 4); /* nobody */
    qtest_outb(q, SMB + 5, 0x77);
    g_assert_cmphex(transfer(q, 2, 0xa0, 5), ==, 2);
    qtest_outb(q, SMB + 5, 0x88);
    qtest_outb(q, SMB + 6, 0x99);
    g_assert_cmphex(transfer(q, 3, 0xa0, 6), ==, 2);
    g_assert_cmphex(transfer(q, 3, 0xa1, 5), ==, 2);
    g_assert_cmphex(qtest_inb(q, SMB + 5), ==, 0x77);
    g_assert_cmphex(qtest_inb(q, SMB + 6), ==, 0x88);
    g_assert_cmphex(transfer(q, 1, 0xa1, 0), ==, 2); /* goes on */
    g_assert_cmphex(qtest_inb(q, SMB + 5), ==, 0x99);
    g_assert_cmphex(transfer(q, 2, 0xa3, 5), ==, 2); /* the next EEPROM has its own */
    g_assert_cmphex(qtest_inb(q, SMB + 5), ==, 0);
    g_assert_cmphex(transfer(q, 4, 0xa1, 5), ==, 4); /* process call */

    /* A block through the buffer: its length is stored in front of it. */
    qtest_inb(q, SMB + 2);
    for (unsigned i = 0; i < 3; i++) {
        qtest_outb(q, SMB + 7, 0x11 * (i + 1));
    }
    qtest_outb(q, SMB + 5, 3);
    g_assert_cmphex(transfer(q, 5, 0xa0, 0x20), ==, 2);
    qtest_outb(q, SMB + 5, 0);
    g_assert_cmphex(transfer(q, 5, 0xa1, 0x20), ==, 2);
    g_assert_cmphex(qtest_inb(q, SMB + 5), ==, 3);
    for (unsigned i = 0; i < 3; i++) {
        g_assert_cmphex(qtest_inb(q, SMB + 7), ==, 0x11 * (i + 1));
    }
    /* The same byte by byte. */
    qtest_outb(q, SMB + 0xd, 0);
    g_assert_cmphex(transfer(q, 5, 0xa1, 0x20), ==, 0x81);
    for (unsigned i = 0; i < 3; i++) {
        g_assert_cmphex(qtest_inb(q, SMB + 7), ==, 0x11 * (i + 1));
        qtest_outb(q, SMB, 0x80);
    }
    g_assert_cmphex(qtest_inb(q, SMB), ==, 2);
    /* Killed on the way. */
    g_assert_cmphex(transfer(q, 5, 0xa1, 0x20), ==, 0x81);
    qtest_outb(q, SMB + 2, 2);
    g_assert_cmphex(qtest_inb(q, SMB), ==, 0x10);
    qtest_outb(q, SMB, 0xff);
    g_assert_cmphex(qtest_inb(q, SMB), ==, 0);
    qtest_end(q);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/acpi-pm/configuration", test_configuration);
    g_test_add_func("/acpi-pm/timer", test_timer);
    g_test_add_func("/acpi-pm/registers-by-byte", test_registers_by_byte);
    g_test_add_func("/acpi-pm/smi-command", test_smi_command);
    g_test_add_func("/acpi-pm/power-button", test_power_button);
    g_test_add_func("/acpi-pm/off", test_off);
    g_test_add_func("/acpi-pm/suspend-to-disk", test_suspend_to_disk);
    g_test_add_func("/acpi-pm/suspend-to-ram", test_suspend_to_ram);
    g_test_add_func("/acpi-pm/gpe", test_gpe);
    g_test_add_func("/acpi-pm/pci-hotplug", test_pci_hotplug);
    g_test_add_func("/acpi-pm/cpu-hotplug", test_cpu_hotplug);
    g_test_add_func("/acpi-pm/smbus", test_smbus);
    return g_test_run();
}
