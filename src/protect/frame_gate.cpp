// SPDX-License-Identifier: LGPL-2.1-or-later
#include "protect/frame_gate.h"

#include <utility>

namespace segue {

Result<> FrameSplitter::feed(ByteView bytes) {
    rest_.insert(rest_.end(), bytes.begin(), bytes.end());
    std::size_t at = 0;
    while (rest_.size() - at >= kFrameHead) {
        const std::size_t length = load<ByteOrder::big, std::uint32_t>(rest_.data() + at);
        if (length > kMaxFrame) {
            rest_.clear();
            return fail(ErrorCode::limit_exceeded,
                        "network frame of {} bytes (at most {}): not QEMU's stream format?", length,
                        kMaxFrame);
        }
        const std::size_t whole = kFrameHead + length;
        if (rest_.size() - at < whole) break;
        if (length > 0) {
            const auto begin = rest_.begin() + static_cast<std::ptrdiff_t>(at);
            whole_.bytes.insert(whole_.bytes.end(), begin,
                                begin + static_cast<std::ptrdiff_t>(whole));
            whole_.count += 1;
        }
        at += whole;
    }
    rest_.erase(rest_.begin(), rest_.begin() + static_cast<std::ptrdiff_t>(at));
    return {};
}

FrameSplitter::Frames FrameSplitter::take() {
    return std::exchange(whole_, {});
}

Bytes framed(ByteView frame) {
    if (frame.empty() || frame.size() > kMaxFrame) return {};
    BigWriter out;
    out.u32(static_cast<std::uint32_t>(frame.size()));
    out.bytes(frame);
    return out.take();
}

void FrameGate::append(Frames& to, Frames from) {
    if (to.bytes.empty()) {
        to = std::move(from);
        return;
    }
    to.bytes.insert(to.bytes.end(), from.bytes.begin(), from.bytes.end());
    to.count += from.count;
}

FrameGate::Frames FrameGate::sent(Frames frames) {
    if (mode_ == Mode::pass) return frames;
    append(open_, std::move(frames));
    return {};
}

FrameGate::Frames FrameGate::pass() {
    Frames out = release(UINT64_MAX);
    append(out, std::exchange(open_, {}));
    mode_ = Mode::pass;
    return out;
}

void FrameGate::seal(std::uint64_t epoch) {
    if (open_.count == 0) return;
    sealed_.push_back({epoch, std::exchange(open_, {})});
}

FrameGate::Frames FrameGate::release(std::uint64_t epoch) {
    Frames out;
    while (!sealed_.empty() && sealed_.front().epoch <= epoch) {
        append(out, std::move(sealed_.front().frames));
        sealed_.pop_front();
    }
    return out;
}

void FrameGate::discard() {
    sealed_.clear();
    open_ = {};
}

std::size_t FrameGate::held_frames() const {
    std::size_t count = open_.count;
    for (const Sealed& epoch : sealed_)
        count += epoch.frames.count;
    return count;
}

std::size_t FrameGate::held_bytes() const {
    std::size_t bytes = open_.bytes.size();
    for (const Sealed& epoch : sealed_)
        bytes += epoch.frames.bytes.size();
    return bytes;
}

}  // namespace segue
