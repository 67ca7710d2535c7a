/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Breakpoints of blkdebug, and commands that do something to this process. */
#include "util/osdep.h"
#include "qemu-io.h"

#include <signal.h>
#include <stdio.h>
#include "util/clock.h"
#include "util/main-loop.h"

static bool run_break(IoProgram *io, int argc, char **argv)
{
    int event = qapi_parse_BlkdebugEvent(argv[1]);
    BlockNode *node = front_node(io->front);
    int ret;
    if (event < 0) {
        /* Without a node that has breakpoints no event has a name. */
        ret = block_debug_resume(node, "") == -ENOTSUP ? -ENOTSUP : -ENOENT;
    } else {
        ret = block_debug_break(node, event, argv[2]);
    }
    if (ret < 0) {
        printf("Could not set breakpoint: %s\n", g_strerror(-ret));
    }
    return ret >= 0;
}

static bool run_remove_break(IoProgram *io, int argc, char **argv)
{
    int ret = block_debug_remove_break(front_node(io->front), argv[1]);
    if (ret < 0) {
        printf("Could not remove breakpoint %s: %s\n", argv[1], g_strerror(-ret));
    }
    return ret >= 0;
}

static bool run_resume(IoProgram *io, int argc, char **argv)
{
    int ret = block_debug_resume(front_node(io->front), argv[1]);
    if (ret < 0) {
        printf("Could not resume request: %s\n", g_strerror(-ret));
    }
    return ret >= 0;
}

static bool run_wait_break(IoProgram *io, int argc, char **argv)
{
    MAIN_LOOP_WHILE(!block_debug_is_suspended(front_node(io->front), argv[1]));
    return true;
}

static void wake(void *opaque)
{
    *(bool *)opaque = true;
}

static bool run_sleep(IoProgram *io, int argc, char **argv)
{
    char *end;
    errno = 0;
    long ms = strtol(argv[1], &end, 0);
    if (errno || end == argv[1] || *end || ms < 0 || ms > INT64_MAX / 2 / NS_PER_MS) {
        printf("%s is not a valid number\n", argv[1]);
        return false;
    }
    bool over = false;
    Timer timer;
    timer_init(&timer, CLOCK_REALTIME_NS, wake, &over);
    timer_mod(&timer, clock_get_ns(CLOCK_REALTIME_NS) + ms * NS_PER_MS);
    MAIN_LOOP_WHILE(!over);
    return true;
}

static bool run_abort(IoProgram *io, int argc, char **argv)
{
    abort();
}

static bool run_sigraise(IoProgram *io, int argc, char **argv)
{
    int64_t signal;
    if (!io_parse_number(argv[1], &signal)) {
        return false;
    }
    if (signal > NSIG) {
        printf("signal argument '%s' is too large to be a valid signal\n", argv[1]);
        return false;
    }
    fflush(stdout); /* what was printed before belongs to the output, whatever the signal does */
    raise(signal);
    return true;
}

static const char break_details[] =
    "\n"
    " The next request that comes to the event stops there until 'resume tag'.\n"
    " There has to be a blkdebug node.\n"
    "\n";

static const char sigraise_details[] = "\n"
                                       " Sends this process a signal, by its number.\n"
                                       "\n"
                                       " 'sigraise 15' is SIGTERM.\n"
                                       "\n";

const IoCommand io_commands_debug[] = {
    { "break", NULL, 2, 2, IO_NEEDS_FILE, run_break, "event tag",
      "sets a breakpoint on event and tags the stopped request as tag", break_details },
    { "remove_break", NULL, 1, 1, IO_NEEDS_FILE, run_remove_break, "tag",
      "remove a breakpoint by tag" },
    { "resume", NULL, 1, 1, IO_NEEDS_FILE, run_resume, "tag", "resumes the request tagged as tag" },
    { "wait_break", NULL, 1, 1, IO_NEEDS_FILE, run_wait_break, "tag",
      "waits for the suspension of a request" },
    { "abort", NULL, 0, 0, 0, run_abort, NULL, "simulate a program crash using abort(3)" },
    { "sigraise", NULL, 1, 1, 0, run_sigraise, "signal", "raises a signal", sigraise_details },
    { "sleep", NULL, 1, 1, 0, run_sleep, NULL, "waits for the given value in milliseconds" },
    { NULL },
};
