// SPDX-License-Identifier: LGPL-2.1-or-later
#include "domain/device/input.h"

#include "domain/choice.h"

namespace segue {
namespace {

constexpr std::string_view kInputTypes[] = {"mouse", "tablet", "keyboard"};
constexpr std::string_view kInputBuses[] = {"ps2", "usb", "virtio"};

// USB redirection and smartcards come from a SPICE client, or over a socket.
Result<> check_backend(const XmlCursor& from, const Chardev& chardev) {
    switch (chardev.type) {
        case ChardevType::spicevmc:
        case ChardevType::tcp: return {};
        case ChardevType::unix_socket:
            if (!chardev.path.empty()) return {};
            break;
        default: break;
    }
    return fail(ErrorCode::config_unsupported,
                "<{}> type '{}' is not supported: use spicevmc, tcp or unix with a path",
                from.name(), name_of(chardev.type));
}

}  // namespace

Result<Input> parse_input(XmlCursor& from) {
    Input input;
    input.type = TRY(choice(from, "type", kInputTypes)).value_or("");
    if (input.type.empty()) return fail(ErrorCode::xml_invalid, "missing input device type");
    const std::string otherwise = input.type == "tablet" ? "usb" : "ps2";
    input.bus = TRY(choice(from, "bus", kInputBuses)).value_or(otherwise);
    if (input.type == "tablet" && input.bus == "ps2") {
        return fail(ErrorCode::config_unsupported, "ps2 bus does not support tablet input device");
    }
    TRY(parse_device(from, input));
    return input;
}

XmlElement format_input(const Input& input, const FormatOptions& options) {
    XmlElement out;
    out.name = "input";
    out.set("type", input.type).set("bus", input.bus);
    format_device(input, out, options);
    return out;
}

Result<Hub> parse_hub(XmlCursor& from) {
    Hub hub;
    const std::string type = from.attribute_or("type", "usb");
    if (type != "usb") return bad_choice(from, "type", type);
    TRY(parse_device(from, hub));
    return hub;
}

XmlElement format_hub(const Hub& hub, const FormatOptions& options) {
    XmlElement out;
    out.name = "hub";
    out.set("type", "usb");
    format_device(hub, out, options);
    return out;
}

Result<RedirectedDevice> parse_redirdev(XmlCursor& from) {
    RedirectedDevice device;
    const std::string bus = from.attribute_or("bus", "usb");
    if (bus != "usb") return bad_choice(from, "bus", bus);
    device.chardev = TRY(parse_chardev(from));
    TRY(check_backend(from, device.chardev));
    TRY(parse_device(from, device));
    return device;
}

XmlElement format_redirdev(const RedirectedDevice& device, const FormatOptions& options) {
    XmlElement out;
    out.name = "redirdev";
    out.set("bus", "usb");
    format_chardev(device.chardev, out, options);
    format_device(device, out, options);
    return out;
}

Result<Smartcard> parse_smartcard(XmlCursor& from) {
    Smartcard smartcard;
    const std::string mode = from.attribute_or("mode", "");
    if (mode != "passthrough") {
        return fail(ErrorCode::config_unsupported,
                    "smartcard mode '{}' is not supported: use passthrough", mode);
    }
    smartcard.chardev = TRY(parse_chardev(from));
    TRY(check_backend(from, smartcard.chardev));
    TRY(parse_device(from, smartcard));
    return smartcard;
}

XmlElement format_smartcard(const Smartcard& smartcard, const FormatOptions& options) {
    XmlElement out;
    out.name = "smartcard";
    out.set("mode", "passthrough");
    format_chardev(smartcard.chardev, out, options);
    format_device(smartcard, out, options);
    return out;
}

}  // namespace segue
