// SPDX-License-Identifier: LGPL-2.1-or-later
#include "spice/server/migration/carried_state.h"

#include "spice/control/messages.h"
#include "spice/control/state.schema.h"
#include "spice/wire/encoding.h"

namespace segue::spice::server {

namespace state = wire::state;

Bytes write_carried(const CarriedMessage& message) {
    state::State made;
    made.move = message.move;
    made.last = message.last;
    made.key = message.key;
    for (const auto& [key, data] : message.parts) {
        state::Part part;
        part.connection_id = key.connection_id;
        part.channel_type = static_cast<std::uint8_t>(key.channel.type);
        part.channel_id = key.channel.id;
        part.section = static_cast<state::Section>(key.section);
        part.data = wire::SharedBytes::borrow(data);
        made.parts.push_back(std::move(part));
    }
    return wire::encode(0, made).body();
}

Result<CarriedMessage> read_carried(ByteView bytes) {
    const auto read = TRY(wire::parse<state::State>(wire::SharedBytes::borrow(bytes)));
    CarriedMessage message;
    message.move = read.move;
    message.last = read.last;
    message.key = read.key;
    for (const state::Part& part : read.parts) {
        const CarriedKey key{part.connection_id,
                             {static_cast<wire::ChannelType>(part.channel_type), part.channel_id},
                             static_cast<CarriedSection>(part.section)};
        const wire::SharedBytes data = part.data.contiguous();
        const bool is_new =
            message.parts.emplace(key, Bytes(data.view().begin(), data.view().end())).second;
        if (!is_new) {
            return fail(ErrorCode::protocol, "carried state: {} of client {} is there twice",
                        name_of(key.channel), key.connection_id);
        }
    }
    return message;
}

// --- Source -------------------------------------------------------------------------------------

CarriedMessage StateSender::begin(CarriedParts parts, const StateKey& key) {
    drop();
    key_ = key;
    return first_state(std::move(parts));
}

CarriedMessage StateSender::begin_again(CarriedParts parts) {
    return first_state(std::move(parts));
}

CarriedMessage StateSender::first_state(CarriedParts parts) {
    step_ = Step::told;
    told_ = std::move(parts);
    return {++move_, false, *key_, told_};
}

StateSender::Last StateSender::finish() {
    step_ = Step::last_told;
    ++not_taken_;
    Last last;
    last.move_ = move_;
    last.key_ = *key_;
    last.told_ = std::exchange(told_, {});
    return last;
}

CarriedMessage StateSender::Last::with(CarriedParts parts) const {
    CarriedMessage message{move_, true, key_, {}};
    for (auto& [key, data] : parts) {
        const auto told = told_.find(key);
        if (told == told_.end() || told->second != data) message.parts[key] = std::move(data);
    }
    return message;
}

std::optional<CarriedMessage> StateSender::more(CarriedParts parts) {
    if (step_ != Step::last_told && step_ != Step::taken) return std::nullopt;
    ++not_taken_;
    return CarriedMessage{move_, true, *key_, std::move(parts)};
}

bool StateSender::taken() {
    if (not_taken_ > 0) --not_taken_;
    if (step_ != Step::last_told || not_taken_ > 0) return false;
    step_ = Step::taken;
    return true;
}

void StateSender::drop() {
    step_ = Step::idle;
    not_taken_ = 0;
}

void StateSender::forget() {
    drop();
    key_.reset();
}

// --- Target -------------------------------------------------------------------------------------

Result<bool> StateKeeper::take(CarriedMessage message) {
    if (!message.last) {
        move_ = message.move;
        parts_ = std::move(message.parts);
        return false;
    }
    if (move_ != message.move) {
        return fail(ErrorCode::protocol,
                    "carried state: the last part of move {} came without its first", message.move);
    }
    // A second final state of one move brings what changed late.
    for (auto& [key, data] : message.parts)
        parts_[key] = std::move(data);
    return true;
}

}  // namespace segue::spice::server
