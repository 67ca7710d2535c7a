/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Keys that are typed for the user (send-key, sendkey): a queue of steps, each some time of the guest after the
 * one before, so that a guest that polls sees every one.
 */
#include "util/osdep.h"

#include "ui-private.h"
#include "util/clock.h"
#include "util/error.h"

#define QUEUE_LIMIT 1024
#define HOLD_MAX_MS (3600 * 1000)

typedef struct Step {
    QKeyCode key;
    bool down;
    unsigned hold_ms; /* until the next one */
} Step;

static GQueue steps = G_QUEUE_INIT; /* Step * */
static Timer step_timer;            /* runs: the last step's time is not over */
static bool step_timer_ready;

static void run_step(void)
{
    Step *step = g_queue_pop_head(&steps);

    input_key(NULL, step->key, step->down);
    input_sync();
    timer_mod(&step_timer, clock_get_ns(CLOCK_VIRTUAL) + step->hold_ms * NS_PER_MS);
    g_free(step);
}

static void step_over(void *opaque)
{
    if (!g_queue_is_empty(&steps)) {
        run_step();
    }
}

static void add_step(QKeyCode key, bool down, unsigned hold_ms)
{
    Step *step = g_new0(Step, 1);

    step->key = key;
    step->down = down;
    step->hold_ms = MIN(hold_ms, HOLD_MAX_MS);
    g_queue_push_tail(&steps, step);
}

bool input_type_keys(const QKeyCode *keys, unsigned n, unsigned hold_ms, GError **error)
{
    if (n > QUEUE_LIMIT || steps.length + 2 * n > QUEUE_LIMIT) {
        return error_set(error, "Too many keys wait to be sent");
    }
    if (!step_timer_ready) {
        timer_init(&step_timer, CLOCK_VIRTUAL, step_over, NULL);
        step_timer_ready = true;
    }
    for (unsigned i = 0; i < n; i++) {
        add_step(keys[i], true, hold_ms);
    }
    for (unsigned i = n; i-- > 0;) {
        add_step(keys[i], false, hold_ms);
    }
    if (n && !timer_pending(&step_timer)) {
        run_step();
    }
    return true;
}

void input_queue_clear(void)
{
    Step *step;

    while ((step = g_queue_pop_head(&steps))) {
        g_free(step);
    }
    if (step_timer_ready) {
        timer_del(&step_timer);
    }
}
