/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What a VNC client can send. The input's first byte chooses a server (without or with password), the rest goes to it as
 * fast as it takes it; then the client is gone. The server lives on, and ends when it is told to.
 */
#include "util/osdep.h"

#include <sys/socket.h>

#include "fuzz.h"
#include "ui/console.h"
#include "ui/vnc.h"
#include "util/main-loop.h"

static void update(void *opaque)
{
    Console *con = *(Console **)opaque;
    pixman_image_t *surface = console_resize(con, 64, 48);

    pixman_image_get_data(surface)[0] ^= 1;
    console_damage(con, 0, 0, 1, 1);
}

static const ConsoleOps console_ops = { .update = update };
static Object *owner;

/* Without the library there is nothing to try. */
static bool start(void)
{
    static Console *con;
    g_autofree char *dir = g_dir_make_tmp("fuzz-vnc-XXXXXX", NULL);
    g_autofree char *path = g_build_filename(dir, "s", NULL),
                    *option = g_strdup_printf("unix:%s", path);
    bool ok;

    main_loop_init();
    owner = object_new(&container_type);
    con = console_new(owner, 0, &console_ops, &con);
    ok = vnc_add_option(option, NULL) && vnc_start(NULL);
    unlink(path);
    rmdir(dir);
    return ok;
}

/* For LeakSanitizer: LibVNCServer 0.9.14 keeps its record of each extension that a client has used, 24 bytes. */
const char *__lsan_default_suppressions(void);
const char *__lsan_default_suppressions(void)
{
    return "leak:rfbEnableExtension";
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static int ready; /* 1: yes, -1: no library */
    static char answer[1 << 16];
    int pair[2];
    size_t done = 0;
    ssize_t n;

    if (!ready) {
        ready = start() ? 1 : -1;
    }
    if (ready < 0 || socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) < 0) {
        return 0;
    }
    vnc_add_connection(pair[0]);
    do {
        n = send(pair[1], data + done, size - done, MSG_DONTWAIT | MSG_NOSIGNAL);
        done = n > 0 ? done + n : n < 0 && errno != EAGAIN ? size : done;
        if (done == size) {
            shutdown(pair[1], SHUT_WR);
        }
        n = recv(pair[1], answer, sizeof(answer), MSG_DONTWAIT);
        main_loop_iterate(false);
        if (n < 0) {
            g_usleep(50);
        }
    } while (n > 0 || (n < 0 && errno == EAGAIN));
    close(pair[1]);
    main_loop_iterate(false);
    return 0;
}
