/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Pictures of consoles: PPM ("P6" of Netpbm) and PNG (libpng). */
#include "util/osdep.h"

#include <fcntl.h>
#include <png.h>
#include <setjmp.h>
#include <sys/stat.h>

#include "io/fds.h"
#include "monitor/hmp.h"
#include "qapi/commands-ui.h"
#include "ui-private.h"
#include "util/error.h"

/* Row y as three bytes a pixel. */
static void row_to_rgb(pixman_image_t *image, int y, uint8_t *rgb)
{
    const uint32_t *pixel =
        pixman_image_get_data(image) + (size_t)y * pixman_image_get_stride(image) / 4;

    for (int x = 0; x < pixman_image_get_width(image); x++, rgb += 3) {
        rgb[0] = pixel[x] >> 16;
        rgb[1] = pixel[x] >> 8;
        rgb[2] = pixel[x];
    }
}

static GByteArray *encode_ppm(pixman_image_t *image)
{
    int width = pixman_image_get_width(image), height = pixman_image_get_height(image);
    g_autofree char *header = g_strdup_printf("P6\n%d %d\n255\n", width, height);
    GByteArray *out = g_byte_array_sized_new(strlen(header) + 3 * width * height);
    g_autofree uint8_t *row = g_malloc(3 * width);

    g_byte_array_append(out, (const guint8 *)header, strlen(header));
    for (int y = 0; y < height; y++) {
        row_to_rgb(image, y, row);
        g_byte_array_append(out, row, 3 * width);
    }
    return out;
}

static void png_append(png_structp png, png_bytep data, png_size_t len)
{
    g_byte_array_append(png_get_io_ptr(png), data, len);
}

static void png_ignore_flush(png_structp png)
{
}

/* The only way to fail is a lack of memory: libpng's default handler says so and ends the program, as GLib does. */
static GByteArray *encode_png(pixman_image_t *image)
{
    int width = pixman_image_get_width(image), height = pixman_image_get_height(image);
    GByteArray *out = g_byte_array_new();
    png_structp png = png_create_write_struct(PNG_LIBPNG_VER_STRING, NULL, NULL, NULL);
    png_infop info = png_create_info_struct(png);
    uint8_t *row = g_malloc(3 * width);

    if (setjmp(png_jmpbuf(png))) {
        g_error("libpng failed");
    }
    png_set_write_fn(png, out, png_append, png_ignore_flush);
    png_set_IHDR(png, info, width, height, 8, PNG_COLOR_TYPE_RGB, PNG_INTERLACE_NONE,
                 PNG_COMPRESSION_TYPE_DEFAULT, PNG_FILTER_TYPE_DEFAULT);
    png_write_info(png, info);
    for (int y = 0; y < height; y++) {
        row_to_rgb(image, y, row);
        png_write_row(png, row);
    }
    png_write_end(png, NULL);
    png_destroy_write_struct(&png, &info);
    g_free(row);
    return out;
}

/* O_NONBLOCK: a FIFO that nobody reads must not stop the machine. */
static bool write_file(const char *name, const GByteArray *bytes, GError **error)
{
    int fd = io_open(name, O_WRONLY | O_CREAT | O_TRUNC | O_NONBLOCK, 0666, NULL);
    size_t done = 0;

    if (fd < 0) {
        return error_set(error, "failed to open file '%s': %s", name, strerror(-fd));
    }
    while (done < bytes->len) {
        ssize_t n = write(fd, bytes->data + done, bytes->len - done);

        if (n < 0 && errno != EINTR) {
            error_set_errno(error, errno, "failed to write file '%s'", name);
            io_close(fd);
            return false;
        }
        done += MAX(n, 0);
    }
    io_close(fd);
    return true;
}

bool qmp_screendump(const char *filename, const char *device, bool has_head, int64_t head,
                    bool has_format, ImageFormat format, GError **error)
{
    Console *con = device ? console_find(device, has_head ? CLAMP(head, 0, UINT_MAX) : 0, error)
                          : console_by_index(0);
    g_autoptr(GByteArray) bytes = NULL;

    if (device && !con) {
        return false;
    }
    if (!device && has_head) {
        return error_set(error, "'head' must be specified together with 'device'");
    }
    if (!con) {
        return error_set(error, "There is no console to take a screendump from");
    }
    console_update(con);
    bytes = has_format && format == IMAGE_FORMAT_PNG ? encode_png(console_surface(con))
                                                     : encode_ppm(console_surface(con));
    return write_file(filename, bytes, error);
}

/* There is no window. */
bool qmp_query_display_options(DisplayOptions **ret, GError **error)
{
    *ret = g_new0(DisplayOptions, 1);
    return true;
}

static void hmp_screendump(Hmp *hmp, const HmpArgs *args)
{
    const char *word = hmp_arg_str(args, "format");
    int format = word ? qapi_parse_ImageFormat(word) : IMAGE_FORMAT_PPM;
    GError *error = NULL;

    if (format < 0) {
        error_set(&error, "Parameter 'format' does not accept value '%s'", word);
    } else {
        qmp_screendump(hmp_arg_str(args, "filename"), hmp_arg_str(args, "device"),
                       hmp_arg_has(args, "head"), hmp_arg_int(args, "head", 0), true, format,
                       &error);
    }
    hmp_report_error(hmp, &error);
}

static const HmpCommand commands[] = {
    { "screendump", "filename:F,format:-fs,device:s?,head:i?",
      "filename [-f format] [device [head]]",
      "save screen from head 'head' of display device 'device' in specified format 'format' as "
      "image 'filename'. "
      "Currently only 'png' and 'ppm' formats are supported.",
      hmp_screendump },
};
HMP_REGISTER(commands)
