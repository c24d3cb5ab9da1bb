// SPDX-License-Identifier: LGPL-2.1-or-later
// <video>: a display adapter. The first one is the primary one.
#pragma once

#include "domain/address.h"

namespace segue {

enum class VideoModel { qxl, vga, cirrus, virtio, bochs };

struct Video : Device {
    VideoModel model = VideoModel::qxl;
    // KiB, powers of two; 0: the model has no such memory (or its default, until completed).
    std::uint32_t ram = 0, vram = 0, vram64 = 0, vgamem = 0;
    std::uint32_t heads = 0;
    bool primary = false;
};

std::string_view name_of(VideoModel model);

Result<Video> parse_video(XmlCursor& from);
XmlElement format_video(const Video& video, const FormatOptions& options);

// Fills in libvirt's sizes where the definition has none, and makes `primary` true or false.
void complete_video(Video& video, bool primary);

}  // namespace segue
