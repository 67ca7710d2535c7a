/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The user network's options: addresses and their defaults, rules of forwarding. */
#include "util/osdep.h"
#include "user-private.h"

#include "util/error.h"
#include "util/keyval.h"

#define DEFAULT_NETWORK 0x0a000200u /* 10.0.2.0/24 */
#define DEFAULT_MASK 0xffffff00u
#define HOST_NUMBER 2 /* in the network, unless the user says otherwise */
#define DNS_NUMBER 3
#define DHCP_NUMBER 15
#define NAME_MAX_LEN 255     /* what a DHCP option can hold */
#define BOOTFILE_MAX_LEN 127 /* what a BOOTP packet can hold */

/* ---- IPv4 -------------------------------------------------------------------------------------------------- */

static bool parse_ipv4(const char *text, struct in_addr *addr, GError **error, const char *what)
{
    return inet_pton(AF_INET, text, addr) == 1 || error_set(error, "Failed to parse %s", what);
}

/* Without a mask: by class, as it was when addresses had classes. */
static uint32_t class_mask(uint32_t network)
{
    if (!(network & 0x80000000u)) {
        return 0xff000000u;
    }
    if ((network & 0xc0000000u) == 0x80000000u) {
        return 0xffff0000u;
    }
    return (network & 0xe0000000u) == 0xc0000000u ? 0xffffff00u : 0xfffffff0u;
}

static bool parse_network(const char *text, struct in_addr *network, struct in_addr *mask,
                          GError **error)
{
    const char *slash = strchr(text, '/');
    g_autofree char *address = slash ? g_strndup(text, slash - text) : g_strdup(text);
    uint64_t bits;

    if (!parse_ipv4(address, network, error, slash ? "net" : "netmask")) {
        return false;
    }
    if (!slash) {
        mask->s_addr = htonl(class_mask(ntohl(network->s_addr)));
    } else if (parse_uint64(slash + 1, &bits, NULL)) {
        if (bits < 4 || bits > 32) {
            return error_set(error, "Invalid netmask provided (must be in range 4-32)");
        }
        mask->s_addr = htonl(UINT32_MAX << (32 - bits));
    } else if (!parse_ipv4(slash + 1, mask, error, "netmask")) {
        return false;
    } else if (~ntohl(mask->s_addr) & (~ntohl(mask->s_addr) + 1)) {
        return error_set(error, "Invalid netmask '%s' (its ones must be in front)", slash + 1);
    }
    network->s_addr &= mask->s_addr;
    return true;
}

static bool inside(const SlirpConfig *c, struct in_addr addr)
{
    return (addr.s_addr & c->vnetmask.s_addr) == c->vnetwork.s_addr;
}

/* The address that the user gave, or number n of the network. */
static bool choose(const SlirpConfig *c, const char *text, unsigned n, const char *what,
                   struct in_addr *addr, GError **error)
{
    if (text) {
        return parse_ipv4(text, addr, error, what);
    }
    addr->s_addr = c->vnetwork.s_addr | (htonl(n) & ~c->vnetmask.s_addr);
    return true;
}

static bool config_ipv4(const NetdevUserOptions *o, SlirpConfig *c, GError **error)
{
    const char *net = o->net ? o->net : o->ip;

    c->vnetwork.s_addr = htonl(DEFAULT_NETWORK);
    c->vnetmask.s_addr = htonl(DEFAULT_MASK);
    if ((net && !parse_network(net, &c->vnetwork, &c->vnetmask, error)) ||
        !choose(c, o->host, HOST_NUMBER, "host", &c->vhost, error) ||
        !choose(c, o->dns, DNS_NUMBER, "DNS", &c->vnameserver, error) ||
        !choose(c, o->dhcpstart, DHCP_NUMBER, "DHCP start address", &c->vdhcp_start, error)) {
        return false;
    }
    if (!c->in_enabled) {
        return true;
    }
    if (!inside(c, c->vhost)) {
        return error_set(error, "Host doesn't belong to network");
    }
    if (o->restrict_ && !inside(c, c->vnameserver)) {
        return error_set(error, "DNS doesn't belong to network");
    }
    if (c->vnameserver.s_addr == c->vhost.s_addr) {
        return error_set(error, "DNS must be different from host");
    }
    if (!inside(c, c->vdhcp_start)) {
        return error_set(error, "DHCP doesn't belong to network");
    }
    if (c->vdhcp_start.s_addr == c->vhost.s_addr ||
        c->vdhcp_start.s_addr == c->vnameserver.s_addr) {
        return error_set(error, "DHCP must be different from host and DNS");
    }
    return true;
}

/* ---- IPv6 -------------------------------------------------------------------------------------------------- */

static bool parse_ipv6(const char *text, struct in6_addr *addr, GError **error, const char *what)
{
    return inet_pton(AF_INET6, text, addr) == 1 || error_set(error, "Failed to parse %s", what);
}

static bool same_prefix(const SlirpConfig *c, const struct in6_addr *addr)
{
    unsigned bytes = c->vprefix_len / 8, bits = c->vprefix_len % 8;
    uint8_t mask = 0xff << (8 - bits);

    return !memcmp(addr, &c->vprefix_addr6, bytes) &&
           (!bits || !((addr->s6_addr[bytes] ^ c->vprefix_addr6.s6_addr[bytes]) & mask));
}

static bool choose6(const SlirpConfig *c, const char *text, unsigned n, const char *what,
                    struct in6_addr *addr, GError **error)
{
    if (text) {
        return parse_ipv6(text, addr, error, what) &&
               (same_prefix(c, addr) || error_set(error, "%s doesn't belong to network", what));
    }
    *addr = c->vprefix_addr6;
    addr->s6_addr[15] |= n;
    return true;
}

static bool config_ipv6(const NetdevUserOptions *o, SlirpConfig *c, GError **error)
{
    c->vprefix_len = 64;
    if (!parse_ipv6(o->ipv6_prefix ? o->ipv6_prefix : "fec0::", &c->vprefix_addr6, error,
                    "IPv6 prefix")) {
        return false;
    }
    if (o->has_ipv6_prefixlen) {
        if (o->ipv6_prefixlen < 0 || o->ipv6_prefixlen > 126) {
            return error_set(
                error,
                "Invalid IPv6 prefix provided (IPv6 prefix length must be between 0 and 126)");
        }
        c->vprefix_len = o->ipv6_prefixlen;
    }
    return choose6(c, o->ipv6_host, HOST_NUMBER, "IPv6 host", &c->vhost6, error) &&
           choose6(c, o->ipv6_dns, DNS_NUMBER, "IPv6 DNS", &c->vnameserver6, error) &&
           (memcmp(&c->vhost6, &c->vnameserver6, sizeof(c->vhost6)) ||
            error_set(error, "IPv6 DNS must be different from IPv6 host"));
}

/* ---- the rest ------------------------------------------------------------------------------------------------ */

static bool check_length(const char *text, size_t max, const char *what, GError **error)
{
    return !text || strlen(text) <= max ||
           error_set(error, "'%s' parameter cannot exceed %zu bytes", what, max);
}

static bool config_names(const NetdevUserOptions *o, UserConfig *config, GError **error)
{
    SlirpConfig *c = &config->slirp;

    if (!check_length(o->hostname, NAME_MAX_LEN, "hostname", error) ||
        !check_length(o->tftp_server_name, NAME_MAX_LEN, "tftp-server-name", error) ||
        !check_length(o->domainname, NAME_MAX_LEN, "domainname", error) ||
        !check_length(o->bootfile, BOOTFILE_MAX_LEN, "bootfile", error)) {
        return false;
    }
    if (o->domainname && !o->domainname[0]) {
        return error_set(error, "'domainname' parameter cannot be empty");
    }
    if (o->tftp && !g_file_test(o->tftp, G_FILE_TEST_IS_DIR)) {
        return error_set(error, "'tftp' parameter: '%s' is not a folder", o->tftp);
    }
    c->vhostname = o->hostname;
    c->tftp_server_name = o->tftp_server_name;
    c->tftp_path = o->tftp;
    c->bootfile = o->bootfile;
    c->vdomainname = o->domainname;
    if (o->dnssearch) {
        config->search = g_new0(const char *, o->dnssearch->len + 1);
        for (size_t i = 0; i < o->dnssearch->len; i++) {
            config->search[i] = o->dnssearch->items[i]->str;
        }
        c->vdnssearch = config->search;
    }
    return true;
}

bool user_config_parse(const NetdevUserOptions *o, UserConfig *config, GError **error)
{
    SlirpConfig *c = &config->slirp;

    memset(config, 0, sizeof(*config));
    c->version = 1; /* all that we set is in it */
    c->restricted = o->has_restrict_ && o->restrict_;
    /* "ipv6=on" alone means that and nothing else. */
    c->in_enabled = o->has_ipv4 ? o->ipv4 : !(o->has_ipv6 && o->ipv6);
    c->in6_enabled = o->has_ipv6 ? o->ipv6 : !(o->has_ipv4 && o->ipv4);
    if (!c->in_enabled && !c->in6_enabled) {
        return error_set(error, "IPv4 and IPv6 disabled");
    }
    if (!config_ipv4(o, c, error) || (c->in6_enabled && !config_ipv6(o, c, error)) ||
        !config_names(o, config, error)) {
        user_config_clear(config);
        return false;
    }
    return true;
}

void user_config_clear(UserConfig *config)
{
    g_clear_pointer(&config->search, g_free);
}

/* ---- rules ------------------------------------------------------------------------------------------------------ */

static bool parse_port(const char *text, int low, int *port)
{
    int64_t value;

    if (!parse_int64(text, &value, NULL) || value < low || value > 65535) {
        return false;
    }
    *port = value;
    return true;
}

/* Why the rule is none, or NULL. parts: protocol, host address, host port[, guest address, guest port]. */
static const char *parse_parts(char **parts, bool without_guest, UserRule *rule)
{
    unsigned n = g_strv_length(parts);
    char *dash;

    if (n < 2) {
        return "No : separators";
    }
    if (strcmp(parts[0], "tcp") && strcmp(parts[0], "udp") && parts[0][0]) {
        return "Bad protocol name";
    }
    rule->udp = !strcmp(parts[0], "udp");
    if (n < 3) {
        return "Missing : separator";
    }
    if (parts[1][0] && inet_pton(AF_INET, parts[1], &rule->host_addr) != 1) {
        return "Bad host address";
    }
    if (without_guest) {
        return n > 3 || !parse_port(parts[2], 0, &rule->host_port) ? "Bad host port" : NULL;
    }
    dash = strchr(parts[2], '-');
    if (!dash || n < 4) {
        return "Bad host port separator";
    }
    *dash = '\0';
    if (!parse_port(parts[2], 0, &rule->host_port)) {
        return "Bad host port";
    }
    if (dash[1] && inet_pton(AF_INET, dash + 1, &rule->guest_addr) != 1) {
        return "Bad guest address";
    }
    return n > 4 || !parse_port(parts[3], 1, &rule->guest_port) ? "Bad guest port" : NULL;
}

bool user_rule_parse(const char *text, bool without_guest, UserRule *rule, GError **error)
{
    g_auto(GStrv) parts = g_strsplit(text, ":", -1);
    const char *why;

    memset(rule, 0, sizeof(*rule));
    why = parse_parts(parts, without_guest, rule);
    return !why || error_set(error, "Invalid host forwarding rule '%s' (%s)", text, why);
}
