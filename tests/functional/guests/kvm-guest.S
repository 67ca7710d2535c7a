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
.ifdef FLOOD
.set PATTERNS, 1
.set AREA_PAGES, 2560            /* more than a small ring holds, in one go */
.else
.set AREA_PAGES, 512
.endif
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

/* ---- every clock that a guest can read ----
 * Sums at 0x7100: time stamp counter, kvmclock (ns), PM timer and HPET ticks since the start, 8 bytes each; then the seconds of the RTC.
 * Faults: 1 to 4, that clock has gone back. */
.ifdef CLOCKS
.set SUMS, 0x7100
.set SECONDS, 0x7120
.set LAST_PM, 0x7130
.set LAST_HPET, 0x7134
.set PVCLOCK, 0x7200
.set PM_TIMER, 0x608
.set HPET, 0xfed00000

.macro config address width value
    movl $0x80000b00 + \address, %eax
    movw $0xcf8, %dx
    outl %eax, %dx
    movl $\value, %eax
    movw $0xcfc, %dx
    \width, %dx
.endm

/* edx:eax is the clock now; never less than its sum. */
.macro not_before n
    cmpl SUMS + 8 * (\n - 1) + 4, %edx
    ja 4f
    jb 3f
    cmpl SUMS + 8 * (\n - 1), %eax
    jae 4f
3:  movl %eax, 0x7140
    movl %edx, 0x7144
    fail \n
4:  movl %eax, SUMS + 8 * (\n - 1)
    movl %edx, SUMS + 8 * (\n - 1) + 4
.endm

/* eax is a counter's increment of so many bits; half of them is going back. */
.macro add_to n bits
    testl $1 << (\bits - 1), %eax
    jz 4f
    movl %eax, 0x7140
    fail \n
4:  addl %eax, SUMS + 8 * (\n - 1)
    adcl $0, SUMS + 8 * (\n - 1) + 4
.endm

guest:
    config 0x40 "outl %eax" 0x601
    config 0x80 "outb %al" 1
    movl $1, HPET + 0x10
    movl $0x4b564d01, %ecx       /* MSR_KVM_SYSTEM_TIME_NEW */
    movl $PVCLOCK + 1, %eax
    xorl %edx, %edx
    wrmsr
    movl HPET + 0xf0, %eax
    movl %eax, LAST_HPET
    movw $PM_TIMER, %dx
    inl %dx, %eax
    movl %eax, LAST_PM
clocks:
    rdtsc
    not_before 1
pvclock:                         /* Documentation/virt/kvm/x86/msr.rst: while the version is even, and did not change */
    movl PVCLOCK, %ebp
    testl $1, %ebp
    jnz pvclock
    rdtsc
    subl PVCLOCK + 8, %eax
    sbbl PVCLOCK + 12, %edx
    movb PVCLOCK + 28, %cl
    testb %cl, %cl
    js shift_right
    shldl %cl, %eax, %edx
    shll %cl, %eax
    jmp scale
shift_right:
    negb %cl
    shrdl %cl, %edx, %eax
    shrl %cl, %edx
scale:
    movl %edx, %esi
    mull PVCLOCK + 24
    movl %edx, %edi              /* low part, its 32 bits behind the point dropped */
    movl %esi, %eax
    mull PVCLOCK + 24
    addl %edi, %eax
    adcl $0, %edx
    addl PVCLOCK + 16, %eax
    adcl PVCLOCK + 20, %edx
    cmpl PVCLOCK, %ebp
    jne pvclock
    not_before 2
    movw $PM_TIMER, %dx
    inl %dx, %eax
    movl %eax, %ebx
    subl LAST_PM, %eax
    andl $0xffffff, %eax
    movl %ebx, LAST_PM
    add_to 3 24
    movl HPET + 0xf0, %eax
    movl %eax, %ebx
    subl LAST_HPET, %eax
    movl %ebx, LAST_HPET
    add_to 4 32
    xorl %eax, %eax
    outb %al, $0x70
    inb $0x71, %al
    movl %eax, SECONDS
    incl HEARTBEAT
    jmp clocks
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

/* ---- the speaker is on (port 61h), and stays so ---- */
.ifdef SPEAKER
guest:
    movb $2, %al
    outb %al, $0x61
1:  inb $0x61, %al
    testb $2, %al
    jz speaker_off
    incl HEARTBEAT
    jmp 1b
speaker_off:
    fail 1
.endif

/* ---- the PIT wakes it 100 times a second; NMIs are counted ---- */
.ifdef TIMER
guest:
    call apic_on
    call timer_100_hz
    jmp wait_in_real_mode
.endif

/* ---- the local APIC's timer, periodic, 1 ms with the bus clock of 1 GHz ---- */
/* With everything that KVM writes by itself (Documentation/virt/kvm/x86/msr.rst), as far as CPUID says that it is there: WRITERS. */
.ifdef WRITERS
.set APIC_TIMER, 1
.set ACTIVE, 0x7148              /* 40000001h EAX: bit 3 the clock, 5 stolen time, 6 the end of interrupts */
.macro write_to bit msr address
    testl $1 << \bit, ACTIVE
    jz 1f
    movl $\msr, %ecx
    movl $\address + 1, %eax
    xorl %edx, %edx
    wrmsr
1:
.endm
.endif
.ifdef APIC_TIMER
guest:
.ifdef WRITERS
    movl $0x40000001, %eax
    cpuid
    movl %eax, ACTIVE
    write_to 3 0x4b564d01 0x7200
    write_to 5 0x4b564d03 0x7300
    write_to 6 0x4b564d04 0x7380
.endif
    movb $0xff, %al              /* nothing from the 8259, whose vectors nobody has set */
    outb %al, $0x21
    call apic_on
    movl $0x20040, APIC + 0x320
    movl $0xb, APIC + 0x3e0
    movl $1000000, APIC + 0x380
    jmp wait_in_real_mode
.endif

/*
 * ---- reads all of AREA, and survives machine checks: what the last one said stands in RAM, its page is left alone ----
 * Without CR4.MCE: NO_MCE.
 */
.ifdef NO_MCE
.set POISON, 1
.endif
.ifdef POISON
.set CHECKS, 0x7014
.set CHECK_MCG, 0x7018
.set CHECK_STATUS, 0x701c        /* and 0x7020 */
.set CHECK_ADDRESS, 0x7024
.set SKIP, 0x7028
.set IDT, 0xc000
.set BANK_9, 0x424
guest:
    movl $0, CHECKS
    movl $0, SKIP
    movl $check, %eax
    movl %eax, %edx
    andl $0xffff, %eax
    orl $0x80000, %eax
    movl %eax, IDT + 18 * 8
    andl $0xffff0000, %edx
    orl $0x8e00, %edx
    movl %edx, IDT + 18 * 8 + 4
    lidtl idt_pointer
.ifndef NO_MCE
    movl $0x40, %eax
    movl %eax, %cr4
.endif
walk:
    movl $AREA, %edi
    movl $AREA_PAGES, %ecx
1:  cmpl SKIP, %edi
    je 2f
    movl (%edi), %eax
2:  addl $0x1000, %edi
    loop 1b
    incl HEARTBEAT
    jmp walk
check:
    movl $0x17a, %ecx
    rdmsr
    movl %eax, CHECK_MCG
    movl $(BANK_9 + 1), %ecx
    rdmsr
    movl %eax, CHECK_STATUS
    movl %edx, CHECK_STATUS + 4
    movl $(BANK_9 + 2), %ecx
    rdmsr
    movl %eax, CHECK_ADDRESS
    andl $0xfffff000, %eax
    movl %eax, SKIP
    xorl %eax, %eax
    xorl %edx, %edx
    movl $(BANK_9 + 1), %ecx
    wrmsr
    movl $0x17a, %ecx
    wrmsr
    incl CHECKS
    movl $STACK, %esp
    jmp walk
idt_pointer:
    .word 19 * 8 - 1
    .long IDT
.endif

/* ---- a second processor that counts on its own ---- */
.ifdef LATE
.set SECOND, 1
.endif
.ifdef LEAVES                    /* the second one ejects itself as soon as somebody says so (ACPI CPU hot plug, AF00h) */
.set SECOND, 1
.endif
.ifdef SECOND
guest:
.ifdef LATE
1:  incl HEARTBEAT               /* until somebody says so */
    cmpl $0, 0x7050
    je 1b
.endif
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
.ifdef LEAVES
    cmpl $0, 0x7050
    je 1b
    movw $0xaf00, %dx
    xorl %eax, %eax
    outb %al, %dx                /* to the registers of commands */
    incl %eax
    outl %eax, %dx
    movb $8, %al
    movw $0xaf04, %dx
    outb %al, %dx
.endif
    jmp 1b
ap_end:
.code32
.endif

/*
 * ---- a timer on the I/O APIC, whose interrupts are the first processor's; both are in x2APIC mode ----
 * The second is started when somebody says so (0x7050); it counts interrupts that come to it at 0x7054, and says its id at 0x7058.
 */
.ifdef EXTENDED_APIC
.set START, 0x7050
.set STRAYS, 0x7054
.set AP_ID, 0x7058
.set AP_VECTORS, 0xd000
.set VECTOR, 0x30

.macro x2apic_on
    movl $0x1b, %ecx
    rdmsr
    orl $0xc00, %eax
    wrmsr
    xorl %edx, %edx
    movl $0x1ff, %eax
    movl $0x80f, %ecx
    wrmsr
.endm

.macro x2apic_eoi
    xorl %eax, %eax
    xorl %edx, %edx
    movl $0x80b, %ecx
    wrmsr
.endm

.macro x2apic_command value
    xorl %edx, %edx
    movl $\value, %eax
    movl $0x830, %ecx
    wrmsr
    movl $100000, %ecx
1:  addr32 loop 1b
.endm

guest:
    movl $ap_begin, %esi
    movl $AP_PAGE, %edi
    movl $(ap_end - ap_begin), %ecx
    rep movsb
    x2apic_on
    call timer_100_hz
    movb $0xff, %al              /* by the I/O APIC alone */
    outb %al, $0x21
    movl $0x15, 0xfec00000       /* pin 2 to the processor with the id 0, fixed */
    movl $0, 0xfec00010
    movl $0x14, 0xfec00000
    movl $VECTOR, 0xfec00010
    ljmp $24, $(x2apic_protected - _start)
.code16
x2apic_protected:
    movl %cr0, %eax
    andl $~1, %eax
    movl %eax, %cr0
    ljmp $0xf000, $(x2apic_real - _start)
x2apic_real:
    xorw %ax, %ax
    movw %ax, %ds
    movw %ax, %ss
    movw $STACK, %sp
    movl $(0xf0000000 | (on_device - _start)), 4 * VECTOR
    movl $(0xf0000000 | (on_stray - _start)), AP_VECTORS + 4 * VECTOR
1:  sti
    hlt
    incl HEARTBEAT
    cmpl $0, START
    je 1b
    movl $0, START
    x2apic_command 0xc4500       /* INIT to all but self */
    x2apic_command (0xc4600 | AP_PAGE >> 12)
    x2apic_command (0xc4600 | AP_PAGE >> 12)
    jmp 1b
on_device:
    incl TICKS
    x2apic_eoi
    iret
on_stray:
    pushal
    incl STRAYS
    x2apic_eoi
    popal
    iret
ap_begin:
    xorw %ax, %ax
    movw %ax, %ds
    movw %ax, %ss
    movw $(STACK - 0x400), %sp
    x2apic_on
    lidtl AP_PAGE + ap_vectors - ap_begin
    sti
1:  movl $0x802, %ecx
    rdmsr
    movl %eax, AP_ID
    incl AP_HEARTBEAT
    jmp 1b
ap_vectors:
    .word 0x3ff
    .long AP_VECTORS
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

/* ---- ejects the PCI slots that stand at 0x7050 as soon as some do, and counts that in 0x7008 ---- */
.ifdef EJECT
guest:
1:  incl HEARTBEAT
    movl 0x7050, %eax
    testl %eax, %eax
    jz 1b
    movw $0xae08, %dx
    outl %eax, %dx
    incl TICKS
1:  incl HEARTBEAT
    jmp 1b
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
