# SPDX-License-Identifier: LGPL-2.1-or-later
# For boot sectors that include it: words and numbers on COM1. All of it changes %ax, %dx and %si.
say:                                # the string at %si
    lodsb
    testb %al, %al
    jz 1f
    call put
    jmp say
1:  ret

say_byte:                           # %cl in three digits, and the line's end
    movzbw %cl, %ax
    movb $100, %dl
    divb %dl
    call digit
    movzbw %ah, %ax
    movb $10, %dl
    divb %dl
    call digit
    movb %ah, %al
    call digit
    movw $line_end, %si
    jmp say

digit:                              # of %al; %ah stays
    pushw %ax
    addb $'0', %al
    call put
    popw %ax
    ret

put:                                # the character in %al, as soon as there is room
    pushw %ax
    movw $0x3fd, %dx
1:  inb %dx, %al
    testb $0x20, %al
    jz 1b
    popw %ax
    movw $0x3f8, %dx
    outb %al, %dx
    ret

line_end: .asciz "\r\n"
