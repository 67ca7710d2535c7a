/* SPDX-License-Identifier: GPL-2.0-or-later */
/* A UHCI schedule that tests write by hand, TD by TD, in place of the driver's (UHCI Design Guide 1.1, chapter 3). */
#ifndef TESTS_QTEST_UHCI_SCHEDULE_H
#define TESTS_QTEST_UHCI_SCHEDULE_H

#include "uhci-driver.h"

#define UHCI_DEVFN 0x0a
#define IO 0xc000
#define MEM 0x100000
#define MACHINE "-machine pc -m 16 -device piix3-usb-uhci,addr=1.2,id=u "

#define RUN "-accel qtest -display none -nodefaults "

/* Where tests put their own structures: behind the driver's. */
#define AREA 0x300000
#define QH(n) (AREA + 0x1000 + (n)*16)
#define TD(n) (AREA + 0x2000 + (n)*16)
#define BUF(n) (AREA + 0x8000 + (n)*0x1000)

#define T 1u
#define Q 2u
#define VF 4u
#define ACTIVE (1u << 23)
#define ERRORS(n) ((uint32_t)(n) << 27)
#define ISO (1u << 25)
#define ACTUAL(ctrl) (((ctrl) + 1) & 0x7ff)
#define TOKEN(pid, addr, ep, len) \
    ((uint32_t)(((len)-1) & 0x7ff) << 21 | (uint32_t)(ep) << 15 | (uint32_t)(addr) << 8 | (pid))

enum { STS_INT = 1, STS_ERR = 2, STS_RD = 4, STS_HSE = 8, STS_HCPE = 16, STS_HALTED = 32 };
enum { PORT_RD = 0x40 };

/* The descriptor request that tests use as a control transfer with data. */
extern const uint8_t uhci_get_config[8];

uint16_t uhci_reg(QTest *q, unsigned offset);
void uhci_set_reg(QTest *q, unsigned offset, uint16_t value);
uint32_t uhci_config_read32(QTest *q, unsigned devfn, unsigned r);
void uhci_config_write16(QTest *q, unsigned devfn, unsigned r, uint16_t value);

void uhci_put_td(QTest *q, unsigned n, uint32_t link, uint32_t ctrl, uint32_t token,
                 uint32_t buffer);
uint32_t uhci_td_ctrl(QTest *q, unsigned n);
void uhci_put_qh(QTest *q, unsigned n, uint32_t head, uint32_t element);
/* All frames begin with this link. */
void uhci_set_frames(QTest *q, uint32_t link);
/* SETUP, five IN of 8 bytes (the last is short), status: in queue qh as TDs first…first + 6. */
void uhci_put_control(QTest *q, unsigned qh, unsigned first, uint32_t link_flags, uint32_t head,
                      uint32_t extra);
unsigned uhci_active_tds(QTest *q, unsigned first, unsigned n);

/* The controller with its own empty schedule, running; the device on port 1 (if any) is reset and at address 0. */
QTest *uhci_start_with(UhciDriver *u, const char *devices);
/* Lets n frames pass. */
void uhci_frames(QTest *q, unsigned n);

#endif
