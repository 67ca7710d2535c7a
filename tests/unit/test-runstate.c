/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Run state: transitions, handlers, requests of the main loop, reset (system/runstate.h). */
#include "util/osdep.h"

#include "util/clock.h"
#include "util/error.h"
#include "util/main-loop.h"
#include "qapi/dispatch.h"
#include "qapi/types-run-state.h"
#include "system/identity.h"
#include "system/runstate.h"
#include "vmstate/blocker.h"

static GString *events;

static void event_sink(const char *name, json_object *data, void *opaque)
{
    g_string_append_printf(events, "%s%s ", name,
                           data ? json_object_to_json_string_ext(data, JSON_C_TO_STRING_PLAIN) : "");
}

#define EVENTS(text)                                                                            \
    do {                                                                                        \
        g_assert_cmpstr(events->str, ==, text);                                                 \
        g_string_truncate(events, 0);                                                           \
    } while (0)

/* ---- states ------------------------------------------------------------------------------------------------ */

static void test_names(void)
{
    VmRunState state;

    for (int s = 0; s < VM_RUN_STATES; s++) {
        g_assert_true(vm_state_parse(vm_state_name(s), &state));
        g_assert_cmpint(state, ==, s);
    }
    g_assert_false(vm_state_parse("nosuch", &state));
    g_assert_cmpstr(vm_state_name(VM_FINISH_MIGRATE), ==, "finish-migrate");
}

static void test_transitions(void)
{
    g_assert_true(vm_state_may_change(VM_PRELAUNCH, VM_RUNNING));
    g_assert_true(vm_state_may_change(VM_RUNNING, VM_RUNNING));
    g_assert_false(vm_state_may_change(VM_SHUTDOWN, VM_RUNNING));
    g_assert_false(vm_state_may_change(VM_INTERNAL_ERROR, VM_RUNNING));
    /* What a migration needs: out of every state that can be saved, and back. */
    for (int s = 0; s < VM_RUN_STATES; s++) {
        if (s == VM_INMIGRATE || s == VM_FINISH_MIGRATE || s == VM_RESTORE_VM || s == VM_SAVE_VM ||
            s == VM_COLO || s == VM_DEBUG) {
            continue;
        }
        g_assert_true(vm_state_may_change(s, VM_FINISH_MIGRATE));
        g_assert_true(vm_state_may_change(VM_FINISH_MIGRATE, s));
    }
}

/* U1 */
static void test_no_way(void)
{
    if (g_test_subprocess()) {
        vm_set_state(VM_SHUTDOWN);
        return;
    }
    g_test_trap_subprocess(NULL, 0, 0);
    g_test_trap_assert_failed();
    g_test_trap_assert_stderr("*no way from 'prelaunch' to 'shutdown'*");
}

static GString *told;

static void handler(void *opaque, bool running, VmRunState state)
{
    g_string_append_printf(told, "%s%s:%s ", (const char *)opaque, running ? "+" : "-", vm_state_name(state));
}

static VmStateEntry *dying;

static void handler_that_goes(void *opaque, bool running, VmRunState state)
{
    vm_state_del_handler(dying);
    dying = NULL;
}

static void test_handlers(void)
{
    VmStateEntry *late = vm_state_add_handler(handler, (void *)"late", 10);
    VmStateEntry *early = vm_state_add_handler(handler, (void *)"early", 0);

    told = g_string_new(NULL);
    dying = vm_state_add_handler(handler_that_goes, NULL, 5);
    vm_start();
    g_assert_true(vm_is_running());
    vm_start();
    g_assert_cmpstr(told->str, ==, "early+:running late+:running ");
    EVENTS("RESUME ");
    g_string_truncate(told, 0);
    g_assert_cmpint(vm_stop(VM_PAUSED), ==, 0);
    g_assert_cmpint(vm_stop(VM_IO_ERROR), ==, 0); /* stopped already: the state stays */
    g_assert_cmpstr(told->str, ==, "late-:paused early-:paused ");
    g_assert_cmpint(vm_state(), ==, VM_PAUSED);
    EVENTS("STOP ");
    vm_state_del_handler(late);
    vm_state_del_handler(early);
    g_string_free(told, TRUE);
}

/* Guest time stands still while the VM does. */
static void test_clock(void)
{
    int64_t a, b;

    vm_start();
    a = clock_get_ns(CLOCK_VIRTUAL);
    g_usleep(2000);
    vm_stop(VM_PAUSED);
    b = clock_get_ns(CLOCK_VIRTUAL);
    g_assert_cmpint(b - a, >=, 2 * NS_PER_MS);
    g_usleep(2000);
    g_assert_cmpint(clock_get_ns(CLOCK_VIRTUAL), ==, b);
    g_string_truncate(events, 0);
}

static bool refuse, never;
static unsigned hooked;

static bool resume_hook(GError **error)
{
    hooked++;
    return !refuse || error_set(error, "not now");
}

static bool resume_check(GError **error)
{
    return !never || error_set(error, "never");
}

static void test_resume_hook(void)
{
    GError *error = NULL;

    vm_add_resume_hook(resume_hook);
    vm_add_resume_check(resume_check);
    never = true;
    g_assert_false(vm_resume(&error));
    g_assert_cmpstr(error->message, ==, "never");
    g_clear_error(&error);
    g_assert_cmpuint(hooked, ==, 0); /* nothing was taken back */
    never = false;
    refuse = true;
    g_assert_false(vm_resume(&error));
    g_assert_cmpstr(error->message, ==, "not now");
    g_clear_error(&error);
    g_assert_false(vm_is_running());
    refuse = false;
    g_assert_true(vm_resume(&error));
    g_assert_true(vm_is_running());
    vm_stop(VM_PAUSED);
    g_string_truncate(events, 0);
}

/* ---- the main loop ------------------------------------------------------------------------------------------ */

static gpointer other_thread(gpointer opaque)
{
    vm_stop_request(VM_IO_ERROR);
    return NULL;
}

static void step(void *opaque)
{
    static int n;
    Timer *timer = opaque;

    switch (n++) {
    case 0: /* a stop from elsewhere */
        g_thread_join(g_thread_new("other", other_thread, NULL));
        break;
    case 1:
        g_assert_cmpint(vm_state(), ==, VM_IO_ERROR);
        vm_request_reset(VM_SHUTDOWN_HOST_QMP_RESET);
        break;
    case 2: /* a stopped machine that is reset begins anew */
        g_assert_cmpint(vm_state(), ==, VM_PRELAUNCH);
        vm_start();
        vm_request_powerdown();
        break;
    case 3: /* a reset, whoever wants it, means shutdown; shutdown means pause */
        vm_actions()->reboot = REBOOT_ACTION_SHUTDOWN;
        vm_actions()->shutdown = SHUTDOWN_ACTION_PAUSE;
        vm_request_reset(VM_SHUTDOWN_HOST_QMP_RESET);
        break;
    case 4:
        g_assert_cmpint(vm_state(), ==, VM_SHUTDOWN);
        vm_request_shutdown(VM_SHUTDOWN_HOST_SIGNAL);
        break;
    default:
        g_assert_not_reached();
    }
    timer_mod(timer, clock_get_ns(CLOCK_REALTIME_NS) + NS_PER_MS);
}

static void test_main_loop(void)
{
    Timer timer;

    timer_init(&timer, CLOCK_REALTIME_NS, step, &timer);
    timer_mod(&timer, clock_get_ns(CLOCK_REALTIME_NS));
    vm_start();
    g_assert_cmpint(vm_main_loop(), ==, 0);
    timer_del(&timer);
    EVENTS("RESUME STOP RESET{\"guest\":false,\"reason\":\"host-qmp-system-reset\"} RESUME POWERDOWN "
           "SHUTDOWN{\"guest\":false,\"reason\":\"host-qmp-system-reset\"} STOP "
           "SHUTDOWN{\"guest\":false,\"reason\":\"host-signal\"} ");
}

static unsigned resets;

static void count_reset(void *opaque)
{
    resets += GPOINTER_TO_UINT(opaque);
}

static void test_reset_handlers(void)
{
    reset_add_handler(count_reset, GUINT_TO_POINTER(1));
    reset_add_handler(count_reset, GUINT_TO_POINTER(10));
    vm_reset(VM_SHUTDOWN_SUBSYSTEM_RESET);
    g_assert_cmpuint(resets, ==, 11);
    reset_del_handler(count_reset, GUINT_TO_POINTER(1));
    vm_reset(VM_SHUTDOWN_SUBSYSTEM_RESET);
    g_assert_cmpuint(resets, ==, 21);
    reset_del_handler(count_reset, GUINT_TO_POINTER(10));
    EVENTS("");
}

/* The stream's last device arrives between two turns of the main loop: a reset comes before or after, not in between. */
static void arriving(void *opaque)
{
    static int n;
    Timer *timer = opaque;

    switch (n++) {
    case 0:
    case 1:
        g_assert_cmpuint(resets, ==, 0);
        break;
    case 2:
        g_assert_cmpuint(resets, ==, 0);
        vm_set_state(VM_PAUSED);
        vmstate_thaw();
        break;
    default:
        g_assert_cmpuint(resets, ==, 1);
        vm_request_shutdown(VM_SHUTDOWN_HOST_SIGNAL);
        return;
    }
    timer_mod(timer, clock_get_ns(CLOCK_REALTIME_NS) + NS_PER_MS);
}

static void test_reset_does_not_tear_a_stream(void)
{
    Timer timer;

    resets = 0;
    reset_add_handler(count_reset, GUINT_TO_POINTER(1));
    vm_actions()->reboot = REBOOT_ACTION_RESET;
    vm_stop(VM_PAUSED);
    vm_set_state(VM_PRELAUNCH);
    vm_set_state(VM_INMIGRATE);
    vmstate_freeze();
    vm_request_reset(VM_SHUTDOWN_HOST_QMP_RESET);
    timer_init(&timer, CLOCK_REALTIME_NS, arriving, &timer);
    timer_mod(&timer, clock_get_ns(CLOCK_REALTIME_NS));
    g_assert_cmpint(vm_main_loop(), ==, 0);
    timer_del(&timer);
    reset_del_handler(count_reset, GUINT_TO_POINTER(1));
    EVENTS("RESET{\"guest\":false,\"reason\":\"host-qmp-system-reset\"} "
           "SHUTDOWN{\"guest\":false,\"reason\":\"host-signal\"} ");
}

/* ---- commands ------------------------------------------------------------------------------------------------- */

static void test_commands(void)
{
    json_object *ret = NULL;
    GError *error = NULL;

    g_assert_true(qmp_run("query-status", NULL, &ret, NULL));
    g_assert_cmpstr(json_object_get_string(json_object_object_get(ret, "status")), ==, "shutdown");
    json_object_put(ret);
    g_assert_false(qmp_run("cont", NULL, NULL, &error));
    g_assert_cmpstr(error->message, ==, "Resetting the Virtual Machine is required");
    g_clear_error(&error);
    g_assert_true(qmp_run("query-uuid", NULL, &ret, NULL));
    g_assert_cmpstr(json_object_get_string(json_object_object_get(ret, "UUID")), ==,
                    "00000000-0000-0000-0000-000000000000");
    json_object_put(ret);
    g_assert_false(vm_set_uuid("nosuch", &error));
    g_assert_cmpstr(error->message, ==, "failed to parse UUID string: wrong format");
    g_clear_error(&error);
    g_assert_true(vm_set_uuid("0A000000-0000-0000-0000-00000000000f", NULL));
    g_assert_cmpstr(vm_get_uuid(), ==, "0a000000-0000-0000-0000-00000000000f");
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    main_loop_init();
    events = g_string_new(NULL);
    qapi_event_set_sink(event_sink, NULL);
    g_test_add_func("/runstate/names", test_names);
    g_test_add_func("/runstate/transitions", test_transitions);
    g_test_add_func("/runstate/no-way", test_no_way);
    g_test_add_func("/runstate/handlers", test_handlers);
    g_test_add_func("/runstate/clock", test_clock);
    g_test_add_func("/runstate/resume-hook", test_resume_hook);
    g_test_add_func("/runstate/main-loop", test_main_loop);
    g_test_add_func("/runstate/reset-handlers", test_reset_handlers);
    g_test_add_func("/runstate/commands", test_commands);
    g_test_add_func("/runstate/reset-does-not-tear-a-stream", test_reset_does_not_tear_a_stream);
    return g_test_run();
}
