// SPDX-License-Identifier: LGPL-2.1-or-later
// As much of an Ethernet frame as two guests' frames are compared by. I/O-free; the frame is the
// guest's, and says whatever it likes.
#pragma once

#include <compare>
#include <cstdint>

#include "base/bytes.h"

namespace segue {

// Frames of one flow keep their order.
struct FlowKey {
    // What kind of frames: an IPv4 protocol, or kRaw with the EtherType in `ports`.
    static constexpr std::uint16_t kRaw = 256;
    std::uint16_t kind = kRaw;
    std::uint32_t source = 0, target = 0;
    std::uint32_t ports = 0;
    friend auto operator<=>(const FlowKey&, const FlowKey&) = default;
};

struct IpPacket {
    FlowKey flow;
    // Behind the IPv4 header; of a raw frame: all of it.
    ByteView body;
    // Of TCP only. A SYN and a FIN count as a byte of the sequence each.
    std::uint32_t begin = 0, end = 0, ack = 0;
    bool is_syn = false, is_fin = false, is_reset = false, has_ack = false;

    bool is_raw() const { return flow.kind == FlowKey::kRaw; }
    bool is_tcp() const { return flow.kind == 6; }
};

// Raw is what QEMU's colo-compare 7.2 does not look into (ARP, IPv6, VLAN), and what it would take
// for something else: fragments, and headers that do not fit their frame.
IpPacket parse_frame(ByteView frame);

// In the sequence of TCP, which begins anew behind 2^32.
inline bool is_after(std::uint32_t a, std::uint32_t b) {
    return static_cast<std::int32_t>(a - b) > 0;
}

}  // namespace segue
