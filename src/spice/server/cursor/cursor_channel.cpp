// SPDX-License-Identifier: LGPL-2.1-or-later
#include "spice/server/cursor/cursor_channel.h"

#include <algorithm>

namespace segue::spice::server {
namespace {

namespace cursor = wire::cursor;

wire::Point16 point(std::int16_t x, std::int16_t y) {
    wire::Point16 made;
    made.x = x;
    made.y = y;
    return made;
}

}  // namespace

CursorChannel::CursorChannel(const ChannelSetup& setup, ChannelOutput& output,
                             std::shared_ptr<const CursorState> state, OnGone on_gone)
    : Channel(setup, output), state_(std::move(state)), on_gone_(std::move(on_gone)) {}

CursorChannel::~CursorChannel() {
    if (on_gone_) on_gone_(*this);
}

void CursorChannel::start() {
    use_ack_window();
    if (expects_data()) {
        // This channel carries no state: the client keeps its shape, and learns what changes.
        stop_waiting();
        return;
    }
    send_init();
}

void CursorChannel::send_init() {
    cached_.clear();
    cursor::Init init;
    init.position = point(state_->x, state_->y);
    init.trail_length = state_->trail_length;
    init.trail_frequency = state_->trail_frequency;
    init.visible = state_->visible;
    init.cursor = cursor_on_wire();
    send(init);
}

Result<> CursorChannel::handle(std::uint16_t number, const wire::SharedBytes&) {
    return fail(ErrorCode::protocol, "{}: message {}: clients send none here", name_of(key()),
                number);
}

cursor::Cursor CursorChannel::cursor_on_wire() {
    cursor::Cursor made;
    const std::shared_ptr<const CursorShape>& shape = state_->shape;
    // A shape whose bounds no client accepts is not sent.
    const bool is_fit = shape && shape->width <= cursor::kCursorSide &&
                        shape->height <= cursor::kCursorSide &&
                        is_known(static_cast<cursor::CursorType>(shape->type));
    if (!is_fit) {
        made.flags = cursor::CursorFlags::none;
        return made;
    }
    made.flags = use_cache(shape->unique);
    made.header.unique = shape->unique;
    made.header.type = static_cast<cursor::CursorType>(shape->type);
    made.header.width = shape->width;
    made.header.height = shape->height;
    made.header.hot_spot_x = shape->hot_spot_x;
    made.header.hot_spot_y = shape->hot_spot_y;
    if (!wire::has(made.flags, cursor::CursorFlags::from_cache))
        made.data = wire::SharedBytes::owned(shape, shape->data);
    return made;
}

// A shape that the guest does not name is not kept.
cursor::CursorFlags CursorChannel::use_cache(std::uint64_t unique) {
    if (unique == 0) return {};
    const auto found = std::find(cached_.begin(), cached_.end(), unique);
    const bool is_cached = found != cached_.end();
    if (is_cached) cached_.erase(found);
    cached_.push_back(unique);
    if (is_cached) return cursor::CursorFlags::from_cache;
    if (cached_.size() > kMostCached) {
        cursor::InvalOne forget;
        forget.id = cached_.front();
        cached_.pop_front();
        send(forget);
    }
    return cursor::CursorFlags::cache_me;
}

void CursorChannel::changed(const CursorCommand& command) {
    switch (command.kind) {
        case CursorCommand::Kind::set: shape_changed_ = true; break;
        case CursorCommand::Kind::move:
        case CursorCommand::Kind::hide: place_changed_ = true; break;
        case CursorCommand::Kind::trail: trail_changed_ = true; break;
    }
}

void CursorChannel::reset() {
    shape_changed_ = place_changed_ = trail_changed_ = false;
    if (!was_reset_) send(cursor::Reset{});
    was_reset_ = true;
}

void CursorChannel::pump() {
    send_changes(can_send());
}

void CursorChannel::before_migrate() {
    send_changes(true);
    // Another server does not know what is kept, nor that its first word must be an INIT.
    if (was_reset_) send_init();
    if (!cached_.empty()) send(cursor::InvalAll{});
    was_reset_ = false;
    cached_.clear();
}

void CursorChannel::send_changes(bool has_room) {
    if (!has_room) return;
    const CursorState& now = *state_;
    if (was_reset_ && (shape_changed_ || place_changed_ || trail_changed_)) {
        send_init();
        was_reset_ = shape_changed_ = place_changed_ = trail_changed_ = false;
    }
    if (shape_changed_) {
        cursor::Set set;
        set.position = point(now.x, now.y);
        set.visible = now.visible;
        set.cursor = cursor_on_wire();
        send(set);
        shape_changed_ = place_changed_ = false;
    }
    if (place_changed_) {
        if (now.visible) {
            cursor::Move move;
            move.position = point(now.x, now.y);
            send(move);
        } else {
            send(cursor::Hide{});
        }
        place_changed_ = false;
    }
    if (trail_changed_) {
        cursor::Trail trail;
        trail.length = now.trail_length;
        trail.frequency = now.trail_frequency;
        send(trail);
        trail_changed_ = false;
    }
}

}  // namespace segue::spice::server
