// SPDX-License-Identifier: LGPL-2.1-or-later
#include "spice/server/chardev/device_port.h"

#include <algorithm>

namespace segue::spice::server {

DevicePort::DevicePort(std::unique_ptr<CharDevice> device, Loop& loop, Owner& owner)
    : device_(std::move(device)), owner_(owner) {
    if (!device_->notifies_writable()) retry_ = loop.make_timer([this] { push(); });
}

DevicePort::~DevicePort() {
    *alive_ = false;
}

Result<> DevicePort::write(wire::SharedBytes bytes, Payer payer, std::uint32_t tokens) {
    // What another server queued may be more than is taken here.
    if (queued_ > kMostQueued || bytes.size() > kMostQueued - queued_) {
        return fail(ErrorCode::limit_exceeded,
                    "more than {} bytes wait for the guest's device '{}': it must read them first",
                    kMostQueued, device_->subtype());
    }
    queued_ += bytes.size();
    queue_.push_back({std::move(bytes), payer, tokens});
    push();
    return {};
}

void DevicePort::push() {
    // The guest may answer, and the answer wake us, while it still takes bytes.
    if (pushing_) return;
    pushing_ = true;
    const bool was_full = is_full();
    const std::shared_ptr<bool> alive = alive_;
    while (moves() && !queue_.empty() && push_first()) {
    }
    if (!*alive) return;
    pushing_ = false;
    if (was_full && !is_full()) owner_.device_has_room();
}

bool DevicePort::push_first() {
    const std::shared_ptr<bool> alive = alive_;
    const Piece& piece = queue_.front();
    const ByteView rest = piece.bytes.view().subspan(begun_);
    // The piece is ours however the queue changes during the call.
    const wire::SharedBytes keep = piece.bytes;
    const int taken = rest.empty() ? 0 : device_->write(rest);
    if (!*alive) return false;
    if (taken > 0) {
        const std::size_t size = std::min(static_cast<std::size_t>(taken), rest.size());
        begun_ += size;
        queued_ -= size;
    }
    if (begun_ < keep.size()) {
        if (retry_ && taken <= 0) retry_->start(kRetry);
        return taken > 0;
    }
    const Payer payer = queue_.front().payer;
    const std::uint32_t tokens = queue_.front().tokens;
    queue_.pop_front();
    begun_ = 0;
    owner_.device_took(payer, tokens);
    return *alive;
}

std::size_t DevicePort::read(std::span<std::uint8_t> into) {
    if (!moves()) return 0;
    const int size = device_->read(into);
    return size <= 0 ? 0 : std::min(static_cast<std::size_t>(size), into.size());
}

void DevicePort::set_running(bool running) {
    running_ = running;
    captured_ = 0;
    if (moves()) return wakeup();
    if (retry_) retry_->cancel();
}

void DevicePort::set_held(bool held) {
    held_ = held;
    if (moves()) wakeup();
}

void DevicePort::wakeup() {
    const std::shared_ptr<bool> alive = alive_;
    push();
    if (*alive) owner_.device_readable();
}

void DevicePort::forget(Payer payer) {
    for (std::size_t index = queue_.size(); index-- > 0;) {
        Piece& piece = queue_[index];
        if (piece.payer != payer) continue;
        if (index == 0 && (begun_ > 0 || pushing_)) {
            piece.payer = kServer;
            piece.tokens = 0;
            continue;
        }
        queued_ -= piece.bytes.size();
        if (index < captured_) --captured_;
        queue_.erase(queue_.begin() + static_cast<std::ptrdiff_t>(index));
    }
}

DevicePort::Unwritten DevicePort::capture_from(std::size_t first, Payer payer) const {
    Unwritten state;
    state.bytes.reserve(queued_);
    for (std::size_t index = 0; index < queue_.size(); ++index) {
        const Piece& piece = queue_[index];
        if (piece.payer == payer) state.tokens += piece.tokens;
        if (index < first) continue;
        const ByteView rest = piece.bytes.view().subspan(index == 0 ? begun_ : 0);
        state.bytes.insert(state.bytes.end(), rest.begin(), rest.end());
    }
    return state;
}

DevicePort::Unwritten DevicePort::capture(Payer payer) const {
    return capture_from(0, payer);
}

DevicePort::Unwritten DevicePort::capture_rest(Payer payer) {
    Unwritten state = capture_from(captured_, payer);
    captured_ = queue_.size();
    return state;
}

void DevicePort::restore(Unwritten state, Payer payer) {
    // Tokens of bytes that another payer brought come back when the guest has taken those.
    if (state.bytes.empty() && state.tokens == 0) return;
    queued_ += state.bytes.size();
    queue_.push_front({wire::SharedBytes::take(std::move(state.bytes)), payer, state.tokens});
    push();
}

}  // namespace segue::spice::server
