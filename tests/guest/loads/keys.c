/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* keys: "key N" for each key that is pressed, by Linux's number: that of its scan code, where the
 * code has one byte. "keys ready" when the keyboard is there. */
#include <fcntl.h>
#include <linux/input.h>
#include <poll.h>
#include <stdio.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "load.h"

enum { most_devices = 8 };

static int open_devices(struct pollfd* devices) {
    int count = 0;
    for (int number = 0; number < most_devices; ++number) {
        char path[40];
        snprintf(path, sizeof path, "/dev/input/event%d", number);
        const int file = open(path, O_RDONLY);
        if (file < 0) continue;
        devices[count].fd = file;
        devices[count++].events = POLLIN;
    }
    return count;
}

static int has_keyboard(const struct pollfd* devices, int count) {
    for (int at = 0; at < count; ++at) {
        unsigned char keys[KEY_CNT / 8] = {0};
        if (ioctl(devices[at].fd, EVIOCGBIT(EV_KEY, sizeof keys), keys) > 0 &&
            keys[KEY_A / 8] >> KEY_A % 8 & 1)
            return 1;
    }
    return 0;
}

int load_keys(int unused_count, char** unused_words) {
    (void)unused_count, (void)unused_words;
    struct pollfd devices[most_devices];
    int count = open_devices(devices);
    /* The keyboard is found some time behind its driver's start. */
    for (int tries = 0; !has_keyboard(devices, count); ++tries) {
        if (tries == 600) load_die("keys: no keyboard");
        for (int at = 0; at < count; ++at)
            close(devices[at].fd);
        usleep(100000);
        count = open_devices(devices);
    }
    load_print("keys ready\n");
    for (;;) {
        if (poll(devices, count, -1) < 0) load_die("poll");
        for (int at = 0; at < count; ++at) {
            struct input_event event;
            if (!(devices[at].revents & POLLIN)) continue;
            if (read(devices[at].fd, &event, sizeof event) != sizeof event) load_die("read");
            if (event.type == EV_KEY && event.value == 1) load_print("key %u\n", event.code);
        }
    }
}
