/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The first include of every .c file: the build's configuration and the C library, nothing else.
 * Whatever else a file needs it includes itself.
 */
#ifndef UTIL_OSDEP_H
#define UTIL_OSDEP_H

#include "config.h"

#include <errno.h>
#include <inttypes.h>
#include <limits.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#endif
