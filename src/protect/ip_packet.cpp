// SPDX-License-Identifier: LGPL-2.1-or-later
#include "protect/ip_packet.h"

namespace segue {
namespace {

constexpr std::size_t kEthernetHead = 14;
constexpr std::size_t kIpHead = 20;
constexpr std::size_t kTcpHead = 20;
constexpr std::uint16_t kEtherTypeIpv4 = 0x0800;
constexpr std::uint16_t kMoreFragmentsOrOffset = 0x3fff;
constexpr std::uint8_t kFin = 1, kSyn = 2, kReset = 4, kAck = 16;

std::uint16_t u16(ByteView bytes, std::size_t at) {
    return load<ByteOrder::big, std::uint16_t>(bytes.data() + at);
}
std::uint32_t u32(ByteView bytes, std::size_t at) {
    return load<ByteOrder::big, std::uint32_t>(bytes.data() + at);
}

// Protocols whose first four bytes are two ports, as colo-compare takes them.
bool has_ports(std::uint16_t protocol) {
    constexpr std::uint16_t kTcp = 6, kUdp = 17, kDccp = 33, kSctp = 132, kUdpLite = 136;
    return protocol == kTcp || protocol == kUdp || protocol == kDccp || protocol == kSctp ||
           protocol == kUdpLite;
}

bool read_tcp(ByteView body, IpPacket& packet) {
    if (body.size() < kTcpHead) return false;
    const std::size_t head = static_cast<std::size_t>(body[12] >> 4) * 4;
    if (head < kTcpHead || head > body.size()) return false;
    const std::uint8_t flags = body[13];
    packet.is_syn = (flags & kSyn) != 0;
    packet.is_fin = (flags & kFin) != 0;
    packet.is_reset = (flags & kReset) != 0;
    packet.has_ack = (flags & kAck) != 0;
    packet.begin = u32(body, 4);
    packet.ack = u32(body, 8);
    packet.end = packet.begin + static_cast<std::uint32_t>(body.size() - head) +
                 (packet.is_syn ? 1U : 0U) + (packet.is_fin ? 1U : 0U);
    return true;
}

IpPacket raw(ByteView frame) {
    IpPacket packet;
    packet.flow.ports = frame.size() >= kEthernetHead ? u16(frame, 12) : 0;
    packet.body = frame;
    return packet;
}

}  // namespace

IpPacket parse_frame(ByteView frame) {
    if (frame.size() < kEthernetHead + kIpHead || u16(frame, 12) != kEtherTypeIpv4) {
        return raw(frame);
    }
    const ByteView ip = frame.subspan(kEthernetHead);
    const std::size_t head = static_cast<std::size_t>(ip[0] & 15) * 4;
    const std::size_t total = u16(ip, 2);
    const bool fits = ip[0] >> 4 == 4 && head >= kIpHead && total >= head && total <= ip.size();
    if (!fits || (u16(ip, 6) & kMoreFragmentsOrOffset) != 0) return raw(frame);
    IpPacket packet;
    packet.flow = {ip[9], u32(ip, 12), u32(ip, 16), 0};
    // Padding behind a short packet is nobody's.
    packet.body = ip.subspan(head, total - head);
    if (has_ports(packet.flow.kind)) {
        if (packet.body.size() < 4) return raw(frame);
        packet.flow.ports = u32(packet.body, 0);
    }
    if (packet.is_tcp() && !read_tcp(packet.body, packet)) return raw(frame);
    return packet;
}

}  // namespace segue
