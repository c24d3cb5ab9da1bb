/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* pipe NAME NAME [RATE]: joins two virtio-serial ports, by the names that the host gave them. Every
 * byte that comes in at one goes out at the other, once and in order; a side that nobody reads is
 * waited for. With a rate the first port is read no faster, in KiB a second. "pipe ready" when both
 * are open. */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "load.h"

int load_open_port(const char* name) {
    for (int tries = 0; tries < 600; ++tries) {
        for (int device = 0; device < 4; ++device) {
            for (int port = 1; port < 16; ++port) {
                char path[80], text[80] = "";
                snprintf(path, sizeof path, "/sys/class/virtio-ports/vport%dp%d/name", device,
                         port);
                const int file = open(path, O_RDONLY);
                if (file < 0) continue;
                const long size = read(file, text, sizeof text - 1);
                close(file);
                if (size <= 0 || strncmp(text, name, strlen(name)) != 0) continue;
                snprintf(path, sizeof path, "/dev/vport%dp%d", device, port);
                const int opened = open(path, O_RDWR | O_NONBLOCK);
                if (opened < 0) load_die(path);
                return opened;
            }
        }
        usleep(100000);
    }
    load_die(name);
}

struct direction {
    int from, to;
    long have, done;
    double rate; /* bytes a second; 0: what comes */
    double next; /* when it reads again */
    char bytes[32768];
};

/* Moves what can be moved now; 0: nothing could. */
static int move(struct direction* way) {
    if (way->done == way->have) {
        const double now = load_now();
        if (now < way->next) return 0;
        way->done = 0;
        way->have = read(way->from, way->bytes, way->rate > 0 ? 2048 : sizeof way->bytes);
        /* 0 and EPIPE: nobody is at the other end of the port now. */
        if (way->have <= 0) way->have = 0;
        if (way->have == 0) return 0;
        if (way->rate > 0) way->next = now + way->have / way->rate;
    }
    const long size = write(way->to, way->bytes + way->done, way->have - way->done);
    if (size <= 0) return 0;
    way->done += size;
    return 1;
}

int load_pipe(int count, char** words) {
    static struct direction ways[2];
    if (count < 2) load_die("pipe needs two port names");
    ways[0].from = ways[1].to = load_open_port(words[0]);
    ways[0].to = ways[1].from = load_open_port(words[1]);
    ways[0].rate = count > 2 ? 1024 * atof(words[2]) : 0;
    load_print("pipe ready\n");
    for (;;) {
        const int moved = move(&ways[0]) + move(&ways[1]);
        /* A port without a host hangs up at once: poll() is no way to wait here. */
        if (!moved) usleep(2000);
    }
}
