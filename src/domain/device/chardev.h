// SPDX-License-Identifier: LGPL-2.1-or-later
// Character devices: where the bytes of a serial line, channel, smartcard or USB redirection go;
// and <serial>, <console>, <channel> themselves.
#pragma once

#include "domain/address.h"

namespace segue {

enum class ChardevType { null, pty, file, unix_socket, tcp, spicevmc, spiceport, stdio };

struct Chardev {
    ChardevType type = ChardevType::pty;
    std::string path;  // pty: filled in while running; file, unix: the definition's
    std::optional<bool> append;
    bool listen = true;  // unix and tcp: mode='bind'
    std::string host, service;
    bool telnet = false;
    std::string spice_channel;  // spiceport: the name that clients see
    friend bool operator==(const Chardev&, const Chardev&) = default;
};

struct Serial : Device {
    Chardev chardev;
    std::optional<std::uint32_t> port;
    std::string target_type = "isa-serial";
    std::string target_model = "isa-serial";
};

// The first one may be a view of the first serial line; the others are devices on virtio-serial.
struct Console : Device {
    Chardev chardev;
    // Of a device: its place among the definition's consoles, whatever the definition says.
    std::uint32_t port = 0;
    std::string target_type = "serial";
    bool is_virtio() const { return target_type == "virtio"; }
};

struct Channel : Device {
    Chardev chardev;
    std::optional<std::string> name;  // "com.redhat.spice.0"
    // Of a running domain: "connected" or "disconnected"; empty: not known.
    std::string state;
};

std::string_view name_of(ChardevType type);

// Reads type, <source>, <protocol> of `from`.
Result<Chardev> parse_chardev(XmlCursor& from);
// Writes type, <source>, <protocol> into `to`.
void format_chardev(const Chardev& chardev, XmlElement& to, const FormatOptions& options);

Result<Serial> parse_serial(XmlCursor& from);
Result<Console> parse_console(XmlCursor& from);
Result<Channel> parse_channel(XmlCursor& from);
XmlElement format_serial(const Serial& serial, const FormatOptions& options);
XmlElement format_console(const Console& console, const FormatOptions& options);
XmlElement format_channel(const Channel& channel, const FormatOptions& options);

}  // namespace segue
