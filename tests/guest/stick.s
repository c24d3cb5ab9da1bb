# SPDX-License-Identifier: LGPL-2.1-or-later
# A boot sector guest that writes on its stick for ever: the firmware starts it from a USB stick, and
# it writes one block after the other of 64..127 through the firmware, each of which begins with the
# number of the write and ends with the complement. "tick N" on COM1 when the N-th is written; "bad"
# where one is not, and the end.
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
    movb %dl, drive
    sti

next:
    hlt                             # 18 blocks a second
    incl count
    movl count, %eax
    movl %eax, 0x8000
    notl %eax
    movl %eax, 0x81fc
    notl %eax
    andl $63, %eax
    orl $64, %eax
    movl %eax, block
    movw $16, packet                # firmware may write there
    movw $1, packet + 2
    movw $0x4300, %ax
    movb drive, %dl
    movw $packet, %si
    int $0x13
    jc bad
    movw $tick, %si
    call say
    movl count, %eax
    call say_number
    movw $line_end, %si
    call say
    jmp next

bad:
    movw $failed, %si
    call say
stop:
    cli
    hlt
    jmp stop

say_number:                         # %eax in decimal
    xorl %edx, %edx
    movl $10, %ebx
    divl %ebx
    pushw %dx
    testl %eax, %eax
    jz 1f
    call say_number
1:  popw %ax
    jmp digit

    .include "com1.s"

drive:  .byte 0
count:  .long 0
tick:   .asciz "tick "
failed: .asciz "bad\n"
    .balign 4
packet: .byte 16, 0
    .word 1                         # blocks
    .word 0x8000, 0
block:  .long 64, 0

    .org 510
    .word 0xaa55
