/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Local APIC (Intel SDM volume 3, chapter 10): state, section and monitor view of those in user space and kernel. */
#include "util/osdep.h"

#include "apic-internal.h"
#include "monitor/hmp.h"
#include "util/error.h"

int apic_count_shift(uint32_t divide_conf)
{
    unsigned value = (divide_conf & 3) | (divide_conf >> 1 & 4);

    return (value + 1) & 7;
}

uint32_t apic_current_count(const ApicState *s)
{
    uint64_t gone =
        (uint64_t)(clock_get_ns(CLOCK_VIRTUAL) - s->initial_count_load_time) >> s->count_shift;

    if (!s->initial_count) {
        return 0;
    }
    if (s->lvt[APIC_LVT_TIMER] & APIC_LVT_PERIODIC) {
        return s->initial_count - gone % s->initial_count;
    }
    return gone >= s->initial_count ? 0 : s->initial_count - gone;
}

int apic_highest_vector(const uint32_t *set)
{
    for (int i = APIC_WORDS - 1; i >= 0; i--) {
        if (set[i]) {
            return 32 * i + 31 - __builtin_clz(set[i]);
        }
    }
    return -1;
}

uint8_t apic_processor_priority(const ApicState *s)
{
    int in_service = apic_highest_vector(s->isr);

    in_service = MAX(in_service, 0);
    return s->tpr >> 4 >= in_service >> 4 ? s->tpr : in_service & 0xf0;
}

void apic_reset_registers(ApicState *s, bool init)
{
    if (!init) {
        s->apicbase = X86_APIC_DEFAULT_BASE | X86_APIC_BASE_ENABLE |
                      (s->cpu && s->cpu->is_bsp ? X86_APIC_BASE_BSP : 0);
        s->id = s->initial_id;
    }
    s->tpr = 0;
    s->spurious_vec = 0xff;
    s->log_dest = 0;
    s->dest_mode = 0xf;
    memset(s->isr, 0, sizeof(s->isr));
    memset(s->tmr, 0, sizeof(s->tmr));
    memset(s->irr, 0, sizeof(s->irr));
    for (unsigned i = 0; i < APIC_LVT_ENTRIES; i++) {
        s->lvt[i] = APIC_LVT_MASKED;
    }
    s->esr = 0;
    s->icr[0] = s->icr[1] = 0;
    s->divide_conf = 0;
    s->count_shift = apic_count_shift(0);
    s->initial_count = 0;
    s->initial_count_load_time = s->next_time = 0;
    s->arb_id = 0;
    s->timer_expiry = -1;
}

void apic_map_space(const MemoryOps *ops, const char *name)
{
    static MemoryRegion *space;

    if (!space) {
        space = memory_region_new_io(NULL, ops, NULL, name, APIC_SPACE_SIZE);
        memory_region_map_overlap(system_memory(), X86_APIC_DEFAULT_BASE, space, 0x1000);
    }
}

/* ---- what the processor sees beside memory -------------------------------------------------------------------- */

void apic_set_base(Device *dev, uint64_t base)
{
    ((ApicState *)dev)->apicbase = base;
}

uint64_t apic_get_base(Device *dev)
{
    return ((ApicState *)dev)->apicbase;
}

/* CR8 is bits 7…4 of the task priority. */
void apic_set_tpr(Device *dev, uint8_t cr8)
{
    ApicState *s = (ApicState *)dev;

    if (s->tpr >> 4 != cr8) {
        s->tpr = cr8 << 4;
    }
}

uint8_t apic_get_tpr(Device *dev)
{
    return ((ApicState *)dev)->tpr >> 4;
}

/* ---- the section -------------------------------------------------------------------------------------------- */

static bool shift_valid(const void *opaque, int64_t value)
{
    return value >= 0 && value <= 7;
}

static bool apic_pre_save(void *opaque, GError **error)
{
    const ApicImpl *impl = device_ops(opaque);

    return !impl->collect || impl->collect(opaque, error);
}

static bool apic_post_load(void *opaque, int version, GError **error)
{
    ApicState *s = opaque;
    const ApicImpl *impl = device_ops(&s->device);

    s->count_shift = apic_count_shift(s->divide_conf);
    impl->loaded(s);
    return true;
}

/* A start may have been asked for behind an INIT that the processor has not looked at either: its own section has both. */
static bool sipi_needed(const void *opaque)
{
    const ApicState *s = opaque;

    return s->wait_for_sipi != 0 || (s->cpu && cpu_interrupts(&s->cpu->cpu) & CPU_INTERRUPT_SIPI);
}

static const VmState vmstate_sipi = {
    .name = "apic_sipi",
    .version = 1,
    .minimum_version = 1,
    .needed = sipi_needed,
    .fields = (const VmField[]){ VM_I32(ApicState, sipi_vector), VM_I32(ApicState, wait_for_sipi),
                                 VM_END },
};

static bool apic_pre_load(void *opaque, GError **error)
{
    ApicState *s = opaque;

    s->wait_for_sipi = s->sipi_vector = 0;
    return true;
}

/*
 * Migration notes. All registers, and the timer as the time at which it was loaded; what the counter shows follows. A
 * timer of a local APIC in the kernel travels in the same way, so that it keeps its phase. Messages are delivered at
 * once: none is in flight. The expiry of stock's user-space timer is in timer_expiry.
 */
static const VmState vmstate_apic = {
    .name = "apic",
    .version = 3,
    .minimum_version = 3,
    .subsections = (const VmState *const[]){ &vmstate_sipi, NULL },
    .pre_save = apic_pre_save,
    .pre_load = apic_pre_load,
    .post_load = apic_post_load,
    .fields = (const VmField[]){ VM_U32(ApicState, apicbase),
                                 VM_U8(ApicState, id),
                                 VM_U8(ApicState, arb_id),
                                 VM_U8(ApicState, tpr),
                                 VM_U32(ApicState, spurious_vec),
                                 VM_U8(ApicState, log_dest),
                                 VM_U8(ApicState, dest_mode),
                                 VM_U32_ARRAY(ApicState, isr, APIC_WORDS),
                                 VM_U32_ARRAY(ApicState, tmr, APIC_WORDS),
                                 VM_U32_ARRAY(ApicState, irr, APIC_WORDS),
                                 VM_U32_ARRAY(ApicState, lvt, APIC_LVT_ENTRIES),
                                 VM_U32(ApicState, esr),
                                 VM_U32_ARRAY(ApicState, icr, 2),
                                 VM_U32(ApicState, divide_conf),
                                 { .name = "count_shift",
                                   .offset = offsetof(ApicState, count_shift),
                                   .size = 4,
                                   .kind = &vm_kind_i32,
                                   .valid = shift_valid },
                                 VM_U32(ApicState, initial_count),
                                 VM_I64(ApicState, initial_count_load_time),
                                 VM_I64(ApicState, next_time),
                                 VM_I64(ApicState, timer_expiry),
                                 VM_END },
};

/* ---- info lapic ------------------------------------------------------------------------------------------------ */

static const char *const modes[8] = { "Fixed", "Lowest", "SMI",  "...",
                                      "NMI",   "INIT",   "SIPI", "ExtINT" };

static void print_lvt(Hmp *hmp, const ApicState *s, const char *name, unsigned n)
{
    static const char *const timers[4] = { "one-shot", "periodic", "tsc-deadline", "" };
    uint32_t lvt = s->lvt[n];
    unsigned mode = lvt >> 8 & 7;

    hmp_printf(hmp, "%s\t 0x%08x %s %-5s %-6s %-14s %-6s", name, lvt,
               lvt >> 13 & 1 ? "active-lo" : "active-hi", lvt >> 15 & 1 ? "level" : "edge",
               lvt & APIC_LVT_MASKED ? "masked" : "",
               n == APIC_LVT_TIMER ? timers[lvt >> 17 & 3] : "", modes[mode]);
    if (mode != APIC_NMI) {
        hmp_printf(hmp, " (vec %u)", lvt & 0xff);
    }
    hmp_puts(hmp, "\n");
}

static void print_vectors(Hmp *hmp, const char *name, const uint32_t *set, const uint32_t *level)
{
    bool any = false;

    hmp_printf(hmp, "%s\t ", name);
    for (unsigned v = 0; v < 256; v++) {
        if (set[v / 32] >> v % 32 & 1) {
            hmp_printf(hmp, "%u%s ", v, level && level[v / 32] >> v % 32 & 1 ? "(level)" : "");
            any = true;
        }
    }
    hmp_puts(hmp, any ? "\n" : "(none)\n");
}

static void print_command(Hmp *hmp, const ApicState *s)
{
    static const char *const shorthands[4] = { "no-shorthand", "self", "all-self", "all" };
    uint32_t icr = s->icr[0];

    hmp_printf(hmp, "ICR\t 0x%08x %s %s %s %s\n", icr, icr >> 11 & 1 ? "logical" : "physical",
               icr >> 15 & 1 ? "level" : "edge", icr >> 14 & 1 ? "assert" : "de-assert",
               shorthands[icr >> 18 & 3]);
    hmp_printf(hmp, "ICR2\t 0x%08x", s->icr[1]);
    if (!(icr >> 18 & 3)) {
        hmp_printf(hmp, icr >> 11 & 1 ? " mask %08x (LDR)" : " cpu %u (APIC ID)", s->icr[1] >> 24);
    }
    hmp_puts(hmp, "\n");
}

static void print_apic(Hmp *hmp, const ApicState *s)
{
    hmp_printf(hmp, "dumping local APIC state for CPU %u\n\n", s->initial_id);
    print_lvt(hmp, s, "LVT0", APIC_LVT_LINT0);
    print_lvt(hmp, s, "LVT1", APIC_LVT_LINT1);
    print_lvt(hmp, s, "LVTPC", APIC_LVT_PERFORM);
    print_lvt(hmp, s, "LVTERR", APIC_LVT_ERROR);
    print_lvt(hmp, s, "LVTTHMR", APIC_LVT_THERMAL);
    print_lvt(hmp, s, "LVTT", APIC_LVT_TIMER);
    hmp_printf(hmp, "Timer\t DCR=0x%x (divide by %u) initial_count = %u current_count = %u\n",
               s->divide_conf, 1u << s->count_shift, s->initial_count, apic_current_count(s));
    hmp_printf(hmp, "SPIV\t 0x%08x APIC %s, focus=%s, spurious vec %u\n", s->spurious_vec,
               s->spurious_vec & APIC_SVR_ENABLE ? "enabled" : "disabled",
               s->spurious_vec >> 9 & 1 ? "on" : "off", s->spurious_vec & 0xff);
    print_command(hmp, s);
    hmp_printf(hmp, "ESR\t 0x%08x\n", s->esr);
    print_vectors(hmp, "ISR", s->isr, NULL);
    print_vectors(hmp, "IRR", s->irr, s->tmr);
    hmp_printf(hmp, "\nAPR 0x%02x TPR 0x%02x DFR 0x%02x LDR 0x%02x PPR 0x%02x\n", s->arb_id, s->tpr,
               s->dest_mode, s->log_dest, apic_processor_priority(s));
}

static void hmp_info_lapic(Hmp *hmp, const HmpArgs *args)
{
    Cpu *cpu = hmp_arg_has(args, "apic-id")
                   ? (Cpu *)x86_cpu_by_apic_id(hmp_arg_int(args, "apic-id", 0))
                   : cpu_for_monitor(hmp_cpu_index(hmp));
    GError *error = NULL;
    const ApicImpl *impl;

    if (!cpu || !X86_CPU(cpu)->apic) {
        hmp_puts(hmp, "No CPU available\n");
        return;
    }
    cpu_sync(cpu);
    impl = device_ops(X86_CPU(cpu)->apic);
    if (impl->collect) {
        impl->collect((ApicState *)X86_CPU(cpu)->apic, &error);
    }
    if (!hmp_report_error(hmp, &error)) {
        print_apic(hmp, (const ApicState *)X86_CPU(cpu)->apic);
    }
}

static const HmpCommand apic_commands[] = {
    { "info lapic", "apic-id:i?", "[apic-id]",
      "show local apic state (apic-id: local apic to read, default is which of current CPU)",
      hmp_info_lapic },
};
HMP_REGISTER(apic_commands);

/* ---- the type ------------------------------------------------------------------------------------------------ */

const DeviceType apic_common_type = {
    .object = {
        .name = "apic-common",
        .parent = &device_type.object,
        .size = sizeof(ApicState),
        .abstract = true,
        .properties = (const Property[]){
            PROPERTY_UINT32("id", ApicState, initial_id, "4294967295", NULL),
            {}
        },
    },
    .not_user_creatable = true,
    .migration = MIGRATES_WITH(vmstate_apic),
};
DEVICE_REGISTER(apic_common_type);
