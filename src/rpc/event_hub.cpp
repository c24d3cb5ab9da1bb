// SPDX-License-Identifier: LGPL-2.1-or-later
#include "rpc/event_hub.h"

#include <algorithm>

namespace segue::rpc {

EventHub::EventHub(Dispatcher& calls) {
    calls.answer<event::ConnectDomainEventCallbackRegisterAny>(
        [this](Session& session, const event::RegisterCall& call) { return add(session, call); });
    calls.answer<event::ConnectDomainEventCallbackDeregisterAny>(
        [this](Session& session, const remote::NumberCall& call) {
            return remove(session, call.value);
        });
}

Result<remote::NumberReply> EventHub::add(Session& session, const event::RegisterCall& call) {
    // Unknown events are accepted: a newer client may watch for what we never send.
    if (call.event < 0) {
        return fail(ErrorCode::invalid_argument, "event {} does not exist", call.event);
    }
    const auto [place, is_new] = registrations_.try_emplace(&session);
    if (is_new) session.on_close([this, raw = &session] { forget(raw); });
    Registrations& own = place->second;
    if (own.count >= kMaxCallbacks) {
        return fail(ErrorCode::limit_exceeded,
                    "this connection has {} event callbacks, which is the limit", own.count);
    }
    ++own.count;
    const std::int32_t number = own.next_number++;
    callbacks_.push_back({&session, number, call.event, {}});
    if (call.domain) callbacks_.back().domain = call.domain->uuid;
    return remote::NumberReply{number};
}

Result<> EventHub::remove(Session& session, std::int32_t number) {
    const auto found =
        std::find_if(callbacks_.begin(), callbacks_.end(), [&](const Callback& callback) {
            return callback.session == &session && callback.number == number;
        });
    if (found == callbacks_.end()) {
        return fail(ErrorCode::invalid_argument, "there is no event callback {}", number);
    }
    callbacks_.erase(found);
    --registrations_[&session].count;
    return {};
}

void EventHub::forget(Session* session) {
    callbacks_.remove_if([&](const Callback& callback) { return callback.session == session; });
    registrations_.erase(session);
}

bool EventHub::is_wanted(std::int32_t event_id, const Uuid& domain) const {
    return std::any_of(callbacks_.begin(), callbacks_.end(),
                       [&](const Callback& callback) { return callback.wants(event_id, domain); });
}

}  // namespace segue::rpc
