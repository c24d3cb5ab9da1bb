// SPDX-License-Identifier: LGPL-2.1-or-later
#include "rpc/uri.h"

#include <charconv>

namespace segue::rpc {
namespace {

constexpr std::size_t kLongestUri = 4096;
// remote_driver.h of libvirt
constexpr std::uint16_t kTcpPort = 16509;
constexpr std::uint16_t kTlsPort = 16514;

auto malformed(std::string_view uri, std::string_view why) {
    return fail(ErrorCode::invalid_argument, "URI '{}': {}", uri, why);
}

Result<std::string> decode(std::string_view text, std::string_view uri) {
    std::string decoded;
    for (std::size_t at = 0; at < text.size(); ++at) {
        if (text[at] != '%') {
            decoded += text[at];
            continue;
        }
        std::uint8_t value = 0;
        const char* const begin = text.data() + at + 1;
        if (at + 2 >= text.size() ||
            std::from_chars(begin, begin + 2, value, 16).ptr != begin + 2) {
            return malformed(uri, "'%' without two hexadecimal digits");
        }
        if (value == 0) return malformed(uri, "an encoded NUL");
        decoded += static_cast<char>(value);
        at += 2;
    }
    return decoded;
}

// The part before `mark`, which is taken from `rest` with it; everything when there is none.
std::string_view split(std::string_view& rest, char mark) {
    const std::size_t at = rest.find(mark);
    const std::string_view part = rest.substr(0, at);
    rest = at == rest.npos ? std::string_view() : rest.substr(at + 1);
    return part;
}

Result<> parse_authority(std::string_view text, std::string_view uri, UriParts& parts) {
    if (const std::size_t at = text.rfind('@'); at != text.npos) {
        parts.user = TRY(decode(text.substr(0, at), uri));
        text.remove_prefix(at + 1);
    }
    std::string_view port;
    if (!text.empty() && text.front() == '[') {
        const std::size_t end = text.find(']');
        if (end == text.npos) return malformed(uri, "'[' without ']'");
        parts.host = text.substr(1, end - 1);
        port = text.substr(end + 1);
        if (!port.empty() && port.front() != ':') return malformed(uri, "text behind ']'");
    } else {
        const std::size_t colon = text.find(':');
        parts.host = TRY(decode(text.substr(0, colon), uri));
        port = colon == text.npos ? std::string_view() : text.substr(colon);
    }
    if (port.empty()) return {};
    port.remove_prefix(1);
    const auto [end, error] = std::from_chars(port.data(), port.data() + port.size(), parts.port);
    if (error != std::errc{} || end != port.data() + port.size() || parts.port == 0) {
        return malformed(uri, "the port must be a number from 1 to 65535");
    }
    return {};
}

}  // namespace

Result<UriParts> parse_uri(std::string_view text) {
    if (text.size() > kLongestUri) {
        return fail(ErrorCode::invalid_argument, "a URI of {} bytes: the limit is {}", text.size(),
                    kLongestUri);
    }
    const std::size_t mark = text.find("://");
    if (mark == text.npos || mark == 0) return malformed(text, "missing scheme (as in qemu://)");
    UriParts parts;
    parts.scheme = text.substr(0, mark);
    std::string_view rest = text.substr(mark + 3);
    rest = rest.substr(0, rest.find('#'));
    std::string_view hierarchy = split(rest, '?');
    const std::size_t slash = hierarchy.find('/');
    TRY(parse_authority(hierarchy.substr(0, slash), text, parts));
    if (slash != hierarchy.npos) parts.path = TRY(decode(hierarchy.substr(slash), text));
    while (!rest.empty()) {
        std::string_view pair = split(rest, '&');
        const std::string_view name = split(pair, '=');
        if (name.empty()) continue;
        std::string key = TRY(decode(name, text));
        parts.query[std::move(key)] = TRY(decode(pair, text));
    }
    return parts;
}

Result<ConnectionUri> ConnectionUri::parse(std::string_view text, std::string_view default_socket) {
    UriParts parts = TRY(parse_uri(text));
    std::string_view transport = parts.scheme;
    const std::string driver(split(transport, '+'));
    if (driver != "qemu") {
        return fail(ErrorCode::config_unsupported,
                    "URI '{}': driver '{}' is not supported; use qemu", text, driver);
    }
    if (transport.empty()) transport = parts.host.empty() ? "unix" : "tls";
    ConnectionUri uri;
    uri.name = parts.query.count("name") ? parts.query["name"]
                                         : fmt::format("{}://{}", driver, parts.path);
    if (transport == "unix") {
        if (!parts.host.empty()) return malformed(text, "a unix socket has no host");
        const auto socket = parts.query.find("socket");
        uri.address = net::Address::of_unix(
            socket == parts.query.end() ? std::string(default_socket) : socket->second);
        return uri;
    }
    if (transport != "tcp" && transport != "tls") {
        return fail(ErrorCode::config_unsupported,
                    "URI '{}': transport '{}' is not supported; use unix, tcp or tls", text,
                    transport);
    }
    if (parts.host.empty()) return malformed(text, "missing host");
    const bool is_tls = transport == "tls";
    const std::uint16_t port = parts.port != 0 ? parts.port : is_tls ? kTlsPort : kTcpPort;
    uri.address = net::Address::of_tcp(parts.host, port);
    if (is_tls) uri.address.transport = net::Transport::tls;
    uri.pki_path = parts.query["pkipath"];
    uri.verify = parts.query["no_verify"].empty() || parts.query["no_verify"] == "0";
    return uri;
}

}  // namespace segue::rpc
