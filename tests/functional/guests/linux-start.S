/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Stands at 1 MiB in place of Linux's decompressor (plain_kernel() in nested.py): enters the kernel that is already where it belongs, as
 * "64-bit Boot Protocol" in Documentation/x86/boot.rst wants it. Page tables and the entry's address come from there, too.
 */
.set TABLES, 0x101000
.set ENTRY, 0x107000

.code32
.globl _start
_start:
    cli
    cld
    movl $TABLES, %eax
    movl %eax, %cr3
    movl %cr4, %eax
    orl $0x20, %eax              /* PAE */
    movl %eax, %cr4
    movl $0xc0000080, %ecx       /* EFER.LME */
    rdmsr
    orl $0x100, %eax
    wrmsr
    movl %cr0, %eax
    orl $0x80000000, %eax
    movl %eax, %cr0
    lgdt gdt_pointer
    ljmpl $0x10, $long_mode

.code64
long_mode:
    movl $0x18, %eax
    movl %eax, %ds
    movl %eax, %es
    movl %eax, %ss
    movl %esi, %esi              /* boot parameters */
    jmpq *ENTRY

.balign 8
gdt: /* __BOOT_CS is 0x10, __BOOT_DS 0x18 */
    .quad 0, 0
    .quad 0x00af9b000000ffff
    .quad 0x00cf93000000ffff
gdt_pointer:
    .word gdt_pointer - gdt - 1
    .long gdt
