// SPDX-License-Identifier: LGPL-2.1-or-later
#include "domain/device/chardev.h"

#include "domain/choice.h"

namespace segue {
namespace {

constexpr Choice<ChardevType> kChardevTypes[] = {{"null", ChardevType::null},
                                                 {"pty", ChardevType::pty},
                                                 {"file", ChardevType::file},
                                                 {"unix", ChardevType::unix_socket},
                                                 {"tcp", ChardevType::tcp},
                                                 {"spicevmc", ChardevType::spicevmc},
                                                 {"spiceport", ChardevType::spiceport},
                                                 {"stdio", ChardevType::stdio}};
constexpr std::size_t kMaxUnixPath = 107;  // sun_path, without its NUL

Result<> check_path(const XmlCursor& from, const std::string& path, bool required) {
    if (path.empty() && !required) return {};
    if (path.empty() || path[0] != '/') {
        return fail(ErrorCode::xml_invalid,
                    "Missing source path attribute for char device of '{}': an absolute path",
                    from.name());
    }
    return {};
}

Result<> parse_source(XmlCursor& from, const XmlCursor& owner, Chardev& chardev) {
    chardev.path = from.attribute_or("path", "");
    chardev.append = TRY(from.on_off("append"));
    const std::string mode = from.attribute_or("mode", "bind");
    if (mode != "bind" && mode != "connect") return bad_choice(from, "mode", mode);
    chardev.listen = mode == "bind";
    from.ignore_attribute("tls");
    chardev.host = from.attribute_or("host", "");
    chardev.service = from.attribute_or("service", "");
    chardev.spice_channel = from.attribute_or("channel", "");
    if (chardev.type == ChardevType::file) return check_path(owner, chardev.path, true);
    if (chardev.type == ChardevType::unix_socket && chardev.path.size() > kMaxUnixPath) {
        return fail(ErrorCode::config_unsupported,
                    "UNIX domain socket path '{}' too long: at most {} bytes", chardev.path,
                    kMaxUnixPath);
    }
    return {};
}

Result<> check(const XmlCursor& from, const Chardev& chardev) {
    if (chardev.type == ChardevType::tcp) {
        const bool digits = !chardev.service.empty() && chardev.service.size() <= 5 &&
                            chardev.service.find_first_not_of("0123456789") == std::string::npos;
        if (!digits || chardev.host.empty()) {
            return fail(ErrorCode::xml_invalid,
                        "Missing source host or service (a port number) for char device of '{}'",
                        from.name());
        }
    }
    if (chardev.type == ChardevType::file) return check_path(from, chardev.path, true);
    if (chardev.type == ChardevType::unix_socket) return check_path(from, chardev.path, false);
    if (chardev.type == ChardevType::spiceport && chardev.spice_channel.empty()) {
        return fail(ErrorCode::xml_invalid, "Missing source channel attribute for char device");
    }
    return {};
}

// Shown only where a process runs that has opened it.
bool is_runtime_path(const Chardev& chardev) {
    return chardev.type == ChardevType::pty;
}

}  // namespace

std::string_view name_of(ChardevType type) {
    return name_in(kChardevTypes, type);
}

Result<Chardev> parse_chardev(XmlCursor& from) {
    Chardev chardev;
    chardev.type = TRY(choice(from, "type", kChardevTypes)).value_or(ChardevType::pty);
    if (XmlCursor* source = from.child("source")) TRY(parse_source(*source, from, chardev));
    if (XmlCursor* protocol = from.child("protocol")) {
        const std::string word = protocol->attribute_or("type", "raw");
        if (word != "raw" && word != "telnet") return bad_choice(*protocol, "type", word);
        chardev.telnet = word == "telnet";
    }
    if (is_runtime_path(chardev)) chardev.path.clear();
    TRY(check(from, chardev));
    return chardev;
}

void format_chardev(const Chardev& chardev, XmlElement& to, const FormatOptions& options) {
    const bool live = !options.inactive && !options.migratable;
    to.set("type", name_of(chardev.type));
    switch (chardev.type) {
        case ChardevType::pty:
            if (live && !chardev.path.empty()) to.add("source").set("path", chardev.path);
            break;
        case ChardevType::file: {
            XmlElement& source = to.add("source").set("path", chardev.path);
            if (chardev.append) source.set("append", *chardev.append ? "on" : "off");
            break;
        }
        case ChardevType::unix_socket:
            if (!chardev.path.empty()) {
                to.add("source")
                    .set("mode", chardev.listen ? "bind" : "connect")
                    .set("path", chardev.path);
            }
            break;
        case ChardevType::tcp: {
            XmlElement& source = to.add("source").set("mode", chardev.listen ? "bind" : "connect");
            source.set("host", chardev.host).set("service", chardev.service);
            if (live) source.set("tls", "no");
            to.add("protocol").set("type", chardev.telnet ? "telnet" : "raw");
            break;
        }
        case ChardevType::spiceport: to.add("source").set("channel", chardev.spice_channel); break;
        case ChardevType::null:
        case ChardevType::stdio:
        case ChardevType::spicevmc: break;
    }
}

Result<Serial> parse_serial(XmlCursor& from) {
    Serial serial;
    serial.chardev = TRY(parse_chardev(from));
    if (XmlCursor* target = from.child("target")) {
        const auto port = TRY(target->number("port", 3));
        if (port) serial.port = static_cast<std::uint32_t>(*port);
        serial.target_type = target->attribute_or("type", "isa-serial");
        XmlCursor* model = target->child("model");
        if (model) serial.target_model = model->attribute_or("name", "isa-serial");
    }
    if (serial.target_type != "isa-serial" || serial.target_model != "isa-serial") {
        return fail(ErrorCode::config_unsupported,
                    "serial target '{}' is not supported: use isa-serial", serial.target_type);
    }
    TRY(parse_device(from, serial));
    return serial;
}

Result<Console> parse_console(XmlCursor& from) {
    Console console;
    console.chardev = TRY(parse_chardev(from));
    from.ignore_attribute("tty");
    if (XmlCursor* target = from.child("target")) {
        target->ignore_attribute("port");
        console.target_type = target->attribute_or("type", "serial");
    }
    if (console.target_type != "serial" && !console.is_virtio()) {
        return fail(ErrorCode::config_unsupported,
                    "console target '{}' is not supported: use serial or virtio",
                    console.target_type);
    }
    if (console.chardev.type == ChardevType::spicevmc) {
        return fail(ErrorCode::config_unsupported, "spicevmc device type only supports virtio");
    }
    if (console.is_virtio() && console.chardev.type == ChardevType::unix_socket) {
        TRY(check_path(from, console.chardev.path, true));
    }
    TRY(parse_device(from, console));
    return console;
}

Result<Channel> parse_channel(XmlCursor& from) {
    Channel channel;
    channel.chardev = TRY(parse_chardev(from));
    XmlCursor* target = from.child("target");
    const std::string type = target ? target->attribute_or("type", "") : "";
    if (type != "virtio") {
        return fail(ErrorCode::config_unsupported,
                    "channel target type '{}' is not supported: use virtio", type);
    }
    channel.name = target->attribute("name");
    target->ignore_attribute("state");
    if (channel.chardev.type == ChardevType::spicevmc && !channel.name) {
        channel.name = "com.redhat.spice.0";
    }
    TRY(parse_device(from, channel));
    return channel;
}

XmlElement format_serial(const Serial& serial, const FormatOptions& options) {
    XmlElement out;
    out.name = "serial";
    format_chardev(serial.chardev, out, options);
    XmlElement& target = out.add("target").set("type", serial.target_type);
    target.set("port", serial.port.value_or(0)).add("model").set("name", serial.target_model);
    format_device(serial, out, options);
    return out;
}

XmlElement format_console(const Console& console, const FormatOptions& options) {
    XmlElement out;
    out.name = "console";
    format_chardev(console.chardev, out, options);
    const bool live = !options.inactive && !options.migratable;
    const bool is_pty = console.chardev.type == ChardevType::pty && !console.chardev.path.empty();
    if (live && is_pty && console.port == 0) out.set("tty", console.chardev.path);
    out.add("target").set("type", console.target_type).set("port", console.port);
    format_device(console, out, options);
    return out;
}

XmlElement format_channel(const Channel& channel, const FormatOptions& options) {
    const bool live = !options.inactive && !options.migratable;
    XmlElement out;
    out.name = "channel";
    format_chardev(channel.chardev, out, options);
    XmlElement& target = out.add("target").set("type", "virtio");
    target.set_if("name", channel.name);
    if (live && !channel.state.empty()) target.set("state", channel.state);
    format_device(channel, out, options);
    return out;
}

}  // namespace segue
