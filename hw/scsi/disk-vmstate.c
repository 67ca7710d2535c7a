/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The section "scsi-disk": version 1, as stock has it, and what stock cannot say in subsections of
 * our own.
 *
 * Payload of a list entry (request.c), behind the lun:
 *
 *   DMA                    be64 sector, be32 count, be32 buflen;
 *                          READ, not stopped: be32 len, len bytes; WRITE: min(count * 512, buflen)
 *                          bytes
 *                          adapter with keeps_data: first sector, all sectors, 0; READ, not stopped:
 *                          be32 0
 *   emulated, property on  be64 0, be32 0, be32 buflen; READ-like, not stopped: be32 len, len bytes
 *   emulated, property off nothing
 *   of the target          nothing
 *
 * Sectors have 512 bytes. Stock always sends len 0 for an emulated request, and its own data are
 * gone on arrival; with the bytes in place it loads them. We take every form from everyone,
 * whatever our property says: whether there is a payload can be seen (looks_like_payload).
 *
 * Subsections, each only if there is something in it:
 *   scsi-disk/answers      property on: buffers that have no place in the list, by tag and lun:
 *   parameter lists of
 *                          emulated data-out requests, answers of the target
 *   scsi-disk/write-cache  WCE, if MODE SELECT has changed it
 * A stock destination refuses a stream with one of them, by name, and the source goes on; without
 * them it would lose or crash.
 */
#include "util/osdep.h"
#include "disk.h"

#include "util/bytes.h"
#include "util/error.h"

/* Buffers that a stream may ask us for. */
#define MAX_BUFFER (2u << 20)
#define MIN_BUFFER 512

/* ---- DMA ------------------------------------------------------------------------------------- */

static uint32_t write_chunk_bytes(const DiskRequest *d)
{
    return MIN((uint64_t)d->count * BLOCK_SECTOR, d->buflen);
}

bool disk_dma_save(ScsiRequest *req, VmWriter *w, GError **error)
{
    DiskRequest *d = DISK_REQUEST(req);
    if (req->bus->ops->keeps_data) {
        vm_put_be64(w, req->lba * (req->dev->block_size / BLOCK_SECTOR));
        vm_put_be32(w, req->xfer / BLOCK_SECTOR);
        vm_put_be32(w, 0);
        if (!d->write && req->state != SCSI_REQUEST_STOPPED) {
            vm_put_be32(w, 0);
        }
        return true;
    }
    vm_put_be64(w, d->sector);
    vm_put_be32(w, d->count);
    vm_put_be32(w, d->buflen ? d->buflen : DISK_CHUNK);
    if (d->write) {
        vm_put_bytes(w, d->buf, write_chunk_bytes(d));
    } else if (req->state != SCSI_REQUEST_STOPPED) {
        vm_put_be32(w, req->chunk_len);
        vm_put_bytes(w, req->chunk, req->chunk_len);
    }
    return true;
}

static bool dma_lengths_valid(DiskRequest *d, uint32_t chunk)
{
    ScsiRequest *req = &d->req;
    uint64_t rest = (uint64_t)d->count * BLOCK_SECTOR + chunk;
    return d->buflen >= MIN_BUFFER && d->buflen <= MAX_BUFFER && d->buflen % BLOCK_SECTOR == 0 &&
           chunk <= d->buflen && chunk % BLOCK_SECTOR == 0 && rest > 0 && rest <= req->xfer &&
           d->sector <= INT64_MAX / BLOCK_SECTOR - UINT32_MAX;
}

bool disk_dma_load(ScsiRequest *req, VmReader *r, GError **error)
{
    DiskRequest *d = DISK_REQUEST(req);
    disk_dma_setup(d);
    d->sector = vm_get_be64(r);
    d->count = vm_get_be32(r);
    d->buflen = vm_get_be32(r);
    bool has_len = !d->write && req->state != SCSI_REQUEST_STOPPED;
    uint32_t len = has_len ? vm_get_be32(r) : 0;
    if (!vm_reader_check(r, error)) {
        return false;
    }
    if (req->bus->ops->keeps_data && !d->buflen && !len) {
        d->again = true;
        return true;
    }
    if (!dma_lengths_valid(d, len)) {
        d->buflen = 0;
        return error_set(error, "request %s: impossible position or length",
                         scsi_command_name(req->cdb[0]));
    }
    d->buf = g_malloc0(d->buflen);
    if (d->write) {
        len = write_chunk_bytes(d);
    }
    if (!vm_get_bytes(r, d->buf, len)) {
        return vm_reader_check(r, error);
    }
    /* A READ without data was not that far: it reads its chunk (again). */
    if (req->state == SCSI_REQUEST_RESTORED && len) {
        scsi_request_load_chunk(req, d->buf, len);
    }
    return true;
}

/* ---- emulated -------------------------------------------------------------------------------- */

static bool carries(const ScsiRequest *req)
{
    return req->dev->carries_answers;
}

bool disk_emulated_can_leave(ScsiRequest *req, GError **error)
{
    DiskRequest *d = DISK_REQUEST(req);
    if (carries(req) || req->state == SCSI_REQUEST_RESTORED) {
        return true;
    }
    if (req->state == SCSI_REQUEST_STOPPED) {
        return !d->have_data || req->bus->ops->keeps_data ||
               error_set(error,
                         "it was stopped by an I/O error, and its parameters cannot travel with "
                         "migrate-emulated-scsi-request=off");
    }
    return error_set(error, req->direction == SCSI_TO_DEVICE
                                ? "the guest has not sent all parameters yet"
                                : "the guest has not fetched the answer yet");
}

bool disk_emulated_save(ScsiRequest *req, VmWriter *w, GError **error)
{
    DiskRequest *d = DISK_REQUEST(req);
    if (!carries(req)) {
        return true;
    }
    vm_put_be64(w, 0);
    vm_put_be32(w, 0);
    vm_put_be32(w, MAX(DISK_BUFFER, d->buflen));
    if (req->direction == SCSI_FROM_DEVICE && req->state != SCSI_REQUEST_STOPPED) {
        uint32_t len = req->state == SCSI_REQUEST_DATA ? d->filled : 0;
        vm_put_be32(w, len);
        vm_put_bytes(w, d->buf, len);
    }
    return true;
}

/*
 * What can follow the lun of an emulated request is either its payload, or the kind of the next
 * entry, or the end of the list (0) with 5 booleans and then a footer or a subsection. A payload
 * starts with 12 bytes of which the first is 0, and then has a buffer size of 4096 or somewhat
 * more; at that place the other forms have part of a CDB, of a small section id or of a type byte
 * and a length.
 */
static bool looks_like_payload(VmReader *r)
{
    uint8_t ahead[16];
    if (vm_peek_bytes(r, ahead, sizeof(ahead), 0) < sizeof(ahead)) {
        return vm_reader_fail(r, "the stream ends within a request");
    }
    if (ahead[0] != 0) {
        return false;
    }
    uint32_t buflen = load_be32(ahead + 12);
    return buflen >= DISK_BUFFER && buflen <= MAX_BUFFER;
}

bool disk_emulated_load(ScsiRequest *req, VmReader *r, GError **error)
{
    DiskRequest *d = DISK_REQUEST(req);
    d->command = disk_command(disk_of(d), req->cdb[0]);
    if (!looks_like_payload(r)) {
        return vm_reader_check(r, error);
    }
    vm_get_be64(r);
    vm_get_be32(r);
    uint32_t buflen = vm_get_be32(r);
    if (req->direction != SCSI_FROM_DEVICE || req->state == SCSI_REQUEST_STOPPED) {
        return vm_reader_check(r, error);
    }
    uint32_t len = vm_get_be32(r);
    if (!vm_reader_check(r, error)) {
        return false;
    }
    if (len > buflen || len > req->xfer) {
        return error_set(error, "request %s: impossible length", scsi_command_name(req->cdb[0]));
    }
    if (!len) {
        return true; /* stock's form: runs again */
    }
    d->buf = g_malloc0(buflen);
    d->buflen = buflen;
    d->filled = len;
    if (vm_get_bytes(r, d->buf, len) && d->command && !d->command->parameters) {
        scsi_request_load_chunk(req, d->buf, len);
    }
    return vm_reader_check(r, error);
}

/* ---- scsi-disk/answers ----------------------------------------------------------------------- */

enum { ANSWER_IN_FLIGHT = 0, ANSWER_COMPLETE = 1 };

/* The buffer that has no place in the list entry of req; NULL if there is none. */
static const uint8_t *homeless_buffer(ScsiRequest *req, uint32_t *len)
{
    DiskRequest *d = DISK_REQUEST(req);
    if (!carries(req) || req->bus->ops->keeps_data) {
        return NULL;
    }
    if (req->ops == &scsi_target_request_ops) {
        return req->state == SCSI_REQUEST_DATA ? scsi_target_buffer(req, len) : NULL;
    }
    if (req->ops != &disk_emulated_ops || req->direction != SCSI_TO_DEVICE || !d->buf ||
        (req->state != SCSI_REQUEST_DATA &&
         !(req->state == SCSI_REQUEST_STOPPED && d->have_data))) {
        return NULL;
    }
    *len = d->filled;
    return d->buf;
}

static bool answers_needed(const void *opaque)
{
    const ScsiDisk *s = opaque;
    uint32_t len;
    for (GList *l = s->scsi.requests.head; l; l = l->next) {
        if (homeless_buffer(l->data, &len)) {
            return true;
        }
    }
    return false;
}

static bool put_answers(VmWriter *w, const void *elem, size_t size, const VmField *field,
                        GError **error)
{
    const ScsiDisk *s = (const ScsiDisk *)((const char *)elem - offsetof(ScsiDisk, scsi.requests));
    for (GList *l = s->scsi.requests.head; l; l = l->next) {
        ScsiRequest *req = l->data;
        uint32_t len = 0;
        const uint8_t *buf = homeless_buffer(req, &len);
        if (!buf) {
            continue;
        }
        vm_put_u8(w, 1);
        vm_put_be32(w, req->tag);
        vm_put_be32(w, req->lun);
        vm_put_u8(w, req->state == SCSI_REQUEST_STOPPED ? ANSWER_COMPLETE : ANSWER_IN_FLIGHT);
        vm_put_be32(w, len);
        vm_put_bytes(w, buf, len);
    }
    vm_put_u8(w, 0);
    return true;
}

static ScsiRequest *find_request(ScsiDisk *s, uint32_t tag, uint32_t lun)
{
    for (GList *l = s->scsi.requests.head; l; l = l->next) {
        ScsiRequest *req = l->data;
        if (req->tag == tag && req->lun == lun) {
            return req;
        }
    }
    return NULL;
}

/* Gives data to a request that came without; it must be one that can have them. */
static bool take_answer(ScsiRequest *req, uint8_t form, const uint8_t *data, uint32_t len)
{
    DiskRequest *d = DISK_REQUEST(req);
    if (req->ops == &scsi_target_request_ops) {
        if (form != ANSWER_IN_FLIGHT || req->state != SCSI_REQUEST_RESTORED) {
            return false;
        }
        scsi_target_load_buffer(req, data, len);
        return true;
    }
    if (req->ops != &disk_emulated_ops || req->direction != SCSI_TO_DEVICE || len != req->xfer ||
        d->buf || !d->command || !d->command->parameters) {
        return false;
    }
    if (req->state != (form == ANSWER_COMPLETE ? SCSI_REQUEST_STOPPED : SCSI_REQUEST_RESTORED)) {
        return false;
    }
    d->buflen = MAX(DISK_BUFFER, len);
    d->buf = g_malloc0(d->buflen);
    memcpy(d->buf, data, len);
    d->filled = len;
    if (form == ANSWER_COMPLETE) {
        d->have_data = true;
    } else {
        scsi_request_load_chunk(req, d->buf, len);
    }
    return true;
}

static bool get_answer(ScsiDisk *s, VmReader *r, GError **error)
{
    uint32_t tag = vm_get_be32(r);
    uint32_t lun = vm_get_be32(r);
    uint8_t form = vm_get_u8(r);
    uint32_t len = vm_get_be32(r);
    if (!vm_reader_check(r, error)) {
        return false;
    }
    ScsiRequest *req = find_request(s, tag, lun);
    if (!req || form > ANSWER_COMPLETE || !len || len > MAX_BUFFER) {
        return error_set(error, "an answer without a request, or of impossible length");
    }
    g_autofree uint8_t *data = g_malloc(len);
    if (!vm_get_bytes(r, data, len)) {
        return vm_reader_check(r, error);
    }
    return take_answer(req, form, data, len) ||
           error_set(error, "request %s cannot have the answer that came",
                     scsi_command_name(req->cdb[0]));
}

static bool get_answers(VmReader *r, void *elem, size_t size, const VmField *field, GError **error)
{
    ScsiDisk *s = (ScsiDisk *)((char *)elem - offsetof(ScsiDisk, scsi.requests));
    for (;;) {
        uint8_t more = vm_get_u8(r);
        if (!vm_reader_check(r, error)) {
            return false;
        }
        if (more > 1) {
            return error_set(error, "damaged list of answers");
        }
        if (!more) {
            return true;
        }
        if (!get_answer(s, r, error)) {
            return false;
        }
    }
}

static const VmKind vm_kind_answers = {
    .name = "scsi-answers",
    .put = put_answers,
    .get = get_answers,
};

static const VmState answers_vmstate = {
    .name = "scsi-disk/answers",
    .version = 1,
    .minimum_version = 1,
    .needed = answers_needed,
    .fields =
        (const VmField[]){
            { .name = "answers",
              .offset = VM_CHECKED_OFFSET(ScsiDisk, scsi.requests, GQueue),
              .size = 1,
              .kind = &vm_kind_answers },
            VM_END,
        },
};

/* ---- scsi-disk/write-cache ------------------------------------------------------------------- */

static bool write_cache_needed(const void *opaque)
{
    const ScsiDisk *s = opaque;
    return s->conf.front && front_write_cache(s->conf.front) != s->write_cache_default;
}

static bool write_cache_pre_save(void *opaque, GError **error)
{
    ScsiDisk *s = opaque;
    s->write_cache_wanted = front_write_cache(s->conf.front);
    return true;
}

static const VmState write_cache_vmstate = {
    .name = "scsi-disk/write-cache",
    .version = 1,
    .minimum_version = 1,
    .needed = write_cache_needed,
    .pre_save = write_cache_pre_save,
    .fields =
        (const VmField[]){
            VM_BOOL(ScsiDisk, write_cache_wanted),
            VM_END,
        },
};

/* ---- the section ----------------------------------------------------------------------------- */

static bool disk_pre_load(void *opaque, GError **error)
{
    ScsiDisk *s = opaque;
    s->write_cache_wanted = s->write_cache_default;
    return true;
}

static bool disk_post_load(void *opaque, int version, GError **error)
{
    ScsiDisk *s = opaque;
    if (s->conf.front) {
        front_set_write_cache(s->conf.front, s->write_cache_wanted);
    }
    return true;
}

const VmState disk_vmstate = {
    .name = "scsi-disk",
    .version = 1,
    .minimum_version = 1,
    .pre_load = disk_pre_load,
    .post_load = disk_post_load,
    .fields =
        (const VmField[]){
            VM_SCSI_DEVICE(ScsiDisk, scsi),
            VM_BOOL(ScsiDisk, media_changed),
            VM_BOOL(ScsiDisk, media_event),
            VM_BOOL(ScsiDisk, eject_request),
            VM_BOOL(ScsiDisk, tray_open),
            VM_BOOL(ScsiDisk, tray_locked),
            VM_END,
        },
    .subsections = (const VmState *const[]){ &answers_vmstate, &write_cache_vmstate, NULL },
};
