/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The boot sector, for floppies, hard disks and, as an El Torito image without emulation, CDs. It loads the rest of the
 * program unless the BIOS has done so (it loads the whole image from a CD), and calls real_main(); later it goes to
 * protected mode for good and calls protected_main().
 */
        .code16
        .section .boot, "ax"
        .globl start, medium_bytes, medium_sector, boot_drive
start:  jmp     begin
        .org    8
/* Filled in by the program that makes the medium: its length, and the bytes of a sector as the BIOS sees it. */
medium_bytes:   .long 0
medium_sector:  .long 0
boot_drive:     .long 0

begin:  ljmp    $0, $1f
1:      cli
        xor     %ax, %ax
        mov     %ax, %ds
        mov     %ax, %es
        mov     %ax, %ss
        mov     $0x7c00, %esp
        cld
        sti
        movzbl  %dl, %edx
        mov     %edx, boot_drive
        cmpl    $0x6e726554, second_sector  /* "Tern" */
        je      loaded
        mov     $image_sectors_minus_one, %bp
        mov     $1, %ebx                    /* block */
        mov     $0x7e0, %di                 /* segment */
load:   call    read_block
        jc      failed
        inc     %ebx
        add     $0x20, %di
        dec     %bp
        jnz     load
loaded: xor     %eax, %eax
        mov     $image_end, %edi
        mov     $bss_end, %ecx
        sub     %edi, %ecx
        rep stosb
        calll   real_main
        jmp     enter_protected_mode

failed: mov     $0x0e45, %ax                /* "E" on the screen */
        int     $0x10
        hlt
        jmp     failed

/* Block %ebx of 512 bytes to %di:0: by number where the drive can, else by cylinder, head and sector. */
read_block:
        mov     $0x41, %ah
        push    %bx
        mov     $0x55aa, %bx
        mov     boot_drive, %dl
        int     $0x13
        pop     %bx
        jc      1f
        mov     %di, packet_segment
        mov     %ebx, packet_block
        mov     $0x42, %ah
        mov     boot_drive, %dl
        mov     $packet, %si
        int     $0x13
        ret
1:      mov     %ebx, %eax                  /* floppy: 18 sectors, 2 heads */
        xor     %edx, %edx
        mov     $18, %ecx
        div     %ecx
        inc     %dl
        mov     %dl, %cl
        mov     %al, %dh
        and     $1, %dh
        shr     $1, %ax
        mov     %al, %ch
        mov     boot_drive, %dl
        mov     %di, %es
        push    %bx
        xor     %bx, %bx
        mov     $0x0201, %ax
        int     $0x13
        pop     %bx
        push    $0
        pop     %es
        ret

        .balign 4
packet: .byte   16, 0
        .word   1, 0
packet_segment: .word 0
packet_block:   .long 0, 0

        .org    510
        .word   0xaa55
second_sector:
        .ascii  "Tern"

enter_protected_mode:
        cli
        mov     $0xff, %al                  /* no interrupts from here on */
        out     %al, $0x21
        out     %al, $0xa1
        in      $0x92, %al
        or      $2, %al
        out     %al, $0x92
        lgdtl   gdt_pointer
        mov     %cr0, %eax
        or      $1, %eax
        mov     %eax, %cr0
        ljmpl   $8, $1f
        .code32
1:      mov     $16, %eax
        mov     %eax, %ds
        mov     %eax, %es
        mov     %eax, %fs
        mov     %eax, %gs
        mov     %eax, %ss
        mov     $0x7c00, %esp
        call    protected_main
2:      hlt
        jmp     2b

        .balign 8
gdt:    .quad   0
        .quad   0x00cf9b000000ffff          /* code and data: all 4 GiB */
        .quad   0x00cf93000000ffff
gdt_pointer:
        .word   . - gdt - 1
        .long   gdt


        .section .note.GNU-stack, "", @progbits
