// SPDX-License-Identifier: LGPL-2.1-or-later
#include "spice/client/cursor_channel.h"

#include "spice/canvas/bitmap.h"

namespace segue::spice::client {

namespace cursor = wire::cursor;
using wire::has;

Result<> CursorChannel::handle(const wire::IncomingMessage& message) {
    return cursor::dispatch_from_server(message.number, message.body,
                                        [this](const auto& parsed) { return on(parsed); });
}

void CursorChannel::on_reset(ResetReason reason) {
    cache_.clear();
    // The shape stays on the screen until the new server says another.
    if (reason != ResetReason::gone) return;
    state_ = {};
    on_change_(state_);
}

Result<> CursorChannel::set_shape(const cursor::Cursor& message) {
    if (has(message.flags, cursor::CursorFlags::none)) return {};
    const std::uint64_t id = message.header.unique;
    if (has(message.flags, cursor::CursorFlags::from_cache)) {
        const auto found = cache_.find(id);
        if (found == cache_.end()) {
            return fail(ErrorCode::protocol, "cursor {:#x} is not in the cache", id);
        }
        state_.shape = found->second;
        return {};
    }
    const wire::SharedBytes data = message.data.contiguous();
    wire::Reservation room(memory_);
    // Colours, and what inverts.
    if (!room.resize(std::size_t{message.header.width} * message.header.height * 5)) {
        return fail(ErrorCode::limit_exceeded,
                    "a cursor of {}x{} pixels: what the server makes us keep has reached the "
                    "bound of {} bytes",
                    message.header.width, message.header.height, room.most());
    }
    CursorShape decoded = TRY(decode_cursor(message.header, data.view()));
    decoded.room = std::move(room);
    auto shape = std::make_shared<const CursorShape>(std::move(decoded));
    state_.shape = shape;
    if (has(message.flags, cursor::CursorFlags::cache_me)) {
        if (cache_.size() >= kMaxCached && !cache_.contains(id)) {
            return fail(ErrorCode::limit_exceeded, "the server caches more than {} cursors",
                        kMaxCached);
        }
        cache_[id] = std::move(shape);
    }
    return {};
}

Result<> CursorChannel::on(const cursor::Init& message) {
    cache_.clear();
    TRY(set_shape(message.cursor));
    state_.visible = message.visible;
    state_.x = message.position.x;
    state_.y = message.position.y;
    on_change_(state_);
    return {};
}

Result<> CursorChannel::on(const cursor::Reset&) {
    cache_.clear();
    state_ = {};
    on_change_(state_);
    return {};
}

Result<> CursorChannel::on(const cursor::Set& message) {
    TRY(set_shape(message.cursor));
    state_.visible = message.visible;
    state_.x = message.position.x;
    state_.y = message.position.y;
    on_change_(state_);
    return {};
}

Result<> CursorChannel::on(const cursor::Move& message) {
    state_.visible = true;
    state_.x = message.position.x;
    state_.y = message.position.y;
    on_change_(state_);
    return {};
}

Result<> CursorChannel::on(const cursor::Hide&) {
    state_.visible = false;
    on_change_(state_);
    return {};
}

Result<> CursorChannel::on(const cursor::Trail&) {
    return {};
}

Result<> CursorChannel::on(const cursor::InvalOne& message) {
    cache_.erase(message.id);
    return {};
}

Result<> CursorChannel::on(const cursor::InvalAll&) {
    cache_.clear();
    return {};
}

}  // namespace segue::spice::client
