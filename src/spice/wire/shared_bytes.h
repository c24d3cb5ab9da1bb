// SPDX-License-Identifier: LGPL-2.1-or-later
// Immutable bytes that many messages, clients and queues may hold at once without a copy.
//
//   auto pixels = SharedBytes::take(std::move(encoded));   // one allocation, then only references
//   Payload payload{pixels};                               // what a message carries as image data
//   payload.append(pixels.slice(0, 100));
//
// `borrow` makes a view without an owner: it is good only as long as the bytes behind it.
#pragma once

#include <memory>
#include <vector>

#include "base/bytes.h"

namespace segue::spice::wire {

class SharedBytes {
  public:
    SharedBytes() = default;
    static SharedBytes take(Bytes bytes) {
        auto owner = std::make_shared<const Bytes>(std::move(bytes));
        const ByteView view(*owner);
        return {std::move(owner), view};
    }
    static SharedBytes copy(ByteView bytes) { return take(Bytes(bytes.begin(), bytes.end())); }
    static SharedBytes borrow(ByteView bytes) { return {nullptr, bytes}; }
    // `owner` keeps `bytes` alive: guest memory, a mapped file, another library's buffer.
    static SharedBytes owned(std::shared_ptr<const void> owner, ByteView bytes) {
        return {std::move(owner), bytes};
    }

    ByteView view() const { return view_; }
    const std::uint8_t* data() const { return view_.data(); }
    std::size_t size() const { return view_.size(); }
    bool empty() const { return view_.empty(); }
    bool has_owner() const { return owner_ != nullptr; }
    // The same bytes, or a copy of them where they are borrowed.
    SharedBytes kept() const { return has_owner() || empty() ? *this : copy(view_); }

    // Precondition: offset + size <= this->size().
    SharedBytes slice(std::size_t offset, std::size_t size) const {
        return {owner_, view_.subspan(offset, size)};
    }

  private:
    SharedBytes(std::shared_ptr<const void> owner, ByteView view)
        : owner_(std::move(owner)), view_(view) {}

    std::shared_ptr<const void> owner_;
    ByteView view_;
};

// The bulk data of a message: a list of shared pieces, written one after the other.
class Payload {
  public:
    Payload() = default;
    Payload(SharedBytes piece) { append(std::move(piece)); }  // NOLINT: meant to convert
    void append(SharedBytes piece) {
        size_ += piece.size();
        if (!piece.empty()) pieces_.push_back(std::move(piece));
    }

    const std::vector<SharedBytes>& pieces() const { return pieces_; }
    std::size_t size() const { return size_; }
    bool empty() const { return size_ == 0; }

    // One piece with all the bytes. A payload that was read from a message has at most one piece
    // and is returned as it is; others are copied together.
    SharedBytes contiguous() const;

    friend bool operator==(const Payload& one, const Payload& other);

  private:
    std::vector<SharedBytes> pieces_;
    std::size_t size_ = 0;
};

// Joins pieces: for tests, and for transports that want one buffer.
Bytes flatten(const std::vector<SharedBytes>& pieces);

}  // namespace segue::spice::wire
