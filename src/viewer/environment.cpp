// SPDX-License-Identifier: LGPL-2.1-or-later
#include "viewer/environment.h"

#include <algorithm>
#include <charconv>
#include <cstdlib>

#include "spice/wire/display.schema.h"
#include "spice/wire/main.schema.h"
#include "spice/wire/playback.schema.h"
#include "spice/wire/record.schema.h"
#include "spice/wire/spicevmc.schema.h"
#include "spice/wire/standby.schema.h"

namespace segue::viewer {
namespace {

namespace wire = spice::wire;
using wire::ChannelType;

constexpr std::uint32_t kMaxKeypressDelay = 10000;

std::optional<std::string_view> value_of(const char* name) {
    const char* value = std::getenv(name);
    return value ? std::optional<std::string_view>(value) : std::nullopt;
}

// Errors: invalid_argument for what is no whole number from `least` to `most`.
Result<std::optional<std::int64_t>> number_of(const char* name, std::int64_t least,
                                              std::int64_t most) {
    const auto text = value_of(name);
    if (!text || text->empty()) return std::nullopt;
    std::int64_t number = 0;
    const auto [end, error] = std::from_chars(text->data(), text->data() + text->size(), number);
    if (error != std::errc{} || end != text->data() + text->size() || number < least ||
        number > most) {
        return fail(ErrorCode::invalid_argument, "{}='{}': a number from {} to {}", name, *text,
                    least, most);
    }
    return number;
}

// A capability is left out where a variable of its own name (that of spice/protocol.h) is 0.
template <class Capability>
std::uint32_t masked(const std::string& prefix) {
    std::uint32_t bits = 0;
    for (std::uint32_t bit = 0; bit < 32; ++bit) {
        const std::string_view name = name_of(static_cast<Capability>(bit));
        if (name == "unknown") continue;
        std::string variable = prefix;
        std::transform(name.begin(), name.end(), std::back_inserter(variable),
                       [](unsigned char one) { return static_cast<char>(std::toupper(one)); });
        if (value_of(variable.c_str()) == "0") bits |= 1u << bit;
    }
    return bits;
}

template <class Capability>
void mask(spice::client::Settings& settings, ChannelType channel, Capability one) {
    settings.masked_capabilities[channel] |= 1u << static_cast<std::uint32_t>(one);
}

void apply_masks(spice::client::Settings& settings) {
    auto& masks = settings.masked_capabilities;
    masks[ChannelType::main] |= masked<wire::main::Capability>("SPICE_MAIN_CAP_") |
                                masked<wire::standby::Capability>("SPICE_MAIN_CAP_");
    masks[ChannelType::display] |= masked<wire::display::Capability>("SPICE_DISPLAY_CAP_");
    masks[ChannelType::playback] |= masked<wire::playback::Capability>("SPICE_PLAYBACK_CAP_");
    masks[ChannelType::record] |= masked<wire::record::Capability>("SPICE_RECORD_CAP_");
    const auto devices = masked<wire::spicevmc::Capability>("SPICE_SPICEVMC_CAP_");
    for (const auto type : {ChannelType::usbredir, ChannelType::port, ChannelType::webdav})
        masks[type] |= devices;
    settings.masked_common_capabilities |= masked<wire::CommonCapability>("SPICE_COMMON_CAP_");
    // The one whose name in the header has a word more.
    if (value_of("SPICE_COMMON_CAP_PROTOCOL_AUTH_SELECTION") == "0") {
        const auto bit = static_cast<std::uint32_t>(wire::CommonCapability::auth_selection);
        settings.masked_common_capabilities |= 1u << bit;
    }
    if (value_of("SPICE_DISABLE_OPUS")) {
        mask(settings, ChannelType::playback, wire::playback::Capability::opus);
        mask(settings, ChannelType::record, wire::record::Capability::opus);
    }
    if (value_of("SPICE_DISABLE_ADAPTIVE_STREAMING"))
        mask(settings, ChannelType::display, wire::display::Capability::stream_report);
}

}  // namespace

Result<> apply_environment(Options& options) {
    spice::client::Settings& settings = options.settings;
    if (const auto password = value_of("SEGUE_VIEW_PASSWORD")) settings.password = *password;
    if (const auto host = value_of("SPICE_MIG_HOST")) settings.migration_host = *host;
    if (const auto proxy = value_of("SPICE_PROXY"); proxy && !proxy->empty() && !settings.proxy)
        settings.proxy = TRY(spice::client::parse_proxy(std::string(*proxy)));
    if (const auto channels = value_of("SPICE_DISABLE_CHANNELS"))
        TRY(apply_disabled_channels(*channels, settings));
    // -1 is spice-gtk's word for no limit.
    const auto clipboard = TRY(number_of("SPICE_MAX_CLIPBOARD", -1, 0xffffffff));
    if (clipboard && *clipboard >= 0)
        settings.max_clipboard = static_cast<std::uint32_t>(*clipboard);
    const auto delay = TRY(number_of("SPICE_KEYPRESS_DELAY", 0, kMaxKeypressDelay));
    options.keypress_delay_ms = static_cast<std::uint32_t>(delay.value_or(0));
    if (value_of("SPICE_NOGRAB")) options.may_grab = false;
    if (value_of("SPICE_DEBUG_CURSOR")) options.shows_hidden_cursor = true;
    const std::string_view messages = value_of("G_MESSAGES_DEBUG").value_or("");
    const bool asks = messages.find("all") != std::string_view::npos ||
                      messages.find("GSpice") != std::string_view::npos;
    if (value_of("SPICE_DEBUG") || asks) options.verbose = true;
    apply_masks(settings);
    return {};
}

}  // namespace segue::viewer
