/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * vhost-user-backend: the test back end as a program, for front ends of all kinds.
 *
 *   vhost-user-backend --socket S --device fs --queues 2 --rule SET_VRING_ENABLE=delay:50 --discard-requests
 *
 * Prints its counts as a line of JSON for each line on its standard input, and at the end of that input it ends. Lines that
 * mean something: "release", "disconnect", "forget" (the rules), "rule MESSAGE#+N=ACTION".
 */
#include "util/osdep.h"

#include <signal.h>

#include "backend.h"

static char *image, *path, *device = "echo", *trace, *protocol_text, *features_text;
static char **rules;
static gboolean discard_requests, discard_kicks, no_ack, no_protocol, disable_on_features,
    late_writer, late_unlogged, keep_held;
static gint queues = 1, hold, data_delay;
static gint64 image_size = 1 << 20;

static const GOptionEntry entries[] = {
    { "socket", 's', 0, G_OPTION_ARG_STRING, &path, "where to listen", "PATH" },
    { "device", 'd', 0, G_OPTION_ARG_STRING, &device, "blk, fs, net, echo or scsi", "KIND" },
    { "queues", 'q', 0, G_OPTION_ARG_INT, &queues, "how many queues there are", "N" },
    { "rule", 'r', 0, G_OPTION_ARG_STRING_ARRAY, &rules, "what happens at a message",
      "MESSAGE[#[+]N]=ACTION[:ARG]" },
    { "size", 0, 0, G_OPTION_ARG_INT64, &image_size, "bytes of the disk", "N" },
    { "image", 0, 0, G_OPTION_ARG_STRING, &image, "file with what is on the disk at first",
      "FILE" },
    { "protocol", 0, 0, G_OPTION_ARG_STRING, &protocol_text, "mask of protocol features", "N" },
    { "features", 0, 0, G_OPTION_ARG_STRING, &features_text, "mask of features of the device",
      "N" },
    { "no-reply-ack", 0, 0, G_OPTION_ARG_NONE, &no_ack, "no REPLY_ACK", NULL },
    { "no-protocol", 0, 0, G_OPTION_ARG_NONE, &no_protocol, "no protocol features", NULL },
    { "discard-requests", 0, 0, G_OPTION_ARG_NONE, &discard_requests,
      "drop requests of rings that are off", NULL },
    { "discard-kicks", 0, 0, G_OPTION_ARG_NONE, &discard_kicks,
      "forget kicks of rings that are off", NULL },
    { "disable-on-features", 0, 0, G_OPTION_ARG_NONE, &disable_on_features,
      "SET_FEATURES turns rings off", NULL },
    { "late-writer", 0, 0, G_OPTION_ARG_NONE, &late_writer, "write memory after GET_VRING_BASE",
      NULL },
    { "late-unlogged", 0, 0, G_OPTION_ARG_NONE, &late_unlogged,
      "… and leave it out of the log of dirty pages", NULL },
    { "hold", 0, 0, G_OPTION_ARG_INT, &hold, "requests that are not answered", "N" },
    { "keep-held", 0, 0, G_OPTION_ARG_NONE, &keep_held, "GET_VRING_BASE does not end what is held",
      NULL },
    { "data-delay", 0, 0, G_OPTION_ARG_INT, &data_delay,
      "how long a ring looks away from its kicks", "MS" },
    { "trace", 0, 0, G_OPTION_ARG_STRING, &trace, "file for the messages", "FILE" },
    { NULL },
};

static bool personality(const char *name, BackendPersonality *p)
{
    static const char *const names[] = { "blk", "fs", "net", "echo", "scsi" };

    for (unsigned i = 0; i < G_N_ELEMENTS(names); i++) {
        if (!strcmp(names[i], name)) {
            *p = i;
            return true;
        }
    }
    return false;
}

static void print_counts(Backend *b)
{
    BackendCounts c;

    backend_get_counts(b, &c);
    printf("{\"served\": %u, \"lost\": %u, \"early\": %u, \"messages\": %u, \"connections\": %u, "
           "\"open\": %u, "
           "\"held\": %u, \"fired\": %u}\n",
           c.served, c.lost, c.early, c.messages, c.connections, c.open, c.held, c.fired);
    fflush(stdout);
}

static void add_rule(Backend *b, const char *text)
{
    g_autoptr(GError) error = NULL;
    BackendRule rule;

    if (backend_parse_rule(text, &rule, &error)) {
        backend_apply_rule(b, &rule);
    } else {
        fprintf(stderr, "%s\n", error->message);
    }
}

int main(int argc, char **argv)
{
    g_autoptr(GOptionContext) context = g_option_context_new("- a vhost-user back end for tests");
    BackendOptions o = { 0 };
    GError *error = NULL;
    g_autofree char *contents = NULL;
    gsize length = 0;
    Backend *b;
    char line[256];

    g_option_context_add_main_entries(context, entries, NULL);
    if (!g_option_context_parse(context, &argc, &argv, &error) || !path ||
        !personality(device, &o.personality)) {
        fprintf(stderr, "%s\n", error ? error->message : "--socket PATH --device KIND");
        return 1;
    }
    signal(SIGPIPE, SIG_IGN);
    o.path = path;
    o.queues = (unsigned)MAX(1, queues);
    o.protocol = protocol_text ? strtoull(protocol_text, NULL, 0)
                 : no_ack      ? BACKEND_NO_ACK
                               : BACKEND_ALL_PROTOCOL;
    o.features = features_text ? strtoull(features_text, NULL, 0) : 0;
    o.no_protocol = no_protocol;
    o.image_size = (uint64_t)image_size;
    o.discard_requests = discard_requests;
    o.discard_kicks = discard_kicks;
    o.disable_on_features = disable_on_features;
    o.late_writer = late_writer;
    o.late_unlogged = late_unlogged;
    o.data_delay_ms = (unsigned)data_delay;
    o.hold = (unsigned)hold;
    o.keep_held = keep_held;
    o.trace = trace;
    o.process = true;
    if (image && !g_file_get_contents(image, &contents, &length, &error)) {
        fprintf(stderr, "%s\n", error->message);
        return 1;
    }
    o.image_size = image ? length : o.image_size;
    b = backend_new(&o, &error);
    if (b && image) {
        memcpy(backend_image(b), contents, length);
    }
    for (unsigned i = 0; b && rules && rules[i]; i++) {
        BackendRule rule;

        if (!backend_parse_rule(rules[i], &rule, &error)) {
            break;
        }
        backend_apply_rule(b, &rule);
    }
    if (error) {
        fprintf(stderr, "%s\n", error->message);
        return 1;
    }
    while (fgets(line, sizeof(line), stdin)) {
        if (g_str_has_prefix(line, "release")) {
            backend_release(b);
        } else if (g_str_has_prefix(line, "disconnect")) {
            backend_disconnect(b, false);
        } else if (g_str_has_prefix(line, "forget")) {
            backend_clear_rules(b);
        } else if (g_str_has_prefix(line, "rule ")) {
            add_rule(b, g_strstrip(line + 5));
        }
        print_counts(b);
    }
    backend_free(b);
    return 0;
}
