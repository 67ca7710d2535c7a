/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A network bootstrap program (PXE 2.1, 2.4.5): says the sum of the bytes of its file, SIZE of them, on the serial line, and END.
 * It is loaded at 0000:7C00.
 */
    .code16
    .globl _start
_start:
    cli
    xorw    %ax, %ax
    movw    %ax, %ds
    movw    %ax, %ss
    movw    $0x7000, %sp
    xorl    %edx, %edx
    movl    $_start, %esi
    movl    $SIZE, %ecx
sum:
    movl    %esi, %eax          /* any address, by a segment */
    movl    %eax, %ebx
    shrl    $4, %eax
    movw    %ax, %es
    andw    $15, %bx
    movzbl  %es:(%bx), %eax
    addl    %eax, %edx
    incl    %esi
    decl    %ecx
    jnz     sum
    movl    %edx, %ebp
    movw    $hello, %si
    call    say
    movw    $8, %cx
digit:
    roll    $4, %ebp
    movw    %bp, %ax
    andb    $15, %al
    addb    $'0', %al
    cmpb    $'9', %al
    jbe     1f
    addb    $'a' - '9' - 1, %al
1:  call    put
    loop    digit
    movw    $end, %si
    call    say
2:  sti
    hlt
    jmp     2b

say:
    lodsb
    testb   %al, %al
    jz      3f
    call    put
    jmp     say
3:  ret

put:
    movb    %al, %ah
    movw    $0x3fd, %dx
4:  inb     %dx, %al
    testb   $0x20, %al
    jz      4b
    movb    %ah, %al
    movw    $0x3f8, %dx
    outb    %al, %dx
    ret

hello:
    .asciz "sum of the program "
end:
    .asciz "\r\nEND\r\n"
