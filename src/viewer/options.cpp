// SPDX-License-Identifier: LGPL-2.1-or-later
#include "viewer/options.h"

#include <CLI/CLI.hpp>
#include <array>
#include <charconv>
#include <cstdlib>
#include <fstream>
#include <iostream>
#include <sstream>

#include "spice/client/tls.h"
#include "viewer/connection_file.h"
#include "viewer/environment.h"
#include "viewer/uri.h"

namespace segue::viewer {
namespace {

using spice::client::Settings;
using spice::wire::ChannelType;

constexpr std::array kChannelNames = {
    std::pair{"main", ChannelType::main},           std::pair{"display", ChannelType::display},
    std::pair{"inputs", ChannelType::inputs},       std::pair{"cursor", ChannelType::cursor},
    std::pair{"playback", ChannelType::playback},   std::pair{"record", ChannelType::record},
    std::pair{"smartcard", ChannelType::smartcard}, std::pair{"usbredir", ChannelType::usbredir},
    std::pair{"port", ChannelType::port},           std::pair{"webdav", ChannelType::webdav},
};

// SpiceImageCompression in spice/enums.h, under remote-viewer's names.
constexpr std::array kCompressions = {
    std::pair{"off", 1}, std::pair{"auto-glz", 2}, std::pair{"auto-lz", 3}, std::pair{"quic", 4},
    std::pair{"glz", 5}, std::pair{"lz", 6},       std::pair{"lz4", 7},
};

constexpr std::int64_t kBytesPerPixel = 4;
constexpr std::int64_t kMaxCacheBytes = std::int64_t{4} << 30;
constexpr std::int64_t kMaxGlzBytes = std::int64_t{1} << 30;

// Earlier versions counted MiB.
std::string size_in_bytes(const std::string& text) {
    constexpr std::int64_t kLeast = 1 << 20;
    std::int64_t bytes = 0;
    std::from_chars(text.data(), text.data() + text.size(), bytes);
    if (bytes <= 0 || bytes >= kLeast) return {};
    return fmt::format("{} bytes: it is 0, or at least {} (bytes, and not MiB)", bytes, kLeast);
}

std::vector<std::string_view> words_of(std::string_view list) {
    std::vector<std::string_view> words;
    while (!list.empty()) {
        const std::size_t end = std::min(list.find_first_of(",;: "), list.size());
        if (end > 0) words.push_back(list.substr(0, end));
        list = list.substr(std::min(end + 1, list.size()));
    }
    return words;
}

Result<ChannelType> channel_of(std::string_view name) {
    for (const auto& [known, type] : kChannelNames) {
        if (name == known) return type;
    }
    return fail(ErrorCode::invalid_argument, "'{}' is no channel", name);
}

// What the command line says before a file or URI is read: options win over the file.
struct Given {
    std::string target;
    std::string authority_file;
    std::string subject;
    std::string secure_channels;
    std::string compression;
    std::int64_t cache_bytes = 0;  // 0: the usual size
    std::int64_t glz_bytes = 0;
    bool disable_audio = false;
    bool disable_usb = false;
    std::string hotkeys;
    std::string keymap;
    bool shared = false;  // remote-viewer's word for VNC: here the server decides
    std::string kiosk_quit = "never";
    std::string auto_resize = "always";
    std::string cursor = "auto";
    std::string disabled_effects;
    std::string color_depth;
    bool debug = false;
    std::optional<int> reconnect_seconds;
    DeviceChoice devices;
    bool plugs_usb = false;  // enable-usb-autoshare of a file
};

void add_spice_options(CLI::App& app, Given& given) {
    const auto group = "SPICE options (as remote-viewer)";
    app.add_option("--spice-ca-file", given.authority_file, "CA certificates, PEM")->group(group);
    app.add_option("--spice-host-subject", given.subject, "expected certificate subject")
        ->group(group);
    app.add_option("--spice-secure-channels", given.secure_channels, "'all' or main,display,…")
        ->group(group);
    app.add_option("--spice-preferred-compression", given.compression,
                   "auto-glz, auto-lz, quic, glz, lz, lz4 or off")
        ->group(group);
    app.add_option("--spice-cache-size", given.cache_bytes,
                   "image cache, bytes; 0: the usual 80 MiB")
        ->check(CLI::Range(std::int64_t{0}, kMaxCacheBytes))
        ->check(size_in_bytes)
        ->group(group);
    app.add_option("--spice-glz-window-size", given.glz_bytes,
                   "GLZ window, bytes; 0: the usual 32 MiB")
        ->check(CLI::Range(std::int64_t{0}, kMaxGlzBytes))
        ->check(size_in_bytes)
        ->group(group);
    app.add_flag("--spice-disable-audio", given.disable_audio, "no sound")->group(group);
    app.add_flag("--spice-disable-usbredir", given.disable_usb, "no USB redirection")->group(group);
    app.add_option("--spice-disable-effects", given.disabled_effects,
                   "wallpaper,font-smooth,animation or all, by the agent in the guest")
        ->group(group);
    app.add_option("--spice-color-depth", given.color_depth, "16 or 32, by the agent in the guest")
        ->check(CLI::IsMember({"16", "32"}))
        ->group(group);
    app.add_flag("--spice-debug", given.debug, "say what is going on")->group(group);
}

void add_device_options(CLI::App& app, DeviceChoice& devices) {
    const auto group = "Sharing with the guest (as remote-viewer)";
    app.add_option("--spice-shared-dir", devices.folder, "a folder, for spice-webdavd in the guest")
        ->check(CLI::ExistingDirectory)
        ->group(group);
    app.add_option("--spice-share-cd", devices.discs,
                   "an image file as a USB disc; may be repeated")
        ->group(group);
    app.add_option("--spice-usbredir-redirect-on-connect", devices.usb_on_connect,
                   "USB devices that are there: class,vendor,product,version,allow|…")
        ->group(group);
    app.add_option("--spice-usbredir-auto-redirect-filter", devices.usb_when_plugged,
                   "USB devices that are plugged in while the viewer has the keyboard")
        ->group(group);
    app.add_flag("--spice-smartcard", devices.cards, "smartcards in readers of this machine")
        ->group(group);
    app.add_option("--spice-smartcard-db", devices.card_database,
                   "NSS database, for a card made of its certificates")
        ->group(group);
    app.add_option("--spice-smartcard-certificates", devices.card_certificates,
                   "three nicknames of certificates in it")
        ->delimiter(',')
        ->group(group);
}

void add_own_options(CLI::App& app, Options& options, Given& given) {
    app.add_option("TARGET", given.target, "spice:// URI, .vv file, or - for a file on stdin")
        ->required();
    app.add_flag("--headless", options.headless, "no window: events, frames and screenshots only");
    app.add_option("--events", options.events_file, "one JSON object a line; - is stdout");
    app.add_option("--frames", options.frames_folder, "write each shown frame as PNG there");
    app.add_option("--screenshot", options.screenshot_file, "PNG of the last picture at the end");
    app.add_option("--seconds", options.seconds, "leave after so long")->check(CLI::PositiveNumber);
    app.add_option("--reconnect", given.reconnect_seconds,
                   "seconds to look for a server that is lost, a sixth for one that ended (60)")
        ->check(CLI::Range(0, 86400));
    app.add_flag("--commands", options.takes_commands,
                 "headless: take commands on stdin, and open ports and sound");
    app.add_flag("--read-only", options.settings.read_only, "watch; send no input");
    app.add_flag("-f,--full-screen", options.fullscreen, "start in full screen");
    app.add_option("-z,--zoom", options.zoom_percent, "percent")->check(CLI::Range(10, 400));
    app.add_option("-t,--title", options.title, "window title");
    app.add_flag("-s,--shared", given.shared, "accepted: whether others may watch is the server's");
    app.add_flag("-k,--kiosk", options.kiosk, "full screen, and no way out of it");
    app.add_option("--kiosk-quit", given.kiosk_quit, "never or on-disconnect")
        ->check(CLI::IsMember({"never", "on-disconnect"}));
    app.add_option("--auto-resize", given.auto_resize, "always or never: the guest to its window")
        ->check(CLI::IsMember({"always", "never"}));
    app.add_option("--cursor", given.cursor, "auto (the guest's) or local")
        ->check(CLI::IsMember({"auto", "local"}));
    app.add_option("-H,--hotkeys", given.hotkeys, "ACTION=KEY[+KEY],… (see the man page)");
    app.add_option("-K,--keymap", given.keymap,
                   "KEY=[KEY[+KEY]],…: what the guest gets instead; nothing blocks the key");
    app.add_flag("--debug", given.debug, "say what is going on");
    app.add_flag("-v,--verbose", options.verbose, "say what is going on");
}

std::string read_all(std::istream& from) {
    std::ostringstream text;
    char buffer[4096];
    std::size_t total = 0;
    while (total < kMaxConnectionFile && from.read(buffer, sizeof buffer).gcount() > 0) {
        text.write(buffer, from.gcount());
        total += static_cast<std::size_t>(from.gcount());
    }
    return text.str();
}

// What the agent is to do for slow lines. Errors: invalid_argument names the effect.
Result<> apply_effects(const Given& given, Options& options) {
    using spice::wire::agent::DisplayFlags;
    constexpr std::array kEffects = {
        std::pair{"wallpaper", DisplayFlags::disable_wallpaper},
        std::pair{"font-smooth", DisplayFlags::disable_font_smooth},
        std::pair{"animation", DisplayFlags::disable_animation},
    };
    spice::wire::agent::DisplayConfig config;
    const auto add = [&](DisplayFlags flag) {
        config.flags = static_cast<DisplayFlags>(static_cast<std::uint32_t>(config.flags) |
                                                 static_cast<std::uint32_t>(flag));
    };
    std::string_view rest = given.disabled_effects;
    while (!rest.empty()) {
        const std::size_t end = std::min(rest.find_first_of(",;"), rest.size());
        const std::string_view name = rest.substr(0, end);
        rest = rest.substr(std::min(end + 1, rest.size()));
        bool known = name.empty();
        for (const auto& [effect, flag] : kEffects) {
            if (name != effect && name != "all") continue;
            add(flag);
            known = true;
        }
        if (!known)
            return fail(ErrorCode::invalid_argument, "'{}' is no effect of a desktop", name);
    }
    if (given.color_depth == "16" || given.color_depth == "32") {
        add(DisplayFlags::set_color_depth);
        config.depth = given.color_depth == "16" ? 16 : 32;
    }
    if (config.flags != DisplayFlags{}) options.display_config = config;
    return {};
}

Result<> apply_target(const std::string& target, Given& given, Options& options) {
    if (target.find("://") != std::string::npos) return apply_uri(target, options.settings);
    std::string text;
    if (target == "-") {
        text = read_all(std::cin);
    } else {
        std::ifstream file(target, std::ios::binary);
        if (!file) return fail_errno("open", target, errno);
        text = read_all(file);
    }
    // Judged only then: what is good for once, and holds a password, must not stay for a mistake.
    if (target != "-" && wants_to_be_deleted(text)) std::remove(target.c_str());
    const ConnectionFile file = TRY(apply_connection_file(text, options.settings));
    if (options.title.empty()) options.title = file.title;
    options.fullscreen = options.fullscreen || file.fullscreen;
    for (const auto& [action, keys] : file.hotkeys)
        TRY(options.hotkeys.set(action, keys));
    if (given.disabled_effects.empty()) given.disabled_effects = file.disabled_effects;
    if (given.color_depth.empty()) given.color_depth = file.color_depth;
    given.devices.cards = given.devices.cards || file.enables_smartcard;
    given.disable_usb = given.disable_usb || !file.enables_usb;
    given.plugs_usb = file.shares_plugged_usb;
    if (given.devices.usb_when_plugged.empty()) given.devices.usb_when_plugged = file.usb_filter;
    return {};
}

// What is shared, and the channels that this needs.
Result<> apply_devices(const Given& given, Options& options) {
    DeviceChoice& devices = options.devices;
    devices = given.devices;
    for (std::string& disc : devices.discs) {
        // spice-gtk's mark for a disc that goes when the guest ejects it: all do here.
        if (disc.starts_with('*')) disc.erase(0, 1);
    }
    if (given.plugs_usb && devices.usb_when_plugged.empty())
        devices.usb_when_plugged = kUsualUsbFilter;
    const std::size_t certificates = devices.card_certificates.size();
    if (certificates != 0 && certificates != 3) {
        return fail(ErrorCode::invalid_argument,
                    "--spice-smartcard-certificates names three certificates, not {}",
                    certificates);
    }
    devices.cards = devices.cards || certificates != 0;
    Settings& settings = options.settings;
    settings.folder_sharing = !devices.folder.empty() && !settings.read_only;
    settings.usb_redirection = devices.wants_usb() && !given.disable_usb;
    settings.smartcard = devices.cards;
    return {};
}

// Each channel would say it again, and none would be encrypted. Errors: what cannot be read.
Result<> check_trust(const Settings& settings) {
    const auto& trust = settings.trust;
    const bool is_given = !trust.authority_file.empty() || !trust.authority_pem.empty() ||
                          !trust.subject.empty() || !trust.ciphers.empty();
    if (is_given) TRY(spice::client::TlsClient::make(trust, settings.endpoint.host));
    return {};
}

Result<> apply_given(Given& given, Options& options) {
    Settings& settings = options.settings;
    TRY(apply_target(given.target, given, options));
    TRY(apply_devices(given, options));
    TRY(apply_effects(given, options));
    TRY(options.hotkeys.apply(given.hotkeys));
    options.key_remap = TRY(KeyRemap::parse(given.keymap));
    options.kiosk_quits = given.kiosk_quit == "on-disconnect";
    options.fullscreen = options.fullscreen || options.kiosk;
    options.resizes_guest = given.auto_resize == "always";
    options.local_cursor = given.cursor == "local";
    options.verbose = options.verbose || given.debug;
    if (!given.authority_file.empty()) settings.trust.authority_file = given.authority_file;
    if (!given.subject.empty()) settings.trust.subject = given.subject;
    if (!given.secure_channels.empty()) TRY(apply_secure_channels(given.secure_channels, settings));
    if (given.reconnect_seconds)
        settings.reconnect_for = std::chrono::seconds(*given.reconnect_seconds);
    if (given.cache_bytes > 0) settings.image_cache_pixels = given.cache_bytes / kBytesPerPixel;
    if (given.glz_bytes > 0)
        settings.glz_window_pixels = static_cast<std::int32_t>(given.glz_bytes / kBytesPerPixel);
    settings.audio = (!options.headless || options.takes_commands) && !given.disable_audio;
    settings.ports = options.takes_commands;
    if (!given.compression.empty()) {
        const auto* found =
            std::find_if(kCompressions.begin(), kCompressions.end(),
                         [&](const auto& entry) { return given.compression == entry.first; });
        if (found == kCompressions.end()) {
            return fail(ErrorCode::invalid_argument, "unknown compression '{}'", given.compression);
        }
        settings.preferred_compression = static_cast<std::uint8_t>(found->second);
    }
    TRY(apply_environment(options));
    TRY(check_trust(settings));
    if (settings.trust.authority_file.empty() && settings.trust.authority_pem.empty()) {
        // Where spice-gtk looks, too.
        const char* home = std::getenv("HOME");
        const std::string usual = std::string(home ? home : "") + "/.spicec/spice_truststore.pem";
        if (std::ifstream(usual)) settings.trust.authority_file = usual;
    }
    return {};
}

}  // namespace

Result<> apply_secure_channels(std::string_view list, Settings& settings) {
    for (const std::string_view name : words_of(list)) {
        if (name == "all") {
            settings.all_secure = true;
        } else {
            settings.secure_channels.insert(TRY(channel_of(name)));
        }
    }
    return {};
}

Result<> apply_disabled_channels(std::string_view list, Settings& settings) {
    for (const std::string_view name : words_of(list)) {
        const ChannelType type = TRY(channel_of(name));
        if (type == ChannelType::main) {
            return fail(ErrorCode::invalid_argument,
                        "the main channel cannot be left out: it is the session");
        }
        settings.disabled_channels.insert(type);
    }
    return {};
}

CommandLine parse_command_line(int argument_count, const char* const* arguments) {
    Options options;
    Given given;
    CLI::App app("Shows a virtual machine's screen over SPICE and follows it from host to host.",
                 "segue-view");
    app.set_version_flag("-V,--version", std::string("segue-view ") + SEGUE_VERSION);
    add_own_options(app, options, given);
    add_spice_options(app, given);
    add_device_options(app, given.devices);
    try {
        app.parse(argument_count, arguments);
    } catch (const CLI::ParseError& error) {
        CommandLine result;
        std::ostringstream out, err;
        // CLI11's own numbers say which mistake it was; the man page promises 2 for each.
        result.exit_code = app.exit(error, out, err) == 0 ? 0 : 2;
        result.message = out.str() + err.str();
        return result;
    }
    if (const Result<> applied = apply_given(given, options); !applied)
        return {std::nullopt, "segue-view: " + applied.error().message + "\n", 2};
    return {std::move(options), {}, 0};
}

}  // namespace segue::viewer
