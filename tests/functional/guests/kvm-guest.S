/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A ROM of 64 KiB for tests with KVM: 32-bit code without paging, one guest by the symbol that is defined
 * (`as --32 --defsym PATTERNS=1`). What it has to tell stands in RAM:
 *
 *   0x7000 heartbeat   0x7004 fault: 0 is good, else a number of the guest's   0x7008 timer interrupts
 *   0x700c NMIs        0x7010 heartbeat of the second processor
 */
.set HEARTBEAT, 0x7000
.set FAULT, 0x7004
.set TICKS, 0x7008
.set NMIS, 0x700c
.set AP_HEARTBEAT, 0x7010
.set STACK, 0xa000
.set AP_PAGE, 0x6000
.set SAVED, 0xb000
.set AGAIN, 0xb400
.set AREA, 0x100000
.set AREA_PAGES, 512
.set APIC, 0xfee00000

.macro fail number
    movl $\number, FAULT
1:  cli
    hlt
    jmp 1b
.endm

.globl _start
_start:
.code16
begin:
    cli
    lgdtl %cs:(gdt_pointer - _start)
    movl %cr0, %eax
    orl $1, %eax
    movl %eax, %cr0
    ljmpl $8, $flat

.balign 8
gdt: /* marked as accessed: the processor would write that to the ROM */
    .quad 0
    .quad 0x00cf9b000000ffff
    .quad 0x00cf93000000ffff
    .quad 0x00009b0f0000ffff     /* 16-bit code at 0xf0000 */
gdt_pointer:
    .word gdt_pointer - gdt - 1
    .long gdt

.code32
flat:
    movw $16, %ax
    movw %ax, %ds
    movw %ax, %es
    movw %ax, %ss
    movl $STACK, %esp
    movl $0, HEARTBEAT
    movl $0, FAULT
    movl $0, TICKS
    movl $0, NMIS
    movl $0, AP_HEARTBEAT
    jmp guest

/* Master 8259 at vector 0x20 with the timer alone, PIT at 100 Hz. */
timer_100_hz:
    movb $0x11, %al
    outb %al, $0x20
    movb $0x20, %al
    outb %al, $0x21
    movb $4, %al
    outb %al, $0x21
    movb $1, %al
    outb %al, $0x21
    movb $0xfe, %al
    outb %al, $0x21
    movb $0x34, %al
    outb %al, $0x43
    movb $0x9c, %al
    outb %al, $0x40
    movb $0x2e, %al
    outb %al, $0x40
    ret

/* The local APIC on, LINT0 to the 8259, LINT1 to NMI. */
apic_on:
    movl $0x1ff, APIC + 0xf0
    movl $0x700, APIC + 0x350
    movl $0x400, APIC + 0x360
    ret

.code16
/* Interrupts come in real mode: not every KVM can return from one in protected mode. ES keeps a limit of 4 GiB. */
on_tick:
    incl TICKS
    pushw %ax
    movb $0x20, %al
    outb %al, $0x20
    popw %ax
    iret

on_apic_timer:
    incl TICKS
    pushl %edi
    movl $(APIC + 0xb0), %edi
    movl $0, %es:(%edi)
    popl %edi
    iret

on_nmi:
    incl NMIS
    iret

real_protected:
    movl %cr0, %eax
    andl $~1, %eax
    movl %eax, %cr0
    ljmp $0xf000, $(real - _start)
real:
    xorw %ax, %ax
    movw %ax, %ds
    movw %ax, %ss
    movw $STACK, %sp
    movl $(0xf0000000 | (on_nmi - _start)), 4 * 2
    movl $(0xf0000000 | (on_tick - _start)), 4 * 0x20
    movl $(0xf0000000 | (on_apic_timer - _start)), 4 * 0x40
1:  sti
    hlt
    incl HEARTBEAT
    jmp 1b
.code32

/* Does not return: counts what comes. */
wait_in_real_mode:
    ljmp $24, $(real_protected - _start)

/* ---- a pattern in 512 pages, a new one each pass, each page checked before it changes ---- */
.ifdef PATTERNS
guest:
    xorl %ebp, %ebp              /* the pass whose pattern is there; 0: zeros */
pass:
    movl $AREA, %edi
    xorl %ecx, %ecx
page:
    movl %ebp, %eax
    testl %eax, %eax
    jz 2f
    imull $0x9e3779b1, %eax
    addl %ecx, %eax
2:  cmpl %eax, (%edi)
    jne wrong
    cmpl %eax, 0xffc(%edi)
    jne wrong
    leal 1(%ebp), %eax
    imull $0x9e3779b1, %eax
    addl %ecx, %eax
    movl %eax, (%edi)
    movl %eax, 0xffc(%edi)
    addl $0x1000, %edi
    incl %ecx
    cmpl $AREA_PAGES, %ecx
    jne page
    incl %ebp
    incl HEARTBEAT
    jmp pass
wrong:
    movl %edi, 0x7020
    movl %eax, 0x7024
    movl (%edi), %eax
    movl %eax, 0x7028
    fail 1
.endif

/* ---- registers that nobody touches ---- */
.ifdef REGISTERS
guest:
    movl $0x600, %eax            /* OSFXSR, OSXMMEXCPT */
    movl %eax, %cr4
    fninit
    fxsave SAVED
    movw $0x2800, SAVED + 2      /* three values on the stack: the top is 5 */
    movb $0xe0, SAVED + 4
    movl $0x2168c235, SAVED + 32 /* pi in ST(0) */
    movl $0xc90fdaa2, SAVED + 36
    movw $0x4000, SAVED + 40
    movl $0x00001f00, SAVED + 24
    movl $0x11223344, SAVED + 160
    movl $0x55667788, SAVED + 272 + 12
    fxrstor SAVED
    movl $0x00123456, %eax
    movl %eax, %dr0
    movl $0x00abcdef, %eax
    movl %eax, %dr3
    movl $0x175, %ecx
    movl $0x7fff0000, %eax
    xorl %edx, %edx
    wrmsr
    movl $0xcafe0000, %eax
    movl %eax, %cr2
    movl $0x13579bdf, %ebx
    movl $0x0f1e2d3c, %ebp
again:
    incl HEARTBEAT
    cmpl $0x13579bdf, %ebx
    jne bad_general
    cmpl $0x0f1e2d3c, %ebp
    jne bad_general
    fxsave AGAIN
    movl $(SAVED + 160), %esi
    movl $(AGAIN + 160), %edi
    movl $32, %ecx
    repe cmpsl
    jne bad_sse
    cmpl $0x1f00, AGAIN + 24
    jne bad_sse
    cmpw $0x2800, AGAIN + 2
    jne bad_x87
    cmpb $0xe0, AGAIN + 4
    jne bad_x87
    cmpl $0xc90fdaa2, AGAIN + 36
    jne bad_x87
    cmpw $0x4000, AGAIN + 40
    jne bad_x87
    movl %dr0, %eax
    cmpl $0x00123456, %eax
    jne bad_debug
    movl %dr3, %eax
    cmpl $0x00abcdef, %eax
    jne bad_debug
    movl $0x175, %ecx
    rdmsr
    cmpl $0x7fff0000, %eax
    jne bad_msr
    movl %cr2, %eax
    cmpl $0xcafe0000, %eax
    jne bad_control
    jmp again
bad_general:
    fail 1
bad_sse:
    fail 2
bad_x87:
    fail 3
bad_debug:
    fail 4
bad_msr:
    fail 5
bad_control:
    fail 6
.endif

/* ---- the PIT wakes it 100 times a second; NMIs are counted ---- */
.ifdef TIMER
guest:
    call apic_on
    call timer_100_hz
    jmp wait_in_real_mode
.endif

/* ---- the local APIC's timer, periodic, 1 ms with the bus clock of 1 GHz ---- */
.ifdef APIC_TIMER
guest:
    movb $0xff, %al              /* nothing from the 8259, whose vectors nobody has set */
    outb %al, $0x21
    call apic_on
    movl $0x20040, APIC + 0x320
    movl $0xb, APIC + 0x3e0
    movl $1000000, APIC + 0x380
    jmp wait_in_real_mode
.endif

/* ---- a second processor that counts on its own ---- */
.ifdef SECOND
guest:
    movl $ap_begin, %esi
    movl $AP_PAGE, %edi
    movl $(ap_end - ap_begin), %ecx
    rep movsb
    call apic_on
    movl $0xc4500, APIC + 0x300  /* INIT to all but self */
    movl $100000, %ecx
1:  loop 1b
    movl $(0xc4600 | AP_PAGE >> 12), APIC + 0x300
    movl $100000, %ecx
1:  loop 1b
    movl $(0xc4600 | AP_PAGE >> 12), APIC + 0x300
beat:
    incl HEARTBEAT
    jmp beat
.code16
ap_begin:
    xorw %ax, %ax
    movw %ax, %ds
1:  incl AP_HEARTBEAT
    jmp 1b
ap_end:
.code32
.endif

/* ---- a ROM keeps what it has, and there is nothing behind the end of RAM ---- */
.ifdef ROM
guest:
    movl 0xffff0000, %ebx
    movl $0xdeadbeef, 0xffff0000
    cmpl %ebx, 0xffff0000
    jne rom_changed
    movl 0x000f0000, %ebx
    movl $0xdeadbeef, 0x000f0000
    cmpl %ebx, 0x000f0000
    jne rom_changed
    movl $0x12345678, 0xd0000000
    cmpl $0, 0xd0000000
    jne hole_keeps
    movl 0xfec00010, %eax        /* the window of the I/O APIC: its version */
    movl $1, 0xfec00000
    movl 0xfec00010, %eax
    andl $0x00ff0000, %eax
    cmpl $0x00170000, %eax
    jne no_ioapic
    movl $1, HEARTBEAT
    cli
1:  hlt
    jmp 1b
rom_changed:
    fail 1
hole_keeps:
    fail 2
no_ioapic:
    fail 3
.endif

/* ---- nothing to do ---- */
.ifdef HALT
guest:
    movl $1, HEARTBEAT
    cli
1:  hlt
    jmp 1b
.endif

/* ---- an exception that nobody takes ---- */
.ifdef TRIPLE_FAULT
guest:
    incl 0x7040
    movw $0, 0x7048
    movl $0, 0x704a
    lidt 0x7048
    xorl %ecx, %ecx
    divl %ecx
.endif

.org 0xfff0
.code16
    jmp begin
.org 0x10000
