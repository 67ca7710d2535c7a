/* SPDX-License-Identifier: GPL-2.0-or-later */
/* A guest's mass-storage driver for tests. */
#include "util/osdep.h"
#include "bot-driver.h"
#include "util/bytes.h"

#define CBW_SIGNATURE 0x43425355
#define CSW_SIGNATURE 0x53425355

static void control_ok(BotDriver *b, uint8_t address, const UsbSetup *setup, void *data, size_t *actual)
{
    UhciStatus status = uhci_control(b->u, address, false, 8, setup, data, actual);

    g_assert_cmpint(status, ==, UHCI_DONE);
}

static void find_endpoints(BotDriver *b, const uint8_t *config, size_t len)
{
    for (size_t i = 0; i + 2 <= len && config[i] >= 2; i += config[i]) {
        if (config[i + 1] == 5 && (config[i + 3] & 3) == 2) {
            *(config[i + 2] & 0x80 ? &b->in_endpoint : &b->out_endpoint) = config[i + 2] & 0xf;
            b->mps = load_le16(config + i + 4);
        }
    }
    g_assert_cmpuint(b->in_endpoint, !=, 0);
    g_assert_cmpuint(b->out_endpoint, !=, 0);
}

void bot_enumerate(BotDriver *b, UhciDriver *u, unsigned port, uint8_t address)
{
    uint8_t desc[256];
    size_t actual;

    *b = (BotDriver){ .u = u, .address = address };
    g_assert_true(uhci_reset_port(u, port));
    control_ok(b, 0, &(UsbSetup){ 0x00, 5, address, 0, 0 }, NULL, NULL);
    uhci_step_frames(u, 3);
    control_ok(b, address, &(UsbSetup){ 0x80, 6, 0x0200, 0, 255 }, desc, &actual);
    find_endpoints(b, desc, actual);
    control_ok(b, address, &(UsbSetup){ 0x00, 9, desc[5], 0, 0 }, NULL, NULL);
}

UhciStatus bot_send_cbw(BotDriver *b, uint8_t lun, BotDirection direction, const void *cdb, size_t cdb_len, size_t len)
{
    uint8_t cbw[BOT_CBW_SIZE] = { 0 };

    store_le32(cbw, CBW_SIGNATURE);
    store_le32(cbw + 4, ++b->tag);
    store_le32(cbw + 8, len);
    cbw[12] = direction == BOT_IN ? 0x80 : 0;
    cbw[13] = lun;
    cbw[14] = cdb_len;
    memcpy(cbw + 15, cdb, cdb_len);
    return uhci_transfer(b->u, b->address, b->out_endpoint, UHCI_PID_OUT, &b->out_toggle, cbw, sizeof(cbw), b->mps,
                         BOT_FRAMES).status;
}

UhciResult bot_data(BotDriver *b, BotDirection direction, void *data, size_t len)
{
    bool in = direction == BOT_IN;

    return uhci_transfer(b->u, b->address, in ? b->in_endpoint : b->out_endpoint, in ? UHCI_PID_IN : UHCI_PID_OUT,
                         in ? &b->in_toggle : &b->out_toggle, data, len, b->mps, BOT_FRAMES);
}

UhciStatus bot_read_csw(BotDriver *b, BotResult *result)
{
    uint8_t csw[BOT_CSW_SIZE];
    UhciResult r = bot_data(b, BOT_IN, csw, sizeof(csw));

    if (r.status == UHCI_DONE) {
        g_assert_cmpuint(r.actual, ==, sizeof(csw));
        g_assert_cmphex(load_le32(csw), ==, CSW_SIGNATURE);
        g_assert_cmphex(load_le32(csw + 4), ==, b->tag);
        result->residue = load_le32(csw + 8);
        result->csw_status = csw[12];
    }
    result->csw_phase = r.status;
    return r.status;
}

void bot_clear_halt(BotDriver *b, BotDirection direction)
{
    bool in = direction == BOT_IN;

    control_ok(b, b->address, &(UsbSetup){ 0x02, 1, 0, in ? 0x80 | b->in_endpoint : b->out_endpoint, 0 }, NULL, NULL);
    *(in ? &b->in_toggle : &b->out_toggle) = false;
}

void bot_reset(BotDriver *b)
{
    control_ok(b, b->address, &(UsbSetup){ 0x21, 0xff, 0, 0, 0 }, NULL, NULL);
}

void bot_reset_recovery(BotDriver *b)
{
    bot_reset(b);
    bot_clear_halt(b, BOT_IN);
    bot_clear_halt(b, BOT_OUT);
}

uint8_t bot_max_lun(BotDriver *b)
{
    uint8_t max_lun = 0;

    control_ok(b, b->address, &(UsbSetup){ 0xa1, 0xfe, 0, 0, 1 }, &max_lun, NULL);
    return max_lun;
}

BotResult bot_command(BotDriver *b, uint8_t lun, BotDirection direction, const void *cdb, size_t cdb_len, void *data,
                      size_t len)
{
    BotResult result = { .data_status = UHCI_DONE };

    g_assert_cmpint(bot_send_cbw(b, lun, direction, cdb, cdb_len, len), ==, UHCI_DONE);
    if (direction != BOT_NONE && len) {
        UhciResult r = bot_data(b, direction, data, len);

        result.data_status = r.status;
        result.actual = r.actual;
        if (r.status == UHCI_STALLED) {
            bot_clear_halt(b, direction);
        }
    }
    if (bot_read_csw(b, &result) == UHCI_STALLED) {
        bot_clear_halt(b, BOT_IN);
        bot_read_csw(b, &result);
    }
    return result;
}

uint32_t bot_sense(BotDriver *b, uint8_t lun)
{
    uint8_t cdb[6] = { 0x03, 0, 0, 0, 18 }, sense[18] = { 0 };
    BotResult r = bot_command(b, lun, BOT_IN, cdb, sizeof(cdb), sense, sizeof(sense));

    g_assert_cmpint(r.csw_phase, ==, UHCI_DONE);
    g_assert_cmpint(r.csw_status, ==, 0);
    return (uint32_t)(sense[2] & 0xf) << 16 | sense[12] << 8 | sense[13];
}

void bot_wait_ready(BotDriver *b, uint8_t lun)
{
    uint8_t cdb[6] = { 0 };

    for (int i = 0; i < 10; i++) {
        BotResult r = bot_command(b, lun, BOT_NONE, cdb, sizeof(cdb), NULL, 0);

        if (r.csw_phase == UHCI_DONE && r.csw_status == 0) {
            return;
        }
        bot_sense(b, lun);
    }
    g_error("the unit does not become ready");
}

void bot_read10(BotDriver *b, uint8_t lun, uint32_t lba, uint16_t blocks, size_t block_size, void *data)
{
    uint8_t cdb[10] = { 0x28 };
    BotResult r;

    store_be32(cdb + 2, lba);
    store_be16(cdb + 7, blocks);
    r = bot_command(b, lun, BOT_IN, cdb, sizeof(cdb), data, blocks * block_size);
    g_assert_cmpint(r.data_status, ==, UHCI_DONE);
    g_assert_cmpuint(r.actual, ==, blocks * block_size);
    g_assert_cmpint(r.csw_phase, ==, UHCI_DONE);
    g_assert_cmpint(r.csw_status, ==, 0);
    g_assert_cmpuint(r.residue, ==, 0);
}
