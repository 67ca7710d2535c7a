/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * -numa node, -numa dist, -numa cpu: nodes of memory and processors, for the firmware and the ACPI tables. Error texts are
 * stock's. A processor without a node belongs to node 0.
 */
#include "util/osdep.h"

#include "system/memory-backend.h"
#include "numa-options.h"
#include "util/error.h"
#include "util/keyval.h"

#define DISTANCE_LOCAL 10
#define DISTANCE_MAX 255
#define NO_NODE 0xff

static MachineNuma *numa;
static Machine *target;
static bool present[NUMA_NODES_MAX];

/* ---- elements -------------------------------------------------------------------------------------------------------- */

/* key=value elements; "cpus" may come more than once, which no other option allows. */
static const char *value_of(char **parts, const char *key)
{
    size_t len = strlen(key);

    for (unsigned i = 1; parts[i]; i++) {
        if (!strncmp(parts[i], key, len) && parts[i][len] == '=') {
            return parts[i] + len + 1;
        }
    }
    return NULL;
}

static bool known_keys(char **parts, const char *const *keys, GError **error)
{
    for (unsigned i = 1; parts[i]; i++) {
        g_autofree char *key = g_strndup(parts[i], strcspn(parts[i], "="));

        if (!g_strv_contains(keys, key)) {
            return error_set(error, "Invalid parameter '%s'", key);
        }
    }
    return true;
}

static bool number_of(char **parts, const char *key, bool required, uint64_t max, uint64_t *value,
                      GError **error)
{
    const char *text = value_of(parts, key);

    if (!text) {
        return !required || error_set(error, "Parameter '%s' is missing", key);
    }
    return (parse_uint64(text, value, NULL) && *value <= max) ||
           error_set(error, "Parameter '%s' expects a number up to %" PRIu64, key, max);
}

/* ---- node -------------------------------------------------------------------------------------------------------------- */

static bool assign_cpu(uint64_t cpu, unsigned node, GError **error)
{
    if (cpu >= target->smp.max_cpus) {
        return error_set(error, "CPU index (%" PRIu64 ") should be smaller than maxcpus (%u)", cpu,
                         target->smp.max_cpus);
    }
    if (numa->cpu_node[cpu] != NO_NODE && numa->cpu_node[cpu] != node) {
        return error_set(error, "CPU is already assigned to node-id: %u", numa->cpu_node[cpu]);
    }
    numa->cpu_node[cpu] = node;
    return true;
}

/* "3" or "0-3". */
static bool assign_cpus(const char *range, unsigned node, GError **error)
{
    g_auto(GStrv) ends = g_strsplit(range, "-", 2);
    uint64_t first, last;

    if (!ends[0] || !parse_uint64(ends[0], &first, NULL) ||
        (ends[1] && !parse_uint64(ends[1], &last, NULL))) {
        return error_set(error, "Parameter 'cpus' expects a number or a range");
    }
    last = ends[1] ? last : first;
    if (last < first || last - first >= 65536) {
        return error_set(error, "Parameter 'cpus' has no processor in it: '%s'", range);
    }
    for (uint64_t cpu = first; cpu <= last; cpu++) {
        if (!assign_cpu(cpu, node, error)) {
            return false;
        }
    }
    return true;
}

static bool add_memory(char **parts, unsigned node, GError **error)
{
    const char *id = value_of(parts, "memdev");
    MemoryBackend *backend;

    if (value_of(parts, "mem")) {
        return error_set(error, "Parameter -numa node,mem is not supported by this machine type\n"
                                "Use -numa node,memdev instead");
    }
    if (!id) {
        return true;
    }
    backend = memory_backend_find(id, NULL);
    if (!backend) {
        return error_set(error, "memdev=%s is ambiguous", id);
    }
    numa->memdev[node] = g_strdup(id);
    numa->memory[node] = backend->size;
    return true;
}

static bool add_node(char **parts, GError **error)
{
    static const char *const keys[] = { "type", "nodeid", "cpus", "mem", "memdev", NULL };
    uint64_t node = numa->nodes;

    if (!known_keys(parts, keys, error) ||
        !number_of(parts, "nodeid", false, UINT16_MAX, &node, error)) {
        return false;
    }
    if (node >= NUMA_NODES_MAX) {
        return error_set(error, "Max number of NUMA nodes reached: %" PRIu64, node);
    }
    if (present[node]) {
        return error_set(error, "Duplicate NUMA nodeid: %" PRIu64, node);
    }
    for (unsigned i = 1; parts[i]; i++) {
        if (g_str_has_prefix(parts[i], "cpus=") && !assign_cpus(parts[i] + 5, node, error)) {
            return false;
        }
    }
    if (!add_memory(parts, node, error)) {
        return false;
    }
    present[node] = true;
    numa->nodes++;
    return true;
}

/* ---- dist, cpu ------------------------------------------------------------------------------------------------------------ */

static bool add_distance(char **parts, GError **error)
{
    static const char *const keys[] = { "type", "src", "dst", "val", NULL };
    uint64_t src, dst, val;

    if (!known_keys(parts, keys, error) ||
        !number_of(parts, "src", true, UINT16_MAX, &src, error) ||
        !number_of(parts, "dst", true, UINT16_MAX, &dst, error) ||
        !number_of(parts, "val", true, DISTANCE_MAX, &val, error)) {
        return false;
    }
    if (src >= NUMA_NODES_MAX || dst >= NUMA_NODES_MAX) {
        return error_set(error, "Parameter '%s' expects an integer between 0 and %d",
                         src >= NUMA_NODES_MAX ? "src" : "dst", NUMA_NODES_MAX - 1);
    }
    if (!present[src] || !present[dst]) {
        return error_set(
            error,
            "Source/Destination NUMA node is missing. Please use '-numa node' option to declare it "
            "first.");
    }
    if (val < DISTANCE_LOCAL) {
        return error_set(error,
                         "NUMA distance (%" PRIu64 ") is invalid, it shouldn't be less than %d.",
                         val, DISTANCE_LOCAL);
    }
    if (src == dst && val != DISTANCE_LOCAL) {
        return error_set(error, "Local distance of node %" PRIu64 " should be %d.", src,
                         DISTANCE_LOCAL);
    }
    numa->distance[src][dst] = val;
    numa->has_distance = true;
    return true;
}

/* All processors that fit what is given of socket, die, core and thread. */
static bool add_cpu(char **parts, GError **error)
{
    static const char *const keys[] = { "type",    "node-id",   "socket-id", "die-id",
                                        "core-id", "thread-id", NULL };
    const MachineSmp *smp = &target->smp;
    uint64_t node, want[4];
    bool any = false;

    if (!known_keys(parts, keys, error) ||
        !number_of(parts, "node-id", true, UINT16_MAX, &node, error)) {
        return false;
    }
    if (node >= NUMA_NODES_MAX || !present[node]) {
        return error_set(error,
                         "Invalid node-id=%" PRIu64
                         ", NUMA node must be defined with -numa node,nodeid=ID before it's used "
                         "with -numa cpu,node-id=ID",
                         node);
    }
    for (unsigned i = 0; i < 4; i++) {
        if (!number_of(parts, keys[2 + i], false, UINT16_MAX, &want[i], error)) {
            return false;
        }
    }
    for (unsigned n = 0; n < smp->max_cpus; n++) {
        unsigned is[4] = { n / (smp->threads * smp->cores * smp->dies),
                           n / (smp->threads * smp->cores) % smp->dies,
                           n / smp->threads % smp->cores, n % smp->threads };
        bool fits = true;

        for (unsigned i = 0; i < 4; i++) {
            fits &= !value_of(parts, keys[2 + i]) || want[i] == is[i];
        }
        any |= fits;
        if (fits && !assign_cpu(n, node, error)) {
            return false;
        }
    }
    return any || error_set(error, "no match found");
}

static bool parse_numa(const char *arg, GError **error)
{
    g_auto(GStrv) parts = g_strsplit(arg, ",", -1);
    const char *type = parts[0] ? parts[0] : "";

    type = g_str_has_prefix(type, "type=") ? type + 5 : type;
    if (!strcmp(type, "node")) {
        return add_node(parts, error);
    }
    if (!strcmp(type, "dist")) {
        return add_distance(parts, error);
    }
    if (!strcmp(type, "cpu")) {
        return add_cpu(parts, error);
    }
    if (g_str_has_prefix(type, "hmat-")) {
        return error_set(error, "'%s' is not supported: there is no HMAT", type);
    }
    return error_set(error, "Parameter 'type' does not accept value '%s'", type);
}

/* ---- all of them together ----------------------------------------------------------------------------------------------- */

/* What goes there and not back goes back the same way; with both for any pair, both are needed for all. */
static bool complete_distances(GError **error)
{
    bool asymmetric = false;

    for (unsigned a = 0; a < numa->nodes; a++) {
        for (unsigned b = a + 1; b < numa->nodes; b++) {
            uint8_t there = numa->distance[a][b], back = numa->distance[b][a];

            if (!there && !back) {
                return error_set(error,
                                 "The distance between node %u and %u is missing, at least one "
                                 "distance value between each "
                                 "nodes should be provided.",
                                 a, b);
            }
            asymmetric |= there && back && there != back;
        }
    }
    for (unsigned a = 0; a < numa->nodes; a++) {
        numa->distance[a][a] = DISTANCE_LOCAL;
        for (unsigned b = 0; b < numa->nodes; b++) {
            if (!numa->distance[a][b] && asymmetric) {
                return error_set(error, "At least one asymmetrical pair of distances is given, "
                                        "please provide distances for "
                                        "both directions of all node pairs.");
            }
            if (!numa->distance[a][b]) {
                numa->distance[a][b] = numa->distance[b][a];
            }
        }
    }
    return true;
}

static bool complete(GError **error)
{
    uint64_t total = 0;

    for (unsigned node = 0; node < numa->nodes; node++) {
        if (!present[node]) {
            return error_set(error, "numa: Node ID missing: %u", node);
        }
        total += numa->memory[node];
    }
    if (total != target->ram_size) {
        return error_set(error,
                         "total memory for NUMA nodes (0x%" PRIx64
                         ") should equal RAM size (0x%" PRIx64 ")",
                         total, target->ram_size);
    }
    for (unsigned n = 0; n < target->smp.max_cpus; n++) {
        if (numa->cpu_node[n] == NO_NODE) {
            numa->cpu_node[n] = 0;
        }
    }
    return !numa->has_distance || complete_distances(error);
}

bool numa_from_options(const Options *options, Machine *machine)
{
    GError *error = NULL;

    if (!options_has(options, OPT_NUMA)) {
        return true;
    }
    if (!machine_get_type(machine)->acpi) {
        error_report("NUMA is not supported by machine-type: %s", machine_get_type(machine)->name);
        return false;
    }
    numa = g_new0(MachineNuma, 1);
    target = machine;
    numa->cpu_node = g_malloc(MAX(machine->smp.max_cpus, 1));
    memset(numa->cpu_node, NO_NODE, MAX(machine->smp.max_cpus, 1));
    if (!options_each(options, OPT_NUMA, parse_numa)) {
        return false;
    }
    if (!complete(&error)) {
        error_report_gerror(error);
        return false;
    }
    machine->numa = numa;
    return true;
}
