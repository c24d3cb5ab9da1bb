// SPDX-License-Identifier: LGPL-2.1-or-later
#include "daemon/network_access.h"

#include <charconv>

namespace segue {
namespace {

// "52:54:00:12:34:56": checked when it was parsed.
std::array<std::uint8_t, 6> bytes_of(const std::string& mac) {
    std::array<std::uint8_t, 6> bytes{};
    for (std::size_t index = 0; index < bytes.size() && index * 3 + 2 <= mac.size(); ++index) {
        const char* digits = mac.data() + index * 3;
        std::from_chars(digits, digits + 2, bytes[index], 16);
    }
    return bytes;
}

}  // namespace

Result<Taps> open_taps(Domain& live) {
    Taps taps;
    for (Interface& interface : live.interfaces) {
        if (!interface.needs_tap()) continue;
        net::TapRequest request;
        request.is_given = interface.managed == false;
        // The one of an earlier start is somebody else's by now.
        if (!interface.has_generated_name()) request.name = interface.device;
        request.bridge = interface.bridge;
        request.card_address = bytes_of(interface.mac);
        request.has_virtio_header = interface.model.starts_with("virtio");
        auto opened = net::open_tap(request);
        if (!opened) {
            return fail(opened.error().code, "network card {}: {}", interface.mac,
                        opened.error().message);
        }
        interface.device = opened->name;
        taps.emplace(interface.alias, std::move(*opened));
    }
    return taps;
}

}  // namespace segue
