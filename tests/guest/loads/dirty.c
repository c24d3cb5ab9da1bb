/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* dirty SET_MB MB_PER_S [full]: writes one word a page (or whole pages) over a set of SET_MB of
 * memory that does not compress, round and round; "dirty MB/s" every two seconds. */
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "load.h"

enum { page_bytes = 4096, words_per_page = 512, turns_per_second = 100 };

static uint64_t noise = 88172645463325252u;

static uint64_t next_noise(void) {
    noise ^= noise << 13;
    noise ^= noise >> 7;
    noise ^= noise << 17;
    return noise;
}

static void write_page(uint64_t* page, int full, uint64_t mark) {
    if (!full) {
        page[mark % words_per_page] = mark;
        return;
    }
    for (int word = 0; word < words_per_page; ++word)
        page[word] = next_noise();
}

int load_dirty(int count, char** words) {
    if (count < 2) load_die("dirty needs SET_MB and MB_PER_S");
    const size_t pages = (size_t)atol(words[0]) * (1048576 / page_bytes);
    const double pages_per_turn = atof(words[1]) * (1048576 / page_bytes) / turns_per_second;
    const int full = count > 2 && !strcmp(words[2], "full");
    uint8_t* set =
        mmap(NULL, pages * page_bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (set == MAP_FAILED || pages == 0) load_die("dirty: memory");
    for (size_t page = 0; page < pages; ++page)
        write_page((uint64_t*)(set + page * page_bytes), 1, 0);
    load_print("dirty ready\n");

    double next = load_now(), owed = 0, reported = next;
    uint64_t mark = 0, since = 0;
    for (;;) {
        load_pace(&next, 1.0 / turns_per_second);
        const double now = load_now();
        if (now - next > 1) next = now; /* overloaded: a rate that cannot be held is not owed */
        for (owed += pages_per_turn; owed >= 1; owed -= 1) {
            write_page((uint64_t*)(set + mark % pages * page_bytes), full, mark);
            ++mark;
            ++since;
        }
        if (now - reported >= 2) {
            load_print("dirty %.1f MB/s\n",
                       since * (double)page_bytes / 1048576 / (now - reported));
            reported = now;
            since = 0;
        }
    }
}
