// SPDX-License-Identifier: LGPL-2.1-or-later
#include "spice/wire/shared_bytes.h"

namespace segue::spice::wire {

Bytes flatten(const std::vector<SharedBytes>& pieces) {
    std::size_t size = 0;
    for (const SharedBytes& piece : pieces)
        size += piece.size();
    Bytes bytes;
    bytes.reserve(size);
    for (const SharedBytes& piece : pieces) {
        bytes.insert(bytes.end(), piece.view().begin(), piece.view().end());
    }
    return bytes;
}

SharedBytes Payload::contiguous() const {
    if (pieces_.empty()) return {};
    if (pieces_.size() == 1) return pieces_.front();
    return SharedBytes::take(flatten(pieces_));
}

bool operator==(const Payload& one, const Payload& other) {
    if (one.size_ != other.size_) return false;
    const SharedBytes left = one.contiguous();
    const SharedBytes right = other.contiguous();
    return std::equal(left.view().begin(), left.view().end(), right.view().begin());
}

}  // namespace segue::spice::wire
