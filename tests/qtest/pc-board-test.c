/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The 440FX/PIIX3 board: configuration mechanism, identities and reset values, attribute map, interrupt routing and
 * the interrupt controllers, with values that the data sheets give and the installed stock programs answer.
 */
#include "util/osdep.h"
#include "pci-config.h"
#include "pic-driver.h"

#define HOST_BRIDGE 0x00
#define PIIX3 0x08
#define UHCI 0x0a

static void test_configuration_mechanism(void)
{
    QTest *q = qtest_start("-machine pc");

    qtest_outl(q, 0xcf8, 0x80000000);
    g_assert_cmphex(qtest_inl(q, 0xcf8), ==, 0x80000000);
    g_assert_cmphex(qtest_inl(q, 0xcfc), ==, 0x12378086);
    g_assert_cmphex(qtest_inw(q, 0xcfe), ==, 0x1237);
    g_assert_cmphex(qtest_inb(q, 0xcfd), ==, 0x80);
    /* Only a double word reaches the index register. */
    qtest_outw(q, 0xcf8, 0x1234);
    g_assert_cmphex(qtest_inl(q, 0xcf8), ==, 0x80000000);
    g_assert_cmphex(qtest_inw(q, 0xcf8), ==, 0);
    /* Disabled, another bus, an empty slot: nobody answers. */
    qtest_outl(q, 0xcf8, 0);
    g_assert_cmphex(qtest_inl(q, 0xcfc), ==, 0xffffffff);
    qtest_outl(q, 0xcf8, 0x80010000);
    g_assert_cmphex(qtest_inl(q, 0xcfc), ==, 0xffffffff);
    g_assert_cmphex(qtest_pci_read(q, 0xf8, 0), ==, 0xffffffff);
    qtest_end(q);
}

static void test_identities_and_masks(void)
{
    QTest *q = qtest_start("-machine pc -device piix3-usb-uhci,addr=1.2");

    g_assert_cmphex(qtest_pci_read(q, HOST_BRIDGE, 8), ==, 0x06000002);
    g_assert_cmphex(qtest_pci_read(q, PIIX3, 0), ==, 0x70008086);
    g_assert_cmphex(qtest_pci_read(q, PIIX3, 4), ==, 0x02000000);
    g_assert_cmphex(qtest_pci_read(q, PIIX3, 8), ==, 0x06010000);
    g_assert_cmphex(qtest_pci_read(q, PIIX3, 0x0c), ==, 0x00800000);
    g_assert_cmphex(qtest_pci_read(q, PIIX3, 0x2c), ==, 0x11001af4);
    g_assert_cmphex(qtest_pci_read(q, PIIX3, 0x60), ==, 0x80808080);
    qtest_pci_write(q, PIIX3, 4, 0xffff);
    g_assert_cmphex(qtest_pci_read(q, PIIX3, 4), ==, 0x02000507);
    qtest_pci_write(q, PIIX3, 0x0c, 0xffffffff);
    g_assert_cmphex(qtest_pci_read(q, PIIX3, 0x0c), ==, 0x008000ff);
    qtest_pci_write(q, PIIX3, 0, 0);
    g_assert_cmphex(qtest_pci_read(q, PIIX3, 0), ==, 0x70008086);
    qtest_qmp_ok(q, "{'execute': 'system_reset'}");
    json_object_put(qtest_wait_event(q, "RESET"));
    g_assert_cmphex(qtest_pci_read(q, PIIX3, 4), ==, 0x02000000);
    g_assert_cmphex(qtest_pci_read(q, PIIX3, 0x0c), ==, 0x00800000);
    qtest_end(q);
}

static void test_bar_moves_and_goes(void)
{
    QTest *q = qtest_start("-machine pc -device piix3-usb-uhci,addr=1.2");

    qtest_pci_write(q, UHCI, 0x20, 0xffffffff);
    g_assert_cmphex(qtest_pci_read(q, UHCI, 0x20), ==, 0xffffffe1);
    qtest_pci_write(q, UHCI, 0x20, 0xc000);
    g_assert_cmphex(qtest_inb(q, 0xc00c), ==, 0xff);
    qtest_pci_write(q, UHCI, 4, 1);
    g_assert_cmphex(qtest_inb(q, 0xc00c), ==, 0x40);
    qtest_pci_write(q, UHCI, 0x20, 0xd000);
    g_assert_cmphex(qtest_inb(q, 0xc00c), ==, 0xff);
    g_assert_cmphex(qtest_inb(q, 0xd00c), ==, 0x40);
    qtest_pci_write(q, UHCI, 4, 0);
    g_assert_cmphex(qtest_inb(q, 0xd00c), ==, 0xff);
    qtest_end(q);
}

static void test_attribute_map(void)
{
    QTest *q = qtest_start("-machine pc");

    /* C0000: PCI at first (the option ROM region), then RAM, then RAM read-only, then PCI again. */
    qtest_writel(q, 0xc8000, 0x11223344);
    g_assert_cmphex(qtest_readl(q, 0xc8000), !=, 0x11223344);
    qtest_pci_write_byte(q, HOST_BRIDGE, 0x5b, 0x33);
    qtest_writel(q, 0xc8000, 0x11223344);
    g_assert_cmphex(qtest_readl(q, 0xc8000), ==, 0x11223344);
    qtest_pci_write_byte(q, HOST_BRIDGE, 0x5b, 0x11);
    qtest_writel(q, 0xc8000, 0x55667788);
    g_assert_cmphex(qtest_readl(q, 0xc8000), ==, 0x11223344);
    qtest_pci_write_byte(q, HOST_BRIDGE, 0x5b, 0);
    g_assert_cmphex(qtest_readl(q, 0xc8000), !=, 0x11223344);
    qtest_pci_write_byte(q, HOST_BRIDGE, 0x5b, 0x33);
    g_assert_cmphex(qtest_readl(q, 0xc8000), ==, 0x11223344);
    qtest_end(q);
}

/* The window leads to PCI while it is closed; with no display adapter there, RAM shines through, as in stock. */
static void test_smram_lock(void)
{
    QTest *q = qtest_start("-machine pc");

    qtest_pci_write_byte(q, HOST_BRIDGE, 0x72, 0x4a);
    qtest_writel(q, 0xa0000, 0xdeadbeef);
    g_assert_cmphex(qtest_readl(q, 0xa0000), ==, 0xdeadbeef);
    /* Locked: closed for good, until reset. */
    qtest_pci_write_byte(q, HOST_BRIDGE, 0x72, 0x5a);
    g_assert_cmphex(qtest_pci_read(q, HOST_BRIDGE, 0x70) >> 16 & 0xff, ==, 0x1a);
    qtest_pci_write_byte(q, HOST_BRIDGE, 0x72, 0x4a);
    g_assert_cmphex(qtest_pci_read(q, HOST_BRIDGE, 0x70) >> 16 & 0xff, ==, 0x1a);
    qtest_qmp_ok(q, "{'execute': 'system_reset'}");
    json_object_put(qtest_wait_event(q, "RESET"));
    g_assert_cmphex(qtest_pci_read(q, HOST_BRIDGE, 0x70) >> 16 & 0xff, ==, 0x02);
    qtest_pci_write_byte(q, HOST_BRIDGE, 0x72, 0x4a);
    g_assert_cmphex(qtest_pci_read(q, HOST_BRIDGE, 0x70) >> 16 & 0xff, ==, 0x4a);
    qtest_end(q);
}

/* ---- interrupt controllers --------------------------------------------------------------------------------------- */

static void set_irq(QTest *q, const char *device, int n, int level)
{
    g_autofree char *line = g_strdup_printf("set_irq_in %s unnamed-gpio-in %d %d", device, n, level);
    g_autofree char *answer = qtest_raw(q, line);

    g_assert_cmpstr(answer, ==, "OK");
}

static char *find_device(QTest *q, const char *type, int skip)
{
    for (int i = 0; i < 40; i++) {
        json_object *answer = qtest_qmp(q, "{'execute': 'qom-get', 'arguments': {'path': "
                                           "'/machine/unattached/device[%d]', 'property': 'type'}}", i);
        json_object *ret;
        bool found = json_object_object_get_ex(answer, "return", &ret) &&
                     g_str_equal(json_object_get_string(ret), type) && skip-- == 0;

        json_object_put(answer);
        if (found) {
            return g_strdup_printf("/machine/unattached/device[%d]", i);
        }
    }
    g_error("no %s", type);
}

static void test_pic_edges_and_levels(void)
{
    QTest *q = qtest_start("-machine pc");
    g_autofree char *master = find_device(q, "isa-i8259", 0);

    qtest_outb(q, 0x4d0, 0xff);
    g_assert_cmphex(qtest_inb(q, 0x4d0), ==, 0xf8);
    qtest_outb(q, 0x4d1, 0xff);
    g_assert_cmphex(qtest_inb(q, 0x4d1), ==, 0xde);
    qtest_outb(q, 0x4d0, 0x20);
    pic_init(q);
    g_assert_cmphex(qtest_inb(q, 0x4d0), ==, 0x20);

    /* An edge stays requested while the line is up, and is one interrupt. */
    set_irq(q, master, 3, 1);
    g_assert_cmphex(pic_requests(q, PIC_MASTER), ==, 0x08);
    qtest_outb(q, 0x20, 0x0c); /* poll: acknowledges */
    g_assert_cmphex(qtest_inb(q, 0x20), ==, 0x83);
    g_assert_cmphex(pic_requests(q, PIC_MASTER), ==, 0x00);
    g_assert_cmphex(pic_in_service(q, PIC_MASTER), ==, 0x08);
    qtest_outb(q, 0x20, 0x20);
    g_assert_cmphex(pic_in_service(q, PIC_MASTER), ==, 0x00);
    set_irq(q, master, 3, 0);

    /* A level comes again after its end of interrupt. */
    set_irq(q, master, 5, 1);
    qtest_outb(q, 0x20, 0x0c);
    g_assert_cmphex(qtest_inb(q, 0x20), ==, 0x85);
    g_assert_cmphex(pic_requests(q, PIC_MASTER), ==, 0x20);
    qtest_outb(q, 0x20, 0x65);
    qtest_outb(q, 0x20, 0x0c);
    g_assert_cmphex(qtest_inb(q, 0x20), ==, 0x85);
    set_irq(q, master, 5, 0);
    qtest_outb(q, 0x20, 0x65);
    qtest_outb(q, 0x20, 0x0c);
    g_assert_cmphex(qtest_inb(q, 0x20), ==, 0x00);
    qtest_end(q);
}

static void test_pic_priorities(void)
{
    QTest *q = qtest_start("-machine pc");
    g_autofree char *master = find_device(q, "isa-i8259", 0);
    g_autofree char *slave = find_device(q, "isa-i8259", 1);

    pic_init(q);
    set_irq(q, master, 1, 1);
    set_irq(q, master, 6, 1);
    qtest_outb(q, 0x21, 0x02);
    g_assert_cmphex(qtest_inb(q, 0x21), ==, 0x02);
    qtest_outb(q, 0x20, 0x0c);
    g_assert_cmphex(qtest_inb(q, 0x20), ==, 0x86);
    qtest_outb(q, 0x21, 0x00);
    /* A higher one interrupts; the slave's is on input 2, below. */
    set_irq(q, slave, 4, 1);
    qtest_outb(q, 0x20, 0x0c);
    g_assert_cmphex(qtest_inb(q, 0x20), ==, 0x81);
    g_assert_cmphex(pic_in_service(q, PIC_MASTER), ==, 0x42);
    g_assert_cmphex(pic_requests(q, PIC_MASTER), ==, 0x04);
    /* Rotate on non-specific EOI: input 1 is last now, so the slave comes. */
    qtest_outb(q, 0x20, 0xa0);
    qtest_outb(q, 0x20, 0x0c);
    g_assert_cmphex(qtest_inb(q, 0x20), ==, 0x82);
    qtest_outb(q, 0xa0, 0x0c);
    g_assert_cmphex(qtest_inb(q, 0xa0), ==, 0x84);
    qtest_end(q);
}

static void test_ioapic_registers(void)
{
    QTest *q = qtest_start("-machine pc");

    qtest_writel(q, 0xfec00000, 1);
    g_assert_cmphex(qtest_readl(q, 0xfec00010), ==, 0x00170020);
    for (int n = 0; n < 24; n += 23) {
        qtest_writel(q, 0xfec00000, 0x10 + 2 * n);
        g_assert_cmphex(qtest_readl(q, 0xfec00010), ==, 0x00010000);
        qtest_writel(q, 0xfec00010, 0xffffffff);
        g_assert_cmphex(qtest_readl(q, 0xfec00010), ==, 0xffffafff);
        qtest_writel(q, 0xfec00000, 0x11 + 2 * n);
        qtest_writel(q, 0xfec00010, 0x5a000000);
        g_assert_cmphex(qtest_readl(q, 0xfec00010), ==, 0x5a000000);
    }
    qtest_writel(q, 0xfec00000, 0);
    qtest_writel(q, 0xfec00010, 0xff000000);
    g_assert_cmphex(qtest_readl(q, 0xfec00010), ==, 0x0f000000);
    /* Beyond the table. */
    qtest_writel(q, 0xfec00000, 0x40);
    g_assert_cmphex(qtest_readl(q, 0xfec00010), ==, 0);
    qtest_end(q);
}

/* A level pin asks once, and again after the end of interrupt while it is up. */
static void test_ioapic_remote_irr(void)
{
    QTest *q = qtest_start("-machine pc");

    qtest_writel(q, 0xfec00000, 0x10 + 2 * 20);
    qtest_writel(q, 0xfec00010, 0x8041);
    set_irq(q, "ioapic", 20, 1);
    g_assert_cmphex(qtest_readl(q, 0xfec00010), ==, 0xc041);
    set_irq(q, "ioapic", 20, 0);
    g_assert_cmphex(qtest_readl(q, 0xfec00010), ==, 0xc041);
    qtest_writel(q, 0xfec00040, 0x41);
    g_assert_cmphex(qtest_readl(q, 0xfec00010), ==, 0x8041);
    qtest_end(q);
}

static void test_reset_control(void)
{
    QTest *q = qtest_start("-machine pc");

    qtest_outb(q, 0xcf9, 0x02);
    g_assert_cmphex(qtest_inb(q, 0xcf9), ==, 0x02);
    qtest_outl(q, 0xcf8, 0x80000004);
    qtest_outb(q, 0xcf9, 0x06);
    json_object_put(qtest_wait_event(q, "RESET"));
    g_assert_cmphex(qtest_inb(q, 0xcf9), ==, 0);
    g_assert_cmphex(qtest_inl(q, 0xcf8), ==, 0);
    qtest_end(q);
}

static void test_monitor_shows_the_bus(void)
{
    QTest *q = qtest_start("-machine pc,usb=on");
    g_autofree char *pci = qtest_hmp(q, "info pci");
    g_autofree char *pic = qtest_hmp(q, "info pic");

    g_assert_nonnull(strstr(pci, "USB controller: PCI device 8086:7020"));
    g_assert_nonnull(strstr(pci, "      IRQ 0, pin D"));
    g_assert_nonnull(strstr(pci, "      BAR4: I/O (not mapped)"));
    g_assert_nonnull(strstr(pic, "pic0: irr=00 imr=00 isr=00"));
    qtest_end(q);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/pc/configuration-mechanism", test_configuration_mechanism);
    g_test_add_func("/pc/identities-and-masks", test_identities_and_masks);
    g_test_add_func("/pc/bar-moves-and-goes", test_bar_moves_and_goes);
    g_test_add_func("/pc/attribute-map", test_attribute_map);
    g_test_add_func("/pc/smram-lock", test_smram_lock);
    g_test_add_func("/pc/pic-edges-and-levels", test_pic_edges_and_levels);
    g_test_add_func("/pc/pic-priorities", test_pic_priorities);
    g_test_add_func("/pc/ioapic-registers", test_ioapic_registers);
    g_test_add_func("/pc/ioapic-remote-irr", test_ioapic_remote_irr);
    g_test_add_func("/pc/reset-control", test_reset_control);
    g_test_add_func("/pc/monitor-shows-the-bus", test_monitor_shows_the_bus);
    return g_test_run();
}
