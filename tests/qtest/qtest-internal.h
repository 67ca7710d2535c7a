/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Shared by the parts of the qtest client. */
#ifndef QTEST_INTERNAL_H
#define QTEST_INTERNAL_H

#include "qtest-client.h"

/* One emulator process with its two connections. */
typedef struct QTestProcess {
    GPid pid;
    int qtest_fd, qmp_fd, stderr_fd;
    GString *qtest_in, *qmp_in, *stderr_text;
    char *qtest_path, *qmp_path;
} QTestProcess;

#define QTEST_MAX_IRQS 64

struct QTest {
    QTestProcess *process;
    char *args;
    GPtrArray *replay;      /* json_object *: configuration commands that succeeded */
    GPtrArray *move_setup;  /* json_object * */
    GPtrArray *intercepts;  /* char *: irq_intercept lines */
    GQueue events;          /* json_object * */
    bool irq[QTEST_MAX_IRQS];
    bool moving, in_move;
    unsigned every, countdown, moves;
    GRand *random;          /* moves are random; `every` is the mean distance */
    double downtime_ms;
    QTestMoveFunc *on_move;
    void *on_move_opaque;
    QTestSourceFunc *on_move_wait;
};

/* Starts a process with args and extra (may be NULL) and connects; NULL is not returned. */
QTestProcess *qtest_process_start(const char *args, const char *extra);
/* Closes and frees; waits for the end of the process, which must have been asked for, and returns its status. */
int qtest_process_wait(QTestProcess *p, unsigned seconds);
void qtest_process_free(QTestProcess *p);
/* Fails the test with a message and the emulator's stderr. */
void qtest_fail(QTestProcess *p, const char *fmt, ...) G_GNUC_PRINTF(2, 3) G_GNUC_NORETURN;
/* One line or one JSON value per line, at most `ms` milliseconds; NULL on time-out. End of file fails. */
char *qtest_read_line(QTestProcess *p, bool qmp, int ms);
void qtest_write_all(QTestProcess *p, bool qmp, const char *text, size_t len);
/* Sends a command on p and returns its answer; events on the way go to `events`. */
json_object *qtest_process_qmp(QTestProcess *p, json_object *command, GQueue *events);
/* The same, and a descriptor goes along (-1: none). */
json_object *qtest_process_qmp_fd(QTestProcess *p, json_object *command, int fd, GQueue *events);

/* Before each command: moves if it is time. */
void qtest_tick(QTest *q);
/* Sends a line to p and takes IRQ lines on the way; returns the answer's text behind OK. */
char *qtest_command(QTest *q, QTestProcess *p, const char *line);
/* Keeps a successful command for replay on the next destination, if it changed the configuration. */
void qtest_note_command(QTest *q, json_object *command);

#endif
