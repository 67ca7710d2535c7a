/* SPDX-License-Identifier: GPL-2.0-or-later */
/* vhost-user: what travels with a migration besides memory: the in-flight region and the back end's own state. */
#include "util/osdep.h"

#include <fcntl.h>
#include <poll.h>
#include <sys/mman.h>

#include "vhost-user-internal.h"
#include "util/bytes.h"
#include "util/error.h"

/* ---- in-flight region ---------------------------------------------------------------------------------- */

/* The jobs run in the thread, but nothing is done there meanwhile: the members are ours for as long as it is idle. */
static void settle(VhostUser *vu)
{
    vhost_user_drain(vu);
}

uint8_t *vhost_user_inflight_save(VhostUser *vu, size_t *len, uint16_t *num_queues,
                                  uint16_t *queue_size)
{
    uint8_t *copy;
    size_t at = 0;

    settle(vu);
    if (vu->inflight_fd < 0) {
        return NULL;
    }
    *len = vu->inflight.mmap_size;
    *num_queues = vu->inflight.num_queues;
    *queue_size = vu->inflight.queue_size;
    copy = g_malloc0(*len);
    while (at < *len) {
        ssize_t n =
            pread(vu->inflight_fd, copy + at, *len - at, (off_t)(vu->inflight.mmap_offset + at));

        if (n <= 0) {
            break; /* a file that is shorter than said reads as zeros */
        }
        at += (size_t)n;
    }
    return copy;
}

bool vhost_user_inflight_load(VhostUser *vu, const uint8_t *data, size_t len, uint16_t num_queues,
                              uint16_t queue_size, GError **error)
{
    int fd;

    if (len > VHOST_USER_INFLIGHT_MAX) {
        return error_set(error, "an in-flight region of %zu bytes", len);
    }
    fd = memfd_create("vhost-inflight", MFD_CLOEXEC);
    if (fd < 0 || ftruncate(fd, (off_t)len) < 0 || pwrite(fd, data, len, 0) != (ssize_t)len) {
        error_set_errno(error, errno, "cannot restore the in-flight region");
        if (fd >= 0) {
            close(fd);
        }
        return false;
    }
    settle(vu);
    vu_inflight_forget(vu);
    vu->inflight_fd = fd;
    vu->inflight = (VhostUserInflight){ len, 0, num_queues, queue_size };
    return true;
}

void vhost_user_inflight_forget(VhostUser *vu)
{
    settle(vu);
    vu_inflight_forget(vu);
}

/*
 * "Inflight I/O tracking" of the specification: per queue a head that begins with u64 features, u16 version, u16 desc_num,
 * then desc_num entries that begin with u8 inflight; each queue's part is a multiple of 64 bytes. Head and entries have 16
 * bytes each for split rings, 32 for packed ones.
 */
bool vhost_user_inflight_pending(VhostUser *vu, bool packed)
{
    size_t len, part, unit = packed ? 32 : 16;
    uint16_t queues, size;
    g_autofree uint8_t *data = vhost_user_inflight_save(vu, &len, &queues, &size);

    if (!data) {
        return false;
    }
    part = (unit + size * unit + 63) & ~(size_t)63;
    for (size_t q = 0; q < queues && (q + 1) * part <= len; q++) {
        const uint8_t *queue = data + q * part;
        unsigned n = load_le16(queue + 10);

        for (unsigned i = 0; i < MIN(n, size); i++) {
            if (queue[unit + i * unit] == 1) {
                return true;
            }
        }
    }
    return false;
}

/* ---- the back end's own state -------------------------------------------------------------------------- */

typedef struct Transfer {
    GByteArray *bytes;   /* saving: what came */
    const uint8_t *data; /* loading */
    size_t len;
} Transfer;

/*
 * How fast it has to go: a step, or all that there is, within the time of one reply. Who waits has the big lock, so a back end
 * that moves a byte now and then is as good as silent.
 */
#define STATE_STEP 65536

typedef struct Pace {
    gint64 deadline; /* of this step */
    size_t moved;    /* bytes of it */
} Pace;

static Pace pace_new(VhostUser *vu)
{
    return (Pace){ .deadline = vu_deadline(vu) };
}

static void pace_moved(VhostUser *vu, Pace *pace, size_t n)
{
    pace->moved += n;
    if (pace->moved >= STATE_STEP) {
        *pace = pace_new(vu);
    }
}

/* Waits in slices, so that the end of the program is seen. */
static bool wait_fd(VhostUser *vu, int fd, short events, const Pace *pace)
{
    struct pollfd p = { fd, events, 0 };

    for (;;) {
        int r;

        if (g_get_monotonic_time() >= pace->deadline) {
            return vu_fail(vu, VHOST_USER_SILENT,
                           "the back end moved %zu bytes of its state in %u ms", pace->moved,
                           vu_timeout(vu));
        }
        r = poll(&p, 1, 100);
        if (r > 0) {
            return true;
        }
        if (vu_interrupted(vu)) {
            return vu_fail(vu, VHOST_USER_ENDING, "given up");
        }
    }
}

static bool receive_state(VhostUser *vu, int fd, GByteArray *bytes)
{
    uint8_t buf[65536];
    Pace pace = pace_new(vu);

    for (;;) {
        ssize_t n;

        if (!wait_fd(vu, fd, POLLIN, &pace)) {
            return false;
        }
        n = read(fd, buf, sizeof(buf));
        if (n == 0) {
            return true;
        }
        if (n < 0 && errno != EINTR && errno != EAGAIN) {
            return vu_fail(vu, VHOST_USER_AWAY, "cannot read the back end's state: %s",
                           g_strerror(errno));
        }
        if (n > 0) {
            g_byte_array_append(bytes, buf, (guint)n);
            pace_moved(vu, &pace, (size_t)n);
        }
        if (bytes->len > VHOST_USER_STATE_MAX) {
            return vu_fail(vu, VHOST_USER_LIED, "the back end's state has more than %u bytes",
                           VHOST_USER_STATE_MAX);
        }
    }
}

static bool send_state_bytes(VhostUser *vu, int fd, const uint8_t *data, size_t len)
{
    Pace pace = pace_new(vu);

    while (len) {
        ssize_t n;

        if (!wait_fd(vu, fd, POLLOUT, &pace)) {
            return false;
        }
        n = write(fd, data, len);
        if (n < 0 && errno != EINTR && errno != EAGAIN) {
            return vu_fail(vu, VHOST_USER_AWAY, "cannot send the back end's state: %s",
                           g_strerror(errno));
        }
        if (n > 0) {
            data += n;
            len -= (size_t)n;
            pace_moved(vu, &pace, (size_t)n);
        }
    }
    return true;
}

/* Agrees on a channel: ours, or one that the back end would rather have. *fd is ours to close. */
static bool state_channel(VhostUser *vu, bool load, int *fd)
{
    VhostUserMessage message =
                         vu_message(VHOST_USER_SET_DEVICE_STATE_FD, sizeof(VhostUserDeviceState)),
                     reply;
    int pair[2], theirs;

    if (pipe2(pair, O_CLOEXEC | O_NONBLOCK) < 0) {
        return vu_fail(vu, VHOST_USER_ENDING, "no pipe: %s", g_strerror(errno));
    }
    /* the back end's end blocks, as it expects of a pipe */
    if (fcntl(pair[load ? 0 : 1], F_SETFL, 0) < 0) {
        close(pair[0]);
        close(pair[1]);
        return vu_fail(vu, VHOST_USER_ENDING, "fcntl: %s", g_strerror(errno));
    }
    message.payload.device_state.direction = load;
    *fd = pair[load ? 1 : 0];
    if (!vu_ask(vu, &message, &pair[load ? 0 : 1], 1, &reply, &theirs)) {
        close(pair[0]);
        close(pair[1]);
        return false;
    }
    close(pair[load ? 0 : 1]);
    if (theirs >= 0) {
        close(*fd);
        *fd = theirs;
    }
    if (reply.payload.u64 & 0xff) {
        close(*fd);
        return vu_fail(vu, VHOST_USER_REFUSED, "the back end refused to %s its state (%" PRIu64 ")",
                       load ? "load" : "save", reply.payload.u64 & 0xff);
    }
    return true;
}

static bool run_state(VhostUser *vu, VuJob *job)
{
    Transfer *t = job->data;
    uint64_t result;
    int fd;
    bool ok;

    if (!vu_present(vu)) {
        return false;
    }
    if (!vu_has(vu, VHOST_USER_PROTOCOL_F_DEVICE_STATE)) {
        return vu_fail(vu, VHOST_USER_REFUSED, "the back end cannot save its state (DEVICE_STATE)");
    }
    if (!state_channel(vu, !t->bytes, &fd)) {
        return false;
    }
    ok = t->bytes ? receive_state(vu, fd, t->bytes) : send_state_bytes(vu, fd, t->data, t->len);
    close(fd);
    return ok && vu_ask_u64(vu, VHOST_USER_CHECK_DEVICE_STATE, &result) &&
           (result == 0 ||
            vu_fail(vu, VHOST_USER_REFUSED, "the back end could not %s its state (%" PRIu64 ")",
                    t->bytes ? "save" : "load", result));
}

static bool transfer(VhostUser *vu, Transfer t, GError **error)
{
    VuJob *job = vu_job_new(run_state, NULL, NULL);

    job->data = g_memdup2(&t, sizeof(t));
    return vu_submit_and_wait(vu, job, error);
}

GByteArray *vhost_user_state_save(VhostUser *vu, GError **error)
{
    GByteArray *bytes = g_byte_array_new();

    if (!transfer(vu, (Transfer){ .bytes = bytes }, error)) {
        g_byte_array_unref(bytes);
        return NULL;
    }
    return bytes;
}

bool vhost_user_state_load(VhostUser *vu, const uint8_t *data, size_t len, GError **error)
{
    return transfer(vu, (Transfer){ .data = data, .len = len }, error);
}
