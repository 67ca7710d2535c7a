/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The program's entry. */
#include "util/osdep.h"

#include <stdio.h>

int main(int argc, char **argv)
{
    if (argc == 2 && (!strcmp(argv[1], "-version") || !strcmp(argv[1], "--version"))) {
        printf("Tern version %s\n", TERN_VERSION);
        return EXIT_SUCCESS;
    }
    fprintf(stderr, "%s: this build has no machine yet\n", argv[0]);
    return EXIT_FAILURE;
}
