// SPDX-License-Identifier: LGPL-2.1-or-later
#include "viewer/connection_file.h"

#include <charconv>
#include <map>
#include <vector>

#include "viewer/options.h"

namespace segue::viewer {
namespace {

using Keys = std::map<std::string, std::string, std::less<>>;

std::string_view trimmed(std::string_view text) {
    const auto first = text.find_first_not_of(" \t\r");
    if (first == std::string_view::npos) return {};
    return text.substr(first, text.find_last_not_of(" \t\r") - first + 1);
}

// GKeyFile's escapes: \n, \t, \s, \r, and a doubled backslash.
std::string unescaped(std::string_view text) {
    std::string result;
    for (std::size_t at = 0; at < text.size(); ++at) {
        if (text[at] != '\\' || at + 1 == text.size()) {
            result += text[at];
            continue;
        }
        switch (text[++at]) {
            case 'n': result += '\n'; break;
            case 't': result += '\t'; break;
            case 's': result += ' '; break;
            case 'r': result += '\r'; break;
            default: result += text[at];
        }
    }
    return result;
}

Keys keys_of_group(std::string_view text, std::string_view group) {
    Keys keys;
    bool inside = false;
    while (!text.empty()) {
        const std::size_t end = std::min(text.find('\n'), text.size());
        const std::string_view line = trimmed(text.substr(0, end));
        text = text.substr(std::min(end + 1, text.size()));
        if (line.empty() || line[0] == '#') continue;
        if (line[0] == '[') {
            inside = line.substr(1, line.find(']') - 1) == group;
            continue;
        }
        const std::size_t equals = line.find('=');
        if (!inside || equals == std::string_view::npos) continue;
        keys[std::string(trimmed(line.substr(0, equals)))] =
            unescaped(trimmed(line.substr(equals + 1)));
    }
    return keys;
}

Result<std::uint16_t> port_of(const Keys& keys, std::string_view key) {
    const auto found = keys.find(key);
    if (found == keys.end() || found->second.empty() || found->second == "-1") {
        return std::uint16_t{0};
    }
    const std::string& value = found->second;
    std::uint16_t number = 0;
    const auto [end, error] = std::from_chars(value.data(), value.data() + value.size(), number);
    if (error != std::errc{} || end != value.data() + value.size()) {
        return fail(ErrorCode::invalid_argument, "connection file: {} '{}' is not a port", key,
                    value);
    }
    return number;
}

// Whole numbers between dots and dashes; what else stands there counts as 0.
std::vector<int> numbers_of(std::string_view version) {
    std::vector<int> numbers;
    while (!version.empty()) {
        const std::size_t end = std::min(version.find_first_of(".-"), version.size());
        int number = 0;
        std::from_chars(version.data(), version.data() + end, number);
        numbers.push_back(number);
        version = version.substr(std::min(end + 1, version.size()));
    }
    return numbers;
}

// Files say which remote-viewer they need; this viewer does what that of 11.0 does.
Result<> check_version(const Keys& keys) {
    const auto wanted = keys.find("version");
    if (wanted == keys.end() || numbers_of(wanted->second) <= std::vector{11, 0}) return {};
    const auto url = keys.find("newer-version-url");
    return fail(ErrorCode::no_support,
                "connection file: it is for remote-viewer {}, and this is as one of 11.0{}",
                wanted->second, url == keys.end() ? "" : "; see " + url->second);
}

bool truth(const Keys& keys, std::string_view key) {
    const auto found = keys.find(key);
    return found != keys.end() && (found->second == "1" || found->second == "true");
}

void take(const Keys& keys, std::string_view key, std::string& to) {
    const auto found = keys.find(key);
    if (found != keys.end()) to = found->second;
}

}  // namespace

bool wants_to_be_deleted(std::string_view text) {
    return truth(keys_of_group(text, "virt-viewer"), "delete-this-file");
}

Result<ConnectionFile> apply_connection_file(std::string_view text,
                                             spice::client::Settings& settings) {
    const Keys keys = keys_of_group(text, "virt-viewer");
    const auto type = keys.find("type");
    if (type == keys.end()) {
        return fail(ErrorCode::invalid_argument,
                    "connection file: no 'type' in the group [virt-viewer]");
    }
    if (type->second != "spice") {
        return fail(ErrorCode::invalid_argument, "connection file: type '{}' is not spice",
                    type->second);
    }
    TRY(check_version(keys));
    take(keys, "host", settings.endpoint.host);
    take(keys, "unix-path", settings.endpoint.unix_path);
    settings.endpoint.port = TRY(port_of(keys, "port"));
    settings.endpoint.tls_port = TRY(port_of(keys, "tls-port"));
    if (!settings.endpoint.is_unix() &&
        (settings.endpoint.host.empty() ||
         (settings.endpoint.port == 0 && settings.endpoint.tls_port == 0))) {
        return fail(ErrorCode::invalid_argument,
                    "connection file: it needs a host with port or tls-port, or a unix-path");
    }
    take(keys, "password", settings.password);
    take(keys, "ca", settings.trust.authority_pem);
    take(keys, "host-subject", settings.trust.subject);
    take(keys, "tls-ciphers", settings.trust.ciphers);
    if (const auto secure = keys.find("secure-channels"); secure != keys.end())
        TRY(apply_secure_channels(secure->second, settings));
    if (const auto disabled = keys.find("disable-channels"); disabled != keys.end())
        TRY(apply_disabled_channels(disabled->second, settings));
    take(keys, "username", settings.user);
    if (const auto proxy = keys.find("proxy"); proxy != keys.end() && !proxy->second.empty())
        settings.proxy = TRY(spice::client::parse_proxy(proxy->second));
    ConnectionFile file;
    take(keys, "title", file.title);
    take(keys, "disable-effects", file.disabled_effects);
    take(keys, "color-depth", file.color_depth);
    for (const char* action :
         {"toggle-fullscreen", "release-cursor", "zoom-in", "zoom-out", "zoom-reset",
          "secure-attention", "smartcard-insert", "smartcard-remove", "usb-device-reset"}) {
        if (const auto found = keys.find(action); found != keys.end())
            file.hotkeys[action] = found->second;
    }
    file.enables_smartcard = truth(keys, "enable-smartcard");
    file.enables_usb = !keys.contains("enable-usbredir") || truth(keys, "enable-usbredir");
    file.shares_plugged_usb = truth(keys, "enable-usb-autoshare");
    take(keys, "usb-filter", file.usb_filter);
    file.fullscreen = truth(keys, "fullscreen");
    return file;
}

}  // namespace segue::viewer
