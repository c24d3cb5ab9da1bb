// SPDX-License-Identifier: LGPL-2.1-or-later
#include "domain/device/sound.h"

#include "domain/choice.h"

namespace segue {
namespace {

constexpr std::string_view kSoundModels[] = {"ich6", "ich9", "ac97", "es1370"};
constexpr std::string_view kCodecs[] = {"duplex", "micro", "output"};
constexpr std::string_view kAudioTypes[] = {"none", "spice"};
constexpr std::size_t kMaxCodecs = 15;  // cad of an HDA bus: 4 bits

}  // namespace

Result<Sound> parse_sound(XmlCursor& from) {
    Sound sound;
    sound.model = TRY(choice(from, "model", kSoundModels)).value_or("");
    if (sound.model.empty()) return fail(ErrorCode::xml_invalid, "missing model of sound device");
    while (XmlCursor* codec = from.child("codec")) {
        const auto type = TRY(choice(*codec, "type", kCodecs));
        if (!type) return fail(ErrorCode::xml_invalid, "missing type of sound codec");
        sound.codecs.push_back(*type);
    }
    if (sound.codecs.size() > kMaxCodecs) {
        return fail(ErrorCode::limit_exceeded, "sound device with {} codecs (at most {})",
                    sound.codecs.size(), kMaxCodecs);
    }
    TRY(parse_device(from, sound));
    return sound;
}

XmlElement format_sound(const Sound& sound, const FormatOptions& options) {
    XmlElement out;
    out.name = "sound";
    out.set("model", sound.model);
    for (const std::string& codec : sound.codecs)
        out.add("codec").set("type", codec);
    format_device(sound, out, options);
    return out;
}

Result<Audio> parse_audio(XmlCursor& from) {
    Audio audio;
    audio.id = static_cast<std::uint32_t>(TRY(from.number("id", 255)).value_or(1));
    audio.type = TRY(choice(from, "type", kAudioTypes)).value_or("none");
    audio.unknown = from.unknown();
    return audio;
}

XmlElement format_audio(const Audio& audio) {
    XmlElement out;
    out.name = "audio";
    out.set("id", audio.id).set("type", audio.type);
    merge_unknown(out, audio.unknown);
    return out;
}

}  // namespace segue
