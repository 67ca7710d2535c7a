/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The qtest client: starts an emulator, plays its guest over the qtest socket and its manager over QMP, and can
 * move the VM to a fresh process at any point without the test noticing.
 *
 * Moving. QTEST_MOVE_EVERY=k in the environment moves the VM before every k-th command (k = 1: before each one),
 * QTEST_MOVE_OFFSET=o shifts which. A move starts the same command line with -incoming, replays the configuration
 * changes that the test made over QMP (device_add, blockdev-add, eject, …), migrates over a unix socket, waits until
 * the destination runs where the source did, ends the source and checks its exit status. Events of the source that
 * belong to the move are dropped, others are kept.
 *
 * Anything that goes wrong in the emulator or the protocol ends the test with a message and the emulator's stderr.
 */
#ifndef QTEST_CLIENT_H
#define QTEST_CLIENT_H

#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <glib.h>
#include <json-c/json.h>

typedef struct QTest QTest;

/* ---- processes --------------------------------------------------------------------------------------------- */

/* Starts QTEST_QEMU_BINARY with "-accel qtest -display none -nodefaults" and these arguments (split as a shell does; an
 * -accel among them stands for ours), and waits until both sockets talk. */
QTest *qtest_start(const char *args, ...) G_GNUC_PRINTF(1, 2);
/* Whether those that are started from now on take commands out of band ("exec-oob"). */
void qtest_use_oob(bool on);
/* Ends the emulator by `quit`, checks that it exits with status 0 and nothing was left behind. */
void qtest_end(QTest *q);
/* What the emulator said on stderr so far (since the last move); owned by q. */
const char *qtest_stderr(QTest *q);
/* The machine that QTEST_MACHINE names, by which a program runs once for each board; without it, `otherwise`. */
const char *qtest_machine(const char *otherwise);
bool qtest_machine_is_q35(void);
/* Whether devices are plugged into the root bus at run time. If not, the running test is skipped: return. */
bool qtest_machine_can_plug(void);
/* Its process id. */
GPid qtest_pid(const QTest *q);
/* Expects that the emulator exits by itself with this status within ten seconds, then frees q. */
void qtest_expect_exit(QTest *q, int status);

/* Called at the end of the program, also when it is aborted: async-signal-safe. For what the program has changed in the host. */
void qtest_set_cleanup(void (*func)(void));

/* Runs the emulator with args until it exits (at most ten seconds). Returns the exit status (-signal if killed); *out
 * gets stderr (g_free()), if not NULL. */
int qtest_run(char **out, const char *args, ...) G_GNUC_PRINTF(2, 3);

/* ---- moving -------------------------------------------------------------------------------------------------- */

/* Whether this run moves before commands, which takes so long that it is of less (TERN_TEST_LONG: not even then). */
bool qtest_is_short(void);
/* Moves the VM now. */
void qtest_move(QTest *q);
/* Moves now, and from now on, to processes with these arguments in place of the ones of qtest_start(). */
void qtest_move_to(QTest *q, const char *args, ...) G_GNUC_PRINTF(2, 3);
/* Moves go to processes with these arguments from now on. They contain what the test has changed over QMP so far, which is
 * not replayed any more: for media, whose commands mean something else in a machine whose tray is still closed. */
void qtest_set_args(QTest *q, const char *args, ...) G_GNUC_PRINTF(2, 3);
/* Automatic moves (QTEST_MOVE_EVERY) off and on again: for tests that migrate by themselves. */
void qtest_set_moving(QTest *q, bool on);
/* How often the VM has moved. */
unsigned qtest_moves(const QTest *q);
/* From now on moves before a random command, on average every mean-th one; mean 0 ends it. The seed makes it repeatable. */
void qtest_move_randomly(QTest *q, uint32_t seed, unsigned mean);
/* Milliseconds from the source's STOP to the destination's RESUME in the last move; 0 if the VM was stopped. */
double qtest_downtime_ms(const QTest *q);
/* Called before each move and after it, e.g. to look at the state of a device model in the test; may be NULL. */
typedef void QTestMoveFunc(QTest *q, bool before, void *opaque);
void qtest_on_move(QTest *q, QTestMoveFunc *func, void *opaque);
/* Called again and again while a move waits for its source, with the source's run state ("running", "paused", …); may be NULL. */
typedef void QTestSourceFunc(const char *state);
void qtest_on_move_wait(QTest *q, QTestSourceFunc *func);
/* A migration parameter or capability (JSON text of the arguments of the QMP command) that every move sets on both
 * sides: qtest_move_setup(q, "migrate-set-parameters", "{'downtime-limit': 100}"). */
void qtest_move_setup(QTest *q, const char *command, const char *arguments);

/* ---- the guest's side ------------------------------------------------------------------------------------------- */

uint8_t qtest_inb(QTest *q, uint16_t port);
uint16_t qtest_inw(QTest *q, uint16_t port);
uint32_t qtest_inl(QTest *q, uint16_t port);
void qtest_outb(QTest *q, uint16_t port, uint8_t value);
void qtest_outw(QTest *q, uint16_t port, uint16_t value);
void qtest_outl(QTest *q, uint16_t port, uint32_t value);
uint8_t qtest_readb(QTest *q, uint64_t addr);
uint16_t qtest_readw(QTest *q, uint64_t addr);
uint32_t qtest_readl(QTest *q, uint64_t addr);
uint64_t qtest_readq(QTest *q, uint64_t addr);
void qtest_writeb(QTest *q, uint64_t addr, uint8_t value);
void qtest_writew(QTest *q, uint64_t addr, uint16_t value);
void qtest_writel(QTest *q, uint64_t addr, uint32_t value);
void qtest_writeq(QTest *q, uint64_t addr, uint64_t value);
void qtest_memread(QTest *q, uint64_t addr, void *buf, size_t len);
void qtest_memwrite(QTest *q, uint64_t addr, const void *buf, size_t len);
void qtest_memset(QTest *q, uint64_t addr, uint8_t c, size_t len);
/* Steps the virtual clock by ns, or to the next timer; returns the new time. */
int64_t qtest_clock_step(QTest *q, int64_t ns);
int64_t qtest_clock_step_next(QTest *q);
int64_t qtest_clock_now(QTest *q);
/* From now on qtest_get_irq() knows the pins of this device: outputs (swallowed) or inputs (still delivered). */
void qtest_irq_intercept_in(QTest *q, const char *qom_path);
void qtest_irq_intercept_out(QTest *q, const char *qom_path);
bool qtest_get_irq(QTest *q, int n);
/* Sends one raw line and returns the answer's line (g_free()); for tests of the protocol itself. */
char *qtest_raw(QTest *q, const char *line);

/* ---- the manager's side ------------------------------------------------------------------------------------------- */

/* Runs a QMP command given as JSON text with single quotes: "{'execute': 'query-status'}" (a ' inside a value is
 * \x27). Returns the whole answer, {"return": …} or {"error": …}; json_object_put() frees it. */
json_object *qtest_qmp(QTest *q, const char *fmt, ...) G_GNUC_PRINTF(2, 3);
/* As qtest_qmp(); the command must succeed. Returns what it returned, or drops it. */
json_object *qtest_qmp_return(QTest *q, const char *fmt, ...) G_GNUC_PRINTF(2, 3);
void qtest_qmp_ok(QTest *q, const char *fmt, ...) G_GNUC_PRINTF(2, 3);
/* The command must fail with this class and a description that contains text. */
void qtest_qmp_fails(QTest *q, const char *class, const char *text, const char *fmt, ...) G_GNUC_PRINTF(4, 5);
/* getfd: the emulator gets a copy of the descriptor under this name. */
void qtest_getfd(QTest *q, const char *name, int fd);
/* human-monitor-command; the output (g_free()). */
char *qtest_hmp(QTest *q, const char *fmt, ...) G_GNUC_PRINTF(2, 3);
/* Waits at most ten seconds for an event of that name (earlier ones that nobody waited for count) and returns it. */
json_object *qtest_wait_event(QTest *q, const char *name);
/* Whether such an event has come, without waiting; it is taken out. */
bool qtest_had_event(QTest *q, const char *name);
/* Polls until query-status says so, at most ten seconds. */
void qtest_wait_status(QTest *q, const char *status);

/* ---- files -------------------------------------------------------------------------------------------------------- */

/* A file of the test's own with len bytes of a pattern that differs in each sector (seed chooses it), removed at the
 * end of the test program. Returns its path, owned by the client. */
const char *qtest_image(const char *name, uint64_t len, uint32_t seed);
/* The byte that stands at offset of such a file. */
uint8_t qtest_image_byte(uint64_t offset, uint32_t seed);
/* The first len bytes of such a file. */
void qtest_image_fill(uint8_t *buf, size_t len, uint32_t seed);
/* Fails the test unless these are the bytes from offset on. */
void qtest_assert_image(const uint8_t *buf, size_t len, uint64_t offset, uint32_t seed);
/* The folder of this program's files. */
const char *qtest_dir(void);
/* Emulators that are started from now on may get a library by LD_PRELOAD, which sanitizers let pass though it is not theirs. */
void qtest_allow_preload(void);

/* A string property of a JSON object at a dotted path ("return.status"); fails the test if it is not there. */
const char *qtest_json_string(json_object *obj, const char *path);
int64_t qtest_json_int(json_object *obj, const char *path);

#endif
