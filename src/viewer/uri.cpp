// SPDX-License-Identifier: LGPL-2.1-or-later
#include "viewer/uri.h"

#include <charconv>
#include <set>

#include "base/log.h"

namespace segue::viewer {
namespace {

// Bounds that spice-gtk also has.
constexpr std::size_t kMaxKey = 31;
constexpr std::size_t kMaxValue = 127;

int hex_digit(char character) {
    if (character >= '0' && character <= '9') return character - '0';
    if (character >= 'a' && character <= 'f') return character - 'a' + 10;
    if (character >= 'A' && character <= 'F') return character - 'A' + 10;
    return -1;
}

Result<std::string> unescape(std::string_view text) {
    std::string result;
    for (std::size_t at = 0; at < text.size(); ++at) {
        if (text[at] != '%') {
            result += text[at];
            continue;
        }
        const int high = at + 2 < text.size() ? hex_digit(text[at + 1]) : -1;
        const int low = at + 2 < text.size() ? hex_digit(text[at + 2]) : -1;
        if (high < 0 || low < 0 || high + low == 0) {
            return fail(ErrorCode::invalid_argument, "URI: a '%' stands without two hex digits");
        }
        result += static_cast<char>(high * 16 + low);
        at += 2;
    }
    return result;
}

Result<std::uint16_t> parse_port(std::string_view text) {
    unsigned number = 0;
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
    if (error != std::errc{} || end != text.data() + text.size() || number < 1 || number > 65535) {
        return fail(ErrorCode::invalid_argument, "URI: port '{}' is not 1..65535", text);
    }
    return static_cast<std::uint16_t>(number);
}

struct Parts {
    std::string user;
    std::string host;
    std::string_view port;
    std::string_view query;
};

// "[user@]host[:port][/path][?query]"; the host may be an IPv6 address in brackets.
Result<Parts> split(std::string_view rest) {
    Parts parts;
    const std::size_t question = rest.find('?');
    if (question != std::string_view::npos) {
        parts.query = rest.substr(question + 1);
        rest = rest.substr(0, question);
    }
    const std::size_t slash = rest.find('/');
    if (slash != std::string_view::npos) {
        if (slash + 1 < rest.size()) {
            log_warning("viewer", "the path of the URI is ignored");
        }
        rest = rest.substr(0, slash);
    }
    const std::size_t at = rest.rfind('@');
    if (at != std::string_view::npos) {
        parts.user = TRY(unescape(rest.substr(0, at)));
        rest = rest.substr(at + 1);
    }
    std::string_view host = rest;
    if (!rest.empty() && rest[0] == '[') {
        const std::size_t close = rest.find(']');
        if (close == std::string_view::npos) {
            return fail(ErrorCode::invalid_argument, "URI: '[' without ']'");
        }
        host = rest.substr(1, close - 1);
        rest = rest.substr(close + 1);
        if (!rest.empty() && rest[0] != ':') {
            return fail(ErrorCode::invalid_argument, "URI: '{}' behind the address", rest);
        }
        if (!rest.empty()) parts.port = rest.substr(1);
    } else if (const std::size_t colon = rest.find(':'); colon != std::string_view::npos) {
        host = rest.substr(0, colon);
        parts.port = rest.substr(colon + 1);
    }
    parts.host = TRY(unescape(host));
    if (parts.host.empty()) return fail(ErrorCode::invalid_argument, "URI: no host");
    return parts;
}

Result<> apply_query(std::string_view query, bool tls_only, spice::client::Settings& settings) {
    std::set<std::string> seen;
    while (!query.empty()) {
        const std::size_t end = std::min(query.find_first_of("&;"), query.size());
        const std::string_view pair = query.substr(0, end);
        query = query.substr(std::min(end + 1, query.size()));
        const std::size_t equals = pair.find('=');
        if (equals == std::string_view::npos || equals > kMaxKey) {
            return fail(ErrorCode::invalid_argument, "URI: the query is KEY=VALUE pairs");
        }
        const std::string key = TRY(unescape(pair.substr(0, equals)));
        const std::string value = TRY(unescape(pair.substr(equals + 1)));
        if (value.size() > kMaxValue) {
            return fail(ErrorCode::invalid_argument, "URI: the value of '{}' is longer than {}",
                        key, kMaxValue);
        }
        if (!seen.insert(key).second) {
            return fail(ErrorCode::invalid_argument, "URI: '{}' is given twice", key);
        }
        if (key == "password") {
            log_warning("viewer",
                        "a password in a URI is seen by others; use "
                        "SEGUE_VIEW_PASSWORD");
            settings.password = value;
        } else if ((key == "port" || key == "tls-port") && tls_only) {
            log_warning("viewer", "'{}' is ignored in a spice+tls URI", key);
        } else if (key == "port") {
            settings.endpoint.port = TRY(parse_port(value));
        } else if (key == "tls-port") {
            settings.endpoint.tls_port = TRY(parse_port(value));
        } else {
            return fail(ErrorCode::invalid_argument,
                        "URI: key '{}' is not port, tls-port or password", key);
        }
    }
    return {};
}

}  // namespace

Result<> apply_uri(std::string_view uri, spice::client::Settings& settings) {
    constexpr std::string_view kUnix = "spice+unix://", kTls = "spice+tls://", kPlain = "spice://";
    if (uri.starts_with(kUnix)) {
        settings.endpoint = {};
        settings.endpoint.unix_path = TRY(unescape(uri.substr(kUnix.size())));
        if (settings.endpoint.unix_path.empty()) {
            return fail(ErrorCode::invalid_argument, "URI: no path behind '{}'", kUnix);
        }
        return {};
    }
    const bool tls_only = uri.starts_with(kTls);
    if (!tls_only && !uri.starts_with(kPlain)) {
        return fail(ErrorCode::invalid_argument,
                    "'{}' is neither a spice://, spice+tls:// or spice+unix:// URI nor a .vv file",
                    uri.substr(0, 80));
    }
    const Parts parts = TRY(split(uri.substr(tls_only ? kTls.size() : kPlain.size())));
    settings.endpoint = {};
    settings.endpoint.host = parts.host;
    if (!parts.user.empty()) settings.user = parts.user;
    if (!parts.port.empty()) {
        auto& port = tls_only ? settings.endpoint.tls_port : settings.endpoint.port;
        port = TRY(parse_port(parts.port));
    }
    TRY(apply_query(parts.query, tls_only, settings));
    if (tls_only) settings.all_secure = true;
    if (settings.endpoint.port == 0 && settings.endpoint.tls_port == 0) {
        return fail(ErrorCode::invalid_argument, "URI: neither port nor tls-port");
    }
    return {};
}

}  // namespace segue::viewer
