/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The process: see the header. */
#include "util/osdep.h"

#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <sys/eventfd.h>
#include <sys/prctl.h>
#include <sys/stat.h>

#include <glib-unix.h>

#include "util/error.h"
#include "util/log.h"
#include "system/runstate.h"
#include "process.h"

static int ready_pipe = -1;
static bool daemonized;
static char *pidfile_path;

/* ---- background ---------------------------------------------------------------------------------------- */

/* The parent: exits as the child says, or with 1 if it dies without a word. */
static void G_GNUC_NORETURN wait_for_child(int fd)
{
    uint8_t status = 1;
    ssize_t n;

    do {
        n = read(fd, &status, 1);
    } while (n < 0 && errno == EINTR);
    _exit(n == 1 && status == 0 ? EXIT_SUCCESS : EXIT_FAILURE);
}

static void must(int r, const char *what)
{
    if (r < 0) {
        error_report("%s: %s", what, g_strerror(errno));
        exit(EXIT_FAILURE);
    }
}

void process_daemonize(void)
{
    int fds[2];
    pid_t pid;

    must(pipe(fds), "cannot make a pipe");
    pid = fork();
    must(pid, "cannot fork");
    if (pid > 0) {
        close(fds[1]);
        wait_for_child(fds[0]);
    }
    close(fds[0]);
    ready_pipe = fds[1];
    must(fcntl(ready_pipe, F_SETFD, FD_CLOEXEC), "fcntl");
    setsid();
    pid = fork(); /* no controlling terminal, ever */
    must(pid, "cannot fork");
    if (pid > 0) {
        _exit(EXIT_SUCCESS);
    }
    umask(027);
    signal(SIGTSTP, SIG_IGN);
    signal(SIGTTOU, SIG_IGN);
    signal(SIGTTIN, SIG_IGN);
    daemonized = true;
}

/* The terminal is somebody else's from now on: messages go to the log's file, if there is one. */
static void leave_terminal(void)
{
    int null = open("/dev/null", O_RDWR | O_CLOEXEC);

    dup2(null, STDIN_FILENO);
    dup2(null, STDOUT_FILENO);
    dup2(log_fd() >= 0 ? log_fd() : null, STDERR_FILENO);
    close(null);
}

bool process_ready(GError **error)
{
    uint8_t ok = 0;
    ssize_t n;

    if (daemonized && chdir("/") < 0) {
        return error_set_errno(error, errno, "not able to chdir to /");
    }
    if (daemonized) {
        leave_terminal();
    }
    if (ready_pipe >= 0) {
        do {
            n = write(ready_pipe, &ok, 1);
        } while (n < 0 && errno == EINTR);
        close(ready_pipe);
        ready_pipe = -1;
    }
    return true;
}

/* ---- pid file ------------------------------------------------------------------------------------------ */

bool process_pidfile(const char *path, GError **error)
{
    struct flock lock = { .l_type = F_WRLCK, .l_whence = SEEK_SET };
    char text[32];
    int len, fd;

    fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
    if (fd < 0) {
        return error_set_errno(error, errno, "cannot create PID file: Could not create '%s'", path);
    }
    if (fcntl(fd, F_SETLK, &lock) < 0) {
        error_set(error, "cannot create PID file: Failed to lock '%s': another process has it", path);
        close(fd);
        return false;
    }
    len = snprintf(text, sizeof(text), "%d\n", getpid());
    if (ftruncate(fd, 0) < 0 || write(fd, text, len) != len) {
        error_set_errno(error, errno, "cannot create PID file: Failed to write '%s'", path);
        close(fd);
        return false;
    }
    pidfile_path = g_canonicalize_filename(path, NULL); /* the descriptor stays open: it holds the lock */
    return true;
}

void process_cleanup(void)
{
    if (pidfile_path) {
        unlink(pidfile_path);
        g_clear_pointer(&pidfile_path, g_free);
    }
}

void process_set_name(const char *name)
{
    prctl(PR_SET_NAME, name);
}

/* ---- signals ------------------------------------------------------------------------------------------- */

static int signal_fd = -1;
static volatile sig_atomic_t last_signal;
static volatile pid_t last_sender;

static void note_signal(int sig, siginfo_t *info, void *context)
{
    uint64_t one = 1;
    int saved = errno;
    ssize_t n;

    last_signal = sig;
    last_sender = info->si_pid;
    n = write(signal_fd, &one, sizeof(one));
    (void)n;
    errno = saved;
}

/* The name of a process, for the message; NULL if it has gone. */
static char *process_name(pid_t pid)
{
    g_autofree char *path = g_strdup_printf("/proc/%d/cmdline", pid);
    char *name = NULL;

    g_file_get_contents(path, &name, NULL, NULL);
    return name;
}

static gboolean signal_arrived(gint fd, GIOCondition condition, gpointer data)
{
    g_autofree char *name = last_sender > 0 ? process_name(last_sender) : NULL;
    uint64_t count;
    ssize_t n = read(fd, &count, sizeof(count));

    (void)n;
    if (last_sender > 0) {
        error_report("terminating on signal %d from pid %d (%s)", (int)last_signal, (int)last_sender,
                     name ? name : "<unknown process>");
    } else {
        error_report("terminating on signal %d", (int)last_signal);
    }
    vm_request_shutdown(VM_SHUTDOWN_HOST_SIGNAL);
    return G_SOURCE_CONTINUE;
}

void process_signals_init(void)
{
    struct sigaction action = { .sa_sigaction = note_signal, .sa_flags = SA_SIGINFO | SA_RESTART };

    signal_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    g_unix_fd_add(signal_fd, G_IO_IN, signal_arrived, NULL);
    sigaction(SIGINT, &action, NULL);
    sigaction(SIGHUP, &action, NULL);
    sigaction(SIGTERM, &action, NULL);
    signal(SIGPIPE, SIG_IGN);
}
