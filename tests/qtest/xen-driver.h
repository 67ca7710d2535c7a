/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A front end of Xen's block device for tests: the hypervisor's calls at xen-disk's doorway, grants, event channels, xenstore,
 * and the ring, through the qtest client.
 */
#ifndef XEN_DRIVER_H
#define XEN_DRIVER_H

#include "qtest-client.h"

#define XEN_DOORWAY 0xec0
#define XEN_CALL 0x100000u
#define XEN_SHARED 0x101000u
#define XEN_STORE 0x102000u
#define XEN_GRANTS 0x103000u
#define XEN_RING 0x104000u
#define XEN_DATA 0x110000u
#define XEN_PAGES 24
#define XEN_FIRST_GRANT 8 /* of XEN_DATA's pages; the ring has 7 */
#define XEN_RING_GRANT 7
#define XEN_SEED 11
#define XEN_IMAGE (1024 * 1024)
#define XEN_SECTOR 512
#define XEN_FRONT "device/vbd/51712"
#define XEN_BACK "/local/domain/0/backend/vbd/1/51712"

enum { XEN_OP_READ, XEN_OP_WRITE, XEN_OP_BARRIER, XEN_OP_FLUSH, XEN_OP_DISCARD = 5 };
enum {
    XS_DIRECTORY = 1,
    XS_READ,
    XS_WATCH = 4,
    XS_TRANSACTION_START = 6,
    XS_TRANSACTION_END,
    XS_WRITE = 11,
    XS_RM = 13,
    XS_WATCH_EVENT = 15,
    XS_ERROR
};

typedef struct XenFront {
    QTest *q;
    uint32_t req_prod, rsp_cons, port, next_req;
    bool persistent;
    uint8_t shadow[32][112]; /* requests without an answer, as a front end keeps them */
    bool outstanding[32];
} XenFront;

/* A hypercall; args are in and out. Returns what it returned. */
int64_t xen_call(QTest *q, uint64_t number, uint64_t op, uint64_t args[4]);
/* Notifies the port's other end. */
void xen_send_event(QTest *q, uint32_t port);
/* Waits for the port's pending bit, and clears it as a guest does. */
void xen_wait_event(QTest *q, uint32_t port);
/* Grants the back end the page at address; and whether it has it mapped. */
void xen_grant(QTest *q, uint32_t ref, uint64_t address, bool readonly);
bool xen_in_use(QTest *q, uint32_t ref);
/* The answer's payload (g_free); *type is XS_ERROR for an error. Events of watches on the way are dropped. */
char *xen_store_request(QTest *q, uint32_t *type, uint32_t tx, const void *payload, uint32_t len);
/* xenstore: a value (g_free), NULL if there is none; writing one, within a transaction or (0) without. */
char *xen_store_read(QTest *q, const char *path);
void xen_store_write(QTest *q, uint32_t tx, const char *path, const char *value);
/* The back end's state (XenbusState) is this. */
void xen_expect_back_state(QTest *q, const char *state);
/* A new ring and event channel, said to the back end; up to state 4. */
void xen_connect_front(XenFront *f, bool persistent);
/* One request of n whole pages from XEN_DATA's page `page` on. */
void xen_put_request(XenFront *f, unsigned id, uint8_t op, uint64_t sector, unsigned page,
                     unsigned n);
/* Puts the request into the ring; tells the back end. */
void xen_push(XenFront *f, unsigned id);
void xen_kick(XenFront *f);
/* Takes one response; returns its id. */
unsigned xen_take(XenFront *f, int16_t *status);
/* One request from beginning to end (id 3), with the status that is wanted. */
void xen_run(XenFront *f, uint8_t op, uint64_t sector, unsigned page, unsigned n, int wanted);
/* What the pages hold is the image's, from that sector on (qtest_image() with XEN_SEED). */
void xen_check_read(XenFront *f, uint64_t sector, unsigned page, unsigned n);
/* Shows the hypervisor where things are, grants the pages of data, connects. f->q is the machine. */
void xen_attach(XenFront *f, bool persistent);

#endif
