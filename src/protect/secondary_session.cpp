// SPDX-License-Identifier: LGPL-2.1-or-later
#include "protect/secondary_session.h"

#include <utility>

#include "base/check.h"

namespace segue {
namespace {

using colo::Action;
using colo::Event;
using colo::Secondary;

// Moving the rest of the log to its front costs a copy: not for every page of a first state.
constexpr std::size_t kDropAt = 512U << 10;

}  // namespace

SecondarySession::SecondarySession(PageStore& store, Owner& owner,
                                   std::function<std::int64_t()> wall_ms, colo::Mode mode)
    : store_(store),
      owner_(owner),
      wall_ms_(std::move(wall_ms)),
      machine_(
          store.content() == StoreRecord::Content::committed ? Secondary::lost : Secondary::idle,
          mode) {}

bool SecondarySession::is_protected() const {
    switch (state()) {
        case Secondary::awaiting_request:
        case Secondary::suspending:
        case Secondary::awaiting_send:
        case Secondary::receiving_pages:
        case Secondary::receiving_state:
        case Secondary::committing:
        case Secondary::loading:
        case Secondary::resuming: return true;
        default: return false;
    }
}

Result<> SecondarySession::tell(Event event) {
    for (const Action action : TRY(machine_.tell(event)))
        carry_out(action);
    return {};
}

void SecondarySession::carry_out(Action action) {
    switch (action) {
        case Action::send_ready: return owner_.send(ColoMessage::checkpoint_ready);
        case Action::send_reply: return owner_.send(ColoMessage::checkpoint_reply);
        case Action::send_received: return owner_.send(ColoMessage::vmstate_received);
        case Action::send_loaded: return owner_.send(ColoMessage::vmstate_loaded);
        case Action::pass_output: return owner_.pass_output();
        case Action::hold_output: return owner_.hold_output();
        case Action::seal_output: return owner_.seal_output();
        case Action::commit: return owner_.begin_commit(store_.epoch() + 1);
        case Action::release_output: return owner_.release_output(store_.epoch());
        case Action::drop_link: return owner_.drop_link(reason_);
        case Action::tell_protected: return owner_.tell_protected();
        case Action::tell_checkpoint:
            facts_.epoch = store_.epoch();
            return owner_.tell_checkpoint(facts_);
        case Action::tell_lost: return owner_.tell_lost(reason_);
        case Action::promote_vm: return owner_.promote_vm();
        case Action::discard_stage:
            store_.clear_log();
            parsed_ = 0;
            first_pages_ = nullptr;
            return;
        case Action::suspend_vm: return owner_.suspend_vm();
        // Behind what is left to do for the commit: the images are brought to its epoch.
        case Action::load_vm: loads_ = state() == Secondary::loading; return;
        case Action::resume_vm:
            owner_.resume_vm();
            // The primary may ask for the next checkpoint as soon as it hears; the SVM is let go.
            (void)tell(Event::resumed);
            return;
        case Action::start_comparing: return owner_.start_comparing();
        // Refusing a link is connected()'s answer. The rest belongs to the primary's table.
        case Action::refuse_link:
        case Action::send_first_state:
        case Action::send_request:
        case Action::send_state:
        case Action::lose_peer: return;
    }
}

bool SecondarySession::connected() {
    const auto found = machine_.ask(Event::connected);
    if (found.row == nullptr) return false;
    for (const Action action : found.row->actions)
        if (action == Action::refuse_link) return false;
    // An epoch that was not copied yet (a lack of memory) stands in the log alone.
    if (!store_.apply()) return false;
    reader_ = StreamReader();
    parsed_ = 0;
    head_waits_ = false;
    commit_finishes_ = loads_ = false;
    store_.clear_log();
    return tell(Event::connected).has_value();
}

Result<std::span<std::uint8_t>> SecondarySession::space() {
    const std::size_t waiting = store_.log().size() - parsed_;
    const std::size_t wanted = reader_.wanted() > waiting ? reader_.wanted() - waiting : 1;
    return store_.space(std::min<std::size_t>(wanted, 64U << 20));
}

Result<> SecondarySession::received(std::size_t bytes) {
    store_.advance(bytes);
    for (;;) {
        in_read_ = true;
        const auto used = reader_.read(store_.log().subspan(parsed_), *this);
        in_read_ = false;
        if (!used) return tl::make_unexpected(used.error());
        parsed_ += *used;
        if (commit_finishes_) return finish_commit();
        if (head_waits_) {
            TRY(begin_store());
            continue;
        }
        if (*used == 0) break;
    }
    if (state() == Secondary::synchronising && parsed_ >= kDropAt) {
        store_.drop_front(parsed_);
        parsed_ = 0;
    }
    return {};
}

Result<> SecondarySession::begin_store() {
    head_waits_ = false;
    if (!reader_.head().enable_colo) {
        return fail(
            ErrorCode::config_unsupported,
            "the stream is an ordinary migration: turn capability x-colo on at the primary");
    }
    if (reader_.head().has_capability("x-ignore-shared")) {
        return fail(ErrorCode::config_unsupported,
                    "the primary leaves shared memory out: turn its capability x-ignore-shared "
                    "off");
    }
    TRY(owner_.check_head(reader_.head()));
    TRY(store_.may_hold(reader_.head()));
    // Before the disk, which goes beyond the image's epoch now: both count, or neither.
    store_.forget();
    TRY(tell(Event::head_read));
    store_.drop_front(parsed_);
    parsed_ = 0;
    TRY(store_.begin(reader_.head()));
    first_pages_ = &store_.first_pages();
    return {};
}

void SecondarySession::link_lost(const std::string& reason) {
    reason_ = reason;
    (void)tell(Event::link_lost);
}

void SecondarySession::time_up() {
    reason_ = fmt::format("no progress in time while {}", colo::name_of(state()));
    (void)tell(Event::time_up);
}

Result<> SecondarySession::committed() {
    if (machine_.ask(Event::committed).row == nullptr) {
        return fail(ErrorCode::operation_invalid, "nothing is being committed");
    }
    if (state() == Secondary::committing_first) {
        first_pages_ = nullptr;
        TRY(store_.commit_first(first_state_, wall_ms_()));
        first_state_ = {};
    } else {
        store_.commit(checkpoint_, wall_ms_());
    }
    commit_finishes_ = true;
    TRY(tell(Event::committed));
    return in_read_ ? Result<>() : finish_commit();
}

void SecondarySession::commit_failed(const std::string& reason) {
    reason_ = reason;
    (void)tell(Event::time_up);
}

// The primary runs again; only now the pages are copied into the images.
Result<> SecondarySession::finish_commit() {
    commit_finishes_ = false;
    TRY(store_.apply());
    store_.clear_log();
    parsed_ = 0;
    if (std::exchange(loads_, false)) owner_.load_vm();
    return {};
}

Result<> SecondarySession::tell_if_due(Event event) {
    return machine_.ask(event).row != nullptr ? tell(event) : Result<>();
}

Result<> SecondarySession::may_promote() const {
    switch (state()) {
        case Secondary::promoted:
            return fail(ErrorCode::operation_invalid, "already promoted, at epoch {}",
                        store_.epoch());
        case Secondary::idle:
        case Secondary::synchronising:
        case Secondary::committing_first:
            return fail(ErrorCode::operation_invalid,
                        "nothing to promote: no whole state is held yet (state {})",
                        colo::name_of(state()));
        default: return {};
    }
}

Result<> SecondarySession::promote() {
    TRY(may_promote());
    if (machine_.ask(Event::promote).row == nullptr) {
        return fail(ErrorCode::operation_invalid, "not possible while {}: ask again",
                    colo::name_of(state()));
    }
    // What was committed and not yet copied (an earlier lack of memory).
    TRY(store_.apply());
    reason_ = "the standby takes over";
    return tell(Event::promote);
}

void SecondarySession::promotion_done() {
    (void)tell(Event::promotion_done);
}
void SecondarySession::promotion_failed() {
    (void)tell(Event::promotion_failed);
}

Result<> SecondarySession::on_head(const StreamHead&) {
    head_waits_ = true;
    return {};
}

Result<> SecondarySession::on_first_state(ByteView device_state) {
    first_state_.assign(device_state.begin(), device_state.end());
    return tell(Event::first_state_whole);
}

// Between checkpoints the log is empty, so its first byte is the first of a checkpoint-request.
std::size_t SecondarySession::in_log(std::uint64_t position) const {
    return static_cast<std::size_t>(position - log_begins_at_);
}

Result<> SecondarySession::on_message(ColoMessage message) {
    constexpr std::size_t kMessageBytes = 4;
    TRY(tell(colo::event_of(message)));
    if (message == ColoMessage::checkpoint_request) log_begins_at_ = reader_.position();
    if (message == ColoMessage::vmstate_send) {
        checkpoint_.sections_at = in_log(reader_.position()) + kMessageBytes;
        checkpoint_.current_block = reader_.ram().current_block();
        facts_ = {};
    } else if (message == ColoMessage::vmstate_size) {
        checkpoint_.sections_bytes = in_log(reader_.position()) - checkpoint_.sections_at;
    }
    return {};
}

Result<> SecondarySession::on_checkpoint_state(ByteView device_state) {
    checkpoint_.state_at = static_cast<std::size_t>(device_state.data() - store_.log().data());
    checkpoint_.state_bytes = device_state.size();
    if (checkpoint_.state_at + checkpoint_.state_bytes != store_.log().size()) {
        return fail(ErrorCode::protocol,
                    "checkpoint protocol: early message: bytes behind the state, before "
                    "vmstate-loaded");
    }
    facts_.bytes = checkpoint_.state_at + checkpoint_.state_bytes;
    return tell(Event::state_whole);
}

void SecondarySession::on_page(std::uint32_t block, std::uint64_t offset,
                               const std::uint8_t* page) {
    if (first_pages_ != nullptr) return first_pages_->on_page(block, offset, page);
    facts_.pages += 1;
}
void SecondarySession::on_fill(std::uint32_t block, std::uint64_t offset, std::uint8_t value) {
    if (first_pages_ != nullptr) return first_pages_->on_fill(block, offset, value);
    facts_.pages += 1;
}
void SecondarySession::on_delta(std::uint32_t block, std::uint64_t offset, ByteView encoded) {
    if (first_pages_ != nullptr) return first_pages_->on_delta(block, offset, encoded);
    facts_.pages += 1;
}

}  // namespace segue
