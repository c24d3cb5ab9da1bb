// SPDX-License-Identifier: LGPL-2.1-or-later
// Display adapters, sound cards, input devices, balloon and random numbers.
#include "qemu/command_line/builder.h"

namespace segue {
namespace {

void set_video_memory(Json& device, const Video& video) {
    switch (video.model) {
        case VideoModel::qxl:
            device.set("max_outputs", video.heads).set("ram_size", video.ram * kKib);
            device.set("vram_size", video.vram * kKib).set("vram64_size_mb", video.vram64 / kKib);
            device.set("vgamem_mb", video.vgamem / kKib);
            break;
        case VideoModel::vga: device.set("vgamem_mb", video.vram / kKib); break;
        case VideoModel::bochs: device.set("vgamem", video.vram * kKib); break;
        case VideoModel::virtio: device.set("max_outputs", video.heads); break;
        case VideoModel::cirrus: break;
    }
}

std::string video_driver(const Video& video) {
    switch (video.model) {
        case VideoModel::qxl: return video.primary ? "qxl-vga" : "qxl";
        case VideoModel::vga: return "VGA";
        case VideoModel::cirrus: return "cirrus-vga";
        case VideoModel::virtio: return video.primary ? "virtio-vga" : "virtio-gpu-pci";
        case VideoModel::bochs: return "bochs-display";
    }
    return {};
}

std::string audio_id(const Domain& domain) {
    return fmt::format("audio{}", domain.audios.empty() ? 1 : domain.audios.front().id);
}

Result<> add_hda(CommandLineBuilder& builder, const Sound& sound) {
    Json controller = Json::object();
    controller.set("driver", sound.model == "ich6" ? "intel-hda" : "ich9-intel-hda");
    controller.set("id", sound.alias);
    TRY(set_address(controller, builder.domain(), sound.address));
    builder.add_device(controller);
    std::vector<std::string> codecs = sound.codecs;
    if (codecs.empty()) codecs.emplace_back("duplex");
    for (std::size_t index = 0; index < codecs.size(); ++index) {
        builder.add_device(Json::object({{"driver", "hda-" + codecs[index]},
                                         {"id", fmt::format("{}-codec{}", sound.alias, index)},
                                         {"bus", sound.alias + ".0"},
                                         {"cad", index},
                                         {"audiodev", audio_id(builder.domain())}}));
    }
    return {};
}

}  // namespace

Result<> add_videos(CommandLineBuilder& builder) {
    for (const Video& video : builder.domain().videos) {
        Json device = Json::object({{"driver", video_driver(video)}, {"id", video.alias}});
        set_video_memory(device, video);
        TRY(set_address(device, builder.domain(), video.address));
        builder.add_device(device);
    }
    return {};
}

void add_audio(CommandLineBuilder& builder) {
    for (const Audio& audio : builder.domain().audios) {
        builder.add_json("-audiodev", Json::object({{"id", fmt::format("audio{}", audio.id)},
                                                    {"driver", audio.type}}));
    }
}

Result<> add_sounds(CommandLineBuilder& builder) {
    for (const Sound& sound : builder.domain().sounds) {
        if (sound.model == "ich6" || sound.model == "ich9") {
            TRY(add_hda(builder, sound));
            continue;
        }
        Json device = Json::object();
        device.set("driver", sound.model == "ac97" ? "AC97" : "ES1370").set("id", sound.alias);
        device.set("audiodev", audio_id(builder.domain()));
        TRY(set_address(device, builder.domain(), sound.address));
        builder.add_device(device);
    }
    return {};
}

Result<> add_inputs(CommandLineBuilder& builder) {
    for (const Input& input : builder.domain().inputs) {
        if (input.bus == "ps2") continue;  // part of the machine
        const std::string kind =
            input.type == "keyboard" && input.bus == "usb" ? "kbd" : input.type;
        Json device = Json::object();
        device.set("driver", input.bus == "usb" ? "usb-" + kind : "virtio-" + kind + "-pci");
        device.set("id", input.alias);
        TRY(set_address(device, builder.domain(), input.address));
        builder.add_device(device);
    }
    return {};
}

Result<> add_balloon(CommandLineBuilder& builder) {
    const auto& balloon = builder.domain().balloon;
    if (!balloon || !balloon->present) return {};
    Json device = Json::object({{"driver", "virtio-balloon-pci"}, {"id", balloon->alias}});
    if (balloon->auto_deflate) device.set("deflate-on-oom", *balloon->auto_deflate);
    if (balloon->free_page_reporting) {
        device.set("free-page-reporting", *balloon->free_page_reporting);
    }
    TRY(set_address(device, builder.domain(), balloon->address));
    builder.add_device(device);
    if (balloon->stats_period_s) {
        builder.after_start(
            {.name = "qom-set",
             .arguments = Json::object({{"path", "/machine/peripheral/" + balloon->alias},
                                        {"property", "guest-stats-polling-interval"},
                                        {"value", *balloon->stats_period_s}})});
    }
    return {};
}

Result<> add_rngs(CommandLineBuilder& builder) {
    for (const Rng& rng : builder.domain().rngs) {
        const std::string object = "obj" + rng.alias;
        builder.add_json(
            "-object",
            Json::object({{"qom-type", "rng-random"}, {"id", object}, {"filename", rng.path}}));
        Json device =
            Json::object({{"driver", "virtio-rng-pci"}, {"rng", object}, {"id", rng.alias}});
        if (rng.rate_bytes) {
            device.set("max-bytes", *rng.rate_bytes);
            device.set("period", rng.rate_period_ms.value_or(1000));
        }
        TRY(set_address(device, builder.domain(), rng.address));
        builder.add_device(device);
    }
    return {};
}

}  // namespace segue
