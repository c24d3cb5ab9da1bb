/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The one private function of spice-server that its own tests call. They end on what it is told is
 * an error, as they would with stock's. */
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

void spice_log(int level, const char* place, const char* function, const char* format, ...) {
    enum { error = 1 << 2, critical = 1 << 3, debug = 1 << 7 };
    if (level & debug) return;
    fprintf(stderr, "%s %s: ", place ? place : "", function ? function : "");
    if (format) {
        va_list arguments;
        va_start(arguments, format);
        vfprintf(stderr, format, arguments);
        va_end(arguments);
    }
    fputc('\n', stderr);
    if (level & (error | critical)) abort();
}
