/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The program's entry. */
#include "util/osdep.h"

#include "startup.h"

int main(int argc, char **argv)
{
    return startup_main(argc, argv);
}
