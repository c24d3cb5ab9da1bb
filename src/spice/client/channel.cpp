// SPDX-License-Identifier: LGPL-2.1-or-later
#include "spice/client/channel.h"

#include "base/log.h"

namespace segue::spice::client {

namespace common = wire::common;
using wire::has;

void Channel::attach(SendMessage send, const wire::Capabilities& server, bool anew) {
    send_ = std::move(send);
    moving_ = false;
    state_expected_ = false;
    on_server(server);
    if (anew) {
        // What was queued before the channel was up goes behind its first words.
        std::deque<wire::EncodedMessage> queued;
        queued.swap(queue_);
        on_up(server);
        queue_.insert(queue_.end(), std::make_move_iterator(queued.begin()),
                      std::make_move_iterator(queued.end()));
    }
    while (!queue_.empty() && send_) {
        wire::EncodedMessage message = std::move(queue_.front());
        queue_.pop_front();
        send_(std::move(message));
    }
}

void Channel::send(wire::EncodedMessage message) {
    if (send_ && !moving_ && queue_.empty()) return send_(std::move(message));
    if (queue_.size() >= kMaxQueued) {
        if (!std::exchange(queue_overflow_logged_, true)) {
            log_warning("spice", "{}: more than {} messages wait for the server; newer ones go",
                        text_of(key_), kMaxQueued);
        }
        return;
    }
    queue_.push_back(std::move(message));
}

// Past the queue: answers that belong to the wire the question came from.
void Channel::say_now(wire::EncodedMessage message) {
    if (send_) send_(std::move(message));
}

Result<> Channel::receive(const wire::IncomingMessage& message) {
    last_serial_ = message.serial;
    if (state_expected_ && message.number != common::MigrateData::kFromServer) {
        return fail(ErrorCode::protocol, "message {} came where the migrate data was due",
                    message.number);
    }
    if (moving_ && !state_expected_) {
        return fail(ErrorCode::protocol, "message {} came behind the channel's last one",
                    message.number);
    }
    ++unacknowledged_;
    if (waits_.empty()) {
        TRY(handle_common(message));
    } else {
        backlog_bytes_ += message.body.size() + sizeof message;
        if (backlog_bytes_ > kMaxBacklogBytes) {
            return fail(ErrorCode::limit_exceeded, "more than {} bytes wait for another channel",
                        kMaxBacklogBytes);
        }
        backlog_.push_back(message);
    }
    if (!is_overloaded()) acknowledge();
    return {};
}

std::uint64_t Channel::handled_serial() const {
    std::uint64_t handled = backlog_.empty() ? last_serial_ : backlog_.front().serial - 1;
    if (const auto first = first_unfinished()) handled = std::min(handled, *first - 1);
    return handled;
}

void Channel::acknowledge() {
    while (window_ != 0 && unacknowledged_ >= window_ && !moving_) {
        unacknowledged_ -= window_;
        say_now(wire::encode_from_client(common::Ack{}));
    }
}

Result<> Channel::resume() {
    const auto done = [&](const wire::WaitForChannel& wait) { return host_.is_done(wait); };
    while (!waits_.empty()) {
        if (!std::all_of(waits_.begin(), waits_.end(), done)) return {};
        waits_.clear();
        while (!backlog_.empty() && waits_.empty()) {
            const wire::IncomingMessage message = std::move(backlog_.front());
            backlog_.pop_front();
            backlog_bytes_ -= message.body.size() + sizeof message;
            TRY(handle_common(message));
        }
    }
    return {};
}

Result<> Channel::handle_common(const wire::IncomingMessage& message) {
    switch (message.number) {
        case common::Migrate::kFromServer: {
            const auto migrate = TRY(wire::parse<common::Migrate>(message.body));
            host_.on_migrate(key_, migrate.flags);
            return {};
        }
        case common::MigrateData::kFromServer: {
            if (std::exchange(passes_over_state_, false)) return {};
            if (!state_expected_) return fail(ErrorCode::protocol, "migrate data nobody waits for");
            state_ = TRY(wire::parse<common::MigrateData>(message.body));
            state_expected_ = false;
            host_.on_ready_to_move(key_);
            return {};
        }
        case common::SetAck::kFromServer: {
            const auto set = TRY(wire::parse<common::SetAck>(message.body));
            window_ = set.window;
            unacknowledged_ = 0;
            say_now(wire::encode_from_client(common::AckSync{set.generation}));
            return {};
        }
        case common::Ping::kFromServer: {
            const auto ping = TRY(wire::parse<common::Ping>(message.body));
            say_now(wire::encode_from_client(common::Pong{ping.id, ping.timestamp}));
            return {};
        }
        case common::WaitForChannels::kFromServer: {
            auto wait = TRY(wire::parse<common::WaitForChannels>(message.body));
            waits_ = std::move(wait.wait_list);
            return resume();
        }
        case common::Disconnecting::kFromServer: {
            const auto why = TRY(wire::parse<common::Disconnecting>(message.body));
            host_.on_disconnecting(key_, why.reason);
            return {};
        }
        case common::Notify::kFromServer: {
            const auto notice = TRY(wire::parse<common::Notify>(message.body));
            log_info("spice", "{}: the server says: {}", text_of(key_),
                     as_text(ByteView(notice.text)));
            return {};
        }
        default: return handle(message);
    }
}

void Channel::begin_move(common::MigrateFlags flags) {
    before_move_ = Acknowledged{window_, unacknowledged_, last_serial_};
    moving_ = true;
    state_expected_ = has(flags, common::MigrateFlags::need_data_transfer);
    if (has(flags, common::MigrateFlags::need_flush))
        say_now(wire::encode_from_client(common::MigrateFlushMark{}));
    if (!state_expected_) host_.on_ready_to_move(key_);
}

void Channel::stay() {
    if (!before_move_) return;
    const Acknowledged before = *std::exchange(before_move_, std::nullopt);
    window_ = before.window;
    unacknowledged_ = before.unacknowledged;
    last_serial_ = before.last_serial;
    waits_.clear();
    backlog_.clear();
    backlog_bytes_ = 0;
    passes_over_state_ = moving_ && state_expected_;
    state_.reset();
}

void Channel::reset(ResetReason reason) {
    send_ = nullptr;
    window_ = unacknowledged_ = 0;
    last_serial_ = 0;
    waits_.clear();
    backlog_.clear();
    backlog_bytes_ = 0;
    moving_ = state_expected_ = passes_over_state_ = false;
    before_move_.reset();
    state_.reset();
    // Input of the user survives a switch; what was said to another server does not matter to a
    // new session.
    if (reason != ResetReason::switching) queue_.clear();
    on_reset(reason);
}

}  // namespace segue::spice::client
