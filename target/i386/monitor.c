/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What monitors see of an x86 processor: registers in stock's layout, and memory through its paging (SDM vol. 3 4). */
#include "util/osdep.h"

#include "monitor/hmp.h"
#include "system/memory.h"
#include "util/bytes.h"
#include "util/error.h"
#include "cpu-internal.h"

/* ---- paging ------------------------------------------------------------------------------------------------- */

#define PTE_PRESENT 1
#define PTE_LARGE (1 << 7)
#define PTE_ADDRESS UINT64_C(0x000ffffffffff000)

/* The geometry of a paging mode: bits of each level from the top, bytes of an entry. */
typedef struct PagingMode {
    unsigned levels, entry_size;
    unsigned shift[5], bits[5];
} PagingMode;

static const PagingMode paging_32 = { 2, 4, { 22, 12 }, { 10, 10 } };
static const PagingMode paging_pae = { 3, 8, { 30, 21, 12 }, { 2, 9, 9 } };
static const PagingMode paging_4_level = { 4, 8, { 39, 30, 21, 12 }, { 9, 9, 9, 9 } };
static const PagingMode paging_5_level = { 5, 8, { 48, 39, 30, 21, 12 }, { 9, 9, 9, 9, 9 } };

static const PagingMode *paging_mode(const X86State *env)
{
    if (env->efer & X86_EFER_LMA) {
        return env->cr[4] & X86_CR4_LA57 ? &paging_5_level : &paging_4_level;
    }
    return env->cr[4] & X86_CR4_PAE ? &paging_pae : &paging_32;
}

static uint64_t read_entry(hwaddr addr, unsigned size)
{
    uint8_t raw[8] = { 0 };

    address_space_read(address_space_memory, addr, raw, size);
    return load_le64(raw);
}

/* Whether the entry at this level maps a page itself. */
static bool is_page(const X86State *env, const PagingMode *mode, unsigned level, uint64_t entry)
{
    if (level == mode->levels - 1) {
        return true;
    }
    if (mode == &paging_32) {
        return (entry & PTE_LARGE) && (env->cr[4] & X86_CR4_PSE);
    }
    return (entry & PTE_LARGE) && mode->shift[level] <= 30 && !(mode == &paging_pae && level == 0);
}

/* The base of a page; large pages of 32-bit paging have address bits 39…32 in bits 20…13 (PSE-36). */
static uint64_t page_base(const PagingMode *mode, unsigned level, uint64_t entry)
{
    uint64_t mask = ~((UINT64_C(1) << mode->shift[level]) - 1);

    if (mode == &paging_32) {
        uint64_t high = level == 0 ? (entry >> 13 & 0xff) << 32 : 0;

        return (entry & mask & UINT32_MAX) | high;
    }
    return entry & mask & PTE_ADDRESS;
}

bool x86_cpu_translate(Cpu *cpu, uint64_t linear, uint64_t *physical)
{
    const X86State *env = &X86_CPU(cpu)->env;
    const PagingMode *mode = paging_mode(env);
    uint64_t table;

    cpu_sync(cpu);
    if (!(env->efer & X86_EFER_LMA)) {
        linear &= UINT32_MAX;
    }
    if (!(env->cr[0] & X86_CR0_PG)) {
        *physical = linear;
        return true;
    }
    table = env->cr[3] & (mode == &paging_pae ? UINT64_C(0xffffffe0) : PTE_ADDRESS);
    for (unsigned level = 0; level < mode->levels; level++) {
        uint64_t index = linear >> mode->shift[level] & ((1u << mode->bits[level]) - 1);
        uint64_t entry = read_entry(table + index * mode->entry_size, mode->entry_size);

        if (!(entry & PTE_PRESENT)) {
            return false;
        }
        if (is_page(env, mode, level, entry)) {
            *physical = page_base(mode, level, entry) |
                        (linear & ((UINT64_C(1) << mode->shift[level]) - 1));
            return true;
        }
        table = entry & PTE_ADDRESS;
    }
    return false;
}

uint64_t x86_cpu_program_counter(const Cpu *cpu)
{
    const X86State *env = &X86_CPU(cpu)->env;

    return env->segs[X86_CS].base + env->eip;
}

/* ---- registers ------------------------------------------------------------------------------------------------ */

static bool in_64_bit_mode(const X86State *env)
{
    return env->hflags & X86_HF_CS64;
}

static void dump_general(const X86State *env, GString *out)
{
    static const char *const names[16] = { "AX", "BX", "CX", "DX", "SI", "DI", "BP", "SP",
                                           "8 ", "9 ", "10", "11", "12", "13", "14", "15" };
    static const unsigned order[8] = { X86_RAX, X86_RBX, X86_RCX, X86_RDX,
                                       X86_RSI, X86_RDI, X86_RBP, X86_RSP };
    unsigned n = in_64_bit_mode(env) ? 16 : 8;

    for (unsigned i = 0; i < n; i++) {
        uint64_t value = env->regs[i < 8 ? order[i] : i];

        if (in_64_bit_mode(env)) {
            g_string_append_printf(out, "R%s=%016" PRIx64, names[i], value);
        } else {
            g_string_append_printf(out, "E%s=%08x", names[i], (uint32_t)value);
        }
        g_string_append_c(out, i % 4 == 3 ? '\n' : ' ');
    }
}

static void dump_flags(const Cpu *cpu, const X86State *env, GString *out)
{
    static const struct {
        unsigned bit;
        char name;
    } flags[] = { { 10, 'D' }, { 11, 'O' }, { 7, 'S' }, { 6, 'Z' },
                  { 4, 'A' },  { 2, 'P' },  { 0, 'C' } };

    if (in_64_bit_mode(env)) {
        g_string_append_printf(out, "RIP=%016" PRIx64 " RFL=%08x [", env->eip,
                               (uint32_t)env->eflags);
    } else {
        g_string_append_printf(out, "EIP=%08x EFL=%08x [", (uint32_t)env->eip,
                               (uint32_t)env->eflags);
    }
    for (unsigned i = 0; i < G_N_ELEMENTS(flags); i++) {
        g_string_append_c(out, env->eflags >> flags[i].bit & 1 ? flags[i].name : '-');
    }
    g_string_append_printf(out, "] CPL=%u II=%d A20=%d SMM=%d HLT=%u\n",
                           env->hflags & X86_HF_CPL_MASK, (env->hflags & X86_HF_INHIBIT_IRQ) != 0,
                           env->a20_mask >> 20 & 1, (env->hflags & X86_HF_SMM) != 0, cpu->halted);
}

static const char *const system_types[2][16] = {
    { /* legacy mode */
      "Reserved", "TSS16-avl", "LDT", "TSS16-busy", "CallGate16", "TaskGate", "IntGate16",
      "TrapGate16", "Reserved", "TSS32-avl", "Reserved", "TSS32-busy", "CallGate32", "Reserved",
      "IntGate32", "TrapGate32" },
    { /* long mode */
      "<hiword>", "Reserved", "LDT", "Reserved", "Reserved", "Reserved", "Reserved", "Reserved",
      "Reserved", "TSS64-avl", "Reserved", "TSS64-busy", "CallGate64", "Reserved", "IntGate64",
      "TrapGate64" },
};

static void dump_segment_type(const X86State *env, const X86Segment *s, GString *out)
{
    uint32_t f = s->flags;

    g_string_append_printf(out, " DPL=%u ", f >> X86_DESC_DPL_SHIFT & 3);
    if (!(f & X86_DESC_S)) {
        g_string_append(
            out, system_types[(env->hflags & X86_HF_LMA) != 0][f >> X86_DESC_TYPE_SHIFT & 15]);
        return;
    }
    if (f & X86_DESC_CODE) {
        g_string_append_printf(out, "%s [%c%c",
                               f & X86_DESC_L   ? "CS64"
                               : f & X86_DESC_B ? "CS32"
                                                : "CS16",
                               f >> 10 & 1 ? 'C' : '-', f & X86_DESC_W ? 'R' : '-');
    } else {
        const char *name = (f & X86_DESC_B) || (env->hflags & X86_HF_LMA) ? "DS  " : "DS16";

        g_string_append_printf(out, "%s [%c%c", name, f >> 10 & 1 ? 'E' : '-',
                               f & X86_DESC_W ? 'W' : '-');
    }
    g_string_append_printf(out, "%c]", f & X86_DESC_A ? 'A' : '-');
}

static void dump_segment(const X86State *env, const char *name, const X86Segment *s, GString *out)
{
    g_string_append_printf(out, "%-3s=%04x ", name, s->selector);
    g_string_append_printf(out, in_64_bit_mode(env) ? "%016" PRIx64 : "%08" PRIx64, s->base);
    g_string_append_printf(out, " %08x %08x", s->limit, s->flags & 0x00ffff00);
    if ((env->hflags & X86_HF_PE) && (s->flags & X86_DESC_P)) {
        dump_segment_type(env, s, out);
    }
    g_string_append_c(out, '\n');
}

static void dump_tables_and_controls(const X86State *env, GString *out)
{
    const bool wide = in_64_bit_mode(env);

    if (wide) {
        g_string_append_printf(out, "GDT=     %016" PRIx64 " %08x\nIDT=     %016" PRIx64 " %08x\n",
                               env->gdt.base, env->gdt.limit, env->idt.base, env->idt.limit);
        g_string_append_printf(out, "CR0=%08x CR2=%016" PRIx64 " CR3=%016" PRIx64 " CR4=%08x\n",
                               (uint32_t)env->cr[0], env->cr[2], env->cr[3], (uint32_t)env->cr[4]);
    } else {
        g_string_append_printf(out, "GDT=     %08x %08x\nIDT=     %08x %08x\n",
                               (uint32_t)env->gdt.base, env->gdt.limit, (uint32_t)env->idt.base,
                               env->idt.limit);
        g_string_append_printf(out, "CR0=%08x CR2=%08x CR3=%08x CR4=%08x\n", (uint32_t)env->cr[0],
                               (uint32_t)env->cr[2], (uint32_t)env->cr[3], (uint32_t)env->cr[4]);
    }
    for (unsigned i = 0; i < 4; i++) {
        g_string_append_printf(out, "DR%u=%016" PRIx64 " ", i, env->dr[i]);
    }
    g_string_append_printf(out, "\nDR6=%016" PRIx64 " DR7=%016" PRIx64 "\nEFER=%016" PRIx64 "\n",
                           env->dr[6], env->dr[7], env->efer);
}

static void dump_fpu(const X86State *env, GString *out)
{
    unsigned vectors = in_64_bit_mode(env) ? 16 : 8;

    g_string_append_printf(out, "FCW=%04x FSW=%04x [ST=%d] FTW=%02x MXCSR=%08x\n", env->fpuc,
                           env->fpus, env->fpus >> 11 & 7, (uint8_t)~env->fptags, env->mxcsr);
    for (unsigned i = 0; i < 8; i++) {
        g_string_append_printf(out, "FPR%u=%016" PRIx64 " %04x%c", i, env->fpregs[i].mantissa,
                               env->fpregs[i].exponent, i % 2 ? '\n' : ' ');
    }
    for (unsigned i = 0; i < vectors; i++) {
        g_string_append_printf(out, "XMM%02u=%016" PRIx64 " %016" PRIx64 "%c", i,
                               env->xmm_regs[i].q[1], env->xmm_regs[i].q[0], i % 2 ? '\n' : ' ');
    }
}

void x86_cpu_dump_registers(const Cpu *cpu, GString *out, bool with_fpu)
{
    static const char *const names[X86_SEGS] = { "ES", "CS", "SS", "DS", "FS", "GS" };
    const X86State *env = &X86_CPU(cpu)->env;

    dump_general(env, out);
    dump_flags(cpu, env, out);
    for (unsigned seg = 0; seg < X86_SEGS; seg++) {
        dump_segment(env, names[seg], &env->segs[seg], out);
    }
    dump_segment(env, "LDT", &env->ldt, out);
    dump_segment(env, "TR", &env->tr, out);
    dump_tables_and_controls(env, out);
    if (with_fpu) {
        dump_fpu(env, out);
    }
}

/* ---- machine checks ------------------------------------------------------------------------------------------- */

static void hmp_mce(Hmp *hmp, const HmpArgs *args)
{
    Cpu *cpu = cpu_by_index(hmp_arg_int(args, "cpu_index", -1));
    GError *error = NULL;

    if (!cpu) {
        hmp_puts(hmp, "invalid CPU index\n");
        return;
    }
    x86_cpu_inject_mce(X86_CPU(cpu), hmp_arg_int(args, "bank", 0), hmp_arg_int(args, "status", 0),
                       hmp_arg_int(args, "mcg_status", 0), hmp_arg_int(args, "addr", 0),
                       hmp_arg_int(args, "misc", 0),
                       hmp_arg_has(args, "broadcast") ? X86_MCE_BROADCAST : 0, &error);
    if (error) {
        hmp_printf(hmp, "%s\n", error->message);
        g_error_free(error);
    }
}

static const HmpCommand x86_commands[] = {
    { "mce", "broadcast:-b,cpu_index:i,bank:i,status:i,mcg_status:i,addr:i,misc:i",
      "[-b] cpu bank status mcgstatus addr misc",
      "inject a MCE on the given CPU [and broadcast to other CPUs with -b option]", hmp_mce },
};
HMP_REGISTER(x86_commands)
