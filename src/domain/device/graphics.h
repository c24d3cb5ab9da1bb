// SPDX-License-Identifier: LGPL-2.1-or-later
// <graphics>: SPICE or VNC.
#pragma once

#include "domain/address.h"

namespace segue {

enum class GraphicsType { spice, vnc };
enum class ListenType { address, socket, none };

struct Graphics {
    GraphicsType type = GraphicsType::spice;
    bool autoport = false;
    // 0: none; -1: to be given by the daemon (with autoport the numbers are those of the running
    // domain, and are not part of the definition).
    std::int32_t port = 0, tls_port = 0;

    ListenType listen = ListenType::address;
    std::string address;       // empty: the host's default
    std::string host_address;  // that default, of a running domain; never part of the definition
    std::string socket;

    // Never in a log, and in XML only with FormatOptions::secure. An empty one lets nobody in; none
    // lets everybody in.
    std::optional<std::string> password;
    std::optional<std::string> password_valid_to;  // "2030-01-01T00:00:00", UTC
    std::optional<std::string> connected;          // keep, disconnect, fail
    std::optional<std::string> keymap;

    // SPICE: default mode, mode of each channel (in libvirt's order), and the tuning elements.
    std::optional<std::string> default_mode;
    std::vector<std::pair<std::string, std::string>> channel_modes;
    std::optional<std::string> image, jpeg, zlib, playback, streaming, mouse;
    std::optional<bool> clipboard, file_transfer;

    // VNC
    std::optional<std::string> share_policy;
    std::optional<bool> power_control;

    XmlElement unknown;

    const std::string& listen_address() const { return address.empty() ? host_address : address; }
};

std::string_view name_of(GraphicsType type);

Result<Graphics> parse_graphics(XmlCursor& from);
XmlElement format_graphics(const Graphics& graphics, const FormatOptions& options);

// Of a running machine only the ticket may change: password, validity, and who may stay connected.
// Error operation_unsupported names what else differs. What `wanted` leaves out stays as it is.
Result<> check_update(const Graphics& running, const Graphics& wanted);

}  // namespace segue
