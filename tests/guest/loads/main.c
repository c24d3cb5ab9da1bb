/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "load.h"

double load_now(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return now.tv_sec + now.tv_nsec / 1e9;
}

void load_pace(double* next, double period) {
    struct timespec at = {(time_t)*next, (long)((*next - (time_t)*next) * 1e9)};
    while (clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &at, NULL) == EINTR) {
    }
    *next += period;
}

void load_print(const char* format, ...) {
    char line[256];
    va_list arguments;
    va_start(arguments, format);
    int size = vsnprintf(line, sizeof line, format, arguments);
    va_end(arguments);
    if (size > (int)sizeof line - 1) size = sizeof line - 1;
    if (write(1, line, size) != size) exit(1);
}

void load_die(const char* what) {
    load_print("LOAD FAILED %s: %s\n", what, strerror(errno));
    exit(1);
}

/* tick [period ms]: "tick N" on the serial line. */
int load_tick(int count, char** words) {
    const double period = (count > 0 ? atof(words[0]) : 1000) / 1000;
    double next = load_now();
    for (unsigned long number = 1;; ++number) {
        load_pace(&next, period);
        load_print("tick %lu\n", number);
    }
}

int main(int count, char** words) {
    static const struct {
        const char* name;
        int (*run)(int, char**);
    } loads[] = {{"tick", load_tick},   {"dirty", load_dirty},  {"paint", load_paint},
                 {"udp", load_udp},     {"disk", load_disk},    {"pipe", load_pipe},
                 {"beep", load_beep},   {"keys", load_keys},    {"pointer", load_pointer},
                 {"agent", load_agent}, {"listen", load_listen}};
    for (unsigned index = 0; count > 1 && index < sizeof loads / sizeof *loads; ++index) {
        if (!strcmp(words[1], loads[index].name)) return loads[index].run(count - 2, words + 2);
    }
    load_print("LOAD FAILED: no load '%s'\n", count > 1 ? words[1] : "");
    return 2;
}
