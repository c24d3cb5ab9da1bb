/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* pointer X Y: sets a pointer of the display's own (DRM), whose corner stands at X, Y: 64 x 64
 * pixels with a pattern of opaque colours, and a half that shows what is under it. "pointer ready".
 * Needs a kernel with a driver of DRM. */
#include <fcntl.h>
#include <libdrm/drm.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>

#include "load.h"

enum { side = 64, hot = 3, most_controllers = 16 };

static void ask(int device, unsigned long request, void* argument, const char* what) {
    if (ioctl(device, request, argument) != 0) load_die(what);
}

static void paint_pattern(uint32_t* pixels, size_t line) {
    for (unsigned y = 0; y < side; ++y)
        for (unsigned x = 0; x < side; ++x)
            pixels[y * line + x] = x < side / 2 ? 0xff000000 | x * 8 << 16 | y * 4 << 8 | 0x80 : 0;
}

int load_pointer(int count, char** words) {
    if (count != 2) load_die("pointer X Y");
    const int device = open("/dev/dri/card0", O_RDWR);
    if (device < 0) load_die("/dev/dri/card0");
    uint32_t controllers[most_controllers] = {0};
    struct drm_mode_card_res resources = {0};
    resources.crtc_id_ptr = (uintptr_t)controllers;
    resources.count_crtcs = most_controllers;
    ask(device, DRM_IOCTL_MODE_GETRESOURCES, &resources, "DRM's resources");
    struct drm_mode_create_dumb picture = {.width = side, .height = side, .bpp = 32};
    ask(device, DRM_IOCTL_MODE_CREATE_DUMB, &picture, "a picture");
    struct drm_mode_map_dumb map = {.handle = picture.handle};
    ask(device, DRM_IOCTL_MODE_MAP_DUMB, &map, "the picture's memory");
    void* pixels =
        mmap(NULL, picture.size, PROT_READ | PROT_WRITE, MAP_SHARED, device, (off_t)map.offset);
    if (pixels == MAP_FAILED) load_die("the picture's memory");
    paint_pattern(pixels, picture.pitch / 4);
    struct drm_mode_cursor2 pointer = {
        .flags = DRM_MODE_CURSOR_BO | DRM_MODE_CURSOR_MOVE,
        .crtc_id = controllers[0],
        .width = side,
        .height = side,
        .handle = picture.handle,
        .hot_x = hot,
        .hot_y = hot,
    };
    ask(device, DRM_IOCTL_MODE_CURSOR2, &pointer, "the pointer");
    /* Moved there: stock's server tells a viewer that comes later no place but of a movement. */
    pointer.flags = DRM_MODE_CURSOR_MOVE;
    pointer.x = atoi(words[0]);
    pointer.y = atoi(words[1]);
    ask(device, DRM_IOCTL_MODE_CURSOR2, &pointer, "the pointer's place");
    load_print("pointer ready\n");
    for (;;)
        pause(); /* its owner keeps it there */
}
