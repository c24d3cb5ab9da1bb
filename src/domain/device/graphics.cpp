// SPDX-License-Identifier: LGPL-2.1-or-later
#include "domain/device/graphics.h"

#include <algorithm>
#include <charconv>

#include "domain/choice.h"

namespace segue {
namespace {

constexpr Choice<GraphicsType> kGraphicsTypes[] = {{"spice", GraphicsType::spice},
                                                   {"vnc", GraphicsType::vnc}};
constexpr Choice<ListenType> kListens[] = {
    {"address", ListenType::address}, {"socket", ListenType::socket}, {"none", ListenType::none}};
constexpr std::string_view kChannels[] = {"main",     "display", "inputs",    "cursor",
                                          "playback", "record",  "smartcard", "usbredir"};
constexpr std::string_view kChannelModes[] = {"any", "secure", "insecure"};
constexpr std::string_view kImages[] = {"auto_glz", "auto_lz", "quic", "glz", "lz", "off"};
constexpr std::string_view kWan[] = {"auto", "never", "always"};
constexpr std::string_view kSwitch[] = {"on", "off"};
constexpr std::string_view kStreaming[] = {"filter", "all", "off"};
constexpr std::string_view kMouse[] = {"server", "client"};
constexpr std::string_view kShare[] = {"allow-exclusive", "force-shared", "ignore"};
constexpr std::string_view kConnected[] = {"keep", "disconnect", "fail"};

Result<std::int32_t> port_of(XmlCursor& from, std::string_view key) {
    const auto text = from.attribute(key);
    if (!text) return 0;
    std::int32_t port = 0;
    const char* end = text->data() + text->size();
    const auto parsed = std::from_chars(text->data(), end, port);
    if (parsed.ec != std::errc() || parsed.ptr != end || port < -1 || port > 65535) {
        return fail(ErrorCode::xml_invalid,
                    "Invalid value for attribute '{}' in element 'graphics': '{}'. Expected a "
                    "port, or -1",
                    key, *text);
    }
    return port;
}

bool is_utc_time(const std::string& text) {
    constexpr std::string_view kShape = "dddd-dd-ddTdd:dd:dd";
    if (text.size() != kShape.size()) return false;
    for (std::size_t at = 0; at < text.size(); ++at) {
        const bool digit = text[at] >= '0' && text[at] <= '9';
        if (kShape[at] == 'd' ? !digit : text[at] != kShape[at]) return false;
    }
    return true;
}

Result<> parse_password(XmlCursor& from, Graphics& graphics) {
    graphics.password = from.attribute("passwd");
    graphics.password_valid_to = from.attribute("passwdValidTo");
    graphics.connected = TRY(choice(from, "connected", kConnected));
    if (graphics.password_valid_to && !is_utc_time(*graphics.password_valid_to)) {
        return fail(ErrorCode::xml_invalid,
                    "cannot parse password validity time '{}', expect YYYY-MM-DDTHH:MM:SS",
                    *graphics.password_valid_to);
    }
    return {};
}

Result<> parse_listen(XmlCursor& from, Graphics& graphics) {
    graphics.address = from.attribute_or("listen", "");
    graphics.socket = from.attribute_or("socket", "");
    if (!graphics.socket.empty()) graphics.listen = ListenType::socket;
    XmlCursor* listen = from.child("listen");
    if (!listen) return {};
    graphics.listen = TRY(choice(*listen, "type", kListens)).value_or(ListenType::address);
    const std::string address = listen->attribute_or("address", "");
    if (!address.empty() && !graphics.address.empty() && address != graphics.address) {
        return fail(ErrorCode::xml_invalid,
                    "graphics 'listen' attribute '{}' must match 'address' attribute of first "
                    "listen element (found '{}')",
                    graphics.address, address);
    }
    if (!address.empty()) graphics.address = address;
    const std::string socket = listen->attribute_or("socket", "");
    if (!socket.empty()) graphics.socket = socket;
    if (from.child("listen")) {
        return fail(ErrorCode::config_unsupported, "more than one <listen> is not supported");
    }
    return {};
}

Result<std::optional<std::string>> tuning(XmlCursor& from, std::string_view element,
                                          std::string_view key,
                                          std::span<const std::string_view> words) {
    XmlCursor* child = from.child(element);
    if (!child) return std::nullopt;
    return choice(*child, key, words);
}

Result<std::optional<bool>> switched(XmlCursor& from, std::string_view element,
                                     std::string_view key) {
    XmlCursor* child = from.child(element);
    if (!child) return std::nullopt;
    return child->yes_no(key);
}

Result<> parse_spice(XmlCursor& from, Graphics& graphics) {
    graphics.default_mode = TRY(choice(from, "defaultMode", kChannelModes));
    if (graphics.default_mode == "any") graphics.default_mode.reset();
    std::vector<std::pair<std::string, std::string>> modes;
    while (XmlCursor* channel = from.child("channel")) {
        const auto name = TRY(choice(*channel, "name", kChannels));
        const auto mode = TRY(choice(*channel, "mode", kChannelModes));
        if (!name || !mode) {
            return fail(ErrorCode::xml_invalid, "spice channel needs 'name' and 'mode'");
        }
        if (*mode != "any") modes.emplace_back(*name, *mode);
    }
    for (const std::string_view name : kChannels) {
        for (const auto& mode : modes) {
            if (mode.first == name) graphics.channel_modes.push_back(mode);
        }
    }
    graphics.image = TRY(tuning(from, "image", "compression", kImages));
    graphics.jpeg = TRY(tuning(from, "jpeg", "compression", kWan));
    graphics.zlib = TRY(tuning(from, "zlib", "compression", kWan));
    graphics.playback = TRY(tuning(from, "playback", "compression", kSwitch));
    graphics.streaming = TRY(tuning(from, "streaming", "mode", kStreaming));
    graphics.mouse = TRY(tuning(from, "mouse", "mode", kMouse));
    graphics.clipboard = TRY(switched(from, "clipboard", "copypaste"));
    graphics.file_transfer = TRY(switched(from, "filetransfer", "enable"));
    return {};
}

Result<> parse_ports(XmlCursor& from, Graphics& graphics) {
    const bool spice = graphics.type == GraphicsType::spice;
    graphics.port = TRY(port_of(from, "port"));
    if (spice) graphics.tls_port = TRY(port_of(from, "tlsPort"));
    graphics.autoport = TRY(from.yes_no("autoport")).value_or(false);
    const bool legacy = graphics.port == -1 && (!spice || graphics.tls_port == -1);
    // VNC without any port means autoport; SPICE without any listens nowhere.
    if (legacy || (!spice && graphics.port == 0)) graphics.autoport = true;
    // Of an automatic port only the running domain knows the number.
    if (graphics.autoport) graphics.port = graphics.tls_port = 0;
    if (graphics.port == -1 || graphics.tls_port == -1) {
        if (!spice) return fail(ErrorCode::xml_invalid, "vnc port must be in range [5900,65535]");
    }
    if (!spice && graphics.port != 0 && graphics.port < 5900) {
        return fail(ErrorCode::config_unsupported, "vnc port must be in range [5900,65535]");
    }
    const bool nowhere = spice && !graphics.autoport && !graphics.port && !graphics.tls_port;
    if (nowhere && graphics.listen == ListenType::address) {
        graphics.listen = ListenType::none;
        graphics.address.clear();
    }
    return {};
}

void format_ports(const Graphics& graphics, XmlElement& out, const FormatOptions& options) {
    const bool stored = options.inactive || options.migratable;
    const bool spice = graphics.type == GraphicsType::spice;
    if (graphics.listen == ListenType::socket) {
        if (!spice && !graphics.socket.empty()) out.set("socket", graphics.socket);
        return;
    }
    if (graphics.listen == ListenType::none) {
        if (spice && options.migratable) out.set("autoport", "no");
        return;
    }
    const bool show = !(graphics.autoport && stored);
    if (show && graphics.port) out.set("port", std::string_view(std::to_string(graphics.port)));
    if (!spice && graphics.autoport && (!show || !graphics.port)) out.set("port", "-1");
    if (show && graphics.tls_port) {
        out.set("tlsPort", std::string_view(std::to_string(graphics.tls_port)));
    }
    out.set("autoport", graphics.autoport ? "yes" : "no");
    const std::string& address = stored ? graphics.address : graphics.listen_address();
    if (!address.empty()) out.set("listen", address);
}

void format_listen(const Graphics& graphics, XmlElement& out, const FormatOptions& options) {
    const bool stored = options.inactive || options.migratable;
    const bool user_socket = graphics.listen == ListenType::socket;
    // Old destinations know these two only as attributes.
    if (options.migratable && graphics.listen == ListenType::none) return;
    const bool is_told = !graphics.socket.empty() && graphics.type == GraphicsType::vnc;
    if (options.migratable && user_socket && is_told) return;
    XmlElement& listen = out.add("listen").set("type", name_in(kListens, graphics.listen));
    const std::string& address = stored ? graphics.address : graphics.listen_address();
    if (graphics.listen == ListenType::address && !address.empty()) listen.set("address", address);
    if (user_socket && !graphics.socket.empty()) listen.set("socket", graphics.socket);
}

void format_spice(const Graphics& graphics, XmlElement& out) {
    for (const auto& [channel, mode] : graphics.channel_modes)
        out.add("channel").set("name", channel).set("mode", mode);
    if (graphics.image) out.add("image").set("compression", *graphics.image);
    if (graphics.jpeg) out.add("jpeg").set("compression", *graphics.jpeg);
    if (graphics.zlib) out.add("zlib").set("compression", *graphics.zlib);
    if (graphics.playback) out.add("playback").set("compression", *graphics.playback);
    if (graphics.streaming) out.add("streaming").set("mode", *graphics.streaming);
    if (graphics.mouse) out.add("mouse").set("mode", *graphics.mouse);
    if (graphics.clipboard) {
        out.add("clipboard").set("copypaste", *graphics.clipboard ? "yes" : "no");
    }
    if (graphics.file_transfer) {
        out.add("filetransfer").set("enable", *graphics.file_transfer ? "yes" : "no");
    }
}

}  // namespace

std::string_view name_of(GraphicsType type) {
    return name_in(kGraphicsTypes, type);
}

Result<Graphics> parse_graphics(XmlCursor& from) {
    Graphics graphics;
    const auto type = TRY(choice(from, "type", kGraphicsTypes));
    if (!type) return fail(ErrorCode::xml_invalid, "missing graphics device type");
    graphics.type = *type;
    TRY(parse_listen(from, graphics));
    TRY(parse_ports(from, graphics));
    TRY(parse_password(from, graphics));
    graphics.keymap = from.attribute("keymap");
    if (graphics.type == GraphicsType::spice) {
        TRY(parse_spice(from, graphics));
    } else {
        graphics.share_policy = TRY(choice(from, "sharePolicy", kShare));
        graphics.power_control = TRY(from.yes_no("powerControl"));
    }
    from.ignore("alias");
    graphics.unknown = from.unknown();
    return graphics;
}

XmlElement format_graphics(const Graphics& graphics, const FormatOptions& options) {
    XmlElement out;
    out.name = "graphics";
    out.set("type", name_of(graphics.type));
    format_ports(graphics, out, options);
    out.set_if("keymap", graphics.keymap);
    out.set_if("defaultMode", graphics.default_mode);
    out.set_if("sharePolicy", graphics.share_policy);
    if (graphics.power_control) {
        out.set("powerControl", *graphics.power_control ? "yes" : "no");
    }
    if (graphics.password) {
        if (options.secure) out.set("passwd", *graphics.password);
        out.set_if("passwdValidTo", graphics.password_valid_to);
        out.set_if("connected", graphics.connected);
    }
    format_listen(graphics, out, options);
    format_spice(graphics, out);
    merge_unknown(out, graphics.unknown);
    return out;
}

Result<> check_update(const Graphics& running, const Graphics& wanted) {
    const bool same_ports =
        running.autoport || (running.port == wanted.port && running.tls_port == wanted.tls_port);
    const auto stays = [](const auto& now, const auto& then) { return !then || then == now; };
    const bool same_address = wanted.address.empty() || wanted.address == running.listen_address();
    const bool same_modes =
        wanted.channel_modes.empty() || wanted.channel_modes == running.channel_modes;
    const struct {
        std::string_view what;
        bool same;
    } parts[] = {
        {"type of listen address", wanted.listen == running.listen},
        {"listen address", wanted.listen != ListenType::address || same_address},
        {"listen socket", wanted.socket.empty() || wanted.socket == running.socket},
        {"port", wanted.autoport == running.autoport && same_ports},
        {"keymap", wanted.keymap == running.keymap},
        {"defaultMode", stays(running.default_mode, wanted.default_mode)},
        {"channel mode", same_modes},
        {"image compression", stays(running.image, wanted.image)},
        {"jpeg compression", stays(running.jpeg, wanted.jpeg)},
        {"zlib compression", stays(running.zlib, wanted.zlib)},
        {"playback compression", stays(running.playback, wanted.playback)},
        {"streaming mode", stays(running.streaming, wanted.streaming)},
        {"mouse mode", stays(running.mouse, wanted.mouse)},
        {"clipboard", stays(running.clipboard, wanted.clipboard)},
        {"filetransfer", stays(running.file_transfer, wanted.file_transfer)},
        {"sharePolicy", stays(running.share_policy, wanted.share_policy)},
        {"powerControl", stays(running.power_control, wanted.power_control)},
    };
    for (const auto& part : parts) {
        if (part.same) continue;
        return fail(ErrorCode::operation_unsupported, "cannot change {} settings on {} graphics",
                    part.what, name_of(running.type));
    }
    return {};
}

}  // namespace segue
