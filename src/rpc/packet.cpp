// SPDX-License-Identifier: LGPL-2.1-or-later
#include "rpc/packet.h"

namespace segue::rpc {
namespace {

// Most replies fit, so that a packet is one allocation.
constexpr std::size_t kUsualPacket = 256;

}  // namespace

void begin_packet(Bytes& packet, const Header& header) {
    packet.reserve(kUsualPacket);
    packet.resize(kLengthSize);
    XdrWriter writer(packet);
    write(writer, header);
}

Result<> finish_packet(Bytes& packet, std::string_view name) {
    if (packet.size() > kMessageMax + kLengthSize) {
        return fail(ErrorCode::limit_exceeded, "{}: the message has {} bytes, the limit is {}",
                    name, packet.size(), kMessageMax + kLengthSize);
    }
    store<ByteOrder::big>(packet.data(), static_cast<std::uint32_t>(packet.size()));
    return {};
}

Bytes make_raw_packet(const Header& header, ByteView body) {
    Bytes packet;
    packet.reserve(kLengthSize + kHeaderSize + body.size());
    begin_packet(packet, header);
    packet.insert(packet.end(), body.begin(), body.end());
    store<ByteOrder::big>(packet.data(), static_cast<std::uint32_t>(packet.size()));
    return packet;
}

}  // namespace segue::rpc
