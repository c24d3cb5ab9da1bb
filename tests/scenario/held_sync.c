// SPDX-License-Identifier: LGPL-2.1-or-later
// For LD_PRELOAD: a disk that does not come to an end of its sync. While the file HELD_SYNC.go is
// missing, fdatasync of a file whose name ends in ".img" waits; HELD_SYNC.waits says that one does.
#define _GNU_SOURCE
#include <dlfcn.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static int is_image(int descriptor) {
    char link[64], path[4096];
    snprintf(link, sizeof link, "/proc/self/fd/%d", descriptor);
    ssize_t size = readlink(link, path, sizeof path - 1);
    if (size < 4) return 0;
    path[size] = 0;
    return strcmp(path + size - 4, ".img") == 0;
}

int fdatasync(int descriptor) {
    int (*next)(int) = (int (*)(int))dlsym(RTLD_NEXT, "fdatasync");
    const char* name = getenv("HELD_SYNC");
    if (name != NULL && is_image(descriptor)) {
        char waits[4096], go[4096];
        snprintf(waits, sizeof waits, "%s.waits", name);
        snprintf(go, sizeof go, "%s.go", name);
        close(open(waits, O_WRONLY | O_CREAT | O_CLOEXEC, 0600));
        while (access(go, F_OK) != 0)
            usleep(10000);
    }
    return next(descriptor);
}
