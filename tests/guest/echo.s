# SPDX-License-Identifier: LGPL-2.1-or-later
# A boot sector guest that sends back each byte that comes on COM2 and on COM3, and hums at 440 Hz
# through the PC speaker. On COM2, behind a chardev of SPICE's agent, it is an agent that repeats
# what the client says; on COM3, behind a SPICE port, a peer that loses and doubles nothing. When it
# is ready it says "tick 1" on COM1.
    .code16
    .globl _start
_start:
    cli
    xorw %ax, %ax
    movw %ax, %ds
    movw %ax, %es
    movw %ax, %ss
    movw $0x7c00, %sp
    movw $on_timer, 0x20            # interrupt 8
    movw %ax, 0x22
    movb $0xfe, %al                 # nothing but the timer
    outb %al, $0x21
    movb $0xff, %al
    outb %al, $0xa1
    movb $0x34, %al                 # 1193182 Hz / 1193 = 1000 Hz
    outb %al, $0x43
    movw $1193, %ax
    outb %al, $0x40
    movb %ah, %al
    outb %al, $0x40
    movb $0xb6, %al                 # 1193182 Hz / 2712 = 440 Hz
    outb %al, $0x43
    movw $2712, %ax
    outb %al, $0x42
    movb %ah, %al
    outb %al, $0x42
    inb $0x61, %al
    orb $3, %al
    outb %al, $0x61
    movw $0x2f8, %bx
    call open_port
    movw $0x3e8, %bx
    call open_port
    movw $0x3f8, %dx                # "tick 1" on COM1: from now on nothing is missed
    movw $ready, %si
    cld
say:
    lodsb
    outb %al, %dx
    testb %al, %al
    jnz say
    sti

forever:
    hlt
    movw $0x2f8, %bx
    call echo
    movw $0x3e8, %bx
    call echo
    jmp forever

open_port:                          # 8N1, FIFO on, DTR and RTS
    leaw 3(%bx), %dx
    movb $0x03, %al
    outb %al, %dx
    leaw 2(%bx), %dx
    movb $0x07, %al
    outb %al, %dx
    leaw 4(%bx), %dx
    movb $0x03, %al
    outb %al, %dx
    ret

echo:                               # all that has come
    leaw 5(%bx), %dx
    inb %dx, %al
    testb $0x01, %al
    jz echoed
    movw %bx, %dx
    inb %dx, %al
    movb %al, %cl
    leaw 5(%bx), %dx
wait_for_room:
    inb %dx, %al
    testb $0x20, %al
    jz wait_for_room
    movw %bx, %dx
    movb %cl, %al
    outb %al, %dx
    jmp echo
echoed:
    ret

on_timer:
    pushw %ax
    movb $0x20, %al
    outb %al, $0x20
    popw %ax
    iret

ready:
    .asciz "\ntick 1\n"

    .org 510
    .word 0xaa55
