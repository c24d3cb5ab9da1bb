// SPDX-License-Identifier: LGPL-2.1-or-later
#include "rpc/framer.h"

#include "rpc/packet.h"

namespace segue::rpc {
namespace {

bool carries_descriptors(MessageType type) {
    return type == MessageType::call_with_descriptors ||
           type == MessageType::reply_with_descriptors;
}

// The body of such a message begins with the number of descriptors.
Result<std::uint32_t> take_descriptor_count(ByteView& payload) {
    XdrReader reader(payload);
    const std::uint32_t count = reader.u32();
    if (!reader.ok() || count > kDescriptorsMax) {
        return fail(ErrorCode::protocol, "a message with {} descriptors: the limit is {}", count,
                    kDescriptorsMax);
    }
    payload = payload.subspan(sizeof count);
    return count;
}

}  // namespace

Framer::Framer() : limit_(kLengthSize + kMessageMax) {}

Result<std::uint32_t> Framer::read_length(ByteView bytes) const {
    const auto length = load<ByteOrder::big, std::uint32_t>(bytes.data());
    const std::uint64_t smallest = kLengthSize + kHeaderSize;
    if (length < smallest || length > limit_) {
        return fail(ErrorCode::protocol, "a message of {} bytes: possible are {} to {}", length,
                    smallest, limit_);
    }
    return length;
}

void Framer::feed(ByteView bytes) {
    position_ = 0;
    if (kept_.empty()) {
        view_ = bytes;
    } else {
        kept_.insert(kept_.end(), bytes.begin(), bytes.end());
        view_ = kept_;
    }
}

Result<Framer::Found> Framer::next(Packet& packet) {
    const ByteView rest = view_.subspan(position_);
    if (rest.size() < kLengthSize) return Found::nothing;
    const std::uint32_t length = TRY(read_length(rest));
    if (rest.size() < length) return Found::nothing;
    XdrReader reader(rest.subspan(kLengthSize, kHeaderSize));
    read(reader, packet.header);
    if (auto header = reader.finish("header"); !header) {
        return tl::make_unexpected(header.error());
    }
    packet.payload = rest.subspan(kLengthSize + kHeaderSize, length - kLengthSize - kHeaderSize);
    packet.descriptors = 0;
    if (carries_descriptors(packet.header.type)) {
        packet.descriptors = TRY(take_descriptor_count(packet.payload));
        // Each descriptor rides on one byte behind the message.
        if (rest.size() < length + packet.descriptors) return Found::nothing;
    }
    position_ += length + packet.descriptors;
    return Found::packet;
}

void Framer::keep_rest() {
    if (kept_.empty()) {
        kept_.assign(view_.begin() + static_cast<std::ptrdiff_t>(position_), view_.end());
    } else {
        kept_.erase(kept_.begin(), kept_.begin() + static_cast<std::ptrdiff_t>(position_));
    }
    // A large message must not hold its memory for the rest of an idle connection's life.
    if (kept_.empty() && kept_.capacity() > (64u << 10)) Bytes().swap(kept_);
    view_ = {};
    position_ = 0;
}

}  // namespace segue::rpc
