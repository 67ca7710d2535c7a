/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Progress of long commands, and signals that ask for it or end them. Contract: img.h. */
#include "util/osdep.h"
#include "img.h"

#include <signal.h>
#include <stdio.h>

static bool shown;  /* -p */
static double last; /* percentage that was printed; < 0: none */
static volatile sig_atomic_t asked, caught;

static void on_ask(int number)
{
    asked = 1;
}

static void on_end(int number)
{
    caught = number;
}

static void print(FILE *out, double percent, char end)
{
    fprintf(out, "    (%3.2f/100%%)%c", percent, end);
    fflush(out);
}

void img_progress_begin(bool show)
{
    shown = show;
    last = -1;
    asked = 0;
    struct sigaction sa = { .sa_handler = on_ask, .sa_flags = SA_RESTART };
    sigaction(SIGUSR1, &sa, NULL);
    img_progress(0);
}

void img_progress(double percent)
{
    if (shown && (last < 0 || percent - last >= 1 || percent >= 100)) {
        last = percent;
        print(stdout, percent, '\r');
    }
    if (asked) {
        asked = 0;
        if (!shown) {
            print(stderr, percent, '\n');
        }
    }
}

void img_progress_end(void)
{
    if (shown) {
        printf("\n");
    }
    shown = false;
}

void img_catch_signals(void)
{
    struct sigaction sa = { .sa_handler = on_end };
    sigaction(SIGINT, &sa, NULL);
    sigaction(SIGTERM, &sa, NULL);
}

int img_signal(void)
{
    return caught;
}

void img_die_by_signal(void)
{
    fflush(stdout);
    signal(caught, SIG_DFL);
    raise(caught);
}
