# SPDX-License-Identifier: LGPL-2.1-or-later
# A boot sector guest that says on COM1 what its keyboard sends: "key N", a line a byte of set 1, in
# order, behind "tick 1", when it is ready. A byte that the guest has not read is lost beyond sixteen:
# QEMU's keyboard keeps no more.
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
    movw $begin, head
    movw $begin, tail
    movw $on_key, 0x24              # interrupt 9
    movw %ax, 0x26
    movb $0xfd, %al                 # nothing but the keyboard
    outb %al, $0x21
    movb $0xff, %al
    outb %al, $0xa1
    inb $0x60, %al                  # what the firmware left
    movw $ready, %si
    call say
forever:
    sti
    hlt
    cli
next:
    movw tail, %bx
    cmpw head, %bx
    je forever
    movb (%bx), %cl
    call forward
    movw %bx, tail
    sti
    movw $word, %si
    call say
    call say_byte
    cli
    jmp next

    .include "com1.s"

forward:                            # %bx to the next place of the ring
    incw %bx
    cmpw $begin + 4096, %bx
    jb 1f
    movw $begin, %bx
1:  ret

on_key:
    pushw %ax
    pushw %bx
    inb $0x60, %al
    movw head, %bx
    movb %al, (%bx)
    call forward
    movw %bx, head
    movb $0x20, %al
    outb %al, $0x20
    popw %bx
    popw %ax
    iret

ready: .asciz "tick 1\r\n"
word: .asciz "key "
    .org 510
    .word 0xaa55

    # Behind the sector: memory only.
    .set head, 0x7e00
    .set tail, 0x7e02
    .set begin, 0x8000
