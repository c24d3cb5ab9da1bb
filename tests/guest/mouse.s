# SPDX-License-Identifier: LGPL-2.1-or-later
# A boot sector guest that says on COM1 what its keyboard and its PS/2 mouse send: "key N" and
# "mouse N", a line a byte, behind "tick 1", when it is ready. It looks 18 times a second.
    .code16
    .globl _start
_start:
    cli
    xorw %ax, %ax
    movw %ax, %ds
    movw %ax, %es
    movw %ax, %ss
    movw $0x7c00, %sp
    cld
    movb $0xfe, %al                 # nothing but the firmware's timer
    outb %al, $0x21
    movb $0xff, %al
    outb %al, $0xa1
    movb $0xa8, %al                 # the controller's port of the mouse is open
    call command
    movb $0xd4, %al                 # to the mouse: tell what happens
    call command
    call room
    movb $0xf4, %al
    outb %al, $0x60
1:  inb $0x64, %al                  # its answer, and what the firmware left
    testb $0x01, %al
    jz 1b
    inb $0x60, %al
    cmpb $0xfa, %al
    jne 1b
    movw $ready, %si
    call say
forever:
    sti
    hlt
    cli
next:
    inb $0x64, %al
    testb $0x01, %al
    jz forever
    movw $key, %si
    testb $0x20, %al
    jz 1f
    movw $mouse, %si
1:  inb $0x60, %al
    movb %al, %cl
    call say
    call say_byte
    jmp next

command:
    call room
    outb %al, $0x64
    ret

room:                               # until the controller takes a byte; %al stays
    pushw %ax
1:  inb $0x64, %al
    testb $0x02, %al
    jnz 1b
    popw %ax
    ret

    .include "com1.s"

ready: .asciz "tick 1\r\n"
key: .asciz "key "
mouse: .asciz "mouse "
    .org 510
    .word 0xaa55
