/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* udp ADDRESS PORT [PER_SECOND]: datagrams "seq N\n", N from 1 without gaps; "udp N" every second.
 * A datagram that the network refused is sent again: a gap at the receiver is a loss on the way. */
#include <arpa/inet.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "load.h"

int load_udp(int count, char** words) {
    if (count < 2) load_die("udp needs ADDRESS and PORT");
    struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons(atoi(words[1]))};
    const double period = 1 / (count > 2 ? atof(words[2]) : 100);
    if (!inet_aton(words[0], &to.sin_addr)) load_die(words[0]);
    const int port = socket(AF_INET, SOCK_DGRAM, 0);
    if (port < 0 || connect(port, (struct sockaddr*)&to, sizeof to) != 0) load_die("udp: socket");
    double next = load_now(), reported = next;
    for (unsigned long number = 1;;) {
        char text[32];
        const int size = snprintf(text, sizeof text, "seq %lu\n", number);
        load_pace(&next, period);
        if (send(port, text, size, 0) == size) ++number;
        if (load_now() - reported >= 1) {
            load_print("udp %lu\n", number - 1);
            reported = load_now();
        }
    }
}
