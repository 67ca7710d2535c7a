/* SPDX-License-Identifier: GPL-2.0-or-later */
/* -machine, -accel, -m, -smp. Error texts are stock's. */
#include "util/osdep.h"

#include <stdio.h>

#include "util/error.h"
#include "util/keyval.h"
#include "accel/accel.h"
#include "system/memory.h"
#include "hw/core/device-help.h"
#include "hw/core/machine.h"
#include "boot-options.h"
#include "target/i386/model.h"
#include "machine-options.h"

#define MIB (UINT64_C(1) << 20)
#define SIZE_HINT                                                                               \
    "Optional suffix k, M, G, T, P or E means kilo-, mega-, giga-, tera-, peta-\n"              \
    "and exabytes, respectively."

/* What all -machine options together say; "type" and "accel" apart. */
static json_object *machine_props;

/* ---- -machine ------------------------------------------------------------------------------------------ */

static bool merge_machine(const char *arg, GError **error)
{
    json_object *props = keyval_parse(arg, "type", true, NULL, error);

    if (!props) {
        return false;
    }
    json_object_object_foreach(props, key, value)
    {
        /* the one property that people know with a line below */
        json_object_object_add(machine_props, strcmp(key, "kernel_irqchip") ? key : "kernel-irqchip",
                               json_object_get(value));
    }
    json_object_put(props);
    return true;
}

static const char *machine_text(const char *key)
{
    json_object *value;

    return machine_props && json_object_object_get_ex(machine_props, key, &value)
               ? json_object_get_string(value)
               : NULL;
}

static void find_default(const MachineType *type, void *opaque)
{
    if (type->is_default) {
        *(const MachineType **)opaque = type;
    }
}

static const MachineType *chosen_type(void)
{
    const char *name = machine_text("type");
    const MachineType *type = NULL;

    if (name) {
        type = machine_type_by_name(name);
        if (!type) {
            error_report("unsupported machine type: \"%s\"\nUse -machine help to list supported machines", name);
        }
        return type;
    }
    machine_type_foreach(find_default, &type);
    if (!type) {
        error_report("No machine specified, and there is no default\n"
                     "Use -machine help to list supported machines");
    }
    return type;
}

static void print_machine(const MachineType *type, void *opaque)
{
    if (type->alias) {
        printf("%-20s %s (alias of %s)\n", type->alias, type->description, type->name);
    }
    printf("%-20s %s%s%s\n", type->name, type->description, type->is_default ? " (default)" : "",
           type->deprecation ? " (deprecated)" : "");
}

static void print_accel(const AccelType *type, void *opaque)
{
    printf("%s\n", type->name);
}

static bool is_help(const char *text)
{
    return text && (!strcmp(text, "help") || !strcmp(text, "?"));
}

/* Whether one of the elements of a key=value list is "help". */
static bool asks_for_help(const char *text)
{
    g_auto(GStrv) parts = g_strsplit(text, ",", -1);

    for (unsigned i = 0; parts[i]; i++) {
        if (is_help(parts[i])) {
            return true;
        }
    }
    return false;
}

static bool help_for_machine(const char *arg)
{
    g_auto(GStrv) parts = g_strsplit(arg, ",", 2);
    const char *name = g_str_has_prefix(parts[0], "type=") ? parts[0] + 5 : parts[0];
    const MachineType *type = machine_type_by_name(name);
    GString *out;

    if (is_help(arg) || is_help(name)) {
        printf("Supported machines are:\n");
        machine_type_foreach(print_machine, NULL);
        return true;
    }
    if (!asks_for_help(arg) || !type) {
        return false;
    }
    out = g_string_new(NULL);
    property_help(out, &type->object, type->object.name);
    fputs(out->str, stdout);
    g_string_free(out, TRUE);
    return true;
}

bool machine_options_help(const Options *options)
{
    const char *machine = options_last(options, OPT_MACHINE);
    const char *accel = options_last(options, OPT_ACCEL);

    if (machine && help_for_machine(machine)) {
        return true;
    }
    if (is_help(accel)) {
        printf("Accelerators supported in this program:\n");
        accel_type_foreach(print_accel, NULL);
        return true;
    }
    return false;
}

/* ---- -m ------------------------------------------------------------------------------------------------ */

typedef struct MemoryConfig {
    uint64_t size, max;
    unsigned slots;
    bool has_max, has_slots;
} MemoryConfig;

static MemoryConfig memory;

static bool memory_size(const char *key, const char *text, uint64_t unit, uint64_t *size, GError **error)
{
    const char *p = text + strspn(text, "+-");

    if (parse_size(text, unit, size, NULL)) {
        return true;
    }
    if (g_ascii_isdigit(*p) && strspn(p, "0123456789") == strlen(p)) {
        return error_set(error, "Value '%s' is out of range for parameter '%s'", text, key);
    }
    return error_set(error, "Parameter '%s' expects a non-negative number below 2^64\n" SIZE_HINT, key);
}

static bool parse_memory(const char *arg, GError **error)
{
    json_object *props = keyval_parse(arg, "size", false, NULL, error);
    bool ok = props;

    if (!props) {
        return false;
    }
    json_object_object_foreach(props, key, value)
    {
        const char *text = json_object_get_string(value);
        uint64_t number;

        if (!strcmp(key, "size")) {
            ok = memory_size(key, text, MIB, &memory.size, error);
        } else if (!strcmp(key, "maxmem")) {
            ok = memory.has_max = memory_size(key, text, 1, &memory.max, error);
        } else if (!strcmp(key, "slots")) {
            ok = (parse_uint64(text, &number, NULL) && number <= 256) ||
                 error_set(error, "Parameter 'slots' expects a number up to 256");
            memory.has_slots = ok;
            memory.slots = ok ? number : 0;
        } else {
            ok = error_set(error, "Invalid parameter '%s'", key);
        }
        if (!ok) {
            break;
        }
    }
    json_object_put(props);
    return ok;
}

static bool memory_from_options(const Options *options, Machine *machine, GError **error)
{
    uint64_t page = GUEST_PAGE_SIZE;

    if (!options_each(options, OPT_MEMORY, parse_memory)) {
        return false;
    }
    machine->ram_size = memory.size ? memory.size : machine_get_type(machine)->default_ram_size;
    if (machine->ram_size > INT64_MAX - page) {
        return error_set(error, "ram size too large");
    }
    machine->ram_size = (machine->ram_size + page - 1) / page * page;
    if (memory.has_max && memory.max < machine->ram_size) {
        return error_set(error,
                         "invalid value of maxmem: maximum memory size (0x%" PRIx64
                         ") must be at least the initial memory size (0x%" PRIx64 ")",
                         memory.max, machine->ram_size);
    }
    if (memory.has_slots && memory.slots && !memory.has_max) {
        return error_set(error, "slots specified but no max-size");
    }
    if (memory.has_max && memory.max > machine->ram_size && !memory.slots) {
        return error_set(error, "invalid value of maxmem: memory slots were not specified but maximum memory size "
                                "is greater than the initial memory size");
    }
    machine->max_ram_size = memory.has_max ? memory.max : machine->ram_size;
    machine->ram_slots = memory.slots;
    machine->mem_path = options_last(options, OPT_MEM_PATH);
    machine->mem_prealloc = options_has(options, OPT_MEM_PREALLOC);
    if ((machine->mem_path || machine->mem_prealloc) && machine->ram_backend_id) {
        return error_set(error, "-mem-path and -mem-prealloc do not go with -machine memory-backend=; "
                                "give the backend the properties mem-path and prealloc");
    }
    return true;
}

/* ---- -smp ---------------------------------------------------------------------------------------------- */

typedef struct SmpConfig {
    uint64_t cpus, maxcpus, sockets, dies, clusters, cores, threads; /* 0: not given */
} SmpConfig;

static SmpConfig smp;

static const struct {
    const char *key;
    size_t offset;
} smp_keys[] = {
    { "cpus", offsetof(SmpConfig, cpus) },         { "maxcpus", offsetof(SmpConfig, maxcpus) },
    { "sockets", offsetof(SmpConfig, sockets) },   { "dies", offsetof(SmpConfig, dies) },
    { "clusters", offsetof(SmpConfig, clusters) }, { "cores", offsetof(SmpConfig, cores) },
    { "threads", offsetof(SmpConfig, threads) },
};

static bool parse_smp_key(const char *key, const char *text, GError **error)
{
    for (unsigned i = 0; i < G_N_ELEMENTS(smp_keys); i++) {
        uint64_t *value = (uint64_t *)((char *)&smp + smp_keys[i].offset);

        if (strcmp(key, smp_keys[i].key)) {
            continue;
        }
        if (!parse_uint64(text, value, NULL) || *value > 65536) {
            return error_set(error, "Parameter 'smp.%s' expects integer", key);
        }
        if (*value == 0) {
            return error_set(error, "Invalid CPU topology: CPU topology parameters must be greater than zero");
        }
        return true;
    }
    return error_set(error, "Parameter 'smp.%s' is unexpected", key);
}

static bool parse_smp(const char *arg, GError **error)
{
    json_object *props = keyval_parse(arg, "cpus", false, NULL, error);
    bool ok = props;

    if (!props) {
        return false;
    }
    json_object_object_foreach(props, key, value)
    {
        ok = parse_smp_key(key, json_object_get_string(value), error);
        if (!ok) {
            break;
        }
    }
    json_object_put(props);
    return ok;
}

/* What is not given follows from the rest: sockets, then cores, then threads (as machines since 6.2 prefer
 * cores over sockets: cores first when all are open). */
static bool complete_smp(SmpConfig *s, GError **error)
{
    uint64_t fixed;

    s->dies = MAX(s->dies, 1);
    s->clusters = MAX(s->clusters, 1);
    if (!s->cpus && !s->maxcpus) {
        s->sockets = MAX(s->sockets, 1);
        s->cores = MAX(s->cores, 1);
        s->threads = MAX(s->threads, 1);
        s->cpus = s->maxcpus = s->sockets * s->dies * s->clusters * s->cores * s->threads;
        return true;
    }
    s->maxcpus = s->maxcpus ? s->maxcpus : s->cpus;
    s->cpus = s->cpus ? s->cpus : s->maxcpus;
    fixed = s->dies * s->clusters;
    if (!s->cores) {
        s->sockets = MAX(s->sockets, 1);
        s->threads = MAX(s->threads, 1);
        s->cores = s->maxcpus / (s->sockets * fixed * s->threads);
    } else if (!s->sockets) {
        s->threads = MAX(s->threads, 1);
        s->sockets = s->maxcpus / (fixed * s->cores * s->threads);
    } else if (!s->threads) {
        s->threads = s->maxcpus / (s->sockets * fixed * s->cores);
    }
    if (s->sockets * fixed * s->cores * s->threads != s->maxcpus) {
        return error_set(error,
                         "Invalid CPU topology: product of the hierarchy must match maxcpus: sockets (%" PRIu64
                         ") * dies (%" PRIu64 ") * cores (%" PRIu64 ") * threads (%" PRIu64
                         ") != maxcpus (%" PRIu64 ")",
                         s->sockets, s->dies, s->cores, s->threads, s->maxcpus);
    }
    if (s->maxcpus < s->cpus) {
        return error_set(error,
                         "Invalid CPU topology: maxcpus must be equal to or greater than smp: maxcpus (%" PRIu64
                         ") < smp_cpus (%" PRIu64 ")",
                         s->maxcpus, s->cpus);
    }
    return true;
}

static bool smp_from_options(const Options *options, Machine *machine, GError **error)
{
    const MachineType *type = machine_get_type(machine);

    /* No place before the message: stock has none here. */
    for (unsigned i = 0; i < options->given->len; i++) {
        const GivenOption *given = &g_array_index(options->given, GivenOption, i);

        if (given->id == OPT_SMP && !parse_smp(given->arg, error)) {
            return false;
        }
    }
    if (!complete_smp(&smp, error)) {
        return false;
    }
    if (smp.cpus > type->max_cpus || smp.maxcpus > type->max_cpus) {
        return error_set(error,
                         "Invalid SMP CPUs %" PRIu64 ". The max CPUs supported by machine '%s' is %u",
                         MAX(smp.cpus, smp.maxcpus), type->name, type->max_cpus);
    }
    machine->smp = (MachineSmp){ smp.cpus, smp.maxcpus, smp.sockets, smp.dies, smp.cores, smp.threads };
    return true;
}

/* ---- the machine --------------------------------------------------------------------------------------- */

static bool set_machine_props(Machine *machine, GError **error)
{
    json_object_object_foreach(machine_props, key, value)
    {
        if (!strcmp(key, "type") || !strcmp(key, "accel") || !strcmp(key, "kernel-irqchip")) {
            continue;
        }
        if (json_object_is_type(value, json_type_string)
                ? !object_set_text(&machine->object, key, json_object_get_string(value), error)
                : !object_set(&machine->object, key, value, error)) {
            return false;
        }
    }
    return true;
}

/* Memory backends have it from the machine unless they say otherwise. */
static void pass_on_to_backends(const Machine *machine)
{
    if (!machine->mem_merge) {
        globals_add("memory-backend", "merge", "off", false);
    }
    if (!machine->dump_guest_core) {
        globals_add("memory-backend", "dump", "off", false);
    }
}

static bool cpu_from_options(const Options *options, Machine *machine, GError **error)
{
    const char *text = options_last(options, OPT_CPU), *standard = machine_get_type(machine)->default_cpu_type;
    const X86ModelType *model;

    if (!text) {
        machine->cpu_type = g_strdup(standard);
        return true;
    }
    if (!standard) {
        return error_set(error, "-cpu: machine type '%s' has no processors", machine_get_type(machine)->name);
    }
    model = x86_model_parse(text, error);
    machine->cpu_type = model ? g_strdup(model->device.object.name) : NULL;
    return model != NULL;
}

static bool configure(const Options *options, Machine *machine, GError **error)
{
    if (!globals_apply(&machine->object, error) || !set_machine_props(machine, error) ||
        !memory_from_options(options, machine, error) || !smp_from_options(options, machine, error) ||
        !boot_from_options(options, machine, error)) {
        return false;
    }
    if (options_has(options, OPT_USB)) {
        machine->usb = true;
    }
    if (options_last(options, OPT_BIOS)) {
        g_free(machine->firmware);
        machine->firmware = g_strdup(options_last(options, OPT_BIOS));
    }
    machine->enable_defaults = !options_has(options, OPT_NODEFAULTS);
    return cpu_from_options(options, machine, error);
}

const MachineType *machine_type_from_options(const Options *options)
{
    machine_props = json_object_new_object();
    return options_each(options, OPT_MACHINE, merge_machine) ? chosen_type() : NULL;
}

Machine *machine_from_options(const Options *options, const MachineType *type)
{
    GError *error = NULL;
    Machine *machine = (Machine *)object_new(&type->object);

    if (!configure(options, machine, &error)) {
        if (error) {
            error_report_gerror(error);
        }
        object_unref(machine);
        return NULL;
    }
    pass_on_to_backends(machine);
    machine_set_current(machine);
    return machine;
}

/* ---- -accel -------------------------------------------------------------------------------------------- */

static Machine *accel_machine;
static bool accel_started;

/* Properties of -machine that are the accelerator's, under names that it had when it was part of the machine. What -accel says itself
 * goes first. */
static void add_props_of_machine(json_object *props, const char *name)
{
    const char *irqchip = machine_text("kernel-irqchip");

    if (!strcmp(name, "kvm") && irqchip && !json_object_object_get_ex(props, "kernel-irqchip", NULL)) {
        json_object_object_add(props, "kernel-irqchip", json_object_new_string(irqchip));
    }
}

/* -accel NAME,...: the first that works is taken, the others only have their say. */
static bool try_accel(const char *arg, GError **error)
{
    json_object *props = keyval_parse(arg, "accel", false, NULL, error);
    json_object *name;
    bool ok = true;
    GError *failure = NULL;

    if (!props) {
        return false;
    }
    if (!json_object_object_get_ex(props, "accel", &name)) {
        ok = error_set(error, "Parameter 'accel' is missing");
    } else if (!accel_started) {
        add_props_of_machine(props, json_object_get_string(name));
        accel_started = accel_start(json_object_get_string(name), props, accel_machine, &failure);
        if (failure) {
            error_report_gerror(failure);
        }
    }
    json_object_put(props);
    return ok;
}

static bool start_one(const char *name, Machine *machine, GError **error)
{
    json_object *props = json_object_new_object();
    bool ok;

    add_props_of_machine(props, name);
    ok = accel_start(name, props, machine, error);
    json_object_put(props);
    return ok;
}

/* -machine accel=A:B */
static void try_list(const char *list, Machine *machine)
{
    g_auto(GStrv) names = g_strsplit(list, ":", -1);

    for (unsigned i = 0; names[i] && !accel_started; i++) {
        GError *failure = NULL;

        accel_started = start_one(names[i], machine, &failure);
        if (failure) {
            error_report_gerror(failure);
        } else if (i) {
            error_report("falling back to %s", names[i]);
        }
    }
}

bool accel_from_options(const Options *options, Machine *machine)
{
    const char *list = machine_text("accel");
    bool kvm = options_has(options, OPT_ENABLE_KVM);

    accel_machine = machine;
    if (kvm && (list || options_has(options, OPT_ACCEL))) {
        error_report("-enable-kvm does not go with -accel or \"-machine accel=\"");
        return false;
    }
    if (list && options_has(options, OPT_ACCEL)) {
        error_report("The -accel and \"-machine accel=\" options are incompatible");
        return false;
    }
    if (list) {
        try_list(list, machine);
    } else if (options_has(options, OPT_ACCEL)) {
        if (!options_each(options, OPT_ACCEL, try_accel)) {
            return false;
        }
    } else if (options_has(options, OPT_QTEST) || !machine_get_type(machine)->default_cpu_type) {
        try_list("qtest", machine); /* a machine without processors needs nobody to run them */
    } else {
        try_list("kvm", machine);
        if (!accel_started && !kvm) {
            error_report("no accelerator was given, and kvm, the only one that runs CPUs, does not work here");
        }
    }
    return accel_started;
}
