/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The qtest client: emulator processes, their sockets and their ends. */
#include "util/osdep.h"
#include "qtest-internal.h"

#include <fcntl.h>
#include <glib/gstdio.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>

#define START_SECONDS 120
#define ANSWER_MS 60000
#define END_SECONDS 60

static bool oob;
static GPtrArray *live; /* pids to end if the test program fails */
static char *test_dir;

/* ---- files -------------------------------------------------------------------------------------------------- */

static void remove_test_dir(void)
{
    g_autoptr(GDir) dir = g_dir_open(test_dir, 0, NULL);
    const char *name;

    while (dir && (name = g_dir_read_name(dir))) {
        g_autofree char *path = g_build_filename(test_dir, name, NULL);

        g_unlink(path);
    }
    g_rmdir(test_dir);
}

const char *qtest_dir(void)
{
    if (!test_dir) {
        test_dir = g_dir_make_tmp("qtest-XXXXXX", NULL);
        g_assert_nonnull(test_dir);
        atexit(remove_test_dir);
    }
    return test_dir;
}

void qtest_allow_preload(void)
{
    const char *asan = g_getenv("ASAN_OPTIONS");
    g_autofree char *options = g_strdup_printf("%s%sverify_asan_link_order=0", asan ? asan : "", asan ? ":" : "");
    g_setenv("ASAN_OPTIONS", options, true);
}

/* A sector number, mixed so that neighbouring sectors and seeds look different (splitmix64's finalizer). */
static uint64_t mix(uint64_t x)
{
    x += UINT64_C(0x9e3779b97f4a7c15);
    x = (x ^ x >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
    x = (x ^ x >> 27) * UINT64_C(0x94d049bb133111eb);
    return x ^ x >> 31;
}

uint8_t qtest_image_byte(uint64_t offset, uint32_t seed)
{
    return mix((uint64_t)seed << 40 | offset / 8) >> offset % 8 * 8;
}

void qtest_image_fill(uint8_t *buf, size_t len, uint32_t seed)
{
    for (size_t i = 0; i < len; i++) {
        buf[i] = qtest_image_byte(i, seed);
    }
}

void qtest_assert_image(const uint8_t *buf, size_t len, uint64_t offset, uint32_t seed)
{
    for (size_t i = 0; i < len; i++) {
        g_assert_cmphex(buf[i], ==, qtest_image_byte(offset + i, seed));
    }
}

const char *qtest_image(const char *name, uint64_t len, uint32_t seed)
{
    g_autofree char *path = g_build_filename(qtest_dir(), name, NULL);
    FILE *f = fopen(path, "w");

    g_assert_nonnull(f);
    for (uint64_t i = 0; i < len; i += 8) {
        uint64_t word = GUINT64_TO_LE(mix((uint64_t)seed << 40 | i / 8));

        g_assert_cmpuint(fwrite(&word, MIN(8, len - i), 1, f), ==, 1);
    }
    g_assert_cmpint(fclose(f), ==, 0);
    return g_intern_string(path);
}

/* ---- boards --------------------------------------------------------------------------------------------------- */

const char *qtest_machine(const char *otherwise)
{
    const char *name = g_getenv("QTEST_MACHINE");

    return name && *name ? name : otherwise;
}

bool qtest_machine_is_q35(void)
{
    const char *name = qtest_machine("");

    return g_str_has_prefix(name, "q35") || g_str_has_prefix(name, "pc-q35");
}

bool qtest_machine_can_plug(void)
{
    if (qtest_machine_is_q35()) {
        g_test_skip("pcie.0 takes no devices at run time");
        return false;
    }
    return true;
}

/* ---- start ----------------------------------------------------------------------------------------------------- */

static void (*cleanup)(void);

static void end_live(void)
{
    for (guint i = 0; live && i < live->len; i++) {
        kill(GPOINTER_TO_INT(live->pdata[i]), SIGKILL);
    }
    if (cleanup) {
        cleanup();
    }
}

static void on_abort(int signal_number)
{
    end_live();
    signal(signal_number, SIG_DFL);
    raise(signal_number);
}

static void prepare_end(void)
{
    if (!live) {
        live = g_ptr_array_new();
        atexit(end_live);
        signal(SIGABRT, on_abort);
        signal(SIGTRAP, on_abort); /* g_error() */
        signal(SIGTERM, on_abort);
        signal(SIGINT, on_abort);
    }
}

void qtest_set_cleanup(void (*func)(void))
{
    prepare_end();
    cleanup = func;
}

static void note_live(GPid pid)
{
    prepare_end();
    g_ptr_array_add(live, GINT_TO_POINTER(pid));
}

static const char *emulator(void)
{
    const char *binary = g_getenv("QTEST_QEMU_BINARY");

    if (!binary) {
        g_printerr("QTEST_QEMU_BINARY is not set: name the emulator to test\n");
        exit(1);
    }
    return binary;
}

static void child_setup(gpointer opaque)
{
    prctl(PR_SET_PDEATHSIG, SIGKILL);
}

static GPid spawn(const char *args, int *stderr_fd)
{
    g_autoptr(GError) error = NULL;
    g_autofree char *line = g_strdup_printf("%s %s", emulator(), args);
    g_auto(GStrv) argv = NULL;
    GPid pid;

    if (!g_shell_parse_argv(line, NULL, &argv, &error) ||
        !g_spawn_async_with_pipes(NULL, argv, NULL, G_SPAWN_DO_NOT_REAP_CHILD | G_SPAWN_SEARCH_PATH, child_setup,
                                  NULL, &pid, NULL, NULL, stderr_fd, &error)) {
        g_error("cannot start %s: %s", line, error->message);
    }
    fcntl(*stderr_fd, F_SETFL, O_NONBLOCK);
    fcntl(*stderr_fd, F_SETFD, FD_CLOEXEC);
    note_live(pid);
    return pid;
}

static void read_stderr(QTestProcess *p)
{
    char buf[4096];
    ssize_t n;

    while ((n = read(p->stderr_fd, buf, sizeof(buf))) > 0) {
        g_string_append_len(p->stderr_text, buf, n);
    }
}

void qtest_fail(QTestProcess *p, const char *fmt, ...)
{
    g_autofree char *text = NULL;
    int status = 0;
    va_list ap;

    va_start(ap, fmt);
    text = g_strdup_vprintf(fmt, ap);
    va_end(ap);
    g_printerr("qtest: %s\n", text);
    if (p) {
        g_usleep(100 * 1000);
        if (waitpid(p->pid, &status, WNOHANG) == p->pid) {
            g_printerr("qtest: the emulator (pid %d) %s %d\n", p->pid,
                       WIFSIGNALED(status) ? "was killed by signal" : "exited with status",
                       WIFSIGNALED(status) ? WTERMSIG(status) : WEXITSTATUS(status));
        }
        read_stderr(p);
        g_printerr("qtest: its stderr: %s\n", p->stderr_text->len ? p->stderr_text->str : "(empty)");
    }
    abort();
}

static int accept_one(QTestProcess *p, int listener)
{
    gint64 deadline = g_get_monotonic_time() + START_SECONDS * G_TIME_SPAN_SECOND;
    struct pollfd pfd = { .fd = listener, .events = POLLIN };

    while (poll(&pfd, 1, 20) == 0) {
        siginfo_t ended = { 0 };

        waitid(P_PID, p->pid, &ended, WEXITED | WNOHANG | WNOWAIT);
        if (ended.si_pid || g_get_monotonic_time() > deadline) {
            qtest_fail(p, "the emulator did not connect");
        }
    }
    return accept4(listener, NULL, NULL, SOCK_CLOEXEC);
}

static int listen_at(const char *path)
{
    struct sockaddr_un addr = { .sun_family = AF_UNIX };
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

    g_assert_cmpuint(strlen(path), <, sizeof(addr.sun_path));
    g_strlcpy(addr.sun_path, path, sizeof(addr.sun_path));
    g_assert_cmpint(bind(fd, (struct sockaddr *)&addr, sizeof(addr)), ==, 0);
    g_assert_cmpint(listen(fd, 1), ==, 0);
    return fd;
}

void qtest_use_oob(bool on)
{
    oob = on;
}

QTestProcess *qtest_process_start(const char *args, const char *extra)
{
    static unsigned serial;
    QTestProcess *p = g_new0(QTestProcess, 1);
    g_autofree char *all = NULL;
    int qtest_listener, qmp_listener;
    json_object *greeting;
    char *line;

    serial++;
    p->qtest_in = g_string_new(NULL);
    p->qmp_in = g_string_new(NULL);
    p->stderr_text = g_string_new(NULL);
    p->qtest_path = g_strdup_printf("%s/%u.qtest", qtest_dir(), serial);
    p->qmp_path = g_strdup_printf("%s/%u.qmp", qtest_dir(), serial);
    qtest_listener = listen_at(p->qtest_path);
    qmp_listener = listen_at(p->qmp_path);
    all = g_strdup_printf("%s -display none -nodefaults -qtest unix:%s -qtest-log none -qmp unix:%s %s %s",
                          strstr(args, "-accel ") ? "" : "-accel qtest", p->qtest_path, p->qmp_path, args, extra ? extra : "");
    p->pid = spawn(all, &p->stderr_fd);
    /* Whichever connects first is accepted first by the kernel; the order here does not matter. */
    p->qtest_fd = accept_one(p, qtest_listener);
    p->qmp_fd = accept_one(p, qmp_listener);
    close(qtest_listener);
    close(qmp_listener);

    line = qtest_read_line(p, true, ANSWER_MS);
    greeting = line ? json_tokener_parse(line) : NULL;
    if (!greeting || !json_object_object_get_ex(greeting, "QMP", NULL)) {
        qtest_fail(p, "no QMP greeting but: %s", line ? line : "(nothing)");
    }
    g_free(line);
    json_object_put(greeting);
    json_object_put(qtest_process_qmp(p, json_tokener_parse(oob ? "{\"execute\": \"qmp_capabilities\", \"arguments\": "
                                                                  "{\"enable\": [\"oob\"]}}"
                                                                : "{\"execute\": \"qmp_capabilities\"}"), NULL));
    return p;
}

/* ---- talk --------------------------------------------------------------------------------------------------------- */

/* For so many milliseconds; false: nothing came. An emulator that has much to say must not wait for a reader of its stderr, which is taken
 * meanwhile: with QMP, as the guest's side may be another thread's. */
static bool wait_for_input(QTestProcess *p, bool qmp, gint64 ms)
{
    struct pollfd pfd[] = { { qmp ? p->qmp_fd : p->qtest_fd, POLLIN, 0 }, { p->stderr_fd, POLLIN, 0 } };
    int r = poll(pfd, qmp ? 2 : 1, MAX(ms, 0));

    if (pfd[1].revents) {
        read_stderr(p);
    }
    return r != 0;
}

char *qtest_read_line(QTestProcess *p, bool qmp, int ms)
{
    GString *in = qmp ? p->qmp_in : p->qtest_in;
    int fd = qmp ? p->qmp_fd : p->qtest_fd;
    gint64 deadline = g_get_monotonic_time() + ms * G_TIME_SPAN_MILLISECOND;
    gsize searched = 0;
    char buf[65536];

    for (;;) {
        char *end = memchr(in->str + searched, '\n', in->len - searched);
        gint64 left = (deadline - g_get_monotonic_time()) / 1000;
        ssize_t n;

        if (end) {
            gsize len = end - in->str;
            char *line = g_strndup(in->str, len && end[-1] == '\r' ? len - 1 : len);

            g_string_erase(in, 0, len + 1);
            return line;
        }
        searched = in->len;
        if (!wait_for_input(p, qmp, left)) {
            return NULL;
        }
        n = recv(fd, buf, sizeof(buf), MSG_DONTWAIT);
        if (n < 0 && errno == EAGAIN) {
            continue; /* it was for its stderr */
        }
        if (n <= 0) {
            qtest_fail(p, "the emulator closed its %s connection", qmp ? "QMP" : "qtest");
        }
        g_string_append_len(in, buf, n);
    }
}

void qtest_write_all(QTestProcess *p, bool qmp, const char *text, size_t len)
{
    while (len) {
        ssize_t n = send(qmp ? p->qmp_fd : p->qtest_fd, text, len, MSG_NOSIGNAL);

        if (n < 0) {
            qtest_fail(p, "cannot write to the emulator's %s connection: %s", qmp ? "QMP" : "qtest",
                       g_strerror(errno));
        }
        text += n;
        len -= n;
    }
}

/* The first byte of text takes the descriptor along. */
static void send_fd(QTestProcess *p, const char *text, int fd)
{
    union {
        struct cmsghdr header;
        char room[CMSG_SPACE(sizeof(int))];
    } control = { .header = { CMSG_LEN(sizeof(int)), SOL_SOCKET, SCM_RIGHTS } };
    struct iovec iov = { (void *)text, 1 };
    struct msghdr msg = { .msg_iov = &iov, .msg_iovlen = 1, .msg_control = &control, .msg_controllen = sizeof(control) };

    memcpy(CMSG_DATA(&control.header), &fd, sizeof(fd));
    if (sendmsg(p->qmp_fd, &msg, MSG_NOSIGNAL) != 1) {
        qtest_fail(p, "cannot pass a descriptor to the emulator: %s", g_strerror(errno));
    }
}

json_object *qtest_process_qmp(QTestProcess *p, json_object *command, GQueue *events)
{
    return qtest_process_qmp_fd(p, command, -1, events);
}

json_object *qtest_process_qmp_fd(QTestProcess *p, json_object *command, int fd, GQueue *events)
{
    const char *text = json_object_to_json_string_ext(command, JSON_C_TO_STRING_PLAIN);
    g_autofree char *line = g_strconcat(text, "\n", NULL);
    unsigned sent = fd >= 0;

    if (sent) {
        send_fd(p, line, fd);
    }
    /* At once: `quit` may be done before a line end that comes later. */
    qtest_write_all(p, true, line + sent, strlen(line) - sent);
    for (;;) {
        g_autofree char *line = qtest_read_line(p, true, ANSWER_MS);
        json_object *answer = line ? json_tokener_parse(line) : NULL;

        if (!answer) {
            qtest_fail(p, "no answer to %s but: %s", text, line ? line : "(nothing)");
        }
        if (!json_object_object_get_ex(answer, "event", NULL)) {
            json_object_put(command);
            return answer;
        }
        if (events) {
            g_queue_push_tail(events, answer);
        } else {
            json_object_put(answer);
        }
    }
}

/* ---- end ------------------------------------------------------------------------------------------------------------ */

int qtest_process_wait(QTestProcess *p, unsigned seconds)
{
    gint64 deadline = g_get_monotonic_time() + seconds * G_TIME_SPAN_SECOND;
    int status;

    while (waitpid(p->pid, &status, WNOHANG) != p->pid) {
        if (g_get_monotonic_time() > deadline) {
            qtest_fail(p, "the emulator (pid %d) does not end", p->pid);
        }
        read_stderr(p);
        g_usleep(500);
    }
    g_ptr_array_remove_fast(live, GINT_TO_POINTER(p->pid));
    read_stderr(p);
    return WIFSIGNALED(status) ? -WTERMSIG(status) : WEXITSTATUS(status);
}

void qtest_process_free(QTestProcess *p)
{
    close(p->qtest_fd);
    close(p->qmp_fd);
    close(p->stderr_fd);
    g_unlink(p->qtest_path);
    g_unlink(p->qmp_path);
    g_free(p->qtest_path);
    g_free(p->qmp_path);
    g_string_free(p->qtest_in, TRUE);
    g_string_free(p->qmp_in, TRUE);
    g_string_free(p->stderr_text, TRUE);
    g_free(p);
}

const char *qtest_stderr(QTest *q)
{
    read_stderr(q->process);
    return q->process->stderr_text->str;
}

GPid qtest_pid(const QTest *q)
{
    return q->process->pid;
}

int qtest_run(char **out, const char *args, ...)
{
    QTestProcess p = { .stderr_text = g_string_new(NULL) };
    g_autofree char *text = NULL;
    va_list ap;
    int status;

    va_start(ap, args);
    text = g_strdup_vprintf(args, ap);
    va_end(ap);
    p.pid = spawn(text, &p.stderr_fd);
    status = qtest_process_wait(&p, END_SECONDS);
    close(p.stderr_fd);
    if (out) {
        *out = g_string_free(p.stderr_text, FALSE);
    } else {
        g_string_free(p.stderr_text, TRUE);
    }
    return status;
}
