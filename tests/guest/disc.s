# SPDX-License-Identifier: LGPL-2.1-or-later
# A boot sector guest that reads its disc for ever: the firmware starts it from a disc (El Torito
# without emulation), and it reads one block after the other of 64..127 through the firmware, each of
# which begins with its number and ends with the complement. "tick N" on COM1 after the N-th good
# block; "bad" for any other, and the end.
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
    movb $0x42, %ah
    movb drive, %dl
    movw $packet, %si
    int $0x13
    jc bad
    movl block, %eax
    cmpl %eax, 0x8000
    jne bad
    notl %eax
    cmpl %eax, 0x87fc
    jne bad
    incl block
    andl $63, block
    orl $64, block
    incl count
    movw $tick, %si
    call say
    movl count, %eax
    call say_number
    movw $line_end, %si
    call say
    movw $16, packet                # firmware may write there
    movw $1, packet + 2
    jmp next

bad:
    movw $failed, %si
    call say
stop:
    cli
    hlt
    jmp stop

say:                                # the string at %si
    lodsb
    testb %al, %al
    jz said
    call say_one
    jmp say
said:
    ret

say_one:
    pushw %dx
    movw $0x3f8, %dx
    outb %al, %dx
    popw %dx
    ret

say_number:                         # %eax in decimal
    xorl %edx, %edx
    movl $10, %ebx
    divl %ebx
    pushw %dx
    testl %eax, %eax
    jz digit
    call say_number
digit:
    popw %ax
    addb $'0', %al
    jmp say_one

drive:  .byte 0
count:  .long 0
tick:   .asciz "tick "
line_end: .asciz "\n"
failed: .asciz "bad\n"
    .balign 4
packet: .byte 16, 0
    .word 1                         # blocks
    .word 0x8000, 0
block:  .long 64, 0

    .org 510
    .word 0xaa55
