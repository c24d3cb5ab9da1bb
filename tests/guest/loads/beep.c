/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* beep HERTZ: the PC speaker sounds, for good. It is switched on again and again: QEMU's speaker is
 * silent behind a move until its guest does so. */
#include <stdlib.h>
#include <sys/io.h>
#include <unistd.h>

#include "load.h"

int load_beep(int count, char** words) {
    const int hertz = count > 0 ? atoi(words[0]) : 440;
    if (hertz < 19 || iopl(3) != 0) load_die("beep: HERTZ from 19 on, as root");
    const int divisor = 1193182 / hertz;
    outb(0xb6, 0x43); /* timer 2, square wave */
    outb(divisor & 0xff, 0x42);
    outb(divisor >> 8, 0x42);
    outb(inb(0x61) | 3, 0x61);
    load_print("beep ready\n");
    for (;;) {
        usleep(100000);
        outb(inb(0x61) | 3, 0x61);
    }
}
