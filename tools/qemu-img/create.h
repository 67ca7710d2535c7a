/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Making an image from options as users write them. */
#ifndef QEMU_IMG_CREATE_H
#define QEMU_IMG_CREATE_H

#include "img.h"

typedef struct ImgCreate {
    const char *filename;
    const char *format;
    const char *backing_file, *backing_format; /* NULL: as options say */
    int64_t size;                              /* -1: as options say */
    bool size_wins;                            /* over that in options; else both are an error */
    bool skip_backing;                         /* the caller has looked at the backing file */
    bool unsafe;                               /* -u: the backing file is not opened */
    bool quiet;                                /* no line "Formatting ..." */
} ImgCreate;

/* "a=b,c" with ",," for a comma: a flat object of strings. NULL: empty. New object. */
json_object *img_parse_create_options(const char *text);
/* options: from img_parse_create_options(); it is completed and normalised. */
bool img_create_image(const ImgCreate *create, json_object *options, GError **error);

#endif
