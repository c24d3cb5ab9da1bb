// SPDX-License-Identifier: LGPL-2.1-or-later
// The values of the settings: ranges as text, and which of them a running daemon may change.
#include "daemon/settings.h"

#include <charconv>

namespace segue {
namespace {

Result<std::uint16_t> parse_port(std::string_view text) {
    unsigned port = 0;
    const auto end = text.data() + text.size();
    const auto parsed = std::from_chars(text.data(), end, port);
    if (parsed.ec != std::errc() || parsed.ptr != end || port > 65535) {
        return fail(ErrorCode::invalid_argument, "'{}' is no port: use a number up to 65535", text);
    }
    return static_cast<std::uint16_t>(port);
}

}  // namespace

Result<PortRange> PortRange::parse(std::string_view text) {
    const std::size_t hyphen = text.find('-');
    if (hyphen == std::string_view::npos) {
        return fail(ErrorCode::invalid_argument, "'{}': use LO-HI, for example 49300-49399", text);
    }
    PortRange range;
    range.low = TRY(parse_port(text.substr(0, hyphen)));
    range.high = TRY(parse_port(text.substr(hyphen + 1)));
    if (range.low == 0 || range.low > range.high) {
        return fail(ErrorCode::invalid_argument, "'{}': LO must be 1 or more, and at most HI",
                    text);
    }
    return range;
}

std::string PortRange::text() const {
    return fmt::format("{}-{}", low, high);
}

std::vector<std::string> take_reloaded(Settings& running, Settings wanted) {
    std::vector<std::string> waiting;
    const auto keep = [&](const char* key, auto value) {
        if (wanted.*value == running.*value) return;
        waiting.emplace_back(key);
        wanted.*value = running.*value;
    };
    keep("daemon.listen", &Settings::listen);
    keep("daemon.state", &Settings::state);
    keep("daemon.hostname", &Settings::hostname);
    keep("daemon.host_uuid", &Settings::host_uuid);
    keep("daemon.socket_group", &Settings::socket_group);
    keep("daemon.read_only_sockets", &Settings::read_only_sockets);
    keep("migration.address", &Settings::migrate_address);
    keep("metrics.socket", &Settings::metrics_socket);
    running = std::move(wanted);
    return waiting;
}

}  // namespace segue
