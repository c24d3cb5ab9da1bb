// SPDX-License-Identifier: LGPL-2.1-or-later
// The values of the settings: addresses and ranges as text.
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

// The limit of sun_path in sockaddr_un, with the final NUL.
constexpr std::size_t kMaxSocketPath = 107;

Result<ListenAddress> parse_network(ListenAddress::Kind kind, std::string_view text,
                                    std::string_view whole) {
    const std::size_t colon = text.rfind(':');
    if (colon == std::string_view::npos || colon == 0) {
        return fail(ErrorCode::invalid_argument, "'{}' has no ADDR:PORT", whole);
    }
    std::string_view address = text.substr(0, colon);
    const bool bracketed = address.front() == '[' && address.back() == ']';
    if (bracketed) address = address.substr(1, address.size() - 2);
    if (address.empty() || (!bracketed && address.find(':') != std::string_view::npos)) {
        return fail(ErrorCode::invalid_argument,
                    "'{}': write an IPv6 address in brackets, [::1]:16509", whole);
    }
    ListenAddress listen;
    listen.kind = kind;
    listen.address = address;
    listen.port = TRY(parse_port(text.substr(colon + 1)));
    return listen;
}

}  // namespace

Result<ListenAddress> ListenAddress::parse(std::string_view text) {
    if (text.starts_with("unix:")) {
        ListenAddress listen;
        listen.path = text.substr(5);
        if (listen.path.empty() || listen.path.front() != '/') {
            return fail(ErrorCode::invalid_argument, "'{}': the socket's path must start with /",
                        text);
        }
        if (listen.path.size() > kMaxSocketPath) {
            return fail(ErrorCode::invalid_argument,
                        "'{}': a socket's path has at most {} bytes: use a shorter one", text,
                        kMaxSocketPath);
        }
        return listen;
    }
    if (text.starts_with("tcp:")) return parse_network(Kind::tcp, text.substr(4), text);
    if (text.starts_with("tls:")) return parse_network(Kind::tls, text.substr(4), text);
    return fail(ErrorCode::invalid_argument, "'{}': use unix:PATH, tcp:ADDR:PORT or tls:ADDR:PORT",
                text);
}

std::string ListenAddress::text() const {
    if (kind == Kind::local) return "unix:" + path;
    const bool six = address.find(':') != std::string::npos;
    return fmt::format("{}:{}{}{}:{}", kind == Kind::tcp ? "tcp" : "tls", six ? "[" : "", address,
                       six ? "]" : "", port);
}

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

}  // namespace segue
