/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The user network: shared by user*.c. */
#ifndef NET_USER_PRIVATE_H
#define NET_USER_PRIVATE_H

#include <slirp/libslirp.h>
#include "chardev/chardev.h"
#include "net-private.h"
#include "util/clock.h"
#include "vmstate/vmstate.h"

/* A connection of the guest to an address in its network that leads to a chardev. */
typedef struct UserForward {
    struct UserNet *user;
    ChardevFe fe;
    Chardev *owned; /* made for this forward: goes with it */
    struct in_addr server;
    int port;
    GByteArray *unsent; /* what the chardev has not taken yet */
    GSource *watch;
} UserForward;

typedef struct UserNet {
    NetClient nc;
    Slirp *slirp;
    GSource *poll;
    bool called; /* it wants to be asked soon */
    GPtrArray *timers;   /* UserTimer * */
    GPtrArray *forwards; /* UserForward * */
    VmSection *section;
    int load_version; /* of the section that is being read */
    bool ipv4;
    struct in_addr network, mask, host, dns, dhcp;
} UserNet;

/* user-options.c: what libslirp is to be told; strings belong to the options. */
typedef struct UserConfig {
    SlirpConfig slirp;
    const char **search; /* freed with the config */
} UserConfig;
bool user_config_parse(const NetdevUserOptions *o, UserConfig *config, GError **error);
void user_config_clear(UserConfig *config);

/* A rule "tcp:[host]:port-[guest]:port"; without_guest: only its part before '-'. */
typedef struct UserRule {
    bool udp;
    struct in_addr host_addr, guest_addr;
    int host_port, guest_port;
} UserRule;
bool user_rule_parse(const char *text, bool without_guest, UserRule *rule, GError **error);

/* user.c */
bool user_hostfwd_add(UserNet *user, const char *rule, GError **error);
/* *found: whether there was such a rule. */
bool user_hostfwd_remove(UserNet *user, const char *rule, bool *found, GError **error);
/* The user network of that id, NULL: the only one or the first. NULL with an error. */
UserNet *user_find(const char *id, GError **error);
/* user-forward.c */
bool user_guestfwd_add(UserNet *user, const char *rule, GError **error);
void user_guestfwd_free(UserForward *forward);

#endif
