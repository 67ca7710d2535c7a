/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Registers in a core file: struct elf_prstatus of Linux (x86_64 or i386), and the note "QEMU" of version 1 as stock's dumps have
 * it: le32 version, le32 size, then le64 registers, ten segments {le32 selector, limit, attributes, zero, le64 base}, cr0 to cr4,
 * and the kernel's GS base.
 */
#include "util/osdep.h"
#include "dump-notes.h"

#include <elf.h>
#include "target/i386/cpu.h"
#include "util/bytes.h"

#define PRSTATUS_64 336
#define PRSTATUS_32 144
#define QEMU_NOTE 440

bool x86_dump_long_mode(void)
{
    Cpu *cpu = cpu_first();

    if (!cpu) {
        return true;
    }
    cpu_sync(cpu);
    return X86_CPU(cpu)->env.efer & X86_EFER_LMA;
}

static void add_note(GByteArray *out, const char *name, uint32_t type, const uint8_t *content,
                     uint32_t len)
{
    uint8_t header[20] = { 0 };
    const uint8_t zeros[4] = { 0 };
    uint32_t name_len = strlen(name) + 1;

    store_le32(header, name_len);
    store_le32(header + 4, len);
    store_le32(header + 8, type);
    memcpy(header + 12, name, name_len);
    g_byte_array_append(out, header, 12 + (name_len + 3) / 4 * 4);
    g_byte_array_append(out, content, len);
    g_byte_array_append(out, zeros, (4 - len % 4) % 4);
}

/* user_regs_struct of x86_64 */
static void prstatus_64(GByteArray *out, const X86State *env, uint32_t pid)
{
    static const uint8_t order[] = { 15, 14, 13,      12,      X86_RBP, X86_RBX, 11,     10,
                                     9,  8,  X86_RAX, X86_RCX, X86_RDX, X86_RSI, X86_RDI };
    const uint64_t rest[] = { 0,
                              env->eip,
                              env->segs[X86_CS].selector,
                              env->eflags,
                              env->regs[X86_RSP],
                              env->segs[X86_SS].selector,
                              env->segs[X86_FS].base,
                              env->segs[X86_GS].base,
                              env->segs[X86_DS].selector,
                              env->segs[X86_ES].selector,
                              env->segs[X86_FS].selector,
                              env->segs[X86_GS].selector };
    uint8_t note[PRSTATUS_64] = { 0 };
    uint8_t *at = note + 112;

    store_le32(note + 32, pid);
    for (unsigned i = 0; i < sizeof(order); i++, at += 8) {
        store_le64(at, env->regs[order[i]]);
    }
    for (unsigned i = 0; i < G_N_ELEMENTS(rest); i++, at += 8) {
        store_le64(at, rest[i]);
    }
    add_note(out, "CORE", NT_PRSTATUS, note, sizeof(note));
}

/* user_regs_struct of i386 */
static void prstatus_32(GByteArray *out, const X86State *env, uint32_t pid)
{
    const uint32_t regs[] = { env->regs[X86_RBX],
                              env->regs[X86_RCX],
                              env->regs[X86_RDX],
                              env->regs[X86_RSI],
                              env->regs[X86_RDI],
                              env->regs[X86_RBP],
                              env->regs[X86_RAX],
                              env->segs[X86_DS].selector,
                              env->segs[X86_ES].selector,
                              env->segs[X86_FS].selector,
                              env->segs[X86_GS].selector,
                              0,
                              env->eip,
                              env->segs[X86_CS].selector,
                              env->eflags,
                              env->regs[X86_RSP],
                              env->segs[X86_SS].selector };
    uint8_t note[PRSTATUS_32] = { 0 };

    store_le32(note + 24, pid);
    for (unsigned i = 0; i < G_N_ELEMENTS(regs); i++) {
        store_le32(note + 72 + 4 * i, regs[i]);
    }
    add_note(out, "CORE", NT_PRSTATUS, note, sizeof(note));
}

static uint8_t *put_segment(uint8_t *at, const X86Segment *seg)
{
    store_le32(at, seg->selector);
    store_le32(at + 4, seg->limit);
    store_le32(at + 8, seg->flags);
    store_le32(at + 12, 0);
    store_le64(at + 16, seg->base);
    return at + 24;
}

static void qemu_note(GByteArray *out, const X86State *env)
{
    static const uint8_t order[] = { X86_RAX, X86_RBX, X86_RCX, X86_RDX, X86_RSI, X86_RDI,
                                     X86_RSP, X86_RBP, 8,       9,       10,      11,
                                     12,      13,      14,      15 };
    static const uint8_t segments[] = { X86_CS, X86_DS, X86_ES, X86_FS, X86_GS, X86_SS };
    uint8_t note[QEMU_NOTE] = { 0 };
    uint8_t *at = note + 8;

    store_le32(note, 1);
    store_le32(note + 4, QEMU_NOTE);
    for (unsigned i = 0; i < sizeof(order); i++, at += 8) {
        store_le64(at, env->regs[order[i]]);
    }
    store_le64(at, env->eip);
    store_le64(at + 8, env->eflags);
    at += 16;
    for (unsigned i = 0; i < sizeof(segments); i++) {
        at = put_segment(at, &env->segs[segments[i]]);
    }
    at = put_segment(at, &env->ldt);
    at = put_segment(at, &env->tr);
    at = put_segment(at, &env->gdt);
    at = put_segment(at, &env->idt);
    for (unsigned i = 0; i < 5; i++, at += 8) {
        store_le64(at, env->cr[i]);
    }
    store_le64(at, env->kernelgsbase);
    add_note(out, "QEMU", 0, note, sizeof(note));
}

void x86_dump_notes(GByteArray *out, bool long_mode)
{
    cpu_sync_all();
    CPU_FOREACH(cpu)
    {
        const X86State *env = &X86_CPU(cpu)->env;

        if (long_mode) {
            prstatus_64(out, env, cpu->index + 1);
        } else {
            prstatus_32(out, env, cpu->index + 1);
        }
    }
    CPU_FOREACH(cpu)
    {
        qemu_note(out, &X86_CPU(cpu)->env);
    }
}
