/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The rows of quiesce-test that are Xen's disk: grants per request. Control is a front end that goes and comes back, which finds the
 * machine moved in between.
 */
#include "util/osdep.h"
#include "quiesce-rig.h"
#include "xen-driver.h"

static XenFront front;

void quiesce_xen_attach(QuiesceRig *r)
{
    front = (XenFront){ .q = r->q };
    xen_attach(&front, false);
}

static void connect_anew(QuiesceRig *r)
{
    xen_store_write(r->q, 0, XEN_FRONT "/state", "1");
    xen_expect_back_state(r->q, "2");
    quiesce_happens(r);
    xen_expect_back_state(r->q, "2");
    xen_connect_front(&front, false);
    xen_run(&front, XEN_OP_READ, QUIESCE_READ_AT, 0, 1, 0);
    qtest_memread(r->q, XEN_DATA, r->data, QUIESCE_LENGTH);
}

/* A second request is in the ring, of which the back end has not been told: it takes it when it has done the first one, or where it
 * goes on. */
static void xen_run_behind(QuiesceRig *r)
{
    int16_t status;

    xen_put_request(&front, 3, XEN_OP_READ, QUIESCE_WRITE_AT, 1, 1);
    xen_put_request(&front, 4, XEN_OP_READ, QUIESCE_READ_AT, 0, 1);
    xen_push(&front, 3);
    xen_kick(&front);
    xen_push(&front, 4);
    quiesce_happens(r);
    for (unsigned id = 3; id <= 4; id++) {
        g_assert_cmpuint(xen_take(&front, &status), ==, id);
        g_assert_cmpint(status, ==, 0);
    }
    qtest_memread(r->q, XEN_DATA, r->data, QUIESCE_LENGTH);
}

void quiesce_xen_run(QuiesceRig *r, QuiesceOp op)
{
    static const uint8_t ops[] = { XEN_OP_READ, XEN_OP_WRITE, XEN_OP_FLUSH };
    int16_t status;

    if (op == QUIESCE_CONTROL) {
        connect_anew(r);
        return;
    }
    if (r->row->behind) {
        xen_run_behind(r);
        return;
    }

    if (op == QUIESCE_WRITE) {
        qtest_memwrite(r->q, XEN_DATA, r->data, QUIESCE_LENGTH);
    }
    xen_put_request(&front, 3, ops[op],
                    op == QUIESCE_READ    ? QUIESCE_READ_AT
                    : op == QUIESCE_WRITE ? QUIESCE_WRITE_AT
                                          : 0,
                    0, op != QUIESCE_FLUSH);
    xen_push(&front, 3);
    xen_kick(&front);
    quiesce_happens(r);
    xen_wait_event(r->q, front.port);
    g_assert_cmpuint(xen_take(&front, &status), ==, 3);
    g_assert_cmpint(status, ==, 0);
    if (op == QUIESCE_READ) {
        qtest_memread(r->q, XEN_DATA, r->data, QUIESCE_LENGTH);
    }
}
