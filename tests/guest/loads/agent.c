/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* agent NAME PORT [PER_S]: an agent at the virtio-serial port NAME that counts, and offers each
 * number "copy N" as its clipboard; and says the same as a line at PORT. What nobody takes is
 * dropped. "agent N" every second. */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "load.h"

enum { kProtocol = 1, kClientPort = 1 };
enum { kClipboard = 4, kAnnounce = 6, kGrab = 7, kRequest = 8 };
enum { kText = 1, kByDemand = 1 << 5 };

struct __attribute__((packed)) chunk {
    uint32_t port, size;
};
struct __attribute__((packed)) message {
    uint32_t protocol, type;
    uint64_t opaque;
    uint32_t size;
};

static int agent;
static unsigned long number;

/* One buffer of the port: it is taken whole, or not at all. */
static void say(uint32_t type, uint32_t word, const char* text) {
    struct __attribute__((packed)) {
        struct chunk chunk;
        struct message message;
        uint32_t word;
        char text[32];
    } out = {.message = {kProtocol, type, 0, sizeof word + strlen(text)}, .word = word};
    memcpy(out.text, text, strlen(text));
    out.chunk = (struct chunk){kClientPort, sizeof out.message + out.message.size};
    if (write(agent, &out, sizeof out.chunk + out.chunk.size) < 0) return;
}

static void announce(uint32_t wants_answer) {
    struct __attribute__((packed)) {
        struct chunk chunk;
        struct message message;
        uint32_t request, capabilities;
    } out = {{kClientPort, sizeof out - sizeof out.chunk},
             {kProtocol, kAnnounce, 0, 8},
             wants_answer,
             kByDemand};
    if (write(agent, &out, sizeof out) < 0) return;
}

static void hear(const struct message* message, const uint8_t* data) {
    uint32_t first = 0;
    if (message->size >= sizeof first) memcpy(&first, data, sizeof first);
    if (message->type == kAnnounce && first != 0) announce(0);
    if (message->type != kRequest || number == 0) return;
    char text[32];
    snprintf(text, sizeof text, "copy %lu", number);
    say(kClipboard, kText, text);
}

/* What the client says in answer is small: a message a chunk. */
static void hear_all(void) {
    static uint8_t heard[65536];
    static size_t have;
    const long more = read(agent, heard + have, sizeof heard - have);
    if (more > 0) have += more;
    for (;;) {
        struct chunk chunk;
        if (have < sizeof chunk) return;
        memcpy(&chunk, heard, sizeof chunk);
        const size_t whole = sizeof chunk + chunk.size;
        if (whole > sizeof heard) load_die("agent: a chunk");
        if (have < whole) return;
        struct message message;
        if (chunk.size >= sizeof message) {
            memcpy(&message, heard + sizeof chunk, sizeof message);
            hear(&message, heard + sizeof chunk + sizeof message);
        }
        memmove(heard, heard + whole, have - whole);
        have -= whole;
    }
}

int load_agent(int count, char** words) {
    if (count < 2) load_die("agent needs two port names");
    agent = load_open_port(words[0]);
    const int port = load_open_port(words[1]);
    const double period = 1 / (count > 2 ? atof(words[2]) : 5);
    int is_warned = 0;
    announce(1);
    for (double next = load_now(), reported = next;;) {
        while (load_now() < next) {
            hear_all();
            usleep(5000);
        }
        next += period;
        char line[32];
        const int size = snprintf(line, sizeof line, "copy %lu\n", ++number);
        say(kGrab, kText, "");
        if (write(port, line, size) != size && !is_warned++) load_print("agent: nobody listens\n");
        if (load_now() - reported < 1) continue;
        load_print("agent %lu\n", number);
        reported = load_now();
    }
}
