/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* disk DEVICE [PER_SECOND]: record N (4096 bytes: "REC N\n", zeros) at block N mod the number of
 * slots, O_DIRECT and O_DSYNC. "disk N" is printed only once record N is on the disk, so that an
 * image which lacks a printed record has lost a write. Each record is read back. */
#define _GNU_SOURCE
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "load.h"

enum { record_bytes = 4096, slots = 2000 };

int load_disk(int count, char** words) {
    if (count < 1) load_die("disk needs DEVICE");
    const double period = 1 / (count > 1 ? atof(words[1]) : 20);
    const int device = open(words[0], O_RDWR | O_DIRECT | O_DSYNC);
    if (device < 0) load_die(words[0]);
    char *written, *read_back;
    if (posix_memalign((void**)&written, record_bytes, record_bytes) ||
        posix_memalign((void**)&read_back, record_bytes, record_bytes))
        load_die("disk: memory");
    double next = load_now();
    for (unsigned long number = 1;; ++number) {
        const off_t at = (off_t)(number % slots) * record_bytes;
        load_pace(&next, period);
        memset(written, 0, record_bytes);
        snprintf(written, record_bytes, "REC %lu\n", number);
        if (pwrite(device, written, record_bytes, at) != record_bytes) load_die("disk: write");
        if (pread(device, read_back, record_bytes, at) != record_bytes ||
            memcmp(written, read_back, record_bytes))
            load_print("disk BAD record %lu: found %.16s\n", number, read_back);
        load_print("disk %lu\n", number);
    }
}
