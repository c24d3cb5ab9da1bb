// SPDX-License-Identifier: LGPL-2.1-or-later
#include "spice/client/settings.h"

#include <fmt/format.h>

namespace segue::spice::client {

std::string text_of(ChannelKey key) {
    const char* name = "unknown";
    switch (key.type) {
        case wire::ChannelType::main: name = "main"; break;
        case wire::ChannelType::display: name = "display"; break;
        case wire::ChannelType::inputs: name = "inputs"; break;
        case wire::ChannelType::cursor: name = "cursor"; break;
        case wire::ChannelType::playback: name = "playback"; break;
        case wire::ChannelType::record: name = "record"; break;
        case wire::ChannelType::tunnel: name = "tunnel"; break;
        case wire::ChannelType::smartcard: name = "smartcard"; break;
        case wire::ChannelType::usbredir: name = "usbredir"; break;
        case wire::ChannelType::port: name = "port"; break;
        case wire::ChannelType::webdav: name = "webdav"; break;
    }
    return fmt::format("{}:{}", name, key.id);
}

std::string Endpoint::text() const {
    if (is_unix()) return unix_path;
    const std::uint16_t shown = port != 0 ? port : tls_port;
    return host.find(':') == std::string::npos ? fmt::format("{}:{}", host, shown)
                                               : fmt::format("[{}]:{}", host, shown);
}

}  // namespace segue::spice::client
