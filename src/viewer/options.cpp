// SPDX-License-Identifier: LGPL-2.1-or-later
#include "viewer/options.h"

#include <CLI/CLI.hpp>
#include <array>
#include <cstdlib>
#include <fstream>
#include <iostream>
#include <sstream>

#include "viewer/connection_file.h"
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

// What the command line says before a file or URI is read: options win over the file.
struct Given {
    std::string target;
    std::string authority_file;
    std::string subject;
    std::string secure_channels;
    std::string compression;
    std::int64_t cache_mib = 0;
    std::int64_t glz_mib = 0;
    bool disable_audio = false;
    bool disable_usb = false;
    // Accepted for the sake of remote-viewer's users; nothing here uses them.
    std::string unused_text;
    bool unused_flag = false;
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
    app.add_option("--spice-cache-size", given.cache_mib, "image cache, MiB")
        ->check(CLI::Range(1, 4096))
        ->group(group);
    app.add_option("--spice-glz-window-size", given.glz_mib, "GLZ window, MiB")
        ->check(CLI::Range(1, 1024))
        ->group(group);
    app.add_flag("--spice-disable-audio", given.disable_audio, "no sound")->group(group);
    app.add_flag("--spice-disable-usbredir", given.disable_usb, "no USB redirection")->group(group);
    for (const char* name :
         {"--spice-disable-effects", "--spice-usbredir-auto-redirect-filter",
          "--spice-usbredir-redirect-on-connect", "--spice-share-cd", "--spice-shared-dir",
          "--spice-smartcard-db", "--spice-smartcard-certificates"}) {
        app.add_option(name, given.unused_text, "accepted and ignored")->group(group);
    }
    for (const char* name : {"--spice-debug", "--spice-smartcard"})
        app.add_flag(name, given.unused_flag, "accepted and ignored")->group(group);
}

void add_own_options(CLI::App& app, Options& options, Given& given) {
    app.add_option("TARGET", given.target, "spice:// URI, .vv file, or - for a file on stdin")
        ->required();
    app.add_flag("--headless", options.headless, "no window: events, frames and screenshots only");
    app.add_option("--events", options.events_file, "one JSON object a line; - is stdout");
    app.add_option("--frames", options.frames_folder, "write each shown frame as PNG there");
    app.add_option("--screenshot", options.screenshot_file, "PNG of the last picture at the end");
    app.add_option("--seconds", options.seconds, "leave after so long")->check(CLI::PositiveNumber);
    app.add_flag("--read-only", options.settings.read_only, "watch; send no input");
    app.add_flag("-f,--full-screen", options.fullscreen, "start in full screen");
    app.add_option("-z,--zoom", options.zoom_percent, "percent")->check(CLI::Range(10, 400));
    app.add_option("-t,--title", options.title, "window title");
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

Result<> apply_target(const std::string& target, Options& options) {
    if (target.find("://") != std::string::npos) return apply_uri(target, options.settings);
    std::string text;
    if (target == "-") {
        text = read_all(std::cin);
    } else {
        std::ifstream file(target, std::ios::binary);
        if (!file) return fail_errno("open", target, errno);
        text = read_all(file);
    }
    const ConnectionFile file = TRY(apply_connection_file(text, options.settings));
    if (options.title.empty()) options.title = file.title;
    options.fullscreen = options.fullscreen || file.fullscreen;
    options.release_cursor = file.release_cursor;
    options.toggle_fullscreen = file.toggle_fullscreen;
    if (file.delete_after_reading && target != "-") std::remove(target.c_str());
    return {};
}

Result<> apply_given(const Given& given, Options& options) {
    Settings& settings = options.settings;
    TRY(apply_target(given.target, options));
    if (!given.authority_file.empty()) settings.trust.authority_file = given.authority_file;
    if (!given.subject.empty()) settings.trust.subject = given.subject;
    if (!given.secure_channels.empty()) TRY(apply_secure_channels(given.secure_channels, settings));
    if (given.cache_mib > 0) settings.image_cache_pixels = (given.cache_mib << 20) / 4;
    if (given.glz_mib > 0)
        settings.glz_window_pixels = static_cast<std::int32_t>((given.glz_mib << 20) / 4);
    settings.audio = !options.headless && !given.disable_audio;
    settings.usb_redirection = !given.disable_usb;
    if (!given.compression.empty()) {
        const auto* found =
            std::find_if(kCompressions.begin(), kCompressions.end(),
                         [&](const auto& entry) { return given.compression == entry.first; });
        if (found == kCompressions.end()) {
            return fail(ErrorCode::invalid_argument, "unknown compression '{}'", given.compression);
        }
        settings.preferred_compression = static_cast<std::uint8_t>(found->second);
    }
    if (const char* password = std::getenv("SEGUE_VIEW_PASSWORD")) settings.password = password;
    if (const char* host = std::getenv("SPICE_MIG_HOST")) settings.migration_host = host;
    if (settings.trust.authority_file.empty() && settings.trust.authority_pem.empty()) {
        // Where spice-gtk looks, too.
        const char* home = std::getenv("HOME");
        const std::string usual = std::string(home ? home : "") + "/.spicec/spice_truststore.pem";
        if (std::ifstream(usual)) settings.trust.authority_file = usual;
    }
    if (const char* mask = std::getenv("SPICE_MAIN_CAP_SEAMLESS_MIGRATE");
        mask && std::string_view(mask) == "0") {
        settings.masked_main_capabilities |= 1u << 3;
    }
    if (const char* mask = std::getenv("SPICE_MAIN_CAP_SEMI_SEAMLESS_MIGRATE");
        mask && std::string_view(mask) == "0") {
        settings.masked_main_capabilities |= 1u << 0;
    }
    return {};
}

}  // namespace

Result<> apply_secure_channels(std::string_view list, Settings& settings) {
    while (!list.empty()) {
        const std::size_t end = std::min(list.find_first_of(",;"), list.size());
        const std::string_view name = list.substr(0, end);
        list = list.substr(std::min(end + 1, list.size()));
        if (name.empty()) continue;
        if (name == "all") {
            settings.all_secure = true;
            continue;
        }
        const auto* found = std::find_if(kChannelNames.begin(), kChannelNames.end(),
                                         [&](const auto& entry) { return name == entry.first; });
        if (found == kChannelNames.end()) {
            return fail(ErrorCode::invalid_argument, "secure channels: '{}' is no channel", name);
        }
        settings.secure_channels.insert(found->second);
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
    try {
        app.parse(argument_count, arguments);
    } catch (const CLI::ParseError& error) {
        CommandLine result;
        std::ostringstream out, err;
        result.exit_code = app.exit(error, out, err);
        result.message = out.str() + err.str();
        return result;
    }
    if (const Result<> applied = apply_given(given, options); !applied)
        return {std::nullopt, "segue-view: " + applied.error().message + "\n", 2};
    return {std::move(options), {}, 0};
}

}  // namespace segue::viewer
