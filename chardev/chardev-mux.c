/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Chardev "mux": up to CHARDEV_MUX_MAX front ends share a device. Output of all goes out; input
 * goes to the one that has the focus. Ctrl-A begins a command: c = next front end, x = end the
 * program, b = break, h = help, t = time stamps, Ctrl-A = the character itself.
 */
#include "util/osdep.h"

#include <signal.h>

#include "chardev-private.h"
#include "util/error.h"

#define MUX_ESCAPE 0x01
#define MUX_BUFFER 64

typedef struct MuxSlot {
    ChardevFe *fe;
    uint8_t pending[MUX_BUFFER]; /* input that the front end did not take yet */
    unsigned n_pending;
} MuxSlot;

typedef struct MuxChardev {
    Chardev base;
    ChardevFe down;
    MuxSlot slots[CHARDEV_MUX_MAX];
    int focus; /* -1: nobody */
    bool escaped;
    bool timestamps, line_start;
    gint64 started;
} MuxChardev;

static void (*exit_hook)(void);

void chardev_set_exit_hook(void (*hook)(void))
{
    exit_hook = hook;
}

static MuxSlot *focus_slot(MuxChardev *mux)
{
    return mux->focus >= 0 ? &mux->slots[mux->focus] : NULL;
}

static void slot_event(MuxSlot *slot, ChardevEvent event)
{
    ChardevFe *fe = slot->fe;

    if (fe && fe->handlers && fe->handlers->event) {
        fe->handlers->event(fe->opaque, event);
    }
}

static void deliver(MuxSlot *slot)
{
    ChardevFe *fe = slot->fe;
    size_t n;

    while (slot->n_pending && fe && fe->handlers && fe->handlers->can_read &&
           (n = fe->handlers->can_read(fe->opaque)) > 0) {
        uint8_t buf[MUX_BUFFER];

        n = MIN(n, slot->n_pending);
        memcpy(buf, slot->pending, n);
        slot->n_pending -= (unsigned)n;
        memmove(slot->pending, slot->pending + n, slot->n_pending);
        fe->handlers->read(fe->opaque, buf, n);
    }
}

static void set_focus(MuxChardev *mux, int focus)
{
    if (focus_slot(mux)) {
        slot_event(focus_slot(mux), CHARDEV_EVENT_MUX_OUT);
    }
    mux->focus = focus;
    if (focus_slot(mux)) {
        slot_event(focus_slot(mux), CHARDEV_EVENT_MUX_IN);
        deliver(focus_slot(mux));
    }
}

static void next_focus(MuxChardev *mux)
{
    for (int i = 1; i <= CHARDEV_MUX_MAX; i++) {
        int slot = (mux->focus + i) % CHARDEV_MUX_MAX;

        if (mux->slots[slot].fe && mux->slots[slot].fe->handlers) {
            set_focus(mux, slot);
            return;
        }
    }
}

static void print(MuxChardev *mux, const char *text)
{
    chardev_write(&mux->down, text, strlen(text));
}

static void print_help(MuxChardev *mux)
{
    print(mux, "\r\n"
               "C-a h    print this help\r\n"
               "C-a x    exit emulator\r\n"
               "C-a t    toggle console timestamps\r\n"
               "C-a b    send break (magic sysrq)\r\n"
               "C-a c    switch between console and monitor\r\n"
               "C-a C-a  send C-a\r\n");
}

/* Whether c goes to the front end. */
static bool escape_command(MuxChardev *mux, uint8_t c)
{
    switch (c) {
    case MUX_ESCAPE:
        return true;
    case 'h':
    case '?':
        print_help(mux);
        break;
    case 'x':
        print(mux, "QEMU: Terminated\r\n");
        if (exit_hook) {
            exit_hook();
        } else {
            raise(SIGTERM);
        }
        break;
    case 'b':
        if (focus_slot(mux)) {
            slot_event(focus_slot(mux), CHARDEV_EVENT_BREAK);
        }
        break;
    case 'c':
        next_focus(mux);
        break;
    case 't':
        mux->timestamps = !mux->timestamps;
        mux->started = g_get_monotonic_time();
        mux->line_start = false;
        break;
    default:
        break;
    }
    return false;
}

/* ---- the device below ---- */

static size_t mux_can_read(void *opaque)
{
    MuxSlot *slot = focus_slot(opaque);

    if (!slot) {
        return MUX_BUFFER;
    }
    deliver(slot);
    return MUX_BUFFER - slot->n_pending;
}

static void mux_read(void *opaque, const uint8_t *buf, size_t len)
{
    MuxChardev *mux = opaque;

    for (size_t i = 0; i < len; i++) {
        bool pass = true;

        if (mux->escaped) {
            mux->escaped = false;
            pass = escape_command(mux, buf[i]);
        } else if (buf[i] == MUX_ESCAPE) {
            mux->escaped = true;
            pass = false;
        }
        if (pass && focus_slot(mux) && focus_slot(mux)->n_pending < MUX_BUFFER) {
            MuxSlot *slot = focus_slot(mux);

            slot->pending[slot->n_pending++] = buf[i];
            deliver(slot);
        }
    }
}

static void mux_event(void *opaque, ChardevEvent event)
{
    MuxChardev *mux = opaque;

    mux->base.be_open =
        event == CHARDEV_EVENT_OPENED || (mux->base.be_open && event != CHARDEV_EVENT_CLOSED);
    for (int i = 0; i < CHARDEV_MUX_MAX; i++) {
        slot_event(&mux->slots[i], event);
    }
}

static const ChardevHandlers mux_handlers = { mux_can_read, mux_read, mux_event };

/* ---- the front ends above ---- */

bool chardev_mux_attach(Chardev *chr, ChardevFe *fe, GError **error)
{
    MuxChardev *mux = (MuxChardev *)chr;

    for (unsigned i = 0; i < CHARDEV_MUX_MAX; i++) {
        if (!mux->slots[i].fe) {
            mux->slots[i].fe = fe;
            mux->slots[i].n_pending = 0;
            fe->mux_slot = i;
            return true;
        }
    }
    return error_set(error, "too many uses of multiplexed chardev '%s' (maximum is %d)",
                     chr->id ? chr->id : "", CHARDEV_MUX_MAX);
}

void chardev_mux_detach(Chardev *chr, ChardevFe *fe)
{
    MuxChardev *mux = (MuxChardev *)chr;

    mux->slots[fe->mux_slot].fe = NULL;
    if (mux->focus == (int)fe->mux_slot) {
        mux->focus = -1;
        next_focus(mux);
    }
}

void chardev_mux_handlers_changed(Chardev *chr, ChardevFe *fe)
{
    MuxChardev *mux = (MuxChardev *)chr;

    /* all front ends of a mux live in the main loop; the device below announces OPENED to each
     * once */
    if (!fe->handlers) {
        return;
    }
    if (!mux->down.handlers) {
        chardev_fe_set_handlers(&mux->down, &mux_handlers, mux, NULL);
    } else if (mux->base.be_open) {
        slot_event(&mux->slots[fe->mux_slot], CHARDEV_EVENT_OPENED);
    }
    if ((int)fe->mux_slot > mux->focus) { /* the one that was attached last has it, in whatever order they begin */
        set_focus(mux, (int)fe->mux_slot);
    }
}

void chardev_mux_accept_input(Chardev *chr, ChardevFe *fe)
{
    MuxChardev *mux = (MuxChardev *)chr;

    deliver(&mux->slots[fe->mux_slot]);
    chardev_accept_input(&mux->down);
}

ssize_t chardev_mux_write(Chardev *chr, ChardevFe *fe, const void *buf, size_t len)
{
    MuxChardev *mux = (MuxChardev *)chr;
    const uint8_t *bytes = buf;

    if (!mux->timestamps) {
        return chardev_write(&mux->down, buf, len);
    }
    for (size_t i = 0; i < len; i++) {
        ssize_t n;

        if (mux->line_start) {
            gint64 ms = (g_get_monotonic_time() - mux->started) / 1000;
            g_autofree char *stamp =
                g_strdup_printf("[%02d:%02d:%02d.%03d] ", (int)(ms / 3600000),
                                (int)(ms / 60000 % 60), (int)(ms / 1000 % 60), (int)(ms % 1000));
            print(mux, stamp);
            mux->line_start = false;
        }
        n = chardev_write(&mux->down, bytes + i, 1);
        if (n <= 0) {
            return i ? (ssize_t)i : n;
        }
        mux->line_start = bytes[i] == '\n';
    }
    return (ssize_t)len;
}

bool chardev_mux_used(const Chardev *chr)
{
    const MuxChardev *mux = (const MuxChardev *)chr;

    for (int i = 0; i < CHARDEV_MUX_MAX; i++) {
        if (mux->slots[i].fe) {
            return true;
        }
    }
    return false;
}

ChardevFe *chardev_mux_base(Chardev *chr)
{
    return &((MuxChardev *)chr)->down;
}

/* ---- life ---- */

static bool mux_open(Chardev *chr, const ChardevBackend *backend, bool may_wait, GError **error)
{
    MuxChardev *mux = (MuxChardev *)chr;
    Chardev *below = chardev_find(backend->u.mux.data->chardev);

    mux->focus = -1;
    if (!below) {
        return error_set(error, "mux: base chardev %s not found", backend->u.mux.data->chardev);
    }
    if (!chardev_fe_attach(&mux->down, below, error)) {
        return false;
    }
    chr->be_open = below->be_open;
    return true;
}

static void mux_finalize(Chardev *chr)
{
    chardev_fe_detach(&((MuxChardev *)chr)->down);
}

static const ChardevOps mux_ops = {
    .kind = CHARDEV_BACKEND_KIND_MUX,
    .size = sizeof(MuxChardev),
    .open = mux_open,
    .finalize = mux_finalize,
};
CHARDEV_REGISTER(mux_ops)
