/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Every command against answers that stock QEMU 10.0.2 gave (tests/golden/scsi): data, status,
 * sense. A line is
 *     CDB HOST-LENGTH DATA-OUT DATA-IN STATUS:RESIDUE SENSE
 * in hexadecimal, with <xx*n> for runs, sha256:... for long data, pattern:xx:n for xx, xx+7, ...
 * Where we differ on purpose, the table `differences` says why.
 */
#include "util/osdep.h"
#include "scsi-common.h"

#include <glib/gstdio.h>

#define CD_BLOCKS 2481

static char *folder;

/* ---- reading lines --------------------------------------------------------------------------- */

static GByteArray *parse_data(const char *text)
{
    GByteArray *data = g_byte_array_new();
    if (g_str_has_prefix(text, "pattern:")) {
        unsigned first = strtoul(text + 8, NULL, 16);
        unsigned n = strtoul(text + 11, NULL, 10);
        for (unsigned i = 0; i < n; i++) {
            uint8_t byte = first + 7 * i;
            g_byte_array_append(data, &byte, 1);
        }
        return data;
    }
    for (const char *p = text; *p && *p != '-' && *p != '.';) {
        char *end = (char *)p;
        unsigned n = 1;
        uint8_t byte;
        if (*p == '<') {
            byte = strtoul(p + 1, &end, 16);
            n = strtoul(end + 1, &end, 10);
            end++;
        } else {
            byte = g_ascii_xdigit_value(p[0]) << 4 | g_ascii_xdigit_value(p[1]);
            end += 2;
        }
        while (n--) {
            g_byte_array_append(data, &byte, 1);
        }
        p = end;
    }
    return data;
}

static bool data_equal(const char *expected, const uint8_t *data, size_t len)
{
    if (g_str_has_prefix(expected, "sha256:")) {
        g_autofree char *sum = g_compute_checksum_for_data(G_CHECKSUM_SHA256, data, len);
        g_autofree char *text = g_strdup_printf("sha256:%s:%zu", sum, len);
        return strcmp(text, expected) == 0;
    }
    g_autoptr(GByteArray) wanted = parse_data(expected);
    return wanted->len == len && (!len || memcmp(wanted->data, data, len) == 0);
}

/* ---- where we differ ------------------------------------------------------------------------- */

typedef struct Difference {
    const char *config, *cdb; /* prefixes; "" fits all */
    const char *why;
} Difference;

static const Difference differences[] = {
    { "", "91", "SYNCHRONIZE CACHE(16) is supported" },
    { "", "0f", "READ REVERSE is an unknown opcode, not one with a bad field" },
    { "", "2f", "VERIFY checks its address" },
    { "", "8f", "VERIFY checks its address" },
    { "", "af", "VERIFY checks its address" },
    { "cd", "ac", "GET PERFORMANCE is supported" },
    { "dvd", "ac", "GET PERFORMANCE is supported" },
    { "hd-ro", "9301", "WRITE SAME without data writes, too" },
    { "hd-ro", "9309", "WRITE SAME without data writes, too" },
    { "hd-ro", "4101", "WRITE SAME without data writes, too" },
    { "hd", "28000000000900000600", "WRITE SAME without data writes zeros" },
    { "", "28000000000000000100", "what follows the data is zeros, not old memory" },
};

static const char *difference(const char *config, const char *cdb)
{
    for (unsigned i = 0; i < G_N_ELEMENTS(differences); i++) {
        const Difference *d = &differences[i];
        if (g_str_has_prefix(config, d->config) && g_str_has_prefix(cdb, d->cdb)) {
            return d->why;
        }
    }
    return NULL;
}

/* ---- running them ---------------------------------------------------------------------------- */

typedef struct Config {
    const char *name, *type, *node, *props;
} Config;

/* As the driver did that made the files: REQUEST SENSE tells the same as the status did. */
static void check_request_sense(Hba *h, ScsiDevice *dev)
{
    static const uint8_t cdb[6] = { 0x03, [4] = 18 };
    ScsiSense sense = h->sense;
    int status = h->status;
    uint8_t data[18];
    hba_start(h, dev, 0, cdb, sizeof(cdb));
    g_assert_cmpuint(hba_move(h, data, sizeof(data), true), ==, sizeof(data));
    hba_end(h);
    g_assert_true(scsi_sense_equal(scsi_sense_parse(data, sizeof(data)), sense));
    h->sense = sense;
    h->status = status;
}

static unsigned run_line(const Config *c, Hba *h, ScsiDevice *dev, const char *line,
                         unsigned number)
{
    g_auto(GStrv) f = g_strsplit(line, " ", -1);
    size_t cdb_len;
    g_autofree uint8_t *cdb = hex_bytes(f[0], &cdb_len);
    g_autoptr(GByteArray) out = parse_data(f[2]);
    bool in = f[2][0] == '-';
    uint32_t n = in ? strtoul(f[1], NULL, 10) : out->len;
    g_autofree uint8_t *data = g_malloc0(n + 1);
    char sense[16] = "-";

    hba_start(h, dev, 0, cdb, cdb_len);
    if (in) {
        hba_move(h, data, n, true);
    } else {
        hba_move(h, out->data, n, false);
    }
    hba_end(h);
    if (h->status == SCSI_CHECK_CONDITION) {
        g_snprintf(sense, sizeof(sense), "%02x/%02x/%02x", h->sense.key, h->sense.asc,
                   h->sense.ascq);
        check_request_sense(h, dev);
    }
    bool same = (h->status != SCSI_GOOD) == (f[4][0] != '0') && strcmp(sense, f[5]) == 0 &&
                (!in || data_equal(f[3], data, n));
    if (same || difference(c->name, f[0])) {
        return 0;
    }
    g_autoptr(GString) hex = g_string_new(NULL);
    for (uint32_t i = 0; in && i < MIN(n, 100); i++) {
        g_string_append_printf(hex, "%02x", data[i]);
    }
    g_test_message("%s:%u: %.200s\n    ours: %s status %d sense %s", c->name, number, line,
                   hex->str, h->status, sense);
    return 1;
}

static void test_golden(gconstpointer opaque)
{
    const Config *c = opaque;
    if (c->node) {
        g_autofree char *node = g_strdup_printf(c->node, folder);
        add_node(node);
    }
    Hba *h = hba_new();
    ScsiDevice *dev = hba_plug(h, c->type, c->props);
    g_autofree char *name = g_strdup_printf("%s.txt", c->name);
    g_autofree char *path = g_test_build_filename(G_TEST_DIST, "..", "golden", "scsi", name, NULL);
    g_autofree char *text = NULL;
    g_assert_true(g_file_get_contents(path, &text, NULL, NULL));
    g_auto(GStrv) lines = g_strsplit(text, "\n", -1);
    unsigned bad = 0;
    for (unsigned i = 0; lines[i] && lines[i][0]; i++) {
        if (strcmp(lines[i], "reset") == 0) {
            device_reset(&dev->device);
            /* As the bridge's driver did after it: the first command is lost to the unit attention.
             * */
            continue;
        }
        bad += run_line(c, h, dev, lines[i], i + 1);
    }
    hba_free(h);
    if (bad) {
        g_test_fail_printf("%u answers differ", bad);
    }
}

static void make_images(void)
{
    static const char *const hds[] = { "hd", "props" };
    g_autofree char *cd = g_build_filename(folder, "cd", NULL);
    g_autofree uint8_t *image = g_malloc(CD_BLOCKS * 2048);
    for (uint32_t i = 0; i < CD_BLOCKS * 2048; i++) {
        image[i] = (i >> 11) * 31 + i * 7 + (i >> 8);
    }
    g_assert_true(g_file_set_contents(cd, (char *)image, CD_BLOCKS * 2048, NULL));
    for (unsigned i = 0; i < G_N_ELEMENTS(hds); i++) {
        g_autofree char *hd = g_build_filename(folder, hds[i], NULL);
        g_assert_true(g_file_set_contents(hd, "", 0, NULL));
        g_assert_cmpint(truncate(hd, 16 << 20), ==, 0);
    }
}

#define HD_PROPS                                                                                 \
    "drive=props,serial=SER123,wwn=0x5000c50015ea71ac,port_wwn=0x5000c50015ea71ad,port_index=3," \
    "vendor=ACME,"                                                                               \
    "product=SuperDisk,ver=9.9,device_id=DEVID,rotation_rate=7200,physical_block_size=4096,"     \
    "min_io_size=8192,opt_io_size=65536,discard_granularity=8192,dpofua=on,removable=on,"        \
    "max_unmap_size=1048576,max_io_size=131072"

static const Config configs[] = {
    { "hd", "scsi-hd",
      "driver=raw,node-name=hd,discard=unmap,file.discard=unmap,file.driver=file,file.filename=%s/"
      "hd",
      "drive=hd" },
    { "hd-props", "scsi-hd",
      "driver=raw,node-name=props,discard=unmap,file.discard=unmap,file.driver=file,file.filename=%"
      "s/props",
      HD_PROPS },
    { "hd-4k-big", "scsi-hd", "driver=null-co,node-name=big4k,size=3298534883328,read-zeroes=on",
      "drive=big4k,logical_block_size=4096,physical_block_size=4096,scsi_version=6,rotation_rate="
      "1" },
    { "hd-huge", "scsi-hd", "driver=null-co,node-name=huge,size=3298534883328,read-zeroes=on",
      "drive=huge" },
    { "hd-ro", "scsi-hd", "driver=null-co,node-name=ro,size=16777216,read-zeroes=on,read-only=on",
      "drive=ro" },
    { "cd", "scsi-cd", "driver=raw,node-name=cd,read-only=on,file.driver=file,file.filename=%s/cd",
      "drive=cd" },
    { "dvd", "scsi-cd", "driver=null-co,node-name=dvd,size=943718400,read-zeroes=on,read-only=on",
      "drive=dvd,serial=CDSER" },
    { "cd-empty", "scsi-cd", NULL, NULL },
};

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    scsi_test_init();
    folder = g_dir_make_tmp("test-scsi-XXXXXX", NULL);
    make_images();
    for (unsigned i = 0; i < G_N_ELEMENTS(configs); i++) {
        g_autofree char *name = g_strdup_printf("/scsi/golden/%s", configs[i].name);
        g_test_add_data_func(name, &configs[i], test_golden);
    }
    int ret = g_test_run();
    static const char *const files[] = { "hd", "props", "cd" };
    for (unsigned i = 0; i < G_N_ELEMENTS(files); i++) {
        g_autofree char *path = g_build_filename(folder, files[i], NULL);
        g_unlink(path);
    }
    g_rmdir(folder);
    g_free(folder);
    return ret;
}
