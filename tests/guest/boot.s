# SPDX-License-Identifier: LGPL-2.1-or-later
# The guest that starts in milliseconds: one boot sector. It counts on COM1 ("tick N"), paints its
# frame counter as cells (cells.py) and a moving band in VGA mode 13h, and dirties memory, all from
# the timer interrupt, halting in between. guest.py patches the numbers behind the magic.
# Ticks that come late are not dropped: the count grows by one per timer interrupt, whatever happens.
    .code16
    .globl _start
_start:
    jmp begin
    .org 4
    .ascii "SEGUEBT1"
timer_reload:  .word 11932          # 1193182 Hz / 11932 = 100 Hz
print_every:   .word 10             # timer interrupts per "tick" line
dirty_pages:   .word 0              # pages written per timer interrupt
paint_every:   .word 10             # timer interrupts per frame; 0: no painting
dirty_first:   .long 0x00200000
dirty_end:     .long 0x00800000

begin:
    cli
    xorw %ax, %ax
    movw %ax, %ds
    movw %ax, %es
    movw %ax, %ss
    movw $0x7c00, %sp
    cld
    movw $raised, %di
    movw $12, %cx
    rep stosw
    cmpw $0, paint_every
    je serial
    movw $0x0013, %ax
    int $0x10
    cli
serial:                             # 115200 baud, 8N1, FIFO on
    movw $0x3fb, %dx
    movb $0x80, %al
    outb %al, %dx
    movw $0x3f8, %dx
    movw $0x0001, %ax
    outw %ax, %dx
    movw $0x3fb, %dx
    movb $0x03, %al
    outb %al, %dx
    movw $0x3fa, %dx
    movb $0x07, %al
    outb %al, %dx

    # %fs: 4 GiB flat, kept when protected mode is left again.
    lgdt gdt_pointer
    movl %cr0, %eax
    orb $1, %al
    movl %eax, %cr0
    movw $8, %bx
    movw %bx, %fs
    andb $0xfe, %al
    movl %eax, %cr0
    ljmp $0, $real

real:                               # our own timer interrupt, nothing else
    movw $timer, 0x20
    movw $0, 0x22
    movb $0xfe, %al
    outb %al, $0x21
    movb $0xff, %al
    outb %al, $0xa1
    movb $0x36, %al
    outb %al, $0x43
    movw timer_reload, %ax
    outb %al, $0x40
    movb %ah, %al
    outb %al, $0x40
    movl dirty_first, %esi

wait_tick:
    sti
    hlt
    cli
drain:
    movl seen, %eax
    cmpl raised, %eax
    je wait_tick
    incl seen
    sti

    movw dirty_pages, %cx
    jcxz dirtied
dirty:
    movl %eax, %fs:(%esi)
    addl $4096, %esi
    cmpl dirty_end, %esi
    jb dirty_next
    movl dirty_first, %esi
dirty_next:
    loop dirty
dirtied:
    movw $paint_left, %di
    movw paint_every, %ax
    movw $paint, %bx
    call every
    movw $print_left, %di
    movw print_every, %ax
    movw $print, %bx
    call every
    cli
    jmp drain

every:                              # calls *%bx each %ax-th time; the countdown is at (%di)
    testw %ax, %ax
    jz 1f
    decw (%di)
    jg 1f
    movw %ax, (%di)
    jmp *%bx
1:  ret

timer:
    pushw %ax
    incl raised
    movb $0x20, %al
    outb %al, $0x20
    popw %ax
    iret

print:                              # "tick N\r\n"
    incl ticks
    movw $text, %bx
1:  movb (%bx), %al
    incw %bx
    testb %al, %al
    jz 2f
    call put
    jmp 1b
2:  movl ticks, %eax
    movl $10, %ecx
    xorw %bp, %bp
3:  xorl %edx, %edx
    divl %ecx
    pushw %dx
    incw %bp
    testl %eax, %eax
    jnz 3b
4:  popw %ax
    addb $'0', %al
    call put
    decw %bp
    jnz 4b
    movb $'\r', %al
    call put
    movb $'\n', %al
put:
    pushw %ax
    movw $0x3fd, %dx
1:  inb %dx, %al
    testb $0x20, %al
    jz 1b
    popw %ax
    movw $0x3f8, %dx
    outb %al, %dx
    ret

paint:                              # 40 cells of 8 x 8 pixels, below them the same inverted
    incl frames
    pushw $0xa000
    popw %es
    xorw %di, %di
    movl frames, %edx
    call cells
    notl %edx
    notb invert
    call cells
    notb invert
    movw frames, %ax                # a band of 8 lines that walks down the screen
    xorw %dx, %dx
    movw $23, %cx
    divw %cx
    incw %dx
    incw %dx
    imulw $2560, %dx, %di
    movw frames, %ax
    movw $2560, %cx
    rep stosb
    ret
cells:                              # white, black, 32 bits of %edx, white, black, white, black, ...
    movb $8, %ch
1:  movl %edx, %ebx                 # marks: columns 0 1, 34 to 39; bits between
    movb $40, %cl
2:  cmpb $38, %cl
    ja 3f
    cmpb $6, %cl
    jbe 3f
    shll $1, %ebx
    sbbb %al, %al
    jmp 4f
3:  movb %cl, %al                   # even columns white
    andb $1, %al
    decb %al
    xorb invert, %al
4:  andb $15, %al
    movw $4, %bp
    movb %al, %ah
5:  stosw
    decw %bp
    jnz 5b
    decb %cl
    jnz 2b
    decb %ch
    jnz 1b
    ret

text: .asciz "tick "
    .align 4
gdt: .quad 0
    .quad 0x00cf92000000ffff
gdt_pointer: .word 15
    .long gdt
    .org 510
    .word 0xaa55

    # Behind the sector: memory only.
    .set raised, 0x7e00
    .set seen, 0x7e04
    .set ticks, 0x7e08
    .set frames, 0x7e0c
    .set paint_left, 0x7e10
    .set print_left, 0x7e12
    .set invert, 0x7e14
