/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Block I/O of a unit (I4): one request at a time, through memory of our own; errors under
 * rerror/werror; giving up; waiting.
 *
 *   ide_io() --> to be submitted --> in flight --> done(unit, ret)
 *                     |                 |
 *                     +---- orphan -----+--> over, unit no longer waits for it
 *
 * A register write of a virtual CPU comes from that CPU's thread, so submission takes a bottom half there.
 */
#include "util/osdep.h"
#include "ide-private.h"

#include "util/trace.h"

TRACE_EVENT(ide_cancel_dma_sync_buffered)

struct IdeRequest {
    IdeUnit *unit;
    IdeIo io;
    uint64_t offset, len;
    IoVec vec;
    BlockAio *aio;
    bool submitted, orphan;
    void *buf; /* the unit's; its own after it was given up */
    IdeIoDone *done;
};

static BlockFront *front_of(const IdeUnit *u)
{
    return u->drive->conf.front;
}

static void request_free(IdeRequest *r)
{
    if (r->orphan) {
        g_free(r->buf);
    }
    iovec_destroy(&r->vec);
    g_free(r);
}

static void io_over(void *opaque, int ret)
{
    IdeRequest *r = opaque;
    IdeUnit *u = r->unit;
    IdeIoDone *done = r->done;
    bool orphan = r->orphan;

    request_free(r);
    if (!orphan) {
        u->request = NULL;
        done(u, ret);
    } else if (--u->orphans == 0 && u->reset_pending) {
        ide_reset_finish(u);
    }
}

static void submit(IdeUnit *u)
{
    IdeRequest *r = u->request;

    if (!r || r->submitted) {
        return;
    }
    r->submitted = true;
    switch (r->io) {
    case IDE_IO_READ:
        r->aio = front_aio_read(front_of(u), r->offset, &r->vec, io_over, r);
        break;
    case IDE_IO_WRITE:
        r->aio = front_aio_write(front_of(u), r->offset, &r->vec, 0, io_over, r);
        break;
    case IDE_IO_FLUSH:
        r->aio = front_aio_flush(front_of(u), io_over, r);
        break;
    case IDE_IO_DISCARD:
        r->aio = front_aio_discard(front_of(u), r->offset, r->len, io_over, r);
        break;
    }
}

static void submit_bh(void *opaque)
{
    submit(opaque);
}

void ide_unit_init_requests(IdeUnit *u)
{
    u->submit = bh_new(NULL, "ide-submit", submit_bh, u);
}

void ide_io(IdeUnit *u, IdeIo io, uint64_t offset, void *buf, uint64_t len, IdeIoDone *done)
{
    IdeRequest *r = g_new0(IdeRequest, 1);

    g_assert(!u->request);
    r->unit = u;
    r->io = io;
    r->offset = offset;
    r->len = len;
    r->buf = buf;
    r->done = done;
    iovec_init(&r->vec, 1);
    if (buf) {
        iovec_add(&r->vec, buf, len);
    }
    u->request = r;
    if (in_main_thread()) {
        submit(u);
    } else {
        bh_schedule(u->submit);
    }
}

/* The unit's two buffers are what requests use; one that is given up keeps its own, the unit gets a new one. */
void ide_orphan(IdeRequest *r)
{
    IdeUnit *u = r->unit;

    u->request = NULL;
    if (!r->submitted) {
        request_free(r);
        return;
    }
    trace(ide_cancel_dma_sync_buffered, "cancelling request of %p", (void *)u);
    if (r->buf == u->dma_buf) {
        u->dma_buf = NULL;
    } else if (r->buf) { /* somewhere in the other one */
        r->buf = u->buffer;
        u->buffer = g_malloc0(IDE_BUFFER_SIZE);
    }
    r->orphan = true;
    u->orphans++;
    if (in_main_thread()) {
        front_aio_cancel(r->aio);
    }
}

void ide_settle(IdeBus *bus)
{
    for (unsigned n = 0; n < IDE_UNITS; n++) {
        IdeUnit *u = &bus->units[n];

        if (u->drive && front_of(u)) {
            submit(u);
            front_drain(front_of(u));
        }
    }
}

/* Requests that wait in the front because their medium is somebody else's. */
static void park(IdeUnit *u)
{
    if (u->request && u->request->aio) {
        front_aio_cancel(u->request->aio);
        front_drain(front_of(u));
    }
}

/* ---- errors ------------------------------------------------------------------------------------- */

/* The unit stands still until the VM runs; who looks meanwhile sees it busy. */
static void stop(IdeUnit *u)
{
    u->phase = IDE_STOPPED;
}

bool ide_io_good(IdeUnit *u, int ret, bool is_read)
{
    BlockErrorAction action;

    if (ret >= 0) {
        return true;
    }
    if (ret == -ECANCELED) { /* parked */
        stop(u);
        return false;
    }
    action = front_error_action(front_of(u), is_read, -ret);
    if (action == BLOCK_ERROR_ACTION_STOP) {
        stop(u);
    }
    front_error_apply(front_of(u), action, is_read, -ret);
    if (action == BLOCK_ERROR_ACTION_REPORT) {
        if (u->job == IDE_JOB_ATAPI_READ || u->job == IDE_JOB_ATAPI_DMA) {
            atapi_error(u, ret == -ENOMEDIUM ? 0x02 : 0x03, ret == -ENOMEDIUM ? 0x3a : 0x11);
        } else {
            ide_abort(u);
        }
    }
    return action == BLOCK_ERROR_ACTION_IGNORE;
}

/* ---- run state and quiesce -------------------------------------------------------------------------- */

void ide_go_on(IdeUnit *u)
{
    IdeJob job = u->job;

    u->phase = IDE_BUSY;
    switch (job) {
    case IDE_JOB_READ:
        ata_pio_read(u);
        break;
    case IDE_JOB_WRITE:
        ata_pio_write_block(u);
        break;
    case IDE_JOB_FLUSH:
        ata_flush(u);
        break;
    case IDE_JOB_DMA_READ:
    case IDE_JOB_DMA_WRITE:
    case IDE_JOB_TRIM:
        if (job != IDE_JOB_TRIM) {
            ata_set_sector(u, u->retry_sector);
        }
        u->nsector = u->retry_nsector;
        ata_dma(u, job);
        break;
    case IDE_JOB_ATAPI_READ:
        atapi_read_block(u);
        break;
    case IDE_JOB_ATAPI_DMA:
        atapi_execute(u);
        break;
    case IDE_JOB_NONE:
        u->phase = IDE_IDLE;
        break;
    }
}

static void vm_state_changed(void *opaque, bool running, VmRunState state)
{
    IdeBus *bus = opaque;

    if (!running) {
        ide_settle(bus);
        return;
    }
    for (unsigned n = 0; n < IDE_UNITS; n++) {
        if (bus->units[n].phase == IDE_STOPPED) {
            ide_go_on(&bus->units[n]);
        }
    }
}

static QuiesceResult quiesce(void *opaque, GError **error)
{
    IdeBus *bus = opaque;

    ide_settle(bus);
    for (unsigned n = 0; n < IDE_UNITS; n++) {
        park(&bus->units[n]);
    }
    return QUIESCE_DONE;
}

static const QuiesceOps quiesce_ops = {
    .name = "ide",
    .quiesce = quiesce,
};

void ide_bus_init_requests(IdeBus *bus)
{
    bus->vm_state = vm_state_add_handler(vm_state_changed, bus, 0);
    bus->quiesce = quiesce_register(&quiesce_ops, bus);
}

void ide_bus_end_requests(IdeBus *bus)
{
    vm_state_del_handler(bus->vm_state);
    quiesce_unregister(bus->quiesce);
    for (unsigned n = 0; n < IDE_UNITS; n++) {
        bh_delete(bus->units[n].submit);
    }
}
