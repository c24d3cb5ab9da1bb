// SPDX-License-Identifier: LGPL-2.1-or-later
// The two URIs a migration may be given: where QEMU's stream goes, and where the viewers go.
#include <charconv>

#include "migrate/options.h"

namespace segue::migrate {
namespace {

constexpr std::size_t kMostUriBytes = 1024;

struct Parts {
    std::string scheme;
    std::string host;
    std::uint16_t port = 0;
    std::string_view query;
};

std::optional<std::uint16_t> parse_port(std::string_view text) {
    std::uint16_t port = 0;
    const auto done = std::from_chars(text.data(), text.data() + text.size(), port);
    if (done.ec != std::errc{} || done.ptr != text.data() + text.size()) return std::nullopt;
    return port;
}

// "host", "host:port", "[v6]", "[v6]:port"
bool parse_authority(std::string_view text, Parts& parts) {
    std::string_view port;
    if (text.starts_with('[')) {
        const std::size_t end = text.find(']');
        if (end == std::string_view::npos) return false;
        parts.host = text.substr(1, end - 1);
        port = text.substr(end + 1);
    } else {
        const std::size_t colon = text.find(':');
        parts.host = text.substr(0, colon);
        if (colon != std::string_view::npos) port = text.substr(colon);
    }
    if (port.empty()) return true;
    const auto number = parse_port(port.substr(1));
    if (port[0] != ':' || !number) return false;
    parts.port = *number;
    return true;
}

int hex_digit(char character) {
    if (character >= '0' && character <= '9') return character - '0';
    if (character >= 'a' && character <= 'f') return character - 'a' + 10;
    if (character >= 'A' && character <= 'F') return character - 'A' + 10;
    return -1;
}

std::string unescape(std::string_view text) {
    std::string plain;
    for (std::size_t at = 0; at < text.size(); ++at) {
        const bool escaped = text[at] == '%' && at + 2 < text.size() &&
                             hex_digit(text[at + 1]) >= 0 && hex_digit(text[at + 2]) >= 0;
        if (!escaped) {
            plain += text[at];
            continue;
        }
        plain += static_cast<char>(hex_digit(text[at + 1]) * 16 + hex_digit(text[at + 2]));
        at += 2;
    }
    return plain;
}

Result<Parts> split(std::string_view text, std::string_view what) {
    if (text.size() > kMostUriBytes) {
        return fail(ErrorCode::invalid_argument, "{} URI has {} bytes (at most {})", what,
                    text.size(), kMostUriBytes);
    }
    const std::size_t colon = text.find(':');
    if (colon == std::string_view::npos || text.substr(0, colon).find('/') != text.npos) {
        return fail(ErrorCode::invalid_argument, "missing scheme in {} URI: {}", what, text);
    }
    Parts parts;
    parts.scheme = text.substr(0, colon);
    std::string_view rest = text.substr(colon + 1);
    if (rest.starts_with("//")) rest.remove_prefix(2);
    const std::size_t end = rest.find_first_of("/?");
    if (!parse_authority(rest.substr(0, end), parts)) {
        return fail(ErrorCode::invalid_argument, "malformed host or port in {} URI: {}", what,
                    text);
    }
    const std::size_t query = rest.find('?');
    if (query != std::string_view::npos) parts.query = rest.substr(query + 1);
    return parts;
}

}  // namespace

Result<MigrateUri> parse_migrate_uri(std::string_view text) {
    const Parts parts = TRY(split(text, "migration"));
    if (parts.scheme != "tcp") {
        return fail(ErrorCode::argument_unsupported, "unsupported scheme {} in migration URI {}",
                    parts.scheme, text);
    }
    if (parts.host.empty()) {
        return fail(ErrorCode::invalid_argument, "missing host in migration URI: {}", text);
    }
    return MigrateUri{parts.host, parts.port};
}

std::string migrate_uri_text(const MigrateUri& uri) {
    const bool numeric6 = uri.host.find(':') != std::string::npos;
    const std::string host = numeric6 ? "[" + uri.host + "]" : uri.host;
    return uri.port == 0 ? fmt::format("tcp:{}", host) : fmt::format("tcp:{}:{}", host, uri.port);
}

Result<GraphicsUri> parse_graphics_uri(std::string_view text) {
    const Parts parts = TRY(split(text, "graphics"));
    if (parts.scheme != "spice" && parts.scheme != "vnc") {
        return fail(ErrorCode::argument_unsupported, "unsupported scheme {} in graphics URI {}",
                    parts.scheme, text);
    }
    GraphicsUri uri{parts.scheme, parts.host, parts.port, 0, ""};
    std::string_view query = parts.query;
    while (!query.empty()) {
        const std::size_t end = query.find('&');
        const std::string_view item = query.substr(0, end);
        query = end == std::string_view::npos ? std::string_view{} : query.substr(end + 1);
        const std::size_t equals = item.find('=');
        if (equals == std::string_view::npos) continue;
        const std::string_view name = item.substr(0, equals);
        const std::string_view value = item.substr(equals + 1);
        if (name == "tlsSubject") uri.tls_subject = unescape(value);
        if (name != "tlsPort") continue;
        const auto port = parse_port(value);
        if (!port) {
            return fail(ErrorCode::invalid_argument, "malformed tlsPort in graphics URI: {}", text);
        }
        uri.tls_port = *port;
    }
    return uri;
}

}  // namespace segue::migrate
