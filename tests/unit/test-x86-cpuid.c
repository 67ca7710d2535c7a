/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * CPU models and CPUID. tests/golden/cpuid/ has what stock says of caches, topology and identity; here it is asked of our
 * own processors, of each machine version.
 */
#include "util/osdep.h"

#include <stdio.h>

#include "hw/core/machine.h"
#include "target/i386/cpuid.h"
#include "target/i386/model.h"
#include "util/error.h"

static X86Cpu *make(const char *model_name)
{
    const X86ModelType *type = x86_model_by_name(model_name);

    g_assert_nonnull(type);
    return X86_CPU(object_new(&type->device.object));
}

static bool has(const X86Cpu *cpu, const char *name)
{
    const X86Feature *feature = x86_feature_by_name(name);

    return cpu->model.features[feature->word] & feature->mask;
}

/* ---- golden answers ------------------------------------------------------------------------------------------------ */

/* "8,sockets=2,cores=2,threads=2" */
static void set_topology(X86Cpu *cpu, const char *smp)
{
    const char *dies = strstr(smp, "dies="), *cores = strstr(smp, "cores="),
               *threads = strstr(smp, "threads=");

    cpu->model.dies = dies ? atoi(dies + 5) : 1;
    cpu->model.cores = cores ? atoi(cores + 6) : 1;
    cpu->model.threads = threads ? atoi(threads + 8) : 1;
}

static void check_line(X86Cpu *cpu, uint32_t leaf, uint32_t subleaf, const uint32_t want[4],
                       const char *line)
{
    uint32_t have[4];

    x86_cpu_cpuid(cpu, leaf, subleaf, have);
    if (leaf == 1) { /* without features */
        have[X86_ECX] = 0;
        have[X86_EDX] &= 1u << 28;
    }
    have[X86_EBX] = leaf == 0x80000008 ? 0 : have[X86_EBX];
    if (memcmp(have, want, sizeof(have))) {
        g_test_message("want: %s", line);
        g_test_message("have: %08x %08x %08x %08x", have[0], have[1], have[2], have[3]);
        g_test_fail();
    }
}

static void test_golden(gconstpointer data)
{
    const char *version = data;
    g_autofree char *path =
        g_test_build_filename(G_TEST_DIST, "..", "golden", "cpuid", "stock-10.0.2.txt", NULL);
    g_autofree char *text = NULL, *made_of = NULL;
    g_auto(GStrv) lines = NULL;
    X86Cpu *cpu = NULL;
    unsigned n = 0;

    g_assert_true(g_file_get_contents(path, &text, NULL, NULL));
    lines = g_strsplit(text, "\n", -1);
    for (unsigned i = 0; lines[i]; i++) {
        char v[8], model[40], smp[60];
        g_autofree char *key = NULL;
        uint32_t leaf, subleaf, r[4];

        if (sscanf(lines[i], "%7s %39s %59s %x.%x %x %x %x %x", v, model, smp, &leaf, &subleaf,
                   &r[0], &r[1], &r[2], &r[3]) != 9 ||
            strcmp(v, version)) {
            continue;
        }
        key = g_strconcat(model, smp, NULL);
        if (g_strcmp0(key, made_of)) {
            object_unref(cpu);
            cpu = make(model);
            g_assert_true(globals_apply(&cpu->cpu.device.object, NULL));
            set_topology(cpu, smp);
            cpu->apic_id = 0;
            g_assert_true(x86_model_realize(cpu, NULL));
            g_free(made_of);
            made_of = g_steal_pointer(&key);
        }
        check_line(cpu, leaf, subleaf, r, lines[i]);
        n++;
    }
    g_assert_cmpuint(n, >, 500);
    object_unref(cpu);
}

/* The table of compat values of one version, then the comparison in a process of its own. */
static void test_golden_7_2(void)
{
    if (g_test_subprocess()) {
        static const MachineType old = { .object.name = "old", .version = "7.2" };

        machine_apply_compat(&old);
        test_golden("7.2");
        return;
    }
    g_test_trap_subprocess(NULL, 0, 0);
    g_test_trap_assert_passed();
}

/* ---- topology ------------------------------------------------------------------------------------------------------ */

static void test_topology(void)
{
    unsigned shifts[3];

    /* All powers of two: as if counted through. */
    for (unsigned i = 0; i < 16; i++) {
        g_assert_cmpuint(x86_topology_apic_id(1, 2, 2, i), ==, i);
    }
    /* Three cores take two bits, three threads too. */
    g_assert_cmpuint(x86_topology_apic_id(1, 3, 1, 3), ==, 4);
    g_assert_cmpuint(x86_topology_apic_id(1, 3, 3, 8), ==, 2 << 2 | 2);
    g_assert_cmpuint(x86_topology_apic_id(1, 3, 3, 9), ==, 1 << 4);
    g_assert_cmpuint(x86_topology_apic_id(3, 1, 2, 5), ==, 2 << 1 | 1);
    x86_topology_shifts(3, 5, 1, shifts);
    g_assert_cmpuint(shifts[0], ==, 0);
    g_assert_cmpuint(shifts[1], ==, 3);
    g_assert_cmpuint(shifts[2], ==, 5);
}

/* ---- models -------------------------------------------------------------------------------------------------------- */

static void test_versions(void)
{
    X86Cpu *v1 = make("Haswell-v1"), *v2 = make("Haswell-v2"), *v4 = make("Haswell-noTSX-IBRS"),
           *plain = make("Haswell");

    g_assert_true(has(v1, "rtm") && has(plain, "rtm"));
    g_assert_false(has(v2, "rtm") || has(v2, "spec-ctrl"));
    g_assert_true(has(v4, "spec-ctrl"));
    g_assert_cmpstr(v4->model.model_id, ==, "Intel Core Processor (Haswell, no TSX, IBRS)");
    g_assert_cmpuint(v4->model.stepping, ==, 1);
    object_unref(v1);
    object_unref(v2);
    object_unref(v4);
    object_unref(plain);
}

static void test_every_model_is_sound(void)
{
    for (const X86ModelDef *def = x86_model_defs; def->name; def++) {
        X86Cpu *cpu = make(def->name);

        g_assert_true(x86_model_realize(cpu, NULL));
        g_assert_cmpuint(strlen(cpu->model.vendor), ==, 12);
        g_assert_cmpuint(cpu->model.level, >=, 1);
        object_unref(cpu);
    }
}

/* What one feature needs of another goes with it, and a level rises with what is turned on. */
static void test_dependencies(void)
{
    X86Cpu *cpu = make("Skylake-Server");
    uint32_t r[4];

    g_assert_true(object_set_text(&cpu->cpu.device.object, "avx", "off", NULL));
    g_assert_true(x86_model_realize(cpu, NULL));
    g_assert_false(has(cpu, "avx2") || has(cpu, "avx512f") || has(cpu, "avx512vl") ||
                   has(cpu, "fma"));
    x86_cpu_cpuid(cpu, 0xd, 0, r);
    g_assert_cmphex(r[X86_EAX], ==, 3 | 1 << 9); /* x87, SSE, PKRU */
    object_unref(cpu);

    cpu = make("pentium3");
    g_assert_true(object_set_text(&cpu->cpu.device.object, "avx2", "on", NULL));
    g_assert_true(object_set_text(&cpu->cpu.device.object, "avx", "on", NULL));
    g_assert_true(object_set_text(&cpu->cpu.device.object, "xsave", "on", NULL));
    g_assert_true(object_set_text(&cpu->cpu.device.object, "lm", "on", NULL));
    g_assert_true(x86_model_realize(cpu, NULL));
    g_assert_cmphex(cpu->model.level, ==, 7);
    g_assert_cmphex(cpu->model.xlevel, ==, 0x80000001);
    object_unref(cpu);
}

static void test_levels_of_the_user(void)
{
    X86Cpu *cpu = make("EPYC");
    uint32_t r[4];

    g_assert_true(object_set_text(&cpu->cpu.device.object, "xlevel", "0x80000004", NULL));
    g_assert_true(x86_model_realize(cpu, NULL));
    x86_cpu_cpuid(cpu, 0x80000008, 0, r);
    g_assert_cmphex(r[X86_EAX], ==, 0);
    x86_cpu_cpuid(cpu, 0x80000000, 0, r);
    g_assert_cmphex(r[X86_EAX], ==, 0x80000004);
    x86_cpu_cpuid(cpu, 0x12345678, 0, r);
    g_assert_cmphex(r[X86_EAX] | r[X86_EBX] | r[X86_ECX] | r[X86_EDX], ==, 0);
    object_unref(cpu);
}

static uint32_t host_of_little(uint32_t leaf, uint32_t subleaf, unsigned reg)
{
    const X86FeatureWordInfo *info = &x86_feature_words[X86_FEAT_1_0_EDX];

    return leaf == info->leaf && reg == info->reg ? 0x178bfbff
           : leaf == 0x80000001 && reg == X86_EDX ? 0x20100800
                                                  : 0;
}

/* A host that lacks something: what it lacks is noted, and refused where the user insists. */
static void test_filter_and_enforce(void)
{
    X86Cpu *cpu = make("Haswell");
    GError *error = NULL;

    x86_cpuid_set_supported(host_of_little);
    cpu->model.check = false;
    g_assert_true(x86_model_realize(cpu, NULL));
    g_assert_false(has(cpu, "avx2"));
    g_assert_true(cpu->model.filtered[X86_FEAT_7_0_EBX] & 1 << 5);
    object_unref(cpu);
    if (g_test_subprocess()) {
        cpu = make("Haswell");
        cpu->model.enforce = true;
        g_assert_false(x86_model_realize(cpu, &error));
        g_assert_cmpstr(error->message, ==, "Host doesn't support requested features");
        g_clear_error(&error);
        object_unref(cpu);
        return;
    }
    x86_cpuid_set_supported(NULL);
    g_test_trap_subprocess(NULL, 0, 0);
    g_test_trap_assert_passed();
    g_test_trap_assert_stderr(
        "*host doesn't support requested feature: CPUID.07H:EBX.avx2 ?bit 5?*");
}

static void test_bad_values(void)
{
    X86Cpu *cpu = make("qemu64");
    Object *obj = &cpu->cpu.device.object;
    GError *error = NULL;

    g_assert_false(object_set_text(obj, "vendor", "short", &error));
    g_assert_cmpstr(error->message, ==, "Property '.vendor' doesn't take value 'short'");
    g_clear_error(&error);
    g_assert_false(object_set_text(obj, "stepping", "16", &error));
    g_clear_error(&error);
    g_assert_false(object_set_text(obj, "family", "x", &error));
    g_clear_error(&error);
    g_assert_false(object_set_text(obj, "avx", "perhaps", &error));
    g_assert_cmpstr(error->message, ==, "Parameter 'avx' expects 'on' or 'off'");
    g_clear_error(&error);
    g_assert_true(object_set_text(obj, "phys-bits", "60", NULL));
    g_assert_false(x86_model_realize(cpu, &error));
    g_assert_cmpstr(error->message, ==, "phys-bits should be between 32 and 52  (but is 60)");
    g_clear_error(&error);
    object_unref(cpu);

    g_assert_null(x86_model_parse("qemu64,+nosuch", &error));
    g_assert_cmpstr(error->message, ==, "Property 'qemu64-x86_64-cpu.nosuch' not found");
    g_clear_error(&error);
    g_assert_null(x86_model_parse("", &error));
    g_assert_cmpstr(error->message, ==, "unable to find CPU model ''");
    g_clear_error(&error);
    cpu = make("host");
    g_assert_false(x86_model_realize(cpu, &error));
    g_assert_cmpstr(error->message, ==, "CPU model 'host' requires KVM");
    g_clear_error(&error);
    object_unref(cpu);
}

static void test_option(void)
{
    const X86ModelType *type =
        x86_model_parse("kvm32,+sse4_1,sse3=off,model-id=a,,b,family=7", NULL);
    X86Cpu *cpu;

    g_assert_nonnull(type);
    cpu = make("kvm32");
    g_assert_true(globals_apply(&cpu->cpu.device.object, NULL));
    g_assert_true(has(cpu, "sse4.1"));
    g_assert_false(has(cpu, "pni"));
    g_assert_cmpstr(cpu->model.model_id, ==, "a,b");
    g_assert_cmpuint(cpu->model.family, ==, 7);
    object_unref(cpu);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_data_func("/cpuid/golden/10.0", "10.0", test_golden);
    g_test_add_func("/cpuid/golden/7.2", test_golden_7_2);
    g_test_add_func("/cpuid/topology", test_topology);
    g_test_add_func("/cpuid/levels-of-the-user", test_levels_of_the_user);
    g_test_add_func("/model/versions", test_versions);
    g_test_add_func("/model/every-model-is-sound", test_every_model_is_sound);
    g_test_add_func("/model/dependencies", test_dependencies);
    g_test_add_func("/model/filter-and-enforce", test_filter_and_enforce);
    g_test_add_func("/model/bad-values", test_bad_values);
    g_test_add_func("/model/option", test_option);
    return g_test_run();
}
