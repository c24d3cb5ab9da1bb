// SPDX-License-Identifier: LGPL-2.1-or-later
// Serial lines, channels, smartcards, USB redirection: a character device and what is in front.
#include <algorithm>

#include "qemu/command_line/builder.h"

namespace segue {
namespace {

Result<std::string> socket_words(CommandLineBuilder& builder, const Chardev& chardev,
                                 const std::string& generated_path) {
    const bool local = chardev.type == ChardevType::unix_socket;
    if (!local) {
        return fmt::format("host={},port={}{}{}", escape_commas(chardev.host), chardev.service,
                           chardev.telnet ? ",telnet=on" : "",
                           chardev.listen ? ",server=on,wait=off" : "");
    }
    const std::string& path = chardev.path.empty() ? generated_path : chardev.path;
    if (path.empty()) {
        return fail(ErrorCode::config_unsupported, "a unix socket needs a path");
    }
    if (!chardev.listen) return fmt::format("path={}", escape_commas(path));
    const int number = builder.inherit(InheritedFile::Kind::listen, path);
    return fmt::format("fd={},server=on,wait=off", number);
}

void add_file(CommandLineBuilder& builder, const Chardev& chardev, const std::string& id,
              std::string_view owner) {
    const bool append = chardev.append.value_or(false);
    InheritedFile::Kind kind = InheritedFile::Kind::truncate;
    // The source host's QEMU may still write here.
    if (builder.options().incoming) kind = InheritedFile::Kind::keep;
    if (append) kind = InheritedFile::Kind::append;
    const int number = builder.inherit(kind, chardev.path);
    const int set = builder.next_fd_set();
    builder.add("-add-fd", fmt::format("set={},fd={},opaque={}-source", set, number, owner));
    builder.add("-chardev", fmt::format("file,id={},path=/dev/fdset/{}{}", id, set,
                                        append ? ",append=on" : ""));
}

}  // namespace

std::string channel_path(const Channel& channel, const std::string& directory) {
    std::string name = channel.name.value_or(channel.alias);
    std::replace(name.begin(), name.end(), '/', '_');
    return directory + "/" + name;
}

Result<> add_chardev(CommandLineBuilder& builder, const Chardev& chardev, const std::string& id,
                     std::string_view spice_name, const std::string& generated_path) {
    const std::string owner = id.substr(std::string_view("char").size());
    switch (chardev.type) {
        case ChardevType::null: builder.add("-chardev", "null,id=" + id); break;
        case ChardevType::pty: builder.add("-chardev", "pty,id=" + id); break;
        case ChardevType::stdio: builder.add("-chardev", "stdio,id=" + id); break;
        case ChardevType::file: add_file(builder, chardev, id, owner); break;
        case ChardevType::unix_socket:
        case ChardevType::tcp:
            builder.add("-chardev",
                        fmt::format("socket,id={},{}", id,
                                    TRY(socket_words(builder, chardev, generated_path))));
            break;
        case ChardevType::spicevmc:
            builder.add("-chardev", fmt::format("spicevmc,id={},name={}", id, spice_name));
            break;
        case ChardevType::spiceport:
            builder.add("-chardev", fmt::format("spiceport,id={},name={}", id,
                                                escape_commas(chardev.spice_channel)));
            break;
    }
    return {};
}

Result<> add_serials(CommandLineBuilder& builder) {
    for (const Serial& serial : builder.domain().serials) {
        TRY(add_chardev(builder, serial.chardev, "char" + serial.alias, "", ""));
        builder.add_device(Json::object({{"driver", "isa-serial"},
                                         {"chardev", "char" + serial.alias},
                                         {"id", serial.alias},
                                         {"index", serial.port.value_or(0)}}));
    }
    return {};
}

Result<> add_channels(CommandLineBuilder& builder) {
    const std::string& directory = builder.options().directory;
    for (const Channel& channel : builder.domain().channels) {
        const auto* address = std::get_if<VirtioSerialAddress>(&channel.address);
        if (!address) return fail(ErrorCode::internal, "channel without address");
        TRY(add_chardev(builder, channel.chardev, "char" + channel.alias, "vdagent",
                        channel_path(channel, directory)));
        Json device = Json::object();
        device.set("driver", "virtserialport");
        device.set("bus", fmt::format("virtio-serial{}.{}", address->controller, address->bus));
        device.set("nr", address->port).set("chardev", "char" + channel.alias);
        device.set("id", channel.alias);
        if (channel.name) device.set("name", *channel.name);
        builder.add_device(device);
    }
    return {};
}

Result<> add_consoles(CommandLineBuilder& builder) {
    for (const Console& console : builder.domain().consoles) {
        if (!console.is_virtio()) continue;
        TRY(add_chardev(builder, console.chardev, "char" + console.alias, "", ""));
        Json device = Json::object();
        device.set("driver", "virtconsole");
        // Without an address QEMU chooses, the same for the same command line.
        if (const auto* address = std::get_if<VirtioSerialAddress>(&console.address)) {
            device.set("bus", fmt::format("virtio-serial{}.{}", address->controller, address->bus));
            device.set("nr", address->port);
        }
        device.set("chardev", "char" + console.alias).set("id", console.alias);
        builder.add_device(device);
    }
    return {};
}

Result<> add_smartcards(CommandLineBuilder& builder) {
    for (const Smartcard& smartcard : builder.domain().smartcards) {
        const auto* address = std::get_if<CcidAddress>(&smartcard.address);
        if (!address) return fail(ErrorCode::internal, "smartcard without address");
        TRY(add_chardev(builder, smartcard.chardev, "char" + smartcard.alias, "smartcard", ""));
        builder.add_device(Json::object({{"driver", "ccid-card-passthru"},
                                         {"chardev", "char" + smartcard.alias},
                                         {"id", smartcard.alias},
                                         {"bus", fmt::format("ccid{}.0", address->controller)}}));
    }
    return {};
}

Result<> add_redirected(CommandLineBuilder& builder) {
    for (const RedirectedDevice& redirected : builder.domain().redirected) {
        TRY(add_chardev(builder, redirected.chardev, "char" + redirected.alias, "usbredir", ""));
        Json device = Json::object({{"driver", "usb-redir"},
                                    {"chardev", "char" + redirected.alias},
                                    {"id", redirected.alias}});
        if (redirected.boot_order) device.set("bootindex", *redirected.boot_order);
        TRY(set_address(device, builder.domain(), redirected.address));
        builder.add_device(device);
    }
    return {};
}

}  // namespace segue
