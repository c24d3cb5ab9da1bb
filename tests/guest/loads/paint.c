/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* paint [WIDTHxHEIGHT] [FPS] [film]: puts the display into a linear mode and paints frames: the
 * frame counter as cells (see cells.py) over a picture with a moving box, or over one with a film
 * that looks like a photo; "frame N" every second.
 * Works with every adapter of QEMU that has Bochs' display interface: std VGA, QXL in VGA mode,
 * virtio-vga (ports 0x1ce, 0x1cf), bochs-display (registers in BAR 2 at 0x500).
 * Source: docs/specs/standard-vga.txt of QEMU. */
#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/io.h>
#include <sys/mman.h>
#include <unistd.h>

#include "load.h"

enum { dispi_id, dispi_width, dispi_height, dispi_depth, dispi_enable };
enum { dispi_enabled_linear = 0x41 };
enum { columns = 40, marks_head = 2, counter_bits = 32, box = 64 };
enum { film_width = 320, film_height = 240, grains = 4099 };

static volatile uint16_t* registers; /* NULL: the ports */
static uint32_t* pixels;
static unsigned width = 1024, height = 768;

static unsigned long read_number(const char* device, const char* file) {
    char path[512], text[64] = "";
    snprintf(path, sizeof path, "/sys/bus/pci/devices/%s/%s", device, file);
    FILE* from = fopen(path, "r");
    if (!from || !fgets(text, sizeof text, from)) load_die(path);
    fclose(from);
    return strtoul(text, NULL, 16);
}

static void* map_bar(const char* device, int bar, size_t bytes) {
    char path[512];
    snprintf(path, sizeof path, "/sys/bus/pci/devices/%s/enable", device);
    const int enable = open(path, O_WRONLY);
    if (enable < 0 || write(enable, "1", 1) != 1) load_die(path);
    close(enable);
    snprintf(path, sizeof path, "/sys/bus/pci/devices/%s/resource%d", device, bar);
    const int file = open(path, O_RDWR);
    void* mapped = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
    if (file < 0 || mapped == MAP_FAILED) load_die(path);
    return mapped;
}

static void find_display(void) {
    DIR* directory = opendir("/sys/bus/pci/devices");
    for (struct dirent* entry; directory && (entry = readdir(directory));) {
        if (entry->d_name[0] == '.') continue;
        const unsigned long class_code = read_number(entry->d_name, "class");
        if (class_code >> 16 != 3) continue;
        pixels = map_bar(entry->d_name, 0, (size_t)width * height * 4);
        if (class_code == 0x038000)
            registers = (volatile uint16_t*)((char*)map_bar(entry->d_name, 2, 4096) + 0x500);
        closedir(directory);
        return;
    }
    load_print("LOAD FAILED paint: no display adapter\n");
    exit(1);
}

static void dispi(int index, uint16_t value) {
    if (registers) {
        registers[index] = value;
    } else {
        outw(index, 0x1ce);
        outw(value, 0x1cf);
    }
}

static void set_mode(void) {
    if (!registers && ioperm(0x1ce, 3, 1) != 0) load_die("ioperm");
    dispi(dispi_enable, 0);
    dispi(dispi_width, width);
    dispi(dispi_height, height);
    dispi(dispi_depth, 32);
    dispi(dispi_enable, dispi_enabled_linear);
}

static uint32_t picture(unsigned x, unsigned y) {
    return (x * 255 / width) << 16 | (y * 255 / height) << 8 | ((x ^ y) & 0x7f);
}

static void fill(unsigned left, unsigned top, unsigned size_x, unsigned size_y, uint32_t colour) {
    for (unsigned y = top; y < top + size_y; ++y)
        for (unsigned x = left; x < left + size_x; ++x)
            pixels[y * width + x] = colour;
}

static void paint_cells(uint32_t frame) {
    const unsigned size = width / columns;
    for (unsigned column = 0; column < columns; ++column) {
        const unsigned bit = column - marks_head;
        const int white =
            bit < counter_bits ? frame >> (counter_bits - 1 - bit) & 1 : !(column & 1);
        fill(column * size, 0, size, size, white ? 0xffffff : 0);
        fill(column * size, size, size, size, white ? 0 : 0xffffff);
    }
}

/* The box runs along a line below the cells; where it was, the picture comes back. */
static void paint_box(uint32_t frame) {
    const unsigned top = height / 2, span = width - box;
    const unsigned was = (frame - 1) * 8 % span, is = frame * 8 % span;
    for (unsigned y = top; y < top + box; ++y)
        for (unsigned x = was; x < was + box; ++x)
            pixels[y * width + x] = picture(x, y);
    fill(is, top, box, box, 0xff8000 ^ (frame * 0x010307 & 0xffffff));
}

/* Changes a little from pixel to pixel, as what a camera saw; it moves by (3, 2) a frame. */
static void paint_film(uint32_t frame) {
    static int8_t grain[grains];
    if (frame == 1)
        for (uint32_t at = 0, seed = 1; at < grains; ++at) {
            seed = seed * 1103515245 + 12345;
            grain[at] = (int)(seed >> 16) % 7 - 3;
        }
    const unsigned left = (width - film_width) / 2, top = height - film_height;
    for (unsigned y = 0; y < film_height; ++y)
        for (unsigned x = 0; x < film_width; ++x) {
            const unsigned u = x + frame * 3 % 360, v = y + frame * 2 % 240;
            const int base = 90 + u * 97 / 700 + v * 61 / 500;
            const int noise = grain[(u * 31 + v * 1009) % grains];
            pixels[(top + y) * width + left + x] =
                (250 - base + noise) << 16 | (base + noise) << 8 | (base / 2 + noise);
        }
}

int load_paint(int count, char** words) {
    if (count > 0 && sscanf(words[0], "%ux%u", &width, &height) != 2)
        load_die("paint WIDTHxHEIGHT");
    if (width < 320 || width > 4096 || height < 200 || height > 2160) load_die("paint: size");
    const double period = 1 / (count > 1 ? atof(words[1]) : 10);
    const int film = count > 2 && strcmp(words[2], "film") == 0;
    if (film && height < 400) load_die("paint: no room for a film");
    find_display();
    set_mode();
    for (unsigned y = 0; y < height; ++y)
        for (unsigned x = 0; x < width; ++x)
            pixels[y * width + x] = picture(x, y);
    double next = load_now(), reported = next;
    for (uint32_t frame = 1;; ++frame) {
        load_pace(&next, period);
        if (load_now() - next > 1) next = load_now(); /* frames that are late are left out */
        paint_cells(frame);
        if (film)
            paint_film(frame);
        else
            paint_box(frame);
        if (load_now() - reported >= 1) {
            load_print("frame %u\n", frame);
            reported = load_now();
        }
    }
}
