// SPDX-License-Identifier: LGPL-2.1-or-later
#include "viewer/headless_devices.h"

#include <fmt/format.h>

#include <cerrno>
#include <fstream>
#include <iterator>

namespace segue::viewer {

using spice::wire::agent::ClipboardType;
using spice::wire::agent::Monitor;

namespace {

// So much of a sound is heard before its event line, which can then tell tone from silence.
constexpr std::uint64_t kSoundSample = 9600;
// A port that has said half a character and then nothing for so long speaks no UTF-8.
constexpr Duration kPortRest = 200ms;

std::string text_field(std::string_view name, std::string_view text) {
    return fmt::format("\"{}\":{}", name, json_string(text));
}

// By its name in the agent's protocol; none: text.
Result<ClipboardType> clipboard_type(std::string_view name) {
    if (name.empty()) return ClipboardType::utf8_text;
    for (std::uint32_t number = 1; number < 32; ++number) {
        const auto type = static_cast<ClipboardType>(number);
        if (name_of(type) == name && name != "unknown") return type;
    }
    return fail(ErrorCode::invalid_argument, "'{}' is no type of a clipboard", name);
}

}  // namespace

HeadlessDevices::HeadlessDevices(Loop& loop, EventLog& events, const DeviceChoice& devices)
    : loop_(loop),
      events_(events),
      shared_(
          loop, devices, [this] { return &session(); },
          [this](const std::string& name, bool there) {
              write("device", fmt::format("{},\"there\":{}", text_field("name", name), there));
          },
          [this](const Error& error) { on_problem(error); }),
      port_rest_timer_(loop.make_timer([this] { write_port_rests(); })) {}

// --- Commands ------------------------------------------------------------------------------------

Result<> HeadlessDevices::run_command(const Json& command) {
    const std::string_view name = command.text("cmd");
    if (name == "key") {
        auto* inputs = session().inputs();
        if (inputs == nullptr) return fail(ErrorCode::operation_invalid, "key: no inputs channel");
        inputs->key(static_cast<std::uint32_t>(command.u64("code")), command.flag("down"));
        return {};
    }
    if (name == "clipboard") return offer_clipboard(command);
    if (name == "paste") return paste(command);
    if (name == "cards") {
        shared_.move_cards(command.flag("in"));
        return {};
    }
    if (name == "usb-reset") {
        shared_.replug_usb();
        return {};
    }
    if (name == "port") return send_to_port(command);
    if (name == "send-file") return send_file(command);
    if (name == "monitors") return set_monitors(command);
    return fail(ErrorCode::invalid_argument, "command '{}' is not known", name);
}

// A text, or a file of a type that the agent's protocol knows.
Result<> HeadlessDevices::offer_clipboard(const Json& command) {
    const std::string path(command.text("path"));
    clipboard_type_ = TRY(clipboard_type(command.text("type")));
    if (path.empty()) {
        const ByteView text = as_bytes(command.text("text"));
        clipboard_.assign(text.begin(), text.end());
    } else {
        std::ifstream file(path, std::ios::binary);
        if (!file) return fail_errno("open", path, errno);
        clipboard_.assign(std::istreambuf_iterator<char>(file), {});
    }
    session().agent().offer_clipboard(Selection::clipboard, {clipboard_type_});
    return {};
}

Result<> HeadlessDevices::paste(const Json& command) {
    paste_path_ = command.text("path");
    const ClipboardType type = TRY(clipboard_type(command.text("type")));
    session().agent().request_clipboard(Selection::clipboard, type);
    return {};
}

Result<> HeadlessDevices::send_to_port(const Json& command) {
    const std::string_view name = command.text("name");
    const auto found = ports_.find(name);
    auto* stream = found == ports_.end() ? nullptr : session().stream(found->second);
    if (stream == nullptr) return fail(ErrorCode::invalid_argument, "no port '{}'", name);
    stream->give(as_bytes(command.text("text")));
    return {};
}

Result<> HeadlessDevices::send_file(const Json& command) {
    if (!files_) files_ = std::make_unique<FileSender>(session().agent());
    TRY(files_->send(std::string(command.text("path"))));
    return {};
}

Result<> HeadlessDevices::set_monitors(const Json& command) {
    std::vector<Monitor> monitors;
    std::int32_t left = 0;
    for (const Json& size : command["sizes"].items()) {
        if (size.items().size() != 2) {
            return fail(ErrorCode::invalid_argument, "monitors: sizes are [width, height]");
        }
        const auto width = static_cast<std::uint32_t>(size.items()[0].as_u64().value_or(0));
        const auto height = static_cast<std::uint32_t>(size.items()[1].as_u64().value_or(0));
        monitors.push_back({height, width, 32, left, 0});
        left += static_cast<std::int32_t>(width);
    }
    session().agent().set_monitors(std::move(monitors));
    return {};
}

// --- Agent ---------------------------------------------------------------------------------------

void HeadlessDevices::on_agent_ready(bool ready) {
    write("agent", fmt::format("\"ready\":{}", ready));
}

void HeadlessDevices::on_guest_offer(Selection selection, const std::vector<ClipboardType>& types) {
    const bool has_text =
        std::find(types.begin(), types.end(), ClipboardType::utf8_text) != types.end();
    if (has_text) session().agent().request_clipboard(selection, ClipboardType::utf8_text);
}

void HeadlessDevices::on_guest_request(Selection selection, ClipboardType type) {
    const bool has_it = type == clipboard_type_ && !clipboard_.empty();
    session().agent().send_clipboard(selection, has_it ? type : ClipboardType::none,
                                     has_it ? ByteView(clipboard_) : ByteView());
}

void HeadlessDevices::on_guest_clipboard(Selection selection, ClipboardType type, ByteView data) {
    const std::string path = std::exchange(paste_path_, {});
    if (!path.empty()) {
        std::ofstream file(path, std::ios::binary);
        const std::string_view bytes = as_text(data);
        file.write(bytes.data(), static_cast<std::streamsize>(bytes.size()));
        file.close();
        if (!file) on_problem(Error{ErrorCode::system, "clipboard: cannot write '" + path + "'"});
    }
    const bool is_text = type == ClipboardType::utf8_text && path.empty();
    write("clipboard",
          fmt::format("\"selection\":\"{}\",\"type\":\"{}\",\"bytes\":{}{}", name_of(selection),
                      name_of(type), data.size(),
                      is_text ? "," + text_field("text", as_text(data)) : std::string()));
}

void HeadlessDevices::on_file_wanted(std::uint32_t id, std::size_t size) {
    if (files_) files_->on_wanted(id, size);
}

void HeadlessDevices::on_file_over(std::uint32_t id, spice::wire::agent::FileStatus result) {
    const std::string path = files_ ? files_->on_over(id) : std::string();
    write("file", fmt::format("{},\"result\":\"{}\"", text_field("path", path), name_of(result)));
}

// --- Ports and sound -----------------------------------------------------------------------------

void HeadlessDevices::on_port(ChannelKey key, const std::string& name, bool open) {
    if (key.type != spice::wire::ChannelType::port) return shared_.on_port(key, open);
    write_port_rests();
    ports_[name] = key;
    if (auto* stream = session().stream(key)) stream->tell_open(true);
    write("port", fmt::format("{},\"open\":{}", text_field("name", name), open));
}

void HeadlessDevices::on_stream_data(ChannelKey key, ByteView data) {
    if (key.type != spice::wire::ChannelType::port) return shared_.on_stream_data(key, data);
    std::string& rest = port_rests_[key];
    const std::string text = rest + std::string(as_text(data));
    const std::size_t whole = whole_characters(text);
    rest = text.substr(whole);
    if (whole > 0) write_port_data(key, std::string_view(text).substr(0, whole));
    if (!rest.empty()) port_rest_timer_->start(kPortRest);
}

void HeadlessDevices::write_port_data(ChannelKey key, std::string_view text) {
    for (const auto& [name, port] : ports_) {
        if (port != key) continue;
        write("port-data",
              fmt::format("{},{}", text_field("name", name), text_field("text", text)));
    }
}

void HeadlessDevices::write_port_rests() {
    for (const auto& [key, rest] : std::exchange(port_rests_, {})) {
        if (!rest.empty()) write_port_data(key, rest);
    }
}

void HeadlessDevices::on_sound_start(const spice::client::SoundFormat& format) {
    sound_samples_ = 0;
    sound_peak_ = 0;
    sound_told_ = false;
    write("sound-start",
          fmt::format("\"channels\":{},\"frequency\":{}", format.channels, format.frequency));
}

void HeadlessDevices::on_sound_stop() {
    write("sound-stop", fmt::format("\"samples\":{}", sound_samples_));
}

void HeadlessDevices::on_sound(std::span<const std::int16_t> samples, std::uint32_t media_time) {
    sound_samples_ += samples.size();
    for (const std::int16_t sample : samples)
        sound_peak_ = std::max(sound_peak_, std::abs(int{sample}));
    if (sound_told_ || sound_samples_ < kSoundSample) return;
    sound_told_ = true;
    write("sound", fmt::format("\"peak\":{},\"media_time\":{}", sound_peak_, media_time));
}

}  // namespace segue::viewer
