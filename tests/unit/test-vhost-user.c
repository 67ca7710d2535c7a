/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Sessions with vhost-user back ends that are late, lie, die or say nothing: hw/virtio/vhost-user*.c against the test
 * back end, without a guest: the test is the driver and writes into guest memory.
 */
#include "util/osdep.h"

#include <signal.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <fcntl.h>

#include "util/bytes.h"
#include "util/error.h"
#include "vhost-user-rig.h"

#define TIMEOUT_MS 400 /* of tests of silence */

/* ---- the race ------------------------------------------------------------------------------------------ */

static void enable_race(uint64_t protocol, bool no_protocol, bool requests, unsigned queues)
{
    BackendOptions o = {
        .personality = BACKEND_ECHO,
        .queues = queues,
        .protocol = protocol,
        .no_protocol = no_protocol,
        .discard_requests = requests,
        .discard_kicks = !requests,
        .disable_on_features = true,
    };
    Rig *f = rig_setup(&o, false);
    unsigned rounds = g_getenv("TERN_TEST_LONG") ? 1000 / queues + 1 : 3;
    unsigned delay = g_getenv("TERN_TEST_LONG") ? 200 / queues : 30 / queues + 1;

    backend_add_rule(f->backend, VHOST_USER_SET_VRING_ENABLE, 0, BACKEND_DELAY, delay);
    for (unsigned i = 0; i < rounds; i++) {
        gint64 before = g_get_monotonic_time();

        rig_start(f);
        if (!no_protocol) {
            g_assert_cmpint(g_get_monotonic_time() - before, >=, delay * 1000 * queues);
        }
        for (unsigned q = 0; q < queues; q++) {
            rig_post(f, q);
            rig_kick(f, q);
        }
        rig_all_answered(f);
        rig_stop(f, i % 2);
    }
    rig_teardown(f);
}

static void first_request_right_after_enable_is_lost(void)
{
    enable_race(BACKEND_ALL_PROTOCOL, false, true, 1);
    enable_race(BACKEND_ALL_PROTOCOL, false, false, 1);
}

static void first_request_is_lost_without_reply_ack(void)
{
    enable_race(BACKEND_NO_ACK, false, true, 1);
    enable_race(BACKEND_NO_ACK, false, false, 1);
}

static void first_request_is_lost_on_one_of_16_queues(void)
{
    enable_race(BACKEND_ALL_PROTOCOL, false, true, 16);
    enable_race(BACKEND_NO_ACK, false, true, 16);
}

static void back_end_without_protocol_features_is_not_served(void)
{
    enable_race(0, true, true, 2);
}

static void request_after_a_queue_reset_is_lost(void)
{
    BackendOptions o = { .personality = BACKEND_ECHO,
                         .queues = 2,
                         .protocol = BACKEND_ALL_PROTOCOL,
                         .discard_requests = true };
    Rig *f = rig_setup(&o, false);

    backend_add_rule(f->backend, VHOST_USER_SET_VRING_ENABLE, 0, BACKEND_DELAY, 20);
    rig_start(f);
    for (unsigned i = 0; i < 4; i++) {
        VhostUserRing r;

        f->over = false;
        vhost_user_ring_stop(f->vu, 1, rig_done, f);
        RUN_UNTIL(f->over);
        g_assert_cmpint(f->failure, ==, VHOST_USER_OK);
        r = rig_ring(f, 1);
        f->over = false;
        vhost_user_ring_start(f->vu, &r, rig_done, f);
        RUN_UNTIL(f->over);
        for (unsigned q = 0; q < 2; q++) {
            rig_post(f, q);
            rig_kick(f, q);
        }
        rig_all_answered(f);
    }
    rig_teardown(f);
}

/* The kick is on its way when the ring is stopped: the request was served, or is still there. */
static void request_kicked_just_before_a_stop_is_lost(void)
{
    BackendOptions o = { .personality = BACKEND_ECHO,
                         .protocol = BACKEND_ALL_PROTOCOL,
                         .discard_requests = true,
                         .data_delay_ms = 5 };
    Rig *f = rig_setup(&o, false);

    backend_add_rule(f->backend, VHOST_USER_GET_VRING_BASE, 0, BACKEND_DELAY, 15);
    for (unsigned i = 0; i < 5; i++) {
        uint32_t base;

        rig_start(f);
        rig_post(f, 0);
        rig_kick(f, 0);
        rig_stop(f, false);
        g_assert_true(vhost_user_ring_base(f->vu, 0, &base));
        g_assert_cmpuint(base, ==, rig_used(0));
        f->posted[0] = rig_used(0); /* the next start goes on there */
        rig_start(f);
        f->posted[0] = __atomic_load_n((uint16_t *)(rig_ram + rig_ring_at(0) + 0x1002), __ATOMIC_ACQUIRE);
        rig_all_answered(f);
        rig_stop(f, false);
    }
    rig_teardown(f);
}

/* Whether the time that the enables take is waited for by a job and not by the main loop. */
static void main_loop_stands_still_while_a_back_end_enables(void)
{
    BackendOptions o = { .personality = BACKEND_ECHO, .protocol = BACKEND_ALL_PROTOCOL };
    Rig *f = rig_setup(&o, false);
    unsigned iterations = 0;

    backend_add_rule(f->backend, VHOST_USER_SET_VRING_ENABLE, 0, BACKEND_DELAY, 200);
    rig_start_async(f);
    while (!f->over) {
        main_loop_iterate(false);
        iterations++;
        g_usleep(1000);
    }
    g_assert_cmpuint(iterations, >, 10);
    rig_teardown(f);
}

/* ---- order --------------------------------------------------------------------------------------------- */

static void check_golden(Rig *f, const char *name)
{
    g_autofree char *trace = backend_trace(f->backend);
    g_autofree char *path =
        g_strdup_printf("%s/../golden/vhost-user/%s.txt", g_getenv("G_TEST_SRCDIR"), name);
    g_autofree char *golden = NULL;

    if (g_getenv("TERN_UPDATE_GOLDEN")) {
        g_assert_true(g_file_set_contents(path, trace, -1, NULL));
    }
    g_file_get_contents(path, &golden, NULL, NULL);
    g_assert_cmpstr(trace, ==, golden);
}

static void golden_session(const char *name, uint64_t protocol, bool no_protocol, unsigned queues)
{
    BackendOptions o = { .personality = BACKEND_ECHO,
                         .queues = queues,
                         .protocol = protocol,
                         .no_protocol = no_protocol };
    Rig *f = rig_setup(&o, false);

    rig_start(f);
    for (unsigned q = 0; q < queues; q++) {
        rig_post(f, q);
        rig_kick(f, q);
    }
    rig_all_answered(f);
    rig_stop(f, true);
    check_golden(f, name);
    rig_teardown(f);
}

static void messages_are_in_the_order_of_the_specification(void)
{
    golden_session("session-ack", BACKEND_ALL_PROTOCOL, false, 2);
    golden_session("session-no-ack", BACKEND_NO_ACK, false, 2);
    golden_session("session-no-protocol", 0, true, 1);
    golden_session("session-slots",
                   BACKEND_ALL_PROTOCOL | 1u << VHOST_USER_PROTOCOL_F_CONFIGURE_MEM_SLOTS |
                       1u << VHOST_USER_PROTOCOL_F_RESET_DEVICE |
                       1u << VHOST_USER_PROTOCOL_F_BACKEND_REQ,
                   false, 1);
}

static void rings_are_enabled_before_the_features_that_disable_them(void)
{
    BackendOptions o = { .personality = BACKEND_ECHO,
                         .queues = 2,
                         .protocol = BACKEND_ALL_PROTOCOL,
                         .disable_on_features = true,
                         .discard_requests = true };
    Rig *f = rig_setup(&o, false);

    rig_start(f);
    for (unsigned i = 0; i < 4; i++) {
        f->over = false;
        vhost_user_set_features(f->vu, UINT64_C(1) << 32 | (i & 1) << 28, rig_done, f);
        RUN_UNTIL(f->over);
        g_assert_cmpstr(f->text, ==, NULL);
        for (unsigned q = 0; q < 2; q++) {
            rig_post(f, q);
            rig_kick(f, q);
        }
        rig_all_answered(f);
    }
    rig_teardown(f);
}

/* ---- silence, death, lies ------------------------------------------------------------------------------ */

static void back_end_that_never_answers_hangs_the_caller(void)
{
    static const uint32_t at[] = { VHOST_USER_SET_VRING_ENABLE, VHOST_USER_SET_MEM_TABLE };

    rig_timeout_ms = TIMEOUT_MS;
    for (unsigned i = 0; i < G_N_ELEMENTS(at); i++) {
        BackendOptions o = { .personality = BACKEND_ECHO, .protocol = BACKEND_ALL_PROTOCOL };
        Rig *f = rig_setup(&o, false);
        gint64 before = g_get_monotonic_time();

        backend_add_rule(f->backend, at[i], 0, BACKEND_SILENT, 0);
        rig_start_async(f);
        RUN_UNTIL(f->over);
        g_assert_cmpint(f->failure, ==, VHOST_USER_SILENT);
        g_assert_cmpint(g_get_monotonic_time() - before, <, 30 * G_TIME_SPAN_SECOND);
        g_assert_nonnull(strstr(f->text, vhost_user_request_name(at[i])));
        rig_teardown(f);
    }
    rig_timeout_ms = 60000;
}

static void back_end_that_never_answers_hangs_the_start_of_the_device(void)
{
    BackendOptions o = { .personality = BACKEND_ECHO, .protocol = BACKEND_ALL_PROTOCOL };
    Rig *f;
    GError *error = NULL;

    rig_timeout_ms = TIMEOUT_MS;
    f = rig_setup_session(&o, false);
    backend_free(f->backend);
    o.path = rig_socket_path;
    f->backend = backend_new(&o, &error);
    g_assert_no_error(error);
    vhost_user_wait_ready(f->vu, NULL); /* whichever connection it was */
    rig_teardown(f);

    f = rig_setup_session(&o, false);
    backend_add_rule(f->backend, 0, 0, BACKEND_SILENT, 0);
    if (!vhost_user_wait_ready(f->vu, &error)) {
        g_assert_nonnull(strstr(error->message, "did not answer"));
        g_clear_error(&error);
    }
    rig_teardown(f);
    rig_timeout_ms = 60000;
}

static void end_of_the_program_waits_for_a_silent_back_end(void)
{
    BackendOptions o = { .personality = BACKEND_ECHO, .protocol = BACKEND_ALL_PROTOCOL };
    Rig *f = rig_setup(&o, false);
    gint64 before;

    backend_add_rule(f->backend, VHOST_USER_SET_FEATURES, 0, BACKEND_SILENT, 0);
    rig_start_async(f);
    g_usleep(20000);
    before = g_get_monotonic_time();
    rig_teardown(f);
    g_assert_cmpint(g_get_monotonic_time() - before, <, 30 * G_TIME_SPAN_SECOND);
}

static void negative_reply_goes_unnoticed(void)
{
    static const uint32_t at[] = { VHOST_USER_SET_VRING_ENABLE, VHOST_USER_SET_MEM_TABLE };

    for (unsigned i = 0; i < G_N_ELEMENTS(at); i++) {
        BackendOptions o = { .personality = BACKEND_ECHO, .protocol = BACKEND_ALL_PROTOCOL };
        Rig *f = rig_setup(&o, false);

        backend_add_rule(f->backend, at[i], 1, BACKEND_REFUSE, 0);
        rig_start_async(f);
        RUN_UNTIL(f->over);
        g_assert_cmpint(f->failure, ==, VHOST_USER_REFUSED);
        g_assert_nonnull(strstr(f->text, vhost_user_request_name(at[i])));
        rig_stop(f, true);
        rig_start(f); /* the connection stands */
        rig_teardown(f);
    }
}

static void lying_back_end_is_believed(void)
{
    static const struct {
        uint32_t request;
        BackendAction action;
    } lies[] = {
        { VHOST_USER_SET_VRING_ENABLE, BACKEND_WRONG_ID },
        { VHOST_USER_SET_VRING_ENABLE, BACKEND_WRONG_FLAGS },
        { VHOST_USER_SET_VRING_ENABLE, BACKEND_WRONG_SIZE },
        { VHOST_USER_SET_VRING_ENABLE, BACKEND_HUGE_SIZE },
        { VHOST_USER_SET_VRING_ENABLE, BACKEND_EXTRA_FD },
        { VHOST_USER_SET_VRING_ENABLE, BACKEND_TWICE },
        { VHOST_USER_GET_INFLIGHT_FD, BACKEND_WRONG_SIZE },
        { VHOST_USER_SET_MEM_TABLE, BACKEND_WRONG_ID },
        { VHOST_USER_GET_VRING_BASE, BACKEND_WRONG_RING },
        { VHOST_USER_GET_VRING_BASE, BACKEND_EXTRA_FD },
        { VHOST_USER_GET_VRING_BASE, BACKEND_WRONG_SIZE },
    };

    for (unsigned i = 0; i < G_N_ELEMENTS(lies); i++) {
        BackendOptions o = { .personality = BACKEND_ECHO, .protocol = BACKEND_ALL_PROTOCOL };
        Rig *f = rig_setup(&o, false);

        backend_add_rule(f->backend, lies[i].request, 1, lies[i].action, 0);
        rig_start_async(f);
        RUN_UNTIL(f->over);
        if (f->failure == VHOST_USER_OK) {
            g_autoptr(GError) error = NULL;

            vhost_user_stop_and_wait(f->vu, false, &error);
            RUN_UNTIL(!vhost_user_connected(f->vu));
        } else {
            g_assert_cmpint(f->failure, ==, VHOST_USER_LIED);
        }
        RUN_UNTIL(!vhost_user_connected(f->vu));
        rig_teardown(f);
    }
}

static void what_nobody_asked_for_is_taken_for_a_reply(void)
{
    BackendOptions o = { .personality = BACKEND_ECHO, .protocol = BACKEND_ALL_PROTOCOL };
    Rig *f = rig_setup(&o, false);
    VhostUserHeader h = { VHOST_USER_SET_VRING_ENABLE, 5, 0 };

    rig_start(f);
    backend_send_raw(f->backend, &h, sizeof(h));
    RUN_UNTIL(f->lost > 0);
    g_assert_cmpint(f->last_failure, ==, VHOST_USER_LIED);
    rig_teardown(f);
}

/* The guest has reset the device: its memory is something else by now. */
static void other_rings_go_on_behind_a_refused_stop(void)
{
    BackendOptions o = { .personality = BACKEND_ECHO,
                         .queues = 3,
                         .protocol =
                             BACKEND_ALL_PROTOCOL | 1u << VHOST_USER_PROTOCOL_F_RESET_DEVICE };
    Rig *f = rig_setup(&o, false);
    g_autoptr(GError) error = NULL;

    rig_start(f);
    backend_add_rule(f->backend, VHOST_USER_SET_VRING_ENABLE, 0, BACKEND_REFUSE, 0);
    g_assert_false(vhost_user_stop_and_wait(f->vu, true, &error));
    g_assert_nonnull(strstr(error->message, "refused SET_VRING_ENABLE"));
    g_assert_cmpuint(backend_count(f->backend, VHOST_USER_GET_VRING_BASE), ==, 3);
    g_assert_cmpuint(backend_count(f->backend, VHOST_USER_RESET_DEVICE), ==, 1);
    rig_teardown(f);
}

/* A region went and the next one was refused: what the back end has now is not what it had, and nobody says so to it again. */
static void memory_that_was_refused_is_taken_for_sent(void)
{
    BackendOptions o = { .personality = BACKEND_ECHO,
                         .protocol =
                             BACKEND_ALL_PROTOCOL | 1u << VHOST_USER_PROTOCOL_F_CONFIGURE_MEM_SLOTS };
    Rig *f = rig_setup(&o, true);
    VhostUserMemory *half = vhost_user_memory_new(address_space_memory, NULL);

    half->regions[0].wire.size /= 2;
    rig_start(f);
    backend_add_rule(f->backend, VHOST_USER_ADD_MEM_REG, 0, BACKEND_REFUSE, 0);
    f->over = false;
    vhost_user_set_memory(f->vu, half, rig_done, f);
    RUN_UNTIL(f->over);
    g_assert_cmpint(f->failure, ==, VHOST_USER_REFUSED);
    backend_clear_rules(f->backend);
    f->over = false;
    vhost_user_set_memory(f->vu, f->memory, rig_done, f);
    RUN_UNTIL(f->over);
    rig_post(f, 0);
    rig_kick(f, 0);
    rig_all_answered(f);
    vhost_user_memory_unref(half);
    rig_teardown(f);
}

/* ---- coming back --------------------------------------------------------------------------------------- */

static void request_posted_while_the_back_end_was_away_is_lost(void)
{
    for (unsigned discard = 0; discard < 2; discard++) {
        BackendOptions o = { .personality = BACKEND_ECHO,
                             .queues = 2,
                             .protocol = BACKEND_ALL_PROTOCOL,
                             .discard_requests = discard,
                             .discard_kicks = !discard };
        Rig *f = rig_setup(&o, true);
        GError *error = NULL;

        rig_start(f);
        for (unsigned i = 0; i < 3; i++) {
            backend_disconnect(f->backend, true);
            RUN_UNTIL(f->lost == i + 1);
            g_assert_cmpint(f->last_failure, ==, VHOST_USER_AWAY);
            for (unsigned q = 0; q < 2; q++) {
                rig_post(f, q);
                rig_kick(f, q);
            }
            backend_add_rule(f->backend, VHOST_USER_SET_VRING_ENABLE, 0, BACKEND_DELAY, 20);
            g_assert_true(backend_listen(f->backend, &error));
            RUN_UNTIL(f->again == i + 1);
            rig_all_answered(f);
        }
        rig_teardown(f);
    }
}

static void request_in_flight_is_lost_with_its_back_end(void)
{
    BackendOptions o = { .personality = BACKEND_ECHO, .protocol = BACKEND_ALL_PROTOCOL, .hold = 3 };
    Rig *f = rig_setup(&o, true);
    BackendCounts c;
    GError *error = NULL;

    rig_start(f);
    for (unsigned i = 0; i < 3; i++) {
        rig_post(f, 0);
    }
    rig_kick(f, 0);
    do {
        backend_get_counts(f->backend, &c);
    } while (c.held < 3);
    g_assert_cmpuint(rig_used(0), ==, 0);
    backend_disconnect(f->backend, true);
    g_assert_true(backend_listen(f->backend, &error));
    RUN_UNTIL(f->again == 1);
    RUN_UNTIL(rig_used(0) == 3);
    rig_teardown(f);
}

static void back_end_that_is_not_there_yet_is_an_error(void)
{
    BackendOptions o = { .personality = BACKEND_ECHO, .protocol = BACKEND_ALL_PROTOCOL };
    Rig *f = rig_setup(&o, true);
    GError *error = NULL;

    backend_disconnect(f->backend, true);
    RUN_UNTIL(f->lost == 1);
    rig_start_async(f); /* nobody there; it comes while we wait */
    g_assert_true(backend_listen(f->backend, &error));
    RUN_UNTIL(f->over);
    g_assert_cmpint(f->failure, ==, VHOST_USER_OK);
    rig_post(f, 0);
    rig_kick(f, 0);
    rig_all_answered(f);
    rig_teardown(f);
}

/* Nobody had this ring before: where it begins is known, for a packed one, too. */
static void packed_ring_needs_a_back_end_that_is_there_at_the_start(void)
{
    BackendOptions o = { .personality = BACKEND_ECHO,
                         .features = UINT64_C(1) << 32 | UINT64_C(1) << 34,
                         .protocol = BACKEND_ALL_PROTOCOL &
                                     ~(1u << VHOST_USER_PROTOCOL_F_INFLIGHT_SHMFD) };
    Rig *f = rig_setup(&o, true);
    VhostUserRing r = rig_ring(f, 0);
    g_autofree char *trace = NULL;
    GError *error = NULL;

    r.packed = true;
    r.base = 7 | 1u << 15 | 7u << 16 | 1u << 31;
    backend_disconnect(f->backend, true);
    RUN_UNTIL(f->lost == 1);
    f->over = false;
    vhost_user_start(f->vu, UINT64_C(1) << 32 | UINT64_C(1) << 34, f->memory, &r, 1, true, rig_done,
                     f);
    backend_clear_trace(f->backend);
    g_assert_true(backend_listen(f->backend, &error));
    RUN_UNTIL(f->over);
    g_assert_cmpstr(f->text, ==, NULL);
    trace = backend_trace(f->backend);
    g_assert_nonnull(strstr(trace, ": ring 0 num 2147975175\n")); /* the base */
    /* Now one has had it, and nobody knows where it stopped. */
    backend_disconnect(f->backend, false);
    RUN_UNTIL(f->lost > 1 && f->last_failure == VHOST_USER_REFUSED);
    g_assert_nonnull(strstr(f->lost_text, "nobody knows where it goes on"));
    rig_teardown(f);
}

/* What a driver wrote into the configuration (a write cache that is off) holds for the next back end as well. */
static void written_configuration_is_lost_with_its_back_end(void)
{
    BackendOptions o = { .personality = BACKEND_BLK,
                         .image_size = 1 << 20,
                         .protocol = BACKEND_ALL_PROTOCOL };
    Rig *f = rig_setup(&o, true);
    g_autofree char *trace = NULL;
    const uint8_t off = 0;
    GError *error = NULL;
    const char *set;

    rig_start(f);
    f->over = false;
    vhost_user_set_config(f->vu, 32, &off, 1, rig_done, f);
    RUN_UNTIL(f->over);
    g_assert_cmpstr(f->text, ==, NULL);
    backend_disconnect(f->backend, true);
    RUN_UNTIL(f->lost == 1);
    backend_clear_trace(f->backend);
    g_assert_true(backend_listen(f->backend, &error));
    RUN_UNTIL(f->again == 1);
    trace = backend_trace(f->backend);
    set = strstr(trace, "> SET_CONFIG");
    g_assert_nonnull(set);
    g_assert_nonnull(strstr(set, "SET_VRING_ENABLE")); /* before it serves anything */
    rig_stop(f, true);
    backend_disconnect(f->backend, false); /* a driver that begins anew has written nothing */
    RUN_UNTIL(f->again == 2);
    g_assert_cmpuint(backend_count(f->backend, VHOST_USER_SET_CONFIG), ==, 2);
    rig_teardown(f);
}

static void back_end_killed_at_a_message_hangs_us(void)
{
    for (unsigned n = 1; n < 40; n++) {
        BackendOptions o = { .personality = BACKEND_ECHO,
                             .queues = 1,
                             .protocol = BACKEND_ALL_PROTOCOL };
        Rig *f = rig_setup_session(&o, true);
        BackendCounts c;

        backend_add_rule(f->backend, 0, n, BACKEND_CLOSE, 0);
        vhost_user_wait_ready(f->vu, NULL);
        backend_get_counts(f->backend, &c);
        if (c.connections > 1) {
            backend_clear_rules(f->backend);
        }
        rig_start_async(f);
        while (!f->over) {
            main_loop_iterate(false);
            backend_get_counts(f->backend, &c);
            if (c.connections > 1) {
                backend_clear_rules(f->backend);
            }
        }
        backend_clear_rules(f->backend);
        rig_post(f, 0);
        rig_kick(f, 0);
        RUN_UNTIL(rig_answered(f, 0));
        rig_teardown(f);
    }
}

/* ---- migration ----------------------------------------------------------------------------------------- */

static bool find_block(RamBlock *block, void *opaque)
{
    *(RamBlock **)opaque = block;
    return false;
}

static void pages_that_the_back_end_writes_are_not_sent(void)
{
    BackendOptions o = { .personality = BACKEND_ECHO,
                         .protocol = BACKEND_ALL_PROTOCOL,
                         .disable_on_features = true,
                         .discard_requests = true };
    Rig *f = rig_setup(&o, false);
    unsigned long dirty[RAM_SIZE / 4096 / (8 * sizeof(long)) + 1] = { 0 };
    RamBlock *block = NULL;
    GError *error = NULL;

    ram_foreach(find_block, &block);
    rig_start(f);
    g_assert_true(ram_dirty_log_start(&error));
    ram_block_take_dirty(block, 0, RAM_SIZE / 4096, dirty);
    memset(dirty, 0, sizeof(dirty));
    backend_clear_trace(f->backend);
    g_assert_true(vhost_user_log_start(f->vu, &error));
    g_assert_no_error(error);
    check_golden(f, "log-start");
    rig_post(f, 0);
    rig_kick(f, 0);
    rig_all_answered(f);
    rig_stop(f, false);
    vhost_user_log_sync(f->vu, true);
    g_assert_false(vhost_user_log_late(f->vu));
    ram_block_take_dirty(block, 0, RAM_SIZE / 4096, dirty);
    for (unsigned page = 0; page < RAM_SIZE / 4096; page++) {
        bool written = page == (rig_ring_at(0) + 0x2000) / 4096 || page == (rig_ring_at(0) + 0x4000) / 4096;

        g_assert_cmpint(dirty[page / (8 * sizeof(long))] >> page % (8 * sizeof(long)) & 1, ==,
                        written);
    }
    ram_dirty_log_stop();
    vhost_user_log_stop(f->vu, NULL, NULL);
    rig_teardown(f);
}

static void back_end_that_writes_after_the_stop_is_not_noticed(void)
{
    BackendOptions o = { .personality = BACKEND_ECHO, .protocol = BACKEND_ALL_PROTOCOL };
    Rig *f = rig_setup(&o, false);
    GError *error = NULL;

    rig_start(f);
    g_assert_true(vhost_user_log_start(f->vu, &error));
    vhost_user_log_sync(f->vu, true);
    g_assert_false(vhost_user_log_late(f->vu));
    rig_post(f, 0); /* the rings run: the back end is the liar of this test */
    rig_kick(f, 0);
    rig_all_answered(f);
    g_assert_true(vhost_user_log_late(f->vu));
    vhost_user_log_stop(f->vu, NULL, NULL);
    rig_teardown(f);
}

static void state_of_the_back_end_does_not_arrive(void)
{
    BackendOptions o = { .personality = BACKEND_FS,
                         .protocol =
                             BACKEND_ALL_PROTOCOL | 1u << VHOST_USER_PROTOCOL_F_DEVICE_STATE };
    Rig *f = rig_setup(&o, false);
    g_autoptr(GByteArray) bytes = NULL;
    GError *error = NULL;

    bytes = vhost_user_state_save(f->vu, &error);
    g_assert_no_error(error);
    g_assert_cmpuint(bytes->len, ==, 64);
    g_assert_cmpuint(bytes->data[3], ==, 21);
    g_assert_true(vhost_user_state_load(f->vu, bytes->data, bytes->len, &error));
    g_assert_no_error(error);
    g_assert_false(vhost_user_state_load(f->vu, bytes->data, 10, &error));
    g_assert_nonnull(strstr(error->message, "could not load"));
    g_clear_error(&error);
    rig_teardown(f);
}

/* Each byte in time, and all of them never: whoever waits has the big lock. */
static void state_that_trickles_is_waited_for_for_ever(void)
{
    BackendOptions o = { .personality = BACKEND_FS,
                         .state_delay_ms = TIMEOUT_MS / 4,
                         .protocol =
                             BACKEND_ALL_PROTOCOL | 1u << VHOST_USER_PROTOCOL_F_DEVICE_STATE };
    Rig *f = rig_setup(&o, false);
    gint64 began = g_get_monotonic_time();
    g_autoptr(GError) error = NULL;

    vhost_user_set_timeout(f->vu, TIMEOUT_MS);
    g_assert_null(vhost_user_state_save(f->vu, &error));
    g_assert_nonnull(strstr(error->message, "of its state in 400 ms"));
    g_assert_cmpint(g_get_monotonic_time() - began, <, 10 * TIMEOUT_MS * 1000);
    rig_teardown(f);
}

static void in_flight_region_does_not_arrive(void)
{
    BackendOptions o = { .personality = BACKEND_ECHO, .protocol = BACKEND_ALL_PROTOCOL, .hold = 2 };
    Rig *f = rig_setup(&o, false);
    g_autofree uint8_t *region = NULL;
    uint16_t queues, size;
    size_t len;
    BackendCounts c;
    GError *error = NULL;

    rig_start(f);
    g_assert_false(vhost_user_inflight_pending(f->vu, false));
    rig_post(f, 0);
    rig_post(f, 0);
    rig_kick(f, 0);
    do {
        backend_get_counts(f->backend, &c);
    } while (c.held < 2);
    g_assert_true(vhost_user_inflight_pending(f->vu, false));
    region = vhost_user_inflight_save(f->vu, &len, &queues, &size);
    g_assert_cmpuint(queues, ==, 1);
    g_assert_cmpuint(size, ==, RING_SIZE);
    g_assert_true(vhost_user_inflight_load(f->vu, region, len, queues, size, &error));
    g_assert_true(vhost_user_inflight_pending(f->vu, false));
    rig_teardown(f);
}

/* "Inflight I/O tracking" for packed rings: 32 bytes a queue, and 32 for each descriptor. */
static void in_flight_request_of_a_packed_ring_is_not_sent(void)
{
    enum { QUEUES = 2, PART = 32 + RING_SIZE * 32 };
    BackendOptions o = { .personality = BACKEND_ECHO,
                         .queues = QUEUES,
                         .protocol = BACKEND_ALL_PROTOCOL };
    Rig *f = rig_setup(&o, false);
    uint8_t region[QUEUES * ((PART + 63) & ~63)] = { 0 }, *second = region + sizeof(region) / 2;
    VhostUserRing rings[QUEUES];
    GError *error = NULL;

    for (unsigned q = 0; q < QUEUES; q++) {
        rings[q] = rig_ring(f, q);
        rings[q].packed = true;
        rings[q].base = 1u << 15 | 1u << 31;
    }
    f->over = false;
    vhost_user_start(f->vu, UINT64_C(1) << 32 | UINT64_C(1) << 34, f->memory, rings, QUEUES, true,
                     rig_done, f);
    RUN_UNTIL(f->over);
    g_assert_cmpstr(f->text, ==, NULL);
    rig_stop(f, false);
    store_le16(region + 10, RING_SIZE);
    store_le16(second + 10, RING_SIZE);
    for (unsigned i = 0; i < RING_SIZE; i++) {
        second[32 + i * 32] = 1;
        g_assert_true(vhost_user_inflight_load(f->vu, region, sizeof(region), QUEUES, RING_SIZE,
                                               &error));
        g_assert_true(vhost_user_inflight_pending(f->vu, true));
        second[32 + i * 32] = 0;
        second[48 + i * 32] = 1; /* another member of the entry, which means nothing */
        g_assert_true(vhost_user_inflight_load(f->vu, region, sizeof(region), QUEUES, RING_SIZE,
                                               &error));
        g_assert_false(vhost_user_inflight_pending(f->vu, true));
        second[48 + i * 32] = 0;
    }
    rig_teardown(f);
}

/* A back end that says so all the time does not fill our memory: what has been said and not heard is said once. */
static void flood_of_config_changes_piles_up(void)
{
    enum { FLOOD = 2000 };
    BackendOptions o = { .personality = BACKEND_BLK,
                         .image_size = 1 << 20,
                         .protocol =
                             BACKEND_ALL_PROTOCOL | 1u << VHOST_USER_PROTOCOL_F_BACKEND_REQ };
    Rig *f = rig_setup(&o, false);
    unsigned seen;

    for (unsigned i = 0; i < FLOOD; i++) {
        backend_config_changed(f->backend);
    }
    g_usleep(200 * 1000);
    RUN_UNTIL(f->config_changes > 0);
    g_assert_cmpuint(f->config_changes, <, FLOOD / 10);
    seen = f->config_changes;
    backend_config_changed(f->backend);
    RUN_UNTIL(f->config_changes > seen);

    backend_add_rule(f->backend, VHOST_USER_GET_CONFIG, 0, BACKEND_DELAY, 20);
    for (unsigned i = 0; i < FLOOD; i++) {
        vhost_user_fetch_config(f->vu, 60, rig_done, f);
    }
    vhost_user_drain(f->vu);
    g_assert_cmpuint(backend_count(f->backend, VHOST_USER_GET_CONFIG), <=, 2);
    rig_teardown(f);
}

static void config_change_of_the_back_end_is_not_seen(void)
{
    BackendOptions o = { .personality = BACKEND_BLK,
                         .image_size = 1 << 20,
                         .protocol =
                             BACKEND_ALL_PROTOCOL | 1u << VHOST_USER_PROTOCOL_F_BACKEND_REQ };
    Rig *f = rig_setup(&o, false);
    uint8_t config[60];
    GError *error = NULL;

    g_assert_true(vhost_user_fetch_config_and_wait(f->vu, 60, &error));
    g_assert_cmpuint(vhost_user_config(f->vu, config, 60), ==, 60);
    g_assert_cmpuint(load_le64(config), ==, 2048);
    g_assert_cmpuint(backend_config_changed(f->backend), ==, 1);
    RUN_UNTIL(f->config_changes == 1);
    rig_teardown(f);
}

/* ---- memory -------------------------------------------------------------------------------------------- */

static void private_memory_gives_no_reason(void)
{
    MemoryRegion *private_ram;
    GError *error = NULL;

    memory_region_unmap(system_memory(), rig_ram_region);
    private_ram = memory_region_new_ram(NULL, "private", 1 << 20, &error);
    g_assert_no_error(error);
    memory_region_map(system_memory(), 0, private_ram);
    g_assert_null(vhost_user_memory_new(address_space_memory, &error));
    g_assert_nonnull(strstr(error->message, "share=on"));
    g_clear_error(&error);
    memory_region_free(private_ram);
    memory_region_map(system_memory(), 0, rig_ram_region);
}

int main(int argc, char **argv)
{
    RamBlockOptions options = { .shared = true, .reserve = true, .fd = -1 };
    g_autofree char *dir = g_dir_make_tmp("vuXXXXXX", NULL);
    GError *error = NULL;
    int r;

    g_test_init(&argc, &argv, NULL);
    signal(SIGPIPE, SIG_IGN);
    main_loop_init();
    memory_init();
    rig_socket_path = g_strdup_printf("%s/s", dir);
    options.fd = memfd_create("ram", MFD_CLOEXEC);
    g_assert_cmpint(ftruncate(options.fd, RAM_SIZE), ==, 0);
    rig_ram_region = memory_region_new_ram_block(NULL, "ram",
                                             ram_block_new_full("ram", RAM_SIZE, &options, &error));
    g_assert_no_error(error);
    memory_region_map(system_memory(), 0, rig_ram_region);
    rig_ram = memory_region_ram_ptr(rig_ram_region);

#define T(name) g_test_add_func("/vhost-user/" #name, name)
    T(first_request_right_after_enable_is_lost);
    T(first_request_is_lost_without_reply_ack);
    T(first_request_is_lost_on_one_of_16_queues);
    T(back_end_without_protocol_features_is_not_served);
    T(request_after_a_queue_reset_is_lost);
    T(request_kicked_just_before_a_stop_is_lost);
    T(main_loop_stands_still_while_a_back_end_enables);
    T(messages_are_in_the_order_of_the_specification);
    T(rings_are_enabled_before_the_features_that_disable_them);
    T(back_end_that_never_answers_hangs_the_caller);
    T(back_end_that_never_answers_hangs_the_start_of_the_device);
    T(end_of_the_program_waits_for_a_silent_back_end);
    T(negative_reply_goes_unnoticed);
    T(lying_back_end_is_believed);
    T(what_nobody_asked_for_is_taken_for_a_reply);
    T(other_rings_go_on_behind_a_refused_stop);
    T(memory_that_was_refused_is_taken_for_sent);
    T(packed_ring_needs_a_back_end_that_is_there_at_the_start);
    T(written_configuration_is_lost_with_its_back_end);
    T(request_posted_while_the_back_end_was_away_is_lost);
    T(request_in_flight_is_lost_with_its_back_end);
    T(back_end_that_is_not_there_yet_is_an_error);
    T(back_end_killed_at_a_message_hangs_us);
    T(pages_that_the_back_end_writes_are_not_sent);
    T(back_end_that_writes_after_the_stop_is_not_noticed);
    T(state_of_the_back_end_does_not_arrive);
    T(state_that_trickles_is_waited_for_for_ever);
    T(in_flight_region_does_not_arrive);
    T(in_flight_request_of_a_packed_ring_is_not_sent);
    T(flood_of_config_changes_piles_up);
    T(config_change_of_the_back_end_is_not_seen);
    T(private_memory_gives_no_reason);
    r = g_test_run();
    rmdir(dir);
    return r;
}
