/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Properties of devices that name a character device. Big lock. */
#ifndef HW_CORE_CHARDEV_H
#define HW_CORE_CHARDEV_H

#include "chardev/chardev.h"
#include "qom/object.h"

/* The member is a ChardevFe, which setting the property attaches, and the end of the device detaches. */
extern const PropertyKind property_chardev;

#define PROPERTY_CHARDEV(n, t, m) \
    PROPERTY(n, property_chardev, t, m, .description = "ID of a chardev to use as a backend")

#endif
