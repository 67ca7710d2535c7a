/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Tells net/ when the machine runs. */
#ifndef SYSTEM_NET_GLUE_H
#define SYSTEM_NET_GLUE_H

/* Once, before the first backend. */
void net_glue_init(void);

#endif
