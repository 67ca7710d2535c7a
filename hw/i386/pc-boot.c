/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What the PC boots from: letters of -boot in the RTC's memory, boot indexes, menu and splash screen in fw_cfg, option ROMs
 * that have no BAR.
 */
#include "util/osdep.h"

#include "pc-fw.h"
#include "hw/acpi/pm.h"
#include "hw/core/cpu.h"
#include "hw/core/option-rom.h"
#include "hw/nvram/fw_cfg.h"
#include "hw/timer/mc146818rtc.h"
#include "monitor/hmp.h"
#include "system/datadir.h"
#include "system/runstate.h"
#include "util/bytes.h"
#include "util/error.h"

#define DEFAULT_ORDER "cad"
#define MAX_BOOT_DEVICES 3
#define ROM_MAX (UINT64_C(16) << 20)

/* ---- letters ------------------------------------------------------------------------------------------------------------ */

/* 1 floppy, 2 hard disk, 3 CD-ROM, 4 network; 0: none of them. */
static unsigned letter_code(char letter)
{
    return letter == 'a' ? 1 : letter == 'c' ? 2 : letter == 'd' ? 3 : letter == 'n' ? 4 : 0;
}

static bool check_letters(const char *order, GError **error)
{
    if (strlen(order) > MAX_BOOT_DEVICES) {
        return error_set(error, "Too many boot devices for PC");
    }
    for (const char *p = order; *p; p++) {
        if (!letter_code(*p)) {
            return error_set(error, "Invalid boot device for PC: '%c'", *p);
        }
    }
    return true;
}

static void set_letters(const char *order)
{
    Device *rtc = rtc_find();
    unsigned codes[MAX_BOOT_DEVICES] = { 0 };

    for (unsigned i = 0; i < MAX_BOOT_DEVICES && order[i]; i++) {
        codes[i] = letter_code(order[i]);
    }
    if (rtc) {
        rtc_cmos_set(rtc, CMOS_BOOT_1ST_2ND, codes[1] << 4 | codes[0]);
        rtc_cmos_set(rtc, CMOS_BOOT_3RD, codes[2] << 4);
    }
}

static const char *usual_order(const PcMachine *pc)
{
    return pc->machine.boot.order ? pc->machine.boot.order : DEFAULT_ORDER;
}

/* ---- indexes ------------------------------------------------------------------------------------------------------------- */

static bool update_order_file(const PcMachine *pc, GError **error)
{
    g_autoptr(GByteArray) list = boot_order_list(pc->machine.boot.strict);

    return fw_cfg_modify_file(fw_cfg_find(), "bootorder", list->data, list->len, error);
}

/* How many processors the firmware is to wait for: those that are there now. */
static void update_processors(void)
{
    Device *rtc = rtc_find();

    if (cpu_count()) {
        fw_cfg_add_i16(fw_cfg_find(), FW_CFG_NB_CPUS, cpu_count());
        if (rtc) {
            rtc_cmos_set(rtc, CMOS_CPUS, cpu_count() - 1);
        }
    }
}

/* -boot once= holds until the second reset: the first is that of the start. */
static void boot_reset(void *opaque)
{
    PcMachine *pc = opaque;

    update_processors();
    update_order_file(pc, NULL); /* the file is there: nothing to fail */
    if (pc->machine.boot.once && ++pc->boot_resets == 2) {
        set_letters(usual_order(pc));
    }
}

/* ---- menu, splash screen --------------------------------------------------------------------------------------------------- */

static bool add_splash(const BootOptions *boot, FwCfg *fw, GError **error)
{
    g_autofree char *path = NULL, *picture = NULL;
    gsize len;

    if (!boot->splash) {
        return true;
    }
    path = datadir_find(boot->splash);
    if (!path) {
        return error_set(error, "failed to find file '%s'", boot->splash);
    }
    if (!g_file_get_contents(path, &picture, &len, NULL)) {
        return error_set(error, "failed to read splash file '%s'", boot->splash);
    }
    if (len >= 2 && !memcmp(picture, "\xff\xd8", 2)) {
        return fw_cfg_add_file(fw, "bootsplash.jpg", picture, len, error);
    }
    if (len >= 30 && !memcmp(picture, "BM", 2) && load_le16(picture + 28) == 24) {
        return fw_cfg_add_file(fw, "bootsplash.bmp", picture, len, error);
    }
    return error_set(error, "splash file '%s' format not recognized; must be JPEG or 24 bit BMP",
                     boot->splash);
}

static bool add_boot_options(const BootOptions *boot, FwCfg *fw, GError **error)
{
    uint8_t fail_wait[4], menu_wait[2];

    if (boot->menu) {
        fw_cfg_add_i16(fw, FW_CFG_BOOT_MENU, 1);
    }
    store_le32(fail_wait, boot->has_reboot_timeout ? boot->reboot_timeout : -1);
    if (!fw_cfg_add_file(fw, "etc/boot-fail-wait", fail_wait, sizeof(fail_wait), error)) {
        return false;
    }
    if (boot->has_splash_time) {
        store_le16(menu_wait, boot->splash_time);
        if (!fw_cfg_add_file(fw, "etc/boot-menu-wait", menu_wait, sizeof(menu_wait), error)) {
            return false;
        }
    }
    return add_splash(boot, fw, error);
}

/* ---- option ROMs ------------------------------------------------------------------------------------------------------------ */

static bool add_option_rom(const OptionRom *rom, FwCfg *fw, GError **error)
{
    g_autofree char *base = g_path_get_basename(rom->path), *contents = NULL, *name = NULL,
                    *boot_path = NULL;
    g_autoptr(GError) why = NULL;
    gsize len;

    if (!g_file_get_contents(rom->path, &contents, &len, &why)) {
        return error_set(error, "Could not open option rom '%s': %s", rom->path, why->message);
    }
    if (len < 3 || memcmp(contents, "\x55\xaa", 2) || len > ROM_MAX) {
        return error_set(
            error, "'%s' is not an option ROM: it does not begin with 55h, AAh, or is too large",
            rom->path);
    }
    name = g_strdup_printf("%s/%s", rom->vga ? "vgaroms" : "genroms", base);
    boot_path = g_strconcat("/rom@", name, NULL);
    return (rom->bootindex < 0 || boot_index_set_path(boot_path, rom->bootindex, error)) &&
           fw_cfg_add_file(fw, name, contents, len, error);
}

/* ---- for the board ------------------------------------------------------------------------------------------------------------ */

/* S0 to S5: bit 7 there, low bits the value of SLP_TYP. */
static bool add_system_states(PcMachine *pc, FwCfg *fw, GError **error)
{
    const AcpiPm *pm = pc->acpi_pm;
    const uint8_t states[6] = {
        0x80, 0, 0, pm->disable_s3 ? 0x01 : 0x81, (pm->disable_s4 ? 0 : 0x80) | pm->s4_type, 0x80,
    };

    return fw_cfg_add_file(fw, "etc/system-states", states, sizeof(states), error);
}

bool pc_boot_init(PcMachine *pc, GError **error)
{
    const BootOptions *boot = &pc->machine.boot;
    FwCfg *fw = fw_cfg_find();

    return check_letters(usual_order(pc), error) &&
           (!boot->once || check_letters(boot->once, error)) && add_boot_options(boot, fw, error) &&
           fw_cfg_add_file(fw, "bios-geometry", NULL, 0, error);
}

bool pc_boot_done(PcMachine *pc, GError **error)
{
    FwCfg *fw = fw_cfg_find();

    set_letters(pc->machine.boot.once ? pc->machine.boot.once : usual_order(pc));
    for (unsigned i = 0; i < option_rom_count(); i++) {
        if (!add_option_rom(option_rom_get(i), fw, error)) {
            return false;
        }
    }
    if (!update_order_file(pc, error)) {
        return false;
    }
    reset_add_handler(boot_reset, pc);
    if (!pc->acpi_pm) {
        return true;
    }
    /* The log of a TPM that is not there, for the same list of files as stock's. */
    return add_system_states(pc, fw, error) && fw_cfg_add_file(fw, "etc/tpm/log", NULL, 0, error);
}

static void hmp_boot_set(Hmp *hmp, const HmpArgs *args)
{
    const char *order = hmp_arg_str(args, "bootdevice");
    GError *error = NULL;

    if (!rtc_find()) {
        hmp_printf(hmp, "no function defined to set boot device list for this architecture\n");
    } else if (!boot_order_check(order, &error) || !check_letters(order, &error)) {
        hmp_report_error(hmp, &error);
    } else {
        set_letters(order);
        hmp_printf(hmp, "boot device list now set to %s\n", order);
    }
}

static const HmpCommand boot_commands[] = {
    { "boot_set", "bootdevice:s", "bootdevice", "define new values for the boot device list",
      hmp_boot_set },
};
HMP_REGISTER(boot_commands);
