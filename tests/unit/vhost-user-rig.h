/* SPDX-License-Identifier: GPL-2.0-or-later */
/* A session with the test back end (hw/virtio/vhost-user.h against tests/vhost-user) without a guest: the test is the driver. */
#ifndef TESTS_UNIT_VHOST_USER_RIG_H
#define TESTS_UNIT_VHOST_USER_RIG_H

#include "../vhost-user/backend.h"
#include "hw/virtio/vhost-user.h"
#include "system/ram.h"
#include "util/main-loop.h"

#define RAM_SIZE (UINT64_C(4) << 20)
#define RING_SIZE 64
#define MAX_QUEUES 16

typedef struct Rig {
    Backend *backend;
    Chardev *chr;
    ChardevFe fe;
    VhostUser *vu;
    VhostUserMemory *memory;
    unsigned queues;
    int kick[MAX_QUEUES], call[MAX_QUEUES];
    uint16_t posted[MAX_QUEUES];
    unsigned ready, again, lost, config_changes;
    VhostUserFailure last_failure;
    char *lost_text;
    bool over;
    VhostUserFailure failure;
    char *text;
} Rig;

/* Made by the program's main(): guest memory, and where the back end listens. */
extern uint8_t *rig_ram;
extern MemoryRegion *rig_ram_region;
extern char *rig_socket_path;
/* For a reply. Silence is tested with less; a machine that is busy needs its time. */
extern unsigned rig_timeout_ms;

/* Runs the main loop until the condition holds, at most a minute. */
#define RUN_UNTIL(cond)                                                \
    do {                                                               \
        gint64 end_ = g_get_monotonic_time() + 60 * G_TIME_SPAN_SECOND; \
        while (!(cond) && g_get_monotonic_time() < end_) {             \
            main_loop_iterate(false);                                  \
            g_usleep(200);                                             \
        }                                                              \
        g_assert_true(cond);                                           \
    } while (0)

/* A back end, and a session that is agreed with it, or only begun. */
Rig *rig_setup(const BackendOptions *options, bool reconnect);
Rig *rig_setup_session(const BackendOptions *options, bool reconnect);
void rig_teardown(Rig *f);
/* For jobs: f->over, f->failure and f->text are about the last one that ended. */
void rig_done(void *opaque, VhostUserFailure failure, const GError *error);
void rig_start_async(Rig *f);
void rig_start(Rig *f);
void rig_stop(Rig *f, bool reset);

hwaddr rig_ring_at(unsigned q);
VhostUserRing rig_ring(Rig *f, unsigned q);
/* Posts a request: 8 bytes out, 8 bytes in; the echo device inverts them. */
void rig_post(Rig *f, unsigned q);
void rig_kick(Rig *f, unsigned q);
uint16_t rig_used(unsigned q); /* the used index */
/* Whether the last request has come back, with the right bytes. */
bool rig_answered(Rig *f, unsigned q);
/* Waits for it on every queue; nothing was lost. */
void rig_all_answered(Rig *f);

#endif
