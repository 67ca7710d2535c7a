/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Protected mode: the whole medium once more, through a driver of our own for UHCI (Design Guide 1.1) and USB mass storage
 * (Bulk-Only Transport 1.0). Nothing here uses the BIOS or interrupts; every wait ends.
 */
#include "serial.h"

#define UHCI_CLASS 0x0c0300
#define FRAMES ((volatile uint32_t *)0x100000)
#define QUEUE ((volatile uint32_t *)0x101000)
#define TDS ((volatile Td *)0x102000)
#define MAX_TDS 640
#define SCRATCH ((volatile uint8_t *)0x110000)
#define BUFFER ((volatile uint8_t *)0x120000)
#define PIECE 0x8000
#define DOT_BYTES 0x10000

#define PID_SETUP 0x2d
#define PID_IN 0x69
#define PID_OUT 0xe1
#define TD_ACTIVE (1u << 23)
#define TD_NAK (1u << 19)
#define TD_ERRORS 0x7e0000u
#define TD_SPD (1u << 29)
#define LINK_END 1u
#define LINK_QUEUE 2u
#define LINK_DEPTH 4u

#define REG_CMD 0
#define REG_STATUS 2
#define REG_INTR 4
#define REG_FRNUM 6
#define REG_BASE 8
#define REG_SOF 0x0c
#define REG_PORT 0x10

typedef struct Td {
    uint32_t link, ctrl, token, buffer;
} Td;

static uint16_t io;
static uint8_t address, max_packet0;
static uint8_t bulk_in, bulk_out, toggle_in, toggle_out;
static uint32_t tag;

/* ---- time: the refresh bit of port 61h changes every 15 us, the frame counter every millisecond --------------------- */

static void wait_ms(uint32_t ms)
{
    uint8_t last = inb(0x61) & 0x10;

    for (uint32_t n = ms * 66; n;) {
        uint8_t now = inb(0x61) & 0x10;

        if (now != last) {
            last = now;
            n--;
        }
    }
}

/* ---- PCI ------------------------------------------------------------------------------------------------------------ */

static uint32_t config_address(uint32_t devfn, uint32_t reg)
{
    return 0x80000000 | devfn << 8 | reg;
}

static uint32_t config_read(uint32_t devfn, uint32_t reg)
{
    outl(0xcf8, config_address(devfn, reg));
    return inl(0xcfc);
}

static void config_write(uint32_t devfn, uint32_t reg, uint32_t value)
{
    outl(0xcf8, config_address(devfn, reg));
    outl(0xcfc, value);
}

static bool find_uhci(void)
{
    for (uint32_t devfn = 0; devfn < 256; devfn++) {
        if (config_read(devfn, 0) != 0xffffffff && config_read(devfn, 8) >> 8 == UHCI_CLASS) {
            io = config_read(devfn, 0x20) & 0xffe0;
            if (!io) {
                io = 0xc000;
                config_write(devfn, 0x20, io);
            }
            config_write(devfn, 4, 5); /* I/O, bus master */
            config_write(devfn, 0xc0, 0x8f00);
            return true;
        }
    }
    return false;
}

/* ---- the controller --------------------------------------------------------------------------------------------------- */

static void start_controller(void)
{
    outw(io + REG_CMD, 2); /* HCRESET */
    while (inw(io + REG_CMD) & 2) {
    }
    for (int i = 0; i < 1024; i++) {
        FRAMES[i] = (uint32_t)QUEUE | LINK_QUEUE;
    }
    QUEUE[0] = LINK_END;
    QUEUE[1] = LINK_END;
    outl(io + REG_BASE, (uint32_t)FRAMES);
    outw(io + REG_FRNUM, 0);
    outw(io + REG_INTR, 0);
    outw(io + REG_CMD, 0xc1); /* run, configured, 64-byte packets */
}

static bool reset_port(uint16_t port)
{
    if (!(inw(io + port) & 1)) {
        return false;
    }
    outw(io + port, 0x200);
    wait_ms(50);
    outw(io + port, 0);
    wait_ms(1);
    outw(io + port, 0x0e); /* enable, changes seen */
    wait_ms(10);
    return inw(io + port) & 4;
}

/* Whether a TD that has ended holds its queue: an error, or less than was asked for. Others are only about to be left behind. */
static bool td_holds(const volatile Td *td)
{
    uint32_t ctrl = td->ctrl;

    return !(ctrl & TD_ACTIVE) &&
           ((ctrl & (TD_ERRORS & ~TD_NAK)) || (ctrl & TD_SPD && ((ctrl + 1) & 0x7ff) < (((td->token >> 21) + 1) & 0x7ff)));
}

/* Runs n TDs as one queue. Returns whether they ended well; a short packet ends it well, too. */
static bool run(uint32_t n)
{
    QUEUE[1] = (uint32_t)&TDS[0];
    for (uint32_t idle = 0; idle < 5000; idle++) {
        uint32_t element = QUEUE[1], i = ((element & ~15u) - (uint32_t)TDS) / sizeof(Td);

        if (element & LINK_END) {
            return true;
        }
        if (i < n && td_holds(&TDS[i])) {
            QUEUE[1] = LINK_END;
            return !(TDS[i].ctrl & (TD_ERRORS & ~TD_NAK));
        }
        wait_ms(1);
    }
    QUEUE[1] = LINK_END;
    put_text("UHCI timeout\r\n");
    return false;
}

static void set_td(uint32_t i, bool last, uint8_t pid, uint8_t endpoint, uint8_t toggle, volatile void *buffer,
                   uint32_t len)
{
    TDS[i].link = last ? LINK_END : (uint32_t)&TDS[i + 1] | LINK_DEPTH;
    TDS[i].ctrl = TD_ACTIVE | 3u << 27 | (pid == PID_IN ? TD_SPD : 0);
    TDS[i].token = pid | address << 8 | endpoint << 15 | (uint32_t)toggle << 19 | ((len - 1) & 0x7ff) << 21;
    TDS[i].buffer = (uint32_t)buffer;
}

static bool control(uint8_t type, uint8_t request, uint16_t value, uint16_t index, uint16_t len)
{
    uint32_t n = 0, done = 0;
    uint8_t toggle = 1;
    bool in = type & 0x80;
    volatile uint8_t *setup = SCRATCH, *data = SCRATCH + 64;

    setup[0] = type;
    setup[1] = request;
    setup[2] = value;
    setup[3] = value >> 8;
    setup[4] = index;
    setup[5] = index >> 8;
    setup[6] = len;
    setup[7] = len >> 8;
    set_td(n++, false, PID_SETUP, 0, 0, setup, 8);
    while (done < len) {
        uint32_t part = len - done > max_packet0 ? max_packet0 : len - done;

        set_td(n++, false, in ? PID_IN : PID_OUT, 0, toggle, data + done, part);
        toggle ^= 1;
        done += part;
    }
    set_td(n++, true, in && len ? PID_OUT : PID_IN, 0, 1, data, 0);
    return run(n);
}

/* ---- the device ---------------------------------------------------------------------------------------------------------- */

static void read_endpoints(uint32_t len)
{
    volatile uint8_t *p = SCRATCH + 64;

    for (uint32_t i = 0; i + 7 <= len && p[i]; i += p[i]) {
        if (p[i + 1] == 5 && (p[i + 3] & 3) == 2) {
            if (p[i + 2] & 0x80) {
                bulk_in = p[i + 2] & 15;
            } else {
                bulk_out = p[i + 2] & 15;
            }
        }
    }
}

static bool configure_device(uint8_t new_address)
{
    max_packet0 = 8;
    address = 0;
    bulk_in = bulk_out = toggle_in = toggle_out = 0;
    if (!control(0x80, 6, 0x100, 0, 8)) {
        return false;
    }
    max_packet0 = SCRATCH[64 + 7];
    if (!control(0x00, 5, new_address, 0, 0)) {
        return false;
    }
    wait_ms(5);
    address = new_address;
    if (!control(0x80, 6, 0x200, 0, 32)) {
        return false;
    }
    read_endpoints(32);
    return bulk_in && bulk_out && control(0x00, 9, 1, 0, 0);
}

/* Moves len bytes; a short IN packet before the end is a failure here. */
static bool bulk(bool in, volatile void *buffer, uint32_t len)
{
    uint32_t n = 0, count = (len + 63) / 64;
    uint8_t *toggle = in ? &toggle_in : &toggle_out;

    for (; n < count; n++) {
        uint32_t part = len - n * 64 > 64 ? 64 : len - n * 64;

        set_td(n, n + 1 == count, in ? PID_IN : PID_OUT, in ? bulk_in : bulk_out, *toggle,
               (volatile uint8_t *)buffer + n * 64, part);
        *toggle ^= 1;
    }
    return run(n) && ((TDS[n - 1].ctrl + 1) & 0x7ff) == len - (n - 1) * 64;
}

static bool command(const uint8_t *cdb, uint8_t cdb_len, volatile void *data, uint32_t len)
{
    volatile uint8_t *cbw = SCRATCH, *csw = SCRATCH + 64;

    for (int i = 0; i < 31; i++) {
        cbw[i] = 0;
    }
    *(volatile uint32_t *)cbw = 0x43425355;
    *(volatile uint32_t *)(cbw + 4) = ++tag;
    *(volatile uint32_t *)(cbw + 8) = len;
    cbw[12] = 0x80;
    cbw[14] = cdb_len;
    for (int i = 0; i < cdb_len; i++) {
        cbw[15 + i] = cdb[i];
    }
    if (!bulk(false, cbw, 31) || (len && !bulk(true, data, len)) || !bulk(true, csw, 13)) {
        return false;
    }
    return *(volatile uint32_t *)csw == 0x53425355 && *(volatile uint32_t *)(csw + 4) == tag && csw[12] == 0;
}

static bool read_blocks(uint32_t block, uint32_t count, uint32_t block_size)
{
    uint8_t cdb[10] = { 0x28, 0, block >> 24, block >> 16, block >> 8, block, 0, count >> 8, count, 0 };

    return command(cdb, 10, BUFFER, count * block_size);
}

static bool unit_ready(void)
{
    static const uint8_t test_unit_ready[6], request_sense[6] = { 3, 0, 0, 0, 18, 0 };

    for (int i = 0; i < 5; i++) {
        if (command(test_unit_ready, 6, 0, 0)) {
            return true;
        }
        command(request_sense, 6, BUFFER, 18);
    }
    return false;
}

static uint32_t be32(volatile uint8_t *p)
{
    return (uint32_t)p[0] << 24 | p[1] << 16 | p[2] << 8 | p[3];
}

/* Reads all of it if it has the size that the medium's header says. */
static bool read_medium(void)
{
    static const uint8_t read_capacity[10] = { 0x25 };
    uint32_t blocks, block_size, piece;
    Sum sum = { 0, 0 };

    if (!unit_ready() || !command(read_capacity, 10, BUFFER, 8)) {
        return false;
    }
    blocks = be32(BUFFER) + 1;
    block_size = be32(BUFFER + 4);
    if (blocks * block_size != medium_bytes) {
        return false;
    }
    piece = 1;
    for (uint32_t block = 0, dots = 0; block < blocks;) {
        if (piece * block_size > PIECE) {
            piece = 1;
        }
        if (piece > blocks - block) {
            piece = blocks - block;
        }
        if (!read_blocks(block, piece, block_size)) {
            put_text("\r\nUHCI failed at block ");
            put_hex(block);
            put_text("\r\n");
            return false;
        }
        sum_add(&sum, (const void *)BUFFER, piece * block_size);
        block += piece;
        piece += 3;
        for (; dots < block * block_size / DOT_BYTES; dots++) {
            put_char('.');
        }
    }
    put_text("\r\n");
    put_sum("UHCI", &sum, blocks * block_size);
    return true;
}

void protected_main(void)
{
    if (!find_uhci()) {
        put_text("UHCI none\r\n");
    } else {
        bool found = false;

        start_controller();
        wait_ms(100);
        for (uint32_t port = 0; port < 2 && !found; port++) {
            found = reset_port(REG_PORT + 2 * port) && configure_device(port + 1) && read_medium();
        }
        outw(io + REG_CMD, 0);
        if (!found) {
            put_text("UHCI no medium\r\n");
        }
    }
    put_text("END\r\n");
}
