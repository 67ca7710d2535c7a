/* SPDX-License-Identifier: GPL-2.0-or-later */
/* guestfwd: a server in the user network that is a chardev or a command of the host. */
#include "util/osdep.h"
#include "user-private.h"

#include "io/channel.h"
#include "util/error.h"
#include "util/keyval.h"

#define UNSENT_MAX (4u << 20) /* more than that a guest cannot pile up in front of a slow chardev */

/* ---- from the guest --------------------------------------------------------------------------------------------- */

static void forward_flush(void *opaque);

static void forward_wait(UserForward *f)
{
    if (f->unsent->len && !f->watch) {
        f->watch = chardev_add_write_watch(&f->fe, forward_flush, f);
    }
}

static void forward_flush(void *opaque)
{
    UserForward *f = opaque;
    ssize_t n;

    io_watch_clear(&f->watch);
    n = chardev_write(&f->fe, f->unsent->data, f->unsent->len);
    if (n < 0) {
        g_byte_array_set_size(f->unsent, 0); /* the peer has gone, and what was for it */
    } else if (n > 0) {
        g_byte_array_remove_range(f->unsent, 0, n);
    }
    forward_wait(f);
}

/* libslirp takes for granted that all of it went. */
static ssize_t forward_write(const void *buf, size_t len, void *opaque)
{
    UserForward *f = opaque;
    ssize_t n = f->unsent->len ? 0 : chardev_write(&f->fe, buf, len);

    if (n >= 0 && (size_t)n < len && f->unsent->len + len - n <= UNSENT_MAX) {
        g_byte_array_append(f->unsent, (const uint8_t *)buf + n, len - n);
        forward_wait(f);
    }
    return len;
}

/* ---- to the guest ------------------------------------------------------------------------------------------------ */

static size_t forward_can_read(void *opaque)
{
    UserForward *f = opaque;

    return slirp_socket_can_recv(f->user->slirp, f->server, f->port);
}

static void forward_read(void *opaque, const uint8_t *buf, size_t len)
{
    UserForward *f = opaque;

    slirp_socket_recv(f->user->slirp, f->server, f->port, buf, len);
}

static const ChardevHandlers forward_handlers = { .can_read = forward_can_read,
                                                  .read = forward_read };

/* ---- rules ---------------------------------------------------------------------------------------------------------- */

void user_guestfwd_free(UserForward *f)
{
    io_watch_clear(&f->watch);
    chardev_fe_detach(&f->fe);
    if (f->owned) {
        chardev_remove(chardev_id(f->owned), NULL);
    }
    g_byte_array_unref(f->unsent);
    g_free(f);
}

static bool forward_to_chardev(UserNet *user, struct in_addr server, int port, const char *spec,
                               const char *rule, GError **error)
{
    static unsigned count;
    g_autofree char *label = g_strdup_printf("guestfwd.tcp.%u", count++);
    UserForward *f = g_new0(UserForward, 1);
    Chardev *chr = chardev_new_spec(label, spec, false, error);

    f->user = user;
    f->server = server;
    f->port = port;
    f->unsent = g_byte_array_new();
    if (!chr) {
        error_prefix(error, "Could not open guest forwarding device '%s': ", label);
        user_guestfwd_free(f);
        return false;
    }
    f->owned = g_str_has_prefix(spec, "chardev:") ? NULL : chr;
    if (!chardev_fe_attach(&f->fe, chr, error)) {
        user_guestfwd_free(f);
        return false;
    }
    if (slirp_add_guestfwd(user->slirp, forward_write, f, &f->server, port) < 0) {
        user_guestfwd_free(f);
        return error_set(error, "Conflicting/invalid host:port in guest forwarding rule '%s'",
                         rule);
    }
    chardev_fe_set_handlers(&f->fe, &forward_handlers, f, NULL);
    g_ptr_array_add(user->forwards, f);
    return true;
}

/* "[tcp]:SERVER:PORT-DEVICE" or "…-cmd:COMMAND". */
bool user_guestfwd_add(UserNet *user, const char *rule, GError **error)
{
    g_auto(GStrv) parts = g_strsplit(rule, ":", 3);
    char *target = g_strv_length(parts) == 3 ? strchr(parts[2], '-') : NULL;
    struct in_addr server = { 0 };
    int64_t port;

    if (!target || (parts[0][0] && strcmp(parts[0], "tcp"))) {
        return error_set(error, "Invalid guest forwarding rule '%s'", rule);
    }
    *target++ = '\0';
    if ((parts[1][0] && inet_pton(AF_INET, parts[1], &server) != 1) ||
        !parse_int64(parts[2], &port, NULL) || port < 1 || port > 65535 || !target[0]) {
        return error_set(error, "Invalid guest forwarding rule '%s'", rule);
    }
    if (!user->ipv4) {
        return error_set(error, "guest forwarding rule '%s' needs IPv4", rule);
    }
    if (g_str_has_prefix(target, "cmd:")) {
        return slirp_add_exec(user->slirp, target + strlen("cmd:"), &server, port) == 0 ||
               error_set(error, "Conflicting/invalid host:port in guest forwarding rule '%s'",
                         rule);
    }
    return forward_to_chardev(user, server, port, target, rule, error);
}
