// SPDX-License-Identifier: LGPL-2.1-or-later
#include "spice/server/channel.h"

#include <utility>

#include "base/log.h"
#include "spice/server/migration/seal.h"
#include "spice/server/transport.h"

namespace segue::spice::server {
namespace {

using wire::SharedBytes;
namespace common = wire::common;

// Messages below this number are the same on every channel (SPICE_MSGC_FIRST_AVAIL).
constexpr std::uint16_t kFirstOfType = 101;

// Messages between acknowledgements, as stock uses on a fast line.
constexpr std::uint32_t kAckWindow = 20;

// Of a message that waits at the gate, beside its bytes.
constexpr std::size_t kCostAtGate = 128;

}  // namespace

std::string name_of(ChannelKey key) {
    return fmt::format("{}:{}", wire::name_of(key.type), key.id);
}

Channel::Channel(const ChannelSetup& setup, ChannelOutput& output, std::uint32_t most_message)
    : setup_(setup),
      output_(output),
      reader_(setup.header, setup.expects_data ? kMostMigrateData : most_message),
      writer_(setup.header),
      expects_data_(setup.expects_data),
      waits_for_data_(setup.expects_data),
      state_key_(setup.state_key) {}

Channel::~Channel() {
    if (!at_gate_.empty()) setup_.gate->count(-static_cast<std::int64_t>(at_gate_.size()));
    if (came_before_key_ && setup_.early_states)
        setup_.early_states->keep(setup_.key, *came_before_key_);
}

Result<> Channel::receive(ByteView bytes) {
    reader_.feed(bytes);
    while (const std::optional<wire::IncomingMessage> message = TRY(reader_.next())) {
        if (message->number < kFirstOfType) {
            TRY(handle_common(message->number, message->body));
        } else {
            TRY(handle(message->number, message->body));
        }
        if (on_first_message) std::exchange(on_first_message, nullptr)();
    }
    return {};
}

Result<> Channel::handle_common(std::uint16_t number, const SharedBytes& body) {
    struct Handler {
        Channel& channel;
        Result<> operator()(const common::AckSync& sync) {
            channel.acks_.synced(sync.generation);
            channel.ack_synced();
            return {};
        }
        Result<> operator()(const common::Ack&) {
            if (!channel.acks_.acked()) return {};
            channel.window_acked();
            channel.on_room();
            return {};
        }
        Result<> operator()(const common::Pong& pong) {
            channel.ponged(pong.id, pong.timestamp);
            return {};
        }
        Result<> operator()(const common::MigrateFlushMark&) { return channel.flush_mark(); }
        Result<> operator()(const common::MigrateData& message) {
            return channel.data_came(message.data.contiguous());
        }
        Result<> operator()(const common::Disconnecting&) { return {}; }
    };
    return common::dispatch_from_client(number, body, Handler{*this});
}

void Channel::use_ack_window() {
    common::SetAck message;
    message.generation = acks_.restart(kAckWindow);
    message.window = kAckWindow;
    send(message);
}

bool Channel::can_send() const {
    return stage_ == Stage::open && acks_.is_open() && output_.waiting() < kMostWaiting &&
           bytes_at_gate_ < kMostAtGate;
}

bool Channel::can_send_small() const {
    constexpr std::uint32_t kSmallWindows = 16;
    // What is only gathered (Transport::kMostGathered) is on its way.
    constexpr std::size_t kMostWaitingSmall = 96u << 10;
    static_assert(kMostWaitingSmall > Transport::kMostGathered);
    return stage_ == Stage::open && acks_.is_open(kSmallWindows) &&
           output_.waiting() < kMostWaitingSmall && bytes_at_gate_ < kMostAtGate / 2;
}

bool Channel::can_send_shared() const {
    constexpr std::uint32_t kSharedWindows = 8;
    constexpr std::size_t kMostWaitingShared = std::size_t{1} << 20;
    return stage_ == Stage::open && acks_.is_open(kSharedWindows) &&
           output_.waiting() < kMostWaitingShared && bytes_at_gate_ < kMostAtGate;
}

void Channel::send_encoded(wire::EncodedMessage message) {
    if (stage_ == Stage::open) write_message(std::move(message));
}

void Channel::write_message(wire::EncodedMessage message) {
    const std::uint16_t number = message.number;
    std::vector<SharedBytes> pieces;
    if (!writer_.frame(std::move(message), pieces)) return;
    std::size_t bytes = 0;
    for (const SharedBytes& piece : pieces)
        bytes += piece.size();
    const bool is_gated = setup_.gate && (setup_.gate->holds(is_picture()) || !at_gate_.empty());
    const Instant made = is_gated ? setup_.gate->made() : Instant{};
    if (!is_gated || !must_wait(number, made)) return write_pieces(std::move(pieces), bytes);
    for (SharedBytes& piece : pieces)
        piece = piece.kept();
    at_gate_.push_back({made, bytes + kCostAtGate, std::move(pieces)});
    bytes_at_gate_ += at_gate_.back().bytes;
    setup_.gate->count(1);
}

void Channel::write_pieces(std::vector<SharedBytes> pieces, std::size_t bytes) {
    message_sent(bytes, acks_.sent());
    output_.write(std::move(pieces));
}

// --- The gate -----------------------------------------------------------------------------------

// What is the same on every channel tells nothing, and keeps its place in the order.
bool Channel::shows_guest(std::uint16_t number) const {
    return number >= kFirstOfType || !at_gate_.empty();
}

bool Channel::is_picture() const {
    switch (setup_.key.type) {
        case wire::ChannelType::display:
        case wire::ChannelType::inputs:
        case wire::ChannelType::cursor:
        case wire::ChannelType::playback:
        case wire::ChannelType::record: return true;
        default: return false;
    }
}

bool Channel::must_wait(std::uint16_t number, Instant made) const {
    return shows_guest(number) &&
           (!at_gate_.empty() || !setup_.gate->may_leave(is_picture(), made));
}

void Channel::leave_gate() {
    if (at_gate_.empty()) return;
    while (!at_gate_.empty() && setup_.gate->may_leave(is_picture(), at_gate_.front().made)) {
        AtGate one = std::move(at_gate_.front());
        at_gate_.pop_front();
        bytes_at_gate_ -= one.bytes;
        setup_.gate->count(-1);
        write_pieces(std::move(one.pieces), one.bytes - kCostAtGate);
    }
    on_room();
}

// --- The hand-over ------------------------------------------------------------------------------

void Channel::migrate() {
    if (stage_ != Stage::open) return;
    before_migrate();
    common::Migrate message;
    message.flags = static_cast<common::MigrateFlags>(migrate_flags());
    send(message);
    if (wire::has(message.flags, common::MigrateFlags::need_flush)) {
        stage_ = Stage::flushing;
        return;
    }
    stage_ = Stage::gone;
    if (wire::has(message.flags, common::MigrateFlags::need_data_transfer)) send_migrate_data();
}

Result<> Channel::flush_mark() {
    if (stage_ != Stage::flushing)
        return fail(ErrorCode::protocol, "{}: a flush mark that was not asked for", name_of(key()));
    stage_ = Stage::gone;
    send_migrate_data();
    return {};
}

void Channel::send_migrate_data() {
    common::MigrateData message;
    Bytes state = migrate_data();
    if (state_key_) seal(state, *state_key_, key());
    message.data = SharedBytes::take(std::move(state));
    write_message(wire::encode_from_server(message));
}

Result<> Channel::data_came(const SharedBytes& blob) {
    if (!expects_data_) {
        return fail(ErrorCode::protocol, "{}: migration data that was not expected",
                    name_of(key()));
    }
    expects_data_ = false;
    if (has_state_) return {};
    const SealedState sealed = sealed_state(blob.view());
    if (state_key_) {
        TRY(check_seal(sealed, *state_key_, key()));
    } else {
        came_before_key_ = sealed;
    }
    only_client_says_ = !state_key_;
    TRY(restore(blob.slice(0, without_seal(blob.view()).size())));
    on_room();
    return {};
}

Result<> Channel::expect_seal(const StateKey& key) {
    state_key_ = key;
    if (came_before_key_) TRY(check_seal(*came_before_key_, key, this->key()));
    came_before_key_.reset();
    return {};
}

Result<> Channel::take_state(const SharedBytes& blob) {
    if (!expects_data_ || has_state_) return {};
    only_client_says_ = false;
    TRY(restore(blob));
    has_state_ = true;
    waits_for_data_ = false;
    on_room();
    return {};
}

void Channel::stop_waiting() {
    if (!is_held()) return;
    waits_for_data_ = false;
    go_without_data();
    on_room();
}

Result<> Channel::restore(const SharedBytes&) {
    return fail(ErrorCode::protocol, "{}: this channel has no state to take over", name_of(key()));
}

}  // namespace segue::spice::server
