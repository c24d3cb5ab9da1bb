// SPDX-License-Identifier: LGPL-2.1-or-later
#include "spice/server/cursor/cursor_channel.h"

#include <algorithm>

#include "spice/server/migration/extension.schema.h"

namespace segue::spice::server {
namespace {

namespace cursor = wire::cursor;

wire::Point16 point(std::int16_t x, std::int16_t y) {
    wire::Point16 made;
    made.x = x;
    made.y = y;
    return made;
}

// Both servers make the same of a shape. Not meant against an enemy: who draws the pointer can only
// spoil his own. Never 0.
std::uint64_t digest_of(const CursorShape& shape) {
    constexpr std::uint64_t kStart = 0xcbf29ce484222325;
    constexpr std::uint64_t kPrime = 0x100000001b3;
    std::uint64_t digest = kStart;
    const auto mix = [&digest](std::uint64_t value) { digest = (digest ^ value) * kPrime; };
    for (const std::uint64_t value :
         {shape.unique, std::uint64_t{shape.type}, std::uint64_t{shape.width},
          std::uint64_t{shape.height}, std::uint64_t{shape.hot_spot_x},
          std::uint64_t{shape.hot_spot_y}}) {
        mix(value);
    }
    for (const std::uint8_t byte : shape.data)
        mix(byte);
    return digest == 0 ? 1 : digest;
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
    if (!expects_data()) return send_init();
    // The client keeps its shape, and learns what changes.
    if (!carries_) stop_waiting();
}

void CursorChannel::send_init() {
    cached_.clear();
    told_all();
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
    was_reset_meanwhile_ = is_held() || frozen_;
    if (!was_reset_meanwhile_) say_reset();
}

void CursorChannel::say_reset() {
    told_ = {};
    brought_shape_ = 0;
    brought_place_ = false;
    if (!was_reset_) send(cursor::Reset{});
    was_reset_ = true;
}

void CursorChannel::pump() {
    send_changes(can_send());
}

void CursorChannel::send_changes(bool has_room) {
    if (is_held() || frozen_) return;
    // A device that is loaded begins so, and then shows what its machine had: the client has that.
    const bool was_reset = std::exchange(was_reset_meanwhile_, false);
    const bool shows_none = brought_place_ && brought_shape_ == 0;
    if (was_reset && !state_->shape && !shows_none) say_reset();
    if (!has_room) return;
    const CursorState& now = *state_;
    if (was_reset_ && (shape_changed_ || place_changed_ || trail_changed_)) {
        send_init();
        was_reset_ = shape_changed_ = place_changed_ = trail_changed_ = false;
    }
    if (shape_changed_ && is_shown()) {
        shape_changed_ = false;
        place_changed_ = true;
    }
    if (shape_changed_) {
        cursor::Set set;
        set.position = point(now.x, now.y);
        set.visible = now.visible;
        set.cursor = cursor_on_wire();
        send(set);
        told_.shape = now.shape;
        brought_shape_ = 0;
        told_place();
        shape_changed_ = place_changed_ = false;
    }
    if (place_changed_ && !is_in_place()) {
        if (now.visible) {
            cursor::Move move;
            move.position = point(now.x, now.y);
            send(move);
        } else {
            send(cursor::Hide{});
        }
        told_place();
    }
    place_changed_ = false;
    if (trail_changed_) {
        cursor::Trail trail;
        trail.length = now.trail_length;
        trail.frequency = now.trail_frequency;
        send(trail);
        told_.trail_length = now.trail_length;
        told_.trail_frequency = now.trail_frequency;
        trail_changed_ = false;
    }
}

void CursorChannel::told_all() {
    told_ = *state_;
    brought_shape_ = 0;
    brought_place_ = false;
}

void CursorChannel::told_place() {
    told_.x = state_->x;
    told_.y = state_->y;
    told_.visible = state_->visible;
    brought_place_ = false;
}

// --- The hand-over ------------------------------------------------------------------------------

std::optional<Bytes> CursorChannel::carried_state(bool freeze) {
    if (!carries_ || is_held() || is_migrating()) return std::nullopt;
    frozen_ = freeze;
    wire::extension::PointerState made;
    made.shape = told_.shape ? digest_of(*told_.shape) : brought_shape_;
    made.x = told_.x;
    made.y = told_.y;
    made.visible = told_.visible;
    made.trail_length = told_.trail_length;
    made.trail_frequency = told_.trail_frequency;
    made.is_reset = was_reset_;
    made.cached.assign(cached_.begin(), cached_.end());
    return wire::encode(0, made).body();
}

void CursorChannel::thaw() {
    frozen_ = false;
    pump();
}

void CursorChannel::before_migrate() {
    if (is_carried()) return;
    // Whoever was told of what the client has may still go by that: it stays so. What has changed
    // since, the device shows there.
    const bool was_told = std::exchange(frozen_, false);
    if (!was_told) send_changes(true);
    // Another server does not know what is kept, nor that its first word must be an INIT.
    if (std::exchange(was_reset_, false)) send_init();
    if (!cached_.empty() && !was_told) send(cursor::InvalAll{});
    cached_.clear();
}

// It comes when the machine runs, or a little later: then some of it has been said anew already,
// and what the client keeps of before is kept on.
Result<> CursorChannel::restore(const wire::SharedBytes& state) {
    const auto brought = TRY(wire::parse<wire::extension::PointerState>(state));
    std::deque<std::uint64_t> cached;
    for (const std::uint64_t unique : brought.cached) {
        const bool is_new = unique != 0 &&
                            std::find(cached.begin(), cached.end(), unique) == cached.end() &&
                            std::find(cached_.begin(), cached_.end(), unique) == cached_.end();
        if (is_new) cached.push_back(unique);
    }
    cached_.insert(cached_.begin(), cached.begin(), cached.end());
    was_reset_ = was_reset_ || brought.is_reset;
    if (!is_held()) {
        // It has taken nothing of what was said since.
        shape_changed_ = shape_changed_ || brought.is_reset;
        return {};
    }
    brought_shape_ = brought.shape;
    brought_place_ = true;
    told_ = {};
    told_.x = brought.x;
    told_.y = brought.y;
    told_.visible = brought.visible;
    told_.trail_length = brought.trail_length;
    told_.trail_frequency = brought.trail_frequency;
    return {};
}

// Its device shows the pointer once more when the machine arrives, and that is seldom news.
bool CursorChannel::is_shown() const {
    return brought_shape_ != 0 && state_->shape && digest_of(*state_->shape) == brought_shape_;
}
bool CursorChannel::is_in_place() const {
    return brought_place_ && told_.visible == state_->visible &&
           (!state_->visible || (told_.x == state_->x && told_.y == state_->y));
}

}  // namespace segue::spice::server
