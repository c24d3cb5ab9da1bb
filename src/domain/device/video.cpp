// SPDX-License-Identifier: LGPL-2.1-or-later
#include "domain/device/video.h"

#include <bit>

#include "domain/choice.h"

namespace segue {
namespace {

constexpr Choice<VideoModel> kVideoModels[] = {{"qxl", VideoModel::qxl},
                                               {"vga", VideoModel::vga},
                                               {"cirrus", VideoModel::cirrus},
                                               {"virtio", VideoModel::virtio},
                                               {"bochs", VideoModel::bochs}};

constexpr std::uint32_t kDefaultVgaKib = 16 * 1024;
constexpr std::uint32_t kDefaultQxlKib = 64 * 1024;
constexpr std::uint64_t kMaxKib = 4U << 20;  // 4 GiB, what QEMU's 32 bit properties carry

Result<std::uint32_t> memory(XmlCursor& from, std::string_view key) {
    return static_cast<std::uint32_t>(TRY(from.number(key, kMaxKib)).value_or(0));
}

std::uint32_t rounded(std::uint32_t kib, std::uint32_t otherwise) {
    return kib == 0 ? otherwise : std::bit_ceil(kib);
}

}  // namespace

std::string_view name_of(VideoModel model) {
    return name_in(kVideoModels, model);
}

Result<Video> parse_video(XmlCursor& from) {
    Video video;
    XmlCursor* model = from.child("model");
    if (!model) return fail(ErrorCode::xml_invalid, "missing model of video device");
    const auto type = TRY(choice(*model, "type", kVideoModels));
    if (!type) return fail(ErrorCode::xml_invalid, "missing type of video model");
    video.model = *type;
    if (video.model == VideoModel::qxl) {
        video.ram = TRY(memory(*model, "ram"));
        video.vram64 = TRY(memory(*model, "vram64"));
        video.vgamem = TRY(memory(*model, "vgamem"));
    }
    if (video.model != VideoModel::virtio) video.vram = TRY(memory(*model, "vram"));
    video.heads = static_cast<std::uint32_t>(TRY(model->number("heads", 16)).value_or(1));
    video.primary = TRY(model->yes_no("primary")).value_or(false);
    TRY(parse_device(from, video));
    return video;
}

XmlElement format_video(const Video& video, const FormatOptions& options) {
    XmlElement out;
    out.name = "video";
    XmlElement& model = out.add("model").set("type", name_of(video.model));
    if (video.ram) model.set("ram", video.ram);
    if (video.vram) model.set("vram", video.vram);
    if (video.vram64) model.set("vram64", video.vram64);
    if (video.vgamem) model.set("vgamem", video.vgamem);
    if (video.heads) model.set("heads", video.heads);
    if (video.primary) model.set("primary", "yes");
    format_device(video, out, options);
    return out;
}

void complete_video(Video& video, bool primary) {
    video.primary = primary;
    if (video.heads == 0) video.heads = 1;
    if (video.model == VideoModel::qxl) {
        video.ram = rounded(video.ram, kDefaultQxlKib);
        video.vram = rounded(video.vram, kDefaultQxlKib);
        video.vgamem = rounded(video.vgamem, kDefaultVgaKib);
        if (video.vram64) video.vram64 = std::bit_ceil(video.vram64);
    } else if (video.model != VideoModel::virtio) {
        video.vram = rounded(video.vram, kDefaultVgaKib);
    }
}

}  // namespace segue
